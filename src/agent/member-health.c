/* See member-health.h. */
#include "weft/agent/member-health.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "weft/agent/member-question.h"
#include "weft/base/bytes.h"
#include "weft/base/clock.h"
#include "weft/base/log.h"
#include "weft/base/util.h"
#include "weft/dataplane/attach.h"

#define SAVE_PAUSE_MS 100       /* Between two writes of the file: what turns meanwhile is written together. */
#define HOLD_FIRST_MS 2000      /* That a member stays down after it went down twice within HOLD_MEMORY_MS; doubled by each further time, */
#define HOLD_MAX_MS 60000       /* up to this. */
#define HOLD_MEMORY_MS 60000    /* Beyond what it was held for. */
#define WARN_PAUSE_MS 10000     /* Between two warnings that members cannot be asked. */
#define OPEN_FILES 65536

/* What a pool's monitor asks. */
struct asked {
    struct hashmap_node by_pool;
    char pool_id[UUID_TEXT_SIZE];
    struct buffer text;               /* All that it says (member-question.h). */
    struct health_question *question; /* NULL: it cannot be asked. */
    const struct health_monitor *model; /* Of the update at hand, */
    const struct balance_rows *rows;    /* which may say who was down; NULL: nothing yet. */
    bool is_seen;
};

struct watched {
    struct hashmap_node by_id;
    char id[UUID_TEXT_SIZE];
    struct member_watches *owner;
    struct health_watch *watch;       /* NULL: it is only remembered. */
    const struct health_question *question;
    struct health_target target;
    char pool_id[UUID_TEXT_SIZE];
    const char *type;
    enum member_health health, told;
    bool is_told, is_seen;
    bool is_hearsay;                  /* The API said that it is down, and it was not asked since. */
    int64_t since_s;                  /* When it turned; 0: before this agent. */
    uint64_t down_ms, hold_until_ms;  /* When it went down last; until when it stays so, whatever it answers. */
    uint32_t hold_ms;
};

struct member_watches {
    struct agent *agent;
    struct health_set *set;
    struct hashmap members;           /* struct watched by id. */
    struct hashmap asked;             /* By pool. */
    uv_timer_t save_timer;
    uint64_t saved_ms, warned_ms;
    uint32_t n_not_asked;             /* Since then. */
    char path[600];
    bool is_ready;                    /* An update of a complete replica was taken. */
};

static const char *health_name(enum member_health health)
{
    return health == MEMBER_HEALTH_UP ? "UP" : health == MEMBER_HEALTH_DOWN ? "DOWN" : "UNKNOWN";
}

/* ---- what is remembered -------------------------------------------------------------------------------------------------------------- */

static void save(struct member_watches *owner)
{
    struct buffer text = {0};
    char path[sizeof(owner->path) + 8];
    int result = 0, fd;

    HASHMAP_FOREACH(node, &owner->members) {
        const struct watched *member = CONTAINER_OF(node, struct watched, by_id);

        if (member->health != MEMBER_HEALTH_UNKNOWN && result == 0)
            result = buffer_printf(&text, "%s %s\n", member->id, health_name(member->health));
    }
    snprintf(path, sizeof(path), "%s.new", owner->path);
    fd = result < 0 ? -1 : open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (result == 0 && (fd < 0 || (text.size && write(fd, text.data, text.size) != (ssize_t)text.size) || rename(path, owner->path) < 0))
        log_warning("state-dir: '%s' cannot be written: %s", owner->path, strerror(errno));
    if (fd >= 0)
        close(fd);
    buffer_clear(&text);
}

static void save_timer_fired(uv_timer_t *timer)
{
    struct member_watches *owner = timer->data;

    owner->saved_ms = clock_monotonic_ms();
    save(owner);
}

static void save_soon(struct member_watches *owner)
{
    uint64_t now_ms = clock_monotonic_ms();

    if (uv_is_active((uv_handle_t *)&owner->save_timer))
        return;
    uv_update_time(&owner->agent->loop);
    uv_timer_start(&owner->save_timer, save_timer_fired, now_ms < owner->saved_ms + SAVE_PAUSE_MS ? SAVE_PAUSE_MS : 0, 0);
}

