/* Domains, projects, users and roles: one set of handlers, told by the route which kind; users add a password. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "weft/api/identity-state.h"
#include "weft/base/util.h"
#include "weft/base/uuid.h"

static const enum record_kind domain_kind = RECORD_DOMAIN, project_kind = RECORD_PROJECT, user_kind = RECORD_USER, role_kind = RECORD_ROLE;

static enum record_kind kind_of(const struct request *request)
{
    return *(const enum record_kind *)request->route->data;
}

/* A change under way: what is to be stored. */
struct change {
    json_t *json;      /* The record after the change. */
    uint64_t revision; /* Of the record that 'json' was copied from; 0 of a new one. */
    bool is_new;
    int status;
};

static void change_free(void *state)
{
    struct change *change = state;

    json_decref(change->json);
    free(change);
}

json_t *record_show(struct request *request, enum record_kind kind, const struct record *record)
{
    json_t *shown = json_object();
    const char *name;
    json_t *value;

    json_object_foreach(record->json, name, value)
        if (name[0] != '_')
            json_object_set(shown, name, value);
    if (kind == RECORD_USER)
        json_object_set_new(shown, "password_expires_at", json_null());
    json_object_set_new(shown, "links", json_pack("{s:o}", "self", json_sprintf("%s/identity/v3/%s/%s", request_public_url(request),
                                                                              record_types[kind].collection, record->id)));
    return shown;
}

static const struct record *find_or_404(struct request *request, enum record_kind kind, const char *id)
{
    const struct record *record = record_find(request_api(request)->identity, kind, id);

    if (!record)
        request_fail(request, HTTP_NOT_FOUND, NULL, "Could not find %s: %.100s.", record_types[kind].name, id);
    return record;
}

/* --- Reading. --- */

static void show(struct request *request)
{
    enum record_kind kind = kind_of(request);
    struct identity *identity = request_api(request)->identity;
    const char *id = request->parameters[0];
    bool own = (kind == RECORD_USER && streq(id, request_auth(request)->user_id)) || kind == RECORD_DOMAIN ||
               (kind == RECORD_PROJECT && (streq(id, request_auth(request)->project_id) || assigned_roles(identity, id, request_auth(request)->user_id)));
    const struct record *record;

    if (!request_auth(request)->is_admin && !own) {
        request_fail(request, HTTP_FORBIDDEN, NULL, "You are not authorized to perform the requested action: identity:get_%s.", record_types[kind].name);
        return;
    }
    record = find_or_404(request, kind, id);
    if (record)
        request_respond(request, HTTP_OK, json_pack("{s:o}", record_types[kind].name, record_show(request, kind, record)));
}

/* "name=x&enabled=true&domain_id=default": what is an attribute filters; anything else Keystone ignores too. */
static bool passes_filters(const struct request *request, const struct record *record)
{
    for (size_t i = 0; i < request->n_query; i++) {
        const json_t *value = json_object_get(record->json, request->query[i].name);
        const char *wanted = request->query[i].value;

        if (request->query[i].name[0] == '_')
            continue; /* Not an attribute: what is compared here could be guessed. */
        if (json_is_string(value) && !streq(json_string_value(value), wanted))
            return false;
        if (json_is_boolean(value) && json_is_true(value) == (strcasecmp(wanted, "false") == 0 || streq(wanted, "0")))
            return false;
        if (!value && (streq(request->query[i].name, "name") || streq(request->query[i].name, "domain_id")))
            return false;
    }
    return true;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(record_text(*(const struct record *const *)a, "name"), record_text(*(const struct record *const *)b, "name"));
}

static void list(struct request *request)
{
    enum record_kind kind = kind_of(request);
    struct identity *identity = request_api(request)->identity;
    const struct record **found = calloc(identity->records[kind].n_nodes + 1, sizeof(*found));
    json_t *shown = json_array();
    size_t n = 0;

    HASHMAP_FOREACH(node, &identity->records[kind]) {
        const struct record *record = CONTAINER_OF(node, struct record, by_id);

        if (found && passes_filters(request, record))
            found[n++] = record;
    }
    if (n > 0)
        qsort(found, n, sizeof(*found), by_name);
    for (size_t i = 0; i < n; i++)
        json_array_append_new(shown, record_show(request, kind, found[i]));
    free(found);
    request_respond(request, HTTP_OK,
                    json_pack("{s:o,s:{s:o,s:n,s:n}}", record_types[kind].collection, shown, "links", "self",
                              json_sprintf("%s%s", request_public_url(request), request->path), "previous", "next"));
}

