#include "weft/api/snat-need.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "weft/base/hashmap.h"
#include "weft/base/log.h"
#include "weft/base/util.h"

/* Ports of one network bound to one host. */
struct bound {
    struct hashmap_node node;
    size_t count;
    char name[];
};

struct place {
    struct hashmap_node node;
    char network_id[UUID_TEXT_SIZE];
    struct hashmap hosts; /* Of struct bound. */
};

/* Routers that networks join, and the hosts of all of them. */
struct component {
    struct component *next;
    struct snat_hosts hosts;
};

struct visited {
    struct hashmap_node node;
    struct visited *next; /* To be looked at. */
    struct component *component;
    bool is_network;
    char id[UUID_TEXT_SIZE];
};

struct snat_need {
    const struct replica *replica;
    struct hashmap places;
    struct hashmap visited;
    struct component *components;
};

int snat_need_new(const struct replica *replica, struct snat_need **ret_need)
{
    struct snat_need *need = calloc(1, sizeof(*need));

    if (!need)
        return -ENOMEM;
    need->replica = replica;
    *ret_need = need;
    return 0;
}

static void place_free(struct snat_need *need, struct place *place)
{
    HASHMAP_FOREACH(node, &place->hosts)
        free(CONTAINER_OF(node, struct bound, node));
    hashmap_clear(&place->hosts);
    hashmap_remove(&need->places, &place->node);
    free(place);
}

void snat_need_free(struct snat_need *need)
{
    if (!need)
        return;
    snat_need_forget(need);
    HASHMAP_FOREACH(node, &need->places)
        place_free(need, CONTAINER_OF(node, struct place, node));
    hashmap_clear(&need->places);
    free(need);
}

/* --- Where ports are bound. --- */

static struct place *place_find(const struct snat_need *need, const char *network_id)
{
    struct hashmap_node *node = hashmap_find(&need->places, network_id, strlen(network_id));

    return node ? CONTAINER_OF(node, struct place, node) : NULL;
}

static struct place *place_get(struct snat_need *need, const char *network_id)
{
    struct place *place = place_find(need, network_id);

    if (place)
        return place;
    place = calloc(1, sizeof(*place));
    if (place)
        string_copy(place->network_id, sizeof(place->network_id), network_id);
    if (place && hashmap_insert(&need->places, &place->node, place->network_id, strlen(place->network_id)) == 0)
        return place;
    free(place);
    return NULL;
}

static void bind_port(struct snat_need *need, const struct port *port)
{
    const char *name = port->binding_host_id;
    struct place *place = place_get(need, port->network_id);
    struct hashmap_node *node = place ? hashmap_find(&place->hosts, name, strlen(name)) : NULL;
    struct bound *bound = node ? CONTAINER_OF(node, struct bound, node) : NULL;

    if (place && !bound) {
        bound = calloc(1, sizeof(*bound) + strlen(name) + 1);
        if (bound) {
            memcpy(bound->name, name, strlen(name) + 1);
            if (hashmap_insert(&place->hosts, &bound->node, bound->name, strlen(bound->name)) < 0) {
                free(bound);
                bound = NULL;
            }
        }
    }
    if (bound)
        bound->count++;
    else
        log_error("out of memory: host '%s' may get no ports to translate to", name);
}

static void unbind_port(struct snat_need *need, const struct port *port)
{
    const char *name = port->binding_host_id;
    struct place *place = place_find(need, port->network_id);
    struct hashmap_node *node = place ? hashmap_find(&place->hosts, name, strlen(name)) : NULL;
    struct bound *bound = node ? CONTAINER_OF(node, struct bound, node) : NULL;

    if (!bound || --bound->count > 0)
        return;
    hashmap_remove(&place->hosts, &bound->node);
    free(bound);
    if (place->hosts.n_nodes == 0)
        place_free(need, place);
}

void snat_need_port_changed(struct snat_need *need, const struct port *before, const struct port *after)
{
    if (after && after->binding_host_id && *after->binding_host_id)
        bind_port(need, after);
    if (before && before->binding_host_id && *before->binding_host_id)
        unbind_port(need, before);
}

/* --- What is joined. --- */

