/* Frames from hostile clients, servers and networks, through the director's program, over services of every schedule and method.  An input is
 * a list of records:
 *
 *   1 byte   what happens before: bit 0 it comes from the servers' side, bit 1 a minute passes, bit 2 the sweeper goes round once; bit 3 it comes
 *            to a server that gives second chances, not to the director, and leaves it
 *   1 byte   the frame's size, in units of 8 bytes less the three highest bits; then the frame
 *
 * Beyond memory errors it must hold that: what is the host's is left as it was; each drop is counted, and nothing that is sent on; what is
 * sent on is an IP packet that fits its frame; servers' and services' counts are those of the connections that are there; what a server hands on
 * is smaller than it was, so that it ends; what leaves a server is as it was but for a number that gets smaller. */
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <linux/bpf.h>

#include "weft/base/util.h"
#include "weft/director/hash.h"
#include "world.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define REQUIRE(condition)                                                                                   \
    do {                                                                                                     \
        if (!(condition))                                                                                    \
            abort();                                                                                         \
    } while (0)

static const struct {
    const char *address;
    uint16_t port;
    uint8_t protocol;
    enum lb_schedule schedule;
    uint32_t flags;
    const char *servers[6];
    enum lb_method methods[6];
} services[] = {
    {"192.0.2.1", 80, IPPROTO_TCP, LB_SCHEDULE_HASH, LB_CLAMP_MSS,
     {"10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4", "10.0.0.5", "2001:db8::6"},
     {LB_METHOD_DIRECT, LB_METHOD_IPIP, LB_METHOD_GUE, LB_METHOD_GRE, LB_METHOD_L3DSR, LB_METHOD_VXLAN}},
    {"2001:db8:5::1", 80, IPPROTO_TCP, LB_SCHEDULE_HASH, LB_CLAMP_MSS,
     {"2001:db8::1", "2001:db8::2", "10.0.0.3", "2001:db8::4", "2001:db8::5", "10.0.0.6"},
     {LB_METHOD_DIRECT, LB_METHOD_IPIP, LB_METHOD_GUE, LB_METHOD_GRE, LB_METHOD_L3DSR, LB_METHOD_VXLAN}},
    {"192.0.2.2", 53, IPPROTO_UDP, LB_SCHEDULE_TURN, 0, {"10.0.0.1", "10.0.0.2"}, {LB_METHOD_NAT, LB_METHOD_FULL_NAT}},
    {"192.0.2.3", 80, IPPROTO_TCP, LB_SCHEDULE_LBLC, LB_TRACK | LB_PERSISTENT, {"10.0.0.1", "10.0.0.2"}, {LB_METHOD_NAT, LB_METHOD_FULL_NAT}},
    {"2001:db8:5::2", 0, IPPROTO_TCP, LB_SCHEDULE_NQ, LB_TRACK | LB_PERSISTENT, {"2001:db8::1", "2001:db8::2"}, {LB_METHOD_NAT, LB_METHOD_FULL_NAT}},
    {"192.0.2.4", 80, IPPROTO_SCTP, LB_SCHEDULE_SED, 0, {"10.0.0.1", "10.0.0.2"}, {LB_METHOD_NAT, LB_METHOD_FULL_NAT}},
    {"192.0.2.5", 53, IPPROTO_UDP, LB_SCHEDULE_OVF, LB_ONE_PACKET, {"10.0.0.1", "10.0.0.2"}, {LB_METHOD_IPIP, LB_METHOD_GUE}},
    {"192.0.2.6", 0, 0, LB_SCHEDULE_LBLCR, LB_TRACK | LB_PERSISTENT, {"10.0.0.1", "10.0.0.2"}, {LB_METHOD_IPIP, LB_METHOD_DIRECT}}, /* By mark. */
};

static struct world world;

static void put(enum native_lb_map map, const void *key, const void *value)
{
    REQUIRE(native_map_update(native_director_map(world.native, map), key, value, false) == 0);
}

/* All but one have agents, and each row had three owners before. */
static void make_history(uint32_t number, uint32_t n)
{
    struct lb_rows *rows = world_place(&world, NATIVE_LB_rows, number);

    for (uint32_t i = 0; i < n; i++) {
        struct lb_server_record *record = world_place(&world, NATIVE_LB_servers, number * 8 + i);

        record->copy[record->active].flags |= i == 3 ? 0 : LB_SERVER_SECOND_CHANCE;
    }
    for (uint32_t row = 0; row < LB_ROWS_BLOCK; row += 2)
        for (uint32_t i = 0; i < LB_PREVIOUS; i++)
            rows->row[row].previous[i] = (uint16_t)((row + i + 1) % n);
}

