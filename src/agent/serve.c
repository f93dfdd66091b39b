/* What the responders need, found in the replica and the tables: see serve.h and punt.h.
 *
 * A storm of requests (a thousand workloads boot) must not walk all objects for each: subnets are kept sorted by their
 * network, made anew when something changed and somebody asks, and who has an address is looked up in the compiled
 * neighbor table. */
#include "weft/agent/serve.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "weft/agent/punt.h"
#include "weft/agent/uplinks.h"
#include "weft/model/virtual-server.h"
#include "weft/services/config.h"

struct serve {
    const struct subnet **subnets; /* Sorted by network, then id: the same order on every host. */
    size_t n_subnets;
    uint64_t n_changes; /* The replica's, when 'subnets' was made. */
    bool is_made;
    uint64_t n_told; /* The replica's, when the responders were last told of changes. */
};

static int compare_networks(const struct subnet *a, const char *network_id)
{
    return strcmp(a->network_id, network_id);
}

static int compare_subnets(const void *a, const void *b)
{
    const struct subnet *x = *(const struct subnet *const *)a, *y = *(const struct subnet *const *)b;
    int order = compare_networks(x, y->network_id);

    return order ? order : strcmp(x->object.id, y->object.id);
}

/* The pointers are good until the next put or delete, which 'n_changes' tells. */
static int make_subnets(struct serve *serve, const struct replica *replica)
{
    const struct replica_kind *of_kind = &replica->by_kind[RESOURCE_SUBNET];
    size_t n = of_kind->n;

    if (serve->is_made && serve->n_changes == replica->n_changes)
        return 0;
    serve->is_made = false;
    const struct subnet **subnets = reallocarray(serve->subnets, of_kind->n + 1, sizeof(*subnets));
    if (!subnets)
        return -ENOMEM;
    serve->subnets = subnets;
    for (size_t i = 0; i < n; i++)
        subnets[i] = (const struct subnet *)of_kind->entries[i]->object;
    qsort(subnets, n, sizeof(*subnets), compare_subnets);
    serve->n_subnets = n;
    serve->n_changes = replica->n_changes;
    serve->is_made = true;
    return 0;
}

/* The first subnet of the network, and how many there are. */
static const struct subnet *const *find_subnets(const struct serve *serve, const char *network_id, size_t *ret_n)
{
    size_t low = 0, high = serve->n_subnets, end;

    while (low < high) {
        size_t middle = (low + high) / 2;

        if (compare_networks(serve->subnets[middle], network_id) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    for (end = low; end < serve->n_subnets && compare_networks(serve->subnets[end], network_id) == 0;)
        end++;
    *ret_n = end - low;
    return serve->subnets + low;
}

static bool find_mac(void *context, const struct network *network, const struct ip_address *address,
                     struct mac_address *ret)
{
    const struct agent *agent = context;
    struct neighbor_key key = {.vni = network->vni};
    struct neighbor_value value;
    const void *row;

    memcpy(key.address, address->bytes, sizeof(key.address));
    row = rows_find(&agent->desired.tables[TABLE_NEIGHBORS], &key);
    if (!row)
        return false;
    memcpy(&value, row, sizeof(value));
    memcpy(ret->bytes, value.mac, sizeof(ret->bytes));
    return !mac_equal(ret, &VIRTUAL_SERVER_MAC); /* That one stands in for gateways that nobody is. */
}

bool serve_find_objects(struct agent *agent, uint32_t slot, struct service_objects *ret)
{
    const struct agent_port *port = agent_find_slot(agent, slot);
    const struct port *model = port ? agent_model_port(agent, port) : NULL;
    const struct object *network = model ? replica_find(&agent->replica, RESOURCE_NETWORK, model->network_id) : NULL;

    if (!network || make_subnets(agent->serve, &agent->replica) < 0)
        return false;
    *ret = (struct service_objects){.port = model, .network = (const struct network *)network, .find_mac = find_mac, .context = agent};
    ret->subnets = find_subnets(agent->serve, network->id, &ret->n_subnets);
    return true;
}

static int find_port(void *context, uint32_t slot, struct punt_port *ret)
{
    struct agent *agent = context;
    const struct agent_port *port = agent_find_slot(agent, slot);

    if (!port || !port->attached || !serve_find_objects(agent, slot, &ret->objects))
        return -ENOENT;
    ret->ifindex = port->attached;
    return 0;
}

static void take_event(void *context, const struct punt_event *event)
{
    uplinks_take_event(((struct agent *)context)->uplinks, event);
}

static bool send_outside(void *context, uint32_t vni, uint8_t *frame, size_t size)
{
    return uplinks_send(((struct agent *)context)->uplinks, vni, frame, size);
}

static bool find_router_mac(void *context, uint32_t router_port, uint8_t ret[6])
{
    const struct agent *agent = context;
    const void *row = rows_find(&agent->desired.tables[TABLE_ROUTER_PORTS], &router_port);
    struct router_port_config config;

    if (!row)
        return false;
    memcpy(&config, row, sizeof(config));
    memcpy(ret, config.mac, sizeof(config.mac));
    return true;
}

int serve_start(struct agent *agent, struct error *error)
{
    agent->serve = calloc(1, sizeof(*agent->serve));
    if (!agent->serve)
        return error_set(error, -ENOMEM, NULL, "out of memory");
    int result = punt_new(&agent->loop, maps_descriptor(agent->maps, "punt"), maps_sizes(agent->maps).n_ports,
                          agent->tunnel_ifindex, find_port, agent, &agent->punt, error);

    if (result == 0)
        punt_set_outside(agent->punt, &(struct punt_outside){take_event, send_outside, find_router_mac}, agent);
    return result;
}

void serve_stop(struct agent *agent)
{
    punt_free(agent->punt);
    agent->punt = NULL;
    if (agent->serve)
        free(agent->serve->subnets);
    free(agent->serve);
    agent->serve = NULL;
}

void serve_plugged(struct agent *agent, const struct agent_port *port)
{
    if (agent->punt)
        punt_advertise(agent->punt, port->slot);
}

void serve_updated(struct agent *agent)
{
    if (!agent->punt || agent->serve->n_told == agent->replica.n_changes)
        return;
    agent->serve->n_told = agent->replica.n_changes;
    punt_objects_changed(agent->punt);
}

json_t *serve_status(const struct agent *agent)
{
    struct punt_counters zero = {0};
    const struct punt_counters *counters = agent->punt ? punt_counters(agent->punt) : &zero;

    return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "events",
                     (json_int_t)counters->events, "replies", (json_int_t)counters->replies, "dhcp4",
                     (json_int_t)counters->dhcp4, "dhcp6", (json_int_t)counters->dhcp6, "ra", (json_int_t)counters->ra,
                     "too_big", (json_int_t)counters->too_big, "time_exceeded", (json_int_t)counters->time_exceeded,
                     "unreachable", (json_int_t)counters->unreachable, "resets", (json_int_t)counters->resets, "fragmented",
                     (json_int_t)counters->fragmented, "advertisements", (json_int_t)counters->advertisements,
                     "refused", (json_int_t)counters->refused, "silent", (json_int_t)counters->silent, "malformed",
                     (json_int_t)counters->malformed, "unknown_port", (json_int_t)counters->unknown_port, "send_errors",
                     (json_int_t)counters->send_errors);
}
