/* ICMP errors: which packets are answered, and with what. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "frames.h"
#include "weft/services/icmp/error.h"

#define CLIENT "fa:16:3e:00:00:05"

static const struct icmp_error too_big = {.kind = ICMP_TOO_BIG, .mtu = 1450, .source_mac = {{0xfa, 0x16, 0x3f, 0, 0, 1}}};

static struct bytes offending(const char *source, const char *destination, size_t size)
{
    struct bytes message = {0};
    for (size_t i = 0; i < size; i++)
        add8(&message, (unsigned)i);
    struct bytes frame = udp_frame(CLIENT, source, 1000, destination, 2000, &message);
    memcpy(frame.data, "\2\0\0\0\0\x52", 6); /* The gateway. */
    if (frame.data[12] == 8)
        frame.data[20] = 0x40; /* Do not fragment. */
    return frame;
}

static uint32_t internet_sum(const uint8_t *data, size_t size)
{
    uint32_t total = 0;
    for (size_t i = 0; i < size; i++)
        total += i % 2 ? data[i] : (uint32_t)data[i] << 8;
    while (total >> 16)
        total = (total & 0xffff) + (total >> 16);
    return total;
}

static void ipv4_is_told_the_mtu(void **state)
{
    struct bytes frame = offending("10.0.0.5", "10.0.0.6", 1500);
    uint8_t reply[ICMP_ERROR_MAX], *block = exact(frame.data, frame.size);
    int size = icmp_error_reply(&too_big, block, frame.size, reply, sizeof(reply));
    free(block);
    assert_int_equal(size, 14 + 20 + 8 + 548);
    assert_memory_equal(reply, "\xfa\x16\x3e\0\0\5\xfa\x16\x3f\0\0\1\x08\0", 14);
    assert_memory_equal(reply + 26, "\x0a\0\0\6\x0a\0\0\5", 8);
    assert_int_equal(internet_sum(reply + 14, 20), 0xffff);
    assert_int_equal(internet_sum(reply + 34, (size_t)size - 34), 0xffff);
    assert_memory_equal(reply + 34, "\3\4", 2);
    assert_memory_equal(reply + 38, "\0\0\x05\xaa", 4);
    assert_memory_equal(reply + 42, frame.data + 14, 548);
}

static void ipv6_is_told_the_mtu(void **state)
{
    struct bytes frame = offending("2001:db8::5", "2001:db8::6", 1500);
    uint8_t reply[ICMP_ERROR_MAX];
    const uint8_t *message;
    size_t message_size;
    int size = icmp_error_reply(&too_big, frame.data, frame.size, reply, sizeof(reply));
    assert_int_equal(size, 14 + 1280);
    assert_true(frame_is_sound(reply, (size_t)size, &message, &message_size));
    assert_memory_equal(message, "\2\0", 2);
    assert_memory_equal(message + 4, "\0\0\x05\xaa", 4);
    assert_memory_equal(message + 8, frame.data + 14, 1232);
    assert_memory_equal(reply + 22, frame.data + 38, 16);
}

