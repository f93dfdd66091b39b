/* Nanoseconds a frame for each program of the data plane, by BPF_PROG_TEST_RUN:  pipeline ROUNDS RUNS [PART-OF-A-NAME [SLOTS]]
 *
 * Prints JSON: {"rounds": [{"<measurement>": ns, ...}, ...], "connection_bytes": what the kernel says that the table has for each place}.  SLOTS are those of
 * the table of connections; measurements that need more are left out.  Every number is net: of an empty program, and of putting the
 * frame back where the program changed it.  Works in a network namespace of its own, on the loopback device. */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <linux/pkt_cls.h>

#include "fixture-external.h"
#include "weft/base/util.h"
#include "weft/compiler/rule-sets.h"
#include "pipeline.skel.h"
#include "weft/dataplane/weft.skel.h"

struct plan { /* As in pipeline.bpf.c. */
    uint32_t size, n_bytes, n_flows, next, step, mark, priority, to_port;
    uint8_t bytes[128];
};

#define ANY_ACTION (-2)
#define MAX_RULES 1000
#define STEP 7919 /* Connections are begun one after the other, so that they lie in a row, and measured in steps, so that no cache can guess the next one.  A prime. */
#define IFINDEX 1 /* Loopback: the one device of the namespace.  Its address is zero, so frames for it are for the host. */

static struct weft_bpf *weft;
static struct bench_bpf *bench;
static uint32_t n_runs, n_slots = FLOW_SLOTS_DEFAULT;
static struct flow_entry *connections; /* Mapped, as the next. */
static struct flow_heads *heads;

static void die(const char *what)
{
    fprintf(stderr, "pipeline: %s: %s\n", what, strerror(errno));
    exit(1);
}

static int map_fd(const char *name)
{
    return bpf_object__find_map_fd_by_name(weft->obj, name);
}

static void copy_entry(void *key, void *value, void *context)
{
    if (bpf_map_update_elem(map_fd(context), key, value, BPF_ANY))
        die(context);
}

/* The fixture's world, with all its interfaces on the loopback device. */
static void fill(void)
{
    static const char *const hashes[] = {"sources", "networks", "fdb", "learned", "movable", "neighbors", "flood", "peers", "routes", "next_hops",
                                         "floating", "external", "snat_owners", "snat", "gateways"};
    static const char *const arrays[] = {"ports", "hosts", "projects", "router_ports", "settings"};
    struct pipeline *pipeline = fixture_new();
    const uint32_t project = 7, zero = 0, gateway = 5, vni = 20;
    struct uplink_value uplink = {.ifindex = IFINDEX, .vni = vni, .project = project, .mtu = 1500};

    fixture_external(pipeline);
    frame_mac("u", uplink.mac);
    copy_entry(&(struct uplink_key){IFINDEX, 0}, &uplink, "uplinks");
    copy_entry(&(struct uplink_key){UPLINK_BY_VNI, vni}, &uplink, "uplinks");
    struct snat_config *snat = pipeline_lookup(pipeline, "snat", &gateway); /* Names for 49,152 connections to each port outside. */
    snat->n_blocks = 2;
    snat->blocks[0].first = snat->blocks[0].size = 16384;
    snat->blocks[1].first = snat->blocks[1].size = 32768;
    for (uint32_t i = 1; i < 12; i++)
        fixture_port(pipeline, i)->ifindex = IFINDEX;
    fixture_router_port(pipeline, 2)->mtu = fixture_router_port(pipeline, 3)->mtu = 1450; /* As wide as the last: else nothing is kept. */
    for (uint32_t i = 1; i < 4; i++)
        fixture_host(pipeline, i)->ifindex = IFINDEX;
    fixture_port(pipeline, 1)->bum_rate = fixture_port(pipeline, 1)->bum_burst = UINT32_MAX;
    fixture_port(pipeline, 8)->flags &= ~PORT_POLICY; /* Until a measurement says how many rules. */
    struct settings *settings = pipeline_lookup(pipeline, "settings", &zero);
    settings->tunnel_ifindex = IFINDEX;
    for (int i = 0; i < 8; i++)
        settings->timeout_s[i] = 3600;
    struct project_record *limits = pipeline_lookup(pipeline, "projects", &project);
    limits->max_half_open = limits->max_established = 10000000;
    for (size_t i = 0; i < ARRAY_SIZE(hashes); i++)
        pipeline_visit(pipeline, hashes[i], copy_entry, (void *)hashes[i]);
    for (size_t i = 0; i < ARRAY_SIZE(arrays); i++)
        for (uint32_t index = 0; index < (streq(arrays[i], "settings") ? 1 : 16); index++)
            copy_entry(&index, pipeline_lookup(pipeline, arrays[i], &index), (void *)arrays[i]);
    pipeline_free(pipeline);
}

