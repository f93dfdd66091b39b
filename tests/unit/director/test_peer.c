/* What two directors tell each other: what is said is heard, once, and by who has the key. */
#include <arpa/inet.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>
#include <sodium.h>

#include "weft/director/peer-message.h"
#include "weft/director/peer-order.h"
#include "weft/director/peer.h"
#include "weft/director/runtime-state.h"

#define NOW_MS 1800000000000ull

static uint8_t key[PEER_KEY_SIZE];

static struct peer_message message_of(uint64_t session, uint64_t number, size_t n)
{
    struct peer_message message = {.session = session, .number = number, .now_ms = NOW_MS, .kind = n ? PEER_CONNECTIONS : PEER_HELLO, .n_connections = n};

    for (size_t i = 0; i < n; i++) {
        struct peer_connection *connection = &message.connections[i];

        randombytes_buf(connection, sizeof(*connection));
        memset(&connection->service, 0, sizeof(connection->service));
        randombytes_buf(connection->service.address, 16);
        connection->service.port = 80;
        connection->service.protocol = 6;
        connection->service.mark = (uint32_t)i;
        connection->service.ipv6 = i & 1;
        connection->key.of_server = 0;
        connection->key.is_template = i % 5 == 4;
        connection->is_proven = i % 10 == 4;
        if (connection->key.is_template || i % 3 == 0) {
            memset(connection->local_address, 0, 16);
            connection->local_port = 0;
        }
        connection->state = (uint8_t)(LB_CONN_ESTABLISHED + i % 5);
    }
    return message;
}

static int hear(const uint8_t *datagram, size_t size, struct peer_window *window, struct peer_message *ret)
{
    bool is_new = false, lost = false;

    return peer_open(datagram, size, key, NOW_MS, window, ret, &is_new, &lost);
}

static int make_key(void **state)
{
    if (sodium_init() < 0)
        return -1;
    return peer_key("sixteen bytes or more\n", 22, key);
}

static void what_is_said_is_heard(void **state)
{
    for (size_t n = 0; n <= PEER_RECORDS_MAX; n++) {
        struct peer_message message = message_of(5, 1 + n, n), heard;
        struct peer_window window = {0};
        uint8_t datagram[PEER_DATAGRAM_MAX];
        size_t size;
        bool is_new = false, lost = false;

        message.ran_ms = 0x0102030405060708 + n;
        message.heard_session = 0x1112131415161718 + n;
        message.is_older = n & 1;
        size = peer_seal(&message, key, datagram);
        assert_int_equal(0, peer_open(datagram, size, key, NOW_MS + 1000, &window, &heard, &is_new, &lost));
        assert_true(is_new);
        assert_true(heard.ran_ms == message.ran_ms && heard.heard_session == message.heard_session && heard.is_older == message.is_older);
        assert_int_equal(message.kind, heard.kind);
        assert_int_equal(n, heard.n_connections);
        for (size_t i = 0; i < n; i++) {
            const struct peer_connection *a = &message.connections[i], *b = &heard.connections[i];

            assert_memory_equal(&a->service, &b->service, sizeof(a->service));
            assert_memory_equal(a->server_address, b->server_address, 16);
            assert_memory_equal(&a->key, &b->key, sizeof(a->key));
            assert_int_equal(a->server_id_port, b->server_id_port);
            assert_int_equal(a->server_port, b->server_port);
            assert_int_equal(a->state, b->state);
            assert_int_equal(a->is_proven, b->is_proven);
            assert_int_equal(a->silence, b->silence);
            assert_int_equal(a->held, b->held);
            assert_int_equal(a->local_port, b->local_port);
            assert_memory_equal(a->local_address, b->local_address, 16);
        }
    }
}

