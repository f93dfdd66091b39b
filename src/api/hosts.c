#include "weft/api/hosts.h"

#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "weft/api/hosts-state.h"
#include "weft/base/buffer.h"
#include "weft/base/clock.h"
#include "weft/base/log.h"
#include "weft/base/util.h"
#include "weft/http/routes.h"

#define NAME_MAX_SIZE 128

/* --- Secrets: join tokens and credentials are random; only hashes are stored. --- */

static void make_secret(char text[SECRET_TEXT_SIZE], uint8_t hash[SECRET_HASH_SIZE])
{
    unsigned char bytes[32];

    randombytes_buf(bytes, sizeof(bytes));
    sodium_bin2base64(text, SECRET_TEXT_SIZE, bytes, sizeof(bytes), sodium_base64_VARIANT_URLSAFE_NO_PADDING);
    crypto_generichash(hash, SECRET_HASH_SIZE, (const unsigned char *)text, strlen(text), NULL, 0);
    sodium_memzero(bytes, sizeof(bytes));
}

static bool secret_matches(const char *text, const uint8_t hash[SECRET_HASH_SIZE])
{
    uint8_t its[SECRET_HASH_SIZE];

    crypto_generichash(its, sizeof(its), (const unsigned char *)text, strlen(text), NULL, 0);
    return sodium_memcmp(its, hash, sizeof(its)) == 0;
}

static int put_secrets(struct store_transaction *transaction, const char *host_id, const uint8_t *join_token, const uint8_t *credential,
                       uint64_t require_revision)
{
    char key[64], value[256], hex[2][2 * SECRET_HASH_SIZE + 1] = {"", ""};
    int r;

    if (join_token)
        sodium_bin2hex(hex[0], sizeof(hex[0]), join_token, SECRET_HASH_SIZE);
    if (credential)
        sodium_bin2hex(hex[1], sizeof(hex[1]), credential, SECRET_HASH_SIZE);
    snprintf(key, sizeof(key), "secret/host/%s", host_id);
    snprintf(value, sizeof(value), "{\"join_token\":\"%s\",\"credential\":\"%s\"}", hex[0], hex[1]);
    r = store_require_revision(transaction, key, strlen(key), require_revision);
    return r < 0 ? r : store_put(transaction, key, strlen(key), value, strlen(value), 0);
}

static bool take_hash(const json_t *json, const char *name, uint8_t hash[SECRET_HASH_SIZE])
{
    const char *hex = json_string_value(json_object_get(json, name));

    return hex && strlen(hex) == 2 * SECRET_HASH_SIZE && sodium_hex2bin(hash, SECRET_HASH_SIZE, hex, strlen(hex), NULL, NULL, NULL) == 0;
}

static void secret_arrived(const struct store_item *item, void *context)
{
    struct hosts *hosts = context;
    const char *id = item->key + strlen("secret/host/");
    struct agent *agent = agent_get(hosts, id);
    json_t *json = item->value ? json_loadb(item->value, item->value_size, 0, NULL) : NULL;

    if (!agent)
        abort();
    agent->has_join_token = take_hash(json, "join_token", agent->join_token);
    agent->has_credential = take_hash(json, "credential", agent->credential);
    agent->secret_revision = item->value ? item->modify_revision : 0;
    json_decref(json);
}

int hosts_authenticate(struct hosts *hosts, const char *name, const char *authorization, struct auth_context *auth, struct error *error)
{
    const struct host *host = name ? host_find(hosts, name) : NULL;
    struct agent *agent = host ? agent_get(hosts, host->object.id) : NULL;

    if (!agent || !agent->has_credential || !authorization || strncmp(authorization, "Bearer ", 7) != 0 ||
        !secret_matches(authorization + 7, agent->credential))
        return error_set_type(error, -EACCES, "HTTPUnauthorized", NULL, "This is not the credential of host '%.100s'.", name ? name : "");
    *auth = (struct auth_context){0};
    string_copy(auth->host_id, sizeof(auth->host_id), host->object.id);
    return 0;
}

/* --- Lookups. --- */

