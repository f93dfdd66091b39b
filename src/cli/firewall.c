#include "weft/cli/firewall.h"

#include <errno.h>

#include "weft/base/util.h"
#include "weft/cli/output.h"
#include "weft/cli/resource.h"
#include "weft/cli/text.h"

/* The id of the rule that a flag or argument names, into 'body'. */
static int set_rule(struct call *call, const char *name, const char *member, json_t *body)
{
    _cleanup_(json_decrefp) json_t *rule = NULL;
    int r = name ? resource_find(call->session, &resource_firewall_rule, name, &rule, &call->error) : 0;

    if (r < 0 || !name)
        return r;
    return json_object_set_new(body, member, json_string(resource_id(rule))) < 0 ? -ENOMEM : 0;
}

static int change_rules(struct call *call, const char *action)
{
    _cleanup_(json_decrefp) json_t *policy = NULL, *body = json_object(), *answer = NULL;
    _cleanup_(freep) char *path = NULL;
    int r;

    if (!body)
        return -ENOMEM;
    if (call_flag(call, "before") && call_flag(call, "after"))
        return error_set(&call->error, -EINVAL, "after", "--after: it cannot be given together with --before");
    if ((r = resource_find(call->session, &resource_firewall_policy, call_argument(call, 0), &policy, &call->error)) < 0 ||
        (r = set_rule(call, call_argument(call, 1), "firewall_rule_id", body)) < 0 ||
        (r = set_rule(call, call_flag(call, "before"), "insert_before", body)) < 0 ||
        (r = set_rule(call, call_flag(call, "after"), "insert_after", body)) < 0)
        return r;
    if (text_format(&path, "/%s/%s/%s", resource_path(&resource_firewall_policy), resource_id(policy), action) < 0)
        return -ENOMEM;
    r = session_request(call->session, SERVICE_NETWORK, "PUT", path, body, &answer, &call->error);
    return r < 0 ? r : output_object(call, answer);
}

int run_firewall_policy_insert(struct call *call)
{
    return change_rules(call, "insert_rule");
}

int run_firewall_policy_remove(struct call *call)
{
    return change_rules(call, "remove_rule");
}
