/* Floods of new connections at a port with security groups: whose half-open ones make room (bpf/half-open.h), and who is not concerned.
 *
 * The world is tests/bpf/fixture.h's: A (port 1, policy under test) and H (port 8, everything allowed) are of one project; who floods, M, is
 * behind host 1.  The workloads answer from port 80. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "fixture.h"
#include "weft/base/util.h"

#define SECOND 1000000000ull
#define TICK (1ull << FLOW_TIME_SHIFT)
#define LIMIT 200u
#define SHARE 50u

static enum drop_reason run(struct pipeline *pipeline, uint32_t ifindex, const char *text)
{
    struct pipeline_result result;
    struct frame frame;
    enum drop_reason reason;

    frame_parse(text, &frame);
    struct pipeline_frame input = {.bytes = frame.bytes, .size = frame.size, .ifindex = ifindex};
    assert_int_equal(pipeline_run(pipeline, ifindex == UNDERLAY_IFINDEX ? PIPELINE_FROM_UNDERLAY : PIPELINE_FROM_WORKLOAD, &input, &result), 0);
    reason = result.reason;
    pipeline_result_clear(&result);
    return reason;
}

/* From port 'client' of M to port 80 of a workload, and from there. */
static enum drop_reason arrives(struct pipeline *pipeline, char workload, uint32_t client, const char *segment)
{
    char text[200];

    snprintf(text, sizeof(text), "outer 192.0.2.2>192.0.2.1 7 0 M>%c ip 10.0.0.101>10.0.0.%d tcp %u>80 %s", workload, workload == 'A' ? 1 : 8, client,
             segment);
    return run(pipeline, UNDERLAY_IFINDEX, text);
}

static enum drop_reason leaves(struct pipeline *pipeline, char workload, uint32_t client, const char *segment)
{
    char text[200];

    snprintf(text, sizeof(text), "%c>M ip 10.0.0.%d>10.0.0.101 tcp 80>%u %s", workload, workload == 'A' ? 1 : 8, client, segment);
    return run(pipeline, workload == 'A' ? 101 : 108, text);
}

#define PASSES(call) assert_int_equal(call, DROP_NONE)

/* M's three-way handshake with A. */
static void connect_a(struct pipeline *pipeline, uint32_t client)
{
    PASSES(arrives(pipeline, 'A', client, "S seq=1"));
    PASSES(leaves(pipeline, 'A', client, "SA seq=1 ack=2"));
    PASSES(arrives(pipeline, 'A', client, "A seq=2 ack=2"));
}

static struct project_record *project_of(struct pipeline *pipeline)
{
    const uint32_t project = 7;

    return pipeline_lookup(pipeline, "projects", &project);
}

static struct pipeline *world(void)
{
    const struct rule all = {.flags = RULE_IPV4};
    struct pipeline *pipeline = fixture_new();

    fixture_rules(pipeline, 10, &all, 1);
    fixture_rules(pipeline, 11, &all, 1);
    fixture_policy(pipeline, 1, 10, 11);
    project_of(pipeline)->max_half_open = LIMIT;
    project_of(pipeline)->port_half_open = SHARE;
    return pipeline;
}

static void a_flood_of_syns_pushes_out_its_own(void **state)
{
    struct pipeline *pipeline = world();
    struct project_record *project = project_of(pipeline);
    uint64_t now = SECOND;
    size_t unused;
    uint32_t n;

    connect_a(pipeline, 1);
    for (uint32_t client = 100; client < 120; client++) /* Half open, and fewer than the port's share. */
        PASSES(leaves(pipeline, 'H', client, "S seq=1"));
    for (uint32_t client = 2000; client < 7000; client++) {
        if (client % 10 == 0)
            pipeline_advance(pipeline, now += TICK);
        PASSES(arrives(pipeline, 'A', client, "S seq=1"));
        assert_true(project->n_half_open <= LIMIT);
        if (client % 500 == 0) { /* Somebody who means it, at either port. */
            connect_a(pipeline, client / 10);
            PASSES(leaves(pipeline, 'H', client, "S seq=1"));
            PASSES(arrives(pipeline, 'H', client, "SA seq=1 ack=2"));
            PASSES(leaves(pipeline, 'H', client, "A seq=2 ack=2"));
        }
    }
    for (uint32_t client = 100; client < 120; client++)
        PASSES(arrives(pipeline, 'H', client, "SA seq=1 ack=2"));
    assert_int_equal(project->n_established, 1 + 10 + 10);
    pipeline_table(pipeline, "connections", &unused, &unused, &n);
    assert_in_range(n, LIMIT / 2, LIMIT + HALF_OPEN_RING / 2 + 21);
    pipeline_advance(pipeline, now + 100 * SECOND);
    assert_int_equal(project->n_half_open, 0);
    assert_int_equal(project->n_established, 21);
    PASSES(leaves(pipeline, 'A', 1, "A seq=2 ack=2 +10"));
    pipeline_free(pipeline);
}

