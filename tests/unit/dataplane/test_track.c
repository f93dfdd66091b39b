/* Tracking of TCP at a port with security groups: its states one by one, and two naive endpoints over a bad network, with reuse, crashes
 * and an attacker, that know nothing of the tracker's rules.
 *
 *     A, port 1 (policy) ---- pipeline ---- network that loses, repeats, reorders ---- B, port 2 (no policy)
 *
 * What A sends and what arrives from B must pass when it is the connection's; what an attacker guesses must not, and must do no harm. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "fixture.h"
#include "weft/base/util.h"

#define SECOND 1000000000ull
#define OUT_SET 10u
#define IN_SET 11u

/* ---- helpers ------------------------------------------------------------------------------------------------------------------------ */

static enum drop_reason run(struct pipeline *pipeline, bool from_b, const char *l4)
{
    struct frame frame;
    struct pipeline_result result;
    enum drop_reason reason;
    char text[200];

    snprintf(text, sizeof(text), "%s %s", from_b ? "B>A ip 10.0.0.2>10.0.0.1 tcp 80>1000" : "A>B ip 10.0.0.1>10.0.0.2 tcp 1000>80", l4);
    frame_parse(text, &frame);
    struct pipeline_frame input = {.bytes = frame.bytes, .size = frame.size, .ifindex = from_b ? 102 : 101};
    assert_int_equal(pipeline_run(pipeline, PIPELINE_FROM_WORKLOAD, &input, &result), 0);
    reason = result.reason;
    pipeline_result_clear(&result);
    return reason;
}

static struct pipeline *world(bool may_come_in)
{
    const struct rule all = {.flags = RULE_IPV4};
    struct pipeline *pipeline = fixture_new();

    fixture_rules(pipeline, OUT_SET, &all, 1);
    fixture_rules(pipeline, IN_SET, &all, may_come_in ? 1 : 0);
    fixture_policy(pipeline, 1, OUT_SET, IN_SET);
    return pipeline;
}

static void find_of_a(void *key, void *value, void *context)
{
    if ((((struct flow_key *)key)->owner & (FLOW_KEY_IPV6 - 1)) == 1)
        *(struct flow_entry **)context = value;
}

static struct flow_entry *entry_of_a(struct pipeline *pipeline)
{
    struct flow_entry *entry = NULL;

    pipeline_visit(pipeline, "connections", find_of_a, &entry);
    return entry;
}

/* One line of a story: who, what, what becomes of it and the connection's state afterwards. */
struct line {
    char from;
    const char *segment;
    enum drop_reason reason;
    int state;
};

static void play(struct pipeline *pipeline, const struct line *lines, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        enum drop_reason reason = run(pipeline, lines[i].from == 'B', lines[i].segment);
        const struct flow_entry *entry = entry_of_a(pipeline);

        if (reason != lines[i].reason)
            fail_msg("line %zu, %c: '%s' has reason %d, not %d", i, lines[i].from, lines[i].segment, reason, lines[i].reason);
        if (lines[i].state >= 0 && (!entry || entry->state != lines[i].state))
            fail_msg("line %zu, %c: '%s' leaves state %d, not %d", i, lines[i].from, lines[i].segment, entry ? entry->state : -1, lines[i].state);
    }
}

#define STORY(may_come_in, ...)                                                                              \
    do {                                                                                                     \
        const struct line lines_[] = {__VA_ARGS__};                                                          \
        struct pipeline *pipeline_ = world(may_come_in);                                                     \
        play(pipeline_, lines_, ARRAY_SIZE(lines_));                                                         \
        pipeline_free(pipeline_);                                                                            \
    } while (0)

#define HANDSHAKE                                                                                            \
    {'A', "S seq=1000 win=64000 wscale=7", DROP_NONE, FLOW_HALF_OPEN},                                       \
    {'B', "SA seq=5000 ack=1001 win=64000 wscale=7", DROP_NONE, FLOW_HALF_OPEN},                             \
    {'A', "A seq=1001 ack=5001 win=500", DROP_NONE, FLOW_ESTABLISHED}
#define BAD DROP_tcp_window

/* ---- stories -------------------------------------------------------------------------------------------------------------------------- */

static void a_connection_opens_and_closes(void **state)
{
    STORY(false, HANDSHAKE,
          {'A', "A seq=1001 ack=5001 win=500 +100", DROP_NONE, FLOW_ESTABLISHED},
          {'B', "A seq=5001 ack=1101 win=500 +1000", DROP_NONE, FLOW_ESTABLISHED},
          {'A', "FA seq=1101 ack=6001 win=500", DROP_NONE, FLOW_HALF_CLOSED},
          {'B', "A seq=6001 ack=1102 win=500 +1000", DROP_NONE, FLOW_HALF_CLOSED},
          {'B', "FA seq=7001 ack=1102 win=500", DROP_NONE, FLOW_CLOSING},
          {'A', "A seq=1102 ack=7002 win=500", DROP_NONE, FLOW_TIME_WAIT},
          {'B', "FA seq=7001 ack=1102 win=500", DROP_NONE, FLOW_TIME_WAIT}, /* Its ACK was lost. */
          {'A', "A seq=1102 ack=7002 win=500", DROP_NONE, FLOW_TIME_WAIT});
}

