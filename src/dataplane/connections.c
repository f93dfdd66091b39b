/* Reading connection entries: see connections.h. */
#include "weft/dataplane/connections.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "weft/base/clock.h"
#include "weft/base/util.h"
#include "weft/dataplane/load.h"

#define VISIT_BATCH 4096 /* More than there can be in one bucket. */

static void map_ipv4(__u8 address[16], __u32 ipv4)
{
    memset(address, 0, 16);
    address[10] = address[11] = 0xff;
    memcpy(address + 12, &ipv4, sizeof(ipv4));
}

static bool read_entry(const struct flow_key *key, const struct flow_entry *entry, uint64_t now_ns, struct connection *ret)
{
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
    return entry->layout == FLOW_LAYOUT && entry->state != FLOW_DEAD;
}

/* By batches: a system call for each of a million entries would keep the agent from all else for seconds. */
void maps_visit_connections(const struct maps *maps, uint32_t slot, int (*visit)(const struct connection *connection, void *context),
                            void *context)
{
    _cleanup_(freep) struct flow_key *keys = calloc(VISIT_BATCH, sizeof(*keys));
    _cleanup_(freep) struct flow_entry *entries = calloc(VISIT_BATCH, sizeof(*entries));
    uint64_t now_ns = clock_monotonic_ns();
    int fd = maps_descriptor(maps, "connections");
    uint32_t from = 0, next = 0; /* Buckets. */
    bool is_first = true, is_last = false;

    while (keys && entries && !is_last) {
        uint32_t n = VISIT_BATCH;
        int result = bpf_map_lookup_batch(fd, is_first ? NULL : &from, &next, keys, entries, &n, NULL);

        if (result < 0 && errno != ENOENT)
            return;
        is_last = result < 0;
        is_first = false;
        from = next;
        for (uint32_t i = 0; i < n; i++) {
            struct connection connection;

            if (read_entry(&keys[i], &entries[i], now_ns, &connection) && (!slot || connection.slot == slot) && visit(&connection, context))
                return;
        }
    }
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
