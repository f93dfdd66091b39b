/* What the fabric itself costs, without sockets:  bench-fabric [ROUNDS]
 *
 *   packet_in   CPU nanoseconds for each new flow between random hosts of a fat-tree (k = 4 and 8): decoding, hosts, path, buckets, and the encoding of
 *               four to five flow_mods and a packet_out
 *   reroute     CPU milliseconds from a cut link until the last flow_mod of 1,000 flows that went over it
 *   host        bytes of memory a known host, with an address: what the allocator gives for 100,000 of them
 *
 * Medians of the rounds.  Prints a JSON array of rows {name, unit, ours, goal, met}. */
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "weft/base/util.h"
#include "world.h"

#define ROUNDS_MAX 101
#define FLOWS 200000u
#define BATCH 256u
#define HOSTS_MEASURED 100000u
#define REROUTED 1000u

static uint64_t cpu_ns(void)
{
    struct timespec time;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

static void big(struct fabric_options *options)
{
    options->max_hosts_port = 2 * HOSTS_MEASURED;
    options->flow_rate = 100000000; /* Few ports, much traffic, and time that stands still. */
    options->event = NULL;
}

/* ---- a fat-tree with a host at each edge switch ------------------------------------------------------------------------------- */

struct fat_tree {
    struct world *world;
    struct sim_switch *edges[64];
    struct sim_host *hosts[64];
    unsigned n;
};

static struct fat_tree fat_tree_new(unsigned k, enum of_version version)
{
    struct fat_tree tree = {.world = world_new(big), .n = k * k / 2};
    struct sim_switch *core[64], *aggregation[64];
    unsigned half = k / 2;
    uint64_t id = 1;

    for (unsigned i = 0; i < half * half; i++)
        core[i] = world_switch(tree.world, id++, version);
    for (unsigned i = 0; i < tree.n; i++) {
        aggregation[i] = world_switch(tree.world, id++, version);
        tree.edges[i] = world_switch(tree.world, id++, version);
    }
    for (unsigned i = 0; i < tree.n; i++) {
        unsigned pod = i / half, place = i % half;
        char mac[20], ip[20];

        for (unsigned j = 0; j < half; j++) {
            world_link(tree.edges[i], 1 + j, aggregation[pod * half + j], 1 + place);
            world_link(aggregation[i], 1 + half + j, core[place * half + j], 1 + pod);
        }
        snprintf(mac, sizeof(mac), "02:00:00:00:00:%02x", i);
        snprintf(ip, sizeof(ip), "10.1.0.%u", i + 1);
        tree.hosts[i] = world_host(tree.world, tree.edges[i], 60, mac, ip);
    }
    world_connect_all(tree.world);
    world_settle(tree.world);
    for (unsigned i = 0; i < tree.n; i++)
        host_send_arp(tree.hosts[i], &tree.hosts[i]->ip);
    return tree;
}

static void put_packet_in(const struct fat_tree *tree, unsigned from, unsigned to, uint32_t ports, struct buffer *bytes)
{
    static const uint8_t header[12] = {0x45, 0, 0, 46, 0, 0, 0, 0, 64, 6, 0, 0};
    uint8_t frame[60] = {0};
    struct writer writer = writer_of(frame, sizeof(frame));
    struct of_message message = {.kind = OF_PACKET_IN, .xid = 1};

    writer_bytes(&writer, tree->hosts[to]->mac.bytes, 6);
    writer_bytes(&writer, tree->hosts[from]->mac.bytes, 6);
    writer_u16(&writer, ETHERTYPE_IPV4);
    writer_bytes(&writer, header, sizeof(header));
    writer_bytes(&writer, tree->hosts[from]->ip.bytes + 12, 4);
    writer_bytes(&writer, tree->hosts[to]->ip.bytes + 12, 4);
    writer_u32(&writer, ports);
    message.packet_in = (struct of_packet_in){.buffer_id = OF_NO_BUFFER, .total_len = sizeof(frame), .in_port = 60,
                                              .match = {.fields = OFM_IN_PORT, .in_port = 60}, .data = {frame, sizeof(frame)}};
    if (of_encode(tree->edges[from]->version, &message, bytes) < 0)
        exit(1);
}

static double packet_in_ns(unsigned k, enum of_version version)
{
    struct fat_tree tree = fat_tree_new(k, version);
    struct buffer bytes[64] = {0};
    uint64_t took = 0, start;
    uint32_t ports = 0;

    for (unsigned done = 0; done < FLOWS; done += BATCH) {
        for (unsigned i = 0; i < BATCH; i++) {
            unsigned from = (unsigned)rand() % tree.n, to = (from + 1 + (unsigned)rand() % (tree.n - 1)) % tree.n;

            put_packet_in(&tree, from, to, ++ports, &bytes[from]);
        }
        start = cpu_ns();
        for (unsigned i = 0; i < tree.n; i++)
            if (bytes[i].size)
                fabric_receive(tree.world->fabric, tree.edges[i]->channel, bytes[i].data, bytes[i].size, tree.world->now_ms);
        took += cpu_ns() - start;
        for (size_t i = 0; i < tree.world->n_switches; i++)
            channel_output(tree.world->switches[i]->channel)->size = 0;
        for (unsigned i = 0; i < tree.n; i++)
            bytes[i].size = 0;
    }
    for (unsigned i = 0; i < tree.n; i++)
        buffer_clear(&bytes[i]);
    world_free(tree.world);
    return (double)took / FLOWS;
}

/* ---- rerouting --------------------------------------------------------------------------------------------------------------------- */

static double reroute_ms(void)
{
    struct fat_tree tree = fat_tree_new(4, OF13);
    struct buffer bytes = {0};
    struct fabric_counters before, after;
    uint64_t start, took;

    /* Between two switches of one pod; half of the flows go over each of the two aggregation switches. */
    for (unsigned i = 0; i < 2 * REROUTED; i++)
        put_packet_in(&tree, 0, 1, i, &bytes);
    fabric_receive(tree.world->fabric, tree.edges[0]->channel, bytes.data, bytes.size, tree.world->now_ms);
    buffer_clear(&bytes);
    world_run(tree.world, 50);
    fabric_counters(tree.world->fabric, &before);
    start = tree.world->fabric_ns;
    world_cut(tree.edges[0], 1); /* With the barriers' answers. */
    took = tree.world->fabric_ns - start;
    fabric_counters(tree.world->fabric, &after);
    if (after.flows_rerouted - before.flows_rerouted < REROUTED * 8 / 10) {
        fprintf(stderr, "bench-fabric: only %llu flows were moved\n", (unsigned long long)(after.flows_rerouted - before.flows_rerouted));
        exit(1);
    }
    world_free(tree.world);
    return (double)took / 1e6 * REROUTED / (double)(after.flows_rerouted - before.flows_rerouted);
}

/* ---- hosts ----------------------------------------------------------------------------------------------------------------------------- */

static size_t memory_in_use(void)
{
    struct mallinfo2 info = mallinfo2();

    return info.uordblks + info.hblkhd;
}

static double host_bytes(void)
{
    struct fat_tree tree = fat_tree_new(4, OF13);
    struct sim_host guise = *tree.hosts[0];
    size_t before = memory_in_use();

    for (uint32_t i = 0; i < HOSTS_MEASURED; i++) {
        put_be32(guise.mac.bytes + 2, i + 0x01000000);
        guise.ip = ip_from_v4(0x0a800000 + i);
        host_send_arp(&guise, &guise.ip);
    }
    before = memory_in_use() - before;
    if (tree.world->fabric->hosts.n_nodes < HOSTS_MEASURED)
        exit(1);
    world_free(tree.world);
    return (double)before / HOSTS_MEASURED;
}

/* ---- rows -------------------------------------------------------------------------------------------------------------------------------- */

static int compare(const void *a, const void *b)
{
    const double *left = a, *right = b;

    return *left < *right ? -1 : *left > *right;
}

static double median(double *values, int n)
{
    qsort(values, (size_t)n, sizeof(*values), compare);
    return values[n / 2];
}

static void row(const char *name, const char *unit, double ours, double goal, bool is_last)
{
    printf(" {\"name\": \"%s\", \"unit\": \"%s\", \"ours\": %.3f, \"goal\": \"<= %g\", \"met\": %s}%s\n", name, unit, ours, goal,
           ours <= goal ? "true" : "false", is_last ? "" : ",");
}

int main(int argc, char **argv)
{
    int n = argc > 1 ? atoi(argv[1]) : 5;
    double small[ROUNDS_MAX], large[ROUNDS_MAX], old[ROUNDS_MAX], reroute[ROUNDS_MAX];

    if (n < 1 || n > ROUNDS_MAX) {
        fprintf(stderr, "bench-fabric: rounds: '%s' is not 1 to %d\n", argv[1], ROUNDS_MAX);
        return 2;
    }
    srand(1);
    for (int i = 0; i < n; i++) {
        small[i] = packet_in_ns(4, OF13);
        large[i] = packet_in_ns(8, OF13);
        old[i] = packet_in_ns(8, OF10);
        reroute[i] = reroute_ms();
    }
    printf("[\n");
    row("packet_in answered, fat-tree k=4, OpenFlow 1.3", "ns", median(small, n), 1500, false);
    row("packet_in answered, fat-tree k=8, OpenFlow 1.3", "ns", median(large, n), 1500, false);
    row("packet_in answered, fat-tree k=8, OpenFlow 1.0", "ns", median(old, n), 1500, false);
    row("1,000 flows rerouted after a cut", "ms", median(reroute, n), 50, false);
    row("memory a known host", "bytes", host_bytes(), 200, true);
    printf("]\n");
    return 0;
}
