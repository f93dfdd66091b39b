/* The table of connections itself (bpf/connections.h), by threads that put in, take out and look up at once; and connections of the release before
 * (bpf/previous.h).
 *
 * Both need the programs' own functions: this test is the pipeline, with all that is static in it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

#include "weft/dataplane/pipeline.c"
#include "conversation.h"

/* ---- threads ------------------------------------------------------------------------------------------------------------- */

#define N_THREADS 4
#define N_PLACES 4096
#define N_CHAINS 2     /* All keys are in so many chains: each change meets others. */
#define N_LASTING 6    /* Keys that are there all the time. */
#define N_KEYS 30
#define N_TICKS 5000u

static struct native *shared_world;
static struct flow_key keys[N_KEYS];
static _Atomic uint64_t steps[N_THREADS], n_linked, n_gone, n_missed;
static atomic_bool is_over;

static void choose_keys(void)
{
    uint32_t n = 0;

    for (uint32_t i = 0; n < N_KEYS; i++) {
        struct flow_key key = {.owner = 1 | IPPROTO_UDP << 24, .local = i, .remote = 7};

        if ((flow_hash_of(&key, settings_get()->hash_seed) & (N_PLACES - 1)) < N_CHAINS)
            keys[n++] = key;
    }
}

static bool put(const struct flow_key *key)
{
    static const struct flow_entry initial = {.state = FLOW_ESTABLISHED};
    __u32 place = flow_claim();
    struct flow_entry *entry = flow_at(place);

    if (!entry)
        return false;
    entry->last_seen = flow_now();
    return flow_insert_at(place, key, &initial) == LINK_DONE;
}

/* As the programs do it: dead at once, out when nobody can hold it any more. */
static void end_or_expire(const struct flow_key *key)
{
    __u32 place = flow_look_up(key);
    struct flow_entry *entry = flow_at(place);

    if (!entry)
        return;
    if (flow_state(entry) == FLOW_ESTABLISHED) {
        *(volatile __u32 *)&entry->last_seen = flow_now();
        *(volatile __u8 *)&entry->state = FLOW_DEAD;
        return;
    }
    bool was_there = !(*(volatile __u32 *)&entry->next & FLOW_LINK_GONE);
    if (was_there && flow_expire(place, flow_now()))
        n_gone++;
}

static void *churn(void *context)
{
    uintptr_t number = (uintptr_t)context;
    uint32_t random = 0x9e3779b9u * (uint32_t)(number + 1);

    native = shared_world;
    while (!is_over) {
        random ^= random << 13, random ^= random >> 17, random ^= random << 5;
        const struct flow_key *key = &keys[N_LASTING + random % (N_KEYS - N_LASTING)];
        const struct flow_entry *entry = flow_at(flow_look_up(&keys[random % N_LASTING]));

        if (!entry || flow_state(entry) != FLOW_ESTABLISHED)
            n_missed++;
        if (random >> 16 & 1)
            n_linked += put(key);
        else
            end_or_expire(key);
        if (++steps[number] % 64 == 0) /* Here it holds nothing. */
            sched_yield();
    }
    return NULL;
}

/* Time goes on when every thread has been seen to hold nothing: in the kernel a program runs for far less than a tick. */
static void let_all_step(void)
{
    uint64_t before[N_THREADS];

    for (int i = 0; i < N_THREADS; i++)
        before[i] = steps[i];
    for (int i = 0; i < N_THREADS; i++)
        while (steps[i] < before[i] + 2)
            sched_yield();
}

/* How many entries the chains lead to; none of a key twice, but for what is on its way out. */
static uint64_t walk(void)
{
    uint64_t n = 0;

    for (__u32 chain = 0; chain < N_CHAINS; chain++) {
        __u32 pair = chain >> 1, link = ((struct flow_heads *)map_lookup(flow_heads, &pair))->head[chain & 1], length = 0;
        bool is_known[N_KEYS] = {false};

        for (struct flow_entry *entry; (entry = flow_at((link & ~FLOW_LINK_GONE) - 1)); link = entry->next) {
            assert_true(++length <= N_KEYS + N_THREADS);
            assert_true(native_is_connection(entry));
            assert_int_equal(flow_hash_of(&entry->key, settings_get()->hash_seed) & (N_PLACES - 1), chain);
            if (entry->next & FLOW_LINK_GONE)
                continue;
            n++;
            for (int i = 0; i < N_KEYS; i++)
                if (flow_key_equal(&entry->key, &keys[i])) {
                    assert_false(is_known[i]);
                    is_known[i] = true;
                }
        }
    }
    return n;
}

