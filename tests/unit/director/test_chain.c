/* The second chance: what the director sends with a chain, byte by byte, and what a physical server makes of it (bpf/chain.h). */
#include <arpa/inet.h>
#include <linux/bpf.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "weft/base/util.h"
#include "world.h"

#define MACS "020000000052 020000000053 "
#define CLIENT4 "203.0.113.7"
#define CLIENT6 "2001:db8:c::7"
#define VIP4 "192.0.2.1"
#define VIP6 "2001:db8:5::1"

/* ---- the director -------------------------------------------------------------------------------------------------------------------------- */

/* Every row: owned by server 0, and before by 1, 2 and 3. */
static void make_director(struct world *world, const char *vip, const char *const servers[4], enum lb_method method)
{
    struct lb_service *service = world_service(world, 0, vip, 80, IPPROTO_TCP);
    struct lb_rows *rows = world_place(world, NATIVE_LB_rows, service->rows);

    for (uint32_t i = 0; i < 4; i++) {
        struct lb_server *server = world_server(world, i, servers[i], method);

        server->flags |= LB_SERVER_SECOND_CHANCE;
        server->dscp = 5;
    }
    world_members(world, 0, 0, 4);
    world_settings(world)->chain_port = htons(6080);
    for (uint32_t row = 0; row < service->n_rows; row++)
        rows->row[row] = (struct lb_row){0, {1, 2, 3}};
}

static struct lb_server *server_of_world(struct world *world, uint32_t number)
{
    struct lb_server_record *record = world_place(world, NATIVE_LB_servers, number);

    return &record->copy[record->active & 1];
}

static void set_rows(struct world *world, struct lb_row row)
{
    struct lb_rows *rows = world_place(world, NATIVE_LB_rows, 0);

    for (uint32_t i = 0; i < LB_ROWS_BLOCK; i++)
        rows->row[i] = row;
}

static const char *const servers4[] = {"10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4"};
static const char *const servers6[] = {"2001:db8::1", "2001:db8::2", "2001:db8::3", "2001:db8::4"};
static const enum lb_method methods[] = {LB_METHOD_DIRECT, LB_METHOD_IPIP, LB_METHOD_GUE, LB_METHOD_GRE, LB_METHOD_VXLAN, LB_METHOD_L3DSR};

/* draft-ietf-intarea-gue, 3.1: variant 0, C 0, Hlen in words, the protocol, no flags; then chain.h's private data. */
static const struct {
    const char *name, *vip;
    const char *const *servers;
    const char *in, *out;
} sent[] = {
    {"IPv4 over IPv4", VIP4, servers4, "C>D ip " CLIENT4 ">" VIP4 " ttl=60 df tcp 4000>80 A +3",
     MACS "0800 4500005b 00004000 3b11.... c6336409 0a000001 .... 17c0 0047 .... 04040000 01030000 0a000002 0a000003 0a000004"},
    {"IPv6 over IPv4", VIP6, servers4, "C>D ip6 " CLIENT6 ">" VIP6 " ttl=60 tcp 4000>80 A",
     MACS "0800 4500006c 00004000 3b11.... c6336409 0a000001 .... 17c0 0058 .... 04290000 01030000 0a000002 0a000003 0a000004"},
    {"IPv4 over IPv6", VIP4, servers6, "C>D ip " CLIENT4 ">" VIP4 " ttl=60 df tcp 4000>80 FA",
     MACS "86dd 600..... 0068 113b 20010db800000000000000000000000d 20010db8000000000000000000000001 .... 17c0 0068 .... 0d040000 01030000"
          "20010db8000000000000000000000002 20010db8000000000000000000000003 20010db8000000000000000000000004"},
    {"an error about such a packet", VIP4, servers4, "C>D ip 198.51.100.77>" VIP4 " ttl=60 df icmp 3 4 quote ip " VIP4 ">" CLIENT4 " tcp 80>4000 A",
     MACS "0800 45...... 00004000 3b11.... c6336409 0a000001 .... 17c0 .... 0000 04040000 01030000 0a000002 0a000003 0a000004"},
};

