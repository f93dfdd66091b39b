#include "weft/director/service.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

static const char *const scheduler_names[] = {
    [SCHEDULER_RR] = "rr",     [SCHEDULER_WRR] = "wrr",     [SCHEDULER_LC] = "lc", [SCHEDULER_WLC] = "wlc",
    [SCHEDULER_LBLC] = "lblc", [SCHEDULER_LBLCR] = "lblcr", [SCHEDULER_DH] = "dh", [SCHEDULER_SH] = "sh",
    [SCHEDULER_SED] = "sed",   [SCHEDULER_NQ] = "nq",       [SCHEDULER_FO] = "fo", [SCHEDULER_OVF] = "ovf",
    [SCHEDULER_MH] = "mh",
};
static const char *const forwarding_names[] = {
    [FORWARD_NAT] = "nat",       [FORWARD_FULL_NAT] = "full-nat", [FORWARD_DIRECT] = "direct",
    [FORWARD_TUNNEL] = "tunnel", [FORWARD_L3DSR] = "l3dsr",
};
static const char *const tunnel_type_names[] = {
    [TUNNEL_IPIP] = "ipip",
    [TUNNEL_GUE] = "gue",
    [TUNNEL_GRE] = "gre",
    [TUNNEL_VXLAN] = "vxlan",
};
static const char *const tunnel_checksum_names[] = {
    [TUNNEL_CHECKSUM_NONE] = "none",
    [TUNNEL_CHECKSUM_FULL] = "full",
    [TUNNEL_CHECKSUM_REMOTE] = "remote",
};
static const char *const check_type_names[] = {
    [CHECK_TCP] = "tcp", [CHECK_HTTP] = "http", [CHECK_HTTPS] = "https", [CHECK_TLS] = "tls",   [CHECK_UDP] = "udp",
    [CHECK_DNS] = "dns", [CHECK_PING] = "ping", [CHECK_MISC] = "misc",   [CHECK_SMTP] = "smtp",
    [CHECK_FILE] = "file",
};

/* The index of 'name' in 'names', or -ENOENT. */
static int find(const char *const *names, size_t n, const char *name)
{
    for (size_t i = 0; i < n; i++)
        if (!strcmp(names[i], name))
            return (int)i;
    return -ENOENT;
}

#define DEFINE_NAMES(type, prefix, names, count)                                                                       \
    const char *prefix##_name(type value)                                                                              \
    {                                                                                                                  \
        return names[value];                                                                                           \
    }                                                                                                                  \
    int prefix##_parse(const char *name, type *ret)                                                                    \
    {                                                                                                                  \
        int found = find(names, count, name);                                                                          \
                                                                                                                       \
        if (found < 0)                                                                                                 \
            return found;                                                                                              \
        *ret = (type)found;                                                                                            \
        return 0;                                                                                                      \
    }                                                                                                                  \
    _Static_assert(sizeof(names) / sizeof(*names) == count, "each value has a name")

DEFINE_NAMES(enum scheduler, scheduler, scheduler_names, N_SCHEDULERS);
DEFINE_NAMES(enum forwarding, forwarding, forwarding_names, N_FORWARDINGS);
DEFINE_NAMES(enum tunnel_type, tunnel_type, tunnel_type_names, N_TUNNEL_TYPES);
DEFINE_NAMES(enum tunnel_checksum, tunnel_checksum, tunnel_checksum_names, N_TUNNEL_CHECKSUMS);
DEFINE_NAMES(enum check_type, check_type, check_type_names, N_CHECK_TYPES);

const char *check_path_name(enum check_path path)
{
    static const char *const names[] = {[CHECK_PATH_AUTO] = "auto", [CHECK_PATH_SERVER] = "server", [CHECK_PATH_TRAFFIC] = "traffic"};

    return names[path];
}

static const struct {
    uint8_t protocol;
    const char *name;
} protocols[] = {{IPPROTO_TCP, "tcp"}, {IPPROTO_UDP, "udp"}, {IPPROTO_SCTP, "sctp"}};

const char *service_protocol_name(uint8_t protocol)
{
    for (size_t i = 0; i < sizeof(protocols) / sizeof(*protocols); i++)
        if (protocols[i].protocol == protocol)
            return protocols[i].name;
    return NULL;
}

int service_protocol_parse(const char *name, uint8_t *ret)
{
    for (size_t i = 0; i < sizeof(protocols) / sizeof(*protocols); i++) {
        if (!strcmp(protocols[i].name, name)) {
            *ret = protocols[i].protocol;
            return 0;
        }
    }
    return -ENOENT;
}

