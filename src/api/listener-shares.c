#include "weft/api/listener-shares.h"

#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "weft/api/connection-limit.h"
#include "weft/base/hashmap.h"
#include "weft/base/log.h"
#include "weft/base/util.h"

#define LIMIT_PREFIX "lb/limit/"
#define LIMIT_KEY_SIZE (sizeof(LIMIT_PREFIX) + UUID_TEXT_SIZE)
#define WRITTEN_MAX 2048 /* Shares in a transaction: what is left is written with the next. */
#define LOOKED_AT_MAX 2048 /* Hosts' shares and reports in a pass, after which everything else has its turn: some milliseconds. */

struct limited;

/* A host that has said something of a listener that has a limit. */
struct reporter {
    struct hashmap_node node;
    struct share_report *first;
    char name[];
};

/* What a host said of a listener last. */
struct share_report {
    struct hashmap_node node; /* Of the listener's, by the host's name. */
    struct share_report *next, **link; /* Of the host's. */
    struct reporter *reporter;
    struct limited *limited;
    uint64_t applied, at_ms;
    uint64_t needed; /* What it was to have applied, for the last division, to be heard. */
    uint64_t refused, answered, answering; /* Connections that it refused: ever, and those that a division, or the one that is written, has answered. */
    uint32_t active;
    bool is_named; /* It serves the listener. */
    bool has_share; /* Of the division at hand. */
};

struct limited {
    struct hashmap_node node;
    char id[UUID_TEXT_SIZE];
    struct listener_shares *owner;
    uint64_t lock_revision; /* Of its key in the store; 0: there is none. */
    struct hashmap reports;
    uint64_t divided_ms;
    struct limited *next_dirty;
    bool is_dirty, is_pending;
};

struct listener_shares {
    struct replica *replica;
    struct commits *commits;
    struct replica_listener listener;
    struct hashmap limited, reporters;
    struct limited *first_dirty, **last_dirty; /* In the order in which they became so. */
    size_t n_dirty, n_looked_at;
};

/* A host in a division. */
struct party {
    const struct listener_share *before; /* NULL: none yet. */
    const char *host;
    struct share_report *report;         /* NULL: it says nothing to this server. */
};

/* ---- what is known ---- */

static void share_id(const char *listener_id, const char *host_name, char id[UUID_TEXT_SIZE])
{
    unsigned char hash[16];
    crypto_generichash_state state;

    crypto_generichash_init(&state, NULL, 0, sizeof(hash));
    crypto_generichash_update(&state, (const unsigned char *)listener_id, strlen(listener_id));
    crypto_generichash_update(&state, (const unsigned char *)host_name, strlen(host_name));
    crypto_generichash_final(&state, hash, sizeof(hash));
    hash[6] = (hash[6] & 0x0f) | 0x80; /* A custom UUID (RFC 9562, version 8). */
    hash[8] = (hash[8] & 0x3f) | 0x80;
    snprintf(id, UUID_TEXT_SIZE, "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", hash[0], hash[1], hash[2], hash[3], hash[4], hash[5],
             hash[6], hash[7], hash[8], hash[9], hash[10], hash[11], hash[12], hash[13], hash[14], hash[15]);
}

static const struct listener_share *find_share(const struct listener_shares *shares, const char *listener_id, const char *host_name)
{
    char id[UUID_TEXT_SIZE];

    share_id(listener_id, host_name, id);
    return (const struct listener_share *)replica_get(shares->replica, RESOURCE_LISTENER_SHARE, id);
}

static struct limited *limited_find(const struct listener_shares *shares, const char *id)
{
    struct hashmap_node *node = hashmap_find(&shares->limited, id, strlen(id));

    return node ? CONTAINER_OF(node, struct limited, node) : NULL;
}

static struct limited *limited_get(struct listener_shares *shares, const char *id)
{
    struct limited *limited = limited_find(shares, id);

