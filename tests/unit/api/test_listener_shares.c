/* The shares of a listener's limit, with two servers on one store: hosts report to one or the other, apply late, come, leave, are deleted, and the servers
 * begin anew.  After each step the hosts together cannot have more connections than the limit; in the end they have as many as they wish, up to it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "one-store.h"
#include "weft/api/balancing.h"
#include "weft/api/listener-shares.h"
#include "weft/base/util.h"

#define N_SERVERS 2
#define N_HOSTS 5
#define LISTENER "00000001-0000-4000-8000-000000000001"

struct server {
    struct peer peer;
    struct listener_shares *shares;
};

struct fleet_host {
    char name[8];
    struct server *server; /* That it reports to. */
    bool is_there, serves;
    uint64_t applied, refused;
    uint32_t enforced, active, wished;
};

static struct store *store;
static struct server servers[N_SERVERS];
static struct fleet_host hosts[N_HOSTS];
static int64_t limit;
static uint64_t now_ms;
static void server_start(struct server *server)
{
    peer_open(&server->peer, store);
    assert_int_equal(listener_shares_new(server->peer.replica, server->peer.commits, &server->shares), 0);
    peer_start(&server->peer);
}

static void server_end(struct server *server)
{
    peer_stop(&server->peer);
    peer_close(&server->peer);
    listener_shares_free(server->shares);
}

static void deliver(void)
{
    bool is_busy;

    do {
        is_busy = false;
        for (unsigned i = 0; i < N_SERVERS; i++)
            is_busy |= peer_turn(&servers[i].peer);
    } while (is_busy);
}

static void write_and_deliver(enum resource_kind kind, const char *id, const struct object *object)
{
    write_object(store, kind, id, object);
    deliver();
}

static void put_listener(int64_t connection_limit)
{
    struct object *object = object_new(RESOURCE_LISTENER);

    string_copy(object->id, sizeof(object->id), LISTENER);
    ((struct listener *)object)->connection_limit = limit = connection_limit;
    write_and_deliver(RESOURCE_LISTENER, object->id, object);
    object_free(object);
}

static void put_host_as(unsigned i, bool is_there, enum host_state state)
{
    struct object *object = object_new(RESOURCE_HOST);

    snprintf(object->id, sizeof(object->id), "00000002-0000-4000-8000-%012u", i);
    object->name = strdup(hosts[i].name);
    ((struct host *)object)->state = state;
    write_and_deliver(RESOURCE_HOST, object->id, is_there ? object : NULL);
    object_free(object);
    hosts[i].is_there = is_there;
}

static void put_host(unsigned i, bool is_there)
{
    put_host_as(i, is_there, HOST_STATE_UP);
}

static void put_port(const char *host_name)
{
    struct object *object = object_new(RESOURCE_PORT);

    string_copy(object->id, sizeof(object->id), "00000003-0000-4000-8000-000000000001");
    ((struct port *)object)->binding_host_id = strdup(host_name);
    write_and_deliver(RESOURCE_PORT, object->id, object);
    object_free(object);
}

static const struct listener_share *share_of(const struct fleet_host *host)
{
    REPLICA_FOREACH(item, replica_find(servers[0].peer.replica, REPLICA_SHARES_BY_LISTENER, LISTENER))
        if (streq(((const struct listener_share *)item->object)->host, host->name))
            return (const struct listener_share *)item->object;
    return NULL;
}

static size_t count_shares(void)
{
    return replica_count(servers[0].peer.replica, REPLICA_SHARES_BY_LISTENER, LISTENER);
}

/* ---- what hosts do ---- */

static void apply(struct fleet_host *host)
{
    const struct listener_share *share = share_of(host);

    host->enforced = share && host->serves ? share->share : 0;
    host->applied = replica_revision(servers[0].peer.replica);
    if (!host->serves)
        host->active = 0;
}

static void call(struct fleet_host *host)
{
    if (!host->is_there || !host->serves)
        return;
    host->active = MIN(host->active, host->wished);
    while (host->active < host->wished && host->active < host->enforced)
        host->active++;
    host->refused += host->wished - host->active;
}

