/* A director's file with checks, and real servers that come and go. */
#include "test.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "servers.h"
#include "weft/base/log.h"
#include "weft/base/util.h"
#include "weft/director/health.h"
#include "weft/director/notices.h"
#include "weft/director/question.h"

static uv_loop_t loop;
static unsigned n_changes;

static void changed(void *context)
{
    n_changes++;
}

static void note_closed(void *context)
{
    *(bool *)context = true;
}

static struct director_config *config_of(const char *text)
{
    struct director_config *config = NULL;
    struct error error = {0};

    if (director_config_parse(text, strlen(text), &config, &error) < 0)
        fail_msg("%s: %s", error.field, error.message);
    return config;
}

/* Checks of 10 ms; 'more' is put into each server. */
static struct director_config *config_with(const struct server *a, const struct server *b, const char *check, const char *more)
{
    char text[2048];

    snprintf(text, sizeof(text),
             "{\"interfaces\":[\"lo\"],\"services\":[{\"protocol\":\"tcp\",\"address\":\"192.0.2.1\",\"port\":80,\"servers\":["
             "{\"address\":\"127.0.0.1\",\"port\":%u,\"forwarding\":\"nat\"%s,\"checks\":[%s]},"
             "{\"address\":\"127.0.0.2\",\"port\":%u,\"forwarding\":\"nat\"%s,\"checks\":[%s]}]}]}",
             a->port, more, check, b->port, more, check);
    return config_of(text);
}

#define TCP_CHECK "{\"type\":\"tcp\",\"interval_ms\":10,\"retry_delay_ms\":1,\"warmup_ms\":1}"
#define ALPHA_CHECK "{\"type\":\"tcp\",\"interval_ms\":10,\"retry_delay_ms\":1,\"warmup_ms\":1,\"alpha\":true}"

static const struct judged_server *judged(struct director_health *health, size_t server)
{
    return &director_health_service(health, 0)->servers[server];
}

static void close_health(struct director_health *health)
{
    bool is_closed = false;

    director_health_close(health, note_closed, &is_closed);
    while (!is_closed)
        uv_run(&loop, UV_RUN_ONCE);
}

static void a_dead_server_is_out_and_comes_back(void **state)
{
    struct director_health *health = NULL;
    struct director_config *config;
    struct server a, b;
    char reason[DIRECTOR_REASON_SIZE], expected[128];
    uint16_t port;

    server_start_tcp(&a, &loop, "127.0.0.1");
    server_start_tcp(&b, &loop, "127.0.0.2");
    config = config_with(&a, &b, TCP_CHECK, "");
    assert_int_equal(director_health_new(&loop, changed, NULL, &health), 0);
    assert_int_equal(director_health_set(health, config, NULL), 0);
    assert_true(judged(health, 0)->is_used && judged(health, 1)->is_used); /* Up until it fails. */
    assert_true(director_health_service(health, 0)->has_quorum);
    port = b.port;
    server_stop(&b);
    n_changes = 0;
    while (!n_changes)
        uv_run(&loop, UV_RUN_ONCE);
    assert_true(judged(health, 0)->is_used);
    assert_false(judged(health, 1)->is_used);
    snprintf(expected, sizeof(expected), "tcp 127.0.0.2:%u: connection refused", port);
    assert_string_equal(director_health_reason(health, 0, 1, reason), expected);
    assert_string_equal(director_health_reason(health, 0, 0, reason), "");
    server_start_tcp_at(&b, &loop, "127.0.0.2", port);
    while (n_changes < 2)
        uv_run(&loop, UV_RUN_ONCE);
    assert_true(judged(health, 1)->is_used);
    assert_int_equal(judged(health, 1)->weight, 1);
    assert_string_equal(director_health_reason(health, 0, 1, reason), "");
    close_health(health);
    director_config_free(config);
    server_stop(&a);
    server_stop(&b);
}

/* ---- programs that are told ------------------------------------------------------------------------------------------------ */

