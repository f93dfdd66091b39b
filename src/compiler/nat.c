/* External networks: who has which of their addresses, what leaves under which name, and by whose uplink. */
#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "weft/compiler/layers.h"
#include "weft/model/routed.h"

#define WANTED_BITS 65536 /* All that compile_id_bits() can be. */

struct port_node {
    struct hashmap_node by_id;
    const struct compile_port *port;
};

/* Where the router's blocks are in 'blocks'. */
struct router_blocks {
    size_t first, n;
};

struct sorted_router {
    uint32_t number; /* compile_object_number() */
    const struct compile_router_entry *entry;
};

struct nat {
    const struct compile_index *index;
    struct desired *desired;
    struct hashmap ports;             /* By id: those that somebody may ask for. */
    struct port_node *port_nodes;
    uint64_t *wanted;                 /* WANTED_BITS of them, by the bits of ids. */
    const struct snat_block **blocks; /* Those of a router together, by first port. */
    struct routed_prefix *routed;
    size_t n_routed, n_routed_capacity;
};

static __u32 ipv4_of(const struct ip_address *address)
{
    __u32 wire;

    memcpy(&wire, address->bytes + 12, sizeof(wire));
    return wire;
}

/* ---- finding ----------------------------------------------------------------------------------------------------------------- */

static bool is_wanted(const struct nat *nat, size_t port)
{
    uint16_t bit = nat->index->places[port].id_bits;

    return nat->wanted[bit / 64] >> bit % 64 & 1;
}

static void want(struct nat *nat, const char *id)
{
    uint16_t bit = compile_id_bits(id);

    nat->wanted[bit / 64] |= (uint64_t)1 << bit % 64;
}

/* Of many ports few have floating IPs or forwardings: only those that may be asked for are put into the map.  The bits of their ids say which, so
 * some are there for nothing. */
static int index_ports(struct nat *nat)
{
    const struct snapshot *snapshot = nat->index->snapshot;
    size_t n = 0;

    nat->wanted = calloc(WANTED_BITS / 64, sizeof(*nat->wanted));
    if (!nat->wanted)
        return -ENOMEM;
    for (size_t i = 0; i < snapshot->n_floating_ips; i++)
        want(nat, snapshot->floating_ips[i]->port_id);
    for (size_t i = 0; i < snapshot->n_port_forwardings; i++)
        want(nat, snapshot->port_forwardings[i]->internal_port_id);
    for (size_t i = 0; i < snapshot->n_ports; i++)
        n += is_wanted(nat, i);
    nat->port_nodes = calloc(n + 1, sizeof(*nat->port_nodes));
    if (!nat->port_nodes || hashmap_reserve(&nat->ports, n) < 0)
        return -ENOMEM;
    n = 0;
    for (size_t i = 0; i < snapshot->n_ports; i++) {
        struct port_node *entry = &nat->port_nodes[n];

        if (!is_wanted(nat, i))
            continue;
        entry->port = &snapshot->ports[i];
        n++;
        if (hashmap_insert(&nat->ports, &entry->by_id, entry->port->port->object.id, UUID_TEXT_SIZE - 1) == -ENOMEM)
            return -ENOMEM;
    }
    return 0;
}

static const struct compile_port *find_port(const struct nat *nat, const char *id)
{
    struct hashmap_node *node = id[0] ? hashmap_find(&nat->ports, id, strlen(id)) : NULL;

    return node ? CONTAINER_OF(node, struct port_node, by_id)->port : NULL;
}

/* The router's port on the external network; NULL: none, or none that we know. */
static const struct compile_port *find_gateway(const struct nat *nat, const char *router_id, const char *network_id)
{
    const struct compile_router_entry *router = router_id[0] ? compile_find_router(nat->index, router_id) : NULL;

    for (size_t i = 0; router && router->router->number && i < router->n_ports; i++) {
        const struct compile_port *port = nat->index->ports_by_router[router->first_port + i];

        if (compile_is_gateway(port->port) && streq(port->port->network_id, network_id))
            return port;
    }
    return NULL;
}

static const struct ip_address *first_ipv4(const struct port *port)
{
    for (size_t i = 0; i < port->n_fixed_ips; i++)
        if (ip_is_v4(&port->fixed_ips[i].address))
            return &port->fixed_ips[i].address;
    return NULL;
}

