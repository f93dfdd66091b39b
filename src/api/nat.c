#include "weft/api/nat.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "weft/api/ports.h"
#include "weft/base/util.h"

#define KEY_SIZE 192
#define ENDING_SIZE 100

#define BAD(format, ...) \
    error_set_type(change->error, -EINVAL, "BadRequest", NULL, "Bad %s request: " format ".", resource __VA_OPT__(,) __VA_ARGS__)

static const struct replica *replica_of(const struct plan *plan)
{
    return request_api(plan_request(plan))->replica;
}

/* ---- targets ----------------------------------------------------------------------------------------------------- */

/* The router whose interface the port is, if its gateway is on that network. */
static const struct router *router_of(const struct replica *replica, const struct port *port, const char *external_network_id)
{
    const struct router *router = NULL;

    if (port && port->device_id && port->device_owner && streq(port->device_owner, DEVICE_ROUTER_INTERFACE))
        router = (const struct router *)replica_get(replica, RESOURCE_ROUTER, port->device_id);
    return router && streq(router->gateway_network_id, external_network_id) ? router : NULL;
}

/* That of the subnet's gateway address before others: workloads send there. */
static const struct router *find_router(const struct replica *replica, const struct subnet *subnet, const char *external_network_id)
{
    const struct router *found = NULL;

    if (subnet->has_gateway)
        found = router_of(replica, replica_port_by_address(replica, subnet->object.id, &subnet->gateway), external_network_id);
    if (found)
        return found;
    REPLICA_FOREACH (member, replica_ports_by_subnet(replica, subnet->object.id)) {
        const struct router *router = router_of(replica, (const struct port *)member->object, external_network_id);

        if (router && (!found || strcmp(router->object.id, found->object.id) < 0))
            found = router;
    }
    return found;
}

static const struct fixed_ip *find_address(const struct port *port, const struct ip_address *address)
{
    for (size_t i = 0; port && i < port->n_fixed_ips; i++)
        if (ip_equal(&port->fixed_ips[i].address, address))
            return &port->fixed_ips[i];
    return NULL;
}

/* The only IPv4 address; NULL when there is none or (then '*ret_n' > 1) several. */
static const struct fixed_ip *only_address(const struct port *port, size_t *ret_n)
{
    const struct fixed_ip *found = NULL;

    *ret_n = 0;
    for (size_t i = 0; i < port->n_fixed_ips; i++)
        if (ip_is_v4(&port->fixed_ips[i].address)) {
            found = &port->fixed_ips[i];
            *ret_n += 1;
        }
    return *ret_n == 1 ? found : NULL;
}

int nat_find_target(struct change *change, const char *resource, const struct port *port, const struct ip_address *address,
                    const char *external_network_id, struct nat_target *ret)
{
    const struct replica *replica = request_api(change->request)->replica;
    const struct fixed_ip *fixed_ip;
    char text[IP_TEXT_SIZE];
    size_t n = 0;

    bool is_vip = streq(resource, "floatingip") && port_load_balancer_id(port); /* A load balancer forwards ports itself. */

    if ((port_is_managed(replica, port) && !is_vip) || port_is_auto_deleted(port))
        return BAD("Port %s has the device owner %s and no floating IP can lead to it", port->object.id, port->device_owner);
    if (address && !ip_is_v4(address))
        return BAD("'%s' is not an IPv4 address", ip_format(address, text));
    fixed_ip = address ? find_address(port, address) : only_address(port, &n);
    if (!fixed_ip && address)
        return BAD("Port %s does not have fixed ip %s", port->object.id, ip_format(address, text));
    if (!fixed_ip && n > 1)
        return BAD("Port %s has multiple fixed IPv4 addresses.  Must provide a specific IPv4 address when assigning a floating IP",
                   port->object.id);
    if (!fixed_ip)
        return BAD("Cannot add floating IP to port %s that has no fixed IPv4 addresses", port->object.id);
    *ret = (struct nat_target){
        .port = port,
        .subnet = replica_subnet(replica, fixed_ip->subnet_id),
        .address = fixed_ip->address,
    };
    ret->router = ret->subnet ? find_router(replica, ret->subnet, external_network_id) : NULL;
    if (!ret->router)
        return -ENOENT;
    plan_guard(change->plan, &port->object);
    plan_guard(change->plan, &ret->router->object);
    return 0;
}

/* ---- keys -------------------------------------------------------------------------------------------------------- */

static void replace_key(struct plan *plan, const char *before, const char *after, const char *value)
{
    if (streq(before, after))
        return;
    if (*before)
        plan_remove(plan, before);
    if (*after)
        plan_claim(plan, after, value);
}