static void report(struct fleet_host *host)
{
    json_t *listeners = json_object();

    if (host->is_there && host->applied) {
        if (host->serves || host->active || host->enforced)
            json_object_set_new(listeners, LISTENER, json_pack("{sIsI}", "active_connections", (json_int_t)host->active, "request_errors",
                                                               (json_int_t)host->refused));
        listener_shares_report(host->server->shares, host->name, host->applied, listeners, NULL, NULL, now_ms);
    }
    json_decref(listeners);
}

static void pass(struct server *server)
{
    if (listener_shares_is_dirty(server->shares))
        listener_shares_pass(server->shares, now_ms, 0);
}

static uint64_t possible(void)
{
    uint64_t sum = 0;

    for (unsigned i = 0; i < N_HOSTS; i++) {
        const struct listener_share *share = hosts[i].is_there && hosts[i].serves ? share_of(&hosts[i]) : NULL;

        if (hosts[i].is_there)
            sum += MAX(MAX(hosts[i].enforced, hosts[i].active), share ? share->share : 0);
    }
    return sum;
}

static uint64_t in_use(void)
{
    uint64_t sum = 0;

    for (unsigned i = 0; i < N_HOSTS; i++)
        sum += hosts[i].is_there ? hosts[i].active : 0;
    return sum;
}

static void settle(void)
{
    uint64_t wished = 0;
    unsigned n_rounds = 0;

    for (unsigned i = 0; i < N_HOSTS; i++)
        wished += hosts[i].is_there && hosts[i].serves ? hosts[i].wished : 0;
    do {
        now_ms += 1000;
        for (unsigned i = 0; i < N_HOSTS; i++) {
            apply(&hosts[i]);
            call(&hosts[i]);
            report(&hosts[i]);
        }
        for (unsigned i = 0; i < N_SERVERS; i++)
            pass(&servers[i]); /* Both at once: one of them is too late. */
        deliver();
        for (unsigned i = 0; i < N_SERVERS; i++) {
            pass(&servers[i]);
            deliver();
        }
        if (n_rounds++ > 100)
            fail_msg("%llu in use, %llu wished, limit %lld", (unsigned long long)in_use(), (unsigned long long)wished, (long long)limit);
    } while (in_use() < MIN(wished, (uint64_t)limit));
}

static void happen(void)
{
    unsigned i = below(N_HOSTS);
    struct fleet_host *host = &hosts[i];
    struct server *server = &servers[below(N_SERVERS)];

    now_ms += below(200);
    switch (below(10)) {
    case 0:
        host->wished = below(3) ? below((unsigned)limit + 2) : 0;
        break;
    case 1:
    case 2:
        apply(host);
        break;
    case 3:
        call(host);
        break;
    case 4:
    case 5:
        report(host);
        break;
    case 6:
        pass(&servers[0]);
        if (below(2))
            deliver();
        pass(&servers[1]);
        deliver();
        break;
    case 7:
        if (below(8) == 0)
            host->server = server;
        break;
    case 8:
        if (below(8) == 0)
            host->serves = !host->serves;
        break;
    case 9:
        if (below(40) == 0) {
            deliver();
            server_end(server);
            server_start(server);
            deliver();
        }
        break;
    }
    deliver();
}

static void begin(int64_t connection_limit)
{
    assert_int_equal(store_memory_open(&store), 0);
    for (unsigned i = 0; i < N_SERVERS; i++)
        server_start(&servers[i]);
    put_listener(connection_limit);
    for (unsigned i = 0; i < N_HOSTS; i++) {
        hosts[i] = (struct fleet_host){.server = &servers[i % N_SERVERS], .serves = true};
        snprintf(hosts[i].name, sizeof(hosts[i].name), "h%u", i + 1);
        put_host(i, true);
    }
}

static void end(void)
{
    deliver();
    for (unsigned i = 0; i < N_SERVERS; i++)
        peer_stop(&servers[i].peer);
    store_close(store);
    for (unsigned i = 0; i < N_SERVERS; i++)
        server_end(&servers[i]);
}

