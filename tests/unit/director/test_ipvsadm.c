/* ipvsadm's command line and listings where the transcript does not reach: counters, connections, what only we have. */
#include <errno.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "weft/base/util.h"
#include "weft/director/ipvsadm/edit.h"
#include "weft/director/ipvsadm/list.h"

#define MAX_WORDS 32

/* Splits at blanks; the words stay until the next call. */
static char *const *words(const char *line)
{
    static char text[256], *argv[MAX_WORDS + 1];
    size_t n = 1;
    char *position;

    assert_int_equal(string_copy(text, sizeof(text), line), 0);
    argv[0] = (char *)"ipvsadm";
    for (char *word = strtok_r(text, " ", &position); word && n < MAX_WORDS; word = strtok_r(NULL, " ", &position))
        argv[n++] = word;
    argv[n] = NULL;
    return argv;
}

static void must(struct director_config *config, const char *line)
{
    struct ipvsadm_refusal refusal;
    struct ipvsadm_call call;

    if (ipvsadm_parse(words(line), &call, &refusal) < 0 || ipvsadm_edit(config, &call, &refusal) < 0)
        fail_msg("%s: %s", line, refusal.text);
}

static void must_not(struct director_config *config, const char *line, int status, const char *text)
{
    struct ipvsadm_refusal refusal = {0};
    struct ipvsadm_call call;

    assert_true(ipvsadm_parse(words(line), &call, &refusal) < 0 || ipvsadm_edit(config, &call, &refusal) < 0);
    assert_string_equal(refusal.text, text);
    assert_int_equal(refusal.status, status);
}

static struct ip_address address(const char *text)
{
    struct ip_address address;

    assert_int_equal(ip_parse(text, &address), 0);
    return address;
}

/* What -L with these options writes; the caller frees it. */
static char *listing(const struct director_config *config, const struct director_state *state, const char *options)
{
    struct ipvsadm_refusal refusal;
    struct ipvsadm_call call;
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);

    assert_non_null(out);
    assert_int_equal(ipvsadm_parse(words(options), &call, &refusal), 0);
    assert_int_equal(ipvsadm_list(out, config, state, &call), 0);
    fclose(out);
    return text;
}

static char *saved(const struct director_config *config)
{
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);

    assert_non_null(out);
    assert_int_equal(ipvsadm_save(out, config, true), 0);
    fclose(out);
    return text;
}

static void numbers_are_rounded_as_they_grow(void **state)
{
    static const struct {
        uint64_t number;
        const char *rounded, *exact;
    } numbers[] = {
        {0, "        0", "        0"},
        {99999999, " 99999999", " 99999999"},
        {100000000, "  100000K", " 100000000"},
        {99999999999, "99999999K", " 99999999999"},
        {100000000000, "  100000M", " 100000000000"},
        {99999999999999, "99999999M", " 99999999999999"},
        {100000000000000, "  100000G", " 100000000000000"},
    };
    _cleanup_(director_config_freep) struct director_config *config = director_config_new();

    (void)state;
    must(config, "-A -t 192.0.2.1:80");
    for (size_t i = 0; i < ARRAY_SIZE(numbers); i++) {
        struct service_state service = {.protocol = IPPROTO_TCP, .port = 80, .address = address("192.0.2.1")};
        struct director_state director = {.services = &service, .n_services = 1};
        _cleanup_(freep) char *rounded = NULL, *exact = NULL, *rate = NULL;
        char line[128];

        service.total.bytes_out = numbers[i].number;
        service.rate.connections = numbers[i].number;
        rounded = listing(config, &director, "-L -n --stats");
        exact = listing(config, &director, "-L -n --stats --exact");
        rate = listing(config, &director, "-L -n --rate");
        snprintf(line, sizeof(line), "TCP  192.0.2.1:80                        0        0        0        0%s\n",
                 numbers[i].rounded);
        assert_non_null(strstr(rounded, line));
        snprintf(line, sizeof(line), "TCP  192.0.2.1:80                        0        0        0        0%s\n",
                 numbers[i].exact);
        assert_non_null(strstr(exact, line));
        snprintf(line, sizeof(line), "TCP  192.0.2.1:80                %s        0        0        0        0\n",
                 numbers[i].rounded);
        assert_non_null(strstr(rate, line));
    }
}

