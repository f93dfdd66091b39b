/* The pipeline in memory: the native world's half of bpf/native.h, the programs themselves, and pipeline.h on top. */
#include "weft/dataplane/pipeline.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "weft/base/address.h"
#include "weft/base/util.h"
#include "weft/dataplane/bpf/weft.bpf.c"

#define KERNEL_ENOTSUPP 524 /* The kernel's own, not EOPNOTSUPP. */
#define MAX_STEPS 400

struct native {
    struct native_map maps[N_NATIVE_MAPS];
    struct pipeline_sizes sizes;
    uint64_t now_ns;
    native_timer_callback expire;
    struct pipeline_result *result; /* Of the run in progress. */
    int error;                      /* Out of memory, somewhere. */
    struct pipeline_output redirect; /* The last redirect asked for: the one that counts. */
    bool has_redirect;
    uint32_t punt_space;
    enum native_ring ring;          /* That the event in hand is of. */
};

struct pipeline {
    struct native native;
};

static const char *const stage_names[] = {
#define STAGE_NAME(name) #name,
    TRACE_STAGES(STAGE_NAME)
#undef STAGE_NAME
};
static bool stages_reached[N_STAGES];

/* ---- what native.h declares -------------------------------------------------------------------------------------------- */

static struct native_map *native_map(enum native_map_name name)
{
    return &native->maps[name];
}

static __u64 native_time(void)
{
    return native->now_ns;
}

static void native_trace(int stage, const char *format, ...)
{
    struct pipeline_result *result = native->result;
    struct pipeline_step *steps;
    va_list arguments;

    stages_reached[stage] = true;
    if (!result || result->n_steps >= MAX_STEPS)
        return;
    steps = reallocarray(result->steps, result->n_steps + 1, sizeof(*steps));
    if (!steps) {
        native->error = -ENOMEM;
        return;
    }
    result->steps = steps;
    steps += result->n_steps++;
    steps->stage = stage_names[stage];
    va_start(arguments, format);
    vsnprintf(steps->text, sizeof(steps->text), format, arguments);
    va_end(arguments);
}

static struct pipeline_output *add_output(enum pipeline_way way, uint32_t ifindex, const void *bytes, uint32_t size)
{
    struct pipeline_result *result = native->result;
    struct pipeline_output *outputs = reallocarray(result->outputs, result->n_outputs + 1, sizeof(*outputs));
    uint8_t *copy = malloc(size ? size : 1);

    if (outputs)
        result->outputs = outputs;
    if (!outputs || !copy) {
        free(copy);
        native->error = -ENOMEM;
        return NULL;
    }
    memcpy(copy, bytes, size);
    outputs += result->n_outputs++;
    *outputs = (struct pipeline_output){.way = way, .ifindex = ifindex, .bytes = copy, .size = size};
    return outputs;
}

/* An event is handed over or given back before the next one is asked for. */
static void *native_ring_reserve(enum native_ring ring, __u64 size)
{
    native->ring = ring;
    if (ring == NATIVE_RING_punt) {
        if (!native->punt_space)
            return NULL;
        native->punt_space--;
    }
    return calloc(1, size);
}

static void add_verdict(const struct verdict_event *event)
{
    struct pipeline_result *result = native->result;
    struct verdict_event *verdicts = reallocarray(result->verdicts, result->n_verdicts + 1, sizeof(*verdicts));

    if (!verdicts) {
        native->error = -ENOMEM;
        return;
    }
    result->verdicts = verdicts;
    verdicts[result->n_verdicts++] = *event;
}

static void native_ring_submit(void *event)
{
    if (native->ring == NATIVE_RING_verdicts)
        add_verdict(event);
    else
        add_output(PIPELINE_PUNT, ((struct punt_event *)event)->ifindex, event, sizeof(struct punt_event));
    free(event);
}

static void native_ring_discard(void *event)
{
    free(event);
}

static int native_timer_set(struct sweeper *record, native_timer_callback callback)
{
    native->expire = callback;
    return 0;
}

static int native_timer_start(struct sweeper *record, __u64 ns)
{
    record->timer[0] = native->now_ns + ns;
    return 0;
}

static char *trace_buffer(void)
{
    static __thread char buffers[4][IP_TEXT_SIZE];
    static __thread unsigned next;

    return buffers[next++ % 4];
}

static const char *trace_mac(const __u8 *mac)
{
    struct mac_address address;

    memcpy(address.bytes, mac, sizeof(address.bytes));
    return mac_format(&address, trace_buffer());
}

static const char *trace_address(const __u8 *bytes)
{
    struct ip_address address;

    memcpy(address.bytes, bytes, sizeof(address.bytes));
    return ip_format(&address, trace_buffer());
}

static const char *trace_ipv4(__u32 bytes)
{
    struct ip_address address = ip_from_v4(ntohl(bytes));

    return ip_format(&address, trace_buffer());
}

