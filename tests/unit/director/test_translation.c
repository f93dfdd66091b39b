/* NAT beyond TCP and UDP that go through: ICMP errors about what is translated, both ways, and SCTP with its own checksum. */
#include <arpa/inet.h>
#include <linux/bpf.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "weft/base/util.h"
#include "world.h"

/* One server by NAT, on port 8080, and its client. */
static void one_server(struct world *world, bool v6, uint8_t protocol)
{
    struct native_route client = world_route(v6 ? "2001:db8:c::7" : "203.0.113.7");
    struct lb_service *service = world_service(world, 0, v6 ? "2001:db8:5::1" : "192.0.2.1", 80, protocol);

    service->schedule = LB_SCHEDULE_TURN;
    service->half_open_limit = 10;
    world_server(world, 0, v6 ? "2001:db8::1" : "10.0.0.1", LB_METHOD_NAT)->port = htons(8080);
    world_members(world, 0, 0, 1);
    client.ifindex = CLIENT_DEVICE;
    native_director_route(world->native, &client);
}

static struct native_verdict send_finished(struct world *world, const char *text)
{
    struct frame frame;

    frame_parse(text, &frame);
    frame_finish(&frame, 0);
    return world_run(world, &frame);
}

/* An ICMP error with a whole packet of that text behind it, or so many bytes of it. */
static void make_error(struct frame *ret, const char *outer, uint8_t type, uint8_t code, const char *quoted, uint32_t cut)
{
    struct frame inner;
    bool v6 = strstr(outer, "ip6");
    uint32_t header = v6 ? 54 : 34;

    frame_parse(outer, ret); /* Up to its IP header; the rest is written over. */
    frame_parse(quoted, &inner);
    frame_finish(&inner, 0);
    uint32_t size = MIN(inner.size - 14, cut);
    ret->size = header + 8 + size;
    memset(ret->bytes + header, 0, 8);
    ret->bytes[header] = type;
    ret->bytes[header + 1] = code;
    memcpy(ret->bytes + header + 8, inner.bytes + 14, size);
    uint32_t length = v6 ? 8 + size : 28 + size;
    ret->bytes[v6 ? 18 : 16] = (uint8_t)(length >> 8);
    ret->bytes[v6 ? 19 : 17] = (uint8_t)length;
    ret->bytes[v6 ? 20 : 23] = v6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP;
    frame_finish(ret, 0);
}

/* A router between the director and the client could not send on what the director sent in the server's place. */
static void errors_from_the_clients_side_reach_the_server(void **state)
{
    struct world *world = *state;
    struct native_verdict out;
    struct frame in;

    one_server(world, false, IPPROTO_TCP);
    assert_int_equal(XDP_REDIRECT, world_send(world, "C>D ip 203.0.113.7>192.0.2.1 tcp 4000>80 S").action);
    make_error(&in, "C>D ip 198.51.100.77>192.0.2.1 icmp 3 0", 3, 4, "D>C ip 192.0.2.1>203.0.113.7 tcp 80>4000 A +12", 1000);
    out = world_run(world, &in);
    assert_int_equal(XDP_REDIRECT, out.action);
    assert_bytes(out.frame + 14 + 12, 8, "c633644d 0a000001"); /* The router's name stays. */
    assert_bytes(out.frame + 42 + 12, 12, "0a000001 cb007107 1f90 0fa0");
    assert_checksums(out.frame, out.size, 14);
    assert_checksums(out.frame, out.size, 42);
    make_error(&in, "C>D ip 198.51.100.77>192.0.2.1 icmp 3 0", 3, 4, "D>C ip 192.0.2.1>203.0.113.7 tcp 80>4001 A +12", 1000);
    assert_int_equal(XDP_DROP, world_run(world, &in).action); /* Of no connection. */
}

/* IPVS's stack drops it before. */
static void an_answer_that_ends_here_counts_as_none(void **state)
{
    struct world *world = *state;
    struct frame in;

    one_server(world, false, IPPROTO_UDP);
    assert_int_equal(XDP_REDIRECT, world_send(world, "C>D ip 203.0.113.7>192.0.2.1 udp 4000>80 +5").action);
    frame_parse("R>S ip 10.0.0.1>203.0.113.7 ttl=2 udp 8080>4000 +5", &in);
    assert_int_equal(XDP_REDIRECT, native_director_run(world->native, in.bytes, in.size, SERVER_DEVICE).action);
    frame_parse("R>S ip 10.0.0.1>203.0.113.7 ttl=1 udp 8080>4000 +5", &in);
    assert_int_equal(XDP_DROP, native_director_run(world->native, in.bytes, in.size, SERVER_DEVICE).action);
    assert_int_equal(1, world_drops(world, LB_DROP_ttl_exceeded));
    assert_int_equal(1, world_service_use(world, 0)->counters.out_packets);
    assert_int_equal(1, world_server_use(world, 0)->counters.out_packets);
}

