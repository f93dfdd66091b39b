#include "test.h"

#include "tls-server.h"

#include <arpa/inet.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <pthread.h>
#include <sys/socket.h>

struct tls_server {
    SSL_CTX *context;
    pthread_t thread;
    int fd;
    uint16_t port;
    char name[256];
};

static void serve(struct tls_server *server, int fd)
{
    static const char answer[] = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
    SSL *ssl = SSL_new(server->context);
    char request[4096];

    SSL_set_fd(ssl, fd);
    if (SSL_accept(ssl) == 1) {
        const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);

        snprintf(server->name, sizeof(server->name), "%s", name ? name : "");
        if (SSL_read(ssl, request, sizeof(request)) > 0)
            SSL_write(ssl, answer, sizeof(answer) - 1);
    }
    SSL_free(ssl);
    close(fd);
}

static void *run(void *context)
{
    struct tls_server *server = context;
    int fd;

    while ((fd = accept(server->fd, NULL, NULL)) >= 0)
        serve(server, fd);
    return NULL;
}

static SSL_CTX *make_context(void)
{
    SSL_CTX *context = SSL_CTX_new(TLS_server_method());
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *certificate = X509_new();

    assert_true(context && key && certificate);
    ASN1_INTEGER_set(X509_get_serialNumber(certificate), 1);
    X509_gmtime_adj(X509_getm_notBefore(certificate), 0);
    X509_gmtime_adj(X509_getm_notAfter(certificate), 3600);
    X509_set_pubkey(certificate, key);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(certificate), "CN", MBSTRING_ASC, (const unsigned char *)"nobody", -1, -1, 0);
    X509_set_issuer_name(certificate, X509_get_subject_name(certificate));
    assert_true(X509_sign(certificate, key, EVP_sha256()) > 0);
    assert_int_equal(SSL_CTX_use_certificate(context, certificate), 1);
    assert_int_equal(SSL_CTX_use_PrivateKey(context, key), 1);
    X509_free(certificate);
    EVP_PKEY_free(key);
    return context;
}

struct tls_server *tls_server_start(void)
{
    struct sockaddr_in name = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct tls_server *server = calloc(1, sizeof(*server));
    socklen_t size = sizeof(name);

    assert_non_null(server);
    server->context = make_context();
    server->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(server->fd >= 0);
    assert_int_equal(bind(server->fd, (struct sockaddr *)&name, size), 0);
    assert_int_equal(listen(server->fd, 16), 0);
    assert_int_equal(getsockname(server->fd, (struct sockaddr *)&name, &size), 0);
    server->port = ntohs(name.sin_port);
    assert_int_equal(pthread_create(&server->thread, NULL, run, server), 0);
    return server;
}

uint16_t tls_server_port(const struct tls_server *server)
{
    return server->port;
}

const char *tls_server_name(const struct tls_server *server)
{
    return server->name;
}

void tls_server_stop(struct tls_server *server)
{
    shutdown(server->fd, SHUT_RDWR); /* Wakes accept. */
    pthread_join(server->thread, NULL);
    close(server->fd);
    SSL_CTX_free(server->context);
    free(server);
}