static void rows_that_are_said_are_heard(void **state)
{
    for (size_t n = 0; n <= PEER_SERVICES_MAX; n++) {
        struct peer_message message = {.session = 5, .number = 1 + n, .now_ms = NOW_MS, .kind = PEER_SERVICES, .n_services = n, .flags = PEER_ROUND_ENDS}, heard;
        struct peer_window window = {0};
        uint8_t datagram[PEER_DATAGRAM_MAX];

        randombytes_buf(message.services, sizeof(message.services));
        assert_int_equal(0, hear(datagram, peer_seal(&message, key, datagram), &window, &heard));
        assert_int_equal(PEER_SERVICES, heard.kind);
        assert_int_equal(PEER_ROUND_ENDS, heard.flags);
        assert_int_equal(n, heard.n_services);
        assert_int_equal(0, heard.n_connections);
        assert_memory_equal(message.services, heard.services, n * sizeof(message.services[0]));
    }
    for (uint32_t size = 1; size < 3 * PEER_PIECE; size += 97)
        for (uint32_t offset = 0; offset < size; offset += PEER_PIECE) {
            struct peer_message message = {.session = 5, .number = 1, .now_ms = NOW_MS, .kind = PEER_ROWS}, heard;
            struct peer_window window = {0};
            uint8_t datagram[PEER_DATAGRAM_MAX];

            randombytes_buf(&message.piece, sizeof(message.piece));
            message.piece.size = size;
            message.piece.offset = offset;
            assert_int_equal(0, hear(datagram, peer_seal(&message, key, datagram), &window, &heard));
            assert_int_equal(PEER_ROWS, heard.kind);
            assert_memory_equal(&message.piece.service, &heard.piece.service, sizeof(heard.piece.service));
            assert_true(message.piece.digest == heard.piece.digest && heard.piece.size == size && heard.piece.offset == offset);
            assert_memory_equal(message.piece.bytes, heard.piece.bytes, peer_piece_size(&heard.piece));
            message.piece.offset = offset + 1; /* No piece begins there. */
            window = (struct peer_window){0};
            assert_int_equal(-EBADMSG, hear(datagram, peer_seal(&message, key, datagram), &window, &heard));
        }
}

static void who_has_not_the_key_is_not_heard(void **state)
{
    struct peer_message message = message_of(5, 1, 3), heard;
    struct peer_window window = {0};
    uint8_t datagram[PEER_DATAGRAM_MAX], other[PEER_KEY_SIZE];
    size_t size = peer_seal(&message, key, datagram);

    for (size_t i = 0; i < size; i++) {
        datagram[i] ^= 1;
        assert_int_equal(i == 3 ? -EPROTONOSUPPORT : -EBADMSG, hear(datagram, size, &window, &heard));
        datagram[i] ^= 1;
        assert_int_equal(-EBADMSG, hear(datagram, i, &window, &heard));
    }
    assert_int_equal(0, peer_key("another sixteen bytes", 21, other));
    size = peer_seal(&message, other, datagram);
    assert_int_equal(-EBADMSG, hear(datagram, size, &window, &heard));
    assert_int_equal(0, window.session);
    assert_int_equal(-EINVAL, peer_key("fifteen bytes..\n\n\n", 18, other));
}

static void what_one_has_said_is_not_heard_by_itself(void **state)
{
    struct peer_end a = {.port = 1}, b = {.port = 1}, c = {.port = 2};
    uint8_t there[PEER_KEY_SIZE], back[PEER_KEY_SIZE], again[PEER_KEY_SIZE], datagram[PEER_DATAGRAM_MAX];
    struct peer_message message = message_of(9, 1, 1), heard;
    struct peer_window window = {0};
    bool is_new, lost;
    size_t size;

    a.address[15] = 2;
    b.address[15] = c.address[15] = 3;
    peer_key_of_direction(key, &a, &b, there);
    peer_key_of_direction(key, &b, &a, back);
    size = peer_seal(&message, there, datagram);
    assert_int_equal(-EBADMSG, peer_open(datagram, size, back, NOW_MS, &window, &heard, &is_new, &lost)); /* As sent back to 'a'. */
    assert_int_equal(0, window.session);
    peer_key_of_direction(key, &a, &c, again);
    assert_int_equal(-EBADMSG, peer_open(datagram, size, again, NOW_MS, &window, &heard, &is_new, &lost));
    peer_key_of_direction(key, &a, &b, again);
    assert_int_equal(0, peer_open(datagram, size, again, NOW_MS, &window, &heard, &is_new, &lost));
}

