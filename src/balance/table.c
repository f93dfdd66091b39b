#include "weft/balance/table.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <string.h>

#include "weft/balance/maglev.h"
#include "weft/balance/state.h"

/* A change while it is prepared: the members as they will be.  Until it is made, those that are new can be taken back.
 */
struct request {
    const struct balance_server *servers;
    size_t n_servers;
    size_t n_slots;    /* Room in what is by index. */
    uint16_t *indices; /* Of each of 'servers'. */
    struct members members;
    bool *wanted;         /* By index: is among 'servers'. */
    uint16_t *successors; /* By index. */
    uint64_t *numbers;    /* By index: scratch. */
    struct scratch *scratch;
    struct maglev_walk *walks;
    uint16_t *turns;
    uint32_t *starts;
};

static bool is_prime(uint32_t n)
{
    for (uint32_t divisor = 2; divisor * divisor <= n; divisor++)
        if (n % divisor == 0)
            return false;
    return n >= 2;
}

int balance_table_new(uint32_t n_rows, uint64_t lineage, uint64_t history_ms, struct balance_table **ret_table,
                      struct error *error)
{
    if (n_rows > BALANCE_ROWS_MAX || !is_prime(n_rows))
        return error_set(error, -EINVAL, "rows", "'%" PRIu32 "' is not a prime number from 2 to %d", n_rows,
                         BALANCE_ROWS_MAX);
    return table_allocate(n_rows, lineage, history_ms, ret_table, error);
}

int table_allocate(uint32_t n_rows, uint64_t lineage, uint64_t history_ms, struct balance_table **ret_table, struct error *error)
{
    _cleanup_(balance_table_freep) struct balance_table *table = NULL;

    if (n_rows < 2 || n_rows > BALANCE_ROWS_MAX)
        return error_set(error, -EINVAL, "rows", "'%" PRIu32 "' is not a number from 2 to %d", n_rows, BALANCE_ROWS_MAX);
    table = calloc(1, sizeof *table);
    if (!table)
        return -ENOMEM;
    table->n_rows = n_rows;
    table->history_ms = history_ms;
    table->next_ms = BALANCE_NEVER;
    table->rows = malloc(n_rows * sizeof *table->rows);
    table->lost_ms = calloc(n_rows, sizeof *table->lost_ms);
    table->owners = malloc(n_rows * sizeof *table->owners);
    table->changes = malloc(n_rows * sizeof *table->changes);
    if (!table->rows || !table->lost_ms || !table->owners || !table->changes)
        return -ENOMEM;
    memset(table->rows, 0xff, n_rows * sizeof *table->rows);
    table->delta = (struct balance_delta){.lineage = lineage, .changes = table->changes};
    *ret_table = TAKE_PTR(table);
    return 0;
}

static void members_clear(struct members *members)
{
    free(members->servers);
    free(members->shares);
    free(members->drain_until_ms);
}

void balance_table_free(struct balance_table *table)
{
    if (!table)
        return;
    for (size_t i = 0; i < table->members.n; i++)
        free(table->members.servers[i]);
    members_clear(&table->members);
    hashmap_clear(&table->by_id);
    free(table->rows);
    free(table->lost_ms);
    free(table->owners);
    free(table->changes);
    free(table);
}

static void request_clear(struct request *request)
{
    members_clear(&request->members);
    free(request->indices);
    free(request->wanted);
    free(request->successors);
    free(request->numbers);
    free(request->scratch);
    free(request->walks);
    free(request->turns);
    free(request->starts);
}

static bool is_empty(const struct balance_table *table)
{
    return table->rows[0].owner == BALANCE_NOBODY;
}

/* All memory that a change needs, with the members as they are now, but no weights. */
static int request_prepare(const struct balance_table *table, struct request *request)
{
    const struct members *now = &table->members;
    struct members *next = &request->members;

    request->n_slots = MIN(now->n + request->n_servers, BALANCE_SERVERS_MAX);
    next->servers = calloc(request->n_slots, sizeof *next->servers);
    next->shares = calloc(request->n_slots, sizeof *next->shares);
    next->drain_until_ms = calloc(request->n_slots, sizeof *next->drain_until_ms);
    request->indices = calloc(request->n_servers, sizeof *request->indices);
    request->wanted = calloc(request->n_slots, sizeof *request->wanted);
    request->successors = calloc(request->n_slots, sizeof *request->successors);
    request->numbers = calloc(request->n_slots, sizeof *request->numbers);
    request->scratch = malloc(sizeof *request->scratch + SCRATCH_LISTS * (size_t)table->n_rows * sizeof request->scratch->rows[0]);
    if (!next->servers || !next->shares || !next->drain_until_ms || !request->indices || !request->wanted ||
        !request->successors || !request->numbers || !request->scratch)
        return -ENOMEM;
    if (is_empty(table)) {
        request->walks = calloc(request->n_slots, sizeof *request->walks);
        request->turns = calloc(table->n_rows, sizeof *request->turns);
        request->starts = calloc(table->n_rows + 1, sizeof *request->starts);
        if (!request->walks || !request->turns || !request->starts)
            return -ENOMEM;
    }
    next->n = now->n;
    for (size_t i = 0; i < now->n; i++) {
        next->servers[i] = now->servers[i];
        next->shares[i].held = now->shares[i].target;
    }
    for (size_t i = 0; i < request->n_slots; i++)
        request->successors[i] = (uint16_t)i;
    return 0;
}

