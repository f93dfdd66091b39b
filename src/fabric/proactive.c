#include "weft/fabric/proactive.h"

#include <stdlib.h>
#include <string.h>

#include "weft/base/util.h"
#include "weft/base/uuid.h"
#include "weft/fabric/carried.h"
#include "weft/fabric/entries.h"
#include "weft/fabric/slices.h"

#define TABLE_ADMISSION 0
#define TABLE_DESTINATION 1
#define TABLE_NEXT_HOP 2
#define PRIORITY_UDP (PRIORITY_PROACTIVE + 10)
#define PRIORITY_LINK (PRIORITY_PROACTIVE - 100)
#define METADATA_SLICE 0xffffffff00000000ull
#define METADATA_SWITCH 0x00000000ffffffffull
#define NEXT_HOPS_MAX 64
#define PROTOCOL_UDP 17
/* Below COOKIE_KIND_MASK: for which slices an entry was written, 0 when that is no matter; and since which start of this switch. */
#define COOKIE_SLICES 0x000000ffff000000ull
#define COOKIE_SLICES_SHIFT 24
#define COOKIE_EPOCH 0x0000000000ffffffull
#define UNSENT_PART 8 /* Of what a switch may leave unread: no more than that is written before it reads. */
/* Our groups' ids; those of others are left alone, with the entries that lead to them. */
#define GROUPS_FIRST 0xe0000000u
#define GROUPS_MASK 0xf0000000u
#define GROUPS_MIXED 0x08000000u /* Not the id itself. */

/* The way to one switch, as this switch has it. */
struct next_hops {
    struct hashmap_node by_number;
    uint32_t number; /* Of the destination: the group's id. */
    bool is_there;   /* The group. */
    bool is_wanted;  /* In the pass under way. */
    uint8_t type;    /* enum of_group_type */
    size_t n;
    uint32_t ports[NEXT_HOPS_MAX];
};

struct proactive_state {
    struct hashmap next_hops;
    uint64_t epoch;       /* In cookies, of this start: entries with another are left over. */
    uint64_t slices;      /* In cookies, of the slices as they are. */
    uint64_t deleted;     /* Likewise, of other ones: deleted here. */
    uint32_t groups_xid;  /* Of the question for its groups; 0: answered. */
    uint32_t sweep_xid;   /* Of the question for what is left over. */
    bool is_swept;        /* That was asked for, or done. */
    bool is_more_left;
    bool is_synced;       /* Links and ways were written, hosts' entries may be. */
    bool are_hosts_put;   /* All; else those up to here: */
    uint32_t hosts_node;
    uint64_t hosts_port;
    uint64_t due_ms;      /* Not before then: the topology is not known yet. */
    uint64_t version;     /* Of the graph, as its groups have it. */
};

static bool is_proactive(const struct fabric *fabric)
{
    return fabric->options.install == FABRIC_PROACTIVE;
}

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

static bool is_our_group(uint32_t id)
{
    return (id & GROUPS_MASK) == GROUPS_FIRST;
}

/* A switch's number; 0 when another switch has it.  Ids can be chosen so that two want one: the first keeps it, and what goes to the second
 * has no entries here but comes to the controller, until the second is forgotten. */
static uint32_t number_of(struct fabric *fabric, struct datapath *datapath)
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

static bool is_writable(const struct fabric *fabric, const struct datapath *datapath)
{
    return datapath->channel && datapath->proactive && datapath->proactive->is_synced && fabric_is_active(fabric);
}

/* ---- entries --------------------------------------------------------------------------------------------------------------- */

static struct of_message make_message(uint8_t table, uint16_t priority)
{
    struct of_message message = {.kind = OF_FLOW_MOD};

    message.flow_mod = (struct of_flow_mod){
        .cookie = entry_cookie(ENTRY_PROACTIVE),
        .table_id = table,
        .command = OFPFC_ADD,
        .priority = priority,
        .buffer_id = OF_NO_BUFFER,
        .out_port = OFPP_ANY,
        .out_group = OFPG_ANY,
        .instructions = {.goto_table = OF_NO_TABLE},
    };
    return message;
}

static struct of_message make_entry(const struct datapath *datapath, uint8_t table, uint16_t priority)
{
    struct of_message message = make_message(table, priority);

    message.flow_mod.cookie |= datapath->proactive->epoch;
    return message;
}

