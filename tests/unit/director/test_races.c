/* What counts what must agree with what there is, whoever meets whom: threads are the CPUs of one director.  They send packets of few clients, which
 * begin, close and begin anew, take what another director tells, and end what is over, while servers leave and others come; then all counts are
 * compared with a recount.  WEFT_SEED repeats a run as far as threads can be. */
#include <arpa/inet.h>
#include <linux/bpf.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "weft/base/util.h"
#include "world.h"

#define MILLISECOND 1000000ull
#define N_CPUS 4       /* The last one's is the timer, and user space. */
#define N_SERVICES 4
#define N_SERVERS 2    /* Of each. */
#define N_STEPS 8000u  /* Of each CPU. */
#define N_ROUNDS 4u
#define N_CLIENTS 3u

static const struct {
    const char *address;
    uint8_t protocol;
    enum lb_method method;
    uint32_t flags;
} SERVICES[N_SERVICES] = {
    {"192.0.2.1", IPPROTO_TCP, LB_METHOD_NAT, LB_TRACK},
    {"192.0.2.2", IPPROTO_UDP, LB_METHOD_NAT, LB_TRACK},
    {"192.0.2.3", IPPROTO_TCP, LB_METHOD_IPIP, LB_TRACK | LB_PERSISTENT},
    {"192.0.2.4", IPPROTO_UDP, LB_METHOD_IPIP, LB_TRACK | LB_PERSISTENT},
};
static const char *const FLAGS[] = {"S", "S", "S", "A", "A", "FA", "FA", "R"};

struct cpu {
    struct world *world;
    struct native_director *native;
    pthread_t thread;
    unsigned seed;
    unsigned n_steps; /* Atomic. */
    bool is_over;     /* Atomic. */
};

static struct cpu cpus[N_CPUS];
static uint32_t incarnation; /* Of the server that came last. */
static unsigned n_changes_met;

static unsigned any(struct cpu *cpu, unsigned n)
{
    return (unsigned)rand_r(&cpu->seed) % n;
}

static struct lb_server *server_now(struct world *world, uint32_t number)
{
    struct lb_server_record *record = world_place(world, NATIVE_LB_servers, number);

    return &record->copy[__atomic_load_n(&record->active, __ATOMIC_ACQUIRE) & 1];
}

static void write_server(struct world *world, uint32_t number, const struct lb_server *server)
{
    struct lb_server_record *record = world_place(world, NATIVE_LB_servers, number);

    record->copy[!record->active] = *server;
    __atomic_store_n(&record->active, !record->active, __ATOMIC_RELEASE);
}

static void serve(struct world *world, uint32_t number)
{
    struct lb_service *service = world_service(world, number, SERVICES[number].address, 80, SERVICES[number].protocol);

    service->schedule = LB_SCHEDULE_WLC;
    service->flags = SERVICES[number].flags;
    service->half_open_limit = 1000000;
    service->persistence_s = 2;
    memset(service->persistence_mask, 0xff, 16);
    for (uint32_t i = 0; i < N_SERVERS; i++) {
        char text[20];

        snprintf(text, sizeof(text), "10.0.%u.%u", number, i + 1);
        world_server(world, number * N_SERVERS + i, text, SERVICES[number].method);
        world_load(world, number * N_SERVERS + i)->upper = 2 + i;
    }
    world_members(world, number, number * N_SERVERS, N_SERVERS);
}

/* ---- a CPU that packets come to ------------------------------------------------------------------------------------------------ */

