#include "weft/director/import/draft.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "weft/base/utf8.h"
#include "weft/base/util.h"
#include "weft/director/config-parts.h"

static bool parse_port(const char *text, char **ret_end, uint16_t *ret)
{
    unsigned long port;

    if (*text < '0' || *text > '9')
        return false;
    port = strtoul(text, ret_end, 10);
    *ret = (uint16_t)port;
    return port <= UINT16_MAX;
}

bool draft_add_ports(struct draft_ports *ports, const char *text, char between)
{
    for (;;) {
        uint16_t first, last;
        char *end;

        if (ports->n == DRAFT_PORTS_MAX || !parse_port(text, &end, &first))
            return false;
        last = first;
        if (*end == between && !parse_port(end + 1, &end, &last))
            return false;
        if (last < first || (*end && *end != ','))
            return false;
        ports->first[ports->n] = first;
        ports->last[ports->n++] = last;
        if (!*end)
            return true;
        text = end + 1;
    }
}

bool draft_set_address(struct draft *draft, const char *text, bool is_source)
{
    struct ip_prefix prefix;

    if (prefix_parse_host(text, &prefix) < 0)
        return false;
    *(is_source ? &draft->rule.source : &draft->rule.destination) = prefix;
    *(is_source ? &draft->rule.has_source : &draft->rule.has_destination) = prefix.length > 0;
    draft->rule.ipv6 = !ip_is_v4(&prefix.address);
    return true;
}

bool draft_set_protocol(struct draft *draft, const char *text)
{
    uint64_t number;

    if (service_protocol_parse(text, &draft->rule.protocol) == 0)
        return true;
    if (parse_u64(text, 1, UINT8_MAX, &number) < 0)
        return false;
    draft->rule.protocol = (uint8_t)number;
    return true;
}

bool draft_set_interface(struct draft *draft, const char *text)
{
    size_t length = strlen(text);
    bool is_quoted = length >= 2 && text[0] == '"' && text[length - 1] == '"';
    char name[IFNAMSIZ + 2];

    if (string_copy(name, sizeof(name), text) < 0)
        return false;
    if (is_quoted) {
        memmove(name, name + 1, length - 2);
        name[length - 2] = 0;
    }
    for (const char *at = name; *at; at++)
        if ((unsigned char)*at < ' ')
            return false;
    return *name && !strpbrk(name, "+*/\" ") && utf8_is_valid(name, strlen(name)) && string_copy(draft->rule.interface, IFNAMSIZ, name) == 0;
}

bool draft_set_mark(struct draft *draft, const char *text)
{
    unsigned long mark, mask = UINT32_MAX;
    char *end;

    if (*text < '0' || *text > '9')
        return false;
    errno = 0;
    mark = strtoul(text, &end, 0);
    if (*end == '/')
        mask = strtoul(end + 1, &end, 0);
    draft->rule.mark = (uint32_t)mark;
    return !errno && !*end && mark && mark <= UINT32_MAX && mask == UINT32_MAX;
}

int draft_commit(const struct draft *draft, struct director_config *config, struct error *error)
{
    size_t n_sources = MAX(draft->source.n, 1), n_destinations = MAX(draft->destination.n, 1),
           n = n_sources * n_destinations;
    struct mark_rule *rules, probe = draft->rule;
    int result;

    if (draft->source.n)
        probe.source_port_max = draft->source.last[0];
    if (draft->destination.n)
        probe.destination_port_max = draft->destination.last[0];
    result = mark_rule_check(&probe, error);
    if (result < 0)
        return result;
    if (config->n_mark_rules + n > DIRECTOR_MARK_RULES_MAX)
        return error_set(error, -E2BIG, NULL, "there are more rules than %u", DIRECTOR_MARK_RULES_MAX);
    rules = reallocarray(config->mark_rules, config->n_mark_rules + n, sizeof(*rules));
    if (!rules)
        return error_set(error, -ENOMEM, NULL, "out of memory");
    memmove(rules + n, rules, config->n_mark_rules * sizeof(*rules));
    for (size_t i = 0; i < n; i++) {
        size_t source = i / n_destinations, destination = i % n_destinations;

        rules[i] = draft->rule;
        if (draft->source.n) {
            rules[i].source_port_min = draft->source.first[source];
            rules[i].source_port_max = draft->source.last[source];
        }
        if (draft->destination.n) {
            rules[i].destination_port_min = draft->destination.first[destination];
            rules[i].destination_port_max = draft->destination.last[destination];
        }
    }
    config->mark_rules = rules;
    config->n_mark_rules += n;
    return 0;
}
