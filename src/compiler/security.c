/* Security groups: which rule sets each local port has, and who is in the groups that the rules name.
 *
 * A port's groups together make two sets, for what it sends and for what it is sent.  Ports with the same groups share them, and so do
 * ports whose groups only come to the same.  Everything here only allows: what refers to a group that is not known (yet) is left out, and so is
 * what finds no room beside what other projects have (shares.h): a set of rules as a whole, the addresses of a port in a group, those of an
 * address group. */
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "weft/compiler/layers.h"
#include "weft/compiler/rule-sets.h"
#include "weft/compiler/shares.h"

/* A security group or an address group. */
struct group {
    struct hashmap_node by_id;
    uint32_t number;
    bool is_stateless;
    bool is_logged;         /* Some log is about what its rules let pass. */
    bool is_named;          /* By a rule of some local port. */
    bool has_prefixes;      /* Some member is a prefix. */
    size_t first_rule, n_rules; /* In 'rules'. */
};

/* The sets of all ports with the same groups. */
struct port_sets {
    struct hashmap_node by_groups;
    struct rule_set *sets[2]; /* By enum policy_direction; NULL: nothing passes. */
    size_t n_groups;
    uint32_t groups[];        /* Indexes, sorted. */
};

struct security {
    const struct compile_index *index;
    const struct snapshot *snapshot;
    struct hashmap security_groups, address_groups;
    struct group *groups, *address_group_array;
    const struct security_group_rule **rules; /* Of each group together. */
    struct rule *scratch;     /* As many. */
    struct rule_sets sets;
    struct hashmap port_sets;
    struct port_sets **of_ports; /* Parallel to the snapshot's ports; NULL: none. */
    uint32_t *indexes;        /* Groups of the port in hand. */
    size_t n_indexes_capacity;
};

bool compile_port_has_policy(const struct port *port)
{
    return port->has_security_groups && port->port_security_enabled;
}

/* ---- finding ------------------------------------------------------------------------------------------------------------ */

static struct group *find_group(const struct hashmap *groups, const char *id)
{
    struct hashmap_node *node = id[0] ? hashmap_find(groups, id, strlen(id)) : NULL;

    return node ? CONTAINER_OF(node, struct group, by_id) : NULL;
}

static bool is_whole(const struct ip_prefix *prefix)
{
    return prefix_bits(prefix) == 128;
}

static int index_groups(struct security *security)
{
    const struct snapshot *snapshot = security->snapshot;

    for (size_t i = 0; i < snapshot->n_security_groups; i++) {
        const struct security_group *model = snapshot->security_groups[i].group;
        struct group *group = &security->groups[i];

        group->number = snapshot->security_groups[i].number;
        group->is_stateless = !model->stateful;
        if (hashmap_insert(&security->security_groups, &group->by_id, model->object.id, strlen(model->object.id)) == -ENOMEM)
            return -ENOMEM;
    }
    for (size_t i = 0; i < snapshot->n_logs; i++) {
        struct group *group = compile_log_wants_rules(snapshot->logs[i]) ? find_group(&security->security_groups, snapshot->logs[i]->resource_id) : NULL;

        if (group)
            group->is_logged = true;
    }
    for (size_t i = 0; i < snapshot->n_address_groups; i++) {
        const struct address_group *model = snapshot->address_groups[i].group;
        struct group *group = &security->address_group_array[i];

        group->number = snapshot->address_groups[i].number;
        for (size_t k = 0; k < model->n_addresses; k++)
            group->has_prefixes |= !is_whole(&model->addresses[k]);
        if (hashmap_insert(&security->address_groups, &group->by_id, model->object.id, strlen(model->object.id)) == -ENOMEM)
            return -ENOMEM;
    }
    return 0;
}

/* Whether a group has members that are prefixes is part of the rules that name it. */
static void find_prefixes(struct security *security)
{
    for (size_t i = 0; i < security->snapshot->n_ports; i++) {
        const struct port *port = security->snapshot->ports[i].port;

        for (size_t k = 0; security->index->places[i].names_prefixes && k < port->n_security_groups; k++) {
            struct group *group = find_group(&security->security_groups, port->security_groups[k].id);

            if (group)
                group->has_prefixes = true;
        }
    }
}

