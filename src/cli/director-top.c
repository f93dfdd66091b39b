/* weft lb top: what the running director does now, by virtual address, service and server, the busiest first.
 *
 * On a terminal one screen that is drawn anew; elsewhere one block of lines each time, once unless --count says more. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "weft/base/clock.h"
#include "weft/base/util.h"
#include "weft/cli/agent-socket.h"
#include "weft/cli/director.h"
#include "weft/director/socket.h"

#define INTERVAL_S_MAX 3600
#define LINE_SIZE 240

/* All that the director says at one moment. */
struct look {
    struct director_state state;
    json_t *drops, *rows;
};

struct top {
    struct call *call;
    const char *path;
    bool is_terminal;
    json_t *drops_before; /* Of the look before; NULL: there was none. */
    unsigned n_lines, most_lines;
};

static void clear_look(struct look *look)
{
    director_state_clear(&look->state);
    json_decref(look->drops);
    json_decref(look->rows);
    *look = (struct look){0};
}

static int ask(const struct top *top, const char *operation, json_t **ret)
{
    json_t *request = json_pack("{s:s}", "operation", operation);
    int result = request ? agent_ask(top->path, request, ret, &top->call->error) : -ENOMEM;

    json_decref(request);
    return result;
}

static int take_look(const struct top *top, struct look *ret)
{
    json_t *state = NULL;
    int result = ask(top, "director", &state);

    if (result == 0)
        result = director_state_decode(state, &ret->state);
    json_decref(state);
    if (result == 0)
        result = ask(top, "director-drops", &ret->drops);
    if (result == 0)
        result = ask(top, "director-rows", &ret->rows);
    if (result == -EBADMSG)
        error_set(&top->call->error, result, NULL, "the director at '%s' answered what is not understood", top->path);
    return result;
}

/* ---- order ----------------------------------------------------------------------------------------------------------------------- */

/* A service, and what all of its address do together. */
struct line {
    const struct service_state *service;
    struct director_traffic together;
    uint64_t active;
    size_t n; /* Services of the address. */
};

static uint64_t packets(const struct director_traffic *rate)
{
    return rate->packets_in + rate->packets_out;
}

static bool same_address(const struct service_state *a, const struct service_state *b)
{
    return !a->mark == !b->mark && memcmp(&a->address, &b->address, sizeof(a->address)) == 0;
}

/* Addresses with the most packets first, in each the services, and what is equally busy by name. */
static int compare(const void *a_, const void *b_)
{
    const struct line *a = a_, *b = b_;
    int order;

    if (!same_address(a->service, b->service)) {
        if (packets(&a->together) != packets(&b->together))
            return packets(&a->together) > packets(&b->together) ? -1 : 1;
        order = memcmp(&a->service->address, &b->service->address, sizeof(a->service->address));
        return order ? order : (a->service->mark > 0) - (b->service->mark > 0);
    }
    if (packets(&a->service->rate) != packets(&b->service->rate))
        return packets(&a->service->rate) > packets(&b->service->rate) ? -1 : 1;
    if (a->service->protocol != b->service->protocol)
        return (int)a->service->protocol - (int)b->service->protocol;
    return a->service->mark ? (a->service->mark > b->service->mark) - (a->service->mark < b->service->mark) : (int)a->service->port - (int)b->service->port;
}

static uint64_t active_of(const struct service_state *service)
{
    uint64_t n = 0;

    for (size_t i = 0; i < service->n_servers; i++)
        n += service->servers[i].active;
    return n;
}

static int by_address(const void *a, const void *b)
{
    return memcmp(&(*(const struct service_state *const *)a)->address, &(*(const struct service_state *const *)b)->address,
                  sizeof(struct ip_address));
}

static void add(struct director_traffic *sum, const struct director_traffic *some)
{
    sum->connections += some->connections;
    sum->packets_in += some->packets_in;
    sum->packets_out += some->packets_out;
    sum->bytes_in += some->bytes_in;
    sum->bytes_out += some->bytes_out;
}

/* Lines in order; NULL without memory. */
static struct line *order_services(const struct director_state *state)
{
    struct line *lines = calloc(state->n_services + 1, sizeof(*lines));
    _cleanup_(freep) const struct service_state **sorted = calloc(state->n_services + 1, sizeof(*sorted));
    size_t begin = 0;

