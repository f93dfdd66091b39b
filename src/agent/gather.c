/* Gathering what is compiled: see gather.h. */
#include "weft/agent/gather.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "weft/agent/shortages.h"
#include "weft/base/log.h"
#include "weft/compiler/numbers.h"

#define PORT_HALF_OPEN_MIN 16 /* Of each port, however many its project has here. */

/* ---- ports of this host ------------------------------------------------------------------------------------------------- */

static struct agent_port *add_port(struct agent *agent, const struct port *model)
{
    struct slot *slot = local_slot(&agent->local, SLOT_PORT, model->object.id);
    struct agent_port *port;

    if (!slot) {
        log_error("port %s gets no slot: all %u of this host are in use (max-ports)", model->object.id,
                  maps_sizes(agent->maps).n_ports - 1);
        return NULL;
    }
    port = calloc(1, sizeof(*port));
    if (!port)
        return NULL;
    string_copy(port->id, sizeof(port->id), model->object.id);
    port->slot = slot->number;
    port->generation = maps_port_generation(agent->maps, slot->number) + (slot->is_new ? 1 : 0);
    if (slot->is_new)
        maps_port_counters_reset(agent->maps, slot->number);
    slot->is_new = false;
    if (hashmap_insert(&agent->ports, &port->by_id, port->id, strlen(port->id)) < 0) {
        free(port);
        return NULL;
    }
    agent->port_by_slot[port->slot] = port;
    return port;
}

/* The interface that a person plugged, else the one named after the port. */
static const struct link *find_interface(const struct agent *agent, const char *port_id)
{
    const struct plug *plug = local_plug_of_port(&agent->local, port_id);
    char name[sizeof(TAP_PREFIX) + TAP_ID_SIZE] = TAP_PREFIX;

    if (plug)
        return links_find_name(&agent->links, plug->interface);
    memcpy(name + sizeof(TAP_PREFIX) - 1, port_id, TAP_ID_SIZE);
    return local_plug_of_interface(&agent->local, name) ? NULL : links_find_name(&agent->links, name);
}

static struct agent_port *update_port(struct agent *agent, const struct port *model)
{
    struct agent_port *port = agent_find_port(agent, model->object.id);
    const struct link *link;
    struct slot *project;

    if (!port)
        port = add_port(agent, model);
    if (!port)
        return NULL;
    local_slot(&agent->local, SLOT_PORT, port->id); /* Marks it. */
    project = local_slot(&agent->local, SLOT_PROJECT, model->object.project_id[0] ? model->object.project_id : "-");
    port->project = project ? project->number : 0;
    port->seen = true;
    link = find_interface(agent, port->id);
    port->ifindex = link ? link->ifindex : 0;
    if (link) {
        port->incarnation = link->incarnation;
        string_copy(port->interface, sizeof(port->interface), link->name);
        port->is_veth = streq(link->kind, "veth") && link->peer_elsewhere;
    }
    return port;
}

/* ---- other hosts -------------------------------------------------------------------------------------------------------------- */

static struct agent_host *update_host(struct agent *agent, const struct host *model)
{
    const char *name = model->object.name;
    struct hashmap_node *node = hashmap_find(&agent->hosts, name, strlen(name));
    struct agent_host *host = node ? CONTAINER_OF(node, struct agent_host, by_name) : NULL;
    struct slot *slot = local_slot(&agent->local, SLOT_HOST, name);

    if (!slot) {
        log_error("host '%s' gets no slot: all %u are in use (max-hosts)", name, maps_sizes(agent->maps).n_hosts - 1);
        return NULL;
    }
    if (!host) {
        host = calloc(1, sizeof(*host));
        if (!host)
            return NULL;
        string_copy(host->name, sizeof(host->name), name);
        host->slot = slot->number;
        host->generation = maps_host_generation(agent->maps, slot->number) + (slot->is_new ? 1 : 0);
        slot->is_new = false;
        if (hashmap_insert(&agent->hosts, &host->by_name, host->name, strlen(host->name)) < 0) {
            free(host);
            return NULL;
        }
    }
    if (!host->resolved || !ip_equal(&host->address, &model->tunnel_address)) {
        host->address = model->tunnel_address;
        host->path = (struct host_config){.generation = host->generation};
        underlay_resolve(&agent->underlay, &agent->tunnel_address, &host->address, &host->path);
        host->resolved = true;
    }
    host->seen = true;
    return host;
}

/* ---- the snapshot ----------------------------------------------------------------------------------------------------------------- */

