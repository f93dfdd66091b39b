/* Any message survives the way to bytes and back; any message that was cut or lies about its lengths is refused, and no byte
 * outside of it is looked at (every decoding here is of a block of exactly its size, for AddressSanitizer). */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "describe.h"

static const enum of_version versions[] = {OF10, OF13};
static uint64_t seed;

/* Decodes from a heap block of this size.  '*ret' borrows from the block, which the caller frees. */
static int decode(enum of_version version, const void *bytes, size_t size, struct of_message *ret, struct error *error, void **block)
{
    *block = malloc(size ? size : 1);
    assert_non_null(*block);
    memcpy(*block, bytes, size);
    return of_decode(version, *block, size, ret, error);
}

static void fail_at(const char *what, enum of_version version, enum of_kind kind, unsigned round)
{
    fail_msg("%s: version %d, %s, round %u, SEED=%llu", what, version, of_kind_name(kind), round, (unsigned long long)seed);
}

/* For each round: 'visit' with a random message and its bytes. */
static void each_message(unsigned n_rounds, void (*visit)(enum of_version version, const struct of_message *message,
                                                          const struct buffer *bytes, unsigned round))
{
    static struct arena arena;
    struct random random = {seed};
    struct of_message message;
    for (size_t v = 0; v < 2; v++)
        for (enum of_kind kind = OF_HELLO; kind < N_OF_KINDS; kind++)
            for (unsigned round = 0; version_has(versions[v], kind) && round < n_rounds; round++) {
                struct buffer bytes = {0};
                random_message(&random, versions[v], kind, &arena, &message);
                if (of_encode(versions[v], &message, &bytes) != 0)
                    fail_at("encoding", versions[v], kind, round);
                visit(versions[v], &message, &bytes, round);
                buffer_clear(&bytes);
            }
}

static void check_round_trip(enum of_version version, const struct of_message *message, const struct buffer *bytes, unsigned round)
{
    struct buffer sent = {0}, received = {0}, again = {0}, rebuilt = {0};
    struct of_message got;
    struct error error = {0};
    void *block;
    if (of_frame(bytes->data, bytes->size) != (int)bytes->size)
        fail_at("length", version, message->kind, round);
    int r = decode(version, bytes->data, bytes->size, &got, &error, &block);
    if (r < 0) {
        print_message("%s: %s: %s\n", error.type, error.field, error.message);
        fail_at("decoding", version, message->kind, round);
    }
    describe(version, message, &sent);
    describe(version, &got, &received);
    if (strcmp(sent.data, received.data) != 0) {
        print_message("sent     %s\nreceived %s\n", sent.data, received.data);
        fail_at("the message changed", version, message->kind, round);
    }
    if (of_encode(version, &got, &again) != 0 || again.size != bytes->size || memcmp(again.data, bytes->data, bytes->size) != 0)
        fail_at("the bytes changed", version, message->kind, round);
    if (rebuild(version, &got, &rebuilt) != 0 || rebuilt.size != bytes->size ||
        memcmp(rebuilt.data, bytes->data, bytes->size) != 0)
        fail_at("lists changed", version, message->kind, round);
    free(block);
    buffer_clear(&sent);
    buffer_clear(&received);
    buffer_clear(&again);
    buffer_clear(&rebuilt);
}

static void messages_survive_the_way_there_and_back(void **state)
{
    each_message(300, check_round_trip);
}

/* As a stream would bring it: less than the header's length says. */
static void check_cut(enum of_version version, const struct of_message *message, const struct buffer *bytes, unsigned round)
{
    for (size_t size = 0; size < bytes->size; size++) {
        struct of_message got;
        struct error error = {0};
        void *block;
        if (decode(version, bytes->data, size, &got, &error, &block) != -EBADMSG || !error.type[0])
            fail_at("accepted when cut", version, message->kind, round);
        free(block);
    }
}

static void cut_messages_are_refused(void **state)
{
    each_message(5, check_cut);
}

/* Cut and with the header's length put right: such a message may be well formed (its data is shorter, or a list has fewer elements),
 * but then it is the message that it says it is. */
static void check_shortened(enum of_version version, const struct of_message *message, const struct buffer *bytes, unsigned round)
{
    for (size_t size = OF_HEADER_SIZE; size < bytes->size; size++) {
        struct of_message got;
        struct error error = {0};
        void *block;
        uint8_t *copy = malloc(bytes->size);
        assert_non_null(copy);
        memcpy(copy, bytes->data, bytes->size);
        put_be16(copy + 2, (uint16_t)size);
        int r = decode(version, copy, size, &got, &error, &block);
        free(copy);
        if (r == 0) {
            struct buffer text = {0}, again = {0};
            describe(version, &got, &text);
            if (rebuild(version, &got, &again) < 0 && got.kind != OF_HELLO)
                fail_at("a shortened message cannot be encoded", version, message->kind, round);
            buffer_clear(&text);
            buffer_clear(&again);
        } else if (r != -EBADMSG || !error.type[0] || !error.message[0]) {
            fail_at("a refusal without a reason", version, message->kind, round);
        }
        free(block);
    }
}