static void who_is_there_is_found_whatever_happens_around_it(void **state)
{
    struct pipeline *world;
    pthread_t threads[N_THREADS];

    assert_int_equal(pipeline_new(&(struct pipeline_sizes){16, 16, 16, N_PLACES, 16}, &world), 0);
    fixture_fill(world);
    native = shared_world = &world->native;
    choose_keys();
    for (int i = 0; i < N_LASTING; i++)
        assert_true(put(&keys[i]));
    for (uintptr_t i = 0; i < N_THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, churn, (void *)i), 0);
    for (uint32_t i = 0; i < N_TICKS; i++) {
        let_all_step();
        __atomic_fetch_add(&shared_world->now_ns, 1ull << FLOW_TIME_SHIFT, __ATOMIC_SEQ_CST);
    }
    is_over = true;
    for (int i = 0; i < N_THREADS; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(n_missed, 0);
    assert_true(n_linked > 100 && n_gone > 100); /* They were at work. */
    assert_int_equal(walk(), N_LASTING + n_linked - n_gone);
    print_message("%llu came, %llu went\n", (unsigned long long)n_linked, (unsigned long long)n_gone);

    for (int i = N_LASTING; i < N_KEYS; i++) { /* And what is left of them goes, too. */
        end_or_expire(&keys[i]);
        world->native.now_ns += 2 * FLOW_DEAD_TIME << FLOW_TIME_SHIFT;
        end_or_expire(&keys[i]);
        assert_int_equal(flow_look_up(&keys[i]), FLOW_NONE);
    }
    assert_int_equal(walk(), N_LASTING);
    native = NULL;
    pipeline_free(world);
}

/* A place that is out has its time, which wraps: it would not rest for 26 days of 52. */
static void what_is_out_is_free_a_round_later(void **state)
{
    say(1, "A>M ip 10.0.0.1>10.0.0.101 udp 1000>80 +9");
    expect_verdict(PIPELINE_TUNNELLED);
    all_connections_end();
    pipeline_advance(pipeline, pipeline->native.now_ns + 60 * 1000000000ull);
    for (uint32_t place = 0; place < FIXTURE_FLOW_SLOTS; place++)
        assert_int_equal(pipeline_places(pipeline)[place].state, FLOW_FREE);
}

/* In a round that meets nobody else: the sweeper must not rest after it. */
static void who_begins_behind_the_sweepers_back_ends_all_the_same(void **state)
{
    const uint32_t zero = 0;

    say(1, "A>M ip 10.0.0.1>10.0.0.101 udp 1000>80 +9");
    all_connections_end();
    struct sweeper *record = pipeline_lookup(pipeline, "sweeper", &zero);
    record->version = SWEEP_VERSION; /* As it is for as long as a round of a large table takes. */
    record->timer[0] = pipeline->native.now_ns + SWEEP_TICK_NS;
    record->hand = SWEEP_STRETCH;
    record->n_seen = 0;
    record->next = 0;
    say(1, "A>M ip 10.0.0.1>10.0.0.101 udp 1002>80 +9");
    expect_verdict(PIPELINE_TUNNELLED);
    assert_int_equal(n_entries("connections"), 1);
    assert_true(native_is_connection(&pipeline_places(pipeline)[0]));
    pipeline_advance(pipeline, pipeline->native.now_ns + 600 * 1000000000ull);
    assert_int_equal(n_entries("connections"), 0);
    assert_int_equal(record->version, 0);
}

/* ---- the release before ---------------------------------------------------------------------------------------------------- */

static struct former_entry *former_of(const struct flow_key *key)
{
    return pipeline_lookup(pipeline, "former_connections", key);
}

