/* Workloads of a physical network and stations outside, frame by frame: see conversation.h.  Network 20 has workload e (slot 12) here and m on host 1,
 * which has no uplink and is behind this one. */
#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "conversation.h"
#include "fixture-balancing.h"
#include "weft/base/util.h"

#define FROM_HOST_1 "outer 192.0.2.2>192.0.2.1 20 0 "

static int set_up_bridge(void **state)
{
    const uint32_t vni = 20;
    int error = set_up(state);

    ((struct network_value *)pipeline_lookup(pipeline, "networks", &vni))->flags = NETWORK_BRIDGED;
    fixture_flood(pipeline, 20, FLOOD_LOCAL, OUTPUT_LOCAL | 12);
    fixture_flood(pipeline, 20, FLOOD_DIRECT, OUTPUT_REMOTE | 1);
    fixture_flood(pipeline, 20, FLOOD_BEHIND, OUTPUT_REMOTE | 1);
    fixture_fdb(pipeline, "fdb", 20, "m", OUTPUT_REMOTE | 1);
    fixture_neighbor(pipeline, 20, "203.0.113.78", "m");
    return error;
}

static void no_uplink_here(void)
{
    pipeline_delete(pipeline, "uplinks", &(struct uplink_key){UPLINK_BY_VNI, 20});
    pipeline_update(pipeline, "gateways", &(struct flood_key){20, GATEWAYS_BRIDGE}, &(struct output_value){20, OUTPUT_REMOTE | 1});
}

static const struct pipeline_output *find_output(enum pipeline_way way, uint32_t ifindex)
{
    for (size_t i = 0; i < result.n_outputs; i++)
        if (result.outputs[i].way == way && result.outputs[i].ifindex == ifindex)
            return &result.outputs[i];
    return NULL;
}

static uint32_t n_to_host(uint32_t slot)
{
    uint32_t n = 0;

    for (size_t i = 0; i < result.n_outputs; i++)
        n += result.outputs[i].host_slot == slot;
    return n;
}

static void a_workload_speaks_to_a_station(void **state)
{
    for (int i = 0; i < 2; i++) { /* Decided, and known. */
        say(12, "e>y ip 203.0.113.77>203.0.113.200 udp 1000>53 +5");
        expect_outside(0, "e>y ip 203.0.113.77>203.0.113.200 udp 1000>53 +5");
        say(OUTSIDE, "y>e ip 203.0.113.200>203.0.113.77 udp 53>1000 +5");
        expect_port(12, "y>e ip 203.0.113.200>203.0.113.77 udp 53>1000 +5");
    }
    assert_int_equal(n_entries("connections"), 1);
    say(12, "e>y arp reply e 203.0.113.77 203.0.113.200");
    expect_outside(0, "e>y arp reply e 203.0.113.77 203.0.113.200");
    say(OUTSIDE, "y>e arp reply y 203.0.113.200 203.0.113.77");
    expect_port(12, "y>e arp reply y 203.0.113.200 203.0.113.77");
}

static void what_a_workload_broadcasts_leaves_once(void **state)
{
    const char *asks = "e>* arp request e 203.0.113.77 203.0.113.200";

    say(12, asks);
    expect_verdict(PIPELINE_FLOODED);
    assert_int_equal(result.n_outputs, 2);
    assert_int_equal(n_to_host(1), 1);
    const struct pipeline_output *copy = find_output(PIPELINE_CLONE, UPLINK_IFINDEX);
    assert_non_null(copy);
    assert_int_equal(copy->vlan, 0);
    expect_bytes(copy->bytes, copy->size, asks);
    struct uplink_value *uplink = pipeline_lookup(pipeline, "uplinks", &(struct uplink_key){UPLINK_BY_VNI, 20});
    uplink->vlan = 9;
    say(12, asks);
    assert_int_equal(find_output(PIPELINE_CLONE, UPLINK_IFINDEX)->vlan, 9);
    say(12, "e>* arp request e 203.0.113.77 203.0.113.78"); /* Who is ours is answered for. */
    expect_verdict(PIPELINE_ANSWERED);
}

