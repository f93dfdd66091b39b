#include "weft/api/balance-rows.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "weft/api/balance-size.h"
#include "weft/balance/bytes.h"
#include "weft/balance/table.h"
#include "weft/base/hashmap.h"
#include "weft/base/log.h"
#include "weft/base/util.h"

#define GONE_MAX 4096
#define PASS_MAX 64 /* Transactions of a pass: the rest waits for the next. */

/* A pool, or what is left of one. */
struct pool_state {
    struct hashmap_node node;
    char id[UUID_TEXT_SIZE], rows_id[UUID_TEXT_SIZE];
    struct balance_writer *writer;
    struct balance_table *table; /* As stored at 'revision'; NULL: to be restored. */
    uint64_t revision;
    uint64_t next_ms;            /* When it is to be looked at again though nothing changed. */
    uint64_t earliest_ms;        /* Not written again before. */
    bool is_dirty, is_pending;
    struct pool_state *next_dirty; /* Of those that are dirty, or that wait. */
};

struct balance_writer {
    struct replica *replica;
    struct commits *commits;
    struct replica_listener listener;
    int64_t drain_s;
    struct hashmap pools;
    struct pool_state *dirty; /* May have some that are pending: they come back when that is over. */
    struct pool_state *waiting; /* Dirty as well, but written a moment ago. */
    size_t n_pending;
};

/* A member as it is judged. */
struct candidate {
    const struct pool_member *member;
    bool is_down, is_silent;
    struct balance_member decision;
};

const struct health_monitor *balance_monitor(const struct replica *replica, const char *pool_id)
{
    const struct replica_member *member = replica_find(replica, REPLICA_MONITORS_BY_POOL, pool_id);
    const struct health_monitor *monitor = member ? (const struct health_monitor *)member->object : NULL;

    return monitor && monitor->object.admin_state_up ? monitor : NULL;
}

/* The member's port: one of its own project.  Another's, in a network that is shared, serves nobody here, and how that is is not said. */
static const struct port *find_port(const struct replica *replica, const struct pool_member *member)
{
    const struct port *port = replica_port_by_address(replica, member->at_subnet_id, &member->address);

    return port && streq(port->object.project_id, member->object.project_id) ? port : NULL;
}

bool balance_is_nobody(const struct replica *replica, const struct pool_member *member)
{
    const struct port *port = find_port(replica, member);

    return !port || router_port_kind(port) != ROUTER_PORT_NONE;
}

bool balance_is_unplugged(const struct replica *replica, const struct pool_member *member)
{
    const struct port *port = find_port(replica, member);

    return !port || port->status != PORT_STATUS_ACTIVE;
}

bool balance_is_silent(const struct replica *replica, const struct pool_member *member)
{
    const struct port *port = find_port(replica, member);
    const struct host *host = port && port->binding_host_id ? replica_host_by_name(replica, port->binding_host_id) : NULL;

    return host && host->state == HOST_STATE_DOWN;
}

/* --- What changed. --- */

static void make_dirty(struct pool_state *state)
{
    if (state->is_dirty)
        return;
    state->is_dirty = true;
    if (state->is_pending)
        return;
    state->next_dirty = state->writer->dirty;
    state->writer->dirty = state;
}

static void pool_changed(struct balance_writer *writer, const char *id)
{
    struct hashmap_node *node = hashmap_find(&writer->pools, id, strlen(id));
    struct pool_state *state = node ? CONTAINER_OF(node, struct pool_state, node) : calloc(1, sizeof(*state));

    if (!node && state) {
        string_copy(state->id, sizeof(state->id), id);
        balance_rows_id(id, state->rows_id);
        state->writer = writer;
        state->next_ms = BALANCE_NEVER;
        if (hashmap_insert(&writer->pools, &state->node, state->id, strlen(state->id)) < 0) {
            free(state);
            state = NULL;
        }
    }
    if (!state) {
        log_error("out of memory: the rows of pool %s stay as they are", id);
        return;
    }
    make_dirty(state);
}

/* What comes meanwhile is what is written, or makes that fail. */
static bool is_writing(const struct balance_writer *writer, const char *id)
{
    struct hashmap_node *node = hashmap_find(&writer->pools, id, strlen(id));

    return node && CONTAINER_OF(node, struct pool_state, node)->is_pending;
}

