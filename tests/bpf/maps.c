/* The loader against a real kernel: random desired tables applied one after the other, each time compared with what the kernel
 * says.  Run by test_maps.py as root: maps PIN-PATH [SEED]. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <cmocka.h>

#include "loader.h"
#include "weft/base/clock.h"
#include "weft/base/util.h"

/* ---- what is written, in order ------------------------------------------------------------------------------------------------ */

static struct {
    int fds[64];
    size_t n;
} written;

static void note_write(int fd)
{
    if (written.n < ARRAY_SIZE(written.fds))
        written.fds[written.n++] = fd;
}

/* In front of libbpf's. */
int bpf_map_update_elem(int fd, const void *key, const void *value, __u64 flags)
{
    union bpf_attr attr;

    memset(&attr, 0, sizeof(attr));
    attr.map_fd = (__u32)fd;
    attr.key = (__u64)(uintptr_t)key;
    attr.value = (__u64)(uintptr_t)value;
    attr.flags = flags;
    note_write(fd);
    return (int)syscall(__NR_bpf, BPF_MAP_UPDATE_ELEM, &attr, sizeof(attr));
}

static size_t place_of_write(int fd)
{
    for (size_t i = 0; i < written.n; i++)
        if (written.fds[i] == fd)
            return i;
    fail_msg("the table was not written");
    return 0;
}

/* ---- desired tables ------------------------------------------------------------------------------------------------------------ */

static void random_external_rows(struct desired *desired, uint32_t vni, uint32_t slot)
{
    struct floating_key floating = {slot, (uint32_t)rand() % 9};
    struct floating_value floating_value = {slot, (uint32_t)rand(), vni, 1};
    struct external_key external = {vni, (uint32_t)rand() % 30};
    struct external_value external_value = {.vni = vni, .kind = EXTERNAL_FLOATING, .output = OUTPUT_LOCAL | slot};
    struct forwarding_key forwarding = {.prefix_length = FORWARDING_PREFIX + 16, .vni = vni, .port = (uint16_t)(rand() % 9), .protocol = 6};
    struct snat_config snat = {.router_port = slot, .vni = vni, .n_blocks = (uint32_t)rand() % 3};
    struct snat_owner_key owner = {.prefix_length = 64 + (uint32_t)rand() % 17, .vni = vni};
    struct flood_key gateway = {vni, (uint32_t)rand() % 3};
    struct output_value output = {vni, OUTPUT_REMOTE | slot};
    struct uplink_key uplink = {(uint32_t)rand() % 9, vni};
    struct uplink_value uplink_value = {.ifindex = uplink.ifindex, .vlan = vni, .vni = vni};

    rows_add(&desired->tables[TABLE_FLOATING], &floating, &floating_value);
    rows_add(&desired->tables[TABLE_EXTERNAL], &external, &external_value);
    rows_add(&desired->tables[TABLE_FORWARDINGS], &forwarding, &external_value);
    rows_add(&desired->tables[TABLE_SNAT], &slot, &snat);
    rows_add(&desired->tables[TABLE_SNAT_OWNERS], &owner, &output);
    rows_add(&desired->tables[TABLE_GATEWAYS], &gateway, &output);
    rows_add(&desired->tables[TABLE_UPLINKS], &uplink, &uplink_value);
}

