/* Ports: a MAC address and IP addresses that nobody else on the network has.
 *
 * Keys: object/port/<id>; mac/<network>/<mac>, which also says "this network has a port"; ipam/<subnet>/<address>.
 * A port's transaction compares the revisions of its network and of the subnets it takes addresses from, so that none
 * of them can go, or change its rules, in between. */
#include "weft/api/ports.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "weft/api/firewall.h"
#include "weft/api/ipam.h"
#include "weft/api/logging.h"
#include "weft/api/nat.h"
#include "weft/api/resources.h"
#include "weft/api/security.h"
#include "weft/base/util.h"
#include "weft/base/uuid.h"
#include "weft/model/resources.h"

#define MAC_KEY_SIZE 80
#define MAC_TRIES 64

static const struct ip_address no_address;

static const char *text_of(const char *text)
{
    return text ? text : "";
}

/* Nova asks: how to attach.  A port bound to a host nobody knows cannot be. */
static int write_vif_type(const struct request *request, const struct object *object, struct buffer *buffer)
{
    const char *host = text_of(((const struct port *)object)->binding_host_id);

    return buffer_append_string(buffer, !*host ? "\"unbound\""
                                        : replica_host_by_name(request_api(request)->replica, host) ? "\"tap\""
                                                                                              : "\"binding_failed\"");
}

static int write_vif_details(const struct request *request, const struct object *object, struct buffer *buffer)
{
    return buffer_append_string(buffer, *text_of(((const struct port *)object)->binding_host_id) ? "{\"port_filter\":true}" : "{}");
}

static const struct computed computed[] = {
    {.name = "binding:vif_type", .admin_read = true, .filter = true, .write = write_vif_type},
    {.name = "binding:vif_details", .admin_read = true, .write = write_vif_details},
    {.name = NULL},
};

/* fixed_ips=ip_address=A, fixed_ips=subnet_id=S, fixed_ips=ip_address_substr=T. */
static int check_fixed_ips_filter(const char *value, struct error *error)
{
    static const char *const names[] = {"ip_address=", "subnet_id=", "ip_address_substr="};

    for (size_t i = 0; i < ARRAY_SIZE(names); i++)
        if (strncmp(value, names[i], strlen(names[i])) == 0)
            return 0;
    return error_set(error, -EINVAL, "fixed_ips", "'%.100s' is none of ip_address=..., subnet_id=..., ip_address_substr=...", value);
}

/* Of each of the three, one value must hold, and all that are named together for one address. */
static bool fixed_ip_matches(const struct fixed_ip *fixed_ip, const char *const *values, size_t n)
{
    enum { ADDRESS, SUBNET, SUBSTRING, N };
    bool named[N] = {0}, holds[N] = {0};
    char text[IP_TEXT_SIZE];

    ip_format(&fixed_ip->address, text);
    for (size_t i = 0; i < n; i++) {
        struct ip_address address;
        const char *value = strchr(values[i], '=') + 1;

        if (values[i][0] == 's') {
            named[SUBNET] = true;
            holds[SUBNET] |= streq(fixed_ip->subnet_id, value);
        } else if (values[i][10] == '=') {
            named[ADDRESS] = true;
            holds[ADDRESS] |= ip_parse(value, &address) == 0 && ip_equal(&address, &fixed_ip->address);
        } else {
            named[SUBSTRING] = true;
            holds[SUBSTRING] |= strstr(text, value) != NULL;
        }
    }
    for (int i = 0; i < N; i++)
        if (named[i] && !holds[i])
            return false;
    return true;
}

static bool fixed_ips_match(const struct object *object, const char *const *values, size_t n)
{
    const struct port *port = (const struct port *)object;

    for (size_t i = 0; i < port->n_fixed_ips; i++)
        if (fixed_ip_matches(&port->fixed_ips[i], values, n))
            return true;
    return false;
}

