/* See health.h. */
#include "weft/director/health.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "weft/base/buffer.h"
#include "weft/base/hashmap.h"
#include "weft/base/log.h"
#include "weft/base/util.h"
#include "weft/director/notices.h"
#include "weft/director/question.h"
#include "weft/health/set.h"

#define PLACE_SIZE (2 * SERVICE_TEXT_SIZE + 32)

/* A check of a server. */
struct checked {
    struct hashmap_node by_place;
    char place[PLACE_SIZE];       /* Service, server and number: what it is known by from one configuration to the next. */
    struct buffer content;        /* All that it says. */
    struct director_health *health;
    struct health_watch *monitor;
    struct check_way *way;        /* Of the traffic; NULL: it goes to the server. */
    const struct checked *plain;  /* This one goes in GUE with a chain: that is the same check without; else NULL. */
    struct checked *goes_on;      /* The same check of the configuration before, while this one is taken. */
    size_t service, server;
    const struct health_check *check;
    bool has_weight;
    uint32_t weight;
    int64_t weight_change; /* Of a file. */
};

struct followed_service {
    struct hashmap_node by_name;
    char name[SERVICE_TEXT_SIZE];
    struct judged_service judged;
    uint16_t *n_failed; /* Checks of each server that say down. */
};

/* All of one configuration. */
struct followed {
    const struct director_config *config;
    struct followed_service *services;
    size_t n_services;
    struct hashmap services_by_name;
    struct hashmap checks; /* struct checked by place. */
};

struct director_health {
    struct health_set *set;
    struct notices *notices;
    struct followed *followed; /* Never NULL. */
    void (*changed)(void *context), *context;
    void (*closed)(void *context), *closed_context;
    bool (*was_down)(const struct virtual_service *, const struct real_server *, void *context);
    void *was_down_context;
    struct check_paths paths;     /* Zero: none. */
};

static const struct real_server *server_of(const struct checked *checked)
{
    return &checked->health->followed->config->services[checked->service].servers[checked->server];
}

/* ---- results ------------------------------------------------------------------------------------------------------------------ */

/* It may be the chain that the server does not take. */
static bool only_chain_fails(const struct checked *checked)
{
    return checked->plain && health_watch_status(checked->plain->monitor) == HEALTH_UP && !health_watch_reason(checked->plain->monitor);
}

static void say_turn(const struct checked *checked, bool is_up, const char *reason)
{
    const struct followed_service *service = &checked->health->followed->services[checked->service];
    const char *type = check_type_name(checked->check->type), *how = checked->plain ? " in GUE with a chain" : "";
    char server[SERVICE_TEXT_SIZE];

    real_server_format(server_of(checked), server);
    if (is_up)
        log_info("%s: server %s: its %s check%s passes", service->name, server, type, how);
    else
        log_warning("%s: server %s: its %s check%s fails: %s%s", service->name, server, type, how, reason,
                    only_chain_fails(checked) ? ": is weft-real-server running there?" : "");
}

/* misc_dynamic: 2 to 255 are weights 0 to 253, 0 leaves the weight. */
static void take_weight(struct checked *checked, const struct health_result *result)
{
    int exit_status = result->exit_status;

    if (checked->check->type == CHECK_FILE && checked->check->file_weight && result->is_up) {
        checked->has_weight = true;
        checked->weight_change = result->weight_change;
    }
    if (!checked->check->dynamic_weight || exit_status < 2)
        return;
    checked->has_weight = true;
    checked->weight = (uint32_t)exit_status - 2;
}

static void set_weight(const struct checked *checked, const struct real_server *configured, struct judged_server *server)
{
    if (!checked->has_weight)
        return;
    server->has_weight = true;
    server->chosen_weight = checked->weight;
    if (checked->check->type == CHECK_FILE)
        server->chosen_weight = (uint32_t)MIN(MAX((int64_t)configured->weight + checked->weight_change, 0), (int64_t)SERVER_WEIGHT_MAX);
}