static void put_address(const char *text, uint32_t kind)
{
    struct lb_address key;

    frame_address(text, key.bytes);
    put(NATIVE_LB_chain_addresses, &key, &kind);
}

static void put_peer(const char *text, uint32_t length, uint32_t kind)
{
    struct lb_mark_key key = {.length = length};

    frame_address(text, key.destination);
    put(NATIVE_LB_chain_peers, &key, &kind);
}

/* The server that gives second chances: 10.0.0.1 and 2001:db8::1, with a connection of each family and a listener of IPv6 that takes cookies. */
static void make_server(void)
{
    static bool has_sockets;
    struct native_socket sockets[3] = {{.client_port = htons(4000), .port = htons(80), .state = BPF_TCP_ESTABLISHED},
                                       {.client_port = htons(4000), .port = htons(80), .state = BPF_TCP_ESTABLISHED},
                                       {.port = htons(80), .state = BPF_TCP_LISTEN, .takes_cookies = true}};

    put_address("10.0.0.1", CHAIN_ADDRESS_OWN);
    put_address("2001:db8::1", CHAIN_ADDRESS_OWN);
    put_address("192.0.2.1", CHAIN_ADDRESS_OWN | CHAIN_ADDRESS_VIRTUAL);
    put_address("2001:db8:5::1", CHAIN_ADDRESS_OWN | CHAIN_ADDRESS_VIRTUAL);
    put_peer("198.51.100.9", 128, CHAIN_PEER_SENDS);
    put_peer("2001:db8::", 64, CHAIN_PEER_SENDS | CHAIN_PEER_TAKES);
    put_peer("10.0.0.0", 96 + 28, CHAIN_PEER_SENDS | CHAIN_PEER_TAKES);
    *(struct chain_settings *)world_place(&world, NATIVE_LB_chain_settings, 0) =
        (struct chain_settings){.port = htons(6080), .mark = {2, 0x51, 0x84, 0x3c, 0x9a, 0x6e}, .hand_on_ns = 10000};
    *(struct chain_mss *)world_place(&world, NATIVE_LB_chain_mss, 0) = (struct chain_mss){htons(1356), htons(1336)};
    if (has_sockets) /* They are not of the tables. */
        return;
    frame_address("203.0.113.7", sockets[0].client);
    frame_address("192.0.2.1", sockets[0].address);
    frame_address("2001:db8:c::7", sockets[1].client);
    frame_address("2001:db8:5::1", sockets[1].address);
    frame_address("2001:db8:5::1", sockets[2].address);
    for (size_t i = 0; i < ARRAY_SIZE(sockets); i++)
        native_server_socket(world.native, &sockets[i]);
    has_sockets = true;
}

static void make_service(uint32_t number)
{
    struct lb_service *service = world_service(&world, number, services[number].address, services[number].port, services[number].protocol);
    uint32_t n = 0;

    service->schedule = (uint8_t)services[number].schedule;
    service->flags |= services[number].flags;
    service->half_open_limit = 3;
    service->persistence_s = 100;
    memset(service->persistence_mask, 0xff, 15);
    for (; n < 6 && services[number].servers[n]; n++) {
        struct lb_server *server = world_server(&world, number * 8 + n, services[number].servers[n], services[number].methods[n]);

        server->flags = LB_SERVER_CHECKSUM | (n == 2 ? LB_SERVER_REMOTE_CHECKSUM : 0);
        server->overhead += n == 2 ? 8 : 0;
        server->dscp = 5;
        server->port = services[number].methods[n] >= LB_METHOD_NAT ? htons(8080) : 0;
        world_load(&world, number * 8 + n)->upper = n ? 0 : 2;
    }
    world_members(&world, number, number * 8, n);
    if (services[number].schedule == LB_SCHEDULE_HASH)
        make_history(number, n);
    if (services[number].protocol)
        return;
    struct lb_mark_rule rule = {.mark = 9, .source_max = UINT16_MAX, .destination_max = UINT16_MAX};
    struct lb_mark_key prefix = {.length = 128};
    struct lb_mark_list list = {0, 1};
    struct lb_key_value value = {number};
    memcpy(prefix.destination, service->key.address, 16);
    service->key = (struct lb_key){.mark = 9};
    *(struct lb_mark_rule *)world_place(&world, NATIVE_LB_mark_rules, 0) = rule;
    put(NATIVE_LB_mark_places, &prefix, &list);
    put(NATIVE_LB_keys, &service->key, &value);
}

