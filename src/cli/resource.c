/* The generic verbs.  What differs between resources is in their tables (resources.c, commands/). */
#include "weft/cli/resource.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "weft/base/buffer.h"
#include "weft/base/util.h"
#include "weft/base/uuid.h"
#include "weft/cli/request.h"
#include "weft/cli/text.h"

#define MAX_PAGES 100000

const char *resource_string(const json_t *object, const char *attribute)
{
    const char *text = json_string_value(json_object_get(object, attribute));

    return text ? text : "";
}

const char *resource_path(const struct resource *resource)
{
    return resource->path ? resource->path : resource->collection;
}

const char *resource_id(const json_t *object)
{
    return resource_string(object, "id");
}

const char *resource_name(const struct resource *resource, const json_t *object)
{
    return resource_string(object, resource->name_attribute ? resource->name_attribute : "name");
}

/* Takes what stands under 'key' out of an answer. */
static int unwrap(json_t *answer, const char *key, json_t **ret, struct error *error)
{
    json_t *inner = json_object_get(answer, key);

    if (!inner)
        return error_set(error, -EREMOTEIO, key, "the API's answer has no '%s'", key);
    *ret = json_incref(inner);
    return 0;
}

int resource_get(struct session *session, enum service service, json_t **ret, struct error *error, const char *format, ...)
{
    _cleanup_(freep) char *path = NULL;
    va_list arguments;
    int r;

    va_start(arguments, format);
    r = vasprintf(&path, format, arguments);
    va_end(arguments);
    if (r < 0) {
        path = NULL;
        return -ENOMEM;
    }
    r = session_request(session, service, "GET", path, NULL, ret, error);
    if (r >= 0 && !*ret)
        return error_set(error, -EREMOTEIO, "url", "%s: the answer is empty", path);
    return r;
}

/* ---- lists over pages -------------------------------------------------------------------------------------------- */

static const char *next_link(const json_t *answer, const struct resource *resource)
{
    char key[64];
    const json_t *link;
    size_t i;

    snprintf(key, sizeof key, "%s_links", resource->collection);
    json_array_foreach (json_object_get(answer, key), i, link) {
        if (streq(resource_string(link, "rel"), "next"))
            return json_string_value(json_object_get(link, "href"));
    }
    return NULL;
}

/* With 'follow_pages' unset the caller's own limit stands. */
static int list_pages(struct session *session, const struct resource *resource, const char *query, bool follow_pages,
                      json_t **ret, struct error *error)
{
    _cleanup_(json_decrefp) json_t *all = json_array();
    _cleanup_(freep) char *path = NULL;

    if (!all || text_format(&path, "/%s%s%s", resource_path(resource), query && *query ? "?" : "", query ? query : "") < 0)
        return -ENOMEM;
    for (int page = 0; page < MAX_PAGES; page++) {
        _cleanup_(json_decrefp) json_t *answer = NULL, *part = NULL;
        const char *link;
        char *next;
        int r;

        r = session_request(session, resource->service, "GET", path, NULL, &answer, error);
        if (r >= 0)
            r = unwrap(answer, resource->collection, &part, error);
        if (r < 0)
            return r;
        if (json_array_extend(all, part) < 0)
            return -ENOMEM;
        link = follow_pages ? next_link(answer, resource) : NULL;
        link = link ? session_path_of_link(session, resource->service, link) : NULL;
        if (!link || json_array_size(part) == 0)
            break;
        next = strdup(link);
        if (!next)
            return -ENOMEM;
        free(path);
        path = next;
    }
    *ret = TAKE_PTR(all);
    return 0;
}

int resource_list(struct session *session, const struct resource *resource, const char *query, json_t **ret,
                  struct error *error)
{
    return list_pages(session, resource, query, resource->is_paged, ret, error);
}

/* ---- names and ids ----------------------------------------------------------------------------------------------- */