static void port_changed(struct balance_writer *writer, const struct port *port)
{
    for (size_t i = 0; port && i < port->n_fixed_ips; i++)
        REPLICA_FOREACH(member, replica_members_by_address(writer->replica, port->fixed_ips[i].subnet_id, &port->fixed_ips[i].address))
            pool_changed(writer, ((const struct pool_member *)member->object)->pool_id);
}

static void host_changed(struct balance_writer *writer, const struct host *before, const struct host *after)
{
    if (!before || !after || before->state == after->state || !after->object.name)
        return;
    REPLICA_FOREACH(member, replica_ports_by_host(writer->replica, after->object.name))
        port_changed(writer, (const struct port *)member->object);
}

static void changed(const struct replica_change *change, void *context)
{
    struct balance_writer *writer = context;
    const void *before = change->before, *after = change->after, *either = after ? after : before;
    char pool_id[UUID_TEXT_SIZE];

    switch (change->kind) {
    case RESOURCE_POOL:
        pool_changed(writer, ((const struct object *)either)->id);
        break;
    case RESOURCE_BALANCE_ROWS:
        balance_rows_id(((const struct object *)either)->id, pool_id);
        if (!is_writing(writer, pool_id))
            pool_changed(writer, pool_id);
        break;
    case RESOURCE_POOL_MEMBER:
        if (before)
            pool_changed(writer, ((const struct pool_member *)before)->pool_id);
        if (after)
            pool_changed(writer, ((const struct pool_member *)after)->pool_id);
        break;
    case RESOURCE_HEALTH_MONITOR:
        pool_changed(writer, ((const struct health_monitor *)either)->pool_id);
        break;
    case RESOURCE_PORT:
        if (before != after)
            port_changed(writer, before);
        port_changed(writer, after);
        break;
    case RESOURCE_HOST:
        host_changed(writer, before, after);
        break;
    default:
        break;
    }
}

/* --- Judging. --- */

static int compare_candidates(const void *a, const void *b)
{
    return strcmp(((const struct candidate *)a)->member->object.id, ((const struct candidate *)b)->member->object.id);
}

/* The members in the order of ids, which is the caller's; NULL: out of memory. */
static struct candidate *list_members(const struct balance_writer *writer, const char *pool_id, size_t *ret_n)
{
    size_t n = replica_count(writer->replica, REPLICA_MEMBERS_BY_POOL, pool_id), i = 0;
    struct candidate *list = calloc(n + 1, sizeof(*list));
    bool is_watched = balance_monitor(writer->replica, pool_id);

    if (!list)
        return NULL;
    REPLICA_FOREACH(item, replica_find(writer->replica, REPLICA_MEMBERS_BY_POOL, pool_id)) {
        const struct pool_member *member = (const struct pool_member *)item->object;
        struct candidate *candidate = &list[i++];

        candidate->member = member;
        string_copy(candidate->decision.member_id, UUID_TEXT_SIZE, member->object.id);
        candidate->decision.index = BALANCE_INDEX_NONE;
        candidate->decision.has_failed = is_watched && member->health == MEMBER_HEALTH_DOWN;
        candidate->is_down = !member->object.admin_state_up || candidate->decision.has_failed || balance_is_nobody(writer->replica, member) ||
                             (is_watched && balance_is_unplugged(writer->replica, member));
        candidate->is_silent = is_watched && balance_is_silent(writer->replica, member);
    }
    qsort(list, n, sizeof(*list), compare_candidates);
    *ret_n = n;
    return list;
}

static const struct balance_member *find_stored(const struct balance_rows *stored, const char *member_id)
{
    for (size_t i = 0; stored && i < stored->n_members; i++)
        if (streq(stored->members[i].member_id, member_id))
            return &stored->members[i];
    return NULL;
}

/* Of one that gets no new flows: may it keep those that it has, and until when? */
static void drain(const struct balance_writer *writer, struct candidate *candidate, const struct balance_rows *stored, int64_t now_s)
{
    struct balance_member *decision = &candidate->decision;
    const struct balance_member *before = find_stored(stored, decision->member_id);

    decision->state = MEMBER_DRAINS;
    if (candidate->member->weight > 0)
        return; /* A backup that is not needed, or out of sight: it may serve again. */
    if (before && before->state != MEMBER_SERVES && before->has_deadline) {
        decision->has_deadline = true;
        decision->drain_until_s = before->drain_until_s;
    } else if (writer->drain_s > 0) {
        decision->has_deadline = true;
        decision->drain_until_s = now_s + writer->drain_s + 1; /* 'now_s' is up to a second ago. */
    }
    if (decision->has_deadline && decision->drain_until_s <= now_s)
        decision->state = MEMBER_IS_DOWN;
}

