/* Load balancers whose clients are on an external network, frame by frame: see conversation.h, tests/bpf/fixture-balancing.h and fixture-external.h. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "conversation.h"
#include "fixture-balancing.h"
#include "weft/base/util.h"

#define OUTSIDE_MAC "02:57:45:46:54:00"

static int set_up_balancing(void **state)
{
    set_up(state);
    fixture_balancing(pipeline);
    fixture_balancing_outside(pipeline);
    return 0;
}

static void set_timeout(uint16_t port, uint32_t listener, uint32_t timeout_ms)
{
    struct service_key number = SERVICE_LISTENER_KEY(listener), key = {.vni = 7, .port = htons(port), .protocol = IPPROTO_TCP};
    struct service_value value = {.port = number.port, .listener = listener, .limit = timeout_ms};

    pipeline_update(pipeline, "services", &number, &value);
    frame_address("10.0.0.200", key.address);
    ((struct service_value *)pipeline_lookup(pipeline, "services", &key))->flags |= SERVICE_IDLES;
}

static int set_up_vip(void **state)
{
    set_up_balancing(state);
    fixture_balancing_vip(pipeline);
    return 0;
}

static uint64_t in_use(const char *table, uint32_t number)
{
    return ((struct service_use *)pipeline_lookup(pipeline, table, &number))->n_connections;
}

static struct service_counters *counters(uint32_t listener)
{
    return pipeline_lookup(pipeline, "service_counters", &listener);
}

static void all_ends(void)
{
    all_connections_end();
    assert_int_equal(n_entries("balanced"), 0);
    assert_int_equal(n_entries("balanced_names"), 0);
    for (uint32_t number = 0; number <= 14; number++) {
        assert_int_equal(in_use("listener_use", number), 0);
        assert_int_equal(in_use("member_use", number), 0);
    }
}

/* What a host gets: kind DIRECT_RETURN, owner 'index', and the external network. */
static void expect_owner(uint32_t host, uint32_t index, const char *text)
{
    const uint8_t *vxlan;

    expect_host(host, text);
    vxlan = result.outputs[0].bytes + (result.outputs[0].bytes[12] == 0x08 ? TUNNEL_OVERHEAD_IPV4 : TUNNEL_OVERHEAD_IPV6) - 8;
    assert_int_equal((vxlan[1] & 15) << 16 | vxlan[2] << 8 | vxlan[3], 0);
    assert_int_equal(vxlan[7], TUNNEL_DIRECT_RETURN << 4 | (TUNNEL_HOPS_OWNER + index));
    assert_int_equal(vxlan[4] << 16 | vxlan[5] << 8 | vxlan[6], 20);
}

/* ---- by a floating IP --------------------------------------------------------------------------------------------------------- */

static void a_silent_connection_ends_when_its_listener_says(void **state)
{
    say(OUTSIDE, "x>u ip 192.0.2.200>203.0.113.222 tcp 4000>81 S");
    expect_port(2, NULL);
    say(2, "B>R ip 10.0.0.2>192.0.2.200 tcp 8080>4000 SA");
    expect_outside(0, "u>x ip 203.0.113.222>192.0.2.200 ttl=63 tcp 81>4000 SA");
    say(OUTSIDE, "x>u ip 192.0.2.200>203.0.113.222 tcp 4000>81 A");
    expect_port(2, NULL);
    set_timeout(81, 2, 60000);
    pipeline_advance(pipeline, 50000000000ull);
    assert_int_equal(in_use("listener_use", 2), 1);
    pipeline_advance(pipeline, 90000000000ull);
    assert_int_equal(n_entries("connections"), 0);
    assert_int_equal(in_use("listener_use", 2), 0);
    say(OUTSIDE, "x>u ip 192.0.2.200>203.0.113.222 tcp 4000>81 A +9");
    expect_drop(DROP_member_gone);
    assert_int_equal(n_entries("connections"), 0);
    say(OUTSIDE, "x>u ip 192.0.2.200>203.0.113.222 tcp 4000>81 S");
    expect_port(2, NULL);
    all_ends();
}

static void a_member_of_the_gateway_serves(void **state)
{
    static const char *const protocols[] = {"tcp", "udp"};

    for (size_t i = 0; i < ARRAY_SIZE(protocols); i++)
        for (int round = 0; round < 3; round++) {
            const char *forth = i ? "" : round ? " A" : " S", *back = i ? "" : round ? " A" : " SA";

            say(OUTSIDE, frame_text("x>u ip 192.0.2.200>203.0.113.222 %s 4000>81%s +7", protocols[i], forth));
            expect_port(2, frame_text("L>B ip 192.0.2.200>10.0.0.2 ttl=63 %s 4000>8080%s +7", protocols[i], forth));
            say(2, frame_text("B>R ip 10.0.0.2>192.0.2.200 %s 8080>4000%s +3", protocols[i], back));
            expect_outside(0, frame_text("u>x ip 203.0.113.222>192.0.2.200 ttl=63 %s 81>4000%s +3", protocols[i], back));
        }
    assert_int_equal(n_entries("connections"), 2); /* The gateway keeps nothing of it. */
    assert_int_equal(in_use("listener_use", 2), 2);
    assert_int_equal(in_use("member_use", 1), 2);
    assert_int_equal(counters(2)->n_connections, 2);
    assert_int_equal(counters(2)->to_packets, 6);
    assert_int_equal(counters(2)->from_packets, 6);
    all_ends();
}

static void a_member_of_another_host_serves(void **state)
{
    say(OUTSIDE, "x>u ip 192.0.2.200>203.0.113.222 tcp 4000>82 S");
    expect_owner(1, 4, "g>02:ab:70:00:00:02 ip 192.0.2.200>203.0.113.222 ttl=63 tcp 4000>82 S");
    say(OUTSIDE, "x>u ip 192.0.2.200>203.0.113.222 tcp 4000>82 A +9");
    expect_owner(1, 4, "g>02:ab:70:00:00:02 ip 192.0.2.200>203.0.113.222 ttl=63 tcp 4000>82 A +9");
    assert_int_equal(n_entries("connections"), 0);
    all_ends();
}

static void another_host_is_the_gateway(void **state)
{
    say(TUNNEL, "outer 192.0.2.2>192.0.2.1 20 2/5/0 g>02:ab:70:00:00:01 ip 192.0.2.200>203.0.113.222 ttl=63 tcp 4000>81 S");
    expect_port(2, "L>B ip 192.0.2.200>10.0.0.2 ttl=63 tcp 4000>8080 S");
    say(2, "B>R ip 10.0.0.2>192.0.2.200 tcp 8080>4000 SA");
    expect_outside(0, "u>x ip 203.0.113.222>192.0.2.200 ttl=63 tcp 81>4000 SA");
    say(OUTSIDE, "x>u ip 192.0.2.200>203.0.113.222 tcp 4000>81 A"); /* By this one now. */
    expect_port(2, "L>B ip 192.0.2.200>10.0.0.2 ttl=63 tcp 4000>8080 A");
    assert_int_equal(n_entries("connections"), 1);
    /* Without an uplink here, by another host's. */
    pipeline_delete(pipeline, "uplinks", &(struct uplink_key){UPLINK_BY_VNI, 20});
    say(2, "B>R ip 10.0.0.2>192.0.2.200 tcp 8080>4000 A +3");
    expect_verdict(PIPELINE_TUNNELLED);
    expect_host(result.outputs[0].host_slot, "g>" OUTSIDE_MAC " ip 203.0.113.222>192.0.2.200 ttl=63 tcp 81>4000 A +3");
    all_ends();
}