/* One that another definition of the slices makes wrong. */
static struct of_message make_slice_entry(const struct datapath *datapath, uint8_t table, uint16_t priority)
{
    struct of_message message = make_entry(datapath, table, priority);

    message.flow_mod.cookie |= datapath->proactive->slices;
    return message;
}

/* Only while it is as it was found: what was written over it since stays. */
static void delete_found(struct fabric *fabric, struct datapath *datapath, const struct of_flow_stats *stats)
{
    struct of_message message = make_message(stats->table_id, stats->priority);

    message.flow_mod.command = OFPFC_DELETE_STRICT;
    message.flow_mod.cookie = stats->cookie;
    message.flow_mod.cookie_mask = UINT64_MAX;
    message.flow_mod.match = stats->match;
    datapath_send(fabric, datapath, &message);
}

static void delete_of_slices(struct fabric *fabric, struct datapath *datapath, uint64_t slices)
{
    struct of_message message = make_message(OF_ALL_TABLES, 0);

    message.flow_mod.command = OFPFC_DELETE;
    message.flow_mod.cookie |= slices;
    message.flow_mod.cookie_mask = COOKIE_MASK | COOKIE_KIND_MASK | COOKIE_SLICES;
    datapath_send(fabric, datapath, &message);
}

static uint64_t mix(uint64_t hash, const void *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++)
        hash = (hash ^ ((const uint8_t *)bytes)[i]) * 0x100000001b3ull;
    return hash;
}

/* What the slices are, as 16 bits for cookies, the same in every controller's life (FNV-1a, folded; not 0).  Two definitions with the same bits
 * are no harm: then entries of the other go with what is left over, after the start instead of at once. */
static uint64_t digest_of(const struct slices *slices)
{
    const struct slice_binding *bindings;
    uint64_t hash = 0xcbf29ce484222325ull;
    size_t index = 0, n;
    const char *name;
    uint32_t number;

    while (slices_next(slices, &index, &name, &number, &bindings, &n)) {
        hash = mix(hash, name, strlen(name) + 1);
        hash = mix(hash, &number, sizeof(number));
        for (size_t i = 0; i < n; i++) {
            const struct slice_binding *b = &bindings[i];
            uint8_t has[] = {b->has_port, b->has_vlan, b->has_mac};

            hash = mix(hash, has, sizeof(has));
            hash = mix(hash, &b->datapath_id, sizeof(b->datapath_id));
            hash = mix(hash, &b->port, sizeof(b->port));
            hash = mix(hash, &b->vlan, sizeof(b->vlan));
            hash = mix(hash, &b->mac, sizeof(b->mac));
        }
    }
    hash ^= hash >> 32;
    hash = (hash ^ hash >> 16) & 0xffff;
    return (hash ? hash : 1) << COOKIE_SLICES_SHIFT;
}

static void put_misses(struct fabric *fabric, struct datapath *datapath)
{
    struct of_action output = {.kind = OFA_OUTPUT, .port = OFPP_CONTROLLER, .max_len = 0xffff};
    uint8_t bytes[32];
    struct writer actions = writer_of(bytes, sizeof(bytes));
    struct of_message message = make_entry(datapath, TABLE_DESTINATION, PRIORITY_MISS);

    if (of_action_put(datapath->version, &actions, &output) < 0)
        return;
    message.flow_mod.instructions.apply_actions = (struct of_bytes){bytes, actions.size};
    datapath_send(fabric, datapath, &message); /* Table 2 has none: without a way a packet ends. */
}