/* UUIDs, and Identity's 32 hexadecimal digits. */
static bool looks_like_id(const char *text)
{
    return uuid_is_valid(text) || (strlen(text) == 32 && strspn(text, "0123456789abcdef") == 32);
}

static int find_by_name(struct session *session, const struct resource *resource, const char *name, json_t **ret,
                        struct error *error)
{
    _cleanup_(json_decrefp) json_t *found = NULL;
    _cleanup_(freep) char *escaped = session_escape(session, name), *query = NULL;
    const json_t *object;
    json_t *match = NULL;
    size_t i, n = 0;
    int r;

    if (!escaped || text_format(&query, "%s=%s", resource->name_attribute ? resource->name_attribute : "name", escaped) < 0)
        return -ENOMEM;
    r = resource_list(session, resource, query, &found, error);
    if (r < 0)
        return r;
    /* Compared again: not every list filters by name. */
    json_array_foreach (found, i, object)
        if (streq(resource_name(resource, object), name)) {
            match = (json_t *)object;
            n++;
        }
    if (n == 0)
        return error_set(error, -ENOENT, resource->name, "there is no %s '%s'", resource->name, name);
    if (n > 1)
        return error_set(error, -ENOTUNIQ, resource->name, "%zu %s are named '%s': use an id", n, resource->collection,
                         name);
    *ret = json_incref(match);
    return 0;
}

int resource_find(struct session *session, const struct resource *resource, const char *name_or_id, json_t **ret,
                  struct error *error)
{
    _cleanup_(json_decrefp) json_t *answer = NULL;
    struct error cause = {0};
    int r;

    if (!*name_or_id)
        return error_set(error, -EINVAL, resource->name, "%s: '' is neither a name nor an id", resource->name);
    if (looks_like_id(name_or_id)) {
        r = resource_get(session, resource->service, &answer, &cause, "/%s/%s", resource_path(resource), name_or_id);
        if (r >= 0)
            return unwrap(answer, resource->name, ret, error);
        if (r != -ENOENT) {
            *error = cause;
            return r;
        }
    }
    if (resource->is_nameless)
        return error_set(error, -ENOENT, resource->name, "there is no %s '%s'", resource->name, name_or_id);
    return find_by_name(session, resource, name_or_id, ret, error);
}

/* ---- verbs ------------------------------------------------------------------------------------------------------- */

static int send_object(struct session *session, const struct resource *resource, const char *method, const char *path,
                       const json_t *attributes, const char *header, json_t **ret, struct error *error)
{
    _cleanup_(json_decrefp) json_t *body = json_pack("{s:O}", resource->name, attributes), *answer = NULL;
    int r;

    if (!body)
        return -ENOMEM;
    r = session_request_with(session, resource->service, method, path, body, header, 0, &answer, error);
    if (r < 0 || !ret)
        return r;
    return unwrap(answer, resource->name, ret, error);
}

int resource_update(struct session *session, const struct resource *resource, const char *id, const json_t *changes,
                    json_t **ret, struct error *error)
{
    _cleanup_(freep) char *path = NULL;

    if (text_format(&path, "/%s/%s", resource_path(resource), id) < 0)
        return -ENOMEM;
    return send_object(session, resource, resource->update_method, path, changes, NULL, ret, error);
}

int resource_run_create(struct call *call, const struct resource *resource, const char *name)
{
    _cleanup_(json_decrefp) json_t *attributes = json_object(), *created = NULL;
    char path[128];
    int r;

    if (!attributes)
        return -ENOMEM;
    if (name && json_object_set_new(attributes, "name", json_string(name)) < 0)
        return error_set(&call->error, -EINVAL, "name", "name: '%s' is not UTF-8", name);
    r = request_attributes(call, attributes);
    if (r >= 0 && resource->complete)
        r = resource->complete(call, attributes);
    if (r < 0)
        return r;
    snprintf(path, sizeof path, "/%s", resource_path(resource));
    r = send_object(call->session, resource, "POST", path, attributes, NULL, &created, &call->error);
    return r < 0 ? r : output_object(call, created);
}