/* Keys from a small space, so that rows come, change and go. */
static void random_rows(struct desired *desired, unsigned n)
{
    desired_clear(desired);
    for (unsigned i = 0; i < n; i++) {
        uint32_t slot = 1 + (uint32_t)rand() % 63, vni = 1 + (uint32_t)rand() % 5, ifindex = 1000 + (uint32_t)rand() % 50;
        struct port_config port = {.ifindex = ifindex, .vni = vni, .generation = 1 + (uint32_t)rand() % 3};
        struct host_config host = {.ifindex = 2, .remote = {192, 0, 2, (uint8_t)slot}, .next_hop = {(uint8_t)rand()}};
        struct fdb_key fdb = {.vni = vni, .mac = {2, 0, 0, 0, 0, (uint8_t)(rand() % 40)}};
        struct output_value output = {vni, OUTPUT_LOCAL | slot};
        struct movable_key movable = {.vni = vni, .mac = {2, 0, 0, 0, 1, (uint8_t)(rand() % 9)}, .output = output.output};
        struct neighbor_key neighbor = {.vni = vni, .address = {10, 0, 0, (uint8_t)(rand() % 40)}};
        struct neighbor_value mac = {.check = (uint16_t)vni, .mac = {2, 0, 0, 0, 0, (uint8_t)rand()}};
        struct flood_key flood = {.vni = vni, .index = (uint32_t)rand() % 20};
        struct source_key source = {.prefix_length = 32 + 8 * (1 + (uint32_t)rand() % 16), .slot = slot};
        struct source_value macs = {.slot = slot, .n_macs = 1, .mac = {{2, 0, 0, 0, 0, (uint8_t)rand()}}};
        struct network_value network = {.vni = vni, .project = (uint16_t)(rand() % 3)};
        struct peer_key peer = {.address = {10, 1, 0, (uint8_t)(rand() % 30)}};
        struct peer_value peer_value = {.host = slot};
        struct project_limits limits = {1 + (uint32_t)rand() % 9, 5, (uint32_t)rand() % 3};
        struct port_policy policy = {{(uint32_t)rand() % 3, 1 + (uint32_t)rand() % 9}};
        struct rules_key rules = {1 + (uint32_t)rand() % 9, (uint32_t)rand() % 2};
        struct rules_block block = {.set = rules.set, .index = rules.index, .n = 1 + (uint32_t)rand() % 2};
        struct rules_key firewall = {1 + (uint32_t)rand() % 9, 0};
        struct firewall_block firewall_block = {.set = firewall.set, .n = 1, .is_last = 1, .rules = {{.number = (uint32_t)rand() % 3}}};
        struct member_key member = {.group = vni, .address = {10, 0, 0, (uint8_t)(rand() % 40)}};
        struct member_prefix_key prefix = {.prefix_length = 32 + 8 * (1 + (uint32_t)rand() % 16), .group = vni};
        __u64 group = vni;
        struct router_port_config router_port = {.flags = (uint32_t)rand() % 2, .router = vni, .vni = vni, .generation = 1 + (uint32_t)rand() % 3,
                                                   .rule_set = {(uint32_t)rand() % 3, (uint32_t)rand() % 9}};
        struct route_key route_key = {.prefix_length = 32 + 8 * (1 + (uint32_t)rand() % 16), .router = vni};
        struct route_value route = {.router = vni, .flags = rand() % 2 ? ROUTE_MANY : 0, .port = slot};
        struct next_hop_key hop_key = {.group = slot, .bucket = (uint32_t)rand() % 2};
        struct next_hop_value hop = {.group = slot, .port = vni};

        rows_add(&desired->tables[TABLE_PORTS], &slot, &port);
        rows_add(&desired->tables[TABLE_HOSTS], &slot, &host);
        rows_add(&desired->tables[TABLE_INTERFACES], &ifindex, &slot);
        rows_add(&desired->tables[TABLE_FDB], &fdb, &output);
        rows_add(&desired->tables[TABLE_MOVABLE], &movable, &output);
        rows_add(&desired->tables[TABLE_NEIGHBORS], &neighbor, &mac);
        rows_add(&desired->tables[TABLE_FLOOD], &flood, &output);
        rows_add(&desired->tables[TABLE_SOURCES], &source, &macs);
        rows_add(&desired->tables[TABLE_NETWORKS], &vni, &network);
        rows_add(&desired->tables[TABLE_PEERS], &peer, &peer_value);
        rows_add(&desired->tables[TABLE_PROJECTS], &slot, &limits);
        rows_add(&desired->tables[TABLE_POLICIES], &slot, &policy);
        rows_add(&desired->tables[TABLE_RULES], &rules, &block);
        rows_add(&desired->tables[TABLE_MEMBERS], &member, &group);
        rows_add(&desired->tables[TABLE_MEMBER_PREFIXES], &prefix, &group);
        rows_add(&desired->tables[TABLE_ROUTER_PORTS], &slot, &router_port);
        rows_add(&desired->tables[TABLE_FIREWALL_RULES], &firewall, &firewall_block);
        rows_add(&desired->tables[TABLE_ROUTES], &route_key, &route);
        rows_add(&desired->tables[TABLE_NEXT_HOPS], &hop_key, &hop);
        random_external_rows(desired, vni, slot);
    }
    for (int table = 0; table < N_DESIRED_TABLES; table++)
        assert_int_equal(0, rows_sort(&desired->tables[table]));
}

