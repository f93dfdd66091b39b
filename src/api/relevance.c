#include "weft/api/relevance.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "weft/api/relevance-state.h"
#include "weft/base/util.h"

struct interest *interest_find(const struct hashmap *map, const char *id)
{
    struct hashmap_node *node = hashmap_find(map, id, strlen(id));

    return node ? CONTAINER_OF(node, struct interest, node) : NULL;
}

struct interest *interest_get(struct relevance *relevance, struct hashmap *map, const char *id)
{
    struct interest *interest = interest_find(map, id);

    if (interest)
        return interest;
    interest = calloc(1, sizeof(*interest));
    if (interest)
        string_copy(interest->id, sizeof(interest->id), id);
    if (!interest || hashmap_insert(map, &interest->node, interest->id, strlen(interest->id)) < 0) {
        free(interest);
        relevance->is_broken = true;
        return NULL;
    }
    return interest;
}

void interest_remove(struct hashmap *map, struct interest *interest)
{
    hashmap_remove(map, &interest->node);
    free(interest);
}

static void clear(struct hashmap *map)
{
    HASHMAP_FOREACH(node, map)
        free(CONTAINER_OF(node, struct interest, node));
    hashmap_clear(map);
}

void relevance_touch(struct relevance *relevance, const struct object *object)
{
    if (!relevance_has(relevance, object))
        relevance->mark(object, relevance->context);
}

void relevance_touch_all(struct relevance *relevance, const struct replica_member *first)
{
    REPLICA_FOREACH(member, first)
        relevance_touch(relevance, member->object);
}

bool relevance_is_bound(const struct relevance *relevance, const struct port *port)
{
    return port && port->binding_host_id && streq(port->binding_host_id, relevance->host_name);
}

int relevance_new(const struct replica *replica, const struct host *host, relevance_mark_fn mark, void *context, struct relevance **ret_relevance)
{
    _cleanup_(relevance_freep) struct relevance *relevance = calloc(1, sizeof(*relevance));
    const struct object *const *hosts;
    size_t n;

    if (!relevance || !(relevance->host_name = strdup(host->object.name)))
        return -ENOMEM;
    relevance->replica = replica;
    relevance->mark = mark;
    relevance->context = context;
    string_copy(relevance->host_id, sizeof(relevance->host_id), host->object.id);
    hosts = replica_list(replica, RESOURCE_HOST, &n);
    for (size_t i = 0; i < n; i++)
        mark(hosts[i], context);
    graph_start(relevance, host);
    REPLICA_FOREACH(member, replica_ports_by_host(replica, relevance->host_name)) {
        groups_port_changed(relevance, NULL, (const struct port *)member->object);
        logs_port_changed(relevance, NULL, (const struct port *)member->object);
    }
    balance_start(relevance);
    balance_settle(relevance);
    if (relevance->is_broken)
        return -ENOMEM;
    *ret_relevance = TAKE_PTR(relevance);
    return 0;
}

void relevance_free(struct relevance *relevance)
{
    if (!relevance)
        return;
    clear(&relevance->networks);
    clear(&relevance->routers);
    clear(&relevance->groups);
    clear(&relevance->address_groups);
    clear(&relevance->firewall_groups);
    clear(&relevance->firewall_policies);
    clear(&relevance->firewall_rules);
    clear(&relevance->firewall_ports);
    clear(&relevance->firewall_projects);
    clear(&relevance->bound_ports);
    clear(&relevance->projects);
    clear(&relevance->load_balancers);
    free(relevance->turned);
    free(relevance->host_name);
    free(relevance);
}

int relevance_change(struct relevance *relevance, const struct replica_change *change)
{
    const void *before = change->before, *after = change->after;
    bool was = before && relevance_has(relevance, before);

    switch (change->kind) {
    case RESOURCE_NETWORK:
        graph_network_changed(relevance, before, after);
        break;
    case RESOURCE_PORT:
        graph_port_changed(relevance, before, after);
        groups_port_changed(relevance, before, after);
        logs_port_changed(relevance, before, after);
        break;
    case RESOURCE_HOST:
        graph_host_changed(relevance, before, after);
        break;
    case RESOURCE_SECURITY_GROUP_RULE:
        groups_rule_changed(relevance, before, after);
        break;
    case RESOURCE_FLOATING_IP:
        graph_floating_ip_changed(relevance, before, after);
        break;
    case RESOURCE_FIREWALL_GROUP:
        firewall_group_changed(relevance, before, after);
        break;
    case RESOURCE_FIREWALL_POLICY:
        firewall_policy_changed(relevance, before, after);
        break;
    case RESOURCE_LOAD_BALANCER:
        balance_load_balancer_changed(relevance, before, after);
        break;
    case RESOURCE_POOL_MEMBER:
        balance_member_changed(relevance, before, after);
        break;
    default:
        break;
    }
    balance_settle(relevance);
    if (was || (after && relevance_has(relevance, after)))
        relevance->mark(after ? after : before, relevance->context);
    return relevance->is_broken ? -ENOMEM : 0;
}

