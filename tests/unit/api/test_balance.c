/* The writer of rows against what its header says, with two servers on one store: members, monitors, ports and hosts come, change and go; after
 * each step every pool's members are judged as by a naive reading, those that serve share the rows by weight within one, nobody else gets new flows,
 * and no index changes hands while somebody may still forward by it.  Servers end and begin anew. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "one-store.h"
#include "weft/api/balance-rows.h"
#include "weft/api/balance-size.h"
#include "weft/api/balancing.h"
#include "weft/balance/bytes.h"
#include "weft/balance/table.h"
#include "weft/base/util.h"

#define N_SERVERS 2
#define N_POOLS 3
#define N_MEMBERS 12
#define N_HOSTS 3
#define DRAIN_S 20

struct server {
    struct peer peer;
    struct balance_writer *writer;
};

static struct fleet {
    struct store *store;
    struct server servers[N_SERVERS];
    uint64_t now_ms;
    int64_t now_s;
} fleet;

static void server_start(struct server *server)
{
    peer_open(&server->peer, fleet.store);
    assert_int_equal(balance_writer_new(server->peer.replica, server->peer.commits, DRAIN_S, &server->writer), 0);
    peer_start(&server->peer);
}

static void server_end(struct server *server)
{
    peer_stop(&server->peer);
    peer_close(&server->peer);
    balance_writer_free(server->writer);
}

static void fleet_end(void)
{
    for (unsigned i = 0; i < N_SERVERS; i++)
        peer_stop(&fleet.servers[i].peer);
    store_close(fleet.store);
    for (unsigned i = 0; i < N_SERVERS; i++)
        server_end(&fleet.servers[i]);
}

static void deliver(void)
{
    bool is_busy;

    do {
        is_busy = false;
        for (unsigned i = 0; i < N_SERVERS; i++)
            is_busy |= peer_turn(&fleet.servers[i].peer);
    } while (is_busy);
}

/* Until nothing is left to do, the servers in any order, at times both at once. */
static bool has_work(const struct server *server)
{
    return balance_writer_is_dirty(server->writer) || balance_writer_wait_ms(server->writer, fleet.now_ms) != BALANCE_NEVER;
}

static void wait_for_writers(void)
{
    uint64_t wait_ms = MIN(balance_writer_wait_ms(fleet.servers[0].writer, fleet.now_ms), balance_writer_wait_ms(fleet.servers[1].writer, fleet.now_ms));

    fleet.now_s += (int64_t)(wait_ms + 999) / 1000; /* In whole seconds, as drain deadlines are. */
    fleet.now_ms = (uint64_t)fleet.now_s * 1000;
    for (unsigned i = 0; i < N_SERVERS; i++)
        balance_writer_age(fleet.servers[i].writer, fleet.now_ms);
}

static void settle(void)
{
    unsigned n_rounds = 0;

    deliver();
    for (unsigned i = 0; i < N_SERVERS; i++)
        balance_writer_age(fleet.servers[i].writer, fleet.now_ms);
    while (has_work(&fleet.servers[0]) || has_work(&fleet.servers[1])) {
        assert_true(n_rounds++ < 100);
        if (!balance_writer_is_dirty(fleet.servers[0].writer) && !balance_writer_is_dirty(fleet.servers[1].writer))
            wait_for_writers();
        for (unsigned i = 0; i < N_SERVERS; i++)
            if (below(3))
                balance_writer_pass(fleet.servers[i].writer, fleet.now_ms, fleet.now_s);
        deliver();
    }
}

static void put(struct object *object, enum resource_kind kind, unsigned slot)
{
    id_of(kind, slot, object->id);
    write_object(fleet.store, kind, object->id, object);
    object_free(object);
}

static void drop(enum resource_kind kind, unsigned slot)
{
    char id[UUID_TEXT_SIZE];

    write_object(fleet.store, kind, id_of(kind, slot, id), NULL);
}

static void put_pool(unsigned slot)
{
    struct object *object = object_new(RESOURCE_POOL);

    put(object, RESOURCE_POOL, slot);
}

