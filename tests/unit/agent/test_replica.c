/* The watch stream's lines, and the cache that outlives the process. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "weft/agent/replica.h"
#include "weft/base/util.h"

#define HOST "11111111-0000-4000-8000-00000000000"

static char path[] = "/tmp/weft-replica-XXXXXX";

static enum replica_event feed(struct replica *replica, const char *line)
{
    enum replica_event event = REPLICA_NOTHING;
    struct error error = {0};
    json_t *request = NULL;

    if (replica_line(replica, line, strlen(line), &event, &request, &error) < 0)
        fail_msg("%s: %s", line, error.message);
    json_decref(request);
    return event;
}

static void put_host(struct replica *replica, unsigned number, const char *name, unsigned revision)
{
    char line[400];

    snprintf(line, sizeof(line), "{\"type\":\"put\",\"kind\":\"host\",\"revision\":%u,\"object\":{\"schema\":1,\"id\":\"" HOST "%u\",\"name\":\"%s\"}}",
             revision, number, name);
    assert_int_equal(REPLICA_NOTHING, feed(replica, line));
}

static void reopen(struct replica *replica, bool first)
{
    struct error error = {0};

    if (!first)
        replica_close(replica);
    if (replica_open(replica, path, &error) < 0)
        fail_msg("%s", error.message);
}

static int fresh(void **state)
{
    return unlink(path) < 0 && errno != ENOENT ? -1 : 0;
}

static const char *name_of(const struct replica *replica, const char *id)
{
    const struct object *object = replica_find(replica, RESOURCE_HOST, id);

    return object ? object->name : NULL;
}

static void puts_and_deletes_are_followed_and_remembered(void **state)
{
    struct replica replica;
    json_t *digest;

    reopen(&replica, true);
    put_host(&replica, 1, "one", 5);
    put_host(&replica, 2, "two", 6);
    put_host(&replica, 1, "uno", 7);
    assert_int_equal(REPLICA_COMMIT, feed(&replica, "{\"type\":\"commit\",\"revision\":7}"));
    assert_int_equal(7, replica.revision);
    assert_string_equal("uno", name_of(&replica, HOST "1"));
    feed(&replica, "{\"type\":\"delete\",\"kind\":\"host\",\"id\":\"" HOST "2\",\"revision\":8}");
    assert_null(name_of(&replica, HOST "2"));
    assert_int_equal(1, replica.by_kind[RESOURCE_HOST].n);
    assert_false(replica.synced);

    reopen(&replica, false);
    assert_string_equal("uno", name_of(&replica, HOST "1"));
    assert_null(name_of(&replica, HOST "2"));
    digest = replica_digest(&replica);
    assert_int_equal(1, json_object_size(digest));
    assert_int_equal(7, json_integer_value(json_object_get(digest, HOST "1")));
    json_decref(digest);
    replica_close(&replica);
}

/* Each object that is there once, and nothing else. */
static void assert_kind_is_whole(const struct replica *replica, size_t n)
{
    const struct replica_kind *hosts = &replica->by_kind[RESOURCE_HOST];

    assert_int_equal(n, hosts->n);
    assert_int_equal(n, replica->by_id.n_nodes);
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(i, hosts->entries[i]->position);
        assert_ptr_equal(hosts->entries[i]->object, replica_find(replica, RESOURCE_HOST, hosts->entries[i]->object->id));
    }
}

static void the_array_of_a_kind_follows_puts_and_deletes(void **state)
{
    const unsigned gone[] = {1, 5, 9, 2, 3, 8, 4, 6, 7}; /* From the beginning, the middle, the end. */
    struct replica replica;
    char line[200];

    reopen(&replica, true);
    for (unsigned i = 1; i < 10; i++)
        put_host(&replica, i, "host", i);
    put_host(&replica, 4, "again", 10);
    assert_kind_is_whole(&replica, 9);
    for (unsigned i = 0; i < ARRAY_SIZE(gone); i++) {
        snprintf(line, sizeof(line), "{\"type\":\"delete\",\"kind\":\"host\",\"id\":\"" HOST "%u\",\"revision\":%u}", gone[i], 11 + i);
        feed(&replica, line);
        assert_kind_is_whole(&replica, 8 - i);
    }
    put_host(&replica, 1, "one", 20);
    assert_kind_is_whole(&replica, 1);
    replica_close(&replica);
}

