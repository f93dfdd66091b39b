/* Whether new security groups are stateful: as their request says, else as is set for the project, else for all, else they are. */
#include <errno.h>
#include <stdio.h>

#include "weft/api/security.h"
#include "weft/base/util.h"
#include "weft/model/resources.h"

bool security_default_statefulness(const struct request *request, const char *project_id)
{
    const struct replica *replica = request_api(request)->replica;
    const struct replica_member *setting = replica_find(replica, REPLICA_DEFAULT_STATEFULNESS, project_id);

    if (!setting)
        setting = replica_find(replica, REPLICA_DEFAULT_STATEFULNESS, "");
    return !setting || ((const struct default_statefulness *)setting->object)->stateful;
}

static const struct computed computed[] = {{.name = NULL}};

static const char *setting_key(const struct object *object, char key[SECURITY_KEY_SIZE])
{
    snprintf(key, SECURITY_KEY_SIZE, "security-group/stateful/%s", object->project_id);
    return key;
}

/* No project, unlike elsewhere, is no mistake. */
static void set_project(struct change *change)
{
    const json_t *given = change_value(change, "project_id") ?: change_value(change, "tenant_id");

    if (!json_string_length(given))
        change->after->project_id[0] = '\0';
}

static int create(struct change *change)
{
    char key[SECURITY_KEY_SIZE];

    set_project(change);
    if (plan_claims(change->plan, setting_key(change->after, key)) ||
        replica_find(request_api(change->request)->replica, REPLICA_DEFAULT_STATEFULNESS, change->after->project_id))
        return error_set_type(change->error, -EEXIST, "SecurityGroupDefaultStatefulnessAlreadyExists", "project_id",
                              "A security group default statefulness setting already exists for project '%s'.",
                              change->after->project_id[0] ? change->after->project_id : "None");
    plan_claim(change->plan, key, change->after->id);
    return 0;
}

static int update(struct change *change)
{
    return 0;
}

static int delete_setting(struct change *change)
{
    char key[SECURITY_KEY_SIZE];

    plan_remove(change->plan, setting_key(change->before, key));
    return 0;
}

const struct resource default_statefulness_resource = {
    .schema = &default_statefulness_schema,
    .computed = computed,
    .not_found = "SecurityGroupDefaultStatefulnessNotFound",
    .title = "Security group default statefulness",
    .create = create,
    .update = update,
    .delete = delete_setting,
};