static void tell_quorum(const struct director_health *health, const struct virtual_service *service, const struct followed_service *followed)
{
    const char *command = followed->judged.has_quorum ? service->quorum_up : service->quorum_down;

    if (command)
        notices_add(health->notices, &(struct notice){command, followed->judged.has_quorum ? "quorum_up" : "quorum_down", followed->name, NULL});
}

static void tell_server(struct director_health *health, const struct followed_service *followed, const struct real_server *server, bool is_up)
{
    const char *command = is_up ? server->notify_up : server->notify_down;
    char text[SERVICE_TEXT_SIZE];

    if (command)
        notices_add(health->notices, &(struct notice){command, is_up ? "notify_up" : "notify_down", followed->name, real_server_format(server, text)});
}

static void judge_again(struct director_health *health, size_t index)
{
    const struct virtual_service *service = &health->followed->config->services[index];
    struct followed_service *followed = &health->followed->services[index];
    bool had_quorum = followed->judged.has_quorum;

    if (!service_judge(service, &followed->judged, false))
        return;
    if (had_quorum != followed->judged.has_quorum)
        log_warning("%s: quorum %s%s", followed->name, had_quorum ? "lost" : "gained",
                    !service->has_sorry_server ? "" : had_quorum ? ", the sorry server answers" : ", the sorry server has leave");
    if (had_quorum != followed->judged.has_quorum)
        tell_quorum(health, service, followed);
    health->changed(health->context);
}

static void probed(struct health_watch *monitor, const struct health_event *event, void *context)
{
    struct checked *checked = context;
    struct director_health *health = checked->health;
    struct followed_service *service = &health->followed->services[checked->service];
    struct judged_server *server = &service->judged.servers[checked->server];

    take_weight(checked, event->result);
    set_weight(checked, &health->followed->config->services[checked->service].servers[checked->server], server);
    if (event->status != event->before) {
        bool is_up = event->status == HEALTH_UP;

        service->n_failed[checked->server] = (uint16_t)(service->n_failed[checked->server] + (is_up ? -1 : 1));
        if (server->is_up != (service->n_failed[checked->server] == 0))
            tell_server(health, service, server_of(checked), !server->is_up);
        server->is_up = service->n_failed[checked->server] == 0;
        say_turn(checked, is_up, event->result->reason);
    }
    judge_again(health, checked->service);
}

/* ---- a configuration ------------------------------------------------------------------------------------------------------------ */

static void free_followed(struct followed *followed)
{
    if (!followed)
        return;
    HASHMAP_FOREACH(node, &followed->checks) {
        struct checked *checked = CONTAINER_OF(node, struct checked, by_place);

        health_set_remove(checked->monitor);
        if (checked->way)
            checked->health->paths.end(checked->way);
        buffer_clear(&checked->content);
        free(checked);
    }
    for (size_t i = 0; i < followed->n_services; i++) {
        free(followed->services[i].judged.servers);
        free(followed->services[i].n_failed);
    }
    hashmap_clear(&followed->checks);
    hashmap_clear(&followed->services_by_name);
    free(followed->services);
    free(followed);
}
DEFINE_CLEANUP(struct followed *, free_followed);

static void append_text(struct buffer *content, const char *text, bool *is_whole)
{
    *is_whole = buffer_printf(content, "%zu:%s,", text ? strlen(text) : 0, text ? text : "") == 0 && *is_whole;
}

/* Which way it goes is the server's to say, too. */
static void append_path(struct buffer *content, const struct real_server *server, bool *is_whole)
{
    char address[IP_TEXT_SIZE];

    *is_whole = buffer_printf(content, "%s %d %d %u %u %d %u,", ip_format(&server->address, address), (int)server->forwarding, (int)server->tunnel.type,
                              server->tunnel.port, server->tunnel.vni, (int)server->tunnel.checksum, server->dscp) == 0 && *is_whole;
}