static bool file_has(const char *path, const char *text)
{
    char content[4096] = "";
    FILE *file = fopen(path, "r");

    if (file) {
        content[fread(content, 1, sizeof(content) - 1, file)] = '\0';
        fclose(file);
    }
    return strstr(content, text);
}

static void do_nothing(uv_timer_t *timer)
{
}

static void wait_for_text(const char *path, const char *text)
{
    uv_timer_t tick;

    uv_timer_init(&loop, &tick);
    while (!file_has(path, text)) {
        uv_timer_start(&tick, do_nothing, 5, 0);
        uv_run(&loop, UV_RUN_ONCE);
    }
    uv_close((uv_handle_t *)&tick, NULL);
    uv_run(&loop, UV_RUN_NOWAIT);
}

/* One after the other, in the order of what happened, though each takes its time. */
static void programs_are_told_of_servers_and_quorum(void **state)
{
    char path[] = "/tmp/weft-notices-XXXXXX", command[256], text[2048], expected[1024];
    struct director_health *health = NULL;
    struct director_config *config, *config_again;
    struct server a;
    uint16_t port;

    close(mkstemp(path));
    server_start_tcp(&a, &loop, "127.0.0.1");
    port = a.port;
    snprintf(command, sizeof(command), "/bin/sh -c 'echo [$WEFT_EVENT $WEFT_SERVICE $WEFT_SERVER >> %s; /bin/true; echo $0 $1] >> %s' said", path, path);
    snprintf(text, sizeof(text),
             "{\"interfaces\":[\"lo\"],\"services\":[{\"protocol\":\"tcp\",\"address\":\"192.0.2.1\",\"port\":80,\"quorum_up\":\"%s qu\",\"quorum_down\":\"%s qd\","
             "\"servers\":[{\"address\":\"127.0.0.1\",\"port\":%u,\"forwarding\":\"nat\",\"notify_up\":\"%s up\",\"notify_down\":\"%s down\",\"checks\":[%s]}]}]}",
             command, command, port, command, command, TCP_CHECK);
    config = config_of(text);
    config_again = config_of(text);
    assert_int_equal(director_health_new(&loop, changed, NULL, &health), 0);
    assert_int_equal(director_health_set(health, config, NULL), 0);
    wait_for_text(path, "said qu]");
    assert_int_equal(director_health_set(health, config_again, NULL), 0); /* Nothing has changed. */
    server_stop(&a);
    wait_for_text(path, "said qd]");
    server_start_tcp_at(&a, &loop, "127.0.0.1", port);
    snprintf(expected, sizeof(expected),
             "[quorum_up tcp 192.0.2.1:80\nsaid qu]\n"
             "[notify_down tcp 192.0.2.1:80 127.0.0.1:%u\nsaid down]\n[quorum_down tcp 192.0.2.1:80\nsaid qd]\n"
             "[notify_up tcp 192.0.2.1:80 127.0.0.1:%u\nsaid up]\n[quorum_up tcp 192.0.2.1:80\nsaid qu]\n",
             port, port);
    wait_for_text(path, expected);
    close_health(health);
    director_config_free(config);
    director_config_free(config_again);
    server_stop(&a);
    unlink(path);
}

static bool was_down(const struct virtual_service *service, const struct real_server *server, void *context)
{
    return true;
}

