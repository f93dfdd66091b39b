/* Which server's next hop is asked for when: those that a new file brought at once, all of them in rounds, a stretch each tick. */
#include <stdlib.h>
#include <string.h>

#include "weft/director/reach.h"
#include "weft/director/runtime-state.h"

#define REACH_TICK_MS 100
#define REACH_AT_ONCE 200  /* Servers a tick. */
#define CLIENTS_MS 200
#define REACH_REST_MS 10000 /* After a round. */

static int compare(const void *a, const void *b)
{
    return memcmp(a, b, sizeof(struct ip_address));
}

/* All servers' addresses in order; NULL without memory.  NULL as a configuration has none. */
static struct ip_address *addresses_of(const struct director_config *config, size_t *ret_n)
{
    size_t n = 0, room = 1;
    struct ip_address *all;

    for (size_t i = 0; config && i < config->n_services; i++)
        room += config->services[i].n_servers + 1;
    all = calloc(room, sizeof(*all));
    *ret_n = 0;
    if (!all)
        return NULL;
    for (size_t i = 0; config && i < config->n_services; i++) {
        const struct virtual_service *service = &config->services[i];

        for (size_t j = 0; j < service->n_servers; j++)
            all[n++] = service->servers[j].address;
        if (service->has_sorry_server)
            all[n++] = service->sorry_server.address;
    }
    qsort(all, n, sizeof(*all), compare);
    *ret_n = n;
    return all;
}

static void go_on_in(uv_timer_t *timer, uint64_t ms)
{
    uv_timer_set_repeat(timer, ms);
    uv_timer_again(timer);
}

void resolver_again(struct director *director)
{
    director->reach_again = true;
    if (uv_timer_get_repeat(&director->reach_timer) != REACH_TICK_MS) /* It rests. */
        go_on_in(&director->reach_timer, REACH_TICK_MS);
}

void resolver_changed(struct director *director, const struct director_config *before)
{
    size_t n_before, n, n_fresh = 0;
    _cleanup_(freep) struct ip_address *old = addresses_of(before, &n_before);
    struct ip_address *fresh = addresses_of(director->config, &n);

    free(director->fresh);
    for (size_t i = 0; fresh && i < n; i++)
        if ((!n_fresh || compare(&fresh[n_fresh - 1], &fresh[i]) != 0) &&
            (!n_before || !bsearch(&fresh[i], old, n_before, sizeof(*old), compare)))
            fresh[n_fresh++] = fresh[i];
    director->fresh = fresh;
    director->n_fresh = n_fresh;
    director->next_fresh = 0;
    resolver_again(director);
}

/* The next in the round; NULL at its end. */
static const struct ip_address *next_in_round(struct director *director)
{
    while (director->config && director->reach_service < director->config->n_services) {
        const struct virtual_service *service = &director->config->services[director->reach_service];
        size_t turn = director->reach_server++;

        if (turn < service->n_servers)
            return &service->servers[turn].address;
        if (turn == service->n_servers && service->has_sorry_server)
            return &service->sorry_server.address;
        director->reach_service++;
        director->reach_server = 0;
    }
    return NULL;
}

static void resolve_some(uv_timer_t *timer)
{
    struct director *director = timer->data;

    for (unsigned n = 0; n < REACH_AT_ONCE; n++) {
        const struct ip_address *next = director->next_fresh < director->n_fresh ? &director->fresh[director->next_fresh++] : NULL;

        if (!next && !(next = next_in_round(director))) {
            director->reach_service = director->reach_server = 0;
            go_on_in(timer, director->reach_again ? REACH_TICK_MS : REACH_REST_MS);
            director->reach_again = false;
            return;
        }
        reach_resolve(next);
    }
    go_on_in(timer, REACH_TICK_MS);
}

/* Those that translated answers go to. */
static void resolve_clients(uv_timer_t *timer)
{
    struct director *director = timer->data;
    struct lb_address client;

    if (!director->tables || !director->tables->settings->has_translation)
        return;
    for (unsigned n = 0; n < REACH_AT_ONCE && lb_take_unresolved(director->tables, &client) == 0; n++) {
        struct ip_address address;

        memcpy(address.bytes, client.bytes, sizeof(address.bytes));
        reach_ask(&address);
    }
}

void resolver_start(struct director *director)
{
    uv_timer_init(&director->loop, &director->clients_timer);
    director->clients_timer.data = director;
    uv_timer_start(&director->clients_timer, resolve_clients, CLIENTS_MS, CLIENTS_MS);
    uv_timer_init(&director->loop, &director->reach_timer);
    director->reach_timer.data = director;
    uv_timer_start(&director->reach_timer, resolve_some, REACH_REST_MS, REACH_REST_MS);
}
