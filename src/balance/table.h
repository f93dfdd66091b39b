/* Which server a flow goes to: a table of rows, of which a flow's hash selects one.  Each row has an owner, where new
 * flows go, and remembers up to three previous owners, where its older flows may still live: a packet that is not a
 * flow's first and finds no socket at the owner is handed on to them in order (the second chance of GLB Director and of
 * Beamer: Olteanu et al., "Stateless Datacenter Load-balancing with Beamer", NSDI 2018).  So no balancer keeps state of
 * flows, and balancers may come and go.
 *
 * The table is seeded by Maglev (maglev.h).  Every later change moves the fewest rows that bring each server to its
 * weight's share, rounded up or down (shares.h); where there is a choice, rows with the shortest history move.  A flow
 * that lives on a server that is still there is not broken as long as its row moved at most three times within its
 * history's time.
 *
 * The table depends on all changes so far, so one writer has it and publishes numbered deltas; readers keep a copy
 * (copy.h).
 *
 * No I/O, no clock: times are the caller's, in milliseconds, and never go back.  A table belongs to one thread at a
 * time. */
#ifndef WEFT_BALANCE_TABLE_H
#define WEFT_BALANCE_TABLE_H

#include <stddef.h>
#include <stdint.h>

#include "weft/base/cleanup.h"
#include "weft/base/error.h"

#define BALANCE_ROWS_DEFAULT 65537
#define BALANCE_ROWS_MAX 1048573  /* The largest prime below 2^20. */
#define BALANCE_SERVERS_MAX 65535 /* And no more than there are rows. */
#define BALANCE_ID_MAX 63         /* Bytes of a server's id. */
#define BALANCE_PREVIOUS 3
#define BALANCE_NOBODY UINT16_MAX
#define BALANCE_NEVER UINT64_MAX

/* Servers by their index, which one keeps as long as it is in the table.  Previous owners: the latest first, none
 * twice, none that is the owner, then BALANCE_NOBODY.  In host byte order. */
struct balance_row {
    uint16_t owner;
    uint16_t previous[BALANCE_PREVIOUS];
};
_Static_assert(sizeof(struct balance_row) == 8, "a row is published as it is");

struct balance_server {
    const char *id;          /* 1 to BALANCE_ID_MAX bytes; borrowed during the call. */
    uint16_t weight;         /* 0: draining; gets no new flows and is remembered until 'drain_until_ms'. */
    uint64_t drain_until_ms; /* Used while the weight is 0. */
    const char *replaces; /* NULL, or of a server that is new: whose rows it gets.  That one must be in the table, and
                           * by this change have weight 0 or leave. */
};

struct balance_change {
    uint32_t row;
    struct balance_row content;
};

/* What brings a copy from 'sequence' - 1 to 'sequence'.  'changes' are in order of rows. */
struct balance_delta {
    uint64_t lineage, sequence;
    const struct balance_change *changes;
    size_t n_changes;
    size_t n_moved; /* Rows with another owner than before. */
};

struct balance_table;

/* An empty table of 'n_rows', a prime (BALANCE_ROWS_DEFAULT unless there is a reason), at sequence 0.  'lineage' tells
 * this table from the one of an earlier writer: a number that none had before, for example random.  A previous owner is
 * remembered for 'history_ms' after it lost the row (BALANCE_NEVER: until the row has three later ones).  The caller
 * owns '*ret_table', which is untouched on failure. 0, -EINVAL (not a prime from 2 to BALANCE_ROWS_MAX; '*error' has
 * field "rows") or -ENOMEM.  'error' may be NULL here and below. */
int balance_table_new(uint32_t n_rows, uint64_t lineage, uint64_t history_ms, struct balance_table **ret_table,
                      struct error *error);
