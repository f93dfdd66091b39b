#include "world.h"

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

int world_setup(void **state)
{
    struct world *world = calloc(1, sizeof(*world));

    assert_non_null(world);
    world->native = native_director_new(WORLD_SIZE);
    assert_non_null(world->native);
    *state = world;
    return 0;
}

int world_teardown(void **state)
{
    struct world *world = *state;

    native_director_free(world->native);
    free(world);
    return 0;
}

void *world_place(struct world *world, enum native_lb_map map, uint32_t number)
{
    void *value = native_map_lookup(native_director_map(world->native, map), &number);

    assert_non_null(value);
    return value;
}

struct lb_service *world_service(struct world *world, uint32_t number, const char *address, uint16_t port, uint8_t protocol)
{
    struct lb_service_record *record = world_place(world, NATIVE_LB_services, number);
    struct lb_service *service = &record->copy[record->active];
    struct lb_key_value value = {number};

    *service = (struct lb_service){.key.port = htons(port), .key.protocol = protocol, .generation = 1, .schedule = LB_SCHEDULE_HASH,
                                   .flags = LB_HASH_SOURCE | LB_HASH_SOURCE_PORT, .rows = number, .members = number * 8};
    frame_address(address, service->key.address);
    assert_int_equal(0, native_map_update(native_director_map(world->native, NATIVE_LB_keys), &service->key, &value, false));
    struct lb_key address_only = {0};
    memcpy(address_only.address, service->key.address, 16);
    value.service = LB_NONE;
    assert_int_equal(0, native_map_update(native_director_map(world->native, NATIVE_LB_keys), &address_only, &value, false));
    return service;
}

struct native_route world_route(const char *address)
{
    struct native_route route = {.answer = BPF_FIB_LKUP_RET_SUCCESS, .ifindex = SERVER_DEVICE, .mtu = 1500};

    frame_address(address, route.address);
    frame_mac("R", route.destination);
    frame_mac("S", route.source);
    return route;
}

struct lb_server *world_server(struct world *world, uint32_t number, const char *address, enum lb_method method)
{
    struct lb_server_record *record = world_place(world, NATIVE_LB_servers, number);
    struct lb_server *server = &record->copy[record->active];
    struct native_route route = world_route(address);
    bool v6 = strchr(address, ':');
    uint8_t outer = v6 ? 40 : 20;

    *server = (struct lb_server){.generation = 1, .incarnation = number + 1, .method = method, .tunnel_port = htons(method == LB_METHOD_GUE ? 6080 : 4789)};
    frame_address(address, server->address);
    frame_address(v6 ? "2001:db8::d" : "198.51.100.9", server->source);
    server->overhead = method == LB_METHOD_IPIP    ? outer
                       : method == LB_METHOD_GUE   ? outer + 12
                       : method == LB_METHOD_GRE   ? outer + 8
                       : method == LB_METHOD_VXLAN ? outer + 30
                                                   : 0;
    native_director_route(world->native, &route);
    return server;
}

void world_members(struct world *world, uint32_t number, uint32_t first, uint32_t n)
{
    struct lb_service_record *record = world_place(world, NATIVE_LB_services, number);
    struct lb_service *service = &record->copy[record->active];
    struct lb_rows *rows = world_place(world, NATIVE_LB_rows, service->rows);

    service->n_rows = 251;
    service->n_members = n;
    for (uint32_t i = 0; i < n; i++)
        *(struct lb_member *)world_place(world, NATIVE_LB_members, service->members + i) = (struct lb_member){first + i, 1};
    for (uint32_t row = 0; row < service->n_rows; row++)
        rows->row[row] = LB_ROW_OF(row % n);
}

struct lb_member *world_member(struct world *world, uint32_t position)
{
    return world_place(world, NATIVE_LB_members, position);
}

struct lb_server_load *world_load(struct world *world, uint32_t number)
{
    return world_place(world, NATIVE_LB_server_load, number);
}

struct lb_service_load *world_service_load(struct world *world, uint32_t number)
{
    return world_place(world, NATIVE_LB_service_load, number);
}

struct lb_settings *world_settings(struct world *world)
{
    return world_place(world, NATIVE_LB_settings, 0);
}

size_t world_connections(struct world *world)
{
    const struct lb_conn *conns = world_place(world, NATIVE_LB_conn_slots, 0);
    size_t n = 0;

    for (uint32_t i = 0; i < NATIVE_LB_SLOTS; i++)
        n += conns[i].state != LB_CONN_NONE && conns[i].state != LB_CONN_OUT;
    return n;
}

struct native_verdict world_run(struct world *world, const struct frame *frame)
{
    return native_director_run(world->native, frame->bytes, frame->size, CLIENT_DEVICE);
}

struct native_verdict world_send(struct world *world, const char *text)
{
    struct frame frame;

    frame_parse(text, &frame);
    return world_run(world, &frame);
}

uint64_t world_drops(struct world *world, enum lb_drop_reason reason)
{
    return ((struct lb_drops *)world_place(world, NATIVE_LB_drops, 0))->packets[reason];
}

struct lb_server_use *world_server_use(struct world *world, uint32_t number)
{
    return world_place(world, NATIVE_LB_server_use, number);
}

