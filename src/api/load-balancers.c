/* Load balancers: an address, and what is behind it. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "weft/api/balancing.h"
#include "weft/base/util.h"
#include "weft/model/resources.h"

static const struct load_balancer *of(const struct object *object)
{
    return (const struct load_balancer *)object;
}

static int write_listeners(const struct request *request, const struct object *object, struct buffer *buffer)
{
    return write_id_list(buffer, replica_by_load_balancer(request_api(request)->replica, RESOURCE_LISTENER, object->id));
}

static int write_pools(const struct request *request, const struct object *object, struct buffer *buffer)
{
    return write_id_list(buffer, replica_by_load_balancer(request_api(request)->replica, RESOURCE_POOL, object->id));
}

static int write_status(const struct request *request, const struct object *object, struct buffer *buffer)
{
    return json_write_string(buffer, operating_status_name(load_balancer_status(request_api(request), of(object))));
}

static const struct computed computed[] = {
    STATUSES(write_status),
    {.name = "listeners", .write = write_listeners, .flags = ATTRIBUTE_POST},
    {.name = "pools", .write = write_pools, .flags = ATTRIBUTE_POST},
    CONSTANT("vip_vnic_type", write_normal),
    CONSTANT("vip_sg_ids", write_empty_list),
    {.name = NULL},
};

static const struct replica_member *by_name(const struct replica *replica, const char *value)
{
    return replica_by_name(replica, RESOURCE_LOAD_BALANCER, value);
}

static const struct indexed_filter indexed_filters[] = {
    {"name", by_name},
    {NULL, NULL},
};

static void each_visible(const struct request *request, void (*visit)(const struct object *object, void *context), void *context)
{
    REPLICA_FOREACH (member, replica_by_project(request_api(request)->replica, RESOURCE_LOAD_BALANCER, request_auth(request)->project_id))
        visit(member->object, context);
}

static int check_choices(struct change *change, struct load_balancer *load_balancer)
{
    int r = balancing_check_constants(change);

    if (r < 0)
        return r;
    if (load_balancer->flavor_id[0])
        return INVALID("flavor_id", "Flavor %s not found.", load_balancer->flavor_id);
    if (load_balancer->availability_zone)
        return INVALID("availability_zone", "Availability Zone %.100s not found.", load_balancer->availability_zone);
    if (load_balancer->vip_qos_policy_id[0])
        return INVALID("vip_qos_policy_id", "vip_qos_policy_id %s not found.", load_balancer->vip_qos_policy_id);
    if (!load_balancer->provider)
        load_balancer->provider = strdup(PROVIDER);
    if (!load_balancer->provider)
        return -ENOMEM;
    return streq(load_balancer->provider, PROVIDER) ? 0 : INVALID("provider", "Provider '%.64s' is not enabled.", load_balancer->provider);
}

/* ---- one call for all ---- */

/* A part of the body, with the id of what it is to be in. */
static json_t *with_id(const json_t *json, const char *name, const char *id)
{
    json_t *copy = json_is_object(json) ? json_copy((json_t *)json) : json_object();

    if (copy)
        json_object_set_new(copy, name, json_string(id));
    return copy;
}

static int create_parts(struct change *change, const struct resource *resource, const char *name)
{
    const json_t *list = change_value(change, name), *json;
    size_t i;

    if (!list || json_is_null(list))
        return 0;
    if (!json_is_array(list))
        return INVALID(name, "it is not a list");
    json_array_foreach ((json_t *)list, i, json) {
        json_t *body = with_id(json, "loadbalancer_id", change->after->id);
        int r = body ? change_create_part(change, resource, change->after, body, NULL) : -ENOMEM;

        json_decref(body);
        if (r < 0) {
            if (change->error->field[0])
                error_prefix_field(change->error, "%s[%zu]", name, i);
            return r;
        }
    }
    return 0;
}

static int create(struct change *change)
{
    int r = check_choices(change, (struct load_balancer *)change->after);

    if (r == 0)
        r = balancing_take_vip(change);
    if (r == 0)
        r = create_parts(change, &pool_resource, "pools");
    return r == 0 ? create_parts(change, &listener_resource, "listeners") : r;
}

static int update(struct change *change)
{
    return check_choices(change, (struct load_balancer *)change->after);
}

static bool is_cascade(const struct request *request)
{
    const char *text = request_query(request, "cascade");
    bool value = false;

    return text && boolean_parse(text, &value) == 0 && value;
}

static int delete_load_balancer(struct change *change)
{
    const struct replica *replica = request_api(change->request)->replica;
    const char *id = change->before->id;
    const struct replica_member *lists[] = {replica_by_load_balancer(replica, RESOURCE_LISTENER, id),
                                            replica_by_load_balancer(replica, RESOURCE_POOL, id)};

    if ((lists[0] || lists[1]) && !is_cascade(change->request))
        return INVALID(NULL, "Validation failure: Cannot delete Load Balancer %s - it has children", id);
    balancing_require_only_parts(change->plan, id, lists, ARRAY_SIZE(lists));
    REPLICA_FOREACH (member, lists[0])
        balancing_delete_listener(change->plan, (const struct listener *)member->object);
    REPLICA_FOREACH (member, lists[1])
        balancing_delete_pool(change->plan, (const struct pool *)member->object);
    balancing_release_vip(change, of(change->before));
    return 0;
}

const struct resource load_balancer_resource = {
    .schema = &load_balancer_schema,
    .computed = computed,
    .indexed_filters = indexed_filters,
    .not_found = "NotFound",
    .title = "Load Balancer",
    .quota_title = "Load Balancer",
    .each_visible = each_visible,
    .create = create,
    .update = update,
    .delete = delete_load_balancer,
};