static void what_a_station_broadcasts_comes_once(void **state)
{
    const char *asks = "y>* arp request y 203.0.113.200 203.0.113.77";

    say(OUTSIDE, asks);
    expect_passed(asks); /* The host may be meant, too. */
    assert_int_equal(result.n_outputs, 2);
    const struct pipeline_output *copy = find_output(PIPELINE_CLONE, 112);
    assert_non_null(copy);
    expect_bytes(copy->bytes, copy->size, asks);
    assert_int_equal(n_to_host(1), 1);
    say(OUTSIDE, "y>* arp request y 203.0.113.200 203.0.113.12"); /* An address of a router's: answered. */
    expect_verdict(PIPELINE_OUTSIDE);
    assert_int_equal(result.n_outputs, 1);
    say(OUTSIDE, "y>01:80:c2:00:00:00 type=0x88cc +20");
    expect_verdict(PIPELINE_PASSED);
    assert_int_equal(result.n_outputs, 0);
    pipeline_delete(pipeline, "flood", &(struct flood_key){20, FLOOD_BEHIND}); /* Another gateway stands for host 1. */
    say(OUTSIDE, asks);
    assert_int_equal(result.n_outputs, 1);
    with.mark = 7;
    say(OUTSIDE, "y>33:33:00:00:00:fb ip6 fe80::7>ff02::fb udp 5353>5353 +20");
    assert_int_equal(result.n_outputs, 1);
}

/* The physical network brings back what left by another uplink. */
static void nothing_goes_round(void **state)
{
    static const char *const ours[] = {"m>* arp request m 203.0.113.78 203.0.113.200", "e>* arp request e 203.0.113.77 203.0.113.200",
                                       "m>e ip 203.0.113.78>203.0.113.77 udp 1>2", "m>y ip 203.0.113.78>203.0.113.200 udp 1>2",
                                       "y>z ip 203.0.113.200>203.0.113.201 udp 1>2", "y>g ip 203.0.113.200>203.0.113.12 udp 1>2"};

    for (size_t i = 0; i < ARRAY_SIZE(ours); i++) {
        say(OUTSIDE, ours[i]);
        expect_passed(ours[i]);
        assert_int_equal(result.n_outputs, 0);
    }
    say(TUNNEL, FROM_HOST_1 "y>z ip 203.0.113.200>203.0.113.201 udp 1>2"); /* Of a station that a gateway has seen. */
    expect_drop(DROP_unknown_destination);
    say(TUNNEL, "outer 192.0.2.2>192.0.2.1 20 1/1 y>* arp request y 203.0.113.200 203.0.113.77");
    expect_verdict(PIPELINE_FLOODED);
    assert_int_equal(result.n_outputs, 1);
    assert_null(find_output(PIPELINE_CLONE, UPLINK_IFINDEX));
    assert_int_equal(n_entries("learned"), 0);
}

static void a_gateway_stands_for_a_host_without_uplink(void **state)
{
    say(TUNNEL, FROM_HOST_1 "m>y ip 203.0.113.78>203.0.113.200 udp 1>2");
    expect_outside(0, "m>y ip 203.0.113.78>203.0.113.200 udp 1>2");
    say(TUNNEL, FROM_HOST_1 "m>* arp request m 203.0.113.78 203.0.113.200");
    expect_outside(0, "m>* arp request m 203.0.113.78 203.0.113.200");
    say(TUNNEL, "outer 192.0.2.2>192.0.2.1 20 1 m>* arp request m 203.0.113.78 203.0.113.200"); /* That copy is for workloads. */
    assert_null(find_output(PIPELINE_CLONE, UPLINK_IFINDEX));
    say(OUTSIDE, "y>m ip 203.0.113.200>203.0.113.78 udp 2>1");
    expect_host(1, "y>m ip 203.0.113.200>203.0.113.78 udp 2>1");
    say(TUNNEL, FROM_HOST_1 "e>y ip 203.0.113.77>203.0.113.200 udp 1>2"); /* Not by a MAC that is not there. */
    expect_drop(DROP_unknown_destination);
    say(TUNNEL, FROM_HOST_1 "g>y ip 203.0.113.77>203.0.113.200 udp 1>2");
    expect_drop(DROP_unknown_destination);
    say(TUNNEL, FROM_HOST_1 "g>* arp request g 203.0.113.10 203.0.113.200");
    expect_drop(DROP_tunnel_header);
}

static void without_an_uplink_its_gateway_gets_it(void **state)
{
    no_uplink_here();
    say(12, "e>y ip 203.0.113.77>203.0.113.200 udp 1000>53 +5");
    expect_host(1, "e>y ip 203.0.113.77>203.0.113.200 udp 1000>53 +5");
    pipeline_delete(pipeline, "flood", &(struct flood_key){20, FLOOD_DIRECT});
    say(12, "e>* arp request e 203.0.113.77 203.0.113.200");
    expect_verdict(PIPELINE_FLOODED);
    assert_int_equal(result.n_outputs, 1);
    assert_int_equal(result.outputs[0].host_slot, 1);
    assert_int_equal(result.outputs[0].bytes[49], TUNNEL_UNICAST << 4);
    pipeline_delete(pipeline, "gateways", &(struct flood_key){20, GATEWAYS_BRIDGE});
    say(12, "e>z ip 203.0.113.77>203.0.113.201 udp 1000>53 +5");
    expect_drop(DROP_no_uplink);
}

