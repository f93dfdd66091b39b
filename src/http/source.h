/* Where a request comes from, and what goes back there: what stands in for sockets. */
#ifndef WEFT_HTTP_SOURCE_H
#define WEFT_HTTP_SOURCE_H

#include <stddef.h>

#include "weft/http/stream.h"

struct request;

struct answer {
    int status;
    const char *content_type;        /* NULL without a body. */
    char *bytes;                     /* From malloc; the receiver may take it by setting it to NULL. */
    size_t size;
    struct stream *stream;           /* Instead of bytes, when not NULL. */
    struct answer_header {
        char *name, *value;
    } headers[8];
    size_t n_headers;
};

/* Where a request comes from.  The texts are borrowed until it is answered. */
struct request_source {
    const char *(*header)(void *context, const char *name); /* May be NULL. */
    const char *client_address;      /* The same. */
    const char *scheme;              /* "http" or "https"; NULL is "http". */
    const char *url;                 /* Where it was received: "http://127.0.0.1:9696"; may be NULL. */
    void (*answered)(struct request *request, struct answer *answer, void *context); /* Once; the request is freed after it. */
    void *context;
};

#endif
