/* What listeners' connections were and are, summed over hosts, by their reports.
 *
 * A host's counters grow for as long as it serves the listener, and begin at 0 when it serves it anew.  What they had reached then is kept. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "weft/api/balancing.h"
#include "weft/api/resources.h"
#include "weft/base/hashmap.h"
#include "weft/base/log.h"
#include "weft/base/util.h"

static const char *const counter_names[] = {"active_connections", "bytes_in", "bytes_out", "request_errors", "total_connections"};
#define N_COUNTERS ARRAY_SIZE(counter_names)

/* What one host says of one listener. */
struct host_counters {
    struct hashmap_node node;           /* Of the host's. */
    struct host_counters *next, **link; /* Of the account's. */
    struct account *account;
    struct reporter *reporter;
    uint64_t last[N_COUNTERS];
};

/* A host that names listeners: a report costs what is in it and in the one before, however many hosts and listeners there are. */
struct reporter {
    struct hashmap_node node;
    struct hashmap counters; /* By the listener's id. */
    char name[];
};

struct account {
    struct hashmap_node node;
    char id[UUID_TEXT_SIZE];
    uint64_t before[N_COUNTERS]; /* Of counters that began anew. */
    struct host_counters *hosts;
};

struct statistics {
    const struct replica *replica;
    struct hashmap accounts, reporters;
};

int statistics_new(const struct replica *replica, struct statistics **ret_statistics)
{
    *ret_statistics = calloc(1, sizeof(**ret_statistics));
    if (!*ret_statistics)
        return -ENOMEM;
    (*ret_statistics)->replica = replica;
    return 0;
}

size_t statistics_count(const struct statistics *statistics)
{
    return statistics->accounts.n_nodes;
}

static void counters_free(struct host_counters *counters)
{
    hashmap_remove(&counters->reporter->counters, &counters->node);
    *counters->link = counters->next;
    if (counters->next)
        counters->next->link = counters->link;
    free(counters);
}

/* Unless it still names something. */
static void reporter_release(struct statistics *statistics, struct reporter *reporter)
{
    if (reporter->counters.n_nodes)
        return;
    hashmap_remove(&statistics->reporters, &reporter->node);
    hashmap_clear(&reporter->counters);
    free(reporter);
}

static void account_free(struct statistics *statistics, struct account *account)
{
    while (account->hosts) {
        struct reporter *reporter = account->hosts->reporter;

        counters_free(account->hosts);
        reporter_release(statistics, reporter);
    }
    free(account);
}

void statistics_free(struct statistics *statistics)
{
    if (!statistics)
        return;
    HASHMAP_FOREACH (item, &statistics->accounts)
        account_free(statistics, CONTAINER_OF(item, struct account, node));
    hashmap_clear(&statistics->accounts);
    hashmap_clear(&statistics->reporters);
    free(statistics);
}

static struct account *account_find(const struct statistics *statistics, const char *id)
{
    struct hashmap_node *item = hashmap_find(&statistics->accounts, id, strlen(id));

    return item ? CONTAINER_OF(item, struct account, node) : NULL;
}

static struct reporter *reporter_find(const struct statistics *statistics, const char *name)
{
    struct hashmap_node *item = hashmap_find(&statistics->reporters, name, strlen(name));

    return item ? CONTAINER_OF(item, struct reporter, node) : NULL;
}

void statistics_forget(struct statistics *statistics, const char *id)
{
    struct account *account = account_find(statistics, id);

    if (!account)
        return;
    hashmap_remove(&statistics->accounts, &account->node);
    account_free(statistics, account);
}

static struct account *account_get(struct statistics *statistics, const char *id)
{
    struct account *account = account_find(statistics, id);

    if (account || !(account = calloc(1, sizeof(*account))))
        return account;
    string_copy(account->id, sizeof(account->id), id);
    if (hashmap_insert(&statistics->accounts, &account->node, account->id, strlen(account->id)) == 0)
        return account;
    free(account);
    return NULL;
}

static struct reporter *reporter_get(struct statistics *statistics, const char *name)
{
    struct reporter *reporter = reporter_find(statistics, name);
    size_t size = strlen(name);

    if (reporter || !(reporter = calloc(1, sizeof(*reporter) + size + 1)))
        return reporter;
    memcpy(reporter->name, name, size + 1);
    if (hashmap_insert(&statistics->reporters, &reporter->node, reporter->name, size) == 0)
        return reporter;
    free(reporter);
    return NULL;
}

