/* Networks and routers: a graph whose edges are the ports of routers.
 *
 * A network that is "here" lets its routers in; a router brings its networks; one of these that is not external lets its routers in too.
 * Growing counts, for each network, the ports of relevant routers in it.  These counts keep each other up in circles, so when
 * an edge or a reason goes, what could have depended on it is searched (recheck): all that is joined with it either has another
 * reason somewhere, or goes together. */
#include "weft/api/relevance-state.h"
#include "weft/base/util.h"

static enum router_port_kind edge_kind(const struct relevance *relevance, const struct port *port)
{
    return port == relevance->overlooked ? ROUTER_PORT_NONE : router_port_kind(port);
}

static bool is_here(const struct interest *network)
{
    return network->network.n_bound || network->network.is_uplinked;
}

static bool is_whole(const struct interest *network) /* With its ports. */
{
    return is_here(network) || network->network.n_interfaces;
}

static bool is_inner(const struct relevance *relevance, const char *network_id)
{
    const struct network *network = replica_network(relevance->replica, network_id);

    return network && !network->is_external;
}

/* Whether a router's port of this kind in the network makes the router relevant. */
static bool lets_in(const struct relevance *relevance, const struct interest *network, enum router_port_kind kind)
{
    if (!network)
        return false;
    if (kind == ROUTER_PORT_GATEWAY)
        return network->network.is_uplinked;
    return is_here(network) || (network->network.n_interfaces && is_inner(relevance, network->id));
}

bool graph_has_network(const struct relevance *relevance, const char *id)
{
    return interest_find(&relevance->networks, id);
}

bool graph_has_ports_of(const struct relevance *relevance, const char *network_id)
{
    const struct interest *network = interest_find(&relevance->networks, network_id);

    return network && is_whole(network);
}

bool graph_has_router(const struct relevance *relevance, const char *id)
{
    return interest_find(&relevance->routers, id);
}

bool graph_has_floating_ip(const struct relevance *relevance, const struct floating_ip *floating_ip)
{
    const struct interest *network;

    if (graph_has_router(relevance, floating_ip->router_id))
        return true;
    network = interest_find(&relevance->networks, floating_ip->floating_network_id);
    return network && network->network.is_uplinked;
}

/* --- What comes or goes with a network, a router, a floating IP. --- */

static void touch_network(struct relevance *relevance, const char *id, bool with_ports)
{
    const struct object *network = replica_get(relevance->replica, RESOURCE_NETWORK, id);

    if (network)
        relevance_touch(relevance, network);
    relevance_touch_all(relevance, replica_subnets_by_network(relevance->replica, id));
    if (with_ports)
        relevance_touch_all(relevance, replica_ports_by_network(relevance->replica, id));
}

static void touch_floating_ips(struct relevance *relevance, const struct replica_member *first)
{
    REPLICA_FOREACH(member, first) {
        relevance_touch(relevance, member->object);
        relevance_touch_all(relevance, replica_find(relevance->replica, REPLICA_FORWARDINGS_BY_FLOATING_IP, member->object->id));
    }
}

static void touch_router(struct relevance *relevance, const char *id)
{
    const struct object *router = replica_get(relevance->replica, RESOURCE_ROUTER, id);

    if (router)
        relevance_touch(relevance, router);
    REPLICA_FOREACH(member, replica_ports_by_device(relevance->replica, id))
        if (edge_kind(relevance, (const struct port *)member->object) != ROUTER_PORT_NONE)
            relevance_touch(relevance, member->object);
    touch_floating_ips(relevance, replica_find(relevance->replica, REPLICA_FLOATING_IPS_BY_ROUTER, id));
    relevance_touch_all(relevance, replica_find(relevance->replica, REPLICA_SNAT_BLOCKS_BY_ROUTER, id));
}

void graph_floating_ip_changed(struct relevance *relevance, const struct floating_ip *before, const struct floating_ip *after)
{
    bool was = before && graph_has_floating_ip(relevance, before), is = after && graph_has_floating_ip(relevance, after);

    if (was != is)
        REPLICA_FOREACH(member, replica_find(relevance->replica, REPLICA_FORWARDINGS_BY_FLOATING_IP, (before ? before : after)->object.id))
            relevance->mark(member->object, relevance->context);
}

/* --- Growing. --- */

/* Of a router that became relevant or irrelevant. */
static void recheck_firewall(struct relevance *relevance, const char *router_id)
{
    REPLICA_FOREACH(member, replica_ports_by_device(relevance->replica, router_id))
        firewall_recheck_port(relevance, member->object->id);
}

