/* Frames are taken apart and put together as the standards say, whatever their lengths claim. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "frames.h"
#include "weft/services/packet.h"

static struct bytes sample(const char *source, const char *destination)
{
    struct bytes message = {0};
    add_hex(&message, "01 02 03 04 05");
    return udp_frame("fa:16:3e:00:00:01", source, 68, destination, 67, &message);
}

static void udp_is_taken_apart(void **state)
{
    struct bytes bytes = sample("10.0.0.1", "10.0.0.2");
    add_hex(&bytes, "00 00 00"); /* Ethernet padding. */
    struct frame frame;
    assert_int_equal(frame_parse(bytes.data, bytes.size, &frame), 0);
    assert_int_equal(frame.source_port, 68);
    assert_int_equal(frame.destination_port, 67);
    assert_int_equal(reader_left(&frame.payload), 5);
    assert_int_equal(ip_to_v4(&frame.source), 0x0a000001);

    bytes = sample("fe80::1", "ff02::1:2");
    assert_int_equal(frame_parse(bytes.data, bytes.size, &frame), 0);
    assert_int_equal(reader_left(&frame.payload), 5);
    assert_int_equal(frame.hop_limit, 64);
}

/* One byte changed. */
static void contradictions_are_refused(void **state)
{
    static const struct {
        const char *name;
        const char *source, *destination;
        unsigned offset, value;
        int expected;
    } cases[] = {
        {"another EtherType", "10.0.0.1", "10.0.0.2", 12, 0x81, -EPROTONOSUPPORT},
        {"IPv4 says version 6", "10.0.0.1", "10.0.0.2", 14, 0x65, -EBADMSG},
        {"IPv4 header of 16 bytes", "10.0.0.1", "10.0.0.2", 14, 0x44, -EBADMSG},
        {"IPv4 header longer than the packet", "10.0.0.1", "10.0.0.2", 14, 0x4f, -EBADMSG},
        {"IPv4 longer than the frame", "10.0.0.1", "10.0.0.2", 17, 0xff, -EBADMSG},
        {"IPv4 shorter than its header", "10.0.0.1", "10.0.0.2", 17, 10, -EBADMSG},
        {"IPv4 checksum", "10.0.0.1", "10.0.0.2", 24, 0xff, -EBADMSG},
        {"UDP longer than the packet", "10.0.0.1", "10.0.0.2", 39, 200, -EBADMSG},
        {"UDP shorter than its header", "10.0.0.1", "10.0.0.2", 39, 7, -EBADMSG},
        {"IPv6 says version 4", "fe80::1", "ff02::1", 14, 0x40, -EBADMSG},
        {"IPv6 longer than the frame", "fe80::1", "ff02::1", 19, 200, -EBADMSG},
        {"IPv6 with an extension header", "fe80::1", "ff02::1", 20, 0, -EPROTONOSUPPORT},
        {"ICMPv6 checksum", "fe80::1", "ff02::1", 20, 58, -EBADMSG},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct bytes bytes = sample(cases[i].source, cases[i].destination);
        struct frame frame;
        bytes.data[cases[i].offset] = (uint8_t)cases[i].value;
        int result = frame_parse(bytes.data, bytes.size, &frame);
        if (result != cases[i].expected)
            fail_msg("%s: %d instead of %d", cases[i].name, result, cases[i].expected);
    }
}

static void fragment_is_refused(void **state)
{
    struct bytes bytes = sample("10.0.0.1", "10.0.0.2");
    struct frame frame;
    bytes.data[20] = 0x20;                                    /* More fragments... */
    bytes.data[24] = (uint8_t)(bytes.data[24] - 0x20);        /* ...in the checksum too. */
    assert_int_equal(frame_parse(bytes.data, bytes.size, &frame), -EPROTONOSUPPORT);
}

static void every_short_frame_is_refused(void **state)
{
    static const char *const sources[] = {"10.0.0.1", "fe80::1"}, *const destinations[] = {"10.0.0.2", "ff02::1"};
    for (size_t family = 0; family < 2; family++) {
        struct bytes bytes = sample(sources[family], destinations[family]);
        for (size_t size = 0; size < bytes.size; size++) {
            struct frame frame;
            uint8_t *block = exact(bytes.data, size);
            assert_int_equal(frame_parse(block, size, &frame), -EBADMSG);
            free(block);
        }
    }
}

static void built_frames_are_sound(void **state)
{
    static const char *const sources[] = {"10.0.0.1", "fe80::1"}, *const destinations[] = {"255.255.255.255", "fe80::2"};
    for (size_t family = 0; family < 2; family++)
        for (size_t size = 0; size < 40; size++) {
            uint8_t data[256];
            struct writer writer = writer_of(data, sizeof(data));
            struct frame headers = {.source = ip(sources[family]), .destination = ip(destinations[family]),
                                    .protocol = PROTOCOL_UDP, .hop_limit = 64, .source_port = 67, .destination_port = 68};
            frame_begin(&writer, &headers);
            for (size_t i = 0; i < size; i++)
                writer_u8(&writer, (uint8_t)(i * 37));
            int total = frame_end(&writer);
            const uint8_t *message;
            size_t message_size;
            assert_true(total > 0);
            assert_true(frame_is_sound(data, (size_t)total, &message, &message_size));
            assert_int_equal(message_size, size);
            struct frame frame;
            assert_int_equal(frame_parse(data, (size_t)total, &frame), 0);
        }
}

static void full_writer_says_so(void **state)
{
    uint8_t data[44];
    struct writer writer = writer_of(data, sizeof(data));
    struct frame headers = {.source = ip("10.0.0.1"), .destination = ip("10.0.0.2"), .protocol = PROTOCOL_UDP};
    frame_begin(&writer, &headers);
    writer_u16(&writer, 1);
    assert_false(writer.overflow);
    writer_u8(&writer, 1);
    assert_true(writer.overflow);
    assert_int_equal(frame_end(&writer), -ENOBUFS);
}

static void domain_names(void **state)
{
    static const struct {
        const char *name;
        const char *hex; /* NULL: refused. */
    } cases[] = {
        {"a.bc", "01 61 02 62 63 00"}, {"a.bc.", "01 61 02 62 63 00"}, {"", NULL}, {".", NULL}, {"a..b", NULL},
        {"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", NULL}, /* 64 characters. */
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        uint8_t data[64];
        struct writer writer = writer_of(data, sizeof(data));
        struct bytes expected = {0};
        int result = writer_domain(&writer, cases[i].name);
        assert_int_equal(result, cases[i].hex ? 0 : -EINVAL);
        add_hex(&expected, cases[i].hex ? cases[i].hex : "");
        assert_int_equal(writer.size, expected.size);
        assert_memory_equal(data, expected.data, expected.size);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(udp_is_taken_apart),
        cmocka_unit_test(contradictions_are_refused),
        cmocka_unit_test(fragment_is_refused),
        cmocka_unit_test(every_short_frame_is_refused),
        cmocka_unit_test(built_frames_are_sound),
        cmocka_unit_test(full_writer_says_so),
        cmocka_unit_test(domain_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
