// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Tracking TCP at ports with security groups: only what fits the connection passes, and what it says makes the connection's state.
 *
 * Windows are those of G. van Rooij, "Real stateful TCP packet filtering in IP Filter" (2000), over what an entry has room for: of
 * each side the end of what it has sent (E) and the largest window that it announced (W).  Of a segment from side A to side B:
 *
 *     its end       <= E(A) + W(B)                   not beyond what B can take, but for a FIN (below),
 *     its beginning >= E(A) - W(B)                   nor so old that B has it for sure,
 *     its ack       <= E(B)                          of what B has sent
 *     its ack       >= E(B) - max(W(A), 66000)       and not long ago.
 *
 * What does not fit is dropped, as Linux' conntrack calls it invalid and Neutron's drivers drop that.  A connection that is met in the
 * middle (its entry is new, or policy has just come to the port) is taken as it is, and since nobody knows the scale of its windows, so is
 * whatever does not fit there: only its RSTs must, and as Linux does.
 *
 * A FIN is sent behind the last byte of a full window, too, by stacks that come from BSD: it and what has no data may be one beyond.
 *
 * Beyond windows, RFC 5961 and RFC 9293:
 *   - A SYN in a synchronized connection passes and changes nothing: its receiver answers with an ACK, and if that was news to the sender,
 *     the sender resets.  If instead a SYN-ACK comes back for it, both agree on a new connection.  Once the connection is over (both FINs, or a RST),
 *     a SYN begins the next one at once; policy is asked when it comes from the other side than the last one's.
 *   - A RST ends the connection when it is what the receiver expects next.  One that is only in the window passes, and shortens the life
 *     of the entry if nothing else comes from its sender: an ACK that was lost may have moved what the receiver expects.
 *   - While a SYN waits for its answer, an ACK without data passes (the answerer knows another connection), and the RST that it provokes. */
#ifndef WEFT_BPF_TRACK_H
#define WEFT_BPF_TRACK_H

#include "weft/dataplane/bpf/flow.h"
#include "weft/dataplane/bpf/segment.h"

#define TCP_ACK_WINDOW 66000u  /* How old an acknowledgment may always be. */
#define TCP_SYN_DATA 1500u     /* How much data of a SYN (RFC 7413) its answer need not acknowledge. */
#define TRACK_RESTART 0xfeu    /* Not a drop reason: a new connection begins in this one's place. */

/* Sequence numbers are compared in a circle. */
static __always_inline __s32 tcp_after(__u32 a, __u32 b)
{
    return (__s32)(a - b);
}

static __always_inline void tcp_set_window(struct flow_entry *entry, __u32 side, __u16 window)
{
    if (side)
        entry->window[1] = window;
    else
        entry->window[0] = window;
}

/* Who began the connection? */
static __always_inline __u32 tcp_original(const struct flow_entry *entry)
{
    return entry->flags & FLOW_LOCAL_STARTED ? 0 : 1;
}

/* With FLOW_SYN_AGAIN, the window of who began is not known any more: in its place is the end of that SYN, its low bits. */
static __always_inline __u32 tcp_window_of(const struct flow_entry *entry, __u32 side)
{
    __u32 scale = tcp_scale_of(entry, side), window = side ? entry->window[1] : entry->window[0];

    if (entry->flags & FLOW_SYN_AGAIN && side == tcp_original(entry))
        window = 0xffff;
    return window << (scale == FLOW_SCALE_UNKNOWN ? TCP_SCALE_MAX : scale);
}

static __always_inline __u32 tcp_end_of(const struct flow_entry *entry, __u32 side)
{
    return side ? *(const volatile __u32 *)&entry->sequence_end[1] : *(const volatile __u32 *)&entry->sequence_end[0];
}

/* Several CPUs may carry one side's segments; the highest must not be lost, or its acknowledgment would not fit. */
static __always_inline void tcp_raise(struct flow_entry *entry, __u32 side, __u32 end)
{
    __u32 *place = side ? &entry->sequence_end[1] : &entry->sequence_end[0];

#pragma GCC unroll 3
    for (int i = 0; i < 3; i++) {
        __u32 before = *(volatile __u32 *)place;
        if (tcp_after(end, before) <= 0 || __sync_val_compare_and_swap(place, before, end) == before)
            return;
    }
}

