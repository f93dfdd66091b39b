/* The pipeline as a table: a frame in, verdict, reason, and the frame out.  The world is tests/bpf/fixture.h's. */
#include <endian.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <linux/if_ether.h>

#include "cases.h"
#include "weft/base/util.h"

static void gso_tcp(struct pipeline *pipeline, struct pipeline_frame *frame)
{
    frame->gso_size = 1396;
    frame->gso_segs = 2;
    frame->gso_tcp = true;
}

static void gso_tcp_too_big(struct pipeline *pipeline, struct pipeline_frame *frame)
{
    gso_tcp(pipeline, frame);
    frame->gso_size = 1430;
}

static void gso_other(struct pipeline *pipeline, struct pipeline_frame *frame)
{
    frame->gso_size = 100;
    frame->gso_segs = 9;
}

static void tagged(struct pipeline *pipeline, struct pipeline_frame *frame)
{
    frame->vlan_present = true;
}

static void metadata_is_used_up(struct pipeline *pipeline, struct pipeline_frame *frame)
{
    struct metadata_budget *budget = pipeline_lookup(pipeline, "metadata_budget", &(uint32_t){1});

    budget->time_ns = UINT64_MAX / 2; /* Nothing comes in before then. */
}

static void no_metadata(struct pipeline *pipeline, struct pipeline_frame *frame)
{
    struct metadata_config *config = pipeline_lookup(pipeline, "metadata", &(uint32_t){0});

    config->ifindex = 0;
}

static void headers_in_pieces(struct pipeline *pipeline, struct pipeline_frame *frame)
{
    frame->linear = 14;
}

static void ring_is_full(struct pipeline *pipeline, struct pipeline_frame *frame)
{
    pipeline_set_punt_space(pipeline, 0);
}

static void no_punt_budget(struct pipeline *pipeline, struct pipeline_frame *frame)
{
    fixture_port(pipeline, 1)->punt_rate = 0;
}

static void no_bum_budget(struct pipeline *pipeline, struct pipeline_frame *frame)
{
    fixture_port(pipeline, 1)->bum_rate = 0;
}

static void small_bum_budget(struct pipeline *pipeline, struct pipeline_frame *frame)
{
    fixture_port(pipeline, 1)->bum_burst = 2;
}

static void macs_all_used(struct pipeline *pipeline, struct pipeline_frame *frame)
{
    const uint32_t slot = 4;

    ((struct port_runtime *)pipeline_lookup(pipeline, "port_runtime", &slot))->n_learned = MAX_LEARNED_PER_PORT;
}

static void project_macs_all_used(struct pipeline *pipeline, struct pipeline_frame *frame)
{
    const uint32_t project = 7;

    ((struct project_record *)pipeline_lookup(pipeline, "projects", &project))->max_learned = 0;
}

static void gso_flood(struct pipeline *pipeline, struct pipeline_frame *frame)
{
    gso_other(pipeline, frame);
    fixture_port(pipeline, 1)->bum_burst = 2 * frame->gso_segs + 1;
}

static void flood_unknown(struct pipeline *pipeline, struct pipeline_frame *frame)
{
    const uint32_t vni = 7;
    struct network_value *network = pipeline_lookup(pipeline, "networks", &vni);

    network->flags = NETWORK_FLOOD_UNKNOWN_NEIGHBORS;
}

#define N_MANY_MEMBERS 3000

static void many_members(struct pipeline *pipeline, struct pipeline_frame *frame)
{
    fixture_port(pipeline, 1)->bum_rate = fixture_port(pipeline, 1)->bum_burst = 10000;
    for (uint32_t i = 0; i < N_MANY_MEMBERS; i++)
        fixture_flood(pipeline, 7, FLOOD_LOCAL | i, i ? OUTPUT_LOCAL | 2 : OUTPUT_LOCAL | 1);
}

static void nine_hosts(struct pipeline *pipeline, struct pipeline_frame *frame)
{
    fixture_nine_hosts(pipeline);
}

static void nine_hosts_and_budget_for_six(struct pipeline *pipeline, struct pipeline_frame *frame)
{
    nine_hosts(pipeline, frame);
    fixture_port(pipeline, 1)->bum_burst = 3 + 6; /* Three ports have a copy first. */
}

static void hosts_only(struct pipeline *pipeline, struct pipeline_frame *frame)
{
    nine_hosts(pipeline, frame);
    for (uint32_t i = 0; i < 5; i++)
        pipeline_delete(pipeline, "flood", &(struct flood_key){7, FLOOD_LOCAL | i});
}

static void hosts_only_and_no_relay_budget(struct pipeline *pipeline, struct pipeline_frame *frame)
{
    const uint32_t zero = 0;

    hosts_only(pipeline, frame);
    ((struct settings *)pipeline_lookup(pipeline, "settings", &zero))->relay_rate = 0;
}

static void project_full(struct pipeline *pipeline, struct pipeline_frame *frame)
{
    const uint32_t project = 7;
    struct project_record *record = pipeline_lookup(pipeline, "projects", &project);

    record->max_half_open = 0;
}

static void no_rules(struct pipeline *pipeline, struct pipeline_frame *frame)
{
    fixture_policy(pipeline, 1, 0, 0);
    fixture_policy(pipeline, 8, 0, 0);
}

static void all_rules(struct pipeline *pipeline, struct pipeline_frame *frame)
{
    fixture_policy(pipeline, 1, FIXTURE_ALLOW_ALL, FIXTURE_ALLOW_ALL);
}

static void learned_at_4(struct pipeline *pipeline, struct pipeline_frame *frame)
{
    fixture_fdb(pipeline, "learned", 7, "W", OUTPUT_LOCAL | 4);
}

static void stale_fdb(struct pipeline *pipeline, struct pipeline_frame *frame)
{
    fixture_fdb(pipeline, "fdb", 7, "Z", OUTPUT_LOCAL | 3); /* A slot of another tenant. */
}

static void fdb_value_of_other_network(struct pipeline *pipeline, struct pipeline_frame *frame)
{
    struct fdb_key key = {.vni = 7};

    frame_mac("B", key.mac); /* As an element that was reused while it was being read. */
    ((struct output_value *)pipeline_lookup(pipeline, "fdb", &key))->vni = 8;
}

static void fdb_says_remote(struct pipeline *pipeline, struct pipeline_frame *frame)
{
    fixture_fdb(pipeline, "fdb", 7, "B", OUTPUT_REMOTE | 2);
}

static void not_for_host(struct pipeline *pipeline, struct pipeline_frame *frame)
{
    frame->not_for_host = true;
}

static void encapsulated_frames_of_others(struct pipeline *pipeline, struct pipeline_frame *frame)
{
    fixture_host(pipeline, 1)->local[15] = 77;
}

#define WELL "A>B ip 10.0.0.1>10.0.0.2 udp 1000>2000 +20"
#define IN4 "outer 192.0.2.2>192.0.2.1 7 0 "
#define IN4_FLOOD "outer 192.0.2.2>192.0.2.1 7 1 "
#define IN6 "outer 2001:db8::2>2001:db8::1 7 0 "

