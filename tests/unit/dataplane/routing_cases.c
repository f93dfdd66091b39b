/* Packet cases of routers: see cases.h. */
#include "cases.h"
#include "weft/base/util.h"

static void gso_tcp(struct pipeline *pipeline, struct pipeline_frame *frame)
{
    frame->gso_size = 1300;
    frame->gso_segs = 3;
    frame->gso_tcp = true;
}

static void gso_tcp_too_big(struct pipeline *pipeline, struct pipeline_frame *frame)
{
    gso_tcp(pipeline, frame);
    frame->gso_size = 1370;
}

static void different_scopes(struct pipeline *pipeline, struct pipeline_frame *frame)
{
    fixture_router_port(pipeline, 1)->flags |= ROUTER_PORT_SCOPES(1, 1);
    fixture_router_port(pipeline, 2)->flags |= ROUTER_PORT_SCOPES(2, 1);
    fixture_router_port(pipeline, 3)->flags |= ROUTER_PORT_SCOPES(ROUTER_PORT_SCOPE_MAX, 0);
    fixture_router_port(pipeline, 4)->flags |= ROUTER_PORT_SCOPES(ROUTER_PORT_SCOPE_MAX, ROUTER_PORT_SCOPE_MAX);
}

static void one_scope(struct pipeline *pipeline, struct pipeline_frame *frame)
{
    different_scopes(pipeline, frame);
    fixture_router_port(pipeline, 1)->flags = ROUTER_PORT_UP | ROUTER_PORT_SCOPES(2, 1);
}

static void a_scope_and_none(struct pipeline *pipeline, struct pipeline_frame *frame)
{
    fixture_router_port(pipeline, 2)->flags |= ROUTER_PORT_SCOPES(1, 1);
}

/* Network 10 is external, and the second router translates at its gateway there. */
static void second_router_translates(struct pipeline *pipeline, struct pipeline_frame *frame)
{
    fixture_router_port(pipeline, 3)->flags |= ROUTER_PORT_EXTERNAL | ROUTER_PORT_SNAT;
}

static void second_router_has_a_gateway(struct pipeline *pipeline, struct pipeline_frame *frame)
{
    fixture_router_port(pipeline, 3)->flags |= ROUTER_PORT_EXTERNAL;
}

static void port_1_down(struct pipeline *pipeline, struct pipeline_frame *frame)
{
    fixture_router_port(pipeline, 1)->flags = 0;
}

static void port_2_down(struct pipeline *pipeline, struct pipeline_frame *frame)
{
    fixture_router_port(pipeline, 2)->flags = 0;
}

static void port_2_has_no_record(struct pipeline *pipeline, struct pipeline_frame *frame)
{
    fixture_route(pipeline, 1, "10.0.1.0", 24, 0, 99999, NULL);
}

static void network_10_is_wide(struct pipeline *pipeline, struct pipeline_frame *frame)
{
    fixture_router_port(pipeline, 2)->mtu = 9000;
    fixture_router_port(pipeline, 3)->mtu = 9000;
    fixture_port(pipeline, 1)->mtu = 9000;
}

static void wide_sender(struct pipeline *pipeline, struct pipeline_frame *frame)
{
    fixture_port(pipeline, 1)->mtu = 9000;
}

static void no_budget(struct pipeline *pipeline, struct pipeline_frame *frame)
{
    fixture_port(pipeline, 1)->punt_rate = 0;
}

static void circle(struct pipeline *pipeline, struct pipeline_frame *frame)
{
    fixture_route(pipeline, 1, "10.6.0.0", 16, 0, 2, "10.0.1.253"); /* From there by the default route. */
}

static void ipv6_default_only(struct pipeline *pipeline, struct pipeline_frame *frame)
{
    fixture_route(pipeline, 1, "::", 0, 0, 2, "fd02::253");
}

static void group_without_buckets(struct pipeline *pipeline, struct pipeline_frame *frame)
{
    pipeline_clear(pipeline, "next_hops");
}

static void next_hop_moves(struct pipeline *pipeline, struct pipeline_frame *frame)
{
    struct fdb_key key = {.vni = 10};

    frame_mac("J", key.mac);
    pipeline_delete(pipeline, "fdb", &key);
    fixture_fdb(pipeline, "learned", 10, "J", OUTPUT_LOCAL | 10);
}

