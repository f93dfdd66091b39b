/* Operating statuses, worked out when they are shown; the status tree.
 *
 *     member        OFFLINE: switched off, or watched and nothing is known: not yet, or its host is down.  DRAINING: weight 0.  NO_MONITOR.
 *                   ERROR: no port of its project has its address, so that it takes no connections.  ERROR, ONLINE: as its host says.
 *     pool          OFFLINE: switched off, or of no listener.  ERROR: all its members are.  DEGRADED: some are.  ONLINE.
 *     listener      OFFLINE: switched off, it or its load balancer.  Else as its pool, if that is not well; ONLINE.
 *     load balancer OFFLINE: switched off.  ERROR: a pool is.  DEGRADED: one is degraded, or some host has no room for it.  ONLINE. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "weft/api/balance-rows.h"
#include "weft/api/balancing.h"
#include "weft/api/hosts.h"
#include "weft/base/hashmap.h"
#include "weft/base/log.h"
#include "weft/base/util.h"

const char *operating_status_name(enum operating_status status)
{
    static const char *const names[] = {[OPERATING_ONLINE] = "ONLINE",     [OPERATING_DRAINING] = "DRAINING", [OPERATING_OFFLINE] = "OFFLINE",
                                        [OPERATING_DEGRADED] = "DEGRADED", [OPERATING_ERROR] = "ERROR",       [OPERATING_NO_MONITOR] = "NO_MONITOR"};

    return names[status];
}

enum operating_status member_status(const struct replica *replica, const struct pool_member *member)
{
    bool is_watched = balance_monitor(replica, member->pool_id);

    if (!member->object.admin_state_up)
        return OPERATING_OFFLINE;
    if (balance_is_nobody(replica, member) || (is_watched && (member->health == MEMBER_HEALTH_DOWN || balance_is_unplugged(replica, member))))
        return OPERATING_ERROR;
    if (member->weight == 0)
        return OPERATING_DRAINING;
    if (!is_watched)
        return OPERATING_NO_MONITOR;
    return member->health == MEMBER_HEALTH_UP && !balance_is_silent(replica, member) ? OPERATING_ONLINE : OPERATING_OFFLINE;
}

enum operating_status pool_status(const struct replica *replica, const struct pool *pool)
{
    size_t n_failed = 0, n = 0;

    if (!pool->object.admin_state_up || !replica_find(replica, REPLICA_LISTENERS_BY_POOL, pool->object.id))
        return OPERATING_OFFLINE;
    REPLICA_FOREACH (item, replica_find(replica, REPLICA_MEMBERS_BY_POOL, pool->object.id)) {
        n_failed += member_status(replica, (const struct pool_member *)item->object) == OPERATING_ERROR;
        n++;
    }
    return n_failed == 0 ? OPERATING_ONLINE : n_failed == n ? OPERATING_ERROR : OPERATING_DEGRADED;
}

enum operating_status listener_status(const struct replica *replica, const struct listener *listener)
{
    const struct object *load_balancer = replica_get(replica, RESOURCE_LOAD_BALANCER, listener->load_balancer_id);
    const struct object *pool = replica_get(replica, RESOURCE_POOL, listener->default_pool_id);
    enum operating_status status;

    if (!listener->object.admin_state_up || (load_balancer && !load_balancer->admin_state_up))
        return OPERATING_OFFLINE;
    status = pool ? pool_status(replica, (const struct pool *)pool) : OPERATING_ONLINE;
    return status == OPERATING_ERROR || status == OPERATING_DEGRADED ? OPERATING_DEGRADED : OPERATING_ONLINE;
}

enum operating_status load_balancer_status(const struct api *api, const struct load_balancer *load_balancer)
{
    enum operating_status worst = hosts_leave_out(api->hosts, load_balancer->object.id) ? OPERATING_DEGRADED : OPERATING_ONLINE;

    if (!load_balancer->object.admin_state_up)
        return OPERATING_OFFLINE;
    REPLICA_FOREACH (item, replica_by_load_balancer(api->replica, RESOURCE_POOL, load_balancer->object.id)) {
        enum operating_status status = pool_status(api->replica, (const struct pool *)item->object);

        if (status == OPERATING_ERROR || (status == OPERATING_DEGRADED && worst != OPERATING_ERROR))
            worst = status;
    }
    return worst;
}

/* ---- the tree ---- */