static void set_address(struct ip_address *address, unsigned slot)
{
    char text[24];

    snprintf(text, sizeof(text), "10.0.%u.%u", slot / 200, 1 + slot % 200);
    ip_parse(text, address);
}

static void put_member(unsigned slot, unsigned pool, unsigned weight, bool backup, bool is_up)
{
    struct pool_member *member = (struct pool_member *)object_new(RESOURCE_POOL_MEMBER);

    id_of(RESOURCE_POOL, pool, member->pool_id);
    id_of(RESOURCE_SUBNET, 0, member->at_subnet_id);
    set_address(&member->address, slot);
    member->weight = (uint16_t)weight;
    member->backup = backup;
    member->object.admin_state_up = is_up;
    put(&member->object, RESOURCE_POOL_MEMBER, slot);
}

static void put_port(unsigned slot, const char *host, bool is_active)
{
    struct port *port = (struct port *)object_new(RESOURCE_PORT);
    char key[80], value[80];

    port->binding_host_id = host ? strdup(host) : NULL;
    port->fixed_ips = calloc(1, sizeof(*port->fixed_ips));
    port->n_fixed_ips = 1;
    id_of(RESOURCE_SUBNET, 0, port->fixed_ips[0].subnet_id);
    set_address(&port->fixed_ips[0].address, slot);
    put(&port->object, RESOURCE_PORT, slot);
    snprintf(key, sizeof(key), "status/port/%08x-0000-4000-8000-%012x", RESOURCE_PORT + 1, slot);
    snprintf(value, sizeof(value), "{\"status\":\"ACTIVE\",\"host\":\"%s\"}", host ? host : "");
    write_key(fleet.store, key, is_active ? value : NULL, strlen(value));
}

static void put_host(unsigned slot, enum host_state state)
{
    struct object *object = object_new(RESOURCE_HOST);
    char name[8];

    snprintf(name, sizeof(name), "h%u", slot);
    free(object->name);
    object->name = strdup(name);
    ((struct host *)object)->state = state;
    put(object, RESOURCE_HOST, slot);
}

static void put_health(unsigned slot, const char *health)
{
    char key[80], value[80];

    snprintf(key, sizeof(key), "status/member/%08x-0000-4000-8000-%012x", RESOURCE_POOL_MEMBER + 1, slot);
    snprintf(value, sizeof(value), "{\"health\":\"%s\",\"host\":\"h0\"}", health ? health : "");
    write_key(fleet.store, key, health ? value : NULL, strlen(value));
}

static void put_monitor(unsigned slot, bool is_up)
{
    struct health_monitor *monitor = (struct health_monitor *)object_new(RESOURCE_HEALTH_MONITOR);

    id_of(RESOURCE_POOL, slot, monitor->pool_id);
    monitor->object.admin_state_up = is_up;
    put(&monitor->object, RESOURCE_HEALTH_MONITOR, slot);
}

static const struct pool_member *member_at(unsigned slot)
{
    char id[UUID_TEXT_SIZE];

    return (const struct pool_member *)replica_get(fleet.servers[0].peer.replica, RESOURCE_POOL_MEMBER, id_of(RESOURCE_POOL_MEMBER, slot, id));
}

static void operate(void)
{
    static const char *const hosts[] = {NULL, "h0", "h1", "h2"};
    static const char *const healths[] = {NULL, "UP", "UP", "DOWN"};
    unsigned member = below(N_MEMBERS), pool = below(N_POOLS);

    switch (below(12)) {
    case 0:
        if (below(4))
            put_pool(pool);
        else
            drop(RESOURCE_POOL, pool);
        break;
    case 1:
    case 2:
    case 3:
        put_member(member, below(20) ? member % N_POOLS : pool, below(3) ? 1 + below(5) : 0, !below(5), below(10));
        break;
    case 4:
        put_health(member, NULL);
        drop(RESOURCE_POOL_MEMBER, member);
        break;
    case 5:
        if (below(2))
            put_monitor(pool, below(5));
        else
            drop(RESOURCE_HEALTH_MONITOR, pool);
        break;
    case 6:
        put_host(below(N_HOSTS), below(4) ? HOST_STATE_UP : HOST_STATE_DOWN);
        break;
    case 7:
        fleet.now_s += 1 + below(DRAIN_S);
        fleet.now_ms = (uint64_t)fleet.now_s * 1000;
        break;
    case 8:
        if (!below(3)) { /* A server begins anew. */
            struct server *server = &fleet.servers[below(N_SERVERS)];

            server_end(server);
            server_start(server);
        }
        break;
    case 9:
    case 10:
        if (below(8))
            put_port(member, hosts[below(4)], below(8));
        else
            drop(RESOURCE_PORT, member);
        break;
    default:
        deliver();
        if (member_at(member))
            put_health(member, healths[below(4)]);
    }
}

