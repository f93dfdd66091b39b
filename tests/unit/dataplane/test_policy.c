/* Security groups in the pipeline: what rules let pass, what follows from it for the rest of a connection, and what becomes of connections
 * when rules change.  At the end random rules and packets against an evaluator that knows nothing of the pipeline's.
 *
 * The world is tests/bpf/fixture.h's: port 1 (MAC A) has the policy under test, port 2 (MAC B) has none; M is behind host 1. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <arpa/inet.h>
#include <cmocka.h>

#include "fixture.h"
#include "weft/base/util.h"

#define OUT_SET 10u
#define IN_SET 11u
#define GROUP 77u

/* ---- helpers ------------------------------------------------------------------------------------------------------------------------ */

static enum drop_reason run(struct pipeline *pipeline, uint32_t port, const char *text, struct pipeline_result *ret)
{
    struct frame frame;
    struct pipeline_result result;
    enum drop_reason reason;

    frame_parse(text, &frame);
    struct pipeline_frame input = {.bytes = frame.bytes, .size = frame.size, .ifindex = port ? 100 + port : UNDERLAY_IFINDEX};
    assert_int_equal(pipeline_run(pipeline, port ? PIPELINE_FROM_WORKLOAD : PIPELINE_FROM_UNDERLAY, &input, &result), 0);
    reason = result.reason;
    if (ret)
        *ret = result;
    else
        pipeline_result_clear(&result);
    return reason;
}

static void passes(struct pipeline *pipeline, uint32_t port, const char *text)
{
    enum drop_reason reason = run(pipeline, port, text, NULL);

    if (reason)
        fail_msg("'%s' was dropped for reason %d", text, reason);
}

static void drops(struct pipeline *pipeline, uint32_t port, const char *text, enum drop_reason expected)
{
    enum drop_reason reason = run(pipeline, port, text, NULL);

    if (reason != expected)
        fail_msg("'%s' has reason %d, not %d", text, reason, expected);
}

static struct rule rule(uint32_t flags, uint8_t protocol, uint16_t port_min, uint16_t port_max, const char *prefix, uint8_t length)
{
    struct rule rule = {.flags = flags, .protocol = protocol, .port_min = port_min, .port_max = port_max, .prefix_length = length,
                        .number = 0xabc};

    if (protocol)
        rule.flags |= RULE_PROTOCOL;
    if (port_min || port_max)
        rule.flags |= RULE_PORTS;
    if (prefix)
        frame_address(prefix, rule.address);
    return rule;
}

#define ALL4 rule(RULE_IPV4, 0, 0, 0, NULL, 0)
#define ALL6 rule(RULE_IPV6, 0, 0, 0, NULL, 0)
#define TCP4(port) rule(RULE_IPV4, 6, port, port, NULL, 0)
#define UDP4(port) rule(RULE_IPV4, 17, port, port, NULL, 0)

/* Port 1 with these rules; both sets at least one block. */
static void set_rules(struct pipeline *pipeline, uint32_t set, const struct rule *rules, uint32_t n)
{
    fixture_rules(pipeline, set, rules, n);
}

static void change_epoch(struct pipeline *pipeline, uint32_t slot)
{
    ((struct port_record *)pipeline_lookup(pipeline, "ports", &slot))->epoch++;
}

/* As the agent does: a new content is a new set; the port's word; its epoch. */
static void change_rules(struct pipeline *pipeline, const struct rule *out, uint32_t n_out, const struct rule *in, uint32_t n_in)
{
    static uint32_t next = 100;

    set_rules(pipeline, next, out, n_out);
    set_rules(pipeline, next + 1, in, n_in);
    fixture_policy(pipeline, 1, next, next + 1);
    next += 2;
    change_epoch(pipeline, 1);
}

static struct pipeline *world(const struct rule *out, uint32_t n_out, const struct rule *in, uint32_t n_in)
{
    struct pipeline *pipeline = fixture_new();

    set_rules(pipeline, OUT_SET, out, n_out);
    set_rules(pipeline, IN_SET, in, n_in);
    fixture_policy(pipeline, 1, OUT_SET, IN_SET);
    return pipeline;
}

static uint32_t n_entries(struct pipeline *pipeline)
{
    size_t unused;
    uint32_t n;

    pipeline_table(pipeline, "connections", &unused, &unused, &n);
    return n;
}

struct find {
    uint32_t slot;
    struct flow_entry *entry;
};

static void find_of_slot(void *key, void *value, void *context)
{
    struct find *find = context;

    if ((((struct flow_key *)key)->owner & (FLOW_KEY_IPV6 - 1)) == find->slot)
        find->entry = value;
}

static struct flow_entry *entry_of(struct pipeline *pipeline, uint32_t slot)
{
    struct find find = {.slot = slot};

    pipeline_visit(pipeline, "connections", find_of_slot, &find);
    return find.entry;
}

#define OUT(l4) "A>B ip 10.0.0.1>10.0.0.2 " l4
#define IN(l4) "B>A ip 10.0.0.2>10.0.0.1 " l4
#define OUT6(l4) "A>B ip6 fd01::1>fd01::2 " l4
#define IN6(l4) "B>A ip6 fd01::2>fd01::1 " l4
#define TUNNEL_IN(l4) "outer 192.0.2.2>192.0.2.1 7 0 M>A ip 10.0.0.101>10.0.0.1 " l4

/* ---- one packet ------------------------------------------------------------------------------------------------------------------------ */

/* The rules found no room on the host: the port is closed, also for a connection that runs, and the trace says why. */
static void without_room_nothing_passes(void **state)
{
    struct rule all[] = {ALL4};
    struct pipeline *pipeline = world(all, 1, all, 1);
    struct pipeline_result result;
    bool is_said = false;

    passes(pipeline, 1, OUT("tcp 1000>80 S"));
    fixture_policy(pipeline, 1, RULE_SET_NO_ROOM, IN_SET);
    change_epoch(pipeline, 1);
    assert_int_equal(DROP_policy_egress, run(pipeline, 1, OUT("tcp 1000>80 A"), &result));
    for (size_t i = 0; i < result.n_steps; i++)
        is_said |= strcmp(result.steps[i].text, "egress: this host has no room for the port's rules") == 0;
    pipeline_result_clear(&result);
    assert_true(is_said);
    drops(pipeline, 1, OUT("tcp 1001>80 S"), DROP_policy_egress);
    passes(pipeline, 2, IN("tcp 1000>81 S")); /* The other direction has its rules. */
    pipeline_free(pipeline);
}

