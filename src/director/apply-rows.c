/* Services of hash schedulers: rows by the balancer (weft/balance), who owns which. */
#include "weft/director/apply-parts.h"

#include <errno.h>
#include <string.h>

/* How many rows: enough that a server's share is within a few percent, and no more, since ten thousand services have them. */
static const uint32_t row_counts[] = {1021, 4093, 16381, 65537, 262139};
#define ROWS_PER_SERVER 64
#define ROWS_PER_SERVER_MIN 8 /* With fewer the table is made anew, and flows lose their servers. */

uint32_t rows_for(size_t n_servers)
{
    for (size_t i = 0; i < ARRAY_SIZE(row_counts) - 1; i++)
        if (n_servers * ROWS_PER_SERVER <= row_counts[i])
            return row_counts[i];
    return row_counts[ARRAY_SIZE(row_counts) - 1];
}

bool rows_is_count(uint32_t n_rows)
{
    for (size_t i = 0; i < ARRAY_SIZE(row_counts); i++)
        if (row_counts[i] == n_rows)
            return true;
    return false;
}

uint32_t blocks_for(uint32_t n_rows)
{
    return (n_rows + LB_ROWS_BLOCK - 1) >> LB_ROWS_SHIFT;
}

static void balance_id(const struct real_server *server, char text[SERVICE_TEXT_SIZE])
{
    real_server_format(server, text);
}

/* A new table where there is none, or where the one that is there has become too small. */
static int fit_rows(const struct task *task, struct applied_service *service, size_t n_servers)
{
    uint32_t n_rows = 0;

    if (service->rows) {
        balance_table_rows(service->rows, &n_rows);
        if (n_servers * ROWS_PER_SERVER_MIN <= n_rows)
            return 0;
        balance_table_free(service->rows);
        service->rows = NULL;
    }
    service->sequence = 0;
    return balance_table_new(rows_for(n_servers), ++task->applied->lineage, service->history_ms, &service->rows, task->error);
}

/* Of a server without a share all rows may be forgotten at once, the service's time after it lost it. */
static uint64_t drain_until(const struct task *task, const struct applied_service *service, const struct planned_server *planned, uint32_t share)
{
    struct applied_server *server = applied_find_server(service, planned->server);

    if (share)
        server->drained_ms = 0;
    else if (!server->drained_ms)
        server->drained_ms = task->now_ms;
    return service->history_ms == BALANCE_NEVER ? BALANCE_NEVER : server->drained_ms + service->history_ms;
}

/* The share of rows: the weight, and of a server that refuses the one that it had, so that its rows stay.  The member keeps it, for a restart too. */
static uint32_t share_of(const struct task *task, const struct applied_service *service, const struct planned_service *planned, size_t i)
{
    const struct planned_server *server = &planned->servers[i];
    char id[SERVICE_TEXT_SIZE];
    uint16_t position;

    if (!service->rows || !server_refuses(planned, server))
        return server->weight;
    balance_id(server->server, id);
    position = balance_table_index(service->rows, id);
    if (position == BALANCE_NOBODY || position >= service->n_members)
        return 0;
    return task->applied->tables->members[service->first_member + position].weight;
}

struct asked { /* Of the balancer. */
    struct balance_server *servers;
    char (*ids)[SERVICE_TEXT_SIZE];
    size_t n;
};

/* The servers in use; shares beyond the balancer's 16 bits are scaled.  False: none has a share. */
static bool ask(const struct task *task, const struct applied_service *service, const struct planned_service *planned, const uint32_t *shares,
                struct asked *ret)
{
    uint32_t heaviest = 0;