/* The check that fails is taken out of the file: the server is up again, and who was told that it is down hears that. */
static void a_new_file_that_makes_a_server_another_tells_so(void **state)
{
    char path[] = "/tmp/weft-notices-XXXXXX", text[1024];
    struct director_health *health = NULL;
    struct director_config *configs[2];

    close(mkstemp(path));
    for (int i = 0; i < 2; i++) {
        snprintf(text, sizeof(text),
                 "{\"interfaces\":[\"lo\"],\"services\":[{\"protocol\":\"tcp\",\"address\":\"192.0.2.1\",\"port\":80,\"servers\":["
                 "{\"address\":\"127.0.0.2\",\"port\":9,\"forwarding\":\"nat\",\"notify_up\":\"/bin/sh -c 'echo other >> %s'\"},"
                 "{\"address\":\"127.0.0.1\",\"port\":9,\"forwarding\":\"nat\",\"notify_up\":\"/bin/sh -c 'echo up >> %s'\","
                 "\"notify_down\":\"/bin/sh -c 'echo down >> %s'\",\"checks\":[%s]}]}]}",
                 path, path, path, i ? "" : "{\"type\":\"tcp\"}");
        configs[i] = config_of(text);
    }
    assert_int_equal(director_health_new(&loop, changed, NULL, &health), 0);
    director_health_recall(health, was_down, NULL);
    assert_int_equal(director_health_set(health, configs[0], NULL), 0);
    assert_int_equal(director_health_set(health, configs[1], NULL), 0);
    wait_for_text(path, "up");
    assert_false(file_has(path, "down") || file_has(path, "other"));
    close_health(health);
    for (int i = 0; i < 2; i++)
        director_config_free(configs[i]);
    unlink(path);
}

/* The process before was to tell it, and was killed. */
static void a_quorum_that_was_lost_before_is_told_at_first(void **state)
{
    char path[] = "/tmp/weft-notices-XXXXXX", text[2048];
    struct director_health *health = NULL;
    struct director_config *config;

    close(mkstemp(path));
    snprintf(text, sizeof(text),
             "{\"interfaces\":[\"lo\"],\"services\":[{\"protocol\":\"tcp\",\"address\":\"192.0.2.1\",\"port\":80,"
             "\"quorum_up\":\"/bin/sh -c 'echo up >> %s'\",\"quorum_down\":\"/bin/sh -c 'echo down >> %s'\","
             "\"servers\":[{\"address\":\"127.0.0.1\",\"port\":9,\"forwarding\":\"nat\",\"checks\":[{\"type\":\"tcp\"}]}]}]}",
             path, path);
    config = config_of(text);
    assert_int_equal(director_health_new(&loop, changed, NULL, &health), 0);
    director_health_recall(health, was_down, NULL);
    assert_int_equal(director_health_set(health, config, NULL), 0);
    wait_for_text(path, "down");
    assert_false(file_has(path, "up"));
    close_health(health);
    director_config_free(config);
    unlink(path);
}

static void a_program_that_does_not_end_is_killed(void **state)
{
    char path[] = "/tmp/weft-notices-XXXXXX", command[128];
    struct notices *notices = NULL;
    bool is_closed = false;

    close(mkstemp(path));
    snprintf(command, sizeof(command), "/bin/sh -c 'echo $WEFT_EVENT >> %s'", path);
    assert_int_equal(notices_new(&loop, 300, &notices), 0);
    notices_add(notices, &(struct notice){"/bin/sleep 10000", "quorum_up", "first", NULL});
    notices_add(notices, &(struct notice){"/nowhere/is/it", "quorum_up", "second", NULL});
    notices_add(notices, &(struct notice){"/bin/sh 'open", "quorum_up", "third", NULL});
    for (int i = 0; i < NOTICES_MAX; i++) /* The last ones do not fit.  Any of them may be late, too. */
        notices_add(notices, &(struct notice){command, "quorum_down", "fourth", NULL});
    wait_for_text(path, "quorum_down");
    notices_close(notices, note_closed, &is_closed); /* Perhaps while one runs. */
    while (!is_closed)
        uv_run(&loop, UV_RUN_ONCE);
    unlink(path);
}

static void alpha_is_down_until_it_answers(void **state)
{
    struct director_health *health = NULL;
    struct director_config *config;
    struct server a, b;

    server_start_tcp(&a, &loop, "127.0.0.1");
    server_start_tcp(&b, &loop, "127.0.0.2");
    config = config_with(&a, &b, ALPHA_CHECK, ",\"inhibit_on_failure\":true");
    assert_int_equal(director_health_new(&loop, changed, NULL, &health), 0);
    assert_int_equal(director_health_set(health, config, NULL), 0);
    assert_true(judged(health, 0)->is_used);
    assert_int_equal(judged(health, 0)->weight, 0);
    assert_false(director_health_service(health, 0)->has_quorum);
    while (!judged(health, 0)->is_up || !judged(health, 1)->is_up)
        uv_run(&loop, UV_RUN_ONCE);
    assert_int_equal(judged(health, 0)->weight, 1);
    assert_true(director_health_service(health, 0)->has_quorum);
    close_health(health);
    director_config_free(config);
    server_stop(&a);
    server_stop(&b);
}