static void both_open_and_close_at_once(void **state)
{
    STORY(false, {'A', "S seq=1000 wscale=2", DROP_NONE, FLOW_HALF_OPEN}, {'B', "S seq=5000 wscale=2", DROP_NONE, FLOW_HALF_OPEN},
          {'A', "SA seq=1000 ack=5001 wscale=2", DROP_NONE, FLOW_HALF_OPEN}, {'B', "SA seq=5000 ack=1001 wscale=2", DROP_NONE, FLOW_HALF_OPEN},
          {'A', "A seq=1001 ack=5001", DROP_NONE, FLOW_ESTABLISHED}, {'A', "FA seq=1001 ack=5001", DROP_NONE, FLOW_HALF_CLOSED},
          {'B', "FA seq=5001 ack=1001", DROP_NONE, FLOW_CLOSING}, {'A', "A seq=1002 ack=5002", DROP_NONE, FLOW_CLOSING},
          {'B', "A seq=5002 ack=1002", DROP_NONE, FLOW_TIME_WAIT});
}

static void an_answer_must_be_one(void **state)
{
    STORY(false, {'B', "SA seq=5000 ack=1001", DROP_policy_ingress, -1}, {'A', "S seq=1000", DROP_NONE, FLOW_HALF_OPEN},
          {'B', "SA seq=5000 ack=1002", BAD, FLOW_HALF_OPEN}, {'B', "SA seq=5000 ack=999999", BAD, FLOW_HALF_OPEN},
          {'B', "R seq=0", BAD, FLOW_HALF_OPEN}, {'B', "RA seq=0 ack=99999", BAD, FLOW_HALF_OPEN}, {'A', "A seq=1001 ack=5001", BAD, FLOW_HALF_OPEN},
          {'B', "A seq=5001 ack=1001 +10", BAD, FLOW_HALF_OPEN}, {'B', "RA seq=0 ack=1001", DROP_NONE, FLOW_RESET});
    STORY(false, {'A', "S seq=1000 +500", DROP_NONE, FLOW_HALF_OPEN}, {'B', "SA seq=5000 ack=1001", DROP_NONE, FLOW_HALF_OPEN}, /* RFC 7413 */
          {'A', "A seq=1001 ack=5001 +500", DROP_NONE, FLOW_ESTABLISHED});
}

static void flags_that_make_no_sense_are_refused(void **state)
{
    STORY(false, {'A', "SF seq=1000", BAD, -1}, {'A', "SR seq=1000", BAD, -1}, {'A', "- seq=1000", BAD, -1}, {'A', "F seq=1000", BAD, -1},
          {'A', "SA seq=1000", BAD, -1}, HANDSHAKE, {'A', "RF seq=1001", BAD, FLOW_ESTABLISHED}, {'A', "- seq=1001 +5", BAD, FLOW_ESTABLISHED});
}

static void windows_are_kept(void **state)
{
    /* 500 << 7 are 64,000 bytes. */
    STORY(false, HANDSHAKE, {'B', "A seq=69001 ack=1001 +1", BAD, FLOW_ESTABLISHED}, {'B', "A seq=69000 ack=1001 win=500 +1", DROP_NONE, FLOW_ESTABLISHED},
          {'B', "A seq=4999 ack=1001", BAD, FLOW_ESTABLISHED},  /* 64,002 behind. */
          {'B', "A seq=5002 ack=1001", DROP_NONE, FLOW_ESTABLISHED},
          {'B', "A seq=69001 ack=1002", BAD, FLOW_ESTABLISHED}, /* Of what was not sent. */
          {'A', "A seq=1001 ack=3000 win=500", BAD, FLOW_ESTABLISHED},  /* 66,001 behind. */
          {'A', "A seq=1001 ack=69002", BAD, FLOW_ESTABLISHED}, {'A', "A seq=1001 ack=69001 win=600", DROP_NONE, FLOW_ESTABLISHED},
          {'B', "A seq=145800 ack=1001 +1", DROP_NONE, FLOW_ESTABLISHED}); /* 600 << 7 by now. */
}

/* By BSD's stacks; the FIN may be lost before it comes here, and what is without data has its number then. */
static void a_fin_may_be_sent_behind_a_full_window(void **state)
{
    STORY(false, HANDSHAKE, {'B', "FA seq=69002 ack=1001", BAD, FLOW_ESTABLISHED}, {'B', "A seq=69003 ack=1001", BAD, FLOW_ESTABLISHED},
          {'B', "R seq=69002", BAD, FLOW_ESTABLISHED}, {'B', "A seq=69002 ack=1001", DROP_NONE, FLOW_ESTABLISHED});
    STORY(false, HANDSHAKE, {'B', "FA seq=69000 ack=1001 +2", BAD, FLOW_ESTABLISHED}, {'B', "FA seq=69000 ack=1001 +1", DROP_NONE, FLOW_HALF_CLOSED},
          {'A', "A seq=1001 ack=69002 win=500", DROP_NONE, FLOW_HALF_CLOSED});
}

static void without_the_option_nothing_is_scaled(void **state)
{
    STORY(false, {'A', "S seq=1000 win=8000 wscale=7", DROP_NONE, FLOW_HALF_OPEN}, {'B', "SA seq=5000 ack=1001 win=8000", DROP_NONE, FLOW_HALF_OPEN},
          {'A', "A seq=1001 ack=5001 win=8000", DROP_NONE, FLOW_ESTABLISHED}, {'B', "A seq=13001 ack=1001 +1", BAD, FLOW_ESTABLISHED},
          {'B', "A seq=13000 ack=1001 +1", DROP_NONE, FLOW_ESTABLISHED});
}

