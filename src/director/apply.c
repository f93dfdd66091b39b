#include "weft/director/apply.h"

#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>

/* How many rows: enough that a server's share is within a few percent, and no more, since ten thousand services have them. */
static const uint32_t row_counts[] = {1021, 4093, 16381, 65537, 262139};
#define ROWS_PER_SERVER 64
#define ROWS_PER_SERVER_MIN 8 /* With fewer the table is made anew, and flows lose their servers. */
#define TURNS_MAX 65536 /* Of the schedulers that go round; heavier weights are scaled. */
#define MEMBERS_MIN 4
#define HISTORY_MS (900ull * 1000)

struct leaving { /* Places that a packet may still be looking at. */
    struct ranges *ranges;
    uint32_t first, n;
};

struct applied {
    struct lb_tables *tables;
    struct hashmap services;
    struct ranges service_numbers, server_numbers, blocks, members;
    struct leaving *leaving;
    size_t n_leaving, room_leaving;
    uint32_t generation;
    uint64_t lineage;
};

struct task {
    struct applied *applied;
    source_of source;
    void *context;
    uint64_t now_ms;
    struct error *error;
};

static int init_ranges(struct applied *applied)
{
    const struct lb_sizes *sizes = &applied->tables->sizes;
    int result = ranges_init(&applied->service_numbers, sizes->n_services);

    if (!result)
        result = ranges_init(&applied->server_numbers, sizes->n_servers);
    if (!result)
        result = ranges_init(&applied->blocks, sizes->n_blocks);
    if (!result)
        result = ranges_init(&applied->members, sizes->n_members);
    return result;
}

static void clear_ranges(struct applied *applied)
{
    ranges_clear(&applied->service_numbers);
    ranges_clear(&applied->server_numbers);
    ranges_clear(&applied->blocks);
    ranges_clear(&applied->members);
    applied->n_leaving = 0;
}

struct applied *applied_new(struct lb_tables *tables)
{
    _cleanup_(applied_freep) struct applied *applied = calloc(1, sizeof(*applied));

    if (!applied)
        return NULL;
    applied->tables = tables;
    if (init_ranges(applied) < 0)
        return NULL;
    return TAKE_PTR(applied);
}

static void free_server(struct applied_service *service, struct applied_server *server)
{
    hashmap_remove(&service->servers, &server->by_id);
    free(server);
}

static void free_service(struct applied *applied, struct applied_service *service)
{
    HASHMAP_FOREACH(node, &service->servers)
        free_server(service, CONTAINER_OF(node, struct applied_server, by_id));
    hashmap_clear(&service->servers);
    hashmap_remove(&applied->services, &service->by_key);
    balance_table_free(service->rows);
    free(service);
}

void applied_free(struct applied *applied)
{
    if (!applied)
        return;
    HASHMAP_FOREACH(node, &applied->services)
        free_service(applied, CONTAINER_OF(node, struct applied_service, by_key));
    hashmap_clear(&applied->services);
    clear_ranges(applied);
    free(applied->leaving);
    free(applied);
}

/* ---- finding ------------------------------------------------------------------------------------------------------------------ */

struct lb_key lb_key_of(const struct virtual_service *service)
{
    struct lb_key key = {.mark = service->mark, .ipv6 = service->mark && service->ipv6};

    if (!service->mark) {
        memcpy(key.address, service->address.bytes, 16);
        key.port = htons(service->port);
        key.protocol = service->protocol;
    }
    return key;
}

struct applied_service *applied_find(const struct applied *applied, const struct virtual_service *service)
{
    struct lb_key key = lb_key_of(service);
    struct hashmap_node *node = hashmap_find(&applied->services, &key, sizeof(key));

    return node ? CONTAINER_OF(node, struct applied_service, by_key) : NULL;
}

struct applied_server *applied_find_server(const struct applied_service *service, const struct real_server *server)
{
    struct applied_server wanted;
    struct hashmap_node *node;

    wanted.id.address = server->address;
    wanted.id.port = server->port;
    node = hashmap_find(&service->servers, &wanted.id, sizeof(wanted.id));
    return node ? CONTAINER_OF(node, struct applied_server, by_id) : NULL;
}

