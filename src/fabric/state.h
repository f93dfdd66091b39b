/* What the fabric's parts share.  See fabric.h for how they work together. */
#ifndef WEFT_FABRIC_STATE_H
#define WEFT_FABRIC_STATE_H

#include "weft/base/hashmap.h"
#include "weft/base/pool.h"
#include "weft/fabric/fabric.h"
#include "weft/fabric/frame.h"
#include "weft/fabric/paths/buckets.h"
#include "weft/fabric/paths/dag.h"

#define PEER_TEXT_SIZE 64

/* A doubly linked ring; the head is an element of its own. */
struct ring {
    struct ring *next, *previous;
};

static inline void ring_init(struct ring *head)
{
    head->next = head->previous = head;
}

static inline bool ring_is_empty(const struct ring *head)
{
    return head->next == head;
}

static inline void ring_append(struct ring *head, struct ring *element)
{
    element->previous = head->previous;
    element->next = head;
    head->previous->next = element;
    head->previous = element;
}

static inline void ring_remove(struct ring *element)
{
    element->previous->next = element->next;
    element->next->previous = element->previous;
    element->next = element->previous = element;
}

/* The visited element may be removed in the loop. */
#define RING_FOREACH(element, head)                                                                          \
    for (struct ring *element = (head)->next, *next_ = element->next; element != (head);                     \
         element = next_, next_ = element->next)

/* ---- switches and ports --------------------------------------------------------------------------------------------- */

enum port_kind {
    PORT_SETTLING, /* Up for less than settle_ms: what is behind it is not known. */
    PORT_HOST,     /* No switch of ours is behind it. */
    PORT_LINK,     /* A discovery frame of ours came in. */
    PORT_SUSPECT,  /* Was a link and fell silent, while the port stayed up: neither sent to nor believed, until it goes down or is heard again. */
};
const char *port_kind_name(enum port_kind kind);

#define PORT_SLICES_MAX 8

struct fabric_port {
    struct datapath *datapath;
    uint32_t number;
    struct mac_address mac;
    char name[17];
    bool is_up;
    enum port_kind kind;
    uint64_t settles_ms, probe_due_ms;
    uint32_t weight;               /* Of the arc out of it. */
    uint32_t current_kbps;

    struct fabric_port *neighbor;  /* Whose discovery frames come in; NULL: none. */
    struct ring of_neighbor;       /* Among its listeners. */
    struct ring listeners;         /* Ports that hear this one. */
    uint64_t heard_ms;             /* The last one. */
    uint64_t heard_sequence;       /* Of another controller with our key. */
    uint32_t arc;                  /* Out of this port, while the link is up in both directions; else GRAPH_NONE. */
    bool is_admitted;              /* As a link, by the proactive entries. */
    uint64_t former_id;            /* The link that was here when the connection of one of its switches ended: the other end's switch, */
    uint32_t former_number;        /* and port; 0: none. */
    uint64_t linked_until_ms;      /* An earlier controller's life knew a link here: nothing else is believed before then. */
    uint64_t moved_ms;             /* The neighbor changed. */
    unsigned n_moves;

    bool is_bound;                 /* A slice names it: it is a host's, whatever is heard there. */
    uint64_t doubted_ms;           /* When its hosts were asked, because a switch was heard. */
    struct ring hosts;             /* struct host, by 'of_port'. */
    size_t n_hosts;
    uint32_t slices[PORT_SLICES_MAX]; /* Of its hosts, each once; valid while 'has_slices'. */
    uint8_t n_slices;
    bool has_slices, has_many_slices;
    size_t n_flows;                /* That enter here. */
    uint32_t flow_tokens;
    uint64_t flow_refilled_ms;
    uint32_t flood_tokens;
    uint64_t flood_refilled_ms;
    struct of_port_stats stats;    /* As of the last question. */
};

#define FLAPS_MAX 5            /* Connections within FLAP_WINDOW_MS, after which a switch waits FLAP_HOLD_MS. */
#define FLAP_WINDOW_MS 10000
#define FLAP_HOLD_MS 5000

