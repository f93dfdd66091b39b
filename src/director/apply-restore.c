/* What another process applied, out of the tables that it left: they say all of it, so there is nothing beside them that could disagree. */
#include "weft/director/apply-parts.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

static const struct lb_service *service_record(const struct lb_tables *tables, uint32_t number)
{
    const struct lb_service_record *record = &tables->services[number];

    return &record->copy[record->active & 1];
}

static const struct lb_server *server_record(const struct lb_tables *tables, uint32_t number)
{
    const struct lb_server_record *record = &tables->servers[number];

    return &record->copy[record->active & 1];
}

/* Its stretches; what cannot be so is left to be made anew. */
static void take_stretches(struct applied *applied, struct applied_service *service)
{
    const struct lb_service *content = &service->content;
    uint32_t n_blocks = blocks_for(content->n_rows), n_members = content->n_members;

    if (content->schedule != LB_SCHEDULE_HASH && n_members)
        n_members = (uint32_t)places_for_members(n_members);
    if (n_blocks && ranges_take_at(&applied->blocks, content->rows, n_blocks)) {
        service->first_block = content->rows;
        service->n_blocks = n_blocks;
    }
    if (n_members && ranges_take_at(&applied->members, content->members, n_members)) {
        service->first_member = content->members;
        service->n_members = n_members;
    }
    if (service->n_blocks != n_blocks || service->n_members != n_members) {
        service->content.n_rows = 0;
        service->content.n_members = 0;
    }
}

static int restore_services(struct applied *applied, struct applied_service **by_number)
{
    for (uint32_t number = 0; number < applied->tables->sizes.n_services; number++) {
        const struct lb_service *content = service_record(applied->tables, number);
        struct applied_service *service;

        if (content->schedule == LB_SCHEDULE_NONE)
            continue;
        service = service_add(applied, &content->key);
        if (!service || !ranges_take_at(&applied->service_numbers, number, 1))
            return -ENOMEM;
        service->number = number;
        service->content = *content;
        by_number[number] = service;
        applied->generation = MAX(applied->generation, content->generation);
        take_stretches(applied, service);
    }
    return 0;
}

static int restore_servers(struct applied *applied, struct applied_service *const *by_number)
{
    for (uint32_t number = 0; number < applied->tables->sizes.n_servers; number++) {
        const struct lb_server *content = server_record(applied->tables, number);
        struct applied_server *server;
        struct ip_address address;

        applied->generation = MAX(applied->generation, MAX(content->generation, content->incarnation));
        if (content->method == LB_METHOD_NONE || content->service >= applied->tables->sizes.n_services || !by_number[content->service])
            continue;
        memcpy(address.bytes, content->address, sizeof(address.bytes));
        server = server_add(by_number[content->service], &address, ntohs(content->port));
        if (!server || !ranges_take_at(&applied->server_numbers, number, 1))
            return -ENOMEM;
        server->number = number;
        server->incarnation = content->incarnation;
        server->content = *content;
        server->last = applied_server_total(applied, server);
    }
    return 0;
}

struct applied_server *applied_member(const struct applied *applied, const struct applied_service *service, uint32_t position)
{
    uint32_t number = applied->tables->members[service->first_member + position].server;
    const struct lb_server *content;
    struct real_server real = {0};
    struct applied_server *server;

    if (number >= applied->tables->sizes.n_servers)
        return NULL;
    content = server_record(applied->tables, number);
    memcpy(real.address.bytes, content->address, sizeof(real.address.bytes));
    real.port = ntohs(content->port);
    server = applied_find_server(service, &real);
    return server && server->number == number ? server : NULL;
}

static void restore_weights(const struct applied *applied, struct applied_service *service)
{
    HASHMAP_FOREACH(node, &service->servers)
        CONTAINER_OF(node, struct applied_server, by_id)->weight = 0;
    for (uint32_t position = 0; position < service->content.n_members; position++) {
        struct applied_server *server = applied_member(applied, service, position);

        if (server)
            server->weight = server->content.flags & LB_SERVER_NO_NEW ? 0 : applied->tables->members[service->first_member + position].weight;
    }
}

static int restore_all(struct applied *applied, uint64_t now_ms)
{
    _cleanup_(freep) struct applied_service **by_number = calloc(applied->tables->sizes.n_services + 1, sizeof(*by_number));
    int result = by_number ? restore_services(applied, by_number) : -ENOMEM;

    if (result == 0)
        result = restore_servers(applied, by_number);
    if (result == 0)
        result = marks_restore(applied);
    HASHMAP_FOREACH(node, &applied->services) {
        struct applied_service *service = CONTAINER_OF(node, struct applied_service, by_key);

        service->last = applied_service_total(applied, service);
        restore_weights(applied, service);
        if (result == 0 && service->content.schedule == LB_SCHEDULE_HASH && service->content.n_rows)
            result = rows_restore(applied, service, now_ms);
    }
    return result;
}

struct applied *applied_restore(struct lb_tables *tables, uint64_t now_ms)
{
    _cleanup_(applied_freep) struct applied *applied = applied_new(tables);

    if (!applied || restore_all(applied, now_ms) < 0)
        return NULL;
    return TAKE_PTR(applied);
}
