/* One connection: versions, pieces, liveness, barriers, bounds. */
#include "test.h"

#include <errno.h>
#include <string.h>

#include "weft/base/bytes.h"
#include "weft/base/util.h"
#include "weft/fabric/channel.h"

struct seen {
    unsigned n_ready, n_messages, n_problems;
    enum channel_problem problem;
    char text[512];
    enum of_kind kind;
};

static void on_ready(struct channel *channel, void *context)
{
    ((struct seen *)context)->n_ready++;
}

static void on_message(struct channel *channel, const struct of_message *message, void *context)
{
    ((struct seen *)context)->n_messages++;
    ((struct seen *)context)->kind = message->kind;
}

static void on_problem(struct channel *channel, enum channel_problem problem, const struct error *error, void *context)
{
    struct seen *seen = context;

    seen->n_problems++;
    seen->problem = problem;
    string_copy(seen->text, sizeof(seen->text), error->message);
}

static struct channel_options options_for(struct seen *seen)
{
    return (struct channel_options){.versions = 1u << OF10 | 1u << OF13, .handshake_ms = 1000, .echo_ms = 100, .dead_ms = 300, .output_max = 100000,
                                    .ready = on_ready, .message = on_message, .problem = on_problem, .context = seen};
}

/* Says something to the fabric's end, byte by byte when 'in_pieces'. */
static void say(struct channel *channel, enum of_version version, const struct of_message *message, bool in_pieces, uint64_t now_ms)
{
    struct buffer bytes = {0};

    assert_int_equal(of_encode(version, message, &bytes), 0);
    for (size_t i = 0; in_pieces && i < bytes.size; i++)
        channel_receive(channel, bytes.data + i, 1, now_ms);
    if (!in_pieces)
        channel_receive(channel, bytes.data, bytes.size, now_ms);
    buffer_clear(&bytes);
}

/* The next message that the channel wants sent; its kind is 0 when there is none. */
static struct of_message hear(struct channel *channel, enum of_version version)
{
    static uint8_t bytes[70000];
    struct buffer *output = channel_output(channel);
    struct of_message message = {0};
    int size = of_frame(output->data, output->size);

    if (size <= 0 || (size_t)size > output->size)
        return message;
    memcpy(bytes, output->data, (size_t)size);
    buffer_consume(output, (size_t)size);
    assert_int_equal(of_decode(version, bytes, (size_t)size, &message, NULL), 0);
    return message;
}

static void shake_hands(struct channel *channel, enum of_version version, bool in_pieces)
{
    struct of_message hello = {.kind = OF_HELLO, .xid = 1, .hello = {1u << version}}, asked, reply;

    hear(channel, OF13);
    say(channel, version, &hello, in_pieces, 0);
    asked = hear(channel, version);
    assert_int_equal(asked.kind, OF_FEATURES_REQUEST);
    reply = (struct of_message){.kind = OF_FEATURES_REPLY, .xid = asked.xid, .features = {.datapath_id = 0x1234, .n_tables = 4}};
    say(channel, version, &reply, in_pieces, 0);
    assert_int_equal(hear(channel, version).kind, OF_SET_CONFIG);
    for (asked = hear(channel, version); asked.kind == OF_MULTIPART_REQUEST; asked = hear(channel, version)) {
        reply = (struct of_message){.kind = OF_MULTIPART_REPLY, .xid = asked.xid};
        reply.multipart_reply.type = asked.multipart_request.type;
        if (reply.multipart_reply.type == OFMP_DESC) {
            static uint8_t room[2000];
            struct writer writer = writer_of(room, sizeof(room));

            of_desc_put(&writer, &(struct of_desc){.hardware = "test"});
            reply.multipart_reply.body = (struct of_bytes){room, writer.size};
        }
        say(channel, version, &reply, in_pieces, 0);
    }
    assert_true(channel_is_ready(channel));
}

static void both_versions_in_pieces_and_whole(void **state)
{
    for (int i = 0; i < 4; i++) {
        struct seen seen = {0};
        struct channel_options options = options_for(&seen);
        struct channel *channel;
        enum of_version version = i & 1 ? OF10 : OF13;

        assert_int_equal(channel_new(&options, 0, &channel), 0);
        shake_hands(channel, version, i & 2);
        assert_int_equal(seen.n_ready, 1);
        assert_int_equal(channel_version(channel), version);
        assert_int_equal(channel_datapath_id(channel), 0x1234);
        assert_string_equal(channel_description(channel)->hardware, "test");
        assert_int_equal(seen.n_problems, 0);
        channel_free(channel);
    }
}