static struct host_counters *counters_get(struct statistics *statistics, struct reporter *reporter, const char *id)
{
    struct hashmap_node *item = hashmap_find(&reporter->counters, id, strlen(id));
    struct account *account = item ? NULL : account_get(statistics, id);
    struct host_counters *counters = account ? calloc(1, sizeof(*counters)) : NULL;

    if (item)
        return CONTAINER_OF(item, struct host_counters, node);
    if (!counters || hashmap_insert(&reporter->counters, &counters->node, account->id, strlen(account->id)) < 0) {
        free(counters);
        return NULL;
    }
    counters->reporter = reporter;
    counters->account = account;
    counters->link = &account->hosts;
    if ((counters->next = account->hosts))
        counters->next->link = &counters->next;
    account->hosts = counters;
    return counters;
}

/* The first is a level, the others only grow. */
static void advance(struct host_counters *host, size_t i, uint64_t now)
{
    if (i > 0 && now < host->last[i])
        host->account->before[i] += host->last[i];
    host->last[i] = now;
}

/* What the host does not name it does not serve any more. */
static void forget_unnamed(struct statistics *statistics, struct reporter *reporter, const json_t *listeners)
{
    HASHMAP_FOREACH (item, &reporter->counters) {
        struct host_counters *host = CONTAINER_OF(item, struct host_counters, node);

        if (json_object_get(listeners, host->account->id))
            continue;
        for (size_t i = 0; i < N_COUNTERS; i++)
            advance(host, i, 0);
        counters_free(host);
    }
    reporter_release(statistics, reporter);
}

void statistics_take(struct statistics *statistics, const char *host_name, const json_t *listeners, listener_concerns_fn concerns, void *context)
{
    struct reporter *reporter = json_object_size(listeners) ? reporter_get(statistics, host_name) : reporter_find(statistics, host_name);
    const char *id;
    json_t *json;

    if (!reporter && json_object_size(listeners))
        log_error("out of memory: the statistics of host '%s' are not taken", host_name);
    if (!reporter)
        return;
    json_object_foreach ((json_t *)listeners, id, json) {
        struct host_counters *host;

        const struct object *listener = replica_get(statistics->replica, RESOURCE_LISTENER, id);

        if (!listener || (concerns && !concerns(listener, context))) /* Of what is not there nobody would take it away again. */
            continue;
        if (!(host = counters_get(statistics, reporter, id))) {
            log_error("out of memory: the statistics of listener %s are not taken", id);
            continue;
        }
        for (size_t i = 0; i < N_COUNTERS; i++)
            advance(host, i, (uint64_t)json_integer_value(json_object_get(json, counter_names[i])));
    }
    forget_unnamed(statistics, reporter, listeners);
}

void statistics_host_gone(struct statistics *statistics, const char *host_name)
{
    statistics_take(statistics, host_name, NULL, NULL, NULL);
}

static void add_account(const struct statistics *statistics, const char *id, uint64_t sums[N_COUNTERS])
{
    const struct account *account = account_find(statistics, id);

    for (size_t i = 0; account && i < N_COUNTERS; i++) {
        sums[i] += account->before[i];
        for (const struct host_counters *host = account->hosts; host; host = host->next)
            sums[i] += host->last[i];
    }
}

static void respond_statistics(struct request *request, const uint64_t sums[N_COUNTERS])
{
    json_t *json = json_object();

    for (size_t i = 0; i < N_COUNTERS; i++)
        json_object_set_new(json, counter_names[i], json_integer((json_int_t)(sums[i] & INT64_MAX)));
    request_respond(request, HTTP_OK, json_pack("{so}", "stats", json));
}

void listener_show_statistics(struct request *request)
{
    const struct object *object = resource_find_or_fail(request);
    uint64_t sums[N_COUNTERS] = {0};

    if (!object)
        return;
    add_account(balancing_statistics(request_api(request)->balancing), object->id, sums);
    respond_statistics(request, sums);
}

void load_balancer_show_statistics(struct request *request)
{
    const struct object *object = resource_find_or_fail(request);
    uint64_t sums[N_COUNTERS] = {0};

    if (!object)
        return;
    REPLICA_FOREACH (item, replica_by_load_balancer(request_api(request)->replica, RESOURCE_LISTENER, object->id))
        add_account(balancing_statistics(request_api(request)->balancing), item->object->id, sums);
    respond_statistics(request, sums);
}