static const struct packet_case cases[] = {
    /* ---- known unicast ---- */
    {"udp_to_a_local_port", 1, WELL, TO_PORT(2), .out = WELL},
    {"tcp_to_a_local_port", 1, "A>B ip 10.0.0.1>10.0.0.2 tcp 1000>2000 S", TO_PORT(2)},
    {"ipv6_to_a_local_port", 1, "A>B ip6 fd01::1>fd01::2 udp 1>2 +9", TO_PORT(2)},
    {"echo_to_a_tap", 1, "A>D ip 10.0.0.1>10.0.0.4 icmp 8 77 +30", TO_PORT(4)},
    {"udp_to_a_host_over_ipv4", 1, "A>M ip 10.0.0.1>10.0.0.101 udp 1>2 +5", TO_HOST(1),
     .out = "A>M ip 10.0.0.1>10.0.0.101 udp 1>2 +5"},
    {"udp_to_a_host_over_ipv6", 1, "A>N ip 10.0.0.1>10.0.0.102 udp 1>2 +5", TO_HOST(2),
     .out = "A>N ip 10.0.0.1>10.0.0.102 udp 1>2 +5"},
    {"ipv6_to_a_host_over_ipv4", 1, "A>M ip6 fd01::1>fd01::101 tcp 1>2 S", TO_HOST(1),
     .out = "A>M ip6 fd01::1>fd01::101 tcp 1>2 S"},
    {"arp_reply_to_a_host_over_ipv4", 1, "A>M arp reply A 10.0.0.1 10.0.0.101", TO_HOST(1),
     .out = "A>M arp reply A 10.0.0.1 10.0.0.101"},
    {"arp_reply_to_a_host_by_neighbor", 1, "A>N arp reply A 10.0.0.1 10.0.0.102", TO_HOST(2),
     .out = "A>N arp reply A 10.0.0.1 10.0.0.102"},
    {"arp_reply_to_a_local_port", 1, "A>B arp reply A 10.0.0.1 10.0.0.2", TO_PORT(2)},
    {"other_types_without_port_security", 4, "D>B type=0x88b5 +50", TO_PORT(2)},
    {"same_mac_in_another_network_is_not_reached", 3, "B>A ip 10.0.0.2>10.0.0.1 udp 1>2", DROPS(unknown_destination, 3)},
    {"unknown_mac", 1, "A>X ip 10.0.0.1>10.0.0.9 udp 1>2", DROPS(unknown_destination, 1)},
    {"own_mac", 1, "A>A ip 10.0.0.1>10.0.0.1 udp 1>2", DROPS(unknown_destination, 1)},
    {"stale_slot_never_crosses_tenants", 1, "A>Z ip 10.0.0.1>10.0.0.3 udp 1>2", DROPS(unknown_destination, 1), .arrange = stale_fdb},
    {"reused_element_is_not_believed", 1, WELL, DROPS(unknown_destination, 1), .arrange = fdb_value_of_other_network},
    {"destination_is_down", 1, "A>E ip 10.0.0.1>10.0.0.5 udp 1>2", DROPS(destination_down, 5)},
    {"destination_is_not_plugged", 1, "A>F ip 10.0.0.1>10.0.0.6 udp 1>2", DROPS(destination_down, 6)},
    {"host_without_next_hop", 1, "A>O ip 10.0.0.1>10.0.0.103 udp 1>2", DROPS(host_unreachable, 1)},
    {"sender_is_down", 5, "E>A ip 10.0.0.5>10.0.0.1 udp 1>2", DROPS(port_down, 5)},
    {"interface_of_no_port", 9, WELL, DROPS(no_port, 0)},
    {"ip_options_pass", 1, "A>B ip 10.0.0.1>10.0.0.2 options udp 1>2", TO_PORT(2)},
    {"first_fragment_passes", 1, "A>B ip 10.0.0.1>10.0.0.2 more udp 1>2 +100", TO_PORT(2)},
    {"later_fragment_passes", 1, "A>B ip 10.0.0.1>10.0.0.2 frag=20 +100", TO_PORT(2)},
    {"ipv6_fragments_pass", 1, "A>B ip6 fd01::1>fd01::2 frag=20 proto 17 +100", TO_PORT(2)},
    {"ipv6_hop_by_hop_passes", 1, "A>B ip6 fd01::1>fd01::2 hopopts udp 1>2", TO_PORT(2)},
    {"unknown_protocol_passes", 1, "A>B ip 10.0.0.1>10.0.0.2 proto 47 +20", TO_PORT(2)},
    {"headers_outside_of_the_linear_part", 1, WELL, TO_PORT(2), .arrange = headers_in_pieces},
    {"ingress_policy_makes_an_entry", 1, "A>H ip 10.0.0.1>10.0.0.8 udp 1>2", TO_PORT(8)},
    {"ingress_policy_without_an_entry", 1, "A>H ip 10.0.0.1>10.0.0.8 udp 1>2", DROPS(connection_limit, 8), .arrange = project_full},
    {"policy_lets_nothing_out", 1, WELL, DROPS(policy_egress, 1), .arrange = no_rules},
    {"policy_lets_nothing_in", 2, "B>H ip 10.0.0.2>10.0.0.8 udp 1>2", DROPS(policy_ingress, 8), .arrange = no_rules},
    {"policy_lets_no_broadcast_out", 1, "A>* ip 10.0.0.1>10.0.0.255 udp 1>2", DROPS(policy_egress, 1), .arrange = no_rules},
    {"policy_takes_no_fragment_of_nothing", 1, "A>B ip 10.0.0.1>10.0.0.2 frag=20 proto 17 +40", DROPS(fragment_unknown, 1), .arrange = all_rules},
    {"tiny_first_fragment", 1, "A>B ip 10.0.0.1>10.0.0.2 more proto 6 +16", DROPS(fragment_header, 1)},
    {"fragment_over_a_header", 1, "A>B ip 10.0.0.1>10.0.0.2 frag=1 proto 6 +40", DROPS(fragment_header, 1)},
    {"policy_takes_no_answer_to_nothing", 1, "A>B ip 10.0.0.1>10.0.0.2 tcp 1>2 SA", DROPS(tcp_window, 1), .arrange = all_rules},
    {"policy_concerns_no_arp", 1, "A>B arp reply A 10.0.0.1 10.0.0.2", TO_PORT(2), .arrange = no_rules},
    {"no_policy_no_entry_still_passes", 1, WELL, TO_PORT(2), .arrange = project_full},

    /* ---- broken frames ---- */
    {"ip_header_cut", 1, "A>B ip 10.0.0.1>10.0.0.2 udp 1>2 cut=30", DROPS(truncated, 1)},
    {"tcp_header_cut", 1, "A>B ip 10.0.0.1>10.0.0.2 tcp 1>2 S cut=40", DROPS(bad_header, 1)},
    {"ipv6_header_cut", 1, "A>B ip6 fd01::1>fd01::2 cut=50", DROPS(truncated, 1)},
    {"arp_cut", 1, "A>B arp request A 10.0.0.1 10.0.0.2 cut=40", DROPS(truncated, 1)},
    {"ip_version", 1, WELL " set=14:0x55", DROPS(bad_header, 1)},
    {"ip_header_length", 1, WELL " set=14:0x44", DROPS(bad_header, 1)},
    {"ip_total_length", 1, WELL " set=16:9", DROPS(bad_header, 1)},
    {"tcp_data_offset", 1, "A>B ip 10.0.0.1>10.0.0.2 tcp 1>2 S set=46:0x40", DROPS(bad_header, 1)},
    {"endless_ipv6_extensions", 1,
     "A>B ip6 fd01::1>fd01::2 hopopts hopopts hopopts hopopts hopopts hopopts hopopts udp 1>2", DROPS(bad_header, 1)},
    {"ipv6_extension_beyond_the_end", 1, "A>B ip6 fd01::1>fd01::2 hopopts udp 1>2 set=55:200", DROPS(bad_header, 1)},
    {"tag_in_the_frame", 1, "A>B vlan ip 10.0.0.1>10.0.0.2 udp 1>2", DROPS(vlan_tagged, 1)},
    {"tag_in_the_metadata", 1, WELL, DROPS(vlan_tagged, 1), .arrange = tagged},
    {"bridge_group_address", 4, "D>! type=0x88cc +50", DROPS(reserved_destination, 4)},
    {"group_address_as_source", 4, "33:33:00:00:00:01>B type=0x88b5 +50", DROPS(spoofed_mac, 4)},

    /* ---- sizes ---- */
    {"mtu_is_allowed", 1, "A>B ip 10.0.0.1>10.0.0.2 udp 1>2 +1422", TO_PORT(2)},
    {"larger_than_mtu", 1, "A>B ip 10.0.0.1>10.0.0.2 udp 1>2 +1423", DROPS(too_big, 1)},
    {"larger_than_mtu_is_told", 1, "A>B ip 10.0.0.1>10.0.0.2 df udp 1>2 +1423", DROPS(too_big, 1), .n_outputs = 1},
    {"larger_than_mtu_ipv6_is_told", 1, "A>B ip6 fd01::1>fd01::2 udp 1>2 +1423", DROPS(too_big, 1), .n_outputs = 1},
    {"gso_is_one_frame", 1, "A>B ip 10.0.0.1>10.0.0.2 tcp 1>2 A +2700", TO_PORT(2), .arrange = gso_tcp},
    {"gso_to_a_host_stays_one_frame", 1, "A>M ip 10.0.0.1>10.0.0.101 tcp 1>2 A +2700", TO_HOST(1), .arrange = gso_tcp,
     .out = "A>M ip 10.0.0.1>10.0.0.101 tcp 1>2 A +2700"},
    {"gso_segments_too_big", 1, "A>B ip 10.0.0.1>10.0.0.2 tcp 1>2 A +2700", DROPS(too_big, 1), .arrange = gso_tcp_too_big},
    {"gso_that_the_kernel_cannot_encapsulate", 1, "A>M ip 10.0.0.1>10.0.0.101 udp 1>2 +900", DROPS(no_buffer, 1), .arrange = gso_other},

    /* ---- port security ---- */
    {"spoofed_mac", 1, "B>D ip 10.0.0.1>10.0.0.4 udp 1>2", DROPS(spoofed_mac, 1)},
    {"spoofed_ipv4", 1, "A>B ip 10.0.0.9>10.0.0.2 udp 1>2", DROPS(spoofed_ip, 1)},
    {"spoofed_ipv4_fragment", 1, "A>B ip 10.0.0.9>10.0.0.2 frag=5 +20", DROPS(spoofed_ip, 1)},
    {"spoofed_ipv6", 1, "A>B ip6 fd01::9>fd01::2 udp 1>2", DROPS(spoofed_ip, 1)},
    {"allowed_pair", 1, "A>B ip 10.1.77.1>10.0.0.2 udp 1>2", TO_PORT(2)},
    {"allowed_pair_with_its_mac", 7, "V>* arp request V 10.9.0.1 10.9.0.1", DROPS(flood_empty, 7)},
    {"allowed_pair_with_another_mac", 7, "W>* arp request W 10.9.0.1 10.9.0.1", DROPS(spoofed_mac, 7)},
    {"allowed_pair_with_the_ports_mac", 7, "G>X ip 10.9.0.1>10.0.0.9 udp 1>2", DROPS(spoofed_ip, 7)},
    {"link_local_from_the_mac", 1, "A>B ip6 fe80::ff:fe00:41>fd01::2 udp 1>2", TO_PORT(2)},
    {"link_local_of_somebody_else", 1, "A>B ip6 fe80::1>fd01::2 udp 1>2", DROPS(spoofed_ip, 1)},
    {"unspecified_ipv4", 1, "A>* ip 0.0.0.0>255.255.255.255 udp 1>2", DROPS(spoofed_ip, 1)},
    {"unspecified_ipv6", 1, "A>B ip6 ::>fd01::2 udp 1>2", DROPS(spoofed_ip, 1)},
    {"ethertype", 1, "A>B type=0x88b5 +50", DROPS(ethertype, 1)},
    {"arp_sender_mac", 1, "A>* arp request B 10.0.0.1 10.0.0.2", DROPS(spoofed_arp, 1)},
    {"arp_sender_address", 1, "A>* arp request A 10.0.0.9 10.0.0.2", DROPS(spoofed_arp, 1)},
    {"arp_reply_for_another_address", 1, "A>B arp reply A 10.0.0.8 10.0.0.2", DROPS(spoofed_arp, 1)},
    {"arp_of_another_hardware", 1, "A>* arp request A 10.0.0.1 10.0.0.2 set=15:6", DROPS(bad_header, 1)},
    {"nd_advertises_another_address", 1, "A>B ip6 fd01::1>fd01::2 na fd01::8 A", DROPS(spoofed_nd, 1)},
    {"nd_advertises_another_mac", 1, "A>B ip6 fd01::1>fd01::2 na fd01::1 B", DROPS(spoofed_nd, 1)},
    {"nd_advertises_its_own", 1, "A>B ip6 fd01::1>fd01::2 na fd01::1 A", TO_PORT(2)},
    {"nd_solicits_with_another_mac", 1, "A>33:33:ff:00:00:02 ip6 fd01::1>ff02::1:ff00:2 ns fd01::2 B", DROPS(spoofed_nd, 1)},
    {"nd_from_beyond_the_link", 1, "A>B ip6 fd01::1>fd01::2 ns fd01::2 A ttl=64", DROPS(bad_header, 1)},
    {"nd_option_without_length", 1, "A>B ip6 fd01::1>fd01::2 na fd01::1 A set=79:0", DROPS(bad_header, 1)},
    {"nd_in_a_fragment", 1, "A>B ip6 fd01::1>fd01::2 more na fd01::1 A", DROPS(bad_header, 1)},
    {"nd_detects_duplicates_of_another", 1, "A>33:33:ff:00:00:08 ip6 ::>ff02::1:ff00:8 ns fd01::8 -", DROPS(spoofed_nd, 1)},
    {"nd_redirect", 1, "A>B ip6 fd01::1>fd01::2 icmp6 137 0 +32", DROPS(spoofed_nd, 1)},
    {"dhcp_server", 2, "B>A ip 10.0.0.2>10.0.0.1 udp 67>68 +240", DROPS(dhcp_server, 2)},
    {"dhcpv6_server", 2, "B>A ip6 fd01::2>fd01::1 udp 547>546 +40", DROPS(dhcp_server, 2)},
    {"router_advertisement", 2, "B>33:33:00:00:00:01 ip6 fd01::2>ff02::1 icmp6 134 0 +8", DROPS(dhcp_server, 2)},
    {"router_advertisement_behind_an_extension", 2, "B>33:33:00:00:00:01 ip6 fd01::2>ff02::1 hopopts icmp6 134 0 +8",
     DROPS(dhcp_server, 2)},
    {"no_security_no_checks", 4, "X>B ip 1.2.3.4>10.0.0.2 udp 67>68 +20", TO_PORT(2)},

    /* ---- ARP and ND answered here ---- */
    {"arp_answered", 1, "A>* arp request A 10.0.0.1 10.0.0.2", ANSWERS, .out = "B>A arp reply B 10.0.0.2 10.0.0.1 set=32:2 set=37:65"},
    {"arp_answered_for_a_remote_port", 1, "A>* arp request A 10.0.0.1 10.0.0.101", ANSWERS,
     .out = "M>A arp reply M 10.0.0.101 10.0.0.1 set=32:2 set=37:65"},
    {"arp_probe_of_a_taken_address", 1, "A>* arp request A 0.0.0.0 10.0.0.2", ANSWERS},
    {"arp_probe_of_its_own_address", 1, "A>* arp request A 0.0.0.0 10.0.0.1", DROPS(unknown_neighbor, 1)},
    {"arp_for_nobody", 1, "A>* arp request A 10.0.0.1 10.0.0.99", DROPS(unknown_neighbor, 1)},
    {"arp_for_nobody_is_flooded_on_request", 1, "A>* arp request A 10.0.0.1 10.0.0.99", FLOODS(5), .arrange = flood_unknown},
    {"arp_in_the_other_tenant", 3, "B>* arp request B 10.0.0.2 10.0.0.1", DROPS(unknown_neighbor, 3)},
    {"thousands_of_ports_get_a_copy", 1, "A>* arp request A 10.0.0.1 10.0.0.1", FLOODS(N_MANY_MEMBERS - 1 + 2), .arrange = many_members},
    {"arp_announcement_is_flooded", 1, "A>* arp request A 10.0.0.1 10.0.0.1", FLOODS(5)},
    {"nd_answered", 1, "A>33:33:ff:00:00:02 ip6 fd01::1>ff02::1:ff00:2 ns fd01::2 A", ANSWERS,
     .out = "B>A ip6 fd01::2>fd01::1 na fd01::2 B set=58:0x60 set=56:0x1c"},
    {"nd_answered_without_option", 1, "A>33:33:ff:00:00:02 ip6 fd01::1>ff02::1:ff00:2 ns fd01::2 -", ANSWERS},
    {"nd_answered_with_more_options", 1, "A>33:33:ff:00:00:02 ip6 fd01::1>ff02::1:ff00:2 ns fd01::2 A +8 set=86:14 set=87:1", ANSWERS},
    {"nd_detects_its_own_address", 1, "A>33:33:ff:00:00:01 ip6 ::>ff02::1:ff00:1 ns fd01::1 -", DROPS(unknown_neighbor, 1)},
    {"nd_for_nobody", 1, "A>33:33:ff:00:00:99 ip6 fd01::1>ff02::1:ff00:99 ns fd01::99 A", DROPS(unknown_neighbor, 1)},
    {"nd_probe_of_an_unlisted_address_is_switched", 1, "A>B ip6 fd01::1>fd01::2 ns fe80::2 A", TO_PORT(2)},

    /* ---- to the agent ---- */
    {"dhcp_discover", 1, "A>* ip 0.0.0.0>255.255.255.255 udp 68>67 +240", PUNTS},
    {"dhcp_renewal", 1, "A>X ip 10.0.0.1>10.0.0.254 udp 68>67 +240", PUNTS},
    {"dhcp_renewal_of_a_former_address", 1, "A>X ip 10.0.0.77>10.0.0.254 udp 68>67 +240", PUNTS},
    {"dhcp_renewal_by_a_foreign_mac", 1, "X>B ip 10.0.0.77>10.0.0.254 udp 68>67 +240", DROPS(spoofed_mac, 1)},
    {"dhcp_renewal_of_a_former_address_without_service", 2, "B>X ip 10.0.0.77>10.0.0.254 udp 68>67 +240", DROPS(spoofed_ip, 2)},
    {"dhcp_renewal_of_a_former_address_in_a_fragment", 1, "A>X ip 10.0.0.77>10.0.0.254 more udp 68>67 +240", DROPS(spoofed_ip, 1)},
    {"dhcp_without_service_is_broadcast", 2, "B>* ip 0.0.0.0>255.255.255.255 udp 68>67 +240", FLOODS(5)},
    {"dhcpv6_solicit", 1, "A>33:33:00:01:00:02 ip6 fe80::ff:fe00:41>ff02::1:2 udp 546>547 +40", PUNTS},
    {"router_solicitation", 1, "A>33:33:00:00:00:02 ip6 ::>ff02::2 rs -", PUNTS},
    {"router_solicitation_from_an_address", 1, "A>33:33:00:00:00:02 ip6 fe80::ff:fe00:41>ff02::2 rs A", PUNTS},
    {"dhcp_over_budget", 1, "A>* ip 0.0.0.0>255.255.255.255 udp 68>67 +240", DROPS(punt_budget, 1), .arrange = no_punt_budget},
    {"dhcp_agent_is_slow", 1, "A>* ip 0.0.0.0>255.255.255.255 udp 68>67 +240", DROPS(punt_full, 1), .arrange = ring_is_full},

    /* ---- broadcast and multicast ---- */
    {"broadcast", 1, "A>* ip 10.0.0.1>10.0.0.255 udp 1>2", FLOODS(5)},
    {"multicast", 1, "A>01:00:5e:01:02:03 ip 10.0.0.1>224.1.2.3 udp 1>2", FLOODS(5)},
    {"listener_report", 1, "A>33:33:00:00:00:16 ip6 ::>ff02::16 hopopts icmp6 143 0", FLOODS(5)},
    {"alone", 7, "G>* ip 10.0.0.7>10.0.0.255 udp 1>2", DROPS(flood_empty, 7)},
    {"no_copies_allowed", 1, "A>* ip 10.0.0.1>10.0.0.255 udp 1>2", DROPS(bum_budget, 1), .arrange = no_bum_budget},
    {"more_macs_than_allowed", 4, "W>* arp request W 10.5.0.1 10.5.0.1", DROPS(mac_limit, 4), .arrange = macs_all_used},
    {"more_macs_than_the_project_may", 4, "W>* arp request W 10.5.0.1 10.5.0.1", DROPS(project_mac_limit, 4),
     .arrange = project_macs_all_used},
    {"a_port_of_a_full_project_speaks_as_itself", 4, "D>* arp request D 10.0.0.4 10.0.0.4", FLOODS(5), .arrange = project_macs_all_used},
    {"a_full_projects_frames_from_hosts_are_not_learned", 0, IN4_FLOOD "V>* arp request V 10.5.0.1 10.5.0.1", FLOODS(4),
     .arrange = project_macs_all_used},
    {"a_large_frame_costs_what_it_becomes", 1, "A>* ip 10.0.0.1>10.0.0.255 udp 1>2 +800", FLOODS(2), .reason = DROP_bum_budget,
     .arrange = gso_flood},
    {"some_copies_allowed", 1, "A>* ip 10.0.0.1>10.0.0.255 udp 1>2", FLOODS(2), .reason = DROP_bum_budget, .arrange = small_bum_budget},

    /* ---- MACs that move ---- */
    {"learned_mac", 1, "A>W ip 10.0.0.1>10.5.0.1 udp 1>2", TO_PORT(4), .arrange = learned_at_4},

    /* ---- from other hosts ---- */
    {"tunnel_to_a_port", 0, IN4 "M>A ip 10.0.0.101>10.0.0.1 udp 1>2 +9", TO_PORT(1), .out = "M>A ip 10.0.0.101>10.0.0.1 udp 1>2 +9"},
    {"tunnel_over_ipv6", 0, IN6 "N>A ip 10.0.0.102>10.0.0.1 udp 1>2 +9", TO_PORT(1), .out = "N>A ip 10.0.0.102>10.0.0.1 udp 1>2 +9"},
    {"tunnel_with_ipv6_inside", 0, IN4 "M>A ip6 fd01::101>fd01::1 udp 1>2 +9", TO_PORT(1), .out = "M>A ip6 fd01::101>fd01::1 udp 1>2 +9"},
    {"tunnel_with_arp_inside", 0, IN6 "N>A arp reply N 10.0.0.102 10.0.0.1", TO_PORT(1), .out = "N>A arp reply N 10.0.0.102 10.0.0.1"},
    {"tunnel_to_a_port_with_policy", 0, IN4 "M>H ip 10.0.0.101>10.0.0.8 tcp 1>2 S", TO_PORT(8)},
    {"tunnel_flood_to_local_ports_only", 0, IN4_FLOOD "M>* arp request M 10.0.0.101 10.0.0.101", FLOODS(4)},
    {"nine_hosts_get_two_copies", 1, "A>* arp request A 10.0.0.1 10.0.0.1", FLOODS(3 + 2), .arrange = nine_hosts},
    {"a_mac_that_moves_goes_to_each_host", 4, "W>* arp request W 10.5.0.1 10.5.0.1", FLOODS(3 + 9), .arrange = nine_hosts},
    {"a_tree_is_cut_to_the_budget", 1, "A>* arp request A 10.0.0.1 10.0.0.1", FLOODS(3 + 2), .reason = DROP_bum_budget,
     .arrange = nine_hosts_and_budget_for_six},
    {"relayed_to_all_behind_it", 0, "outer 192.0.2.2>192.0.2.1 7 4/1/849 M>* arp request M 10.0.0.101 10.0.0.101", FLOODS(4 + 2),
     .arrange = nine_hosts},
    {"relayed_to_one_behind_it", 0, "outer 192.0.2.2>192.0.2.1 7 4/1/49 M>* arp request M 10.0.0.101 10.0.0.101", FLOODS(4 + 1),
     .arrange = nine_hosts},
    {"relayed_to_nobody_behind_it", 0, "outer 192.0.2.2>192.0.2.1 7 4/1/0xfffff M>* arp request M 10.0.0.101 10.0.0.101", FLOODS(4 + 1),
     .arrange = nine_hosts},
    {"relayed_up_to_its_own_key", 0, "outer 192.0.2.2>192.0.2.1 7 4/1/0xfff69 M>* arp request M 10.0.0.101 10.0.0.101", FLOODS(4),
     .arrange = nine_hosts},
    {"relayed_too_often", 0, "outer 192.0.2.2>192.0.2.1 7 4/15/849 M>* arp request M 10.0.0.101 10.0.0.101", FLOODS(4),
     .reason = DROP_tunnel_header, .arrange = nine_hosts},
    {"relayed_too_often_where_no_port_is", 0, "outer 192.0.2.2>192.0.2.1 7 4/15/849 M>* arp request M 10.0.0.101 10.0.0.101",
     DROPS(tunnel_header, 0), .arrange = hosts_only},
    {"relayed_where_no_port_is", 0, "outer 192.0.2.2>192.0.2.1 7 4/1/849 M>* arp request M 10.0.0.101 10.0.0.101", FLOODS(2),
     .arrange = hosts_only},
    {"relayed_without_budget", 0, "outer 192.0.2.2>192.0.2.1 7 4/1/849 M>* arp request M 10.0.0.101 10.0.0.101", DROPS(relay_budget, 0),
     .arrange = hosts_only_and_no_relay_budget},
    {"relayed_unicast", 0, "outer 192.0.2.2>192.0.2.1 7 4/1/849 M>A ip 10.0.0.101>10.0.0.1 udp 1>2", DROPS(tunnel_header, 0)},
    {"tunnel_argument_of_another_kind", 0, "outer 192.0.2.2>192.0.2.1 7 1/0/5 M>* arp request M 10.0.0.101 10.0.0.101",
     DROPS(tunnel_header, 0)},
    {"tunnel_in_pieces", 0, IN4 "M>A ip 10.0.0.101>10.0.0.1 udp 1>2 +9", TO_PORT(1), .arrange = headers_in_pieces},
    {"tunnel_never_goes_back_to_a_tunnel", 0, IN4 "M>B ip 10.0.0.101>10.0.0.2 udp 1>2", DROPS(unknown_destination, 0),
     .arrange = fdb_says_remote},
    {"tunnel_unknown_mac", 0, IN4 "M>X ip 10.0.0.101>10.0.0.9 udp 1>2", DROPS(unknown_destination, 0)},
    {"tunnel_unknown_network", 0, "outer 192.0.2.2>192.0.2.1 77 0 M>A ip 1.1.1.1>2.2.2.2 udp 1>2", DROPS(unknown_network, 0)},
    {"tunnel_destination_down", 0, IN4 "M>E ip 10.0.0.101>10.0.0.5 udp 1>2", DROPS(destination_down, 5)},
    {"tunnel_unknown_peer", 0, "outer 192.0.2.3>192.0.2.1 7 0 M>A ip 1.1.1.1>2.2.2.2 udp 1>2", DROPS(unknown_peer, 0)},
    {"tunnel_kind", 0, "outer 192.0.2.2>192.0.2.1 7 9 M>A ip 1.1.1.1>2.2.2.2 udp 1>2", DROPS(tunnel_header, 0)},
    {"tunnel_version", 0, IN4 "M>A ip 1.1.1.1>2.2.2.2 udp 1>2 set=43:0x20", DROPS(tunnel_header, 0)},
    {"tunnel_unicast_kind_to_a_group", 0, IN4 "M>* ip 10.0.0.101>10.0.0.255 udp 1>2", DROPS(tunnel_header, 0)},
    {"tunnel_tagged_inside", 0, IN4 "M>A vlan ip 10.0.0.101>10.0.0.1 udp 1>2", DROPS(vlan_tagged, 0)},
    {"tunnel_cut", 0, IN4 "M>A ip 1.1.1.1>2.2.2.2 udp 1>2 cut=60", DROPS(truncated, 0)},
    {"tunnel_to_another_port_number", 0, IN4 "M>A ip 1.1.1.1>2.2.2.2 udp 1>2 set=37:1", .verdict = PIPELINE_PASSED},
    {"tunnel_of_a_neighbor_on_the_wire", 0, IN4 "M>A ip 1.1.1.1>2.2.2.2 udp 1>2", .verdict = PIPELINE_PASSED, .arrange = not_for_host},
    {"tunnel_in_transit", 0, IN4 "M>A ip 1.1.1.1>2.2.2.2 udp 1>2", .verdict = PIPELINE_PASSED,
     .arrange = encapsulated_frames_of_others},
    {"metadata_from_another_address", 1, "A>B ip 10.1.0.1>169.254.169.254 tcp 1000>80 S", DROPS(metadata_source, 1)},
    {"metadata_from_a_global_address", 1, "A>B ip6 fd01::1>fe80::a9fe:a9fe tcp 1000>80 S", DROPS(metadata_source, 1)},
    {"metadata_too_often", 1, "A>B ip 10.0.0.1>169.254.169.254 tcp 1000>80 S", DROPS(metadata_budget, 1), .arrange = metadata_is_used_up},
    {"metadata_of_another_tcp_port", 1, "A>X ip 10.0.0.1>169.254.169.254 tcp 1000>81 S", DROPS(unknown_destination, 1)},
    {"metadata_by_udp", 1, "A>X ip 10.0.0.1>169.254.169.254 udp 1000>80", DROPS(unknown_destination, 1)},
    {"metadata_where_there_is_none", 1, "A>X ip 10.0.0.1>169.254.169.254 tcp 1000>80 S", DROPS(unknown_destination, 1), .arrange = no_metadata},
    {"metadata_is_a_neighbor", 1, "A>* arp request A 10.0.0.1 169.254.169.254", ANSWERS,
     .out = "fa:16:3f:00:00:01>A arp reply fa:16:3f:00:00:01 169.254.169.254 10.0.0.1 set=32:2 set=37:0x41"},
    {"metadata_is_no_neighbor_without_it", 1, "A>* arp request A 10.0.0.1 169.254.169.254", DROPS(unknown_neighbor, 1), .arrange = no_metadata},
    {"metadata_is_a_neighbor_by_ipv6", 1, "A>33:33:ff:fe:a9:fe ip6 fd01::1>ff02::1:fffe:a9fe ns fe80::a9fe:a9fe A", ANSWERS},
    {"metadata_answer_to_a_free_slot", 0, "Z>Z ip 240.15.255.254>240.0.0.12 tcp 8000>1000 SA", DROPS(metadata_stale, 0), .by_metadata = true},
    {"metadata_answer_to_the_slots_last_port", 0, "Z>Z ip 240.15.255.254>243.32.0.1 tcp 8000>1000 SA", DROPS(metadata_stale, 0),
     .by_metadata = true},
    {"metadata_answer_to_nobody", 0, "Z>Z ip6 fd57:4546:5400:1::1>fd57:4546:5401::33:0:1 tcp 8001>1000 SA", DROPS(metadata_stale, 0),
     .by_metadata = true},
    {"metadata_answer_to_a_port_that_is_down", 0, "Z>Z ip 240.15.255.254>243.112.0.5 tcp 8000>1000 SA", DROPS(port_down, 5), .by_metadata = true},
    {"the_hosts_own_ssh", 0, "O>H ip 192.0.2.9>192.0.2.1 tcp 999>22 S", .verdict = PIPELINE_PASSED},
    {"the_hosts_own_arp", 0, "O>H arp reply O 192.0.2.9 192.0.2.1", .verdict = PIPELINE_PASSED},
};

