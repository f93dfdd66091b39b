/* Members of pools, one by one and all at once. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "weft/api/balance-rows.h"
#include "weft/api/balance-size.h"
#include "weft/api/balancing.h"
#include "weft/base/util.h"
#include "weft/model/resources.h"

#define MEMBERS_MAX 4096 /* Of a pool: each has at least 16 of 65,537 rows. */

static const struct pool_member *of(const struct object *object)
{
    return (const struct pool_member *)object;
}

static int write_status(const struct request *request, const struct object *object, struct buffer *buffer)
{
    return json_write_string(buffer, operating_status_name(member_status(request_api(request)->replica, of(object))));
}

static const struct computed computed[] = {
    STATUSES(write_status),
    CONSTANT("vnic_type", write_normal),
    CONSTANT("request_sriov", write_false),
    {.name = NULL},
};

static const char *parent_id(const struct object *object)
{
    return of(object)->pool_id;
}

static const struct replica_member *of_parent(const struct replica *replica, const char *id)
{
    return replica_find(replica, REPLICA_MEMBERS_BY_POOL, id);
}

/* ---- where it is ---- */

static bool is_loopback(const struct ip_address *address)
{
    static const struct ip_address loopback = {{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}};

    return ip_equal(address, &loopback);
}

static bool is_possible(const struct ip_address *address)
{
    const uint8_t *b = address->bytes;

    if (ip_is_v4(address))
        return b[12] != 0 && b[12] != 127 && b[12] < 224 && !(b[12] == 169 && b[13] == 254);
    return b[0] != 0xff && !(b[0] == 0xfe && (b[1] & 0xc0) == 0x80) && !(ip_is_zero(address) || is_loopback(address));
}

static const struct subnet *subnet_with(const struct request *request, const char *network_id, const struct ip_address *address)
{
    REPLICA_FOREACH (item, replica_subnets_by_network(request_api(request)->replica, network_id)) {
        const struct subnet *subnet = (const struct subnet *)item->object;

        if (ip_is_v4(&subnet->cidr.address) == ip_is_v4(address) && prefix_contains(&subnet->cidr, address) &&
            resource_is_visible(&subnet_resource, request, item->object))
            return subnet;
    }
    return NULL;
}

/* Without a subnet: the VIP's network, then those that a router of the same project joins to it.  What the request may not see is not there: the
 * member would be reached past the routers of its owner. */
static const struct subnet *find_subnet(const struct request *request, const struct load_balancer *load_balancer, const struct ip_address *address)
{
    const struct replica *replica = request_api(request)->replica;
    const struct subnet *found = subnet_with(request, load_balancer->vip_network_id, address);

    REPLICA_FOREACH (item, replica_find(replica, REPLICA_ROUTER_PORTS_BY_NETWORK, load_balancer->vip_network_id)) {
        const struct port *edge = (const struct port *)item->object;
        const struct object *router = replica_get(replica, RESOURCE_ROUTER, edge->device_id);

        if (found || router_port_kind(edge) != ROUTER_PORT_INTERFACE || !router ||
            !streq(router->project_id, load_balancer->object.project_id))
            continue;
        REPLICA_FOREACH (other, replica_ports_by_device(replica, edge->device_id))
            if (!found && router_port_kind((const struct port *)other->object) == ROUTER_PORT_INTERFACE)
                found = subnet_with(request, ((const struct port *)other->object)->network_id, address);
    }
    return found;
}

/* A port of somebody else, in a network that is shared, is none that this project's clients are sent to (the compiler sees to it for ports that
 * come later). */
static bool is_of_others(const struct replica *replica, const struct pool_member *member, const struct subnet *subnet)
{
    REPLICA_FOREACH (item, replica_ports_by_address(replica, subnet->object.id, &member->address))
        if (!streq(item->object->project_id, member->object.project_id))
            return true;
    return false;
}

/* In a network of another project: it stays open to this one until the member is there, and who closes it then sees the member. */
static void claim_place(struct change *change, const struct pool_member *member)
{
    const struct replica *replica = request_api(change->request)->replica;
    const struct object *network = replica_get(replica, RESOURCE_NETWORK, member->at_network_id);
    char key[BALANCING_KEY_SIZE];

    if (!network || !balancing_is_guest(replica, member))
        return;
    plan_guard(change->plan, network);
    plan_claim(change->plan, balancing_part_key(member->at_network_id, member->object.id, key), "");
}