static void without_groups_nothing_passes(void **state)
{
    struct pipeline *pipeline = fixture_new();

    fixture_policy(pipeline, 1, 0, 0);
    drops(pipeline, 1, OUT("udp 1>2"), DROP_policy_egress);
    drops(pipeline, 1, OUT6("udp 1>2"), DROP_policy_egress);
    drops(pipeline, 1, OUT("proto 47 +40"), DROP_policy_egress);
    drops(pipeline, 1, OUT("icmp 3 0 +28"), DROP_policy_egress);
    drops(pipeline, 1, "A>* ip 10.0.0.1>10.0.0.255 udp 1>2", DROP_policy_egress);
    drops(pipeline, 2, IN("udp 1>2"), DROP_policy_ingress);
    drops(pipeline, 0, TUNNEL_IN("tcp 1>2 S"), DROP_policy_ingress);
    assert_int_equal(fixture_counters(pipeline, 1)->drops[DROP_policy_egress], 5);
    assert_int_equal(fixture_counters(pipeline, 1)->drops[DROP_policy_ingress], 2);
    assert_int_equal(n_entries(pipeline), 1); /* Port 2's own. */
    pipeline_free(pipeline);
}

static void what_every_workload_needs_passes(void **state)
{
    struct pipeline *pipeline = fixture_new();

    fixture_policy(pipeline, 1, 0, 0);
    fixture_policy(pipeline, 2, 0, 0);
    passes(pipeline, 1, "A>* arp request A 10.0.0.1 10.0.0.2");
    passes(pipeline, 1, "A>B arp reply A 10.0.0.1 10.0.0.2");
    passes(pipeline, 1, OUT6("ns fd01::2 A"));
    passes(pipeline, 1, OUT6("na fd01::1 A"));
    passes(pipeline, 1, "A>33:33:00:00:00:02 ip6 fe80::ff:fe00:41>ff02::2 rs A");
    passes(pipeline, 1, "A>33:33:00:00:00:01 ip6 fd01::1>ff02::1 ttl=1 hopopts icmp6 130 0 +16");
    passes(pipeline, 1, "A>* ip 0.0.0.0>255.255.255.255 udp 68>67 +240");
    drops(pipeline, 2, "B>* ip 0.0.0.0>255.255.255.255 udp 68>67 +240", DROP_policy_ingress); /* Sent, and nothing for A. */
    assert_int_equal(fixture_counters(pipeline, 1)->drops[DROP_policy_ingress], 1);
    assert_int_equal(fixture_counters(pipeline, 4)->rx_packets, 2);
    passes(pipeline, 4, "X>B ip 10.0.0.200>10.0.0.2 udp 67>68 +240");
    drops(pipeline, 4, "X>B ip6 fd01::200>fd01::2 udp 547>546 +40", DROP_policy_ingress); /* No client has that yet. */
    passes(pipeline, 4, "X>B ip6 fe80::200>fe80::ff:fe00:42 udp 547>546 +40");
    drops(pipeline, 2, "B>33:33:00:00:00:16 ip6 fd01::2>ff02::16 hopopts icmp6 143 0", DROP_policy_egress); /* As any other. */
    drops(pipeline, 4, "X>B ip6 fd01::200>fd01::2 icmp6 134 0 +8", DROP_policy_ingress);
    drops(pipeline, 4, "X>B type=0x88b5 +50", DROP_policy_ingress);
    pipeline_free(pipeline);
}

/* A client's ports are no way past the rules: where the platform answers, nor for who is not in the network. */
static void dhcp_passes_only_where_a_workload_may_answer(void **state)
{
    struct pipeline *pipeline = fixture_new();

    fixture_policy(pipeline, 1, 0, 0);
    fixture_policy(pipeline, 2, 0, 0);
    drops(pipeline, 4, "X>A ip 10.0.0.200>10.0.0.1 udp 67>68 +240", DROP_policy_ingress);
    drops(pipeline, 4, "X>A ip6 fe80::200>fe80::ff:fe00:41 udp 547>546 +40", DROP_policy_ingress);
    passes(pipeline, 4, "X>B ip 10.0.0.200>10.0.0.2 udp 67>68 +240");
    drops(pipeline, 4, "X>B ip 10.0.0.200>10.0.0.2 udp 67>69 +240", DROP_policy_ingress);
    drops(pipeline, 10, "J>S ip 10.0.1.1>10.0.0.2 udp 67>68 +240", DROP_dhcp_server);
    fixture_port(pipeline, 10)->flags &= ~PORT_SECURITY; /* May say what it wants, but its router brings it. */
    drops(pipeline, 10, "J>S ip 10.0.1.1>10.0.0.2 udp 67>68 +240", DROP_policy_ingress);
    drops(pipeline, 0, "outer 192.0.2.2>192.0.2.1 7 0 R>B ip 10.0.9.1>10.0.0.2 udp 67>68 +240", DROP_policy_ingress);
    passes(pipeline, 0, "outer 192.0.2.2>192.0.2.1 7 0 M>B ip 10.0.0.101>10.0.0.2 udp 67>68 +240");
    drops(pipeline, 2, "B>R ip 10.0.0.2>10.0.1.1 udp 68>67 +240", DROP_policy_egress);
    pipeline_free(pipeline);
}

/* Nor are the types that every link needs a way past them through a router. */
static void discovery_passes_on_the_link_only(void **state)
{
    static const uint8_t types[] = {130, 133, 135, 136};
    struct pipeline *pipeline = fixture_new();
    char text[120];

    fixture_policy(pipeline, 2, 0, 0);
    fixture_port(pipeline, 10)->flags &= ~PORT_SECURITY; /* May say what it wants. */
    for (size_t i = 0; i < ARRAY_SIZE(types); i++)
        for (int link = 0; link < 2; link++) {
            int limit = !link ? 64 : types[i] == 130 ? 1 : 255;
            snprintf(text, sizeof(text), "J>S ip6 fd02::1>fd01::2 ttl=%d icmp6 %d 7 +500", link ? 255 : 64, types[i]);
            drops(pipeline, 10, text, DROP_policy_ingress);
            snprintf(text, sizeof(text), "outer 192.0.2.2>192.0.2.1 7 0 R>B ip6 fd02::101>fd01::2 ttl=%d icmp6 %d 7 +500", limit, types[i]);
            drops(pipeline, 0, text, DROP_policy_ingress); /* Of a router: it is the MAC that tells. */
            snprintf(text, sizeof(text), "outer 192.0.2.2>192.0.2.1 7 0 M>B ip6 fd01::101>fd01::2 ttl=%d icmp6 %d 7 +24", limit, types[i]);
            if (link && types[i] != 133) /* Nobody but routers is solicited so. */
                passes(pipeline, 0, text);
            else
                drops(pipeline, 0, text, DROP_policy_ingress);
        }
    passes(pipeline, 0, "outer 192.0.2.2>192.0.2.1 7 0 M>B ip6 fd01::101>fd01::2 ns fd01::2 M");
    passes(pipeline, 0, "outer 192.0.2.2>192.0.2.1 7 0 M>B ip6 ::>fd01::2 ns fd01::2 -");
    passes(pipeline, 0, "outer 192.0.2.2>192.0.2.1 7 0 M>B ip6 fe80::101>fd01::2 icmp6 130 0 +16");
    fixture_policy(pipeline, 10, 0, 0);
    for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
        snprintf(text, sizeof(text), "J>S ip6 fd02::1>2001:db8:99::9 ttl=%d icmp6 %d 7 +500", types[i] == 130 ? 1 : 255, types[i]);
        drops(pipeline, 10, text, DROP_policy_egress);
    }
    passes(pipeline, 10, "J>P ip6 fd02::1>fd02::101 na fd02::1 J");
    pipeline_free(pipeline);
}