/* All members, so that two checks with equal content are asked and judged alike.  The interval's unit and order do not matter.  'server': whose
 * traffic's way it goes; else NULL. */
static bool describe(const struct health_check *check, const struct health_target *target, const struct real_server *server, struct buffer *ret)
{
    char address[IP_TEXT_SIZE], source[IP_TEXT_SIZE];
    bool is_whole = buffer_printf(ret, "%d %s %u %s %u %u %s %u %u %u %u %u %d %d %d %d %d,", (int)check->type, ip_format(&target->address, address),
                                  target->port, ip_format(&target->source, source), target->source_port, target->mark, target->device,
                                  check->interval_ms, check->timeout_ms, check->retries, check->retry_delay_ms, check->warmup_ms, check->alpha,
                                  check->http_1_1, check->follow_redirects, check->dynamic_weight, check->require_reply) == 0;

    if (server)
        append_path(ret, server, &is_whole);
    append_text(ret, check->host, &is_whole);
    append_text(ret, check->dns_name, &is_whole);
    append_text(ret, check->dns_type, &is_whole);
    append_text(ret, check->command, &is_whole);
    append_text(ret, check->payload, &is_whole);
    append_text(ret, check->file, &is_whole);
    is_whole = buffer_printf(ret, "%d %d,", check->file_weight, check->reverse) == 0 && is_whole;
    for (size_t i = 0; i < check->n_urls; i++) {
        append_text(ret, check->urls[i].path, &is_whole);
        append_text(ret, check->urls[i].host, &is_whole);
        append_text(ret, check->urls[i].status, &is_whole);
        append_text(ret, check->urls[i].digest, &is_whole);
        append_text(ret, check->urls[i].regex, &is_whole);
        append_text(ret, check->urls[i].regex_options, &is_whole);
        is_whole = buffer_printf(ret, "%d %u %u,", check->urls[i].regex_no_match, check->urls[i].regex_min_offset, check->urls[i].regex_max_offset) == 0 && is_whole;
    }
    return is_whole;
}

static struct checked *find_check(const struct followed *followed, const char *place)
{
    struct hashmap_node *node = hashmap_find(&followed->checks, place, strlen(place));

    return node ? CONTAINER_OF(node, struct checked, by_place) : NULL;
}

static void format_place(const struct followed *followed, size_t service, size_t server, size_t number, bool in_chain, char place[PLACE_SIZE])
{
    char text[SERVICE_TEXT_SIZE];

    snprintf(place, PLACE_SIZE, "%s %s %zu%s", followed->services[service].name, real_server_format(&followed->config->services[service].servers[server], text),
             number, in_chain ? " in a chain" : "");
}

static enum health_status initial_status(const struct checked *checked, const struct checked *before, const struct virtual_service *service)
{
    const struct director_health *health = checked->health;

    if (before)
        return health_watch_status(before->monitor);
    if (health->was_down && health->was_down(service, &service->servers[checked->server], health->was_down_context))
        return HEALTH_DOWN;
    return checked->check->alpha ? HEALTH_DOWN : HEALTH_UP;
}

/* The target becomes what the way leads to.  Where there is none the check goes to the server: better than not at all, but a broken way looks well. */
static bool take_way(struct checked *checked, const struct virtual_service *service, const struct real_server *server, bool is_known, struct health_target *target)
{
    const struct check_paths *paths = &checked->health->paths;
    char name[SERVICE_TEXT_SIZE], text[SERVICE_TEXT_SIZE];
    struct error error = {0};

    if (paths->begin(service, server, target, checked->plain, paths->context, &checked->way, &error) == 0) {
        target->open = paths->open;
        target->open_context = checked->way;
        return true;
    }
    if (!is_known && !checked->plain)
        log_warning("%s: server %s: its %s check goes to the server, not the way of the traffic: %s", virtual_service_format(service, name),
                    real_server_format(server, text), check_type_name(checked->check->type), error.message);
    *target = check_target(service, server, checked->check);
    return false;
}

