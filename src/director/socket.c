#include "weft/director/socket.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "weft/base/util.h"
#include "weft/director/members.h"

#define N_TRAFFIC 5

void director_state_clear(struct director_state *state)
{
    for (size_t i = 0; i < state->n_services; i++)
        free(state->services[i].servers);
    free(state->services);
    *state = (struct director_state){0};
}

void director_connections_clear(struct director_connections *connections)
{
    free(connections->connections);
    *connections = (struct director_connections){0};
}

/* ---- Traffic: a list of five numbers, since there is much of it. ---- */

static json_t *traffic_encode(const struct director_traffic *traffic)
{
    return json_pack("[IIIII]", (json_int_t)traffic->connections, (json_int_t)traffic->packets_in,
                     (json_int_t)traffic->packets_out, (json_int_t)traffic->bytes_in, (json_int_t)traffic->bytes_out);
}

static int traffic_decode(const json_t *json, struct director_traffic *ret)
{
    uint64_t *const numbers[N_TRAFFIC] = {&ret->connections, &ret->packets_in, &ret->packets_out, &ret->bytes_in,
                                          &ret->bytes_out};

    if (json_array_size(json) != N_TRAFFIC)
        return -EBADMSG;
    for (size_t i = 0; i < N_TRAFFIC; i++) {
        const json_t *number = json_array_get(json, i);

        if (!json_is_integer(number) || json_integer_value(number) < 0)
            return -EBADMSG;
        *numbers[i] = (uint64_t)json_integer_value(number);
    }
    return 0;
}

/* ---- State. ---- */

static json_t *server_encode(const struct server_state *server)
{
    char text[IP_TEXT_SIZE];

    return json_pack("{s:s, s:i, s:b, s:b, s:b, s:I, s:s, s:I, s:I, s:I, s:o, s:o}", "address",
                     ip_format(&server->address, text), "port", server->port, "sorry", server->is_sorry, "up",
                     server->is_up, "used", server->is_used, "weight", (json_int_t)server->weight, "reason",
                     server->reason, "active", (json_int_t)server->active, "inactive", (json_int_t)server->inactive,
                     "persistent", (json_int_t)server->persistent, "total", traffic_encode(&server->total), "rate",
                     traffic_encode(&server->rate));
}

static int server_decode(const json_t *json, struct server_state *ret)
{
    json_int_t weight, active, inactive, persistent;
    const char *address, *reason;
    json_t *total, *rate;
    int port, sorry, up, used;

    if (json_unpack((json_t *)json, "{s:s, s:i, s:b, s:b, s:b, s:I, s:s, s:I, s:I, s:I, s:o, s:o}", "address", &address,
                    "port", &port, "sorry", &sorry, "up", &up, "used", &used, "weight", &weight, "reason", &reason,
                    "active", &active, "inactive", &inactive, "persistent", &persistent, "total", &total, "rate",
                    &rate) < 0 ||
        ip_parse(address, &ret->address) < 0 || port < 0 || port > UINT16_MAX || weight < 0 || weight > UINT32_MAX ||
        active < 0 || active > UINT32_MAX || inactive < 0 || inactive > UINT32_MAX || persistent < 0 ||
        persistent > UINT32_MAX)
        return -EBADMSG;
    ret->port = (uint16_t)port;
    ret->is_sorry = sorry;
    ret->is_up = up;
    ret->is_used = used;
    ret->weight = (uint32_t)weight;
    ret->active = (uint32_t)active;
    ret->inactive = (uint32_t)inactive;
    ret->persistent = (uint32_t)persistent;
    string_copy(ret->reason, sizeof(ret->reason), reason);
    return traffic_decode(total, &ret->total) < 0 || traffic_decode(rate, &ret->rate) < 0 ? -EBADMSG : 0;
}

static struct virtual_service key_of(const struct service_state *state)
{
    return (struct virtual_service){.mark = state->mark,
                                    .ipv6 = state->ipv6,
                                    .protocol = state->protocol,
                                    .port = state->port,
                                    .address = state->address};
}

static json_t *service_encode(const struct service_state *service)
{
    const struct virtual_service key = key_of(service);
    json_t *servers = json_array();

    for (size_t i = 0; i < service->n_servers; i++) {
        if (!servers || members_append(servers, server_encode(&service->servers[i])) < 0) {
            json_decref(servers);
            return NULL;
        }
    }
    json_t *json = json_pack("{s:o, s:b, s:o, s:o, s:o}", "service", service_key_encode(&key), "quorum", service->has_quorum,
                             "total", traffic_encode(&service->total), "rate", traffic_encode(&service->rate), "servers",
                             servers);

    if (json && service->has_pair && json_object_set_new(json, "same_rows", json_boolean(service->has_same_rows)) < 0) {
        json_decref(json);
        return NULL;
    }
    return json;
}

static int service_decode(const json_t *json, struct service_state *ret)
{
    struct virtual_service key = {0};
    json_t *key_json, *total, *rate, *servers;
    int quorum;

    if (json_unpack((json_t *)json, "{s:o, s:b, s:o, s:o, s:o}", "service", &key_json, "quorum", &quorum, "total",
                    &total, "rate", &rate, "servers", &servers) < 0 ||
        service_key_decode(key_json, &key, NULL) < 0 || traffic_decode(total, &ret->total) < 0 ||
        traffic_decode(rate, &ret->rate) < 0 || !json_is_array(servers))
        return -EBADMSG;
    ret->mark = key.mark;
    ret->ipv6 = key.ipv6;
    ret->protocol = key.protocol;
    ret->port = key.port;
    ret->address = key.address;
    ret->has_quorum = quorum;
    ret->has_pair = json_is_boolean(json_object_get(json, "same_rows"));
    ret->has_same_rows = json_is_true(json_object_get(json, "same_rows"));
    ret->servers = calloc(json_array_size(servers) + 1, sizeof(*ret->servers));
    if (!ret->servers)
        return -ENOMEM;
    for (; ret->n_servers < json_array_size(servers); ret->n_servers++)
        if (server_decode(json_array_get(servers, ret->n_servers), &ret->servers[ret->n_servers]) < 0)
            return -EBADMSG;
    return 0;
}