    if (limited)
        return limited;
    if (!(limited = calloc(1, sizeof(*limited)))) {
        log_error("out of memory: the shares of listener %s stay as they are", id);
        return NULL;
    }
    string_copy(limited->id, sizeof(limited->id), id);
    limited->owner = shares;
    if (hashmap_insert(&shares->limited, &limited->node, limited->id, strlen(limited->id)) == 0)
        return limited;
    free(limited);
    return NULL;
}

static struct share_report *report_find(const struct limited *limited, const char *host_name)
{
    struct hashmap_node *node = hashmap_find(&limited->reports, host_name, strlen(host_name));

    return node ? CONTAINER_OF(node, struct share_report, node) : NULL;
}

static struct reporter *reporter_find(const struct listener_shares *shares, const char *name)
{
    struct hashmap_node *node = hashmap_find(&shares->reporters, name, strlen(name));

    return node ? CONTAINER_OF(node, struct reporter, node) : NULL;
}

static struct reporter *reporter_get(struct listener_shares *shares, const char *name)
{
    struct reporter *reporter = reporter_find(shares, name);
    size_t size = strlen(name);

    if (reporter || !(reporter = calloc(1, sizeof(*reporter) + size + 1)))
        return reporter;
    memcpy(reporter->name, name, size + 1);
    if (hashmap_insert(&shares->reporters, &reporter->node, reporter->name, size) == 0)
        return reporter;
    free(reporter);
    return NULL;
}

/* Unless it has said something. */
static void reporter_release(struct listener_shares *shares, struct reporter *reporter)
{
    if (reporter->first)
        return;
    hashmap_remove(&shares->reporters, &reporter->node);
    free(reporter);
}

static struct share_report *report_get(struct limited *limited, const char *host_name, uint64_t refused)
{
    struct share_report *report = report_find(limited, host_name);
    struct reporter *reporter = report ? NULL : reporter_get(limited->owner, host_name);

    if (report || !reporter)
        return report; /* NULL: the next report says it again. */
    report = calloc(1, sizeof(*report));
    if (!report || hashmap_insert(&limited->reports, &report->node, reporter->name, strlen(reporter->name)) < 0) {
        free(report);
        reporter_release(limited->owner, reporter);
        return NULL;
    }
    report->answered = refused; /* What was before this server heard of it is nothing to react to. */
    report->limited = limited;
    report->reporter = reporter;
    report->link = &reporter->first;
    if ((report->next = reporter->first))
        report->next->link = &report->next;
    reporter->first = report;
    return report;
}

static void report_forget(struct share_report *report)
{
    hashmap_remove(&report->limited->reports, &report->node);
    *report->link = report->next;
    if (report->next)
        report->next->link = report->link;
    reporter_release(report->limited->owner, report->reporter);
    free(report);
}

static void limited_free(struct limited *limited)
{
    HASHMAP_FOREACH(node, &limited->reports)
        report_forget(CONTAINER_OF(node, struct share_report, node));
    hashmap_clear(&limited->reports);
    free(limited);
}

static void make_dirty(struct limited *limited)
{
    struct listener_shares *shares = limited ? limited->owner : NULL;

    if (!limited || limited->is_dirty)
        return;
    limited->is_dirty = true;
    limited->next_dirty = NULL;
    *shares->last_dirty = limited;
    shares->last_dirty = &limited->next_dirty;
    shares->n_dirty++;
}

static struct limited *next_dirty(struct listener_shares *shares)
{
    struct limited *limited = shares->first_dirty;

    shares->first_dirty = limited->next_dirty;
    if (!shares->first_dirty)
        shares->last_dirty = &shares->first_dirty;
    shares->n_dirty--;
    limited->is_dirty = false;
    return limited;
}

/* ---- what changes ---- */

