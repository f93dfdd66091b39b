#include "weft/director/ipvsadm/edit.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "weft/base/util.h"

static int refuse(struct ipvsadm_refusal *refusal, const char *text)
{
    refusal->status = IPVSADM_FAILED;
    string_copy(refusal->text, sizeof(refusal->text), text);
    return -EINVAL;
}

/* One more element at the end; NULL without memory. */
static void *append(void *array_pointer, size_t *n, size_t size)
{
    void *array = reallocarray(*(void **)array_pointer, *n + 1, size);

    if (!array)
        return NULL;
    *(void **)array_pointer = array;
    return memset((char *)array + (*n)++ * size, 0, size);
}

static void remove_at(void *array, size_t *n, size_t size, size_t index)
{
    char *place = (char *)array + index * size;

    memmove(place, place + size, (--*n - index) * size);
}

/* What holds for the service or server and is no matter of ipvsadm's words. */
static int refuse_what_does_not_hold(int result, const struct error *error, struct ipvsadm_refusal *refusal)
{
    if (result == -ERANGE)
        return refuse(refusal, "Numerical result out of range");
    refusal->status = IPVSADM_FAILED;
    snprintf(
        refusal->text, sizeof(refusal->text),
        "Invalid operation.  Possibly wrong module version, address not unicast, ...\nweft-ipvsadm: %.110s: %.280s",
        error->field, error->message);
    return -EINVAL;
}

static int add_service(struct director_config *config, const struct ipvsadm_call *call, struct ipvsadm_refusal *refusal)
{
    struct virtual_service *service;
    struct error error = {0};
    int result;

    if (director_config_find(config, &call->service))
        return refuse(refusal, "Service already exists");
    if (!call->is_known)
        return refuse(refusal, "Scheduler or persistence engine not found");
    result = virtual_service_check(&call->service, &error);
    if (result < 0)
        return refuse_what_does_not_hold(result, &error, refusal);
    if (config->n_services == DIRECTOR_SERVICES_MAX)
        return refuse(refusal, "There are as many services as can be");
    service = append(&config->services, &config->n_services, sizeof(*service));
    if (!service)
        return refuse(refusal, "Memory allocation problem");
    *service = call->service;
    return 0;
}

static int edit_service(struct virtual_service *service, const struct ipvsadm_call *call,
                        struct ipvsadm_refusal *refusal)
{
    struct virtual_service edited = *service;
    struct error error = {0};
    int result;

    if (!call->is_known)
        return refuse(refusal, "Scheduler or persistence engine not found");
    edited.scheduler = call->service.scheduler;
    edited.scheduler_flags = call->service.scheduler_flags;
    edited.persistence_timeout_s = call->service.persistence_timeout_s;
    edited.persistence_mask = call->service.persistence_mask;
    edited.one_packet = call->service.one_packet;
    result = virtual_service_check(&edited, &error);
    if (result < 0)
        return refuse_what_does_not_hold(result, &error, refusal);
    *service = edited;
    return 0;
}

static void delete_service(struct director_config *config, struct virtual_service *service)
{
    size_t index = (size_t)(service - config->services);

    virtual_service_clear(service);
    remove_at(config->services, &config->n_services, sizeof(*service), index);
}

static void clear(struct director_config *config)
{
    for (size_t i = 0; i < config->n_services; i++)
        virtual_service_clear(&config->services[i]);
    free(config->services);
    config->services = NULL;
    config->n_services = 0;
}

static int add_server(struct virtual_service *service, const struct ipvsadm_call *call, struct ipvsadm_refusal *refusal)
{
    struct real_server *server;
    struct error error = {0};
    int result;

    result = real_server_check(service, &call->server, &error);
    if (result < 0)
        return refuse_what_does_not_hold(result, &error, refusal);
    if (virtual_service_find(service, &call->server))
        return refuse(refusal, "Destination already exists");
    if (service->n_servers == DIRECTOR_SERVICE_SERVERS_MAX)
        return refuse(refusal, "The service has as many servers as it can");
    server = append(&service->servers, &service->n_servers, sizeof(*server));
    if (!server)
        return refuse(refusal, "Memory allocation problem");
    *server = call->server;
    return 0;
}

static int edit_server(const struct virtual_service *service, const struct ipvsadm_call *call,
                       struct ipvsadm_refusal *refusal)
{
    struct real_server *server = virtual_service_find(service, &call->server), edited;
    struct error error = {0};
    int result;

