/* Networks: a VNI, an MTU, and who may see them.
 *
 * Keys: object/network/<id>, those of provider.h.  A subnet that is added or removed rewrites its network, so that everything that
 * looked at the set of subnets (another subnet, a port that takes addresses) notices. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "weft/api/balancing.h"
#include "weft/api/floating-ips.h"
#include "weft/api/hosts.h"
#include "weft/api/ipam.h"
#include "weft/api/ports.h"
#include "weft/api/provider.h"
#include "weft/api/resources.h"
#include "weft/api/routed-prefixes.h"
#include "weft/api/subnet-pools.h"
#include "weft/api/turns.h"
#include "weft/base/cleanup.h"
#include "weft/base/util.h"
#include "weft/model/resources.h"

static int write_status(const struct request *request, const struct object *object, struct buffer *buffer)
{
    return buffer_append_string(buffer, hosts_leave_out(request_api(request)->hosts, object->id) ? "\"ERROR\"" : "\"ACTIVE\"");
}

static int write_subnets(const struct request *request, const struct object *object, struct buffer *buffer)
{
    bool first = true, bad = buffer_append(buffer, "[", 1);

    REPLICA_FOREACH (member, replica_subnets_by_network(request_api(request)->replica, object->id)) {
        bad = bad || (!first && buffer_append(buffer, ",", 1)) || json_write_string(buffer, member->object->id);
        first = false;
    }
    return bad || buffer_append(buffer, "]", 1) ? -ENOMEM : 0;
}

static const struct computed computed[] = {
    {.name = "status", .filter = true, .write = write_status},
    {.name = "subnets", .write = write_subnets},
    {.name = "ipv4_address_scope", .write = network_write_ipv4_scope},
    {.name = "ipv6_address_scope", .write = network_write_ipv6_scope},
    {.name = "provider:segmentation_id", .admin_read = true, .filter = true, .write = provider_write_segmentation_id,
     .flags = ATTRIBUTE_POST | ATTRIBUTE_ADMIN_WRITE},
    /* Zones are not scheduled by: every host serves every network. */
    {.name = "availability_zone_hints", .write = write_empty_list},
    {.name = "availability_zones", .write = write_empty_list},
    {.name = NULL},
};

static const struct replica_member *by_name(const struct replica *replica, const char *value)
{
    return replica_by_name(replica, RESOURCE_NETWORK, value);
}

static const struct indexed_filter indexed_filters[] = {
    {"name", by_name},
    {NULL, NULL},
};

static bool is_visible(const struct request *request, const struct object *object)
{
    const struct network *network = (const struct network *)object;

    return network->shared || network->is_external;
}

static int check_mtu(struct change *change, const struct network *network)
{
    uint16_t max = networking_max_mtu(change->networking);

    if (change_gives(change, "mtu") && network->mtu > max)
        return error_set_type(change->error, -EINVAL, "InvalidInput", "mtu", "'%u' is more than the %u that the underlay carries",
                              network->mtu, max);
    return 0;
}

static int create(struct change *change)
{
    struct network *network = (struct network *)change->after;
    int r;

    if ((r = check_mtu(change, network)) < 0)
        return r;
    if (!change_gives(change, "mtu"))
        network->mtu = provider_mtu(change, network);
    return provider_take_segment(change, network);
}

/* A gateway, or the holder of a floating IP's address. */
static bool leads_outside(const struct port *port)
{
    return port->device_owner && (streq(port->device_owner, DEVICE_ROUTER_GATEWAY) || port_is_floating_ip(port));
}

/* Somebody else's member of a load balancer in the network would be one nowhere.  Those at ports of theirs are found by these.  0 if there is none, nor
 * will be when this commits. */