static const char *trace_reason(__u32 reason)
{
    static const char *const texts[] = {
        "",
#define DROP_REASON(name, text) #name ": " text,
#include "weft/dataplane/drop-reasons.def"
#undef DROP_REASON
    };

    return reason < ARRAY_SIZE(texts) ? texts[reason] : "unknown";
}

/* ---- the kernel's helpers ------------------------------------------------------------------------------------------------ */

/* Gives the frame a new block, with 'grown' zero bytes inserted (or, when negative, bytes removed) at 'offset'. */
static long frame_resize(struct __sk_buff *skb, __u32 offset, __s32 grown)
{
    struct native_frame *frame = native_frame(skb);
    __u32 size = skb->len + grown;
    unsigned char *bytes = malloc(size ? size : 1);

    if (!bytes) {
        native->error = -ENOMEM;
        return -ENOMEM;
    }
    memcpy(bytes, frame->bytes, offset);
    if (grown > 0) {
        memset(bytes + offset, 0, grown);
        memcpy(bytes + offset + grown, frame->bytes + offset, skb->len - offset);
    } else {
        memcpy(bytes + offset, frame->bytes + offset - grown, skb->len - offset + grown);
    }
    free(frame->bytes);
    frame->bytes = bytes;
    frame->linear = (__s64)frame->linear + grown > (__s64)size ? size : frame->linear + grown;
    if (frame->linear > size)
        frame->linear = size;
    skb->len = size;
    return 0;
}

static long bpf_skb_pull_data(struct __sk_buff *skb, __u32 size)
{
    struct native_frame *frame = native_frame(skb);

    if (size > skb->len)
        return -ENOMEM;
    if (frame->linear < size)
        frame->linear = size;
    return frame_resize(skb, 0, 0); /* Pointers are void. */
}

static long bpf_skb_load_bytes(const struct __sk_buff *skb, __u32 offset, void *to, __u32 size)
{
    if (offset > skb->len || size > skb->len - offset)
        return -EFAULT;
    memcpy(to, native_frame(skb)->bytes + offset, size);
    return 0;
}

static __u32 ip_header_minimum(__u32 protocol)
{
    return protocol == htons(ETH_P_IP) ? 20 : 40;
}

static long adjust_grow(struct __sk_buff *skb, __u32 size, __u64 flags)
{
    struct native_frame *frame = native_frame(skb);
    const __u64 encap = BPF_F_ADJ_ROOM_ENCAP_L3_IPV4 | BPF_F_ADJ_ROOM_ENCAP_L3_IPV6;

    if (skb->gso_size && !frame->gso_tcp)
        return -KERNEL_ENOTSUPP;
    if (flags & encap) {
        if (frame->encapsulated)
            return -EALREADY;
        frame->encapsulated = true;
        skb->protocol = htons(flags & BPF_F_ADJ_ROOM_ENCAP_L3_IPV4 ? ETH_P_IP : ETH_P_IPV6);
    }
    return frame_resize(skb, ETH_HLEN, size);
}

static long adjust_shrink(struct __sk_buff *skb, __u32 size, __u64 flags)
{
    __u32 minimum = ip_header_minimum(skb->protocol), length = skb->len - ETH_HLEN;

    if (flags & ADJ_ROOM_DECAP_L3_IPV4)
        minimum = 20;
    if (flags & ADJ_ROOM_DECAP_L3_IPV6)
        minimum = 40;
    if (size >= length || length - size < minimum)
        return -KERNEL_ENOTSUPP;
    if (skb->gso_size && !native_frame(skb)->gso_tcp)
        return -KERNEL_ENOTSUPP;
    if (flags & ADJ_ROOM_DECAP_L3_IPV4)
        skb->protocol = htons(ETH_P_IP);
    if (flags & ADJ_ROOM_DECAP_L3_IPV6)
        skb->protocol = htons(ETH_P_IPV6);
    return frame_resize(skb, ETH_HLEN, -(__s32)size);
}

static long bpf_skb_adjust_room(struct __sk_buff *skb, __s32 difference, __u32 mode, __u64 flags)
{
    if (mode != BPF_ADJ_ROOM_MAC)
        return -EINVAL;
    if (skb->protocol != htons(ETH_P_IP) && skb->protocol != htons(ETH_P_IPV6))
        return -KERNEL_ENOTSUPP;
    return difference < 0 ? adjust_shrink(skb, -difference, flags) : adjust_grow(skb, difference, flags);
}

static long bpf_skb_change_head(struct __sk_buff *skb, __u32 size, __u64 flags)
{
    return flags ? -EINVAL : frame_resize(skb, 0, size);
}

static long bpf_skb_change_tail(struct __sk_buff *skb, __u32 size, __u64 flags)
{
    if (flags || size < ETH_HLEN)
        return -EINVAL;
    skb->gso_size = 0;
    skb->gso_segs = 0;
    if (size >= skb->len)
        return frame_resize(skb, skb->len, size - skb->len);
    return frame_resize(skb, size, (__s32)size - (__s32)skb->len);
}