/* Brings the rules of each group together: counts, places, fills. */
static int gather_rules(struct security *security)
{
    const struct snapshot *snapshot = security->snapshot;
    struct group **owners = calloc(snapshot->n_security_group_rules + 1, sizeof(*owners));
    size_t next = 0;

    if (!owners)
        return -ENOMEM;
    for (size_t i = 0; i < snapshot->n_security_group_rules; i++) {
        owners[i] = find_group(&security->security_groups, snapshot->security_group_rules[i]->security_group_id);
        if (owners[i])
            owners[i]->n_rules++;
    }
    for (size_t i = 0; i < snapshot->n_security_groups; i++) {
        security->groups[i].first_rule = next;
        next += security->groups[i].n_rules;
        security->groups[i].n_rules = 0;
    }
    for (size_t i = 0; i < snapshot->n_security_group_rules; i++)
        if (owners[i])
            security->rules[owners[i]->first_rule + owners[i]->n_rules++] = snapshot->security_group_rules[i];
    free(owners);
    return 0;
}

/* ---- one rule -------------------------------------------------------------------------------------------------------------- */

static bool has_ports(int protocol)
{
    return protocol == IPPROTO_TCP || protocol == IPPROTO_UDP || protocol == IPPROTO_SCTP || protocol == IPPROTO_DCCP ||
           protocol == IPPROTO_UDPLITE;
}

/* Ports, or type and code.  False where they make no sense. */
static bool set_ports(const struct security_group_rule *model, int protocol, struct rule *rule)
{
    if (!model->has_port_min && !model->has_port_max)
        return true;
    if (protocol == IPPROTO_ICMP || protocol == IPPROTO_ICMPV6) {
        rule->port_min = model->port_min;
        rule->port_max = model->has_port_max ? model->port_max : 0xffff;
        rule->flags |= RULE_PORTS;
        return model->has_port_min;
    }
    rule->port_min = model->has_port_min ? model->port_min : 0;
    rule->port_max = model->has_port_max ? model->port_max : 0xffff;
    rule->flags |= RULE_PORTS;
    return has_ports(protocol) && rule->port_min <= rule->port_max;
}

/* Who the other side may be.  False when that is nobody we know. */
static bool set_remote(struct security *security, const struct security_group_rule *model, struct rule *rule)
{
    struct group *group;

    if (model->has_remote_prefix) {
        rule->prefix_length = model->remote_prefix.length ? (uint8_t)prefix_bits(&model->remote_prefix) : 0;
        if (rule->prefix_length)
            memcpy(rule->address, model->remote_prefix.address.bytes, sizeof(rule->address));
        return ip_is_v4(&model->remote_prefix.address) == (model->ip_version == 4);
    }
    if (!model->remote_group_id[0] && !model->remote_address_group_id[0])
        return true;
    group = model->remote_group_id[0] ? find_group(&security->security_groups, model->remote_group_id)
                                      : find_group(&security->address_groups, model->remote_address_group_id);
    if (!group || !group->number)
        return false;
    group->is_named = true;
    rule->group = group->number;
    rule->flags |= RULE_GROUP | (group->has_prefixes ? RULE_GROUP_PREFIXES : 0);
    return true;
}

static bool compile_rule(struct security *security, const struct security_group_rule *model, const struct group *owner, struct rule *ret)
{
    int protocol = protocol_number(model->protocol, model->ip_version);
    struct rule rule = {.flags = model->ip_version == 6 ? RULE_IPV6 : RULE_IPV4};

    if (protocol < -1)
        return false;
    if (protocol >= 0) {
        rule.flags |= RULE_PROTOCOL;
        rule.protocol = (uint8_t)protocol;
    }
    if (owner->is_stateless)
        rule.flags |= RULE_STATELESS;
    if (owner->is_logged)
        rule.flags |= RULE_LOG;
    rule.number = compile_object_number(&model->object);
    if (!set_ports(model, protocol, &rule) || !set_remote(security, model, &rule))
        return false;
    *ret = rule;
    return true;
}

/* ---- the sets of a port ------------------------------------------------------------------------------------------------------ */

static int compare_indexes(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

    return x < y ? -1 : x > y;
}

/* The port's groups that are known, as sorted indexes. */
static int list_groups(struct security *security, const struct port *port, size_t *ret_n)
{
    size_t n = 0;

    if (port->n_security_groups > security->n_indexes_capacity) {
        uint32_t *indexes = reallocarray(security->indexes, port->n_security_groups, sizeof(*indexes));

        if (!indexes)
            return -ENOMEM;
        security->indexes = indexes;
        security->n_indexes_capacity = port->n_security_groups;
    }
    for (size_t i = 0; i < port->n_security_groups; i++) {
        const struct group *group = find_group(&security->security_groups, port->security_groups[i].id);

        if (group)
            security->indexes[n++] = (uint32_t)(group - security->groups);
    }
    if (n)
        qsort(security->indexes, n, sizeof(*security->indexes), compare_indexes);
    *ret_n = n;
    return 0;
}

