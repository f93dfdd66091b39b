/* weft-api: HTTP -> validate -> store.  The program's table of contents. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "weft/api/api.h"
#include "weft/api/balancing.h"
#include "weft/api/commits.h"
#include "weft/api/hosts.h"
#include "weft/api/identity.h"
#include "weft/api/networking.h"
#include "weft/api/replica.h"
#include "weft/api/routed-prefixes.h"
#include "weft/api/service.h"
#include "weft/base/log.h"
#include "weft/base/notify.h"
#include "weft/base/options.h"
#include "weft/base/util.h"

static struct settings {
    char *listen, *store, *public_url, *metrics_listen, *bootstrap_file, *log_level, *tls_certificate, *tls_key;
    uint64_t token_seconds, password_operations, password_memory_kib, balance_drain_seconds;
    bool no_auth;
} settings;

static const struct option_spec options[] = {
    {"listen", OPTION_STRING, &settings.listen, "ADDRESS:PORT", "where to serve (127.0.0.1:9696); port 0 takes a free one"},
    {"store", OPTION_STRING, &settings.store, "PATH", "the SQLite file (/var/lib/weft/weft.db), or \"memory\""},
    {"public-url", OPTION_STRING, &settings.public_url, "URL", "how clients reach this server, for links and the catalogue"},
    {"metrics-listen", OPTION_STRING, &settings.metrics_listen, "ADDRESS:PORT", "where to serve /metrics, /healthz, /readyz; not at all if unset"},
    {"bootstrap-file", OPTION_STRING, &settings.bootstrap_file, "PATH", "first line: the administrator's password, used on an empty store"},
    {"tls-certificate", OPTION_STRING, &settings.tls_certificate, "PATH", "PEM file: serve TLS with it and --tls-key"},
    {"tls-key", OPTION_STRING, &settings.tls_key, "PATH", "PEM file: its private key"},
    {"token-seconds", OPTION_NUMBER, &settings.token_seconds, "N", "how long a token lives (3600)"},
    {"password-operations", OPTION_NUMBER, &settings.password_operations, "N", "argon2id passes for new passwords (3)"},
    {"password-memory-kib", OPTION_NUMBER, &settings.password_memory_kib, "N", "argon2id memory for new passwords (12288)"},
    {"balance-drain-seconds", OPTION_NUMBER, &settings.balance_drain_seconds, "N",
     "how long members of weight 0 keep the flows that they have; 0: as long as these last (0)"},
    {"no-auth", OPTION_FLAG, &settings.no_auth, NULL, "everybody is the administrator; only on a loopback address"},
    {"log-level", OPTION_STRING, &settings.log_level, "LEVEL", "error, warning, info (default) or debug"},
    {NULL},
};

static int set_default(char **value, const char *text)
{
    if (!*value)
        *value = strdup(text);
    return *value ? 0 : -ENOMEM;
}

static int check_settings(struct error *error)
{
    enum log_level level = LOG_LEVEL_INFO;
    size_t size;

    if (set_default(&settings.listen, "127.0.0.1:9696") < 0 || set_default(&settings.store, "/var/lib/weft/weft.db") < 0)
        return error_set(error, -ENOMEM, NULL, "out of memory");
    if (settings.log_level && log_parse_level(settings.log_level, &level) < 0)
        return error_set(error, -EINVAL, "log-level", "'%s' is not error, warning, info or debug", settings.log_level);
    log_set_level(level);
    if (!settings.token_seconds)
        settings.token_seconds = 3600;
    if (settings.token_seconds > 30 * 86400)
        return error_set(error, -ERANGE, "token-seconds", "'%llu' is more than 30 days", (unsigned long long)settings.token_seconds);
    if (!settings.password_operations)
        settings.password_operations = PASSWORD_COST_DEFAULT.operations;
    if (!settings.password_memory_kib)
        settings.password_memory_kib = PASSWORD_COST_DEFAULT.memory_kib;
    if (settings.password_operations > 100 || settings.password_memory_kib < 1024 || settings.password_memory_kib > 1 << 20)
        return error_set(error, -ERANGE, "password-operations, password-memory-kib", "1 to 100, and 1024 to 1048576, are allowed");
    if (settings.public_url) {
        if (strncmp(settings.public_url, "http://", 7) != 0 && strncmp(settings.public_url, "https://", 8) != 0)
            return error_set(error, -EINVAL, "public-url", "'%s' does not begin with http:// or https://", settings.public_url);
        for (size = strlen(settings.public_url); size > 0 && settings.public_url[size - 1] == '/'; size--)
            settings.public_url[size - 1] = '\0';
    }
    return 0;
}

static int open_store(struct store **ret_store, struct error *error)
{
    int r;

    if (streq(settings.store, "memory")) {
        r = store_memory_open(ret_store);
        return r < 0 ? error_set(error, r, "store", "cannot be opened: %s", strerror(-r)) : 0;
    }
    umask(077); /* The file holds hashes of passwords and tokens. */
    return store_sqlite_open(settings.store, NULL, ret_store, error);
}