/* ---- places --------------------------------------------------------------------------------------------------------------------- */

/* Given back when nobody can be looking at it any more: with the next apply. */
static void leave(struct applied *applied, struct ranges *ranges, uint32_t first, uint32_t n)
{
    if (!n || first == RANGE_NONE)
        return;
    if (applied->n_leaving == applied->room_leaving) {
        size_t room = applied->room_leaving ? applied->room_leaving * 2 : 16;
        struct leaving *larger = reallocarray(applied->leaving, room, sizeof(*larger));

        if (!larger)
            return; /* Lost until the tables are made anew. */
        applied->leaving = larger;
        applied->room_leaving = room;
    }
    applied->leaving[applied->n_leaving++] = (struct leaving){ranges, first, n};
}

static void give_back_what_left(struct applied *applied)
{
    for (size_t i = 0; i < applied->n_leaving; i++)
        ranges_give(applied->leaving[i].ranges, applied->leaving[i].first, applied->leaving[i].n);
    applied->n_leaving = 0;
}

static int no_room(const struct task *task, const char *what)
{
    return error_set(task->error, -ENOSPC, NULL, "the tables have no room for another %s", what);
}

static size_t power_of_two(size_t at_least)
{
    size_t n = MEMBERS_MIN;

    while (n < at_least)
        n *= 2;
    return n;
}

static uint32_t rows_for(size_t n_servers)
{
    for (size_t i = 0; i < ARRAY_SIZE(row_counts) - 1; i++)
        if (n_servers * ROWS_PER_SERVER <= row_counts[i])
            return row_counts[i];
    return row_counts[ARRAY_SIZE(row_counts) - 1];
}

static uint32_t blocks_for(uint32_t n_rows)
{
    return (n_rows + LB_ROWS_BLOCK - 1) >> LB_ROWS_SHIFT;
}

static uint32_t greatest_divisor(uint32_t a, uint32_t b)
{
    while (b) {
        uint32_t rest = a % b;

        a = b;
        b = rest;
    }
    return a;
}

/* A weight as it counts for turns; 'heaviest' servers' weights are scaled so that all turns fit. */
static uint32_t turn_weight(const struct planned_service *planned, size_t i, uint64_t sum)
{
    uint32_t weight = planned->servers[i].is_used ? planned->servers[i].weight : 0;

    if (weight && planned->service->scheduler == SCHEDULER_RR)
        return 1;
    return weight && sum > TURNS_MAX ? (uint32_t)MAX((uint64_t)weight * (TURNS_MAX / 2) / sum, 1) : weight;
}

/* A round of rr or wrr: for each weight from the heaviest down by their greatest common divisor, all servers in order that have as much.
 * Returns how many turns; 0 for other schedulers.  'ret_turns' (may be NULL) gets positions among the members. */
static uint32_t count_turns(const struct planned_service *planned, uint16_t *ret_turns)
{
    uint32_t divisor = 0, heaviest = 0, n = 0, position;
    uint64_t sum = 0;

    if (planned->service->scheduler != SCHEDULER_RR && planned->service->scheduler != SCHEDULER_WRR)
        return 0;
    for (size_t i = 0; i < planned->n_servers; i++)
        sum += planned->servers[i].is_used ? planned->servers[i].weight : 0;
    for (size_t i = 0; i < planned->n_servers; i++) {
        uint32_t weight = turn_weight(planned, i, sum);

        divisor = greatest_divisor(divisor, weight);
        heaviest = MAX(heaviest, weight);
    }
    for (uint32_t level = heaviest; level && divisor; level -= divisor) {
        position = 0;
        for (size_t i = planned->n_servers; i-- > 0;) {
            if (!planned->servers[i].is_used)
                continue;
            if (turn_weight(planned, i, sum) >= level) {
                if (ret_turns)
                    ret_turns[n] = (uint16_t)position;
                n++;
            }
            position++;
        }
    }
    return n;
}