static void errors_from_the_servers_side_reach_the_client(void **state)
{
    struct world *world = *state;
    struct native_verdict out;
    struct frame in;

    one_server(world, false, IPPROTO_UDP);
    assert_int_equal(XDP_REDIRECT, world_send(world, "C>D ip 203.0.113.7>192.0.2.1 udp 4000>80 +5").action);
    make_error(&in, "R>S ip 10.0.0.1>203.0.113.7 icmp 3 0", 3, 3, "S>R ip 203.0.113.7>10.0.0.1 udp 4000>8080 +5", 1000);
    out = native_director_run(world->native, in.bytes, in.size, SERVER_DEVICE);
    assert_int_equal(XDP_REDIRECT, out.action);
    assert_int_equal(CLIENT_DEVICE, out.redirected_to);
    assert_bytes(out.frame + 14 + 12, 8, "c0000201 cb007107");
    assert_bytes(out.frame + 42 + 12, 12, "cb007107 c0000201 0fa0 0050");
    assert_checksums(out.frame, out.size, 14);
    assert_checksums(out.frame, out.size, 42);
    make_error(&in, "R>S ip 10.0.0.99>203.0.113.7 icmp 3 0", 11, 0, "S>R ip 203.0.113.7>10.0.0.1 udp 4000>8080 +5", 28); /* A router's, of little. */
    out = native_director_run(world->native, in.bytes, in.size, SERVER_DEVICE);
    assert_int_equal(XDP_REDIRECT, out.action);
    assert_bytes(out.frame + 14 + 12, 8, "c0000201 cb007107"); /* In the service's name: the client knows no other. */
    assert_checksums(out.frame, out.size, 14);
    make_error(&in, "R>S ip 10.0.0.1>203.0.113.7 icmp 3 0", 3, 3, "S>R ip 203.0.113.7>10.0.0.1 udp 4001>8080 +5", 1000);
    assert_int_equal(XDP_PASS, native_director_run(world->native, in.bytes, in.size, SERVER_DEVICE).action); /* Of nothing that is known. */
}

static void errors_of_ipv6_both_ways(void **state)
{
    struct world *world = *state;
    struct native_verdict out;
    struct frame in;

    one_server(world, true, IPPROTO_TCP);
    assert_int_equal(XDP_REDIRECT, send_finished(world, "C>D ip6 2001:db8:c::7>2001:db8:5::1 tcp 4000>80 S").action);
    make_error(&in, "C>D ip6 2001:db8:f::1>2001:db8:5::1 icmp6 2 0", 2, 0, "D>C ip6 2001:db8:5::1>2001:db8:c::7 tcp 80>4000 A +7", 1000);
    out = world_run(world, &in);
    assert_int_equal(XDP_REDIRECT, out.action);
    assert_bytes(out.frame + 14 + 8, 32, "20010db8000f00000000000000000001 20010db8000000000000000000000001");
    assert_bytes(out.frame + 62 + 8, 36, "20010db8000000000000000000000001 20010db8000c00000000000000000007 1f90 0fa0");
    assert_checksums(out.frame, out.size, 14);
    assert_checksums(out.frame, out.size, 62);
    make_error(&in, "R>S ip6 2001:db8::1>2001:db8:c::7 icmp6 1 0", 1, 4, "S>R ip6 2001:db8:c::7>2001:db8::1 tcp 4000>8080 A +7", 1000);
    out = native_director_run(world->native, in.bytes, in.size, SERVER_DEVICE);
    assert_int_equal(XDP_REDIRECT, out.action);
    assert_bytes(out.frame + 14 + 8, 32, "20010db8000500000000000000000001 20010db8000c00000000000000000007");
    assert_bytes(out.frame + 62 + 8, 36, "20010db8000c00000000000000000007 20010db8000500000000000000000001 0fa0 0050");
    assert_checksums(out.frame, out.size, 14);
    assert_checksums(out.frame, out.size, 62);
}

/* An error is no sign of life. */
static void errors_do_not_keep_a_connection(void **state)
{
    struct world *world = *state;
    struct frame in;

    one_server(world, false, IPPROTO_UDP);
    assert_int_equal(XDP_REDIRECT, world_send(world, "C>D ip 203.0.113.7>192.0.2.1 udp 4000>80 +5").action);
    make_error(&in, "R>S ip 10.0.0.1>203.0.113.7 icmp 3 0", 3, 3, "S>R ip 203.0.113.7>10.0.0.1 udp 4000>8080 +5", 1000);
    for (unsigned minute = 0; minute < 8; minute++) {
        native_director_run(world->native, in.bytes, in.size, SERVER_DEVICE);
        native_director_advance(world->native, 60000000000ull);
        for (unsigned i = 0; i < NATIVE_SWEEPS; i++)
            native_director_sweep(world->native);
    }
    assert_int_equal(0, world_load(world, 0)->active);
}