/* ---- gateways ------------------------------------------------------------------------------------------------------------------ */

static int add_uplink(struct nat *nat, const struct network *network, uint32_t project, const struct compile_uplink *uplink)
{
    struct uplink_key key = {uplink->ifindex, network->vlan_id}, by_vni = {UPLINK_BY_VNI, network->vni};
    struct uplink_value value = {.ifindex = uplink->ifindex, .vlan = network->vlan_id, .vni = network->vni, .project = project,
                                 .mtu = MIN(uplink->mtu, network->mtu)};
    struct rows *rows = &nat->desired->tables[TABLE_UPLINKS];

    memcpy(value.mac, uplink->mac.bytes, sizeof(value.mac));
    return rows_add(rows, &key, &value) < 0 || rows_add(rows, &by_vni, &value) < 0 ? -ENOMEM : 0;
}

/* The other gateways: for this host's workloads, when it has no uplink itself. */
static int add_gateways(struct nat *nat, const struct network *network, const struct compile_physical *physical)
{
    struct rows *rows = &nat->desired->tables[TABLE_GATEWAYS];
    const struct compile_host *mine = physical->uplink ? NULL : compile_find_announcer(nat->index, network, &nat->index->snapshot->tunnel_address, NULL);
    uint32_t vni = network->vni, n = 0;

    for (size_t i = 0; i < physical->n_hosts; i++) {
        struct flood_key key = {vni, n};
        struct output_value value = {vni, OUTPUT_REMOTE | physical->hosts[i]->slot};

        if (!physical->hosts[i]->slot)
            continue;
        n++;
        if (rows_add(rows, &key, &value) < 0)
            return -ENOMEM;
    }

    struct flood_key key = {vni, GATEWAYS_FACTS}, bridge = {vni, GATEWAYS_BRIDGE};
    struct output_value value = {vni, n}, stands_for_us = {vni, OUTPUT_REMOTE | (mine ? mine->slot : 0)};

    if (mine && mine->slot && rows_add(rows, &bridge, &stands_for_us) < 0)
        return -ENOMEM;
    return n ? rows_add(rows, &key, &value) : 0;
}

static int add_physical_networks(struct nat *nat)
{
    const struct snapshot *snapshot = nat->index->snapshot;

    for (size_t i = 0; i < snapshot->n_networks; i++) {
        const struct network *network = snapshot->networks[i];
        const struct compile_physical *physical = compile_find_physical(nat->index, network);

        if (!physical)
            continue;
        if (add_gateways(nat, network, physical) < 0 ||
            (physical->uplink &&
             add_uplink(nat, network, snapshot->network_projects ? snapshot->network_projects[i] : 0, physical->uplink) < 0))
            return -ENOMEM;
    }
    return 0;
}

/* ---- addresses ------------------------------------------------------------------------------------------------------------------- */

static int add_external(struct nat *nat, const struct network *network, const struct ip_address *address, struct external_value value,
                        const char *at_home)
{
    struct external_key key = {network->vni, ipv4_of(address)};

    value.vni = network->vni;
    if (compile_is_announced_here(nat->index, network, address, at_home))
        value.flags |= EXTERNAL_ANNOUNCED;
    return rows_add(&nat->desired->tables[TABLE_EXTERNAL], &key, &value);
}

/* Who is on the external network itself reaches a floating IP through the router that knows it. */
static int add_neighbor(struct nat *nat, uint32_t vni, const struct ip_address *address, const struct mac_address *mac)
{
    struct neighbor_key key = {.vni = vni};
    struct neighbor_value value = {.check = (uint16_t)vni};

    memcpy(key.address, address->bytes, sizeof(key.address));
    memcpy(value.mac, mac->bytes, sizeof(value.mac));
    return rows_add(&nat->desired->tables[TABLE_NEIGHBORS], &key, &value);
}

