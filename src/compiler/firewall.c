/* Firewall groups: which rules hold at which port of a router, and which workloads' ports are behind such routers.
 *
 * Of a policy comes a set of rows in order, named by a hash of its content as the sets of security groups are, so that a change is another set.
 * A direction without a policy, a policy that is not there (yet), and a group that is switched off come to the set without rows: nothing passes.
 * A group without any policy does nothing.  Where sets of all projects are more than there is room for (shares.h), nothing passes at ports whose set finds none. */
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "weft/compiler/layers.h"
#include "weft/compiler/shares.h"

struct firewall_set {
    struct hashmap_node by_content;
    uint32_t hash, id;
    bool has_room;
    size_t n;
    struct firewall_rule_row rows[];
};

/* Policies and rules by id. */
struct named {
    struct hashmap_node by_id;
    const struct object *object;
    struct firewall_set *set; /* Of a policy; NULL: not compiled yet. */
};

struct firewall {
    const struct compile_index *index;
    struct hashmap policies, rules, contents;
    struct named *named;
    struct firewall_set **sets; /* In 'contents', for sorting. */
    size_t n_sets, n_sets_capacity;
    struct firewall_set *nothing; /* Passes. */
    struct firewall_set **of_ports[2]; /* By index of the snapshot's ports and enum policy_direction; NULL: all passes. */
    const struct firewall_group **groups; /* By the same index: whose these are. */
    uint32_t *logs;                    /* By the same index: ROUTER_PORT_LOGS. */
};

static struct named *find(const struct hashmap *map, const char *id)
{
    struct hashmap_node *node = hashmap_find(map, id, strlen(id));

    return node ? CONTAINER_OF(node, struct named, by_id) : NULL;
}

static int index_objects(struct firewall *firewall)
{
    const struct snapshot *snapshot = firewall->index->snapshot;
    size_t n = 0;

    firewall->named = calloc(snapshot->n_firewall_policies + snapshot->n_firewall_rules + 1, sizeof(*firewall->named));
    if (!firewall->named)
        return -ENOMEM;
    for (size_t i = 0; i < snapshot->n_firewall_policies; i++, n++) {
        firewall->named[n].object = &snapshot->firewall_policies[i]->object;
        if (hashmap_insert(&firewall->policies, &firewall->named[n].by_id, firewall->named[n].object->id, strlen(firewall->named[n].object->id)) == -ENOMEM)
            return -ENOMEM;
    }
    for (size_t i = 0; i < snapshot->n_firewall_rules; i++, n++) {
        firewall->named[n].object = &snapshot->firewall_rules[i]->object;
        if (hashmap_insert(&firewall->rules, &firewall->named[n].by_id, firewall->named[n].object->id, strlen(firewall->named[n].object->id)) == -ENOMEM)
            return -ENOMEM;
    }
    return 0;
}

/* ---- one rule -------------------------------------------------------------------------------------------------------------- */

static uint8_t set_prefix(const struct ip_prefix *prefix, uint8_t address[16])
{
    if (!prefix->length)
        return 0;
    memcpy(address, prefix->address.bytes, 16);
    return (uint8_t)prefix_bits(prefix);
}

/* False: it says nothing that a packet can fit. */
static bool compile_rule(const struct firewall_rule *model, struct firewall_rule_row *ret)
{
    static const uint8_t protocols[] = {[FIREWALL_ANY] = 0, [FIREWALL_TCP] = IPPROTO_TCP, [FIREWALL_UDP] = IPPROTO_UDP, [FIREWALL_ICMP] = IPPROTO_ICMP};
    static const uint8_t verdicts[] = {[FIREWALL_ALLOW] = FIREWALL_PASSES, [FIREWALL_DENY] = FIREWALL_DENIES, [FIREWALL_REJECT] = FIREWALL_REJECTS};
    bool is_v4 = model->ip_version == 4;
    struct firewall_rule_row row = {.flags = is_v4 ? RULE_IPV4 : RULE_IPV6, .verdict = verdicts[model->action],
                                    .number = compile_object_number(&model->object)};

    if (!model->enabled || (model->has_source && ip_is_v4(&model->source.address) != is_v4) ||
        (model->has_destination && ip_is_v4(&model->destination.address) != is_v4))
        return false;
    if (model->protocol != FIREWALL_ANY) {
        row.flags |= RULE_PROTOCOL;
        row.protocol = model->protocol == FIREWALL_ICMP && !is_v4 ? IPPROTO_ICMPV6 : protocols[model->protocol];
    }
    if (model->has_source)
        row.source_length = set_prefix(&model->source, row.source);
    if (model->has_destination)
        row.destination_length = set_prefix(&model->destination, row.destination);
    if (model->source_port) {
        row.flags |= FIREWALL_SOURCE_PORTS;
        if (firewall_ports_parse(model->source_port, &row.source_min, &row.source_max) < 0)
            return false;
    }
    if (model->destination_port) {
        row.flags |= FIREWALL_DESTINATION_PORTS;
        if (firewall_ports_parse(model->destination_port, &row.destination_min, &row.destination_max) < 0)
            return false;
    }
    *ret = row;
    return true;
}

