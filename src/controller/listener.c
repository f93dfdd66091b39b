#include "weft/controller/listener.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "weft/base/clock.h"
#include "weft/base/log.h"
#include "weft/base/util.h"
#include "weft/controller/address.h"

#define READ_SIZE (256u << 10)
#define BACKLOG 512
#define TLS_PIECE 16384             /* A record. */
#define TLS_ALERTS_MAX (256u << 10) /* Bytes that TLS itself has to say while the socket takes nothing: a peer can provoke alerts without end. */

struct connection {
    uv_tcp_t tcp;
    uv_write_t write;
    struct listener *listener;
    struct channel *channel;   /* NULL once it ended. */
    struct connection *next, *previous; /* Of all. */
    struct connection *next_woken;
    struct buffer sending;     /* What the write under way holds. */
    struct buffer sealed;      /* TLS records to be sent. */
    SSL *tls;                  /* NULL: plain. */
    BIO *from_network, *to_network; /* The TLS object's. */
    bool is_woken, is_writing, is_ending;
    char peer[ADDRESS_TEXT_SIZE];
};

struct listener {
    uv_loop_t *loop;
    struct fabric *fabric;
    uv_tcp_t plain, tls;
    uv_check_t check;
    uv_prepare_t prepare;
    SSL_CTX *tls_context;
    size_t max_connections;
    struct connection *connections, *woken;
    struct listener_counters counters;
    int n_handles;
    char address[2][ADDRESS_TEXT_SIZE];
    char *read_buffer;
};

/* ---- sending --------------------------------------------------------------------------------------------------------------- */

static void end(struct connection *connection);
static void flush(struct connection *connection);
static void tell_tls_failure(struct connection *connection);

void listener_wake(struct channel *channel, void *context)
{
    struct connection *connection = channel_user(channel);

    if (!connection || connection->is_woken)
        return;
    connection->is_woken = true;
    connection->next_woken = connection->listener->woken;
    connection->listener->woken = connection;
}

static void written(uv_write_t *write, int status)
{
    struct connection *connection = CONTAINER_OF(write, struct connection, write);

    connection->is_writing = false;
    connection->sending.size = 0;
    if (status < 0) {
        end(connection);
        return;
    }
    if (connection->channel) {
        channel_set_backlog(connection->channel, 0);
        flush(connection);
    }
}

/* Encrypts what the channel has to say; what cannot be said before the TLS handshake is over stays where it is.  Nothing is sealed while a write is
 * under way: what waits is then the channel's, which bounds it.  Returns whether TLS goes on. */
static bool seal(struct connection *connection)
{
    struct buffer *output = channel_output(connection->channel);
    char piece[TLS_PIECE];
    size_t taken = 0;
    int size;

    while (SSL_is_init_finished(connection->tls) && taken < output->size) {
        ERR_clear_error(); /* SSL_get_error looks at all that any connection left. */
        size = SSL_write(connection->tls, output->data + taken, (int)MIN(output->size - taken, (size_t)TLS_PIECE));
        if (size <= 0 && SSL_get_error(connection->tls, size) != SSL_ERROR_WANT_READ && SSL_get_error(connection->tls, size) != SSL_ERROR_WANT_WRITE)
            return false;
        if (size <= 0)
            break; /* Tried again with the same bytes: see ACCEPT_MOVING_WRITE_BUFFER. */
        taken += (size_t)size;
    }
    buffer_consume(output, taken);
    while ((size = BIO_read(connection->to_network, piece, sizeof(piece))) > 0)
        if (buffer_append(&connection->sealed, piece, (size_t)size) < 0)
            return false; /* A record is lost: the peer could make nothing of the next. */
    return true;
}

