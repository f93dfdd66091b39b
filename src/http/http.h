/* An HTTP/1.1 server, with TLS if wanted, in a program that runs a libuv loop.  No threads: everything happens on the loop.
 *
 *   bytes -> listener -> request (route found, credential checked, body parsed) -> handler -> answer, now or later
 *
 * A program has a table of routes (routes.h), handlers written against a request (request.h), a service that holds both
 * together, and a listener or several:
 *
 *     static void show_switch(struct request *request)
 *     {
 *         struct fabric *fabric = request->context;
 *         const char *id = request_parameter(request, "id");
 *         const struct ofswitch *found = fabric_find_switch(fabric, id);
 *
 *         if (found)
 *             request_respond(request, HTTP_OK, json_pack("{s:{s:s}}", "switch", "id", found->id));
 *         else
 *             request_fail(request, HTTP_NOT_FOUND, "SwitchNotFound", "Switch %s could not be found.", id);
 *     }
 *
 *     static const struct route table[] = {
 *         {"GET", "/v1/switches", .handle = list_switches},
 *         {"GET", "/v1/switches/{id}", .handle = show_switch},
 *         {"PUT", "/v1/switches/{id}", .handle = update_switch},       (request->body is a JSON object, or NULL)
 *     };
 *
 *     struct http_service service = {.context = &fabric};
 *     struct http *http;
 *
 *     r = routes_new(&service.routes);
 *     if (r == 0)
 *         r = routes_add(service.routes, table, ARRAY_SIZE(table));
 *     if (r == 0)
 *         r = health_add(service.routes);                              (health.h: /healthz, /readyz, /metrics)
 *     if (r == 0)
 *         r = http_new(&loop, &service, &(struct http_options){.listen = "127.0.0.1:8080"}, &http, &error);
 *     ...
 *     uv_run(&loop, UV_RUN_DEFAULT);
 *     http_free(http);
 *     uv_run(&loop, UV_RUN_DEFAULT);                                    (the handles' end)
 *     routes_free(service.routes);
 *
 * What every service does: a path or method that is not there is 404 or 405 with Allow; a body that is no JSON object is 400, too large
 * a one 413; every answer has a request id; errors are JSON; HEAD is GET without the body; slow and idle clients are cut.
 *
 * Files, from what is pure to what has sockets: status, target, routes, counters, prometheus; request and respond (what
 * handlers call), source (what stands for a socket), dispatch (a request's life), health (routes that every program has); exchange,
 * socket, listener (libmicrohttpd). */
#ifndef WEFT_HTTP_HTTP_H
#define WEFT_HTTP_HTTP_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <uv.h>

#include "weft/base/buffer.h"
#include "weft/base/cleanup.h"
#include "weft/base/error.h"
#include "weft/http/routes.h"

struct request;
struct request_counters;

/* What is served.  Only 'routes' must be set; every hook may be NULL.  It must outlive its listeners and its requests, and is not
 * changed while there are any. */
struct http_service {
    struct routes *routes;
    void *context;                 /* The program's: request->context of each request. */
    size_t own_size;               /* Bytes of the program's own that each request brings along, zeroed: request->own. */
    const char *public_url;        /* What links begin with, without a trailing slash; NULL: what the client called us (request_public_url). */
    const char *request_id_header; /* NULL: "X-Request-Id". */
    struct request_counters *counters; /* Counts answers by route (counters.h); may be NULL, and one may serve several services. */

    /* Whether the request's credential suffices for request->route->policy.  It may note who asks in request->own.  Returns 0, or a
     * negative code with '*error' set, which is answered as request_fail_error does.  Called with the header, to know whether a large
     * body may come, and again when the handler is about to run: each time it begins with nothing known. */
    int (*authenticate)(struct request *request, struct error *error);

    /* Holds a request until it may run, for example until a replica is up to date; it calls request_proceed, now or later. */
    void (*barrier)(struct request *request);

    /* The request is over, answered or not; what is in request->own goes. */
    void (*ended)(struct request *request);

    /* The body of an error; a new reference, NULL when out of memory.  'type' ("HTTPNotFound", or what the handler said) and 'message'
     * (UTF-8) are never empty.  It may add headers.  NULL: {"error": {"code": 404, "title": "Not Found", "type", "message"}}. */
    json_t *(*fail_body)(struct request *request, int status, const char *type, const char *message);

    const char *(*not_ready)(void *context);                      /* For /readyz: why not, in a few words; NULL is ready. */
    int (*write_metrics)(void *context, struct buffer *buffer);   /* For /metrics: Prometheus' text (prometheus.h); 0 or -ENOMEM. */
};

#define HTTP_MAX_CONNECTIONS 8192
#define HTTP_REQUEST_TIMEOUT_MS 30000 /* From the first byte to the last of a request: slow senders are cut. */
#define HTTP_IDLE_TIMEOUT_MS 75000    /* Between requests of one connection. */

/* A listener. */
struct http;

struct http_options {
    const char *listen;          /* "127.0.0.1:9696", "[::]:9696", ":9696" (everywhere); port 0 takes a free one. */
    const char *listen_option;   /* How 'listen' is called in errors; NULL: "listen". */
    const char *tls_certificate; /* PEM files, both or neither. */
    const char *tls_key;
    unsigned max_connections;    /* Further clients wait; 0: HTTP_MAX_CONNECTIONS. */
    unsigned max_client_connections; /* Of one address; further ones are closed.  0: any number. */
    const char *device;          /* Only what comes in there is heard; NULL: everything. */
};

/* Binds and listens.  Returns 0; -EINVAL for a bad address or certificate, or what the system said, with '*error' (its field is the
 * option: "listen", "tls-key").  'options' is not kept. */
int http_new(uv_loop_t *loop, const struct http_service *service, const struct http_options *options, struct http **ret_http,
             struct error *error);

/* Closes every connection; requests under way are not answered, but their handlers still end them.  Before the loop's last run. */
void http_free(struct http *http);
DEFINE_CLEANUP(struct http *, http_free);

/* "http://127.0.0.1:9696": with the port that was really taken. */
const char *http_url(const struct http *http);

/* Whether the address listened on is a loopback address. */
bool http_is_loopback(const struct http *http);

#endif
