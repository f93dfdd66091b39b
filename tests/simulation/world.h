/* A whole network in one process: the fabric under test, and switches with flow tables, links and hosts that speak real OpenFlow to it.  Time is
 * the test's.  A frame is followed to its end through the tables, each step at once. */
#ifndef TESTS_FABRIC_WORLD_H
#define TESTS_FABRIC_WORLD_H

#include "weft/fabric/state.h"

#define WORLD_PORTS 64
#define WORLD_FRAME 1600

struct sim_entry {
    struct of_match match;
    uint8_t others[OF_HARDWARE_SIZE]; /* Of the match. */
    uint16_t priority;
    uint64_t cookie;
    uint8_t table, goto_table;
    uint64_t metadata, metadata_mask; /* To be written. */
    uint32_t group;                   /* 0: none. */
    uint32_t out_ports[8];
    size_t n_out;
    bool sends_removed;
    uint64_t packets;
};

struct sim_switch {
    struct world *world;
    uint64_t id;
    enum of_version version;
    struct channel *channel; /* The fabric's end; NULL: not connected. */
    bool is_hostile;         /* Tells lies: what the fabric answers to them is not checked. */
    bool is_frozen;          /* Reads and answers nothing. */
    struct buffer input;
    struct sim_port {
        bool exists, is_up;
        struct sim_switch *peer;
        uint32_t peer_port;
        struct sim_host *host;
        bool is_deaf;        /* Frames are lost on the way in, silently. */
        uint64_t sent;
    } ports[WORLD_PORTS];
    struct sim_entry *entries;
    size_t n_entries, entries_capacity;
    struct sim_group {
        uint32_t id;
        uint8_t type;
        uint32_t ports[64];
        size_t n;
    } groups[64];
    size_t n_groups;
    uint32_t role;
    uint64_t generation_id;
    uint64_t n_flow_mods, n_errors;
};

struct sim_host {
    struct mac_address mac;
    struct ip_address ip;
    struct sim_switch *at;
    uint32_t port;
    uint64_t n_received, n_broadcasts;
    uint8_t last[WORLD_FRAME];
    size_t last_size;
};

struct world {
    struct fabric *fabric;
    struct fabric_options options;
    uint64_t now_ms;
    struct sim_switch **switches;
    size_t n_switches;
    struct sim_host **hosts;
    size_t n_hosts;
    uint64_t n_events[N_FABRIC_EVENTS];
    uint64_t fabric_ns; /* CPU time of this process in the fabric's handling of messages. */
    uint64_t n_hops; /* Of frames in switches, since the start; grows without end when they loop. */
    struct buffer path_lines;
    struct { struct sim_switch *at; uint32_t port; size_t size; uint8_t bytes[WORLD_FRAME]; } *queue;
    size_t queue_first, n_queue;
};

/* 'change' may alter the options before the fabric is made. */
struct world *world_new(void (*change)(struct fabric_options *options));
void world_free(struct world *world);
void world_kill_controller(struct world *world);    /* At once; switches keep their entries. */
void world_restart_controller(struct world *world); /* A new one, to which they connect. */

struct sim_switch *world_switch(struct world *world, uint64_t id, enum of_version version);
void world_link(struct sim_switch *a, uint32_t a_port, struct sim_switch *b, uint32_t b_port);
struct sim_host *world_host(struct world *world, struct sim_switch *at, uint32_t port, const char *mac, const char *ip);
void world_move_host(struct sim_host *host, struct sim_switch *at, uint32_t port);
void world_connect(struct sim_switch *at);
void world_connect_all(struct world *world);
void world_disconnect(struct sim_switch *at);
void world_cut(struct sim_switch *at, uint32_t port);  /* Both ends' ports go down. */
void world_mend(struct sim_switch *at, uint32_t port);

/* Lets messages flow and time pass. */
void world_run(struct world *world, uint64_t ms);
void world_settle(struct world *world); /* Until links are found and ports believed. */

/* Sends a frame from a host. */
void host_send(struct sim_host *host, const uint8_t *bytes, size_t size);
void host_send_ports(struct sim_host *from, const struct sim_host *to, uint8_t protocol, uint16_t source_port, uint16_t destination_port);
void host_send_udp(struct sim_host *from, const struct sim_host *to, uint16_t source_port, uint16_t destination_port);
void host_send_arp(struct sim_host *from, const struct ip_address *target);
/* An ARP question to 'to' that says to be from 'sender' at 'sender_mac'. */
void host_ask_as(struct sim_host *from, const struct mac_address *to, const struct ip_address *target, const struct mac_address *sender_mac,
                 const struct ip_address *sender);
/* From the switch, as if the message had been sent by it: for hostile ones. */
void switch_say(struct sim_switch *at, const struct of_message *message);

/* How many entries of ours a switch has for flows. */
/* An entry put there by somebody else: of table 0, that goes nowhere; valid until the next one. */
struct sim_entry *switch_add_entry(struct sim_switch *at);
size_t switch_n_flow_entries(const struct sim_switch *at);

#endif
