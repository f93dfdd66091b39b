/* POST /auth/tokens: who (password off the loop, or token) -> for what project -> a token, stored -> the answer. */
#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "weft/api/identity-state.h"
#include "weft/base/clock.h"
#include "weft/base/log.h"
#include "weft/base/util.h"

struct login {
    char user_id[IDENTITY_ID_SIZE], project_id[IDENTITY_ID_SIZE];
    char failures_key[FAILURES_KEY_SIZE];
    uint64_t generation;  /* The user's when the credential was looked at: one that changed since is not good any more. */
    bool by_token;
    int64_t expires_at_s; /* Of the token it is made from; 0 otherwise. */
    char text[TOKEN_TEXT_SIZE];
    uint8_t hash[TOKEN_HASH_SIZE];
};

/* --- What a token looks like. --- */

static json_t *time_json(int64_t realtime_s)
{
    char text[TIME_TEXT_SIZE];

    time_format(realtime_s, text);
    text[strlen(text) - 1] = '\0';
    return json_sprintf("%s.000000Z", text);
}

json_t *catalogue(struct request *request)
{
    static const struct {
        const char *id, *type, *name, *path;
    } services[] = {{"10000000000000000000000000000001", "network", "neutron", ""},
                    {"10000000000000000000000000000002", "identity", "keystone", "/identity"},
                    {"10000000000000000000000000000003", "load-balancer", "octavia", "/load-balancer"}};
    static const char *const interfaces[] = {"public", "internal", "admin"};
    json_t *list = json_array();

    for (size_t i = 0; i < ARRAY_SIZE(services); i++) {
        json_t *endpoints = json_array();

        for (size_t j = 0; j < ARRAY_SIZE(interfaces); j++)
            json_array_append_new(endpoints,
                                  json_pack("{s:o,s:s,s:s,s:s,s:o}", "id", json_sprintf("2000000000000000000000000000%02zu%02zu", i, j),
                                            "interface", interfaces[j], "region", "regionOne", "region_id", "regionOne", "url",
                                            json_sprintf("%s%s", request_public_url(request), services[i].path)));
        json_array_append_new(list, json_pack("{s:s,s:s,s:s,s:o}", "id", services[i].id, "type", services[i].type, "name", services[i].name,
                                              "endpoints", endpoints));
    }
    return list;
}

static json_t *role_list(struct identity *identity, const char *scope, const char *user_id)
{
    json_t *roles = json_array();

    HASHMAP_FOREACH(node, &identity->records[RECORD_ROLE]) {
        const struct record *role = CONTAINER_OF(node, struct record, by_id);

        if (assignment_exists(identity, scope, user_id, role->id))
            json_array_append_new(roles, json_pack("{s:s,s:s}", "id", role->id, "name", record_text(role, "name")));
    }
    return roles;
}

static json_t *in_domain(struct identity *identity, const struct record *record)
{
    const char *domain_id = record ? record_text(record, "domain_id") : "";
    const struct record *domain = record_find(identity, RECORD_DOMAIN, domain_id);

    return json_pack("{s:s,s:s,s:{s:s,s:s}}", "id", record ? record->id : "", "name", record ? record_text(record, "name") : "", "domain",
                     "id", domain_id, "name", domain ? record_text(domain, "name") : "");
}

static json_t *token_show(struct request *request, const struct token *token)
{
    struct identity *identity = request_api(request)->identity;
    json_t *user = in_domain(identity, record_find(identity, RECORD_USER, token->user_id));
    json_t *methods = token->by_token ? json_pack("[s,s]", "token", "password") : json_pack("[s]", "password");
    json_t *shown = json_pack("{s:o,s:o,s:[s],s:o,s:o}", "methods", methods, "user", user, "audit_ids", token->audit_id, "expires_at",
                              time_json(token->expires_at_s), "issued_at", time_json(token->issued_at_s));

    json_object_set_new(user, "password_expires_at", json_null());
    if (token->project_id[0]) {
        json_object_set_new(shown, "project", in_domain(identity, record_find(identity, RECORD_PROJECT, token->project_id)));
        json_object_set_new(shown, "is_domain", json_false());
        json_object_set_new(shown, "roles", role_list(identity, token->project_id, token->user_id));
        if (!request_query(request, "nocatalog"))
            json_object_set_new(shown, "catalog", catalogue(request));
    }
    return json_pack("{s:o}", "token", shown);
}

