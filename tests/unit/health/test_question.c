/* What may be asked, and what is refused with which words; copies are the question's own. */
#include "test.h"

#include <errno.h>

#include "weft/base/util.h"
#include "weft/health/question.h"

static void codes_are_read_as_octavia_writes_them(void **state)
{
    static const char *const bad[] = {"", "20", "2000", "abc", "200,", ",200", "200-", "204-200", "200 201", "099", "200--204", "200-204-206"};
    struct health_codes codes[HEALTH_CODES_MAX];
    char many[HEALTH_CODES_MAX * 4 + 8] = "200";
    size_t n = 99;

    assert_int_equal(health_codes_parse("200", codes, &n), 0);
    assert_true(n == 1 && codes[0].first == 200 && codes[0].last == 200);
    assert_int_equal(health_codes_parse("200,202-204, 404", codes, &n), 0);
    assert_true(n == 3 && codes[1].first == 202 && codes[1].last == 204 && codes[2].first == 404);
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
        assert_int_equal(health_codes_parse(bad[i], codes, &n), -EINVAL);
    for (int i = 1; i < HEALTH_CODES_MAX; i++)
        strcat(many, ",200");
    assert_int_equal(health_codes_parse(many, codes, &n), 0);
    assert_int_equal(n, HEALTH_CODES_MAX);
    strcat(many, ",200");
    assert_int_equal(health_codes_parse(many, codes, &n), -EINVAL);
}

static void assert_refused(const struct health_question_options *options, const char *field, const char *message)
{
    struct health_question *question = NULL;
    struct error error = {0};

    assert_int_equal(health_question_new(options, &question, &error), -EINVAL);
    assert_null(question);
    assert_string_equal(error.field, field);
    assert_non_null(strstr(error.message, message));
    assert_int_equal(health_question_new(options, &question, NULL), -EINVAL);
}

static void refusals_name_field_and_value(void **state)
{
    struct health_url url = {.path = "/"};
    struct health_question_options options = {.kind = HEALTH_TCP};
    char long_text[HEALTH_TEXT_MAX + 2];

    assert_refused(&options, "timeout_ms", "'0'");
    options = (struct health_question_options){.kind = HEALTH_N_KINDS, .timeout_ms = 1};
    assert_refused(&options, "kind", "no kind");
    options = (struct health_question_options){.kind = HEALTH_HTTP, .timeout_ms = 1};
    assert_refused(&options, "urls", "0");
    options.http = (struct health_http){.urls = &url, .n_urls = 1, .version = 20};
    assert_refused(&options, "version", "'20'");
    options.http.version = 10;
    options.http.method = "GET / HTTP/1.1\r\nX: ";
    assert_refused(&options, "method", "byte 3");
    options.http.method = NULL;
    url.path = "alive";
    assert_refused(&options, "urls[0].path", "'alive'");
    url.path = "/a\r\nHost: b";
    assert_refused(&options, "urls[0].path", "byte 2");
    url.path = NULL;
    assert_refused(&options, "urls[0].path", "required");
    memset(long_text, '/', sizeof(long_text) - 1);
    long_text[sizeof(long_text) - 1] = '\0';
    url.path = long_text;
    assert_refused(&options, "urls[0].path", "bytes");
    url = (struct health_url){.path = "/", .host = "a@b"};
    assert_refused(&options, "urls[0].host", "'a@b'");
    url = (struct health_url){.path = "/", .digest = "12"};
    assert_refused(&options, "urls[0].digest", "'12'");
    url = (struct health_url){.path = "/", .regex = {.pattern = "a(b"}};
    assert_refused(&options, "urls[0].regex", "'a(b'");
    options = (struct health_question_options){.kind = HEALTH_UDP, .timeout_ms = 1, .udp = {.payload_size = HEALTH_PAYLOAD_MAX + 1, .payload = (const uint8_t *)""}};
    assert_refused(&options, "payload", "bytes");
    options = (struct health_question_options){.kind = HEALTH_DNS, .timeout_ms = 1, .dns = {.name = "a..b"}};
    assert_refused(&options, "name", "'a..b'");
    options = (struct health_question_options){.kind = HEALTH_MISC, .timeout_ms = 1};
    assert_refused(&options, "arguments", "required");
    options.misc.arguments = (const char *const[]){"sh", NULL};
    assert_refused(&options, "arguments[0]", "'sh'");
    options = (struct health_question_options){.kind = HEALTH_FILE, .timeout_ms = 1, .file = {.path = "a"}};
    assert_refused(&options, "file", "'a'");
}

