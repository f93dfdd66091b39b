/* From one table of connections to another, of another size, while the program before goes on with its own.  What the servers have is counted anew,
 * by what was copied: what that program counts meanwhile would never be taken off again. */
#include <bpf/bpf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "weft/base/util.h"
#include "weft/director/load.h"

#define AT_ONCE 4096u

struct batch {
    struct lb_conn_key keys[AT_ONCE];
    struct lb_conn conns[AT_ONCE];
    uint32_t n;
};

static void forget_counts(struct lb_tables *tables)
{
    for (uint32_t i = 0; i < tables->sizes.n_servers; i++)
        tables->server_load[i].active = tables->server_load[i].inactive = tables->server_load[i].persistent = 0;
    for (uint32_t i = 0; i < tables->sizes.n_services; i++)
        tables->service_load[i].half_open = 0;
}

/* As the program does (bpf/expiry.h). */
static void count(struct lb_tables *tables, const struct lb_conn *conn)
{
    const struct lb_server_record *record = &tables->servers[conn->server];
    struct lb_server_load *load = &tables->server_load[conn->server];

    if (record->copy[record->active & 1].incarnation == conn->incarnation)
        *(conn->state == LB_CONN_TEMPLATE                                        ? &load->persistent
          : conn->state == LB_CONN_FIN_WAIT || conn->state == LB_CONN_CLOSE      ? &load->inactive
                                                                                 : &load->active) += 1;
    if (conn->state == LB_CONN_SYN_RECV)
        tables->service_load[conn->service].half_open++;
}

static bool is_wanted(const struct lb_tables *tables, const struct lb_conn_key *key, const struct lb_conn *conn)
{
    return key->of_server || (conn->state != LB_CONN_NONE && conn->state < LB_CONN_DEAD && conn->server < tables->sizes.n_servers &&
                              conn->service < tables->sizes.n_services);
}

/* Those that are wanted move to the front. */
static void choose(const struct lb_tables *tables, struct batch *batch, uint32_t n_places)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < batch->n && n < n_places; i++)
        if (is_wanted(tables, &batch->keys[i], &batch->conns[i])) {
            batch->keys[n] = batch->keys[i];
            batch->conns[n++] = batch->conns[i];
        }
    batch->n = n;
}

/* The slots from 'first' on are free. */
static int put(struct lb_tables *tables, struct lb_sweeper *sweeper, const struct batch *batch)
{
    LIBBPF_OPTS(bpf_map_batch_opts, options);
    uint32_t n = batch->n;

    if (n && bpf_map_update_batch(tables->connections_fd, batch->keys, batch->conns, &n, &options) < 0)
        return -errno;
    for (uint32_t i = 0; i < n; i++) {
        struct lb_slot *slot = &tables->conn_slots[sweeper->next++];

        slot->key = batch->keys[i];
        slot->state = LB_SLOT_USED;
        if (batch->keys[i].of_server)
            continue;
        sweeper->n_connections++;
        count(tables, &batch->conns[i]);
    }
    return 0;
}

static int copy(struct lb_tables *tables, const struct lb_tables *before, struct batch *batch, struct lb_sweeper *sweeper)
{
    LIBBPF_OPTS(bpf_map_batch_opts, options);
    uint32_t position = 0;
    bool is_first = true;
    int result = 0, put_result = 0;

    while (result == 0 && put_result == 0 && sweeper->next < lb_slots(tables)) {
        batch->n = AT_ONCE;
        result = bpf_map_lookup_batch(before->connections_fd, is_first ? NULL : &position, &position, batch->keys, batch->conns, &batch->n, &options) < 0
                     ? -errno
                     : 0;
        if (result < 0 && result != -ENOENT) /* That is the end, with the last ones. */
            return result;
        is_first = false;
        choose(tables, batch, lb_slots(tables) - sweeper->next);
        put_result = put(tables, sweeper, batch);
    }
    return put_result;
}

int lb_copy_connections(struct lb_tables *tables, const struct lb_tables *before)
{
    _cleanup_(freep) struct batch *batch = malloc(sizeof(*batch));
    struct lb_sweeper sweeper = {0};
    uint32_t zero = 0;
    int result;

    if (!batch)
        return -ENOMEM;
    forget_counts(tables);
    result = copy(tables, before, batch, &sweeper);
    if (result < 0)
        return result;
    return bpf_map_update_elem(tables->sweeper_fd, &zero, &sweeper, BPF_ANY) < 0 ? -errno : 0; /* The kernel leaves the timer out. */
}
