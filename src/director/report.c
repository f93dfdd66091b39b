#include <arpa/inet.h>
#include <errno.h>
#include <string.h>
#include <time.h>

#include "weft/base/clock.h"
#include "weft/director/inquiry.h"
#include "weft/director/peer-rows.h"
#include "weft/director/runtime-state.h"

/* What is gathered at a time, about a millisecond's work each. */
#define STRETCH_SERVERS 500
#define STRETCH_ROWS 65536
#define STRETCH_SLOTS 16384
#define STRETCH_CONNECTIONS 1000

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
    ret->active = lb_count(director->tables->server_load[server->number].active);
    ret->inactive = lb_count(director->tables->server_load[server->number].inactive);
    ret->persistent = lb_count(director->tables->server_load[server->number].persistent);
}

/* The servers from inquiry->server on, up to 'end'; behind them all comes the sorry server. */
static void servers_said(const struct director *director, const struct applied_service *service, const struct virtual_service *virtual, size_t begin,
                         size_t end, struct server_state *ret)
{
    size_t index = (size_t)(virtual - director->config->services), n = virtual->n_servers;
    const struct judged_service *judged = director_health_service(director->health, index);
    char reason[DIRECTOR_REASON_SIZE];

    for (size_t i = begin; i < MIN(end, n); i++) {
        server_said(director, service, &virtual->servers[i], &judged->servers[i], &ret[i]);
        string_copy(ret[i].reason, sizeof(ret[i].reason), director_health_reason(director->health, index, i, reason));
    }
    if (end > n) {
        server_said(director, service, &virtual->sorry_server, &judged->servers[n], &ret[n]);
        ret[n].is_sorry = ret[n].is_up = true; /* It is not asked. */
    }
}

static int service_said(const struct director *director, const struct virtual_service *virtual, struct service_state *ret)
{
    const struct applied_service *service = applied_find(director->applied, virtual);
    size_t index = (size_t)(virtual - director->config->services);
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
    if (service && director->peer) {
        enum peer_agreement agreement = peer_rows_agree(peer_rows_of(director->peer), &service->key);

        ret->has_pair = agreement != PEER_UNKNOWN;
        ret->has_same_rows = agreement == PEER_AGREES;
    }
    ret->servers = calloc(virtual->n_servers + 1, sizeof(*ret->servers));
    return ret->servers ? 0 : -ENOMEM;
}

static int begin_state(const struct director *director, struct director_state *ret)
{
    string_copy(ret->config_path, sizeof(ret->config_path), director->options.config_path);
    string_copy(ret->config_error, sizeof(ret->config_error), director->config_error);
    ret->connections = director->tables ? lb_read_connections(director->tables) : 0;
    ret->services = calloc(director->config ? director->config->n_services + 1 : 1, sizeof(*ret->services));
    return ret->services ? 0 : -ENOMEM;
}

/* Some servers more of the service where the inquiry is, at most 'most'.  How many, or -ENOMEM. */
static ssize_t more_said(const struct director *director, const struct virtual_service *virtual, struct inquiry *inquiry, size_t most)
{
    size_t n = virtual->n_servers + virtual->has_sorry_server, begin = inquiry->server, end = begin + MIN(most, n - begin);
    struct service_state *state = inquiry->is_within ? &inquiry->state.services[inquiry->state.n_services - 1]
                                                     : &inquiry->state.services[inquiry->state.n_services++];
    int result = inquiry->is_within ? 0 : service_said(director, virtual, state);

    if (result < 0)
        return result;
    servers_said(director, applied_find(director->applied, virtual), virtual, begin, end, state->servers);
    state->n_servers = inquiry->server = end;
    inquiry->is_within = end < n;
    if (end == n)
        inquiry_next(inquiry);
    return (ssize_t)(end - begin) + 1;
}