json_t *director_state_encode(const struct director_state *state)
{
    json_t *services = json_array();

    for (size_t i = 0; i < state->n_services; i++) {
        if (!services || members_append(services, service_encode(&state->services[i])) < 0) {
            json_decref(services);
            return NULL;
        }
    }
    return json_pack("{s:s, s:s, s:I, s:o}", "config_path", state->config_path, "config_error", state->config_error,
                     "connections", (json_int_t)state->connections, "services", services);
}

int director_state_decode(const json_t *json, struct director_state *ret)
{
    struct director_state state = {0};
    const char *path, *config_error;
    json_int_t connections;
    json_t *services;
    int result = 0;

    if (json_unpack((json_t *)json, "{s:s, s:s, s:I, s:o}", "config_path", &path, "config_error", &config_error,
                    "connections", &connections, "services", &services) < 0 ||
        !json_is_array(services) || connections < 0 || connections > UINT32_MAX)
        return -EBADMSG;
    string_copy(state.config_path, sizeof(state.config_path), path);
    string_copy(state.config_error, sizeof(state.config_error), config_error);
    state.connections = (uint32_t)connections;
    state.services = calloc(json_array_size(services) + 1, sizeof(*state.services));
    if (!state.services)
        return -ENOMEM;
    while (result == 0 && state.n_services < json_array_size(services)) {
        result = service_decode(json_array_get(services, state.n_services), &state.services[state.n_services]);
        state.n_services++;
    }
    if (result < 0) {
        director_state_clear(&state);
        return result;
    }
    *ret = state;
    return 0;
}

/* ---- Connections. ---- */

static json_t *connection_encode(const struct director_connection *connection)
{
    char client[IP_TEXT_SIZE], service[IP_TEXT_SIZE], server[IP_TEXT_SIZE];

    return json_pack("[iIsbsisisi]", connection->protocol, (json_int_t)connection->expires_s, connection->state,
                     connection->is_persistence, ip_format(&connection->client, client), connection->client_port,
                     ip_format(&connection->service, service), connection->service_port,
                     ip_format(&connection->server, server), connection->server_port);
}

static int connection_decode(const json_t *json, struct director_connection *ret)
{
    int protocol, is_persistence, ports[3];
    const char *state, *addresses[3];
    json_int_t expires;

    if (json_unpack((json_t *)json, "[iIsbsisisi]", &protocol, &expires, &state, &is_persistence, &addresses[0],
                    &ports[0], &addresses[1], &ports[1], &addresses[2], &ports[2]) < 0 ||
        protocol < 0 || protocol > UINT8_MAX || expires < 0 || expires > UINT32_MAX ||
        ip_parse(addresses[0], &ret->client) < 0 || ip_parse(addresses[1], &ret->service) < 0 ||
        ip_parse(addresses[2], &ret->server) < 0)
        return -EBADMSG;
    for (size_t i = 0; i < ARRAY_SIZE(ports); i++)
        if (ports[i] < 0 || ports[i] > UINT16_MAX)
            return -EBADMSG;
    ret->protocol = (uint8_t)protocol;
    ret->expires_s = (uint32_t)expires;
    string_copy(ret->state, sizeof(ret->state), state);
    ret->is_persistence = is_persistence;
    ret->client_port = (uint16_t)ports[0];
    ret->service_port = (uint16_t)ports[1];
    ret->server_port = (uint16_t)ports[2];
    return 0;
}

json_t *director_connections_encode(const struct director_connections *connections)
{
    json_t *list = json_array();

    for (size_t i = 0; i < connections->n_connections; i++) {
        if (!list || members_append(list, connection_encode(&connections->connections[i])) < 0) {
            json_decref(list);
            return NULL;
        }
    }
    return json_pack("{s:b, s:o}", "cut", connections->is_cut, "connections", list);
}

int director_connections_decode(const json_t *json, struct director_connections *ret)
{
    struct director_connections connections = {0};
    json_t *list;
    int cut;

    if (json_unpack((json_t *)json, "{s:b, s:o}", "cut", &cut, "connections", &list) < 0 || !json_is_array(list))
        return -EBADMSG;
    connections.is_cut = cut;
    connections.connections = calloc(json_array_size(list) + 1, sizeof(*connections.connections));
    if (!connections.connections)
        return -ENOMEM;
    for (; connections.n_connections < json_array_size(list); connections.n_connections++) {
        if (connection_decode(json_array_get(list, connections.n_connections),
                              &connections.connections[connections.n_connections]) < 0) {
            director_connections_clear(&connections);
            return -EBADMSG;
        }
    }
    *ret = connections;
    return 0;
}

/* ---- Finding. ---- */

const struct service_state *director_state_find(const struct director_state *state,
                                                const struct virtual_service *service)
{
    for (size_t i = 0; i < state->n_services; i++) {
        const struct virtual_service key = key_of(&state->services[i]);

        if (virtual_service_same_key(&key, service))
            return &state->services[i];
    }
    return NULL;
}

const struct server_state *service_state_find(const struct service_state *state, const struct real_server *server)
{
    for (size_t i = 0; i < state->n_servers; i++)
        if (!state->servers[i].is_sorry && state->servers[i].port == server->port &&
            ip_equal(&state->servers[i].address, &server->address))
            return &state->servers[i];
    return NULL;
}