static void send_packet(struct cpu *cpu)
{
    unsigned number = any(cpu, N_SERVICES), client = any(cpu, N_CLIENTS), port = 1000 + any(cpu, 2);
    bool is_tcp = SERVICES[number].protocol == IPPROTO_TCP;
    struct frame frame;
    char text[120];

    if (SERVICES[number].method == LB_METHOD_NAT && any(cpu, 4) == 0)
        snprintf(text, sizeof(text), "S>D ip 10.0.%u.%u>203.0.113.%u %s 80>%u %s", number, 1 + any(cpu, N_SERVERS), client, is_tcp ? "tcp" : "udp", port,
                 is_tcp ? any(cpu, 2) ? "FA" : "R" : "+8");
    else
        snprintf(text, sizeof(text), "C>D ip 203.0.113.%u>%s %s %u>80 %s", client, SERVICES[number].address, is_tcp ? "tcp" : "udp", port,
                 is_tcp ? FLAGS[any(cpu, ARRAY_SIZE(FLAGS))] : "+8");
    frame_parse(text, &frame);
    native_director_run(cpu->native, frame.bytes, frame.size, CLIENT_DEVICE);
}

/* What the other director of a pair has. */
static void take(struct cpu *cpu)
{
    unsigned number = any(cpu, N_SERVICES), server = number * N_SERVERS + any(cpu, N_SERVERS);
    bool is_tcp = SERVICES[number].protocol == IPPROTO_TCP, is_template = SERVICES[number].flags & LB_PERSISTENT && any(cpu, 3) == 0;
    struct lb_server *now = server_now(cpu->world, server);
    struct lb_conn told = {.key = {.client_port = is_template ? 0 : htons((uint16_t)(1000 + any(cpu, 2))), .port = htons(80),
                                   .protocol = SERVICES[number].protocol, .is_template = is_template},
                           .server = server, .incarnation = now->incarnation, .service = number, .server_port = htons(80),
                           .is_translated = now->method == LB_METHOD_NAT};
    char text[20];

    snprintf(text, sizeof(text), "203.0.113.%u", any(cpu, N_CLIENTS));
    frame_address(text, told.key.client);
    frame_address(SERVICES[number].address, told.key.address);
    told.state = is_template ? LB_CONN_TEMPLATE : !is_tcp ? LB_CONN_UDP : any(cpu, 2) ? LB_CONN_ESTABLISHED : LB_CONN_FIN_WAIT;
    told.last_seen = (uint32_t)(native_director_now(cpu->native) >> LB_TIME_SHIFT) + 1;
    if (is_template)
        told.held = told.last_seen;
    native_director_take(cpu->native, &told);
}

static void *run_packets(void *argument)
{
    struct cpu *cpu = argument;

    for (unsigned i = 0; i < N_STEPS; i++) {
        if (any(cpu, 8))
            send_packet(cpu);
        else
            take(cpu);
        __atomic_add_fetch(&cpu->n_steps, 1, __ATOMIC_RELEASE);
    }
    __atomic_store_n(&cpu->is_over, true, __ATOMIC_RELEASE);
    return NULL;
}

/* ---- the timer, and user space --------------------------------------------------------------------------------------------------- */

/* All have done with what they read before: nobody takes as long as LB_GRACE_MS, or LB_CONN_GRACE_S. */
static void wait_grace(void)
{
    for (unsigned i = 0; i + 1 < N_CPUS; i++) {
        unsigned before = __atomic_load_n(&cpus[i].n_steps, __ATOMIC_ACQUIRE);

        while (__atomic_load_n(&cpus[i].n_steps, __ATOMIC_ACQUIRE) - before < 2 && !__atomic_load_n(&cpus[i].is_over, __ATOMIC_ACQUIRE))
            sched_yield();
    }
}

/* Most are in the first slots. */
static void sweep(struct cpu *cpu)
{
    struct lb_sweeper *sweeper = world_place(cpu->world, NATIVE_LB_sweeper, 0);

    if (any(cpu, 8))
        sweeper->hand = 0;
    if (__atomic_load_n(&sweeper->next, __ATOMIC_RELAXED) > 1500)
        __atomic_store_n(&sweeper->next, 0, __ATOMIC_RELAXED);
    if (cpu->n_steps++ % 2 == 0)
        wait_grace();
    native_director_advance(cpu->native, any(cpu, 400) * MILLISECOND);
    native_director_sweep(cpu->native);
}