static void nothing_is_heard_twice(void **state)
{
    struct peer_message first = message_of(5, 1, 1), second = message_of(5, 2, 0), next = message_of(6, 1, 1), heard;
    uint8_t a[PEER_DATAGRAM_MAX], b[PEER_DATAGRAM_MAX], c[PEER_DATAGRAM_MAX];
    size_t size_a = peer_seal(&first, key, a), size_b = peer_seal(&second, key, b), size_c = peer_seal(&next, key, c);
    struct peer_window window = {0};

    assert_int_equal(0, hear(a, size_a, &window, &heard));
    assert_int_equal(-ESTALE, hear(a, size_a, &window, &heard));
    assert_int_equal(0, hear(b, size_b, &window, &heard));
    assert_int_equal(-ESTALE, hear(a, size_a, &window, &heard));
    assert_int_equal(-ESTALE, hear(c, size_c, &window, &heard)); /* A session that is not later. */
    next.now_ms++;
    size_c = peer_seal(&next, key, c);
    assert_int_equal(0, hear(c, size_c, &window, &heard)); /* It began anew: */
    assert_int_equal(-ESTALE, hear(b, size_b, &window, &heard)); /* the session before is over. */
}

/* The clock was an hour ahead when the session before began. */
static void a_session_with_an_earlier_name_is_heard(void **state)
{
    struct peer_message before = message_of(9, 1, 1), now = message_of(5, 1, 1), heard;
    uint8_t datagram[PEER_DATAGRAM_MAX], old[PEER_DATAGRAM_MAX];
    struct peer_window window = {0};
    size_t size = peer_seal(&before, key, old);

    now.now_ms++;
    assert_int_equal(0, hear(old, size, &window, &heard));
    assert_int_equal(0, hear(datagram, peer_seal(&now, key, datagram), &window, &heard));
    assert_int_equal(-ESTALE, hear(old, size, &window, &heard));
}

static void what_gets_lost_is_missed(void **state)
{
    static const struct {
        uint64_t session, number;
        bool lost;
    } cases[] = {{5, 1, false}, {5, 2, false}, {5, 4, true}, {5, 5, false}, {6, 2, true}, {6, 3, false}, {7, 1, false}};
    struct peer_window window = {0};

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct peer_message message = message_of(cases[i].session, cases[i].number, 1), heard;
        uint8_t datagram[PEER_DATAGRAM_MAX];
        bool is_new = false, lost = false;

        message.now_ms += i;
        message.asked = 7;
        assert_int_equal(0, peer_open(datagram, peer_seal(&message, key, datagram), key, NOW_MS, &window, &heard, &is_new, &lost));
        assert_int_equal(cases[i].lost, lost);
        assert_int_equal(7, heard.asked);
    }
}

static void what_is_old_is_not_heard(void **state)
{
    struct peer_message message = message_of(5, 1, 1), heard;
    uint8_t datagram[PEER_DATAGRAM_MAX];
    size_t size = peer_seal(&message, key, datagram);
    struct peer_window window = {0};
    bool is_new, lost;

    assert_int_equal(-ESTALE, peer_open(datagram, size, key, NOW_MS + PEER_CLOCK_MS + 1, &window, &heard, &is_new, &lost));
    assert_int_equal(-ESTALE, peer_open(datagram, size, key, NOW_MS - PEER_CLOCK_MS - 1, &window, &heard, &is_new, &lost));
    assert_int_equal(0, peer_open(datagram, size, key, NOW_MS + PEER_CLOCK_MS, &window, &heard, &is_new, &lost));
}

static void half_open_connections_are_nobodys_business(void **state)
{
    struct peer_message message = message_of(5, 1, 1), heard;
    uint8_t datagram[PEER_DATAGRAM_MAX];
    struct peer_window window = {0};
    static const uint8_t wrong[] = {LB_CONN_NONE, LB_CONN_SYN_RECV, LB_CONN_TEMPLATE, LB_CONN_DEAD, LB_CONN_GONE, 255};

    for (size_t i = 0; i < sizeof(wrong); i++) {
        message.connections[0].state = wrong[i];
        message.connections[0].key.is_template = 0;
        assert_int_equal(-EBADMSG, hear(datagram, peer_seal(&message, key, datagram), &window, &heard));
    }
}