static void hosts_together_have_no_more_than_the_limit(void **state)
{
    seed_begin();
    for (unsigned k = 0; k < 8; k++) {
        begin(1 + below(k % 2 ? 8 : 300));
        for (unsigned n = 0; n < 800; n++) {
            happen();
            assert_true(possible() <= (uint64_t)limit);
        }
        settle();
        assert_true(possible() <= (uint64_t)limit);
        end();
    }
}

static void shares_go_with_hosts_and_listeners(void **state)
{
    begin(100);
    for (unsigned i = 0; i < N_HOSTS; i++)
        hosts[i].wished = 20;
    settle();
    assert_int_equal(count_shares(), N_HOSTS);
    hosts[0].wished = 40;
    put_host(1, false); /* What it had is the others'. */
    settle();
    assert_int_equal(hosts[0].active, 40);
    assert_int_equal(count_shares(), N_HOSTS - 1);
    hosts[2].serves = false;
    hosts[3].wished = 40;
    settle();
    assert_int_equal(hosts[3].active, 40);
    for (unsigned i = 0; i < 3; i++) {
        apply(&hosts[2]);
        report(&hosts[2]);
        pass(hosts[2].server);
        deliver();
    }
    assert_null(share_of(&hosts[2]));
    write_and_deliver(RESOURCE_LISTENER, LISTENER, NULL);
    for (unsigned i = 0; i < 4; i++) {
        for (unsigned k = 0; k < N_SERVERS; k++)
            pass(&servers[k]);
        deliver();
    }
    assert_int_equal(count_shares(), 0);
    assert_false(listener_shares_is_dirty(servers[0].shares));
    end();
}

/* A host says every ten seconds what it said before, of as many listeners as it has: they are not all divided anew. */
static void what_was_said_before_is_not_divided_again(void **state)
{
    begin(100);
    for (unsigned i = 0; i < N_HOSTS; i++) {
        hosts[i].server = &servers[0];
        hosts[i].wished = 10;
    }
    settle();
    for (unsigned k = 0; k < 3; k++) {
        for (unsigned i = 0; i < N_HOSTS; i++) {
            apply(&hosts[i]);
            report(&hosts[i]);
        }
        pass(&servers[0]);
        deliver();
        pass(&servers[0]);
    }
    for (unsigned i = 0; i < N_HOSTS; i++)
        report(&hosts[i]);
    assert_false(listener_shares_is_dirty(servers[0].shares));
    hosts[1].active--;
    report(&hosts[1]);
    assert_true(listener_shares_is_dirty(servers[0].shares));
    pass(&servers[0]);
    deliver();
    pass(&servers[0]);
    now_ms += SHARE_REPORT_MS; /* Others may have fallen silent. */
    report(&hosts[1]);
    assert_true(listener_shares_is_dirty(servers[0].shares));
    end();
}

/* Its workloads begin elsewhere: they are not refused until somebody deletes the host. */
static void who_was_evacuated_gives_its_share_away(void **state)
{
    begin(100);
    for (unsigned i = 1; i < N_HOSTS; i++)
        hosts[i].serves = false;
    put_port("h1");
    hosts[0].wished = 100;
    settle();
    put_host_as(0, true, HOST_STATE_DOWN);
    hosts[0].is_there = false;
    now_ms += 2 * SHARE_REPORT_MS;
    hosts[1].serves = true;
    hosts[1].wished = 100;
    for (unsigned i = 0; i < 5; i++) {
        apply(&hosts[1]);
        call(&hosts[1]);
        report(&hosts[1]);
        pass(hosts[1].server);
        deliver();
    }
    assert_int_equal(share_of(&hosts[0])->share, 100); /* Its programs may go on. */
    assert_int_equal(hosts[1].active, 0);
    put_port("h2");
    now_ms += SHARE_REPORT_MS;
    settle();
    assert_int_equal(hosts[1].active, 100);
    assert_null(share_of(&hosts[0]));
    end();
}