    if (!lines || !sorted) {
        free(lines);
        return NULL;
    }
    for (size_t i = 0; i < state->n_services; i++)
        sorted[i] = &state->services[i];
    qsort(sorted, state->n_services, sizeof(*sorted), by_address);
    for (size_t end = 1; end <= state->n_services; end++) { /* Each stretch of services of one address. */
        struct line sum = {0};

        if (end < state->n_services && same_address(sorted[begin], sorted[end]))
            continue;
        for (size_t i = begin; i < end; i++) {
            add(&sum.together, &sorted[i]->rate);
            sum.active += active_of(sorted[i]);
        }
        for (size_t i = begin; i < end; i++)
            lines[i] = (struct line){sorted[i], sum.together, sum.active, end - begin};
        begin = end;
    }
    qsort(lines, state->n_services, sizeof(*lines), compare);
    return lines;
}

/* ---- text ------------------------------------------------------------------------------------------------------------------------ */

/* "950", "12.3k", "4.5M": what fits a column. */
static const char *amount(uint64_t value, char text[16])
{
    static const char units[] = " kMGTP";
    double number = (double)value;
    size_t unit = 0;

    while (number >= 1000 && unit + 2 < sizeof(units)) {
        number /= 1000;
        unit++;
    }
    if (!unit)
        snprintf(text, 16, "%u", (unsigned)value);
    else
        snprintf(text, 16, number < 100 ? "%.1f%c" : "%.0f%c", number, units[unit]);
    return text;
}

/* One line, as long as there is room. */
static void print_line(struct top *top, const char *text)
{
    if (top->n_lines++ < top->most_lines)
        puts(text);
}

static void print_traffic(struct top *top, const char *name, const char *state, const char *share, const struct director_traffic *rate,
                          uint64_t active, const char *rest)
{
    char columns[6][16], line[LINE_SIZE];

    snprintf(line, sizeof(line), "%-34s %-9.9s %5s %8s %8s %8s %8s %8s %8s  %s", name, state, share, amount(rate->connections, columns[0]),
             amount(rate->packets_in, columns[1]), amount(rate->bytes_in, columns[2]), amount(rate->packets_out, columns[3]),
             amount(rate->bytes_out, columns[4]), amount(active, columns[5]), rest);
    for (size_t length = strlen(line); length && line[length - 1] == ' '; length--)
        line[length - 1] = 0;
    print_line(top, line);
}

static void print_drops(struct top *top, const struct look *look)
{
    json_t *reasons = json_object_get(look->drops, "drops"), *value;
    char line[LINE_SIZE] = "dropped:", number[16], more_text[16];
    size_t length = strlen(line);
    const char *reason;

    json_object_foreach(reasons, reason, value)
    {
        json_t *before = json_object_get(json_object_get(top->drops_before, "drops"), reason);
        json_int_t n = json_integer_value(json_object_get(value, "packets")), earlier = json_integer_value(json_object_get(before, "packets"));

        length += (size_t)snprintf(line + length, sizeof(line) - length, " %s %s", reason, amount((uint64_t)n, number));
        if (length < sizeof(line) && top->drops_before && n > earlier)
            length += (size_t)snprintf(line + length, sizeof(line) - length, " (+%s)", amount((uint64_t)(n - earlier), more_text));
        if (length >= sizeof(line))
            break;
    }
    print_line(top, json_object_size(reasons) ? line : "dropped: nothing");
}

/* The director's words about the rows of each service, or NULL.  It says both lists in one order.  NULL without memory. */
static const json_t **rows_of_all(const struct look *look)
{
    const json_t **ret = calloc(look->state.n_services + 1, sizeof(*ret));
    json_t *all = json_object_get(look->rows, "services");
    size_t next = 0;

    for (size_t i = 0; ret && i < look->state.n_services; i++) {
        const struct service_state *service = &look->state.services[i];
        const struct virtual_service key = {
            .mark = service->mark, .ipv6 = service->ipv6, .protocol = service->protocol, .port = service->port, .address = service->address};
        json_t *wanted = service_key_encode(&key), *one = json_array_get(all, next);

        if (one && json_equal(json_object_get(one, "service"), wanted)) {
            ret[i] = one;
            next++;
        }
        json_decref(wanted);
    }
    return ret;
}

static const char *state_of(const struct server_state *server)
{
    if (server->is_sorry)
        return server->is_used ? "answers" : "sorry";
    if (!server->is_up)
        return server->is_used ? "inhibited" : "down";
    return server->weight ? "up" : "draining";
}

static void print_servers(struct top *top, const struct service_state *service, const json_t *rows)
{
    json_int_t n_rows = json_integer_value(json_object_get(rows, "rows"));

    for (size_t i = 0; i < service->n_servers; i++) {
        const struct server_state *server = &service->servers[i];
        const struct real_server real = {.address = server->address, .port = server->port};
        json_t *own = json_array_get(json_object_get(rows, "servers"), i);
        char id[SERVICE_TEXT_SIZE], name[SERVICE_TEXT_SIZE + 8], share[16] = "";

        snprintf(name, sizeof(name), "    %s", real_server_format(&real, id));
        if (own && n_rows)
            snprintf(share, sizeof(share), "%.1f%%", 100.0 * (double)json_integer_value(own) / (double)n_rows);
        print_traffic(top, name, state_of(server), share, &server->rate, server->active, server->reason);
    }
}

