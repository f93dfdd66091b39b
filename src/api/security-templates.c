/* Default security group rules: templates of the rules that new groups get.
 *
 * Until somebody asks for them they are the built-in ones, which are no objects.  The first request that does turns them into objects,
 * with a key that says so; from then on the objects count, even when none is left. */
#include "weft/api/security.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "weft/base/util.h"
#include "weft/base/uuid.h"
#include "weft/model/resources.h"

/* All may leave; into a default group comes what is from the group itself. */
static const struct {
    enum rule_direction direction;
    uint8_t ip_version;
    const char *remote_group_id;
    bool used_in_default_sg, used_in_non_default_sg;
} built_in[] = {
    {RULE_EGRESS, 4, "", true, true},
    {RULE_EGRESS, 6, "", true, true},
    {RULE_INGRESS, 4, DEFAULT_RULE_PARENT, true, false},
    {RULE_INGRESS, 6, DEFAULT_RULE_PARENT, true, false},
};

static void fill(struct default_rule *template, size_t i)
{
    template->rule.direction = built_in[i].direction;
    template->rule.ip_version = built_in[i].ip_version;
    string_copy(template->rule.remote_group_id, sizeof template->rule.remote_group_id, built_in[i].remote_group_id);
    template->used_in_default_sg = built_in[i].used_in_default_sg;
    template->used_in_non_default_sg = built_in[i].used_in_non_default_sg;
}

int security_each_template(struct request *request, bool is_default_group,
                           int (*visit)(const struct default_rule *template, void *context), void *context)
{
    size_t n = ARRAY_SIZE(built_in);
    bool are_objects = networking_has_rule_templates(request_api(request)->networking);
    const struct object *const *objects = are_objects ? replica_list(request_api(request)->replica, RESOURCE_DEFAULT_RULE, &n) : NULL;
    int r = 0;

    for (size_t i = 0; i < n && r == 0; i++) {
        struct default_rule own = {.rule.object.kind = RESOURCE_DEFAULT_RULE};
        const struct default_rule *template = are_objects ? (const struct default_rule *)objects[i] : &own;

        if (!are_objects)
            fill(&own, i);
        if (is_default_group ? template->used_in_default_sg : template->used_in_non_default_sg)
            r = visit(template, context);
    }
    return r;
}

static void made(struct plan *plan, struct request *request)
{
    request_restart(request);
}

/* Turns the built-in templates into objects.  false: they are; true: the request goes on when it is done, or has been answered. */
static bool make_objects(struct request *request)
{
    struct plan *plan;
    int r = 0;

    if (networking_has_rule_templates(request_api(request)->networking))
        return false;
    plan = plan_new(request, request_api(request)->networking);
    for (size_t i = 0; plan && r == 0 && i < ARRAY_SIZE(built_in); i++) {
        struct default_rule *template = (struct default_rule *)object_new(RESOURCE_DEFAULT_RULE);

        if (!template) {
            r = -ENOMEM;
            break;
        }
        uuid_generate(template->rule.object.id);
        fill(template, i);
        r = plan_create(plan, &template->rule.object);
    }
    if (!plan || r < 0) {
        request_fail(request, HTTP_UNAVAILABLE, NULL, "Out of memory.");
        return true;
    }
    plan_claim(plan, SECURITY_TEMPLATES_KEY, "1");
    plan_commit(plan, made);
    return true;
}

void default_rules_list(struct request *request)
{
    if (!make_objects(request))
        resource_list(request);
}

void default_rules_show(struct request *request)
{
    if (!make_objects(request))
        resource_show(request);
}

void default_rules_create(struct request *request)
{
    if (!make_objects(request))
        resource_create(request);
}

void default_rules_delete(struct request *request)
{
    if (!make_objects(request))
        resource_delete(request);
}

/* ---- the resource ---- */

static const struct computed computed[] = {{.name = NULL}};

static bool is_visible(const struct request *request, const struct object *object)
{
    return true;
}

/* Do both say the same of a kind of group? */
static bool repeats(const struct default_rule *a, const struct default_rule *b)
{
    char x[RULE_TEXT_SIZE], y[RULE_TEXT_SIZE];

    return ((a->used_in_default_sg && b->used_in_default_sg) || (a->used_in_non_default_sg && b->used_in_non_default_sg)) &&
           streq(security_group_rule_text(&a->rule, x), security_group_rule_text(&b->rule, y));
}

static int create(struct change *change)
{
    struct default_rule *template = (struct default_rule *)change->after;
    size_t n;
    const struct object *const *objects = replica_list(request_api(change->request)->replica, RESOURCE_DEFAULT_RULE, &n);
    int r;

    template->rule.object.project_id[0] = '\0'; /* They are everybody's. */
    if (template->rule.remote_group_id[0] && !streq(template->rule.remote_group_id, DEFAULT_RULE_PARENT) &&
        !uuid_is_valid(template->rule.remote_group_id))
        return error_set_type(change->error, -ENOENT, "SecurityGroupNotFound", "remote_group_id", "Security group %s does not exist",
                              template->rule.remote_group_id);
    if ((r = security_rule_check(change, &template->rule)) < 0)
        return r;
    for (const struct object *other = NULL; (other = plan_created(change->plan, RESOURCE_DEFAULT_RULE, other));)
        if (other != change->after && repeats((const struct default_rule *)other, template))
            return error_set_type(change->error, -EEXIST, "DuplicateDefaultSgRuleInPost", NULL,
                                  "Duplicate Default Security Group Rule in POST.");
    for (size_t i = 0; i < n; i++)
        if (repeats((const struct default_rule *)objects[i], template))
            return error_set_type(change->error, -EEXIST, "DefaultSecurityGroupRuleExists", NULL,
                                  "Default Security group rule already exists. Rule id is %s.", objects[i]->id);
    security_remote_put(change->plan, &template->rule);
    return 0;
}

static int delete_template(struct change *change)
{
    security_remote_remove(change->plan, (const struct security_group_rule *)change->before);
    return 0;
}

const struct resource default_rule_resource = {
    .schema = &default_rule_schema,
    .computed = computed,
    .not_found = "DefaultSecurityGroupRuleNotFound",
    .title = "Default security group rule",
    .is_visible = is_visible,
    .create = create,
    .refuse = security_rule_refuse,
    .delete = delete_template,
};
