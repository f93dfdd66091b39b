/* Who watches what, and delivery.
 *
 * A backend commits, then publishes: a watch that has seen everything before the commit ('delivered') gets its events
 * from memory.  A watch that resumes from the past, or that was added meanwhile, lags: it reads the backend's log by
 * bounded steps until it is level, so that a long catch-up does not hold up commits for long. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "weft/store/backend.h"

#define CATCH_UP_STEP 256 /* Transactions read from the log for one watch before others get their turn. */

struct store_watch {
    struct watch_hub *hub;
    struct store_watch *next;
    uint64_t delivered; /* Written by the delivering thread only, under the hub's lock. */
    void (*notify)(const struct store_watch_batch *batch, void *context);
    void *context;
    char *to;
    size_t from_size, to_size;
    char from[];
};

int store_watch(struct store *store, const char *from, size_t from_size, const char *to, size_t to_size,
                uint64_t after_revision, void (*notify)(const struct store_watch_batch *batch, void *context),
                void *context, struct store_watch **ret_watch)
{
    struct watch_hub *hub = &store->hub;
    struct store_watch *watch = calloc(1, sizeof *watch + from_size + to_size);
    bool is_stale;

    if (!watch)
        return -ENOMEM;
    watch->hub = hub;
    watch->delivered = after_revision;
    watch->notify = notify;
    watch->context = context;
    watch->from_size = from_size;
    watch->to_size = to_size;
    watch->to = watch->from + from_size;
    if (from_size)
        memcpy(watch->from, from, from_size);
    if (to_size)
        memcpy(watch->to, to, to_size);

    pthread_mutex_lock(&hub->lock);
    is_stale = after_revision < hub->floor;
    if (!is_stale) {
        watch->next = hub->first;
        hub->first = watch;
    }
    pthread_mutex_unlock(&hub->lock);
    if (is_stale) {
        free(watch);
        return -ESTALE;
    }
    *ret_watch = watch;
    store->operations->watch_added(store);
    return 0;
}

void store_watch_cancel(struct store_watch *watch)
{
    struct watch_hub *hub;
    struct store_watch **link;

    if (!watch)
        return;
    hub = watch->hub;
    pthread_mutex_lock(&hub->lock);
    while (hub->running == watch)
        pthread_cond_wait(&hub->idle, &hub->lock);
    for (link = &hub->first; *link != watch; link = &(*link)->next)
        ;
    *link = watch->next;
    pthread_mutex_unlock(&hub->lock);
    free(watch);
}

/* Calls 'notify' without the lock; while it runs the watch cannot go away (store_watch_cancel waits). */
static void deliver(struct store_watch *watch, const struct store_watch_batch *batch)
{
    watch->notify(batch, watch->context);
}

static void begin_delivery(struct watch_hub *hub, struct store_watch *watch)
{
    hub->running = watch;
    pthread_mutex_unlock(&hub->lock);
}

static void end_delivery(struct watch_hub *hub, struct store_watch *watch, uint64_t delivered)
{
    pthread_mutex_lock(&hub->lock);
    watch->delivered = delivered;
    hub->running = NULL;
    pthread_cond_broadcast(&hub->idle);
}

/* Copies the events of 'watch' to 'events' (or only counts them). */
static size_t select_events(const struct store_watch *watch, const struct store_transaction *first,
                            struct store_item *events)
{
    size_t n = 0;

    for (const struct store_transaction *transaction = first; transaction; transaction = transaction->next) {
        if (transaction->result.status != 0 || transaction->result.revision <= watch->delivered)
            continue;
        for (size_t i = 0; i < transaction->n_writes; i++) {
            const struct store_write *write = transaction->writes[i];

            if (!write->changed || !key_in_range(write->item.key, write->item.key_size, watch->from, watch->from_size,
                                                 watch->to, watch->to_size))
                continue;
            if (events)
                events[n] = write->item;
            n++;
        }
    }
    return n;
}

void watch_hub_publish(struct watch_hub *hub, const struct store_transaction *first, uint64_t before, uint64_t revision)
{
    pthread_mutex_lock(&hub->lock);
    for (struct store_watch *watch = hub->first; watch; watch = watch->next) {
        _cleanup_(freep) struct store_item *events = NULL;
        size_t n;

        if (watch->delivered < before || watch->delivered >= revision)
            continue;
        begin_delivery(hub, watch);
        n = select_events(watch, first, NULL);
        if (n)
            events = malloc(n * sizeof *events);
        if (n && !events) {
            end_delivery(hub, watch, watch->delivered); /* Out of memory: it lags, and reads the log later. */
            continue;
        }
        select_events(watch, first, events);
        deliver(watch, &(struct store_watch_batch){.revision = revision, .events = events, .n_events = n});
        end_delivery(hub, watch, revision);
    }
    pthread_mutex_unlock(&hub->lock);
}

struct catch_up {
    struct store_watch *watch;
    uint64_t reached;
    uint64_t notified;
    size_t n_transactions;
    struct store_item *events; /* Room for one transaction. */
    size_t n_room;
};

static int deliver_logged(uint64_t revision, const struct store_item *events, size_t n_events, void *context)
{
    struct catch_up *state = context;
    struct store_watch *watch = state->watch;
    size_t n = 0;

    if (n_events > state->n_room) {
        struct store_item *room = realloc(state->events, n_events * sizeof *room);

        if (!room)
            return -ENOMEM;
        state->events = room;
        state->n_room = n_events;
    }
    for (size_t i = 0; i < n_events; i++)
        if (key_in_range(events[i].key, events[i].key_size, watch->from, watch->from_size, watch->to, watch->to_size))
            state->events[n++] = events[i];
    if (n) {
        deliver(watch, &(struct store_watch_batch){.revision = revision, .events = state->events, .n_events = n});
        state->notified = revision;
    }
    state->reached = revision;
    state->n_transactions++;
    return 0;
}

int watch_hub_catch_up(struct watch_hub *hub, struct store *store, uint64_t revision, store_log_reader read_log)
{
    int result = 0;

    pthread_mutex_lock(&hub->lock);
    for (struct store_watch *watch = hub->first; watch; watch = watch->next) {
        struct catch_up state = {.watch = watch, .reached = watch->delivered};
        int r;

        if (watch->delivered >= revision)
            continue;
        begin_delivery(hub, watch);
        r = read_log(store, watch->delivered, CATCH_UP_STEP, deliver_logged, &state);
        if (r == 0 && state.n_transactions < CATCH_UP_STEP && state.reached < revision)
            r = -EIO; /* Every revision has a log entry above the floor. */
        if (r == 0 && state.reached > state.notified)
            deliver(watch, &(struct store_watch_batch){.revision = state.reached});
        free(state.events);
        end_delivery(hub, watch, state.reached);
        if (r < 0)
            result = r;
        else if (result == 0 && state.reached < revision)
            result = 1;
    }
    pthread_mutex_unlock(&hub->lock);
    return result;
}

uint64_t watch_hub_raise_floor(struct watch_hub *hub, uint64_t floor)
{
    pthread_mutex_lock(&hub->lock);
    for (const struct store_watch *watch = hub->first; watch; watch = watch->next)
        floor = MIN(floor, watch->delivered);
    if (floor > hub->floor)
        hub->floor = floor;
    floor = hub->floor;
    pthread_mutex_unlock(&hub->lock);
    return floor;
}

void watch_hub_clear(struct watch_hub *hub)
{
    while (hub->first) {
        struct store_watch *watch = hub->first;

        hub->first = watch->next;
        free(watch);
    }
}
