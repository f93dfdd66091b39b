/* The port resource: one interface of a workload on a network. */
#include <errno.h>
#include <string.h>

#include "weft/base/util.h"
#include "weft/model/resources.h"

#define FIXED_IPS_MAX 5           /* Neutron's default of max_fixed_ips_per_port. */
#define ADDRESS_PAIRS_MAX 10      /* Neutron's default of max_allowed_address_pair. */
#define DHCP_OPTIONS_MAX 64
#define SECURITY_GROUPS_MAX 64
#define PROFILE_MAX_SIZE 4095
#define METADATA_MAX_SIZE (64u << 10)
#define METADATA_KEYS_MAX 64

static const char *const statuses[] = {
    [PORT_STATUS_DOWN] = "DOWN",
    [PORT_STATUS_ACTIVE] = "ACTIVE",
    [PORT_STATUS_BUILD] = "BUILD",
    [PORT_STATUS_ERROR] = "ERROR",
};

static int check_not_empty(const struct attribute *attribute, const void *value, struct error *error)
{
    const char *text = *(char *const *)value;

    if (!text || text[strspn(text, " \t")] == '\0')
        return error_set(error, -EINVAL, attribute->name, "'%s' is blank", text ? text : "");
    return 0;
}

/* What hosts know how to attach. */
static int check_vnic_type(const struct attribute *attribute, const void *value, struct error *error)
{
    const char *text = *(char *const *)value;

    if (!text || !streq(text, "normal"))
        return error_set(error, -EINVAL, attribute->name, "'%s' is not one of 'normal'", text ? text : "");
    return 0;
}