/* --- Writing. --- */

static void stored(struct request *request, const struct store_result *result)
{
    struct change *change = request->state;
    enum record_kind kind = kind_of(request);
    const char *id = json_string_value(json_object_get(change->json, "id"));
    const struct record *record;

    if (!commit_succeeded(request, result))
        return;
    record = record_find(request_api(request)->identity, kind, id);
    if (change->status == HTTP_NO_CONTENT)
        request_respond(request, HTTP_NO_CONTENT, NULL);
    else if (record)
        request_respond(request, change->status, json_pack("{s:o}", record_types[kind].name, record_show(request, kind, record)));
    else
        request_fail(request, HTTP_NOT_FOUND, NULL, "Could not find %s: %s.", record_types[kind].name, id);
}

static void store_change(struct request *request)
{
    struct identity *identity = request_api(request)->identity;
    struct change *change = request->state;
    enum record_kind kind = kind_of(request);
    const char *id = json_string_value(json_object_get(change->json, "id")), *name = json_string_value(json_object_get(change->json, "name"));
    const char *domain_id = json_string_value(json_object_get(change->json, "domain_id"));
    const struct record *before = record_find(identity, kind, id), *other = record_find_name(identity, kind, domain_id ? domain_id : "", name);
    _cleanup_(store_transaction_freep) struct store_transaction *transaction = NULL;
    char key[160];
    int r;

    if (other && !streq(other->id, id)) {
        request_fail(request, HTTP_CONFLICT, NULL, "Conflict occurred attempting to store %s - Duplicate entry found with name %.255s.",
                     record_types[kind].name, name);
        return;
    }
    if (!change->is_new && !before) {
        request_fail(request, HTTP_NOT_FOUND, NULL, "Could not find %s: %.100s.", record_types[kind].name, id);
        return;
    }
    record_key(kind, id, key);
    r = store_transaction_new(&transaction);
    if (r == 0)
        r = store_require_revision(transaction, key, strlen(key), change->revision);
    if (r == 0 && before && !streq(record_text(before, "name"), name))
        r = record_release_name(transaction, kind, before->json);
    if (r == 0 && (!before || !streq(record_text(before, "name"), name)))
        r = record_claim_name(transaction, kind, change->json);
    if (r == 0)
        r = record_put(transaction, kind, id, change->json);
    if (r < 0)
        commit_failed_to_build(request, r);
    else
        request_commit(request, TAKE_PTR(transaction), stored);
}

/* A changed password or a disabled user ends all tokens. */
static void end_tokens(json_t *json)
{
    json_object_set_new(json, "_generation", json_integer(json_integer_value(json_object_get(json, "_generation")) + 1));
}

static void hashed(int status, const char *hash, void *context)
{
    struct request *request = context;
    struct change *change = request->state;

    if (status < 0) {
        request_fail(request, HTTP_UNAVAILABLE, NULL, "There is no memory to hash the password: try again.");
        return;
    }
    json_object_set_new(change->json, "_password", json_string(hash));
    end_tokens(change->json);
    store_change(request);
}

static void hash_and_store(struct request *request, const char *password)
{
    struct identity *identity = request_api(request)->identity;

    if (password_hash(request_api(request)->loop, password, identity->options.cost, hashed, request) < 0)
        request_fail(request, HTTP_UNAVAILABLE, NULL, "Too many passwords are being hashed: try again.");
}

static int validate(enum record_kind kind, const json_t *given, bool is_new, struct error *error)
{
    const char *kind_name = record_types[kind].name, *name;
    const json_t *value;

    if (!json_is_object(given))
        return error_set(error, -EINVAL, kind_name, "an object is required");
    if (is_new && !json_object_get(given, "name"))
        return error_set(error, -EINVAL, "name", "is required");
    if (json_object_size(given) > 64)
        return error_set(error, -EINVAL, kind_name, "more than 64 attributes");

    json_object_foreach((json_t *)given, name, value) {
        size_t size = json_is_string(value) ? json_string_length(value) : 0;

        if (name[0] == '_')
            return error_set(error, -EINVAL, name, "is not an attribute");
        if (streq(name, "name") && (!json_is_string(value) || size == 0 || size > record_types[kind].name_size))
            return error_set(error, -EINVAL, "name", "a string of 1 to %zu bytes is required", record_types[kind].name_size);
        if (streq(name, "enabled") && !json_is_boolean(value))
            return error_set(error, -EINVAL, "enabled", "true or false is required");
        if (streq(name, "password") && !json_is_null(value) && (!json_is_string(value) || size == 0 || size > PASSWORD_MAX_SIZE))
            return error_set(error, -EINVAL, "password", "a string of 1 to %d bytes is required", PASSWORD_MAX_SIZE);
        if (streq(name, "description") && !json_is_null(value) && !json_is_string(value))
            return error_set(error, -EINVAL, "description", "a string is required");
        if ((streq(name, "domain_id") || streq(name, "default_project_id") || streq(name, "parent_id")) && !json_is_null(value) && !json_is_string(value))
            return error_set(error, -EINVAL, name, "a string is required");
        if (size > 4096)
            return error_set(error, -EINVAL, name, "is longer than 4096 bytes");
        if (streq(name, "options") && !(json_is_object(value) && json_object_size(value) == 0))
            return error_set(error, -EINVAL, "options", "no options are supported");
    }
    return 0;
}

