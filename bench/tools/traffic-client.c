/* One measurement:  traffic-client MODE ADDRESS PORT SECONDS [OPTION=VALUE...]     (the far end is traffic-server)
 *
 *   latency      one byte to and fro over one TCP connection; histogram
 *   connections  connect, one byte echoed, reset; one after the other
 *   packets      UDP datagrams of size=22 bytes, as fast as they go; counts what arrived, unless there are flows=
 *   begin        three datagrams in each of flows=, each of which must be answered (by anybody, no traffic-server)
 *   throughput   TCP, streams=1, in blocks of 128 KiB
 *
 * Options: cpu=N (pin), account=PID,PID (whose CPU time belongs to the path, beside ours and ksoftirqd's), size=, streams=, flows=
 * (of FLOW_SOCKETS sources each, always the same ones, to ports from PORT on; packets takes one of them at random for each datagram).
 * source=PORT: connections have source ports of our own choice, one after the other from there on; "next_source" is where the next run goes on.
 * Who waits for the far end in vain ends after PATIENCE_S more than the measurement takes.
 * Prints one JSON object.  Latency is kept in buckets of 1/64 of their value, so percentiles are within 1.6 %. */
#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "account.h"

#define BLOCK (128 * 1024)
#define MAX_STREAMS 64
#define SUB_BUCKETS 64 /* A power of two. */
#define N_BUCKETS (SUB_BUCKETS * 40)
#define WARM_UP_NS 100000000u
#define PATIENCE_S 15
#define FIRST_SOURCE 4096u /* source=: after the last port this one is next. */
#define FLOW_SOCKETS 10u
#define FLOW_SOURCE 2048 /* The first of their ports; below those that the kernel chooses. */
#define FLOW_BATCH 64u
#define FLOW_TRIES 100
#define FLOW_PACKETS 3 /* From each side, and a connection of UDP is no longer half open. */

struct settings {
    const char *address, *account;
    int port, size, streams;
    uint32_t flows;
    uint64_t duration_ns;
};

static void die(const char *what)
{
    perror(what);
    exit(1);
}

/* ---- the histogram: exponents of two, each split in SUB_BUCKETS ---- */

static uint64_t buckets[N_BUCKETS], n_samples;

static unsigned int bucket_of(uint64_t value)
{
    if (value < SUB_BUCKETS)
        return (unsigned int)value;
    unsigned int exponent = 63u - (unsigned int)__builtin_clzll(value); /* >= 6 */
    unsigned int shift = exponent - 6;
    unsigned int index = (exponent - 5) * SUB_BUCKETS + (unsigned int)((value >> shift) & (SUB_BUCKETS - 1));
    return index < N_BUCKETS ? index : N_BUCKETS - 1;
}

static uint64_t bucket_value(unsigned int index)
{
    if (index < SUB_BUCKETS)
        return index;
    unsigned int exponent = index / SUB_BUCKETS + 5;
    return (SUB_BUCKETS + (uint64_t)(index & (SUB_BUCKETS - 1))) << (exponent - 6);
}

static void sample(uint64_t ns)
{
    buckets[bucket_of(ns)]++;
    n_samples++;
}

static uint64_t percentile(double share)
{
    uint64_t wanted = (uint64_t)((double)n_samples * share), seen = 0;

    for (unsigned int i = 0; i < N_BUCKETS; i++) {
        seen += buckets[i];
        if (seen > wanted)
            return bucket_value(i);
    }
    return 0;
}

/* ---- sockets ---- */

static const char *mode;
static uint32_t next_source; /* 0: the kernel chooses. */

static __attribute__((noreturn)) void took_too_long(int number)
{
    (void)number;
    dprintf(STDERR_FILENO, "traffic-client: %s: the far end does not answer any more\n", mode);
    _exit(1);
}

/* The next of the ports that nobody has. */
static void bind_to_next(int fd)
{
    for (uint32_t i = FIRST_SOURCE; i < 65536; i++) {
        struct sockaddr_in from = {.sin_family = AF_INET, .sin_port = htons((uint16_t)next_source)};
        next_source = next_source < 65535 ? next_source + 1 : FIRST_SOURCE;
        if (bind(fd, (struct sockaddr *)&from, sizeof(from)) == 0)
            return;
        if (errno != EADDRINUSE)
            break;
    }
    die("bind");
}

