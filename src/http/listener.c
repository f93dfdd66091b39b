/* A listener: the daemon's epoll descriptor sits in a uv_poll; there are no threads.  A request whose handler has not answered is a
 * suspended connection; so is a stream with nothing to send (exchange.c). */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "weft/base/clock.h"
#include "weft/base/log.h"
#include "weft/base/util.h"
#include "weft/http/exchange.h"
#include "weft/http/socket.h"
#include "weft/http/transport.h"

#define CONNECTION_MEMORY (32 << 10) /* Bytes for a request's header, and for the pieces of an answer. */
#define SWEEP_MS 2000

/* --- Connections. --- */

static void connection_changed(void *context, struct MHD_Connection *mhd, void **socket_context, enum MHD_ConnectionNotificationCode code)
{
    struct http *http = context;
    struct connection *connection = *socket_context;

    if (code == MHD_CONNECTION_NOTIFY_STARTED) {
        const union MHD_ConnectionInfo *info = MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CONNECTION_FD);

        connection = calloc(1, sizeof(*connection));
        *socket_context = connection;
        if (!connection || !info)
            return;
        connection->fd = info->connect_fd;
        connection->deadline_ms = clock_monotonic_ms() + HTTP_REQUEST_TIMEOUT_MS;
        connection->next = &http->connections;
        connection->previous = http->connections.previous;
        connection->previous->next = connection;
        http->connections.previous = connection;
    } else if (connection) {
        if (connection->next) {
            connection->next->previous = connection->previous;
            connection->previous->next = connection->next;
        }
        free(connection);
        *socket_context = NULL;
    }
}

/* --- The loop. --- */

static void timer_fired(uv_timer_t *timer);

static void run(struct http *http)
{
    MHD_UNSIGNED_LONG_LONG timeout_ms;

    http->has_work = false;
    MHD_run(http->daemon);
    if (MHD_get_timeout(http->daemon, &timeout_ms) != MHD_YES)
        timeout_ms = 1000;
    if (http->has_work)
        timeout_ms = 0;
    uv_timer_start(&http->timer, timer_fired, timeout_ms, 0);
}

static void readable(uv_poll_t *poll, int status, int events)
{
    run(poll->data);
}

static void timer_fired(uv_timer_t *timer)
{
    run(timer->data);
}

static void before_polling(uv_prepare_t *prepare)
{
    struct http *http = prepare->data;

    if (http->has_work)
        run(http);
}

/* Cuts who sends a request too slowly or holds an idle connection. */
static void sweep(uv_timer_t *timer)
{
    struct http *http = timer->data;
    uint64_t now_ms = clock_monotonic_ms();

    for (struct connection *connection = http->connections.next; connection != &http->connections; connection = connection->next)
        if (connection->deadline_ms && connection->deadline_ms < now_ms) {
            shutdown(connection->fd, SHUT_RDWR);
            connection->deadline_ms = 0;
        }
}

/* --- Start and end. --- */

static void library_says(void *context, const char *format, va_list arguments)
{
    struct http *http = context;
    char message[300];

    vsnprintf(message, sizeof(message), format, arguments);
    message[strcspn(message, "\n")] = '\0';
    free(http->last_message);
    http->last_message = strdup(message);
    log_debug("http: %s", message);
}

static size_t no_unescape(void *context, struct MHD_Connection *mhd, char *text)
{
    return strlen(text);
}

static int read_file(const char *path, const char *option, char **ret_text, struct error *error)
{
    _cleanup_(freep) char *text = NULL;
    _cleanup_(closep) int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat info;
    ssize_t n;

    if (fd < 0 || fstat(fd, &info) < 0)
        return error_set(error, -errno, option, "'%s': %s", path, strerror(errno));
    if (info.st_size > 1 << 20)
        return error_set(error, -E2BIG, option, "'%s' is larger than 1 MiB", path);
    text = calloc(1, (size_t)info.st_size + 1);
    if (!text)
        return error_set(error, -ENOMEM, option, "out of memory");
    n = read(fd, text, (size_t)info.st_size);
    if (n < 0)
        return error_set(error, -errno, option, "'%s': %s", path, strerror(errno));
    *ret_text = TAKE_PTR(text);
    return 0;
}

