#include "weft/agent/connections.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "weft/base/buffer.h"
#include "weft/dataplane/connections.h"
#include "weft/model/connection-filter.h"

#define LIMIT_DEFAULT 100
#define LIMIT_MAX 100000

struct question {
    struct agent *agent;
    struct connection_filter filter;
    const struct agent_port *port; /* NULL: any, */
    const char *project;           /* of this project; NULL: any. */
    json_t *list;
    size_t limit;
    bool is_truncated;
    struct buffer keys;            /* struct flow_key: those that end. */
    int result;
};

static struct ip_address address_of(const __u8 bytes[16])
{
    struct ip_address address;

    memcpy(address.bytes, bytes, sizeof(address.bytes));
    return address;
}

static json_t *describe(const struct agent_port *port, const struct port *model, const struct connection *connection, const struct connection_names *inside,
                        const struct connection_names *outside)
{
    char protocol[8], local[IP_TEXT_SIZE], remote[IP_TEXT_SIZE];
    const char *state = connection_state_name(connection->state);
    json_t *json = json_pack("{s:s?, s:s?, s:s, s:s, s:i, s:s, s:i, s:s, s:I, s:I, s:I, s:I, s:I, s:b}", "port_id", port ? port->id : NULL, "project_id",
                             model ? model->object.project_id : NULL, "protocol", connection_protocol_name(connection->protocol, protocol), "local",
                             ip_format(&inside->local, local), "local_port", (int)inside->local_port, "remote", ip_format(&inside->remote, remote),
                             "remote_port", (int)inside->remote_port, "state", state ? state : "unknown", "tx_packets",
                             (json_int_t)connection->packets[0], "tx_bytes", (json_int_t)connection->bytes[0], "rx_packets",
                             (json_int_t)connection->packets[1], "rx_bytes", (json_int_t)connection->bytes[1], "idle_ms",
                             (json_int_t)connection->idle_ms, "translated", outside != NULL);

    if (json && outside) {
        json_object_set_new(json, "outside_local", json_string(ip_format(&outside->local, local)));
        json_object_set_new(json, "outside_local_port", json_integer(outside->local_port));
        json_object_set_new(json, "outside_remote", json_string(ip_format(&outside->remote, remote)));
        json_object_set_new(json, "outside_remote_port", json_integer(outside->remote_port));
    }
    return json;
}

static int take(const struct connection *connection, void *context)
{
    struct question *question = context;
    const struct agent_port *port = agent_find_slot(question->agent, connection->slot);
    const struct port *model = port ? agent_model_port(question->agent, port) : NULL;
    const struct connection_names inside = {address_of(connection->local), address_of(connection->remote), ntohs(connection->local_port),
                                            ntohs(connection->remote_port)};
    const struct connection_names outside = {address_of(connection->outside_local), address_of(connection->outside_remote),
                                             ntohs(connection->outside_local_port), ntohs(connection->outside_remote_port)};
    const struct connection_names *translated = connection->is_translated ? &outside : NULL;

    if (question->project && (!model || !streq(model->object.project_id, question->project)))
        return 0;
    if (!connection_filter_fits(&question->filter, connection->protocol, connection->state, &inside, translated))
        return 0;
    if (!question->list) {
        question->result = buffer_append(&question->keys, (const char *)&connection->key, sizeof(connection->key));
        return question->result < 0;
    }
    question->is_truncated = json_array_size(question->list) >= question->limit;
    if (!question->is_truncated)
        json_array_append_new(question->list, describe(port, model, connection, &inside, translated));
    return question->is_truncated;
}

static int read_question(struct agent *agent, const json_t *arguments, struct question *ret, struct error *error)
{
    const char *id = json_string_value(json_object_get(arguments, "port"));
    const json_t *limit = json_object_get(arguments, "limit");
    json_int_t n = json_is_integer(limit) ? json_integer_value(limit) : LIMIT_DEFAULT;

    *ret = (struct question){.agent = agent, .limit = n < 0 ? 0 : (size_t)MIN(n, LIMIT_MAX)};
    ret->project = json_string_value(json_object_get(arguments, "project"));
    ret->port = id ? agent_find_port(agent, id) : NULL;
    if (id && !ret->port)
        return error_set(error, -ENOENT, "port", "port: '%s' is not on host '%s'", id, agent->options.host);
    return connection_filter_read(&ret->filter, arguments, error);
}

json_t *connections_list(struct agent *agent, const json_t *arguments, struct error *error)
{
    struct question question;

    if (read_question(agent, arguments, &question, error) < 0)
        return NULL;
    question.list = json_array();
    maps_visit_connections(agent->maps, question.port ? question.port->slot : 0, take, &question);
    return json_pack("{s:o, s:b}", "connections", question.list, "truncated", question.is_truncated);
}

/* ---- ending them ------------------------------------------------------------------------------------------------------------------ */

/* Those of one question, until nobody can be reading them any more. */
struct removal {
    uv_timer_t timer;
    struct agent *agent;
    struct buffer keys;
};

static void removal_closed(uv_handle_t *handle)
{
    struct removal *removal = handle->data;

    buffer_clear(&removal->keys);
    free(removal);
}

static void remove_now(uv_timer_t *timer)
{
    struct removal *removal = timer->data;

    for (size_t at = 0; at + sizeof(struct flow_key) <= removal->keys.size; at += sizeof(struct flow_key)) {
        struct flow_key key;

        memcpy(&key, removal->keys.data + at, sizeof(key));
        maps_remove_connection(removal->agent->maps, &key);
    }
    uv_close((uv_handle_t *)timer, removal_closed);
}

/* Takes over 'keys'. */
static void remove_later(struct agent *agent, struct buffer *keys)
{
    struct removal *removal = calloc(1, sizeof(*removal));

    if (!removal) {
        buffer_clear(keys); /* The sweeper finds them. */
        return;
    }
    removal->agent = agent;
    removal->keys = *keys;
    *keys = (struct buffer){0};
    removal->timer.data = removal;
    uv_timer_init(&agent->loop, &removal->timer);
    uv_update_time(&agent->loop);
    uv_timer_start(&removal->timer, remove_now, END_PAUSE_MS, 0);
}

json_t *connections_delete(struct agent *agent, const json_t *arguments, struct error *error)
{
    struct question question;
    json_int_t n = 0;

    if (read_question(agent, arguments, &question, error) < 0)
        return NULL;
    maps_visit_connections(agent->maps, question.port ? question.port->slot : 0, take, &question);
    for (size_t at = 0; question.result == 0 && at < question.keys.size; at += sizeof(struct flow_key)) {
        struct flow_key key;
        int result;

        memcpy(&key, question.keys.data + at, sizeof(key));
        result = maps_end_connection(agent->maps, &key);
        if (result < 0)
            question.result = result;
        else
            n += result;
    }
    remove_later(agent, &question.keys);
    if (question.result < 0) {
        error_set(error, question.result, NULL, "cannot end connections: %s", strerror(-question.result));
        return NULL;
    }
    return json_pack("{s:I}", "deleted", n);
}
