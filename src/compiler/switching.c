/* Layer 2 of every network with a port here: who has which MAC and address, and who gets broadcast.
 *
 * An owned MAC (a port's own) is in the FDB; a MAC that may move is not, only the right to claim it is ('movable'), and
 * the data plane learns where it is. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "weft/base/sort.h"
#include "weft/compiler/layers.h"

bool compile_port_may_learn(const struct port *port)
{
    if (!port->port_security_enabled)
        return true;
    for (size_t i = 0; i < port->n_allowed_address_pairs; i++)
        if (port->allowed_address_pairs[i].has_mac && !mac_equal(&port->allowed_address_pairs[i].mac, &port->mac))
            return true;
    return false;
}

/* Two neighbouring ports of a host often come one after the other; the rest is sorted out at the end. */
static int add_flood_output(struct compile_network *network, uint32_t output)
{
    if (network->n_outputs && network->outputs[network->n_outputs - 1] == output)
        return 0;
    if (network->n_outputs == network->n_outputs_capacity) {
        size_t capacity = network->n_outputs_capacity ? network->n_outputs_capacity * 2 : 8;
        uint32_t *outputs = reallocarray(network->outputs, capacity, sizeof(*outputs));

        if (!outputs)
            return -ENOMEM;
        network->outputs = outputs;
        network->n_outputs_capacity = capacity;
    }
    network->outputs[network->n_outputs++] = output;
    return 0;
}

/* By that MAC hosts send each other what is for the outside: no workload is found by it, whatever its port says. */
static bool is_reserved(const uint8_t mac[6])
{
    static const uint8_t outside[6] = OUTSIDE_MAC_BYTES;

    return memcmp(mac, outside, sizeof(outside)) == 0;
}

static int add_fdb(struct desired *desired, uint32_t vni, const uint8_t mac[6], uint32_t output)
{
    struct fdb_key key = {.vni = vni};
    struct output_value value = {vni, output};

    if (is_reserved(mac))
        return 0;
    memcpy(key.mac, mac, 6);
    return rows_add_sized(&desired->tables[TABLE_FDB], &key, sizeof(key), &value, sizeof(value));
}

static int add_movable(struct desired *desired, uint32_t vni, const uint8_t mac[6], uint32_t output)
{
    struct movable_key key = {.vni = vni, .output = output};
    struct output_value value = {vni, output};

    if (is_reserved(mac))
        return 0;
    memcpy(key.mac, mac, 6);
    return rows_add_sized(&desired->tables[TABLE_MOVABLE], &key, sizeof(key), &value, sizeof(value));
}

static int add_neighbor(struct desired *desired, uint32_t vni, const struct ip_address *address, const uint8_t mac[6])
{
    struct neighbor_key key = {.vni = vni};
    struct neighbor_value value = {.check = (uint16_t)vni};

    memcpy(key.address, address->bytes, sizeof(key.address));
    memcpy(value.mac, mac, 6);
    return rows_add_sized(&desired->tables[TABLE_NEIGHBORS], &key, sizeof(key), &value, sizeof(value));
}

static const struct ip_prefix link_local_prefix = {{{0xfe, 0x80}}, 64};

static int add_movables(const struct port *port, uint32_t vni, uint32_t output, struct desired *desired)
{
    static const uint8_t any[6];

    if (!port->port_security_enabled)
        return add_movable(desired, vni, any, output);
    for (size_t i = 0; i < port->n_allowed_address_pairs; i++) {
        const struct address_pair *pair = &port->allowed_address_pairs[i];

        if (pair->has_mac && !mac_equal(&pair->mac, &port->mac) && add_movable(desired, vni, pair->mac.bytes, output) < 0)
            return -ENOMEM;
    }
    return 0;
}