/* The subnet is that of the address as the port has, or had, it. */
static void router_key(const struct plan *plan, const char *router_id, const char *port_id, const struct ip_address *address, const char *id,
                       char key[KEY_SIZE])
{
    const struct fixed_ip *fixed_ip = find_address(replica_port(replica_of(plan), port_id), address);

    key[0] = '\0';
    if (fixed_ip && *router_id)
        snprintf(key, KEY_SIZE, "nat/router/%s/%s/%s", router_id, fixed_ip->subnet_id, id);
}

static void floating_ending(const struct floating_ip *floating_ip, char ending[ENDING_SIZE])
{
    char text[IP_TEXT_SIZE];

    snprintf(ending, ENDING_SIZE, "floating/%s/%s", floating_ip->floating_network_id, ip_format(&floating_ip->fixed_address, text));
}

static void floating_keys(const struct plan *plan, const struct floating_ip *floating_ip, char port_key[KEY_SIZE], char via[KEY_SIZE])
{
    char ending[ENDING_SIZE];

    port_key[0] = via[0] = '\0';
    if (!floating_ip || !floating_ip->port_id[0])
        return;
    floating_ending(floating_ip, ending);
    snprintf(port_key, KEY_SIZE, "nat/port/%s/%s", floating_ip->port_id, ending);
    router_key(plan, floating_ip->router_id, floating_ip->port_id, &floating_ip->fixed_address, floating_ip->object.id, via);
}

void nat_floating_ip_changed(struct plan *plan, const struct floating_ip *before, const struct floating_ip *after)
{
    char port_before[KEY_SIZE], via_before[KEY_SIZE], port_after[KEY_SIZE], via_after[KEY_SIZE];
    const char *id = before ? before->object.id : after->object.id;

    floating_keys(plan, before, port_before, via_before);
    floating_keys(plan, after, port_after, via_after);
    replace_key(plan, port_before, port_after, id);
    replace_key(plan, via_before, via_after, id);
}

static void forwarding_keys(const struct plan *plan, const struct port_forwarding *forwarding, const char *router_id, char port_key[KEY_SIZE],
                            char via[KEY_SIZE])
{
    port_key[0] = via[0] = '\0';
    if (!forwarding)
        return;
    snprintf(port_key, KEY_SIZE, "nat/port/%s/forwarding/%s", forwarding->internal_port_id, forwarding->object.id);
    router_key(plan, router_id, forwarding->internal_port_id, &forwarding->internal_address, forwarding->object.id, via);
}

void nat_forwarding_changed(struct plan *plan, const struct port_forwarding *before, const char *router_before,
                            const struct port_forwarding *after, const char *router_after)
{
    char port_before[KEY_SIZE], via_before[KEY_SIZE], port_after[KEY_SIZE], via_after[KEY_SIZE];
    const char *id = before ? before->object.id : after->object.id;

    forwarding_keys(plan, before, router_before, port_before, via_before);
    forwarding_keys(plan, after, router_after, port_after, via_after);
    replace_key(plan, port_before, port_after, id);
    replace_key(plan, via_before, via_after, id);
}

void nat_require_no_forwardings(struct plan *plan, const char *port_id)
{
    char prefix[KEY_SIZE];

    snprintf(prefix, sizeof prefix, "nat/port/%s/forwarding/", port_id);
    plan_require_only(plan, prefix, NULL, 0);
}

void nat_require_no_floating_ips(struct plan *plan, const char *port_id)
{
    char prefix[KEY_SIZE];

    snprintf(prefix, sizeof prefix, "nat/port/%s/floating/", port_id);
    plan_require_only(plan, prefix, NULL, 0);
}

/* No other keys of the port than those that are known, with (or without) those of floating IPs. */
static int require_known(struct plan *plan, const char *port_id, bool floating)
{
    const struct replica *replica = replica_of(plan);
    size_t n = replica_count(replica, REPLICA_FORWARDINGS_BY_PORT, port_id) +
               (floating ? replica_count(replica, REPLICA_FLOATING_IPS_BY_PORT, port_id) : 0), i = 0;
    char(*texts)[ENDING_SIZE] = calloc(n + 1, sizeof *texts), **endings = calloc(n + 1, sizeof *endings), prefix[KEY_SIZE];
    int r = texts && endings ? 0 : -ENOMEM;

    if (r == 0) {
        if (floating)
            REPLICA_FOREACH (member, replica_find(replica, REPLICA_FLOATING_IPS_BY_PORT, port_id))
                floating_ending((const struct floating_ip *)member->object, texts[i++]);
        REPLICA_FOREACH (member, replica_find(replica, REPLICA_FORWARDINGS_BY_PORT, port_id))
            snprintf(texts[i++], ENDING_SIZE, "%s%s", floating ? "forwarding/" : "", member->object->id);
        for (i = 0; i < n; i++)
            endings[i] = texts[i];
        snprintf(prefix, sizeof prefix, "nat/port/%s/%s", port_id, floating ? "" : "forwarding/");
        plan_require_only(plan, prefix, endings, n);
    }
    free(texts);
    free(endings);
    return r;
}

