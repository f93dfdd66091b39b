/* identity/... in the store -> records, assignments, tokens in memory -> who a token is.
 *
 *     identity/project/<id>                        {"name", "domain_id", "enabled", ...}
 *     identity/user/<id>                           the same and "_password", "_generation"
 *     identity/role/<id>, identity/domain/<id>
 *     identity-name/<kind>/<domain>/<name>         the id: names are unique by create-if-absent
 *     identity/assignment/<scope>/<user>/<role>    scope is a project's id
 *     identity/token/<hash>                        {"user", "project", "expires_at_s", ...} */
#include "weft/api/identity.h"

#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "weft/api/commits.h"
#include "weft/api/identity-state.h"
#include "weft/api/replica.h"
#include "weft/base/clock.h"
#include "weft/base/log.h"
#include "weft/base/util.h"
#include "weft/http/routes.h"

#define SWEEP_MS 30000
#define SWEEP_REST_MS 1000
#define SWEEP_MAX 1000 /* Expired tokens deleted in one transaction. */

const struct record_type record_types[RECORD_N_KINDS] = {
    [RECORD_DOMAIN] = {"domain", "domains", false, 64},
    [RECORD_PROJECT] = {"project", "projects", true, 64},
    [RECORD_USER] = {"user", "users", true, 255},
    [RECORD_ROLE] = {"role", "roles", false, 255},
};

/* --- Lookups. --- */

struct record *record_find(const struct identity *identity, enum record_kind kind, const char *id)
{
    struct hashmap_node *node = hashmap_find(&identity->records[kind], id, strlen(id));

    return node ? CONTAINER_OF(node, struct record, by_id) : NULL;
}

struct record *record_find_name(const struct identity *identity, enum record_kind kind, const char *domain_id, const char *name)
{
    char key[400];
    int size = snprintf(key, sizeof(key), "%s/%s", record_types[kind].is_in_domain ? domain_id : "", name);
    struct hashmap_node *node = (size_t)size < sizeof(key) ? hashmap_find(&identity->names[kind], key, (size_t)size) : NULL;

    return node ? CONTAINER_OF(node, struct record, by_name) : NULL;
}

const char *record_text(const struct record *record, const char *attribute)
{
    const char *text = json_string_value(json_object_get(record->json, attribute));

    return text ? text : "";
}

bool record_is_enabled(const struct record *record)
{
    return !json_is_false(json_object_get(record->json, "enabled"));
}

uint64_t user_generation(const struct record *user)
{
    return (uint64_t)json_integer_value(json_object_get(user->json, "_generation"));
}

static size_t assignment_key(char key[3 * IDENTITY_ID_SIZE + 3], const char *scope, const char *user_id, const char *role_id)
{
    return (size_t)snprintf(key, 3 * IDENTITY_ID_SIZE + 3, "%.63s/%.63s/%.63s", scope, user_id, role_id);
}

bool assignment_exists(const struct identity *identity, const char *scope, const char *user_id, const char *role_id)
{
    char key[3 * IDENTITY_ID_SIZE + 3];
    size_t size = assignment_key(key, scope, user_id, role_id);

    return hashmap_find(&identity->assignments, key, size) != NULL;
}

uint32_t assigned_roles(const struct identity *identity, const char *scope, const char *user_id)
{
    static const struct {
        const char *name;
        uint32_t bit;
    } names[] = {{"reader", ROLE_READER}, {"member", ROLE_MEMBER}, {"admin", ROLE_ADMIN}};
    uint32_t roles = 0;

    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        const struct record *role = record_find_name(identity, RECORD_ROLE, "", names[i].name);

        if (role && assignment_exists(identity, scope, user_id, role->id))
            roles |= names[i].bit;
    }
    return roles;
}

bool identity_project_exists(const struct identity *identity, const char *project_id)
{
    return record_find(identity, RECORD_PROJECT, project_id) != NULL;
}

/* --- Tokens. --- */

void token_hash(const char *text, uint8_t hash[TOKEN_HASH_SIZE])
{
    crypto_generichash(hash, TOKEN_HASH_SIZE, (const unsigned char *)text, strlen(text), NULL, 0);
}

