// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Protocols without ports behind a router's address (GRE, ESP, IP in IP): nothing tells two connections with one station apart (RFC 3022, 4.1), so each protocol
 * and station outside is one connection of that address, whoever is first, and others are refused.
 *
 * Which host's, no block of ports says.  So what leaves goes by the gateway that answers for the address (external_value.output), where the answers
 * come: it notes the host.  A note that was not renewed for a while gives way to another host's. */
#ifndef WEFT_BPF_PORTLESS_H
#define WEFT_BPF_PORTLESS_H

#include "weft/dataplane/bpf/translate.h"

#define PORTLESS_KEPT_NS 60000000000ull
#define PORTLESS_AGAIN_NS 1000000000ull

static __always_inline bool portless_is(__u8 protocol)
{
    return !translate_has_ports(protocol) && protocol != IPPROTO_ICMP;
}

/* The host that the connection with this name is noted for here; OUTPUT_NONE: for none. */
static __noinline __u32 portless_host(const struct alias_key *name)
{
    struct alias_key key ON_STACK = *name;
    const struct portless_value *value = map_lookup(portless, &key);

    if (!value || value->vni_protocol != key.vni_protocol || time_ns() - value->time_ns >= PORTLESS_KEPT_NS)
        return OUTPUT_NONE;
    return value->output;
}

/* Host 'output' has sent what has this name.  False: it is another's. */
static __noinline bool portless_note(const struct alias_key *name, __u32 output)
{
    struct alias_key key ON_STACK = *name;
    struct portless_value value ON_STACK = {.vni_protocol = key.vni_protocol, .output = output, .time_ns = time_ns()};
    const struct portless_value *before = map_lookup(portless, &key);

    if (before && before->vni_protocol == key.vni_protocol) {
        __u64 age = value.time_ns - before->time_ns;
        if (before->output != output && age < PORTLESS_KEPT_NS)
            return false;
        if (before->output == output && age < PORTLESS_AGAIN_NS)
            return true;
    }
    map_put(portless, &key, &value);
    return true;
}

#endif
