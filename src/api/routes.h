/* Method and path -> handler.  Tables are registered at the start and looked up for each request. */
#ifndef WEFT_API_ROUTES_H
#define WEFT_API_ROUTES_H

#include "weft/api/request.h"

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
                const struct route **ret_route, const char *ret_parameters[REQUEST_MAX_PARAMETERS], size_t *ret_n,
                char *allow, size_t allow_size);

/* Visits every route, for documentation and metrics. */
size_t routes_count(const struct routes *routes);
const struct route *routes_get(const struct routes *routes, size_t index);
size_t routes_index(const struct routes *routes, const struct route *route);

#endif