static int make_sets(struct security *security, struct port_sets *port_sets)
{
    for (int direction = 0; direction < 2; direction++) {
        enum rule_direction wanted = direction == POLICY_EGRESS ? RULE_EGRESS : RULE_INGRESS;
        size_t n = 0;

        for (size_t i = 0; i < port_sets->n_groups; i++) {
            const struct group *group = &security->groups[port_sets->groups[i]];

            if (i && port_sets->groups[i] == port_sets->groups[i - 1])
                continue;
            for (size_t k = 0; k < group->n_rules; k++) {
                const struct security_group_rule *model = security->rules[group->first_rule + k];

                if (model->direction == wanted && compile_rule(security, model, group, &security->scratch[n]))
                    n++;
            }
        }
        if (rule_sets_add(&security->sets, security->scratch, n, &port_sets->sets[direction]) < 0)
            return -ENOMEM;
    }
    return 0;
}

static int find_port_sets(struct security *security, const struct port *port, struct port_sets **ret)
{
    const struct hashmap_node *node;
    struct port_sets *port_sets;
    size_t n, size;

    if (list_groups(security, port, &n) < 0)
        return -ENOMEM;
    *ret = NULL;
    if (!n)
        return 0;
    size = n * sizeof(*security->indexes);
    node = hashmap_find(&security->port_sets, security->indexes, size);
    if (node) {
        *ret = CONTAINER_OF(node, struct port_sets, by_groups);
        return 0;
    }
    port_sets = calloc(1, sizeof(*port_sets) + size);
    if (!port_sets)
        return -ENOMEM;
    port_sets->n_groups = n;
    memcpy(port_sets->groups, security->indexes, size);
    if (hashmap_insert(&security->port_sets, &port_sets->by_groups, port_sets->groups, size) < 0) {
        free(port_sets);
        return -ENOMEM;
    }
    *ret = port_sets;
    return make_sets(security, port_sets);
}

/* ---- rows -------------------------------------------------------------------------------------------------------------------- */

/* There are more sets than room. */
static int divide_rules(struct security *security, struct desired *desired)
{
    const struct snapshot *snapshot = security->snapshot;
    struct claims claims = {0};
    int error = 0;

    for (size_t i = 0; i < security->sets.n; i++)
        security->sets.sets[i]->has_room = false;
    for (size_t i = 0; i < snapshot->n_ports && error == 0; i++) {
        const struct object *object = &snapshot->ports[i].port->object;

        for (int direction = 0; security->of_ports[i] && direction < 2 && error == 0; direction++) {
            struct rule_set *set = security->of_ports[i]->sets[direction];

            if (set)
                error = claims_add(&claims, (struct claim){object->project_id, object, &set->has_room, (uint32_t)rule_set_rows(set), (uint32_t)direction});
        }
    }
    if (error == 0)
        error = claims_divide(&claims, TABLE_RULES, snapshot->room[TABLE_RULES], &desired->shortages);
    claims_clear(&claims);
    return error;
}

static uint32_t name_of_set(const struct rule_set *set)
{
    return !set ? 0 : set->has_room ? set->id : RULE_SET_NO_ROOM;
}

static int add_policies(struct security *security, struct desired *desired)
{
    const struct snapshot *snapshot = security->snapshot;

    for (size_t i = 0; i < snapshot->n_ports; i++)
        if (snapshot->ports[i].slot && compile_port_has_policy(snapshot->ports[i].port) &&
            find_port_sets(security, snapshot->ports[i].port, &security->of_ports[i]) < 0)
            return -ENOMEM;
    rule_sets_name(&security->sets);
    if (compile_is_over(snapshot, TABLE_RULES, rule_sets_size(&security->sets)) && divide_rules(security, desired) < 0)
        return -ENOMEM;
    for (size_t i = 0; i < snapshot->n_ports; i++) {
        const struct port_sets *sets = security->of_ports[i];
        struct port_policy policy = {{0}};

        for (int direction = 0; sets && direction < 2; direction++)
            policy.rule_set[direction] = name_of_set(sets->sets[direction]);
        if ((policy.rule_set[0] || policy.rule_set[1]) && rows_add(&desired->tables[TABLE_POLICIES], &snapshot->ports[i].slot, &policy) < 0)
            return -ENOMEM; /* Without a row both sets are 0. */
    }
    return rule_sets_rows(&security->sets, &desired->tables[TABLE_RULES]);
}

