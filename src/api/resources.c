/* Show, create, update and delete of any resource.  Listing is in listing.c. */
#include "weft/api/resources.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "weft/base/util.h"
#include "weft/base/uuid.h"

static const struct resource *resource_of(const struct request *request)
{
    return request->route->data;
}

bool resource_is_own(const struct request *request, const struct object *object)
{
    return request_auth(request)->is_admin || (object->project_id[0] && streq(object->project_id, request_auth(request)->project_id));
}

bool resource_is_visible(const struct resource *resource, const struct request *request, const struct object *object)
{
    if (resource->parent && !streq(resource->parent_id(object), request_parameter(request, "parent")))
        return false;
    return resource_is_own(request, object) || (resource->is_visible && resource->is_visible(request, object));
}

bool resource_check_parent(struct request *request)
{
    const struct resource *parent = resource_of(request)->parent;
    struct error error = {0};

    if (!parent || resource_find(parent, request, request_parameter(request, "parent"), &error))
        return true;
    request_fail_error(request, &error);
    return false;
}

bool change_gives(const struct change *change, const char *name)
{
    const struct attribute *table = change->resource->schema->attributes;

    for (size_t i = 0; table[i].name; i++)
        if (streq(table[i].name, name))
            return change->given >> i & 1;
    return false;
}

int change_check_network_owner(struct change *change, const struct network *network)
{
    const struct attribute *table = change->resource->schema->attributes;

    if (resource_is_own(change->request, &network->object))
        return 0;
    for (size_t i = 0; table[i].name; i++)
        if ((change->given >> i & 1) && (table[i].flags & ATTRIBUTE_NETWORK_OWNER) &&
            (change->before || !attribute_is_default(&table[i], change->after)))
            return error_set_type(change->error, -EPERM, "PolicyNotAuthorized", table[i].name,
                                  "only an administrator or the owner of network %s may set it", network->object.id);
    return 0;
}

const struct network *change_find_network(struct change *change, const char *id)
{
    return (const struct network *)resource_find(&network_resource, change->request, id, change->error);
}

const struct object *resource_find(const struct resource *resource, const struct request *request, const char *id, struct error *error)
{
    const struct object *object = replica_get(request_api(request)->replica, resource->schema->kind, id);

    if (object && resource_is_visible(resource, request, object))
        return object;
    error_set_type(error, -ENOENT, resource->not_found, NULL, "%s %.200s could not be found.", resource->title, id);
    return NULL;
}

const json_t *change_value(const struct change *change, const char *name)
{
    return json_object_get(change->body, name);
}

/* The object that the path names, if this request may see it; otherwise answers. */
const struct object *resource_find_or_fail(struct request *request)
{
    const struct resource *resource = resource_of(request);
    const char *id = request_parameter(request, "id");
    const struct object *object = replica_get(request_api(request)->replica, resource->schema->kind, id);

    if (!resource_check_parent(request))
        return NULL;
    if (object && resource_is_visible(resource, request, object))
        return object;
    request_fail(request, HTTP_NOT_FOUND, resource->not_found, "%s %.200s could not be found.", resource->title, id);
    return NULL;
}

const char *listed_project(const struct request *request)
{
    const struct auth_context *auth = request_auth(request);
    const char *project_id = request_query(request, "project_id");

    if (!project_id)
        project_id = request_query(request, "tenant_id");
    if (!project_id)
        return auth->project_id;
    if (!*project_id || strlen(project_id) >= sizeof auth->project_id || (!auth->is_admin && !streq(project_id, auth->project_id)))
        return NULL;
    for (const char *next = project_id; *next; next++)
        if ((unsigned char)*next <= ' ' || *next == '/' || *next == 0x7f)
            return NULL;
    return project_id;
}

