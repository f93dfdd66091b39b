/* Reading connection entries: see connections.h. */
#include "weft/dataplane/connections.h"

#include <bpf/bpf.h>
#include <netinet/in.h>
#include <string.h>

#include "weft/base/clock.h"
#include "weft/base/util.h"
#include "weft/dataplane/load.h"

static void map_ipv4(__u8 address[16], __u32 ipv4)
{
    memset(address, 0, 16);
    address[10] = address[11] = 0xff;
    memcpy(address + 12, &ipv4, sizeof(ipv4));
}

static bool read_entry(const void *raw_key, const void *value, uint64_t now_ns, struct connection *ret)
{
    const struct flow_key *key = raw_key;
    const struct flow_entry *entry = value;
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
    ret->idle_ms = age >> 31 ? 0 : ((uint64_t)age << FLOW_TIME_SHIFT) / 1000000;
    return entry->layout == FLOW_LAYOUT && entry->state != FLOW_DEAD;
}

void maps_visit_connections(const struct maps *maps, uint32_t slot, int (*visit)(const struct connection *connection, void *context),
                            void *context)
{
    uint64_t now_ns = clock_monotonic_ns();
    struct flow_key key, next;
    struct flow_entry entry;
    int fd = maps_descriptor(maps, "connections");
    void *from = NULL;

    while (bpf_map_get_next_key(fd, from, &next) == 0) {
        struct connection connection;

        key = next;
        from = &key;
        if (bpf_map_lookup_elem(fd, &key, &entry) == 0 && read_entry(&key, &entry, now_ns, &connection) && (!slot || connection.slot == slot) &&
            visit(&connection, context))
            return;
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