static json_t *node(const struct object *object, enum operating_status status)
{
    return json_pack("{ssssssss}", "id", object->id, "name", object->name ? object->name : "", "operating_status", operating_status_name(status),
                     "provisioning_status", "ACTIVE");
}

static json_t *member_node(const struct replica *replica, const struct pool_member *member)
{
    json_t *json = node(&member->object, member_status(replica, member));
    char text[IP_TEXT_SIZE];

    json_object_set_new(json, "address", json_string(ip_format(&member->address, text)));
    json_object_set_new(json, "protocol_port", json_integer(member->protocol_port));
    return json;
}

static json_t *pool_node(const struct replica *replica, const struct pool *pool)
{
    static const char *const types[] = {[MONITOR_PING] = "PING",           [MONITOR_TCP] = "TCP",
                                        [MONITOR_HTTP] = "HTTP",           [MONITOR_HTTPS] = "HTTPS",
                                        [MONITOR_TLS_HELLO] = "TLS-HELLO", [MONITOR_UDP_CONNECT] = "UDP-CONNECT",
                                        [MONITOR_SCTP] = "SCTP"};
    json_t *json = node(&pool->object, pool_status(replica, pool)), *members = json_array();

    REPLICA_FOREACH (item, replica_find(replica, REPLICA_MEMBERS_BY_POOL, pool->object.id))
        json_array_append_new(members, member_node(replica, (const struct pool_member *)item->object));
    json_object_set_new(json, "members", members);
    REPLICA_FOREACH (item, replica_find(replica, REPLICA_MONITORS_BY_POOL, pool->object.id)) {
        json_t *monitor = node(item->object, item->object->admin_state_up ? OPERATING_ONLINE : OPERATING_OFFLINE);

        json_object_set_new(monitor, "type", json_string(types[((const struct health_monitor *)item->object)->type]));
        json_object_set_new(json, "health_monitor", monitor);
    }
    return json;
}

static json_t *listener_node(const struct replica *replica, const struct listener *listener)
{
    json_t *json = node(&listener->object, listener_status(replica, listener)), *pools = json_array();
    const struct object *pool = replica_get(replica, RESOURCE_POOL, listener->default_pool_id);

    if (pool)
        json_array_append_new(pools, pool_node(replica, (const struct pool *)pool));
    json_object_set_new(json, "pools", pools);
    return json;
}

void load_balancer_show_status(struct request *request)
{
    const struct replica *replica = request_api(request)->replica;
    const struct object *object = resource_find_or_fail(request);
    json_t *json, *listeners = json_array(), *pools = json_array();

    if (!object) {
        json_decref(listeners);
        json_decref(pools);
        return;
    }
    json = node(object, load_balancer_status(request_api(request), (const struct load_balancer *)object));
    REPLICA_FOREACH (item, replica_by_load_balancer(replica, RESOURCE_LISTENER, object->id))
        json_array_append_new(listeners, listener_node(replica, (const struct listener *)item->object));
    REPLICA_FOREACH (item, replica_by_load_balancer(replica, RESOURCE_POOL, object->id))
        json_array_append_new(pools, pool_node(replica, (const struct pool *)item->object));
    json_object_set_new(json, "listeners", listeners);
    json_object_set_new(json, "pools", pools);
    request_respond(request, HTTP_OK, json_pack("{s{so}}", "statuses", "loadbalancer", json));
}

/* ---- reports ---- */

