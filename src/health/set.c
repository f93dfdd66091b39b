/* See set.h. */
#include "weft/health/set.h"

#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "weft/base/clock.h"
#include "weft/base/util.h"
#include "weft/health/schedule.h"

#define START_AT_ONCE 128 /* Probes; then it is other handles' turn. */

struct health_watch {
    struct schedule_entry entry;
    struct health_set *set;
    struct health_watch *next, *previous;
    struct health_question *question;
    struct health_rules rules;
    struct health_state state;
    struct health_target target;
    struct health_probe *probe; /* NULL: it waits. */
    uint64_t started_ms;
    char *reason;
    void *context;
};

struct health_set {
    uv_loop_t *loop;
    struct health_set_options options;
    struct health_prober *prober;
    struct schedule schedule;
    struct health_watch *monitors;
    struct health_set_counts counts;
    uv_timer_t timer;
    bool is_closing;
    void (*closed)(void *context);
    void *closed_context;
};

static void timer_fired(uv_timer_t *timer);

static void start_timer(struct health_set *set, uint64_t within_ms)
{
    if (!set->is_closing)
        uv_timer_start(&set->timer, timer_fired, within_ms, 0);
}

/* When nothing is due before then, and whatever gives a place back says so itself. */
static void wait_for_next(struct health_set *set)
{
    uint64_t next = schedule_next_ms(&set->schedule), now = clock_monotonic_ms();

    if (next == SCHEDULE_NEVER || set->is_closing)
        uv_timer_stop(&set->timer);
    else {
        uv_update_time(set->loop);
        start_timer(set, next > now ? next - now : 1);
    }
}

/* ---- probes ------------------------------------------------------------------------------------------------------------------- */

/* Out of memory for the text: the old one goes, none is better than a wrong one. */
static void keep_reason(struct health_watch *monitor, const struct health_result *result)
{
    if (result->is_up && monitor->state.status != HEALTH_UP)
        return; /* Not up yet: why it went down is still of interest. */
    if (!result->is_up && monitor->reason && streq(monitor->reason, result->reason))
        return;
    free(monitor->reason);
    monitor->reason = result->is_up ? NULL : strdup(result->reason);
}

static void plan_next(struct health_watch *monitor)
{
    uint64_t now = clock_monotonic_ms();

    monitor->probe = NULL;
    schedule_return(&monitor->set->schedule, &monitor->entry,
                    health_next_start(&monitor->state, &monitor->rules, monitor->started_ms, now, randombytes_random()));
}

static void probe_done(const struct health_result *result, void *context)
{
    struct health_watch *monitor = context;
    struct health_set *set = monitor->set;
    struct health_event event = {.before = monitor->state.status, .result = result};

    set->counts.n_probes++;
    if (!result->was_asked) {
        set->counts.n_not_asked++;
    } else {
        set->counts.n_failed += !result->is_up;
        health_state_take(&monitor->state, &monitor->rules, result->is_up);
        keep_reason(monitor, result);
    }
    event.status = monitor->state.status;
    plan_next(monitor);
    start_timer(set, 0);
    if (set->options.probed)
        set->options.probed(monitor, &event, monitor->context); /* The monitor may be gone behind this. */
}

static void timer_fired(uv_timer_t *timer)
{
    struct health_set *set = timer->data;
    uint64_t now = clock_monotonic_ms();

    for (int i = 0; i < START_AT_ONCE; i++) {
        struct schedule_entry *entry = schedule_take(&set->schedule, now);
        struct health_watch *monitor;

        if (!entry) {
            wait_for_next(set);
            return;
        }
        monitor = CONTAINER_OF(entry, struct health_watch, entry);
        monitor->started_ms = now;
        monitor->probe = health_probe_start(set->prober, monitor->question, &monitor->target, probe_done, monitor);
        if (!monitor->probe) {
            set->counts.n_probes++;
            set->counts.n_not_asked++;
            plan_next(monitor);
        }
    }
    start_timer(set, 1);
}

/* ---- the set ------------------------------------------------------------------------------------------------------------------ */

