/* Subnets from pools: which prefix a new one gets, and what address scope they are of. */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "weft/api/routed-prefixes.h"
#include "weft/api/subnet-pools.h"
#include "weft/api/turns.h"
#include "weft/base/util.h"
#include "weft/model/prefixes.h"

#define BAD(field, ...) error_set_type(change->error, -EINVAL, "BadRequest", field, "Bad subnets request: " __VA_ARGS__)

/* ---- which pool -------------------------------------------------------------------------------------------------- */

static const struct subnet_pool *find_default(struct change *change, uint8_t ip_version)
{
    size_t n;
    const struct object *const *pools = replica_list(request_api(change->request)->replica, RESOURCE_SUBNET_POOL, &n);

    for (size_t i = 0; i < n; i++) {
        const struct subnet_pool *pool = (const struct subnet_pool *)pools[i];

        if (pool->is_default && pool->ip_version == ip_version && resource_is_visible(&subnet_pool_resource, change->request, pools[i]))
            return pool;
    }
    BAD("use_default_subnetpool", "No default subnetpool found for IPv%u.", ip_version);
    return NULL;
}

/* The one that the body means; '*ret' is NULL for none. */
static int find_pool(struct change *change, const struct subnet *subnet, const struct subnet_pool **ret)
{
    const json_t *use_default = change_value(change, "use_default_subnetpool");
    bool is_default = false;

    *ret = NULL;
    if (use_default && !json_is_boolean(use_default) &&
        (!json_is_string(use_default) || boolean_parse(json_string_value(use_default), &is_default) < 0))
        return BAD("use_default_subnetpool", "it is neither true nor false.");
    is_default |= json_is_true(use_default);
    if (is_default && subnet->subnetpool_id[0])
        return BAD("use_default_subnetpool", "subnetpool_id and use_default_subnetpool cannot both be specified.");
    if (is_default)
        *ret = find_default(change, subnet->ip_version);
    else if (subnet->subnetpool_id[0])
        *ret = (const struct subnet_pool *)resource_find(&subnet_pool_resource, change->request, subnet->subnetpool_id, change->error);
    return *ret || !(is_default || subnet->subnetpool_id[0]) ? 0 : change->error->code;
}

/* All subnets of a network and family are of one pool, or of none. */
static int check_affinity(struct change *change, const struct subnet *subnet)
{
    bool differs = false;

    REPLICA_FOREACH (member, replica_subnets_by_network(request_api(change->request)->replica, subnet->network_id)) {
        const struct subnet *other = (const struct subnet *)member->object;

        differs |= other->ip_version == subnet->ip_version && !streq(other->subnetpool_id, subnet->subnetpool_id);
    }
    for (const struct object *object = NULL; (object = plan_created(change->plan, RESOURCE_SUBNET, object));) {
        const struct subnet *other = (const struct subnet *)object;

        differs |= other != subnet && streq(other->network_id, subnet->network_id) && other->ip_version == subnet->ip_version &&
                   !streq(other->subnetpool_id, subnet->subnetpool_id);
    }
    if (!differs)
        return 0;
    return error_set_type(change->error, -EINVAL, "NetworkSubnetPoolAffinityError", "subnetpool_id",
                          "Subnets hosted on the same network must be allocated from the same subnet pool.");
}

/* ---- which prefix ------------------------------------------------------------------------------------------------ */

