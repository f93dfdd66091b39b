/* The small world: see fixture.h. */
#include "fixture.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include "weft/dataplane/rules.h"

static void put(struct pipeline *pipeline, const char *table, const void *key, const void *value)
{
    if (pipeline_update(pipeline, table, key, value))
        abort();
}

struct port_config *fixture_port(struct pipeline *pipeline, uint32_t slot)
{
    struct port_record *record = pipeline_lookup(pipeline, "ports", &slot);

    return &record->config[record->active];
}

struct host_config *fixture_host(struct pipeline *pipeline, uint32_t slot)
{
    struct host_record *record = pipeline_lookup(pipeline, "hosts", &slot);

    return &record->config[record->active];
}

void fixture_rules(struct pipeline *pipeline, uint32_t set, const struct rule *rules, uint32_t n)
{
    for (uint32_t index = 0; index == 0 || index * RULES_PER_BLOCK < n; index++) {
        struct rules_block block = {.set = set, .index = index};
        for (uint32_t i = index * RULES_PER_BLOCK; i < n && block.n < RULES_PER_BLOCK; i++)
            block.rules[block.n++] = rules[i];
        rules_block_finish(&block);
        put(pipeline, "rules", &(struct rules_key){set, index}, &block);
    }
}

void fixture_policy(struct pipeline *pipeline, uint32_t slot, uint32_t egress, uint32_t ingress)
{
    fixture_port(pipeline, slot)->flags |= PORT_POLICY;
    put(pipeline, "policies", &slot, &(struct port_policy){{egress, ingress}});
}

void fixture_firewall(struct pipeline *pipeline, uint32_t set, const struct firewall_rule_row *rules, uint32_t n)
{
    for (uint32_t index = 0, next = 0; index == 0 || next < n; index++) {
        struct firewall_block block = {.set = set, .index = index};
        while (next < n && block.n < FIREWALL_RULES_PER_BLOCK)
            block.rules[block.n++] = rules[next++];
        block.is_last = next == n;
        put(pipeline, "firewall_rules", &(struct rules_key){set, index}, &block);
    }
}

struct port_counters *fixture_counters(struct pipeline *pipeline, uint32_t slot)
{
    return pipeline_lookup(pipeline, "port_counters", &slot);
}

void fixture_fdb(struct pipeline *pipeline, const char *table, uint32_t vni, const char *mac, uint32_t output)
{
    struct fdb_key key = {.vni = vni};
    struct output_value value = {vni, output};

    frame_mac(mac, key.mac);
    put(pipeline, table, &key, &value);
}

void fixture_flood(struct pipeline *pipeline, uint32_t vni, uint32_t index, uint32_t output)
{
    put(pipeline, "flood", &(struct flood_key){vni, index}, &(struct output_value){vni, output});
}

void fixture_neighbor(struct pipeline *pipeline, uint32_t vni, const char *address, const char *mac)
{
    struct neighbor_key key = {.vni = vni};
    struct neighbor_value value = {.check = vni};

    frame_address(address, key.address);
    frame_mac(mac, value.mac);
    put(pipeline, "neighbors", &key, &value);
}

struct router_port_config *fixture_router_port(struct pipeline *pipeline, uint32_t number)
{
    struct router_port_record *record = pipeline_lookup(pipeline, "router_ports", &number);

    return &record->config[record->active];
}

void fixture_route(struct pipeline *pipeline, uint32_t router, const char *prefix, uint32_t length, uint32_t flags, uint32_t port,
                   const char *next_hop)
{
    struct route_key key = {.prefix_length = 32 + length + (strchr(prefix, ':') ? 0 : 96), .router = router};
    struct route_value value = {.router = router, .flags = flags, .port = port};

    frame_address(prefix, key.address);
    for (uint32_t bit = key.prefix_length - 32; bit < 128; bit++) /* One prefix, one key: the kernel's table sees to that itself. */
        key.address[bit / 8] &= ~(0x80 >> bit % 8);
    if (next_hop)
        frame_address(next_hop, value.next_hop);
    put(pipeline, "routes", &key, &value);
}