int health_set_new(uv_loop_t *loop, const struct health_set_options *options, struct health_set **ret)
{
    struct health_set *set = calloc(1, sizeof(*set));

    if (!set || health_prober_new(loop, &set->prober) < 0) {
        free(set);
        return -ENOMEM;
    }
    set->loop = loop;
    set->options = *options;
    schedule_init(&set->schedule, options->at_once ? options->at_once : HEALTH_AT_ONCE_DEFAULT);
    schedule_set_pace(&set->schedule, options->per_second);
    uv_timer_init(loop, &set->timer);
    set->timer.data = set;
    *ret = set;
    return 0;
}

static void timer_closed(uv_handle_t *handle)
{
    struct health_set *set = handle->data;

    schedule_clear(&set->schedule);
    if (set->closed)
        set->closed(set->closed_context);
    free(set);
}

static void prober_closed(void *context)
{
    struct health_set *set = context;

    uv_close((uv_handle_t *)&set->timer, timer_closed);
}

void health_set_close(struct health_set *set, void (*closed)(void *context), void *context)
{
    set->is_closing = true;
    set->closed = closed;
    set->closed_context = context;
    while (set->monitors)
        health_set_remove(set->monitors);
    uv_timer_stop(&set->timer);
    health_prober_close(set->prober, prober_closed, set);
}

static void free_monitor(struct health_watch *monitor)
{
    health_question_unref(monitor->question);
    free(monitor->reason);
    free(monitor);
}

int health_set_add(struct health_set *set, const struct health_watch_options *options, struct health_watch **ret)
{
    const struct health_rules *rules = &options->rules;
    uint64_t now = clock_monotonic_ms();
    struct health_watch *monitor;

    if (rules->interval_ms == 0 || rules->interval_ms > HEALTH_INTERVAL_MAX_MS || rules->retry_interval_ms > HEALTH_INTERVAL_MAX_MS ||
        rules->jitter_ms > rules->interval_ms || rules->first_ms > HEALTH_INTERVAL_MAX_MS)
        return -EINVAL;
    monitor = calloc(1, sizeof(*monitor));
    if (!monitor)
        return -ENOMEM;
    *monitor = (struct health_watch){.set = set,
                                       .question = health_question_ref(options->question),
                                       .rules = *rules,
                                       .state.status = options->initial,
                                       .target = options->target,
                                       .context = options->context};
    if (schedule_add(&set->schedule, &monitor->entry, options->group, health_first_start(rules, now, randombytes_random())) < 0) {
        free_monitor(monitor);
        return -ENOMEM;
    }
    monitor->next = set->monitors;
    if (monitor->next)
        monitor->next->previous = monitor;
    set->monitors = monitor;
    set->counts.n_monitors++;
    if (schedule_next_ms(&set->schedule) == monitor->entry.due_ms)
        wait_for_next(set);
    *ret = monitor;
    return 0;
}

void health_set_remove(struct health_watch *monitor)
{
    struct health_set *set;

    if (!monitor)
        return;
    set = monitor->set;
    health_probe_cancel(monitor->probe);
    if (monitor->probe)
        start_timer(set, 0); /* Its place is free. */
    schedule_remove(&set->schedule, &monitor->entry);
    if (monitor->previous)
        monitor->previous->next = monitor->next;
    else
        set->monitors = monitor->next;
    if (monitor->next)
        monitor->next->previous = monitor->previous;
    set->counts.n_monitors--;
    free_monitor(monitor);
}

enum health_status health_watch_status(const struct health_watch *monitor)
{
    return monitor->state.status;
}

void *health_watch_context(const struct health_watch *monitor)
{
    return monitor->context;
}

void health_watch_set_context(struct health_watch *monitor, void *context)
{
    monitor->context = context;
}

const char *health_watch_reason(const struct health_watch *monitor)
{
    return monitor->reason;
}

void health_set_counts(const struct health_set *set, struct health_set_counts *ret)
{
    *ret = set->counts;
    ret->n_running = set->schedule.n_running;
    ret->n_waiting = set->schedule.n_queued;
    ret->latest_ms = set->schedule.latest_ms;
}