static void assert_same(const struct desired *expected, const struct desired *actual)
{
    for (int table = 0; table < N_DESIRED_TABLES; table++) {
        const struct rows *a = &expected->tables[table], *b = &actual->tables[table];

        if (a->n != b->n || (a->n && memcmp(a->data, b->data, a->n * rows_stride(a)) != 0))
            fail_msg("table %s differs: %zu rows expected, %zu there", desired_table_name(table), a->n, b->n);
    }
}

static void the_kernel_holds_what_is_desired(void **state)
{
    struct maps *maps = loader_open();
    struct maps_changes changes;
    struct desired desired;
    uint64_t now_ms = 1000;

    desired_init(&desired);
    for (unsigned round = 0; round < 60; round++) {
        struct maps *again;

        random_rows(&desired, (unsigned)rand() % 80);
        loader_apply(maps, &desired, &now_ms);
        assert_same(&desired, maps_actual(maps));
        assert_int_equal(0, maps_apply(maps, &desired, true, now_ms, &changes));
        assert_int_equal(0, changes.n_added + changes.n_changed + changes.n_deleted);
        if (round % 10)
            continue;
        again = loader_open(); /* What another agent finds: the pins say the same. */
        assert_same(&desired, maps_actual(again));
        maps_close(again);
    }
    desired_clear(&desired);
    loader_apply(maps, &desired, &now_ms);
    assert_same(&desired, maps_actual(maps));
    maps_close(maps);
}

static void nothing_is_deleted_without_sweep(void **state)
{
    struct maps *maps = loader_open();
    struct desired first, second;
    struct maps_changes changes;
    uint64_t now_ms = 100000;

    desired_init(&first);
    desired_init(&second);
    random_rows(&first, 50);
    loader_apply(maps, &first, &now_ms);
    assert_int_equal(0, maps_apply(maps, &second, false, now_ms + 1000, &changes));
    assert_int_equal(0, changes.n_deleted);
    assert_same(&first, maps_actual(maps));
    loader_apply(maps, &second, &now_ms);
    assert_same(&second, maps_actual(maps));
    desired_clear(&first);
    maps_close(maps);
}

static void a_record_is_not_changed_twice_within_the_grace(void **state)
{
    struct maps *maps = loader_open();
    struct maps_changes changes;
    struct desired desired;
    uint32_t slot = 7;
    struct port_config config = {.ifindex = 5, .vni = 9, .generation = 3};

    desired_init(&desired);
    rows_add(&desired.tables[TABLE_PORTS], &slot, &config);
    assert_int_equal(0, maps_apply(maps, &desired, true, 500000, &changes));
    assert_int_equal(0, changes.retry_ms);
    rows_clear(&desired.tables[TABLE_PORTS]);
    config.ifindex = 6;
    rows_add(&desired.tables[TABLE_PORTS], &slot, &config);
    assert_int_equal(0, maps_apply(maps, &desired, true, 500001, &changes));
    assert_int_equal(RECORD_GRACE_MS - 1, changes.retry_ms);
    assert_int_equal(0, changes.n_changed);
    assert_int_equal(0, maps_apply(maps, &desired, true, 500000 + RECORD_GRACE_MS, &changes));
    assert_int_equal(1, changes.n_changed);

    /* A freed slot remembers its generation, also for the next agent. */
    rows_clear(&desired.tables[TABLE_PORTS]);
    assert_int_equal(0, maps_apply(maps, &desired, true, 600000, &changes));
    assert_int_equal(1, changes.n_deleted);
    maps_close(maps);
    maps = loader_open();
    assert_int_equal(0, maps_actual(maps)->tables[TABLE_PORTS].n);
    assert_int_equal(3, maps_port_generation(maps, slot));
    maps_close(maps);
}

