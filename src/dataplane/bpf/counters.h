// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Per-port counters and the token buckets.  A port sends ("tx") what its workload sent and receives ("rx") what its
 * workload was given.  A frame that will be cut (GSO) counts as the frames and bytes that it will be on the wire. */
#ifndef WEFT_BPF_COUNTERS_H
#define WEFT_BPF_COUNTERS_H

#include "weft/dataplane/bpf/packet.h"

static __always_inline void count_sent(__u32 slot, const struct packet *packet)
{
    struct port_counters *counters = map_lookup(port_counters, &slot);

    if (counters) {
        counters->tx_packets += packet->segments;
        counters->tx_bytes += packet_wire_bytes(packet);
    }
}

static __always_inline void count_received(__u32 slot, __u32 packets, __u64 bytes)
{
    struct port_counters *counters = map_lookup(port_counters, &slot);

    if (counters) {
        counters->rx_packets += packets;
        counters->rx_bytes += bytes;
    }
}

static __always_inline void count_drop(__u32 slot, __u32 reason)
{
    struct port_counters *counters = map_lookup(port_counters, &slot);

    if (counters && reason < MAX_DROP_REASONS)
        counters->drops[drop_bound(reason)]++;
}

/* Refills a bucket and returns what is in it.  Time that does not make a whole token is kept.  Two CPUs may both take the
 * last token: a budget is a bound on load, not an account. */
static __always_inline __u64 bucket_refill(__u64 *time, __u64 *tokens, __u32 rate, __u32 burst)
{
    __u64 now = time_ns(), last = *time, content = *tokens;
    const __u64 second = 1000000000ull;

    if (!rate)
        return 0;
    if (!last) {
        *time = now;
        content = burst;
    } else if (now >= last + 4 * second) { /* Keeps the product below 64 bits. */
        *time = now;
        content += 4ull * rate;
    } else if (now > last) {
        __u64 gained = (now - last) * rate / second;
        if (gained) {
            *time = last + gained * second / rate;
            content += gained;
        }
    }
    if (content > burst)
        content = burst;
    *tokens = content;
    return content;
}

/* Takes a token of a bucket that holds those of one second. */
static __always_inline bool bucket_spend(__u64 *time, __u64 *tokens, __u32 rate)
{
    __u64 content = bucket_refill(time, tokens, rate, rate);

    if (content)
        *tokens = content - 1;
    return content;
}

/* What is left to the stations of a network.  One row for each that has an uplink, so that the map is never full of those in use. */
static __always_inline struct uplink_budget *uplink_budget_of(__u32 vni)
{
    const struct uplink_budget full ON_STACK = {};
    struct uplink_budget *budget = map_lookup(uplink_budget, &vni);

    if (budget)
        return budget;
    map_insert(uplink_budget, &vni, &full);
    return map_lookup(uplink_budget, &vni);
}

#endif