static bool has_turns(const struct lb_tables *tables, const struct applied_service *service, const uint16_t *turns, uint32_t n)
{
    if (service->content.n_rows != n || service->content.schedule != LB_SCHEDULE_TURN)
        return false;
    for (uint32_t turn = 0; turn < n; turn++)
        if (tables->rows[service->first_block + (turn >> LB_ROWS_SHIFT)].row[turn & (LB_ROWS_BLOCK - 1)].owner != turns[turn])
            return false;
    return true;
}

/* Rows never become fewer: flows would lose their servers. */
static uint32_t rows_kept(const struct applied *applied, const struct virtual_service *virtual)
{
    const struct applied_service *service = applied ? applied_find(applied, virtual) : NULL;
    uint32_t n_rows = 0;

    if (service && service->rows)
        balance_table_rows(service->rows, &n_rows);
    return n_rows;
}

struct lb_sizes applied_sizes(const struct applied *applied, const struct plan *plan)
{
    struct lb_sizes sizes = {.n_services = 64, .n_servers = 256, .n_blocks = 1024, .n_members = 512};

    for (size_t i = 0; i < plan->n_services; i++) {
        size_t n_servers = plan->services[i].n_servers;
        uint32_t n_rows = MAX(rows_for(n_servers), rows_kept(applied, plan->services[i].service));

        sizes.n_services++;
        sizes.n_servers += (uint32_t)n_servers;
        sizes.n_blocks += MAX(blocks_for(n_rows), 2 * blocks_for(count_turns(&plan->services[i], NULL)));
        sizes.n_members += (uint32_t)(2 * power_of_two(n_servers));
    }
    sizes.n_services += sizes.n_services / 4;
    sizes.n_servers += sizes.n_servers / 4;
    sizes.n_blocks += sizes.n_blocks / 4;
    return sizes;
}

/* ---- servers ---------------------------------------------------------------------------------------------------------------------- */

static enum lb_method method_of(const struct real_server *server)
{
    static const enum lb_method tunnels[] = {
        [TUNNEL_IPIP] = LB_METHOD_IPIP, [TUNNEL_GUE] = LB_METHOD_GUE, [TUNNEL_GRE] = LB_METHOD_GRE, [TUNNEL_VXLAN] = LB_METHOD_VXLAN};

    return server->forwarding == FORWARD_NAT      ? LB_METHOD_NAT
           : server->forwarding == FORWARD_DIRECT ? LB_METHOD_DIRECT
           : server->forwarding == FORWARD_L3DSR  ? LB_METHOD_L3DSR
           : server->forwarding == FORWARD_TUNNEL ? tunnels[server->tunnel.type]
                                                  : LB_METHOD_NONE;
}

static uint8_t overhead_of(const struct real_server *server)
{
    uint8_t outer = ip_is_v4(&server->address) ? 20 : 40;
    bool sum = server->tunnel.checksum != TUNNEL_CHECKSUM_NONE;

    switch (method_of(server)) {
    case LB_METHOD_IPIP:
        return outer;
    case LB_METHOD_GUE:
        return outer + 12;
    case LB_METHOD_GRE:
        return sum ? outer + 8 : outer + 4;
    case LB_METHOD_VXLAN:
        return outer + 30;
    default:
        return 0;
    }
}

static struct lb_server content_of(const struct task *task, const struct applied_service *service, const struct real_server *server,
                                   uint32_t incarnation)
{
    struct lb_server content = {
        .service = service->number,
        .port = htons(server->port),
        .incarnation = incarnation,
        .method = (uint8_t)method_of(server),
        .overhead = overhead_of(server),
    };

    memcpy(content.address, server->address.bytes, 16);
    if (server->forwarding == FORWARD_TUNNEL) {
        struct ip_address source = task->source(&server->address, task->context);

        memcpy(content.source, source.bytes, 16);
        content.vni = server->tunnel.vni;
        content.tunnel_port = htons(server->tunnel.port);
        if (server->tunnel.checksum == TUNNEL_CHECKSUM_FULL)
            content.flags |= LB_SERVER_CHECKSUM;
    }
    if (server->forwarding == FORWARD_L3DSR)
        content.dscp = server->dscp;
    return content;
}

