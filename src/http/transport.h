/* Inside exchange.c and listener.c only: a listener and its connections, through libmicrohttpd. */
#ifndef WEFT_HTTP_TRANSPORT_H
#define WEFT_HTTP_TRANSPORT_H

#include <microhttpd.h>
#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "weft/http/http.h"

#define HTTP_URL_SIZE 112

struct exchange;

struct connection {
    struct connection *next, *previous;
    uint64_t deadline_ms; /* 0 while a request is being handled or a stream runs. */
    int fd;
};

struct http {
    const struct http_service *service;
    struct MHD_Daemon *daemon;
    uv_poll_t poll;
    uv_prepare_t prepare;
    uv_timer_t timer, sweep;
    int n_handles;
    bool has_work, is_closing, is_tls, is_loopback;
    struct connection connections; /* Heads of circular lists. */
    struct exchange *suspended;
    size_t n_body_bytes;           /* Of bodies that are arriving, over all connections. */
    char url[HTTP_URL_SIZE];
    char *last_message;            /* Of the library, for errors at the start. */
};

#endif