/* The same file again, and one with another check of the same servers: who is down stays down. */
static void a_new_file_keeps_what_is_known(void **state)
{
    struct director_health *health = NULL;
    struct director_config *configs[3];
    struct server a, b;

    server_start_tcp(&a, &loop, "127.0.0.1");
    server_start_tcp(&b, &loop, "127.0.0.2");
    configs[0] = config_with(&a, &b, TCP_CHECK, "");
    configs[1] = config_with(&a, &b, TCP_CHECK, ",\"weight\":7");
    configs[2] = config_with(&a, &b, "{\"type\":\"tcp\",\"interval_ms\":12,\"retries\":4}", "");
    assert_int_equal(director_health_new(&loop, changed, NULL, &health), 0);
    assert_int_equal(director_health_set(health, configs[0], NULL), 0);
    server_stop(&b);
    while (judged(health, 1)->is_used)
        uv_run(&loop, UV_RUN_ONCE);
    for (int i = 1; i < 3; i++) {
        assert_int_equal(director_health_set(health, configs[i], NULL), 0);
        assert_false(judged(health, 1)->is_used);
        assert_true(judged(health, 0)->is_used);
        assert_int_equal(judged(health, 0)->weight, i == 1 ? 7 : 1);
    }
    close_health(health);
    for (int i = 0; i < 3; i++)
        director_config_free(configs[i]);
    server_stop(&a);
}

static void a_new_pattern_is_asked_for(void **state)
{
#define REGEX(members) "{\"type\":\"http\",\"interval_ms\":10,\"retries\":0,\"urls\":[{\"path\":\"/\",\"regex\":" members "}]}"
    static const char *const checks[] = {REGEX("\"hello\""), REGEX("\"HELLO\""), REGEX("\"HELLO\",\"regex_no_match\":true"),
                                         REGEX("\"HELLO\",\"regex_no_match\":true,\"regex_options\":\"caseless\""),
                                         REGEX("\"HELLO\",\"regex_no_match\":true,\"regex_options\":\"caseless\",\"regex_min_offset\":1")};
    struct director_config *configs[ARRAY_SIZE(checks)];
    struct director_health *health = NULL;
    char reason[DIRECTOR_REASON_SIZE];
    struct server a, b;

    server_start_tcp(&a, &loop, "127.0.0.1");
    server_start_tcp(&b, &loop, "127.0.0.2");
    a.answer = b.answer = "HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello";
    assert_int_equal(director_health_new(&loop, changed, NULL, &health), 0);
    for (size_t i = 0; i < ARRAY_SIZE(checks); i++) {
        configs[i] = config_with(&a, &b, checks[i], "");
        assert_int_equal(director_health_set(health, configs[i], NULL), 0);
        while (judged(health, 1)->is_used != (i % 2 == 0))
            uv_run(&loop, UV_RUN_ONCE);
        if (i == 1)
            assert_non_null(strstr(director_health_reason(health, 0, 1, reason), "the body does not match 'HELLO'"));
    }
    close_health(health);
    for (size_t i = 0; i < ARRAY_SIZE(checks); i++)
        director_config_free(configs[i]);
    server_stop(&a);
    server_stop(&b);
}

