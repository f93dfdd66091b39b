/* The copy of connections into a table of another size. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "weft/base/util.h"
#include "weft/director/load.h"

#define LOCAL 7

static void *allocate(size_t n, size_t size)
{
    void *memory = calloc(n, size);

    assert_non_null(memory);
    return memory;
}

/* Tables in memory, of one service and of one server with full NAT. */
static void make(struct lb_tables *tables, uint32_t n_connections)
{
    *tables = (struct lb_tables){.sizes = {.n_services = 1, .n_servers = 1, .n_connections = n_connections}, .sweeper_fd = -1};
    tables->servers = allocate(1, sizeof(*tables->servers));
    tables->server_load = allocate(1, sizeof(*tables->server_load));
    tables->service_load = allocate(1, sizeof(*tables->service_load));
    tables->settings = allocate(1, sizeof(*tables->settings));
    tables->locals = allocate(LB_LOCALS, sizeof(*tables->locals));
    tables->conn_slots = allocate(lb_slots(tables), sizeof(*tables->conn_slots));
    tables->conn_heads = allocate(n_connections / 2, sizeof(*tables->conn_heads));
    tables->servers->copy[0] = (struct lb_server){.address = {[15] = 1}, .method = LB_METHOD_FULL_NAT, .port = htons(8080), .incarnation = 1};
    tables->locals[LOCAL].address[15] = 200;
}

static void release(struct lb_tables *tables)
{
    free(tables->servers);
    free(tables->server_load);
    free(tables->service_load);
    free(tables->settings);
    free(tables->locals);
    free(tables->conn_slots);
    free(tables->conn_heads);
}

/* The server's view of the connection in the slot 'forward' that comes of that local address and port. */
static struct lb_conn view_of(uint32_t forward, uint8_t local, uint16_t port)
{
    return (struct lb_conn){.key = {.client = {[15] = local}, .address = {[15] = 1}, .client_port = htons(port), .port = htons(8080),
                                    .protocol = IPPROTO_TCP, .of_server = 1},
                            .state = LB_CONN_VIEW, .forward = forward};
}

/* The connection has begun anew at the same server with another name: the view of the one before is there for a while, and wherever it
 * lies, it is not taken over. */
static void only_the_view_that_is_true_is_taken_over(void **state)
{
    static const uint32_t places[][2] = {{2, 3}, {3, 2}}; /* Of the true one, and of the one before. */
    static const struct {
        uint8_t local;
        uint16_t port;
    } stale[] = {{200, 1500}, {201, 2000}};

    for (size_t i = 0; i < ARRAY_SIZE(places) * ARRAY_SIZE(stale); i++) {
        const uint32_t *place = places[i / 2];
        struct lb_tables before, after;
        const struct lb_conn *view, *conn;

        make(&before, LB_CONNECTIONS_MIN);
        make(&after, 2 * LB_CONNECTIONS_MIN);
        before.conn_slots[9] = (struct lb_conn){.key = {.client = {[15] = 77}, .address = {[15] = 2}, .client_port = htons(4000), .port = htons(80),
                                                        .protocol = IPPROTO_TCP},
                                                .state = LB_CONN_ESTABLISHED, .incarnation = 1, .server_port = htons(8080), .is_translated = 1,
                                                .local = LOCAL, .local_port = htons(2000)};
        before.conn_slots[place[0]] = view_of(9, 200, 2000);
        before.conn_slots[place[1]] = view_of(9, stale[i % 2].local, stale[i % 2].port);
        assert_int_equal(-EBADF, lb_copy_connections(&after, &before)); /* There is no timer in memory, which is the last step. */
        view = &after.conn_slots[0];
        conn = &after.conn_slots[1];
        assert_int_equal(LB_CONN_VIEW, view->state);
        assert_int_equal(200, view->key.client[15]);
        assert_int_equal(2000, ntohs(view->key.client_port));
        assert_int_equal(1, view->forward);
        assert_int_equal(LB_CONN_ESTABLISHED, conn->state);
        assert_int_equal(LB_CONN_NONE, after.conn_slots[2].state);
        assert_int_equal(1, after.server_load->active);
        release(&before);
        release(&after);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_the_view_that_is_true_is_taken_over),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
