/* The watch stream against a deliberately naive model: random changes, agents that read a few bytes at a time, are slow, lose
 * their streams and resume by digest.  At every "commit" an agent must have exactly what the naive model says its host needs. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include <cmocka.h>

#include "instance.h"
#include "naive-relevance.h"
#include "weft/api/replica.h"
#include "weft/base/buffer.h"
#include "weft/base/clock.h"
#include "weft/base/util.h"
#include "weft/base/uuid.h"
#include "weft/http/dispatch.h"
#include "weft/http/request.h"
#include "weft/model/balance-patch.h"

#define N_AGENTS 3
#define N_NETWORKS 4

struct agent {
    struct instance *instance;
    char name[16];
    char authorization[64];
    struct stream *stream;
    bool is_awake, has_closed;
    struct buffer line;     /* The line that is arriving. */
    json_t *known;          /* id -> {"kind", "revision", "object"} */
    uint64_t n_commits, n_checked, n_puts, n_puts_by_kind[RESOURCE_N_KINDS];
    bool is_synced, takes_patches;
    uint64_t n_patches;
};

static unsigned seed;

static unsigned below(unsigned n)
{
    return (unsigned)rand_r(&seed) % n;
}

/* --- The agent's side. --- */

static void wake(struct stream *stream)
{
    ((struct agent *)stream->transport)->is_awake = true;
}

static void cut(struct stream *stream)
{
    ((struct agent *)stream->transport)->has_closed = true;
}

static const char *header(void *context, const char *name)
{
    return strcasecmp(name, "Authorization") == 0 ? ((struct agent *)context)->authorization : NULL;
}

static void answered(struct request *request, struct answer *answer, void *context)
{
    struct agent *agent = context;

    if (answer->status != 200)
        fail_msg("watch: %d %.*s", answer->status, (int)answer->size, answer->bytes);
    agent->stream = answer->stream;
    agent->stream->transport = agent;
    agent->stream->wake = wake;
    agent->stream->cut = cut;
    agent->is_awake = true;
    agent->has_closed = false;
    agent->is_synced = false;
}

static void watch(struct agent *agent)
{
    struct request_source source = {.header = header, .answered = answered, .context = agent};
    char target[64];
    json_t *digest = json_object(), *entry, *body;
    struct request *request;
    const char *id;
    char *text;

    json_object_foreach(agent->known, id, entry)
        json_object_set(digest, id, json_object_get(entry, "revision"));
    body = json_pack("{s:o, s:b}", "digest", digest, "patches", agent->takes_patches);
    text = json_dumps(body, JSON_COMPACT);
    json_decref(body);
    snprintf(target, sizeof(target), "/weft/v1/hosts/%s/watch", agent->name);
    request = request_new(&agent->instance->api.service, "POST", target, &source);
    assert_non_null(request);
    request_dispatch(request, text, strlen(text), false);
    for (int i = 0; i < 1000 && !agent->stream; i++)
        uv_run(&agent->instance->loop, UV_RUN_NOWAIT);
    assert_non_null(agent->stream);
}

static void lose_stream(struct agent *agent)
{
    struct stream *stream = agent->stream;

    agent->stream = NULL;
    agent->line.size = 0;
    stream->transport = NULL;
    stream->wake = stream->cut = NULL;
    stream->closed(stream);
}

static void check(struct agent *agent);

/* What the line makes of what is known, as a line that puts it. */
static void take_patch(struct agent *agent, const json_t *line)
{
    const char *id = json_string_value(json_object_get(json_object_get(line, "object"), "id"));
    const json_t *known = json_object_get(agent->known, id);
    struct object *before = NULL, *object = NULL;

    assert_true(agent->takes_patches);
    assert_int_equal(json_integer_value(json_object_get(known, "revision")), json_integer_value(json_object_get(line, "from")));
    assert_int_equal(object_decode(RESOURCE_BALANCE_ROWS, json_object_get(known, "object"), &before, NULL), 0);
    assert_int_equal(object_decode(RESOURCE_BALANCE_ROWS, json_object_get(line, "object"), &object, NULL), 0);
    assert_int_equal(balance_patch_apply((struct balance_rows *)before, (struct balance_rows *)object, line, NULL), 0);
    json_object_set_new(agent->known, id, json_pack("{s:O, s:O, s:o}", "kind", json_object_get(line, "kind"), "revision",
                                                    json_object_get(line, "revision"), "object", object_encode(object)));
    object_free(before);
    object_free(object);
    agent->n_patches++;
}