static int check_groups_filter(const char *value, struct error *error)
{
    return 0;
}

static bool groups_match(const struct object *object, const char *const *values, size_t n)
{
    const struct port *port = (const struct port *)object;

    for (size_t i = 0; i < port->n_security_groups; i++)
        for (size_t j = 0; j < n; j++)
            if (streq(port->security_groups[i].id, values[j]))
                return true;
    return false;
}

static const struct special_filter special_filters[] = {
    {"security_groups", check_groups_filter, groups_match},
    {"fixed_ips", check_fixed_ips_filter, fixed_ips_match},
    {NULL, NULL, NULL},
};

static const struct replica_member *by_name(const struct replica *replica, const char *value)
{
    return replica_by_name(replica, RESOURCE_PORT, value);
}

static const struct replica_member *by_mac(const struct replica *replica, const char *value)
{
    struct mac_address mac;

    return mac_parse(value, &mac) == 0 ? replica_ports_by_mac(replica, &mac) : NULL;
}

static const struct indexed_filter indexed_filters[] = {
    {"network_id", replica_ports_by_network},
    {"device_id", replica_ports_by_device},
    {"mac_address", by_mac},
    {"binding:host_id", replica_ports_by_host},
    {"security_groups", replica_ports_by_security_group},
    {"name", by_name},
    {NULL, NULL},
};

static bool owns_network(const struct request *request, const struct object *object)
{
    const struct network *network = replica_network(request_api(request)->replica, ((const struct port *)object)->network_id);

    return network && resource_is_own(request, &network->object);
}

/* The project's own ports, and all on its networks. */
static void each_visible(const struct request *request, void (*visit)(const struct object *object, void *context), void *context)
{
    const struct replica *replica = request_api(request)->replica;

    REPLICA_FOREACH (port, replica_by_project(replica, RESOURCE_PORT, request_auth(request)->project_id))
        visit(port->object, context);
    REPLICA_FOREACH (network, replica_by_project(replica, RESOURCE_NETWORK, request_auth(request)->project_id))
        REPLICA_FOREACH (port, replica_ports_by_network(replica, network->object->id))
            visit(port->object, context);
}

bool port_is_auto_deleted(const struct port *port)
{
    return streq(text_of(port->device_owner), "network:dhcp");
}

bool port_is_router_interface(const struct port *port)
{
    return strncmp(text_of(port->device_owner), "network:router_", 15) == 0 ||
           streq(text_of(port->device_owner), "network:ha_router_replicated_interface");
}

bool port_is_floating_ip(const struct port *port)
{
    return streq(text_of(port->device_owner), DEVICE_FLOATING_IP);
}

static const char *mac_key(const struct port *port, char key[MAC_KEY_SIZE])
{
    char text[MAC_TEXT_SIZE];

    snprintf(key, MAC_KEY_SIZE, "mac/%s/%s", port->network_id, mac_format(&port->mac, text));
    return key;
}

static bool mac_is_used(const struct change *change, const struct port *port)
{
    char key[MAC_KEY_SIZE];

    REPLICA_FOREACH (member, replica_ports_by_mac(request_api(change->request)->replica, &port->mac)) {
        const struct port *other = (const struct port *)member->object;
        if (streq(other->network_id, port->network_id) && !streq(other->object.id, port->object.id))
            return true;
    }
    return plan_claims(change->plan, mac_key(port, key));
}

/* Claims port->mac, or chooses one under the base fa:16:3e. */
int port_claim_mac(struct change *change, struct port *port, bool is_given)
{
    char text[MAC_TEXT_SIZE], key[MAC_KEY_SIZE];

    for (int i = 0; !is_given && i < MAC_TRIES; i++) {
        port->mac = (struct mac_address){{0xfa, 0x16, 0x3e}};
        random_bytes(port->mac.bytes + 3, 3);
        if (!mac_is_used(change, port))
            break;
        if (i == MAC_TRIES - 1)
            return error_set_type(change->error, -EBUSY, "MacAddressGenerationFailure", NULL,
                                  "Unable to generate unique mac on network %s.", port->network_id);
    }
    if (is_given && mac_is_used(change, port))
        return error_set_type(change->error, -EBUSY, "MacAddressInUse", "mac_address",
                              "Unable to complete operation for network %s. The mac address %s is in use.", port->network_id,
                              mac_format(&port->mac, text));
    plan_claim(change->plan, mac_key(port, key), port->object.id);
    return 0;
}

