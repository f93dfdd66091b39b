/* Each kind of probe against real servers, well and unwell, in a network namespace of its own. */
#include "test.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "servers.h"
#include "tls-server.h"
#include "weft/base/bytes.h"
#include "weft/base/util.h"
#include "weft/health/probe.h"

#define PATIENT_MS 60000 /* What is not about timeouts must not meet one, however slow the machine. */

static uv_loop_t loop;
static struct health_prober *prober;

struct asked {
    bool is_done;
    struct health_result result;
};

static void take(const struct health_result *result, void *context)
{
    struct asked *asked = context;

    assert_false(asked->is_done);
    asked->is_done = true;
    asked->result = *result;
}

static struct health_result ask_target(const struct health_question_options *options, const struct health_target *target)
{
    struct health_question *question = NULL;
    struct asked asked = {0};
    struct error error = {0};

    if (health_question_new(options, &question, &error) < 0)
        fail_msg("%s: %s", error.field, error.message);
    assert_non_null(health_probe_start(prober, question, target, take, &asked));
    assert_false(asked.is_done); /* Never from within start. */
    health_question_unref(question); /* The probe has its own. */
    while (!asked.is_done)
        uv_run(&loop, UV_RUN_ONCE);
    return asked.result;
}

static struct health_result ask(const struct health_question_options *options, const char *address, uint16_t port)
{
    struct health_target target = {.port = port};

    assert_int_equal(ip_parse(address, &target.address), 0);
    return ask_target(options, &target);
}

static void assert_result(const struct health_result *result, bool is_up, const char *reason)
{
    assert_string_equal(result->reason, reason);
    assert_int_equal(result->is_up, is_up);
    assert_true(result->was_asked);
}

static const char *const loopbacks[] = {"127.0.0.1", "::1"};

/* ---- TCP ------------------------------------------------------------------------------------------------------------------------- */

static const struct health_question_options tcp = {.kind = HEALTH_TCP, .timeout_ms = PATIENT_MS};

static void a_server_that_takes_connections_is_up(void **state)
{
    for (size_t i = 0; i < ARRAY_SIZE(loopbacks); i++) {
        struct server server;
        struct health_result result;

        server_start_tcp(&server, &loop, loopbacks[i]);
        result = ask(&tcp, loopbacks[i], server.port);
        assert_result(&result, true, "connected");
        assert_int_equal(result.exit_status, -1);
        server_stop(&server);
        result = ask(&tcp, loopbacks[i], server.port);
        assert_result(&result, false, "connection refused");
    }
}

static void a_network_without_a_route_is_a_failure(void **state)
{
    struct health_result result = ask(&tcp, "192.0.2.1", 80);

    assert_result(&result, false, "network unreachable");
    result = ask(&tcp, "2001:db8::1", 80);
    assert_result(&result, false, "network unreachable");
}

static void the_source_address_is_used(void **state)
{
    struct server server;
    struct health_target target;
    struct health_result result;
    struct ip_address source;

    server_start_tcp(&server, &loop, "127.0.0.1");
    server.answer = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
    assert_int_equal(ip_parse("127.0.0.77", &source), 0);
    target = (struct health_target){.address = server.address, .port = server.port, .source = source, .device = "lo"};
    result = ask_target(&(struct health_question_options){.kind = HEALTH_HTTP, .timeout_ms = PATIENT_MS,
                                                          .http = {.urls = &(struct health_url){.path = "/"}, .n_urls = 1}}, &target);
    assert_result(&result, true, "got 200");
    assert_true(ip_equal(&server.peer, &source));
    result = ask_target(&tcp, &target);
    assert_result(&result, true, "connected");
    server_stop(&server);
    /* One that is not this host's: a check that can never be made has failed. */
    assert_int_equal(ip_parse("192.0.2.7", &target.source), 0);
    result = ask_target(&tcp, &target);
    assert_result(&result, false, "cannot use the source address: Cannot assign requested address");
}

