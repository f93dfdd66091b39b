/* Nanoseconds that the OpenFlow codec takes for what a controller does for each new flow:  bench-openflow [ROUNDS]
 *
 * Decoding a packet_in as Open vSwitch sends it (98 bytes of a frame), encoding a flow_mod that matches a 5-tuple and forwards, and
 * encoding the packet_out.  The median of the rounds of 200,000 each.  Prints a JSON array of rows {name, unit, ours, goal, met}. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "weft/base/util.h"
#include "weft/fabric/openflow/openflow.h"

#define N_ROUNDS_MAX 101
#define N_EACH 200000

static const enum of_version versions[] = {OF10, OF13};
static uint8_t frame[98];

static void die(const char *what)
{
    fprintf(stderr, "bench-openflow: %s\n", what);
    exit(1);
}

/* Of this process: what others take meanwhile does not count. */
static uint64_t cpu_ns(void)
{
    struct timespec time;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

static void encode(enum of_version version, const struct of_message *message, struct buffer *buffer)
{
    if (of_encode(version, message, buffer) < 0)
        die(of_kind_name(message->kind));
}

/* Decoding is done for 64 messages in turn, so that the branches do not always see the same bytes at the same place. */
static uint64_t decode_packet_ins(enum of_version version)
{
    struct buffer buffer = {0};
    struct of_message message = {.kind = OF_PACKET_IN};
    size_t at[65], n = 64, sum = 0;
    message.packet_in = (struct of_packet_in){.buffer_id = OF_NO_BUFFER, .total_len = sizeof(frame),
                                              .data = {frame, sizeof(frame)}};
    for (size_t i = 0; i < n; i++) {
        at[i] = buffer.size;
        message.xid = (uint32_t)i;
        message.packet_in.in_port = (uint32_t)i + 1;
        encode(version, &message, &buffer);
    }
    at[n] = buffer.size;
    uint64_t start = cpu_ns();
    for (size_t i = 0; i < N_EACH; i++) {
        struct of_message got;
        size_t which = i % n;
        if (of_decode(version, buffer.data + at[which], at[which + 1] - at[which], &got, NULL) < 0)
            die("packet_in");
        sum += got.packet_in.in_port;
    }
    uint64_t took = cpu_ns() - start;
    buffer_clear(&buffer);
    return sum ? took : 0;
}

static struct of_match flow(void)
{
    struct of_match match = {.fields = OFM_IN_PORT | OFM_ETH_TYPE | OFM_IP_PROTO | OFM_IP_SRC | OFM_IP_DST | OFM_TP_SRC | OFM_TP_DST,
                             .in_port = 3, .eth_type = 0x0800, .ip_proto = 6, .ip_src = ip_from_v4(0x0a000001),
                             .ip_dst = ip_from_v4(0x0a000002), .tp_src = 1234, .tp_dst = 80};
    of_match_make_exact(&match);
    return match;
}

static uint64_t encode_many(enum of_version version, struct of_message *message)
{
    struct buffer buffer = {0};
    uint64_t start = cpu_ns();
    for (size_t i = 0; i < N_EACH; i++) {
        if (i % 64 == 0)
            buffer.size = 0;
        message->xid = (uint32_t)i;
        message->flow_mod.match.tp_src = message->kind == OF_FLOW_MOD ? (uint16_t)i : message->flow_mod.match.tp_src;
        encode(version, message, &buffer);
    }
    uint64_t took = cpu_ns() - start;
    buffer_clear(&buffer);
    return took;
}

/* The output action is part of it. */
static uint64_t encode_flow_mods(enum of_version version)
{
    uint8_t actions[16];
    struct writer writer = writer_of(actions, sizeof(actions));
    struct of_message message = {.kind = OF_FLOW_MOD};
    of_action_put(version, &writer, &(struct of_action){.kind = OFA_OUTPUT, .port = 7});
    message.flow_mod = (struct of_flow_mod){.idle_timeout_s = 60, .priority = 100, .buffer_id = OF_NO_BUFFER, .match = flow(),
                                            .instructions = {.apply_actions = {actions, writer.size}}};
    return encode_many(version, &message);
}

static uint64_t encode_packet_outs(enum of_version version)
{
    uint8_t actions[16];
    struct writer writer = writer_of(actions, sizeof(actions));
    struct of_message message = {.kind = OF_PACKET_OUT};
    of_action_put(version, &writer, &(struct of_action){.kind = OFA_OUTPUT, .port = 7});
    message.packet_out = (struct of_packet_out){.buffer_id = OF_NO_BUFFER, .in_port = 3, .actions = {actions, writer.size},
                                                .data = {frame, sizeof(frame)}};
    return encode_many(version, &message);
}

static int compare(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        uint64_t (*measure)(enum of_version version);
        int goal_ns; /* 0: none. */
    } rows[] = {{"packet_in decoded", decode_packet_ins, 25},
                {"flow_mod encoded", encode_flow_mods, 50},
                {"packet_out encoded", encode_packet_outs, 0}};
    size_t n_rounds = argc > 1 ? (size_t)atoi(argv[1]) : 15;
    if (n_rounds < 1 || n_rounds > N_ROUNDS_MAX)
        die("rounds are 1 to 101");
    printf("[");
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
        for (size_t v = 0; v < ARRAY_SIZE(versions); v++) {
            uint64_t took[N_ROUNDS_MAX];
            for (size_t round = 0; round < n_rounds; round++)
                took[round] = rows[i].measure(versions[v]);
            qsort(took, n_rounds, sizeof(took[0]), compare);
            double ns = (double)took[n_rounds / 2] / N_EACH;
            printf("%s\n {\"name\": \"OpenFlow %s, %s\", \"unit\": \"ns\", \"ours\": %.1f, ", i + v ? "," : "",
                   versions[v] == OF10 ? "1.0" : "1.3", rows[i].name, ns);
            if (rows[i].goal_ns)
                printf("\"goal\": \"<= %d\", \"met\": %s}", rows[i].goal_ns, ns <= rows[i].goal_ns ? "true" : "false");
            else
                printf("\"goal\": null, \"met\": null}");
        }
    printf("\n]\n");
    return 0;
}
