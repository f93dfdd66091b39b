// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The uplinks' table, and frames out of one. */
#ifndef WEFT_BPF_UPLINK_DEVICE_H
#define WEFT_BPF_UPLINK_DEVICE_H

#include "weft/dataplane/bpf/packet.h"

/* A copy of the row: it is replaced whole, and may be another's while it is read. */
static __always_inline bool uplink_read(const struct uplink_value *value, struct uplink_value *ret)
{
    if (!value)
        return false;
    ret->ifindex = value->ifindex;
    ret->vlan = value->vlan;
    ret->vni = value->vni;
    ret->project = value->project;
    mac_copy(ret->mac, value->mac);
    ret->mtu = value->mtu;
    return true;
}

static __always_inline bool uplink_of_network(__u32 vni, struct uplink_value *ret)
{
    struct uplink_key key = {.ifindex = UPLINK_BY_VNI, .vlan = vni};

    return uplink_read(map_lookup(uplinks, &key), ret) && ret->vni == vni;
}

/* Takes the VLAN's tag off; only from frames that are ours. */
static __always_inline __u32 uplink_untag(struct __sk_buff *skb, const struct uplink_value *uplink)
{
    return (skb->vlan_present || uplink->vlan) && bpf_skb_vlan_pop(skb) ? DROP_no_buffer : STEP_CONTINUE;
}

static __always_inline __u32 uplink_transmit(struct __sk_buff *skb, const struct uplink_value *uplink)
{
    if (uplink->vlan && bpf_skb_vlan_push(skb, bpf_htons(ETH_P_8021Q), uplink->vlan))
        return DROP_no_buffer;
    return VERDICT(bpf_redirect(uplink->ifindex, 0));
}

#endif
