/* Whose decisions change: see concerned.h. */
#include "weft/dataplane/concerned.h"

#include <errno.h>
#include <string.h>

#include "weft/base/util.h"
#include "weft/dataplane/load.h"

#define SETS(c) {&(c)->slots, &(c)->vnis, &(c)->reached, &(c)->routers, &(c)->hop_groups, &(c)->groups}

void concerned_init(struct concerned *concerned, struct maps *maps)
{
    struct rows *const sets[] = SETS(concerned);

    concerned->maps = maps;
    for (size_t i = 0; i < ARRAY_SIZE(sets); i++)
        rows_init(sets[i], sizeof(uint32_t), 0);
}

void concerned_clear(struct concerned *concerned)
{
    struct rows *const sets[] = SETS(concerned);

    for (size_t i = 0; i < ARRAY_SIZE(sets); i++)
        rows_clear(sets[i]);
}

static int mark(struct rows *set, const void *value)
{
    return rows_add(set, value, NULL);
}

/* Who answers for its addresses outside is no matter of connections. */
static bool router_port_differs(const void *old_value, const void *new_value)
{
    struct router_port_config a, b;

    memcpy(&a, old_value, sizeof(a));
    memcpy(&b, new_value, sizeof(b));
    a.flags &= ~ROUTER_PORT_ANNOUNCED;
    b.flags &= ~ROUTER_PORT_ANNOUNCED;
    return memcmp(&a, &b, sizeof(a)) != 0;
}

/* A new one only leads where nothing led; its routes are rows of their own. */
static int mark_router_port(struct concerned *concerned, const void *old_value, const void *new_value)
{
    const void *const values[] = {old_value, new_value};

    if (old_value && new_value && !router_port_differs(old_value, new_value))
        return 0;
    for (size_t i = 0; old_value && i < ARRAY_SIZE(values); i++)
        if (values[i] && mark(&concerned->routers, (const uint8_t *)values[i] + offsetof(struct router_port_config, router)) < 0)
            return -ENOMEM;
    return 0;
}

/* Who answers for the address is no matter of connections. */
static bool leads_the_same_way(const void *old_value, const void *new_value)
{
    struct external_value a, b;

    memcpy(&a, old_value, sizeof(a));
    memcpy(&b, new_value, sizeof(b));
    a.flags = b.flags = 0;
    return memcmp(&a, &b, sizeof(a)) == 0;
}

/* Blocks that come only serve new connections. */
static bool has_all_blocks(const void *old_value, const void *new_value)
{
    struct snat_config a, b;

    memcpy(&a, old_value, sizeof(a));
    memcpy(&b, new_value, sizeof(b));
    for (uint32_t i = 0; i < a.n_blocks && i < SNAT_BLOCKS_MAX; i++) {
        bool is_there = false;

        for (uint32_t k = 0; k < b.n_blocks && k < SNAT_BLOCKS_MAX; k++)
            is_there |= memcmp(&a.blocks[i], &b.blocks[k], sizeof(a.blocks[i])) == 0;
        if (!is_there)
            return false;
    }
    return a.address == b.address && a.vni == b.vni && a.object == b.object;
}

/* The router whose port had the number before. */
static int mark_router_of_port(struct concerned *concerned, const void *number)
{
    const uint8_t *port = rows_find(&concerned->maps->actual.tables[TABLE_ROUTER_PORTS], number);

    return port ? mark(&concerned->routers, port + offsetof(struct router_port_config, router)) : 0;
}

/* Who reaches the network by a router, and who is in it. */
static int mark_external(struct concerned *concerned, const void *vni)
{
    int error = mark(&concerned->reached, vni);

    return error ? error : mark(&concerned->vnis, vni);
}

