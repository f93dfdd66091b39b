/* Security groups: random groups, rules and ports are compiled, and random packets judged by the tables come to what a plain search of the
 * objects says. */
#include <errno.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "projects.h"
#include "weft/base/util.h"
#include "weft/compiler/compiler.h"

#define N_GROUPS 6
#define N_ADDRESS_GROUPS 2
#define N_RULES 60
#define N_PORTS 12

struct world {
    struct security_group groups[N_GROUPS];
    struct address_group address_groups[N_ADDRESS_GROUPS];
    struct ip_prefix addresses[N_ADDRESS_GROUPS][2];
    struct security_group_rule rules[N_RULES];
    struct port ports[N_PORTS];
    struct fixed_ip fixed_ips[N_PORTS][2];
    struct address_pair pairs[N_PORTS];
    struct object_id of_port[N_PORTS][3];
    struct network network;
    struct compile_security_group compile_groups[N_GROUPS];
    struct compile_address_group compile_address_groups[N_ADDRESS_GROUPS];
    const struct security_group_rule *rule_pointers[N_RULES];
    struct compile_port compile_ports[N_PORTS];
    const struct network *networks[1];
    struct snapshot snapshot;
};

static void set_id(char id[UUID_TEXT_SIZE], unsigned kind, unsigned i)
{
    snprintf(id, UUID_TEXT_SIZE, "%08x-0000-4000-8000-%012x", i, kind);
}

/* From a space so small that members, prefixes and packets meet. */
static struct ip_address random_address(bool v4)
{
    struct ip_address address = ip_from_v4(0x0a000000 | below(24));

    if (!v4)
        address = (struct ip_address){{0xfd, [15] = (uint8_t)below(24)}};
    return address;
}

static struct ip_prefix random_prefix(bool v4)
{
    static const uint8_t lengths[] = {0, 8, 28, 30, 32};
    uint8_t length = lengths[below(ARRAY_SIZE(lengths))];
    struct ip_prefix prefix = {random_address(v4), (uint8_t)(v4 || !length ? length : length + 96)};

    prefix.address = prefix_first(&prefix);
    return prefix;
}

static void random_rule(struct world *world, struct security_group_rule *rule)
{
    static const char *const protocols[] = {NULL, "tcp", "udp", "icmp", "6", "132", "any", "nonsense"};

    set_id(rule->object.id, 3, (unsigned)(rule - world->rules));
    set_id(rule->security_group_id, 1, below(N_GROUPS + 1)); /* One group is not known. */
    rule->direction = below(2) ? RULE_INGRESS : RULE_EGRESS;
    rule->ip_version = below(2) ? 4 : 6;
    rule->protocol = (char *)protocols[below(ARRAY_SIZE(protocols))];
    rule->has_port_min = below(2);
    rule->has_port_max = rule->has_port_min && below(4);
    rule->port_min = (uint16_t)below(6);
    rule->port_max = (uint16_t)below(8);
    switch (below(5)) {
    case 0:
        rule->has_remote_prefix = true;
        rule->remote_prefix = random_prefix(rule->ip_version == 4);
        break;
    case 1:
        set_id(rule->remote_group_id, 1, below(N_GROUPS + 1));
        break;
    case 2:
        set_id(rule->remote_address_group_id, 2, below(N_ADDRESS_GROUPS));
        break;
    default:
        break;
    }
}

static void make_world(struct world *world)
{
    *world = (struct world){.network = {.vni = 9, .mtu = 1450}};
    set_id(world->network.object.id, 4, 0);
    for (unsigned i = 0; i < N_GROUPS; i++) {
        set_id(world->groups[i].object.id, 1, i);
        world->groups[i].stateful = below(3);
        world->compile_groups[i] = (struct compile_security_group){&world->groups[i], 1 + i};
    }
    for (unsigned i = 0; i < N_ADDRESS_GROUPS; i++) {
        set_id(world->address_groups[i].object.id, 2, i);
        world->addresses[i][0] = random_prefix(true);
        world->addresses[i][1] = random_prefix(false);
        world->address_groups[i].addresses = world->addresses[i];
        world->address_groups[i].n_addresses = below(3);
        world->compile_address_groups[i] = (struct compile_address_group){&world->address_groups[i], 100 + i};
    }
    for (unsigned i = 0; i < N_RULES; i++) {
        random_rule(world, &world->rules[i]);
        world->rule_pointers[i] = &world->rules[i];
    }
    for (unsigned i = 0; i < N_PORTS; i++) {
        struct port *port = &world->ports[i];

        set_id(port->object.id, 5, i);
        string_copy(port->network_id, sizeof(port->network_id), world->network.object.id);
        port->port_security_enabled = below(8);
        port->has_security_groups = below(8);
        port->n_security_groups = below(4);
        for (unsigned k = 0; k < port->n_security_groups; k++)
            set_id(world->of_port[i][k].id, 1, below(N_GROUPS + 1));
        port->security_groups = world->of_port[i];
        world->fixed_ips[i][0].address = random_address(true);
        world->fixed_ips[i][1].address = random_address(false);
        port->fixed_ips = world->fixed_ips[i];
        port->n_fixed_ips = 2;
        world->pairs[i].prefix = random_prefix(below(2));
        port->allowed_address_pairs = &world->pairs[i];
        port->n_allowed_address_pairs = below(4) == 0;
        port->binding_host_id = (char *)(i < N_PORTS / 2 ? "here" : "there");
        world->compile_ports[i] = (struct compile_port){.port = port, .slot = i < N_PORTS / 2 ? 1 + i : 0};
    }
    world->networks[0] = &world->network;
    world->snapshot = (struct snapshot){
        .host_name = "here", .networks = world->networks, .n_networks = 1, .ports = world->compile_ports, .n_ports = N_PORTS,
        .security_groups = world->compile_groups, .n_security_groups = N_GROUPS, .security_group_rules = world->rule_pointers,
        .n_security_group_rules = N_RULES, .address_groups = world->compile_address_groups, .n_address_groups = N_ADDRESS_GROUPS,
    };
}

