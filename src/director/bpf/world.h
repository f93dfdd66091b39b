// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* One source, two worlds, as weft/dataplane/bpf/world.h says: everything in this folder compiles to BPF and, unchanged, to native code.
 *
 *   frame_at(ctx, offset, size)  bytes of the frame, or NULL where it ends before; invalid after a helper that moves the frame
 *   load16/32/64, store16/32/64  unaligned access without byte-wise code; little32 from and to little-endian
 *   map_lookup, map_put, map_insert, map_delete    a map by its name
 *   time_ns()                    coarse monotonic time
 *   random32()                   a number that nobody needs to repeat
 *   frame_loop, frame_unknown    bpf_loop, and what a member of its state begins as that the function writes
 *   UNROLL                       before a loop that is to have none in BPF
 *   sweep_timer_*                the timer that ends connections
 *   TRACE(...)                   a step for tests; nothing in BPF
 *   MET_CHANGE()                 another CPU was met in the middle of a change, likewise
 *
 * What natively is not modelled: what happens behind a redirect. */
#ifndef WEFT_DIRECTOR_BPF_WORLD_H
#define WEFT_DIRECTOR_BPF_WORLD_H

#include <stdbool.h>
#include <stddef.h>

#include <linux/bpf.h>
#include <linux/if_ether.h>

#include "weft/director/tables.h"

#define ON_STACK __attribute__((aligned(8))) /* The verifier wants aligned access there. */

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

#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define little32(value) (value)
#else
#define little32(value) __builtin_bswap32(value)
#endif

#define map_lookup(map, key) bpf_map_lookup_elem(&map, key)
#define map_insert(map, key, value) bpf_map_update_elem(&map, key, value, BPF_NOEXIST)
#define map_put(map, key, value) bpf_map_update_elem(&map, key, value, BPF_ANY)
#define map_delete(map, key) bpf_map_delete_elem(&map, key)

#define PROGRAM SEC("xdp")
#define TC_PROGRAM SEC("tc")
#define UNROLL _Pragma("clang loop unroll(full)")
#define time_ns() bpf_ktime_get_coarse_ns()
#define random32() bpf_get_prandom_u32()
#define frame_loop(n, function, state) bpf_loop(n, function, state, 0)

#define sweep_timer_init(record) bpf_timer_init(&(record)->timer, &sweeper, 1 /* CLOCK_MONOTONIC */)
#define sweep_timer_set_callback(record, function) bpf_timer_set_callback(&(record)->timer, function)
#define sweep_timer_start(record, ns) bpf_timer_start(&(record)->timer, ns, 0)

/* Why: weft/dataplane/bpf/world.h. */
volatile __u32 frame_zero;
#define frame_unknown(value) ((value) + frame_zero)

#define TRACE(...) do { } while (0)
#define MET_CHANGE() do { } while (0)

/* The context must be read by an offset that clang cannot fold into a modified pointer: hence the assembly. */
static __always_inline unsigned char *frame_data(const struct xdp_md *ctx)
{
    unsigned char *pointer;

    asm volatile("%0 = *(u32 *)(%1 + %2)" : "=r"(pointer) : "r"(ctx), "i"(offsetof(struct xdp_md, data)));
    return pointer;
}

static __always_inline unsigned char *frame_end(const struct xdp_md *ctx)
{
    unsigned char *pointer;

    asm volatile("%0 = *(u32 *)(%1 + %2)" : "=r"(pointer) : "r"(ctx), "i"(offsetof(struct xdp_md, data_end)));
    return pointer;
}

/* A function that the verifier checks once and by itself, for whatever arguments.  The price: its pointers may be NULL. */
#define CHECKED_ALONE __attribute__((noinline))

/* The value, of which clang knows nothing: it would make a branch of what is one bit. */
static __always_inline __u32 frame_hidden(__u32 value)
{
    asm volatile("" : "+r"(value));
    return value;
}

/* Does what the comparison before it did, in the very register that is used afterwards: Linux 6.1's verifier learns nothing for a
 * copy that clang spilled before a 32-bit comparison. */
static __always_inline __u64 frame_bound(__u64 offset)
{
    asm volatile("%0 &= 1023" : "+r"(offset));
    return offset;
}

#else
#include "weft/director/bpf/native.h"
#define frame_bound(offset) (offset)
#define frame_unknown(value) (value)
#define frame_hidden(value) ((__u32)(value))
#define CHECKED_ALONE static __attribute__((noinline))
#endif

#define FRAME_MAX_HEADERS 512 /* No header that we read begins behind this; below 1023 (frame_bound). */

static __always_inline unsigned char *frame_at(const struct xdp_md *ctx, __u32 offset, __u32 size)
{
    if (offset > FRAME_MAX_HEADERS)
        return NULL;
    unsigned char *pointer = frame_data(ctx) + frame_bound(offset);
    return pointer + size > frame_end(ctx) ? NULL : pointer;
}

/* What a step says: go on, a drop reason (1..), or a final action of XDP. */
#define STEP_CONTINUE 0u
#define STEP_DONE 0x100u
#define VERDICT(action) (STEP_DONE | (__u32)(action))
#define NOT_OURS VERDICT(XDP_PASS)

#endif