static int connect_to(const struct settings *settings, int offset, int type)
{
    static struct addrinfo *cached[8];
    struct addrinfo hints = {.ai_socktype = type, .ai_flags = AI_NUMERICHOST};
    int one = 1;

    if (!cached[offset]) {
        char text[16];
        snprintf(text, sizeof(text), "%d", settings->port + offset);
        if (getaddrinfo(settings->address, text, &hints, &cached[offset]))
            die(settings->address);
    }
    int fd = socket(cached[offset]->ai_family, type | SOCK_CLOEXEC, 0);
    if (fd < 0)
        die("socket");
    if (type == SOCK_STREAM)
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    if (next_source && type == SOCK_STREAM)
        bind_to_next(fd);
    if (connect(fd, cached[offset]->ai_addr, cached[offset]->ai_addrlen) < 0)
        die("connect");
    return fd;
}

static void round_trip(int fd)
{
    char byte = 'x';

    if (write(fd, &byte, 1) != 1 || read(fd, &byte, 1) != 1)
        die("echo");
}

/* What the measured interval cost. */
struct interval {
    uint64_t wall_ns, own_ns, others_ns;
};

static struct interval interval_start(const struct settings *settings)
{
    return (struct interval){clock_now_ns(), account_own_ns(), account_cpu_ns(settings->account)};
}

static void interval_end(const struct settings *settings, struct interval *interval)
{
    interval->wall_ns = clock_now_ns() - interval->wall_ns;
    interval->own_ns = account_own_ns() - interval->own_ns;
    interval->others_ns = account_cpu_ns(settings->account) - interval->others_ns;
}

static void print_interval(const struct interval *interval)
{
    printf("\"wall_ns\": %llu, \"own_cpu_ns\": %llu, \"other_cpu_ns\": %llu}\n", (unsigned long long)interval->wall_ns,
           (unsigned long long)interval->own_ns, (unsigned long long)interval->others_ns);
}

/* ---- the measurements ---- */

static void latency(const struct settings *settings)
{
    int fd = connect_to(settings, 0, SOCK_STREAM);
    uint64_t end = clock_now_ns() + WARM_UP_NS;

    while (clock_now_ns() < end)
        round_trip(fd);
    struct interval interval = interval_start(settings);
    uint64_t before = clock_now_ns();
    end = before + settings->duration_ns;
    while (before < end) {
        round_trip(fd);
        uint64_t now = clock_now_ns();
        sample(now - before);
        before = now;
    }
    interval_end(settings, &interval);
    close(fd);
    printf("{\"count\": %llu, \"p50_ns\": %llu, \"p99_ns\": %llu, ", (unsigned long long)n_samples,
           (unsigned long long)percentile(0.5), (unsigned long long)percentile(0.99));
    print_interval(&interval);
}

static void connections(const struct settings *settings)
{
    struct linger reset = {.l_onoff = 1, .l_linger = 0};
    uint64_t start = clock_now_ns(), before = start;
    bool warm = false;
    struct interval interval = {0};

    for (;;) {
        int fd = connect_to(settings, 1, SOCK_STREAM);
        setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
        round_trip(fd);
        close(fd);
        uint64_t now = clock_now_ns();
        if (warm)
            sample(now - before);
        else if (now - start > WARM_UP_NS) {
            warm = true;
            interval = interval_start(settings);
            now = start = clock_now_ns();
        }
        if (warm && now - start > settings->duration_ns)
            break;
        before = now;
    }
    interval_end(settings, &interval);
    printf("{\"count\": %llu, \"p50_ns\": %llu, \"p99_ns\": %llu, \"next_source\": %u, ", (unsigned long long)n_samples,
           (unsigned long long)percentile(0.5), (unsigned long long)percentile(0.99), next_source);
    print_interval(&interval);
}

static uint64_t received(const struct settings *settings)
{
    char text[64] = "";
    int fd = connect_to(settings, 4, SOCK_STREAM);
    ssize_t n = read(fd, text, sizeof(text) - 1);

    close(fd);
    if (n <= 0)
        die("count");
    return strtoull(text, NULL, 10);
}

/* ---- many flows: from a few sockets to many ports ---- */

struct flows {
    int fds[FLOW_SOCKETS];
    struct sockaddr_in to;
    uint16_t first_port;
    uint32_t n_ports;
};

static void flows_open(const struct settings *settings, struct flows *flows)
{
    struct timeval wait = {.tv_usec = 200000};

    *flows = (struct flows){.to = {.sin_family = AF_INET}, .first_port = (uint16_t)settings->port, .n_ports = settings->flows / FLOW_SOCKETS};
    if (inet_pton(AF_INET, settings->address, &flows->to.sin_addr) != 1) {
        fprintf(stderr, "traffic-client: flows go to an IPv4 address, not to '%s'\n", settings->address);
        exit(2);
    }
    for (uint32_t i = 0; i < FLOW_SOCKETS; i++) {
        struct sockaddr_in from = {.sin_family = AF_INET, .sin_port = htons((uint16_t)(FLOW_SOURCE + i))};
        flows->fds[i] = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        if (flows->fds[i] < 0 || bind(flows->fds[i], (struct sockaddr *)&from, sizeof(from)) < 0)
            die("a flow's socket");
        setsockopt(flows->fds[i], SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait));
    }
}