static struct applied_server *add_server(struct applied_service *service, const struct real_server *real)
{
    struct applied_server *server = calloc(1, sizeof(*server));

    if (!server)
        return NULL;
    server->id.address = real->address;
    server->id.port = real->port;
    server->number = LB_NONE;
    if (hashmap_insert(&service->servers, &server->by_id, &server->id, sizeof(server->id)) < 0) {
        free(server);
        return NULL;
    }
    return server;
}

static int place_server(const struct task *task, struct applied_server *server)
{
    if (server->number != LB_NONE)
        return 0;
    server->number = ranges_take(&task->applied->server_numbers, 1);
    if (server->number == RANGE_NONE) {
        server->number = LB_NONE;
        return no_room(task, "server");
    }
    server->incarnation = ++task->applied->generation;
    task->applied->tables->server_load[server->number] = (struct lb_server_load){0};
    /* What another one counted there is not this one's. */
    lb_read_server(task->applied->tables, server->number, &server->before);
    return 0;
}

static int apply_server(const struct task *task, struct applied_service *service, const struct planned_server *planned)
{
    struct applied_server *server = applied_find_server(service, planned->server);
    struct lb_server content;
    int result;

    if (!server)
        server = add_server(service, planned->server);
    if (!server)
        return -ENOMEM;
    server->is_seen = true;
    server->weight = planned->weight;
    result = place_server(task, server);
    if (result < 0)
        return result;
    content = content_of(task, service, planned->server, server->incarnation);
    content.generation = server->content.generation;
    if (memcmp(&content, &server->content, sizeof(content)) != 0) {
        content.generation = ++task->applied->generation;
        server->content = content;
        lb_write_server(task->applied->tables, server->number, &content);
    }
    return 0;
}

/* After no row leads to it any more. */
static void remove_server(struct applied *applied, struct applied_service *service, struct applied_server *server)
{
    static const struct lb_server nobody;

    if (server->number != LB_NONE) {
        lb_write_server(applied->tables, server->number, &nobody);
        leave(applied, &applied->server_numbers, server->number, 1);
    }
    free_server(service, server);
}

/* ---- rows ---------------------------------------------------------------------------------------------------------------------------- */

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
    return balance_table_new(rows_for(n_servers), ++task->applied->lineage, HISTORY_MS, &service->rows, task->error);
}

/* Gives the balancer the servers in use; weights beyond its 16 bits are scaled.  Returns how many rows there are now, 0 without any
 * server to have them, or -errno. */
static int64_t set_rows(const struct task *task, struct applied_service *service, const struct planned_service *planned)
{
    _cleanup_(freep) struct balance_server *servers = calloc(planned->n_servers + 1, sizeof(*servers));
    _cleanup_(freep) char(*ids)[SERVICE_TEXT_SIZE] = calloc(planned->n_servers + 1, sizeof(*ids));
    uint32_t heaviest = 0, n_rows;
    size_t n = 0;
    int result;

    if (!servers || !ids)
        return -ENOMEM;
    for (size_t i = 0; i < planned->n_servers; i++)
        if (planned->servers[i].is_used)
            heaviest = MAX(heaviest, planned->servers[i].weight);
    if (!heaviest)
        return 0;
    for (size_t i = 0; i < planned->n_servers; i++) {
        uint64_t weight = planned->servers[i].weight;

        if (!planned->servers[i].is_used)
            continue;
        if (heaviest > UINT16_MAX && weight)
            weight = MAX(weight * UINT16_MAX / heaviest, 1);
        balance_id(planned->servers[i].server, ids[n]);
        servers[n] = (struct balance_server){.id = ids[n], .weight = (uint16_t)weight, .drain_until_ms = task->now_ms + HISTORY_MS};
        n++;
    }
    result = fit_rows(task, service, n);
    if (result == 0)
        result = balance_table_set(service->rows, servers, n, task->now_ms, task->error);
    if (result < 0)
        return result;
    balance_table_rows(service->rows, &n_rows);
    return n_rows;
}

static struct lb_row row_of(const struct balance_row *row)
{
    return (struct lb_row){row->owner, row->previous[0]};
}

