/* What must hold of a configuration, whoever made it: people with an editor, weft-ipvsadm, or an import. */
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>

#include "weft/director/config-parts.h"
#include "weft/director/config.h"

static bool is_host(const struct ip_address *address)
{
    return !ip_is_zero(address) && !ip_is_multicast(address);
}

/* Link-local IPv6 and 255.255.255.255 lead nowhere from here. */
static bool is_scoped(const struct ip_address *address)
{
    return (address->bytes[0] == 0xfe && (address->bytes[1] & 0xc0) == 0x80) ||
           (ip_is_v4(address) && ip_to_v4(address) == UINT32_MAX);
}

static int check_key(const struct virtual_service *service, struct error *error)
{
    char text[IP_TEXT_SIZE];

    if (service->mark)
        return 0;
    if (!service_protocol_name(service->protocol))
        return error_set(error, -EINVAL, "protocol", "%u is not TCP, UDP or SCTP", service->protocol);
    if (!is_host(&service->address))
        return error_set(error, -EINVAL, "address", "'%s' is not the address of a host",
                         ip_format(&service->address, text));
    if (!service->port && !service->persistence_timeout_s)
        return error_set(error, -EINVAL, "port", "0, which is every port, needs persistence");
    return 0;
}

int virtual_service_check(const struct virtual_service *service, struct error *error)
{
    uint32_t mask = service->persistence_mask;
    int result = check_key(service, error);

    if (result < 0)
        return result;
    if (service->one_packet && !service->mark && service->protocol != IPPROTO_UDP)
        return error_set(error, -EINVAL, "one_packet", "it is for UDP");
    if (service->persistence_timeout_s > PERSISTENCE_TIMEOUT_MAX_S)
        return error_set(error, -EINVAL, "persistence.timeout_s", "%u is more than %u", service->persistence_timeout_s,
                         PERSISTENCE_TIMEOUT_MAX_S);
    if (service->ipv6 && (mask < 1 || mask > 128))
        return error_set(error, -EINVAL, "persistence.prefix_length", "%u is not from 1 to 128", mask);
    if (!service->quorum)
        return error_set(error, -EINVAL, "quorum", "it is 0");
    if (service->hysteresis >= service->quorum)
        return error_set(error, -EINVAL, "hysteresis", "%u is not less than the quorum, %u", service->hysteresis,
                         service->quorum);
    return 0;
}

/* The packet reaches the server as the client sent it, so the port cannot be another one. */
static bool keeps_port(enum forwarding forwarding)
{
    return forwarding != FORWARD_NAT && forwarding != FORWARD_FULL_NAT;
}

static int check_tunnel(const struct tunnel *tunnel, struct error *error)
{
    bool has_port = tunnel->type == TUNNEL_GUE || tunnel->type == TUNNEL_VXLAN;

    if (has_port && !tunnel->port)
        return error_set(error, -EINVAL, "port", "a tunnel of type %s needs one", tunnel_type_name(tunnel->type));
    if (!has_port && tunnel->port)
        return error_set(error, -EINVAL, "port", "a tunnel of type %s has none", tunnel_type_name(tunnel->type));
    if (tunnel->vni && tunnel->type != TUNNEL_VXLAN)
        return error_set(error, -EINVAL, "vni", "a tunnel of type %s has none", tunnel_type_name(tunnel->type));
    if (tunnel->vni > VXLAN_VNI_MAX)
        return error_set(error, -EINVAL, "vni", "%u is more than %u", tunnel->vni, VXLAN_VNI_MAX);
    if (tunnel->checksum != TUNNEL_CHECKSUM_NONE && tunnel->type == TUNNEL_IPIP)
        return error_set(error, -EINVAL, "checksum", "a tunnel of type ipip has none");
    if (tunnel->checksum == TUNNEL_CHECKSUM_REMOTE && tunnel->type != TUNNEL_GUE)
        return error_set(error, -EINVAL, "checksum", "'remote' is for tunnels of type gue");
    return 0;
}

static int check_forwarding(const struct virtual_service *service, const struct real_server *server,
                            struct error *error)
{
    const struct tunnel *tunnel = &server->tunnel;
    bool ipv6 = !ip_is_v4(&server->address);

