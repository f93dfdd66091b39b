// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Measuring the data plane's programs: BPF_PROG_TEST_RUN hands each run the frame that the last one left, so 'restore' puts
 * the frame back as it was, moves on to the next connection, and tail-calls the program under test. */
#include <stddef.h>

#include <linux/bpf.h>
#include <linux/pkt_cls.h>

#include <bpf/bpf_helpers.h>

struct plan {
    __u32 size;         /* Of the frame as it should be. */
    __u32 n_bytes;      /* Of 'bytes' to write back; 0: nothing was changed. */
    __u32 n_flows;      /* Connections to take turns; 0: leave the frame's ports alone. */
    __u32 next, step;   /* The next one, and how far it is from there to the one after it. */
    __u32 mark, priority;
    __u32 to_port;      /* The first destination port, when there are several connections. */
    __u8 bytes[128];
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

SEC("tc") int empty(struct __sk_buff *skb)
{
    return TC_ACT_STOLEN;
}

SEC("tc") int restore(struct __sk_buff *skb)
{
    __u32 zero = 0;
    struct plan *plan = bpf_map_lookup_elem(&plans, &zero);

    if (!plan)
        return TC_ACT_SHOT;
    if (skb->len != plan->size &&
        bpf_skb_adjust_room(skb, (__s32)plan->size - (__s32)skb->len, BPF_ADJ_ROOM_MAC, BPF_F_ADJ_ROOM_FIXED_GSO))
        return TC_ACT_SHOT;
    __u32 size = plan->n_bytes;
    if (size && size <= sizeof(plan->bytes) && bpf_skb_store_bytes(skb, 0, plan->bytes, size, 0))
        return TC_ACT_SHOT;
    if (plan->mark) {
        skb->mark = plan->mark;
        skb->priority = plan->priority;
    }
    if (plan->n_flows) {
        __u32 flow = plan->next, next = flow + plan->step;
        plan->next = next < plan->n_flows ? next : next % plan->n_flows;
        unsigned char *frame = (void *)(long)skb->data;
        if (frame + 42 > (unsigned char *)(long)skb->data_end)
            return TC_ACT_SHOT;
        *(__u16 *)(frame + 34) = __builtin_bswap16((__u16)flow);                          /* Source port, */
        *(__u16 *)(frame + 36) = __builtin_bswap16((__u16)(plan->to_port + (flow >> 12))); /* and destination port: SNAT has a name for each. */
    }
    bpf_tail_call(skb, &under_test, 0);
    return TC_ACT_SHOT;
}

/* What 'restore' has to undo when the program under test grew the frame; for subtracting the cost of undoing. */
SEC("tc") int grow(struct __sk_buff *skb)
{
    return bpf_skb_adjust_room(skb, 50, BPF_ADJ_ROOM_MAC, BPF_F_ADJ_ROOM_FIXED_GSO) ? TC_ACT_SHOT : TC_ACT_STOLEN;
}
