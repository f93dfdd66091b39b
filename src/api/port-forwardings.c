/* Port forwardings: /v2.0/floatingips/{parent}/port_forwardings.  Ports of a floating IP that lead to ports of workloads.
 *
 * Keys: object/port_forwarding/<id>; those of nat.h.  Each change rewrites the floating IP, so that what one of them takes the next one
 * sees. */
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "weft/api/nat.h"
#include "weft/api/ports.h"
#include "weft/api/turns.h"
#include "weft/base/util.h"
#include "weft/model/resources.h"

#define BAD(format, ...) \
    error_set_type(change->error, -EINVAL, "BadRequest", NULL, "Bad port_forwarding request: " format "." __VA_OPT__(,) __VA_ARGS__)

/* ---- as it is shown ---------------------------------------------------------------------------------------------- */

static const struct port_forwarding *of(const struct object *object)
{
    return (const struct port_forwarding *)object;
}

static const char *protocol_name(uint8_t protocol)
{
    return protocol == IPPROTO_TCP ? "tcp" : "udp";
}

static int write_protocol(const struct request *request, const struct object *object, struct buffer *buffer)
{
    return buffer_printf(buffer, "\"%s\"", protocol_name(of(object)->protocol));
}

/* A single port has both forms, of a range there is no number. */
static int write_port(struct buffer *buffer, uint16_t first, uint16_t last)
{
    return first == last ? buffer_printf(buffer, "%u", first) : buffer_append_string(buffer, "null");
}

static int write_range(struct buffer *buffer, uint16_t first, uint16_t last)
{
    return buffer_printf(buffer, "\"%u:%u\"", first, last);
}

static int write_external_port(const struct request *request, const struct object *object, struct buffer *buffer)
{
    return write_port(buffer, of(object)->external_first, of(object)->external_last);
}

static int write_external_range(const struct request *request, const struct object *object, struct buffer *buffer)
{
    return write_range(buffer, of(object)->external_first, of(object)->external_last);
}

static int write_internal_port(const struct request *request, const struct object *object, struct buffer *buffer)
{
    return write_port(buffer, of(object)->internal_first, of(object)->internal_last);
}

static int write_internal_range(const struct request *request, const struct object *object, struct buffer *buffer)
{
    return write_range(buffer, of(object)->internal_first, of(object)->internal_last);
}

static const struct computed computed[] = {
    {.name = "protocol", .filter = true, .write = write_protocol, .flags = ATTRIBUTE_WRITE | ATTRIBUTE_REQUIRED},
    {.name = "external_port", .filter = true, .write = write_external_port, .flags = ATTRIBUTE_WRITE},
    {.name = "external_port_range", .filter = true, .write = write_external_range, .flags = ATTRIBUTE_WRITE},
    {.name = "internal_port", .filter = true, .write = write_internal_port, .flags = ATTRIBUTE_WRITE},
    {.name = "internal_port_range", .filter = true, .write = write_internal_range, .flags = ATTRIBUTE_WRITE},
    {.name = NULL},
};

int nat_write_forwardings(const struct request *request, const struct object *floating_ip, struct buffer *buffer)
{
    bool first = true, bad = buffer_append(buffer, "[", 1);
    char text[IP_TEXT_SIZE];

    REPLICA_FOREACH (member, replica_find(request_api(request)->replica, REPLICA_FORWARDINGS_BY_FLOATING_IP, floating_ip->id)) {
        bad = bad || buffer_printf(buffer, "%s{\"id\":\"%s\",\"internal_port_id\":\"%s\",\"internal_ip_address\":\"%s\"", first ? "" : ",",
                                   member->object->id, of(member->object)->internal_port_id,
                                   ip_format(&of(member->object)->internal_address, text));
        for (size_t i = 0; computed[i].name && !bad; i++)
            bad = buffer_printf(buffer, ",\"%s\":", computed[i].name) || computed[i].write(request, member->object, buffer);
        bad = bad || buffer_append(buffer, "}", 1);
        first = false;
    }
    return bad || buffer_append(buffer, "]", 1) ? -ENOMEM : 0;
}

