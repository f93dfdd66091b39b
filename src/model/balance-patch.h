/* What changed of a pool's rows, so that one member's change does not cost the whole table on its way to each host.
 *
 * A history, kept by who sends, knows for each row and member with which revision of the store it changed last: so it can say to whoever has any
 * revision since the history began what is to be done, and need not remember the revisions between.  A patch is JSON:
 *
 *     "from": 12                          the revision that it is for
 *     "object": {...}                     balance_rows as it is now, but "members" only those that changed or came, and "rows" empty
 *     "gone": ["<id>", ...]               members that are not there any more, in the order of ids
 *     "changes": "<base64>"               12 bytes for each row that changed: its number, and the row, little-endian
 *     "check": 3735928559                 of all rows and members as they are then: after a restore from a backup a store gives revisions out again,
 *                                         so 'from' alone does not prove that both sides mean the same
 *
 * The check is FNV-1a of 32 bits, over the rows' bytes, and then of each member over its id (36 bytes), index (2, little-endian), state (1: 0 serves, 1
 * drains, 2 is down), whether it failed (1), and its deadline (8, little-endian; 0: none).
 *
 * Members are in the order of their ids, before and after.  Single-threaded. */
#ifndef WEFT_MODEL_BALANCE_PATCH_H
#define WEFT_MODEL_BALANCE_PATCH_H

#include <stdbool.h>

#include "weft/base/buffer.h"
#include "weft/base/cleanup.h"
#include "weft/model/schema.h"

struct balance_history;

/* Of all pools of a server. */
struct balance_histories;
int balance_histories_new(struct balance_histories **ret_histories);
void balance_histories_free(struct balance_histories *histories);
DEFINE_CLEANUP(struct balance_histories *, balance_histories_free);

/* 'before' became 'after', each with its store_revision; NULL: it was not, or is not there.  Without memory the pool's history begins anew. */
void balance_histories_change(struct balance_histories *histories, const struct balance_rows *before, const struct balance_rows *after);

/* Appends the members of a patch (without braces) that makes of 'now' as it was at revision 'from' what it is.  0; -ESTALE: the history does not go
 * back so far, or whole it is shorter; -ENOMEM. */
int balance_histories_write(const struct balance_histories *histories, const struct balance_rows *now, uint64_t from, struct buffer *buffer);

uint32_t balance_rows_check(const struct balance_rows *rows);

/* Makes of 'header', the decoded "object" of a patch, all that it is to be, with what 'before' has, which loses its rows and members.  'patch' holds
 * "gone", "changes" and, unless it is of an earlier release, "check".  0; -EINVAL with '*error': it does not fit; -ENOMEM: in both cases 'before' is as it
 * was, and 'header' is of no use. */
int balance_patch_apply(struct balance_rows *before, struct balance_rows *header, const json_t *patch, struct error *error);

#endif
