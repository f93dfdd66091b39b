#include "weft/director/ipvsadm/list.h"

#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "weft/base/util.h"
#include "weft/director/ipvsadm/names.h"
#include "weft/director/ipvsadm/order.h"

#define ENDPOINT_WIDTH 28
#define NAME_SIZE (ENDPOINT_TEXT_SIZE + 32)

/* One listing. */
struct listing {
    FILE *out;
    const struct ipvsadm_call *call;
    const struct director_state *state; /* NULL: no director runs. */
    bool numeric, has_traffic, is_rate, is_exact, has_thresholds, has_persistence, has_tunnels;
};

#define SERVER_HEADER "  -> RemoteAddress:Port"
#define CONNECTIONS_HEADER "ActiveConn InActConn"

static const char table_header[] =
    "Prot LocalAddress:Port Scheduler Flags\n" SERVER_HEADER "           Forward Weight " CONNECTIONS_HEADER "\n";
static const char stats_header[] =
    "Prot LocalAddress:Port               Conns   InPkts  OutPkts  InBytes OutBytes\n" SERVER_HEADER "\n";
static const char rate_header[] =
    "Prot LocalAddress:Port                 CPS    InPPS   OutPPS    InBPS   OutBPS\n" SERVER_HEADER "\n";
static const char thresholds_header[] =
    "Prot LocalAddress:Port            Uthreshold Lthreshold " CONNECTIONS_HEADER " \n" SERVER_HEADER "\n";
static const char persistence_header[] =
    "Prot LocalAddress:Port            Weight    PersistConn " CONNECTIONS_HEADER " \n" SERVER_HEADER "\n";
static const char tunnels_header[] = "Prot LocalAddress:Port Scheduler Flags\n" SERVER_HEADER
                                     "           Forward TunnelInfo    Weight " CONNECTIONS_HEADER "\n";

/* ---- Names. ---- */

static const char *protocol_word(uint8_t protocol)
{
    return protocol == IPPROTO_UDP ? "UDP" : protocol == IPPROTO_SCTP ? "SCTP" : protocol == IPPROTO_TCP ? "TCP" : "IP";
}

static const char *forward_word(enum forwarding forwarding)
{
    static const char *const words[] = {
        [FORWARD_NAT] = "Masq",      [FORWARD_FULL_NAT] = "FullNat", [FORWARD_DIRECT] = "Route",
        [FORWARD_TUNNEL] = "Tunnel", [FORWARD_L3DSR] = "L3DSR",
    };

    return words[forwarding];
}

/* As a listing shows it: of an IPv4 host no more than the column is wide, which only a name can be longer than. */
static const char *format_endpoint(const struct ip_address *address, uint16_t port, uint8_t protocol, bool numeric,
                                   char text[ENDPOINT_TEXT_SIZE])
{
    endpoint_format(address, port, protocol, numeric, text);
    if (ip_is_v4(address) && strlen(text) > ENDPOINT_WIDTH)
        text[ENDPOINT_WIDTH] = 0;
    return text;
}

/* "TCP  192.0.2.1:80", "FWM  5 IPv6". */
static void format_service(const struct virtual_service *service, bool numeric, char name[NAME_SIZE])
{
    char endpoint[ENDPOINT_TEXT_SIZE];

    if (service->mark)
        snprintf(name, NAME_SIZE, "FWM  %u%s", service->mark, service->ipv6 ? " IPv6" : "");
    else
        snprintf(name, NAME_SIZE, "%-4s %s", protocol_word(service->protocol),
                 format_endpoint(&service->address, service->port, service->protocol, numeric, endpoint));
}

/* "mh-fallback,mh-port", or nothing. */
static void format_flags(const struct virtual_service *service, char text[64])
{
    static const uint32_t flags[] = {SCHEDULER_FLAG_1, SCHEDULER_FLAG_2, SCHEDULER_FLAG_3};

    text[0] = 0;
    for (size_t i = 0; i < ARRAY_SIZE(flags); i++) {
        const char *name = service->scheduler_flags & flags[i] ? ipvsadm_flag_name(service->scheduler, flags[i]) : NULL;

        if (name)
            snprintf(text + strlen(text), 64 - strlen(text), "%s%s", *text ? "," : "", name);
    }
}