/* What this release knows of a connection, the one before would know like this. */
static void make_former(void *key, void *value, void *context)
{
    const struct flow_entry *entry = value;
    struct former_entry former = {
        .layout = FORMER_LAYOUT, .state = entry->state, .flags = entry->flags, .stamp = entry->stamp, .output = entry->output,
        .last_seen = entry->last_seen, .output_generation = entry->output_generation, .packets = {entry->packets[0], entry->packets[1]},
        .bytes = {entry->bytes[0], entry->bytes[1]}, .generation = entry->generation, .account = entry->account, .router_port = entry->router_port,
        .hops = entry->hops, .scales = entry->scales, .window = {entry->window[0], entry->window[1]}, .router_generation = entry->router_generation,
        .sequence_end = {entry->sequence_end[0], entry->sequence_end[1]},
    };

    memcpy(former.remote_mac, entry->remote_mac, 6);
    memcpy(former.next_mac, entry->next_mac, 6);
    memcpy(former.names, entry->local, sizeof(former.names));
    assert_int_equal(pipeline_update(pipeline, "former_connections", key, &former), 0);
}

static void only_the_release_before_knows_them(void)
{
    pipeline_visit(pipeline, "connections", make_former, NULL);
    pipeline_clear(pipeline, "connections");
}

static void end_former(void *key, void *value, void *context)
{
    struct flow_key copy = *(struct flow_key *)key;

    native = &pipeline->native;
    assert_true(former_end(&copy));
    native = NULL;
}

static struct project_record *project(void)
{
    const uint32_t number = 7;

    return pipeline_lookup(pipeline, "projects", &number);
}

static void keep_key(void *key, void *value, void *context)
{
    *(struct flow_key *)context = *(struct flow_key *)key;
}

/* A may call, and nobody may call A: what comes back is let in only for its connection's sake. */
static struct flow_key a_calls_m(void)
{
    const struct rule all = {.flags = RULE_IPV4};
    struct flow_key key = {0};

    fixture_rules(pipeline, 10, &all, 1);
    fixture_rules(pipeline, 11, &all, 0);
    fixture_policy(pipeline, 1, 10, 11);
    say(1, "A>M ip 10.0.0.1>10.0.0.101 tcp 1000>80 S seq=1");
    expect_verdict(PIPELINE_TUNNELLED);
    say(TUNNEL, "outer 192.0.2.2>192.0.2.1 7 0 M>A ip 10.0.0.101>10.0.0.1 tcp 80>1000 SA seq=9 ack=2");
    expect_verdict(PIPELINE_DELIVERED);
    say(1, "A>M ip 10.0.0.1>10.0.0.101 tcp 1000>80 A seq=2 ack=10");
    expect_verdict(PIPELINE_TUNNELLED);
    assert_int_equal(n_entries("connections"), 1);
    pipeline_visit(pipeline, "connections", keep_key, &key);
    return key;
}

static void a_connection_goes_on_from_where_the_release_before_had_it(void **state)
{
    struct flow_key key = a_calls_m();

    assert_int_equal(project()->n_established, 1);
    only_the_release_before_knows_them();
    former_of(&key)->packets[0] = 5000000000ull;
    former_of(&key)->sequence_end[0] -= 1u << 30; /* Its programs have not seen all that was sent since. */

    say(TUNNEL, "outer 192.0.2.2>192.0.2.1 7 0 M>A ip 10.0.0.101>10.0.0.1 tcp 80>1000 A seq=10 ack=2 +100");
    expect_verdict(PIPELINE_DELIVERED);
    const struct flow_entry *entry = pipeline_lookup(pipeline, "connections", &key);
    assert_non_null(entry);
    assert_int_equal(entry->state, FLOW_ESTABLISHED);
    assert_int_equal(entry->packets[0], 5000000000ull);
    assert_int_equal(project()->n_established, 2); /* In each release's table. */
    say(1, "A>M ip 10.0.0.1>10.0.0.101 tcp 1000>80 A seq=2 ack=110");
    expect_verdict(PIPELINE_TUNNELLED);

    pipeline_visit(pipeline, "former_connections", end_former, NULL);
    assert_int_equal(n_entries("former_connections"), 0);
    assert_int_equal(n_entries("connections"), 1);
    assert_int_equal(project()->n_established, 1);
    assert_int_equal(project()->n_half_open, 0);
    say(TUNNEL, "outer 192.0.2.2>192.0.2.1 7 0 M>A ip 10.0.0.101>10.0.0.1 tcp 80>1000 A seq=110 ack=2 +100");
    expect_verdict(PIPELINE_DELIVERED);
}

