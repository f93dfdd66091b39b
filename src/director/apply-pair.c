/* Rows that a pair of directors has in common: a hash service's rows by who owns them, and laying out one's own on those of the other one. */
#include "weft/director/apply-parts.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "weft/director/little-endian.h"

#define HEAD_SIZE 8
#define SERVER_SIZE 18
#define HISTORY_SIZE 10

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

/* Servers by the balancer's index: which are meant, and the place of each. */
struct named {
    struct applied_server **servers; /* In order, the owners before the others. */
    bool *is_owner, *is_previous;
    uint16_t *places;
    uint32_t n_owners, n_more, n_histories;
};

static void clear_named(struct named *named)
{
    free(named->servers);
    free(named->is_owner);
    free(named->is_previous);
    free(named->places);
}

static void mark_named(const struct applied_service *service, const struct balance_row *row, struct named *named)
{
    named->is_owner[row->owner] = true;
    named->n_histories += row->previous[0] != BALANCE_NOBODY;
    for (size_t i = 0; i < BALANCE_PREVIOUS; i++)
        if (row->previous[i] < service->n_members)
            named->is_previous[row->previous[i]] = true;
}

/* Those of 'is_wanted' that have no place yet, behind the 'first' ones.  How many. */
static uint32_t place_named(const struct applied_service *service, const bool *is_wanted, uint32_t first, struct named *named)
{
    uint32_t n = 0;

    HASHMAP_FOREACH(node, &service->servers) {
        struct applied_server *server = CONTAINER_OF(node, struct applied_server, by_id);
        uint16_t index = index_of(service, server);

        if (index < service->n_members && is_wanted[index] && named->places[index] == BALANCE_NOBODY)
            named->servers[first + n++] = server;
    }
    qsort(named->servers + first, n, sizeof(named->servers[0]), compare_servers);
    for (uint32_t i = 0; i < n; i++)
        named->places[index_of(service, named->servers[first + i])] = (uint16_t)(first + i);
    return n;
}

/* Those that own rows, and those that have had some.  0; -EINVAL: some row's owner is none of the service; or -ENOMEM. */
static int find_named(const struct applied_service *service, const struct balance_row *rows, uint32_t n_rows, struct named *ret)
{
    ret->servers = calloc(service->servers.n_nodes + 1, sizeof(struct applied_server *));
    ret->is_owner = calloc(service->n_members + 1, sizeof(bool));
    ret->is_previous = calloc(service->n_members + 1, sizeof(bool));
    ret->places = malloc((service->n_members + 1) * sizeof(uint16_t));
    if (!ret->servers || !ret->is_owner || !ret->is_previous || !ret->places)
        return -ENOMEM;
    memset(ret->places, 0xff, (service->n_members + 1) * sizeof(uint16_t));
    for (uint32_t row = 0; row < n_rows; row++) {
        if (rows[row].owner >= service->n_members)
            return -EINVAL;
        mark_named(service, &rows[row], ret);
    }
    ret->n_owners = place_named(service, ret->is_owner, 0, ret);
    for (uint32_t i = 0; i < service->n_members; i++)
        if (ret->is_owner[i] && ret->places[i] == BALANCE_NOBODY)
            return -EINVAL;
    ret->n_more = place_named(service, ret->is_previous, ret->n_owners, ret);
    return 0;
}

static uint8_t *put_servers(uint8_t *bytes, struct applied_server *const *servers, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++, bytes += SERVER_SIZE) {
        memcpy(bytes, servers[i]->id.address.bytes, 16);
        put_le(bytes + 16, servers[i]->id.port, 2);
    }
    return bytes;
}

static void put_histories(uint8_t *bytes, const struct applied_service *service, const struct balance_row *rows, uint32_t n_rows, const struct named *named)
{
    for (uint32_t row = 0; row < n_rows; row++) {
        if (rows[row].previous[0] == BALANCE_NOBODY)
            continue;
        put_le(bytes, row, 4);
        for (size_t i = 0; i < BALANCE_PREVIOUS; i++) {
            uint16_t index = rows[row].previous[i];

            put_le(bytes + 4 + 2 * i, index < service->n_members ? named->places[index] : BALANCE_NOBODY, 2);
        }
        bytes += HISTORY_SIZE;
    }
}

