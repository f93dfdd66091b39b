/* Resources of the API by their table: create, list, show, set and delete are the same code for all. */
#ifndef WEFT_CLI_RESOURCE_H
#define WEFT_CLI_RESOURCE_H

#include <jansson.h>

#include "weft/cli/command.h"
#include "weft/cli/output.h"
#include "weft/cli/session.h"

struct resource {
    const char *name;       /* "port": the key of one in a body, and the word for messages. */
    const char *collection; /* "ports": the path and the key of many. */
    enum service service;
    const struct column *columns;
    const char *update_method; /* "PUT", Identity: "PATCH". */
    bool is_paged;          /* The API pages its lists. */
    int (*complete)(struct call *call, json_t *attributes); /* What 'create' adds to the flags' attributes; or NULL. */
    const char *path;       /* "security-groups", where it is not the collection's name; or NULL. */
    bool is_nameless;       /* Found by id only. */
    int (*complete_change)(struct call *call, const json_t *before, json_t *changes); /* As 'complete', for 'set'. */
    const char *name_attribute; /* By which people know it; NULL: "name". */
};

extern const struct resource resource_network, resource_subnet, resource_port, resource_router, resource_floating_ip, resource_host,
    resource_project, resource_user, resource_role, resource_security_group, resource_security_group_rule, resource_address_group,
    resource_address_scope, resource_subnet_pool, resource_default_rule, resource_default_statefulness, resource_log,
    resource_firewall_group, resource_firewall_policy, resource_firewall_rule, resource_load_balancer, resource_listener, resource_pool,
    resource_health_monitor;

/* Where the API has them: "security-groups". */
const char *resource_path(const struct resource *resource);

/* Finds the one of that name or id.  Stores the whole object in '*ret' (owned by the caller).
 * Returns 0; -ENOENT when there is none; -ENOTUNIQ when the name is not unique; else as session_request. */
int resource_find(struct session *session, const struct resource *resource, const char *name_or_id, json_t **ret,
                  struct error *error);
const char *resource_name(const struct resource *resource, const json_t *object); /* "" while it has none. */
const char *resource_id(const json_t *object);
const char *resource_string(const json_t *object, const char *attribute); /* "" when it is not there. */

/* All that match 'query' ("name=x&network_id=y", escaped, or NULL), over every page: an array, owned by the caller. */
int resource_list(struct session *session, const struct resource *resource, const char *query, json_t **ret,
                  struct error *error);

/* Sends {"port": changes} and gives the object back ('ret' may be NULL). */
int resource_update(struct session *session, const struct resource *resource, const char *id, const json_t *changes,
                    json_t **ret, struct error *error);

/* GET of 'path' (printf) with 'service'. */
int resource_get(struct session *session, enum service service, json_t **ret, struct error *error, const char *path, ...)
    __attribute__((format(printf, 5, 6)));

/* Of a resource that is not the command's, such as one that is under another: the generic verbs; 'name' may be NULL. */
int resource_run_create(struct call *call, const struct resource *resource, const char *name);
int resource_run_list(struct call *call, const struct resource *resource);
int resource_run_show(struct call *call, const struct resource *resource, const char *name_or_id);
int resource_run_set(struct call *call, const struct resource *resource, const char *name_or_id);
int resource_delete(struct session *session, const struct resource *resource, const char *name_or_id, const char *query, struct error *error);

/* Handlers for the command table. */
int run_create(struct call *call);  /* NAME, the attributes of its flags. */
int run_list(struct call *call);
int run_show(struct call *call);
int run_set(struct call *call);
int run_delete(struct call *call);  /* One or more; goes on after a failure and reports the first.  --cascade is sent on. */

#endif