static int add_floating_ip(struct nat *nat, const struct floating_ip *model)
{
    const struct compile_network *network = compile_find_network(nat->index, model->floating_network_id);
    const struct compile_port *port = find_port(nat, model->port_id), *gateway;
    const struct ip_address *fixed = model->has_fixed_address ? &model->fixed_address : port ? first_ipv4(port->port) : NULL;
    struct external_value value = {.kind = EXTERNAL_FLOATING, .object = compile_object_number(&model->object)};

    gateway = find_gateway(nat, model->router_id, model->floating_network_id);
    if (!network || !port || !gateway || !fixed || !ip_is_v4(fixed) || !ip_is_v4(&model->floating_address))
        return 0;
    value.output = compile_place_of(nat->index, port)->output;
    value.router_port = gateway->router_port;
    if (value.output == OUTPUT_NONE && port_load_balancer_id(port->port)) { /* On no host: what listens there says compiler/balancing.c. */
        const struct compile_network *inner = compile_place_of(nat->index, port)->network;

        value.kind = EXTERNAL_SERVICE;
        value.output = inner ? OUTPUT_SERVICE | inner->network->vni : OUTPUT_NONE;
        value.address = ipv4_of(fixed);
    }
    if (port->slot) {
        struct floating_key key = {port->slot, ipv4_of(fixed)};
        struct floating_value row = {port->slot, ipv4_of(&model->floating_address), gateway->router_port, value.object};

        value.address = ipv4_of(fixed);
        if (rows_add(&nat->desired->tables[TABLE_FLOATING], &key, &row) < 0)
            return -ENOMEM;
    }
    if (add_neighbor(nat, network->network->vni, &model->floating_address, &gateway->port->mac) < 0)
        return -ENOMEM;
    return add_external(nat, network->network, &model->floating_address, value, port->port->binding_host_id);
}

/* ---- port forwardings -------------------------------------------------------------------------------------------------------------- */

static int compare_floating_ips(const void *a, const void *b)
{
    const struct floating_ip *x = *(const struct floating_ip *const *)a, *y = *(const struct floating_ip *const *)b;

    return strcmp(x->object.id, y->object.id);
}

static int find_by_id(const void *id, const void *element)
{
    return strcmp(id, (*(const struct floating_ip *const *)element)->object.id);
}

/* Without room the forwarding leads nowhere; the address stays what it is. */
static int add_forwarding(struct nat *nat, const struct port_forwarding *model, const struct floating_ip *floating_ip, bool has_room)
{
    const struct compile_network *network = compile_find_network(nat->index, floating_ip->floating_network_id);
    const struct compile_port *port = find_port(nat, model->internal_port_id);
    const struct compile_port *gateway = find_gateway(nat, floating_ip->router_id, floating_ip->floating_network_id);
    struct external_value value = {.kind = EXTERNAL_FORWARDED, .port = model->internal_first, .first = model->external_first,
                                   .object = compile_object_number(&model->object)};

    if (!network || !port || !gateway || !ip_is_v4(&model->internal_address))
        return 0;
    value.vni = network->network->vni;
    value.output = compile_place_of(nat->index, port)->output;
    value.router_port = gateway->router_port;
    if (port->slot)
        value.address = ipv4_of(&model->internal_address);
    if (has_room && compile_forwarded_range(nat->desired, ipv4_of(&floating_ip->floating_address), model, &value) < 0)
        return -ENOMEM;

    struct external_value address = {.kind = EXTERNAL_FORWARDED, .router_port = gateway->router_port,
                                     .object = compile_object_number(&floating_ip->object)};

    if (add_neighbor(nat, value.vni, &floating_ip->floating_address, &gateway->port->mac) < 0)
        return -ENOMEM;
    return add_external(nat, network->network, &floating_ip->floating_address, address, NULL);
}

static int add_forwardings(struct nat *nat)
{
    const struct snapshot *snapshot = nat->index->snapshot;
    const struct floating_ip **sorted = calloc(snapshot->n_floating_ips + 1, sizeof(*sorted));
    bool *has_room = calloc(snapshot->n_port_forwardings + 1, sizeof(*has_room));
    int error = sorted && has_room ? compile_forwardings_room(snapshot, nat->desired, has_room) : -ENOMEM;

    if (error == 0 && snapshot->n_floating_ips) {
        memcpy(sorted, snapshot->floating_ips, snapshot->n_floating_ips * sizeof(*sorted));
        qsort(sorted, snapshot->n_floating_ips, sizeof(*sorted), compare_floating_ips);
    }
    for (size_t i = 0; i < snapshot->n_port_forwardings && error == 0; i++) {
        const struct port_forwarding *model = snapshot->port_forwardings[i];
        const struct floating_ip *const *found =
            bsearch(model->floating_ip_id, sorted, snapshot->n_floating_ips, sizeof(*sorted), find_by_id);

        if (found && !(*found)->port_id[0]) /* Of a port as a whole: that comes first. */
            error = add_forwarding(nat, model, *found, has_room[i]);
    }
    free(has_room);
    free(sorted);
    return error;
}

