/* Load balancers: see fixture-balancing.h. */
#include "fixture-balancing.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "fixture-external.h"
#include "weft/base/util.h"

static void put(struct pipeline *pipeline, const char *table, const void *key, const void *value)
{
    if (pipeline_update(pipeline, table, key, value))
        abort();
}

struct service_member *fixture_member(struct pipeline *pipeline, uint32_t number)
{
    return pipeline_lookup(pipeline, "service_members", &number);
}

/* One of the second load balancer's addresses, on the external network. */
static bool is_outside(const char *address)
{
    return strcmp(address, "203.0.113.230") == 0 || strcmp(address, "2001:db8:20::230") == 0;
}

static struct service_key service_key(const char *address, uint8_t protocol, uint16_t port)
{
    struct service_key key = {.vni = is_outside(address) ? 20 : 7, .port = htons(port), .protocol = protocol};

    frame_address(address, key.address);
    return key;
}

struct service_value *fixture_service(struct pipeline *pipeline, const char *address, uint8_t protocol, uint16_t port)
{
    struct service_key key = service_key(address, protocol, port);

    return pipeline_lookup(pipeline, "services", &key);
}

static void add_service(struct pipeline *pipeline, const char *address, uint8_t protocol, uint16_t port, const struct service_value *value)
{
    struct service_key key = service_key(address, protocol, port);
    struct service_value row = *value;

    row.vni = key.vni;
    row.port = key.port;
    row.protocol = protocol;
    row.balancer = FIXTURE_BALANCER + is_outside(address);
    row.seed = 4711;
    memcpy(&row.check, key.address + 12, 4);
    frame_mac(is_outside(address) ? "v" : "L", row.mac);
    put(pipeline, "services", &key, &row);
}

static void add_pool(struct pipeline *pipeline, uint32_t pool, uint32_t n_rows, uint16_t first, uint16_t second)
{
    struct service_rows rows = {.pool = pool, .index = SERVICE_ROWS_INDEX(n_rows, 0)};

    for (uint32_t i = 0; i < n_rows; i++)
        rows.rows[i].owner = i % 2 ? second : first;
    put(pipeline, "service_rows", &(struct service_rows_key){pool, rows.index}, &rows);
}

static void add_listener(struct pipeline *pipeline, uint32_t listener, uint8_t flags, uint32_t limit, uint16_t first, uint16_t second)
{
    static const uint8_t protocols[] = {IPPROTO_TCP, IPPROTO_UDP, IPPROTO_SCTP};
    uint32_t n_rows = !first ? 0 : first == second ? 1 : 10;

    for (uint32_t ipv6 = 0; ipv6 < 2; ipv6++) {
        struct service_value value = {.flags = flags, .listener = listener, .pool = listener + 20 * ipv6, .n_rows = n_rows, .limit = limit,
                                      .source_length = ipv6 ? 64 : 96 + 24};

        if (n_rows)
            add_pool(pipeline, value.pool, n_rows, (uint16_t)(first + 5 * ipv6), (uint16_t)(second + 5 * ipv6));
        for (size_t i = 0; i < ARRAY_SIZE(protocols); i++)
            add_service(pipeline, ipv6 ? "fd01::200" : "10.0.0.200", protocols[i], (uint16_t)(79 + listener), &value);
    }
}

static void add_member(struct pipeline *pipeline, uint32_t number, uint32_t vni, const char *address, const char *mac, uint16_t port, uint32_t output)
{
    struct service_member member = {.number = number, .name = {0x70000000u | number, 0xab}, .flags = SERVICE_MEMBER_UP, .balancer = FIXTURE_BALANCER,
                                    .vip_vni = 7, .vni = vni, .output = output, .port = htons(port), .mtu = 1450};

    frame_address(address, member.address);
    frame_mac(mac, member.mac);
    put(pipeline, "service_members", &number, &member);
    put(pipeline, "service_names", &member.name, &number);
}

