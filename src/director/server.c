/* See server.h. */
#include "weft/director/server.h"

#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <uv.h>

#include "weft/base/buffer.h"
#include "weft/base/cleanup.h"
#include "weft/base/log.h"
#include "weft/base/notify.h"
#include "weft/base/util.h"
#include "weft/dataplane/netlink-watch.h"
#include "weft/director/host-settings.h"
#include "weft/director/server-program.h"
#include "weft/http/health.h"
#include "weft/http/http.h"
#include "weft/http/prometheus.h"

#define RELOAD_DELAY_MS 30 /* What changes together is taken together. */
#define RETRY_MS 2000
#define PATIENCE_MS 30000 /* With interfaces that are not there yet, before those who wait for the agent may go on. */
#define MAX_CLIENTS 16

struct place {
    uint32_t ifindex; /* 0: the programs are not there. */
    int error;        /* Of the last try; said once. */
};

struct server {
    struct server_options options;
    uv_loop_t loop;
    uv_fs_event_t watch;
    uv_timer_t timer, retry, patience;
    uv_signal_t terminate, interrupt, hang_up;
    struct netlink_watch links;
    struct netlink_watch_owner links_owner;
    struct server_program *program;
    struct server_config *config;
    struct place places[DIRECTOR_INTERFACES_MAX], answers[DIRECTOR_INTERFACES_MAX]; /* By the configuration's interfaces. */
    struct chain_mss mss; /* As it was said. */
    bool file_changed, is_clean, is_ready;
    int write_error; /* Of the last try; said once. */
    char refused[512]; /* Why the last file was; said once. */
    struct http_service service;
    struct http *http;
};

static const char *const how_text[] = {"", "by its driver", "in the generic way, since the driver has no XDP: slower, and GRO is off"};

/* ---- interfaces ------------------------------------------------------------------------------------------------------------------------ */

static void attach_one(struct server *server, const char *name, struct place *place)
{
    enum lb_attachment how = LB_ATTACH_NONE;
    uint32_t ifindex = if_nametoindex(name);
    int result = ifindex ? server_program_attach(server->program, ifindex, &how) : -ENODEV;

    if (result < 0) {
        if (place->error != result)
            log_error("interface %s: %s", name, result == -ENODEV ? "does not exist yet" : result == -EBUSY ? "has another XDP program" : strerror(-result));
        place->ifindex = 0;
    } else if (place->ifindex != ifindex) {
        if (how == LB_ATTACH_GENERIC && lb_no_gro(name) < 0)
            log_warning("interface %s: GRO cannot be turned off; what it glues together cannot be opened, nor handed on", name);
        log_info("interface %s: gives second chances, %s", name, how_text[how]);
        place->ifindex = ifindex;
    }
    place->error = MIN(result, 0);
}

static void attach_answers(struct server *server, const char *name, struct place *place)
{
    uint32_t ifindex = if_nametoindex(name);
    int result = ifindex ? server_program_attach_answers(server->program, ifindex) : -ENODEV;

    if (result < 0 && place->error != result)
        log_error("interface %s: the MSS of answers cannot be lowered: %s", name,
                  result == -ENODEV ? "it does not exist yet" : result == -EINVAL ? "it has no frames of Ethernet" : strerror(-result));
    place->ifindex = result < 0 ? 0 : ifindex;
    place->error = MIN(result, 0);
}

static bool is_among(const char *name, char (*const names)[IFNAMSIZ], size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (streq(names[i], name))
            return true;
    return false;
}

/* See find_way in bpf/server.bpf.c. */
static void let_lo_forward(void)
{
    for (int ipv6 = 0; ipv6 < 2; ipv6++) {
        int result = lb_enable_forwarding("lo", ipv6, LB_FORWARDING_REAL_SERVER);

        if (result < 0 && result != -ENOENT) /* The kernel may be without IPv6. */
            log_warning("interface lo: cannot turn IPv%d forwarding on, without which what is handed on and has no route is not counted: %s", ipv6 ? 6 : 4,
                        strerror(-result));
    }
}