int nat_require_known_forwardings(struct plan *plan, const char *port_id)
{
    return require_known(plan, port_id, false);
}

bool nat_uses_router(struct plan *plan, const struct router *router, const struct subnet *subnet)
{
    const struct replica *replica = replica_of(plan);
    char prefix[KEY_SIZE];

    REPLICA_FOREACH (member, replica_find(replica, REPLICA_FLOATING_IPS_BY_ROUTER, router->object.id)) {
        const struct floating_ip *floating_ip = (const struct floating_ip *)member->object;

        if (!subnet || (floating_ip->port_id[0] && prefix_contains(&subnet->cidr, &floating_ip->fixed_address)))
            return true;
        REPLICA_FOREACH (other, replica_find(replica, REPLICA_FORWARDINGS_BY_FLOATING_IP, floating_ip->object.id))
            if (prefix_contains(&subnet->cidr, &((const struct port_forwarding *)other->object)->internal_address))
                return true;
    }
    snprintf(prefix, sizeof prefix, "nat/router/%s/%s%s", router->object.id, subnet ? subnet->object.id : "", subnet ? "/" : "");
    plan_require_only(plan, prefix, NULL, 0);
    return false;
}

/* ---- what goes with a port --------------------------------------------------------------------------------------- */

void nat_floating_ip_clear(struct floating_ip *floating_ip)
{
    floating_ip->port_id[0] = floating_ip->router_id[0] = '\0';
    floating_ip->has_fixed_address = false;
    floating_ip->fixed_address = (struct ip_address){0};
}

void nat_forwarding_delete(struct plan *plan, const struct port_forwarding *forwarding)
{
    const struct replica *replica = replica_of(plan);
    const struct object *object = replica_get(replica, RESOURCE_FLOATING_IP, forwarding->floating_ip_id);
    struct floating_ip *floating_ip = object ? (struct floating_ip *)plan_edit(plan, object) : NULL;
    bool is_last = true;

    nat_forwarding_changed(plan, forwarding, object ? ((const struct floating_ip *)object)->router_id : "", NULL, "");
    plan_delete(plan, &forwarding->object);
    REPLICA_FOREACH (member, replica_find(replica, REPLICA_FORWARDINGS_BY_FLOATING_IP, forwarding->floating_ip_id))
        is_last &= !plan_current(plan, member->object);
    if (floating_ip && is_last)
        floating_ip->router_id[0] = '\0';
}

static bool loses(const struct port *after, const struct ip_address *address)
{
    return !after || !find_address(after, address);
}

void nat_port_changed(struct plan *plan, const struct port *before, const struct port *after)
{
    const struct replica *replica = replica_of(plan);
    bool is_less = !after;

    for (size_t i = 0; i < before->n_fixed_ips && !is_less; i++)
        is_less = loses(after, &before->fixed_ips[i].address);
    if (!is_less)
        return;
    if (require_known(plan, before->object.id, true) < 0)
        plan_fail(plan, -ENOMEM);
    REPLICA_FOREACH (member, replica_find(replica, REPLICA_FLOATING_IPS_BY_PORT, before->object.id)) {
        const struct floating_ip *floating_ip = (const struct floating_ip *)plan_current(plan, member->object);

        if (!floating_ip || !floating_ip->port_id[0] || !loses(after, &floating_ip->fixed_address))
            continue;
        nat_floating_ip_changed(plan, floating_ip, NULL);
        if ((floating_ip = (const struct floating_ip *)plan_edit(plan, member->object)))
            nat_floating_ip_clear((struct floating_ip *)floating_ip);
    }
    REPLICA_FOREACH (member, replica_find(replica, REPLICA_FORWARDINGS_BY_PORT, before->object.id)) {
        const struct port_forwarding *forwarding = (const struct port_forwarding *)plan_current(plan, member->object);

        if (forwarding && loses(after, &forwarding->internal_address))
            nat_forwarding_delete(plan, (const struct port_forwarding *)member->object);
    }
}
