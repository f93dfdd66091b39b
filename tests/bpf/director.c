/* The director's program in the kernel and its native build agree: random packets over one and the same tables, by BPF_PROG_TEST_RUN and in
 * memory; what becomes of each, byte for byte, and afterwards drops, counters and connections.  In the end two CPUs work on one table (director-race.h).
 *
 * director [N [SEED]]: N packets.  Works in a network namespace of its own. */
#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/bpf.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "director-race.h"
#include "weft/base/util.h"
#include "weft/director/load.h"
#include "world.h"

#define N_SERVERS 6

static const enum lb_method methods[] = {LB_METHOD_DIRECT, LB_METHOD_IPIP, LB_METHOD_GUE, LB_METHOD_GRE, LB_METHOD_VXLAN, LB_METHOD_L3DSR, LB_METHOD_NAT,
                                          LB_METHOD_FULL_NAT};
static struct world world;
static struct lb_tables *tables;
static uint32_t ifindex;
static unsigned n_done[8]; /* By what became of them: XDP_*. */

static void fail(const char *what)
{
    fprintf(stderr, "director: %s\n", what);
    exit(1);
}

static void command(const char *text)
{
    if (system(text) != 0)
        fail(text);
}

static void make_network(void)
{
    if (unshare(CLONE_NEWNET) < 0)
        fail(strerror(errno));
    command("ip link set lo up && ip link add name e0 address 02:00:00:00:00:53 type veth peer name e1 && ip link set e0 up && ip link set e1 up && "
            "ip addr add 10.0.0.200/24 dev e0 && ip -6 addr add 2001:db8::c8/64 dev e0 nodad && ip route add 203.0.113.0/24 via 10.0.0.201 && "
            "ip -6 route add 2001:db8:c::/48 via 2001:db8::c9 && "
            "echo 1 > /proc/sys/net/ipv4/conf/e0/forwarding && echo 1 > /proc/sys/net/ipv6/conf/e0/forwarding && "
            "for i in 1 2 3 4 5 6 201; do ip neigh replace 10.0.0.$i lladdr 02:00:00:00:00:52 dev e0; done && "
            "for i in 1 2 3 4 5 6 c9; do ip -6 neigh replace 2001:db8::$i lladdr 02:00:00:00:00:52 dev e0; done");
    ifindex = if_nametoindex("e0");
}

static void route(const char *address)
{
    struct native_route way = world_route(address);

    way.ifindex = ifindex;
    native_director_route(world.native, &way);
}

/* Service 5, by mark: the ports 81 to 85 of 192.0.2.6 and .7, and what comes from 203.0.113.2. */
static void make_marks(void)
{
    struct lb_service *service = world_service(&world, 5, "192.0.2.255", 0, 0);
    struct lb_mark_key prefix = {.length = 127};
    struct lb_mark_list list = {3, 2};
    struct lb_mark_rule *rules = (struct lb_mark_rule *)world_place(&world, NATIVE_LB_mark_rules, 0) + 3;
    struct lb_key_value value = {5};

    service->key = (struct lb_key){.mark = 9};
    service->schedule = LB_SCHEDULE_TURN;
    service->half_open_limit = 1000;
    service->flags |= LB_TRACK | LB_PERSISTENT;
    service->persistence_s = 300;
    memset(service->persistence_mask, 0xff, 16);
    world_members(&world, 5, 16, N_SERVERS); /* Those of service 2. */
    frame_address("192.0.2.6", prefix.destination);
    rules[0] = (struct lb_mark_rule){.mark = 9, .protocol = IPPROTO_TCP, .source_max = UINT16_MAX, .destination_min = 81, .destination_max = 85};
    rules[1] = (struct lb_mark_rule){.mark = 9, .source_max = UINT16_MAX, .destination_max = UINT16_MAX};
    frame_address("203.0.113.2", rules[1].source);
    memset(rules[1].source_mask, 0xff, 16);
    native_map_update(native_director_map(world.native, NATIVE_LB_mark_places), &prefix, &list, false);
    native_map_update(native_director_map(world.native, NATIVE_LB_keys), &service->key, &value, false);
    world_settings(&world)->has_marks = 1;
}