struct run { /* A director's, by a clock of its own. */
    uint64_t began_ms;
    struct peer_order order;
};

/* A word of 'from', that was on its way for 'late_ms'. */
static void say(const struct run *from, struct run *to, uint64_t now_ms, uint64_t late_ms)
{
    const struct peer_order_word word = {from->order.session, now_ms - from->began_ms, from->order.other_session, from->order.is_older};

    peer_order_hear(&to->order, now_ms + late_ms - to->began_ms, &word);
}

/* Whatever the clocks were at which they began. */
static void who_has_run_longer_is_first(void **state)
{
    struct run old = {.began_ms = 1000, .order.session = 900}, young = {.began_ms = 61000, .order.session = 5};

    assert_false(peer_order_is_first(&old.order) || peer_order_is_first(&young.order));
    say(&old, &young, 61100, 3); /* The first that is heard counts: who is first does not wait for rows. */
    assert_false(peer_order_is_first(&young.order));
    say(&young, &old, 61100, 3);
    assert_true(peer_order_is_first(&old.order));
    say(&old, &young, 61200, 3);
    assert_true(peer_order_is_first(&old.order) && !peer_order_is_first(&young.order));
    old = (struct run){.began_ms = 70000, .order.session = 1}; /* It begins anew. */
    say(&young, &old, 70100, 3);
    say(&old, &young, 70100, 3);
    say(&young, &old, 70200, 3);
    assert_true(!peer_order_is_first(&old.order) && peer_order_is_first(&young.order));
}

/* Words are late, by more than there is between the two, and clocks may have stood still. */
static void there_is_one_that_is_first(void **state)
{
    unsigned seed = (unsigned)time(NULL);

    print_message("seed %u\n", seed);
    srand(seed);
    for (unsigned i = 0; i < 10000; i++) {
        uint64_t now_ms = 20000, before = (uint64_t)rand() % 2000;
        struct run runs[] = {{.began_ms = 10000, .order.session = 1 + (uint64_t)(rand() & 1)}, {.began_ms = 10000 + before, .order.session = 3 - (uint64_t)(rand() & 1)}};

        if (runs[0].order.session == runs[1].order.session)
            continue;
        for (unsigned n = 2 + (unsigned)rand() % 8; n; n--) {
            unsigned to = (unsigned)rand() & 1;
            uint64_t late_ms = (uint64_t)rand() % 3000;

            say(&runs[!to], &runs[to], now_ms, late_ms);
            if (rand() % 8 == 0)
                runs[rand() & 1].began_ms += 500;
        }
        for (unsigned n = 0; n < 2; n++) {
            say(&runs[1], &runs[0], now_ms, 0);
            say(&runs[0], &runs[1], now_ms, 0);
        }
        say(&runs[1], &runs[0], now_ms, 0);
        assert_true(peer_order_is_first(&runs[0].order) != peer_order_is_first(&runs[1].order));
    }
}

struct end { /* A director that has nothing to tell. */
    struct director director;
    struct peer *peer;
};

static void begin(struct end *end, const char *listen, const char *other, const char *key_file)
{
    const struct peer_options options = {.address = other, .listen = listen, .key_file = key_file};
    struct error error;

    assert_int_equal(uv_loop_init(&end->director.loop), 0);
    assert_int_equal(peer_new(&end->director, &options, &end->peer, &error), 0);
}

static void finish(struct end *end)
{
    peer_free(end->peer);
    uv_run(&end->director.loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&end->director.loop), 0);
}

/* ADDRESS:PORT of a socket that is there until it is closed.  Afterwards it is nobody's: the address is this process's own, and the port none that the
 * kernel gives. */
static int place(uint16_t port, char ret[32])
{
    struct sockaddr_in own = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(0x7f000000 | (uint32_t)getpid())};
    char address[INET_ADDRSTRLEN];
    int fd = socket(AF_INET, SOCK_DGRAM, 0);

    assert_true(fd >= 0 && bind(fd, (struct sockaddr *)&own, sizeof(own)) == 0);
    snprintf(ret, 32, "%s:%u", inet_ntop(AF_INET, &own.sin_addr, address, sizeof(address)), port);
    return fd;
}