static void take_line(struct agent *agent)
{
    json_t *line = json_loadb(agent->line.data, agent->line.size, 0, NULL);
    const char *type = json_string_value(json_object_get(line, "type"));

    assert_non_null(type);
    if (streq(type, "put")) {
        json_t *object = json_object_get(line, "object");

        assert_non_null(json_object_get(object, "schema"));
        json_object_set(agent->known, json_string_value(json_object_get(object, "id")), line);
        enum resource_kind kind;
        assert_int_equal(resource_from_name(json_string_value(json_object_get(line, "kind")), &kind), 0);
        agent->n_puts_by_kind[kind]++;
        agent->n_puts++;
    } else if (streq(type, "patch")) {
        take_patch(agent, line);
    } else if (streq(type, "delete")) {
        json_object_del(agent->known, json_string_value(json_object_get(line, "id")));
    } else if (streq(type, "synced")) {
        assert_false(agent->is_synced);
        agent->is_synced = true;
    } else if (streq(type, "commit")) {
        assert_true(agent->is_synced);
        assert_true((uint64_t)json_integer_value(json_object_get(line, "revision")) <= replica_revision(agent->instance->api.replica));
        agent->n_commits++;
        /* A line that was written before later changes says what was then; the model knows only now. */
        if ((uint64_t)json_integer_value(json_object_get(line, "revision")) == replica_revision(agent->instance->api.replica)) {
            agent->n_checked++;
            check(agent);
        }
    }
    json_decref(line);
    agent->line.size = 0;
}

/* Reads at most 'n' bytes. */
static void read_some(struct agent *agent, size_t n)
{
    char bytes[512];

    while (agent->stream && agent->is_awake && n > 0) {
        int64_t got = agent->stream->read(agent->stream, bytes, MIN(n, 1 + below(sizeof(bytes))));

        if (got < 0) {
            lose_stream(agent);
            return;
        }
        if (got == 0)
            agent->is_awake = false;
        for (int64_t i = 0; i < got; i++) {
            if (bytes[i] == '\n')
                take_line(agent);
            else
                assert_int_equal(buffer_append(&agent->line, &bytes[i], 1), 0);
        }
        n -= (size_t)got;
    }
}

static void check(struct agent *agent)
{
    const struct replica *replica = agent->instance->api.replica;
    size_t n_expected = 0;
    struct naive naive;

    naive_compute(replica, replica_host_by_name(replica, agent->name), &naive);
    for (enum resource_kind kind = 0; kind < RESOURCE_N_KINDS; kind++) {
        size_t n;
        const struct object *const *objects = replica_list(replica, kind, &n);

        for (size_t i = 0; i < n; i++) {
            const json_t *line = json_object_get(agent->known, objects[i]->id);
            json_t *encoded;

            if (!naive_has(&naive, objects[i])) {
                if (line)
                    fail_msg("seed %u: %s still has the %s %s", seed, agent->name, resource_name(kind), objects[i]->id);
                continue;
            }
            n_expected++;
            if (!line)
                fail_msg("seed %u: %s lacks the %s %s", seed, agent->name, resource_name(kind), objects[i]->id);
            assert_string_equal(json_string_value(json_object_get(line, "kind")), resource_name(kind));
            assert_int_equal(json_integer_value(json_object_get(line, "revision")), objects[i]->store_revision);
            encoded = object_encode(objects[i]);
            if (kind == RESOURCE_PORT) { /* Not part of the stored form: agents know better. */
                json_object_del(encoded, "status");
                json_object_del(json_object_get(line, "object"), "status");
            }
            if (!json_equal(encoded, json_object_get(line, "object")))
                fail_msg("seed %u: %s has another form of the %s %s: %s", seed, agent->name, resource_name(kind), objects[i]->id,
                         json_dumps(json_object_get(line, "object"), 0));
            json_decref(encoded);
        }
    }
    assert_int_equal(json_object_size(agent->known), n_expected);
}

