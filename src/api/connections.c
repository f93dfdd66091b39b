/* /weft/v1/connections: what the hosts' data planes know of connections, over all hosts that may have some that are meant.
 *
 * A project sees and ends those of its own ports, an administrator all.  Each host with a port that is meant is asked; a host that does not answer
 * is told in 'failures', and the others' answers are given all the same.  Which host it is only administrators are told: where workloads are is
 * nothing that tenants learn (binding:host_id of ports is shown to nobody else either). */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "weft/api/hosts-state.h"
#include "weft/base/util.h"
#include "weft/model/connection-filter.h"

#define LIMIT_DEFAULT 100
#define LIMIT_MAX 10000

struct wish {
    struct request *request;
    json_t *arguments;      /* For the agents. */
    const char *port_id, *host_name, *project_id; /* Of the query; NULL: any. */
    bool has_condition, all;
    uint64_t limit;
    json_t *connections;    /* NULL: they are to be ended. */
    json_t *failures;
    bool is_truncated;
    json_int_t n_deleted;
    size_t n_hosts;         /* That are asked. */
    unsigned n_waiting;
};

struct asked {
    struct wish *wish;
    char host_name[160];
};

static void wish_free(struct wish *wish)
{
    json_decref(wish->arguments);
    json_decref(wish->connections);
    json_decref(wish->failures);
    free(wish);
}

static void wish_finish(struct wish *wish)
{
    struct request *request = wish->request;

    askers_leave(request, wish->n_hosts);
    if (wish->connections)
        request_respond(request, HTTP_OK, json_pack("{s:O,s:b,s:O}", "connections", wish->connections, "truncated", wish->is_truncated, "failures",
                                                    wish->failures));
    else
        request_respond(request, HTTP_OK, json_pack("{s:I,s:O}", "deleted", wish->n_deleted, "failures", wish->failures));
    wish_free(wish);
}

static void take_connections(struct wish *wish, const char *host_name, const json_t *answer)
{
    json_t *connection;
    size_t i;

    json_array_foreach(json_object_get(answer, "connections"), i, connection) {
        json_t *copy;

        if (json_array_size(wish->connections) >= wish->limit) {
            wish->is_truncated = true;
            return;
        }
        copy = json_copy(connection);
        if (request_auth(wish->request)->is_admin)
            json_object_set_new(copy, "host", json_string(host_name));
        json_array_append_new(wish->connections, copy);
    }
    wish->is_truncated = wish->is_truncated || json_is_true(json_object_get(answer, "truncated"));
}

static void answered(const json_t *answer, const struct error *error, void *context)
{
    struct asked *asked = context;
    struct wish *wish = asked->wish;

    if (error && request_auth(wish->request)->is_admin)
        json_array_append_new(wish->failures, json_pack("{s:s,s:s}", "host", asked->host_name, "error", error->message));
    else if (error)
        json_array_append_new(wish->failures, json_pack("{s:s}", "error", "A host did not answer."));
    else if (wish->connections)
        take_connections(wish, asked->host_name, answer);
    else
        wish->n_deleted += json_integer_value(json_object_get(answer, "deleted"));
    free(asked);
    if (--wish->n_waiting == 0)
        wish_finish(wish);
}

static void ask_host(struct wish *wish, const struct host *host)
{
    struct asked *asked = calloc(1, sizeof(*asked));

    if (!asked)
        return;
    asked->wish = wish;
    string_copy(asked->host_name, sizeof(asked->host_name), host->object.name);
    wish->n_waiting++;
    questions_ask(request_api(wish->request)->hosts, host, wish->connections ? "connections" : "delete_connections", json_deep_copy(wish->arguments),
                  answered, asked);
}

/* Is any port that is meant on the host? */
static bool concerns_host(const struct wish *wish, const struct host *host)
{
    REPLICA_FOREACH(member, replica_ports_by_host(request_api(wish->request)->replica, host->object.name)) {
        const struct port *port = (const struct port *)member->object;

        if (wish->project_id && !streq(port->object.project_id, wish->project_id))
            continue;
        if (!wish->port_id || streq(port->object.id, wish->port_id))
            return true;
    }
    return false;
}

static bool is_meant(const struct wish *wish, const struct host *host)
{
    if (wish->host_name && !streq(wish->host_name, host->object.name) && !streq(wish->host_name, host->object.id))
        return false;
    return concerns_host(wish, host);
}

