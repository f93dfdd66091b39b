// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The native world: what world.h promises, over memory.  Included through world.h by pipeline.c only, which implements the
 * kernel's helpers that are declared here; each does what the kernel's does, as far as the pipeline can see.
 *
 * A frame lives in a heap block of exactly its size, and each helper that may move it gives it a new one, so that a
 * pointer kept too long, or one byte read too far, is found by AddressSanitizer. */
#ifndef WEFT_BPF_NATIVE_H
#define WEFT_BPF_NATIVE_H

#include <arpa/inet.h>
#include <endian.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

#include "weft/dataplane/native-maps.h"

#define PROGRAM static
#define __noinline __attribute__((noinline))
#ifndef __always_inline
#define __always_inline inline __attribute__((always_inline))
#endif

#define bpf_htons(value) ((__u16)htons(value))
#define bpf_ntohs(value) ((__u16)ntohs(value))
#define bpf_htonl(value) ((__u32)htonl(value))
#define bpf_ntohl(value) ((__u32)ntohl(value))
#define bpf_cpu_to_be64(value) ((__u64)htobe64(value))
#define bpf_be64_to_cpu(value) ((__u64)be64toh(value))

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
    struct __sk_buff skb; /* 'data' and 'data_end' mean nothing here. */
    unsigned char *bytes; /* skb.len of them. */
    __u32 linear;         /* How many of them programs can reach directly. */
    bool encapsulated;    /* As skb->encapsulation. */
    bool gso_tcp;
    bool checksum_partial;
};

struct native; /* Maps, time, and what a run did. */

static __thread struct native *native;

static struct native_map *native_map(enum native_map_name name);
static __u64 native_time(void);
static __u32 native_flow_slots(void);
static void native_trace(int stage, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void *native_ring_reserve(enum native_ring ring, __u64 size);
static void native_ring_submit(void *event);
static void native_ring_discard(void *event);
static const char *trace_mac(const __u8 *mac);
static const char *trace_address(const __u8 *address);
static const char *trace_ipv4(__u32 address);
static const char *trace_reason(__u32 reason);

/* NATIVE_MAP_ports and so on, so that a map that does not exist does not compile. */
#define map_lookup(map, key) native_map_lookup(native_map(NATIVE_MAP_##map), key)
#define map_insert(map, key, value) native_map_update(native_map(NATIVE_MAP_##map), key, value, true)
#define map_put(map, key, value) native_map_update(native_map(NATIVE_MAP_##map), key, value, false)
#define map_delete(map, key) native_map_delete(native_map(NATIVE_MAP_##map), key)
#define map_ring_reserve(map, size) native_ring_reserve(NATIVE_RING_##map, size)
#define map_ring_submit(event) native_ring_submit(event)
#define map_ring_discard(event) native_ring_discard(event)

#define time_ns() native_time()
#define flow_n_slots native_flow_slots()
#define has_former_connections true
#define frame_loop(n, function, state)                                                                       \
    do {                                                                                                     \
        for (__u32 index_ = 0; index_ < (n); index_++)                                                       \
            if (function(index_, state))                                                                     \
                break;                                                                                       \
    } while (0)

/* The deadline is kept in the record; pipeline_advance() calls the function. */
static int native_timer_set(struct sweeper *record, native_timer_callback callback);
static int native_timer_start(struct sweeper *record, __u64 ns);
#define sweep_timer_init(record) 0
#define sweep_timer_set_callback(record, function) native_timer_set(record, function)
#define sweep_timer_start(record, ns) native_timer_start(record, ns)

/* The name of the stage must be in TRACE_STAGES. */
#define TRACE(stage, ...) native_trace(STAGE_##stage, __VA_ARGS__)

static inline struct native_frame *native_frame(const struct __sk_buff *skb)
{
    return (struct native_frame *)skb;
}

static inline unsigned char *frame_data(const struct __sk_buff *skb)
{
    return native_frame(skb)->bytes;
}

static inline unsigned char *frame_end(const struct __sk_buff *skb)
{
    return native_frame(skb)->bytes + native_frame(skb)->linear;
}

/* bpf-helpers(7). */
static long bpf_skb_pull_data(struct __sk_buff *skb, __u32 size);
static long bpf_skb_load_bytes(const struct __sk_buff *skb, __u32 offset, void *to, __u32 size);
static long bpf_skb_adjust_room(struct __sk_buff *skb, __s32 difference, __u32 mode, __u64 flags);
static long bpf_skb_change_head(struct __sk_buff *skb, __u32 size, __u64 flags);
static long bpf_skb_change_tail(struct __sk_buff *skb, __u32 size, __u64 flags);
static long bpf_skb_change_type(struct __sk_buff *skb, __u32 type);
static long bpf_skb_change_proto(struct __sk_buff *skb, __be16 protocol, __u64 flags);
static long bpf_l4_csum_replace(struct __sk_buff *skb, __u32 offset, __u64 from, __u64 to, __u64 flags);
static long bpf_skb_vlan_push(struct __sk_buff *skb, __be16 protocol, __u16 tag);
static long bpf_skb_vlan_pop(struct __sk_buff *skb);
static __s64 bpf_csum_update(struct __sk_buff *skb, __u32 sum);
static long bpf_csum_level(struct __sk_buff *skb, __u64 level);
static long bpf_clone_redirect(struct __sk_buff *skb, __u32 ifindex, __u64 flags);
static long bpf_redirect(__u32 ifindex, __u64 flags);
static long bpf_redirect_peer(__u32 ifindex, __u64 flags);
static long bpf_redirect_neigh(__u32 ifindex, struct bpf_redir_neigh *hop, int size, __u64 flags);

#endif