/* Some of the hash service's servers have agents, some of its rows had other owners. */
static void make_history(uint32_t number)
{
    struct lb_rows *rows = world_place(&world, NATIVE_LB_rows, number);

    for (uint32_t i = 0; i < N_SERVERS; i++) {
        struct lb_server_record *record = world_place(&world, NATIVE_LB_servers, number * 8 + i);

        record->copy[record->active].flags |= rand() % 4 ? LB_SERVER_SECOND_CHANCE : 0;
    }
    for (uint32_t row = 0; row < LB_ROWS_BLOCK; row++)
        for (int i = 0, n = rand() % (LB_PREVIOUS + 1); i < n; i++)
            rows->row[row].previous[i] = (uint16_t)((unsigned)rand() % (N_SERVERS + 1)); /* A position may be nobody's. */
    world_settings(&world)->chain_port = htons(6080);
}

/* Services 0 to 3: hash of TCP, IPv4 and IPv6; turns and load of TCP, IPv4; 4: persistent, for every port, by locality; 6: SCTP, by a locality's set; each with servers of every method
 * that comes by chance. */
static void make_world(void)
{
    static const char *const addresses[] = {"192.0.2.1", "2001:db8:5::1", "192.0.2.3", "192.0.2.4", "192.0.2.5", NULL, "192.0.2.8"};
    static const enum lb_schedule schedules[] = {LB_SCHEDULE_HASH, LB_SCHEDULE_HASH, LB_SCHEDULE_TURN, LB_SCHEDULE_WLC, LB_SCHEDULE_LBLC, LB_SCHEDULE_NONE, LB_SCHEDULE_LBLCR};

    for (uint32_t s = 0; s < ARRAY_SIZE(schedules); s++) {
        if (!addresses[s])
            continue;
        struct lb_service *service = world_service(&world, s, addresses[s], s == 4 ? 0 : 80,
                                                   s == 2 ? IPPROTO_UDP : s == 6 ? IPPROTO_SCTP : IPPROTO_TCP);

        service->schedule = schedules[s];
        service->half_open_limit = 1000;
        for (uint32_t i = 0; i < N_SERVERS; i++) {
            bool tracked = schedules[s] != LB_SCHEDULE_HASH;
            enum lb_method method = methods[(unsigned)rand() % (ARRAY_SIZE(methods) - 2 * !tracked)];
            bool v6 = method == LB_METHOD_DIRECT || method == LB_METHOD_L3DSR || method == LB_METHOD_NAT || method == LB_METHOD_FULL_NAT ? s == 1 : rand() & 1;
            struct lb_server *server;
            char text[40];

            snprintf(text, sizeof(text), v6 ? "2001:db8::%u" : "10.0.0.%u", i + 1);
            server = world_server(&world, s * 8 + i, text, method);
            server->flags = rand() & 1 ? LB_SERVER_CHECKSUM | (rand() & 1 ? LB_SERVER_REMOTE_CHECKSUM : 0) : 0;
            server->dscp = 11;
            server->vni = 77;
            if (s == 3 || s == 6)
                *world_load(&world, s * 8 + i) = (struct lb_server_load){.upper = 1 + (unsigned)rand() % 4, .lower = rand() & 1};
            server->port = method >= LB_METHOD_NAT ? htons((uint16_t)(8000 + s)) : 0;
            route(text);
        }
        if (rand() & 1)
            service->flags |= LB_CLAMP_MSS;
        world_members(&world, s, s * 8, N_SERVERS);
        service->n_members = N_SERVERS;
        if (s < 2)
            make_history(s);
        if (s == 4) {
            service->flags |= LB_TRACK | LB_PERSISTENT;
            service->persistence_s = 300;
            memset(service->persistence_mask, 0xff, 15);
            service->persistence_mask[15] = 0xfe;
        }
    }
    world_settings(&world)->has_any_port = 1;
    make_marks();
    frame_address("10.0.0.200", ((struct lb_local *)world_place(&world, NATIVE_LB_locals, 3))->address);
    ((struct lb_local *)world_place(&world, NATIVE_LB_locals, 0))->given[0] = 3;
    world_settings(&world)->n_locals[0] = 1;
    world_settings(&world)->secret = (uint32_t)rand();
    for (unsigned client = 1; client < 20; client++) {
        char text[40];

        snprintf(text, sizeof(text), "203.0.113.%u", client);
        route(text);
    }
}

