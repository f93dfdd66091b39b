/* Packets that a switch has no flow for, each of a flow that never was before, and the answers to them.
 *
 * A frame carries the number of its slot, so that an answer is recognized whichever switch it comes to, and however late. */
#include <string.h>

#include "load.h"
#include "weft/base/util.h"

#define MARK 0x776566746c6f6164 /* "weftload". */
#define FRAME_SIZE 60
#define MARK_AT 42 /* Behind Ethernet, IPv4 and UDP. */

/* Latencies by their highest bit and the five bits behind it: within 3 %. */
#define N_FINE 32
static uint64_t latencies[64 * N_FINE];
static uint64_t n_latencies;

static uint32_t host_number(const struct emulated_switch *sw, uint32_t local)
{
    return local * load.n_edges + sw->edge;
}

static uint32_t host_port(const struct emulated_switch *sw, uint32_t local)
{
    return sw->n_links + 1 + local % sw->n_host_ports;
}

static uint32_t host_ip(uint32_t host)
{
    return 0x0a000001 + host;
}

static void put_mac(uint8_t *at, uint32_t host)
{
    at[0] = 0x02;
    at[1] = 0;
    put_be32(at + 2, host + 1);
}

static uint16_t ip_checksum(const uint8_t *header)
{
    uint32_t sum = 0;
    for (int i = 0; i < 20; i += 2)
        sum += get_be16(header + i);
    sum = (sum & 0xffff) + (sum >> 16);
    return (uint16_t) ~(sum + (sum >> 16));
}

static void send_frame(struct emulated_switch *sw, uint32_t port, const uint8_t *frame, uint32_t buffer_id)
{
    struct of_message message = {.kind = OF_PACKET_IN};
    message.packet_in = (struct of_packet_in){.buffer_id = buffer_id, .total_len = FRAME_SIZE, .reason = OFPR_NO_MATCH,
                                              .in_port = port, .data = {frame, FRAME_SIZE}};
    switch_send(sw, &message);
}

/* ---- hosts ----------------------------------------------------------------------------------------------------- */

static void announce(struct emulated_switch *sw, uint32_t local)
{
    static const uint8_t fixed[8] = {0, 1, 8, 0, 6, 4, 0, 1}; /* Ethernet, IPv4, their sizes, request. */
    uint8_t frame[FRAME_SIZE] = {0};
    uint32_t host = host_number(sw, local);
    memset(frame, 0xff, 6);
    put_mac(frame + 6, host);
    put_be16(frame + 12, 0x0806);
    memcpy(frame + 14, fixed, sizeof(fixed));
    put_mac(frame + 22, host);
    put_be32(frame + 28, host_ip(host));
    put_be32(frame + 38, host_ip(0)); /* One that a controller can answer, so that not every request goes to every host. */
    send_frame(sw, host_port(sw, local), frame, OF_NO_BUFFER);
}

void flows_announce(struct emulated_switch *sw, uint32_t n)
{
    for (; n && sw->n_announced < sw->n_hosts; n--)
        announce(sw, sw->n_announced++);
}

/* ---- flows ----------------------------------------------------------------------------------------------------- */

/* Never OF_NO_BUFFER. */
static uint32_t buffer_of(const struct slot *slot, uint32_t number)
{
    return (slot->generation & 0x7fff) << 16 | number;
}

/* Between two hosts: of all, or without links of the switch's own. */
static void send_flow(struct emulated_switch *sw, uint32_t number)
{
    static const uint8_t fixed[12] = {0x45, 0, 0, FRAME_SIZE - 14, 0, 0, 0x40, 0, 64, 17, 0, 0};
    struct slot *slot = &sw->slots[number];
    uint32_t local = random_below(sw->n_hosts), source = host_number(sw, local), destination;
    do
        destination = load.n_link_ends ? random_below(load.n_hosts) : host_number(sw, random_below(sw->n_hosts));
    while (destination == source);

    uint8_t frame[FRAME_SIZE] = {0};
    uint64_t flow = load.next_flow++;
    put_mac(frame, destination);
    put_mac(frame + 6, source);
    put_be16(frame + 12, 0x0800);
    memcpy(frame + 14, fixed, sizeof(fixed));
    put_be32(frame + 26, host_ip(source));
    put_be32(frame + 30, host_ip(destination));
    put_be16(frame + 24, ip_checksum(frame + 14));
    put_be16(frame + 34, (uint16_t)(1024 + flow % 64000));
    put_be16(frame + 36, (uint16_t)(1024 + flow / 64000 % 64000));
    put_be16(frame + 38, FRAME_SIZE - 34);
    put_be64(frame + MARK_AT, MARK);
    put_be32(frame + MARK_AT + 8, sw->index);
    put_be16(frame + MARK_AT + 12, (uint16_t)number);
    put_be32(frame + MARK_AT + 14, ++slot->generation);

    slot->is_busy = true;
    slot->sent_ns = now_ns();
    load.count.packet_ins++;
    send_frame(sw, host_port(sw, local), frame, load.settings.is_buffered ? buffer_of(slot, number) : OF_NO_BUFFER);
}

