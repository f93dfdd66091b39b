/* Which ports' connections are evaluated again after which change of the tables, on a real kernel.  Run by test_maps.py as root: epochs PIN-PATH. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <bpf/bpf.h>
#include <cmocka.h>

#include "loader.h"
#include "weft/base/util.h"

static uint32_t epoch_of(const struct maps *maps, uint32_t slot)
{
    struct port_record record;

    assert_int_equal(0, bpf_map_lookup_elem(maps_descriptor(maps, "ports"), &slot, &record));
    return record.epoch;
}

#define N_EPOCHS 8

static void read_epochs(const struct maps *maps, uint32_t epochs[N_EPOCHS])
{
    for (uint32_t slot = 0; slot < N_EPOCHS; slot++)
        epochs[slot] = epoch_of(maps, slot);
}

/* Applies, and says as bits which of the first slots were bumped. */
static unsigned bumped_by(struct maps *maps, struct desired *desired, uint64_t *now_ms)
{
    uint32_t before[N_EPOCHS], after[N_EPOCHS];
    unsigned bumped = 0;

    for (int table = 0; table < N_DESIRED_TABLES; table++)
        assert_int_equal(0, rows_sort(&desired->tables[table]));
    read_epochs(maps, before);
    *now_ms += 1000;
    loader_apply(maps, desired, now_ms);
    read_epochs(maps, after);
    for (uint32_t slot = 0; slot < N_EPOCHS; slot++)
        bumped |= (after[slot] != before[slot]) << slot;
    return bumped;
}

static void add_port(struct desired *desired, uint32_t slot, uint32_t vni)
{
    struct port_config port = {.ifindex = 100 + slot, .vni = vni, .generation = 1};

    rows_add(&desired->tables[TABLE_PORTS], &slot, &port);
}

static void add_policy(struct desired *desired, uint32_t slot, uint32_t egress, uint32_t ingress)
{
    struct port_policy policy = {{egress, ingress}};

    rows_add(&desired->tables[TABLE_POLICIES], &slot, &policy);
}

/* A set of one rule, which names a group or, with 0, none. */
static void add_set(struct desired *desired, uint32_t set, uint32_t group)
{
    struct rules_key key = {set, 0};
    struct rules_block block = {.set = set, .n = 1, .rules = {{.flags = RULE_IPV4 | (group ? RULE_GROUP : 0), .group = group}}};

    rows_add(&desired->tables[TABLE_RULES], &key, &block);
}

static void add_member(struct desired *desired, uint32_t group, uint8_t last)
{
    struct member_key key = {.group = group, .address = {[10] = 0xff, 0xff, 10, 0, 0, last}};
    __u64 value = group;

    rows_add(&desired->tables[TABLE_MEMBERS], &key, &value);
}

/* Four ports: 1 and 2 with sets that name group 7, 3 with one that does not, 4 without policy. */
static void policy_world(struct desired *desired, unsigned members)
{
    desired_clear(desired);
    for (uint32_t slot = 1; slot <= 4; slot++)
        add_port(desired, slot, 9);
    add_set(desired, 50, 7);
    add_set(desired, 51, 0);
    add_policy(desired, 1, 50, 0);
    add_policy(desired, 2, 51, 50);
    add_policy(desired, 3, 51, 51);
    for (uint8_t i = 0; i < 8; i++)
        if (members & 1u << i)
            add_member(desired, 7, i);
}

