/* Load balancers, frame by frame: packets that are larger than the client's or the member's network takes, or the tunnel between their hosts.  Who forbids to cut
 * them is told the size; all else the agent cuts.  See balancing.h. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "balancing.h"
#include "weft/base/util.h"

static int set_up_sizes(void **state)
{
    set_up_balancing(state);
    for (uint32_t slot = 1; slot < 12; slot++)
        fixture_port(pipeline, slot)->punt_burst = 10;
    return 0;
}

static int set_up_outside(void **state)
{
    set_up_sizes(state);
    fixture_balancing_outside(pipeline);
    return 0;
}

/* The agent is given the frame as its workload sent it. */
static void expect_told(uint32_t slot, uint16_t mtu, const char *text)
{
    const struct punt_event *event = expect_punt(PUNT_TOO_BIG);

    assert_int_equal(event->slot, slot);
    assert_int_equal(event->ifindex, 100 + slot);
    assert_int_equal(event->mtu, mtu);
    assert_int_equal(event->router_port, 0);
    expect_bytes(event->frame, event->size, text);
}

static void too_large_for_the_members_network(void **state)
{
    fixture_member(pipeline, 1)->mtu = 1400;
    say(1, "A>L ip 10.0.0.1>10.0.0.200 df udp 4000>81 +1373");
    expect_drop(DROP_too_big);
    assert_int_equal(expect_punt(PUNT_TOO_BIG)->mtu, 1400);
    say(1, "A>L ip 10.0.0.1>10.0.0.200 df udp 4000>81 +1372");
    expect_port(2, NULL);
}

static void too_large_for_the_clients_network(void **state)
{
    say(10, "J>S ip 10.0.1.1>10.0.0.200 udp 4000>81 +9");
    expect_port(2, NULL);
    say(2, "B>R ip 10.0.0.2>10.0.1.1 df udp 8080>4000 +1373");
    expect_drop(DROP_too_big);
    assert_int_equal(expect_punt(PUNT_TOO_BIG)->mtu, 1400);
    say(2, "B>R ip 10.0.0.2>10.0.1.1 df udp 8080>4000 +1372");
    expect_port(10, NULL);
    say(10, "J>S ip 10.0.1.1>10.0.0.200 udp 4000>82 +9");
    expect_verdict(PIPELINE_TUNNELLED);
    say(TUNNEL, "outer 192.0.2.2>192.0.2.1 7 2/15/10 X>J ip 10.0.0.200>10.0.1.1 df udp 82>4000 +1373"); /* Its member's host tells. */
    expect_sent_from(10, TUNNEL_HOPS_TOO_BIG, 1400, "X>02:ab:70:00:00:02 ip 10.0.0.200>10.0.1.1 df udp 82>4000 +1373");
    assert_int_equal(fixture_counters(pipeline, 10)->drops[DROP_too_big], 1);
    say(TUNNEL, "outer 192.0.2.2>192.0.2.1 7 2/15/10 X>J ip 10.0.0.200>10.0.1.1 udp 82>4000 +1372");
    expect_port(10, NULL);
}

/* What comes back from the client's host is told to the member, who has its client by another port. */
static void a_member_is_told_of_clients_of_other_hosts(void **state)
{
    static const char *const ends[][6] = {{"ip", "10.0.0.200", "10.0.1.101", "10.0.0.2", "01", "df "},
                                          {"ip6", "fd01::200", "fd02::101", "fd01::2", "06", ""}};

    for (int i = 0; i < 2; i++) {
        const char *ip = ends[i][0], *vip = ends[i][1], *client = ends[i][2], *member = ends[i][3], *name = ends[i][4], *df = ends[i][5];

        say(2, frame_text("B>R %s %s>%s udp 8080>4000 +9", ip, member, client)); /* Another one has the name. */
        say(TUNNEL, frame_text("outer 192.0.2.2>192.0.2.1 10 2/0/5 P>02:ab:70:00:00:%s %s %s>%s udp 4000>81 +9", name, ip, client, vip));
        expect_port(2, NULL);
        uint16_t known = (uint16_t)(result.outputs[0].bytes[i ? 54 : 34] << 8 | result.outputs[0].bytes[i ? 55 : 35]);
        assert_int_not_equal(known, 4000);
        say(TUNNEL, frame_text("outer 192.0.2.2>192.0.2.1 10 2/14/1400 X>02:ab:70:00:00:%s %s %s>%s %sudp 81>4000 +1380", name, ip, vip, client, df));
        expect_told(2, 1400, frame_text("B>02:ab:70:00:00:%s %s %s>%s %sudp 8080>%u +1380", name, ip, member, client, df, known));
        /* Of nothing that is known. */
        say(TUNNEL, frame_text("outer 192.0.2.2>192.0.2.1 10 2/14/1400 X>02:ab:70:00:00:%s %s %s>%s %sudp 81>4001 +1380", name, ip, vip, client, df));
        expect_drop(DROP_unknown_translation);
    }
    say(TUNNEL, "outer 192.0.2.2>192.0.2.1 10 2/14/1400 X>02:ab:70:00:00:02 ip 10.0.0.200>10.0.1.101 df udp 82>4000 +1380"); /* No member of this host. */
    expect_drop(DROP_member_gone);
    all_ends();
}

