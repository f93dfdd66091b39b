/* The port that has a load balancer's VIP. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "weft/api/balancing.h"
#include "weft/api/ports.h"
#include "weft/base/util.h"

static const struct ip_address no_address;

bool balancing_has_family(const struct load_balancer *load_balancer, bool is_v4)
{
    if (ip_is_v4(&load_balancer->vip_address) == is_v4)
        return true;
    for (size_t i = 0; i < load_balancer->n_additional_vips; i++)
        if (ip_is_v4(&load_balancer->additional_vips[i].address) == is_v4)
            return true;
    return false;
}

/* "lb-<id>" */
static void device_id_of(const struct load_balancer *load_balancer, char text[UUID_TEXT_SIZE + 8])
{
    snprintf(text, UUID_TEXT_SIZE + 8, DEVICE_LOAD_BALANCER_ID "%s", load_balancer->object.id);
}

static bool prefix_has(const struct ip_prefix *prefix, const struct ip_address *address)
{
    struct ip_prefix other = {*address, prefix->length};

    return ip_is_v4(&prefix->address) == ip_is_v4(address) && prefix_contains(prefix, &other.address);
}

/* Which of the network's subnets has the address, or, without one, is the first to take one from: of IPv4, else of IPv6, the oldest. */
static const struct subnet *choose_subnet(const struct replica *replica, const char *network_id, const struct ip_address *address)
{
    const struct subnet *best = NULL;

    REPLICA_FOREACH (member, replica_subnets_by_network(replica, network_id)) {
        const struct subnet *subnet = (const struct subnet *)member->object;

        if (!ip_equal(address, &no_address) && !prefix_has(&subnet->cidr, address))
            continue;
        if (!best || (best->ip_version == 6 && subnet->ip_version == 4) ||
            (best->ip_version == subnet->ip_version && best->object.created_at_s > subnet->object.created_at_s))
            best = subnet;
    }
    return best;
}

static bool chooses_address(const struct load_balancer *load_balancer)
{
    for (size_t i = 0; i < load_balancer->n_additional_vips; i++)
        if (!ip_equal(&load_balancer->additional_vips[i].address, &no_address))
            return true;
    return !ip_equal(&load_balancer->vip_address, &no_address);
}

/* 0, or a failure; else '*ret_subnet' is where the VIP is to be.  On an external network everybody may have one, at an address that is free, as everybody may have a
 * floating IP there. */
static int find_subnet(struct change *change, struct load_balancer *load_balancer, const struct subnet **ret_subnet)
{
    const struct replica *replica = request_api(change->request)->replica;
    struct error ignored = {0};
    const struct network *network;
    const struct subnet *subnet = NULL;
    char text[IP_TEXT_SIZE];

    if (load_balancer->vip_subnet_id[0]) {
        subnet = (const struct subnet *)resource_find(&subnet_resource, change->request, load_balancer->vip_subnet_id, &ignored);
        if (!subnet)
            return INVALID("vip_subnet_id", "Subnet %s not found.", load_balancer->vip_subnet_id);
        if (load_balancer->vip_network_id[0] && !streq(load_balancer->vip_network_id, subnet->network_id))
            return INVALID("vip_network_id", "Subnet %s is not in network %s.", subnet->object.id, load_balancer->vip_network_id);
        string_copy(load_balancer->vip_network_id, UUID_TEXT_SIZE, subnet->network_id);
    }
    network = (const struct network *)resource_find(&network_resource, change->request, load_balancer->vip_network_id, &ignored);
    if (!network)
        return INVALID("vip_network_id", "Network %s not found.", load_balancer->vip_network_id);
    if (network->is_external && !network->shared && !resource_is_own(change->request, &network->object) && chooses_address(load_balancer))
        return error_set_type(change->error, -EPERM, "PolicyNotAuthorized", "vip_address",
                              "Network %s is external: only its owner can choose the address of a VIP in it.", network->object.id);
    if (!subnet)
        subnet = choose_subnet(replica, network->object.id, &load_balancer->vip_address);
    if (!subnet && ip_equal(&load_balancer->vip_address, &no_address))
        return INVALID("vip_network_id", "Supplied network does not contain a subnet.");
    if (!subnet || (!ip_equal(&load_balancer->vip_address, &no_address) && !prefix_has(&subnet->cidr, &load_balancer->vip_address)))
        return INVALID("vip_address", "'%s' is in no subnet of the VIP: give an address of the subnet or none",
                       ip_format(&load_balancer->vip_address, text));
    *ret_subnet = subnet;
    return 0;
}

static int find_additional(struct change *change, const struct load_balancer *load_balancer, struct fixed_ip *wanted)
{
    struct error ignored = {0};

    for (size_t i = 0; i < load_balancer->n_additional_vips; i++) {
        const struct additional_vip *vip = &load_balancer->additional_vips[i];
        const struct subnet *subnet = (const struct subnet *)resource_find(&subnet_resource, change->request, vip->subnet_id, &ignored);

        if (!subnet || !streq(subnet->network_id, load_balancer->vip_network_id))
            return INVALID("additional_vips", "Subnet %s is not in the VIP's network %s: all VIP subnets must belong to the same network.",
                           vip->subnet_id, load_balancer->vip_network_id);
        string_copy(wanted[i].subnet_id, UUID_TEXT_SIZE, vip->subnet_id);
        wanted[i].address = vip->address;
    }
    return 0;
}

