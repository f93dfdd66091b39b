#include "test.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>

#include "weft/base/options.h"
#include "weft/base/util.h"

struct settings {
    char *listen;
    uint64_t workers;
    bool verbose;
    char config[64];
    struct option_spec specs[4];
    struct error error;
    char **arguments;
    int n_arguments;
};

static int setup(void **state)
{
    struct settings *settings = calloc(1, sizeof *settings);
    int fd;

    if (!settings)
        return -1;
    strcpy(settings->config, "/tmp/weft-options-XXXXXX");
    fd = mkstemp(settings->config);
    if (fd < 0)
        return -1;
    close(fd);
    memcpy(settings->specs,
           (struct option_spec[]){
               {"listen", OPTION_STRING, &settings->listen, "ADDRESS", "where to listen"},
               {"workers", OPTION_NUMBER, &settings->workers, "N", "how many workers"},
               {"verbose", OPTION_FLAG, &settings->verbose, NULL, "say more"},
               {},
           },
           sizeof settings->specs);
    *state = settings;
    return 0;
}

static int teardown(void **state)
{
    struct settings *settings = *state;

    options_clear(settings->specs);
    unlink(settings->config);
    free(settings);
    return 0;
}

static void write_config(struct settings *settings, const char *text)
{
    FILE *file = fopen(settings->config, "w");

    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

#define PARSE(settings, ...)                                                                                 \
    parse(settings, (const char *[]){"program", __VA_ARGS__}, ARRAY_SIZE(((const char *[]){"program", __VA_ARGS__})))

static int parse(struct settings *settings, const char *const *argv, int argc)
{
    settings->error = (struct error){};
    return options_parse(settings->specs, settings->config, "program", argc, (char **)argv, &settings->arguments,
                         &settings->n_arguments, &settings->error);
}

static void flags_set_values_in_both_forms(void **state)
{
    struct settings *settings = *state;

    assert_int_equal(PARSE(settings, "--listen=[::]:9696", "--workers", "4", "--verbose", "one", "--two"), 0);
    assert_string_equal(settings->listen, "[::]:9696");
    assert_int_equal(settings->workers, 4);
    assert_true(settings->verbose);
    assert_int_equal(settings->n_arguments, 2);
    assert_string_equal(settings->arguments[0], "one");
    assert_string_equal(settings->arguments[1], "--two");
    assert_int_equal(PARSE(settings, "--verbose=no", "--", "--listen"), 0);
    assert_false(settings->verbose);
    assert_int_equal(settings->n_arguments, 1);
    assert_string_equal(settings->arguments[0], "--listen");
}

static void flags_win_over_the_file(void **state)
{
    struct settings *settings = *state;

    write_config(settings, "# comment\n\n  listen = from file \nworkers=7\nverbose = yes");
    assert_int_equal(PARSE(settings, "--workers=8"), 0);
    assert_string_equal(settings->listen, "from file");
    assert_int_equal(settings->workers, 8);
    assert_true(settings->verbose);
}

static void assert_refused(struct settings *settings, int r, int expected, const char *words)
{
    assert_int_equal(r, expected);
    if (!strstr(settings->error.message, words))
        fail_msg("'%s' does not say '%s'", settings->error.message, words);
}

static void mistakes_are_named(void **state)
{
    struct settings *settings = *state;

    assert_refused(settings, PARSE(settings, "--lisen=x"), -EINVAL, "'--lisen=x'");
    assert_refused(settings, PARSE(settings, "--workers=many"), -EINVAL, "'many' is not a number");
    assert_refused(settings, PARSE(settings, "--workers"), -EINVAL, "'--workers' needs a value");
    assert_refused(settings, PARSE(settings, "--verbose=perhaps"), -EINVAL, "'perhaps' is not true or false");
    assert_refused(settings, PARSE(settings, "--config=/nonexistent/file"), -ENOENT, "/nonexistent/file");
    write_config(settings, "listen = x\nworkers = few\n");
    assert_refused(settings, PARSE(settings, "--verbose"), -EINVAL, ":2: workers: 'few'");
    write_config(settings, "port = 5\n");
    assert_refused(settings, PARSE(settings, "--verbose"), -EINVAL, ":1: there is no setting 'port'");
    write_config(settings, "just words\n");
    assert_refused(settings, PARSE(settings, "--verbose"), -EINVAL, "'just words'");
}

static void missing_default_file_is_fine(void **state)
{
    struct settings *settings = *state;

    unlink(settings->config);
    assert_int_equal(PARSE(settings, "--workers=1"), 0);
    assert_null(settings->listen);
}

static void value_given_twice_does_not_leak(void **state)
{
    struct settings *settings = *state;

    assert_int_equal(PARSE(settings, "--listen=a", "--listen=b"), 0);
    assert_string_equal(settings->listen, "b");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(flags_set_values_in_both_forms, setup, teardown),
        cmocka_unit_test_setup_teardown(flags_win_over_the_file, setup, teardown),
        cmocka_unit_test_setup_teardown(mistakes_are_named, setup, teardown),
        cmocka_unit_test_setup_teardown(missing_default_file_is_fine, setup, teardown),
        cmocka_unit_test_setup_teardown(value_given_twice_does_not_leak, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
