/* The kernel's build of the pipeline against the native one: random frames over random tables through BPF_PROG_TEST_RUN and
 * through pipeline_run().  After each frame: the verdict, the frame's bytes, every port's counters (so also the drop
 * reason) and what was punted are the same; after each world, so are the maps that the pipeline writes.
 *
 * In the end two CPUs begin and end the same connections of a load balancer, and it is counted how many there are; and begin two that would have one
 * name at their member.  And the kernel's sweeper, which stands still before, ends what the native one does.
 *
 *     differential [FRAMES [SEED]]      needs root; exit code 77 without it
 *
 * Works in a network namespace of its own, with veth devices whose indices are those of the fixture: copies of flooded
 * frames really leave through them.  Where redirects lead is seen in the counters of the receiving port and in the outer
 * headers. */
#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <sys/mman.h>
#include <unistd.h>

#include <linux/if_ether.h>
#include <linux/pkt_cls.h>

#include "fixture-balancing.h"
#include "fixture-external.h"
#include "weft/base/util.h"
#include "weft/dataplane/weft.skel.h"

#define FRAMES_PER_WORLD 200
#define N_SLOTS 16
#define FAR_FUTURE_NS (1ull << 62) /* Buckets that were filled then are not refilled now: time plays no part. */

static struct weft_bpf *skeleton;
static int n_cpus;
static uint64_t random_state;
static uint64_t seed;

static uint32_t random_below(uint32_t bound)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (uint32_t)(random_state >> 16) % bound;
}

static bool chance(uint32_t percent)
{
    return random_below(100) < percent;
}

static void die(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));
static void die(const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fprintf(stderr, " (seed %llu)\n", (unsigned long long)seed);
    exit(1);
}

/* ---- the kernel's side ---------------------------------------------------------------------------------------------------- */

static void shell(const char *format, ...) __attribute__((format(printf, 1, 2)));
static void shell(const char *format, ...)
{
    char command[300];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(command, sizeof(command), format, arguments);
    va_end(arguments);
    if (system(command) != 0)
        die("'%s' failed", command);
}

static void make_devices(void)
{
    if (unshare(CLONE_NEWNET))
        die("cannot make a network namespace: %s", strerror(errno));
    for (unsigned index = 101; index <= UPLINK_IFINDEX; index++)
        shell("ip link add name p%u index %u type veth peer name q%u index %u && ip link set p%u up && ip link set q%u up", index,
              index, index, index + 300, index, index);
    for (unsigned index = TUNNEL_IFINDEX; index <= METADATA_IFINDEX; index++)
        shell("ip link add name p%u index %u address 02:00:00:00:00:48 type veth peer name q%u index %u && ip link set p%u up && "
              "ip link set q%u up", index, index, index, index + 300, index, index);
}

static int map_fd(const char *name)
{
    return bpf_object__find_map_fd_by_name(skeleton->obj, name);
}

/* Of the kernel's table of connections. */
static struct flow_entry *places;
static struct flow_heads *heads;

static void *map_array(const char *name, size_t size)
{
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, map_fd(name), 0);

    if (memory == MAP_FAILED)
        die("cannot map '%s': %s", name, strerror(errno));
    return memory;
}

static bool is_connection(const struct flow_entry *entry)
{
    return entry->state != FLOW_FREE && entry->state < FLOW_CLAIMED;
}

static void load(void)
{
    struct bpf_map *map;

    libbpf_set_strict_mode(LIBBPF_STRICT_ALL);
    skeleton = weft_bpf__open();
    if (!skeleton)
        die("cannot open the object");
    bpf_object__for_each_map(map, skeleton->obj) {
        const char *name = bpf_map__name(map);
        if (streq(name, "ports") || streq(name, "port_runtime") || streq(name, "port_counters") || streq(name, "hosts") ||
            streq(name, "host_runtime") || streq(name, "projects") || streq(name, "policies") || streq(name, "router_ports") ||
            streq(name, "router_port_runtime") || streq(name, "metadata_budget") || streq(name, "outside_budget") || streq(name, "fragments") ||
            streq(name, "half_open") || streq(name, "verdict_runtime") || streq(name, "router_verdict_runtime") || streq(name, "service_counters") || streq(name, "listener_use") ||
            streq(name, "member_use"))
            bpf_map__set_max_entries(map, N_SLOTS);
    }
    bpf_map__set_max_entries(skeleton->maps.connections, FIXTURE_FLOW_SLOTS);
    bpf_map__set_max_entries(skeleton->maps.flow_heads, FIXTURE_FLOW_SLOTS / 2);
    skeleton->rodata->flow_n_slots = FIXTURE_FLOW_SLOTS;
    if (weft_bpf__load(skeleton))
        die("cannot load the object");
    places = map_array("connections", FIXTURE_FLOW_SLOTS * sizeof(*places));
    heads = map_array("flow_heads", FIXTURE_FLOW_SLOTS / 2 * sizeof(*heads));
    n_cpus = libbpf_num_possible_cpus();
}

static const char *const hashes[] = {"interfaces", "sources", "networks", "fdb", "learned", "movable", "neighbors", "flood", "peers",
                                     "rules", "firewall_rules", "members", "member_prefixes", "routes", "next_hops", "floating", "external", "forwarded",
                                     "snat", "snat_owners", "gateways", "uplinks", "aliases", "portless", "uplink_budget",
                                     "services", "service_sources", "service_rows", "service_members", "service_names", "balanced", "balanced_names",
                                     "probe_targets", "probes"};
static const char *const arrays[] = {"ports", "port_runtime", "hosts", "host_runtime", "projects", "policies", "router_ports", "router_port_runtime",
                                     "outside_budget", "metadata_budget", "fragments", "outside_fragments", "half_open", "verdict_runtime", "router_verdict_runtime", "listener_use", "member_use", "metadata", "verdict_config", "settings"};
static const char *const singles[] = {"metadata", "verdict_config", "settings"}; /* Of these: arrays of one. */

static void empty_hash(const char *name)
{
    uint8_t key[64], next[64];
    bool is_last = bpf_map_get_next_key(map_fd(name), NULL, next) != 0;

    while (!is_last) { /* The next one before this one is gone: from nowhere, the kernel would look from the beginning. */
        memcpy(key, next, sizeof(key));
        is_last = bpf_map_get_next_key(map_fd(name), key, next) != 0;
        bpf_map_delete_elem(map_fd(name), key);
    }
}

static void copy_entry(void *key, void *value, void *context)
{
    if (bpf_map_update_elem(map_fd(context), key, value, BPF_ANY))
        die("cannot write map '%s': %s", (const char *)context, strerror(errno));
}

/* The next connection takes the first free place: as natively.  No timer runs in the kernel: it would take away what has ended while the maps are compared,
 * on a machine where that takes long. */
static void copy_connections(struct pipeline *pipeline)
{
    const uint32_t zero = 0;
    const struct sweeper *native = pipeline_lookup(pipeline, "sweeper", &zero);
    struct sweeper nobody = {.version = SWEEP_VERSION, .next = native->next};

    memcpy(places, pipeline_places(pipeline), FIXTURE_FLOW_SLOTS * sizeof(*places));
    memcpy(heads, pipeline_lookup(pipeline, "flow_heads", &zero), FIXTURE_FLOW_SLOTS / 2 * sizeof(*heads));
    copy_entry((void *)&zero, &nobody, "sweeper");
}

/* Makes the kernel's maps hold what the native tables do. */
static void copy_tables(struct pipeline *pipeline)
{
    static uint8_t zero[sizeof(struct port_counters) * 256];

    for (size_t i = 0; i < ARRAY_SIZE(hashes); i++) {
        empty_hash(hashes[i]);
        pipeline_visit(pipeline, hashes[i], copy_entry, (void *)hashes[i]);
    }
    for (size_t i = 0; i < ARRAY_SIZE(arrays); i++)
        for (uint32_t index = 0; index < (i < ARRAY_SIZE(arrays) - ARRAY_SIZE(singles) ? N_SLOTS : 1); index++)
            copy_entry(&index, pipeline_lookup(pipeline, arrays[i], &index), (void *)arrays[i]);
    for (uint32_t slot = 0; slot < N_SLOTS; slot++) {
        copy_entry(&slot, zero, "port_counters");
        copy_entry(&slot, zero, "service_counters");
    }
    copy_connections(pipeline);
}

/* ---- random tables and frames --------------------------------------------------------------------------------------------- */

static const char macs[] = "ABDEFGHLMNOVWXYZJKPRSTU";
static const char *const ipv4s[] = {"10.0.0.1", "10.0.0.2", "10.0.0.4", "10.0.0.5", "10.0.0.6", "10.0.0.7", "10.0.0.8", "10.0.0.101",
                                    "10.0.0.102", "10.1.2.3", "10.9.0.1", "10.0.0.99", "0.0.0.0", "224.0.0.5", "255.255.255.255", "10.0.1.1", "10.0.2.1",
                                    "10.0.0.254", "10.0.1.101"};
static const char *const ipv6s[] = {"fd01::1", "fd01::2", "fd01::8", "fd01::101", "fe80::ff:fe00:41", "fe80::1", "::", "ff02::1",
                                    "ff02::1:ff00:2", "fd01::99", "fd02::1", "fd03::1", "fd01::254", "fd02::101"};
/* Where routers may be asked to send something. */
static const char *const far4s[] = {"10.0.1.1", "10.0.1.1", "10.0.2.1", "10.0.2.1", "10.0.0.1", "10.0.0.2", "10.0.1.101", "10.0.1.254", "10.0.2.254",
                                    "10.0.0.254", "10.0.1.77", "10.7.0.1", "10.8.0.1", "10.8.0.9", "10.99.0.1", "169.254.0.1", "224.0.0.9"};
static const char *const far6s[] = {"fd02::1", "fd02::1", "fd03::1", "fd03::1", "fd01::1", "fd01::2", "fd02::101", "fd02::254", "fd03::254",
                                    "fd01::254", "fd02::77", "fd99::1", "fe80::ff:fe00:52", "fe80::1", "::ffff:10.0.1.1"};
static const char *const outers[] = {"192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.4", "2001:db8::1", "2001:db8::2", "2001:db8::9"};
#define PICK(array) ((array)[random_below(ARRAY_SIZE(array))])
#define PICK_MAC() (macs[random_below(sizeof(macs) - 1)])

static uint32_t random_output(void)
{
    uint32_t kinds[] = {OUTPUT_LOCAL, OUTPUT_REMOTE, OUTPUT_LOCAL, OUTPUT_NONE, OUTPUT_ROUTER};

    return PICK(kinds) | random_below(10);
}

/* More hosts, and a fan-out that they do not fit in; keys and counts that are not always right. */
static void random_tree(struct pipeline *pipeline)
{
    const uint32_t zero = 0;
    struct settings *settings = pipeline_lookup(pipeline, "settings", &zero);
    uint32_t n = random_below(12);

    settings->flood_fan_out = random_below(5);
    settings->relay_rate = chance(95);
    settings->relay_burst = 1000;
    for (uint32_t slot = 4; slot < N_SLOTS; slot++) {
        *fixture_host(pipeline, slot) = *fixture_host(pipeline, 1);
        fixture_host(pipeline, slot)->key = chance(95) ? (FIXTURE_KEY + 100 * slot) & FLOOD_KEY_MASK : random_below(FLOOD_KEY_MASK);
    }
    for (uint32_t slot = 0; slot < N_SLOTS; slot++) {
        struct host_runtime *runtime = pipeline_lookup(pipeline, "host_runtime", &slot);
        runtime->relay_time_ns = FAR_FUTURE_NS;
        runtime->relay_tokens = random_below(300);
    }
    for (uint32_t i = 0; i < n; i++)
        fixture_flood(pipeline, 7, FLOOD_TREE | (2 + i), OUTPUT_REMOTE | (4 + i));
    fixture_flood(pipeline, 7, FLOOD_FACTS | 0, chance(90) ? 2 + n : random_below(20));
}