static void a_line_cut_short_by_a_crash_is_ignored(void **state)
{
    struct replica replica;
    FILE *file;

    reopen(&replica, true);
    put_host(&replica, 1, "one", 5);
    replica_close(&replica);
    file = fopen(path, "a");
    assert_non_null(file);
    fputs("{\"type\":\"put\",\"kind\":\"host\",\"revision\":9,\"object\":{\"schema\":1,\"id\":\"" HOST "2\"", file);
    fclose(file);
    reopen(&replica, true);
    assert_string_equal("one", name_of(&replica, HOST "1"));
    assert_null(name_of(&replica, HOST "2"));
    put_host(&replica, 3, "three", 10); /* What is appended next stands on a line of its own. */
    reopen(&replica, false);
    assert_string_equal("three", name_of(&replica, HOST "3"));
    replica_close(&replica);
}

static void the_cache_does_not_grow_for_ever(void **state)
{
    struct replica replica;

    reopen(&replica, true);
    for (unsigned i = 0; i < 20000; i++)
        put_host(&replica, 1, "the same host again and again", i);
    assert_true(replica.cache_size < 2u << 20);
    reopen(&replica, false);
    assert_int_equal(1, replica.by_id.n_nodes);
    replica_close(&replica);
}

static void what_is_appended_is_brought_to_the_disk(void **state)
{
    struct replica replica;
    uv_loop_t loop;

    assert_int_equal(0, uv_loop_init(&loop));
    reopen(&replica, true);
    assert_false(replica.is_unsynced); /* It has just been written anew. */
    put_host(&replica, 1, "one", 5);
    assert_true(replica.is_unsynced);
    replica_sync(&replica, &loop);
    assert_true(replica.is_syncing);
    put_host(&replica, 2, "two", 6); /* Too late for the first. */
    replica_sync(&replica, &loop);
    assert_true(replica.is_unsynced);
    assert_int_equal(0, uv_run(&loop, UV_RUN_DEFAULT));
    assert_false(replica.is_unsynced || replica.is_syncing);
    replica_sync(&replica, &loop);
    assert_false(replica.is_syncing); /* There is nothing to do. */
    replica_close(&replica);
    assert_int_equal(0, uv_loop_close(&loop));
}

static void lines_of_a_later_version_are_passed_over(void **state)
{
    struct replica replica;

    reopen(&replica, true);
    assert_int_equal(REPLICA_PASSED_OVER, feed(&replica, "{\"type\":\"put\",\"kind\":\"wormhole\",\"revision\":1,\"object\":{\"id\":\"x\"}}"));
    assert_int_equal(REPLICA_NOTHING, feed(&replica, "{\"type\":\"sing\"}"));
    assert_int_equal(REPLICA_KEEPALIVE, feed(&replica, "{\"type\":\"keepalive\",\"revision\":3}"));
    assert_int_equal(REPLICA_SYNCED, feed(&replica, "{\"type\":\"synced\",\"revision\":3}"));
    assert_int_equal(REPLICA_REQUEST, feed(&replica, "{\"type\":\"request\",\"id\":\"q\",\"operation\":\"counters\"}"));
    assert_int_equal(0, replica.by_id.n_nodes);
    assert_int_equal(1, replica.n_unknown_kinds);
    replica_close(&replica);
}

#define PORT "22222222-0000-4000-8000-000000000001"
#define NETWORK "33333333-0000-4000-8000-000000000001"

