/* Ways between switches: each has a number, which is the id of a group of next hops in every other one. */
#include <stdlib.h>
#include <string.h>

#include "weft/base/util.h"
#include "weft/fabric/carried.h"
#include "weft/fabric/proactive-state.h"

#define PROTOCOL_UDP 17
/* Our groups' ids; those of others are left alone, with the entries that lead to them. */
#define GROUPS_FIRST 0xe0000000u
#define GROUPS_MASK 0xf0000000u
#define GROUPS_MIXED 0x08000000u /* Not the id itself. */

/* ---- numbers ------------------------------------------------------------------------------------------------------------------ */

/* What a switch's number would be: from its id, so that it is the same in every controller's life.  Small ids can be read in it. */
static uint32_t number_wanted(uint64_t id)
{
    uint64_t mixed = id;

    if (id < GROUPS_MIXED)
        return GROUPS_FIRST | (uint32_t)id;
    mixed ^= mixed >> 33;
    mixed *= 0xff51afd7ed558ccdull;
    mixed ^= mixed >> 33;
    return GROUPS_FIRST | GROUPS_MIXED | ((uint32_t)mixed & (GROUPS_MIXED - 1));
}

bool proactive_is_our_group(uint32_t id)
{
    return (id & GROUPS_MASK) == GROUPS_FIRST;
}

/* A switch's number; 0 when another switch has it.  Ids can be chosen so that two want one: the first keeps it, and what goes to the second
 * has no entries here but comes to the controller, until the second is forgotten. */
uint32_t proactive_number_of(struct fabric *fabric, struct datapath *datapath)
{
    uint32_t wanted = number_wanted(datapath->id);

    if (datapath->group_number || datapath->is_number_taken)
        return datapath->group_number;
    HASHMAP_FOREACH(node, &fabric->datapaths) {
        const struct datapath *other = CONTAINER_OF(node, struct datapath, by_id);

        if (other->group_number != wanted)
            continue;
        datapath->is_number_taken = true;
        fabric_tell(fabric, FABRIC_SWITCH_NUMBER, "switch 0x%016llx: its number in groups, 0x%08x, is that of switch 0x%016llx",
                    (unsigned long long)datapath->id, wanted, (unsigned long long)other->id);
        return 0;
    }
    return datapath->group_number = wanted;
}

/* ---- links -------------------------------------------------------------------------------------------------------------------- */

static void put_link_port(struct fabric *fabric, struct datapath *datapath, const struct fabric_port *port, bool is_link)
{
    struct of_message message = proactive_make_entry(datapath, TABLE_ADMISSION, PRIORITY_LINK);
    struct carried carried[CARRIED_MAX];
    size_t n = carried_over_link(port, carried);

    message.flow_mod.command = is_link ? OFPFC_ADD : OFPFC_DELETE_STRICT;
    message.flow_mod.match = (struct of_match){.fields = OFM_IN_PORT, .in_port = port->number};
    message.flow_mod.instructions.goto_table = TABLE_DESTINATION;
    datapath_send(fabric, datapath, &message);
    message.flow_mod.priority = PRIORITY_CARRIED;
    for (size_t i = 0; i < n; i++) {
        message.flow_mod.match = carried[i].match;
        datapath_send(fabric, datapath, &message);
    }
}

/* ---- groups ------------------------------------------------------------------------------------------------------------------- */

static void put_group(struct fabric *fabric, struct datapath *datapath, struct next_hops *hops)
{
    uint8_t room[NEXT_HOPS_MAX * 64];
    struct writer list = writer_of(room, sizeof(room));
    struct of_message message = {.kind = OF_GROUP_MOD};

    for (size_t i = 0; i < hops->n; i++) {
        struct of_action output = {.kind = OFA_OUTPUT, .port = hops->ports[i]};
        uint8_t bytes[32];
        struct writer actions = writer_of(bytes, sizeof(bytes));
        struct of_bucket bucket = {.weight = hops->type == OFPGT_SELECT ? 1 : 0, .watch_port = hops->ports[i], .watch_group = OFPG_ANY};

        if (of_action_put(datapath->version, &actions, &output) < 0)
            return;
        bucket.actions = (struct of_bytes){bytes, actions.size};
        if (of_bucket_put(datapath->version, &list, &bucket) < 0)
            return;
    }
    message.group_mod = (struct of_group_mod){
        .command = hops->is_there ? OFPGC_MODIFY : OFPGC_ADD, .type = hops->type, .group_id = hops->number, .buckets = {room, list.size}};
    datapath_send(fabric, datapath, &message);
    hops->is_there = true;
}

static void delete_group(struct fabric *fabric, struct datapath *datapath, struct next_hops *hops)
{
    struct of_message message = {.kind = OF_GROUP_MOD, .group_mod = {.command = OFPGC_DELETE, .group_id = hops->number}};

    datapath_send(fabric, datapath, &message); /* With the entries that lead to it. */
}