/* Rule sets of up to three blocks, whose rules fit what random frames have; some blocks are another set's. */
static void random_policies(struct pipeline *pipeline)
{
    static const uint8_t protocols[] = {IPPROTO_TCP, IPPROTO_UDP, IPPROTO_UDP, IPPROTO_ICMP, IPPROTO_ICMPV6, 47};
    static const uint16_t ports[] = {0, 1, 2, 8, 128, 1000};

    for (uint32_t set = 2; set < 6; set++) {
        struct rule rules[3 * RULES_PER_BLOCK];
        uint32_t n = random_below(ARRAY_SIZE(rules));
        for (uint32_t i = 0; i < n; i++) {
            bool ipv6 = chance(40);
            rules[i] = (struct rule){.flags = (ipv6 ? RULE_IPV6 : RULE_IPV4) | (chance(70) ? RULE_PROTOCOL : 0) | (chance(60) ? RULE_PORTS : 0) |
                                     (chance(15) ? RULE_GROUP : 0) | (chance(10) ? RULE_GROUP_PREFIXES : 0) | (chance(10) ? RULE_STATELESS : 0) |
                                     (chance(30) ? RULE_LOG : 0),
                                     .protocol = PICK(protocols), .port_min = PICK(ports), .group = random_below(3), .number = i,
                                     .prefix_length = chance(60) ? 0 : random_below(129)};
            rules[i].port_max = chance(20) ? 0xffff : rules[i].port_min + random_below(3);
            frame_address(ipv6 ? PICK(ipv6s) : PICK(ipv4s), rules[i].address);
        }
        fixture_rules(pipeline, set, rules, n);
        if (chance(5))
            ((struct rules_block *)pipeline_lookup(pipeline, "rules", &(struct rules_key){set, 0}))->set++;
    }
    for (uint32_t group = 0; group < 3; group++) {
        struct member_key member = {.group = group};
        struct member_prefix_key prefix = {.prefix_length = 32 + random_below(129), .group = group};
        uint64_t value = chance(95) ? group : 9;
        frame_address(chance(50) ? PICK(ipv6s) : PICK(ipv4s), member.address);
        frame_address(chance(50) ? PICK(ipv6s) : PICK(ipv4s), prefix.address);
        pipeline_update(pipeline, "members", &member, &value);
        value |= (uint64_t)random_below(3) << 32;
        pipeline_update(pipeline, "member_prefixes", &prefix, &value);
    }
    for (uint32_t slot = 1; slot < 9; slot++)
        if (chance(35))
            fixture_policy(pipeline, slot, random_below(6), random_below(6));
}

/* Firewall policies at some ports of routers, whose ports of workloads know it, mostly. */
static void random_firewalls(struct pipeline *pipeline)
{
    static const uint8_t protocols[] = {IPPROTO_TCP, IPPROTO_UDP, IPPROTO_UDP, IPPROTO_ICMP, IPPROTO_ICMPV6};
    static const uint16_t ports[] = {0, 1, 2, 1000};

    for (uint32_t set = 1; set < 5; set++) {
        struct firewall_rule_row rules[2 * FIREWALL_RULES_PER_BLOCK + 3];
        uint32_t n = random_below(ARRAY_SIZE(rules));
        for (uint32_t i = 0; i < n; i++) {
            bool ipv6 = chance(40);
            rules[i] = (struct firewall_rule_row){
                .flags = (ipv6 ? RULE_IPV6 : RULE_IPV4) | (chance(50) ? RULE_PROTOCOL : 0) | (chance(20) ? FIREWALL_SOURCE_PORTS : 0) |
                         (chance(30) ? FIREWALL_DESTINATION_PORTS : 0),
                .protocol = PICK(protocols), .source_min = PICK(ports), .destination_min = PICK(ports), .number = i + 1,
                .verdict = chance(60) ? FIREWALL_PASSES : random_below(3),
                .source_length = chance(60) ? 0 : random_below(129), .destination_length = chance(60) ? 0 : random_below(129)};
            rules[i].source_max = rules[i].source_min + random_below(1000);
            rules[i].destination_max = rules[i].destination_min + random_below(1000);
            frame_address(ipv6 ? PICK(ipv6s) : PICK(ipv4s), rules[i].source);
            frame_address(ipv6 ? PICK(far6s) : PICK(far4s), rules[i].destination);
        }
        fixture_firewall(pipeline, set, rules, n);
        if (chance(5))
            ((struct firewall_block *)pipeline_lookup(pipeline, "firewall_rules", &(struct rules_key){set, 0}))->set++;
    }
    for (uint32_t number = 1; number < 9; number++)
        for (int direction = 0; direction < 2; direction++)
            if (chance(25))
                fixture_router_port(pipeline, number)->rule_set[direction] = random_below(6);
    for (uint32_t number = 0; number < N_SLOTS; number++)
        *(struct verdict_runtime *)pipeline_lookup(pipeline, "router_verdict_runtime", &number) =
            (struct verdict_runtime){FAR_FUTURE_NS, random_below(60), random_below(2), 0};
    for (uint32_t number = 1; number < 9; number++)
        fixture_router_port(pipeline, number)->flags |= (chance(40) ? ROUTER_PORT_LOG_ACCEPT : 0) | (chance(40) ? ROUTER_PORT_LOG_DROP : 0);
    for (uint32_t slot = 1; slot < 13; slot++)
        if (chance(85))
            fixture_port(pipeline, slot)->flags |= PORT_ROUTER_FIREWALL;
}

/* Routers that are mostly right: what is down, narrow, missing or goes in circles is the exception. */
static void random_routers(struct pipeline *pipeline)
{
    static const uint16_t mtus[] = {576, 1280, 1400, 1450, 9000};

    for (uint32_t number = 0; number < 10; number++) {
        struct router_port_config *port = fixture_router_port(pipeline, number);
        if (chance(10))
            port->flags ^= ROUTER_PORT_UP << random_below(3);
        if (chance(30))
            port->mtu = PICK(mtus);
        if (chance(25))
            port->flags |= ROUTER_PORT_SCOPES(random_below(3), random_below(3));
        if (chance(10))
            port->router = random_below(4);
        if (chance(10))
            memset(chance(50) ? port->ip4 : port->ip6, 0, 16);
    }
    for (int i = random_below(6); i > 0; i--) {
        bool ipv6 = chance(40);
        const char *prefix = ipv6 ? PICK(far6s) : PICK(far4s), *next = ipv6 ? PICK(far6s) : PICK(far4s);
        static const uint32_t flags[] = {0, 0, 0, 0, ROUTE_LOCAL, ROUTE_MANY};
        fixture_route(pipeline, 1 + random_below(3), prefix, random_below(ipv6 ? 129 : 33), PICK(flags), random_below(8),
                      chance(70) ? next : NULL);
    }
    for (int i = random_below(40); i > 0; i--) {
        struct next_hop_key key = {5, random_below(NEXT_HOP_BUCKETS)};
        struct next_hop_value *hop = pipeline_lookup(pipeline, "next_hops", &key);
        if (hop && chance(20))
            pipeline_delete(pipeline, "next_hops", &key);
        else if (hop)
            hop->port = random_below(6);
    }
    if (chance(30))
        fixture_neighbor(pipeline, 10 + random_below(2), PICK(far4s), "T");
}

/* An external network, of which something may be missing or wrong.  Its blocks are small, so that answers meet connections. */
static void random_external(struct pipeline *pipeline)
{
    static const char *const addresses[] = {"203.0.113.10", "203.0.113.12", "203.0.113.13", "203.0.113.14", "203.0.113.20", "203.0.113.23"};
    static const uint32_t flags[] = {ROUTER_PORT_SNAT, ROUTER_PORT_SNAT, ROUTER_PORT_UP, ROUTER_PORT_EXTERNAL};
    const uint32_t nobody = 0, workload = 12;
    struct port_runtime *runtime = pipeline_lookup(pipeline, "port_runtime", &nobody);
    struct uplink_budget stations;

    fixture_external(pipeline);
    for (uint32_t vni = 20; vni <= 21; vni++) {
        for (int i = 0; i < N_UPLINK_BUDGETS; i++) {
            stations.of[i].time_ns = FAR_FUTURE_NS;
            stations.of[i].tokens = random_below(60);
        }
        pipeline_update(pipeline, "uplink_budget", &vni, &stations);
    }
    if (chance(60)) {
        fixture_route(pipeline, ROUTER_OUTSIDE | 20, "fd01::", 64, chance(10) ? ROUTE_LOCAL : 0, 5, NULL);
        fixture_route(pipeline, ROUTER_OUTSIDE | 20, "10.0.0.0", 23, 0, 5, NULL);
        fixture_router_port(pipeline, 5)->flags |= ROUTER_PORT_ANNOUNCED;
    }
    runtime->punt_time_ns = FAR_FUTURE_NS;
    runtime->punt_tokens = random_below(60);
    runtime = pipeline_lookup(pipeline, "port_runtime", &workload);
    runtime->punt_time_ns = runtime->bum_time_ns = FAR_FUTURE_NS;
    runtime->punt_tokens = runtime->bum_tokens = random_below(60);
    for (uint32_t port = 5; port <= 7; port += 2) {
        struct snat_config *config = pipeline_lookup(pipeline, "snat", &port);
        config->blocks[0].size = 2u << random_below(3);
        config->n_blocks = chance(90) ? 1 : random_below(3);
        config->blocks[1].first = 2048;
        config->blocks[1].size = 2;
        if (chance(20))
            fixture_router_port(pipeline, port)->flags ^= PICK(flags);
        if (chance(20))
            fixture_router_port(pipeline, port)->flags |= ROUTER_PORT_SCOPES(random_below(3), random_below(3));
        if (chance(10))
            fixture_router_port(pipeline, port)->mtu = 1000;
    }
    if (chance(20)) {
        struct external_value *value = fixture_external_find(pipeline, 20, PICK(addresses));
        value->kind = 1 + random_below(5);
        value->output = random_output();
        value->object ^= chance(50);
    }
    if (chance(20))
        pipeline_delete(pipeline, "uplinks", &(struct uplink_key){chance(50) ? UPLINK_IFINDEX : UPLINK_BY_VNI, chance(50) ? 0 : 20});
    if (chance(30)) { /* A tag to push. */
        struct uplink_value *uplink = pipeline_lookup(pipeline, "uplinks", &(struct uplink_key){UPLINK_BY_VNI, 20});
        if (uplink)
            uplink->vlan = 5;
    }
    if (chance(10))
        pipeline_delete(pipeline, "gateways", &(struct flood_key){20, random_below(2)});
    if (chance(50)) { /* Its workloads speak to stations outside: bridge.h. */
        const uint32_t vni = 20;
        ((struct network_value *)pipeline_lookup(pipeline, "networks", &vni))->flags = NETWORK_BRIDGED | (chance(30) ? NETWORK_FLOOD_UNKNOWN_NEIGHBORS : 0);
        fixture_flood(pipeline, 20, FLOOD_LOCAL, OUTPUT_LOCAL | workload);
        fixture_flood(pipeline, 20, FLOOD_DIRECT, OUTPUT_REMOTE | 1);
        fixture_flood(pipeline, 20, FLOOD_BEHIND, OUTPUT_REMOTE | (1 + random_below(2)));
        fixture_fdb(pipeline, "fdb", 20, "m", OUTPUT_REMOTE | 1);
        fixture_neighbor(pipeline, 20, "203.0.113.78", "m");
        pipeline_update(pipeline, "gateways", &(struct flood_key){20, GATEWAYS_BRIDGE}, &(struct output_value){20, OUTPUT_REMOTE | 1});
    }
    if (chance(20))
        fixture_floating(pipeline, 2, "10.0.0.2", "203.0.113.15", chance(50) ? 5 : 7, 0x115);
}