static void flush(struct connection *connection)
{
    struct buffer *from, spare = connection->sending;

    if (!connection->channel)
        return;
    if (connection->is_writing) {
        /* Given up while its socket took no more: waiting for the write would leave its datapath id taken for as long as the peer likes. */
        if (channel_is_closed(connection->channel))
            end(connection);
        return;
    }
    if (connection->tls && !seal(connection)) {
        tell_tls_failure(connection);
        end(connection);
        return;
    }
    from = connection->tls ? &connection->sealed : channel_output(connection->channel);
    if (from->size) {
        int sent = uv_try_write((uv_stream_t *)&connection->tcp, &(uv_buf_t){from->data, from->size}, 1);

        if (sent < 0 && sent != UV_EAGAIN) {
            end(connection);
            return;
        }
        if (sent == (int)from->size) {
            from->size = 0;
        } else {
            if (sent > 0)
                buffer_consume(from, (size_t)sent);
            connection->sending = *from;
            *from = spare;
            connection->is_writing = true;
            channel_set_backlog(connection->channel, connection->sending.size);
            if (uv_write(&connection->write, (uv_stream_t *)&connection->tcp,
                         &(uv_buf_t){connection->sending.data, connection->sending.size}, 1, written) < 0) {
                connection->is_writing = false;
                end(connection);
                return;
            }
        }
    }
    if (channel_is_closed(connection->channel))
        end(connection); /* What a closed channel had to say is sent, or the socket takes no more. */
}

/* Once an iteration, after timers and after what was read. */
static void flush_woken(struct listener *listener)
{
    while (listener->woken) {
        struct connection *connection = listener->woken;

        listener->woken = connection->next_woken;
        connection->is_woken = false;
        flush(connection);
    }
}

static void checked(uv_check_t *check)
{
    flush_woken(check->data);
}

static void prepared(uv_prepare_t *prepare)
{
    flush_woken(prepare->data);
}

/* ---- receiving --------------------------------------------------------------------------------------------------------------- */

static void allocate(uv_handle_t *handle, size_t suggested, uv_buf_t *ret)
{
    struct connection *connection = handle->data;

    *ret = uv_buf_init(connection->listener->read_buffer, READ_SIZE);
}

static void tell_tls_failure(struct connection *connection)
{
    char text[200];
    unsigned long code = ERR_get_error();

    ERR_error_string_n(code, text, sizeof(text));
    ERR_clear_error();
    connection->listener->counters.tls_failed++;
    log_warning("switch at %s: TLS failed: %s", connection->peer, code ? text : "the handshake did not end");
}

static void open_sealed(struct connection *connection, const char *bytes, size_t size)
{
    char piece[TLS_PIECE];
    int got = 0;

    if (BIO_write(connection->from_network, bytes, (int)size) != (int)size) {
        end(connection);
        return;
    }
    while (connection->channel && !channel_is_closed(connection->channel) && (ERR_clear_error(), got = SSL_read(connection->tls, piece, sizeof(piece))) > 0)
        fabric_receive(connection->listener->fabric, connection->channel, piece, (size_t)got, clock_monotonic_ms());
    if (!connection->channel)
        return;
    if (got <= 0) {
        int why = SSL_get_error(connection->tls, got);

        if (why == SSL_ERROR_SSL)
            tell_tls_failure(connection);
        if (why == SSL_ERROR_SSL || why == SSL_ERROR_ZERO_RETURN || why == SSL_ERROR_SYSCALL) {
            flush(connection); /* The alert. */
            end(connection);
            return;
        }
    }
    flush(connection); /* The handshake's own, and what waited for its end. */
    if (connection->channel && BIO_ctrl_pending(connection->to_network) > TLS_ALERTS_MAX)
        end(connection);
}

static void received(uv_stream_t *stream, ssize_t size, const uv_buf_t *buffer)
{
    struct connection *connection = stream->data;

    if (size < 0) {
        end(connection);
        return;
    }
    if (size == 0 || !connection->channel)
        return;
    if (connection->tls)
        open_sealed(connection, buffer->base, (size_t)size);
    else
        fabric_receive(connection->listener->fabric, connection->channel, buffer->base, (size_t)size, clock_monotonic_ms());
}

/* ---- coming and going ------------------------------------------------------------------------------------------------------------ */

static void free_listener(struct listener *listener)
{
    if (listener->n_handles || listener->connections)
        return;
    SSL_CTX_free(listener->tls_context);
    free(listener->read_buffer);
    free(listener);
}

static void closed(uv_handle_t *handle)
{
    struct connection *connection = handle->data;
    struct listener *listener = connection->listener;

    if (connection->next)
        connection->next->previous = connection->previous;
    if (connection->previous)
        connection->previous->next = connection->next;
    else
        listener->connections = connection->next;
    listener->counters.n_connections--;
    SSL_free(connection->tls); /* With its two BIOs. */
    buffer_clear(&connection->sending);
    buffer_clear(&connection->sealed);
    free(connection);
    free_listener(listener);
}

