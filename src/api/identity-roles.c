/* Who has which role in which project. */
#include <stdio.h>
#include <string.h>

#include "weft/api/identity-state.h"
#include "weft/base/util.h"

static bool parts_exist(struct request *request, const char *project_id, const char *user_id, const char *role_id)
{
    static const enum record_kind kinds[] = {RECORD_PROJECT, RECORD_USER, RECORD_ROLE};
    const char *const ids[] = {project_id, user_id, role_id};

    for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
        if (ids[i] && !record_find(request_api(request)->identity, kinds[i], ids[i])) {
            request_fail(request, HTTP_NOT_FOUND, NULL, "Could not find %s: %.100s.", record_types[kinds[i]].name, ids[i]);
            return false;
        }
    return true;
}

static void changed(struct request *request, const struct store_result *result)
{
    if (commit_succeeded(request, result))
        request_respond(request, HTTP_NO_CONTENT, NULL);
}

/* PUT and DELETE.  Each part is required to exist still when the transaction commits. */
static void change(struct request *request)
{
    const char *project_id = request->parameters[0], *user_id = request->parameters[1], *role_id = request->parameters[2];
    bool add = streq(request->method, "PUT");
    _cleanup_(store_transaction_freep) struct store_transaction *transaction = NULL;
    const char *const ids[] = {project_id, user_id, role_id};
    static const enum record_kind kinds[] = {RECORD_PROJECT, RECORD_USER, RECORD_ROLE};
    char key[160];
    int r;

    if (!parts_exist(request, project_id, user_id, role_id))
        return;
    if (!add && !assignment_exists(request_api(request)->identity, project_id, user_id, role_id)) {
        request_fail(request, HTTP_NOT_FOUND, NULL, "Could not find role assignment with role: %.64s, user: %.64s, project: %.64s.", role_id,
                     user_id, project_id);
        return;
    }
    r = store_transaction_new(&transaction);
    for (size_t i = 0; r == 0 && i < ARRAY_SIZE(kinds); i++) {
        record_key(kinds[i], ids[i], key);
        r = store_require_exists(transaction, key, strlen(key));
    }
    if (r == 0)
        r = (add ? assignment_put : assignment_delete)(transaction, project_id, user_id, role_id);
    if (r < 0)
        commit_failed_to_build(request, r);
    else
        request_commit(request, TAKE_PTR(transaction), changed);
}

static void check(struct request *request)
{
    if (!parts_exist(request, request->parameters[0], request->parameters[1], request->parameters[2]))
        return;
    if (assignment_exists(request_api(request)->identity, request->parameters[0], request->parameters[1], request->parameters[2]))
        request_respond(request, HTTP_NO_CONTENT, NULL);
    else
        request_fail(request, HTTP_NOT_FOUND, NULL, "Could not find role assignment.");
}

static json_t *links(struct request *request)
{
    return json_pack("{s:o,s:n,s:n}", "self", json_sprintf("%s%s", request_public_url(request), request->path), "previous", "next");
}

static void list_roles(struct request *request)
{
    struct identity *identity = request_api(request)->identity;
    json_t *roles;

    if (!parts_exist(request, request->parameters[0], request->parameters[1], NULL))
        return;
    roles = json_array();
    HASHMAP_FOREACH(node, &identity->records[RECORD_ROLE]) {
        const struct record *role = CONTAINER_OF(node, struct record, by_id);

        if (assignment_exists(identity, request->parameters[0], request->parameters[1], role->id))
            json_array_append_new(roles, record_show(request, RECORD_ROLE, role));
    }
    request_respond(request, HTTP_OK, json_pack("{s:o,s:o}", "roles", roles, "links", links(request)));
}

