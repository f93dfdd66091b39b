/* A router's gateway: external_gateway_info, and the port on the external network behind it.
 *
 *     {"network_id": N, "enable_snat": true, "external_fixed_ips": [{"subnet_id": S, "ip_address": A}]}    null or {} : none */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "weft/api/nat.h"
#include "weft/api/ports.h"
#include "weft/api/routers.h"
#include "weft/base/util.h"
#include "weft/model/resources.h"

#define FIELD_GATEWAY "external_gateway_info"
#define FIELD_FIXED_IPS FIELD_GATEWAY ".external_fixed_ips"
#define FIXED_IPS_MAX 5 /* As of any port. */

struct gateway_info {
    char network_id[UUID_TEXT_SIZE];
    bool enable_snat;
    struct fixed_ip *fixed_ips;
    size_t n_fixed_ips;
};

static const struct attribute info_attributes[] = {
    {.name = "network_id", .type = TYPE_UUID, FIELD(struct gateway_info, network_id), .flags = ATTRIBUTE_REQUIRED},
    {.name = "enable_snat", .type = TYPE_BOOL, FIELD(struct gateway_info, enable_snat), .default_json = "true"},
    {.name = "external_fixed_ips", LIST(struct gateway_info, fixed_ips, n_fixed_ips, fixed_ip_attributes), .maximum = FIXED_IPS_MAX},
    {.name = NULL},
};

int router_write_gateway(const struct request *request, const struct object *object, struct buffer *buffer)
{
    const struct router *router = (const struct router *)object;
    const struct port *port = replica_port(request_api(request)->replica, router->gateway_port_id);
    char text[IP_TEXT_SIZE];
    bool bad;

    if (!router->gateway_network_id[0])
        return buffer_append_string(buffer, "null");
    bad = buffer_printf(buffer, "{\"network_id\":\"%s\",\"enable_snat\":%s,\"external_fixed_ips\":[", router->gateway_network_id,
                        router->enable_snat ? "true" : "false");
    for (size_t i = 0; port && i < port->n_fixed_ips && !bad; i++)
        bad = buffer_printf(buffer, "%s{\"subnet_id\":\"%s\",\"ip_address\":\"%s\"}", i ? "," : "", port->fixed_ips[i].subnet_id,
                            ip_format(&port->fixed_ips[i].address, text));
    return bad || buffer_append(buffer, "]}", 2) ? -ENOMEM : 0;
}

/* Neutron's policy: whoever owns the router chooses the network, administrators the rest. */
static int check_policy(struct change *change, const json_t *info)
{
    static const char *const names[] = {"enable_snat", "external_fixed_ips"};

    for (size_t i = 0; i < ARRAY_SIZE(names) && !request_auth(change->request)->is_admin; i++)
        if (json_object_get(info, names[i])) {
            error_set_type(change->error, -EPERM, "PolicyNotAuthorized", names[i], "only an administrator may set it");
            error_prefix_field(change->error, FIELD_GATEWAY);
            return -EPERM;
        }
    return 0;
}

static int check_network(struct change *change, const struct gateway_info *info)
{
    const struct network *network = change_find_network(change, info->network_id);
    char text[IP_TEXT_SIZE];

    if (!network)
        return -ENOENT;
    if (!network->is_external)
        return BAD_ROUTER(change->error, "Network %s is not an external network", network->object.id);
    REPLICA_FOREACH (member, replica_subnets_by_network(request_api(change->request)->replica, network->object.id)) {
        const struct subnet *subnet = (const struct subnet *)member->object;

        for (size_t i = 0; i < info->n_fixed_ips; i++)
            if (subnet->has_gateway && ip_equal(&subnet->gateway, &info->fixed_ips[i].address))
                return BAD_ROUTER(change->error, "External IP %s is the same as the gateway IP", ip_format(&subnet->gateway, text));
    }
    return 0;
}

/* All of its subnets are on the router's link, not only those of its addresses. */
static int check_overlap(struct change *change, const char *network_id)
{
    struct router_ports ports;
    int r = router_ports_of(change, change->after->id, &ports);

    if (r == 0)
        REPLICA_FOREACH (member, replica_subnets_by_network(request_api(change->request)->replica, network_id))
            if (r == 0)
                r = router_check_subnet(change, &ports, (const struct subnet *)member->object);
    router_ports_clear(&ports);
    return r;
}

static int remove_port(struct change *change, struct router *router)
{
    const struct port *port = replica_port(request_api(change->request)->replica, router->gateway_port_id);

    if (nat_uses_router(change->plan, (const struct router *)change->before, NULL))
        return error_set_type(change->error, -EBUSY, "RouterExternalGatewayInUseByFloatingIp", NULL,
                              "Gateway cannot be updated for router %s, since a gateway to external network %s is required by one or more "
                              "floating IPs.", router->object.id, router->gateway_network_id);
    if (port)
        port_plan_delete(change->plan, port);
    router->gateway_port_id[0] = router->gateway_network_id[0] = '\0';
    router->enable_snat = true;
    change->is_more = true;
    return 0;
}

static int create_port(struct change *change, struct router *router, struct gateway_info *info)
{
    struct port *port;
    int r = check_overlap(change, info->network_id);

    if (r < 0)
        return r;
    port = port_of_device(DEVICE_ROUTER_GATEWAY, router->object.id, info->network_id, "");
    if (!port)
        return -ENOMEM;
    port->n_fixed_ips = info->n_fixed_ips;
    port->fixed_ips = TAKE_PTR(info->fixed_ips);
    if ((r = port_plan_create(change, port, port->n_fixed_ips > 0, FIELD_FIXED_IPS)) < 0)
        return r;
    string_copy(router->gateway_port_id, sizeof router->gateway_port_id, port->object.id);
    string_copy(router->gateway_network_id, sizeof router->gateway_network_id, info->network_id);
    change->is_more = true;
    return 0;
}

static int apply(struct change *change, struct router *router, struct gateway_info *info)
{
    const struct port *port = replica_port(request_api(change->request)->replica, router->gateway_port_id);
    int r = check_network(change, info);

    if (r < 0)
        return r;
    if (port && streq(router->gateway_network_id, info->network_id)) {
        if (info->n_fixed_ips > 0)
            r = port_plan_readdress(change, port, info->fixed_ips, info->n_fixed_ips, FIELD_FIXED_IPS);
        change->is_more |= info->n_fixed_ips > 0;
    } else {
        if (router->gateway_port_id[0])
            r = remove_port(change, router);
        if (r == 0)
            r = create_port(change, router, info);
    }
    router->enable_snat = info->enable_snat;
    return r;
}

int router_set_gateway(struct change *change, const json_t *json)
{
    struct router *router = (struct router *)change->after;
    struct gateway_info info = {0};
    int r;

    if (json_is_null(json) || (json_is_object(json) && json_object_size(json) == 0))
        return router->gateway_port_id[0] ? remove_port(change, router) : 0;
    if ((r = check_policy(change, json)) < 0)
        return r;
    r = attribute_decode_object(info_attributes, json, &info, DECODE_REQUEST, change->error);
    if (r < 0)
        error_prefix_field(change->error, FIELD_GATEWAY);
    else
        r = apply(change, router, &info);
    free(info.fixed_ips);
    return r;
}