static bool goes_by_traffic(const struct director_health *health, const struct virtual_service *service, const struct real_server *server,
                            const struct health_check *check)
{
    return health->paths.begin && check_goes_by_traffic(service, server, check);
}

static int start_monitor(struct checked *checked, const struct checked *before, const struct virtual_service *service,
                         const struct health_target *target, struct error *error)
{
    struct health_watch_options options = {.group = checked->service, .rules = check_rules(checked->check), .target = *target,
                                             .initial = initial_status(checked, before, service), .context = checked};
    int r = check_question(checked->check, &options.question, error);

    if (r < 0)
        return r;
    r = health_set_add(checked->health->set, &options, &checked->monitor);
    health_question_unref(options.question);
    return r < 0 ? error_set(error, r, NULL, "a check cannot be begun: %s", strerror(-r)) : 0;
}

/* Takes a check over into 'next': as it goes on, or with a monitor of its own.  'plain' as of struct checked. */
static int take_check(struct director_health *health, struct followed *next, size_t service, size_t server, size_t number, const struct checked *plain,
                      struct error *error)
{
    const struct virtual_service *virtual = &next->config->services[service];
    struct checked *checked = calloc(1, sizeof(*checked)), *before;
    const struct real_server *real = &virtual->servers[server];
    struct health_target target;
    bool by_traffic, is_same, has_way = false;
    int r;

    if (!checked)
        return -ENOMEM;
    checked->health = health;
    checked->service = service;
    checked->server = server;
    checked->check = &virtual->servers[server].checks[number];
    checked->plain = plain;
    format_place(next, service, server, number, plain, checked->place);
    r = hashmap_insert(&next->checks, &checked->by_place, checked->place, strlen(checked->place));
    if (r < 0) {
        free(checked);
        return r;
    }
    by_traffic = goes_by_traffic(health, virtual, real, checked->check);
    target = by_traffic ? check_traffic_target(virtual, checked->check) : check_target(virtual, real, checked->check);
    if (!describe(checked->check, &target, by_traffic ? real : NULL, &checked->content))
        return -ENOMEM;
    before = find_check(health->followed, checked->place);
    is_same = before && before->content.size == checked->content.size && memcmp(before->content.data, checked->content.data, before->content.size) == 0;
    if (by_traffic && !(is_same && before->way)) /* One that had no way may get one now. */
        has_way = take_way(checked, virtual, real, is_same, &target);
    if (plain && !has_way && !(is_same && before->way)) { /* Then there is none in a chain. */
        hashmap_remove(&next->checks, &checked->by_place);
        buffer_clear(&checked->content);
        free(checked);
        return 0;
    }
    if (is_same && !has_way) {
        checked->goes_on = before;
        return 0;
    }
    r = start_monitor(checked, before, virtual, &target, error);
    if (r < 0)
        error_prefix_field(error, "services[%zu].servers[%zu].checks[%zu]", service, server, number);
    return r;
}

/* And, where the traffic does, in GUE with a chain: a server that is well but for its programs would lose all packets behind a SYN. */
static int take_chain_check(struct director_health *health, struct followed *next, size_t service, size_t server, size_t number, struct error *error)
{
    const struct virtual_service *virtual = &next->config->services[service];
    const struct real_server *real = &virtual->servers[server];
    char place[PLACE_SIZE];

    if (!health->paths.begin || !check_goes_in_chain(virtual, real, &real->checks[number]))
        return 0;
    format_place(next, service, server, number, false, place);
    return take_check(health, next, service, server, number, find_check(next, place), error);
}

