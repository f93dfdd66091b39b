/* bytes -> exchange (one request of one connection) -> request_dispatch -> answer -> bytes.
 *
 * libmicrohttpd calls 'receive' first with the header, then with pieces of the body, then once more without: there the request is
 * dispatched.  When the handler has not answered by then the connection is suspended, and resumed by 'answered'. */
#include "weft/api/http.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <microhttpd.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "weft/api/request.h"
#include "weft/base/buffer.h"
#include "weft/base/clock.h"
#include "weft/base/log.h"
#include "weft/base/util.h"

#define CONNECTION_MEMORY (32 << 10) /* Bytes for a request's header, and for the pieces of an answer. */
#define STREAM_PIECE (8 << 10)
#define SWEEP_MS 2000
#define BODIES_MAX (256u << 20)      /* Bytes of bodies that are arriving, over all connections. */
#define DISCARD_MAX (16u << 20)      /* A body that is refused is read to its end up to this, so that the client sees the answer. */

struct connection {
    struct connection *next, *previous;
    uint64_t deadline_ms; /* 0 while a request is being handled or a stream runs. */
    int fd;
};

struct exchange {
    struct http *http;
    struct MHD_Connection *mhd;  /* NULL once the connection is gone. */
    struct connection *connection;
    struct request *request;     /* Until dispatched. */
    struct answer answer;
    struct buffer body;
    size_t n_discarded;
    bool is_too_large, is_overload, is_dispatched, is_answered, is_suspended, is_queued;
    struct stream *stream;
    bool stream_is_cut;
    struct exchange *next, *previous; /* Of the suspended ones. */
    char client[INET6_ADDRSTRLEN];
    char method[24];
    char target[];
};

struct http {
    struct api *api;
    struct MHD_Daemon *daemon;
    uv_poll_t poll;
    uv_prepare_t prepare;
    uv_timer_t timer, sweep;
    int n_handles;
    bool has_work, is_closing, is_tls, is_loopback, metrics_only;
    struct connection connections; /* Heads of circular lists. */
    struct exchange *suspended;
    size_t n_body_bytes;           /* See BODIES_MAX. */
    char url[300];
    char *last_message;            /* Of the library, for errors at the start. */
};

/* --- Answers. --- */

static void suspend(struct exchange *exchange)
{
    struct http *http = exchange->http;

    MHD_suspend_connection(exchange->mhd);
    exchange->is_suspended = true;
    exchange->previous = NULL;
    exchange->next = http->suspended;
    if (http->suspended)
        http->suspended->previous = exchange;
    http->suspended = exchange;
}

static void resume(struct exchange *exchange)
{
    struct http *http = exchange->http;

    if (!exchange->is_suspended)
        return;
    exchange->is_suspended = false;
    if (exchange->previous)
        exchange->previous->next = exchange->next;
    else
        http->suspended = exchange->next;
    if (exchange->next)
        exchange->next->previous = exchange->previous;
    MHD_resume_connection(exchange->mhd);
    http->has_work = true;
}

static void body_clear(struct exchange *exchange)
{
    if (exchange->body.size) /* Only then: an exchange that outlives 'http' has handed its body on. */
        exchange->http->n_body_bytes -= exchange->body.size;
    buffer_clear(&exchange->body);
}

static void exchange_free(struct exchange *exchange)
{
    for (size_t i = 0; i < exchange->answer.n_headers; i++) {
        free(exchange->answer.headers[i].name);
        free(exchange->answer.headers[i].value);
    }
    free(exchange->answer.bytes);
    body_clear(exchange);
    free(exchange);
}

static void answered(struct request *request, struct answer *answer, void *context)
{
    struct exchange *exchange = context;

    exchange->is_answered = true;
    exchange->answer = *answer;
    answer->n_headers = 0;
    answer->bytes = NULL;
    if (!exchange->mhd) {
        /* The program ends, or the client has gone. */
        if (answer->stream)
            answer->stream->closed(answer->stream);
        exchange_free(exchange);
        return;
    }
    resume(exchange);
}

