/* The virtual server's addresses (model/virtual-server.h): who asks for them is answered with its MAC, so that a DHCP
 * lease can be renewed by unicast.
 *
 * A port that holds such an address comes first: compile_switching() ran before, and of two rows with the same key the
 * first stays.  Where a port may use addresses that the model does not list, one of them may well be the gateway (two
 * routers with VRRP): there the gateway is left to answer for itself, and a client whose renewal finds nobody asks by
 * broadcast some time later. */
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

int compile_services(struct compile_index *index, struct desired *desired)
{
    for (size_t i = 0; i < index->snapshot->n_subnets; i++) {
        const struct subnet *subnet = index->snapshot->subnets[i];
        const struct compile_network *network = compile_find_network(index, subnet->network_id);
        bool v4 = ip_is_v4(&subnet->cidr.address);

        if (!network || !subnet->enable_dhcp || (v4 && subnet->has_gateway && network->may_learn))
            continue;
        if (add_server(desired, network->network->vni,
                       !v4                   ? &VIRTUAL_SERVER_IP6
                       : subnet->has_gateway ? &subnet->gateway
                                             : &VIRTUAL_SERVER_IP4) < 0)
            return -ENOMEM;
    }
    return 0;
}
