// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* What an entry of a connection through a load balancer is, and what goes with it.
 *
 * At the client's port: 'output' is OUTPUT_MEMBER | the member's number, next_mac holds the first bits of its id, and the listener's number.
 * At the member's port: 'output' is OUTPUT_CLIENT, and 'balanced' has under the entry's key where the client is; next_mac holds the listener's number, and
 * the member's if the client is outside, else zeros.  Neither output ever changes to another kind while the entry lives.  'output_generation' is BALANCED_DECIDED, which is no generation of a host beyond all slots: who compares
 * it as for other outputs finds that the entry is not current, and goes on to where balanced ones are looked at.
 *
 * A connection counts under its listener and its member from when its entry is made until it is over: both FINs or a RST were seen, or the entry died.
 * The entry of the client's port counts, of a client outside the member's.  Who sets FLOW_UNCOUNTED takes one off, who clears it adds one, by the word's
 * value before; so it is done once, however many CPUs see the end. */
#ifndef WEFT_BPF_BALANCED_H
#define WEFT_BPF_BALANCED_H

#include "weft/dataplane/bpf/maps.h"
#include "weft/dataplane/bpf/packet.h"

/* Steps, one after the other and each from the program itself, for the sake of the stack that all calls share. */
#define STEP_BALANCE 0x400u   /* packet->decision leads to or from a member: balance_forward(), balance_answer(). */
#define STEP_TO_MEMBER 0x401u /* Of this host, as scratch memory's 'value' says: balance_arrive(); */
#define STEP_AT_MEMBER 0x402u /* translated: balance_deliver(). */
#define STEP_TO_CLIENT 0x403u /* The client is of this host: balance_return(). */
#define STEP_SERVICE 0x404u   /* On an external network, for a load balancer's address: balance_outside_take(), */
#define STEP_OWNERS 0x405u    /* then for an owner of its row: balance_outside_send(). */
#define STEP_TOO_BIG 0x407u   /* It came back, for the member's client has less room: balance_tell_size(). */
#define STEP_AWAY 0x406u      /* To a client outside: balance_outside_leave(). */

#define BALANCED_DECIDED 0xffffu
#define BALANCED_AGAIN 0xfffeu /* The verdict was renewed by a received frame; the way is for the next one that is sent to decide. */

static __always_inline bool output_is_service(__u32 output)
{
    return (output & OUTPUT_KIND_MASK) == OUTPUT_SERVICE;
}

static __always_inline bool output_is_member(__u32 output)
{
    return (output & ~OUTPUT_MEMBER_MASK) == OUTPUT_MEMBER;
}

static __always_inline void balanced_note_member(struct flow_entry *entry, __u32 name, __u32 listener)
{
    store16(entry->next_mac, name);
    store16(entry->next_mac + 2, name >> 16);
    store16(entry->next_mac + 4, listener);
}

static __always_inline __u32 balanced_member_name(const struct flow_entry *entry)
{
    return load16(entry->next_mac) | (__u32)load16(entry->next_mac + 2) << 16;
}

static __always_inline __u32 balanced_listener(const struct flow_entry *entry)
{
    return load16(entry->next_mac + 4);
}

/* At a member's port, of a client outside: counted here. */
static __always_inline void balanced_note_outside(struct flow_entry *entry, __u32 member, __u32 listener)
{
    balanced_note_member(entry, member & 0xffff, listener);
}

/* The number of the member under which the entry counts; 0: it does not. */
static __always_inline __u32 balanced_counts_as(const struct flow_entry *entry)
{
    __u32 output = entry->output;

    return output_is_member(output) ? output & OUTPUT_MEMBER_MASK : output == OUTPUT_CLIENT ? load16(entry->next_mac) : 0;
}

static __always_inline void balanced_change(__u32 listener, __u32 member, __s64 change)
{
    struct service_use *use = map_lookup(listener_use, &listener);

    if (use)
        __sync_fetch_and_add(&use->n_connections, change);
    use = map_lookup(member_use, &member);
    if (use)
        __sync_fetch_and_add(&use->n_connections, change);
}