static const char *parent_id(const struct object *object)
{
    return of(object)->floating_ip_id;
}

static const struct replica_member *of_parent(const struct replica *replica, const char *id)
{
    return replica_find(replica, REPLICA_FORWARDINGS_BY_FLOATING_IP, id);
}

/* ---- as it is asked for ------------------------------------------------------------------------------------------ */

static const json_t *value_of(const struct change *change, const char *name)
{
    const json_t *value = change_value(change, name);

    return json_is_null(value) ? NULL : value;
}

static int read_protocol(struct change *change, struct port_forwarding *forwarding)
{
    const json_t *value = change_value(change, "protocol");
    const char *text = json_string_value(value);
    char brief[60];

    if (!value)
        return 0;
    if (!text || (strcasecmp(text, "tcp") != 0 && strcasecmp(text, "udp") != 0))
        return error_set(change->error, -EINVAL, "protocol", "'%s' is not one of 'tcp', 'udp'",
                         text ? text : json_brief(value, brief, sizeof brief));
    forwarding->protocol = strcasecmp(text, "tcp") == 0 ? IPPROTO_TCP : IPPROTO_UDP;
    return 0;
}

static int read_port(const json_t *value, uint16_t *ret)
{
    uint64_t number;

    if (json_is_string(value)) {
        if (parse_u64(json_string_value(value), 1, 65535, &number) < 0)
            return -EINVAL;
    } else if (json_is_integer(value) && json_integer_value(value) >= 1 && json_integer_value(value) <= 65535) {
        number = (uint64_t)json_integer_value(value);
    } else {
        return -EINVAL;
    }
    *ret = (uint16_t)number;
    return 0;
}

#define FORWARDED_PORTS_MAX 1024 /* Of one floating IP, */
#define FORWARDED_PORTS_PER_PROJECT 8192
#define TURN "forwarded-ports" /* By project. */

/* "80:90", or "80". */
static int read_range(const json_t *value, uint16_t *ret_first, uint16_t *ret_last)
{
    const char *text = json_string_value(value), *colon = text ? strchr(text, ':') : NULL;
    char first[8];
    uint64_t a, b;

    if (!text)
        return -EINVAL;
    if (!colon) {
        if (read_port(value, ret_first) < 0)
            return -EINVAL;
        *ret_last = *ret_first;
        return 0;
    }
    if (colon - text >= (ptrdiff_t)sizeof first)
        return -EINVAL;
    memcpy(first, text, (size_t)(colon - text));
    first[colon - text] = '\0';
    if (parse_u64(first, 1, 65535, &a) < 0 || parse_u64(colon + 1, a, 65535, &b) < 0)
        return -EINVAL;
    *ret_first = (uint16_t)a;
    *ret_last = (uint16_t)b;
    return 0;
}

/* 'port' and 'range' are the two names of one thing. */
static int read_ports(struct change *change, const char *port, const char *range, uint16_t *first, uint16_t *last)
{
    const json_t *one = value_of(change, port), *many = value_of(change, range);
    char brief[60];

    if (one && many)
        return error_set(change->error, -EINVAL, range, "it cannot be given together with %s", port);
    if (!one && !many)
        return change->before ? 0 : error_set(change->error, -EINVAL, port, "Required attribute '%s' not specified", port);
    if (one) {
        if (read_port(one, first) < 0)
            return error_set(change->error, -EINVAL, port, "'%s' is not a port from 1 to 65535", json_brief(one, brief, sizeof brief));
        *last = *first;
        return 0;
    }
    if (read_range(many, first, last) < 0)
        return error_set(change->error, -EINVAL, range, "'%s' is not a range of ports like '80:90'", json_brief(many, brief, sizeof brief));
    return 0;
}

