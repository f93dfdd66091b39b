#include "weft/agent/director.h"

#include <ctype.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "weft/base/cleanup.h"
#include "weft/base/log.h"
#include "weft/base/options.h"
#include "weft/base/util.h"
#include "weft/director/config.h"
#include "weft/director/runtime.h"
#include "weft/director/server-config.h"
#include "weft/director/server.h"
#include "weft/director/socket.h"

static const char *config_of(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        if (strncmp(argv[i], "--config=", strlen("--config=")) == 0)
            return argv[i] + strlen("--config=");
        if (streq(argv[i], "--config") && i + 1 < argc)
            return argv[i + 1];
    }
    return NULL;
}

/* Files of 'key = value' lines never begin like this. */
static bool is_json(const char *path)
{
    _cleanup_(closep) int fd = open(path, O_RDONLY | O_CLOEXEC);
    char head[512];
    ssize_t size = fd < 0 ? -1 : read(fd, head, sizeof(head));

    for (ssize_t i = 0; i < size; i++)
        if (!isspace((unsigned char)head[i]))
            return head[i] == '{';
    return false;
}

bool director_wanted(int argc, char **argv)
{
    const char *path = config_of(argc, argv);

    return path && (streq(path, DIRECTOR_CONFIG_PATH) || is_json(path));
}

/* 'config' is a file of another form here: what is left are the other options.  'argv' loses its "--config". */
static int take_config(int *argc, char **argv)
{
    int kept = 1;

    for (int i = 1; i < *argc; i++) {
        if (streq(argv[i], "--config"))
            i++;
        else if (strncmp(argv[i], "--config=", strlen("--config=")) != 0)
            argv[kept++] = argv[i];
    }
    argv[kept] = NULL;
    return kept;
}

/* The file is a physical server's: what there is to do with it. */
static int server_main(const struct server_options *options, char **arguments, int n_arguments, struct error *error)
{
    unsigned n_interfaces = 0;
    int result;

    if (n_arguments == 1 && streq(arguments[0], "detach")) {
        result = server_detach(&n_interfaces, error);
        if (result == 0)
            log_info("detached: %u interfaces give no second chances any more", n_interfaces);
        return result;
    }
    if (n_arguments == 1 && streq(arguments[0], "counters"))
        return server_print_counters(error);
    if (n_arguments)
        return error_set(error, -1, NULL, "'%s' is not a command of a real server's agent: detach, counters", arguments[0]);
    return server_run(options, error);
}

static int command_of_director(const struct director_options *options, char **arguments, int n_arguments, struct error *error)
{
    unsigned n_interfaces = 0;
    int result;

    if (n_arguments == 1 && streq(arguments[0], "detach")) {
        result = director_detach(options, &n_interfaces, error);
        if (result == 0)
            log_info("detached: %u interfaces balance no more", n_interfaces);
        return result;
    }
    if (n_arguments)
        return error_set(error, -1, NULL, "'%s' is not a command of weft-agent", arguments[0]);
    return director_run(options, error);
}

int director_main(int argc, char **argv)
{
    static char *socket_path, *level_name, *metrics_listen, *peer, *peer_listen, *peer_key_file;
    static const struct option_spec options[] = {
        {"socket", OPTION_STRING, &socket_path, "PATH", "for weft-ipvsadm and weft lb (" DIRECTOR_SOCKET_PATH ")"},
        {"metrics-listen", OPTION_STRING, &metrics_listen, "ADDRESS:PORT", "Prometheus metrics, at /metrics"},
        {"peer", OPTION_STRING, &peer, "ADDRESS:PORT", "the other director of a pair, which is told all connections"},
        {"peer-listen", OPTION_STRING, &peer_listen, "ADDRESS:PORT", "where this one hears from it"},
        {"peer-key-file", OPTION_STRING, &peer_key_file, "FILE", "of both the same; at least 16 bytes that nobody guesses"},
        {"log-level", OPTION_STRING, &level_name, "LEVEL", "error, warning, info or debug"},
        {.name = NULL},
    };
    struct director_options director = {.config_path = config_of(argc, argv)};
    char **arguments = NULL;
    struct error error = {0};
    enum log_level level;
    int n_arguments = 0, result;

    argc = take_config(&argc, argv);
    result = options_parse(options, "/dev/null", "weft-agent --config FILE [OPTION]... [detach]\nBalances physical servers as FILE says.", argc,
                           argv, &arguments, &n_arguments, &error);
    director.socket_path = socket_path ? socket_path : DIRECTOR_SOCKET_PATH;
    director.metrics_listen = metrics_listen;
    director.peer = (struct peer_options){peer, peer_listen, peer_key_file};
    if (result == 0 && (!peer != !peer_listen || !peer != !peer_key_file))
        result = error_set(&error, -1, "peer", "peer, peer-listen and peer-key-file go together");
    if (result == 0 && level_name && log_parse_level(level_name, &level) < 0)
        result = error_set(&error, -1, "log-level", "log-level: '%s' is not error, warning, info or debug", level_name);
    else if (result == 0 && level_name)
        log_set_level(level);
    if (result == 0 && server_config_is(director.config_path)) {
        if (peer || socket_path)
            result = error_set(&error, -1, peer ? "peer" : "socket", "%s: it is for directors, and the file is a real server's", peer ? "peer" : "socket");
        else
            result = server_main(&(struct server_options){director.config_path, metrics_listen}, arguments, n_arguments, &error);
    } else if (result == 0) {
        result = command_of_director(&director, arguments, n_arguments, &error);
    }
    if (result < 0)
        log_error("%s%s%s", error.field[0] && !strstr(error.message, error.field) ? error.field : "",
                  error.field[0] && !strstr(error.message, error.field) ? ": " : "", error.message);
    options_clear(options);
    return result < 0 ? 1 : 0;
}
