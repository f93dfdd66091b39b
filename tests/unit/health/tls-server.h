/* An HTTPS server with a certificate of its own making, in a thread: each request is answered with 200. */
#ifndef TESTS_HEALTH_TLS_SERVER_H
#define TESTS_HEALTH_TLS_SERVER_H

#include <stdint.h>

struct tls_server;

struct tls_server *tls_server_start(void); /* On 127.0.0.1. */
uint16_t tls_server_port(const struct tls_server *server);
void tls_server_stop(struct tls_server *server);
const char *tls_server_name(const struct tls_server *server); /* That the last client that finished its handshake asked for. */

#endif