static int read_body(struct change *change, struct port_forwarding *forwarding)
{
    int r;

    if ((r = read_protocol(change, forwarding)) < 0 ||
        (r = read_ports(change, "external_port", "external_port_range", &forwarding->external_first, &forwarding->external_last)) < 0 ||
        (r = read_ports(change, "internal_port", "internal_port_range", &forwarding->internal_first, &forwarding->internal_last)) < 0)
        return r;
    if (forwarding->external_last - forwarding->external_first != forwarding->internal_last - forwarding->internal_first)
        return error_set(change->error, -EINVAL, "internal_port_range", "'%u:%u' has not as many ports as the external '%u:%u'",
                         forwarding->internal_first, forwarding->internal_last, forwarding->external_first, forwarding->external_last);
    return 0;
}

/* ---- what must hold ---------------------------------------------------------------------------------------------- */

/* Of ports without a choice the first IPv4 address, as Neutron. */
static int choose_address(struct change *change, const struct port *port, struct port_forwarding *forwarding)
{
    bool keeps = change->before && streq(of(change->before)->internal_port_id, forwarding->internal_port_id);

    if (change_gives(change, "internal_ip_address") || keeps)
        return 0;
    for (size_t i = 0; i < port->n_fixed_ips; i++)
        if (ip_is_v4(&port->fixed_ips[i].address)) {
            forwarding->internal_address = port->fixed_ips[i].address;
            return 0;
        }
    return BAD("Requested internal port %s must allocate an IPv4 address at least", port->object.id);
}

static int find_target(struct change *change, const struct floating_ip *floating_ip, struct port_forwarding *forwarding,
                       struct nat_target *ret)
{
    const struct port *port =
        (const struct port *)resource_find(&port_resource, change->request, forwarding->internal_port_id, change->error);
    int r;

    if (!port)
        return -ENOENT;
    if (!request_auth(change->request)->is_admin && !streq(port->object.project_id, floating_ip->object.project_id))
        return BAD("Port %s is owned by another project than Floating IP %s and therefore cannot be forwarded to", port->object.id,
                   floating_ip->object.id);
    if ((r = choose_address(change, port, forwarding)) < 0)
        return r;
    r = nat_find_target(change, "port_forwarding", port, &forwarding->internal_address, floating_ip->floating_network_id, ret);
    if (r == -ENOENT)
        return BAD("External network %s is not reachable from subnet %s. Cannot set Port forwarding for port %s with Floating IP %s",
                   floating_ip->floating_network_id, ret->subnet ? ret->subnet->object.id : "", port->object.id, floating_ip->object.id);
    if (r == 0 && floating_ip->router_id[0] && !streq(floating_ip->router_id, ret->router->object.id))
        return BAD("The Floating IP %s had been set on router %s, the internal port %s can not reach it", floating_ip->object.id,
                   floating_ip->router_id, port->object.id);
    return r;
}

static int check_floating_ips(struct change *change, const struct floating_ip *floating_ip, const struct port_forwarding *forwarding)
{
    char address[IP_TEXT_SIZE], fixed[IP_TEXT_SIZE];

    ip_format(&floating_ip->floating_address, address);
    ip_format(&forwarding->internal_address, fixed);
    if (floating_ip->port_id[0])
        return error_set_type(change->error, -EBUSY, "FloatingIPPortAlreadyAssociated", NULL,
                              "Cannot associate floating IP %s (%s) with port %s using fixed IP %s, as that fixed IP already has a floating "
                              "IP on external network %s.", address, floating_ip->object.id, forwarding->internal_port_id, fixed,
                              floating_ip->floating_network_id);
    if (replica_count(request_api(change->request)->replica, REPLICA_FLOATING_IPS_BY_PORT, forwarding->internal_port_id))
        return error_set_type(change->error, -EBUSY, "PortHasBindingFloatingIP", NULL,
                              "Cannot create port forwarding to floating IP %s (%s) with port %s using fixed IP %s, as that port already has a "
                              "binding floating IP.", address, floating_ip->object.id, forwarding->internal_port_id, fixed);
    nat_require_no_floating_ips(change->plan, forwarding->internal_port_id);
    return 0;
}