void token_key(const uint8_t hash[TOKEN_HASH_SIZE], char key[100])
{
    size_t size = (size_t)snprintf(key, 100, "identity/token/");

    sodium_bin2hex(key + size, 100 - size, hash, TOKEN_HASH_SIZE);
}

struct token *token_find(struct identity *identity, const char *text)
{
    uint8_t hash[TOKEN_HASH_SIZE];
    struct hashmap_node *node;

    if (strlen(text) != TOKEN_TEXT_SIZE - 1)
        return NULL;
    token_hash(text, hash);
    node = hashmap_find(&identity->tokens, hash, sizeof(hash));
    return node ? CONTAINER_OF(node, struct token, node) : NULL;
}

bool token_check(struct identity *identity, struct token *token)
{
    if (token->epoch != identity->epoch) {
        const struct record *user = record_find(identity, RECORD_USER, token->user_id);
        const struct record *project = token->project_id[0] ? record_find(identity, RECORD_PROJECT, token->project_id) : NULL;

        token->epoch = identity->epoch;
        token->roles = token->project_id[0] ? assigned_roles(identity, token->project_id, token->user_id) : 0;
        token->is_valid = user && record_is_enabled(user) && user_generation(user) == token->generation &&
                          (!token->project_id[0] || (project && record_is_enabled(project)));
    }
    return token->is_valid && token->expires_at_s > clock_realtime_s();
}

int identity_authenticate(struct identity *identity, const char *text, struct auth_context *auth, struct error *error)
{
    struct token *token;

    if (identity->api->no_auth) {
        const struct record *project = record_find_name(identity, RECORD_PROJECT, "default", "admin");
        const struct record *user = record_find_name(identity, RECORD_USER, "default", "admin");

        *auth = (struct auth_context){.roles = ROLE_ADMIN | ROLE_MEMBER | ROLE_READER, .is_admin = true};
        string_copy(auth->project_id, sizeof(auth->project_id), project ? project->id : "");
        string_copy(auth->user_id, sizeof(auth->user_id), user ? user->id : "");
        return 0;
    }
    token = text ? token_find(identity, text) : NULL;
    if (!token || !token_check(identity, token))
        return error_set_type(error, -EACCES, "HTTPUnauthorized", NULL, "The request you have made requires authentication.");

    *auth = (struct auth_context){.roles = token->roles, .is_admin = token->roles & ROLE_ADMIN, .token = token};
    string_copy(auth->user_id, sizeof(auth->user_id), token->user_id);
    string_copy(auth->project_id, sizeof(auth->project_id), token->project_id);
    return 0;
}

struct identity_counters identity_counters(const struct identity *identity)
{
    struct identity_counters counters = identity->counters;

    counters.n_tokens = identity->tokens.n_nodes;
    return counters;
}

/* --- From the store. --- */

static void record_free(struct identity *identity, enum record_kind kind, struct record *record)
{
    hashmap_remove(&identity->records[kind], &record->by_id);
    if (record->by_name.key)
        hashmap_remove(&identity->names[kind], &record->by_name);
    json_decref(record->json);
    free(record->name_key);
    free(record);
}

static void record_arrived(struct identity *identity, enum record_kind kind, const char *id, const struct store_item *item)
{
    struct record *record = record_find(identity, kind, id);
    json_t *json = item->value ? json_loadb(item->value, item->value_size, 0, NULL) : NULL;
    const char *name = json_string_value(json_object_get(json, "name")), *domain = json_string_value(json_object_get(json, "domain_id"));

    if (record)
        record_free(identity, kind, record);
    if (!name || strlen(id) >= IDENTITY_ID_SIZE) {
        json_decref(json);
        return;
    }
    record = calloc(1, sizeof(*record));
    if (!record || asprintf(&record->name_key, "%s/%s", record_types[kind].is_in_domain && domain ? domain : "", name) < 0)
        abort();
    string_copy(record->id, sizeof(record->id), id);
    record->json = json;
    record->revision = item->modify_revision;
    if (hashmap_insert(&identity->records[kind], &record->by_id, record->id, strlen(record->id)) < 0)
        abort();
    /* During one transaction two records may share a name for a moment (a rename and a creation): the later wins. */
    struct hashmap_node *other = hashmap_find(&identity->names[kind], record->name_key, strlen(record->name_key));
    if (other) {
        hashmap_remove(&identity->names[kind], other);
        other->key = NULL;
    }
    if (hashmap_insert(&identity->names[kind], &record->by_name, record->name_key, strlen(record->name_key)) < 0)
        abort();
}