/* Returns how many serve. */
static size_t judge(const struct balance_writer *writer, struct candidate *list, size_t n, const struct balance_rows *stored, int64_t now_s)
{
    size_t n_serving = 0;

    for (unsigned choice = 0; choice < 4 && n_serving == 0; choice++) /* Seen ones, then silent ones; of both those that are no backups first. */
        for (size_t i = 0; i < n; i++) {
            const struct pool_member *member = list[i].member;
            bool serves = !list[i].is_down && member->weight > 0 && list[i].is_silent == (choice >= 2) && member->backup == (choice % 2);

            list[i].decision.state = serves ? MEMBER_SERVES : MEMBER_IS_DOWN;
            n_serving += serves;
        }
    for (size_t i = 0; i < n; i++)
        if (list[i].decision.state != MEMBER_SERVES && !list[i].is_down)
            drain(writer, &list[i], stored, now_s);
    return n_serving;
}

/* --- The table. --- */

static uint64_t deadline_ms(const struct balance_member *decision, uint64_t now_ms, int64_t now_s)
{
    return !decision->has_deadline ? BALANCE_NEVER : now_ms + (uint64_t)MAX(decision->drain_until_s - now_s, 0) * 1000;
}

static enum balance_size size_of(const struct candidate *list, size_t n)
{
    struct balance_census census = {0};

    for (size_t i = 0; i < n; i++)
        balance_census_add(&census, list[i].member);
    return balance_census_size(&census);
}

static int new_table(struct pool_state *state, enum balance_size size)
{
    uint64_t lineage;

    random_bytes(&lineage, sizeof(lineage));
    balance_table_free(state->table);
    state->table = NULL;
    return balance_table_new(balance_size_rows(size), lineage >> 1, BALANCE_HISTORY_MS, &state->table, NULL);
}

/* Until it is large enough; flows stay where they are. */
static int grow_table(struct pool_state *state, enum balance_size size)
{
    uint32_t n_rows;
    int r = 0;

    balance_table_rows(state->table, &n_rows);
    for (; r == 0 && balance_size_of_rows(n_rows) < size; n_rows *= BALANCE_GROWTH)
        r = balance_table_grow(state->table, BALANCE_GROWTH, NULL);
    return r;
}

/* While nobody serves the rows stay as they are, so they may name members that are gone: these need a place, too, until somebody takes over. */
static size_t add_gone(struct balance_restored_server *servers, size_t n, const struct balance_row *rows, size_t n_rows, char (*names)[16], size_t n_names)
{
    _cleanup_(freep) bool *is_known = calloc(UINT16_MAX + 1, sizeof(*is_known));
    size_t n_gone = 0;

    if (!is_known)
        return n;
    is_known[BALANCE_NOBODY] = true;
    for (size_t i = 0; i < n; i++)
        is_known[servers[i].index] = true;
    for (size_t i = 0; i < n_rows; i++)
        for (unsigned j = 0; j <= BALANCE_PREVIOUS; j++) {
            uint16_t index = j ? rows[i].previous[j - 1] : rows[i].owner;

            if (is_known[index] || n_gone == n_names)
                continue;
            is_known[index] = true;
            snprintf(names[n_gone], sizeof(names[n_gone]), "gone-%u", index);
            servers[n++] = (struct balance_restored_server){.id = names[n_gone++], .index = index};
        }
    return n;
}

