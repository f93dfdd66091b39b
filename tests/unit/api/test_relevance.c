/* Relevance against a deliberately naive model: random objects come, change and go in a small universe, with references to what is not
 * there (yet), and after each transaction each host has exactly what a fixpoint over all objects says. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <uv.h>

#include "naive-relevance.h"
#include "weft/api/relevance.h"
#include "weft/base/buffer.h"
#include "weft/base/clock.h"
#include "weft/base/util.h"

#define N_SLOTS 32 /* Ids of a kind. */

static const unsigned n_slots[RESOURCE_N_KINDS] = {
    [RESOURCE_NETWORK] = 8, [RESOURCE_SUBNET] = 10, [RESOURCE_PORT] = 32, [RESOURCE_HOST] = 4, [RESOURCE_SECURITY_GROUP] = 5,
    [RESOURCE_SECURITY_GROUP_RULE] = 12, [RESOURCE_ADDRESS_GROUP] = 3, [RESOURCE_ROUTER] = 6, [RESOURCE_FLOATING_IP] = 8,
    [RESOURCE_PORT_FORWARDING] = 6, [RESOURCE_SNAT_BLOCK] = 6, [RESOURCE_LOG] = 8,
    [RESOURCE_LOAD_BALANCER] = 4, [RESOURCE_LISTENER] = 4, [RESOURCE_POOL] = 4, [RESOURCE_POOL_MEMBER] = 10, [RESOURCE_HEALTH_MONITOR] = 3,
    [RESOURCE_BALANCE_ROWS] = 3, [RESOURCE_LISTENER_SHARE] = 8,
    [RESOURCE_FIREWALL_GROUP] = 4, [RESOURCE_FIREWALL_POLICY] = 4, [RESOURCE_FIREWALL_RULE] = 6,
};
#define N_HOSTS 4

/* What an agent would have: the store revision of each object, 0 for none. */
struct told {
    uint64_t revision[RESOURCE_N_KINDS][N_SLOTS];
    bool is_marked[RESOURCE_N_KINDS][N_SLOTS];
};

struct universe {
    uv_loop_t loop;
    struct store *store;
    struct replica *replica;
    struct replica_listener listener;
    struct relevance *relevance[N_HOSTS];
    struct told told[N_HOSTS];
    size_t n_marks;
};

static unsigned seed;

static unsigned below(unsigned n)
{
    return (unsigned)rand_r(&seed) % n;
}

/* --- The universe. --- */

static const char *id_of(enum resource_kind kind, unsigned slot, char id[UUID_TEXT_SIZE])
{
    snprintf(id, UUID_TEXT_SIZE, "%08x-0000-4000-8000-%012x", (unsigned)kind + 1, slot);
    return id;
}

static unsigned slot_of(const char *id)
{
    return (unsigned)strtoul(id + 24, NULL, 16);
}

static const char *any_id(enum resource_kind kind, char id[UUID_TEXT_SIZE])
{
    return id_of(kind, below(n_slots[kind]), id);
}

static const char *host_name(unsigned slot)
{
    static const char *const names[] = {"h0", "h1", "h2", "h3"};

    return names[slot];
}

static void mark(const struct object *object, void *context)
{
    ((struct told *)context)->is_marked[object->kind][slot_of(object->id)] = true;
}

static void changed(const struct replica_change *change, void *context)
{
    struct universe *universe = context;

    for (unsigned i = 0; i < N_HOSTS; i++)
        if (universe->relevance[i])
            assert_int_equal(relevance_change(universe->relevance[i], change), 0);
}

static void universe_open(struct universe *universe)
{
    struct error error = {0};

    *universe = (struct universe){.listener = {.change = changed, .context = universe}};
    uv_loop_init(&universe->loop);
    assert_int_equal(store_memory_open(&universe->store), 0);
    assert_int_equal(replica_new(&universe->loop, universe->store, &universe->replica), 0);
    replica_listen(universe->replica, &universe->listener);
    assert_int_equal(replica_start(universe->replica, &error), 0);
}

static void universe_close(struct universe *universe)
{
    for (unsigned i = 0; i < N_HOSTS; i++)
        relevance_free(universe->relevance[i]);
    replica_stop(universe->replica);
    store_close(universe->store);
    replica_free(universe->replica);
    uv_run(&universe->loop, UV_RUN_DEFAULT);
    uv_loop_close(&universe->loop);
}

static struct store_transaction *begin(void)
{
    struct store_transaction *transaction;

