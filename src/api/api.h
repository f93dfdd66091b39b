/* The parts of a running weft-api, and how they find each other.
 *
 *   http     sockets, TLS, connections            (http.h)
 *   routes   method and path -> handler           (routes.h)
 *   replica  the store's objects, typed, in memory (replica.h)
 *   identity users, projects, roles, tokens       (identity.h)
 *   hosts    agents: credentials, status, streams (hosts.h)
 *   networking  the Networking v2.0 resources     (networking.h)
 *
 * All of them live on one libuv loop and one thread; only the store and password hashing have threads of their own. */
#ifndef WEFT_API_API_H
#define WEFT_API_API_H

#include <stdbool.h>
#include <uv.h>

#include "weft/base/error.h"
#include "weft/store/store.h"

struct replica;
struct routes;
struct identity;
struct hosts;
struct networking;
struct metrics;
struct commits;
struct http;

struct api {
    uv_loop_t *loop;
    struct store *store;
    struct routes *routes;
    struct replica *replica;
    struct commits *commits;
    struct metrics *metrics;
    struct identity *identity;
    struct hosts *hosts;
    struct networking *networking;
    const char *public_url;    /* Without a trailing slash. */
    bool public_url_is_set;    /* By --public-url; else links follow the client's Host header. */
    bool no_auth;              /* Everybody is the administrator; only on a loopback address. */
};

#endif
