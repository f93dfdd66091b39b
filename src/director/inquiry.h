/* A question to the director whose answer may be long: of 60,000 servers it takes a second to make.
 *
 *     the loop: a stretch at a time of what is to be said is gathered, and between two stretches goes on whatever else there is, as checks;
 *     another thread: text is made of it;
 *     the loop: it is sent (serve.c)
 *
 * What is gathered is of one configuration: when that changes meanwhile, gathering begins anew. */
#ifndef WEFT_DIRECTOR_INQUIRY_H
#define WEFT_DIRECTOR_INQUIRY_H

#include <jansson.h>

#include "weft/director/socket.h"

struct director;
struct inquiry;

struct inquiry_kind {
    const char *operation;
    int (*gather)(struct director *director, struct inquiry *inquiry); /* A stretch.  1: there is more; 0: that was all; -ENOMEM. */
    json_t *(*encode)(const struct inquiry *inquiry);                  /* In any thread: of what was gathered alone.  NULL without memory. */
    bool is_of_config;                                                 /* See above. */
};

struct rows_state { /* Of a hash service. */
    struct virtual_service key;
    uint32_t n_rows, *of_servers;
    size_t n_servers;
    uint32_t n_moved;
    bool has_moved;
    uint64_t moved_ms_ago;
};

struct inquiry {
    const struct inquiry_kind *kind;
    bool has_only;
    struct virtual_service only;  /* The service that is asked about. */
    uint64_t config_number;       /* Which configuration is gathered from, */
    unsigned n_restarts;          /* and how often it was another by the next stretch. */
    size_t service, server;       /* Where to go on: indexes in the configuration; */
    bool is_within;               /* the service has begun; */
    uint32_t slot;                /* of connections. */
    size_t most;                  /* Connections to list. */

    struct director_state state;
    struct rows_state *rows;
    size_t n_rows;
    struct director_connections connections;
};

/* What a request asks for: 0 with a short answer, a new reference, or with the beginning of a long one, which the caller frees; or -errno with
 * '*error'. */
int director_ask(struct director *director, const json_t *request, json_t **ret_answer, struct inquiry **ret_inquiry, struct error *error);

/* 'only' may be NULL: all services.  NULL without memory. */
struct inquiry *inquiry_new(const struct director *director, const struct inquiry_kind *kind, const struct virtual_service *only);
void inquiry_free(struct inquiry *inquiry); /* NULL is fine. */

/* Another stretch.  1: there is more; 0: all is there; -ENOMEM. */
int inquiry_gather(struct director *director, struct inquiry *inquiry);

/* When all is there, in any thread: the answer, which the caller frees.  NULL without memory. */
char *inquiry_text(const struct inquiry *inquiry);

/* The service where the inquiry is, or NULL: it has been at all.  And on to the next one. */
const struct virtual_service *inquiry_service(const struct director *director, struct inquiry *inquiry);
void inquiry_next(struct inquiry *inquiry);

#endif