/* Load balancers of whose members some are down, elsewhere or another's. */
static void random_balancing(struct pipeline *pipeline)
{
    static const uint16_t mtus[] = {500, 1000, 1450};
    static const uint8_t protocols[] = {IPPROTO_TCP, IPPROTO_UDP, IPPROTO_SCTP};

    fixture_balancing(pipeline);
    for (uint32_t number = 1; number <= FIXTURE_MEMBERS; number++) {
        struct service_member *member = fixture_member(pipeline, number);
        if (chance(20))
            member->output = random_output();
        if (chance(10))
            member->flags ^= SERVICE_MEMBER_UP;
        if (chance(10))
            member->mtu = PICK(mtus);
        if (chance(5))
            member->balancer++;
        if (chance(10))
            member->port = htons(80 + random_below(10));
        if (chance(5))
            member->vni = 8;
    }
    for (uint32_t slot = 1; slot < 13; slot++)
        if (chance(30))
            fixture_port(pipeline, slot)->flags |= PORT_MEMBER;
    for (int i = random_below(8); i > 0; i--) {
        struct service_value *service = fixture_service(pipeline, chance(50) ? "10.0.0.200" : "fd01::200", PICK(protocols), 80 + random_below(12));
        service->flags ^= 1u << random_below(6);
        service->n_rows = random_below(70);
        service->source_length = random_below(129);
        service->limit = random_below(4);
    }
    for (uint32_t listener = 1; listener < N_SLOTS; listener++)
        ((struct service_use *)pipeline_lookup(pipeline, "listener_use", &listener))->n_connections = random_below(3);
    if (chance(10))
        fixture_fdb(pipeline, "fdb", 7, "L", random_output());
    if (chance(70))
        fixture_balancing_outside(pipeline);
    if (chance(70) && fixture_external_find(pipeline, 20, "203.0.113.10")) {
        fixture_balancing_vip(pipeline);
        if (chance(10))
            fixture_router_port(pipeline, 8)->flags ^= 1u << random_below(7);
        if (chance(10))
            fixture_fdb(pipeline, "fdb", 20, "v", random_output());
    }
    for (uint32_t pool = 1; pool <= 32 && chance(60); pool++)
        if (chance(50))
            fixture_row_history(pipeline, pool, random_below(12), random_below(12), random_below(12));
    if (chance(10)) {
        struct external_value *value = fixture_external_find(pipeline, 20, "203.0.113.222");
        if (value && chance(50))
            value->router_port = 1 + random_below(8);
        else if (value)
            value->output = random_output();
    }
}

static void random_target(struct pipeline *pipeline, uint32_t number)
{
    uint32_t slot = number / 2;
    struct probe_target target = {.number = number, .slot = slot, .generation = fixture_port(pipeline, slot)->generation + chance(5), .ifindex = METADATA_IFINDEX};
    char text[16];

    if (chance(10))
        return;
    snprintf(text, sizeof(text), number & 1 ? "fd01::%u" : "10.0.0.%u", slot);
    frame_address(text, target.address);
    frame_address(number & 1 ? "fd01::200" : "10.0.0.200", target.vip);
    frame_mac("V", target.vip_mac);
    frame_mac("Z", target.device_mac);
    if (pipeline_update(pipeline, "probe_targets", &number, &target) < 0)
        die("no memory");
}

static void random_world(struct pipeline *pipeline)
{
    char mac[2] = "";
    static const uint16_t mtus[] = {576, 1280, 1450, 1500, 9000};
    static const uint16_t underlay_mtus[] = {600, 1500, 1520, 9000};

    pipeline_clear(pipeline, NULL);
    fixture_fill(pipeline);
    for (uint32_t slot = 1; slot < 12; slot++) {
        struct port_config *port = fixture_port(pipeline, slot);
        struct port_runtime *runtime = pipeline_lookup(pipeline, "port_runtime", &slot);
        for (int bit = 0; bit < 10; bit++)
            if (chance(10))
                port->flags ^= 1u << bit;
        port->flags |= chance(80) ? PORT_ADMIN_UP : 0; /* Nobody uses slot 9. */
        port->mtu = chance(60) ? 1450 : PICK(mtus);
        port->bum_rate = chance(95);
        port->punt_rate = chance(95);
        port->bum_burst = port->punt_burst = 1000;
        runtime->bum_time_ns = runtime->punt_time_ns = FAR_FUTURE_NS;
        runtime->bum_tokens = random_below(300);
        runtime->punt_tokens = random_below(30);
        struct metadata_budget *budget = pipeline_lookup(pipeline, "metadata_budget", &slot);
        *budget = (struct metadata_budget){FAR_FUTURE_NS, random_below(30)};
        for (int bit = 16; bit < 19; bit++)
            port->flags ^= chance(30) ? 1u << bit : 0;
        struct verdict_runtime *verdicts = pipeline_lookup(pipeline, "verdict_runtime", &slot);
        *verdicts = (struct verdict_runtime){FAR_FUTURE_NS, random_below(60), random_below(2), 0};
        runtime->n_learned = chance(10) ? MAX_LEARNED_PER_PORT : MAX_LEARNED_PER_PORT - random_below(4);
    }
    for (uint32_t number = 0; number < 12; number++) /* Of port 'number' / 2, as IPv4 and IPv6. */
        random_target(pipeline, number);
    for (uint32_t slot = 1; slot < 4; slot++) {
        struct host_config *host = fixture_host(pipeline, slot);
        host->flags = chance(50) ? HOST_MAC_KNOWN : 0;
        host->underlay_mtu = chance(60) ? 1520 : PICK(underlay_mtus);
        if (chance(20))
            memset(host->next_hop, 0, 16);
    }
    for (int i = random_below(12); i > 0; i--) {
        mac[0] = PICK_MAC();
        fixture_fdb(pipeline, chance(70) ? "fdb" : "learned", 7 + random_below(3), mac, random_output());
    }
    random_tree(pipeline);
    static const uint32_t lists[] = {FLOOD_DIRECT, FLOOD_TREE, FLOOD_LOCAL};
    for (int i = random_below(6); i > 0; i--)
        fixture_flood(pipeline, 7 + random_below(3), PICK(lists) | random_below(10), random_output());
    for (uint32_t vni = 7; vni <= 9; vni++) {
        struct network_value *network = pipeline_lookup(pipeline, "networks", &vni);
        struct project_record *project = pipeline_lookup(pipeline, "projects", &vni);
        network->flags = chance(30) ? NETWORK_FLOOD_UNKNOWN_NEIGHBORS : 0;
        project->max_half_open = chance(80) ? 1000 : 0; /* In between the oldest make room, and when they are gone depends on the clock. */
        project->max_established = chance(80) ? 1000 : random_below(5);
        project->max_learned = chance(50) ? 1000 : random_below(5);
        network->project = chance(90) ? vni : random_below(20); /* There are 16. */
        if (chance(5))
            pipeline_delete(pipeline, "networks", &vni);
    }
    if (chance(60))
        random_policies(pipeline);
    for (uint32_t number = 0; number < N_SLOTS; number++) { /* A router port of chance may be outside, without an external network. */
        struct outside_budget *budget = pipeline_lookup(pipeline, "outside_budget", &number);
        for (int i = 0; i < N_OUTSIDE_BUDGETS; i++) {
            budget->of[i].time_ns = FAR_FUTURE_NS;
            budget->of[i].tokens = random_below(60);
        }
    }
    random_routers(pipeline);
    if (chance(80))
        random_external(pipeline);
    if (chance(60))
        random_firewalls(pipeline);
    if (chance(60))
        random_balancing(pipeline);
}

/* A port gets other rule sets, and with them another epoch: its connections are judged again. */
static void random_epoch(struct pipeline *pipeline)
{
    uint32_t slot = 1 + random_below(8);
    struct port_record *record = pipeline_lookup(pipeline, "ports", &slot);

    fixture_policy(pipeline, slot, random_below(6), random_below(6));
    record->epoch++;
    if (chance(50)) {
        uint32_t number = 1 + random_below(8);

        fixture_router_port(pipeline, number)->rule_set[random_below(2)] = random_below(6);
        copy_entry(&number, pipeline_lookup(pipeline, "router_ports", &number), "router_ports");
    }
    copy_entry(&slot, record, "ports");
    copy_entry(&slot, pipeline_lookup(pipeline, "policies", &slot), "policies");
}

