/* Lookups of one compilation: built first, thrown away at its end. */
#include "weft/compiler/index.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int compile_index_build(const struct snapshot *snapshot, struct compile_index *ret)
{
    *ret = (struct compile_index){.snapshot = snapshot};
    ret->network_array = calloc(snapshot->n_networks + 1, sizeof(*ret->network_array));
    ret->subnet_array = calloc(snapshot->n_subnets + 1, sizeof(*ret->subnet_array));
    ret->host_nodes = calloc(snapshot->n_hosts + 1, sizeof(*ret->host_nodes));
    for (size_t i = 0; i < snapshot->n_hosts; i++)
        ret->n_host_slots = MAX(ret->n_host_slots, snapshot->hosts[i].slot + 1);
    ret->host_by_slot = calloc(ret->n_host_slots + 1, sizeof(*ret->host_by_slot));
    if (!ret->network_array || !ret->subnet_array || !ret->host_nodes || !ret->host_by_slot)
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
    for (size_t i = 0; i < snapshot->n_hosts; i++) {
        const char *name = snapshot->hosts[i].host->object.name;

        ret->host_by_slot[snapshot->hosts[i].slot] = &snapshot->hosts[i];
        if (name && hashmap_insert(&ret->hosts, &ret->host_nodes[i], name, strlen(name)) == -ENOMEM)
            goto no_memory;
    }
    return 0;

no_memory:
    compile_index_clear(ret);
    return -ENOMEM;
}

void compile_index_clear(struct compile_index *index)
{
    for (size_t i = 0; index->network_array && i < index->snapshot->n_networks; i++)
        free(index->network_array[i].outputs);
    free(index->network_array);
    free(index->subnet_array);
    free(index->host_nodes);
    free(index->host_by_slot);
    hashmap_clear(&index->networks);
    hashmap_clear(&index->subnets);
    hashmap_clear(&index->hosts);
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

const struct compile_host *compile_find_host(const struct compile_index *index, const char *name)
{
    struct hashmap_node *node = hashmap_find(&index->hosts, name, strlen(name));

    return node ? &index->snapshot->hosts[node - index->host_nodes] : NULL;
}

uint32_t compile_output(const struct compile_index *index, const struct compile_port *port)
{
    const char *binding = port->port->binding_host_id;

    if (!binding || !binding[0])
        return OUTPUT_NONE;
    if (streq(binding, index->snapshot->host_name))
        return port->slot ? OUTPUT_LOCAL | port->slot : OUTPUT_NONE;

    const struct compile_host *host = compile_find_host(index, binding);

    return host && host->slot ? OUTPUT_REMOTE | host->slot : OUTPUT_NONE;
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
