/* Address groups: prefixes that rules name together.
 *
 * Adding and removing edit the object, so that they happen one after the other. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "weft/api/security.h"
#include "weft/api/turns.h"
#include "weft/base/util.h"
#include "weft/model/resources.h"

#define TURN "addresses" /* By project. */
#define ADDRESSES_PER_PROJECT 8192

static const struct computed computed[] = {{.name = NULL}};

static const struct replica_member *by_name(const struct replica *replica, const char *value)
{
    return replica_by_name(replica, RESOURCE_ADDRESS_GROUP, value);
}

static const struct indexed_filter indexed_filters[] = {
    {"name", by_name},
    {NULL, NULL},
};

static void each_visible(const struct request *request, void (*visit)(const struct object *object, void *context), void *context)
{
    REPLICA_FOREACH (group, replica_by_project(request_api(request)->replica, RESOURCE_ADDRESS_GROUP, request_auth(request)->project_id))
        visit(group->object, context);
}

static int compare(const void *a, const void *b)
{
    const struct ip_prefix *x = a, *y = b;
    int order = ip_compare(&x->address, &y->address);

    return order ? order : prefix_bits(x) - prefix_bits(y);
}

/* Kept in order, each once: looking for one is quick. */
static void sort(struct address_group *group)
{
    size_t kept = 0;

    if (group->n_addresses < 2)
        return;
    qsort(group->addresses, group->n_addresses, sizeof *group->addresses, compare);
    for (size_t i = 0; i < group->n_addresses; i++)
        if (kept == 0 || compare(&group->addresses[i], &group->addresses[kept - 1]) != 0)
            group->addresses[kept++] = group->addresses[i];
    group->n_addresses = kept;
}

static bool holds(const struct address_group *group, const struct ip_prefix *prefix)
{
    return group->n_addresses > 0 && bsearch(prefix, group->addresses, group->n_addresses, sizeof *prefix, compare);
}

/* Each is a row on every host that a rule with the group concerns, in a table that all projects share. */
static int check_number(struct plan *plan, const struct address_group *group, struct error *error)
{
    const struct replica *replica = request_api(plan_request(plan))->replica;
    size_t n = group->n_addresses;

    plan_take_turn(plan, TURN, group->object.project_id);
    REPLICA_FOREACH (member, replica_by_project(replica, RESOURCE_ADDRESS_GROUP, group->object.project_id))
        if (!streq(member->object->id, group->object.id))
            n += ((const struct address_group *)member->object)->n_addresses;
    for (const struct object *object = NULL; (object = plan_created(plan, RESOURCE_ADDRESS_GROUP, object));)
        if (object != &group->object && streq(object->project_id, group->object.project_id))
            n += ((const struct address_group *)object)->n_addresses;
    if (n <= ADDRESSES_PER_PROJECT)
        return 0;
    return error_set_type(error, -EBUSY, "OverQuota", "addresses",
                          "Quota exceeded for resources: ['address_group']. The project's groups would have %zu addresses; %d is the limit.", n,
                          ADDRESSES_PER_PROJECT);
}

static int create(struct change *change)
{
    struct address_group *group = (struct address_group *)change->after;

    sort(group);
    return group->n_addresses ? check_number(change->plan, group, change->error) : 0;
}

static int update(struct change *change)
{
    return 0;
}

static int delete_group(struct change *change)
{
    const struct replica *replica = request_api(change->request)->replica;
    const char *id = change->before->id;
    char prefix[SECURITY_KEY_SIZE];

    if (replica_find(replica, REPLICA_RULES_BY_ADDRESS_GROUP, id) || replica_find(replica, REPLICA_DEFAULT_RULES_BY_ADDRESS_GROUP, id))
        return error_set_type(change->error, -EBUSY, "AddressGroupInUse", NULL,
                              "Address group %s is in use on one or more security group rules.", id);
    snprintf(prefix, sizeof prefix, "address-group/rule/%s/", id);
    plan_require_only(change->plan, prefix, NULL, 0);
    return 0;
}