static bool overlap(uint16_t a_first, uint16_t a_last, uint16_t b_first, uint16_t b_last)
{
    return a_first <= b_last && b_first <= a_last;
}

static int check_against(struct change *change, const struct port_forwarding *forwarding, const struct port_forwarding *other)
{
    char text[IP_TEXT_SIZE];

    if (!other || other == forwarding || other->protocol != forwarding->protocol || streq(other->object.id, forwarding->object.id))
        return 0;
    if (streq(other->floating_ip_id, forwarding->floating_ip_id) &&
        overlap(other->external_first, other->external_last, forwarding->external_first, forwarding->external_last))
        return BAD("A duplicate port forwarding entry with same attributes already exists, conflicting values are {'floatingip_id': '%s', "
                   "'external_port': '%u:%u', 'protocol': '%s'}", other->floating_ip_id, other->external_first, other->external_last,
                   protocol_name(other->protocol));
    if (streq(other->internal_port_id, forwarding->internal_port_id) && ip_equal(&other->internal_address, &forwarding->internal_address) &&
        overlap(other->internal_first, other->internal_last, forwarding->internal_first, forwarding->internal_last))
        return BAD("A duplicate port forwarding entry with same attributes already exists, conflicting values are {'internal_port_id': '%s', "
                   "'internal_ip_address': '%s', 'internal_port': '%u:%u', 'protocol': '%s'}", other->internal_port_id,
                   ip_format(&other->internal_address, text), other->internal_first, other->internal_last, protocol_name(other->protocol));
    return 0;
}

static uint32_t n_ports(const struct port_forwarding *forwarding)
{
    return forwarding->external_last - forwarding->external_first + 1u;
}

/* Each forwarded port is a row on every host that may meet it. */
static int check_number(struct change *change, const struct port_forwarding *forwarding)
{
    uint32_t n = n_ports(forwarding);

    REPLICA_FOREACH (member, replica_find(request_api(change->request)->replica, REPLICA_FORWARDINGS_BY_FLOATING_IP, forwarding->floating_ip_id))
        if (!streq(member->object->id, forwarding->object.id))
            n += n_ports(of(member->object));
    for (const struct object *object = NULL; (object = plan_created(change->plan, RESOURCE_PORT_FORWARDING, object));)
        if (of(object) != forwarding && streq(of(object)->floating_ip_id, forwarding->floating_ip_id))
            n += n_ports(of(object));
    if (n <= FORWARDED_PORTS_MAX)
        return 0;
    return error_set_type(change->error, -EBUSY, "OverQuota", NULL,
                          "Quota exceeded for resources: ['port_forwarding']. Floating IP %s would forward %u ports; %d is the limit.",
                          forwarding->floating_ip_id, n, FORWARDED_PORTS_MAX);
}

/* What one project may have of the table that all projects share. */
static int check_share(struct change *change, const struct port_forwarding *forwarding)
{
    const char *project_id = forwarding->object.project_id;
    uint32_t n = n_ports(forwarding), before = change->before ? n_ports(of(change->before)) : 0;

    if (n <= before)
        return 0;
    plan_take_turn(change->plan, TURN, project_id);
    REPLICA_FOREACH (member, replica_by_project(request_api(change->request)->replica, RESOURCE_PORT_FORWARDING, project_id))
        if (!streq(member->object->id, forwarding->object.id))
            n += n_ports(of(member->object));
    for (const struct object *object = NULL; (object = plan_created(change->plan, RESOURCE_PORT_FORWARDING, object));)
        if (of(object) != forwarding)
            n += n_ports(of(object));
    if (n <= FORWARDED_PORTS_PER_PROJECT)
        return 0;
    return error_set_type(change->error, -EBUSY, "OverQuota", NULL,
                          "Quota exceeded for resources: ['port_forwarding']. The project would forward %u ports; %d is the limit.", n,
                          FORWARDED_PORTS_PER_PROJECT);
}