/* The mask as it is written, or nothing where it is that of one client. */
static void format_mask(const struct virtual_service *service, char text[IP_TEXT_SIZE])
{
    struct ip_address mask = ip_from_v4(service->persistence_mask);

    text[0] = 0;
    if (service->ipv6 && service->persistence_mask != 128)
        snprintf(text, IP_TEXT_SIZE, "%u", service->persistence_mask);
    if (!service->ipv6 && service->persistence_mask != UINT32_MAX)
        ip_format(&mask, text);
}

static void format_tunnel(const struct real_server *server, char text[40])
{
    const struct tunnel *tunnel = &server->tunnel;
    const char *checksum = tunnel->checksum == TUNNEL_CHECKSUM_FULL     ? "+c"
                           : tunnel->checksum == TUNNEL_CHECKSUM_REMOTE ? "r+c"
                                                                        : "-c";

    if (server->forwarding != FORWARD_TUNNEL)
        snprintf(text, 40, "n/a");
    else if (tunnel->type == TUNNEL_VXLAN)
        snprintf(text, 40, "vxlan:%u:%u:%s", tunnel->port, tunnel->vni, checksum);
    else if (tunnel->type == TUNNEL_GUE)
        snprintf(text, 40, "gue:%u:%s", tunnel->port, checksum);
    else if (tunnel->type == TUNNEL_GRE)
        snprintf(text, 40, "gre:%s", checksum);
    else
        snprintf(text, 40, "ipip");
}

/* ---- -L. ---- */

static void put_number(const struct listing *listing, uint64_t number)
{
    if (listing->is_exact) {
        char text[24];
        int length = snprintf(text, sizeof(text), "%" PRIu64, number);

        fprintf(listing->out, "%*s", length <= 8 ? 9 : length + 1, text);
    } else if (number < UINT64_C(100000000)) {
        fprintf(listing->out, "%9" PRIu64, number);
    } else if (number < UINT64_C(100000000000)) {
        fprintf(listing->out, "%8" PRIu64 "K", number / 1000);
    } else if (number < UINT64_C(100000000000000)) {
        fprintf(listing->out, "%8" PRIu64 "M", number / 1000000);
    } else {
        fprintf(listing->out, "%8" PRIu64 "G", number / 1000000000);
    }
}

static void put_traffic(const struct listing *listing, const struct director_traffic *traffic)
{
    put_number(listing, traffic->connections);
    put_number(listing, traffic->packets_in);
    put_number(listing, traffic->packets_out);
    put_number(listing, traffic->bytes_in);
    put_number(listing, traffic->bytes_out);
    fputc('\n', listing->out);
}

static void list_service_line(const struct listing *listing, const struct virtual_service *service,
                              const struct service_state *state)
{
    static const struct director_traffic none;
    char name[NAME_SIZE], flags[64], mask[IP_TEXT_SIZE];

    format_service(service, listing->numeric, name);
    if (listing->has_traffic) {
        fprintf(listing->out, "%-33s", name);
        put_traffic(listing, !state ? &none : listing->is_rate ? &state->rate : &state->total);
        return;
    }
    format_flags(service, flags);
    format_mask(service, mask);
    fprintf(listing->out, "%s %s", name, scheduler_name(service->scheduler));
    if (*flags)
        fprintf(listing->out, " (%s)", flags);
    if (service->persistence_timeout_s)
        fprintf(listing->out, " persistent %u", service->persistence_timeout_s);
    if (service->persistence_timeout_s && *mask)
        fprintf(listing->out, " mask %s", mask);
    fprintf(listing->out, "%s\n", service->one_packet ? " ops" : "");
}

static void list_server_line(const struct listing *listing, const struct virtual_service *service,
                             const struct real_server *server, const struct server_state *state)
{
    static const struct server_state none;
    char endpoint[ENDPOINT_TEXT_SIZE], tunnel[40];
    uint32_t weight = state ? state->weight : server->weight;

    format_endpoint(&server->address, server->port, service->protocol, listing->numeric, endpoint);
    format_tunnel(server, tunnel);
    if (!state)
        state = &none;
    fprintf(listing->out, "  -> %-28s", endpoint);
    if (listing->has_traffic)
        put_traffic(listing, listing->is_rate ? &state->rate : &state->total);
    else if (listing->has_thresholds)
        fprintf(listing->out, " %-10u %-10u %-10u %-10u\n", server->upper_threshold, server->lower_threshold,
                state->active, state->inactive);
    else if (listing->has_persistence)
        fprintf(listing->out, " %-9u %-11u %-10u %-10u\n", weight, state->persistent, state->active, state->inactive);
    else if (listing->has_tunnels)
        fprintf(listing->out, " %-7s %-13s %-6u %-10u %-10u\n", forward_word(server->forwarding), tunnel, weight,
                state->active, state->inactive);
    else
        fprintf(listing->out, " %-7s %-6u %-10u %-10u\n", forward_word(server->forwarding), weight, state->active,
                state->inactive);
}