static long bpf_skb_change_proto(struct __sk_buff *skb, __be16 protocol, __u64 flags)
{
    long result;

    if (flags || skb->protocol == protocol)
        return -EINVAL;
    result = frame_resize(skb, ETH_HLEN, protocol == htons(ETH_P_IPV6) ? 20 : -20);
    if (!result)
        skb->protocol = protocol;
    return result;
}

static __u32 csum_add(__u32 a, __u32 b)
{
    __u32 sum = a + b;

    return sum + (sum < b);
}

static __u16 csum_fold(__u32 sum)
{
    sum = (sum & 0xffff) + (sum >> 16);
    return (__u16)~((sum & 0xffff) + (sum >> 16));
}

/* As the kernel's inet_proto_csum_replace2(), 4() and by_diff(). */
static long bpf_l4_csum_replace(struct __sk_buff *skb, __u32 offset, __u64 from, __u64 to, __u64 flags)
{
    const __u64 known = BPF_F_PSEUDO_HDR | BPF_F_MARK_MANGLED_0 | BPF_F_HDR_FIELD_MASK;
    bool is_pseudo = flags & BPF_F_PSEUDO_HDR, is_mangled_0 = flags & BPF_F_MARK_MANGLED_0;
    __u32 size = flags & BPF_F_HDR_FIELD_MASK;
    __u16 before, after;

    if (flags & ~known || (size != 0 && size != 2 && size != 4) || (!size && from) || offset > 0xffff || offset & 1)
        return -EINVAL;
    if (offset + 2 > skb->len)
        return -EFAULT;
    if (native_frame(skb)->linear < offset + 2)
        native_frame(skb)->linear = offset + 2;
    before = after = load16(native_frame(skb)->bytes + offset);
    if (before || !is_mangled_0) {
        __u32 change = size ? csum_add((__u32)to, ~(__u32)from) : (__u32)to;
        if (!native_frame(skb)->checksum_partial)
            after = csum_fold(csum_add(~(__u32)before, change));
        else if (is_pseudo)
            after = (__u16)~csum_fold(csum_add(before, change));
        if (is_mangled_0 && !after)
            after = 0xffff;
        store16(native_frame(skb)->bytes + offset, after);
    }
    return frame_resize(skb, 0, 0); /* Pointers are void. */
}

static long bpf_skb_change_type(struct __sk_buff *skb, __u32 type)
{
    skb->pkt_type = type;
    return 0;
}

static long bpf_skb_vlan_push(struct __sk_buff *skb, __be16 protocol, __u16 tag)
{
    skb->vlan_present = 1;
    skb->vlan_proto = protocol;
    skb->vlan_tci = tag;
    return frame_resize(skb, 0, 0);
}

/* Of what is in the metadata: nothing else is asked for. */
static long bpf_skb_vlan_pop(struct __sk_buff *skb)
{
    skb->vlan_present = 0;
    skb->vlan_proto = 0;
    skb->vlan_tci = 0;
    return frame_resize(skb, 0, 0);
}

static __s64 bpf_csum_update(struct __sk_buff *skb, __u32 sum)
{
    return -KERNEL_ENOTSUPP; /* As for every frame whose sum nobody has. */
}

static long bpf_csum_level(struct __sk_buff *skb, __u64 level)
{
    return 0;
}

static long bpf_clone_redirect(struct __sk_buff *skb, __u32 ifindex, __u64 flags)
{
    struct pipeline_output *output;

    if (!ifindex)
        return -EINVAL;
    output = add_output(PIPELINE_CLONE, ifindex, native_frame(skb)->bytes, skb->len);
    if (output) {
        output->mark = skb->mark;
        output->priority = skb->priority;
        output->control = skb->cb[0];
        output->vlan = skb->vlan_present ? skb->vlan_tci & 0xfff : 0;
    }
    return frame_resize(skb, 0, 0);
}

static long redirect(enum pipeline_way way, __u32 ifindex)
{
    native->redirect = (struct pipeline_output){.way = way, .ifindex = ifindex};
    native->has_redirect = true;
    return TC_ACT_REDIRECT;
}

static long bpf_redirect(__u32 ifindex, __u64 flags)
{
    return redirect(flags & BPF_F_INGRESS ? PIPELINE_REDIRECT_INGRESS : PIPELINE_REDIRECT, ifindex);
}

static long bpf_redirect_peer(__u32 ifindex, __u64 flags)
{
    return redirect(PIPELINE_REDIRECT_PEER, ifindex);
}

static long bpf_redirect_neigh(__u32 ifindex, struct bpf_redir_neigh *hop, int size, __u64 flags)
{
    long action = redirect(PIPELINE_REDIRECT_NEIGHBOR, ifindex);

    if (hop->nh_family == AF_INET)
        address_map_ipv4(native->redirect.next_hop, hop->ipv4_nh);
    else
        memcpy(native->redirect.next_hop, hop->ipv6_nh, 16);
    return action;
}

