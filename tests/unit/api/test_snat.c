/* Blocks of translated ports: the ports of one address against a naive array; and a simulated fleet, with two API servers on one
 * store.  Hosts come and go, learn late, use more and less; addresses change hands.  After each step no port of an address is translated to by two
 * hosts, by what each of them knows. */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <sodium.h>

#include "naive-relevance.h"
#include "one-store.h"
#include "weft/api/quarantine.h"
#include "weft/api/snat-blocks.h"
#include "weft/api/snat-usage.h"
#include "weft/base/log.h"
#include "weft/base/util.h"

/* --- The ports of one address. --- */

static void blocks_fit_where_a_naive_search_says(void **state)
{
    static bool taken[SNAT_PORTS_END];
    struct {
        uint32_t first, size;
    } blocks[2000];
    struct snat_ports ports = {0};
    size_t n = 0;

    for (int step = 0; step < 3000; step++) {
        uint32_t size = SNAT_BLOCK_MIN << below(step % 500 < 400 ? 3 : 10), first;
        bool fits = false;

        if (n && below(100) < (step / 500 % 2 ? 60u : 30u)) {
            size_t i = below((unsigned)n);

            snat_ports_release(&ports, blocks[i].first, blocks[i].size);
            memset(taken + blocks[i].first, 0, blocks[i].size);
            blocks[i] = blocks[--n];
            continue;
        }
        for (uint32_t at = size; at < SNAT_PORTS_END; at += size)
            fits = fits || (at >= SNAT_PORTS_FIRST && !memchr(taken + at, true, size));
        first = snat_ports_choose(&ports, size, (uint32_t)rand_r(&seed));
        assert_int_equal(first != 0, fits);
        if (!first)
            continue;
        assert_true(snat_ports_is_block(first, size));
        assert_null(memchr(taken + first, true, size));
        assert_true(snat_ports_are_free(&ports, first, size));
        snat_ports_take(&ports, first, size);
        memset(taken + first, true, size);
        blocks[n].first = first;
        blocks[n++].size = size;
    }
    assert_false(snat_ports_is_block(0, 64));
    assert_false(snat_ports_is_block(1056, 64));
    assert_false(snat_ports_is_block(1024, 96));
    assert_false(snat_ports_is_block(1024, 2048));
    assert_true(snat_ports_is_block(65472, 64));
}

/* --- The fleet. --- */

#define N_SERVERS 2
#define N_HOSTS 12
#define N_ROUTERS 4
#define N_NETWORKS 5  /* The first is external. */
#define N_PORTS 40
#define VIEW_MAX 256

struct server {
    struct peer peer;
    struct snat_blocks *blocks;
    struct quarantine *quarantine;
};

/* What a host has been told, and applied. */
struct view {
    bool is_there;
    uint64_t applied;
    struct {
        struct ip_address address;
        char router_id[UUID_TEXT_SIZE];
        uint32_t first, size;
    } blocks[VIEW_MAX];
    size_t n;
    uint64_t failed;
};

struct fleet {
    struct store *store;
    struct server servers[N_SERVERS];
    struct view views[N_HOSTS];
    uint64_t now_ms;
    int64_t now_s;
};

static const char *host_name(unsigned slot, char name[16])
{
    snprintf(name, 16, "h%u", slot);
    return name;
}

static void server_start(struct server *server, struct store *store)
{
    peer_open(&server->peer, store);
    assert_int_equal(quarantine_new(&server->quarantine), 0);
    assert_int_equal(replica_follow(server->peer.replica, QUARANTINE_PREFIX, quarantine_changed, server->quarantine), 0);
    assert_int_equal(snat_blocks_new(server->peer.replica, server->peer.commits, &server->blocks), 0);
    peer_start(&server->peer);
}

static void server_end(struct server *server)
{
    peer_close(&server->peer);
    snat_blocks_free(server->blocks);
    quarantine_free(server->quarantine);
}

/* Until all servers know all there is. */
static void settle(struct fleet *fleet)
{
    bool is_busy;

    do {
        is_busy = false;
        for (unsigned i = 0; i < N_SERVERS; i++)
            is_busy |= peer_turn(&fleet->servers[i].peer);
    } while (is_busy);
}

static void fleet_start(struct fleet *fleet)
{
    *fleet = (struct fleet){.now_ms = 1000, .now_s = 1000000};
    assert_int_equal(store_memory_open(&fleet->store), 0);
    for (unsigned i = 0; i < N_SERVERS; i++)
        server_start(&fleet->servers[i], fleet->store);
}

