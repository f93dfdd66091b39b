/* weft-ipvsadm: ipvsadm's command line on a director's file.
 *
 *     argv -> [--config, --socket] -> director/ipvsadm/arguments -> lock, read, edit, write    (commands that change)
 *                                                                -> read, ask the director     (listings)
 *
 * The file is the configuration; what runs (counters, connections, who is up) is asked for, and where no director
 * answers it is said. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "weft/base/util.h"
#include "weft/cli/agent-socket.h"
#include "weft/director/config.h"
#include "weft/director/ipvsadm/arguments.h"
#include "weft/director/ipvsadm/edit.h"
#include "weft/director/ipvsadm/list.h"
#include "weft/director/plan.h"
#include "weft/director/socket.h"

#define WORDS_MAX 64 /* Of a line of -R. */

struct place {
    const char *config, *socket;
    bool is_unchecked; /* What this director cannot do is written, too. */
};

static inline void json_free(json_t **json)
{
    json_decref(*json);
}

static int say_refusal(const struct ipvsadm_refusal *refusal)
{
    fprintf(stderr, "%s\n", refusal->text);
    return refusal->status;
}

static int say_error(int code, const struct error *error)
{
    bool names_field = !error->field[0] || strstr(error->message, error->field);

    fprintf(stderr, "weft-ipvsadm: %s%s%s\n", names_field ? "" : error->field, names_field ? "" : ": ",
            *error->message ? error->message : strerror(-code));
    return IPVSADM_FAILED;
}

/* A file that is not there yet is a director without services. */
static int read_config(const char *path, struct director_config **ret_config, struct error *error)
{
    int result = director_config_read(path, ret_config, error);

    if (result != -ENOENT)
        return result;
    *error = (struct error){0};
    *ret_config = director_config_new();
    return *ret_config ? 0 : -ENOMEM;
}

/* ---- The running director. ---- */

static int ask(const struct place *place, const char *operation, const struct virtual_service *service,
               json_t **ret_answer, struct error *error)
{
    _cleanup_(json_free) json_t *request = json_pack("{s:s}", "operation", operation);

    if (!request || (service && json_object_set_new(request, "service", service_key_encode(service)) < 0))
        return -ENOMEM;
    return agent_ask(place->socket, request, ret_answer, error);
}

/* Whether there is an answer; else says why the numbers below are what they are. */
static bool ask_or_say(const struct place *place, const char *operation, const struct virtual_service *service,
                       const char *what, json_t **ret_answer)
{
    struct error error = {0};
    int result = ask(place, operation, service, ret_answer, &error);

    if (result == 0)
        return true;
    fprintf(stderr, "weft-ipvsadm: %s; %s\n", *error.message ? error.message : strerror(-result), what);
    return false;
}

static const struct virtual_service *service_of(const struct ipvsadm_call *call)
{
    return ipvsadm_has(call, OPTION_SERVICE) ? &call->service : NULL;
}

static int list_table(const struct place *place, const struct director_config *config, const struct ipvsadm_call *call)
{
    _cleanup_(json_free) json_t *answer = NULL;
    struct director_state state = {0};
    bool is_known =
        ask_or_say(place, "director", service_of(call), "this is the configuration, with counters of 0", &answer);
    int result;

    if (is_known && director_state_decode(answer, &state) < 0) {
        fprintf(stderr, "weft-ipvsadm: the director at '%s' answered what is not understood\n", place->socket);
        is_known = false;
    }
    if (*state.config_error)
        fprintf(stderr, "weft-ipvsadm: the director does not do all that the file says: %s\n", state.config_error);
    result = ipvsadm_list(stdout, config, is_known ? &state : NULL, call);
    director_state_clear(&state);
    if (result == -ENOENT)
        fprintf(stderr, "No such service\n");
    return result == -ENOENT ? 1 : result < 0 ? IPVSADM_FAILED : 0;
}

