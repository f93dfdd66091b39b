// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* One source, two worlds.
 *
 * Everything in this folder compiles to BPF and, unchanged, to native code: for unit tests, fuzzing and traces.  The
 * pipeline therefore uses kernel helpers by their own names (native.h supplies them) and, where the two worlds differ,
 * the words of this file:
 *
 *   frame_at(skb, offset, size)  bytes of the frame, or NULL when it (or its linear part) ends before; invalid after any
 *                                helper that may move the frame
 *   load16/32/64, store16/32/64  unaligned access without byte-wise code
 *   map_lookup, map_insert, map_put, map_delete, map_ring_*    a map by its name
 *   time_ns()                    coarse monotonic time
 *   sweep_timer_*                the timer that ends connection entries
 *   frame_loop(n, function, state)   bpf_loop
 *   frame_unknown(value)         what a member of its state begins as that the function writes
 *   PROGRAM                      before a program
 *   TRACE(stage, format, ...)    a step for 'weft trace'; nothing in BPF
 *
 * What natively is not modelled: checksum state, and what happens behind a redirect. */
#ifndef WEFT_BPF_WORLD_H
#define WEFT_BPF_WORLD_H

#include <stdbool.h>
#include <stddef.h>

#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/pkt_cls.h>

#include "weft/dataplane/tables.h"

#ifdef __bpf__

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>
#include <linux/in.h>
#include <linux/in6.h>

#define AF_INET 2
#define AF_INET6 10

#define load16(p) (*(const __u16 *)(p))
#define load32(p) (*(const __u32 *)(p))
#define load64(p) (*(const __u64 *)(p))
#define store16(p, value) (*(__u16 *)(p) = (value))
#define store32(p, value) (*(__u32 *)(p) = (value))
#define store64(p, value) (*(__u64 *)(p) = (value))

#define map_lookup(map, key) bpf_map_lookup_elem(&map, key)
#define map_insert(map, key, value) bpf_map_update_elem(&map, key, value, BPF_NOEXIST)
#define map_put(map, key, value) bpf_map_update_elem(&map, key, value, BPF_ANY)
#define map_delete(map, key) bpf_map_delete_elem(&map, key)
#define map_ring_reserve(map, size) bpf_ringbuf_reserve(&map, size, 0)
#define map_ring_submit(event) bpf_ringbuf_submit(event, 0)
#define map_ring_discard(event) bpf_ringbuf_discard(event, 0)

#define PROGRAM SEC("tc")
#define time_ns() bpf_ktime_get_coarse_ns()
#define frame_loop(n, function, state) bpf_loop(n, function, state, 0)

/* A value, plus zero from where the verifier cannot know it.  Before Linux 6.7 (commit ab5cfac139ab) the verifier looks at one call of
 * a loop's function and believes that to be all.  A member of the state that begins as a constant then has two values for it,
 * the first one and that after one call, and it takes out what is left for others: with 'n_copies' and 'is_exhausted' both beginning
 * as 0, the one call either made a copy or was the end, so that "copies were made, and then came the end" was dead code, and the
 * drop was not counted.  (Whether it follows a member depends on its place on the stack, so that an unrelated member could make or mend it.) */
volatile __u32 frame_zero;
#define frame_unknown(value) ((value) + frame_zero)

#define sweep_timer_init(record) bpf_timer_init(&(record)->timer, &sweeper, 1 /* CLOCK_MONOTONIC */)
#define sweep_timer_set_callback(record, function) bpf_timer_set_callback(&(record)->timer, function)
#define sweep_timer_start(record, ns) bpf_timer_start(&(record)->timer, ns, 0)

#define TRACE(stage, ...) do { } while (0)

/* The context must be read by an offset that clang cannot fold into a modified pointer: hence the assembly. */
static __always_inline unsigned char *frame_data(const struct __sk_buff *skb)
{
    unsigned char *pointer;

    asm volatile("%0 = *(u32 *)(%1 + %2)" : "=r"(pointer) : "r"(skb), "i"(offsetof(struct __sk_buff, data)));
    return pointer;
}

static __always_inline unsigned char *frame_end(const struct __sk_buff *skb)
{
    unsigned char *pointer;

    asm volatile("%0 = *(u32 *)(%1 + %2)" : "=r"(pointer) : "r"(skb), "i"(offsetof(struct __sk_buff, data_end)));
    return pointer;
}

/* A function that the verifier checks once and by itself, for whatever arguments, instead of once for each state of each way that
 * leads to it: what keeps a large program within the verifier's budget on Linux 6.1.  The price: its pointers may be NULL. */
#define CHECKED_ALONE __attribute__((noinline))

/* Does what the comparison before it did, in the very register that is used afterwards: Linux 6.1's verifier learns nothing for a
 * copy that clang spilled before a 32-bit comparison. */
static __always_inline __u64 frame_bound(__u64 offset)
{
    asm volatile("%0 &= 1023" : "+r"(offset));
    return offset;
}
_Static_assert(MAX_DROP_REASONS == 64, "as drop_bound says");
static __always_inline __u64 drop_bound(__u64 reason) /* The same for a drop reason. */
{
    asm volatile("%0 &= 63" : "+r"(reason));
    return reason;
}

#else
#include "weft/dataplane/bpf/native.h"
#define frame_bound(offset) (offset)
#define drop_bound(reason) (reason)
#define frame_unknown(value) (value)
#define CHECKED_ALONE static __attribute__((noinline))
#endif

#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define bpf_cpu_to_le32(value) ((__u32)(value))
#else
#define bpf_cpu_to_le32(value) __builtin_bswap32(value)
#endif
#define bpf_le32_to_cpu bpf_cpu_to_le32

/* Later headers than the oldest kernel's; bpf_skb_adjust_room says -EINVAL where it does not know them. */
#define ADJ_ROOM_DECAP_L3_IPV4 (1ull << 7)
#define ADJ_ROOM_DECAP_L3_IPV6 (1ull << 8)

#define FRAME_MAX_HEADERS 512 /* No header that we read begins behind this; below 1023 (frame_bound). */

static __always_inline unsigned char *frame_at(const struct __sk_buff *skb, __u32 offset, __u32 size)
{
    if (offset > FRAME_MAX_HEADERS)
        return NULL;
    unsigned char *pointer = frame_data(skb) + frame_bound(offset);
    return pointer + size > frame_end(skb) ? NULL : pointer;
}

/* Makes up to 'size' bytes linear.  Returns false when that brought nothing new. */
static __always_inline bool frame_pull(struct __sk_buff *skb, __u32 size)
{
    __u32 wanted = skb->len < size ? skb->len : size;

    if (wanted > FRAME_MAX_HEADERS || frame_at(skb, 0, wanted))
        return false;
    return bpf_skb_pull_data(skb, wanted) == 0;
}

/* What a step says: go on, a drop reason (1..), or a final action of tc. */
#define STEP_CONTINUE 0u
#define STEP_DONE 0x100u
#define VERDICT(action) (STEP_DONE | (__u32)(action))
#define NOT_OURS (STEP_DONE | 0xff) /* TC_ACT_UNSPEC: to the next program on the device, or the host's stack. */

#endif
