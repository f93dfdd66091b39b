/* The director's socket: a JSON object a line in, a JSON object a line out.  Whoever waits for a long answer is not read from until it is there, so
 * that answers come in the order of the questions. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "weft/base/buffer.h"
#include "weft/director/inquiry.h"
#include "weft/director/runtime-state.h"

#define REQUEST_MAX_SIZE 65536u

struct client;

/* A long answer that is being made: gathered as long as it is first or behind others in serve->gathering, then in a thread. */
struct job {
    uv_work_t work;
    struct job *next;
    struct client *client; /* NULL: it is gone, nobody waits. */
    struct inquiry *inquiry;
    char *text;
};

struct serve {
    uv_pipe_t pipe;
    uv_idle_t idle; /* Runs while something is gathered. */
    struct director *director;
    struct client *clients;
    struct job *gathering; /* Each in turn gets a stretch. */
    unsigned n_open;       /* Handles. */
    char path[108];
};

struct client {
    uv_pipe_t pipe;
    struct serve *serve;
    struct client *next, **self;
    struct job *job; /* What it waits for, or NULL. */
    struct buffer received;
    char chunk[4096];
};

static void answer_lines(struct client *client);

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
    if (client->job)
        client->job->client = NULL;
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

/* Takes the text, which may be NULL: then there was no memory for it. */
static void send_text(struct client *client, char *text)
{
    struct answer_write *answer = calloc(1, sizeof(*answer));
    size_t size = text ? strlen(text) : 0;

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

static void send_answer(struct client *client, json_t *json)
{
    char *text = json_dumps(json, JSON_COMPACT);

    json_decref(json);
    send_text(client, text);
}

/* ---- long answers ------------------------------------------------------------------------------------------------------------------- */

static void job_free(struct job *job)
{
    inquiry_free(job->inquiry);
    free(job->text);
    free(job);
}

/* In a thread. */
static void make_text(uv_work_t *work)
{
    struct job *job = CONTAINER_OF(work, struct job, work);

    job->text = inquiry_text(job->inquiry);
    inquiry_free(TAKE_PTR(job->inquiry));
}

static void text_made(uv_work_t *work, int status)
{
    struct job *job = CONTAINER_OF(work, struct job, work);
    struct client *client = job->client;
    char *text = TAKE_PTR(job->text);

    job_free(job);
    if (!client) {
        free(text);
        return;
    }
    client->job = NULL;
    send_text(client, text);
    answer_lines(client);
}

/* Nobody gets an answer that was not made. */
static void job_abandon(struct job *job)
{
    if (job->client) {
        job->client->job = NULL;
        close_client(job->client);
    }
    job_free(job);
}

static void gather_behind(struct serve *serve, struct job *job)
{
    struct job **place = &serve->gathering;

    while (*place)
        place = &(*place)->next;
    job->next = NULL;
    *place = job;
}

/* A stretch, for whoever's turn it is. */
static void gather(uv_idle_t *idle)
{
    struct serve *serve = idle->data;
    struct job *job = serve->gathering;
    int result = 0;

    if (job) {
        serve->gathering = job->next;
        result = job->client ? inquiry_gather(serve->director, job->inquiry) : -ECANCELED;
        if (result > 0)
            gather_behind(serve, job);
        else if (result < 0 || uv_queue_work(idle->loop, &job->work, make_text, text_made) < 0)
            job_abandon(job);
    }
    if (!serve->gathering)
        uv_idle_stop(idle);
}

static void answer_later(struct client *client, struct inquiry *inquiry)
{
    struct serve *serve = client->serve;
    struct job *job = calloc(1, sizeof(*job));

    if (!job) {
        inquiry_free(inquiry);
        close_client(client);
        return;
    }
    job->client = client;
    job->inquiry = inquiry;
    client->job = job;
    gather_behind(serve, job);
    uv_read_stop((uv_stream_t *)&client->pipe);
    uv_idle_start(&serve->idle, gather);
}

/* ---- requests ----------------------------------------------------------------------------------------------------------------------- */

static void answer_line(struct client *client, const char *line, size_t size)
{
    struct error error = {0};
    json_error_t where;
    json_t *request = json_loadb(line, size, 0, &where), *answer = NULL;
    struct inquiry *inquiry = NULL;

    if (json_is_object(request))
        director_ask(client->serve->director, request, &answer, &inquiry, &error);
    else
        error_set(&error, -EINVAL, NULL, "not a JSON object");
    json_decref(request);
    if (inquiry)
        answer_later(client, inquiry);
    else
        send_answer(client, answer ? answer : json_pack("{s:s}", "error", error.message));
}

static void allocate(uv_handle_t *handle, size_t suggested, uv_buf_t *buffer)
{
    struct client *client = handle->data;

    *buffer = uv_buf_init(client->chunk, sizeof(client->chunk));
}

static void received(uv_stream_t *stream, ssize_t size, const uv_buf_t *buffer)
{
    struct client *client = stream->data;

    if (size < 0 || client->received.size + (size_t)size > REQUEST_MAX_SIZE ||
        buffer_append(&client->received, buffer->base, (size_t)size) < 0) {
        close_client(client);
        return;
    }
    answer_lines(client);
}

/* Those that were received, up to one whose answer is long; then it goes on from there. */
static void answer_lines(struct client *client)
{
    const char *end;

    while (!client->job && !uv_is_closing((uv_handle_t *)&client->pipe) && client->received.size &&
           (end = memchr(client->received.data, '\n', client->received.size))) {
        size_t line = (size_t)(end - client->received.data);

        if (line)
            answer_line(client, client->received.data, line);
        buffer_consume(&client->received, line + 1);
    }
    if (!client->job && !uv_is_closing((uv_handle_t *)&client->pipe) && uv_read_start((uv_stream_t *)&client->pipe, allocate, received) < 0 &&
        !uv_is_active((uv_handle_t *)&client->pipe))
        close_client(client);
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

int director_claim(struct error *error)
{
    static const char name[] = "\0weft-director"; /* No file; it ends with the process. */
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    _cleanup_(closep) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    memcpy(address.sun_path, name, sizeof(name) - 1);
    if (fd >= 0 && bind(fd, (struct sockaddr *)&address, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + sizeof(name) - 1)) == 0)
        return TAKE_FD(fd);
    if (errno == EADDRINUSE)
        return error_set(error, -EBUSY, NULL, "a director runs in this network namespace");
    return error_set(error, -errno, NULL, "cannot claim the network namespace: %s", strerror(errno));
}

static void serve_closed(uv_handle_t *handle)
{
    struct serve *serve = handle->data;

    if (--serve->n_open == 0)
        free(serve);
}

static void close_handles(struct serve *serve)
{
    uv_close((uv_handle_t *)&serve->pipe, serve_closed);
    uv_close((uv_handle_t *)&serve->idle, serve_closed);
}

int serve_new(struct director *director, const char *path, struct serve **ret_serve, struct error *error)
{
    struct serve *serve;
    struct stat status;
    char folder[108];
    int result;

    if (path[0] != '/' || string_copy(folder, sizeof(folder), path) < 0)
        return error_set(error, -EINVAL, "socket", "socket: '%s' is not an absolute path of at most 107 bytes", path);
    if (is_in_use(path))
        return error_set(error, -EBUSY, "socket", "socket: another director uses '%s'", path);
    *strrchr(folder, '/') = 0;
    if (folder[0])
        mkdir(folder, 0755);
    if (lstat(path, &status) == 0 && !S_ISSOCK(status.st_mode))
        return error_set(error, -EEXIST, "socket", "socket: '%s' is there and no socket", path);
    unlink(path);
    serve = calloc(1, sizeof(*serve));
    if (!serve)
        return error_set(error, -ENOMEM, NULL, "out of memory");
    serve->director = director;
    string_copy(serve->path, sizeof(serve->path), path);
    uv_pipe_init(&director->loop, &serve->pipe, 0);
    uv_idle_init(&director->loop, &serve->idle);
    serve->n_open = 2;
    serve->pipe.data = serve->idle.data = serve;
    result = uv_pipe_bind(&serve->pipe, path);
    if (result == 0)
        result = uv_listen((uv_stream_t *)&serve->pipe, 32, connected);
    if (result < 0) {
        close_handles(serve);
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
    while (serve->gathering) {
        struct job *job = serve->gathering;

        serve->gathering = job->next;
        job_free(job);
    }
    unlink(serve->path);
    close_handles(serve);
}
