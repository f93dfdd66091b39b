/* bytes -> exchange (one request of one connection) -> request_dispatch -> answer -> bytes.
 *
 * libmicrohttpd calls 'receive' first with the header, then with pieces of the body, then once more without: there the request is
 * dispatched.  When the handler has not answered by then the connection is suspended, and resumed by 'answered'. */
#include "weft/http/exchange.h"

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

#include "weft/base/clock.h"
#include "weft/base/util.h"
#include "weft/http/dispatch.h"
#include "weft/http/request.h"

#define STREAM_PIECE (8 << 10)
#define BODIES_MAX (256u << 20)      /* Bytes of bodies that are arriving, over all connections. */
#define DISCARD_MAX (16u << 20)      /* A body that is refused is read to its end up to this, so that the client sees the answer. */

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
    char url[HTTP_URL_SIZE];     /* A copy: a handler may answer when 'http' is gone. */
    char target[];
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
        /* exchange_completed() closes the stream; the library destroys the response after that, when the exchange is gone. */
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
void *exchange_request_line(void *context, const char *uri, struct MHD_Connection *mhd)
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
    memcpy(exchange->url, http->url, sizeof(exchange->url));
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
        .scheme = exchange->http->is_tls ? "https" : "http", .url = exchange->url,
    };

    format_client(exchange);
    string_copy(exchange->method, sizeof(exchange->method), method);
    exchange->request = request_new(exchange->http->service, exchange->method, exchange->target, &source);
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

enum MHD_Result exchange_receive(void *context, struct MHD_Connection *mhd, const char *url, const char *method, const char *version,
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
void exchange_completed(void *context, struct MHD_Connection *mhd, void **request_context, enum MHD_RequestTerminationCode code)
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

void exchange_resume_all(struct http *http)
{
    while (http->suspended)
        resume(http->suspended);
}
