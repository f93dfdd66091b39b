/* keepalived's real servers. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "weft/base/util.h"
#include "weft/director/config.h"
#include "weft/director/keepalived/translate-parts.h"

static void take_member(const struct translation *t, const struct statement *member, struct real_server *server,
                        struct check_values *values)
{
    const char *name = member->words[0];

    if (streq(name, "weight"))
        take_number(t, member, 0, SERVER_WEIGHT_MAX, &server->weight);
    else if (streq(name, "uthreshold"))
        take_number(t, member, 0, SERVER_THRESHOLD_MAX, &server->upper_threshold);
    else if (streq(name, "lthreshold"))
        take_number(t, member, 0, SERVER_THRESHOLD_MAX, &server->lower_threshold);
    else if (streq(name, "lvs_method") || streq(name, "lb_kind"))
        take_method(t, member, server);
    else if (streq(name, "inhibit_on_failure"))
        take_bool(t, member, &server->inhibit_on_failure);
    else if (streq(name, "notify_up"))
        take_command(t, member, &server->notify_up);
    else if (streq(name, "notify_down"))
        take_command(t, member, &server->notify_down);
    else if (!take_check_value(t, member, values))
        note(t, member,
             streq(name, "BFD_CHECK")
                 ? "this check is not supported: the server is used without it"
                 : "it is not supported");
}

/* Checkers go by what the server says anywhere. */
static bool is_checker(const struct statement *statement)
{
    size_t length = strlen(statement->words[0]);

    return streq(statement->words[0], "HTTP_GET") || streq(statement->words[0], "SSL_GET") ||
           (length > 6 && streq(statement->words[0] + length - 6, "_CHECK") &&
            !streq(statement->words[0], "BFD_CHECK"));
}

/* What is not translated keeps the service's port, whatever is written. */
static void keep_port(const struct translation *t, const struct statement *statement, struct real_server *server)
{
    uint16_t port = t->service->port;

    if (t->service->mark || server->forwarding == FORWARD_NAT || server->port == port)
        return;
    note(t, statement, "port %u becomes the virtual server's, %u: %s keeps it", server->port, port,
         forwarding_name(server->forwarding));
    for (size_t i = 0; i < server->n_checks; i++) /* They ask where it was said. */
        if (!server->checks[i].port && server->checks[i].type != CHECK_MISC && server->checks[i].type != CHECK_PING)
            server->checks[i].port = server->port;
    server->port = port;
}

int translate_server(const struct translation *t, const struct statement *statement, struct virtual_service *service)
{
    struct check_values values = t->values;
    struct real_server server = t->server, *servers;
    struct error error = {0};

    server.port = service->port;
    if (!take_address(t, statement, 1, &server.address) ||
        (statement->n_words > 2 && !take_port(t, statement, 2, &server.port)))
        return 0;
    for (const struct statement *member = statement->first; member; member = member->next)
        if (!is_checker(member))
            take_member(t, member, &server, &values);
    for (const struct statement *member = statement->first; member; member = member->next)
        if (is_checker(member) && !translate_check(t, member, &values, &server))
            note(t, member, "this check is not supported: the server is used without it");
    keep_port(t, statement, &server);
    if (real_server_check(service, &server, &error) < 0) {
        note(t, statement, "the server is left out: %s: %s", error.field, error.message);
        real_server_clear(&server);
        return 0;
    }
    if (virtual_service_find(service, &server) || service->n_servers == DIRECTOR_SERVICE_SERVERS_MAX) {
        note(t, statement,
             virtual_service_find(service, &server) ? "the server is there already"
                                                    : "the service has as many servers as it can");
        real_server_clear(&server);
        return 0;
    }
    servers = reallocarray(service->servers, service->n_servers + 1, sizeof(*servers));
    if (!servers) {
        real_server_clear(&server);
        return -ENOMEM;
    }
    service->servers = servers;
    servers[service->n_servers++] = server;
    return 0;
}