static void everything_is_copied(void **state)
{
    char path[] = "/path", host[] = "host", method[] = "HEAD", pattern[] = "up", regex_options[] = "caseless";
    struct health_codes codes[] = {{200, 204}, {301, 301}};
    struct health_url urls[] = {{.path = path, .host = host, .codes = codes, .n_codes = 2}, {.path = path, .regex = {.pattern = pattern, .options = regex_options}}};
    struct health_question_options options = {.kind = HEALTH_HTTPS, .timeout_ms = 5, .http = {.method = method, .urls = urls, .n_urls = 2}};
    const struct health_question_options *copy;
    struct health_question *question = NULL, *second = NULL;
    char reason[120];

    assert_int_equal(health_question_new(&options, &question, NULL), 0);
    memset(path, 'x', sizeof(path) - 1);
    memset(host, 'x', sizeof(host) - 1);
    memset(method, 'x', sizeof(method) - 1);
    memset(pattern, 'x', sizeof(pattern) - 1);
    memset(regex_options, 'x', sizeof(regex_options) - 1);
    memset(codes, 0, sizeof(codes));
    memset(urls, 0, sizeof(urls));
    second = health_question_ref(question);
    health_question_unref(question);
    copy = health_question_options(second);
    assert_string_equal(copy->http.method, "HEAD");
    assert_string_equal(copy->http.urls[0].path, "/path");
    assert_string_equal(copy->http.urls[0].host, "host");
    assert_int_equal(copy->http.urls[0].codes[0].last, 204);
    assert_int_equal(copy->http.urls[0].codes[1].first, 301);
    assert_string_equal(copy->http.urls[1].path, "/path");
    assert_string_equal(copy->http.urls[1].regex.pattern, "up");
    assert_string_equal(copy->http.urls[1].regex.options, "caseless");
    assert_null(copy->http.urls[0].compiled);
    assert_int_equal(health_regex_search(copy->http.urls[1].compiled, "UP", 2, false, reason), HEALTH_REGEX_FOUND);
    assert_int_equal(copy->timeout_ms, 5);
    health_question_unref(second);

    char payload[] = "abc", name[] = "example.com", program[] = "/bin/true", argument[] = "-x";
    const char *arguments[] = {program, argument, NULL};
    options = (struct health_question_options){.kind = HEALTH_UDP, .timeout_ms = 5, .udp = {.payload = (uint8_t *)payload, .payload_size = 3}};
    assert_int_equal(health_question_new(&options, &question, NULL), 0);
    payload[0] = 'x';
    assert_memory_equal(health_question_options(question)->udp.payload, "abc", 3);
    health_question_unref(question);
    options = (struct health_question_options){.kind = HEALTH_DNS, .timeout_ms = 5, .dns = {.name = name}};
    assert_int_equal(health_question_new(&options, &question, NULL), 0);
    name[0] = 'x';
    assert_string_equal(health_question_options(question)->dns.name, "example.com");
    health_question_unref(question);
    options = (struct health_question_options){.kind = HEALTH_MISC, .timeout_ms = 5, .misc = {.arguments = arguments}};
    assert_int_equal(health_question_new(&options, &question, NULL), 0);
    program[1] = argument[1] = 'q';
    arguments[1] = NULL;
    assert_string_equal(health_question_options(question)->misc.arguments[0], "/bin/true");
    assert_string_equal(health_question_options(question)->misc.arguments[1], "-x");
    assert_null(health_question_options(question)->misc.arguments[2]);
    health_question_unref(question);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(codes_are_read_as_octavia_writes_them),
        cmocka_unit_test(refusals_name_field_and_value),
        cmocka_unit_test(everything_is_copied),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