    assert_int_equal(store_transaction_new(&transaction), 0);
    return transaction;
}

static void put(struct store_transaction *transaction, const struct object *object)
{
    struct buffer text = {0};
    char key[REPLICA_KEY_SIZE];

    assert_int_equal(object_write(object, &text), 0);
    replica_key(object->kind, object->id, key);
    store_put(transaction, key, strlen(key), text.data, text.size, 0); /* -EEXIST: the second of one id in a transaction says nothing. */
    buffer_clear(&text);
}

static bool commit(struct universe *universe, struct store_transaction *transaction)
{
    struct store_result result = store_commit(universe->store, transaction);

    if (result.status < 0)
        return false;
    while (replica_revision(universe->replica) < store_revision(universe->store))
        uv_run(&universe->loop, UV_RUN_ONCE);
    return true;
}

static void watch(struct universe *universe, unsigned slot)
{
    char id[UUID_TEXT_SIZE];
    const struct host *host = replica_host(universe->replica, id_of(RESOURCE_HOST, slot, id));

    relevance_free(universe->relevance[slot]);
    universe->relevance[slot] = NULL;
    assert_non_null(host);
    assert_int_equal(relevance_new(universe->replica, host, mark, &universe->told[slot], &universe->relevance[slot]), 0);
}

/* --- Random objects. --- */

/* How likely things are, of 100: changed now and then, so that all is joined at times and hardly anything at others. */
static struct {
    unsigned bound, interface, gateway, external, uplink, gone;
} odds;

static void shuffle_odds(void)
{
    static const unsigned few_or_many[] = {2, 10, 30, 60};

    odds.bound = few_or_many[below(4)];
    odds.interface = few_or_many[below(4)];
    odds.gateway = few_or_many[below(3)] / 2;
    odds.external = few_or_many[below(4)];
    odds.uplink = few_or_many[below(4)];
    odds.gone = 20 + below(60);
}

static bool is_so(unsigned percent)
{
    return below(100) < percent;
}

/* One of few, so that ports and members meet. */
static void random_place(char subnet_id[UUID_TEXT_SIZE], struct ip_address *address)
{
    char text[16];

    id_of(RESOURCE_SUBNET, below(3), subnet_id);
    snprintf(text, sizeof(text), "10.0.0.%u", 1 + below(4));
    ip_parse(text, address);
}

static void randomize_addresses(struct port *port)
{
    free(port->fixed_ips);
    port->n_fixed_ips = below(3);
    port->fixed_ips = calloc(2, sizeof(*port->fixed_ips));
    for (size_t i = 0; i < port->n_fixed_ips; i++)
        random_place(port->fixed_ips[i].subnet_id, &port->fixed_ips[i].address);
    if (port->n_fixed_ips == 2 && streq(port->fixed_ips[0].subnet_id, port->fixed_ips[1].subnet_id))
        port->n_fixed_ips = 1;
}

static void randomize_port(struct port *port)
{
    randomize_addresses(port);
    any_id(RESOURCE_NETWORK, port->network_id);
    if (is_so(odds.bound))
        port->binding_host_id = strdup(host_name(below(N_HOSTS)));
    if (is_so(odds.interface) || is_so(odds.gateway) || is_so(5)) {
        char id[UUID_TEXT_SIZE];

        port->device_owner = strdup(is_so(odds.interface) ? DEVICE_ROUTER_INTERFACE : is_so(80) ? DEVICE_ROUTER_GATEWAY : "compute:nova");
        port->device_id = strdup(any_id(RESOURCE_ROUTER, id));
    }
    port->has_security_groups = true;
    port->n_security_groups = below(3);
    port->security_groups = calloc(port->n_security_groups + 1, sizeof(*port->security_groups));
    for (size_t i = 0; i < port->n_security_groups; i++)
        any_id(RESOURCE_SECURITY_GROUP, port->security_groups[i].id);
    if (port->n_security_groups == 2 && streq(port->security_groups[0].id, port->security_groups[1].id))
        port->n_security_groups = 1;
}

static void randomize_host(struct host *host, unsigned slot)
{
    free(host->object.name);
    host->object.name = strdup(host_name(slot));
    host->physical_networks = calloc(2, sizeof(*host->physical_networks));
    if (is_so(odds.uplink))
        host->physical_networks[host->n_physical_networks++].text = strdup("left");
    if (is_so(odds.uplink))
        host->physical_networks[host->n_physical_networks++].text = strdup("right");
}

