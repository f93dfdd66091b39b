/* An external network: see fixture-external.h. */
#include "fixture-external.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

static void put(struct pipeline *pipeline, const char *table, const void *key, const void *value)
{
    if (pipeline_update(pipeline, table, key, value))
        abort();
}

static uint32_t ipv4(const char *text)
{
    uint8_t bytes[16];
    uint32_t address;

    frame_address(text, bytes);
    memcpy(&address, bytes + 12, 4);
    return address;
}

void fixture_external_row(struct pipeline *pipeline, uint32_t vni, const char *address, const struct external_value *value)
{
    struct external_value row = *value;

    row.vni = vni;
    put(pipeline, "external", &(struct external_key){vni, ipv4(address)}, &row);
    if (row.kind != EXTERNAL_HOST && row.router_port) /* As compiler/nat.c does. */
        fixture_neighbor(pipeline, vni, address, row.router_port == 7 ? "h" : "g");
}

struct external_value *fixture_external_find(struct pipeline *pipeline, uint32_t vni, const char *address)
{
    return pipeline_lookup(pipeline, "external", &(struct external_key){vni, ipv4(address)});
}

void fixture_floating(struct pipeline *pipeline, uint32_t slot, const char *inside, const char *outside, uint32_t router_port, uint32_t object)
{
    put(pipeline, "floating", &(struct floating_key){slot, ipv4(inside)},
        &(struct floating_value){slot, ipv4(inside), router_port, object});
    ((struct floating_value *)pipeline_lookup(pipeline, "floating", &(struct floating_key){slot, ipv4(inside)}))->address = ipv4(outside);
    fixture_external_row(pipeline, 20, outside,
                         &(struct external_value){.kind = EXTERNAL_FLOATING, .output = OUTPUT_LOCAL | slot, .address = ipv4(inside),
                                                  .router_port = router_port, .object = object, .flags = EXTERNAL_ANNOUNCED});
}

static void add_forwarding(struct pipeline *pipeline, uint8_t protocol, uint16_t from, uint16_t to, uint16_t first, uint32_t output,
                           uint32_t object)
{
    put(pipeline, "forwarded",
        &(struct forwarding_key){.prefix_length = FORWARDING_PREFIX + 16, .vni = 20, .address = ipv4("203.0.113.13"), .port = htons(from), .protocol = protocol},
        &(struct external_value){.vni = 20, .kind = EXTERNAL_FORWARDED, .output = output, .address = ipv4("10.0.0.1"), .router_port = 5,
                                 .object = object, .port = to, .first = first});
}

static void add_block(struct pipeline *pipeline, const char *address, uint16_t first, uint32_t length, uint32_t output)
{
    put(pipeline, "snat_owners",
        &(struct snat_owner_key){.prefix_length = 64 + length, .vni = 20, .address = ipv4(address), .port = htons(first)},
        &(struct output_value){20, output});
}

static void add_uplink(struct pipeline *pipeline, uint32_t vlan, uint32_t vni)
{
    struct uplink_value value = {.ifindex = UPLINK_IFINDEX, .vlan = vlan, .vni = vni, .project = 7, .mtu = 1500};

    frame_mac("u", value.mac);
    put(pipeline, "uplinks", &(struct uplink_key){UPLINK_IFINDEX, vlan}, &value);
    put(pipeline, "uplinks", &(struct uplink_key){UPLINK_BY_VNI, vni}, &value);
}

static void add_gateways(struct pipeline *pipeline)
{
    put(pipeline, "gateways", &(struct flood_key){20, GATEWAYS_FACTS}, &(struct output_value){20, 2});
    put(pipeline, "gateways", &(struct flood_key){20, 0}, &(struct output_value){20, OUTPUT_REMOTE | 1});
    put(pipeline, "gateways", &(struct flood_key){20, 1}, &(struct output_value){20, OUTPUT_REMOTE | 2});
}

static void add_routers(struct pipeline *pipeline)
{
    const uint32_t external = ROUTER_PORT_UP | ROUTER_PORT_EXTERNAL | ROUTER_PORT_SNAT;

    fixture_add_router_port(pipeline, 5, 1, 20, "g", "203.0.113.10", "2001:db8:20::10", 1500);
    fixture_add_router_port(pipeline, 6, 3, 8, "c", "10.0.0.254", "fd01::254", 1450);
    fixture_add_router_port(pipeline, 7, 3, 20, "h", "203.0.113.20", "2001:db8:20::20", 1500);
    fixture_router_port(pipeline, 5)->flags = fixture_router_port(pipeline, 7)->flags = external;
    fixture_route(pipeline, 1, "203.0.113.0", 24, 0, 5, NULL);
    fixture_route(pipeline, 1, "0.0.0.0", 0, 0, 5, "203.0.113.1");
    fixture_route(pipeline, 1, "::", 0, 0, 5, "2001:db8:20::1");
    fixture_route(pipeline, 3, "10.0.0.0", 24, 0, 6, NULL);
    fixture_route(pipeline, 3, "203.0.113.0", 24, 0, 7, NULL);
    fixture_route(pipeline, 3, "0.0.0.0", 0, 0, 7, "203.0.113.1");
    fixture_neighbor(pipeline, 20, "203.0.113.1", "x");
    fixture_neighbor(pipeline, 20, "2001:db8:20::1", "x");
}