/* Copies what a user may set; what the server decides is left out. */
static void take_attributes(json_t *record, const json_t *given)
{
    static const char *const not_taken[] = {"id", "links", "password", "original_password", "password_expires_at"};
    const char *name;
    json_t *value;

    json_object_foreach((json_t *)given, name, value) {
        bool take = true;

        for (size_t i = 0; i < ARRAY_SIZE(not_taken); i++)
            take = take && !streq(name, not_taken[i]);
        if (take && json_is_null(value))
            json_object_del(record, name);
        else if (take)
            json_object_set(record, name, value);
    }
}

/* Takes over 'json', a copy of 'before' (NULL: a new one).  Hashing a password takes a while: should 'before' change meanwhile, the
 * commit fails and the request runs again on what is there then. */
static struct change *begin(struct request *request, json_t *json, const struct record *before, int status)
{
    struct change *change = calloc(1, sizeof(*change));

    if (!change || !json) {
        free(change);
        json_decref(json);
        request_fail(request, HTTP_UNAVAILABLE, NULL, "out of memory");
        return NULL;
    }
    *change = (struct change){.json = json, .revision = before ? before->revision : 0, .is_new = !before, .status = status};
    request->state = change;
    request->free_state = change_free;
    return change;
}

static void create(struct request *request)
{
    enum record_kind kind = kind_of(request);
    struct identity *identity = request_api(request)->identity;
    const json_t *given = json_object_get(request->body, record_types[kind].name);
    const char *password = json_string_value(json_object_get(given, "password"));
    struct error error = {0};
    struct change *change;
    const char *domain_id;
    char id[33];

    if (validate(kind, given, true, &error) < 0) {
        request_fail_error(request, &error);
        return;
    }
    if (identity->records[kind].n_nodes >= MAX_RECORDS) {
        request_fail(request, HTTP_FORBIDDEN, NULL, "There are %d %s already.", MAX_RECORDS, record_types[kind].collection);
        return;
    }
    uuid_generate_hex(id);
    change = begin(request, json_pack("{s:s,s:b}", "id", id, "enabled", 1), NULL, HTTP_CREATED);
    if (!change)
        return;
    if (kind == RECORD_ROLE)
        json_object_del(change->json, "enabled");
    take_attributes(change->json, given);
    if (record_types[kind].is_in_domain && !json_object_get(change->json, "domain_id"))
        json_object_set_new(change->json, "domain_id", json_string("default"));
    if (!record_types[kind].is_in_domain)
        json_object_set_new(change->json, "domain_id", json_null());
    if (kind == RECORD_PROJECT) {
        json_object_set_new(change->json, "is_domain", json_false());
        if (!json_object_get(change->json, "parent_id"))
            json_object_set(change->json, "parent_id", json_object_get(change->json, "domain_id"));
        if (!json_object_get(change->json, "tags"))
            json_object_set_new(change->json, "tags", json_array());
    }
    if (kind != RECORD_USER && !json_object_get(change->json, "description"))
        json_object_set_new(change->json, "description", json_string(""));
    if (kind == RECORD_PROJECT || kind == RECORD_USER)
        json_object_set_new(change->json, "options", json_object());

    domain_id = json_string_value(json_object_get(change->json, "domain_id"));
    if (record_types[kind].is_in_domain && !record_find(identity, RECORD_DOMAIN, domain_id)) {
        request_fail(request, HTTP_NOT_FOUND, NULL, "Could not find domain: %.100s.", domain_id);
        return;
    }
    if (kind == RECORD_USER && password)
        hash_and_store(request, password);
    else
        store_change(request);
}