static json_t *named(struct identity *identity, enum record_kind kind, const char *id, bool with_names)
{
    const struct record *record = record_find(identity, kind, id);
    json_t *json = json_pack("{s:s}", "id", id);

    if (with_names && record) {
        json_object_set_new(json, "name", json_string(record_text(record, "name")));
        if (kind != RECORD_ROLE) {
            const struct record *domain = record_find(identity, RECORD_DOMAIN, record_text(record, "domain_id"));

            json_object_set_new(json, "domain", json_pack("{s:s,s:s}", "id", domain ? domain->id : "", "name", domain ? record_text(domain, "name") : ""));
        }
    }
    return json;
}

static bool passes(const char *filter, const char *value)
{
    return !filter || streq(filter, value);
}

static void list_assignments(struct request *request)
{
    struct identity *identity = request_api(request)->identity;
    const char *user = request_query(request, "user.id"), *project = request_query(request, "scope.project.id");
    const char *role = request_query(request, "role.id");
    bool with_names = request_query(request, "include_names") && !streq(request_query(request, "include_names"), "0");
    bool other_scope = request_query(request, "scope.domain.id") || request_query(request, "scope.system") || request_query(request, "group.id");
    json_t *list;

    if (!request_auth(request)->is_admin && !(user && streq(user, request_auth(request)->user_id))) {
        request_fail(request, HTTP_FORBIDDEN, NULL, "You are not authorized to perform the requested action: identity:list_role_assignments.");
        return;
    }
    list = json_array();
    HASHMAP_FOREACH(node, &identity->assignments) {
        const struct assignment *assignment = CONTAINER_OF(node, struct assignment, node);

        if (other_scope || !passes(user, assignment->user) || !passes(project, assignment->scope) || !passes(role, assignment->role))
            continue;
        json_array_append_new(
            list, json_pack("{s:o,s:o,s:{s:o},s:{s:o}}", "role", named(identity, RECORD_ROLE, assignment->role, with_names), "user",
                            named(identity, RECORD_USER, assignment->user, with_names), "scope", "project",
                            named(identity, RECORD_PROJECT, assignment->scope, with_names), "links", "assignment",
                            json_sprintf("%s/identity/v3/projects/%s/users/%s/roles/%s", request_public_url(request), assignment->scope,
                                         assignment->user, assignment->role)));
    }
    request_respond(request, HTTP_OK, json_pack("{s:o,s:o}", "role_assignments", list, "links", links(request)));
}

static void user_projects(struct request *request)
{
    struct identity *identity = request_api(request)->identity;
    json_t *projects;

    if (!request_auth(request)->is_admin && !streq(request->parameters[0], request_auth(request)->user_id)) {
        request_fail(request, HTTP_FORBIDDEN, NULL, "You are not authorized to perform the requested action: identity:list_user_projects.");
        return;
    }
    if (!parts_exist(request, NULL, request->parameters[0], NULL))
        return;
    projects = json_array();
    HASHMAP_FOREACH(node, &identity->records[RECORD_PROJECT]) {
        const struct record *project = CONTAINER_OF(node, struct record, by_id);

        if (assigned_roles(identity, project->id, request->parameters[0]))
            json_array_append_new(projects, record_show(request, RECORD_PROJECT, project));
    }
    request_respond(request, HTTP_OK, json_pack("{s:o,s:o}", "projects", projects, "links", links(request)));
}

const struct route identity_role_routes[] = {
    {"PUT", "/projects/{project}/users/{user}/roles/{role}", POLICY_ADMIN, change},
    {"DELETE", "/projects/{project}/users/{user}/roles/{role}", POLICY_ADMIN, change},
    {"GET", "/projects/{project}/users/{user}/roles/{role}", POLICY_ADMIN, check},
    {"GET", "/projects/{project}/users/{user}/roles", POLICY_ADMIN, list_roles},
    {"GET", "/role_assignments", POLICY_TOKEN, list_assignments},
    {"GET", "/users/{user}/projects", POLICY_TOKEN, user_projects},
};
const size_t n_identity_role_routes = ARRAY_SIZE(identity_role_routes);