static void add_workload(struct pipeline *pipeline)
{
    const uint32_t slot = 12, ifindex = 112;
    struct port_record *record = pipeline_lookup(pipeline, "ports", &slot);

    *record = (struct port_record){.epoch = 10};
    record->config[0] = (struct port_config){.ifindex = ifindex, .flags = PORT_SECURITY | PORT_ADMIN_UP, .vni = 20, .project = 7, .mtu = 1500,
                                             .generation = slot + 50, .bum_rate = 100, .bum_burst = 100, .punt_rate = 10, .punt_burst = 2};
    frame_mac("e", record->config[0].mac);
    frame_address("203.0.113.77", record->config[0].ip4);
    put(pipeline, "interfaces", &ifindex, &slot);
    fixture_fdb(pipeline, "fdb", 20, "e", OUTPUT_LOCAL | slot);
    fixture_neighbor(pipeline, 20, "203.0.113.77", "e");
}

void fixture_external(struct pipeline *pipeline)
{
    const uint32_t vni = 20;

    put(pipeline, "networks", &vni, &(struct network_value){vni, 0, 7});
    add_routers(pipeline);
    fixture_floating(pipeline, 2, "10.0.0.2", "203.0.113.12", 5, 0x112);
    fixture_floating(pipeline, 3, "10.0.0.2", "203.0.113.23", 7, 0x123);
    fixture_floating(pipeline, 8, "10.0.0.8", "203.0.113.14", 5, 0x114);
    fixture_external_row(pipeline, 20, "203.0.113.101",
                         &(struct external_value){.kind = EXTERNAL_FLOATING, .output = OUTPUT_REMOTE | 1, .router_port = 5, .object = 0x1101});
    fixture_external_row(pipeline, 20, "203.0.113.13",
                         &(struct external_value){.kind = EXTERNAL_FORWARDED, .router_port = 5, .flags = EXTERNAL_ANNOUNCED});
    add_forwarding(pipeline, IPPROTO_TCP, 8080, 80, 8080, OUTPUT_LOCAL | 1, 0x8080);
    add_forwarding(pipeline, IPPROTO_TCP, 8081, 80, 8081, OUTPUT_LOCAL | 1, 0x8081);
    add_forwarding(pipeline, IPPROTO_TCP, 9000, 80, 9000, OUTPUT_REMOTE | 1, 0x9000);
    for (uint16_t port = 5000; port < 5010; port++)
        add_forwarding(pipeline, IPPROTO_UDP, port, 6000, 5000, OUTPUT_LOCAL | 1, 0x5000);
    fixture_external_row(pipeline, 20, "203.0.113.10",
                         &(struct external_value){.kind = EXTERNAL_ROUTER, .router_port = 5, .object = 0x1, .flags = EXTERNAL_ANNOUNCED});
    fixture_external_row(pipeline, 20, "203.0.113.20", &(struct external_value){.kind = EXTERNAL_ROUTER, .router_port = 7, .object = 0x3});
    fixture_external_row(pipeline, 20, "203.0.113.99", &(struct external_value){.kind = EXTERNAL_HOST});
    uint32_t port = 5;
    put(pipeline, "snat", &port, &(struct snat_config){5, ipv4("203.0.113.10"), 20, 1, 0x1, {{1024, 64}}});
    port = 7;
    put(pipeline, "snat", &port, &(struct snat_config){7, ipv4("203.0.113.20"), 20, 1, 0x3, {{1024, 16}}});
    add_block(pipeline, "203.0.113.10", 1024, 10, OUTPUT_LOCAL);
    add_block(pipeline, "203.0.113.10", 2048, 10, OUTPUT_REMOTE | 1);
    add_block(pipeline, "203.0.113.20", 1024, 12, OUTPUT_LOCAL);
    add_uplink(pipeline, 0, 20);
    add_uplink(pipeline, 5, 21);
    add_gateways(pipeline);
    add_workload(pipeline);
}