static void sequence_numbers_go_round(void **state)
{
    STORY(false, {'A', "S seq=0xffffffff", DROP_NONE, FLOW_HALF_OPEN}, {'B', "SA seq=0xfffffffe ack=0", DROP_NONE, FLOW_HALF_OPEN},
          {'A', "A seq=0 ack=0xffffffff +100", DROP_NONE, FLOW_ESTABLISHED}, {'B', "A seq=0xffffffff ack=100 +100", DROP_NONE, FLOW_ESTABLISHED},
          {'A', "A seq=100 ack=99 +100", DROP_NONE, FLOW_ESTABLISHED}, {'B', "R seq=0x80000000", BAD, FLOW_ESTABLISHED});
}

static void only_the_expected_reset_ends_it(void **state)
{
    STORY(false, HANDSHAKE, {'B', "R seq=99999", BAD, FLOW_ESTABLISHED}, {'B', "R seq=5100", DROP_NONE, FLOW_ESTABLISHED},
          {'B', "A seq=5001 ack=1001 +10", DROP_NONE, FLOW_ESTABLISHED}, {'B', "R seq=5011", DROP_NONE, FLOW_RESET});
    STORY(false, HANDSHAKE, {'A', "RA seq=1001 ack=5001", DROP_NONE, FLOW_RESET});
}

static void a_reset_in_the_window_shortens_what_is_silent(void **state)
{
    struct pipeline *pipeline = world(false);
    const struct line lines[] = {HANDSHAKE, {'B', "R seq=5100", DROP_NONE, FLOW_ESTABLISHED}};

    play(pipeline, lines, ARRAY_SIZE(lines));
    pipeline_advance(pipeline, 60 * SECOND); /* The fixture's time for what is closing is 10 s. */
    assert_null(entry_of_a(pipeline));
    pipeline_free(pipeline);
}

static void each_state_has_its_time(void **state)
{
    const struct line half_closed[] = {HANDSHAKE, {'A', "FA seq=1001 ack=5001", DROP_NONE, FLOW_HALF_CLOSED}};
    const uint32_t zero = 0;
    struct pipeline *pipeline = world(false);

    ((struct settings *)pipeline_lookup(pipeline, "settings", &zero))->timeout_s[TIMEOUT_TCP_HALF_CLOSED] = 900;
    play(pipeline, half_closed, ARRAY_SIZE(half_closed));
    pipeline_advance(pipeline, 800 * SECOND);
    assert_int_equal(entry_of_a(pipeline)->state, FLOW_HALF_CLOSED);
    pipeline_advance(pipeline, 950 * SECOND);
    assert_null(entry_of_a(pipeline));
    play(pipeline, half_closed, ARRAY_SIZE(half_closed) - 1);
    pipeline_advance(pipeline, 8000 * SECOND);
    assert_int_equal(entry_of_a(pipeline)->state, FLOW_ESTABLISHED);
    assert_int_equal(run(pipeline, true, "R seq=5001"), DROP_NONE);
    pipeline_advance(pipeline, 8050 * SECOND);
    assert_null(entry_of_a(pipeline));
    pipeline_free(pipeline);
}

static void a_syn_in_the_middle_changes_nothing(void **state)
{
    STORY(false, HANDSHAKE, {'B', "S seq=77", DROP_NONE, FLOW_ESTABLISHED}, {'A', "S seq=88888", DROP_NONE, FLOW_ESTABLISHED},
          {'B', "A seq=5001 ack=1001", DROP_NONE, FLOW_ESTABLISHED}, /* The challenge, */
          {'A', "R seq=1001", DROP_NONE, FLOW_RESET},               /* and what becomes of it if A has crashed. */
          {'A', "S seq=88888", DROP_NONE, FLOW_HALF_OPEN}, {'B', "SA seq=9 ack=88889", DROP_NONE, FLOW_HALF_OPEN});
    /* Both have crashed: they agree. */
    STORY(false, HANDSHAKE, {'A', "S seq=8888888", DROP_NONE, FLOW_ESTABLISHED}, {'B', "SA seq=9999999 ack=8888889", DROP_NONE, FLOW_HALF_OPEN},
          {'A', "A seq=8888889 ack=10000000 +10", DROP_NONE, FLOW_ESTABLISHED}, {'B', "A seq=10000000 ack=8888899 +10", DROP_NONE, FLOW_ESTABLISHED});
    /* The server alone cannot make a new one: nobody let it. */
    STORY(false, HANDSHAKE, {'B', "S seq=8888888", DROP_NONE, FLOW_ESTABLISHED}, {'A', "SA seq=9999999 ack=8888889", BAD, FLOW_ESTABLISHED});
}

/* Met in the middle, so that windows are as wide as they may be: what answers the new SYN is not taken for the old connection's. */
static void a_new_connection_begins_in_a_wide_window(void **state)
{
    STORY(false, {'A', "A seq=200000000 ack=5000 win=65535 +10", DROP_NONE, FLOW_HALF_OPEN}, {'B', "A seq=5000 ack=200000010 win=65535 +10", DROP_NONE, FLOW_ESTABLISHED},
          {'A', "S seq=100000000 wscale=3", DROP_NONE, FLOW_ESTABLISHED}, {'B', "SA seq=300000000 ack=100000001 wscale=3", DROP_NONE, FLOW_HALF_OPEN},
          {'A', "A seq=100000001 ack=300000001 +10", DROP_NONE, FLOW_ESTABLISHED}, {'B', "A seq=300000001 ack=100000011 +10", DROP_NONE, FLOW_ESTABLISHED});
}

