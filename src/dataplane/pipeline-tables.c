/* The maps of a pipeline in memory: their shapes, and access to them by name. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "weft/base/cleanup.h"
#include "weft/base/util.h"
#include "weft/dataplane/pipeline-state.h"
#include "weft/dataplane/tables.h"

static const char *const map_names[] = {
#define MAP_NAME(name, kind) #name,
    NATIVE_MAPS(MAP_NAME)
#undef MAP_NAME
};

static int map_set_up(struct native *world, enum native_map_name name, enum native_map_kind kind)
{
    static const struct {
        size_t key_size, value_size;
        uint32_t n_max;
    } shapes[N_NATIVE_MAPS] = {
        [NATIVE_MAP_interfaces] = {4, 4, 8192},
        [NATIVE_MAP_ports] = {4, sizeof(struct port_record), 0},
        [NATIVE_MAP_port_runtime] = {4, sizeof(struct port_runtime), 0},
        [NATIVE_MAP_port_counters] = {4, sizeof(struct port_counters), 0},
        [NATIVE_MAP_sources] = {sizeof(struct source_key), sizeof(struct source_value), 65536},
        [NATIVE_MAP_networks] = {4, sizeof(struct network_value), 16384},
        [NATIVE_MAP_fdb] = {sizeof(struct fdb_key), sizeof(struct output_value), 262144},
        [NATIVE_MAP_learned] = {sizeof(struct fdb_key), sizeof(struct output_value), LEARNED_MAX},
        [NATIVE_MAP_movable] = {sizeof(struct movable_key), sizeof(struct output_value), 65536},
        [NATIVE_MAP_neighbors] = {sizeof(struct neighbor_key), sizeof(struct neighbor_value), 262144},
        [NATIVE_MAP_flood] = {sizeof(struct flood_key), sizeof(struct output_value), 262144},
        [NATIVE_MAP_hosts] = {4, sizeof(struct host_record), 0},
        [NATIVE_MAP_host_runtime] = {4, sizeof(struct host_runtime), 0},
        [NATIVE_MAP_peers] = {16, sizeof(struct peer_value), 4096},
        [NATIVE_MAP_projects] = {4, sizeof(struct project_record), 0},
        [NATIVE_MAP_connections] = {4, sizeof(struct flow_entry), 0},
        [NATIVE_MAP_flow_heads] = {4, sizeof(struct flow_heads), 0},
        [NATIVE_MAP_former_connections] = {sizeof(struct flow_key), sizeof(struct former_entry), FLOW_SLOTS_DEFAULT},
        [NATIVE_MAP_sweeper] = {4, sizeof(struct sweeper), 1},
        [NATIVE_MAP_policies] = {4, sizeof(struct port_policy), 0},
        [NATIVE_MAP_rules] = {sizeof(struct rules_key), sizeof(struct rules_block), RULE_BLOCKS_MAX},
        [NATIVE_MAP_members] = {sizeof(struct member_key), sizeof(__u64), MEMBERS_MAX},
        [NATIVE_MAP_firewall_rules] = {sizeof(struct rules_key), sizeof(struct firewall_block), FIREWALL_BLOCKS_MAX},
        [NATIVE_MAP_member_prefixes] = {sizeof(struct member_prefix_key), sizeof(__u64), MEMBER_PREFIXES_MAX},
        [NATIVE_MAP_router_ports] = {4, sizeof(struct router_port_record), 0},
        [NATIVE_MAP_router_port_runtime] = {4, sizeof(struct router_port_runtime), 0},
        [NATIVE_MAP_routes] = {sizeof(struct route_key), sizeof(struct route_value), 65536},
        [NATIVE_MAP_next_hops] = {sizeof(struct next_hop_key), sizeof(struct next_hop_value), 65536},
        [NATIVE_MAP_floating] = {sizeof(struct floating_key), sizeof(struct floating_value), 65536},
        [NATIVE_MAP_external] = {sizeof(struct external_key), sizeof(struct external_value), 262144},
        [NATIVE_MAP_forwarded] = {sizeof(struct forwarding_key), sizeof(struct external_value), FORWARDED_MAX},
        [NATIVE_MAP_snat] = {4, sizeof(struct snat_config), 4096},
        [NATIVE_MAP_snat_owners] = {sizeof(struct snat_owner_key), sizeof(struct output_value), 65536},
        [NATIVE_MAP_gateways] = {sizeof(struct flood_key), sizeof(struct output_value), 65536},
        [NATIVE_MAP_uplinks] = {sizeof(struct uplink_key), sizeof(struct uplink_value), 256},
        [NATIVE_MAP_aliases] = {sizeof(struct alias_key), sizeof(struct alias_value), FLOW_SLOTS_DEFAULT},
        [NATIVE_MAP_services] = {sizeof(struct service_key), sizeof(struct service_value), 65536},
        [NATIVE_MAP_service_sources] = {sizeof(struct service_source_key), sizeof(__u64), 65536},
        [NATIVE_MAP_service_rows] = {sizeof(struct service_rows_key), sizeof(struct service_rows), 65536},
        [NATIVE_MAP_service_members] = {4, sizeof(struct service_member), SERVICE_MEMBERS_MAX},
        [NATIVE_MAP_service_names] = {sizeof(struct service_name), sizeof(__u32), SERVICE_MEMBERS_MAX},
        [NATIVE_MAP_balanced] = {sizeof(struct flow_key), sizeof(struct balanced_value), FLOW_SLOTS_DEFAULT},
        [NATIVE_MAP_balanced_names] = {sizeof(struct balanced_name), sizeof(struct flow_key), FLOW_SLOTS_DEFAULT},
        [NATIVE_MAP_service_counters] = {4, sizeof(struct service_counters), 0},
        [NATIVE_MAP_listener_use] = {4, sizeof(struct service_use), 0},
        [NATIVE_MAP_member_use] = {4, sizeof(struct service_use), 0},
        [NATIVE_MAP_portless] = {sizeof(struct alias_key), sizeof(struct portless_value), 4096},
        [NATIVE_MAP_outside_budget] = {4, sizeof(struct outside_budget), 0},
        [NATIVE_MAP_uplink_budget] = {4, sizeof(struct uplink_budget), 1024},
        [NATIVE_MAP_station_use] = {4, sizeof(__u32), STATION_USE_SIZE},
        [NATIVE_MAP_half_open] = {sizeof(__u32), sizeof(struct half_open), 0},
        [NATIVE_MAP_outside_fragments] = {sizeof(__u32), sizeof(struct port_fragments), OUTSIDE_FRAGMENTS},
        [NATIVE_MAP_fragments] = {sizeof(__u32), sizeof(struct port_fragments), 0},
        [NATIVE_MAP_verdict_config] = {4, sizeof(struct verdict_config), 1},
        [NATIVE_MAP_verdict_runtime] = {4, sizeof(struct verdict_runtime), 0},
        [NATIVE_MAP_router_verdict_runtime] = {4, sizeof(struct verdict_runtime), 0},
        [NATIVE_MAP_metadata] = {4, sizeof(struct metadata_config), 1},
        [NATIVE_MAP_metadata_budget] = {4, sizeof(struct metadata_budget), 0},
        [NATIVE_MAP_probe_targets] = {4, sizeof(struct probe_target), PROBE_TARGETS_MAX},
        [NATIVE_MAP_probes] = {sizeof(struct probe_key), 4, PROBES_MAX},
        [NATIVE_MAP_settings] = {4, sizeof(struct settings), 1},
    };
    uint32_t n_max = shapes[name].n_max;

    if (!n_max)
        n_max = name == NATIVE_MAP_hosts || name == NATIVE_MAP_host_runtime ? world->sizes.n_hosts
                : name == NATIVE_MAP_projects     ? world->sizes.n_projects
                : name == NATIVE_MAP_connections ? world->sizes.n_flow_slots
                : name == NATIVE_MAP_flow_heads   ? world->sizes.n_flow_slots / 2
                : name == NATIVE_MAP_router_ports || name == NATIVE_MAP_router_port_runtime || name == NATIVE_MAP_outside_budget || name == NATIVE_MAP_router_verdict_runtime
                      ? world->sizes.n_router_ports
                                                  : world->sizes.n_ports;
    return native_map_init(&world->maps[name], kind, shapes[name].key_size, shapes[name].value_size, n_max);
}

int pipeline_new(const struct pipeline_sizes *sizes, struct pipeline **ret_pipeline)
{
    _cleanup_(pipeline_freep) struct pipeline *pipeline = calloc(1, sizeof(*pipeline));
    int error = 0;

    if (!pipeline)
        return -ENOMEM;
    pipeline->native.sizes = (struct pipeline_sizes){
        sizes->n_ports ? sizes->n_ports : MAX_PORTS_DEFAULT,
        sizes->n_hosts ? sizes->n_hosts : MAX_HOSTS_DEFAULT,
        sizes->n_projects ? sizes->n_projects : MAX_PROJECTS_DEFAULT,
        sizes->n_flow_slots ? sizes->n_flow_slots : FLOW_SLOTS_DEFAULT,
        sizes->n_router_ports ? sizes->n_router_ports : MAX_ROUTER_PORTS_DEFAULT,
    };
    pipeline->native.now_ns = 1000000000;
    pipeline->native.punt_space = UINT32_MAX;
#define MAP_SET_UP(name, kind)                                                                               \
    if (!error)                                                                                              \
        error = map_set_up(&pipeline->native, NATIVE_MAP_##name, NATIVE_##kind);
    NATIVE_MAPS(MAP_SET_UP)
#undef MAP_SET_UP
    if (error)
        return error;
    *ret_pipeline = TAKE_PTR(pipeline);
    return 0;
}

void pipeline_free(struct pipeline *pipeline)
{
    if (!pipeline)
        return;
    for (int i = 0; i < N_NATIVE_MAPS; i++)
        native_map_destroy(&pipeline->native.maps[i]);
    free(pipeline);
}

static struct native_map *find_table(const struct pipeline *pipeline, const char *table)
{
    for (size_t i = 0; i < N_NATIVE_MAPS; i++)
        if (streq(map_names[i], table))
            return (struct native_map *)&pipeline->native.maps[i];
    return NULL;
}

static bool is_connections(const struct pipeline *pipeline, const struct native_map *map)
{
    return map == &pipeline->native.maps[NATIVE_MAP_connections];
}

static struct flow_entry *connection_at(const struct pipeline *pipeline, uint32_t place)
{
    return native_map_lookup(&pipeline->native.maps[NATIVE_MAP_connections], &place);
}

int pipeline_update(struct pipeline *pipeline, const char *table, const void *key, const void *value)
{
    struct native_map *map = find_table(pipeline, table);

    if (is_connections(pipeline, map))
        return native_connection_put(&pipeline->native, key, value);
    return map ? native_map_update(map, key, value, false) : -ENOENT;
}

int pipeline_delete(struct pipeline *pipeline, const char *table, const void *key)
{
    struct native_map *map = find_table(pipeline, table);

    return map ? native_map_delete(map, key) : -ENOENT;
}

void *pipeline_lookup(const struct pipeline *pipeline, const char *table, const void *key)
{
    struct native_map *map = find_table(pipeline, table);

    if (is_connections(pipeline, map))
        return native_connection_find((struct native *)&pipeline->native, key);
    return map ? native_map_lookup(map, key) : NULL;
}

int pipeline_table(const struct pipeline *pipeline, const char *table, size_t *ret_key_size, size_t *ret_value_size,
                   uint32_t *ret_n_entries)
{
    const struct native_map *map = find_table(pipeline, table);

    if (!map)
        return -ENOENT;
    *ret_key_size = map->key_size;
    *ret_value_size = map->value_size;
    *ret_n_entries = map->kind == NATIVE_ARRAY ? map->n_max : map->entries.n_nodes;
    if (is_connections(pipeline, map)) {
        *ret_key_size = sizeof(struct flow_key);
        *ret_n_entries = 0;
        for (uint32_t place = 0; place < map->n_max; place++)
            *ret_n_entries += native_is_connection(connection_at(pipeline, place));
    }
    return 0;
}

void pipeline_clear(struct pipeline *pipeline, const char *table)
{
    for (size_t i = 0; i < N_NATIVE_MAPS; i++)
        if (!table || streq(map_names[i], table) || (streq(table, "connections") && i == NATIVE_MAP_flow_heads))
            native_map_clear(&pipeline->native.maps[i]);
}

struct flow_entry *pipeline_places(struct pipeline *pipeline)
{
    return connection_at(pipeline, 0);
}

void pipeline_visit(struct pipeline *pipeline, const char *table, void (*visit)(void *key, void *value, void *context),
                    void *context)
{
    struct native_map *map = find_table(pipeline, table);

    for (uint32_t place = 0; is_connections(pipeline, map) && place < map->n_max; place++) {
        struct flow_entry *entry = connection_at(pipeline, place);

        if (native_is_connection(entry))
            visit(&entry->key, entry, context);
    }
    if (map && map->kind != NATIVE_ARRAY)
        native_map_visit(map, visit, context);
}

void pipeline_set_punt_space(struct pipeline *pipeline, uint32_t n_events)
{
    pipeline->native.punt_space = n_events;
}