/* ---- SCTP ------------------------------------------------------------------------------------------------------------------------ */

/* CRC32c bit by bit (RFC 9260, appendix A). */
static uint32_t crc32c(const uint8_t *bytes, size_t size)
{
    uint32_t crc = 0xffffffff;

    for (size_t i = 0; i < size; i++) {
        crc ^= i >= 8 && i < 12 ? 0 : bytes[i]; /* Its own place counts as zero. */
        for (int bit = 0; bit < 8; bit++)
            crc = crc & 1 ? crc >> 1 ^ 0x82f63b78 : crc >> 1;
    }
    return ~crc;
}

static uint32_t crc_in(const uint8_t *sctp)
{
    return (uint32_t)sctp[8] | (uint32_t)sctp[9] << 8 | (uint32_t)sctp[10] << 16 | (uint32_t)sctp[11] << 24;
}

static void finish_sctp(struct frame *frame, uint32_t offset)
{
    uint32_t crc = crc32c(frame->bytes + offset, frame->size - offset);

    for (int i = 0; i < 4; i++)
        frame->bytes[offset + 8 + i] = (uint8_t)(crc >> 8 * i);
}

static void sctp_keeps_its_checksum_on_another_port(void **state)
{
    struct world *world = *state;
    static const unsigned sizes[] = {0, 1, 2, 3, 4, 5, 63, 64, 255, 1000, 1023, 1432};

    for (int v6 = 0; v6 < 2; v6++) {
        one_server(world, v6, IPPROTO_SCTP);
        uint32_t offset = v6 ? 54 : 34;

        for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
            struct native_verdict out;
            struct frame in;
            char text[120];

            snprintf(text, sizeof(text), v6 ? "C>D ip6 2001:db8:c::7>2001:db8:5::1 sctp %zu>80 +%u" : "C>D ip 203.0.113.7>192.0.2.1 sctp %zu>80 +%u",
                     4000 + i, sizes[i]);
            frame_parse(text, &in);
            finish_sctp(&in, offset);
            out = world_run(world, &in);
            assert_int_equal(XDP_REDIRECT, out.action);
            assert_bytes(out.frame + offset + 2, 2, "1f90");
            assert_int_equal(crc32c(out.frame + offset, out.size - offset), crc_in(out.frame + offset));

            snprintf(text, sizeof(text), v6 ? "R>S ip6 2001:db8::1>2001:db8:c::7 sctp 8080>%zu +%u" : "R>S ip 10.0.0.1>203.0.113.7 sctp 8080>%zu +%u",
                     4000 + i, sizes[i]);
            frame_parse(text, &in);
            finish_sctp(&in, offset);
            in.bytes[offset + 8] ^= 0x10; /* Broken on the way: so it stays. */
            out = native_director_run(world->native, in.bytes, in.size, SERVER_DEVICE);
            assert_int_equal(XDP_REDIRECT, out.action);
            assert_bytes(out.frame + offset, 2, "0050");
            assert_int_equal(0x10, crc32c(out.frame + offset, out.size - offset) ^ crc_in(out.frame + offset));
        }
    }
}

static void a_fragment_of_sctp_keeps_its_port_or_is_dropped(void **state)
{
    struct world *world = *state;

    one_server(world, false, IPPROTO_SCTP);
    assert_int_equal(XDP_DROP, world_send(world, "C>D ip 203.0.113.7>192.0.2.1 more sctp 4000>80 +64").action);
    assert_int_equal(1, world_drops(world, LB_DROP_sctp_fragment));
    world_server(world, 0, "10.0.0.1", LB_METHOD_NAT)->port = htons(80);
    assert_int_equal(XDP_REDIRECT, world_send(world, "C>D ip 203.0.113.7>192.0.2.1 more sctp 4001>80 +64").action);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, world_setup, world_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(errors_from_the_clients_side_reach_the_server),
        TEST(errors_from_the_servers_side_reach_the_client),
        TEST(an_answer_that_ends_here_counts_as_none),
        TEST(errors_of_ipv6_both_ways),
        TEST(errors_do_not_keep_a_connection),
        TEST(sctp_keeps_its_checksum_on_another_port),
        TEST(a_fragment_of_sctp_keeps_its_port_or_is_dropped),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
