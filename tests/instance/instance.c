#include "instance.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "weft/api/balancing.h"
#include "weft/api/commits.h"
#include "weft/api/hosts.h"
#include "weft/api/identity.h"
#include "weft/api/networking.h"
#include "weft/api/replica.h"
#include "weft/api/service.h"
#include "weft/base/clock.h"
#include "weft/base/log.h"
#include "weft/http/dispatch.h"

#define DEADLINE_MS 30000

static void check(bool good, const char *what)
{
    if (good)
        return;
    fprintf(stderr, "instance: %s failed\n", what);
    abort();
}

void instance_start(struct instance *instance, struct store *store)
{
    struct identity_options identity = {.cost = {.operations = 1, .memory_kib = 64}, .token_seconds = 3600};
    struct api *api = &instance->api;
    char password_file[] = "/tmp/weft-instance-XXXXXX";
    struct error error = {0};
    int fd;

    log_set_level(LOG_LEVEL_ERROR);
    check(sodium_init() >= 0, "sodium");
    memset(instance, 0, sizeof *instance);
    check(uv_loop_init(&instance->loop) == 0, "loop");
    api->loop = &instance->loop;
    api->store = store;
    api->no_auth = true;
    check((fd = mkstemp(password_file)) >= 0 && write(fd, "secret\n", 7) == 7, "password file");
    close(fd);
    identity.bootstrap_file = password_file;
    check(service_init(api) == 0, "service");
    api->service.public_url = "http://127.0.0.1:9696";
    check(replica_new(api->loop, store, &api->replica) == 0, "replica");
    check(commits_new(api->loop, store, api->replica, &api->commits) == 0, "commits");
    check(identity_new(api, &identity, &api->identity) == 0, "identity");
    check(hosts_new(api, &api->hosts) == 0, "hosts");
    check(networking_new(api, &api->networking) == 0, "networking");
    check(balancing_new(api, &(struct balancing_options){0}, &api->balancing) == 0, "balancing");
    check(replica_start(api->replica, &error) == 0, "replica's start");
    check(identity_bootstrap(api->identity, &error) == 0, "bootstrap");
    unlink(password_file);
}

void instance_stop(struct instance *instance)
{
    replica_stop(instance->api.replica);
}

void instance_free(struct instance *instance)
{
    struct api *api = &instance->api;

    commits_free(api->commits);
    networking_stop(api->networking);
    balancing_stop(api->balancing);
    hosts_free(api->hosts);
    identity_free(api->identity);
    replica_free(api->replica);
    uv_run(&instance->loop, UV_RUN_DEFAULT);
    check(uv_loop_close(&instance->loop) == 0, "the loop's end");
    balancing_free(api->balancing);
    networking_free(api->networking);
    service_clear(api);
}

static const char *header(void *context, const char *name)
{
    const struct exchange *exchange = context;

    return !strcasecmp(name, "If-Match") ? exchange->if_match : NULL;
}

static void answered(struct request *request, struct answer *answer, void *context)
{
    struct exchange *exchange = context;

    check(!exchange->is_answered, "an answer given once");
    exchange->is_answered = true;
    exchange->status = answer->status;
    if (answer->size > 0 && answer->content_type && !strcmp(answer->content_type, "application/json")) {
        exchange->body = json_loadb(answer->bytes, answer->size, 0, NULL);
        check(exchange->body != NULL, "an answer that is JSON");
    }
    if (answer->stream && answer->stream->closed)
        answer->stream->closed(answer->stream);
}

void exchange_start(struct exchange *exchange, struct instance *instance, const char *method, const char *target, const char *body)
{
    struct request_source source = {.header = header, .scheme = "http", .answered = answered, .context = exchange};
    struct request *request = request_new(&instance->api.service, method, target, &source);

    check(request != NULL, "request_new");
    request_dispatch(request, body ? strdup(body) : NULL, body ? strlen(body) : 0, false);
}

void exchange_clear(struct exchange *exchange)
{
    json_decref(exchange->body);
    *exchange = (struct exchange){0};
}

void instances_run(struct instance *const *instances, size_t n_instances, const struct exchange *exchanges, size_t n_exchanges)
{
    uint64_t deadline_ms = clock_monotonic_ms() + DEADLINE_MS;

    for (size_t i = 0; i < n_exchanges;) {
        if (exchanges[i].is_answered) {
            i++;
            continue;
        }
        for (size_t j = 0; j < n_instances; j++)
            uv_run(&instances[j]->loop, UV_RUN_NOWAIT);
        check(clock_monotonic_ms() < deadline_ms, "an answer within 30 s");
        usleep(20); /* The store's thread works meanwhile. */
    }
}

int instance_call(struct instance *instance, const char *method, const char *target, const char *body, json_t **ret_body)
{
    struct exchange exchange = {0};

    exchange_start(&exchange, instance, method, target, body);
    instances_run(&instance, 1, &exchange, 1);
    if (ret_body)
        *ret_body = exchange.body;
    else
        json_decref(exchange.body);
    return exchange.status;
}