static void the_device_is_used(void **state)
{
    struct health_target target = {.port = 80, .device = "weft-none"};
    struct health_result result;

    assert_int_equal(ip_parse("127.0.0.1", &target.address), 0);
    result = ask_target(&tcp, &target);
    assert_result(&result, false, "cannot use the device: No such device");
    result = ask_target(&(struct health_question_options){.kind = HEALTH_PING, .timeout_ms = PATIENT_MS}, &target);
    assert_result(&result, false, "No such device");
}

/* A rule that sends what has the mark nowhere. */
static void the_mark_is_used(void **state)
{
    struct server server;
    struct health_target target;
    struct health_result result;

    server_start_tcp(&server, &loop, "127.0.0.1");
    target = (struct health_target){.address = server.address, .port = server.port, .mark = 77};
    servers_run("ip rule add fwmark 77 pref 0 unreachable && ip rule add pref 1 lookup local && ip rule del pref 0 lookup local");
    result = ask_target(&tcp, &target);
    assert_result(&result, false, "network unreachable");
    result = ask_target(&(struct health_question_options){.kind = HEALTH_PING, .timeout_ms = PATIENT_MS}, &target);
    assert_result(&result, false, "network unreachable");
    target.mark = 78;
    result = ask_target(&tcp, &target);
    assert_result(&result, true, "connected");
    servers_run("ip rule add pref 0 lookup local && ip rule del pref 1 lookup local && ip rule del fwmark 77 pref 0");
    server_stop(&server);
}

/* File descriptors that are used up are our problem. */
static void a_host_that_cannot_ask_does_not_say_down(void **state)
{
    struct rlimit before, none;
    struct health_result result;

    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    none = before;
    none.rlim_cur = 3;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    result = ask(&tcp, "127.0.0.1", 80);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    assert_false(result.was_asked);
    assert_false(result.is_up);
    assert_string_equal(result.reason, "no socket: Too many open files");
}

/* ---- HTTP ------------------------------------------------------------------------------------------------------------------------- */

static struct health_result ask_http(struct server *server, const char *answer, const struct health_http *http)
{
    struct health_question_options options = {.kind = HEALTH_HTTP, .timeout_ms = PATIENT_MS, .http = *http};
    struct health_target target = {.address = server->address, .port = server->port};

    server->answer = answer;
    return ask_target(&options, &target);
}

#define OK "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"

static void a_status_is_expected_or_not(void **state)
{
    for (size_t i = 0; i < ARRAY_SIZE(loopbacks); i++) {
        const struct health_codes codes[] = {{200, 200}, {302, 305}};
        struct health_url url = {.path = "/alive?deep=1"};
        struct health_http http = {.urls = &url, .n_urls = 1};
        struct server server;
        struct health_result result;
        char text[128], address[IP_TEXT_SIZE];

        server_start_tcp(&server, &loop, loopbacks[i]);
        result = ask_http(&server, OK, &http);
        assert_result(&result, true, "got 200");
        snprintf(text, sizeof(text), i ? "\r\nHost: [%s]:%u\r\n" : "\r\nHost: %s:%u\r\n", ip_format(&server.address, address), server.port);
        assert_int_equal(strncmp(server.request, "GET /alive?deep=1 HTTP/1.1\r\n", 28), 0);
        assert_non_null(strstr(server.request, text));
        result = ask_http(&server, "HTTP/1.1 503 Busy\r\n\r\n", &http);
        assert_result(&result, false, "expected 200-299, got 503");
        url.codes = codes;
        url.n_codes = 2;
        result = ask_http(&server, "HTTP/1.1 304 Same\r\n\r\n", &http);
        assert_result(&result, true, "got 304");
        result = ask_http(&server, "HTTP/1.1 201 Made\r\n\r\n", &http);
        assert_result(&result, false, "expected 200,302-305, got 201");
        server_stop(&server);
        result = ask_http(&server, NULL, &http);
        assert_result(&result, false, "connection refused");
    }
}