static void put_key(void *key, void *value, void *context)
{
    if (lb_put_key(tables, key, ((struct lb_key_value *)value)->service) < 0)
        fail("a key");
}

static void put_marks(void *key, void *value, void *context)
{
    if (lb_put_marks(tables, key, *(struct lb_mark_list *)value) < 0)
        fail("a list of marks");
}

static void *array(enum native_lb_map map)
{
    return native_director_map(world.native, map)->array;
}

static void copy_to_kernel(void)
{
    struct lb_sweeper record = {.is_running = 1}; /* As it says; so that no timer ends in the kernel what in memory nobody ends. */
    uint32_t zero = 0;

    if (bpf_map_update_elem(tables->sweeper_fd, &zero, &record, BPF_ANY) < 0)
        fail("the sweeper");
    memcpy(tables->services, array(NATIVE_LB_services), WORLD_SIZE * sizeof(*tables->services));
    memcpy(tables->rows, array(NATIVE_LB_rows), WORLD_SIZE * sizeof(*tables->rows));
    memcpy(tables->locals, array(NATIVE_LB_locals), LB_LOCALS * sizeof(*tables->locals));
    memcpy(tables->mark_rules, array(NATIVE_LB_mark_rules), WORLD_SIZE * sizeof(*tables->mark_rules));
    native_map_visit(native_director_map(world.native, NATIVE_LB_mark_places), put_marks, NULL);
    memcpy(tables->members, array(NATIVE_LB_members), WORLD_SIZE * sizeof(*tables->members));
    memcpy(tables->server_load, array(NATIVE_LB_server_load), WORLD_SIZE * sizeof(*tables->server_load));
    memcpy(tables->servers, array(NATIVE_LB_servers), WORLD_SIZE * sizeof(*tables->servers));
    ((struct lb_settings *)array(NATIVE_LB_settings))->icmp_rate = UINT32_MAX;
    memcpy(tables->settings, array(NATIVE_LB_settings), sizeof(*tables->settings));
    native_map_visit(native_director_map(world.native, NATIVE_LB_keys), put_key, NULL);
}

static bool is_mangled; /* The frame has a bit that is another, maybe a client to which memory has no route. */
static char last_local[2][200]; /* An answer to what full NAT sent last, and an error about it. */

static void note_local(const uint8_t *frame, size_t size)
{
    static const uint8_t local[] = {10, 0, 0, 200};
    const char *name = frame[23] == IPPROTO_TCP ? "tcp" : frame[23] == IPPROTO_UDP ? "udp" : "sctp";
    unsigned ports[2];

    if (size < 38 || frame[12] != 8 || frame[14] != 0x45 || memcmp(frame + 26, local, 4) != 0 || frame[23] == IPPROTO_ICMP || frame[20] & 0x3f || frame[21])
        return;
    ports[0] = (unsigned)frame[34] << 8 | frame[35];
    ports[1] = (unsigned)frame[36] << 8 | frame[37];
    snprintf(last_local[0], 200, "R>S ip 10.0.0.%u>10.0.0.200 %s %u>%u %s", frame[33], name, ports[1], ports[0], frame[23] == IPPROTO_TCP ? "A" : "+8");
    snprintf(last_local[1], 200, "R>S ip 10.0.0.99>10.0.0.200 icmp 3 3 quote ip 10.0.0.200>10.0.0.%u %s %u>%u %s", frame[33], name, ports[0], ports[1],
             frame[23] == IPPROTO_TCP ? "A" : "+8");
}

static const char *quoted_text(unsigned port)
{
    static char text[60];

    snprintf(text, sizeof(text), rand() & 1 ? "tcp %u>8003 A" : rand() & 1 ? "udp %u>8002 +4" : "sctp %u>8006", port);
    return text;
}

