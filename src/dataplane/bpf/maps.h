// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The maps of tables.h, and reading their records the way tables.h asks for. */
#ifndef WEFT_BPF_MAPS_H
#define WEFT_BPF_MAPS_H

#include "weft/dataplane/bpf/world.h"

struct address_key { /* Of 'peers'. */
    __u8 bytes[16];
};

/* What would take too much of the 512 bytes of stack that a program has with all that it calls.  Each CPU's own, and each load's: nothing in
 * it outlives the step that uses it. */
/* What tracking looks at in a TCP segment; sequence numbers in host order. */
struct tcp_segment {
    __u32 sequence, end, acknowledged; /* 'end' is behind its data, and SYN and FIN count. */
    __u32 size;
    __u16 window;          /* As in the header. */
    __u8 flags;            /* TCP_* */
    __u8 scale;            /* Of a SYN; FLOW_SCALE_UNKNOWN: none. */
};

struct policy_search {
    __u8 address[16];  /* The other side's; */
    __u64 high, low;   /* the same as numbers. */
    __u32 set;
    __u32 verdict;     /* enum policy_verdict */
    __u32 number;      /* Of the rule. */
    __u16 family;      /* RULE_IPV4 or RULE_IPV6 */
    __u16 port;        /* Destination, host order; ICMP: the type. */
    __u8 protocol, code;
    __u8 is_icmp;
    __u8 is_logged;    /* The rule has RULE_LOG. */
};
struct flood_state {
    __u64 wire_bytes;
    __u32 vni;
    __u32 slot;        /* Who sent it: gets no copy. */
    __u32 segments;
    __u32 tunnel_ifindex;
    __u32 budget;      /* Copies that may still be made, */
    __u32 n_spent;     /* that were charged: those that relays make too, */
    __u32 n_copies;    /* and that were made here. */
    __u32 n_refused;   /* By the policy of who would have got them. */
    __u32 is_exhausted;
    __u32 list;        /* FLOOD_DIRECT or FLOOD_TREE. */
    __u32 key;         /* This host's. */
    __u32 hops;
    __u32 n_hosts;     /* Of the tree: those from the list's first on that are ours to reach, */
    __u32 end;         /* all before this key. */
    __u32 fan_out;
    __u32 position;    /* In the list: the first host of the next stretch, */
    __u32 next;        /* and its slot. */
    __u32 low, high;   /* Of a search. */
};
/* What the ends of a packet become; ports are as in struct flow_tuple: of an ICMP echo, 'source_port' is the identifier. */
struct ends {
    __u8 source[16], destination[16];
    __u16 source_port, destination_port;
    __u8 pad[4];
};
/* The packet that an ICMP error is about, as much as is quoted of it. */
struct quoted {
    __u32 source, destination;
    __u16 source_port, destination_port; /* As in struct rewrite (translate.h). */
    __u16 l3, l4;
    __u8 protocol;
    __u8 has_checksum; /* That of its L4 header is quoted too. */
    __u8 pad[2];
};

/* Whose a packet on an external network is: external.h. */
struct arrival {
    struct alias_key name; /* What its connection is called outside, */
    struct flow_key key;   /* and at the port, unless an alias says otherwise. */
    struct quoted quoted;  /* Of an ICMP error. */
    __u32 object, gateway;
    __u32 slot, stamp;     /* The port, and flow_stamp() of it. */
    __u32 kind;            /* enum external_kind */
    __u32 reason;          /* Of OUTPUT_NONE: STEP_CONTINUE when the address is none of ours. */
};

/* A packet from an uplink, before anything was asked about its sender: known.h. */
struct sender {
    __u64 word;        /* For its connection's entry, */
    __u32 slot;        /* at this port; 0: of nothing that is known. */
    __u32 gateway;     /* The router port that it comes to. */
};

/* The router ports that a packet came to and left by, in turn, from its sender's on: firewall.h asks their policies. */
#define PASSAGE_MAX (2 * ROUTER_HOPS_MAX)
struct passage {
    __u32 n;
    __u32 has_rules;   /* Some of them have policies, */
    __u32 logs;        /* and some of them a log: ROUTER_PORT_LOGS. */
    __u32 ports[PASSAGE_MAX];
    __u32 rules[PASSAGE_MAX]; /* By which each has let the packet pass that was asked about last; 0: it has none. */
};