static bool has_port(const struct relevance *relevance, const struct port *port)
{
    if (graph_has_ports_of(relevance, port->network_id) ||
        (router_port_kind(port) != ROUTER_PORT_NONE && graph_has_router(relevance, port->device_id)))
        return true;
    if (balance_has_port(relevance, port))
        return true;
    for (size_t i = 0; i < port->n_security_groups; i++)
        if (groups_have_members_of(relevance, port->security_groups[i].id))
            return true;
    return false;
}

static bool has_forwarding(const struct relevance *relevance, const struct port_forwarding *forwarding)
{
    const struct object *floating_ip = replica_get(relevance->replica, RESOURCE_FLOATING_IP, forwarding->floating_ip_id);

    return floating_ip && graph_has_floating_ip(relevance, (const struct floating_ip *)floating_ip);
}

bool relevance_has(const struct relevance *relevance, const struct object *object)
{
    switch (object->kind) {
    case RESOURCE_HOST:
        return true;
    case RESOURCE_NETWORK:
        return graph_has_network(relevance, object->id);
    case RESOURCE_SUBNET:
        return graph_has_network(relevance, ((const struct subnet *)object)->network_id);
    case RESOURCE_PORT:
        return has_port(relevance, (const struct port *)object);
    case RESOURCE_SECURITY_GROUP:
        return groups_have(relevance, object->id);
    case RESOURCE_SECURITY_GROUP_RULE:
        return groups_have_rules_of(relevance, ((const struct security_group_rule *)object)->security_group_id);
    case RESOURCE_ADDRESS_GROUP:
        return groups_have_address_group(relevance, object->id);
    case RESOURCE_ROUTER:
        return graph_has_router(relevance, object->id);
    case RESOURCE_FLOATING_IP:
        return graph_has_floating_ip(relevance, (const struct floating_ip *)object);
    case RESOURCE_PORT_FORWARDING:
        return has_forwarding(relevance, (const struct port_forwarding *)object);
    case RESOURCE_SNAT_BLOCK:
        return graph_has_router(relevance, ((const struct snat_block *)object)->router_id);
    case RESOURCE_FIREWALL_GROUP:
        return firewall_has_group(relevance, object->id);
    case RESOURCE_FIREWALL_POLICY:
        return firewall_has_policy(relevance, object->id);
    case RESOURCE_FIREWALL_RULE:
        return firewall_has_rule(relevance, object->id);
    case RESOURCE_LOAD_BALANCER:
        return balance_has(relevance, object->id);
    case RESOURCE_LISTENER:
        return balance_has(relevance, ((const struct listener *)object)->load_balancer_id);
    case RESOURCE_POOL:
        return balance_has(relevance, ((const struct pool *)object)->load_balancer_id);
    case RESOURCE_POOL_MEMBER:
        return balance_has(relevance, ((const struct pool_member *)object)->load_balancer_id);
    case RESOURCE_HEALTH_MONITOR:
        return balance_has(relevance, ((const struct health_monitor *)object)->load_balancer_id);
    case RESOURCE_BALANCE_ROWS:
        return balance_has(relevance, ((const struct balance_rows *)object)->load_balancer_id);
    case RESOURCE_LISTENER_SHARE:
        return balance_is_share_of(relevance, (const struct listener_share *)object) &&
               balance_has(relevance, ((const struct listener_share *)object)->load_balancer_id);
    case RESOURCE_LOG:
        return logs_have(relevance, (const struct network_log *)object);
    case RESOURCE_DEFAULT_RULE: /* The API's own business. */
    case RESOURCE_DEFAULT_STATEFULNESS:
    case RESOURCE_ADDRESS_SCOPE:
    case RESOURCE_SUBNET_POOL:
    case RESOURCE_N_KINDS:
        break;
    }
    return false;
}