/* There a segment that strayed in from another connection of the same name must not shut out the one that goes on. */
static void what_was_met_in_the_middle_is_not_shut_out(void **state)
{
    STORY(false, {'A', "A seq=200000000 ack=5000 win=65535 +10", DROP_NONE, FLOW_HALF_OPEN}, {'B', "A seq=5000 ack=200000010 win=65535 +10", DROP_NONE, FLOW_ESTABLISHED},
          {'B', "A seq=1000000000 ack=200000010 win=65535 +10", DROP_NONE, FLOW_ESTABLISHED}, {'B', "A seq=2000000000 ack=200000010 win=65535 +10", DROP_NONE, FLOW_ESTABLISHED},
          {'A', "A seq=200000010 ack=5010 win=65535 +10", DROP_NONE, FLOW_ESTABLISHED}, {'B', "A seq=5010 ack=200000020 win=65535 +10", DROP_NONE, FLOW_ESTABLISHED},
          {'B', "R seq=3000000000", BAD, FLOW_ESTABLISHED}, {'A', "RA seq=200000020 ack=5020", DROP_NONE, FLOW_RESET});
}

static void a_new_connection_begins_at_once(void **state)
{
#define CLOSED                                                                                               \
    HANDSHAKE, {'A', "FA seq=1001 ack=5001", DROP_NONE, -1}, {'B', "FA seq=5001 ack=1002", DROP_NONE, -1},   \
        {'A', "A seq=1002 ack=5002", DROP_NONE, FLOW_TIME_WAIT}
    STORY(false, CLOSED, {'A', "S seq=3", DROP_NONE, FLOW_HALF_OPEN}, {'B', "SA seq=3 ack=4", DROP_NONE, FLOW_HALF_OPEN},
          {'A', "A seq=4 ack=4", DROP_NONE, FLOW_ESTABLISHED});
    STORY(false, HANDSHAKE, {'A', "FA seq=1001 ack=5001", DROP_NONE, -1}, {'B', "FA seq=5001 ack=1001", DROP_NONE, FLOW_CLOSING},
          {'A', "S seq=3", DROP_NONE, FLOW_HALF_OPEN});
    STORY(false, HANDSHAKE, {'A', "R seq=1001", DROP_NONE, FLOW_RESET}, {'A', "S seq=3", DROP_NONE, FLOW_HALF_OPEN});
    /* From the other side it is another connection, which policy must allow. */
    STORY(false, CLOSED, {'B', "S seq=3", DROP_policy_ingress, FLOW_TIME_WAIT});
    STORY(true, CLOSED, {'B', "S seq=3", DROP_NONE, FLOW_HALF_OPEN}, {'A', "SA seq=3 ack=4", DROP_NONE, FLOW_HALF_OPEN},
          {'B', "A seq=4 ack=4", DROP_NONE, FLOW_ESTABLISHED});
}

static void a_running_connection_is_picked_up(void **state)
{
    STORY(false, {'B', "A seq=5001 ack=1001 +10", DROP_policy_ingress, -1}, {'A', "A seq=1001 ack=5001 win=500 +10", DROP_NONE, FLOW_HALF_OPEN},
          {'B', "A seq=500000 ack=1011 win=500 +10", DROP_NONE, FLOW_ESTABLISHED}, {'A', "A seq=1011 ack=500010 +10", DROP_NONE, FLOW_ESTABLISHED},
          {'B', "R seq=0xf0000000", BAD, FLOW_ESTABLISHED}, {'B', "S seq=0xf0000000", DROP_NONE, FLOW_ESTABLISHED});
    STORY(false, {'A', "R seq=7", DROP_NONE, -1}, {'B', "A seq=1 ack=7", DROP_policy_ingress, -1}); /* A reset begins nothing. */
}

static void large_frames_count_whole(void **state)
{
    struct pipeline *pipeline = world(false);
    struct pipeline_result result;
    struct frame frame;
    const struct line lines[] = {HANDSHAKE};

    play(pipeline, lines, ARRAY_SIZE(lines));
    frame_parse("A>B ip 10.0.0.1>10.0.0.2 tcp 1000>80 A seq=1001 ack=5001 win=500 +2800", &frame);
    struct pipeline_frame input = {.bytes = frame.bytes, .size = frame.size, .ifindex = 101, .gso_size = 1400, .gso_segs = 2, .gso_tcp = true};
    assert_int_equal(pipeline_run(pipeline, PIPELINE_FROM_WORKLOAD, &input, &result), 0);
    pipeline_result_clear(&result);
    assert_int_equal(entry_of_a(pipeline)->sequence_end[0], 3801);
    memset(frame.bytes + 16, 0, 2); /* More than 64 KiB say nothing. */
    frame.bytes[38 + 3] = 0xff;
    assert_int_equal(pipeline_run(pipeline, PIPELINE_FROM_WORKLOAD, &input, &result), 0);
    assert_int_equal(result.reason, DROP_NONE);
    pipeline_result_clear(&result);
    pipeline_free(pipeline);
}