struct firewall_search {
    __u64 source_high, source_low, destination_high, destination_low;
    __u32 position;    /* In the passage. */
    __u32 set, index;  /* 0: no set in hand. */
    __u32 reverse;     /* The packet takes the passage from its end to its beginning. */
    __u32 verdict;     /* enum firewall_verdict */
    __u32 number;      /* Of the rule. */
    __u16 source_port, destination_port; /* Host order. */
    __u16 family;      /* RULE_IPV4 or RULE_IPV6 */
    __u8 protocol;
    __u8 pad;
};

/* A packet from outside as it came, before a router of ours passed it on: reject.h. */
struct came {
    __u32 vni;
    __u32 source, destination;           /* These four of IPv4, as in struct rewrite (translate.h). */
    __u16 source_port, destination_port;
    __u32 ttl;
    __u8 destination_mac[8], source_mac[8]; /* The last two bytes mean nothing. */
};

/* Where a packet goes by a load balancer: balance.h, balance-member.h. */
struct balancing {
    struct service_key service;
    struct balanced_value value; /* The packet's connection, */
    struct flow_key key;         /* and its entry at the member. */
    struct balanced_name name;
    struct ends ends;            /* What the packet's become, */
    struct ends quote;           /* and those of one that it quotes. */
    __u32 listener;              /* Its number. */
    __u32 is_known;              /* It had an entry. */
    __u32 is_noted;              /* 'balanced' has 'value' already. */
    __u32 is_new_name;           /* This packet has taken 'name'. */
    __u32 gateway;               /* Of a client outside, as all that follows: the router port by which it came, or by which answers leave; */
    __u32 back;                  /* the way back to it: OUTPUT_UPLINK, OUTPUT_REMOTE; OUTPUT_NONE: nobody is told; */
    __u32 owner;                 /* which of the row's owners is asked now; */
    __u32 vip_vni;               /* and what it calls, if by another name. */
    __u8 vip[16];
};

struct scratch {
    struct flow_entry entry;     /* A new one. */
    struct tcp_segment segment;  /* In hand: stateful.h */
    struct policy_search search; /* policy.h */
    struct flood_state flood;    /* switching.h */
    struct arrival arrival;      /* external.h */
    struct sender sender;        /* known.h */
    struct passage passage;      /* routing.h, firewall.h */
    struct firewall_search firewall;
    struct came came;            /* reject.h */
    struct balancing balancing;
    struct balanced_name gone;   /* balanced.h */
};

#ifdef __bpf__

#define TABLE_HASH(name, key_type, value_type, n)                                                            \
    struct {                                                                                                 \
        __uint(type, BPF_MAP_TYPE_HASH);                                                                     \
        __uint(map_flags, BPF_F_NO_PREALLOC);                                                                \
        __uint(max_entries, n);                                                                              \
        __type(key, key_type);                                                                               \
        __type(value, value_type);                                                                           \
    } name SEC(".maps")
#define TABLE_PREFIXES(name, key_type, value_type, n)                                                        \
    struct {                                                                                                 \
        __uint(type, BPF_MAP_TYPE_LPM_TRIE);                                                                 \
        __uint(map_flags, BPF_F_NO_PREALLOC);                                                                \
        __uint(max_entries, n);                                                                              \
        __type(key, key_type);                                                                               \
        __type(value, value_type);                                                                           \
    } name SEC(".maps")
#define TABLE_ARRAY(name, value_type, n)                                                                     \
    struct {                                                                                                 \
        __uint(type, BPF_MAP_TYPE_ARRAY);                                                                    \
        __uint(map_flags, BPF_F_MMAPABLE);                                                                   \
        __uint(max_entries, n);                                                                              \
        __type(key, __u32);                                                                                  \
        __type(value, value_type);                                                                           \
    } name SEC(".maps")

