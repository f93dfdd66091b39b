#include "weft/agent/verdicts.h"

#include <bpf/libbpf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "weft/agent/log-file.h"
#include "weft/agent/verdict-names.h"
#include "weft/base/clock.h"
#include "weft/base/log.h"

#define TICK_MS 1000
#define FOLLOW_MS 30000
#define FOLLOWED_MAX 1024
#define FOLLOWED_LINES 512

/* A port whose lines somebody reads.  Line 'number' is at number % FOLLOWED_LINES. */
struct followed {
    struct hashmap_node by_port;
    char port_id[UUID_TEXT_SIZE];
    uint64_t asked_ms;
    uint64_t next; /* Number of the next line; the first is 1. */
    char *lines[FOLLOWED_LINES];
};

struct verdicts {
    struct agent *agent;
    uv_poll_t poll;
    uv_timer_t timer;
    struct ring_buffer *ring;
    struct log_file *file;
    struct hashmap followed;
    struct buffer line; /* In hand. */
    struct verdict_counters counters;
    struct verdict_book book;
};

/* ---- lines -------------------------------------------------------------------------------------------------------------------- */

static struct followed *find_followed(const struct verdicts *verdicts, const char *port_id)
{
    struct hashmap_node *node = hashmap_find(&verdicts->followed, port_id, strlen(port_id));

    return node ? CONTAINER_OF(node, struct followed, by_port) : NULL;
}

static void keep_line(struct followed *followed, const struct buffer *line)
{
    char **place = &followed->lines[followed->next++ % FOLLOWED_LINES];

    free(*place);
    *place = strndup(line->data, line->size - 1); /* NULL: it is missed. */
}

static void put_line(struct verdicts *verdicts, const char *port_id)
{
    struct followed *followed = port_id ? find_followed(verdicts, port_id) : NULL;

    log_file_append(verdicts->file, verdicts->line.data, verdicts->line.size);
    if (followed)
        keep_line(followed, &verdicts->line);
    verdicts->line.size = 0;
}

static uint64_t time_of(const struct verdict_event *event)
{
    uint64_t now_ns = clock_monotonic_ns(), age_ms = now_ns > event->time_ns ? (now_ns - event->time_ns) / 1000000 : 0;

    return clock_realtime_ms() - age_ms;
}

static void take(struct verdicts *verdicts, const struct verdict_event *event)
{
    struct verdict_names names;

    if (!verdict_names_of_event(&verdicts->book, verdicts->agent, event, &names))
        verdicts->counters.n_unwanted++;
    else if (verdict_line(event, time_of(event), &names, &verdicts->line) == 0)
        put_line(verdicts, names.port_id);
}

static int on_event(void *context, void *data, size_t size)
{
    struct verdicts *verdicts = context;
    struct verdict_event event = {0};

    verdicts->counters.n_events++;
    memcpy(&event, data, MIN(size, sizeof(event)));
    take(verdicts, &event);
    return 0;
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
    struct verdicts *verdicts = poll->data;
    int result = ring_buffer__consume(verdicts->ring);

    if (result < 0)
        log_warning("ring buffer 'verdicts': %s", strerror(-result));
}

/* ---- once a second ------------------------------------------------------------------------------------------------------------- */

static void say_left_out(struct verdicts *verdicts, uint64_t n, const struct verdict_names *names)
{
    verdicts->counters.n_left_out += n;
    if (verdict_line_left_out(n, clock_realtime_ms(), names, &verdicts->line) == 0)
        put_line(verdicts, names->port_id);
}

static void check_port(struct verdicts *verdicts, const struct agent_port *port)
{
    const struct port *model = agent_model_port(verdicts->agent, port);
    uint64_t n = maps_verdicts_left_out(verdicts->agent->maps, port->slot);
    struct verdict_names names;

    if (n && model && verdict_names_of_port(&verdicts->book, verdicts->agent, model, &names))
        say_left_out(verdicts, n, &names);
}

static void check_router_port(struct verdicts *verdicts, const struct slot *slot)
{
    uint64_t n = maps_router_verdicts_left_out(verdicts->agent->maps, slot->number);
    struct verdict_names names;

    if (n && verdict_names_of_router_port(&verdicts->book, verdicts->agent, slot->name, &names))
        say_left_out(verdicts, n, &names);
}

static void forget(struct verdicts *verdicts, struct followed *followed)
{
    hashmap_remove(&verdicts->followed, &followed->by_port);
    for (size_t i = 0; i < FOLLOWED_LINES; i++)
        free(followed->lines[i]);
    free(followed);
}

static void on_tick(uv_timer_t *timer)
{
    struct verdicts *verdicts = timer->data;
    uint64_t n_lost = log_file_take_lost(verdicts->file), now_ms = clock_monotonic_ms();

    if (n_lost && verdict_line_lost(n_lost, clock_realtime_ms(), &verdicts->line) == 0)
        put_line(verdicts, NULL);
    HASHMAP_FOREACH(node, &verdicts->agent->ports)
        check_port(verdicts, CONTAINER_OF(node, struct agent_port, by_id));
    if (verdict_book_has_firewalls(&verdicts->book, verdicts->agent))
        HASHMAP_FOREACH(node, &verdicts->agent->local.slots[SLOT_ROUTER_PORT].by_name)
            check_router_port(verdicts, CONTAINER_OF(node, struct slot, by_name));
    HASHMAP_FOREACH(node, &verdicts->followed) {
        struct followed *followed = CONTAINER_OF(node, struct followed, by_port);

        if (now_ms > followed->asked_ms + FOLLOW_MS)
            forget(verdicts, followed);
    }
}