/* Up to three, each once. */
static struct object_id *random_ids(enum resource_kind kind, size_t *ret_n)
{
    struct object_id *ids = calloc(3, sizeof(*ids));
    unsigned first = below(n_slots[kind]);

    *ret_n = below(4);
    for (size_t i = 0; i < *ret_n; i++)
        id_of(kind, (first + (unsigned)i) % n_slots[kind], ids[i].id);
    return ids;
}

static void randomize_firewall_group(struct firewall_group *group)
{
    group->ports = random_ids(RESOURCE_PORT, &group->n_ports);
    if (is_so(70))
        any_id(RESOURCE_FIREWALL_POLICY, group->ingress_policy_id);
    if (is_so(70))
        any_id(RESOURCE_FIREWALL_POLICY, group->egress_policy_id);
}

static struct object *random_object(enum resource_kind kind, unsigned slot)
{
    struct object *object = object_new(kind);

    assert_non_null(object);
    id_of(kind, slot, object->id);
    object->revision_number = below(1000);
    snprintf(object->project_id, sizeof(object->project_id), "p%u", below(8));
    switch (kind) {
    case RESOURCE_NETWORK: {
        struct network *network = (struct network *)object;

        network->is_external = is_so(odds.external);
        free(network->physical_network);
        network->physical_network = is_so(odds.external) ? strdup(below(2) ? "left" : "right") : NULL;
        break;
    }
    case RESOURCE_SUBNET:
        any_id(RESOURCE_NETWORK, ((struct subnet *)object)->network_id);
        ((struct subnet *)object)->ip_version = 4;
        prefix_parse("10.0.0.0/24", &((struct subnet *)object)->cidr);
        break;
    case RESOURCE_PORT:
        randomize_port((struct port *)object);
        break;
    case RESOURCE_HOST:
        randomize_host((struct host *)object, slot);
        break;
    case RESOURCE_SECURITY_GROUP_RULE: {
        struct security_group_rule *rule = (struct security_group_rule *)object;

        any_id(RESOURCE_SECURITY_GROUP, rule->security_group_id);
        if (is_so(40))
            any_id(RESOURCE_SECURITY_GROUP, rule->remote_group_id);
        else if (is_so(40))
            any_id(RESOURCE_ADDRESS_GROUP, rule->remote_address_group_id);
        break;
    }
    case RESOURCE_FLOATING_IP: {
        struct floating_ip *floating_ip = (struct floating_ip *)object;

        any_id(RESOURCE_NETWORK, floating_ip->floating_network_id);
        any_id(RESOURCE_PORT, floating_ip->floating_port_id);
        if (is_so(70))
            any_id(RESOURCE_ROUTER, floating_ip->router_id);
        break;
    }
    case RESOURCE_PORT_FORWARDING: {
        struct port_forwarding *forwarding = (struct port_forwarding *)object;

        any_id(RESOURCE_FLOATING_IP, forwarding->floating_ip_id);
        any_id(RESOURCE_PORT, forwarding->internal_port_id);
        forwarding->protocol = 6;
        forwarding->external_first = forwarding->external_last = forwarding->internal_first = forwarding->internal_last = 80;
        break;
    }
    case RESOURCE_LOG: {
        struct network_log *log = (struct network_log *)object;

        bool is_of_firewall = is_so(50);

        log->resource_type = strdup(is_of_firewall ? LOG_FIREWALL_GROUP : LOG_SECURITY_GROUP);
        log->enabled = is_so(80);
        if (is_so(50))
            any_id(is_of_firewall ? RESOURCE_FIREWALL_GROUP : RESOURCE_SECURITY_GROUP, log->resource_id);
        if (is_so(40))
            any_id(RESOURCE_PORT, log->target_id);
        break;
    }
    case RESOURCE_LOAD_BALANCER:
        any_id(RESOURCE_NETWORK, ((struct load_balancer *)object)->vip_network_id);
        break;
    case RESOURCE_LISTENER:
        any_id(RESOURCE_LOAD_BALANCER, ((struct listener *)object)->load_balancer_id);
        break;
    case RESOURCE_POOL:
        any_id(RESOURCE_LOAD_BALANCER, ((struct pool *)object)->load_balancer_id);
        break;
    case RESOURCE_HEALTH_MONITOR:
        any_id(RESOURCE_LOAD_BALANCER, ((struct health_monitor *)object)->load_balancer_id);
        break;
    case RESOURCE_BALANCE_ROWS:
        any_id(RESOURCE_LOAD_BALANCER, ((struct balance_rows *)object)->load_balancer_id);
        break;
    case RESOURCE_LISTENER_SHARE:
        any_id(RESOURCE_LOAD_BALANCER, ((struct listener_share *)object)->load_balancer_id);
        ((struct listener_share *)object)->host = strdup(host_name(below(N_HOSTS)));
        break;
    case RESOURCE_POOL_MEMBER: {
        struct pool_member *member = (struct pool_member *)object;

        any_id(RESOURCE_LOAD_BALANCER, member->load_balancer_id);
        any_id(RESOURCE_NETWORK, member->at_network_id);
        random_place(member->at_subnet_id, &member->address);
        break;
    }
    case RESOURCE_SNAT_BLOCK:
        any_id(RESOURCE_ROUTER, ((struct snat_block *)object)->router_id);
        any_id(RESOURCE_NETWORK, ((struct snat_block *)object)->network_id);
        break;
    case RESOURCE_FIREWALL_GROUP:
        randomize_firewall_group((struct firewall_group *)object);
        break;
    case RESOURCE_FIREWALL_POLICY: {
        struct firewall_policy *policy = (struct firewall_policy *)object;

        policy->rules = random_ids(RESOURCE_FIREWALL_RULE, &policy->n_rules);
        break;
    }
    default:
        break;
    }
    return object;
}