/* The rows' own blocks.  Returns 1 if they are new ones, in which nobody reads yet, 0 or -errno. */
static int place_rows(const struct task *task, struct applied_service *service, uint32_t n_rows)
{
    uint32_t n_blocks = blocks_for(n_rows), first;

    if (service->n_blocks == n_blocks)
        return 0;
    first = ranges_take(&task->applied->blocks, n_blocks);
    if (first == RANGE_NONE)
        return no_room(task, "row");
    leave(task->applied, &task->applied->blocks, service->first_block, service->n_blocks);
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
    service->sequence = delta->sequence;
}

/* Servers by the balancer's index. */
static int write_members(const struct task *task, struct applied_service *service, const struct planned_service *planned)
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
        uint32_t wanted = (uint32_t)power_of_two(n), first = ranges_take(&task->applied->members, wanted);

        if (first == RANGE_NONE)
            return no_room(task, "server");
        for (uint32_t i = 0; i < service->n_members; i++) /* Of who leaves, too: its rows have not moved yet. */
            task->applied->tables->members[first + i] = task->applied->tables->members[service->first_member + i];
        leave(task->applied, &task->applied->members, service->first_member, service->n_members);
        service->first_member = first;
        service->n_members = wanted;
    }
    for (size_t i = 0; i < planned->n_servers; i++) {
        char id[SERVICE_TEXT_SIZE];

        if (!planned->servers[i].is_used)
            continue;
        balance_id(planned->servers[i].server, id);
        __atomic_store_n(&task->applied->tables->members[service->first_member + balance_table_index(service->rows, id)].server,
                         applied_find_server(service, planned->servers[i].server)->number, __ATOMIC_RELEASE);
    }
    return 0;
}

/* ---- services ---------------------------------------------------------------------------------------------------------------------- */

static bool is_hash(const struct virtual_service *service)
{
    return service->scheduler == SCHEDULER_MH || service->scheduler == SCHEDULER_SH || service->scheduler == SCHEDULER_DH;
}

static enum lb_schedule schedule_of(const struct virtual_service *service)
{
    static const enum lb_schedule schedules[N_SCHEDULERS] = {
        [SCHEDULER_RR] = LB_SCHEDULE_TURN, [SCHEDULER_WRR] = LB_SCHEDULE_TURN, [SCHEDULER_LC] = LB_SCHEDULE_LC,
        [SCHEDULER_WLC] = LB_SCHEDULE_WLC, [SCHEDULER_SED] = LB_SCHEDULE_SED,  [SCHEDULER_NQ] = LB_SCHEDULE_NQ,
        [SCHEDULER_FO] = LB_SCHEDULE_FO,   [SCHEDULER_OVF] = LB_SCHEDULE_OVF,  [SCHEDULER_MH] = LB_SCHEDULE_HASH,
        [SCHEDULER_SH] = LB_SCHEDULE_HASH, [SCHEDULER_DH] = LB_SCHEDULE_HASH,
    };

    return schedules[service->scheduler];
}

static bool has_translation(const struct planned_service *planned)
{
    for (size_t i = 0; i < planned->n_servers; i++)
        if (planned->servers[i].server->forwarding == FORWARD_NAT)
            return true;
    return false;
}

static uint32_t flags_of(const struct planned_service *planned)
{
    const struct virtual_service *service = planned->service;
    uint32_t flags = service->scheduler == SCHEDULER_DH ? LB_HASH_DESTINATION : LB_HASH_SOURCE;

    if (!is_hash(service) || (service->scheduler != SCHEDULER_DH && service->scheduler_flags & SCHEDULER_PORT))
        flags |= LB_HASH_SOURCE_PORT;
    if (service->track_connections || has_translation(planned))
        flags |= LB_TRACK;
    return service->one_packet ? flags | LB_ONE_PACKET : flags;
}

static struct applied_service *add_service(const struct task *task, const struct virtual_service *virtual)
{
    struct applied_service *service = calloc(1, sizeof(*service));