void resource_respond(struct request *request, int status, const struct object *object)
{
    const struct resource *resource = resource_of(request);
    struct buffer buffer = {0};
    struct view view;
    int r;

    view_prepare(&view, resource, request);
    r = buffer_printf(&buffer, "{\"%s\":", resource->schema->name);
    if (r == 0)
        r = view_write(&view, resource, request, object, &buffer);
    if (r == 0)
        r = buffer_append(&buffer, "}", 1);
    respond_buffer(request, status, &buffer, r);
}

void resource_show(struct request *request)
{
    const struct object *object = resource_find_or_fail(request);

    if (object)
        resource_respond(request, HTTP_OK, object);
}

/* Answers an error whose field is inside 'where' ("port", "ports[3]"). */
static void fail_at(struct request *request, struct error *error, const char *where)
{
    if (error->field[0])
        error_prefix_field(error, "%s", where);
    request_fail_error(request, error);
}

/* "tenant_id" is how "project_id" was once called. */
static const char *current_name(const char *key)
{
    return streq(key, "tenant_id") ? "project_id" : key;
}

static const struct computed *computed_find(const struct resource *resource, const char *name)
{
    for (const struct computed *computed = resource->computed; computed->name; computed++)
        if (streq(computed->name, name))
            return computed;
    return NULL;
}

/* May a body give it, by its flags? */
static int check_may_give(const struct change *change, const char *key, uint32_t flags)
{
    if (flags & (change->before ? ATTRIBUTE_PUT : ATTRIBUTE_POST))
        return 0;
    return error_set(change->error, -EINVAL, key,
                     flags & ATTRIBUTE_WRITE ? !change->before ? "it can only be changed, not given at creation"
                                                               : "it can only be given at creation"
                                             : "it is read-only and cannot be given");
}

/* The computed attributes are the hooks' to read; here is who may give them. */
static int check_computed(struct change *change)
{
    for (const struct computed *computed = change->resource->computed; computed->name; computed++) {
        bool is_given = change_value(change, computed->name) != NULL;

        if (!is_given && !change->before && (computed->flags & ATTRIBUTE_REQUIRED))
            return error_set(change->error, -EINVAL, computed->name, "Required attribute '%s' not specified", computed->name);
        if (is_given && (computed->flags & ATTRIBUTE_ADMIN_WRITE) && !request_auth(change->request)->is_admin)
            return error_set_type(change->error, -EPERM, "PolicyNotAuthorized", computed->name, "only an administrator may set it");
    }
    return 0;
}

/* What decoding failed with, in the resource's own words if it has any. */
static int refuse(struct change *change, const char *name, const json_t *value, int r)
{
    struct error error = {0};

    if (r != -EINVAL || !change->resource->refuse || change->resource->refuse(name, value, &error) == 0)
        return r;
    *change->error = error;
    return error.code;
}

/* Reads the body's attributes into change->after. */
static int decode(struct change *change, const json_t *json)
{
    const struct attribute *table = change->resource->schema->attributes, *attribute;
    const struct computed *computed;
    bool create = !change->before;
    const char *key, *name;
    json_t *value;
    char brief[120];
    int r;

    if (!json_is_object(json))
        return error_set(change->error, -EINVAL, "", "'%s' is not an object", json_brief(json, brief, sizeof brief));
    change->body = json;
    json_object_foreach ((json_t *)json, key, value) {
        name = current_name(key);
        attribute = attribute_find(table, name);
        if (!attribute || (attribute->flags & ATTRIBUTE_INTERNAL)) {
            if (!(computed = computed_find(change->resource, name)))
                return error_set(change->error, -EINVAL, key, "Unrecognized attribute(s) '%.100s'", key);
            if ((r = check_may_give(change, key, computed->flags)) < 0)
                return r;
            continue;
        }
        if ((r = check_may_give(change, key, attribute->flags)) < 0)
            return r;
        if (change->given >> (attribute - table) & 1 && !streq(change->after->project_id, json_string_value(value) ?: ""))
            return error_set(change->error, -EINVAL, key, "tenant_id and project_id differ");
        if ((r = attribute_decode(attribute, value, change->after, DECODE_REQUEST, change->error)) < 0)
            return refuse(change, name, value, r);
        change->given |= UINT64_C(1) << (attribute - table);
    }
    for (attribute = table; attribute->name && create; attribute++)
        if ((attribute->flags & ATTRIBUTE_REQUIRED) && !(change->given >> (attribute - table) & 1))
            return error_set(change->error, -EINVAL, attribute->name, "Required attribute '%s' not specified", attribute->name);
    for (attribute = table; attribute->name && !request_auth(change->request)->is_admin; attribute++)
        if ((change->given >> (attribute - table) & 1) && (attribute->flags & ATTRIBUTE_ADMIN_WRITE) &&
            !(create && attribute_is_default(attribute, change->after)))
            return error_set_type(change->error, -EPERM, "PolicyNotAuthorized", attribute->name,
                                  "only an administrator may set it");
    return check_computed(change);
}