static const struct {
    const struct packet_case *cases;
    const size_t *n;
} tables[] = {{cases, &(const size_t){ARRAY_SIZE(cases)}}, {routing_cases, &n_routing_cases}, {nat_cases, &n_nat_cases}, {balancing_cases, &n_balancing_cases}};

/* Of all tables; NULL behind the last. */
static const struct packet_case *case_at(size_t index)
{
    for (size_t i = 0; i < ARRAY_SIZE(tables); i++) {
        if (index < *tables[i].n)
            return &tables[i].cases[index];
        index -= *tables[i].n;
    }
    return NULL;
}

static const struct pipeline_output *only_output(const struct pipeline_result *result)
{
    assert_int_equal(result->n_outputs, 1);
    return &result->outputs[0];
}

static void check_bytes(const struct packet_case *test, const struct pipeline_output *output, bool tunnelled)
{
    struct frame expected;
    uint32_t skip = 0;

    frame_parse(test->out, &expected);
    if (tunnelled)
        skip = output->bytes[12] == 0x08 ? TUNNEL_OVERHEAD_IPV4 : TUNNEL_OVERHEAD_IPV6;
    assert_int_equal(output->size, expected.size + skip);
    assert_memory_equal(output->bytes + skip, expected.bytes, expected.size);
}