static void ipv6_is_routed(void **state)
{
    for (int round = 0; round < 3; round++) {
        const char *forth = round ? " A" : " S", *back = round ? " A" : " SA";

        say(OUTSIDE, frame_text("x>u ip6 2001:db8:77::1>fd01::200 tcp 4000>81%s +7", forth));
        expect_port(2, frame_text("L>B ip6 2001:db8:77::1>fd01::2 ttl=63 tcp 4000>8080%s +7", forth));
        say(2, frame_text("B>R ip6 fd01::2>2001:db8:77::1 tcp 8080>4000%s +3", back));
        expect_outside(0, frame_text("u>x ip6 fd01::200>2001:db8:77::1 ttl=63 tcp 81>4000%s +3", back));
    }
    say(OUTSIDE, "x>u ip6 2001:db8:77::1>fd01::200 udp 4000>82 +7");
    expect_owner(1, 4, "g>02:ab:70:00:00:07 ip6 2001:db8:77::1>fd01::200 ttl=63 udp 4000>82 +7");
    say(TUNNEL, "outer 192.0.2.2>192.0.2.1 20 2/5/0 g>02:ab:70:00:00:06 ip6 2001:db8:77::1>fd01::200 ttl=63 udp 4000>81 +7");
    expect_port(2, "L>B ip6 2001:db8:77::1>fd01::2 ttl=63 udp 4000>8080 +7");
    say(OUTSIDE, "x>u ip6 2001:db8:77::1>fd01::200 icmp6 128 7 +4");
    expect_outside(0, "u>x ip6 fd01::200>2001:db8:77::1 ttl=63 icmp6 129 7 +4");
    say(OUTSIDE, "x>u ip6 2001:db8:77::1>fd01::200 ttl=1 tcp 4000>81 S");
    expect_drop(DROP_ttl_exceeded);
    say(OUTSIDE, "x>u ip6 fd01::1>fd01::200 tcp 4000>81 S"); /* From one of ours: not from there. */
    expect_drop(DROP_reverse_path);
    all_ends();
}

static void echo_is_answered(void **state)
{
    say(OUTSIDE, "x>u ip 192.0.2.200>203.0.113.222 icmp 8 7 +4");
    expect_outside(0, "u>x ip 203.0.113.222>192.0.2.200 icmp 0 7 +4");
}

/* Who sends to a floating IP of his own load balancer does so by another name; his answer comes back by it. */
static void a_workload_calls_by_the_floating_ip(void **state)
{
    for (int round = 0; round < 3; round++) {
        const char *forth = round ? " A" : " S", *back = round ? " A" : " SA";

        say(1, frame_text("A>R ip 10.0.0.1>203.0.113.222 tcp 4000>81%s +7", forth));
        expect_port(2, NULL);
        chosen_port();
        expect_port(2, frame_text("L>B ip 203.0.113.10>10.0.0.2 ttl=62 tcp %u>8080%s +7", chosen, forth));
        say(2, frame_text("B>R ip 10.0.0.2>203.0.113.10 tcp 8080>%u%s +3", chosen, back));
        expect_port(1, frame_text("R>A ip 203.0.113.222>10.0.0.1 ttl=62 tcp 81>4000%s +3", back));
    }
    say(2, "B>R ip 10.0.0.2>203.0.113.222 tcp 4000>81 S"); /* The member itself, which has a floating IP of its own. */
    expect_port(2, "L>B ip 203.0.113.12>10.0.0.2 ttl=62 tcp 4000>8080 S");
    say(2, "B>R ip 10.0.0.2>203.0.113.12 tcp 8080>4000 SA");
    expect_port(2, "R>B ip 203.0.113.222>10.0.0.2 ttl=62 tcp 81>4000 SA");
    say(1, "A>R ip 10.0.0.1>203.0.113.222 tcp 4001>82 S");
    expect_verdict(PIPELINE_TUNNELLED);
    all_ends();
}

/* As if nothing had been translated: an event of the port, with the frame as the workload has sent it. */
static void expect_refused(uint32_t slot, enum drop_reason reason, enum punt_reason punt, uint8_t code, const char *text)
{
    const struct punt_event *event = expect_punt(punt);

    expect_drop(reason);
    assert_int_equal(event->slot, slot);
    assert_int_equal(event->ifindex, 100 + slot);
    assert_int_equal(event->code, code);
    expect_bytes(event->frame, event->size, text);
}

/* By SNAT, by a floating IP of its own, on the external network itself, and behind another router. */
static void a_workload_that_calls_what_is_closed_is_told(void **state)
{
    static const struct {
        uint32_t slot;
        const char *frame;
        enum drop_reason reason;
    } calls[] = {
        {1, "A>R ip 10.0.0.1>203.0.113.222 tcp 4000>99 S", DROP_service_no_listener},
        {1, "A>R ip 10.0.0.1>203.0.113.222 options udp 4000>99 +5", DROP_service_no_listener},
        {1, "A>R ip 10.0.0.1>203.0.113.222 ttl=9 tcp 4000>86 S", DROP_service_no_member},
        {2, "B>R ip 10.0.0.2>203.0.113.222 tcp 4000>99 S", DROP_service_no_listener},
        {3, "B>c ip 10.0.0.2>203.0.113.222 udp 4000>99 +5", DROP_service_no_listener},
        {12, "e>g ip 203.0.113.77>203.0.113.222 tcp 4000>99 S", DROP_service_no_listener},
    };

    for (size_t i = 0; i < ARRAY_SIZE(calls); i++) {
        fixture_port(pipeline, calls[i].slot)->punt_burst = 10;
        say(calls[i].slot, calls[i].frame);
        expect_refused(calls[i].slot, calls[i].reason, PUNT_UNREACHABLE, UNREACHABLE_PORT, calls[i].frame);
    }
    for (int i = 0; i < 10; i++) {
        say(1, "A>R ip 10.0.0.1>203.0.113.222 tcp 4000>99 S");
        expect_drop(DROP_service_no_listener);
    }
    assert_int_equal(result.n_outputs, 0); /* More than its budget. */
    all_ends();
}

static void a_workload_that_calls_by_the_floating_ip_learns_the_size(void **state)
{
    static const char large[] = "A>R ip 10.0.0.1>203.0.113.222 df udp 4000>81 +1380";

    for (uint32_t number = 1; number < 3; number++)
        fixture_member(pipeline, number)->mtu = 1400;
    say(1, large);
    expect_refused(1, DROP_too_big, PUNT_TOO_BIG, 0, large);
    assert_int_equal(expect_punt(PUNT_TOO_BIG)->mtu, 1400);
    assert_int_equal(expect_punt(PUNT_TOO_BIG)->router_port, 5);
    say(1, "A>R ip 10.0.0.1>203.0.113.222 df udp 4000>81 +1372");
    expect_port(2, NULL);
    all_ends();
}