static void forget_woken(struct connection *connection)
{
    struct connection **link = &connection->listener->woken;

    while (*link && *link != connection)
        link = &(*link)->next_woken;
    if (*link)
        *link = connection->next_woken;
    connection->is_woken = false;
}

static void end(struct connection *connection)
{
    struct channel *channel = connection->channel;

    if (connection->is_ending)
        return;
    connection->is_ending = true;
    connection->channel = NULL;
    if (channel) {
        channel_set_user(channel, NULL);
        fabric_disconnect(connection->listener->fabric, channel, clock_monotonic_ms());
    }
    if (connection->is_woken)
        forget_woken(connection);
    uv_close((uv_handle_t *)&connection->tcp, closed);
}

static bool start_tls(struct connection *connection)
{
    connection->tls = SSL_new(connection->listener->tls_context);
    connection->from_network = BIO_new(BIO_s_mem());
    connection->to_network = BIO_new(BIO_s_mem());
    if (!connection->tls || !connection->from_network || !connection->to_network) {
        BIO_free(connection->from_network);
        BIO_free(connection->to_network);
        return false;
    }
    SSL_set_bio(connection->tls, connection->from_network, connection->to_network);
    SSL_set_accept_state(connection->tls);
    return true;
}

static void name_peer(struct connection *connection)
{
    struct sockaddr_storage address;
    int size = sizeof(address);

    if (uv_tcp_getpeername(&connection->tcp, (struct sockaddr *)&address, &size) == 0)
        address_format(&address, connection->peer);
}

static void accepted(uv_stream_t *stream, int status)
{
    struct listener *listener = stream->data;
    struct connection *connection = status < 0 ? NULL : calloc(1, sizeof(*connection));

    if (!connection)
        return;
    connection->listener = listener;
    uv_tcp_init(listener->loop, &connection->tcp);
    connection->tcp.data = connection;
    connection->next = listener->connections;
    if (connection->next)
        connection->next->previous = connection;
    listener->connections = connection;
    listener->counters.n_connections++;
    if (uv_accept(stream, (uv_stream_t *)&connection->tcp) < 0) {
        end(connection);
        return;
    }
    name_peer(connection);
    if (listener->counters.n_connections > listener->max_connections) {
        listener->counters.refused++;
        log_warning("switch at %s: refused, there are %zu connections already", connection->peer, listener->max_connections);
        end(connection);
        return;
    }
    listener->counters.accepted++;
    uv_tcp_nodelay(&connection->tcp, 1);
    if ((stream == (uv_stream_t *)&listener->tls && !start_tls(connection)) ||
        fabric_connect(listener->fabric, connection->peer, clock_monotonic_ms(), &connection->channel) < 0) {
        end(connection);
        return;
    }
    channel_set_user(connection->channel, connection);
    if (uv_read_start((uv_stream_t *)&connection->tcp, allocate, received) < 0) {
        end(connection);
        return;
    }
    flush(connection);
}

/* ---- start and end ------------------------------------------------------------------------------------------------------------------ */

static int start_listening(struct listener *listener, uv_tcp_t *tcp, const char *option, const char *text, char *ret_address, struct error *error)
{
    struct sockaddr_storage address = {0};
    int size = sizeof(address), result = address_parse(option, text, &address, error);

    if (result < 0)
        return result;
    result = uv_tcp_bind(tcp, (struct sockaddr *)&address, 0);
    if (result == 0)
        result = uv_listen((uv_stream_t *)tcp, BACKLOG, accepted);
    if (result == 0)
        result = uv_tcp_getsockname(tcp, (struct sockaddr *)&address, &size);
    if (result < 0)
        return error_set(error, result, option, "%s: cannot listen on '%s': %s", option, text, uv_strerror(result));
    address_format(&address, ret_address);
    return 0;
}