struct datapath {
    struct hashmap_node by_id;
    uint64_t id;
    uint32_t node;                 /* In the graph, also while it is away. */
    struct channel *channel;       /* NULL while it is away. */
    enum of_version version;
    char peer[PEER_TEXT_SIZE];
    struct of_desc description;
    bool is_vswitch;               /* Open vSwitch: knows the Nicira actions. */
    struct fabric_port **ports;    /* Sorted by number. */
    size_t n_ports, ports_capacity;
    uint64_t up_ms, away_ms;
    struct channel *candidate;     /* A second connection with this id, waiting for the first to prove itself alive. */
    uint64_t candidate_ms;
    uint64_t flap_window_ms;
    unsigned n_flaps;
    uint64_t generation_id;        /* Of roles. */
    enum fabric_role role;         /* As the switch confirmed. */
    bool is_role_known;
    uint64_t role_lost_ms, role_wait_ms; /* When a lost role was asked for again, and how long not to ask after that. */
    bool is_reconciled;
    bool is_old;                   /* Counted as of OpenFlow 1.0. */
    struct ring of_resync;         /* While flows are written that it lacks. */
    struct ring *resync_next;      /* The flow, by 'of_age', to go on with. */
    uint32_t dump_mark;            /* In flows of which it has the entry. */
    size_t n_found;
    struct proactive_state *proactive; /* Of proactive.c, as are */
    uint32_t group_number;         /* 0: none yet. */
    bool is_number_taken;          /* By another switch. */
    uint32_t dump_xid;             /* Of the question for its flows that is being answered; 0: none. */
    uint64_t n_packet_ins, n_flow_mods, n_errors;
};

/* ---- hosts ------------------------------------------------------------------------------------------------------------ */

struct host_key {
    struct mac_address mac;
    uint16_t vlan; /* FRAME_NO_VLAN without a tag. */
};

#define HOST_ADDRESSES_MAX 8
#define HOST_MOVES_MAX 5         /* RFC 7432, 15.1: more within HOST_MOVES_WINDOW_MS are a duplicate. */
#define HOST_MOVES_WINDOW_MS 180000
#define HOST_MOVE_PROBE_MS 250   /* How long the old place has to answer. */

struct host {
    struct hashmap_node by_key;
    struct host_key key;
    uint8_t n_addresses, n_moves;
    bool is_probed;              /* Asked whether it is still there. */
    bool is_assumed;             /* Known from entries only; never heard of. */
    uint32_t seen_s;             /* Of the fabric's clock. */
    uint32_t doubted_s;          /* Asked at a port where a switch is heard; 0: not. */
    struct fabric_port *port;
    struct ring of_port;
    struct host_address *addresses;
    struct host_move *move;      /* A claim to be elsewhere that is being checked, and the history of moves; mostly NULL. */
    uint32_t n_flows;
    struct flow *flows_from, *flows_to; /* By 'of_source' and 'of_destination'. */
};

struct host_address_key {
    struct ip_address address;
    uint32_t slice;
    uint16_t vlan, zero;
};

struct host_address {
    struct hashmap_node by_address;
    struct host_address_key key;
    struct host *host;
    struct host_address *next; /* Of the same host. */
};

/* ---- paths and flows ----------------------------------------------------------------------------------------------------- */

/* One way from a switch to another.  Lives while its route lists it or flows use it. */
struct fabric_path {
    struct fabric_route *route;
    struct ring of_route;
    struct ring flows;          /* struct flow, by 'of_path'. */
    size_t n_flows;
    uint64_t cost;
    bool is_listed;             /* Flows may be given to it. */
    bool is_dead;               /* Has a link that is gone. */
    uint32_t n_hops;
    struct path_hop {
        struct fabric_path *path;
        struct ring of_arc;     /* Of all paths that use the arc. */
        uint32_t arc;
        struct fabric_port *out, *in; /* From one switch to the next. */
    } hops[];
};

struct route_key {
    uint32_t from, to; /* Nodes. */
};

struct fabric_route {
    struct hashmap_node by_key;
    struct route_key key;
    uint64_t version;            /* Of the graph, when the paths were found. */
    struct buckets buckets;
    struct fabric_path **listed; /* What the buckets choose among. */
    size_t n_listed;
    struct ring paths;           /* Listed or used. */
    struct ring of_dirty;
    bool is_stranded;            /* Has flows without a path, because a switch is away. */
    bool is_rebalanced;          /* The next flush moves flows off paths that are not listed any more, too. */
    uint64_t used_ms;
};