static int check_members(const struct change *change, const struct network *network)
{
    size_t n, n_own = 0;
    const struct object *const *members = replica_list(request_api(change->request)->replica, RESOURCE_POOL_MEMBER, &n);
    _cleanup_(freep) char **own = calloc(n + 1, sizeof(*own)); /* The request's own ones may stay. */
    char prefix[BALANCING_KEY_SIZE];

    if (!own)
        return -ENOMEM;
    for (size_t i = 0; i < n; i++) {
        if (!streq(((const struct pool_member *)members[i])->at_network_id, network->object.id) || streq(members[i]->project_id, network->object.project_id))
            continue;
        if (!streq(members[i]->project_id, request_auth(change->request)->project_id))
            return error_set_type(change->error, -EBUSY, network->shared ? "InvalidSharedSetting" : "ExternalNetworkInUse", NULL,
                                  "Unable to take network %s from the other projects. Multiple tenants are using it, for "
                                  "example with member %s of a load balancer.", network->object.id, members[i]->id);
        own[n_own++] = (char *)members[i]->id;
    }
    plan_require_only(change->plan, balancing_part_key(network->object.id, "", prefix), own, n_own);
    return 0;
}

static int update(struct change *change)
{
    const struct network *before = (const struct network *)change->before, *after = (struct network *)change->after;
    const struct replica_member *ports = replica_ports_by_network(request_api(change->request)->replica, before->object.id);
    int r = check_mtu(change, after);

    if (r < 0)
        return r;
    if (before->is_external && !after->is_external)
        REPLICA_FOREACH (member, ports)
            if (leads_outside((const struct port *)member->object))
                return error_set_type(change->error, -EBUSY, "ExternalNetworkInUse", "router:external",
                                      "External network %s cannot be updated to be made non-external, since it has existing gateway ports",
                                      before->object.id);
    if (is_visible(change->request, &before->object) && !is_visible(change->request, &after->object)) {
        REPLICA_FOREACH (member, ports)
            if (!streq(member->object->project_id, before->object.project_id) &&
                !streq(member->object->project_id, request_auth(change->request)->project_id))
                return error_set_type(change->error, -EBUSY, before->shared ? "InvalidSharedSetting" : "ExternalNetworkInUse", NULL,
                                      "Unable to take network %s from the other projects. Multiple tenants are using it, for "
                                      "example with port %s.", before->object.id, member->object->id);
        if ((r = check_members(change, before)) < 0)
            return r;
        return ports_require_only(change->plan, before->object.id, ports);
    }
    return before->is_external && !after->is_external ? ports_require_only(change->plan, before->object.id, ports) : 0;
}

/* The floating IP whose address the port holds, if it leads nowhere. */
static const struct floating_ip *unused_floating_ip(const struct replica *replica, const struct port *port)
{
    const struct floating_ip *floating_ip =
        port_is_floating_ip(port) ? (const struct floating_ip *)replica_get(replica, RESOURCE_FLOATING_IP, port->device_id) : NULL;

    return floating_ip && !floating_ip->router_id[0] ? floating_ip : NULL;
}

/* Its subnets go with it, ports that only serve the network, and floating IPs that lead nowhere. */
static int delete_network(struct change *change)
{
    const struct network *network = (const struct network *)change->before;
    const struct replica *replica = request_api(change->request)->replica;
    const struct replica_member *ports = replica_ports_by_network(replica, network->object.id);

    REPLICA_FOREACH (member, ports)
        if (!port_is_auto_deleted((const struct port *)member->object) &&
            !unused_floating_ip(replica, (const struct port *)member->object))
            return error_set_type(change->error, -EBUSY, "NetworkInUse", NULL,
                                  "Unable to complete operation on network %s. There are one or more ports still in use on the "
                                  "network, id for these ports is %s.", network->object.id, member->object->id);
    REPLICA_FOREACH (member, ports) {
        const struct floating_ip *floating_ip = unused_floating_ip(replica, (const struct port *)member->object);

        if (floating_ip)
            floating_ip_plan_delete(change->plan, floating_ip);
        else
            port_plan_delete(change->plan, (const struct port *)member->object);
    }
    REPLICA_FOREACH (member, replica_subnets_by_network(replica, network->object.id)) {
        plan_delete(change->plan, member->object);
        plan_end_turns(change->plan, TURN_SUBNET, member->object->id);
    }
    provider_leave_segment(change->plan, network);
    if (network->is_external)
        routed_forget(change->plan, network);
    return ports_require_only(change->plan, network->object.id, ports);
}

const struct resource network_resource = {
    .schema = &network_schema,
    .computed = computed,
    .indexed_filters = indexed_filters,
    .not_found = "NetworkNotFound",
    .title = "Network",
    .is_visible = is_visible,
    .create = create,
    .update = update,
    .delete = delete_network,
};