static void host_gone(struct listener_shares *shares, const char *name)
{
    struct reporter *reporter = reporter_find(shares, name);
    struct share_report *report = reporter ? reporter->first : NULL;

    while (report) {
        struct share_report *next = report->next;

        make_dirty(report->limited);
        report_forget(report);
        report = next;
    }
    REPLICA_FOREACH(share, replica_find(shares->replica, REPLICA_SHARES_BY_HOST, name))
        make_dirty(limited_find(shares, ((const struct listener_share *)share->object)->listener_id));
}

static void changed(const struct replica_change *change, void *context)
{
    struct listener_shares *shares = context;
    const struct object *either = change->after ? change->after : change->before;

    if (change->kind == RESOURCE_LISTENER)
        make_dirty(limited_find(shares, either->id));
    else if (change->kind == RESOURCE_LISTENER_SHARE)
        make_dirty(limited_get(shares, ((const struct listener_share *)either)->listener_id));
    else if (change->kind == RESOURCE_HOST && !change->after)
        host_gone(shares, change->before->name);
}

static void lock_changed(const struct store_item *item, void *context)
{
    const char *id = item->key + strlen(LIMIT_PREFIX);
    struct limited *limited = uuid_is_valid(id) ? limited_get(context, id) : NULL;

    if (!limited)
        return;
    limited->lock_revision = item->value ? item->modify_revision : 0;
    make_dirty(limited);
}

/* A division by the same numbers would have the same result: it is made again once in a while only, for those who are not heard any more. */
static void take(struct limited *limited, struct share_report *report, uint64_t applied, const json_t *counters, uint64_t now_ms)
{
    const struct share_report before = *report;

    report->at_ms = now_ms;
    report->applied = applied;
    report->is_named = counters;
    report->active = (uint32_t)MIN(json_integer_value(json_object_get(counters, "active_connections")), (json_int_t)UINT32_MAX);
    report->refused = (uint64_t)json_integer_value(json_object_get(counters, "request_errors"));
    if (report->refused < report->answered) /* A host that began anew counts anew. */
        report->answered = 0;
    if (before.at_ms == 0 || now_ms >= before.at_ms + SHARE_REPORT_MS || now_ms >= limited->divided_ms + SHARE_REPORT_MS ||
        before.is_named != report->is_named || before.active != report->active ||
        (before.applied >= report->needed) != (applied >= report->needed) ||
        (before.refused > before.answered) != (report->refused > report->answered))
        make_dirty(limited);
}

/* What the host has or has named, and names no more: it costs nothing that others have. */
static void take_unnamed(struct listener_shares *shares, const char *host_name, uint64_t applied, const json_t *listeners, uint64_t now_ms)
{
    const struct reporter *reporter;

    REPLICA_FOREACH(item, replica_find(shares->replica, REPLICA_SHARES_BY_HOST, host_name)) {
        const struct listener_share *share = (const struct listener_share *)item->object;
        struct limited *limited = json_object_get(listeners, share->listener_id) ? NULL : limited_find(shares, share->listener_id);

        if (limited)
            (void)report_get(limited, host_name, 0);
    }
    reporter = reporter_find(shares, host_name);
    for (struct share_report *report = reporter ? reporter->first : NULL; report; report = report->next)
        if (!json_object_get(listeners, report->limited->id))
            take(report->limited, report, applied, NULL, now_ms);
}

/* Whoever has a share may be the last to hear that the listener is not its business any more. */
static bool has_a_say(const struct listener_shares *shares, const char *host_name, const struct object *listener, listener_concerns_fn concerns, void *context)
{
    return !concerns || concerns(listener, context) || find_share(shares, listener->id, host_name);
}

void listener_shares_report(struct listener_shares *shares, const char *host_name, uint64_t applied, const json_t *listeners, listener_concerns_fn concerns,
                            void *context, uint64_t now_ms)
{
    const char *id;
    json_t *counters;

    json_object_foreach ((json_t *)listeners, id, counters) {
        const struct listener *listener = (const struct listener *)replica_get(shares->replica, RESOURCE_LISTENER, id);
        bool is_heard = listener && listener->connection_limit > 0 && has_a_say(shares, host_name, &listener->object, concerns, context);
        struct limited *limited = is_heard ? limited_get(shares, listener->object.id) : NULL;
        struct share_report *report =
            limited ? report_get(limited, host_name, (uint64_t)json_integer_value(json_object_get(counters, "request_errors"))) : NULL;

        if (report)
            take(limited, report, applied, counters, now_ms);
    }
    take_unnamed(shares, host_name, applied, listeners, now_ms);
}

