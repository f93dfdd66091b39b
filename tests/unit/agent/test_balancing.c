/* When a host says at once what it has to say of listeners that have a limit. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "weft/agent/balancing.h"
#include "weft/base/util.h"

#define LISTENER "00000001-0000-4000-8000-000000000001"
#define SHARE "00000002-0000-4000-8000-000000000002"

static struct agent agent;

static void keep(enum resource_kind kind, const char *id, int64_t limit, uint64_t revision)
{
    struct object *object = object_new(kind);

    string_copy(object->id, sizeof(object->id), id);
    if (kind == RESOURCE_LISTENER)
        ((struct listener *)object)->connection_limit = limit;
    else
        string_copy(((struct listener_share *)object)->listener_id, UUID_TEXT_SIZE, LISTENER);
    assert_int_equal(replica_keep(&agent.replica, object, revision), 0);
}

/* Of a listener that many call: nobody could begin a connection until the next report. */
static void a_limit_that_is_new_is_said_at_once(void **state)
{
    static const uint32_t limits[N_SLOT_KINDS] = {4, 4, 4, 4, 4, 4, 4, 4, 4};
    char path[] = "/tmp/weft-balancing-XXXXXX";
    struct error error = {0};
    int fd = mkstemp(path);

    assert_true(fd >= 0);
    assert_int_equal(close(fd), 0);
    agent.replica.cache_fd = agent.replica.sync_fd = -1;
    assert_int_equal(local_open(&agent.local, path, limits, &error), 0);
    assert_non_null(local_slot(&agent.local, SLOT_LISTENER, LISTENER));
    agent.reported_revision = agent.applied_revision = 5;
    agent.reported_listeners = json_pack("{s{si}}", LISTENER, "active_connections", 3);
    keep(RESOURCE_LISTENER, LISTENER, -1, 5);
    assert_false(balancing_is_news(&agent, true));
    keep(RESOURCE_LISTENER, LISTENER, 100, 7);
    assert_false(balancing_is_news(&agent, false)); /* Not in the tables yet. */
    agent.applied_revision = 7;
    assert_true(balancing_is_news(&agent, false));
    agent.reported_revision = 7;
    assert_false(balancing_is_news(&agent, false)); /* Whatever the counts are. */
    keep(RESOURCE_LISTENER_SHARE, SHARE, 0, 9);
    assert_false(balancing_is_news(&agent, false));
    agent.applied_revision = 9;
    assert_true(balancing_is_news(&agent, false)); /* That it has applied the share. */
    agent.reported_revision = 9;
    assert_false(balancing_is_news(&agent, false));
    assert_int_equal(json_object_del(agent.reported_listeners, LISTENER), 0);
    assert_true(balancing_is_news(&agent, false)); /* That it has the listener. */
    json_decref(agent.reported_listeners);
    local_close(&agent.local);
    replica_close(&agent.replica);
    assert_int_equal(unlink(path), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_limit_that_is_new_is_said_at_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
