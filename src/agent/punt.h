/* What the data plane leaves to the agent: DHCP, router solicitations and packets that their sender must get an ICMP error (or, for a closed
 * TCP port, a reset) for come out of the ring buffer 'punt', are answered by the services layer from the agent's own replica, and
 * the answer goes out of the workload's interface; to somebody outside, by the way that the packet came.  Packets that a router has to fragment are cut, and the pieces go where the data plane
 * says: to a port here, or by the tunnel device to a host.  Nothing is asked of the API, so leases are renewed while it is away.
 *
 * Frames leave through one AF_PACKET socket of the network namespace the process is in when punt_new() is called, bound
 * to no interface and receiving nothing: each is sent to an ifindex.  All is in the loop's thread. */
#ifndef WEFT_AGENT_PUNT_H
#define WEFT_AGENT_PUNT_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "weft/base/error.h"
#include "weft/services/config.h"

struct punt;
struct punt_event;

/* A plugged port, all borrowed and used only until the callback's caller returns to the loop. */
struct punt_port {
    uint32_t ifindex;               /* Of the host's end. */
    struct service_objects objects; /* Complete: port, network, subnets, find_mac. */
};

/* Who is at 'slot'?  Returns 0, or -ENOENT when nobody is plugged there (any other error is taken for that too). */
typedef int (*punt_find)(void *context, uint32_t slot, struct punt_port *ret);

struct punt_counters {
    uint64_t events;  /* Taken from the ring. */
    uint64_t replies; /* Sent, of which: */
    uint64_t dhcp4, dhcp6, ra, too_big, time_exceeded, unreachable, resets;
    uint64_t fragmented;     /* Packets that were cut and sent on. */
    uint64_t advertisements; /* Unsolicited ones sent. */
    uint64_t refused;        /* DHCPNAKs, among 'dhcp4'. */
    uint64_t silent;         /* Understood, and nothing to say. */
    uint64_t malformed;      /* Or not a message to a server. */
    uint64_t unknown_port;   /* The slot is empty, or has another interface by now. */
    uint64_t send_errors;
};

/* Serves the ring buffer map 'ring_fd' (borrowed) and advertises to the ports in slots 1..'n_slots'-1; 'tunnel_ifindex' is the tunnel
 * device.  Returns 0 and '*ret', or -errno with '*error'. */
int punt_new(uv_loop_t *loop, int ring_fd, uint32_t n_slots, uint32_t tunnel_ifindex, punt_find find, void *context,
             struct punt **ret, struct error *error);

struct punt_outside {
    /* Takes what comes from uplinks, or is to leave by one (PUNT_NEIGHBOR, PUNT_NEIGHBOR_SEEN); the event is good during the call. */
    void (*take)(void *context, const struct punt_event *event);
    /* Sends a frame out of this host's uplink of network 'vni', to the MAC that it has; returns false when it did not. */
    bool (*send)(void *context, uint32_t vni, uint8_t *frame, size_t size);
    /* The MAC of a router port, by its number; returns false when it is gone. */
    bool (*router_mac)(void *context, uint32_t router_port, uint8_t ret[6]);
};

/* What leads outside.  'outside' is copied. */
void punt_set_outside(struct punt *punt, const struct punt_outside *outside, void *context);

/* Stops; its handles close in the loop, which has to run on for that, and the memory is freed then.  NULL is fine. */
void punt_free(struct punt *punt);

/* Sends a router advertisement at once, if the port's network has any: call it when a port was plugged.  Harmless
 * otherwise. */
void punt_advertise(struct punt *punt, uint32_t slot);

/* The objects changed: within seconds each port whose advertisement reads differently now gets the new one. */
void punt_objects_changed(struct punt *punt);

/* Sends a frame of ours to a port's workload; false: it did not go, and that was said. */
bool punt_send(struct punt *punt, uint32_t ifindex, const char *port_id, const uint8_t *frame, int size);

const struct punt_counters *punt_counters(const struct punt *punt);

#endif
