/* The network log's lines, and the file that they go to. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <signal.h>
#include <unistd.h>

#include <arpa/inet.h>
#include <cmocka.h>

#include "weft/agent/log-file.h"
#include "weft/agent/verdict-line.h"
#include "weft/base/address.h"
#include "weft/base/util.h"

#define PROJECT "5f0e1c2d3b4a59687786958473625140"
#define PORT "00000000-0000-4000-a000-000000000001"
#define RULE "0000abcd-0000-4000-8300-000000000001"
#define LOG1 "00000000-0000-4000-8500-000000000001"
#define LOG2 "00000000-0000-4000-8500-000000000002"
#define TIME_MS 1795791600123 /* 2026-11-27T15:00:00.123Z */

/* ---- lines ------------------------------------------------------------------------------------------------------------------ */

static void set_address(__u8 bytes[16], const char *text)
{
    struct ip_address address;

    assert_int_equal(ip_parse(text, &address), 0);
    memcpy(bytes, address.bytes, 16);
}

static struct verdict_event event_of(uint8_t protocol, const char *source, const char *destination)
{
    struct verdict_event event = {.number = 0xabcd, .size = 74, .ethertype = htons(strchr(source, ':') ? 0x86dd : 0x0800),
                                  .source_port = htons(40000), .destination_port = htons(80), .protocol = protocol,
                                  .source_mac = {2, 0, 0, 0, 0, 1}, .destination_mac = {2, 0, 0, 0, 0, 2}};

    set_address(event.source, source);
    set_address(event.destination, destination);
    return event;
}

static void is_line(const struct verdict_event *event, const struct verdict_names *names, const char *expected)
{
    struct buffer line = {0};

    assert_int_equal(verdict_line(event, TIME_MS, names, &line), 0);
    assert_string_equal(buffer_string(&line), expected);
    buffer_clear(&line);
}

#define HEAD(action, direction) "time=2026-11-27T15:00:00.123Z action=" action " direction=" direction " project=" PROJECT " port=" PORT " "
#define MACS "source_mac=02:00:00:00:00:01 destination_mac=02:00:00:00:00:02 "

static void a_line_says_all_of_a_packet(void **state)
{
    struct verdict_names names = {PROJECT, PORT, RULE, {LOG1, LOG2}, 2};
    struct verdict_event event = event_of(6, "10.0.0.1", "10.0.0.2");

    event.tcp_flags = 0x12;
    is_line(&event, &names, HEAD("ACCEPT", "egress") "logs=" LOG1 "," LOG2 " rule=" RULE " " MACS "ethertype=0x0800 source=10.0.0.1 "
            "destination=10.0.0.2 protocol=6 source_port=40000 destination_port=80 tcp_flags=SA size=74\n");
    names.n_logs = 1;
    event = event_of(17, "fd00::1", "fd00::2");
    event.flags = VERDICT_RECEIVED;
    event.reason = DROP_policy_ingress;
    event.number = 0;
    is_line(&event, &names, HEAD("DROP", "ingress") "logs=" LOG1 " reason=policy_ingress " MACS "ethertype=0x86dd source=fd00::1 "
            "destination=fd00::2 protocol=17 source_port=40000 destination_port=80 size=74\n");
    event = event_of(1, "10.0.0.1", "10.0.0.2");
    event.icmp_type = 8;
    names.rule_id = NULL;
    is_line(&event, &names, HEAD("ACCEPT", "egress") "logs=" LOG1 " rule=0000abcd " MACS "ethertype=0x0800 source=10.0.0.1 "
            "destination=10.0.0.2 protocol=1 icmp_type=8 icmp_code=0 size=74\n");
    event = event_of(17, "10.0.0.1", "10.0.0.2");
    event.flags = VERDICT_LATER_FRAGMENT;
    is_line(&event, &names, HEAD("ACCEPT", "egress") "logs=" LOG1 " rule=0000abcd " MACS "ethertype=0x0800 source=10.0.0.1 "
            "destination=10.0.0.2 protocol=17 source_port=40000 destination_port=80 fragment=later size=74\n");
    event.ethertype = htons(0x88b5);
    event.number = 0;
    event.reason = DROP_policy_egress;
    is_line(&event, &names, HEAD("DROP", "egress") "logs=" LOG1 " reason=policy_egress " MACS "ethertype=0x88b5 size=74\n");
    event = event_of(17, "10.0.0.1", "10.0.0.2"); /* Firewalls have rules that refuse. */
    event.flags = VERDICT_ROUTER | VERDICT_RECEIVED;
    event.reason = DROP_firewall_ingress;
    is_line(&event, &names, HEAD("DROP", "ingress") "logs=" LOG1 " reason=firewall_ingress rule=0000abcd " MACS "ethertype=0x0800 source=10.0.0.1 "
            "destination=10.0.0.2 protocol=17 source_port=40000 destination_port=80 size=74\n");
}