/* --- Random changes. --- */

static void call(struct instance *instance, int status, json_t **ret, const char *method, const char *target, const char *format, ...)
    __attribute__((format(printf, 6, 7)));
static void call(struct instance *instance, int status, json_t **ret, const char *method, const char *target, const char *format, ...)
{
    json_t *body = NULL;
    char text[1024];
    va_list arguments;
    int got;

    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    got = instance_call(instance, method, target, *text ? text : NULL, &body);
    if (got != status)
        fail_msg("seed %u: %s %s %s: %d %s", seed, method, target, text, got, body ? json_dumps(body, 0) : "");
    if (ret)
        *ret = body;
    else
        json_decref(body);
}

static const struct object *any(struct instance *instance, enum resource_kind kind)
{
    size_t n;
    const struct object *const *objects = replica_list(instance->api.replica, kind, &n);

    return n ? objects[below((unsigned)n)] : NULL;
}

static const char *any_host(struct agent *agents)
{
    unsigned i = below(N_AGENTS + 1);

    return i < N_AGENTS ? agents[i].name : "";
}

/* What may be refused: overlapping subnets, things in use. */
static void attempt(struct instance *instance, const char *method, const char *target, const char *format, ...) __attribute__((format(printf, 4, 5)));
static void attempt(struct instance *instance, const char *method, const char *target, const char *format, ...)
{
    char text[1024];
    va_list arguments;
    int status;

    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    status = instance_call(instance, method, target, *text ? text : NULL, NULL);
    if (status >= 500)
        fail_msg("seed %u: %s %s %s: %d", seed, method, target, text, status);
}

/* Routers join networks, and rules name groups. */
static void change_what_joins(struct instance *instance)
{
    const struct object *router = any(instance, RESOURCE_ROUTER), *subnet = any(instance, RESOURCE_SUBNET), *network = any(instance, RESOURCE_NETWORK);
    const struct object *group = any(instance, RESOURCE_SECURITY_GROUP), *other = any(instance, RESOURCE_SECURITY_GROUP);
    const struct object *port = any(instance, RESOURCE_PORT), *rule = any(instance, RESOURCE_SECURITY_GROUP_RULE);
    char target[120];
    size_t n;

    replica_list(instance->api.replica, RESOURCE_ROUTER, &n);
    switch (below(9)) {
    case 0:
        if (n < 3)
            attempt(instance, "POST", "/v2.0/routers", "{\"router\":{\"name\":\"r\"}}");
        break;
    case 1:
    case 2:
        if (router && subnet) {
            snprintf(target, sizeof(target), "/v2.0/routers/%s/add_router_interface", router->id);
            attempt(instance, "PUT", target, "{\"subnet_id\":\"%s\"}", subnet->id);
        }
        break;
    case 3:
        if (router && subnet) {
            snprintf(target, sizeof(target), "/v2.0/routers/%s/remove_router_interface", router->id);
            attempt(instance, "PUT", target, "{\"subnet_id\":\"%s\"}", subnet->id);
        }
        break;
    case 4:
        if (network) {
            snprintf(target, sizeof(target), "/v2.0/networks/%s", network->id);
            attempt(instance, "PUT", target, "{\"network\":{\"router:external\":%s}}", below(3) ? "false" : "true");
        }
        break;
    case 5:
        if (router && network) {
            snprintf(target, sizeof(target), "/v2.0/routers/%s", router->id);
            attempt(instance, "PUT", target, below(3) ? "{\"router\":{\"external_gateway_info\":{\"network_id\":\"%s\"}}}" :
                                                      "{\"router\":{\"external_gateway_info\":null,\"description\":\"%s\"}}", network->id);
        }
        break;
    case 6:
        replica_list(instance->api.replica, RESOURCE_SECURITY_GROUP, &n);
        if (n < 4)
            attempt(instance, "POST", "/v2.0/security-groups", "{\"security_group\":{\"name\":\"g\"}}");
        else if (rule && below(2)) {
            snprintf(target, sizeof(target), "/v2.0/security-group-rules/%s", rule->id);
            attempt(instance, "DELETE", target, "%s", "");
        }
        break;
    case 7:
        if (group)
            attempt(instance, "POST", "/v2.0/security-group-rules", "{\"security_group_rule\":{\"security_group_id\":\"%s\",\"direction\":\"ingress\","
                    "\"protocol\":\"%u\",\"remote_group_id\":\"%s\"}}", group->id, 1 + below(200), other->id);
        break;
    default:
        if (port && group) {
            snprintf(target, sizeof(target), "/v2.0/ports/%s", port->id);
            attempt(instance, "PUT", target, "{\"port\":{\"security_groups\":[\"%s\"]}}", group->id);
        }
        break;
    }
}