static void put_next_hop(struct fabric *fabric, struct datapath *datapath, const struct next_hops *hops)
{
    struct of_action group = {.kind = OFA_GROUP, .id = hops->number};
    uint8_t bytes[32];
    struct writer actions = writer_of(bytes, sizeof(bytes));
    struct of_message message = proactive_make_entry(datapath, TABLE_NEXT_HOP, PRIORITY_PROACTIVE);

    if (of_action_put(datapath->version, &actions, &group) < 0)
        return;
    message.flow_mod.match = (struct of_match){.fields = OFM_METADATA, .metadata = hops->number, .metadata_mask = METADATA_SWITCH};
    message.flow_mod.instructions.apply_actions = (struct of_bytes){bytes, actions.size};
    datapath_send(fabric, datapath, &message);
}

/* Open vSwitch: UDP by its ports, too. */
static void put_udp(struct fabric *fabric, struct datapath *datapath, const struct next_hops *hops)
{
    static const uint16_t ethertypes[] = {ETHERTYPE_IPV4, ETHERTYPE_IPV6};
    uint16_t ports[NEXT_HOPS_MAX];
    struct of_action bundle = {.kind = OFA_BUNDLE, .ports = ports, .n_ports = hops->n};
    uint8_t bytes[64 + 2 * NEXT_HOPS_MAX];
    struct writer actions = writer_of(bytes, sizeof(bytes));

    for (size_t i = 0; i < hops->n; i++)
        ports[i] = (uint16_t)hops->ports[i];
    if (of_action_put(datapath->version, &actions, &bundle) < 0)
        return;
    for (size_t i = 0; i < ARRAY_SIZE(ethertypes); i++) {
        struct of_message message = proactive_make_entry(datapath, TABLE_NEXT_HOP, PRIORITY_UDP);

        message.flow_mod.command = hops->n >= 2 ? OFPFC_ADD : OFPFC_DELETE_STRICT;
        message.flow_mod.match = (struct of_match){.fields = OFM_METADATA | OFM_ETH_TYPE | OFM_IP_PROTO, .metadata = hops->number,
                                                   .metadata_mask = METADATA_SWITCH, .eth_type = ethertypes[i], .ip_proto = PROTOCOL_UDP};
        message.flow_mod.instructions.apply_actions = (struct of_bytes){bytes, actions.size};
        datapath_send(fabric, datapath, &message);
    }
}

/* A neighbour whose own shortest way does not lead back over this switch; NULL when there is none. */
static const struct fabric_port *find_alternate(const struct fabric *fabric, const struct datapath *datapath, const struct dag *dag,
                                                uint32_t primary)
{
    const struct fabric_port *best = NULL;
    uint64_t best_cost = UINT64_MAX, own = dag_distance(dag, datapath->node);

    for (size_t i = 0; i < datapath->n_ports; i++) {
        const struct fabric_port *port = datapath->ports[i];
        uint64_t distance, back;

        if (port->arc == GRAPH_NONE || port->number == primary)
            continue;
        distance = dag_distance(dag, port->neighbor->datapath->node);
        back = port->neighbor->weight; /* An upper bound of its distance to this switch: it is next to it. */
        if (distance == DAG_UNREACHABLE || distance >= back + own || distance + port->weight >= best_cost)
            continue;
        best = port;
        best_cost = distance + port->weight;
    }
    return best;
}

static void add_hop(struct next_hops *hops, uint32_t port)
{
    for (size_t i = 0; i < hops->n; i++)
        if (hops->ports[i] == port)
            return;
    if (hops->n < NEXT_HOPS_MAX)
        hops->ports[hops->n++] = port;
}

/* The ways to a switch that is away, over the links that it had: from here to the nearest of their other ends.  Each hop comes nearer, so there are no
 * loops. */
static struct next_hops former_hops(const struct fabric *fabric, const struct datapath *datapath, const struct datapath *destination, uint32_t number)
{
    struct next_hops hops = {.number = number, .type = OFPGT_SELECT};
    uint64_t best = UINT64_MAX;

    for (size_t i = 0; i < destination->n_ports; i++) {
        const struct fabric_port *end = discovery_former_end(fabric, destination->ports[i]);
        const struct dag *dag = NULL;
        uint64_t cost = 0;

        if (!end || !end->is_up)
            continue;
        if (end->datapath != datapath) {
            if (dag_get(fabric->dags, end->datapath->node, &dag) < 0 || dag_distance(dag, datapath->node) == DAG_UNREACHABLE)
                continue;
            cost = dag_distance(dag, datapath->node);
        }
        cost += end->weight;
        if (cost > best)
            continue;
        if (cost < best)
            hops.n = 0;
        best = cost;
        if (dag) {
            size_t n;
            const uint32_t *arcs = dag_next(dag, datapath->node, &n);

            for (size_t k = 0; k < n; k++)
                add_hop(&hops, fabric->arcs[arcs[k]]->from->number);
        } else {
            add_hop(&hops, end->number);
        }
    }
    if (hops.n == 1)
        hops.type = OFPGT_FF;
    return hops;
}

