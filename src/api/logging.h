/* The logging API (Neutron's extension "logging"): log objects, which say whose accepted and refused packets hosts log.
 *
 * Keys beside the objects:
 *     log/resource/<group>/<log>      the log names the security group, or firewall group
 *     log/target/<port>/<log>         the log names the port
 * A log goes with the group or port that it names: who deletes one of these deletes its logs, and compares that there are no others. */
#ifndef WEFT_API_LOGGING_H
#define WEFT_API_LOGGING_H

#include "weft/api/plan.h"
#include "weft/api/resources.h"

extern const struct resource network_log_resource;

/* Handler: what can be logged. */
void loggable_resources_list(struct request *request);

/* The plan deletes the group, or the port: the logs that name it go too.  0 or -ENOMEM. */
int logs_of_deleted_group(struct plan *plan, const char *group_id);
void logs_of_deleted_port(struct plan *plan, const char *port_id); /* Out of memory: the plan has failed. */

#endif
