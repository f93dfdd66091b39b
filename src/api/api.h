/* The parts of a running weft-api, and how they find each other.
 *
 *   service  what is served by HTTP, and to whom  (service.h)
 *   replica  the store's objects, typed, in memory (replica.h)
 *   identity users, projects, roles, tokens       (identity.h)
 *   hosts    agents: credentials, status, streams (hosts.h)
 *   networking  the Networking v2.0 resources     (networking.h)
 *   balancing   the Load-Balancer v2 resources    (balancing.h)
 *
 * All of them live on one libuv loop and one thread; only the store and password hashing have threads of their own. */
#ifndef WEFT_API_API_H
#define WEFT_API_API_H

#include <stdbool.h>
#include <uv.h>

#include "weft/api/readiness.h"
#include "weft/base/error.h"
#include "weft/http/http.h"
#include "weft/store/store.h"

struct replica;
struct identity;
struct hosts;
struct networking;
struct balancing;
struct commits;

struct api {
    uv_loop_t *loop;
    struct store *store;
    struct http_service service;         /* The API: every part adds its routes. */
    struct http_service metrics_service; /* Beside it, on the metrics listener. */
    struct request_counters *counters;
    struct replica *replica;
    struct readiness readiness; /* Of the replica. */
    struct commits *commits;
    struct identity *identity;
    struct hosts *hosts;
    struct networking *networking;
    struct balancing *balancing;
    bool no_auth; /* Everybody is the administrator; only on a loopback address. */
};

#endif
