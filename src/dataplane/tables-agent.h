/* Between the agent and the programs: settings, the metadata service, the ring buffers.  A part of tables.h, which says how tables may change. */
#ifndef WEFT_DATAPLANE_TABLES_H
#include "weft/dataplane/tables.h" /* Which includes this one in its place. */
#elif !defined(WEFT_DATAPLANE_TABLES_AGENT_H)
#define WEFT_DATAPLANE_TABLES_AGENT_H

/* ---- settings: array of one, written before programs are attached -------------------------------------------------------- */

struct settings {
    __u32 n_ports, n_hosts, n_projects; /* Sizes of the arrays. */
    __u32 tunnel_ifindex;  /* The device that owns the UDP port; copies of broadcast leave through it. */
    __u16 tunnel_port;     /* UDP, host order. */
    __u16 flood_fan_out;   /* 0: FLOOD_FAN_OUT_DEFAULT. */
    __u32 n_flow_slots;    /* Of a release whose programs read it: left as it is. */
    __u32 timeout_s[8];    /* By enum flow_timeout; 0: 30 s. */
    __u64 hash_seed;       /* For the tunnel's source ports, and of connections: does not change while there are any. */
    __u32 relay_rate, relay_burst; /* Of each host, see host_runtime. */
};
enum flow_timeout { TIMEOUT_HALF_OPEN, TIMEOUT_TCP_ESTABLISHED, TIMEOUT_TCP_CLOSING, TIMEOUT_UDP_NEW, TIMEOUT_UDP_SEEN,
                    TIMEOUT_ICMP, TIMEOUT_OTHER, TIMEOUT_TCP_HALF_CLOSED };

/* ---- the metadata service: array of one, written by the agent ----------------------------------------------------------------- */

/* What a workload sends to TCP port 80 of METADATA_IP4 or METADATA_IP6 goes into a device of the host's, where the agent listens.  Workloads
 * of two tenants may have the same address, so on that device each has another one, which is made of its port's slot and generation: the
 * agent knows by it who asks, and an answer that comes too late, when the slot is another port's, is dropped.  Both ways only
 * addresses and ports are rewritten, and nothing has to be remembered: what the workload calls itself is its port's first IPv4 address,
 * or the link-local address of its MAC, and nobody else is answered. */
#define METADATA_IP4 0xa9fea9feu             /* 169.254.169.254; host order, as all of these. */
#define METADATA_IP6_HIGH 0xfe80000000000000ull /* fe80::a9fe:a9fe */
#define METADATA_IP6_LOW 0x00000000a9fea9feull
#define METADATA_TCP_PORT 80
#define VIRTUAL_SERVER_MAC_BYTES {0xfa, 0x16, 0x3f, 0x00, 0x00, 0x01} /* Whom ARP and ND find there: model/virtual-server.h. */
/* On the device: addresses of class E, which no network has, and unique local ones (RFC 4193). */
#define METADATA_AGENT_IP4 0xf00ffffeu       /* 240.15.255.254: as slot 1048574, which is beyond every table. */
#define METADATA_AGENT_PREFIX4 4
#define METADATA_PORT_IP4(slot, generation) (0xf0000000u | ((generation) & 0xffu) << 20 | ((slot) & 0xfffffu))
#define METADATA_SLOT_OF_IP4(address) ((address) & 0xfffffu)
#define METADATA_IP6_AGENT_HIGH 0xfd57454654000001ull /* fd57:4546:5400:1::1 */
#define METADATA_IP6_AGENT_LOW 1ull
#define METADATA_IP6_PORT_HIGH 0xfd57454654000000ull  /* fd57:4546:5400:0:<generation>:<slot> */
#define METADATA_AGENT_PREFIX6 48
struct metadata_config {
    __u32 ifindex;       /* Of the device; 0: there is no service here. */
    __u16 port[2];       /* Where the agent listens, IPv4 and IPv6; as on the wire.  0: not in that family. */
    __u8 mac[6];         /* Of the device. */
    __u16 pad;
};
_Static_assert(sizeof(struct metadata_config) == 16, "no implicit padding");
struct metadata_budget { /* Of each port's packets to it. */
    __u64 time_ns, tokens;
};
#define METADATA_RATE 2000 /* Packets a second, and as a burst. */

/* ---- punt: ring buffer to the agent ------------------------------------------------------------------------------------------ */