    if (call->server.lower_threshold >
        call->server.upper_threshold) /* IPVS looks at this before it looks for the server. */
        return refuse_what_does_not_hold(-ERANGE, &error, refusal);
    if (!server)
        return refuse(refusal, "No such destination");
    edited = *server;
    edited.forwarding = call->server.forwarding;
    edited.tunnel = call->server.tunnel;
    edited.dscp = call->server.dscp;
    edited.weight = call->server.weight;
    edited.upper_threshold = call->server.upper_threshold;
    edited.lower_threshold = call->server.lower_threshold;
    result = real_server_check(service, &edited, &error);
    if (result < 0)
        return refuse_what_does_not_hold(result, &error, refusal);
    *server = edited;
    return 0;
}

static int delete_server(struct virtual_service *service, const struct ipvsadm_call *call,
                         struct ipvsadm_refusal *refusal)
{
    struct real_server *server = virtual_service_find(service, &call->server);
    size_t index = server ? (size_t)(server - service->servers) : 0;

    if (!server)
        return refuse(refusal, "No such destination");
    real_server_clear(server);
    remove_at(service->servers, &service->n_servers, sizeof(*server), index);
    return 0;
}

static void set_timeouts(struct connection_timeouts *timeouts, const struct connection_timeouts *asked)
{
    if (asked->tcp_s)
        timeouts->tcp_s = asked->tcp_s;
    if (asked->tcp_fin_s)
        timeouts->tcp_fin_s = asked->tcp_fin_s;
    if (asked->udp_s)
        timeouts->udp_s = asked->udp_s;
}

bool ipvsadm_changes(enum ipvsadm_command command)
{
    switch ((int)command) {
    case IPVSADM_ADD_SERVICE:
    case IPVSADM_EDIT_SERVICE:
    case IPVSADM_DELETE_SERVICE:
    case IPVSADM_CLEAR:
    case IPVSADM_ADD_SERVER:
    case IPVSADM_EDIT_SERVER:
    case IPVSADM_DELETE_SERVER:
    case IPVSADM_SET:
        return true;
    default:
        return false;
    }
}

/* The service that a command is about, or NULL. */
static struct virtual_service *find_service(const struct director_config *config, const struct ipvsadm_call *call)
{
    struct virtual_service *last = config->n_services ? &config->services[config->n_services - 1] : NULL;

    if (last &&
        virtual_service_same_key(last, &call->service)) /* A saved table names each service's servers behind it. */
        return last;
    return director_config_find(config, &call->service);
}

static int change_service(struct director_config *config, const struct ipvsadm_call *call,
                          struct ipvsadm_refusal *refusal)
{
    struct virtual_service *service = find_service(config, call);

    if (!service)
        return refuse(refusal, "No such service");
    if (call->command == IPVSADM_EDIT_SERVICE)
        return edit_service(service, call, refusal);
    delete_service(config, service);
    return 0;
}

static int change_server(const struct director_config *config, const struct ipvsadm_call *call,
                         struct ipvsadm_refusal *refusal)
{
    struct virtual_service *service = find_service(config, call);

    if (!service)
        return refuse(refusal, "Service not defined");
    return call->command == IPVSADM_ADD_SERVER    ? add_server(service, call, refusal)
           : call->command == IPVSADM_EDIT_SERVER ? edit_server(service, call, refusal)
                                                  : delete_server(service, call, refusal);
}

int ipvsadm_edit(struct director_config *config, const struct ipvsadm_call *call, struct ipvsadm_refusal *ret_refusal)
{
    switch ((int)call->command) {
    case IPVSADM_ADD_SERVICE:
        return add_service(config, call, ret_refusal);
    case IPVSADM_EDIT_SERVICE:
    case IPVSADM_DELETE_SERVICE:
        return change_service(config, call, ret_refusal);
    case IPVSADM_CLEAR:
        clear(config);
        return 0;
    case IPVSADM_ADD_SERVER:
    case IPVSADM_EDIT_SERVER:
    case IPVSADM_DELETE_SERVER:
        return change_server(config, call, ret_refusal);
    case IPVSADM_SET:
        set_timeouts(&config->timeouts, &call->timeouts);
        return 0;
    default:
        return 0;
    }
}
