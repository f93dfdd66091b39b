/* The paths between two switches, by the configured mode, and the buckets that spread flows over them.
 *
 * A route is found when the first flow needs it and found again when the graph has changed since.  A path that stays is the same object then, so that its
 * flows stay on it; one that lost a link is dead: its flows are moved by routes_flush, as are those of paths that a new weight made worse. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "weft/base/util.h"
#include "weft/fabric/paths/reference-log.h"
#include "weft/fabric/state.h"

#define ROUTE_IDLE_MS 60000
#define ROUTES_STEP_MS 10000

/* ---- paths ------------------------------------------------------------------------------------------------------------------ */

static void free_path(struct fabric_path *path)
{
    for (uint32_t i = 0; i < path->n_hops; i++)
        ring_remove(&path->hops[i].of_arc);
    ring_remove(&path->of_route);
    free(path);
}

static void free_path_if_unused(struct fabric_path *path)
{
    if (!path->is_listed && !path->n_flows)
        free_path(path);
}

void path_use(struct fabric_path *path, struct ring *of_path)
{
    ring_append(&path->flows, of_path);
    path->n_flows++;
}

void path_leave(struct fabric_path *path, struct ring *of_path)
{
    ring_remove(of_path);
    path->n_flows--;
    free_path_if_unused(path);
}

void path_hold(struct fabric_path *path)
{
    path->n_flows++;
}

void path_release(struct fabric_path *path)
{
    path->n_flows--;
    free_path_if_unused(path);
}

static struct fabric_path *find_path(struct fabric_route *route, const uint32_t *arcs, size_t n_arcs)
{
    RING_FOREACH(element, &route->paths) {
        struct fabric_path *path = CONTAINER_OF(element, struct fabric_path, of_route);
        bool is_same = !path->is_dead && path->n_hops == n_arcs;

        for (size_t i = 0; is_same && i < n_arcs; i++)
            is_same = path->hops[i].arc == arcs[i];
        if (is_same)
            return path;
    }
    return NULL;
}

struct fabric_path *route_path(struct fabric *fabric, struct fabric_route *route, const uint32_t *arcs, size_t n_arcs)
{
    struct fabric_path *path = find_path(route, arcs, n_arcs);

    if (path)
        return path;
    path = calloc(1, sizeof(*path) + n_arcs * sizeof(*path->hops));
    if (!path)
        return NULL;
    path->route = route;
    path->n_hops = (uint32_t)n_arcs;
    ring_init(&path->flows);
    ring_append(&route->paths, &path->of_route);
    for (size_t i = 0; i < n_arcs; i++) {
        struct path_hop *hop = &path->hops[i];

        hop->path = path;
        hop->arc = arcs[i];
        hop->out = fabric->arcs[arcs[i]]->from;
        hop->in = hop->out->neighbor;
        path->cost += graph_weight(fabric->graph, arcs[i]);
        ring_append(&fabric->arcs[arcs[i]]->paths, &hop->of_arc);
    }
    return path;
}

/* ---- finding them -------------------------------------------------------------------------------------------------------------- */

/* All shortest paths up to the limit; evenly out of more than that. */
static int find_equal_cost(struct fabric *fabric, const struct fabric_route *route, struct path_list *ret)
{
    const struct dag *dag;
    int result = dag_get(fabric->dags, route->key.to, &dag);

    return result < 0 ? result : dag_paths(dag, route->key.from, fabric->options.max_paths, ret);
}

static uint64_t node_id(uint32_t node, void *context)
{
    struct datapath *datapath = datapath_of_node(context, node);

    return datapath ? datapath->id : 0;
}

static void log_line(const char *line, void *context)
{
    struct fabric *fabric = context;

    if (fabric->options.path_line)
        fabric->options.path_line(line, fabric->options.context);
}

static int find_reference(struct fabric *fabric, const struct fabric_route *route, struct path_list *ret)
{
    struct reference_log log = {node_id, log_line, fabric};
    struct reference_trace trace = reference_log_trace(&log);

    if (!fabric->options.log_paths)
        return paths_reference(fabric->graph, route->key.from, route->key.to, fabric->options.max_paths, NULL, ret);
    return paths_reference(fabric->graph, route->key.from, route->key.to, fabric->options.max_paths, &trace, ret);
}

static int find(struct fabric *fabric, const struct fabric_route *route, struct path_list *ret)
{
    if (route->key.from == route->key.to)
        return paths_find(fabric->graph, PATHS_EQUAL_COST, route->key.from, route->key.to, 1, ret);
    if (fabric->options.mode == PATHS_EQUAL_COST)
        return find_equal_cost(fabric, route, ret);
    if (fabric->options.mode == PATHS_REFERENCE)
        return find_reference(fabric, route, ret);
    return paths_find(fabric->graph, fabric->options.mode, route->key.from, route->key.to, fabric->options.max_paths, ret);
}