/* The port's first address is the VIP, the others are the additional ones. */
static int take_addresses(struct load_balancer *load_balancer, const struct port *port, size_t first)
{
    size_t n = 0;
    struct additional_vip *vips = calloc(port->n_fixed_ips + 1, sizeof(*vips));

    if (!vips)
        return -ENOMEM;
    for (size_t i = 0; i < port->n_fixed_ips; i++) {
        if (i == first)
            continue;
        string_copy(vips[n].subnet_id, UUID_TEXT_SIZE, port->fixed_ips[i].subnet_id);
        vips[n++].address = port->fixed_ips[i].address;
    }
    free(load_balancer->additional_vips);
    load_balancer->additional_vips = vips;
    load_balancer->n_additional_vips = n;
    load_balancer->vip_address = port->fixed_ips[first].address;
    string_copy(load_balancer->vip_subnet_id, UUID_TEXT_SIZE, port->fixed_ips[first].subnet_id);
    string_copy(load_balancer->vip_network_id, UUID_TEXT_SIZE, port->network_id);
    string_copy(load_balancer->vip_port_id, UUID_TEXT_SIZE, port->object.id);
    return 0;
}

static int make_port(struct change *change, struct load_balancer *load_balancer)
{
    char device_id[UUID_TEXT_SIZE + 8], name[UUID_TEXT_SIZE + 16];
    const struct subnet *subnet = NULL;
    struct port *port;
    int r = find_subnet(change, load_balancer, &subnet);

    if (r < 0 || !subnet)
        return r;
    device_id_of(load_balancer, device_id);
    port = port_of_device(DEVICE_LOAD_BALANCER, device_id, load_balancer->vip_network_id, load_balancer->object.project_id);
    if (!port)
        return -ENOMEM;
    snprintf(name, sizeof(name), "octavia-lb-%s", load_balancer->object.id);
    port->object.name = strdup(name);
    port->fixed_ips = calloc(1 + load_balancer->n_additional_vips, sizeof(*port->fixed_ips));
    if (!port->object.name || !port->fixed_ips) {
        object_free(&port->object);
        return -ENOMEM;
    }
    string_copy(port->fixed_ips[0].subnet_id, UUID_TEXT_SIZE, subnet->object.id);
    port->fixed_ips[0].address = load_balancer->vip_address;
    port->n_fixed_ips = 1 + load_balancer->n_additional_vips;
    r = find_additional(change, load_balancer, port->fixed_ips + 1);
    if (r < 0) {
        object_free(&port->object);
        return r;
    }
    if ((r = port_plan_create(change, port, true, "vip_address")) < 0)
        return r;
    load_balancer->owns_vip_port = true;
    return take_addresses(load_balancer, port, 0);
}

static int use_port(struct change *change, struct load_balancer *load_balancer)
{
    struct error ignored = {0};
    const struct port *port = (const struct port *)resource_find(&port_resource, change->request, load_balancer->vip_port_id, &ignored);
    char device_id[UUID_TEXT_SIZE + 8], text[IP_TEXT_SIZE];
    struct port *after;
    size_t first = 0;

    if (!port || !resource_is_own(change->request, &port->object))
        return INVALID("vip_port_id", "Port %s not found.", load_balancer->vip_port_id);
    if ((port->device_owner && *port->device_owner) || (port->device_id && *port->device_id) || (port->binding_host_id && *port->binding_host_id))
        return CONFLICT("vip_port_id", "Port %s is in use: it has a device or a host.", port->object.id);
    if (load_balancer->vip_network_id[0] && !streq(load_balancer->vip_network_id, port->network_id))
        return INVALID("vip_network_id", "Port %s is not in network %s.", port->object.id, load_balancer->vip_network_id);
    if (load_balancer->n_additional_vips)
        return INVALID("additional_vips", "Port %s brings all its addresses: they cannot be given beside it.", port->object.id);
    for (; first < port->n_fixed_ips; first++)
        if ((ip_equal(&load_balancer->vip_address, &no_address) || ip_equal(&load_balancer->vip_address, &port->fixed_ips[first].address)) &&
            (!load_balancer->vip_subnet_id[0] || streq(load_balancer->vip_subnet_id, port->fixed_ips[first].subnet_id)))
            break;
    if (first == port->n_fixed_ips)
        return INVALID("vip_address", "Port %s does not have the address '%s'.", port->object.id, ip_format(&load_balancer->vip_address, text));
    if (!(after = (struct port *)plan_edit(change->plan, &port->object)))
        return -ENOMEM;
    device_id_of(load_balancer, device_id);
    free(after->device_owner);
    free(after->device_id);
    after->device_owner = strdup(DEVICE_LOAD_BALANCER);
    after->device_id = strdup(device_id);
    return after->device_owner && after->device_id ? take_addresses(load_balancer, port, first) : -ENOMEM;
}

int balancing_take_vip(struct change *change)
{
    struct load_balancer *load_balancer = (struct load_balancer *)change->after;

    if (load_balancer->vip_port_id[0])
        return use_port(change, load_balancer);
    if (!load_balancer->vip_subnet_id[0] && !load_balancer->vip_network_id[0])
        return INVALID(NULL, "Validation failure: VIP must contain one of: vip_port_id, vip_network_id, vip_subnet_id.");
    return make_port(change, load_balancer);
}

void balancing_release_vip(struct change *change, const struct load_balancer *load_balancer)
{
    const struct port *port = replica_port(request_api(change->request)->replica, load_balancer->vip_port_id);
    struct port *after;

    if (port && load_balancer->owns_vip_port) {
        port_plan_delete(change->plan, port);
    } else if (port && (after = (struct port *)plan_edit(change->plan, &port->object))) {
        free(after->device_owner);
        free(after->device_id);
        after->device_owner = after->device_id = NULL;
    }
}
