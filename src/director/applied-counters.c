#include "weft/director/apply-parts.h"

static struct lb_counters difference(const struct lb_counters *a, const struct lb_counters *b)
{
    return (struct lb_counters){a->connections - b->connections, a->in_packets - b->in_packets, a->in_bytes - b->in_bytes,
                                a->out_packets - b->out_packets, a->out_bytes - b->out_bytes};
}

void count_server_from_now(struct lb_tables *tables, uint32_t number)
{
    struct lb_counters now;

    if (lb_read_server(tables, number, &now) == 0)
        tables->server_before[number] = now;
}

void count_service_from_now(struct lb_tables *tables, uint32_t number)
{
    struct lb_service_use now;

    if (lb_read_service(tables, number, &now) == 0)
        tables->service_before[number] = now.counters;
}

struct lb_counters applied_server_total(const struct applied *applied, const struct applied_server *server)
{
    struct lb_counters now = {0};

    if (server->number == LB_NONE || lb_read_server(applied->tables, server->number, &now) < 0)
        return (struct lb_counters){0};
    return difference(&now, &applied->tables->server_before[server->number]);
}

struct lb_counters applied_service_total(const struct applied *applied, const struct applied_service *service)
{
    struct lb_service_use now = {0};

    if (service->number == LB_NONE || lb_read_service(applied->tables, service->number, &now) < 0)
        return (struct lb_counters){0};
    return difference(&now.counters, &applied->tables->service_before[service->number]);
}

void applied_zero(struct applied *applied, struct applied_service *service)
{
    if (service->number != LB_NONE)
        count_service_from_now(applied->tables, service->number);
    HASHMAP_FOREACH(node, &service->servers) {
        const struct applied_server *server = CONTAINER_OF(node, struct applied_server, by_id);

        if (server->number != LB_NONE)
            count_server_from_now(applied->tables, server->number);
    }
}