/* A packet of a few clients, so that connections are met again; sometimes broken. */
static void random_frame(struct frame *frame, char text[200])
{
    static const char *const flags[] = {"S", "A", "FA", "R", "A", "A"};
    unsigned client = 1 + (unsigned)rand() % 3, port = 1000 + (unsigned)rand() % 8, kind = (unsigned)rand() % 17;
    const char *flag = flags[(unsigned)rand() % ARRAY_SIZE(flags)];
    unsigned size = rand() % 4 ? (unsigned)rand() % 64 : (unsigned)rand() % 1460;
    const char *ttl = rand() % 10 ? "" : "ttl=1 ", *whole = rand() % 3 ? "df " : "";

    if (kind < 4)
        snprintf(text, 200, "C>S ip 203.0.113.%u>192.0.2.%u %s%stcp %u>80 %s +%u", client, rand() & 1 ? 1 : 4, ttl, whole, port, flag, size);
    else if (kind < 6)
        snprintf(text, 200, "C>S ip6 2001:db8:c::%u>2001:db8:5::1 %s%stcp %u>80 %s +%u", client, ttl, rand() % 6 ? "" : "hopopts ", port, flag, size);
    else if (kind < 8)
        snprintf(text, 200, "C>S ip 203.0.113.%u>192.0.2.3 %s%sudp %u>80 +%u", client, ttl, whole, port, size);
    else if (kind == 8) {
        unsigned service = rand() & 1 ? 1 : 4;

        snprintf(text, 200, "C>S ip 198.51.100.7>192.0.2.%u icmp 3 4 quote ip 192.0.2.%u>203.0.113.%u tcp 80>%u A", service, service, client, port);
    }
    else if (kind == 9)
        snprintf(text, 200, "R>S ip 10.0.0.%u>203.0.113.%u %s%s %u>%u%s +%u", 1 + (unsigned)rand() % N_SERVERS, client, ttl, "udp", 8002, port, "", size);
    else if (kind == 10)
        snprintf(text, 200, "R>S ip 10.0.0.%u>203.0.113.%u tcp %u>%u A +%u", 1 + (unsigned)rand() % N_SERVERS, client, 8003, port, size);
    else if (kind == 11)
        snprintf(text, 200, "C>S ip 203.0.113.%u>192.0.2.%u %s%stcp %u>%u %s +%u", client, 5 + (unsigned)rand() % 3, ttl, whole, port, 80 + (unsigned)rand() % 3, flag, size);
    else if (kind == 12)
        snprintf(text, 200, "C>S ip 203.0.113.%u>192.0.2.8 %s%ssctp %u>80 +%u", client, ttl, whole, port, size);
    else if (kind == 13)
        snprintf(text, 200, "R>S ip 10.0.0.%u>203.0.113.%u sctp %u>%u +%u", 1 + (unsigned)rand() % N_SERVERS, client, 8006, port, size);
    else if (kind == 14) /* About what a server was sent by NAT. */
        snprintf(text, 200, "R>S ip 10.0.0.%u>203.0.113.%u icmp 3 3 quote ip 203.0.113.%u>10.0.0.%u %s", 1 + (unsigned)rand() % N_SERVERS, client, client,
                 1 + (unsigned)rand() % N_SERVERS, quoted_text(port));
    else if (kind == 15 && last_local[0][0]) /* Answers full NAT, and errors about it. */
        snprintf(text, 200, "%s", last_local[rand() % 4 == 0]);
    else
        snprintf(text, 200, "C>S ip 203.0.113.%u>192.0.2.%u %s", client, 3, rand() & 1 ? "more udp 1000>80 +32" : "frag=5 udp 0>0 +9");
    frame_parse(text, frame);
    if (kind != 8 && kind != 14 && kind != 15)
        frame_finish(frame, (uint8_t)(rand() % 4 ? 0 : rand()));
    is_mangled = rand() % 20 == 0;
    if (is_mangled)
        frame->bytes[14 + (unsigned)rand() % (frame->size - 14)] ^= (uint8_t)(1u << ((unsigned)rand() % 8));
    if (rand() % 50 == 0)
        frame->size = 14 + (unsigned)rand() % (frame->size - 14);
}

/* An outer header without "don't fragment" has a number that nobody can foresee, and so another checksum. */
static void forget_chance(uint8_t *frame, size_t size)
{
    if (size >= 34 && frame[12] == 8 && frame[13] == 0 && !(frame[20] & 0x40))
        frame[18] = frame[19] = frame[24] = frame[25] = 0;
}