/* ---- sets -------------------------------------------------------------------------------------------------------------------- */

/* The one with this content; 'set' is taken over. */
static struct firewall_set *intern(struct firewall *firewall, struct firewall_set *set)
{
    static const uint64_t key[2] = {0x7765667466697265, 0x77616c6c73657473};
    size_t size = set->n * sizeof(*set->rows);
    struct hashmap_node *node = hashmap_find(&firewall->contents, set->rows, size);

    if (node) {
        free(set);
        return CONTAINER_OF(node, struct firewall_set, by_content);
    }
    if (firewall->n_sets == firewall->n_sets_capacity) {
        size_t capacity = firewall->n_sets_capacity ? firewall->n_sets_capacity * 2 : 16;
        struct firewall_set **grown = reallocarray(firewall->sets, capacity, sizeof(*grown));

        if (!grown)
            goto no_memory;
        firewall->sets = grown;
        firewall->n_sets_capacity = capacity;
    }
    set->hash = compile_hash(key, firewall->index->snapshot->secret, set->rows, size);
    if (hashmap_insert(&firewall->contents, &set->by_content, set->rows, size) < 0)
        goto no_memory;
    firewall->sets[firewall->n_sets++] = set;
    return set;

no_memory:
    free(set);
    return NULL;
}

/* NULL when out of memory. */
static struct firewall_set *set_of_policy(struct firewall *firewall, const char *id)
{
    struct named *policy = *id ? find(&firewall->policies, id) : NULL;
    const struct firewall_policy *model = policy ? (const struct firewall_policy *)policy->object : NULL;
    struct firewall_set *set;

    if (!policy)
        return firewall->nothing;
    if (policy->set)
        return policy->set;
    set = calloc(1, sizeof(*set) + model->n_rules * sizeof(*set->rows));
    if (!set)
        return NULL;
    for (size_t i = 0; i < model->n_rules; i++) {
        const struct named *rule = find(&firewall->rules, model->rules[i].id);

        if (rule && compile_rule((const struct firewall_rule *)rule->object, &set->rows[set->n]))
            set->n++;
        else if (!rule) /* What comes behind it may not be meant for its packets: it is still under way. */
            break;
    }
    return policy->set = intern(firewall, set);
}

/* Which group has the port, among those that hold anything. */
struct holder {
    char port_id[UUID_TEXT_SIZE];
    const struct firewall_group *group;
};

static int compare_holders(const void *a, const void *b)
{
    const struct holder *x = a, *y = b;
    int order = strcmp(x->port_id, y->port_id);

    return order ? order : strcmp(x->group->object.id, y->group->object.id);
}

static bool holds(const struct firewall_group *group)
{
    return group->ingress_policy_id[0] || group->egress_policy_id[0];
}

static int hold(struct firewall *firewall, size_t i, const struct firewall_group *group)
{
    bool is_up = group->object.admin_state_up && firewall->index->snapshot->ports[i].router_port; /* Nothing passes a router without numbers. */

    firewall->groups[i] = group;
    firewall->logs[i] = compile_router_port_logs(firewall->index, group, firewall->index->snapshot->ports[i].port->object.id);
    firewall->of_ports[POLICY_EGRESS][i] = is_up ? set_of_policy(firewall, group->egress_policy_id) : firewall->nothing;
    firewall->of_ports[POLICY_INGRESS][i] = is_up ? set_of_policy(firewall, group->ingress_policy_id) : firewall->nothing;
    return firewall->of_ports[POLICY_EGRESS][i] && firewall->of_ports[POLICY_INGRESS][i] ? 0 : -ENOMEM;
}

static int find_sets(struct firewall *firewall)
{
    const struct snapshot *snapshot = firewall->index->snapshot;
    struct holder *holders;
    size_t n = 0;
    int r = 0;

    for (size_t i = 0; i < snapshot->n_firewall_groups; i++)
        n += snapshot->firewall_groups[i]->n_ports;
    holders = calloc(n + 1, sizeof(*holders));
    if (!holders)
        return -ENOMEM;
    n = 0;
    for (size_t i = 0; i < snapshot->n_firewall_groups; i++)
        for (size_t k = 0; holds(snapshot->firewall_groups[i]) && k < snapshot->firewall_groups[i]->n_ports; k++) {
            memcpy(holders[n].port_id, snapshot->firewall_groups[i]->ports[k].id, UUID_TEXT_SIZE);
            holders[n++].group = snapshot->firewall_groups[i];
        }
    if (n)
        qsort(holders, n, sizeof(*holders), compare_holders);
    for (size_t i = 0; n && i < snapshot->n_ports && r == 0; i++) {
        const char *id = snapshot->ports[i].port->object.id;
        size_t low = 0, high = n;

        if (!snapshot->ports[i].router_port && !snapshot->ports[i].is_routers)
            continue;
        while (low < high) {
            size_t middle = (low + high) / 2;

            if (strcmp(holders[middle].port_id, id) < 0)
                low = middle + 1;
            else
                high = middle;
        }
        if (low < n && strcmp(holders[low].port_id, id) == 0)
            r = hold(firewall, i, holders[low].group);
    }
    free(holders);
    return r;
}