static int restore(struct pool_state *state, const struct balance_rows *stored, uint64_t now_ms, int64_t now_s)
{
    size_t n_rows = stored->n_row_bytes / BALANCE_ROW_BYTES, n = 0;
    _cleanup_(freep) struct balance_row *rows = calloc(n_rows + 1, sizeof(*rows));
    _cleanup_(freep) struct balance_restored_server *servers = calloc(stored->n_members + GONE_MAX, sizeof(*servers));
    _cleanup_(freep) char(*names)[16] = calloc(GONE_MAX, sizeof(*names));
    struct error error = {0};
    int r;

    if (!rows || !servers || !names)
        return -ENOMEM;
    balance_rows_from_bytes(stored->rows, n_rows, rows);
    for (size_t i = 0; i < stored->n_members; i++) {
        const struct balance_member *member = &stored->members[i];

        if (member->index != BALANCE_INDEX_NONE)
            servers[n++] = (struct balance_restored_server){member->member_id, member->index, member->state == MEMBER_SERVES,
                                                            deadline_ms(member, now_ms, now_s)};
    }
    n = add_gone(servers, n, rows, n_rows, names, GONE_MAX);
    r = balance_table_restore(rows, (uint32_t)n_rows, stored->lineage, stored->sequence, BALANCE_HISTORY_MS, servers, n, now_ms, &state->table, &error);
    if (r == -EINVAL)
        log_warning("the rows of pool %s are computed anew: %s: %s", state->id, error.field, error.message);
    return r;
}

/* Makes the table that of the candidates, of whom some serve. */
static int set_table(struct pool_state *state, const struct candidate *list, size_t n, uint64_t now_ms, int64_t now_s)
{
    _cleanup_(freep) struct balance_server *servers = calloc(n + 1, sizeof(*servers));
    enum balance_size size = size_of(list, n);
    size_t n_servers = 0;
    int r = servers ? 0 : -ENOMEM;

    for (size_t i = 0; r == 0 && i < n; i++) {
        const struct balance_member *decision = &list[i].decision;

        if (decision->state != MEMBER_IS_DOWN)
            servers[n_servers++] = (struct balance_server){.id = decision->member_id,
                                                           .weight = decision->state == MEMBER_SERVES ? list[i].member->weight : 0,
                                                           .drain_until_ms = deadline_ms(decision, now_ms, now_s)};
    }
    if (r == 0)
        r = state->table ? grow_table(state, size) : new_table(state, size);
    if (r == 0)
        r = balance_table_set(state->table, servers, n_servers, now_ms, NULL);
    if (r == -E2BIG && (r = new_table(state, size)) == 0) /* No index is free: so many left and came at once. */
        r = balance_table_set(state->table, servers, n_servers, now_ms, NULL);
    return r;
}

/* --- What is stored. --- */

static int fill(struct balance_rows *rows, const struct pool_state *state, const struct candidate *list, size_t n)
{
    rows->members = calloc(n + 1, sizeof(*rows->members));
    if (!rows->members)
        return -ENOMEM;
    rows->n_members = n;
    for (size_t i = 0; i < n; i++) {
        rows->members[i] = list[i].decision;
        if (state->table) /* Of one that is down, too, while no other took over its rows. */
            rows->members[i].index = balance_table_index(state->table, list[i].decision.member_id);
    }
    if (state->table) {
        uint32_t n_rows;
        const struct balance_row *content = balance_table_rows(state->table, &n_rows);

        rows->lineage = balance_table_delta(state->table)->lineage;
        rows->sequence = balance_table_delta(state->table)->sequence;
        rows->n_row_bytes = (size_t)n_rows * BALANCE_ROW_BYTES;
        rows->rows = malloc(rows->n_row_bytes);
        if (!rows->rows)
            return -ENOMEM;
        balance_rows_to_bytes(content, n_rows, rows->rows);
    }
    return 0;
}

static bool is_same(const struct balance_rows *a, const struct balance_rows *b)
{
    static const char *const names[] = {"lineage", "sequence", "members", "rows", "loadbalancer_id"};

    for (size_t i = 0; i < ARRAY_SIZE(names); i++)
        if (!attribute_equal(attribute_find(schema_get(RESOURCE_BALANCE_ROWS)->attributes, names[i]), a, b))
            return false;
    return true;
}

static void submitted(const struct store_result *result, void *context)
{
    struct pool_state *state = context;

    state->writer->n_pending--;
    state->is_pending = false;
    if (result->status == 0) {
        state->revision = result->revision;
    } else {
        balance_table_free(state->table); /* It is ahead of what is stored. */
        state->table = NULL;
        state->is_dirty = true;
        if (result->status != -EAGAIN)
            log_warning("the rows of pool %s: the store did not take a change: %s", state->id, strerror(-result->status));
    }
    if (state->is_dirty) {
        state->is_dirty = false;
        make_dirty(state);
    }
}