static void the_chain_goes_in_front(void **state)
{
    struct world *world = *state;

    for (size_t i = 0; i < ARRAY_SIZE(sent); i++)
        for (size_t m = 0; m < ARRAY_SIZE(methods); m++) {
            struct native_verdict out;
            struct frame in;
            size_t n;

            print_message("%s, method %d\n", sent[i].name, methods[m]);
            make_director(world, sent[i].vip, sent[i].servers, methods[m]);
            server_of_world(world, 0)->generation = (uint32_t)(i * 10 + m + 1);
            frame_parse(sent[i].in, &in);
            frame_finish(&in, 0);
            out = world_run(world, &in);
            assert_int_equal(XDP_REDIRECT, out.action);
            n = assert_bytes(out.frame, out.size, sent[i].out);
            assert_int_equal(n + in.size - 14, out.size);
            assert_checksums(out.frame, out.size, 14);
            assert_checksums(out.frame, out.size, n);
        }
}

/* As the method has it: 'n_more' bytes in front. */
static void assert_plain(struct world *world, const char *text, size_t n_more)
{
    struct native_verdict out;
    struct frame in;

    frame_parse(text, &in);
    frame_finish(&in, 0);
    out = world_run(world, &in);
    assert_int_equal(XDP_REDIRECT, out.action);
    assert_int_equal(in.size + n_more, out.size);
}

#define PACKET "C>D ip " CLIENT4 ">" VIP4 " ttl=60 df tcp 4000>80 A"

static void what_needs_no_chain_goes_as_before(void **state)
{
    struct world *world = *state;

    make_director(world, VIP4, servers4, LB_METHOD_IPIP);
    assert_plain(world, "C>D ip " CLIENT4 ">" VIP4 " df tcp 4000>80 S", 20); /* It begins at the owner. */
    assert_plain(world, PACKET, 20 + 16 + 12);
    set_rows(world, LB_ROW_OF(0));
    assert_plain(world, PACKET, 20);
    set_rows(world, (struct lb_row){0, {1, LB_NOBODY, LB_NOBODY}});
    server_of_world(world, 0)->flags = 0; /* The owner would not understand. */
    assert_plain(world, PACKET, 20);
}

/* Who is gone, is another family's, or has no agent, is left out; those behind it are not. */
static void only_who_can_take_it_is_in_the_chain(void **state)
{
    struct world *world = *state;

    make_director(world, VIP4, servers4, LB_METHOD_DIRECT);
    server_of_world(world, 1)->flags = 0;
    assert_plain(world, PACKET, 20 + 16 + 8);
    server_of_world(world, 2)->method = LB_METHOD_NONE;
    assert_plain(world, PACKET, 20 + 16 + 4);
    world_server(world, 3, "2001:db8::4", LB_METHOD_IPIP)->flags = LB_SERVER_SECOND_CHANCE;
    assert_plain(world, PACKET, 0);
    set_rows(world, (struct lb_row){0, {0, 60000, 1}}); /* Itself, and nobody's position. */
    server_of_world(world, 1)->flags = LB_SERVER_SECOND_CHANCE;
    assert_plain(world, PACKET, 20 + 16 + 4);
}

static void what_does_not_fit_is_said(void **state)
{
    struct world *world = *state;
    struct native_verdict out;

    make_director(world, VIP4, servers4, LB_METHOD_DIRECT);
    struct native_route route = world_route(CLIENT4);
    route.ifindex = CLIENT_DEVICE;
    native_director_route(world->native, &route);
    assert_plain(world, PACKET " +1412", 48); /* 40 + 1412 + 48 is 1500. */
    out = world_send(world, PACKET " +1413");
    assert_int_equal(XDP_TX, out.action);
    assert_bytes(out.frame + 34, out.size - 34, "0304 .... 0000 05ac"); /* 1452 fit. */
    assert_int_equal(1, world_drops(world, LB_DROP_too_big));
}

/* Nobody could be told; then who had the row last is in the chain, if there is room. */
static void a_packet_that_may_be_fragmented_has_a_chain_that_fits(void **state)
{
    struct world *world = *state;

    make_director(world, VIP4, servers4, LB_METHOD_DIRECT);
    assert_plain(world, "C>D ip " CLIENT4 ">" VIP4 " ttl=60 tcp 4000>80 A +1412", 48);
    assert_plain(world, "C>D ip " CLIENT4 ">" VIP4 " ttl=60 tcp 4000>80 A +1413", 44);
    assert_plain(world, "C>D ip " CLIENT4 ">" VIP4 " ttl=60 tcp 4000>80 A +1420", 40);
    assert_plain(world, "C>D ip " CLIENT4 ">" VIP4 " ttl=60 tcp 4000>80 A +1421", 0);
    assert_plain(world, "C>D ip " CLIENT4 ">" VIP4 " ttl=60 tcp 4000>80 A +1460", 0);
    assert_int_equal(0, world_drops(world, LB_DROP_too_big));
}