static void next_hop_has_no_output(struct pipeline *pipeline, struct pipeline_frame *frame)
{
    struct fdb_key key = {.vni = 10};

    frame_mac("J", key.mac);
    pipeline_delete(pipeline, "fdb", &key);
}

static void headers_in_pieces(struct pipeline *pipeline, struct pipeline_frame *frame)
{
    frame->linear = 14;
}

/* A one-armed router: the workload's other subnet is on its own network. */
static void own_second_subnet(struct pipeline *pipeline, struct pipeline_frame *frame)
{
    fixture_route(pipeline, 1, "10.3.0.0", 16, 0, 1, "10.0.0.1");
}

/* Router port 1 lets in UDP to port 2, port 2 nothing out. */
static void firewalls(struct pipeline *pipeline, struct pipeline_frame *frame)
{
    struct firewall_rule_row rule = {.flags = RULE_IPV4 | RULE_PROTOCOL | FIREWALL_DESTINATION_PORTS, .protocol = 17, .destination_min = 2,
                                     .destination_max = 2, .verdict = FIREWALL_PASSES, .number = 1};

    fixture_firewall(pipeline, 1, &rule, 1);
    fixture_firewall(pipeline, 2, NULL, 0);
    fixture_router_port(pipeline, 1)->rule_set[POLICY_EGRESS] = 1;
    fixture_router_port(pipeline, 2)->rule_set[POLICY_INGRESS] = 2;
}