/* A path's share is the speed of its slowest link, where ports say theirs; equal otherwise. */
static uint32_t share_of(const struct fabric_path *path)
{
    uint32_t slowest = UINT32_MAX;

    for (uint32_t i = 0; i < path->n_hops; i++)
        if (path->hops[i].out->current_kbps)
            slowest = MIN(slowest, path->hops[i].out->current_kbps);
    return slowest == UINT32_MAX ? 1 : MIN(65535u, MAX(1u, slowest / 100000)); /* In 100 Mbit/s. */
}

static int list_paths(struct fabric *fabric, struct fabric_route *route, const struct path_list *found)
{
    struct fabric_path **listed = calloc(MAX(found->n, (size_t)1), sizeof(*listed));
    uint32_t *shares = malloc(MAX(found->n, (size_t)1) * sizeof(*shares));
    int32_t *previous = malloc(MAX(found->n, (size_t)1) * sizeof(*previous));
    int result = listed && shares && previous ? 0 : -ENOMEM;

    for (size_t i = 0; result == 0 && i < found->n; i++) {
        listed[i] = route_path(fabric, route, path_arcs(found, i), found->paths[i].n_arcs);
        if (!listed[i]) {
            result = -ENOMEM;
            break;
        }
        shares[i] = share_of(listed[i]);
        previous[i] = -1;
        for (size_t k = 0; k < route->n_listed; k++)
            if (route->listed[k] == listed[i])
                previous[i] = (int32_t)k;
    }
    if (result == 0)
        result = buckets_set(&route->buckets, found->n, shares, previous);
    if (result == 0) {
        for (size_t k = 0; k < route->n_listed; k++)
            route->listed[k]->is_listed = false;
        for (size_t i = 0; i < found->n; i++)
            listed[i]->is_listed = true;
        free(route->listed);
        route->listed = listed;
        route->n_listed = found->n;
        listed = NULL;
    }
    RING_FOREACH(element, &route->paths)
        free_path_if_unused(CONTAINER_OF(element, struct fabric_path, of_route));
    free(listed);
    free(shares);
    free(previous);
    return result;
}

static int refresh(struct fabric *fabric, struct fabric_route *route)
{
    struct path_list found = {0};
    int result = find(fabric, route, &found);

    if (result == 0 || result == -ENOENT)
        result = list_paths(fabric, route, &found);
    if (result == 0)
        route->version = graph_version(fabric->graph);
    path_list_clear(&found);
    return result;
}

static struct fabric_route *add_route(struct fabric *fabric, const struct route_key *key)
{
    struct fabric_route *route = calloc(1, sizeof(*route));

    if (!route)
        return NULL;
    route->key = *key;
    route->version = graph_version(fabric->graph) - 1;
    ring_init(&route->paths);
    ring_init(&route->of_dirty);
    if (hashmap_insert(&fabric->routes, &route->by_key, &route->key, sizeof(route->key)) < 0) {
        free(route);
        return NULL;
    }
    return route;
}

struct fabric_route *route_get(struct fabric *fabric, uint32_t from, uint32_t to)
{
    struct route_key key = {from, to};
    struct hashmap_node *node = hashmap_find(&fabric->routes, &key, sizeof(key));
    struct fabric_route *route = node ? CONTAINER_OF(node, struct fabric_route, by_key) : add_route(fabric, &key);

    if (!route || (route->version != graph_version(fabric->graph) && refresh(fabric, route) < 0))
        return NULL;
    route->used_ms = fabric->now_ms;
    return route;
}

struct fabric_path *route_select(struct fabric *fabric, struct fabric_route *route, uint32_t hash)
{
    const struct reference_log log = {node_id, log_line, fabric};

    if (!route->n_listed)
        return NULL;
    if (fabric->options.mode != PATHS_REFERENCE)
        return route->listed[buckets_select(&route->buckets, hash)];
    if (fabric->options.log_paths && route->key.from != route->key.to)
        return route->listed[reference_log_choice(&log, route->n_listed, hash)];
    return route->listed[hash % route->n_listed];
}

/* ---- changes of the graph --------------------------------------------------------------------------------------------------------- */

static void set_dirty(struct fabric *fabric, struct fabric_route *route)
{
    if (ring_is_empty(&route->of_dirty))
        ring_append(&fabric->dirty_routes, &route->of_dirty);
}