/* No IPv6 sender makes packets smaller than 1280 bytes (RFC 8200, 5), whatever it is told. */
static void a_packet_that_no_sender_makes_smaller_has_a_chain_that_fits(void **state)
{
    static const struct {
        uint16_t mtu;
        uint32_t overhead;
    } cases[] = {{1280 + 104, 104}, {1280 + 103, 88}, {1280 + 72, 72}, {1280 + 71, 0}, {1280, 0}};
    struct native_route client = world_route(CLIENT6), route = world_route(servers6[0]);
    struct world *world = *state;
    struct native_verdict out;

    make_director(world, VIP6, servers6, LB_METHOD_DIRECT);
    client.ifindex = CLIENT_DEVICE;
    native_director_route(world->native, &client);
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        route.mtu = cases[i].mtu;
        native_director_route(world->native, &route);
        server_of_world(world, 0)->generation = (uint32_t)i + 2;
        assert_plain(world, "C>D ip6 " CLIENT6 ">" VIP6 " ttl=60 tcp 4000>80 A +1220", cases[i].overhead);
    }
    assert_int_equal(0, world_drops(world, LB_DROP_too_big));
    out = world_send(world, "C>D ip6 " CLIENT6 ">" VIP6 " ttl=60 tcp 4000>80 A +1221"); /* It is told of 1280. */
    assert_int_equal(XDP_TX, out.action);
    assert_bytes(out.frame + 54, out.size - 54, "0200 .... 00000500");
}

/* ---- the server ---------------------------------------------------------------------------------------------------------------------------- */

#define OWN4 "10.0.0.1"
#define OWN6 "2001:db8::1"
#define MARK {2, 3, 4, 5, 6, 7}

static void put_address(struct world *world, const char *text, uint32_t kind)
{
    struct lb_address key;

    frame_address(text, key.bytes);
    assert_int_equal(0, native_map_update(native_director_map(world->native, NATIVE_LB_chain_addresses), &key, &kind, false));
}

static void put_peer(struct world *world, const char *text, uint32_t length, uint32_t kind)
{
    struct lb_mark_key key = {.length = length};

    frame_address(text, key.destination);
    assert_int_equal(0, native_map_update(native_director_map(world->native, NATIVE_LB_chain_peers), &key, &kind, false));
}

static int server_setup(void **state)
{
    int result = world_setup(state);
    struct world *world = *state;

    put_address(world, OWN4, CHAIN_ADDRESS_OWN);
    put_address(world, OWN6, CHAIN_ADDRESS_OWN);
    put_address(world, VIP4, CHAIN_ADDRESS_OWN | CHAIN_ADDRESS_VIRTUAL);
    put_address(world, VIP6, CHAIN_ADDRESS_OWN | CHAIN_ADDRESS_VIRTUAL);
    put_peer(world, "198.51.100.9", 128, CHAIN_PEER_SENDS);
    put_peer(world, "2001:db8::d", 128, CHAIN_PEER_SENDS);
    put_peer(world, "10.0.0.0", 96 + 29, CHAIN_PEER_SENDS | CHAIN_PEER_TAKES);
    put_peer(world, "2001:db8::", 125, CHAIN_PEER_SENDS | CHAIN_PEER_TAKES);
    *(struct chain_settings *)world_place(world, NATIVE_LB_chain_settings, 0) = (struct chain_settings){htons(6080), MARK, 10000};
    return result;
}

static void have_socket(struct world *world, const char *client, const char *address, uint32_t state, bool takes_cookies)
{
    struct native_socket socket = {.client_port = htons(4000), .port = htons(80), .state = state, .takes_cookies = takes_cookies};

    frame_address(client, socket.client);
    frame_address(address, socket.address);
    native_server_socket(world->native, &socket);
}

static uint64_t n_outcomes(struct world *world, enum chain_outcome outcome)
{
    return ((struct chain_counters *)world_place(world, NATIVE_LB_chain_counters, 0))->packets[outcome];
}

/* What the director makes of the packet for a row with so many previous owners. */
static struct frame by_director(struct world *world, const char *text, bool outer6, uint32_t n, uint8_t class)
{
    struct native_verdict out;
    struct frame in, frame;
    static uint32_t generation;