/* By the keys mac/<network>/<mac>: one a port. */
int ports_require_only(struct plan *plan, const char *network_id, const struct replica_member *ports)
{
    char(*texts)[MAC_TEXT_SIZE], **endings, prefix[64];
    size_t n = 0, i = 0;
    int r = -ENOMEM;

    REPLICA_FOREACH (member, ports)
        n++;
    texts = calloc(n + 1, sizeof *texts);
    endings = calloc(n + 1, sizeof *endings);
    if (texts && endings) {
        REPLICA_FOREACH (member, ports) {
            mac_format(&((const struct port *)member->object)->mac, texts[i]);
            endings[i] = texts[i];
            i++;
        }
        snprintf(prefix, sizeof prefix, "mac/%s/", network_id);
        plan_require_only(plan, prefix, endings, n);
        r = 0;
    }
    free(texts);
    free(endings);
    return r;
}

/* What a host said of the port ends with the port, and with its binding (replica.h). */
static void forget_status(struct plan *plan, const struct port *port)
{
    char key[64];

    if (port->status != PORT_STATUS_ACTIVE)
        return; /* Only ACTIVE is kept in the store. */
    snprintf(key, sizeof key, "status/port/%s", port->object.id);
    plan_remove(plan, key);
}

void port_plan_delete(struct plan *plan, const struct port *port)
{
    char key[MAX(MAC_KEY_SIZE, IPAM_KEY_SIZE)];

    for (size_t i = 0; i < port->n_fixed_ips; i++)
        plan_remove(plan, ipam_key(port->fixed_ips[i].subnet_id, &port->fixed_ips[i].address, key));
    plan_remove(plan, mac_key(port, key));
    nat_port_changed(plan, port, NULL);
    forget_status(plan, port);
    security_of_deleted_port(plan, port);
    firewall_of_deleted_port(plan, port);
    logs_of_deleted_port(plan, port->object.id);
    plan_delete(plan, &port->object);
}

static int check_policy(struct change *change, const struct network *network)
{
    struct port *port = (struct port *)change->after;
    bool owner = resource_is_own(change->request, &network->object);
    int r = change_check_network_owner(change, network);

    if (r < 0 || owner)
        return r;
    if (change_gives(change, "device_owner") && strncmp(text_of(port->device_owner), "network:", 8) == 0)
        return error_set_type(change->error, -EPERM, "PolicyNotAuthorized", "device_owner",
                              "'%s' may be set only by an administrator or the owner of network %s", port->device_owner,
                              network->object.id);
    /* Guests on a shared network may choose the subnet, not the address. */
    for (size_t i = 0; change_gives(change, "fixed_ips") && i < port->n_fixed_ips; i++) {
        const struct port *before = (const struct port *)change->before;

        if (!ip_equal(&port->fixed_ips[i].address, &no_address) &&
            !(before && fixed_ips_have(before->fixed_ips, before->n_fixed_ips, port->fixed_ips[i].subnet_id, &port->fixed_ips[i].address)))
            return error_set_type(change->error, -EPERM, "PolicyNotAuthorized", "fixed_ips",
                                  "only an administrator or the owner of network %s may choose the address", network->object.id);
    }
    return 0;
}

