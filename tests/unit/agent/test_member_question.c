/* Octavia's health monitors as questions and rules of the health library. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "weft/agent/member-question.h"
#include "weft/base/util.h"

static const struct health_monitor plain = {.type = MONITOR_TCP, .delay = 5, .timeout = 3, .max_retries = 2, .max_retries_down = 4};

static void types_are_kinds_of_probes(void **state)
{
    static const struct {
        enum monitor_type type;
        enum health_kind kind;
        const char *name;
    } cases[] = {
        {MONITOR_PING, HEALTH_PING, "PING"},           {MONITOR_TCP, HEALTH_TCP, "TCP"},   {MONITOR_HTTP, HEALTH_HTTP, "HTTP"},
        {MONITOR_HTTPS, HEALTH_HTTPS, "HTTPS"},        {MONITOR_TLS_HELLO, HEALTH_TLS_HELLO, "TLS-HELLO"},
        {MONITOR_UDP_CONNECT, HEALTH_UDP, "UDP-CONNECT"},
    };

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct health_monitor monitor = plain;
        struct health_question *question;
        struct error error = {0};

        monitor.type = cases[i].type;
        assert_int_equal(member_question_new(&monitor, &question, &error), 0);
        assert_int_equal(health_question_options(question)->kind, cases[i].kind);
        assert_int_equal(health_question_options(question)->timeout_ms, 3000);
        assert_string_equal(member_monitor_type(&monitor), cases[i].name);
        health_question_unref(question);
    }
}

static void what_is_asked_over_http(void **state)
{
    struct health_monitor monitor = plain;
    const struct health_http *http;
    struct health_question *question;
    struct error error = {0};

    monitor.type = MONITOR_HTTP;
    assert_int_equal(member_question_new(&monitor, &question, &error), 0);
    http = &health_question_options(question)->http;
    assert_int_equal(http->version, 10);
    assert_string_equal(http->urls[0].path, "/");
    assert_null(http->urls[0].host);
    assert_int_equal(http->urls[0].n_codes, 1);
    assert_int_equal(http->urls[0].codes[0].first, 200);
    assert_int_equal(http->urls[0].codes[0].last, 200);
    assert_false(http->follow_redirects);
    health_question_unref(question);

    monitor.http_method = (char *)"HEAD";
    monitor.url_path = (char *)"/a?b=c";
    monitor.expected_codes = (char *)"200,300-302";
    monitor.domain_name = (char *)"www.example.com";
    monitor.http_version = (char *)"1.1";
    assert_int_equal(member_question_new(&monitor, &question, &error), 0);
    http = &health_question_options(question)->http;
    assert_string_equal(http->method, "HEAD");
    assert_int_equal(http->version, 11);
    assert_string_equal(http->urls[0].path, "/a?b=c");
    assert_string_equal(http->urls[0].host, "www.example.com");
    assert_int_equal(http->urls[0].n_codes, 2);
    assert_int_equal(http->urls[0].codes[1].last, 302);
    health_question_unref(question);
}

/* The API lets none of these pass; an agent that meets one says so and asks nobody. */
static void what_cannot_be_asked_is_refused(void **state)
{
    struct health_monitor sctp = plain, codes = plain, path = plain;
    struct health_question *question;
    struct error error = {0};

    sctp.type = MONITOR_SCTP;
    assert_int_equal(member_question_new(&sctp, &question, &error), -EINVAL);
    assert_string_equal(error.field, "type");
    error = (struct error){0};
    codes.type = path.type = MONITOR_HTTP;
    codes.expected_codes = (char *)"204-200";
    assert_int_equal(member_question_new(&codes, &question, &error), -EINVAL);
    assert_string_equal(error.field, "expected_codes");
    path.url_path = (char *)"/ HTTP/1.0\r\nX: y";
    assert_int_equal(member_question_new(&path, &question, &error), -EINVAL);
}

static void delays_and_retries_are_rules(void **state)
{
    struct health_monitor slow = plain;
    struct health_rules rules = member_rules(&plain, false);

    assert_int_equal(rules.interval_ms, 5000);
    assert_int_equal(rules.jitter_ms, 500);
    assert_int_equal(rules.first_ms, 0);
    assert_int_equal(rules.rise, 2);
    assert_int_equal(rules.fall, 4);
    assert_int_equal(member_rules(&plain, true).first_ms, 5000);
    slow.delay = slow.timeout = 86400;
    assert_int_equal(member_rules(&slow, true).interval_ms, HEALTH_INTERVAL_MAX_MS);
}

/* What is not in the text is no reason to ask anew; all else is. */
static void a_change_shows_in_the_text(void **state)
{
    struct health_monitor monitors[9];
    struct buffer texts[ARRAY_SIZE(monitors)] = {{0}};

    for (size_t i = 0; i < ARRAY_SIZE(monitors); i++)
        monitors[i] = plain;
    monitors[1].type = MONITOR_PING;
    monitors[2].delay = 6;
    monitors[3].timeout = 2;
    monitors[4].max_retries = 3;
    monitors[5].max_retries_down = 3;
    monitors[6].url_path = (char *)"/";
    monitors[7].domain_name = (char *)"/";
    monitors[8].expected_codes = (char *)"/";
    for (size_t i = 0; i < ARRAY_SIZE(monitors); i++) {
        assert_int_equal(member_question_text(&monitors[i], &texts[i]), 0);
        for (size_t k = 0; k < i; k++)
            assert_string_not_equal(buffer_string(&texts[k]), buffer_string(&texts[i]));
    }
    for (size_t i = 0; i < ARRAY_SIZE(monitors); i++)
        buffer_clear(&texts[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(types_are_kinds_of_probes), cmocka_unit_test(what_is_asked_over_http),    cmocka_unit_test(what_cannot_be_asked_is_refused),
        cmocka_unit_test(delays_and_retries_are_rules), cmocka_unit_test(a_change_shows_in_the_text),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