    for (size_t i = 0; i < planned->n_servers; i++)
        if (planned->servers[i].is_used)
            heaviest = MAX(heaviest, shares[i]);
    ret->n = 0;
    for (size_t i = 0; i < planned->n_servers && heaviest; i++) {
        uint64_t weight = shares[i];

        if (!planned->servers[i].is_used)
            continue;
        if (heaviest > UINT16_MAX && weight)
            weight = MAX(weight * UINT16_MAX / heaviest, 1);
        balance_id(planned->servers[i].server, ret->ids[ret->n]);
        ret->servers[ret->n] = (struct balance_server){ret->ids[ret->n], (uint16_t)weight, drain_until(task, service, &planned->servers[i], shares[i]), NULL};
        ret->n++;
    }
    return heaviest;
}

/* Gives the balancer the servers.  Returns how many rows there are now, 0 without any server to have them, or -errno. */
static int64_t set_rows(const struct task *task, struct applied_service *service, const struct planned_service *planned, uint32_t *shares)
{
    _cleanup_(freep) struct balance_server *servers = calloc(planned->n_servers + 1, sizeof(*servers));
    _cleanup_(freep) char(*ids)[SERVICE_TEXT_SIZE] = calloc(planned->n_servers + 1, sizeof(*ids));
    struct asked asked = {servers, ids, 0};
    uint32_t n_rows;
    int result;

    if (!servers || !ids)
        return -ENOMEM;
    result = rows_take_shares(task, service, planned, shares);
    if (result < 0)
        return result;
    if (!ask(task, service, planned, shares, &asked))
        return 0;
    result = rows_rebase(task, service, servers, asked.n);
    if (result == 0)
        result = fit_rows(task, service, asked.n);
    if (result < 0)
        return result;
    balance_table_set_history(service->rows, service->history_ms);
    result = balance_table_set(service->rows, servers, asked.n, task->now_ms, task->error);
    if (result < 0)
        return result;
    balance_table_rows(service->rows, &n_rows);
    return n_rows;
}

static struct lb_row row_of(const struct balance_row *row)
{
    return (struct lb_row){row->owner, {row->previous[0], row->previous[1], row->previous[2]}};
}

/* The rows' own blocks.  Returns 1 if they are new ones, in which nobody reads yet, 0 or -errno. */
static int place_rows(const struct task *task, struct applied_service *service, uint32_t n_rows)
{
    uint32_t n_blocks = blocks_for(n_rows), first;

    if (service->n_blocks == n_blocks)
        return 0;
    first = ranges_take(&task->applied->blocks, n_blocks);
    if (first == RANGE_NONE)
        return places_missing(task, "row");
    places_leave(task->applied, &task->applied->blocks, service->first_block, service->n_blocks);
    service->first_block = first;
    service->n_blocks = n_blocks;
    return 1;
}

static void write_rows(const struct task *task, struct applied_service *service, bool all)
{
    const struct balance_delta *delta = balance_table_delta(service->rows);
    struct lb_tables *tables = task->applied->tables;
    uint32_t n_rows;
    const struct balance_row *rows = balance_table_rows(service->rows, &n_rows);

    if (all || (delta->sequence != service->sequence && delta->sequence != service->sequence + 1))
        for (uint32_t row = 0; row < n_rows; row++)
            lb_write_row(tables, service->first_block, row, row_of(&rows[row]));
    else if (delta->sequence != service->sequence)
        for (size_t i = 0; i < delta->n_changes; i++)
            lb_write_row(tables, service->first_block, delta->changes[i].row, row_of(&delta->changes[i].content));
    if (delta->sequence != service->sequence && delta->n_moved) {
        bool was_rebased = service->sequence == SEQUENCE_REBASED && service->moved_ms == task->now_ms; /* Rows moved by that, too. */

        service->n_moved = MIN((was_rebased ? service->n_moved : 0) + (uint32_t)delta->n_moved, n_rows); /* One may have moved twice. */
        service->moved_ms = task->now_ms;
    }
    service->sequence = delta->sequence;
}