    make_director(world, strstr(text, "ip6 ") ? VIP6 : VIP4, outer6 ? servers6 : servers4, LB_METHOD_GUE);
    server_of_world(world, 0)->generation = ++generation;
    set_rows(world, (struct lb_row){0, {n > 0 ? 1 : LB_NOBODY, n > 1 ? 2 : LB_NOBODY, n > 2 ? 3 : LB_NOBODY}});
    frame_parse(text, &in);
    frame_finish(&in, class);
    out = world_run(world, &in);
    assert_int_equal(XDP_REDIRECT, out.action);
    frame.size = (uint32_t)out.size;
    memcpy(frame.bytes, out.frame, out.size);
    return frame;
}

#define ERROR4 "C>D ip 198.51.100.77>" VIP4 " ttl=60 df icmp 3 4 quote ip " VIP4 ">" CLIENT4 " tcp 80>4000 A"
#define ERROR6 "C>D ip6 2001:db8:f::1>" VIP6 " ttl=60 icmp6 2 0 quote ip6 " VIP6 ">" CLIENT6 " tcp 80>4000 A"
#define PACKET6 "C>D ip6 " CLIENT6 ">" VIP6 " ttl=60 tcp 4000>80 A +9"

static const struct {
    const char *name, *in;
    bool outer6;
    uint32_t n, state; /* In the chain; of the socket, 0: there is none. */
    bool takes_cookies;
    enum chain_outcome outcome;
} taken[] = {
    {"no chain", PACKET, false, 0, 0, false, CHAIN_last},
    {"no chain, IPv6", PACKET6, true, 0, 0, false, CHAIN_last},
    {"established", PACKET, false, 2, BPF_TCP_ESTABLISHED, false, CHAIN_socket},
    {"established, IPv6 in IPv4", PACKET6, false, 3, BPF_TCP_ESTABLISHED, false, CHAIN_socket},
    {"half open", PACKET, true, 3, BPF_TCP_NEW_SYN_RECV, false, CHAIN_socket},
    {"waits after its end", PACKET, false, 1, BPF_TCP_TIME_WAIT, false, CHAIN_socket},
    {"an answer to a cookie", PACKET, false, 1, BPF_TCP_LISTEN, true, CHAIN_cookie},
    {"a reset is none", "C>D ip " CLIENT4 ">" VIP4 " ttl=60 df tcp 4000>80 R", false, 1, BPF_TCP_LISTEN, true, CHAIN_handed_on},
    {"a listener alone", PACKET, false, 1, BPF_TCP_LISTEN, false, CHAIN_handed_on},
    {"a listener alone, three behind it", PACKET, false, 3, BPF_TCP_LISTEN, false, CHAIN_handed_on},
    {"a listener alone, IPv6 in IPv6", PACKET6, true, 2, BPF_TCP_LISTEN, false, CHAIN_handed_on},
    {"a listener alone, IPv4 in IPv6", PACKET, true, 1, BPF_TCP_LISTEN, false, CHAIN_handed_on},
    {"nothing, as if in containers", PACKET, false, 3, 0, false, CHAIN_no_listener},
    {"nothing, as if in containers, IPv6", PACKET6, true, 1, 0, false, CHAIN_no_listener},
    {"an error about what may be in containers", ERROR4, false, 1, 0, false, CHAIN_no_listener},
    {"an error about what is here", ERROR4, false, 1, BPF_TCP_ESTABLISHED, false, CHAIN_socket},
    {"an error about what is not", ERROR4, false, 1, BPF_TCP_LISTEN, true, CHAIN_handed_on},
    {"an error about what is not, IPv6", ERROR6, true, 1, BPF_TCP_LISTEN, false, CHAIN_handed_on},
};