static unsigned n_lines_with(const char *path, const char *text)
{
    char line[512];
    unsigned n = 0;
    FILE *file = fopen(path, "r");

    assert_non_null(file);
    while (fgets(line, sizeof(line), file))
        n += strstr(line, text) != NULL;
    fclose(file);
    return n;
}

/* A pair of which one is upgraded already. */
static void another_version_is_said_once(void **state)
{
    static struct end first;
    char key_file[] = "/tmp/weft-peer-XXXXXX", log_file[] = "/tmp/weft-peer-log-XXXXXX", here[32], there[32];
    int key_fd = mkstemp(key_file), log_fd = mkstemp(log_file), here_fd = place(9797, here), there_fd = place(9798, there), error_fd = dup(STDERR_FILENO);
    struct sockaddr_in to;
    socklen_t size = sizeof(to);

    assert_int_equal(write(key_fd, "sixteen bytes or more", 21), 21);
    assert_int_equal(getsockname(here_fd, (struct sockaddr *)&to, &size), 0);
    close(here_fd);
    dup2(log_fd, STDERR_FILENO);
    begin(&first, here, there, key_file);
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(sendto(there_fd, "WDP2 and what follows", 21, 0, (struct sockaddr *)&to, size), 21);
    for (time_t end = time(NULL) + 30; peer_state(first.peer).n_refused < 3 && time(NULL) < end;)
        uv_run(&first.director.loop, UV_RUN_ONCE);
    dup2(error_fd, STDERR_FILENO);
    assert_int_equal(peer_state(first.peer).n_refused, 3);
    assert_int_equal(n_lines_with(log_file, "the other director speaks another version of the protocol"), 1);
    finish(&first);
    unlink(key_file);
    unlink(log_file);
    close(key_fd);
    close(log_fd);
    close(there_fd);
    close(error_fd);
}

/* What is sent to nobody is refused; that is an error of the socket, after which it must hear all the same. */
static void who_was_not_there_is_heard_later(void **state)
{
    static struct end first, second;
    char key_file[] = "/tmp/weft-peer-XXXXXX", here[32], there[32];
    int key_fd = mkstemp(key_file), here_fd = place(9797, here), there_fd = place(9798, there);

    assert_int_equal(write(key_fd, "sixteen bytes or more", 21), 21);
    close(here_fd);
    begin(&first, here, there, key_file);
    close(there_fd);
    for (unsigned i = 0; i < 5; i++) /* The first tick says hello, and what comes back is an event of its own. */
        uv_run(&first.director.loop, UV_RUN_ONCE);
    assert_false(peer_state(first.peer).is_heard);
    begin(&second, there, here, key_file);
    for (time_t end = time(NULL) + 30; !(peer_state(first.peer).is_heard && peer_state(second.peer).is_heard);) {
        assert_true(time(NULL) < end);
        uv_run(&second.director.loop, UV_RUN_ONCE); /* Each has a timer, so neither waits long. */
        uv_run(&first.director.loop, UV_RUN_ONCE);
    }
    finish(&first);
    finish(&second);
    unlink(key_file);
    close(key_fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_said_is_heard),
        cmocka_unit_test(rows_that_are_said_are_heard),
        cmocka_unit_test(who_has_not_the_key_is_not_heard),
        cmocka_unit_test(what_one_has_said_is_not_heard_by_itself),
        cmocka_unit_test(nothing_is_heard_twice),
        cmocka_unit_test(a_session_with_an_earlier_name_is_heard),
        cmocka_unit_test(what_gets_lost_is_missed),
        cmocka_unit_test(what_is_old_is_not_heard),
        cmocka_unit_test(half_open_connections_are_nobodys_business),
        cmocka_unit_test(who_has_run_longer_is_first),
        cmocka_unit_test(there_is_one_that_is_first),
        cmocka_unit_test(another_version_is_said_once),
        cmocka_unit_test(who_was_not_there_is_heard_later),
    };

    return cmocka_run_group_tests(tests, make_key, NULL);
}