static void of_listeners_that_are_not_there_nothing_is_kept(void **state)
{
    struct statistics *statistics;
    json_t *said = json_pack("{s{si}s{si}}", LISTENER, "active_connections", 1, "00000009-0000-4000-8000-000000000009", "active_connections", 1);

    begin(100);
    assert_int_equal(statistics_new(servers[0].peer.replica, &statistics), 0);
    statistics_take(statistics, "h1", said, NULL, NULL);
    assert_int_equal(statistics_count(statistics), 1);
    write_and_deliver(RESOURCE_LISTENER, LISTENER, NULL);
    statistics_forget(statistics, LISTENER);
    statistics_take(statistics, "h1", said, NULL, NULL); /* It has not heard yet. */
    listener_shares_report(servers[0].shares, "h1", 1, said, NULL, NULL, now_ms);
    assert_int_equal(statistics_count(statistics), 0);
    assert_false(listener_shares_is_dirty(servers[0].shares));
    statistics_free(statistics);
    json_decref(said);
    end();
}

static void write_listeners(unsigned n, json_t *said)
{
    struct store_transaction *transaction;
    struct buffer text = {0};
    char key[REPLICA_KEY_SIZE];

    assert_int_equal(store_transaction_new(&transaction), 0);
    for (unsigned i = 0; i < n; i++) {
        struct object *object = object_new(RESOURCE_LISTENER);

        snprintf(object->id, sizeof(object->id), "00000003-0000-4000-8000-%012u", i);
        ((struct listener *)object)->connection_limit = 10;
        text.size = 0;
        assert_int_equal(object_write(object, &text), 0);
        replica_key(RESOURCE_LISTENER, object->id, key);
        assert_int_equal(store_put(transaction, key, strlen(key), text.data, text.size, 0), 0);
        json_object_set_new(said, object->id, json_pack("{si}", "active_connections", 1));
        object_free(object);
    }
    assert_int_equal(store_commit(store, transaction).status, 0);
    buffer_clear(&text);
    deliver();
}

/* Each host reports every second or ten, and there are thousands of hosts and listeners: if each report looked at all listeners, this would not end. */
static void a_report_costs_what_it_says(void **state)
{
    struct statistics *statistics;
    json_t *all = json_object(), *nothing = json_object();

    begin(100);
    write_listeners(4000, all);
    assert_int_equal(statistics_new(servers[0].peer.replica, &statistics), 0);
    listener_shares_report(servers[0].shares, "h1", 1, all, NULL, NULL, now_ms);
    statistics_take(statistics, "h1", all, NULL, NULL);
    assert_int_equal(statistics_count(statistics), 4000);
    for (unsigned i = 0; i < 4000000; i++) {
        listener_shares_report(servers[0].shares, "h2", 1, nothing, NULL, NULL, now_ms);
        statistics_take(statistics, "h2", nothing, NULL, NULL);
    }
    statistics_free(statistics);
    json_decref(all);
    json_decref(nothing);
    end();
}

/* Everything else has its turn in between, and each listener its own. */
static void a_pass_looks_at_so_much(void **state)
{
    json_t *all = json_object();
    unsigned n = 0;

    begin(100);
    write_listeners(8000, all);
    listener_shares_report(servers[0].shares, "h1", 1, all, NULL, NULL, now_ms);
    for (size_t before = 0; listener_shares_is_dirty(servers[0].shares); n++) {
        size_t after;

        listener_shares_report(servers[0].shares, "h2", 1, all, NULL, NULL, now_ms); /* All are to be divided again. */
        pass(&servers[0]);
        deliver();
        replica_list(servers[0].peer.replica, RESOURCE_LISTENER_SHARE, &after);
        assert_true(after <= before + 2 * 2048);
        assert_true(after > before || after == 16000);
        before = after;
        assert_true(n < 100);
    }
    assert_true(n >= 4);
    json_decref(all);
    end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hosts_together_have_no_more_than_the_limit),
        cmocka_unit_test(shares_go_with_hosts_and_listeners),
        cmocka_unit_test(what_was_said_before_is_not_divided_again),
        cmocka_unit_test(who_was_evacuated_gives_its_share_away),
        cmocka_unit_test(of_listeners_that_are_not_there_nothing_is_kept),
        cmocka_unit_test(a_report_costs_what_it_says),
        cmocka_unit_test(a_pass_looks_at_so_much),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
