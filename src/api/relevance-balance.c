/* Load balancers: served by each host that a client's packet may start at or that has a member.
 *
 * One is relevant while the network of its VIP comes with its ports; a member at a port of this host makes that network be here, as a port bound in
 * it does.  So the graph decides, and tells by balance_network_turned; what hangs on a load balancer names it, and needs no count.  Members'
 * networks are counted for as long as the load balancer is relevant; ports at members' addresses are found by these. */
#include <errno.h>
#include <stdlib.h>

#include "weft/api/relevance-state.h"
#include "weft/base/util.h"

static const enum resource_kind parts[] = {RESOURCE_LISTENER, RESOURCE_POOL, RESOURCE_POOL_MEMBER, RESOURCE_HEALTH_MONITOR, RESOURCE_BALANCE_ROWS};

bool balance_has(const struct relevance *relevance, const char *load_balancer_id)
{
    const struct interest *interest = interest_find(&relevance->load_balancers, load_balancer_id);

    return interest && interest->load_balancer.is_relevant;
}

bool balance_is_share_of(const struct relevance *relevance, const struct listener_share *share)
{
    return share->host && streq(share->host, relevance->host_name);
}

bool balance_has_port(const struct relevance *relevance, const struct port *port)
{
    for (size_t i = 0; i < port->n_fixed_ips; i++)
        REPLICA_FOREACH(member, replica_members_by_address(relevance->replica, port->fixed_ips[i].subnet_id, &port->fixed_ips[i].address))
            if ((const struct pool_member *)member->object != relevance->overlooked_member &&
                balance_has(relevance, ((const struct pool_member *)member->object)->load_balancer_id))
                return true;
    return false;
}

static const struct replica_member *ports_of(const struct relevance *relevance, const struct pool_member *member)
{
    return replica_ports_by_address(relevance->replica, member->at_subnet_id, &member->address);
}

static void release(struct relevance *relevance, struct interest *interest)
{
    if (!interest->load_balancer.is_relevant && interest->load_balancer.n_bound == 0)
        interest_remove(&relevance->load_balancers, interest);
}

/* Calls for the members of a load balancer, but not for the one that is overlooked. */
static void each_member(struct relevance *relevance, const char *load_balancer_id,
                        void (*call)(struct relevance *relevance, const struct pool_member *member))
{
    REPLICA_FOREACH(member, replica_by_load_balancer(relevance->replica, RESOURCE_POOL_MEMBER, load_balancer_id))
        if ((const struct pool_member *)member->object != relevance->overlooked_member)
            call(relevance, (const struct pool_member *)member->object);
}

static void touch_ports(struct relevance *relevance, const struct pool_member *member)
{
    relevance_touch_all(relevance, ports_of(relevance, member));
}

static void count_member(struct relevance *relevance, const struct pool_member *member)
{
    graph_count_member(relevance, member->at_network_id);
}

static void discount_member(struct relevance *relevance, const struct pool_member *member)
{
    graph_discount_member(relevance, member->at_network_id);
}

static void touch(struct relevance *relevance, const char *load_balancer_id)
{
    const struct object *load_balancer = replica_get(relevance->replica, RESOURCE_LOAD_BALANCER, load_balancer_id);

    if (load_balancer)
        relevance_touch(relevance, load_balancer);
    for (size_t i = 0; i < ARRAY_SIZE(parts); i++)
        relevance_touch_all(relevance, replica_by_load_balancer(relevance->replica, parts[i], load_balancer_id));
    REPLICA_FOREACH(share, replica_by_load_balancer(relevance->replica, RESOURCE_LISTENER_SHARE, load_balancer_id))
        if (balance_is_share_of(relevance, (const struct listener_share *)share->object))
            relevance_touch(relevance, share->object);
    each_member(relevance, load_balancer_id, touch_ports);
}

/* Is it what the network of its VIP makes it?  'load_balancer' is NULL when there is none with this id (any more). */
static void evaluate(struct relevance *relevance, const char *id, const struct load_balancer *load_balancer)
{
    bool is = load_balancer && graph_has_ports_of(relevance, load_balancer->vip_network_id);
    struct interest *interest = interest_find(&relevance->load_balancers, id);

    if (is == (interest && interest->load_balancer.is_relevant))
        return;
    if (is)
        touch(relevance, id);
    if (!interest && !(interest = interest_get(relevance, &relevance->load_balancers, id)))
        return;
    interest->load_balancer.is_relevant = is;
    each_member(relevance, id, is ? count_member : discount_member);
    if (!is)
        touch(relevance, id);
    release(relevance, interest);
}

void balance_network_turned(struct relevance *relevance, const char *network_id)
{
    if (!replica_find(relevance->replica, REPLICA_LOAD_BALANCERS_BY_NETWORK, network_id))
        return;
    if (relevance->n_turned == relevance->n_turned_allocated) {
        size_t n = relevance->n_turned_allocated ? 2 * relevance->n_turned_allocated : 8;
        struct object_id *grown = reallocarray(relevance->turned, n, sizeof(*grown));

        if (!grown) {
            relevance->is_broken = true;
            return;
        }
        relevance->turned = grown;
        relevance->n_turned_allocated = n;
    }
    string_copy(relevance->turned[relevance->n_turned++].id, UUID_TEXT_SIZE, network_id);
}