static void the_size_costs_the_client_its_budget(void **state)
{
    say(10, "J>S ip 10.0.1.1>10.0.0.200 udp 4000>82 +9");
    fixture_port(pipeline, 10)->punt_burst = 1;
    for (int i = 0; i < 3; i++) {
        say(TUNNEL, "outer 192.0.2.2>192.0.2.1 7 2/15/10 X>J ip 10.0.0.200>10.0.1.1 df udp 82>4000 +1373");
        if (i == 0)
            expect_verdict(PIPELINE_TUNNELLED);
        else
            expect_drop(DROP_too_big);
    }
    /* An error is never told of. */
    say(TUNNEL, "outer 192.0.2.2>192.0.2.1 7 2/15/10 X>J ip 10.0.0.200>10.0.1.1 df icmp 3 3 quote ip 10.0.1.1>10.0.0.200 udp 4000>82 +1400");
    expect_drop(DROP_too_big);
}

/* Who is called may answer as much as it likes, and whoever calls gets it: it goes on renewing its addresses all the same. */
static void what_others_send_leaves_dhcp_its_part(void **state)
{
    fixture_port(pipeline, 10)->punt_burst = 16;
    fixture_port(pipeline, 10)->punt_rate = 1;
    fixture_port(pipeline, 10)->flags |= PORT_DHCP4;
    say(10, "J>S ip 10.0.1.1>10.0.0.200 udp 4000>82 +9");
    for (int i = 0; i < 40; i++) {
        say(TUNNEL, "outer 192.0.2.2>192.0.2.1 7 2/15/10 X>J ip 10.0.0.200>10.0.1.1 df udp 82>4000 +1373");
        say(TUNNEL, "outer 192.0.2.2>192.0.2.1 7 2/15/10 X>J ip 10.0.0.200>10.0.1.1 udp 82>4000 +1373");
    }
    expect_drop(DROP_punt_budget);
    for (int i = 0; i < 2; i++) {
        say(10, "J>* ip 0.0.0.0>255.255.255.255 udp 68>67 +240");
        expect_punt(PUNT_DHCP4);
    }
}

static void too_large_for_the_tunnel(void **state)
{
    fixture_host(pipeline, 1)->underlay_mtu = 1400; /* 1350 are left. */
    say(1, "A>L ip 10.0.0.1>10.0.0.200 df udp 4000>82 +1323");
    expect_drop(DROP_too_big);
    assert_int_equal(expect_punt(PUNT_TOO_BIG)->mtu, 1350);
    say(1, "A>L ip 10.0.0.1>10.0.0.200 df udp 4000>82 +1322");
    expect_verdict(PIPELINE_TUNNELLED);
    say(TUNNEL, "outer 192.0.2.2>192.0.2.1 7 2/0/5 M>02:ab:70:00:00:01 ip 10.0.0.101>10.0.0.200 udp 4000>81 +9");
    expect_port(2, NULL);
    say(2, "B>M ip 10.0.0.2>10.0.0.101 df udp 8080>4000 +1323");
    expect_drop(DROP_too_big);
    assert_int_equal(expect_punt(PUNT_TOO_BIG)->mtu, 1350);
    say(2, "B>M ip 10.0.0.2>10.0.0.101 df udp 8080>4000 +1322");
    expect_verdict(PIPELINE_TUNNELLED);
}

/* ---- cut ---------------------------------------------------------------------------------------------------------------------------- */

static void expect_cut(uint32_t slot, uint32_t output, uint32_t vni, uint16_t mtu, uint32_t hops, const char *text)
{
    const struct punt_event *event = expect_punt(PUNT_FRAGMENT);

    expect_verdict(PIPELINE_PUNTED);
    assert_int_equal(event->slot, slot);
    assert_int_equal(event->output, output);
    assert_int_equal(event->vni, vni);
    assert_int_equal(event->mtu, mtu);
    assert_int_equal(event->code, (output & OUTPUT_KIND_MASK) == OUTPUT_LOCAL ? 0 : TUNNEL_WORD(TUNNEL_DIRECT_RETURN, hops, 0));
    expect_bytes(event->frame, event->size, text);
}

