/* What the parts of the proactive entries share: proactive.h says how they work together.
 *
 *   proactive.c          a switch comes, is brought up to date, and loses what an earlier life left in it
 *   proactive-ways.c     links, numbers of switches, groups of next hops: tables 0 and 2
 *   proactive-hosts.c    hosts, where they are and where they are sent to: tables 0 and 1
 *   proactive-entries.c  what an entry looks like, and its cookie */
#ifndef WEFT_FABRIC_PROACTIVE_STATE_H
#define WEFT_FABRIC_PROACTIVE_STATE_H

#include "weft/fabric/entries.h"
#include "weft/fabric/proactive.h"

#define TABLE_ADMISSION 0
#define TABLE_DESTINATION 1
#define TABLE_NEXT_HOP 2
#define PRIORITY_UDP (PRIORITY_PROACTIVE + 10)
#define PRIORITY_LINK (PRIORITY_PROACTIVE - 100)
#define METADATA_SLICE 0xffffffff00000000ull
#define METADATA_SWITCH 0x00000000ffffffffull
#define NEXT_HOPS_MAX 64
/* Below COOKIE_KIND_MASK: for which slices an entry was written, 0 when that is no matter; and since which start of this switch. */
#define COOKIE_SLICES 0x000000ffff000000ull
#define COOKIE_SLICES_SHIFT 24
#define COOKIE_EPOCH 0x0000000000ffffffull
/* A switch tries again after a time of its own, which Open vSwitch doubles up to 8 s: so long after a controller's start, and as long again, an earlier
 * life's entries are taken for what leads to switches that are still to come. */
#define PROACTIVE_LATE_MS 20000
#define UNSENT_PART 8 /* Of what a switch may leave unread: no more than that is written before it reads. */

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
    uint64_t late_ms;     /* Until then switches that are not connected yet may come: what leads to them stays. */
    bool has_strangers;   /* Its groups lead to such. */
    uint64_t version;     /* As its groups have it: proactive_version(). */
};

/* Of what groups of next hops follow from: the graph, and the links of switches that are away. */
static inline uint64_t proactive_version(const struct fabric *fabric)
{
    return graph_version(fabric->graph) + fabric->n_former;
}

static inline bool fabric_is_proactive(const struct fabric *fabric)
{
    return fabric->options.install == FABRIC_PROACTIVE;
}

/* proactive-entries.c: without match and instructions yet; the second kind is of the slices as they are, which another definition makes wrong. */
struct of_message proactive_make_entry(const struct datapath *datapath, uint8_t table, uint16_t priority);
struct of_message proactive_make_slice_entry(const struct datapath *datapath, uint8_t table, uint16_t priority);
void proactive_delete_found(struct fabric *fabric, struct datapath *datapath, const struct of_flow_stats *stats);
void proactive_delete_of_slices(struct fabric *fabric, struct datapath *datapath, uint64_t slices);
uint64_t proactive_slices_digest(const struct slices *slices);
bool proactive_is_writable(const struct fabric *fabric, const struct datapath *datapath); /* May entries of hosts be written there? */
bool proactive_has_room(const struct fabric *fabric, const struct datapath *datapath);    /* Does the switch read what it is sent? */

/* proactive-ways.c */
uint32_t proactive_number_of(struct fabric *fabric, struct datapath *datapath);
bool proactive_is_our_group(uint32_t id);
struct next_hops *proactive_find_hops(struct proactive_state *state, uint32_t number); /* Made when missing; NULL when out of memory. */
void proactive_sync_link_ports(struct fabric *fabric, struct datapath *datapath);
void proactive_sync_ways(struct fabric *fabric, struct datapath *datapath); /* To all other switches. */

/* proactive-hosts.c */
bool proactive_put_more_hosts(struct fabric *fabric, struct datapath *datapath);
void proactive_put_hosts_again(struct datapath *datapath);

#endif