/* Letters, digits and hyphens in labels of 1 to 63, between dots (RFC 1123, 2.1). */
static bool is_host_name(const char *text)
{
    size_t length = strlen(text);

    if (!length || length > 253)
        return false;
    for (const char *label = text;;) {
        size_t size = strcspn(label, ".");

        if (!size || size > 63 || label[0] == '-' || label[size - 1] == '-' ||
            strspn(label, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-") < size)
            return false;
        if (!label[size])
            return true;
        label += size + 1;
    }
}

/* Names and texts of one line each. */
static int check_texts(const struct attribute *attribute, const char *key, const json_t *texts, struct error *error)
{
    const char *name;
    json_t *value;

    if (!json_is_object(texts) || json_object_size(texts) > METADATA_KEYS_MAX)
        return error_set(error, -EINVAL, attribute->name, "'%s' is not an object of at most %d texts", key, METADATA_KEYS_MAX);
    json_object_foreach((json_t *)texts, name, value)
        if (!json_is_string(value) || !*name || strpbrk(name, "\r\n") || strpbrk(json_string_value(value), "\r\n"))
            return error_set(error, -EINVAL, attribute->name, "'%s' of '%s' is not one line of text", name, key);
    return 0;
}

static int check_metadata(const struct attribute *attribute, const void *value, struct error *error)
{
    const char *text = *(char *const *)value, *key;
    json_t *object = text ? json_loads(text, 0, NULL) : NULL, *item;
    int r = 0;

    json_object_foreach(object, key, item) {
        if (streq(key, "hostname"))
            r = json_is_string(item) && is_host_name(json_string_value(item))
                    ? 0 : error_set(error, -EINVAL, attribute->name, "'hostname' is not a host's name");
        else if (streq(key, "public_keys") || streq(key, "meta"))
            r = check_texts(attribute, key, item, error);
        else if (!streq(key, "user_data") || !json_is_string(item))
            r = error_set(error, -EINVAL, attribute->name, "'%s' is not one of 'hostname', 'public_keys', 'user_data', 'meta', or not of its kind",
                          key);
        if (r < 0)
            break;
    }
    json_decref(object);
    return r;
}

const struct attribute fixed_ip_attributes[] = {
    {.name = "subnet_id", .type = TYPE_UUID, FIELD(struct fixed_ip, subnet_id), .help = "Of this subnet."},
    {.name = "ip_address", .type = TYPE_IP, FIELD(struct fixed_ip, address), .help = "This address; one is chosen unless given."},
    {.name = NULL},
};

static const struct attribute address_pair[] = {
    {.name = "ip_address", .type = TYPE_ADDRESS_OR_PREFIX, FIELD(struct address_pair, prefix), .flags = ATTRIBUTE_REQUIRED,
     .help = "An address or prefix that the port may use too."},
    {.name = "mac_address", .type = TYPE_MAC, FIELD(struct address_pair, mac), PRESENCE(struct address_pair, has_mac),
     .flags = ATTRIBUTE_NULLABLE, .help = "With this MAC address; the port's own unless given."},
    {.name = NULL},
};

static const struct attribute extra_dhcp_option[] = {
    {.name = "opt_name", .type = TYPE_STRING, FIELD(struct extra_dhcp_option, name), .flags = ATTRIBUTE_REQUIRED,
     .maximum = 64, .check = check_not_empty, .help = "The option's name, or its number."},
    {.name = "opt_value", .type = TYPE_STRING, FIELD(struct extra_dhcp_option, value),
     .flags = ATTRIBUTE_REQUIRED | ATTRIBUTE_NULLABLE, .maximum = 255, .check = check_not_empty,
     .help = "Its value; null removes the option."},
    {.name = "ip_version", .type = TYPE_UINT, FIELD(struct extra_dhcp_option, ip_version), .maximum = 255,
     .check = check_ip_version, .default_json = "4", .help = "DHCPv4 or DHCPv6."},
    {.name = NULL},
};

static const struct attribute security_group_id[] = {
    {.name = "", .type = TYPE_UUID, .offset = 0, .size = sizeof(struct object_id)},
    {.name = NULL},
};

static const struct attribute attributes[] = {
    COMMON_ATTRIBUTES,
    ADMIN_STATE_ATTRIBUTE,
    {.name = "network_id", .type = TYPE_UUID, FIELD(struct port, network_id),
     .flags = ATTRIBUTE_POST | ATTRIBUTE_REQUIRED | ATTRIBUTE_FIND, .help = "The network it belongs to."},
    {.name = "mac_address", .type = TYPE_MAC, FIELD(struct port, mac),
     .flags = ATTRIBUTE_WRITE | ATTRIBUTE_NETWORK_OWNER | ATTRIBUTE_FIND,
     .help = "The interface's MAC address; one is chosen unless given."},
    {.name = "fixed_ips", LIST(struct port, fixed_ips, n_fixed_ips, fixed_ip_attributes), .maximum = FIXED_IPS_MAX,
     .flags = ATTRIBUTE_WRITE, .help = "Its addresses; one of each family unless given."},
    {.name = "device_id", .type = TYPE_STRING, FIELD(struct port, device_id), .maximum = 255,
     .flags = ATTRIBUTE_WRITE | ATTRIBUTE_FIND | ATTRIBUTE_NULL_EMPTY, .help = "The server (or other device) that uses it."},
    {.name = "device_owner", .type = TYPE_STRING, FIELD(struct port, device_owner), .maximum = 255,
     .flags = ATTRIBUTE_WRITE | ATTRIBUTE_FIND | ATTRIBUTE_NULL_EMPTY, .help = "What kind of device that is: compute:nova."},
    {.name = "status", .type = TYPE_ENUM, FIELD(struct port, status), VALUES(statuses),
     .flags = ATTRIBUTE_FIND | ATTRIBUTE_DERIVED, .help = "ACTIVE when its host has wired it."},
    {.name = "port_security_enabled", .type = TYPE_BOOL, FIELD(struct port, port_security_enabled),
     .flags = ATTRIBUTE_WRITE | ATTRIBUTE_NETWORK_OWNER | ATTRIBUTE_FIND, .default_json = "true",
     .help = "Source addresses are checked; as its network says unless given."},
    {.name = "allowed_address_pairs", LIST(struct port, allowed_address_pairs, n_allowed_address_pairs, address_pair),
     .maximum = ADDRESS_PAIRS_MAX, .flags = ATTRIBUTE_WRITE | ATTRIBUTE_NETWORK_OWNER | ATTRIBUTE_UNIQUE | ATTRIBUTE_NULL_EMPTY,
     .help = "Addresses it may use besides its own."},
    {.name = "extra_dhcp_opts", LIST(struct port, extra_dhcp_opts, n_extra_dhcp_opts, extra_dhcp_option),
     .maximum = DHCP_OPTIONS_MAX, .flags = ATTRIBUTE_WRITE | ATTRIBUTE_NULL_EMPTY, .help = "More DHCP options for it."},
    {.name = "security_groups", LIST(struct port, security_groups, n_security_groups, security_group_id),
     PRESENCE(struct port, has_security_groups), .maximum = SECURITY_GROUPS_MAX, .flags = ATTRIBUTE_WRITE | ATTRIBUTE_NULL_EMPTY,
     .help = "What it may send and be sent."},
    {.name = "binding:host_id", .type = TYPE_STRING, FIELD(struct port, binding_host_id), .maximum = 255,
     .flags = ATTRIBUTE_WRITE | ATTRIBUTE_ADMIN_WRITE | ATTRIBUTE_ADMIN_READ | ATTRIBUTE_FIND | ATTRIBUTE_NULL_EMPTY,
     .help = "The host where its workload runs."},
    {.name = "binding:vnic_type", .type = TYPE_STRING, FIELD(struct port, binding_vnic_type), .maximum = 64,
     .flags = ATTRIBUTE_WRITE | ATTRIBUTE_FIND, .default_json = "\"normal\"", .check = check_vnic_type,
     .help = "The kind of interface: normal."},
    {.name = "binding:profile", .type = TYPE_JSON, FIELD(struct port, binding_profile), .maximum = PROFILE_MAX_SIZE,
     .flags = ATTRIBUTE_WRITE | ATTRIBUTE_ADMIN_WRITE | ATTRIBUTE_ADMIN_READ | ATTRIBUTE_NULL_EMPTY,
     .help = "What the host needs to know to attach it."},
    {.name = "weft:metadata", .type = TYPE_JSON, FIELD(struct port, metadata), .maximum = METADATA_MAX_SIZE,
     .flags = ATTRIBUTE_WRITE | ATTRIBUTE_NULL_EMPTY | ATTRIBUTE_OWNER_READ, .check = check_metadata,
     .help = "What the metadata service tells: hostname, public_keys, user_data, meta."},
    {.name = NULL},
};

const struct schema port_schema = {
    .kind = RESOURCE_PORT,
    .name = "port",
    .collection = "ports",
    .size = sizeof(struct port),
    .attributes = attributes,
    .help = "Where a workload's interface joins a network.",
};

enum router_port_kind router_port_kind(const struct port *port)
{
    const char *owner = port->device_owner;
    enum router_port_kind kind = !owner || !port->device_id                 ? ROUTER_PORT_NONE
                                 : streq(owner, DEVICE_ROUTER_INTERFACE) ? ROUTER_PORT_INTERFACE
                                 : streq(owner, DEVICE_ROUTER_GATEWAY)   ? ROUTER_PORT_GATEWAY
                                                                         : ROUTER_PORT_NONE;

    /* A port may claim to be a router's that never was: any text can be its device_id. */
    return kind != ROUTER_PORT_NONE && uuid_is_valid(port->device_id) ? kind : ROUTER_PORT_NONE;
}
