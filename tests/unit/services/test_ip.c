/* Resets of TCP connections, and fragments. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "frames.h"
#include "weft/services/ip/fragment.h"
#include "weft/services/ip/reset.h"

#define CLIENT "fa:16:3e:00:00:05"

static uint16_t internet_sum(const uint8_t *data, size_t size, uint32_t sum)
{
    for (size_t i = 0; i < size; i++)
        sum += i % 2 ? data[i] : (uint32_t)data[i] << 8;
    while (sum >> 16)
        sum = (sum & 0xffff) + (sum >> 16);
    return (uint16_t)sum;
}

/* A datagram of 'size' bytes behind the IP header, whose bytes count up, behind 'options'. */
static struct bytes datagram(uint8_t protocol, const char *options, size_t size)
{
    struct bytes frame = {0};
    size_t header = 20 + strlen(options) / 2;

    add(&frame, "\xfa\x16\x3f\0\0\1\xfa\x16\x3e\0\0\5\x08\0", 14);
    add8(&frame, (unsigned)(0x40 | header / 4));
    add8(&frame, 0x10);
    add16(&frame, (unsigned)(header + size));
    add16(&frame, 0x1234);
    add16(&frame, 0);
    add8(&frame, 63);
    add8(&frame, protocol);
    add16(&frame, 0);
    add_ip(&frame, "10.0.0.5");
    add_ip(&frame, "10.9.0.6");
    add_hex(&frame, options);
    uint16_t sum = (uint16_t)~internet_sum(frame.data + 14, header, 0);
    frame.data[24] = (uint8_t)(sum >> 8);
    frame.data[25] = (uint8_t)sum;
    for (size_t i = 0; i < size; i++)
        add8(&frame, (unsigned)i & 0xff);
    return frame;
}

/* ---- fragments --------------------------------------------------------------------------------------------------- */

/* Puts the pieces together again, and checks each. */
static void cut_and_join(const struct bytes *frame, uint16_t mtu, unsigned n_expected)
{
    uint8_t joined[2048] = {0}, *block = exact(frame->data, frame->size);
    size_t header = (frame->data[14] & 15) * 4u, n_data = frame->size - 14 - header, sum = 0;
    unsigned before = (unsigned)(frame->data[20] << 8 | frame->data[21]), i;
    int size;

    for (i = 0;; i++) {
        uint8_t piece[2048];
        size = ipv4_fragment(block, frame->size, mtu, i, piece, sizeof(piece));
        if (size <= 0)
            break;
        size_t piece_header = (piece[14] & 15) * 4u, n = (size_t)size - 14 - piece_header;
        unsigned word = (unsigned)(piece[20] << 8 | piece[21]), at = ((word & 0x1fff) - (before & 0x1fff)) * 8;
        assert_in_range(size, 15 + piece_header, 14 + mtu);
        assert_memory_equal(piece, frame->data, 14);
        assert_int_equal(piece[16] << 8 | piece[17], size - 14);
        assert_memory_equal(piece + 18, frame->data + 18, 2);
        assert_memory_equal(piece + 22, frame->data + 22, 2);
        assert_memory_equal(piece + 26, frame->data + 26, 8);
        assert_int_equal(internet_sum(piece + 14, piece_header, 0), 0xffff);
        assert_int_equal(at, sum);
        assert_int_equal(!!(word & 0x2000), at + n < n_data || before & 0x2000);
        assert_true(n % 8 == 0 || at + n == n_data);
        memcpy(joined + at, piece + 14 + piece_header, n);
        sum += n;
    }
    free(block);
    assert_int_equal(size, 0);
    assert_int_equal(i, n_expected);
    assert_int_equal(sum, n_data);
    assert_memory_equal(joined, frame->data + 14 + header, n_data);
}

static void pieces_are_the_packet(void **state)
{
    struct bytes frame = datagram(47, "", 1400);

    cut_and_join(&frame, 1400, 2);
    cut_and_join(&frame, 1420, 1);
    cut_and_join(&frame, 1419, 2);
    cut_and_join(&frame, 576, 3);
    cut_and_join(&frame, 68, 30); /* 48 bytes each: every link carries that much (RFC 791, 3.2). */
    for (size_t size = 1; size < 40; size++) {
        struct bytes small = datagram(47, "", size);
        cut_and_join(&small, 68, 1);
    }
}

static void a_fragment_is_cut_again(void **state)
{
    struct bytes frame = datagram(17, "", 1400);

    frame.data[20] = 0x20; /* There is more; */
    frame.data[21] = 100;  /* and this is from 800 on. */
    cut_and_join(&frame, 576, 3);
    frame.data[20] = 0;
    cut_and_join(&frame, 576, 3);
}

