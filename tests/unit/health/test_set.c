/* Many monitors on one loop, against real servers that come and go. */
#include "test.h"

#include <errno.h>
#include <signal.h>

#include "servers.h"
#include "weft/base/util.h"
#include "weft/health/set.h"

static uv_loop_t loop;

struct watched {
    struct health_watch *monitor;
    enum health_status status;
    unsigned n_events, n_changes;
    bool remove_in_event;
    char reason[HEALTH_REASON_SIZE];
};

static void probed(struct health_watch *monitor, const struct health_event *event, void *context)
{
    struct watched *watched = context;

    assert_ptr_equal(monitor, watched->monitor);
    assert_ptr_equal(health_watch_context(monitor), watched);
    assert_int_equal(event->before, watched->status);
    assert_int_equal(health_watch_status(monitor), event->status);
    watched->n_events++;
    watched->n_changes += event->before != event->status;
    watched->status = event->status;
    snprintf(watched->reason, sizeof(watched->reason), "%s", health_watch_reason(monitor) ? health_watch_reason(monitor) : "-");
    if (watched->remove_in_event) {
        health_set_remove(monitor);
        watched->monitor = NULL;
    }
}

static void note_closed(void *context)
{
    *(bool *)context = true;
}

static void close_set(struct health_set *set)
{
    bool is_closed = false;

    health_set_close(set, note_closed, &is_closed);
    while (!is_closed)
        uv_run(&loop, UV_RUN_ONCE);
}

static struct health_question *tcp_question(void)
{
    struct health_question *question = NULL;

    assert_int_equal(health_question_new(&(struct health_question_options){.kind = HEALTH_TCP, .timeout_ms = 60000}, &question, NULL), 0);
    return question;
}

static void a_server_that_dies_and_comes_back_is_seen(void **state)
{
    struct health_set *set = NULL;
    struct health_question *question = tcp_question();
    struct health_watch_options options = {.question = question, .rules = {.interval_ms = 5, .jitter_ms = 2, .rise = 2, .fall = 3}};
    struct watched watched = {0};
    struct health_set_counts counts;
    struct server server;

    server_start_tcp(&server, &loop, "127.0.0.1");
    options.target = (struct health_target){.address = server.address, .port = server.port};
    options.context = &watched;
    assert_int_equal(health_set_new(&loop, &(struct health_set_options){.probed = probed}, &set), 0);
    assert_int_equal(health_set_add(set, &options, &watched.monitor), 0);
    assert_int_equal(health_watch_status(watched.monitor), HEALTH_UNKNOWN);
    while (watched.status != HEALTH_UP)
        uv_run(&loop, UV_RUN_ONCE);
    assert_int_equal(watched.n_events, 1);
    assert_string_equal(watched.reason, "-");
    server_stop(&server);
    while (watched.status != HEALTH_DOWN)
        uv_run(&loop, UV_RUN_ONCE);
    assert_int_equal(watched.n_changes, 2);
    assert_string_equal(watched.reason, "connection refused");
    health_set_counts(set, &counts);
    assert_true(counts.n_failed >= 3);
    assert_int_equal(counts.n_monitors, 1);
    /* At the same place, as a server that was started again. */
    char address[IP_TEXT_SIZE];
    uint16_t port = server.port;
    server_start_tcp_at(&server, &loop, ip_format(&options.target.address, address), port);
    while (watched.status != HEALTH_UP)
        uv_run(&loop, UV_RUN_ONCE);
    assert_int_equal(watched.n_changes, 3);
    assert_string_equal(watched.reason, "-");
    close_set(set);
    server_stop(&server);
    health_question_unref(question);
}

