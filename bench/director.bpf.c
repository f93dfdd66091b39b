// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Measuring the director's program: BPF_PROG_TEST_RUN hands each run the frame that the last one left, so 'restore' puts the frame back as
 * it was, moves on to the next client, and tail-calls the program under test. */
#include <stddef.h>

#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

#define RESTORED 64 /* Bytes. */

struct plan {
    __u32 size;    /* Of the frame as it should be. */
    __u32 n_flows; /* Clients to take turns; 1: the frame's own. */
    __u32 next;
    __u32 growth;  /* Of 'grow'. */
    __u8 bytes[RESTORED];
};

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, 1);
    __type(key, __u32);
    __type(value, struct plan);
} plans SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_PROG_ARRAY);
    __uint(max_entries, 1);
    __type(key, __u32);
    __type(value, __u32);
} under_test SEC(".maps");

char _license[] SEC("license") = "Dual BSD/GPL";

SEC("xdp") int empty(struct xdp_md *ctx)
{
    return XDP_DROP;
}

/* Does nothing but what makes 'restore' work for it. */
SEC("xdp") int grow(struct xdp_md *ctx)
{
    __u32 zero = 0;
    struct plan *plan = bpf_map_lookup_elem(&plans, &zero);

    if (plan)
        bpf_xdp_adjust_head(ctx, -(int)(plan->growth & 127));
    return XDP_DROP;
}

SEC("xdp") int restore(struct xdp_md *ctx)
{
    __u32 zero = 0;
    struct plan *plan = bpf_map_lookup_elem(&plans, &zero);
    int difference;
    __u8 *frame;

    if (!plan)
        return XDP_ABORTED;
    difference = (int)(ctx->data_end - ctx->data) - (int)plan->size;
    if (difference && bpf_xdp_adjust_head(ctx, difference))
        return XDP_ABORTED;
    frame = (__u8 *)(long)ctx->data;
    if (frame + RESTORED > (__u8 *)(long)ctx->data_end)
        return XDP_ABORTED;
    __builtin_memcpy(frame, plan->bytes, RESTORED);
    if (plan->n_flows > 1) {
        /* In an order that no cache can guess: 7919 and the counts in use have no common factor. */
        plan->next += 7919;
        if (plan->next >= plan->n_flows)
            plan->next -= plan->n_flows;
        *(__u16 *)(frame + 28) = (__u16)plan->next;       /* Half of an IPv4 source address, */
        *(__u16 *)(frame + 34) = (__u16)(plan->next >> 4); /* and the source port. */
    }
    bpf_tail_call(ctx, &under_test, 0);
    return XDP_ABORTED;
}
