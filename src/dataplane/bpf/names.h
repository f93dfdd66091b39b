// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The names that a connection has elsewhere, and that go with its entry: outside, in 'aliases'; at a load balancer's member, in 'balanced'. */
#ifndef WEFT_BPF_NAMES_H
#define WEFT_BPF_NAMES_H

#include "weft/dataplane/bpf/balanced.h"
#include "weft/dataplane/bpf/connections.h"

static __always_inline void router_port_count(__u32 number, __s64 n_names, __u64 n_exhausted)
{
    struct router_port_runtime *runtime = map_lookup(router_port_runtime, &number);

    if (!runtime)
        return;
    if (n_names)
        __sync_fetch_and_add(&runtime->n_names, n_names);
    if (n_exhausted)
        __sync_fetch_and_add(&runtime->n_exhausted, n_exhausted);
}

/* Frees the name that the entry has outside.  Only the entry's: it was inserted where there was none, and whoever else wants it waits. */
static __noinline void flow_alias_delete(const struct alias_key *name, const struct flow_key *key, __u32 gateway)
{
    const struct alias_value *alias = map_lookup(aliases, name);

    if (alias && flow_key_equal(&alias->key, key) && map_delete(aliases, name) == 0)
        router_port_count(gateway, -1, 0);
}

static __always_inline void flow_free_names(const struct flow_key *key, const struct flow_entry *entry)
{
    if (entry->flags & FLOW_ALIASED) {
        struct alias_key name ON_STACK = {.vni_protocol = entry->outside_vni << 8 | key->owner >> 24, .address = entry->outside_local,
                                          .remote = entry->outside_remote, .port = entry->outside_local_port,
                                          .remote_port = entry->outside_remote_port};
        flow_alias_delete(&name, key, entry->gateway);
    }
    if (entry->output == OUTPUT_CLIENT)
        balanced_remove(key);
}

#endif