/* A source route is for all pieces, a record of the route for the first. */
static void options_are_repeated_where_they_say_so(void **state)
{
    struct bytes frame = datagram(47, "0107070800000000" "8307040a09000600", 1400);
    uint8_t piece[2048];

    cut_and_join(&frame, 1400, 2);
    assert_true(ipv4_fragment(frame.data, frame.size, 1400, 0, piece, sizeof(piece)) > 0);
    assert_int_equal(piece[14], 0x49);
    assert_true(ipv4_fragment(frame.data, frame.size, 1400, 1, piece, sizeof(piece)) > 0);
    assert_int_equal(piece[14], 0x47);
    assert_memory_equal(piece + 34, "\x83\7\4\x0a\x09\0\6\0", 8);
}

static void some_packets_are_not_cut(void **state)
{
    struct bytes frame = datagram(17, "", 1400);
    uint8_t piece[2048];

    assert_int_equal(ipv4_fragment(frame.data, frame.size, 60, 0, piece, sizeof(piece)), -EPROTONOSUPPORT);
    assert_int_equal(ipv4_fragment(frame.data, frame.size, 1000, 0, piece, 900), -ENOBUFS);
    assert_int_equal(ipv4_fragment(frame.data, frame.size - 1, 1000, 0, piece, sizeof(piece)), -EBADMSG);
    assert_int_equal(ipv4_fragment(frame.data, 20, 1000, 0, piece, sizeof(piece)), -EBADMSG);
    frame.data[20] = 0x40;
    assert_int_equal(ipv4_fragment(frame.data, frame.size, 1000, 0, piece, sizeof(piece)), -EPROTONOSUPPORT);
    frame.data[12] = 0x86;
    assert_int_equal(ipv4_fragment(frame.data, frame.size, 1000, 0, piece, sizeof(piece)), -EBADMSG);
}

/* A virtual device has left the checksum of the datagram to a network card, which will see pieces only. */
static void a_checksum_left_to_the_device_is_filled_in(void **state)
{
    static const struct {
        uint8_t protocol;
        size_t at;
    } cases[] = {{17, 6}, {6, 16}};

    for (size_t i = 0; i < 2; i++) {
        struct bytes frame = datagram(cases[i].protocol, "", 1400);
        uint8_t piece[2048], *field = frame.data + 34 + cases[i].at;
        uint32_t pseudo = (uint32_t)internet_sum(frame.data + 26, 8, cases[i].protocol + 1400);

        assert_true(ipv4_fragment(frame.data, frame.size, 1000, 0, piece, sizeof(piece)) > 0);
        assert_memory_equal(piece + 34, frame.data + 34, 900); /* Whatever is there is the sender's. */
        field[0] = (uint8_t)(pseudo >> 8);
        field[1] = (uint8_t)pseudo;
        assert_true(ipv4_fragment(frame.data, frame.size, 1000, 0, piece, sizeof(piece)) > 0);
        memcpy(field, piece + 34 + cases[i].at, 2);
        assert_int_equal(internet_sum(frame.data + 34, 1400, pseudo), 0xffff);
    }
}

/* ---- resets ------------------------------------------------------------------------------------------------------ */

static struct bytes segment(bool ipv6, uint8_t flags, size_t n_data)
{
    struct bytes message = {0}, frame;

    for (size_t i = 0; i < 12 + n_data; i++) /* Behind the ports: udp_frame() writes 8 bytes of header, which become 8 of TCP's. */
        add8(&message, 0);
    frame = ipv6 ? udp_frame(CLIENT, "2001:db8::5", 1000, "2001:db8::fe", 22, &message)
                 : udp_frame(CLIENT, "10.0.0.5", 1000, "10.0.0.254", 22, &message);
    uint8_t *tcp = frame.data + (ipv6 ? 54 : 34);
    frame.data[ipv6 ? 20 : 23] = 6;
    memcpy(tcp + 4, "\0\0\1\0\0\0\2\0", 8);
    tcp[12] = 5 << 4;
    tcp[13] = flags;
    return frame;
}

