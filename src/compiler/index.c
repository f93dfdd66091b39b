/* Lookups of one compilation: built first, thrown away at its end. */
#include "weft/compiler/layers.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "weft/base/sort.h"

/* Brings the subnets of each network together: counts, places, fills. */
static void gather_subnets(struct compile_index *index)
{
    const struct snapshot *snapshot = index->snapshot;
    size_t next = 0;

    for (size_t i = 0; i < snapshot->n_subnets; i++) {
        struct compile_subnet *entry = &index->subnet_array[i];

        entry->network = compile_find_network(index, snapshot->subnets[i]->network_id);
        if (entry->network)
            entry->network->n_subnets++;
        index->has_scopes |= snapshot->subnets[i]->address_scope_id[0] != '\0';
    }
    for (size_t i = 0; i < snapshot->n_networks; i++) {
        index->network_array[i].first_subnet = next;
        next += index->network_array[i].n_subnets;
        index->network_array[i].n_subnets = 0;
    }
    for (size_t i = 0; i < snapshot->n_subnets; i++) {
        struct compile_network *network = index->subnet_array[i].network;

        if (network)
            index->subnets_by_network[network->first_subnet + network->n_subnets++] = snapshot->subnets[i];
    }
}

static uint32_t output_of(const struct compile_index *index, const struct compile_port *port)
{
    const char *binding = port->port->binding_host_id;

    if (port->router_port)
        return OUTPUT_ROUTER | port->router_port;
    if (!binding || !binding[0])
        return OUTPUT_NONE;
    if (streq(binding, index->snapshot->host_name))
        return port->slot ? OUTPUT_LOCAL | port->slot : OUTPUT_NONE;

    const struct compile_host *host = compile_find_host(index, binding);

    return host && host->slot ? OUTPUT_REMOTE | host->slot : OUTPUT_NONE;
}

static bool has_prefixes(const struct port *port)
{
    for (size_t i = 0; i < port->n_allowed_address_pairs; i++)
        if (prefix_bits(&port->allowed_address_pairs[i].prefix) != 128)
            return true;
    return false;
}

static int find_places(struct compile_index *index)
{
    const struct snapshot *snapshot = index->snapshot;

    index->places = malloc((snapshot->n_ports + 1) * sizeof(*index->places));
    if (!index->places)
        return -ENOMEM;
    for (size_t i = 0; i < snapshot->n_ports; i++) {
        const struct compile_port *port = &snapshot->ports[i];
        bool has_router = (port->router_port || port->is_routers) && port->port->device_id;

        index->places[i] = (struct compile_place){
            .network = compile_find_network(index, port->port->network_id),
            .router = has_router ? (struct compile_router_entry *)compile_find_router(index, port->port->device_id) : NULL,
            .output = output_of(index, port),
            .id_bits = compile_id_bits(port->port->object.id),
            .names_prefixes = compile_port_has_policy(port->port) && has_prefixes(port->port),
        };
    }
    return 0;
}

static int compare_ports(const void *a, const void *b)
{
    const struct compile_port *x = *(const struct compile_port *const *)a, *y = *(const struct compile_port *const *)b;

    return strcmp(x->port->object.id, y->port->object.id);
}

/* The same with the ports of each router, which come in the order of their ids. */
static int gather_router_ports(struct compile_index *index)
{
    const struct snapshot *snapshot = index->snapshot;
    size_t next = 0;

    for (size_t i = 0; i < snapshot->n_ports; i++) {
        struct compile_router_entry *router = index->places[i].router;

        if (router)
            router->n_ports++;
    }
    for (size_t i = 0; i < snapshot->n_routers; i++) {
        index->router_array[i].first_port = next;
        next += index->router_array[i].n_ports;
        index->router_array[i].n_ports = 0;
    }
    index->ports_by_router = calloc(next + 1, sizeof(*index->ports_by_router));
    if (!index->ports_by_router)
        return -ENOMEM;
    for (size_t i = 0; i < snapshot->n_ports; i++) {
        struct compile_router_entry *router = index->places[i].router;

        if (router)
            index->ports_by_router[router->first_port + router->n_ports++] = &snapshot->ports[i];
    }
    for (size_t i = 0; i < snapshot->n_routers; i++)
        if (index->router_array[i].n_ports > 1)
            sort_mostly_few(index->ports_by_router + index->router_array[i].first_port, index->router_array[i].n_ports,
                  sizeof(*index->ports_by_router), compare_ports);
    return 0;
}

