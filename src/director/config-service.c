/* Services and servers of a director's file. */
#include <errno.h>

#include "weft/base/util.h"
#include "weft/director/config-parts.h"
#include "weft/director/members.h"
#include "weft/director/socket.h"

/* ---- A server. ---- */

static const char *name_of_forwarding(unsigned value)
{
    return forwarding_name(value);
}

static const char *name_of_tunnel(unsigned value)
{
    return tunnel_type_name(value);
}

static const char *name_of_checksum(unsigned value)
{
    return tunnel_checksum_name(value);
}

static const struct member tunnel_members[] = {
    {"type", MEMBER_NAME, .is_required = true, .offset = offsetof(struct tunnel, type), .name_of = name_of_tunnel,
     .n_names = N_TUNNEL_TYPES},
    {"port", MEMBER_U16, .offset = offsetof(struct tunnel, port), .minimum = 1},
    {"vni", MEMBER_U32, .offset = offsetof(struct tunnel, vni), .maximum = VXLAN_VNI_MAX},
    {"checksum", MEMBER_NAME, .offset = offsetof(struct tunnel, checksum), .name_of = name_of_checksum,
     .n_names = N_TUNNEL_CHECKSUMS},
    {0},
};

static int tunnel_decode(const json_t *json, void *object, struct error *error)
{
    return members_decode(tunnel_members, json, &((struct real_server *)object)->tunnel, error);
}

static int tunnel_encode(const void *object, const void *defaults, json_t **ret_json)
{
    const struct real_server *server = object;

    *ret_json = NULL;
    if (server->forwarding != FORWARD_TUNNEL)
        return 0;
    *ret_json = members_encode(tunnel_members, &server->tunnel, &((const struct real_server *)defaults)->tunnel);
    return *ret_json ? 0 : -ENOMEM;
}

static int checks_decode(const json_t *json, void *object, struct error *error)
{
    struct real_server *server = object;

    return members_decode_array(json, sizeof(*server->checks), DIRECTOR_CHECKS_MAX, health_check_decode, NULL,
                                &server->checks, &server->n_checks, error);
}

static int checks_encode(const void *object, const void *defaults, json_t **ret_json)
{
    const struct real_server *server = object;

    (void)defaults;
    *ret_json = NULL;
    if (!server->n_checks)
        return 0;
    *ret_json = json_array();
    for (size_t i = 0; i < server->n_checks; i++)
        if (!*ret_json || members_append(*ret_json, health_check_encode(&server->checks[i])) < 0)
            return json_decref(*ret_json), -ENOMEM;
    return 0;
}

/* The port is the service's unless it is given: the caller puts it there before. */
static const struct member server_members[] = {
    {"address", MEMBER_ADDRESS, .is_required = true, .offset = offsetof(struct real_server, address)},
    {"port", MEMBER_U16, .offset = offsetof(struct real_server, port)},
    {"forwarding", MEMBER_NAME, .offset = offsetof(struct real_server, forwarding), .name_of = name_of_forwarding,
     .n_names = N_FORWARDINGS},
    {"tunnel", MEMBER_CUSTOM, .decode = tunnel_decode, .encode = tunnel_encode},
    {"dscp", MEMBER_U8, .offset = offsetof(struct real_server, dscp), .minimum = 1, .maximum = 63},
    {"weight", MEMBER_U32, .offset = offsetof(struct real_server, weight), .maximum = SERVER_WEIGHT_MAX},
    {"upper_threshold", MEMBER_U32, .offset = offsetof(struct real_server, upper_threshold),
     .maximum = SERVER_THRESHOLD_MAX},
    {"lower_threshold", MEMBER_U32, .offset = offsetof(struct real_server, lower_threshold),
     .maximum = SERVER_THRESHOLD_MAX},
    {"second_chance", MEMBER_BOOL, .offset = offsetof(struct real_server, second_chance)},
    {"inhibit_on_failure", MEMBER_BOOL, .offset = offsetof(struct real_server, inhibit_on_failure)},
    {"notify_up", MEMBER_STRING, .offset = offsetof(struct real_server, notify_up), .maximum = 4096},
    {"notify_down", MEMBER_STRING, .offset = offsetof(struct real_server, notify_down), .maximum = 4096},
    {"checks", MEMBER_CUSTOM, .decode = checks_decode, .encode = checks_encode},
    {0},
};

static struct real_server default_of(const struct virtual_service *service)
{
    struct real_server server = real_server_default();

    server.port = service->port;
    return server;
}

static int server_decode(const json_t *json, void *element, const void *context, struct error *error)
{
    struct real_server *server = element;

    *server = default_of(context);
    return members_decode(server_members, json, server, error);
}