/* Who may call the listener: fewer than before. */
static int mark_callers(struct concerned *concerned, const void *key)
{
    const struct rows *services = &concerned->maps->actual.tables[TABLE_SERVICES];
    struct service_source_key source;
    int error = 0;

    memcpy(&source, key, sizeof(source));
    for (size_t i = 0; i < services->n && error == 0; i++) {
        struct service_value service;

        memcpy(&service, rows_value(services, i), sizeof(service));
        if (service.listener == source.listener)
            error = mark_external(concerned, rows_key(services, i)); /* Begins with the network. */
    }
    return error;
}

/* Is the network one that this host hears outsiders on? */
static bool has_uplink(const struct concerned *concerned, uint32_t vni)
{
    struct uplink_key key = {UPLINK_BY_VNI, vni};

    return rows_find(&concerned->maps->actual.tables[TABLE_UPLINKS], &key) != NULL;
}

/* A neighbor is new: an address that somebody outside may have had, and that is that of a MAC of ours now?  (bpf/reverse-path.h.  A MAC that is new
 * itself is a row of the switch's table.)  Those that the agent finds outside come and go, and concern nobody. */
static bool becomes_ours(const struct concerned *concerned, const void *key, const void *value)
{
    struct fdb_key station = {0};

    memcpy(&station.vni, key, sizeof(station.vni));
    memcpy(station.mac, (const uint8_t *)value + offsetof(struct neighbor_value, mac), sizeof(station.mac));
    return has_uplink(concerned, station.vni) && rows_find(&concerned->maps->actual.tables[TABLE_FDB], &station);
}

/* Which connection entries may have been decided differently?  A row that only appears changes no decision (there was
 * none: the frame was dropped), unless a learned MAC stood in its place. */
int concerned_mark(struct concerned *concerned, enum desired_table table, const void *key, const void *old_value, const void *new_value)
{
    switch (table) {
    case TABLE_FDB:
    case TABLE_MOVABLE:
    case TABLE_NETWORKS: {
        uint32_t vni; /* All three keys begin with it. */

        memcpy(&vni, key, sizeof(vni));
        if (old_value)
            return mark(&concerned->vnis, &vni);
        if (table == TABLE_FDB) {
            const struct network_value *network = rows_find(&concerned->maps->actual.tables[TABLE_NETWORKS], &vni);
            uint16_t flags = 0;

            if (network)
                memcpy(&flags, &network->flags, sizeof(flags));
            if (flags & (NETWORK_FLOOD_UNKNOWN_NEIGHBORS | NETWORK_BRIDGED))
                return mark(&concerned->vnis, &vni);
            return has_uplink(concerned, vni) ? mark(&concerned->reached, &vni) : 0;
        }
        return 0;
    }
    case TABLE_SOURCES:
        return mark(&concerned->slots, (const uint8_t *)key + offsetof(struct source_key, slot));
    case TABLE_NEIGHBORS: /* Switching takes the MAC that the sender wrote; routing finds it here. */
        return old_value || becomes_ours(concerned, key, new_value) ? mark(&concerned->reached, key) : 0;
    case TABLE_ROUTER_PORTS:
        return mark_router_port(concerned, old_value, new_value);
    case TABLE_ROUTES: /* Also one that is new: it may be longer than the one that was taken. */
        return mark(&concerned->routers, (const uint8_t *)key + offsetof(struct route_key, router));
    case TABLE_NEXT_HOPS:
        return old_value ? mark(&concerned->hop_groups, key) : 0;
    case TABLE_FLOATING:
        return mark(&concerned->slots, key);
    case TABLE_EXTERNAL:
        return old_value && (!new_value || !leads_the_same_way(old_value, new_value)) ? mark(&concerned->reached, key) : 0;
    case TABLE_FORWARDINGS: /* A range that grows or shrinks loses a row, whatever comes instead. */
        return old_value && (!new_value || !leads_the_same_way(old_value, new_value))
                   ? mark(&concerned->reached, (const uint8_t *)key + offsetof(struct forwarding_key, vni))
                   : 0;
    case TABLE_SNAT:
        return old_value && (!new_value || !has_all_blocks(old_value, new_value)) ? mark_router_of_port(concerned, key) : 0;
    case TABLE_SNAT_OWNERS:
        return old_value ? mark(&concerned->reached, (const uint8_t *)key + offsetof(struct snat_owner_key, vni)) : 0;
    case TABLE_GATEWAYS: /* Also a new one: it gets a share of what the others had. */
        return mark_external(concerned, key);
    case TABLE_UPLINKS:
        return mark_external(concerned, (const uint8_t *)(new_value ? new_value : old_value) + offsetof(struct uplink_value, vni));
    case TABLE_SERVICES: /* Each packet asks whether it is there; who may call is asked again. */
        return old_value && new_value ? mark_external(concerned, key) : 0;
    case TABLE_SERVICE_SOURCES:
        return new_value ? 0 : mark_callers(concerned, key);
    case TABLE_MEMBERS: /* A new one allows more, and what is allowed goes on. */
        return new_value ? 0 : mark(&concerned->groups, key);
    case TABLE_MEMBER_PREFIXES:
        return new_value ? 0 : mark(&concerned->groups, (const uint8_t *)key + offsetof(struct member_prefix_key, group));
    case TABLE_POLICIES:
    case TABLE_PORTS:
        return old_value ? mark(&concerned->slots, key) : 0;
    default:
        return 0;
    }
}