static void fleet_end(struct fleet *fleet)
{
    for (unsigned i = 0; i < N_SERVERS; i++)
        peer_stop(&fleet->servers[i].peer);
    store_close(fleet->store);
    for (unsigned i = 0; i < N_SERVERS; i++)
        server_end(&fleet->servers[i]);
}

static void put(struct fleet *fleet, struct object *object, enum resource_kind kind, unsigned slot)
{
    id_of(kind, slot, object->id);
    write_object(fleet->store, kind, object->id, object);
    object_free(object);
}

static void drop(struct fleet *fleet, enum resource_kind kind, unsigned slot)
{
    char id[UUID_TEXT_SIZE];

    write_object(fleet->store, kind, id_of(kind, slot, id), NULL);
}

static void put_host(struct fleet *fleet, unsigned slot)
{
    struct object *object = object_new(RESOURCE_HOST);
    char name[16];

    free(object->name);
    object->name = strdup(host_name(slot, name));
    put(fleet, object, RESOURCE_HOST, slot);
    if (!fleet->views[slot].is_there)
        fleet->views[slot] = (struct view){.is_there = true, .applied = store_revision(fleet->store)};
}

static void put_network(struct fleet *fleet, unsigned slot)
{
    struct object *object = object_new(RESOURCE_NETWORK);

    ((struct network *)object)->is_external = slot == 0;
    put(fleet, object, RESOURCE_NETWORK, slot);
}

/* Ports: the first of each router's are its gateways, the others are of workloads or interfaces. */
static void put_port(struct fleet *fleet, unsigned slot, unsigned network, const char *owner, unsigned router, const char *host, unsigned address)
{
    struct port *port = (struct port *)object_new(RESOURCE_PORT);
    char id[UUID_TEXT_SIZE], text[24];

    id_of(RESOURCE_NETWORK, network, port->network_id);
    port->device_owner = owner ? strdup(owner) : NULL;
    port->device_id = owner ? strdup(id_of(RESOURCE_ROUTER, router, id)) : NULL;
    port->binding_host_id = host ? strdup(host) : NULL;
    port->fixed_ips = calloc(2, sizeof(*port->fixed_ips));
    port->n_fixed_ips = 2;
    id_of(RESOURCE_SUBNET, network, port->fixed_ips[0].subnet_id);
    id_of(RESOURCE_SUBNET, network, port->fixed_ips[1].subnet_id);
    ip_parse("2001:db8::5", &port->fixed_ips[0].address); /* IPv6 is not translated. */
    snprintf(text, sizeof(text), "203.0.113.%u", address);
    ip_parse(text, &port->fixed_ips[1].address);
    put(fleet, &port->object, RESOURCE_PORT, slot);
}

/* Gateway addresses are of a few, and two routers never have one at once: a router that takes another's address is made when that one has none. */
static void put_router(struct fleet *fleet, unsigned slot, unsigned address, bool enable_snat)
{
    struct router *router = (struct router *)object_new(RESOURCE_ROUTER);

    if (address) {
        put_port(fleet, slot, 0, DEVICE_ROUTER_GATEWAY, slot, NULL, address);
        id_of(RESOURCE_NETWORK, 0, router->gateway_network_id);
        id_of(RESOURCE_PORT, slot, router->gateway_port_id);
    } else {
        drop(fleet, RESOURCE_PORT, slot);
    }
    router->enable_snat = enable_snat;
    put(fleet, &router->object, RESOURCE_ROUTER, slot);
}

/* --- What hosts do. --- */

static void learn(struct fleet *fleet, unsigned slot)
{
    const struct replica *replica = fleet->servers[0].peer.replica;
    struct view *view = &fleet->views[slot];
    char name[16];
    size_t n;
    const struct object *const *objects = replica_list(replica, RESOURCE_SNAT_BLOCK, &n);

    view->n = 0;
    for (size_t i = 0; i < n; i++) {
        const struct snat_block *block = (const struct snat_block *)objects[i];

        if (!streq(block->host, host_name(slot, name)))
            continue;
        assert_true(view->n < VIEW_MAX);
        view->blocks[view->n].address = block->address;
        string_copy(view->blocks[view->n].router_id, UUID_TEXT_SIZE, block->router_id);
        view->blocks[view->n].first = block->first_port;
        view->blocks[view->n++].size = block->n_ports;
    }
    view->applied = replica_revision(replica);
}

