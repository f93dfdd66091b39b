/* Nanoseconds a packet of the director's program by BPF_PROG_TEST_RUN, and the memory of its tables:  bench-director ROUNDS RUNS
 *
 * Prints JSON: {"rounds": [{"<measurement>": ns, ...}, ...], "bytes": of tables for 10,000 services and 64,000 servers}.  Every number is
 * net: of an empty program, and of putting the frame back where the program changed it.  Works in a network namespace of its own. */
#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <linux/bpf.h>

#include "director-bench.skel.h"
#include "frames.h"
#include "weft/base/clock.h"
#include "weft/base/util.h"
#include "weft/director/load.h"

#define RESTORED 64

struct plan { /* As in director.bpf.c. */
    uint32_t size, n_flows, next, growth;
    uint8_t bytes[RESTORED];
};

#define N_SERVERS 16
#define N_ROWS 4093

static struct lb_tables *tables;
static struct director_bench *bench;
static uint32_t n_runs, ifindex;

static void die(const char *what)
{
    fprintf(stderr, "bench-director: %s: %s\n", what, strerror(errno));
    exit(1);
}

static void command(const char *text)
{
    if (system(text) != 0)
        die(text);
}

/* One interface, of which every server is a neighbor that needs no asking. */
static void make_network(void)
{
    if (unshare(CLONE_NEWNET) < 0)
        die("a network namespace");
    command("ip link set lo up && ip link add e0 type veth peer name e1 && ip link set e0 up && ip link set e1 up && "
            "ip addr add 10.0.0.200/24 dev e0 && ip addr add 2001:db8::c8/64 dev e0 nodad && "
            "echo 1 > /proc/sys/net/ipv4/conf/e0/forwarding && echo 1 > /proc/sys/net/ipv6/conf/e0/forwarding && "
            "for i in $(seq 1 16); do ip neigh replace 10.0.0.$i lladdr 02:00:00:00:00:01 dev e0; "
            "ip -6 neigh replace 2001:db8::$i lladdr 02:00:00:00:00:01 dev e0; done");
    ifindex = if_nametoindex("e0");
}

static void make_tables(void)
{
    struct lb_sizes sizes = {.n_services = 64, .n_servers = 256, .n_blocks = 64, .n_members = 256, .n_marks = 64};
    struct error error = {0};

    if (lb_tables_open(&sizes, NULL, &tables, &error) < 0) {
        fprintf(stderr, "bench-director: %s\n", error.message);
        exit(1);
    }
    for (uint32_t i = 0; i < N_SERVERS; i++)
        tables->members[i].server = i;
}

/* Everything goes to the servers of that method. */
static void set_method(enum lb_method method, uint32_t flags, bool outer6, const char *vip, uint8_t protocol, bool has_chain)
{
    static uint32_t generation;
    struct lb_service service = {.key = {.port = htons(80), .protocol = protocol}, .generation = ++generation,
                                 .flags = LB_HASH_SOURCE | LB_HASH_SOURCE_PORT | flags, .schedule = LB_SCHEDULE_HASH, .n_rows = N_ROWS,
                                 .n_members = N_SERVERS};

    for (uint32_t i = 0; i < N_SERVERS; i++) {
        struct lb_server server = {.generation = ++generation, .method = method, .dscp = 5, .vni = 77,
                                   .tunnel_port = htons(method == LB_METHOD_GUE ? 6080 : 4789), .overhead = 70};
        char text[40];

        snprintf(text, sizeof(text), outer6 ? "2001:db8::%u" : "10.0.0.%u", i + 1);
        frame_address(text, server.address);
        frame_address(outer6 ? "2001:db8::c8" : "10.0.0.200", server.source);
        server.flags = has_chain ? LB_SERVER_SECOND_CHANCE : 0;
        lb_write_server(tables, i, &server);
    }
    for (uint32_t row = 0; row < N_ROWS; row++)
        lb_write_row(tables, 0, row, has_chain ? (struct lb_row){(uint16_t)(row % N_SERVERS), {(uint16_t)((row + 1) % N_SERVERS), (uint16_t)((row + 2) % N_SERVERS),
                                                                                               (uint16_t)((row + 3) % N_SERVERS)}}
                                               : LB_ROW_OF(row % N_SERVERS));
    tables->settings->chain_port = htons(6080);
    frame_address(vip, service.key.address);
    lb_write_service(tables, 0, &service);
    if (lb_put_key(tables, &service.key, 0) < 0)
        die("the service");
}

