#include "weft/api/quotas.h"

#include <errno.h>
#include <string.h>

#include "weft/api/balance-size.h"
#include "weft/api/networking.h"
#include "weft/api/quota.h"
#include "weft/api/replica.h"
#include "weft/base/util.h"
#include "weft/model/schema.h"

#define LIMIT_MAX INT32_MAX

static struct quota *quota_from(const struct request *request)
{
    return networking_quota(request_api(request)->networking);
}

static const struct quota_group *group_of(const struct request *request)
{
    return request->route->data;
}

/* Octavia's names: these two are called otherwise than the resources, which is their old name. */
static const char *other_name(enum resource_kind kind)
{
    return kind == RESOURCE_LOAD_BALANCER ? "load_balancer" : kind == RESOURCE_HEALTH_MONITOR ? "health_monitor" : NULL;
}

static json_t *encode(const struct quota_group *group, const struct quota_limits *limits)
{
    json_t *json = json_object();

    for (size_t i = 0; i < group->n_kinds; i++) {
        json_object_set_new(json, resource_name(group->kinds[i]), json_integer(limits->limits[group->kinds[i]]));
        if (other_name(group->kinds[i]))
            json_object_set_new(json, other_name(group->kinds[i]), json_integer(limits->limits[group->kinds[i]]));
    }
    if (group == &quota_load_balancing) { /* There are none, as many as one likes. */
        json_object_set_new(json, "l7policy", json_integer(-1));
        json_object_set_new(json, "l7rule", json_integer(-1));
    }
    return json;
}

/* Everyone may look at the own project's; only admins at others'.  Answers and returns NULL otherwise. */
static const char *readable_project(struct request *request)
{
    const char *project_id = request_parameter(request, "project");
    char key[QUOTA_KEY_SIZE];

    if (!request_auth(request)->is_admin && !streq(project_id, request_auth(request)->project_id)) {
        request_fail(request, HTTP_FORBIDDEN, "PolicyNotAuthorized", "The quota of project %.100s is only for administrators.",
                     project_id);
        return NULL;
    }
    if (quota_limits_key(group_of(request), project_id, key) < 0) {
        request_fail(request, HTTP_BAD_REQUEST, "HTTPBadRequest", "project: '%.100s' is not the id of a project", project_id);
        return NULL;
    }
    return project_id;
}

struct quota_list {
    const struct request *request;
    json_t *list;
};

static void add_to_list(const char *project_id, const struct quota_limits *limits, void *context)
{
    const struct quota_list *own = context;
    const struct auth_context *auth = request_auth(own->request);
    json_t *json;

    if (!auth->is_admin && !streq(auth->project_id, project_id))
        return;
    json = encode(group_of(own->request), limits);
    json_object_set_new(json, "project_id", json_string(project_id));
    json_object_set_new(json, "tenant_id", json_string(project_id));
    json_array_append_new(own->list, json);
}

void quotas_list(struct request *request)
{
    struct quota_list own = {request, json_array()};

    quota_foreach(quota_from(request), group_of(request), add_to_list, &own);
    request_respond(request, HTTP_OK, json_pack("{so}", "quotas", own.list));
}

static void respond_limits(struct request *request, const struct quota_limits *limits)
{
    request_respond(request, HTTP_OK, json_pack("{so}", "quota", encode(group_of(request), limits)));
}

void quotas_show(struct request *request)
{
    const char *project_id = readable_project(request);
    struct quota_limits limits;

    if (!project_id)
        return;
    limits = quota_of(quota_from(request), project_id);
    respond_limits(request, &limits);
}

void quotas_show_default(struct request *request)
{
    struct quota_limits limits = quota_defaults(quota_from(request));

    if (readable_project(request))
        respond_limits(request, &limits);
}

void quotas_show_defaults(struct request *request)
{
    struct quota_limits limits = quota_defaults(quota_from(request));

    respond_limits(request, &limits);
}

void quotas_show_details(struct request *request)
{
    const char *project_id = readable_project(request);
    struct quota_limits limits;
    json_t *json;

    if (!project_id)
        return;
    limits = quota_of(quota_from(request), project_id);
    json = json_object();
    for (size_t i = 0; i < group_of(request)->n_kinds; i++) {
        enum resource_kind kind = group_of(request)->kinds[i];
        const struct replica *replica = request_api(request)->replica;
        uint64_t n_used = kind == RESOURCE_BALANCE_ROWS ? balance_size_used(replica, project_id) : replica_count_by_project(replica, kind, project_id);

        json_object_set_new(json, resource_name(kind),
                            json_pack("{sIsIsI}", "limit", (json_int_t)limits.limits[kind], "used", (json_int_t)n_used, "reserved",
                                      (json_int_t)quota_reserved(quota_from(request), project_id, kind)));
    }
    request_respond(request, HTTP_OK, json_pack("{so}", "quota", json));
}

