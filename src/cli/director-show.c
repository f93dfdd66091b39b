/* weft lb list and show: what the running director says of services and servers. */
#include <errno.h>
#include <string.h>

#include "weft/base/util.h"
#include "weft/cli/agent-socket.h"
#include "weft/cli/director.h"
#include "weft/cli/output.h"
#include "weft/director/socket.h"

static inline void json_free(json_t **json)
{
    json_decref(*json);
}

static const char *name_of(const struct service_state *state, char text[SERVICE_TEXT_SIZE])
{
    const struct virtual_service service = {.mark = state->mark,
                                            .ipv6 = state->ipv6,
                                            .protocol = state->protocol,
                                            .port = state->port,
                                            .address = state->address};

    return virtual_service_format(&service, text);
}

static int ask(struct call *call, struct director_state *ret_state)
{
    _cleanup_(json_free) json_t *request = json_pack("{s:s}", "operation", "director"), *answer = NULL;
    const char *path = call_flag(call, "socket");
    int result;

    if (!request)
        return -ENOMEM;
    path = path ? path : DIRECTOR_SOCKET_PATH;
    result = agent_ask(path, request, &answer, &call->error);
    if (result == 0)
        result = director_state_decode(answer, ret_state);
    if (result == -EBADMSG)
        error_set(&call->error, result, NULL, "the director at '%s' answered what is not understood", path);
    if (result == 0 && *ret_state->config_error)
        fprintf(stderr, "weft: the director does not do all that the file says: %s\n", ret_state->config_error);
    for (size_t i = 0; result == 0 && i < ret_state->n_services; i++) {
        char text[SERVICE_TEXT_SIZE];

        if (ret_state->services[i].has_pair && !ret_state->services[i].has_same_rows)
            fprintf(stderr, "weft: %s: the other director has other rows\n", name_of(&ret_state->services[i], text));
    }
    return result;
}

static json_t *describe_service(const struct service_state *service)
{
    char text[SERVICE_TEXT_SIZE];
    size_t n_up = 0, n_servers = 0;
    json_int_t active = 0;

    for (size_t i = 0; i < service->n_servers; i++) {
        n_servers += !service->servers[i].is_sorry;
        n_up += !service->servers[i].is_sorry && service->servers[i].is_up;
        active += service->servers[i].active;
    }
    return json_pack("{s:s, s:b, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "service", name_of(service, text),
                     "has_quorum", service->has_quorum, "servers", (json_int_t)n_servers, "servers_up",
                     (json_int_t)n_up, "active", active, "connections", (json_int_t)service->total.connections,
                     "connections_per_s", (json_int_t)service->rate.connections, "packets_in_per_s",
                     (json_int_t)service->rate.packets_in, "bytes_in_per_s", (json_int_t)service->rate.bytes_in,
                     "bytes_out_per_s", (json_int_t)service->rate.bytes_out);
}

static const char *state_of(const struct server_state *server)
{
    if (server->is_sorry)
        return server->is_used ? "sorry, answers" : "sorry";
    if (!server->is_up)
        return server->is_used ? "down, inhibited" : "down";
    return server->weight ? "up" : "draining";
}

static json_t *describe_server(const struct service_state *service, const struct server_state *server)
{
    const struct real_server key = {.address = server->address, .port = server->port};
    char service_text[SERVICE_TEXT_SIZE], server_text[SERVICE_TEXT_SIZE];

    return json_pack("{s:s, s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:s}", "service", name_of(service, service_text),
                     "server", real_server_format(&key, server_text), "state", state_of(server), "weight",
                     (json_int_t)server->weight, "active", (json_int_t)server->active, "inactive",
                     (json_int_t)server->inactive, "connections", (json_int_t)server->total.connections,
                     "connections_per_s", (json_int_t)server->rate.connections, "bytes_in_per_s",
                     (json_int_t)server->rate.bytes_in, "reason", server->reason);
}

static int append(json_t *list, json_t *object)
{
    return object && json_array_append_new(list, object) == 0 ? 0 : -ENOMEM;
}

int run_lb_list(struct call *call)
{
    static const struct column columns[] = {
        {"service", "Service"},           {"servers_up", "Up"},
        {"servers", "Servers"},           {"active", "Active"},
        {"connections", "Connections"},   {"connections_per_s", "Conn/s"},
        {"bytes_in_per_s", "Bytes in/s"}, {0},
    };
    _cleanup_(json_free) json_t *list = json_array();
    struct director_state state = {0};
    int result = list ? ask(call, &state) : -ENOMEM;

    for (size_t i = 0; result == 0 && i < state.n_services; i++)
        result = append(list, describe_service(&state.services[i]));
    director_state_clear(&state);
    return result < 0 ? result : output_list(call, list, columns);
}

/* Servers of all services, or of those whose name has the argument in it: "192.0.2.1:80", "mark 5", "udp". */
int run_lb_show(struct call *call)
{
    static const struct column columns[] = {
        {"service", "Service"},
        {"server", "Server"},
        {"state", "State"},
        {"weight", "Weight"},
        {"active", "Active"},
        {"connections", "Connections"},
        {"connections_per_s", "Conn/s"},
        {"reason", "Reason"},
        {0},
    };
    const char *wanted = call_argument(call, 0);
    _cleanup_(json_free) json_t *list = json_array();
    struct director_state state = {0};
    int result = list ? ask(call, &state) : -ENOMEM;
    bool found = !wanted;

    for (size_t i = 0; result == 0 && i < state.n_services; i++) {
        const struct service_state *service = &state.services[i];
        char text[SERVICE_TEXT_SIZE];

        if (wanted && !strstr(name_of(service, text), wanted))
            continue;
        found = true;
        for (size_t j = 0; result == 0 && j < service->n_servers; j++)
            result = append(list, describe_server(service, &service->servers[j]));
    }
    director_state_clear(&state);
    if (result == 0 && !found)
        return error_set(&call->error, -ENOENT, NULL, "the director has no service '%s'", wanted);
    return result < 0 ? result : output_list(call, list, columns);
}
