/* The director's socket: a JSON object a line in, a JSON object a line out. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "weft/base/buffer.h"
#include "weft/director/runtime-state.h"

#define REQUEST_MAX_SIZE 65536u

struct client;

struct serve {
    uv_pipe_t pipe;
    struct director *director;
    struct client *clients;
    char path[108];
};

struct client {
    uv_pipe_t pipe;
    struct serve *serve;
    struct client *next, **self;
    struct buffer received;
    char chunk[4096];
};

struct answer_write {
    uv_write_t request;
    char *text;
};

static void closed(uv_handle_t *handle)
{
    struct client *client = handle->data;

    buffer_clear(&client->received);
    free(client);
}

static void close_client(struct client *client)
{
    if (uv_is_closing((uv_handle_t *)&client->pipe))
        return;
    *client->self = client->next;
    if (client->next)
        client->next->self = client->self;
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

static json_t *answer_line(struct director *director, const char *line, size_t size)
{
    struct error error = {0};
    json_error_t where;
    json_t *request = json_loadb(line, size, 0, &where), *answer = NULL;

    if (json_is_object(request))
        answer = director_answer(director, request, &error);
    else
        error_set(&error, -EINVAL, NULL, "not a JSON object");
    json_decref(request);
    return answer ? answer : json_pack("{s:s}", "error", error.message);
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
            send_answer(client, answer_line(client->serve->director, client->received.data, line));
        buffer_consume(&client->received, line + 1);
    }
}

static void connected(uv_stream_t *stream, int status)
{
    struct serve *serve = stream->data;
    struct client *client = status < 0 ? NULL : calloc(1, sizeof(*client));

    if (!client)
        return;
    client->serve = serve;
    client->next = serve->clients;
    client->self = &serve->clients;
    if (client->next)
        client->next->self = &client->next;
    serve->clients = client;
    uv_pipe_init(stream->loop, &client->pipe, 0);
    client->pipe.data = client;
    if (uv_accept(stream, (uv_stream_t *)&client->pipe) < 0 || uv_read_start((uv_stream_t *)&client->pipe, allocate, received) < 0)
        close_client(client);
}

/* Is somebody listening there?  Then it is another director's. */
static bool is_in_use(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    _cleanup_(closep) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    string_copy(address.sun_path, sizeof(address.sun_path), path);
    return fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0;
}

static void serve_closed(uv_handle_t *handle)
{
    free(handle->data);
}

int serve_new(struct director *director, const char *path, struct serve **ret_serve, struct error *error)
{
    struct serve *serve;
    char folder[108];
    int result;

    if (path[0] != '/' || string_copy(folder, sizeof(folder), path) < 0)
        return error_set(error, -EINVAL, "socket", "socket: '%s' is not an absolute path of at most 107 bytes", path);
    if (is_in_use(path))
        return error_set(error, -EBUSY, "socket", "socket: another director uses '%s'", path);
    *strrchr(folder, '/') = 0;
    if (folder[0])
        mkdir(folder, 0755);
    unlink(path);
    serve = calloc(1, sizeof(*serve));
    if (!serve)
        return error_set(error, -ENOMEM, NULL, "out of memory");
    serve->director = director;
    string_copy(serve->path, sizeof(serve->path), path);
    uv_pipe_init(&director->loop, &serve->pipe, 0);
    serve->pipe.data = serve;
    result = uv_pipe_bind(&serve->pipe, path);
    if (result == 0)
        result = uv_listen((uv_stream_t *)&serve->pipe, 32, connected);
    if (result < 0) {
        uv_close((uv_handle_t *)&serve->pipe, serve_closed);
        return error_set(error, result, "socket", "socket: cannot listen on '%s': %s", path, uv_strerror(result));
    }
    chmod(path, 0660);
    *ret_serve = serve;
    return 0;
}

void serve_free(struct serve *serve)
{
    if (!serve)
        return;
    while (serve->clients)
        close_client(serve->clients);
    unlink(serve->path);
    uv_close((uv_handle_t *)&serve->pipe, serve_closed);
}