/* An entry has come. */
static __always_inline void balanced_count(const struct flow_entry *entry)
{
    __u32 member = balanced_counts_as(entry);

    if (member)
        balanced_change(balanced_listener(entry), member, 1);
}

/* The connection is over, whoever else sees that. */
static __always_inline void balanced_uncount(struct flow_entry *entry)
{
    __u32 member = balanced_counts_as(entry);

    if (member && !(__sync_fetch_and_or(&entry->account, FLOW_UNCOUNTED) & FLOW_UNCOUNTED))
        balanced_change(balanced_listener(entry), member, -1);
}

/* Another one is in its place. */
static __always_inline void balanced_recount(struct flow_entry *entry)
{
    if (entry->account & FLOW_UNCOUNTED && __sync_fetch_and_and(&entry->account, ~FLOW_UNCOUNTED) & FLOW_UNCOUNTED)
        balanced_count(entry);
}

/* After how many milliseconds of silence the listener's connections end; 0: it does not say. */
static __always_inline __u32 balanced_timeout(__u32 listener)
{
    struct service_key key ON_STACK = SERVICE_LISTENER_KEY(listener);
    const struct service_value *value = listener ? map_lookup(services, &key) : NULL;

    return value && value->listener == listener ? value->limit : 0;
}

/* It counts under another listener from now on, if it still does: that has another number; or the client has come from elsewhere ('member' is 0: it is counted
 * by its own entry). */
static __always_inline void balanced_count_as(struct flow_entry *entry, __u32 member, __u32 listener)
{
    if (load16(entry->next_mac) == (__u16)member && balanced_listener(entry) == (__u16)listener)
        return;
    if (!member && !load16(entry->next_mac)) { /* It does not count. */
        store16(entry->next_mac + 4, listener);
        return;
    }
    if (__sync_fetch_and_or(&entry->account, FLOW_UNCOUNTED) & FLOW_UNCOUNTED)
        return;
    __u32 before = balanced_counts_as(entry);
    if (before)
        balanced_change(balanced_listener(entry), before, -1);
    balanced_note_outside(entry, member, listener);
    balanced_recount(entry);
}

static __always_inline void balanced_name_of(struct balanced_name *ret, const struct balanced_value *value, __u8 protocol)
{
    ret->vni = value->vni;
    ret->client_vni = value->client_vni;
    ret->member = value->member;
    ret->client_port = value->client_port;
    ret->vip_port = value->vip_port;
    ret->protocol = protocol;
    ret->pad[0] = ret->pad[1] = ret->pad[2] = 0;
    address_copy(ret->client, value->client);
    address_copy(ret->vip, value->vip);
}

/* Frees the name if it is of the entry under 'key': another connection may have it by now. */
static __always_inline void balanced_name_free(const struct balanced_name *name, const struct flow_key *key)
{
    const struct flow_key *named = map_lookup(balanced_names, name);

    if (named && named->owner == key->owner && named->local == key->local && named->remote == key->remote && named->local_port == key->local_port &&
        named->remote_port == key->remote_port)
        map_delete(balanced_names, name);
}

/* Of a client outside? */
static __always_inline bool balanced_is_outside(__u32 output)
{
    return (output & OUTPUT_KIND_MASK) == OUTPUT_ROUTER;
}

/* Takes away what 'balanced' has for a member's entry that ends. */
static __noinline void balanced_remove(const struct flow_key *key)
{
    struct scratch *scratch = scratch_get();
    const struct balanced_value *value = map_lookup(balanced, key);

    if (!scratch || !value)
        return;
    if (value->flags & BALANCED_NAMED) {
        balanced_name_of(&scratch->gone, value, key->owner >> 24);
        balanced_name_free(&scratch->gone, key);
    }
    map_delete(balanced, key);
}

#endif