    if (!service)
        return NULL;
    service->key = lb_key_of(virtual);
    service->number = LB_NONE;
    service->first_block = service->first_member = RANGE_NONE;
    if (hashmap_insert(&task->applied->services, &service->by_key, &service->key, sizeof(service->key)) < 0) {
        free(service);
        return NULL;
    }
    return service;
}

static int place_service(const struct task *task, struct applied_service *service)
{
    struct lb_service_use use;

    if (service->number != LB_NONE)
        return 0;
    service->number = ranges_take(&task->applied->service_numbers, 1);
    if (service->number == RANGE_NONE) {
        service->number = LB_NONE;
        return no_room(task, "service");
    }
    lb_read_service(task->applied->tables, service->number, &use);
    service->before = use.counters;
    return 0;
}

static int put_keys(struct lb_tables *tables, const struct applied_service *service)
{
    int result = service->key.mark ? 0 : lb_put_address(tables, &service->key);

    return result < 0 ? result : lb_put_key(tables, &service->key, service->number);
}

static int write_service(const struct task *task, struct applied_service *service, const struct planned_service *planned, uint32_t n_rows,
                         uint32_t n_members)
{
    struct lb_service content = {
        .key = service->key,
        .generation = service->content.generation,
        .flags = flags_of(planned),
        .schedule = (uint8_t)schedule_of(planned->service),
        .half_open_limit = planned->service->half_open_limit ? planned->service->half_open_limit : LB_HALF_OPEN_DEFAULT,
        .rows = service->first_block,
        .n_rows = n_rows,
        .members = service->first_member,
        .n_members = is_hash(planned->service) ? service->n_members : n_members,
    };

    int result;

    if (memcmp(&content, &service->content, sizeof(content)) != 0) {
        content.generation = ++task->applied->generation;
        service->content = content;
        lb_write_service(task->applied->tables, service->number, &content);
    }
    if (service->has_key)
        return 0;
    result = put_keys(task->applied->tables, service);
    service->has_key = result == 0;
    return result;
}

/* What is referred to first, what refers last: rows in blocks that nobody reads before the service says where they are; rows that are read
 * after the service knows all the members that they name. */
static int write_hash_service(const struct task *task, struct applied_service *service, const struct planned_service *planned)
{
    int64_t n_rows = set_rows(task, service, planned);
    bool are_new = false;
    int result = (int)MIN(n_rows, 0);

    if (n_rows > 0)
        result = write_members(task, service, planned);
    if (n_rows > 0 && result == 0) {
        result = place_rows(task, service, (uint32_t)n_rows);
        are_new = result > 0;
    }
    if (are_new)
        write_rows(task, service, true);
    if (result >= 0)
        result = write_service(task, service, planned, (uint32_t)n_rows, 0);
    if (result == 0 && n_rows > 0 && !are_new)
        write_rows(task, service, false);
    return result;
}

/* ---- services that go by their servers' order --------------------------------------------------------------------------------------- */

/* IPVS has the server that was added last as its first. */
static uint32_t ordered_members(const struct applied_service *service, const struct planned_service *planned, struct lb_member *ret)
{
    uint32_t n = 0;

    for (size_t i = planned->n_servers; i-- > 0;)
        if (planned->servers[i].is_used)
            ret[n++] = (struct lb_member){applied_find_server(service, planned->servers[i].server)->number, planned->servers[i].weight};
    return n;
}

