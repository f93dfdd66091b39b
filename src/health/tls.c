/* A ClientHello, and a ServerHello (RFC 8446, 4.1; RFC 5246, 7.4.1).  No more is asked: no certificate is looked at, no key is made. */
#include <errno.h>
#include <openssl/err.h>
#include <sys/socket.h>

#include "weft/health/probe-state.h"

#define RECORD_MAX 16384

/* Any server is as good as another: versions and ciphers that are refused elsewhere, too. */
static SSL_CTX *context_get(struct health_prober *prober)
{
    if (!prober->tls) {
        prober->tls = SSL_CTX_new(TLS_client_method());
        if (prober->tls) {
            SSL_CTX_set_security_level(prober->tls, 0);
            SSL_CTX_set_min_proto_version(prober->tls, TLS1_VERSION);
            SSL_CTX_set_verify(prober->tls, SSL_VERIFY_NONE, NULL);
        }
    }
    return prober->tls;
}

static void message_seen(int is_sent, int version, int type, const void *bytes, size_t size, SSL *ssl, void *context)
{
    struct health_probe *probe = context;

    if (!is_sent && type == SSL3_RT_HANDSHAKE && size > 0 && *(const uint8_t *)bytes == SSL3_MT_SERVER_HELLO)
        probe->tls.has_hello = true;
}

static void start(struct health_probe *probe)
{
    SSL_CTX *context = context_get(probe->prober);
    struct linger linger = {.l_onoff = 1};

    probe->tls.ssl = context ? SSL_new(context) : NULL;
    if (probe->tls.ssl) {
        probe->tls.received = BIO_new(BIO_s_mem());
        probe->tls.to_send = BIO_new(BIO_s_mem());
        SSL_set_bio(probe->tls.ssl, probe->tls.received, probe->tls.to_send);
    }
    if (!probe->tls.ssl || !probe->tls.received || !probe->tls.to_send) {
        probe_fail_errno(probe, ENOMEM, "no TLS");
        return;
    }
    SSL_set_connect_state(probe->tls.ssl);
    if (probe->asked->tls.name)
        SSL_set_tlsext_host_name(probe->tls.ssl, probe->asked->tls.name);
    SSL_set_msg_callback(probe->tls.ssl, message_seen);
    SSL_set_msg_callback_arg(probe->tls.ssl, probe);
    if (probe_socket(probe, SOCK_STREAM) < 0)
        return;
    setsockopt(probe->fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
    if (probe_connect(probe) == 0)
        probe_watch(probe, UV_WRITABLE);
}

/* Returns 0, or a positive errno. */
static int send_all(struct health_probe *probe)
{
    char *bytes;
    long size = BIO_get_mem_data(probe->tls.to_send, &bytes);

    while (size > 0) {
        ssize_t sent = send(probe->fd, bytes, (size_t)size, MSG_NOSIGNAL);
        uint8_t skipped[256];

        if (sent < 0)
            return errno == EAGAIN || errno == EINTR ? 0 : errno;
        for (ssize_t left = sent; left > 0;) /* What was sent leaves the BIO by being read. */
            left -= BIO_read(probe->tls.to_send, skipped, left < (ssize_t)sizeof(skipped) ? (int)left : (int)sizeof(skipped));
        size = BIO_get_mem_data(probe->tls.to_send, &bytes);
    }
    return 0;
}

/* Returns 0, a positive errno, or -1 at the end. */
static int receive_some(struct health_probe *probe)
{
    uint8_t bytes[RECORD_MAX];
    ssize_t size = recv(probe->fd, bytes, sizeof(bytes), 0);

    if (size < 0)
        return errno == EAGAIN || errno == EINTR ? 0 : errno;
    if (size == 0)
        return -1;
    return BIO_write(probe->tls.received, bytes, (int)size) == size ? 0 : ENOMEM;
}

static void ready(struct health_probe *probe)
{
    int error = probe_connect_error(probe), result;
    bool is_end = false;

    if (!error)
        error = receive_some(probe);
    if (error == ENOTCONN) /* Not yet: only asked whether it can be written. */
        error = 0;
    is_end = error < 0;
    if (error > 0) {
        probe_fail_errno(probe, error, NULL);
        return;
    }
    ERR_clear_error();
    result = SSL_get_error(probe->tls.ssl, SSL_do_handshake(probe->tls.ssl));
    if (probe->tls.has_hello) {
        probe_finish(probe, true, "ServerHello");
        return;
    }
    if (is_end || (result != SSL_ERROR_WANT_READ && result != SSL_ERROR_WANT_WRITE)) {
        const char *text = ERR_reason_error_string(ERR_peek_error());

        probe_finish(probe, false, "no TLS: %s", is_end ? "connection closed" : text ? text : "not understood");
        ERR_clear_error();
        return;
    }
    error = send_all(probe);
    if (error)
        probe_fail_errno(probe, error, NULL);
    else
        probe_watch(probe, UV_READABLE | (BIO_pending(probe->tls.to_send) ? UV_WRITABLE : 0));
}

static void stop(struct health_probe *probe)
{
    SSL_free(probe->tls.ssl); /* With its BIOs. */
}

const struct probe_kind probe_tls = {.start = start, .ready = ready, .stop = stop};
