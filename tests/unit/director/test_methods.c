/* Packets in and out of the director for each way to a server.  What stands in front of the packet is written down here byte by byte, as
 * the RFC of each method has it; checksums are computed the slow way. */
#include <endian.h>
#include <linux/bpf.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "weft/base/util.h"
#include "world.h"

/* Ethernet from S to R. */
#define MACS "020000000052 020000000053 "
#define V4 "0800 "
#define V6 "86dd "

struct method_case {
    const char *name;
    const char *in;
    uint8_t traffic_class;
    const char *service, *server;
    enum lb_method method;
    uint8_t flags;
    const char *out; /* Everything in front of the packet. */
};

/* In: 40 bytes of IPv4 with TCP, of IPv6 60 bytes. */
#define IN4 "C>D ip 203.0.113.7>192.0.2.1 ttl=60 df tcp 4000>80 S"
#define IN6 "C>D ip6 2001:db8:c::7>2001:db8:5::1 ttl=60 tcp 4000>80 S"
#define OUT4(tos, length, flags, ttl_protocol) "45" tos length "0000" flags ttl_protocol ".... c6336409 0a000001 "
#define OUT6(first, length, next) first length next "20010db800000000000000000000000d 20010db8000000000000000000000001 "

static const struct method_case methods[] = {
    {"direct changes the MACs only", IN4, 0, "192.0.2.1", "10.0.0.1", LB_METHOD_DIRECT, 0, MACS V4},
    {"direct, IPv6", IN6, 0, "2001:db8:5::1", "2001:db8::1", LB_METHOD_DIRECT, 0, MACS V6},
    /* RFC 2003, 3.1: protocol 4; DF copied; the type of service too. */
    {"IPv4 in IPv4", IN4, 0xb9, "192.0.2.1", "10.0.0.1", LB_METHOD_IPIP, 0, MACS V4 OUT4("b9", "003c", "4000", "3b04")},
    {"IPv4 in IPv4 without DF", "C>D ip 203.0.113.7>192.0.2.1 ttl=60 tcp 4000>80 S", 0, "192.0.2.1", "10.0.0.1", LB_METHOD_IPIP, 0,
     MACS V4 "4500 003c .... 0000 3b04 .... c6336409 0a000001"},
    {"IPv6 in IPv4", IN6, 0x2e, "2001:db8:5::1", "10.0.0.1", LB_METHOD_IPIP, 0, MACS V4 OUT4("2e", "0050", "4000", "3b29")},
    /* RFC 2473, 3: next header 4 or 41; the traffic class copied. */
    {"IPv4 in IPv6", IN4, 0xb9, "192.0.2.1", "2001:db8::1", LB_METHOD_IPIP, 0, MACS V6 OUT6("6b9.....", "0028", "043b")},
    {"IPv6 in IPv6", IN6, 0, "2001:db8:5::1", "2001:db8::1", LB_METHOD_IPIP, 0, MACS V6 OUT6("600.....", "003c", "293b")},
    /* draft-ietf-intarea-gue, 3.1: variant 0, C 0, Hlen 0, the protocol, no flags. */
    {"IPv4 in GUE", IN4, 0, "192.0.2.1", "10.0.0.1", LB_METHOD_GUE, 0,
     MACS V4 OUT4("00", "0048", "4000", "3b11") ".... 17c0 0034 0000 00040000"},
    {"IPv6 in GUE, with a checksum", IN6, 0, "2001:db8:5::1", "10.0.0.1", LB_METHOD_GUE, LB_SERVER_CHECKSUM,
     MACS V4 OUT4("00", "005c", "4000", "3b11") ".... 17c0 0048 .... 00290000"},
    {"IPv4 in GUE over IPv6, with a checksum", IN4 " +5", 0, "192.0.2.1", "2001:db8::1", LB_METHOD_GUE, LB_SERVER_CHECKSUM,
     MACS V6 OUT6("600.....", "0039", "113b") ".... 17c0 0039 .... 00040000"},
    {"IPv6 in GUE over IPv6", IN6, 0, "2001:db8:5::1", "2001:db8::1", LB_METHOD_GUE, 0,
     MACS V6 OUT6("600.....", "0048", "113b") ".... 17c0 0048 0000 00290000"},
    /* As Linux has it: two words of options, private flags, remote checksum: from where, and where to (of the packet). */
    {"IPv4 in GUE, with a remote checksum", IN4, 0, "192.0.2.1", "10.0.0.1", LB_METHOD_GUE, LB_SERVER_CHECKSUM | LB_SERVER_REMOTE_CHECKSUM,
     MACS V4 OUT4("00", "0050", "4000", "3b11") ".... 17c0 003c .... 02040001 80000000 00140024"},
    {"IPv6 UDP in GUE, with a remote checksum", "C>D ip6 2001:db8:c::7>2001:db8:5::1 ttl=60 udp 4000>80 +12", 0, "2001:db8:5::1", "2001:db8::1",
     LB_METHOD_GUE, LB_SERVER_CHECKSUM | LB_SERVER_REMOTE_CHECKSUM,
     MACS V6 OUT6("600.....", "0050", "113b") ".... 17c0 0050 .... 02290001 80000000 0028002e"},
    /* RFC 2784, 2.1: flags and version, an EtherType, and with C a checksum and 16 bits that are zero. */
    {"IPv4 in GRE", IN4, 0, "192.0.2.1", "10.0.0.1", LB_METHOD_GRE, 0, MACS V4 OUT4("00", "0040", "4000", "3b2f") "0000 0800"},
    {"IPv6 in GRE, with a checksum", IN6, 0, "2001:db8:5::1", "10.0.0.1", LB_METHOD_GRE, LB_SERVER_CHECKSUM,
     MACS V4 OUT4("00", "0058", "4000", "3b2f") "8000 86dd .... 0000"},
    {"IPv4 in GRE over IPv6", IN4, 0, "192.0.2.1", "2001:db8::1", LB_METHOD_GRE, 0, MACS V6 OUT6("600.....", "002c", "2f3b") "0000 0800"},
    /* RFC 7348, 5: the I flag, 24 bits of VNI, a frame. */
    {"IPv4 in VXLAN", IN4, 0, "192.0.2.1", "10.0.0.1", LB_METHOD_VXLAN, 0,
     MACS V4 OUT4("00", "005a", "4000", "3b11") ".... 12b5 0046 0000 08000000 01e24000 027765667401 027765667402 0800"},
    {"IPv6 in VXLAN, with a checksum", IN6, 0, "2001:db8:5::1", "10.0.0.1", LB_METHOD_VXLAN, LB_SERVER_CHECKSUM,
     MACS V4 OUT4("00", "006e", "4000", "3b11") ".... 12b5 005a .... 08000000 01e24000 027765667401 027765667402 86dd"},
    {"IPv4 in VXLAN over IPv6, with a checksum", IN4, 0, "192.0.2.1", "2001:db8::1", LB_METHOD_VXLAN, LB_SERVER_CHECKSUM,
     MACS V6 OUT6("600.....", "0046", "113b") ".... 12b5 0046 .... 08000000 01e24000 027765667401 027765667402 0800"},
};