static void put_link_port(struct fabric *fabric, struct datapath *datapath, const struct fabric_port *port, bool is_link)
{
    struct of_message message = make_entry(datapath, TABLE_ADMISSION, PRIORITY_LINK);
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

static void host_match(struct of_match *match, const struct host *host, bool is_source)
{
    match->fields |= (is_source ? OFM_ETH_SRC : OFM_ETH_DST) | OFM_VLAN_VID;
    if (is_source)
        match->eth_src = host->key.mac;
    else
        match->eth_dst = host->key.mac;
    match->vlan_vid = host->key.vlan == FRAME_NO_VLAN ? OF_NO_VLAN : host->key.vlan;
    of_match_make_exact(match);
}

/* What fits goes on to the destination, as the host's slice; without a match yet. */
static struct of_message make_admission(const struct datapath *datapath, uint16_t priority, uint32_t slice, bool is_there)
{
    struct of_message message = make_slice_entry(datapath, TABLE_ADMISSION, priority);

    message.flow_mod.command = is_there ? OFPFC_ADD : OFPFC_DELETE_STRICT;
    if (slice != SLICE_ALL) {
        message.flow_mod.instructions.metadata = (uint64_t)slice << 32;
        message.flow_mod.instructions.metadata_mask = METADATA_SLICE;
    }
    message.flow_mod.instructions.goto_table = TABLE_DESTINATION;
    return message;
}

static void put_address(struct fabric *fabric, const struct host *host, const struct fabric_port *port, const struct ip_address *address,
                        bool is_there)
{
    struct datapath *datapath = port->datapath;
    uint32_t slice = slice_of_host(fabric, host);
    struct carried carried[CARRIED_MAX];
    struct of_message message;
    size_t n;

    if (!is_writable(fabric, datapath) || (is_there && slice == SLICE_NONE))
        return;
    message = make_admission(datapath, PRIORITY_CARRIED, slice, is_there);
    n = carried_from_host(host, port, address, carried);
    for (size_t i = 0; i < n; i++) {
        message.flow_mod.match = carried[i].match;
        datapath_send(fabric, datapath, &message);
    }
}

static void put_admission(struct fabric *fabric, const struct host *host, const struct fabric_port *port, bool is_there)
{
    struct datapath *datapath = port->datapath;
    uint32_t slice = slice_of_host(fabric, host);
    struct of_message message;

    if (!is_writable(fabric, datapath) || (is_there && slice == SLICE_NONE))
        return;
    message = make_admission(datapath, PRIORITY_PROACTIVE, slice, is_there);
    message.flow_mod.match = (struct of_match){.fields = OFM_IN_PORT, .in_port = port->number};
    host_match(&message.flow_mod.match, host, true);
    datapath_send(fabric, datapath, &message);
    for (const struct host_address *address = host->addresses; address; address = address->next)
        put_address(fabric, host, port, &address->key.address, is_there);
}

/* 'slice': whose packets these are; 0 with slices defined: what came over a link. */
static void put_destination(struct fabric *fabric, struct datapath *datapath, const struct host *host, bool with_slice, uint32_t slice,
                            bool is_there)
{
    struct of_action output = {.kind = OFA_OUTPUT, .port = host->port->number};
    uint8_t bytes[32];
    struct writer actions = writer_of(bytes, sizeof(bytes));
    struct of_message message = make_slice_entry(datapath, TABLE_DESTINATION, PRIORITY_PROACTIVE);
    struct of_flow_mod *mod = &message.flow_mod;

    if (is_there && host->port->datapath != datapath && !number_of(fabric, host->port->datapath))
        return;
    mod->command = is_there ? OFPFC_ADD : OFPFC_DELETE_STRICT;
    if (with_slice)
        mod->match = (struct of_match){.fields = OFM_METADATA, .metadata = (uint64_t)slice << 32, .metadata_mask = METADATA_SLICE};
    host_match(&mod->match, host, false);
    if (with_slice)
        mod->match.metadata_mask = METADATA_SLICE; /* Exact is not meant. */
    if (host->port->datapath == datapath) {
        if (of_action_put(datapath->version, &actions, &output) < 0)
            return;
        mod->instructions.apply_actions = (struct of_bytes){bytes, actions.size};
    } else {
        mod->instructions.metadata = number_of(fabric, host->port->datapath);
        mod->instructions.metadata_mask = METADATA_SWITCH;
        mod->instructions.goto_table = TABLE_NEXT_HOP;
    }
    datapath_send(fabric, datapath, &message);
}

static void put_host_at(struct fabric *fabric, struct datapath *datapath, const struct host *host, bool is_there)
{
    uint32_t slice = slice_of_host(fabric, host);

    if (!is_writable(fabric, datapath))
        return;
    if (slice == SLICE_ALL) {
        put_destination(fabric, datapath, host, false, 0, is_there);
    } else if (slice != SLICE_NONE) {
        put_destination(fabric, datapath, host, true, slice, is_there);
        put_destination(fabric, datapath, host, true, 0, is_there);
    }
}

void proactive_host(struct fabric *fabric, const struct host *host)
{
    if (!is_proactive(fabric))
        return;
    HASHMAP_FOREACH(node, &fabric->datapaths)
        put_host_at(fabric, CONTAINER_OF(node, struct datapath, by_id), host, true);
    put_admission(fabric, host, host->port, true);
}

void proactive_host_gone(struct fabric *fabric, const struct host *host, const struct fabric_port *from)
{
    if (!is_proactive(fabric))
        return;
    put_admission(fabric, host, from, false);
    HASHMAP_FOREACH(node, &fabric->datapaths)
        put_host_at(fabric, CONTAINER_OF(node, struct datapath, by_id), host, false);
}

void proactive_address(struct fabric *fabric, const struct host *host, const struct ip_address *address, bool is_there)
{
    if (is_proactive(fabric))
        put_address(fabric, host, host->port, address, is_there);
}

static bool has_room(const struct fabric *fabric, const struct datapath *datapath)
{
    return channel_unsent(datapath->channel) < fabric->options.output_max / UNSENT_PART;
}

static void put_hosts_of(struct fabric *fabric, struct datapath *datapath, const struct fabric_port *port)
{
    for (const struct ring *element = port->hosts.next; element != &port->hosts; element = element->next) {
        const struct host *host = CONTAINER_OF(element, struct host, of_port);

        put_host_at(fabric, datapath, host, true);
        if (port->datapath == datapath)
            put_admission(fabric, host, port, true);
    }
}

static size_t port_after(const struct datapath *datapath, uint64_t number)
{
    size_t low = 0, high = datapath->n_ports;

    while (low < high) {
        size_t middle = (low + high) / 2;

        if (datapath->ports[middle]->number < number)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* The entries of all hosts, port by port, as fast as the switch reads; returns whether that was all.  Hosts that come, go or move meanwhile are
 * written as they do. */
static bool put_more_hosts(struct fabric *fabric, struct datapath *datapath)
{
    struct proactive_state *state = datapath->proactive;

    for (; state->hosts_node < fabric->by_node_capacity; state->hosts_node++, state->hosts_port = 0) {
        const struct datapath *of = fabric->by_node[state->hosts_node];

        for (size_t i = of ? port_after(of, state->hosts_port) : 0; of && i < of->n_ports; i++) {
            if (!has_room(fabric, datapath))
                return false;
            put_hosts_of(fabric, datapath, of->ports[i]);
            state->hosts_port = (uint64_t)of->ports[i]->number + 1;
        }
    }
    return true;
}

static void put_hosts_again(struct datapath *datapath)
{
    datapath->proactive->are_hosts_put = false;
    datapath->proactive->hosts_node = 0;
    datapath->proactive->hosts_port = 0;
}

/* So that the next pass writes the entries of links and next hops again. */
static void forget_entries(struct datapath *datapath)
{
    for (size_t i = 0; i < datapath->n_ports; i++)
        datapath->ports[i]->is_admitted = false;
    HASHMAP_FOREACH(node, &datapath->proactive->next_hops)
        CONTAINER_OF(node, struct next_hops, by_number)->n = SIZE_MAX;
    datapath->proactive->version = 0;
}

static void nothing_more(void *context, bool is_done)
{
}

void proactive_slices_changed(struct fabric *fabric)
{
    uint64_t slices = digest_of(fabric->slices);

    if (!is_proactive(fabric) || !fabric_is_active(fabric))
        return;
    HASHMAP_FOREACH(node, &fabric->datapaths) {
        struct datapath *datapath = CONTAINER_OF(node, struct datapath, by_id);
        struct proactive_state *state = datapath->proactive;

        if (!datapath->channel || !state)
            continue;
        /* Also where nothing was written yet: an earlier life may have. */
        delete_of_slices(fabric, datapath, state->slices);
        channel_barrier(datapath->channel, nothing_more, NULL);
        state->slices = slices;
        put_hosts_again(datapath);
    }
    proactive_tick(fabric);
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
    struct of_message message = make_entry(datapath, TABLE_NEXT_HOP, PRIORITY_PROACTIVE);

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
        struct of_message message = make_entry(datapath, TABLE_NEXT_HOP, PRIORITY_UDP);

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

static struct next_hops *find_hops(struct proactive_state *state, uint32_t number)
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

static void sync_way(struct fabric *fabric, struct datapath *datapath, struct datapath *destination)
{
    uint32_t number = number_of(fabric, destination);
    struct next_hops *hops = number ? find_hops(datapath->proactive, number) : NULL, wanted;
    const struct dag *dag;
    bool was_there;

    if (!hops || dag_get(fabric->dags, destination->node, &dag) < 0)
        return;
    wanted = wanted_hops(fabric, datapath, dag, hops->number);
    hops->is_wanted = true;
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

static void sync_link_ports(struct fabric *fabric, struct datapath *datapath)
{
    for (size_t i = 0; i < datapath->n_ports; i++) {
        struct fabric_port *port = datapath->ports[i];
        bool is_link = port->kind == PORT_LINK && port->arc != GRAPH_NONE; /* Works in both directions: not a frame that was carried there. */

        if (port->is_admitted != is_link)
            put_link_port(fabric, datapath, port, is_link);
        port->is_admitted = is_link;
    }
}

static void sync_ways(struct fabric *fabric, struct datapath *datapath)
{
    struct proactive_state *state = datapath->proactive;

    HASHMAP_FOREACH(node, &state->next_hops)
        CONTAINER_OF(node, struct next_hops, by_number)->is_wanted = false;
    HASHMAP_FOREACH(node, &fabric->datapaths) {
        struct datapath *destination = CONTAINER_OF(node, struct datapath, by_id);

        if (destination != datapath)
            sync_way(fabric, datapath, destination);
    }
    HASHMAP_FOREACH(node, &state->next_hops) {
        struct next_hops *hops = CONTAINER_OF(node, struct next_hops, by_number);

        if (hops->is_wanted)
            continue;
        if (hops->is_there)
            delete_group(fabric, datapath, hops);
        hashmap_remove(&state->next_hops, &hops->by_number);
        free(hops);
    }
    state->version = graph_version(fabric->graph);
}

/* Everything is written that should be there: what has another epoch is of hosts, links and slices that are not so any more. */
static void sweep(struct fabric *fabric, struct datapath *datapath)
{
    struct of_message request = {.kind = OF_MULTIPART_REQUEST};
    int64_t xid;

    request.multipart_request = (struct of_multipart_request){
        .type = OFMP_FLOW,
        .flow = {.table_id = OF_ALL_TABLES, .out_port = OFPP_ANY, .out_group = OFPG_ANY, .cookie = entry_cookie(ENTRY_PROACTIVE),
                 .cookie_mask = COOKIE_MASK | COOKIE_KIND_MASK},
    };
    if (channel_barrier(datapath->channel, nothing_more, NULL) < 0)
        return;
    xid = channel_send(datapath->channel, &request);
    if (xid <= 0)
        return;
    datapath->proactive->sweep_xid = (uint32_t)xid;
    datapath->proactive->is_swept = true;
    datapath->proactive->is_more_left = false;
}

static void take_left_over(struct fabric *fabric, struct datapath *datapath, const struct of_multipart_reply *reply)
{
    struct proactive_state *state = datapath->proactive;
    struct of_bytes list = reply->body;
    struct of_flow_stats stats;

    while (of_flow_stats_next(datapath->version, &list, &stats) == 1) {
        if (entry_kind_of(stats.cookie) != ENTRY_PROACTIVE || (stats.cookie & COOKIE_EPOCH) == state->epoch)
            continue;
        if (has_room(fabric, datapath))
            delete_found(fabric, datapath, &stats);
        else
            state->is_more_left = true;
    }
    if (reply->flags & OFMPF_MORE)
        return;
    state->sweep_xid = 0;
    state->is_swept = !state->is_more_left;
}

void proactive_tick(struct fabric *fabric)
{
    if (!is_proactive(fabric) || !fabric_is_active(fabric))
        return;
    HASHMAP_FOREACH(node, &fabric->datapaths) {
        struct datapath *datapath = CONTAINER_OF(node, struct datapath, by_id);
        struct proactive_state *state = datapath->proactive;

        if (!datapath->channel || !state || state->groups_xid || fabric->now_ms < state->due_ms)
            continue;
        sync_link_ports(fabric, datapath);
        if (state->version != graph_version(fabric->graph))
            sync_ways(fabric, datapath);
        state->is_synced = true;
        if (!state->are_hosts_put)
            state->are_hosts_put = put_more_hosts(fabric, datapath);
        if (state->are_hosts_put && datapath->is_reconciled && !state->is_swept && has_room(fabric, datapath))
            sweep(fabric, datapath);
    }
}

/* ---- coming and going ------------------------------------------------------------------------------------------------------------- */

void proactive_start(struct fabric *fabric, struct datapath *datapath)
{
    struct of_message request = {.kind = OF_MULTIPART_REQUEST, .multipart_request = {.type = OFMP_GROUP_DESC}};
    int64_t xid;

    if (!is_proactive(fabric))
        return;
    proactive_forget(datapath);
    datapath->proactive = calloc(1, sizeof(*datapath->proactive));
    if (!datapath->proactive)
        return;
    random_bytes(&datapath->proactive->epoch, sizeof(datapath->proactive->epoch));
    datapath->proactive->epoch = datapath->proactive->epoch % COOKIE_EPOCH + 1;
    datapath->proactive->slices = digest_of(fabric->slices);
    number_of(fabric, datapath); /* Who was here first keeps it. */
    forget_entries(datapath);
    put_misses(fabric, datapath);
    xid = channel_send(datapath->channel, &request);
    datapath->proactive->groups_xid = xid > 0 ? (uint32_t)xid : 0;
    /* Until links are known, what an earlier controller's life wrote is better than what could be written now. */
    datapath->proactive->due_ms = fabric->now_ms + fabric->options.settle_ms + fabric->options.probe_ms;
}

bool proactive_reply(struct fabric *fabric, struct datapath *datapath, const struct of_message *message)
{
    struct proactive_state *state = datapath->proactive;
    struct of_bytes list = message->multipart_reply.body;
    struct of_group_desc desc;

    if (state && state->sweep_xid && message->multipart_reply.type == OFMP_FLOW && message->xid == state->sweep_xid) {
        take_left_over(fabric, datapath, &message->multipart_reply);
        return true;
    }
    if (!state || message->multipart_reply.type != OFMP_GROUP_DESC || message->xid != state->groups_xid)
        return false;
    while (of_group_desc_next(datapath->version, &list, &desc) == 1) {
        struct next_hops *hops = is_our_group(desc.group_id) ? find_hops(state, desc.group_id) : NULL;

        if (hops)
            hops->is_there = true;
    }
    if (!(message->multipart_reply.flags & OFMPF_MORE))
        state->groups_xid = 0;
    return true;
}

void proactive_found(struct fabric *fabric, struct datapath *datapath, const struct of_flow_stats *stats)
{
    const uint32_t admission = OFM_IN_PORT | OFM_ETH_SRC | OFM_VLAN_VID;
    struct fabric_port *port = datapath_port(datapath, stats->match.in_port);
    struct proactive_state *state = datapath->proactive;
    uint64_t slices = stats->cookie & COOKIE_SLICES;
    struct ip_address address;
    struct host *host;
    bool has_address;

    if (!is_proactive(fabric)) {
        delete_found(fabric, datapath, stats); /* Of a life that was: nobody would keep it true. */
        return;
    }
    /* Slices are not what they were, or have other numbers: at once, what is written later is too late. */
    if (state && slices && slices != state->slices && slices != state->deleted) {
        delete_of_slices(fabric, datapath, slices);
        state->deleted = slices;
    }
    /* Who was admitted where, and with which addresses: that is what hosts there are. */
    if (stats->table_id != TABLE_ADMISSION || !port || !port->is_up || port->kind == PORT_LINK)
        return;
    has_address = carried_address(&stats->match, &address);
    if (stats->match.fields != admission && !has_address)
        return;
    host = host_at(fabric, port, &stats->match.eth_src, stats->match.vlan_vid == OF_NO_VLAN ? FRAME_NO_VLAN : stats->match.vlan_vid);
    if (host && has_address)
        host_assume_address(fabric, host, &address);
}

void proactive_forget(struct datapath *datapath)
{
    if (!datapath->proactive)
        return;
    HASHMAP_FOREACH(node, &datapath->proactive->next_hops) {
        hashmap_remove(&datapath->proactive->next_hops, node);
        free(CONTAINER_OF(node, struct next_hops, by_number));
    }
    hashmap_clear(&datapath->proactive->next_hops);
    free(datapath->proactive);
    datapath->proactive = NULL;
}