/* Servers by the balancer's index. */
static int write_members(const struct task *task, struct applied_service *service, const struct planned_service *planned, const uint32_t *shares)
{
    uint32_t n = 0;

    for (size_t i = 0; i < planned->n_servers; i++) {
        char id[SERVICE_TEXT_SIZE];

        if (!planned->servers[i].is_used)
            continue;
        balance_id(planned->servers[i].server, id);
        n = MAX(n, balance_table_index(service->rows, id) + 1u);
    }
    if (n > service->n_members) {
        uint32_t wanted = (uint32_t)places_for_members(n), first = ranges_take(&task->applied->members, wanted);

        if (first == RANGE_NONE)
            return places_missing(task, "server");
        for (uint32_t i = 0; i < service->n_members; i++) /* Of who leaves, too: its rows have not moved yet. */
            task->applied->tables->members[first + i] = task->applied->tables->members[service->first_member + i];
        for (uint32_t i = service->n_members; i < wanted; i++)
            task->applied->tables->members[first + i] = (struct lb_member){.server = LB_NONE};
        places_leave(task->applied, &task->applied->members, service->first_member, service->n_members);
        service->first_member = first;
        service->n_members = wanted;
    }
    for (size_t i = 0; i < planned->n_servers; i++) {
        struct lb_member *member;
        char id[SERVICE_TEXT_SIZE];

        if (!planned->servers[i].is_used)
            continue;
        balance_id(planned->servers[i].server, id);
        member = &task->applied->tables->members[service->first_member + balance_table_index(service->rows, id)];
        member->weight = shares[i];
        __atomic_store_n(&member->server, applied_find_server(service, planned->servers[i].server)->number, __ATOMIC_RELEASE);
    }
    return 0;
}

/* After no row names them: positions of servers that left. */
static void clear_members(const struct task *task, struct applied_service *service)
{
    struct lb_member *members = &task->applied->tables->members[service->first_member];

    for (uint32_t i = 0; i < service->n_members; i++)
        if (!balance_table_id(service->rows, (uint16_t)i))
            __atomic_store_n(&members[i].server, LB_NONE, __ATOMIC_RELEASE);
}

/* What is referred to first, what refers last: rows in blocks that nobody reads before the service says where they are; rows that are read
 * after the service knows all the members that they name. */
int rows_apply(const struct task *task, struct applied_service *service, const struct planned_service *planned)
{
    _cleanup_(freep) uint32_t *shares = calloc(planned->n_servers + 1, sizeof(*shares));
    bool are_new = false;
    int64_t n_rows;
    int result;

    if (!shares)
        return -ENOMEM;
    for (size_t i = 0; i < planned->n_servers; i++)
        shares[i] = share_of(task, service, planned, i);
    service->history_ms = planned->service->history_s ? planned->service->history_s * 1000ull : BALANCE_NEVER;
    n_rows = set_rows(task, service, planned, shares);
    result = (int)MIN(n_rows, 0);
    if (n_rows > 0)
        result = write_members(task, service, planned, shares);
    if (n_rows > 0 && result == 0) {
        result = place_rows(task, service, (uint32_t)n_rows);
        are_new = result > 0;
    }
    if (are_new)
        write_rows(task, service, true);
    if (result >= 0)
        result = service_write(task, service, planned, (uint32_t)n_rows, 0);
    if (result == 0 && n_rows > 0 && !are_new)
        write_rows(task, service, false);
    if (result == 0 && n_rows > 0)
        clear_members(task, service);
    return result;
}

void applied_age(struct applied *applied, uint64_t now_ms)
{
    const struct task task = {.applied = applied, .now_ms = now_ms};

    HASHMAP_FOREACH(node, &applied->services) {
        struct applied_service *service = CONTAINER_OF(node, struct applied_service, by_key);

        /* Where a change has failed, the next try has all of it. */
        if (!service->rows || !service->content.n_rows || service->sequence != balance_table_delta(service->rows)->sequence)
            continue;
        balance_table_age(service->rows, now_ms);
        write_rows(&task, service, false);
    }
}