/* A flow's name: its tuple as far as its entries' match can say, and its tag. */
struct flow_key {
    struct flow_tuple tuple;
    uint16_t vlan, zero; /* FRAME_NO_VLAN without a tag. */
};

struct flow {
    struct hashmap_node by_key;
    struct flow_key key;
    struct ring of_path, of_age;
    struct flow_link {
        struct flow *next, **from;
    } of_source, of_destination;
    struct fabric_path *path;
    struct host *source, *destination;
    struct fabric_port *in, *out; /* Where it enters and leaves the fabric. */
    uint64_t installed_ms;
    uint32_t created_s;
    uint32_t hash;
    uint32_t serial;     /* In the cookie of its first entry. */
    uint32_t generation; /* Of its path. */
    uint32_t dump_mark;  /* Of the last switch that showed its entry. */
    uint32_t n_changes;  /* Under way; the last one frees a flow that was removed meanwhile. */
    bool is_removed;
};

struct fabric {
    struct fabric_options options;
    struct channel_options channel_options;
    struct channel **handshakes;    /* Of connections that are no switch's yet; the oldest first. */
    size_t n_handshakes, handshakes_capacity;
    uint64_t now_ms;
    uint64_t ticked_ms;
    enum fabric_role role;
    struct hashmap datapaths;       /* By id. */
    struct datapath **by_node;      /* Node -> switch. */
    size_t by_node_capacity;
    struct graph *graph;
    struct dag_cache *dags;
    struct arc_state {
        struct fabric_port *from;   /* NULL: no arc of this number. */
        struct ring paths;          /* struct path_hop, by 'of_arc'. */
    } **arcs;
    size_t arcs_capacity;
    struct mac_address mac;         /* The fabric's own, for probes. */
    struct hashmap hosts, addresses;
    struct ring moves;              /* struct host_move under way. */
    struct hashmap routes, flows;
    struct pool flow_pool, host_pool, address_pool;
    struct ring flows_by_age;       /* Oldest first. */
    struct ring dirty_routes;
    struct flow_changes *changes;   /* Being prepared; see flows.c. */
    size_t n_old_switches;          /* Known ones of OpenFlow 1.0: while there are, flows of IPv6 are told apart by their MACs only. */
    bool has_stranded;              /* Some route has. */
    size_t n_moved, n_stranded;     /* Flows, in the flush under way. */
    struct slices *slices;
    struct fabric_counters counters;
    uint64_t aged_ms;
    struct hashmap found;           /* Of reconcile.c: flows found in switches, not yet put together. */
    size_t n_found;                 /* Entries of them. */
    uint32_t next_serial, next_mark;
    uint32_t flood_tokens;          /* Of all ports together: copies. */
    uint64_t flood_refilled_ms;
    struct ring resyncing;          /* Switches, by 'of_resync'. */
    struct ring address_claims;     /* Of hosts.c. */
    size_t n_address_claims;
    uint64_t adopt_ms;              /* When to try next. */
    uint64_t statistics_ms;
    uint64_t n_former;              /* Former links that came and went. */
    uint64_t peer_heard_ms;         /* A discovery frame of another controller with our key; 0: never. */
};

/* fabric.c */
void fabric_tell(struct fabric *fabric, enum fabric_event event, const char *format, ...) __attribute__((format(printf, 3, 4)));
void fabric_count_drop(struct fabric *fabric, enum fabric_drop drop);

/* May this controller change switches? */
static inline bool fabric_is_active(const struct fabric *fabric)
{
    return fabric->role != FABRIC_SLAVE;
}

/* "0x00000000000000e5", "0x...e5:3". */
#define DATAPATH_TEXT_SIZE 19
#define PORT_TEXT_SIZE 32
const char *datapath_text(uint64_t id, char text[DATAPATH_TEXT_SIZE]);
int datapath_parse(const char *text, uint64_t *ret); /* "0xe5" or "229", and nothing else: 0 or -EINVAL. */
const char *port_text(const struct fabric_port *port, char text[PORT_TEXT_SIZE]);