static void want_member(struct desired *desired, uint32_t flags, uint16_t owner)
{
    uint32_t number = 7;
    struct service_member member = {.number = number, .flags = flags, .output = OUTPUT_LOCAL | 1};
    struct service_rows_key key = {.pool = 1, .index = SERVICE_ROWS_INDEX(1021, 0)};
    struct service_rows rows = {.pool = 1, .index = key.index, .rows = {{.owner = owner}}};

    desired_clear(desired);
    rows_add(&desired->tables[TABLE_SERVICE_MEMBERS], &number, &member);
    rows_add(&desired->tables[TABLE_SERVICE_ROWS], &key, &rows);
}

/* As long as a row names it, new connections are led to it: who is not up then is nobody's. */
static void a_member_is_up_for_as_long_as_a_row_names_it(void **state)
{
    struct maps *maps = loader_open();
    int members = maps_descriptor(maps, "service_members"), rows = maps_descriptor(maps, "service_rows");
    struct desired desired;
    uint64_t now_ms = 1000;

    desired_init(&desired);
    want_member(&desired, 0, 0);
    loader_apply(maps, &desired, &now_ms);

    want_member(&desired, SERVICE_MEMBER_UP, 7);
    written.n = 0;
    loader_apply(maps, &desired, &now_ms);
    assert_int_equal(2, written.n);
    assert_true(place_of_write(members) < place_of_write(rows));

    want_member(&desired, 0, 0);
    written.n = 0;
    loader_apply(maps, &desired, &now_ms);
    assert_int_equal(2, written.n);
    assert_true(place_of_write(rows) < place_of_write(members));
    assert_same(&desired, maps_actual(maps));

    desired_clear(&desired);
    loader_apply(maps, &desired, &now_ms);
    maps_close(maps);
}

/* Each under its own; and what was taken off before it was added is none. */
static void connections_count_under_a_number(void **state)
{
    struct maps *maps = loader_open();
    uint32_t number = 9;

    for (int k = 0; k < 2; k++) {
        uint64_t (*read)(const struct maps *, uint32_t) = k ? maps_member_connections : maps_listener_connections;
        int fd = maps_descriptor(maps, k ? "member_use" : "listener_use");
        struct service_use use = {5};

        assert_int_equal(0, bpf_map_update_elem(fd, &number, &use, BPF_ANY));
        assert_int_equal(5, read(maps, 9));
        assert_int_equal(0, read(maps, 8));
        use.n_connections = (__u64)-1;
        assert_int_equal(0, bpf_map_update_elem(fd, &number, &use, BPF_ANY));
        assert_int_equal(0, read(maps, 9));
        assert_int_equal(0, read(maps, UINT32_MAX));
    }
    maps_close(maps);
}

static void want_firewall(struct desired *desired, uint32_t set)
{
    struct router_port_config port = {.router = 1, .vni = 9, .rule_set = {set, 0}};
    struct rules_key key = {set, 0};
    struct firewall_block block = {.set = set, .is_last = 1};
    uint32_t number = 4;

    rows_clear(&desired->tables[TABLE_ROUTER_PORTS]);
    rows_clear(&desired->tables[TABLE_FIREWALL_RULES]);
    rows_add(&desired->tables[TABLE_ROUTER_PORTS], &number, &port);
    rows_add(&desired->tables[TABLE_FIREWALL_RULES], &key, &block);
}