    if (ipv6 != service->ipv6 && server->forwarding != FORWARD_TUNNEL)
        return error_set(error, -EINVAL, "address",
                         "clients and servers are of one family unless a tunnel leads there");
    if (!service->mark && keeps_port(server->forwarding) && server->port != service->port)
        return error_set(error, -EINVAL, "port", "%u is not the service's, %u, which %s keeps", server->port,
                         service->port, forwarding_name(server->forwarding));
    if (server->forwarding == FORWARD_L3DSR ? server->dscp < 1 || server->dscp > 63 : server->dscp)
        return error_set(error, -EINVAL, "dscp",
                         server->dscp ? "it is for l3dsr, and from 1 to 63" : "l3dsr needs one, from 1 to 63");
    if (server->forwarding == FORWARD_TUNNEL) {
        int result = check_tunnel(tunnel, error);

        if (result < 0)
            error_prefix_field(error, "tunnel");
        return result;
    }
    if (tunnel->type || tunnel->port || tunnel->vni || tunnel->checksum)
        return error_set(error, -EINVAL, "tunnel", "it is for servers whose forwarding is tunnel");
    return 0;
}

/* A check that is to go the way of the traffic: packets that keep the virtual address lead somewhere else than the server's address does. */
static int check_traffic_path(const struct virtual_service *service, const struct real_server *server, const struct health_check *check, struct error *error)
{
    char text[IP_TEXT_SIZE];

    if (server->forwarding == FORWARD_NAT || server->forwarding == FORWARD_FULL_NAT)
        return error_set(error, -EINVAL, "path", "translated traffic goes to the server's address anyway");
    if (check->has_address != (service->mark != 0))
        return error_set(error, -EINVAL, "path", service->mark ? "a service by mark has no address of its own: the check needs one that clients call"
                                                               : "a check with an address of its own does not go the way of the traffic");
    if (check->has_address && ip_is_v4(&check->address) == service->ipv6)
        return error_set(error, -EINVAL, "address", "'%s' is not of the service's family", ip_format(&check->address, text));
    if (!service->port && !check->port && check->type != CHECK_PING)
        return error_set(error, -EINVAL, "path", "the service is for every port: the check needs one");
    return 0;
}

int real_server_check(const struct virtual_service *service, const struct real_server *server, struct error *error)
{
    char text[IP_TEXT_SIZE];
    int result;

    if (!is_host(&server->address) || is_scoped(&server->address))
        return error_set(error, -EINVAL, "address", "'%s' is not the address of a host",
                         ip_format(&server->address, text));
    result = check_forwarding(service, server, error);
    if (result < 0)
        return result;
    if (server->second_chance && !keeps_port(server->forwarding))
        return error_set(error, -EINVAL, "second_chance", "true is not for %s, whose connections the director remembers", forwarding_name(server->forwarding));
    if (server->weight > SERVER_WEIGHT_MAX)
        return error_set(error, -EINVAL, "weight", "%u is more than %u", server->weight, SERVER_WEIGHT_MAX);
    if (server->upper_threshold > SERVER_THRESHOLD_MAX)
        return error_set(error, -EINVAL, "upper_threshold", "%u is more than %u", server->upper_threshold,
                         SERVER_THRESHOLD_MAX);
    if (server->lower_threshold > SERVER_THRESHOLD_MAX)
        return error_set(error, -EINVAL, "lower_threshold", "%u is more than %u", server->lower_threshold,
                         SERVER_THRESHOLD_MAX);
    if (server->lower_threshold > server->upper_threshold)
        return error_set(error, -ERANGE, "lower_threshold", "%u is more than upper_threshold, %u",
                         server->lower_threshold, server->upper_threshold);
    for (size_t i = 0; i < server->n_checks; i++) {
        result = health_check_check(&server->checks[i], error);
        if (result == 0 && server->checks[i].path == CHECK_PATH_TRAFFIC)
            result = check_traffic_path(service, server, &server->checks[i], error);
        if (result < 0) {
            error_prefix_field(error, "checks[%zu]", i);
            return result;
        }
    }
    return 0;
}

/* ---- The whole. ---- */

