/* The native build of the director's program: see native.h. */
#include "weft/director/native.h"

#include <errno.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "weft/base/util.h"
#include "weft/director/bpf/director.bpf.c"
#include "weft/director/bpf/server.bpf.c"

_Static_assert(sizeof(struct native_icmp_budget) == sizeof(struct icmp_budget), "as maps.h says");

#define HEADROOM 256

struct native_director {
    struct native_map maps[N_NATIVE_LB_MAPS];
    struct native_route routes[NATIVE_ROUTES_MAX];
    size_t n_routes;
    struct native_socket sockets[NATIVE_SOCKETS_MAX];
    size_t n_sockets;
    uint64_t now_ns;
    uint64_t *now; /* Atomic: all CPUs' is the first one's. */
    bool is_cpu;   /* The maps are another one's. */
    uint64_t stumbles;
    unsigned n_changes_met;
    struct native_frame frame;
    director_timer_callback sweep;
};

static uint32_t size_of(enum native_lb_map map, uint32_t n)
{
    return map == NATIVE_LB_conn_slots ? NATIVE_LB_SLOTS : map == NATIVE_LB_conn_heads ? NATIVE_LB_CONNECTIONS / 2 : map == NATIVE_LB_locals ? LB_LOCALS : n;
}

struct native_director *native_director_new(uint32_t n)
{
    _cleanup_(native_director_freep) struct native_director *world = calloc(1, sizeof(*world));