static void write_file(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");

    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

/* Of two servers with weight 3 the file says more or less; a new file's weight counts with what was read before. */
static void a_file_changes_the_weight(void **state)
{
    static const struct {
        const char *text, *members;
        unsigned weight; /* 0 with a text of its own: not used. */
        const char *reason;
    } cases[] = {
        {"", "", 3, NULL},
        {"4\n", "", 7, NULL},
        {" 4 \n", ",\"file_weight\":10", 43, NULL},
        {"-2", "", 1, NULL},
        {"4", ",\"reverse\":true", 0, NULL},
        {"2147483648", "", 2147483647, NULL},
        {"-2147483648", "", 0, "it has -2147483648"},
        {"0", ",\"file_weight\":0", 3, NULL},
        {"1", ",\"file_weight\":0", 0, "it has 1"},
        {"1", ",\"file_weight\":0,\"reverse\":true", 3, NULL},
        {"0", ",\"file_weight\":0,\"reverse\":true", 0, "it has 0"},
        {"x", "", 0, "'x' is not a number from -2147483648 to 2147483648"},
        {"2147483649", "", 0, "'2147483649' is not a number from -2147483648 to 2147483648"},
    };
    char path[] = "/tmp/weft-file-XXXXXX", check[256], reason[DIRECTOR_REASON_SIZE];
    int fd = mkstemp(path);
    struct server a, b;

    assert_true(fd >= 0);
    close(fd);
    server_start_tcp(&a, &loop, "127.0.0.1");
    server_start_tcp(&b, &loop, "127.0.0.2");
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct director_health *health = NULL;
        struct director_config *config;

        write_file(path, cases[i].text);
        snprintf(check, sizeof(check), "{\"type\":\"file\",\"interval_ms\":10,\"retries\":0,\"file\":\"%s\"%s}", path, cases[i].members);
        config = config_with(&a, &b, check, ",\"weight\":3");
        assert_int_equal(director_health_new(&loop, changed, NULL, &health), 0);
        assert_int_equal(director_health_set(health, config, NULL), 0);
        while (judged(health, 0)->is_used == (cases[i].reason != NULL) || (!cases[i].reason && judged(health, 0)->weight != cases[i].weight))
            uv_run(&loop, UV_RUN_ONCE);
        if (cases[i].reason)
            assert_non_null(strstr(director_health_reason(health, 0, 0, reason), cases[i].reason));
        close_health(health);
        director_config_free(config);
    }
    server_stop(&a);
    server_stop(&b);
    unlink(path);
}

/* ---- ways --------------------------------------------------------------------------------------------------------------------- */

static struct {
    bool is_there;
    unsigned n_begun, n_ended;
} ways;

static int begin_way(const struct virtual_service *service, const struct real_server *server, const struct health_target *target, bool in_chain, void *context,
                     struct check_way **ret, struct error *error)
{
    if (!ways.is_there)
        return error_set(error, -ENOMEM, NULL, "out of memory");
    ways.n_begun++;
    *ret = (struct check_way *)&ways;
    return 0;
}

static void end_way(struct check_way *way)
{
    ways.n_ended++;
}

static int open_way(const struct health_target *target, int type, void *way)
{
    assert_ptr_equal(way, &ways);
    return -ENETUNREACH;
}

/* What failed once is tried again with the next file, though that says the same of the check; one that has its way goes on by it. */
static void a_check_that_had_no_way_gets_one_later(void **state)
{
    static const char text[] = "{\"interfaces\":[\"lo\"],\"services\":[{\"protocol\":\"tcp\",\"address\":\"192.0.2.1\",\"port\":80,"
                               "\"servers\":[{\"address\":\"127.0.0.1\",\"checks\":[" TCP_CHECK "]}]}]}";
    const struct check_paths paths = {.begin = begin_way, .end = end_way, .open = open_way};
    struct director_config *configs[4];
    struct director_health *health = NULL;

    assert_int_equal(director_health_new(&loop, changed, NULL, &health), 0);
    director_health_set_paths(health, &paths);
    for (unsigned i = 0; i < ARRAY_SIZE(configs); i++) {
        ways.is_there = i >= 2;
        configs[i] = config_of(text);
        assert_int_equal(director_health_set(health, configs[i], NULL), 0);
        assert_int_equal(ways.n_begun, i >= 2);
        assert_int_equal(ways.n_ended, 0);
    }
    close_health(health);
    assert_int_equal(ways.n_ended, 1);
    for (unsigned i = 0; i < ARRAY_SIZE(configs); i++)
        director_config_free(configs[i]);
}

