/* A service of few routes: what the layer does for a program that has no hooks, and what the hooks decide. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <cmocka.h>

#include "weft/base/log.h"
#include "weft/base/util.h"
#include "weft/http/dispatch.h"
#include "weft/http/health.h"
#include "weft/http/http.h"
#include "weft/http/request.h"

/* What the program is, and what its hooks were asked. */
struct program {
    struct http_service service;
    struct request *held;    /* At the barrier. */
    unsigned n_runs;
    const char *not_ready;
};

/* An answer that was given. */
struct answered {
    unsigned n;
    int status;
    char content_type[64], text[512], request_id[64], allow[64], retry_after[8];
};

static void take_answer(struct request *request, struct answer *answer, void *context)
{
    struct answered *answered = context;

    answered->n++;
    answered->status = answer->status;
    snprintf(answered->content_type, sizeof(answered->content_type), "%s", answer->content_type ? answer->content_type : "");
    snprintf(answered->text, sizeof(answered->text), "%.*s", (int)answer->size, answer->bytes ? answer->bytes : "");
    for (size_t i = 0; i < answer->n_headers; i++) {
        const struct answer_header *header = &answer->headers[i];

        if (streq(header->name, "X-Request-Id"))
            snprintf(answered->request_id, sizeof(answered->request_id), "%s", header->value);
        if (streq(header->name, "Allow"))
            snprintf(answered->allow, sizeof(answered->allow), "%s", header->value);
        if (streq(header->name, "Retry-After"))
            snprintf(answered->retry_after, sizeof(answered->retry_after), "%s", header->value);
    }
}

static const char *secret_header(void *context, const char *name)
{
    return strcasecmp(name, "X-Secret") == 0 ? "right" : NULL;
}

static struct request *ask(struct program *program, const char *method, const char *target, const char *body, bool with_secret,
                           struct answered *ret_answered)
{
    struct request_source source = {.answered = take_answer, .context = ret_answered, .url = "http://[::1]:80",
                                    .header = with_secret ? secret_header : NULL};
    struct request *request = request_new(&program->service, method, target, &source);
    size_t size = body ? strlen(body) : 0;

    *ret_answered = (struct answered){0};
    assert_non_null(request);
    request_dispatch(request, body ? strdup(body) : NULL, size, size > request_body_limit(request));
    return request;
}

static void show(struct request *request)
{
    struct program *program = request->context;

    program->n_runs++;
    if (streq(request_parameter(request, "id"), "7"))
        request_respond(request, HTTP_OK, json_pack("{s:s,s:s?,s:O?}", "url", request_public_url(request), "q", request_query(request, "q"),
                                                    "body", request->body));
    else
        request_fail(request, HTTP_NOT_FOUND, "ThingNotFound", "Thing %s could not be found.", request_parameter(request, "id"));
}

/* Runs again twice, as when somebody else was quicker; request->own counts over the runs. */
static void persist(struct request *request)
{
    unsigned *n = request->own;

    if (++*n < 3)
        request_restart(request);
    else
        request_respond_text(request, HTTP_ACCEPTED, "done");
}

enum { POLICY_OPEN, POLICY_SECRET };

static const struct route table[] = {
    {"GET", "/things/{id}", POLICY_OPEN, show},
    {"PUT", "/things/{id}", POLICY_SECRET, show, .body_size = 1 << 20},
    {"POST", "/things", POLICY_OPEN, persist, .body_size = 16},
};

static void start(struct program *program)
{
    log_set_level(LOG_LEVEL_ERROR);
    program->service.context = program;
    assert_int_equal(routes_new(&program->service.routes), 0);
    assert_int_equal(routes_add(program->service.routes, table, ARRAY_SIZE(table)), 0);
    assert_int_equal(health_add(program->service.routes), 0);
    assert_int_equal(health_add_metrics(program->service.routes), 0);
}

static void service_without_hooks_serves(void **state)
{
    struct program program = {0};
    struct answered answered;

    start(&program);
    ask(&program, "GET", "/things/7?q=%C3%A9", NULL, false, &answered);
    assert_int_equal(answered.n, 1);
    assert_int_equal(answered.status, 200);
    assert_string_equal(answered.content_type, "application/json");
    assert_string_equal(answered.text, "{\"url\":\"http://[::1]:80\",\"q\":\"\xc3\xa9\",\"body\":null}");
    assert_memory_equal(answered.request_id, "req-", 4);
    assert_int_equal(strlen(answered.request_id), REQUEST_ID_SIZE - 1);
    ask(&program, "PUT", "/things/7", "{\"a\":1}", false, &answered);
    assert_string_equal(answered.text, "{\"url\":\"http://[::1]:80\",\"q\":null,\"body\":{\"a\":1}}");
    ask(&program, "GET", "/metrics", NULL, false, &answered);
    assert_int_equal(answered.status, 200);
    assert_string_equal(answered.text, "");
    routes_free(program.service.routes);
}