static int load_tls(struct listener *listener, const struct listener_options *o, struct error *error)
{
    if (!o->tls_certificate || !o->tls_key || !o->tls_ca)
        return error_set(error, -EINVAL, "listen-tls", "listen-tls: needs tls-certificate, tls-key and tls-ca");
    listener->tls_context = SSL_CTX_new(TLS_server_method());
    if (!listener->tls_context)
        return error_set(error, -ENOMEM, NULL, "out of memory");
    SSL_CTX_set_min_proto_version(listener->tls_context, TLS1_2_VERSION);
    SSL_CTX_set_verify(listener->tls_context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    SSL_CTX_set_mode(listener->tls_context, SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_ENABLE_PARTIAL_WRITE);
    /* Nothing is resumed: a switch connects once, and its certificate is looked at whenever it does.  One that offers a session all the same, as of
     * an earlier life of this program, gets a whole handshake; without a session id context OpenSSL would end it instead. */
    SSL_CTX_set_options(listener->tls_context, SSL_OP_NO_TICKET | SSL_OP_NO_RENEGOTIATION);
    SSL_CTX_set_session_cache_mode(listener->tls_context, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_num_tickets(listener->tls_context, 0);
    SSL_CTX_set_session_id_context(listener->tls_context, (const unsigned char *)"weft-fabric", strlen("weft-fabric"));
    if (SSL_CTX_use_certificate_chain_file(listener->tls_context, o->tls_certificate) != 1)
        return error_set(error, -EINVAL, "tls-certificate", "tls-certificate: '%s' has no certificate", o->tls_certificate);
    if (SSL_CTX_use_PrivateKey_file(listener->tls_context, o->tls_key, SSL_FILETYPE_PEM) != 1)
        return error_set(error, -EINVAL, "tls-key", "tls-key: '%s' has no key for the certificate", o->tls_key);
    if (SSL_CTX_load_verify_locations(listener->tls_context, o->tls_ca, NULL) != 1)
        return error_set(error, -EINVAL, "tls-ca", "tls-ca: '%s' has no certificates", o->tls_ca);
    SSL_CTX_set_client_CA_list(listener->tls_context, SSL_load_client_CA_file(o->tls_ca));
    return 0;
}

int listener_new(uv_loop_t *loop, struct fabric *fabric, const struct listener_options *options, struct listener **ret, struct error *error)
{
    struct listener *listener = calloc(1, sizeof(*listener));
    int result = 0;

    if (listener)
        listener->read_buffer = malloc(READ_SIZE);
    if (!listener || !listener->read_buffer) {
        free(listener);
        return error_set(error, -ENOMEM, NULL, "out of memory");
    }
    listener->loop = loop;
    listener->fabric = fabric;
    listener->max_connections = options->max_connections;
    uv_tcp_init(loop, &listener->plain);
    uv_tcp_init(loop, &listener->tls);
    uv_check_init(loop, &listener->check);
    uv_prepare_init(loop, &listener->prepare);
    listener->n_handles = 4;
    listener->plain.data = listener->tls.data = listener->check.data = listener->prepare.data = listener;
    uv_check_start(&listener->check, checked);
    uv_prepare_start(&listener->prepare, prepared);
    if (options->listen)
        result = start_listening(listener, &listener->plain, "listen", options->listen, listener->address[0], error);
    if (result == 0 && options->listen_tls)
        result = load_tls(listener, options, error);
    if (result == 0 && options->listen_tls)
        result = start_listening(listener, &listener->tls, "listen-tls", options->listen_tls, listener->address[1], error);
    if (result < 0) {
        listener_free(listener);
        return result;
    }
    *ret = listener;
    return 0;
}

static void handle_closed(uv_handle_t *handle)
{
    struct listener *listener = handle->data;

    listener->n_handles--;
    free_listener(listener);
}

void listener_free(struct listener *listener)
{
    struct connection *next;

    if (!listener)
        return;
    flush_woken(listener);
    for (struct connection *connection = listener->connections; connection; connection = next) {
        next = connection->next;
        end(connection);
    }
    uv_close((uv_handle_t *)&listener->plain, handle_closed);
    uv_close((uv_handle_t *)&listener->tls, handle_closed);
    uv_close((uv_handle_t *)&listener->check, handle_closed);
    uv_close((uv_handle_t *)&listener->prepare, handle_closed);
}

const struct listener_counters *listener_counters(const struct listener *listener)
{
    return &listener->counters;
}

const char *listener_address(const struct listener *listener, bool is_tls)
{
    return listener->address[is_tls];
}
