#include "weft/director/runtime.h"

#include <errno.h>
#include <linux/rtnetlink.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "weft/base/clock.h"
#include "weft/base/log.h"
#include "weft/base/notify.h"
#include "weft/director/check-device.h"
#include "weft/director/paths.h"
#include "weft/director/peer-rows.h"
#include "weft/director/reach.h"
#include "weft/director/runtime-state.h"

#define RELOAD_DELAY_MS 30 /* More than LB_GRACE_MS; and what changes together is taken together. */
#define RETRY_MS 2000 /* After tables that could not be written. */
#define AGE_MS 10000 /* Rows forget who had them before. */

_Static_assert(RELOAD_DELAY_MS >= 2 * LB_GRACE_MS, "a record is not written twice within its grace");

static void reload(uv_timer_t *timer);

/* ---- the tables ------------------------------------------------------------------------------------------------------------------ */

static struct ip_address source_for(const struct ip_address *address, void *context)
{
    return reach_source(address);
}

static void keep_tables(const struct lb_tables *tables)
{
    struct error error = {0};

    if (lb_keep(tables, &error) < 0)
        log_warning("%s: without the agent connections do not end, and its next start begins with empty tables", error.message);
}

/* No interface has the program of the tables before any more. */
static void settle(struct director *director)
{
    if (director->tables_before)
        lb_settle(director->tables, director->tables_before);
    lb_tables_close(director->tables_before);
    director->tables_before = NULL;
}

/* Larger tables, and the program that uses them, in the place of those that have become too small.  Interfaces still have the program
 * before, whose tables stay as they are until they get the new one. */
static int make_tables(struct director *director, const struct plan *plan, struct error *error)
{
    struct lb_sizes sizes = applied_sizes(director->applied, plan);
    struct lb_tables *tables, *before = director->tables;
    int result;

    settle(director);
    sizes.n_connections = before ? before->sizes.n_connections : director->config->connections;
    if (before) { /* Everything keeps its place, and the larger ones have room for as much again. */
        sizes.n_services += before->sizes.n_services;
        sizes.n_servers += before->sizes.n_servers;
        sizes.n_blocks += before->sizes.n_blocks;
        sizes.n_members += before->sizes.n_members;
        sizes.n_marks += before->sizes.n_marks;
    }
    result = lb_tables_open(&sizes, before, &tables, error);
    if (result < 0)
        return result;
    if (director->applied)
        result = applied_move(director->applied, tables);
    else if (!(director->applied = applied_new(tables)))
        result = -ENOMEM;
    if (result < 0) {
        lb_tables_close(tables);
        return result;
    }
    if (before)
        log_info("larger tables: room for %u services and %u servers", sizes.n_services, sizes.n_servers);
    director->tables = tables;
    director->tables_before = before;
    keep_tables(tables);
    return 0;
}

static uint32_t power_of_two(uint32_t n)
{
    uint32_t power = LB_CONNECTIONS_MIN;

    while (power < n)
        power *= 2;
    return power;
}

/* Another table of connections, with a copy of what is in the one before, if the file wants another size.  Without memory for it that one goes on. */
static void size_connections(struct director *director)
{
    uint32_t wanted = power_of_two(director->config->connections);
    struct lb_tables *tables, *before = director->tables;
    struct error error = {0};
    struct lb_sizes sizes;
    int result;

    if (!before || director->tables_before || before->sizes.n_connections == wanted || director->connections_refused == wanted)
        return;
    sizes = before->sizes;
    sizes.n_connections = wanted;
    result = lb_tables_open(&sizes, before, &tables, &error);
    if (result == 0) {
        result = applied_move(director->applied, tables);
        if (result < 0)
            lb_tables_close(tables);
    }
    director->connections_refused = result < 0 ? wanted : 0;
    if (result < 0) {
        log_error("connections: no table for %u, the one for %u goes on: %s", wanted, before->sizes.n_connections,
                  error.message[0] ? error.message : strerror(-result));
        return;
    }
    log_info("room for %u connections instead of %u; %u are taken over", wanted, before->sizes.n_connections, lb_read_connections(tables));
    director->tables = tables;
    lb_tables_close(before);
    keep_tables(tables);
}

/* The process before had taken it out, or its weight away. */
static bool was_down(const struct virtual_service *virtual, const struct real_server *real, void *context)
{
    const struct director *director = context;
    const struct applied_service *service = applied_find(director->applied, virtual);
    const struct applied_server *server = service ? applied_find_server(service, real) : NULL;

    return service && (!server || (real->weight && !server->weight));
}