static void errors_have_one_form(void **state)
{
    static const struct {
        const char *method, *target, *body;
        int status;
        const char *text;
    } cases[] = {
        {"GET", "/things/8", NULL, 404,
         "{\"error\":{\"code\":404,\"title\":\"Not Found\",\"type\":\"ThingNotFound\",\"message\":\"Thing 8 could not be found.\"}}"},
        {"GET", "/nothing", NULL, 404,
         "{\"error\":{\"code\":404,\"title\":\"Not Found\",\"type\":\"HTTPNotFound\",\"message\":\"The resource '/nothing' could not be found.\"}}"},
        {"PATCH", "/things/8", NULL, 405,
         "{\"error\":{\"code\":405,\"title\":\"Method Not Allowed\",\"type\":\"HTTPMethodNotAllowed\",\"message\":\"The method PATCH is not "
         "allowed for '/things/8', only GET, HEAD, PUT.\"}}"},
        {"PUT", "/things/8", "[]", 400,
         "{\"error\":{\"code\":400,\"title\":\"Bad Request\",\"type\":\"MalformedRequestBody\",\"message\":\"Malformed request body: it is "
         "not a JSON object.\"}}"},
        {"POST", "/things", "{\"a\":\"0123456789\"}", 413,
         "{\"error\":{\"code\":413,\"title\":\"Request Entity Too Large\",\"type\":\"HTTPRequestEntityTooLarge\",\"message\":\"The request "
         "body is larger than 16 bytes.\"}}"},
    };
    struct program program = {0};
    struct answered answered;

    start(&program);
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        ask(&program, cases[i].method, cases[i].target, cases[i].body, false, &answered);
        assert_int_equal(answered.status, cases[i].status);
        assert_string_equal(answered.text, cases[i].text);
        assert_string_equal(answered.allow, cases[i].status == 405 ? "GET, HEAD, PUT" : "");
    }
    routes_free(program.service.routes);
}

static void restarted_handler_keeps_what_is_its_programs(void **state)
{
    struct program program = {.service = {.own_size = sizeof(unsigned)}};
    struct answered answered;

    start(&program);
    ask(&program, "POST", "/things", NULL, false, &answered);
    assert_int_equal(answered.n, 1);
    assert_int_equal(answered.status, 202);
    assert_string_equal(answered.text, "done");
    routes_free(program.service.routes);
}

static int authenticate(struct request *request, struct error *error)
{
    const char *secret = request_header(request, "X-Secret");

    if (request->route->policy == POLICY_OPEN || (secret && streq(secret, "right")))
        return 0;
    return error_set(error, -EACCES, NULL, "Who are you?");
}

static void large_bodies_are_for_those_who_are_known(void **state)
{
    struct program program = {.service = {.authenticate = authenticate}};
    char *large = malloc(REQUEST_BODY_SIZE_UNKNOWN + 64);
    struct answered answered;

    start(&program);
    memset(large, ' ', REQUEST_BODY_SIZE_UNKNOWN + 63);
    memcpy(large + REQUEST_BODY_SIZE_UNKNOWN + 61, "{}", 3);
    ask(&program, "PUT", "/things/7", large, true, &answered);
    assert_int_equal(answered.status, 200);
    ask(&program, "PUT", "/things/7", large, false, &answered);
    assert_int_equal(answered.status, 401);
    assert_string_equal(answered.text, "{\"error\":{\"code\":401,\"title\":\"Unauthorized\",\"type\":\"HTTPUnauthorized\",\"message\":\"Who are you?\"}}");
    ask(&program, "GET", "/things/7", NULL, false, &answered);
    assert_int_equal(answered.status, 200);
    assert_int_equal(program.n_runs, 2);
    routes_free(program.service.routes);
    free(large);
}

static void hold(struct request *request)
{
    ((struct program *)request->context)->held = request;
}

static void barrier_holds_requests_but_not_health(void **state)
{
    struct program program = {.service = {.barrier = hold}};
    struct answered answered, health;

    start(&program);
    ask(&program, "GET", "/things/7", NULL, false, &answered);
    assert_int_equal(answered.n, 0);
    ask(&program, "GET", "/healthz", NULL, false, &health);
    assert_string_equal(health.text, "ok\n");
    assert_int_equal(answered.n, 0);
    request_proceed(program.held);
    assert_int_equal(answered.n, 1);
    assert_int_equal(answered.status, 200);
    routes_free(program.service.routes);
}

static const char *not_ready(void *context)
{
    return ((struct program *)context)->not_ready;
}

static void readiness_gives_its_reason(void **state)
{
    struct program program = {.service = {.not_ready = not_ready}, .not_ready = "no switch has connected"};
    struct answered answered;

    start(&program);
    ask(&program, "GET", "/readyz", NULL, false, &answered);
    assert_int_equal(answered.status, 503);
    assert_string_equal(answered.text, "no switch has connected\n");
    program.not_ready = NULL;
    ask(&program, "GET", "/readyz", NULL, false, &answered);
    assert_int_equal(answered.status, 200);
    assert_string_equal(answered.text, "ready\n");
    routes_free(program.service.routes);
}

static json_t *short_form(struct request *request, int status, const char *type, const char *message)
{
    return json_pack("{s:s,s:s}", "type", type, "message", message);
}

static void hook_decides_how_errors_look(void **state)
{
    struct program program = {.service = {.fail_body = short_form}};
    struct answered answered;

    start(&program);
    ask(&program, "GET", "/nothing%20here", NULL, false, &answered);
    assert_string_equal(answered.text, "{\"type\":\"HTTPNotFound\",\"message\":\"The resource '/nothing here' could not be found.\"}");
    routes_free(program.service.routes);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(service_without_hooks_serves),
        cmocka_unit_test(errors_have_one_form),
        cmocka_unit_test(restarted_handler_keeps_what_is_its_programs),
        cmocka_unit_test(large_bodies_are_for_those_who_are_known),
        cmocka_unit_test(barrier_holds_requests_but_not_health),
        cmocka_unit_test(readiness_gives_its_reason),
        cmocka_unit_test(hook_decides_how_errors_look),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