/* The packet as the director got it, one hop older, comes out; from who hands it on to the next, from there to the last. */
static void each_stays_or_goes_on(void **state)
{
    for (size_t i = 0; i < ARRAY_SIZE(taken); i++) {
        const bool v6 = strstr(taken[i].in, "ip6 ");
        struct native_verdict out;
        struct frame frame, plain;
        struct world *world;

        print_message("%s\n", taken[i].name);
        server_setup(state);
        world = *state;
        plain = by_director(world, taken[i].in, false, 0, 0); /* Outer: 20 + 12 bytes. */
        frame = by_director(world, taken[i].in, taken[i].outer6, taken[i].n, 0);
        if (taken[i].state)
            have_socket(world, v6 ? CLIENT6 : CLIENT4, v6 ? VIP6 : VIP4, taken[i].state, taken[i].takes_cookies);
        for (uint32_t left = taken[i].n;; left--) {
            out = native_server_run(world->native, frame.bytes, frame.size, CLIENT_DEVICE);
            assert_int_equal(taken[i].outcome == CHAIN_handed_on && left ? XDP_REDIRECT : XDP_PASS, out.action);
            if (out.action == XDP_PASS)
                break;
            assert_int_equal(SERVER_DEVICE, out.redirected_to);
            assert_int_equal(taken[i].n - left + 1, n_outcomes(world, CHAIN_handed_on));
            assert_memory_equal(out.frame, frame.bytes, 6);
            assert_memory_equal(out.frame + 6, ((const uint8_t[])MARK), 6);
            assert_memory_equal(out.frame + 12, frame.bytes + 12, 2);
            assert_checksums(out.frame, out.size, 14);
            assert_int_equal(frame.bytes[taken[i].outer6 ? 21 : 22] - 1, out.frame[taken[i].outer6 ? 21 : 22]); /* The outer TTL. */
            assert_int_equal(frame.size - (taken[i].outer6 ? 16 : 4) - (left == 1 ? 4 : 0), out.size);
            assert_memory_equal(out.frame + (taken[i].outer6 ? 22 : 26), frame.bytes + (taken[i].outer6 ? 38 : 30), taken[i].outer6 ? 16 : 4); /* From here, */
            assert_memory_equal(out.frame + (taken[i].outer6 ? 38 : 30), frame.bytes + (taken[i].outer6 ? 70 : 50), taken[i].outer6 ? 16 : 4); /* to the next. */
            frame.size = (uint32_t)out.size;
            memcpy(frame.bytes + 12, out.frame + 12, out.size - 12); /* MACs are the wire's. */
            /* There it is the next one's own. */
            put_address(world, taken[i].outer6 ? servers6[taken[i].n - left] : servers4[taken[i].n - left], 0);
            put_address(world, taken[i].outer6 ? servers6[taken[i].n - left + 1] : servers4[taken[i].n - left + 1], CHAIN_ADDRESS_OWN);
        }
        assert_int_equal(1, n_outcomes(world, taken[i].outcome == CHAIN_handed_on ? CHAIN_last : taken[i].outcome));
        assert_int_equal(plain.size - 32, out.size);
        assert_memory_equal(frame.bytes, out.frame, 12);
        assert_bytes(out.frame + 12, 2, v6 ? "86dd" : "0800");
        assert_memory_equal(plain.bytes + 46, out.frame + 14, out.size - 14);
        world_teardown(state);
    }
    server_setup(state);
}

/* A SYN with a chain comes of no director of ours, but may of another. */
static void what_begins_stays(void **state)
{
    struct world *world = *state;
    struct frame frame = by_director(world, PACKET, false, 2, 0);

    frame.bytes[14 + 20 + 8 + 4 + 4 + 8 + 20 + 13] = 0x02;
    assert_int_equal(XDP_PASS, native_server_run(world->native, frame.bytes, frame.size, CLIENT_DEVICE).action);
    assert_int_equal(1, n_outcomes(world, CHAIN_begins));
}

/* Where in a frame of IPv4 in IPv4 with a chain of two which byte is another, and what that makes of it. */
static const struct {
    const char *name;
    uint32_t offset;
    uint8_t value;
    enum chain_outcome outcome;
} broken[] = {
    {"from somebody", 14 + 15, 77, CHAIN_unknown_source},
    {"in the host's name", 14 + 12, 10, CHAIN_own_source}, /* With the three below. */
    {"for no virtual address", 14 + 20 + 24 + 19, 9, CHAIN_not_virtual},
    {"another type of private data", 14 + 20 + 12, 2, CHAIN_malformed},
    {"more than are there", 14 + 20 + 13, 3, CHAIN_malformed},
    {"none", 14 + 20 + 13, 0, CHAIN_malformed},
    {"a word that is not zero", 14 + 20 + 15, 1, CHAIN_malformed},
    {"UDP longer than the packet", 14 + 20 + 4, 9, CHAIN_malformed},
    {"a packet inside longer than what is around it", 14 + 20 + 24 + 3, 41, CHAIN_malformed},
    {"no IPv4 inside", 14 + 20 + 24, 0x65, CHAIN_malformed},
    {"to nobody that is known", 14 + 20 + 16 + 3, 99, CHAIN_unknown_next},
    {"too old", 14 + 8, 1, CHAIN_ttl_exceeded},
    {"congested, which nobody inside would hear", 14 + 1, 3, CHAIN_congested},
};

