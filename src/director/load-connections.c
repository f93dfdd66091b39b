/* From one table of connections to another, of another size, while the program before goes on with its own.  What the servers have is counted anew,
 * by what was copied: what that program counts meanwhile would never be taken off again. */
#include <bpf/bpf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "weft/base/util.h"
#include "weft/director/hash.h"
#include "weft/director/load.h"

static void forget_counts(struct lb_tables *tables)
{
    for (uint32_t i = 0; i < tables->sizes.n_servers; i++)
        tables->server_load[i].active = tables->server_load[i].inactive = tables->server_load[i].persistent = 0;
    for (uint32_t i = 0; i < tables->sizes.n_services; i++)
        tables->service_load[i].half_open = 0;
}

static const struct lb_server *server_of(const struct lb_tables *tables, const struct lb_conn *conn)
{
    const struct lb_server_record *record = &tables->servers[conn->server];
    const struct lb_server *server = &record->copy[record->active & 1];

    return server->incarnation == conn->incarnation ? server : NULL;
}

/* As the program does (bpf/expiry.h). */
static void count(struct lb_tables *tables, const struct lb_conn *conn)
{
    struct lb_server_load *load = &tables->server_load[conn->server];

    if (server_of(tables, conn))
        *(conn->state == LB_CONN_TEMPLATE                                        ? &load->persistent
          : conn->state == LB_CONN_FIN_WAIT || conn->state == LB_CONN_CLOSE      ? &load->inactive
                                                                                 : &load->active) += 1;
    if (conn->state == LB_CONN_SYN_RECV)
        tables->service_load[conn->service].half_open++;
}

/* Into the next slot.  They come from a table that had each once. */
static void put(struct lb_tables *tables, struct lb_sweeper *sweeper, const struct lb_conn *conn)
{
    uint32_t slot = sweeper->next++, bucket = (uint32_t)conn_hash(&conn->key, tables->settings->secret) & (tables->sizes.n_connections - 1);
    uint32_t *head = &tables->conn_heads[bucket >> 1].head[bucket & 1];

    tables->conn_slots[slot] = *conn;
    tables->conn_slots[slot].next = *head;
    *head = slot + 1;
}

/* Is that the server's view of the connection, as it is now, and not one that it had before?  As is_view_of of the program (bpf/connections.h). */
static bool is_view_of(const struct lb_tables *tables, const struct lb_conn_key *view, const struct lb_conn *conn)
{
    const struct lb_server *server = server_of(tables, conn);
    const uint8_t *client = conn->key.client;

    if (!server || memcmp(server->address, view->address, 16) != 0 || conn->server_port != view->port || conn->key.protocol != view->protocol ||
        conn->key.is_template)
        return false;
    if (conn->local_port && conn->local >= LB_LOCALS)
        return false;
    if (conn->local_port)
        client = tables->locals[conn->local].address;
    return view->client_port == (conn->local_port ? conn->local_port : conn->key.client_port) && memcmp(client, view->client, 16) == 0;
}

/* Of each slot the one with its connection's view, and one more; 0: there is none.  NULL without memory. */
static uint32_t *find_views(const struct lb_tables *before)
{
    uint32_t n = lb_slots(before), *views = calloc(n, sizeof(*views));

    for (uint32_t i = 0; views && i < n; i++) {
        struct lb_conn view = before->conn_slots[i], conn;

        if (view.state != LB_CONN_VIEW || view.forward >= n || !lb_read_connection(before, view.forward, &conn))
            continue;
        if (conn.is_translated && is_view_of(before, &view.key, &conn))
            views[view.forward] = i + 1;
    }
    return views;
}

/* A connection that is translated is of no use without its view. */
static void copy(struct lb_tables *tables, const struct lb_tables *before, const uint32_t *views, struct lb_sweeper *sweeper)
{
    for (uint32_t i = 0; i < lb_slots(before); i++) {
        struct lb_conn conn, view;

        if (!lb_read_connection(before, i, &conn) || (conn.is_translated && !views[i]) ||
            sweeper->next + 1 + conn.is_translated > tables->sizes.n_connections)
            continue;
        if (conn.is_translated) {
            view = before->conn_slots[views[i] - 1];
            if (view.state != LB_CONN_VIEW)
                continue;
            view.forward = sweeper->next + 1;
            view.is_suspect = 0;
            put(tables, sweeper, &view);
        }
        put(tables, sweeper, &conn);
        sweeper->n_connections++;
        count(tables, &conn);
    }
}

int lb_copy_connections(struct lb_tables *tables, const struct lb_tables *before)
{
    _cleanup_(freep) uint32_t *views = find_views(before);
    struct lb_sweeper sweeper = {0};
    uint32_t zero = 0;

    if (!views)
        return -ENOMEM;
    forget_counts(tables);
    copy(tables, before, views, &sweeper);
    return bpf_map_update_elem(tables->sweeper_fd, &zero, &sweeper, BPF_ANY) < 0 ? -errno : 0; /* The kernel leaves the timer out. */
}