/* datapaths.c */
struct datapath *datapath_find(const struct fabric *fabric, uint64_t id);
struct fabric_port *datapath_port(const struct datapath *datapath, uint32_t number);
struct datapath *datapath_of_node(const struct fabric *fabric, uint32_t node);
void datapath_ready(struct channel *channel, void *fabric);
void datapath_gone(struct fabric *fabric, struct datapath *datapath);
void datapath_ports(struct fabric *fabric, struct datapath *datapath, struct of_bytes list); /* Descriptions. */
void datapath_port_status(struct fabric *fabric, struct datapath *datapath, const struct of_port_status *status);
void datapath_start(struct fabric *fabric, struct datapath *datapath); /* Its basic entries, reconciliation: when the role allows. */
void datapaths_tick(struct fabric *fabric);
void datapaths_clear(struct fabric *fabric);
int datapath_send(struct fabric *fabric, struct datapath *datapath, const struct of_message *message); /* -EPIPE while away. */
/* Sends a frame out of one port. */
void port_send(struct fabric *fabric, struct fabric_port *port, const void *frame, size_t size);

/* discovery.c */
void discovery_port_up(struct fabric *fabric, struct fabric_port *port);
void discovery_port_down(struct fabric *fabric, struct fabric_port *port);
void discovery_frame(struct fabric *fabric, struct fabric_port *port, const uint8_t *bytes, size_t size);
void discovery_tick(struct fabric *fabric);
bool port_is_edge(const struct fabric_port *port); /* A host's, and settled. */
/* A switch whose connection ends forwards on.  Its links, which nobody can test then, are remembered until they are heard again, a port goes
 * down, or both ends have been back for a while. */
void discovery_remember_links(struct fabric *fabric, struct datapath *datapath); /* Before its ports go. */
void discovery_forget_link(struct fabric *fabric, struct fabric_port *port);
struct fabric_port *discovery_former_end(const struct fabric *fabric, const struct fabric_port *port); /* NULL: there is no such link. */
bool discovery_is_back(const struct fabric *fabric, const struct datapath *datapath); /* Connected for so long that its links would have been heard. */

/* hosts.c */
struct host *host_find(const struct fabric *fabric, const struct mac_address *mac, uint16_t vlan);
struct host *host_find_address(const struct fabric *fabric, const struct ip_address *address, uint16_t vlan, uint32_t slice);
void hosts_rekey_addresses(struct fabric *fabric); /* Slices changed. */
void hosts_doubt(struct fabric *fabric, struct fabric_port *port); /* A switch is heard where they are: who does not answer goes. */
void hosts_forget_assumed(struct fabric *fabric, struct fabric_port *port);
/* Who sent this, at an edge port.  NULL with a drop counted when it is not believed. */
struct host *host_learn(struct fabric *fabric, struct fabric_port *port, const struct fabric_frame *frame);
/* The host with this MAC, which the fabric knows to be at this port; NULL when it is elsewhere, or one too many. */
struct host *host_at(struct fabric *fabric, struct fabric_port *port, const struct mac_address *mac, uint16_t vlan);
/* An address that a switch holds of it; nothing when it is another's. */
void host_assume_address(struct fabric *fabric, struct host *host, const struct ip_address *ip);
void hosts_port_down(struct fabric *fabric, struct fabric_port *port);
void hosts_tick(struct fabric *fabric);
void host_remove(struct fabric *fabric, struct host *host);
void hosts_clear(struct fabric *fabric);

/* routes.c */
/* The paths between two switches, up to date; NULL when out of memory; one without paths has n_listed 0. */
struct fabric_route *route_get(struct fabric *fabric, uint32_t from, uint32_t to);
/* The path of a flow; NULL when there is none. */
struct fabric_path *route_select(struct fabric *fabric, struct fabric_route *route, uint32_t hash);
/* A path of exactly these arcs, for flows that were found in switches. */
struct fabric_path *route_path(struct fabric *fabric, struct fabric_route *route, const uint32_t *arcs, size_t n_arcs);
void path_use(struct fabric_path *path, struct ring *of_path);
void path_leave(struct fabric_path *path, struct ring *of_path); /* May free it. */
/* Keeps a path while its flows are walked. */
void path_hold(struct fabric_path *path);
void path_release(struct fabric_path *path);
void routes_arc_added(struct fabric *fabric, uint32_t arc, struct fabric_port *from);
void routes_arc_removed(struct fabric *fabric, uint32_t arc, uint32_t from, uint32_t to, uint32_t weight); /* After the graph's. */
void routes_arc_changed(struct fabric *fabric, uint32_t arc, uint32_t before);
void routes_forget_node(struct fabric *fabric, uint32_t node);
void routes_flush(struct fabric *fabric); /* Moves the flows of paths that died. */
void routes_tick(struct fabric *fabric);
void routes_clear(struct fabric *fabric);