static void change(struct instance *instance, struct agent *agents)
{
    const struct object *network = any(instance, RESOURCE_NETWORK), *port = any(instance, RESOURCE_PORT), *subnet = any(instance, RESOURCE_SUBNET);
    char target[80];
    size_t n;

    replica_list(instance->api.replica, RESOURCE_NETWORK, &n);
    switch (below(10)) {
    case 0:
        if (n < N_NETWORKS)
            call(instance, 201, NULL, "POST", "/v2.0/networks", "{\"network\":{\"name\":\"n\"}}");
        break;
    case 1:
        if (network && replica_count_by_network(instance->api.replica, RESOURCE_SUBNET, network->id) < 3)
            call(instance, 201, NULL, "POST", "/v2.0/subnets", "{\"subnet\":{\"network_id\":\"%s\",\"ip_version\":4,\"cidr\":\"10.%u.%u.0/24\"}}",
                 network->id, below(250), below(250));
        break;
    case 2:
    case 3:
    case 4:
        if (network)
            call(instance, 201, NULL, "POST", "/v2.0/ports", "{\"port\":{\"network_id\":\"%s\",\"binding:host_id\":\"%s\",\"fixed_ips\":[]}}",
                 network->id, any_host(agents));
        break;
    case 5:
    case 6:
        if (port) {
            snprintf(target, sizeof(target), "/v2.0/ports/%s", port->id);
            attempt(instance, "PUT", target, "{\"port\":{\"binding:host_id\":\"%s\"}}", any_host(agents));
        }
        break;
    case 7:
        if (port) {
            snprintf(target, sizeof(target), "/v2.0/ports/%s", port->id);
            attempt(instance, "DELETE", target, "%s", "");
        }
        break;
    case 8:
        if (subnet) {
            snprintf(target, sizeof(target), "/v2.0/subnets/%s", subnet->id);
            attempt(instance, "DELETE", target, "%s", "");
        }
        break;
    default:
        if (network) {
            snprintf(target, sizeof(target), "/v2.0/networks/%s", network->id);
            if (replica_count_by_network(instance->api.replica, RESOURCE_PORT, network->id) == 0 && below(2))
                call(instance, 204, NULL, "DELETE", target, "%s", "");
            else
                call(instance, 200, NULL, "PUT", target, "{\"network\":{\"name\":\"n%u\"}}", below(1000));
        }
        break;
    }
}

static void join(struct instance *instance, struct agent *agent, unsigned i)
{
    char target[64];
    json_t *body;

    agent->instance = instance;
    agent->known = json_object();
    snprintf(agent->name, sizeof(agent->name), "h%u", i);
    call(instance, 201, &body, "POST", "/weft/v1/hosts", "{\"host\":{\"name\":\"%s\"}}", agent->name);
    snprintf(target, sizeof(target), "/weft/v1/hosts/%s/join", agent->name);
    json_t *joined;
    call(instance, 200, &joined, "POST", target, "{\"join_token\":\"%s\",\"tunnel_address\":\"192.0.2.%u\",\"underlay_mtu\":1500}",
         json_string_value(json_object_get(json_object_get(body, "host"), "join_token")), i + 1);
    snprintf(agent->authorization, sizeof(agent->authorization), "Bearer %s", json_string_value(json_object_get(joined, "credential")));
    json_decref(body);
    json_decref(joined);
}

