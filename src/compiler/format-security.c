/* Policies, rules and members as text. */
#include <netinet/in.h>
#include <stdio.h>

#include "weft/compiler/format-tables.h"

static int format_ports(const struct rule *rule, struct buffer *buffer)
{
    if (rule->protocol != IPPROTO_ICMP && rule->protocol != IPPROTO_ICMPV6)
        return buffer_printf(buffer, " ports %u-%u", rule->port_min, rule->port_max);
    if (rule->port_max == 0xffff)
        return buffer_printf(buffer, " type %u", rule->port_min);
    return buffer_printf(buffer, " type %u code %u", rule->port_min, rule->port_max);
}

static int format_rule(const struct rule *rule, struct buffer *buffer)
{
    char text[PREFIX_TEXT_SIZE];
    int error = buffer_printf(buffer, " [%s", rule->flags & RULE_IPV6 ? "ipv6" : "ipv4");

    if (rule->flags & RULE_PROTOCOL && error == 0)
        error = buffer_printf(buffer, " protocol %u", rule->protocol);
    if (rule->flags & RULE_PORTS && error == 0)
        error = format_ports(rule, buffer);
    if (rule->prefix_length && error == 0)
        error = buffer_printf(buffer, " with %s", prefix_text(rule->address, rule->prefix_length, text));
    if (rule->flags & (RULE_GROUP | RULE_GROUP_PREFIXES) && error == 0)
        error = buffer_printf(buffer, " with group %u%s", rule->group, rule->flags & RULE_GROUP_PREFIXES ? " and its prefixes" : "");
    if (rule->flags & RULE_STATELESS && error == 0)
        error = buffer_append_string(buffer, " stateless");
    if (rule->flags & RULE_LOG && error == 0)
        error = buffer_append_string(buffer, " logged");
    return error < 0 ? error : buffer_printf(buffer, ", rule %08x]", rule->number);
}

static int format_block(const struct rules_block *block, struct buffer *buffer)
{
    int error = buffer_printf(buffer, " %08x %u =", block->set, block->index);

    for (uint32_t i = 0; i < block->n && i < RULES_PER_BLOCK && error == 0; i++)
        error = format_rule(&block->rules[i], buffer);
    return error;
}

const char *set_text(__u32 set, char text[SET_TEXT_SIZE])
{
    snprintf(text, SET_TEXT_SIZE, set == RULE_SET_NO_ROOM ? "without room" : "%08x", set);
    return text;
}

int format_security_row(enum desired_table table, const void *key, const void *value, struct buffer *buffer)
{
    char text[PREFIX_TEXT_SIZE];

    if (table == TABLE_POLICIES) {
        LOAD(__u32, slot, key);
        LOAD(struct port_policy, policy, value);
        char egress[SET_TEXT_SIZE], ingress[SET_TEXT_SIZE];

        return buffer_printf(buffer, " %u = egress %s ingress %s", slot, set_text(policy.rule_set[POLICY_EGRESS], egress),
                             set_text(policy.rule_set[POLICY_INGRESS], ingress));
    }
    if (table == TABLE_RULES) {
        LOAD(struct rules_block, block, value);
        return format_block(&block, buffer);
    }
    if (table == TABLE_MEMBERS) {
        LOAD(struct member_key, member, key);
        struct ip_address address;

        memcpy(address.bytes, member.address, sizeof(address.bytes));
        return buffer_printf(buffer, " %u %s", member.group, ip_format(&address, text));
    }

    LOAD(struct member_prefix_key, member, key);
    LOAD(__u64, family, value);
    return buffer_printf(buffer, " %u %s%s", member.group, prefix_text(member.address, member.prefix_length - 32, text),
                         family >> 32 == RULE_IPV6 ? " of ipv6" : family >> 32 ? " of ipv4" : "");
}