static struct watched *get_member(struct member_watches *owner, const char *id)
{
    struct hashmap_node *node = hashmap_find(&owner->members, id, strlen(id));
    struct watched *member = node ? CONTAINER_OF(node, struct watched, by_id) : calloc(1, sizeof(*member));

    if (node || !member)
        return member;
    member->owner = owner;
    string_copy(member->id, sizeof(member->id), id);
    if (hashmap_insert(&owner->members, &member->by_id, member->id, strlen(member->id)) < 0) {
        free(member);
        return NULL;
    }
    return member;
}

/* A line that is none is passed over: what it said is found out again. */
static void load(struct member_watches *owner)
{
    FILE *file = fopen(owner->path, "re");
    char id[UUID_TEXT_SIZE], health[8];

    if (!file)
        return;
    while (fscanf(file, "%36s %7s", id, health) == 2) {
        struct watched *member = uuid_is_valid(id) && (streq(health, "UP") || streq(health, "DOWN")) ? get_member(owner, id) : NULL;

        if (member)
            member->health = streq(health, "UP") ? MEMBER_HEALTH_UP : MEMBER_HEALTH_DOWN;
    }
    fclose(file);
}

/* ---- results ------------------------------------------------------------------------------------------------------------------------- */

static void went_down(struct watched *member, uint64_t now_ms)
{
    bool is_again = member->down_ms && now_ms < member->down_ms + member->hold_ms + HOLD_MEMORY_MS;

    member->hold_ms = !is_again ? 0 : member->hold_ms ? MIN(2 * member->hold_ms, HOLD_MAX_MS) : HOLD_FIRST_MS;
    member->down_ms = now_ms;
    member->hold_until_ms = now_ms + member->hold_ms;
}

static void turn(struct watched *member, enum member_health health, const char *reason)
{
    char address[IP_TEXT_SIZE];

    log_info("member %s (%s port %u) of pool %s is %s: %s", member->id, ip_format(&member->target.called, address), member->target.port, member->pool_id,
             health == MEMBER_HEALTH_UP ? "up" : "down", reason);
    member->health = health;
    member->is_hearsay = false;
    member->since_s = clock_realtime_s();
    save_soon(member->owner);
    agent_report(member->owner->agent, false);
}

/* Mostly the host's own want, and so of all members at once. */
static void could_not_ask(const struct watched *member, const char *reason, uint64_t now_ms)
{
    struct member_watches *owner = member->owner;

    owner->n_not_asked++;
    if (owner->warned_ms && now_ms < owner->warned_ms + WARN_PAUSE_MS)
        return;
    log_warning("member %s of a load balancer cannot be asked: %s (%u such questions since this was said last)", member->id, reason, owner->n_not_asked);
    owner->warned_ms = now_ms;
    owner->n_not_asked = 0;
}

static void probed(struct health_watch *watch, const struct health_event *event, void *context)
{
    struct watched *member = context;
    uint64_t now_ms = clock_monotonic_ms();

    if (!event->result->was_asked) {
        could_not_ask(member, event->result->reason, now_ms);
        return;
    }
    member->is_hearsay = false;
    if (event->status == HEALTH_DOWN && member->health != MEMBER_HEALTH_DOWN) {
        went_down(member, now_ms);
        turn(member, MEMBER_HEALTH_DOWN, event->result->reason);
    } else if (event->status == HEALTH_UP && event->result->is_up && member->health != MEMBER_HEALTH_UP && now_ms >= member->hold_until_ms) {
        turn(member, MEMBER_HEALTH_UP, event->result->reason);
    }
}

/* ---- who is asked what --------------------------------------------------------------------------------------------------------------- */

static void free_asked(struct member_watches *owner, struct asked *asked)
{
    hashmap_remove(&owner->asked, &asked->by_pool);
    health_question_unref(asked->question);
    buffer_clear(&asked->text);
    free(asked);
}

static void unwatch(struct watched *member)
{
    health_set_remove(member->watch);
    member->watch = NULL;
    member->is_told = false;
}

static void free_member(struct member_watches *owner, struct watched *member)
{
    unwatch(member);
    hashmap_remove(&owner->members, &member->by_id);
    free(member);
}

static struct asked *get_asked(struct member_watches *owner, const char *pool_id)
{
    struct hashmap_node *node = hashmap_find(&owner->asked, pool_id, strlen(pool_id));
    struct asked *asked = node ? CONTAINER_OF(node, struct asked, by_pool) : calloc(1, sizeof(*asked));