/* Members and turns in places of their own, so that who reads the service as it was still finds what it was. */
static int write_ordered_service(const struct task *task, struct applied_service *service, const struct planned_service *planned)
{
    struct lb_tables *tables = task->applied->tables;
    _cleanup_(freep) struct lb_member *members = calloc(planned->n_servers + 1, sizeof(*members));
    _cleanup_(freep) uint16_t *turns = NULL;
    uint32_t n = members ? ordered_members(service, planned, members) : 0, n_turns = count_turns(planned, NULL), first;

    if (n_turns)
        turns = calloc(n_turns, sizeof(*turns));
    if (!members || (n_turns && !turns))
        return -ENOMEM;
    if (n_turns)
        count_turns(planned, turns);
    balance_table_free(service->rows);
    service->rows = NULL;
    if (n && (n > service->n_members || service->content.n_members != n ||
              memcmp(&tables->members[service->first_member], members, n * sizeof(*members)) != 0)) {
        uint32_t room = (uint32_t)power_of_two(n);

        first = ranges_take(&task->applied->members, room);
        if (first == RANGE_NONE)
            return no_room(task, "server");
        leave(task->applied, &task->applied->members, service->first_member, service->n_members);
        service->first_member = first;
        service->n_members = room;
        memcpy(&tables->members[first], members, n * sizeof(*members));
    }
    if (n_turns && !has_turns(tables, service, turns, n_turns)) {
        first = ranges_take(&task->applied->blocks, blocks_for(n_turns));
        if (first == RANGE_NONE)
            return no_room(task, "row");
        leave(task->applied, &task->applied->blocks, service->first_block, service->n_blocks);
        service->first_block = first;
        service->n_blocks = blocks_for(n_turns);
        for (uint32_t turn = 0; turn < n_turns; turn++)
            lb_write_row(tables, first, turn, (struct lb_row){turns[turn], LB_NOBODY});
    }
    return write_service(task, service, planned, n_turns, n);
}

static int apply_service(const struct task *task, const struct planned_service *planned)
{
    struct applied_service *service = applied_find(task->applied, planned->service);
    int result;

    if (!service)
        service = add_service(task, planned->service);
    if (!service)
        return -ENOMEM;
    service->is_seen = true;
    result = place_service(task, service);
    HASHMAP_FOREACH(node, &service->servers)
        CONTAINER_OF(node, struct applied_server, by_id)->is_seen = false;
    for (size_t i = 0; i < planned->n_servers && result == 0; i++)
        if (planned->servers[i].is_used)
            result = apply_server(task, service, &planned->servers[i]);
    if (result == 0)
        result = is_hash(planned->service) ? write_hash_service(task, service, planned) : write_ordered_service(task, service, planned);
    if (result < 0)
        return result;
    HASHMAP_FOREACH(node, &service->servers) {
        struct applied_server *server = CONTAINER_OF(node, struct applied_server, by_id);

        if (!server->is_seen)
            remove_server(task->applied, service, server);
    }
    return 0;
}

static void delete_keys(const struct applied *applied, const struct applied_service *service)
{
    lb_delete_key(applied->tables, &service->key);
    HASHMAP_FOREACH(node, &applied->services) {
        const struct applied_service *other = CONTAINER_OF(node, struct applied_service, by_key);

        if (other != service && memcmp(other->key.address, service->key.address, sizeof(service->key.address)) == 0)
            return;
    }
    lb_delete_address(applied->tables, &service->key);
}

static void remove_service(struct applied *applied, struct applied_service *service)
{
    static const struct lb_service nothing;

    if (service->number != LB_NONE) {
        delete_keys(applied, service);
        lb_write_service(applied->tables, service->number, &nothing);
        leave(applied, &applied->service_numbers, service->number, 1);
    }
    leave(applied, &applied->blocks, service->first_block, service->n_blocks);
    leave(applied, &applied->members, service->first_member, service->n_members);
    HASHMAP_FOREACH(node, &service->servers)
        remove_server(applied, service, CONTAINER_OF(node, struct applied_server, by_id));
    free_service(applied, service);
}

static void set_timeouts(struct lb_tables *tables, const struct plan *plan)
{
    const struct connection_timeouts *timeouts = &plan->config->timeouts;
    bool translation = false;

    for (size_t i = 0; i < plan->n_services; i++)
        translation = translation || has_translation(&plan->services[i]);
    tables->settings->tcp_s = timeouts->tcp_s;
    tables->settings->tcp_fin_s = timeouts->tcp_fin_s;
    tables->settings->udp_s = timeouts->udp_s;
    tables->settings->has_translation = translation;
}