static void what_is_over_goes_soon(void **state)
{
    struct pipeline *pipeline = world(false);
    const struct line lines[] = {CLOSED};
    const uint32_t index = 7, zero = 0;
    const struct project_record *project = pipeline_lookup(pipeline, "projects", &index);

    ((struct settings *)pipeline_lookup(pipeline, "settings", &zero))->timeout_s[TIMEOUT_TCP_CLOSING] = 120;
    play(pipeline, lines, ARRAY_SIZE(lines));
    assert_int_equal(project->n_established, 2); /* With B's own. */
    pipeline_advance(pipeline, 5 * SECOND);
    assert_non_null(entry_of_a(pipeline));
    pipeline_advance(pipeline, 30 * SECOND);
    assert_null(entry_of_a(pipeline));
    assert_int_equal(project->n_established, 1);
    pipeline_free(pipeline);
}

static void both_sides_may_ask_for_an_echo(void **state)
{
    static const char *const asks = "A>B ip 10.0.0.1>10.0.0.2 icmp 8 1", *const answers = "A>B ip 10.0.0.1>10.0.0.2 icmp 0 1";
    static const char *const asks_back = "B>A ip 10.0.0.2>10.0.0.1 icmp 8 1", *const answers_back = "B>A ip 10.0.0.2>10.0.0.1 icmp 0 1";

    for (int may_come_in = 0; may_come_in < 2; may_come_in++) {
        struct pipeline *pipeline = world(may_come_in);
        const struct {
            const char *text;
            enum drop_reason reason;
        } lines[] = {{asks, DROP_NONE}, {answers, DROP_policy_egress}, {answers_back, DROP_NONE},
                     {asks_back, may_come_in ? DROP_NONE : DROP_policy_ingress}, {answers, may_come_in ? DROP_NONE : DROP_policy_egress},
                     {asks, DROP_NONE}, {answers_back, DROP_NONE}};
        for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
            struct frame frame;
            struct pipeline_result result;
            frame_parse(lines[i].text, &frame);
            struct pipeline_frame input = {.bytes = frame.bytes, .size = frame.size, .ifindex = lines[i].text[0] == 'A' ? 101 : 102};
            assert_int_equal(pipeline_run(pipeline, PIPELINE_FROM_WORKLOAD, &input, &result), 0);
            assert_int_equal(result.reason, lines[i].reason);
            pipeline_result_clear(&result);
        }
        pipeline_free(pipeline);
    }
}

/* ---- two endpoints and a bad network --------------------------------------------------------------------------------------------------- */

static uint64_t random_state, seed;

static uint32_t below(uint32_t bound)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (uint32_t)(random_state >> 16) % bound;
}

static bool chance(uint32_t percent)
{
    return below(100) < percent;
}

enum { SYN = 1, ACK = 2, FIN = 4, RST = 8 };
enum model_state { CLOSED_, SYN_SENT, SYN_RECEIVED, OPEN };

struct packet {
    unsigned flags;
    uint32_t seq, ack, size;
    uint16_t window;
    int scale; /* -1: no option */
    unsigned connection; /* Which connection its sender is in. */
};

struct host {
    enum model_state state;
    uint32_t una, nxt, rcv;   /* First not acknowledged, next to send, next to receive. */
    uint32_t buffer;          /* Its receive window, */
    int scale;                /* announced with this shift; -1: not offered. */
    bool scaled;              /* Both offered. */
    int peer_scale;
    uint32_t peer_window;
    bool fin_sent, fin_received;
    unsigned connection;
    unsigned peer;            /* Which one the other side says to be in. */
    unsigned accepted;        /* The last one that a SYN of A's began. */
};

#define QUEUE 12
struct sim {
    struct pipeline *pipeline;
    struct host a, b;
    struct packet to_a[QUEUE], to_b[QUEUE];
    unsigned n_to_a, n_to_b;
    unsigned n_connections;
    /* Of the connection that A is in, what the tracker may know: */
    uint32_t end_a, end_b, window_a, window_b;
    bool knows_b;
    unsigned n_passed, n_attacks, n_opened;
};

static int32_t after(uint32_t a, uint32_t b)
{
    return (int32_t)(a - b);
}

static uint16_t announced(const struct host *host, bool syn)
{
    uint32_t window = !syn && host->scaled ? host->buffer >> host->scale : host->buffer;

    return (uint16_t)MIN(window, 65535u);
}

static struct packet make(const struct host *host, unsigned flags, uint32_t seq, uint32_t size)
{
    return (struct packet){.flags = flags, .seq = seq, .ack = flags & ACK ? host->rcv : 0, .size = size, .window = announced(host, flags & SYN),
                           .scale = flags & SYN ? host->scale : -1, .connection = host->connection};
}

static enum drop_reason through(struct sim *sim, bool from_b, const struct packet *p)
{
    char text[160];

    snprintf(text, sizeof(text), "%s%s%s%s%s seq=%u ack=%u win=%u", p->flags & SYN ? "S" : "", p->flags & ACK ? "A" : "", p->flags & FIN ? "F" : "",
             p->flags & RST ? "R" : "", p->flags ? "" : "-", p->seq, p->ack, p->window);
    if (p->scale >= 0)
        snprintf(text + strlen(text), sizeof(text) - strlen(text), " wscale=%d", p->scale);
    snprintf(text + strlen(text), sizeof(text) - strlen(text), " +%u", p->size);
    return run(sim->pipeline, from_b, text);
}