int subnet_pool_used(const struct change *change, const char *pool_id, struct ip_prefix **ret_list, size_t *ret_n)
{
    const struct replica *replica = request_api(change->request)->replica;
    size_t n = replica_count(replica, REPLICA_SUBNETS_BY_POOL, pool_id), i = 0;

    for (const struct object *object = NULL; (object = plan_created(change->plan, RESOURCE_SUBNET, object));)
        n++;
    *ret_list = calloc(n + 1, sizeof **ret_list);
    if (!*ret_list)
        return -ENOMEM;
    REPLICA_FOREACH (member, replica_find(replica, REPLICA_SUBNETS_BY_POOL, pool_id))
        (*ret_list)[i++] = ((const struct subnet *)member->object)->cidr;
    for (const struct object *object = NULL; (object = plan_created(change->plan, RESOURCE_SUBNET, object));) {
        const struct subnet *subnet = (const struct subnet *)object;

        if (object != change->after && streq(subnet->subnetpool_id, pool_id))
            (*ret_list)[i++] = subnet->cidr;
    }
    if (i > 1)
        qsort(*ret_list, i, sizeof **ret_list, prefix_compare);
    *ret_n = i;
    return 0;
}

/* In what a pool's quota counts. */
static double units(const struct subnet_pool *pool, uint8_t length)
{
    return ldexp(1, (pool->ip_version == 4 ? 32 : 64) - length);
}

static int check_quota(struct change *change, const struct subnet_pool *pool, const struct subnet *subnet, uint8_t length)
{
    double used = units(pool, length);

    if (!pool->has_default_quota)
        return 0;
    REPLICA_FOREACH (member, replica_find(request_api(change->request)->replica, REPLICA_SUBNETS_BY_POOL, pool->object.id))
        if (streq(member->object->project_id, subnet->object.project_id))
            used += units(pool, ((const struct subnet *)member->object)->cidr.length);
    for (const struct object *object = NULL; (object = plan_created(change->plan, RESOURCE_SUBNET, object));) {
        const struct subnet *other = (const struct subnet *)object;

        if (other != subnet && streq(other->subnetpool_id, pool->object.id) && streq(object->project_id, subnet->object.project_id))
            used += units(pool, other->cidr.length);
    }
    if (used <= pool->default_quota)
        return 0;
    return error_set_type(change->error, -EBUSY, "SubnetPoolQuotaExceeded", NULL, "Per-tenant subnet pool prefix quota exceeded.");
}

static int read_length(struct change *change, const struct subnet_pool *pool, const struct subnet *subnet, uint8_t *ret)
{
    const json_t *value = change_value(change, "prefixlen");
    bool gives_cidr = change_gives(change, "cidr");
    uint64_t length = gives_cidr ? subnet->cidr.length : pool->default_prefixlen;

    if (value && gives_cidr)
        return BAD("prefixlen", "cidr and prefixlen must not be supplied together.");
    if (json_is_integer(value) && json_integer_value(value) >= 0 && json_integer_value(value) <= 128)
        length = (uint64_t)json_integer_value(value);
    else if (value && (!json_is_string(value) || parse_u64(json_string_value(value), 0, 128, &length) < 0))
        return BAD("prefixlen", "it is not a prefix length.");
    if (length < pool->min_prefixlen)
        return error_set_type(change->error, -EINVAL, "MinPrefixSubnetAllocationError", gives_cidr ? "cidr" : "prefixlen",
                              "Unable to allocate subnet with prefix length %llu, minimum allowed prefix is %u.", (unsigned long long)length,
                              pool->min_prefixlen);
    if (length > pool->max_prefixlen)
        return error_set_type(change->error, -EINVAL, "MaxPrefixSubnetAllocationError", gives_cidr ? "cidr" : "prefixlen",
                              "Unable to allocate subnet with prefix length %llu, maximum allowed prefix is %u.", (unsigned long long)length,
                              pool->max_prefixlen);
    *ret = (uint8_t)length;
    return 0;
}