static uint32_t ports_of(const struct view *view, const char *router_id)
{
    uint32_t n = 0;

    for (size_t i = 0; i < view->n; i++)
        n += streq(view->blocks[i].router_id, router_id) ? view->blocks[i].size : 0;
    return n;
}

/* 'percent' of what it has is in use. */
static void report(struct fleet *fleet, unsigned slot, unsigned percent, bool fails)
{
    struct view *view = &fleet->views[slot];
    json_t *usage = json_object();
    char id[UUID_TEXT_SIZE], name[16];

    view->failed += fails;
    for (unsigned i = 0; i < N_ROUTERS; i++) {
        uint32_t has = ports_of(view, id_of(RESOURCE_ROUTER, i, id));

        if (has && (percent || fails))
            json_object_set_new(usage, id, json_pack("{s:I,s:I}", "in_use", (json_int_t)has * percent / 100, "failed", (json_int_t)view->failed));
    }
    snat_blocks_report(fleet->servers[below(N_SERVERS)].blocks, host_name(slot, name), usage, fleet->now_ms);
    json_decref(usage);
}

static uint64_t lowest_applied(const struct fleet *fleet)
{
    uint64_t lowest = UINT64_MAX;

    for (unsigned i = 0; i < N_HOSTS; i++)
        if (fleet->views[i].is_there)
            lowest = MIN(lowest, fleet->views[i].applied);
    return lowest;
}

/* --- What must hold. --- */

struct span {
    struct ip_address address;
    uint32_t first, size;
    const char *who;
};

static int compare_spans(const void *a, const void *b)
{
    const struct span *one = a, *other = b;
    int r = memcmp(one->address.bytes, other->address.bytes, sizeof(one->address.bytes));

    return r ? r : (int)one->first - (int)other->first;
}

static void assert_disjoint(struct span *spans, size_t n, const char *what)
{
    qsort(spans, n, sizeof(*spans), compare_spans);
    for (size_t i = 1; i < n; i++)
        if (ip_equal(&spans[i - 1].address, &spans[i].address) && spans[i - 1].first + spans[i - 1].size > spans[i].first)
            fail_msg("%s: ports %u..%u of %s and %u..%u of %s overlap", what, spans[i - 1].first, spans[i - 1].first + spans[i - 1].size - 1,
                     spans[i - 1].who, spans[i].first, spans[i].first + spans[i].size - 1, spans[i].who);
}

static void check_views(const struct fleet *fleet)
{
    static struct span spans[N_HOSTS * VIEW_MAX];
    static const char *const names[N_HOSTS] = {"h0", "h1", "h2", "h3", "h4", "h5", "h6", "h7", "h8", "h9", "h10", "h11"};
    size_t n = 0;

    for (unsigned i = 0; i < N_HOSTS; i++)
        for (size_t j = 0; fleet->views[i].is_there && j < fleet->views[i].n; j++)
            spans[n++] = (struct span){.address = fleet->views[i].blocks[j].address, .first = fleet->views[i].blocks[j].first,
                                       .size = fleet->views[i].blocks[j].size, .who = names[i]};
    assert_disjoint(spans, n, "as hosts know");
}

static int count_ports(const struct store_item *item, void *context)
{
    unsigned size = 0;

    assert_int_equal(sscanf(strrchr(item->key, '-'), "-%5u", &size), 1);
    *(uint64_t *)context += size;
    return 0;
}

static uint64_t claimed_ports(const struct fleet *fleet)
{
    uint64_t n = 0;

    store_list(fleet->store, SNAT_CLAIM_PREFIX, strlen(SNAT_CLAIM_PREFIX), "snat-ports0", strlen("snat-ports0"), count_ports, &n, NULL);
    return n;
}

static void check_blocks(struct fleet *fleet)
{
    static struct span spans[8192];
    const struct replica *replica = fleet->servers[0].peer.replica;
    uint64_t ports_given = 0;
    size_t n;
    const struct object *const *objects = replica_list(replica, RESOURCE_SNAT_BLOCK, &n);

    assert_true(n < ARRAY_SIZE(spans));
    for (size_t i = 0; i < n; i++) {
        const struct snat_block *block = (const struct snat_block *)objects[i];
        size_t n_own = 0;
        uint32_t has = 0;

        assert_true(snat_ports_is_block(block->first_port, block->n_ports));
        spans[i] = (struct span){.address = block->address, .first = block->first_port, .size = block->n_ports, .who = block->host};
        ports_given += block->n_ports;
        REPLICA_FOREACH(member, replica_find(replica, REPLICA_SNAT_BLOCKS_BY_ROUTER, block->router_id))
            if (streq(((const struct snat_block *)member->object)->host, block->host)) {
                n_own++;
                has += ((const struct snat_block *)member->object)->n_ports;
            }
        assert_true(n_own <= SNAT_BLOCKS_MAX && has <= SNAT_HOST_MAX);
    }
    assert_disjoint(spans, n, "as the store says");
    assert_true(claimed_ports(fleet) >= ports_given);
    for (unsigned i = 0; i < N_SERVERS; i++)
        assert_int_equal(snat_blocks_counters(fleet->servers[i].blocks).ports_given, ports_given);
}