static enum replica_event put_port(struct replica *replica, unsigned revision, const char *fields, struct error *error)
{
    enum replica_event event = REPLICA_COMMIT;
    char line[600];
    json_t *request;

    snprintf(line, sizeof(line), "{\"type\":\"put\",\"kind\":\"port\",\"revision\":%u,\"object\":{\"schema\":1,\"id\":\"" PORT
             "\",\"network_id\":\"" NETWORK "\",\"mac_address\":\"fa:16:3e:00:00:01\"%s}}", revision, fields);
    *error = (struct error){0};
    assert_int_equal(0, replica_line(replica, line, strlen(line), &event, &request, error));
    return event;
}

static json_int_t revision_in_digest(struct replica *replica, const char *id)
{
    json_t *digest = replica_digest(replica);
    json_int_t revision = json_integer_value(json_object_get(digest, id));

    json_decref(digest);
    return revision;
}

static void an_object_that_cannot_be_read_stays_as_it_was(void **state)
{
    static const char *const strange[] = {
        ",\"status\":\"TRANSCENDENT\"",        /* A value that an enum did not have. */
        ",\"port_security_enabled\":\"mostly\"", /* Another type. */
        ",\"fixed_ips\":[{\"subnet_id\":7}]",
    };
    struct replica replica;
    struct error error;

    reopen(&replica, true);
    for (size_t i = 0; i < ARRAY_SIZE(strange); i++) {
        uint64_t before;

        assert_int_equal(REPLICA_NOTHING, put_port(&replica, 5, ",\"name\":\"good\"", &error));
        before = replica.n_changes;
        assert_int_equal(REPLICA_STRANGER, put_port(&replica, 6, strange[i], &error));
        assert_non_null(strstr(error.message, PORT));
        assert_true(error.field[0]);
        assert_non_null(strstr(error.message, error.field));
        assert_int_equal(REPLICA_PASSED_OVER, put_port(&replica, 7, strange[i], &error)); /* Said once. */
        assert_int_equal(before, replica.n_changes);
        assert_string_equal("good", replica_find(&replica, RESOURCE_PORT, PORT)->name);
        put_host(&replica, 1, "one", 8); /* Everything else goes on. */
        assert_string_equal("one", name_of(&replica, HOST "1"));

        /* What the API compares on resuming: the revision that is here, so that it sends the other again. */
        assert_int_equal(5, revision_in_digest(&replica, PORT));
        assert_int_equal(REPLICA_PASSED_OVER, put_port(&replica, 7, strange[i], &error));
        feed(&replica, "{\"type\":\"synced\",\"revision\":8}");
        assert_int_equal(1, replica.strangers.n_nodes);
        reopen(&replica, false); /* And the cache has the one that can be read. */
        assert_int_equal(5, revision_in_digest(&replica, PORT));
        assert_string_equal("good", replica_find(&replica, RESOURCE_PORT, PORT)->name);

        /* Understood again: no stranger, and what is strange next is said. */
        assert_int_equal(REPLICA_STRANGER, put_port(&replica, 9, strange[i], &error));
        assert_int_equal(REPLICA_NOTHING, put_port(&replica, 10, ",\"name\":\"better\"", &error));
        assert_int_equal(10, revision_in_digest(&replica, PORT));
        assert_int_equal(0, replica.strangers.n_nodes);
        assert_int_equal(REPLICA_STRANGER, put_port(&replica, 11, strange[i], &error));
        feed(&replica, "{\"type\":\"delete\",\"kind\":\"port\",\"id\":\"" PORT "\",\"revision\":12}");
        assert_null(replica_find(&replica, RESOURCE_PORT, PORT));
        assert_int_equal(0, replica.strangers.n_nodes);
    }
    replica_close(&replica);
}