const struct resource address_group_resource = {
    .schema = &address_group_schema,
    .computed = computed,
    .indexed_filters = indexed_filters,
    .not_found = "AddressGroupNotFound",
    .title = "Address group",
    .each_visible = each_visible,
    .create = create,
    .update = update,
    .delete = delete_group,
};

/* ---- add_addresses, remove_addresses ---- */

static void changed(struct plan *plan, struct request *request)
{
    resource_show(request);
}

static int add(struct address_group *group, const struct address_group *given, struct error *error)
{
    size_t maximum = attribute_find(address_group_schema.attributes, "addresses")->maximum, n = group->n_addresses + given->n_addresses;
    struct ip_prefix *more;
    char text[PREFIX_TEXT_SIZE];

    for (size_t i = 0; i < given->n_addresses; i++)
        if (holds(group, &given->addresses[i]))
            return error_set_type(error, -EINVAL, "AddressesAlreadyExist", "addresses",
                                  "Addresses ['%s'] already exist in the address group %s.", prefix_format(&given->addresses[i], text),
                                  group->object.id);
    if (n > maximum)
        return error_set(error, -EINVAL, "addresses", "%zu addresses exceed the limit of %zu", n, maximum);
    if (given->n_addresses == 0)
        return 0;
    more = realloc(group->addresses, n * sizeof *more);
    if (!more)
        return -ENOMEM;
    memcpy(more + group->n_addresses, given->addresses, given->n_addresses * sizeof *more);
    group->addresses = more;
    group->n_addresses = n;
    sort(group);
    return 0;
}

static int subtract(struct address_group *group, const struct address_group *given, struct error *error)
{
    size_t kept = 0;
    char text[PREFIX_TEXT_SIZE];

    for (size_t i = 0; i < given->n_addresses; i++)
        if (!holds(group, &given->addresses[i]))
            return error_set_type(error, -ENOENT, "AddressesNotFound", "addresses",
                                  "Addresses ['%s'] not found in the address group %s.", prefix_format(&given->addresses[i], text),
                                  group->object.id);
    for (size_t i = 0; i < group->n_addresses; i++)
        if (!holds(given, &group->addresses[i]))
            group->addresses[kept++] = group->addresses[i];
    group->n_addresses = kept;
    return 0;
}

/* The body's addresses into '*given', in order.  0; -EINVAL with the error. */
static int read_addresses(const struct request *request, struct address_group *given, struct error *error)
{
    const json_t *list = json_object_get(request->body, "addresses");
    int r;

    if (!list || json_object_size(request->body) != 1)
        return error_set_type(error, -EINVAL, "HTTPBadRequest", NULL, "The request body must be an object with exactly 'addresses'.");
    r = attribute_decode(attribute_find(address_group_schema.attributes, "addresses"), list, given, DECODE_REQUEST, error);
    sort(given);
    return r;
}

static void change_addresses(struct request *request, int (*apply)(struct address_group *, const struct address_group *, struct error *))
{
    const char *id = request_parameter(request, "id");
    struct error error = {0};
    const struct object *before = resource_find(&address_group_resource, request, id, &error);
    _cleanup_(object_freep) struct object *given = object_new(RESOURCE_ADDRESS_GROUP);
    struct plan *plan = before ? plan_new(request, request_api(request)->networking) : NULL;
    struct object *after = plan ? plan_edit(plan, before) : NULL;
    int r = !before ? -ENOENT : given && after ? read_addresses(request, (struct address_group *)given, &error) : -ENOMEM;

    if (r == 0)
        r = apply((struct address_group *)after, (const struct address_group *)given, &error);
    if (r == 0 && ((const struct address_group *)after)->n_addresses > ((const struct address_group *)before)->n_addresses)
        r = check_number(plan, (const struct address_group *)after, &error);
    if (r == 0) {
        plan_commit(plan, changed);
        return;
    }
    if (!error.code)
        error_set(&error, r, NULL, "Out of memory.");
    request_fail_error(request, &error);
}

void address_group_add(struct request *request)
{
    change_addresses(request, add);
}

void address_group_remove(struct request *request)
{
    change_addresses(request, subtract);
}