/* Far more monitors than places: each gets its turn, and never more run than are allowed. */
static void all_of_many_monitors_are_probed(void **state)
{
    enum { MANY = 3000, AT_ONCE = 16 };
    struct health_set *set = NULL;
    struct health_question *question = tcp_question();
    struct health_watch_options options = {.question = question, .rules = {.interval_ms = 3600000}};
    static struct watched watched[MANY];
    struct health_set_counts counts;
    struct server server;

    memset(watched, 0, sizeof(watched));
    server_start_tcp(&server, &loop, "127.0.0.1");
    options.target = (struct health_target){.address = server.address, .port = server.port};
    assert_int_equal(health_set_new(&loop, &(struct health_set_options){.probed = probed, .at_once = AT_ONCE}, &set), 0);
    for (size_t i = 0; i < MANY; i++) {
        options.context = &watched[i];
        options.group = i % 5;
        assert_int_equal(health_set_add(set, &options, &watched[i].monitor), 0);
        watched[i].remove_in_event = i % 2;
    }
    do {
        uv_run(&loop, UV_RUN_ONCE);
        health_set_counts(set, &counts);
        assert_true(counts.n_running <= AT_ONCE);
    } while (counts.n_probes < MANY);
    for (size_t i = 0; i < MANY; i++) {
        assert_int_equal(watched[i].n_events, 1);
        assert_int_equal(watched[i].status, HEALTH_UP);
    }
    assert_int_equal(counts.n_monitors, MANY / 2);
    assert_int_equal(counts.n_failed, 0);
    close_set(set);
    server_stop(&server);
    health_question_unref(question);
}

/* Removed before, while and after they are probed, in every order. */
static void monitors_may_go_at_any_time(void **state)
{
    unsigned seed = test_seed("set");
    struct health_set *set = NULL;
    struct health_question *question = tcp_question();
    struct health_watch_options options = {.question = question, .rules = {.interval_ms = 1}};
    static struct watched watched[60];
    struct server server;

    memset(watched, 0, sizeof(watched));
    server_start_tcp(&server, &loop, "127.0.0.1");
    options.target = (struct health_target){.address = server.address, .port = server.port};
    assert_int_equal(health_set_new(&loop, &(struct health_set_options){.probed = probed, .at_once = 4}, &set), 0);
    for (int step = 0; step < 3000; step++) {
        struct watched *one = &watched[test_random(&seed) % ARRAY_SIZE(watched)];

        if (!one->monitor) {
            *one = (struct watched){.remove_in_event = test_random(&seed) % 2, .status = (enum health_status)(test_random(&seed) % 3)};
            options.context = one;
            options.group = test_random(&seed) % 3;
            options.initial = one->status;
            assert_int_equal(health_set_add(set, &options, &one->monitor), 0);
        } else if (test_random(&seed) % 3 == 0) {
            health_set_remove(one->monitor);
            one->monitor = NULL;
        }
        uv_run(&loop, UV_RUN_NOWAIT);
    }
    close_set(set); /* With those that are left. */
    server_stop(&server);
    health_question_unref(question);
}

static void wrong_rules_are_refused(void **state)
{
    struct health_set *set = NULL;
    struct health_question *question = tcp_question();
    struct health_watch *monitor = NULL;
    struct health_watch_options options = {.question = question};

    assert_int_equal(health_set_new(&loop, &(struct health_set_options){0}, &set), 0);
    assert_int_equal(health_set_add(set, &options, &monitor), -EINVAL);
    options.rules = (struct health_rules){.interval_ms = 10, .jitter_ms = 11};
    assert_int_equal(health_set_add(set, &options, &monitor), -EINVAL);
    options.rules = (struct health_rules){.interval_ms = HEALTH_INTERVAL_MAX_MS + 1};
    assert_int_equal(health_set_add(set, &options, &monitor), -EINVAL);
    assert_null(monitor);
    close_set(set);
    health_question_unref(question);
}

static int set_up(void **state)
{
    signal(SIGPIPE, SIG_IGN);
    return uv_loop_init(&loop);
}

static int tear_down(void **state)
{
    uv_run(&loop, UV_RUN_DEFAULT);
    return uv_loop_close(&loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_server_that_dies_and_comes_back_is_seen),
        cmocka_unit_test(all_of_many_monitors_are_probed),
        cmocka_unit_test(monitors_may_go_at_any_time),
        cmocka_unit_test(wrong_rules_are_refused),
    };

    if (!servers_enter_namespace())
        return 77;
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