/* One byte of a frame that would be answered is changed. */
static void some_are_never_answered(void **state)
{
    static const struct {
        const char *name, *source, *destination;
        int offset, value, offset2, value2;
        int expected;
    } cases[] = {
        {"as it is", "10.0.0.5", "10.0.0.6", .expected = 1},
        {"may be fragmented", "10.0.0.5", "10.0.0.6", 20, 0, .expected = -EPROTONOSUPPORT},
        {"a later fragment", "10.0.0.5", "10.0.0.6", 21, 9, .expected = -EPROTONOSUPPORT},
        {"an ICMP error", "10.0.0.5", "10.0.0.6", 23, 1, 34, 3, -EPROTONOSUPPORT},
        {"a ping", "10.0.0.5", "10.0.0.6", 23, 1, 34, 8, 1},
        {"from loopback", "127.0.0.5", "10.0.0.6", .expected = -EPROTONOSUPPORT},
        {"from class E", "240.0.0.5", "10.0.0.6", .expected = -EPROTONOSUPPORT},
        {"no source", "0.0.0.0", "10.0.0.6", .expected = -EPROTONOSUPPORT},
        {"to a group", "10.0.0.5", "239.1.1.1", .expected = -EPROTONOSUPPORT},
        {"to all", "10.0.0.5", "255.255.255.255", .expected = -EPROTONOSUPPORT},
        {"header of 16 bytes", "10.0.0.5", "10.0.0.6", 14, 0x44, .expected = -EBADMSG},
        {"no IP", "10.0.0.5", "10.0.0.6", 12, 0x88, .expected = -EBADMSG},
        {"IPv6 as it is", "2001:db8::5", "2001:db8::6", .expected = 1},
        {"IPv6 error", "2001:db8::5", "2001:db8::6", 20, 58, 54, 1, -EPROTONOSUPPORT},
        {"IPv6 ping", "2001:db8::5", "2001:db8::6", 20, 58, 54, 128, 1},
        {"IPv6 redirect", "2001:db8::5", "2001:db8::6", 20, 58, 54, 137, -EPROTONOSUPPORT},
        {"IPv6 later fragment", "2001:db8::5", "2001:db8::6", 20, 44, 57, 8, -EPROTONOSUPPORT},
        {"IPv6 from loopback", "::1", "2001:db8::6", .expected = -EPROTONOSUPPORT},
        {"IPv6 without a source", "::", "2001:db8::6", .expected = -EPROTONOSUPPORT},
        {"IPv6 that says 4", "2001:db8::5", "2001:db8::6", 14, 0x45, .expected = -EBADMSG},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct bytes frame = offending(cases[i].source, cases[i].destination, 1500);
        uint8_t reply[ICMP_ERROR_MAX];
        if (cases[i].offset)
            frame.data[cases[i].offset] = (uint8_t)cases[i].value;
        if (cases[i].offset2)
            frame.data[cases[i].offset2] = (uint8_t)cases[i].value2;
        int size = icmp_error_reply(&too_big, frame.data, frame.size, reply, sizeof(reply));
        if (cases[i].expected > 0 ? size <= 0 : size != cases[i].expected)
            fail_msg("%s: %d", cases[i].name, size);
    }
}

static const struct icmp_error by_router = {.source_mac = {{2, 0, 0, 0, 0, 0x52}}, .source = {{[10] = 0xff, 0xff, 10, 0, 1, 253}}, .hops = 2};