/* Both SYNs were seen: windows are scaled if both offered it (RFC 7323, 2.2), but those of the SYNs themselves are not. */
static __always_inline void tcp_agree(struct flow_entry *entry)
{
    __u32 ours = tcp_scale_of(entry, 0), theirs = tcp_scale_of(entry, 1);

    if (ours == FLOW_SCALE_UNKNOWN || theirs == FLOW_SCALE_UNKNOWN)
        ours = theirs = 0;
    entry->window[0] = (entry->window[0] + (1u << ours) - 1) >> ours;
    entry->window[1] = (entry->window[1] + (1u << theirs) - 1) >> theirs;
    entry->scales = ours << 4 | theirs;
}

static __always_inline void track_state(struct flow_entry *entry, __u8 state)
{
    *(volatile __u8 *)&entry->state = state;
    TRACE(flow, "TCP state %u", state);
}

#define FLOW_TCP_FLAGS (FLOW_FIN | FLOW_FIN << 1 | FLOW_FIN_ACKED | FLOW_FIN_ACKED << 1 | FLOW_TRACKED | FLOW_TRACKED << 1 | FLOW_SYN_AGAIN | \
                        FLOW_RESET_SEEN(0) | FLOW_RESET_SEEN(1))

/* A SYN begins a new connection in the entry of the last one; who began is who sends it. */
static __noinline void track_restart(struct flow_entry *entry, const struct tcp_segment *segment, __u32 side)
{
    entry->packets[0] = entry->packets[1] = 0;
    entry->bytes[0] = entry->bytes[1] = 0;
    tcp_set_side(entry, side, segment->end, segment->window, segment->scale);
    tcp_set_scale(entry, !side, FLOW_SCALE_UNKNOWN);
    __u32 set = FLOW_TRACKED << side | (side ? 0 : FLOW_LOCAL_STARTED);
    flow_flags_change(entry, set, (FLOW_TCP_FLAGS | FLOW_LOCAL_STARTED | FLOW_SEEN_REPLY | FLOW_GUESSED) & ~set);
    flow_unestablish(entry);
    balanced_recount(entry);
    track_state(entry, FLOW_HALF_OPEN);
}

/* A SYN without ACK. */
static __always_inline __u32 track_syn(struct flow_entry *entry, const struct tcp_segment *segment, __u32 side, bool is_original)
{
    __u32 flags = entry->flags, tracked = FLOW_TRACKED << side, other = FLOW_TRACKED << !side;

    switch (entry->state) {
    case FLOW_CLOSING:
    case FLOW_TIME_WAIT:
    case FLOW_RESET:
        return TRACK_RESTART;
    case FLOW_HALF_OPEN:
        if (flags & tracked && segment->end == tcp_end_of(entry, side))
            return STEP_CONTINUE; /* Again. */
        if (is_original || flags & tracked || !(flags & other) || (flags & (tracked | other)) == (tracked | other))
            return TRACK_RESTART; /* Another one; or the first was picked up somewhere. */
        tcp_set_side(entry, side, segment->end, segment->window, segment->scale); /* Both at once. */
        tcp_agree(entry);
        flow_flags_change(entry, tracked, 0);
        return STEP_CONTINUE;
    }
    if (is_original) {
        tcp_set_window(entry, side, segment->end);
        flow_flags_change(entry, FLOW_SYN_AGAIN, 0);
    }
    return STEP_CONTINUE;
}

/* Does it acknowledge the SYN that the other side waits with? */
static __always_inline bool track_answers(const struct flow_entry *entry, const struct tcp_segment *segment, __u32 side)
{
    __s32 distance = tcp_after(tcp_end_of(entry, !side), segment->acknowledged);

    return segment->flags & TCP_ACK && distance >= 0 && distance <= (__s32)TCP_SYN_DATA;
}