/* --- The naive reading. --- */

static bool is_watched(unsigned pool)
{
    char id[UUID_TEXT_SIZE];
    const struct object *monitor = replica_get(fleet.servers[0].peer.replica, RESOURCE_HEALTH_MONITOR, id_of(RESOURCE_HEALTH_MONITOR, pool, id));

    return monitor && monitor->admin_state_up;
}

static const struct port *port_at(unsigned slot)
{
    char id[UUID_TEXT_SIZE];

    return replica_port(fleet.servers[0].peer.replica, id_of(RESOURCE_PORT, slot, id));
}

static bool is_down(unsigned slot, unsigned pool)
{
    const struct pool_member *member = member_at(slot);
    const struct port *port = port_at(slot);

    return !member->object.admin_state_up || !port ||
           (is_watched(pool) && (member->health == MEMBER_HEALTH_DOWN || port->status != PORT_STATUS_ACTIVE));
}

static bool is_silent(unsigned slot, unsigned pool)
{
    const struct port *port = port_at(slot);
    const struct host *host = port && port->binding_host_id ? replica_host_by_name(fleet.servers[0].peer.replica, port->binding_host_id) : NULL;

    return is_watched(pool) && host && host->state == HOST_STATE_DOWN;
}

/* How good a choice is it?  0: none. */
static unsigned rank(unsigned slot, unsigned pool)
{
    const struct pool_member *member = member_at(slot);

    if (!member || member->weight == 0 || is_down(slot, pool))
        return 0;
    return (is_silent(slot, pool) ? 1 : 3) + (member->backup ? 0 : 1);
}

/* What was, for what must not change: by pool and member. */
static struct {
    uint64_t lineage, sequence;
    struct balance_member members[N_MEMBERS];
    bool was_there[N_MEMBERS];
} last[N_POOLS];

static enum operating_status shown_status(unsigned slot, unsigned pool)
{
    const struct pool_member *member = member_at(slot);

    if (!member->object.admin_state_up)
        return OPERATING_OFFLINE;
    if (is_down(slot, pool))
        return OPERATING_ERROR;
    if (member->weight == 0)
        return OPERATING_DRAINING;
    if (!is_watched(pool))
        return OPERATING_NO_MONITOR;
    return member->health == MEMBER_HEALTH_UNKNOWN || is_silent(slot, pool) ? OPERATING_OFFLINE : OPERATING_ONLINE;
}

static void check_member(unsigned pool, unsigned slot, const struct balance_member *decision, unsigned best)
{
    const struct pool_member *member = member_at(slot);
    enum member_state expected = rank(slot, pool) && rank(slot, pool) == best ? MEMBER_SERVES : is_down(slot, pool) ? MEMBER_IS_DOWN : MEMBER_DRAINS;

    assert_non_null(decision);
    if (expected == MEMBER_DRAINS && member->weight == 0) {
        assert_true(decision->has_deadline);
        assert_true(decision->drain_until_s <= fleet.now_s + DRAIN_S + 1);
        if (decision->drain_until_s <= fleet.now_s)
            expected = MEMBER_IS_DOWN;
    } else {
        assert_false(decision->has_deadline);
    }
    assert_int_equal(decision->state, expected);
    assert_int_equal(decision->has_failed, is_watched(pool) && member->health == MEMBER_HEALTH_DOWN);
    assert_int_equal(member_status(fleet.servers[0].peer.replica, member), shown_status(slot, pool));
    if (last[pool].was_there[slot] && last[pool].members[slot].state != MEMBER_IS_DOWN && decision->state != MEMBER_IS_DOWN &&
        last[pool].members[slot].index != BALANCE_INDEX_NONE)
        assert_int_equal(decision->index, last[pool].members[slot].index);
}

