#include "weft/director/plan.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>

struct plan *plan_new(const struct director_config *config)
{
    _cleanup_(plan_freep) struct plan *plan = calloc(1, sizeof(*plan));

    if (!plan)
        return NULL;
    plan->config = config;
    plan->services = calloc(config->n_services ? config->n_services : 1, sizeof(*plan->services));
    if (!plan->services)
        return NULL;
    for (size_t i = 0; i < config->n_services; i++) {
        const struct virtual_service *service = &config->services[i];
        struct planned_service *planned = &plan->services[plan->n_services];
        struct error ignored = {0};

        if (plan_check_service(service, &ignored) < 0)
            continue;
        plan->n_services++;
        planned->service = service;
        planned->servers = calloc(service->n_servers + 1, sizeof(*planned->servers));
        if (!planned->servers)
            return NULL;
        for (size_t j = 0; j < service->n_servers; j++)
            planned->servers[planned->n_servers++] = (struct planned_server){&service->servers[j], service->servers[j].weight, true, false};
        if (service->has_sorry_server)
            planned->servers[planned->n_servers++] = (struct planned_server){&service->sorry_server, service->sorry_server.weight, false, false};
    }
    return TAKE_PTR(plan);
}

void plan_free(struct plan *plan)
{
    if (!plan)
        return;
    for (size_t i = 0; i < plan->n_services; i++)
        free(plan->services[i].servers);
    free(plan->services);
    free(plan);
}

static int check_server(const struct virtual_service *service, const struct real_server *server, struct error *error)
{
    bool is_nat = server->forwarding == FORWARD_NAT || server->forwarding == FORWARD_FULL_NAT;
    const char *name = forwarding_name(server->forwarding);

    if (is_nat && ip_is_v4(&server->address) == service->ipv6)
        return error_set(error, -EOPNOTSUPP, "forwarding", "'%s' between IPv4 and IPv6 is not supported by this director", name);
    if (is_nat && service->one_packet)
        return error_set(error, -EOPNOTSUPP, "forwarding", "'%s' of a one-packet service is not supported by this director", name);
    return 0;
}

int plan_check_service(const struct virtual_service *service, struct error *error)
{
    for (size_t i = 0; i < service->n_servers; i++)
        if (check_server(service, &service->servers[i], error) < 0) {
            error_prefix_field(error, "servers[%zu]", i);
            return -EOPNOTSUPP;
        }
    if (service->has_sorry_server && check_server(service, &service->sorry_server, error) < 0) {
        error_prefix_field(error, "sorry_server");
        return -EOPNOTSUPP;
    }
    return 0;
}

int plan_check(const struct director_config *config, struct error *error)
{
    for (size_t i = 0; i < config->n_services; i++)
        if (plan_check_service(&config->services[i], error) < 0) {
            error_prefix_field(error, "services[%zu]", i);
            return -EOPNOTSUPP;
        }
    return 0;
}