static int take_service(struct director_health *health, struct followed *next, size_t index, struct error *error)
{
    const struct virtual_service *service = &next->config->services[index];
    struct followed_service *followed = &next->services[index];
    int r;

    virtual_service_format(service, followed->name);
    followed->judged.servers = calloc(service->n_servers + 1, sizeof(*followed->judged.servers)); /* And the sorry server. */
    followed->n_failed = calloc(service->n_servers + 1, sizeof(*followed->n_failed));
    next->n_services = index + 1;
    if (!followed->judged.servers || !followed->n_failed)
        return -ENOMEM;
    r = hashmap_insert(&next->services_by_name, &followed->by_name, followed->name, strlen(followed->name));
    for (size_t i = 0; r == 0 && i < service->n_servers; i++)
        for (size_t j = 0; r == 0 && j < service->servers[i].n_checks; j++)
            if ((r = take_check(health, next, index, i, j, NULL, error)) == 0)
                r = take_chain_check(health, next, index, i, j, error);
    return r;
}

/* Which servers a new file makes others than they were, by which checks it has of them. */
static void tell_servers(struct director_health *health, const struct virtual_service *service, const struct followed_service *followed,
                         const struct virtual_service *old, const struct followed_service *before)
{
    for (size_t i = 0; i < service->n_servers; i++) {
        const struct real_server *server = &service->servers[i];

        for (size_t j = 0; (server->notify_up || server->notify_down) && j < old->n_servers; j++)
            if (ip_equal(&server->address, &old->servers[j].address) && server->port == old->servers[j].port &&
                followed->judged.servers[i].is_up != before->judged.servers[j].is_up)
                tell_server(health, followed, server, followed->judged.servers[i].is_up);
    }
}

/* Nothing can fail any more: monitors that go on change hands, and everything is judged. */
static void judge_all(struct director_health *health, struct followed *next)
{
    HASHMAP_FOREACH(node, &next->checks) {
        struct checked *checked = CONTAINER_OF(node, struct checked, by_place), *before = checked->goes_on;
        struct followed_service *service = &next->services[checked->service];

        if (before) {
            checked->monitor = before->monitor;
            checked->has_weight = before->has_weight;
            checked->weight = before->weight;
            checked->weight_change = before->weight_change;
            before->monitor = NULL;
            checked->way = TAKE_PTR(before->way);
            health_watch_set_context(checked->monitor, checked);
        }
        checked->goes_on = NULL;
        service->n_failed[checked->server] = (uint16_t)(service->n_failed[checked->server] + (health_watch_status(checked->monitor) == HEALTH_DOWN));
        set_weight(checked, &next->config->services[checked->service].servers[checked->server], &service->judged.servers[checked->server]);
    }
    for (size_t i = 0; i < next->n_services; i++) {
        struct followed_service *service = &next->services[i];
        bool had_quorum;
        struct hashmap_node *node = hashmap_find(&health->followed->services_by_name, service->name, strlen(service->name));

        for (size_t j = 0; j < next->config->services[i].n_servers; j++)
            service->judged.servers[j].is_up = service->n_failed[j] == 0;
        if (node) { /* As it was, so that hysteresis outlives a new file. */
            const struct followed_service *before = CONTAINER_OF(node, struct followed_service, by_name);

            service->judged.has_quorum = before->judged.has_quorum;
            tell_servers(health, &next->config->services[i], service, &health->followed->config->services[before - health->followed->services], before);
        }
        had_quorum = service->judged.has_quorum;
        service_judge(&next->config->services[i], &service->judged, !node);
        if (!node || had_quorum != service->judged.has_quorum) /* At first also that there is none: who was to hear it may not have. */
            tell_quorum(health, &next->config->services[i], service);
    }
}

int director_health_set(struct director_health *health, const struct director_config *config, struct error *error)
{
    _cleanup_(free_followedp) struct followed *next = calloc(1, sizeof(*next));
    struct followed *before = health->followed;
    int r = 0;

    if (!next)
        return error_set(error, -ENOMEM, NULL, "out of memory");
    next->config = config;
    next->services = calloc(config->n_services + 1, sizeof(*next->services));
    if (!next->services)
        r = -ENOMEM;
    for (size_t i = 0; r == 0 && i < config->n_services; i++)
        r = take_service(health, next, i, error);
    if (r < 0)
        return error_set(error, r, NULL, "%s", r == -ENOMEM ? "out of memory" : strerror(-r));
    judge_all(health, next);
    health->followed = TAKE_PTR(next);
    health->was_down = NULL;
    free_followed(before);
    return 0;
}