static void each_part_of_a_rule_counts(void **state)
{
    const struct rule out[] = {
        rule(RULE_IPV4, 17, 100, 200, NULL, 0), rule(RULE_IPV4, 6, 80, 80, "10.0.0.0", 96 + 31),  rule(RULE_IPV4, 1, 8, 0xffff, NULL, 0),
        rule(RULE_IPV4, 1, 3, 1, NULL, 0),      rule(RULE_IPV6, 58, 128, 0, NULL, 0), rule(RULE_IPV6, 17, 0, 0, "fd01::", 64),
        rule(RULE_IPV6, 6, 0, 0, "fd01::2", 128), rule(RULE_IPV4, 47, 0, 0, "10.0.0.2", 128), rule(RULE_IPV6, 132, 0, 0, "fc00::", 7),
    };
    struct pipeline *pipeline = world(out, ARRAY_SIZE(out), NULL, 0);

    drops(pipeline, 1, OUT("udp 1>99"), DROP_policy_egress);
    passes(pipeline, 1, OUT("udp 1>100"));
    passes(pipeline, 1, OUT("udp 1>200"));
    drops(pipeline, 1, OUT("udp 1>201"), DROP_policy_egress);
    drops(pipeline, 1, OUT("udp 150>1"), DROP_policy_egress);
    drops(pipeline, 1, OUT("tcp 1>150 S"), DROP_policy_egress);
    drops(pipeline, 1, OUT("tcp 1>80 S"), DROP_policy_egress);       /* 10.0.0.2 is in 10.0.0.2/31. */
    drops(pipeline, 1, "A>D ip 10.0.0.1>10.0.0.4 tcp 1>80 S", DROP_policy_egress);
    passes(pipeline, 1, OUT("icmp 8 5"));
    drops(pipeline, 1, OUT("icmp 0 6"), DROP_policy_egress);
    drops(pipeline, 1, OUT("icmp 3 0 +28"), DROP_policy_egress);
    passes(pipeline, 1, OUT("icmp 3 0 +28 set=35:1"));
    passes(pipeline, 1, OUT6("icmp6 128 5"));
    passes(pipeline, 1, OUT6("udp 1>2"));
    drops(pipeline, 1, "A>B ip6 fd01::1>fd01:0:0:1::2 udp 1>2", DROP_policy_egress);
    passes(pipeline, 1, OUT6("tcp 1>2 S"));
    drops(pipeline, 1, "A>B ip6 fd01::1>fd01::3 tcp 1>2 S", DROP_policy_egress);
    passes(pipeline, 1, OUT("proto 47 +20"));
    drops(pipeline, 1, "A>D ip 10.0.0.1>10.0.0.4 proto 47 +20", DROP_policy_egress);
    passes(pipeline, 1, OUT6("proto 132 +20"));
    passes(pipeline, 1, "A>B ip6 fd01::1>fc00::5 proto 132 +20");
    drops(pipeline, 1, "A>B ip6 fd01::1>fe00::5 proto 132 +20", DROP_policy_egress);
    pipeline_free(pipeline);
}

static void groups_are_addresses_and_prefixes(void **state)
{
    const struct rule out[] = {{.flags = RULE_IPV4 | RULE_GROUP | RULE_GROUP_PREFIXES, .group = GROUP}};
    struct pipeline *pipeline = world(out, 1, NULL, 0);
    struct member_key member = {.group = GROUP};
    struct member_prefix_key prefix = {.prefix_length = 32 + 96 + 31, .group = GROUP};
    uint64_t value = GROUP;

    drops(pipeline, 1, OUT("udp 1>2"), DROP_policy_egress);
    frame_address("10.0.0.2", member.address);
    pipeline_update(pipeline, "members", &member, &value);
    passes(pipeline, 1, OUT("udp 1>2"));
    drops(pipeline, 1, "A>D ip 10.0.0.1>10.0.0.4 udp 1>2", DROP_policy_egress);
    frame_address("10.0.0.4", prefix.address);
    pipeline_update(pipeline, "member_prefixes", &prefix, &value);
    passes(pipeline, 1, "A>D ip 10.0.0.1>10.0.0.4 udp 1>2");
    value = GROUP + 1; /* As an element that was reused while it was being read. */
    pipeline_update(pipeline, "members", &member, &value);
    drops(pipeline, 1, OUT("udp 1>3"), DROP_policy_egress);
    pipeline_free(pipeline);
}

static void rules_go_on_in_the_next_block(void **state)
{
    struct rule out[3 * RULES_PER_BLOCK];
    struct pipeline *pipeline;

    for (uint32_t i = 0; i < ARRAY_SIZE(out); i++)
        out[i] = UDP4((uint16_t)(1000 + i));
    pipeline = world(out, ARRAY_SIZE(out), NULL, 0);
    for (uint32_t i = 0; i < ARRAY_SIZE(out); i++) {
        char text[100];
        snprintf(text, sizeof(text), OUT("udp 1>%u"), 1000 + i);
        passes(pipeline, 1, text);
    }
    drops(pipeline, 1, OUT("udp 1>1045"), DROP_policy_egress);
    pipeline_free(pipeline);
}

static void memory_of_another_set_is_not_believed(void **state)
{
    const struct rule all[] = {ALL4};
    struct pipeline *pipeline = world(all, 1, all, 1);
    struct rules_block *block = pipeline_lookup(pipeline, "rules", &(struct rules_key){OUT_SET, 0});

    block->set = 99;
    drops(pipeline, 1, OUT("udp 1>2"), DROP_policy_egress);
    block->set = OUT_SET;
    block->index = 1;
    drops(pipeline, 1, OUT("udp 1>2"), DROP_policy_egress);
    pipeline_free(pipeline);
}