static void policies_bump_the_ports_that_they_concern(void **state)
{
    struct maps *maps = loader_open();
    struct desired desired;
    uint64_t now_ms = 3000000;

    desired_init(&desired);
    policy_world(&desired, 3);
    bumped_by(maps, &desired, &now_ms);
    assert_int_equal(0, bumped_by(maps, &desired, &now_ms));
    policy_world(&desired, 7); /* One more allows more. */
    assert_int_equal(0, bumped_by(maps, &desired, &now_ms));
    policy_world(&desired, 6); /* One less. */
    assert_int_equal(1 << 1 | 1 << 2, bumped_by(maps, &desired, &now_ms));
    policy_world(&desired, 6); /* Another set for one port. */
    add_set(&desired, 52, 0);
    rows_clear(&desired.tables[TABLE_POLICIES]);
    add_policy(&desired, 1, 50, 0);
    add_policy(&desired, 2, 51, 50);
    add_policy(&desired, 3, 52, 51);
    assert_int_equal(1 << 3, bumped_by(maps, &desired, &now_ms));
    rows_clear(&desired.tables[TABLE_POLICIES]); /* Nothing is allowed any more. */
    add_policy(&desired, 1, 50, 0);
    add_policy(&desired, 2, 51, 50);
    assert_int_equal(1 << 3, bumped_by(maps, &desired, &now_ms));
    desired_clear(&desired);
    loader_apply(maps, &desired, &now_ms);
    maps_close(maps);
}

static void add_listener(struct desired *desired, uint32_t vni, uint32_t listener, __u8 flags)
{
    struct service_key key = {.vni = vni, .port = 80, .protocol = 6};
    struct service_value value = {.vni = vni, .port = 80, .protocol = 6, .flags = flags, .listener = listener};

    rows_add(&desired->tables[TABLE_SERVICES], &key, &value);
}

static void add_source(struct desired *desired, uint32_t listener, uint8_t last)
{
    struct service_source_key key = {.prefix_length = 160, .listener = listener, .address = {[10] = 0xff, 0xff, 10, 0, 0, last}};
    __u64 value = (__u64)RULE_IPV4 << 32 | listener;

    rows_add(&desired->tables[TABLE_SERVICE_SOURCES], &key, &value);
}

/* Port 1 in the network of listener 3, port 2 in that of listener 4. */
static void service_world(struct desired *desired, __u8 flags, uint8_t n_sources)
{
    desired_clear(desired);
    add_port(desired, 1, 9);
    add_port(desired, 2, 10);
    add_listener(desired, 9, 3, flags);
    add_listener(desired, 10, 4, SERVICE_UP);
    for (uint8_t i = 1; i <= n_sources; i++)
        add_source(desired, 3, i);
}

static void listeners_bump_those_who_call_them(void **state)
{
    struct maps *maps = loader_open();
    struct desired desired;
    uint64_t now_ms = 5000000;

    desired_init(&desired);
    service_world(&desired, SERVICE_UP, 0);
    bumped_by(maps, &desired, &now_ms);
    service_world(&desired, SERVICE_UP | SERVICE_RESTRICTED, 1);
    assert_int_equal(1 << 1, bumped_by(maps, &desired, &now_ms));
    service_world(&desired, SERVICE_UP | SERVICE_RESTRICTED, 2); /* One more. */
    assert_int_equal(0, bumped_by(maps, &desired, &now_ms));
    service_world(&desired, SERVICE_UP | SERVICE_RESTRICTED, 1); /* One less. */
    assert_int_equal(1 << 1, bumped_by(maps, &desired, &now_ms));
    desired_clear(&desired);
    loader_apply(maps, &desired, &now_ms);
    maps_close(maps);
}