static void describe(const struct sim *sim, const char *what, const struct packet *p, enum drop_reason reason)
{
    const struct flow_entry *entry = entry_of_a(sim->pipeline);

    print_message("seed %llu: %s: flags %x seq %u ack %u size %u window %u scale %d of connection %u, reason %d\n", (unsigned long long)seed, what,
                  p->flags, p->seq, p->ack, p->size, p->window, p->scale, p->connection, reason);
    print_message("  A: state %d una %u nxt %u rcv %u connection %u; B: state %d una %u nxt %u rcv %u connection %u\n", sim->a.state, sim->a.una,
                  sim->a.nxt, sim->a.rcv, sim->a.connection, sim->b.state, sim->b.una, sim->b.nxt, sim->b.rcv, sim->b.connection);
    if (entry)
        print_message("  entry: state %d flags %#x ends %u %u windows %u %u scales %#x\n", entry->state, entry->flags, entry->sequence_end[0],
                      entry->sequence_end[1], entry->window[0], entry->window[1], entry->scales);
    fail();
}

static uint32_t packet_end(const struct packet *p)
{
    return p->seq + p->size + (p->flags & SYN ? 1 : 0) + (p->flags & FIN ? 1 : 0);
}

static void queue(struct packet *list, unsigned *n, const struct packet *p)
{
    if (*n < QUEUE)
        list[(*n)++] = *p; /* Else lost. */
}

static void emit(struct sim *sim, struct host *host, struct packet p)
{
    if (host == &sim->b) {
        if (!chance(10))
            queue(sim->to_a, &sim->n_to_a, &p);
        if (chance(5))
            queue(sim->to_a, &sim->n_to_a, &p);
        return;
    }
    enum drop_reason reason = through(sim, false, &p);
    /* A RST without connection answers what may be old. */
    if (reason && p.flags != RST)
        describe(sim, "A's own segment does not pass", &p, reason);
    if (reason)
        return;
    sim->n_passed++;
    if (!(p.flags & RST)) {
        if (p.flags & SYN || after(packet_end(&p), sim->end_a) > 0)
            sim->end_a = packet_end(&p);
        sim->window_a = MAX(sim->window_a, (uint32_t)p.window << (host->scaled && !(p.flags & SYN) ? host->scale : 0));
    }
    if (!chance(10))
        queue(sim->to_b, &sim->n_to_b, &p);
}

static void open_host(struct sim *sim, struct host *host, bool scales)
{
    *host = (struct host){.state = CLOSED_, .buffer = 2000 + below(chance(50) ? 60000 : 300000), .scale = scales ? (int)below(9) : -1,
                          .connection = host->connection, .accepted = host->accepted};
    host->una = host->nxt = host->connection ? below(UINT32_MAX) : 0u - below(5000); /* The first goes round soon. */
    if (host->scale >= 0 && host->buffer >> host->scale > 65535)
        host->buffer = 65535u << host->scale;
}

static void connect_host(struct sim *sim, struct host *host)
{
    open_host(sim, host, chance(70));
    host->connection = ++sim->n_connections;
    host->state = SYN_SENT;
    if (host == &sim->a) {
        sim->end_a = sim->window_a = sim->window_b = 0;
        sim->knows_b = false;
    }
    struct packet p = make(host, SYN, host->nxt, 0);
    host->nxt++;
    emit(sim, host, p);
}

static void learn_scale(struct host *host, const struct packet *p)
{
    host->scaled = host->scale >= 0 && p->scale >= 0;
    host->peer_scale = host->scaled ? p->scale : 0;
    host->peer_window = p->window;
}