struct agent *agent_get(struct hosts *hosts, const char *host_id)
{
    struct hashmap_node *node = hashmap_find(&hosts->agents, host_id, strlen(host_id));
    struct agent *agent;

    if (node)
        return CONTAINER_OF(node, struct agent, node);
    agent = calloc(1, sizeof(*agent));
    if (!agent)
        return NULL;
    string_copy(agent->id, sizeof(agent->id), host_id);
    agent->seen_ms = hosts->started_ms; /* A host that was up gets its time after a restart of ours. */
    if (hashmap_insert(&hosts->agents, &agent->node, agent->id, strlen(agent->id)) < 0) {
        free(agent);
        return NULL;
    }
    return agent;
}

const struct host *host_find(const struct hosts *hosts, const char *name)
{
    const struct host *host = replica_host_by_name(hosts->api->replica, name);

    return host ? host : replica_host(hosts->api->replica, name);
}

const struct host *host_find_or_404(struct request *request, const char *name)
{
    const struct host *host = host_find(request_api(request)->hosts, name);

    if (!host)
        request_fail(request, HTTP_NOT_FOUND, "HostNotFound", "Host '%.100s' could not be found.", name);
    return host;
}

uint64_t hosts_applied_revision(const struct hosts *hosts)
{
    uint64_t lowest = UINT64_MAX;
    size_t n;
    const struct object *const *objects = replica_list(hosts->api->replica, RESOURCE_HOST, &n);

    for (size_t i = 0; i < n; i++) {
        const struct host *host = (const struct host *)objects[i];
        struct hashmap_node *node = hashmap_find(&hosts->agents, objects[i]->id, strlen(objects[i]->id));

        /* One that is silent may be cut off from us alone, and still forward by what it knew. */
        if (host->state == HOST_STATE_UP ||
            (host->state == HOST_STATE_DOWN &&
             (!node || clock_monotonic_ms() < CONTAINER_OF(node, struct agent, node)->seen_ms + HOST_GONE_MS)))
            lowest = MIN(lowest, node ? watch_applied_revision(hosts, CONTAINER_OF(node, struct agent, node)) : 0);
    }
    return lowest;
}

struct hosts_counters hosts_counters(const struct hosts *hosts)
{
    struct hosts_counters counters = hosts->counters;
    size_t n;
    const struct object *const *objects = replica_list(hosts->api->replica, RESOURCE_HOST, &n);

    for (size_t i = 0; i < n; i++) {
        enum host_state state = ((const struct host *)objects[i])->state;

        *(state == HOST_STATE_UP ? &counters.n_up : state == HOST_STATE_DOWN ? &counters.n_down : &counters.n_new) += 1;
    }
    return counters;
}

/* --- The resource. --- */

static json_t *time_json(int64_t realtime_s)
{
    char text[TIME_TEXT_SIZE];

    return realtime_s ? json_string(time_format(realtime_s, text)) : json_null();
}

static json_t *physical_networks_json(const struct host *host)
{
    json_t *names = json_array();

    for (size_t i = 0; i < host->n_physical_networks; i++)
        json_array_append_new(names, json_string(host->physical_networks[i].text));
    return names;
}

json_t *host_show(const struct hosts *hosts, const struct host *host)
{
    static const char *const states[] = {[HOST_STATE_NEW] = "new", [HOST_STATE_UP] = "up", [HOST_STATE_DOWN] = "down"};
    struct hashmap_node *node = hashmap_find(&hosts->agents, host->object.id, strlen(host->object.id));
    const struct agent *agent = node ? CONTAINER_OF(node, struct agent, node) : NULL;
    char address[IP_TEXT_SIZE];

    return json_pack("{s:s,s:s,s:s,s:b,s:s,s:o,s:i,s:o,s:I,s:o,s:b,s:I,s:I,s:o,s:o,s:o}", "id", host->object.id, "name", host->object.name,
                     "description", host->object.description ? host->object.description : "", "admin_state_up", host->object.admin_state_up,
                     "state", states[host->state], "tunnel_address",
                     host->has_tunnel_address ? json_string(ip_format(&host->tunnel_address, address)) : json_null(), "underlay_mtu",
                     host->underlay_mtu, "version", host->version && *host->version ? json_string(host->version) : json_null(),
                     "applied_revision", (json_int_t)(agent ? watch_applied_revision(hosts, agent) : 0), "seen_at", time_json(agent ? agent->seen_at_s : 0),
                     "connected", agent && agent->watchers, "ports",
                     (json_int_t)replica_count_by_host(hosts->api->replica, host->object.name), "revision_number",
                     (json_int_t)host->object.revision_number, "created_at", time_json(host->object.created_at_s), "updated_at",
                     time_json(host->object.updated_at_s), "physical_networks", physical_networks_json(host));
}