/* "scope/user/role" */
static void assignment_arrived(struct identity *identity, const char *key, const struct store_item *item)
{
    struct hashmap_node *node = hashmap_find(&identity->assignments, key, strlen(key));
    struct assignment *assignment;

    if (!item->value) {
        if (node) {
            hashmap_remove(&identity->assignments, node);
            free(CONTAINER_OF(node, struct assignment, node));
        }
        return;
    }
    if (node)
        return;
    assignment = calloc(1, sizeof(*assignment) + strlen(key) + 1);
    if (!assignment)
        abort();
    strcpy(assignment->key, key);
    if (sscanf(key, "%63[^/]/%63[^/]/%63[^/]", assignment->scope, assignment->user, assignment->role) != 3 ||
        hashmap_insert(&identity->assignments, &assignment->node, assignment->key, strlen(assignment->key)) < 0)
        free(assignment);
}

static void token_arrived(struct identity *identity, const char *hex, const struct store_item *item)
{
    uint8_t hash[TOKEN_HASH_SIZE];
    struct hashmap_node *node;
    struct token *token;
    json_t *json;

    if (sodium_hex2bin(hash, sizeof(hash), hex, strlen(hex), NULL, NULL, NULL) != 0)
        return;
    node = hashmap_find(&identity->tokens, hash, sizeof(hash));
    if (!item->value) {
        if (node) {
            hashmap_remove(&identity->tokens, node);
            free(CONTAINER_OF(node, struct token, node));
        }
        return;
    }
    json = json_loadb(item->value, item->value_size, 0, NULL);
    if (node || !json) {
        json_decref(json);
        return; /* A token never changes. */
    }
    token = calloc(1, sizeof(*token));
    if (!token)
        abort();
    const char *user = json_string_value(json_object_get(json, "user")), *project = json_string_value(json_object_get(json, "project"));
    const char *audit = json_string_value(json_object_get(json, "audit_id"));

    memcpy(token->hash, hash, sizeof(hash));
    string_copy(token->user_id, sizeof(token->user_id), user ? user : "");
    string_copy(token->project_id, sizeof(token->project_id), project ? project : "");
    string_copy(token->audit_id, sizeof(token->audit_id), audit ? audit : "");
    token->issued_at_s = json_integer_value(json_object_get(json, "issued_at_s"));
    token->expires_at_s = json_integer_value(json_object_get(json, "expires_at_s"));
    token->generation = (uint64_t)json_integer_value(json_object_get(json, "generation"));
    token->by_token = json_is_true(json_object_get(json, "by_token"));
    json_decref(json);
    if (hashmap_insert(&identity->tokens, &token->node, token->hash, sizeof(token->hash)) < 0)
        abort();
}

static void key_arrived(const struct store_item *item, void *context)
{
    struct identity *identity = context;
    const char *rest = item->key + strlen("identity/");

    if (strncmp(rest, "token/", 6) == 0) {
        token_arrived(identity, rest + 6, item);
        return;
    }
    identity->epoch++;
    if (strncmp(rest, "assignment/", 11) == 0) {
        assignment_arrived(identity, rest + 11, item);
        return;
    }
    for (enum record_kind kind = 0; kind < RECORD_N_KINDS; kind++) {
        size_t size = strlen(record_types[kind].name);

        if (strncmp(rest, record_types[kind].name, size) == 0 && rest[size] == '/')
            record_arrived(identity, kind, rest + size + 1, item);
    }
}

/* --- To the store. --- */

void record_key(enum record_kind kind, const char *id, char key[160])
{
    snprintf(key, 160, "identity/%s/%s", record_types[kind].name, id);
}

static int name_key(enum record_kind kind, const json_t *json, char key[STORE_KEY_MAX_SIZE])
{
    const char *domain = json_string_value(json_object_get(json, "domain_id"));
    int size = snprintf(key, STORE_KEY_MAX_SIZE, "identity-name/%s/%s/%s", record_types[kind].name,
                        record_types[kind].is_in_domain && domain ? domain : "", json_string_value(json_object_get(json, "name")));

    return size < STORE_KEY_MAX_SIZE ? size : -E2BIG;
}