static int compare_sets(const void *a, const void *b)
{
    const struct firewall_set *x = *(struct firewall_set *const *)a, *y = *(struct firewall_set *const *)b;

    if (x->hash != y->hash)
        return x->hash < y->hash ? -1 : 1;
    if (x->n != y->n)
        return x->n < y->n ? -1 : 1;
    return memcmp(x->rows, y->rows, x->n * sizeof(*x->rows));
}

static int add_blocks(const struct firewall_set *set, struct rows *rows)
{
    for (size_t next = 0, index = 0; index == 0 || next < set->n; index++) {
        struct rules_key key = {.set = set->id, .index = (uint32_t)index};
        struct firewall_block block = {.set = set->id, .index = (uint32_t)index};

        while (next < set->n && block.n < FIREWALL_RULES_PER_BLOCK)
            block.rules[block.n++] = set->rows[next++];
        block.is_last = next == set->n;
        if (rows_add(rows, &key, &block) < 0)
            return -ENOMEM;
    }
    return 0;
}

/* An empty set is a block, too. */
static size_t n_blocks(const struct firewall_set *set)
{
    return set->n ? (set->n + FIREWALL_RULES_PER_BLOCK - 1) / FIREWALL_RULES_PER_BLOCK : 1;
}

/* The set that lets nothing pass always has its place: it is everybody's. */
static int divide_room(struct firewall *firewall, struct desired *desired)
{
    const struct snapshot *snapshot = firewall->index->snapshot;
    struct claims claims = {0};
    size_t n = 0;
    int error = 0;

    for (size_t i = 0; i < firewall->n_sets; i++) {
        n += n_blocks(firewall->sets[i]);
        firewall->sets[i]->has_room = true;
    }
    if (!compile_is_over(snapshot, TABLE_FIREWALL_RULES, n))
        return 0;
    for (size_t i = 0; i < firewall->n_sets; i++)
        firewall->sets[i]->has_room = firewall->sets[i] == firewall->nothing;
    for (size_t i = 0; i < snapshot->n_ports && error == 0; i++)
        for (int direction = 0; firewall->groups[i] && direction < 2 && error == 0; direction++) {
            const struct object *object = &firewall->groups[i]->object;
            struct firewall_set *set = firewall->of_ports[direction][i];

            if (set != firewall->nothing)
                error = claims_add(&claims, (struct claim){object->project_id, object, &set->has_room, (uint32_t)n_blocks(set), (uint32_t)direction});
        }
    if (error == 0)
        error = claims_divide(&claims, TABLE_FIREWALL_RULES, snapshot->room[TABLE_FIREWALL_RULES] - 1, &desired->shortages);
    for (size_t i = 0; i < claims.n && error == 0; i++)
        if (!*claims.claims[i].ret_fits)
            error = left_out_add(&desired->left_out, claims.claims[i].object->id, TABLE_FIREWALL_RULES);
    claims_clear(&claims);
    return error;
}

/* The sets that ports use get their names and rows. */
static int name_sets(struct firewall *firewall, struct desired *desired)
{
    uint32_t id = 0;
    bool is_used = false;

    for (size_t i = 0; i < firewall->index->snapshot->n_ports; i++)
        is_used |= firewall->of_ports[POLICY_EGRESS][i] != NULL;
    if (!is_used)
        return 0;
    qsort(firewall->sets, firewall->n_sets, sizeof(*firewall->sets), compare_sets);
    if (divide_room(firewall, desired) < 0)
        return -ENOMEM;
    for (size_t i = 0; i < firewall->n_sets; i++) {
        id = firewall->sets[i]->id = compile_id_from_hash(firewall->sets[i]->hash, id);
        if (!firewall->sets[i]->has_room)
            firewall->sets[i]->id = RULE_SET_NO_ROOM;
        else if (add_blocks(firewall->sets[i], &desired->tables[TABLE_FIREWALL_RULES]) < 0)
            return -ENOMEM;
    }
    return 0;
}

/* ---- who is behind ------------------------------------------------------------------------------------------------------------- */