static void empty_map(const char *name)
{
    uint8_t key[64], next[64];
    bool is_last = bpf_map_get_next_key(map_fd(name), NULL, next) != 0;

    while (!is_last) { /* The next one before this one is gone: from nowhere, the kernel would look from the beginning. */
        memcpy(key, next, sizeof(key));
        is_last = bpf_map_get_next_key(map_fd(name), key, next) != 0;
        bpf_map_delete_elem(map_fd(name), key);
    }
}

/* The sweeper would take a dozen seconds to find out. */
static void forget_connections(void)
{
    const uint32_t project = 7;
    struct project_record record = {.max_half_open = 10000000, .max_established = 10000000};

    memset(connections, 0, n_slots * sizeof(*connections));
    memset(heads, 0, n_slots / 2 * sizeof(*heads));
    empty_map("aliases");
    copy_entry((void *)&project, &record, "projects");
}

/* Nanoseconds a run of 'program', directly or behind 'restore'. */
static double run(const struct bpf_program *program, const struct frame *frame, const struct plan *plan, uint32_t repeat, int expected)
{
    static uint8_t out[4096];
    const uint32_t zero = 0;
    int fd = bpf_program__fd(program), start = plan ? bpf_program__fd(bench->progs.restore) : fd;
    struct __sk_buff context = {.ifindex = IFINDEX};
    LIBBPF_OPTS(bpf_test_run_opts, options, .data_in = frame->bytes, .data_size_in = frame->size, .data_out = out,
                .data_size_out = sizeof(out), .ctx_in = &context, .ctx_size_in = sizeof(context), .repeat = repeat);

    if (plan && (bpf_map_update_elem(bpf_map__fd(bench->maps.plans), &zero, plan, BPF_ANY) ||
                 bpf_map_update_elem(bpf_map__fd(bench->maps.under_test), &zero, &fd, BPF_ANY)))
        die("cannot set the plan");
    if (bpf_prog_test_run_opts(start, &options))
        die("cannot run a program");
    if (expected != ANY_ACTION && (int)options.retval != expected) {
        fprintf(stderr, "pipeline: %s ended with action %d, not %d\n", bpf_program__name(program), (int)options.retval, expected);
        exit(1);
    }
    return options.duration;
}

/* Writes the rule set 'set' of 'n' rules, as the compiler orders them, of which only the last fits.  They are what people write: protocol, ports and a
 * prefix. */
static void write_rules(struct pipeline *pipeline, uint32_t set, uint32_t n)
{
    static struct rule rules[MAX_RULES];
    struct rule_sets sets = {0};
    struct rule_set *ordered;

    for (uint32_t i = 0; i < n; i++) {
        rules[i] = (struct rule){.flags = RULE_IPV4 | RULE_PROTOCOL | RULE_PORTS, .protocol = i % 2 ? 6 : 17, .port_min = 1000 + i, .port_max = 1000 + i};
        if (i + 1 == n)
            rules[i] = n == 1 ? (struct rule){.flags = RULE_IPV4} : (struct rule){.flags = rules[i].flags, .protocol = 17, .port_min = 2000, .port_max = 2999};
        else if (i % 3 == 0)
            rules[i] = (struct rule){.flags = RULE_IPV4, .prefix_length = 128, .address = {[10] = 255, 255, 192, 0, 2 + i / 256, i}};
    }
    if (rule_sets_add(&sets, rules, n, &ordered))
        die("rule_sets_add");
    fixture_rules(pipeline, set, ordered->rules, ordered->n);
    rule_sets_clear(&sets);
}

