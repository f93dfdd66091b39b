/* The firewall of routers (Firewall-as-a-service v2, neutron-fwaas): what its files share, and what ports do with it.
 *
 * Keys beside the objects:
 *     firewall/default/<project>           the id of the project's default group: made by whoever needs it first
 *     firewall/port/<port>                 the group that the port is in: one at most
 *     firewall/policy/<policy>/<group>     the group uses the policy, for one direction or both
 *     firewall/rule/<rule>/<policy>        the policy has the rule
 * Who refers to something compares its revision; who deletes it, or stops sharing it, compares that nobody else is under these prefixes. */
#ifndef WEFT_API_FIREWALL_H
#define WEFT_API_FIREWALL_H

#include "weft/api/plan.h"
#include "weft/api/resources.h"
#include "weft/model/objects.h"

#define FIREWALL_KEY_SIZE 160

extern const struct resource firewall_group_resource, firewall_policy_resource, firewall_rule_resource;

/* ---- firewall-defaults.c ---- */

#define FIREWALL_DEFAULT_GROUP "default"
#define FIREWALL_DEFAULT_INGRESS "default ingress"
#define FIREWALL_DEFAULT_EGRESS "default egress"

/* The project's default group becomes part of the plan where there is none, with its policies and rules, whatever the quota says.
 * 0 or a negative code. */
int firewall_make_default(struct plan *plan, struct request *request, const char *project_id);
const char *firewall_default_key(const char *project_id, char key[FIREWALL_KEY_SIZE]);

/* Handler: a list makes the default group first. */
void firewall_list(struct request *request);

/* ---- firewall-groups.c ---- */

/* Of a port that the plan deletes: its group loses it. */
void firewall_of_deleted_port(struct plan *plan, const struct port *port);

void firewall_policy_use(struct plan *plan, const char *policy_id, const char *group_id);

/* ---- firewall-policies.c ---- */

void firewall_rule_use(struct plan *plan, const char *rule_id, const char *policy_id);
void firewall_policy_plan_delete(struct plan *plan, const struct firewall_policy *policy);
void firewall_insert_rule(struct request *request);
void firewall_remove_rule(struct request *request);

/* ---- firewall-rules.c ---- */

/* Nobody but 'policies' has the rule when the plan commits. */
int firewall_require_known_policies(struct plan *plan, const struct replica *replica, const char *rule_id);

#endif
