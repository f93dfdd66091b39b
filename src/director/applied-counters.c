#include "weft/director/apply-parts.h"

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