static enum pipeline_program program_of(const struct packet_case *test)
{
    return test->port ? PIPELINE_FROM_WORKLOAD : test->by_metadata ? PIPELINE_FROM_METADATA : PIPELINE_FROM_UNDERLAY;
}

static uint32_t ifindex_of(const struct packet_case *test)
{
    return test->port ? 100 + test->port : test->by_metadata ? METADATA_IFINDEX : UNDERLAY_IFINDEX;
}

static void run_case(void **state)
{
    const struct packet_case *test = *state;
    struct pipeline *pipeline = fixture_new();
    struct frame frame;
    struct pipeline_result result;

    frame_parse(test->frame, &frame);
    struct pipeline_frame input = {.bytes = frame.bytes, .size = frame.size, .ifindex = ifindex_of(test)};
    if (test->arrange)
        test->arrange(pipeline, &input);
    assert_int_equal(pipeline_trace(pipeline, program_of(test), &input, &result), 0);
    for (size_t i = 0; i < result.n_steps; i++)
        print_message("    %-12s %s\n", result.steps[i].stage, result.steps[i].text);
    assert_string_equal(pipeline_verdict_name(result.verdict), pipeline_verdict_name(test->verdict));
    assert_int_equal(result.reason, test->reason);
    switch (test->verdict) {
    case PIPELINE_DROPPED:
        assert_int_equal(fixture_counters(pipeline, test->at)->drops[test->reason], 1);
        assert_int_equal(result.n_outputs, test->n_outputs);
        break;
    case PIPELINE_DELIVERED:
        assert_int_equal(only_output(&result)->port_slot, test->at);
        assert_int_equal(fixture_counters(pipeline, test->at)->rx_packets, input.gso_segs ? input.gso_segs : 1);
        break;
    case PIPELINE_TUNNELLED:
        assert_int_equal(only_output(&result)->host_slot, test->at);
        break;
    case PIPELINE_ANSWERED:
        assert_int_equal(only_output(&result)->port_slot, test->port);
        break;
    case PIPELINE_PUNTED:
        assert_int_equal(only_output(&result)->way, PIPELINE_PUNT);
        if (test->out)
            frame_parse(test->out, &frame);
        assert_int_equal(((struct punt_event *)result.outputs[0].bytes)->size, frame.size);
        assert_memory_equal(((struct punt_event *)result.outputs[0].bytes)->frame, frame.bytes, frame.size);
        break;
    case PIPELINE_FLOODED:
        assert_int_equal(result.n_outputs, test->n_outputs);
        for (size_t i = 0; i < result.n_outputs; i++)
            assert_true(result.outputs[i].port_slot != test->port || !test->port);
        if (test->reason)
            assert_int_equal(fixture_counters(pipeline, test->port)->drops[test->reason], 1);
        break;
    case PIPELINE_OUTSIDE: /* test_nat.c's. */
        assert_int_equal(only_output(&result)->port_slot, 0);
        break;
    case PIPELINE_PASSED:
        assert_int_equal(result.n_outputs, 0);
        assert_int_equal(result.size, frame.size);
        assert_memory_equal(result.bytes, frame.bytes, frame.size);
        break;
    }
    if (test->out && test->verdict != PIPELINE_PUNTED)
        check_bytes(test, only_output(&result), test->verdict == PIPELINE_TUNNELLED);
    if (test->port && test->port != 9)
        assert_int_equal(fixture_counters(pipeline, test->port)->tx_packets, input.gso_segs ? input.gso_segs : 1);
    pipeline_result_clear(&result);
    pipeline_free(pipeline);
}