static void add_source(struct pipeline *pipeline, uint32_t listener, const char *address)
{
    struct service_source_key key = {.prefix_length = 32 + 128, .listener = listener};
    uint64_t value = (uint64_t)(strchr(address, ':') ? RULE_IPV6 : RULE_IPV4) << 32 | listener;

    frame_address(address, key.address);
    put(pipeline, "service_sources", &key, &value);
}

void fixture_balancing(struct pipeline *pipeline)
{
    static const char *const addresses[2][5] = {{"10.0.0.2", "10.0.0.101", "10.0.0.1", "10.0.0.8", "10.0.2.1"},
                                                {"fd01::2", "fd01::101", "fd01::1", "fd01::8", "fd03::1"}};
    const struct service_value address = {.flags = SERVICE_UP};

    fixture_fdb(pipeline, "fdb", 7, "L", OUTPUT_SERVICE);
    for (uint32_t ipv6 = 0; ipv6 < 2; ipv6++) {
        const char *vip = ipv6 ? "fd01::200" : "10.0.0.200";
        uint32_t first = 1 + 5 * ipv6;

        fixture_neighbor(pipeline, 7, vip, "L");
        add_service(pipeline, vip, 0, 0, &address);
        add_member(pipeline, first, 7, addresses[ipv6][0], "B", 8080, OUTPUT_LOCAL | 2);
        add_member(pipeline, first + 1, 7, addresses[ipv6][1], "M", 8080, OUTPUT_REMOTE | 1);
        add_member(pipeline, first + 2, 7, addresses[ipv6][2], "A", 8081, OUTPUT_LOCAL | 1);
        add_member(pipeline, first + 3, 7, addresses[ipv6][3], "H", 8080, OUTPUT_LOCAL | 8);
        add_member(pipeline, first + 4, 11, addresses[ipv6][4], "K", 8080, OUTPUT_LOCAL | 11);
    }
    add_listener(pipeline, 1, SERVICE_UP, 0, 1, 2);
    add_listener(pipeline, 2, SERVICE_UP, 0, 1, 1);
    add_listener(pipeline, 3, SERVICE_UP, 0, 2, 2);
    add_listener(pipeline, 4, SERVICE_UP, 0, 3, 3);
    add_listener(pipeline, 5, SERVICE_UP, 0, 4, 4);
    add_listener(pipeline, 6, SERVICE_UP, 0, 5, 5);
    add_listener(pipeline, 7, SERVICE_UP, 0, 0, 0);
    add_listener(pipeline, 8, SERVICE_UP | SERVICE_RESTRICTED, 0, 1, 2);
    add_listener(pipeline, 9, SERVICE_UP | SERVICE_BY_SOURCE, 0, 1, 2);
    add_listener(pipeline, 10, 0, 0, 1, 1);
    add_listener(pipeline, 11, SERVICE_UP | SERVICE_LEAST, 0, 1, 2);
    add_listener(pipeline, 12, SERVICE_UP, 2, 1, 1);
    add_source(pipeline, 8, "10.0.0.2");
    add_source(pipeline, 8, "fd01::2");
}

void fixture_balancing_outside(struct pipeline *pipeline)
{
    struct external_value value = {.kind = EXTERNAL_SERVICE, .output = OUTPUT_SERVICE | 7, .address = inet_addr("10.0.0.200"), .router_port = 5,
                                   .object = 0x1200, .flags = EXTERNAL_ANNOUNCED};

    fixture_external_row(pipeline, 20, "203.0.113.222", &value);
    fixture_route(pipeline, ROUTER_OUTSIDE | 20, "fd01::", 64, 0, 5, NULL);
}