/* ---- who follows a port --------------------------------------------------------------------------------------------------------- */

static struct followed *follow(struct verdicts *verdicts, const char *port_id)
{
    struct followed *followed = find_followed(verdicts, port_id);

    if (followed || verdicts->followed.n_nodes >= FOLLOWED_MAX || !(followed = calloc(1, sizeof(*followed))))
        return followed;
    string_copy(followed->port_id, sizeof(followed->port_id), port_id);
    followed->next = 1;
    if (hashmap_insert(&verdicts->followed, &followed->by_port, followed->port_id, strlen(followed->port_id)) == 0)
        return followed;
    free(followed);
    return NULL;
}

json_t *verdicts_answer(struct agent *agent, const json_t *arguments, struct error *error)
{
    const char *id = json_string_value(json_object_get(arguments, "port"));
    const json_t *since = json_object_get(arguments, "since");
    struct followed *followed;
    json_t *lines;
    uint64_t from, oldest, missed = 0;

    if (!id || !agent_find_port(agent, id)) {
        error_set(error, -ENOENT, "port", "port: '%s' is not on host '%s'", id ? id : "", agent->options.host);
        return NULL;
    }
    if (!(followed = follow(agent->verdicts, id))) {
        error_set(error, -EBUSY, "port", "port: no more than %d ports are followed at a time", FOLLOWED_MAX);
        return NULL;
    }
    followed->asked_ms = clock_monotonic_ms();
    oldest = followed->next > FOLLOWED_LINES ? followed->next - FOLLOWED_LINES : 1;
    from = json_is_integer(since) && json_integer_value(since) > 0 ? (uint64_t)json_integer_value(since) : followed->next;
    if (from > followed->next)
        from = oldest; /* Of an agent that was started again: these are new. */
    if (from < oldest) {
        missed = oldest - from;
        from = oldest;
    }
    lines = json_array();
    for (; from < followed->next; from++)
        if (!followed->lines[from % FOLLOWED_LINES] || json_array_append_new(lines, json_string(followed->lines[from % FOLLOWED_LINES])) < 0)
            missed++;
    return json_pack("{s:o, s:I, s:I}", "lines", lines, "next", (json_int_t)followed->next, "missed", (json_int_t)missed);
}

/* ---- life ---------------------------------------------------------------------------------------------------------------------- */

int verdicts_start(struct agent *agent, const char *path, struct error *error)
{
    struct verdicts *verdicts = calloc(1, sizeof(*verdicts));
    int result;

    if (!verdicts)
        return error_set(error, -ENOMEM, NULL, "out of memory");
    agent->verdicts = verdicts;
    verdicts->agent = agent;
    if (log_file_new(&agent->loop, path, &verdicts->file) < 0)
        return error_set(error, -ENOMEM, NULL, "out of memory");
    verdicts->ring = ring_buffer__new(maps_descriptor(agent->maps, "verdicts"), on_event, verdicts, NULL);
    if (!verdicts->ring)
        return error_set(error, -errno, NULL, "cannot read the ring buffer 'verdicts': %s", strerror(errno));
    result = uv_poll_init(&agent->loop, &verdicts->poll, ring_buffer__epoll_fd(verdicts->ring));
    if (result < 0)
        return error_set(error, result, NULL, "cannot watch the ring buffer 'verdicts': %s", uv_strerror(result));
    verdicts->poll.data = verdicts->timer.data = verdicts;
    uv_poll_start(&verdicts->poll, UV_READABLE, on_readable);
    uv_timer_init(&agent->loop, &verdicts->timer);
    uv_timer_start(&verdicts->timer, on_tick, TICK_MS, TICK_MS);
    return 0;
}

void verdicts_reopen(struct agent *agent)
{
    log_file_reopen(agent->verdicts->file);
}

void verdicts_stop(struct agent *agent)
{
    if (!agent->verdicts || !agent->verdicts->ring)
        return;
    log_file_stop(agent->verdicts->file);
    uv_close((uv_handle_t *)&agent->verdicts->poll, NULL);
    uv_close((uv_handle_t *)&agent->verdicts->timer, NULL);
}

void verdicts_free(struct agent *agent)
{
    struct verdicts *verdicts = agent->verdicts;

    if (!verdicts)
        return;
    HASHMAP_FOREACH(node, &verdicts->followed)
        forget(verdicts, CONTAINER_OF(node, struct followed, by_port));
    hashmap_clear(&verdicts->followed);
    log_file_free(verdicts->file);
    ring_buffer__free(verdicts->ring);
    buffer_clear(&verdicts->line);
    verdict_book_clear(&verdicts->book);
    free(verdicts);
    agent->verdicts = NULL;
}

struct verdict_counters verdicts_counters(const struct agent *agent)
{
    struct verdict_counters counters = agent->verdicts->counters;

    counters.n_written = log_file_counters(agent->verdicts->file)->n_written;
    counters.n_lost = log_file_counters(agent->verdicts->file)->n_lost;
    return counters;
}