static void print_service(struct top *top, const struct service_state *service, const json_t *rows)
{
    const struct virtual_service key = {
        .mark = service->mark, .ipv6 = service->ipv6, .protocol = service->protocol, .port = service->port, .address = service->address};
    const json_t *ago = json_object_get(rows, "moved_ms_ago");
    char text[SERVICE_TEXT_SIZE], name[SERVICE_TEXT_SIZE + 8], moved[80] = "";

    snprintf(name, sizeof(name), "  %s", virtual_service_format(&key, text));
    if (json_is_integer(ago))
        snprintf(moved, sizeof(moved), "%lld of %lld rows moved %lld s ago", (long long)json_integer_value(json_object_get(rows, "moved")),
                 (long long)json_integer_value(json_object_get(rows, "rows")), (long long)(json_integer_value(ago) / 1000));
    print_traffic(top, name, service->has_quorum ? "" : "no quorum", "", &service->rate, active_of(service), moved);
    print_servers(top, service, rows);
}

static void print_head(struct top *top, const struct look *look)
{
    char now[TIME_TEXT_SIZE], line[LINE_SIZE], connections[16];

    time_format(clock_realtime_s(), now);
    snprintf(line, sizeof(line), "%s  %zu services  %s connections remembered%s", now, look->state.n_services,
             amount(look->state.connections, connections), look->state.config_error[0] ? "  the file asks for more than is done" : "");
    print_line(top, line);
    print_drops(top, look);
    print_line(top, "");
    snprintf(line, sizeof(line), "%-34s %-9s %5s %8s %8s %8s %8s %8s %8s", "each second", "", "rows", "conn", "pkts in", "B in", "pkts out", "B out",
             "active");
    print_line(top, line);
}

static int print_look(struct top *top, const struct look *look)
{
    _cleanup_(freep) struct line *lines = order_services(&look->state);
    _cleanup_(freep) const json_t **rows = rows_of_all(look);
    struct winsize size = {0};

    if (!lines || !rows)
        return -ENOMEM;
    top->n_lines = 0;
    top->most_lines = top->is_terminal && ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_row > 2 ? size.ws_row - 1u : UINT32_MAX;
    if (top->is_terminal)
        fputs("\033[H\033[J", stdout);
    print_head(top, look);
    for (size_t i = 0; i < look->state.n_services && top->n_lines < top->most_lines; i++) {
        char address[IP_TEXT_SIZE];

        if (!i || !same_address(lines[i].service, lines[i - 1].service))
            print_traffic(top, lines[i].service->mark ? "marks" : ip_format(&lines[i].service->address, address), "", "", &lines[i].together,
                          lines[i].active, "");
        print_service(top, lines[i].service, rows[lines[i].service - look->state.services]);
    }
    fflush(stdout);
    return 0;
}

/* ---- public ---------------------------------------------------------------------------------------------------------------------- */

static int number_flag(struct call *call, const char *name, uint64_t maximum, uint64_t *value)
{
    const char *text = call_flag(call, name);
    char *end;
    unsigned long long number;

    if (!text)
        return 0;
    errno = 0;
    number = strtoull(text, &end, 10);
    if (*text < '0' || *text > '9' || *end || errno || !number || number > maximum)
        return error_set(&call->error, -EINVAL, name, "'%s' is not a number from 1 to %llu", text, (unsigned long long)maximum);
    *value = number;
    return 0;
}

int run_lb_top(struct call *call)
{
    struct top top = {.call = call, .path = call_flag(call, "socket"), .is_terminal = isatty(STDOUT_FILENO)};
    uint64_t interval_s = 2, count = top.is_terminal ? UINT64_MAX : 1;
    struct look look = {0};
    int result = number_flag(call, "interval", INTERVAL_S_MAX, &interval_s);

    if (result == 0)
        result = number_flag(call, "count", INT64_MAX, &count);
    if (!top.path)
        top.path = DIRECTOR_SOCKET_PATH;
    for (uint64_t i = 0; i < count && result == 0; i++) {
        const struct timespec pause = {.tv_sec = (time_t)interval_s};

        if (i)
            nanosleep(&pause, NULL);
        result = take_look(&top, &look);
        if (result == 0 && i && !top.is_terminal)
            putchar('\n');
        if (result == 0)
            result = print_look(&top, &look);
        json_decref(top.drops_before);
        top.drops_before = json_incref(look.drops);
        clear_look(&look);
    }
    json_decref(top.drops_before);
    return result;
}