static void a_workload_that_a_firewall_rejects_is_told(void **state)
{
    static const struct firewall_rule_row rules[] = {{.flags = RULE_IPV4, .verdict = FIREWALL_REJECTS, .number = 1}};
    static const char call[] = "B>c ip 10.0.0.2>203.0.113.222 tcp 4000>81 S"; /* Of another router, which asks nobody. */

    fixture_firewall(pipeline, 3, rules, ARRAY_SIZE(rules));
    fixture_router_port(pipeline, 5)->rule_set[POLICY_EGRESS] = 3;
    say(3, call);
    expect_refused(3, DROP_firewall_egress, PUNT_UNREACHABLE, UNREACHABLE_PROHIBITED, call);
    all_ends();
}

/* Of another router on the same external network, and of a workload there. */
static void others_on_the_network_call(void **state)
{
    say(12, "e>g ip 203.0.113.77>203.0.113.222 tcp 4000>81 S");
    expect_port(2, "L>B ip 203.0.113.77>10.0.0.2 ttl=63 tcp 4000>8080 S");
    say(2, "B>R ip 10.0.0.2>203.0.113.77 tcp 8080>4000 SA");
    expect_port(12, "g>e ip 203.0.113.222>203.0.113.77 ttl=63 tcp 81>4000 SA");
    say(3, "B>c ip 10.0.0.2>203.0.113.222 tcp 4000>81 S");
    expect_port(2, "L>B ip 203.0.113.23>10.0.0.2 ttl=62 tcp 4000>8080 S");
    say(2, "B>R ip 10.0.0.2>203.0.113.23 tcp 8080>4000 SA");
    expect_port(3, "c>B ip 203.0.113.222>10.0.0.2 ttl=62 tcp 81>4000 SA");
    all_ends();
}

/* ---- owners ---------------------------------------------------------------------------------------------------------------------- */

/* The row is member 4's now (slot 8) and was member 1's before (slot 2). */
static void who_had_the_row_goes_on(void **state)
{
    say(OUTSIDE, "x>u ip 192.0.2.200>203.0.113.222 tcp 4000>81 S");
    expect_port(2, NULL);
    fixture_service(pipeline, "10.0.0.200", IPPROTO_TCP, 81)->pool = 5;
    fixture_row_history(pipeline, 5, 2, 1, 0); /* First it is asked on host 1. */
    say(OUTSIDE, "x>u ip 192.0.2.200>203.0.113.222 tcp 4000>81 A +7");
    expect_owner(1, 1, "g>02:ab:70:00:00:02 ip 192.0.2.200>203.0.113.222 ttl=63 tcp 4000>81 A +7");
    say(TUNNEL, "outer 192.0.2.2>192.0.2.1 20 2/3/0 g>02:ab:70:00:00:01 ip 192.0.2.200>203.0.113.222 ttl=63 tcp 4000>81 A +7");
    expect_port(2, "L>B ip 192.0.2.200>10.0.0.2 ttl=63 tcp 4000>8080 A +7");
    fixture_row_history(pipeline, 5, 1, 2, 0);
    say(OUTSIDE, "x>u ip 192.0.2.200>203.0.113.222 tcp 4000>81 A +7");
    expect_port(2, "L>B ip 192.0.2.200>10.0.0.2 ttl=63 tcp 4000>8080 A +7");
    say(OUTSIDE, "x>u ip 192.0.2.200>203.0.113.222 tcp 4001>81 S"); /* A new one is the owner's. */
    expect_port(8, "L>H ip 192.0.2.200>10.0.0.8 ttl=63 tcp 4001>8080 S");
    say(8, "H>R ip 10.0.0.8>192.0.2.200 tcp 8080>4001 SA");
    expect_outside(0, "u>x ip 203.0.113.222>192.0.2.200 ttl=63 tcp 81>4001 SA");
    say(OUTSIDE, "x>u ip 192.0.2.200>203.0.113.222 tcp 4001>81 A");
    expect_port(8, "L>H ip 192.0.2.200>10.0.0.8 ttl=63 tcp 4001>8080 A");
    assert_int_equal(in_use("member_use", 1), 1);
    assert_int_equal(in_use("member_use", 4), 1);
    all_ends();
}

/* Hosts hear of moved rows at different times.  This one's row is member 1's, before member 2's and 3's. */
static void hosts_that_lag_pass_on(void **state)
{
    fixture_service(pipeline, "10.0.0.200", IPPROTO_TCP, 81)->pool = 2;
    fixture_row_history(pipeline, 2, 2, 3, 0);
    /* By now it is member 4's, which the gateway knew and this host does not: who is owner here is asked first. */
    fixture_member(pipeline, 1)->output = OUTPUT_REMOTE | 1;
    say(TUNNEL, "outer 192.0.2.2>192.0.2.1 20 2/1/0 g>02:ab:70:00:00:04 ip 192.0.2.200>203.0.113.222 ttl=63 tcp 4000>81 A +7");
    expect_owner(1, 1, "g>02:ab:70:00:00:01 ip 192.0.2.200>203.0.113.222 ttl=63 tcp 4000>81 A +7");
    /* The gateway lags: it sends to who was the last but one; nobody is left out after him, and the owner, who is before him, comes last. */
    say(TUNNEL, "outer 192.0.2.2>192.0.2.1 20 2/1/0 g>02:ab:70:00:00:03 ip 192.0.2.200>203.0.113.222 ttl=63 tcp 4000>81 A +7");
    expect_owner(1, 4, "g>02:ab:70:00:00:01 ip 192.0.2.200>203.0.113.222 ttl=63 tcp 4000>81 A +7");
    /* The row has never moved here. */
    fixture_row_history(pipeline, 2, 0, 0, 0);
    say(TUNNEL, "outer 192.0.2.2>192.0.2.1 20 2/3/0 g>02:ab:70:00:00:04 ip 192.0.2.200>203.0.113.222 ttl=63 tcp 4000>81 A +7");
    expect_owner(1, 3, "g>02:ab:70:00:00:01 ip 192.0.2.200>203.0.113.222 ttl=63 tcp 4000>81 A +7");
    /* A member or a listener of which this host has not heard: no client is told that nobody is there. */
    say(TUNNEL, "outer 192.0.2.2>192.0.2.1 20 2/1/0 g>02:ab:70:00:00:77 ip 192.0.2.200>203.0.113.222 ttl=63 tcp 4000>81 S");
    expect_drop(DROP_member_gone);
    assert_int_equal(result.n_outputs, 0);
    say(TUNNEL, "outer 192.0.2.2>192.0.2.1 20 2/1/0 g>02:ab:70:00:00:04 ip 192.0.2.200>203.0.113.222 ttl=63 tcp 4000>99 S");
    expect_drop(DROP_service_no_listener);
    assert_int_equal(result.n_outputs, 0);
    all_ends();
}