static ssize_t stream_read(void *context, uint64_t position, char *bytes, size_t size)
{
    struct exchange *exchange = context;
    int64_t n;

    if (exchange->stream_is_cut || exchange->http->is_closing)
        return MHD_CONTENT_READER_END_WITH_ERROR;
    n = exchange->stream->read(exchange->stream, bytes, size);
    if (n < 0)
        return MHD_CONTENT_READER_END_OF_STREAM;
    if (n == 0)
        suspend(exchange);
    return (ssize_t)n;
}

static void stream_wake_up(struct stream *stream)
{
    struct exchange *exchange = stream->transport;

    if (exchange && exchange->is_queued)
        resume(exchange);
}

/* A client that does not read is not noticed by the library until it does; the socket is told. */
static void stream_cut_off(struct stream *stream)
{
    struct exchange *exchange = stream->transport;

    if (!exchange || exchange->stream_is_cut)
        return;
    exchange->stream_is_cut = true;
    if (exchange->connection)
        shutdown(exchange->connection->fd, SHUT_RDWR);
    resume(exchange);
}

static void stream_closed(struct exchange *exchange)
{
    struct stream *stream = exchange->stream;

    exchange->stream = NULL;
    if (!stream)
        return;
    stream->transport = NULL;
    stream->wake = stream->cut = NULL;
    stream->closed(stream);
}

static enum MHD_Result queue_answer(struct exchange *exchange)
{
    struct answer *answer = &exchange->answer;
    struct MHD_Response *response;
    enum MHD_Result result;

    if (answer->stream) {
        exchange->stream = answer->stream;
        exchange->stream->transport = exchange;
        exchange->stream->wake = stream_wake_up;
        exchange->stream->cut = stream_cut_off;
        /* completed() closes the stream; the library destroys the response after that, when the exchange is gone. */
        response = MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, STREAM_PIECE, stream_read, exchange, NULL);
        exchange->connection->deadline_ms = 0;
        setsockopt(exchange->connection->fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &(unsigned){15000}, sizeof(unsigned));
        MHD_set_connection_option(exchange->mhd, MHD_CONNECTION_OPTION_TIMEOUT, 30u);
    } else {
        response = MHD_create_response_from_buffer(answer->size, answer->bytes, MHD_RESPMEM_MUST_FREE);
        if (response)
            answer->bytes = NULL;
        exchange->connection->deadline_ms = clock_monotonic_ms() + 10 * HTTP_REQUEST_TIMEOUT_MS;
    }
    if (!response)
        return MHD_NO;
    if (answer->content_type)
        MHD_add_response_header(response, "Content-Type", answer->content_type);
    for (size_t i = 0; i < answer->n_headers; i++)
        if (answer->headers[i].name && answer->headers[i].value)
            MHD_add_response_header(response, answer->headers[i].name, answer->headers[i].value);
    exchange->is_queued = true;
    result = MHD_queue_response(exchange->mhd, (unsigned)answer->status, response);
    MHD_destroy_response(response);
    return result;
}

/* --- Requests. --- */

static const char *lookup_header(void *context, const char *name)
{
    struct exchange *exchange = context;

    return exchange->mhd ? MHD_lookup_connection_value(exchange->mhd, MHD_HEADER_KIND, name) : NULL;
}