struct virtual_service virtual_service_default(bool ipv6)
{
    return (struct virtual_service){
        .ipv6 = ipv6,
        .scheduler = SCHEDULER_WLC,
        .persistence_mask = ipv6 ? 128 : UINT32_MAX,
        .history_s = HISTORY_DEFAULT_S,
        .quorum = 1,
    };
}

struct real_server real_server_default(void)
{
    return (struct real_server){.forwarding = FORWARD_DIRECT, .weight = 1};
}

struct mark_rule mark_rule_default(void)
{
    return (struct mark_rule){.source_port_max = UINT16_MAX, .destination_port_max = UINT16_MAX};
}

struct health_check health_check_default(enum check_type type)
{
    return (struct health_check){
        .type = type,
        .interval_ms = 60000,
        .timeout_ms = 5000,
        .retries = 1,
        .retry_delay_ms = 1000,
        .file_weight = 1,
    };
}

void health_check_clear(struct health_check *check)
{
    for (size_t i = 0; i < check->n_urls; i++) {
        free(check->urls[i].path);
        free(check->urls[i].host);
        free(check->urls[i].status);
        free(check->urls[i].digest);
        free(check->urls[i].regex);
        free(check->urls[i].regex_options);
    }
    free(check->urls);
    free(check->host);
    free(check->dns_name);
    free(check->dns_type);
    free(check->command);
    free(check->payload);
    free(check->file);
    *check = (struct health_check){.type = check->type};
}

void real_server_clear(struct real_server *server)
{
    for (size_t i = 0; i < server->n_checks; i++)
        health_check_clear(&server->checks[i]);
    free(server->checks);
    server->checks = NULL;
    server->n_checks = 0;
    free(server->notify_up);
    free(server->notify_down);
    server->notify_up = server->notify_down = NULL;
}

void virtual_service_clear(struct virtual_service *service)
{
    for (size_t i = 0; i < service->n_servers; i++)
        real_server_clear(&service->servers[i]);
    free(service->servers);
    service->servers = NULL;
    service->n_servers = 0;
    real_server_clear(&service->sorry_server);
    free(service->quorum_up);
    free(service->quorum_down);
    service->quorum_up = service->quorum_down = NULL;
}

static bool makes_remember(const struct real_server *server)
{
    return server->forwarding == FORWARD_NAT || server->forwarding == FORWARD_FULL_NAT || server->upper_threshold;
}

bool virtual_service_remembers(const struct virtual_service *service)
{
    bool is_hash = service->scheduler == SCHEDULER_MH || service->scheduler == SCHEDULER_SH || service->scheduler == SCHEDULER_DH;
    bool result = !is_hash || service->track_connections || service->persistence_timeout_s;

    for (size_t i = 0; i < service->n_servers; i++)
        result = result || makes_remember(&service->servers[i]);
    return result || (service->has_sorry_server && makes_remember(&service->sorry_server));
}

bool virtual_service_same_key(const struct virtual_service *a, const struct virtual_service *b)
{
    if (a->mark || b->mark)
        return a->mark == b->mark && a->ipv6 == b->ipv6;
    return a->protocol == b->protocol && a->port == b->port && ip_equal(&a->address, &b->address);
}

bool real_server_same_key(const struct real_server *a, const struct real_server *b)
{
    return a->port == b->port && ip_equal(&a->address, &b->address);
}

static void format_endpoint(const struct ip_address *address, uint16_t port, char *text, size_t size)
{
    char ip[IP_TEXT_SIZE];

    snprintf(text, size, ip_is_v4(address) ? "%s:%u" : "[%s]:%u", ip_format(address, ip), port);
}

const char *virtual_service_format(const struct virtual_service *service, char text[SERVICE_TEXT_SIZE])
{
    char endpoint[SERVICE_TEXT_SIZE - 8];
    const char *protocol = service_protocol_name(service->protocol);

    if (service->mark) {
        snprintf(text, SERVICE_TEXT_SIZE, "mark %u%s", service->mark, service->ipv6 ? " (IPv6)" : "");
        return text;
    }
    format_endpoint(&service->address, service->port, endpoint, sizeof(endpoint));
    snprintf(text, SERVICE_TEXT_SIZE, "%s %s", protocol ? protocol : "?", endpoint);
    return text;
}

const char *real_server_format(const struct real_server *server, char text[SERVICE_TEXT_SIZE])
{
    format_endpoint(&server->address, server->port, text, SERVICE_TEXT_SIZE);
    return text;
}