/* Those of the process before, which interfaces use: what it did goes on. */
static void find_tables(struct director *director)
{
    struct error error = {0};
    int result = lb_tables_find(&director->tables, &error);

    if (result == 0 && !(director->applied = applied_restore(director->tables, clock_monotonic_ms()))) {
        lb_tables_close(director->tables);
        director->tables = NULL;
        result = error_set(&error, -ENOMEM, NULL, "cannot take over the tables: out of memory");
    }
    if (result < 0 && result != -ENOENT)
        log_warning("%s; they are made anew, connections may break", error.message);
    if (result < 0)
        return;
    log_info("the tables are taken over: %u connections", lb_read_connections(director->tables));
    director_health_recall(director->health, was_down, director);
    keep_tables(director->tables);
}

/* Whatever it was that deleted a network namespace did not call for 'detach'. */
static void release_dead(void)
{
    unsigned n = lb_release_dead();

    if (n)
        log_info("the tables of directors of %u network namespaces that are gone are removed", n);
}

static int fill_tables(struct director *director, const struct plan *plan, struct error *error)
{
    int result = director->tables ? 0 : make_tables(director, plan, error);

    if (result == 0 && director->peer)
        applied_follow(director->applied, peer_rows_base, peer_rows_of(director->peer));
    if (result == 0)
        result = apply(director->applied, plan, source_for, NULL, clock_monotonic_ms(), error);
    if (result == 0)
        size_connections(director);
    if (result == -ENOSPC) {
        *error = (struct error){0};
        result = make_tables(director, plan, error);
        if (result == 0)
            result = apply(director->applied, plan, source_for, NULL, clock_monotonic_ms(), error);
    }
    return result;
}

/* Who is up, and with which weight; those who are down are out, their connections end. */
static void plan_by_health(struct plan *plan, const struct director_health *health)
{
    for (size_t i = 0; i < plan->n_services; i++) {
        size_t index = (size_t)(plan->services[i].service - plan->config->services);
        const struct judged_service *judged = director_health_service(health, index);

        for (size_t j = 0; j < plan->services[i].n_servers; j++) { /* The sorry server is the last in both. */
            plan->services[i].servers[j].is_used = judged->servers[j].is_used;
            plan->services[i].servers[j].weight = judged->servers[j].weight;
            plan->services[i].servers[j].is_down = !judged->servers[j].is_up;
        }
    }
}

/* Once for all that happens meanwhile. */
static void schedule(struct director *director)
{
    if (!uv_is_closing((uv_handle_t *)&director->reload_timer) && !uv_is_active((uv_handle_t *)&director->reload_timer))
        uv_timer_start(&director->reload_timer, reload, RELOAD_DELAY_MS, 0);
}

static void retry(uv_timer_t *timer)
{
    schedule(timer->data);
}

static void apply_config(struct director *director)
{
    struct error error = {0};
    _cleanup_(plan_freep) struct plan *plan = plan_new(director->config);
    int result = -ENOMEM;

    if (plan) {
        plan_by_health(plan, director->health);
        result = fill_tables(director, plan, &error);
    }
    if (result < 0 && result != director->apply_error)
        log_error("%s; it is tried again", error.message[0] ? error.message : strerror(-result));
    if (result == 0 && director->apply_error)
        log_info("the tables are written");
    director->apply_error = result;
    if (result < 0)
        uv_timer_start(&director->retry_timer, retry, RETRY_MS, 0);
    if (!director->tables)
        return;
    interfaces_apply(director);
    settle(director);
    if (director->peer)
        peer_tables_changed(director->peer);
}

/* ---- the file --------------------------------------------------------------------------------------------------------------------- */

static int read_config(struct director *director, struct director_config **ret, struct error *error)
{
    _cleanup_(director_config_freep) struct director_config *config = NULL;
    int result = director_config_read(director->options.config_path, &config, error);

    if (result == 0)
        *ret = TAKE_PTR(config);
    return result;
}

static void say_refusal(struct director *director, const struct error *error, const char *consequence)
{
    char text[sizeof(director->config_error)];

    bool names_field = !error->field[0] || strstr(error->message, error->field); /* The file's reader says it all, and the path. */
    snprintf(text, sizeof(text), "%s%s%.300s", names_field ? "" : error->field, names_field ? "" : ": ", error->message);
    if (!streq(text, director->config_error))
        log_error("%s%s", text, consequence);
    string_copy(director->config_error, sizeof(director->config_error), text);
}