static void check_shares(unsigned pool, const struct balance_rows *rows, uint32_t held[N_MEMBERS], size_t n_rows, unsigned best)
{
    uint64_t weights = 0;

    for (unsigned slot = 0; slot < N_MEMBERS; slot++)
        weights += held[slot] ? member_at(slot)->weight : 0;
    for (unsigned slot = 0; slot < N_MEMBERS; slot++) {
        const struct pool_member *member = member_at(slot);
        char id[UUID_TEXT_SIZE];
        bool serves = member && streq(member->pool_id, id_of(RESOURCE_POOL, pool, id)) && rank(slot, pool) == best;

        assert_int_equal(serves, held[slot] > 0);
        if (serves) {
            uint64_t exact = n_rows * member->weight, product = held[slot] * weights;

            assert_true(product < exact + weights && exact < product + weights);
        }
    }
    (void)rows;
}

static const struct balance_rows *rows_of(unsigned pool)
{
    char id[UUID_TEXT_SIZE], rows_id[UUID_TEXT_SIZE];

    balance_rows_id(id_of(RESOURCE_POOL, pool, id), rows_id);
    return (const struct balance_rows *)replica_get(fleet.servers[0].peer.replica, RESOURCE_BALANCE_ROWS, rows_id);
}

static void check_pool(unsigned pool)
{
    char id[UUID_TEXT_SIZE];
    const struct balance_rows *rows = rows_of(pool);
    static struct balance_row content[BALANCE_ROWS_MIDDLE];
    size_t n_rows = rows ? rows->n_row_bytes / BALANCE_ROW_BYTES : 0;
    struct balance_census census = {0};
    unsigned best = 0, slot_of_index[N_MEMBERS * 4];
    uint32_t held[N_MEMBERS] = {0};
    size_t n_members = 0;

    if (!replica_get(fleet.servers[0].peer.replica, RESOURCE_POOL, id_of(RESOURCE_POOL, pool, id))) {
        assert_null(rows);
        memset(&last[pool], 0, sizeof(last[pool]));
        return;
    }
    assert_non_null(rows);
    memset(slot_of_index, 0xff, sizeof(slot_of_index));
    for (unsigned slot = 0; slot < N_MEMBERS; slot++)
        if (member_at(slot) && streq(member_at(slot)->pool_id, id))
            best = MAX(best, rank(slot, pool));
    for (unsigned slot = 0; slot < N_MEMBERS; slot++) {
        const struct balance_member *decision = NULL;

        for (size_t i = 0; i < rows->n_members; i++)
            if (strtoul(rows->members[i].member_id + 24, NULL, 16) == slot)
                decision = &rows->members[i];
        if (member_at(slot) && streq(member_at(slot)->pool_id, id)) {
            check_member(pool, slot, decision, best);
            balance_census_add(&census, member_at(slot));
            n_members++;
            if (decision->index != BALANCE_INDEX_NONE) {
                assert_true(decision->index < ARRAY_SIZE(slot_of_index));
                assert_int_equal(slot_of_index[decision->index], UINT32_MAX);
                slot_of_index[decision->index] = slot;
            }
        } else {
            assert_null(decision);
        }
        last[pool].was_there[slot] = decision != NULL;
        if (decision)
            last[pool].members[slot] = *decision;
    }
    assert_int_equal(rows->n_members, n_members);
    if (last[pool].lineage == rows->lineage)
        assert_true(rows->sequence >= last[pool].sequence);
    last[pool].lineage = rows->lineage;
    last[pool].sequence = rows->sequence;
    if (best == 0)
        return; /* Whatever the rows say, nobody serves. */
    assert_true(n_rows <= ARRAY_SIZE(content) && balance_size_of_rows((uint32_t)n_rows) >= balance_census_size(&census));
    balance_rows_from_bytes(rows->rows, n_rows, content);
    for (size_t i = 0; i < n_rows; i++) {
        assert_true(content[i].owner < ARRAY_SIZE(slot_of_index) && slot_of_index[content[i].owner] < N_MEMBERS);
        held[slot_of_index[content[i].owner]]++;
        for (unsigned j = 0; j < BALANCE_PREVIOUS; j++)
            assert_true(content[i].previous[j] == BALANCE_NOBODY || slot_of_index[content[i].previous[j]] < N_MEMBERS);
    }
    check_shares(pool, rows, held, (uint32_t)n_rows, best);
}