/* Whose it is: the asking project's, or for an admin whoever the body says. */
static int set_project(struct change *change)
{
    const struct auth_context *auth = request_auth(change->request);

    if (!change->after->project_id[0])
        string_copy(change->after->project_id, sizeof change->after->project_id, auth->project_id);
    for (const char *next = change->after->project_id; *next; next++)
        if ((unsigned char)*next <= ' ' || *next == '/' || *next == 0x7f)
            return error_set(change->error, -EINVAL, "project_id", "'%s' is not the id of a project", change->after->project_id);
    if (!auth->is_admin && !streq(change->after->project_id, auth->project_id))
        return error_set(change->error, -EINVAL, "project_id",
                         "'%s' is another project than the token's, which only an administrator may name",
                         change->after->project_id);
    return 0;
}

/* A new id; of ports the first 11 characters name the tap, so these must be unused too.  Looked up here only: 40 random
 * bits given out by two servers within one round trip to the store are equal once in 10^12 pairs of requests, and
 * then both ports still work, unless the same host has both. */
void resource_new_id(const struct request *request, struct object *object)
{
    do
        uuid_generate(object->id);
    while (object->kind == RESOURCE_PORT && replica_port_by_tap(request_api(request)->replica, object->id));
}

static int create_one(struct plan *plan, struct request *request, const struct resource *resource, const struct object *owner, const json_t *json,
                      const struct object **ret_object, struct error *error)
{
    struct change change = {
        .request = request,
        .networking = request_api(request)->networking,
        .plan = plan,
        .resource = resource,
        .owner = owner,
        .after = object_new(resource->schema->kind),
        .error = error,
    };
    int r;

    if (!change.after)
        return -ENOMEM;
    resource_new_id(request, change.after);
    if ((r = plan_create(plan, change.after)) < 0)
        return r;
    if (owner)
        string_copy(change.after->project_id, sizeof change.after->project_id, owner->project_id);
    if ((r = decode(&change, json)) < 0 || (r = set_project(&change)) < 0)
        return r;
    if ((r = resource->create(&change)) < 0)
        return r;
    r = plan_reserve_quota(plan, change.after);
    if (r == -ENOSPC && resource->quota_title)
        return error_set_type(error, -EPERM, "QuotaException", NULL, "Quota has been met for resources: %s", resource->quota_title);
    if (r == -ENOSPC)
        return error_set_type(error, -EBUSY, "OverQuota", NULL, "Quota exceeded for resources: ['%s'].", resource->schema->name);
    if (r == 0 && ret_object)
        *ret_object = change.after;
    return r;
}

int change_create_part(struct change *change, const struct resource *resource, const struct object *owner, const json_t *json,
                       const struct object **ret_object)
{
    return create_one(change->plan, change->request, resource, owner, json, ret_object, change->error);
}

int change_update_part(struct change *change, const struct resource *resource, const struct object *owner, const struct object *before,
                       const json_t *json)
{
    struct change part = {
        .request = change->request,
        .networking = change->networking,
        .plan = change->plan,
        .resource = resource,
        .owner = owner,
        .before = before,
        .after = plan_edit(change->plan, before),
        .error = change->error,
    };
    int r = part.after ? decode(&part, json) : -ENOMEM;

    return r == 0 ? resource->update(&part) : r;
}