int record_put(struct store_transaction *transaction, enum record_kind kind, const char *id, json_t *json)
{
    _cleanup_(freep) char *text = json_dumps(json, JSON_COMPACT | JSON_SORT_KEYS);
    char key[160];

    if (!text)
        return -ENOMEM;
    record_key(kind, id, key);
    return store_put(transaction, key, strlen(key), text, strlen(text), 0);
}

int record_claim_name(struct store_transaction *transaction, enum record_kind kind, const json_t *json)
{
    char key[STORE_KEY_MAX_SIZE];
    const char *id = json_string_value(json_object_get(json, "id"));
    int size = name_key(kind, json, key), r;

    if (size < 0)
        return size;
    r = store_require_revision(transaction, key, (size_t)size, 0);
    return r < 0 ? r : store_put(transaction, key, (size_t)size, id, strlen(id), 0);
}

int record_release_name(struct store_transaction *transaction, enum record_kind kind, const json_t *json)
{
    char key[STORE_KEY_MAX_SIZE];
    int size = name_key(kind, json, key);

    return size < 0 ? size : store_delete(transaction, key, (size_t)size);
}

int assignment_put(struct store_transaction *transaction, const char *scope, const char *user_id, const char *role_id)
{
    char key[3 * IDENTITY_ID_SIZE + 40] = "identity/assignment/";
    size_t prefix = strlen(key), size = prefix + assignment_key(key + prefix, scope, user_id, role_id);

    return store_put(transaction, key, size, "{}", 2, 0);
}

int assignment_delete(struct store_transaction *transaction, const char *scope, const char *user_id, const char *role_id)
{
    char key[3 * IDENTITY_ID_SIZE + 40] = "identity/assignment/";
    size_t prefix = strlen(key), size = prefix + assignment_key(key + prefix, scope, user_id, role_id);

    return store_delete(transaction, key, size);
}

bool commit_succeeded(struct request *request, const struct store_result *result)
{
    if (result->status == 0)
        return true;
    if (result->status == -EAGAIN)
        request_retry(request);
    else
        request_fail(request, HTTP_UNAVAILABLE, NULL, "The store did not take the change: %s.", strerror(-result->status));
    return false;
}

int commit_failed_to_build(struct request *request, int code)
{
    request_fail(request, code == -E2BIG ? HTTP_TOO_LARGE : HTTP_UNAVAILABLE, NULL, "The change cannot be stored: %s.", strerror(-code));
    return code;
}

/* --- Expiry. --- */

static void swept(const struct store_result *result, void *context)
{
    if (result->status < 0)
        log_warning("identity: expired tokens were not removed: %s", strerror(-result->status));
}

static void sweep(uv_timer_t *timer)
{
    struct identity *identity = timer->data;
    _cleanup_(store_transaction_freep) struct store_transaction *transaction = NULL;
    size_t n = 0;
    char key[100];

    failures_sweep(identity);
    if (store_transaction_new(&transaction) < 0)
        return;
    HASHMAP_FOREACH(node, &identity->tokens) {
        struct token *token = CONTAINER_OF(node, struct token, node);

        if (n < SWEEP_MAX && !token_check(identity, token)) {
            token_key(token->hash, key);
            n += store_delete(transaction, key, strlen(key)) == 0;
        }
    }
    if (n > 0)
        commits_submit(identity->api->commits, TAKE_PTR(transaction), swept, identity);
    /* The rest soon: else whoever logs in more often than SWEEP_MAX in SWEEP_MS makes the store grow without end. */
    uv_timer_start(timer, sweep, n == SWEEP_MAX ? SWEEP_REST_MS : SWEEP_MS, SWEEP_MS);
}

/* --- Start and end. --- */