static void updated(struct request *request, const struct store_result *result)
{
    struct quota_limits limits = quota_of(quota_from(request), request_parameter(request, "project"));

    if (result->status == -EAGAIN)
        request_retry(request);
    else if (result->status < 0)
        request_fail(request, result->status == -EBUSY ? HTTP_UNAVAILABLE : HTTP_SERVER_ERROR, NULL, "The store could not write: %s.", strerror(-result->status));
    else if (streq(request->method, "DELETE"))
        request_respond(request, HTTP_NO_CONTENT, NULL);
    else
        respond_limits(request, &limits);
}

/* Takes the body's limits over into '*limits'.  Answers and returns -EINVAL for a wrong one. */
static int decode_limits(struct request *request, struct quota_limits *limits)
{
    const struct quota_limits defaults = quota_defaults(quota_from(request));
    const struct quota_group *group = group_of(request);
    json_t *body = json_object_get(request->body, "quota"), *value;
    char brief[120];
    const char *name;

    if (!json_is_object(body) || json_object_size(request->body) != 1) {
        request_fail(request, HTTP_BAD_REQUEST, "HTTPBadRequest", "The request body must be an object with exactly 'quota', an object.");
        return -EINVAL;
    }
    json_object_foreach (body, name, value) {
        bool known = false, is_reset = json_is_null(value) && group == &quota_load_balancing;

        for (size_t i = 0; i < group->n_kinds; i++)
            if (streq(resource_name(group->kinds[i]), name) || (other_name(group->kinds[i]) && streq(other_name(group->kinds[i]), name))) {
                known = true;
                limits->limits[group->kinds[i]] = is_reset ? defaults.limits[group->kinds[i]] : json_integer_value(value);
            }
        if (is_reset || (group == &quota_load_balancing && (streq(name, "l7policy") || streq(name, "l7rule"))))
            continue;
        if (!known && (streq(name, "tenant_id") || streq(name, "project_id")))
            continue;
        if (!known) {
            request_fail(request, HTTP_BAD_REQUEST, "HTTPBadRequest", "quota.%.100s: Unrecognized attribute(s) '%.100s'", name, name);
            return -EINVAL;
        }
        if (!json_is_integer(value) || json_integer_value(value) < -1 || json_integer_value(value) > LIMIT_MAX) {
            request_fail(request, HTTP_BAD_REQUEST, "HTTPBadRequest", "quota.%s: '%s' is not an integer from -1 (no limit) to %d", name,
                         json_brief(value, brief, sizeof brief), LIMIT_MAX);
            return -EINVAL;
        }
    }
    return 0;
}

static void commit(struct request *request, const struct quota_limits *limits)
{
    _cleanup_(store_transaction_freep) struct store_transaction *transaction = NULL;
    const char *project_id = request_parameter(request, "project");
    char key[QUOTA_KEY_SIZE], *text = NULL;
    json_t *json = limits ? encode(group_of(request), limits) : NULL;
    int r = quota_limits_key(group_of(request), project_id, key);

    if (r < 0) {
        json_decref(json);
        request_fail(request, HTTP_BAD_REQUEST, "HTTPBadRequest", "project: '%.100s' is not the id of a project", project_id);
        return;
    }
    if (limits && !(text = json_dumps(json, JSON_COMPACT)))
        r = -ENOMEM;
    if (r == 0)
        r = store_transaction_new(&transaction);
    if (r == 0)
        r = store_require_revision(transaction, key, strlen(key), quota_limits_revision(quota_from(request), group_of(request), project_id));
    if (r == 0)
        r = text ? store_put(transaction, key, strlen(key), text, strlen(text), 0) : store_delete(transaction, key, strlen(key));
    json_decref(json);
    free(text);
    if (r < 0)
        request_fail(request, HTTP_UNAVAILABLE, NULL, "Out of memory.");
    else
        request_commit(request, TAKE_PTR(transaction), updated);
}

void quotas_update(struct request *request)
{
    struct quota_limits limits = quota_of(quota_from(request), request_parameter(request, "project"));

    if (decode_limits(request, &limits) == 0)
        commit(request, &limits);
}

void quotas_delete(struct request *request)
{
    const char *project_id = request_parameter(request, "project");

    if (quota_limits_revision(quota_from(request), group_of(request), project_id) == 0)
        request_fail(request, HTTP_NOT_FOUND, "TenantQuotaNotFound", "Quota for tenant %.100s could not be found.", project_id);
    else
        commit(request, NULL);
}

void quotas_whose(struct request *request)
{
    const char *name = strrchr(request->path, '/') + 1;

    request_respond(request, HTTP_OK,
                    json_pack("{s{ssss}}", name, "tenant_id", request_auth(request)->project_id, "project_id", request_auth(request)->project_id));
}