/* The port has no security groups, or such with 'egress' rules for what it sends and 'ingress' for what it is sent (0: nothing passes). */
static void set_policy(uint32_t slot, uint32_t egress, uint32_t ingress)
{
    struct pipeline *pipeline = fixture_new();
    struct port_record record;
    struct port_policy policy = {{egress ? 100 + egress : 0, ingress ? 100 + ingress : 0}};

    pipeline_clear(pipeline, "rules");
    for (int i = 0; i < 2; i++)
        if (policy.rule_set[i])
            write_rules(pipeline, policy.rule_set[i], policy.rule_set[i] - 100);
    pipeline_visit(pipeline, "rules", copy_entry, "rules");
    copy_entry(&slot, &policy, "policies");
    if (bpf_map_lookup_elem(map_fd("ports"), &slot, &record))
        die("ports");
    record.config[record.active].flags &= ~PORT_POLICY;
    if (egress || ingress)
        record.config[record.active].flags |= PORT_POLICY;
    copy_entry(&slot, &record, "ports");
    pipeline_free(pipeline);
}

struct measurement {
    const char *name;
    const char *frame;
    int program;         /* 0 from_workload, 1 from_underlay, 2 to_tunnel, 3 through_neighbor, 4 from_uplink */
    int action;
    bool restores;       /* The program changes the frame. */
    int32_t grows;       /* By how many bytes: what is undone is subtracted. */
    uint32_t n_flows;
    bool misses;         /* Each frame is a new connection: as many runs as flows. */
    uint32_t mark;
    uint32_t n_rules;    /* The port that sends has security groups, and the last of so many rules lets the frame out. */
    uint32_t slot;       /* Who sends; 0: port 1. */
    uint32_t receiver;   /* The slot of a port that has security groups too, with 'n_rules' rules both ways. */
    const char *other;   /* What goes the other way before the clock runs, from 'receiver': the connection is known from both sides. */
    bool is_reply;       /* 'other' opened the connection. */
};