static bool has_block(const struct replica *replica, const char *router_id, const char *host, const struct ip_address *address)
{
    REPLICA_FOREACH(member, replica_find(replica, REPLICA_SNAT_BLOCKS_BY_ROUTER, router_id)) {
        const struct snat_block *block = (const struct snat_block *)member->object;

        if (streq(block->host, host) && ip_equal(&block->address, address))
            return true;
    }
    return false;
}

/* What a server believes to be taken is what the store says. */
static void check_claims(struct fleet *fleet)
{
    char id[UUID_TEXT_SIZE], network[UUID_TEXT_SIZE], text[IP_TEXT_SIZE], from[160], to[160];

    id_of(RESOURCE_NETWORK, 0, network);
    for (unsigned i = 0; i < N_SERVERS * N_ROUTERS; i++) {
        const struct server *server = &fleet->servers[i / N_ROUTERS];
        const struct object *router = replica_get(server->peer.replica, RESOURCE_ROUTER, id_of(RESOURCE_ROUTER, i % N_ROUTERS, id));
        const struct ip_address *address = router ? snat_address(server->peer.replica, (const struct router *)router) : NULL;
        json_t *shown = address ? snat_blocks_show(server->blocks, (const struct router *)router) : NULL;
        uint64_t claimed = 0;

        if (!shown)
            continue;
        snprintf(from, sizeof(from), SNAT_CLAIM_PREFIX "%s/%s/", network, ip_format(address, text));
        snprintf(to, sizeof(to), SNAT_CLAIM_PREFIX "%s/%s0", network, text);
        store_list(fleet->store, from, strlen(from), to, strlen(to), count_ports, &claimed, NULL);
        assert_int_equal(json_integer_value(json_object_get(shown, "given")) + json_integer_value(json_object_get(shown, "in_quarantine")), claimed);
        json_decref(shown);
    }
}

/* Whoever needs a router that translates has ports of it; whoever is no longer there has none; and after some time, only those have. */
static void check_needs(struct fleet *fleet, bool is_after_hold)
{
    const struct replica *replica = fleet->servers[0].peer.replica;
    struct naive *naive = malloc(sizeof(*naive));
    char id[UUID_TEXT_SIZE], name[16];

    for (unsigned i = 0; i < N_HOSTS; i++) {
        const struct host *host = replica_host(replica, id_of(RESOURCE_HOST, i, id));

        if (host)
            naive_compute(replica, host, naive);
        for (unsigned j = 0; j < N_ROUTERS; j++) {
            const struct object *router = replica_get(replica, RESOURCE_ROUTER, id_of(RESOURCE_ROUTER, j, id));
            const struct ip_address *address = router ? snat_address(replica, (const struct router *)router) : NULL;

            if (is_after_hold && address && host && !naive_has(naive, router) && has_block(replica, id, host_name(i, name), address))
                fail_msg("%s keeps ports of router %u", name, j);
            if (host && address && naive_has(naive, router) && !has_block(replica, id, host_name(i, name), address))
                fail_msg("%s has no ports of router %u", name, j);
            REPLICA_FOREACH(member, replica_find(replica, REPLICA_SNAT_BLOCKS_BY_ROUTER, id))
                if (streq(((const struct snat_block *)member->object)->host, host_name(i, name)) &&
                    (!host || !address || !ip_equal(address, &((const struct snat_block *)member->object)->address)))
                    fail_msg("%s still has ports of router %u", name, j);
        }
    }
    free(naive);
}

/* --- The life of the fleet. --- */

