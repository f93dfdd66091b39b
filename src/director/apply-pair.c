/* Rows that a pair of directors has in common: a hash service's rows by who owns them, and laying out one's own on those of the other one. */
#include "weft/director/apply-parts.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "weft/director/little-endian.h"

#define HEAD_SIZE 8
#define SERVER_SIZE 18

/* ---- rows as bytes ------------------------------------------------------------------------------------------------------------------- */

static int compare_servers(const void *a, const void *b)
{
    const struct applied_server *const *first = a, *const *second = b;

    return memcmp(&(*first)->id, &(*second)->id, sizeof((*first)->id));
}

static const char *text_of(const struct ip_address *address, uint16_t port, char text[SERVICE_TEXT_SIZE])
{
    const struct real_server real = {.address = *address, .port = port};

    return real_server_format(&real, text);
}

static uint16_t index_of(const struct applied_service *service, const struct applied_server *server)
{
    struct ip_address address = server->id.address;
    char text[SERVICE_TEXT_SIZE];

    return balance_table_index(service->rows, text_of(&address, server->id.port, text));
}

/* Those that own rows, in order; 'places' gets the place of each by its index.  How many, or -EINVAL: some row's owner is none of the service. */
static ssize_t find_owners(const struct applied_service *service, struct applied_server **ret, uint32_t *places)
{
    const struct balance_row *rows;
    uint32_t n_rows, n_owners = 0;
    size_t n = 0;

    rows = balance_table_rows(service->rows, &n_rows);
    for (uint32_t row = 0; row < n_rows; row++) {
        if (rows[row].owner >= service->n_members)
            return -EINVAL;
        n_owners += !places[rows[row].owner];
        places[rows[row].owner] = 1;
    }
    HASHMAP_FOREACH(node, &service->servers) {
        struct applied_server *server = CONTAINER_OF(node, struct applied_server, by_id);
        uint16_t index = index_of(service, server);

        if (index < service->n_members && places[index])
            ret[n++] = server;
    }
    qsort(ret, n, sizeof(ret[0]), compare_servers);
    for (size_t i = 0; i < n; i++)
        places[index_of(service, ret[i])] = (uint32_t)i;
    return n == n_owners ? (ssize_t)n : -EINVAL;
}

int applied_rows_encode(const struct applied_service *service, uint8_t **ret, uint32_t *ret_size)
{
    _cleanup_(freep) struct applied_server **owners = calloc(service->servers.n_nodes + 1, sizeof(struct applied_server *));
    _cleanup_(freep) uint32_t *places = calloc(service->n_members + 1, sizeof(*places));
    _cleanup_(freep) uint8_t *bytes = NULL;
    const struct balance_row *rows;
    uint32_t n_rows;
    ssize_t n;

    if (!owners || !places)
        return -ENOMEM;
    if (!service->rows || !service->content.n_rows)
        return -ENODATA;
    rows = balance_table_rows(service->rows, &n_rows);
    n = find_owners(service, owners, places);
    if (n < 0)
        return (int)n;
    *ret_size = HEAD_SIZE + (uint32_t)n * SERVER_SIZE + n_rows * 2;
    bytes = malloc(*ret_size);
    if (!bytes)
        return -ENOMEM;
    put_le(bytes, n_rows, 4);
    put_le(bytes + 4, (uint32_t)n, 4);
    for (ssize_t i = 0; i < n; i++) {
        memcpy(bytes + HEAD_SIZE + i * SERVER_SIZE, owners[i]->id.address.bytes, 16);
        put_le(bytes + HEAD_SIZE + i * SERVER_SIZE + 16, owners[i]->id.port, 2);
    }
    for (uint32_t row = 0; row < n_rows; row++)
        put_le(bytes + HEAD_SIZE + (uint32_t)n * SERVER_SIZE + row * 2, places[rows[row].owner], 2);
    *ret = TAKE_PTR(bytes);
    return 0;
}

/* ---- one's own rows on those of the other one ------------------------------------------------------------------------------------------- */

struct known { /* Servers that the table is to begin with. */
    struct balance_restored_server *servers;
    char (*ids)[SERVICE_TEXT_SIZE];
    size_t n;
    bool *is_taken; /* Indices. */
    uint32_t next;  /* Where a free one is looked for. */
};

static void know(struct known *known, const char *id, uint16_t index)
{
    string_copy(known->ids[known->n], SERVICE_TEXT_SIZE, id);
    known->servers[known->n] = (struct balance_restored_server){.id = known->ids[known->n], .index = index, .weight = 1, .drain_until_ms = BALANCE_NEVER};
    known->is_taken[index] = true;
    known->n++;
}