struct question {
    struct ip_address remote;
    uint8_t protocol;
    uint16_t port;         /* Destination port; ICMP: type. */
    uint16_t code;
    enum policy_direction direction;
};

enum { REFUSED, ALLOWED, ALLOWED_STATELESS };

/* ---- by the objects ------------------------------------------------------------------------------------------------------- */

static bool port_has_group(const struct port *port, const char *id)
{
    for (size_t i = 0; i < port->n_security_groups; i++)
        if (streq(port->security_groups[i].id, id))
            return true;
    return false;
}

static bool port_has_address(const struct port *port, const struct ip_address *address)
{
    for (size_t i = 0; i < port->n_fixed_ips; i++)
        if (ip_equal(&port->fixed_ips[i].address, address))
            return true;
    return port->n_allowed_address_pairs && prefix_contains(&port->allowed_address_pairs[0].prefix, address);
}

static bool remote_fits(const struct world *world, const struct security_group_rule *rule, const struct ip_address *remote)
{
    if (rule->has_remote_prefix)
        return prefix_contains(&rule->remote_prefix, remote);
    for (size_t i = 0; rule->remote_group_id[0] && i < N_PORTS; i++)
        if (world->ports[i].has_security_groups && world->ports[i].port_security_enabled &&
            port_has_group(&world->ports[i], rule->remote_group_id) && port_has_address(&world->ports[i], remote))
            for (size_t k = 0; k < N_GROUPS; k++)
                if (streq(world->groups[k].object.id, rule->remote_group_id))
                    return true;
    for (size_t i = 0; i < N_ADDRESS_GROUPS; i++)
        for (size_t k = 0; streq(world->address_groups[i].object.id, rule->remote_address_group_id) && k < world->address_groups[i].n_addresses; k++)
            if (prefix_contains(&world->address_groups[i].addresses[k], remote))
                return true;
    return !rule->remote_group_id[0] && !rule->remote_address_group_id[0];
}

static bool rule_fits(const struct world *world, const struct security_group_rule *rule, const struct question *q)
{
    int protocol = protocol_number(rule->protocol, rule->ip_version);
    bool icmp = protocol == IPPROTO_ICMP || protocol == IPPROTO_ICMPV6;

    if ((rule->direction == RULE_EGRESS) != (q->direction == POLICY_EGRESS) || (rule->ip_version == 4) != ip_is_v4(&q->remote) ||
        protocol == -EINVAL || (protocol >= 0 && protocol != q->protocol) || !remote_fits(world, rule, &q->remote))
        return false;
    if (!rule->has_port_min)
        return true;
    if (icmp)
        return q->port == rule->port_min && (!rule->has_port_max || q->code == rule->port_max);
    return protocol > 0 && q->port >= rule->port_min && (!rule->has_port_max || q->port <= rule->port_max);
}

static int judge_objects(const struct world *world, const struct port *port, const struct question *q)
{
    int verdict = REFUSED;

    for (size_t i = 0; i < N_RULES; i++)
        for (size_t k = 0; k < N_GROUPS; k++)
            if (streq(world->rules[i].security_group_id, world->groups[k].object.id) && port_has_group(port, world->groups[k].object.id) &&
                rule_fits(world, &world->rules[i], q) && verdict != ALLOWED)
                verdict = world->groups[k].stateful ? ALLOWED : ALLOWED_STATELESS;
    return verdict;
}

/* ---- by the tables -------------------------------------------------------------------------------------------------------- */

static bool bits_same(const __u8 *a, const __u8 *b, uint32_t bits)
{
    for (uint32_t i = 0; i < bits; i++)
        if ((a[i / 8] ^ b[i / 8]) & 0x80 >> i % 8)
            return false;
    return true;
}

