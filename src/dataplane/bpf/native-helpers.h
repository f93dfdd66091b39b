// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The kernel's helpers (bpf-helpers(7)) over a frame in memory: each does what the kernel's does, as far as programs can see.  Part of
 * pipeline.c. */
#ifndef WEFT_BPF_NATIVE_HELPERS_H
#define WEFT_BPF_NATIVE_HELPERS_H

#define KERNEL_ENOTSUPP 524 /* The kernel's own, not EOPNOTSUPP. */

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

#endif
