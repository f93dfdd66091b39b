#include "weft/http/routes.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "weft/http/target.h"
#include "weft/base/util.h"

struct compiled {
    const struct route *route;
    char *storage;                       /* The pattern, cut at its slashes. */
    const char *segments[TARGET_MAX_SEGMENTS]; /* NULL is a parameter. */
    size_t n_segments;
    bool is_open;                        /* More segments may follow. */
    uint32_t literals;                   /* Bit 31 is the first segment: of two patterns that match, the greater wins. */
};

struct routes {
    struct compiled *compiled;
    size_t n, capacity;
};

int routes_new(struct routes **ret_routes)
{
    struct routes *routes = calloc(1, sizeof(*routes));

    if (!routes)
        return -ENOMEM;
    *ret_routes = routes;
    return 0;
}

void routes_free(struct routes *routes)
{
    if (!routes)
        return;
    for (size_t i = 0; i < routes->n; i++)
        free(routes->compiled[i].storage);
    free(routes->compiled);
    free(routes);
}

static int compile(const struct route *route, struct compiled *compiled)
{
    size_t n_parameters = 0;
    char *rest;

    *compiled = (struct compiled){.route = route, .storage = strdup(route->pattern)};
    if (!compiled->storage)
        return -ENOMEM;
    if (route->pattern[0] != '/' || !route->handle)
        return -EINVAL;

    rest = compiled->storage + 1;
    for (char *segment; *rest && (segment = strsep(&rest, "/"));) {
        if (compiled->n_segments == TARGET_MAX_SEGMENTS || !*segment)
            return -EINVAL;
        if (segment[0] == '{' && strstr(segment, "...}")) {
            compiled->is_open = true;
            return rest ? -EINVAL : 0;
        }
        if (segment[0] == '{') {
            if (++n_parameters > ROUTE_MAX_PARAMETERS)
                return -EINVAL;
        } else {
            compiled->segments[compiled->n_segments] = segment;
            compiled->literals |= 1u << (31 - compiled->n_segments);
        }
        compiled->n_segments++;
        if (!rest)
            break;
    }
    return 0;
}

int routes_add(struct routes *routes, const struct route *table, size_t n_routes)
{
    for (size_t i = 0; i < n_routes; i++) {
        struct compiled compiled;
        int r;

        for (size_t j = 0; j < routes->n; j++)
            if (streq(routes->compiled[j].route->method, table[i].method) && streq(routes->compiled[j].route->pattern, table[i].pattern))
                return -EEXIST;
        if (routes->n == routes->capacity) {
            size_t capacity = routes->capacity ? 2 * routes->capacity : 64;
            struct compiled *grown = reallocarray(routes->compiled, capacity, sizeof(*grown));

            if (!grown)
                return -ENOMEM;
            routes->compiled = grown;
            routes->capacity = capacity;
        }
        r = compile(&table[i], &compiled);
        if (r < 0) {
            free(compiled.storage);
            return r;
        }
        routes->compiled[routes->n++] = compiled;
    }
    return 0;
}

static bool matches(const struct compiled *compiled, char *const *segments, size_t n_segments)
{
    if (compiled->is_open ? compiled->n_segments > n_segments : compiled->n_segments != n_segments)
        return false;
    for (size_t i = 0; i < compiled->n_segments; i++)
        if (compiled->segments[i] ? !streq(compiled->segments[i], segments[i]) : !segments[i][0])
            return false;
    return true;
}

int routes_find(const struct routes *routes, const char *method, char *const *segments, size_t n_segments,
                const struct route **ret_route, const char *ret_parameters[ROUTE_MAX_PARAMETERS], size_t *ret_n,
                char *allow, size_t allow_size)
{
    const struct compiled *best = NULL;
    uint32_t most_literals = 0;
    bool found_path = false;
    size_t used = 0;

    /* First the most specific path, then the method there: DELETE of a literal path that only has GET is 405, even
     * where a parameter would match too. */
    for (size_t i = 0; i < routes->n; i++)
        if (matches(&routes->compiled[i], segments, n_segments)) {
            most_literals = found_path ? MAX(most_literals, routes->compiled[i].literals) : routes->compiled[i].literals;
            found_path = true;
        }
    if (!found_path)
        return -ENOENT;

    if (allow_size)
        allow[0] = '\0';
    for (size_t i = 0; i < routes->n; i++) {
        const struct compiled *compiled = &routes->compiled[i];
        const char *its = compiled->route->method;

        if (compiled->literals != most_literals || !matches(compiled, segments, n_segments))
            continue;
        if (streq(its, method) || (streq(method, "HEAD") && streq(its, "GET") && !best))
            best = compiled;
        if (used < allow_size)
            used += (size_t)snprintf(allow + used, allow_size - used, "%s%s%s", used ? ", " : "", its, streq(its, "GET") ? ", HEAD" : "");
    }
    if (!best)
        return -EOPNOTSUPP;

    *ret_route = best->route;
    *ret_n = 0;
    for (size_t i = 0; i < best->n_segments; i++)
        if (!best->segments[i])
            ret_parameters[(*ret_n)++] = segments[i];
    return 0;
}

size_t routes_count(const struct routes *routes)
{
    return routes->n;
}
