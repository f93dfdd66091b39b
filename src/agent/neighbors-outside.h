/* MACs of stations outside: next hops on the physical networks that this host has uplinks into.
 *
 * The data plane hands over a frame that lacks only the MAC of its next hop.  It is asked for by ARP (RFC 826) or neighbor solicitation
 * (RFC 4861), at most once a second (RFC 1122, 2.3.2.1); when the answer comes, the frame is sent on and the table of neighbors has it for those that
 * follow.  A station that is known is asked again, alone, before it is forgotten, so that traffic never waits for it; while it answers and the data
 * plane sends to it, it stays (RFC 4861, 7.3).  One that shows MAC after MAC is believed at a bounded rate, the newest one in the end: each costs
 * the host a compilation.
 *
 * The questions must not make anybody outside believe that an address has moved here: their sender is an address that this host
 * announces, or none (RFC 5227, RFC 4862).
 *
 * A machine without sockets or clock: the frames to send come out of it, time goes in.  Single-threaded. */
#ifndef WEFT_AGENT_NEIGHBORS_OUTSIDE_H
#define WEFT_AGENT_NEIGHBORS_OUTSIDE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "weft/base/address.h"

#define OUTSIDE_MAX 4096 /* Stations; the one that was wanted longest ago makes room. */

struct outside;

/* Where a network is outside. */
struct outside_uplink {
    uint32_t vni, ifindex;
    uint16_t vlan; /* 0: untagged. */
    uint8_t mac[6]; /* The device's. */
};

struct outside_events {
    /* Sends a frame out of an uplink; it has no VLAN tag yet. */
    void (*send)(void *context, const struct outside_uplink *uplink, const uint8_t *frame, size_t size);
    /* An address of the family that this host announces in the network; returns false when there is none. */
    bool (*source)(void *context, uint32_t vni, bool is_v4, struct ip_address *ret);
    /* What outside_each() tells is another. */
    void (*changed)(void *context);
    /* How many milliseconds ago the data plane last sent to the MAC; UINT64_MAX: never, as far as it knows. */
    uint64_t (*unused_ms)(void *context, uint32_t vni, const uint8_t mac[6]);
};

struct outside_counters {
    uint64_t moves; /* Stations that were believed another MAC, */
    uint64_t held;  /* and answers with another MAC that had to wait for that, or were overtaken by a later one. */
};

/* Returns 0 or -ENOMEM.  'events' is copied. */
int outside_new(const struct outside_events *events, void *context, struct outside **ret_outside);
void outside_free(struct outside *outside);

/* A frame for the station with 'address', complete but for its destination MAC.  It is kept until the MAC is known (a few of each
 * station), and copied. */
void outside_wanted(struct outside *outside, uint64_t now_ms, const struct outside_uplink *uplink, const struct ip_address *address,
                    const uint8_t *frame, size_t size);

/* An ARP frame or a neighbor advertisement that came in by an uplink of the network.  Only stations that were wanted are believed anything of. */
void outside_seen(struct outside *outside, uint64_t now_ms, uint32_t vni, const uint8_t *frame, size_t size);

/* Writes what tells a network that an address of ours is here now: an ARP announcement (RFC 5227, 3), or an unsolicited neighbor advertisement of a
 * router that overrides what is known (RFC 4861, 7.2.6).  Returns its size. */
#define OUTSIDE_ANNOUNCEMENT_MAX 86
size_t outside_write_announcement(const struct outside_uplink *uplink, const struct ip_address *address, uint8_t frame[OUTSIDE_ANNOUNCEMENT_MAX]);

const struct outside_counters *outside_counters(const struct outside *outside);

/* Does what is due.  Returns after how many milliseconds to call again; UINT64_MAX: nothing is due. */
uint64_t outside_tick(struct outside *outside, uint64_t now_ms);

/* Forgets the stations of networks that have no uplink, or another one, now. */
void outside_retain(struct outside *outside, const struct outside_uplink *uplinks, size_t n_uplinks);

/* Visits each station whose MAC the data plane should have, in no order. */
void outside_each(const struct outside *outside,
                  void (*visit)(void *context, uint32_t vni, const struct ip_address *address, const uint8_t mac[6]), void *context);

#endif
