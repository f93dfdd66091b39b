// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The native world: what world.h promises, over memory.  Included through world.h by native.c only, which implements what is declared
 * here; each helper does what the kernel's does, as far as the program can see.
 *
 * A frame lives in a heap block of exactly its size, and each helper that moves it gives it a new one, so that a pointer kept too
 * long, or one byte read too far, is found by AddressSanitizer. */
#ifndef WEFT_DIRECTOR_BPF_NATIVE_H
#define WEFT_DIRECTOR_BPF_NATIVE_H

#include <arpa/inet.h>
#include <endian.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

#include "weft/dataplane/native-maps.h"
#include "weft/director/native.h"

#define PROGRAM static
#define TC_PROGRAM static
#define UNROLL
#define __noinline __attribute__((noinline))
#ifndef __always_inline
#define __always_inline inline __attribute__((always_inline))
#endif

#define bpf_htons(value) ((__u16)htons(value))
#define bpf_ntohs(value) ((__u16)ntohs(value))
#define bpf_htonl(value) ((__u32)htonl(value))
#define bpf_ntohl(value) ((__u32)ntohl(value))

#define little32(value) ((__u32)le32toh(value))

#define DEFINE_ACCESS(bits)                                                                                  \
    static inline __u##bits load##bits(const void *from)                                                     \
    {                                                                                                        \
        __u##bits value;                                                                                     \
        memcpy(&value, from, sizeof(value));                                                                 \
        return value;                                                                                        \
    }                                                                                                        \
    static inline void store##bits(void *to, __u##bits value)                                                \
    {                                                                                                        \
        memcpy(to, &value, sizeof(value));                                                                   \
    }
DEFINE_ACCESS(16)
DEFINE_ACCESS(32)
DEFINE_ACCESS(64)

struct native_frame {
    struct xdp_md ctx;    /* 'data' and 'data_end' mean nothing here. */
    unsigned char *bytes;
    __u32 size, headroom;
    __u32 redirected_to;
};

static __thread struct native_director *director_world;

/* NATIVE_LB_keys and so on, so that a map that does not exist does not compile. */
#define map_lookup(map, key) native_map_lookup(native_director_map(director_world, NATIVE_LB_##map), key)
#define map_insert(map, key, value) native_map_update(native_director_map(director_world, NATIVE_LB_##map), key, value, true)
#define map_put(map, key, value) native_map_update(native_director_map(director_world, NATIVE_LB_##map), key, value, false)
#define map_delete(map, key) native_map_delete(native_director_map(director_world, NATIVE_LB_##map), key)

static __u64 time_ns(void);
static __u32 random32(void);
static void native_trace(const char *format, ...) __attribute__((format(printf, 1, 2)));
#define TRACE(...) native_trace(__VA_ARGS__)
static void native_met_change(void);
#define MET_CHANGE() native_met_change()
#define frame_loop(n, function, state)                                                                       \
    do {                                                                                                     \
        for (__u32 index_ = 0; index_ < (n); index_++)                                                       \
            if (function(index_, state))                                                                     \
                break;                                                                                       \
    } while (0)

/* native_director_sweep() calls the function. */
#define sweeper_record lb_sweeper
typedef int (*director_timer_callback)(void *map, __u32 *key, struct lb_sweeper *record);
static int native_timer_set(director_timer_callback callback);
#define sweep_timer_init(record) 0
#define sweep_timer_set_callback(record, function) native_timer_set(function)
#define sweep_timer_start(record, ns) 0

static inline struct native_frame *native_frame(const struct xdp_md *ctx)
{
    return (struct native_frame *)ctx;
}

static inline unsigned char *frame_data(const struct xdp_md *ctx)
{
    return native_frame(ctx)->bytes;
}

static inline unsigned char *frame_end(const struct xdp_md *ctx)
{
    return native_frame(ctx)->bytes + native_frame(ctx)->size;
}

/* bpf-helpers(7). */
static long bpf_xdp_adjust_head(struct xdp_md *ctx, int delta);
static long bpf_xdp_adjust_tail(struct xdp_md *ctx, int delta);
static long bpf_redirect(__u32 ifindex, __u64 flags);
static long bpf_redirect_neigh(__u32 ifindex, void *next, int size, __u64 flags);
static long bpf_skb_load_bytes(const void *skb, __u32 offset, void *to, __u32 size);
static long bpf_skb_store_bytes(void *skb, __u32 offset, const void *from, __u32 size, __u64 flags);
static long bpf_l4_csum_replace(void *skb, __u32 offset, __u64 from, __u64 to, __u64 flags);
static long bpf_fib_lookup(void *ctx, struct bpf_fib_lookup *question, int size, __u32 flags);
static struct bpf_sock *bpf_skc_lookup_tcp(void *ctx, struct bpf_sock_tuple *tuple, __u32 size, __u64 netns, __u64 flags);
static long bpf_sk_release(void *socket);
static long bpf_tcp_check_syncookie(void *socket, void *ip, __u32 ip_size, void *tcp, __u32 tcp_size);
static __s64 bpf_csum_diff(const void *from, __u32 from_size, const void *to, __u32 to_size, __u32 seed);

#endif