/* Off all interfaces that the configuration does not name; NULL: off all.  Returns off how many. */
static unsigned clean(const struct server_config *config)
{
    struct if_nameindex *all = if_nameindex();
    unsigned n = 0;

    for (const struct if_nameindex *one = all; one && one->if_index; one++) {
        int result = config && is_among(one->if_name, config->interfaces, config->n_interfaces) ? 0 : server_program_detach(one->if_index);

        if (!config || !is_among(one->if_name, config->answer_interfaces, config->n_answer_interfaces))
            server_program_detach_answers(one->if_index);

        if (result < 0)
            log_error("interface %s: cannot take the second chance off: %s", one->if_name, strerror(-result));
        else if (result)
            log_info("interface %s: gives no second chances any more", one->if_name);
        n += result > 0;
    }
    if (all)
        if_freenameindex(all);
    return n;
}

/* ---- the file -------------------------------------------------------------------------------------------------------------------------- */

static void take(struct server *server, struct server_config *config)
{
    memset(server->places, 0, sizeof(server->places));
    memset(server->answers, 0, sizeof(server->answers));
    server_config_free(server->config);
    server->config = config;
    server->refused[0] = 0;
    server->is_clean = false;
    log_info("%s: %zu virtual addresses, UDP port %u", server->options.config_path, config->n_addresses, config->port);
}

/* NULL: it cannot be used. */
static struct server_config *read_again(struct server *server)
{
    struct server_config *config;
    struct error error = {0};

    if (server_config_read(server->options.config_path, &config, &error) == 0)
        return config;
    if (!streq(error.message, server->refused))
        log_error("%s; what was there before goes on", error.message);
    string_copy(server->refused, sizeof(server->refused), error.message);
    return NULL;
}

/* For those who wait for it, as by systemd's Before=. */
static void become_ready(struct server *server)
{
    if (server->is_ready)
        return;
    server->is_ready = true;
    uv_timer_stop(&server->patience);
    log_info("second chances for %zu virtual addresses at UDP port %u", server->config->n_addresses, server->config->port);
    notify_service_manager("READY=1");
}

static void lost_patience(uv_timer_t *timer)
{
    log_warning("not all interfaces give second chances yet; who waits for that goes on without");
    become_ready(timer->data);
}

static void retry(uv_timer_t *timer);

/* The tables are not what 'config' says: programs that would go by them do not come, and those that are there go on as they did. */
static void not_written(struct server *server, int result)
{
    if (result != server->write_error)
        log_error("the second chance's tables cannot be written: %s; what was there before goes on, and it is tried again", strerror(-result));
    server->write_error = result;
    uv_timer_start(&server->retry, retry, RETRY_MS, 0);
}

static void say_mss(struct server *server, const struct chain_mss *mss)
{
    if (server->config->n_answer_interfaces && mss->ipv4 && (mss->ipv4 != server->mss.ipv4 || mss->ipv6 != server->mss.ipv6))
        log_info("answers announce an MSS of at most %u with IPv4 and %u with IPv6, which leaves room for a chain", ntohs(mss->ipv4), ntohs(mss->ipv6));
    server->mss = *mss;
}

/* 'wanted': a new file's, or NULL. */
static void apply(struct server *server, struct server_config *wanted)
{
    struct chain_mss mss;
    int result = server_program_write(server->program, wanted ? wanted : server->config, &mss);
    bool everywhere = true;

    if (result < 0) {
        if (wanted) {
            server_program_write(server->program, server->config, &mss);
            server_config_free(wanted);
            server->file_changed = true;
        }
        not_written(server, result);
        return;
    }
    server->write_error = 0;
    if (wanted)
        take(server, wanted);
    if (!server->is_clean)
        clean(server->config);
    server->is_clean = true;
    for (size_t i = 0; i < server->config->n_interfaces; i++) {
        attach_one(server, server->config->interfaces[i], &server->places[i]);
        everywhere = everywhere && server->places[i].ifindex;
    }
    for (size_t i = 0; i < server->config->n_answer_interfaces; i++) {
        attach_answers(server, server->config->answer_interfaces[i], &server->answers[i]);
        everywhere = everywhere && server->answers[i].ifindex;
    }
    say_mss(server, &mss);
    if (everywhere)
        become_ready(server);
}

