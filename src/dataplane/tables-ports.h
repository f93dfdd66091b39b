/* Local ports: their records, what they may send, which interface is which.  A part of tables.h, which says how tables may change. */
#ifndef WEFT_DATAPLANE_TABLES_H
#include "weft/dataplane/tables.h" /* Which includes this one in its place. */
#elif !defined(WEFT_DATAPLANE_TABLES_PORTS_H)
#define WEFT_DATAPLANE_TABLES_PORTS_H

/* ---- ports: array, one per local port slot; slot 0 is never used -------------------------------------------- */

#define PORT_SECURITY (1u << 0)       /* Anti-spoofing is on. */
#define PORT_ADMIN_UP (1u << 1)
#define PORT_REDIRECT_PEER (1u << 2)  /* A veth: deliver with bpf_redirect_peer; else (tap) bpf_redirect. */
#define PORT_DHCP4 (1u << 3)          /* Some subnet of the port is served by DHCP. */
#define PORT_DHCP6 (1u << 4)
#define PORT_RA (1u << 5)             /* Router solicitations are answered. */
#define PORT_INGRESS_POLICY (1u << 6) /* Delivery needs the connection entry of this port too. */
#define PORT_MAY_LEARN (1u << 7)      /* Has allowed address pairs with other MACs, or no port security. */
#define PORT_EGRESS_POLICY (1u << 8)  /* What the workload sends must be allowed by 'policies'. */
#define PORT_ROUTER_FIREWALL (1u << 9) /* Behind routers with firewall policies: what it receives has connection entries too, so that answers are known. */
#define PORT_MEMBER (1u << 10)        /* A load balancer's member: what it receives has connection entries too, so that no two connections have one name there. */
#define PORT_POLICY (PORT_INGRESS_POLICY | PORT_EGRESS_POLICY)
#define PORT_LOG_DROP (1u << 16)      /* 'verdicts' gets what policy refuses, */
#define PORT_LOG_ACCEPT (1u << 17)    /* the first packets of connections that it lets pass, */
#define PORT_LOG_RULES (1u << 18)     /* or only of those that a rule with RULE_LOG lets pass. */
#define PORT_LOGS (PORT_LOG_DROP | PORT_LOG_ACCEPT | PORT_LOG_RULES)

struct port_config {
    __u32 ifindex;      /* Of the host's end; 0: the slot is not plugged, deliver nothing. */
    __u32 flags;        /* PORT_* */
    __u32 vni;
    __u32 project;      /* Index into 'projects'. */
    __u8 mac[6];
    __u16 mtu;          /* Of the network: the largest L3 packet. */
    __u8 ip4[16];       /* First IPv4 fixed address (mapped), zero if none: the common case of anti-spoofing. */
    __u8 ip6[16];       /* First IPv6 fixed address, zero if none. */
    __u32 generation;   /* Of the slot: grows when the slot is given to another port. */
    __u32 bum_rate;     /* Copies of broadcast, unknown, multicast a second; 0: none allowed. */
    __u32 bum_burst;
    __u32 punt_rate;    /* Packets a second to user space. */
    __u32 punt_burst;
    __u32 pad;
};

_Static_assert(sizeof(struct port_config) == 80, "no implicit padding");

struct port_record {
    __u32 active; /* 0 or 1: the copy that counts. */
    __u32 epoch;
    struct port_config config[2];
};

/* What the data plane itself writes for a port; array by slot.  Token buckets are racy by intent: two CPUs may both take
 * the last token. */
struct port_runtime {
    __u64 bum_time_ns, bum_tokens;
    __u64 punt_time_ns, punt_tokens;
    __u64 n_learned; /* MACs learned behind the port, at most MAX_LEARNED_PER_PORT; the agent counts it down. */
};
#define LEARNED_MAX 65536        /* Of all networks; each project may have a share of it (struct project_record). */
#define MAX_LEARNED_PER_PORT 256
#define MAX_LEARNED_PER_HOST 1024 /* Of one network behind another host; what is more, the agent forgets. */

/* Per CPU, array by slot. "tx" is what the workload sent, "rx" what it was given; bytes are of the Ethernet frame. */
#define MAX_DROP_REASONS 64
struct port_counters {
    __u64 tx_packets, tx_bytes;
    __u64 rx_packets, rx_bytes;
    __u64 drops[MAX_DROP_REASONS]; /* By 'enum drop_reason'.  Slot 0 of the array counts drops without a port. */
};
_Static_assert(N_DROP_REASONS <= MAX_DROP_REASONS, "the counters have a place for each reason");

/* ---- interfaces: hash, ifindex -> local port slot ------------------------------------------------------------- */

/* Key __u32 ifindex, value __u32 slot (compared with port_config.ifindex, which must say the same). */

/* ---- allowed sources beyond the port's MAC and first addresses: LPM ------------------------------------------- */

struct source_key {
    __u32 prefix_length; /* 32 + 0..128; IPv4 is mapped, so adds 96. */
    __u32 slot;
    __u8 address[16];
};
/* A value is never changed in place: replaced whole.  Several MACs may share a prefix. */
#define MAX_SOURCE_MACS 4
struct source_value {
    __u32 slot;          /* Repeats the key. */
    __u32 n_macs;
    __u8 mac[MAX_SOURCE_MACS][6];
};

#endif