/* The body's list of new objects; NULL when it is of one.  A resource may be called the same in both. */
static const json_t *list_of(const struct request *request, const struct resource *resource)
{
    const json_t *list = json_object_get(request->body, resource->schema->collection);

    return streq(resource->schema->collection, resource->schema->name) && !json_is_array(list) ? NULL : list;
}

static void created(struct plan *plan, struct request *request)
{
    const struct resource *resource = resource_of(request);
    bool bulk = list_of(request, resource) != NULL;
    struct buffer buffer = {0};
    const struct object *object = NULL;
    struct view view;
    int r;

    if (!bulk) {
        resource_respond(request, HTTP_CREATED, plan_created(plan, resource->schema->kind, NULL));
        return;
    }
    view_prepare(&view, resource, request);
    r = buffer_printf(&buffer, "{\"%s\":[", resource->schema->collection);
    for (bool first = true; r == 0 && (object = plan_created(plan, resource->schema->kind, object)); first = false) {
        r = first ? 0 : buffer_append(&buffer, ",", 1);
        if (r == 0)
            r = view_write(&view, resource, request, object, &buffer);
    }
    if (r == 0)
        r = buffer_append(&buffer, "]}", 2);
    respond_buffer(request, HTTP_CREATED, &buffer, r);
}

void change_fail(struct request *request, int r, struct error *error, const char *where)
{
    if (!error->code)
        error_set(error, r, NULL, r == -ENOMEM ? "Out of memory." : "%s", strerror(-r));
    fail_at(request, error, where);
}

void resource_create(struct request *request)
{
    const struct resource *resource = resource_of(request);
    const char *name = resource->schema->name, *collection = resource->schema->collection;
    const json_t *many = list_of(request, resource), *one = many ? NULL : json_object_get(request->body, name);
    struct error error = {0};
    char where[64];
    struct plan *plan;
    int r = 0;

    if (!resource_check_parent(request))
        return;
    if (!request->body || (!one && !many) || json_object_size(request->body) != 1) {
        request_fail(request, HTTP_BAD_REQUEST, "HTTPBadRequest", "The request body must be an object with exactly one of '%s' and '%s'.",
                     name, collection);
        return;
    }
    if (many && !json_is_array(many)) {
        request_fail(request, HTTP_BAD_REQUEST, "HTTPBadRequest", "%s: it is not a list", collection);
        return;
    }
    if (many && json_array_size(many) == 0) {
        request_fail(request, HTTP_BAD_REQUEST, "HTTPBadRequest", "%s: the list is empty", collection);
        return;
    }
    if (!(plan = plan_new(request, request_api(request)->networking))) {
        request_fail(request, HTTP_UNAVAILABLE, NULL, "Out of memory.");
        return;
    }
    snprintf(where, sizeof where, "%s", name);
    if (one)
        r = create_one(plan, request, resource, NULL, one, NULL, &error);
    for (size_t i = 0; many && i < json_array_size(many) && r == 0 && !plan_has_failed(plan); i++) {
        snprintf(where, sizeof where, "%s[%zu]", collection, i);
        r = create_one(plan, request, resource, NULL, json_array_get(many, i), NULL, &error);
    }
    if (r < 0)
        change_fail(request, r, &error, where);
    else
        plan_commit(plan, created);
}

/* If-Match: revision_number=N.  0, or -1 after having answered. */
static int check_if_match(struct request *request, const struct object *object)
{
    const char *header = request_header(request, "If-Match");
    uint64_t wanted;

    if (!header)
        return 0;
    if (strncmp(header, "revision_number=", 16) || parse_u64(header + 16, 0, UINT64_MAX, &wanted) < 0) {
        request_fail(request, HTTP_BAD_REQUEST, "HTTPBadRequest", "If-Match: '%.100s' is not 'revision_number=' and a number", header);
        return -1;
    }
    if (wanted == object->revision_number)
        return 0;
    request_fail(request, HTTP_PRECONDITION_FAILED, "RevisionNumberConstraintFailed",
                 "Constrained to %llu, but current revision is %llu", (unsigned long long)wanted,
                 (unsigned long long)object->revision_number);
    return -1;
}

