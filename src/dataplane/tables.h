/* The contract between the agent and the data plane: every map, key and value, in one place.
 *
 * Included by the BPF programs (clang -target bpf), by their native build and by the agent, so it uses only fixed-width
 * types and explicit padding; tests/unit/dataplane checks that all three agree on each size and offset.
 *
 * How a table may change under a running data plane:
 *  - 'ports', 'hosts': arrays of double records.  The agent writes the copy that is not active, then
 *    stores 'active' (one word, release).  A reader takes 'active' once.  Two changes of one record are at least
 *    RECORD_GRACE_MS apart.  The arrays are BPF_F_MMAPABLE: the agent writes memory, not syscalls.
 *  - 'fdb', 'neighbors', 'flood', 'learned', 'peers': hashes whose value is one 64-bit word that repeats what it belongs to.
 *    A reader loads the word once and compares, because an element that was deleted while it was being read can be reused
 *    for another key at once (seen since Linux 6.1).
 *  - 'epoch' of a port is bumped after everything else of a change was written; a connection entry whose epoch differs
 *    is evaluated again.
 *
 * Byte order: addresses, MACs and L4 ports are as on the wire; all else is host order. */
#ifndef WEFT_DATAPLANE_TABLES_H
#define WEFT_DATAPLANE_TABLES_H

#ifdef __bpf__
#include <linux/bpf.h>
#else
#include <linux/types.h>
#endif

/* The maps, by name; the agent may change the sizes before it loads the object.
 *
 *   interfaces     hash          __u32 ifindex -> __u32 slot       8192
 *   ports          array, mmap   slot -> struct port_record        MAX_PORTS_DEFAULT
 *   port_runtime   array, mmap   slot -> struct port_runtime       MAX_PORTS_DEFAULT
 *   port_counters  per-CPU array slot -> struct port_counters      MAX_PORTS_DEFAULT
 *   sources        LPM           struct source_key -> source_value 65536
 *   networks       hash          __u32 vni -> struct network_value 16384
 *   fdb            hash          struct fdb_key -> output_value    262144
 *   learned        hash          struct fdb_key -> output_value    LEARNED_MAX
 *   movable        hash          struct movable_key -> output_value 65536
 *   neighbors      hash          struct neighbor_key -> neighbor_value 262144
 *   flood          hash          struct flood_key -> output_value  262144
 *   hosts          array, mmap   host slot -> struct host_record   MAX_HOSTS_DEFAULT
 *   host_runtime   array         host slot -> struct host_runtime  MAX_HOSTS_DEFAULT
 *   peers          hash          __u8[16] -> struct peer_value     4096
 *   projects       array, mmap   index -> struct project_record    MAX_PROJECTS_DEFAULT
 *   connections    array, mmap   place -> struct flow_entry        FLOW_SLOTS_DEFAULT
 *   flow_heads     array         hash / 2 -> struct flow_heads     FLOW_SLOTS_DEFAULT / 2
 *   former_connections hash      struct flow_key -> struct former_entry as the release before had it, or 1
 *   half_open      array         slot -> struct half_open          MAX_PORTS_DEFAULT
 *   sweeper        array         0 -> struct sweeper               1
 *   policies       array, mmap   slot -> struct port_policy        MAX_PORTS_DEFAULT
 *   rules          hash          struct rules_key -> struct rules_block RULE_BLOCKS_MAX
 *   members        hash          struct member_key -> __u64 (group)  MEMBERS_MAX
 *   member_prefixes LPM          struct member_prefix_key -> __u64 (group) MEMBER_PREFIXES_MAX
 *   firewall_rules hash          struct rules_key -> struct firewall_block FIREWALL_BLOCKS_MAX
 *   router_ports   array, mmap   router port -> struct router_port_record MAX_ROUTER_PORTS_DEFAULT
 *   router_port_runtime array, mmap router port -> struct router_port_runtime MAX_ROUTER_PORTS_DEFAULT
 *   routes         LPM           struct route_key -> struct route_value 65536
 *   next_hops      hash          struct next_hop_key -> struct next_hop_value 65536
 *   floating       hash          struct floating_key -> struct floating_value 65536
 *   external       hash          struct external_key -> struct external_value 262144
 *   forwarded      LPM           struct forwarding_key -> struct external_value FORWARDED_MAX
 *   snat           hash          __u32 router port -> struct snat_config 4096
 *   snat_owners    LPM           struct snat_owner_key -> struct output_value 65536
 *   gateways       hash          struct flood_key -> struct output_value 65536
 *   uplinks        hash          struct uplink_key -> struct uplink_value 256
 *   aliases        hash          struct alias_key -> struct alias_value FLOW_SLOTS_DEFAULT
 *   portless       LRU hash      struct alias_key -> struct portless_value 4096
 *   outside_budget array         router port -> struct outside_budget MAX_ROUTER_PORTS_DEFAULT
 *   uplink_budget  LRU hash      VNI -> struct uplink_budget       1024
 *   station_use    array         station_index() -> __u32          STATION_USE_SIZE
 *   fragments      array         slot -> struct port_fragments     MAX_PORTS_DEFAULT
 *   outside_fragments array      router port -> struct port_fragments OUTSIDE_FRAGMENTS
 *   services       hash          struct service_key -> struct service_value 65536
 *   service_sources LPM          struct service_source_key -> __u64 65536
 *   service_rows   hash          struct service_rows_key -> struct service_rows 65536
 *   service_members hash         __u32 number -> struct service_member SERVICE_MEMBERS_MAX
 *   service_names  hash          struct service_name -> __u32 number SERVICE_MEMBERS_MAX
 *   balanced       hash          struct flow_key -> struct balanced_value FLOW_SLOTS_DEFAULT
 *   balanced_names hash          struct balanced_name -> struct flow_key FLOW_SLOTS_DEFAULT
 *   service_counters per-CPU array listener -> struct service_counters SERVICE_LISTENERS_DEFAULT
 *   listener_use   array, mmap   listener -> struct service_use    SERVICE_LISTENERS_DEFAULT
 *   member_use     array, mmap   member -> struct service_use      SERVICE_MEMBERS_MAX
 *   verdict_config array, mmap   0 -> struct verdict_config        1
 *   verdict_runtime array, mmap  slot -> struct verdict_runtime    MAX_PORTS_DEFAULT
 *   router_verdict_runtime array, mmap  router port -> struct verdict_runtime  MAX_ROUTER_PORTS_DEFAULT
 *   verdicts       ring buffer   struct verdict_event              1 MiB
 *   metadata       array, mmap   0 -> struct metadata_config       1
 *   metadata_budget array        slot -> struct metadata_budget    MAX_PORTS_DEFAULT
 *   probe_targets  hash          __u32 number -> struct probe_target PROBE_TARGETS_MAX
 *   probes         LRU hash      struct probe_key -> __u32 number   PROBES_MAX
 *   settings       array, mmap   0 -> struct settings              1
 *   punt           ring buffer   struct punt_event                 1 MiB
 *   scratch        per-CPU array 0 -> struct scratch (bpf/maps.h)  1, not pinned
 *   packets        per-CPU array program -> struct packet (bpf/packet.h) 5, not pinned
 *
 * None of the hashes is preallocated.  The programs, all of them tc classifiers with direct action:
 *
 *   from_workload     ingress of the host's end of each plugged tap or veth
 *   from_underlay     ingress of each underlay device
 *   from_uplink       ingress of each device into a physical network, behind from_underlay where it is both
 *   to_tunnel         egress of the tunnel device: gives copies of flooded frames their header
 *   from_metadata     egress of the metadata device: answers to workloads
 *   end_connection    nowhere: the agent runs it to end a connection (struct end_request)
 *   through_neighbor  ingress of the tunnel device: sends what cannot use bpf_redirect_neigh at once (frames that are
 *                     neither IPv4 nor IPv6 inside) to the next hop */

