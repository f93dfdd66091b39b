/* The virtual server's addresses (model/virtual-server.h): who asks for them is answered with its MAC, so that a DHCP
 * lease can be renewed by unicast.
 *
 * A port that holds such an address comes first: compile_switching() ran before, and of two rows with the same key the
 * first stays.  Where a port may use addresses that the model does not list, one of them may well be the gateway (two
 * routers with VRRP): there the gateway is left to answer for itself, and a client whose renewal finds nobody asks by
 * broadcast some time later.
 *
 * A workload may have learned the virtual server's MAC for its gateway before there was a router, and goes on using it for a while
 * (RFC 4861, 7.3; Linux: up to a minute).  So what is sent there goes to the router that has the gateway's address now.  Where two routers are gateways
 * of two subnets of one network, nobody knows which one was meant, and such a workload has to ask again. */
#include <errno.h>
#include <string.h>

#include "weft/compiler/layers.h"
#include "weft/model/virtual-server.h"

static int add_server(struct desired *desired, uint32_t vni, const struct ip_address *address)
{
    struct neighbor_key key = {.vni = vni};
    struct neighbor_value value = {.check = (uint16_t)vni};

    memcpy(key.address, address->bytes, sizeof(key.address));
    memcpy(value.mac, VIRTUAL_SERVER_MAC.bytes, sizeof(value.mac));
    return rows_add(&desired->tables[TABLE_NEIGHBORS], &key, &value);
}

static void find_gateways(struct compile_index *index)
{
    for (size_t i = 0; i < index->snapshot->n_ports; i++) {
        const struct compile_port *port = &index->snapshot->ports[i];
        struct compile_network *network = port->router_port ? compile_place_of(index, port)->network : NULL;

        for (size_t k = 0; network && k < port->port->n_fixed_ips; k++) {
            const struct fixed_ip *fixed = &port->port->fixed_ips[k];
            const struct subnet *subnet = compile_find_subnet(index, fixed->subnet_id);

            if (!subnet || !subnet->has_gateway || !ip_is_v4(&fixed->address) || !ip_equal(&subnet->gateway, &fixed->address))
                continue;
            if (network->gateway && !streq(network->gateway->port->device_id, port->port->device_id))
                network->has_gateways = true;
            network->gateway = port;
        }
    }
}

/* What is still sent to the virtual server's MAC goes to the router. */
static int add_gateway(const struct compile_network *network, struct desired *desired)
{
    struct fdb_key key = {.vni = network->network->vni};
    struct output_value value = {.vni = network->network->vni, .output = OUTPUT_ROUTER | network->gateway->router_port};

    memcpy(key.mac, VIRTUAL_SERVER_MAC.bytes, sizeof(key.mac));
    return rows_add(&desired->tables[TABLE_FDB], &key, &value);
}

int compile_services(struct compile_index *index, struct desired *desired)
{
    for (size_t i = 0; i < index->snapshot->n_subnets; i++) {
        const struct subnet *subnet = index->snapshot->subnets[i];
        const struct compile_network *network = index->subnet_array[i].network;
        bool v4 = ip_is_v4(&subnet->cidr.address);

        if (!network || !subnet->enable_dhcp || (v4 && subnet->has_gateway && network->may_learn))
            continue;
        if (add_server(desired, network->network->vni,
                       !v4                   ? &VIRTUAL_SERVER_IP6
                       : subnet->has_gateway ? &subnet->gateway
                                             : &VIRTUAL_SERVER_IP4) < 0)
            return -ENOMEM;
    }
    find_gateways(index);
    for (size_t i = 0; i < index->snapshot->n_networks; i++) {
        const struct compile_network *network = &index->network_array[i];

        if (network->gateway && !network->has_gateways && add_gateway(network, desired) < 0)
            return -ENOMEM;
    }
    return 0;
}