/* Nanoseconds of 'restore' with what it tail-calls; the least of three, since whoever else wants the CPU only ever adds. */
static double run(int program, const struct frame *frame, const struct plan *plan, int expected)
{
    static uint8_t out[4096];
    uint32_t zero = 0, best = UINT32_MAX;
    int fd = program, action = 0;

    if (bpf_map_update_elem(bpf_map__fd(bench->maps.under_test), &zero, &fd, BPF_ANY) < 0)
        die("a tail call");
    for (int i = 0; i < 3; i++) {
        struct xdp_md context = {.data_end = frame->size, .ingress_ifindex = ifindex};
        LIBBPF_OPTS(bpf_test_run_opts, options, .data_in = frame->bytes, .data_size_in = frame->size, .data_out = out, .data_size_out = sizeof(out),
                    .repeat = (int)n_runs, .ctx_in = &context, .ctx_size_in = sizeof(context));
        if (bpf_map_update_elem(bpf_map__fd(bench->maps.plans), &zero, plan, BPF_ANY) < 0 ||
            bpf_prog_test_run_opts(bpf_program__fd(bench->progs.restore), &options) < 0)
            die("a run");
        best = MIN(best, options.duration);
        action = (int)options.retval;
    }
    if (action != expected) {
        fprintf(stderr, "bench-director: the program says %d, not %d\n", action, expected);
        exit(1);
    }
    return best;
}

static void measure(const char *name, bool first, const char *text, enum lb_method method, uint32_t flags, bool outer6, uint32_t n_flows, uint32_t growth,
                    bool has_chain)
{
    struct frame frame;
    struct plan plan = {.n_flows = n_flows, .growth = growth};
    double still, grown, whole;

    frame_parse(text, &frame);
    set_method(method, flags, outer6, strchr(text, ':') ? "2001:db8:5::1" : "192.0.2.1", strstr(text, "tcp") ? IPPROTO_TCP : IPPROTO_UDP, has_chain);
    plan.size = frame.size;
    memcpy(plan.bytes, frame.bytes, RESTORED);
    still = run(bpf_program__fd(bench->progs.empty), &frame, &plan, XDP_DROP);
    grown = growth ? run(bpf_program__fd(bench->progs.grow), &frame, &plan, XDP_DROP) : still;
    whole = run(tables->program_fd, &frame, &plan, method == LB_METHOD_NONE ? XDP_PASS : XDP_TX);
    /* 'grow' moves the head as the program does, which counts, and 'restore' moves it back, which does not. */
    printf("%s\"%s, %u flow%s\": %.1f", first ? "" : ", ", name, n_flows, n_flows > 1 ? "s" : "", whole - grown + (grown - still) / 2);
}

static void measure_all(void)
{
    static const char in4[] = "C>D ip 203.0.113.7>192.0.2.1 udp 4000>80 +22";
    static const char tcp4[] = "C>D ip 203.0.113.7>192.0.2.1 tcp 4000>80 A +10";
    static const char in6[] = "C>D ip6 2001:db8:c::7>2001:db8:5::1 udp 4000>80 +22";
    static const struct {
        const char *name, *in;
        enum lb_method method;
        bool outer6;
        uint32_t growth, flags;
        bool has_chain;
    } cases[] = {
        {"direct", in4, LB_METHOD_DIRECT, false, 0}, {"l3dsr", in4, LB_METHOD_L3DSR, false, 0},
        {"ipip", in4, LB_METHOD_IPIP, false, 20},    {"gue", in4, LB_METHOD_GUE, false, 32},
        {"gre", in4, LB_METHOD_GRE, false, 24},      {"vxlan", in4, LB_METHOD_VXLAN, false, 50},
        {"ipip, IPv6 in IPv6", in6, LB_METHOD_IPIP, true, 40},
        {"direct, remembered", in4, LB_METHOD_DIRECT, false, 0, LB_TRACK},
        {"a chain of three owners before", tcp4, LB_METHOD_DIRECT, false, 48, 0, true},
    };
    bool first = true;

    printf("{");
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        measure(cases[i].name, first, cases[i].in, cases[i].method, cases[i].flags, cases[i].outer6, 1, cases[i].growth, cases[i].has_chain);
        first = false;
        if (cases[i].in != in6)
            measure(cases[i].name, false, cases[i].in, cases[i].method, cases[i].flags, cases[i].outer6, 100000, cases[i].growth, cases[i].has_chain);
    }
    printf("}");
}