static struct next_hops wanted_hops(const struct fabric *fabric, const struct datapath *datapath, const struct dag *dag, uint32_t number)
{
    struct next_hops hops = {.number = number, .type = OFPGT_SELECT};
    size_t n;
    const uint32_t *arcs = dag_next(dag, datapath->node, &n);

    for (size_t i = 0; i < n && hops.n < NEXT_HOPS_MAX; i++)
        hops.ports[hops.n++] = fabric->arcs[arcs[i]]->from->number;
    if (hops.n == 1) {
        const struct fabric_port *alternate = find_alternate(fabric, datapath, dag, hops.ports[0]);

        hops.type = OFPGT_FF;
        if (alternate)
            hops.ports[hops.n++] = alternate->number;
    }
    return hops;
}

struct next_hops *proactive_find_hops(struct proactive_state *state, uint32_t number)
{
    struct hashmap_node *node = hashmap_find(&state->next_hops, &number, sizeof(number));
    struct next_hops *hops = node ? CONTAINER_OF(node, struct next_hops, by_number) : NULL;

    if (hops)
        return hops;
    hops = calloc(1, sizeof(*hops));
    if (!hops)
        return NULL;
    hops->number = number;
    hops->n = SIZE_MAX; /* Nothing is known of it. */
    if (hashmap_insert(&state->next_hops, &hops->by_number, &hops->number, sizeof(hops->number)) < 0) {
        free(hops);
        return NULL;
    }
    return hops;
}

/* 'is_all_there': no switch is away that the way could lead over. */
static void sync_way(struct fabric *fabric, struct datapath *datapath, struct datapath *destination, bool is_all_there)
{
    uint32_t number = proactive_number_of(fabric, destination);
    struct next_hops *hops = number ? proactive_find_hops(datapath->proactive, number) : NULL, wanted;
    const struct dag *dag;
    bool was_there;

    if (!hops || dag_get(fabric->dags, destination->node, &dag) < 0)
        return;
    wanted = dag_distance(dag, datapath->node) == DAG_UNREACHABLE ? former_hops(fabric, datapath, destination, hops->number)
                                                                  : wanted_hops(fabric, datapath, dag, hops->number);
    hops->is_wanted = true;
    if (!wanted.n && hops->is_there && !is_all_there) { /* The one that is there may work. */
        if (hops->n == SIZE_MAX)
            put_next_hop(fabric, datapath, hops);
        return;
    }
    if (hops->n == wanted.n && hops->type == wanted.type && memcmp(hops->ports, wanted.ports, wanted.n * sizeof(*wanted.ports)) == 0)
        return;
    was_there = hops->is_there && hops->n != SIZE_MAX;
    hops->type = wanted.type;
    hops->n = wanted.n;
    memcpy(hops->ports, wanted.ports, sizeof(hops->ports));
    put_group(fabric, datapath, hops);
    if (!was_there)
        put_next_hop(fabric, datapath, hops);
    if (datapath->is_vswitch && hops->type == OFPGT_SELECT)
        put_udp(fabric, datapath, hops);
    else if (datapath->is_vswitch && was_there)
        put_udp(fabric, datapath, &(struct next_hops){.number = hops->number});
}

void proactive_sync_link_ports(struct fabric *fabric, struct datapath *datapath)
{
    for (size_t i = 0; i < datapath->n_ports; i++) {
        struct fabric_port *port = datapath->ports[i];
        bool is_link = (port->kind == PORT_LINK && port->arc != GRAPH_NONE) || /* Works in both directions: not a frame that was carried there. */
                       discovery_former_end(fabric, port);

        if (port->is_admitted != is_link)
            put_link_port(fabric, datapath, port, is_link);
        port->is_admitted = is_link;
    }
}

static bool are_all_back(const struct fabric *fabric)
{
    HASHMAP_FOREACH(node, &fabric->datapaths)
        if (!discovery_is_back(fabric, CONTAINER_OF(node, struct datapath, by_id)))
            return false;
    return true;
}

void proactive_sync_ways(struct fabric *fabric, struct datapath *datapath)
{
    struct proactive_state *state = datapath->proactive;
    bool is_all_there = fabric->now_ms >= state->late_ms && are_all_back(fabric);

    state->has_strangers = false;
    HASHMAP_FOREACH(node, &state->next_hops)
        CONTAINER_OF(node, struct next_hops, by_number)->is_wanted = false;
    HASHMAP_FOREACH(node, &fabric->datapaths) {
        struct datapath *destination = CONTAINER_OF(node, struct datapath, by_id);

        if (destination != datapath)
            sync_way(fabric, datapath, destination, is_all_there);
    }
    HASHMAP_FOREACH(node, &state->next_hops) {
        struct next_hops *hops = CONTAINER_OF(node, struct next_hops, by_number);

        if (hops->is_wanted)
            continue;
        if (hops->is_there && hops->n == SIZE_MAX && fabric->now_ms < state->late_ms) {
            state->has_strangers = true;
            continue;
        }
        if (hops->is_there)
            delete_group(fabric, datapath, hops);
        hashmap_remove(&state->next_hops, &hops->by_number);
        free(hops);
    }
    state->version = proactive_version(fabric);
}