/* What the agent makes of it leaves by the tunnel device. */
static void send_piece(uint32_t vni, uint32_t hops, const char *text)
{
    struct frame frame;
    struct pipeline_frame input = {.bytes = frame.bytes, .ifindex = TUNNEL_IFINDEX, .mark = TUNNEL_MARK | 1,
                                   .priority = TUNNEL_PRIORITY(vni, TUNNEL_WORD(TUNNEL_DIRECT_RETURN, hops, 0))};

    frame_parse(text, &frame);
    input.size = frame.size;
    pipeline_result_clear(&result);
    assert_int_equal(pipeline_trace(pipeline, PIPELINE_TO_TUNNEL, &input, &result), 0);
}

static void calls_to_a_member_here_are_cut(void **state)
{
    fixture_member(pipeline, 1)->mtu = fixture_port(pipeline, 2)->mtu = 1400;
    say(1, "A>L ip 10.0.0.1>10.0.0.200 udp 4000>81 +1400");
    expect_cut(1, OUTPUT_LOCAL | 2, 7, 1400, 0, "L>B ip 10.0.0.1>10.0.0.2 udp 4000>8080 +1400");
    say(1, "A>L ip 10.0.0.1>10.0.0.200 more udp 4000>81 +1400");
    expect_cut(1, OUTPUT_LOCAL | 2, 7, 1400, 0, "L>B ip 10.0.0.1>10.0.0.2 more udp 4000>8080 +1400");
    say(1, "A>L ip 10.0.0.1>10.0.0.200 frag=176 proto 17 +20"); /* Does not overtake the first. */
    expect_cut(1, OUTPUT_LOCAL | 2, 7, 1400, 0, "L>B ip 10.0.0.1>10.0.0.2 frag=176 proto 17 +20");
    say(1, "A>L ip6 fd01::1>fd01::200 udp 4000>81 +1400"); /* Never of IPv6. */
    expect_drop(DROP_too_big);
    all_ends();
}

static void calls_to_a_member_elsewhere_are_cut(void **state)
{
    fixture_member(pipeline, 2)->mtu = 1400;
    say(1, "A>L ip 10.0.0.1>10.0.0.200 udp 4000>82 +1400");
    expect_cut(1, OUTPUT_REMOTE | 1, 7, 1400, 0, "A>02:ab:70:00:00:02 ip 10.0.0.1>10.0.0.200 udp 4000>82 +1400");
    say(1, "A>L ip 10.0.0.1>10.0.0.200 more udp 4000>82 +1400");
    say(1, "A>L ip 10.0.0.1>10.0.0.200 frag=176 proto 17 +20");
    expect_cut(1, OUTPUT_REMOTE | 1, 7, 1400, 0, "A>02:ab:70:00:00:02 ip 10.0.0.1>10.0.0.200 frag=176 proto 17 +20");
    send_piece(7, 0, "A>02:ab:70:00:00:02 ip 10.0.0.1>10.0.0.200 more udp 4000>82 +1368");
    expect_sent(0, 1, "A>02:ab:70:00:00:02 ip 10.0.0.1>10.0.0.200 more udp 4000>82 +1368");
    /* Through a router, it has lost its TTL before. */
    fixture_member(pipeline, 2)->mtu = 1300;
    say(10, "J>S ip 10.0.1.1>10.0.0.200 udp 4000>82 +1350");
    expect_cut(10, OUTPUT_REMOTE | 1, 10, 1300, 0, "J>02:ab:70:00:00:02 ip 10.0.1.1>10.0.0.200 ttl=63 udp 4000>82 +1350");
    send_piece(10, 0, "J>02:ab:70:00:00:02 ip 10.0.1.1>10.0.0.200 ttl=63 udp 4000>82 +1200");
    expect_sent_from(10, 0, 10, "J>02:ab:70:00:00:02 ip 10.0.1.1>10.0.0.200 ttl=63 udp 4000>82 +1200");
    all_ends();
}