static bool takes_chains; /* Of the server: it has its programs. */
static struct check_way {
    bool in_chain;
    unsigned n_opened;
} plain_way, chain_way = {.in_chain = true};

static int begin_either(const struct virtual_service *service, const struct real_server *server, const struct health_target *target, bool in_chain,
                        void *context, struct check_way **ret, struct error *error)
{
    *ret = in_chain ? &chain_way : &plain_way;
    return 0;
}

static int open_either(const struct health_target *target, int type, void *context)
{
    struct check_way *way = context;

    way->n_opened++;
    return way->in_chain && !takes_chains ? -EHOSTUNREACH : socket(AF_INET, type | SOCK_CLOEXEC, 0);
}

static void leave_way(struct check_way *way)
{
}

/* A service of one server with second chances, which is at the virtual address; 'more' is put into the service. */
static struct director_config *config_with_chance(const struct server *server, const char *check, const char *more)
{
    char text[1024];

    snprintf(text, sizeof(text),
             "{\"interfaces\":[\"lo\"],\"services\":[{\"protocol\":\"tcp\",\"address\":\"127.0.0.1\",\"port\":%u,\"scheduler\":\"mh\"%s,"
             "\"servers\":[{\"address\":\"127.0.0.9\",\"port\":%u,\"second_chance\":true,\"checks\":[%s]}]}]}",
             server->port, more, server->port, check);
    return config_of(text);
}

static void a_server_that_answers_but_takes_no_chains_is_down(void **state)
{
    static const struct check_paths paths = {.begin = begin_either, .end = leave_way, .open = open_either};
    char reason[DIRECTOR_REASON_SIZE], expected[DIRECTOR_REASON_SIZE];
    struct director_health *health = NULL;
    struct director_config *config, *again;
    struct server a;

    server_start_tcp(&a, &loop, "127.0.0.1");
    config = config_with_chance(&a, TCP_CHECK, "");
    again = config_with_chance(&a, TCP_CHECK, ",\"quorum\":1");
    plain_way.n_opened = chain_way.n_opened = 0;
    takes_chains = true;
    assert_int_equal(director_health_new(&loop, changed, NULL, &health), 0);
    director_health_set_paths(health, &paths);
    assert_int_equal(director_health_set(health, config, NULL), 0);
    while (plain_way.n_opened < 5 || chain_way.n_opened < 5)
        uv_run(&loop, UV_RUN_ONCE);
    assert_true(judged(health, 0)->is_up);
    assert_string_equal(director_health_reason(health, 0, 0, reason), "");
    takes_chains = false;
    while (judged(health, 0)->is_up)
        uv_run(&loop, UV_RUN_ONCE);
    snprintf(expected, sizeof(expected), "tcp 127.0.0.1:%u: answers, but not in GUE with a chain (no socket: host unreachable): is weft-real-server running there?",
             a.port);
    assert_string_equal(director_health_reason(health, 0, 0, reason), expected);
    plain_way.n_opened = chain_way.n_opened = 0;
    while (plain_way.n_opened < 5 || chain_way.n_opened < 5) /* What passes without a chain does not bring it back, */
        uv_run(&loop, UV_RUN_ONCE);
    assert_false(judged(health, 0)->is_up);
    assert_int_equal(director_health_set(health, again, NULL), 0); /* nor does a new file. */
    assert_false(judged(health, 0)->is_up);
    takes_chains = true;
    while (!judged(health, 0)->is_up)
        uv_run(&loop, UV_RUN_ONCE);
    server_stop(&a); /* Then it is not the chain. */
    while (judged(health, 0)->is_up || !strstr(director_health_reason(health, 0, 0, reason), ": connection refused"))
        uv_run(&loop, UV_RUN_ONCE);
    assert_null(strstr(reason, "weft-real-server"));
    close_health(health);
    director_config_free(config);
    director_config_free(again);
}