static int add_hosts_of(struct snat_need *need, struct component *component, const char *network_id)
{
    const struct place *place = place_find(need, network_id);
    struct snat_hosts *hosts = &component->hosts;
    const struct host **grown;

    if (!place)
        return 0;
    grown = reallocarray(hosts->list, hosts->n + place->hosts.n_nodes, sizeof(*grown));
    if (!grown)
        return -ENOMEM;
    hosts->list = grown;
    HASHMAP_FOREACH(node, &place->hosts) {
        const struct host *host = replica_host_by_name(need->replica, CONTAINER_OF(node, struct bound, node)->name);

        if (host)
            grown[hosts->n++] = host;
    }
    return 0;
}

static int compare_hosts(const void *a, const void *b)
{
    return strcmp((*(const struct host *const *)a)->object.name, (*(const struct host *const *)b)->object.name);
}

static void sort_hosts(struct snat_hosts *hosts)
{
    size_t n = 0;

    if (hosts->n == 0)
        return;
    qsort(hosts->list, hosts->n, sizeof(*hosts->list), compare_hosts);
    for (size_t i = 0; i < hosts->n; i++)
        if (n == 0 || hosts->list[n - 1] != hosts->list[i])
            hosts->list[n++] = hosts->list[i];
    hosts->n = n;
}

static struct visited *visited_find(const struct snat_need *need, const char *id)
{
    struct hashmap_node *node = hashmap_find(&need->visited, id, strlen(id));

    return node ? CONTAINER_OF(node, struct visited, node) : NULL;
}

/* Puts it in front of the list of those to be looked at, unless it was there. */
static int visit(struct snat_need *need, struct component *component, const char *id, bool is_network, struct visited **list)
{
    struct visited *visited;

    if (visited_find(need, id))
        return 0;
    visited = calloc(1, sizeof(*visited));
    if (!visited)
        return -ENOMEM;
    *visited = (struct visited){.next = *list, .component = component, .is_network = is_network};
    string_copy(visited->id, sizeof(visited->id), id);
    if (hashmap_insert(&need->visited, &visited->node, visited->id, strlen(visited->id)) < 0) {
        free(visited);
        return -ENOMEM;
    }
    *list = visited;
    return 0;
}

/* A network that is external joins nobody: its hosts are each router's own. */
static int look_at(struct snat_need *need, const struct visited *visited, struct visited **list)
{
    const struct replica_member *ports = visited->is_network ? replica_find(need->replica, REPLICA_ROUTER_PORTS_BY_NETWORK, visited->id)
                                                             : replica_ports_by_device(need->replica, visited->id);
    int r = visited->is_network ? add_hosts_of(need, visited->component, visited->id) : 0;

    REPLICA_FOREACH(member, ports) {
        const struct port *port = (const struct port *)member->object;
        const struct network *network = replica_network(need->replica, port->network_id);

        if (r < 0 || router_port_kind(port) != ROUTER_PORT_INTERFACE)
            continue;
        if (visited->is_network)
            r = visit(need, visited->component, port->device_id, false, list);
        else if (network && !network->is_external)
            r = visit(need, visited->component, port->network_id, true, list);
        else
            r = add_hosts_of(need, visited->component, port->network_id);
    }
    return r;
}

int snat_need_hosts(struct snat_need *need, const char *router_id, const struct snat_hosts **ret_hosts)
{
    struct visited *visited = visited_find(need, router_id), *list = NULL;
    struct component *component;
    int r;

    if (visited) {
        *ret_hosts = &visited->component->hosts;
        return 0;
    }
    component = calloc(1, sizeof(*component));
    if (!component)
        return -ENOMEM;
    component->next = need->components;
    need->components = component;
    r = visit(need, component, router_id, false, &list);
    while (r == 0 && list) {
        visited = list;
        list = visited->next;
        r = look_at(need, visited, &list);
    }
    sort_hosts(&component->hosts);
    *ret_hosts = &component->hosts;
    return r;
}

void snat_need_forget(struct snat_need *need)
{
    HASHMAP_FOREACH(node, &need->visited)
        free(CONTAINER_OF(node, struct visited, node));
    hashmap_clear(&need->visited);
    while (need->components) {
        struct component *component = need->components;

        need->components = component->next;
        free(component->hosts.list);
        free(component);
    }
}