/* --- Issue. --- */

static void unauthorized(struct request *request)
{
    request_fail(request, HTTP_UNAUTHORIZED, NULL, "The request you have made requires authentication.");
}

static void token_stored(struct request *request, const struct store_result *result)
{
    struct identity *identity = request_api(request)->identity;
    struct login *login = request->state;
    struct hashmap_node *node;

    if (!commit_succeeded(request, result))
        return;
    node = hashmap_find(&identity->tokens, login->hash, sizeof(login->hash));
    if (!node) {
        unauthorized(request); /* Revoked by a concurrent change of the user, already. */
        return;
    }
    identity->counters.n_logins++;
    request_add_header(request, "X-Subject-Token", login->text);
    request_add_header(request, "Vary", "X-Auth-Token");
    request_respond(request, HTTP_CREATED, token_show(request, CONTAINER_OF(node, struct token, node)));
}

/* A user who asks without end loses the oldest token, not the service. */
static int evict_oldest(struct identity *identity, const char *user_id, struct store_transaction *transaction)
{
    const struct token *oldest = NULL;
    size_t n = 0;
    char key[100];

    if (identity->tokens.n_nodes < MAX_TOKENS_PER_USER)
        return 0;
    HASHMAP_FOREACH(node, &identity->tokens) {
        const struct token *token = CONTAINER_OF(node, struct token, node);

        if (!streq(token->user_id, user_id))
            continue;
        n++;
        if (!oldest || token->issued_at_s < oldest->issued_at_s)
            oldest = token;
    }
    if (n < MAX_TOKENS_PER_USER)
        return 0;
    token_key(oldest->hash, key);
    return store_delete(transaction, key, strlen(key));
}

static void issue(struct request *request)
{
    struct identity *identity = request_api(request)->identity;
    struct login *login = request->state;
    const struct record *user = record_find(identity, RECORD_USER, login->user_id);
    _cleanup_(store_transaction_freep) struct store_transaction *transaction = NULL;
    unsigned char secret[32], audit[16];
    char key[100], audit_text[24], value[600], user_key[160];
    int64_t now_s = clock_realtime_s(), expires_at_s = now_s + (int64_t)identity->options.token_seconds;
    int r;

    if (!user || !record_is_enabled(user) || user_generation(user) != login->generation) {
        unauthorized(request);
        return;
    }
    if (login->expires_at_s)
        expires_at_s = MIN(expires_at_s, login->expires_at_s);
    randombytes_buf(secret, sizeof(secret));
    randombytes_buf(audit, sizeof(audit));
    sodium_bin2base64(login->text, sizeof(login->text), secret, sizeof(secret), sodium_base64_VARIANT_URLSAFE_NO_PADDING);
    sodium_bin2base64(audit_text, sizeof(audit_text), audit, sizeof(audit), sodium_base64_VARIANT_URLSAFE_NO_PADDING);
    sodium_memzero(secret, sizeof(secret));
    token_hash(login->text, login->hash);
    token_key(login->hash, key);
    record_key(RECORD_USER, user->id, user_key);
    snprintf(value, sizeof(value),
             "{\"user\":\"%s\",\"project\":\"%s\",\"issued_at_s\":%lld,\"expires_at_s\":%lld,\"generation\":%llu,\"audit_id\":\"%s\",\"by_token\":%s}",
             login->user_id, login->project_id, (long long)now_s, (long long)expires_at_s, (unsigned long long)user_generation(user),
             audit_text, login->by_token ? "true" : "false");

    r = store_transaction_new(&transaction);
    if (r == 0)
        r = store_require_exists(transaction, user_key, strlen(user_key));
    if (r == 0)
        r = store_put(transaction, key, strlen(key), value, strlen(value), 0);
    if (r == 0)
        r = evict_oldest(identity, login->user_id, transaction);
    if (r < 0) {
        commit_failed_to_build(request, r);
        return;
    }
    request_commit(request, TAKE_PTR(transaction), token_stored);
}