static void agents_have_what_the_naive_model_says(void **state)
{
    struct agent agents[N_AGENTS] = {0};
    struct instance instance;
    struct store *store;
    uint64_t n_commits = 0;

    assert_int_equal(store_memory_open(&store), 0);
    instance_start(&instance, store);
    for (unsigned i = 0; i < N_AGENTS; i++)
        join(&instance, &agents[i], i);

    for (int step = 0; step < 800; step++) {
        struct agent *agent = &agents[below(N_AGENTS)];

        change(&instance, agents);
        if (below(2))
            change_what_joins(&instance);
        if (!agent->stream && below(4) == 0)
            watch(agent);
        else if (agent->stream && below(60) == 0)
            lose_stream(agent);
        else if (agent->stream)
            read_some(agent, below(3) ? below(3000) : 1 << 20);
    }
    /* In the end all read everything. */
    for (unsigned i = 0; i < N_AGENTS; i++) {
        if (!agents[i].stream)
            watch(&agents[i]);
        agents[i].is_awake = true;
        n_commits = agents[i].n_commits;
        read_some(&agents[i], SIZE_MAX);
        check(&agents[i]);
        assert_true(agents[i].n_commits >= n_commits && agents[i].n_checked > 20);
        assert_true(agents[i].n_puts_by_kind[RESOURCE_ROUTER] && agents[i].n_puts_by_kind[RESOURCE_SECURITY_GROUP_RULE]);
    }
    for (unsigned i = 0; i < N_AGENTS; i++) {
        lose_stream(&agents[i]);
        json_decref(agents[i].known);
        buffer_clear(&agents[i].line);
    }
    instance_stop(&instance);
    store_close(store);
    instance_free(&instance);
}

/* The rows of 'pool' as they are when 'weight' has arrived in them: the member drains, or serves. */
static void wait_for_rows(struct instance *instance, const char *pool, enum member_state wanted)
{
    uint64_t end_ms = clock_monotonic_ms() + 60000;
    char id[UUID_TEXT_SIZE];

    balance_rows_id(pool, id);
    for (;;) {
        const struct balance_rows *rows = (const struct balance_rows *)replica_get(instance->api.replica, RESOURCE_BALANCE_ROWS, id);

        if (rows && rows->n_members == 3 && rows->members[0].state == wanted)
            return;
        assert_true(clock_monotonic_ms() < end_ms);
        uv_run(&instance->loop, UV_RUN_NOWAIT);
    }
}

static const char *id_in(json_t *answer, const char *name)
{
    return json_string_value(json_object_get(json_object_get(answer, name), "id"));
}