/* Nothing to fall back to: it is not here, nor in the digest, and what a later stream does not mention is forgotten. */
static void a_new_object_that_cannot_be_read_is_not_there(void **state)
{
    struct replica replica;
    struct error error;

    reopen(&replica, true);
    assert_int_equal(REPLICA_STRANGER, put_port(&replica, 5, ",\"status\":\"TRANSCENDENT\"", &error));
    assert_int_equal(0, replica.by_id.n_nodes);
    assert_int_equal(0, revision_in_digest(&replica, PORT));
    feed(&replica, "{\"type\":\"synced\",\"revision\":8}");
    assert_int_equal(0, replica.strangers.n_nodes);
    replica_close(&replica);
}

static void strangers_are_not_remembered_without_end(void **state)
{
    struct replica replica;

    reopen(&replica, true);
    for (unsigned i = 0; i < MAX_STRANGERS + 100; i++) {
        char line[200];

        snprintf(line, sizeof(line), "{\"type\":\"put\",\"kind\":\"port\",\"revision\":1,\"object\":{\"id\":\"%u\"}}", i);
        assert_int_equal(i < MAX_STRANGERS ? REPLICA_STRANGER : REPLICA_PASSED_OVER, feed(&replica, line));
    }
    assert_int_equal(MAX_STRANGERS, replica.strangers.n_nodes);
    assert_int_equal(MAX_STRANGERS + 100, replica.n_strange_puts);
    replica_close(&replica);
}

#define ROWS "33333333-0000-8000-8000-000000000000"
#define MEMBER_A "44444444-0000-4000-8000-00000000000a"
#define MEMBER_B "44444444-0000-4000-8000-00000000000b"

static const struct balance_rows *rows_of(const struct replica *replica)
{
    return (const struct balance_rows *)replica_find(replica, RESOURCE_BALANCE_ROWS, ROWS);
}

static uint64_t revision_of(struct replica *replica, const char *id)
{
    json_t *digest = replica_digest(replica);
    uint64_t revision = (uint64_t)json_integer_value(json_object_get(digest, id));

    json_decref(digest);
    return revision;
}

/* A patch makes of what is here what the API has, also in the cache; one that is for something else makes the next stream bring the whole. */
static void patches_change_what_they_are_for(void **state)
{
    static const char whole[] = "{\"type\":\"put\",\"kind\":\"balance_rows\",\"revision\":5,\"object\":{\"schema\":1,\"id\":\"" ROWS "\",\"lineage\":7,\"sequence\":1,"
                                "\"members\":[{\"id\":\"" MEMBER_A "\",\"index\":0,\"state\":\"SERVES\"}],\"rows\":\"AAD///////8AAP///////w==\"}}";
#define PATCH(from, revision, changes, more)                                                                                                                 \
    "{\"type\":\"patch\",\"kind\":\"balance_rows\",\"revision\":" revision ",\"from\":" from ",\"object\":{\"schema\":1,\"id\":\"" ROWS "\",\"lineage\":7,\"sequence\":2,"       \
    "\"members\":[{\"id\":\"" MEMBER_B "\",\"index\":1,\"state\":\"SERVES\"}],\"rows\":\"\"},\"gone\":[\"" MEMBER_A "\"],\"changes\":\"" changes "\"" more "}"
    static const char fits[] = PATCH("5", "6", "AQAAAAEAAAD/////", ""), other[] = PATCH("5", "9", "AQAAAAEAAAD/////", ""),
                      broken[] = PATCH("6", "9", "AgAAAAEAAAD/////", ""), restored[] = PATCH("6", "9", "AQAAAAEAAAD/////", ",\"check\":1");
    static const uint8_t expected[] = {0, 0, 255, 255, 255, 255, 255, 255, 1, 0, 0, 0, 255, 255, 255, 255};
    const char *const misfits[] = {other, broken, restored}, *const why[] = {"it is for revision 5, not for 6", "there is no row '2'", "it is for other rows"};
    struct replica replica;

    reopen(&replica, true);
    assert_int_equal(REPLICA_PASSED_OVER, feed(&replica, fits)); /* Nothing is here that it could be for. */
    feed(&replica, whole);
    assert_int_equal(REPLICA_NOTHING, feed(&replica, fits));
    for (int again = 0; again < 2; again++) {
        assert_int_equal(rows_of(&replica)->n_members, 1);
        assert_string_equal(rows_of(&replica)->members[0].member_id, MEMBER_B);
        assert_int_equal(rows_of(&replica)->sequence, 2);
        assert_int_equal(rows_of(&replica)->n_row_bytes, sizeof(expected));
        assert_memory_equal(rows_of(&replica)->rows, expected, sizeof(expected));
        assert_int_equal(6, revision_of(&replica, ROWS));
        reopen(&replica, false);
    }
    for (size_t i = 0; i < ARRAY_SIZE(misfits); i++) {
        struct error error = {0};
        enum replica_event event;
        json_t *request;

        assert_int_equal(-ESTALE, replica_line(&replica, misfits[i], strlen(misfits[i]), &event, &request, &error));
        assert_non_null(strstr(error.message, why[i]));
        assert_memory_equal(rows_of(&replica)->rows, expected, sizeof(expected)); /* The tables stay as they were meanwhile. */
        assert_int_equal(0, revision_of(&replica, ROWS));
        feed(&replica, whole);
        feed(&replica, fits);
    }
    replica_close(&replica);
}