static void verified(int status, const char *hash, void *context)
{
    struct request *request = context;
    struct identity *identity = request_api(request)->identity;
    struct login *login = request->state;

    if (status < 0) {
        identity->counters.n_failed_logins++;
        failures_count(identity, login->failures_key);
        log_info("identity: a login from %s failed (%s)", request_client_address(request), request->id);
        unauthorized(request);
        return;
    }
    failures_forget(identity, login->failures_key);
    /* Known only now to whoever has the password. */
    if (login->project_id[0] && !assigned_roles(identity, login->project_id, login->user_id)) {
        unauthorized(request);
        return;
    }
    issue(request);
}

static const char *text_of(const json_t *object, const char *name)
{
    return json_string_value(json_object_get(object, name));
}

/* A user or project by "id", or by "name" and "domain" {"id"} or {"name"}.  'path' is for the error.  '*ret' may become NULL. */
static int find_named(struct identity *identity, enum record_kind kind, const json_t *json, const char *path, const struct record **ret,
                      struct error *error)
{
    const json_t *domain_json = json_object_get(json, "domain");
    const char *id = text_of(json, "id"), *name = text_of(json, "name");
    const char *domain_id = text_of(domain_json, "id"), *domain_name = text_of(domain_json, "name");

    *ret = NULL;
    if (!json_is_object(json))
        return error_set(error, -EINVAL, path, "an object is required");
    if (id) {
        *ret = record_find(identity, kind, id);
        return 0;
    }
    if (!name)
        return error_set(error, -EINVAL, path, "'id', or 'name' and 'domain', as strings, are required");
    if (!domain_id && !domain_name)
        return error_set(error, -EINVAL, path, "'domain' with 'id' or 'name' is required beside 'name'");
    if (!domain_id) {
        const struct record *domain = record_find_name(identity, RECORD_DOMAIN, "", domain_name);

        domain_id = domain ? domain->id : "";
    }
    *ret = record_find_name(identity, kind, domain_id, name);
    return 0;
}

/* "scope", or the user's default project without one. */
static int find_scope(struct identity *identity, const json_t *auth, const struct record *user, struct login *login, bool *ret_exists,
                      struct error *error)
{
    const json_t *scope = json_object_get(auth, "scope");
    const struct record *project = NULL;
    int r;

    *ret_exists = true;
    if (!scope) {
        const char *default_id = user ? record_text(user, "default_project_id") : "";

        project = record_find(identity, RECORD_PROJECT, default_id);
        if (project && record_is_enabled(project) && assigned_roles(identity, project->id, user->id))
            string_copy(login->project_id, sizeof(login->project_id), project->id);
        return 0;
    }
    if (json_is_string(scope) && streq(json_string_value(scope), "unscoped"))
        return 0;
    if (!json_is_object(scope))
        return error_set(error, -EINVAL, "auth.scope", "an object or \"unscoped\" is required");
    if (json_object_get(scope, "unscoped") && json_object_size(scope) == 1)
        return 0;
    if (!json_object_get(scope, "project"))
        return error_set(error, -EINVAL, "auth.scope", "only 'project' is supported");
    r = find_named(identity, RECORD_PROJECT, json_object_get(scope, "project"), "auth.scope.project", &project, error);
    if (r < 0)
        return r;
    *ret_exists = project && record_is_enabled(project);
    if (project)
        string_copy(login->project_id, sizeof(login->project_id), project->id);
    return 0;
}

static void login_free(void *state)
{
    sodium_memzero(state, sizeof(struct login));
    free(state);
}