static ssize_t flow_send(struct flows *flows, uint32_t flow, const char *payload, const struct settings *settings)
{
    flows->to.sin_port = htons((uint16_t)(flows->first_port + flow % flows->n_ports));
    return sendto(flows->fds[flow / flows->n_ports], payload, (size_t)settings->size, 0, (struct sockaddr *)&flows->to, sizeof(flows->to));
}

/* Takes answers to flows from 'first' on at that socket until none comes for a while, or none is missing. */
static uint32_t flows_answered(struct flows *flows, uint32_t first, uint32_t n, uint32_t answers[FLOW_BATCH])
{
    uint32_t missing = 0;

    for (uint32_t i = 0; i < n; i++)
        missing += answers[i] < FLOW_PACKETS;
    while (missing) {
        struct sockaddr_in from;
        socklen_t size = sizeof(from);
        char byte;
        if (recvfrom(flows->fds[first / flows->n_ports], &byte, 1, 0, (struct sockaddr *)&from, &size) < 0)
            break;
        uint32_t index = (uint32_t)(ntohs(from.sin_port) - flows->first_port) - first % flows->n_ports;
        if (index < n && ++answers[index] == FLOW_PACKETS)
            missing--;
    }
    return missing;
}

static void begin(const struct settings *settings)
{
    static const char payload[65536];
    struct flows flows;

    flows_open(settings, &flows);
    for (uint32_t first = 0, n; first < settings->flows; first += n) {
        uint32_t answers[FLOW_BATCH] = {0}, left = flows.n_ports - first % flows.n_ports, missing, tries = 0;

        n = left < FLOW_BATCH ? left : FLOW_BATCH;
        do {
            if (tries++ == FLOW_TRIES) {
                fprintf(stderr, "traffic-client: %u of the flows from number %u on have no answer\n", missing, first);
                exit(1);
            }
            for (uint32_t i = 0; i < n; i++)
                for (uint32_t j = answers[i]; j < FLOW_PACKETS; j++)
                    (void)!flow_send(&flows, first + i, payload, settings);
            missing = flows_answered(&flows, first, n, answers);
        } while (missing);
    }
    printf("{\"count\": %u}\n", settings->flows);
}

/* Each datagram in one that was chosen at random, which no cache can guess. */
static void packets_of_flows(const struct settings *settings)
{
    static const char payload[65536];
    struct flows flows;
    uint64_t sent = 0, refused = 0, random = 0x9e3779b97f4a7c15u;

    flows_open(settings, &flows);
    for (uint32_t i = 0; i < settings->flows; i++)
        (void)!flow_send(&flows, i, payload, settings);
    struct interval interval = interval_start(settings);
    uint64_t end = clock_now_ns() + settings->duration_ns;
    while (clock_now_ns() < end)
        for (int i = 0; i < 64; i++) {
            random ^= random << 13; /* G. Marsaglia, "Xorshift RNGs", 2003. */
            random ^= random >> 7;
            random ^= random << 17;
            if (flow_send(&flows, (uint32_t)((random >> 32) * settings->flows >> 32), payload, settings) == settings->size)
                sent++;
            else if (errno == ENOBUFS || errno == EAGAIN)
                refused++;
            else
                die("send");
        }
    interval_end(settings, &interval);
    printf("{\"count\": %llu, \"refused\": %llu, ", (unsigned long long)sent, (unsigned long long)refused);
    print_interval(&interval);
}

static void packets(const struct settings *settings)
{
    char payload[65536] = {0};
    int fd = connect_to(settings, 3, SOCK_DGRAM);
    uint64_t sent = 0, refused = 0, end = clock_now_ns() + WARM_UP_NS;

    while (clock_now_ns() < end)
        for (int i = 0; i < 64; i++)
            (void)!send(fd, payload, (size_t)settings->size, 0);
    usleep(20000);
    uint64_t before = received(settings);
    struct interval interval = interval_start(settings);
    end = clock_now_ns() + settings->duration_ns;
    while (clock_now_ns() < end)
        for (int i = 0; i < 64; i++) {
            if (send(fd, payload, (size_t)settings->size, 0) == settings->size)
                sent++;
            else if (errno == ENOBUFS || errno == EAGAIN || errno == ECONNREFUSED)
                refused++;
            else
                die("send");
        }
    interval_end(settings, &interval);
    usleep(20000); /* What is still queued. */
    printf("{\"count\": %llu, \"received\": %llu, \"refused\": %llu, ", (unsigned long long)sent,
           (unsigned long long)(received(settings) - before), (unsigned long long)refused);
    print_interval(&interval);
}

