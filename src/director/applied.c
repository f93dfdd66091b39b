#include "weft/director/apply-parts.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

#define MEMBERS_MIN 4

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
    if (!result)
        result = ranges_init(&applied->marks, sizes->n_marks);
    return result;
}

static void clear_ranges(struct applied *applied)
{
    ranges_clear(&applied->service_numbers);
    ranges_clear(&applied->server_numbers);
    ranges_clear(&applied->blocks);
    ranges_clear(&applied->members);
    ranges_clear(&applied->marks);
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

void applied_free_server(struct applied_service *service, struct applied_server *server)
{
    hashmap_remove(&service->servers, &server->by_id);
    free(server);
}

void applied_free_service(struct applied *applied, struct applied_service *service)
{
    HASHMAP_FOREACH(node, &service->servers)
        applied_free_server(service, CONTAINER_OF(node, struct applied_server, by_id));
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
        applied_free_service(applied, CONTAINER_OF(node, struct applied_service, by_key));
    hashmap_clear(&applied->services);
    clear_ranges(applied);
    free(applied->leaving);
    marks_free(applied->mark_lists);
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

const struct hashmap *applied_services(const struct applied *applied)
{
    return &applied->services;
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
void places_leave(struct applied *applied, struct ranges *ranges, uint32_t first, uint32_t n)
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

void places_give_back(struct applied *applied)
{
    for (size_t i = 0; i < applied->n_leaving; i++)
        ranges_give(applied->leaving[i].ranges, applied->leaving[i].first, applied->leaving[i].n);
    applied->n_leaving = 0;
}

int places_missing(const struct task *task, const char *what)
{
    return error_set(task->error, -ENOSPC, NULL, "the tables have no room for another %s", what);
}

size_t places_for_members(size_t at_least)
{
    size_t n = MEMBERS_MIN;

    while (n < at_least)
        n *= 2;
    return n;
}

/* ---- other tables --------------------------------------------------------------------------------------------------------------------- */

static void grow(struct ranges *ranges, uint32_t before, uint32_t now)
{
    ranges_give(ranges, before, now - before);
}

int applied_move(struct applied *applied, struct lb_tables *tables)
{
    const struct lb_sizes *before = &applied->tables->sizes, *now = &tables->sizes;
    int result;

    HASHMAP_FOREACH(node, &applied->services) {
        const struct applied_service *service = CONTAINER_OF(node, struct applied_service, by_key);

        result = service->has_key ? service_put_keys(tables, service) : 0;

        if (result < 0)
            return result;
    }
    result = marks_put(applied->mark_lists, tables);
    if (result < 0)
        return result;
    grow(&applied->service_numbers, before->n_services, now->n_services);
    grow(&applied->server_numbers, before->n_servers, now->n_servers);
    grow(&applied->blocks, before->n_blocks, now->n_blocks);
    grow(&applied->members, before->n_members, now->n_members);
    grow(&applied->marks, before->n_marks, now->n_marks);
    applied->tables = tables;
    return 0;
}