static const struct measurement measurements[] = {
    {"from_workload, to a local port, hit, 1 flow", "A>B ip 10.0.0.1>10.0.0.2 udp 1000>2000 +20", 0, TC_ACT_REDIRECT},
    {"from_workload, to a local port, hit, 100000 flows", "A>B ip 10.0.0.1>10.0.0.2 udp 1000>2000 +20", 0, TC_ACT_REDIRECT, .n_flows = 100000},
    {"from_workload, to a local port, miss", "A>B ip 10.0.0.1>10.0.0.2 udp 1000>2000 +20", 0, TC_ACT_REDIRECT, .n_flows = 100000, .misses = true},
    {"from_workload, to a local port, policy, hit, 1 flow", "A>B ip 10.0.0.1>10.0.0.2 udp 1000>2000 +20", 0, TC_ACT_REDIRECT, .n_rules = 100},
    {"from_workload, to a local port, policy, hit, 100000 flows", "A>B ip 10.0.0.1>10.0.0.2 udp 1000>2000 +20", 0, TC_ACT_REDIRECT,
     .n_flows = 100000, .n_rules = 1},
    {"from_workload, to a local port, miss, 1 rule", "A>B ip 10.0.0.1>10.0.0.2 udp 1000>2000 +20", 0, TC_ACT_REDIRECT, .n_flows = 100000,
     .misses = true, .n_rules = 1},
    {"from_workload, to a local port, miss, 100 rules", "A>B ip 10.0.0.1>10.0.0.2 udp 1000>2000 +20", 0, TC_ACT_REDIRECT, .n_flows = 100000,
     .misses = true, .n_rules = 100},
    {"from_workload, TCP to a local port, policy, hit, 1 flow", "A>B ip 10.0.0.1>10.0.0.2 tcp 1000>2000 A +20", 0, TC_ACT_REDIRECT, .n_rules = 1},
    {"from_workload, TCP to a local port, policy, hit, 100000 flows", "A>B ip 10.0.0.1>10.0.0.2 tcp 1000>2000 A +20", 0, TC_ACT_REDIRECT,
     .n_flows = 100000, .n_rules = 1},
    {"from_workload, UDP, policy, 1000 connections held", "A>B ip 10.0.0.1>10.0.0.2 udp 1000>2000 +20", 0, TC_ACT_REDIRECT, .n_flows = 1000, .n_rules = 1},
    {"from_workload, UDP, policy, 1000000 connections held", "A>B ip 10.0.0.1>10.0.0.2 udp 1000>2000 +20", 0, TC_ACT_REDIRECT, .n_flows = 1000000,
     .n_rules = 1},
    {"from_workload, TCP, policy, 1000 connections held", "A>B ip 10.0.0.1>10.0.0.2 tcp 1000>2000 A +20", 0, TC_ACT_REDIRECT, .n_flows = 1000, .n_rules = 1},
    {"from_workload, TCP, policy, 1000000 connections held", "A>B ip 10.0.0.1>10.0.0.2 tcp 1000>2000 A +20", 0, TC_ACT_REDIRECT, .n_flows = 1000000,
     .n_rules = 1},
    {"from_workload, TCP to a local port, hit, 1 flow", "A>B ip 10.0.0.1>10.0.0.2 tcp 1000>2000 A +20", 0, TC_ACT_REDIRECT},
    {"from_workload, IPv6 to a local port, hit, 1 flow", "A>B ip6 fd01::1>fd01::2 udp 1000>2000 +20", 0, TC_ACT_REDIRECT},
    {"from_workload, to a host, hit, 1 flow", "A>M ip 10.0.0.1>10.0.0.101 udp 1000>2000 +20", 0, TC_ACT_REDIRECT, .restores = true, .grows = 50},
    {"from_workload, to a host, hit, 100000 flows", "A>M ip 10.0.0.1>10.0.0.101 udp 1000>2000 +20", 0, TC_ACT_REDIRECT, .restores = true,
     .grows = 50, .n_flows = 100000},
    {"from_workload, routed to a local port, hit, 1 flow", "A>R ip 10.0.0.1>10.0.1.1 udp 1000>2000 +20", 0, TC_ACT_REDIRECT, .restores = true},
    {"from_workload, routed to a local port, hit, 100000 flows", "A>R ip 10.0.0.1>10.0.1.1 udp 1000>2000 +20", 0, TC_ACT_REDIRECT, .restores = true,
     .n_flows = 100000},
    {"from_workload, switched to a local port, frame restored, hit, 1 flow", "A>B ip 10.0.0.1>10.0.0.2 udp 1000>2000 +20", 0, TC_ACT_REDIRECT,
     .restores = true}, /* What the routed one is to be compared with. */
    {"from_workload, routed to a local port, miss", "A>R ip 10.0.0.1>10.0.1.1 udp 1000>2000 +20", 0, TC_ACT_REDIRECT, .restores = true,
     .n_flows = 100000, .misses = true},
    {"from_workload, routed by two routers, hit, 1 flow", "A>R ip 10.0.0.1>10.0.2.1 udp 1000>2000 +20", 0, TC_ACT_REDIRECT, .restores = true},
    {"from_workload, routed by two routers, miss", "A>R ip 10.0.0.1>10.0.2.1 udp 1000>2000 +20", 0, TC_ACT_REDIRECT, .restores = true,
     .n_flows = 100000, .misses = true},
    {"from_workload, IPv6 routed to a local port, hit, 1 flow", "A>R ip6 fd01::1>fd02::1 udp 1000>2000 +20", 0, TC_ACT_REDIRECT, .restores = true},
    {"from_workload, echo answered by a router", "A>R ip 10.0.0.1>10.0.0.254 icmp 8 7 +56", 0, TC_ACT_REDIRECT, .restores = true},
    {"from_workload, ARP answered", "A>* arp request A 10.0.0.1 10.0.0.2", 0, TC_ACT_REDIRECT, .restores = true},
    {"from_workload, spoofed, dropped", "A>B ip 10.0.0.9>10.0.0.2 udp 1000>2000 +20", 0, TC_ACT_SHOT},
    {"from_workload, to a local port, miss, 1000 rules", "A>B ip 10.0.0.1>10.0.0.2 udp 1000>2000 +20", 0, TC_ACT_REDIRECT, .n_flows = 100000,
     .misses = true, .n_rules = 1000},
    {"from_workload, to a local port, 1000 rules, hit, 1 flow", "A>B ip 10.0.0.1>10.0.0.2 udp 1000>2000 +20", 0, TC_ACT_REDIRECT, .n_rules = 1000},
    {"from_workload, to a local port, 1 rule, hit, 1 flow", "A>B ip 10.0.0.1>10.0.0.2 udp 1000>2000 +20", 0, TC_ACT_REDIRECT, .n_rules = 1},
    {"from_workload, policy at both ports, hit, 1 flow", "A>H ip 10.0.0.1>10.0.0.8 udp 1000>2000 +20", 0, TC_ACT_REDIRECT, .n_rules = 100,
     .receiver = 8, .other = "H>A ip 10.0.0.8>10.0.0.1 udp 2000>1000 +20"},
    {"from_workload, policy at both ports, reply, 1 flow", "H>A ip 10.0.0.8>10.0.0.1 udp 2000>1000 +20", 0, TC_ACT_REDIRECT, .n_rules = 100,
     .slot = 8, .receiver = 1, .other = "A>H ip 10.0.0.1>10.0.0.8 udp 1000>2000 +20", .is_reply = true},
    {"from_workload, policy at both ports, hit, 100000 flows", "A>H ip 10.0.0.1>10.0.0.8 udp 1000>2000 +20", 0, TC_ACT_REDIRECT, .n_rules = 100,
     .receiver = 8, .n_flows = 100000},
    {"from_workload, policy at both ports, miss", "A>H ip 10.0.0.1>10.0.0.8 udp 1000>2000 +20", 0, TC_ACT_REDIRECT, .n_rules = 100,
     .receiver = 8, .n_flows = 100000, .misses = true},
    {"from_workload, SNAT to outside, hit, 1 flow", "A>R ip 10.0.0.1>198.18.0.1 udp 1000>2000 +20", 0, TC_ACT_REDIRECT, .restores = true},
    {"from_workload, SNAT to outside, hit, 100000 flows", "A>R ip 10.0.0.1>198.18.0.1 udp 1000>2000 +20", 0, TC_ACT_REDIRECT, .restores = true,
     .n_flows = 100000},
    {"from_workload, SNAT to outside, miss", "A>R ip 10.0.0.1>198.18.0.1 udp 1000>2000 +20", 0, TC_ACT_REDIRECT, .restores = true,
     .n_flows = 100000, .misses = true},
    {"from_workload, floating IP to outside, hit, 1 flow", "B>R ip 10.0.0.2>198.18.0.1 udp 1000>2000 +20", 0, TC_ACT_REDIRECT, .restores = true,
     .slot = 2},
    {"from_workload, floating IP to outside, miss", "B>R ip 10.0.0.2>198.18.0.1 udp 1000>2000 +20", 0, TC_ACT_REDIRECT, .restores = true,
     .n_flows = 100000, .misses = true, .slot = 2},
    {"from_uplink, to a floating IP, hit, 1 flow", "x>u ip 198.18.0.1>203.0.113.12 udp 1000>2000 +20", 4, TC_ACT_REDIRECT, .restores = true},
    {"from_uplink, to a floating IP, hit, 100000 flows", "x>u ip 198.18.0.1>203.0.113.12 udp 1000>2000 +20", 4, TC_ACT_REDIRECT,
     .restores = true, .n_flows = 100000},
    {"from_uplink, to a floating IP, miss", "x>u ip 198.18.0.1>203.0.113.12 udp 1000>2000 +20", 4, TC_ACT_REDIRECT, .restores = true,
     .n_flows = 100000, .misses = true},
    {"from_uplink, the host's own traffic", "x>u ip 198.18.0.1>203.0.113.99 tcp 999>22 A", 4, TC_ACT_UNSPEC},
    {"from_underlay, to a port", "outer 192.0.2.2>192.0.2.1 7 0 M>A ip 10.0.0.101>10.0.0.1 udp 1000>2000 +20", 1, TC_ACT_REDIRECT,
     .restores = true, .grows = -50},
    {"from_underlay, the host's own traffic", "O>H ip 192.0.2.9>192.0.2.1 tcp 999>22 A", 1,
     TC_ACT_UNSPEC}, /* The next program's, which is the uplink's where the device is both. */
    {"from_underlay, to a port with 100 rules, hit", "outer 192.0.2.2>192.0.2.1 7 0 M>H ip 10.0.0.101>10.0.0.8 udp 1000>2000 +20", 1,
     TC_ACT_REDIRECT, .restores = true, .grows = -50, .n_rules = 100, .receiver = 8},
    {"to_tunnel, a flooded copy", "A>01:00:5e:01:02:03 ip 10.0.0.1>224.1.2.3 udp 1000>2000 +20", 2, TC_ACT_REDIRECT, .restores = true, .grows = 50,
     .mark = 0x57e00001},
    {"through_neighbor", "O>H ip 192.0.2.1>192.0.2.2 udp 1000>2000 +60", 3, TC_ACT_REDIRECT, .restores = true, .mark = 0x57e00001},
};

