#include "weft/cli/pools.h"

#include <errno.h>
#include <stdlib.h>

#include "weft/base/cleanup.h"
#include "weft/cli/output.h"
#include "weft/cli/resource.h"
#include "weft/cli/text.h"

/* Sends {"prefixes": [...]}, or whatever 'body' is, to the pool, and shows what it has become. */
static int act(struct call *call, const char *action, const json_t *body)
{
    _cleanup_(json_decrefp) json_t *pool = NULL, *answer = NULL, *changed = NULL;
    _cleanup_(freep) char *path = NULL;
    int r = resource_find(call->session, &resource_subnet_pool, call_argument(call, 0), &pool, &call->error);

    if (r < 0)
        return r;
    if (text_format(&path, "/subnetpools/%s/%s", resource_id(pool), action) < 0)
        return -ENOMEM;
    r = session_request(call->session, SERVICE_NETWORK, "PUT", path, body, &answer, &call->error);
    if (r >= 0)
        r = resource_find(call->session, &resource_subnet_pool, resource_id(pool), &changed, &call->error);
    return r < 0 ? r : output_object(call, changed);
}

static int change_prefixes(struct call *call, const char *action)
{
    json_t *prefixes = json_array();
    _cleanup_(json_decrefp) json_t *body = json_pack("{s:o}", "prefixes", prefixes);

    if (!body)
        return -ENOMEM;
    for (size_t i = 1; i < call->n_arguments; i++)
        json_array_append_new(prefixes, json_string(call->arguments[i]));
    return act(call, action, body);
}

int run_subnet_pool_add(struct call *call)
{
    return change_prefixes(call, "add_prefixes");
}

int run_subnet_pool_remove(struct call *call)
{
    return change_prefixes(call, "remove_prefixes");
}

int run_subnet_pool_onboard(struct call *call)
{
    _cleanup_(json_decrefp) json_t *network = NULL, *body = NULL;
    int r = resource_find(call->session, &resource_network, call_argument(call, 1), &network, &call->error);

    if (r < 0)
        return r;
    body = json_pack("{s:s}", "network_id", resource_id(network));
    return body ? act(call, "onboard_network_subnets", body) : -ENOMEM;
}