static void take_file(struct director *director)
{
    struct director_config *config = NULL, *before = director->config;
    struct error error = {0};

    if (read_config(director, &config, &error) < 0 || !config || director_health_set(director->health, config, &error) < 0) {
        say_refusal(director, &error, director->config ? "; what was there before goes on" : "");
        director_config_free(config);
        return;
    }
    if (plan_check(config, &error) < 0)
        say_refusal(director, &error, "; the service is left out, the others are balanced");
    else
        director->config_error[0] = 0;
    director->config = config;
    director->config_number++;
    resolver_changed(director, before);
    if (before)
        log_info("%s: %zu services", director->options.config_path, config->n_services);
    director_config_free(before);
}

static void reload(uv_timer_t *timer)
{
    struct director *director = timer->data;

    if (director->file_changed) {
        director->file_changed = false;
        take_file(director);
    }
    if (director->config && !(director->peer && peer_rows_are_awaited(peer_rows_of(director->peer))))
        apply_config(director);
}

static void age(uv_timer_t *timer)
{
    const struct director *director = timer->data;

    if (director->applied)
        applied_age(director->applied, clock_monotonic_ms());
}

static void health_changed(void *context)
{
    schedule(context);
}

void director_schedule_apply(struct director *director)
{
    schedule(director);
}

void director_schedule_reload(struct director *director)
{
    director->file_changed = true;
    schedule(director);
}

static const char *name_in_folder(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash ? slash + 1 : path;
}

static void target_changed(uv_fs_event_t *watch, const char *name, int events, int status)
{
    struct director *director = watch->data;

    if (!name || streq(name, name_in_folder(director->target)))
        director_schedule_reload(director);
}

/* The path may be a link, or lead over one: weft-ipvsadm replaces what it leads to.  Returns whether that is another file now. */
static bool follow_link(struct director *director)
{
    _cleanup_(freep) char *real = realpath(director->options.config_path, NULL);
    char folder[sizeof(director->target)];

    if (streq(real ? real : "", director->target))
        return false;
    uv_fs_event_stop(&director->target_watch);
    director->target[0] = 0;
    if (!real || string_copy(director->target, sizeof(director->target), real) < 0)
        return true;
    string_copy(folder, sizeof(folder), real);
    folder[MAX(name_in_folder(folder) - folder - 1, 1)] = 0;
    if (uv_fs_event_start(&director->target_watch, target_changed, folder, 0) < 0)
        log_warning("cannot watch the folder '%s': changes there are not seen", folder);
    return true;
}

static void folder_changed(uv_fs_event_t *watch, const char *name, int events, int status)
{
    struct director *director = watch->data;

    if (follow_link(director) || !name || streq(name, name_in_folder(director->options.config_path)))
        director_schedule_reload(director);
}

static int watch_file(struct director *director, struct error *error)
{
    char folder[512];
    int result;

    if (string_copy(folder, sizeof(folder), director->options.config_path) < 0)
        return error_set(error, -ENAMETOOLONG, "config", "'%s' is too long", director->options.config_path);
    char *slash = strrchr(folder, '/');
    if (slash)
        slash[slash == folder] = 0;
    uv_fs_event_init(&director->loop, &director->watch);
    uv_fs_event_init(&director->loop, &director->target_watch);
    director->target_watch.data = director;
    follow_link(director);
    director->watch.data = director;
    result = uv_fs_event_start(&director->watch, folder_changed, slash ? folder : ".", 0);
    return result < 0 ? error_set(error, result, "config", "cannot watch the folder of '%s': %s", director->options.config_path, uv_strerror(result)) : 0;
}

/* ---- the host's routes --------------------------------------------------------------------------------------------------------- */

/* A route, an address, an interface: sources and neighbors may be others, or an interface is there at last. */
static void routes_changed(void *context)
{
    struct director *director = context;

    paths_interfaces_changed(director->paths);
    resolver_again(director);
    schedule(director);
}

static int watch_routes(struct director *director, struct error *error)
{
    static const int groups[] = {RTNLGRP_LINK, RTNLGRP_IPV4_ROUTE, RTNLGRP_IPV6_ROUTE, RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV6_IFADDR};
    int result;

    director->routes_owner = (struct netlink_watch_owner){.what = "routes and interfaces", .changed = routes_changed, .context = director};
    result = netlink_watch_open(&director->routes, groups, ARRAY_SIZE(groups), &director->routes_owner);
    if (result < 0)
        return error_set(error, result, NULL, "cannot follow the host's routes: %s", strerror(-result));
    netlink_watch_start(&director->routes, &director->loop);
    return 0;
}