int run_create(struct call *call)
{
    return resource_run_create(call, call->command->resource, call_argument(call, 0));
}

int resource_run_list(struct call *call, const struct resource *resource)
{
    _cleanup_(json_decrefp) json_t *objects = NULL;
    _cleanup_(freep) char *query = NULL;
    int r;

    r = request_query_string(call, &query);
    if (r < 0)
        return r;
    r = list_pages(call->session, resource, query, resource->is_paged && !call_flag(call, "limit"), &objects,
                   &call->error);
    return r < 0 ? r : output_list(call, objects, resource->columns);
}

int run_list(struct call *call)
{
    return resource_run_list(call, call->command->resource);
}

int resource_run_show(struct call *call, const struct resource *resource, const char *name_or_id)
{
    _cleanup_(json_decrefp) json_t *object = NULL;
    int r;

    r = resource_find(call->session, resource, name_or_id, &object, &call->error);
    return r < 0 ? r : output_object(call, object);
}

int run_show(struct call *call)
{
    return resource_run_show(call, call->command->resource, call_argument(call, 0));
}

int resource_run_set(struct call *call, const struct resource *resource, const char *name_or_id)
{
    _cleanup_(json_decrefp) json_t *changes = json_object(), *object = NULL, *updated = NULL;
    const char *revision = call_flag(call, "if-revision");
    _cleanup_(freep) char *path = NULL;
    char header[64] = "";
    uint64_t number;
    int r;

    if (!changes)
        return -ENOMEM;
    if (revision && parse_u64(revision, 0, INT64_MAX, &number) < 0)
        return error_set(&call->error, -EINVAL, "if-revision", "--if-revision: '%s' is not a number", revision);
    r = request_attributes(call, changes);
    if (r < 0)
        return r;
    if (json_object_size(changes) == 0)
        return error_set(&call->error, -EINVAL, "options", "nothing to change was given; see 'weft %s --help'",
                         call->command->name);
    r = resource_find(call->session, resource, name_or_id, &object, &call->error);
    if (r >= 0 && resource->complete_change)
        r = resource->complete_change(call, object, changes);
    if (r < 0)
        return r;
    if (text_format(&path, "/%s/%s", resource_path(resource), resource_id(object)) < 0)
        return -ENOMEM;
    if (revision)
        snprintf(header, sizeof header, "If-Match: revision_number=%s", revision);
    r = send_object(call->session, resource, resource->update_method, path, changes, *header ? header : NULL, &updated,
                    &call->error);
    return r < 0 ? r : output_object(call, updated);
}

int run_set(struct call *call)
{
    return resource_run_set(call, call->command->resource, call_argument(call, 0));
}

int resource_delete(struct session *session, const struct resource *resource, const char *name_or_id, const char *query, struct error *error)
{
    _cleanup_(json_decrefp) json_t *object = NULL;
    _cleanup_(freep) char *path = NULL;
    int r;

    r = resource_find(session, resource, name_or_id, &object, error);
    if (r < 0)
        return r;
    if (text_format(&path, "/%s/%s%s", resource_path(resource), resource_id(object), query ? query : "") < 0)
        return -ENOMEM;
    return session_request(session, resource->service, "DELETE", path, NULL, NULL, error);
}

int run_delete(struct call *call)
{
    const char *query = call_flag(call, "cascade") ? "?cascade=true" : NULL;
    int first = 0;

    for (size_t i = 0; i < call->n_arguments; i++) {
        struct error cause = {0};
        int r = resource_delete(call->session, call->command->resource, call->arguments[i], query, &cause);

        if (r < 0 && !first) {
            first = r;
            call->error = cause;
        } else if (r < 0) {
            fprintf(stderr, "weft: %s\n", cause.message);
        }
    }
    return first;
}