/* What the kernel has set aside for this process's maps. */
static unsigned long long map_bytes(void)
{
    unsigned long long sum = 0;
    char path[64], line[128];

    for (int fd = 0; fd < 256; fd++) {
        FILE *info;
        unsigned long long bytes;
        bool is_map = false;

        snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
        info = fopen(path, "re");
        while (info && fgets(line, sizeof(line), info)) {
            is_map |= strncmp(line, "map_type:", 9) == 0;
            if (is_map && sscanf(line, "memlock: %llu", &bytes) == 1)
                sum += bytes;
        }
        if (info)
            fclose(info);
    }
    return sum;
}

/* 10,000 services with 64,000 servers together: six or seven each, as applied_sizes has room for them. */
static unsigned long long large_bytes(void)
{
    struct lb_sizes sizes = {.n_services = 12580, .n_servers = 80320, .n_blocks = 51280, .n_members = 160512, .n_marks = 64};
    unsigned long long before = map_bytes();
    struct lb_tables *large;
    struct error error = {0};

    if (lb_tables_open(&sizes, NULL, &large, &error) < 0) {
        fprintf(stderr, "bench-director: %s\n", error.message);
        exit(1);
    }
    before = map_bytes() - before;
    lb_tables_close(large);
    return before;
}

#define N_CONNECTIONS (4u << 20)

/* As the other one of a pair tells them; begun the ordinary way they take the same places. */
static void fill_connections(struct lb_tables *filled)
{
    struct lb_server server = {.method = LB_METHOD_IPIP, .incarnation = 1};
    struct lb_conn conn = {.key = {.address = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 192, 0, 2, 1}, .port = htons(80), .protocol = IPPROTO_TCP},
                           .state = LB_CONN_ESTABLISHED, .incarnation = 1};

    lb_write_server(filled, 0, &server);
    filled->settings->tcp_s = 900;
    memset(conn.key.client + 10, 0xff, 2);
    for (uint32_t i = 0; i < N_CONNECTIONS; i++) {
        conn.key.client_port = (uint16_t)i;
        memcpy(conn.key.client + 12, &i, sizeof(i));
        conn.last_seen = (uint32_t)(clock_monotonic_ns() >> LB_TIME_SHIFT);
        if (lb_take_connection(filled, &conn) < 0)
            die("connections");
    }
    if (lb_read_connections(filled) != N_CONNECTIONS)
        die("connections that are there");
}

/* What 4 Mi connections take of the kernel's maps, once all are there. */
static unsigned long long connections_bytes(void)
{
    struct lb_sizes sizes = {.n_services = 64, .n_servers = 256, .n_blocks = 64, .n_members = 256, .n_marks = 64, .n_connections = N_CONNECTIONS};
    unsigned long long before = map_bytes();
    struct lb_tables *filled;
    struct error error = {0};

    if (lb_tables_open(&sizes, NULL, &filled, &error) < 0) {
        fprintf(stderr, "bench-director: %s\n", error.message);
        exit(1);
    }
    fill_connections(filled);
    before = map_bytes() - before;
    lb_tables_close(filled);
    return before;
}

int main(int argc, char **argv)
{
    unsigned n_rounds = argc > 1 ? (unsigned)strtoul(argv[1], NULL, 10) : 1;

    n_runs = argc > 2 ? (uint32_t)strtoul(argv[2], NULL, 10) : 300000;
    make_network();
    bench = director_bench__open_and_load();
    if (!bench)
        die("the measuring programs");
    make_tables();
    printf("{\"rounds\": [");
    for (unsigned i = 0; i < n_rounds; i++) {
        printf("%s", i ? ", " : "");
        measure_all();
    }
    printf("], \"bytes\": %llu", large_bytes());
    printf(", \"connections\": {\"bytes\": %llu, \"n\": %u}}\n", connections_bytes(), N_CONNECTIONS);
    lb_tables_close(tables);
    director_bench__destroy(bench);
    return 0;
}