static __always_inline bool track_fits(const struct flow_entry *entry, const struct tcp_segment *segment, __u32 side)
{
    __u32 window = tcp_window_of(entry, !side), own = tcp_window_of(entry, side), end = tcp_end_of(entry, side), other = tcp_end_of(entry, !side);

    /* A SYN that comes again says nothing new, however wide a window of unknown scale may be. */
    __u32 room = segment->flags & TCP_SYN ? 0 : window ? window : 1;

    if (segment->flags & TCP_FIN || (!segment->size && !(segment->flags & (TCP_SYN | TCP_RST))))
        room++;
    if (tcp_after(segment->end, end) > (__s32)room || tcp_after(segment->sequence, end) < -(__s32)window - 1)
        return false;
    if (!(segment->flags & TCP_ACK) || segment->flags & TCP_RST)
        return true;
    return tcp_after(segment->acknowledged, other) <= 0 &&
           tcp_after(segment->acknowledged, other) >= -(__s32)(own > TCP_ACK_WINDOW ? own : TCP_ACK_WINDOW);
}

static __always_inline __u32 track_rst(struct flow_entry *entry, const struct tcp_segment *segment, __u32 side, bool is_original)
{
    __u32 flags = entry->flags;

    if (entry->state == FLOW_HALF_OPEN && !(flags & FLOW_TRACKED << side)) { /* Refuses the SYN. */
        if (!track_answers(entry, segment, side))
            return DROP_tcp_window;
        track_state(entry, FLOW_RESET);
        return STEP_CONTINUE;
    }
    if (segment->sequence == tcp_end_of(entry, side)) {
        track_state(entry, FLOW_RESET);
        return STEP_CONTINUE;
    }
    if (is_original && (flags & FLOW_SYN_AGAIN || (entry->state == FLOW_HALF_OPEN && !(flags & FLOW_TRACKED << !side))))
        return STEP_CONTINUE; /* At an older connection of the other side's. */
    if (!track_fits(entry, segment, side))
        return DROP_tcp_window;
    flow_flags_change(entry, FLOW_RESET_SEEN(side), 0);
    return STEP_CONTINUE;
}

/* What a segment that fits says about the connection. */
static __always_inline void track_advance(struct flow_entry *entry, const struct tcp_segment *segment, __u32 side, bool is_original)
{
    __u16 *window = side ? &entry->window[1] : &entry->window[0];
    __u32 flags = entry->flags, set = 0;

    if (flags & FLOW_SYN_AGAIN && is_original && !(segment->flags & TCP_SYN)) { /* It knows the connection after all. */
        tcp_set_window(entry, side, 0xffff);
        flow_flags_change(entry, 0, FLOW_SYN_AGAIN);
    }

    tcp_raise(entry, side, segment->end);
    if (segment->window > *window && !(segment->flags & TCP_SYN))
        *window = segment->window;
    if (flags & FLOW_RESET_SEEN(side))
        flow_flags_change(entry, 0, FLOW_RESET_SEEN(side));
    if (entry->state == FLOW_HALF_OPEN && !(segment->flags & TCP_SYN) && entry->packets[side ? 0 : 1])
        flow_establish(entry);
    if (segment->flags & TCP_FIN)
        set |= FLOW_FIN << side;
    if (flags & FLOW_FIN << !side && segment->acknowledged == tcp_end_of(entry, !side))
        set |= FLOW_FIN_ACKED << !side;
    if (!(set & ~flags) || entry->state == FLOW_RESET)
        return;
    flow_flags_change(entry, set, 0);
    flags = entry->flags;
    const __u32 fins = FLOW_FIN | FLOW_FIN << 1, acked = FLOW_FIN_ACKED | FLOW_FIN_ACKED << 1;
    if ((flags & (fins | acked)) == (fins | acked))
        track_state(entry, FLOW_TIME_WAIT);
    else if ((flags & fins) == fins)
        track_state(entry, FLOW_CLOSING);
    else
        track_state(entry, FLOW_HALF_CLOSED);
}