/* A program may be in the middle of it. */
static void a_rule_set_stays_for_a_moment_after_the_last_policy_that_named_it(void **state)
{
    struct maps *maps = loader_open();
    struct maps_changes changes;
    struct desired desired;
    struct rules_key key = {50, 0};
    struct rules_block block;
    uint64_t now_ms = 4000000;
    int rules = maps_descriptor(maps, "rules");

    desired_init(&desired);
    policy_world(&desired, 1);
    bumped_by(maps, &desired, &now_ms);
    now_ms += 1000;
    desired_clear(&desired);
    for (uint32_t slot = 1; slot <= 4; slot++)
        add_port(&desired, slot, 9);
    assert_int_equal(0, maps_apply(maps, &desired, true, now_ms, &changes));
    assert_int_equal(RECORD_GRACE_MS, changes.retry_ms);
    assert_int_equal(0, bpf_map_lookup_elem(rules, &key, &block));
    assert_int_equal(0, maps_apply(maps, &desired, true, now_ms + 1, &changes));
    assert_int_equal(RECORD_GRACE_MS - 1, changes.retry_ms);
    assert_int_equal(0, maps_apply(maps, &desired, true, now_ms + RECORD_GRACE_MS, &changes));
    assert_int_equal(0, changes.retry_ms);
    assert_true(bpf_map_lookup_elem(rules, &key, &block) < 0);
    desired_clear(&desired);
    assert_int_equal(0, maps_apply(maps, &desired, true, now_ms + 1000, &changes));
    maps_close(maps);
}

static void add_served_pool(struct desired *desired, uint32_t vni, uint32_t pool, uint32_t limit)
{
    struct service_key key = {.vni = vni, .port = 80, .protocol = 6};
    struct service_value value = {.vni = vni, .port = 80, .protocol = 6, .flags = SERVICE_UP, .listener = pool, .pool = pool, .n_rows = 1, .limit = limit};
    struct service_rows_key rows_key = {pool, SERVICE_ROWS_INDEX(1, 0)};
    struct service_rows rows = {.pool = pool, .index = rows_key.index};

    rows_add(&desired->tables[TABLE_SERVICES], &key, &value);
    rows_add(&desired->tables[TABLE_SERVICE_ROWS], &rows_key, &rows);
}

/* However often others change their listeners meanwhile. */
static void the_rows_of_a_pool_stay_for_a_moment_after_its_last_listener(void **state)
{
    struct maps *maps = loader_open();
    struct maps_changes changes;
    struct desired desired;
    struct service_rows_key key = {2, SERVICE_ROWS_INDEX(1, 0)};
    struct service_rows rows;
    uint64_t now_ms = 6000000;
    int fd = maps_descriptor(maps, "service_rows");

    desired_init(&desired);
    add_served_pool(&desired, 9, 1, 0);
    add_served_pool(&desired, 10, 2, 0);
    assert_int_equal(0, maps_apply(maps, &desired, true, now_ms, &changes));
    now_ms += 1000;
    for (uint32_t i = 0; i <= RECORD_GRACE_MS; i++) {
        desired_clear(&desired);
        add_served_pool(&desired, 9, 1, 100 + i);
        assert_int_equal(0, maps_apply(maps, &desired, true, now_ms + i, &changes));
        assert_int_equal(RECORD_GRACE_MS - i, changes.retry_ms);
        assert_int_equal(i < RECORD_GRACE_MS, bpf_map_lookup_elem(fd, &key, &rows) == 0);
    }
    key.pool = 1;
    assert_int_equal(0, bpf_map_lookup_elem(fd, &key, &rows));
    desired_clear(&desired);
    assert_int_equal(0, maps_apply(maps, &desired, true, now_ms + 1000, &changes));
    assert_int_equal(0, maps_apply(maps, &desired, true, now_ms + 2000, &changes));
    maps_close(maps);
}

/* ---- routers ----------------------------------------------------------------------------------------------------------------- */

/*    port 1      port 2      port 3       port 4       port 5       port 6
 *   network 9 r1 network 10 r2 network 11 network 12 r3 external 20  network 13 */