/* A program may be in the middle of it, and a port that cannot change yet still names it. */
static void a_firewall_policy_stays_until_nobody_asks_it(void **state)
{
    struct maps *maps = loader_open();
    const struct rows *rules = &maps_actual(maps)->tables[TABLE_FIREWALL_RULES];
    struct maps_changes changes;
    struct desired desired;

    desired_init(&desired);
    want_firewall(&desired, 1);
    assert_int_equal(0, maps_apply(maps, &desired, true, 400000, &changes));
    struct firewall_block *block = (struct firewall_block *)rows_value(&desired.tables[TABLE_FIREWALL_RULES], 0);
    assert_false(maps_would_overwrite_sets(maps, &desired));
    block->rules[block->n++].verdict = FIREWALL_PASSES; /* Another policy, of the same name. */
    assert_true(maps_would_overwrite_sets(maps, &desired));
    want_firewall(&desired, 2);
    assert_false(maps_would_overwrite_sets(maps, &desired));
    assert_int_equal(0, maps_apply(maps, &desired, true, 400001, &changes)); /* The port waits for its grace. */
    assert_int_equal(2, rules->n);
    assert_true(changes.retry_ms > 0);
    assert_int_equal(0, maps_apply(maps, &desired, true, 400000 + RECORD_GRACE_MS, &changes)); /* The port changes; who began before reads on. */
    assert_int_equal(1, changes.n_changed);
    assert_int_equal(2, rules->n);
    assert_int_equal(RECORD_GRACE_MS, changes.retry_ms);
    assert_int_equal(0, maps_apply(maps, &desired, true, 400001 + RECORD_GRACE_MS, &changes));
    assert_int_equal(2, rules->n);
    assert_int_equal(0, maps_apply(maps, &desired, true, 400000 + 2 * RECORD_GRACE_MS, &changes));
    assert_int_equal(1, changes.n_deleted);
    assert_int_equal(1, rules->n);
    desired_clear(&desired);
    assert_int_equal(0, maps_apply(maps, &desired, true, 450000, &changes));
    assert_int_equal(0, maps_apply(maps, &desired, true, 460000, &changes));
    assert_int_equal(0, rules->n);
    maps_close(maps);
}

/* Port 1 has the rules of the set, and nobody has any other. */
static void want_rules(struct desired *desired, uint32_t set)
{
    struct port_policy policy = {{set, set + 1}};
    uint32_t slot = 1;

    desired_reset(desired);
    rows_add(&desired->tables[TABLE_POLICIES], &slot, &policy);
    for (uint32_t i = 0; i < 2; i++) {
        struct rules_key key = {set + i, 0};
        struct rules_block block = {.set = set + i};

        rows_add(&desired->tables[TABLE_RULES], &key, &block);
    }
    assert_int_equal(0, rows_sort(&desired->tables[TABLE_RULES]));
}

/* Whoever changes rules more often than programs finish cannot fill the table with what he had. */
static void rules_that_change_all_the_time_do_not_pile_up(void **state)
{
    struct maps *maps = loader_open();
    const struct rows *rules = &maps_actual(maps)->tables[TABLE_RULES];
    struct maps_changes changes;
    struct desired desired;
    uint64_t now_ms = 420000;

    desired_init(&desired);
    assert_int_equal(RULE_BLOCKS_MAX / 2, maps_room(maps, TABLE_RULES));
    assert_int_equal(MEMBERS_MAX, maps_room(maps, TABLE_MEMBERS));
    for (uint32_t i = 0; i < 40; i++, now_ms += RECORD_GRACE_MS / 2) {
        want_rules(&desired, 1 + 2 * i);
        assert_int_equal(0, maps_apply(maps, &desired, true, now_ms, &changes));
        assert_int_equal(0, changes.n_failed);
        assert_in_range(rules->n, 2, 6); /* These, and two generations within their grace. */
        assert_int_equal(i == 0 ? 0 : RECORD_GRACE_MS, changes.retry_ms);
    }
    want_rules(&desired, 1); /* A name comes back while its former blocks are there, or are just gone. */
    loader_apply(maps, &desired, &now_ms);
    assert_same(&desired, maps_actual(maps));
    desired_clear(&desired);
    loader_apply(maps, &desired, &now_ms);
    assert_int_equal(0, rules->n);
    maps_close(maps);
}

static void want_uplinks(struct desired *desired, uint32_t ifindex)
{
    desired_reset(desired);
    for (uint32_t i = 0; i < 256; i++) { /* As many as there is room for. */
        struct uplink_key key = {ifindex, i};
        struct uplink_value value = {.ifindex = ifindex, .vlan = i};

        rows_add(&desired->tables[TABLE_UPLINKS], &key, &value);
    }
    assert_int_equal(0, rows_sort(&desired->tables[TABLE_UPLINKS]));
}