/* Union-find over the networks' numbers. */
static uint32_t root_of(uint32_t *parents, uint32_t i)
{
    while (parents[i] != i)
        i = parents[i] = parents[parents[i]];
    return i;
}

static void join(struct compile_index *index, const struct compile_router_entry *router)
{
    uint32_t first = UINT32_MAX;

    for (size_t i = 0; i < router->n_ports; i++) {
        const struct compile_port *port = index->ports_by_router[router->first_port + i];
        const struct compile_network *network = compile_is_gateway(port->port) ? NULL : compile_place_of(index, port)->network;
        uint32_t number = network ? (uint32_t)(network - index->network_array) : 0;

        if (!network)
            continue;
        if (first == UINT32_MAX)
            first = number;
        index->joined[root_of(index->joined, number)] = root_of(index->joined, first);
    }
}

static int join_networks(struct compile_index *index)
{
    uint32_t n = (uint32_t)index->snapshot->n_networks;

    index->joined = calloc(n + 1, sizeof(*index->joined));
    if (!index->joined)
        return -ENOMEM;
    for (uint32_t i = 0; i < n; i++)
        index->joined[i] = i;
    for (size_t i = 0; i < index->snapshot->n_routers; i++)
        join(index, &index->router_array[i]);
    for (uint32_t i = 0; i < n; i++)
        index->joined[i] = root_of(index->joined, i);
    return 0;
}

int compile_index_build(const struct snapshot *snapshot, struct compile_index *ret)
{
    *ret = (struct compile_index){.snapshot = snapshot};
    ret->network_array = calloc(snapshot->n_networks + 1, sizeof(*ret->network_array));
    ret->subnet_array = calloc(snapshot->n_subnets + 1, sizeof(*ret->subnet_array));
    ret->subnets_by_network = calloc(snapshot->n_subnets + 1, sizeof(*ret->subnets_by_network));
    ret->router_array = calloc(snapshot->n_routers + 1, sizeof(*ret->router_array));
    ret->host_nodes = calloc(snapshot->n_hosts + 1, sizeof(*ret->host_nodes));
    for (size_t i = 0; i < snapshot->n_hosts; i++)
        ret->n_host_slots = MAX(ret->n_host_slots, snapshot->hosts[i].slot + 1);
    ret->host_by_slot = calloc(ret->n_host_slots + 1, sizeof(*ret->host_by_slot));
    if (!ret->network_array || !ret->subnet_array || !ret->subnets_by_network || !ret->router_array || !ret->host_nodes || !ret->host_by_slot)
        goto no_memory;

    if (hashmap_reserve(&ret->networks, 2 * snapshot->n_networks) < 0 || hashmap_reserve(&ret->subnets, snapshot->n_subnets) < 0 ||
        hashmap_reserve(&ret->routers, 2 * snapshot->n_routers) < 0)
        goto no_memory;
    for (size_t i = 0; i < snapshot->n_networks; i++) {
        struct compile_network *entry = &ret->network_array[i];

        entry->network = snapshot->networks[i];
        if (hashmap_insert(&ret->networks, &entry->by_id, entry->network->object.id, UUID_TEXT_SIZE - 1) == -ENOMEM)
            goto no_memory;
    }
    for (size_t i = 0; i < snapshot->n_subnets; i++) {
        struct compile_subnet *entry = &ret->subnet_array[i];

        entry->subnet = snapshot->subnets[i];
        if (hashmap_insert(&ret->subnets, &entry->by_id, entry->subnet->object.id, UUID_TEXT_SIZE - 1) == -ENOMEM)
            goto no_memory;
    }
    gather_subnets(ret);
    for (size_t i = 0; i < snapshot->n_routers; i++) {
        struct compile_router_entry *entry = &ret->router_array[i];

        entry->router = &snapshot->routers[i];
        if (hashmap_insert(&ret->routers, &entry->by_id, entry->router->router->object.id, UUID_TEXT_SIZE - 1) == -ENOMEM)
            goto no_memory;
    }
    for (size_t i = 0; i < snapshot->n_hosts; i++) {
        const char *name = snapshot->hosts[i].host->object.name;

        ret->host_by_slot[snapshot->hosts[i].slot] = &snapshot->hosts[i];
        if (name && hashmap_insert(&ret->hosts, &ret->host_nodes[i], name, strlen(name)) == -ENOMEM)
            goto no_memory;
    }
    if (find_places(ret) < 0 || (snapshot->n_routers && gather_router_ports(ret) < 0))
        goto no_memory;
    if (join_networks(ret) < 0 || compile_find_physicals(ret) < 0 || compile_index_logs(ret) < 0)
        goto no_memory;
    return 0;

no_memory:
    compile_index_clear(ret);
    return -ENOMEM;
}

