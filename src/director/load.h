/* The director's program and tables in the kernel: loading, and access from user space.
 *
 * Needs CAP_BPF and CAP_NET_ADMIN.  The program goes on where it is attached when the process is gone, and the next process finds
 * its tables.  Not thread-safe. */
#ifndef WEFT_DIRECTOR_LOAD_H
#define WEFT_DIRECTOR_LOAD_H

#include <stdbool.h>
#include <stdint.h>

#include "weft/base/cleanup.h"
#include "weft/base/error.h"
#include "weft/director/tables.h"

struct lb_sizes {
    uint32_t n_services, n_servers;
    uint32_t n_blocks;  /* Of rows. */
    uint32_t n_members; /* Positions. */
    uint32_t n_marks;   /* Of rules that give marks, in all lists. */
    uint32_t n_connections; /* Entries; rounded up to a power of two.  0: LB_CONNECTIONS. */
};

struct lb_tables {
    struct lb_sizes sizes;
    struct lb_service_record *services; /* Arrays of the kernel, mapped into memory. */
    struct lb_mark_rule *mark_rules;
    struct lb_local *locals;            /* LB_LOCALS of them. */
    struct lb_rows *rows;
    struct lb_member *members;
    struct lb_server_record *servers;
    struct lb_server_load *server_load;
    struct lb_service_load *service_load;
    struct lb_server_load *server_load_copied;   /* As they were in the tables before, until lb_settle; else NULL. */
    struct lb_service_load *service_load_copied;
    struct lb_counters *service_before, *server_before;
    struct lb_settings *settings;
    struct lb_conn *conn_slots;         /* See lb_slots. */
    struct lb_heads *conn_heads;
    int keys_fd, mark_places_fd, interfaces_fd, unresolved_fd, server_use_fd, service_use_fd, drops_fd, sweeper_fd;
    int program_fd;
    int n_cpus;               /* Possible ones: the size of per-CPU values. */
    struct director_bpf *skeleton;
};

/* Loads the program with tables of those sizes, all empty; or with 'before', whose sizes are not larger, with all that is in those, keys
 * excepted, and with the same connections and lists of marks.  Where the number of connections is another one, these get a table of their own, with a
 * copy of what fits: what the program before begins later is not in it.  0; or -errno with '*error', which quotes the verifier. */
int lb_tables_open(const struct lb_sizes *sizes, const struct lb_tables *before, struct lb_tables **ret_tables, struct error *error);

/* Once no interface has the program of 'before' any more, of which 'tables' were opened as a copy: what that one has counted of connections since then, which
 * both have, is counted here.  Takes LB_GRACE_MS.  Until then a count may be below zero, as a number of 32 bits. */
void lb_settle(struct lb_tables *tables, const struct lb_tables *before);

/* Loads the program with the tables that an earlier process kept in this network namespace, as they are.  0; -ENOENT: there are none;
 * -ESTALE: another release made them, in another layout; or -errno; all with '*error'. */
int lb_tables_find(struct lb_tables **ret_tables, struct error *error);
void lb_tables_close(struct lb_tables *tables);
DEFINE_CLEANUP(struct lb_tables *, lb_tables_close);

/* What a count of connections says: as the program's count_of (bpf/expiry.h), none where it is below zero. */
static inline uint32_t lb_count(uint32_t count)
{
    return (int32_t)count > 0 ? count : 0;
}

/* How many slots there are: see tables.h. */
static inline uint32_t lb_slots(const struct lb_tables *tables)
{
    return LB_SLOTS_FOR(tables->sizes.n_connections);
}

/* load-connections.c, for load.c: the copy, and the counts of servers and services anew.  Returns 0 or -errno. */
int lb_copy_connections(struct lb_tables *tables, const struct lb_tables *before);

/* From now on a later process finds these, in the place of those before, until lb_release; and connections end by this program.  A timer
 * ends them, which would rest if no program of user space held its table: the names do that, too (pins.h).  0 or -errno with '*error'. */
int lb_keep(const struct lb_tables *tables, struct error *error);
void lb_release(void);
/* Those of network namespaces that are gone.  Of how many. */
unsigned lb_release_dead(void);

/* A record becomes 'content', with the content before in force until the last store.  The same record is not written again for
 * LB_GRACE_MS. */
void lb_write_service(struct lb_tables *tables, uint32_t number, const struct lb_service *content);
void lb_write_server(struct lb_tables *tables, uint32_t number, const struct lb_server *content);
void lb_write_row(struct lb_tables *tables, uint32_t first_block, uint32_t row, struct lb_row content);

/* 0 or -errno. */
int lb_put_key(struct lb_tables *tables, const struct lb_key *key, uint32_t service);
int lb_delete_key(struct lb_tables *tables, const struct lb_key *key);
/* That the address of the key is one of services, or of none any more. */
int lb_put_address(struct lb_tables *tables, const struct lb_key *key);
int lb_delete_address(struct lb_tables *tables, const struct lb_key *key);
/* That the rules for a prefix are that list. */
int lb_put_marks(struct lb_tables *tables, const struct lb_mark_key *key, struct lb_mark_list list);
/* The list behind that of 'before', or the first one (NULL).  0, -ENOENT, or -errno. */
int lb_next_marks(const struct lb_tables *tables, const struct lb_mark_key *before, struct lb_mark_key *ret, struct lb_mark_list *ret_list);
int lb_delete_marks(struct lb_tables *tables, const struct lb_mark_key *key);
int lb_put_interface(struct lb_tables *tables, uint32_t ifindex, const uint8_t mac[6]);

/* The sums over all CPUs.  0 or -errno. */
int lb_read_service(const struct lb_tables *tables, uint32_t number, struct lb_service_use *ret);
int lb_read_server(const struct lb_tables *tables, uint32_t number, struct lb_counters *ret);
/* What is in that slot: true with a copy, if it is a connection, or a template, that is alive and names a service and a server that the tables have room for. */
bool lb_read_connection(const struct lb_tables *tables, uint32_t slot, struct lb_conn *ret);
/* Puts a connection there that another director has had, with its reverse if it is translated, and counts it; or what is known of one that is there: it was heard
 * of, its state.  0; -EBUSY: the tables do not take it (no room, its server is not there, another connection is in its place); or -errno. */
int lb_take_connection(struct lb_tables *tables, const struct lb_conn *conn);
/* How many connections there are. */
uint32_t lb_read_connections(const struct lb_tables *tables);
/* Takes one of the clients whose next hop is to be asked for.  0; -ENOENT: there is none; or -errno. */
int lb_take_unresolved(struct lb_tables *tables, struct lb_address *ret);
int lb_read_drops(const struct lb_tables *tables, struct lb_drops *ret);

#endif