static void login_by_token(struct request *request, const json_t *auth, struct login *login)
{
    struct identity *identity = request_api(request)->identity;
    const char *text = text_of(json_object_get(json_object_get(auth, "identity"), "token"), "id");
    struct error error = {0};
    struct token *token;
    bool exists;

    if (!text) {
        request_fail(request, HTTP_BAD_REQUEST, NULL, "auth.identity.token.id: a string is required");
        return;
    }
    token = token_find(identity, text);
    if (!token || !token_check(identity, token)) {
        unauthorized(request);
        return;
    }
    string_copy(login->user_id, sizeof(login->user_id), token->user_id);
    login->by_token = true;
    login->generation = token->generation;
    login->expires_at_s = token->expires_at_s;
    if (find_scope(identity, auth, record_find(identity, RECORD_USER, token->user_id), login, &exists, &error) < 0) {
        request_fail_error(request, &error);
        return;
    }
    if (!exists || (login->project_id[0] && !assigned_roles(identity, login->project_id, login->user_id))) {
        unauthorized(request);
        return;
    }
    issue(request);
}

static void login_by_password(struct request *request, const json_t *auth, struct login *login)
{
    struct identity *identity = request_api(request)->identity;
    const json_t *user_json = json_object_get(json_object_get(json_object_get(auth, "identity"), "password"), "user");
    const char *password = text_of(user_json, "password");
    const struct record *user = NULL;
    const char *hash;
    struct error error = {0};
    bool project_exists = false;
    int r;

    if (!password || strlen(password) > PASSWORD_MAX_SIZE) {
        request_fail(request, HTTP_BAD_REQUEST, NULL, "auth.identity.password.user.password: a string of at most %d bytes is required",
                     PASSWORD_MAX_SIZE);
        return;
    }
    r = find_named(identity, RECORD_USER, user_json, "auth.identity.password.user", &user, &error);
    if (r == 0)
        r = find_scope(identity, auth, user, login, &project_exists, &error);
    if (r < 0) {
        request_fail_error(request, &error);
        return;
    }
    if (user) {
        string_copy(login->user_id, sizeof(login->user_id), user->id);
        login->generation = user_generation(user);
    }
    failures_key(request, user ? user->id : text_of(user_json, "name") ? text_of(user_json, "name") : text_of(user_json, "id"),
                 login->failures_key);
    if (failures_refuse(request, login->failures_key))
        return;
    /* What is wrong beside the password is not told before the password was right, and takes as long. */
    hash = user && record_is_enabled(user) && project_exists && record_text(user, "_password")[0] ? record_text(user, "_password") : NULL;
    r = password_verify(request_api(request)->loop, password, hash, identity->options.cost, verified, request);
    if (r < 0)
        request_fail(request, HTTP_UNAVAILABLE, NULL, "Too many logins at once: try again.");
}

static void tokens_create(struct request *request)
{
    const json_t *auth = json_object_get(request->body, "auth"), *identity_json = json_object_get(auth, "identity");
    const json_t *methods = json_object_get(identity_json, "methods"), *method;
    struct login *login = calloc(1, sizeof(*login));
    size_t i;

    request->state = login;
    request->free_state = login_free;
    if (!login) {
        request_fail(request, HTTP_UNAVAILABLE, NULL, "out of memory");
        return;
    }
    if (!json_is_object(auth) || !json_is_object(identity_json)) {
        request_fail(request, HTTP_BAD_REQUEST, NULL, "%s: an object is required", json_is_object(auth) ? "auth.identity" : "auth");
        return;
    }
    if (!json_is_array(methods) || json_array_size(methods) == 0) {
        request_fail(request, HTTP_BAD_REQUEST, NULL, "auth.identity.methods: a list of \"password\" or \"token\" is required");
        return;
    }
    json_array_foreach(methods, i, method) {
        const char *name = json_string_value(method);

        if (!name || (!streq(name, "password") && !streq(name, "token"))) {
            request_fail(request, name ? HTTP_UNAUTHORIZED : HTTP_BAD_REQUEST, NULL,
                         "auth.identity.methods[%zu]: '%.100s' is not one of password, token", i, name ? name : "");
            return;
        }
    }
    if (json_array_size(methods) > 1) {
        request_fail(request, HTTP_BAD_REQUEST, NULL, "auth.identity.methods: one method is supported at a time");
        return;
    }
    if (streq(json_string_value(json_array_get(methods, 0)), "token"))
        login_by_token(request, auth, login);
    else
        login_by_password(request, auth, login);
}

