/* Load on an OpenFlow controller:  fabric-load [--option VALUE]... ADDRESS:PORT
 *
 * Emulates switches with links and hosts, all over TCP from one thread.  They answer as switches do, LLDP that the controller sends
 * out of a port comes in at the other end of its link, and then their hosts begin to talk: each packet_in is the first of a flow
 * that never was before, and is answered when its frame comes back in a packet_out, to whichever switch.
 *
 *   --mode throughput   --window packet_ins under way for each switch with hosts, for --seconds after --warmup
 *   --mode latency      one at a time for each switch
 *   --mode reroute      --flows flows once; then the link that most of them were set to take fails: when does the last flow_mod come?
 *
 * With --buffered switches keep the frames, as those that cbench emulates: then a flow_mod or packet_out that names the buffer is the
 * answer, too.
 *
 * Without links ("--topology none") hosts talk within their switch, which is what a learning switch can be loaded with.  Prints one
 * JSON line; with --pid also the CPU time that the controller took for each answer, and its memory.  Exit 1 when the controller did
 * not get ready, closed a connection or answered nothing. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "account.h"
#include "load.h"
#include "weft/base/options.h"
#include "weft/base/util.h"

#define BATCH 32 /* Hosts of one switch that announce themselves between two echos. */

struct load load;

static struct {
    char *version, *mode;
    uint64_t seconds_ms, warmup_ms, settle_ms, ready_ms, pid, n_flows;
} options = {.seconds_ms = 5000, .warmup_ms = 1000, .settle_ms = 1000, .ready_ms = 60000, .n_flows = 1000};

noreturn void die(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fputs("fabric-load: ", stderr);
    vfprintf(stderr, format, arguments);
    fputs("\n", stderr);
    va_end(arguments);
    exit(1);
}

void *allocate(size_t n, size_t size)
{
    void *memory = calloc(n ? n : 1, size);
    if (!memory)
        die("out of memory");
    return memory;
}