int host_put(struct store_transaction *transaction, const struct host *host, uint64_t require_revision)
{
    struct buffer text = {0};
    char key[REPLICA_KEY_SIZE];
    int r = object_write(&host->object, &text);

    replica_key(RESOURCE_HOST, host->object.id, key);
    if (r == 0)
        r = store_require_revision(transaction, key, strlen(key), require_revision);
    if (r == 0)
        r = store_put(transaction, key, strlen(key), text.data, text.size, 0);
    buffer_clear(&text);
    return r;
}

static void list(struct request *request)
{
    const char *name = request_query(request, "name");
    json_t *shown = json_array();
    size_t n;
    const struct object *const *objects = replica_list(request_api(request)->replica, RESOURCE_HOST, &n);

    for (size_t i = 0; i < n; i++)
        if (!name || streq(objects[i]->name, name))
            json_array_append_new(shown, host_show(request_api(request)->hosts, (const struct host *)objects[i]));
    request_respond(request, HTTP_OK, json_pack("{s:o}", "hosts", shown));
}

static void show(struct request *request)
{
    const struct host *host = host_find_or_404(request, request->parameters[0]);

    if (host)
        request_respond(request, HTTP_OK, json_pack("{s:o}", "host", host_show(request_api(request)->hosts, host)));
}

/* What a create, update or new join token is about. */
struct change {
    char host_id[UUID_TEXT_SIZE];
    char secret[SECRET_TEXT_SIZE];
    const char *secret_name; /* "join_token", "credential", or NULL. */
    int status;
};

static void changed(struct request *request, const struct store_result *result)
{
    struct change *change = request->state;
    const struct host *host;
    json_t *shown;

    if (result->status == -EAGAIN) {
        request_retry(request);
        return;
    }
    if (result->status < 0) {
        request_fail(request, HTTP_UNAVAILABLE, NULL, "The store did not take the change: %s.", strerror(-result->status));
        return;
    }
    host = replica_host(request_api(request)->replica, change->host_id);
    if (change->status == HTTP_NO_CONTENT || !host) {
        request_respond(request, HTTP_NO_CONTENT, NULL);
        return;
    }
    shown = host_show(request_api(request)->hosts, host);
    if (change->secret_name && streq(change->secret_name, "credential")) {
        request_respond(request, change->status, json_pack("{s:s,s:o}", "credential", change->secret, "host", shown));
        return;
    }
    if (change->secret_name)
        json_object_set_new(shown, change->secret_name, json_string(change->secret));
    request_respond(request, change->status, json_pack("{s:o}", "host", shown));
}

static void change_free(void *state)
{
    sodium_memzero(state, sizeof(struct change));
    free(state);
}

static struct change *begin(struct request *request, const char *host_id, const char *secret_name, int status)
{
    struct change *change = calloc(1, sizeof(*change));

    if (!change) {
        request_fail(request, HTTP_UNAVAILABLE, NULL, "out of memory");
        return NULL;
    }
    string_copy(change->host_id, sizeof(change->host_id), host_id);
    change->secret_name = secret_name;
    change->status = status;
    request->state = change;
    request->free_state = change_free;
    return change;
}

static void commit(struct request *request, int r, struct store_transaction **transaction)
{
    if (r < 0)
        request_fail(request, r == -E2BIG ? HTTP_TOO_LARGE : HTTP_UNAVAILABLE, NULL, "The change cannot be stored: %s.", strerror(-r));
    else
        request_commit(request, TAKE_PTR(*transaction), changed);
}