/* ---- what is written ---- */

static void submitted(const struct store_result *result, void *context)
{
    struct limited *limited = context;

    limited->is_pending = false;
    if (result->status == 0) {
        HASHMAP_FOREACH(node, &limited->reports)
            CONTAINER_OF(node, struct share_report, node)->answered = CONTAINER_OF(node, struct share_report, node)->answering;
        return;
    }
    make_dirty(limited);
    if (result->status != -EAGAIN)
        log_warning("the shares of listener %s: the store did not take a change: %s", limited->id, strerror(-result->status));
}

static int require(struct store_transaction *transaction, enum resource_kind kind, const char *id, uint64_t revision, char key[REPLICA_KEY_SIZE])
{
    replica_key(kind, id, key);
    return store_require_revision(transaction, key, strlen(key), revision);
}

static int put_share(struct store_transaction *transaction, const struct listener *listener, const struct party *party, const struct limit_share *now,
                     int64_t now_s)
{
    _cleanup_(object_freep) struct object *object = party->before ? object_copy(&party->before->object) : object_new(RESOURCE_LISTENER_SHARE);
    struct listener_share *share = (struct listener_share *)object;
    struct buffer text = {0};
    char key[REPLICA_KEY_SIZE];
    int r;

    if (!object)
        return -ENOMEM;
    if (!party->before) {
        share_id(listener->object.id, party->host, object->id);
        object->created_at_s = now_s;
        string_copy(share->listener_id, sizeof(share->listener_id), listener->object.id);
        string_copy(share->load_balancer_id, sizeof(share->load_balancer_id), listener->load_balancer_id);
        if (!(share->host = strdup(party->host)))
            return -ENOMEM;
    }
    object->updated_at_s = now_s;
    object->revision_number += party->before ? 1 : 0;
    share->share = now->share;
    share->held = now->held;
    share->waits = now->waits;
    if ((r = object_write(object, &text)) == 0 &&
        (r = require(transaction, RESOURCE_LISTENER_SHARE, object->id, party->before ? party->before->object.store_revision : 0, key)) == 0)
        r = store_put(transaction, key, strlen(key), text.data, text.size, 0);
    buffer_clear(&text);
    return r;
}

static int delete_share(struct store_transaction *transaction, const struct listener_share *share)
{
    char key[REPLICA_KEY_SIZE];
    int r = require(transaction, RESOURCE_LISTENER_SHARE, share->object.id, share->object.store_revision, key);

    return r == 0 ? store_delete(transaction, key, strlen(key)) : r;
}

/* With the listener as it is here; NULL: it is gone, and so is the key. */
static int submit(struct limited *limited, const struct listener *listener, struct store_transaction **transaction)
{
    char key[REPLICA_KEY_SIZE], lock[LIMIT_KEY_SIZE];
    int r = require(*transaction, RESOURCE_LISTENER, limited->id, listener ? listener->object.store_revision : 0, key);

    snprintf(lock, sizeof(lock), LIMIT_PREFIX "%s", limited->id);
    if (r == 0)
        r = store_require_revision(*transaction, lock, strlen(lock), limited->lock_revision);
    if (r == 0)
        r = listener ? store_put(*transaction, lock, strlen(lock), "", 0, 0) : store_delete(*transaction, lock, strlen(lock));
    if (r < 0)
        return r;
    limited->is_pending = true;
    commits_submit(limited->owner->commits, TAKE_PTR(*transaction), submitted, limited);
    return 0;
}

