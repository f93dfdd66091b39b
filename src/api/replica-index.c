#include "weft/api/replica-index.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "weft/base/util.h"

#define KEY_MAX_SIZE 300

struct group {
    struct hashmap_node node;
    struct replica_member *first;
    uint32_t count;
    uint32_t key_size;
    char key[]; /* The property, the kind, the value. */
};

struct place {
    struct replica_member member;
    struct group *group;
};

static size_t group_key(char key[KEY_MAX_SIZE], enum replica_property property, enum resource_kind kind, const void *value, size_t size)
{
    size = MIN(size, (size_t)KEY_MAX_SIZE - 2);
    key[0] = (char)property;
    key[1] = (char)kind;
    memcpy(key + 2, value, size);
    return size + 2;
}

static struct group *group_find(const struct replica_index *index, const char *key, size_t key_size)
{
    struct hashmap_node *node = hashmap_find(&index->groups, key, key_size);

    return node ? CONTAINER_OF(node, struct group, node) : NULL;
}

static struct group *group_get(struct replica_index *index, const char *key, size_t key_size)
{
    struct group *group = group_find(index, key, key_size);

    if (group || !(group = malloc(sizeof(*group) + key_size)))
        return group;
    *group = (struct group){.key_size = (uint32_t)key_size};
    memcpy(group->key, key, key_size);
    if (hashmap_insert(&index->groups, &group->node, group->key, key_size) < 0) {
        free(group);
        return NULL;
    }
    return group;
}

static void leave(struct replica_index *index, struct place *place)
{
    struct group *group = place->group;

    if (place->member.previous)
        place->member.previous->next = place->member.next;
    else
        group->first = place->member.next;
    if (place->member.next)
        place->member.next->previous = place->member.previous;
    if (--group->count == 0) {
        hashmap_remove(&index->groups, &group->node);
        free(group);
    }
}

/* A walk over the values that an object has: first they are counted ('list' is NULL), then entered. */
struct walk {
    struct replica_index *index;
    const struct object *object;
    struct place *list;
    size_t n;
    int r;
};

static void add(struct walk *walk, enum replica_property property, const void *value, size_t size)
{
    char key[KEY_MAX_SIZE];
    size_t key_size;
    struct place *place;

    if (!walk->list) {
        walk->n++;
        return;
    }
    if (walk->r < 0)
        return;
    place = &walk->list[walk->n];
    key_size = group_key(key, property, walk->object->kind, value, size);
    place->group = group_get(walk->index, key, key_size);
    if (!place->group) {
        walk->r = -ENOMEM;
        return;
    }
    place->member = (struct replica_member){.object = walk->object, .next = place->group->first};
    if (place->group->first)
        place->group->first->previous = &place->member;
    place->group->first = &place->member;
    place->group->count++;
    walk->n++;
}

static void add_text(struct walk *walk, enum replica_property property, const char *text)
{
    if (text && *text)
        add(walk, property, text, strlen(text));
}

void replica_index_address(const char *subnet_id, const struct ip_address *address, uint8_t value[REPLICA_ADDRESS_SIZE])
{
    memset(value, 0, REPLICA_ADDRESS_SIZE);
    memcpy(value, address->bytes, 16);
    memcpy(value + 16, subnet_id, strnlen(subnet_id, UUID_TEXT_SIZE - 1));
}

static void each_property_of_port(struct walk *walk, const struct port *port)
{
    uint8_t address[REPLICA_ADDRESS_SIZE];

    add_text(walk, REPLICA_PORTS_BY_NETWORK, port->network_id);
    add_text(walk, REPLICA_PORTS_BY_HOST, port->binding_host_id);
    add_text(walk, REPLICA_PORTS_BY_DEVICE, port->device_id);
    add(walk, REPLICA_PORTS_BY_MAC, port->mac.bytes, sizeof port->mac.bytes);
    for (size_t i = 0; i < port->n_fixed_ips; i++) {
        replica_index_address(port->fixed_ips[i].subnet_id, &port->fixed_ips[i].address, address);
        add(walk, REPLICA_PORT_BY_ADDRESS, address, sizeof address);
        add_text(walk, REPLICA_PORTS_BY_SUBNET, port->fixed_ips[i].subnet_id);
    }
    for (size_t i = 0; i < port->n_security_groups; i++)
        add_text(walk, REPLICA_PORTS_BY_SECURITY_GROUP, port->security_groups[i].id);
    if (router_port_kind(port) != ROUTER_PORT_NONE)
        add_text(walk, REPLICA_ROUTER_PORTS_BY_NETWORK, port->network_id);
}