static void add_text(char *text, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void add_text(char *text, const char *format, ...)
{
    va_list arguments;
    size_t used = strlen(text);

    va_start(arguments, format);
    vsnprintf(text + used, 600 - used, format, arguments);
    va_end(arguments);
}

static void add_l4(char *text, bool ipv6)
{
    static const unsigned ports[] = {1, 2, 1000, 67, 68, 546, 547, 4790};
    static const char *const flags[] = {"S", "SA", "A", "A", "A", "FA", "R"};
    static const unsigned icmp_types[] = {0, 3, 8, 8, 11}, icmp6_types[] = {1, 128, 129, 131, 134, 137, 143};

    switch (random_below(8)) {
    case 0:
    case 1:
    case 2:
        add_text(text, " udp %u>%u", PICK(ports), PICK(ports));
        break;
    case 3:
    case 4:
        add_text(text, " tcp %u>%u %s", PICK(ports), PICK(ports), PICK(flags));
        break;
    case 5:
        if (ipv6)
            add_text(text, " icmp6 %u %u", PICK(icmp6_types), random_below(3));
        else
            add_text(text, " icmp %u %u", PICK(icmp_types), random_below(3));
        break;
    case 6:
        if (ipv6) {
            static const char *const kinds[] = {"ns", "na"};
            if (chance(20))
                add_text(text, " rs %c", chance(50) ? PICK_MAC() : '-');
            else
                add_text(text, " %s %s %c", PICK(kinds), PICK(ipv6s), chance(70) ? PICK_MAC() : '-');
            return;
        }
        add_text(text, " proto %u", random_below(256));
        break;
    default:
        add_text(text, " proto %u", random_below(140));
    }
    add_text(text, " +%u", chance(80) ? random_below(60) : random_below(1600));
}

static void random_inner(char *text, char source)
{
    static const char *const groups[] = {"*", "33:33:00:00:00:01", "01:00:5e:00:00:05", "!"};

    add_text(text, "%c>", chance(85) ? source : PICK_MAC());
    if (chance(80))
        add_text(text, "%c", PICK_MAC());
    else
        add_text(text, "%s", PICK(groups));
    if (chance(2))
        add_text(text, " vlan");
    switch (random_below(10)) {
    case 0:
        add_text(text, " arp %s %c %s %s", chance(80) ? "request" : "reply", chance(85) ? source : PICK_MAC(), PICK(ipv4s), PICK(ipv4s));
        break;
    case 1:
        add_text(text, " type=0x%x +%u", chance(50) ? 0x88b5 : random_below(65536), 46 + random_below(100));
        break;
    case 2:
    case 3:
    case 4:
        add_text(text, " ip6 %s>%s", PICK(ipv6s), PICK(ipv6s));
        if (chance(10))
            add_text(text, " hopopts");
        if (chance(5))
            add_text(text, " frag=%u", random_below(4));
        if (chance(5))
            add_text(text, " more");
        add_l4(text, true);
        break;
    default:
        add_text(text, " ip %s>%s", PICK(ipv4s), PICK(ipv4s));
        if (chance(5))
            add_text(text, " options");
        if (chance(5))
            add_text(text, " frag=%u", random_below(4));
        if (chance(5))
            add_text(text, " more");
        if (chance(20))
            add_text(text, " df");
        add_l4(text, false);
    }
}

/* To the metadata service, mostly as the port itself. */
static void random_question(char *text, char mac, const char *ip4, bool ipv6)
{
    if (ipv6)
        add_text(text, "%c>%c ip6 fe80::ff:fe00:%x>fe80::a9fe:a9fe", mac, PICK_MAC(), mac);
    else
        add_text(text, "%c>%c ip %s>169.254.169.254", mac, PICK_MAC(), ip4);
    add_text(text, " tcp %u>%u %s +%u", random_below(5), chance(90) ? 80 : 81, chance(50) ? "S" : "A", random_below(90));
}

/* From a balancer's address to a member, as the agent says it, and what a member may answer: mostly to the same few ports. */
static void random_probe(char *text)
{
    uint32_t number = random_below(13);
    bool ipv6 = chance(95) ? number & 1 : !(number & 1);

    if (ipv6)
        add_text(text, "Z>Z ip6 fd57:4546:5400:1::1>fd57:4546:5400::%x:f:%x", chance(95) ? 0 : 1, 0x4400 + number);
    else
        add_text(text, "Z>Z ip 240.15.255.254>240.%u.68.%u", chance(95) ? 15 : 31, number);
    if (chance(20))
        add_text(text, ipv6 ? " icmp6 128 %u +9" : " icmp 8 %u +9", random_below(2));
    else
        add_text(text, chance(50) ? " tcp %u>%u S" : " udp %u>%u +3", random_below(2), random_below(2));
}

static void random_probe_answer(char *text, char mac, const char *ip, bool ipv6)
{
    const char *vip = ipv6 ? "fd01::200" : "10.0.0.200";

    add_text(text, "%c>%c %s %s>%s", mac, PICK_MAC(), ipv6 ? "ip6" : "ip", ip, vip);
    switch (random_below(4)) {
    case 0:
        add_text(text, ipv6 ? " icmp6 129 %u +9" : " icmp 0 %u +9", random_below(2));
        break;
    case 1:
        add_text(text, ipv6 ? " icmp6 1 0 quote ip6 %s>%s udp %u>%u +3" : " icmp 3 0 quote ip %s>%s udp %u>%u +3", vip, ip, random_below(2), random_below(2));
        break;
    default:
        add_text(text, chance(50) ? " tcp %u>%u SA" : " udp %u>%u +70", random_below(2), random_below(2));
    }
}

/* A sender that speaks as itself most of the time, so that frames get past the first checks. */
static void honest_inner(char *text, uint32_t slot)
{
    static const char port_macs[] = "-ABBDEFGH";
    static const char *const ip4[] = {"", "10.0.0.1", "10.0.0.2", "10.0.0.2", "10.0.0.4", "10.0.0.5", "10.0.0.6", "10.0.0.7", "10.0.0.8"};
    static const char *const ip6[] = {"", "fd01::1", "fd01::2", "fd01::2", "fd01::4", "fd01::5", "fd01::6", "fd01::7", "fd01::8"};
    bool ipv6 = chance(35);
    char mac = port_macs[slot];

    switch (random_below(20)) {
    case 8:
        random_probe_answer(text, mac, ipv6 ? ip6[slot] : ip4[slot], ipv6);
        return;
    case 0:
        add_text(text, "%c>* ip 0.0.0.0>255.255.255.255 udp 68>67 +240", mac);
        return;
    case 1:
        add_text(text, "%c>33:33:00:01:00:02 ip6 fe80::ff:fe00:%x>ff02::1:2 udp 546>547 +40", mac, mac);
        return;
    case 2:
        add_text(text, "%c>33:33:00:00:00:02 ip6 ::>ff02::2 rs -", mac);
        return;
    case 3:
        add_text(text, "%c>* arp request %c %s %s", mac, mac, chance(80) ? ip4[slot] : "0.0.0.0", PICK(ipv4s));
        return;
    case 4:
        add_text(text, "%c>33:33:ff:00:00:02 ip6 %s>ff02::1:ff00:2 ns %s %c", mac, chance(80) ? ip6[slot] : "::", PICK(ipv6s),
                 chance(70) ? mac : '-');
        if (chance(20))
            add_text(text, " +8");
        return;
    case 5:
        add_text(text, "%c>* ip %s>10.0.0.255 udp 1>2 +9", mac, ip4[slot]);
        return;
    case 6:
        random_question(text, mac, chance(90) ? ip4[slot] : PICK(ipv4s), ipv6);
        return;
    case 7:
        add_text(text, "%c>* arp request %c %s 169.254.169.254", mac, mac, ip4[slot]);
        return;
    }
    add_text(text, "%c>%c %s %s>%s", mac, PICK_MAC(), ipv6 ? "ip6" : "ip", ipv6 ? ip6[slot] : ip4[slot],
             ipv6 ? PICK(ipv6s) : PICK(ipv4s));
    add_l4(text, ipv6);
}

/* For a router, from who has one; '*ret_slot' is the sender. */
static void routed_inner(char *text, uint32_t *ret_slot)
{
    static const struct {
        uint32_t slot;
        char mac, gateways[3];
        const char *ip4, *ip6;
    } senders[] = {{1, 'A', "RR", "10.0.0.1", "fd01::1"}, {2, 'B', "RR", "10.0.0.2", "fd01::2"}, {8, 'H', "RR", "10.0.0.8", "fd01::8"},
                   {10, 'J', "ST", "10.0.1.1", "fd02::1"}, {11, 'K', "UU", "10.0.2.1", "fd03::1"}};
    unsigned i = random_below(ARRAY_SIZE(senders));
    bool ipv6 = chance(40);

    *ret_slot = senders[i].slot;
    add_text(text, "%c>%c %s %s>%s", senders[i].mac, senders[i].gateways[random_below(2)], ipv6 ? "ip6" : "ip",
             ipv6 ? senders[i].ip6 : senders[i].ip4, ipv6 ? PICK(far6s) : PICK(far4s));
    if (chance(25))
        add_text(text, " ttl=%u", chance(80) ? random_below(5) : random_below(256));
    if (!ipv6 && chance(30))
        add_text(text, " df");
    if (!ipv6 && chance(5))
        add_text(text, " options");
    if (chance(5))
        add_text(text, " frag=%u", random_below(4));
    if (chance(20)) {
        add_text(text, ipv6 ? " icmp6 128 %u +%u" : " icmp 8 %u +%u", random_below(3), random_below(1500));
        return;
    }
    add_l4(text, ipv6);
}

/* The generations are fixture.c's. */
static void random_answer(char *text)
{
    bool ipv6 = chance(50);
    uint32_t slot = random_below(13), generation = chance(90) ? slot + 50 : random_below(256);

    if (ipv6)
        add_text(text, "Z>Z ip6 fd57:4546:5400:1::1>fd57:4546:540%u::%x:0:%x", chance(95) ? 0 : 1, generation, slot);
    else
        add_text(text, "Z>Z ip 240.15.255.254>%u.%u.%u.%u", 240 + (generation >> 4 & 15), (generation & 15) << 4, chance(95) ? 0 : 1, slot);
    add_text(text, " tcp %u>%u %s +%u", METADATA_AGENT_PORT + (chance(95) ? ipv6 : !ipv6), random_below(5), chance(50) ? "SA" : "A", random_below(90));
}

struct test_frame {
    struct frame frame;
    enum pipeline_program program;
    struct pipeline_frame input;
    char text[600];
};

static const char *const outside[] = {"192.0.2.200", "192.0.2.200", "203.0.113.1", "203.0.113.77", "203.0.113.200"};
static const char *const ours[] = {"203.0.113.10", "203.0.113.10", "203.0.113.12", "203.0.113.13", "203.0.113.14", "203.0.113.20",
                                   "203.0.113.23", "203.0.113.101", "203.0.113.99", "203.0.113.15"};

/* Ports as they are at the outer and the inner end. */
static unsigned outer_port(void)
{
    static const unsigned ports[] = {80, 53, 8080, 8081, 9000, 5003, 2048, 4000};

    return chance(60) ? 1024 + random_below(8) : PICK(ports);
}

static void external_l4(char *text, bool arrives)
{
    static const unsigned far[] = {80, 53, 4000};
    static const char *const flags[] = {"S", "SA", "A", "A", "FA", "R"};
    unsigned remote = PICK(far), local = arrives ? outer_port() : 1000 + random_below(4), from = arrives ? remote : local,
             to = arrives ? local : remote;

    switch (random_below(9)) {
    case 0:
    case 1:
    case 2:
        add_text(text, " tcp %u>%u %s +%u", from, to, PICK(flags), random_below(60));
        break;
    case 3:
    case 4:
    case 5:
        add_text(text, " %s %u>%u +%u", chance(85) ? "udp" : chance(50) ? "udplite" : "sctp", from, to, random_below(60));
        break;
    case 6:
    case 7:
        add_text(text, " icmp %u %u +%u", chance(50) ? 0 : 8, local, random_below(60));
        break;
    default:
        add_text(text, " proto %u +%u", chance(50) ? 47 : 1, random_below(60));
    }
}

/* A packet between somebody outside and an address of ours, or an error about one. */
static void arriving(char *text)
{
    const char *here = PICK(ours), *there = chance(85) ? PICK(outside) : PICK(ours);

    if (chance(10)) {
        static const char *const routed[] = {"fd01::1", "fd01::2", "fd02::101", "2001:db8:20::10"};
        add_text(text, " ip6 2001:db8:77::1>%s", PICK(routed));
        add_l4(text, true);
        return;
    }
    if (chance(10))
        here = chance(50) ? "10.0.0.1" : "10.0.1.1";
    add_text(text, " ip %s>%s", there, here);
    if (chance(4))
        add_text(text, " ttl=%u", random_below(3));
    if (chance(4))
        add_text(text, " options");
    if (chance(4))
        add_text(text, chance(50) ? " more" : " frag=3");
    if (chance(20)) {
        add_text(text, " icmp %u 0 quote ip %s>%s", chance(80) ? 3 : 11, chance(90) ? here : PICK(ours), there);
        if (chance(10))
            add_text(text, " options");
        external_l4(text, false);
        return;
    }
    external_l4(text, true);
}

static void leaving(char *text, struct test_frame *ret)
{
    static const struct {
        uint32_t slot;
        const char *macs, *address;
    } senders[] = {{1, "A>R", "10.0.0.1"}, {1, "A>R", "10.0.0.1"}, {2, "B>R", "10.0.0.2"}, {3, "B>c", "10.0.0.2"}, {8, "H>R", "10.0.0.8"},
                   {10, "J>S", "10.0.1.1"}, {12, "e>g", "203.0.113.77"}, {12, "e>h", "203.0.113.77"}};
    uint32_t i = random_below(ARRAY_SIZE(senders));
    const char *to = chance(50) ? PICK(outside) : PICK(ours);

    ret->input.ifindex = 100 + senders[i].slot;
    if (chance(10)) {
        add_text(text, "%s ip6 fd01::1>2001:db8:77::%u udp 1>2 +9", senders[i].macs, random_below(3));
        return;
    }
    add_text(text, "%s ip %s>%s", senders[i].macs, senders[i].address, to);
    if (chance(4))
        add_text(text, " ttl=%u", random_below(3));
    if (chance(15)) {
        add_text(text, " icmp 3 0 quote ip %s>%s", to, senders[i].address);
        external_l4(text, chance(50));
    } else {
        external_l4(text, chance(30)); /* What is from a server, too. */
    }
}

/* Between a workload in network 20 and a station there, or somebody who pretends to be one. */
static void bridged_frame(struct test_frame *ret)
{
    static const char inside[] = "eeem", outer_macs[] = "yyzxg*";
    char from = inside[random_below(4)], to = outer_macs[random_below(6)];
    const char *from4 = from == 'e' ? "203.0.113.77" : "203.0.113.78", *to4 = chance(80) ? "203.0.113.200" : PICK(ours);
    bool arp = chance(30);

    switch (random_below(3)) {
    case 0:
        ret->program = PIPELINE_FROM_WORKLOAD;
        ret->input.ifindex = 112;
        from = chance(95) ? 'e' : 'm';
        break;
    case 1:
        ret->program = PIPELINE_FROM_UNDERLAY;
        ret->input.ifindex = UNDERLAY_IFINDEX;
        add_text(ret->text, "outer 192.0.2.2>192.0.2.1 20 %u/%u ", to == '*' && chance(60) ? 1 : 0, random_below(2));
        break;
    default:
        ret->program = PIPELINE_FROM_UPLINK;
        ret->input.ifindex = UPLINK_IFINDEX;
        if (to != '*') {
            char swap = from;
            const char *swap4 = from4;
            from = to;
            to = swap;
            from4 = to4;
            to4 = swap4;
        } else {
            from = "yyzm"[random_below(4)];
            from4 = chance(80) ? "203.0.113.200" : PICK(ours);
        }
    }
    if (arp)
        add_text(ret->text, "%c>%c arp %s %c %s %s", from, to, chance(60) ? "request" : "reply", from, from4, to4);
    else
        add_text(ret->text, "%c>%c ip %s>%s udp %u>53 +%u", from, to, from4, to4, 1000 + random_below(3), random_below(40));
}

/* Answers to connections of ours have ports that were chosen, and are asked for here by chance. */
static void external_frame(struct test_frame *ret)
{
    static struct test_frame before; /* So that some connections are known. */

    if (before.text[0] && chance(30)) {
        *ret = before;
        return;
    }
    if (chance(25)) {
        bridged_frame(ret);
        return;
    }
    switch (random_below(8)) {
    case 0:
    case 1:
    case 2:
        ret->program = PIPELINE_FROM_WORKLOAD;
        leaving(ret->text, ret);
        break;
    case 3:
        ret->program = PIPELINE_FROM_UNDERLAY;
        ret->input.ifindex = UNDERLAY_IFINDEX;
        add_text(ret->text, "outer 192.0.2.2>192.0.2.1 20 0/%u %c>02:57:45:46:54:00", random_below(3), "xghe"[random_below(4)]);
        arriving(ret->text);
        break;
    default:
        ret->program = PIPELINE_FROM_UPLINK;
        ret->input.ifindex = chance(97) ? UPLINK_IFINDEX : UNDERLAY_IFINDEX;
        if (chance(10))
            add_text(ret->text, "y>%c arp %s y %s %s", chance(50) ? '*' : 'u', chance(70) ? "request" : "reply", PICK(outside), chance(80) ? PICK(ours) : PICK(outside));
        else if (chance(10))
            random_inner(ret->text, 'x');
        else {
            add_text(ret->text, "x>%c", chance(95) ? 'u' : 'y');
            arriving(ret->text);
            before = *ret;
        }
    }
}

/* The two sides of a connection through a balancer, and errors about it: few ports, so that they meet. */
static void balanced_l4(char *text, unsigned from, unsigned to)
{
    static const char *const flags[] = {"S", "S", "SA", "A", "A", "FA", "R"};

    switch (random_below(5)) {
    case 0:
    case 1:
        add_text(text, " tcp %u>%u %s +%u", from, to, PICK(flags), random_below(60));
        break;
    case 2:
    case 3:
        add_text(text, " udp %u>%u +%u", from, to, chance(95) ? random_below(60) : random_below(1400));
        break;
    default:
        add_text(text, " sctp %u>%u +%u", from, to, random_below(60));
    }
}

static void balanced_inner(char *text, const char *from, const char *to, unsigned from_port, unsigned to_port)
{
    const char *family = strchr(from, ':') ? "ip6" : "ip";

    add_text(text, " %s %s>%s", family, from, to);
    if (chance(5))
        add_text(text, " more");
    else if (chance(4))
        add_text(text, " frag=5");
    if (chance(15)) {
        add_text(text, strchr(from, ':') ? " icmp6 1 4 quote ip6 %s>%s" : " icmp 3 3 quote ip %s>%s", to, from);
        balanced_l4(text, to_port, from_port);
    } else {
        balanced_l4(text, from_port, to_port);
    }
}

static void balanced_frame(struct test_frame *ret)
{
    static const struct {
        uint32_t slot;
        char mac, gateway;
        const char *address[2];
    } ports[] = {{1, 'A', 'L', {"10.0.0.1", "fd01::1"}}, {2, 'B', 'L', {"10.0.0.2", "fd01::2"}}, {8, 'H', 'L', {"10.0.0.8", "fd01::8"}},
                 {10, 'J', 'S', {"10.0.1.1", "fd02::1"}}, {11, 'K', 'U', {"10.0.2.1", "fd03::1"}}, {0, 'M', 'L', {"10.0.0.101", "fd01::101"}}};
    unsigned ipv6 = chance(40), i = random_below(5), other = random_below(ARRAY_SIZE(ports));
    const char *vip = ipv6 ? "fd01::200" : "10.0.0.200";
    unsigned client_port = 4000 + random_below(3), vip_port = 80 + random_below(13), port = chance(70) ? 8080 : 8081;

    ret->input.ifindex = 100 + ports[i].slot;
    ret->program = PIPELINE_FROM_WORKLOAD;
    switch (random_below(6)) {
    case 0:
    case 1:
        add_text(ret->text, "%c>%c", ports[i].mac, ports[i].gateway);
        balanced_inner(ret->text, ports[i].address[ipv6], vip, client_port, vip_port);
        return;
    case 2: /* A member's answer, also to one who called it itself. */
        add_text(ret->text, "%c>%c", ports[i].mac, chance(50) ? ports[other].mac : 'R');
        balanced_inner(ret->text, ports[i].address[ipv6], chance(15) ? vip : ports[other].address[ipv6], port, client_port);
        return;
    case 3:
        add_text(ret->text, "%c>%c", ports[i].mac, ports[other].mac);
        balanced_inner(ret->text, ports[i].address[ipv6], ports[other].address[ipv6], client_port, port);
        return;
    }
    ret->program = PIPELINE_FROM_UNDERLAY;
    ret->input.ifindex = UNDERLAY_IFINDEX;
    if (chance(50)) {
        add_text(ret->text, "outer 192.0.2.2>192.0.2.1 %u %u/%u/%u M>02:ab:70:00:00:%02x", chance(95) ? 7 : 8, TUNNEL_DIRECT_RETURN, chance(95) ? 0 : random_below(16),
                 random_below(5), 1 + random_below(12));
        balanced_inner(ret->text, ports[5].address[ipv6], vip, client_port, vip_port);
    } else if (chance(25)) { /* A member's answer comes back. */
        add_text(ret->text, "outer 192.0.2.2>192.0.2.1 %u %u/%u/1400 X>02:ab:70:00:00:%02x", chance(95) ? 7 : 8, TUNNEL_DIRECT_RETURN, TUNNEL_HOPS_TOO_BIG,
                 1 + random_below(12));
        balanced_inner(ret->text, vip, ports[5].address[ipv6], vip_port, client_port);
    } else {
        add_text(ret->text, "outer 192.0.2.2>192.0.2.1 7 %u/%u/%u X>%c", TUNNEL_DIRECT_RETURN, TUNNEL_HOPS_BACK, chance(90) ? ports[i].slot : random_below(20),
                 ports[i].mac);
        balanced_inner(ret->text, vip, ports[i].address[ipv6], vip_port, client_port);
    }
}

/* Somebody on an external network and a load balancer's member. */
static void balanced_outside_frame(struct test_frame *ret)
{
    static const struct {
        uint32_t slot;
        char mac;
        const char *address[2];
    } members[] = {{1, 'A', {"10.0.0.1", "fd01::1"}}, {2, 'B', {"10.0.0.2", "fd01::2"}}, {8, 'H', {"10.0.0.8", "fd01::8"}}, {11, 'K', {"10.0.2.1", "fd03::1"}}};
    static const char *const clients[] = {"192.0.2.200", "192.0.2.200", "203.0.113.1", "203.0.113.77", "203.0.113.10"};
    unsigned ipv6 = chance(35), i = random_below(ARRAY_SIZE(members)), port = chance(80) ? 8080 : 8081;
    unsigned client_port = 4000 + random_below(3), vip_port = 80 + random_below(13);
    const char *client = ipv6 ? "2001:db8:77::1" : PICK(clients), *vip = ipv6 ? "fd01::200" : "203.0.113.222";

    if (chance(40)) {
        vip = ipv6 ? "2001:db8:20::230" : "203.0.113.230";
        vip_port = 91 + random_below(3);
    }
    switch (random_below(5)) {
    case 0: /* Its answer, */
        ret->program = PIPELINE_FROM_WORKLOAD;
        ret->input.ifindex = 100 + members[i].slot;
        add_text(ret->text, "%c>%c", members[i].mac, members[i].mac == 'K' ? 'U' : 'R');
        balanced_inner(ret->text, members[i].address[ipv6], client, port, chance(90) ? client_port : 1024 + random_below(8));
        return;
    case 1: /* a workload that calls by the floating IP, */
        ret->program = PIPELINE_FROM_WORKLOAD;
        ret->input.ifindex = 100 + members[i].slot;
        add_text(ret->text, "%c>%c", members[i].mac, members[i].mac == 'K' ? 'U' : 'R');
        balanced_inner(ret->text, members[i].address[ipv6], vip, client_port, vip_port);
        return;
    case 2: /* and what another gateway or member's host sends on. */
        ret->program = PIPELINE_FROM_UNDERLAY;
        ret->input.ifindex = UNDERLAY_IFINDEX;
        if (chance(20))
            add_text(ret->text, "outer 192.0.2.2>192.0.2.1 20 0/%u %c>02:57:45:46:54:00", random_below(3), chance(50) ? 'g' : 'v');
        else
            add_text(ret->text, "outer 192.0.2.2>192.0.2.1 %u %u/%u/0 %c>02:ab:70:00:00:%02x", chance(95) ? 20 : 7, TUNNEL_DIRECT_RETURN, random_below(16),
                     chance(60) ? 'g' : chance(90) ? 'v' : 'h', 1 + random_below(14));
        balanced_inner(ret->text, client, vip, client_port, vip_port);
        return;
    }
    ret->program = PIPELINE_FROM_UPLINK;
    ret->input.ifindex = UPLINK_IFINDEX;
    if (chance(5))
        add_text(ret->text, ipv6 ? "x>u ip6 %s>%s icmp6 128 3 +5" : "x>u ip %s>%s icmp 8 3 +5", client, vip);
    else {
        add_text(ret->text, "x>u");
        balanced_inner(ret->text, client, vip, client_port, vip_port);
    }
}

static void random_frame(struct test_frame *ret)
{
    static const char port_macs[] = "ABBDEFGH";
    uint32_t which = random_below(100), slot = 1 + random_below(8);

    ret->text[0] = 0;
    ret->input = (struct pipeline_frame){.ifindex = 100 + slot};
    if (chance(20)) {
        if (chance(60))
            balanced_frame(ret);
        else
            balanced_outside_frame(ret);
    } else if (chance(35)) {
        external_frame(ret);
    } else if (which < 70) {
        ret->program = PIPELINE_FROM_WORKLOAD;
        if (chance(30)) {
            routed_inner(ret->text, &slot);
            ret->input.ifindex = 100 + slot;
        } else if (chance(60))
            honest_inner(ret->text, slot);
        else
            random_inner(ret->text, port_macs[slot - 1]);
        if (chance(2))
            ret->input.ifindex = 109;
    } else if (which < 74) {
        ret->program = PIPELINE_FROM_METADATA;
        ret->input.ifindex = METADATA_IFINDEX;
        if (chance(50))
            random_probe(ret->text);
        else
            random_answer(ret->text);
    } else if (which < 92) {
        ret->program = PIPELINE_FROM_UNDERLAY;
        ret->input.ifindex = UNDERLAY_IFINDEX;
        if (chance(95)) {
            const char *source = chance(70) ? "192.0.2.2" : PICK(outers);
            bool ipv6 = chance(40) || strchr(source, ':');
            uint32_t kind = chance(50) ? random_below(2) : chance(80) ? TUNNEL_RELAYED : random_below(16);
            uint32_t end = chance(90) ? random_below(1500) : random_below(FLOOD_KEY_MASK);
            add_text(ret->text, "outer %s>%s %u %u/%u/%u ", ipv6 ? (chance(80) ? "2001:db8::2" : "2001:db8::9") : source,
                     ipv6 ? "2001:db8::1" : (chance(90) ? "192.0.2.1" : "192.0.2.4"), 6 + random_below(5), kind, chance(80) ? random_below(2) : random_below(16),
                     kind == TUNNEL_RELAYED || chance(3) ? end : 0);
        }
        random_inner(ret->text, "MNOV"[random_below(4)]);
    } else {
        ret->program = which < 98 ? PIPELINE_TO_TUNNEL : PIPELINE_THROUGH_NEIGHBOR;
        ret->input.ifindex = TUNNEL_IFINDEX;
        ret->input.mark = chance(90) ? 0x57e00000 | random_below(5) : random_below(UINT32_MAX);
        ret->input.control = chance(90) ? TUNNEL_WORD(chance(50) ? TUNNEL_FLOOD : TUNNEL_RELAYED, random_below(16), random_below(FLOOD_KEY_MASK))
                                        : random_below(UINT32_MAX);
        ret->input.priority = chance(95) ? 7 + random_below(3) : random_below(UINT32_MAX);
        if (chance(30)) { /* A piece of the agent's. */
            ret->input.control = 0;
            ret->input.priority = TUNNEL_PRIORITY(7, TUNNEL_WORD(chance(90) ? TUNNEL_DIRECT_RETURN : TUNNEL_FLOOD, chance(40) ? 0 : random_below(16), 0));
        }
        random_inner(ret->text, 'A');
    }
    frame_parse(ret->text, &ret->frame);
    if (chance(15))
        for (int i = 1 + random_below(3); i > 0; i--)
            ret->frame.bytes[random_below(MIN(ret->frame.size, 120u))] = random_below(256);
    if (chance(5))
        ret->frame.size = MAX(14u, random_below(ret->frame.size));
    /* A group frame of an unknown kind of GSO could not be copied to a device: the kernel would fail there, natively it would not. */
    if (ret->program == PIPELINE_FROM_WORKLOAD && chance(4) && !(ret->frame.bytes[0] & 1)) {
        ret->input.gso_size = 1 + random_below(1500);
        ret->input.gso_segs = random_below(4);
    }
    ret->input.bytes = ret->frame.bytes;
    ret->input.size = ret->frame.size;
    ret->input.not_for_host = memcmp(ret->frame.bytes, "\x02\0\0\0\0\x48", 6) != 0;
}

/* ---- comparing -------------------------------------------------------------------------------------------------------------- */

struct punted {
    struct punt_event event;
    uint32_t n;
};
static struct punted kernel_punt;

static int take_punt(void *context, void *data, size_t size)
{
    if (size != sizeof(kernel_punt.event))
        die("a punted event has %zu bytes", size);
    memcpy(&kernel_punt.event, data, size);
    kernel_punt.n++;
    return 0;
}

static void explain(const struct test_frame *test, const struct pipeline_result *result)
{
    static const char *const programs[] = {"from_workload", "from_underlay", "to_tunnel", "through_neighbor", "from_uplink", "from_metadata"};

    fprintf(stderr, "frame: %s\nprogram %s, interface %u, %u bytes, gso %u/%u, mark %#x, priority %u\n", test->text,
            programs[test->program], test->input.ifindex, test->frame.size, test->input.gso_size, test->input.gso_segs, test->input.mark,
            test->input.priority);
    for (size_t i = 0; i < result->n_steps; i++)
        fprintf(stderr, "  native: %-12s %s\n", result->steps[i].stage, result->steps[i].text);
}

static void compare_counters(struct pipeline *pipeline, const struct test_frame *test, const struct pipeline_result *result)
{
    static uint8_t batch[N_SLOTS * sizeof(struct port_counters) * 256];
    uint32_t keys[N_SLOTS], n = N_SLOTS, position;
    size_t stride = (sizeof(struct port_counters) + 7) / 8 * 8 * n_cpus;
    LIBBPF_OPTS(bpf_map_batch_opts, options);

    if (bpf_map_lookup_batch(map_fd("port_counters"), NULL, &position, keys, batch, &n, &options) && errno != ENOENT)
        die("cannot read the counters: %s", strerror(errno));
    for (uint32_t i = 0; i < n; i++) {
        struct port_counters sum = {0};
        for (int cpu = 0; cpu < n_cpus; cpu++) {
            const uint64_t *words = (const uint64_t *)(batch + i * stride + cpu * sizeof(struct port_counters));
            for (size_t word = 0; word < sizeof(sum) / 8; word++)
                ((uint64_t *)&sum)[word] += words[word];
        }
        const struct port_counters *native = fixture_counters(pipeline, keys[i]);
        if (memcmp(native, &sum, sizeof(sum)) == 0)
            continue;
        explain(test, result);
        for (size_t word = 0; word < sizeof(sum) / 8; word++)
            if (((const uint64_t *)native)[word] != ((uint64_t *)&sum)[word])
                fprintf(stderr, "  slot %u, word %zu (drops from 4): native %llu, kernel %llu\n", keys[i], word,
                        (unsigned long long)((const uint64_t *)native)[word], (unsigned long long)((uint64_t *)&sum)[word]);
        die("counters differ");
    }
}

static void compare_punt(const struct test_frame *test, const struct pipeline_result *result, struct ring_buffer *ring)
{
    const struct punt_event *native = NULL;

    for (size_t i = 0; i < result->n_outputs; i++)
        if (result->outputs[i].way == PIPELINE_PUNT)
            native = (const struct punt_event *)result->outputs[i].bytes;
    kernel_punt.n = 0;
    ring_buffer__consume(ring);
    if (kernel_punt.n == (native ? 1 : 0) &&
        (!native || memcmp(native, &kernel_punt.event, offsetof(struct punt_event, frame) + native->size) == 0))
        return;
    explain(test, result);
    die("punted differently: native %d, kernel %u", native ? 1 : 0, kernel_punt.n);
}

/* The log's events, of one frame: ports that send it and are sent it, and both sides of each router on a way. */
static struct verdict_event kernel_verdicts[N_SLOTS * (1 + 2 * ROUTER_HOPS_MAX)];
static uint32_t n_kernel_verdicts, n_verdicts;

static int take_verdict(void *context, void *data, size_t size)
{
    if (size != sizeof(*kernel_verdicts) || n_kernel_verdicts == ARRAY_SIZE(kernel_verdicts))
        die("event %u of a frame has %zu bytes", n_kernel_verdicts, size);
    memcpy(&kernel_verdicts[n_kernel_verdicts], data, size);
    kernel_verdicts[n_kernel_verdicts++].time_ns = 0;
    return 0;
}

static void compare_verdicts(const struct test_frame *test, const struct pipeline_result *result, struct ring_buffer *ring)
{
    n_kernel_verdicts = 0;
    ring_buffer__consume(ring);
    for (size_t i = 0; i < result->n_verdicts; i++)
        result->verdicts[i].time_ns = 0;
    n_verdicts += n_kernel_verdicts;
    if (n_kernel_verdicts == result->n_verdicts &&
        (!n_kernel_verdicts || memcmp(kernel_verdicts, result->verdicts, n_kernel_verdicts * sizeof(*kernel_verdicts)) == 0))
        return;
    explain(test, result);
    die("logged differently: native %zu events, kernel %u", result->n_verdicts, n_kernel_verdicts);
}

/* Entries without what depends on time. */
static void compare_entry(void *key, void *value, void *context)
{
    uint8_t kernel[128];
    size_t size = 8;

    if (bpf_map_lookup_elem(map_fd(context), key, kernel))
        die("map '%s': the kernel misses an entry", (const char *)context);
    if (streq(context, "balanced"))
        size = sizeof(struct balanced_value);
    else if (streq(context, "balanced_names"))
        size = sizeof(struct flow_key);
    else if (streq(context, "aliases"))
        size = sizeof(struct alias_value);
    else if (streq(context, "uplink_budget"))
        size = sizeof(struct uplink_budget);
    if (memcmp(kernel, value, size) != 0)
        die("map '%s': entries differ", (const char *)context);
}

/* A place that the kernel's programs lost to another CPU, or that rests, shifts those after it: so by key. */
static const struct flow_entry *kernel_connection(const struct flow_key *key)
{
    for (uint32_t place = 0; place < FIXTURE_FLOW_SLOTS; place++)
        if (is_connection(&places[place]) && memcmp(&places[place].key, key, sizeof(*key)) == 0)
            return &places[place];
    die("map 'connections': the kernel misses an entry");
}

static void compare_connections(struct pipeline *pipeline)
{
    uint32_t n_native = 0, n_kernel = 0;

    for (uint32_t place = 0; place < FIXTURE_FLOW_SLOTS; place++) {
        struct flow_entry a = pipeline_places(pipeline)[place], b;

        n_kernel += is_connection(&places[place]);
        if (!is_connection(&a))
            continue;
        n_native++;
        b = *kernel_connection(&a.key);
        a.last_seen = b.last_seen = 0;
        a.next = b.next = 0;
        if (memcmp(&a, &b, sizeof(a)) == 0)
            continue;
        for (size_t i = 0; i < sizeof(a); i += 4)
            fprintf(stderr, "  %zu: native %08x, kernel %08x\n", i, *(uint32_t *)((char *)&a + i), *(uint32_t *)((char *)&b + i));
        die("connection entries differ");
    }
    if (n_kernel != n_native)
        die("map 'connections': native has %u entries, the kernel %u", n_native, n_kernel);
}

static void compare_maps(struct pipeline *pipeline)
{
    static const char *const written[] = {"learned", "aliases", "uplink_budget", "balanced", "balanced_names"};
    uint8_t key[64], next[64];

    compare_connections(pipeline);
    for (size_t i = 0; i < ARRAY_SIZE(written); i++) {
        size_t key_size, value_size;
        uint32_t n_native, n_kernel = 0;
        pipeline_table(pipeline, written[i], &key_size, &value_size, &n_native);
        pipeline_visit(pipeline, written[i], compare_entry, (void *)written[i]);
        for (void *from = NULL; bpf_map_get_next_key(map_fd(written[i]), from, next) == 0; from = key, n_kernel++)
            memcpy(key, next, key_size);
        if (n_kernel != n_native)
            die("map '%s': native has %u entries, the kernel %u", written[i], n_native, n_kernel);
    }
    for (uint32_t slot = 0; slot < N_SLOTS; slot++) {
        struct port_runtime runtime;
        struct host_runtime host;
        struct project_record project;
        struct router_port_runtime names;
        struct service_use use;
        bpf_map_lookup_elem(map_fd("listener_use"), &slot, &use);
        if (memcmp(&use, pipeline_lookup(pipeline, "listener_use", &slot), sizeof(use)) != 0)
            die("listener_use of %u differs", slot);
        bpf_map_lookup_elem(map_fd("member_use"), &slot, &use);
        if (memcmp(&use, pipeline_lookup(pipeline, "member_use", &slot), sizeof(use)) != 0)
            die("member_use of %u differs", slot);
        bpf_map_lookup_elem(map_fd("router_port_runtime"), &slot, &names);
        if (memcmp(&names, pipeline_lookup(pipeline, "router_port_runtime", &slot), sizeof(names)) != 0)
            die("router_port_runtime of %u differs", slot);
        bpf_map_lookup_elem(map_fd("host_runtime"), &slot, &host);
        if (memcmp(&host, pipeline_lookup(pipeline, "host_runtime", &slot), sizeof(host)) != 0)
            die("host_runtime of slot %u differs", slot);
        bpf_map_lookup_elem(map_fd("port_runtime"), &slot, &runtime);
        if (memcmp(&runtime, pipeline_lookup(pipeline, "port_runtime", &slot), sizeof(runtime)) != 0)
            die("port_runtime of slot %u differs", slot);
        struct outside_budget spent;
        bpf_map_lookup_elem(map_fd("outside_budget"), &slot, &spent);
        if (memcmp(&spent, pipeline_lookup(pipeline, "outside_budget", &slot), sizeof(spent)) != 0)
            die("outside_budget of router port %u differs", slot);
        struct metadata_budget budget;
        bpf_map_lookup_elem(map_fd("metadata_budget"), &slot, &budget);
        if (memcmp(&budget, pipeline_lookup(pipeline, "metadata_budget", &slot), sizeof(budget)) != 0)
            die("metadata_budget of slot %u differs", slot);
        struct verdict_runtime verdict;
        bpf_map_lookup_elem(map_fd("verdict_runtime"), &slot, &verdict);
        if (memcmp(&verdict, pipeline_lookup(pipeline, "verdict_runtime", &slot), sizeof(verdict)) != 0)
            die("verdict_runtime of slot %u differs", slot);
        bpf_map_lookup_elem(map_fd("router_verdict_runtime"), &slot, &verdict);
        if (memcmp(&verdict, pipeline_lookup(pipeline, "router_verdict_runtime", &slot), sizeof(verdict)) != 0)
            die("router_verdict_runtime of router port %u differs", slot);
        bpf_map_lookup_elem(map_fd("projects"), &slot, &project);
        if (memcmp(&project, pipeline_lookup(pipeline, "projects", &slot), sizeof(project)) != 0)
            die("project %u differs", slot);
    }
}

static int program_fd(enum pipeline_program program)
{
    const struct bpf_program *programs[] = {
        skeleton->progs.from_workload,
        skeleton->progs.from_underlay,
        skeleton->progs.to_tunnel,
        skeleton->progs.through_neighbor,
        skeleton->progs.from_uplink,
        skeleton->progs.from_metadata,
    };

    return bpf_program__fd(programs[program]);
}

static uint32_t verdicts[8], reasons[N_DROP_REASONS], n_refused;

static void run_both(struct pipeline *pipeline, struct test_frame *test, struct ring_buffer *ring, struct ring_buffer *verdict_ring)
{
    static uint8_t out[8192];
    struct __sk_buff context = {.ifindex = test->input.ifindex, .mark = test->input.mark, .priority = test->input.priority,
                                .cb = {test->input.control}, .gso_size = test->input.gso_size, .gso_segs = test->input.gso_segs}, after = {0};
    struct pipeline_result result;
    LIBBPF_OPTS(bpf_test_run_opts, options, .data_in = test->frame.bytes, .data_size_in = test->frame.size, .data_out = out,
                .data_size_out = sizeof(out), .ctx_in = &context, .ctx_size_in = sizeof(context), .ctx_out = &after,
                .ctx_size_out = sizeof(after), .repeat = 1);

    if (bpf_prog_test_run_opts(program_fd(test->program), &options)) {
        if (errno != EINVAL)
            die("the kernel does not run a frame: %s", strerror(errno));
        n_refused++; /* An IP frame without room for an IP header. */
        return;
    }
    if (pipeline_run(pipeline, test->program, &test->input, &result))
        die("out of memory");
    if ((int)options.retval != result.action) {
        explain(test, &result);
        die("action: native %d, kernel %d", result.action, (int)options.retval);
    }
    if (options.data_size_out != result.size || memcmp(out, result.bytes, result.size) != 0) {
        explain(test, &result);
        for (uint32_t i = 0; i < MIN(options.data_size_out, result.size); i++)
            if (out[i] != result.bytes[i])
                fprintf(stderr, "  byte %u: native %02x, kernel %02x\n", i, result.bytes[i], out[i]);
        die("bytes: native %u, kernel %u", result.size, options.data_size_out);
    }
    for (size_t i = 0; i < result.n_outputs; i++)
        if (result.outputs[i].way != PIPELINE_PUNT && result.outputs[i].way != PIPELINE_CLONE &&
            (result.outputs[i].mark != after.mark || result.outputs[i].priority != after.priority)) {
            explain(test, &result);
            die("mark: native %#x, kernel %#x", result.outputs[i].mark, after.mark);
        }
    compare_counters(pipeline, test, &result);
    compare_punt(test, &result, ring);
    compare_verdicts(test, &result, verdict_ring);
    verdicts[result.verdict]++;
    reasons[result.reason]++;
    pipeline_result_clear(&result);
}

/* ---- the same connections on two CPUs ------------------------------------------------------------------------------------------ */

#define RACE_ROUNDS 20000
#define RACE_CONNECTIONS 4

/* Returns the source port of the TCP segment that leaves by a redirect, or 0. */
static unsigned race_say(enum pipeline_program program, uint32_t ifindex, const char *format, unsigned port)
{
    static __thread uint8_t out[2048];
    struct __sk_buff context = {.ifindex = ifindex};
    struct frame frame;
    char text[192];

    snprintf(text, sizeof(text), format, port); /* NOLINT: the callers' formats have one number. */
    frame_parse(text, &frame);
    LIBBPF_OPTS(bpf_test_run_opts, options, .data_in = frame.bytes, .data_size_in = frame.size, .data_out = out, .data_size_out = sizeof(out),
                .ctx_in = &context, .ctx_size_in = sizeof(context), .repeat = 1);
    if (bpf_prog_test_run_opts(program_fd(program), &options))
        die("the kernel does not run a frame: %s", strerror(errno));
    return options.retval == TC_ACT_REDIRECT ? out[34] << 8 | out[35] : 0;
}

static void run_on(int cpu)
{
    cpu_set_t cpus;

    CPU_ZERO(&cpus);
    CPU_SET(cpu, &cpus);
    if (pthread_setaffinity_np(pthread_self(), sizeof(cpus), &cpus))
        die("cannot run on CPU %d", cpu);
}

/* A SYN of a client of ours and one of a client outside, each of which its member refuses. */
static void *race(void *context)
{
    run_on(*(int *)context);
    for (unsigned i = 0; i < RACE_ROUNDS; i++) {
        unsigned port = 4000 + i % RACE_CONNECTIONS;

        race_say(PIPELINE_FROM_WORKLOAD, 101, "A>L ip 10.0.0.1>10.0.0.200 tcp %u>81 S", port);
        race_say(PIPELINE_FROM_WORKLOAD, 102, "B>A ip 10.0.0.2>10.0.0.1 tcp 8080>%u RA", port);
        race_say(PIPELINE_FROM_UPLINK, UPLINK_IFINDEX, "x>u ip 192.0.2.200>203.0.113.222 tcp %u>81 S", port);
        race_say(PIPELINE_FROM_WORKLOAD, 102, "B>R ip 10.0.0.2>192.0.2.200 tcp 8080>%u RA", port);
    }
    return NULL;
}

/* At most two CPUs on which this may run. */
static int race_cpus(int ret_numbers[2])
{
    cpu_set_t cpus;
    int n = 0;

    if (sched_getaffinity(0, sizeof(cpus), &cpus))
        die("which CPUs are there? %s", strerror(errno));
    for (int cpu = 0; cpu < CPU_SETSIZE && n < 2; cpu++)
        if (CPU_ISSET(cpu, &cpus))
            ret_numbers[n++] = cpu;
    return n;
}

static void balanced_world(struct pipeline *pipeline)
{
    pipeline_clear(pipeline, NULL);
    fixture_fill(pipeline);
    fixture_external(pipeline);
    fixture_balancing(pipeline);
    fixture_balancing_outside(pipeline);
    copy_tables(pipeline);
}

/* What counts has an entry, and the entry says so: the sums are the same. */
static void connections_are_counted_once(struct pipeline *pipeline)
{
    struct service_use use;
    pthread_t threads[2];
    int numbers[2] = {0}, n = race_cpus(numbers);
    uint64_t n_counted = 0, n_seen = 0;

    balanced_world(pipeline);
    for (int i = 0; i < n; i++)
        if (pthread_create(&threads[i], NULL, race, &numbers[i]))
            die("cannot start a thread");
    for (int i = 0; i < n; i++)
        pthread_join(threads[i], NULL);
    for (uint32_t place = 0; place < FIXTURE_FLOW_SLOTS; place++) {
        const struct flow_entry *entry = &places[place];

        if (!is_connection(entry))
            continue;
        n_seen++;
        bool counts = (entry->output & ~OUTPUT_MEMBER_MASK) == OUTPUT_MEMBER || (entry->output == OUTPUT_CLIENT && memcmp(entry->next_mac, "\0\0", 2) != 0);
        n_counted += counts && !(entry->account & FLOW_UNCOUNTED);
    }
    static const char *const tables[] = {"listener_use", "member_use"};
    for (uint32_t i = 0; i < 2; i++) {
        uint32_t number = 2 - i;
        if (bpf_map_lookup_elem(map_fd(tables[i]), &number, &use))
            die("there is no '%s'", tables[i]);
        if (use.n_connections != n_counted)
            die("%d CPUs: '%s' says %lld, of %llu connections %llu count", n, tables[i], (long long)use.n_connections, (unsigned long long)n_seen,
                (unsigned long long)n_counted);
    }
    if (n_seen < 2 * RACE_CONNECTIONS)
        die("only %llu connections began", (unsigned long long)n_seen);
    printf("  two CPUs began and ended %u connections again and again: %llu entries, %llu count\n", 2 * RACE_CONNECTIONS, (unsigned long long)n_seen,
           (unsigned long long)n_counted);
}

/* Two clients in networks of their own have the same address and port, and call at the same time. */

#define NAME_BATCHES 20
#define NAME_ROUNDS 50

static struct namesake {
    int cpu;
    uint32_t vni;
    unsigned ports[NAME_ROUNDS]; /* By which the member knows the client of each round; 0: it does not. */
} namesakes[2];
static pthread_barrier_t names_barrier;

static void *call_as_namesake(void *context)
{
    struct namesake *namesake = context;
    char format[160];

    snprintf(format, sizeof(format), "outer 192.0.2.2>192.0.2.1 %u 2/0/5 M>02:ab:70:00:00:01 ip 10.0.0.101>10.0.0.200 tcp %%u>81 S", namesake->vni);
    run_on(namesake->cpu);
    for (unsigned i = 0; i < NAME_ROUNDS; i++) {
        pthread_barrier_wait(&names_barrier);
        namesake->ports[i] = race_say(PIPELINE_FROM_UNDERLAY, UNDERLAY_IFINDEX, format, 5000 + i);
    }
    return NULL;
}

/* The member knows them apart, or one of them waits. */
static void one_name_is_not_given_twice(struct pipeline *pipeline)
{
    int numbers[2] = {0}, n = race_cpus(numbers);
    unsigned n_both = 0, n_one = 0;
    pthread_t threads[2];

    for (int batch = 0; batch < NAME_BATCHES; batch++) {
        balanced_world(pipeline);
        pthread_barrier_init(&names_barrier, NULL, 2);
        for (int i = 0; i < 2; i++) {
            namesakes[i] = (struct namesake){.cpu = numbers[i % n], .vni = i ? 10 : 7};
            if (pthread_create(&threads[i], NULL, call_as_namesake, &namesakes[i]))
                die("cannot start a thread");
        }
        for (int i = 0; i < 2; i++)
            pthread_join(threads[i], NULL);
        pthread_barrier_destroy(&names_barrier);
        for (unsigned i = 0; i < NAME_ROUNDS; i++) {
            unsigned one = namesakes[0].ports[i], other = namesakes[1].ports[i];

            if (one && one == other)
                die("round %u of batch %d: the member knows two clients as port %u", i, batch, one);
            n_both += one && other;
            n_one += !one != !other;
        }
    }
    if (!n_both)
        die("two clients of one address and port were never served both");
    printf("  two clients of one address and port call at once: both are served %u times, one waits %u times\n", n_both, n_one);
}

/* ---- silence ------------------------------------------------------------------------------------------------------------------- */

#define TIMED_CONNECTIONS 60
#define DAY_MS 86400000u

static void say_both(struct pipeline *pipeline, struct ring_buffer *ring, struct ring_buffer *verdict_ring, uint32_t slot, const char *format, ...)
    __attribute__((format(printf, 5, 6)));
static void say_both(struct pipeline *pipeline, struct ring_buffer *ring, struct ring_buffer *verdict_ring, uint32_t slot, const char *format, ...)
{
    static struct test_frame test;
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(test.text, sizeof(test.text), format, arguments);
    va_end(arguments);
    frame_parse(test.text, &test.frame);
    test.program = PIPELINE_FROM_WORKLOAD;
    test.input = (struct pipeline_frame){.ifindex = 100 + slot, .bytes = test.frame.bytes, .size = test.frame.size};
    run_both(pipeline, &test, ring, verdict_ring);
}

static uint32_t n_kernel_connections(void)
{
    uint32_t n = 0;

    for (uint32_t place = 0; place < FIXTURE_FLOW_SLOTS; place++)
        n += is_connection(&places[place]);
    return n;
}

static uint32_t n_native_connections(struct pipeline *pipeline)
{
    size_t key_size, value_size;
    uint32_t n;

    pipeline_table(pipeline, "connections", &key_size, &value_size, &n);
    return n;
}

/* A connection's place in its project is what it gives back last. */
static bool projects_agree(struct pipeline *pipeline)
{
    struct project_record project;

    for (uint32_t number = 0; number < N_SLOTS; number++)
        if (bpf_map_lookup_elem(map_fd("projects"), &number, &project) || memcmp(&project, pipeline_lookup(pipeline, "projects", &number), sizeof(project)) != 0)
            return false;
    return true;
}

/* By the rows of their listeners connections last a moment or days, established ones and others; but for them, a week. */
static void listeners_say_how_long_silence_lasts(struct pipeline *pipeline, struct ring_buffer *ring, struct ring_buffer *verdict_ring)
{
    static const struct {
        uint32_t listener, slot;
        const char *mac, *address;
    } members[] = {{2, 2, "B", "10.0.0.2"}, {3, 0, NULL, NULL}, {5, 8, "H", "10.0.0.8"}}; /* The second one's is on another host. */
    static const uint32_t timeouts_ms[] = {1, DAY_MS, 700, 0, UINT32_MAX};                 /* Of three in a row one is short, and one is not. */
    const uint32_t zero = 0, first = random_below(ARRAY_SIZE(timeouts_ms));
    struct settings *settings;
    struct sweeper sweeper;

    balanced_world(pipeline);
    settings = pipeline_lookup(pipeline, "settings", &zero);
    for (size_t i = 0; i < ARRAY_SIZE(settings->timeout_s); i++)
        settings->timeout_s[i] = 7 * (DAY_MS / 1000);
    for (size_t i = 0; i < ARRAY_SIZE(members); i++) {
        struct service_key key = SERVICE_LISTENER_KEY(members[i].listener);
        struct service_value row = {.port = key.port, .listener = members[i].listener, .limit = timeouts_ms[(first + i) % ARRAY_SIZE(timeouts_ms)]};

        if (row.limit && pipeline_update(pipeline, "services", &key, &row))
            die("out of memory");
    }
    copy_tables(pipeline);
    for (unsigned i = 0; i < TIMED_CONNECTIONS; i++) {
        unsigned which = i % ARRAY_SIZE(members), port = 4000 + i, vip_port = 79 + members[which].listener;

        say_both(pipeline, ring, verdict_ring, 1, "A>L ip 10.0.0.1>10.0.0.200 tcp %u>%u S", port, vip_port);
        if (!members[which].slot || chance(30))
            continue;
        say_both(pipeline, ring, verdict_ring, members[which].slot, "%s>A ip %s>10.0.0.1 tcp 8080>%u SA", members[which].mac, members[which].address, port);
        say_both(pipeline, ring, verdict_ring, 1, "A>L ip 10.0.0.1>10.0.0.200 tcp %u>%u A", port, vip_port);
    }
    uint32_t n_begun = n_native_connections(pipeline);
    if (bpf_map_lookup_elem(map_fd("sweeper"), &zero, &sweeper))
        die("there is no sweeper");
    sweeper.version = 0; /* The next connection that begins starts it. */
    if (bpf_map_update_elem(map_fd("sweeper"), &zero, &sweeper, BPF_ANY))
        die("cannot start the sweeper: %s", strerror(errno));
    say_both(pipeline, ring, verdict_ring, 1, "A>L ip 10.0.0.1>10.0.0.200 tcp 3999>%u S", 79 + members[0].listener);
    pipeline_advance(pipeline, 60 * 1000000000ull);
    uint32_t n_left = n_native_connections(pipeline);
    if (n_left == 0 || n_left + 10 > n_begun)
        die("of %u connections %u are left", n_begun, n_left);
    for (int tries = 0; n_kernel_connections() != n_left || !projects_agree(pipeline); tries++) {
        if (tries == 6000)
            die("natively %u connections are left of %u, in the kernel %u", n_left, n_begun, n_kernel_connections());
        usleep(10000);
    }
    compare_maps(pipeline);
    printf("  silence ended %u of %u connections by their listeners' rows\n", n_begun - n_left, n_begun);
}

int main(int argc, char **argv)
{
    static const char *const names[] = {
        "none",
#define DROP_REASON(name, text) #name,
#include "weft/dataplane/drop-reasons.def"
#undef DROP_REASON
    };
    uint32_t n_frames = argc > 1 ? strtoul(argv[1], NULL, 0) : 100000;
    static struct test_frame test;
    struct pipeline *pipeline;

    if (geteuid() != 0) {
        puts("differential: skipped, BPF_PROG_TEST_RUN needs root");
        return 77;
    }
    seed = argc > 2 ? strtoull(argv[2], NULL, 0) : (uint64_t)time(NULL) * 1000003 + getpid();
    random_state = seed | 1;
    make_devices();
    if (pipeline_new(&(struct pipeline_sizes){N_SLOTS, N_SLOTS, N_SLOTS, FIXTURE_FLOW_SLOTS, N_SLOTS}, &pipeline))
        die("out of memory");
    load();
    struct ring_buffer *ring = ring_buffer__new(map_fd("punt"), take_punt, NULL, NULL);
    struct ring_buffer *verdict_ring = ring_buffer__new(map_fd("verdicts"), take_verdict, NULL, NULL);
    for (uint32_t i = 0; i < n_frames; i++) {
        if (i % FRAMES_PER_WORLD == 0) {
            if (i)
                compare_maps(pipeline);
            random_world(pipeline);
            copy_tables(pipeline);
        }
        if (chance(3))
            random_epoch(pipeline);
        random_frame(&test);
        run_both(pipeline, &test, ring, verdict_ring);
    }
    compare_maps(pipeline);
    connections_are_counted_once(pipeline);
    one_name_is_not_given_twice(pipeline);
    listeners_say_how_long_silence_lasts(pipeline, ring, verdict_ring); /* The last: the kernel's sweeper runs from then on. */
    ring_buffer__free(ring);
    ring_buffer__free(verdict_ring);
    weft_bpf__destroy(skeleton);
    printf("differential: %u frames are the same in the kernel and natively; %u refused by TEST_RUN; seed %llu\n", n_frames - n_refused,
           n_refused, (unsigned long long)seed);
    printf("  events for the log of security groups: %u\n", n_verdicts);
    for (int i = 0; i <= PIPELINE_OUTSIDE; i++)
        printf("  %-10s %u\n", pipeline_verdict_name(i), verdicts[i]);
    for (int i = 1; i < N_DROP_REASONS; i++)
        printf("  dropped, %-20s %u\n", names[i], reasons[i]);
    pipeline_free(pipeline);
    return 0;
}