/* --- Look at and revoke. --- */

/* The token in X-Subject-Token; whoever asks owns it or is an administrator. */
static struct token *subject(struct request *request)
{
    const char *text = request_header(request, "X-Subject-Token");
    struct token *token;

    if (!text) {
        request_fail(request, HTTP_BAD_REQUEST, NULL, "X-Subject-Token: the header is required");
        return NULL;
    }
    token = token_find(request_api(request)->identity, text);
    if (!token || !token_check(request_api(request)->identity, token)) {
        request_fail(request, HTTP_NOT_FOUND, NULL, "This is not a recognized token.");
        return NULL;
    }
    if (!request_auth(request)->is_admin && !streq(token->user_id, request_auth(request)->user_id)) {
        request_fail(request, HTTP_FORBIDDEN, NULL, "The token belongs to somebody else.");
        return NULL;
    }
    return token;
}

static void tokens_show(struct request *request)
{
    struct token *token = subject(request);

    if (!token)
        return;
    request_add_header(request, "X-Subject-Token", request_header(request, "X-Subject-Token"));
    request_add_header(request, "Vary", "X-Auth-Token");
    request_respond(request, HTTP_OK, token_show(request, token));
}

static void token_deleted(struct request *request, const struct store_result *result)
{
    if (commit_succeeded(request, result))
        request_respond(request, HTTP_NO_CONTENT, NULL);
}

static void tokens_delete(struct request *request)
{
    struct token *token = subject(request);
    _cleanup_(store_transaction_freep) struct store_transaction *transaction = NULL;
    char key[100];
    int r;

    if (!token)
        return;
    token_key(token->hash, key);
    r = store_transaction_new(&transaction);
    if (r == 0)
        r = store_delete(transaction, key, strlen(key));
    if (r < 0)
        commit_failed_to_build(request, r);
    else
        request_commit(request, TAKE_PTR(transaction), token_deleted);
}

static void auth_projects(struct request *request)
{
    struct identity *identity = request_api(request)->identity;
    json_t *projects = json_array();

    HASHMAP_FOREACH(node, &identity->records[RECORD_PROJECT]) {
        const struct record *project = CONTAINER_OF(node, struct record, by_id);

        if (record_is_enabled(project) && assigned_roles(identity, project->id, request_auth(request)->user_id))
            json_array_append_new(projects, record_show(request, RECORD_PROJECT, project));
    }
    request_respond(request, HTTP_OK, json_pack("{s:o,s:{s:o,s:n,s:n}}", "projects", projects, "links", "self",
                                                json_sprintf("%s%s", request_public_url(request), request->path), "previous", "next"));
}

static void auth_domains(struct request *request)
{
    request_respond(request, HTTP_OK, json_pack("{s:[],s:{s:o,s:n,s:n}}", "domains", "links", "self",
                                                json_sprintf("%s%s", request_public_url(request), request->path), "previous", "next"));
}

static void auth_catalog(struct request *request)
{
    request_respond(request, HTTP_OK, json_pack("{s:o,s:{s:o,s:n,s:n}}", "catalog", catalogue(request), "links", "self",
                                                json_sprintf("%s%s", request_public_url(request), request->path), "previous", "next"));
}

const struct route identity_token_routes[] = {
    {"POST", "/auth/tokens", POLICY_PUBLIC, tokens_create, .body_size = 64 << 10},
    {"GET", "/auth/tokens", POLICY_TOKEN, tokens_show},
    {"DELETE", "/auth/tokens", POLICY_TOKEN, tokens_delete},
    {"GET", "/auth/projects", POLICY_TOKEN, auth_projects},
    {"GET", "/auth/domains", POLICY_TOKEN, auth_domains},
    {"GET", "/auth/catalog", POLICY_PROJECT, auth_catalog},
};
const size_t n_identity_token_routes = ARRAY_SIZE(identity_token_routes);