/* What is sorted to find what is there twice: of equal ones the first in the file comes first. */
static int compare_numbers(uint64_t a, uint64_t b)
{
    return a < b ? -1 : a > b;
}

static int compare_servers(const void *a, const void *b)
{
    const struct real_server *x = *(const struct real_server *const *)a, *y = *(const struct real_server *const *)b;
    int result = ip_compare(&x->address, &y->address);

    if (!result)
        result = compare_numbers(x->port, y->port);
    return result ? result : compare_numbers((uintptr_t)x, (uintptr_t)y);
}

static int compare_services(const void *a, const void *b)
{
    const struct virtual_service *x = *(const struct virtual_service *const *)a,
                                 *y = *(const struct virtual_service *const *)b;
    int result = compare_numbers(x->mark, y->mark);

    if (!result && x->mark)
        result = compare_numbers(x->ipv6, y->ipv6);
    if (!result && !x->mark)
        result = ip_compare(&x->address, &y->address);
    if (!result && !x->mark)
        result = compare_numbers((uint64_t)x->protocol << 16 | x->port, (uint64_t)y->protocol << 16 | y->port);
    return result ? result : compare_numbers((uintptr_t)x, (uintptr_t)y);
}

/* Pointers to all elements of an array, to sort. */
static const void **pointers_to(const void *array, size_t n, size_t size)
{
    const void **pointers = calloc(n ? n : 1, sizeof(*pointers));

    for (size_t i = 0; pointers && i < n; i++)
        pointers[i] = (const char *)array + i * size;
    return pointers;
}

static int check_servers(const struct virtual_service *service, struct error *error)
{
    char text[SERVICE_TEXT_SIZE];
    _cleanup_(freep) const void **sorted = NULL;

    for (size_t i = 0; i < service->n_servers; i++) {
        int result = real_server_check(service, &service->servers[i], error);

        if (result < 0) {
            error_prefix_field(error, "servers[%zu]", i);
            return result;
        }
    }
    if (service->has_sorry_server) {
        int result = service->sorry_server.notify_up || service->sorry_server.notify_down ? error_set(error, -EINVAL, "notify_up", "a sorry server has none")
                     : service->sorry_server.n_checks ? error_set(error, -EINVAL, "checks", "a sorry server has none")
                                                    : real_server_check(service, &service->sorry_server, error);

        if (result < 0) {
            error_prefix_field(error, "sorry_server");
            return result;
        }
    }
    sorted = pointers_to(service->servers, service->n_servers, sizeof(*service->servers));
    if (!sorted)
        return error_set(error, -ENOMEM, NULL, "out of memory");
    qsort(sorted, service->n_servers, sizeof(*sorted), compare_servers);
    for (size_t i = 1; i < service->n_servers; i++) {
        const struct real_server *server = sorted[i];

        if (!real_server_same_key(sorted[i - 1], server))
            continue;
        error_set(error, -EEXIST, NULL, "%s is there twice", real_server_format(server, text));
        error_prefix_field(error, "servers[%zu]", (size_t)(server - service->servers));
        return -EEXIST;
    }
    return 0;
}

/* Full NAT takes its source from the configuration. */
static int check_local_addresses(const struct director_config *config, const struct virtual_service *service,
                                 struct error *error)
{
    for (size_t i = 0; i < service->n_servers; i++) {
        bool found = service->servers[i].forwarding != FORWARD_FULL_NAT;

        for (size_t j = 0; !found && j < config->n_local_addresses; j++)
            found = ip_is_v4(&config->local_addresses[j]) == ip_is_v4(&service->servers[i].address);
        if (!found) {
            error_set(error, -EINVAL, "forwarding", "full-nat needs local_addresses of the server's family");
            error_prefix_field(error, "servers[%zu]", i);
            return -EINVAL;
        }
    }
    return 0;
}