static void what_nobody_looked_for_is_taken_over_at_the_end(void **state)
{
    struct flow_key key = a_calls_m();

    only_the_release_before_knows_them();
    pipeline_visit(pipeline, "former_connections", end_former, NULL);
    assert_int_equal(n_entries("former_connections"), 0);
    assert_non_null(pipeline_lookup(pipeline, "connections", &key));
    assert_int_equal(project()->n_established, 1);
    say(TUNNEL, "outer 192.0.2.2>192.0.2.1 7 0 M>A ip 10.0.0.101>10.0.0.1 tcp 80>1000 A seq=10 ack=2 +100");
    expect_verdict(PIPELINE_DELIVERED);
}

static void who_is_dead_there_comes_to_nothing_here(void **state)
{
    struct flow_key key = a_calls_m();

    only_the_release_before_knows_them();
    former_of(&key)->state = FLOW_DEAD;
    say(TUNNEL, "outer 192.0.2.2>192.0.2.1 7 0 M>A ip 10.0.0.101>10.0.0.1 tcp 80>1000 A seq=10 ack=2 +100");
    expect_drop(DROP_policy_ingress);
    pipeline_visit(pipeline, "former_connections", end_former, NULL);
    assert_int_equal(n_entries("connections"), 0);
    assert_int_equal(project()->n_established, 0);
}

/* Neither for its next packet, nor when the rest is taken over. */
static void what_has_ended_here_does_not_come_back(void **state)
{
    struct flow_key key = a_calls_m();

    only_the_release_before_knows_them();
    say(TUNNEL, "outer 192.0.2.2>192.0.2.1 7 0 M>A ip 10.0.0.101>10.0.0.1 tcp 80>1000 A seq=10 ack=2 +100");
    expect_verdict(PIPELINE_DELIVERED);
    native = &pipeline->native;
    flow_end(flow_get(&key));
    pipeline->native.now_ns += 2ull * FLOW_DEAD_TIME << FLOW_TIME_SHIFT;
    assert_true(flow_expire(flow_look_up(&key), flow_now()));
    native = NULL;

    say(TUNNEL, "outer 192.0.2.2>192.0.2.1 7 0 M>A ip 10.0.0.101>10.0.0.1 tcp 80>1000 A seq=110 ack=2 +100");
    expect_drop(DROP_policy_ingress);
    pipeline_visit(pipeline, "former_connections", end_former, NULL);
    assert_int_equal(n_entries("connections"), 0);
    assert_int_equal(project()->n_established, 0);
}

/* A port whose program is the other release's sends, and nobody answers. */
static void what_the_release_before_still_sees_does_not_end_by_silence(void **state)
{
    struct flow_key key = a_calls_m();
    struct flow_entry *entry = pipeline_lookup(pipeline, "connections", &key);

    pipeline_visit(pipeline, "connections", make_former, NULL);
    native = &pipeline->native;
    __u32 timeout = flow_timeout(entry);
    pipeline->native.now_ns += (__u64)(timeout + 5) << FLOW_TIME_SHIFT;
    former_of(&key)->last_seen = flow_now() - 5;
    sweep_alive(entry, flow_now());
    assert_int_equal(entry->state, FLOW_ESTABLISHED);
    pipeline->native.now_ns += (__u64)timeout << FLOW_TIME_SHIFT;
    sweep_alive(entry, flow_now());
    assert_int_equal(entry->state, FLOW_DEAD);
    native = NULL;
}

/* One CPU had it for itself for a moment there, when another one made an entry of it here. */
static void who_was_taken_there_can_end_here(void **state)
{
    struct flow_key key = a_calls_m();

    only_the_release_before_knows_them();
    former_of(&key)->account |= FLOW_TAKEN;
    native = &pipeline->native;
    flow_end(flow_get(&key));
    pipeline->native.now_ns += 2ull * FLOW_DEAD_TIME << FLOW_TIME_SHIFT;
    assert_true(flow_expire(flow_look_up(&key), flow_now()));
    native = NULL;
}