/* One object comes, changes or goes.  A change of a port may be its binding or its addresses only. */
static void operate(struct universe *universe, struct store_transaction *transaction)
{
    static const enum resource_kind kinds[] = {
        RESOURCE_PORT, RESOURCE_PORT, RESOURCE_PORT, RESOURCE_PORT, RESOURCE_PORT, RESOURCE_PORT, RESOURCE_PORT, RESOURCE_PORT,
        RESOURCE_NETWORK, RESOURCE_NETWORK, RESOURCE_SUBNET, RESOURCE_HOST, RESOURCE_SECURITY_GROUP, RESOURCE_SECURITY_GROUP_RULE,
        RESOURCE_SECURITY_GROUP_RULE, RESOURCE_ADDRESS_GROUP, RESOURCE_ROUTER, RESOURCE_FLOATING_IP, RESOURCE_PORT_FORWARDING,
        RESOURCE_SNAT_BLOCK, RESOURCE_LOG, RESOURCE_FIREWALL_GROUP, RESOURCE_FIREWALL_GROUP, RESOURCE_FIREWALL_POLICY, RESOURCE_FIREWALL_RULE,
        RESOURCE_LOAD_BALANCER, RESOURCE_LOAD_BALANCER, RESOURCE_LISTENER, RESOURCE_POOL, RESOURCE_POOL_MEMBER, RESOURCE_POOL_MEMBER,
        RESOURCE_POOL_MEMBER, RESOURCE_HEALTH_MONITOR, RESOURCE_BALANCE_ROWS, RESOURCE_LISTENER_SHARE, RESOURCE_LISTENER_SHARE,
    };
    enum resource_kind kind = kinds[below(ARRAY_SIZE(kinds))];
    unsigned slot = below(n_slots[kind]);
    char id[UUID_TEXT_SIZE], key[REPLICA_KEY_SIZE];
    const struct object *there = replica_get(universe->replica, kind, id_of(kind, slot, id));
    struct object *object;

    if (there && kind != RESOURCE_HOST && is_so(odds.gone)) {
        replica_key(kind, id, key);
        store_delete(transaction, key, strlen(key));
        return;
    }
    if (there && kind == RESOURCE_PORT && is_so(60)) {
        object = object_copy(there);
        if (is_so(30))
            randomize_addresses((struct port *)object);
        free(((struct port *)object)->binding_host_id);
        ((struct port *)object)->binding_host_id = is_so(odds.bound) ? strdup(host_name(below(N_HOSTS))) : NULL;
    } else {
        object = random_object(kind, slot);
    }
    put(transaction, object);
    object_free(object);
}