static void update(struct request *request)
{
    enum record_kind kind = kind_of(request);
    const json_t *given = json_object_get(request->body, record_types[kind].name);
    const char *password = json_string_value(json_object_get(given, "password")), *domain_id;
    const struct record *record = find_or_404(request, kind, request->parameters[0]);
    struct error error = {0};
    struct change *change;

    if (!record)
        return;
    if (validate(kind, given, false, &error) < 0) {
        request_fail_error(request, &error);
        return;
    }
    domain_id = json_string_value(json_object_get(given, "domain_id"));
    if (domain_id && !streq(domain_id, record_text(record, "domain_id"))) {
        request_fail(request, HTTP_BAD_REQUEST, NULL, "domain_id: cannot be changed to '%.64s'", domain_id);
        return;
    }
    change = begin(request, json_copy(record->json), record, HTTP_OK);
    if (!change)
        return;
    take_attributes(change->json, given);
    if (kind == RECORD_USER && json_is_false(json_object_get(change->json, "enabled")) && record_is_enabled(record))
        end_tokens(change->json);
    if (kind == RECORD_USER && password)
        hash_and_store(request, password);
    else
        store_change(request);
}

static void deleted(struct request *request, const struct store_result *result)
{
    if (commit_succeeded(request, result))
        request_respond(request, HTTP_NO_CONTENT, NULL);
}

static void delete(struct request *request)
{
    enum record_kind kind = kind_of(request);
    struct identity *identity = request_api(request)->identity;
    const struct record *record = find_or_404(request, kind, request->parameters[0]);
    _cleanup_(store_transaction_freep) struct store_transaction *transaction = NULL;
    char key[160];
    int r;

    if (!record)
        return;
    record_key(kind, record->id, key);
    r = store_transaction_new(&transaction);
    if (r == 0)
        r = store_require_revision(transaction, key, strlen(key), record->revision);
    if (r == 0)
        r = store_delete(transaction, key, strlen(key));
    if (r == 0)
        r = record_release_name(transaction, kind, record->json);
    HASHMAP_FOREACH(node, &identity->assignments) {
        const struct assignment *assignment = CONTAINER_OF(node, struct assignment, node);
        const char *part = kind == RECORD_PROJECT ? assignment->scope : kind == RECORD_USER ? assignment->user : assignment->role;

        if (r == 0 && streq(part, record->id))
            r = assignment_delete(transaction, assignment->scope, assignment->user, assignment->role);
    }
    if (r < 0)
        commit_failed_to_build(request, r);
    else
        request_commit(request, TAKE_PTR(transaction), deleted);
}

/* --- A user's own password. --- */

static void original_verified(int status, const char *hash, void *context)
{
    struct request *request = context;
    char key[FAILURES_KEY_SIZE];

    failures_key(request, request_auth(request)->user_id, key);
    if (status < 0) {
        failures_count(request_api(request)->identity, key);
        request_fail(request, HTTP_UNAUTHORIZED, NULL, "The request you have made requires authentication.");
        return;
    }
    failures_forget(request_api(request)->identity, key);
    hash_and_store(request, json_string_value(json_object_get(json_object_get(request->body, "user"), "password")));
}

static void change_password(struct request *request)
{
    struct identity *identity = request_api(request)->identity;
    const json_t *given = json_object_get(request->body, "user");
    const char *original = json_string_value(json_object_get(given, "original_password"));
    const char *password = json_string_value(json_object_get(given, "password"));
    const struct record *user = record_find(identity, RECORD_USER, request->parameters[0]);
    char key[FAILURES_KEY_SIZE];

    if (!original || !password || !*password || strlen(password) > PASSWORD_MAX_SIZE || strlen(original) > PASSWORD_MAX_SIZE) {
        request_fail(request, HTTP_BAD_REQUEST, NULL, "user.%s: a string of 1 to %d bytes is required", !original ? "original_password" : "password",
                     PASSWORD_MAX_SIZE);
        return;
    }
    if (!streq(request->parameters[0], request_auth(request)->user_id)) {
        request_fail(request, HTTP_FORBIDDEN, NULL, "Only a user changes the own password so; an administrator updates the user.");
        return;
    }
    /* Whoever found a token must not find the password with it: guesses count as at a login. */
    failures_key(request, request_auth(request)->user_id, key);
    if (failures_refuse(request, key))
        return;
    if (!user) {
        request_fail(request, HTTP_NOT_FOUND, NULL, "Could not find user: %.100s.", request->parameters[0]);
        return;
    }
    if (!begin(request, json_copy(user->json), user, HTTP_NO_CONTENT))
        return;
    if (password_verify(request_api(request)->loop, original, record_text(user, "_password")[0] ? record_text(user, "_password") : NULL,
                        identity->options.cost, original_verified, request) < 0)
        request_fail(request, HTTP_UNAVAILABLE, NULL, "Too many logins at once: try again.");
}

