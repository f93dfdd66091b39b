/* What the responders need, found in the replica: see serve.h and punt.h. */
#include "weft/agent/serve.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "weft/agent/punt.h"
#include "weft/services/config.h"

#define MAX_SUBNETS 256 /* Of one network that a responder looks at. */

static const struct port *find_holder(void *context, const struct network *network, const struct ip_address *address)
{
    const struct agent *agent = context;

    HASHMAP_FOREACH(node, &agent->replica.by_id) {
        const struct object *object = CONTAINER_OF(node, struct replica_entry, by_id)->object;
        const struct port *port = (const struct port *)object;

        if (object->kind != RESOURCE_PORT || !streq(port->network_id, network->object.id))
            continue;
        for (size_t i = 0; i < port->n_fixed_ips; i++)
            if (ip_equal(&port->fixed_ips[i].address, address))
                return port;
    }
    return NULL;
}

static int find_port(void *context, uint32_t slot, struct punt_port *ret)
{
    static const struct subnet *subnets[MAX_SUBNETS]; /* One loop, one caller at a time. */
    struct agent *agent = context;
    const struct agent_port *port = agent_find_slot(agent, slot);
    const struct port *model = port ? agent_model_port(agent, port) : NULL;
    const struct object *network = model ? replica_find(&agent->replica, RESOURCE_NETWORK, model->network_id) : NULL;
    size_t n_subnets = 0;

    if (!network || !port->attached)
        return -ENOENT;
    HASHMAP_FOREACH(node, &agent->replica.by_id) {
        const struct object *object = CONTAINER_OF(node, struct replica_entry, by_id)->object;

        if (object->kind == RESOURCE_SUBNET && n_subnets < MAX_SUBNETS &&
            streq(((const struct subnet *)object)->network_id, network->id))
            subnets[n_subnets++] = (const struct subnet *)object;
    }
    *ret = (struct punt_port){
        .ifindex = port->attached,
        .objects = {.port = model, .network = (const struct network *)network, .subnets = subnets, .n_subnets = n_subnets,
                    .find_holder = find_holder, .context = agent},
    };
    return 0;
}

int serve_start(struct agent *agent, struct error *error)
{
    return punt_new(&agent->loop, maps_descriptor(agent->maps, "punt"), maps_sizes(agent->maps).n_ports, find_port, agent,
                    &agent->punt, error);
}

void serve_stop(struct agent *agent)
{
    punt_free(agent->punt);
    agent->punt = NULL;
}

void serve_changed(struct agent *agent, const struct agent_port *port)
{
    if (agent->punt)
        punt_advertise(agent->punt, port->slot);
}