static int drop(struct limited *limited)
{
    _cleanup_(store_transaction_freep) struct store_transaction *transaction = NULL;
    size_t n = 0;
    int r = store_transaction_new(&transaction);

    REPLICA_FOREACH(item, replica_find(limited->owner->replica, REPLICA_SHARES_BY_LISTENER, limited->id))
        if (r == 0 && n++ < WRITTEN_MAX)
            r = delete_share(transaction, (const struct listener_share *)item->object);
    limited->owner->n_looked_at += MIN(n, WRITTEN_MAX);
    return r == 0 ? submit(limited, NULL, &transaction) : r;
}

/* ---- the division ---- */

/* Down, and evacuated: there is nobody who could begin a connection, or take one. */
static bool is_left(const struct listener_shares *shares, const char *host_name)
{
    const struct host *host = replica_host_by_name(shares->replica, host_name);

    return host && host->state == HOST_STATE_DOWN && !replica_ports_by_host(shares->replica, host_name);
}

static void meet(const struct listener_shares *shares, struct party *party, struct limit_share *now)
{
    const struct listener_share *before = party->before;
    const struct host *host = replica_host_by_name(shares->replica, party->host);
    const struct share_report *report = party->report;

    *now = (struct limit_share){.is_heard = report && (!before || report->applied >= before->object.store_revision)};
    if (before) {
        now->share = before->share;
        now->held = before->held;
        now->waits = before->waits && host && host->state != HOST_STATE_DOWN;
    }
    if (!now->is_heard)
        return;
    now->leaves = !report->is_named;
    now->active = report->active;
    now->was_refused = report->refused > report->answered;
}

/* The hosts that have a share, or report; both lists are the caller's.  'ret_n' of them. */
static int gather(struct limited *limited, uint32_t limit, uint64_t now_ms, struct party **ret_parties, struct limit_share **ret_now, size_t *ret_n)
{
    struct listener_shares *shares = limited->owner;
    size_t n = replica_count(shares->replica, REPLICA_SHARES_BY_LISTENER, limited->id), i = 0;

    HASHMAP_FOREACH(node, &limited->reports) {
        struct share_report *report = CONTAINER_OF(node, struct share_report, node);

        report->has_share = false;
        if (now_ms < report->at_ms + SHARE_REPORT_MS)
            n++;
        else
            report_forget(report);
    }
    *ret_parties = calloc(n + 1, sizeof(**ret_parties));
    *ret_now = calloc(n + 1, sizeof(**ret_now));
    if (!*ret_parties || !*ret_now)
        return -ENOMEM;
    REPLICA_FOREACH(item, replica_find(shares->replica, REPLICA_SHARES_BY_LISTENER, limited->id)) {
        const struct listener_share *share = (const struct listener_share *)item->object;
        struct share_report *report = share->host ? report_find(limited, share->host) : NULL;

        if (report)
            report->has_share = true;
        if (share->host)
            (*ret_parties)[i++] = (struct party){share, share->host, report};
    }
    HASHMAP_FOREACH(node, &limited->reports) {
        struct share_report *report = CONTAINER_OF(node, struct share_report, node);

        if (report->has_share)
            continue;
        if (report->is_named && !is_left(shares, report->reporter->name))
            (*ret_parties)[i++] = (struct party){NULL, report->reporter->name, report};
        else
            report_forget(report);
    }
    for (size_t k = 0; k < i; k++) {
        meet(shares, &(*ret_parties)[k], &(*ret_now)[k]);
        (*ret_now)[k].waits |= !(*ret_parties)[k].before && limit >= i; /* There is one for each. */
    }
    *ret_n = i;
    shares->n_looked_at += i;
    return 0;
}

static bool is_over(const struct listener_shares *shares, const struct party *party, const struct limit_share *now)
{
    return party->before && ((now->is_heard && now->leaves && !party->before->share && !now->held) || is_left(shares, party->host) ||
                             !replica_host_by_name(shares->replica, party->host));
}