/* A pool that changes all the time is written so often and no more; what comes meanwhile is in the next. */
static uint64_t interval_ms(const struct pool_state *state)
{
    uint32_t n_rows = 0;

    if (state->table)
        balance_table_rows(state->table, &n_rows);
    return MAX(BALANCE_INTERVAL_MS, n_rows / BALANCE_ROWS_PER_MS);
}

static void submit(struct pool_state *state, struct store_transaction **transaction)
{
    state->is_pending = true;
    state->writer->n_pending++;
    commits_submit(state->writer->commits, TAKE_PTR(*transaction), submitted, state);
}

static int require(struct store_transaction *transaction, enum resource_kind kind, const char *id, const struct object *object)
{
    char key[REPLICA_KEY_SIZE];

    replica_key(kind, id, key);
    return store_require_revision(transaction, key, strlen(key), object ? object->store_revision : 0);
}

static int put(struct pool_state *state, const struct pool *pool, const struct balance_rows *stored, struct balance_rows *rows, uint64_t now_ms, int64_t now_s)
{
    _cleanup_(store_transaction_freep) struct store_transaction *transaction = NULL;
    struct buffer text = {0};
    char key[REPLICA_KEY_SIZE];
    int r = store_transaction_new(&transaction);

    rows->object.created_at_s = stored ? stored->object.created_at_s : now_s;
    rows->object.updated_at_s = now_s;
    rows->object.revision_number = stored ? stored->object.revision_number + 1 : 0;
    replica_key(RESOURCE_BALANCE_ROWS, state->rows_id, key);
    if (r == 0)
        r = object_write(&rows->object, &text);
    if (r == 0)
        r = require(transaction, RESOURCE_POOL, state->id, &pool->object);
    if (r == 0)
        r = require(transaction, RESOURCE_BALANCE_ROWS, state->rows_id, stored ? &stored->object : NULL);
    if (r == 0)
        r = store_put(transaction, key, strlen(key), text.data, text.size, 0);
    buffer_clear(&text);
    if (r == 0) {
        state->earliest_ms = now_ms + interval_ms(state);
        submit(state, &transaction);
    }
    return r;
}

static int drop(struct pool_state *state, const struct balance_rows *stored)
{
    _cleanup_(store_transaction_freep) struct store_transaction *transaction = NULL;
    char key[REPLICA_KEY_SIZE];
    int r = store_transaction_new(&transaction);

    replica_key(RESOURCE_BALANCE_ROWS, state->rows_id, key);
    if (r == 0)
        r = require(transaction, RESOURCE_POOL, state->id, NULL);
    if (r == 0)
        r = require(transaction, RESOURCE_BALANCE_ROWS, state->rows_id, &stored->object);
    if (r == 0)
        r = store_delete(transaction, key, strlen(key));
    if (r == 0)
        submit(state, &transaction);
    return r;
}

static void state_free(struct pool_state *state)
{
    balance_table_free(state->table);
    free(state);
}

/* When time alone changes something. */
static uint64_t next_change(const struct pool_state *state, const struct candidate *list, size_t n, uint64_t now_ms, int64_t now_s)
{
    uint64_t next_ms = state->table ? balance_table_next_ms(state->table) : BALANCE_NEVER;

    for (size_t i = 0; i < n; i++)
        if (list[i].decision.state == MEMBER_DRAINS)
            next_ms = MIN(next_ms, deadline_ms(&list[i].decision, now_ms, now_s));
    return next_ms;
}