static void print_frame(const char *who, const uint8_t *frame, size_t size)
{
    fprintf(stderr, "%s %zu:", who, size);
    for (size_t i = 0; i < size && i < 120; i++)
        fprintf(stderr, "%s%02x", i % 2 ? "" : " ", frame[i]);
    fprintf(stderr, "\n");
}

static void compare_one(unsigned number)
{
    static uint8_t out[4096], expected[4096];
    struct native_verdict native;
    struct frame frame;
    char text[200];

    random_frame(&frame, text);
    struct xdp_md context = {.data_end = frame.size, .ingress_ifindex = ifindex};
    LIBBPF_OPTS(bpf_test_run_opts, options, .data_in = frame.bytes, .data_size_in = frame.size, .data_out = out, .data_size_out = sizeof(out),
                .repeat = 1, .ctx_in = &context, .ctx_size_in = sizeof(context));
    native = native_director_run(world.native, frame.bytes, frame.size, ifindex);
    if (bpf_prog_test_run_opts(tables->program_fd, &options) < 0)
        fail(strerror(errno));
    memcpy(expected, native.frame, native.size);
    n_done[native.action & 7]++;
    if (native.action == XDP_TX) {
        if (!is_mangled)
            note_local(native.frame, native.size);
        forget_chance(out, options.data_size_out);
        forget_chance(expected, native.size);
    }
    if ((int)options.retval == native.action &&
        (native.action == XDP_DROP || (options.data_size_out == native.size && memcmp(out, expected, native.size) == 0)))
        return;
    fprintf(stderr, "packet %u: %s\nkernel says %u, native build %d\n", number, text, options.retval, native.action);
    print_frame("kernel", out, options.data_size_out);
    print_frame("native", expected, native.size);
    exit(1);
}

static void compare_tables(void)
{
    const struct lb_drops *drops = array(NATIVE_LB_drops);
    struct lb_drops in_kernel;
    uint32_t n = 0;

    lb_read_drops(tables, &in_kernel);
    for (int reason = 0; reason < N_LB_DROP_REASONS; reason++)
        if (in_kernel.packets[reason] != drops->packets[reason]) {
            fprintf(stderr, "drops of reason %d: kernel %llu, native build %llu\n", reason, in_kernel.packets[reason], drops->packets[reason]);
            exit(1);
        }
    if (memcmp(tables->server_load, array(NATIVE_LB_server_load), WORLD_SIZE * sizeof(*tables->server_load)) != 0)
        fail("servers have other connections");
    if (memcmp(tables->service_load, array(NATIVE_LB_service_load), WORLD_SIZE * sizeof(*tables->service_load)) != 0)
        fail("services have other half-open connections or turns");
    n = ((struct lb_sweeper *)array(NATIVE_LB_sweeper))->n_connections;
    if (lb_read_connections(tables) != n)
        fail("there are other connections");
    printf("%u passed, %u dropped, %u sent on; %u connections at the end\n", n_done[XDP_PASS], n_done[XDP_DROP], n_done[XDP_TX], n);
    if (n_done[XDP_TX] < 1000 || n_done[XDP_PASS] < 100 || n_done[XDP_DROP] < 1)
        fail("too few packets of a kind: that was no test");
}

int main(int argc, char **argv)
{
    unsigned n = argc > 1 ? (unsigned)strtoul(argv[1], NULL, 10) : 20000, seed = argc > 2 ? (unsigned)strtoul(argv[2], NULL, 10) : (unsigned)time(NULL);
    struct lb_sizes sizes = {.n_services = WORLD_SIZE, .n_servers = WORLD_SIZE, .n_blocks = WORLD_SIZE, .n_members = WORLD_SIZE, .n_marks = WORLD_SIZE};
    struct error error = {0};

    printf("seed %u\n", seed);
    srand(seed);
    make_network();
    world.native = native_director_new(WORLD_SIZE);
    if (!world.native || lb_tables_open(&sizes, NULL, &tables, &error) < 0)
        fail(error.message);
    make_world();
    copy_to_kernel();
    for (unsigned i = 0; i < n; i++)
        compare_one(i);
    compare_tables();
    lb_tables_close(tables);
    native_director_free(world.native);
    director_race(ifindex);
    return 0;
}