static void closed_ports_refuse(void **state)
{
    static const struct {
        uint8_t flags;
        size_t n_data;
        const char *answer; /* Sequence, acknowledgement, flags. */
    } cases[] = {
        {0x02, 0, "\0\0\0\0\0\0\1\1\x50\x14"},
        {0x02, 5, "\0\0\0\0\0\0\1\6\x50\x14"},
        {0x03, 0, "\0\0\0\0\0\0\1\2\x50\x14"},
        {0x10, 9, "\0\0\2\0\0\0\0\0\x50\x04"},
        {0x00, 9, "\0\0\0\0\0\0\1\x09\x50\x14"},
    };
    for (int ipv6 = 0; ipv6 < 2; ipv6++)
        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
            struct bytes frame = segment(ipv6, cases[i].flags, cases[i].n_data);
            uint8_t reply[TCP_RESET_MAX], *block = exact(frame.data, frame.size);
            int size = tcp_reset_reply(block, frame.size, 3, reply, sizeof(reply));
            uint8_t *tcp = reply + (ipv6 ? 54 : 34);
            free(block);
            assert_int_equal(size, tcp + 20 - reply);
            assert_memory_equal(reply, frame.data + 6, 6);
            assert_memory_equal(reply + 6, frame.data, 6);
            assert_memory_equal(tcp, "\0\x16\x03\xe8", 4);
            assert_memory_equal(tcp + 4, cases[i].answer, 10);
            assert_int_equal(reply[ipv6 ? 21 : 22], 61);
            assert_int_equal(internet_sum(tcp, 20, internet_sum(tcp - (ipv6 ? 32 : 8), ipv6 ? 32 : 8, 6 + 20)), 0xffff);
            assert_memory_equal(tcp - (ipv6 ? 32 : 8), frame.data + (ipv6 ? 38 : 30), ipv6 ? 16 : 4);
        }
}

static void a_reset_is_not_answered(void **state)
{
    struct bytes frame = segment(false, 0x14, 0);
    uint8_t reply[TCP_RESET_MAX];

    assert_int_equal(tcp_reset_reply(frame.data, frame.size, 0, reply, sizeof(reply)), 0);
    frame = segment(false, 0x02, 0);
    for (size_t size = 0; size < frame.size; size++) {
        uint8_t *block = exact(frame.data, size);
        assert_true(tcp_reset_reply(block, size, 0, reply, sizeof(reply)) < 0);
        free(block);
    }
    frame.data[21] = 8; /* A later fragment. */
    assert_int_equal(tcp_reset_reply(frame.data, frame.size, 0, reply, sizeof(reply)), -EPROTONOSUPPORT);
    frame = segment(true, 0x02, 0);
    frame.data[20] = 17;
    assert_int_equal(tcp_reset_reply(frame.data, frame.size, 0, reply, sizeof(reply)), -EPROTONOSUPPORT);
    frame.data[20] = 6;
    frame.data[54 + 12] = 15 << 4; /* A header that is longer than the segment. */
    assert_int_equal(tcp_reset_reply(frame.data, frame.size, 0, reply, sizeof(reply)), -EBADMSG);
}

/* The two segments that an end gets whose other end is gone: one that ends its connection, one that makes it say what it expects. */
static void an_end_is_told_that_the_other_is_gone(void **state)
{
    static const struct {
        const char *source, *destination;
        int size;
    } cases[] = {{"10.0.0.200", "10.0.0.5", 14 + 20 + 20}, {"fd00::200", "fd00::5", 14 + 40 + 20}};

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct tcp_ends ends = {.source_mac = {{2, 0, 0, 0, 0, 1}}, .destination_mac = {{2, 0, 0, 0, 0, 2}}, .source_port = 80, .destination_port = 40000};
        uint8_t frame[TCP_RESET_MAX];
        const uint8_t *tcp = frame + cases[i].size - 20;

        assert_int_equal(ip_parse(cases[i].source, &ends.source), 0);
        assert_int_equal(ip_parse(cases[i].destination, &ends.destination), 0);
        assert_int_equal(tcp_reset_frame(&ends, 0x12345678, frame, sizeof(frame)), cases[i].size);
        assert_memory_equal(frame, ends.destination_mac.bytes, 6);
        assert_memory_equal(frame + 6, ends.source_mac.bytes, 6);
        assert_int_equal(tcp[0] << 8 | tcp[1], 80);
        assert_int_equal(tcp[2] << 8 | tcp[3], 40000);
        assert_memory_equal(tcp + 4, "\x12\x34\x56\x78", 4);
        assert_int_equal(tcp[13], 0x04);
        assert_int_equal(tcp_wake_frame(&ends, frame, sizeof(frame)), cases[i].size);
        assert_memory_equal(tcp + 4, "\0\0\0\0", 4);
        assert_int_equal(tcp[13], 0x10);
        assert_true(tcp_reset_frame(&ends, 1, frame, (size_t)cases[i].size - 1) < 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pieces_are_the_packet),
        cmocka_unit_test(a_fragment_is_cut_again),
        cmocka_unit_test(options_are_repeated_where_they_say_so),
        cmocka_unit_test(some_packets_are_not_cut),
        cmocka_unit_test(a_checksum_left_to_the_device_is_filled_in),
        cmocka_unit_test(closed_ports_refuse),
        cmocka_unit_test(a_reset_is_not_answered),
        cmocka_unit_test(an_end_is_told_that_the_other_is_gone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