static json_t *server_encode(const struct real_server *server, const struct virtual_service *service)
{
    struct real_server defaults = default_of(service);

    return members_encode(server_members, server, &defaults);
}

/* ---- A service. ---- */

static const char *name_of_scheduler(unsigned value)
{
    return scheduler_name(value);
}

static const struct {
    const char *name;
    uint32_t flag;
} flag_names[] = {{"fallback", SCHEDULER_FALLBACK}, {"port", SCHEDULER_PORT}, {"flag-3", SCHEDULER_FLAG_3}};

static int flags_decode(const json_t *json, void *object, struct error *error)
{
    struct virtual_service *service = object;
    json_t *element;
    size_t i;

    if (!json_is_array(json))
        return member_refuse(json, "a list", error);
    json_array_foreach((json_t *)json, i, element)
    {
        const char *name = json_string_value(element);
        size_t n = 0;

        while (n < ARRAY_SIZE(flag_names) && !(name && streq(name, flag_names[n].name)))
            n++;
        if (n == ARRAY_SIZE(flag_names)) {
            member_refuse(element, "one of fallback, port, flag-3", error);
            error_prefix_field(error, "[%zu]", i);
            return -EINVAL;
        }
        service->scheduler_flags |= flag_names[n].flag;
    }
    return 0;
}

static int flags_encode(const void *object, const void *defaults, json_t **ret_json)
{
    const struct virtual_service *service = object;

    (void)defaults;
    *ret_json = NULL;
    if (!service->scheduler_flags)
        return 0;
    *ret_json = json_array();
    for (size_t i = 0; i < ARRAY_SIZE(flag_names); i++)
        if (service->scheduler_flags & flag_names[i].flag &&
            (!*ret_json || members_append(*ret_json, json_string(flag_names[i].name)) < 0))
            return json_decref(*ret_json), -ENOMEM;
    return *ret_json ? 0 : -ENOMEM;
}

/* {"timeout_s": 300, "netmask": "255.255.255.0"} or, of IPv6, {"timeout_s": 300, "prefix_length": 64}. */
struct persistence {
    uint32_t timeout_s;
    uint8_t prefix_length; /* 0: not given. */
    bool has_netmask;
    struct ip_address netmask;
};

static const struct member persistence_members[] = {
    {"timeout_s", MEMBER_U32, .offset = offsetof(struct persistence, timeout_s), .minimum = 1,
     .maximum = PERSISTENCE_TIMEOUT_MAX_S},
    {"netmask", MEMBER_ADDRESS, .offset = offsetof(struct persistence, netmask),
     .flag = offsetof(struct persistence, has_netmask)},
    {"prefix_length", MEMBER_U8, .offset = offsetof(struct persistence, prefix_length), .minimum = 1, .maximum = 128},
    {0},
};

static int persistence_decode(const json_t *json, void *object, struct error *error)
{
    struct persistence persistence = {.timeout_s = PERSISTENCE_TIMEOUT_DEFAULT_S};
    struct virtual_service *service = object;
    int result = members_decode(persistence_members, json, &persistence, error);

    if (result < 0)
        return result;
    service->persistence_timeout_s = persistence.timeout_s;
    if (persistence.has_netmask) {
        if (service->ipv6 || !ip_is_v4(&persistence.netmask))
            return error_set(error, -EINVAL, "netmask", "it is of IPv4; clients of IPv6 have a prefix_length");
        service->persistence_mask = ip_to_v4(&persistence.netmask);
    }
    if (persistence.prefix_length) {
        if (!service->ipv6)
            return error_set(error, -EINVAL, "prefix_length", "it is of IPv6; clients of IPv4 have a netmask");
        service->persistence_mask = persistence.prefix_length;
    }
    return 0;
}

static int persistence_encode(const void *object, const void *defaults, json_t **ret_json)
{
    const struct persistence usual = {.timeout_s = PERSISTENCE_TIMEOUT_DEFAULT_S};
    const struct virtual_service *service = object;
    struct persistence persistence = {.timeout_s = service->persistence_timeout_s};

    (void)defaults;
    *ret_json = NULL;
    if (!service->persistence_timeout_s)
        return 0;
    if (service->ipv6 && service->persistence_mask != 128)
        persistence.prefix_length = (uint8_t)service->persistence_mask;
    if (!service->ipv6 && service->persistence_mask != UINT32_MAX) {
        persistence.has_netmask = true;
        persistence.netmask = ip_from_v4(service->persistence_mask);
    }
    *ret_json = members_encode(persistence_members, &persistence, &usual);
    return *ret_json ? 0 : -ENOMEM;
}

static int sorry_decode(const json_t *json, void *object, struct error *error)
{
    struct virtual_service *service = object;

    service->has_sorry_server = true;
    return server_decode(json, &service->sorry_server, service, error);
}

