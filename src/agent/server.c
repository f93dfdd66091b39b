/* agent.sock: a JSON object a line in, a JSON object a line out. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "weft/agent/agent.h"
#include "weft/base/buffer.h"
#include "weft/base/log.h"

#define REQUEST_MAX_SIZE (1u << 20)

struct server {
    uv_pipe_t pipe;
    struct agent *agent;
    char *path;
};

struct client {
    uv_pipe_t pipe;
    struct agent *agent;
    struct buffer received;
    char chunk[16384];
};

struct answer_write {
    uv_write_t request;
    char *text;
};

/* ---- plugging --------------------------------------------------------------------------------------------------------------- */

static json_t *plug(struct agent *agent, const json_t *request, struct error *error)
{
    const char *port_id = json_string_value(json_object_get(request, "port"));
    const char *interface = json_string_value(json_object_get(request, "interface"));
    const struct link *link = interface ? links_find_name(&agent->links, interface) : NULL;
    bool force = json_is_true(json_object_get(request, "force"));
    int result;

    if (!port_id || !uuid_is_valid(port_id)) {
        error_set(error, -EINVAL, "port", "port: '%s' is not a port's id", port_id ? port_id : "");
        return NULL;
    }
    if (!interface || !link) {
        error_set(error, -ENODEV, "interface", "interface: '%s' does not exist", interface ? interface : "");
        return NULL;
    }
    if (agent_check_interface(agent, link, force, error) < 0)
        return NULL;
    result = local_plug(&agent->local, interface, port_id, force);
    if (result < 0) {
        error_set(error, result, "interface", "interface: cannot remember '%s': %s", interface, strerror(-result));
        return NULL;
    }
    agent_schedule_update(agent);
    return json_pack("{s:b}", "ok", 1);
}

static json_t *unplug(struct agent *agent, const json_t *request, struct error *error)
{
    const char *port_id = json_string_value(json_object_get(request, "port"));
    const char *interface = json_string_value(json_object_get(request, "interface"));
    const struct plug *plugged = port_id ? local_plug_of_port(&agent->local, port_id)
                                 : interface ? local_plug_of_interface(&agent->local, interface) : NULL;
    char name[16];

    if (!plugged) {
        error_set(error, -ENOENT, port_id ? "port" : "interface", "%s: '%s' is not plugged", port_id ? "port" : "interface",
                  port_id ? port_id : interface ? interface : "");
        return NULL;
    }
    string_copy(name, sizeof(name), plugged->interface);
    local_unplug(&agent->local, name);
    agent_schedule_update(agent);
    return json_pack("{s:b}", "ok", 1);
}

/* ---- one request ---------------------------------------------------------------------------------------------------------------- */

static json_t *answer_line(struct agent *agent, const char *line, size_t size)
{
    struct error error = {0};
    json_error_t where;
    json_t *request = json_loadb(line, size, 0, &where), *answer = NULL;
    const char *operation = json_string_value(json_object_get(request, "operation"));

    if (!request)
        error_set(&error, -EINVAL, NULL, "not a JSON object: %s", where.text);
    else if (!operation)
        error_set(&error, -EINVAL, "operation", "operation: missing");
    else if (streq(operation, "plug"))
        answer = plug(agent, request, &error);
    else if (streq(operation, "unplug"))
        answer = unplug(agent, request, &error);
    else {
        const json_t *arguments = json_object_get(request, "arguments");

        answer = agent_answer(agent, operation, arguments ? arguments : request, &error);
    }
    json_decref(request);
    return answer ? answer : json_pack("{s:s}", "error", error.message);
}

static void closed(uv_handle_t *handle)
{
    struct client *client = handle->data;

    buffer_clear(&client->received);
    free(client);
}

static void close_client(struct client *client)
{
    if (!uv_is_closing((uv_handle_t *)&client->pipe))
        uv_close((uv_handle_t *)&client->pipe, closed);
}

static void written(uv_write_t *request, int status)
{
    struct answer_write *answer = CONTAINER_OF(request, struct answer_write, request);

    free(answer->text);
    free(answer);
}

static void send_answer(struct client *client, json_t *json)
{
    struct answer_write *answer = calloc(1, sizeof(*answer));
    char *text = json_dumps(json, JSON_COMPACT);
    size_t size = text ? strlen(text) : 0;

    json_decref(json);
    if (!answer || !text) {
        free(answer);
        free(text);
        close_client(client);
        return;
    }
    text[size] = '\n'; /* In place of the end: what is written has a size. */
    answer->text = text;
    if (uv_write(&answer->request, (uv_stream_t *)&client->pipe, &(uv_buf_t){text, size + 1}, 1, written) < 0) {
        written(&answer->request, 0);
        close_client(client);
    }
}

static void allocate(uv_handle_t *handle, size_t suggested, uv_buf_t *buffer)
{
    struct client *client = handle->data;

    *buffer = uv_buf_init(client->chunk, sizeof(client->chunk));
}

static void received(uv_stream_t *stream, ssize_t size, const uv_buf_t *buffer)
{
    struct client *client = stream->data;
    const char *end;

    if (size < 0 || client->received.size + (size_t)size > REQUEST_MAX_SIZE ||
        buffer_append(&client->received, buffer->base, (size_t)size) < 0) {
        close_client(client);
        return;
    }
    while (client->received.size && (end = memchr(client->received.data, '\n', client->received.size))) {
        size_t line = (size_t)(end - client->received.data);

        if (line)
            send_answer(client, answer_line(client->agent, client->received.data, line));
        buffer_consume(&client->received, line + 1);
    }
}

static void connected(uv_stream_t *stream, int status)
{
    struct server *server = stream->data;
    struct client *client;

    if (status < 0)
        return;
    client = calloc(1, sizeof(*client));
    if (!client)
        return;
    client->agent = server->agent;
    uv_pipe_init(stream->loop, &client->pipe, 0);
    client->pipe.data = client;
    if (uv_accept(stream, (uv_stream_t *)&client->pipe) < 0 ||
        uv_read_start((uv_stream_t *)&client->pipe, allocate, received) < 0)
        close_client(client);
}

/* The lock on the state directory says that no other agent runs: a socket that is there was left behind. */
int server_new(struct agent *agent, const char *path, struct server **ret_server, struct error *error)
{
    struct server *server = calloc(1, sizeof(*server));
    int result;

    if (!server)
        return error_set(error, -ENOMEM, NULL, "out of memory");
    server->agent = agent;
    server->path = strdup(path);
    unlink(path);
    uv_pipe_init(&agent->loop, &server->pipe, 0);
    server->pipe.data = server;
    result = uv_pipe_bind(&server->pipe, path);
    if (result == 0)
        result = uv_listen((uv_stream_t *)&server->pipe, 32, connected);
    *ret_server = server;
    if (result < 0)
        return error_set(error, result, "socket", "socket: cannot listen on '%s': %s", path, uv_strerror(result));
    chmod(path, 0660);
    return 0;
}

static void server_closed(uv_handle_t *handle)
{
    struct server *server = handle->data;

    free(server->path);
    free(server);
}

void server_free(struct server *server)
{
    if (!server)
        return;
    unlink(server->path);
    uv_close((uv_handle_t *)&server->pipe, server_closed);
}