static int check_place(struct change *change, struct pool_member *member, const struct load_balancer *load_balancer)
{
    const struct replica *replica = request_api(change->request)->replica;
    struct error ignored = {0};
    const struct subnet *subnet;
    char text[IP_TEXT_SIZE], prefix[PREFIX_TEXT_SIZE];

    if (!is_possible(&member->address))
        return INVALID("address", "'%s' is not the address of a server", ip_format(&member->address, text));
    if (member->subnet_id[0]) {
        subnet = (const struct subnet *)resource_find(&subnet_resource, change->request, member->subnet_id, &ignored);
        if (!subnet)
            return INVALID("subnet_id", "Subnet %s not found.", member->subnet_id);
        if (ip_is_v4(&subnet->cidr.address) != ip_is_v4(&member->address) || !prefix_contains(&subnet->cidr, &member->address))
            return INVALID("address", "'%s' is not in subnet %s (%s)", ip_format(&member->address, text), subnet->object.id,
                           prefix_format(&subnet->cidr, prefix));
    } else {
        subnet = find_subnet(change->request, load_balancer, &member->address);
        if (!subnet)
            return INVALID("address", "'%s' is neither in the VIP's network %s nor in one that a router joins to it: give its subnet_id",
                           ip_format(&member->address, text), load_balancer->vip_network_id);
    }
    if (!balancing_has_family(load_balancer, ip_is_v4(&member->address)))
        return INVALID("address", "'%s' is of another IP version than the VIP: a member sees its clients' addresses",
                       ip_format(&member->address, text));
    if (is_of_others(replica, member, subnet))
        return INVALID("address", "'%s' in subnet %s is a port of another project", ip_format(&member->address, text), subnet->object.id);
    string_copy(member->at_subnet_id, UUID_TEXT_SIZE, subnet->object.id);
    string_copy(member->at_network_id, UUID_TEXT_SIZE, subnet->network_id);
    claim_place(change, member);
    return 0;
}

/* It is asked by the member's own port, whatever its address. */
static int check_monitor(struct change *change, const struct pool_member *member)
{
    const struct load_balancer *load_balancer = balancing_find_load_balancer(change, member->load_balancer_id);
    char text[IP_TEXT_SIZE];

    if (!member->has_monitor_address)
        return 0;
    if (!is_possible(&member->monitor_address))
        return INVALID("monitor_address", "'%s' is not the address of a server", ip_format(&member->monitor_address, text));
    if (!load_balancer)
        return -ENOENT;
    if (!balancing_has_family(load_balancer, ip_is_v4(&member->monitor_address)))
        return INVALID("monitor_address", "'%s' is of another IP version than the VIP, from which it is asked",
                       ip_format(&member->monitor_address, text));
    return 0;
}

static int check_unique(struct change *change, const struct pool_member *member)
{
    const struct replica *replica = request_api(change->request)->replica;
    char key[BALANCING_KEY_SIZE], text[IP_TEXT_SIZE];
    bool is_taken = plan_claims(change->plan, balancing_member_key(member, key));
    size_t n = 0;

    REPLICA_FOREACH (item, replica_find(replica, REPLICA_MEMBERS_BY_POOL, member->pool_id)) {
        n++; /* Of several at once, whoever creates them has counted. */
        is_taken |= of(item->object)->protocol_port == member->protocol_port && ip_equal(&of(item->object)->address, &member->address) &&
                    plan_current(change->plan, item->object);
    }
    if (is_taken)
        return CONFLICT("address", "Another member on this pool is already using ip %s on protocol_port %u", ip_format(&member->address, text),
                        member->protocol_port);
    if (!change->owner && n >= MEMBERS_MAX)
        return CONFLICT("pool_id", "Pool %s has %d members, which is as many as it may have", member->pool_id, MEMBERS_MAX);
    plan_claim(change->plan, key, member->object.id);
    return 0;
}

static int create(struct change *change)
{
    struct pool_member *member = (struct pool_member *)change->after;
    const struct pool *pool = balancing_find_pool(change, change->owner ? change->owner->id : request_parameter(change->request, "parent"));
    const struct load_balancer *load_balancer = pool ? balancing_find_load_balancer(change, pool->load_balancer_id) : NULL;
    char key[BALANCING_KEY_SIZE];
    int r;

    if (!load_balancer)
        return -ENOENT;
    string_copy(member->object.project_id, sizeof(member->object.project_id), pool->object.project_id);
    string_copy(member->pool_id, UUID_TEXT_SIZE, pool->object.id);
    string_copy(member->load_balancer_id, UUID_TEXT_SIZE, pool->load_balancer_id);
    if ((r = balancing_check_constants(change)) < 0 || (r = check_place(change, member, load_balancer)) < 0 || (r = check_monitor(change, member)) < 0 ||
        (r = check_unique(change, member)) < 0)
        return r;
    plan_claim(change->plan, balancing_part_key(member->pool_id, member->object.id, key), "");
    return change->owner ? 0 : balance_size_check(change, member->pool_id, member->object.project_id);
}

static int update(struct change *change)
{
    int r = balancing_check_constants(change);

    if (r < 0 || (r = check_monitor(change, (const struct pool_member *)change->after)) < 0 || change->owner)
        return r;
    return balance_size_check(change, of(change->after)->pool_id, change->after->project_id);
}

static int delete_member(struct change *change)
{
    balancing_delete_member(change->plan, of(change->before));
    return 0;
}

const struct resource member_resource = {
    .schema = &pool_member_schema,
    .computed = computed,
    .not_found = "NotFound",
    .title = "Member",
    .quota_title = "Member",
    .parent = &pool_resource,
    .parent_id = parent_id,
    .of_parent = of_parent,
    .create = create,
    .update = update,
    .delete = delete_member,
};

/* ---- all at once ---- */