/* ---- routers' addresses --------------------------------------------------------------------------------------------------------------- */

static int compare_blocks(const void *a, const void *b)
{
    const struct snat_block *x = *(const struct snat_block *const *)a, *y = *(const struct snat_block *const *)b;

    return x->first_port < y->first_port ? -1 : x->first_port > y->first_port;
}

static bool block_is_valid(const struct snat_block *block)
{
    return block->n_ports && !(block->n_ports & (block->n_ports - 1)) && block->first_port % block->n_ports == 0 && block->host &&
           ip_is_v4(&block->address);
}

/* Whose the ports of the block are, for gateways. */
static int add_owner(struct nat *nat, uint32_t vni, const struct snat_block *block)
{
    const struct compile_host *host = compile_find_host(nat->index, block->host);
    bool is_here = streq(block->host, nat->index->snapshot->host_name);
    struct snat_owner_key key = {.prefix_length = 64 + 16 - (uint32_t)__builtin_ctz(block->n_ports), .vni = vni,
                                 .address = ipv4_of(&block->address), .port = htons(block->first_port)};
    struct output_value value = {vni, is_here ? OUTPUT_LOCAL : host && host->slot ? OUTPUT_REMOTE | host->slot : OUTPUT_NONE};

    return value.output == OUTPUT_NONE ? 0 : rows_add(&nat->desired->tables[TABLE_SNAT_OWNERS], &key, &value);
}

/* The blocks of the router's address, which begin at 'blocks': who owns them all, and which are this host's. */
static int add_blocks(struct nat *nat, const struct router *router, const struct compile_port *gateway, const struct network *network,
                      const struct ip_address *address, const struct snat_block *const *blocks, size_t n)
{
    struct snat_config config = {.router_port = gateway->router_port, .address = ipv4_of(address), .vni = network->vni,
                                 .object = compile_object_number(&router->object)};

    for (size_t i = 0; i < n; i++) {
        const struct snat_block *block = blocks[i];

        if (!block_is_valid(block) || !streq(block->network_id, network->object.id) || !ip_equal(&block->address, address))
            continue;
        if (add_owner(nat, network->vni, block) < 0)
            return -ENOMEM;
        if (streq(block->host, nat->index->snapshot->host_name) && config.n_blocks < SNAT_BLOCKS_MAX) {
            config.blocks[config.n_blocks].first = block->first_port;
            config.blocks[config.n_blocks++].size = block->n_ports;
        }
    }
    return config.n_blocks ? rows_add(&nat->desired->tables[TABLE_SNAT], &gateway->router_port, &config) : 0;
}

static const struct subnet *find_subnet(const void *index, const char *id)
{
    return compile_find_subnet(index, id);
}

/* The network's own addresses are nobody's behind it. */
static bool is_on_link(const struct nat *nat, const struct compile_network *network, const struct ip_prefix *prefix)
{
    for (size_t i = 0; i < network->n_subnets; i++)
        if (prefix_overlaps(&nat->index->subnets_by_network[network->first_subnet + i]->cidr, prefix))
            return true;
    return false;
}

static int note_routed(struct nat *nat, const struct routed_prefix *prefix)
{
    if (nat->n_routed == nat->n_routed_capacity) {
        size_t n = nat->n_routed_capacity ? 2 * nat->n_routed_capacity : 64;
        struct routed_prefix *more = reallocarray(nat->routed, n, sizeof(*more));

        if (!more)
            return -ENOMEM;
        nat->routed = more;
        nat->n_routed_capacity = n;
    }
    nat->routed[nat->n_routed++] = *prefix;
    return 0;
}

