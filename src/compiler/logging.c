/* Which local ports log what their security groups decide, and which ports of routers what their firewall group decides.
 *
 * A log is about one port, the ports of a group, or those of its project; so a port is looked up by these.  What a log of a group lets
 * hear of is only what the group's own rules let pass: these rules have RULE_LOG (security.c), and the port PORT_LOG_RULES. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "weft/compiler/layers.h"

struct compile_log {
    struct hashmap_node by_key; /* Only the first of those with one key is in the map. */
    const struct network_log *log;
    struct compile_log *next;
};

static const char *key_of(const struct network_log *log)
{
    return log->target_id[0] ? log->target_id : log->resource_id[0] ? log->resource_id : log->object.project_id;
}

int compile_index_logs(struct compile_index *index)
{
    const struct snapshot *snapshot = index->snapshot;

    if (!snapshot->n_logs)
        return 0;
    index->log_array = calloc(snapshot->n_logs, sizeof(*index->log_array));
    if (!index->log_array)
        return -ENOMEM;
    for (size_t i = 0; i < snapshot->n_logs; i++) {
        struct compile_log *entry = &index->log_array[i];
        const char *key = key_of(snapshot->logs[i]);
        struct hashmap_node *node = hashmap_find(&index->logs, key, strlen(key));

        entry->log = snapshot->logs[i];
        if (node) {
            struct compile_log *first = CONTAINER_OF(node, struct compile_log, by_key);

            entry->next = first->next;
            first->next = entry;
        } else if (hashmap_insert(&index->logs, &entry->by_key, key, strlen(key)) < 0) {
            return -ENOMEM;
        }
    }
    return 0;
}

static uint32_t flags_of(const struct network_log *log)
{
    uint32_t flags = 0;

    if (log->event != LOG_EVENT_ACCEPT)
        flags |= PORT_LOG_DROP;
    if (log->event != LOG_EVENT_DROP)
        flags |= log->resource_id[0] ? PORT_LOG_RULES : PORT_LOG_ACCEPT;
    return flags;
}

static uint32_t flags_by(const struct compile_index *index, const struct port *port, const char *key)
{
    const struct hashmap_node *node = hashmap_find(&index->logs, key, strlen(key));
    uint32_t flags = 0;

    for (const struct compile_log *entry = node ? CONTAINER_OF(node, struct compile_log, by_key) : NULL; entry; entry = entry->next)
        if (network_log_concerns(entry->log, port))
            flags |= flags_of(entry->log);
    return flags;
}

uint32_t compile_port_logs(const struct compile_index *index, const struct port *port)
{
    uint32_t flags;

    if (!index->snapshot->n_logs || !compile_port_has_policy(port))
        return 0;
    flags = flags_by(index, port, port->object.id) | flags_by(index, port, port->object.project_id);
    for (size_t i = 0; i < port->n_security_groups; i++)
        flags |= flags_by(index, port, port->security_groups[i].id);
    return flags;
}

static uint32_t router_flags_by(const struct compile_index *index, const struct firewall_group *group, const char *port_id, const char *key)
{
    const struct hashmap_node *node = hashmap_find(&index->logs, key, strlen(key));
    uint32_t flags = 0;

    for (const struct compile_log *entry = node ? CONTAINER_OF(node, struct compile_log, by_key) : NULL; entry; entry = entry->next)
        if (network_log_guards(entry->log, group, port_id))
            flags |= (entry->log->event != LOG_EVENT_ACCEPT ? ROUTER_PORT_LOG_DROP : 0) | (entry->log->event != LOG_EVENT_DROP ? ROUTER_PORT_LOG_ACCEPT : 0);
    return flags;
}

uint32_t compile_router_port_logs(const struct compile_index *index, const struct firewall_group *group, const char *port_id)
{
    if (!index->snapshot->n_logs)
        return 0;
    return router_flags_by(index, group, port_id, port_id) | router_flags_by(index, group, port_id, group->object.id) |
           router_flags_by(index, group, port_id, group->object.project_id);
}

bool compile_log_wants_rules(const struct network_log *log)
{
    return log->enabled && log->resource_id[0] && log->event != LOG_EVENT_DROP && log->resource_type && streq(log->resource_type, LOG_SECURITY_GROUP);
}