/* Each case again with every shorter linear part and every shorter frame: no crash, and no frame is both delivered
 * and cut inside its headers. */
static void every_prefix_of_every_case_is_safe(void **state)
{
    for (size_t i = 0; case_at(i); i++) {
        const struct packet_case *test = case_at(i);
        struct pipeline *pipeline = fixture_new();
        struct frame frame;

        frame_parse(test->frame, &frame);
        for (uint32_t size = 14; size <= frame.size && size < 160; size++) {
            struct pipeline_frame input = {.bytes = frame.bytes, .size = size,
                                           .ifindex = ifindex_of(test)};
            struct pipeline_result result;
            for (uint32_t linear = 0; linear < size; linear += 13) {
                input.linear = linear;
                assert_int_equal(pipeline_trace(pipeline, program_of(test), &input, &result), 0);
                pipeline_result_clear(&result);
            }
        }
        pipeline_free(pipeline);
    }
}

static void every_drop_reason_has_a_case(void **state)
{
    static const char *const names[] = {
        "",
#define DROP_REASON(name, text) #name,
#include "weft/dataplane/drop-reasons.def"
#undef DROP_REASON
    };

    for (unsigned reason = 1; reason < N_DROP_REASONS; reason++) {
        bool found = false;
        for (size_t i = 0; case_at(i) && !found; i++)
            found = case_at(i)->verdict == PIPELINE_DROPPED && case_at(i)->reason == reason;
        if (!found)
            fail_msg("no packet case is dropped for '%s'", names[reason]);
    }
}

static void every_stage_is_reached(void **state)
{
    for (unsigned i = 0; pipeline_stage_name(i); i++)
        if (!pipeline_stage_reached(pipeline_stage_name(i)))
            fail_msg("no packet case reaches stage '%s'", pipeline_stage_name(i));
}

/* ---- connection entries ---------------------------------------------------------------------------------------------------------- */

#define SECOND 1000000000ull

static void send(struct pipeline *pipeline, uint32_t port, const char *text, enum pipeline_verdict verdict)
{
    struct frame frame;
    struct pipeline_result result;

    frame_parse(text, &frame);
    assert_int_equal(pipeline_run(pipeline, PIPELINE_FROM_WORKLOAD,
                                  &(struct pipeline_frame){.bytes = frame.bytes, .size = frame.size, .ifindex = 100 + port}, &result), 0);
    assert_string_equal(pipeline_verdict_name(result.verdict), pipeline_verdict_name(verdict));
    pipeline_result_clear(&result);
}

static void remember_entry(void *key, void *value, void *context)
{
    *(struct flow_entry **)context = value;
}

static struct flow_entry *only_entry(struct pipeline *pipeline)
{
    struct flow_entry *entry = NULL;

    pipeline_visit(pipeline, "connections", remember_entry, &entry);
    return entry;
}

static struct project_record *project_of(struct pipeline *pipeline)
{
    const uint32_t index = 7;

    return pipeline_lookup(pipeline, "projects", &index);
}

#define TCP(flags) "A>B ip 10.0.0.1>10.0.0.2 tcp 1000>80 " flags

static void tcp_connection_lives_and_dies(void **state)
{
    struct pipeline *pipeline = fixture_new();

    send(pipeline, 1, TCP("S"), PIPELINE_DELIVERED);
    assert_int_equal(only_entry(pipeline)->state, FLOW_HALF_OPEN);
    assert_int_equal(project_of(pipeline)->n_half_open, 1);
    send(pipeline, 1, TCP("A"), PIPELINE_DELIVERED);
    assert_int_equal(only_entry(pipeline)->state, FLOW_ESTABLISHED);
    assert_int_equal(project_of(pipeline)->n_half_open, 0);
    assert_int_equal(project_of(pipeline)->n_established, 1);
    assert_int_equal(only_entry(pipeline)->packets[0], 2);
    pipeline_advance(pipeline, 7000 * SECOND);
    assert_int_equal(only_entry(pipeline)->state, FLOW_ESTABLISHED); /* 7,200 s of silence are allowed. */
    send(pipeline, 1, TCP("FA"), PIPELINE_DELIVERED);
    assert_int_equal(only_entry(pipeline)->state, FLOW_CLOSING);
    pipeline_advance(pipeline, 7030 * SECOND);
    assert_null(only_entry(pipeline));
    assert_int_equal(project_of(pipeline)->n_established, 0);
    assert_int_equal(project_of(pipeline)->n_half_open, 0);
    pipeline_free(pipeline);
}

static void half_open_connections_end_soon(void **state)
{
    struct pipeline *pipeline = fixture_new();

    send(pipeline, 1, TCP("S"), PIPELINE_DELIVERED);
    pipeline_advance(pipeline, 29 * SECOND);
    assert_non_null(only_entry(pipeline));
    pipeline_advance(pipeline, 50 * SECOND);
    assert_null(only_entry(pipeline));
    assert_int_equal(project_of(pipeline)->n_half_open, 0);
    pipeline_free(pipeline);
}

/* A round takes as long for a million slots as for a quarter of that: its ticks are shorter. */
static void a_large_table_is_swept_as_soon(void **state)
{
    const uint32_t zero = 0;
    struct pipeline *pipeline;

    assert_int_equal(pipeline_new(&(struct pipeline_sizes){16, 16, 16, 1 << 20, 16}, &pipeline), 0);
    fixture_fill(pipeline);
    ((struct settings *)pipeline_lookup(pipeline, "settings", &zero))->n_flow_slots = 1 << 20;
    send(pipeline, 1, TCP("S"), PIPELINE_DELIVERED);
    pipeline_advance(pipeline, 29 * SECOND);
    assert_non_null(only_entry(pipeline));
    const struct sweeper *sweeper = pipeline_lookup(pipeline, "sweeper", &zero);
    assert_in_range(sweeper->timer[0], 29 * SECOND, 29 * SECOND + 25000000);
    pipeline_advance(pipeline, (31 + 14) * SECOND);
    assert_null(only_entry(pipeline));
    pipeline_free(pipeline);
}

static void udp_is_established_by_its_third_frame(void **state)
{
    struct pipeline *pipeline = fixture_new();

    for (int i = 0; i < 3; i++)
        send(pipeline, 1, WELL, PIPELINE_DELIVERED);
    assert_int_equal(only_entry(pipeline)->state, FLOW_ESTABLISHED);
    pipeline_free(pipeline);
}

static void entry_follows_the_epoch(void **state)
{
    struct pipeline *pipeline = fixture_new();
    const uint32_t slot = 1;
    struct port_record *record = pipeline_lookup(pipeline, "ports", &slot);

    send(pipeline, 1, WELL, PIPELINE_DELIVERED);
    fixture_fdb(pipeline, "fdb", 7, "B", OUTPUT_REMOTE | 1);
    send(pipeline, 1, WELL, PIPELINE_DELIVERED); /* Still what the entry says. */
    record->epoch++;
    send(pipeline, 1, WELL, PIPELINE_TUNNELLED);
    assert_int_equal(only_entry(pipeline)->output, OUTPUT_REMOTE | 1);
    assert_int_equal(only_entry(pipeline)->stamp, flow_stamp(record->epoch, fixture_port(pipeline, slot)->generation));
    assert_int_equal(only_entry(pipeline)->packets[0], 3);
    pipeline_free(pipeline);
}

static void entry_does_not_outlive_the_slots_owner(void **state)
{
    struct pipeline *pipeline = fixture_new();

    send(pipeline, 1, WELL, PIPELINE_DELIVERED);
    fixture_port(pipeline, 2)->generation++; /* Slot 2 is somebody else's now, and the fdb says that MAC B is gone. */
    struct fdb_key key = {.vni = 7};
    frame_mac("B", key.mac);
    pipeline_delete(pipeline, "fdb", &key);
    send(pipeline, 1, WELL, PIPELINE_DROPPED);
    pipeline_free(pipeline);
}

