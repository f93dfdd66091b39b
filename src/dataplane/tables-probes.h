/* Health probes of load balancers' members.  A part of tables.h, which says how tables may change.
 *
 * The agent of a member's host probes it from the host's own stack, by the metadata device: a socket of the agent's connects to an address that
 * stands for the member there, and the programs give the packets the ends that a balancer's would have:
 *
 *     device  240.15.255.254:40000 > 240.15.68.7:80   ->   member   VIP:40000 > 10.0.0.5:80      and back
 *
 * Beyond every port's slot in the addresses of the metadata service (tables-agent.h) are those of members. */
#ifndef WEFT_DATAPLANE_TABLES_H
#include "weft/dataplane/tables.h" /* Which includes this one in its place. */
#elif !defined(WEFT_DATAPLANE_TABLES_PROBES_H)
#define WEFT_DATAPLANE_TABLES_PROBES_H

#define PROBE_SLOT 1000448u   /* More than the largest table of ports. */
#define PROBE_SLOTS 48000u    /* METADATA_AGENT_IP4 is behind them. */
#define PROBE_TARGETS_MAX 262144
#define PROBE_TARGET_IP4(number) METADATA_PORT_IP4(PROBE_SLOT + (number) % PROBE_SLOTS, (number) / PROBE_SLOTS)
/* IPv6: METADATA_IP6_PORT_HIGH, the quotient, and PROBE_SLOT and the rest. */

/* Hash by number: a member's port, here, as one balancer calls it. */
struct probe_target {    /* Replaced whole. */
    __u32 number;        /* Repeats the key. */
    __u32 slot, generation; /* Of the port. */
    __u32 ifindex;       /* Of the device. */
    __u8 address[16], vip[16];
    __u8 vip_mac[6], device_mac[6];
    __u8 pad[4];
};
_Static_assert(sizeof(struct probe_target) == 64, "no implicit padding");

/* LRU hash: probes that may be answered; each packet of one renews it.  Nothing else passes to the host: a workload cannot speak first. */
#define PROBES_MAX 16384
struct probe_key {
    __u8 address[16], vip[16];
    __u32 slot;          /* Of the port. */
    __u16 port, probe_port; /* The member's, and the agent's socket's; of ICMP the identifier is the latter.  As on the wire. */
    __u8 protocol;
    __u8 pad[3];
};
_Static_assert(sizeof(struct probe_key) == 44, "no implicit padding");
/* Value: __u32, the target's number, which is compared with the packet's ends again. */

#endif