/* Load balancers make no network turn: those of members come without their ports. */
void balance_settle(struct relevance *relevance)
{
    for (size_t i = 0; i < relevance->n_turned; i++)
        REPLICA_FOREACH(member, replica_find(relevance->replica, REPLICA_LOAD_BALANCERS_BY_NETWORK, relevance->turned[i].id))
            evaluate(relevance, member->object->id, (const struct load_balancer *)member->object);
    relevance->n_turned = 0;
}

/* --- Members at ports of this host. --- */

static void bind_member(struct relevance *relevance, const char *load_balancer_id)
{
    const struct object *load_balancer = replica_get(relevance->replica, RESOURCE_LOAD_BALANCER, load_balancer_id);
    struct interest *interest = interest_get(relevance, &relevance->load_balancers, load_balancer_id);

    if (!interest)
        return;
    if (interest->load_balancer.n_bound++ == 0 && load_balancer)
        graph_bind(relevance, ((const struct load_balancer *)load_balancer)->vip_network_id);
}

static void unbind_member(struct relevance *relevance, const char *load_balancer_id)
{
    const struct object *load_balancer = replica_get(relevance->replica, RESOURCE_LOAD_BALANCER, load_balancer_id);
    struct interest *interest = interest_find(&relevance->load_balancers, load_balancer_id);

    if (!interest)
        return;
    if (--interest->load_balancer.n_bound == 0 && load_balancer)
        graph_unbind(relevance, ((const struct load_balancer *)load_balancer)->vip_network_id);
    release(relevance, interest);
}

static void each_port_of(struct relevance *relevance, const struct pool_member *member,
                         void (*call)(struct relevance *relevance, const char *load_balancer_id))
{
    REPLICA_FOREACH(port, ports_of(relevance, member))
        if (relevance_is_bound(relevance, (const struct port *)port->object))
            call(relevance, member->load_balancer_id);
}

static bool has_address(const struct port *port, const struct fixed_ip *address)
{
    for (size_t i = 0; i < port->n_fixed_ips; i++)
        if (streq(port->fixed_ips[i].subnet_id, address->subnet_id) && ip_equal(&port->fixed_ips[i].address, &address->address))
            return true;
    return false;
}

/* Calls for the members at those addresses that 'port' has here and 'other' has not. */
static void each_member_at(struct relevance *relevance, const struct port *port, const struct port *other,
                           void (*call)(struct relevance *relevance, const char *load_balancer_id))
{
    if (!relevance_is_bound(relevance, port))
        return;
    for (size_t i = 0; i < port->n_fixed_ips; i++) {
        const struct fixed_ip *address = &port->fixed_ips[i];

        if (relevance_is_bound(relevance, other) && has_address(other, address))
            continue;
        REPLICA_FOREACH(member, replica_members_by_address(relevance->replica, address->subnet_id, &address->address))
            call(relevance, ((const struct pool_member *)member->object)->load_balancer_id);
    }
}

/* --- Changes. --- */

void balance_start(struct relevance *relevance)
{
    REPLICA_FOREACH(member, replica_ports_by_host(relevance->replica, relevance->host_name))
        each_member_at(relevance, (const struct port *)member->object, NULL, bind_member);
}

void balance_port_lost(struct relevance *relevance, const struct port *before, const struct port *after)
{
    each_member_at(relevance, before, after, unbind_member);
}

void balance_port_gained(struct relevance *relevance, const struct port *before, const struct port *after)
{
    each_member_at(relevance, after, before, bind_member);
}

void balance_load_balancer_changed(struct relevance *relevance, const struct load_balancer *before, const struct load_balancer *after)
{
    const char *id = (after ? after : before)->object.id;
    const struct interest *interest = interest_find(&relevance->load_balancers, id);
    bool is_bound = interest && interest->load_balancer.n_bound;

    if (is_bound && after)
        graph_bind(relevance, after->vip_network_id);
    if (is_bound && before)
        graph_unbind(relevance, before->vip_network_id);
    evaluate(relevance, id, after);
}

static bool is_same_place(const struct pool_member *a, const struct pool_member *b)
{
    return a && b && streq(a->load_balancer_id, b->load_balancer_id) && streq(a->at_network_id, b->at_network_id) &&
           streq(a->at_subnet_id, b->at_subnet_id) && ip_equal(&a->address, &b->address);
}

/* What goes first: 'after', which the replica has already, does not count before it is clear which load balancers stay. */
void balance_member_changed(struct relevance *relevance, const struct pool_member *before, const struct pool_member *after)
{
    bool was_relevant = before && balance_has(relevance, before->load_balancer_id);

    if (is_same_place(before, after))
        return;
    if (was_relevant)
        discount_member(relevance, before);
    relevance->overlooked_member = after;
    if (after)
        each_port_of(relevance, after, bind_member);
    if (before)
        each_port_of(relevance, before, unbind_member);
    balance_settle(relevance);
    if (was_relevant)
        touch_ports(relevance, before);
    if (after && balance_has(relevance, after->load_balancer_id)) {
        touch_ports(relevance, after);
        count_member(relevance, after);
    }
    relevance->overlooked_member = NULL;
}