static bool is_address_of_another(const struct fleet *fleet, unsigned slot, unsigned address)
{
    char text[24], id[UUID_TEXT_SIZE];
    struct ip_address ip;

    snprintf(text, sizeof(text), "203.0.113.%u", address);
    ip_parse(text, &ip);
    for (unsigned i = 0; i < N_ROUTERS; i++) {
        const struct port *port = i != slot ? replica_port(fleet->servers[0].peer.replica, id_of(RESOURCE_PORT, i, id)) : NULL;

        if (port && ip_equal(&port->fixed_ips[1].address, &ip))
            return true;
    }
    return false;
}

static void happen(struct fleet *fleet)
{
    const struct replica *replica = fleet->servers[0].peer.replica;
    unsigned slot = below(N_HOSTS), port = N_ROUTERS + below(N_PORTS), router = below(N_ROUTERS), address = 1 + below(6);
    char id[UUID_TEXT_SIZE], name[16];

    switch (below(20)) {
    case 0:
        if (below(3))
            put_host(fleet, slot);
        else if (!replica_ports_by_host(replica, host_name(slot, name))) {
            drop(fleet, RESOURCE_HOST, slot);
            fleet->views[slot].is_there = false;
        }
        break;
    case 1:
        if (below(4) == 0)
            put_router(fleet, router, 0, true);
        else if (!is_address_of_another(fleet, router, address))
            put_router(fleet, router, address, below(5));
        break;
    case 2:
        if (below(8) == 0)
            drop(fleet, RESOURCE_ROUTER, router);
        break;
    case 3:
        drop(fleet, RESOURCE_PORT, port);
        break;
    case 4:
        put_port(fleet, port, 1 + below(N_NETWORKS - 1), DEVICE_ROUTER_INTERFACE, router, NULL, 200);
        break;
    case 5:
    case 6:
    case 7:
    case 8:
        put_port(fleet, port, 1 + below(N_NETWORKS - 1), NULL, 0,
                 replica_get(replica, RESOURCE_HOST, id_of(RESOURCE_HOST, slot, id)) ? host_name(slot, name) : NULL, 200);
        break;
    case 9:
    case 10:
    case 11:
    case 12:
    case 13:
        if (fleet->views[slot].is_there)
            report(fleet, slot, below(3) ? below(101) : 0, below(3) == 0);
        break;
    case 14:
        fleet->now_ms += below(2) ? below(100000) : 1;
        fleet->now_s += (int64_t)below(100);
        break;
    default:
        if (fleet->views[slot].is_there)
            learn(fleet, slot);
        break;
    }
}

/* Both look at once, each with what it knows: they meet in the store. */
static void look(struct fleet *fleet)
{
    for (unsigned i = 0; i < N_SERVERS; i++)
        if (below(4)) {
            quarantine_sweep(fleet->servers[i].quarantine, lowest_applied(fleet), fleet->now_s, fleet->store);
            snat_blocks_pass(fleet->servers[i].blocks, fleet->now_ms, fleet->now_s);
        }
    settle(fleet);
}

static void look_until_nothing_changes(struct fleet *fleet)
{
    uint64_t before;
    int n_rounds = 0;

    do {
        assert_true(n_rounds++ < 100);
        before = store_revision(fleet->store);
        for (unsigned i = 0; i < N_SERVERS; i++)
            snat_blocks_pass(fleet->servers[i].blocks, fleet->now_ms, fleet->now_s);
        settle(fleet);
    } while (store_revision(fleet->store) != before);
}