static int sorry_encode(const void *object, const void *defaults, json_t **ret_json)
{
    const struct virtual_service *service = object;

    (void)defaults;
    *ret_json = service->has_sorry_server ? server_encode(&service->sorry_server, service) : NULL;
    return service->has_sorry_server && !*ret_json ? -ENOMEM : 0;
}

static int servers_decode(const json_t *json, void *object, struct error *error)
{
    struct virtual_service *service = object;

    return members_decode_array(json, sizeof(*service->servers), DIRECTOR_SERVICE_SERVERS_MAX, server_decode, service,
                                &service->servers, &service->n_servers, error);
}

static int servers_encode(const void *object, const void *defaults, json_t **ret_json)
{
    const struct virtual_service *service = object;

    (void)defaults;
    *ret_json = json_array();
    for (size_t i = 0; i < service->n_servers; i++)
        if (!*ret_json || members_append(*ret_json, server_encode(&service->servers[i], service)) < 0)
            return json_decref(*ret_json), -ENOMEM;
    return *ret_json ? 0 : -ENOMEM;
}

static const struct member service_members[] = {
    {"scheduler", MEMBER_NAME, .offset = offsetof(struct virtual_service, scheduler), .name_of = name_of_scheduler,
     .n_names = N_SCHEDULERS},
    {"scheduler_flags", MEMBER_CUSTOM, .decode = flags_decode, .encode = flags_encode},
    {"one_packet", MEMBER_BOOL, .offset = offsetof(struct virtual_service, one_packet)},
    {"track_connections", MEMBER_BOOL, .offset = offsetof(struct virtual_service, track_connections)},
    {"clamp_mss", MEMBER_BOOL, .offset = offsetof(struct virtual_service, clamp_mss)},
    {"history_s", MEMBER_U32, .offset = offsetof(struct virtual_service, history_s), .maximum = HISTORY_MAX_S},
    {"half_open_limit", MEMBER_U32, .offset = offsetof(struct virtual_service, half_open_limit), .minimum = 1},
    {"persistence", MEMBER_CUSTOM, .decode = persistence_decode, .encode = persistence_encode},
    {"quorum", MEMBER_U32, .offset = offsetof(struct virtual_service, quorum), .minimum = 1},
    {"hysteresis", MEMBER_U32, .offset = offsetof(struct virtual_service, hysteresis)},
    {"quorum_up", MEMBER_STRING, .offset = offsetof(struct virtual_service, quorum_up), .maximum = 4096},
    {"quorum_down", MEMBER_STRING, .offset = offsetof(struct virtual_service, quorum_down), .maximum = 4096},
    {"sorry_server", MEMBER_CUSTOM, .decode = sorry_decode, .encode = sorry_encode},
    {"servers", MEMBER_CUSTOM, .decode = servers_decode, .encode = servers_encode},
    {0},
};

/* What the others are judged by comes first, whatever the order in the file: the key is read before everything else. */
static int split(const json_t *json, json_t **ret_key, json_t **ret_rest)
{
    json_t *key = json_object(), *rest = json_copy((json_t *)json);
    int result = key && rest ? 0 : -ENOMEM;

    for (const char *const *name = service_key_names; result == 0 && *name; name++) {
        json_t *value = json_object_get(json, *name);

        if (value && json_object_set(key, *name, value) < 0)
            result = -ENOMEM;
        json_object_del(rest, *name);
    }
    *ret_key = key;
    *ret_rest = rest;
    return result;
}

int virtual_service_decode(const json_t *json, void *element, const void *context, struct error *error)
{
    struct virtual_service *service = element;
    json_t *key = NULL, *rest = NULL;
    int result;

    (void)context;
    *service = virtual_service_default(false);
    if (!json_is_object(json))
        return member_refuse(json, "an object", error);
    result = split(json, &key, &rest);
    if (result < 0)
        error_set(error, result, NULL, "out of memory");
    if (result == 0)
        result = service_key_decode(key, service, error);
    if (result == 0) {
        service->persistence_mask = virtual_service_default(service->ipv6).persistence_mask;
        result = members_decode(service_members, rest, service, error);
    }
    json_decref(key);
    json_decref(rest);
    return result;
}

json_t *virtual_service_encode(const struct virtual_service *service)
{
    struct virtual_service defaults = virtual_service_default(service->ipv6);
    json_t *json = service_key_encode(service), *rest = members_encode(service_members, service, &defaults);

    if (json && rest && json_object_update(json, rest) < 0) {
        json_decref(json);
        json = NULL;
    }
    if (json && !rest) {
        json_decref(json);
        json = NULL;
    }
    json_decref(rest);
    return json;
}