static void router_world(struct desired *desired)
{
    static const struct {
        uint32_t router, vni, flags;
    } ports[] = {{1, 9, ROUTER_PORT_UP}, {1, 10, ROUTER_PORT_UP}, {2, 10, ROUTER_PORT_UP}, {2, 11, ROUTER_PORT_UP},
                 {3, 12, ROUTER_PORT_UP}, {3, 20, ROUTER_PORT_UP | ROUTER_PORT_EXTERNAL}};
    static const uint32_t vnis[] = {9, 10, 11, 12, 20, 13};

    desired_clear(desired);
    for (uint32_t i = 0; i < ARRAY_SIZE(vnis); i++) {
        struct network_value network = {.vni = vnis[i]};

        add_port(desired, 1 + i, vnis[i]);
        rows_add(&desired->tables[TABLE_NETWORKS], &vnis[i], &network);
    }
    for (uint32_t i = 0; i < ARRAY_SIZE(ports); i++) {
        struct router_port_config config = {.router = ports[i].router, .vni = ports[i].vni, .flags = ports[i].flags, .generation = 1};
        uint32_t number = 1 + i;

        rows_add(&desired->tables[TABLE_ROUTER_PORTS], &number, &config);
    }
}

static void add_fdb(struct desired *desired, uint32_t vni, uint32_t output)
{
    struct fdb_key key = {.vni = vni, .mac = {2, 0, 0, 0, 0, 7}};
    struct output_value value = {vni, output};

    rows_add(&desired->tables[TABLE_FDB], &key, &value);
}

static void add_neighbor(struct desired *desired, uint32_t vni, uint8_t mac)
{
    struct neighbor_key key = {.vni = vni, .address = {[10] = 0xff, 0xff, 10, 0, 0, 7}};
    struct neighbor_value value = {.check = (uint16_t)vni, .mac = {2, 0, 0, 0, 0, mac}};

    rows_add(&desired->tables[TABLE_NEIGHBORS], &key, &value);
}

static void add_route(struct desired *desired, uint32_t router, uint8_t net, uint32_t flags, uint32_t port)
{
    struct route_key key = {.prefix_length = 32 + 96 + 24, .router = router, .address = {[10] = 0xff, 0xff, 10, 0, net, 0}};
    struct route_value value = {.router = router, .flags = flags, .port = port};

    rows_add(&desired->tables[TABLE_ROUTES], &key, &value);
}

static void add_next_hop(struct desired *desired, uint32_t group, uint8_t last)
{
    struct next_hop_key key = {group, 0};
    struct next_hop_value value = {.group = group, .port = 5, .next_hop = {[10] = 0xff, 0xff, 10, 0, 0, last}};

    rows_add(&desired->tables[TABLE_NEXT_HOPS], &key, &value);
}

#define BEHIND_1_AND_2 (1u << 1 | 1u << 2 | 1u << 3)
#define BEHIND_3 (1u << 4 | 1u << 5) /* And where its gateway is: by it, workloads there reach network 12. */

static void what_a_network_says_concerns_who_reaches_it_through_routers(void **state)
{
    struct maps *maps = loader_open();
    struct desired desired;
    uint64_t now_ms = 5000000;

    desired_init(&desired);
    for (uint32_t output = 4; output <= 5; output++) {
        router_world(&desired); /* At first everything is new. */
        add_fdb(&desired, 11, OUTPUT_REMOTE | output);
        assert_int_equal(output == 4 ? 0 : BEHIND_1_AND_2, bumped_by(maps, &desired, &now_ms));
    }
    for (uint32_t output = 4; output <= 5; output++) {
        router_world(&desired);
        add_fdb(&desired, 11, OUTPUT_REMOTE | 5);
        add_fdb(&desired, 20, OUTPUT_REMOTE | output); /* Of the external network: its own port, and those behind gateways. */
        assert_int_equal(output == 4 ? 0 : 1 << 4 | 1 << 5, bumped_by(maps, &desired, &now_ms));
    }
    router_world(&desired); /* Both are gone. */
    assert_int_equal(BEHIND_1_AND_2 | 1 << 4 | 1 << 5, bumped_by(maps, &desired, &now_ms));
    for (uint8_t mac = 1; mac <= 2; mac++) {
        router_world(&desired);
        add_neighbor(&desired, 12, mac);
        add_neighbor(&desired, 13, mac); /* No router leads there, and switching does not ask. */
        assert_int_equal(mac == 1 ? 0 : BEHIND_3, bumped_by(maps, &desired, &now_ms));
    }
    desired_clear(&desired);
    loader_apply(maps, &desired, &now_ms);
    maps_close(maps);
}