static void the_highest_common_version_or_none(void **state)
{
    struct seen seen = {0};
    struct channel_options options = options_for(&seen);
    struct channel *channel;
    /* OpenFlow 1.4 and 1.5 without a bitmap: 1.3 is below.  1.1 and 1.2 only: nothing. */
    static const uint8_t newer[] = {6, 0, 0, 8, 0, 0, 0, 1}, between[] = {3, 0, 0, 16, 0, 0, 0, 1, 0, 1, 0, 8, 0, 0, 0, 0x0c};

    assert_int_equal(channel_new(&options, 0, &channel), 0);
    hear(channel, OF13);
    channel_receive(channel, newer, sizeof(newer), 0);
    assert_int_equal(hear(channel, OF13).kind, OF_FEATURES_REQUEST);
    channel_free(channel);

    assert_int_equal(channel_new(&options, 0, &channel), 0);
    hear(channel, OF13);
    channel_receive(channel, between, sizeof(between), 0);
    assert_int_equal(hear(channel, OF13).kind, OF_ERROR);
    assert_true(channel_is_closed(channel));
    assert_int_equal(seen.problem, CHANNEL_FAILED);
    assert_non_null(strstr(seen.text, "hello.versions"));
    channel_free(channel);
}

static void silence_is_asked_about_and_ends_it(void **state)
{
    struct seen seen = {0};
    struct channel_options options = options_for(&seen);
    struct channel *channel;
    struct of_message asked, reply;

    assert_int_equal(channel_new(&options, 0, &channel), 0);
    shake_hands(channel, OF13, false);
    channel_tick(channel, channel_deadline(channel));
    asked = hear(channel, OF13);
    assert_int_equal(asked.kind, OF_ECHO_REQUEST);
    reply = (struct of_message){.kind = OF_ECHO_REPLY, .xid = asked.xid};
    say(channel, OF13, &reply, false, 250);
    channel_tick(channel, 340);
    assert_false(channel_is_closed(channel));
    assert_int_equal(hear(channel, OF13).kind, 0);
    channel_tick(channel, 350);
    assert_int_equal(hear(channel, OF13).kind, OF_ECHO_REQUEST);
    channel_tick(channel, 549);
    channel_tick(channel, 550);
    assert_false(channel_is_closed(channel));
    channel_tick(channel, 551);
    assert_true(channel_is_closed(channel));
    assert_int_equal(seen.problem, CHANNEL_SILENT);
    assert_true(channel_deadline(channel) == UINT64_MAX);
    channel_free(channel);

    assert_int_equal(channel_new(&options, 0, &channel), 0);
    seen.n_problems = 0;
    channel_tick(channel, 1000);
    assert_int_equal(seen.n_problems, 0);
    channel_tick(channel, 1001);
    assert_int_equal(seen.problem, CHANNEL_FAILED); /* The handshake. */
    channel_free(channel);
}

static void time_in_which_nobody_reads_is_not_the_switchs(void **state)
{
    struct seen seen = {0};
    struct channel_options options = options_for(&seen);
    struct channel *channel;
    struct of_message asked, reply;

    assert_int_equal(channel_new(&options, 0, &channel), 0);
    shake_hands(channel, OF13, false);
    /* Stopped before it asked: it asks now. */
    channel_tick(channel, 10000);
    asked = hear(channel, OF13);
    assert_int_equal(asked.kind, OF_ECHO_REQUEST);
    channel_tick(channel, 10050);
    assert_false(channel_is_closed(channel));
    /* Stopped after it asked: the answer lies in the socket when it goes on. */
    channel_tick(channel, 20000);
    assert_false(channel_is_closed(channel));
    reply = (struct of_message){.kind = OF_ECHO_REPLY, .xid = asked.xid};
    say(channel, OF13, &reply, false, 20001);
    channel_tick(channel, 20050);
    assert_false(channel_is_closed(channel));
    assert_int_equal(seen.n_problems, 0);
    /* And without any answer it ends in the usual time. */
    for (uint64_t now_ms = 20050; now_ms <= 20350; now_ms += 10)
        channel_tick(channel, now_ms);
    assert_true(channel_is_closed(channel));
    assert_int_equal(seen.problem, CHANNEL_SILENT);
    channel_free(channel);
}

static int barriers[4], n_done;

static void on_barrier(void *context, bool is_done)
{
    barriers[*(int *)context] = is_done ? 1 : 2;
    n_done++;
}