static void make_world(void)
{
    static const char *const clients[] = {"203.0.113.7", "203.0.113.8", "2001:db8:c::7"};

    for (uint32_t i = 0; i < ARRAY_SIZE(services); i++)
        make_service(i);
    for (uint32_t i = 0; i < ARRAY_SIZE(clients); i++) {
        struct native_route route = world_route(clients[i]);

        route.ifindex = CLIENT_DEVICE;
        native_director_route(world.native, &route);
    }
    frame_address("10.0.0.200", ((struct lb_local *)world_place(&world, NATIVE_LB_locals, 4))->address);
    frame_address("2001:db8::c8", ((struct lb_local *)world_place(&world, NATIVE_LB_locals, 5))->address);
    ((struct lb_local *)world_place(&world, NATIVE_LB_locals, 0))->given[0] = 4;
    ((struct lb_local *)world_place(&world, NATIVE_LB_locals, 0))->given[1] = 5;
    *world_settings(&world) = (struct lb_settings){.icmp_rate = 20, .has_translation = 1, .tcp_s = 900, .tcp_fin_s = 120, .udp_s = 300,
                                                  .has_any_port = 1, .has_marks = 1, .n_locals = {1, 1}, .secret = 7, .chain_port = htons(6080)};
    make_server();
}

static uint64_t n_drops(void)
{
    uint64_t sum = 0;

    for (unsigned reason = 0; reason < N_LB_DROP_REASONS; reason++)
        sum += world_drops(&world, (enum lb_drop_reason)reason);
    return sum;
}

static void check_packet(const struct native_verdict *out)
{
    const uint8_t *ip = out->frame + 14;
    size_t length;

    REQUIRE(out->size >= 34 && (ip[0] >> 4 == 4 || (ip[0] >> 4 == 6 && out->size >= 54)));
    REQUIRE(ip[0] >> 4 == 4 ? out->frame[12] == 0x08 && out->frame[13] == 0x00 : out->frame[12] == 0x86 && out->frame[13] == 0xdd);
    length = ip[0] >> 4 == 4 ? (size_t)ip[2] << 8 | ip[3] : 40 + ((size_t)ip[4] << 8 | ip[5]);
    REQUIRE(14 + length <= out->size);
}

static void run_frame(const uint8_t *bytes, size_t size, uint32_t device)
{
    uint64_t before = n_drops();
    struct native_verdict out = native_director_run(world.native, bytes, size, device);
    uint64_t counted = n_drops() - before;

    switch (out.action) {
    case XDP_PASS:
        REQUIRE(!counted && out.size == size && memcmp(out.frame, bytes, size) == 0);
        break;
    case XDP_DROP:
        REQUIRE(counted == 1 || counted == 2); /* The second: an ICMP error was due. */
        break;
    case XDP_TX: /* An ICMP error is sent back, a packet may be. */
        REQUIRE(counted <= 1);
        check_packet(&out);
        break;
    default:
        REQUIRE(out.action == XDP_REDIRECT && !counted);
        check_packet(&out);
    }
}

static const bool outcome_is_drop[CHAIN_MAX_OUTCOMES] = {
#define CHAIN_OUTCOME(name, is_drop, text) [CHAIN_##name] = (is_drop),
#include "weft/director/chain-outcomes.def"
#undef CHAIN_OUTCOME
};

/* What a server makes of a frame. */
static void run_at_server(const uint8_t *bytes, size_t size)
{
    const struct chain_settings *settings = world_place(&world, NATIVE_LB_chain_settings, 0);
    const struct chain_counters *counters = world_place(&world, NATIVE_LB_chain_counters, 0);
    struct chain_counters before = *counters;
    struct native_verdict out = native_server_run(world.native, bytes, size, CLIENT_DEVICE);
    uint64_t n = 0, n_dropped = 0;

    if (size >= 14 && memcmp(bytes + 6, settings->mark, sizeof(settings->mark)) == 0)
        return; /* Nobody knows it. */
    for (unsigned i = 0; i < CHAIN_MAX_OUTCOMES; i++) {
        n += counters->packets[i] - before.packets[i];
        n_dropped += outcome_is_drop[i] ? counters->packets[i] - before.packets[i] : 0;
    }
    REQUIRE(n <= 1 && n_dropped == (out.action == XDP_DROP) && (out.action == XDP_DROP || out.action == XDP_PASS || out.action == XDP_REDIRECT));
    if (out.action == XDP_REDIRECT || (out.action == XDP_PASS && n)) {
        REQUIRE(n && out.size < size);
        check_packet(&out);
    } else if (out.action == XDP_PASS) {
        REQUIRE(out.size == size && memcmp(out.frame, bytes, size) == 0);
    }
}