/* The packet as it must arrive: one hop older. */
static void age(struct frame *frame)
{
    uint8_t *ip = frame->bytes + 14;

    if (ip[0] >> 4 == 6)
        ip[7]--;
    else
        ip[8]--;
    frame_finish(frame, ip[0] >> 4 == 6 ? (uint8_t)(ip[0] << 4 | ip[1] >> 4) : ip[1]);
}

/* What the server does with a remote checksum: the sum of all from the first place on goes to the second. */
static void sum_up(uint8_t *packet, size_t size, const uint8_t *places)
{
    size_t start = (size_t)places[0] << 8 | places[1], offset = (size_t)places[2] << 8 | places[3];
    uint32_t sum = 0;

    for (size_t i = start; i < size; i++)
        sum += (uint32_t)packet[i] << ((i - start) & 1 ? 0 : 8);
    while (sum >> 16)
        sum = (sum & 0xffff) + (sum >> 16);
    packet[offset] = (uint8_t)(~sum >> 8);
    packet[offset + 1] = (uint8_t)~sum;
}

static void each_method_makes_its_headers(void **state)
{
    struct world *world = *state;

    for (size_t i = 0; i < ARRAY_SIZE(methods); i++) {
        const struct method_case *c = &methods[i];
        struct lb_server *server = world_server(world, 0, c->server, c->method);
        struct native_verdict out;
        struct frame in;
        size_t n;

        print_message("%s\n", c->name);
        server->generation = (uint32_t)i + 1;
        server->vni = 123456;
        server->flags = c->flags;
        world_service(world, 0, c->service, 80, strstr(c->in, "udp") ? IPPROTO_UDP : IPPROTO_TCP);
        world_members(world, 0, 0, 1);
        frame_parse(c->in, &in);
        frame_finish(&in, c->traffic_class);
        out = world_run(world, &in);
        assert_int_equal(XDP_REDIRECT, out.action);
        assert_int_equal(SERVER_DEVICE, out.redirected_to);
        n = assert_bytes(out.frame, out.size, c->out);
        age(&in);
        assert_int_equal(n + in.size - 14, out.size);
        assert_checksums(out.frame, out.size, 14);
        struct frame arrived = {.size = (uint32_t)(out.size - n)};
        memcpy(arrived.bytes, out.frame + n, arrived.size);
        if (c->flags & LB_SERVER_REMOTE_CHECKSUM)
            sum_up(arrived.bytes, arrived.size, out.frame + n - 4);
        assert_memory_equal(in.bytes + 14, arrived.bytes, arrived.size);
    }
}

