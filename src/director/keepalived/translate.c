#include "weft/director/keepalived/translate.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "weft/base/util.h"
#include "weft/director/keepalived/translate-parts.h"

#define RANGE_MAX 1024 /* Addresses of one line of a group. */

/* Where a virtual server's services are added. */
struct target {
    struct director_config *config;
    struct import_report *report;
    const struct statement *root;
};

/* ---- A virtual server's own values. ---- */

static const struct {
    const char *name;
    enum scheduler scheduler; /* N_SCHEDULERS: any. */
    uint32_t flag;
} flags[] = {
    {"flag-1", N_SCHEDULERS, SCHEDULER_FLAG_1}, {"flag-2", N_SCHEDULERS, SCHEDULER_FLAG_2},
    {"flag-3", N_SCHEDULERS, SCHEDULER_FLAG_3}, {"sh-fallback", SCHEDULER_SH, SCHEDULER_FALLBACK},
    {"sh-port", SCHEDULER_SH, SCHEDULER_PORT},  {"mh-fallback", SCHEDULER_MH, SCHEDULER_FALLBACK},
    {"mh-port", SCHEDULER_MH, SCHEDULER_PORT},
};

static bool take_flag(const struct statement *statement, struct virtual_service *service)
{
    for (size_t i = 0; i < ARRAY_SIZE(flags); i++) {
        if (streq(statement->words[0], flags[i].name)) {
            service->scheduler_flags |= flags[i].flag;
            return true;
        }
    }
    return false;
}

static void take_scheduler(const struct translation *t, const struct statement *statement,
                           struct virtual_service *service)
{
    const char *name = statement->n_words > 1 ? statement->words[1] : "";

    if (scheduler_parse(name, &service->scheduler) < 0)
        note(t, statement, "'%s' is no scheduler that there is; it is %s", name, scheduler_name(service->scheduler));
}

static void take_persistence(const struct translation *t, const struct statement *statement,
                             struct virtual_service *service)
{
    uint32_t timeout = PERSISTENCE_TIMEOUT_DEFAULT_S;

    if (statement->n_words == 1 || take_number(t, statement, 0, PERSISTENCE_TIMEOUT_MAX_S, &timeout))
        service->persistence_timeout_s = timeout;
}

/* A mask, or of IPv6 a prefix length; it makes the service persistent. */
static void take_granularity(const struct translation *t, const struct statement *statement,
                             struct virtual_service *service)
{
    struct ip_address mask;

    if (service->ipv6 ? !take_number(t, statement, 1, 128, &service->persistence_mask)
                      : !take_address(t, statement, 1, &mask))
        return;
    if (!service->ipv6)
        service->persistence_mask = ip_to_v4(&mask);
    if (!service->persistence_timeout_s)
        service->persistence_timeout_s = PERSISTENCE_TIMEOUT_DEFAULT_S;
}

static void take_protocol(const struct translation *t, const struct statement *statement,
                          struct virtual_service *service)
{
    static const struct {
        const char *name;
        uint8_t protocol;
    } protocols[] = {{"TCP", IPPROTO_TCP}, {"UDP", IPPROTO_UDP}, {"SCTP", IPPROTO_SCTP}};

    for (size_t i = 0; statement->n_words > 1 && i < ARRAY_SIZE(protocols); i++) {
        if (!strcasecmp(statement->words[1], protocols[i].name)) {
            service->protocol = service->mark ? 0 : protocols[i].protocol;
            return;
        }
    }
    note(t, statement, "'%s' is not one of TCP, UDP, SCTP", statement->n_words > 1 ? statement->words[1] : "");
}

static void take_value(struct translation *t, const struct statement *statement, struct virtual_service *service)
{
    const char *name = statement->words[0];

    if (streq(name, "lvs_sched") || streq(name, "lb_algo"))
        take_scheduler(t, statement, service);
    else if (streq(name, "lvs_method") || streq(name, "lb_kind"))
        take_method(t, statement, &t->server);
    else if (streq(name, "persistence_timeout"))
        take_persistence(t, statement, service);
    else if (streq(name, "persistence_granularity"))
        take_granularity(t, statement, service);
    else if (streq(name, "protocol"))
        take_protocol(t, statement, service);
    else if (streq(name, "ops"))
        service->one_packet = true;
    else if (streq(name, "quorum"))
        take_number(t, statement, 1, UINT32_MAX, &service->quorum);
    else if (streq(name, "hysteresis"))
        take_number(t, statement, 0, UINT32_MAX, &service->hysteresis);
    else if (streq(name, "quorum_up"))
        take_command(t, statement, &service->quorum_up);
    else if (streq(name, "quorum_down"))
        take_command(t, statement, &service->quorum_down);
    else if (streq(name, "inhibit_on_failure"))
        take_bool(t, statement, &t->server.inhibit_on_failure);
    else if (!streq(name, "ip_family") && !take_flag(statement, service) && !take_check_value(t, statement, &t->values))
        note(t, statement, "it is not supported");
}