static void reach(struct relevance *relevance, const char *router_id)
{
    struct interest *router;

    if (interest_find(&relevance->routers, router_id))
        return;
    touch_router(relevance, router_id);
    router = interest_get(relevance, &relevance->routers, router_id);
    if (!router)
        return;
    router->router.next = relevance->to_enter;
    relevance->to_enter = router;
    recheck_firewall(relevance, router_id);
}

static void let_in(struct relevance *relevance, const struct interest *network)
{
    REPLICA_FOREACH(member, replica_find(relevance->replica, REPLICA_ROUTER_PORTS_BY_NETWORK, network->id)) {
        const struct port *port = (const struct port *)member->object;

        if (lets_in(relevance, network, edge_kind(relevance, port)))
            reach(relevance, port->device_id);
    }
}

/* Counts a port of a relevant router. */
static void count(struct relevance *relevance, const struct port *port)
{
    enum router_port_kind kind = edge_kind(relevance, port);
    struct interest *network = interest_find(&relevance->networks, port->network_id);
    bool was_whole = network && is_whole(network);

    if (kind == ROUTER_PORT_NONE)
        return;
    if (kind == ROUTER_PORT_INTERFACE ? !was_whole : !network)
        touch_network(relevance, port->network_id, kind == ROUTER_PORT_INTERFACE);
    network = interest_get(relevance, &relevance->networks, port->network_id);
    if (!network)
        return;
    if (kind == ROUTER_PORT_GATEWAY) {
        network->network.n_gateways++;
        return;
    }
    network->network.n_interfaces++;
    if (!was_whole) {
        balance_network_turned(relevance, network->id);
        let_in(relevance, network);
    }
}

static void enter_all(struct relevance *relevance)
{
    struct interest *router;

    while ((router = relevance->to_enter)) {
        relevance->to_enter = router->router.next;
        REPLICA_FOREACH(member, replica_ports_by_device(relevance->replica, router->id))
            count(relevance, (const struct port *)member->object);
    }
}

/* --- Shrinking. --- */

static void settle(struct relevance *relevance, struct interest *network, bool was_whole)
{
    char id[UUID_TEXT_SIZE];
    bool is_gone = !is_whole(network) && network->network.n_gateways == 0 && network->network.n_members == 0;

    string_copy(id, sizeof(id), network->id);
    if (was_whole == is_whole(network) && !is_gone)
        return;
    if (was_whole != is_whole(network))
        balance_network_turned(relevance, id);
    if (is_gone)
        interest_remove(&relevance->networks, network);
    touch_network(relevance, id, was_whole);
}

static void discount(struct relevance *relevance, const struct port *port)
{
    enum router_port_kind kind = edge_kind(relevance, port);
    struct interest *network = kind != ROUTER_PORT_NONE ? interest_find(&relevance->networks, port->network_id) : NULL;
    bool was_whole = network && is_whole(network);

    if (!network)
        return;
    *(kind == ROUTER_PORT_GATEWAY ? &network->network.n_gateways : &network->network.n_interfaces) -= 1;
    settle(relevance, network, was_whole);
}

struct search {
    struct interest *found, **last; /* Routers, in the order of their discovery. */
};

static void find_router(struct relevance *relevance, struct search *search, const char *id)
{
    struct interest *router = interest_find(&relevance->routers, id);

    if (!router || router->visit == relevance->visit)
        return;
    router->visit = relevance->visit;
    router->router.next = NULL;
    *search->last = router;
    search->last = &router->router.next;
}

/* Goes on through a network to its other routers.  True: it is here, and so a reason for all of them. */
static bool search_network(struct relevance *relevance, struct search *search, struct interest *network)
{
    if (is_here(network))
        return true;
    if (network->visit == relevance->visit || !is_inner(relevance, network->id))
        return false;
    network->visit = relevance->visit;
    REPLICA_FOREACH(member, replica_find(relevance->replica, REPLICA_ROUTER_PORTS_BY_NETWORK, network->id)) {
        const struct port *port = (const struct port *)member->object;

        if (edge_kind(relevance, port) == ROUTER_PORT_INTERFACE)
            find_router(relevance, search, port->device_id);
    }
    return false;
}