/* RFC 6935: without one that could be told from the packet's there is none. */
static void what_has_no_checksum_gets_none_outside(void **state)
{
    struct world *world = *state;
    struct native_verdict out;
    struct frame in;

    world_service(world, 0, "192.0.2.1", 53, IPPROTO_UDP);
    world_server(world, 0, "10.0.0.1", LB_METHOD_GUE)->flags = LB_SERVER_CHECKSUM;
    world_members(world, 0, 0, 1);
    frame_parse("C>D ip 203.0.113.7>192.0.2.1 udp 4000>53 +9", &in);
    frame_finish(&in, 0);
    out = world_run(world, &in);
    assert_bytes(out.frame + 34, out.size - 34, ".... 17c0 .... .... 00040000");
    assert_true(out.frame[40] || out.frame[41]);
    assert_checksums(out.frame, out.size, 14);
    in.bytes[14 + 20 + 6] = in.bytes[14 + 20 + 7] = 0;
    out = world_run(world, &in);
    assert_bytes(out.frame + 34, out.size - 34, ".... 17c0 .... 0000 00040000");
    assert_checksums(out.frame, out.size, 14);
}

/* Sends a SYN with these TCP options (hexadecimal, whole words) through a tunnel; the inner packet must have those. */
static void check_clamped(struct world *world, const char *text, const char *options, const char *expected)
{
    struct native_verdict out;
    struct frame in;
    size_t n = strlen(options) / 2, header = strstr(text, "ip6") ? 40 : 20;
    uint8_t *tcp;

    frame_parse(text, &in); /* With as much payload as there are options. */
    tcp = in.bytes + 14 + header;
    tcp[12] = (uint8_t)((5 + n / 4) << 4);
    for (size_t i = 0; i < n; i++) {
        unsigned byte;

        assert_int_equal(1, sscanf(options + 2 * i, "%2x", &byte));
        tcp[20 + i] = (uint8_t)byte;
    }
    frame_finish(&in, 0);
    out = world_run(world, &in);
    assert_int_equal(XDP_REDIRECT, out.action);
    assert_checksums(out.frame, out.size, 14);
    assert_bytes(out.frame + out.size - n, n, expected);
}