/* Faster than memory can be given to others: what is too much is refused, at that port only, and the next moment is as any. */
static void a_flood_in_an_instant_is_refused_in_part(void **state)
{
    struct pipeline *pipeline = world();
    struct project_record *project = project_of(pipeline);
    uint32_t n_passed = 0;

    for (uint32_t client = 2000; client < 6000; client++) {
        enum drop_reason reason = arrives(pipeline, 'A', client, "S seq=1");
        assert_true(reason == DROP_NONE || reason == DROP_connection_limit);
        n_passed += reason == DROP_NONE;
        assert_true(project->n_half_open <= LIMIT);
    }
    assert_in_range(n_passed, HALF_OPEN_RING / 2, HALF_OPEN_RING);
    PASSES(arrives(pipeline, 'H', 1, "S seq=1"));
    for (uint32_t i = 0; i < 100; i++) { /* The ones that are on their way out go by fours. */
        pipeline_advance(pipeline, SECOND + (20 + i) * TICK);
        PASSES(arrives(pipeline, 'A', 7000 + i, "S seq=1"));
    }
    pipeline_free(pipeline);
}

/* The limit is reached by ports that are all within their share: each makes room for itself. */
static void a_project_at_its_limit_goes_on(void **state)
{
    struct pipeline *pipeline = world();
    struct project_record *project = project_of(pipeline);

    project->max_half_open = 20;
    project->port_half_open = 20;
    for (uint32_t client = 2000; client < 2000 + 2 * LIMIT; client++)
        PASSES(arrives(pipeline, 'A', client, "S seq=1"));
    assert_int_equal(project->n_half_open, 20);
    assert_int_equal(arrives(pipeline, 'H', 1, "S seq=1"), DROP_connection_limit); /* It has none to give up. */
    pipeline_free(pipeline);
}

/* A share that is larger than what a port remembers leaves as much for the others. */
static void a_large_share_starves_nobody(void **state)
{
    struct pipeline *pipeline = world();
    struct project_record *project = project_of(pipeline);
    uint64_t now = SECOND;

    project->max_half_open = 3000;
    project->port_half_open = 1500;
    for (uint32_t client = 2000; client < 12000; client++) {
        if (client % 10 == 0)
            pipeline_advance(pipeline, now += TICK);
        PASSES(arrives(pipeline, 'A', client, "S seq=1"));
    }
    assert_in_range(project->n_half_open, 1500, 2000);
    PASSES(arrives(pipeline, 'H', 1, "S seq=1"));
    pipeline_free(pipeline);
}

/* What was given up and comes to life after all is the middle of a connection that the rules would let begin. */
static void who_was_given_up_is_picked_up(void **state)
{
    struct pipeline *pipeline = world();

    PASSES(arrives(pipeline, 'A', 1, "S seq=1"));
    PASSES(leaves(pipeline, 'A', 1, "SA seq=1 ack=2"));
    for (uint32_t client = 2000; client < 2400; client++)
        PASSES(arrives(pipeline, 'A', client, "S seq=1"));
    pipeline_advance(pipeline, SECOND + 20 * TICK);
    for (uint32_t client = 3000; client < 3100; client++)
        PASSES(arrives(pipeline, 'A', client, "S seq=1"));
    PASSES(arrives(pipeline, 'A', 1, "A seq=2 ack=2"));
    PASSES(leaves(pipeline, 'A', 1, "A seq=2 ack=2 +100"));
    PASSES(arrives(pipeline, 'A', 1, "A seq=2 ack=102 +100"));
    pipeline_free(pipeline);
}