static void nobody_speaks_in_anothers_name(void **state)
{
    static const char *const forged[] = {"y>e ip 203.0.113.78>203.0.113.77 udp 1>2", "y>e ip 203.0.113.12>203.0.113.77 udp 1>2",
                                         "y>e arp reply y 203.0.113.78 203.0.113.77"};
    static const char *const told[] = {"y>* arp request y 203.0.113.78 203.0.113.77", "y>* arp reply y 203.0.113.78 203.0.113.78"};

    for (size_t i = 0; i < ARRAY_SIZE(forged); i++) {
        say(OUTSIDE, forged[i]);
        expect_drop(DROP_reverse_path);
    }
    for (size_t i = 0; i < ARRAY_SIZE(told); i++) {
        say(OUTSIDE, told[i]);
        expect_passed(told[i]);
        assert_null(find_output(PIPELINE_CLONE, 112));
        assert_int_equal(n_to_host(1), 0);
    }
    fixture_port(pipeline, 12)->flags = PORT_ADMIN_UP; /* Without port security a workload may be anybody, but not outside. */
    say(12, "g>y ip 203.0.113.10>203.0.113.200 udp 1>2");
    expect_drop(DROP_spoofed_mac);
    say(12, "u>y ip 203.0.113.99>203.0.113.200 udp 1>2");
    expect_drop(DROP_spoofed_mac);
    say(12, "e>02:57:45:46:54:00 ip 203.0.113.77>203.0.113.200 udp 1>2");
    expect_drop(DROP_unknown_destination);
    say(12, "g>* arp request g 203.0.113.10 203.0.113.200");
    assert_null(find_output(PIPELINE_CLONE, UPLINK_IFINDEX));
    say(12, "y>z ip 203.0.113.77>203.0.113.201 udp 1>2");
    expect_outside(0, "y>z ip 203.0.113.77>203.0.113.201 udp 1>2");
}

static void groups_hold_for_stations_too(void **state)
{
    fixture_policy(pipeline, 12, FIXTURE_ALLOW_ALL, 0);
    say(OUTSIDE, "y>e ip 203.0.113.200>203.0.113.77 udp 53>1000 +5");
    expect_drop(DROP_policy_ingress);
    say(12, "e>y ip 203.0.113.77>203.0.113.200 udp 1000>53 +5");
    expect_verdict(PIPELINE_OUTSIDE);
    say(OUTSIDE, "y>e ip 203.0.113.200>203.0.113.77 udp 53>1000 +5");
    expect_port(12, NULL);
}

static void broadcast_from_outside_has_a_budget(void **state)
{
    const uint32_t vni = 20, other = 21;

    pipeline_update(pipeline, "networks", &other, &(struct network_value){21, NETWORK_BRIDGED, 8});
    fixture_flood(pipeline, 21, FLOOD_LOCAL, OUTPUT_LOCAL | 3);
    fixture_port(pipeline, 3)->vni = 21;
    for (int i = 0; i < 102; i++) /* One a copy, and two that are too many. */
        say(OUTSIDE + 5, "z>* ip 198.51.100.9>255.255.255.255 udp 1>2 +10");
    assert_int_equal(fixture_counters(pipeline, 0)->drops[DROP_relay_budget], 2);
    fixture_counters(pipeline, 0)->drops[DROP_relay_budget] = 0;
    say(OUTSIDE, "y>* arp request y 203.0.113.200 203.0.113.201"); /* The stations of another network. */
    assert_int_equal(result.n_outputs, 2);
    ((struct uplink_budget *)pipeline_lookup(pipeline, "uplink_budget", &vni))->of[UPLINK_COPIES].tokens = 1;
    say(OUTSIDE, "y>* arp request y 203.0.113.200 203.0.113.201");
    assert_int_equal(result.n_outputs, 1);
    assert_int_equal(fixture_counters(pipeline, 0)->drops[DROP_relay_budget], 1);
    expect_verdict(PIPELINE_PASSED);
}