static int add_prefix(struct desired *desired, uint32_t group, const uint8_t address[16], uint32_t bits)
{
    struct member_prefix_key key = {.prefix_length = 32 + bits, .group = group};
    /* ::/0 has the range in it that stands for IPv4, and does not mean it.  (Other prefixes with that range in them are refused where they
     * are parsed.) */
    __u64 value = group | (bits ? 0 : (__u64)RULE_IPV6 << 32);

    memcpy(key.address, address, sizeof(key.address));
    return rows_add(&desired->tables[TABLE_MEMBER_PREFIXES], &key, &value);
}

static int add_member(struct desired *desired, uint32_t group, const struct ip_prefix *prefix)
{
    __u64 value = group;

    if (is_whole(prefix)) {
        struct member_key key = {.group = group};

        memcpy(key.address, prefix->address.bytes, sizeof(key.address));
        return rows_add(&desired->tables[TABLE_MEMBERS], &key, &value);
    }
    return add_prefix(desired, group, prefix->address.bytes, (uint32_t)prefix_bits(prefix));
}

/* What one port, or one address group, brings to a group. */
struct membership {
    uint32_t group;
    const struct port *port; /* NULL: the addresses are those of 'addresses'. */
    const struct address_group *addresses;
};

static int add_membership(struct desired *desired, const struct membership *membership)
{
    const struct port *port = membership->port;

    for (size_t i = 0; port && i < port->n_fixed_ips; i++) {
        struct ip_prefix whole = {port->fixed_ips[i].address, ip_is_v4(&port->fixed_ips[i].address) ? 32 : 128};

        if (add_member(desired, membership->group, &whole) < 0)
            return -ENOMEM;
    }
    for (size_t i = 0; port && i < port->n_allowed_address_pairs; i++)
        if (add_member(desired, membership->group, &port->allowed_address_pairs[i].prefix) < 0)
            return -ENOMEM;
    for (size_t i = 0; !port && i < membership->addresses->n_addresses; i++)
        if (add_member(desired, membership->group, &membership->addresses->addresses[i]) < 0)
            return -ENOMEM;
    return 0;
}

/* Calls 'visit' for all of groups that rules name, in an order that depends on the snapshot only.  Returns 0 or what 'visit' returned. */
static int each_membership(struct security *security, int (*visit)(const struct membership *membership, void *context), void *context)
{
    const struct snapshot *snapshot = security->snapshot;
    int error = 0;

    for (size_t i = 0; security->sets.n && i < snapshot->n_ports; i++) {
        const struct port *port = snapshot->ports[i].port;

        for (size_t k = 0; compile_port_has_policy(port) && k < port->n_security_groups && error == 0; k++) {
            const struct group *group = find_group(&security->security_groups, port->security_groups[k].id);

            if (group && group->is_named)
                error = visit(&(struct membership){group->number, port, NULL}, context);
        }
    }
    for (size_t i = 0; i < snapshot->n_address_groups && error == 0; i++)
        if (security->address_group_array[i].is_named)
            error = visit(&(struct membership){security->address_group_array[i].number, NULL, snapshot->address_groups[i].group}, context);
    return error;
}

/* ---- members that find no room ---------------------------------------------------------------------------------------------- */

/* The tables of addresses and of prefixes are divided one by one, by the rows that each membership had there. */
static const enum desired_table member_tables[] = {TABLE_MEMBERS, TABLE_MEMBER_PREFIXES};

struct division {
    struct desired *desired;
    struct claims claims[ARRAY_SIZE(member_tables)];
    bool *fits[ARRAY_SIZE(member_tables)]; /* By the number of the membership. */
    size_t i;                              /* The one in hand. */
};

static int visit_to_add(const struct membership *membership, void *context)
{
    return add_membership(context, membership);
}

static int visit_to_count(const struct membership *membership, void *context)
{
    ++*(size_t *)context;
    return 0;
}

static int visit_to_claim(const struct membership *membership, void *context)
{
    struct division *division = context;
    const struct object *object = membership->port ? &membership->port->object : &membership->addresses->object;
    size_t before[ARRAY_SIZE(member_tables)];
    int error = 0;

    for (size_t t = 0; t < ARRAY_SIZE(member_tables); t++)
        before[t] = division->desired->tables[member_tables[t]].n;
    error = add_membership(division->desired, membership);
    for (size_t t = 0; t < ARRAY_SIZE(member_tables) && error == 0; t++) {
        size_t n = division->desired->tables[member_tables[t]].n - before[t];

        error = claims_add(&division->claims[t], (struct claim){object->project_id, object, &division->fits[t][division->i], (uint32_t)n, membership->group});
    }
    division->i++;
    return error;
}

