/* What the compiler is given: the replica's objects, with what only this host knows of each (slots, interfaces, ways). */
#ifndef WEFT_AGENT_GATHER_H
#define WEFT_AGENT_GATHER_H

#include "weft/agent/agent.h"
#include "weft/compiler/compiler.h"

/* The snapshot and the arrays that it points to; the objects are the replica's. */
struct gathered {
    struct snapshot snapshot;
    const struct network **networks;
    uint32_t *network_projects;
    const struct subnet **subnets;
    struct compile_port *ports;
    struct compile_host *hosts;
    struct compile_project *projects;
    struct compile_security_group *security_groups;
    const struct security_group_rule **security_group_rules;
    struct compile_address_group *address_groups;
    struct compile_router *routers;
    const struct floating_ip **floating_ips;
    const struct port_forwarding **port_forwardings;
    const struct snat_block **snat_blocks;
    const struct firewall_group **firewall_groups;
    const struct firewall_policy **firewall_policies;
    const struct firewall_rule **firewall_rules;
    const struct network_log **logs;
    const struct load_balancer **load_balancers;
    struct compile_listener *listeners;
    struct compile_pool *pools;
    struct compile_member *members;
    const struct balance_rows **balance_rows;
    const struct listener_share **listener_shares;
    const struct health_monitor **health_monitors;
    struct rows shortages, left_out; /* For want of numbers. */
    bool waits;                      /* Somebody gets a number as soon as others are swept (local.h). */
};

/* Fills '*gathered', gives numbers to what has none and marks those in use, brings agent->ports and agent->hosts up to date.  Returns 0 or
 * -ENOMEM; to be cleared in both cases. */
int agent_gather(struct agent *agent, struct gathered *gathered);
void gathered_clear(struct gathered *gathered);

#endif