int apply(struct applied *applied, const struct plan *plan, source_of source, void *context, uint64_t now_ms, struct error *error)
{
    struct task task = {applied, source, context, now_ms, error};
    int worst = 0;

    give_back_what_left(applied);
    set_timeouts(applied->tables, plan);
    HASHMAP_FOREACH(node, &applied->services)
        CONTAINER_OF(node, struct applied_service, by_key)->is_seen = false;
    for (size_t i = 0; i < plan->n_services; i++) {
        int result = apply_service(&task, &plan->services[i]);

        if (result < 0 && worst != -ENOSPC) /* That is what larger tables help with. */
            worst = result;
    }
    HASHMAP_FOREACH(node, &applied->services) {
        struct applied_service *service = CONTAINER_OF(node, struct applied_service, by_key);

        if (!service->is_seen)
            remove_service(applied, service);
    }
    return worst < 0 ? error_set(error, worst, NULL, "cannot write the tables: %s", strerror(-worst)) : 0;
}

/* ---- counters ----------------------------------------------------------------------------------------------------------------------- */

static struct lb_counters difference(const struct lb_counters *a, const struct lb_counters *b)
{
    return (struct lb_counters){a->connections - b->connections, a->in_packets - b->in_packets, a->in_bytes - b->in_bytes,
                                a->out_packets - b->out_packets, a->out_bytes - b->out_bytes};
}

static struct lb_counters sum(const struct lb_counters *a, const struct lb_counters *b)
{
    return (struct lb_counters){a->connections + b->connections, a->in_packets + b->in_packets, a->in_bytes + b->in_bytes,
                                a->out_packets + b->out_packets, a->out_bytes + b->out_bytes};
}

struct lb_counters applied_server_total(const struct applied *applied, const struct applied_server *server)
{
    struct lb_counters now = server->before;

    if (server->number != LB_NONE)
        lb_read_server(applied->tables, server->number, &now);
    now = difference(&now, &server->before);
    return sum(&now, &server->carried);
}

struct lb_counters applied_service_total(const struct applied *applied, const struct applied_service *service)
{
    struct lb_service_use now = {.counters = service->before};

    if (service->number != LB_NONE)
        lb_read_service(applied->tables, service->number, &now);
    now.counters = difference(&now.counters, &service->before);
    return sum(&now.counters, &service->carried);
}

void applied_zero(struct applied *applied, struct applied_service *service)
{
    struct lb_service_use now;

    service->carried = (struct lb_counters){0};
    if (lb_read_service(applied->tables, service->number, &now) == 0)
        service->before = now.counters;
    HASHMAP_FOREACH(node, &service->servers) {
        struct applied_server *server = CONTAINER_OF(node, struct applied_server, by_id);

        server->carried = (struct lb_counters){0};
        lb_read_server(applied->tables, server->number, &server->before);
    }
}

/* ---- other tables --------------------------------------------------------------------------------------------------------------------- */

static void move_counters(struct applied *applied, struct applied_service *service)
{
    HASHMAP_FOREACH(node, &service->servers) {
        struct applied_server *server = CONTAINER_OF(node, struct applied_server, by_id);

        server->carried = applied_server_total(applied, server);
        server->before = (struct lb_counters){0};
    }
    service->carried = applied_service_total(applied, service);
    service->before = (struct lb_counters){0};
}

static void grow(struct ranges *ranges, uint32_t before, uint32_t now)
{
    ranges_give(ranges, before, now - before);
}

int applied_move(struct applied *applied, struct lb_tables *tables)
{
    const struct lb_sizes *before = &applied->tables->sizes, *now = &tables->sizes;

    HASHMAP_FOREACH(node, &applied->services) {
        const struct applied_service *service = CONTAINER_OF(node, struct applied_service, by_key);
        int result = service->has_key ? put_keys(tables, service) : 0;

        if (result < 0)
            return result;
    }
    HASHMAP_FOREACH(node, &applied->services)
        move_counters(applied, CONTAINER_OF(node, struct applied_service, by_key));
    grow(&applied->service_numbers, before->n_services, now->n_services);
    grow(&applied->server_numbers, before->n_servers, now->n_servers);
    grow(&applied->blocks, before->n_blocks, now->n_blocks);
    grow(&applied->members, before->n_members, now->n_members);
    applied->tables = tables;
    return 0;
}