/* As apply-server.c: nobody is there for a while, then another one of the same address. */
static void replace_server(struct cpu *cpu)
{
    static const struct lb_server nobody;
    uint32_t number = any(cpu, N_SERVICES * N_SERVERS), upper = world_load(cpu->world, number)->upper;
    struct lb_server server = *server_now(cpu->world, number);

    write_server(cpu->world, number, &nobody);
    wait_grace();
    *world_load(cpu->world, number) = (struct lb_server_load){.upper = upper};
    server.incarnation = ++incarnation;
    server.generation++;
    write_server(cpu->world, number, &server);
    wait_grace();
}

static bool are_over(void)
{
    for (unsigned i = 0; i + 1 < N_CPUS; i++)
        if (!__atomic_load_n(&cpus[i].is_over, __ATOMIC_ACQUIRE))
            return false;
    return true;
}

static void run_user_space(struct cpu *cpu)
{
    while (!are_over()) {
        for (unsigned i = 0; i < 8; i++)
            sweep(cpu);
        replace_server(cpu);
    }
}

/* ---- the recount ------------------------------------------------------------------------------------------------------------------- */

struct recount {
    uint32_t active[N_SERVICES * N_SERVERS], inactive[N_SERVICES * N_SERVERS], persistent[N_SERVICES * N_SERVERS];
    uint32_t half_open[N_SERVICES];
    uint32_t n_connections;
};

static void recount_one(struct world *world, const struct lb_conn *conn, struct recount *ret)
{
    bool has_server;

    if (conn->state == LB_CONN_NONE || conn->state > LB_CONN_DEAD)
        return;
    ret->n_connections++;
    if (conn->state == LB_CONN_DEAD)
        return;
    assert_true(conn->server < N_SERVICES * N_SERVERS && conn->service < N_SERVICES);
    has_server = server_now(world, conn->server)->incarnation == conn->incarnation;
    if (has_server)
        (conn->state == LB_CONN_TEMPLATE                                    ? ret->persistent
         : conn->state == LB_CONN_FIN_WAIT || conn->state == LB_CONN_CLOSE ? ret->inactive
                                                                           : ret->active)[conn->server]++;
    ret->half_open[conn->service] += conn->state == LB_CONN_SYN_RECV;
}

static void expect_equal(const char *what, uint32_t place, uint32_t counted, uint32_t there)
{
    if (counted != there)
        fail_msg("%s %u: %d are counted, %u are there", what, place, (int)counted, there);
}

static void check_counts(struct world *world)
{
    const struct lb_conn *conns = world_place(world, NATIVE_LB_conn_slots, 0);
    struct recount all = {0};

    for (uint32_t i = 0; i < NATIVE_LB_SLOTS; i++) {
        assert_int_not_equal(LB_CONN_CLAIMED, conns[i].state);
        recount_one(world, &conns[i], &all);
    }
    for (uint32_t i = 0; i < N_SERVICES * N_SERVERS; i++) {
        const struct lb_server_load *load = world_load(world, i);

        expect_equal("active at server", i, load->active, all.active[i]);
        expect_equal("inactive at server", i, load->inactive, all.inactive[i]);
        expect_equal("persistent at server", i, load->persistent, all.persistent[i]);
        if (load->active + load->inactive >= load->upper)
            expect_equal("overload of server", i, load->is_overloaded, 1);
        else if ((load->active + load->inactive) * 4 < load->upper * 3)
            expect_equal("overload of server", i, load->is_overloaded, 0);
    }
    for (uint32_t i = 0; i < N_SERVICES; i++)
        expect_equal("half open of service", i, world_service_load(world, i)->half_open, all.half_open[i]);
    expect_equal("connections of", 1, ((struct lb_sweeper *)world_place(world, NATIVE_LB_sweeper, 0))->n_connections, all.n_connections);
}

/* By which its server's answers find it. */
static uint32_t n_views_of(const struct lb_conn *conns, uint32_t slot)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < NATIVE_LB_SLOTS; i++) {
        const struct lb_conn *view = &conns[i];

        n += view->state == LB_CONN_VIEW && view->forward == slot && view->key.client_port == conns[slot].key.client_port &&
             view->key.protocol == conns[slot].key.protocol && view->key.address[14] * N_SERVERS + view->key.address[15] - 1u == conns[slot].server;
    }
    return n;
}