/* --- What the catalogue is made of, as resources: read only. --- */

static void services(struct request *request)
{
    json_t *all = catalogue(request), *found = json_array(), *service;
    const char *id = request->n_parameters ? request->parameters[0] : request_query(request, "id");
    const char *type = request_query(request, "type"), *name = request_query(request, "name");
    size_t i;

    json_array_foreach(all, i, service) {
        if ((id && !streq(id, json_string_value(json_object_get(service, "id")))) ||
            (type && !streq(type, json_string_value(json_object_get(service, "type")))) ||
            (name && !streq(name, json_string_value(json_object_get(service, "name")))))
            continue;
        json_object_del(service, "endpoints");
        json_object_set_new(service, "enabled", json_true());
        json_array_append(found, service);
    }
    json_decref(all);
    if (!request->n_parameters) {
        request_respond(request, HTTP_OK, json_pack("{s:o}", "services", found));
        return;
    }
    if (json_array_size(found))
        request_respond(request, HTTP_OK, json_pack("{s:O}", "service", json_array_get(found, 0)));
    else
        request_fail(request, HTTP_NOT_FOUND, NULL, "Could not find service: %.100s.", id);
    json_decref(found);
}

static void endpoints(struct request *request)
{
    json_t *all = catalogue(request), *found = json_array(), *service, *endpoint;
    const char *service_id = request_query(request, "service_id"), *interface = request_query(request, "interface");
    size_t i, j;

    json_array_foreach(all, i, service)
        json_array_foreach(json_object_get(service, "endpoints"), j, endpoint) {
            const char *its = json_string_value(json_object_get(service, "id"));

            if ((service_id && !streq(service_id, its)) || (interface && !streq(interface, json_string_value(json_object_get(endpoint, "interface")))))
                continue;
            json_object_set_new(endpoint, "service_id", json_string(its));
            json_object_set_new(endpoint, "enabled", json_true());
            json_array_append(found, endpoint);
        }
    json_decref(all);
    request_respond(request, HTTP_OK, json_pack("{s:o}", "endpoints", found));
}

#define BODY (64 << 10)

const struct route identity_resource_routes[] = {
    {"GET", "/domains", POLICY_TOKEN, list, &domain_kind},
    {"GET", "/domains/{id}", POLICY_TOKEN, show, &domain_kind},
    {"GET", "/projects", POLICY_ADMIN, list, &project_kind},
    {"POST", "/projects", POLICY_ADMIN, create, &project_kind, BODY},
    {"GET", "/projects/{id}", POLICY_TOKEN, show, &project_kind},
    {"PATCH", "/projects/{id}", POLICY_ADMIN, update, &project_kind, BODY},
    {"DELETE", "/projects/{id}", POLICY_ADMIN, delete, &project_kind},
    {"GET", "/users", POLICY_ADMIN, list, &user_kind},
    {"POST", "/users", POLICY_ADMIN, create, &user_kind, BODY},
    {"GET", "/users/{id}", POLICY_TOKEN, show, &user_kind},
    {"PATCH", "/users/{id}", POLICY_ADMIN, update, &user_kind, BODY},
    {"DELETE", "/users/{id}", POLICY_ADMIN, delete, &user_kind},
    {"POST", "/users/{id}/password", POLICY_TOKEN, change_password, &user_kind, BODY},
    {"GET", "/roles", POLICY_ADMIN, list, &role_kind},
    {"POST", "/roles", POLICY_ADMIN, create, &role_kind, BODY},
    {"GET", "/roles/{id}", POLICY_ADMIN, show, &role_kind},
    {"DELETE", "/roles/{id}", POLICY_ADMIN, delete, &role_kind},
    {"GET", "/services", POLICY_ADMIN, services},
    {"GET", "/services/{id}", POLICY_ADMIN, services},
    {"GET", "/endpoints", POLICY_ADMIN, endpoints},
};
const size_t n_identity_resource_routes = ARRAY_SIZE(identity_resource_routes);
