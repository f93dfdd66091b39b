/* The tree of paths: see metadata.h. */
#include "weft/services/metadata.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "weft/base/util.h"

#define PATH_MAX_SEGMENTS 8

struct asked {
    const struct service_objects *objects;
    json_t *own; /* "weft:metadata"; NULL when there is none. */
    char hostname[256];
    struct buffer *content;
    const char *type;
};

const char *metadata_instance_id(const struct port *port)
{
    return port->device_id && *port->device_id ? port->device_id : port->object.id;
}

static const struct ip_address *first_address(const struct port *port, bool v4)
{
    for (size_t i = 0; i < port->n_fixed_ips; i++)
        if (ip_is_v4(&port->fixed_ips[i].address) == v4)
            return &port->fixed_ips[i].address;
    return NULL;
}

/* What the owner said; else the port's name as far as it can be one; else one made of the address. */
static void find_hostname(struct asked *asked)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz0123456789-ABCDEFGHIJKLMNOPQRSTUVWXYZ";
    const struct port *port = asked->objects->port;
    const char *own = json_string_value(json_object_get(asked->own, "hostname"));
    const struct ip_address *address = first_address(port, true);
    const char *name = port->object.name;
    char text[IP_TEXT_SIZE];

    if (own) {
        string_copy(asked->hostname, sizeof(asked->hostname), own);
    } else if (name && *name && strlen(name) <= 63 && strspn(name, letters) == strlen(name) && *name != '-') {
        string_copy(asked->hostname, sizeof(asked->hostname), name);
    } else if (address) {
        snprintf(asked->hostname, sizeof(asked->hostname), "host-%s", ip_format(address, text));
        for (char *c = asked->hostname; *c; c++)
            if (*c == '.')
                *c = '-';
    } else {
        snprintf(asked->hostname, sizeof(asked->hostname), "host-%.8s", port->object.id);
    }
}

static int say(struct asked *asked, const char *text)
{
    return text ? buffer_append_string(asked->content, text) : -ENOENT;
}

static int say_json(struct asked *asked, json_t *json)
{
    char *text = json ? json_dumps(json, JSON_COMPACT | JSON_SORT_KEYS) : NULL;
    int result = text ? buffer_append_string(asked->content, text) : -ENOMEM;

    json_decref(json);
    free(text);
    asked->type = "application/json";
    return result;
}

/* ---- EC2's tree ---------------------------------------------------------------------------------------------------------------------- */

static json_t *public_keys(const struct asked *asked)
{
    return json_object_get(asked->own, "public_keys");
}

/* "public-keys": a list "0=name", and below each number "openssh-key". */
static int answer_public_keys(struct asked *asked, char *const *rest, size_t n)
{
    const char *name;
    json_t *key;
    uint64_t wanted = 0, index = 0;

    if (n && parse_u64(rest[0], 0, 1000, &wanted) < 0)
        return -ENOENT;
    json_object_foreach(public_keys(asked), name, key) {
        if (!n) {
            int result = buffer_printf(asked->content, "%s%llu=%s", index ? "\n" : "", (unsigned long long)index, name);
            if (result < 0)
                return result;
        } else if (index == wanted) {
            return n == 1 ? say(asked, "openssh-key")
                   : n == 2 && streq(rest[1], "openssh-key") ? buffer_printf(asked->content, "%s\n", json_string_value(key))
                                                             : -ENOENT;
        }
        index++;
    }
    return n ? -ENOENT : 0;
}