/* Where clients' packets have none, no check has one. */
static void checks_go_in_a_chain_where_the_traffic_does(void **state)
{
    static const struct {
        const char *check, *more;
        bool in_chain;
    } cases[] = {
        {"{\"type\":\"tcp\"}", "", true},
        {"{\"type\":\"smtp\"}", ",\"clamp_mss\":true", true},
        {"{\"type\":\"tcp\"}", ",\"track_connections\":true", false},
        {"{\"type\":\"tcp\"}", ",\"persistence\":{\"timeout_s\":60}", false},
        {"{\"type\":\"tcp\"}", ",\"sorry_server\":{\"address\":\"127.0.0.8\",\"forwarding\":\"nat\"}", false},
        {"{\"type\":\"tcp\",\"path\":\"server\"}", "", false},
        {"{\"type\":\"dns\"}", "", false},
        {"{\"type\":\"ping\"}", "", false},
    };
    const struct server at = {.port = 80};

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct director_config *config = config_with_chance(&at, cases[i].check, cases[i].more);
        const struct virtual_service *service = &config->services[0];

        assert_int_equal(check_goes_in_chain(service, &service->servers[0], &service->servers[0].checks[0]), cases[i].in_chain);
        service->servers[0].second_chance = false;
        assert_false(check_goes_in_chain(service, &service->servers[0], &service->servers[0].checks[0]));
        director_config_free(config);
    }
}

/* It has no address of its own; a check says one that clients call. */
static void a_service_by_mark_is_checked_where_its_check_says(void **state)
{
    static const struct {
        const char *check;
        bool by_traffic;
    } cases[] = {
        {"\"path\":\"traffic\",\"address\":\"192.0.2.9\",\"port\":8080", true},
        {"\"address\":\"192.0.2.9\",\"port\":8080", false},
        {"\"port\":8080", false},
    };
    static const char ping[] = "{\"services\":[{\"mark\":7,\"scheduler\":\"rr\",\"servers\":[{\"address\":\"127.0.0.9\","
                               "\"checks\":[{\"type\":\"ping\",\"path\":\"traffic\",\"address\":\"192.0.2.9\"}]}]}]}";
    struct director_config *pinged;

    assert_int_equal(0, director_config_parse(ping, strlen(ping), &pinged, NULL)); /* It has no port. */
    assert_true(check_goes_by_traffic(&pinged->services[0], &pinged->services[0].servers[0], &pinged->services[0].servers[0].checks[0]));
    director_config_free(pinged);

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        char text[512];
        struct director_config *config;
        struct health_target target;
        const struct virtual_service *service;

        snprintf(text, sizeof(text),
                 "{\"services\":[{\"mark\":7,\"scheduler\":\"mh\",\"servers\":[{\"address\":\"127.0.0.9\",\"second_chance\":true,"
                 "\"checks\":[{\"type\":\"tcp\",%s}]}]}]}",
                 cases[i].check);
        assert_int_equal(0, director_config_parse(text, strlen(text), &config, NULL));
        service = &config->services[0];
        assert_int_equal(cases[i].by_traffic, check_goes_by_traffic(service, &service->servers[0], &service->servers[0].checks[0]));
        assert_int_equal(cases[i].by_traffic, check_goes_in_chain(service, &service->servers[0], &service->servers[0].checks[0]));
        target = check_traffic_target(service, &service->servers[0].checks[0]);
        assert_int_equal(8080, target.port);
        if (cases[i].by_traffic)
            assert_int_equal(0xc0000209, ip_to_v4(&target.address));
        director_config_free(config);
    }
}

static void a_program_sets_the_weight(void **state)
{
    struct director_health *health = NULL;
    struct server a = {.port = 1}, b = {.port = 2};
    struct director_config *config = config_with(&a, &b, "{\"type\":\"misc\",\"interval_ms\":10,\"warmup_ms\":1,\"command\":\"/bin/sh -c 'exit 44'\","
                                                         "\"dynamic_weight\":true,\"timeout_ms\":60000}", "");

    assert_int_equal(director_health_new(&loop, changed, NULL, &health), 0);
    assert_int_equal(director_health_set(health, config, NULL), 0);
    while (judged(health, 0)->weight != 42)
        uv_run(&loop, UV_RUN_ONCE);
    assert_true(judged(health, 0)->is_used);
    close_health(health);
    director_config_free(config);
}