/* A SYN that came in the middle (FLOW_SYN_AGAIN) has been answered: there is a new connection, of which only the SYN-ACK is known. */
static __noinline void track_agreed(struct flow_entry *entry, const struct tcp_segment *segment, __u32 side)
{
    const __u32 both = FLOW_TRACKED | FLOW_TRACKED << 1;

    track_restart(entry, segment, side);
    tcp_set_side(entry, !side, segment->acknowledged, segment->acknowledged, FLOW_SCALE_UNKNOWN);
    tcp_set_scale(entry, side, FLOW_SCALE_UNKNOWN);
    if (side)
        flow_flags_change(entry, both | FLOW_SYN_AGAIN | FLOW_LOCAL_STARTED, 0);
    else
        flow_flags_change(entry, both | FLOW_SYN_AGAIN, FLOW_LOCAL_STARTED);
}

/* Does the segment from 'side' fit the connection?  Returns STEP_CONTINUE, DROP_tcp_window, or TRACK_RESTART for a SYN that begins another
 * one. */
static __always_inline __u32 track_segment(struct flow_entry *entry, const struct tcp_segment *segment, __u32 side)
{
    const __u32 both = FLOW_TRACKED | FLOW_TRACKED << 1;
    __u32 flags = entry->flags;
    bool is_original = !side == !!(flags & FLOW_LOCAL_STARTED);
    bool syn = segment->flags & TCP_SYN, ack = segment->flags & TCP_ACK;

    if (!(flags & both)) { /* From before the port had a policy. */
        if (segment->flags & TCP_RST)
            return STEP_CONTINUE;
        flow_flags_change(entry, tcp_first(entry, segment, side), 0);
        flags = entry->flags;
        if (syn)
            return STEP_CONTINUE;
    }
    if (syn && !ack)
        return track_syn(entry, segment, side, is_original);
    if (segment->flags & TCP_RST)
        return track_rst(entry, segment, side, is_original);
    if (entry->state == FLOW_HALF_OPEN && (flags & both) != both) {
        if (flags & FLOW_TRACKED << side)
            return DROP_tcp_window; /* Goes on, and nobody has answered. */
        if (!syn)
            return segment->size || segment->flags & TCP_FIN ? DROP_tcp_window : STEP_CONTINUE;
        if (!track_answers(entry, segment, side))
            return DROP_tcp_window;
        tcp_set_side(entry, side, segment->end, segment->window, segment->scale);
        tcp_agree(entry);
        flow_flags_change(entry, FLOW_TRACKED << side, 0);
        return STEP_CONTINUE;
    }
    /* Where scales are not known windows are so wide that the answer to another SYN may well fit: then what it answers decides. */
    bool agrees = !is_original && flags & FLOW_SYN_AGAIN && syn && (__u16)segment->acknowledged == (side ? entry->window[0] : entry->window[1]);
    bool is_loose = tcp_scale_of(entry, 0) == FLOW_SCALE_UNKNOWN || tcp_scale_of(entry, 1) == FLOW_SCALE_UNKNOWN;
    bool fits = !(agrees && is_loose) && track_fits(entry, segment, side);
    if (!fits && agrees) {
        track_agreed(entry, segment, side);
        return STEP_CONTINUE;
    }
    if (!fits && is_loose && !(flags & FLOW_SYN_AGAIN)) {
        /* Either this segment or one before was another connection's, and nobody can tell which: what its sender says of itself holds. */
        if (!syn)
            tcp_set_side(entry, side, segment->end, segment->window, FLOW_SCALE_UNKNOWN);
        return STEP_CONTINUE;
    }
    if (!fits) {
        if (is_original || !(flags & FLOW_SYN_AGAIN))
            return DROP_tcp_window;
        /* Of a third connection, that the tracker never heard of. */
        return syn || segment->size || segment->flags & TCP_FIN ? DROP_tcp_window : STEP_CONTINUE;
    }
    track_advance(entry, segment, side, is_original);
    return STEP_CONTINUE;
}

#endif