void fixture_add_router_port(struct pipeline *pipeline, uint32_t number, uint32_t router, uint32_t vni, const char *mac, const char *ip4,
                             const char *ip6, uint16_t mtu)
{
    struct router_port_record *record = pipeline_lookup(pipeline, "router_ports", &number);
    struct router_port_config *config = &record->config[1];

    record->active = 1;
    *config = (struct router_port_config){.flags = ROUTER_PORT_UP, .router = router, .vni = vni, .generation = number + 90, .mtu = mtu};
    frame_mac(mac, config->mac);
    frame_address(ip4, config->ip4);
    frame_address(ip6, config->ip6);
    fixture_fdb(pipeline, "fdb", vni, mac, OUTPUT_ROUTER | number);
    fixture_neighbor(pipeline, vni, ip4, mac);
    fixture_neighbor(pipeline, vni, ip6, mac);
    fixture_route(pipeline, router, ip4, 32, ROUTE_LOCAL, number, NULL);
    fixture_route(pipeline, router, ip6, 128, ROUTE_LOCAL, number, NULL);
    fixture_route(pipeline, router, ip4, 24, 0, number, NULL);
    fixture_route(pipeline, router, ip6, 64, 0, number, NULL);
}

static void add_routers(struct pipeline *pipeline)
{
    fixture_add_router_port(pipeline, 1, 1, 7, "R", "10.0.0.254", "fd01::254", 1450);
    fixture_add_router_port(pipeline, 2, 1, 10, "S", "10.0.1.254", "fd02::254", 1400);
    fixture_add_router_port(pipeline, 3, 2, 10, "T", "10.0.1.253", "fd02::253", 1400);
    fixture_add_router_port(pipeline, 4, 2, 11, "U", "10.0.2.254", "fd03::254", 1450);
    fixture_route(pipeline, 1, "10.0.2.0", 24, 0, 2, "10.0.1.253");
    fixture_route(pipeline, 1, "fd03::", 64, 0, 2, "fd02::253");
    fixture_route(pipeline, 1, "10.7.0.0", 16, 0, 2, "10.0.1.99");
    fixture_route(pipeline, 1, "10.8.0.0", 16, ROUTE_MANY, 5, NULL);
    fixture_route(pipeline, 2, "10.8.0.0", 16, 0, 4, "10.0.2.1");
    fixture_route(pipeline, 2, "0.0.0.0", 0, 0, 3, "10.0.1.254");
    fixture_route(pipeline, 2, "::", 0, 0, 3, "fd02::254");
    for (uint32_t bucket = 0; bucket < NEXT_HOP_BUCKETS; bucket++) {
        struct next_hop_value hop = {.group = 5, .port = 2};
        frame_address(bucket % 2 ? "10.0.1.253" : "10.0.1.1", hop.next_hop);
        put(pipeline, "next_hops", &(struct next_hop_key){5, bucket}, &hop);
    }
    fixture_fdb(pipeline, "fdb", 10, "P", OUTPUT_REMOTE | 1);
    fixture_neighbor(pipeline, 10, "10.0.1.101", "P");
    fixture_neighbor(pipeline, 10, "fd02::101", "P");
}

static void add_port(struct pipeline *pipeline, uint32_t slot, uint32_t vni, const char *mac, const char *ip4, const char *ip6,
                     uint32_t flags)
{
    struct port_record *record = pipeline_lookup(pipeline, "ports", &slot);
    struct port_config *config = &record->config[1];
    uint32_t ifindex = 100 + slot;

    record->active = 1; /* Copy 0 stays empty: whoever reads it is wrong. */
    record->epoch = 10;
    *config = (struct port_config){.ifindex = ifindex, .flags = flags, .vni = vni, .project = vni, .mtu = 1450,
                                   .generation = slot + 50, .bum_rate = 100, .bum_burst = 100, .punt_rate = 10, .punt_burst = 2};
    frame_mac(mac, config->mac);
    frame_address(ip4, config->ip4);
    if (ip6)
        frame_address(ip6, config->ip6);
    put(pipeline, "interfaces", &ifindex, &slot);
    fixture_fdb(pipeline, "fdb", vni, mac, OUTPUT_LOCAL | slot);
    fixture_neighbor(pipeline, vni, ip4, mac);
    if (ip6)
        fixture_neighbor(pipeline, vni, ip6, mac);
}