/* The sorry server is in the tables as long as it answers. */
static const struct server_state *find_sorry(const struct service_state *state)
{
    for (size_t i = 0; state && i < state->n_servers; i++)
        if (state->servers[i].is_sorry && state->servers[i].is_used)
            return &state->servers[i];
    return NULL;
}

static int list_service(const struct listing *listing, const struct virtual_service *service, bool sorted)
{
    const struct service_state *state = listing->state ? director_state_find(listing->state, service) : NULL;
    const struct server_state *sorry = find_sorry(state);
    _cleanup_(freep) const void **servers = ipvsadm_order_servers(service->servers, service->n_servers, sorted);

    if (!servers)
        return -ENOMEM;
    list_service_line(listing, service, state);
    for (size_t i = 0; i < service->n_servers; i++) {
        const struct real_server *server = servers[i];
        const struct server_state *server_state = state ? service_state_find(state, server) : NULL;

        if (!server_state || server_state->is_used)
            list_server_line(listing, service, server, server_state);
    }
    if (sorry && service->has_sorry_server)
        list_server_line(listing, service, &service->sorry_server, sorry);
    return 0;
}

static void put_header(const struct listing *listing)
{
    const char *header = listing->has_traffic       ? (listing->is_rate ? rate_header : stats_header)
                         : listing->has_thresholds  ? thresholds_header
                         : listing->has_persistence ? persistence_header
                         : listing->has_tunnels     ? tunnels_header
                                                    : table_header;

    fputs(header, listing->out);
}

int ipvsadm_list(FILE *out, const struct director_config *config, const struct director_state *state,
                 const struct ipvsadm_call *call)
{
    bool has_stats = ipvsadm_has(call, OPTION_STATS), sorted = !ipvsadm_has(call, OPTION_NOSORT);
    struct listing listing = {
        .out = out,
        .call = call,
        .state = state,
        .numeric = ipvsadm_has(call, OPTION_NUMERIC),
        .has_traffic = has_stats || ipvsadm_has(call, OPTION_RATE),
        .is_rate = !has_stats,
        .is_exact = ipvsadm_has(call, OPTION_EXACT),
        .has_thresholds = ipvsadm_has(call, OPTION_THRESHOLDS),
        .has_persistence = ipvsadm_has(call, OPTION_PERSISTENT_CONN),
        .has_tunnels = ipvsadm_has(call, OPTION_TUN_INFO),
    };
    _cleanup_(freep) const void **services = NULL;
    int result = 0;

    if (ipvsadm_has(call, OPTION_SERVICE)) {
        const struct virtual_service *service = director_config_find(config, &call->service);

        if (!service)
            return -ENOENT;
        put_header(&listing);
        return list_service(&listing, service, sorted);
    }
    services = ipvsadm_order_services(config->services, config->n_services, sorted);
    if (!services)
        return -ENOMEM;
    fputs("IP Virtual Server version 1.2.1 (size=4096)\n", out);
    put_header(&listing);
    for (size_t i = 0; result == 0 && i < config->n_services; i++)
        result = list_service(&listing, services[i], sorted);
    return result;
}

/* ---- -S. ---- */

/* "-t 192.0.2.1:80", "-f 5 -6". */
static void format_service_option(const struct virtual_service *service, bool numeric, char text[NAME_SIZE])
{
    char endpoint[ENDPOINT_TEXT_SIZE];

    if (service->mark)
        snprintf(text, NAME_SIZE, "-f %u%s", service->mark, service->ipv6 ? " -6" : "");
    else
        snprintf(text, NAME_SIZE, "%s %s",
                 service->protocol == IPPROTO_UDP    ? "-u"
                 : service->protocol == IPPROTO_SCTP ? "--sctp-service"
                                                     : "-t",
                 endpoint_format(&service->address, service->port, service->protocol, numeric, endpoint));
}