static void run_from(uint32_t slot, const struct bpf_program *program, const struct frame *frame, const struct plan *plan, uint32_t repeat)
{
    const uint32_t ifindex = IFINDEX;

    copy_entry((void *)&ifindex, &slot, "interfaces");
    run(program, frame, plan, repeat, ANY_ACTION);
}

/* Every connection has its entry before the clock runs, and is established. */
static void warm_up(const struct measurement *measurement, const struct bpf_program *program, const struct frame *frame, const struct plan *plan)
{
    uint32_t slot = measurement->slot ?: 1;
    struct frame other;

    if (measurement->n_flows)
        for (int i = 0; i < 4; i++)
            run_from(slot, program, frame, plan, measurement->n_flows);
    if (!measurement->other) {
        run_from(slot, program, frame, plan, measurement->n_flows ? 1 : 100);
        return;
    }
    frame_parse(measurement->other, &other);
    if (!measurement->is_reply)
        run_from(slot, program, frame, plan, 1);
    for (int i = 0; i < 2; i++) {
        run_from(measurement->receiver, program, &other, NULL, 1);
        run_from(slot, program, frame, plan, 1);
    }
}

static double measure(const struct measurement *measurement)
{
    const struct bpf_program *programs[] = {weft->progs.from_workload, weft->progs.from_underlay, weft->progs.to_tunnel,
                                            weft->progs.through_neighbor, weft->progs.from_uplink};
    const struct bpf_program *program = programs[measurement->program];
    struct frame frame;
    struct plan plan = {.mark = measurement->mark, .priority = measurement->mark ? 7 : 0, .n_flows = measurement->n_flows, .next = 1, .step = 1, .to_port = 2000};
    bool direct = !measurement->restores && !measurement->n_flows && !measurement->mark;
    uint32_t repeat = measurement->misses ? measurement->n_flows : MAX(n_runs, measurement->n_flows);
    double cost, base, undo = 0;

    set_policy(measurement->slot ?: 1, measurement->n_rules, measurement->receiver ? measurement->n_rules : 0);
    if (measurement->receiver)
        set_policy(measurement->receiver, measurement->n_rules, measurement->n_rules);
    frame_parse(measurement->frame, &frame);
    if (measurement->program == 1)
        memset(frame.bytes, 0, 6); /* The loopback device's own address. */
    plan.size = frame.size;
    if (measurement->restores) {
        plan.n_bytes = MIN(frame.size, (uint32_t)sizeof(plan.bytes));
        memcpy(plan.bytes, frame.bytes, plan.n_bytes);
    }
    forget_connections();
    if (measurement->misses)
        run_from(measurement->slot ?: 1, bench->progs.empty, &frame, NULL, 1);
    else
        warm_up(measurement, program, &frame, direct ? NULL : &plan);
    plan.step = measurement->misses ? 1 : STEP;
    base = run(bench->progs.empty, &frame, direct ? NULL : &plan, n_runs, TC_ACT_STOLEN);
    cost = run(program, &frame, direct ? NULL : &plan, repeat, measurement->action);
    if (measurement->grows)
        undo = (run(bench->progs.grow, &frame, &plan, n_runs, TC_ACT_STOLEN) - base) / 2;
    if (measurement->receiver)
        set_policy(measurement->receiver, 0, 0);
    return cost - base - undo;
}

