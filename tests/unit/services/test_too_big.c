/* ICMP errors for packets that are too big: which are answered, and with what. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "frames.h"
#include "weft/services/icmp/too_big.h"

#define CLIENT "fa:16:3e:00:00:05"

static struct bytes offending(const char *source, const char *destination, size_t size)
{
    struct bytes message = {0};
    for (size_t i = 0; i < size; i++)
        add8(&message, (unsigned)i);
    struct bytes frame = udp_frame(CLIENT, source, 1000, destination, 2000, &message);
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
    struct mac_address server = mac("fa:16:3f:00:00:01");
    uint8_t reply[TOO_BIG_REPLY_MAX], *block = exact(frame.data, frame.size);
    int size = too_big_reply(&server, 1450, block, frame.size, reply, sizeof(reply));
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
    struct mac_address server = mac("fa:16:3f:00:00:01");
    uint8_t reply[TOO_BIG_REPLY_MAX];
    const uint8_t *message;
    size_t message_size;
    int size = too_big_reply(&server, 1430, frame.data, frame.size, reply, sizeof(reply));
    assert_int_equal(size, 14 + 1280);
    assert_true(frame_is_sound(reply, (size_t)size, &message, &message_size));
    assert_memory_equal(message, "\2\0", 2);
    assert_memory_equal(message + 4, "\0\0\x05\x96", 4);
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
        {"no source", "0.0.0.0", "10.0.0.6", .expected = -EPROTONOSUPPORT},
        {"to a group", "10.0.0.5", "239.1.1.1", .expected = -EPROTONOSUPPORT},
        {"to all", "10.0.0.5", "255.255.255.255", .expected = -EPROTONOSUPPORT},
        {"header of 16 bytes", "10.0.0.5", "10.0.0.6", 14, 0x44, .expected = -EBADMSG},
        {"no IP", "10.0.0.5", "10.0.0.6", 12, 0x88, .expected = -EBADMSG},
        {"IPv6 as it is", "2001:db8::5", "2001:db8::6", .expected = 1},
        {"IPv6 error", "2001:db8::5", "2001:db8::6", 20, 58, 54, 1, -EPROTONOSUPPORT},
        {"IPv6 ping", "2001:db8::5", "2001:db8::6", 20, 58, 54, 128, 1},
        {"IPv6 without a source", "::", "2001:db8::6", .expected = -EPROTONOSUPPORT},
        {"IPv6 that says 4", "2001:db8::5", "2001:db8::6", 14, 0x45, .expected = -EBADMSG},
    };
    struct mac_address server = mac("fa:16:3f:00:00:01");
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct bytes frame = offending(cases[i].source, cases[i].destination, 1500);
        uint8_t reply[TOO_BIG_REPLY_MAX];
        if (cases[i].offset)
            frame.data[cases[i].offset] = (uint8_t)cases[i].value;
        if (cases[i].offset2)
            frame.data[cases[i].offset2] = (uint8_t)cases[i].value2;
        int size = too_big_reply(&server, 1450, frame.data, frame.size, reply, sizeof(reply));
        if (cases[i].expected > 0 ? size <= 0 : size != cases[i].expected)
            fail_msg("%s: %d", cases[i].name, size);
    }
}

static void every_cut_is_survived(void **state)
{
    static const char *const sources[] = {"10.0.0.5", "2001:db8::5"}, *const destinations[] = {"10.0.0.6", "2001:db8::6"};
    struct mac_address server = mac("fa:16:3f:00:00:01");
    for (size_t family = 0; family < 2; family++) {
        struct bytes frame = offending(sources[family], destinations[family], 60);
        for (size_t size = 0; size < frame.size; size++) {
            uint8_t reply[TOO_BIG_REPLY_MAX], *block = exact(frame.data, size);
            int result = too_big_reply(&server, 1450, block, size, reply, sizeof(reply));
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
        cmocka_unit_test(every_cut_is_survived),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
