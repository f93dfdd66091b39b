/* The logging of what the firewall decides. */
#include <string.h>

#include "weft/base/util.h"
#include "weft/model/resources.h"

static const char *const events[] = {[LOG_EVENT_ALL] = "ALL", [LOG_EVENT_ACCEPT] = "ACCEPT", [LOG_EVENT_DROP] = "DROP"};

static const struct attribute attributes[] = {
    COMMON_ATTRIBUTES,
    {.name = "resource_type", .type = TYPE_STRING, FIELD(struct network_log, resource_type), .maximum = 255,
     .flags = ATTRIBUTE_POST | ATTRIBUTE_REQUIRED | ATTRIBUTE_FIND, .help = "What decides: security_group, or firewall_group."},
    {.name = "resource_id", .type = TYPE_UUID, FIELD(struct network_log, resource_id),
     .flags = ATTRIBUTE_POST | ATTRIBUTE_FIND | ATTRIBUTE_NULLABLE, .help = "Only of this security or firewall group; of all unless given."},
    {.name = "target_id", .type = TYPE_UUID, FIELD(struct network_log, target_id),
     .flags = ATTRIBUTE_POST | ATTRIBUTE_FIND | ATTRIBUTE_NULLABLE, .help = "Only at this port; at all unless given."},
    {.name = "event", .type = TYPE_ENUM, FIELD(struct network_log, event), VALUES(events), .flags = ATTRIBUTE_POST | ATTRIBUTE_FILTER,
     .default_json = "\"ALL\"", .help = "ACCEPT: the first packets of connections that pass; DROP: each packet that is refused; ALL: both."},
    {.name = "enabled", .type = TYPE_BOOL, FIELD(struct network_log, enabled), .flags = ATTRIBUTE_WRITE | ATTRIBUTE_FIND,
     .default_json = "true", .help = "False: nothing is logged for it."},
    {.name = NULL},
};

const struct schema network_log_schema = {
    .kind = RESOURCE_LOG,
    .name = "log",
    .collection = "logs",
    .size = sizeof(struct network_log),
    .attributes = attributes,
    .help = "Whose accepted and refused packets are logged.",
};

bool network_log_concerns(const struct network_log *log, const struct port *port)
{
    if (!log->enabled || !log->resource_type || !streq(log->resource_type, LOG_SECURITY_GROUP))
        return false;
    if (log->target_id[0] && !streq(log->target_id, port->object.id))
        return false;
    for (size_t i = 0; log->resource_id[0] && i < port->n_security_groups; i++)
        if (streq(port->security_groups[i].id, log->resource_id))
            return true;
    return !log->resource_id[0] && (log->target_id[0] || streq(log->object.project_id, port->object.project_id));
}

bool network_log_guards(const struct network_log *log, const struct firewall_group *group, const char *port_id)
{
    if (!log->enabled || !log->resource_type || !streq(log->resource_type, LOG_FIREWALL_GROUP))
        return false;
    if (log->target_id[0] && !streq(log->target_id, port_id))
        return false;
    if (log->resource_id[0])
        return streq(log->resource_id, group->object.id);
    return log->target_id[0] || streq(log->object.project_id, group->object.project_id);
}