static void what_nobody_knows_is_the_owners(void **state)
{
    fixture_row_history(pipeline, 2, 4, 3, 0);
    say(OUTSIDE, "x>u ip 192.0.2.200>203.0.113.222 udp 4000>81 +7");
    expect_port(2, "L>B ip 192.0.2.200>10.0.0.2 ttl=63 udp 4000>8080 +7");
    fixture_row_history(pipeline, 2, 2, 3, 4);
    say(OUTSIDE, "x>u ip 192.0.2.200>203.0.113.222 udp 4001>81 +7");
    expect_owner(1, 1, "g>02:ab:70:00:00:02 ip 192.0.2.200>203.0.113.222 ttl=63 udp 4001>81 +7");
    say(TUNNEL, "outer 192.0.2.2>192.0.2.1 20 2/3/0 g>02:ab:70:00:00:03 ip 192.0.2.200>203.0.113.222 ttl=63 udp 4001>81 +7");
    expect_port(2, "L>B ip 192.0.2.200>10.0.0.2 ttl=63 udp 4001>8080 +7");
    /* A segment of nothing: its member says so itself. */
    say(TUNNEL, "outer 192.0.2.2>192.0.2.1 20 2/4/0 g>02:ab:70:00:00:04 ip 192.0.2.200>203.0.113.222 ttl=63 tcp 4002>81 A +7");
    expect_port(2, "L>B ip 192.0.2.200>10.0.0.2 ttl=63 tcp 4002>8080 A +7");
    all_ends();
}

static void nobody_is_asked_for_ever(void **state)
{
    fixture_member(pipeline, 1)->output = OUTPUT_REMOTE | 1;
    fixture_row_history(pipeline, 2, 3, 0, 0);
    say(TUNNEL, "outer 192.0.2.2>192.0.2.1 20 2/2/0 g>02:ab:70:00:00:03 ip 192.0.2.200>203.0.113.222 ttl=63 udp 4000>81 +7");
    expect_owner(1, 4, "g>02:ab:70:00:00:01 ip 192.0.2.200>203.0.113.222 ttl=63 udp 4000>81 +7");
    say(TUNNEL, "outer 192.0.2.2>192.0.2.1 20 2/5/0 g>02:ab:70:00:00:01 ip 192.0.2.200>203.0.113.222 ttl=63 udp 4000>81 +7");
    expect_drop(DROP_member_gone); /* Not here: the last one passes nothing on. */
    for (unsigned hops = 6; hops < TUNNEL_HOPS_TOO_BIG; hops++) {
        say(TUNNEL, frame_text("outer 192.0.2.2>192.0.2.1 20 2/%u/0 g>02:ab:70:00:00:03 ip 192.0.2.200>203.0.113.222 ttl=63 udp 4000>81 +7", hops));
        expect_drop(DROP_tunnel_header);
    }
    all_ends();
}

static void draining_members_keep_theirs(void **state)
{
    say(OUTSIDE, "x>u ip 192.0.2.200>203.0.113.222 tcp 4000>81 S");
    expect_port(2, NULL);
    fixture_service(pipeline, "10.0.0.200", IPPROTO_TCP, 81)->pool = 7; /* Without rows of its own, as when all drain. */
    struct service_rows rows = {.pool = 7, .index = SERVICE_ROWS_INDEX(1, 0)};
    for (size_t i = 0; i < SERVICE_ROWS_PER_BLOCK; i++)
        rows.rows[i].previous[0] = 1;
    pipeline_update(pipeline, "service_rows", &(struct service_rows_key){rows.pool, rows.index}, &rows);
    say(OUTSIDE, "x>u ip 192.0.2.200>203.0.113.222 tcp 4000>81 A +7");
    expect_port(2, "L>B ip 192.0.2.200>10.0.0.2 ttl=63 tcp 4000>8080 A +7");
    say(OUTSIDE, "x>u ip 192.0.2.200>203.0.113.222 tcp 4001>81 S");
    expect_drop(DROP_service_no_member);
    all_ends();
}

/* ---- what does not pass ------------------------------------------------------------------------------------------------------------- */

static void a_closed_port_answers(void **state)
{
    static const struct {
        const char *text;
        enum drop_reason reason;
    } cases[] = {
        {"x>u ip 192.0.2.200>203.0.113.222 tcp 4000>99 S", DROP_service_no_listener},
        {"x>u ip 192.0.2.200>203.0.113.222 udp 4000>99 +4", DROP_service_no_listener},
        {"x>u ip 192.0.2.200>203.0.113.222 tcp 4000>86 S", DROP_service_no_member},
        {"x>u ip 192.0.2.200>203.0.113.222 tcp 4000>89 S", DROP_service_no_listener},
    };

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        say(OUTSIDE, cases[i].text);
        expect_drop(cases[i].reason);
        const struct punt_event *event = expect_punt(PUNT_UNREACHABLE);
        assert_int_equal(event->code, UNREACHABLE_PORT);
        assert_int_equal(event->output, OUTPUT_UPLINK);
        assert_int_equal(event->router_port, 5);
        assert_int_equal(event->vni, 20);
    }
    say(OUTSIDE, "x>u ip 192.0.2.200>203.0.113.222 proto 47 +9");
    expect_drop(DROP_service_no_listener);
    assert_int_equal(expect_punt(PUNT_UNREACHABLE)->code, UNREACHABLE_PROTOCOL);
    say(TUNNEL, "outer 192.0.2.2>192.0.2.1 20 0 g>" OUTSIDE_MAC " ip 192.0.2.200>203.0.113.222 tcp 4000>99 S");
    expect_drop(DROP_service_no_listener);
    assert_int_equal(expect_punt(PUNT_UNREACHABLE)->output, OUTPUT_REMOTE | 1);
    assert_int_equal(counters(7)->n_refused, 1);
    all_ends();
}

static void only_some_may_call(void **state)
{
    struct service_source_key key = {.prefix_length = 32 + 128, .listener = 8};
    uint64_t value = (uint64_t)RULE_IPV4 << 32 | 8;

    say(OUTSIDE, "x>u ip 192.0.2.200>203.0.113.222 tcp 4000>87 S");
    expect_drop(DROP_service_denied);
    assert_int_equal(result.n_outputs, 0);
    frame_address("192.0.2.200", key.address);
    pipeline_update(pipeline, "service_sources", &key, &value);
    say(OUTSIDE, "x>u ip 192.0.2.200>203.0.113.222 tcp 4000>87 S");
    assert_int_not_equal(result.verdict, PIPELINE_DROPPED);
}

static void a_listener_has_a_limit(void **state)
{
    for (int i = 0; i < 2; i++) {
        say(OUTSIDE, frame_text("x>u ip 192.0.2.200>203.0.113.222 tcp %d>91 S", 4000 + i));
        expect_port(2, NULL);
    }
    say(OUTSIDE, "x>u ip 192.0.2.200>203.0.113.222 tcp 4002>91 S");
    expect_drop(DROP_service_limit);
    assert_int_equal(expect_punt(PUNT_UNREACHABLE)->code, UNREACHABLE_PORT);
    say(OUTSIDE, "x>u ip 192.0.2.200>203.0.113.222 tcp 4001>91 A");
    expect_port(2, NULL);
    all_ends();
    say(OUTSIDE, "x>u ip 192.0.2.200>203.0.113.222 tcp 4002>91 S");
    expect_port(2, NULL);

    struct service_key key = {.vni = 7, .port = htons(91), .protocol = IPPROTO_TCP}; /* This host's share is gone; the connection is not. */
    frame_address("10.0.0.200", key.address);
    struct service_value *service = pipeline_lookup(pipeline, "services", &key);
    service->limit = 0;
    service->flags |= SERVICE_FULL;
    say(OUTSIDE, "x>u ip 192.0.2.200>203.0.113.222 tcp 4003>91 S");
    expect_drop(DROP_service_limit);
    say(OUTSIDE, "x>u ip 192.0.2.200>203.0.113.222 tcp 4002>91 A");
    expect_port(2, NULL);
}