/* Persistence that is said later makes up for a granularity that came before: nothing else depends on the order, except
 * sorry servers and real servers, which take what all the rest says. */
static bool is_sorry(const struct statement *statement)
{
    return !strncmp(statement->words[0], "sorry_server", 12);
}

static void take_sorry(const struct translation *t, const struct statement *statement, struct virtual_service *service)
{
    struct real_server *sorry = &service->sorry_server;

    if (streq(statement->words[0], "sorry_server")) {
        sorry->port = service->port;
        service->has_sorry_server = take_address(t, statement, 1, &sorry->address) &&
                                    (statement->n_words < 3 || take_port(t, statement, 2, &sorry->port));
    } else if (streq(statement->words[0], "sorry_server_lvs_method")) {
        take_method(t, statement, sorry);
    } else {
        note(t, statement, "it is not supported");
    }
}

static void check_sorry(const struct translation *t, const struct statement *statement, struct virtual_service *service)
{
    struct real_server *sorry = &service->sorry_server;
    struct error error = {0};

    if (service->has_sorry_server && !service->mark && sorry->forwarding != FORWARD_NAT)
        sorry->port = service->port;
    if (!service->has_sorry_server || real_server_check(service, sorry, &error) == 0)
        return;
    note(t, statement, "the sorry server is left out: %s: %s", error.field, error.message);
    service->has_sorry_server = false;
}

static void take_values(struct translation *t, const struct statement *statement, struct virtual_service *service)
{
    const struct statement *sorry = statement;

    for (const struct statement *member = statement->first; member; member = member->next)
        if (!streq(member->words[0], "real_server") && !is_sorry(member))
            take_value(t, member, service);
    if (!service->mark && !service->protocol) {
        service->protocol = IPPROTO_UDP;
        note(t, statement, "no protocol is said: it is UDP, as keepalived has it");
    }
    if (service->hysteresis >= service->quorum) {
        note(t, statement, "hysteresis %u is not less than the quorum, %u; it becomes %u", service->hysteresis,
             service->quorum, service->quorum - 1);
        service->hysteresis = service->quorum - 1;
    }
    service->sorry_server = t->server;
    service->sorry_server.inhibit_on_failure = false;
    for (const struct statement *member = statement->first; member; member = member->next) {
        if (!is_sorry(member))
            continue;
        take_sorry(t, member, service);
        sorry = member;
    }
    check_sorry(t, sorry, service);
}

/* ---- A service. ---- */

/* One service of a virtual server: 'service' has its key.  0 or -ENOMEM. */
static int add_service(const struct target *target, const struct statement *statement, struct virtual_service service)
{
    struct translation t = {
        .report = target->report,
        .server = real_server_default(),
        .values = {.interval_ms = 60000, .timeout_ms = 5000},
    };
    struct virtual_service *services;
    struct error error = {0};
    int result = 0;

    t.server.forwarding = FORWARD_NAT;
    t.service = &service;
    take_values(&t, statement, &service);
    if (virtual_service_check(&service, &error) < 0) {
        note(&t, statement, "the virtual server is left out: %s: %s", error.field, error.message);
        return 0;
    }
    if (director_config_find(target->config, &service) || target->config->n_services == DIRECTOR_SERVICES_MAX) {
        note(&t, statement,
             director_config_find(target->config, &service) ? "the service is there already"
                                                            : "there are as many services as can be");
        return 0;
    }
    for (const struct statement *member = statement->first; result == 0 && member; member = member->next)
        if (streq(member->words[0], "real_server"))
            result = translate_server(&t, member, &service);
    services =
        result == 0 ? reallocarray(target->config->services, target->config->n_services + 1, sizeof(*services)) : NULL;
    if (!services) {
        virtual_service_clear(&service);
        return -ENOMEM;
    }
    target->config->services = services;
    services[target->config->n_services++] = service;
    return 0;
}

