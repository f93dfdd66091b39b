/* What of the replica can be asked: see replica.h. */
#include <string.h>

#include "weft/api/replica-state.h"
#include "weft/base/util.h"

struct entry *replica_entry(const struct replica *replica, enum resource_kind kind, const char *id)
{
    struct hashmap_node *node = hashmap_find(&replica->kinds[kind].by_id, id, strlen(id));

    return node ? CONTAINER_OF(node, struct entry, by_id) : NULL;
}

size_t replica_lower_bound(const struct replica *replica, enum resource_kind kind, const char *id)
{
    const struct kind *its = &replica->kinds[kind];
    size_t low = 0, high = its->n;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (strcmp(its->objects[middle]->id, id) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

uint64_t replica_revision(const struct replica *replica)
{
    return replica->revision;
}

const struct object *replica_get(const struct replica *replica, enum resource_kind kind, const char *id)
{
    const struct entry *entry = replica_entry(replica, kind, id);

    return entry ? entry->object : NULL;
}

const struct network *replica_network(const struct replica *replica, const char *id)
{
    return (const struct network *)replica_get(replica, RESOURCE_NETWORK, id);
}

const struct subnet *replica_subnet(const struct replica *replica, const char *id)
{
    return (const struct subnet *)replica_get(replica, RESOURCE_SUBNET, id);
}

const struct port *replica_port(const struct replica *replica, const char *id)
{
    return (const struct port *)replica_get(replica, RESOURCE_PORT, id);
}

const struct host *replica_host(const struct replica *replica, const char *id)
{
    return (const struct host *)replica_get(replica, RESOURCE_HOST, id);
}

const struct host *replica_host_by_name(const struct replica *replica, const char *name)
{
    const struct replica_member *member = replica_by_name(replica, RESOURCE_HOST, name);

    return member ? (const struct host *)member->object : NULL;
}

const struct port *replica_port_by_tap(const struct replica *replica, const char *id)
{
    const struct kind *ports = &replica->kinds[RESOURCE_PORT];
    char prefix[12] = {0};
    size_t at;

    memcpy(prefix, id, strnlen(id, 11));
    at = replica_lower_bound(replica, RESOURCE_PORT, prefix);
    if (at == ports->n || strncmp(ports->objects[at]->id, prefix, 11) != 0)
        return NULL;
    return (const struct port *)ports->objects[at];
}

static const struct replica_member *by_address(const struct replica *replica, enum replica_property property, enum resource_kind kind,
                                               const char *subnet_id, const struct ip_address *address)
{
    uint8_t value[REPLICA_ADDRESS_SIZE];

    replica_index_address(subnet_id, address, value);
    return replica_index_find(&replica->index, property, kind, value, sizeof value, NULL);
}

const struct replica_member *replica_ports_by_address(const struct replica *replica, const char *subnet_id, const struct ip_address *address)
{
    return by_address(replica, REPLICA_PORT_BY_ADDRESS, RESOURCE_PORT, subnet_id, address);
}

const struct replica_member *replica_members_by_address(const struct replica *replica, const char *subnet_id, const struct ip_address *address)
{
    return by_address(replica, REPLICA_MEMBERS_BY_ADDRESS, RESOURCE_POOL_MEMBER, subnet_id, address);
}

const struct port *replica_port_by_address(const struct replica *replica, const char *subnet_id, const struct ip_address *address)
{
    const struct replica_member *member = replica_ports_by_address(replica, subnet_id, address);

    return member ? (const struct port *)member->object : NULL;
}

const struct object *const *replica_list(const struct replica *replica, enum resource_kind kind, size_t *ret_n)
{
    *ret_n = replica->kinds[kind].n;
    return replica->kinds[kind].objects;
}

/* Whose property it is; of those that all kinds have, the caller says which kind. */
static enum resource_kind kind_of(enum replica_property property)
{
    switch (property) {
    case REPLICA_SUBNETS_BY_NETWORK:
    case REPLICA_SUBNETS_BY_POOL:
        return RESOURCE_SUBNET;
    case REPLICA_POOLS_BY_ADDRESS_SCOPE:
        return RESOURCE_SUBNET_POOL;
    case REPLICA_RULES_BY_GROUP:
    case REPLICA_RULES_BY_REMOTE_GROUP:
    case REPLICA_RULES_BY_ADDRESS_GROUP:
    case REPLICA_RULE_BY_TEXT:
        return RESOURCE_SECURITY_GROUP_RULE;
    case REPLICA_FLOATING_IPS_BY_NETWORK:
    case REPLICA_FLOATING_IPS_BY_PORT:
    case REPLICA_FLOATING_IPS_BY_ROUTER:
        return RESOURCE_FLOATING_IP;
    case REPLICA_FORWARDINGS_BY_FLOATING_IP:
    case REPLICA_FORWARDINGS_BY_PORT:
        return RESOURCE_PORT_FORWARDING;
    case REPLICA_NETWORKS_BY_PHYSICAL_NETWORK:
        return RESOURCE_NETWORK;
    case REPLICA_SNAT_BLOCKS_BY_ROUTER:
        return RESOURCE_SNAT_BLOCK;
    case REPLICA_DEFAULT_GROUP:
        return RESOURCE_SECURITY_GROUP;
    case REPLICA_DEFAULT_STATEFULNESS:
        return RESOURCE_DEFAULT_STATEFULNESS;
    case REPLICA_LOGS_BY_RESOURCE:
    case REPLICA_LOGS_BY_TARGET:
    case REPLICA_LOGS_OF_PROJECT:
        return RESOURCE_LOG;
    case REPLICA_DEFAULT_RULES_BY_REMOTE_GROUP:
    case REPLICA_DEFAULT_RULES_BY_ADDRESS_GROUP:
        return RESOURCE_DEFAULT_RULE;
    case REPLICA_FIREWALL_POLICIES_BY_RULE:
        return RESOURCE_FIREWALL_POLICY;
    case REPLICA_FIREWALL_GROUPS_BY_POLICY:
    case REPLICA_FIREWALL_GROUPS_BY_PORT:
    case REPLICA_DEFAULT_FIREWALL_GROUP:
        return RESOURCE_FIREWALL_GROUP;
    case REPLICA_LOAD_BALANCERS_BY_NETWORK:
    case REPLICA_LOAD_BALANCERS_BY_PORT:
        return RESOURCE_LOAD_BALANCER;
    case REPLICA_SHARES_BY_LISTENER:
    case REPLICA_SHARES_BY_HOST:
        return RESOURCE_LISTENER_SHARE;
    case REPLICA_LISTENERS_BY_POOL:
        return RESOURCE_LISTENER;
    case REPLICA_MEMBERS_BY_POOL:
        return RESOURCE_POOL_MEMBER;
    case REPLICA_MONITORS_BY_POOL:
        return RESOURCE_HEALTH_MONITOR;
    default:
        return RESOURCE_PORT;
    }
}

const struct replica_member *replica_find(const struct replica *replica, enum replica_property property, const char *text)
{
    return replica_index_find(&replica->index, property, kind_of(property), text, strlen(text), NULL);
}

size_t replica_count(const struct replica *replica, enum replica_property property, const char *text)
{
    size_t count;

    replica_index_find(&replica->index, property, kind_of(property), text, strlen(text), &count);
    return count;
}

const struct replica_member *replica_ports_by_network(const struct replica *replica, const char *network_id)
{
    return replica_find(replica, REPLICA_PORTS_BY_NETWORK, network_id);
}

const struct replica_member *replica_ports_by_subnet(const struct replica *replica, const char *subnet_id)
{
    return replica_find(replica, REPLICA_PORTS_BY_SUBNET, subnet_id);
}

const struct replica_member *replica_ports_by_host(const struct replica *replica, const char *host_name)
{
    return replica_find(replica, REPLICA_PORTS_BY_HOST, host_name);
}

const struct replica_member *replica_ports_by_device(const struct replica *replica, const char *device_id)
{
    return replica_find(replica, REPLICA_PORTS_BY_DEVICE, device_id);
}

const struct replica_member *replica_ports_by_mac(const struct replica *replica, const struct mac_address *mac)
{
    return replica_index_find(&replica->index, REPLICA_PORTS_BY_MAC, RESOURCE_PORT, mac->bytes, sizeof mac->bytes, NULL);
}

const struct replica_member *replica_subnets_by_network(const struct replica *replica, const char *network_id)
{
    return replica_find(replica, REPLICA_SUBNETS_BY_NETWORK, network_id);
}

const struct replica_member *replica_ports_by_security_group(const struct replica *replica, const char *group_id)
{
    return replica_find(replica, REPLICA_PORTS_BY_SECURITY_GROUP, group_id);
}

const struct replica_member *replica_rules_by_group(const struct replica *replica, const char *group_id)
{
    return replica_find(replica, REPLICA_RULES_BY_GROUP, group_id);
}

const struct replica_member *replica_by_name(const struct replica *replica, enum resource_kind kind, const char *name)
{
    return replica_index_find(&replica->index, REPLICA_BY_NAME, kind, name, strlen(name), NULL);
}

const struct replica_member *replica_by_project(const struct replica *replica, enum resource_kind kind, const char *project_id)
{
    return replica_index_find(&replica->index, REPLICA_BY_PROJECT, kind, project_id, strlen(project_id), NULL);
}

const struct replica_member *replica_by_load_balancer(const struct replica *replica, enum resource_kind kind, const char *load_balancer_id)
{
    return replica_index_find(&replica->index, REPLICA_BY_LOAD_BALANCER, kind, load_balancer_id, strlen(load_balancer_id), NULL);
}

const struct replica_member *replica_shared(const struct replica *replica, enum resource_kind kind)
{
    return replica_index_find(&replica->index, REPLICA_SHARED, kind, "yes", 3, NULL);
}

size_t replica_count_by_network(const struct replica *replica, enum resource_kind kind, const char *network_id)
{
    return replica_count(replica, kind == RESOURCE_PORT ? REPLICA_PORTS_BY_NETWORK : REPLICA_SUBNETS_BY_NETWORK, network_id);
}

size_t replica_count_by_host(const struct replica *replica, const char *host_name)
{
    return replica_count(replica, REPLICA_PORTS_BY_HOST, host_name);
}

size_t replica_count_by_project(const struct replica *replica, enum resource_kind kind, const char *project_id)
{
    size_t count;

    replica_index_find(&replica->index, REPLICA_BY_PROJECT, kind, project_id, strlen(project_id), &count);
    return count;
}