/* Takes back what does not fit. */
static int visit_to_fit(const struct membership *membership, void *context)
{
    struct division *division = context;
    size_t before[ARRAY_SIZE(member_tables)];
    int error = 0;

    for (size_t t = 0; t < ARRAY_SIZE(member_tables); t++)
        before[t] = division->desired->tables[member_tables[t]].n;
    error = add_membership(division->desired, membership);
    for (size_t t = 0; t < ARRAY_SIZE(member_tables); t++)
        if (!division->fits[t][division->i])
            division->desired->tables[member_tables[t]].n = before[t];
    division->i++;
    return error;
}

static int divide_members(struct security *security, struct desired *desired)
{
    struct division division = {.desired = desired};
    size_t n = 0;
    int error = each_membership(security, visit_to_count, &n);

    for (size_t t = 0; t < ARRAY_SIZE(member_tables); t++) {
        rows_reset(&desired->tables[member_tables[t]]);
        division.fits[t] = calloc(n + 1, sizeof(*division.fits[t]));
        if (!division.fits[t])
            error = -ENOMEM;
    }
    if (error == 0)
        error = each_membership(security, visit_to_claim, &division);
    for (size_t t = 0; t < ARRAY_SIZE(member_tables); t++) {
        const struct snapshot *snapshot = security->snapshot;
        bool is_over = compile_is_over(snapshot, member_tables[t], desired->tables[member_tables[t]].n);

        if (error == 0)
            error = claims_divide(&division.claims[t], member_tables[t], is_over ? snapshot->room[member_tables[t]] : SIZE_MAX, &desired->shortages);
        rows_reset(&desired->tables[member_tables[t]]);
        claims_clear(&division.claims[t]);
    }
    division.i = 0;
    if (error == 0)
        error = each_membership(security, visit_to_fit, &division);
    for (size_t t = 0; t < ARRAY_SIZE(member_tables); t++)
        free(division.fits[t]);
    return error;
}

static int add_members(struct security *security, struct desired *desired)
{
    int error = each_membership(security, visit_to_add, desired);

    if (error == 0 && (compile_is_over(security->snapshot, TABLE_MEMBERS, desired->tables[TABLE_MEMBERS].n) ||
                       compile_is_over(security->snapshot, TABLE_MEMBER_PREFIXES, desired->tables[TABLE_MEMBER_PREFIXES].n)))
        error = divide_members(security, desired);
    return error;
}

/* ---- all together -------------------------------------------------------------------------------------------------------------- */

static void security_clear(struct security *security)
{
    HASHMAP_FOREACH(node, &security->port_sets)
        free(CONTAINER_OF(node, struct port_sets, by_groups));
    hashmap_clear(&security->port_sets);
    hashmap_clear(&security->security_groups);
    hashmap_clear(&security->address_groups);
    rule_sets_clear(&security->sets);
    free(security->groups);
    free(security->address_group_array);
    free(security->rules);
    free(security->scratch);
    free(security->of_ports);
    free(security->indexes);
}

int compile_security(struct compile_index *index, struct desired *desired)
{
    const struct snapshot *snapshot = index->snapshot;
    struct security security = {
        .index = index,
        .snapshot = snapshot,
        .sets = {.secret = snapshot->secret},
        .groups = calloc(snapshot->n_security_groups + 1, sizeof(*security.groups)),
        .address_group_array = calloc(snapshot->n_address_groups + 1, sizeof(*security.address_group_array)),
        .rules = calloc(snapshot->n_security_group_rules + 1, sizeof(*security.rules)),
        .scratch = calloc(snapshot->n_security_group_rules + 1, sizeof(*security.scratch)),
        .of_ports = calloc(snapshot->n_ports + 1, sizeof(*security.of_ports)),
    };
    int error = security.groups && security.address_group_array && security.rules && security.scratch && security.of_ports ? 0 : -ENOMEM;

    if (error == 0)
        error = index_groups(&security);
    if (error == 0)
        error = gather_rules(&security);
    if (error == 0) {
        find_prefixes(&security);
        error = add_policies(&security, desired);
    }
    if (error == 0)
        error = add_members(&security, desired);
    security_clear(&security);
    return error;
}