/* A host's name appears in paths, in binding:host_id and in files: what a host name may be, and '_'. */
static bool is_host_name(const char *name)
{
    size_t size = strlen(name);

    return size > 0 && size <= NAME_MAX_SIZE && name[0] != '.' && name[0] != '-' &&
           strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_") == size;
}

static int take_attributes(struct host *host, const json_t *given, bool is_new, struct error *error)
{
    const char *name;
    json_t *value;

    if (!json_is_object(given))
        return error_set(error, -EINVAL, "host", "an object is required");
    if (is_new && !json_object_get(given, "name"))
        return error_set(error, -EINVAL, "host.name", "is required");
    json_object_foreach((json_t *)given, name, value) {
        if (streq(name, "name") && is_new) {
            if (!json_is_string(value) || !is_host_name(json_string_value(value)))
                return error_set(error, -EINVAL, "host.name", "'%.200s' is not a host name", json_is_string(value) ? json_string_value(value) : "");
            free(host->object.name);
            host->object.name = strdup(json_string_value(value));
        } else if (streq(name, "description")) {
            if (!json_is_string(value) || json_string_length(value) > 255)
                return error_set(error, -EINVAL, "host.description", "a string of at most 255 bytes is required");
            free(host->object.description);
            host->object.description = strdup(json_string_value(value));
        } else if (streq(name, "admin_state_up")) {
            if (!json_is_boolean(value))
                return error_set(error, -EINVAL, "host.admin_state_up", "true or false is required");
            host->object.admin_state_up = json_is_true(value);
        } else {
            return error_set(error, -EINVAL, NULL, "host.%.64s: is not an attribute that can be set%s", name, is_new ? " at creation" : "");
        }
    }
    return 0;
}

static void create(struct request *request)
{
    _cleanup_(object_freep) struct object *object = object_new(RESOURCE_HOST);
    _cleanup_(store_transaction_freep) struct store_transaction *transaction = NULL;
    struct host *host = (struct host *)object;
    struct error error = {0};
    uint8_t hash[SECRET_HASH_SIZE];
    char key[NAME_MAX_SIZE + 16];
    struct change *change;
    size_t n;
    int r;

    if (!object) {
        request_fail(request, HTTP_UNAVAILABLE, NULL, "out of memory");
        return;
    }
    if (take_attributes(host, json_object_get(request->body, "host"), true, &error) < 0) {
        request_fail_error(request, &error);
        return;
    }
    if (replica_host_by_name(request_api(request)->replica, object->name)) {
        request_fail(request, HTTP_CONFLICT, "HostExists", "host.name: there is a host '%s' already", object->name);
        return;
    }
    replica_list(request_api(request)->replica, RESOURCE_HOST, &n);
    if (n >= MAX_HOSTS) {
        request_fail(request, HTTP_CONFLICT, "OverQuota", "There are %d hosts already.", MAX_HOSTS);
        return;
    }
    uuid_generate(object->id);
    object->created_at_s = object->updated_at_s = clock_realtime_s();
    host->state = HOST_STATE_NEW;
    change = begin(request, object->id, "join_token", HTTP_CREATED);
    if (!change)
        return;
    make_secret(change->secret, hash);

    snprintf(key, sizeof(key), "host-name/%s", object->name);
    r = store_transaction_new(&transaction);
    if (r == 0)
        r = store_require_revision(transaction, key, strlen(key), 0);
    if (r == 0)
        r = store_put(transaction, key, strlen(key), object->id, strlen(object->id), 0);
    if (r == 0)
        r = host_put(transaction, host, 0);
    if (r == 0)
        r = put_secrets(transaction, object->id, hash, NULL, 0);
    commit(request, r, &transaction);
}