static void each_drop_has_its_reason(void **state)
{
    struct world *world = *state;
    struct frame good = by_director(world, PACKET, false, 2, 0);

    have_socket(world, CLIENT4, VIP4, BPF_TCP_LISTEN, false);
    for (size_t i = 0; i < ARRAY_SIZE(broken); i++) {
        struct frame frame = good;
        uint64_t before = n_outcomes(world, broken[i].outcome);

        print_message("%s\n", broken[i].name);
        frame.bytes[broken[i].offset] = broken[i].value;
        if (broken[i].outcome == CHAIN_own_source)
            memcpy(frame.bytes + 14 + 12, (uint8_t[]){10, 0, 0, 1}, 4);
        assert_int_equal(XDP_DROP, native_server_run(world->native, frame.bytes, frame.size, CLIENT_DEVICE).action);
        assert_int_equal(before + 1, n_outcomes(world, broken[i].outcome));
    }
    good.bytes[14 + 20 + 24 + 12] = 10; /* Inside: from the host's own address. */
    memcpy(good.bytes + 14 + 20 + 24 + 12, (uint8_t[]){10, 0, 0, 1}, 4);
    assert_int_equal(XDP_DROP, native_server_run(world->native, good.bytes, good.size, CLIENT_DEVICE).action);
    assert_int_equal(2, n_outcomes(world, CHAIN_own_source));
}

static const struct {
    int answer;
    enum chain_outcome outcome;
} ways[] = {
    {BPF_FIB_LKUP_RET_SUCCESS, CHAIN_handed_on},     {BPF_FIB_LKUP_RET_NO_NEIGH, CHAIN_next_unresolved}, {BPF_FIB_LKUP_RET_FWD_DISABLED, CHAIN_handed_on},
    {BPF_FIB_LKUP_RET_UNREACHABLE, CHAIN_no_route}, {BPF_FIB_LKUP_RET_BLACKHOLE, CHAIN_no_route},      {BPF_FIB_LKUP_RET_NOT_FWDED, CHAIN_no_route},
    {BPF_FIB_LKUP_RET_FRAG_NEEDED, CHAIN_too_big},
};

/* What the host's routes say of the next one counts, and each packet once. */
static void what_cannot_go_on_is_counted(void **state)
{
    for (size_t i = 0; i < 2 * ARRAY_SIZE(ways); i++) {
        const bool outer6 = i % 2, is_drop = ways[i / 2].outcome == CHAIN_no_route || ways[i / 2].outcome == CHAIN_too_big;
        struct native_route route = world_route(outer6 ? servers6[1] : servers4[1]);
        struct world *world;
        struct frame frame;
        uint64_t n = 0;

        server_setup(state);
        world = *state;
        frame = by_director(world, PACKET, outer6, 2, 0);
        have_socket(world, CLIENT4, VIP4, BPF_TCP_LISTEN, false);
        route.answer = ways[i / 2].answer;
        native_director_route(world->native, &route);
        assert_int_equal(is_drop ? XDP_DROP : XDP_REDIRECT, native_server_run(world->native, frame.bytes, frame.size, CLIENT_DEVICE).action);
        assert_int_equal(1, n_outcomes(world, ways[i / 2].outcome));
        for (unsigned outcome = 0; outcome < N_CHAIN_OUTCOMES; outcome++)
            n += n_outcomes(world, outcome);
        assert_int_equal(1, n);
        world_teardown(state);
    }
    server_setup(state);
}

/* GUE from this host's own address to a fellow server's, as second_chance closes it, in a frame that it does not look at. */
static void what_was_not_closed_here_is_not_sent_on(void **state)
{
    struct world *world = *state;
    struct frame frame = by_director(world, PACKET, false, 1, 0);

    memset(frame.bytes, 0xff, 6);
    memcpy(frame.bytes + 26, (const uint8_t[]){10, 0, 0, 1, 10, 0, 0, 2}, 8);
    assert_int_equal(XDP_PASS, native_server_run(world->native, frame.bytes, frame.size, CLIENT_DEVICE).action);
    assert_int_equal(0, n_outcomes(world, CHAIN_handed_on));
}