void flows_make(void)
{
    if (load.settings.window < 1 || load.settings.window > 65535)
        die("a window is 1 to 65535, not %llu", (unsigned long long)load.settings.window);
    for (uint32_t i = 0; i < load.n_edges; i++)
        load.switches[load.edges[i]].slots = allocate(load.settings.window, sizeof(struct slot));
}

static void each_slot(void (*visit)(struct emulated_switch *sw, uint32_t number))
{
    for (uint32_t i = 0; i < load.n_edges; i++)
        for (uint32_t number = 0; number < load.settings.window; number++)
            visit(&load.switches[load.edges[i]], number);
}

static void start_if_free(struct emulated_switch *sw, uint32_t number)
{
    if (!sw->slots[number].is_busy)
        send_flow(sw, number);
}

void flows_start(void)
{
    each_slot(start_if_free);
}

static void expire_if_old(struct emulated_switch *sw, uint32_t number)
{
    struct slot *slot = &sw->slots[number];
    if (!slot->is_busy || now_ns() - slot->sent_ns < load.settings.timeout_ms * 1000000)
        return;
    load.count.lost++;
    slot->is_busy = false;
    if (load.is_sending)
        send_flow(sw, number);
}

void flows_expire(void)
{
    each_slot(expire_if_old);
}

bool flows_are_answered(void)
{
    for (uint32_t i = 0; i < load.n_edges; i++)
        for (uint32_t number = 0; number < load.settings.window; number++)
            if (load.switches[load.edges[i]].slots[number].is_busy)
                return false;
    return true;
}

/* ---- answers --------------------------------------------------------------------------------------------------- */

static void latency_add(uint64_t ns)
{
    unsigned high = ns < N_FINE ? 0 : 63 - (unsigned)__builtin_clzll(ns) - 4;
    latencies[high * N_FINE + (high ? ns >> (high - 1) & (N_FINE - 1) : ns)]++;
    n_latencies++;
}

double latency_us(double quantile)
{
    uint64_t wanted = (uint64_t)((double)n_latencies * quantile), seen = 0;
    for (size_t i = 0; i < ARRAY_SIZE(latencies); i++) {
        seen += latencies[i];
        if (seen > wanted) {
            unsigned high = (unsigned)(i / N_FINE);
            uint64_t low = i % N_FINE;
            return (double)(high ? (low | N_FINE) << (high - 1) : low) / 1000;
        }
    }
    return 0;
}

void latency_clear(void)
{
    memset(latencies, 0, sizeof(latencies));
    n_latencies = 0;
}

/* The first answer to what is in the slot; later ones, as a packet_out behind a flow_mod, change nothing. */
static void answered(struct emulated_switch *sw, uint32_t number)
{
    struct slot *slot = &sw->slots[number];
    if (!slot->is_busy)
        return;
    load.count.responses++;
    if (load.is_measured)
        latency_add(now_ns() - slot->sent_ns);
    slot->is_busy = false;
    if (load.is_sending)
        send_flow(sw, number);
}

bool flows_answered(struct of_bytes frame)
{
    if (frame.size < FRAME_SIZE || get_be64(frame.data + MARK_AT) != MARK)
        return false;
    uint32_t index = get_be32(frame.data + MARK_AT + 8), number = get_be16(frame.data + MARK_AT + 12);
    if (index >= load.n_switches || number >= load.settings.window || !load.switches[index].slots)
        return false;
    struct emulated_switch *sw = &load.switches[index];
    if (sw->slots[number].generation == get_be32(frame.data + MARK_AT + 14))
        answered(sw, number);
    return true;
}

bool flows_answered_by_buffer(struct emulated_switch *sw, uint32_t buffer_id)
{
    uint32_t number = buffer_id & 0xffff;
    if (buffer_id == OF_NO_BUFFER || !load.settings.is_buffered || !sw->slots || number >= load.settings.window)
        return false;
    if (buffer_of(&sw->slots[number], number) == buffer_id)
        answered(sw, number);
    return true;
}