/* What was marked is told.  With one operation since the last call nothing is told of what was not relevant before and is not now. */
static void tell_and_check(struct universe *universe, unsigned host, bool is_single)
{
    struct told *told = &universe->told[host];
    char id[UUID_TEXT_SIZE];
    struct naive naive;

    naive_compute(universe->replica, replica_host(universe->replica, id_of(RESOURCE_HOST, host, id)), &naive);
    for (enum resource_kind kind = 0; kind < RESOURCE_N_KINDS; kind++)
        for (unsigned slot = 0; slot < n_slots[kind]; slot++) {
            const struct object *object = replica_get(universe->replica, kind, id_of(kind, slot, id));
            bool is_relevant = object && naive_has(&naive, object);
            uint64_t *revision = &told->revision[kind][slot];

            if (object && relevance_has(universe->relevance[host], object) != is_relevant)
                fail_msg("the %s %s is%s relevant to %s", resource_name(kind), id, is_relevant ? "" : " not", host_name(host));
            if (told->is_marked[kind][slot]) {
                if (is_single && *revision == 0 && !is_relevant)
                    fail_msg("%s hears of the %s %s, which is not its business", host_name(host), resource_name(kind), id);
                *revision = is_relevant ? object->store_revision : 0;
                told->is_marked[kind][slot] = false;
                universe->n_marks++;
            }
            if (*revision != (is_relevant ? object->store_revision : 0))
                fail_msg("%s has revision %llu of the %s %s, not %llu", host_name(host), (unsigned long long)*revision, resource_name(kind), id,
                         (unsigned long long)(is_relevant ? object->store_revision : 0));
        }
}

static void hosts_have_what_the_naive_model_says(void **state)
{
    int n_steps = getenv("WEFT_STEPS") ? atoi(getenv("WEFT_STEPS")) : 6000;
    struct store_transaction *transaction = begin();
    struct universe universe;

    universe_open(&universe);
    shuffle_odds();
    for (unsigned i = 0; i < N_HOSTS; i++) {
        struct object *host = random_object(RESOURCE_HOST, i);

        put(transaction, host);
        object_free(host);
    }
    assert_true(commit(&universe, transaction));
    for (unsigned i = 0; i < N_HOSTS; i++) {
        watch(&universe, i);
        tell_and_check(&universe, i, true);
    }
    for (int step = 0; step < n_steps; step++) {
        unsigned n = below(3) ? 1 : 1 + below(8);

        if (step % 150 == 0)
            shuffle_odds();
        transaction = begin();
        for (unsigned i = 0; i < n; i++)
            operate(&universe, transaction);
        if (!commit(&universe, transaction))
            continue;
        for (unsigned i = 0; i < N_HOSTS; i++)
            tell_and_check(&universe, i, n == 1);
        if (below(50) == 0) { /* What was built step by step is what would be built now. */
            unsigned i = below(N_HOSTS);

            memset(&universe.told[i], 0, sizeof(universe.told[i]));
            watch(&universe, i);
            tell_and_check(&universe, i, true);
        }
    }
    assert_true(universe.n_marks > (size_t)n_steps);
    universe_close(&universe);
}

/* --- What a change costs. --- */

static size_t n_lines;

static void count(const struct object *object, void *context)
{
    n_lines++;
}

static const char *add(struct store_transaction *transaction, struct object *object, const char *id)
{
    string_copy(object->id, sizeof(object->id), id);
    put(transaction, object);
    object_free(object);
    return id;
}

static struct object *port_in(const char *network_id, const char *group_id, const char *device_id, const char *host)
{
    struct port *port = (struct port *)object_new(RESOURCE_PORT);

    string_copy(port->network_id, sizeof(port->network_id), network_id);
    if (group_id) {
        port->has_security_groups = true;
        port->security_groups = calloc(1, sizeof(*port->security_groups));
        port->n_security_groups = 1;
        string_copy(port->security_groups[0].id, sizeof(port->security_groups[0].id), group_id);
    }
    if (device_id) {
        port->device_id = strdup(device_id);
        port->device_owner = strdup(DEVICE_ROUTER_INTERFACE);
    }
    port->binding_host_id = host ? strdup(host) : NULL;
    return &port->object;
}

#define N_CROWD 10000
#define N_ROUTERS 500

/* A group of 10,000 members, and 500 routers in a row that end in a network of their own: what one more member or one more bound port says
 * is one line each, whatever else there is. */