/* flows.c */
/* A packet between two known hosts.  flows_prepare first, as early as can be: it is cheap, and what it brings nearer is needed at the end. */
struct flow_lookup {
    struct flow_key key;
    uint32_t hash;
};
void flows_prepare(const struct fabric *fabric, const struct fabric_frame *frame, struct flow_lookup *ret);
void flows_packet(struct fabric *fabric, struct host *source, struct host *destination, const struct fabric_frame *frame,
                  const struct flow_lookup *lookup, const uint8_t *bytes, size_t size);
void flows_removed(struct fabric *fabric, struct datapath *datapath, const struct of_flow_removed *removed);
/* Gives each flow of a path another one, or removes it when there is none and the path is dead.  Returns false when a switch has much to read
 * and the rest must wait. */
bool flows_move(struct fabric *fabric, struct fabric_path *path);
void flows_commit(struct fabric *fabric); /* Sends what flows_move prepared, in the order that makes no loops. */
void flows_of_host(struct fabric *fabric, struct host *host, bool is_gone); /* It moved, or is gone. */
void flows_recheck_slices(struct fabric *fabric);
/* A flow on a path that was found in the switches. */
void flow_adopt(struct fabric *fabric, const struct flow_key *key, struct host *source, struct host *destination, struct fabric_port *in,
                struct fabric_port *out, struct fabric_path *path, uint32_t serial);
struct flow *flow_find(const struct fabric *fabric, const struct flow_key *key);
void flow_remove(struct fabric *fabric, struct flow *flow, bool in_switches);
/* Where a flow goes through: entry 'index' 0..n_hops; NULL ports are impossible. */
void flow_hop(const struct flow *flow, const struct fabric_path *path, uint32_t index, struct fabric_port **ret_in, struct fabric_port **ret_out);
void flows_forget_port(struct fabric *fabric, const struct fabric_port *port); /* No flow points at it afterwards. */
void flows_clear(struct fabric *fabric);

/* admission.c: slices at work. */
uint32_t slice_of_host(const struct fabric *fabric, const struct host *host); /* See slices.h. */
bool slice_has_port(const struct fabric *fabric, uint32_t slice, struct fabric_port *port, uint16_t vlan);
bool slices_let_talk(const struct fabric *fabric, const struct host *a, const struct host *b);
void slices_mark_port(const struct fabric *fabric, struct fabric_port *port); /* Sets is_bound. */
void slices_deny(struct fabric *fabric, struct fabric_port *port, const struct mac_address *mac, uint16_t vlan);

/* flood.c: to every edge port of the source's slice and VLAN but the one it came from. */
void flood_frame(struct fabric *fabric, struct fabric_port *from, const struct host *source, const struct fabric_frame *frame, const uint8_t *bytes,
                 size_t size);

/* reconcile.c */
void reconcile_start(struct fabric *fabric, struct datapath *datapath);
void reconcile_reply(struct fabric *fabric, struct datapath *datapath, const struct of_message *message);
void reconcile_tick(struct fabric *fabric);
void reconcile_forget(struct datapath *datapath);
void reconcile_clear(struct fabric *fabric);
void reconcile_skip(struct fabric *fabric, const struct flow *flow); /* It goes away. */

/* statistics.c: the ports' counters, asked for every few seconds. */
void statistics_reply(struct fabric *fabric, struct datapath *datapath, const struct of_message *message);
void statistics_tick(struct fabric *fabric);

/* roles.c */
void roles_changed(struct fabric *fabric, enum fabric_role before); /* fabric->role is the new one. */
void role_ask(struct fabric *fabric, struct datapath *datapath);
void role_reply(struct fabric *fabric, struct datapath *datapath, const struct of_role *role);
bool role_error(struct fabric *fabric, struct datapath *datapath, const struct of_error *error); /* Was it about roles? */

#endif