int applied_rows_encode(const struct applied_service *service, uint8_t **ret, uint32_t *ret_size)
{
    _cleanup_(clear_named) struct named named = {0};
    const struct balance_row *rows;
    uint8_t *bytes;
    uint32_t n_rows;
    int result;

    if (!service->rows || !service->content.n_rows)
        return -ENODATA;
    rows = balance_table_rows(service->rows, &n_rows);
    result = find_named(service, rows, n_rows, &named);
    if (result < 0)
        return result;
    *ret_size = 2 * HEAD_SIZE + (named.n_owners + named.n_more) * SERVER_SIZE + n_rows * 2 + named.n_histories * HISTORY_SIZE;
    *ret = bytes = malloc(*ret_size);
    if (!bytes)
        return -ENOMEM;
    put_le(bytes, n_rows, 4);
    put_le(bytes + 4, named.n_owners, 4);
    bytes = put_servers(bytes + HEAD_SIZE, named.servers, named.n_owners);
    for (uint32_t row = 0; row < n_rows; row++, bytes += 2)
        put_le(bytes, named.places[rows[row].owner], 2);
    put_le(bytes, named.n_more, 4);
    put_le(bytes + 4, named.n_histories, 4);
    bytes = put_servers(bytes + HEAD_SIZE, named.servers + named.n_owners, named.n_more);
    put_histories(bytes, service, rows, n_rows, &named);
    return 0;
}