/* The host's own traffic, and networks that have no workloads. */
static void what_is_not_bridged_is_left_alone(void **state)
{
    const uint32_t vni = 20;

    say(OUTSIDE, "y>u ip 203.0.113.200>203.0.113.99 tcp 1>2 S");
    expect_verdict(PIPELINE_PASSED);
    ((struct network_value *)pipeline_lookup(pipeline, "networks", &vni))->flags = 0;
    say(OUTSIDE, "y>e ip 203.0.113.200>203.0.113.77 udp 53>1000 +5");
    expect_verdict(PIPELINE_PASSED);
    say(OUTSIDE, "y>* arp request y 203.0.113.200 203.0.113.77");
    assert_int_equal(result.n_outputs, 0);
    say(12, "e>y ip 203.0.113.77>203.0.113.200 udp 1000>53 +5");
    expect_drop(DROP_unknown_destination);
}

/* ---- load balancers ------------------------------------------------------------------------------------------------------------------------ */

static int set_up_vip(void **state)
{
    int error = set_up_bridge(state);

    fixture_balancing(pipeline);
    fixture_balancing_vip(pipeline);
    return error;
}

/* They know its address by the device's MAC, workloads by its own. */
static void call_a_load_balancer(uint32_t vlan)
{
    uint32_t place = OUTSIDE + vlan;

    say(place, "y>* arp request y 203.0.113.200 203.0.113.230");
    expect_outside(vlan, "u>y arp reply u 203.0.113.230 203.0.113.200 set=32:2 set=37:0x79");
    for (int round = 0; round < 2; round++) {
        say(place, frame_text("y>u ip 203.0.113.200>203.0.113.230 tcp 4000>92 %s", round ? "A" : "S"));
        expect_port(2, frame_text("v>B ip 203.0.113.200>10.0.0.2 ttl=63 tcp 4000>8080 %s", round ? "A" : "S"));
        say(2, frame_text("B>R ip 10.0.0.2>203.0.113.200 tcp 8080>4000 %s", round ? "A" : "SA"));
        expect_outside(vlan, frame_text("u>y ip 203.0.113.230>203.0.113.200 ttl=63 tcp 92>4000 %s", round ? "A" : "SA"));
    }
    say(place, "y>u ip 203.0.113.200>203.0.113.230 tcp 4000>99 S");
    expect_drop(DROP_service_no_listener);
    assert_int_equal(expect_punt(PUNT_UNREACHABLE)->output, OUTPUT_UPLINK);
}

static void stations_call_a_load_balancer_there(void **state)
{
    const struct uplink_key by_vni = {UPLINK_BY_VNI, 20}, tagged = {UPLINK_IFINDEX, 5}, untagged = {UPLINK_IFINDEX, 0};
    struct uplink_value uplink = *(struct uplink_value *)pipeline_lookup(pipeline, "uplinks", &by_vni);

    fixture_neighbor(pipeline, 20, "203.0.113.200", "y");
    call_a_load_balancer(0);
    say(12, "e>v ip 203.0.113.77>203.0.113.230 tcp 4000>92 S");
    expect_port(2, "v>B ip 203.0.113.77>10.0.0.2 tcp 4000>8080 S");
    say(OUTSIDE, "y>e ip 203.0.113.230>203.0.113.77 udp 92>4000 +5"); /* Nobody outside has its address, */
    expect_drop(DROP_reverse_path);
    say(OUTSIDE, "y>v ip 203.0.113.200>203.0.113.230 tcp 4001>92 S"); /* or sees its MAC. */
    expect_verdict(PIPELINE_PASSED);
    fixture_external_find(pipeline, 20, "203.0.113.230")->flags = 0; /* Another host answers. */
    say(OUTSIDE, "y>* arp request y 203.0.113.200 203.0.113.230");
    expect_verdict(PIPELINE_PASSED);
    fixture_external_find(pipeline, 20, "203.0.113.230")->flags = EXTERNAL_ANNOUNCED;
    pipeline_delete(pipeline, "uplinks", &untagged);
    uplink.vlan = 5;
    pipeline_update(pipeline, "uplinks", &by_vni, &uplink);
    pipeline_update(pipeline, "uplinks", &tagged, &uplink);
    all_connections_end();
    call_a_load_balancer(5);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up_bridge, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_workload_speaks_to_a_station),
        TEST(what_a_workload_broadcasts_leaves_once),
        TEST(what_a_station_broadcasts_comes_once),
        TEST(nothing_goes_round),
        TEST(a_gateway_stands_for_a_host_without_uplink),
        TEST(without_an_uplink_its_gateway_gets_it),
        TEST(nobody_speaks_in_anothers_name),
        TEST(groups_hold_for_stations_too),
        TEST(broadcast_from_outside_has_a_budget),
        TEST(what_is_not_bridged_is_left_alone),
        cmocka_unit_test_setup_teardown(stations_call_a_load_balancer_there, set_up_vip, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