static void format_client(struct exchange *exchange)
{
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(exchange->mhd, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    const struct sockaddr *address = info ? info->client_addr : NULL;

    if (address && address->sa_family == AF_INET)
        inet_ntop(AF_INET, &((const struct sockaddr_in *)address)->sin_addr, exchange->client, sizeof(exchange->client));
    else if (address && address->sa_family == AF_INET6)
        inet_ntop(AF_INET6, &((const struct sockaddr_in6 *)address)->sin6_addr, exchange->client, sizeof(exchange->client));
}

/* The request line is there.  The raw target is kept: decoding is ours (target.h), strict and the same for tests. */
static void *request_line(void *context, const char *uri, struct MHD_Connection *mhd)
{
    struct http *http = context;
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    size_t size = strlen(uri) + 1;
    struct exchange *exchange = calloc(1, sizeof(*exchange) + size);
    char *query = strchr((char *)uri, '?'); /* Its own read buffer, lent as const. */

    if (!exchange)
        return NULL;
    exchange->http = http;
    exchange->mhd = mhd;
    exchange->connection = info ? info->socket_context : NULL;
    memcpy(exchange->target, uri, size);
    if (query)
        query[1] = '\0'; /* Else it parses the query too; a long one fails there, and it says nothing until the timeout. */
    if (exchange->connection)
        exchange->connection->deadline_ms = clock_monotonic_ms() + HTTP_REQUEST_TIMEOUT_MS;
    return exchange;
}

/* What says where a request ends. */
struct framing {
    const char *length, *coding;
    const char *wrong; /* The header that is. */
};

static enum MHD_Result see_header(void *context, enum MHD_ValueKind kind, const char *name, const char *value)
{
    struct framing *framing = context;

    if (name[strcspn(name, " \t")]) {
        framing->wrong = name;
    } else if (strcasecmp(name, "Content-Length") == 0) {
        if (framing->length && !streq(framing->length, value ? value : ""))
            framing->wrong = "Content-Length";
        framing->length = value ? value : "";
    } else if (strcasecmp(name, "Transfer-Encoding") == 0) {
        if (framing->coding || strcasecmp(value ? value : "", "chunked") != 0)
            framing->wrong = "Transfer-Encoding";
        framing->coding = value;
    }
    return MHD_YES;
}

/* A proxy before us may read another end out of a doubtful header, and then take somebody's next request for part of this one, or
 * the other way round (RFC 9112, 5.1, 6.1 and 6.3).  The library takes the first of two lengths and lets the rest pass.  Returns the
 * header's name, NULL when all is well. */
static const char *find_doubtful_header(struct exchange *exchange)
{
    struct framing framing = {0};

    MHD_get_connection_values(exchange->mhd, MHD_HEADER_KIND, see_header, &framing);
    if (!framing.wrong && framing.length && framing.coding)
        return "Content-Length beside Transfer-Encoding";
    return framing.wrong;
}

static enum MHD_Result refuse_framing(struct exchange *exchange, const char *header)
{
    struct request *request = exchange->request;

    exchange->request = NULL;
    exchange->is_dispatched = true;
    request_add_header(request, "Connection", "close"); /* Where the next request would begin is not known. */
    request_fail(request, HTTP_BAD_REQUEST, NULL, "%.100s: the header does not say for certain where the request ends", header);
    return exchange->is_answered ? queue_answer(exchange) : MHD_NO;
}

static enum MHD_Result receive_header(struct exchange *exchange, const char *method)
{
    const char *doubtful = find_doubtful_header(exchange);
    const char *length = lookup_header(exchange, "Content-Length");
    struct request_source source = {
        .header = lookup_header, .answered = answered, .context = exchange, .client_address = exchange->client,
        .scheme = exchange->http->is_tls ? "https" : "http", .is_metrics_listener = exchange->http->metrics_only,
    };

    format_client(exchange);
    string_copy(exchange->method, sizeof(exchange->method), method);
    exchange->request = request_new(exchange->http->api, exchange->method, exchange->target, &source);
    if (!exchange->request)
        return MHD_NO;
    if (doubtful)
        return refuse_framing(exchange, doubtful);
    if (length && strtoull(length, NULL, 10) > request_body_limit(exchange->request)) {
        /* Answered before the body is read: also when the client waits for "100 Continue". */
        struct request *request = exchange->request;

        exchange->request = NULL;
        exchange->is_dispatched = true;
        request_dispatch(request, NULL, 0, true);
        return exchange->is_answered ? queue_answer(exchange) : MHD_NO;
    }
    return MHD_YES;
}

static enum MHD_Result receive_body(struct exchange *exchange, const char *bytes, size_t *size)
{
    if (exchange->is_dispatched)
        exchange->n_discarded += *size;
    else if (exchange->is_too_large || exchange->body.size + *size > request_body_limit(exchange->request)) {
        exchange->is_too_large = true;
        exchange->n_discarded += *size;
        body_clear(exchange);
    } else if (exchange->is_overload || exchange->http->n_body_bytes + *size > BODIES_MAX) {
        exchange->is_overload = true;
        exchange->n_discarded += *size;
        body_clear(exchange);
    } else if (buffer_append(&exchange->body, bytes, *size) < 0) {
        return MHD_NO;
    } else {
        exchange->http->n_body_bytes += *size;
    }
    *size = 0;
    return exchange->n_discarded > DISCARD_MAX ? MHD_NO : MHD_YES;
}

static enum MHD_Result receive(void *context, struct MHD_Connection *mhd, const char *url, const char *method, const char *version,
                               const char *bytes, size_t *size, void **request_context)
{
    struct exchange *exchange = *request_context;

    if (!exchange || !exchange->connection)
        return MHD_NO;
    if (!exchange->request && !exchange->is_dispatched)
        return receive_header(exchange, method);
    if (*size > 0)
        return receive_body(exchange, bytes, size);
    if (!exchange->is_dispatched) {
        struct request *request = exchange->request;
        char *body = exchange->body.data;
        size_t body_size = exchange->body.size;

        exchange->request = NULL;
        exchange->is_dispatched = true;
        exchange->connection->deadline_ms = 0;
        exchange->body = (struct buffer){0};
        exchange->http->n_body_bytes -= body_size;
        if (exchange->is_overload)
            request_fail(request, HTTP_UNAVAILABLE, NULL, "Too many large requests at once: try again.");
        else
            request_dispatch(request, body, body_size, exchange->is_too_large);
        if (!exchange->is_answered) {
            suspend(exchange);
            return MHD_YES;
        }
    }
    if (!exchange->is_answered)
        return MHD_NO; /* The program ends. */
    return exchange->is_queued ? MHD_YES : queue_answer(exchange);
}

/* The answer is out, or the connection broke. */
static void completed(void *context, struct MHD_Connection *mhd, void **request_context, enum MHD_RequestTerminationCode code)
{
    struct exchange *exchange = *request_context;

    *request_context = NULL;
    if (!exchange)
        return;
    if (exchange->connection)
        exchange->connection->deadline_ms = clock_monotonic_ms() + HTTP_IDLE_TIMEOUT_MS;
    exchange->connection = NULL;
    stream_closed(exchange);
    exchange->mhd = NULL;
    if (exchange->request) {
        /* The client left in the middle of its body. */
        request_abandon(exchange->request);
        exchange->request = NULL;
    }
    if (exchange->is_answered || !exchange->is_dispatched)
        exchange_free(exchange);
}

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

static bool is_loopback(const struct sockaddr *address)
{
    if (address->sa_family == AF_INET)
        return ntohl(((const struct sockaddr_in *)address)->sin_addr.s_addr) >> 24 == 127;
    return IN6_IS_ADDR_LOOPBACK(&((const struct sockaddr_in6 *)address)->sin6_addr);
}

static int listen_on(struct http *http, const char *text, int *ret_fd, struct error *error)
{
    const char *option = http->metrics_only ? "metrics-listen" : "listen";
    const char *colon = strrchr(text, ':');
    struct addrinfo hints = {.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV | AI_PASSIVE, .ai_socktype = SOCK_STREAM}, *found = NULL;
    struct sockaddr_storage address;
    socklen_t size = sizeof(address);
    uint64_t number;
    _cleanup_(closep) int fd = -1;
    char host[64] = "", name[64], port[16];
    int r = -EINVAL;

    if (colon && (size_t)(colon - text) < sizeof(host) && parse_u64(colon + 1, 0, 65535, &number) == 0) {
        memcpy(host, text, (size_t)(colon - text));
        if (host[0] == '[' && host[strlen(host) - 1] == ']') {
            host[strlen(host) - 1] = '\0';
            memmove(host, host + 1, strlen(host));
        }
        r = getaddrinfo(*host ? host : "::", colon + 1, &hints, &found) == 0 ? 0 : -EINVAL;
    }
    if (r < 0)
        return error_set(error, r, option, "'%s' is not ADDRESS:PORT", text);

    fd = socket(found->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd >= 0) {
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int));
        if (found->ai_family == AF_INET6)
            setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &(int){0}, sizeof(int));
        r = bind(fd, found->ai_addr, found->ai_addrlen) < 0 || listen(fd, 1024) < 0 ? -errno : 0;
    } else {
        r = -errno;
    }
    http->is_loopback = is_loopback(found->ai_addr);
    freeaddrinfo(found);
    if (r < 0)
        return error_set(error, r, option, "'%s': %s", text, strerror(-r));

    getsockname(fd, (struct sockaddr *)&address, &size);
    getnameinfo((struct sockaddr *)&address, size, name, sizeof(name), port, sizeof(port), NI_NUMERICHOST | NI_NUMERICSERV);
    if (streq(name, "0.0.0.0"))
        strcpy(name, "127.0.0.1");
    if (streq(name, "::"))
        strcpy(name, "::1");
    snprintf(http->url, sizeof(http->url), strchr(name, ':') ? "%s://[%s]:%s" : "%s://%s:%s", http->is_tls ? "https" : "http", name, port);
    *ret_fd = TAKE_FD(fd);
    return 0;
}