/* What is behind the router and reached from outside at its own address: IPv6, and IPv4 that it does not translate. */
static int note_routed_prefixes(struct nat *nat, const struct compile_router_entry *entry, const struct compile_port *gateway,
                                const struct compile_network *network)
{
    const struct router *router = entry->router->router;
    const struct compile_physical *physical = compile_find_physical(nat->index, network->network);

    for (size_t i = 0; physical && physical->uplink && i < entry->n_ports; i++) {
        const struct port *port = nat->index->ports_by_router[entry->first_port + i]->port;

        for (size_t k = 0; !compile_is_gateway(port) && k < port->n_fixed_ips; k++) {
            const struct subnet *subnet = compile_find_subnet(nat->index, port->fixed_ips[k].subnet_id), *outside;
            struct routed_prefix prefix = {.network_id = network->network->object.id, .project_id = router->object.project_id,
                                           .router_id = router->object.id, .router_port = gateway->router_port};

            if (!subnet || is_on_link(nat, network, &subnet->cidr))
                continue;
            outside = port_subnet_of_family(gateway->port, ip_is_v4(&subnet->cidr.address), find_subnet, nat->index);
            if (!router_routes_untranslated(router, subnet, outside))
                continue;
            prefix.prefix = subnet->cidr;
            prefix.subnet_id = subnet->object.id;
            prefix.since_s = routed_since(subnet, port, gateway->port);
            if (note_routed(nat, &prefix) < 0)
                return -ENOMEM;
        }
    }
    return 0;
}

/* Who routes what arrives from outside.  Of several routers of a project with a network the first one has it; no project gets what is another's
 * already, however long its prefix is. */
static int add_routed_prefixes(struct nat *nat)
{
    if (routed_prefixes_resolve(nat->routed, nat->n_routed) < 0)
        return -ENOMEM;
    for (size_t i = 0; i < nat->n_routed; i++) {
        const struct routed_prefix *routed = &nat->routed[i];
        const struct compile_network *network = compile_find_network(nat->index, routed->network_id);
        struct route_key key = {.router = ROUTER_OUTSIDE | network->network->vni};
        struct route_value value = {.router = key.router, .port = routed->router_port};

        if (routed->overruled || !routed->router_port)
            continue;
        key.prefix_length = 32 + (uint32_t)prefix_bits(&routed->prefix);
        memcpy(key.address, routed->prefix.address.bytes, sizeof(key.address));
        if (rows_add(&nat->desired->tables[TABLE_ROUTES], &key, &value) < 0)
            return -ENOMEM;
    }
    return 0;
}

static int add_router(struct nat *nat, const struct compile_router_entry *entry, const struct snat_block *const *blocks, size_t n_blocks)
{
    const struct router *router = entry->router->router;

    for (size_t i = 0; i < entry->n_ports; i++) {
        const struct compile_port *gateway = nat->index->ports_by_router[entry->first_port + i];
        const struct compile_network *network = compile_place_of(nat->index, gateway)->network;
        const struct ip_address *address = first_ipv4(gateway->port);

        if (!compile_is_gateway(gateway->port) || !network)
            continue;
        if (note_routed_prefixes(nat, entry, gateway, network) < 0)
            return -ENOMEM;
        if (!entry->router->number) /* It does nothing here; but nobody gets its prefixes. */
            continue;
        for (size_t k = 0; k < gateway->port->n_fixed_ips; k++) {
            struct external_value value = {.kind = EXTERNAL_ROUTER, .router_port = gateway->router_port,
                                           .object = compile_object_number(&router->object)};

            const struct compile_host *host =
                compile_find_announcer(nat->index, network->network, &gateway->port->fixed_ips[k].address, NULL);
            if (host && streq(host->host->object.name, nat->index->snapshot->host_name))
                value.output = OUTPUT_LOCAL;
            else if (host && host->slot)
                value.output = OUTPUT_REMOTE | host->slot;
            if (ip_is_v4(&gateway->port->fixed_ips[k].address) &&
                add_external(nat, network->network, &gateway->port->fixed_ips[k].address, value, NULL) < 0)
                return -ENOMEM;
        }
        if (address && router->enable_snat && add_blocks(nat, router, gateway, network->network, address, blocks, n_blocks) < 0)
            return -ENOMEM;
    }
    return 0;
}

/* The ids' beginnings, as numbers, mostly decide. */
static int compare_routers(const void *a, const void *b)
{
    const struct sorted_router *x = a, *y = b;

    if (x->number != y->number)
        return x->number < y->number ? -1 : 1;
    return strcmp(x->entry->router->router->object.id, y->entry->router->router->object.id);
}