static int list_connections(const struct place *place, const struct ipvsadm_call *call)
{
    _cleanup_(json_free) json_t *answer = NULL;
    struct director_connections connections = {0};

    if (ask_or_say(place, "director-connections", NULL, "there are no connections", &answer) &&
        director_connections_decode(answer, &connections) < 0)
        fprintf(stderr, "weft-ipvsadm: the director at '%s' answered what is not understood\n", place->socket);
    ipvsadm_list_connections(stdout, &connections, call);
    if (connections.is_cut)
        fprintf(stderr, "weft-ipvsadm: there are more than these %zu\n", connections.n_connections);
    director_connections_clear(&connections);
    return 0;
}

static int list(const struct place *place, const struct director_config *config, const struct ipvsadm_call *call)
{
    if (ipvsadm_has(call, OPTION_CONNECTION))
        return list_connections(place, call);
    if (ipvsadm_has(call, OPTION_TIMEOUT)) {
        ipvsadm_list_timeouts(stdout, &config->timeouts);
        return 0;
    }
    if (ipvsadm_has(call, OPTION_DAEMON)) /* None runs. */
        return 0;
    return list_table(place, config, call);
}

static int zero(const struct place *place, const struct director_config *config, const struct ipvsadm_call *call)
{
    _cleanup_(json_free) json_t *answer = NULL;

    if (service_of(call) && !director_config_find(config, &call->service)) {
        fprintf(stderr, "No such service\n");
        return IPVSADM_FAILED;
    }
    (void)ask_or_say(place, "director-zero", service_of(call), "there are no counters", &answer);
    return 0;
}

/* ---- Commands. ---- */

static int refuse_daemon(const struct ipvsadm_call *call)
{
    if (call->command == IPVSADM_STOP_DAEMON)
        fprintf(stderr, "No daemon is running\n");
    else
        fprintf(stderr, "weft-ipvsadm: there is no daemon that multicasts connections\n");
    return IPVSADM_FAILED;
}

/* What changes nothing in the file. */
static int show(const struct place *place, const struct director_config *config, const struct ipvsadm_call *call)
{
    switch ((int)call->command) {
    case IPVSADM_LIST:
        return list(place, config, call);
    case IPVSADM_SAVE:
        return ipvsadm_save(stdout, config, ipvsadm_has(call, OPTION_NUMERIC)) < 0 ? IPVSADM_FAILED : 0;
    case IPVSADM_ZERO:
        return zero(place, config, call);
    case IPVSADM_START_DAEMON:
    case IPVSADM_STOP_DAEMON:
        return refuse_daemon(call);
    case IPVSADM_HELP:
        fputs(ipvsadm_help, stdout);
        return 0;
    case IPVSADM_VERSION:
        printf("weft-ipvsadm %s, after ipvsadm v1.31\n", WEFT_VERSION);
        return 0;
    default:
        return 0;
    }
}

/* One command on a configuration in memory. */
static int apply(const struct place *place, struct director_config *config, const struct ipvsadm_call *call)
{
    struct ipvsadm_refusal refusal;

    if (!ipvsadm_changes(call->command))
        return show(place, config, call);
    return ipvsadm_edit(config, call, &refusal) < 0 ? say_refusal(&refusal) : 0;
}

/* What the director would leave out is not written; what it leaves out already does not keep other services from being changed, nor
 * itself from being deleted. */
static int check(const struct place *place, const struct director_config *config, const struct ipvsadm_call *call, struct error *error)
{
    int result = 0;

    if (place->is_unchecked)
        return 0;
    if (call->command == IPVSADM_RESTORE)
        return plan_check(config, error);
    for (size_t i = 0; result == 0 && i < config->n_services; i++)
        if (virtual_service_same_key(&call->service, &config->services[i]))
            result = plan_check_service(&config->services[i], error);
    return result;
}

/* Splits a line at blanks, in place; argv[0] is the program's name, whether the line begins with it or not. */
static void split_line(char *line, char *program, char *argv[WORDS_MAX + 1])
{
    size_t n = 0;
    char *position, *word;

    argv[n++] = program;
    for (word = strtok_r(line, " \t\r\n", &position); word && n < WORDS_MAX;
         word = strtok_r(NULL, " \t\r\n", &position))
        if (n != 1 || word[0] == '-' || argv[0] != program || (!streq(word, "ipvsadm") && !streq(word, "weft-ipvsadm")))
            argv[n++] = word;
        else
            argv[0] = word;
    argv[n] = NULL;
}

