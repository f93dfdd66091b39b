/* Method and path -> handler.  Tables are registered at the start and looked up for each request. */
#ifndef WEFT_HTTP_ROUTES_H
#define WEFT_HTTP_ROUTES_H

#include <stdbool.h>
#include <stddef.h>

#include "weft/base/cleanup.h"

struct request;

#define ROUTE_MAX_PARAMETERS 4 /* {names} in a pattern. */

struct route {
    const char *method;   /* "GET" also serves HEAD. */
    const char *pattern;  /* "/v2.0/ports/{id}": segments, a {name} matches one non-empty segment; literals win.
                             "{name...}" as the last one: any number of segments, also none; it is no parameter. */
    unsigned policy;      /* The program's own: which credential its 'authenticate' hook wants.  0 without such a hook. */
    void (*handle)(struct request *request);
    const void *data;     /* The handler's: for example its resource table. */
    size_t body_size;     /* Largest body in bytes; 0 is REQUEST_BODY_SIZE. */
    bool skips_hooks;     /* Neither a credential nor the barrier, also when the service has those hooks. */
};

struct routes;

int routes_new(struct routes **ret_routes);
void routes_free(struct routes *routes);
DEFINE_CLEANUP(struct routes *, routes_free);

/* Adds a table, which must outlive 'routes'.  Returns 0; -EEXIST when a method and pattern are there already; -EINVAL for
 * a bad pattern; -ENOMEM. */
int routes_add(struct routes *routes, const struct route *table, size_t n_routes);

/* Finds the route for 'segments' of a decoded path.  Literal segments win over parameters, from the left.  Stores the
 * route and, in the order of the pattern, the segments its {names} matched (borrowed).  Returns 0; -ENOENT when no pattern matches;
 * -EOPNOTSUPP when one does, but not with this method ('allow' then holds the methods: "GET, HEAD, POST"). */
int routes_find(const struct routes *routes, const char *method, char *const *segments, size_t n_segments,
                const struct route **ret_route, const char *ret_parameters[ROUTE_MAX_PARAMETERS], size_t *ret_n,
                char *allow, size_t allow_size);

size_t routes_count(const struct routes *routes);

#endif