static void entry_ends_with_its_port(void **state)
{
    struct pipeline *pipeline = fixture_new();

    send(pipeline, 1, TCP("S"), PIPELINE_DELIVERED);
    send(pipeline, 1, TCP("A"), PIPELINE_DELIVERED); /* Would live for two hours. */
    fixture_port(pipeline, 1)->generation++;
    pipeline_advance(pipeline, 60 * SECOND);
    assert_null(only_entry(pipeline));
    assert_int_equal(project_of(pipeline)->n_established, 0);
    send(pipeline, 1, TCP("S"), PIPELINE_DELIVERED);
    assert_non_null(only_entry(pipeline));
    send(pipeline, 1, TCP("A"), PIPELINE_DELIVERED);
    fixture_port(pipeline, 1)->vni = 0; /* Nobody has the slot; the generation stays. */
    pipeline_advance(pipeline, 120 * SECOND);
    assert_null(only_entry(pipeline));
    pipeline_free(pipeline);
}

static void spoofing_does_not_ride_on_an_entry(void **state)
{
    struct pipeline *pipeline = fixture_new();

    send(pipeline, 1, WELL, PIPELINE_DELIVERED);
    send(pipeline, 1, "X>B ip 10.0.0.1>10.0.0.2 udp 1000>2000 +20", PIPELINE_DROPPED);
    assert_int_equal(fixture_counters(pipeline, 1)->drops[DROP_spoofed_mac], 1);
    pipeline_free(pipeline);
}

static void moving_macs_are_looked_up_for_each_frame(void **state)
{
    struct pipeline *pipeline = fixture_new();
    const char *frame = "A>W ip 10.0.0.1>10.5.0.1 udp 1>2";

    send(pipeline, 4, "W>* arp request W 10.5.0.1 10.5.0.1", PIPELINE_FLOODED);
    send(pipeline, 1, frame, PIPELINE_DELIVERED);
    fixture_fdb(pipeline, "learned", 7, "W", OUTPUT_REMOTE | 1); /* It moved; no epoch changed. */
    send(pipeline, 1, frame, PIPELINE_TUNNELLED);
    pipeline_free(pipeline);
}

static void learning_is_limited_and_never_steals(void **state)
{
    struct pipeline *pipeline = fixture_new();
    const uint32_t slot = 4;
    struct port_runtime *runtime = pipeline_lookup(pipeline, "port_runtime", &slot);
    struct fdb_key key = {.vni = 7};

    send(pipeline, 4, "B>* arp request B 10.5.0.1 10.5.0.1", PIPELINE_FLOODED); /* B is port 2's. */
    frame_mac("B", key.mac);
    assert_null(pipeline_lookup(pipeline, "learned", &key));
    runtime->n_learned = MAX_LEARNED_PER_PORT;
    send(pipeline, 4, "W>* arp request W 10.5.0.1 10.5.0.1", PIPELINE_DROPPED); /* Nor do other hosts learn it. */
    send(pipeline, 4, "D>* arp request D 10.0.0.4 10.0.0.4", PIPELINE_FLOODED);
    frame_mac("W", key.mac);
    assert_null(pipeline_lookup(pipeline, "learned", &key));
    pipeline_free(pipeline);
}

static uint32_t n_learned(struct pipeline *pipeline)
{
    size_t unused;
    uint32_t n;

    pipeline_table(pipeline, "learned", &unused, &unused, &n);
    return n;
}

static void receive(struct pipeline *pipeline, const char *text, enum pipeline_verdict verdict)
{
    struct frame frame;
    struct pipeline_result result;

    frame_parse(text, &frame);
    assert_int_equal(pipeline_run(pipeline, PIPELINE_FROM_UNDERLAY,
                                  &(struct pipeline_frame){.bytes = frame.bytes, .size = frame.size, .ifindex = UNDERLAY_IFINDEX}, &result), 0);
    assert_string_equal(pipeline_verdict_name(result.verdict), pipeline_verdict_name(verdict));
    pipeline_result_clear(&result);
}

/* Ports and hosts together; a MAC that moves takes no second place, and another project is not concerned. */
static void a_project_learns_so_many_macs(void **state)
{
    struct pipeline *pipeline = fixture_new();
    struct project_record *project = project_of(pipeline);

    project->max_learned = 2;
    send(pipeline, 4, "W>* arp request W 10.5.0.1 10.5.0.1", PIPELINE_FLOODED);
    receive(pipeline, IN4_FLOOD "V>* arp request V 10.5.0.2 10.5.0.2", PIPELINE_FLOODED);
    assert_int_equal(project->n_learned, 2);
    send(pipeline, 4, "V>* arp request V 10.5.0.2 10.5.0.2", PIPELINE_FLOODED); /* V moves here. */
    assert_int_equal(project->n_learned, 2);
    assert_int_equal(project->n_not_learned, 0);
    send(pipeline, 4, "X>* arp request X 10.5.0.3 10.5.0.3", PIPELINE_DROPPED);
    assert_int_equal(fixture_counters(pipeline, 4)->drops[DROP_project_mac_limit], 1);
    send(pipeline, 4, "W>* arp request W 10.5.0.1 10.5.0.1", PIPELINE_FLOODED);
    assert_int_equal(n_learned(pipeline), 2);
    assert_int_equal(project->n_not_learned, 1);
    send(pipeline, 7, "V>* arp request V 10.9.0.1 10.9.0.1", PIPELINE_DROPPED); /* Alone in its network, but learned. */
    assert_int_equal(n_learned(pipeline), 3);
    project->n_learned = project->max_learned = 1;
    const struct fdb_key key = {.vni = 7, .mac = {2, 0, 0, 0, 0, 'V'}};
    assert_int_equal(pipeline_delete(pipeline, "learned", &key), 0);
    receive(pipeline, IN4_FLOOD "V>* arp request V 10.5.0.2 10.5.0.2", PIPELINE_FLOODED); /* Passes, but is not learned. */
    assert_null(pipeline_lookup(pipeline, "learned", &key));
    assert_int_equal(project->n_not_learned, 2);
    pipeline_free(pipeline);
}

static struct pipeline_result trace(struct pipeline *pipeline, enum pipeline_program program, uint32_t ifindex, const char *text)
{
    struct frame frame;
    struct pipeline_result result;

    frame_parse(text, &frame);
    assert_int_equal(pipeline_trace(pipeline, program, &(struct pipeline_frame){.bytes = frame.bytes, .size = frame.size, .ifindex = ifindex},
                                    &result), 0);
    return result;
}

/* ---- the metadata service ------------------------------------------------------------------------------------------------------ */

/* The sum over the pseudo header and the TCP segment (RFC 9293, 3.1): 0 when the checksum is right, and then the one it should be. */
static uint16_t tcp_sum(const uint8_t *bytes, uint32_t size)
{
    bool v4 = bytes[12] == 0x08;
    uint32_t l4 = ETH_HLEN + (v4 ? 20 : 40), sum = 6 + size - l4;

    for (uint32_t i = ETH_HLEN + (v4 ? 12 : 8); i < size; i += 2)
        sum += bytes[i] << 8 | (i + 1 < size ? bytes[i + 1] : 0);
    while (sum >> 16)
        sum = (sum & 0xffff) + (sum >> 16);
    return ~sum;
}

static void with_checksum(const char *text, struct frame *ret)
{
    frame_parse(text, ret);
    uint32_t at = ETH_HLEN + (ret->bytes[12] == 0x08 ? 20 : 40) + 16;
    ret->bytes[at] = ret->bytes[at + 1] = 0;
    uint16_t sum = tcp_sum(ret->bytes, ret->size);
    ret->bytes[at] = sum >> 8;
    ret->bytes[at + 1] = sum;
}

static void becomes(struct pipeline *pipeline, enum pipeline_program program, uint32_t ifindex, const char *text, const char *out,
                    enum pipeline_verdict verdict, uint32_t to)
{
    struct frame frame, expected;
    struct pipeline_result result;

    with_checksum(text, &frame);
    with_checksum(out, &expected);
    assert_int_equal(pipeline_trace(pipeline, program, &(struct pipeline_frame){.bytes = frame.bytes, .size = frame.size, .ifindex = ifindex},
                                    &result), 0);
    assert_string_equal(pipeline_verdict_name(result.verdict), pipeline_verdict_name(verdict));
    const struct pipeline_output *output = only_output(&result);
    assert_int_equal(output->ifindex, to);
    assert_int_equal(output->size, expected.size);
    assert_int_equal(tcp_sum(output->bytes, output->size), 0);
    assert_memory_equal(output->bytes, expected.bytes, expected.size);
    pipeline_result_clear(&result);
}

/* Slot 1 has generation 51, and is 243.48.0.1; slot 3, the other tenant's with port 2's addresses, has 53. */
static void metadata_requests_and_answers_are_translated(void **state)
{
    struct pipeline *pipeline = fixture_new();

    becomes(pipeline, PIPELINE_FROM_WORKLOAD, 101, "A>X ip 10.0.0.1>169.254.169.254 tcp 1000>80 A +13",
            "A>Z ip 243.48.0.1>240.15.255.254 tcp 1000>8000 A +13", PIPELINE_PUNTED, METADATA_IFINDEX);
    becomes(pipeline, PIPELINE_FROM_METADATA, METADATA_IFINDEX, "Z>Z ip 240.15.255.254>243.48.0.1 tcp 8000>1000 A +21",
            "fa:16:3f:00:00:01>A ip 169.254.169.254>10.0.0.1 tcp 80>1000 A +21", PIPELINE_DELIVERED, 101);
    becomes(pipeline, PIPELINE_FROM_WORKLOAD, 102, "B>X ip 10.0.0.2>169.254.169.254 tcp 1000>80 S",
            "B>Z ip 243.64.0.2>240.15.255.254 tcp 1000>8000 S", PIPELINE_PUNTED, METADATA_IFINDEX);
    becomes(pipeline, PIPELINE_FROM_WORKLOAD, 103, "B>X ip 10.0.0.2>169.254.169.254 tcp 1000>80 S",
            "B>Z ip 243.80.0.3>240.15.255.254 tcp 1000>8000 S", PIPELINE_PUNTED, METADATA_IFINDEX);
    becomes(pipeline, PIPELINE_FROM_WORKLOAD, 101, "A>X ip6 fe80::ff:fe00:41>fe80::a9fe:a9fe tcp 1000>80 S +7",
            "A>Z ip6 fd57:4546:5400::33:0:1>fd57:4546:5400:1::1 tcp 1000>8001 S +7", PIPELINE_PUNTED, METADATA_IFINDEX);
    becomes(pipeline, PIPELINE_FROM_METADATA, METADATA_IFINDEX, "Z>Z ip6 fd57:4546:5400:1::1>fd57:4546:5400::33:0:1 tcp 8001>1000 A +9",
            "fa:16:3f:00:00:01>A ip6 fe80::a9fe:a9fe>fe80::ff:fe00:41 tcp 80>1000 A +9", PIPELINE_DELIVERED, 101);
    assert_int_equal(fixture_counters(pipeline, 1)->rx_packets, 2);
    /* What else the host says on the device goes nowhere, uncounted. */
    struct pipeline_result result = trace(pipeline, PIPELINE_FROM_METADATA, METADATA_IFINDEX, "Z>Z ip 240.15.255.254>243.48.0.1 tcp 22>1000 S");
    assert_int_equal(result.verdict, PIPELINE_DROPPED);
    assert_int_equal(result.reason, 0);
    pipeline_result_clear(&result);
    pipeline_free(pipeline);
}