/* ---- start and end ------------------------------------------------------------------------------------------------------------------- */

static void stop(uv_signal_t *signal, int number)
{
    uv_stop(signal->loop);
}

static void hung_up(uv_signal_t *signal, int number)
{
    director_schedule_reload(signal->data);
}

static void init_handles(struct director *director)
{
    uv_loop_init(&director->loop);
    uv_timer_init(&director->loop, &director->reload_timer);
    uv_timer_init(&director->loop, &director->retry_timer);
    director->retry_timer.data = director;
    uv_timer_init(&director->loop, &director->age_timer);
    director->age_timer.data = director;
    uv_timer_start(&director->age_timer, age, AGE_MS, AGE_MS);
    uv_signal_init(&director->loop, &director->terminate);
    uv_signal_init(&director->loop, &director->interrupt);
    uv_signal_init(&director->loop, &director->hang_up);
    director->reload_timer.data = director->hang_up.data = director;
    resolver_start(director);
    rates_start(director);
    uv_signal_start(&director->terminate, stop, SIGTERM);
    uv_signal_start(&director->interrupt, stop, SIGINT);
    uv_signal_start(&director->hang_up, hung_up, SIGHUP);
}

static void free_handle(uv_handle_t *handle, void *context)
{
    if (!uv_is_closing(handle))
        uv_close(handle, NULL);
}

static void health_closed(void *context)
{
    *(bool *)context = true;
}

/* Probes first: their handles have owners that count them. */
static void end_health(struct director *director)
{
    bool is_closed = !director->health;

    if (director->health)
        director_health_close(director->health, health_closed, &is_closed);
    while (!is_closed)
        uv_run(&director->loop, UV_RUN_ONCE);
}

static void end(struct director *director)
{
    uv_close((uv_handle_t *)&director->reload_timer, NULL); /* Nothing is applied any more. */
    end_health(director);
    serve_free(director->serve);
    director_metrics_free(director->metrics);
    peer_free(director->peer);
    netlink_watch_close(&director->routes);
    uv_walk(&director->loop, free_handle, NULL);
    uv_run(&director->loop, UV_RUN_DEFAULT);
    uv_loop_close(&director->loop);
    applied_free(director->applied);
    lb_tables_close(director->tables_before);
    lb_tables_close(director->tables);
    director_config_free(director->config);
    paths_free(director->paths);
    free(director->fresh);
}

static int lead_checks(struct director *director)
{
    struct check_paths paths;

    director->paths = paths_new(director);
    if (!director->paths)
        return -ENOMEM;
    paths = paths_of(director->paths);
    director_health_set_paths(director->health, &paths);
    return 0;
}

int director_run(const struct director_options *options, struct error *error)
{
    _cleanup_(closep) int claim = director_claim(error); /* Two would take each other's services out. */
    _cleanup_(freep) struct director *director = claim < 0 ? NULL : calloc(1, sizeof(*director));
    int result;

    if (claim < 0)
        return claim;
    if (!director)
        return error_set(error, -ENOMEM, NULL, "out of memory");
    check_device_clean(); /* What a process before left has nobody to lead answers to. */
    director->options = *options;
    init_handles(director);
    result = director_health_new(&director->loop, health_changed, director, &director->health);
    if (result == 0)
        result = lead_checks(director);
    if (result < 0)
        error_set(error, result, NULL, "out of memory");
    if (result == 0)
        result = watch_file(director, error);
    if (result == 0)
        result = watch_routes(director, error);
    if (result == 0)
        result = serve_new(director, options->socket_path, &director->serve, error);
    if (result == 0 && options->metrics_listen)
        result = director_metrics_new(director, options->metrics_listen, &director->metrics, error);
    if (result == 0 && options->peer.address)
        result = peer_new(director, &options->peer, &director->peer, error);
    if (result == 0) {
        release_dead();
        find_tables(director);
        if (director->peer && !director->tables)
            peer_wait(director->peer);
        director->file_changed = true;
        reload(&director->reload_timer);
        if (director->config)
            log_info("director started with %zu services", director->config->n_services);
        notify_service_manager("READY=1");
        uv_run(&director->loop, UV_RUN_DEFAULT);
    }
    end(director);
    return result;
}

int director_detach(const struct director_options *options, unsigned *ret_n, struct error *error)
{
    _cleanup_(closep) int claim = director_claim(error);

    if (claim < 0)
        return claim;
    lb_release();
    *ret_n = interfaces_clean(NULL);
    check_device_clean();
    return 0;
}