/* A pair without a MAC address means the port's own. */
static int complete_address_pairs(struct change *change, struct port *port)
{
    char text[PREFIX_TEXT_SIZE], mac[MAC_TEXT_SIZE], field[48];

    if (port->n_allowed_address_pairs && !port->port_security_enabled)
        return error_set_type(change->error, -EBUSY, "AddressPairAndPortSecurityRequired", "allowed_address_pairs",
                              "Port Security must be enabled in order to have allowed address pairs on a port.");
    for (size_t i = 0; i < port->n_allowed_address_pairs; i++) {
        struct address_pair *pair = &port->allowed_address_pairs[i];

        if (!pair->has_mac)
            pair->mac = port->mac;
        pair->has_mac = true;
        for (size_t j = 0; j < i; j++) {
            const struct address_pair *other = &port->allowed_address_pairs[j];

            if (!mac_equal(&other->mac, &pair->mac) || !ip_equal(&other->prefix.address, &pair->prefix.address) ||
                prefix_bits(&other->prefix) != prefix_bits(&pair->prefix))
                continue;
            snprintf(field, sizeof field, "allowed_address_pairs[%zu]", i);
            return error_set_type(change->error, -EINVAL, "DuplicateAddressPairInRequest", field,
                                  "Request contains duplicate address pair: mac_address %s ip_address %s.",
                                  mac_format(&pair->mac, mac), prefix_format(&pair->prefix, text));
        }
    }
    return 0;
}

static void option_free(struct extra_dhcp_option *option)
{
    free(option->name);
    free(option->value);
}

/* The body's options replace those of the same name and family, or with null remove them; others stay. */
static int merge_dhcp_options(struct port *port, const struct port *before)
{
    size_t n_given = port->n_extra_dhcp_opts, n_before = before ? before->n_extra_dhcp_opts : 0, n = 0;
    struct extra_dhcp_option *given = port->extra_dhcp_opts, *merged = calloc(n_before + n_given + 1, sizeof *merged);

    if (!merged)
        return -ENOMEM;
    for (size_t i = 0; i < n_before; i++) {
        const struct extra_dhcp_option *old = &before->extra_dhcp_opts[i];
        bool replaced = false;

        for (size_t j = 0; j < n_given; j++)
            replaced |= streq(text_of(given[j].name), text_of(old->name)) && given[j].ip_version == old->ip_version;
        if (replaced)
            continue;
        merged[n] = (struct extra_dhcp_option){strdup(text_of(old->name)), strdup(text_of(old->value)), old->ip_version};
        if (!merged[n].name || !merged[n].value) {
            for (size_t k = 0; k <= n; k++)
                option_free(&merged[k]);
            free(merged);
            return -ENOMEM;
        }
        n++;
    }
    for (size_t j = 0; j < n_given; j++) {
        if (given[j].value)
            merged[n++] = given[j];
        else
            option_free(&given[j]);
    }
    free(given);
    port->extra_dhcp_opts = merged;
    port->n_extra_dhcp_opts = n;
    return 0;
}

static int check_dhcp_options(struct change *change, const struct port *port)
{
    char field[48];

    for (size_t i = 0; i < port->n_extra_dhcp_opts; i++)
        for (size_t j = 0; j < i; j++)
            if (port->extra_dhcp_opts[i].ip_version == port->extra_dhcp_opts[j].ip_version &&
                streq(text_of(port->extra_dhcp_opts[i].name), text_of(port->extra_dhcp_opts[j].name))) {
                snprintf(field, sizeof field, "extra_dhcp_opts[%zu].opt_name", i);
                return error_set(change->error, -EINVAL, field, "'%s' is given twice", port->extra_dhcp_opts[i].name);
            }
    return 0;
}