static bool search_router(struct relevance *relevance, struct search *search, const char *id)
{
    REPLICA_FOREACH(member, replica_ports_by_device(relevance->replica, id)) {
        const struct port *port = (const struct port *)member->object;
        enum router_port_kind kind = edge_kind(relevance, port);
        struct interest *network = kind != ROUTER_PORT_NONE ? interest_find(&relevance->networks, port->network_id) : NULL;

        if (!network)
            continue;
        if (kind == ROUTER_PORT_GATEWAY ? network->network.is_uplinked : search_network(relevance, search, network))
            return true;
    }
    return false;
}

static void drop(struct relevance *relevance, struct interest *router)
{
    char id[UUID_TEXT_SIZE];

    string_copy(id, sizeof(id), router->id);
    interest_remove(&relevance->routers, router);
    touch_router(relevance, id);
    recheck_firewall(relevance, id);
    REPLICA_FOREACH(member, replica_ports_by_device(relevance->replica, id))
        discount(relevance, (const struct port *)member->object);
}

/* Everything that was found has a reason, or none of it. */
static void finish_search(struct relevance *relevance, struct search *search)
{
    for (struct interest *router = search->found; router; router = router->router.next)
        if (search_router(relevance, search, router->id))
            return;
    while (search->found) {
        struct interest *router = search->found;

        search->found = router->router.next;
        drop(relevance, router);
    }
}

static void recheck_router(struct relevance *relevance, const char *id)
{
    struct search search = {.last = &search.found};

    relevance->visit++;
    find_router(relevance, &search, id);
    finish_search(relevance, &search);
}

static void recheck_network(struct relevance *relevance, const char *id)
{
    struct interest *network = interest_find(&relevance->networks, id);
    struct search search = {.last = &search.found};

    relevance->visit++;
    if (network && !search_network(relevance, &search, network))
        finish_search(relevance, &search);
}

/* The network does not let in routers as it did. */
static void recheck_routers_of(struct relevance *relevance, const char *network_id)
{
    REPLICA_FOREACH(member, replica_find(relevance->replica, REPLICA_ROUTER_PORTS_BY_NETWORK, network_id)) {
        const struct port *port = (const struct port *)member->object;

        if (!lets_in(relevance, interest_find(&relevance->networks, network_id), edge_kind(relevance, port)))
            recheck_router(relevance, port->device_id);
    }
    recheck_network(relevance, network_id); /* Those that only keep each other. */
}

/* --- What makes a network be here. --- */

void graph_bind(struct relevance *relevance, const char *network_id)
{
    struct interest *network = interest_find(&relevance->networks, network_id);
    bool was_here = network && is_here(network), was_whole = network && is_whole(network);

    if (!was_whole)
        touch_network(relevance, network_id, true);
    network = interest_get(relevance, &relevance->networks, network_id);
    if (!network)
        return;
    network->network.n_bound++;
    if (!was_whole)
        balance_network_turned(relevance, network_id);
    if (was_here)
        return;
    let_in(relevance, network);
    enter_all(relevance);
}

void graph_unbind(struct relevance *relevance, const char *network_id)
{
    struct interest *network = interest_find(&relevance->networks, network_id);

    if (!network || --network->network.n_bound > 0)
        return;
    settle(relevance, network, true);
    recheck_routers_of(relevance, network_id);
}

static void set_uplinked(struct relevance *relevance, const char *network_id)
{
    struct interest *network = interest_find(&relevance->networks, network_id);
    bool was_whole;

    if (network && network->network.is_uplinked)
        return;
    was_whole = network && is_whole(network);
    if (!was_whole)
        touch_network(relevance, network_id, true);
    touch_floating_ips(relevance, replica_find(relevance->replica, REPLICA_FLOATING_IPS_BY_NETWORK, network_id));
    network = interest_get(relevance, &relevance->networks, network_id);
    if (!network)
        return;
    network->network.is_uplinked = true;
    if (!was_whole)
        balance_network_turned(relevance, network_id);
    let_in(relevance, network);
    enter_all(relevance);
}

static void clear_uplinked(struct relevance *relevance, const char *network_id)
{
    struct interest *network = interest_find(&relevance->networks, network_id);

    if (!network || !network->network.is_uplinked)
        return;
    network->network.is_uplinked = false;
    settle(relevance, network, true);
    recheck_routers_of(relevance, network_id);
    touch_floating_ips(relevance, replica_find(relevance->replica, REPLICA_FLOATING_IPS_BY_NETWORK, network_id));
}

void graph_count_member(struct relevance *relevance, const char *network_id)
{
    struct interest *network = interest_find(&relevance->networks, network_id);

    if (!network)
        touch_network(relevance, network_id, false);
    network = interest_get(relevance, &relevance->networks, network_id);
    if (network)
        network->network.n_members++;
}