static bool is_same(const struct listener_share *before, const struct limit_share *now)
{
    return before ? before->share == now->share && before->held == now->held && before->waits == now->waits : !now->share && !now->held && !now->waits;
}

static int divide(struct limited *limited, const struct listener *listener, uint64_t now_ms, int64_t now_s)
{
    _cleanup_(store_transaction_freep) struct store_transaction *transaction = NULL;
    _cleanup_(freep) struct party *parties = NULL;
    _cleanup_(freep) struct limit_share *now = NULL;
    uint32_t limit = (uint32_t)MIN(listener->connection_limit, (int64_t)UINT32_MAX);
    size_t n, n_written = 0;
    int r;

    if ((r = gather(limited, limit, now_ms, &parties, &now, &n)) < 0 || (r = store_transaction_new(&transaction)) < 0)
        return r;
    limited->divided_ms = now_ms;
    connection_limit_divide(limit, now, n);
    for (size_t i = 0; i < n && r == 0; i++) {
        bool is_deleted = is_over(limited->owner, &parties[i], &now[i]);

        if (parties[i].report) {
            parties[i].report->answering = parties[i].report->refused;
            parties[i].report->needed = parties[i].before ? parties[i].before->object.store_revision : 0;
        }
        if (!is_deleted && is_same(parties[i].before, &now[i]))
            continue;
        if (n_written++ == WRITTEN_MAX) {
            make_dirty(limited);
            break;
        }
        r = is_deleted ? delete_share(transaction, parties[i].before) : put_share(transaction, listener, &parties[i], &now[i], now_s);
    }
    return r < 0 || n_written == 0 ? r : submit(limited, listener, &transaction);
}

bool listener_shares_pass(struct listener_shares *shares, uint64_t now_ms, int64_t now_s)
{
    size_t n = shares->n_dirty;

    shares->n_looked_at = 0;
    for (; n > 0 && shares->n_looked_at < LOOKED_AT_MAX; n--) {
        struct limited *limited = next_dirty(shares);
        const struct listener *listener = (const struct listener *)replica_get(shares->replica, RESOURCE_LISTENER, limited->id);
        int r = 0;

        if (limited->is_pending) {
            make_dirty(limited);
            continue;
        }
        if (listener && listener->connection_limit > 0) {
            r = divide(limited, listener, now_ms, now_s);
        } else if (!listener && (limited->lock_revision || replica_find(shares->replica, REPLICA_SHARES_BY_LISTENER, limited->id))) {
            r = drop(limited);
        } else if (!listener) {
            hashmap_remove(&shares->limited, &limited->node);
            limited_free(limited);
            continue;
        }
        if (r < 0) {
            log_error("the shares of listener %s stay as they are: %s", limited->id, strerror(-r));
            make_dirty(limited);
        }
    }
    return n > 0;
}

bool listener_shares_is_dirty(const struct listener_shares *shares)
{
    return shares->n_dirty > 0;
}

int listener_shares_new(struct replica *replica, struct commits *commits, struct listener_shares **ret_shares)
{
    _cleanup_(listener_shares_freep) struct listener_shares *shares = calloc(1, sizeof(*shares));
    int r;

    if (!shares)
        return -ENOMEM;
    shares->last_dirty = &shares->first_dirty;
    shares->replica = replica;
    shares->commits = commits;
    if ((r = replica_follow(replica, LIMIT_PREFIX, lock_changed, shares)) < 0)
        return r;
    shares->listener = (struct replica_listener){.change = changed, .context = shares};
    replica_listen(replica, &shares->listener);
    *ret_shares = TAKE_PTR(shares);
    return 0;
}

void listener_shares_free(struct listener_shares *shares)
{
    if (!shares)
        return;
    HASHMAP_FOREACH(node, &shares->limited)
        limited_free(CONTAINER_OF(node, struct limited, node));
    hashmap_clear(&shares->limited);
    hashmap_clear(&shares->reporters);
    free(shares);
}