/* Do firewalls hold at a port of the router?  Then the networks that are joined with its own are guarded. */
static void guard(const struct firewall *firewall, const struct compile_router_entry *router, bool *is_guarded)
{
    const struct compile_index *index = firewall->index;
    const struct compile_network *inside = NULL;
    bool guarded = false;

    for (size_t i = 0; i < router->n_ports; i++) {
        const struct compile_port *port = index->ports_by_router[router->first_port + i];

        guarded |= firewall->of_ports[POLICY_EGRESS][port - index->snapshot->ports] != NULL;
        if (!compile_is_gateway(port->port) && compile_place_of(index, port)->network)
            inside = compile_place_of(index, port)->network;
    }
    if (guarded && inside)
        is_guarded[index->joined[inside - index->network_array]] = true;
}

/* Workloads in the network of a router's gateway reach what is behind that router, but not each other's. */
static void guard_gateways(const struct firewall *firewall, const struct compile_router_entry *router)
{
    const struct compile_index *index = firewall->index;
    bool guarded = false;

    for (size_t i = 0; i < router->n_ports; i++) {
        const struct compile_port *port = index->ports_by_router[router->first_port + i];
        const struct compile_network *network = compile_find_network(index, port->port->network_id);

        guarded |= network && !compile_is_gateway(port->port) && network->has_firewall;
    }
    for (size_t i = 0; guarded && i < router->n_ports; i++) {
        const struct compile_port *port = index->ports_by_router[router->first_port + i];
        struct compile_network *network = compile_is_gateway(port->port) ? compile_find_network(index, port->port->network_id) : NULL;

        if (network)
            network->is_before_firewall = true;
    }
}

static int find_guarded(struct firewall *firewall)
{
    const struct compile_index *index = firewall->index;
    size_t n = index->snapshot->n_networks;
    bool *is_guarded = calloc(n + 1, sizeof(*is_guarded));

    if (!is_guarded)
        return -ENOMEM;
    for (size_t i = 0; i < index->snapshot->n_routers; i++)
        guard(firewall, &index->router_array[i], is_guarded);
    for (size_t i = 0; i < n; i++)
        index->network_array[i].has_firewall = is_guarded[index->joined[i]];
    for (size_t i = 0; i < index->snapshot->n_routers; i++)
        guard_gateways(firewall, &index->router_array[i]);
    free(is_guarded);
    return 0;
}

/* ---- all together --------------------------------------------------------------------------------------------------------------- */

static int remember(struct firewall *firewall, struct compile_index *index)
{
    size_t n = index->snapshot->n_ports;

    index->firewalls = calloc(n + 1, sizeof(*index->firewalls));
    if (!index->firewalls)
        return -ENOMEM;
    for (size_t i = 0; i < n; i++) {
        index->firewalls[i].logs = firewall->logs[i];
        for (int direction = 0; direction < 2; direction++)
            if (firewall->of_ports[direction][i])
                index->firewalls[i].rule_set[direction] = firewall->of_ports[direction][i]->id;
    }
    return 0;
}

static void clear(struct firewall *firewall)
{
    HASHMAP_FOREACH(node, &firewall->contents)
        free(CONTAINER_OF(node, struct firewall_set, by_content));
    hashmap_clear(&firewall->contents);
    hashmap_clear(&firewall->policies);
    hashmap_clear(&firewall->rules);
    free(firewall->named);
    free(firewall->sets);
    free(firewall->of_ports[0]);
    free(firewall->of_ports[1]);
    free(firewall->groups);
    free(firewall->logs);
}

int compile_firewall(struct compile_index *index, struct desired *desired)
{
    struct firewall firewall = {.index = index};
    int error = 0;

    if (!index->snapshot->n_firewall_groups)
        return 0;
    for (int direction = 0; direction < 2; direction++)
        firewall.of_ports[direction] = calloc(index->snapshot->n_ports + 1, sizeof(*firewall.of_ports[direction]));
    firewall.groups = calloc(index->snapshot->n_ports + 1, sizeof(*firewall.groups));
    firewall.logs = calloc(index->snapshot->n_ports + 1, sizeof(*firewall.logs));
    firewall.nothing = calloc(1, sizeof(*firewall.nothing));
    if (!firewall.nothing || !firewall.groups || !firewall.logs || !firewall.of_ports[0] || !firewall.of_ports[1]) {
        free(firewall.nothing);
        error = -ENOMEM;
    } else if (!(firewall.nothing = intern(&firewall, firewall.nothing))) {
        error = -ENOMEM;
    }
    if (error == 0)
        error = index_objects(&firewall);
    if (error == 0)
        error = find_sets(&firewall);
    if (error == 0)
        error = name_sets(&firewall, desired);
    if (error == 0)
        error = find_guarded(&firewall);
    if (error == 0)
        error = remember(&firewall, index);
    clear(&firewall);
    return error;
}