static bool is_sound(const struct applied_base *base)
{
    uint32_t n_rows, n_servers;

    if (base->size < HEAD_SIZE)
        return false;
    n_rows = (uint32_t)get_le(base->bytes, 4);
    n_servers = (uint32_t)get_le(base->bytes + 4, 4);
    return rows_is_count(n_rows) && n_servers && n_servers < BALANCE_SERVERS_MAX &&
           base->size == HEAD_SIZE + n_servers * SERVER_SIZE + n_rows * 2;
}

/* Servers keep the index that they have here, so that rows which are read meanwhile never lead to another; those that are new here get one that
 * nobody has.  'indices' gets each by its place in the base.  0 or -EINVAL. */
static int know_owners(const struct applied_service *service, const struct applied_base *base, struct known *known, uint16_t *indices)
{
    uint32_t n_servers = (uint32_t)get_le(base->bytes + 4, 4);

    for (uint32_t i = 0; service->rows && i < service->n_members && i < BALANCE_NOBODY; i++)
        if (balance_table_id(service->rows, (uint16_t)i))
            know(known, balance_table_id(service->rows, (uint16_t)i), (uint16_t)i);
    for (uint32_t i = 0; i < n_servers; i++) {
        const uint8_t *bytes = base->bytes + HEAD_SIZE + i * SERVER_SIZE;
        struct ip_address address;
        char id[SERVICE_TEXT_SIZE];

        memcpy(address.bytes, bytes, 16);
        text_of(&address, (uint16_t)get_le(bytes + 16, 2), id);
        indices[i] = service->rows ? balance_table_index(service->rows, id) : BALANCE_NOBODY;
        if (indices[i] != BALANCE_NOBODY && known->is_taken[indices[i]])
            continue;
        while (known->next < BALANCE_NOBODY && known->is_taken[known->next])
            known->next++;
        if (known->next == BALANCE_NOBODY)
            return -EINVAL;
        indices[i] = (uint16_t)known->next;
        know(known, id, indices[i]);
    }
    return 0;
}

static int read_rows(const struct applied_base *base, const uint16_t *indices, struct balance_row *ret)
{
    uint32_t n_rows = (uint32_t)get_le(base->bytes, 4), n_servers = (uint32_t)get_le(base->bytes + 4, 4);
    const uint8_t *places = base->bytes + HEAD_SIZE + n_servers * SERVER_SIZE;

    for (uint32_t row = 0; row < n_rows; row++) {
        uint32_t place = (uint32_t)get_le(places + row * 2, 2);

        if (place >= n_servers)
            return -EINVAL;
        ret[row] = (struct balance_row){indices[place], {BALANCE_NOBODY, BALANCE_NOBODY, BALANCE_NOBODY}};
    }
    return 0;
}

static uint32_t count_moved(const struct applied_service *service, const struct balance_row *rows, uint32_t n_rows)
{
    const struct balance_row *before;
    uint32_t n_before, n_moved = 0;

    if (!service->rows)
        return 0;
    before = balance_table_rows(service->rows, &n_before);
    if (n_before != n_rows)
        return n_rows;
    for (uint32_t row = 0; row < n_rows; row++)
        n_moved += before[row].owner != rows[row].owner;
    return n_moved;
}

/* By index: who may get rows here; and who gets one at least, whatever others hold. */
struct planned_owner {
    bool is_planned, has_share;
};

/* 0 or -ENOMEM. */
static int find_planned(const struct known *known, const struct balance_server *servers, size_t n, uint32_t n_rows, struct planned_owner *ret)
{
    _cleanup_(freep) struct hashmap_node *nodes = calloc(known->n + 1, sizeof(*nodes));
    _cleanup_(hashmap_clear) struct hashmap by_id = {0};
    uint64_t sum = 0;
    int result = nodes ? 0 : -ENOMEM;

    for (size_t i = 0; result == 0 && i < known->n; i++)
        result = hashmap_insert(&by_id, &nodes[i], known->ids[i], strlen(known->ids[i]));
    for (size_t i = 0; i < n; i++)
        sum += servers[i].weight;
    for (size_t i = 0; result == 0 && i < n; i++) {
        const struct hashmap_node *node = hashmap_find(&by_id, servers[i].id, strlen(servers[i].id));

        if (node && servers[i].weight)
            ret[known->servers[node - nodes].index] = (struct planned_owner){true, (uint64_t)servers[i].weight * n_rows >= sum};
    }
    return result;
}

/* Where the two are not of one mind about servers, rows stay as they are: those of a server that the other one lacks or finds down, and those that
 * it gives to one which is out here. */
static void keep_own(const struct applied_service *service, const bool *is_of_base, const struct planned_owner *planned, struct balance_row *rows, uint32_t n_rows)
{
    const struct balance_row *own;
    uint32_t n_own = 0;

    if (!service->rows)
        return;
    own = balance_table_rows(service->rows, &n_own);
    for (uint32_t row = 0; n_own == n_rows && row < n_rows; row++) {
        uint16_t owner = own[row].owner;

        if ((planned[owner].has_share && !is_of_base[owner]) || (planned[owner].is_planned && !planned[rows[row].owner].is_planned))
            rows[row].owner = owner;
    }
}

