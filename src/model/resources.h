/* The resources' tables, for schema.c, and the rows that all of them share. */
#ifndef WEFT_MODEL_RESOURCES_H
#define WEFT_MODEL_RESOURCES_H

#include "weft/model/schema.h"

extern const struct schema network_schema, subnet_schema, port_schema, host_schema, security_group_schema, security_group_rule_schema,
    address_group_schema, default_rule_schema, default_statefulness_schema, router_schema, floating_ip_schema, port_forwarding_schema, snat_block_schema,
    network_log_schema, address_scope_schema, subnet_pool_schema,
    firewall_rule_schema, firewall_policy_schema, firewall_group_schema,
    load_balancer_schema, listener_schema, pool_schema, pool_member_schema, health_monitor_schema, balance_rows_schema, listener_share_schema;

extern const struct attribute fixed_ip_attributes[]; /* Of a struct fixed_ip. */

/* A 'check' of "ip_version": 4 or 6. */
int check_ip_version(const struct attribute *attribute, const void *value, struct error *error);

#define NAME_MAX_CHARACTERS 255
#define DESCRIPTION_MAX_CHARACTERS 255

#define ID_ATTRIBUTE                                                                                         \
    {.name = "id", .type = TYPE_UUID, FIELD(struct object, id), .flags = ATTRIBUTE_FIND,                     \
     .help = "The object's UUID."}

#define NAME_ATTRIBUTE                                                                                       \
    {.name = "name", .type = TYPE_STRING, FIELD(struct object, name),                                        \
     .flags = ATTRIBUTE_WRITE | ATTRIBUTE_FIND | ATTRIBUTE_NULL_EMPTY, .maximum = NAME_MAX_CHARACTERS,       \
     .help = "A name for people; need not be unique."}

#define DESCRIPTION_ATTRIBUTE                                                                                \
    {.name = "description", .type = TYPE_STRING, FIELD(struct object, description),                          \
     .flags = ATTRIBUTE_WRITE | ATTRIBUTE_FIND | ATTRIBUTE_NULL_EMPTY, .maximum = DESCRIPTION_MAX_CHARACTERS, \
     .help = "A remark for people."}

#define PROJECT_ATTRIBUTE                                                                                    \
    {.name = "project_id", .type = TYPE_TEXT, FIELD(struct object, project_id),                              \
     .flags = ATTRIBUTE_POST | ATTRIBUTE_FIND, .help = "The project it belongs to."}

#define HISTORY_ATTRIBUTES                                                                                   \
    {.name = "revision_number", .type = TYPE_UINT, FIELD(struct object, revision_number),                    \
     .flags = ATTRIBUTE_FIND, .help = "Grows with each change."},                                            \
    {.name = "created_at", .type = TYPE_TIME, FIELD(struct object, created_at_s), .flags = ATTRIBUTE_FIND,   \
     .help = "When it was created."},                                                                        \
    {.name = "updated_at", .type = TYPE_TIME, FIELD(struct object, updated_at_s), .flags = ATTRIBUTE_FIND,   \
     .help = "When it was last changed."},                                                                   \
    {.name = "quota_slot", .type = TYPE_UINT, FIELD(struct object, quota_slot), .flags = ATTRIBUTE_INTERNAL, \
     .help = "Which of its project's units of quota it holds."}

#define OTHER_COMMON_ATTRIBUTES DESCRIPTION_ATTRIBUTE, PROJECT_ATTRIBUTE, HISTORY_ATTRIBUTES
#define COMMON_ATTRIBUTES ID_ATTRIBUTE, NAME_ATTRIBUTE, OTHER_COMMON_ATTRIBUTES
#define NAMELESS_ATTRIBUTES ID_ATTRIBUTE, OTHER_COMMON_ATTRIBUTES /* Of what has no name in the API. */

#define ADMIN_STATE_ATTRIBUTE                                                                                \
    {.name = "admin_state_up", .type = TYPE_BOOL, FIELD(struct object, admin_state_up),                      \
     .flags = ATTRIBUTE_WRITE | ATTRIBUTE_FIND, .default_json = "true", .help = "False switches it off."}

#endif