static void add_host(struct pipeline *pipeline, uint32_t slot, const char *local, const char *remote, bool reachable, bool known)
{
    struct host_record *record = pipeline_lookup(pipeline, "hosts", &slot);
    struct host_config *config = &record->config[0];
    struct peer_value peer = {.host = slot};

    *config = (struct host_config){.ifindex = UNDERLAY_IFINDEX, .underlay_mtu = 1520, .flags = known ? HOST_MAC_KNOWN : 0,
                                   .generation = slot + 70,
                                   .key = (FIXTURE_KEY + 100 * slot) & FLOOD_KEY_MASK};
    frame_address(local, config->local);
    frame_address(remote, config->remote);
    if (reachable)
        memcpy(config->next_hop, config->remote, 16);
    if (known) {
        frame_mac("H", config->source_mac);
        frame_mac("O", config->next_hop_mac);
    }
    memcpy(&peer.check, config->remote + 12, 4);
    put(pipeline, "peers", config->remote, &peer);
}

static void add_pair(struct pipeline *pipeline, uint32_t slot, const char *address, uint32_t length, const char *mac)
{
    struct source_key key = {.prefix_length = 32 + length, .slot = slot};
    struct source_value value = {.slot = slot, .n_macs = 1};

    frame_address(address, key.address);
    frame_mac(mac, value.mac[0]);
    put(pipeline, "sources", &key, &value);
}