/* SNAT's name outside goes on with the connection, and goes with it once. */
static void a_name_outside_goes_on(void **state)
{
    struct flow_key key = {0};

    say(1, "A>R ip 10.0.0.1>192.0.2.200 udp 2000>53 +9");
    expect_verdict(PIPELINE_OUTSIDE);
    uint16_t port = chosen_port();
    pipeline_visit(pipeline, "connections", keep_key, &key);
    only_the_release_before_knows_them();

    say(OUTSIDE, frame_text("x>u ip 192.0.2.200>203.0.113.10 udp 53>%u +9", port));
    expect_port(1, "R>A ip 192.0.2.200>10.0.0.1 ttl=63 udp 53>2000 +9");
    assert_false(former_of(&key)->flags & FLOW_ALIASED);
    assert_int_equal(names_of(5), 1);
    pipeline_visit(pipeline, "former_connections", end_former, NULL);
    assert_int_equal(names_of(5), 1);
    all_connections_end();
    assert_int_equal(n_entries("aliases"), 0);
    assert_int_equal(names_of(5), 0);
}

static void a_dead_ones_name_is_free(void **state)
{
    struct flow_key key = {0};

    say(1, "A>R ip 10.0.0.1>192.0.2.200 udp 2000>53 +9");
    expect_verdict(PIPELINE_OUTSIDE);
    pipeline_visit(pipeline, "connections", keep_key, &key);
    only_the_release_before_knows_them();
    former_of(&key)->state = FLOW_DEAD;
    pipeline_visit(pipeline, "former_connections", end_former, NULL);
    assert_int_equal(n_entries("aliases"), 0);
    assert_int_equal(names_of(5), 0);
    assert_int_equal(project()->n_half_open + project()->n_established, 0);
}

/* This release, the one before, this one again: what it had is old. */
static void who_was_at_work_last_knows_better(void **state)
{
    struct flow_key key = a_calls_m();
    struct flow_entry *entry = pipeline_lookup(pipeline, "connections", &key);

    pipeline_visit(pipeline, "connections", make_former, NULL);
    former_of(&key)->packets[0] = 77;
    native = &pipeline->native;
    assert_false(former_renew(&key)); /* No newer than this. */
    former_of(&key)->last_seen = entry->last_seen - 5;
    assert_false(former_renew(&key));
    pipeline->native.now_ns += 10ull << FLOW_TIME_SHIFT;
    former_of(&key)->last_seen = entry->last_seen + 5;
    former_of(&key)->state = FLOW_HALF_CLOSED;
    assert_true(former_renew(&key));
    native = NULL;
    assert_int_equal(entry->packets[0], 77);
    assert_int_equal(entry->state, FLOW_HALF_CLOSED);
    assert_int_equal(project()->n_established, 1);
    pipeline_visit(pipeline, "former_connections", end_former, NULL);
    assert_int_equal(project()->n_established, 0); /* Each had counted for itself: here the test had it counted once. */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_is_there_is_found_whatever_happens_around_it),
        cmocka_unit_test_setup_teardown(who_begins_behind_the_sweepers_back_ends_all_the_same, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_is_out_is_free_a_round_later, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_connection_goes_on_from_where_the_release_before_had_it, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_nobody_looked_for_is_taken_over_at_the_end, set_up, tear_down),
        cmocka_unit_test_setup_teardown(who_is_dead_there_comes_to_nothing_here, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_has_ended_here_does_not_come_back, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_the_release_before_still_sees_does_not_end_by_silence, set_up, tear_down),
        cmocka_unit_test_setup_teardown(who_was_taken_there_can_end_here, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_name_outside_goes_on, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_dead_ones_name_is_free, set_up, tear_down),
        cmocka_unit_test_setup_teardown(who_was_at_work_last_knows_better, set_up, tear_down),
    };

    return cmocka_run_group_tests_name("connections", tests, NULL, NULL);
}