enum punt_reason {
    PUNT_DHCP4 = 1,
    PUNT_DHCP6,
    PUNT_ROUTER_SOLICITATION,
    PUNT_TOO_BIG, /* Was dropped; 'frame' is its beginning.  To be answered by ICMP (RFC 1191, RFC 8201). */
    PUNT_TTL,         /* As these two: time exceeded, and destination unreachable with 'code' (RFC 792, RFC 4443). */
    PUNT_UNREACHABLE,
    PUNT_FRAGMENT,    /* Decided and rewritten, but to be cut to 'mtu' (RFC 791, 2.3) and sent to 'output' of 'vni'. */
    PUNT_NEIGHBOR,    /* To leave by the uplink of 'vni', but for the MAC of 'next_hop', which is not known. */
    PUNT_NEIGHBOR_SEEN, /* Came in by an uplink of 'vni', and says who has an address. */
};
#define PUNT_MAX_FRAME 1600
struct punt_event {
    __u32 slot, ifindex, vni;
    __u16 reason;          /* enum punt_reason */
    __u16 size;            /* Bytes of 'frame' in use. */
    __u8 frame[PUNT_MAX_FRAME];
    /* What follows came later: an event of an older program ends here. */
    __u8 source[16];       /* That router port's address of the frame's family; zero: it has none, or no router. */
    __u32 output;          /* FRAGMENT: OUTPUT_LOCAL or OUTPUT_REMOTE.  An error to somebody outside (slot 0): OUTPUT_UPLINK of 'vni', or the
                            * OUTPUT_REMOTE that brought it. */
    __u16 router_port;     /* Who speaks is the router that the frame came to here; 0: none, and errors are in the destination's name. */
    __u16 mtu;             /* Of the router port where it does not fit; 0: of the sender's network. */
    __u8 code;             /* UNREACHABLE: enum unreachable_code.  FRAGMENT: kind and hop count of the pieces in the tunnel, as in a TUNNEL_WORD. */
    __u8 hops;             /* Routers before that one: what the TTL had lost by then. */
    __u8 pad[2];
    __u8 next_hop[16];     /* NEIGHBOR. */
};
#define PUNT_EVENT_FIRST_SIZE __builtin_offsetof(struct punt_event, source)
/* As ICMP's (RFC 792; PROHIBITED, by a firewall: RFC 1812, 5.2.7.1). */
enum unreachable_code { UNREACHABLE_NET, UNREACHABLE_HOST, UNREACHABLE_PROTOCOL, UNREACHABLE_PORT, UNREACHABLE_PROHIBITED = 13 };

/* ---- verdicts: ring buffer to the agent, for the log of security groups and firewalls -------------------------------------------- */

/* How many events a second, and at once, each port (of a workload, or of a router) may write; array of one, written by the agent before programs are attached. */
struct verdict_config {
    __u32 rate, burst;
};
struct verdict_runtime {
    __u64 time_ns, tokens;
    __u64 n_left_out;      /* Events that were one too many, or found no room; */
    __u64 n_said;          /* of these, those that the agent has said in the log. */
};
#define VERDICT_RATE_DEFAULT 100
#define VERDICT_BURST_DEFAULT 25
#define VERDICT_RATE_MAX 1000000u

/* A packet from its sender's side; addresses and ports as the port sees them. */
#define VERDICT_RECEIVED (1u << 0) /* Judged where it arrives, else where it starts. */
#define VERDICT_LATER_FRAGMENT (1u << 1) /* Its ports are those of the first one. */
#define VERDICT_ROUTER (1u << 2)   /* Judged by a firewall: 'slot' and 'generation' are a router port's, and VERDICT_RECEIVED says that it was the ingress policy. */
struct verdict_event {
    __u64 time_ns;         /* CLOCK_MONOTONIC_COARSE */
    __u32 slot, generation; /* Of the port. */
    __u32 number;          /* Of the rule that let it pass (struct rule), or of the firewall's that refuses it; 0: none. */
    __u32 size;            /* Bytes of the Ethernet frame. */
    __u16 reason;          /* enum drop_reason; 0: it passed. */
    __u16 ethertype;       /* As on the wire, as these two. */
    __u16 source_port, destination_port; /* 0 with ICMP and what has none. */
    __u8 protocol;
    __u8 tcp_flags;
    __u8 icmp_type, icmp_code;
    __u8 flags;            /* VERDICT_* */
    __u8 pad[3];
    __u8 source_mac[6], destination_mac[6];
    __u8 pad_2[4];
    __u8 source[16], destination[16];
};
_Static_assert(sizeof(struct verdict_event) == 88, "no implicit padding");

#endif