struct lb_service_use *world_service_use(struct world *world, uint32_t number)
{
    return world_place(world, NATIVE_LB_service_use, number);
}

/* ---- checksums, the slow way ------------------------------------------------------------------------------------------------ */

static uint32_t sum_bytes(uint32_t sum, const uint8_t *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++)
        sum += (uint32_t)bytes[i] << (i & 1 ? 0 : 8);
    while (sum >> 16)
        sum = (sum & 0xffff) + (sum >> 16);
    return sum;
}

static uint32_t pseudo_sum(const uint8_t *ip, uint8_t protocol, size_t size)
{
    bool v6 = ip[0] >> 4 == 6;

    return sum_bytes(protocol + (uint32_t)size, ip + (v6 ? 8 : 12), v6 ? 32 : 8);
}

static size_t get16(const uint8_t *bytes)
{
    return (size_t)bytes[0] << 8 | bytes[1];
}

static uint8_t ip_parts(const uint8_t *ip, size_t *header, size_t *size)
{
    bool v6 = ip[0] >> 4 == 6;

    *header = v6 ? 40 : (ip[0] & 15) * 4u;
    *size = v6 ? 40 + get16(ip + 4) : get16(ip + 2);
    return v6 ? ip[6] : ip[9];
}

static size_t checksum_place(uint8_t protocol)
{
    return protocol == IPPROTO_TCP ? 16 : protocol == IPPROTO_UDP ? 6 : protocol == IPPROTO_ICMPV6 || protocol == IPPROTO_ICMP ? 2 : 0;
}

void frame_finish(struct frame *frame, uint8_t traffic_class)
{
    uint8_t *ip = frame->bytes + 14;
    size_t header, size, place_at;
    uint8_t protocol = ip_parts(ip, &header, &size);
    uint32_t sum;

    if (ip[0] >> 4 == 6) {
        ip[0] = (uint8_t)(0x60 | traffic_class >> 4);
        ip[1] = (uint8_t)((ip[1] & 0x0f) | traffic_class << 4);
    } else {
        ip[1] = traffic_class;
        ip[10] = ip[11] = 0;
        sum = ~sum_bytes(0, ip, header);
        ip[10] = (uint8_t)(sum >> 8);
        ip[11] = (uint8_t)sum;
        if (get16(ip + 6) & 0x3fff)
            return;
    }
    place_at = checksum_place(protocol);
    if (!place_at)
        return;
    ip[header + place_at] = ip[header + place_at + 1] = 0;
    sum = protocol == IPPROTO_ICMP ? 0 : pseudo_sum(ip, protocol, size - header);
    sum = ~sum_bytes(sum, ip + header, size - header);
    ip[header + place_at] = (uint8_t)(sum >> 8);
    ip[header + place_at + 1] = (uint8_t)sum;
}

void assert_checksums(const uint8_t *frame, size_t frame_size, size_t offset)
{
    const uint8_t *ip = frame + offset;
    size_t header, size;
    uint8_t protocol = ip_parts(ip, &header, &size);
    const uint8_t *l4 = ip + header;

    assert_true(offset + size <= frame_size);
    if (ip[0] >> 4 == 4) {
        assert_int_equal(0xffff, sum_bytes(0, ip, header));
        if (get16(ip + 6) & 0x3fff)
            return;
    }
    if (protocol == IPPROTO_ICMP)
        assert_int_equal(0xffff, sum_bytes(0, l4, size - header));
    else if (protocol == IPPROTO_GRE && l4[0] & 0x80)
        assert_int_equal(0xffff, sum_bytes(0, l4, size - header));
    else if (checksum_place(protocol) && (protocol != IPPROTO_UDP || get16(l4 + 6)))
        assert_int_equal(0xffff, sum_bytes(pseudo_sum(ip, protocol, size - header), l4, size - header));
    if (protocol == IPPROTO_IPIP || protocol == IPPROTO_IPV6)
        assert_checksums(frame, frame_size, offset + header);
    else if (protocol == IPPROTO_GRE)
        assert_checksums(frame, frame_size, offset + header + (l4[0] & 0x80 ? 8 : 4));
    else if (protocol == IPPROTO_UDP && get16(l4 + 2) == 6080 && !(l4[8] & 31)) /* With options the inner one may be the server's to compute. */
        assert_checksums(frame, frame_size, offset + header + 12);
    else if (protocol == IPPROTO_UDP && get16(l4 + 2) == 4789)
        assert_checksums(frame, frame_size, offset + header + 30);
}

static int digit(char c)
{
    return c <= '9' ? c - '0' : c - 'a' + 10;
}

size_t assert_bytes(const uint8_t *bytes, size_t size, const char *hex)
{
    size_t n = 0; /* Half bytes. */

    for (; *hex; hex++) {
        if (*hex == ' ')
            continue;
        assert_true(n / 2 < size);
        int half = n & 1 ? bytes[n / 2] & 15 : bytes[n / 2] >> 4;
        if (*hex != '.' && half != digit(*hex))
            fail_msg("byte %zu is %02x, its half not %c", n / 2, bytes[n / 2], *hex);
        n++;
    }
    return n / 2;
}