uint32_t applied_rows_of(const struct applied_service *service, const struct virtual_service *virtual, uint32_t *ret)
{
    const struct balance_row *rows;
    uint32_t n_rows = 0;
    _cleanup_(freep) uint32_t *by_index = NULL;

    memset(ret, 0, virtual->n_servers * sizeof(*ret));
    if (!service->rows || !service->content.n_rows || !(by_index = calloc(service->n_members + 1, sizeof(*by_index))))
        return 0;
    rows = balance_table_rows(service->rows, &n_rows);
    for (uint32_t i = 0; i < n_rows; i++)
        by_index[MIN(rows[i].owner, service->n_members)]++;
    for (size_t i = 0; i < virtual->n_servers; i++) {
        char id[SERVICE_TEXT_SIZE];
        uint16_t index;

        balance_id(&virtual->servers[i], id);
        index = balance_table_index(service->rows, id);
        ret[i] = index == BALANCE_NOBODY ? 0 : by_index[index];
    }
    return n_rows;
}

/* ---- taken over ------------------------------------------------------------------------------------------------------------------------ */

struct member_ids {
    struct balance_restored_server *servers;
    char (*ids)[SERVICE_TEXT_SIZE];
    bool *is_member; /* By position. */
    size_t n;
};

static void find_members(const struct applied *applied, const struct applied_service *service, struct member_ids *ret)
{
    for (uint32_t position = 0; position < service->n_members; position++) {
        const struct applied_server *server = applied_member(applied, service, position);
        struct real_server real = {0};

        if (!server)
            continue;
        real.address = server->id.address;
        real.port = server->id.port;
        balance_id(&real, ret->ids[ret->n]);
        ret->servers[ret->n] = (struct balance_restored_server){
            .id = ret->ids[ret->n], .index = (uint16_t)position, .drain_until_ms = BALANCE_NEVER,
            .weight = (uint16_t)MIN(applied->tables->members[service->first_member + position].weight, UINT16_MAX)};
        ret->is_member[position] = true;
        ret->n++;
    }
}

/* Of previous owners only those who still are members, none twice. */
static struct balance_row restored_row(const struct lb_row *row, const bool *is_member, uint32_t n_members)
{
    struct balance_row restored = {row->owner, {BALANCE_NOBODY, BALANCE_NOBODY, BALANCE_NOBODY}};
    size_t n = 0;

    for (size_t i = 0; i < LB_PREVIOUS; i++) {
        uint16_t previous = row->previous[i];
        bool is_known = previous >= n_members || !is_member[previous] || previous == row->owner;

        for (size_t j = 0; j < n; j++)
            is_known |= restored.previous[j] == previous;
        if (!is_known)
            restored.previous[n++] = previous;
    }
    return restored;
}

int rows_restore(struct applied *applied, struct applied_service *service, uint64_t now_ms)
{
    uint32_t n_rows = service->content.n_rows;
    _cleanup_(freep) struct balance_row *rows = calloc(n_rows + 1, sizeof(*rows));
    _cleanup_(freep) struct balance_restored_server *servers = calloc(service->n_members + 1, sizeof(*servers));
    _cleanup_(freep) char(*ids)[SERVICE_TEXT_SIZE] = calloc(service->n_members + 1, sizeof(*ids));
    _cleanup_(freep) bool *is_member = calloc(service->n_members + 1, sizeof(*is_member));
    struct member_ids members = {.servers = servers, .ids = ids, .is_member = is_member};
    int result;

    if (!rows || !servers || !ids || !is_member)
        return -ENOMEM;
    find_members(applied, service, &members);
    for (uint32_t i = 0; i < n_rows; i++) {
        struct lb_row row = applied->tables->rows[service->first_block + (i >> LB_ROWS_SHIFT)].row[i & (LB_ROWS_BLOCK - 1)];

        rows[i] = restored_row(&row, is_member, service->n_members);
    }
    result = balance_table_restore(rows, n_rows, ++applied->lineage, 1, BALANCE_NEVER, servers, members.n, now_ms, &service->rows, NULL);
    service->sequence = result == 0;
    return result == -ENOMEM ? result : 0;
}