static void one_change_is_one_line(void **state)
{
    char network[UUID_TEXT_SIZE], far[UUID_TEXT_SIZE], near[UUID_TEXT_SIZE], group[UUID_TEXT_SIZE], router[UUID_TEXT_SIZE], id[UUID_TEXT_SIZE];
    struct store_transaction *transaction = begin();
    struct relevance *relevance;
    struct object *object;
    struct universe universe;
    uint64_t start_ns;

    universe_open(&universe);
    universe.listener.change = NULL;
    object = random_object(RESOURCE_HOST, 0);
    put(transaction, object);
    object_free(object);
    id_of(RESOURCE_NETWORK, 0, network);
    id_of(RESOURCE_SECURITY_GROUP, 0, group);
    add(transaction, object_new(RESOURCE_SECURITY_GROUP), group);
    object = object_new(RESOURCE_SECURITY_GROUP_RULE);
    string_copy(((struct security_group_rule *)object)->security_group_id, UUID_TEXT_SIZE, group);
    string_copy(((struct security_group_rule *)object)->remote_group_id, UUID_TEXT_SIZE, group);
    add(transaction, object, id_of(RESOURCE_SECURITY_GROUP_RULE, 0, id));
    for (unsigned i = 0; i <= N_ROUTERS; i++)
        add(transaction, object_new(RESOURCE_NETWORK), id_of(RESOURCE_NETWORK, i, id));
    for (unsigned i = 0; i < N_ROUTERS; i++) { /* Router i joins networks i and i + 1. */
        id_of(RESOURCE_ROUTER, i, router);
        add(transaction, object_new(RESOURCE_ROUTER), router);
        add(transaction, port_in(id_of(RESOURCE_NETWORK, i, near), NULL, router, NULL), id_of(RESOURCE_PORT, 2 * i, id));
        add(transaction, port_in(id_of(RESOURCE_NETWORK, i + 1, far), NULL, router, NULL), id_of(RESOURCE_PORT, 2 * i + 1, id));
    }
    assert_true(commit(&universe, transaction));
    for (unsigned i = 0; i < N_CROWD;) {
        transaction = begin();
        for (unsigned end = MIN(i + 4000, N_CROWD); i < end; i++)
            add(transaction, port_in(far, group, NULL, i == 0 ? "h0" : NULL), id_of(RESOURCE_PORT, 2 * N_ROUTERS + i, id));
        assert_true(commit(&universe, transaction));
    }

    start_ns = clock_monotonic_ns();
    assert_int_equal(relevance_new(universe.replica, replica_host(universe.replica, id_of(RESOURCE_HOST, 0, id)), count, NULL, &relevance), 0);
    print_message("whole: %zu lines, %.3f ms\n", n_lines, (double)(clock_monotonic_ns() - start_ns) / 1e6);
    assert_int_equal(n_lines, 1 + 1 + 1 + (N_ROUTERS + 1) + N_ROUTERS + 2 * N_ROUTERS + N_CROWD);
    universe.relevance[0] = relevance;
    universe.listener.change = changed;

#define LINES(expected, what, object, id)                                                                                          \
    do {                                                                                                                           \
        n_lines = 0;                                                                                                               \
        transaction = begin();                                                                                                     \
        add(transaction, object, id);                                                                                              \
        start_ns = clock_monotonic_ns();                                                                                           \
        assert_true(commit(&universe, transaction));                                                                               \
        print_message("%s: %zu lines, %.3f ms with the store\n", what, n_lines, (double)(clock_monotonic_ns() - start_ns) / 1e6); \
        assert_int_equal(n_lines, expected);                                                                                       \
    } while (0)

    id_of(RESOURCE_PORT, 50000, id);
    LINES(1, "one more member", port_in("99999999-0000-4000-8000-000000000000", group, NULL, NULL), id);
    LINES(1, "one more port, bound at the far end", port_in(far, group, NULL, "h0"), id);
    id_of(RESOURCE_PORT, 50001, id);
    LINES(1, "one more port, bound at the near end", port_in(network, NULL, NULL, "h0"), id);
    LINES(1, "unbound again", port_in(network, NULL, NULL, NULL), id);
    /* Each router behind the cut goes with its ports and a network, and the last network with the port in it; the rest is not said again. */
    id_of(RESOURCE_PORT, N_ROUTERS, id);
    LINES(N_ROUTERS / 2 * 4 + 3, "a row cut in two",
          port_in("99999999-0000-4000-8000-000000000000", NULL, NULL, NULL), id);
    universe_close(&universe);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(hosts_have_what_the_naive_model_says),
        cmocka_unit_test(one_change_is_one_line),
    };

    seed = getenv("WEFT_SEED") ? (unsigned)strtoul(getenv("WEFT_SEED"), NULL, 10) : (unsigned)clock_monotonic_ns();
    print_message("WEFT_SEED=%u\n", seed);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