/* A writer that begins anew goes on where the last one was: a table with these rows, at 'sequence' of 'lineage'.  'servers' are those of the last
 * balance_table_set with the index that each of them had; their weights matter only as far as they are 0 (draining) or not.  When previous owners
 * lost their rows is not known any more: as if it were 'now_ms'.  'rows' are copied.
 *
 * 0, -EINVAL ('*error' says of which "rows", "rows[...]" or "servers[...]": not a number of rows that a table can have, an index or id that is given twice, an owner who is
 * no server, a history that none could have), or -ENOMEM. */
struct balance_restored_server {
    const char *id; /* 1 to BALANCE_ID_MAX bytes; borrowed during the call. */
    uint16_t index, weight;
    uint64_t drain_until_ms;
};
int balance_table_restore(const struct balance_row *rows, uint32_t n_rows, uint64_t lineage, uint64_t sequence,
                          uint64_t history_ms, const struct balance_restored_server *servers, size_t n_servers,
                          uint64_t now_ms, struct balance_table **ret_table, struct error *error);
void balance_table_free(struct balance_table *table);
DEFINE_CLEANUP(struct balance_table *, balance_table_free);

/* Makes 'servers' those of the table, all changes at once.  A server that is not among them has left: its rows move and
 * no row remembers it. What is too old is forgotten as by balance_table_age.  The sequence goes up by one if a row
 * changed.
 *
 * 0, or with the table as it was: -EINVAL (no server, none with a weight, an id of a wrong length, a replaced server
 * that keeps a weight), -EEXIST (an id given or replaced twice), -ENOENT (the replaced one is not there), -E2BIG (more
 * than BALANCE_SERVERS_MAX or than rows; or more than there are indices, of which those of leaving servers are free for
 * the next change only), -ENOMEM.  '*error' names the entry: "servers[3].id". */
int balance_table_set(struct balance_table *table, const struct balance_server *servers, size_t n_servers,
                      uint64_t now_ms, struct error *error);

/* Makes of each row 'factor' rows that follow each other, with its owner and its history, and of the table one that can be divided more finely.  A
 * flow whose row is the product of its hash, as a fraction of 1, and the number of rows finds the owners that it had: floor(floor(x * factor) /
 * factor) is floor(x).  There is no way back: rows that have parted are two.  The sequence goes up by one and the delta says nothing: copies need the
 * whole.  0, or with the table as it was: -EINVAL ("factor": below 2, more than BALANCE_ROWS_MAX rows, or no servers yet) or -ENOMEM. */
int balance_table_grow(struct balance_table *table, uint32_t factor, struct error *error);

/* Forgets previous owners whose time is over: 'history_ms' after they lost the row, or at its deadline if the server
 * drains.  The sequence goes up by one if a row changed.  It costs nothing before balance_table_next_ms, before which
 * none of them is over (BALANCE_NEVER: none ever is); what changed since may make it later than that. */
void balance_table_age(struct balance_table *table, uint64_t now_ms);
uint64_t balance_table_next_ms(const struct balance_table *table);

/* Another time than the table was made with, from the next change on, for what lost its row before, too. */
void balance_table_set_history(struct balance_table *table, uint64_t history_ms);

/* When each previous owner of the row lost it; and, of a table that was restored, what the caller knows better than 'now_ms' of then. */
const uint64_t *balance_table_lost_ms(const struct balance_table *table, uint32_t row);
void balance_table_set_lost_ms(struct balance_table *table, uint32_t row, const uint64_t lost_ms[BALANCE_PREVIOUS]);

/* What the last change did: of sequence 0, and without changes, at first.  Valid, as the rows are, until the next call
 * of _set, _age or _free. */
const struct balance_delta *balance_table_delta(const struct balance_table *table);
const struct balance_row *balance_table_rows(const struct balance_table *table, uint32_t *ret_n_rows);

/* A server's index, or BALANCE_NOBODY; and the other way round, or NULL.  The id is the table's. */
uint16_t balance_table_index(const struct balance_table *table, const char *id);
const char *balance_table_id(const struct balance_table *table, uint16_t index);

#endif