static int add_port(struct compile_index *index, const struct compile_port *entry, struct desired *desired)
{
    const struct port *port = entry->port;
    const struct compile_place *place = compile_place_of(index, entry);
    struct compile_network *network = place->network;
    uint32_t output = place->output;

    if (!network || output == OUTPUT_NONE)
        return 0;

    uint32_t vni = network->network->vni;

    if (add_fdb(desired, vni, port->mac.bytes, output) < 0 || (!entry->router_port && add_flood_output(network, output) < 0))
        return -ENOMEM; /* A router has no use for broadcast: what it is asked by broadcast is answered from 'neighbors'. */
    for (size_t i = 0; i < port->n_fixed_ips; i++) {
        const struct ip_address *address = &port->fixed_ips[i].address;
        struct ip_address link_local = ip_from_eui64(&link_local_prefix, &port->mac);

        /* Who speaks IPv6 has a link-local address too, and anti-spoofing lets it be this one. */
        if (add_neighbor(desired, vni, address, port->mac.bytes) < 0 ||
            (!ip_is_v4(address) && add_neighbor(desired, vni, &link_local, port->mac.bytes) < 0))
            return -ENOMEM;
    }
    if (entry->router_port)
        return 0; /* Sends nothing of its own. */
    if (!port->port_security_enabled || port->n_allowed_address_pairs)
        network->may_learn = true;
    return add_movables(port, vni, output, desired);
}

/* Hosts before local ports, each by slot: slots are given out in rising order, so what is new comes last. */
static int compare_outputs(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a ^ OUTPUT_KIND_MASK, y = *(const uint32_t *)b ^ OUTPUT_KIND_MASK;

    return x < y ? -1 : x > y;
}

struct ring_host {
    uint32_t distance;   /* From this host, 1 and more. */
    uint32_t output;
    const struct ip_address *address;
};

static int compare_ring(const void *a, const void *b)
{
    const struct ring_host *x = a, *y = b;

    if (x->distance != y->distance)
        return x->distance < y->distance ? -1 : 1;
    return memcmp(x->address->bytes, y->address->bytes, sizeof(x->address->bytes));
}

static int add_flood(struct desired *desired, uint32_t vni, uint32_t index, uint32_t output)
{
    struct flood_key key = {vni, index};
    struct output_value value = {vni, output};

    return rows_add_sized(&desired->tables[TABLE_FLOOD], &key, sizeof(key), &value, sizeof(value));
}

/* How far a host is from this one; 0 if it may not pass copies on. */
static uint32_t ring_distance(const struct compile_host *host, const struct ip_address *here)
{
    static const uint8_t none[16];

    if (!host || ip_is_zero(here) || !host->host->has_tunnel_address || host->host->state == HOST_STATE_DOWN ||
        memcmp(host->path.next_hop, none, sizeof(none)) == 0)
        return 0;
    return (compile_flood_key(&host->host->tunnel_address) - compile_flood_key(here)) & FLOOD_KEY_MASK;
}

static int find_ring_distances(struct compile_index *index)
{
    index->ring_distances = calloc(index->n_host_slots + 1, sizeof(*index->ring_distances));
    if (!index->ring_distances)
        return -ENOMEM;
    for (size_t i = 0; i < index->n_host_slots; i++)
        index->ring_distances[i] = ring_distance(index->host_by_slot[i], &index->snapshot->tunnel_address);
    return 0;
}

/* May the host pass copies on?  Then '*ret' is filled in but for the output. */
static bool find_in_ring(const struct compile_index *index, uint32_t output, struct ring_host *ret)
{
    uint32_t slot = output & OUTPUT_SLOT_MASK;

    if (slot >= index->n_host_slots || !index->ring_distances[slot])
        return false;
    ret->address = &index->host_by_slot[slot]->host->tunnel_address;
    ret->distance = index->ring_distances[slot];
    return true;
}

/* The lists of tables.h.  Writing a changed list is not atomic: for the instant of the update a copy may go to a neighbour in the list
 * twice or not at all.  Accepted, because it concerns broadcast only, at the moment when the network's membership changes. */
