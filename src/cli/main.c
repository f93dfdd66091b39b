/* weft: argv -> call (command.c) -> settings -> session -> the command's handler -> exit status. */
#include <curl/curl.h>
#include <errno.h>
#include <locale.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "weft/base/util.h"
#include "weft/cli/command.h"
#include "weft/cli/completion.h"
#include "weft/cli/session.h"

static int exit_status(int code)
{
    switch (code) {
    case -ENOENT:
        return EXIT_NOT_FOUND;
    case -EACCES:
        return EXIT_DENIED;
    case -ECONNREFUSED:
        return EXIT_UNREACHABLE;
    default:
        return EXIT_FAILED;
    }
}

static int complain(const struct call *call, int code)
{
    fprintf(stderr, "weft: %s\n", *call->error.message ? call->error.message : strerror(-code));
    return code;
}

static int run(struct call *call)
{
    _cleanup_(session_freep) struct session *session = NULL;
    struct settings_values settings;
    int r;

    r = settings_load(call, &settings, &call->error);
    if (r >= 0)
        r = session_new(&settings, call_flag(call, "debug") != NULL, &session);
    if (r < 0) {
        settings_clear(&settings);
        return r;
    }
    call->session = session;
    return call->command->run(call);
}

int main(int argc, char **argv)
{
    static struct call call;
    int r;

    setlocale(LC_ALL, "");
    if (sodium_init() < 0 || curl_global_init(CURL_GLOBAL_DEFAULT) != 0)
        return EXIT_FAILED;
    if (argc > 1 && streq(argv[1], "__complete"))
        return completion_answer(argc, argv);
    r = command_parse(argc, argv, &call);
    if (call.wants_version) {
        printf("weft %s\n", WEFT_VERSION);
        return EXIT_OK;
    }
    if (call.wants_help || argc == 1) {
        command_help(argc == 1 ? stderr : stdout, call.words, call.n_words);
        return argc == 1 ? EXIT_USAGE : EXIT_OK;
    }
    if (r < 0) {
        complain(&call, r);
        return EXIT_USAGE;
    }
    r = run(&call);
    if (fflush(stdout) == EOF || ferror(stdout)) {
        r = r < 0 ? r : -EIO;
        error_set(&call.error, -EIO, "stdout", "the output cannot be written: %s", strerror(errno));
    }
    curl_global_cleanup();
    return r < 0 ? exit_status(complain(&call, r)) : EXIT_OK;
}