static void a_request_is_made_as_the_question_says(void **state)
{
    struct health_url url = {.path = "/x", .host = "www.example.com"};
    struct health_http http = {.method = "OPTIONS", .version = 10, .urls = &url, .n_urls = 1};
    struct server server;
    struct health_result result;

    server_start_tcp(&server, &loop, "127.0.0.1");
    result = ask_http(&server, OK, &http);
    assert_result(&result, true, "got 200");
    assert_int_equal(strncmp(server.request, "OPTIONS /x HTTP/1.0\r\n", 21), 0);
    assert_non_null(strstr(server.request, "\r\nHost: www.example.com\r\n"));
    http.method = "HEAD";
    result = ask_http(&server, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", &http);
    assert_result(&result, true, "got 200");
    assert_int_equal(strncmp(server.request, "HEAD /x HTTP/1.0\r\n", 18), 0);
    server_stop(&server);
}

/* Who is probed by another address than it has is called by its own. */
static void a_server_is_called_by_its_own_address(void **state)
{
    static const struct {
        const char *called, *host;
    } cases[] = {{"192.0.2.7", "Host: 192.0.2.7:%u\r\n"}, {"2001:db8::7", "Host: [2001:db8::7]:%u\r\n"}};

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct health_url url = {.path = "/"};
        struct health_question_options options = {.kind = HEALTH_HTTP, .timeout_ms = PATIENT_MS, .http = {.urls = &url, .n_urls = 1}};
        struct server server;
        struct health_target target;
        struct health_result result;
        char text[128];

        server_start_tcp(&server, &loop, "127.0.0.1");
        server.answer = OK;
        target = (struct health_target){.address = server.address, .port = server.port};
        assert_int_equal(ip_parse(cases[i].called, &target.called), 0);
        result = ask_target(&options, &target);
        assert_result(&result, true, "got 200");
        snprintf(text, sizeof(text), cases[i].host, server.port);
        assert_non_null(strstr(server.request, text));
        server_stop(&server);
    }
}

/* A body that never ends must not be waited for. */
static void the_head_is_enough(void **state)
{
    struct health_url url = {.path = "/"};
    struct health_http http = {.urls = &url, .n_urls = 1};
    struct server server;
    struct health_result result;

    server_start_tcp(&server, &loop, "127.0.0.1");
    result = ask_http(&server, "HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\nx", &http);
    assert_result(&result, true, "got 200");
    result = ask_http(&server, "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 200 OK\r\nX-Folded: a\r\n\r\n", &http);
    assert_result(&result, true, "got 200");
    server_stop(&server);
}

static void what_is_no_http_is_a_failure(void **state)
{
    struct health_url url = {.path = "/"};
    struct health_http http = {.urls = &url, .n_urls = 1};
    struct server server;
    struct health_result result;

    server_start_tcp(&server, &loop, "127.0.0.1");
    result = ask_http(&server, "", &http);
    assert_result(&result, false, "connection closed without an answer");
    result = ask_http(&server, "220 mail.example.com ESMTP\r\n\r\n", &http);
    assert_false(result.is_up);
    assert_non_null(strstr(result.reason, "no HTTP answer: "));
    server_stop(&server);
}