static int answer_meta_data(struct asked *asked, char *const *rest, size_t n)
{
    const struct port *port = asked->objects->port;
    const struct ip_address *address = first_address(port, true);
    char text[IP_TEXT_SIZE];
    bool has_keys = json_object_size(public_keys(asked)) > 0;

    if (n == 0)
        return buffer_printf(asked->content, "ami-launch-index\nhostname\ninstance-id\nlocal-hostname%s\nmac%s", address ? "\nlocal-ipv4" : "",
                             has_keys ? "\npublic-keys/" : "");
    if (streq(rest[0], "public-keys") && has_keys)
        return answer_public_keys(asked, rest + 1, n - 1);
    if (n > 1)
        return -ENOENT;
    if (streq(rest[0], "instance-id"))
        return say(asked, metadata_instance_id(port));
    if (streq(rest[0], "hostname") || streq(rest[0], "local-hostname"))
        return say(asked, asked->hostname);
    if (streq(rest[0], "local-ipv4"))
        return say(asked, address ? ip_format(address, text) : NULL);
    if (streq(rest[0], "mac"))
        return say(asked, mac_format(&port->mac, text));
    return streq(rest[0], "ami-launch-index") ? say(asked, "0") : -ENOENT;
}

/* ---- OpenStack's tree -------------------------------------------------------------------------------------------------------------- */

static json_t *make_meta_data(const struct asked *asked)
{
    const struct port *port = asked->objects->port;
    json_t *keys = public_keys(asked), *list = json_array(), *key, *meta = json_object_get(asked->own, "meta");
    const char *name;

    json_object_foreach(keys, name, key)
        json_array_append_new(list, json_pack("{s:s, s:s, s:O}", "name", name, "type", "ssh", "data", key));
    return json_pack("{s:s, s:s, s:s, s:s, s:i, s:s, s:O*, s:O*, s:o}", "uuid", metadata_instance_id(port), "hostname", asked->hostname, "name",
                     asked->hostname, "project_id", port->object.project_id, "launch_index", 0,
                     "availability_zone", "nova", "public_keys", keys, "meta", meta, "keys", list);
}

static const struct subnet *subnet_of(const struct service_objects *objects, const char *id)
{
    for (size_t i = 0; i < objects->n_subnets; i++)
        if (streq(objects->subnets[i]->object.id, id))
            return objects->subnets[i];
    return NULL;
}

static json_t *make_network(const struct service_objects *objects, const struct fixed_ip *fixed, size_t index)
{
    const struct subnet *subnet = subnet_of(objects, fixed->subnet_id);
    char id[32], address[IP_TEXT_SIZE], gateway[IP_TEXT_SIZE], mask[IP_TEXT_SIZE];
    json_t *network, *routes = json_array();
    bool v4 = ip_is_v4(&fixed->address);

    if (!subnet) {
        json_decref(routes);
        return NULL;
    }
    if (v4) {
        struct ip_address netmask = ip_from_v4(subnet->cidr.length ? ~0u << (32 - subnet->cidr.length) : 0);
        ip_format(&netmask, mask);
    } else {
        snprintf(mask, sizeof(mask), "%u", subnet->cidr.length);
    }
    snprintf(id, sizeof(id), "network%zu", index);
    if (subnet->has_gateway)
        json_array_append_new(routes, json_pack("{s:s, s:s, s:s}", "network", v4 ? "0.0.0.0" : "::", "netmask", v4 ? "0.0.0.0" : "0", "gateway",
                                                ip_format(&subnet->gateway, gateway)));
    network = json_pack("{s:s, s:s, s:s, s:s, s:o}", "id", id, "type",
                        v4 ? subnet->enable_dhcp ? "ipv4_dhcp" : "ipv4"
                        : !subnet->enable_dhcp                                    ? "ipv6"
                        : subnet->ipv6_address_mode == IPV6_MODE_DHCPV6_STATEFUL  ? "ipv6_dhcpv6-stateful"
                        : subnet->ipv6_address_mode == IPV6_MODE_DHCPV6_STATELESS ? "ipv6_dhcpv6-stateless"
                                                                                  : "ipv6_slaac",
                        "link", "interface0", "network_id", objects->network->object.id, "routes", routes);
    json_object_set_new(network, "ip_address", json_string(ip_format(&fixed->address, address)));
    json_object_set_new(network, "netmask", json_string(mask));
    return network;
}