static void nonsense_is_an_error_that_says_why(void **state)
{
    static const char *const lines[] = {
        "", "{", "[]", "null", "{}", "{\"type\":7}",
    };
    static const char *const strangers[] = {
        "{\"type\":\"put\",\"kind\":\"host\",\"object\":{}}", "{\"type\":\"put\",\"kind\":\"host\",\"object\":[]}",
        "{\"type\":\"put\",\"kind\":\"port\",\"object\":{\"id\":\"x\"}}", "{\"type\":\"put\",\"kind\":\"host\"}",
        "{\"type\":\"put\",\"kind\":\"host\",\"object\":{\"id\":\"a text that is far longer than any id of an object could be\"}}",
    };
    struct replica replica;

    reopen(&replica, true);
    for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
        enum replica_event event;
        struct error error = {0};
        json_t *request;

        assert_true(replica_line(&replica, lines[i], strlen(lines[i]), &event, &request, &error) < 0);
        assert_int_not_equal('\0', error.message[0]);
    }
    for (size_t i = 0; i < ARRAY_SIZE(strangers); i++)
        feed(&replica, strangers[i]);
    assert_int_equal(ARRAY_SIZE(strangers), replica.n_strange_puts);
    assert_int_equal(0, replica.by_id.n_nodes);
    replica_close(&replica);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(puts_and_deletes_are_followed_and_remembered, fresh),
        cmocka_unit_test_setup(patches_change_what_they_are_for, fresh),
        cmocka_unit_test_setup(the_array_of_a_kind_follows_puts_and_deletes, fresh),
        cmocka_unit_test_setup(a_line_cut_short_by_a_crash_is_ignored, fresh),
        cmocka_unit_test_setup(the_cache_does_not_grow_for_ever, fresh),
        cmocka_unit_test_setup(what_is_appended_is_brought_to_the_disk, fresh),
        cmocka_unit_test_setup(lines_of_a_later_version_are_passed_over, fresh),
        cmocka_unit_test_setup(an_object_that_cannot_be_read_stays_as_it_was, fresh),
        cmocka_unit_test_setup(a_new_object_that_cannot_be_read_is_not_there, fresh),
        cmocka_unit_test_setup(strangers_are_not_remembered_without_end, fresh),
        cmocka_unit_test_setup(nonsense_is_an_error_that_says_why, fresh),
    };
    int fd = mkstemp(path), failed;

    if (fd < 0)
        return 1;
    close(fd);
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    unlink(path);
    return failed;
}