static void a_copy_for_everybody_is_judged_by_each_port(void **state)
{
    const struct rule out[] = {ALL4}, in[] = {UDP4(2)};
    struct pipeline *pipeline = fixture_new();
    struct pipeline_result result;

    set_rules(pipeline, OUT_SET, out, 1);
    set_rules(pipeline, IN_SET, in, 1);
    fixture_policy(pipeline, 1, OUT_SET, IN_SET);
    fixture_policy(pipeline, 2, OUT_SET, IN_SET);
    fixture_policy(pipeline, 8, OUT_SET, 0);
    run(pipeline, 1, "A>* ip 10.0.0.1>10.0.0.255 udp 1>2", &result); /* B, D, two hosts. */
    assert_int_equal(result.n_outputs, 4);
    pipeline_result_clear(&result);
    assert_int_equal(fixture_counters(pipeline, 8)->drops[DROP_policy_ingress], 1);
    run(pipeline, 1, "A>* ip 10.0.0.1>10.0.0.255 udp 1>3", &result);
    assert_int_equal(result.n_outputs, 3);
    pipeline_result_clear(&result);
    assert_int_equal(fixture_counters(pipeline, 2)->drops[DROP_policy_ingress], 1);
    /* From another host: A, B, D, and not H. */
    run(pipeline, 0, "outer 192.0.2.2>192.0.2.1 7 1 M>* ip 10.0.0.101>10.0.0.255 udp 1>2", &result);
    assert_int_equal(result.n_outputs, 3);
    pipeline_result_clear(&result);
    /* All refuse: nobody's fault but theirs. */
    for (uint32_t i = 0; i < 5; i++)
        fixture_flood(pipeline, 7, FLOOD_LOCAL | i, OUTPUT_LOCAL | 2);
    run(pipeline, 0, "outer 192.0.2.2>192.0.2.1 7 1 M>* ip 10.0.0.101>10.0.0.255 udp 1>3", &result);
    assert_int_equal(result.verdict, PIPELINE_FLOODED);
    assert_int_equal(result.n_outputs, 0);
    assert_int_equal(fixture_counters(pipeline, 0)->drops[DROP_flood_empty], 0);
    pipeline_result_clear(&result);
    pipeline_free(pipeline);
}

/* ---- connections --------------------------------------------------------------------------------------------------------------------------- */

static void answers_need_no_rule(void **state)
{
    const struct rule out[] = {UDP4(53), rule(RULE_IPV4, 1, 8, 0xffff, NULL, 0)}, in[] = {UDP4(5000)};
    struct pipeline *pipeline = world(out, 2, in, 1);

    drops(pipeline, 2, IN("udp 53>1000"), DROP_policy_ingress);
    passes(pipeline, 1, OUT("udp 1000>53"));
    passes(pipeline, 2, IN("udp 53>1000"));
    drops(pipeline, 2, IN("udp 53>1001"), DROP_policy_ingress);
    passes(pipeline, 1, OUT("icmp 8 7"));
    passes(pipeline, 2, IN("icmp 0 7"));
    drops(pipeline, 2, IN("icmp 0 8"), DROP_policy_ingress);
    drops(pipeline, 2, IN("icmp 8 9"), DROP_policy_ingress);
    passes(pipeline, 2, IN("udp 9>5000"));
    passes(pipeline, 1, OUT("udp 5000>9"));
    drops(pipeline, 1, OUT("udp 5000>10"), DROP_policy_egress);
    passes(pipeline, 0, TUNNEL_IN("udp 9>5000"));
    passes(pipeline, 1, "A>M ip 10.0.0.1>10.0.0.101 udp 5000>9");
    pipeline_free(pipeline);
}

static void an_echo_that_nobody_asked_for_is_no_connection(void **state)
{
    const struct rule all[] = {ALL4, ALL6};
    struct pipeline *pipeline = world(all, 2, all, 2);

    drops(pipeline, 2, IN("icmp 0 8"), DROP_policy_ingress);
    drops(pipeline, 2, IN6("icmp6 129 8"), DROP_policy_ingress);
    drops(pipeline, 1, OUT("icmp 0 8"), DROP_policy_egress);
    pipeline_free(pipeline);
}

static void stateless_rules_make_no_connection(void **state)
{
    const struct rule out[] = {rule(RULE_IPV4 | RULE_STATELESS, 17, 53, 53, NULL, 0)}, in[] = {rule(RULE_IPV4 | RULE_STATELESS, 17, 7, 7, NULL, 0)};
    const struct rule both[] = {out[0], UDP4(53)};
    struct pipeline *pipeline = world(out, 1, in, 1);

    passes(pipeline, 1, OUT("udp 1000>53"));
    passes(pipeline, 1, OUT("udp 1000>53"));
    assert_null(entry_of(pipeline, 1));
    drops(pipeline, 2, IN("udp 53>1000"), DROP_policy_ingress);
    passes(pipeline, 2, IN("udp 53>7"));
    assert_null(entry_of(pipeline, 1));
    drops(pipeline, 1, OUT("udp 7>54"), DROP_policy_egress);
    /* With a rule that makes a connection beside it, there is one. */
    change_rules(pipeline, both, 2, in, 1);
    passes(pipeline, 1, OUT("udp 1000>53"));
    passes(pipeline, 2, IN("udp 53>1000"));
    assert_non_null(entry_of(pipeline, 1));
    /* And when that goes, the claim goes with it, whoever sends next. */
    change_rules(pipeline, out, 1, in, 1);
    drops(pipeline, 2, IN("udp 53>1000"), DROP_policy_ingress);
    passes(pipeline, 1, OUT("udp 1000>53"));
    drops(pipeline, 2, IN("udp 53>1000"), DROP_policy_ingress);
    pipeline_free(pipeline);
}

/* The workload opened it, and what it may send changes. */
static void a_connection_that_may_go_out_no_more_ends(void **state)
{
    const struct rule out[] = {TCP4(80)}, in[] = {TCP4(22)};

    for (int seen_from = 0; seen_from < 2; seen_from++) {
        struct pipeline *pipeline = world(out, 1, in, 1);

        passes(pipeline, 1, OUT("tcp 1000>80 S"));
        passes(pipeline, 2, IN("tcp 80>1000 SA"));
        passes(pipeline, 1, OUT("tcp 1000>80 A"));
        change_rules(pipeline, in, 1, in, 1);
        if (seen_from == 0) {
            drops(pipeline, 1, OUT("tcp 1000>80 A +5"), DROP_policy_egress);
        } else {
            drops(pipeline, 2, IN("tcp 80>1000 A +5"), DROP_policy_egress); /* The reason is the rule that let it begin. */
            assert_int_equal(fixture_counters(pipeline, 1)->drops[DROP_policy_egress], 1);
        }
        assert_int_equal(entry_of(pipeline, 1)->state, FLOW_DEAD);
        drops(pipeline, 1, OUT("tcp 1000>80 A +5"), DROP_policy_egress);
        drops(pipeline, 2, IN("tcp 80>1000 A +5"), DROP_policy_ingress);
        pipeline_free(pipeline);
    }
}