/* How much of the host's tables of connections and of learned MACs one of 'n' projects may fill: something is always left for the next one, and no
 * project has so little that it shows. */
static uint32_t share_of(uint32_t table_size, size_t n)
{
    return MAX(table_size / ((uint32_t)n + 1), table_size / 16);
}

/* How many of a project's half-open connections each of its ports here may always have: together they are half of what it may have at all.
 * By powers of two, so that not every port that comes or goes is a change. */
static uint32_t share_of_port(uint32_t max_half_open, uint32_t n_ports)
{
    uint32_t share = max_half_open / 2;

    for (uint32_t n = 1; n < n_ports && share > PORT_HALF_OPEN_MIN; n *= 2)
        share /= 2;
    return share;
}

static struct project_limits limits_of_project(const struct agent *agent, size_t n)
{
    uint32_t flows = share_of(maps_sizes(agent->maps).n_connections, n), macs = share_of(LEARNED_MAX, n);

    if (agent->options.max_project_macs)
        macs = (uint32_t)agent->options.max_project_macs;
    return (struct project_limits){.max_half_open = flows / 4, .max_established = flows - flows / 4, .max_learned = macs};
}

void gathered_clear(struct gathered *gathered)
{
    free(gathered->networks);
    free(gathered->network_projects);
    free(gathered->subnets);
    free(gathered->ports);
    free(gathered->hosts);
    free(gathered->projects);
    free(gathered->security_groups);
    free(gathered->security_group_rules);
    free(gathered->address_groups);
    free(gathered->routers);
    free(gathered->floating_ips);
    free(gathered->port_forwardings);
    free(gathered->snat_blocks);
    free(gathered->firewall_groups);
    free(gathered->firewall_policies);
    free(gathered->firewall_rules);
    free(gathered->logs);
    free(gathered->load_balancers);
    free(gathered->listeners);
    free(gathered->pools);
    free(gathered->members);
    free(gathered->balance_rows);
    free(gathered->listener_shares);
    free(gathered->health_monitors);
    rows_clear(&gathered->shortages);
    rows_clear(&gathered->left_out);
}

static uint32_t project_index(struct agent *agent, const struct object *object)
{
    const struct slot *project = local_slot(&agent->local, SLOT_PROJECT, object->project_id[0] ? object->project_id : "-");

    return project ? project->number : 0;
}

static void gather_network(struct agent *agent, struct gathered *gathered, const struct network *model)
{
    size_t i = gathered->snapshot.n_networks++;

    gathered->networks[i] = model;
    gathered->network_projects[i] = project_index(agent, &model->object);
}

/* A load balancer's address on an external or physical network is called from outside: it leads there as a router's does.  Any port may say that it has one:
 * the load balancer says which. */
static bool is_outside_vip(const struct agent *agent, const struct port *model)
{
    const char *id = port_load_balancer_id(model);
    const struct network *network = id ? (const struct network *)replica_find(&agent->replica, RESOURCE_NETWORK, model->network_id) : NULL;
    bool is_outside = network && (network->is_external || network->physical_network);
    const struct load_balancer *balancer = is_outside ? (const struct load_balancer *)replica_find(&agent->replica, RESOURCE_LOAD_BALANCER, id) : NULL;

    return balancer && streq(balancer->vip_port_id, model->object.id);
}

static void gather_port(struct agent *agent, struct gathered *gathered, const struct port *model)
{
    struct compile_port entry = {.port = model};

    if (model->binding_host_id && streq(model->binding_host_id, agent->options.host)) {
        const struct agent_port *port = update_port(agent, model);

        if (port) {
            entry.slot = port->slot;
            entry.generation = port->generation;
            entry.ifindex = port->ifindex;
            entry.project = port->project;
            entry.is_veth = port->is_veth;
        }
    }
    entry.is_routers = router_port_kind(model) != ROUTER_PORT_NONE;
    if (entry.is_routers)
        entry.router_port = NUMBER_WANTED;
    else if (is_outside_vip(agent, model))
        entry.vip_port = NUMBER_WANTED;
    gathered->ports[gathered->snapshot.n_ports++] = entry;
}

static void gather_host(struct agent *agent, struct gathered *gathered, const struct host *model)
{
    struct compile_host entry = {.host = model};

    if (!model->object.name)
        return;
    if (!streq(model->object.name, agent->options.host) && model->has_tunnel_address) {
        const struct agent_host *host = update_host(agent, model);

        if (host) {
            entry.slot = host->slot;
            entry.path = host->path;
        }
    }
    gathered->hosts[gathered->snapshot.n_hosts++] = entry;
}