static void what_is_missing_is_said(void **state)
{
    struct verdict_names names = {"", PORT, NULL, {LOG1}, 1};
    struct buffer line = {0};

    verdict_line_left_out(12, TIME_MS, &names, &line);
    verdict_line_lost(3, TIME_MS, &line);
    assert_string_equal(buffer_string(&line), "time=2026-11-27T15:00:00.123Z action=LEFT_OUT project=- port=" PORT " logs=" LOG1 " count=12\n"
                                              "time=2026-11-27T15:00:00.123Z action=LOST count=3\n");
    buffer_clear(&line);
}

/* Whatever the data plane says, a line is one line of words. */
static void any_event_is_one_line(void **state)
{
    struct verdict_names names = {PROJECT, PORT, NULL, {LOG1}, 1};

    srand(1);
    for (int i = 0; i < 20000; i++) {
        struct verdict_event event;
        struct buffer line = {0};

        for (size_t k = 0; k < sizeof(event); k++)
            ((uint8_t *)&event)[k] = (uint8_t)rand();
        if (i % 2)
            event.ethertype = htons(i % 4 == 1 ? 0x0800 : 0x86dd);
        assert_int_equal(verdict_line(&event, (uint64_t)rand() << 8, &names, &line), 0);
        assert_int_equal(line.data[line.size - 1], '\n');
        for (size_t k = 0; k + 1 < line.size; k++)
            assert_true(line.data[k] >= ' ' && line.data[k] < 127);
        assert_true(line.size < 700);
        buffer_clear(&line);
    }
}

/* ---- the file ------------------------------------------------------------------------------------------------------------------ */

struct world {
    char folder[64], path[160];
    uv_loop_t loop;
    struct log_file *file;
};

static int setup(void **state)
{
    struct world *world = calloc(1, sizeof(*world));

    strcpy(world->folder, "/tmp/weft-log-XXXXXX");
    assert_non_null(mkdtemp(world->folder));
    snprintf(world->path, sizeof(world->path), "%s/deep/network.log", world->folder);
    uv_loop_init(&world->loop);
    assert_int_equal(log_file_new(&world->loop, world->path, &world->file), 0);
    *state = world;
    return 0;
}

static int teardown(void **state)
{
    struct world *world = *state;
    char command[200];

    log_file_stop(world->file);
    uv_run(&world->loop, UV_RUN_DEFAULT);
    log_file_free(world->file);
    assert_int_equal(uv_loop_close(&world->loop), 0);
    snprintf(command, sizeof(command), "rm -r '%s'", world->folder);
    assert_int_equal(system(command), 0);
    free(world);
    return 0;
}

static void append(struct world *world, const char *line)
{
    log_file_append(world->file, line, strlen(line));
}

static char *content(const char *path)
{
    static char text[4096];
    FILE *file = fopen(path, "r");

    if (!file)
        return NULL;
    text[fread(text, 1, sizeof(text) - 1, file)] = 0;
    fclose(file);
    return text;
}