/* ---- tables ------------------------------------------------------------------------------------------------------------------ */

static const char *const map_names[] = {
#define MAP_NAME(name, kind) #name,
    NATIVE_MAPS(MAP_NAME)
#undef MAP_NAME
};

static int map_set_up(struct native *world, enum native_map_name name, enum native_map_kind kind)
{
    static const struct {
        size_t key_size, value_size;
        uint32_t n_max;
    } shapes[N_NATIVE_MAPS] = {
        [NATIVE_MAP_interfaces] = {4, 4, 8192},
        [NATIVE_MAP_ports] = {4, sizeof(struct port_record), 0},
        [NATIVE_MAP_port_runtime] = {4, sizeof(struct port_runtime), 0},
        [NATIVE_MAP_port_counters] = {4, sizeof(struct port_counters), 0},
        [NATIVE_MAP_sources] = {sizeof(struct source_key), sizeof(struct source_value), 65536},
        [NATIVE_MAP_networks] = {4, sizeof(struct network_value), 16384},
        [NATIVE_MAP_fdb] = {sizeof(struct fdb_key), sizeof(struct output_value), 262144},
        [NATIVE_MAP_learned] = {sizeof(struct fdb_key), sizeof(struct output_value), LEARNED_MAX},
        [NATIVE_MAP_movable] = {sizeof(struct movable_key), sizeof(struct output_value), 65536},
        [NATIVE_MAP_neighbors] = {sizeof(struct neighbor_key), sizeof(struct neighbor_value), 262144},
        [NATIVE_MAP_flood] = {sizeof(struct flood_key), sizeof(struct output_value), 262144},
        [NATIVE_MAP_hosts] = {4, sizeof(struct host_record), 0},
        [NATIVE_MAP_host_runtime] = {4, sizeof(struct host_runtime), 0},
        [NATIVE_MAP_peers] = {16, sizeof(struct peer_value), 4096},
        [NATIVE_MAP_projects] = {4, sizeof(struct project_record), 0},
        [NATIVE_MAP_connections] = {sizeof(struct flow_key), sizeof(struct flow_entry), FLOW_SLOTS_DEFAULT},
        [NATIVE_MAP_flow_slots] = {4, sizeof(struct flow_slot), 0},
        [NATIVE_MAP_sweeper] = {4, sizeof(struct sweeper), 1},
        [NATIVE_MAP_policies] = {4, sizeof(struct port_policy), 0},
        [NATIVE_MAP_rules] = {sizeof(struct rules_key), sizeof(struct rules_block), 65536},
        [NATIVE_MAP_members] = {sizeof(struct member_key), sizeof(__u64), 1048576},
        [NATIVE_MAP_firewall_rules] = {sizeof(struct rules_key), sizeof(struct firewall_block), 65536},
        [NATIVE_MAP_member_prefixes] = {sizeof(struct member_prefix_key), sizeof(__u64), 65536},
        [NATIVE_MAP_router_ports] = {4, sizeof(struct router_port_record), 0},
        [NATIVE_MAP_router_port_runtime] = {4, sizeof(struct router_port_runtime), 0},
        [NATIVE_MAP_routes] = {sizeof(struct route_key), sizeof(struct route_value), 65536},
        [NATIVE_MAP_next_hops] = {sizeof(struct next_hop_key), sizeof(struct next_hop_value), 65536},
        [NATIVE_MAP_floating] = {sizeof(struct floating_key), sizeof(struct floating_value), 65536},
        [NATIVE_MAP_external] = {sizeof(struct external_key), sizeof(struct external_value), 262144},
        [NATIVE_MAP_forwarded] = {sizeof(struct forwarding_key), sizeof(struct external_value), 65536},
        [NATIVE_MAP_snat] = {4, sizeof(struct snat_config), 4096},
        [NATIVE_MAP_snat_owners] = {sizeof(struct snat_owner_key), sizeof(struct output_value), 65536},
        [NATIVE_MAP_gateways] = {sizeof(struct flood_key), sizeof(struct output_value), 65536},
        [NATIVE_MAP_uplinks] = {sizeof(struct uplink_key), sizeof(struct uplink_value), 256},
        [NATIVE_MAP_aliases] = {sizeof(struct alias_key), sizeof(struct alias_value), FLOW_SLOTS_DEFAULT},
        [NATIVE_MAP_services] = {sizeof(struct service_key), sizeof(struct service_value), 65536},
        [NATIVE_MAP_service_sources] = {sizeof(struct service_source_key), sizeof(__u64), 65536},
        [NATIVE_MAP_service_rows] = {sizeof(struct service_rows_key), sizeof(struct service_rows), 65536},
        [NATIVE_MAP_service_members] = {4, sizeof(struct service_member), SERVICE_MEMBERS_MAX},
        [NATIVE_MAP_service_names] = {sizeof(struct service_name), sizeof(__u32), SERVICE_MEMBERS_MAX},
        [NATIVE_MAP_balanced] = {sizeof(struct flow_key), sizeof(struct balanced_value), FLOW_SLOTS_DEFAULT},
        [NATIVE_MAP_balanced_names] = {sizeof(struct balanced_name), sizeof(struct flow_key), FLOW_SLOTS_DEFAULT},
        [NATIVE_MAP_service_counters] = {4, sizeof(struct service_counters), 0},
        [NATIVE_MAP_listener_use] = {4, sizeof(struct service_use), 0},
        [NATIVE_MAP_member_use] = {4, sizeof(struct service_use), 0},
        [NATIVE_MAP_portless] = {sizeof(struct alias_key), sizeof(struct portless_value), 4096},
        [NATIVE_MAP_outside_budget] = {4, sizeof(struct outside_budget), 0},
        [NATIVE_MAP_uplink_budget] = {4, sizeof(struct uplink_budget), 1024},
        [NATIVE_MAP_station_use] = {4, sizeof(__u32), STATION_USE_SIZE},
        [NATIVE_MAP_half_open] = {sizeof(__u32), sizeof(struct half_open), 0},
        [NATIVE_MAP_outside_fragments] = {sizeof(__u32), sizeof(struct port_fragments), OUTSIDE_FRAGMENTS},
        [NATIVE_MAP_fragments] = {sizeof(__u32), sizeof(struct port_fragments), 0},
        [NATIVE_MAP_verdict_config] = {4, sizeof(struct verdict_config), 1},
        [NATIVE_MAP_verdict_runtime] = {4, sizeof(struct verdict_runtime), 0},
        [NATIVE_MAP_router_verdict_runtime] = {4, sizeof(struct verdict_runtime), 0},
        [NATIVE_MAP_metadata] = {4, sizeof(struct metadata_config), 1},
        [NATIVE_MAP_metadata_budget] = {4, sizeof(struct metadata_budget), 0},
        [NATIVE_MAP_probe_targets] = {4, sizeof(struct probe_target), PROBE_TARGETS_MAX},
        [NATIVE_MAP_probes] = {sizeof(struct probe_key), 4, PROBES_MAX},
        [NATIVE_MAP_settings] = {4, sizeof(struct settings), 1},
    };
    uint32_t n_max = shapes[name].n_max;

    if (!n_max)
        n_max = name == NATIVE_MAP_hosts || name == NATIVE_MAP_host_runtime ? world->sizes.n_hosts
                : name == NATIVE_MAP_projects     ? world->sizes.n_projects
                : name == NATIVE_MAP_flow_slots   ? world->sizes.n_flow_slots
                : name == NATIVE_MAP_router_ports || name == NATIVE_MAP_router_port_runtime || name == NATIVE_MAP_outside_budget || name == NATIVE_MAP_router_verdict_runtime
                      ? world->sizes.n_router_ports
                                                  : world->sizes.n_ports;
    return native_map_init(&world->maps[name], kind, shapes[name].key_size, shapes[name].value_size, n_max);
}