/* A full table takes what the same change makes room for. */
static void fill_a_table(struct maps *maps)
{
    struct maps_changes changes;
    struct desired desired;
    uint64_t now_ms = 900000;

    desired_init(&desired);
    want_uplinks(&desired, 8);
    assert_int_equal(0, maps_apply(maps, &desired, true, now_ms, &changes));
    want_uplinks(&desired, 9);
    assert_int_equal(0, maps_apply(maps, &desired, true, now_ms, &changes));
    assert_int_equal(0, changes.n_failed);
    assert_same(&desired, maps_actual(maps));

    struct uplink_key key = {10, 0};
    struct uplink_value value = {.ifindex = 10};
    rows_add(&desired.tables[TABLE_UPLINKS], &key, &value);
    assert_int_not_equal(0, maps_apply(maps, &desired, true, now_ms, &changes)); /* And one more. */
    assert_int_equal(1, changes.n_failed);
    assert_string_equal("uplinks", changes.failed_table);
    assert_int_equal(256, maps_actual(maps)->tables[TABLE_UPLINKS].n);
    desired_clear(&desired);
    loader_apply(maps, &desired, &now_ms);
}

static void a_row_beyond_the_tables_is_refused_and_the_others_are_written(void **state)
{
    struct maps *maps = loader_open();
    struct maps_changes changes;
    struct desired desired;
    uint32_t far = 64, near = 3;
    struct port_config config = {.ifindex = 5, .vni = 9};

    desired_init(&desired);
    rows_add(&desired.tables[TABLE_PORTS], &near, &config);
    rows_add(&desired.tables[TABLE_PORTS], &far, &config);
    assert_int_equal(0, maps_apply(maps, &desired, true, 700000, &changes));
    assert_int_equal(1, changes.n_failed);
    assert_string_equal("ports", changes.failed_table);
    assert_int_equal(1, maps_actual(maps)->tables[TABLE_PORTS].n);
    desired_clear(&desired);
    assert_int_equal(0, maps_apply(maps, &desired, true, 800000, &changes));
    fill_a_table(maps);
    maps_close(maps);
}

/* Network 'vni' is of the project with that index, which may have so many learned MACs. */
static void add_project(struct desired *desired, uint32_t vni, uint32_t project, uint32_t max_learned)
{
    struct network_value network = {.vni = vni, .project = (uint16_t)project};
    struct project_limits limits = {.max_learned = max_learned};

    rows_add(&desired->tables[TABLE_NETWORKS], &vni, &network);
    rows_add(&desired->tables[TABLE_PROJECTS], &project, &limits);
}

static void learned_macs_without_a_claim_are_swept(void **state)
{
    struct maps *maps = loader_open();
    struct maps_changes changes;
    struct desired desired;
    int fd = maps_descriptor(maps, "learned"), runtime = maps_descriptor(maps, "port_runtime");
    struct movable_key claim = {.vni = 9, .output = OUTPUT_LOCAL | 4}; /* Any MAC. */
    struct output_value mine = {9, OUTPUT_LOCAL | 4}, other = {9, OUTPUT_LOCAL | 5}, found;
    struct fdb_key keys[] = {{.vni = 9, .mac = {2, 1}}, {.vni = 9, .mac = {2, 2}}, {.vni = 9, .mac = {2, 3}}};
    struct port_runtime counted;
    uint32_t slot = 4;

    desired_init(&desired);
    add_project(&desired, 9, 3, 100);
    rows_add(&desired.tables[TABLE_MOVABLE], &claim, &mine);
    rows_add(&desired.tables[TABLE_FDB], &keys[2], &other); /* Owned by now. */
    assert_int_equal(0, maps_apply(maps, &desired, true, 900000, &changes));
    assert_int_equal(0, bpf_map_update_elem(fd, &keys[0], &mine, BPF_ANY));
    assert_int_equal(0, bpf_map_update_elem(fd, &keys[1], &other, BPF_ANY)); /* Port 5 may not claim. */
    assert_int_equal(0, bpf_map_update_elem(fd, &keys[2], &mine, BPF_ANY));
    assert_int_equal(2, maps_sweep_learned(maps));
    assert_int_equal(0, bpf_map_lookup_elem(fd, &keys[0], &found));
    assert_true(bpf_map_lookup_elem(fd, &keys[1], &found) < 0);
    assert_true(bpf_map_lookup_elem(fd, &keys[2], &found) < 0);
    assert_int_equal(0, bpf_map_lookup_elem(runtime, &slot, &counted));
    assert_int_equal(1, counted.n_learned);
    desired_clear(&desired);
    assert_int_equal(0, maps_apply(maps, &desired, true, 990000, &changes));
    assert_int_equal(1, maps_sweep_learned(maps));
    maps_close(maps);
}