static void lines_are_written_in_order(void **state)
{
    struct world *world = *state;
    struct stat status;

    assert_null(content(world->path)); /* Nothing to say, no file. */
    append(world, "one\n");
    append(world, "two\n");
    append(world, "three\n");
    uv_run(&world->loop, UV_RUN_DEFAULT);
    assert_string_equal(content(world->path), "one\ntwo\nthree\n");
    assert_int_equal(log_file_counters(world->file)->n_written, 3);
    assert_int_equal(stat(world->path, &status), 0);
    assert_int_equal(status.st_mode & 07777, 0640);
}

static void a_rotated_file_is_left(void **state)
{
    struct world *world = *state;
    char rotated[200];

    snprintf(rotated, sizeof(rotated), "%s.1", world->path);
    append(world, "old\n");
    uv_run(&world->loop, UV_RUN_DEFAULT);
    assert_int_equal(rename(world->path, rotated), 0);
    append(world, "still old\n");
    uv_run(&world->loop, UV_RUN_DEFAULT);
    log_file_reopen(world->file);
    uv_run(&world->loop, UV_RUN_DEFAULT);
    assert_null(content(world->path));
    append(world, "new\n");
    uv_run(&world->loop, UV_RUN_DEFAULT);
    assert_string_equal(content(rotated), "old\nstill old\n");
    assert_string_equal(content(world->path), "new\n");
}

/* A limit of the file's size stands in for a disk that is full. */
static void a_full_disk_costs_lines_and_is_counted(void **state)
{
    struct world *world = *state;
    struct rlimit before, small;

    signal(SIGXFSZ, SIG_IGN);
    getrlimit(RLIMIT_FSIZE, &before);
    small = before;
    small.rlim_cur = 10;
    append(world, "12345\n");
    uv_run(&world->loop, UV_RUN_DEFAULT);
    setrlimit(RLIMIT_FSIZE, &small);
    append(world, "abcdefgh\n"); /* Of which four bytes have room. */
    uv_run(&world->loop, UV_RUN_DEFAULT);
    append(world, "ijk\n");
    uv_run(&world->loop, UV_RUN_DEFAULT);
    setrlimit(RLIMIT_FSIZE, &before);
    assert_string_equal(content(world->path), "12345\nijk\n"); /* No half line. */
    assert_int_equal(log_file_counters(world->file)->n_lost, 1);
    assert_int_equal(log_file_take_lost(world->file), 1);
    assert_int_equal(log_file_take_lost(world->file), 0);
}

static void what_waits_is_bounded(void **state)
{
    struct world *world = *state;
    static char line[1000];
    uint64_t n = 0;

    memset(line, 'x', sizeof(line) - 2);
    line[sizeof(line) - 2] = '\n';
    for (int i = 0; i < 3000; i++) /* The loop does not run meanwhile: the first is on its way, the rest waits. */
        n += log_file_append(world->file, line, sizeof(line) - 1);
    assert_true(n < 1100 && n > 1000);
    assert_int_equal(log_file_counters(world->file)->n_lost, 3000 - n);
    uv_run(&world->loop, UV_RUN_DEFAULT);
    assert_int_equal(log_file_counters(world->file)->n_written, n);
}

static void what_waits_at_the_end_is_written(void **state)
{
    struct world *world = *state;

    append(world, "first\n");
    append(world, "last\n");
    log_file_stop(world->file);
    uv_run(&world->loop, UV_RUN_DEFAULT);
    log_file_free(world->file);
    assert_string_equal(content(world->path), "first\nlast\n");
    assert_int_equal(log_file_new(&world->loop, world->path, &world->file), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_line_says_all_of_a_packet),
        cmocka_unit_test(what_is_missing_is_said),
        cmocka_unit_test(any_event_is_one_line),
        cmocka_unit_test_setup_teardown(lines_are_written_in_order, setup, teardown),
        cmocka_unit_test_setup_teardown(a_rotated_file_is_left, setup, teardown),
        cmocka_unit_test_setup_teardown(a_full_disk_costs_lines_and_is_counted, setup, teardown),
        cmocka_unit_test_setup_teardown(what_waits_is_bounded, setup, teardown),
        cmocka_unit_test_setup_teardown(what_waits_at_the_end_is_written, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