static void each_property_of_rule(struct walk *walk, const struct security_group_rule *rule)
{
    char text[UUID_TEXT_SIZE + RULE_TEXT_SIZE], rest[RULE_TEXT_SIZE];

    snprintf(text, sizeof text, "%s/%s", rule->security_group_id, security_group_rule_text(rule, rest));
    add_text(walk, REPLICA_RULE_BY_TEXT, text);
    add_text(walk, REPLICA_RULES_BY_GROUP, rule->security_group_id);
    add_text(walk, REPLICA_RULES_BY_REMOTE_GROUP, rule->remote_group_id);
    add_text(walk, REPLICA_RULES_BY_ADDRESS_GROUP, rule->remote_address_group_id);
}

static void each_property_of_floating_ip(struct walk *walk, const struct floating_ip *floating_ip)
{
    add_text(walk, REPLICA_FLOATING_IPS_BY_NETWORK, floating_ip->floating_network_id);
    add_text(walk, REPLICA_FLOATING_IPS_BY_PORT, floating_ip->port_id);
    add_text(walk, REPLICA_FLOATING_IPS_BY_ROUTER, floating_ip->router_id);
}

static void each_property_of_forwarding(struct walk *walk, const struct port_forwarding *forwarding)
{
    add_text(walk, REPLICA_FORWARDINGS_BY_FLOATING_IP, forwarding->floating_ip_id);
    add_text(walk, REPLICA_FORWARDINGS_BY_PORT, forwarding->internal_port_id);
}

static void each_property_of_firewall_policy(struct walk *walk, const struct firewall_policy *policy)
{
    for (size_t i = 0; i < policy->n_rules; i++)
        add_text(walk, REPLICA_FIREWALL_POLICIES_BY_RULE, policy->rules[i].id);
    add_text(walk, REPLICA_SHARED, policy->shared ? "yes" : NULL);
}

static void each_property_of_firewall_group(struct walk *walk, const struct firewall_group *group)
{
    for (size_t i = 0; i < group->n_ports; i++)
        add_text(walk, REPLICA_FIREWALL_GROUPS_BY_PORT, group->ports[i].id);
    add_text(walk, REPLICA_FIREWALL_GROUPS_BY_POLICY, group->ingress_policy_id);
    if (!streq(group->egress_policy_id, group->ingress_policy_id))
        add_text(walk, REPLICA_FIREWALL_GROUPS_BY_POLICY, group->egress_policy_id);
    if (group->is_default)
        add_text(walk, REPLICA_DEFAULT_FIREWALL_GROUP, group->object.project_id);
    add_text(walk, REPLICA_SHARED, group->shared ? "yes" : NULL);
}

static void each_property_of_log(struct walk *walk, const struct network_log *log)
{
    add_text(walk, REPLICA_LOGS_BY_RESOURCE, log->resource_id);
    add_text(walk, REPLICA_LOGS_BY_TARGET, log->target_id);
    if (!log->resource_id[0] && !log->target_id[0])
        add_text(walk, REPLICA_LOGS_OF_PROJECT, log->object.project_id);
}

static void each_property_of_load_balancer(struct walk *walk, const struct load_balancer *load_balancer)
{
    add_text(walk, REPLICA_LOAD_BALANCERS_BY_NETWORK, load_balancer->vip_network_id);
    add_text(walk, REPLICA_LOAD_BALANCERS_BY_PORT, load_balancer->vip_port_id);
}

static void each_property_of_member(struct walk *walk, const struct pool_member *member)
{
    uint8_t address[REPLICA_ADDRESS_SIZE];

    add_text(walk, REPLICA_BY_LOAD_BALANCER, member->load_balancer_id);
    add_text(walk, REPLICA_MEMBERS_BY_POOL, member->pool_id);
    replica_index_address(member->at_subnet_id, &member->address, address);
    add(walk, REPLICA_MEMBERS_BY_ADDRESS, address, sizeof address);
}