/* Else a port would be deaf for ever after 256 MACs, and a tenant could fill the table of all. */
static void an_output_at_its_limit_is_forgotten(void **state)
{
    struct maps *maps = loader_open();
    struct maps_changes changes;
    struct desired desired;
    int fd = maps_descriptor(maps, "learned");
    struct output_value values[] = {{9, OUTPUT_LOCAL | 4}, {9, OUTPUT_LOCAL | 5}, {9, OUTPUT_REMOTE | 4}, {10, OUTPUT_REMOTE | 4}};
    const uint32_t n_of[] = {MAX_LEARNED_PER_PORT, MAX_LEARNED_PER_PORT - 1, MAX_LEARNED_PER_HOST, MAX_LEARNED_PER_HOST - 1};
    struct port_runtime counted;
    uint32_t slot = 5;

    desired_init(&desired);
    add_project(&desired, 9, 3, LEARNED_MAX);
    add_project(&desired, 10, 3, LEARNED_MAX);
    for (uint32_t i = 0; i < 4; i++) {
        struct movable_key claim = {.vni = values[i].vni, .output = values[i].output};

        rows_add(&desired.tables[TABLE_MOVABLE], &claim, &values[i]);
        for (uint32_t k = 0; k < n_of[i]; k++) {
            struct fdb_key key = {.vni = values[i].vni, .mac = {2, (uint8_t)i, 0, 0, (uint8_t)(k >> 8), (uint8_t)k}};

            assert_int_equal(0, bpf_map_update_elem(fd, &key, &values[i], BPF_ANY));
        }
    }
    assert_int_equal(0, maps_apply(maps, &desired, true, 1900000, &changes));
    assert_int_equal(MAX_LEARNED_PER_PORT + MAX_LEARNED_PER_HOST, maps_sweep_learned(maps));
    assert_int_equal(0, maps_sweep_learned(maps));
    assert_int_equal(0, bpf_map_lookup_elem(maps_descriptor(maps, "port_runtime"), &slot, &counted));
    assert_int_equal(MAX_LEARNED_PER_PORT - 1, counted.n_learned);
    slot = 4;
    assert_int_equal(0, bpf_map_lookup_elem(maps_descriptor(maps, "port_runtime"), &slot, &counted));
    assert_int_equal(0, counted.n_learned);
    desired_clear(&desired);
    assert_int_equal(0, maps_apply(maps, &desired, true, 1990000, &changes));
    assert_int_equal(2 * MAX_LEARNED_PER_PORT + 2 * MAX_LEARNED_PER_HOST - 2 - MAX_LEARNED_PER_PORT - MAX_LEARNED_PER_HOST,
                     maps_sweep_learned(maps));
    maps_close(maps);
}