static const struct pool_member *find_existing(const struct replica *replica, const char *pool_id, const json_t *json)
{
    const char *text = json_string_value(json_object_get(json, "address"));
    const json_t *port = json_object_get(json, "protocol_port");
    struct ip_address address;

    if (!text || ip_parse(text, &address) < 0 || !json_is_integer(port))
        return NULL; /* New, and refused as such. */
    REPLICA_FOREACH (item, replica_find(replica, REPLICA_MEMBERS_BY_POOL, pool_id))
        if (ip_equal(&of(item->object)->address, &address) && of(item->object)->protocol_port == json_integer_value(port))
            return of(item->object);
    return NULL;
}

/* Of one that is there: what says where it is stays. */
static int update_existing(struct change *change, const struct pool *pool, const struct pool_member *member, const json_t *json)
{
    json_t *body = json_copy((json_t *)json);
    const char *subnet_id = json_string_value(json_object_get(json, "subnet_id"));
    int r;

    if (!body)
        return -ENOMEM;
    if (subnet_id && !streq(subnet_id, member->at_subnet_id)) {
        json_decref(body);
        return INVALID("subnet_id", "'%.100s' is not the subnet %s of member %s, which cannot be changed", subnet_id, member->at_subnet_id,
                       member->object.id);
    }
    json_object_del(body, "address");
    json_object_del(body, "protocol_port");
    json_object_del(body, "subnet_id");
    json_object_del(body, "project_id");
    json_object_del(body, "tenant_id");
    r = change_update_part(change, &member_resource, &pool->object, &member->object, body);
    json_decref(body);
    return r;
}

static void batch_done(struct plan *plan, struct request *request)
{
    request_respond(request, HTTP_ACCEPTED, NULL);
}

int members_check_number(struct change *change, size_t n)
{
    if (n > MEMBERS_MAX)
        return INVALID("members", "%zu members are more than the %d that a pool may have", n, MEMBERS_MAX);
    return 0;
}

static int plan_batch(struct change *change, const struct pool *pool, const json_t *list, bool is_additive)
{
    const struct replica *replica = request_api(change->request)->replica;
    size_t i, n = json_array_size(list);

    if (members_check_number(change, n) < 0)
        return -EINVAL;
    _cleanup_(freep) const struct pool_member **kept = calloc(json_array_size(list) + 1, sizeof(*kept));
    json_t *json;
    int r = kept ? 0 : -ENOMEM;

    json_array_foreach ((json_t *)list, i, json) {
        kept[i] = find_existing(replica, pool->object.id, json);
        for (size_t j = 0; kept[i] && j < i; j++)
            if (kept[j] == kept[i]) {
                CONFLICT(NULL, "Another member on this pool is already using ip %s on protocol_port %u",
                         json_string_value(json_object_get(json, "address")), kept[i]->protocol_port);
                error_prefix_field(change->error, "members[%zu]", i);
                return -EEXIST;
            }
    }
    /* Those that go first, so that their number does not count. */
    REPLICA_FOREACH (item, replica_find(replica, REPLICA_MEMBERS_BY_POOL, pool->object.id)) {
        bool is_kept = false;

        for (i = 0; !is_kept && i < json_array_size(list); i++)
            is_kept = kept[i] == of(item->object);
        if (!is_kept && is_additive)
            n++;
        else if (!is_kept)
            balancing_delete_member(change->plan, of(item->object));
    }
    if (r == 0)
        r = members_check_number(change, n);
    json_array_foreach ((json_t *)list, i, json) {
        if (r == 0)
            r = kept[i] ? update_existing(change, pool, kept[i], json) : change_create_part(change, &member_resource, &pool->object, json, NULL);
        if (r < 0) {
            if (change->error->field[0])
                error_prefix_field(change->error, "members[%zu]", i);
            return r;
        }
    }
    return r == 0 ? balance_size_check(change, pool->object.id, pool->object.project_id) : r;
}

void member_batch(struct request *request)
{
    const json_t *list = json_object_get(request->body, "members");
    const char *text = request_query(request, "additive_only");
    struct error error = {0};
    struct change change;
    const struct pool *pool;
    bool is_additive = false;
    int r;

    if (!resource_check_parent(request))
        return;
    if (!json_is_array(list) || json_object_size(request->body) != 1) {
        request_fail(request, HTTP_BAD_REQUEST, "ValidationException", "The request body must be an object with exactly 'members', a list.");
        return;
    }
    if (text && boolean_parse(text, &is_additive) < 0) {
        request_fail(request, HTTP_BAD_REQUEST, "ValidationException", "additive_only: '%.100s' is not a boolean", text);
        return;
    }
    if (change_begin(&change, request, NULL, &error) < 0)
        return;
    pool = balancing_find_pool(&change, request_parameter(request, "parent"));
    r = pool ? plan_batch(&change, pool, list, is_additive) : -ENOENT;
    if (r < 0) {
        if (!error.code)
            error_set(&error, r, NULL, "%s", strerror(-r));
        request_fail_error(request, &error);
        return;
    }
    plan_commit(change.plan, batch_done);
}