void fixture_fill(struct pipeline *pipeline)
{
    const uint32_t secure = PORT_SECURITY | PORT_ADMIN_UP, zero = 0;
    struct settings *settings = pipeline_lookup(pipeline, "settings", &zero);

    *settings = (struct settings){.n_ports = 16, .n_hosts = 16, .n_projects = 16, .n_flow_slots = FIXTURE_FLOW_SLOTS, .tunnel_ifindex = TUNNEL_IFINDEX,
                                  .tunnel_port = TUNNEL_PORT, .timeout_s = {30, 7200, 10, 30, 120, 20, 60, 0}, .hash_seed = 99,
                                  .flood_fan_out = 2, .relay_rate = 100, .relay_burst = 100};
    struct metadata_config *metadata = pipeline_lookup(pipeline, "metadata", &zero);
    metadata->ifindex = METADATA_IFINDEX;
    metadata->port[0] = htons(METADATA_AGENT_PORT);
    metadata->port[1] = htons(METADATA_AGENT_PORT + 1);
    frame_mac("Z", metadata->mac);
    add_port(pipeline, 1, 7, "A", "10.0.0.1", "fd01::1", secure | PORT_REDIRECT_PEER | PORT_DHCP4 | PORT_DHCP6 | PORT_RA);
    add_port(pipeline, 2, 7, "B", "10.0.0.2", "fd01::2", secure | PORT_REDIRECT_PEER);
    add_port(pipeline, 3, 8, "B", "10.0.0.2", "fd01::2", secure);
    add_port(pipeline, 4, 7, "D", "10.0.0.4", NULL, PORT_ADMIN_UP | PORT_MAY_LEARN);
    add_port(pipeline, 5, 7, "E", "10.0.0.5", NULL, PORT_SECURITY);
    add_port(pipeline, 6, 7, "F", "10.0.0.6", NULL, secure);
    fixture_port(pipeline, 6)->ifindex = 0;
    add_port(pipeline, 7, 9, "G", "10.0.0.7", NULL, secure | PORT_MAY_LEARN);
    add_port(pipeline, 8, 7, "H", "10.0.0.8", "fd01::8", secure);
    static const struct rule all[] = {{.flags = RULE_IPV4 | RULE_GROUP | RULE_GROUP_PREFIXES, .group = 5}, {.flags = RULE_IPV4, .number = 0xa4}, {.flags = RULE_IPV6, .number = 0xa6}};
    fixture_rules(pipeline, FIXTURE_ALLOW_ALL, all, sizeof(all) / sizeof(all[0]));
    put(pipeline, "verdict_config", &(uint32_t){0}, &(struct verdict_config){VERDICT_RATE_DEFAULT, VERDICT_BURST_DEFAULT});
    fixture_policy(pipeline, 8, FIXTURE_ALLOW_ALL, FIXTURE_ALLOW_ALL);
    add_port(pipeline, 10, 10, "J", "10.0.1.1", "fd02::1", secure | PORT_REDIRECT_PEER);
    fixture_port(pipeline, 10)->mtu = 1400;
    add_port(pipeline, 11, 11, "K", "10.0.2.1", "fd03::1", secure | PORT_REDIRECT_PEER);
    add_pair(pipeline, 7, "10.9.0.0", 96 + 16, "V");
    add_pair(pipeline, 1, "10.1.0.0", 96 + 16, "A");

    add_host(pipeline, 1, "192.0.2.1", "192.0.2.2", true, true);
    add_host(pipeline, 2, "2001:db8::1", "2001:db8::2", true, false);
    add_host(pipeline, 3, "192.0.2.1", "192.0.2.4", false, false);
    fixture_fdb(pipeline, "fdb", 7, "M", OUTPUT_REMOTE | 1);
    fixture_fdb(pipeline, "fdb", 7, "N", OUTPUT_REMOTE | 2);
    fixture_fdb(pipeline, "fdb", 7, "O", OUTPUT_REMOTE | 3);
    fixture_neighbor(pipeline, 7, "10.0.0.101", "M");
    fixture_neighbor(pipeline, 7, "fd01::101", "M");

    for (uint32_t vni = 7; vni <= 11; vni++) {
        put(pipeline, "networks", &vni, &(struct network_value){vni, 0, (__u16)vni});
        struct project_record project = {.max_half_open = 1000, .max_established = 1000, .max_learned = 1000};
        put(pipeline, "projects", &vni, &project);
    }
    const uint32_t members[] = {1, 2, 4, 5, 8};
    for (uint32_t i = 0; i < sizeof(members) / sizeof(members[0]); i++)
        fixture_flood(pipeline, 7, FLOOD_LOCAL | i, OUTPUT_LOCAL | members[i]);
    fixture_flood(pipeline, 7, FLOOD_TREE | 0, OUTPUT_REMOTE | 1);
    fixture_flood(pipeline, 7, FLOOD_TREE | 1, OUTPUT_REMOTE | 2);
    fixture_flood(pipeline, 7, FLOOD_FACTS | 0, 2);
    fixture_flood(pipeline, 7, FLOOD_FACTS | 1, FIXTURE_KEY);
    fixture_flood(pipeline, 8, FLOOD_LOCAL, OUTPUT_LOCAL | 3);
    fixture_flood(pipeline, 9, FLOOD_LOCAL, OUTPUT_LOCAL | 7);
    struct movable_key movable = {.vni = 7, .output = OUTPUT_LOCAL | 4}; /* Any unowned MAC. */
    put(pipeline, "movable", &movable, &(struct output_value){7, OUTPUT_LOCAL | 4});
    movable.output = OUTPUT_REMOTE | 1;
    frame_mac("V", movable.mac);
    put(pipeline, "movable", &movable, &(struct output_value){7, OUTPUT_REMOTE | 1});
    movable.vni = 9;
    movable.output = OUTPUT_LOCAL | 7;
    put(pipeline, "movable", &movable, &(struct output_value){9, OUTPUT_LOCAL | 7});
    add_routers(pipeline);
}

void fixture_nine_hosts(struct pipeline *pipeline)
{
    for (uint32_t slot = 4; slot < 11; slot++) {
        *fixture_host(pipeline, slot) = *fixture_host(pipeline, 1);
        fixture_host(pipeline, slot)->remote[15] = 100 + slot;
        fixture_host(pipeline, slot)->key = (FIXTURE_KEY + 100 * slot) & FLOOD_KEY_MASK;
        fixture_flood(pipeline, 7, FLOOD_TREE | (slot - 2), OUTPUT_REMOTE | slot);
    }
    fixture_flood(pipeline, 7, FLOOD_FACTS | 0, 9);
}

bool fixture_is_in_tree(struct pipeline *pipeline, uint32_t vni, uint32_t index)
{
    return pipeline_lookup(pipeline, "flood", &(struct flood_key){vni, FLOOD_TREE | index}) != NULL;
}

struct pipeline *fixture_new(void)
{
    struct pipeline *pipeline;

    if (pipeline_new(&(struct pipeline_sizes){16, 16, 16, FIXTURE_FLOW_SLOTS, 16}, &pipeline))
        abort();
    fixture_fill(pipeline);
    return pipeline;
}