static bool is_member(const struct desired *desired, const struct rule *rule, const struct ip_address *remote)
{
    const struct rows *prefixes = &desired->tables[TABLE_MEMBER_PREFIXES];
    struct member_key key = {.group = rule->group};

    memcpy(key.address, remote->bytes, 16);
    if (rule->flags & RULE_GROUP && rows_find(&desired->tables[TABLE_MEMBERS], &key))
        return true;
    for (size_t i = 0; rule->flags & RULE_GROUP_PREFIXES && i < prefixes->n; i++) {
        struct member_prefix_key prefix;
        __u64 value;

        memcpy(&prefix, rows_key(prefixes, i), sizeof(prefix));
        memcpy(&value, rows_value(prefixes, i), sizeof(value));
        if (value >> 32 && value >> 32 != (ip_is_v4(remote) ? RULE_IPV4 : RULE_IPV6))
            continue; /* Of the other family: policy.h. */
        if (prefix.group == rule->group && bits_same(prefix.address, remote->bytes, prefix.prefix_length - 32))
            return true;
    }
    return false;
}

static bool row_fits(const struct desired *desired, const struct rule *rule, const struct question *q)
{
    bool icmp = q->protocol == IPPROTO_ICMP || q->protocol == IPPROTO_ICMPV6;

    if (!(rule->flags & (ip_is_v4(&q->remote) ? RULE_IPV4 : RULE_IPV6)) || (rule->flags & RULE_PROTOCOL && rule->protocol != q->protocol) ||
        !bits_same(rule->address, q->remote.bytes, rule->prefix_length) ||
        (rule->flags & (RULE_GROUP | RULE_GROUP_PREFIXES) && !is_member(desired, rule, &q->remote)))
        return false;
    if (!(rule->flags & RULE_PORTS))
        return true;
    if (icmp)
        return q->port == rule->port_min && (rule->port_max == 0xffff || q->code == rule->port_max);
    return q->port >= rule->port_min && q->port <= rule->port_max;
}

static int judge_tables(const struct desired *desired, uint32_t slot, const struct question *q)
{
    const void *row = rows_find(&desired->tables[TABLE_POLICIES], &slot);
    struct port_policy policy = {{0}};
    struct rules_block block = {.n = RULES_PER_BLOCK};

    if (row)
        memcpy(&policy, row, sizeof(policy));
    for (struct rules_key key = {policy.rule_set[q->direction], 0}; block.n == RULES_PER_BLOCK; key.index++) {
        row = rows_find(&desired->tables[TABLE_RULES], &key);
        if (!row)
            break;
        memcpy(&block, row, sizeof(block));
        for (uint32_t i = 0; i < block.n; i++)
            if (row_fits(desired, &block.rules[i], q))
                return block.rules[i].flags & RULE_STATELESS ? ALLOWED_STATELESS : ALLOWED;
    }
    return REFUSED;
}

static void tables_judge_as_the_objects_do(void **state)
{
    static const uint8_t protocols[] = {IPPROTO_TCP, IPPROTO_UDP, IPPROTO_SCTP, IPPROTO_ICMP, IPPROTO_ICMPV6, IPPROTO_GRE};
    static struct world world;
    unsigned n[3] = {0};
    struct desired desired;

    desired_init(&desired);
    for (int round = 0; round < 60; round++) {
        make_world(&world);
        assert_int_equal(0, compile(&world.snapshot, &desired));
        for (int i = 0; i < 500; i++) {
            struct question q = {.remote = random_address(below(2)), .protocol = protocols[below(ARRAY_SIZE(protocols))],
                                 .port = (uint16_t)below(9), .code = (uint16_t)below(9), .direction = below(2)};
            const struct compile_port *port = &world.compile_ports[below(N_PORTS / 2)];
            int expected = judge_objects(&world, port->port, &q);

            if (!port->port->has_security_groups || !port->port->port_security_enabled)
                continue;
            n[expected]++;
            assert_int_equal(expected, judge_tables(&desired, port->slot, &q));
        }
    }
    for (size_t i = 0; i < ARRAY_SIZE(n); i++)
        assert_true(n[i] > 100);
    desired_clear(&desired);
}

/* Only rules that name a group make its members rows. */
static void members_of_groups_that_nobody_names_are_no_rows(void **state)
{
    static struct world world;
    struct desired desired;

    desired_init(&desired);
    make_world(&world);
    for (size_t i = 0; i < N_RULES; i++)
        world.rules[i].remote_group_id[0] = world.rules[i].remote_address_group_id[0] = 0;
    /* A port here has a rule that fits, whatever chance made of the others. */
    world.ports[0].port_security_enabled = world.ports[0].has_security_groups = true;
    world.ports[0].n_security_groups = 1;
    set_id(world.of_port[0][0].id, 1, 0);
    set_id(world.rules[0].security_group_id, 1, 0);
    world.rules[0].protocol = NULL;
    world.rules[0].has_port_min = world.rules[0].has_port_max = false;
    assert_int_equal(0, compile(&world.snapshot, &desired));
    assert_true(desired.tables[TABLE_RULES].n > 0);
    assert_int_equal(0, desired.tables[TABLE_MEMBERS].n + desired.tables[TABLE_MEMBER_PREFIXES].n);
    desired_clear(&desired);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tables_judge_as_the_objects_do),
        cmocka_unit_test(members_of_groups_that_nobody_names_are_no_rows),
    };

    random_begin(argc, argv);
    return cmocka_run_group_tests_name("security groups", tests, NULL, NULL);
}