static void gather_object(struct agent *agent, struct gathered *gathered, const struct object *object)
{
    struct snapshot *snapshot = &gathered->snapshot;

    switch (object->kind) {
    case RESOURCE_NETWORK:
        gather_network(agent, gathered, (const struct network *)object);
        break;
    case RESOURCE_SUBNET:
        gathered->subnets[snapshot->n_subnets++] = (const struct subnet *)object;
        break;
    case RESOURCE_PORT:
        gather_port(agent, gathered, (const struct port *)object);
        break;
    case RESOURCE_HOST:
        gather_host(agent, gathered, (const struct host *)object);
        break;
    case RESOURCE_SECURITY_GROUP:
        gathered->security_groups[snapshot->n_security_groups++] =
            (struct compile_security_group){.group = (const struct security_group *)object};
        break;
    case RESOURCE_SECURITY_GROUP_RULE:
        gathered->security_group_rules[snapshot->n_security_group_rules++] = (const struct security_group_rule *)object;
        break;
    case RESOURCE_ROUTER:
        gathered->routers[snapshot->n_routers++] = (struct compile_router){.router = (const struct router *)object};
        break;
    case RESOURCE_FLOATING_IP:
        gathered->floating_ips[snapshot->n_floating_ips++] = (const struct floating_ip *)object;
        break;
    case RESOURCE_PORT_FORWARDING:
        gathered->port_forwardings[snapshot->n_port_forwardings++] = (const struct port_forwarding *)object;
        break;
    case RESOURCE_SNAT_BLOCK:
        gathered->snat_blocks[snapshot->n_snat_blocks++] = (const struct snat_block *)object;
        break;
    case RESOURCE_FIREWALL_GROUP:
        gathered->firewall_groups[snapshot->n_firewall_groups++] = (const struct firewall_group *)object;
        break;
    case RESOURCE_FIREWALL_POLICY:
        gathered->firewall_policies[snapshot->n_firewall_policies++] = (const struct firewall_policy *)object;
        break;
    case RESOURCE_FIREWALL_RULE:
        gathered->firewall_rules[snapshot->n_firewall_rules++] = (const struct firewall_rule *)object;
        break;
    case RESOURCE_LOG:
        gathered->logs[snapshot->n_logs++] = (const struct network_log *)object;
        break;
    case RESOURCE_LOAD_BALANCER:
        gathered->load_balancers[snapshot->n_load_balancers++] = (const struct load_balancer *)object;
        break;
    case RESOURCE_LISTENER:
        gathered->listeners[snapshot->n_listeners++] = (struct compile_listener){.listener = (const struct listener *)object};
        break;
    case RESOURCE_POOL:
        gathered->pools[snapshot->n_pools++] = (struct compile_pool){.pool = (const struct pool *)object};
        break;
    case RESOURCE_POOL_MEMBER:
        gathered->members[snapshot->n_members++] = (struct compile_member){.member = (const struct pool_member *)object};
        break;
    case RESOURCE_LISTENER_SHARE:
        gathered->listener_shares[snapshot->n_listener_shares++] = (const struct listener_share *)object;
        break;
    case RESOURCE_BALANCE_ROWS:
        gathered->balance_rows[snapshot->n_balance_rows++] = (const struct balance_rows *)object;
        break;
    case RESOURCE_HEALTH_MONITOR:
        gathered->health_monitors[snapshot->n_health_monitors++] = (const struct health_monitor *)object;
        break;
    case RESOURCE_ADDRESS_GROUP:
        gathered->address_groups[snapshot->n_address_groups++] =
            (struct compile_address_group){.group = (const struct address_group *)object};
        break;
    default:
        break;
    }
}

/* ---- numbers ------------------------------------------------------------------------------------------------------------------------ */

/* Connection entries remember the number of a router's port, and tell by the generation that it is another's by now. */
static void renew(struct agent *agent, enum slot_kind kind, struct slot *slot)
{
    if (kind == SLOT_LISTENER && slot->is_new)
        maps_service_counters_reset(agent->maps, slot->number); /* How many connections are there is no matter of who has the number. */
    if (kind == SLOT_ROUTER_PORT && !slot->generation)
        slot->generation = maps_router_port_generation(agent->maps, slot->number) + (slot->is_new ? 1 : 0);
    slot->is_new = false;
}

static uint32_t give_number(enum number_space space, const struct object *object, void *context)
{
    struct agent *agent = context;
    struct slot *slot = local_slot(&agent->local, shortages_slots(space), object->id);

    if (slot)
        renew(agent, shortages_slots(space), slot);
    return slot ? slot->number : 0;
}