/* A member's change goes to those who take patches as one, also after a lost stream; to an older agent whole. */
static void rows_go_as_patches(void **state)
{
    struct agent agents[2] = {{.takes_patches = true}, {.takes_patches = false}};
    json_t *network, *subnet, *balancer, *pool;
    struct instance instance;
    struct store *store;
    char target[160];

    assert_int_equal(store_memory_open(&store), 0);
    instance_start(&instance, store);
    for (unsigned i = 0; i < 2; i++)
        join(&instance, &agents[i], i);
    call(&instance, 201, &network, "POST", "/v2.0/networks", "{\"network\":{\"name\":\"n\"}}");
    call(&instance, 201, &subnet, "POST", "/v2.0/subnets", "{\"subnet\":{\"network_id\":\"%s\",\"ip_version\":4,\"cidr\":\"10.0.0.0/24\"}}",
         id_in(network, "network"));
    for (unsigned i = 0; i < 2; i++)
        call(&instance, 201, NULL, "POST", "/v2.0/ports", "{\"port\":{\"network_id\":\"%s\",\"binding:host_id\":\"h%u\"}}", id_in(network, "network"), i);
    for (unsigned i = 201; i < 204; i++)
        call(&instance, 201, NULL, "POST", "/v2.0/ports", "{\"port\":{\"network_id\":\"%s\",\"fixed_ips\":[{\"ip_address\":\"10.0.0.%u\"}]}}", id_in(network, "network"), i);
    call(&instance, 201, &balancer, "POST", "/load-balancer/v2.0/lbaas/loadbalancers", "{\"loadbalancer\":{\"vip_subnet_id\":\"%s\"}}",
         id_in(subnet, "subnet"));
    call(&instance, 201, &pool, "POST", "/load-balancer/v2.0/lbaas/pools",
         "{\"pool\":{\"loadbalancer_id\":\"%s\",\"protocol\":\"TCP\",\"lb_algorithm\":\"ROUND_ROBIN\",\"members\":["
         "{\"address\":\"10.0.0.201\",\"protocol_port\":80},{\"address\":\"10.0.0.202\",\"protocol_port\":80},{\"address\":\"10.0.0.203\","
         "\"protocol_port\":80}]}}",
         id_in(balancer, "loadbalancer"));
    wait_for_rows(&instance, id_in(pool, "pool"), MEMBER_SERVES);
    for (unsigned round = 0; round < 6; round++) {
        char rows_id[UUID_TEXT_SIZE];

        for (unsigned i = 0; i < 2; i++) {
            if (!agents[i].stream)
                watch(&agents[i]);
            read_some(&agents[i], SIZE_MAX);
            check(&agents[i]);
            if (round % 2)
                lose_stream(&agents[i]);
        }
        balance_rows_id(id_in(pool, "pool"), rows_id);
        const struct balance_rows *rows = (const struct balance_rows *)replica_get(instance.api.replica, RESOURCE_BALANCE_ROWS, rows_id);
        snprintf(target, sizeof(target), "/load-balancer/v2.0/lbaas/pools/%s/members/%s", id_in(pool, "pool"), rows->members[0].member_id);
        call(&instance, 200, NULL, "PUT", target, "{\"member\":{\"weight\":%u}}", round % 2);
        wait_for_rows(&instance, id_in(pool, "pool"), round % 2 ? MEMBER_SERVES : MEMBER_DRAINS);
    }
    assert_true(agents[0].n_patches >= 4 && agents[0].n_puts_by_kind[RESOURCE_BALANCE_ROWS] <= 2);
    assert_true(agents[1].n_patches == 0 && agents[1].n_puts_by_kind[RESOURCE_BALANCE_ROWS] >= 5);
    json_decref(network);
    json_decref(subnet);
    json_decref(balancer);
    json_decref(pool);
    for (unsigned i = 0; i < 2; i++) {
        if (agents[i].stream)
            lose_stream(&agents[i]);
        json_decref(agents[i].known);
        buffer_clear(&agents[i].line);
    }
    instance_stop(&instance);
    store_close(store);
    instance_free(&instance);
}

/* Ten changes of one object while the agent does not read are one line. */
static void repeated_changes_are_sent_once(void **state)
{
    struct agent agent = {0};
    struct instance instance;
    struct store *store;
    char target[80];
    uint64_t before;
    json_t *body, *created;

    assert_int_equal(store_memory_open(&store), 0);
    instance_start(&instance, store);
    join(&instance, &agent, 0);
    call(&instance, 201, &body, "POST", "/v2.0/networks", "{\"network\":{\"name\":\"n\"}}");
    call(&instance, 201, &created, "POST", "/v2.0/ports", "{\"port\":{\"network_id\":\"%s\",\"binding:host_id\":\"h0\"}}",
         json_string_value(json_object_get(json_object_get(body, "network"), "id")));
    watch(&agent);
    read_some(&agent, SIZE_MAX);
    before = agent.n_puts;
    snprintf(target, sizeof(target), "/v2.0/ports/%s", json_string_value(json_object_get(json_object_get(created, "port"), "id")));
    for (int i = 0; i < 10; i++)
        call(&instance, 200, NULL, "PUT", target, "{\"port\":{\"name\":\"p%d\"}}", i);
    read_some(&agent, SIZE_MAX);
    assert_int_equal(agent.n_puts, before + 1);
    assert_int_equal(agent.n_commits, 2);
    json_decref(body);
    json_decref(created);
    lose_stream(&agent);
    json_decref(agent.known);
    buffer_clear(&agent.line);
    instance_stop(&instance);
    store_close(store);
    instance_free(&instance);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(agents_have_what_the_naive_model_says),
        cmocka_unit_test(rows_go_as_patches),
        cmocka_unit_test(repeated_changes_are_sent_once),
    };

    seed = getenv("WEFT_SEED") ? (unsigned)strtoul(getenv("WEFT_SEED"), NULL, 10) : (unsigned)clock_monotonic_ns();
    print_message("WEFT_SEED=%u\n", seed);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
