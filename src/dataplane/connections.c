/* Reading connection entries: see connections.h. */
#include "weft/dataplane/connections.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "weft/base/clock.h"
#include "weft/base/util.h"
#include "weft/dataplane/load.h"

#define FORMER_BATCH 4096 /* More than there can be in one bucket. */

static void map_ipv4(__u8 address[16], __u32 ipv4)
{
    memset(address, 0, 16);
    address[10] = address[11] = 0xff;
    memcpy(address + 12, &ipv4, sizeof(ipv4));
}

static void read_entry(const struct flow_entry *entry, uint64_t now_ns, struct connection *ret)
{
    const struct flow_key *key = &entry->key;
    uint32_t age = (uint32_t)(now_ns >> FLOW_TIME_SHIFT) - entry->last_seen;

    ret->key = *key;
    ret->slot = key->owner & (FLOW_KEY_IPV6 - 1);
    ret->protocol = key->owner >> 24;
    ret->state = entry->state;
    if (key->owner & FLOW_KEY_IPV6) {
        memcpy(ret->local, entry->local, sizeof(ret->local));
        memcpy(ret->remote, entry->remote, sizeof(ret->remote));
    } else {
        map_ipv4(ret->local, key->local);
        map_ipv4(ret->remote, key->remote);
    }
    ret->local_port = key->local_port;
    ret->remote_port = key->remote_port;
    memcpy(ret->packets, entry->packets, sizeof(ret->packets));
    memcpy(ret->bytes, entry->bytes, sizeof(ret->bytes));
    ret->is_translated = entry->flags & FLOW_TRANSLATED && !(key->owner & FLOW_KEY_IPV6);
    if (ret->is_translated) {
        map_ipv4(ret->outside_local, entry->outside_local);
        map_ipv4(ret->outside_remote, entry->outside_remote);
        ret->outside_local_port = entry->outside_local_port;
        ret->outside_remote_port = entry->outside_remote_port;
    }
    ret->member = (entry->output & ~OUTPUT_MEMBER_MASK) == OUTPUT_MEMBER ? entry->output & OUTPUT_MEMBER_MASK : 0;
    memcpy(&ret->member_name, entry->next_mac, sizeof(ret->member_name)); /* As bpf/balanced.h puts it there. */
    memcpy(ret->remote_mac.bytes, entry->remote_mac, sizeof(ret->remote_mac.bytes));
    ret->remote_sequence = entry->sequence_end[1];
    ret->idle_ms = age >> 31 ? 0 : ((uint64_t)age << FLOW_TIME_SHIFT) / 1000000;
}

/* What the programs write meanwhile: it is a connection's if it was one's before it was copied, and the same one's after. */
static bool copy_entry(const volatile struct flow_entry *from, struct flow_entry *ret)
{
    uint32_t state = from->state;

    if (state == FLOW_FREE || state == FLOW_DEAD || state >= FLOW_CLAIMED)
        return false;
    atomic_thread_fence(memory_order_acquire);
    memcpy(ret, (const void *)from, sizeof(*ret));
    atomic_thread_fence(memory_order_acquire);
    state = from->state;
    return state != FLOW_FREE && state != FLOW_DEAD && state < FLOW_CLAIMED && memcmp(&ret->key, (const void *)&from->key, sizeof(ret->key)) == 0;
}

void maps_visit_entries(const struct maps *maps, uint32_t slot, int (*visit)(const struct flow_entry *entry, void *context), void *context)
{
    for (uint32_t i = 0; i < maps->sizes.n_connections; i++) {
        struct flow_entry entry;

        if (copy_entry(&maps->connections[i], &entry) && (!slot || (entry.key.owner & (FLOW_KEY_IPV6 - 1)) == slot) && visit(&entry, context))
            return;
    }
}

struct readable_visit {
    int (*visit)(const struct connection *connection, void *context);
    void *context;
    uint64_t now_ns;
};

static int visit_readable(const struct flow_entry *entry, void *context)
{
    const struct readable_visit *visit = context;
    struct connection connection;

    read_entry(entry, visit->now_ns, &connection);
    return visit->visit(&connection, visit->context);
}

void maps_visit_connections(const struct maps *maps, uint32_t slot, int (*visit)(const struct connection *connection, void *context),
                            void *context)
{
    struct readable_visit readable = {visit, context, clock_monotonic_ns()};

    maps_visit_entries(maps, slot, visit_readable, &readable);
}

static int run_end(const struct maps *maps, const struct flow_key *key, enum end_operation operation)
{
    struct end_request request = {.key = *key, .operation = operation};
    LIBBPF_OPTS(bpf_test_run_opts, options, .data_in = &request, .data_size_in = sizeof(request), .repeat = 1);
    int result = bpf_prog_test_run_opts(maps_program(maps, PROGRAM_END_CONNECTION), &options);

    return result < 0 ? result : (int)options.retval;
}

int maps_end_connection(const struct maps *maps, const struct flow_key *key)
{
    return run_end(maps, key, END_NOW);
}

int maps_remove_connection(const struct maps *maps, const struct flow_key *key)
{
    return run_end(maps, key, END_REMOVE);
}

/* A batch of keys at a time: they are removed while the walk goes on. */
static int64_t run_for_former(const struct maps *maps, enum end_operation operation)
{
    _cleanup_(freep) struct flow_key *keys = calloc(FORMER_BATCH, sizeof(*keys));
    _cleanup_(freep) struct former_entry *entries = calloc(FORMER_BATCH, sizeof(*entries));
    int fd = maps_former_connections(maps);
    uint32_t from = 0, next = 0; /* Buckets. */
    int64_t n_done = 0;
    bool is_first = true, is_last = false;

    if (!keys || !entries)
        return -ENOMEM;
    while (!is_last) {
        uint32_t n = FORMER_BATCH;
        int result = bpf_map_lookup_batch(fd, is_first ? NULL : &from, &next, keys, entries, &n, NULL);

        if (result < 0 && errno != ENOENT)
            return -errno;
        is_last = result < 0;
        is_first = false;
        from = next;
        for (uint32_t i = 0; i < n; i++)
            n_done += run_end(maps, &keys[i], operation) == 1;
    }
    return n_done;
}

void maps_renew_by_former(const struct maps *maps)
{
    (void)run_for_former(maps, RENEW_BY_FORMER);
}

int64_t maps_end_former(const struct maps *maps)
{
    return run_for_former(maps, END_FORMER);
}
