#include "naive-relevance.h"

#include <stdlib.h>
#include <string.h>

#include "weft/base/util.h"

/* "break" ends only the inner of the two loops: not used in them. */
#define EACH(type, one, replica, kind)                                                                     \
    size_t n_##one;                                                                                        \
    const struct object *const *all_##one = replica_list(replica, kind, &n_##one);                         \
    for (size_t i_##one = 0; i_##one < n_##one; i_##one++)                                                 \
        for (const struct type *one = (const struct type *)all_##one[i_##one]; one; one = NULL)

static bool has(const struct naive_set *set, const char *id)
{
    for (size_t i = 0; i < set->n; i++)
        if (streq(set->ids[i], id))
            return true;
    return false;
}

/* Whether it is new. */
static bool add(struct naive_set *set, const char *id)
{
    if (!*id || has(set, id))
        return false;
    if (set->n == NAIVE_SET_MAX)
        abort();
    string_copy(set->ids[set->n++], UUID_TEXT_SIZE, id);
    return true;
}

static bool has_uplink(const struct host *host, const char *physical_network)
{
    for (size_t i = 0; physical_network && i < host->n_physical_networks; i++)
        if (streq(host->physical_networks[i].text, physical_network))
            return true;
    return false;
}

static bool is_router_port(const struct port *port)
{
    return port->device_owner && port->device_id &&
           (streq(port->device_owner, "network:router_gateway") || streq(port->device_owner, "network:router_interface"));
}

/* One round over the ports of routers; whether something is new. */
static bool extend(struct naive *naive)
{
    bool is_more = false;

    EACH(port, port, naive->replica, RESOURCE_PORT) {
        const struct network *network = replica_network(naive->replica, port->network_id);

        if (!is_router_port(port))
            continue;
        if (streq(port->device_owner, "network:router_gateway")) {
            if (has(&naive->uplinked, port->network_id))
                is_more |= add(&naive->routers, port->device_id);
            if (has(&naive->routers, port->device_id))
                is_more |= add(&naive->visible, port->network_id);
        } else {
            if (has(&naive->here, port->network_id) || (has(&naive->whole, port->network_id) && network && !network->is_external))
                is_more |= add(&naive->routers, port->device_id);
            if (has(&naive->routers, port->device_id))
                is_more |= add(&naive->whole, port->network_id);
        }
    }
    return is_more;
}

static bool is_at(const struct pool_member *member, const struct port *port)
{
    for (size_t i = 0; i < port->n_fixed_ips; i++)
        if (streq(port->fixed_ips[i].subnet_id, member->at_subnet_id) && ip_equal(&port->fixed_ips[i].address, &member->address))
            return true;
    return false;
}

/* The networks of VIPs that have a member here. */
static void add_served(struct naive *naive, const struct host *host)
{
    EACH(pool_member, member, naive->replica, RESOURCE_POOL_MEMBER) {
        const struct load_balancer *load_balancer =
            (const struct load_balancer *)replica_get(naive->replica, RESOURCE_LOAD_BALANCER, member->load_balancer_id);

        EACH(port, port, naive->replica, RESOURCE_PORT)
            if (load_balancer && port->binding_host_id && streq(port->binding_host_id, host->object.name) && is_at(member, port))
                add(&naive->here, load_balancer->vip_network_id);
    }
}

static void add_load_balancers(struct naive *naive)
{
    EACH(load_balancer, load_balancer, naive->replica, RESOURCE_LOAD_BALANCER)
        if (has(&naive->whole, load_balancer->vip_network_id))
            add(&naive->load_balancers, load_balancer->object.id);
    EACH(pool_member, member, naive->replica, RESOURCE_POOL_MEMBER)
        if (has(&naive->load_balancers, member->load_balancer_id))
            add(&naive->visible, member->at_network_id);
}

void naive_compute(const struct replica *replica, const struct host *host, struct naive *naive)
{
    *naive = (struct naive){.replica = replica, .host = host};
    EACH(network, network, replica, RESOURCE_NETWORK)
        if (has_uplink(host, network->physical_network)) {
            add(&naive->uplinked, network->object.id);
            add(&naive->here, network->object.id);
        }
    EACH(port, port, replica, RESOURCE_PORT) {
        if (!port->binding_host_id || !streq(port->binding_host_id, host->object.name))
            continue;
        add(&naive->here, port->network_id);
        add(&naive->local_ports, port->object.id);
        add(&naive->local_projects, port->object.project_id);
        for (size_t i = 0; i < port->n_security_groups; i++)
            add(&naive->local_groups, port->security_groups[i].id);
    }
    add_served(naive, host);
    naive->whole = naive->here;
    while (extend(naive))
        ;
    add_load_balancers(naive);
    EACH(security_group_rule, rule, replica, RESOURCE_SECURITY_GROUP_RULE)
        if (has(&naive->local_groups, rule->security_group_id)) {
            add(&naive->named_groups, rule->remote_group_id);
            add(&naive->address_groups, rule->remote_address_group_id);
        }
}

static bool has_port(const struct naive *naive, const struct port *port)
{
    if (has(&naive->whole, port->network_id) || (is_router_port(port) && has(&naive->routers, port->device_id)))
        return true;
    EACH(pool_member, member, naive->replica, RESOURCE_POOL_MEMBER)
        if (has(&naive->load_balancers, member->load_balancer_id) && is_at(member, port))
            return true;
    for (size_t i = 0; i < port->n_security_groups; i++)
        if (has(&naive->named_groups, port->security_groups[i].id))
            return true;
    return false;
}

static bool has_network(const struct naive *naive, const char *id)
{
    return has(&naive->whole, id) || has(&naive->visible, id);
}

static bool has_firewall_group(const struct naive *naive, const struct firewall_group *group)
{
    for (size_t i = 0; i < group->n_ports; i++) {
        const struct port *port = replica_port(naive->replica, group->ports[i].id);

        if (port && is_router_port(port) && has(&naive->routers, port->device_id))
            return true;
    }
    return false;
}

static bool has_firewall_policy(const struct naive *naive, const char *id)
{
    EACH(firewall_group, group, naive->replica, RESOURCE_FIREWALL_GROUP)
        if ((streq(group->ingress_policy_id, id) || streq(group->egress_policy_id, id)) && has_firewall_group(naive, group))
            return true;
    return false;
}

static bool has_firewall_rule(const struct naive *naive, const char *id)
{
    EACH(firewall_policy, policy, naive->replica, RESOURCE_FIREWALL_POLICY)
        for (size_t k = 0; k < policy->n_rules; k++)
            if (streq(policy->rules[k].id, id) && has_firewall_policy(naive, policy->object.id))
                return true;
    return false;
}

/* About what firewalls decide. */
static bool has_firewall_log(const struct naive *naive, const struct network_log *log)
{
    EACH(firewall_group, group, naive->replica, RESOURCE_FIREWALL_GROUP) {
        bool fits = *log->target_id ? false : *log->resource_id ? streq(log->resource_id, group->object.id) : streq(log->object.project_id, group->object.project_id);

        for (size_t i = 0; *log->target_id && i < group->n_ports; i++)
            fits |= streq(group->ports[i].id, log->target_id);
        if (fits && log->enabled && has_firewall_group(naive, group))
            return true;
    }
    return false;
}

static bool has_log(const struct naive *naive, const struct network_log *log)
{
    if (streq(log->resource_type, LOG_FIREWALL_GROUP))
        return has_firewall_log(naive, log);
    if (*log->target_id)
        return log->enabled && has(&naive->local_ports, log->target_id);
    if (*log->resource_id)
        return log->enabled && has(&naive->local_groups, log->resource_id);
    return log->enabled && has(&naive->local_projects, log->object.project_id);
}

bool naive_has(const struct naive *naive, const struct object *object)
{
    const struct floating_ip *floating_ip;

    switch (object->kind) {
    case RESOURCE_HOST:
        return true;
    case RESOURCE_NETWORK:
        return has_network(naive, object->id);
    case RESOURCE_SUBNET:
        return has_network(naive, ((const struct subnet *)object)->network_id);
    case RESOURCE_PORT:
        return has_port(naive, (const struct port *)object);
    case RESOURCE_ROUTER:
        return has(&naive->routers, object->id);
    case RESOURCE_SNAT_BLOCK:
        return has(&naive->routers, ((const struct snat_block *)object)->router_id);
    case RESOURCE_FLOATING_IP:
        floating_ip = (const struct floating_ip *)object;
        return has(&naive->uplinked, floating_ip->floating_network_id) || has(&naive->routers, floating_ip->router_id);
    case RESOURCE_PORT_FORWARDING:
        object = replica_get(naive->replica, RESOURCE_FLOATING_IP, ((const struct port_forwarding *)object)->floating_ip_id);
        return object && naive_has(naive, object);
    case RESOURCE_SECURITY_GROUP:
        return has(&naive->local_groups, object->id) || has(&naive->named_groups, object->id);
    case RESOURCE_SECURITY_GROUP_RULE:
        return has(&naive->local_groups, ((const struct security_group_rule *)object)->security_group_id);
    case RESOURCE_ADDRESS_GROUP:
        return has(&naive->address_groups, object->id);
    case RESOURCE_FIREWALL_GROUP:
        return has_firewall_group(naive, (const struct firewall_group *)object);
    case RESOURCE_FIREWALL_POLICY:
        return has_firewall_policy(naive, object->id);
    case RESOURCE_FIREWALL_RULE:
        return has_firewall_rule(naive, object->id);
    case RESOURCE_LOG:
        return has_log(naive, (const struct network_log *)object);
    case RESOURCE_LOAD_BALANCER:
        return has(&naive->load_balancers, object->id);
    case RESOURCE_LISTENER:
        return has(&naive->load_balancers, ((const struct listener *)object)->load_balancer_id);
    case RESOURCE_POOL:
        return has(&naive->load_balancers, ((const struct pool *)object)->load_balancer_id);
    case RESOURCE_POOL_MEMBER:
        return has(&naive->load_balancers, ((const struct pool_member *)object)->load_balancer_id);
    case RESOURCE_HEALTH_MONITOR:
        return has(&naive->load_balancers, ((const struct health_monitor *)object)->load_balancer_id);
    case RESOURCE_BALANCE_ROWS:
        return has(&naive->load_balancers, ((const struct balance_rows *)object)->load_balancer_id);
    case RESOURCE_LISTENER_SHARE:
        return streq(((const struct listener_share *)object)->host, naive->host->object.name) &&
               has(&naive->load_balancers, ((const struct listener_share *)object)->load_balancer_id);
    case RESOURCE_DEFAULT_RULE:
    case RESOURCE_DEFAULT_STATEFULNESS:
    case RESOURCE_ADDRESS_SCOPE:
    case RESOURCE_SUBNET_POOL:
    case RESOURCE_N_KINDS:
        break;
    }
    return false;
}