static void update(struct request *request)
{
    const struct host *host = host_find_or_404(request, request->parameters[0]);
    _cleanup_(object_freep) struct object *object = host ? object_copy(&host->object) : NULL;
    _cleanup_(store_transaction_freep) struct store_transaction *transaction = NULL;
    struct error error = {0};
    int r;

    if (!host)
        return;
    if (!object || take_attributes((struct host *)object, json_object_get(request->body, "host"), false, &error) < 0) {
        request_fail_error(request, &error);
        return;
    }
    object->revision_number++;
    object->updated_at_s = clock_realtime_s();
    if (!begin(request, object->id, NULL, HTTP_OK))
        return;
    r = store_transaction_new(&transaction);
    if (r == 0)
        r = host_put(transaction, (struct host *)object, host->object.store_revision);
    commit(request, r, &transaction);
}

static void delete(struct request *request)
{
    const struct host *host = host_find_or_404(request, request->parameters[0]);
    _cleanup_(store_transaction_freep) struct store_transaction *transaction = NULL;
    char key[NAME_MAX_SIZE + REPLICA_KEY_SIZE];
    const struct replica_member *ports;
    int r;

    if (!host)
        return;
    ports = replica_ports_by_host(request_api(request)->replica, host->object.name);
    if (ports) {
        request_fail(request, HTTP_CONFLICT, "HostInUse", "Host '%s' has ports bound to it, for example %s.", host->object.name, ports->object->id);
        return;
    }
    if (!begin(request, host->object.id, NULL, HTTP_NO_CONTENT))
        return;
    r = store_transaction_new(&transaction);
    replica_key(RESOURCE_HOST, host->object.id, key);
    if (r == 0)
        r = store_require_revision(transaction, key, strlen(key), host->object.store_revision);
    if (r == 0)
        r = store_delete(transaction, key, strlen(key));
    snprintf(key, sizeof(key), "host-name/%s", host->object.name);
    if (r == 0)
        r = store_delete(transaction, key, strlen(key));
    snprintf(key, sizeof(key), "secret/host/%s", host->object.id);
    if (r == 0)
        r = store_delete(transaction, key, strlen(key));
    commit(request, r, &transaction);
}

/* --- Joining. --- */

static void renew_join_token(struct request *request)
{
    const struct host *host = host_find_or_404(request, request->parameters[0]);
    _cleanup_(store_transaction_freep) struct store_transaction *transaction = NULL;
    uint8_t hash[SECRET_HASH_SIZE];
    struct agent *agent;
    struct change *change;
    int r;

    if (!host)
        return;
    agent = agent_get(request_api(request)->hosts, host->object.id);
    change = agent ? begin(request, host->object.id, "join_token", HTTP_OK) : NULL;
    if (!change)
        return;
    make_secret(change->secret, hash);
    r = store_transaction_new(&transaction);
    if (r == 0) /* The old credential goes on working until the new token is used. */
        r = put_secrets(transaction, host->object.id, hash, agent->has_credential ? agent->credential : NULL, agent->secret_revision);
    commit(request, r, &transaction);
}

static void join(struct request *request)
{
    struct hosts *hosts = request_api(request)->hosts;
    const struct host *host = host_find(hosts, request->parameters[0]);
    struct agent *agent = host ? agent_get(hosts, host->object.id) : NULL;
    const char *token = json_string_value(json_object_get(request->body, "join_token"));
    _cleanup_(object_freep) struct object *object = NULL;
    _cleanup_(store_transaction_freep) struct store_transaction *transaction = NULL;
    uint8_t hash[SECRET_HASH_SIZE];
    struct error error = {0};
    struct change *change;
    int r;

    if (!token) {
        request_fail(request, HTTP_BAD_REQUEST, NULL, "join_token: a string is required");
        return;
    }
    if (!agent || !agent->has_join_token || !secret_matches(token, agent->join_token)) {
        log_warning("host '%.100s': a join from %s with a wrong or used token", request->parameters[0], request_client_address(request));
        request_fail(request, HTTP_UNAUTHORIZED, NULL, "join_token: is not valid for host '%.100s', or was used", request->parameters[0]);
        return;
    }
    object = object_copy(&host->object);
    if (!object || host_take_report((struct host *)object, request->body, &error) < 0 ||
        host_check_address(hosts, (const struct host *)object, &error) < 0) {
        request_fail_error(request, &error);
        return;
    }
    object->revision_number++;
    object->updated_at_s = clock_realtime_s();
    change = begin(request, host->object.id, "credential", HTTP_OK);
    if (!change)
        return;
    make_secret(change->secret, hash);
    r = store_transaction_new(&transaction);
    if (r == 0)
        r = host_put(transaction, (struct host *)object, host->object.store_revision);
    if (r == 0)
        r = put_secrets(transaction, host->object.id, NULL, hash, agent->secret_revision);
    commit(request, r, &transaction);
}