static void what_is_over_does_not_count(void **state)
{
    static const char *const endings[][3] = {{"2 RA", NULL}, {"x FA", "2 FA", NULL}};

    for (int policy = 0; policy < 2; policy++) {
        if (policy)
            fixture_policy(pipeline, 2, FIXTURE_ALLOW_ALL, FIXTURE_ALLOW_ALL);
        change_epoch(2);
        for (size_t ending = 0; ending < ARRAY_SIZE(endings); ending++) {
            for (int i = 0; i < 4; i++) { /* The limit is two. */
                int port = 4000 + 100 * policy + 10 * (int)ending + i;

                say(OUTSIDE, frame_text("x>u ip 192.0.2.200>203.0.113.222 tcp %d>91 S seq=100", port));
                expect_port(2, NULL);
                assert_int_equal(in_use("listener_use", 12), 1);
                say(2, frame_text("B>R ip 10.0.0.2>192.0.2.200 tcp 8080>%d SA seq=300 ack=101", port));
                say(OUTSIDE, frame_text("x>u ip 192.0.2.200>203.0.113.222 tcp %d>91 A seq=101 ack=301", port));
                for (const char *const *end = endings[ending]; *end; end++) {
                    assert_int_equal(in_use("listener_use", 12), 1);
                    if (**end == '2')
                        say(2, frame_text("B>R ip 10.0.0.2>192.0.2.200 tcp 8080>%d %s seq=301 ack=%d", port, *end + 2, ending ? 102 : 101));
                    else
                        say(OUTSIDE, frame_text("x>u ip 192.0.2.200>203.0.113.222 tcp %d>91 %s seq=101 ack=301", port, *end + 2));
                }
                assert_int_equal(in_use("listener_use", 12), 0);
                assert_int_equal(in_use("member_use", 1), 0);
            }
        }
    }
    all_ends();
}

static void its_sender_is_told_why_it_ends(void **state)
{
    say(OUTSIDE, "x>u ip 192.0.2.200>203.0.113.222 ttl=1 udp 4000>81 +4");
    expect_drop(DROP_ttl_exceeded);
    expect_punt(PUNT_TTL);
    say(OUTSIDE, "x>u ip 192.0.2.200>203.0.113.222 df udp 4000>81 +1440");
    expect_drop(DROP_too_big);
    assert_int_equal(expect_punt(PUNT_TOO_BIG)->mtu, 1450);
    say(OUTSIDE, "x>u ip 192.0.2.200>203.0.113.222 df udp 4000>82 +1440");
    expect_drop(DROP_too_big);
    assert_int_equal(n_entries("connections"), 0);
}

static void firewalls_of_the_router_are_asked(void **state)
{
    static const struct firewall_rule_row rules[] = {{.flags = RULE_IPV4 | RULE_IPV6 | RULE_PROTOCOL, .protocol = IPPROTO_TCP, .verdict = FIREWALL_PASSES, .number = 1}};

    fixture_firewall(pipeline, 3, rules, ARRAY_SIZE(rules));
    for (int inner = 0; inner < 2; inner++) { /* What comes in by port 5, and what leaves by port 1. */
        fixture_router_port(pipeline, 5)->rule_set[POLICY_EGRESS] = inner ? 0 : 3;
        fixture_router_port(pipeline, 1)->rule_set[POLICY_INGRESS] = inner ? 3 : 0;
        say(OUTSIDE, "x>u ip 192.0.2.200>203.0.113.222 udp 4000>81 +4");
        expect_drop(inner ? DROP_firewall_ingress : DROP_firewall_egress);
        say(OUTSIDE, "x>u ip6 2001:db8:77::1>fd01::200 udp 4000>81 +4");
        expect_drop(inner ? DROP_firewall_ingress : DROP_firewall_egress);
        say(OUTSIDE, frame_text("x>u ip 192.0.2.200>203.0.113.222 tcp %d>81 S", 4000 + inner));
        expect_port(2, NULL);
        say(2, frame_text("B>R ip 10.0.0.2>192.0.2.200 tcp 8080>%d SA", 4000 + inner));
        expect_verdict(PIPELINE_OUTSIDE);
        say(OUTSIDE, frame_text("x>u ip6 2001:db8:77::1>fd01::200 tcp %d>81 S", 4000 + inner));
        expect_port(2, NULL);
    }
}

static void what_firewalls_decide_is_logged(void **state)
{
    static const struct firewall_rule_row rules[] = {{.flags = RULE_IPV4 | RULE_IPV6 | RULE_PROTOCOL, .protocol = IPPROTO_TCP, .verdict = FIREWALL_PASSES, .number = 1}};

    fixture_firewall(pipeline, 3, rules, ARRAY_SIZE(rules));
    fixture_router_port(pipeline, 5)->rule_set[POLICY_EGRESS] = 3;
    fixture_router_port(pipeline, 5)->flags |= ROUTER_PORT_LOG_ACCEPT | ROUTER_PORT_LOG_DROP;
    say(OUTSIDE, "x>u ip 192.0.2.200>203.0.113.222 tcp 4000>81 S");
    expect_port(2, NULL);
    assert_int_equal(result.n_verdicts, 1);
    assert_int_equal(result.verdicts[0].reason, 0);
    assert_int_equal(result.verdicts[0].number, 1);
    say(OUTSIDE, "x>u ip 192.0.2.200>203.0.113.222 tcp 4000>81 A +9");
    expect_port(2, NULL);
    assert_int_equal(result.n_verdicts, 0);
    say(OUTSIDE, "x>u ip6 2001:db8:77::1>fd01::200 udp 4000>81 +4");
    expect_drop(DROP_firewall_egress);
    assert_int_equal(result.n_verdicts, 1);
    assert_int_equal(result.verdicts[0].reason, DROP_firewall_egress);
    fixture_router_port(pipeline, 5)->flags &= ~(ROUTER_PORT_LOG_ACCEPT | ROUTER_PORT_LOG_DROP);
    say(OUTSIDE, "x>u ip 192.0.2.200>203.0.113.222 udp 4000>81 +4");
    expect_drop(DROP_firewall_egress);
    assert_int_equal(result.n_verdicts, 0);
}

static void a_members_groups_see_the_client(void **state)
{
    static const struct rule rules[] = {{.flags = RULE_IPV4 | RULE_PROTOCOL, .protocol = IPPROTO_TCP}};

    fixture_rules(pipeline, 9, rules, ARRAY_SIZE(rules));
    fixture_policy(pipeline, 8, FIXTURE_ALLOW_ALL, 9);
    say(OUTSIDE, "x>u ip 192.0.2.200>203.0.113.222 udp 4000>84 +4");
    expect_drop(DROP_policy_ingress);
    say(OUTSIDE, "x>u ip 192.0.2.200>203.0.113.222 tcp 4000>84 S");
    expect_port(8, "L>H ip 192.0.2.200>10.0.0.8 ttl=63 tcp 4000>8080 S");
    say(8, "H>R ip 10.0.0.8>192.0.2.200 tcp 8080>4000 SA");
    expect_outside(0, "u>x ip 203.0.113.222>192.0.2.200 ttl=63 tcp 84>4000 SA");
    all_ends();
}

