/* See director-race.h. */
#include "director-race.h"

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <linux/bpf.h>

#include "frames.h"
#include "weft/base/clock.h"
#include "weft/base/util.h"
#include "weft/director/hash.h"
#include "weft/director/load.h"

#define N_THREADS 2
#define N_SERVERS 2
#define N_PORTS 32  /* That clients use at once; others with each epoch, of which a second has about ten: so there are free slots. */
#define N_EPOCHS 24
#define CHAIN_MAX 64
#define PATIENCE_MS 60000

static struct lb_tables *tables;
static uint32_t ifindex;
static uint32_t epoch; /* Atomic, as is the next. */
static bool is_over;

static void fail(const char *what)
{
    fprintf(stderr, "director-race: %s\n", what);
    exit(1);
}

/* As if they were all replaced by others: connections with those before end. */
static void write_servers(uint32_t incarnation)
{
    for (uint32_t i = 0; i < N_SERVERS; i++) {
        struct lb_server server = {.method = LB_METHOD_NAT, .port = htons(8080), .generation = incarnation, .incarnation = incarnation};
        char text[40];

        snprintf(text, sizeof(text), "10.0.0.%u", i + 1);
        frame_address(text, server.address);
        lb_write_server(tables, i, &server);
    }
}

static void make_service(void)
{
    struct lb_service service = {.key = {.port = htons(80), .protocol = IPPROTO_TCP}, .generation = 1, .flags = LB_TRACK, .schedule = LB_SCHEDULE_TURN,
                                 .n_rows = N_SERVERS, .n_members = N_SERVERS, .half_open_limit = UINT32_MAX};

    for (uint32_t i = 0; i < N_SERVERS; i++) {
        tables->members[i] = (struct lb_member){.server = i, .weight = 1};
        lb_write_row(tables, 0, i, LB_ROW_OF(i));
    }
    frame_address("192.0.2.1", service.key.address);
    lb_write_service(tables, 0, &service);
    tables->settings->has_translation = 1;
    tables->settings->tcp_s = 900;
    if (lb_put_key(tables, &service.key, 0) < 0)
        fail("there is no service");
}

static void call(unsigned port)
{
    static __thread uint8_t out[2048];
    struct xdp_md context = {.ingress_ifindex = ifindex};
    struct frame frame;
    char text[100];

    snprintf(text, sizeof(text), "C>D ip 203.0.113.7>192.0.2.1 tcp %u>80 S", port);
    frame_parse(text, &frame);
    context.data_end = frame.size;
    LIBBPF_OPTS(bpf_test_run_opts, options, .data_in = frame.bytes, .data_size_in = frame.size, .data_out = out, .data_size_out = sizeof(out), .repeat = 1,
                .ctx_in = &context, .ctx_size_in = sizeof(context));
    if (bpf_prog_test_run_opts(tables->program_fd, &options) < 0)
        fail(strerror(errno));
}

static void *client(void *backwards)
{
    for (unsigned i = 0; !__atomic_load_n(&is_over, __ATOMIC_RELAXED); i++) {
        unsigned first = 1024 + __atomic_load_n(&epoch, __ATOMIC_RELAXED) * N_PORTS, place = i % N_PORTS;

        call(first + (backwards ? N_PORTS - 1 - place : place));
    }
    return NULL;
}

/* Connections whose server has another incarnation; 0: of all. */
static uint32_t n_others(uint32_t incarnation)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < lb_slots(tables); i++) {
        struct lb_conn conn = tables->conn_slots[i];

        n += conn.state != LB_CONN_NONE && conn.state <= LB_CONN_DEAD && conn.incarnation != incarnation;
    }
    return n;
}

static uint32_t n_in_chains(void)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < tables->sizes.n_connections / 2; i++)
        n += (tables->conn_heads[i].head[0] != 0) + (tables->conn_heads[i].head[1] != 0);
    return n;
}

