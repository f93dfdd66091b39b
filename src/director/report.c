#include <arpa/inet.h>
#include <errno.h>
#include <string.h>
#include <time.h>

#include "weft/base/clock.h"
#include "weft/director/runtime-state.h"

#define RATES_WANTED_MS 60000
#define RATES_CHEAP 1000 /* So many services and servers are looked at even if nobody asks. */

/* ---- rates ---------------------------------------------------------------------------------------------------------------------------- */

static void take_rate(struct lb_counters *rate, struct lb_counters *last, const struct lb_counters *now, uint64_t ms)
{
#define RATE(field) rate->field = (now->field - last->field) * 1000 / ms;
    RATE(connections)
    RATE(in_packets)
    RATE(in_bytes)
    RATE(out_packets)
    RATE(out_bytes)
#undef RATE
    *last = *now;
}

static size_t n_counters(const struct director_config *config)
{
    size_t n = config->n_services;

    for (size_t i = 0; i < config->n_services; i++)
        n += config->services[i].n_servers;
    return n;
}

void rates_take(struct director *director, uint64_t now_ms)
{
    uint64_t passed = now_ms - director->rates_ms;

    if (!director->config || !director->applied || !passed)
        return;
    if (now_ms - director->asked_ms > RATES_WANTED_MS && n_counters(director->config) > RATES_CHEAP)
        return;
    director->rates_ms = now_ms;
    for (size_t i = 0; i < director->config->n_services; i++) {
        struct applied_service *service = applied_find(director->applied, &director->config->services[i]);
        struct lb_counters total;

        if (!service)
            continue;
        total = applied_service_total(director->applied, service);
        take_rate(&service->rate, &service->last, &total, passed);
        HASHMAP_FOREACH(node, &service->servers) {
            struct applied_server *server = CONTAINER_OF(node, struct applied_server, by_id);

            total = applied_server_total(director->applied, server);
            take_rate(&server->rate, &server->last, &total, passed);
        }
    }
}

/* ---- the state -------------------------------------------------------------------------------------------------------------------------- */

static struct director_traffic traffic(const struct lb_counters *counters)
{
    return (struct director_traffic){.connections = counters->connections, .packets_in = counters->in_packets,
                                     .packets_out = counters->out_packets, .bytes_in = counters->in_bytes, .bytes_out = counters->out_bytes};
}

static void server_said(const struct director *director, const struct applied_service *service, const struct real_server *real,
                        const struct judged_server *judged, struct server_state *ret)
{
    const struct applied_server *server = service ? applied_find_server(service, real) : NULL;
    struct lb_counters total;

    ret->address = real->address;
    ret->port = real->port;
    ret->is_up = judged->is_up;
    ret->weight = server ? server->weight : real->weight;
    ret->is_used = false;
    if (!server || server->number == LB_NONE) /* It found no place in the tables yet. */
        return;
    ret->is_used = server->is_used;
    total = applied_server_total(director->applied, server);
    ret->total = traffic(&total);
    ret->rate = traffic(&server->rate);
    ret->active = director->tables->server_load[server->number].active;
    ret->inactive = director->tables->server_load[server->number].inactive;
    ret->persistent = director->tables->server_load[server->number].persistent;
}

/* 'ret' has room for all, and for the sorry server. */
static void servers_said(const struct director *director, const struct applied_service *service, const struct virtual_service *virtual,
                         struct server_state *ret)
{
    size_t index = (size_t)(virtual - director->config->services), n = virtual->n_servers;
    const struct judged_service *judged = director_health_service(director->health, index);
    char reason[DIRECTOR_REASON_SIZE];

    for (size_t i = 0; i < n; i++) {
        server_said(director, service, &virtual->servers[i], &judged->servers[i], &ret[i]);
        string_copy(ret[i].reason, sizeof(ret[i].reason), director_health_reason(director->health, index, i, reason));
    }
    if (virtual->has_sorry_server) {
        server_said(director, service, &virtual->sorry_server, &judged->servers[n], &ret[n]);
        ret[n].is_sorry = ret[n].is_up = true; /* It is not asked. */
    }
}

static int service_said(const struct director *director, const struct virtual_service *virtual, struct service_state *ret)
{
    const struct applied_service *service = applied_find(director->applied, virtual);
    size_t index = (size_t)(virtual - director->config->services);
    struct server_state *servers;
    struct lb_counters total;

    ret->mark = virtual->mark;
    ret->ipv6 = virtual->ipv6;
    ret->protocol = virtual->protocol;
    ret->port = virtual->port;
    ret->address = virtual->address;
    ret->has_quorum = director_health_service(director->health, index)->has_quorum;
    if (service) {
        total = applied_service_total(director->applied, service);
        ret->total = traffic(&total);
        ret->rate = traffic(&service->rate);
    }
    servers = calloc(virtual->n_servers + 1, sizeof(*servers));
    if (!servers)
        return -ENOMEM;
    servers_said(director, service, virtual, servers);
    ret->servers = servers;
    ret->n_servers = virtual->n_servers + virtual->has_sorry_server;
    return 0;
}