static void answers_to_a_client_here_are_cut(void **state)
{
    say(10, "J>S ip 10.0.1.1>10.0.0.200 udp 4000>81 +9");
    expect_port(2, NULL);
    say(2, "B>R ip 10.0.0.2>10.0.1.1 udp 8080>4000 +1380");
    expect_cut(2, OUTPUT_LOCAL | 10, 10, 1400, 0, "S>J ip 10.0.0.200>10.0.1.1 udp 81>4000 +1380");
    say(2, "B>R ip 10.0.0.2>10.0.1.1 more udp 8080>4000 +1384");
    say(2, "B>R ip 10.0.0.2>10.0.1.1 frag=174 proto 17 +20");
    expect_cut(2, OUTPUT_LOCAL | 10, 10, 1400, 0, "S>J ip 10.0.0.200>10.0.1.1 frag=174 proto 17 +20");
    all_ends();
}

static void answers_from_elsewhere_are_cut(void **state)
{
    say(10, "J>S ip 10.0.1.1>10.0.0.200 udp 4000>82 +9");
    fixture_port(pipeline, 10)->punt_burst = 3; /* Who called pays for it. */
    say(TUNNEL, "outer 192.0.2.2>192.0.2.1 7 2/15/10 X>J ip 10.0.0.200>10.0.1.1 udp 82>4000 +1380");
    expect_cut(0, OUTPUT_LOCAL | 10, 10, 1400, 0, "S>J ip 10.0.0.200>10.0.1.1 udp 82>4000 +1380");
    say(TUNNEL, "outer 192.0.2.2>192.0.2.1 7 2/15/10 X>J ip 10.0.0.200>10.0.1.1 more udp 82>4000 +1384");
    say(TUNNEL, "outer 192.0.2.2>192.0.2.1 7 2/15/10 X>J ip 10.0.0.200>10.0.1.1 frag=174 proto 17 +20");
    expect_cut(0, OUTPUT_LOCAL | 10, 10, 1400, 0, "S>J ip 10.0.0.200>10.0.1.1 frag=174 proto 17 +20");
    say(TUNNEL, "outer 192.0.2.2>192.0.2.1 7 2/15/10 X>J ip 10.0.0.200>10.0.1.1 udp 82>4000 +1380");
    expect_drop(DROP_punt_budget);
    all_ends();
}

static void answers_are_cut_for_the_tunnel(void **state)
{
    fixture_host(pipeline, 1)->underlay_mtu = 1400;
    say(TUNNEL, "outer 192.0.2.2>192.0.2.1 7 2/0/77777 M>02:ab:70:00:00:01 ip 10.0.0.101>10.0.0.200 udp 4000>81 +9");
    expect_port(2, NULL);
    say(2, "B>M ip 10.0.0.2>10.0.0.101 udp 8080>4000 +1400");
    expect_cut(2, OUTPUT_REMOTE | 1, 7, 1350, TUNNEL_HOPS_BACK, "02:00:00:01:2f:d1>M ip 10.0.0.200>10.0.0.101 udp 81>4000 +1400");
    send_piece(7, TUNNEL_HOPS_BACK, "02:00:00:01:2f:d1>M ip 10.0.0.200>10.0.0.101 more udp 81>4000 +1320");
    expect_sent_from(7, TUNNEL_HOPS_BACK, 77777, "02:00:00:01:2f:d1>M ip 10.0.0.200>10.0.0.101 more udp 81>4000 +1320");
    all_ends();
}

static void calls_from_outside_are_cut(void **state)
{
    say(OUTSIDE, "x>u ip 192.0.2.200>203.0.113.222 udp 4000>81 +1440");
    expect_cut(0, OUTPUT_LOCAL | 2, 7, 1450, 0, "L>B ip 192.0.2.200>10.0.0.2 ttl=63 udp 4000>8080 +1440");
    say(OUTSIDE, "x>u ip 192.0.2.200>203.0.113.222 more udp 4000>81 +1440");
    say(OUTSIDE, "x>u ip 192.0.2.200>203.0.113.222 frag=181 proto 17 +20");
    expect_cut(0, OUTPUT_LOCAL | 2, 7, 1450, 0, "L>B ip 192.0.2.200>10.0.0.2 ttl=63 frag=181 proto 17 +20");
    say(OUTSIDE, "x>u ip 192.0.2.200>203.0.113.222 udp 4000>82 +1440");
    expect_cut(0, OUTPUT_REMOTE | 1, 20, 1450, TUNNEL_HOPS_OWNER + 4, "g>02:ab:70:00:00:02 ip 192.0.2.200>203.0.113.222 ttl=63 udp 4000>82 +1440");
    send_piece(20, TUNNEL_HOPS_OWNER + 4, "g>02:ab:70:00:00:02 ip 192.0.2.200>203.0.113.222 ttl=63 more udp 4000>82 +1400");
    expect_sent_from(20, TUNNEL_HOPS_OWNER + 4, 0, "g>02:ab:70:00:00:02 ip 192.0.2.200>203.0.113.222 ttl=63 more udp 4000>82 +1400");
    say(OUTSIDE, "x>u ip 192.0.2.200>203.0.113.222 more udp 4000>82 +1440");
    say(OUTSIDE, "x>u ip 192.0.2.200>203.0.113.222 frag=181 proto 17 +20");
    expect_cut(0, OUTPUT_REMOTE | 1, 20, 1450, TUNNEL_HOPS_OWNER + 4, "g>02:ab:70:00:00:02 ip 192.0.2.200>203.0.113.222 ttl=63 frag=181 proto 17 +20");
    all_ends();
}