/* Every length that a frame can be cut to. */
static void a_cut_frame_is_not_read_beyond(void **state)
{
    struct world *world = *state;
    struct frame frames[] = {by_director(world, PACKET, false, 3, 0), by_director(world, PACKET6, true, 3, 0), by_director(world, ERROR4, false, 1, 0)};

    for (size_t i = 0; i < ARRAY_SIZE(frames); i++)
        for (uint32_t size = 14; size < frames[i].size; size++)
            native_server_run(world->native, frames[i].bytes, size, CLIENT_DEVICE);
    assert_int_equal(0, n_outcomes(world, CHAIN_handed_on));
}

static void what_is_the_hosts_is_left_alone(void **state)
{
    static const char *const texts[] = {
        "D>C ip 198.51.100.9>" OWN4 " udp 1>6081 +40", /* Another port, */
        "D>C ip 198.51.100.9>10.0.0.77 udp 1>6080 +40", /* another host, */
        "C>S ip " CLIENT4 ">" VIP4 " udp 1>6080 +40",   /* a client's to a service of that port, */
        "D>C ip 198.51.100.9>" OWN4 " frag=5 udp 1>6080 +40", "D>C ip " CLIENT4 ">" VIP4 " tcp 4000>80 S",
        "D>C ip 198.51.100.9>" OWN4 " udp 1>6080 +40 set=42:0x40",  /* another variant, a control message, */
        "D>C ip 198.51.100.9>" OWN4 " udp 1>6080 +40 set=42:0x20 set=43:4",
        "D>C ip 198.51.100.9>" OWN4 " udp 1>6080 +40 set=43:4 set=45:1", /* flags: Linux's remote checksum. */
    };
    struct world *world = *state;

    for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
        struct native_verdict out;
        struct frame in;

        frame_parse(texts[i], &in);
        out = native_server_run(world->native, in.bytes, in.size, CLIENT_DEVICE);
        assert_int_equal(XDP_PASS, out.action);
        assert_int_equal(in.size, out.size);
        assert_memory_equal(in.bytes, out.frame, in.size);
    }
    for (unsigned i = 0; i < N_CHAIN_OUTCOMES; i++)
        assert_int_equal(0, n_outcomes(world, i));
}

/* RFC 6040: Congestion Experienced outside is so inside. */
static void congestion_goes_inward(void **state)
{
    struct world *world = *state;
    struct frame frame = by_director(world, PACKET, false, 0, 2);
    struct native_verdict out;

    frame.bytes[15] |= 3;
    out = native_server_run(world->native, frame.bytes, frame.size, CLIENT_DEVICE);
    assert_int_equal(XDP_PASS, out.action);
    assert_int_equal(3, out.frame[15]);
    assert_checksums(out.frame, out.size, 14);
}

/* As a server does that is drained: what began there before goes on there, what is older goes on to those before. */
static void a_listener_that_was_closed_still_counts(void **state)
{
    struct world *world = *state;
    struct frame frame = by_director(world, PACKET, false, 1, 0), other = frame;

    other.bytes[14 + 20 + 20 + 20 + 3] ^= 1; /* Another port, of which nobody knows. */
    have_socket(world, CLIENT4, VIP4, BPF_TCP_LISTEN, false);
    assert_int_equal(XDP_REDIRECT, native_server_run(world->native, frame.bytes, frame.size, CLIENT_DEVICE).action);
    native_server_close(world->native);
    assert_int_equal(XDP_REDIRECT, native_server_run(world->native, frame.bytes, frame.size, CLIENT_DEVICE).action);
    assert_int_equal(XDP_PASS, native_server_run(world->native, other.bytes, other.size, CLIENT_DEVICE).action);
    assert_int_equal(2, n_outcomes(world, CHAIN_handed_on));
    assert_int_equal(1, n_outcomes(world, CHAIN_no_listener));
}

static void run_many(struct world *world, const struct frame *frame, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        native_server_run(world->native, frame->bytes, frame->size, CLIENT_DEVICE);
}