/* Kind, hops and argument in the header of the copy for a host. */
static uint32_t word_of(const struct pipeline_result *result, uint32_t host)
{
    for (size_t i = 0; i < result->n_outputs; i++)
        if (result->outputs[i].host_slot == host) {
            const uint8_t *header = result->outputs[i].bytes + (result->outputs[i].bytes[12] == 8 ? 42 : 62);

            return TUNNEL_WORD(header[7] >> 4, header[7] & 15, (header[1] & 15) << 16 | header[2] << 8 | header[3]);
        }
    return UINT32_MAX;
}

/* Nine hosts, two stretches: hosts 1, 2 and 4, 5 (the list has no 3), and 6 to 10. */
static void a_stretch_ends_where_the_next_begins(void **state)
{
    struct pipeline *pipeline = fixture_new();
    struct pipeline_result result;

    nine_hosts(pipeline, NULL);
    result = trace(pipeline, PIPELINE_FROM_WORKLOAD, 101, "A>* arp request A 10.0.0.1 10.0.0.1");
    assert_int_equal(word_of(&result, 1), TUNNEL_WORD(TUNNEL_RELAYED, 1, fixture_host(pipeline, 6)->key));
    assert_int_equal(word_of(&result, 6), TUNNEL_WORD(TUNNEL_RELAYED, 1, FIXTURE_KEY));
    pipeline_result_clear(&result);

    /* Cut to the budget: six hosts, so that the second stretch ends before host 8. */
    fixture_port(pipeline, 1)->bum_burst = 3 + 6;
    result = trace(pipeline, PIPELINE_FROM_WORKLOAD, 101, "A>* arp request A 10.0.0.1 10.0.0.1");
    assert_int_equal(word_of(&result, 5), TUNNEL_WORD(TUNNEL_RELAYED, 1, fixture_host(pipeline, 8)->key));
    pipeline_result_clear(&result);

    /* As a relay for what is before host 7: five hosts, one of the stretches has three. */
    result = trace(pipeline, PIPELINE_FROM_UNDERLAY, UNDERLAY_IFINDEX,
                   "outer 192.0.2.2>192.0.2.1 7 4/3/549 M>* arp request M 10.0.0.101 10.0.0.101");
    assert_int_equal(word_of(&result, 1), TUNNEL_WORD(TUNNEL_RELAYED, 4, fixture_host(pipeline, 4)->key));
    assert_int_equal(word_of(&result, 4), TUNNEL_WORD(TUNNEL_RELAYED, 4, 549));
    pipeline_result_clear(&result);
    pipeline_free(pipeline);
}

/* Who makes the copies does not matter: a port pays for each host, and so does a host for what it leaves to us. */
static void relayed_copies_are_paid_for(void **state)
{
    struct pipeline *pipeline = fixture_new();
    const uint32_t slot = 1;
    const struct host_runtime *host = pipeline_lookup(pipeline, "host_runtime", &slot);
    const char *relayed = "outer 192.0.2.2>192.0.2.1 7 4/1/849 M>* arp request M 10.0.0.101 10.0.0.101";

    nine_hosts(pipeline, NULL);
    send(pipeline, 1, "A>* arp request A 10.0.0.1 10.0.0.1", PIPELINE_FLOODED);
    assert_int_equal(((struct port_runtime *)pipeline_lookup(pipeline, "port_runtime", &slot))->bum_tokens, 100 - 3 - 9);
    for (unsigned i = 1; i <= 12; i++) { /* Before host 10's key: eight. */
        receive(pipeline, relayed, PIPELINE_FLOODED);
        assert_int_equal(host->relay_tokens, 100 - 8 * i);
    }
    receive(pipeline, relayed, PIPELINE_FLOODED); /* Four are left for this one. */
    assert_int_equal(host->relay_tokens, 0);
    assert_int_equal(fixture_counters(pipeline, 0)->drops[DROP_relay_budget], 1);
    receive(pipeline, relayed, PIPELINE_FLOODED); /* Ports here get theirs all the same. */
    assert_int_equal(fixture_counters(pipeline, 0)->drops[DROP_relay_budget], 2);
    pipeline_free(pipeline);
}

/* The host that it comes from is not the sender's. */
static void nothing_is_learned_from_relays(void **state)
{
    struct pipeline *pipeline = fixture_new();

    receive(pipeline, "outer 192.0.2.2>192.0.2.1 7 4/1/849 V>* arp request V 10.5.0.2 10.5.0.2", PIPELINE_FLOODED);
    receive(pipeline, "outer 192.0.2.2>192.0.2.1 7 1/2 V>* arp request V 10.5.0.2 10.5.0.2", PIPELINE_FLOODED);
    assert_int_equal(n_learned(pipeline), 0);
    receive(pipeline, IN4_FLOOD "V>* arp request V 10.5.0.2 10.5.0.2", PIPELINE_FLOODED);
    assert_int_equal(n_learned(pipeline), 1);
    pipeline_free(pipeline);
}

static void policed_port_keeps_the_reply_in_one_entry(void **state)
{
    struct pipeline *pipeline = fixture_new();
    uint32_t n;
    size_t unused;

    fixture_port(pipeline, 1)->flags |= PORT_INGRESS_POLICY;
    send(pipeline, 1, "A>H ip 10.0.0.1>10.0.0.8 tcp 1000>80 S", PIPELINE_DELIVERED);
    send(pipeline, 8, "H>A ip 10.0.0.8>10.0.0.1 tcp 80>1000 SA", PIPELINE_DELIVERED);
    send(pipeline, 1, "A>H ip 10.0.0.1>10.0.0.8 tcp 1000>80 A", PIPELINE_DELIVERED);
    pipeline_table(pipeline, "connections", &unused, &unused, &n);
    assert_int_equal(n, 2); /* One a port, for both directions. */
    pipeline_free(pipeline);
}

static void dead_name_can_be_used_again(void **state)
{
    struct pipeline *pipeline = fixture_new();

    send(pipeline, 1, TCP("R"), PIPELINE_DELIVERED);
    only_entry(pipeline)->state = FLOW_DEAD;
    send(pipeline, 1, TCP("S"), PIPELINE_DELIVERED); /* At once: in the old one's place. */
    assert_int_equal(only_entry(pipeline)->state, FLOW_HALF_OPEN);
    assert_int_equal(only_entry(pipeline)->packets[0], 1);
    assert_int_equal(project_of(pipeline)->n_half_open, 1);
    only_entry(pipeline)->state = FLOW_DEAD;
    only_entry(pipeline)->last_seen -= 9; /* About to be swept: without an entry. */
    send(pipeline, 1, TCP("S"), PIPELINE_DELIVERED);
    assert_int_equal(only_entry(pipeline)->state, FLOW_DEAD);
    only_entry(pipeline)->last_seen -= 1; /* Nobody can hold it any more. */
    send(pipeline, 1, TCP("S"), PIPELINE_DELIVERED);
    send(pipeline, 1, TCP("A"), PIPELINE_DELIVERED);
    assert_int_equal(only_entry(pipeline)->state, FLOW_ESTABLISHED);
    assert_int_equal(project_of(pipeline)->n_half_open, 0);
    assert_int_equal(project_of(pipeline)->n_established, 1);
    pipeline_free(pipeline);
}

/* IPv6 addresses are in the key as a hash; should two connections meet there, the second must not use the first one's entry. */
static void addresses_behind_one_hash_are_told_apart(void **state)
{
    struct pipeline *pipeline = fixture_new();
    const char *frame = "A>B ip6 fd01::1>fd01::2 udp 1000>2000 +20";

    send(pipeline, 1, frame, PIPELINE_DELIVERED);
    only_entry(pipeline)->remote[15] ^= 1;
    only_entry(pipeline)->output = OUTPUT_REMOTE | 1;
    only_entry(pipeline)->output_generation = 71;
    send(pipeline, 1, frame, PIPELINE_DELIVERED);
    assert_int_equal(only_entry(pipeline)->packets[0], 1);
    pipeline_free(pipeline);
}

/* An IPv6 frame may carry addresses that look like IPv4's. */
static void mapped_addresses_are_another_connection(void **state)
{
    struct pipeline *pipeline = fixture_new();
    uint32_t n;
    size_t unused;

    send(pipeline, 1, WELL, PIPELINE_DELIVERED);
    send(pipeline, 1, "A>B ip6 ::ffff:10.0.0.1>::ffff:10.0.0.2 udp 1000>2000 +20", PIPELINE_DELIVERED);
    pipeline_table(pipeline, "connections", &unused, &unused, &n);
    assert_int_equal(n, 2);
    pipeline_free(pipeline);
}

static void full_table_costs_speed_only(void **state)
{
    struct pipeline *pipeline = fixture_new();
    char text[100];
    uint32_t n;
    size_t unused;

    project_of(pipeline)->max_half_open = 100000; /* Twice what there is room for, at least: half is for others. */
    for (int i = 0; i < FIXTURE_FLOW_SLOTS + 500; i++) {
        snprintf(text, sizeof(text), "A>B ip 10.0.0.1>10.0.0.2 udp %d>9", 1000 + i);
        send(pipeline, 1, text, PIPELINE_DELIVERED);
    }
    pipeline_table(pipeline, "connections", &unused, &unused, &n);
    assert_int_equal(n, FIXTURE_FLOW_SLOTS);
    pipeline_advance(pipeline, 100 * SECOND);
    pipeline_table(pipeline, "connections", &unused, &unused, &n);
    assert_int_equal(n, 0);
    assert_int_equal(project_of(pipeline)->n_half_open, 0);
    pipeline_free(pipeline);
}