static void no_port_is_two_hosts(void **state)
{
    int n_steps = getenv("WEFT_STEPS") ? atoi(getenv("WEFT_STEPS")) : 8000;
    struct fleet *fleet = malloc(sizeof(*fleet));
    uint64_t n_conflicts = 0;

    fleet_start(fleet);
    for (unsigned i = 0; i < N_NETWORKS; i++)
        put_network(fleet, i);
    for (unsigned i = 0; i < N_HOSTS; i++)
        put_host(fleet, i);
    settle(fleet);
    for (int step = 0; step < n_steps; step++) {
        happen(fleet);
        if (below(3)) /* Otherwise the next look knows of it, or not. */
            settle(fleet);
        look(fleet);
        check_views(fleet);
        check_blocks(fleet);
        if (step % 50 == 0) {
            look_until_nothing_changes(fleet);
            check_claims(fleet);
            if (step % 500 == 0) {
                fleet->now_ms += SNAT_HOLD_S * 1000 + 1;
                look_until_nothing_changes(fleet);
            }
            if (snat_blocks_counters(fleet->servers[0].blocks).n_exhausted == 0)
                check_needs(fleet, step % 500 == 0);
        }
    }
    for (unsigned i = 0; i < N_SERVERS; i++) {
        struct snat_counters counters = snat_blocks_counters(fleet->servers[i].blocks);

        n_conflicts += commits_counters(fleet->servers[i].peer.commits).n_conflicts;
        assert_true(counters.n_given > 20 && counters.n_taken_back > 20);
    }
    assert_true(n_conflicts > 20);

    /* Nobody needs anything, and everybody says so: all is free again. */
    for (unsigned i = 0; i < N_PORTS; i++)
        drop(fleet, RESOURCE_PORT, N_ROUTERS + i);
    settle(fleet);
    look_until_nothing_changes(fleet);
    fleet->now_ms += SNAT_HOLD_S * 1000 + 1;
    fleet->now_s += SNAT_HOLD_S + 1;
    look_until_nothing_changes(fleet);
    fleet->now_s += SNAT_HOLD_S + 1;
    for (unsigned i = 0; i < N_HOSTS; i++)
        learn(fleet, i);
    quarantine_sweep(fleet->servers[0].quarantine, lowest_applied(fleet), fleet->now_s, fleet->store);
    settle(fleet);
    for (int i = 0; claimed_ports(fleet); i++) {
        assert_true(i < 100);
        quarantine_sweep(fleet->servers[0].quarantine, lowest_applied(fleet), fleet->now_s, fleet->store);
        settle(fleet);
    }
    fleet_end(fleet);
    free(fleet);
}

/* --- How much. --- */

/* One router with one network, which 'n' hosts have a port in. */
static void simple_fleet(struct fleet *fleet, unsigned n)
{
    char name[16];

    fleet_start(fleet);
    put_network(fleet, 0);
    put_network(fleet, 1);
    put_router(fleet, 0, 1, true);
    put_port(fleet, 1, 1, DEVICE_ROUTER_INTERFACE, 0, NULL, 200);
    for (unsigned i = 0; i < n; i++) {
        struct object *host = object_new(RESOURCE_HOST);

        free(host->name);
        host->name = strdup(host_name(i, name));
        put(fleet, host, RESOURCE_HOST, i);
        put_port(fleet, 2 + i, 1, NULL, 0, name, 200);
    }
    settle(fleet);
    look_until_nothing_changes(fleet);
}

static uint32_t given_to(const struct fleet *fleet, unsigned slot, size_t *ret_n)
{
    char id[UUID_TEXT_SIZE], name[16];
    uint32_t n_ports = 0;

    *ret_n = 0;
    REPLICA_FOREACH(member, replica_find(fleet->servers[0].peer.replica, REPLICA_SNAT_BLOCKS_BY_ROUTER, id_of(RESOURCE_ROUTER, 0, id)))
        if (streq(((const struct snat_block *)member->object)->host, host_name(slot, name))) {
            n_ports += ((const struct snat_block *)member->object)->n_ports;
            *ret_n += 1;
        }
    return n_ports;
}

static void use(struct fleet *fleet, unsigned slot, uint64_t in_use, uint64_t failed)
{
    char id[UUID_TEXT_SIZE], name[16];
    json_t *usage = json_pack("{s:{s:I,s:I}}", id_of(RESOURCE_ROUTER, 0, id), "in_use", (json_int_t)in_use, "failed", (json_int_t)failed);

    fleet->now_ms += 1000;
    snat_blocks_report(fleet->servers[0].blocks, host_name(slot, name), usage, fleet->now_ms);
    json_decref(usage);
    look_until_nothing_changes(fleet);
}

static void assert_given(const struct fleet *fleet, unsigned slot, uint32_t n_ports, size_t n_blocks)
{
    size_t n;

    assert_int_equal(given_to(fleet, slot, &n), n_ports);
    assert_int_equal(n, n_blocks);
}