static void save_server(FILE *out, const struct virtual_service *service, const char *option,
                        const struct real_server *server, bool numeric)
{
    static const char *const words[] = {[FORWARD_NAT] = "-m",
                                        [FORWARD_FULL_NAT] = "--full-nat",
                                        [FORWARD_DIRECT] = "-g",
                                        [FORWARD_TUNNEL] = "-i",
                                        [FORWARD_L3DSR] = "--dscp"};
    static const char *const checksums[] = {[TUNNEL_CHECKSUM_NONE] = "--tun-nocsum",
                                            [TUNNEL_CHECKSUM_FULL] = "--tun-csum",
                                            [TUNNEL_CHECKSUM_REMOTE] = "--tun-remcsum"};
    const struct tunnel *tunnel = &server->tunnel;
    char endpoint[ENDPOINT_TEXT_SIZE];

    fprintf(out, "-a %s -r %s %s", option,
            endpoint_format(&server->address, server->port, service->protocol, numeric, endpoint),
            words[server->forwarding]);
    if (server->forwarding == FORWARD_L3DSR)
        fprintf(out, " %u", server->dscp);
    fprintf(out, " -w %u", server->weight);
    if (server->forwarding == FORWARD_TUNNEL) {
        fprintf(out, " --tun-type %s", tunnel_type_name(tunnel->type));
        if (tunnel->port)
            fprintf(out, " --tun-port %u", tunnel->port);
        if (tunnel->type == TUNNEL_VXLAN)
            fprintf(out, " --tun-vni %u", tunnel->vni);
        if (tunnel->type != TUNNEL_IPIP)
            fprintf(out, " %s", checksums[tunnel->checksum]);
    }
    if (server->upper_threshold) /* The kernel's ipvsadm forgets them; it takes them back, too. */
        fprintf(out, " -x %u", server->upper_threshold);
    if (server->lower_threshold)
        fprintf(out, " -y %u", server->lower_threshold);
    fputc('\n', out);
}

static void save_service(FILE *out, const struct virtual_service *service, const char *option)
{
    char flags[64], mask[IP_TEXT_SIZE];

    format_flags(service, flags);
    format_mask(service, mask);
    fprintf(out, "-A %s -s %s", option, scheduler_name(service->scheduler));
    if (service->persistence_timeout_s)
        fprintf(out, " -p %u", service->persistence_timeout_s);
    if (service->persistence_timeout_s && *mask)
        fprintf(out, " -M %s", mask);
    if (service->one_packet)
        fputs(" -o", out);
    if (*flags)
        fprintf(out, " -b %s", flags);
    fputc('\n', out);
}

int ipvsadm_save(FILE *out, const struct director_config *config, bool numeric)
{
    _cleanup_(freep) const void **services = ipvsadm_order_services(config->services, config->n_services, true);

    if (!services)
        return -ENOMEM;
    for (size_t i = 0; i < config->n_services; i++) {
        const struct virtual_service *service = services[i];
        _cleanup_(freep) const void **servers = ipvsadm_order_servers(service->servers, service->n_servers, true);
        char option[NAME_SIZE];

        if (!servers)
            return -ENOMEM;
        format_service_option(service, numeric, option);
        save_service(out, service, option);
        for (size_t j = 0; j < service->n_servers; j++)
            save_server(out, service, option, servers[j], numeric);
    }
    return 0;
}

/* ---- Connections and timeouts. ---- */

void ipvsadm_list_connections(FILE *out, const struct director_connections *connections,
                              const struct ipvsadm_call *call)
{
    bool numeric = ipvsadm_has(call, OPTION_NUMERIC), has_engine = ipvsadm_has(call, OPTION_PERSISTENT_CONN);

    fprintf(out,
            "IPVS connection entries\npro expire state       source             virtual            destination%s\n",
            has_engine ? "        pe name          pe_data" : "");
    for (size_t i = 0; i < connections->n_connections; i++) {
        const struct director_connection *connection = &connections->connections[i];
        char client[ENDPOINT_TEXT_SIZE], service[ENDPOINT_TEXT_SIZE], server[ENDPOINT_TEXT_SIZE];

        fprintf(out, "%-3s %02u:%02u  %-11s %-18s %-18s %s\n", protocol_word(connection->protocol),
                connection->expires_s / 60, connection->expires_s % 60, connection->state,
                endpoint_format(&connection->client, connection->client_port, connection->protocol, numeric, client),
                endpoint_format(&connection->service, connection->service_port, connection->protocol, numeric, service),
                endpoint_format(&connection->server, connection->server_port, connection->protocol, numeric, server));
    }
}

void ipvsadm_list_timeouts(FILE *out, const struct connection_timeouts *timeouts)
{
    fprintf(out, "Timeout (tcp tcpfin udp): %u %u %u\n", timeouts->tcp_s, timeouts->tcp_fin_s, timeouts->udp_s);
}