static struct server *find(const struct balance_table *table, const char *id)
{
    struct hashmap_node *node = hashmap_find(&table->by_id, id, strlen(id));

    return node ? CONTAINER_OF(node, struct server, by_id) : NULL;
}

static bool is_new(const struct balance_table *table, uint16_t index)
{
    return index >= table->members.n || !table->members.servers[index];
}

/* Gives 'id' the first free index from '*free_index'. */
static int add_server(struct balance_table *table, struct request *request, const char *id, size_t *free_index,
                      struct server **ret_server)
{
    size_t length = strlen(id);
    struct server *server;
    int r;

    while (*free_index < request->n_slots && request->members.servers[*free_index])
        ++*free_index;
    if (*free_index == request->n_slots)
        return -E2BIG;
    server = calloc(1, sizeof *server + length + 1);
    if (!server)
        return -ENOMEM;
    memcpy(server->id, id, length);
    server->index = (uint16_t)*free_index;
    r = hashmap_insert(&table->by_id, &server->by_id, server->id, length);
    if (r < 0) {
        free(server);
        return r;
    }
    request->members.servers[server->index] = server;
    request->members.n = MAX(request->members.n, (size_t)server->index + 1);
    *ret_server = server;
    return 0;
}

static int request_members(struct balance_table *table, struct request *request, struct error *error)
{
    size_t free_index = 0;
    bool some_weight = false;

    for (size_t i = 0; i < request->n_servers; i++) {
        const struct balance_server *wanted = &request->servers[i];
        size_t length = wanted->id ? strnlen(wanted->id, BALANCE_ID_MAX + 1) : 0;
        struct server *server;
        int r;

        if (length == 0 || length > BALANCE_ID_MAX) {
            error_set(error, -EINVAL, "id", "'%.*s' is not an id of 1 to %d bytes", BALANCE_ID_MAX,
                      length ? wanted->id : "", BALANCE_ID_MAX);
            error_prefix_field(error, "servers[%zu]", i);
            return -EINVAL;
        }
        server = find(table, wanted->id);
        if (server && request->wanted[server->index]) {
            error_set(error, -EEXIST, "id", "'%s' is given twice", wanted->id);
            error_prefix_field(error, "servers[%zu]", i);
            return -EEXIST;
        }
        if (!server) {
            r = add_server(table, request, wanted->id, &free_index, &server);
            if (r < 0)
                return r == -E2BIG
                           ? error_set(error, r, "servers",
                                       "no index is free for '%s': servers that leave give theirs up after the change",
                                       wanted->id)
                           : r;
        }
        request->indices[i] = server->index;
        request->wanted[server->index] = true;
        request->members.shares[server->index].weight = wanted->weight;
        request->members.drain_until_ms[server->index] = wanted->drain_until_ms;
        some_weight |= wanted->weight > 0;
    }
    return some_weight
               ? 0
               : error_set(error, -EINVAL, "servers", "none of the %zu has a weight above 0", request->n_servers);
}

/* Lets new servers hold the rows of those that they replace. */
static int request_successors(const struct balance_table *table, struct request *request, struct error *error)
{
    for (size_t i = 0; i < request->n_servers; i++) {
        const char *replaced = request->servers[i].replaces;
        uint16_t index = request->indices[i];
        struct server *old = replaced ? find(table, replaced) : NULL;
        struct share *shares = request->members.shares;
        int r = 0;

        if (!replaced || !is_new(table, index))
            continue;
        if (!old || is_new(table, old->index))
            r = error_set(error, -ENOENT, "replaces", "there is no server '%.*s'", BALANCE_ID_MAX, replaced);
        else if (shares[old->index].weight > 0)
            r = error_set(error, -EINVAL, "replaces", "'%s' keeps the weight %u", replaced, shares[old->index].weight);
        else if (request->successors[old->index] != old->index)
            r = error_set(error, -EEXIST, "replaces", "'%s' is replaced twice", replaced);
        if (r < 0) {
            error_prefix_field(error, "servers[%zu]", i);
            return r;
        }
        request->successors[old->index] = index;
        shares[index].held = shares[old->index].held;
        shares[old->index].held = 0;
    }
    return 0;
}