static void shortened_messages_are_read_within_their_bounds(void **state)
{
    each_message(5, check_shortened);
}

/* One bit of every byte turned: what is accepted then must still be whole. */
static void check_flipped(enum of_version version, const struct of_message *message, const struct buffer *bytes, unsigned round)
{
    struct random random = {seed + round};
    for (size_t at = 1; at < bytes->size; at++) {
        struct of_message got;
        void *block;
        bytes->data[at] ^= (char)(1 << random_below(&random, 8));
        if (decode(version, bytes->data, bytes->size, &got, NULL, &block) == 0) {
            struct buffer text = {0};
            describe(version, &got, &text);
            buffer_clear(&text);
        }
        free(block);
        decode(version, bytes->data, bytes->size - 1, &got, NULL, &block);
        free(block);
    }
}

static void changed_messages_are_read_within_their_bounds(void **state)
{
    each_message(10, check_flipped);
}

/* Every failure leaves the buffer as it was. */
static void check_too_long(enum of_version version, const struct of_message *message, const struct buffer *bytes, unsigned round)
{
    static uint8_t data[70000];
    struct of_message longer = *message;
    struct buffer buffer = {0};
    struct of_bytes *part = message->kind == OF_ECHO_REQUEST    ? &longer.echo
                            : message->kind == OF_ERROR         ? &longer.error.data
                            : message->kind == OF_PACKET_IN     ? &longer.packet_in.data
                            : message->kind == OF_PACKET_OUT    ? &longer.packet_out.data
                            : message->kind == OF_EXPERIMENTER  ? &longer.experimenter.data
                            : message->kind == OF_MULTIPART_REPLY ? &longer.multipart_reply.body
                                                                : NULL;
    if (!part)
        return;
    assert_int_equal(buffer_append(&buffer, "abc", 3), 0);
    *part = (struct of_bytes){data, sizeof(data)};
    if (of_encode(version, &longer, &buffer) != -EMSGSIZE || buffer.size != 3 || memcmp(buffer.data, "abc", 3) != 0)
        fail_at("longer than a message can be", version, message->kind, round);
    size_t fits = OF_MESSAGE_MAX_SIZE - (bytes->size - (message->kind == OF_ECHO_REQUEST ? message->echo.size : 0));
    if (message->kind == OF_ECHO_REQUEST) {
        longer.echo.size = fits;
        assert_int_equal(of_encode(version, &longer, &buffer), 0);
        assert_int_equal(buffer.size, 3 + OF_MESSAGE_MAX_SIZE);
        longer.echo.size = fits + 1;
        assert_int_equal(of_encode(version, &longer, &buffer), -EMSGSIZE);
    }
    buffer_clear(&buffer);
}

static void too_long_is_refused(void **state)
{
    each_message(3, check_too_long);
}

static void frames_of_a_stream(void **state)
{
    static const struct {
        const char *bytes;
        size_t size;
        int expected;
    } cases[] = {
        {"", 0, 0},
        {"\x04\x00\x00\x08\x00\x00\x00", 7, 0},
        {"\x04\x00\x00\x08\x00\x00\x00\x00", 8, 8},
        {"\x04\x00\xff\xff\x00\x00\x00\x00", 8, 65535},
        {"\x04\x00\x00\x07\x00\x00\x00\x00", 8, -EBADMSG},
        {"\x04\x00\x00\x00\x00\x00\x00\x00", 8, -EBADMSG},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        assert_int_equal(of_frame(cases[i].bytes, cases[i].size), cases[i].expected);
}

/* Kinds that a version has no message for. */
static void what_1_0_lacks_is_not_encoded(void **state)
{
    struct buffer buffer = {0};
    for (enum of_kind kind = OF_HELLO; kind < N_OF_KINDS; kind++) {
        struct of_message message = {.kind = kind};
        if (!version_has(OF10, kind))
            assert_int_equal(of_encode(OF10, &message, &buffer), -EPROTONOSUPPORT);
    }
    assert_int_equal(of_encode(OF10, &(struct of_message){0}, &buffer), -EINVAL);
    assert_int_equal(of_encode(OF13, &(struct of_message){.kind = N_OF_KINDS}, &buffer), -EINVAL);
    assert_int_equal(buffer.size, 0);
    buffer_clear(&buffer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(messages_survive_the_way_there_and_back),
        cmocka_unit_test(cut_messages_are_refused),
        cmocka_unit_test(shortened_messages_are_read_within_their_bounds),
        cmocka_unit_test(changed_messages_are_read_within_their_bounds),
        cmocka_unit_test(too_long_is_refused),
        cmocka_unit_test(frames_of_a_stream),
        cmocka_unit_test(what_1_0_lacks_is_not_encoded),
    };
    seed = getenv("SEED") ? strtoull(getenv("SEED"), NULL, 10) : (uint64_t)time(NULL);
    printf("SEED=%llu\n", (unsigned long long)seed);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