/* ---- what changes ------------------------------------------------------------------------------------------------------------------ */

static void the_floating_ip_goes(void **state)
{
    struct external_value *value = fixture_external_find(pipeline, 20, "203.0.113.222");

    say(OUTSIDE, "x>u ip 192.0.2.200>203.0.113.222 tcp 4000>81 S");
    expect_port(2, NULL);
    value->router_port = 7; /* Another tenant has it: nothing leaves by its name that is not his. */
    say(2, "B>R ip 10.0.0.2>192.0.2.200 tcp 8080>4000 SA");
    expect_drop(DROP_translation_gone);
    say(OUTSIDE, "x>u ip 192.0.2.200>203.0.113.222 tcp 4000>81 A"); /* Nothing is behind his router. */
    assert_int_equal(result.verdict, PIPELINE_DROPPED);
    value->router_port = 5;
    say(OUTSIDE, "x>u ip 192.0.2.200>203.0.113.222 tcp 4001>81 S");
    expect_port(2, NULL);
    fixture_router_port(pipeline, 5)->generation++; /* The number is another router's. */
    say(2, "B>R ip 10.0.0.2>192.0.2.200 tcp 8080>4001 SA");
    expect_drop(DROP_translation_gone);
    all_ends();
}

static void a_member_that_goes_ends_its_connections(void **state)
{
    say(OUTSIDE, "x>u ip 192.0.2.200>203.0.113.222 tcp 4000>81 S");
    expect_port(2, NULL);
    fixture_member(pipeline, 1)->flags = 0;
    say(2, "B>R ip 10.0.0.2>192.0.2.200 tcp 8080>4000 A");
    expect_outside(0, "u>x ip 203.0.113.222>192.0.2.200 ttl=63 tcp 81>4000 RA");
    say(OUTSIDE, "x>u ip 192.0.2.200>203.0.113.222 tcp 4000>81 A");
    expect_drop(DROP_service_no_member);
    assert_int_equal(expect_punt(PUNT_UNREACHABLE)->code, UNREACHABLE_PORT);
    all_ends();
}

static void a_listener_that_is_another(void **state)
{
    say(OUTSIDE, "x>u ip 192.0.2.200>203.0.113.222 tcp 4000>81 S");
    expect_port(2, NULL);
    fixture_service(pipeline, "10.0.0.200", IPPROTO_TCP, 81)->listener = 9;
    say(OUTSIDE, "x>u ip 192.0.2.200>203.0.113.222 tcp 4000>81 A");
    expect_port(2, NULL);
    assert_int_equal(in_use("listener_use", 2), 0);
    assert_int_equal(in_use("listener_use", 9), 1);
    assert_int_equal(in_use("member_use", 1), 1);
    all_ends();
}

/* Of one client, by the floating IP and by the address itself, which another router does not translate. */
static void one_port_and_two_names(void **state)
{
    say(1, "A>L ip 10.0.0.1>10.0.0.200 tcp 4000>81 S");
    expect_port(2, "L>B ip 10.0.0.1>10.0.0.2 tcp 4000>8080 S");
    say(OUTSIDE, "x>u ip 192.0.2.200>203.0.113.222 tcp 4000>81 S");
    expect_port(2, "L>B ip 192.0.2.200>10.0.0.2 ttl=63 tcp 4000>8080 S");
    struct external_value other = *fixture_external_find(pipeline, 20, "203.0.113.222");
    fixture_external_row(pipeline, 20, "203.0.113.223", &other);
    say(OUTSIDE, "x>u ip 192.0.2.200>203.0.113.223 tcp 4000>81 S");
    expect_port(2, NULL);
    const uint8_t *l4 = result.outputs[0].bytes + 34;
    unsigned port = (unsigned)(l4[0] << 8 | l4[1]);
    assert_int_not_equal(port, 4000);
    say(2, frame_text("B>R ip 10.0.0.2>192.0.2.200 tcp 8080>%u SA", port));
    expect_outside(0, "u>x ip 203.0.113.223>192.0.2.200 ttl=63 tcp 81>4000 SA");
    say(2, "B>R ip 10.0.0.2>192.0.2.200 tcp 8080>4000 SA");
    expect_outside(0, "u>x ip 203.0.113.222>192.0.2.200 ttl=63 tcp 81>4000 SA");
    all_ends();
}

/* ---- errors and fragments ------------------------------------------------------------------------------------------------------------- */

static void errors_are_translated_inside_out(void **state)
{
    say(OUTSIDE, "x>u ip 192.0.2.200>203.0.113.222 udp 4000>81 +4");
    expect_port(2, NULL);
    say(2, "B>R ip 10.0.0.2>192.0.2.200 icmp 3 3 quote ip 192.0.2.200>10.0.0.2 ttl=63 udp 4000>8080 +4");
    expect_outside(0, "u>x ip 203.0.113.222>192.0.2.200 ttl=63 icmp 3 3 quote ip 192.0.2.200>203.0.113.222 ttl=63 udp 4000>81 +4");
    say(OUTSIDE, "x>u ip 192.0.2.99>203.0.113.222 icmp 3 4 quote ip 203.0.113.222>192.0.2.200 udp 81>4000 +4"); /* Somebody on the way. */
    expect_port(2, "L>B ip 192.0.2.99>10.0.0.2 ttl=63 icmp 3 4 quote ip 10.0.0.2>192.0.2.200 udp 8080>4000 +4");
    say(OUTSIDE, "x>u ip 192.0.2.99>203.0.113.222 icmp 3 4 quote ip 203.0.113.222>192.0.2.200 udp 81>4001 +4");
    expect_drop(DROP_unknown_translation);
    say(OUTSIDE, "x>u ip 192.0.2.99>203.0.113.222 icmp 3 4 quote ip 203.0.113.12>192.0.2.200 udp 81>4000 +4");
    expect_drop(DROP_unknown_translation);
    say(OUTSIDE, "x>u ip 192.0.2.99>203.0.113.222 icmp 3 4 quote ip 203.0.113.222>192.0.2.200 udp 82>4000 +4");
    expect_owner(1, 4, "g>02:ab:70:00:00:02 ip 192.0.2.99>203.0.113.222 ttl=63 icmp 3 4 quote ip 203.0.113.222>192.0.2.200 udp 82>4000 +4");
    all_ends();
}