/* Does a rule of the block name a group that lost a member? */
static bool names_group(const struct concerned *concerned, const struct rules_block *block)
{
    for (uint32_t i = 0; i < block->n && i < RULES_PER_BLOCK; i++)
        if (block->rules[i].flags & (RULE_GROUP | RULE_GROUP_PREFIXES) && rows_find(&concerned->groups, &block->rules[i].group))
            return true;
    return false;
}

/* From groups to the ports whose rules name them: a walk over the rules and policies, not over members. */
static int mark_ports_of_groups(struct concerned *concerned, const struct desired *now)
{
    const struct rows *rules = &now->tables[TABLE_RULES], *policies = &now->tables[TABLE_POLICIES];
    struct rows sets;
    int error = rows_sort(&concerned->groups);

    rows_init(&sets, sizeof(uint32_t), 0);
    for (size_t i = 0; concerned->groups.n && i < rules->n && error == 0; i++) {
        struct rules_block block;

        memcpy(&block, rows_value(rules, i), sizeof(block));
        if (names_group(concerned, &block))
            error = mark(&sets, &block.set);
    }
    if (error == 0)
        error = rows_sort(&sets);
    for (size_t i = 0; sets.n && i < policies->n && error == 0; i++) {
        struct port_policy policy;

        memcpy(&policy, rows_value(policies, i), sizeof(policy));
        if (rows_find(&sets, &policy.rule_set[POLICY_EGRESS]) || rows_find(&sets, &policy.rule_set[POLICY_INGRESS]))
            error = mark(&concerned->slots, rows_key(policies, i));
    }
    rows_clear(&sets);
    return error;
}

int concerned_bump(struct concerned *concerned, const struct desired *now)
{
    const struct rows *ports = &now->tables[TABLE_PORTS];
    int error = mark_ports_of_groups(concerned, now);

    if (error == 0)
        error = concerned_follow_routers(concerned, now);
    if (error == 0)
        error = rows_sort(&concerned->vnis);
    if (error == 0)
        error = rows_sort(&concerned->slots);
    if (error < 0 || (!concerned->vnis.n && !concerned->slots.n))
        return error;
    for (size_t i = 0; i < ports->n; i++) {
        struct port_config config;
        uint32_t slot;

        memcpy(&slot, rows_key(ports, i), sizeof(slot));
        memcpy(&config, rows_value(ports, i), sizeof(config));
        if (rows_find(&concerned->vnis, &config.vni) || rows_find(&concerned->slots, &slot))
            records_bump_epoch(concerned->maps, slot);
    }
    return 0;
}