static int gather_state(struct director *director, struct inquiry *inquiry)
{
    const struct virtual_service *virtual;
    int result = inquiry->state.services ? 0 : begin_state(director, &inquiry->state);

    for (size_t n = 0; result == 0 && (virtual = inquiry_service(director, inquiry));) {
        ssize_t more = n < STRETCH_SERVERS ? more_said(director, virtual, inquiry, STRETCH_SERVERS - n) : 0;

        if (more <= 0)
            return more < 0 ? (int)more : 1;
        n += (size_t)more;
    }
    return result;
}

static json_t *encode_state(const struct inquiry *inquiry)
{
    return director_state_encode(&inquiry->state);
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

static void connection_said(const struct lb_tables *tables, const struct lb_conn *conn, struct director_connection *ret)
{
    const struct lb_server_record *server = &tables->servers[conn->server];
    const struct lb_conn_key *key = &conn->key;

    *ret = (struct director_connection){.protocol = key->protocol, .expires_s = seconds_left(tables, conn), .is_persistence = key->is_template,
                                        .client_port = ntohs(key->client_port), .service_port = ntohs(key->port),
                                        .server_port = ntohs(conn->server_port)};
    string_copy(ret->state, sizeof(ret->state), state_name(conn->state));
    memcpy(ret->client.bytes, key->client, 16);
    memcpy(ret->service.bytes, key->address, 16);
    memcpy(ret->server.bytes, server->copy[server->active & 1].address, 16);
}

static int gather_connections(struct director *director, struct inquiry *inquiry)
{
    const struct lb_tables *tables = director->tables;
    struct director_connections *all = &inquiry->connections;
    uint32_t n_slots = tables ? lb_slots(tables) : 0, end = inquiry->slot + MIN(STRETCH_SLOTS, n_slots - MIN(inquiry->slot, n_slots));

    if (!all->connections && !(all->connections = calloc(inquiry->most, sizeof(*all->connections))))
        return -ENOMEM;
    for (size_t n = 0; tables && inquiry->slot < end && n < STRETCH_CONNECTIONS; inquiry->slot++) {
        struct lb_conn conn;

        if (!lb_read_connection(tables, inquiry->slot, &conn))
            continue;
        n++;
        all->is_cut = all->n_connections == inquiry->most;
        if (all->is_cut)
            return 0;
        connection_said(tables, &conn, &all->connections[all->n_connections++]);
    }
    return inquiry->slot < n_slots;
}

static json_t *encode_connections(const struct inquiry *inquiry)
{
    return director_connections_encode(&inquiry->connections);
}

/* ---- counters --------------------------------------------------------------------------------------------------------------------------- */

static int gather_zero(struct director *director, struct inquiry *inquiry)
{
    const struct virtual_service *virtual;

    for (size_t n = 0; (virtual = inquiry_service(director, inquiry)); inquiry_next(inquiry)) {
        struct applied_service *service = applied_find(director->applied, virtual);

        if (n >= STRETCH_SERVERS)
            return 1;
        n += 1 + virtual->n_servers;
        if (service)
            applied_zero(director->applied, service);
    }
    return 0;
}

static json_t *encode_zero(const struct inquiry *inquiry)
{
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

static int rows_said(const struct applied_service *applied, const struct virtual_service *virtual, uint64_t now_ms, struct rows_state *ret)
{
    ret->key = (struct virtual_service){.mark = virtual->mark, .ipv6 = virtual->ipv6, .protocol = virtual->protocol, .port = virtual->port,
                                        .address = virtual->address};
    ret->of_servers = calloc(virtual->n_servers + 1, sizeof(*ret->of_servers));
    if (!ret->of_servers)
        return -ENOMEM;
    ret->n_rows = applied_rows_of(applied, virtual, ret->of_servers);
    ret->n_servers = ret->n_rows ? virtual->n_servers : 0;
    ret->n_moved = applied->n_moved;
    ret->has_moved = applied->moved_ms;
    ret->moved_ms_ago = now_ms - applied->moved_ms;
    return 0;
}

static int gather_rows(struct director *director, struct inquiry *inquiry)
{
    const struct virtual_service *virtual;

    if (!inquiry->rows && !(inquiry->rows = calloc(director->config ? director->config->n_services + 1 : 1, sizeof(*inquiry->rows))))
        return -ENOMEM;
    for (size_t n = 0; (virtual = inquiry_service(director, inquiry)); inquiry_next(inquiry)) {
        const struct applied_service *applied = applied_find(director->applied, virtual);
        struct rows_state *ret = &inquiry->rows[inquiry->n_rows];

        if (n >= STRETCH_ROWS)
            return 1;
        if (!applied || !applied->rows)
            continue;
        inquiry->n_rows++;
        if (rows_said(applied, virtual, clock_monotonic_ms(), ret) < 0)
            return -ENOMEM;
        n += ret->n_rows + 100 * virtual->n_servers; /* What a name costs, in rows. */
    }
    return 0;
}

static json_t *encode_service_rows(const struct rows_state *rows)
{
    json_t *servers = json_array();

    for (size_t i = 0; i < rows->n_servers; i++)
        json_array_append_new(servers, json_integer(rows->of_servers[i]));
    return json_pack("{s:o,s:I,s:o,s:I,s:o}", "service", service_key_encode(&rows->key), "rows", (json_int_t)rows->n_rows, "servers", servers, "moved",
                     (json_int_t)rows->n_moved, "moved_ms_ago", rows->has_moved ? json_integer((json_int_t)rows->moved_ms_ago) : json_null());
}

/* {"services": [{"service": KEY, "rows": 1021, "servers": [511, 510], "moved": 510, "moved_ms_ago": 1200}]}: of hash services how many rows each
 * server has, in the file's order, how many the last change moved, and when. */
static json_t *encode_rows(const struct inquiry *inquiry)
{
    json_t *services = json_array();

    for (size_t i = 0; i < inquiry->n_rows; i++)
        json_array_append_new(services, encode_service_rows(&inquiry->rows[i]));
    return json_pack("{s:o}", "services", services);
}

/* ---- which question ---------------------------------------------------------------------------------------------------------------------- */

static const struct inquiry_kind kinds[] = {
    {"director", gather_state, encode_state, .is_of_config = true},
    {"director-rows", gather_rows, encode_rows, .is_of_config = true},
    {"director-zero", gather_zero, encode_zero, .is_of_config = true},
    {"director-connections", gather_connections, encode_connections},
};

static int begin_inquiry(struct director *director, const struct inquiry_kind *kind, const json_t *request, const struct virtual_service *only,
                         struct inquiry **ret, struct error *error)
{
    json_int_t max = json_integer_value(json_object_get(request, "max"));

    if (only && kind->gather == gather_zero && !(director->config && director->applied && applied_find(director->applied, only)))
        return error_set(error, -ENOENT, "service", "there is no such service");
    if (kind->gather == gather_state)
        director->asked_ms = clock_monotonic_ms();
    *ret = inquiry_new(director, kind, only);
    if (!*ret)
        return error_set(error, -ENOMEM, NULL, "out of memory");
    (*ret)->most = MIN(max > 0 ? (size_t)max : DIRECTOR_CONNECTIONS_DEFAULT_MAX, LB_CONNECTIONS_MAX);
    return 0;
}

int director_ask(struct director *director, const json_t *request, json_t **ret_answer, struct inquiry **ret_inquiry, struct error *error)
{
    const char *operation = json_string_value(json_object_get(request, "operation"));
    const json_t *service = json_object_get(request, "service");
    struct virtual_service only = {0};

    *ret_answer = NULL;
    *ret_inquiry = NULL;
    if (service && service_key_decode(service, &only, error) < 0) {
        error_prefix_field(error, "service");
        return -EINVAL;
    }
    if (!operation)
        return error_set(error, -EINVAL, "operation", "operation: missing");
    for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
        if (streq(operation, kinds[i].operation))
            return begin_inquiry(director, &kinds[i], request, service ? &only : NULL, ret_inquiry, error);
    if (!streq(operation, "director-drops"))
        return error_set(error, -EINVAL, "operation", "operation: '%s' is not one of a director", operation);
    *ret_answer = answer_drops(director, error);
    return *ret_answer ? 0 : -ENOMEM;
}
