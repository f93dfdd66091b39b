/* Objects from tables: every function here is one walk over a resource's attributes. */
#include "weft/model/schema.h"

#include <errno.h>
#include <stdlib.h>

#include "weft/base/util.h"
#include "weft/model/resources.h"

static const struct schema *const schemas[RESOURCE_N_KINDS] = {
    [RESOURCE_NETWORK] = &network_schema,
    [RESOURCE_SUBNET] = &subnet_schema,
    [RESOURCE_PORT] = &port_schema,
    [RESOURCE_HOST] = &host_schema,
    [RESOURCE_SECURITY_GROUP] = &security_group_schema,
    [RESOURCE_SECURITY_GROUP_RULE] = &security_group_rule_schema,
    [RESOURCE_ADDRESS_GROUP] = &address_group_schema,
    [RESOURCE_DEFAULT_RULE] = &default_rule_schema,
    [RESOURCE_DEFAULT_STATEFULNESS] = &default_statefulness_schema,
    [RESOURCE_LOG] = &network_log_schema,
    [RESOURCE_ROUTER] = &router_schema,
    [RESOURCE_FLOATING_IP] = &floating_ip_schema,
    [RESOURCE_PORT_FORWARDING] = &port_forwarding_schema,
    [RESOURCE_SNAT_BLOCK] = &snat_block_schema,
    [RESOURCE_ADDRESS_SCOPE] = &address_scope_schema,
    [RESOURCE_SUBNET_POOL] = &subnet_pool_schema,
    [RESOURCE_FIREWALL_RULE] = &firewall_rule_schema,
    [RESOURCE_FIREWALL_POLICY] = &firewall_policy_schema,
    [RESOURCE_FIREWALL_GROUP] = &firewall_group_schema,
    [RESOURCE_LOAD_BALANCER] = &load_balancer_schema,
    [RESOURCE_LISTENER] = &listener_schema,
    [RESOURCE_POOL] = &pool_schema,
    [RESOURCE_POOL_MEMBER] = &pool_member_schema,
    [RESOURCE_HEALTH_MONITOR] = &health_monitor_schema,
    [RESOURCE_BALANCE_ROWS] = &balance_rows_schema,
    [RESOURCE_LISTENER_SHARE] = &listener_share_schema,
};

const struct schema *schema_get(enum resource_kind kind)
{
    return schemas[kind];
}

static struct object *object_zeroed(const struct schema *schema)
{
    struct object *object = calloc(1, schema->size);

    if (object)
        object->kind = schema->kind;
    return object;
}

struct object *object_new(enum resource_kind kind)
{
    const struct schema *schema = schema_get(kind);
    _cleanup_(object_freep) struct object *object = object_zeroed(schema);

    if (!object)
        return NULL;
    for (const struct attribute *attribute = schema->attributes; attribute->name; attribute++)
        if (attribute->default_json && attribute_set_default(attribute, object) < 0)
            return NULL;
    return TAKE_PTR(object);
}

void object_free(struct object *object)
{
    if (!object)
        return;
    for (const struct attribute *attribute = schema_get(object->kind)->attributes; attribute->name; attribute++)
        attribute_clear(attribute, object);
    json_decref(object->unknown);
    free(object);
}

struct object *object_copy(const struct object *object)
{
    const struct schema *schema = schema_get(object->kind);
    _cleanup_(object_freep) struct object *copy = object_zeroed(schema);

    if (!copy)
        return NULL;
    copy->store_revision = object->store_revision;
    for (const struct attribute *attribute = schema->attributes; attribute->name; attribute++)
        if (attribute_copy(attribute, copy, object) < 0)
            return NULL;
    if (object->unknown && !(copy->unknown = json_deep_copy(object->unknown)))
        return NULL;
    return TAKE_PTR(copy);
}

static int keep_unknown(struct object *object, const char *key, json_t *value)
{
    json_t *copy;

    if (!object->unknown && !(object->unknown = json_object()))
        return -ENOMEM;
    copy = json_deep_copy(value);
    return copy && json_object_set_new(object->unknown, key, copy) == 0 ? 0 : -ENOMEM;
}

int object_decode(enum resource_kind kind, const json_t *json, struct object **ret_object, struct error *error)
{
    const struct schema *schema = schema_get(kind);
    _cleanup_(object_freep) struct object *object = object_zeroed(schema);
    size_t n_known = 0;
    const char *key;
    json_t *value;
    int r = 0;

    if (!object)
        return -ENOMEM;
    if (!json_is_object(json)) {
        r = error_set(error, -EINVAL, NULL, "the value is not an object");
        goto out;
    }
    for (const struct attribute *attribute = schema->attributes; attribute->name && r == 0; attribute++) {
        value = json_object_get(json, attribute->name);
        n_known += value != NULL;
        if (value)
            r = attribute_decode(attribute, value, object, DECODE_STORED, error);
        else if (attribute->default_json)
            r = attribute_set_default(attribute, object);
    }
    if (r == 0 && !object->id[0])
        r = error_set(error, -EINVAL, "id", "is required");
    value = json_object_get(json, "schema");
    if (r == 0 && value && !json_is_integer(value))
        r = error_set(error, -EINVAL, "schema", "is not a version number");
    if (r == 0 && n_known + (value != NULL) != json_object_size(json))
        json_object_foreach ((json_t *)json, key, value)
            if (!streq(key, "schema") && !attribute_find(schema->attributes, key) &&
                (r = keep_unknown(object, key, value)) < 0)
                break;
out:
    if (r < 0) {
        error_prefix_field(error, "%s", schema->name);
        return r;
    }
    *ret_object = TAKE_PTR(object);
    return 0;
}

static int write_key(struct buffer *buffer, const char *key)
{
    return buffer_append(buffer, ",", 1) || json_write_string(buffer, key) || buffer_append(buffer, ":", 1);
}

int object_write(const struct object *object, struct buffer *buffer)
{
    const char *key;
    json_t *value;
    bool bad = buffer_printf(buffer, "{\"schema\":%d", SCHEMA_VERSION);

    for (const struct attribute *attribute = schema_get(object->kind)->attributes; attribute->name && !bad; attribute++)
        if (!(attribute->flags & ATTRIBUTE_DERIVED))
            bad = write_key(buffer, attribute->name) || attribute_write(attribute, object, buffer);
    if (object->unknown)
        json_object_foreach ((json_t *)object->unknown, key, value) {
            _cleanup_(freep) char *text = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);
            bad = bad || !text || write_key(buffer, key) || buffer_append_string(buffer, text);
        }
    return bad || buffer_append(buffer, "}", 1) ? -ENOMEM : 0;
}

json_t *object_encode(const struct object *object)
{
    struct buffer buffer = {0};
    json_t *json = NULL;

    if (object_write(object, &buffer) == 0)
        json = json_loadb(buffer.data, buffer.size, 0, NULL);
    buffer_clear(&buffer);
    return json;
}

const char *resource_name(enum resource_kind kind)
{
    return schema_get(kind)->name;
}

int resource_from_name(const char *name, enum resource_kind *ret_kind)
{
    for (int kind = 0; kind < RESOURCE_N_KINDS; kind++)
        if (streq(schemas[kind]->name, name)) {
            *ret_kind = kind;
            return 0;
        }
    return -EINVAL;
}
