/* Security groups: what their files share, and what ports do with them.
 *
 * Keys beside the objects:
 *     security-group/default/<project>        the id of the project's default group: made by whoever needs it first
 *     security-group/rule/<group>/<text>      the group has a rule that says this (security_group_rule_text): nobody adds it twice
 *     security-group/port/<group>/<port>      the port is in the group
 *     security-group/remote/<group>/<rule>    the rule (or the template of one) names the group as the other side
 *     address-group/rule/<group>/<rule>       the same of an address group
 *     security-group/stateful/<project>       the project has a setting of its own; <project> is empty for all others
 *     security-group/templates                the templates of rules are objects by now; until then they are the built-in ones
 * Who refers to a group compares its revision; who deletes it compares that there is nobody else under these prefixes. */
#ifndef WEFT_API_SECURITY_H
#define WEFT_API_SECURITY_H

#include "weft/api/plan.h"
#include "weft/api/resources.h"
#include "weft/model/objects.h"

#define SECURITY_KEY_SIZE 320
#define SECURITY_TEMPLATES_KEY "security-group/templates"

extern const struct resource security_group_resource, security_group_rule_resource, default_rule_resource, default_statefulness_resource,
    address_group_resource;

/* ---- security-groups.c ---- */

/* The project's default group.  Where there is none it becomes part of the plan, with its rules, whatever the quota says.
 * '*ret_group' is NULL only without a project. */
int security_default_group(struct plan *plan, struct request *request, const char *project_id, const struct security_group **ret_group);

/* As this request may see it, or as its plan creates it; NULL with the error SecurityGroupNotFound. */
const struct security_group *security_find_group(struct request *request, struct plan *plan, const char *id, struct error *error);

/* Handler: a list of groups or rules makes the default group first. */
void security_list(struct request *request);

/* ---- security-rules.c ---- */

/* Checks and completes what a request says of a rule, or of a template of one. */
int security_rule_check(struct change *change, struct security_group_rule *rule);
int security_rule_refuse(const char *attribute, const json_t *value, struct error *error);

/* The keys of a rule, or a template, that the plan creates or deletes. */
void security_rule_claim(struct plan *plan, const struct security_group_rule *rule);
void security_rule_plan_delete(struct plan *plan, const struct security_group_rule *rule);
void security_remote_put(struct plan *plan, const struct security_group_rule *rule);
void security_remote_remove(struct plan *plan, const struct security_group_rule *rule);
const char *security_rule_key(const struct security_group_rule *rule, char key[SECURITY_KEY_SIZE]);

/* ---- security-templates.c ---- */

/* Calls 'visit' for each template that a new group gets, until it returns non-zero; returns that. */
int security_each_template(struct request *request, bool is_default_group,
                           int (*visit)(const struct default_rule *template, void *context), void *context);

/* Handlers: the built-in templates become objects first. */
void default_rules_list(struct request *request);
void default_rules_show(struct request *request);
void default_rules_create(struct request *request);
void default_rules_delete(struct request *request);

/* ---- security-statefulness.c ---- */

bool security_default_statefulness(const struct request *request, const char *project_id); /* Of a new group that does not say. */

/* ---- security-ports.c ---- */

/* Completes and checks the groups of a port that the plan creates ('before' is NULL) or changes, and keeps their keys. */
int security_of_port(struct change *change, struct port *port, const struct port *before);
void security_of_deleted_port(struct plan *plan, const struct port *port);
void security_leave(struct plan *plan, struct port *port); /* Of a port that the plan edits and that becomes the network's own. */

bool port_serves_network(const struct port *port); /* A device of the network's own, "network:...": it is in no group. */

/* ---- address-groups.c ---- */

void address_group_add(struct request *request);
void address_group_remove(struct request *request);

#endif