TABLE_HASH(interfaces, __u32, __u32, 8192);
TABLE_ARRAY(ports, struct port_record, MAX_PORTS_DEFAULT);
TABLE_ARRAY(port_runtime, struct port_runtime, MAX_PORTS_DEFAULT);
struct {
    __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
    __uint(max_entries, MAX_PORTS_DEFAULT);
    __type(key, __u32);
    __type(value, struct port_counters);
} port_counters SEC(".maps");
TABLE_PREFIXES(sources, struct source_key, struct source_value, 65536);
TABLE_HASH(networks, __u32, struct network_value, 16384);
TABLE_HASH(fdb, struct fdb_key, struct output_value, 262144);
TABLE_HASH(learned, struct fdb_key, struct output_value, LEARNED_MAX);
TABLE_HASH(movable, struct movable_key, struct output_value, 65536);
TABLE_HASH(neighbors, struct neighbor_key, struct neighbor_value, 262144);
TABLE_HASH(flood, struct flood_key, struct output_value, 262144);
TABLE_ARRAY(hosts, struct host_record, MAX_HOSTS_DEFAULT);
TABLE_ARRAY(host_runtime, struct host_runtime, MAX_HOSTS_DEFAULT);
TABLE_HASH(peers, struct address_key, struct peer_value, 4096);
TABLE_ARRAY(projects, struct project_record, MAX_PROJECTS_DEFAULT);
TABLE_ARRAY(connections, struct flow_entry, FLOW_SLOTS_DEFAULT);
TABLE_ARRAY(flow_heads, struct flow_heads, FLOW_SLOTS_DEFAULT / 2);
/* Behind 'connections', whose name it has when it is found by its pin: libbpf takes the first. */
TABLE_HASH(former_connections, struct flow_key, struct former_entry, 1);
TABLE_ARRAY(half_open, struct half_open, MAX_PORTS_DEFAULT);
struct { /* Not for mapping: it holds a timer. */
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, 1);
    __type(key, __u32);
    __type(value, struct sweeper);
} sweeper SEC(".maps");
TABLE_ARRAY(policies, struct port_policy, MAX_PORTS_DEFAULT);
TABLE_HASH(rules, struct rules_key, struct rules_block, RULE_BLOCKS_MAX);
TABLE_HASH(members, struct member_key, __u64, MEMBERS_MAX);
TABLE_PREFIXES(member_prefixes, struct member_prefix_key, __u64, MEMBER_PREFIXES_MAX);
TABLE_HASH(firewall_rules, struct rules_key, struct firewall_block, FIREWALL_BLOCKS_MAX);
TABLE_ARRAY(router_ports, struct router_port_record, MAX_ROUTER_PORTS_DEFAULT);
TABLE_ARRAY(router_port_runtime, struct router_port_runtime, MAX_ROUTER_PORTS_DEFAULT);
TABLE_PREFIXES(routes, struct route_key, struct route_value, 65536);
TABLE_HASH(next_hops, struct next_hop_key, struct next_hop_value, 65536);
TABLE_HASH(floating, struct floating_key, struct floating_value, 65536);
TABLE_HASH(external, struct external_key, struct external_value, 262144);
TABLE_PREFIXES(forwarded, struct forwarding_key, struct external_value, FORWARDED_MAX);
TABLE_HASH(snat, __u32, struct snat_config, 4096);
TABLE_PREFIXES(snat_owners, struct snat_owner_key, struct output_value, 65536);
TABLE_HASH(gateways, struct flood_key, struct output_value, 65536);
TABLE_HASH(uplinks, struct uplink_key, struct uplink_value, 256);
TABLE_HASH(aliases, struct alias_key, struct alias_value, FLOW_SLOTS_DEFAULT);
struct {
    __uint(type, BPF_MAP_TYPE_LRU_HASH);
    __uint(max_entries, 4096);
    __type(key, struct alias_key);
    __type(value, struct portless_value);
} portless SEC(".maps");
TABLE_HASH(services, struct service_key, struct service_value, 65536);
TABLE_PREFIXES(service_sources, struct service_source_key, __u64, 65536);
TABLE_HASH(service_rows, struct service_rows_key, struct service_rows, 65536);
TABLE_HASH(service_members, __u32, struct service_member, SERVICE_MEMBERS_MAX);
TABLE_HASH(service_names, struct service_name, __u32, SERVICE_MEMBERS_MAX);
TABLE_HASH(balanced, struct flow_key, struct balanced_value, FLOW_SLOTS_DEFAULT);
TABLE_HASH(balanced_names, struct balanced_name, struct flow_key, FLOW_SLOTS_DEFAULT);
struct {
    __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
    __uint(max_entries, SERVICE_LISTENERS_DEFAULT);
    __type(key, __u32);
    __type(value, struct service_counters);
} service_counters SEC(".maps");
TABLE_ARRAY(listener_use, struct service_use, SERVICE_LISTENERS_DEFAULT);
TABLE_ARRAY(member_use, struct service_use, SERVICE_MEMBERS_MAX);
TABLE_ARRAY(outside_budget, struct outside_budget, MAX_ROUTER_PORTS_DEFAULT);
struct {
    __uint(type, BPF_MAP_TYPE_LRU_HASH);
    __uint(max_entries, 1024);
    __type(key, __u32);
    __type(value, struct uplink_budget);
} uplink_budget SEC(".maps");
TABLE_ARRAY(station_use, __u32, STATION_USE_SIZE);
TABLE_ARRAY(fragments, struct port_fragments, MAX_PORTS_DEFAULT);
TABLE_ARRAY(outside_fragments, struct port_fragments, OUTSIDE_FRAGMENTS);
TABLE_ARRAY(metadata, struct metadata_config, 1);
TABLE_ARRAY(metadata_budget, struct metadata_budget, MAX_PORTS_DEFAULT);
TABLE_HASH(probe_targets, __u32, struct probe_target, PROBE_TARGETS_MAX);
struct {
    __uint(type, BPF_MAP_TYPE_LRU_HASH);
    __uint(max_entries, PROBES_MAX);
    __type(key, struct probe_key);
    __type(value, __u32);
} probes SEC(".maps");
TABLE_ARRAY(settings, struct settings, 1);
struct {
    __uint(type, BPF_MAP_TYPE_RINGBUF);
    __uint(max_entries, 1 << 20);
} punt SEC(".maps");
TABLE_ARRAY(verdict_config, struct verdict_config, 1);
TABLE_ARRAY(verdict_runtime, struct verdict_runtime, MAX_PORTS_DEFAULT);
TABLE_ARRAY(router_verdict_runtime, struct verdict_runtime, MAX_ROUTER_PORTS_DEFAULT);
struct {
    __uint(type, BPF_MAP_TYPE_RINGBUF);
    __uint(max_entries, 1 << 20);
} verdicts SEC(".maps");
struct {
    __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
    __uint(max_entries, 1);
    __type(key, __u32);
    __type(value, struct scratch);
} scratch SEC(".maps");

