/* Sockets and HTTP/1.1 through libmicrohttpd, on the program's loop: connections, TLS, limits, and the bytes of answers.
 *
 * The library's epoll descriptor sits in a uv_poll; there are no threads.  A request whose handler has not answered is a
 * suspended connection; so is a watch stream with nothing to send. */
#ifndef WEFT_API_HTTP_H
#define WEFT_API_HTTP_H

#include <uv.h>

#include "weft/api/api.h"
#include "weft/base/cleanup.h"
#include "weft/base/error.h"

#define HTTP_MAX_CONNECTIONS 8192
#define HTTP_REQUEST_TIMEOUT_MS 30000 /* From the first byte to the last of a request: slow senders are cut. */
#define HTTP_IDLE_TIMEOUT_MS 75000    /* Between requests of one connection. */

struct http;

struct http_options {
    const char *listen;          /* "127.0.0.1:9696", "[::]:9696"; port 0 takes a free one. */
    const char *tls_certificate; /* PEM files, both or neither. */
    const char *tls_key;
    bool metrics_only;           /* Serves /metrics, /healthz and /readyz and nothing else. */
};

/* Binds and listens.  Returns 0; -EINVAL for a bad address or certificate, or what the system said, with '*error'. */
int http_new(struct api *api, const struct http_options *options, struct http **ret_http, struct error *error);

/* Closes every connection; requests under way are not answered.  Before the loop's last run. */
void http_free(struct http *http);
DEFINE_CLEANUP(struct http *, http_free);

/* "http://127.0.0.1:9696": with the port that was really taken. */
const char *http_url(const struct http *http);

/* Whether the address listened on is a loopback address. */
bool http_is_loopback(const struct http *http);

#endif