static void fragments_follow_their_first(void **state)
{
    say(OUTSIDE, "x>u ip 192.0.2.200>203.0.113.222 frag=2 proto 17 +8");
    expect_drop(DROP_fragment_unknown);
    say(OUTSIDE, "x>u ip 192.0.2.200>203.0.113.222 more udp 4000>81 +8");
    expect_port(2, NULL);
    say(OUTSIDE, "x>u ip 192.0.2.200>203.0.113.222 frag=2 proto 17 +8");
    expect_port(2, "L>B ip 192.0.2.200>10.0.0.2 ttl=63 frag=2 proto 17 +8");
    say(OUTSIDE, "x>u ip6 2001:db8:77::1>fd01::200 more udp 4000>82 +8");
    expect_verdict(PIPELINE_TUNNELLED);
    say(OUTSIDE, "x>u ip6 2001:db8:77::1>fd01::200 frag=2 proto 17 +8");
    expect_owner(1, 4, "g>02:ab:70:00:00:07 ip6 2001:db8:77::1>fd01::200 ttl=63 frag=2 proto 17 +8");
    say(TUNNEL, "outer 192.0.2.2>192.0.2.1 20 2/5/0 g>02:ab:70:00:00:01 ip 192.0.2.77>203.0.113.222 ttl=63 more udp 4000>81 +8");
    expect_port(2, NULL);
    say(TUNNEL, "outer 192.0.2.2>192.0.2.1 20 2/5/0 g>02:ab:70:00:00:01 ip 192.0.2.77>203.0.113.222 ttl=63 frag=2 proto 17 +8");
    expect_port(2, "L>B ip 192.0.2.77>10.0.0.2 ttl=63 frag=2 proto 17 +8");
    all_ends();
}

/* What hosts say to each other is looked at. */
static void what_hosts_send_is_looked_at(void **state)
{
    say(TUNNEL, "outer 192.0.2.2>192.0.2.1 20 2/5/0 x>02:ab:70:00:00:01 ip 192.0.2.200>203.0.113.222 tcp 4000>81 S"); /* No router's MAC. */
    expect_drop(DROP_tunnel_header);
    say(TUNNEL, "outer 192.0.2.2>192.0.2.1 7 2/5/0 R>02:ab:70:00:00:01 ip 192.0.2.200>203.0.113.222 tcp 4000>81 S"); /* None outside. */
    expect_drop(DROP_tunnel_header);
    say(TUNNEL, "outer 192.0.2.2>192.0.2.1 20 2/5/0 h>02:ab:70:00:00:01 ip 192.0.2.200>203.0.113.222 tcp 4000>81 S"); /* Another one's. */
    expect_drop(DROP_service_no_listener);
    say(TUNNEL, "outer 192.0.2.2>192.0.2.1 20 2/5/0 g>02:ab:70:00:00:77 ip 192.0.2.200>203.0.113.222 tcp 4000>81 S");
    expect_drop(DROP_member_gone);
    say(OUTSIDE, "x>u ip 10.0.0.1>203.0.113.222 tcp 4000>81 S");
    expect_drop(DROP_reverse_path);
    all_ends();
}

/* ---- at an address of the external network itself -------------------------------------------------------------------------------------------------- */

static void a_vip_outside_is_called(void **state)
{
    static const struct {
        const char *ip, *client, *vip, *member;
    } families[] = {{"ip", "192.0.2.200", "203.0.113.230", "10.0.0.2"}, {"ip6", "2001:db8:77::1", "2001:db8:20::230", "fd01::2"}};

    for (size_t i = 0; i < ARRAY_SIZE(families); i++) {
        const char *ip = families[i].ip, *client = families[i].client, *vip = families[i].vip, *member = families[i].member;

        for (int round = 0; round < 3; round++) {
            const char *forth = round ? " A" : " S", *back = round ? " A" : " SA";

            say(OUTSIDE, frame_text("x>u %s %s>%s tcp 4000>92%s +7", ip, client, vip, forth));
            expect_port(2, frame_text("v>B %s %s>%s ttl=63 tcp 4000>8080%s +7", ip, client, member, forth));
            say(2, frame_text("B>R %s %s>%s tcp 8080>4000%s +3", ip, member, client, back));
            expect_outside(0, frame_text("u>x %s %s>%s ttl=63 tcp 92>4000%s +3", ip, vip, client, back));
        }
        say(OUTSIDE, frame_text("x>u %s %s>%s udp 4000>93 +9", ip, client, vip));
        expect_owner(1, 4, frame_text("v>02:ab:70:00:00:%s %s %s>%s ttl=63 udp 4000>93 +9", i ? "0e" : "0c", ip, client, vip));
        say(TUNNEL, frame_text("outer 192.0.2.2>192.0.2.1 20 2/5/0 v>02:ab:70:00:00:%s %s %s>%s ttl=63 udp 4000>92 +9", i ? "0d" : "0b", ip, client, vip));
        expect_port(2, frame_text("v>B %s %s>%s ttl=63 udp 4000>8080 +9", ip, client, member));
        say(OUTSIDE, frame_text("x>u %s %s>%s ttl=1 tcp 4000>92 S", ip, client, vip));
        expect_drop(DROP_ttl_exceeded);
        assert_int_equal(expect_punt(PUNT_TTL)->router_port, 8);
        say(OUTSIDE, frame_text("x>u %s %s>%s tcp 4000>99 S", ip, client, vip));
        expect_drop(DROP_service_no_listener);
        assert_int_equal(expect_punt(PUNT_UNREACHABLE)->code, UNREACHABLE_PORT);
    }
    all_ends();
}

static void a_vip_outside_answers_for_itself(void **state)
{
    say(OUTSIDE, "x>* arp request x 203.0.113.1 203.0.113.230");
    expect_verdict(PIPELINE_OUTSIDE);
    assert_memory_equal(result.outputs[0].bytes + 20, ((const uint8_t[]){0, 2, 2, 0, 0, 0, 0, 'u', 203, 0, 113, 230, 2, 0, 0, 0, 0, 'x', 203, 0, 113, 1}), 22);
    say(OUTSIDE, "x>u ip 192.0.2.200>203.0.113.230 icmp 8 7 +4");
    expect_outside(0, "u>x ip 203.0.113.230>192.0.2.200 icmp 0 7 +4");
    say(OUTSIDE, "x>u ip6 2001:db8:77::1>2001:db8:20::230 icmp6 128 7 +4");
    expect_outside(0, "u>x ip6 2001:db8:20::230>2001:db8:77::1 ttl=63 icmp6 129 7 +4");
    say(OUTSIDE, "x>33:33:ff:00:02:30 ip6 2001:db8:20::1>ff02::1:ff00:230 ns 2001:db8:20::230 x");
    expect_verdict(PIPELINE_OUTSIDE);
    assert_int_equal(result.outputs[0].bytes[54], 136);
    assert_int_equal(result.outputs[0].bytes[58] & 0x80, 0); /* It is no router. */
    /* Another gateway answers, or nobody. */
    fixture_external_find(pipeline, 20, "203.0.113.230")->flags = 0;
    say(OUTSIDE, "x>* arp request x 203.0.113.1 203.0.113.230");
    assert_int_not_equal(result.verdict, PIPELINE_OUTSIDE);
    fixture_router_port(pipeline, 8)->flags &= ~ROUTER_PORT_UP;
    say(OUTSIDE, "x>u ip 192.0.2.200>203.0.113.230 tcp 4000>92 S");
    expect_drop(DROP_router_down);
}