/* --- Start and end. --- */

static void host_changed(const struct replica_change *change, void *context)
{
    struct hosts *hosts = context;

    const struct object *host = change->kind != RESOURCE_HOST ? NULL : change->after ? change->after : change->before;
    struct agent *agent = host ? agent_get(hosts, host->id) : NULL;

    if (agent && !change->after)
        left_out_forget(hosts, agent);
    watch_change(change, context);
}

static void tick(uv_timer_t *timer)
{
    struct hosts *hosts = timer->data;
    uint64_t now_ms = clock_monotonic_ms();

    watch_tick(hosts, now_ms);
    questions_tick(hosts, now_ms);
    status_check_silent(hosts, now_ms);
}

static const struct route routes[] = {
    {"GET", "/weft/v1/hosts", POLICY_ADMIN, list},
    {"POST", "/weft/v1/hosts", POLICY_ADMIN, create, .body_size = 64 << 10},
    {"GET", "/weft/v1/hosts/{name}", POLICY_ADMIN, show},
    {"PUT", "/weft/v1/hosts/{name}", POLICY_ADMIN, update, .body_size = 64 << 10},
    {"DELETE", "/weft/v1/hosts/{name}", POLICY_ADMIN, delete},
    {"POST", "/weft/v1/hosts/{name}/join_token", POLICY_ADMIN, renew_join_token},
    {"POST", "/weft/v1/hosts/{name}/join", POLICY_PUBLIC, join, .body_size = 16 << 10},
    {"POST", "/weft/v1/hosts/{name}/watch", POLICY_HOST, watch_start, .body_size = 16 << 20},
    {"PUT", "/weft/v1/hosts/{name}/status", POLICY_HOST, status_put, .body_size = 16 << 20},
    {"POST", "/weft/v1/hosts/{name}/answers/{id}", POLICY_HOST, questions_answer, .body_size = 16 << 20},
};

int hosts_new(struct api *api, struct hosts **ret_hosts)
{
    struct hosts *hosts = calloc(1, sizeof(*hosts));
    int r;

    if (!hosts)
        return -ENOMEM;
    hosts->api = api;
    hosts->started_ms = clock_monotonic_ms();
    hosts->listener = (struct replica_listener){.change = host_changed, .commit = watch_commit, .context = hosts};
    uv_timer_init(api->loop, &hosts->timer);
    hosts->timer.data = hosts;
    *ret_hosts = hosts;

    r = watch_init(hosts);
    if (r == 0)
        r = routes_add(api->service.routes, routes, ARRAY_SIZE(routes));
    if (r == 0)
        r = routes_add(api->service.routes, question_routes, n_question_routes);
    if (r == 0)
        r = routes_add(api->service.routes, connection_routes, n_connection_routes);
    if (r == 0)
        r = replica_follow(api->replica, "secret/host/", secret_arrived, hosts);
    if (r == 0)
        r = uv_timer_start(&hosts->timer, tick, 1000, 1000);
    replica_listen(api->replica, &hosts->listener);
    return r;
}

static void closed(uv_handle_t *handle)
{
    free(handle->data);
}

void hosts_free(struct hosts *hosts)
{
    if (!hosts)
        return;
    questions_clear(hosts);
    watch_clear(hosts);
    HASHMAP_FOREACH(node, &hosts->agents) {
        left_out_forget(hosts, CONTAINER_OF(node, struct agent, node));
        free(CONTAINER_OF(node, struct agent, node));
    }
    hashmap_clear(&hosts->agents);
    hashmap_clear(&hosts->left_out);
    uv_close((uv_handle_t *)&hosts->timer, closed);
}