static int add_flood_lists(const struct compile_index *index, const struct compile_network *entry, struct desired *desired)
{
    uint32_t vni = entry->network->vni, n_direct = 0, n_tree = 0, n_local = 0;
    struct ring_host *ring = calloc(entry->n_outputs + 1, sizeof(*ring));
    size_t n_ring = 0;
    int result = 0;

    if (!ring)
        return -ENOMEM;
    for (size_t i = 0; i < entry->n_outputs && result == 0; i++) {
        uint32_t output = entry->outputs[i];

        if (i && output == entry->outputs[i - 1])
            continue;
        if ((output & OUTPUT_KIND_MASK) == OUTPUT_LOCAL)
            result = add_flood(desired, vni, FLOOD_LOCAL | n_local++, output);
        else if (find_in_ring(index, output, &ring[n_ring]))
            ring[n_ring++].output = output;
        else
            result = add_flood(desired, vni, FLOOD_DIRECT | n_direct++, output);
    }
    sort_mostly_few(ring, n_ring, sizeof(*ring), compare_ring);
    for (size_t i = 0; i < n_ring && result == 0; i++) {
        bool has_own_key = !i || ring[i].distance != ring[i - 1].distance;

        result = add_flood(desired, vni, has_own_key ? FLOOD_TREE | n_tree++ : FLOOD_DIRECT | n_direct++, ring[i].output);
    }
    if (n_tree && result == 0)
        result = add_flood(desired, vni, FLOOD_FACTS | 0, n_tree);
    if (n_tree && result == 0)
        result = add_flood(desired, vni, FLOOD_FACTS | 1, compile_flood_key(&index->snapshot->tunnel_address));
    free(ring);
    return result;
}

/* Is the network a physical one, with a way to it? */
static bool is_bridged(const struct compile_index *index, const struct compile_network *entry)
{
    const struct compile_physical *physical = compile_find_physical(index, entry->network);

    return entry->n_outputs && physical && (physical->uplink || physical->n_hosts);
}

/* The hosts with ports of the network that have no uplink themselves, and get from this one what stations outside broadcast. */
static int add_behind(const struct compile_index *index, const struct compile_network *entry, struct desired *desired)
{
    const struct compile_physical *physical = compile_find_physical(index, entry->network);
    uint32_t n = 0;

    for (size_t i = 0; physical && physical->uplink && i < entry->n_outputs; i++) {
        uint32_t output = entry->outputs[i], slot = output & OUTPUT_SLOT_MASK;
        const struct compile_host *host = slot < index->n_host_slots ? index->host_by_slot[slot] : NULL;

        if ((output & OUTPUT_KIND_MASK) != OUTPUT_REMOTE || (i && output == entry->outputs[i - 1]) || !host || !host->host->has_tunnel_address ||
            compile_has_uplink(physical, host) ||
            !compile_is_announced_here(index, entry->network, &host->host->tunnel_address, NULL))
            continue;
        if (add_flood(desired, entry->network->vni, FLOOD_BEHIND | n++, output) < 0)
            return -ENOMEM;
    }
    return 0;
}

static int add_network(const struct compile_index *index, struct compile_network *entry, uint32_t project, struct desired *desired)
{
    const struct network *network = entry->network;
    struct network_value value = {
        .vni = network->vni,
        .flags = (uint16_t)((entry->may_learn ? NETWORK_FLOOD_UNKNOWN_NEIGHBORS : 0) | (is_bridged(index, entry) ? NETWORK_BRIDGED : 0)),
        .project = (uint16_t)project,
    };

    if (rows_add(&desired->tables[TABLE_NETWORKS], &network->vni, &value) < 0)
        return -ENOMEM;
    if (entry->n_outputs)
        sort_mostly_few(entry->outputs, entry->n_outputs, sizeof(*entry->outputs), compare_outputs);
    return add_behind(index, entry, desired) < 0 ? -ENOMEM : add_flood_lists(index, entry, desired);
}

int compile_switching(struct compile_index *index, struct desired *desired)
{
    const uint32_t *projects = index->snapshot->network_projects;

    if (find_ring_distances(index) < 0)
        return -ENOMEM;
    for (size_t i = 0; i < index->snapshot->n_ports; i++)
        if (add_port(index, &index->snapshot->ports[i], desired) < 0)
            return -ENOMEM;
    for (size_t i = 0; i < index->snapshot->n_networks; i++)
        if (add_network(index, &index->network_array[i], projects ? projects[i] : 0, desired) < 0)
            return -ENOMEM;
    return 0;
}