void compile_index_clear(struct compile_index *index)
{
    for (size_t i = 0; index->network_array && i < index->snapshot->n_networks; i++)
        free(index->network_array[i].outputs);
    for (size_t i = 0; i < index->n_physicals; i++)
        free(index->physicals[i].hosts), free(index->physicals[i].name_hashes);
    free(index->physicals);
    free(index->network_array);
    free(index->log_array);
    hashmap_clear(&index->logs);
    free(index->subnet_array);
    free(index->subnets_by_network);
    free(index->router_array);
    free(index->ports_by_router);
    free(index->joined);
    free(index->places);
    free(index->ring_distances);
    free(index->host_nodes);
    free(index->host_by_slot);
    free(index->firewalls);
    hashmap_clear(&index->networks);
    hashmap_clear(&index->subnets);
    hashmap_clear(&index->hosts);
    hashmap_clear(&index->routers);
    *index = (struct compile_index){0};
}

struct compile_network *compile_find_network(const struct compile_index *index, const char *id)
{
    struct hashmap_node *node = hashmap_find(&index->networks, id, UUID_TEXT_SIZE - 1);

    return node ? CONTAINER_OF(node, struct compile_network, by_id) : NULL;
}

const struct subnet *compile_find_subnet(const struct compile_index *index, const char *id)
{
    struct hashmap_node *node = hashmap_find(&index->subnets, id, UUID_TEXT_SIZE - 1);

    return node ? CONTAINER_OF(node, struct compile_subnet, by_id)->subnet : NULL;
}

const struct compile_router_entry *compile_find_router(const struct compile_index *index, const char *id)
{
    struct hashmap_node *node = hashmap_find(&index->routers, id, strlen(id));

    return node ? CONTAINER_OF(node, struct compile_router_entry, by_id) : NULL;
}

bool compile_is_gateway(const struct port *port)
{
    return port->device_owner && streq(port->device_owner, DEVICE_ROUTER_GATEWAY);
}

const struct compile_host *compile_find_host(const struct compile_index *index, const char *name)
{
    struct hashmap_node *node = hashmap_find(&index->hosts, name, strlen(name));

    return node ? &index->snapshot->hosts[node - index->host_nodes] : NULL;
}

uint32_t compile_object_number(const struct object *object)
{
    uint32_t number = 0;

    for (size_t i = 0; i < 8 && object->id[i]; i++) {
        char digit = object->id[i];

        number = number << 4 | (uint32_t)(digit <= '9' ? digit - '0' : (digit | 0x20) - 'a' + 10);
    }
    return number;
}