/* ---- the whole ------------------------------------------------------------------------------------------------------------------- */

int director_health_new(uv_loop_t *loop, void (*changed)(void *context), void *context, struct director_health **ret)
{
    static const struct director_config nothing;
    struct director_health *health = calloc(1, sizeof(*health));
    int r;

    if (!health)
        return -ENOMEM;
    health->changed = changed;
    health->context = context;
    health->followed = calloc(1, sizeof(*health->followed));
    r = health->followed ? health_set_new(loop, &(struct health_set_options){.probed = probed}, &health->set) : -ENOMEM;
    if (r == 0) {
        r = notices_new(loop, NOTICE_LIMIT_MS, &health->notices);
        if (r < 0)
            health_set_close(health->set, NULL, NULL);
    }
    if (r < 0) {
        free(health->followed);
        free(health);
        return r;
    }
    health->followed->config = &nothing;
    *ret = health;
    return 0;
}

void director_health_recall(struct director_health *health, bool (*was_down)(const struct virtual_service *, const struct real_server *, void *context),
                            void *context)
{
    health->was_down = was_down;
    health->was_down_context = context;
}

void director_health_set_paths(struct director_health *health, const struct check_paths *paths)
{
    health->paths = *paths;
}

static void notices_closed(void *context)
{
    struct director_health *health = context;

    if (health->closed)
        health->closed(health->closed_context);
    free(health);
}

static void set_closed(void *context)
{
    struct director_health *health = context;

    notices_close(health->notices, notices_closed, health);
}

void director_health_close(struct director_health *health, void (*closed)(void *context), void *context)
{
    health->closed = closed;
    health->closed_context = context;
    free_followed(health->followed);
    health->followed = NULL;
    health_set_close(health->set, set_closed, health);
}

const struct judged_service *director_health_service(const struct director_health *health, size_t index)
{
    return &health->followed->services[index].judged;
}

/* Why the check fails, "" if it does not. */
static void format_reason(const struct checked *checked, char text[DIRECTOR_REASON_SIZE])
{
    const struct virtual_service *virtual = &checked->health->followed->config->services[checked->service];
    const struct real_server *real = &virtual->servers[checked->server];
    struct health_target target = checked->way ? check_traffic_target(virtual, checked->check) : check_target(virtual, real, checked->check);
    const char *reason = health_watch_status(checked->monitor) == HEALTH_DOWN ? health_watch_reason(checked->monitor) : NULL;
    char address[IP_TEXT_SIZE], where[IP_TEXT_SIZE + 10];

    if (!reason)
        return;
    snprintf(where, sizeof(where), ip_is_v4(&target.address) ? "%s:%u" : "[%s]:%u", ip_format(&target.address, address), target.port);
    if (only_chain_fails(checked))
        snprintf(text, DIRECTOR_REASON_SIZE, "%s %s: answers, but not in GUE with a chain (%s): is weft-real-server running there?",
                 check_type_name(checked->check->type), where, reason);
    else
        snprintf(text, DIRECTOR_REASON_SIZE, "%s %s%s: %s", check_type_name(checked->check->type), where, checked->plain ? " in GUE with a chain" : "", reason);
}

const char *director_health_reason(const struct director_health *health, size_t service, size_t server, char text[DIRECTOR_REASON_SIZE])
{
    const struct real_server *real = &health->followed->config->services[service].servers[server];
    char place[PLACE_SIZE];

    *text = '\0';
    for (size_t i = 0; i < 2 * real->n_checks && !*text; i++) {
        const struct checked *checked;

        format_place(health->followed, service, server, i / 2, i % 2, place);
        checked = find_check(health->followed, place);
        if (checked)
            format_reason(checked, text);
    }
    return text;
}