static void what_a_router_does_concerns_all_that_hangs_together_with_it(void **state)
{
    struct maps *maps = loader_open();
    struct desired desired;
    uint64_t now_ms = 6000000;

    desired_init(&desired);
    router_world(&desired);
    bumped_by(maps, &desired, &now_ms);
    add_route(&desired, 1, 1, 0, 2); /* Also a new one may be better than what was taken. */
    assert_int_equal(BEHIND_1_AND_2, bumped_by(maps, &desired, &now_ms));
    for (uint8_t last = 1; last <= 2; last++) {
        router_world(&desired);
        add_route(&desired, 1, 1, 0, 2);
        add_route(&desired, 3, 1, ROUTE_MANY, 77);
        add_next_hop(&desired, 77, last);
        assert_int_equal(BEHIND_3, bumped_by(maps, &desired, &now_ms));
    }
    router_world(&desired); /* The two routes are gone. */
    assert_int_equal(BEHIND_1_AND_2 | BEHIND_3, bumped_by(maps, &desired, &now_ms));

    uint32_t number = 4;
    struct router_port_config *port = (struct router_port_config *)rows_find(&desired.tables[TABLE_ROUTER_PORTS], &number);
    const struct router_port_config down = {.router = 2, .vni = 11, .generation = 1};

    memcpy(port, &down, sizeof(down)); /* Router 2 loses network 11: it hung there before. */
    assert_int_equal(BEHIND_1_AND_2, bumped_by(maps, &desired, &now_ms));
    desired.tables[TABLE_ROUTER_PORTS].n = 3; /* And the port is deleted, with router 3's. */
    assert_int_equal(BEHIND_1_AND_2 | BEHIND_3, bumped_by(maps, &desired, &now_ms));
    router_world(&desired); /* New ports lead where nothing led. */
    assert_int_equal(0, bumped_by(maps, &desired, &now_ms));
    desired_clear(&desired);
    loader_apply(maps, &desired, &now_ms);
    maps_close(maps);
}

/* ---- external networks --------------------------------------------------------------------------------------------------------- */

static void add_external(struct desired *desired, uint32_t output, uint32_t flags)
{
    struct external_key key = {20, 0x0100007f};
    struct external_value value = {.vni = 20, .kind = EXTERNAL_FLOATING, .output = output, .flags = flags};

    rows_add(&desired->tables[TABLE_EXTERNAL], &key, &value);
}

static void add_blocks(struct desired *desired, uint32_t n, uint16_t first)
{
    uint32_t gateway = 6;
    struct snat_config value = {.router_port = gateway, .address = 9, .vni = 20, .n_blocks = n};

    for (uint32_t i = 0; i < n; i++)
        value.blocks[i].first = (uint16_t)(first + 64 * i), value.blocks[i].size = 64;
    rows_add(&desired->tables[TABLE_SNAT], &gateway, &value);
}

