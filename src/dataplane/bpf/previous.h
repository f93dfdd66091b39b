// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Finding a connection, be it of the release before, whose programs have them in a hash map of their own (layout 2 of 'connections').
 *
 * While programs of both releases are at work, port by port, each has its own entry of a connection: here one is made when it is first looked for.
 * When the last port has been taken over, the agent has the rest made as well, and the former ones removed (end_connection).  Both count at their
 * project and their member meanwhile.  The name outside goes on with the one that is here.
 * Here it does not end by silence while those programs see it; when it ends here, it does there.
 *
 * TCP is followed anew from its next segment on, since programs of the other release may see some of them meanwhile.
 *
 * All but flow_place_of goes away when no release that has such a map is upgraded from any more. */
#ifndef WEFT_BPF_PREVIOUS_H
#define WEFT_BPF_PREVIOUS_H

#include "weft/dataplane/bpf/names.h"

static __always_inline bool former_is_alive(const struct former_entry *former)
{
    return former->layout == FORMER_LAYOUT && flow_state_is_alive(*(volatile const __u8 *)&former->state);
}

/* All but its key, its state and its link. */
static __always_inline void former_copy(struct flow_entry *entry, const struct former_entry *former)
{
    entry->hops = former->hops;
    entry->flags = former->flags & ~(FLOW_TRACKED | FLOW_TRACKED << 1);
    entry->stamp = former->stamp;
    entry->output = former->output;
    entry->last_seen = former->last_seen;
    mac_copy(entry->remote_mac, former->remote_mac);
    entry->output_generation = former->output_generation;
    mac_copy(entry->next_mac, former->next_mac);
    entry->router_port = former->router_port;
    entry->router_generation = former->router_generation;
    entry->account = former->account & ~FLOW_TAKEN; /* Whoever has taken it there does not give this one back. */
    entry->generation = former->generation;
    __builtin_memcpy(entry->packets, former->packets, sizeof(entry->packets));
    __builtin_memcpy(entry->bytes, former->bytes, sizeof(entry->bytes));
    entry->sequence_end[0] = former->sequence_end[0];
    entry->sequence_end[1] = former->sequence_end[1];
    entry->scales = FLOW_SCALE_UNKNOWN << 4 | FLOW_SCALE_UNKNOWN;
    __builtin_memcpy(entry->local, former->names, sizeof(former->names));
}

/* Its name outside is no more its own, to be freed at its end. */
static __always_inline void former_give_up_name(struct former_entry *former)
{
    if (former->flags & FLOW_ALIASED)
        __sync_fetch_and_and((__u32 *)former, ~((__u32)FLOW_ALIASED << FLOW_FLAGS_SHIFT));
}

/* What counts at its project and at its member comes or goes, by 1 or -1: of an entry of either release. */
static __always_inline void former_count(__u32 account, __u32 listener, __u32 member, __s32 change)
{
    __u32 index = account & FLOW_ACCOUNT_MASK;
    struct project_record *project = account & FLOW_RECYCLED ? NULL : map_lookup(projects, &index);

    if (project)
        __sync_fetch_and_add(account & FLOW_COUNTED ? &project->n_established : &project->n_half_open, change);
    if (member && !(account & FLOW_UNCOUNTED))
        balanced_change(listener, member, change);
}

/* Makes an entry of a former one.  Returns its place, or FLOW_NONE. */
static __always_inline __u32 former_adopt(const struct flow_key *key)
{
    struct former_entry *former = map_lookup(former_connections, key);
    __u32 place = former && former_is_alive(former) ? flow_claim() : FLOW_NONE;
    struct flow_entry *entry = flow_at(place);

    if (!former || !entry)
        return FLOW_NONE;
    entry->key = *key;
    former_copy(entry, former);
    __u32 account = entry->account, listener = balanced_listener(entry), member = balanced_counts_as(entry);
    __u32 linked = flow_link(place, former->state);
    if (linked == LINK_EXISTS) /* Another CPU was faster. */
        return flow_look_up(key);
    if (linked != LINK_DONE)
        return FLOW_NONE;
    former_count(account, listener, member, 1);
    former_give_up_name(former);
    TRACE(flow, "the connection is known from the release before");
    return place;
}

/* The place of the entry of that key, dead ones too, or FLOW_NONE. */
CHECKED_ALONE __u32 flow_place_of(const struct flow_key *key)
{
    __u32 place = key ? flow_look_up(key) : FLOW_NONE;

    return place == FLOW_NONE && has_former_connections && key ? former_adopt(key) : place;
}

/* The entry of that key, dead ones too, or NULL.  It becomes no other key's for FLOW_DEAD_TIME. */
static __always_inline struct flow_entry *flow_get(const struct flow_key *key)
{
    return flow_at(flow_place_of(key));
}

/* Its programs have seen it since this release's have; the entry's time is theirs then. */
static __always_inline bool former_keeps(struct flow_entry *entry, __u32 now)
{
    const struct former_entry *former = has_former_connections ? map_lookup(former_connections, &entry->key) : NULL;

    if (!former || !former_is_alive(former) || flow_age(now, former->last_seen) >= flow_age(now, entry->last_seen))
        return false;
    entry->last_seen = former->last_seen;
    return true;
}

/* What has ended here has ended there: nobody takes it for one that this release does not know yet. */
static __always_inline void former_ends_too(const struct flow_key *key)
{
    struct former_entry *former = has_former_connections ? map_lookup(former_connections, key) : NULL;

    if (!former || !former_is_alive(former))
        return;
    former->last_seen = flow_now();
    *(volatile __u8 *)&former->state = FLOW_DEAD;
}

/* The former release's programs were at work after this one's: what they know is newer.  Returns whether it is. */
static __always_inline bool former_renew(const struct flow_key *key)
{
    struct former_entry *former = map_lookup(former_connections, key);
    struct flow_entry *entry = flow_at(flow_look_up(key));
    __u32 now = flow_now();

    if (!former || !entry || !former_is_alive(former) || !flow_state_is_alive(flow_state(entry)) ||
        flow_age(now, former->last_seen) >= flow_age(now, entry->last_seen))
        return false;
    __u32 account = entry->account; /* What it counts as stays. */
    former_copy(entry, former);
    entry->account = account;
    flow_settle(entry, former->state);
    former_give_up_name(former);
    return true;
}

/* Takes a former entry over, if that has not been done, and removes it.  Returns whether there was one. */
static __always_inline bool former_end(const struct flow_key *key)
{
    struct former_entry *former = map_lookup(former_connections, key);
    struct scratch *scratch = scratch_get();

    if (!former || !scratch)
        return false;
    bool is_lost = flow_place_of(key) == FLOW_NONE; /* It was dead, or there is no room. */
    struct flow_entry *copy = &scratch->entry;
    former_copy(copy, former); /* Once it is removed its memory may be another's. */
    if (map_delete(former_connections, key))
        return false;
    former_count(copy->account, balanced_listener(copy), balanced_counts_as(copy), -1);
    if (is_lost)
        flow_free_names(key, copy);
    return true;
}

#endif