static struct virtual_service service_of_address(const struct ip_address *address, uint16_t port)
{
    struct virtual_service service = virtual_service_default(!ip_is_v4(address));

    service.address = *address;
    service.port = port;
    return service;
}

/* ---- Addresses, marks, groups. ---- */

/* "192.0.2.1-10", "192.0.2.250-192.0.3.10", "192.0.2.8/29", or one address.  0 or -EINVAL. */
static int parse_range(const char *text, struct ip_address *ret_first, uint64_t *ret_n)
{
    char first[IP_TEXT_SIZE];
    const char *dash = strchr(text, '-');
    struct ip_prefix prefix;
    struct ip_address last;
    uint64_t end;

    *ret_n = 1;
    if (strchr(text, '/')) {
        if (prefix_parse_host(text, &prefix) < 0)
            return -EINVAL;
        *ret_first = prefix_first(&prefix);
        last = prefix_last(&prefix);
        *ret_n = ip_distance(ret_first, &last);
        *ret_n += *ret_n < RANGE_MAX;
        return *ret_n > RANGE_MAX ? -EINVAL : 0;
    }
    if (!dash)
        return ip_parse(text, ret_first);
    if ((size_t)(dash - text) >= sizeof(first))
        return -EINVAL;
    memcpy(first, text, (size_t)(dash - text));
    first[dash - text] = 0;
    if (ip_parse(first, ret_first) < 0)
        return -EINVAL;
    if (ip_parse(dash + 1, &last) < 0) { /* The last part of the address only. */
        bool is_v4 = ip_is_v4(ret_first);
        char *rest;

        end = strtoul(dash + 1, &rest, is_v4 ? 10 : 16);
        if (rest == dash + 1 || *rest || end > (is_v4 ? UINT8_MAX : UINT16_MAX))
            return -EINVAL;
        last = *ret_first;
        last.bytes[15] = (uint8_t)end;
        if (!is_v4)
            last.bytes[14] = (uint8_t)(end >> 8);
    }
    if (ip_is_v4(&last) != ip_is_v4(ret_first) || ip_compare(&last, ret_first) < 0)
        return -EINVAL;
    *ret_n = ip_distance(ret_first, &last);
    if (*ret_n >= RANGE_MAX)
        return -EINVAL;
    *ret_n += 1;
    return 0;
}

static bool wants_ipv6(const struct statement *statement)
{
    for (const struct statement *member = statement->first; member; member = member->next) {
        struct ip_address address;

        if (streq(member->words[0], "ip_family") && member->n_words > 1)
            return streq(member->words[1], "inet6");
        if (streq(member->words[0], "real_server") && member->n_words > 1 && ip_parse(member->words[1], &address) == 0)
            return !ip_is_v4(&address);
    }
    return false;
}

/* "fwmark 5 [inet6]", from word 'at' on. */
static int add_mark(const struct target *target, const struct statement *statement, const struct statement *said,
                    size_t at)
{
    struct translation t = {.report = target->report};
    struct virtual_service service;
    uint64_t mark;

    if (said->n_words <= at || parse_u64(said->words[at], 1, UINT32_MAX, &mark) < 0) {
        note(&t, said, "'%s' is not a number from 1 to 4294967295", said->n_words > at ? said->words[at] : "");
        return 0;
    }
    service =
        virtual_service_default(said->n_words > at + 1 ? streq(said->words[at + 1], "inet6") : wants_ipv6(statement));
    service.mark = (uint32_t)mark;
    return add_service(target, statement, service);
}

/* "ADDRESS-RANGE [PORT]", from word 'at' on. */
static int add_addresses(const struct target *target, const struct statement *statement, const struct statement *said,
                         size_t at)
{
    struct translation t = {.report = target->report};
    bool was_muted = target->report->is_muted;
    struct ip_address address;
    uint16_t port = 0;
    uint64_t n;
    int result = 0;

    if (said->n_words <= at || parse_range(said->words[at], &address, &n) < 0) {
        note(&t, said, "'%s' is no address, and no range of at most %u", said->n_words > at ? said->words[at] : "",
             RANGE_MAX);
        return 0;
    }
    if (said->n_words > at + 1 && !take_port(&t, said, at + 1, &port))
        return 0;
    for (uint64_t i = 0; result == 0 && i < n; i++) {
        result = add_service(target, statement, service_of_address(&address, port));
        address = ip_add(&address, 1);
        target->report->is_muted = true; /* What cannot be taken is the same for each. */
    }
    target->report->is_muted = was_muted;
    return result;
}