static void take(struct sim *sim, struct host *host, const struct packet *p)
{
    if (host->state == CLOSED_) {
        if (p->flags & RST)
            return;
        if (host == &sim->b && (p->flags & (SYN | ACK)) == SYN) {
            open_host(sim, host, chance(70));
            host->state = SYN_RECEIVED;
            /* A SYN that comes again after a crash begins something that A knows nothing of. */
            host->connection = p->connection <= host->accepted ? ++sim->n_connections : p->connection;
            host->accepted = MAX(host->accepted, p->connection);
            host->rcv = p->seq + 1;
            learn_scale(host, p);
            struct packet answer = make(host, SYN | ACK, host->nxt, 0);
            if (p->scale < 0)
                answer.scale = host->scale = -1;
            host->nxt++;
            emit(sim, host, answer);
            return;
        }
        struct packet reset = p->flags & ACK ? make(host, RST, p->ack, 0) : make(host, RST | ACK, 0, 0);
        if (reset.flags & ACK)
            reset.ack = packet_end(p);
        reset.connection = p->connection;
        if (host == &sim->b) /* A that is closed refuses in its own words below. */
            emit(sim, host, reset);
        else if (p->flags & ACK)
            emit(sim, host, reset);
        return;
    }
    if (host->state == SYN_SENT) {
        if (p->flags & ACK && p->ack != host->nxt) {
            if (!(p->flags & RST)) {
                struct packet reset = make(host, RST, p->ack, 0);
                emit(sim, host, reset);
            }
            return;
        }
        if (p->flags & RST) {
            if (p->flags & ACK)
                host->state = CLOSED_;
            return;
        }
        if ((p->flags & (SYN | ACK)) != (SYN | ACK))
            return;
        host->rcv = p->seq + 1;
        host->una = p->ack;
        host->state = OPEN;
        host->peer = p->connection;
        learn_scale(host, p);
        sim->n_opened++;
        emit(sim, host, make(host, ACK, host->nxt, 0));
        return;
    }
    /* Synchronized. */
    int32_t distance = after(p->seq, host->rcv);
    if (p->flags & RST) {
        if (distance == 0)
            host->state = CLOSED_;
        else if (distance > 0 && (uint32_t)distance < host->buffer)
            emit(sim, host, make(host, ACK, host->nxt, 0));
        return;
    }
    if (p->flags & SYN) {
        if (host->state == SYN_RECEIVED && p->seq + 1 == host->rcv)
            emit(sim, host, make(host, SYN | ACK, host->nxt - 1, 0));
        else
            emit(sim, host, make(host, ACK, host->nxt, 0)); /* A challenge; also the answer to a SYN-ACK that was repeated. */
        return;
    }
    if (!(p->flags & ACK) || distance > (int32_t)host->buffer || distance < -(int32_t)host->buffer)
        return;
    if (after(p->ack, host->nxt) > 0)
        return;
    if (after(p->ack, host->una) >= 0) {
        host->una = p->ack;
        host->peer_window = (uint32_t)p->window << host->peer_scale;
    }
    if (host->state == SYN_RECEIVED)
        host->state = OPEN;
    if (distance <= 0 && after(p->seq + p->size, host->rcv) > 0)
        host->rcv = p->seq + p->size;
    if (p->flags & FIN && p->seq + p->size == host->rcv && !host->fin_received) {
        host->rcv++;
        host->fin_received = true;
    }
    if (p->size || p->flags & FIN || chance(5))
        emit(sim, host, make(host, ACK, host->nxt, 0));
    if (host->fin_sent && host->fin_received && host->una == host->nxt)
        host->state = CLOSED_;
}

/* Something that the endpoint may do now. */
static void act(struct sim *sim, struct host *host)
{
    uint32_t in_flight = host->nxt - host->una, room = host->peer_window > in_flight ? host->peer_window - in_flight : 0;

    switch (host->state) {
    case CLOSED_:
        if (host == &sim->a && chance(30))
            connect_host(sim, host);
        return;
    case SYN_SENT:
    case SYN_RECEIVED:
        if (chance(50)) {
            struct packet p = make(host, host->state == SYN_SENT ? SYN : SYN | ACK, host->nxt - 1, 0);
            emit(sim, host, p);
        } else if (chance(10)) {
            host->state = CLOSED_; /* Gives up. */
        }
        return;
    case OPEN:
        break;
    }
    switch (below(40)) {
    case 0:
        host->state = CLOSED_; /* A crash: the other side hears nothing. */
        return;
    case 1:
        emit(sim, host, make(host, RST | ACK, host->nxt, 0));
        host->state = CLOSED_;
        return;
    case 2:
    case 3:
        if (!host->fin_sent) {
            emit(sim, host, make(host, FIN | ACK, host->nxt, 0));
            host->nxt++;
            host->fin_sent = true;
        }
        return;
    case 4:
    case 5:
    case 6:
        host->buffer += below(20000);
        host->buffer = MIN(host->buffer, host->scaled ? 65535u << host->scale : 65535u);
        emit(sim, host, make(host, ACK, host->nxt, 0));
        return;
    case 7:
    case 8:
    case 9:
    case 10: /* Again, from the first that is not acknowledged. */
        if (in_flight) {
            uint32_t size = 1 + below(1400);
            size = MIN(size, in_flight - (host->fin_sent ? 1 : 0));
            bool fin = host->fin_sent && size == in_flight - 1;
            if (size || fin)
                emit(sim, host, make(host, ACK | (fin ? FIN : 0), host->una, size));
        }
        return;
    default:
        if (room && !host->fin_sent) {
            uint32_t size = 1 + below(1400);
            size = MIN(size, room);
            emit(sim, host, make(host, ACK, host->nxt, size));
            host->nxt += size;
        }
    }
}

static struct packet pick(struct packet *list, unsigned *n)
{
    unsigned i = chance(70) ? 0 : below(*n);
    struct packet p = list[i];

    memmove(list + i, list + i + 1, (--*n - i) * sizeof(p));
    return p;
}

static void arrive_at_a(struct sim *sim)
{
    struct packet p = pick(sim->to_a, &sim->n_to_a);
    enum drop_reason reason = through(sim, true, &p);
    bool current = sim->a.state == SYN_SENT ? p.flags == (SYN | ACK) && p.ack == sim->a.nxt
                                            : sim->a.state == OPEN && p.connection == sim->a.peer && !(p.flags & RST);
    /* So late that both sides have gone on by a window since. */
    bool late = sim->knows_b && (after(p.seq, sim->end_b) < -(int32_t)sim->window_a || (p.flags & ACK && after(p.ack, sim->end_a) < -60000));

    if (current && reason && !late)
        describe(sim, "B's segment does not pass", &p, reason);
    if (reason)
        return;
    sim->n_passed++;
    if (current) {
        if (!sim->knows_b || after(packet_end(&p), sim->end_b) > 0)
            sim->end_b = packet_end(&p);
        sim->knows_b = true;
    }
    take(sim, &sim->a, &p);
}