static json_t *make_network_data(const struct asked *asked)
{
    const struct service_objects *objects = asked->objects;
    const struct port *port = objects->port;
    json_t *networks = json_array(), *services = json_array(), *network;
    char text[IP_TEXT_SIZE];

    for (size_t i = 0; i < port->n_fixed_ips; i++)
        if ((network = make_network(objects, &port->fixed_ips[i], i)))
            json_array_append_new(networks, network);
    for (size_t i = 0; i < objects->n_subnets; i++)
        for (size_t k = 0; k < objects->subnets[i]->n_dns_nameservers; k++)
            if (!ip_is_zero(&objects->subnets[i]->dns_nameservers[k]))
                json_array_append_new(services, json_pack("{s:s, s:s}", "type", "dns", "address",
                                                          ip_format(&objects->subnets[i]->dns_nameservers[k], text)));
    return json_pack("{s:[{s:s, s:s, s:s, s:i, s:s}], s:o, s:o}", "links", "id", "interface0", "type", "phy", "ethernet_mac_address",
                     mac_format(&port->mac, text), "mtu", objects->network->mtu, "vif_id", port->object.id, "networks", networks, "services",
                     services);
}

static int answer_openstack(struct asked *asked, char *const *rest, size_t n)
{
    const char *user_data = json_string_value(json_object_get(asked->own, "user_data"));

    if (n == 0)
        return buffer_printf(asked->content, "meta_data.json\nnetwork_data.json\nvendor_data.json%s", user_data ? "\nuser_data" : "");
    if (n > 1)
        return -ENOENT;
    if (streq(rest[0], "meta_data.json"))
        return say_json(asked, make_meta_data(asked));
    if (streq(rest[0], "network_data.json"))
        return say_json(asked, make_network_data(asked));
    if (streq(rest[0], "vendor_data.json"))
        return say_json(asked, json_object());
    return streq(rest[0], "user_data") ? say(asked, user_data) : -ENOENT;
}

/* ---- paths -------------------------------------------------------------------------------------------------------------------------------- */

/* "latest", or the date of a version of the protocol: they are all the same here. */
static bool is_version(const char *text)
{
    return streq(text, "latest") || (strlen(text) == 10 && strspn(text, "0123456789-") == 10);
}

static int answer_segments(struct asked *asked, char *const *segments, size_t n)
{
    if (n == 0)
        return say(asked, "2009-04-04\nlatest");
    if (streq(segments[0], "openstack"))
        return n == 1                     ? say(asked, "2018-08-27\nlatest")
               : is_version(segments[1]) ? answer_openstack(asked, segments + 2, n - 2)
                                          : -ENOENT;
    if (!is_version(segments[0]))
        return -ENOENT;
    const char *user_data = json_string_value(json_object_get(asked->own, "user_data"));
    if (n == 1)
        return buffer_printf(asked->content, "meta-data/%s", user_data ? "\nuser-data" : "");
    if (streq(segments[1], "meta-data"))
        return answer_meta_data(asked, segments + 2, n - 2);
    return n == 2 && streq(segments[1], "user-data") ? say(asked, user_data) : -ENOENT;
}

int metadata_answer(const struct service_objects *objects, const char *path, struct buffer *content, const char **ret_type)
{
    struct asked asked = {.objects = objects, .content = content, .type = "text/plain"};
    char copy[512], *segments[PATH_MAX_SEGMENTS], *rest = copy;
    size_t n = 0;
    int result;

    if (string_copy(copy, sizeof(copy), path) < 0)
        return -ENOENT;
    for (char *segment; (segment = strsep(&rest, "/"));) {
        if (!*segment)
            continue;
        if (n == PATH_MAX_SEGMENTS)
            return -ENOENT;
        segments[n++] = segment;
    }
    asked.own = objects->port->metadata ? json_loads(objects->port->metadata, 0, NULL) : NULL;
    find_hostname(&asked);
    result = answer_segments(&asked, segments, n);
    json_decref(asked.own);
    *ret_type = asked.type;
    return result;
}