void graph_discount_member(struct relevance *relevance, const char *network_id)
{
    struct interest *network = interest_find(&relevance->networks, network_id);

    if (!network)
        return;
    network->network.n_members--;
    settle(relevance, network, is_whole(network));
}

static bool has_uplink(const struct host *host, const char *physical_network)
{
    for (size_t i = 0; host && physical_network && i < host->n_physical_networks; i++)
        if (streq(host->physical_networks[i].text, physical_network))
            return true;
    return false;
}

/* --- Changes. --- */

void graph_start(struct relevance *relevance, const struct host *host)
{
    graph_host_changed(relevance, NULL, host);
    REPLICA_FOREACH(member, replica_ports_by_host(relevance->replica, relevance->host_name))
        graph_bind(relevance, ((const struct port *)member->object)->network_id);
}

static void each_network(struct relevance *relevance, const struct host *of, const struct host *but,
                         void (*call)(struct relevance *relevance, const char *network_id))
{
    for (size_t i = 0; of && i < of->n_physical_networks; i++)
        if (!has_uplink(but, of->physical_networks[i].text))
            REPLICA_FOREACH(member, replica_find(relevance->replica, REPLICA_NETWORKS_BY_PHYSICAL_NETWORK, of->physical_networks[i].text))
                call(relevance, member->object->id);
}

void graph_host_changed(struct relevance *relevance, const struct host *before, const struct host *after)
{
    if (!streq((after ? after : before)->object.id, relevance->host_id))
        return;
    each_network(relevance, after, before, set_uplinked);
    each_network(relevance, before, after, clear_uplinked);
}

void graph_network_changed(struct relevance *relevance, const struct network *before, const struct network *after)
{
    const char *id = (after ? after : before)->object.id;
    bool was_inner = before && !before->is_external, is_inner_now = after && !after->is_external;
    const struct interest *network;

    if (after && has_uplink(replica_host(relevance->replica, relevance->host_id), after->physical_network))
        set_uplinked(relevance, id);
    else
        clear_uplinked(relevance, id);
    network = interest_find(&relevance->networks, id);
    if (!network || was_inner == is_inner_now)
        return;
    if (is_inner_now) {
        let_in(relevance, network);
        enter_all(relevance);
    } else {
        recheck_routers_of(relevance, id);
    }
}

static bool is_same_edge(const struct port *before, const struct port *after)
{
    enum router_port_kind kind = before ? router_port_kind(before) : ROUTER_PORT_NONE;

    if (kind != (after ? router_port_kind(after) : ROUTER_PORT_NONE))
        return false;
    return kind == ROUTER_PORT_NONE || (streq(before->network_id, after->network_id) && streq(before->device_id, after->device_id));
}

/* What goes first, then what comes: so nothing becomes relevant, not even for a moment, that is not so in the end.  The replica has
 * 'after' already; its edge is overlooked until it is its turn. */
void graph_port_changed(struct relevance *relevance, const struct port *before, const struct port *after)
{
    bool was_bound = relevance_is_bound(relevance, before), is_bound = relevance_is_bound(relevance, after);
    bool stays = was_bound && is_bound && streq(before->network_id, after->network_id);
    bool is_same = is_same_edge(before, after);
    bool was_counted = before && router_port_kind(before) != ROUTER_PORT_NONE && graph_has_router(relevance, before->device_id);

    if (!is_same)
        relevance->overlooked = after;
    if (!is_same && was_counted)
        discount(relevance, before);
    if (was_bound && !stays)
        graph_unbind(relevance, before->network_id);
    balance_port_lost(relevance, before, after);
    if (!is_same && was_counted) {
        recheck_router(relevance, before->device_id);
        recheck_network(relevance, before->network_id);
    }
    relevance->overlooked = NULL;

    if (!is_same && after && router_port_kind(after) != ROUTER_PORT_NONE) {
        if (graph_has_router(relevance, after->device_id))
            count(relevance, after);
        else if (lets_in(relevance, interest_find(&relevance->networks, after->network_id), router_port_kind(after)))
            reach(relevance, after->device_id);
        enter_all(relevance);
    }
    if (is_bound && !stays)
        graph_bind(relevance, after->network_id);
    balance_port_gained(relevance, before, after);
    if (!is_same)
        firewall_recheck_port(relevance, (after ? after : before)->object.id);
}