static void a_connection_that_may_come_in_no_more_ends(void **state)
{
    const struct rule out[] = {TCP4(80)}, in[] = {TCP4(22)};

    for (int seen_from = 0; seen_from < 2; seen_from++) {
        struct pipeline *pipeline = world(out, 1, in, 1);

        passes(pipeline, 2, IN("tcp 1000>22 S"));
        passes(pipeline, 1, OUT("tcp 22>1000 SA"));
        passes(pipeline, 2, IN("tcp 1000>22 A"));
        passes(pipeline, 1, OUT("tcp 22>1000 A +5"));
        change_rules(pipeline, out, 1, out, 1);
        if (seen_from == 0)
            drops(pipeline, 1, OUT("tcp 22>1000 A +5"), DROP_policy_ingress);
        else
            drops(pipeline, 2, IN("tcp 1000>22 A +5"), DROP_policy_ingress);
        drops(pipeline, 1, OUT("tcp 22>1000 A +5"), DROP_policy_egress);
        pipeline_free(pipeline);
    }
}

/* Neither a changed rule set nor the order in which it is noticed costs a frame of what is still allowed. */
static void a_connection_that_is_still_allowed_loses_nothing(void **state)
{
    const struct rule out[] = {TCP4(80)}, in[] = {TCP4(22)}, more[] = {TCP4(9), TCP4(80)}, more_in[] = {TCP4(10), TCP4(22)};
    struct pipeline *pipeline = world(out, 1, in, 1);

    passes(pipeline, 1, OUT("tcp 1000>80 S"));
    passes(pipeline, 2, IN("tcp 80>1000 SA"));
    passes(pipeline, 1, OUT("tcp 1000>80 A"));
    change_rules(pipeline, more, 2, more_in, 2);
    passes(pipeline, 2, IN("tcp 80>1000 A +5"));
    passes(pipeline, 1, OUT("tcp 1000>80 A +5"));
    change_rules(pipeline, out, 1, in, 1);
    passes(pipeline, 1, OUT("tcp 1000>80 A +5"));
    passes(pipeline, 2, IN("tcp 80>1000 A +5"));
    passes(pipeline, 0, TUNNEL_IN("tcp 1000>22 S"));
    change_rules(pipeline, more, 2, more_in, 2);
    passes(pipeline, 1, "A>M ip 10.0.0.1>10.0.0.101 tcp 22>1000 SA");
    passes(pipeline, 0, TUNNEL_IN("tcp 1000>22 A"));
    passes(pipeline, 1, "A>M ip 10.0.0.1>10.0.0.101 tcp 22>1000 A +9");
    pipeline_free(pipeline);
}

/* A frame that was received must not make an old decision about sending look new. */
static void a_received_frame_decides_no_output(void **state)
{
    const struct rule all[] = {ALL4};
    struct pipeline *pipeline = world(all, 1, all, 1);
    struct pipeline_result result;

    passes(pipeline, 1, OUT("udp 1>2"));
    fixture_fdb(pipeline, "fdb", 7, "B", OUTPUT_REMOTE | 1);
    change_epoch(pipeline, 1);
    passes(pipeline, 0, "outer 192.0.2.2>192.0.2.1 7 0 B>A ip 10.0.0.2>10.0.0.1 udp 2>1");
    assert_int_equal(entry_of(pipeline, 1)->output, OUTPUT_NONE);
    run(pipeline, 1, OUT("udp 1>2"), &result);
    assert_int_equal(result.verdict, PIPELINE_TUNNELLED);
    pipeline_result_clear(&result);
    pipeline_free(pipeline);
}

/* Policy comes to a port that had none: who began is only guessed for what was running, so either direction's rules will do. */
static void connections_survive_that_policy_comes(void **state)
{
    const struct rule out[] = {TCP4(80)}, in[] = {UDP4(53)};
    struct pipeline *pipeline = fixture_new();

    passes(pipeline, 2, IN("udp 1000>53"));
    passes(pipeline, 1, OUT("udp 53>1000")); /* Looks as if the workload had begun. */
    passes(pipeline, 1, OUT("udp 54>1000"));
    passes(pipeline, 2, IN("tcp 1000>22 S"));
    passes(pipeline, 1, OUT("tcp 22>1000 SA"));
    change_rules(pipeline, out, 1, in, 1);
    passes(pipeline, 1, OUT("udp 53>1000"));
    drops(pipeline, 1, OUT("udp 54>1000"), DROP_policy_ingress);
    drops(pipeline, 1, OUT("tcp 22>1000 A"), DROP_policy_egress);
    passes(pipeline, 2, IN("udp 1000>53"));
    pipeline_free(pipeline);
}

/* Refused once does not mean refused for the time that a dead entry takes to go. */
static void rules_that_come_back_are_obeyed_at_once(void **state)
{
    const struct rule out[] = {UDP4(80)};
    struct pipeline *pipeline = world(out, 1, NULL, 0);
    const uint32_t project = 7;
    struct project_record *record = pipeline_lookup(pipeline, "projects", &project);

    passes(pipeline, 1, OUT("udp 1000>80"));
    change_rules(pipeline, NULL, 0, NULL, 0);
    drops(pipeline, 1, OUT("udp 1000>80"), DROP_policy_egress);
    change_rules(pipeline, out, 1, NULL, 0);
    passes(pipeline, 1, OUT("udp 1000>80"));
    passes(pipeline, 2, IN("udp 80>1000"));
    assert_int_equal(record->n_half_open + record->n_established, 2);
    pipeline_advance(pipeline, 500ull * 1000000000);
    assert_int_equal(n_entries(pipeline), 0);
    assert_int_equal(record->n_half_open + record->n_established, 0);
    pipeline_free(pipeline);
}

/* Later fragments go where the first one went, by its ports; at both ends, and whatever the rules say of packets without ports. */
static void fragments_follow_the_first(void **state)
{
    const struct rule out[] = {UDP4(53)}, in[] = {UDP4(7)};
    struct pipeline *pipeline = world(out, 1, in, 1);

    drops(pipeline, 1, OUT("frag=20 proto 17 +40"), DROP_fragment_unknown);
    passes(pipeline, 1, OUT("more udp 1000>53 +40"));
    passes(pipeline, 1, OUT("frag=6 proto 17 +40"));
    assert_int_equal(entry_of(pipeline, 1)->packets[0], 2);
    drops(pipeline, 1, OUT("frag=6 proto 17 +40 set=19:9"), DROP_fragment_unknown); /* Another packet's. */
    drops(pipeline, 2, IN("frag=6 proto 17 +40"), DROP_fragment_unknown);
    drops(pipeline, 2, IN("more udp 9>8 +40"), DROP_policy_ingress);
    drops(pipeline, 2, IN("frag=6 proto 17 +40"), DROP_fragment_unknown);
    passes(pipeline, 2, IN("more udp 9>7 +40"));
    passes(pipeline, 2, IN("frag=6 proto 17 +40"));
    passes(pipeline, 2, IN("more udp 53>1000 +40")); /* An answer. */
    passes(pipeline, 2, IN("frag=6 proto 17 +40"));
    pipeline_advance(pipeline, 60ull * 1000000000);
    drops(pipeline, 2, IN("frag=6 proto 17 +40"), DROP_fragment_unknown);
    pipeline_free(pipeline);
}