static int look_at(struct pool_state *state, const struct pool *pool, const struct balance_rows *stored, uint64_t now_ms, int64_t now_s)
{
    _cleanup_(object_freep) struct object *object = object_new(RESOURCE_BALANCE_ROWS);
    struct balance_rows *rows = (struct balance_rows *)object;
    size_t n = 0, n_serving;
    _cleanup_(freep) struct candidate *list = list_members(state->writer, state->id, &n);
    int r = object && list ? 0 : -ENOMEM;

    if (r == 0 && state->revision != (stored ? stored->object.store_revision : 0)) { /* Somebody else wrote, or nobody has looked yet. */
        balance_table_free(state->table);
        state->table = NULL;
        state->revision = stored ? stored->object.store_revision : 0;
    }
    if (r == 0 && !state->table && stored && stored->n_row_bytes > 0 && restore(state, stored, now_ms, now_s) == -ENOMEM)
        r = -ENOMEM;
    if (r < 0)
        return r;
    n_serving = judge(state->writer, list, n, stored, now_s);
    if (n_serving > 0)
        r = set_table(state, list, n, now_ms, now_s);
    else if (state->table)
        balance_table_age(state->table, now_ms);
    if (r < 0)
        return r;
    state->next_ms = next_change(state, list, n, now_ms, now_s);
    string_copy(object->id, sizeof(object->id), state->rows_id);
    string_copy(object->project_id, sizeof(object->project_id), pool->object.project_id);
    string_copy(rows->load_balancer_id, sizeof(rows->load_balancer_id), pool->load_balancer_id);
    r = fill(rows, state, list, n);
    if (r < 0 || (stored && is_same(stored, rows)))
        return r;
    return put(state, pool, stored, rows, now_ms, now_s);
}

/* --- The writer. --- */

int balance_writer_new(struct replica *replica, struct commits *commits, int64_t drain_s, struct balance_writer **ret_writer)
{
    struct balance_writer *writer = calloc(1, sizeof(*writer));

    if (!writer)
        return -ENOMEM;
    writer->replica = replica;
    writer->commits = commits;
    writer->drain_s = drain_s;
    writer->listener = (struct replica_listener){.change = changed, .context = writer};
    replica_listen(replica, &writer->listener);
    *ret_writer = writer;
    return 0;
}

void balance_writer_free(struct balance_writer *writer)
{
    if (!writer)
        return;
    HASHMAP_FOREACH(node, &writer->pools)
        state_free(CONTAINER_OF(node, struct pool_state, node));
    hashmap_clear(&writer->pools);
    free(writer);
}

bool balance_writer_is_dirty(const struct balance_writer *writer)
{
    return writer->dirty;
}

void balance_writer_age(struct balance_writer *writer, uint64_t now_ms)
{
    HASHMAP_FOREACH(node, &writer->pools) {
        struct pool_state *state = CONTAINER_OF(node, struct pool_state, node);

        if (now_ms >= state->next_ms)
            make_dirty(state);
    }
}

uint64_t balance_writer_wait_ms(const struct balance_writer *writer, uint64_t now_ms)
{
    uint64_t first_ms = BALANCE_NEVER;

    for (const struct pool_state *state = writer->waiting; state; state = state->next_dirty)
        first_ms = MIN(first_ms, state->earliest_ms);
    if (first_ms == BALANCE_NEVER)
        return first_ms;
    return first_ms > now_ms ? first_ms - now_ms : 0;
}

static void end_waits(struct balance_writer *writer, uint64_t now_ms)
{
    struct pool_state **at = &writer->waiting, *state;

    while ((state = *at)) {
        if (now_ms < state->earliest_ms) {
            at = &state->next_dirty;
            continue;
        }
        *at = state->next_dirty;
        state->next_dirty = writer->dirty;
        writer->dirty = state;
    }
}

void balance_writer_pass(struct balance_writer *writer, uint64_t now_ms, int64_t now_s)
{
    end_waits(writer, now_ms);
    for (size_t n = 0; writer->dirty && n < PASS_MAX; n++) {
        struct pool_state *state = writer->dirty;
        const struct object *pool = replica_get(writer->replica, RESOURCE_POOL, state->id);
        const struct balance_rows *stored = (const struct balance_rows *)replica_get(writer->replica, RESOURCE_BALANCE_ROWS, state->rows_id);
        int r = 0;

        writer->dirty = state->next_dirty;
        if (pool && now_ms < state->earliest_ms) {
            state->next_dirty = writer->waiting;
            writer->waiting = state;
            continue;
        }
        state->is_dirty = false;
        if (pool) {
            r = look_at(state, (const struct pool *)pool, stored, now_ms, now_s);
        } else if (stored) {
            r = drop(state, stored);
        } else {
            hashmap_remove(&writer->pools, &state->node);
            state_free(state);
            continue;
        }
        if (r < 0) {
            log_error("the rows of pool %s stay as they are: %s", state->id, strerror(-r));
            balance_table_free(state->table);
            state->table = NULL;
            state->next_ms = now_ms + 1000;
        }
    }
}