void fixture_balancing_vip(struct pipeline *pipeline)
{
    static const struct external_value value = {.kind = EXTERNAL_SERVICE, .output = OUTPUT_SERVICE | 20, .router_port = 8, .object = FIXTURE_BALANCER + 1,
                                                .flags = EXTERNAL_ANNOUNCED};
    static const char *const vips[] = {"203.0.113.230", "2001:db8:20::230"};
    const uint32_t routes = ROUTER_SERVICE | 8, number = 8;
    struct router_port_record *record = pipeline_lookup(pipeline, "router_ports", &number);
    struct router_port_config *config = &record->config[1];

    record->active = 1; /* As compiler/vips.c does. */
    *config = (struct router_port_config){.flags = ROUTER_PORT_UP | ROUTER_PORT_EXTERNAL | ROUTER_PORT_SERVICE | ROUTER_PORT_ANNOUNCED, .router = routes,
                                          .vni = 20, .generation = 98, .mtu = 1500};
    frame_mac("v", config->mac);
    frame_address(vips[0], config->ip4);
    frame_address(vips[1], config->ip6);
    fixture_fdb(pipeline, "fdb", 20, "v", OUTPUT_SERVICE | number);
    fixture_route(pipeline, routes, "203.0.113.0", 24, 0, number, NULL);
    fixture_route(pipeline, routes, "2001:db8:20::", 64, 0, number, NULL);
    fixture_route(pipeline, routes, "0.0.0.0", 0, 0, number, "203.0.113.1");
    fixture_route(pipeline, routes, "::", 0, 0, number, "2001:db8:20::1");
    fixture_route(pipeline, routes, "10.0.0.0", 24, ROUTE_LOCAL, number, NULL);
    fixture_route(pipeline, routes, "fd01::", 64, ROUTE_LOCAL, number, NULL);
    fixture_external_row(pipeline, 20, vips[0], &value);
    fixture_external_find(pipeline, 20, vips[0])->address = inet_addr(vips[0]);
    add_member(pipeline, 11, 7, "10.0.0.2", "B", 8080, OUTPUT_LOCAL | 2);
    add_member(pipeline, 12, 7, "10.0.0.101", "M", 8080, OUTPUT_REMOTE | 1);
    add_member(pipeline, 13, 7, "fd01::2", "B", 8080, OUTPUT_LOCAL | 2);
    add_member(pipeline, 14, 7, "fd01::101", "M", 8080, OUTPUT_REMOTE | 1);
    for (uint32_t member = 11; member <= 14; member++) {
        fixture_member(pipeline, member)->balancer = FIXTURE_BALANCER + 1;
        fixture_member(pipeline, member)->vip_vni = 20;
    }
    for (uint32_t ipv6 = 0; ipv6 < 2; ipv6++) {
        static const uint8_t protocols[] = {0, IPPROTO_TCP, IPPROTO_UDP};

        fixture_neighbor(pipeline, 20, vips[ipv6], "v");
        for (size_t i = 0; i < ARRAY_SIZE(protocols); i++)
            for (uint32_t listener = 13; listener < 15; listener++) {
                struct service_value row = {.flags = SERVICE_UP, .listener = listener, .pool = listener + 20 * ipv6, .n_rows = 1};
                uint16_t owner = (uint16_t)(listener - 2 + 2 * ipv6);

                add_pool(pipeline, row.pool, 1, owner, owner);
                add_service(pipeline, vips[ipv6], protocols[i], (uint16_t)(protocols[i] ? 79 + listener : 0), &row);
            }
    }
}

void fixture_row_history(struct pipeline *pipeline, uint32_t pool, uint16_t first, uint16_t second, uint16_t third)
{
    struct service_rows *rows = pipeline_lookup(pipeline, "service_rows", &(struct service_rows_key){pool, SERVICE_ROWS_INDEX(1, 0)});

    if (!rows) /* Of several members: see add_listener. */
        rows = pipeline_lookup(pipeline, "service_rows", &(struct service_rows_key){pool, SERVICE_ROWS_INDEX(10, 0)});
    for (size_t i = 0; rows && i < SERVICE_ROWS_PER_BLOCK; i++) {
        rows->rows[i].previous[0] = first;
        rows->rows[i].previous[1] = second;
        rows->rows[i].previous[2] = third;
    }
}