/* Frees the servers of 'members' that came with the request (it failed), or those that it does not want (it is done).
 */
static void drop_servers(struct balance_table *table, struct members *members, const struct request *request,
                         bool failed)
{
    for (size_t i = 0; i < members->n; i++)
        if (members->servers[i] && (failed ? is_new(table, (uint16_t)i) : !request->wanted[i])) {
            hashmap_remove(&table->by_id, &members->servers[i]->by_id);
            free(members->servers[i]);
            members->servers[i] = NULL;
        }
    while (members->n > 0 && !members->servers[members->n - 1])
        members->n--;
}

static void choose_owners(struct balance_table *table, struct request *request)
{
    struct members *members = &request->members;

    shares_divide(members->shares, members->n, table->n_rows, request->numbers);
    if (!is_empty(table)) {
        change_plan(table, members, request->successors, (int32_t *)request->numbers, request->scratch);
        return;
    }
    for (size_t i = 0; i < members->n; i++)
        request->walks[i] = maglev_walk(members->servers[i]->id, table->n_rows);
    maglev_fill(members->shares, request->walks, members->n, table->n_rows, table->owners, request->turns,
                request->starts);
}

int balance_table_set(struct balance_table *table, const struct balance_server *servers, size_t n_servers,
                      uint64_t now_ms, struct error *error)
{
    _cleanup_(request_clear) struct request request = {.servers = servers, .n_servers = n_servers};
    size_t limit = MIN(BALANCE_SERVERS_MAX, table->n_rows);
    int r;

    if (n_servers == 0)
        return error_set(error, -EINVAL, "servers", "there is none");
    if (n_servers > limit)
        return error_set(error, -E2BIG, "servers", "%zu are too many for %" PRIu32 " rows: at most %zu", n_servers,
                         table->n_rows, limit);
    r = request_prepare(table, &request);
    if (r == 0)
        r = request_members(table, &request, error);
    if (r == 0)
        r = request_successors(table, &request, error);
    if (r < 0) {
        drop_servers(table, &request.members, &request, true);
        return r;
    }
    choose_owners(table, &request);
    change_apply(table, &request.members, now_ms, request.scratch);
    drop_servers(table, &request.members, &request, false);
    members_clear(&table->members);
    table->members = request.members;
    request.members = (struct members){};
    return 0;
}

void balance_table_age(struct balance_table *table, uint64_t now_ms)
{
    table->delta.n_changes = table->delta.n_moved = 0;
    if (now_ms < table->next_ms)
        return;
    for (uint32_t row = 0; row < table->n_rows; row++)
        table->owners[row] = table->rows[row].owner;
    change_apply(table, &table->members, now_ms, NULL); /* It is that late. */
}

uint64_t balance_table_next_ms(const struct balance_table *table)
{
    return table->next_ms;
}

void balance_table_set_history(struct balance_table *table, uint64_t history_ms)
{
    if (table->history_ms != history_ms)
        table->next_ms = 0; /* What is over by then may be anywhere. */
    table->history_ms = history_ms;
}

const uint64_t *balance_table_lost_ms(const struct balance_table *table, uint32_t row)
{
    return table->lost_ms[row];
}

void balance_table_set_lost_ms(struct balance_table *table, uint32_t row, const uint64_t lost_ms[BALANCE_PREVIOUS])
{
    memcpy(table->lost_ms[row], lost_ms, sizeof table->lost_ms[row]);
    table->next_ms = 0;
}

const struct balance_delta *balance_table_delta(const struct balance_table *table)
{
    return &table->delta;
}

const struct balance_row *balance_table_rows(const struct balance_table *table, uint32_t *ret_n_rows)
{
    *ret_n_rows = table->n_rows;
    return table->rows;
}

uint16_t balance_table_index(const struct balance_table *table, const char *id)
{
    const struct server *server = find(table, id);

    return server ? server->index : BALANCE_NOBODY;
}

const char *balance_table_id(const struct balance_table *table, uint16_t index)
{
    return index < table->members.n && table->members.servers[index] ? table->members.servers[index]->id : NULL;
}