static void raise_file_limit(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = MIN(limit.rlim_max, (rlim_t)65536);
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}

static void stop_signal(uv_signal_t *signal, int number)
{
    log_info("ending: signal %d", number);
    uv_stop(signal->loop);
}

/* Builds everything from the bottom up; each part finds the others through 'api'. */
static int start(struct api *api, struct error *error)
{
    int r = open_store(&api->store, error);

    if (r == 0)
        r = service_init(api);
    if (r == 0)
        r = replica_new(api->loop, api->store, &api->replica);
    if (r == 0)
        r = commits_new(api->loop, api->store, api->replica, &api->commits);
    if (r == 0)
        r = identity_new(api, &(struct identity_options){.cost = {settings.password_operations, settings.password_memory_kib},
                                                         .token_seconds = settings.token_seconds, .bootstrap_file = settings.bootstrap_file},
                         &api->identity);
    if (r == 0)
        r = hosts_new(api, &api->hosts);
    if (r == 0)
        r = networking_new(api, &api->networking);
    if (r == 0)
        r = balancing_new(api, &(struct balancing_options){.drain_s = (int64_t)settings.balance_drain_seconds}, &api->balancing);
    if (r == 0)
        r = replica_start(api->replica, error);
    if (r == 0)
        r = identity_bootstrap(api->identity, error);
    if (r == 0)
        routed_report(api->replica);
    return r < 0 ? error_set(error, r, NULL, "cannot start: %s", strerror(-r)) : 0;
}

static int serve(struct api *api, struct http **ret_http, struct http **ret_metrics, struct error *error)
{
    struct http_options api_listener = {.listen = settings.listen, .tls_certificate = settings.tls_certificate, .tls_key = settings.tls_key};
    struct http_options metrics_listener = {.listen = settings.metrics_listen, .listen_option = "metrics-listen"};
    int r;

    api->no_auth = settings.no_auth;
    api->service.public_url = settings.public_url;
    r = http_new(api->loop, &api->service, &api_listener, ret_http, error);
    if (r == 0 && settings.metrics_listen)
        r = http_new(api->loop, &api->metrics_service, &metrics_listener, ret_metrics, error);
    if (r < 0)
        return r;
    if (settings.no_auth && !http_is_loopback(*ret_http))
        return error_set(error, -EPERM, "no-auth", "is allowed on a loopback address only, not on '%s'", settings.listen);
    return 0;
}

int main(int argc, char **argv)
{
    uv_signal_t signals[2];
    static const int numbers[] = {SIGTERM, SIGINT};
    struct http *http = NULL, *metrics = NULL;
    struct error error = {0};
    struct api api = {0};
    char **arguments;
    uv_loop_t loop;
    int n, r;

    signal(SIGPIPE, SIG_IGN);
    setenv("UV_THREADPOOL_SIZE", "2", 0); /* Password hashing: each takes its memory. */
    raise_file_limit();
    r = options_parse(options, "/etc/weft/api.conf", "weft-api [OPTION...]\nServes the virtual network's API.", argc, argv, &arguments, &n, &error);
    if (r == 0 && n > 0)
        r = error_set(&error, -EINVAL, NULL, "'%s' is not an option", arguments[0]);
    if (r == 0)
        r = check_settings(&error);
    if (r < 0) {
        fprintf(stderr, "weft-api: %s%s%s\n", error.field, error.field[0] ? ": " : "", error.message);
        options_clear(options);
        return 2;
    }

    uv_loop_init(&loop);
    api.loop = &loop;
    for (size_t i = 0; i < ARRAY_SIZE(signals); i++) {
        uv_signal_init(&loop, &signals[i]);
        uv_signal_start(&signals[i], stop_signal, numbers[i]);
    }
    r = start(&api, &error);
    if (r == 0)
        r = serve(&api, &http, &metrics, &error);
    if (r < 0) {
        log_error("%s%s%s", error.field, error.field[0] ? ": " : "", error.message);
    } else {
        printf("weft-api: ready on %s%s%s\n", http_url(http), metrics ? ", metrics on " : "", metrics ? http_url(metrics) : "");
        fflush(stdout);
        notify_service_manager("READY=1");
        uv_run(&loop, UV_RUN_DEFAULT);
        notify_service_manager("STOPPING=1");
    }

    /* From the top down: no requests, nothing under way in the store, no handles. */
    http_free(http);
    http_free(metrics);
    if (api.replica)
        replica_stop(api.replica);
    store_close(api.store);
    if (api.commits)
        commits_free(api.commits);
    if (api.networking)
        networking_stop(api.networking);
    balancing_stop(api.balancing);
    hosts_free(api.hosts);
    identity_free(api.identity);
    replica_free(api.replica);
    for (size_t i = 0; i < ARRAY_SIZE(signals); i++)
        uv_close((uv_handle_t *)&signals[i], NULL);
    uv_run(&loop, UV_RUN_DEFAULT);
    uv_loop_close(&loop);
    balancing_free(api.balancing);
    networking_free(api.networking);
    service_clear(&api);
    options_clear(options);
    return r < 0;
}