/* The blocks of known routers, those of one together: counts, places, fills. */
static void gather_blocks(struct nat *nat, const struct compile_router_entry **owners, struct router_blocks *of_routers)
{
    const struct snapshot *snapshot = nat->index->snapshot;
    size_t next = 0;

    for (size_t i = 0; i < snapshot->n_snat_blocks; i++) {
        owners[i] = compile_find_router(nat->index, snapshot->snat_blocks[i]->router_id);
        if (owners[i])
            of_routers[owners[i] - nat->index->router_array].n++;
    }
    for (size_t i = 0; i < snapshot->n_routers; i++) {
        of_routers[i].first = next;
        next += of_routers[i].n;
        of_routers[i].n = 0;
    }
    for (size_t i = 0; i < snapshot->n_snat_blocks; i++) {
        struct router_blocks *of_router = owners[i] ? &of_routers[owners[i] - nat->index->router_array] : NULL;

        if (of_router)
            nat->blocks[of_router->first + of_router->n++] = snapshot->snat_blocks[i];
    }
    for (size_t i = 0; i < snapshot->n_routers; i++)
        if (of_routers[i].n > 1)
            qsort(nat->blocks + of_routers[i].first, of_routers[i].n, sizeof(*nat->blocks), compare_blocks);
}

static int add_routers(struct nat *nat)
{
    const struct snapshot *snapshot = nat->index->snapshot;
    const struct compile_router_entry **owners = calloc(snapshot->n_snat_blocks + 1, sizeof(*owners));
    struct router_blocks *of_routers = calloc(snapshot->n_routers + 1, sizeof(*of_routers));
    struct sorted_router *sorted = calloc(snapshot->n_routers + 1, sizeof(*sorted));
    int error = 0;

    nat->blocks = calloc(snapshot->n_snat_blocks + 1, sizeof(*nat->blocks));
    if (!owners || !of_routers || !sorted || !nat->blocks)
        error = -ENOMEM;
    else
        gather_blocks(nat, owners, of_routers);
    for (size_t i = 0; i < snapshot->n_routers && error == 0; i++)
        sorted[i] = (struct sorted_router){compile_object_number(&snapshot->routers[i].router->object), &nat->index->router_array[i]};
    if (error == 0 && snapshot->n_routers)
        qsort(sorted, snapshot->n_routers, sizeof(*sorted), compare_routers);
    for (size_t i = 0; i < snapshot->n_routers && error == 0; i++) {
        const struct compile_router_entry *router = sorted[i].entry;
        const struct router_blocks *blocks = &of_routers[router - nat->index->router_array];

        error = add_router(nat, router, nat->blocks + blocks->first, blocks->n);
    }
    free(owners);
    free(of_routers);
    free(sorted);
    return error < 0 ? error : add_routed_prefixes(nat);
}

/* ---- all together ------------------------------------------------------------------------------------------------------------------------- */

static int add_outside_neighbors(struct nat *nat)
{
    const struct snapshot *snapshot = nat->index->snapshot;

    for (size_t i = 0; i < snapshot->n_outside_neighbors; i++) {
        const struct compile_outside_neighbor *neighbor = &snapshot->outside_neighbors[i];
        const struct compile_network *network = compile_find_network(nat->index, neighbor->network_id);

        if (network && add_neighbor(nat, network->network->vni, &neighbor->address, &neighbor->mac) < 0)
            return -ENOMEM;
    }
    return 0;
}

static void nat_clear(struct nat *nat)
{
    free(nat->port_nodes);
    free(nat->wanted);
    free(nat->blocks);
    free(nat->routed);
    hashmap_clear(&nat->ports);
}

int compile_nat(struct compile_index *index, struct desired *desired)
{
    const struct snapshot *snapshot = index->snapshot;
    struct nat nat = {.index = index, .desired = desired};
    int error = add_physical_networks(&nat);

    if (error == 0 && snapshot->n_floating_ips)
        error = index_ports(&nat);
    for (size_t i = 0; i < snapshot->n_floating_ips && error == 0; i++)
        error = add_floating_ip(&nat, snapshot->floating_ips[i]);
    if (error == 0 && snapshot->n_port_forwardings)
        error = add_forwardings(&nat);
    if (error == 0)
        error = add_routers(&nat);
    if (error == 0)
        error = add_outside_neighbors(&nat);
    nat_clear(&nat);
    return error;
}