static void rows_follow_the_members(void **state)
{
    int n_steps = getenv("WEFT_STEPS") ? atoi(getenv("WEFT_STEPS")) : 600;
    (void)state;

    fleet = (struct fleet){.now_ms = 1000000, .now_s = 1000};
    memset(last, 0, sizeof(last));
    assert_int_equal(store_memory_open(&fleet.store), 0);
    for (unsigned i = 0; i < N_SERVERS; i++)
        server_start(&fleet.servers[i]);
    for (unsigned i = 0; i < N_HOSTS; i++)
        put_host(i, HOST_STATE_UP);
    for (int step = 0; step < n_steps; step++) {
        for (unsigned n = below(3) ? 1 : 1 + below(6); n; n--)
            operate();
        settle();
        for (unsigned pool = 0; pool < N_POOLS; pool++)
            check_pool(pool);
    }
    fleet_end();
}

static uint64_t rows_revision(unsigned pool)
{
    return rows_of(pool)->object.store_revision;
}

static void put_server(unsigned slot, unsigned pool, unsigned weight)
{
    put_port(slot, NULL, false);
    put_member(slot, pool, weight, false, true);
}

static void a_restart_moves_nothing(void **state)
{
    uint64_t revision;
    (void)state;

    fleet = (struct fleet){.now_ms = 1000000, .now_s = 1000};
    assert_int_equal(store_memory_open(&fleet.store), 0);
    for (unsigned i = 0; i < N_SERVERS; i++)
        server_start(&fleet.servers[i]);
    put_pool(0);
    for (unsigned i = 0; i < 5; i++) {
        put_server(i, 0, 1 + i);
        settle(); /* One after the other, so that rows have a history. */
    }
    put_server(1, 0, 0);
    settle();
    revision = rows_revision(0);
    for (unsigned i = 0; i < N_SERVERS; i++) {
        server_end(&fleet.servers[i]);
        server_start(&fleet.servers[i]);
    }
    assert_true(balance_writer_is_dirty(fleet.servers[0].writer));
    settle();
    assert_int_equal(rows_revision(0), revision);
    fleet.now_s += DRAIN_S + 1;
    fleet.now_ms += (DRAIN_S + 1) * 1000;
    settle();
    assert_true(rows_revision(0) > revision); /* The drain is over. */
    fleet_end();
}

/* However often a pool changes, it is written so often; the last of them counts. */
static void many_changes_are_few_writes(void **state)
{
    static const unsigned sizes[] = {3, BALANCE_MEMBERS_MIDDLE + 1};

    for (size_t k = 0; k < ARRAY_SIZE(sizes); k++) {
        uint64_t revision, n_writes = 0, lasted_ms = 4000;

        fleet = (struct fleet){.now_ms = 1000000, .now_s = 1000};
        assert_int_equal(store_memory_open(&fleet.store), 0);
        for (unsigned i = 0; i < N_SERVERS; i++)
            server_start(&fleet.servers[i]);
        put_pool(0);
        for (unsigned i = 0; i < sizes[k]; i++)
            put_server(i, 0, 1);
        settle();
        revision = rows_revision(0);
        for (uint64_t ms = 0; ms < lasted_ms; ms++) {
            fleet.now_ms++;
            fleet.now_s = (int64_t)(fleet.now_ms / 1000);
            put_server((unsigned)(ms % 3), 0, 1 + (unsigned)(ms % 7));
            deliver();
            balance_writer_pass(fleet.servers[0].writer, fleet.now_ms, fleet.now_s);
            deliver();
            n_writes += rows_revision(0) != revision;
            revision = rows_revision(0);
        }
        assert_in_range(n_writes, k ? 3 : 60, k ? 5 : lasted_ms / BALANCE_INTERVAL_MS + 1);
        put_server(0, 0, 0);
        settle();
        assert_int_equal(rows_of(0)->members[0].state, MEMBER_DRAINS);
        fleet_end();
    }
    (void)state;
}

