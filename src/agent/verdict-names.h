/* From the numbers of a verdict to what people know: which port, which rule, and which log objects asked for it. */
#ifndef WEFT_AGENT_VERDICT_NAMES_H
#define WEFT_AGENT_VERDICT_NAMES_H

#include "weft/agent/agent.h"
#include "weft/agent/verdict-line.h"

/* What the replica says, while its number of changes stays.  All zero: nothing yet. */
struct verdict_book {
    uint64_t n_changes;
    bool is_made;
    const struct network_log **logs;
    size_t n_logs, n_firewall_logs;
    const struct security_group_rule **rules; /* By their numbers. */
    size_t n_rules;
    const struct firewall_group **groups;     /* By their ids. */
    size_t n_groups;
};

void verdict_book_clear(struct verdict_book *book);

/* Whose the event is.  False if no log object is about it, its port is gone, or out of memory.  What '*ret' refers to is the replica's. */
bool verdict_names_of_event(struct verdict_book *book, const struct agent *agent, const struct verdict_event *event, struct verdict_names *ret);

/* The port's log objects, whatever they are after; 'router_port' is the id of a port of a router.  As above. */
bool verdict_names_of_port(struct verdict_book *book, const struct agent *agent, const struct port *port, struct verdict_names *ret);
bool verdict_names_of_router_port(struct verdict_book *book, const struct agent *agent, const char *router_port, struct verdict_names *ret);

/* Is there a log object about firewalls at all? */
bool verdict_book_has_firewalls(struct verdict_book *book, const struct agent *agent);

#endif