/* Neither what is refused nor what other ports get or send makes a port forget whose fragments are under way. */
static void nobody_pushes_out_anothers_fragments(void **state)
{
    const struct rule in[] = {UDP4(7)};
    struct pipeline *pipeline = world(NULL, 0, in, 1);
    char text[120];

    passes(pipeline, 2, IN("more udp 9>7 +40"));
    for (int id = 0; id < 4 * FRAGMENTS_PER_PORT; id++) {
        snprintf(text, sizeof(text), "B>A ip 10.0.0.2>10.0.0.1 more udp 9>8 +40 set=18:%d set=19:%d", 1 + id / 256, id % 256);
        drops(pipeline, 2, text, DROP_policy_ingress);
        snprintf(text, sizeof(text), "B>H ip 10.0.0.2>10.0.0.8 more udp 9>8 +40 set=18:%d set=19:%d", 1 + id / 256, id % 256);
        passes(pipeline, 2, text);
        snprintf(text, sizeof(text), "H>B ip 10.0.0.8>10.0.0.2 more udp 9>8 +40 set=18:%d set=19:%d", 1 + id / 256, id % 256);
        passes(pipeline, 8, text);
    }
    passes(pipeline, 2, IN("frag=6 proto 17 +40"));
    /* The last of many that the port itself is sent are known, and as many as it has places for at most. */
    int n = 0;
    for (int id = 0; id < 4 * FRAGMENTS_PER_PORT; id++) {
        snprintf(text, sizeof(text), "B>A ip 10.0.0.2>10.0.0.1 more udp 9>7 +40 set=18:%d set=19:%d", 1 + id / 256, id % 256);
        passes(pipeline, 2, text);
        snprintf(text, sizeof(text), "B>A ip 10.0.0.2>10.0.0.1 frag=6 proto 17 +40 set=18:%d set=19:%d", 1 + id / 256, id % 256);
        passes(pipeline, 2, text);
    }
    for (int id = 0; id < 4 * FRAGMENTS_PER_PORT; id++) {
        snprintf(text, sizeof(text), "B>A ip 10.0.0.2>10.0.0.1 frag=6 proto 17 +40 set=18:%d set=19:%d", 1 + id / 256, id % 256);
        n += run(pipeline, 2, text, NULL) == DROP_NONE;
    }
    assert_in_range(n, FRAGMENTS_PER_PORT / 2, FRAGMENTS_PER_PORT);
    pipeline_free(pipeline);
}

static void ipv6_fragments_follow_the_first(void **state)
{
    const struct rule out[] = {rule(RULE_IPV6, 17, 53, 53, NULL, 0)};
    struct pipeline *pipeline = world(out, 1, NULL, 0);

    drops(pipeline, 1, OUT6("frag=20 proto 17 +40"), DROP_fragment_unknown);
    passes(pipeline, 1, OUT6("more udp 1000>53 +40"));
    passes(pipeline, 1, OUT6("frag=6 proto 17 +40"));
    drops(pipeline, 1, OUT6("frag=6 proto 17 +40 set=58:9"), DROP_fragment_unknown);
    pipeline_free(pipeline);
}

static void fragments_hide_no_header(void **state)
{
    const struct rule all[] = {ALL4};
    struct pipeline *pipeline = world(all, 1, all, 1);

    drops(pipeline, 1, OUT("more proto 6 +16"), DROP_fragment_header);
    drops(pipeline, 1, OUT("more proto 17 +7"), DROP_fragment_header);
    drops(pipeline, 1, OUT("frag=1 proto 6 +40"), DROP_fragment_header);
    drops(pipeline, 1, OUT("frag=2 proto 6 +40"), DROP_fragment_header);
    drops(pipeline, 1, "A>B ip6 fd01::1>fd01::2 frag=1 proto 6 +40", DROP_fragment_header);
    passes(pipeline, 1, OUT("more tcp 1>2 S +28"));
    passes(pipeline, 1, OUT("frag=6 proto 6 +40"));
    pipeline_free(pipeline);
}

/* An error passes when it is about a packet that went the other way in a connection, and only then. */
static void errors_belong_to_connections(void **state)
{
    const struct rule out[] = {UDP4(53), rule(RULE_IPV6, 17, 0, 0, NULL, 0), rule(RULE_IPV4, 1, 8, 0xffff, NULL, 0)};
    struct pipeline *pipeline = world(out, 3, NULL, 0);
    const char *unreachable = IN("icmp 3 0 quote ip 10.0.0.1>10.0.0.2 udp 1000>53");

    drops(pipeline, 2, unreachable, DROP_policy_ingress);
    passes(pipeline, 1, OUT("udp 1000>53"));
    passes(pipeline, 1, OUT("icmp 8 77"));
    passes(pipeline, 2, unreachable);
    passes(pipeline, 0, "outer 192.0.2.2>192.0.2.1 7 0 M>A ip 192.0.2.77>10.0.0.1 icmp 11 0 quote ip 10.0.0.1>10.0.0.2 udp 1000>53"); /* From a router on the way. */
    passes(pipeline, 2, IN("icmp 12 0 quote ip 10.0.0.1>10.0.0.2 icmp 8 77"));
    drops(pipeline, 2, IN("icmp 3 0 quote ip 10.0.0.1>10.0.0.2 icmp 8 78"), DROP_policy_ingress);
    drops(pipeline, 2, IN("icmp 5 0 quote ip 10.0.0.1>10.0.0.2 udp 1000>53"), DROP_policy_ingress); /* A redirect is none. */
    drops(pipeline, 2, IN("icmp 3 0 quote ip 10.0.0.1>10.0.0.2 udp 1001>53"), DROP_policy_ingress);
    drops(pipeline, 2, IN("icmp 3 0 quote ip 10.0.0.2>10.0.0.1 udp 53>1000"), DROP_policy_ingress); /* Nothing that A has sent. */
    drops(pipeline, 2, IN("icmp 3 0 quote ip 10.0.0.9>10.0.0.2 udp 1000>53"), DROP_policy_ingress);
    drops(pipeline, 2, IN("icmp 3 0 quote ip 10.0.0.1>10.0.0.2 frag=9 udp 1000>53"), DROP_policy_ingress);
    drops(pipeline, 2, IN("icmp 3 0 +27"), DROP_policy_ingress);
    /* What A says of B's packets: */
    passes(pipeline, 1, OUT("icmp 3 0 quote ip 10.0.0.2>10.0.0.1 udp 53>1000"));
    drops(pipeline, 1, OUT("icmp 3 0 quote ip 10.0.0.2>10.0.0.1 udp 53>1001"), DROP_policy_egress);
    drops(pipeline, 1, OUT("icmp 3 0 quote ip 10.0.0.1>10.0.0.2 udp 1000>53"), DROP_policy_egress);
    /* An error ends with the connection's right to be. */
    change_rules(pipeline, NULL, 0, NULL, 0);
    drops(pipeline, 2, unreachable, DROP_policy_ingress);
    drops(pipeline, 1, OUT("udp 1000>53"), DROP_policy_egress);
    pipeline_free(pipeline);
}