int balancing_check_report(const json_t *members, const json_t *listeners, struct error *error)
{
    const char *id, *name;
    json_t *json, *value;

    if (members && !json_is_object(members))
        return error_set(error, -EINVAL, "members", "an object {id: health} is required");
    json_object_foreach ((json_t *)members, id, json)
        if (!uuid_is_valid(id) || !json_is_string(json) || (!streq(json_string_value(json), "UP") && !streq(json_string_value(json), "DOWN")))
            return error_set(error, -EINVAL, "members", "%.40s: '%.40s' is not UP or DOWN", id, json_is_string(json) ? json_string_value(json) : "");
    if (listeners && !json_is_object(listeners))
        return error_set(error, -EINVAL, "listeners", "an object {id: counters} is required");
    json_object_foreach ((json_t *)listeners, id, json) {
        if (!uuid_is_valid(id) || !json_is_object(json))
            return error_set(error, -EINVAL, "listeners", "%.40s: an object of counters is required", id);
        json_object_foreach (json, name, value)
            if (!json_is_integer(value) || json_integer_value(value) < 0)
                return error_set(error, -EINVAL, "listeners", "%.40s: %.40s is not a number that is not negative", id, name);
    }
    return 0;
}

static int put_one(struct store_transaction *transaction, const char *id, const char *host_name, const char *health)
{
    char key[64], value[256];

    snprintf(key, sizeof(key), "status/member/%s", id);
    if (!health)
        return store_delete(transaction, key, strlen(key));
    snprintf(value, sizeof(value), "{\"health\":\"%s\",\"host\":\"%.128s\"}", health, host_name);
    return store_put(transaction, key, strlen(key), value, strlen(value), 0);
}

/* The host where the member's port is says how it is. */
static bool is_at(const struct replica *replica, const struct pool_member *member, const struct host *host)
{
    const struct port *port = replica_port_by_address(replica, member->at_subnet_id, &member->address);

    return port && port->binding_host_id && streq(port->binding_host_id, host->object.name);
}

/* What a host does not say is not known: but who was down stays so until somebody who asks says otherwise.  That is the next host, when the member
 * moves, or the same one after its state was lost. */
static bool is_forgotten(const struct replica *replica, const struct pool_member *member)
{
    return member->health == MEMBER_HEALTH_UP || (member->health == MEMBER_HEALTH_DOWN && !balance_monitor(replica, member->pool_id));
}

static int forget_others(const struct replica *replica, const struct host *host, const json_t *members, struct store_transaction *transaction, size_t *ret_n)
{
    int r = 0;

    REPLICA_FOREACH (item, replica_ports_by_host(replica, host->object.name)) {
        const struct port *port = (const struct port *)item->object;

        for (size_t i = 0; i < port->n_fixed_ips; i++)
            REPLICA_FOREACH (member, replica_members_by_address(replica, port->fixed_ips[i].subnet_id, &port->fixed_ips[i].address)) {
                if (!is_forgotten(replica, (const struct pool_member *)member->object) || json_object_get(members, member->object->id) || r < 0 ||
                    *ret_n >= STORE_TRANSACTION_MAX_OPERATIONS - 8)
                    continue;
                r = put_one(transaction, member->object->id, host->object.name, NULL);
                *ret_n += r == 0;
            }
    }
    return r == -EEXIST ? 0 : r;
}

int balancing_put_health(struct balancing *balancing, const struct host *host, const json_t *members, bool is_complete,
                         struct store_transaction *transaction, size_t *ret_n)
{
    const struct replica *replica = balancing_replica(balancing);
    const char *id;
    json_t *json;
    int r = 0;

    json_object_foreach ((json_t *)members, id, json) {
        const struct pool_member *member = (const struct pool_member *)replica_get(replica, RESOURCE_POOL_MEMBER, id);
        enum member_health health = streq(json_string_value(json), "UP") ? MEMBER_HEALTH_UP : MEMBER_HEALTH_DOWN;

        if (!member || member->health == health || !is_at(replica, member, host))
            continue;
        if (*ret_n >= STORE_TRANSACTION_MAX_OPERATIONS - 8)
            break; /* The next complete report says the rest again. */
        if ((r = put_one(transaction, id, host->object.name, json_string_value(json))) < 0)
            return r;
        *ret_n += 1;
    }
    return is_complete ? forget_others(replica, host, members, transaction, ret_n) : 0;
}