int pipeline_new(const struct pipeline_sizes *sizes, struct pipeline **ret_pipeline)
{
    _cleanup_(pipeline_freep) struct pipeline *pipeline = calloc(1, sizeof(*pipeline));
    int error = 0;

    if (!pipeline)
        return -ENOMEM;
    pipeline->native.sizes = (struct pipeline_sizes){
        sizes->n_ports ? sizes->n_ports : MAX_PORTS_DEFAULT,
        sizes->n_hosts ? sizes->n_hosts : MAX_HOSTS_DEFAULT,
        sizes->n_projects ? sizes->n_projects : MAX_PROJECTS_DEFAULT,
        sizes->n_flow_slots ? sizes->n_flow_slots : FLOW_SLOTS_DEFAULT,
        sizes->n_router_ports ? sizes->n_router_ports : MAX_ROUTER_PORTS_DEFAULT,
    };
    pipeline->native.now_ns = 1000000000;
    pipeline->native.punt_space = UINT32_MAX;
#define MAP_SET_UP(name, kind)                                                                               \
    if (!error)                                                                                              \
        error = map_set_up(&pipeline->native, NATIVE_MAP_##name, NATIVE_##kind);
    NATIVE_MAPS(MAP_SET_UP)
#undef MAP_SET_UP
    if (error)
        return error;
    *ret_pipeline = TAKE_PTR(pipeline);
    return 0;
}

void pipeline_free(struct pipeline *pipeline)
{
    if (!pipeline)
        return;
    for (int i = 0; i < N_NATIVE_MAPS; i++)
        native_map_destroy(&pipeline->native.maps[i]);
    free(pipeline);
}

static struct native_map *find_table(const struct pipeline *pipeline, const char *table)
{
    for (size_t i = 0; i < N_NATIVE_MAPS; i++)
        if (streq(map_names[i], table))
            return (struct native_map *)&pipeline->native.maps[i];
    return NULL;
}

int pipeline_update(struct pipeline *pipeline, const char *table, const void *key, const void *value)
{
    struct native_map *map = find_table(pipeline, table);

    return map ? native_map_update(map, key, value, false) : -ENOENT;
}

int pipeline_delete(struct pipeline *pipeline, const char *table, const void *key)
{
    struct native_map *map = find_table(pipeline, table);

    return map ? native_map_delete(map, key) : -ENOENT;
}

void *pipeline_lookup(const struct pipeline *pipeline, const char *table, const void *key)
{
    struct native_map *map = find_table(pipeline, table);

    return map ? native_map_lookup(map, key) : NULL;
}

int pipeline_table(const struct pipeline *pipeline, const char *table, size_t *ret_key_size, size_t *ret_value_size,
                   uint32_t *ret_n_entries)
{
    const struct native_map *map = find_table(pipeline, table);

    if (!map)
        return -ENOENT;
    *ret_key_size = map->key_size;
    *ret_value_size = map->value_size;
    *ret_n_entries = map->kind == NATIVE_ARRAY ? map->n_max : map->entries.n_nodes;
    return 0;
}

void pipeline_clear(struct pipeline *pipeline, const char *table)
{
    for (size_t i = 0; i < N_NATIVE_MAPS; i++)
        if (!table || streq(map_names[i], table))
            native_map_clear(&pipeline->native.maps[i]);
}

void pipeline_visit(struct pipeline *pipeline, const char *table, void (*visit)(void *key, void *value, void *context),
                    void *context)
{
    struct native_map *map = find_table(pipeline, table);

    if (map && map->kind != NATIVE_ARRAY)
        native_map_visit(map, visit, context);
}

void pipeline_set_punt_space(struct pipeline *pipeline, uint32_t n_events)
{
    pipeline->native.punt_space = n_events;
}

void pipeline_advance(struct pipeline *pipeline, uint64_t now_ns)
{
    __u32 zero = 0;

    native = &pipeline->native;
    native->result = NULL;
    struct sweeper *record = native_map_lookup(native_map(NATIVE_MAP_sweeper), &zero);
    /* Of a long time the last two rounds do: nothing but the sweeper happens meanwhile. */
    __u64 rounds_ns = (2 * native->sizes.n_flow_slots / SWEEP_STRETCH + 1) * SWEEP_TICK_NS;
    if (record->version && now_ns > rounds_ns && record->timer[0] < now_ns - rounds_ns)
        record->timer[0] = now_ns - rounds_ns;
    while (native->expire && record->version && record->timer[0] <= now_ns) {
        native->now_ns = record->timer[0];
        native->expire(native_map(NATIVE_MAP_sweeper), &zero, record);
    }
    native->now_ns = now_ns;
    native = NULL;
}

/* ---- running ------------------------------------------------------------------------------------------------------------------- */

/* As the kernel's eth_type_trans(). */
static __u32 protocol_of(const uint8_t *bytes, uint32_t size)
{
    __u16 type = load16(bytes + 12);

    if (ntohs(type) >= ETH_P_802_3_MIN)
        return type;
    return htons(size >= 16 && load16(bytes + 14) == 0xffff ? ETH_P_802_3 : ETH_P_802_2);
}

/* Whose interface is it? */
static uint32_t port_of_interface(uint32_t ifindex)
{
    const struct native_map *ports = native_map(NATIVE_MAP_ports);

    for (uint32_t slot = 1; slot < ports->n_max; slot++) {
        uint32_t unused;
        const struct port_config *config = port_config_get(slot, &unused);
        if (ifindex && config->ifindex == ifindex)
            return slot;
    }
    return 0;
}

/* The host slot that a frame with outer headers goes to. */
static uint32_t host_of_frame(const struct native *world, const struct pipeline_output *output)
{
    const uint8_t *bytes = output->bytes;
    uint8_t local[16], remote[16];

    if (output->size >= TUNNEL_OVERHEAD_IPV4 + ETH_HLEN && load16(bytes + 12) == htons(ETH_P_IP)) {
        address_map_ipv4(local, load32(bytes + 26));
        address_map_ipv4(remote, load32(bytes + 30));
    } else if (output->size >= TUNNEL_OVERHEAD_IPV6 + ETH_HLEN && load16(bytes + 12) == htons(ETH_P_IPV6)) {
        memcpy(local, bytes + 22, 16);
        memcpy(remote, bytes + 38, 16);
    } else {
        return 0;
    }
    for (uint32_t slot = 1; slot < world->sizes.n_hosts; slot++) {
        const struct host_config *host = host_config_get(slot);
        if (host->ifindex == output->ifindex && memcmp(host->local, local, 16) == 0 && memcmp(host->remote, remote, 16) == 0)
            return slot;
    }
    return 0;
}

static bool result_has(const struct pipeline_result *result, enum pipeline_way way)
{
    for (size_t i = 0; i < result->n_outputs; i++)
        if (result->outputs[i].way == way)
            return true;
    return false;
}

/* Says who is behind each output, and what it all came to. */
static void judge(struct pipeline_result *result, uint32_t ifindex)
{
    const struct settings *settings = settings_get();
    const struct metadata_config *metadata = metadata_get();
    bool to_port = false, to_host = false, to_agent = false;

    for (size_t i = 0; i < result->n_outputs; i++) {
        struct pipeline_output *output = &result->outputs[i];
        if (output->way == PIPELINE_PUNT)
            continue;
        if (settings && output->ifindex == settings->tunnel_ifindex)
            to_host = true; /* On its way; pipeline_trace() follows. */
        else if (metadata && output->ifindex == metadata->ifindex)
            to_agent = true;
        else
            output->port_slot = port_of_interface(output->ifindex);
        if (!output->port_slot && !to_host && !to_agent)
            output->host_slot = host_of_frame(native, output);
        to_host |= output->host_slot != 0;
        to_port |= output->way != PIPELINE_CLONE && output->port_slot;
    }
    switch (result->action) {
    case TC_ACT_OK:
    case TC_ACT_UNSPEC:
        result->verdict = PIPELINE_PASSED;
        break;
    case TC_ACT_REDIRECT:
        result->verdict = to_agent                                         ? PIPELINE_PUNTED
                          : !to_port                                       ? to_host ? PIPELINE_TUNNELLED : PIPELINE_OUTSIDE
                          : native->redirect.way == PIPELINE_REDIRECT &&
                                    native->redirect.ifindex == ifindex ? PIPELINE_ANSWERED
                                                                         : PIPELINE_DELIVERED;
        break;
    case TC_ACT_STOLEN:
        result->verdict = result_has(result, PIPELINE_PUNT) ? PIPELINE_PUNTED : PIPELINE_FLOODED;
        break;
    default:
        result->verdict = PIPELINE_DROPPED;
    }
}

/* The counters tell which reason: every drop increments exactly one. */
static uint64_t drops_sum(enum drop_reason reason)
{
    const struct native_map *map = native_map(NATIVE_MAP_port_counters);
    const struct port_counters *counters = (const struct port_counters *)map->array;
    uint64_t sum = 0;

    for (uint32_t slot = 0; slot < map->n_max; slot++)
        sum += counters[slot].drops[reason];
    return sum;
}

static int run_program(enum pipeline_program program, struct __sk_buff *skb)
{
    switch (program) {
    case PIPELINE_FROM_WORKLOAD:
        return from_workload(skb);
    case PIPELINE_FROM_UNDERLAY:
        return from_underlay(skb);
    case PIPELINE_FROM_UPLINK:
        return from_uplink(skb);
    case PIPELINE_TO_TUNNEL:
        return to_tunnel(skb);
    case PIPELINE_THROUGH_NEIGHBOR:
        return through_neighbor(skb);
    case PIPELINE_FROM_METADATA:
        return from_metadata(skb);
    }
    return TC_ACT_SHOT;
}

int pipeline_run(struct pipeline *pipeline, enum pipeline_program program, const struct pipeline_frame *frame,
                 struct pipeline_result *ret)
{
    struct native_frame copy = {
        .skb = {
            .len = frame->size,
            .ifindex = frame->ifindex,
            .mark = frame->mark,
            .priority = frame->priority,
            .cb = {frame->control},
            .gso_size = frame->gso_size,
            .gso_segs = frame->gso_segs,
            .vlan_present = frame->vlan_present,
            .vlan_tci = frame->vlan_present ? frame->vlan : 0,
            .vlan_proto = frame->vlan_present ? htons(ETH_P_8021Q) : 0,
            .pkt_type = frame->not_for_host ? PACKET_OTHERHOST : PACKET_HOST,
        },
        .linear = frame->linear && frame->linear < frame->size ? frame->linear : frame->size,
        .gso_tcp = frame->gso_tcp,
        .checksum_partial = frame->checksum_partial,
    };
    struct pipeline_result result = {0};
    uint64_t before[N_DROP_REASONS];

    if (frame->size < ETH_HLEN)
        return -EINVAL;
    copy.bytes = malloc(frame->size);
    if (!copy.bytes)
        return -ENOMEM;
    memcpy(copy.bytes, frame->bytes, frame->size);
    copy.skb.protocol = protocol_of(copy.bytes, frame->size);

    native = &pipeline->native;
    native->result = &result;
    native->error = 0;
    native->has_redirect = false;
    for (int reason = 0; reason < N_DROP_REASONS; reason++)
        before[reason] = drops_sum(reason);
    result.action = run_program(program, &copy.skb);
    for (int reason = 0; reason < N_DROP_REASONS; reason++)
        if (drops_sum(reason) != before[reason])
            result.reason = reason;
    if (result.action == TC_ACT_REDIRECT && native->has_redirect) {
        struct pipeline_output *output = add_output(native->redirect.way, native->redirect.ifindex, copy.bytes, copy.skb.len);
        if (output) {
            output->mark = copy.skb.mark;
            output->priority = copy.skb.priority;
            output->control = copy.skb.cb[0];
            output->vlan = copy.skb.vlan_present ? copy.skb.vlan_tci : 0;
            memcpy(output->next_hop, native->redirect.next_hop, 16);
        }
    }
    judge(&result, frame->ifindex);
    result.bytes = copy.bytes;
    result.size = copy.skb.len;
    int error = native->error;
    native->result = NULL;
    native = NULL;
    if (error) {
        pipeline_result_clear(&result);
        return error;
    }
    *ret = result;
    return 0;
}

/* Runs what output 'index' of '*ret' meets at the tunnel device, and puts the outcome in its place. */
static int follow(struct pipeline *pipeline, struct pipeline_result *ret, size_t index)
{
    struct pipeline_output *output = &ret->outputs[index];
    struct pipeline_frame frame = {.bytes = output->bytes, .size = output->size, .ifindex = output->ifindex,
                                   .mark = output->mark, .priority = output->priority, .control = output->control};
    struct pipeline_result next;
    int error = pipeline_run(pipeline, output->way == PIPELINE_CLONE ? PIPELINE_TO_TUNNEL : PIPELINE_THROUGH_NEIGHBOR,
                             &frame, &next);

    if (error)
        return error;
    struct pipeline_step *steps = reallocarray(ret->steps, ret->n_steps + next.n_steps + 1, sizeof(*steps));
    if (!steps) {
        pipeline_result_clear(&next);
        return -ENOMEM;
    }
    ret->steps = steps;
    if (next.n_steps)
        memcpy(ret->steps + ret->n_steps, next.steps, next.n_steps * sizeof(*steps));
    ret->n_steps += next.n_steps;
    free(output->bytes);
    if (next.n_outputs) {
        *output = next.outputs[0];
        next.outputs[0].bytes = NULL;
    } else {
        memmove(output, output + 1, (--ret->n_outputs - index) * sizeof(*output));
    }
    pipeline_result_clear(&next);
    return 0;
}

int pipeline_trace(struct pipeline *pipeline, enum pipeline_program program, const struct pipeline_frame *frame,
                   struct pipeline_result *ret)
{
    const uint32_t zero = 0;
    const struct settings *settings = pipeline_lookup(pipeline, "settings", &zero);
    struct pipeline_result result;
    int error = pipeline_run(pipeline, program, frame, &result);

    if (error)
        return error;
    for (size_t i = 0; i < result.n_outputs && !error;) {
        size_t n_before = result.n_outputs;
        if (result.outputs[i].way == PIPELINE_PUNT || result.outputs[i].host_slot || result.outputs[i].port_slot ||
            result.outputs[i].ifindex != settings->tunnel_ifindex) {
            i++;
            continue;
        }
        enum pipeline_way way = result.outputs[i].way;
        error = follow(pipeline, &result, i);
        /* A copy may go through the device twice: out with a header, then to the neighbor.  Never more. */
        if (!error && result.n_outputs == n_before && (way != PIPELINE_CLONE ||
                                                       result.outputs[i].way != PIPELINE_REDIRECT_INGRESS))
            i++;
    }
    if (error) {
        pipeline_result_clear(&result);
        return error;
    }
    *ret = result;
    return 0;
}

void pipeline_result_clear(struct pipeline_result *result)
{
    for (size_t i = 0; i < result->n_outputs; i++)
        free(result->outputs[i].bytes);
    free(result->outputs);
    free(result->steps);
    free(result->verdicts);
    free(result->bytes);
    *result = (struct pipeline_result){0};
}

const char *pipeline_verdict_name(enum pipeline_verdict verdict)
{
    static const char *const names[] = {
        [PIPELINE_PASSED] = "passed",       [PIPELINE_DROPPED] = "dropped", [PIPELINE_DELIVERED] = "delivered",
        [PIPELINE_TUNNELLED] = "tunnelled", [PIPELINE_FLOODED] = "flooded", [PIPELINE_PUNTED] = "punted",
        [PIPELINE_ANSWERED] = "answered",   [PIPELINE_OUTSIDE] = "sent outside",
    };

    return names[verdict];
}

const char *pipeline_stage_name(unsigned stage)
{
    return stage < N_STAGES ? stage_names[stage] : NULL;
}

bool pipeline_stage_reached(const char *stage)
{
    for (size_t i = 0; i < N_STAGES; i++)
        if (streq(stage_names[i], stage))
            return stages_reached[i];
    return false;
}