    if (!world)
        return NULL;
    world->now_ns = 1000000000000ull;
    world->now = &world->now_ns;
#define INIT_MAP(name, kind, key, value)                                                                     \
    if (native_map_init(&world->maps[NATIVE_LB_##name], NATIVE_##kind, sizeof(key), sizeof(value), size_of(NATIVE_LB_##name, n)) < 0) \
        return NULL;
    NATIVE_LB_MAPS(INIT_MAP)
#undef INIT_MAP
    *(struct lb_settings *)(void *)world->maps[NATIVE_LB_settings].array =
        (struct lb_settings){.icmp_rate = LB_ICMP_RATE, .has_translation = 1, .tcp_s = 900, .tcp_fin_s = 120, .udp_s = 300};
    return TAKE_PTR(world);
}

void native_director_free(struct native_director *world)
{
    if (!world)
        return;
    for (size_t i = 0; i < N_NATIVE_LB_MAPS && !world->is_cpu; i++)
        native_map_destroy(&world->maps[i]);
    free(world->frame.bytes);
    free(world);
}

struct native_director *native_director_cpu(struct native_director *world, uint64_t seed)
{
    struct native_director *cpu = malloc(sizeof(*cpu));

    if (!cpu)
        return NULL;
    *cpu = *world;
    cpu->is_cpu = true;
    cpu->stumbles = seed;
    cpu->n_changes_met = 0;
    cpu->frame = (struct native_frame){0};
    return cpu;
}

unsigned native_director_changes_met(const struct native_director *cpu)
{
    return cpu->n_changes_met;
}

static void stumble(uint64_t *seed)
{
    volatile unsigned pause;

    *seed ^= *seed << 13; /* xorshift64 */
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    if (*seed % 512 == 0)
        sched_yield();
    else if (*seed % 16 == 0)
        for (pause = 0; pause < (*seed >> 32) % 256; pause++)
            ;
}

struct native_map *native_director_map(struct native_director *world, enum native_lb_map map)
{
    if (world->stumbles)
        stumble(&world->stumbles);
    return &world->maps[map];
}

void native_director_advance(struct native_director *world, uint64_t ns)
{
    __atomic_add_fetch(world->now, ns, __ATOMIC_RELAXED);
}

uint64_t native_director_now(const struct native_director *world)
{
    return __atomic_load_n(world->now, __ATOMIC_RELAXED);
}

static struct native_route *find_route(struct native_director *world, const void *address)
{
    for (size_t i = 0; i < world->n_routes; i++)
        if (memcmp(world->routes[i].address, address, 16) == 0)
            return &world->routes[i];
    return NULL;
}

void native_director_route(struct native_director *world, const struct native_route *route)
{
    struct native_route *place = find_route(world, route->address);

    if (!place && world->n_routes < NATIVE_ROUTES_MAX)
        place = &world->routes[world->n_routes++];
    if (place)
        *place = *route;
}

static struct native_verdict run(struct native_director *world, int (*program)(struct xdp_md *ctx), const void *frame, size_t size, uint32_t ifindex)
{
    struct native_verdict verdict;

    free(world->frame.bytes);
    world->frame = (struct native_frame){.ctx.ingress_ifindex = ifindex, .bytes = malloc(size), .size = (__u32)size, .headroom = HEADROOM};
    if (!world->frame.bytes)
        abort();
    memcpy(world->frame.bytes, frame, size);
    director_world = world;
    verdict.action = program(&world->frame.ctx);
    verdict.redirected_to = world->frame.redirected_to;
    verdict.frame = world->frame.bytes;
    verdict.size = world->frame.size;
    return verdict;
}

struct native_verdict native_director_run(struct native_director *world, const void *frame, size_t size, uint32_t ifindex)
{
    return run(world, director, frame, size, ifindex);
}

struct native_verdict native_server_run(struct native_director *world, const void *frame, size_t size, uint32_t ifindex)
{
    struct native_verdict verdict = run(world, second_chance, frame, size, ifindex);
    struct __sk_buff skb = {.ifindex = ifindex};
    int action;

    if (verdict.action != XDP_PASS)
        return verdict;
    skb.protocol = load16(verdict.frame + 12);
    action = pass_on(&skb);
    verdict.action = action == TC_ACT_REDIRECT ? XDP_REDIRECT : action == TC_ACT_SHOT ? XDP_DROP : XDP_PASS;
    verdict.redirected_to = world->frame.redirected_to;
    return verdict;
}

static int answer(struct xdp_md *ctx)
{
    struct __sk_buff skb = {.protocol = load16(native_frame(ctx)->bytes + 12)};

    lower_mss(&skb);
    return XDP_PASS;
}

struct native_verdict native_server_answer(struct native_director *world, const void *frame, size_t size)
{
    return run(world, answer, frame, size, 0);
}

void native_server_socket(struct native_director *world, const struct native_socket *socket)
{
    if (world->n_sockets < NATIVE_SOCKETS_MAX)
        world->sockets[world->n_sockets++] = *socket;
}

void native_server_close(struct native_director *world)
{
    world->n_sockets = 0;
}

bool native_director_take(struct native_director *world, const struct lb_conn *told)
{
    free(world->frame.bytes);
    world->frame = (struct native_frame){.bytes = malloc(sizeof(*told)), .size = sizeof(*told), .headroom = 0};
    if (!world->frame.bytes)
        abort();
    memcpy(world->frame.bytes, told, sizeof(*told));
    director_world = world;
    return take_connection(&world->frame.ctx) == XDP_PASS;
}

struct lb_conn *native_director_find(struct native_director *world, const struct lb_conn_key *key)
{
    director_world = world;
    return conn_at(conn_find(key));
}

bool native_director_put(struct native_director *world, const struct lb_conn *conn)
{
    struct lb_conn *place;
    __u32 index;

    director_world = world;
    index = conn_claim();
    place = conn_at(index);
    if (!place)
        return false;
    *place = *conn;
    place->state = LB_CONN_CLAIMED;
    return conn_put(index, conn->state) == 0;
}

/* ---- the kernel's helpers -------------------------------------------------------------------------------------------------- */

static __u64 time_ns(void)
{
    return __atomic_load_n(director_world->now, __ATOMIC_RELAXED);
}

static __u32 random32(void)
{
    return 0x12345678;
}

static int native_timer_set(director_timer_callback callback)
{
    director_world->sweep = callback;
    return 0;
}

void native_director_sweep(struct native_director *world)
{
    __u32 zero = 0;

    director_world = world;
    if (world->sweep)
        world->sweep(NULL, &zero, native_map_lookup(&world->maps[NATIVE_LB_sweeper], &zero));
}

static void native_met_change(void)
{
    director_world->n_changes_met++;
}

static void native_trace(const char *format, ...)
{
}

static long resize(struct native_frame *frame, long head, long tail)
{
    long size = (long)frame->size + head + tail;
    unsigned char *bytes;

    if (size < ETH_HLEN || head > (long)frame->headroom)
        return -EINVAL;
    bytes = calloc(1, (size_t)size);
    if (!bytes)
        abort();
    long kept = (long)frame->size + MIN(head, 0) + MIN(tail, 0);
    memcpy(bytes + MAX(head, 0), frame->bytes - MIN(head, 0), (size_t)kept);
    free(frame->bytes);
    frame->bytes = bytes;
    frame->size = (__u32)size;
    frame->headroom = (__u32)((long)frame->headroom - head);
    return 0;
}

static long bpf_xdp_adjust_head(struct xdp_md *ctx, int delta)
{
    return resize(native_frame(ctx), -delta, 0);
}

static long bpf_xdp_adjust_tail(struct xdp_md *ctx, int delta)
{
    return resize(native_frame(ctx), 0, delta);
}

static long bpf_redirect(__u32 ifindex, __u64 flags)
{
    director_world->frame.redirected_to = ifindex;
    return XDP_REDIRECT;
}

static long bpf_redirect_neigh(__u32 ifindex, void *next, int size, __u64 flags)
{
    director_world->frame.redirected_to = ifindex;
    return TC_ACT_REDIRECT;
}

static long bpf_skb_load_bytes(const void *skb, __u32 offset, void *to, __u32 size)
{
    const struct native_frame *frame = &director_world->frame;

    if (offset > frame->size || size > frame->size - offset)
        return -EFAULT;
    memcpy(to, frame->bytes + offset, size);
    return 0;
}

static long bpf_skb_store_bytes(void *skb, __u32 offset, const void *from, __u32 size, __u64 flags)
{
    struct native_frame *frame = &director_world->frame;

    if (offset > frame->size || size > frame->size - offset)
        return -EFAULT;
    memcpy(frame->bytes + offset, from, size);
    return 0;
}

static long bpf_l4_csum_replace(void *skb, __u32 offset, __u64 from, __u64 to, __u64 flags)
{
    struct native_frame *frame = &director_world->frame;

    if (offset > frame->size || frame->size - offset < 2)
        return -EFAULT;
    store16(frame->bytes + offset, checksum_replace(load16(frame->bytes + offset), (__u16)from, (__u16)to));
    return 0;
}

static long bpf_fib_lookup(void *ctx, struct bpf_fib_lookup *question, int size, __u32 flags)
{
    const struct native_route *route;
    __u8 address[16];

    if (question->family == AF_INET)
        address_map_ipv4(address, question->ipv4_dst);
    else
        memcpy(address, question->ipv6_dst, 16);
    route = find_route(director_world, address);
    if (!route)
        return BPF_FIB_LKUP_RET_NOT_FWDED;
    if (route->answer != BPF_FIB_LKUP_RET_SUCCESS)
        return route->answer;
    if (route->via_router) {
        memset(question->ipv6_dst, 0, sizeof(question->ipv6_dst));
        question->ipv4_dst = htonl(0xc6336401);
    }
    question->ifindex = route->ifindex;
    question->mtu_result = route->mtu;
    memcpy(question->dmac, route->destination, 6);
    memcpy(question->smac, route->source, 6);
    return BPF_FIB_LKUP_RET_SUCCESS;
}

static __s64 bpf_csum_diff(const void *from, __u32 from_size, const void *to, __u32 to_size, __u32 seed)
{
    __u64 sum = seed;

    for (__u32 i = 0; i < to_size; i += 4)
        sum += load32((const __u8 *)to + i);
    for (__u32 i = 0; i < from_size; i += 4)
        sum += (__u32)~load32((const __u8 *)from + i);
    sum = (sum & 0xffffffff) + (sum >> 32);
    return (__s64)((sum & 0xffffffff) + (sum >> 32));
}

/* What is established comes before who listens. */
static struct bpf_sock *bpf_skc_lookup_tcp(void *ctx, struct bpf_sock_tuple *tuple, __u32 size, __u64 netns, __u64 flags)
{
    static __thread struct bpf_sock found;
    bool v6 = size == sizeof(tuple->ipv6);
    __u16 sport = v6 ? tuple->ipv6.sport : tuple->ipv4.sport, dport = v6 ? tuple->ipv6.dport : tuple->ipv4.dport;
    __u8 source[16], destination[16];

    if (v6) {
        memcpy(source, tuple->ipv6.saddr, 16);
        memcpy(destination, tuple->ipv6.daddr, 16);
    } else {
        address_map_ipv4(source, tuple->ipv4.saddr);
        address_map_ipv4(destination, tuple->ipv4.daddr);
    }
    for (int listening = 0; listening < 2; listening++)
        for (size_t i = 0; i < director_world->n_sockets; i++) {
            const struct native_socket *socket = &director_world->sockets[i];

            if (memcmp(socket->address, destination, 16) || socket->port != dport || (socket->state == BPF_TCP_LISTEN) != listening ||
                (!listening && (memcmp(socket->client, source, 16) || socket->client_port != sport)))
                continue;
            found = (struct bpf_sock){.state = socket->state, .mark = socket->takes_cookies};
            return &found;
        }
    return NULL;
}

static long bpf_sk_release(void *socket)
{
    return 0;
}

static long bpf_tcp_check_syncookie(void *socket, void *ip, __u32 ip_size, void *tcp, __u32 tcp_size)
{
    return ((struct bpf_sock *)socket)->mark ? 0 : -ENOENT;
}

const char *lb_drop_text(enum lb_drop_reason reason)
{
    static const char *const texts[] = {
        "",
#define DROP_REASON(name, text) text,
#include "weft/director/drop-reasons.def"
#undef DROP_REASON
    };

    return reason < N_LB_DROP_REASONS ? texts[reason] : "";
}