static bool had_number(enum number_space space, const struct object *object, void *context)
{
    const struct agent *agent = context;
    const struct slot *slot = local_find(&agent->local, shortages_slots(space), object->id);

    return slot && !slot->is_of_round;
}

static void take_back_number(enum number_space space, const struct object *object, void *context)
{
    const struct agent *agent = context;
    struct slot *slot = local_find(&agent->local, shortages_slots(space), object->id);

    if (slot)
        slot->is_taken_back = true;
}

static int give_numbers(struct agent *agent, struct gathered *gathered)
{
    struct numbering numbering = {
        .snapshot = &gathered->snapshot,
        .ports = gathered->ports,
        .security_groups = gathered->security_groups,
        .address_groups = gathered->address_groups,
        .routers = gathered->routers,
        .load_balancers = gathered->load_balancers,
        .listeners = gathered->listeners,
        .pools = gathered->pools,
        .members = gathered->members,
        .give = give_number,
        .had = had_number,
        .take_back = take_back_number,
        .context = agent,
        .shortages = &gathered->shortages,
        .left_out = &gathered->left_out,
    };

    for (int space = 0; space < N_NUMBER_SPACES; space++)
        numbering.room[space] = shortages_numbers(agent, space);
    if (numbers_give(&numbering) < 0)
        return -ENOMEM;
    for (size_t i = 0; i < gathered->snapshot.n_ports; i++) {
        struct compile_port *entry = &gathered->ports[i];

        if (entry->router_port || entry->vip_port)
            entry->router_port_generation = agent->local.slots[SLOT_ROUTER_PORT].by_number[entry->router_port ? entry->router_port : entry->vip_port]->generation;
    }
    gathered->waits = numbering.waits;
    return 0;
}

/* Index 0 is for projects beyond the table: they share its limits. */
static int gather_projects(struct agent *agent, struct gathered *gathered)
{
    const struct hashmap *projects = &agent->local.slots[SLOT_PROJECT].by_name;
    struct project_limits limits = limits_of_project(agent, projects->n_nodes);
    size_t *n = &gathered->snapshot.n_projects;

    _cleanup_(freep) uint32_t *n_ports = calloc(maps_sizes(agent->maps).n_projects + 1, sizeof(*n_ports));

    gathered->projects = calloc(projects->n_nodes + 2, sizeof(*gathered->projects));
    if (!gathered->projects || !n_ports)
        return -ENOMEM;
    HASHMAP_FOREACH(node, &agent->ports)
        n_ports[CONTAINER_OF(node, struct agent_port, by_id)->project]++;
    limits.port_half_open = share_of_port(limits.max_half_open, n_ports[0]);
    gathered->projects[(*n)++] = (struct compile_project){0, limits};
    HASHMAP_FOREACH(node, projects) {
        const struct slot *slot = CONTAINER_OF(node, struct slot, by_name);

        limits.port_half_open = share_of_port(limits.max_half_open, n_ports[slot->number]);
        gathered->projects[(*n)++] = (struct compile_project){slot->number, limits};
    }
    return 0;
}

/* Room for all of a kind.  'ret_array' is the address of a pointer. */
static bool make_array(const struct replica *replica, enum resource_kind kind, size_t size, void *ret_array)
{
    void *array = calloc(replica->by_kind[kind].n + 1, size);

    memcpy(ret_array, &array, sizeof(array));
    return array != NULL;
}