static void what_a_host_has_doubles_with_use(void **state)
{
    struct fleet fleet;
    size_t n;

    simple_fleet(&fleet, 2);
    assert_given(&fleet, 0, 2048, 1);
    use(&fleet, 0, 1024, 0);
    assert_given(&fleet, 0, 2048, 1); /* Half is a spare. */
    use(&fleet, 0, 1025, 0);
    assert_given(&fleet, 0, 4096, 2);
    use(&fleet, 0, 1025, 3); /* A burst: connections failed although much is free now. */
    assert_given(&fleet, 0, 8192, 3);
    use(&fleet, 0, 1025, 3);
    assert_given(&fleet, 0, 8192, 3);
    use(&fleet, 0, 8000, 3);
    use(&fleet, 0, 16000, 3);
    assert_given(&fleet, 0, 32768, 5);
    use(&fleet, 0, 32768, 9);
    assert_given(&fleet, 0, SNAT_HOST_MAX, 5); /* The most. */
    assert_int_equal(snat_blocks_counters(fleet.servers[0].blocks).n_refused, 1);
    use(&fleet, 0, 0, 9);
    assert_given(&fleet, 0, SNAT_HOST_MAX, 5); /* It may need them again at any time. */
    assert_given(&fleet, 1, 2048, 1);
    for (int i = 0; i < 10; i++)
        use(&fleet, 1, given_to(&fleet, 1, &n), 0);
    assert_true(given_to(&fleet, 1, &n) >= 16384); /* Its share, as far as there is room, */
    assert_true(SNAT_PORTS - snat_blocks_counters(fleet.servers[0].blocks).ports_given >= SNAT_PORTS / 8); /* which is left for others. */
    fleet_end(&fleet);
}

/* An address has 1,008 of the smallest blocks. */
static void a_crowd_shares_and_the_rest_waits(void **state)
{
    const uint32_t most = SNAT_PORTS / SNAT_BLOCK_MIN, n_hosts = most + 20;
    struct snat_counters counters;
    struct fleet fleet;
    char id[UUID_TEXT_SIZE];
    json_t *shown;
    size_t n;

    simple_fleet(&fleet, n_hosts);
    counters = snat_blocks_counters(fleet.servers[0].blocks);
    assert_int_equal(counters.ports_given, SNAT_PORTS);
    assert_int_equal(counters.n_exhausted, 1);
    assert_int_equal(counters.n_refused, n_hosts - most);
    look_until_nothing_changes(&fleet);
    assert_int_equal(snat_blocks_counters(fleet.servers[0].blocks).n_refused, n_hosts - most); /* Said once. */
    shown = snat_blocks_show(fleet.servers[0].blocks, (const struct router *)replica_get(fleet.servers[0].peer.replica, RESOURCE_ROUTER,
                                                                                        id_of(RESOURCE_ROUTER, 0, id)));
    assert_true(json_is_true(json_object_get(shown, "is_exhausted")));
    assert_int_equal(json_array_size(json_object_get(shown, "hosts")), n_hosts);
    json_decref(shown);

    /* Thirty go: their ports are the others', but not before all that live have heard of it. */
    for (unsigned i = 0, gone = 0; gone < 30; i++)
        if (given_to(&fleet, i, &n)) {
            drop(&fleet, RESOURCE_PORT, 2 + i);
            gone++;
        }
    settle(&fleet);
    look_until_nothing_changes(&fleet);
    fleet.now_ms += SNAT_HOLD_S * 1000 + 1;
    look_until_nothing_changes(&fleet);
    quarantine_sweep(fleet.servers[0].quarantine, 1, fleet.now_s, fleet.store);
    look_until_nothing_changes(&fleet);
    assert_int_equal(snat_blocks_counters(fleet.servers[0].blocks).ports_given, SNAT_PORTS - 30 * SNAT_BLOCK_MIN);
    assert_int_equal(claimed_ports(&fleet), SNAT_PORTS);
    quarantine_sweep(fleet.servers[0].quarantine, store_revision(fleet.store), fleet.now_s, fleet.store);
    settle(&fleet);
    look_until_nothing_changes(&fleet);
    counters = snat_blocks_counters(fleet.servers[0].blocks);
    assert_int_equal(counters.ports_given, SNAT_PORTS - 10 * SNAT_BLOCK_MIN);
    assert_int_equal(counters.n_exhausted, 0);
    fleet_end(&fleet);
}

/* The word of a host that no connection uses its ports is believed when it comes after its last port had gone. */
static void a_host_that_confirms_gives_back_at_once(void **state)
{
    struct fleet fleet;
    size_t n;

    simple_fleet(&fleet, 1);
    use(&fleet, 0, 100, 0);
    use(&fleet, 0, 0, 0);
    drop(&fleet, RESOURCE_PORT, 2);
    settle(&fleet);
    look_until_nothing_changes(&fleet);
    assert_int_equal(given_to(&fleet, 0, &n), 2048); /* It said so before. */
    use(&fleet, 0, 1, 0);
    assert_int_equal(given_to(&fleet, 0, &n), 2048);
    use(&fleet, 0, 0, 0);
    assert_int_equal(given_to(&fleet, 0, &n), 0);
    assert_int_equal(claimed_ports(&fleet), 2048);
    quarantine_sweep(fleet.servers[0].quarantine, store_revision(fleet.store), fleet.now_s, fleet.store);
    assert_int_equal(claimed_ports(&fleet), 0);
    settle(&fleet);
    fleet_end(&fleet);
}