/* -R: a line that cannot be read ends it, what was done before stays; one that cannot be done is reported, and the last
 * line's status counts. */
static int restore_lines(const struct place *place, char *program, struct director_config *config)
{
    _cleanup_(freep) char *line = NULL;
    size_t capacity = 0;
    int status = 0;

    while (getline(&line, &capacity, stdin) >= 0) {
        char *argv[WORDS_MAX + 1];
        struct ipvsadm_refusal refusal;
        struct ipvsadm_call call;

        split_line(line, program, argv);
        if (!argv[1])
            continue;
        if (ipvsadm_parse(argv, &call, &refusal) < 0)
            return say_refusal(&refusal);
        if (call.command != IPVSADM_RESTORE)
            status = apply(place, config, &call);
        if (call.command == IPVSADM_HELP || call.command == IPVSADM_VERSION)
            return 0;
    }
    return status;
}

static int change(const struct place *place, char *program, const struct ipvsadm_call *call)
{
    _cleanup_(director_config_freep) struct director_config *config = NULL;
    _cleanup_(freep) char *before = NULL, *after = NULL;
    _cleanup_(closep) int lock = -1;
    struct error error = {0};
    int result, status;

    result = director_config_lock(place->config, &lock, &error);
    if (result == 0)
        result = read_config(place->config, &config, &error);
    if (result < 0)
        return say_error(result, &error);
    before = director_config_format(config);
    status = call->command == IPVSADM_RESTORE ? restore_lines(place, program, config) : apply(place, config, call);
    after = director_config_format(config);
    if (!before || !after)
        return say_error(-ENOMEM, &error);
    if (streq(before, after)) /* A director does not read anew what is the same. */
        return status;
    result = check(place, config, call, &error);
    if (result == 0)
        result = director_config_write(place->config, config, &error);
    return result < 0 ? say_error(result, &error) : status;
}

static int run(const struct place *place, char **argv)
{
    char list_option[] = "-L", *list_words[] = {argv[0], list_option, NULL};
    _cleanup_(director_config_freep) struct director_config *config = NULL;
    struct ipvsadm_refusal refusal;
    struct ipvsadm_call call;
    struct error error = {0};
    int result;

    if (!argv[1]) /* As ipvsadm alone does. */
        argv = list_words;
    if (ipvsadm_parse(argv, &call, &refusal) < 0)
        return say_refusal(&refusal);
    if (ipvsadm_changes(call.command) || call.command == IPVSADM_RESTORE)
        return change(place, argv[0], &call);
    result = read_config(place->config, &config, &error);
    if (result < 0 && call.command != IPVSADM_HELP && call.command != IPVSADM_VERSION)
        return say_error(result, &error);
    return show(place, config, &call);
}

/* Takes "NAME VALUE" or "NAME=VALUE" out of 'argv', wherever it stands. */
static const char *take_option(char **argv, const char *name, const char *usual)
{
    const char *value = usual;
    char **out = argv;

    for (; *argv; argv++) {
        if (streq(*argv, name) && argv[1])
            value = *++argv;
        else if (!strncmp(*argv, name, strlen(name)) && (*argv)[strlen(name)] == '=')
            value = *argv + strlen(name) + 1;
        else
            *out++ = *argv;
    }
    *out = NULL;
    return value;
}

/* Takes NAME out of 'argv'; returns whether it was there. */
static bool take_flag(char **argv, const char *name)
{
    bool found = false;
    char **out = argv;

    for (; *argv; argv++)
        if (streq(*argv, name))
            found = true;
        else
            *out++ = *argv;
    *out = NULL;
    return found;
}

int main(int argc, char **argv)
{
    const struct place place = {
        .config = take_option(argv, "--config", DIRECTOR_CONFIG_PATH),
        .socket = take_option(argv, "--socket", DIRECTOR_SOCKET_PATH),
        .is_unchecked = take_flag(argv, "--unchecked"),
    };
    int status = run(&place, argv);

    if (fflush(stdout) || ferror(stdout)) {
        fprintf(stderr, "weft-ipvsadm: cannot write: %s\n", strerror(errno));
        return IPVSADM_FAILED;
    }
    return status;
}