static int check_services(const struct director_config *config, struct error *error)
{
    char text[SERVICE_TEXT_SIZE];
    _cleanup_(freep) const void **sorted = NULL;
    size_t n_servers = 0;

    for (size_t i = 0; i < config->n_services; i++) {
        const struct virtual_service *service = &config->services[i];
        int result = virtual_service_check(service, error);

        if (result == 0)
            result = check_servers(service, error);
        if (result == 0)
            result = check_local_addresses(config, service, error);
        if (result < 0) {
            error_prefix_field(error, "services[%zu]", i);
            return result;
        }
        n_servers += service->n_servers;
    }
    if (n_servers > DIRECTOR_SERVERS_MAX)
        return error_set(error, -E2BIG, "services", "%zu servers are more than %u", n_servers, DIRECTOR_SERVERS_MAX);
    sorted = pointers_to(config->services, config->n_services, sizeof(*config->services));
    if (!sorted)
        return error_set(error, -ENOMEM, NULL, "out of memory");
    qsort(sorted, config->n_services, sizeof(*sorted), compare_services);
    for (size_t i = 1; i < config->n_services; i++) {
        const struct virtual_service *service = sorted[i];

        if (!virtual_service_same_key(sorted[i - 1], service))
            continue;
        error_set(error, -EEXIST, NULL, "%s is there twice", virtual_service_format(service, text));
        error_prefix_field(error, "services[%zu]", (size_t)(service - config->services));
        return -EEXIST;
    }
    return 0;
}

static int check_limits(const struct director_config *config, struct error *error)
{
    const struct {
        const char *name;
        size_t n, maximum;
    } lists[] = {
        {"interfaces", config->n_interfaces, DIRECTOR_INTERFACES_MAX},
        {"local_addresses", config->n_local_addresses, DIRECTOR_LOCAL_ADDRESSES_MAX},
        {"mark_rules", config->n_mark_rules, DIRECTOR_MARK_RULES_MAX},
        {"services", config->n_services, DIRECTOR_SERVICES_MAX},
    };
    const struct {
        const char *name;
        uint32_t seconds;
    } timeouts[] = {{"tcp_s", config->timeouts.tcp_s},
                    {"tcp_fin_s", config->timeouts.tcp_fin_s},
                    {"udp_s", config->timeouts.udp_s}};

    for (size_t i = 0; i < sizeof(lists) / sizeof(*lists); i++)
        if (lists[i].n > lists[i].maximum)
            return error_set(error, -E2BIG, lists[i].name, "%zu are more than %zu", lists[i].n, lists[i].maximum);
    for (size_t i = 0; i < config->n_services; i++) {
        if (config->services[i].n_servers > DIRECTOR_SERVICE_SERVERS_MAX) {
            error_set(error, -E2BIG, "servers", "%zu are more than %u", config->services[i].n_servers,
                      DIRECTOR_SERVICE_SERVERS_MAX);
            error_prefix_field(error, "services[%zu]", i);
            return -E2BIG;
        }
    }
    if (config->connections < DIRECTOR_CONNECTIONS_MIN || config->connections > DIRECTOR_CONNECTIONS_MAX)
        return error_set(error, -EINVAL, "connections", "%u is not from %u to %u", config->connections, DIRECTOR_CONNECTIONS_MIN,
                         DIRECTOR_CONNECTIONS_MAX);
    for (size_t i = 0; i < sizeof(timeouts) / sizeof(*timeouts); i++) {
        if (timeouts[i].seconds >= 1 && timeouts[i].seconds <= TIMEOUT_MAX_S)
            continue;
        error_set(error, -EINVAL, timeouts[i].name, "%u is not from 1 to %u", timeouts[i].seconds, TIMEOUT_MAX_S);
        error_prefix_field(error, "timeouts");
        return -EINVAL;
    }
    return 0;
}

int director_config_check(const struct director_config *config, struct error *error)
{
    char text[IP_TEXT_SIZE];
    int result = check_limits(config, error);

    for (size_t i = 0; result == 0 && i < config->n_local_addresses; i++) {
        if (!is_host(&config->local_addresses[i])) {
            result = error_set(error, -EINVAL, NULL, "'%s' is not the address of a host",
                               ip_format(&config->local_addresses[i], text));
            error_prefix_field(error, "local_addresses[%zu]", i);
        }
    }
    for (size_t i = 0; result == 0 && i < config->n_mark_rules; i++) {
        result = mark_rule_check(&config->mark_rules[i], error);
        error_prefix_field(error, "mark_rules[%zu]", i);
    }
    return result < 0 ? result : check_services(config, error);
}