const struct packet_case routing_cases[] = {
    {"firewall_lets_nothing_in", 1, "A>R ip 10.0.0.1>10.0.1.1 udp 1>3 +20", DROPS(firewall_egress, 1), .arrange = firewalls},
    {"firewall_lets_nothing_out", 1, "A>R ip 10.0.0.1>10.0.1.1 udp 1>2 +20", DROPS(firewall_ingress, 1), .arrange = firewalls},
    /* ---- one router and two ---- */
    {"routed_to_a_local_port", 1, "A>R ip 10.0.0.1>10.0.1.1 udp 1>2 +20", TO_PORT(10), .out = "S>J ip 10.0.0.1>10.0.1.1 ttl=63 udp 1>2 +20"},
    {"routed_ipv6_to_a_local_port", 1, "A>R ip6 fd01::1>fd02::1 udp 1>2 +20", TO_PORT(10), .out = "S>J ip6 fd01::1>fd02::1 ttl=63 udp 1>2 +20"},
    {"routed_to_a_host", 1, "A>R ip 10.0.0.1>10.0.1.101 tcp 1>2 S", TO_HOST(1), .out = "S>P ip 10.0.0.1>10.0.1.101 ttl=63 tcp 1>2 S"},
    {"routed_ipv6_to_a_host", 1, "A>R ip6 fd01::1>fd02::101 tcp 1>2 S", TO_HOST(1), .out = "S>P ip6 fd01::1>fd02::101 ttl=63 tcp 1>2 S"},
    {"routed_by_two_routers", 1, "A>R ip 10.0.0.1>10.0.2.1 udp 1>2 +20", TO_PORT(11), .out = "U>K ip 10.0.0.1>10.0.2.1 ttl=62 udp 1>2 +20"},
    {"routed_ipv6_by_two_routers", 1, "A>R ip6 fd01::1>fd03::1 udp 1>2 +20", TO_PORT(11), .out = "U>K ip6 fd01::1>fd03::1 ttl=62 udp 1>2 +20"},
    {"routed_back_by_two_routers", 11, "K>U ip 10.0.2.1>10.0.0.1 udp 2>1 +20", TO_PORT(1), .out = "R>A ip 10.0.2.1>10.0.0.1 ttl=62 udp 2>1 +20"},
    {"routed_by_the_second_router_only", 10, "J>T ip 10.0.1.1>10.0.2.1 icmp 8 7", TO_PORT(11), .out = "U>K ip 10.0.1.1>10.0.2.1 ttl=63 icmp 8 7"},
    {"routed_without_a_connection", 1, "A>R ip 10.0.0.1>10.0.1.1 frag=20 +100", TO_PORT(10), .out = "S>J ip 10.0.0.1>10.0.1.1 ttl=63 frag=20 +100"},
    {"routed_with_options", 1, "A>R ip 10.0.0.1>10.0.1.1 options udp 1>2", TO_PORT(10), .out = "S>J ip 10.0.0.1>10.0.1.1 ttl=63 options udp 1>2"},
    {"routed_behind_extensions", 1, "A>R ip6 fd01::1>fd02::1 hopopts udp 1>2", TO_PORT(10), .out = "S>J ip6 fd01::1>fd02::1 ttl=63 hopopts udp 1>2"},
    {"routed_gso_is_one_frame", 1, "A>R ip 10.0.0.1>10.0.1.101 tcp 1>2 A +2800", TO_HOST(1), .out = "S>P ip 10.0.0.1>10.0.1.101 ttl=63 tcp 1>2 A +2800",
     .arrange = gso_tcp},
    {"routed_headers_outside_of_the_linear_part", 1, "A>R ip 10.0.0.1>10.0.1.1 udp 1>2 +20", TO_PORT(10),
     .out = "S>J ip 10.0.0.1>10.0.1.1 ttl=63 udp 1>2 +20", .arrange = headers_in_pieces},
    {"routed_to_a_mac_that_moves", 1, "A>R ip 10.0.0.1>10.0.1.1 udp 1>2", TO_PORT(10), .out = "S>J ip 10.0.0.1>10.0.1.1 ttl=63 udp 1>2",
     .arrange = next_hop_moves},
    {"routed_back_to_the_sender", 1, "A>R ip 10.0.0.1>10.3.0.1 udp 1>2", TO_PORT(1), .out = "R>A ip 10.0.0.1>10.3.0.1 ttl=63 udp 1>2",
     .arrange = own_second_subnet},
    {"routed_to_the_gateway_of_a_spoofer", 1, "A>R ip 10.0.0.9>10.0.1.1 udp 1>2", DROPS(spoofed_ip, 1)},
    {"another_tenants_router_is_not_reached", 3, "B>R ip 10.0.0.2>10.0.1.1 udp 1>2", DROPS(unknown_destination, 3)},
    {"tunnelled_frames_are_not_routed", 0, "outer 192.0.2.2>192.0.2.1 7 0 M>R ip 10.0.0.101>10.0.1.1 udp 1>2", DROPS(unknown_destination, 0)},

    /* ---- ends at a router ---- */
    {"no_route", 1, "A>R ip 10.0.0.1>10.99.0.1 udp 1>2", DROPS(no_route, 1), .n_outputs = 1},
    {"no_route_ipv6", 1, "A>R ip6 fd01::1>fd99::1 udp 1>2", DROPS(no_route, 1), .n_outputs = 1},
    {"no_route_without_budget", 1, "A>R ip 10.0.0.1>10.99.0.1 udp 1>2", DROPS(no_route, 1), .arrange = no_budget},
    {"no_route_for_a_later_fragment", 1, "A>R ip 10.0.0.1>10.99.0.1 frag=5 +20", DROPS(no_route, 1)},
    {"an_ipv6_default_route_is_not_ipv4s", 1, "A>R ip 10.0.0.1>10.99.0.1 udp 1>2", DROPS(no_route, 1), .n_outputs = 1, .arrange = ipv6_default_only},
    {"a_group_without_buckets_is_no_route", 1, "A>R ip 10.0.0.1>10.8.0.1 udp 1>2", DROPS(no_route, 1), .n_outputs = 1, .arrange = group_without_buckets},
    {"nobody_has_the_destination", 1, "A>R ip 10.0.0.1>10.0.1.77 udp 1>2", DROPS(unknown_next_hop, 1), .n_outputs = 1},
    {"nobody_has_the_next_hop", 1, "A>R ip 10.0.0.1>10.7.0.1 udp 1>2", DROPS(unknown_next_hop, 1), .n_outputs = 1},
    {"nothing_is_behind_the_next_hops_mac", 1, "A>R ip 10.0.0.1>10.0.1.1 udp 1>2", DROPS(unknown_next_hop, 1), .n_outputs = 1,
     .arrange = next_hop_has_no_output},
    {"ttl_ends_at_the_first_router", 1, "A>R ip 10.0.0.1>10.0.2.1 ttl=1 udp 1>2", DROPS(ttl_exceeded, 1), .n_outputs = 1},
    {"ttl_ends_at_the_second_router", 1, "A>R ip 10.0.0.1>10.0.2.1 ttl=2 udp 1>2", DROPS(ttl_exceeded, 1), .n_outputs = 1},
    {"ttl_is_just_enough", 1, "A>R ip 10.0.0.1>10.0.2.1 ttl=3 udp 1>2", TO_PORT(11), .out = "U>K ip 10.0.0.1>10.0.2.1 ttl=1 udp 1>2"},
    {"hop_limit_ends", 1, "A>R ip6 fd01::1>fd02::1 ttl=1 udp 1>2", DROPS(ttl_exceeded, 1), .n_outputs = 1},
    {"ttl_of_zero", 1, "A>R ip 10.0.0.1>10.0.2.1 ttl=0 udp 1>2", DROPS(ttl_exceeded, 1), .n_outputs = 1},
    {"different_address_scopes", 1, "A>R ip 10.0.0.1>10.0.1.1 udp 1>2", DROPS(address_scope, 1), .arrange = different_scopes},
    {"no_chain_through_a_gateway_that_translates", 1, "A>R ip 10.0.0.1>10.0.2.1 udp 1>2", DROPS(not_routable, 1), .arrange = second_router_translates},
    {"a_chain_through_a_gateway_that_does_not", 1, "A>R ip 10.0.0.1>10.0.2.1 udp 1>2", TO_PORT(11), .out = "U>K ip 10.0.0.1>10.0.2.1 ttl=62 udp 1>2",
     .arrange = second_router_has_a_gateway},
    {"ipv6_is_not_translated", 1, "A>R ip6 fd01::1>fd03::1 udp 1>2", TO_PORT(11), .out = "U>K ip6 fd01::1>fd03::1 ttl=62 udp 1>2",
     .arrange = second_router_translates},
    {"no_neighbor_of_a_gateway_that_translates", 10, "J>T ip 10.0.1.1>10.0.2.1 udp 1>2", DROPS(not_routable, 10), .arrange = second_router_translates},
    {"a_neighbor_of_a_gateway_that_does_not", 10, "J>T ip 10.0.1.1>10.0.2.1 udp 1>2", TO_PORT(11), .out = "U>K ip 10.0.1.1>10.0.2.1 ttl=63 udp 1>2",
     .arrange = second_router_has_a_gateway},
    {"an_address_scope_and_none", 1, "A>R ip 10.0.0.1>10.0.1.1 udp 1>2", DROPS(address_scope, 1), .arrange = a_scope_and_none},
    {"an_address_scope_and_none_of_ipv6", 1, "A>R ip6 fd01::1>fd02::1 udp 1>2", DROPS(address_scope, 1), .arrange = a_scope_and_none},
    {"one_address_scope_of_each_router", 1, "A>R ip 10.0.0.1>10.0.2.1 udp 1>2", TO_PORT(11), .out = "U>K ip 10.0.0.1>10.0.2.1 ttl=62 udp 1>2",
     .arrange = one_scope},
    {"scopes_are_of_a_family", 1, "A>R ip6 fd01::1>fd02::1 udp 1>2", TO_PORT(10), .out = "S>J ip6 fd01::1>fd02::1 ttl=63 udp 1>2",
     .arrange = different_scopes},
    {"the_router_answers_whatever_its_scopes", 1, "A>R ip 10.0.0.1>10.0.1.254 icmp 8 7", .verdict = PIPELINE_ANSWERED, .n_outputs = 1,
     .out = "R>A ip 10.0.1.254>10.0.0.1 icmp 0 7", .arrange = different_scopes},
    {"a_circle_ends", 1, "A>R ip 10.0.0.1>10.6.0.1 udp 1>2", DROPS(too_many_routers, 1), .arrange = circle},
    {"a_circle_ends_with_the_ttl", 1, "A>R ip 10.0.0.1>10.6.0.1 ttl=5 udp 1>2", DROPS(ttl_exceeded, 1), .n_outputs = 1, .arrange = circle},
    {"the_router_is_down", 1, "A>R ip 10.0.0.1>10.0.1.1 udp 1>2", DROPS(router_down, 1), .arrange = port_1_down},
    {"the_routers_other_port_is_down", 1, "A>R ip 10.0.0.1>10.0.1.1 udp 1>2", DROPS(router_down, 1), .arrange = port_2_down},
    {"a_route_to_a_port_that_is_none", 1, "A>R ip 10.0.0.1>10.0.1.1 udp 1>2", DROPS(router_down, 1), .arrange = port_2_has_no_record},
    {"multicast_is_not_routed", 4, "D>R ip 10.0.0.4>224.1.2.3 udp 1>2", DROPS(not_routable, 4)},
    {"link_local_is_not_routed", 4, "D>R ip 10.0.0.4>169.254.1.2 udp 1>2", DROPS(not_routable, 4)},
    {"from_link_local_is_not_routed", 1, "A>R ip6 fe80::ff:fe00:41>fd02::1 udp 1>2", DROPS(not_routable, 1)},
    {"to_link_local_is_not_routed", 1, "A>R ip6 fd01::1>fe80::77 udp 1>2", DROPS(not_routable, 1)},
    {"mapped_ipv4_in_ipv6_is_not_routed", 4, "D>R ip6 fd01::4>::ffff:10.0.1.1 udp 1>2", DROPS(not_routable, 4)},
    {"from_loopback_is_not_routed", 4, "D>R ip 127.0.0.1>10.0.1.1 udp 1>2", DROPS(not_routable, 4)},
    {"from_nobody_is_not_routed", 4, "D>R ip6 ::>fd02::1 udp 1>2", DROPS(not_routable, 4)},
    {"arp_to_a_router_is_not_routed", 1, "A>R arp reply A 10.0.0.1 10.0.0.254", DROPS(not_routable, 1)},

    /* ---- sizes ---- */
    {"next_networks_mtu_is_allowed", 1, "A>R ip 10.0.0.1>10.0.1.1 df udp 1>2 +1372", TO_PORT(10)},
    {"larger_than_next_networks_mtu", 1, "A>R ip 10.0.0.1>10.0.1.1 df udp 1>2 +1373", DROPS(too_big, 1), .n_outputs = 1},
    {"larger_than_next_networks_mtu_ipv6", 1, "A>R ip6 fd01::1>fd02::1 udp 1>2 +1353", DROPS(too_big, 1), .n_outputs = 1},
    {"gso_segments_larger_than_next_networks_mtu", 1, "A>R ip 10.0.0.1>10.0.1.1 tcp 1>2 A +2800", DROPS(too_big, 1), .n_outputs = 1,
     .arrange = gso_tcp_too_big},
    {"larger_than_a_network_in_between", 1, "A>R ip 10.0.0.1>10.0.2.1 df udp 1>2 +1373", DROPS(too_big, 1), .n_outputs = 1},
    {"to_be_fragmented", 1, "A>R ip 10.0.0.1>10.0.1.1 udp 1>2 +1373", PUNTS, .out = "S>J ip 10.0.0.1>10.0.1.1 ttl=63 udp 1>2 +1373"},
    {"to_be_fragmented_for_a_host", 1, "A>R ip 10.0.0.1>10.0.1.101 udp 1>2 +1373", PUNTS, .out = "S>P ip 10.0.0.1>10.0.1.101 ttl=63 udp 1>2 +1373"},
    {"to_be_fragmented_for_a_network_in_between", 1, "A>R ip 10.0.0.1>10.0.2.1 udp 1>2 +1373", PUNTS,
     .out = "U>K ip 10.0.0.1>10.0.2.1 ttl=62 udp 1>2 +1373"},
    {"a_fragment_to_be_fragmented", 1, "A>R ip 10.0.0.1>10.0.1.1 frag=20 more +1400", PUNTS, .out = "S>J ip 10.0.0.1>10.0.1.1 ttl=63 frag=20 more +1400"},
    {"too_large_to_be_fragmented", 1, "A>R ip 10.0.0.1>10.0.1.1 udp 1>2 +1600", DROPS(not_fragmented, 1), .arrange = wide_sender},
    {"nobody_to_fragment", 1, "A>R ip 10.0.0.1>10.0.1.1 udp 1>2 +1373", DROPS(punt_budget, 1), .arrange = no_budget},
    {"larger_than_the_last_networks_mtu", 1, "A>R ip 10.0.0.1>10.0.2.1 df udp 1>2 +1423", DROPS(too_big, 1), .n_outputs = 1,
     .arrange = network_10_is_wide},

    /* ---- echo requests to routers ---- */
    {"router_answers_echo", 1, "A>R ip 10.0.0.1>10.0.0.254 ttl=9 icmp 8 77 +30", ANSWERS, .out = "R>A ip 10.0.0.254>10.0.0.1 icmp 0 77 +30"},
    {"router_answers_echo_to_its_other_port", 1, "A>R ip 10.0.0.1>10.0.1.254 icmp 8 77 +30", ANSWERS, .out = "R>A ip 10.0.1.254>10.0.0.1 icmp 0 77 +30"},
    {"the_second_router_answers_echo", 1, "A>R ip 10.0.0.1>10.0.2.254 icmp 8 77", ANSWERS, .out = "R>A ip 10.0.2.254>10.0.0.1 ttl=63 icmp 0 77"},
    {"router_answers_echo_with_a_last_ttl", 1, "A>R ip 10.0.0.1>10.0.0.254 ttl=1 icmp 8 77", ANSWERS, .out = "R>A ip 10.0.0.254>10.0.0.1 icmp 0 77"},
    {"router_answers_echo_of_any_size", 1, "A>R ip 10.0.0.1>10.0.0.254 icmp 8 77 +1422", ANSWERS, .out = "R>A ip 10.0.0.254>10.0.0.1 icmp 0 77 +1422"},
    {"router_answers_echo_with_options", 1, "A>R ip 10.0.0.1>10.0.0.254 options icmp 8 77 +3", ANSWERS,
     .out = "R>A ip 10.0.0.254>10.0.0.1 options icmp 0 77 +3"},
    {"router_answers_the_first_fragment", 1, "A>R ip 10.0.0.1>10.0.0.254 more icmp 8 77 +32", ANSWERS, .out = "R>A ip 10.0.0.254>10.0.0.1 more icmp 0 77 +32"},
    {"router_answers_later_fragments", 1, "A>R ip 10.0.0.1>10.0.0.254 frag=5 proto 1 +32", ANSWERS, .out = "R>A ip 10.0.0.254>10.0.0.1 frag=5 proto 1 +32"},
    {"router_answers_ipv6_echo", 1, "A>R ip6 fd01::1>fd01::254 ttl=9 icmp6 128 77 +30", ANSWERS, .out = "R>A ip6 fd01::254>fd01::1 icmp6 129 77 +30"},
    {"router_answers_ipv6_echo_to_link_local", 1, "A>R ip6 fd01::1>fe80::ff:fe00:52 icmp6 128 77", ANSWERS,
     .out = "R>A ip6 fe80::ff:fe00:52>fd01::1 icmp6 129 77"},
    {"router_answers_ipv6_echo_from_link_local", 1, "A>R ip6 fe80::ff:fe00:41>fe80::ff:fe00:52 icmp6 128 77", ANSWERS,
     .out = "R>A ip6 fe80::ff:fe00:52>fe80::ff:fe00:41 icmp6 129 77"},
    {"router_serves_no_udp", 1, "A>R ip 10.0.0.1>10.0.0.254 udp 1>2", DROPS(router_itself, 1), .n_outputs = 1},
    {"router_serves_no_tcp", 1, "A>R ip6 fd01::1>fd01::254 tcp 1>22 S", DROPS(router_itself, 1), .n_outputs = 1},
    {"router_serves_no_other_protocol", 1, "A>R ip 10.0.0.1>10.0.0.254 proto 47 +20", DROPS(router_itself, 1), .n_outputs = 1},
    {"router_is_not_told_of_echo_replies", 1, "A>R ip 10.0.0.1>10.0.0.254 icmp 0 7", DROPS(router_itself, 1)},

    /* ---- what a router is asked for by its neighbors ---- */
    {"arp_for_a_router_is_answered", 1, "A>* arp request A 10.0.0.1 10.0.0.254", ANSWERS},
    {"nd_for_a_router_says_that_it_is_one", 1, "A>33:33:ff:00:02:54 ip6 fd01::1>ff02::1:ff00:254 ns fd01::254 A", ANSWERS,
     .out = "R>A ip6 fd01::254>fd01::1 na fd01::254 R set=58:0xe0 set=56:0x97 set=57:0xa2"},
};
const size_t n_routing_cases = ARRAY_SIZE(routing_cases);