static int choose(struct change *change, const struct subnet_pool *pool, struct subnet *subnet, uint8_t length)
{
    struct ip_prefix *used;
    size_t n_used;
    char text[PREFIX_TEXT_SIZE];
    int r = subnet_pool_used(change, pool->object.id, &used, &n_used);

    if (r < 0)
        return r;
    if (!change_gives(change, "cidr")) {
        if (!prefixes_find_free(pool->prefixes, pool->n_prefixes, used, n_used, length, &subnet->cidr))
            r = error_set_type(change->error, -EBUSY, "SubnetAllocationError", "prefixlen",
                               "Failed to allocate subnet: Insufficient prefix space to allocate subnet size /%u.", length);
    } else if (!prefixes_hold(pool->prefixes, pool->n_prefixes, &subnet->cidr) || prefixes_find_overlap(used, n_used, &subnet->cidr)) {
        r = error_set_type(change->error, -EBUSY, "SubnetAllocationError", "cidr",
                           "Failed to allocate subnet: Cannot allocate requested subnet '%s' from the available set of prefixes.",
                           prefix_format(&subnet->cidr, text));
    }
    free(used);
    return r;
}

int subnet_allocate(struct change *change, struct subnet *subnet)
{
    const struct subnet_pool *pool;
    uint8_t length = 0;
    int r = find_pool(change, subnet, &pool);

    if (r < 0)
        return r;
    if (!pool && change_value(change, "prefixlen"))
        return BAD("prefixlen", "prefixlen is given, and no subnet pool.");
    if (!pool && !change_gives(change, "cidr"))
        return BAD("cidr", "a subnetpool must be specified in the absence of a cidr.");
    if (pool)
        string_copy(subnet->subnetpool_id, sizeof subnet->subnetpool_id, pool->object.id);
    if ((r = check_affinity(change, subnet)) < 0 || !pool)
        return r;
    if (pool->ip_version != subnet->ip_version)
        return BAD("ip_version", "Cannot allocate IPv%u subnet from IPv%u subnet pool.", subnet->ip_version, pool->ip_version);
    if (change_gives(change, "cidr") && ip_is_v4(&subnet->cidr.address) != (pool->ip_version == 4))
        return 0; /* The cidr is refused as it is anywhere. */
    plan_guard(change->plan, &pool->object);
    plan_take_turn(change->plan, TURN_POOL, pool->object.id);
    string_copy(subnet->address_scope_id, sizeof subnet->address_scope_id, pool->address_scope_id);
    if ((r = read_length(change, pool, subnet, &length)) < 0 || (r = check_quota(change, pool, subnet, length)) < 0)
        return r;
    return choose(change, pool, subnet, length);
}

/* ---- address scopes ---------------------------------------------------------------------------------------------- */

struct networks {
    const char **ids;
    size_t n, n_allocated;
};

static int add_network(struct networks *networks, const char *id)
{
    for (size_t i = 0; i < networks->n; i++)
        if (streq(networks->ids[i], id))
            return 0;
    if (networks->n == networks->n_allocated) {
        size_t n = networks->n_allocated ? 2 * networks->n_allocated : 16;
        const char **more = reallocarray(networks->ids, n, sizeof *more);

        if (!more)
            return -ENOMEM;
        networks->ids = more;
        networks->n_allocated = n;
    }
    networks->ids[networks->n++] = id;
    return 0;
}

/* The external networks of routers that are on the subnet. */
static int add_external_networks(struct change *change, const struct subnet *subnet, struct networks *ret)
{
    const struct replica *replica = request_api(change->request)->replica;
    int r = 0;

    REPLICA_FOREACH (member, replica_ports_by_subnet(replica, subnet->object.id)) {
        const struct port *port = (const struct port *)member->object;
        const struct object *router =
            router_port_kind(port) != ROUTER_PORT_NONE ? replica_get(replica, RESOURCE_ROUTER, port->device_id) : NULL;

        if (!router || r < 0)
            continue;
        plan_guard(change->plan, router); /* Also that it gets no gateway meanwhile. */
        if (((const struct router *)router)->gateway_network_id[0])
            r = add_network(ret, ((const struct router *)router)->gateway_network_id);
    }
    return r;
}