/* The same frame as one that leaves: the MSS and the checksum are what may differ. */
static void leave_server(const uint8_t *bytes, size_t size)
{
    const struct chain_counters *counters = world_place(&world, NATIVE_LB_chain_counters, 0);
    uint64_t before = counters->packets[CHAIN_mss_lowered], n;
    struct native_verdict out = native_server_answer(world.native, bytes, size);
    size_t n_different = 0;

    n = counters->packets[CHAIN_mss_lowered] - before;
    REQUIRE(out.size == size && n <= 1);
    for (size_t i = 0; i < size; i++)
        n_different += out.frame[i] != bytes[i];
    REQUIRE(n ? n_different && n_different <= 4 : !n_different);
}

static struct lb_server_load found[WORLD_SIZE];
static uint32_t half_open[WORLD_SIZE];

static uint32_t slots_used(void)
{
    const struct lb_sweeper *sweeper = world_place(&world, NATIVE_LB_sweeper, 0);

    return MIN(sweeper->next, (uint32_t)NATIVE_LB_SLOTS); /* They are given out from the first on. */
}

static void count_connection(const struct lb_conn *conn)
{
    if (conn->state == LB_CONN_NONE || conn->state >= LB_CONN_DEAD)
        return;
    REQUIRE(conn->server < WORLD_SIZE && conn->service < WORLD_SIZE);
    half_open[conn->service] += conn->state == LB_CONN_SYN_RECV;
    if (conn->state == LB_CONN_TEMPLATE)
        found[conn->server].persistent++;
    else if (conn->state == LB_CONN_FIN_WAIT || conn->state == LB_CONN_CLOSE)
        found[conn->server].inactive++;
    else
        found[conn->server].active++;
}

static void check_counts(void)
{
    memset(found, 0, sizeof(found));
    memset(half_open, 0, sizeof(half_open));
    for (uint32_t i = 0; i < slots_used(); i++)
        count_connection(world_place(&world, NATIVE_LB_conn_slots, i));
    for (uint32_t i = 0; i < WORLD_SIZE; i++) {
        const struct lb_server_load *load = world_load(&world, i);

        REQUIRE(load->active == found[i].active && load->inactive == found[i].inactive && load->persistent == found[i].persistent);
        REQUIRE(world_service_load(&world, i)->half_open == half_open[i]);
    }
}

/* As new.  Slots that were never given out were never touched, which spares 11 MB. */
static void clear_world(void)
{
    for (uint32_t i = 0; i < slots_used(); i++) {
        struct lb_conn *conn = world_place(&world, NATIVE_LB_conn_slots, i);
        uint32_t bucket = (uint32_t)conn_hash(&conn->key, world_settings(&world)->secret) & (NATIVE_LB_CONNECTIONS - 1);

        ((struct lb_heads *)world_place(&world, NATIVE_LB_conn_heads, bucket >> 1))->head[bucket & 1] = 0;
        memset(conn, 0, sizeof(*conn));
    }
    for (enum native_lb_map map = 0; map < N_NATIVE_LB_MAPS; map++)
        if (map != NATIVE_LB_conn_slots && map != NATIVE_LB_conn_heads)
            native_map_clear(native_director_map(world.native, map));
}

/* The slots that were ever given out are in the first stretch. */
static void sweep_round(void)
{
    ((struct lb_sweeper *)world_place(&world, NATIVE_LB_sweeper, 0))->hand = 0;
    native_director_sweep(world.native);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!world.native)
        world.native = native_director_new(WORLD_SIZE);
    REQUIRE(world.native);
    clear_world();
    make_world();
    for (unsigned n = 0; size >= 2 && n < 64; n++) {
        size_t length = data[1] * 8u - (data[0] >> 5);

        if (length < 14 || length > size - 2)
            break;
        if (data[0] & 2)
            native_director_advance(world.native, 60000000000ull);
        if (data[0] & 4)
            sweep_round();
        if (data[0] & 8) {
            run_at_server(data + 2, length);
            leave_server(data + 2, length);
        } else {
            run_frame(data + 2, length, data[0] & 1 ? SERVER_DEVICE : CLIENT_DEVICE);
        }
        data += 2 + length;
        size -= 2 + length;
    }
    check_counts();
    return 0;
}