static int create(struct change *change)
{
    struct port *port = (struct port *)change->after;
    const struct network *network = change_find_network(change, port->network_id);
    int r;

    if (!network)
        return -ENOENT;
    if (network->is_external && !network->shared && !resource_is_own(change->request, &network->object))
        return error_set_type(change->error, -EPERM, "PolicyNotAuthorized", NULL,
                              "Network %s is external: only its owner can create ports on it. Use a floating IP or a router's gateway.",
                              network->object.id);
    if ((r = check_policy(change, network)) < 0 || (r = check_dhcp_options(change, port)) < 0 || (r = port_check_managed(change)) < 0)
        return r;
    plan_guard(change->plan, &network->object);
    if (!change_gives(change, "port_security_enabled"))
        port->port_security_enabled = network->port_security_enabled;
    if ((r = port_claim_mac(change, port, change_gives(change, "mac_address"))) < 0 ||
        (r = complete_address_pairs(change, port)) < 0 || (r = merge_dhcp_options(port, NULL)) < 0 ||
        (r = security_of_port(change, port, NULL)) < 0)
        return r;
    return port_assign_addresses(change, port, change_gives(change, "fixed_ips"));
}

static int change_mac(struct change *change, const struct port *before, struct port *after)
{
    char key[MAC_KEY_SIZE];

    if (!request_auth(change->request)->is_admin)
        return error_set_type(change->error, -EPERM, "PolicyNotAuthorized", "mac_address", "only an administrator may change it");
    if (*text_of(before->binding_host_id) && streq(text_of(before->binding_host_id), text_of(after->binding_host_id)))
        return error_set_type(change->error, -EBUSY, "PortBound", "mac_address",
                              "Unable to complete operation on port %s, port is already bound to host %s.", before->object.id,
                              before->binding_host_id);
    plan_remove(change->plan, mac_key(before, key));
    return port_claim_mac(change, after, true);
}

static int update(struct change *change)
{
    const struct port *before = (const struct port *)change->before;
    struct port *after = (struct port *)change->after;
    const struct network *network = replica_network(request_api(change->request)->replica, before->network_id);
    bool new_mac = !mac_equal(&before->mac, &after->mac);
    int r;

    if (!network)
        return -ENOENT;
    if (!streq(text_of(before->binding_host_id), text_of(after->binding_host_id)))
        forget_status(change->plan, before);
    if ((r = check_policy(change, network)) < 0 || (r = check_dhcp_options(change, after)) < 0 ||
        (new_mac && (r = change_mac(change, before, after)) < 0))
        return r;
    if ((r = complete_address_pairs(change, after)) < 0 || (r = security_of_port(change, after, before)) < 0 ||
        (change_gives(change, "extra_dhcp_opts") && (r = merge_dhcp_options(after, before)) < 0))
        return r;
    /* Addresses that follow from the MAC address move with it. */
    for (size_t i = 0; new_mac && !change_gives(change, "fixed_ips") && i < after->n_fixed_ips; i++) {
        const struct subnet *subnet = replica_subnet(request_api(change->request)->replica, after->fixed_ips[i].subnet_id);
        if (subnet && subnet_is_auto_address(subnet))
            after->fixed_ips[i].address = no_address;
    }
    if ((new_mac || change_gives(change, "fixed_ips")) && (r = port_assign_addresses(change, after, true)) < 0)
        return r;
    return port_check_managed(change);
}

static int delete_port(struct change *change)
{
    const struct port *port = (const struct port *)change->before;

    if (port_is_managed(request_api(change->request)->replica, port))
        return error_set_type(change->error, -EBUSY, "ServicePortInUse", NULL,
                              "Port %s cannot be deleted directly via the port API: has device owner %s.", port->object.id,
                              port->device_owner);
    port_plan_delete(change->plan, port);
    return 0;
}

const struct resource port_resource = {
    .schema = &port_schema,
    .computed = computed,
    .special_filters = special_filters,
    .indexed_filters = indexed_filters,
    .not_found = "PortNotFound",
    .title = "Port",
    .is_visible = owns_network,
    .may_delete = owns_network,
    .each_visible = each_visible,
    .create = create,
    .update = update,
    .delete = delete_port,
};