static void wait_for(uint32_t (*count)(uint32_t), uint32_t argument, const char *what)
{
    uint64_t end_ms = clock_monotonic_ms() + PATIENCE_MS;

    while (count(argument)) {
        if (clock_monotonic_ms() > end_ms)
            fail(what);
        sched_yield();
    }
}

static uint32_t n_left(uint32_t nothing)
{
    return n_others(nothing) + n_in_chains();
}

/* Of the clients' calls, those that have no connection yet. */
static uint32_t n_missing(uint32_t incarnation)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < lb_slots(tables); i++) {
        struct lb_conn conn = tables->conn_slots[i];

        n += conn.state != LB_CONN_NONE && conn.state < LB_CONN_DEAD && conn.incarnation == incarnation;
    }
    return n < N_PORTS ? N_PORTS - n : 0;
}

/* How often the entry's key is in the chain that it belongs into. */
static unsigned n_found(const struct lb_conn *entry)
{
    uint32_t bucket = (uint32_t)conn_hash(&entry->key, tables->settings->secret) & (tables->sizes.n_connections - 1);
    uint32_t link = tables->conn_heads[bucket >> 1].head[bucket & 1];
    unsigned n = 0;

    for (unsigned i = 0; link; i++) {
        const struct lb_conn *conn = &tables->conn_slots[link - 1];

        if (i == CHAIN_MAX)
            fail("a chain has no end");
        n += memcmp(&conn->key, &entry->key, sizeof(conn->key)) == 0 && (conn->state <= LB_CONN_DEAD || conn->state == LB_CONN_VIEW);
        link = conn->next;
    }
    return n;
}

static void check_entries(uint32_t incarnation)
{
    for (uint32_t i = 0; i < lb_slots(tables); i++) {
        const struct lb_conn *conn = &tables->conn_slots[i];

        if (conn->state != LB_CONN_NONE && conn->state < LB_CONN_DEAD && conn->incarnation == incarnation && n_found(conn) != 1)
            fail("a connection is not in its chain, or there twice");
    }
}

void director_race(uint32_t device)
{
    struct lb_sizes sizes = {.n_services = 8, .n_servers = 8, .n_blocks = 8, .n_members = 8, .n_marks = 8, .n_connections = LB_CONNECTIONS_MIN};
    struct error error = {0};
    struct lb_sweeper sweeper;
    pthread_t threads[N_THREADS];
    uint32_t zero = 0;

    ifindex = device;
    if (lb_tables_open(&sizes, NULL, &tables, &error) < 0)
        fail(error.message);
    make_service();
    write_servers(1);
    for (size_t i = 0; i < N_THREADS; i++)
        if (pthread_create(&threads[i], NULL, client, i ? tables : NULL))
            fail("there is no thread");
    for (uint32_t i = 1; i < N_EPOCHS; i++) { /* The records' grace is less than two ticks of the sweeper. */
        __atomic_store_n(&epoch, i, __ATOMIC_RELAXED);
        write_servers(i + 1);
        wait_for(n_others, i + 1, "connections do not end");
        wait_for(n_missing, i + 1, "connections do not begin");
    }
    __atomic_store_n(&is_over, true, __ATOMIC_RELAXED);
    for (size_t i = 0; i < N_THREADS; i++)
        pthread_join(threads[i], NULL);
    check_entries(N_EPOCHS);
    write_servers(N_EPOCHS + 1);
    wait_for(n_left, 0, "entries stay");
    if (lb_read_connections(tables) || tables->service_load[0].half_open)
        fail("without connections some are counted");
    if (bpf_map_lookup_elem(tables->sweeper_fd, &zero, &sweeper) < 0 || sweeper.next <= lb_slots(tables))
        fail("no slot was used again: that was no test");
    printf("%u slots were used %u times\n", lb_slots(tables), sweeper.next);
    lb_tables_close(tables);
}
