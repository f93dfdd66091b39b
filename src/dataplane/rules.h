/* Blocks of rules (tables.h), for whoever writes them. */
#ifndef WEFT_DATAPLANE_RULES_H
#define WEFT_DATAPLANE_RULES_H

#include <netinet/in.h>

#include "weft/base/util.h"
#include "weft/dataplane/tables.h"

/* Finds out what the rules of a block have in common.  'n' and 'rules' of it are set. */
static inline void rules_block_finish(struct rules_block *block)
{
    struct rules_common common = {0};

    for (__u32 i = 0; i < block->n; i++) {
        const struct rule *rule = &block->rules[i];
        bool is_icmp = rule->protocol == IPPROTO_ICMP || rule->protocol == IPPROTO_ICMPV6;
        __u16 last = is_icmp ? rule->port_min : rule->port_max; /* ICMP: the other one is the code. */

        if (i == 0)
            common = (struct rules_common){rule->flags & (RULE_PROTOCOL | RULE_PORTS), rule->protocol, 0, rule->port_min, last};
        common.flags |= rule->flags & (RULE_IPV4 | RULE_IPV6);
        common.flags &= rule->flags | ~(RULE_PROTOCOL | RULE_PORTS);
        if (rule->protocol != common.protocol)
            common.flags &= ~RULE_PROTOCOL;
        common.port_min = MIN(common.port_min, rule->port_min);
        common.port_max = MAX(common.port_max, last);
    }
    if (!(common.flags & RULE_PROTOCOL)) { /* Ports of two protocols are two things. */
        common.protocol = 0;
        common.flags &= ~RULE_PORTS;
    }
    if (!(common.flags & RULE_PORTS))
        common.port_min = common.port_max = 0;
    block->common = common;
}

#endif
