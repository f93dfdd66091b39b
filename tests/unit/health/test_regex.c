#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "test.h"

#include "weft/health/regex.h"

#define BODY "<html>\nState: UP\nOK 7\n</html>"

static enum health_regex_result search(const struct health_regex_options *options, const char *text, size_t size, bool is_cut, char reason[120])
{
    struct health_regex *regex = NULL;
    struct error error = {0};
    enum health_regex_result result;

    if (health_regex_new(options, &regex, &error) < 0)
        fail_msg("%s: %s", error.field, error.message);
    result = health_regex_search(regex, text, size, is_cut, reason);
    health_regex_free(regex);
    return result;
}

static void a_pattern_is_searched_for_with_its_options(void **state)
{
    static const struct {
        struct health_regex_options options;
        bool is_found, is_cut;
        const char *body;
    } cases[] = {
        {{"State: (UP|DRAIN)"}, true},
        {{"state: up"}, false},
        {{"state: up", "caseless"}, true},
        {{"^OK"}, false},
        {{"^OK", "multiline"}, true},
        {{"html.*OK"}, false},
        {{"html.*OK", " dotall   ungreedy "}, true},
        {{"State", NULL, 7}, true},
        {{"State", NULL, 8}, false},
        {{"State", NULL, 0, 7}, true},
        {{"State", NULL, 0, 6}, false},
        {{"State", "use_offset_limit", 7, 7}, true},
        {{"x", NULL, 1000}, false},
        {{"html>$"}, true},
        {{"html>$"}, false, true}, /* It may go on. */
        {{"OK \\d\n"}, true, true},
        {{"^$"}, true, false, ""},
        {{"^\\w+$", "utf ucp"}, true, false, "\xc3\xa9t\xc3\xa9"},
        {{"\\w+$", "utf"}, true, false, "\xff\xfe ok"},
        {{"\\x{fe}", "utf"}, false, false, "\xff\xfe ok"},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const char *body = cases[i].body ? cases[i].body : BODY;
        char reason[120] = "";
        enum health_regex_result result = search(&cases[i].options, body, strlen(body), cases[i].is_cut, reason);

        if (result != (cases[i].is_found ? HEALTH_REGEX_FOUND : HEALTH_REGEX_NOT_FOUND))
            fail_msg("case %zu, '%s': %d %s", i, cases[i].options.pattern, result, reason);
    }
}

static void every_option_of_keepalived_is_known(void **state)
{
    static const char options[] = "allow_empty_class alt_bsux auto_callout caseless dollar_endonly dotall dupnames extended firstline match_unset_backref "
                                  "multiline never_ucp never_utf no_auto_capture no_auto_possess no_dotstar_anchor no_start_optimize ungreedy "
                                  "never_backslash_c alt_circumflex alt_verbnames use_offset_limit";
    char reason[120];

    assert_int_equal(search(&(struct health_regex_options){"HTML", options}, BODY, strlen(BODY), false, reason), HEALTH_REGEX_FOUND);
}

static void refusals_name_field_and_value(void **state)
{
    char long_text[HEALTH_REGEX_MAX + 2];
    const struct {
        struct health_regex_options options;
        const char *field, *message;
    } cases[] = {
        {{"a(b"}, "regex", "'a(b' is not a regular expression: missing closing parenthesis (byte 3)"},
        {{""}, "regex", "1 to 1024 bytes are required, it has 0"},
        {{long_text}, "regex", "1 to 1024 bytes are required, it has 1025"},
        {{"a", "caseless loud"}, "regex_options", "'loud' is not an option of regular expressions"},
        {{"a", "case"}, "regex_options", "'case' is not an option of regular expressions"},
        {{"a", NULL, 5, 4}, "regex_max_offset", "4 is less than regex_min_offset, 5"},
        {{"\\p{L}", "utf never_utf"}, "regex", NULL},
    };

    memset(long_text, 'a', sizeof(long_text) - 1);
    long_text[sizeof(long_text) - 1] = '\0';
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct health_regex *regex = NULL;
        struct error error = {0};

        assert_int_equal(health_regex_new(&cases[i].options, &regex, &error), -EINVAL);
        assert_null(regex);
        assert_string_equal(error.field, cases[i].field);
        if (cases[i].message)
            assert_string_equal(error.message, cases[i].message);
    }
}

/* What the library's own limit, which counts from each place anew, would let go on for minutes. */
static void no_body_takes_time_or_memory_without_end(void **state)
{
    static const struct {
        const char *pattern;
        const char *options, *reason;
    } cases[] = {
        {"(a+)+$", "no_start_optimize", "it takes more than 100 ms"},
        {"(?:a|b)*c", "no_start_optimize no_auto_possess", NULL},
        {"a*a*a*a*[^a]", "no_auto_possess", "it takes more than 100 ms"},
    };
    const size_t size = 200000;
    char *body = malloc(size);

    assert_non_null(body);
    memset(body, 'a', size);
    body[size - 1] = '\n';
    body[size - 2] = 'b';
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const struct health_regex_options options = {.pattern = cases[i].pattern, .options = cases[i].options};
        char reason[120] = "";

        body[size - 1] = body[size - 2] = i == 2 ? 'a' : 'b';
        assert_int_equal(search(&options, body, size, false, reason), HEALTH_REGEX_FAILED);
        print_message("%s: %s\n", cases[i].pattern, reason);
        if (cases[i].reason)
            assert_string_equal(reason, cases[i].reason);
    }
    free(body);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_pattern_is_searched_for_with_its_options),
        cmocka_unit_test(every_option_of_keepalived_is_known),
        cmocka_unit_test(refusals_name_field_and_value),
        cmocka_unit_test(no_body_takes_time_or_memory_without_end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
