/* fabric-load: emulated OpenFlow switches that put load on a controller; see main.c.
 *
 * One thread.  topology.c says which port leads where, connections.c moves bytes, emulated-switch.c answers what a controller
 * says, flows.c makes packet_ins and recognizes their answers, main.c has the phases and prints the result. */
#ifndef BENCH_FABRIC_LOAD_H
#define BENCH_FABRIC_LOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdnoreturn.h>

#include "weft/base/buffer.h"
#include "weft/fabric/openflow/openflow.h"

#define N_SWITCHES_MAX 5000
#define N_HOSTS_MAX 1000000
#define HOST_PORTS_MAX 1000 /* Of one switch: a features_reply of 1.0 holds 1,364.  More hosts share them. */

/* Where a port 1..n_links of a switch leads to. */
struct link_end {
    uint32_t peer, peer_port; /* Switch by index; port. */
    bool is_probed;           /* LLDP left here and was delivered at the other end. */
    bool is_down;
    uint64_t n_flows;         /* Flows that were set to leave here. */
};

/* Room for one packet_in under way. */
struct slot {
    uint64_t sent_ns;
    uint32_t generation;
    bool is_busy;
};

/* What a switch keeps of a flow whose end the controller wants to hear of. */
struct flow_entry {
    uint64_t cookie;
    uint16_t priority, idle_timeout_s, hard_timeout_s;
    uint8_t table_id;
    struct of_match match;
};

struct emulated_switch {
    uint32_t index;
    int fd;
    struct buffer in, out;
    size_t n_sent;    /* Of 'out'. */
    uint32_t n_attempts; /* To connect. */
    bool is_dirty;    /* In the list of those with something to send. */
    bool wants_write; /* The socket was full. */

    struct link_end *links; /* Of port 1 and on. */
    uint32_t n_links;
    uint32_t edge; /* Its number among the switches with hosts. */
    uint32_t n_hosts, n_host_ports;
    uint32_t n_announced;

    bool has_features; /* The controller asked for them. */
    uint32_t echo_sent, echo_got;
    struct slot *slots;
    struct flow_entry *flows; /* A ring. */
    uint32_t first_flow, n_flows;
};

struct counters {
    uint64_t packet_ins, responses, lost;
    uint64_t packet_outs, flow_mods, group_mods, flow_removed, lldp_out, errors, refused;
};

struct settings {
    enum of_version version;
    const char *host;
    uint16_t port;
    char *topology;
    uint64_t n_switches, k, n_hosts, window, flow_table, seed, timeout_ms;
    bool is_buffered; /* packet_ins name a buffer of the switch. */
};

struct load {
    struct settings settings;
    struct emulated_switch *switches;
    uint32_t n_switches, n_edges;
    uint32_t *edges; /* The switches with hosts. */
    uint32_t n_hosts, n_link_ends;
    bool is_sending;  /* An answered packet_in is followed by the next. */
    bool is_measured; /* Latencies count. */
    uint64_t next_flow, last_flow_mod_ns, random;
    struct counters count;
    char first_refused[256]; /* Why we could not read a message. */
};

extern struct load load;

noreturn void die(const char *format, ...) __attribute__((format(printf, 1, 2)));
void *allocate(size_t n, size_t size); /* Zeroed; dies when there is none. */
uint64_t now_ns(void);
uint32_t random_below(uint32_t limit);

/* ---- topology.c ------------------------------------------------------------------------------------------------- */

/* Makes switches and links: "none", "linear", "ring", "fat-tree" (by k) or "file:PATH" with two switches' numbers (from 1) a line; and spreads
 * the hosts over the switches that have hosts: all, but of a fat-tree the edge. */
void topology_make(void);

/* ---- connections.c ---------------------------------------------------------------------------------------------- */

/* Connects every switch; dies when one cannot. */
void connections_open(void);
/* Waits at most that long for bytes, gives whole messages to switch_receive, sends what is to be sent. */
void connections_poll(int timeout_ms);
/* Has 'out' sent at the end of this round. */
void connections_mark(struct emulated_switch *sw);

/* ---- emulated-switch.c ------------------------------------------------------------------------------------------ */

void switch_hello(struct emulated_switch *sw);
/* One whole message of the controller. */
void switch_receive(struct emulated_switch *sw, const void *bytes, size_t size);
void switch_send(struct emulated_switch *sw, const struct of_message *message);
/* An echo_request, whose answer says that the controller has read all before it; 'echo_got' is then 'echo_sent'. */
void switch_sync(struct emulated_switch *sw);
/* Takes the link at port 'number' down or up, at both ends, and tells the controller. */
void switch_set_link(struct emulated_switch *sw, uint32_t number, bool is_up);

/* ---- flows.c ---------------------------------------------------------------------------------------------------- */

void flows_make(void); /* The slots. */
/* The next 'n' hosts of the switch send an ARP request: the very first host's for itself, others for that host. */
void flows_announce(struct emulated_switch *sw, uint32_t n);
/* Fills every free slot with a new flow. */
void flows_start(void);
/* A packet_out's frame: true when it is an answer to one of ours. */
bool flows_answered(struct of_bytes frame);
/* A flow_mod's or packet_out's buffer: the same, when the switch has buffers. */
bool flows_answered_by_buffer(struct emulated_switch *sw, uint32_t buffer_id);
/* Gives up slots that wait for longer than the timeout, and fills them anew. */
void flows_expire(void);
bool flows_are_answered(void); /* None waits. */

/* Latencies of the measured answers; in microseconds. */
double latency_us(double quantile);
void latency_clear(void);

#endif