/* What the kernel has for a map, in bytes. */
static double map_bytes(const char *name)
{
    char path[64], line[128];
    unsigned long long n = 0;

    snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", map_fd(name));
    FILE *file = fopen(path, "re");
    while (file && fgets(line, sizeof(line), file) && sscanf(line, "memlock: %llu", &n) != 1)
        ;
    if (file)
        fclose(file);
    return n;
}

static void *map_array(const char *name, size_t size)
{
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, map_fd(name), 0);

    if (memory == MAP_FAILED)
        die(name);
    return memory;
}

static void load_programs(void)
{
    static const char *const sized[] = {"connections", "aliases"};

    weft = weft_bpf__open();
    for (size_t i = 0; weft && i < ARRAY_SIZE(sized); i++)
        bpf_map__set_max_entries(bpf_object__find_map_by_name(weft->obj, sized[i]), n_slots);
    if (weft) {
        bpf_map__set_max_entries(weft->maps.flow_heads, n_slots / 2);
        weft->rodata->flow_n_slots = n_slots;
    }
    bench = bench_bpf__open_and_load();
    if (!weft || !bench || weft_bpf__load(weft))
        die("cannot load the programs");
    connections = map_array("connections", n_slots * sizeof(*connections));
    heads = map_array("flow_heads", n_slots / 2 * sizeof(*heads));
}