/* Somebody who does not see the connection sends A what looks like B's. */
static void attack(struct sim *sim)
{
    static const unsigned kinds[] = {ACK, ACK, RST, RST | ACK, FIN | ACK, SYN | ACK, SYN, 0, SYN | FIN};
    struct packet p = {.flags = kinds[below(ARRAY_SIZE(kinds))], .seq = below(UINT32_MAX) ^ below(2) << 31, .ack = below(UINT32_MAX) ^ below(2) << 31, .size = below(100),
                       .window = (uint16_t)below(65536), .scale = -1};
    const struct flow_entry *entry = entry_of_a(sim->pipeline);
    bool open = sim->a.state == OPEN && sim->knows_b && entry && entry->state == FLOW_ESTABLISHED;
    int32_t distance = after(p.seq, sim->end_b);
    uint32_t reach = sim->window_a + 200 > 70000 ? sim->window_a + 200 : 70000;

    /* Out of everybody's window, and the connection is one that was not picked up. */
    if (!open || entry->scales >> 4 == 15 || (entry->scales & 15) == 15 || ((uint32_t)abs(distance) < reach) || entry->flags & FLOW_SYN_AGAIN)
        return;
    uint8_t before = entry->state;
    enum drop_reason reason = through(sim, true, &p);
    sim->n_attacks++;
    if (p.flags == SYN ? reason != DROP_NONE : reason != DROP_tcp_window)
        describe(sim, "an attack", &p, reason);
    if (entry_of_a(sim->pipeline)->state != before)
        describe(sim, "an attack that works", &p, reason);
}

/* Whatever happened: over a network without loss A can open a connection and be answered. */
static void recovers(struct sim *sim)
{
    unsigned n_opened = sim->n_opened;

    for (int i = 0; i < 200 && sim->n_opened == n_opened; i++) {
        if (sim->a.state == OPEN)
            sim->a.state = CLOSED_;
        if (sim->a.state == CLOSED_)
            connect_host(sim, &sim->a);
        else if (sim->a.state == SYN_SENT && !sim->n_to_b && !sim->n_to_a)
            emit(sim, &sim->a, make(&sim->a, SYN, sim->a.nxt - 1, 0));
        while (sim->n_to_b) {
            struct packet p = pick(sim->to_b, &sim->n_to_b);
            take(sim, &sim->b, &p);
        }
        while (sim->n_to_a)
            arrive_at_a(sim);
    }
    if (sim->n_opened == n_opened)
        fail_msg("seed %llu: A cannot open a connection any more", (unsigned long long)seed);
}

static void endpoints_over_a_bad_network_lose_nothing_and_attackers_win_nothing(void **state)
{
    struct sim sim = {0};

    seed = getenv("SEED") ? strtoull(getenv("SEED"), NULL, 0) : (uint64_t)time(NULL);
    random_state = seed * 2654435761u | 1;
    for (int round = 0; round < 150; round++) {
        sim.pipeline = world(false);
        sim.a = sim.b = (struct host){0};
        sim.n_to_a = sim.n_to_b = 0;
        for (int step = 0; step < 700; step++) {
            switch (below(5)) {
            case 0:
                act(&sim, &sim.a);
                break;
            case 1:
                act(&sim, &sim.b);
                break;
            case 2:
                if (sim.n_to_a)
                    arrive_at_a(&sim);
                break;
            case 3:
                if (sim.n_to_b) {
                    struct packet p = pick(sim.to_b, &sim.n_to_b);
                    take(&sim, &sim.b, &p);
                }
                break;
            default:
                attack(&sim);
            }
        }
        recovers(&sim);
        pipeline_free(sim.pipeline);
    }
    print_message("seed %llu: %u segments passed, %u attacks, %u connections opened\n", (unsigned long long)seed, sim.n_passed, sim.n_attacks,
                  sim.n_opened);
    assert_true(sim.n_passed > 20000 && sim.n_attacks > 1000 && sim.n_opened > 500);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_connection_opens_and_closes),
        cmocka_unit_test(both_open_and_close_at_once),
        cmocka_unit_test(an_answer_must_be_one),
        cmocka_unit_test(flags_that_make_no_sense_are_refused),
        cmocka_unit_test(windows_are_kept),
        cmocka_unit_test(a_fin_may_be_sent_behind_a_full_window),
        cmocka_unit_test(without_the_option_nothing_is_scaled),
        cmocka_unit_test(sequence_numbers_go_round),
        cmocka_unit_test(only_the_expected_reset_ends_it),
        cmocka_unit_test(a_reset_in_the_window_shortens_what_is_silent),
        cmocka_unit_test(each_state_has_its_time),
        cmocka_unit_test(a_syn_in_the_middle_changes_nothing),
        cmocka_unit_test(a_new_connection_begins_in_a_wide_window),
        cmocka_unit_test(what_was_met_in_the_middle_is_not_shut_out),
        cmocka_unit_test(a_new_connection_begins_at_once),
        cmocka_unit_test(a_running_connection_is_picked_up),
        cmocka_unit_test(large_frames_count_whole),
        cmocka_unit_test(what_is_over_goes_soon),
        cmocka_unit_test(both_sides_may_ask_for_an_echo),
        cmocka_unit_test(endpoints_over_a_bad_network_lose_nothing_and_attackers_win_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