    if (node || !asked)
        return asked;
    string_copy(asked->pool_id, sizeof(asked->pool_id), pool_id);
    if (hashmap_insert(&owner->asked, &asked->by_pool, asked->pool_id, strlen(asked->pool_id)) < 0) {
        free(asked);
        return NULL;
    }
    return asked;
}

static void take_monitor(struct member_watches *owner, const struct health_monitor *model)
{
    struct asked *asked = get_asked(owner, model->pool_id);
    struct health_question *question = NULL;
    struct error error = {0};
    struct buffer text = {0};
    int result = asked ? member_question_text(model, &text) : -ENOMEM;
    bool is_same = result == 0 && asked->text.size == text.size && memcmp(asked->text.data, text.data, text.size) == 0;

    if (asked) {
        asked->model = model;
        asked->rows = NULL;
        asked->is_seen = true;
    }
    if (is_same) {
        buffer_clear(&text);
        return;
    }
    if (result == 0)
        result = member_question_new(model, &question, &error);
    if (result == -ENOMEM) {
        log_error("out of memory: health monitor %s stays as it was", model->object.id);
        buffer_clear(&text);
        return;
    }
    if (result < 0)
        log_error("health monitor %s asks nobody: %s: %s", model->object.id, error.field, error.message);
    HASHMAP_FOREACH(node, &owner->members) { /* They name the question that goes. */
        struct watched *member = CONTAINER_OF(node, struct watched, by_id);

        if (member->watch && member->question == asked->question)
            unwatch(member);
    }
    health_question_unref(asked->question);
    asked->question = question;
    buffer_clear(&asked->text);
    asked->text = text;
}

/* What stands for the member on the metadata device: tables-probes.h. */
static struct health_target make_target(const struct pool_member *model, uint32_t number)
{
    const struct ip_address *asked = model->has_monitor_address ? &model->monitor_address : &model->address;
    struct health_target target = {.port = model->has_monitor_port ? model->monitor_port : model->protocol_port, .device = METADATA_DEVICE, .called = *asked};

    if (ip_is_v4(asked)) {
        target.address = ip_from_v4(PROBE_TARGET_IP4(number));
    } else {
        put_be64(target.address.bytes, METADATA_IP6_PORT_HIGH);
        put_be64(target.address.bytes + 8, (uint64_t)(number / PROBE_SLOTS) << 32 | (PROBE_SLOT + number % PROBE_SLOTS));
    }
    return target;
}

static void watch(struct watched *member, const struct asked *asked, const struct pool_member *model, const struct health_target *target)
{
    struct health_watch_options options = {
        .group = hashmap_hash(model->object.project_id, strlen(model->object.project_id)),
        .question = asked->question,
        .rules = member_rules(asked->model, member->health != MEMBER_HEALTH_UNKNOWN && !member->is_hearsay),
        .target = *target,
        .initial = member->health == MEMBER_HEALTH_DOWN ? HEALTH_DOWN : HEALTH_UP,
        .context = member,
    };

    unwatch(member);
    member->question = asked->question;
    member->target = *target;
    member->type = member_monitor_type(asked->model);
    string_copy(member->pool_id, sizeof(member->pool_id), model->pool_id);
    if (health_set_add(member->owner->set, &options, &member->watch) < 0)
        log_error("member %s of a load balancer is not watched", member->id);
}

static void take_rows(struct member_watches *owner, const struct balance_rows *rows)
{
    char pool_id[UUID_TEXT_SIZE];
    struct hashmap_node *node;

    balance_rows_id(rows->object.id, pool_id);
    node = hashmap_find(&owner->asked, pool_id, strlen(pool_id));
    if (node)
        CONTAINER_OF(node, struct asked, by_pool)->rows = rows;
}

static int compare_member(const void *id, const void *element)
{
    return strcmp(id, ((const struct balance_member *)element)->member_id);
}

/* Was it down when the API heard of it last?  Rows have their members in the order of ids. */
static bool was_down(const struct asked *asked, const char *id)
{
    const struct balance_rows *rows = asked->rows;
    const struct balance_member *found = rows && rows->n_members ? bsearch(id, rows->members, rows->n_members, sizeof(*rows->members), compare_member) : NULL;

    return found && found->has_failed;
}