static atomic_uint_fast64_t n_bytes;
static atomic_bool stopping;

static void *stream(void *argument)
{
    int fd = connect_to(argument, 2, SOCK_STREAM);
    char *block = calloc(1, BLOCK);

    while (block && !atomic_load_explicit(&stopping, memory_order_relaxed)) {
        ssize_t n = write(fd, block, BLOCK);
        if (n < 0)
            die("write");
        atomic_fetch_add_explicit(&n_bytes, (uint_fast64_t)n, memory_order_relaxed);
    }
    free(block);
    close(fd);
    return NULL;
}

static void throughput(struct settings *settings)
{
    pthread_t threads[MAX_STREAMS];

    close(connect_to(settings, 2, SOCK_STREAM)); /* Fills the cached address before there are threads. */
    for (int i = 0; i < settings->streams; i++)
        if (pthread_create(&threads[i], NULL, stream, settings))
            die("pthread_create");
    usleep(WARM_UP_NS / 1000);
    struct interval interval = interval_start(settings);
    uint64_t before = atomic_load(&n_bytes);
    usleep((useconds_t)(settings->duration_ns / 1000));
    uint64_t bytes = atomic_load(&n_bytes) - before;
    interval_end(settings, &interval);
    atomic_store(&stopping, true);
    for (int i = 0; i < settings->streams; i++)
        pthread_join(threads[i], NULL);
    printf("{\"bytes\": %llu, ", (unsigned long long)bytes);
    print_interval(&interval);
}

int main(int argc, char **argv)
{
    if (argc < 5) {
        fprintf(stderr, "usage: traffic-client latency|connections|packets|begin|throughput ADDRESS PORT SECONDS [OPTION=VALUE...]\n");
        return 2;
    }
    struct settings settings = {.address = argv[2], .port = atoi(argv[3]), .size = 22, .streams = 1,
                                .duration_ns = (uint64_t)(atof(argv[4]) * 1e9)};
    for (int i = 5; i < argc; i++) {
        if (strncmp(argv[i], "cpu=", 4) == 0)
            account_pin(atoi(argv[i] + 4));
        else if (strncmp(argv[i], "account=", 8) == 0)
            settings.account = argv[i] + 8;
        else if (strncmp(argv[i], "size=", 5) == 0)
            settings.size = atoi(argv[i] + 5);
        else if (strncmp(argv[i], "streams=", 8) == 0)
            settings.streams = atoi(argv[i] + 8);
        else if (strncmp(argv[i], "flows=", 6) == 0)
            settings.flows = (uint32_t)strtoul(argv[i] + 6, NULL, 10);
        else if (strncmp(argv[i], "source=", 7) == 0)
            next_source = (uint32_t)strtoul(argv[i] + 7, NULL, 10);
        else {
            fprintf(stderr, "traffic-client: unknown option '%s'\n", argv[i]);
            return 2;
        }
    }
    if (settings.size < 1 || settings.size > 65000 || settings.streams < 1 || settings.streams > MAX_STREAMS) {
        fprintf(stderr, "traffic-client: size must be 1..65000 and streams 1..%d\n", MAX_STREAMS);
        return 2;
    }
    if (next_source > 65535) {
        fprintf(stderr, "traffic-client: source must be 1..65535, not %u\n", next_source);
        return 2;
    }
    mode = argv[1];
    signal(SIGALRM, took_too_long);
    if (strcmp(mode, "begin") != 0) /* Which has its own limit. */
        alarm((unsigned int)atof(argv[4]) + 1 + PATIENCE_S);
    uint32_t max_flows = (65536 - (uint32_t)settings.port) * FLOW_SOCKETS;
    if (settings.flows % FLOW_SOCKETS || settings.flows > max_flows || (strcmp(argv[1], "begin") == 0 && !settings.flows)) {
        fprintf(stderr, "traffic-client: flows must be a multiple of %u up to %u\n", FLOW_SOCKETS, max_flows);
        return 2;
    }
    if (strcmp(argv[1], "latency") == 0)
        latency(&settings);
    else if (strcmp(argv[1], "connections") == 0)
        connections(&settings);
    else if (strcmp(argv[1], "packets") == 0)
        (settings.flows ? packets_of_flows : packets)(&settings);
    else if (strcmp(argv[1], "begin") == 0)
        begin(&settings);
    else if (strcmp(argv[1], "throughput") == 0)
        throughput(&settings);
    else {
        fprintf(stderr, "traffic-client: unknown measurement '%s'\n", argv[1]);
        return 2;
    }
    return 0;
}