static void what_is_out_is_not_listed_and_the_sorry_server_is_while_it_answers(void **state)
{
    _cleanup_(director_config_freep) struct director_config *config = director_config_new();
    struct server_state servers[] = {
        {.address = address("10.0.0.1"),
         .port = 80,
         .is_used = true,
         .is_up = true,
         .weight = 3,
         .active = 7,
         .inactive = 8,
         .persistent = 9},
        {.address = address("10.0.0.2"), .port = 80, .weight = 3},
        {.address = address("10.0.0.3"), .port = 80, .is_used = true, .weight = 0},
        {.address = address("10.0.0.9"), .port = 80, .is_sorry = true, .is_used = true, .weight = 1},
    };
    struct service_state service = {.protocol = IPPROTO_TCP,
                                    .port = 80,
                                    .address = address("192.0.2.1"),
                                    .servers = servers,
                                    .n_servers = ARRAY_SIZE(servers)};
    struct director_state director = {.services = &service, .n_services = 1};
    _cleanup_(freep) char *table = NULL, *persistent = NULL;

    (void)state;
    must(config, "-A -t 192.0.2.1:80");
    for (int i = 1; i <= 4; i++) {
        char line[64];

        snprintf(line, sizeof(line), "-a -t 192.0.2.1:80 -r 10.0.0.%d -w 3 -m", i);
        must(config, line);
    }
    config->services[0].has_sorry_server = true;
    config->services[0].sorry_server = config->services[0].servers[0];
    config->services[0].sorry_server.address = address("10.0.0.9");
    table = listing(config, &director, "-L -n -t 192.0.2.1:80");
    assert_string_equal(table,
                        "Prot LocalAddress:Port Scheduler Flags\n"
                        "  -> RemoteAddress:Port           Forward Weight ActiveConn InActConn\n"
                        "TCP  192.0.2.1:80 wlc\n"
                        "  -> 10.0.0.1:80                  Masq    3      7          8         \n"
                        "  -> 10.0.0.3:80                  Masq    0      0          0         \n"
                        "  -> 10.0.0.4:80                  Masq    3      0          0         \n" /* Not loaded yet. */
                        "  -> 10.0.0.9:80                  Masq    1      0          0         \n");
    persistent = listing(config, &director, "-L -n --persistent-conn");
    assert_non_null(
        strstr(persistent, "  -> 10.0.0.1:80                  3         9           7          8         \n"));
}

static void connections_are_listed(void **state)
{
    struct director_connection connections[] = {
        {.protocol = IPPROTO_TCP,
         .expires_s = 899,
         .state = "ESTABLISHED",
         .client = address("203.0.113.9"),
         .client_port = 40000,
         .service = address("192.0.2.1"),
         .service_port = 80,
         .server = address("10.0.0.1"),
         .server_port = 8080},
        {.protocol = IPPROTO_UDP,
         .expires_s = 7260,
         .state = "UDP",
         .client = address("2001:db8::1"),
         .client_port = 1,
         .service = address("2001:db8::2"),
         .service_port = 53,
         .server = address("2001:db8::3"),
         .server_port = 53},
    };
    struct director_connections all = {.connections = connections, .n_connections = 2};
    struct ipvsadm_refusal refusal;
    struct ipvsadm_call call;
    _cleanup_(freep) char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);

    (void)state;
    assert_non_null(out);
    assert_int_equal(ipvsadm_parse(words("-Lnc"), &call, &refusal), 0);
    ipvsadm_list_connections(out, &all, &call);
    fclose(out);
    assert_string_equal(text, "IPVS connection entries\n"
                              "pro expire state       source             virtual            destination\n"
                              "TCP 14:59  ESTABLISHED 203.0.113.9:40000  192.0.2.1:80       10.0.0.1:8080\n"
                              "UDP 121:00  UDP         [2001:db8::1]:1    [2001:db8::2]:53   [2001:db8::3]:53\n");
}

static void what_only_we_have_is_saved_and_restored(void **state)
{
    static const char *const lines[] = {
        "-A -f 3000000000 -s mh -b mh-port",
        "-a -f 3000000000 -r 10.0.0.1:0 --dscp 5 -w 1",
        "-a -f 3000000000 -r 10.0.0.2:0 -i -w 2 --tun-type vxlan --tun-port 4789 --tun-vni 7 --tun-nocsum",
        "-a -f 3000000000 -r 10.0.0.3:8080 --full-nat -w 3 -x 9 -y 8",
    };
    _cleanup_(director_config_freep) struct director_config *config = director_config_new();
    _cleanup_(freep) char *text = NULL;
    char *position = NULL;

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(lines); i++)
        must(config, lines[i]);
    text = saved(config);
    for (size_t i = 0; i < ARRAY_SIZE(lines); i++)
        assert_string_equal(strtok_r(i ? NULL : text, "\n", &position), lines[i]);
    assert_null(strtok_r(NULL, "\n", &position));
    must_not(config, "-a -f 3000000000 -r 10.0.0.4 -g --dscp 5", IPVSADM_BAD_OPTIONS,
             "DSCP conflicts with forward method");
    must_not(config, "-a -f 3000000000 -r 10.0.0.4 --dscp 64", IPVSADM_BAD_OPTIONS, "illegal DSCP specified");
    must_not(config, "-a -f 3000000000 -r 10.0.0.4 -i --tun-type vxlan --tun-port 1", IPVSADM_BAD_OPTIONS,
             "You need to supply the 'tun-vni' option for the 'vxlan' tunnel type");
}