/* What each kind says first, by family.  The router that speaks is the third. */
static void routers_say_what_happened(void **state)
{
    static const struct {
        enum icmp_error_kind kind;
        uint8_t code;
        const char *ipv4, *ipv6; /* 8 bytes each, but for the checksum. */
    } cases[] = {
        {ICMP_TIME_EXCEEDED, 0, "\x0b\0\0\0\0\0\0\0", "\3\0\0\0\0\0\0\0"},
        {ICMP_UNREACHABLE, ICMP_NO_ROUTE, "\3\0\0\0\0\0\0\0", "\1\0\0\0\0\0\0\0"},
        {ICMP_UNREACHABLE, ICMP_NO_HOST, "\3\1\0\0\0\0\0\0", "\1\3\0\0\0\0\0\0"},
        {ICMP_UNREACHABLE, ICMP_NO_PROTOCOL, "\3\2\0\0\0\0\0\0", "\4\1\0\0\0\0\0\6"},
        {ICMP_UNREACHABLE, ICMP_NO_PORT, "\3\3\0\0\0\0\0\0", "\1\4\0\0\0\0\0\0"},
        {ICMP_UNREACHABLE, ICMP_PROHIBITED, "\3\15\0\0\0\0\0\0", "\1\1\0\0\0\0\0\0"},
        {ICMP_TOO_BIG, 0, "\3\4\0\0\0\0\x05\x78", "\2\0\0\0\0\0\x05\x78"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        for (int family = 4; family <= 6; family += 2) {
            struct bytes frame = family == 4 ? offending("10.0.0.5", "10.9.0.6", 30) : offending("2001:db8::5", "2001:db8:9::6", 30);
            struct icmp_error error = by_router;
            uint8_t reply[ICMP_ERROR_MAX], *message = reply + (family == 4 ? 34 : 54);
            error.kind = cases[i].kind;
            error.code = cases[i].code;
            error.mtu = 1400;
            if (family == 6)
                error.source = ip("2001:db8:1::253");
            int size = icmp_error_reply(&error, frame.data, frame.size, reply, sizeof(reply));
            assert_int_equal(size, message - reply + 8 + frame.size - 14);
            assert_memory_equal(reply, "\xfa\x16\x3e\0\0\5\2\0\0\0\0\x52", 12);
            assert_int_equal(reply[family == 4 ? 22 : 21], 62); /* It passed two routers on its way back. */
            if (family == 4) {
                assert_memory_equal(reply + 26, "\x0a\0\1\xfd\x0a\0\0\5", 8);
                assert_int_equal(internet_sum(reply + 14, 20), 0xffff);
                assert_int_equal(internet_sum(message, (size_t)size - 34), 0xffff);
                assert_int_equal(internet_sum(message + 8, 20), 0xffff);
                assert_int_equal(message[8 + 8], frame.data[22] - 2);
            } else {
                const uint8_t *unused;
                size_t unused_size;
                assert_memory_equal(reply + 22, error.source.bytes, 16);
                assert_true(frame_is_sound(reply, (size_t)size, &unused, &unused_size));
                assert_int_equal(message[8 + 7], frame.data[21] - 2);
            }
            message[2] = message[3] = 0;
            assert_memory_equal(message, family == 4 ? cases[i].ipv4 : cases[i].ipv6, 8);
            assert_memory_equal(message + 8 + 20, frame.data + 34, frame.size - 34);
        }
    }
}

static void the_unknown_header_is_pointed_at(void **state)
{
    struct bytes frame = offending("2001:db8::5", "2001:db8:9::6", 30);
    struct icmp_error error = by_router;
    uint8_t reply[ICMP_ERROR_MAX];
    error.kind = ICMP_UNREACHABLE;
    error.code = ICMP_NO_PROTOCOL;
    error.source = ip("2001:db8:1::253");
    frame.data[20] = 0; /* Hop-by-hop options, then */
    memcpy(frame.data + 54, "\x2f\0\1\4\0\0\0\0", 8); /* GRE. */
    assert_true(icmp_error_reply(&error, frame.data, frame.size, reply, sizeof(reply)) > 0);
    assert_memory_equal(reply + 58, "\0\0\0\x28", 4);
    frame.data[54] = 58; /* An ICMPv6 error behind the options. */
    frame.data[62] = 1;
    assert_int_equal(icmp_error_reply(&error, frame.data, frame.size, reply, sizeof(reply)), -EPROTONOSUPPORT);
}

/* Only a packet that is too big must say "do not fragment" for its sender to be told. */
static void whether_it_may_be_fragmented_matters_for_sizes_only(void **state)
{
    struct bytes frame = offending("10.0.0.5", "10.9.0.6", 30);
    struct icmp_error error = by_router;
    uint8_t reply[ICMP_ERROR_MAX];
    frame.data[20] = 0x20; /* A first fragment. */
    error.kind = ICMP_TIME_EXCEEDED;
    assert_true(icmp_error_reply(&error, frame.data, frame.size, reply, sizeof(reply)) > 0);
    error.kind = ICMP_TOO_BIG;
    assert_int_equal(icmp_error_reply(&error, frame.data, frame.size, reply, sizeof(reply)), -EPROTONOSUPPORT);
}

static void an_address_of_the_other_family_is_no_source(void **state)
{
    struct bytes frame = offending("2001:db8::5", "2001:db8:9::6", 30);
    uint8_t reply[ICMP_ERROR_MAX];
    assert_int_equal(icmp_error_reply(&by_router, frame.data, frame.size, reply, sizeof(reply)), -EPROTONOSUPPORT);
    frame.data[0] |= 1;
    assert_int_equal(icmp_error_reply(&too_big, frame.data, frame.size, reply, sizeof(reply)), -EPROTONOSUPPORT);
}

static void every_cut_is_survived(void **state)
{
    static const char *const sources[] = {"10.0.0.5", "2001:db8::5"}, *const destinations[] = {"10.0.0.6", "2001:db8::6"};
    for (size_t family = 0; family < 2; family++) {
        struct bytes frame = offending(sources[family], destinations[family], 60);
        for (size_t size = 0; size < frame.size; size++) {
            uint8_t reply[ICMP_ERROR_MAX], *block = exact(frame.data, size);
            int result = icmp_error_reply(&too_big, block, size, reply, sizeof(reply));
            free(block);
            assert_int_equal(result > 0, size >= (family ? 62u : 42u));
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ipv4_is_told_the_mtu),
        cmocka_unit_test(ipv6_is_told_the_mtu),
        cmocka_unit_test(some_are_never_answered),
        cmocka_unit_test(routers_say_what_happened),
        cmocka_unit_test(the_unknown_header_is_pointed_at),
        cmocka_unit_test(whether_it_may_be_fragmented_matters_for_sizes_only),
        cmocka_unit_test(an_address_of_the_other_family_is_no_source),
        cmocka_unit_test(every_cut_is_survived),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