static int start_daemon(struct http *http, const struct http_options *options, struct error *error)
{
    _cleanup_(freep) char *certificate = NULL;
    _cleanup_(freep) char *key = NULL;
    struct MHD_OptionItem tls[4] = {{MHD_OPTION_END, 0, NULL}};
    unsigned flags = MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG;
    struct listening listening;
    int r;

    if (options->tls_certificate || options->tls_key) {
        if (!options->tls_certificate || !options->tls_key)
            return error_set(error, -EINVAL, options->tls_key ? "tls-certificate" : "tls-key", "is needed too");
        r = read_file(options->tls_certificate, "tls-certificate", &certificate, error);
        if (r == 0)
            r = read_file(options->tls_key, "tls-key", &key, error);
        if (r < 0)
            return r;
        tls[0] = (struct MHD_OptionItem){MHD_OPTION_HTTPS_MEM_CERT, 0, certificate};
        tls[1] = (struct MHD_OptionItem){MHD_OPTION_HTTPS_MEM_KEY, 0, key};
        tls[2] = (struct MHD_OptionItem){MHD_OPTION_HTTPS_PRIORITIES, 0, "NORMAL:-VERS-TLS1.0:-VERS-TLS1.1"};
        tls[3] = (struct MHD_OptionItem){MHD_OPTION_END, 0, NULL};
        flags |= MHD_USE_TLS;
        http->is_tls = true;
    }
    r = socket_listen(options->listen, options->listen_option ? options->listen_option : "listen", options->device, &listening, error);
    if (r < 0)
        return r;
    http->is_loopback = listening.is_loopback;
    snprintf(http->url, sizeof(http->url), "%s://%s", http->is_tls ? "https" : "http", listening.text);
    http->daemon = MHD_start_daemon(flags, 0, NULL, NULL, exchange_receive, http,
                                    MHD_OPTION_EXTERNAL_LOGGER, library_says, http,
                                    MHD_OPTION_LISTEN_SOCKET, listening.fd,
                                    MHD_OPTION_CONNECTION_LIMIT,
                                    options->max_connections ? options->max_connections : (unsigned)HTTP_MAX_CONNECTIONS,
                                    MHD_OPTION_PER_IP_CONNECTION_LIMIT, options->max_client_connections,
                                    MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)(HTTP_IDLE_TIMEOUT_MS / 1000),
                                    MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)CONNECTION_MEMORY,
                                    MHD_OPTION_URI_LOG_CALLBACK, exchange_request_line, http,
                                    MHD_OPTION_UNESCAPE_CALLBACK, no_unescape, NULL,
                                    MHD_OPTION_NOTIFY_COMPLETED, exchange_completed, http,
                                    MHD_OPTION_NOTIFY_CONNECTION, connection_changed, http,
                                    MHD_OPTION_ARRAY, tls, MHD_OPTION_END);
    if (key)
        explicit_bzero(key, strlen(key));
    if (!http->daemon) {
        close(listening.fd);
        return error_set(error, -EINVAL, http->is_tls ? "tls-certificate" : "listen", "cannot serve: %s",
                         http->last_message ? http->last_message : "unknown reason");
    }
    return 0;
}

int http_new(uv_loop_t *loop, const struct http_service *service, const struct http_options *options, struct http **ret_http,
             struct error *error)
{
    struct http *http = calloc(1, sizeof(*http));
    const union MHD_DaemonInfo *info;
    int r;

    if (!http)
        return error_set(error, -ENOMEM, NULL, "out of memory");
    http->service = service;
    http->connections.next = http->connections.previous = &http->connections;
    r = start_daemon(http, options, error);
    if (r < 0) {
        free(http->last_message);
        free(http);
        return r;
    }
    info = MHD_get_daemon_info(http->daemon, MHD_DAEMON_INFO_EPOLL_FD);
    uv_poll_init(loop, &http->poll, info->epoll_fd);
    uv_prepare_init(loop, &http->prepare);
    uv_timer_init(loop, &http->timer);
    uv_timer_init(loop, &http->sweep);
    http->poll.data = http->prepare.data = http->timer.data = http->sweep.data = http;
    http->n_handles = 4;
    uv_poll_start(&http->poll, UV_READABLE, readable);
    uv_prepare_start(&http->prepare, before_polling);
    uv_timer_start(&http->sweep, sweep, SWEEP_MS, SWEEP_MS);
    http->has_work = true;
    *ret_http = http;
    return 0;
}

static void handle_closed(uv_handle_t *handle)
{
    struct http *http = handle->data;

    if (--http->n_handles == 0) {
        free(http->last_message);
        free(http);
    }
}

void http_free(struct http *http)
{
    if (!http)
        return;
    http->is_closing = true;
    uv_poll_stop(&http->poll);
    exchange_resume_all(http);
    MHD_run(http->daemon);
    MHD_stop_daemon(http->daemon);
    uv_close((uv_handle_t *)&http->poll, handle_closed);
    uv_close((uv_handle_t *)&http->prepare, handle_closed);
    uv_close((uv_handle_t *)&http->timer, handle_closed);
    uv_close((uv_handle_t *)&http->sweep, handle_closed);
}

const char *http_url(const struct http *http)
{
    return http->url;
}

bool http_is_loopback(const struct http *http)
{
    return http->is_loopback;
}