static void check_entries(struct world *world)
{
    const struct lb_conn *conns = world_place(world, NATIVE_LB_conn_slots, 0);

    for (uint32_t i = 0; i < NATIVE_LB_SLOTS; i++) {
        const struct lb_conn *conn = &conns[i];

        if (conn->state == LB_CONN_NONE || conn->state >= LB_CONN_DEAD)
            continue;
        expect_equal("its own entry of slot", i, native_director_find(world->native, &conn->key) == conn, 1);
        if (conn->is_translated && !conn->key.is_template && server_now(world, conn->server)->incarnation == conn->incarnation)
            expect_equal("views of slot", i, n_views_of(conns, i), 1);
    }
}

/* In every second round what is silent is over when the timer sees it; in the second half the timer does not stumble, and is there more often. */
static void start(struct world *world, unsigned round, unsigned seed)
{
    *world_settings(world) = (struct lb_settings){.icmp_rate = LB_ICMP_RATE, .has_translation = 1, .tcp_s = 2, .tcp_fin_s = 1 - round % 2,
                                                  .udp_s = 1 - round % 2};
    for (unsigned i = 0; i < N_CPUS; i++) {
        cpus[i] = (struct cpu){.world = world, .seed = seed * N_CPUS + i};
        cpus[i].native = native_director_cpu(world->native, i == N_CPUS - 1 && round >= N_ROUNDS / 2 ? 0 : ((uint64_t)seed << 8) + i + 1);
        assert_non_null(cpus[i].native);
    }
    for (unsigned i = 0; i + 1 < N_CPUS; i++)
        assert_int_equal(0, pthread_create(&cpus[i].thread, NULL, run_packets, &cpus[i]));
}

static void stop(void)
{
    for (unsigned i = 0; i + 1 < N_CPUS; i++)
        assert_int_equal(0, pthread_join(cpus[i].thread, NULL));
    for (unsigned i = 0; i < N_CPUS; i++) {
        n_changes_met += native_director_changes_met(cpus[i].native);
        native_director_free(cpus[i].native);
    }
}

static void counts_are_right_whoever_meets(void **state)
{
    struct world *world = *state;
    unsigned seed = getenv("WEFT_SEED") ? (unsigned)strtoul(getenv("WEFT_SEED"), NULL, 10) : (unsigned)time(NULL) ^ (unsigned)getpid() << 16;
    struct native_route client = world_route("203.0.113.0");

    print_message("WEFT_SEED=%u\n", seed);
    for (uint32_t i = 0; i < N_SERVICES; i++)
        serve(world, i);
    for (uint32_t i = 0; i < N_CLIENTS; i++, client.address[15]++)
        native_director_route(world->native, &client);
    incarnation = 100;
    world_send(world, "C>D ip 203.0.113.1>192.0.2.1 tcp 999>80 S"); /* It starts the timer. */
    for (unsigned round = 0; round < N_ROUNDS; round++) {
        start(world, round, seed * N_ROUNDS + round);
        run_user_space(&cpus[N_CPUS - 1]);
        stop();
        check_counts(world);
        check_entries(world);
    }
    for (uint32_t i = 0; i < N_SERVICES; i++)
        assert_true(world_service_use(world, i)->counters.connections > 30); /* Or that was no test. */
    print_message("%u changes were met\n", n_changes_met);
    assert_true(n_changes_met > 0);
    for (unsigned i = 0; i < 40 * NATIVE_SWEEPS; i++) { /* All ends. */
        native_director_advance(world->native, 50 * MILLISECOND);
        native_director_sweep(world->native);
    }
    check_counts(world);
    assert_int_equal(0, ((struct lb_sweeper *)world_place(world, NATIVE_LB_sweeper, 0))->n_connections);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(counts_are_right_whoever_meets, world_setup, world_teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