/* 1500 - 20 - 40 = 1440 = 0x05a0; with IPv6 inside 1420 = 0x058c. */
static void the_mss_is_made_to_fit(void **state)
{
    struct world *world = *state;

    world_service(world, 0, "192.0.2.1", 80, IPPROTO_TCP)->flags |= LB_CLAMP_MSS;
    world_service(world, 1, "2001:db8:5::1", 80, IPPROTO_TCP)->flags |= LB_CLAMP_MSS;
    world_server(world, 0, "10.0.0.1", LB_METHOD_IPIP);
    world_members(world, 0, 0, 1);
    world_members(world, 1, 0, 1);
    check_clamped(world, "C>D ip 203.0.113.7>192.0.2.1 tcp 4000>80 S +4", "020405b4", "020405a0");
    check_clamped(world, "C>D ip 203.0.113.7>192.0.2.1 tcp 4000>80 S +8", "0101020405b40100", "0101020405a00100");
    check_clamped(world, "C>D ip 203.0.113.7>192.0.2.1 tcp 4000>80 S +8", "01020405b4030307", "01020405a0030307"); /* At an odd place. */
    check_clamped(world, "C>D ip 203.0.113.7>192.0.2.1 tcp 4000>80 S +8", "0402030307010101", "0402030307010101");
    check_clamped(world, "C>D ip 203.0.113.7>192.0.2.1 tcp 4000>80 S +4", "02040200", "02040200"); /* Small enough. */
    check_clamped(world, "C>D ip 203.0.113.7>192.0.2.1 tcp 4000>80 S +4", "020005b4", "020005b4"); /* Broken. */
    check_clamped(world, "C>D ip 203.0.113.7>192.0.2.1 tcp 4000>80 S +8", "00020405b4000000", "00020405b4000000"); /* Behind the end. */
    check_clamped(world, "C>D ip 203.0.113.7>192.0.2.1 tcp 4000>80 A +4", "020405b4", "020405b4");
    check_clamped(world, "C>D ip6 2001:db8:c::7>2001:db8:5::1 tcp 4000>80 S +4", "020405b4", "0204058c");
    world_server(world, 0, "10.0.0.1", LB_METHOD_DIRECT)->generation = 2;
    check_clamped(world, "C>D ip 203.0.113.7>192.0.2.1 tcp 4000>80 S +4", "020405b4", "020405b4"); /* No tunnel. */
}

static void padding_stays_outside(void **state)
{
    struct world *world = *state;
    struct native_verdict out;
    struct frame in;

    world_service(world, 0, "192.0.2.1", 53, IPPROTO_UDP);
    world_server(world, 0, "10.0.0.1", LB_METHOD_IPIP);
    world_members(world, 0, 0, 1);
    frame_parse("C>D ip 203.0.113.7>192.0.2.1 udp 4000>53 +2", &in);
    in.size = 60; /* Ethernet's least, of which 30 are the packet. */
    out = world_run(world, &in);
    assert_bytes(out.frame + 14, out.size - 14, "4500 0032");
    assert_int_equal(80, out.size);
}

struct l3dsr_case {
    const char *name, *in, *service, *server;
    uint8_t protocol, traffic_class;
    const char *out; /* The IP header. */
};

static const struct l3dsr_case l3dsr_cases[] = {
    {"TCP", IN4, "192.0.2.1", "10.0.0.1", IPPROTO_TCP, 0, "4574 0028 .... 4000 3b06 .... cb007107 0a000001"},
    {"ECN stays", IN4, "192.0.2.1", "10.0.0.1", IPPROTO_TCP, 0xfe, "4576 0028 .... 4000 3b06 .... cb007107 0a000001"},
    {"UDP", "C>D ip 203.0.113.7>192.0.2.1 ttl=60 udp 4000>80 +3", "192.0.2.1", "10.0.0.1", IPPROTO_UDP, 0,
     "4574 001f .... 0000 3b11 .... cb007107 0a000001"},
    {"IPv6", IN6, "2001:db8:5::1", "2001:db8::1", IPPROTO_TCP, 1,
     "67500000 0014 063b 20010db8000c00000000000000000007 20010db8000000000000000000000001"},
};