/* Routers translate their clients: answers come back by the routers' names. */
static void clients_behind_snat_call_a_vip_outside(void **state)
{
    for (int round = 0; round < 3; round++) {
        const char *forth = round ? " A" : " S", *back = round ? " A" : " SA";

        say(1, frame_text("A>R ip 10.0.0.1>203.0.113.230 tcp 4000>92%s +7", forth));
        expect_port(2, NULL);
        chosen_port();
        expect_port(2, frame_text("v>B ip 203.0.113.10>10.0.0.2 ttl=62 tcp %u>8080%s +7", chosen, forth));
        say(2, frame_text("B>R ip 10.0.0.2>203.0.113.10 tcp 8080>%u%s +3", chosen, back));
        expect_port(1, frame_text("R>A ip 203.0.113.230>10.0.0.1 ttl=62 tcp 92>4000%s +3", back));
    }
    say(2, "B>R ip 10.0.0.2>203.0.113.230 tcp 4000>92 S"); /* The member itself, by its floating IP. */
    expect_port(2, "v>B ip 203.0.113.12>10.0.0.2 ttl=62 tcp 4000>8080 S");
    say(2, "B>R ip 10.0.0.2>203.0.113.12 tcp 8080>4000 SA");
    expect_port(2, "R>B ip 203.0.113.230>10.0.0.2 ttl=62 tcp 92>4000 SA");
    all_ends();
}

static void clients_behind_snat_are_told_what_a_vip_outside_refuses(void **state)
{
    static const char call[] = "A>R ip 10.0.0.1>203.0.113.230 udp 4000>99 +7", own[] = "B>R ip 10.0.0.2>203.0.113.230 tcp 4000>99 S";

    say(1, call);
    expect_refused(1, DROP_service_no_listener, PUNT_UNREACHABLE, UNREACHABLE_PORT, call);
    say(2, own);
    expect_refused(2, DROP_service_no_listener, PUNT_UNREACHABLE, UNREACHABLE_PORT, own);
    all_ends();
}

/* Under their own names workloads are clients of their own host: on the network, and behind a router that does not translate. */
static void clients_of_ours_call_a_vip_outside(void **state)
{
    say(12, "e>v ip 203.0.113.77>203.0.113.230 tcp 4000>92 S");
    expect_port(2, "v>B ip 203.0.113.77>10.0.0.2 tcp 4000>8080 S");
    say(2, "B>R ip 10.0.0.2>203.0.113.77 tcp 8080>4000 SA");
    expect_port(12, "v>e ip 203.0.113.230>203.0.113.77 tcp 92>4000 SA");
    fixture_router_port(pipeline, 5)->flags &= ~ROUTER_PORT_SNAT;
    uint32_t gateway = 5;
    pipeline_delete(pipeline, "snat", &gateway);
    say(1, "A>R ip 10.0.0.1>203.0.113.230 tcp 4000>92 S");
    expect_port(2, "v>B ip 10.0.0.1>10.0.0.2 ttl=63 tcp 4000>8080 S");
    say(2, "B>A ip 10.0.0.2>10.0.0.1 tcp 8080>4000 SA");
    expect_port(1, "R>A ip 203.0.113.230>10.0.0.1 tcp 92>4000 SA");
    all_ends();
}

static void nobody_feigns_a_vip_outside(void **state)
{
    say(TUNNEL, "outer 192.0.2.2>192.0.2.1 20 2/5/0 g>02:ab:70:00:00:0b ip 192.0.2.200>203.0.113.230 tcp 4000>92 S"); /* It is not at that router. */
    expect_drop(DROP_service_no_listener);
    say(TUNNEL, "outer 192.0.2.2>192.0.2.1 20 2/5/0 v>02:ab:70:00:00:01 ip 192.0.2.200>203.0.113.230 tcp 4000>81 S"); /* Another one's member. */
    expect_drop(DROP_service_no_listener);
    say(OUTSIDE, "x>u ip 203.0.113.230>203.0.113.222 tcp 4000>81 S");
    expect_drop(DROP_reverse_path);
    say(OUTSIDE, "x>u ip 10.0.0.1>203.0.113.230 tcp 4000>92 S"); /* Members would take it for one of theirs. */
    expect_drop(DROP_reverse_path);
    say(OUTSIDE, "x>u ip6 fd01::1>2001:db8:20::230 tcp 4000>92 S");
    expect_drop(DROP_reverse_path);
    say(OUTSIDE, "v>u ip 192.0.2.200>203.0.113.222 tcp 4000>81 S");
    expect_drop(DROP_reverse_path);
    say(12, "e>v ip 203.0.113.77>192.0.2.200 tcp 4000>92 S"); /* It routes for nobody. */
    expect_drop(DROP_unknown_destination);
    all_ends();
}

/* It is another one's by now: what its clients still get does not leave. */
static void a_vip_outside_goes(void **state)
{
    say(OUTSIDE, "x>u ip 192.0.2.200>203.0.113.230 tcp 4000>92 S");
    expect_port(2, NULL);
    fixture_external_find(pipeline, 20, "203.0.113.230")->router_port = 5;
    say(2, "B>R ip 10.0.0.2>192.0.2.200 tcp 8080>4000 SA");
    expect_drop(DROP_translation_gone);
    all_ends();
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up_balancing, tear_down)
#define VIP_CASE(name) cmocka_unit_test_setup_teardown(name, set_up_vip, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(a_silent_connection_ends_when_its_listener_says),
        CASE(a_member_of_the_gateway_serves),
        CASE(a_member_of_another_host_serves),
        CASE(another_host_is_the_gateway),
        CASE(ipv6_is_routed),
        CASE(echo_is_answered),
        CASE(a_workload_calls_by_the_floating_ip),
        CASE(a_workload_that_calls_what_is_closed_is_told),
        CASE(a_workload_that_calls_by_the_floating_ip_learns_the_size),
        CASE(a_workload_that_a_firewall_rejects_is_told),
        CASE(others_on_the_network_call),
        CASE(who_had_the_row_goes_on),
        CASE(hosts_that_lag_pass_on),
        CASE(what_nobody_knows_is_the_owners),
        CASE(nobody_is_asked_for_ever),
        CASE(draining_members_keep_theirs),
        CASE(a_closed_port_answers),
        CASE(only_some_may_call),
        CASE(a_listener_has_a_limit),
        CASE(what_is_over_does_not_count),
        CASE(its_sender_is_told_why_it_ends),
        CASE(firewalls_of_the_router_are_asked),
        CASE(what_firewalls_decide_is_logged),
        CASE(a_members_groups_see_the_client),
        CASE(the_floating_ip_goes),
        CASE(a_member_that_goes_ends_its_connections),
        CASE(a_listener_that_is_another),
        CASE(one_port_and_two_names),
        CASE(errors_are_translated_inside_out),
        CASE(fragments_follow_their_first),
        CASE(what_hosts_send_is_looked_at),
        VIP_CASE(a_vip_outside_is_called),
        VIP_CASE(a_vip_outside_answers_for_itself),
        VIP_CASE(clients_behind_snat_call_a_vip_outside),
        VIP_CASE(clients_behind_snat_are_told_what_a_vip_outside_refuses),
        VIP_CASE(clients_of_ours_call_a_vip_outside),
        VIP_CASE(nobody_feigns_a_vip_outside),
        VIP_CASE(a_vip_outside_goes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