static int add_group(const struct target *target, const struct statement *statement)
{
    struct translation t = {.report = target->report};
    const char *name = statement->n_words > 2 ? statement->words[2] : "";
    bool was_muted = target->report->is_muted;
    const struct statement *group = target->root->first;
    int result = 0;

    while (group &&
           !(streq(group->words[0], "virtual_server_group") && group->n_words > 1 && streq(group->words[1], name)))
        group = group->next;
    if (!group)
        note(&t, statement, "there is no virtual_server_group '%s'", name);
    for (const struct statement *member = group ? group->first : NULL; result == 0 && member; member = member->next) {
        result = streq(member->words[0], "fwmark") ? add_mark(target, statement, member, 1)
                                                   : add_addresses(target, statement, member, 0);
        target->report->is_muted = true;
    }
    target->report->is_muted = was_muted;
    return result;
}

static int add_virtual_server(const struct target *target, const struct statement *statement)
{
    const char *word = statement->n_words > 1 ? statement->words[1] : "";

    if (streq(word, "group"))
        return add_group(target, statement);
    if (streq(word, "fwmark"))
        return add_mark(target, statement, statement, 2);
    return add_addresses(target, statement, statement, 1);
}

/* ---- The rest. ---- */

/* "lvs_timeouts tcp 900 tcpfin 120 udp 300". */
static void take_timeouts(const struct target *target, const struct statement *statement)
{
    struct translation t = {.report = target->report};
    struct connection_timeouts *timeouts = &target->config->timeouts;

    for (size_t i = 1; i < statement->n_words; i += 2) {
        const char *name = statement->words[i];
        uint32_t *timeout = streq(name, "tcp")      ? &timeouts->tcp_s
                            : streq(name, "tcpfin") ? &timeouts->tcp_fin_s
                            : streq(name, "udp")    ? &timeouts->udp_s
                                                    : NULL;
        uint64_t seconds;

        if (!timeout || i + 1 == statement->n_words ||
            parse_u64(statement->words[i + 1], 1, TIMEOUT_MAX_S, &seconds) < 0) {
            note(&t, statement, "'%s' is not tcp, tcpfin or udp with a number of seconds from 1 to %u", name,
                 TIMEOUT_MAX_S);
            return;
        }
        *timeout = (uint32_t)seconds;
    }
}

static void take_globals(const struct target *target, const struct statement *statement)
{
    struct translation t = {.report = target->report};

    for (const struct statement *member = statement->first; member; member = member->next) {
        const char *name = member->words[0];

        if (streq(name, "lvs_timeouts"))
            take_timeouts(target, member);
        else if (!strncmp(name, "lvs_", 4) || !strncmp(name, "checker_", 8) || !strncmp(name, "nftables_ipvs", 13) ||
                 streq(name, "net_namespace_ipvs"))
            note(&t, member, "it is not supported");
    }
}

static int take_statement(const struct target *target, const struct statement *statement)
{
    struct translation t = {.report = target->report};
    const char *name = statement->words[0];

    if (streq(name, "virtual_server"))
        return add_virtual_server(target, statement);
    if (streq(name, "global_defs"))
        take_globals(target, statement);
    else if (streq(name, "SSL"))
        note(&t, statement, "certificates of checks are not supported");
    else if (!streq(name, "virtual_server_group"))
        note(&t, statement, "it stays with keepalived");
    return 0;
}

int keepalived_import(const char *path, const struct keepalived_source *source, struct director_config *config,
                      struct import_report *report, struct error *error)
{
    _cleanup_(keepalived_tree_freep) struct keepalived_tree *tree = NULL;
    struct target target = {.config = config, .report = report};
    int result = keepalived_tree_read(path, source, report, &tree, error);

    if (result < 0)
        return result;
    target.root = keepalived_tree_root(tree);
    for (const struct statement *statement = target.root->first; result == 0 && statement; statement = statement->next)
        result = take_statement(&target, statement);
    return result < 0 ? error_set(error, result, NULL, "%s: %s", path, strerror(-result)) : 0;
}