/* The same name again while the entry of the last one, which was given up, is still there: it takes its place, and is counted once. */
static void a_name_that_was_given_up_begins_anew(void **state)
{
    struct pipeline *pipeline = world();
    struct project_record *project = project_of(pipeline);

    PASSES(arrives(pipeline, 'A', 1, "S seq=1"));
    for (uint32_t client = 2000; client < 2000 + LIMIT; client++)
        PASSES(arrives(pipeline, 'A', client, "S seq=1"));
    uint32_t n = project->n_half_open;
    PASSES(arrives(pipeline, 'A', 1, "S seq=9"));
    assert_int_equal(project->n_half_open, n);
    PASSES(leaves(pipeline, 'A', 1, "SA seq=1 ack=10"));
    PASSES(arrives(pipeline, 'A', 1, "A seq=10 ack=2"));
    assert_int_equal(project->n_established, 1);
    pipeline_advance(pipeline, 100 * SECOND);
    assert_int_equal(project->n_half_open, 0);
    assert_int_equal(project->n_established, 1);
    pipeline_free(pipeline);
}

/* Ports that have no connection in sight of where the next one looks for a slot: a thousand that last, begun in a row, cost nobody else's. */
static void connections_that_last_are_not_in_the_way(void **state)
{
    struct pipeline *pipeline = world();
    struct project_record *project = project_of(pipeline);
    uint64_t now = SECOND;

    for (uint32_t client = 1; client <= 1000; client++)
        connect_a(pipeline, client);
    assert_int_equal(project->n_established, 1000);
    for (uint32_t client = 2000; client < 2000 + 3 * FIXTURE_FLOW_SLOTS; client++) {
        if (client % 10 == 0)
            pipeline_advance(pipeline, now += TICK);
        PASSES(arrives(pipeline, 'A', client, "S seq=1"));
    }
    assert_int_equal(project->n_established, 1000);
    pipeline_free(pipeline);
}

/* M opens so many connections to B (port 2), which has no security groups. */
static void flood_b(struct pipeline *pipeline, uint32_t n)
{
    char text[200];

    for (uint32_t client = 2000; client < 2000 + n; client++) {
        snprintf(text, sizeof(text), "outer 192.0.2.2>192.0.2.1 7 0 M>B ip 10.0.0.101>10.0.0.2 tcp %u>80 S", client);
        PASSES(run(pipeline, UNDERLAY_IFINDEX, text));
        snprintf(text, sizeof(text), "B>M ip 10.0.0.2>10.0.0.101 tcp 80>%u SA", client);
        PASSES(run(pipeline, 102, text));
    }
}

/* A port that is served without entries, too, never takes what those need that are not. */
static void a_port_without_groups_takes_half_at_most(void **state)
{
    struct pipeline *pipeline = world();
    struct project_record *project = project_of(pipeline);

    flood_b(pipeline, 2 * LIMIT);
    assert_int_equal(project->n_half_open, LIMIT / 2);
    for (uint32_t client = 1; client <= LIMIT / 2; client++)
        PASSES(arrives(pipeline, client % 2 ? 'A' : 'H', client, "S seq=1"));
    assert_int_equal(project->n_half_open, LIMIT);
    pipeline_free(pipeline);
}

/* One that a router's firewall needs entries of gives up its own, as if it had groups. */
static void a_port_behind_a_firewall_pushes_out_its_own(void **state)
{
    struct pipeline *pipeline = world();
    struct project_record *project = project_of(pipeline);

    fixture_port(pipeline, 2)->flags |= PORT_ROUTER_FIREWALL;
    flood_b(pipeline, 2 * LIMIT);
    assert_in_range(project->n_half_open, LIMIT / 2, LIMIT / 2 + 1);
    for (uint32_t client = 1; client <= SHARE; client++)
        PASSES(arrives(pipeline, 'A', client, "S seq=1"));
    for (uint32_t client = 1; client <= SHARE / 2; client++)
        PASSES(leaves(pipeline, 'H', client, "S seq=1"));
    pipeline_free(pipeline);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_flood_of_syns_pushes_out_its_own),
        cmocka_unit_test(a_flood_in_an_instant_is_refused_in_part),
        cmocka_unit_test(a_project_at_its_limit_goes_on),
        cmocka_unit_test(a_large_share_starves_nobody),
        cmocka_unit_test(who_was_given_up_is_picked_up),
        cmocka_unit_test(a_name_that_was_given_up_begins_anew),
        cmocka_unit_test(connections_that_last_are_not_in_the_way),
        cmocka_unit_test(a_port_without_groups_takes_half_at_most),
        cmocka_unit_test(a_port_behind_a_firewall_pushes_out_its_own),
    };

    return cmocka_run_group_tests_name("half-open", tests, NULL, NULL);
}