static void reload(uv_timer_t *timer)
{
    struct server *server = timer->data;
    struct server_config *wanted = server->file_changed ? read_again(server) : NULL;

    server->file_changed = false;
    apply(server, wanted);
}

static void schedule(struct server *server)
{
    if (!uv_is_closing((uv_handle_t *)&server->timer) && !uv_is_active((uv_handle_t *)&server->timer))
        uv_timer_start(&server->timer, reload, RELOAD_DELAY_MS, 0);
}

static void retry(uv_timer_t *timer)
{
    schedule(timer->data);
}

static const char *name_in_folder(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash ? slash + 1 : path;
}

static void folder_changed(uv_fs_event_t *watch, const char *name, int events, int status)
{
    struct server *server = watch->data;

    if (name && !streq(name, name_in_folder(server->options.config_path)))
        return;
    server->file_changed = true;
    schedule(server);
}

static void hung_up(uv_signal_t *signal, int number)
{
    struct server *server = signal->data;

    server->file_changed = true;
    schedule(server);
}

/* An address or an interface: both are what the programs go by. */
static void links_changed(void *context)
{
    schedule(context);
}

static void stop(uv_signal_t *signal, int number)
{
    uv_stop(signal->loop);
}

/* ---- counters -------------------------------------------------------------------------------------------------------------------------- */

int server_print_counters(struct error *error)
{
    struct chain_counters counters;
    int result = server_program_counters(&counters);

    if (result < 0)
        return error_set(error, result, NULL, "%s", result == -ENOENT ? "no interface of this network namespace gives second chances" : strerror(-result));
    for (unsigned i = 0; i < N_CHAIN_OUTCOMES; i++)
        printf("%-18s %12" PRIu64 "  %s%s\n", chain_outcome_name(i), (uint64_t)counters.packets[i], chain_outcome_is_drop(i) ? "dropped: " : "",
               chain_outcome_text(i));
    return 0;
}

static int write_metrics(void *context, struct buffer *text)
{
    struct chain_counters counters;

    if (server_program_counters(&counters) < 0)
        counters = (struct chain_counters){0};
    prometheus_begin(text, "weft_second_chance_packets_total", "counter", "Packets with a chain of owners, by what became of them, and answers whose MSS was lowered.");
    for (unsigned i = 0; i < N_CHAIN_OUTCOMES; i++)
        prometheus_sample(text, "weft_second_chance_packets_total", (double)counters.packets[i], "outcome", chain_outcome_name(i), "dropped",
                          chain_outcome_is_drop(i) ? "true" : "false", NULL);
    return text->data ? 0 : -ENOMEM;
}

static int serve_metrics(struct server *server, struct error *error)
{
    struct http_options options = {.listen = server->options.metrics_listen, .listen_option = "metrics-listen", .max_connections = MAX_CLIENTS};
    struct error reason = {0};
    int result;

    server->service.context = server;
    server->service.write_metrics = write_metrics;
    result = routes_new(&server->service.routes);
    if (result == 0)
        result = health_add_metrics(server->service.routes);
    if (result < 0)
        return error_set(error, result, NULL, "out of memory");
    result = http_new(&server->loop, &server->service, &options, &server->http, &reason);
    return result < 0 ? error_set(error, result, reason.field, "%s: %s", reason.field, reason.message) : 0;
}

/* ---- start and end --------------------------------------------------------------------------------------------------------------------- */

/* As director_claim: one a network namespace, for as long as the descriptor is open. */
static int claim(struct error *error)
{
    static const char name[] = "\0weft-real-server";
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    _cleanup_(closep) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    memcpy(address.sun_path, name, sizeof(name) - 1);
    if (fd >= 0 && bind(fd, (struct sockaddr *)&address, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + sizeof(name) - 1)) == 0)
        return TAKE_FD(fd);
    if (errno == EADDRINUSE)
        return error_set(error, -EBUSY, NULL, "a real server's agent runs in this network namespace");
    return error_set(error, -errno, NULL, "cannot claim the network namespace: %s", strerror(errno));
}