static int state_said(struct director *director, const struct virtual_service *only, struct director_state *ret)
{
    const struct director_config *config = director->config;

    string_copy(ret->config_path, sizeof(ret->config_path), director->options.config_path);
    string_copy(ret->config_error, sizeof(ret->config_error), director->config_error);
    if (!config || !director->applied)
        return 0;
    ret->connections = lb_read_connections(director->tables);
    ret->services = calloc(config->n_services ? config->n_services : 1, sizeof(*ret->services));
    if (!ret->services)
        return -ENOMEM;
    for (size_t i = 0; i < config->n_services; i++)
        if (!only || virtual_service_same_key(only, &config->services[i])) {
            int result = service_said(director, &config->services[i], &ret->services[ret->n_services++]);

            if (result < 0)
                return result;
        }
    return 0;
}

static json_t *answer_state(struct director *director, const struct virtual_service *only, struct error *error)
{
    _cleanup_(director_state_clear) struct director_state state = {0};
    json_t *answer = NULL;

    director->asked_ms = clock_monotonic_ms();
    if (state_said(director, only, &state) == 0)
        answer = director_state_encode(&state);
    if (!answer)
        error_set(error, -ENOMEM, NULL, "out of memory");
    return answer;
}

/* ---- the other questions ------------------------------------------------------------------------------------------------------------------ */

static const char *state_name(uint32_t state)
{
    static const char *const names[] = {"NONE", "SYN_RECV", "ESTABLISHED", "FIN_WAIT", "CLOSE", "UDP"};

    return state < ARRAY_SIZE(names) ? names[state] : "NONE";
}

/* What is left of a template's time; it may be held longer, for its connections. */
static uint32_t persistence_s(const struct lb_tables *tables, const struct lb_conn *conn)
{
    const struct lb_service_record *record = &tables->services[conn->service];
    uint32_t seconds = record->copy[record->active & 1].persistence_s;

    return conn->is_proven ? seconds : MIN(seconds, LB_SYN_RECV_S);
}