/* Each pattern is served under /identity/v3 and under /v3. */
static int add_routes(struct identity *identity)
{
    static const char *const prefixes[] = {"/identity/v3", "/v3"};
    const struct {
        const struct route *routes;
        size_t n;
    } tables[] = {{identity_token_routes, n_identity_token_routes},
                  {identity_resource_routes, n_identity_resource_routes},
                  {identity_role_routes, n_identity_role_routes}};
    size_t n = 0, at = 0;

    for (size_t i = 0; i < ARRAY_SIZE(tables); i++)
        n += tables[i].n;
    identity->routes = calloc(2 * n + 1, sizeof(*identity->routes));
    if (!identity->routes)
        return -ENOMEM;
    for (size_t p = 0; p < ARRAY_SIZE(prefixes); p++)
        for (size_t i = 0; i < ARRAY_SIZE(tables); i++)
            for (size_t j = 0; j < tables[i].n; j++) {
                char *pattern;

                if (asprintf(&pattern, "%s%s", prefixes[p], tables[i].routes[j].pattern) < 0)
                    return -ENOMEM;
                identity->routes[at] = tables[i].routes[j];
                identity->routes[at++].pattern = pattern;
            }
    return routes_add(identity->api->service.routes, identity->routes, at);
}

static void version_list(struct request *request);
static void version_show(struct request *request);

static const struct route version_routes[] = {
    {"GET", "/identity", POLICY_PUBLIC, version_list},
    {"GET", "/identity/v3", POLICY_PUBLIC, version_show},
    {"GET", "/v3", POLICY_PUBLIC, version_show},
};

static json_t *version(struct request *request, const char *path)
{
    char url[360];

    snprintf(url, sizeof(url), "%s%s/", request_public_url(request), path);
    return json_pack("{s:s,s:s,s:s,s:[{s:s,s:s}],s:[{s:s,s:s}]}", "id", "v3.14", "status", "stable", "updated", "2020-04-07T00:00:00Z", "links", "rel", "self",
                     "href", url, "media-types", "base", "application/json", "type", "application/vnd.openstack.identity-v3+json");
}

static void version_list(struct request *request)
{
    char url[360];

    snprintf(url, sizeof(url), "%s/identity/v3/", request_public_url(request));
    request_add_header(request, "Location", url);
    request_respond(request, HTTP_MULTIPLE_CHOICES, json_pack("{s{s[o]}}", "versions", "values", version(request, "/identity/v3")));
}

static void version_show(struct request *request)
{
    request_respond(request, HTTP_OK, json_pack("{so}", "version", version(request, request->path)));
}

int identity_new(struct api *api, const struct identity_options *options, struct identity **ret_identity)
{
    struct identity *identity;
    int r;

    if (sodium_init() < 0)
        return -ENOSYS;
    identity = calloc(1, sizeof(*identity));
    if (!identity)
        return -ENOMEM;
    identity->api = api;
    identity->options = *options;
    identity->epoch = 1;
    uv_timer_init(api->loop, &identity->sweep);
    identity->sweep.data = identity;
    *ret_identity = identity;

    r = routes_add(api->service.routes, version_routes, ARRAY_SIZE(version_routes));
    if (r == 0)
        r = add_routes(identity);
    if (r == 0)
        r = replica_follow(api->replica, "identity/", key_arrived, identity);
    if (r == 0)
        r = uv_timer_start(&identity->sweep, sweep, SWEEP_MS, SWEEP_MS);
    return r;
}

static void closed(uv_handle_t *handle)
{
    free(handle->data);
}

void identity_free(struct identity *identity)
{
    if (!identity)
        return;
    for (enum record_kind kind = 0; kind < RECORD_N_KINDS; kind++) {
        HASHMAP_FOREACH(node, &identity->records[kind])
            record_free(identity, kind, CONTAINER_OF(node, struct record, by_id));
        hashmap_clear(&identity->records[kind]);
        hashmap_clear(&identity->names[kind]);
    }
    HASHMAP_FOREACH(node, &identity->assignments)
        free(CONTAINER_OF(node, struct assignment, node));
    hashmap_clear(&identity->assignments);
    HASHMAP_FOREACH(node, &identity->tokens)
        free(CONTAINER_OF(node, struct token, node));
    hashmap_clear(&identity->tokens);
    failures_clear(identity);
    for (struct route *route = identity->routes; route && route->pattern; route++)
        free((char *)route->pattern);
    free(identity->routes);
    uv_close((uv_handle_t *)&identity->sweep, closed);
}
