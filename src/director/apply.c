#include "weft/director/apply-parts.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

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
        sizes.n_blocks += MAX(blocks_for(n_rows), 2 * blocks_for(order_turns(&plan->services[i], NULL)));
        sizes.n_members += (uint32_t)(2 * places_for_members(n_servers));
    }
    sizes.n_services += sizes.n_services / 4;
    sizes.n_servers += sizes.n_servers / 4;
    sizes.n_blocks += sizes.n_blocks / 4;
    sizes.n_marks = 64 + 2 * marks_positions(plan->config);
    return sizes;
}

static int apply_service(const struct task *task, const struct planned_service *planned)
{
    struct applied_service *service = applied_find(task->applied, planned->service);
    struct lb_key key = lb_key_of(planned->service);
    int result;

    if (!service)
        service = service_add(task->applied, &key);
    if (!service)
        return -ENOMEM;
    service->is_seen = true;
    result = service_place(task, service);
    HASHMAP_FOREACH(node, &service->servers)
        CONTAINER_OF(node, struct applied_server, by_id)->is_seen = false;
    for (size_t i = 0; i < planned->n_servers && result == 0; i++)
        if (planned->servers[i].is_used || service_needs_sorry_server(planned, i))
            result = server_apply(task, service, planned, &planned->servers[i]);
    if (result == 0)
        result = service_is_hash(planned->service) ? rows_apply(task, service, planned) : order_apply(task, service, planned);
    if (result < 0)
        return result;
    HASHMAP_FOREACH(node, &service->servers) {
        struct applied_server *server = CONTAINER_OF(node, struct applied_server, by_id);

        if (!server->is_seen)
            server_remove(task->applied, service, server);
    }
    return 0;
}

static void set_settings(struct lb_tables *tables, const struct plan *plan)
{
    const struct connection_timeouts *timeouts = &plan->config->timeouts;
    bool translation = false, any_port = false;

    for (size_t i = 0; i < plan->n_services; i++) {
        const struct virtual_service *service = plan->services[i].service;

        translation = translation || service_has_translation(&plan->services[i]);
        any_port = any_port || (!service->mark && !service->port);
    }
    tables->settings->tcp_s = timeouts->tcp_s;
    tables->settings->tcp_fin_s = timeouts->tcp_fin_s;
    tables->settings->udp_s = timeouts->udp_s;
    tables->settings->has_translation = translation;
    tables->settings->has_any_port = any_port;
    tables->settings->chain_port = htons(plan->config->second_chance_port);
}

int apply(struct applied *applied, const struct plan *plan, source_of source, void *context, uint64_t now_ms, struct error *error)
{
    struct task task = {applied, source, context, now_ms, error};
    int result, worst = 0;

    places_give_back(applied);
    set_settings(applied->tables, plan);
    locals_apply(applied->tables, plan->config);
    HASHMAP_FOREACH(node, &applied->services)
        CONTAINER_OF(node, struct applied_service, by_key)->is_seen = false;
    for (size_t i = 0; i < plan->n_services; i++) {
        result = apply_service(&task, &plan->services[i]);

        if (result < 0 && worst != -ENOSPC) /* That is what larger tables help with. */
            worst = result;
    }
    HASHMAP_FOREACH(node, &applied->services) {
        struct applied_service *service = CONTAINER_OF(node, struct applied_service, by_key);

        if (!service->is_seen)
            service_remove(applied, service);
    }
    result = marks_apply(&task, plan->config);
    if (result < 0 && worst != -ENOSPC)
        worst = result;
    return worst < 0 ? error_set(error, worst, NULL, "cannot write the tables: %s", strerror(-worst)) : 0;
}