void resource_updated(struct plan *plan, struct request *request)
{
    const struct resource *resource = resource_of(request);
    const struct object *object = replica_get(request_api(request)->replica, resource->schema->kind, request_parameter(request, "id"));

    if (object) /* What all servers now have, also if a status came in between. */
        resource_respond(request, HTTP_OK, object);
    else
        request_fail(request, HTTP_NOT_FOUND, resource->not_found, "%s %.200s could not be found.", resource->title,
                     request_parameter(request, "id"));
}

static bool is_unchanged(const struct resource *resource, const struct object *before, const struct object *after)
{
    for (const struct attribute *attribute = resource->schema->attributes; attribute->name; attribute++)
        if (!streq(attribute->name, "revision_number") && !attribute_equal(attribute, before, after))
            return false;
    return true;
}

/* A plan that changes or deletes 'before'.  0, or -1 after having answered. */
int change_begin(struct change *change, struct request *request, const struct object *before, struct error *error)
{
    struct plan *plan = plan_new(request, request_api(request)->networking);

    *change = (struct change){
        .request = request,
        .networking = request_api(request)->networking,
        .plan = plan,
        .resource = resource_of(request),
        .before = before,
        .error = error,
    };
    if (plan)
        return 0;
    request_fail(request, HTTP_UNAVAILABLE, NULL, "Out of memory.");
    return -1;
}

void resource_update(struct request *request)
{
    const struct resource *resource = resource_of(request);
    const struct object *before = resource_find_or_fail(request);
    struct error error = {0};
    struct change change;
    const json_t *json;
    int r;

    if (!before)
        return; /* Answered: the request is gone. */
    json = json_object_get(request->body, resource->schema->name);
    if (!json || json_object_size(request->body) != 1) {
        request_fail(request, HTTP_BAD_REQUEST, "HTTPBadRequest", "The request body must be an object with exactly '%s'.",
                     resource->schema->name);
        return;
    }
    if (check_if_match(request, before) < 0)
        return;
    if (change_begin(&change, request, before, &error) < 0)
        return;
    change.after = plan_edit(change.plan, before);
    r = change.after ? decode(&change, json) : -ENOMEM;
    if (r == 0 && !resource_is_own(request, before))
        r = error_set_type(&error, -EPERM, "PolicyNotAuthorized", NULL, "%s %s belongs to another project.", resource->title,
                           before->id);
    if (r == 0)
        r = resource->update(&change);
    if (r < 0)
        change_fail(request, r, &error, resource->schema->name);
    else if (!change.is_more && is_unchanged(resource, before, change.after))
        resource_respond(request, HTTP_OK, before);
    else
        plan_commit(change.plan, resource_updated);
}

static void deleted(struct plan *plan, struct request *request)
{
    request_respond(request, HTTP_NO_CONTENT, NULL);
}

void resource_delete(struct request *request)
{
    const struct resource *resource = resource_of(request);
    const struct object *before = resource_find_or_fail(request);
    struct error error = {0};
    struct change change;
    int r = 0;

    if (!before || check_if_match(request, before) < 0)
        return;
    if (change_begin(&change, request, before, &error) < 0)
        return;
    if (!resource_is_own(request, before) && !(resource->may_delete && resource->may_delete(request, before)))
        r = error_set_type(&error, -EPERM, "PolicyNotAuthorized", NULL, "%s %s belongs to another project.", resource->title,
                           before->id);
    if (r == 0)
        r = resource->delete(&change);
    if (r < 0) {
        change_fail(request, r, &error, resource->schema->name);
        return;
    }
    plan_delete(change.plan, before);
    plan_commit(change.plan, deleted);
}
