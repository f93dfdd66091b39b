/* Command lines as a person types them, and what is said when they are wrong. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "weft/base/util.h"
#include "weft/cli/command.h"

static struct call call;

/* Splits 'line' at blanks; two quotes are an empty word. */
static int parse(const char *line)
{
    static char text[512], *argv[64];
    char *rest = text, *word;
    int argc = 0;

    string_copy(text, sizeof text, line);
    while ((word = strsep(&rest, " ")) && argc < 64)
        argv[argc++] = streq(word, "''") ? word + 2 : word;
    return command_parse(argc, argv, &call);
}

static void refused(const char *line, const char *message)
{
    assert_int_equal(parse(line), -EINVAL);
    assert_string_equal(call.error.message, message);
}

static void words_name_a_command(void **state)
{
    assert_int_equal(parse("weft port list"), 0);
    assert_string_equal(call.command->name, "port list");
    assert_int_equal(call.n_arguments, 0);
    assert_int_equal(parse("weft status"), 0);
    assert_string_equal(call.command->name, "status");
}

static void flags_stand_anywhere(void **state)
{
    assert_int_equal(parse("weft -o json port show --column=id p1 -c name"), 0);
    assert_string_equal(call.command->name, "port show");
    assert_string_equal(call_argument(&call, 0), "p1");
    assert_string_equal(call_flag(&call, "output"), "json");
    assert_string_equal(call_flag(&call, "column"), "name");
    assert_int_equal(call.n_values, 3);
    assert_int_equal(parse("weft port show --os-token x p1 -ojson"), 0);
    assert_string_equal(call_argument(&call, 0), "p1");
    assert_string_equal(call_flag(&call, "output"), "json");
}

static void a_flags_value_is_not_a_word(void **state)
{
    assert_int_equal(parse("weft --os-project-name port network list"), 0);
    assert_string_equal(call.command->name, "network list");
}

static void an_empty_value_is_a_value(void **state)
{
    assert_int_equal(parse("weft port set p1 --host ''"), 0);
    assert_string_equal(call_flag(&call, "host"), "");
    assert_int_equal(parse("weft port set p1 --host="), 0);
    assert_string_equal(call_flag(&call, "host"), "");
}

static void two_dashes_end_flags(void **state)
{
    assert_int_equal(parse("weft network show -- --odd"), 0);
    assert_string_equal(call_argument(&call, 0), "--odd");
}

static void a_programs_flags_are_its_own(void **state)
{
    assert_int_equal(parse("weft lab exec w1 ping -c 1 --help 10.0.0.2"), 0);
    assert_string_equal(call.command->name, "lab exec");
    assert_int_equal(call.n_arguments, 6);
    assert_string_equal(call_argument(&call, 2), "-c");
    assert_false(call.wants_help);
}

static void misspelt_words_get_a_suggestion(void **state)
{
    refused("weft prot list", "there is no command 'prot'; did you mean 'port'?");
    refused("weft port lsit", "there is no command 'port lsit'; did you mean 'port list'?");
    refused("weft port libvirt", "there is no command 'port libvirt'; did you mean 'port libvirt-xml'?");
    refused("weft xyzzy", "there is no command 'xyzzy'; see 'weft --help'");
    refused("weft port", "'port' needs one more word; see 'weft port --help'");
    refused("weft port create p --netwrk n", "there is no option '--netwrk'; did you mean '--network'?");
    refused("weft port create p --nettwork=n", "there is no option '--nettwork=n'; did you mean '--network'?");
    refused("weft status -x", "there is no option '-x' for 'weft status'");
}

static void what_is_missing_is_named(void **state)
{
    refused("weft port show", "PORT is missing; see 'weft port show --help'");
    refused("weft port plug p1", "INTERFACE is missing; see 'weft port plug --help'");
    refused("weft port list --network", "option '--network' needs a value: NETWORK");
    refused("weft status extra", "'extra' is one argument too many; see 'weft status --help'");
    refused("weft drops --follow=yes", "option '--follow' takes no value, 'yes' was given");
}

static void choices_are_checked(void **state)
{
    refused("weft port list -o xml", "--output: 'xml' is not one of: table json value");
    refused("weft port list --status UP", "--status: 'UP' is not one of: ACTIVE DOWN BUILD ERROR");
    refused("weft completion fish", "SHELL: 'fish' is not one of: bash zsh");
    refused("weft port list -o ''", "--output: '' is not one of: table json value");
    assert_int_equal(parse("weft port list --status ACTIVE"), 0);
}

static void help_needs_no_arguments(void **state)
{
    assert_int_equal(parse("weft port show --help"), 0);
    assert_true(call.wants_help);
    assert_int_equal(parse("weft --help"), 0);
    assert_true(call.wants_help);
    assert_int_equal(parse("weft --version"), 0);
    assert_true(call.wants_version);
}

static void distances_count_swaps_as_one(void **state)
{
    assert_int_equal(edit_distance("list", "lsit"), 1);
    assert_int_equal(edit_distance("", "abc"), 3);
    assert_int_equal(edit_distance("kitten", "sitting"), 3);
    assert_int_equal(edit_distance("same", "same"), 0);
}

struct names {
    const struct flag *flags[96];
    size_t n;
};

static void check_flag(const struct flag *flag, void *data)
{
    struct names *names = data;

    for (size_t i = 0; i < names->n; i++)
        if (streq(names->flags[i]->name, flag->name) || (flag->letter && names->flags[i]->letter == flag->letter))
            fail_msg("--%s is there twice", flag->name);
    assert_true(names->n < ARRAY_SIZE(names->flags));
    names->flags[names->n++] = flag;
    assert_non_null(flag->help);
    assert_true((flag->type == FLAG_PRESENT) == (flag->placeholder == NULL));
    assert_true((flag->encoding == ENCODE_NONE) == (flag->attribute == NULL));
    if (flag->encoding == ENCODE_TRUE || flag->encoding == ENCODE_FALSE || flag->encoding == ENCODE_EMPTY_LIST)
        assert_true(flag->type == FLAG_PRESENT);
}

/* The table keeps its own rules: no flag twice in a command, no command twice, nothing without help. */
static void the_table_is_sound(void **state)
{
    COMMAND_FOREACH (command) {
        struct names names = {0};

        command_each_flag(command, check_flag, &names);
        assert_non_null(command->help);
        assert_non_null(command->run);
        COMMAND_FOREACH (other)
            assert_true(other == command || !streq(command->name, other->name));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(words_name_a_command),
        cmocka_unit_test(flags_stand_anywhere),
        cmocka_unit_test(a_flags_value_is_not_a_word),
        cmocka_unit_test(an_empty_value_is_a_value),
        cmocka_unit_test(two_dashes_end_flags),
        cmocka_unit_test(a_programs_flags_are_its_own),
        cmocka_unit_test(misspelt_words_get_a_suggestion),
        cmocka_unit_test(what_is_missing_is_named),
        cmocka_unit_test(choices_are_checked),
        cmocka_unit_test(help_needs_no_arguments),
        cmocka_unit_test(distances_count_swaps_as_one),
        cmocka_unit_test(the_table_is_sound),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