static void budget_of_copies_grows_back(void **state)
{
    struct pipeline *pipeline = fixture_new();
    const char *frame = "A>* ip 10.0.0.1>10.0.0.255 udp 1>2";

    fixture_port(pipeline, 1)->bum_rate = 10;
    fixture_port(pipeline, 1)->bum_burst = 8;
    send(pipeline, 1, frame, PIPELINE_FLOODED); /* Five copies, then */
    send(pipeline, 1, frame, PIPELINE_FLOODED); /* the three that are left. */
    send(pipeline, 1, frame, PIPELINE_DROPPED);
    assert_int_equal(fixture_counters(pipeline, 1)->drops[DROP_bum_budget], 2);
    pipeline_advance(pipeline, 1 * SECOND + 400000000);
    send(pipeline, 1, frame, PIPELINE_FLOODED);
    pipeline_free(pipeline);
}

/* Headers that end behind the IP packet's own end, or behind the linear part: for the fuzzer's first steps. */
static const struct {
    uint8_t what, where;
    const char *frame;
} more_seeds[] = {
    {0, 1, "A>B ip 10.0.0.1>10.0.0.2 tcp 1>2 S set=17:30"},  {0, 1, "A>B ip 10.0.0.1>10.0.0.2 udp 1>2 set=17:24"},
    {0, 1, "A>B ip 10.0.0.1>10.0.0.2 icmp 8 1 set=17:24"},   {0, 1, "A>B ip6 fd01::1>fd01::2 hopopts udp 1>2 set=19:4"},
    {16, 21, "A>B ip 10.0.0.1>10.0.0.2 tcp 1>2 S +300"},     {16, 21, "A>B ip 10.0.0.1>10.0.0.2 udp 1>2 +300"},
    {16, 21, "A>B ip 10.0.0.1>10.0.0.2 icmp 8 1 +300"},      {16, 41, "A>B ip6 fd01::1>fd01::2 hopopts udp 1>2 +300"},
    {2, 1, "A>* arp request A 10.0.0.1 10.0.0.1"},           {2, 2, "A>* ip 10.0.0.1>10.0.0.255 udp 1>2"},
    {64, 79, "A>H ip 10.0.0.1>10.0.0.8 udp 1>2"},            {64, 79, "A>* ip 10.0.0.1>10.0.0.255 udp 1>2"},
    {3, 1, "O>H ip 192.0.2.1>192.0.2.2 udp 1>2"},            {32, 1, "A>B ip 10.0.0.1>10.0.0.2 tcp 1>2 S"},
    {0, 3, "B>c ip6 fd01::2>fd09::1 udp 1>2"},               {0, 6, "F>B ip 10.0.0.6>10.0.0.2 udp 1>2"},
};

/* Connections of port 8, which has security groups. */
#define FROM_H(segment) "H>B ip 10.0.0.8>10.0.0.2 tcp 1>2 " segment
#define TO_H(segment) "B>H ip 10.0.0.2>10.0.0.8 tcp 2>1 " segment
static const char *const stories[][8] = {
    {FROM_H("S seq=100 wscale=3"), TO_H("SA seq=200 ack=101 wscale=3"), FROM_H("A seq=101 ack=201"), FROM_H("FA seq=101 ack=201"),
     TO_H("FA seq=201 ack=102"), FROM_H("A seq=102 ack=202"), FROM_H("S seq=900")},
    {FROM_H("S seq=100"), TO_H("S seq=200"), FROM_H("SA seq=100 ack=201"), TO_H("SA seq=200 ack=101"), FROM_H("A seq=101 ack=201 +9"),
     TO_H("R seq=300"), TO_H("R seq=201")},
    {FROM_H("S seq=100"), TO_H("SA seq=200 ack=101"), FROM_H("A seq=101 ack=201"), FROM_H("S seq=9999"), TO_H("SA seq=8888 ack=10000"),
     TO_H("A seq=77 ack=77"), TO_H("A seq=99999 ack=10000 +5")},
    {"H>B ip 10.0.0.8>10.0.0.2 udp 1>2", "B>H ip 10.0.0.2>10.0.0.8 icmp 3 0 quote ip 10.0.0.8>10.0.0.2 udp 1>2",
     "H>B ip 10.0.0.8>10.0.0.2 icmp 3 0 quote ip 10.0.0.2>10.0.0.8 udp 2>1", "H>B ip 10.0.0.8>10.0.0.2 more udp 1>2 +40",
     "H>B ip 10.0.0.8>10.0.0.2 frag=6 proto 17 +40", "B>H ip 10.0.0.2>10.0.0.8 frag=7 proto 17 +40"},
    {FROM_H("S seq=100"), TO_H("RA seq=0 ack=101"), TO_H("S seq=5"), FROM_H("SA seq=7 ack=6"), TO_H("A seq=6 ack=8")},
    {FROM_H("A seq=100 ack=5"), TO_H("FA seq=5 ack=100"), "H>B ip 10.0.0.8>10.0.0.2 icmp 8 1", "H>B ip 10.0.0.8>10.0.0.2 icmp 0 1",
     "B>H ip 10.0.0.2>10.0.0.8 icmp 8 1", "H>B ip 10.0.0.8>10.0.0.2 icmp 0 1"},
    {FROM_H("S seq=100"), FROM_H("S seq=900"), TO_H("SA seq=200 ack=901")},
};

static void write_seed(FILE *file, uint8_t what, uint8_t where, const struct frame *frame)
{
    const uint8_t head[] = {what, where, frame->size & 0xff, frame->size >> 8};

    fwrite(head, 1, sizeof(head), file);
    fwrite(frame->bytes, 1, frame->size, file);
}

/* 'test-pipeline --write-seeds FOLDER' writes the table as seeds of tests/fuzz/pipeline.c, eight cases a file. */
static int write_seeds(const char *folder)
{
    FILE *file = NULL;

    for (size_t i = 0; i < ARRAY_SIZE(more_seeds); i++) {
        struct frame frame;
        char path[300];
        snprintf(path, sizeof(path), "%s/header-%02zu", folder, i);
        file = fopen(path, "wb");
        if (!file)
            return 1;
        frame_parse(more_seeds[i].frame, &frame);
        write_seed(file, 0, more_seeds[i].frame[0] == 'H' ? 8 : 1, &frame);
        write_seed(file, more_seeds[i].what, more_seeds[i].where, &frame);
        fclose(file);
    }
    file = NULL;
    for (size_t i = 0; i < ARRAY_SIZE(stories); i++) {
        char path[300];
        snprintf(path, sizeof(path), "%s/story-%02zu", folder, i);
        file = fopen(path, "wb");
        if (!file)
            return 1;
        for (size_t line = 0; stories[i][line]; line++) {
            struct frame frame;
            frame_parse(stories[i][line], &frame);
            write_seed(file, 0, stories[i][line][0] == 'H' ? 8 : 2, &frame);
        }
        fclose(file);
    }
    file = NULL;

    for (size_t i = 0; case_at(i); i++) {
        const struct packet_case *test = case_at(i);
        struct frame frame;
        char path[300];
        if (i % 8 == 0) {
            snprintf(path, sizeof(path), "%s/cases-%02zu", folder, i / 8);
            if (file)
                fclose(file);
            file = fopen(path, "wb");
            if (!file)
                return 1;
        }
        frame_parse(test->frame, &frame);
        struct pipeline_frame input = {.bytes = frame.bytes, .size = frame.size};
        struct pipeline *pipeline = fixture_new();
        if (test->arrange)
            test->arrange(pipeline, &input);
        const uint32_t vni = 7;
        uint8_t many = fixture_is_in_tree(pipeline, vni, 8) ? 128 : 0;
        pipeline_free(pipeline);
        write_seed(file, many | (test->port ? 0 : 1) | (input.vlan_present ? 4 : 0) | (input.gso_size ? 8 : 0) |
                             (input.linear ? 16 : 0) | (i % 8 == 7 ? 32 : 0), test->port, &frame);
    }
    return fclose(file);
}

int main(int argc, char **argv)
{
    static const struct CMUnitTest others[] = {
        cmocka_unit_test(tcp_connection_lives_and_dies),
        cmocka_unit_test(half_open_connections_end_soon),
        cmocka_unit_test(a_large_table_is_swept_as_soon),
        cmocka_unit_test(udp_is_established_by_its_third_frame),
        cmocka_unit_test(entry_follows_the_epoch),
        cmocka_unit_test(entry_does_not_outlive_the_slots_owner),
        cmocka_unit_test(entry_ends_with_its_port),
        cmocka_unit_test(spoofing_does_not_ride_on_an_entry),
        cmocka_unit_test(moving_macs_are_looked_up_for_each_frame),
        cmocka_unit_test(learning_is_limited_and_never_steals),
        cmocka_unit_test(a_project_learns_so_many_macs),
        cmocka_unit_test(a_stretch_ends_where_the_next_begins),
        cmocka_unit_test(relayed_copies_are_paid_for),
        cmocka_unit_test(nothing_is_learned_from_relays),
        cmocka_unit_test(policed_port_keeps_the_reply_in_one_entry),
        cmocka_unit_test(dead_name_can_be_used_again),
        cmocka_unit_test(addresses_behind_one_hash_are_told_apart),
        cmocka_unit_test(mapped_addresses_are_another_connection),
        cmocka_unit_test(full_table_costs_speed_only),
        cmocka_unit_test(budget_of_copies_grows_back),
        cmocka_unit_test(metadata_requests_and_answers_are_translated),
        cmocka_unit_test(every_prefix_of_every_case_is_safe),
        cmocka_unit_test(every_drop_reason_has_a_case),
        cmocka_unit_test(every_stage_is_reached),
    };

    if (argc == 3 && strcmp(argv[1], "--write-seeds") == 0)
        return write_seeds(argv[2]);
    static struct CMUnitTest tests[1000];
    size_t n = 0;

    for (; case_at(n); n++) {
        if (n + ARRAY_SIZE(others) >= ARRAY_SIZE(tests))
            abort();
        tests[n] = (struct CMUnitTest){case_at(n)->name, run_case, NULL, NULL, (void *)case_at(n)};
    }
    for (size_t i = 0; i < ARRAY_SIZE(others); i++)
        tests[n++] = others[i];
    return _cmocka_run_group_tests("pipeline", tests, n, NULL, NULL);
}