/* A router that gets another address may have connections by the old one: these ports are held for some time. */
static void an_address_that_changes_is_held(void **state)
{
    struct fleet fleet;
    size_t n;

    simple_fleet(&fleet, 1);
    put_router(&fleet, 0, 2, true);
    settle(&fleet);
    look_until_nothing_changes(&fleet);
    assert_int_equal(given_to(&fleet, 0, &n), 2048);
    assert_int_equal(n, 1);
    assert_int_equal(claimed_ports(&fleet), 4096);
    quarantine_sweep(fleet.servers[0].quarantine, store_revision(fleet.store), fleet.now_s + SNAT_HOLD_S - 1, fleet.store);
    assert_int_equal(claimed_ports(&fleet), 4096);
    quarantine_sweep(fleet.servers[0].quarantine, store_revision(fleet.store), fleet.now_s + SNAT_HOLD_S, fleet.store);
    assert_int_equal(claimed_ports(&fleet), 2048);
    put_router(&fleet, 0, 2, false); /* No translation any more. */
    settle(&fleet);
    look_until_nothing_changes(&fleet);
    assert_int_equal(given_to(&fleet, 0, &n), 0);
    fleet_end(&fleet);
}

/* Another server took a larger block a moment ago, and this one has not heard of it: what it chooses within is refused. */
static void a_block_within_anothers_is_refused(void **state)
{
    for (int i = 0; i < 10; i++) { /* Which half it chooses is random. */
        char network[UUID_TEXT_SIZE], claim[160], name[16];
        struct object *host = object_new(RESOURCE_HOST);
        struct fleet fleet;
        size_t n;

        simple_fleet(&fleet, 1); /* It has 2048..4095: the next fits best into 4096..8191. */
        free(host->name);
        host->name = strdup(host_name(1, name));
        put(&fleet, host, RESOURCE_HOST, 1);
        put_port(&fleet, 3, 1, NULL, 0, name, 200);
        settle(&fleet);
        snprintf(claim, sizeof(claim), SNAT_CLAIM_PREFIX "%s/203.0.113.1/04096-04096", id_of(RESOURCE_NETWORK, 0, network));
        write_key(fleet.store, claim, "another's", 9);
        snat_blocks_pass(fleet.servers[0].blocks, fleet.now_ms, fleet.now_s);
        settle(&fleet);
        assert_int_equal(commits_counters(fleet.servers[0].peer.commits).n_conflicts, 1);
        assert_int_equal(given_to(&fleet, 1, &n), 0);
        look_until_nothing_changes(&fleet);
        assert_int_equal(given_to(&fleet, 1, &n), 2048);
        assert_int_equal(claimed_ports(&fleet), 4096 + 2048 + 2048);
        fleet_end(&fleet);
    }
}

/* Whoever calls without having checked the report. */
static void an_id_that_is_none_is_skipped(void **state)
{
    _cleanup_(snat_usages_freep) struct snat_usages *usages = NULL;
    json_t *report = json_pack("{s{si si} s{si si}}", "00000000-0000-4000-8000-0000000000001", "in_use", 5, "failed", 1,
                               "00000000-0000-4000-8000-000000000001", "in_use", 7, "failed", 0);

    assert_int_equal(0, snat_usages_new(&usages));
    for (int i = 0; i < 2; i++)
        snat_usages_take(usages, "h1", report, 1000);
    assert_int_equal(7, snat_usages_totals(usages).in_use);
    json_decref(report);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_id_that_is_none_is_skipped),
        cmocka_unit_test(blocks_fit_where_a_naive_search_says),
        cmocka_unit_test(no_port_is_two_hosts),
        cmocka_unit_test(what_a_host_has_doubles_with_use),
        cmocka_unit_test(a_crowd_shares_and_the_rest_waits),
        cmocka_unit_test(a_host_that_confirms_gives_back_at_once),
        cmocka_unit_test(an_address_that_changes_is_held),
        cmocka_unit_test(a_block_within_anothers_is_refused),
    };

    seed_begin();
    log_set_level(LOG_LEVEL_ERROR);
    return sodium_init() < 0 ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