/* The rows as they are now; the owner that each had, found by its place among those before, is the owner still or the first one before. */
static size_t check_growth(struct balance_row *rows, size_t n_before)
{
    static struct balance_row now[BALANCE_ROWS_LARGE];
    size_t n = rows_of(0)->n_row_bytes / BALANCE_ROW_BYTES;

    assert_true(n <= BALANCE_ROWS_LARGE);
    balance_rows_from_bytes(rows_of(0)->rows, n, now);
    for (size_t i = 0; n_before && i < n; i++) {
        uint16_t owner = rows[i * n_before / n].owner;

        assert_true(now[i].owner == owner || now[i].previous[0] == owner);
    }
    memcpy(rows, now, n * sizeof(*rows));
    return n;
}

static void a_pool_that_grows_keeps_its_flows(void **state)
{
    static struct balance_row rows[BALANCE_ROWS_LARGE];
    uint64_t lineage;
    size_t n;
    (void)state;

    fleet = (struct fleet){.now_ms = 1000000, .now_s = 1000};
    assert_int_equal(store_memory_open(&fleet.store), 0);
    for (unsigned i = 0; i < N_SERVERS; i++)
        server_start(&fleet.servers[i]);
    put_pool(0);
    for (unsigned i = 0; i < BALANCE_MEMBERS_SMALL; i++)
        put_server(i, 0, 1);
    settle();
    n = check_growth(rows, 0);
    assert_int_equal(n, BALANCE_ROWS_SMALL);
    lineage = rows_of(0)->lineage;
    put_server(BALANCE_MEMBERS_SMALL, 0, 1);
    settle();
    n = check_growth(rows, n);
    assert_int_equal(n, BALANCE_ROWS_SMALL * BALANCE_GROWTH);
    for (unsigned i = 0; i <= BALANCE_MEMBERS_MIDDLE; i++)
        put_server(i, 0, 1);
    settle();
    n = check_growth(rows, n);
    assert_int_equal(n, BALANCE_ROWS_SMALL * BALANCE_GROWTH * BALANCE_GROWTH);
    assert_int_equal(rows_of(0)->n_members, BALANCE_MEMBERS_MIDDLE + 1);
    for (unsigned i = 10; i <= BALANCE_MEMBERS_MIDDLE; i++)
        drop(RESOURCE_POOL_MEMBER, i);
    settle();
    assert_int_equal(check_growth(rows, 0), n); /* It does not shrink. */
    assert_int_equal(rows_of(0)->lineage, lineage);
    drop(RESOURCE_POOL, 0);
    settle();
    assert_null(rows_of(0));

    put_pool(1); /* Large at once; and one whose weights differ. */
    put_pool(2);
    for (unsigned i = 0; i <= BALANCE_MEMBERS_MIDDLE; i++)
        put_server(i, 1, 1);
    put_server(BALANCE_MEMBERS_MIDDLE + 1, 2, 1);
    put_server(BALANCE_MEMBERS_MIDDLE + 2, 2, 25);
    settle();
    assert_int_equal(rows_of(1)->n_row_bytes, BALANCE_ROWS_LARGE * BALANCE_ROW_BYTES);
    assert_int_equal(rows_of(2)->n_row_bytes, BALANCE_ROWS_MIDDLE * BALANCE_ROW_BYTES);
    fleet_end();
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_follow_the_members),
        cmocka_unit_test(a_restart_moves_nothing),
        cmocka_unit_test(many_changes_are_few_writes),
        cmocka_unit_test(a_pool_that_grows_keeps_its_flows),
    };

    seed_begin();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
