/* Load balancers' addresses that are on an external network themselves, or on (a VLAN of) a physical one that is none, as it sees them.
 *
 * Each such port is what a router's gateway port is for what is behind that router: answers leave by it, this host or another gateway answers for its
 * addresses, and it has a table of routes: what is on the network's link, the subnets' gateways for all else, and what is not outside.  Who is called, by addresses
 * inside, is in balancing.c. */
#include <errno.h>
#include <string.h>

#include "weft/compiler/layers.h"

struct vips {
    const struct compile_index *index;
    struct desired *desired;
};

static int add_route(const struct vips *vips, uint32_t number, const struct ip_prefix *prefix, uint32_t flags, const struct ip_address *next_hop)
{
    struct route_key key = {.prefix_length = 32 + (uint32_t)prefix_bits(prefix), .router = ROUTER_SERVICE | number};
    struct route_value value = {.router = key.router, .flags = flags, .port = number};

    memcpy(key.address, prefix->address.bytes, sizeof(key.address));
    if (next_hop)
        memcpy(value.next_hop, next_hop->bytes, sizeof(value.next_hop));
    return rows_add(&vips->desired->tables[TABLE_ROUTES], &key, &value);
}

/* Of rows with one key the first stays. */
static int add_routes(const struct vips *vips, const struct compile_port *entry, const struct compile_network *network)
{
    for (size_t i = 0; i < network->n_subnets; i++)
        if (add_route(vips, entry->vip_port, &vips->index->subnets_by_network[network->first_subnet + i]->cidr, 0, NULL) < 0)
            return -ENOMEM;
    for (size_t i = 0; i < entry->port->n_fixed_ips; i++) {
        const struct subnet *subnet = compile_find_subnet(vips->index, entry->port->fixed_ips[i].subnet_id);
        struct ip_prefix all = {{{0}}, 0};

        if (!subnet || !subnet->has_gateway)
            continue;
        if (ip_is_v4(&subnet->gateway))
            all.address = ip_from_v4(0);
        if (add_route(vips, entry->vip_port, &all, 0, &subnet->gateway) < 0)
            return -ENOMEM;
    }
    return 0;
}

/* Members know clients by their addresses, and so do rules that name a group of ports.  So nobody outside has an address of the members' networks, or of those
 * that routers join with them: as at a router (bpf/reverse-path.h), which has them on its other side. */
static int add_inside(const struct vips *vips, const struct compile_port *entry, const struct compile_network *network, bool *behind)
{
    const struct snapshot *snapshot = vips->index->snapshot;
    const uint32_t *joined = vips->index->joined;

    for (size_t i = 0; i < snapshot->n_networks; i++) /* Of those that are one, the one that stands for them says it for all. */
        behind[joined[i]] |= behind[i];
    for (size_t i = 0; i < snapshot->n_networks; i++) {
        const struct compile_network *inside = &vips->index->network_array[i];

        for (size_t k = 0; behind[joined[i]] && inside != network && k < inside->n_subnets; k++)
            if (add_route(vips, entry->vip_port, &vips->index->subnets_by_network[inside->first_subnet + k]->cidr, ROUTE_LOCAL, NULL) < 0)
                return -ENOMEM;
    }
    return 0;
}

static const struct ip_address *first_address(const struct port *port, bool v4)
{
    for (size_t i = 0; i < port->n_fixed_ips; i++)
        if (ip_is_v4(&port->fixed_ips[i].address) == v4)
            return &port->fixed_ips[i].address;
    return NULL;
}

static int add_port(const struct vips *vips, const struct compile_port *entry, const struct network *network)
{
    const struct port *port = entry->port;
    const struct ip_address *first4 = first_address(port, true), *first6 = first_address(port, false);
    struct router_port_config config = {.flags = ROUTER_PORT_EXTERNAL | ROUTER_PORT_SERVICE, .router = ROUTER_SERVICE | entry->vip_port, .vni = network->vni,
                                        .mtu = network->mtu, .generation = entry->router_port_generation};

    if (port->object.admin_state_up && network->object.admin_state_up)
        config.flags |= ROUTER_PORT_UP;
    if (first6 && compile_is_announced_here(vips->index, network, first6, NULL))
        config.flags |= ROUTER_PORT_ANNOUNCED;
    memcpy(config.mac, port->mac.bytes, sizeof(config.mac));
    if (first4)
        memcpy(config.ip4, first4->bytes, sizeof(config.ip4));
    if (first6)
        memcpy(config.ip6, first6->bytes, sizeof(config.ip6));
    return rows_add(&vips->desired->tables[TABLE_ROUTER_PORTS], &entry->vip_port, &config);
}

static int add_external(const struct vips *vips, const struct compile_port *entry, const struct network *network, const struct load_balancer *model)
{
    for (size_t i = 0; i < entry->port->n_fixed_ips; i++) {
        const struct ip_address *address = &entry->port->fixed_ips[i].address;
        struct external_key key = {.vni = network->vni};
        struct external_value value = {.vni = network->vni, .kind = EXTERNAL_SERVICE, .output = OUTPUT_SERVICE | network->vni,
                                       .router_port = entry->vip_port, .object = compile_object_number(&model->object)};

        if (!ip_is_v4(address))
            continue;
        memcpy(&key.address, address->bytes + 12, sizeof(key.address));
        value.address = key.address;
        if (compile_is_announced_here(vips->index, network, address, NULL))
            value.flags |= EXTERNAL_ANNOUNCED;
        if (rows_add(&vips->desired->tables[TABLE_EXTERNAL], &key, &value) < 0)
            return -ENOMEM;
    }
    return 0;
}

int compile_vip(const struct compile_index *index, struct desired *desired, const struct compile_port *port, const struct compile_network *network,
                const struct load_balancer *model, bool *behind)
{
    struct vips vips = {index, desired};

    if (behind && add_inside(&vips, port, network, behind) < 0)
        return -ENOMEM;
    if (add_port(&vips, port, network->network) < 0 || add_routes(&vips, port, network) < 0 || add_external(&vips, port, network->network, model) < 0)
        return -ENOMEM;
    return 0;
}
