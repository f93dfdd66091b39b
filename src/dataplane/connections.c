/* Reading connection entries of both layouts: see connections.h. */
#include "weft/dataplane/connections.h"

#include <bpf/bpf.h>
#include <netinet/in.h>
#include <string.h>

#include "weft/base/clock.h"
#include "weft/base/util.h"
#include "weft/dataplane/load.h"
#include "weft/dataplane/previous.h"

static void map_ipv4(__u8 address[16], __u32 ipv4)
{
    memset(address, 0, 16);
    address[10] = address[11] = 0xff;
    memcpy(address + 12, &ipv4, sizeof(ipv4));
}

static bool read_now(const void *raw_key, const void *value, uint64_t now_ns, struct connection *ret)
{
    const struct flow_key *key = raw_key;
    const struct flow_entry *entry = value;
    uint32_t age = (uint32_t)(now_ns >> FLOW_TIME_SHIFT) - entry->last_seen;

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
    ret->idle_ms = age >> 31 ? 0 : ((uint64_t)age << FLOW_TIME_SHIFT) / 1000000;
    return entry->layout == FLOW_LAYOUT;
}

static bool read_1(const void *raw_key, const void *value, uint64_t now_ns, struct connection *ret)
{
    const struct flow_key_1 *key = raw_key;
    const struct flow_entry_1 *entry = value;

    ret->slot = key->slot;
    ret->protocol = key->protocol;
    ret->state = entry->state;
    memcpy(ret->local, key->local, sizeof(ret->local));
    memcpy(ret->remote, key->remote, sizeof(ret->remote));
    ret->local_port = key->local_port;
    ret->remote_port = key->remote_port;
    memcpy(ret->packets, entry->packets, sizeof(ret->packets));
    memcpy(ret->bytes, entry->bytes, sizeof(ret->bytes));
    ret->idle_ms = now_ns > entry->last_seen_ns ? (now_ns - entry->last_seen_ns) / 1000000 : 0;
    return entry->layout == 1 && entry->project != FLOW_ADOPTED;
}

void maps_visit_connections(const struct maps *maps, uint32_t slot, int (*visit)(const struct connection *connection, void *context),
                            void *context)
{
    static const struct {
        const char *map;
        bool (*read)(const void *key, const void *value, uint64_t now_ns, struct connection *ret);
    } layouts[] = {{"connections", read_now}, {"connections_1", read_1}};
    uint64_t now_ns = clock_monotonic_ns();

    for (size_t i = 0; i < ARRAY_SIZE(layouts); i++) {
        uint64_t key[8], next[8], value[16]; /* Room for either, aligned. */
        int fd = maps_descriptor(maps, layouts[i].map);
        void *from = NULL;

        while (fd >= 0 && bpf_map_get_next_key(fd, from, next) == 0) {
            struct connection connection;

            memcpy(key, next, sizeof(key));
            from = key;
            if (bpf_map_lookup_elem(fd, key, value) == 0 && layouts[i].read(key, value, now_ns, &connection) &&
                (!slot || connection.slot == slot) && visit(&connection, context))
                return;
        }
    }
}