static void a_digest_is_of_the_body(void **state)
{
    struct health_url url = {.path = "/", .digest = "5D41402ABC4B2A76B9719D911017C592"}; /* Of "hello". */
    struct health_http http = {.urls = &url, .n_urls = 1};
    struct server server;
    struct health_result result;

    server_start_tcp(&server, &loop, "127.0.0.1");
    result = ask_http(&server, OK, &http);
    assert_result(&result, true, "got 200");
    result = ask_http(&server, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nHello", &http);
    assert_result(&result, false, "expected digest 5D41402ABC4B2A76B9719D911017C592, got 8b1a9953c4611296a827abf8c47804d7");
    result = ask_http(&server, "HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhello", &http);
    assert_false(result.is_up);
    assert_non_null(strstr(result.reason, "the body broke off: "));
    server_stop(&server);
}

static void a_body_is_searched(void **state)
{
    struct health_url url = {.path = "/", .regex = {.pattern = "h(e|a)llo"}};
    struct health_http http = {.urls = &url, .n_urls = 1};
    struct server server;
    struct health_result result;
    char reason[200];

    server_start_tcp(&server, &loop, "127.0.0.1");
    result = ask_http(&server, OK, &http);
    assert_result(&result, true, "got 200");
    url.regex_no_match = true;
    result = ask_http(&server, OK, &http);
    assert_result(&result, false, "the body matches 'h(e|a)llo'");
    url.regex.pattern = "down";
    result = ask_http(&server, OK, &http);
    assert_result(&result, true, "got 200");
    url.regex_no_match = false;
    result = ask_http(&server, OK, &http);
    assert_result(&result, false, "the body does not match 'down'");
    result = ask_http(&server, "HTTP/1.1 204 Nothing\r\n\r\n", &http);
    assert_result(&result, false, "the body does not match 'down'");
    result = ask_http(&server, "HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\ndown", &http);
    assert_false(result.is_up);
    assert_non_null(strstr(result.reason, "the body broke off: "));
    snprintf(reason, sizeof(reason), "the search for '%s' failed: it takes more than %u ms", "(x+)+$", HEALTH_REGEX_SEARCH_CPU_MS);
    url.regex = (struct health_regex_options){.pattern = "(x+)+$", .options = "no_start_optimize"};
    result = ask_http(&server, "HTTP/1.1 200 OK\r\n\r\nxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx-", &http);
    assert_result(&result, false, reason);
    server_stop(&server);
}

/* Of a body without end as much is read as is kept. */
static void a_long_body_is_searched_in_its_first_part(void **state)
{
    static const char head[] = "HTTP/1.1 200 OK\r\n\r\nhello";
    const size_t size = sizeof(head) + HEALTH_BODY_MAX;
    struct health_url url = {.path = "/", .regex = {.pattern = "hello"}};
    struct health_http http = {.urls = &url, .n_urls = 1};
    struct server server;
    struct health_result result;
    char *answer = malloc(size), reason[200];

    assert_non_null(answer);
    memset(answer, ' ', size);
    memcpy(answer, head, sizeof(head) - 1);
    memcpy(answer + size - 5, "last", 5);
    server_start_tcp(&server, &loop, "127.0.0.1");
    result = ask_http(&server, answer, &http);
    assert_result(&result, true, "got 200");
    url.regex.pattern = "last";
    snprintf(reason, sizeof(reason), "no match of 'last' in %u bytes, and the body is longer", HEALTH_BODY_MAX);
    result = ask_http(&server, answer, &http);
    assert_result(&result, false, reason);
    url.regex_no_match = true; /* Nobody knows. */
    result = ask_http(&server, answer, &http);
    assert_result(&result, false, reason);
    server_stop(&server);
    free(answer);
}

static void a_redirect_is_followed_to_the_same_server(void **state)
{
    struct health_url url = {.path = "/", .host = "www.example.com"};
    struct health_http http = {.urls = &url, .n_urls = 1, .follow_redirects = true};
    struct server server;
    struct health_result result;

    server_start_tcp(&server, &loop, "127.0.0.1");
    result = ask_http(&server, "HTTP/1.1 302 There\r\nLocation: http://other.example.com/there\r\nContent-Length: 0\r\n\r\n", &http);
    assert_false(result.is_up);
    assert_int_equal(server.n_clients, 11); /* It never ends. */
    assert_int_equal(strncmp(server.request, "GET /there ", 11), 0);
    http.follow_redirects = false;
    result = ask_http(&server, server.answer, &http);
    assert_result(&result, false, "expected 200-299, got 302");
    server_stop(&server);
}

static void all_urls_are_asked_until_one_fails(void **state)
{
    const struct health_codes missing = {404, 404};
    struct health_url urls[] = {{.path = "/a"}, {.path = "/b"}, {.path = "/c", .codes = &missing, .n_codes = 1}, {.path = "/d"}};
    struct health_http http = {.urls = urls, .n_urls = 2};
    struct server server;
    struct health_result result;

    server_start_tcp(&server, &loop, "127.0.0.1");
    result = ask_http(&server, OK, &http);
    assert_result(&result, true, "got 200");
    assert_int_equal(server.n_clients, 2);
    assert_int_equal(strncmp(server.request, "GET /b ", 7), 0);
    http.n_urls = 4;
    result = ask_http(&server, OK, &http);
    assert_result(&result, false, "expected 404, got 200");
    assert_int_equal(server.n_clients, 5);
    server_stop(&server);
}

static void silence_ends_with_the_timeout(void **state)
{
    struct health_url url = {.path = "/"};
    struct health_question_options options = {.kind = HEALTH_HTTP, .timeout_ms = 20, .http = {.urls = &url, .n_urls = 1}};
    struct health_target target = {0};
    struct server server;
    struct health_result result;

    server_start_tcp(&server, &loop, "127.0.0.1");
    target.address = server.address;
    target.port = server.port;
    result = ask_target(&options, &target);
    assert_result(&result, false, "timeout after 0.020 s");
    assert_true(result.took_ms >= 20);
    options.kind = HEALTH_TLS_HELLO;
    result = ask_target(&options, &target);
    assert_result(&result, false, "timeout after 0.020 s");
    server_stop(&server);
}

/* The loop was busy for longer than the timeout, and the answer is there: it counts. */
static void an_answer_in_time_counts_when_the_loop_is_late(void **state)
{
    struct health_question *question = NULL;
    struct health_target target = {0};
    struct asked asked = {0};
    struct server server;

    server_start_tcp(&server, &loop, "127.0.0.1");
    target.address = server.address;
    target.port = server.port;
    assert_int_equal(health_question_new(&(struct health_question_options){.kind = HEALTH_TCP, .timeout_ms = 1}, &question, NULL), 0);
    assert_non_null(health_probe_start(prober, question, &target, take, &asked));
    for (uint64_t start = uv_hrtime(); uv_hrtime() - start < 5000000;) /* The kernel takes the connection, nobody else runs. */
        ;
    while (!asked.is_done)
        uv_run(&loop, UV_RUN_ONCE);
    assert_result(&asked.result, true, "connected");
    health_question_unref(question);
    server_stop(&server);
}

/* ---- TLS -------------------------------------------------------------------------------------------------------------------------- */

static void a_server_hello_is_enough(void **state)
{
    const struct health_question_options hello = {.kind = HEALTH_TLS_HELLO, .timeout_ms = PATIENT_MS};
    struct tls_server *tls = tls_server_start();
    struct server plain;
    struct health_result result = ask(&hello, "127.0.0.1", tls_server_port(tls));

    assert_result(&result, true, "ServerHello");
    tls_server_stop(tls);
    server_start_tcp(&plain, &loop, "127.0.0.1");
    plain.answer = "SSH-2.0-OpenSSH_9.2\r\n";
    plain.answer_size = strlen(plain.answer);
    result = ask(&hello, "127.0.0.1", plain.port);
    assert_false(result.is_up);
    assert_int_equal(strncmp(result.reason, "no TLS: ", 8), 0);
    server_stop(&plain);
    result = ask(&hello, "127.0.0.1", plain.port);
    assert_result(&result, false, "connection refused");
}

static void https_asks_by_name_and_believes_any_certificate(void **state)
{
    struct health_url url = {.path = "/", .host = "secure.example.com"};
    struct health_question_options options = {.kind = HEALTH_HTTPS, .timeout_ms = PATIENT_MS, .http = {.urls = &url, .n_urls = 1}};
    struct tls_server *tls = tls_server_start();
    struct health_result result = ask(&options, "127.0.0.1", tls_server_port(tls));

    assert_result(&result, true, "got 200");
    assert_string_equal(tls_server_name(tls), "secure.example.com");
    tls_server_stop(tls);
}

/* ---- UDP and DNS ------------------------------------------------------------------------------------------------------------------- */

static size_t answer_three(const uint8_t *request, size_t size, uint8_t *bytes)
{
    memcpy(bytes, "yes", 3);
    return 3;
}

static void silence_is_health_and_an_icmp_error_is_not(void **state)
{
    for (size_t i = 0; i < ARRAY_SIZE(loopbacks); i++) {
        struct health_question_options options = {.kind = HEALTH_UDP, .timeout_ms = 20};
        struct server server;
        struct health_result result;

        server_start_udp(&server, &loop, loopbacks[i]);
        result = ask(&options, loopbacks[i], server.port);
        assert_result(&result, true, "no error within 20 ms");
        server.answer_datagram = answer_three;
        options.timeout_ms = PATIENT_MS;
        options.udp.require_reply = true;
        options.udp.payload = (const uint8_t *)"ping?";
        options.udp.payload_size = 5;
        result = ask(&options, loopbacks[i], server.port);
        assert_result(&result, true, "a reply of 3 bytes");
        assert_string_equal(server.request, "ping?");
        options.udp.reply_min = 4;
        result = ask(&options, loopbacks[i], server.port);
        assert_result(&result, false, "expected a reply of at least 4 bytes, got 3");
        options.udp.reply_min = 0;
        options.udp.reply_max = 2;
        result = ask(&options, loopbacks[i], server.port);
        assert_result(&result, false, "expected a reply of at most 2 bytes, got 3");
        server.answer_datagram = NULL;
        options.timeout_ms = 20;
        result = ask(&options, loopbacks[i], server.port);
        assert_result(&result, false, "no reply within 20 ms");
        server_stop(&server);
        options.timeout_ms = PATIENT_MS;
        result = ask(&options, loopbacks[i], server.port);
        assert_result(&result, false, "connection refused");
    }
}

static unsigned dns_rcode, n_strays;

static size_t answer_dns(const uint8_t *request, size_t size, uint8_t *bytes)
{
    memcpy(bytes, request, size);
    put_be16(bytes + 2, (uint16_t)(0x8180 | dns_rcode));
    if (n_strays && n_strays--)
        bytes[0] ^= 0xff; /* An answer to another question. */
    return size;
}

static void a_dns_server_answers_without_an_error(void **state)
{
    struct health_question_options options = {.kind = HEALTH_DNS, .timeout_ms = PATIENT_MS, .dns = {.name = "www.example.com", .type = 28}};
    struct server server;
    struct health_result result;

    server_start_udp(&server, &loop, "127.0.0.1");
    server.answer_datagram = answer_dns;
    dns_rcode = 0;
    result = ask(&options, "127.0.0.1", server.port);
    assert_result(&result, true, "answered");
    options.dns = (struct health_dns){0};
    result = ask(&options, "127.0.0.1", server.port);
    assert_result(&result, true, "answered");
    dns_rcode = 2;
    result = ask(&options, "127.0.0.1", server.port);
    assert_result(&result, false, "answered with SERVFAIL");
    dns_rcode = 15;
    result = ask(&options, "127.0.0.1", server.port);
    assert_result(&result, false, "answered with error 15");
    dns_rcode = 0;
    n_strays = 1;
    options.timeout_ms = 20;
    result = ask(&options, "127.0.0.1", server.port);
    assert_result(&result, false, "timeout after 0.020 s");
    server_stop(&server);
    options.timeout_ms = PATIENT_MS;
    result = ask(&options, "127.0.0.1", server.port);
    assert_result(&result, false, "connection refused");
}

/* ---- SMTP --------------------------------------------------------------------------------------------------------------------------- */

static struct health_result ask_smtp(struct server *server, const char *answer)
{
    struct health_question_options options = {.kind = HEALTH_SMTP, .timeout_ms = PATIENT_MS, .smtp = {.name = "director.example.com"}};
    struct health_target target = {.address = server->address, .port = server->port};

    server->greeting = answer;
    server->answer = "250 hello\r\n";
    server->answer_size = strlen(server->answer);
    return ask_target(&options, &target);
}

static void a_mail_server_greets_and_answers(void **state)
{
    struct server server;
    struct health_result result;

    server_start_tcp(&server, &loop, "127.0.0.1");
    result = ask_smtp(&server, "220-mail.example.com\r\n220 ready\r\n");
    assert_result(&result, true, "answered HELO");
    assert_string_equal(server.request, "HELO director.example.com\r\n");
    result = ask_smtp(&server, "554 go away\r\n");
    assert_result(&result, false, "expected 220, got '554 go away'");
    server_stop(&server);
    result = ask_smtp(&server, NULL);
    assert_result(&result, false, "connection refused");
}

/* ---- PING -------------------------------------------------------------------------------------------------------------------------- */

static void an_address_answers_echo(void **state)
{
    struct health_question_options options = {.kind = HEALTH_PING, .timeout_ms = PATIENT_MS};
    struct health_target target = {.device = "lo"};
    struct health_result result;

    for (size_t i = 0; i < ARRAY_SIZE(loopbacks); i++) {
        assert_int_equal(ip_parse(loopbacks[i], &target.address), 0);
        result = ask_target(&options, &target);
        assert_result(&result, true, "echo reply");
    }
    assert_int_equal(ip_parse("127.0.0.1", &target.address), 0);
    assert_int_equal(ip_parse("127.0.0.9", &target.source), 0);
    result = ask_target(&options, &target);
    assert_result(&result, true, "echo reply");
    result = ask(&options, "192.0.2.1", 0);
    assert_result(&result, false, "network unreachable");
    servers_run("echo 1 > /proc/sys/net/ipv4/icmp_echo_ignore_all");
    options.timeout_ms = 20;
    result = ask(&options, "127.0.0.1", 0);
    assert_result(&result, false, "timeout after 0.020 s");
    servers_run("echo 0 > /proc/sys/net/ipv4/icmp_echo_ignore_all");
}

/* ---- MISC -------------------------------------------------------------------------------------------------------------------------- */

static struct health_result ask_shell(const char *script, bool may_set_weight, uint32_t timeout_ms)
{
    const char *const arguments[] = {"/bin/sh", "-c", script, NULL};

    return ask(&(struct health_question_options){.kind = HEALTH_MISC, .timeout_ms = timeout_ms,
                                                 .misc = {.arguments = arguments, .may_set_weight = may_set_weight}}, "127.0.0.1", 0);
}

static void a_program_ends_with_its_status(void **state)
{
    struct health_result result = ask_shell("exit 0", false, PATIENT_MS);

    assert_result(&result, true, "exit status 0");
    assert_int_equal(result.exit_status, 0);
    result = ask_shell("exit 1", true, PATIENT_MS);
    assert_result(&result, false, "exit status 1");
    result = ask_shell("exit 42", false, PATIENT_MS);
    assert_result(&result, false, "exit status 42");
    result = ask_shell("exit 42", true, PATIENT_MS);
    assert_result(&result, true, "exit status 42");
    assert_int_equal(result.exit_status, 42);
    result = ask_shell("kill -9 $$", true, PATIENT_MS);
    assert_result(&result, false, "ended by signal 9 (Killed)");
    assert_int_equal(result.exit_status, -1);
    result = ask(&(struct health_question_options){.kind = HEALTH_MISC, .timeout_ms = PATIENT_MS,
                                                   .misc = {.arguments = (const char *[]){"/nonexistent", NULL}}}, "127.0.0.1", 0);
    assert_result(&result, false, "cannot start /nonexistent: No such file or directory");
}

/* The program and what it started hold a pipe open: its end is the end of all of them. */
static void a_program_that_takes_too_long_is_killed_with_its_children(void **state)
{
    char directory[] = "/tmp/weft-health-XXXXXX", path[64], script[256], byte;
    struct health_result result;
    int fd;

    assert_non_null(mkdtemp(directory));
    snprintf(path, sizeof(path), "%s/pipe", directory);
    assert_int_equal(mkfifo(path, 0600), 0);
    fd = open(path, O_RDWR | O_CLOEXEC);
    assert_true(fd >= 0);
    int reader = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(reader >= 0);
    snprintf(script, sizeof(script), "exec 3>%s; sleep 1000 & sleep 1000", path);
    result = ask_shell(script, false, 100);
    assert_result(&result, false, "timeout after 0.100 s");
    close(fd);
    assert_int_equal(read(reader, &byte, 1), 0);
    close(reader);
    unlink(path);
    rmdir(directory);
}

/* ---- the end ------------------------------------------------------------------------------------------------------------------------ */

static void never(const struct health_result *result, void *context)
{
    fail_msg("called back: %s", result->reason);
}

static void note_closed(void *context)
{
    *(bool *)context = true;
}

/* Of each kind one that waits, one that has ended but not called back; all are cancelled, or end with the prober. */
static void what_is_cancelled_does_not_call_back(void **state)
{
    for (int round = 0; round < 2; round++) {
        const char *const arguments[] = {"/bin/sleep", "1000", NULL};
        struct health_url url = {.path = "/"};
        struct health_prober *own = NULL;
        struct health_target target = {0}, nowhere = {.port = 80};
        struct server tcp_server, udp_server;
        bool is_closed = false;

        assert_int_equal(health_prober_new(&loop, &own), 0);
        server_start_tcp(&tcp_server, &loop, "127.0.0.1");
        server_start_udp(&udp_server, &loop, "127.0.0.1");
        assert_int_equal(ip_parse("192.0.2.1", &nowhere.address), 0);
        target.address = tcp_server.address;
        for (int kind = 0; kind < HEALTH_N_KINDS; kind++) {
            struct health_question_options options = {.kind = (enum health_kind)kind, .timeout_ms = PATIENT_MS, .http = {.urls = &url, .n_urls = 1},
                                                      .misc = {.arguments = arguments}, .file = {.path = "/dev/zero"}};
            struct health_question *question = NULL;
            struct health_probe *probes[2];

            target.port = kind == HEALTH_UDP || kind == HEALTH_DNS ? udp_server.port : tcp_server.port;
            assert_int_equal(health_question_new(&options, &question, NULL), 0);
            probes[0] = health_probe_start(own, question, &target, never, NULL);
            probes[1] = health_probe_start(own, question, &nowhere, never, NULL);
            assert_true(probes[0] && probes[1]);
            for (int i = 0; round == 0 && i < 2; i++)
                health_probe_cancel(probes[i]);
            health_question_unref(question);
        }
        health_prober_close(own, note_closed, &is_closed);
        while (!is_closed)
            uv_run(&loop, UV_RUN_ONCE);
        server_stop(&tcp_server);
        server_stop(&udp_server);
    }
}

static int set_up(void **state)
{
    signal(SIGPIPE, SIG_IGN);
    return uv_loop_init(&loop) < 0 || health_prober_new(&loop, &prober) < 0 ? -1 : 0;
}

static int tear_down(void **state)
{
    bool is_closed = false;

    health_prober_close(prober, note_closed, &is_closed);
    uv_run(&loop, UV_RUN_DEFAULT);
    return is_closed && uv_loop_close(&loop) == 0 ? 0 : -1;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_server_that_takes_connections_is_up),
        cmocka_unit_test(a_network_without_a_route_is_a_failure),
        cmocka_unit_test(the_source_address_is_used),
        cmocka_unit_test(the_device_is_used),
        cmocka_unit_test(the_mark_is_used),
        cmocka_unit_test(a_host_that_cannot_ask_does_not_say_down),
        cmocka_unit_test(a_status_is_expected_or_not),
        cmocka_unit_test(a_request_is_made_as_the_question_says),
        cmocka_unit_test(a_server_is_called_by_its_own_address),
        cmocka_unit_test(the_head_is_enough),
        cmocka_unit_test(what_is_no_http_is_a_failure),
        cmocka_unit_test(a_digest_is_of_the_body),
        cmocka_unit_test(a_body_is_searched),
        cmocka_unit_test(a_long_body_is_searched_in_its_first_part),
        cmocka_unit_test(a_redirect_is_followed_to_the_same_server),
        cmocka_unit_test(all_urls_are_asked_until_one_fails),
        cmocka_unit_test(silence_ends_with_the_timeout),
        cmocka_unit_test(an_answer_in_time_counts_when_the_loop_is_late),
        cmocka_unit_test(a_server_hello_is_enough),
        cmocka_unit_test(https_asks_by_name_and_believes_any_certificate),
        cmocka_unit_test(silence_is_health_and_an_icmp_error_is_not),
        cmocka_unit_test(a_dns_server_answers_without_an_error),
        cmocka_unit_test(a_mail_server_greets_and_answers),
        cmocka_unit_test(an_address_answers_echo),
        cmocka_unit_test(a_program_ends_with_its_status),
        cmocka_unit_test(a_program_that_takes_too_long_is_killed_with_its_children),
        cmocka_unit_test(what_is_cancelled_does_not_call_back),
    };

    if (!servers_enter_namespace())
        return 77;
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