static uint32_t seconds_left(const struct lb_tables *tables, const struct lb_conn *conn)
{
    const struct lb_settings *settings = tables->settings;
    struct timespec now;
    uint64_t silence_ns, seconds = conn->state == LB_CONN_SYN_RECV      ? LB_SYN_RECV_S
                                   : conn->state == LB_CONN_TEMPLATE    ? persistence_s(tables, conn)
                                   : conn->state == LB_CONN_ESTABLISHED ? settings->tcp_s
                                   : conn->state == LB_CONN_FIN_WAIT    ? settings->tcp_fin_s
                                   : conn->state == LB_CONN_UDP         ? settings->udp_s
                                                                        : LB_CLOSE_S;

    clock_gettime(CLOCK_MONOTONIC, &now);
    silence_ns = (uint64_t)((uint32_t)(((uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec) >> LB_TIME_SHIFT) - conn->last_seen)
                 << LB_TIME_SHIFT;
    return silence_ns / 1000000000 < seconds ? (uint32_t)(seconds - silence_ns / 1000000000) : 0;
}

static void connection_said(const struct lb_tables *tables, const struct lb_conn_key *key, const struct lb_conn *conn,
                            struct director_connection *ret)
{
    const struct lb_server_record *server = &tables->servers[conn->server];

    *ret = (struct director_connection){.protocol = key->protocol, .expires_s = seconds_left(tables, conn), .is_persistence = key->is_template,
                                        .client_port = ntohs(key->client_port), .service_port = ntohs(key->port),
                                        .server_port = ntohs(conn->server_port)};
    string_copy(ret->state, sizeof(ret->state), state_name(conn->state));
    memcpy(ret->client.bytes, key->client, 16);
    memcpy(ret->service.bytes, key->address, 16);
    memcpy(ret->server.bytes, server->copy[server->active & 1].address, 16);
}

static json_t *answer_connections(const struct director *director, const json_t *request, struct error *error)
{
    json_int_t max = json_integer_value(json_object_get(request, "max"));
    size_t limit = max > 0 ? (size_t)max : DIRECTOR_CONNECTIONS_DEFAULT_MAX, n_room = MIN(limit, LB_CONNECTIONS);
    _cleanup_(freep) struct director_connection *list = calloc(n_room, sizeof(*list));
    struct director_connections all = {.connections = list};
    json_t *answer = NULL;

    for (uint32_t i = 0; list && director->tables && i < LB_SLOTS; i++) {
        const struct lb_slot *slot = &director->tables->conn_slots[i];
        struct lb_conn_key key = slot->key;
        struct lb_conn conn;

        if (slot->state != LB_SLOT_USED || key.of_server || lb_read_connection(director->tables, &key, &conn) < 0 ||
            conn.state == LB_CONN_NONE || conn.state >= LB_CONN_DEAD || conn.server >= director->tables->sizes.n_servers ||
            conn.service >= director->tables->sizes.n_services)
            continue;
        if (all.n_connections == n_room) {
            all.is_cut = true;
            break;
        }
        connection_said(director->tables, &key, &conn, &list[all.n_connections++]);
    }
    if (list)
        answer = director_connections_encode(&all);
    if (!answer)
        error_set(error, -ENOMEM, NULL, "out of memory");
    return answer;
}

static json_t *answer_zero(struct director *director, const struct virtual_service *only, struct error *error)
{
    bool found = false;

    for (size_t i = 0; director->config && director->applied && i < director->config->n_services; i++) {
        const struct virtual_service *virtual = &director->config->services[i];
        struct applied_service *service = !only || virtual_service_same_key(only, virtual) ? applied_find(director->applied, virtual) : NULL;

        if (!service)
            continue;
        found = true;
        applied_zero(director->applied, service);
    }
    if (only && !found) {
        error_set(error, -ENOENT, "service", "there is no such service");
        return NULL;
    }
    return json_pack("{s:b}", "ok", 1);
}

/* {"drops": {"no_neighbor": {"packets": 3, "text": "the next hop's MAC is not known"}}}, those that there were. */
static json_t *answer_drops(const struct director *director, struct error *error)
{
    static const struct {
        const char *name, *text;
    } reasons[] = {
        {"", ""},
#define DROP_REASON(name, text) {#name, text},
#include "weft/director/drop-reasons.def"
#undef DROP_REASON
    };
    struct lb_drops drops = {0};
    json_t *all = json_object();

    if (director->tables)
        lb_read_drops(director->tables, &drops);
    for (size_t i = 1; i < ARRAY_SIZE(reasons); i++)
        if (drops.packets[i])
            json_object_set_new(all, reasons[i].name,
                                json_pack("{s:I,s:s}", "packets", (json_int_t)drops.packets[i], "text", reasons[i].text));
    return json_pack("{s:o}", "drops", all);
}

static json_t *rows_said(const struct applied_service *applied, const struct virtual_service *virtual, uint64_t now_ms)
{
    _cleanup_(freep) uint32_t *n_rows = calloc(virtual->n_servers + 1, sizeof(*n_rows));
    json_t *servers = json_array();
    uint32_t n = n_rows ? applied_rows_of(applied, virtual, n_rows) : 0;

    for (size_t i = 0; n && i < virtual->n_servers; i++)
        json_array_append_new(servers, json_integer(n_rows[i]));
    return json_pack("{s:o,s:I,s:o,s:I,s:o}", "service", service_key_encode(virtual), "rows", (json_int_t)n, "servers", servers, "moved",
                     (json_int_t)applied->n_moved, "moved_ms_ago",
                     applied->moved_ms ? json_integer((json_int_t)(now_ms - applied->moved_ms)) : json_null());
}

/* {"services": [{"service": KEY, "rows": 1021, "servers": [511, 510], "moved": 510, "moved_ms_ago": 1200}]}: of hash services how many rows each
 * server has, in the file's order, how many the last change moved, and when. */
static json_t *answer_rows(const struct director *director, const struct virtual_service *only)
{
    json_t *services = json_array();
    uint64_t now_ms = clock_monotonic_ms();

    for (size_t i = 0; director->config && director->applied && i < director->config->n_services; i++) {
        const struct virtual_service *virtual = &director->config->services[i];
        const struct applied_service *applied = !only || virtual_service_same_key(only, virtual) ? applied_find(director->applied, virtual) : NULL;

        if (applied && applied->rows)
            json_array_append_new(services, rows_said(applied, virtual, now_ms));
    }
    return json_pack("{s:o}", "services", services);
}

json_t *director_answer(struct director *director, const json_t *request, struct error *error)
{
    const char *operation = json_string_value(json_object_get(request, "operation"));
    const json_t *service = json_object_get(request, "service");
    struct virtual_service only = {0};

    if (service && service_key_decode(service, &only, error) < 0) {
        error_prefix_field(error, "service");
        return NULL;
    }
    if (!operation)
        error_set(error, -EINVAL, "operation", "operation: missing");
    else if (streq(operation, "director"))
        return answer_state(director, service ? &only : NULL, error);
    else if (streq(operation, "director-connections"))
        return answer_connections(director, request, error);
    else if (streq(operation, "director-zero"))
        return answer_zero(director, service ? &only : NULL, error);
    else if (streq(operation, "director-drops"))
        return answer_drops(director, error);
    else if (streq(operation, "director-rows"))
        return answer_rows(director, service ? &only : NULL);
    else
        error_set(error, -EINVAL, "operation", "operation: '%s' is not one of a director", operation);
    return NULL;
}