static int watch_file(struct server *server, struct error *error)
{
    char folder[512];
    char *slash;
    int result;

    if (string_copy(folder, sizeof(folder), server->options.config_path) < 0)
        return error_set(error, -ENAMETOOLONG, "config", "'%s' is too long", server->options.config_path);
    slash = strrchr(folder, '/');
    if (slash)
        slash[slash == folder] = 0;
    result = uv_fs_event_start(&server->watch, folder_changed, slash ? folder : ".", 0);
    return result < 0 ? error_set(error, result, "config", "cannot watch the folder of '%s': %s", server->options.config_path, uv_strerror(result)) : 0;
}

static int watch_links(struct server *server, struct error *error)
{
    static const int groups[] = {RTNLGRP_LINK, RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV6_IFADDR};
    int result;

    server->links_owner = (struct netlink_watch_owner){.what = "addresses and interfaces", .changed = links_changed, .context = server};
    result = netlink_watch_open(&server->links, groups, ARRAY_SIZE(groups), &server->links_owner);
    if (result < 0)
        return error_set(error, result, NULL, "cannot follow the host's addresses: %s", strerror(-result));
    netlink_watch_start(&server->links, &server->loop);
    return 0;
}

static void init_handles(struct server *server)
{
    uv_loop_init(&server->loop);
    uv_fs_event_init(&server->loop, &server->watch);
    uv_timer_init(&server->loop, &server->timer);
    uv_timer_init(&server->loop, &server->retry);
    uv_timer_init(&server->loop, &server->patience);
    uv_signal_init(&server->loop, &server->terminate);
    uv_signal_init(&server->loop, &server->interrupt);
    uv_signal_init(&server->loop, &server->hang_up);
    server->watch.data = server->timer.data = server->retry.data = server->patience.data = server->hang_up.data = server;
    uv_signal_start(&server->terminate, stop, SIGTERM);
    uv_signal_start(&server->interrupt, stop, SIGINT);
    uv_signal_start(&server->hang_up, hung_up, SIGHUP);
}

static void free_handle(uv_handle_t *handle, void *context)
{
    if (!uv_is_closing(handle))
        uv_close(handle, NULL);
}

static void end(struct server *server)
{
    http_free(server->http);
    netlink_watch_close(&server->links);
    uv_walk(&server->loop, free_handle, NULL);
    uv_run(&server->loop, UV_RUN_DEFAULT);
    uv_loop_close(&server->loop);
    routes_free(server->service.routes);
    server_program_free(server->program);
    server_config_free(server->config);
}

int server_run(const struct server_options *options, struct error *error)
{
    _cleanup_(closep) int claimed = claim(error);
    _cleanup_(freep) struct server *server = claimed < 0 ? NULL : calloc(1, sizeof(*server));
    struct server_config *config;
    int result;

    if (claimed < 0)
        return claimed;
    if (!server)
        return error_set(error, -ENOMEM, NULL, "out of memory");
    server->options = *options;
    init_handles(server);
    result = watch_file(server, error);
    if (result == 0)
        result = server_config_read(options->config_path, &config, error);
    if (result == 0) {
        server->config = config;
        result = server_program_new(&server->program, error);
    }
    if (result == 0)
        result = watch_links(server, error);
    if (result == 0 && options->metrics_listen)
        result = serve_metrics(server, error);
    if (result == 0) {
        let_lo_forward();
        uv_timer_start(&server->patience, lost_patience, PATIENCE_MS, 0);
        apply(server, NULL);
        uv_run(&server->loop, UV_RUN_DEFAULT);
    }
    end(server);
    return result;
}

int server_detach(unsigned *ret_n, struct error *error)
{
    _cleanup_(closep) int claimed = claim(error);

    if (claimed < 0)
        return claimed;
    *ret_n = clean(NULL);
    lb_restore_forwarding("lo", LB_FORWARDING_REAL_SERVER);
    return 0;
}