/* Another host asks it now: what is known here gets old. */
static bool is_elsewhere(const struct agent *agent, uint32_t number)
{
    const struct rows *members = &agent->desired.tables[TABLE_SERVICE_MEMBERS];
    const struct service_member *found = rows_find(members, &number);

    return found && (found->output & OUTPUT_KIND_MASK) == OUTPUT_REMOTE;
}

/* One that nobody asks, since its port is unplugged or it is switched off: what is known of it stays. */
static void remember(struct member_watches *owner, const char *id)
{
    struct hashmap_node *node = hashmap_find(&owner->members, id, strlen(id));
    struct watched *member = node ? CONTAINER_OF(node, struct watched, by_id) : NULL;

    if (!member)
        return;
    member->is_seen = true;
    unwatch(member);
}

static void take_member(struct member_watches *owner, const struct compile_member *entry)
{
    const struct pool_member *model = entry->member;
    struct hashmap_node *node = hashmap_find(&owner->asked, model->pool_id, strlen(model->pool_id));
    const struct asked *asked = node ? CONTAINER_OF(node, struct asked, by_pool) : NULL;
    struct health_target target = make_target(model, entry->number);
    struct watched *member;

    if (!asked || !asked->is_seen || !asked->question || !entry->number)
        return;
    if (!rows_find(&owner->agent->desired.tables[TABLE_PROBE_TARGETS], &entry->number)) {
        if (!is_elsewhere(owner->agent, entry->number))
            remember(owner, model->object.id);
        return;
    }
    if (!ip_is_v4(&target.address) && !owner->agent->metadata_has_ipv6) {
        log_warning("member %s of a load balancer is not watched: this host has no IPv6", model->object.id);
        return;
    }
    member = get_member(owner, model->object.id);
    if (!member) {
        log_error("out of memory: member %s of a load balancer is not watched", model->object.id);
        return;
    }
    member->is_seen = true;
    if (member->health == MEMBER_HEALTH_UNKNOWN && was_down(asked, member->id)) {
        member->health = MEMBER_HEALTH_DOWN;
        member->is_hearsay = true;
        unwatch(member);
        save_soon(owner);
    }
    if (!member->watch || member->question != asked->question || member->target.port != target.port ||
        !ip_equal(&member->target.address, &target.address) || !ip_equal(&member->target.called, &target.called))
        watch(member, asked, model, &target);
}

void member_health_update(struct agent *agent, const struct snapshot *snapshot)
{
    struct member_watches *owner = agent->member_health;
    bool is_complete = agent->replica.synced;

    for (size_t i = 0; i < snapshot->n_health_monitors; i++)
        if (snapshot->health_monitors[i]->object.admin_state_up)
            take_monitor(owner, snapshot->health_monitors[i]);
    for (size_t i = 0; i < snapshot->n_balance_rows; i++)
        take_rows(owner, snapshot->balance_rows[i]);
    for (size_t i = 0; i < snapshot->n_members; i++)
        take_member(owner, &snapshot->members[i]);
    HASHMAP_FOREACH(node, &owner->members) {
        struct watched *member = CONTAINER_OF(node, struct watched, by_id);

        if (!member->is_seen && is_complete)
            free_member(owner, member);
        else if (!member->is_seen)
            unwatch(member);
    }
    HASHMAP_FOREACH(node, &owner->members)
        CONTAINER_OF(node, struct watched, by_id)->is_seen = false;
    HASHMAP_FOREACH(node, &owner->asked) {
        struct asked *asked = CONTAINER_OF(node, struct asked, by_pool);

        if (!asked->is_seen)
            free_asked(owner, asked);
        else
            asked->is_seen = false;
    }
    owner->is_ready = owner->is_ready || is_complete;
}

/* ---- what others are told ------------------------------------------------------------------------------------------------------------ */

json_t *member_health_report(struct agent *agent, bool all)
{
    struct member_watches *owner = agent->member_health;
    json_t *members = owner->is_ready ? json_object() : NULL;

    if (!members)
        return NULL;
    HASHMAP_FOREACH(node, &owner->members) {
        struct watched *member = CONTAINER_OF(node, struct watched, by_id);

        if (!member->watch || member->health == MEMBER_HEALTH_UNKNOWN || (!all && member->is_told && member->told == member->health))
            continue;
        json_object_set_new(members, member->id, json_string(health_name(member->health)));
        member->told = member->health;
        member->is_told = true;
    }
    if (all || json_object_size(members))
        return members;
    json_decref(members);
    return NULL;
}