static void barriers_end_in_order_or_with_the_channel(void **state)
{
    struct seen seen = {0};
    struct channel_options options = options_for(&seen);
    struct channel *channel;
    struct of_message asked[3], reply = {.kind = OF_BARRIER_REPLY};
    static int which[] = {0, 1, 2};

    assert_int_equal(channel_new(&options, 0, &channel), 0);
    shake_hands(channel, OF13, false);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(channel_barrier(channel, on_barrier, &which[i]), 0);
        asked[i] = hear(channel, OF13);
        assert_int_equal(asked[i].kind, OF_BARRIER_REQUEST);
    }
    reply.xid = asked[1].xid; /* The first failed: an error came instead of its answer. */
    say(channel, OF13, &reply, false, 0);
    assert_int_equal(barriers[0], 2);
    assert_int_equal(barriers[1], 1);
    assert_int_equal(n_done, 2);
    say(channel, OF13, &reply, false, 0);
    assert_int_equal(seen.problem, CHANNEL_UNEXPECTED);
    channel_close(channel);
    assert_int_equal(barriers[2], 2);
    assert_int_equal(channel_barrier(channel, on_barrier, &which[0]), -EPIPE);
    channel_free(channel);
}

static void what_is_not_read_is_bounded(void **state)
{
    static uint8_t data[1000];
    struct seen seen = {0};
    struct channel_options options = options_for(&seen);
    struct of_message out = {.kind = OF_PACKET_OUT}, ask = {.kind = OF_FEATURES_REQUEST};
    struct channel *channel;
    int64_t result = 0;

    out.packet_out = (struct of_packet_out){.buffer_id = OF_NO_BUFFER, .in_port = OFPP_CONTROLLER, .data = {data, sizeof(data)}};
    assert_int_equal(channel_new(&options, 0, &channel), 0);
    shake_hands(channel, OF13, false);
    for (int i = 0; i < 1000 && result >= 0; i++)
        result = channel_send(channel, &out);
    assert_int_equal(result, -EAGAIN); /* Packets are left out first, */
    assert_false(channel_is_closed(channel));
    assert_true(channel_output(channel)->size < 30000);
    channel_set_backlog(channel, 80000);
    for (int i = 0; i < 10000 && !channel_is_closed(channel); i++)
        channel_send(channel, &ask);
    assert_true(channel_is_closed(channel)); /* then the switch is given up. */
    assert_int_equal(seen.problem, CHANNEL_OVERFLOW);
    channel_free(channel);
}

static void the_malformed_is_answered_and_counted(void **state)
{
    static const uint8_t bad[] = {4, 10, 0, 16, 0, 0, 0, 9, 1, 2, 3, 4, 5, 6, 7, 8}, endless[] = {4, 0, 0, 4, 0, 0, 0, 1};
    struct seen seen = {0};
    struct channel_options options = options_for(&seen);
    struct channel *channel;
    struct of_message answer;

    assert_int_equal(channel_new(&options, 0, &channel), 0);
    shake_hands(channel, OF13, false);
    channel_receive(channel, bad, sizeof(bad), 0);
    answer = hear(channel, OF13);
    assert_int_equal(answer.kind, OF_ERROR);
    assert_int_equal(answer.xid, 9);
    assert_memory_equal(answer.error.data.data, bad, sizeof(bad));
    for (int i = 1; i < BAD_MESSAGES_MAX; i++) {
        assert_false(channel_is_closed(channel));
        channel_receive(channel, bad, sizeof(bad), 0);
    }
    assert_true(channel_is_closed(channel));
    assert_int_equal(channel_counters(channel)->malformed, BAD_MESSAGES_MAX);
    channel_free(channel);

    /* One now and then goes on for ever. */
    assert_int_equal(channel_new(&options, 0, &channel), 0);
    shake_hands(channel, OF13, false);
    for (uint64_t i = 0; i < 3 * BAD_MESSAGES_MAX; i++)
        channel_receive(channel, bad, sizeof(bad), i * BAD_MESSAGES_MS / (BAD_MESSAGES_MAX - 1) + i);
    assert_false(channel_is_closed(channel));
    channel_free(channel);

    assert_int_equal(channel_new(&options, 0, &channel), 0);
    shake_hands(channel, OF13, false);
    channel_receive(channel, endless, sizeof(endless), 0);
    assert_true(channel_is_closed(channel));
    channel_free(channel);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_versions_in_pieces_and_whole),
        cmocka_unit_test(the_highest_common_version_or_none),
        cmocka_unit_test(silence_is_asked_about_and_ends_it),
        cmocka_unit_test(time_in_which_nobody_reads_is_not_the_switchs),
        cmocka_unit_test(barriers_end_in_order_or_with_the_channel),
        cmocka_unit_test(what_is_not_read_is_bounded),
        cmocka_unit_test(the_malformed_is_answered_and_counted),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
