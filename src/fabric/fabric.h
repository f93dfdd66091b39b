/* The fabric as a whole: switches, links, hosts, and a path for each flow.  No sockets, no clock, no files: the program brings bytes and the time.
 *
 *     bytes -> channel -> datapaths (ports) -> discovery (links) -> the graph
 *                     \-> packet in -> hosts (who is where), neighbors (ARP, ND), flood (broadcast), flows (unicast)
 *                                        flows -> routes (paths between two switches, buckets) -> flow_mods, packet_outs
 *     the graph changes -> routes -> flows are moved
 *     a switch comes back -> reconcile: what it holds against what it should
 *
 * Single-threaded.  What happened is told by 'event': one line for a person, one counter for each kind. */
#ifndef WEFT_FABRIC_FABRIC_H
#define WEFT_FABRIC_FABRIC_H

#include "weft/base/cleanup.h"
#include "weft/base/error.h"
#include "weft/fabric/channel.h"
#include "weft/fabric/paths/paths.h"

struct fabric;

enum fabric_event {
#define FABRIC_EVENT(name, level, metric, help) FABRIC_##name,
#include "weft/fabric/events.def"
#undef FABRIC_EVENT
    N_FABRIC_EVENTS,
};

enum fabric_drop {
#define FABRIC_DROP(name, metric, help) FABRIC_DROP_##name,
#include "weft/fabric/drops.def"
#undef FABRIC_DROP
    N_FABRIC_DROPS,
};

struct fabric_event_info {
    const char *name, *help;
    int level; /* enum log_level. */
};
const struct fabric_event_info *fabric_event_info(enum fabric_event event);
const char *fabric_drop_name(enum fabric_drop drop);
const char *fabric_drop_help(enum fabric_drop drop);

enum fabric_role { FABRIC_EQUAL, FABRIC_MASTER, FABRIC_SLAVE };
const char *fabric_role_name(enum fabric_role role);

/* How flows come into the switches. */
enum fabric_install {
    FABRIC_REACTIVE,  /* One entry a flow and switch, when its first packet comes. */
    FABRIC_PROACTIVE, /* OpenFlow 1.3: entries by destination host over select and fast-failover groups, before any packet comes. */
};

struct fabric_options {
    enum path_mode mode;
    enum fabric_install install;
    size_t max_paths;              /* Between two switches; 1..PATHS_MAX.  In reference mode the rounds. */
    uint64_t hash_seed;
    bool hash_symmetric;
    uint32_t versions;             /* 1 << OF10 | 1 << OF13. */
    uint64_t probe_ms, link_dead_ms; /* LLDP on links, and the silence after which one is dead. */
    uint64_t idle_probe_ms;        /* LLDP on other ports. */
    uint64_t settle_ms;            /* After a port comes up, until what is behind it counts as hosts. */
    uint64_t handshake_ms, echo_ms, dead_ms;
    uint64_t host_age_ms;
    uint64_t forget_ms;            /* After which a switch that is away is forgotten. */
    uint16_t idle_timeout_s, hard_timeout_s; /* Of flows, at their first switch; 0: none. */
    uint32_t flood_rate;           /* Broadcast and unknown frames a second and port; ten times that for one second. */
    uint32_t flood_total;          /* Messages a second that all floods together may cause. */
    uint32_t flow_rate;            /* New flows a second and port; ten times that for one second.  An eighth of max_flows may begin at one port. */
    size_t max_switches, max_ports /* a switch */, max_hosts, max_hosts_port, max_flows;
    size_t output_max;             /* Bytes a switch may leave unread. */
    uint8_t lldp_key[16];
    uint64_t controller_id;
    const uint64_t *order;         /* Datapath ids in the enumeration order of reference mode; the others follow by number.  Copied. */
    size_t n_order;
    bool log_paths;

    void (*wake)(struct channel *channel, void *context); /* See channel.h. */
    void (*event)(enum fabric_event event, const char *text, void *context);
    void (*path_line)(const char *line, void *context); /* With log_paths: the reference algorithm's steps. */
    void *context;
};

/* What a controller of a small network would choose; the key, the seed and the id are random. */
void fabric_default_options(struct fabric_options *options);

int fabric_new(const struct fabric_options *options, uint64_t now_ms, struct fabric **ret, struct error *error);
void fabric_free(struct fabric *fabric); /* After fabric_disconnect of every channel. */
DEFINE_CLEANUP(struct fabric *, fabric_free);

/* A switch connected: its channel, which fabric_disconnect takes back.  'peer' names it in events until its datapath id is known. */
int fabric_connect(struct fabric *fabric, const char *peer, uint64_t now_ms, struct channel **ret);
void fabric_receive(struct fabric *fabric, struct channel *channel, const void *bytes, size_t size, uint64_t now_ms);
void fabric_disconnect(struct fabric *fabric, struct channel *channel, uint64_t now_ms);

/* To be called every FABRIC_TICK_MS. */
#define FABRIC_TICK_MS 50
void fabric_tick(struct fabric *fabric, uint64_t now_ms);

/* Roles (1.3.5, 6.3.6): tells every switch.  As slave nothing is sent but questions. */
void fabric_set_role(struct fabric *fabric, enum fabric_role role, uint64_t now_ms);
enum fabric_role fabric_role(const struct fabric *fabric);

/* After a change of the slices (slices.h): flows that they forbid now are removed, and what was denied is asked again. */
void fabric_slices_changed(struct fabric *fabric);

struct fabric_counters {
    uint64_t events[N_FABRIC_EVENTS], drops[N_FABRIC_DROPS];
    uint64_t packet_ins, packet_outs, flow_mods, floods, neighbor_replies, flows_new, flows_rerouted, flows_removed;
    size_t n_switches, n_links, n_hosts, n_flows, n_routes;
};
void fabric_counters(const struct fabric *fabric, struct fabric_counters *ret);

/* The weight of a link's direction out of a port, from now on and when it comes back: 1..GRAPH_WEIGHT_MAX.  -ENOENT: no such port. */
int fabric_set_weight(struct fabric *fabric, uint64_t datapath_id, uint32_t port, uint32_t weight);

#endif