void member_health_report_lost(struct agent *agent)
{
    HASHMAP_FOREACH(node, &agent->member_health->members)
        CONTAINER_OF(node, struct watched, by_id)->is_told = false;
}

void member_health_counts(const struct agent *agent, struct member_health_counts *ret)
{
    *ret = (struct member_health_counts){0};
    health_set_counts(agent->member_health->set, &ret->probes);
    HASHMAP_FOREACH(node, &agent->member_health->members) {
        const struct watched *member = CONTAINER_OF(node, struct watched, by_id);

        ret->n_up += member->watch && member->health == MEMBER_HEALTH_UP;
        ret->n_down += member->watch && member->health == MEMBER_HEALTH_DOWN;
        ret->n_unknown += member->watch && member->health == MEMBER_HEALTH_UNKNOWN;
    }
}

json_t *member_health_answer(struct agent *agent, const json_t *arguments, struct error *error)
{
    json_t *members = json_array();
    struct member_health_counts counts;
    char address[IP_TEXT_SIZE];

    HASHMAP_FOREACH(node, &agent->member_health->members) {
        const struct watched *member = CONTAINER_OF(node, struct watched, by_id);
        const char *reason = member->watch ? health_watch_reason(member->watch) : NULL;

        if (!member->watch)
            continue;
        json_array_append_new(members, json_pack("{s:s, s:s, s:s, s:s, s:i, s:s, s:s?, s:I}", "member", member->id, "pool", member->pool_id, "type",
                                                 member->type, "address", ip_format(&member->target.called, address), "port", (int)member->target.port,
                                                 "health", health_name(member->health), "reason", reason, "since", (json_int_t)member->since_s));
    }
    member_health_counts(agent, &counts);
    return json_pack("{s:o, s:I, s:I, s:I, s:I, s:I}", "members", members, "probes", (json_int_t)counts.probes.n_probes, "failed",
                     (json_int_t)counts.probes.n_failed, "not_asked", (json_int_t)counts.probes.n_not_asked, "running",
                     (json_int_t)counts.probes.n_running, "waiting", (json_int_t)counts.probes.n_waiting);
}

/* ---- start and end ------------------------------------------------------------------------------------------------------------------- */

/* Each probe has a descriptor. */
static void raise_file_limit(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < OPEN_FILES && limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = MIN(limit.rlim_max, (rlim_t)OPEN_FILES);
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}

int member_health_start(struct agent *agent, struct error *error)
{
    struct health_set_options options = {.per_second = agent->options.probe_rate ? (uint32_t)agent->options.probe_rate : MEMBER_PROBES_PER_SECOND,
                                         .probed = probed};
    struct member_watches *owner = calloc(1, sizeof(*owner));

    if (!owner || health_set_new(&agent->loop, &options, &owner->set) < 0) {
        free(owner);
        return error_set(error, -ENOMEM, NULL, "out of memory");
    }
    raise_file_limit();
    owner->agent = agent;
    uv_timer_init(&agent->loop, &owner->save_timer);
    owner->save_timer.data = owner;
    snprintf(owner->path, sizeof(owner->path), "%s/health", agent->options.state_dir);
    load(owner);
    agent->member_health = owner;
    return 0;
}

void member_health_stop(struct agent *agent)
{
    struct member_watches *owner = agent->member_health;

    if (!owner)
        return;
    if (uv_is_active((uv_handle_t *)&owner->save_timer))
        save(owner);
    HASHMAP_FOREACH(node, &owner->members)
        free_member(owner, CONTAINER_OF(node, struct watched, by_id));
    HASHMAP_FOREACH(node, &owner->asked)
        free_asked(owner, CONTAINER_OF(node, struct asked, by_pool));
    health_set_close(owner->set, NULL, NULL);
    uv_close((uv_handle_t *)&owner->save_timer, NULL);
}

void member_health_free(struct agent *agent)
{
    if (!agent->member_health)
        return;
    hashmap_clear(&agent->member_health->members);
    hashmap_clear(&agent->member_health->asked);
    free(agent->member_health);
}
