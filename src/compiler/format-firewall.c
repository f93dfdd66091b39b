/* Firewall policies as text. */
#include "weft/compiler/format-tables.h"

static int format_end(const char *word, const __u8 address[16], uint8_t length, bool has_ports, uint16_t first, uint16_t last, struct buffer *buffer)
{
    char text[PREFIX_TEXT_SIZE];
    int error = 0;

    if (!length && !has_ports)
        return 0;
    error = buffer_printf(buffer, " %s", word);
    if (length && error == 0)
        error = buffer_printf(buffer, " %s", prefix_text(address, length, text));
    if (has_ports && error == 0)
        error = buffer_printf(buffer, " ports %u-%u", first, last);
    return error;
}

static int format_rule(const struct firewall_rule_row *rule, struct buffer *buffer)
{
    static const char *const verdicts[] = {[FIREWALL_DENIES] = "deny", [FIREWALL_PASSES] = "allow", [FIREWALL_REJECTS] = "reject"};
    int error = buffer_printf(buffer, " [%s %s", verdicts[rule->verdict % 3], rule->flags & RULE_IPV6 ? "ipv6" : "ipv4");

    if (rule->flags & RULE_PROTOCOL && error == 0)
        error = buffer_printf(buffer, " protocol %u", rule->protocol);
    if (error == 0)
        error = format_end("from", rule->source, rule->source_length, rule->flags & FIREWALL_SOURCE_PORTS, rule->source_min, rule->source_max, buffer);
    if (error == 0)
        error = format_end("to", rule->destination, rule->destination_length, rule->flags & FIREWALL_DESTINATION_PORTS, rule->destination_min,
                           rule->destination_max, buffer);
    return error < 0 ? error : buffer_printf(buffer, ", rule %08x]", rule->number);
}

int format_firewall_row(const void *key, const void *value, struct buffer *buffer)
{
    LOAD(struct firewall_block, block, value);
    int error = buffer_printf(buffer, " %08x %u =", block.set, block.index);

    for (uint32_t i = 0; i < block.n && i < FIREWALL_RULES_PER_BLOCK && error == 0; i++)
        error = format_rule(&block.rules[i], buffer);
    return error < 0 ? error : buffer_append_string(buffer, block.is_last ? " [deny all]" : " [more]");
}