int agent_gather(struct agent *agent, struct gathered *gathered)
{
    const struct replica *replica = &agent->replica;
    struct snapshot *snapshot = &gathered->snapshot;

    *gathered = (struct gathered){0};
    rows_init(&gathered->shortages, sizeof(struct shortage_key), sizeof(struct shortage));
    rows_init(&gathered->left_out, sizeof(struct left_out_key), sizeof(uint32_t));
    if (!make_array(replica, RESOURCE_NETWORK, sizeof(*gathered->networks), &gathered->networks) ||
        !make_array(replica, RESOURCE_NETWORK, sizeof(*gathered->network_projects), &gathered->network_projects) ||
        !make_array(replica, RESOURCE_SUBNET, sizeof(*gathered->subnets), &gathered->subnets) ||
        !make_array(replica, RESOURCE_PORT, sizeof(*gathered->ports), &gathered->ports) ||
        !make_array(replica, RESOURCE_HOST, sizeof(*gathered->hosts), &gathered->hosts) ||
        !make_array(replica, RESOURCE_SECURITY_GROUP, sizeof(*gathered->security_groups), &gathered->security_groups) ||
        !make_array(replica, RESOURCE_SECURITY_GROUP_RULE, sizeof(*gathered->security_group_rules), &gathered->security_group_rules) ||
        !make_array(replica, RESOURCE_ADDRESS_GROUP, sizeof(*gathered->address_groups), &gathered->address_groups) ||
        !make_array(replica, RESOURCE_ROUTER, sizeof(*gathered->routers), &gathered->routers) ||
        !make_array(replica, RESOURCE_FLOATING_IP, sizeof(*gathered->floating_ips), &gathered->floating_ips) ||
        !make_array(replica, RESOURCE_PORT_FORWARDING, sizeof(*gathered->port_forwardings), &gathered->port_forwardings) ||
        !make_array(replica, RESOURCE_SNAT_BLOCK, sizeof(*gathered->snat_blocks), &gathered->snat_blocks) ||
        !make_array(replica, RESOURCE_FIREWALL_GROUP, sizeof(*gathered->firewall_groups), &gathered->firewall_groups) ||
        !make_array(replica, RESOURCE_FIREWALL_POLICY, sizeof(*gathered->firewall_policies), &gathered->firewall_policies) ||
        !make_array(replica, RESOURCE_FIREWALL_RULE, sizeof(*gathered->firewall_rules), &gathered->firewall_rules) ||
        !make_array(replica, RESOURCE_LOG, sizeof(*gathered->logs), &gathered->logs) ||
        !make_array(replica, RESOURCE_LOAD_BALANCER, sizeof(*gathered->load_balancers), &gathered->load_balancers) ||
        !make_array(replica, RESOURCE_LISTENER, sizeof(*gathered->listeners), &gathered->listeners) ||
        !make_array(replica, RESOURCE_POOL, sizeof(*gathered->pools), &gathered->pools) ||
        !make_array(replica, RESOURCE_POOL_MEMBER, sizeof(*gathered->members), &gathered->members) ||
        !make_array(replica, RESOURCE_BALANCE_ROWS, sizeof(*gathered->balance_rows), &gathered->balance_rows) ||
        !make_array(replica, RESOURCE_LISTENER_SHARE, sizeof(*gathered->listener_shares), &gathered->listener_shares) ||
        !make_array(replica, RESOURCE_HEALTH_MONITOR, sizeof(*gathered->health_monitors), &gathered->health_monitors))
        return -ENOMEM;
    snapshot->host_name = agent->options.host;
    snapshot->tunnel_address = agent->tunnel_address;
    for (int kind = 0; kind < RESOURCE_N_KINDS; kind++)
        for (size_t i = 0; i < replica->by_kind[kind].n; i++)
            gather_object(agent, gathered, replica->by_kind[kind].entries[i]->object);
    if (gather_projects(agent, gathered) < 0)
        return -ENOMEM;
    snapshot->networks = gathered->networks;
    snapshot->network_projects = gathered->network_projects;
    snapshot->subnets = gathered->subnets;
    snapshot->ports = gathered->ports;
    snapshot->hosts = gathered->hosts;
    snapshot->projects = gathered->projects;
    snapshot->security_groups = gathered->security_groups;
    snapshot->security_group_rules = gathered->security_group_rules;
    snapshot->address_groups = gathered->address_groups;
    snapshot->routers = gathered->routers;
    snapshot->floating_ips = gathered->floating_ips;
    snapshot->port_forwardings = gathered->port_forwardings;
    snapshot->snat_blocks = gathered->snat_blocks;
    snapshot->firewall_groups = gathered->firewall_groups;
    snapshot->firewall_policies = gathered->firewall_policies;
    snapshot->firewall_rules = gathered->firewall_rules;
    snapshot->logs = gathered->logs;
    snapshot->load_balancers = gathered->load_balancers;
    snapshot->listeners = gathered->listeners;
    snapshot->pools = gathered->pools;
    snapshot->members = gathered->members;
    snapshot->balance_rows = gathered->balance_rows;
    snapshot->listener_shares = gathered->listener_shares;
    snapshot->health_monitors = gathered->health_monitors;
    snapshot->shortages = &gathered->shortages;
    snapshot->left_out = &gathered->left_out;
    if (give_numbers(agent, gathered) < 0)
        return -ENOMEM;
    shortages_room(agent, snapshot);
    snapshot->probe_ifindex = agent->metadata_ifindex;
    snapshot->probe_mac = agent->metadata_mac;
    return 0;
}