/* How many entries 'connections' has: set before loading, as the sizes of both maps. */
const volatile __u32 flow_n_slots = FLOW_SLOTS_DEFAULT;
/* There is something in 'former_connections': likewise. */
const volatile __u32 has_former_connections;

static __always_inline struct scratch *scratch_get(void)
{
    __u32 zero = 0;

    return bpf_map_lookup_elem(&scratch, &zero);
}

/* Keeps the types in the object's BTF, for the layout test. */
struct punt_event punt_event_layout SEC(".bss");
struct verdict_event verdict_event_layout SEC(".bss");

#else

static struct scratch *scratch_get(void)
{
    static __thread struct scratch scratch;

    return &scratch;
}

#endif

/* A record may be rewritten at any time, so 'active' is taken once; the agent leaves the copy it names alone. */
static __always_inline struct port_config *port_config_get(__u32 slot, __u32 *ret_epoch)
{
    struct port_record *record = map_lookup(ports, &slot);

    if (!record)
        return NULL;
    *ret_epoch = *(volatile __u32 *)&record->epoch;
    return *(volatile __u32 *)&record->active & 1 ? &record->config[1] : &record->config[0];
}

static __always_inline struct host_config *host_config_get(__u32 slot)
{
    struct host_record *record = map_lookup(hosts, &slot);

    if (!record)
        return NULL;
    return *(volatile __u32 *)&record->active & 1 ? &record->config[1] : &record->config[0];
}

static __always_inline struct router_port_config *router_port_get(__u32 number)
{
    struct router_port_record *record = map_lookup(router_ports, &number);

    if (!record)
        return NULL;
    return *(volatile __u32 *)&record->active & 1 ? &record->config[1] : &record->config[0];
}

static __always_inline struct settings *settings_get(void)
{
    __u32 zero = 0;

    return map_lookup(settings, &zero);
}

/* The output that a one-word value names, if the value is still the one of 'vni'. */
static __always_inline __u32 output_of(const struct output_value *value, __u32 vni)
{
    if (!value)
        return OUTPUT_NONE;
    struct output_value copy;
    *(__u64 *)&copy = *(const volatile __u64 *)value;
    return copy.vni == vni ? copy.output : OUTPUT_NONE;
}

#endif