uint32_t applied_rows_common(const uint8_t *bytes, uint32_t size)
{
    uint64_t common = size < HEAD_SIZE ? size : HEAD_SIZE + get_le(bytes, 4) * 2 + get_le(bytes + 4, 4) * SERVER_SIZE;

    return (uint32_t)MIN(common, size);
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

/* The base, as it was told. */
struct told {
    uint32_t n_rows, n_servers, n_more, n_histories;
    const uint8_t *servers, *owners, *more, *histories;
};

static bool read_base(const struct applied_base *base, struct told *ret)
{
    uint32_t common = applied_rows_common(base->bytes, base->size);

    if (base->size < 2 * HEAD_SIZE || common > base->size - HEAD_SIZE)
        return false;
    *ret = (struct told){.n_rows = (uint32_t)get_le(base->bytes, 4), .n_servers = (uint32_t)get_le(base->bytes + 4, 4),
                         .n_more = (uint32_t)get_le(base->bytes + common, 4), .n_histories = (uint32_t)get_le(base->bytes + common + 4, 4)};
    if (!rows_is_count(ret->n_rows) || !ret->n_servers || ret->n_servers >= BALANCE_SERVERS_MAX || ret->n_more >= BALANCE_SERVERS_MAX - ret->n_servers ||
        ret->n_histories > ret->n_rows)
        return false;
    ret->servers = base->bytes + HEAD_SIZE;
    ret->owners = ret->servers + ret->n_servers * SERVER_SIZE;
    ret->more = base->bytes + common + HEAD_SIZE;
    ret->histories = ret->more + ret->n_more * SERVER_SIZE;
    return base->size == common + HEAD_SIZE + ret->n_more * SERVER_SIZE + ret->n_histories * HISTORY_SIZE;
}

/* Servers keep the index that they have here, so that rows which are read meanwhile never lead to another; those that are new here get one that
 * nobody has.  'indices' gets each by its place in the base.  0 or -EINVAL. */
static int know_servers(const struct applied_service *service, const struct told *told, struct known *known, uint16_t *indices)
{
    for (uint32_t i = 0; service->rows && i < service->n_members && i < BALANCE_NOBODY; i++)
        if (balance_table_id(service->rows, (uint16_t)i))
            know(known, balance_table_id(service->rows, (uint16_t)i), (uint16_t)i);
    for (uint32_t i = 0; i < told->n_servers + told->n_more; i++) {
        const uint8_t *bytes = i < told->n_servers ? told->servers + i * SERVER_SIZE : told->more + (i - told->n_servers) * SERVER_SIZE;
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

static int read_rows(const struct told *told, const uint16_t *indices, struct balance_row *ret)
{
    for (uint32_t row = 0; row < told->n_rows; row++) {
        uint32_t place = (uint32_t)get_le(told->owners + row * 2, 2);

        if (place >= told->n_servers)
            return -EINVAL;
        ret[row] = (struct balance_row){indices[place], {BALANCE_NOBODY, BALANCE_NOBODY, BALANCE_NOBODY}};
    }
    for (uint32_t i = 0; i < told->n_histories; i++) {
        const uint8_t *bytes = told->histories + i * HISTORY_SIZE;
        uint32_t row = (uint32_t)get_le(bytes, 4);

        if (row >= told->n_rows)
            return -EINVAL;
        for (size_t j = 0; j < BALANCE_PREVIOUS; j++) {
            uint32_t place = (uint32_t)get_le(bytes + 4 + 2 * j, 2);

            if (place < told->n_servers + told->n_more) /* Else nobody. */
                ret[row].previous[j] = indices[place];
        }
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

struct history {
    uint16_t previous[BALANCE_PREVIOUS];
    uint64_t lost_ms[BALANCE_PREVIOUS];
    size_t n;
};

static void history_add(struct history *history, uint16_t owner, uint16_t index, uint64_t lost_ms)
{
    bool is_in = index == BALANCE_NOBODY || index == owner || history->n == BALANCE_PREVIOUS;

    for (size_t i = 0; i < history->n; i++)
        is_in = is_in || history->previous[i] == index;
    if (is_in)
        return;
    history->previous[history->n] = index;
    history->lost_ms[history->n++] = lost_ms;
}

/* When an owner before, of whom we are told, lost the row: as it is known here, or now. */
static uint64_t lost_when(const struct balance_row *own, const uint64_t *lost_ms, uint16_t index, uint64_t now_ms)
{
    for (size_t i = 0; own && i < BALANCE_PREVIOUS; i++)
        if (own->previous[i] == index)
            return lost_ms[i];
    return now_ms;
}

/* Who had a row until now, who had it before as the other director says, and as we saw it: connections that began there may still be.  How the rows were
 * here before the first base is nothing that the other director ever did. */
static void keep_history(const struct task *task, const struct applied_service *service, struct balance_row *rows, uint32_t n_rows,
                         uint64_t (*ret_lost_ms)[BALANCE_PREVIOUS])
{
    const struct balance_row *owns = NULL;
    uint32_t n_own = 0;

    if (service->rows && service->base)
        owns = balance_table_rows(service->rows, &n_own);
    for (uint32_t row = 0; row < n_rows; row++) {
        const struct balance_row *own = n_own == n_rows ? &owns[row] : NULL;
        const uint64_t *lost_ms = own ? balance_table_lost_ms(service->rows, row) : NULL;
        struct history history = {.previous = {BALANCE_NOBODY, BALANCE_NOBODY, BALANCE_NOBODY}};

        if (own)
            history_add(&history, rows[row].owner, own->owner, task->now_ms);
        for (size_t i = 0; i < BALANCE_PREVIOUS; i++)
            history_add(&history, rows[row].owner, rows[row].previous[i], lost_when(own, lost_ms, rows[row].previous[i], task->now_ms));
        for (size_t i = 0; own && i < BALANCE_PREVIOUS; i++)
            history_add(&history, rows[row].owner, own->previous[i], lost_ms[i]);
        memcpy(rows[row].previous, history.previous, sizeof(history.previous));
        memcpy(ret_lost_ms[row], history.lost_ms, sizeof(history.lost_ms));
    }
}

static int take_base(const struct task *task, struct applied_service *service, const struct told *told, const struct balance_server *planned, size_t n_planned)
{
    uint32_t n_rows = told->n_rows, n_moved;
    size_t most = (service->rows ? service->n_members : 0) + told->n_servers + told->n_more + 1;
    _cleanup_(freep) struct balance_restored_server *servers = calloc(most, sizeof(*servers));
    _cleanup_(freep) char(*ids)[SERVICE_TEXT_SIZE] = calloc(most, sizeof(*ids));
    _cleanup_(freep) bool *is_taken = calloc(UINT16_MAX + 1, sizeof(*is_taken)), *is_of_base = calloc(UINT16_MAX + 1, sizeof(*is_of_base));
    _cleanup_(freep) struct planned_owner *owners = calloc(UINT16_MAX + 1, sizeof(*owners));
    _cleanup_(freep) uint16_t *indices = calloc(most, sizeof(*indices));
    _cleanup_(freep) struct balance_row *rows = calloc(n_rows, sizeof(*rows));
    _cleanup_(freep) uint64_t(*lost_ms)[BALANCE_PREVIOUS] = calloc(n_rows, sizeof(*lost_ms));
    struct known known = {.servers = servers, .ids = ids, .is_taken = is_taken};
    struct balance_table *table = NULL;
    int result;

    if (!servers || !ids || !is_taken || !is_of_base || !owners || !indices || !rows || !lost_ms)
        return -ENOMEM;
    result = know_servers(service, told, &known, indices);
    if (result == 0)
        result = read_rows(told, indices, rows);
    if (result == 0)
        result = find_planned(&known, planned, n_planned, n_rows, owners);
    if (result < 0)
        return result;
    for (uint32_t i = 0; i < told->n_servers; i++)
        is_of_base[indices[i]] = true;
    keep_own(service, is_of_base, owners, rows, n_rows);
    keep_history(task, service, rows, n_rows, lost_ms);
    result = balance_table_restore(rows, n_rows, ++task->applied->lineage, 1, BALANCE_NEVER, servers, known.n, task->now_ms, &table, NULL);
    if (result < 0)
        return result;
    for (uint32_t row = 0; row < n_rows; row++)
        balance_table_set_lost_ms(table, row, lost_ms[row]);
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

/* The other director's rows of the service, if there are any that can be used. */
static bool find_base(const struct task *task, const struct applied_service *service, struct applied_base *ret_base, struct told *ret)
{
    const struct applied *applied = task->applied;

    return applied->base_of && applied->base_of(&service->key, ret_base, applied->base_context) && read_base(ret_base, ret);
}

/* How many rows the base gives to each of its servers. */
struct held {
    struct hashmap by_id; /* As the base has them. */
    struct hashmap_node *nodes;
    uint64_t *n;
};

static void clear_held(struct held *held)
{
    hashmap_clear(&held->by_id);
    free(held->nodes);
    free(held->n);
}

/* 0 or -ENOMEM. */
static int count_held(const struct told *told, struct held *held)
{
    held->nodes = calloc(told->n_servers, sizeof(*held->nodes));
    held->n = calloc(told->n_servers, sizeof(*held->n));
    if (!held->nodes || !held->n)
        return -ENOMEM;
    for (uint32_t i = 0; i < told->n_servers; i++)
        if (hashmap_insert(&held->by_id, &held->nodes[i], told->servers + i * SERVER_SIZE, SERVER_SIZE) == -ENOMEM)
            return -ENOMEM;
    for (uint32_t row = 0; row < told->n_rows; row++) {
        uint32_t place = (uint32_t)get_le(told->owners + row * 2, 2);

        if (place < told->n_servers)
            held->n[place]++;
    }
    return 0;
}

static uint64_t held_by(const struct held *held, const struct real_server *server)
{
    const struct hashmap_node *node;
    uint8_t id[SERVER_SIZE];

    memcpy(id, server->address.bytes, 16);
    put_le(id + 16, server->port, 2);
    node = hashmap_find(&held->by_id, id, sizeof(id));
    return node ? held->n[node - held->nodes] : 0;
}

static bool has_no_share(const struct planned_service *planned, size_t i, const uint32_t *shares)
{
    return !shares[i] && server_refuses(planned, &planned->servers[i]);
}

int rows_take_shares(const struct task *task, const struct applied_service *service, const struct planned_service *planned, uint32_t *shares)
{
    _cleanup_(clear_held) struct held held = {0};
    uint64_t weights = 0, n_others = 0;
    struct applied_base base;
    struct told told;
    size_t n_missing = 0;

    for (size_t i = 0; i < planned->n_servers; i++)
        n_missing += has_no_share(planned, i, shares);
    if (!n_missing || !find_base(task, service, &base, &told))
        return 0;
    if (count_held(&told, &held) < 0)
        return -ENOMEM;
    for (size_t i = 0; i < planned->n_servers; i++)
        if (planned->servers[i].is_used && shares[i]) {
            weights += shares[i];
            n_others += held_by(&held, planned->servers[i].server);
        }
    for (size_t i = 0; i < planned->n_servers; i++)
        if (has_no_share(planned, i, shares)) {
            uint64_t own = held_by(&held, planned->servers[i].server);

            shares[i] = (uint32_t)MIN(n_others ? (own * weights + n_others / 2) / n_others : own, (uint64_t)SERVER_WEIGHT_MAX);
        }
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
    struct applied_base base = {0};
    struct told told;
    uint64_t plan;
    int result;

    if (!find_base(task, service, &base, &told)) {
        service->base = 0;
        return 0;
    }
    plan = plan_of(servers, n);
    if (service->rows && service->base == base.digest && service->base_plan == plan)
        return 0;
    result = take_base(task, service, &told, servers, n);
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