static void each_property(struct walk *walk)
{
    const struct object *object = walk->object;

    add_text(walk, REPLICA_BY_NAME, object->name);
    add_text(walk, REPLICA_BY_PROJECT, object->project_id);
    switch (object->kind) {
    case RESOURCE_SUBNET:
        add_text(walk, REPLICA_SUBNETS_BY_NETWORK, ((const struct subnet *)object)->network_id);
        add_text(walk, REPLICA_SUBNETS_BY_POOL, ((const struct subnet *)object)->subnetpool_id);
        break;
    case RESOURCE_SUBNET_POOL:
        add_text(walk, REPLICA_POOLS_BY_ADDRESS_SCOPE, ((const struct subnet_pool *)object)->address_scope_id);
        break;
    case RESOURCE_PORT:
        each_property_of_port(walk, (const struct port *)object);
        break;
    case RESOURCE_SECURITY_GROUP_RULE:
        each_property_of_rule(walk, (const struct security_group_rule *)object);
        break;
    case RESOURCE_NETWORK:
        add_text(walk, REPLICA_NETWORKS_BY_PHYSICAL_NETWORK, ((const struct network *)object)->physical_network);
        break;
    case RESOURCE_FLOATING_IP:
        each_property_of_floating_ip(walk, (const struct floating_ip *)object);
        break;
    case RESOURCE_PORT_FORWARDING:
        each_property_of_forwarding(walk, (const struct port_forwarding *)object);
        break;
    case RESOURCE_SNAT_BLOCK:
        add_text(walk, REPLICA_SNAT_BLOCKS_BY_ROUTER, ((const struct snat_block *)object)->router_id);
        break;
    case RESOURCE_SECURITY_GROUP:
        if (((const struct security_group *)object)->is_default)
            add_text(walk, REPLICA_DEFAULT_GROUP, object->project_id);
        break;
    case RESOURCE_FIREWALL_RULE:
        add_text(walk, REPLICA_SHARED, ((const struct firewall_rule *)object)->shared ? "yes" : NULL);
        break;
    case RESOURCE_FIREWALL_POLICY:
        each_property_of_firewall_policy(walk, (const struct firewall_policy *)object);
        break;
    case RESOURCE_FIREWALL_GROUP:
        each_property_of_firewall_group(walk, (const struct firewall_group *)object);
        break;
    case RESOURCE_DEFAULT_STATEFULNESS:
        add(walk, REPLICA_DEFAULT_STATEFULNESS, object->project_id, strlen(object->project_id));
        break;
    case RESOURCE_LOG:
        each_property_of_log(walk, (const struct network_log *)object);
        break;
    case RESOURCE_LOAD_BALANCER:
        each_property_of_load_balancer(walk, (const struct load_balancer *)object);
        break;
    case RESOURCE_LISTENER:
        add_text(walk, REPLICA_BY_LOAD_BALANCER, ((const struct listener *)object)->load_balancer_id);
        add_text(walk, REPLICA_LISTENERS_BY_POOL, ((const struct listener *)object)->default_pool_id);
        break;
    case RESOURCE_POOL:
        add_text(walk, REPLICA_BY_LOAD_BALANCER, ((const struct pool *)object)->load_balancer_id);
        break;
    case RESOURCE_POOL_MEMBER:
        each_property_of_member(walk, (const struct pool_member *)object);
        break;
    case RESOURCE_HEALTH_MONITOR:
        add_text(walk, REPLICA_BY_LOAD_BALANCER, ((const struct health_monitor *)object)->load_balancer_id);
        add_text(walk, REPLICA_MONITORS_BY_POOL, ((const struct health_monitor *)object)->pool_id);
        break;
    case RESOURCE_BALANCE_ROWS:
        add_text(walk, REPLICA_BY_LOAD_BALANCER, ((const struct balance_rows *)object)->load_balancer_id);
        break;
    case RESOURCE_LISTENER_SHARE:
        add_text(walk, REPLICA_BY_LOAD_BALANCER, ((const struct listener_share *)object)->load_balancer_id);
        add_text(walk, REPLICA_SHARES_BY_LISTENER, ((const struct listener_share *)object)->listener_id);
        add_text(walk, REPLICA_SHARES_BY_HOST, ((const struct listener_share *)object)->host);
        break;
    case RESOURCE_DEFAULT_RULE:
        add_text(walk, REPLICA_DEFAULT_RULES_BY_REMOTE_GROUP, ((const struct security_group_rule *)object)->remote_group_id);
        add_text(walk, REPLICA_DEFAULT_RULES_BY_ADDRESS_GROUP, ((const struct security_group_rule *)object)->remote_address_group_id);
        break;
    default:
        break;
    }
}

int replica_index_add(struct replica_index *index, const struct object *object, struct replica_places *places)
{
    struct walk walk = {.index = index, .object = object};

    each_property(&walk);
    *places = (struct replica_places){0};
    if (walk.n == 0)
        return 0;
    walk.list = calloc(walk.n, sizeof *walk.list);
    if (!walk.list)
        return -ENOMEM;
    walk.n = 0;
    each_property(&walk);
    *places = (struct replica_places){.list = walk.list, .n = walk.n};
    return walk.r;
}

void replica_index_remove(struct replica_index *index, struct replica_places *places)
{
    for (size_t i = 0; i < places->n; i++)
        leave(index, &places->list[i]);
    free(places->list);
    *places = (struct replica_places){0};
}

const struct replica_member *replica_index_find(const struct replica_index *index, enum replica_property property, enum resource_kind kind,
                                                const void *value, size_t size, size_t *ret_count)
{
    char key[KEY_MAX_SIZE];
    const struct group *group = group_find(index, key, group_key(key, property, kind, value, size));

    if (ret_count)
        *ret_count = group ? group->count : 0;
    return group ? group->first : NULL;
}