static void ask_hosts(struct wish *wish)
{
    size_t n;
    const struct object *const *hosts = replica_list(request_api(wish->request)->replica, RESOURCE_HOST, &n);

    for (size_t i = 0; i < n; i++)
        wish->n_hosts += is_meant(wish, (const struct host *)hosts[i]);
    if (!askers_enter(wish->request, wish->n_hosts)) {
        wish_free(wish);
        return;
    }
    wish->n_waiting = 1; /* Ours, so that an answer that is there at once does not end it too early. */
    for (size_t i = 0; i < n; i++)
        if (is_meant(wish, (const struct host *)hosts[i]))
            ask_host(wish, (const struct host *)hosts[i]);
    if (--wish->n_waiting == 0)
        wish_finish(wish);
}

/* One parameter of the query.  An unknown one is an error: what a typing mistake leaves out would make a deletion larger. */
static int take_parameter(struct wish *wish, const char *name, const char *value, struct error *error)
{
    struct connection_filter unused = {0};
    int r;

    wish->has_condition = wish->has_condition || (!streq(name, "limit") && !streq(name, "all"));
    if (streq(name, "port_id")) {
        wish->port_id = value;
    } else if (streq(name, "host")) {
        wish->host_name = value;
    } else if (streq(name, "project_id")) {
        wish->project_id = value;
    } else if (streq(name, "limit") && wish->connections) {
        if (parse_u64(value, 1, LIMIT_MAX, &wish->limit) < 0)
            return error_set(error, -EINVAL, name, "limit: '%.40s' is not a number from 1 to %d", value, LIMIT_MAX);
    } else if (streq(name, "all") && !wish->connections) {
        if (!streq(value, "true"))
            return error_set(error, -EINVAL, name, "all: '%.40s' is not true", value);
        wish->all = true;
    } else {
        r = connection_filter_add(&unused, name, value, error);
        if (r == -ENOENT)
            return error_set(error, -EINVAL, name, "'%.60s' is not a property of connections", name);
        if (r < 0)
            return r;
        if (json_object_get(wish->arguments, name))
            return error_set(error, -EINVAL, name, "%s: given twice", name);
        json_object_set_new(wish->arguments, name, json_string(value));
    }
    return 0;
}

static int read_query(struct wish *wish, struct error *error)
{
    const struct request *request = wish->request;

    for (size_t i = 0; i < request->n_query; i++) {
        int r = take_parameter(wish, request->query[i].name, request->query[i].value, error);

        if (r < 0)
            return r;
    }
    if (!wish->connections && !wish->has_condition && !wish->all)
        return error_set(error, -EINVAL, "all", "Which connections? Give a condition, or all=true.");
    return 0;
}

/* Nobody but an administrator has to do with what is another project's. */
static bool is_allowed(struct wish *wish)
{
    const struct auth_context *auth = request_auth(wish->request);
    const struct port *port = wish->port_id ? replica_port(request_api(wish->request)->replica, wish->port_id) : NULL;

    if (wish->port_id && (!port || (!auth->is_admin && !streq(port->object.project_id, auth->project_id)))) {
        request_fail(wish->request, HTTP_NOT_FOUND, "PortNotFound", "Port %.64s could not be found.", wish->port_id);
        return false;
    }
    if (auth->is_admin)
        return true;
    if (wish->host_name) {
        request_fail(wish->request, HTTP_FORBIDDEN, "PolicyNotAuthorized", "host: only administrators ask by host");
        return false;
    }
    if (wish->project_id && !streq(wish->project_id, auth->project_id)) {
        request_fail(wish->request, HTTP_NOT_FOUND, NULL, "Project %.64s could not be found.", wish->project_id);
        return false;
    }
    wish->project_id = auth->project_id;
    return true;
}

static void connections(struct request *request)
{
    bool deletes = request->route->data;
    struct wish *wish = calloc(1, sizeof(*wish));
    struct error error = {0};

    if (!wish) {
        request_fail(request, HTTP_UNAVAILABLE, NULL, "out of memory");
        return;
    }
    *wish = (struct wish){.request = request, .arguments = json_object(), .failures = json_array(), .limit = LIMIT_DEFAULT};
    if (!deletes)
        wish->connections = json_array();
    if (read_query(wish, &error) < 0) {
        request_fail(request, HTTP_BAD_REQUEST, NULL, "%s", error.message);
        wish_free(wish);
        return;
    }
    if (!is_allowed(wish)) {
        wish_free(wish);
        return;
    }
    if (wish->port_id)
        json_object_set_new(wish->arguments, "port", json_string(wish->port_id));
    if (wish->project_id)
        json_object_set_new(wish->arguments, "project", json_string(wish->project_id));
    if (!deletes)
        json_object_set_new(wish->arguments, "limit", json_integer((json_int_t)wish->limit));
    ask_hosts(wish);
}

const struct route connection_routes[] = {
    {"GET", "/weft/v1/connections", POLICY_PROJECT, connections},
    {"DELETE", "/weft/v1/connections", POLICY_WRITE, connections, "deletes"},
};
const size_t n_connection_routes = ARRAY_SIZE(connection_routes);