/* Those who had a row until now have had it before: connections that began there may still be.  How the rows were before the first base is nothing
 * that the other director ever did. */
static void keep_history(const struct applied_service *service, struct balance_row *rows, uint32_t n_rows)
{
    const struct balance_row *own;
    uint32_t n_own = 0;

    if (!service->rows || !service->base)
        return;
    own = balance_table_rows(service->rows, &n_own);
    for (uint32_t row = 0; n_own == n_rows && row < n_rows; row++) {
        uint16_t before[BALANCE_PREVIOUS + 1] = {own[row].owner, own[row].previous[0], own[row].previous[1], own[row].previous[2]};
        size_t n = 0;

        for (size_t i = 0; i < ARRAY_SIZE(before) && n < BALANCE_PREVIOUS; i++)
            if (before[i] != BALANCE_NOBODY && before[i] != rows[row].owner)
                rows[row].previous[n++] = before[i];
    }
}

static int take_base(const struct task *task, struct applied_service *service, const struct applied_base *base, const struct balance_server *planned, size_t n_planned)
{
    uint32_t n_rows = (uint32_t)get_le(base->bytes, 4), n_moved;
    size_t most = (service->rows ? service->n_members : 0) + (uint32_t)get_le(base->bytes + 4, 4) + 1;
    _cleanup_(freep) struct balance_restored_server *servers = calloc(most, sizeof(*servers));
    _cleanup_(freep) char(*ids)[SERVICE_TEXT_SIZE] = calloc(most, sizeof(*ids));
    _cleanup_(freep) bool *is_taken = calloc(UINT16_MAX + 1, sizeof(*is_taken)), *is_of_base = calloc(UINT16_MAX + 1, sizeof(*is_of_base));
    _cleanup_(freep) struct planned_owner *owners = calloc(UINT16_MAX + 1, sizeof(*owners));
    _cleanup_(freep) uint16_t *indices = calloc(most, sizeof(*indices));
    _cleanup_(freep) struct balance_row *rows = calloc(n_rows, sizeof(*rows));
    struct known known = {.servers = servers, .ids = ids, .is_taken = is_taken};
    struct balance_table *table = NULL;
    int result;

    if (!servers || !ids || !is_taken || !is_of_base || !owners || !indices || !rows)
        return -ENOMEM;
    result = know_owners(service, base, &known, indices);
    if (result == 0)
        result = read_rows(base, indices, rows);
    if (result == 0)
        result = find_planned(&known, planned, n_planned, n_rows, owners);
    if (result < 0)
        return result;
    for (uint32_t i = 0; i < (uint32_t)get_le(base->bytes + 4, 4); i++)
        is_of_base[indices[i]] = true;
    keep_own(service, is_of_base, owners, rows, n_rows);
    keep_history(service, rows, n_rows);
    result = balance_table_restore(rows, n_rows, ++task->applied->lineage, 1, BALANCE_NEVER, servers, known.n, task->now_ms, &table, NULL);
    if (result < 0)
        return result;
    n_moved = count_moved(service, rows, n_rows);
    if (n_moved) {
        service->n_moved = n_moved;
        service->moved_ms = task->now_ms;
    }
    balance_table_free(service->rows);
    service->rows = table;
    service->sequence = SEQUENCE_REBASED;
    return 0;
}

/* FNV-1a, of who is to have rows and how many. */
static uint64_t plan_of(const struct balance_server *servers, size_t n)
{
    uint64_t hash = 14695981039346656037ull;

    for (size_t i = 0; i < n; i++) {
        for (const char *c = servers[i].id; *c; c++)
            hash = (hash ^ (uint8_t)*c) * 1099511628211ull;
        hash = (hash ^ servers[i].weight) * 1099511628211ull + 1;
    }
    return hash;
}

int rows_rebase(const struct task *task, struct applied_service *service, const struct balance_server *servers, size_t n)
{
    const struct applied *applied = task->applied;
    struct applied_base base = {0};
    uint64_t plan;
    int result;

    if (!applied->base_of || !applied->base_of(&service->key, &base, applied->base_context) || !is_sound(&base)) {
        service->base = 0;
        return 0;
    }
    plan = plan_of(servers, n);
    if (service->rows && service->base == base.digest && service->base_plan == plan)
        return 0;
    result = take_base(task, service, &base, servers, n);
    if (result == -ENOMEM)
        return result;
    service->base = base.digest;
    service->base_plan = plan;
    return 0;
}

void applied_follow(struct applied *applied, applied_base_of base_of, void *context)
{
    applied->base_of = base_of;
    applied->base_context = context;
}