static int check_duplicates(struct change *change, const struct port_forwarding *forwarding)
{
    const struct replica *replica = request_api(change->request)->replica;
    int r = check_number(change, forwarding);

    if (r == 0)
        r = check_share(change, forwarding);
    /* The others of the port, whichever floating IP they are of, must not become what this one is. */
    REPLICA_FOREACH (member, replica_find(replica, REPLICA_FORWARDINGS_BY_PORT, forwarding->internal_port_id))
        if (!streq(member->object->id, forwarding->object.id))
            plan_guard(change->plan, member->object);
    REPLICA_FOREACH (member, replica_find(replica, REPLICA_FORWARDINGS_BY_FLOATING_IP, forwarding->floating_ip_id))
        r = r < 0 ? r : check_against(change, forwarding, of(member->object));
    REPLICA_FOREACH (member, replica_find(replica, REPLICA_FORWARDINGS_BY_PORT, forwarding->internal_port_id))
        r = r < 0 ? r : check_against(change, forwarding, of(member->object));
    for (const struct object *object = NULL; r == 0 && (object = plan_created(change->plan, RESOURCE_PORT_FORWARDING, object));)
        r = check_against(change, forwarding, of(object));
    return r < 0 ? r : nat_require_known_forwardings(change->plan, forwarding->internal_port_id);
}

/* ---- hooks ------------------------------------------------------------------------------------------------------- */

static int apply(struct change *change, struct port_forwarding *forwarding)
{
    const struct object *object = replica_get(request_api(change->request)->replica, RESOURCE_FLOATING_IP, forwarding->floating_ip_id);
    struct floating_ip *floating_ip = object ? (struct floating_ip *)plan_edit(change->plan, object) : NULL;
    const struct port_forwarding *before = change->before ? of(change->before) : NULL;
    struct nat_target target;
    int r;

    if (!floating_ip)
        return -ENOMEM;
    if ((r = read_body(change, forwarding)) < 0 || (r = find_target(change, floating_ip, forwarding, &target)) < 0 ||
        (r = check_floating_ips(change, floating_ip, forwarding)) < 0 || (r = check_duplicates(change, forwarding)) < 0)
        return r;
    nat_forwarding_changed(change->plan, before, floating_ip->router_id, forwarding, target.router->object.id);
    string_copy(floating_ip->router_id, sizeof floating_ip->router_id, target.router->object.id);
    return 0;
}

static int create(struct change *change)
{
    struct port_forwarding *forwarding = (struct port_forwarding *)change->after;
    const char *id = request_parameter(change->request, "parent");
    const struct object *floating_ip = replica_get(request_api(change->request)->replica, RESOURCE_FLOATING_IP, id);

    if (!floating_ip)
        return -ENOENT;
    string_copy(forwarding->floating_ip_id, sizeof forwarding->floating_ip_id, id);
    string_copy(forwarding->object.project_id, sizeof forwarding->object.project_id, floating_ip->project_id);
    return apply(change, forwarding);
}

static int update(struct change *change)
{
    return apply(change, (struct port_forwarding *)change->after);
}

static int delete_forwarding(struct change *change)
{
    nat_forwarding_delete(change->plan, of(change->before));
    return 0;
}

const struct resource port_forwarding_resource = {
    .schema = &port_forwarding_schema,
    .computed = computed,
    .not_found = "PortForwardingNotFound",
    .title = "Port Forwarding",
    .parent = &floating_ip_resource,
    .parent_id = parent_id,
    .of_parent = of_parent,
    .create = create,
    .update = update,
    .delete = delete_forwarding,
};