int subnet_require_addresses(struct plan *plan, const struct subnet *subnet)
{
    const struct replica_member *ports = replica_ports_by_subnet(request_api(plan_request(plan))->replica, subnet->object.id);
    char(*texts)[IP_TEXT_SIZE], **endings, prefix[64];
    size_t n = 0, used = 0;

    REPLICA_FOREACH (member, ports)
        n += ((const struct port *)member->object)->n_fixed_ips;
    texts = calloc(n + 1, sizeof *texts);
    endings = calloc(n + 1, sizeof *endings);
    if (texts && endings) {
        REPLICA_FOREACH (member, ports) {
            const struct port *port = (const struct port *)member->object;

            for (size_t i = 0; i < port->n_fixed_ips; i++)
                if (streq(port->fixed_ips[i].subnet_id, subnet->object.id)) {
                    endings[used] = (char *)ip_format(&port->fixed_ips[i].address, texts[used]);
                    used++;
                }
        }
        snprintf(prefix, sizeof prefix, "ipam/%s/", subnet->object.id);
        plan_require_only(plan, prefix, endings, used);
    }
    n = texts && endings;
    free(texts);
    free(endings);
    return n ? 0 : -ENOMEM;
}

/* No router gets an interface on it or, on an external network, a gateway, while what its routers bring outside is looked at. */
static int keep_routers(struct change *change, const struct subnet *subnet)
{
    const struct network *network = replica_network(request_api(change->request)->replica, subnet->network_id);

    plan_see_turn(change->plan, TURN_SUBNET, subnet->object.id);
    return network && network->is_external ? subnet_require_addresses(change->plan, subnet) : 0;
}

int subnets_check_routed(struct change *change, const struct subnet *const *subnets, size_t n, const char *field)
{
    struct networks networks = {0};
    int r = 0;

    for (size_t i = 0; i < n && r == 0; i++)
        if ((r = keep_routers(change, subnets[i])) == 0)
            r = add_external_networks(change, subnets[i], &networks);
    for (size_t i = 0; i < networks.n && r == 0; i++)
        r = routed_check_network(change, networks.ids[i], field);
    free(networks.ids);
    return r;
}

int subnets_change_scope(struct change *change, const char *pool_id, const char *address_scope_id)
{
    const struct replica *replica = request_api(change->request)->replica;
    const struct subnet **subnets = calloc(replica_count(replica, REPLICA_SUBNETS_BY_POOL, pool_id) + 1, sizeof *subnets);
    size_t n = 0;
    int r = subnets ? 0 : -ENOMEM;

    if (r == 0)
        REPLICA_FOREACH (member, replica_find(replica, REPLICA_SUBNETS_BY_POOL, pool_id)) {
            struct subnet *after = (struct subnet *)plan_edit(change->plan, member->object);

            if (after)
                string_copy(after->address_scope_id, sizeof after->address_scope_id, address_scope_id);
            else
                r = -ENOMEM;
            subnets[n++] = (const struct subnet *)member->object;
        }
    if (r == 0)
        r = subnets_check_routed(change, subnets, n, "address_scope_id");
    free(subnets);
    return r;
}

static int write_scope(const struct request *request, const struct object *network, uint8_t ip_version, struct buffer *buffer)
{
    REPLICA_FOREACH (member, replica_subnets_by_network(request_api(request)->replica, network->id)) {
        const struct subnet *subnet = (const struct subnet *)member->object;

        if (subnet->ip_version == ip_version && subnet->address_scope_id[0])
            return buffer_printf(buffer, "\"%s\"", subnet->address_scope_id);
    }
    return buffer_append(buffer, "null", 4);
}

int network_write_ipv4_scope(const struct request *request, const struct object *network, struct buffer *buffer)
{
    return write_scope(request, network, 4, buffer);
}

int network_write_ipv6_scope(const struct request *request, const struct object *network, struct buffer *buffer)
{
    return write_scope(request, network, 6, buffer);
}
