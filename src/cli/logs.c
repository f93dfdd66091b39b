#include "weft/cli/logs.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "weft/base/util.h"
#include "weft/cli/output.h"
#include "weft/cli/resource.h"
#include "weft/cli/text.h"

static const struct column type_columns[] = {{"type", "TYPE"}, {NULL, NULL}};

int run_log_types(struct call *call)
{
    _cleanup_(json_decrefp) json_t *answer = NULL;
    int r = resource_get(call->session, SERVICE_NETWORK, &answer, &call->error, "/log/loggable-resources");

    return r < 0 ? r : output_list(call, json_object_get(answer, "loggable_resources"), type_columns);
}

/* ---- log follow ---------------------------------------------------------------------------------------------------------------- */

static volatile sig_atomic_t interrupted;

static void on_interrupt(int signal_number)
{
    (void)signal_number;
    interrupted = 1;
}

/* Only administrators are told where a port is bound.  What is not known to be unbound is asked about. */
static bool may_be_bound(const json_t *port)
{
    const json_t *host = json_object_get(port, "binding:host_id");

    return !host || *resource_string(port, "binding:host_id");
}

/* Those named, or all that may be bound of those that the caller sees. */
static int find_ports(struct call *call, json_t **ret)
{
    _cleanup_(json_decrefp) json_t *ports = json_array(), *all = NULL;
    const json_t *port;
    size_t i;
    int r = ports ? 0 : -ENOMEM;

    for (i = 0; r >= 0 && i < call->n_arguments; i++) {
        json_t *found = NULL;

        r = resource_find(call->session, &resource_port, call_argument(call, i), &found, &call->error);
        if (r >= 0)
            json_array_append_new(ports, found);
    }
    if (r >= 0 && call->n_arguments == 0) {
        r = resource_list(call->session, &resource_port, NULL, &all, &call->error);
        json_array_foreach (all, i, port)
            if (may_be_bound(port))
                json_array_append(ports, (json_t *)port);
    }
    if (r >= 0)
        *ret = TAKE_PTR(ports);
    return r;
}

/* What came since the last call, which 'next' has by port. */
static int print_new(struct call *call, const json_t *port, json_t *next)
{
    _cleanup_(json_decrefp) json_t *answer = NULL;
    const json_t *since = json_object_get(next, resource_id(port)), *line;
    json_int_t missed;
    size_t i;
    int r;

    if (since)
        r = resource_get(call->session, SERVICE_WEFT, &answer, &call->error, "/ports/%s/log?since=%lld", resource_id(port),
                         (long long)json_integer_value(since));
    else
        r = resource_get(call->session, SERVICE_WEFT, &answer, &call->error, "/ports/%s/log", resource_id(port));
    if (r < 0)
        return r;
    missed = json_integer_value(json_object_get(answer, "missed"));
    if (missed > 0)
        fprintf(stderr, "weft: port %s: %lld lines were not seen in time\n", resource_id(port), (long long)missed);
    json_array_foreach (json_object_get(answer, "lines"), i, line)
        if (json_is_string(line))
            printf("%s\n", json_string_value(line));
    return json_object_set(next, resource_id(port), json_object_get(answer, "next"));
}

/* Of ports that nobody named: one that is not bound (any more, or yet), and one that is seen but another project's, on a network of the caller's. */
static bool is_passed_over(const struct call *call, int r)
{
    return call->n_arguments == 0 && ((r == -EEXIST && streq(call->error.type, "PortNotBound")) || r == -ENOENT);
}

/* How many have been asked; or an error. */
static int print_all_new(struct call *call, const json_t *ports, json_t *next)
{
    const json_t *port;
    int r, n_followed = 0;
    size_t i;

    json_array_foreach (ports, i, port) {
        r = print_new(call, port, next);
        if (r >= 0)
            n_followed++;
        else if (is_passed_over(call, r))
            call->error = (struct error){0};
        else
            return r;
    }
    fflush(stdout);
    return n_followed;
}

int run_log_follow(struct call *call)
{
    const struct sigaction action = {.sa_handler = on_interrupt};
    const struct timespec second = {.tv_sec = 1};
    _cleanup_(json_decrefp) json_t *ports = NULL, *next = json_object();
    int r = next ? find_ports(call, &ports) : -ENOMEM;

    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    if (r >= 0)
        r = print_all_new(call, ports, next);
    if (r == 0)
        return error_set(&call->error, -ENOENT, "port", "there is no port that is bound to a host");
    if (r > 0)
        fprintf(stderr, "weft: following %d ports\n", r);
    while (r >= 0 && !interrupted)
        if (nanosleep(&second, NULL) == 0)
            r = print_all_new(call, ports, next);
    return r;
}