/* 100,000 a second, a tenth of them at once; what stays here has no limit. */
static void a_flood_is_handed_on_in_part(void **state)
{
    struct world *world = *state;
    struct frame frame = by_director(world, PACKET, false, 1, 0), last = by_director(world, PACKET, false, 0, 0);

    have_socket(world, CLIENT4, VIP4, BPF_TCP_LISTEN, false);
    run_many(world, &frame, 15000);
    assert_int_equal(10001, n_outcomes(world, CHAIN_handed_on));
    assert_int_equal(4999, n_outcomes(world, CHAIN_hand_on_limit));
    run_many(world, &last, 100);
    assert_int_equal(100, n_outcomes(world, CHAIN_last));
    native_director_advance(world->native, 1000000); /* A millisecond. */
    run_many(world, &frame, 200);
    assert_int_equal(10101, n_outcomes(world, CHAIN_handed_on));
    native_director_advance(world->native, 3600000000000ull);
    run_many(world, &frame, 15000);
    assert_int_equal(20102, n_outcomes(world, CHAIN_handed_on));
}

/* A virtual address is the host's, and others'. */
static void a_virtual_address_is_nobodys_own(void **state)
{
    struct world *world = *state;
    struct frame frame = by_director(world, PACKET, false, 0, 0);

    memcpy(frame.bytes + 14 + 20 + 12 + 12, (const uint8_t[]){192, 0, 2, 1}, 4); /* Inside, and outside. */
    assert_int_equal(XDP_PASS, native_server_run(world->native, frame.bytes, frame.size, CLIENT_DEVICE).action);
    put_peer(world, VIP4, 128, CHAIN_PEER_SENDS);
    memcpy(frame.bytes + 14 + 12, (const uint8_t[]){192, 0, 2, 1}, 4);
    assert_int_equal(XDP_PASS, native_server_run(world->native, frame.bytes, frame.size, CLIENT_DEVICE).action);
    assert_int_equal(2, n_outcomes(world, CHAIN_last));
}

static void later_fragments_follow_their_first(void **state)
{
    struct world *world = *state;
    struct frame later = by_director(world, PACKET, false, 1, 0), first = later;
    const uint32_t inside = 14 + 20 + 20;

    first.bytes[inside + 6] = 0x20;
    later.bytes[inside + 6] = 0;
    later.bytes[inside + 7] = 3;
    have_socket(world, CLIENT4, VIP4, BPF_TCP_LISTEN, false);
    assert_int_equal(XDP_PASS, native_server_run(world->native, later.bytes, later.size, CLIENT_DEVICE).action); /* The first was too large for a chain. */
    assert_int_equal(1, n_outcomes(world, CHAIN_fragment_unknown));
    native_server_run(world->native, first.bytes, first.size, CLIENT_DEVICE);
    native_server_run(world->native, later.bytes, later.size, CLIENT_DEVICE);
    assert_int_equal(2, n_outcomes(world, CHAIN_handed_on));
    have_socket(world, CLIENT4, VIP4, BPF_TCP_ESTABLISHED, false);
    native_server_run(world->native, later.bytes, later.size, CLIENT_DEVICE);
    assert_int_equal(1, n_outcomes(world, CHAIN_socket));
}

int main(void)
{
#define DIRECTOR(name) cmocka_unit_test_setup_teardown(name, world_setup, world_teardown)
#define SERVER(name) cmocka_unit_test_setup_teardown(name, server_setup, world_teardown)
    const struct CMUnitTest tests[] = {
        DIRECTOR(the_chain_goes_in_front),
        DIRECTOR(what_needs_no_chain_goes_as_before),
        DIRECTOR(only_who_can_take_it_is_in_the_chain),
        DIRECTOR(what_does_not_fit_is_said),
        DIRECTOR(a_packet_that_may_be_fragmented_has_a_chain_that_fits),
        DIRECTOR(a_packet_that_no_sender_makes_smaller_has_a_chain_that_fits),
        cmocka_unit_test_teardown(each_stays_or_goes_on, world_teardown),
        SERVER(what_begins_stays),
        SERVER(each_drop_has_its_reason),
        cmocka_unit_test_teardown(what_cannot_go_on_is_counted, world_teardown),
        SERVER(what_was_not_closed_here_is_not_sent_on),
        SERVER(a_cut_frame_is_not_read_beyond),
        SERVER(what_is_the_hosts_is_left_alone),
        SERVER(congestion_goes_inward),
        SERVER(a_listener_that_was_closed_still_counts),
        SERVER(a_flood_is_handed_on_in_part),
        SERVER(a_virtual_address_is_nobodys_own),
        SERVER(later_fragments_follow_their_first),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