/* What comes by the tunnel has the places of who gets it: none of a router's, whose number may be the port's. */
static void fragments_of_a_port_take_no_places_of_routers(void **state)
{
    static const struct port_fragments none;

    say(10, "J>S ip 10.0.1.1>10.0.0.200 udp 4000>82 +9");
    say(TUNNEL, "outer 192.0.2.2>192.0.2.1 7 2/15/10 X>J ip 10.0.0.200>10.0.1.1 more udp 82>4000 +1200");
    expect_port(10, NULL);
    say(TUNNEL, "outer 192.0.2.2>192.0.2.1 7 2/15/10 X>J ip 10.0.0.200>10.0.1.1 frag=151 proto 17 +20");
    expect_port(10, NULL);
    say(TUNNEL, "outer 192.0.2.2>192.0.2.1 10 2/0/5 P>02:ab:70:00:00:01 ip 10.0.1.101>10.0.0.200 more udp 4000>81 +1200");
    expect_port(2, NULL);
    say(TUNNEL, "outer 192.0.2.2>192.0.2.1 10 2/0/5 P>02:ab:70:00:00:01 ip 10.0.1.101>10.0.0.200 frag=151 proto 17 +20");
    expect_port(2, NULL);
    for (uint32_t i = 0; i < 12; i++)
        assert_memory_equal(pipeline_lookup(pipeline, "outside_fragments", &i), &none, sizeof(none));
}

/* A workload behind a floating IP of its own pays for its calls by another name, too; the later fragment follows. */
static void calls_by_the_floating_ip_are_cut(void **state)
{
    fixture_member(pipeline, 2)->mtu = 1300;
    say(2, "B>R ip 10.0.0.2>203.0.113.222 more udp 4000>82 +1400");
    expect_cut(2, OUTPUT_REMOTE | 1, 20, 1300, TUNNEL_HOPS_OWNER + 4, "g>02:ab:70:00:00:02 ip 203.0.113.12>203.0.113.222 ttl=62 more udp 4000>82 +1400");
    say(2, "B>R ip 10.0.0.2>203.0.113.222 frag=176 proto 17 +20");
    expect_cut(2, OUTPUT_REMOTE | 1, 20, 1300, TUNNEL_HOPS_OWNER + 4, "g>02:ab:70:00:00:02 ip 203.0.113.12>203.0.113.222 ttl=62 frag=176 proto 17 +20");
    fixture_port(pipeline, 2)->mtu = 1300;
    say(1, "A>R ip 10.0.0.1>203.0.113.222 udp 4000>81 +1350");
    expect_verdict(PIPELINE_PUNTED);
    assert_int_equal(expect_punt(PUNT_FRAGMENT)->slot, 1);
    assert_int_equal(expect_punt(PUNT_FRAGMENT)->output, OUTPUT_LOCAL | 2);
    all_ends();
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up_sizes, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(too_large_for_the_members_network),
        CASE(too_large_for_the_clients_network),
        CASE(a_member_is_told_of_clients_of_other_hosts),
        CASE(the_size_costs_the_client_its_budget),
        CASE(what_others_send_leaves_dhcp_its_part),
        CASE(fragments_of_a_port_take_no_places_of_routers),
        CASE(too_large_for_the_tunnel),
        CASE(calls_to_a_member_here_are_cut),
        CASE(calls_to_a_member_elsewhere_are_cut),
        CASE(answers_to_a_client_here_are_cut),
        CASE(answers_from_elsewhere_are_cut),
        CASE(answers_are_cut_for_the_tunnel),
        cmocka_unit_test_setup_teardown(calls_from_outside_are_cut, set_up_outside, tear_down),
        cmocka_unit_test_setup_teardown(calls_by_the_floating_ip_are_cut, set_up_outside, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