static void what_is_outside_concerns_the_networks_behind_the_gateways_there(void **state)
{
    const unsigned behind_gateways = 1 << 4 | 1 << 5;
    struct maps *maps = loader_open();
    struct desired desired;
    uint64_t now_ms = 7000000;

    desired_init(&desired);
    router_world(&desired);
    bumped_by(maps, &desired, &now_ms);
    add_external(&desired, OUTPUT_REMOTE | 1, 0); /* Nobody had the address. */
    add_blocks(&desired, 1, 1024);
    assert_int_equal(0, bumped_by(maps, &desired, &now_ms));
    router_world(&desired);
    add_external(&desired, OUTPUT_REMOTE | 1, EXTERNAL_ANNOUNCED); /* No matter of connections; and one more block serves new ones. */
    add_blocks(&desired, 2, 1024);
    assert_int_equal(0, bumped_by(maps, &desired, &now_ms));
    router_world(&desired);
    add_external(&desired, OUTPUT_REMOTE | 2, EXTERNAL_ANNOUNCED); /* Moved. */
    add_blocks(&desired, 2, 1024);
    assert_int_equal(behind_gateways, bumped_by(maps, &desired, &now_ms));
    router_world(&desired);
    add_external(&desired, OUTPUT_REMOTE | 2, EXTERNAL_ANNOUNCED);
    add_blocks(&desired, 2, 1024 + 64); /* The first block is gone. */
    assert_int_equal(behind_gateways, bumped_by(maps, &desired, &now_ms));
    router_world(&desired);
    add_blocks(&desired, 2, 1024 + 64); /* The address is nobody's any more. */
    assert_int_equal(behind_gateways, bumped_by(maps, &desired, &now_ms));

    struct floating_key key = {.slot = 2, .address = 7};
    struct floating_value value = {.slot = 2};

    rows_add(&desired.tables[TABLE_FLOATING], &key, &value);
    assert_int_equal(1 << 2, bumped_by(maps, &desired, &now_ms));

    struct uplink_key by_vni = {UPLINK_BY_VNI, 20};
    struct uplink_value uplink = {.ifindex = 1, .vni = 20};

    router_world(&desired); /* Outsiders are heard here: what becomes ours is not believed from them any more. */
    rows_add(&desired.tables[TABLE_UPLINKS], &by_vni, &uplink);
    bumped_by(maps, &desired, &now_ms);
    for (int ours = 0; ours <= 2; ours++) {
        router_world(&desired);
        rows_add(&desired.tables[TABLE_UPLINKS], &by_vni, &uplink);
        if (ours)
            add_fdb(&desired, 20, OUTPUT_REMOTE | 1); /* A MAC, */
        if (ours == 2)
            add_neighbor(&desired, 20, 7); /* and one more address of it. */
        assert_int_equal(ours ? behind_gateways : 0, bumped_by(maps, &desired, &now_ms));
    }
    router_world(&desired);
    rows_add(&desired.tables[TABLE_UPLINKS], &by_vni, &uplink);
    add_fdb(&desired, 20, OUTPUT_REMOTE | 1);
    bumped_by(maps, &desired, &now_ms);
    rows_add(&desired.tables[TABLE_UPLINKS], &by_vni, &uplink);
    add_neighbor(&desired, 20, 8); /* A station outside. */
    assert_int_equal(0, bumped_by(maps, &desired, &now_ms));

    struct flood_key gateway = {20, 0};
    struct output_value host = {20, OUTPUT_REMOTE | 1};

    rows_add(&desired.tables[TABLE_GATEWAYS], &gateway, &host); /* Takes over a share. */
    assert_int_equal(behind_gateways, bumped_by(maps, &desired, &now_ms));
    desired_clear(&desired);
    loader_apply(maps, &desired, &now_ms);
    maps_close(maps);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(policies_bump_the_ports_that_they_concern),
        cmocka_unit_test(listeners_bump_those_who_call_them),
        cmocka_unit_test(a_rule_set_stays_for_a_moment_after_the_last_policy_that_named_it),
        cmocka_unit_test(the_rows_of_a_pool_stay_for_a_moment_after_its_last_listener),
        cmocka_unit_test(what_a_network_says_concerns_who_reaches_it_through_routers),
        cmocka_unit_test(what_a_router_does_concerns_all_that_hangs_together_with_it),
        cmocka_unit_test(what_is_outside_concerns_the_networks_behind_the_gateways_there),
    };

    return loader_main(argc, argv, tests, ARRAY_SIZE(tests));
}