static void a_port_whose_project_is_full_refuses(void **state)
{
    const struct rule all[] = {ALL4};
    struct pipeline *pipeline = world(all, 1, all, 1);
    const uint32_t project = 7;

    ((struct project_record *)pipeline_lookup(pipeline, "projects", &project))->max_half_open = 0;
    drops(pipeline, 1, OUT("udp 1>2"), DROP_connection_limit);
    drops(pipeline, 2, IN("udp 1>2"), DROP_connection_limit);
    pipeline_free(pipeline);
}

/* ---- random rules against a naive evaluator ------------------------------------------------------------------------------------------- */

static uint64_t random_state;

static uint32_t below(uint32_t bound)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (uint32_t)(random_state >> 16) % bound;
}

static const char *const addresses[2][6] = {
    {"10.0.0.2", "10.0.0.4", "10.0.0.101", "10.0.0.8", "10.0.0.102", "10.0.0.3"},
    {"fd01::2", "fd01::4", "fd01::101", "fd01::8", "fd01::102", "fd02::2"},
};
static const uint8_t protocols[] = {6, 17, 132, 1, 47};

struct model_rule {
    bool ipv6, any_protocol, has_ports, has_prefix, has_group, stateless;
    uint8_t protocol;
    uint16_t low, high;
    char prefix[40];
    unsigned length; /* Of the family. */
    unsigned group;
};

struct model_packet {
    bool ipv6;
    uint8_t protocol;
    uint16_t port; /* Destination; ICMP: the type. */
    uint8_t code;
    const char *remote;
};

static bool groups[3][2][6]; /* Which address is in which group, */
static bool prefix_groups[3][2];  /* and which family's all. */

static bool bit_of(const uint8_t *bytes, unsigned bit)
{
    return bytes[bit / 8] >> (7 - bit % 8) & 1;
}

static bool model_fits(const struct model_rule *rule, const struct model_packet *packet)
{
    if (rule->ipv6 != packet->ipv6)
        return false;
    if (!rule->any_protocol && rule->protocol != packet->protocol)
        return false;
    if (rule->has_ports && (packet->protocol == 1 || packet->protocol == 58)) {
        if (packet->port != rule->low || (rule->high != 65535 && rule->high != packet->code))
            return false;
    } else if (rule->has_ports && !(rule->low <= packet->port && packet->port <= rule->high)) {
        return false;
    }
    if (rule->has_prefix) {
        uint8_t a[16], b[16];
        inet_pton(rule->ipv6 ? AF_INET6 : AF_INET, rule->prefix, a);
        inet_pton(rule->ipv6 ? AF_INET6 : AF_INET, packet->remote, b);
        for (unsigned bit = 0; bit < rule->length; bit++)
            if (bit_of(a, bit) != bit_of(b, bit))
                return false;
    }
    if (rule->has_group) {
        for (int i = 0; i < 6; i++)
            if (strcmp(addresses[packet->ipv6][i], packet->remote) == 0)
                return groups[rule->group][packet->ipv6][i] || prefix_groups[rule->group][packet->ipv6];
        return false;
    }
    return true;
}

static struct rule compile(const struct model_rule *model)
{
    struct rule rule = {.flags = model->ipv6 ? RULE_IPV6 : RULE_IPV4, .number = 5};

    if (!model->any_protocol) {
        rule.flags |= RULE_PROTOCOL;
        rule.protocol = model->protocol;
    }
    if (model->has_ports) {
        rule.flags |= RULE_PORTS;
        rule.port_min = model->low;
        rule.port_max = model->high;
    }
    if (model->has_prefix && model->length) {
        frame_address(model->prefix, rule.address);
        rule.prefix_length = (uint8_t)(model->length + (model->ipv6 ? 0 : 96));
    }
    if (model->has_group) {
        rule.flags |= RULE_GROUP | RULE_GROUP_PREFIXES;
        rule.group = GROUP + model->group;
    }
    if (model->stateless)
        rule.flags |= RULE_STATELESS;
    return rule;
}

static struct model_rule random_rule(void)
{
    struct model_rule rule = {.ipv6 = below(2), .any_protocol = below(6) == 0, .has_ports = below(2), .has_prefix = below(2),
                              .has_group = below(4) == 0, .stateless = below(8) == 0, .group = below(3)};

    rule.protocol = protocols[below(5)];
    if (rule.protocol == 1 && rule.ipv6)
        rule.protocol = 58;
    rule.low = (uint16_t)below(8);
    rule.high = (uint16_t)(rule.low + below(4));
    if (rule.protocol == 1 || rule.protocol == 58) {
        rule.low = rule.ipv6 ? 128 : 8;
        rule.high = below(2) ? 0xffff : (uint16_t)below(2);
    }
    snprintf(rule.prefix, sizeof(rule.prefix), "%s", addresses[rule.ipv6][below(6)]);
    rule.length = below(2) ? below(rule.ipv6 ? 129 : 33) : (rule.ipv6 ? 128 : 32) - below(9);
    return rule;
}

/* As the compiler orders them, so that blocks have something in common. */
static int by_kind(const void *a, const void *b)
{
    const struct model_rule *x = a, *y = b;
    int order = x->ipv6 != y->ipv6 ? x->ipv6 - y->ipv6 : x->any_protocol - y->any_protocol;

    return order ? order : x->protocol != y->protocol ? x->protocol - y->protocol : x->low - y->low;
}

static void fill_groups(struct pipeline *pipeline)
{
    for (uint32_t group = 0; group < 3; group++)
        for (int family = 0; family < 2; family++) {
            uint64_t value = GROUP + group, with_family = value | (family ? (uint64_t)RULE_IPV6 : RULE_IPV4) << 32;
            prefix_groups[group][family] = below(10) == 0;
            if (prefix_groups[group][family]) {
                struct member_prefix_key key = {.prefix_length = 32 + (family ? 0 : 96), .group = GROUP + group};
                frame_address(family ? "::" : "0.0.0.0", key.address);
                pipeline_update(pipeline, "member_prefixes", &key, &with_family);
            }
            for (int i = 0; i < 6; i++) {
                struct member_key key = {.group = GROUP + group};
                groups[group][family][i] = below(3) == 0;
                frame_address(addresses[family][i], key.address);
                if (groups[group][family][i])
                    pipeline_update(pipeline, "members", &key, &value);
            }
        }
}