uint64_t now_ns(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

/* xorshift64* (Vigna, An experimental exploration of Marsaglia's xorshift generators, 2016). */
uint32_t random_below(uint32_t limit)
{
    load.random ^= load.random >> 12;
    load.random ^= load.random << 25;
    load.random ^= load.random >> 27;
    return (uint32_t)((load.random * 0x2545f4914f6cdd1d >> 32) * limit >> 32);
}

/* ---- phases ---------------------------------------------------------------------------------------------------- */

static void wait_until(bool (*condition)(void), const char *what)
{
    uint64_t end = now_ns() + options.ready_ms * 1000000;
    while (!condition()) {
        if (now_ns() > end)
            die("%s: not within %llu ms%s%s", what, (unsigned long long)options.ready_ms, load.first_refused[0] ? "; refused " : "",
                load.first_refused);
        connections_poll(10);
    }
}

static void run_for(uint64_t ms)
{
    uint64_t now = now_ns(), end = now + ms * 1000000, next_check = now;
    while ((now = now_ns()) < end) {
        if (now >= next_check) {
            flows_expire();
            next_check = now + 100000000;
        }
        connections_poll(10);
    }
}

static bool all_have_features(void)
{
    for (uint32_t i = 0; i < load.n_switches; i++)
        if (!load.switches[i].has_features)
            return false;
    return true;
}

static bool all_are_synced(void)
{
    for (uint32_t i = 0; i < load.n_switches; i++)
        if (load.switches[i].echo_got != load.switches[i].echo_sent)
            return false;
    return true;
}

static bool all_are_probed(void)
{
    for (uint32_t i = 0; i < load.n_switches; i++)
        for (uint32_t port = 0; port < load.switches[i].n_links; port++)
            if (!load.switches[i].links[port].is_probed)
                return false;
    return true;
}

/* The controller has read everything that was sent. */
static void sync_all(const char *what)
{
    for (uint32_t i = 0; i < load.n_switches; i++)
        switch_sync(&load.switches[i]);
    wait_until(all_are_synced, what);
}

static void announce_hosts(void)
{
    flows_announce(&load.switches[load.edges[0]], 1); /* The host that the others ask for. */
    sync_all("the answer to an echo behind the first host");
    for (bool are_left = true; are_left;) {
        are_left = false;
        for (uint32_t i = 0; i < load.n_edges; i++) {
            struct emulated_switch *sw = &load.switches[load.edges[i]];
            flows_announce(sw, BATCH);
            are_left |= sw->n_announced < sw->n_hosts;
        }
        sync_all("the answer to an echo behind hosts");
    }
}

/* ---- what is measured ------------------------------------------------------------------------------------------ */

static uint64_t memory_kib(void)
{
    char path[64], line[256];
    uint64_t kib = 0;
    snprintf(path, sizeof(path), "/proc/%llu/status", (unsigned long long)options.pid);
    FILE *file = options.pid ? fopen(path, "re") : NULL;
    while (file && fgets(line, sizeof(line), file))
        if (strncmp(line, "VmRSS:", 6) == 0)
            kib = strtoull(line + 6, NULL, 10);
    if (file)
        fclose(file);
    return kib;
}

static uint64_t cpu_ns(void)
{
    char pid[32];
    snprintf(pid, sizeof(pid), "%llu", (unsigned long long)options.pid);
    return options.pid ? account_cpu_ns(pid) : 0;
}

static void print_start(void)
{
    printf("{\"mode\": \"%s\", \"version\": \"%s\", \"topology\": \"%s\", \"switches\": %u, \"links\": %u, \"hosts\": %u, \"window\": %llu",
           options.mode, options.version, load.settings.topology, load.n_switches, load.n_link_ends / 2, load.n_hosts,
           (unsigned long long)load.settings.window);
}

static void print_end(void)
{
    printf(", \"packet_ins\": %llu, \"lost\": %llu, \"packet_outs\": %llu, \"flow_mods\": %llu, \"group_mods\": %llu, \"flow_removed\": %llu, "
           "\"errors\": %llu, \"refused\": %llu}\n",
           (unsigned long long)load.count.packet_ins, (unsigned long long)load.count.lost, (unsigned long long)load.count.packet_outs,
           (unsigned long long)load.count.flow_mods, (unsigned long long)load.count.group_mods,
           (unsigned long long)load.count.flow_removed, (unsigned long long)load.count.errors,
           (unsigned long long)load.count.refused);
    if (load.count.refused)
        fprintf(stderr, "fabric-load: a message could not be read: %s\n", load.first_refused);
}

/* Throughput and latency. */
static void measure(uint64_t kib_before, uint64_t kib_after)
{
    load.is_sending = true;
    flows_start();
    run_for(options.warmup_ms);
    load.count = (struct counters){.errors = load.count.errors, .refused = load.count.refused};
    load.is_measured = true;
    uint64_t start_ns = now_ns(), start_cpu = cpu_ns(), own_cpu = account_own_ns();
    run_for(options.seconds_ms);
    double seconds = (double)(now_ns() - start_ns) / 1e9, n = (double)load.count.responses;
    double controller_us = (double)(cpu_ns() - start_cpu) / 1000, own_us = (double)(account_own_ns() - own_cpu) / 1000;
    load.is_measured = load.is_sending = false;
    if (load.count.responses == 0)
        die("no packet_in was answered: %llu sent, %llu packet_outs and %llu flow_mods received", (unsigned long long)load.count.packet_ins,
            (unsigned long long)load.count.packet_outs, (unsigned long long)load.count.flow_mods);

    print_start();
    printf(", \"seconds\": %.3f, \"responses\": %.0f, \"per_second\": %.0f, \"p50_us\": %.1f, \"p99_us\": %.1f, \"own_us_per_response\": %.3f",
           seconds, n, n / seconds, latency_us(0.5), latency_us(0.99), own_us / n);
    if (options.pid)
        printf(", \"cpu_us_per_response\": %.3f, \"cpu_share\": %.3f, \"kib_before_hosts\": %llu, \"kib_with_hosts\": %llu, \"kib\": %llu",
               controller_us / n, controller_us / seconds / 1e6, (unsigned long long)kib_before, (unsigned long long)kib_after,
               (unsigned long long)memory_kib());
    print_end();
}

/* The end of the link that most flows leave by. */
static struct emulated_switch *busiest(uint32_t *ret_port)
{
    struct emulated_switch *ret = NULL;
    uint64_t most = 0;
    for (uint32_t i = 0; i < load.n_switches; i++)
        for (uint32_t port = 0; port < load.switches[i].n_links; port++)
            if (load.switches[i].links[port].n_flows > most) {
                most = load.switches[i].links[port].n_flows;
                ret = &load.switches[i];
                *ret_port = port + 1;
            }
    return ret;
}

/* Ends when a second has brought no more flow_mods. */
static void reroute(void)
{
    uint32_t port = 0;
    flows_start();
    wait_until(flows_are_answered, "the answers to all flows");
    sync_all("the answer to an echo behind all flows");
    struct emulated_switch *sw = busiest(&port);
    if (!sw)
        die("no flow was set to leave by a link");
    uint64_t n_there = sw->links[port - 1].n_flows, before = load.count.flow_mods, start_cpu = cpu_ns(), start_ns = now_ns();
    load.last_flow_mod_ns = start_ns;
    switch_set_link(sw, port, false);
    while (now_ns() - load.last_flow_mod_ns < 1000000000)
        connections_poll(10);
    print_start();
    printf(", \"flows_there\": %llu, \"flow_mods_then\": %llu, \"rerouted_ms\": %.3f, \"cpu_ms\": %.3f", (unsigned long long)n_there,
           (unsigned long long)(load.count.flow_mods - before), (double)(load.last_flow_mod_ns - start_ns) / 1e6,
           (double)(cpu_ns() - start_cpu) / 1e6);
    print_end();
    if (load.count.flow_mods == before)
        die("the controller changed no flow");
}

/* ---- options --------------------------------------------------------------------------------------------------- */

static void read_address(char *text)
{
    char *colon = strrchr(text, ':');
    uint64_t port;
    if (!colon || parse_u64(colon + 1, 1, 65535, &port) < 0)
        die("'%s' is not ADDRESS:PORT", text);
    *colon = '\0';
    load.settings.host = text;
    load.settings.port = (uint16_t)port;
}

static char *copy(const char *text)
{
    char *ret = strdup(text);
    if (!ret)
        die("out of memory");
    return ret;
}

static void check_options(void)
{
    if (streq(options.version, "1.0"))
        load.settings.version = OF10;
    else if (streq(options.version, "1.3"))
        load.settings.version = OF13;
    else
        die("'%s' is no version: 1.0 or 1.3", options.version);
    if (streq(options.mode, "latency"))
        load.settings.window = 1;
    else if (streq(options.mode, "reroute"))
        load.settings.window = 0; /* Below, when the switches with hosts are known. */
    else if (!streq(options.mode, "throughput"))
        die("'%s' is no mode: throughput, latency or reroute", options.mode);
    if (load.settings.flow_table < 1)
        die("a flow table holds at least 1 flow");
    load.random = load.settings.seed | 1;
}

int main(int argc, char **argv)
{
    struct settings *settings = &load.settings;
    *settings = (struct settings){.n_switches = 16, .k = 4, .n_hosts = 1600, .window = 64, .flow_table = 1000, .seed = 1, .timeout_ms = 1000};
    settings->topology = copy("none");
    options.version = copy("1.3");
    options.mode = copy("throughput");
    const struct option_spec specs[] = {
        {"openflow", OPTION_STRING, &options.version, "VERSION", "1.0 or 1.3 (1.3)"},
        {"mode", OPTION_STRING, &options.mode, "MODE", "throughput, latency or reroute (throughput)"},
        {"topology", OPTION_STRING, &settings->topology, "NAME", "none, linear, ring, fat-tree or file:PATH (none)"},
        {"switches", OPTION_NUMBER, &settings->n_switches, "N", "but of a fat-tree (16)"},
        {"k", OPTION_NUMBER, &settings->k, "K", "of a fat-tree (4)"},
        {"hosts", OPTION_NUMBER, &settings->n_hosts, "N", "in all (1600)"},
        {"window", OPTION_NUMBER, &settings->window, "N", "packet_ins under way for each switch with hosts (64)"},
        {"buffered", OPTION_FLAG, &settings->is_buffered, NULL, "switches have buffers: a flow_mod that names one is an answer"},
        {"flows", OPTION_NUMBER, &options.n_flows, "N", "of mode reroute (1000)"},
        {"flow-table", OPTION_NUMBER, &settings->flow_table, "N", "flows of a switch, of those that send flow_removed (1000)"},
        {"seconds-ms", OPTION_NUMBER, &options.seconds_ms, "MS", "how long to measure (5000)"},
        {"warmup-ms", OPTION_NUMBER, &options.warmup_ms, "MS", "how long before (1000)"},
        {"settle-ms", OPTION_NUMBER, &options.settle_ms, "MS", "from links to hosts: a controller may not believe a new port at once (1000)"},
        {"ready-ms", OPTION_NUMBER, &options.ready_ms, "MS", "the longest wait for the controller (60000)"},
        {"timeout-ms", OPTION_NUMBER, &settings->timeout_ms, "MS", "after which a packet_in is lost (1000)"},
        {"pid", OPTION_NUMBER, &options.pid, "PID", "the controller's, for its CPU time and memory"},
        {"seed", OPTION_NUMBER, &settings->seed, "N", "of who talks to whom (1)"},
        {0},
    };
    char **arguments;
    int n_arguments;
    struct error error = {0};
    if (options_parse(specs, "/dev/null", "fabric-load [OPTION]... ADDRESS:PORT", argc, argv, &arguments, &n_arguments, &error) < 0)
        die("%s: %s", error.field, error.message);
    if (n_arguments != 1)
        die("wants one ADDRESS:PORT behind the options; see --help");
    read_address(arguments[0]);
    check_options();

    topology_make();
    if (load.settings.window == 0)
        load.settings.window = (options.n_flows + load.n_edges - 1) / load.n_edges;
    flows_make();
    connections_open();
    wait_until(all_have_features, "a features_request to each switch");
    sync_all("the answer to an echo behind the features");
    wait_until(all_are_probed, "LLDP over every link");
    sync_all("the answer to an echo behind the links");
    run_for(options.settle_ms);
    uint64_t kib_before = memory_kib();
    announce_hosts();
    uint64_t kib_after = memory_kib();
    if (streq(options.mode, "reroute"))
        reroute();
    else
        measure(kib_before, kib_after);
    return 0;
}