static int start_daemon(struct http *http, const struct http_options *options, struct error *error)
{
    _cleanup_(freep) char *certificate = NULL;
    _cleanup_(freep) char *key = NULL;
    struct MHD_OptionItem tls[4] = {{MHD_OPTION_END, 0, NULL}};
    unsigned flags = MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG;
    int fd = -1, r;

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
    r = listen_on(http, options->listen, &fd, error);
    if (r < 0)
        return r;
    http->daemon = MHD_start_daemon(flags, 0, NULL, NULL, receive, http,
                                    MHD_OPTION_EXTERNAL_LOGGER, library_says, http,
                                    MHD_OPTION_LISTEN_SOCKET, fd,
                                    MHD_OPTION_CONNECTION_LIMIT, (unsigned)HTTP_MAX_CONNECTIONS,
                                    MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)(HTTP_IDLE_TIMEOUT_MS / 1000),
                                    MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)CONNECTION_MEMORY,
                                    MHD_OPTION_URI_LOG_CALLBACK, request_line, http,
                                    MHD_OPTION_UNESCAPE_CALLBACK, no_unescape, NULL,
                                    MHD_OPTION_NOTIFY_COMPLETED, completed, http,
                                    MHD_OPTION_NOTIFY_CONNECTION, connection_changed, http,
                                    MHD_OPTION_ARRAY, tls, MHD_OPTION_END);
    if (key)
        explicit_bzero(key, strlen(key));
    if (!http->daemon) {
        close(fd);
        return error_set(error, -EINVAL, http->is_tls ? "tls-certificate" : "listen", "cannot serve: %s",
                         http->last_message ? http->last_message : "unknown reason");
    }
    return 0;
}

int http_new(struct api *api, const struct http_options *options, struct http **ret_http, struct error *error)
{
    struct http *http = calloc(1, sizeof(*http));
    const union MHD_DaemonInfo *info;
    int r;

    if (!http)
        return error_set(error, -ENOMEM, NULL, "out of memory");
    http->api = api;
    http->metrics_only = options->metrics_only;
    http->connections.next = http->connections.previous = &http->connections;
    r = start_daemon(http, options, error);
    if (r < 0) {
        free(http->last_message);
        free(http);
        return r;
    }
    info = MHD_get_daemon_info(http->daemon, MHD_DAEMON_INFO_EPOLL_FD);
    uv_poll_init(api->loop, &http->poll, info->epoll_fd);
    uv_prepare_init(api->loop, &http->prepare);
    uv_timer_init(api->loop, &http->timer);
    uv_timer_init(api->loop, &http->sweep);
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
    /* The library wants every suspended connection resumed before it is stopped; 'receive' then refuses those without an answer. */
    while (http->suspended)
        resume(http->suspended);
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