void routes_arc_added(struct fabric *fabric, uint32_t arc, struct fabric_port *from)
{
    struct arc_change change = {arc, graph_from(fabric->graph, arc), graph_to(fabric->graph, arc), 0, from->weight};

    dag_cache_arc_changed(fabric->dags, &change, NULL, NULL);
    if (!fabric->has_stranded)
        return;
    fabric->has_stranded = false;
    HASHMAP_FOREACH(node, &fabric->routes) {
        struct fabric_route *route = CONTAINER_OF(node, struct fabric_route, by_key);

        if (route->is_stranded)
            set_dirty(fabric, route);
        route->is_stranded = false;
    }
}

void routes_arc_removed(struct fabric *fabric, uint32_t arc, uint32_t from, uint32_t to, uint32_t weight)
{
    struct arc_change change = {arc, from, to, weight, 0};

    dag_cache_arc_changed(fabric->dags, &change, NULL, NULL);
    RING_FOREACH(element, &fabric->arcs[arc]->paths) {
        struct path_hop *hop = CONTAINER_OF(element, struct path_hop, of_arc);

        ring_remove(&hop->of_arc);
        hop->path->is_dead = true;
        set_dirty(fabric, hop->path->route);
    }
}

void routes_arc_changed(struct fabric *fabric, uint32_t arc, uint32_t before)
{
    struct arc_change change = {arc, graph_from(fabric->graph, arc), graph_to(fabric->graph, arc), before, graph_weight(fabric->graph, arc)};

    dag_cache_arc_changed(fabric->dags, &change, NULL, NULL);
    /* Whoever set the weight wants traffic to move: away from the link, or onto it. */
    HASHMAP_FOREACH(node, &fabric->routes) {
        struct fabric_route *route = CONTAINER_OF(node, struct fabric_route, by_key);

        route->is_rebalanced = true;
        set_dirty(fabric, route);
    }
}

static bool move_flows(struct fabric *fabric, struct fabric_route *route)
{
    RING_FOREACH(element, &route->paths) {
        struct fabric_path *path = CONTAINER_OF(element, struct fabric_path, of_route);

        if (path->n_flows && (path->is_dead || (route->is_rebalanced && !path->is_listed && route->n_listed)))
            if (!flows_move(fabric, path)) /* Frees it with the last flow. */
                return false;
    }
    route->is_rebalanced = false;
    return true;
}

void routes_flush(struct fabric *fabric)
{
    struct ring waiting;

    ring_init(&waiting);
    while (!ring_is_empty(&fabric->dirty_routes)) {
        struct fabric_route *route = CONTAINER_OF(fabric->dirty_routes.next, struct fabric_route, of_dirty);

        ring_remove(&route->of_dirty);
        if (refresh(fabric, route) < 0) {
            fabric_count_drop(fabric, FABRIC_DROP_NO_MEMORY);
            continue; /* Its flows stay where they are; the next change tries again. */
        }
        if (!move_flows(fabric, route))
            ring_append(&waiting, &route->of_dirty);
    }
    while (!ring_is_empty(&waiting)) {
        struct ring *element = waiting.next;

        ring_remove(element);
        ring_append(&fabric->dirty_routes, element); /* Goes on with the next message or tick. */
    }
    flows_commit(fabric);
}

/* ---- ends -------------------------------------------------------------------------------------------------------------------------- */

static void remove_route(struct fabric *fabric, struct fabric_route *route)
{
    RING_FOREACH(element, &route->paths)
        free_path(CONTAINER_OF(element, struct fabric_path, of_route));
    ring_remove(&route->of_dirty);
    hashmap_remove(&fabric->routes, &route->by_key);
    buckets_clear(&route->buckets);
    free(route->listed);
    free(route);
}

static bool has_flows(const struct fabric_route *route)
{
    RING_FOREACH(element, (struct ring *)&route->paths)
        if (CONTAINER_OF(element, struct fabric_path, of_route)->n_flows)
            return true;
    return false;
}

void routes_forget_node(struct fabric *fabric, uint32_t node)
{
    HASHMAP_FOREACH(element, &fabric->routes) {
        struct fabric_route *route = CONTAINER_OF(element, struct fabric_route, by_key);

        if (route->key.from == node || route->key.to == node)
            remove_route(fabric, route);
    }
}

void routes_tick(struct fabric *fabric)
{
    if (fabric->now_ms / ROUTES_STEP_MS == fabric->ticked_ms / ROUTES_STEP_MS)
        return;
    HASHMAP_FOREACH(node, &fabric->routes) {
        struct fabric_route *route = CONTAINER_OF(node, struct fabric_route, by_key);

        if (fabric->now_ms - route->used_ms >= ROUTE_IDLE_MS && !has_flows(route))
            remove_route(fabric, route);
    }
}

void routes_clear(struct fabric *fabric)
{
    HASHMAP_FOREACH(node, &fabric->routes)
        remove_route(fabric, CONTAINER_OF(node, struct fabric_route, by_key));
    hashmap_clear(&fabric->routes);
}