static void l3dsr_says_by_dscp_which_address_it_was(void **state)
{
    struct world *world = *state;

    for (size_t i = 0; i < ARRAY_SIZE(l3dsr_cases); i++) {
        const struct l3dsr_case *c = &l3dsr_cases[i];
        struct lb_server *server = world_server(world, 0, c->server, LB_METHOD_L3DSR);
        struct native_verdict out;
        struct frame in;

        print_message("%s\n", c->name);
        server->dscp = 29;
        server->generation = (uint32_t)i + 1;
        world_service(world, 0, c->service, 80, c->protocol);
        world_members(world, 0, 0, 1);
        frame_parse(c->in, &in);
        frame_finish(&in, c->traffic_class);
        out = world_run(world, &in);
        assert_int_equal(XDP_REDIRECT, out.action);
        assert_int_equal(in.size, out.size);
        assert_bytes(out.frame + 14, out.size - 14, c->out);
        assert_checksums(out.frame, out.size, 14);
    }
}

/* A UDP datagram without a checksum must not get one that is wrong. */
static void l3dsr_leaves_an_absent_checksum_alone(void **state)
{
    struct world *world = *state;
    struct native_verdict out;
    struct frame in;

    world_service(world, 0, "192.0.2.1", 80, IPPROTO_UDP);
    world_server(world, 0, "10.0.0.1", LB_METHOD_L3DSR)->dscp = 1;
    world_members(world, 0, 0, 1);
    frame_parse("C>D ip 203.0.113.7>192.0.2.1 udp 4000>80 +3", &in);
    in.bytes[40] = in.bytes[41] = 0;
    out = world_run(world, &in);
    assert_int_equal(0, out.frame[40] | out.frame[41]);
}

static void the_port_it_came_by_is_answered_by_it(void **state)
{
    struct world *world = *state;
    struct native_route route = world_route("10.0.0.1");

    world_service(world, 0, "192.0.2.1", 80, IPPROTO_TCP);
    world_server(world, 0, "10.0.0.1", LB_METHOD_DIRECT);
    world_members(world, 0, 0, 1);
    route.ifindex = CLIENT_DEVICE;
    native_director_route(world->native, &route);
    assert_int_equal(XDP_TX, world_send(world, IN4).action);
}

/* Entropy: flows differ in the outer source port, a flow does not change its. */
static void tunnels_tell_flows_apart(void **state)
{
    struct world *world = *state;
    uint16_t seen[64];
    size_t n_distinct = 0;

    world_service(world, 0, "192.0.2.1", 80, IPPROTO_TCP);
    world_server(world, 0, "10.0.0.1", LB_METHOD_GUE);
    world_members(world, 0, 0, 1);
    for (unsigned i = 0; i < 64; i++) {
        char text[100];
        uint16_t again;

        snprintf(text, sizeof(text), "C>D ip 203.0.113.7>192.0.2.1 tcp %u>80 A", 1000 + i);
        memcpy(&seen[i], world_send(world, text).frame + 34, 2);
        memcpy(&again, world_send(world, text).frame + 34, 2);
        assert_int_equal(seen[i], again);
        assert_true(be16toh(seen[i]) >= 0xc000);
        bool is_new = true;
        for (unsigned j = 0; j < i; j++)
            is_new &= seen[j] != seen[i];
        n_distinct += is_new;
    }
    assert_true(n_distinct > 50);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(each_method_makes_its_headers, world_setup, world_teardown),
        cmocka_unit_test_setup_teardown(what_has_no_checksum_gets_none_outside, world_setup, world_teardown),
        cmocka_unit_test_setup_teardown(the_mss_is_made_to_fit, world_setup, world_teardown),
        cmocka_unit_test_setup_teardown(padding_stays_outside, world_setup, world_teardown),
        cmocka_unit_test_setup_teardown(l3dsr_says_by_dscp_which_address_it_was, world_setup, world_teardown),
        cmocka_unit_test_setup_teardown(l3dsr_leaves_an_absent_checksum_alone, world_setup, world_teardown),
        cmocka_unit_test_setup_teardown(the_port_it_came_by_is_answered_by_it, world_setup, world_teardown),
        cmocka_unit_test_setup_teardown(tunnels_tell_flows_apart, world_setup, world_teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