static void a_file_that_cannot_be_followed_changes_nothing(void **state)
{
    struct director_health *health = NULL;
    struct server a = {.port = 1}, b = {.port = 2};
    struct director_config *good = config_with(&a, &b, TCP_CHECK, "");
    struct director_config *bad = config_with(&a, &b, "{\"type\":\"misc\",\"command\":\"/bin/sh -c 'exit\"}", "");
    struct error error = {0};

    assert_int_equal(director_health_new(&loop, changed, NULL, &health), 0);
    assert_int_equal(director_health_set(health, good, NULL), 0);
    assert_int_equal(director_health_set(health, bad, &error), -EINVAL);
    assert_string_equal(error.field, "services[0].servers[0].checks[0].command");
    assert_non_null(strstr(error.message, "a quote is open"));
    director_config_free(bad);
    assert_true(judged(health, 0)->is_used);
    close_health(health);
    director_config_free(good);
}

static void assert_split(const char *line, size_t n, const char *const *expected)
{
    _cleanup_(freep) char **words = NULL;
    size_t i = 0;

    assert_int_equal(command_split(line, &words), 0);
    for (; i < n; i++)
        assert_string_equal(words[i], expected[i]);
    assert_null(words[i]);
}

static void command_lines_are_split_as_a_shell_does(void **state)
{
    char **words = NULL;

    assert_split("/bin/check", 1, (const char *const[]){"/bin/check"});
    assert_split("  /bin/check \t -a  b ", 3, (const char *const[]){"/bin/check", "-a", "b"});
    assert_split("a 'b c' \"d 'e'\" f'g'h", 4, (const char *const[]){"a", "b c", "d 'e'", "fgh"});
    assert_split("a\\ b \"c\\\"d\" 'e\\f' ''", 4, (const char *const[]){"a b", "c\"d", "e\\f", ""});
    assert_split("a b c d e f g h", 8, (const char *const[]){"a", "b", "c", "d", "e", "f", "g", "h"});
    assert_int_equal(command_split("", &words), -EINVAL);
    assert_int_equal(command_split("  ", &words), -EINVAL);
    assert_int_equal(command_split("a 'b", &words), -EINVAL);
    assert_int_equal(command_split("a \"b'", &words), -EINVAL);
}

static int set_up(void **state)
{
    signal(SIGPIPE, SIG_IGN);
    log_set_level(LOG_LEVEL_ERROR);
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
        cmocka_unit_test(a_dead_server_is_out_and_comes_back),
        cmocka_unit_test(programs_are_told_of_servers_and_quorum),
        cmocka_unit_test(a_new_file_that_makes_a_server_another_tells_so),
        cmocka_unit_test(a_quorum_that_was_lost_before_is_told_at_first),
        cmocka_unit_test(a_program_that_does_not_end_is_killed),
        cmocka_unit_test(alpha_is_down_until_it_answers),
        cmocka_unit_test(a_new_file_keeps_what_is_known),
        cmocka_unit_test(a_file_changes_the_weight),
        cmocka_unit_test(a_new_pattern_is_asked_for),
        cmocka_unit_test(a_check_that_had_no_way_gets_one_later),
        cmocka_unit_test(a_server_that_answers_but_takes_no_chains_is_down),
        cmocka_unit_test(checks_go_in_a_chain_where_the_traffic_does),
        cmocka_unit_test(a_service_by_mark_is_checked_where_its_check_says),
        cmocka_unit_test(a_program_sets_the_weight),
        cmocka_unit_test(a_file_that_cannot_be_followed_changes_nothing),
        cmocka_unit_test(command_lines_are_split_as_a_shell_does),
    };

    if (!servers_enter_namespace())
        return 77;
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