static void packet_text(const struct model_packet *packet, bool outwards, char *text, size_t size)
{
    const char *local = packet->ipv6 ? "fd01::1" : "10.0.0.1", *ip = packet->ipv6 ? "ip6" : "ip";
    char head[120], l4[60];

    snprintf(head, sizeof(head), "%s %s %s>%s", outwards ? "A>B" : "X>A", ip, outwards ? local : packet->remote,
             outwards ? packet->remote : local);
    switch (packet->protocol) {
    case 6:
        snprintf(l4, sizeof(l4), "tcp 999>%u S", packet->port);
        break;
    case 17:
        snprintf(l4, sizeof(l4), "udp 999>%u", packet->port);
        break;
    case 1:
        snprintf(l4, sizeof(l4), "icmp %u 1 set=35:%u", packet->port, packet->code);
        break;
    case 58: /* The data plane checks no ICMP checksum. */
        snprintf(l4, sizeof(l4), "icmp6 %u 1 set=55:%u", packet->port, packet->code);
        break;
    case 132:
        snprintf(l4, sizeof(l4), "proto 132 +20 set=%u:3 set=%u:231 set=%u:0 set=%u:%u", packet->ipv6 ? 54 : 34, packet->ipv6 ? 55 : 35,
                 packet->ipv6 ? 56 : 36, packet->ipv6 ? 57 : 37, packet->port);
        break;
    default:
        snprintf(l4, sizeof(l4), "proto %u +20", packet->protocol);
    }
    snprintf(text, size, "%s %s", head, l4);
}

static void random_rules_and_packets_agree_with_the_naive_evaluator(void **state)
{
    uint64_t seed = getenv("SEED") ? strtoull(getenv("SEED"), NULL, 0) : (uint64_t)time(NULL);
    unsigned n_allowed = 0, n_denied = 0;

    random_state = seed * 2654435761u | 1;
    for (int round = 0; round < 300; round++) {
        struct pipeline *pipeline = fixture_new();
        struct model_rule model[160];
        struct rule rules[160];
        uint32_t n = below(2) ? below(8) : below(2) ? below(40) : below(160);

        bool alike = below(2);
        for (uint32_t i = 0; i < n; i++) {
            model[i] = random_rule();
            if (alike && below(50)) { /* Blocks of rules for ports of one protocol, which few packets fit. */
                model[i].any_protocol = false;
                model[i].has_ports = model[i].has_prefix = true;
                model[i].protocol = below(2) ? 6 : 17;
                model[i].low = (uint16_t)(2 * below(5));
                model[i].high = model[i].low + below(2);
            }
        }
        if (n && alike)
            qsort(model, n, sizeof(*model), by_kind);
        for (uint32_t i = 0; i < n; i++)
            rules[i] = compile(&model[i]);
        fill_groups(pipeline);
        set_rules(pipeline, OUT_SET, rules, n);
        fixture_policy(pipeline, 1, OUT_SET, OUT_SET);
        for (int i = 0; i < 40; i++) {
            struct model_packet packet = {.ipv6 = below(2), .protocol = protocols[below(5)], .port = (uint16_t)below(12)};
            bool outwards = below(2), fits = false, makes_connection = false;
            char text[300];

            packet.remote = addresses[packet.ipv6][below(6)];
            if (packet.protocol == 1) {
                packet.protocol = packet.ipv6 ? 58 : 1;
                packet.port = packet.ipv6 ? 128 : 8;
                packet.code = (uint8_t)below(3);
            } else if (packet.protocol == 47) {
                packet.port = 0;
            }
            for (uint32_t r = 0; r < n; r++)
                if (model_fits(&model[r], &packet)) {
                    fits = true;
                    makes_connection |= !model[r].stateless;
                }
            packet_text(&packet, outwards, text, sizeof(text));
            pipeline_clear(pipeline, "connections");
            enum drop_reason reason = run(pipeline, outwards ? 1 : 4, text, NULL);
            enum drop_reason refusal = outwards ? DROP_policy_egress : DROP_policy_ingress;
            if (fits ? reason != DROP_NONE : reason != refusal)
                fail_msg("seed %llu: '%s' has reason %d, and the rules say %d", (unsigned long long)seed, text, reason, fits);
            if ((entry_of(pipeline, 1) != NULL) != makes_connection)
                fail_msg("seed %llu: '%s' made %s entry", (unsigned long long)seed, text, makes_connection ? "no" : "an");
            n_allowed += fits;
            n_denied += !fits;
        }
        pipeline_free(pipeline);
    }
    print_message("seed %llu: %u packets allowed, %u denied\n", (unsigned long long)seed, n_allowed, n_denied);
    assert_true(n_allowed > 1000 && n_denied > 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_groups_nothing_passes),
        cmocka_unit_test(without_room_nothing_passes),
        cmocka_unit_test(what_every_workload_needs_passes),
        cmocka_unit_test(dhcp_passes_only_where_a_workload_may_answer),
        cmocka_unit_test(discovery_passes_on_the_link_only),
        cmocka_unit_test(each_part_of_a_rule_counts),
        cmocka_unit_test(groups_are_addresses_and_prefixes),
        cmocka_unit_test(rules_go_on_in_the_next_block),
        cmocka_unit_test(memory_of_another_set_is_not_believed),
        cmocka_unit_test(a_copy_for_everybody_is_judged_by_each_port),
        cmocka_unit_test(answers_need_no_rule),
        cmocka_unit_test(an_echo_that_nobody_asked_for_is_no_connection),
        cmocka_unit_test(stateless_rules_make_no_connection),
        cmocka_unit_test(a_connection_that_may_go_out_no_more_ends),
        cmocka_unit_test(a_connection_that_may_come_in_no_more_ends),
        cmocka_unit_test(a_connection_that_is_still_allowed_loses_nothing),
        cmocka_unit_test(a_received_frame_decides_no_output),
        cmocka_unit_test(connections_survive_that_policy_comes),
        cmocka_unit_test(rules_that_come_back_are_obeyed_at_once),
        cmocka_unit_test(fragments_follow_the_first),
        cmocka_unit_test(nobody_pushes_out_anothers_fragments),
        cmocka_unit_test(ipv6_fragments_follow_the_first),
        cmocka_unit_test(fragments_hide_no_header),
        cmocka_unit_test(errors_belong_to_connections),
        cmocka_unit_test(a_port_whose_project_is_full_refuses),
        cmocka_unit_test(random_rules_and_packets_agree_with_the_naive_evaluator),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
