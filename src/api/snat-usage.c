#include "weft/api/snat-usage.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "weft/base/log.h"
#include "weft/base/util.h"

#define FORGET_MS 3600000ull

struct reporter { /* A host. */
    struct hashmap_node node;
    struct hashmap routers; /* Of struct snat_usage. */
    uint64_t reported_ms, n_reports;
    char name[];
};

struct snat_usages {
    struct hashmap hosts;
    uint64_t n_failed;
};

int snat_usages_new(struct snat_usages **ret_usages)
{
    *ret_usages = calloc(1, sizeof(**ret_usages));
    return *ret_usages ? 0 : -ENOMEM;
}

static void reporter_free(struct reporter *reporter)
{
    HASHMAP_FOREACH(node, &reporter->routers)
        free(CONTAINER_OF(node, struct snat_usage, node));
    hashmap_clear(&reporter->routers);
    free(reporter);
}

void snat_usages_free(struct snat_usages *usages)
{
    if (!usages)
        return;
    HASHMAP_FOREACH(node, &usages->hosts)
        reporter_free(CONTAINER_OF(node, struct reporter, node));
    hashmap_clear(&usages->hosts);
    free(usages);
}

static struct reporter *reporter_find(const struct snat_usages *usages, const char *host_name)
{
    struct hashmap_node *node = hashmap_find(&usages->hosts, host_name, strlen(host_name));

    return node ? CONTAINER_OF(node, struct reporter, node) : NULL;
}

static struct reporter *reporter_get(struct snat_usages *usages, const char *host_name)
{
    struct reporter *reporter = reporter_find(usages, host_name);
    size_t size = strlen(host_name);

    if (reporter || !(reporter = calloc(1, sizeof(*reporter) + size + 1)))
        return reporter;
    memcpy(reporter->name, host_name, size + 1);
    if (hashmap_insert(&usages->hosts, &reporter->node, reporter->name, size) == 0)
        return reporter;
    free(reporter);
    return NULL;
}

static struct snat_usage *usage_find(const struct reporter *reporter, const char *router_id)
{
    struct hashmap_node *node = hashmap_find(&reporter->routers, router_id, strlen(router_id));

    return node ? CONTAINER_OF(node, struct snat_usage, node) : NULL;
}

static struct snat_usage *usage_get(struct reporter *reporter, const char *router_id)
{
    struct snat_usage *usage = usage_find(reporter, router_id);

    if (usage || !(usage = calloc(1, sizeof(*usage))))
        return usage;
    string_copy(usage->router_id, sizeof(usage->router_id), router_id);
    if (hashmap_insert(&reporter->routers, &usage->node, usage->router_id, strlen(usage->router_id)) == 0)
        return usage;
    free(usage);
    return NULL;
}

static bool is_count(const json_t *number)
{
    return json_is_integer(number) && json_integer_value(number) >= 0;
}

int snat_usages_check(const json_t *report, struct error *error)
{
    const char *id;
    json_t *usage;

    if (!json_is_object(report) || json_object_size(report) > SNAT_USAGE_MAX)
        return error_set(error, -EINVAL, "snat_usage", "an object {router id: usage} of at most %d routers is required", SNAT_USAGE_MAX);
    json_object_foreach((json_t *)report, id, usage) {
        if (strlen(id) >= UUID_TEXT_SIZE || !uuid_is_valid(id))
            return error_set(error, -EINVAL, "snat_usage", "'%.100s' is not an id", id);
        if (!is_count(json_object_get(usage, "in_use")) || !is_count(json_object_get(usage, "failed")))
            return error_set(error, -EINVAL, "snat_usage", "%s: in_use and failed are numbers that are not negative", id);
    }
    return 0;
}

bool snat_usages_take(struct snat_usages *usages, const char *host_name, const json_t *report, uint64_t now_ms)
{
    struct reporter *reporter = reporter_get(usages, host_name);
    bool matters = false;
    const char *id;
    json_t *json;

    if (!reporter)
        return false; /* The next report says it again. */
    reporter->n_reports++;
    reporter->reported_ms = now_ms;
    json_object_foreach((json_t *)report, id, json) {
        bool is_new = !usage_find(reporter, id);
        struct snat_usage *usage = strlen(id) < UUID_TEXT_SIZE ? usage_get(reporter, id) : NULL;
        uint64_t failed = (uint64_t)json_integer_value(json_object_get(json, "failed"));

        if (!usage)
            continue;
        /* What failed before this server heard of it is nothing to react to; and an agent that began anew counts anew. */
        if (!is_new && failed > usage->failed) {
            usage->is_more_failed = true;
            usages->n_failed += failed - usage->failed;
        }
        usage->in_use = (uint64_t)json_integer_value(json_object_get(json, "in_use"));
        usage->failed = failed;
        usage->is_fresh = true;
        usage->report = reporter->n_reports;
        matters = matters || usage->is_more_failed || usage->in_use > usage->enough_until || usage->idle_since_ms || usage->is_refused;
    }
    HASHMAP_FOREACH(node, &reporter->routers) {
        struct snat_usage *usage = CONTAINER_OF(node, struct snat_usage, node);

        if (usage->report == reporter->n_reports)
            continue;
        usage->in_use = 0;
        usage->is_more_failed = false;
        usage->is_fresh = true;
        matters = matters || usage->idle_since_ms || usage->is_refused;
        /* What is idle is taken back long before it is forgotten. */
        if (usage->is_refused || (usage->idle_since_ms && now_ms < usage->idle_since_ms + FORGET_MS))
            continue;
        hashmap_remove(&reporter->routers, &usage->node);
        free(usage);
    }
    return matters;
}

void snat_usages_forget(struct snat_usages *usages, const char *host_name)
{
    struct reporter *reporter = reporter_find(usages, host_name);

    if (!reporter)
        return;
    hashmap_remove(&usages->hosts, &reporter->node);
    reporter_free(reporter);
}

struct snat_usage *snat_usage_find(struct snat_usages *usages, const char *host_name, const char *router_id)
{
    const struct reporter *reporter = reporter_find(usages, host_name);

    return reporter ? usage_find(reporter, router_id) : NULL;
}

struct snat_usage *snat_usage_get(struct snat_usages *usages, const char *host_name, const char *router_id)
{
    struct reporter *reporter = reporter_get(usages, host_name);

    return reporter ? usage_get(reporter, router_id) : NULL;
}

uint64_t snat_usages_reported_ms(const struct snat_usages *usages, const char *host_name)
{
    const struct reporter *reporter = reporter_find(usages, host_name);

    return reporter ? reporter->reported_ms : 0;
}

static uint64_t in_use(const struct reporter *reporter)
{
    uint64_t n = 0;

    HASHMAP_FOREACH(node, &reporter->routers)
        n += CONTAINER_OF(node, struct snat_usage, node)->in_use;
    return n;
}

struct snat_usage_totals snat_usages_totals(const struct snat_usages *usages)
{
    struct snat_usage_totals totals = {.failed = usages->n_failed};

    HASHMAP_FOREACH(node, &usages->hosts)
        totals.in_use += in_use(CONTAINER_OF(node, struct reporter, node));
    return totals;
}
