/* Servers on one store: see one-store.h. */
#include "one-store.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "weft/base/buffer.h"
#include "weft/base/clock.h"

unsigned seed;

void peer_open(struct peer *peer, struct store *store)
{
    peer->store = store;
    uv_loop_init(&peer->loop);
    assert_int_equal(replica_new(&peer->loop, store, &peer->replica), 0);
    assert_int_equal(commits_new(&peer->loop, store, peer->replica, &peer->commits), 0);
}

void peer_start(struct peer *peer)
{
    struct error error = {0};

    assert_int_equal(replica_start(peer->replica, &error), 0);
}

bool peer_turn(struct peer *peer)
{
    uv_run(&peer->loop, UV_RUN_NOWAIT);
    return replica_revision(peer->replica) < store_revision(peer->store) || commits_counters(peer->commits).n_pending;
}

void peer_stop(struct peer *peer)
{
    replica_stop(peer->replica);
}

void peer_close(struct peer *peer)
{
    commits_free(peer->commits);
    replica_free(peer->replica);
    uv_run(&peer->loop, UV_RUN_DEFAULT);
    uv_loop_close(&peer->loop);
}

void write_key(struct store *store, const char *key, const void *value, size_t size)
{
    struct store_transaction *transaction;

    assert_int_equal(store_transaction_new(&transaction), 0);
    if (value)
        assert_int_equal(store_put(transaction, key, strlen(key), value, size, 0), 0);
    else
        assert_int_equal(store_delete(transaction, key, strlen(key)), 0);
    assert_int_equal(store_commit(store, transaction).status, 0);
}

void write_object(struct store *store, enum resource_kind kind, const char *id, const struct object *object)
{
    struct buffer text = {0};
    char key[REPLICA_KEY_SIZE];

    replica_key(kind, id, key);
    if (object)
        assert_int_equal(object_write(object, &text), 0);
    write_key(store, key, object ? text.data : NULL, text.size);
    buffer_clear(&text);
}

const char *id_of(enum resource_kind kind, unsigned number, char id[UUID_TEXT_SIZE])
{
    snprintf(id, UUID_TEXT_SIZE, "%08x-0000-4000-8000-%012x", (unsigned)kind + 1, number);
    return id;
}

void seed_begin(void)
{
    seed = getenv("WEFT_SEED") ? (unsigned)strtoul(getenv("WEFT_SEED"), NULL, 10) : (unsigned)clock_monotonic_ns();
    print_message("WEFT_SEED=%u\n", seed);
}

unsigned below(unsigned n)
{
    return (unsigned)rand_r(&seed) % n;
}
