#include "weft/api/service.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "weft/api/hosts.h"
#include "weft/api/identity.h"
#include "weft/api/lines.h"
#include "weft/api/metrics.h"
#include "weft/api/networking.h"
#include "weft/api/readiness.h"
#include "weft/api/replica.h"
#include "weft/api/request.h"
#include "weft/base/clock.h"
#include "weft/base/util.h"
#include "weft/http/counters.h"
#include "weft/http/health.h"

static int check_roles(const struct request *request, const struct auth_context *auth, struct error *error)
{
    enum policy policy = request->route->policy;

    if (policy == POLICY_TOKEN)
        return 0;
    if (policy == POLICY_ADMIN)
        return auth->is_admin ? 0
                              : error_set_type(error, -EPERM, "HTTPForbidden", NULL, "%s %.200s is not allowed: it needs the role admin.",
                                               request->method, request->path);
    if (!auth->project_id[0])
        return error_set_type(error, -EPERM, "HTTPForbidden", NULL, "The token is not scoped to a project.");
    if (auth->roles == 0 || (policy == POLICY_WRITE && !(auth->roles & (ROLE_MEMBER | ROLE_ADMIN))))
        return error_set_type(error, -EPERM, "HTTPForbidden", NULL, "%s %.200s is not allowed: it needs the role member.", request->method,
                              request->path);
    return 0;
}

static int authenticate(struct request *request, struct error *error)
{
    struct auth_context *auth = request_auth(request);
    struct api *api = request_api(request);
    int r;

    memset(auth, 0, sizeof(*auth));
    if (request->route->policy == POLICY_PUBLIC)
        return 0;
    if (request->route->policy == POLICY_HOST)
        return hosts_authenticate(api->hosts, request_parameter(request, "name"), request_header(request, "Authorization"), auth, error);

    /* A web page that the administrator looks at must not become one: browsers say whose page asks. */
    if (api->no_auth && request_header(request, "Origin"))
        return error_set_type(error, -EPERM, "HTTPForbidden", NULL, "Without authentication (--no-auth) web pages are not served: Origin: '%.100s'.",
                              request_header(request, "Origin"));
    r = identity_authenticate(api->identity, request_header(request, "X-Auth-Token"), auth, error);
    return r < 0 ? r : check_roles(request, auth, error);
}

static void barrier_reached(struct replica_wait *wait)
{
    request_proceed(CONTAINER_OF(wait, struct api_request, barrier)->request);
}

static void barrier(struct request *request)
{
    struct api_request *own = request->own;
    struct api *api = request_api(request);

    own->request = request;
    own->barrier.done = barrier_reached;
    replica_wait(api->replica, &own->barrier, store_revision(api->store));
}

static void ended(struct request *request)
{
    struct api_request *own = request->own;

    lines_leave(networking_lines(request_api(request)->networking), &own->line);
}

static bool speaks_keystone(const struct request *request)
{
    return strncmp(request->path, "/identity", 9) == 0 || strncmp(request->path, "/v3", 3) == 0;
}

/* In the form of the API that was called: {"NeutronError": {"type", "message", "detail"}}, under /identity and /v3
 * {"error": {"code", "title", "message"}}, under /load-balancer {"faultcode", "faultstring", "debuginfo"}. */
static json_t *fail_body(struct request *request, int status, const char *type, const char *message)
{
    if (status == HTTP_UNAUTHORIZED) {
        char value[360];

        snprintf(value, sizeof(value), "Keystone uri=\"%s/identity\"", request_public_url(request));
        request_add_header(request, "WWW-Authenticate", value);
    }
    /* A 401 has Keystone's form everywhere: in OpenStack the middleware in front of a service sends it. */
    if (speaks_keystone(request) || status == HTTP_UNAUTHORIZED)
        return json_pack("{s{sissss}}", "error", "code", status, "title", http_status_title(status), "message", message);
    if (strncmp(request->path, "/load-balancer", 14) == 0)
        return json_pack("{ssssso?}", "faultcode", status < HTTP_SERVER_ERROR ? "Client" : "Server", "faultstring", message, "debuginfo", NULL);
    return json_pack("{s{ssssss}}", "NeutronError", "type", type, "message", message, "detail", "");
}

static const char *not_ready(void *context)
{
    struct api *api = context;

    return readiness_check(&api->readiness, replica_revision(api->replica), store_revision(api->store), clock_monotonic_ms())
               ? NULL
               : "the replica does not follow the store";
}

static int write_metrics(void *context, struct buffer *buffer)
{
    return metrics_write(context, buffer);
}

int service_init(struct api *api)
{
    int r = request_counters_new(&api->counters);

    api->service = (struct http_service){
        .context = api,
        .own_size = sizeof(struct api_request),
        .request_id_header = "X-Openstack-Request-Id",
        .counters = api->counters,
        .authenticate = authenticate,
        .barrier = barrier,
        .ended = ended,
        .fail_body = fail_body,
        .not_ready = not_ready,
        .write_metrics = write_metrics,
    };
    api->metrics_service = api->service;
    if (r == 0)
        r = routes_new(&api->service.routes);
    if (r == 0)
        r = routes_new(&api->metrics_service.routes);
    if (r == 0)
        r = health_add(api->service.routes);
    if (r == 0)
        r = health_add(api->metrics_service.routes);
    if (r == 0)
        r = health_add_metrics(api->metrics_service.routes);
    return r;
}

void service_clear(struct api *api)
{
    routes_free(api->service.routes);
    routes_free(api->metrics_service.routes);
    request_counters_free(api->counters);
}