/* Over all its networks, ports and hosts; the other project keeps what it has. */
static void a_project_at_its_limit_is_forgotten(void **state)
{
    struct maps *maps = loader_open();
    struct maps_changes changes;
    struct desired desired;
    int fd = maps_descriptor(maps, "learned");
    static const uint32_t vnis[] = {9, 10, 11}, projects[] = {3, 3, 4}, limits[] = {16, 16, 17};
    uint32_t n_learned, n_not_learned, slot = 6;
    struct port_runtime counted;

    desired_init(&desired);
    for (uint32_t i = 0; i < 3; i++) {
        struct output_value values[] = {{vnis[i], OUTPUT_LOCAL | (5 + i)}, {vnis[i], OUTPUT_REMOTE | 4}};

        add_project(&desired, vnis[i], projects[i], limits[i]);
        for (uint32_t k = 0; k < (i == 2 ? 16 : 8); k++) {
            struct output_value *value = &values[k & 1];
            struct movable_key claim = {.vni = vnis[i], .output = value->output};
            struct fdb_key key = {.vni = vnis[i], .mac = {2, (uint8_t)i, 0, 0, 0, (uint8_t)k}};

            rows_add(&desired.tables[TABLE_MOVABLE], &claim, value);
            assert_int_equal(0, bpf_map_update_elem(fd, &key, value, BPF_ANY));
        }
    }
    for (int table = 0; table < N_DESIRED_TABLES; table++)
        rows_sort(&desired.tables[table]);
    assert_int_equal(0, maps_apply(maps, &desired, true, 2900000, &changes));
    assert_int_equal(16, maps_sweep_learned(maps));
    maps_project_learned(maps, 3, &n_learned, &n_not_learned);
    assert_int_equal(0, n_learned);
    maps_project_learned(maps, 4, &n_learned, &n_not_learned);
    assert_int_equal(16, n_learned);
    assert_int_equal(0, bpf_map_lookup_elem(maps_descriptor(maps, "port_runtime"), &slot, &counted));
    assert_int_equal(0, counted.n_learned);
    slot = 7;
    assert_int_equal(0, bpf_map_lookup_elem(maps_descriptor(maps, "port_runtime"), &slot, &counted));
    assert_int_equal(8, counted.n_learned);
    desired_clear(&desired);
    assert_int_equal(0, maps_apply(maps, &desired, true, 2990000, &changes));
    assert_int_equal(16, maps_sweep_learned(maps));
    maps_close(maps);
}

/* Printed, not judged. */
static void a_thousand_ports_are_timed(void **state)
{
    struct maps *maps = loader_open();
    struct maps_changes changes;
    struct desired desired;
    uint64_t start_ns;

    desired_init(&desired);
    for (uint32_t i = 0; i < 1000; i++) {
        struct fdb_key fdb = {.vni = 3, .mac = {2, 0, 0, 0, (uint8_t)(i >> 8), (uint8_t)i}};
        struct neighbor_key neighbor = {.vni = 3, .address = {10, 0, (uint8_t)(i >> 8), (uint8_t)i}};
        struct output_value output = {3, OUTPUT_REMOTE | 1};
        struct neighbor_value mac = {.check = 3};

        rows_add(&desired.tables[TABLE_FDB], &fdb, &output);
        rows_add(&desired.tables[TABLE_NEIGHBORS], &neighbor, &mac);
    }
    rows_sort(&desired.tables[TABLE_FDB]);
    rows_sort(&desired.tables[TABLE_NEIGHBORS]);
    start_ns = clock_monotonic_ns();
    assert_int_equal(0, maps_apply(maps, &desired, true, 2000000, &changes));
    printf("1,000 remote ports applied in %.2f ms\n", (double)(clock_monotonic_ns() - start_ns) / 1e6);
    assert_int_equal(2000, changes.n_added);
    desired_clear(&desired);
    assert_int_equal(0, maps_apply(maps, &desired, true, 3000000, &changes));
    maps_close(maps);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_kernel_holds_what_is_desired),
        cmocka_unit_test(nothing_is_deleted_without_sweep),
        cmocka_unit_test(a_record_is_not_changed_twice_within_the_grace),
        cmocka_unit_test(a_member_is_up_for_as_long_as_a_row_names_it),
        cmocka_unit_test(connections_count_under_a_number),
        cmocka_unit_test(a_firewall_policy_stays_until_nobody_asks_it),
        cmocka_unit_test(rules_that_change_all_the_time_do_not_pile_up),
        cmocka_unit_test(a_row_beyond_the_tables_is_refused_and_the_others_are_written),
        cmocka_unit_test(learned_macs_without_a_claim_are_swept),
        cmocka_unit_test(a_project_at_its_limit_is_forgotten),
        cmocka_unit_test(an_output_at_its_limit_is_forgotten),
        cmocka_unit_test(a_thousand_ports_are_timed),
    };

    return loader_main(argc, argv, tests, ARRAY_SIZE(tests));
}