static void what_ipvsadm_has_no_word_for_stays(void **state)
{
    _cleanup_(director_config_freep) struct director_config *config = director_config_new();
    struct real_server *server;

    (void)state;
    must(config, "-A -t 192.0.2.1:80 -p 60");
    must(config, "-a -t 192.0.2.1:80 -r 10.0.0.1 -m -w 5");
    config->services[0].quorum = 7;
    server = &config->services[0].servers[0];
    server->inhibit_on_failure = true;
    server->checks = calloc(1, sizeof(*server->checks));
    assert_non_null(server->checks);
    server->checks[0] = health_check_default(CHECK_PING);
    server->n_checks = 1;
    must(config, "-E -t 192.0.2.1:80 -s rr");
    must(config, "-e -t 192.0.2.1:80 -r 10.0.0.1 -m");
    assert_int_equal(config->services[0].scheduler, SCHEDULER_RR);
    assert_int_equal(config->services[0].persistence_timeout_s, 0);
    assert_int_equal(config->services[0].quorum, 7);
    assert_int_equal(config->services[0].servers[0].weight, 1);
    assert_true(config->services[0].servers[0].inhibit_on_failure);
    assert_int_equal(config->services[0].servers[0].n_checks, 1);
    must_not(config, "-e -t 192.0.2.1:80 -r 10.0.0.7 -x 1 -y 2", IPVSADM_FAILED, "Numerical result out of range");
    must_not(config, "-e -t 192.0.2.1:80 -r 10.0.0.7 -x 2 -y 2", IPVSADM_FAILED, "No such destination");
    must(config, "-d -t 192.0.2.1:80 -r 10.0.0.1");
    must(config, "-D -t 192.0.2.1:80");
    assert_int_equal(config->n_services, 0);
}

/* Against the same rules said once more, naively: a list of what exists. */
static void random_commands_keep_the_table_as_it_should_be(void **state)
{
    enum { N = 4, M = 4, ROUNDS = 4000 };
    bool services[N] = {false}, servers[N][M] = {{false}};
    _cleanup_(director_config_freep) struct director_config *config = director_config_new();
    uint32_t seed = 1;

    (void)state;
    for (int round = 0; round < ROUNDS; round++) {
        unsigned what, n, m;
        const char *refusal = NULL;
        char line[96];

        seed = seed * 1664525 + 1013904223;
        what = seed >> 24 & 7, n = seed >> 16 & (N - 1), m = seed >> 8 & (M - 1);
        switch (what) {
        case 0:
        case 1:
            snprintf(line, sizeof(line), "-A -u 192.0.2.%u:53 -s %s", n,
                     scheduler_name((enum scheduler)(seed >> 20 & 7)));
            refusal = services[n] ? "Service already exists" : NULL;
            services[n] = true;
            break;
        case 2:
            snprintf(line, sizeof(line), "-D -u 192.0.2.%u:53", n);
            refusal = services[n] ? NULL : "No such service";
            services[n] = false;
            memset(servers[n], 0, sizeof(servers[n]));
            break;
        case 3:
        case 4:
        case 5:
            snprintf(line, sizeof(line), "-a -u 192.0.2.%u:53 -r 10.0.0.%u -i", n, m + 1);
            refusal = !services[n] ? "Service not defined" : servers[n][m] ? "Destination already exists" : NULL;
            servers[n][m] = services[n];
            break;
        case 6:
            snprintf(line, sizeof(line), "-d -u 192.0.2.%u:53 -r 10.0.0.%u:53", n, m + 1);
            refusal = !services[n] ? "Service not defined" : servers[n][m] ? NULL : "No such destination";
            servers[n][m] = false;
            break;
        default:
            snprintf(line, sizeof(line), "-e -u 192.0.2.%u:53 -r 10.0.0.%u -w %u", n, m + 1, seed >> 24);
            refusal = !services[n] ? "Service not defined" : servers[n][m] ? NULL : "No such destination";
            break;
        }
        if (refusal)
            must_not(config, line, IPVSADM_FAILED, refusal);
        else
            must(config, line);
        if (round % 64 == 0)
            assert_int_equal(director_config_check(config, NULL), 0);
    }
    for (unsigned n = 0, n_services = 0; n < N; n++) {
        struct virtual_service key = {.protocol = IPPROTO_UDP, .port = 53, .address = ip_from_v4(0xc0000200 + n)};
        struct virtual_service *service = director_config_find(config, &key);

        assert_int_equal(service != NULL, services[n]);
        n_services += services[n];
        for (unsigned m = 0; service && m < M; m++) {
            struct real_server server = {.port = 53, .address = ip_from_v4(0x0a000001 + m)};

            assert_int_equal(virtual_service_find(service, &server) != NULL, servers[n][m]);
        }
        if (n == N - 1)
            assert_int_equal(config->n_services, n_services);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_are_rounded_as_they_grow),
        cmocka_unit_test(what_is_out_is_not_listed_and_the_sorry_server_is_while_it_answers),
        cmocka_unit_test(connections_are_listed),
        cmocka_unit_test(what_only_we_have_is_saved_and_restored),
        cmocka_unit_test(what_ipvsadm_has_no_word_for_stays),
        cmocka_unit_test(random_commands_keep_the_table_as_it_should_be),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