int main(int argc, char **argv)
{
    uint32_t n_rounds = argc > 1 ? strtoul(argv[1], NULL, 0) : 5;

    n_runs = argc > 2 ? strtoul(argv[2], NULL, 0) : 300000;
    n_slots = argc > 4 ? strtoul(argv[4], NULL, 0) : FLOW_SLOTS_DEFAULT;
    if (unshare(CLONE_NEWNET))
        die("cannot make a network namespace");
    if (system("ip link set lo up"))
        die("cannot bring up the loopback device");
    libbpf_set_strict_mode(LIBBPF_STRICT_ALL);
    load_programs();
    fill();
    printf("{\"rounds\": [");
    for (uint32_t round = 0; round < n_rounds; round++) {
        printf("%s\n {", round ? "," : "");
        const char *comma = "";
        for (size_t i = 0; i < ARRAY_SIZE(measurements); i++)
            if (measurements[i].n_flows < n_slots && (argc < 4 || strstr(measurements[i].name, argv[3]))) {
                printf("%s\"%s\": %.1f", comma, measurements[i].name, measure(&measurements[i]));
                comma = ", ";
            }
        printf("}");
    }
    printf("\n], \"connection_bytes\": %.0f}\n", (map_bytes("connections") + map_bytes("flow_heads")) / n_slots);
    bench_bpf__destroy(bench);
    weft_bpf__destroy(weft);
    return 0;
}
