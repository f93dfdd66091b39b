/* Which security groups a port is in. */
#include "weft/api/security.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "weft/base/util.h"

bool port_serves_network(const struct port *port)
{
    return port->device_owner && strncmp(port->device_owner, "network:", 8) == 0;
}

static const char *port_key(const char *group_id, const struct port *port, char key[SECURITY_KEY_SIZE])
{
    snprintf(key, SECURITY_KEY_SIZE, "security-group/port/%s/%s", group_id, port->object.id);
    return key;
}

static bool is_in(const struct port *port, const char *group_id)
{
    for (size_t i = 0; port && i < port->n_security_groups; i++)
        if (streq(port->security_groups[i].id, group_id))
            return true;
    return false;
}

static void clear(struct port *port)
{
    free(port->security_groups);
    port->security_groups = NULL;
    port->n_security_groups = 0;
}

static int set_default(struct change *change, struct port *port)
{
    const struct security_group *group;
    int r = security_default_group(change->plan, change->request, port->object.project_id, &group);

    clear(port);
    if (r < 0 || !group)
        return r;
    port->security_groups = calloc(1, sizeof *port->security_groups);
    if (!port->security_groups)
        return -ENOMEM;
    port->n_security_groups = 1;
    string_copy(port->security_groups[0].id, sizeof port->security_groups[0].id, group->object.id);
    return 0;
}

static void remove_repetitions(struct port *port)
{
    size_t n = port->n_security_groups;

    port->n_security_groups = 0;
    for (size_t i = 0; i < n; i++)
        if (!is_in(port, port->security_groups[i].id))
            port->security_groups[port->n_security_groups++] = port->security_groups[i];
}

/* Groups of the port's own project; an administrator may name any. */
static int join(struct change *change, const struct port *port, size_t i)
{
    const char *id = port->security_groups[i].id;
    const struct security_group *group = security_find_group(change->request, change->plan, id, change->error);
    char key[SECURITY_KEY_SIZE], field[40];

    snprintf(field, sizeof field, "security_groups[%zu]", i);
    if (group && !request_auth(change->request)->is_admin && !streq(group->object.project_id, port->object.project_id))
        error_set_type(change->error, -ENOENT, "SecurityGroupNotFound", NULL, "Security group %s does not exist", id);
    if (change->error->code) {
        error_prefix_field(change->error, "%s", field);
        return change->error->code;
    }
    plan_guard(change->plan, &group->object);
    plan_put(change->plan, port_key(id, port, key), "");
    return 0;
}

static int write_keys(struct change *change, const struct port *port, const struct port *before)
{
    char key[SECURITY_KEY_SIZE];
    int r = 0;

    for (size_t i = 0; i < port->n_security_groups && r == 0; i++)
        if (!is_in(before, port->security_groups[i].id))
            r = join(change, port, i);
    for (size_t i = 0; before && i < before->n_security_groups && r == 0; i++)
        if (!is_in(port, before->security_groups[i].id))
            plan_remove(change->plan, port_key(before->security_groups[i].id, before, key));
    return r;
}

int security_of_port(struct change *change, struct port *port, const struct port *before)
{
    bool is_given = change_gives(change, "security_groups"), names_some = is_given && port->n_security_groups > 0;
    int r = 0;

    if (port_serves_network(port)) {
        clear(port);
        port->has_security_groups = false;
    } else if (!port->port_security_enabled) {
        if (names_some)
            return error_set_type(change->error, -EINVAL, "PortSecurityAndIPRequiredForSecurityGroups", "security_groups",
                                  "Port security must be enabled and port must have an IP address in order to use security groups.");
        if (!is_given && before && before->n_security_groups > 0)
            return error_set_type(change->error, -EBUSY, "PortSecurityPortHasSecurityGroup", "port_security_enabled",
                                  "Port has security group associated. Cannot disable port security or IP address until security "
                                  "group is removed.");
        clear(port);
        port->has_security_groups = false;
    } else if (!before && (!is_given || !port->has_security_groups)) {
        r = set_default(change, port);
        port->has_security_groups = true;
    } else if (is_given || !before->port_security_enabled || port_serves_network(before)) {
        port->has_security_groups = true;
    }
    if (r < 0)
        return r;
    remove_repetitions(port);
    return write_keys(change, port, before);
}

void security_of_deleted_port(struct plan *plan, const struct port *port)
{
    char key[SECURITY_KEY_SIZE];

    for (size_t i = 0; i < port->n_security_groups; i++)
        plan_remove(plan, port_key(port->security_groups[i].id, port, key));
}

void security_leave(struct plan *plan, struct port *port)
{
    security_of_deleted_port(plan, port);
    clear(port);
    port->has_security_groups = false;
}
