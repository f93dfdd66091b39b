/* Objects as a request may see them. */
#include <errno.h>
#include <string.h>

#include "weft/api/resources.h"
#include "weft/base/util.h"

static bool wants(const struct request *request, const char *name, bool any)
{
    if (!any)
        return true;
    for (size_t i = 0; i < request->n_query; i++)
        if (streq(request->query[i].name, "fields") && streq(request->query[i].value, name))
            return true;
    return false;
}

/* 'any': only what fields= names. */
static void prepare(struct view *view, const struct resource *resource, const struct request *request, bool any)
{
    const struct attribute *table = resource->schema->attributes;
    bool admin = request_auth(request)->is_admin;

    *view = (struct view){0};
    for (size_t i = 0; table[i].name; i++)
        if (!(table[i].flags & ATTRIBUTE_INTERNAL) && (admin || !(table[i].flags & ATTRIBUTE_ADMIN_READ)) &&
            wants(request, table[i].name, any))
            view->attributes |= UINT64_C(1) << i;
    for (size_t i = 0; resource->computed[i].name; i++)
        if (resource->computed[i].write && (admin || !resource->computed[i].admin_read) && wants(request, resource->computed[i].name, any))
            view->computed |= UINT64_C(1) << i;
    view->tenant_id = attribute_find(table, "project_id") && wants(request, "tenant_id", any);
}

void view_prepare(struct view *view, const struct resource *resource, const struct request *request)
{
    bool any = false;

    for (size_t i = 0; i < request->n_query; i++)
        any |= streq(request->query[i].name, "fields") && *request->query[i].value;
    prepare(view, resource, request, any);
}

void view_prepare_whole(struct view *view, const struct resource *resource, const struct request *request)
{
    prepare(view, resource, request, false);
}

static bool write_key(struct buffer *buffer, bool *first, const char *name)
{
    size_t length = strlen(name);
    char *out;

    if (buffer_reserve(buffer, length + 4) < 0)
        return true;
    out = buffer->data + buffer->size;
    *out++ = *first ? '{' : ',';
    *out++ = '"';
    memcpy(out, name, length); /* Names in tables need no escapes. */
    memcpy(out + length, "\":", 2);
    buffer->size += length + 4;
    *first = false;
    return false;
}

/* A list that is null for us is empty for those who ask. */
static int write_attribute(const struct attribute *attribute, const struct object *object, struct buffer *buffer)
{
    if (attribute->type == TYPE_LIST && (attribute->flags & ATTRIBUTE_NULL_EMPTY) && attribute_is_null(attribute, object))
        return buffer_append(buffer, "[]", 2);
    return attribute_write(attribute, object, buffer);
}

int view_write(const struct view *view, const struct resource *resource, const struct request *request,
               const struct object *object, struct buffer *buffer)
{
    const struct attribute *table = resource->schema->attributes;
    bool bad = false, first = true, is_own = resource_is_own(request, object);

    for (size_t i = 0; table[i].name && !bad; i++)
        if (view->attributes >> i & 1 && (is_own || !(table[i].flags & ATTRIBUTE_OWNER_READ)))
            bad = write_key(buffer, &first, table[i].name) || write_attribute(&table[i], object, buffer);
    for (size_t i = 0; resource->computed[i].name && !bad; i++)
        if (view->computed >> i & 1)
            bad = write_key(buffer, &first, resource->computed[i].name) || resource->computed[i].write(request, object, buffer);
    if (view->tenant_id && !bad)
        bad = write_key(buffer, &first, "tenant_id") || attribute_write(attribute_find(table, "project_id"), object, buffer);
    if (first)
        bad = bad || buffer_append(buffer, "{", 1);
    return bad || buffer_append(buffer, "}", 1) ? -ENOMEM : 0;
}

void respond_buffer(struct request *request, int status, struct buffer *buffer, int r)
{
    if (r < 0) {
        buffer_clear(buffer);
        request_fail(request, HTTP_UNAVAILABLE, NULL, "Out of memory.");
        return;
    }
    request_respond_bytes(request, status, "application/json", TAKE_PTR(buffer->data), buffer->size);
}