#define TABLES_LAYOUT 1      /* In the pin path: /sys/fs/bpf/weft/<host>/v<layout>/.  Of maps that change one by one: load.c. */
#define MAX_PORTS_DEFAULT 4096
#define MAX_HOSTS_DEFAULT 4096
#define MAX_PROJECTS_DEFAULT 4096
#define RECORD_GRACE_MS 10
_Static_assert(MAX_PROJECTS_DEFAULT <= 65536, "network_value holds an index in 16 bits");

/* ---- why a frame was dropped --------------------------------------------------------------------------------- */

enum drop_reason {
    DROP_NONE,
#define DROP_REASON(name, text) DROP_##name,
#include "weft/dataplane/drop-reasons.def"
#undef DROP_REASON
    N_DROP_REASONS
};

/* ---- where a frame goes: one word ------------------------------------------------------------------------- */

#define OUTPUT_NONE 0u
#define OUTPUT_LOCAL 0x40000000u  /* | local port slot */
#define OUTPUT_REMOTE 0x80000000u /* | host slot */
#define OUTPUT_ROUTER 0xc0000000u /* | router port: the MAC is a router's */
#define OUTPUT_UPLINK 0x10000000u /* | 0: out of this host's uplink of the network */
#define OUTPUT_SERVICE 0x20000000u /* | 0, or on an external network its number as a router port: the MAC is a load balancer's; of connection entries more: tables-balancing.h */
#define OUTPUT_KIND_MASK 0xf0000000u
#define OUTPUT_SLOT_MASK 0x0fffffffu

/* ---- the tables ------------------------------------------------------------------------------------------------ */

#include "weft/dataplane/tables-ports.h"
#include "weft/dataplane/tables-switching.h"
#include "weft/dataplane/tables-policy.h"
#include "weft/dataplane/tables-routing.h"
#include "weft/dataplane/tables-translation.h"
#include "weft/dataplane/tables-tunnel.h"
#include "weft/dataplane/tables-balancing.h"
#include "weft/dataplane/tables-connections.h"
#include "weft/dataplane/tables-agent.h"
#include "weft/dataplane/tables-probes.h"

#endif
