/* How many rows the table of a pool has, and how many the pools of a project may have together.
 *
 * Every host has room for 65,536 blocks of 53 rows, which all projects share.  So a pool has as few as do: each member is to have about ten, and
 * weights are to count.
 *
 *     members                                              rows
 *     up to 25, none of less than a 25th of all weight      251     5 blocks
 *     up to 400, or weights that differ so much           4,093    78
 *     more                                               65,537 1,237
 *
 * A pool that has grown out of its table gets one of 16 times as many rows, in which flows find the members that they had (balance_table_grow);
 * so there are also tables of 4,016, 64,256 and 65,488.  A table does not shrink: rows that have parted cannot become one again. */
#ifndef WEFT_API_BALANCE_SIZE_H
#define WEFT_API_BALANCE_SIZE_H

#include "weft/api/resources.h"
#include "weft/model/objects.h"

#define BALANCE_ROWS_SMALL 251
#define BALANCE_ROWS_MIDDLE 4093
#define BALANCE_ROWS_LARGE 65537
#define BALANCE_MEMBERS_SMALL 25  /* At most so many. */
#define BALANCE_MEMBERS_MIDDLE 400
#define BALANCE_GROWTH 16

enum balance_size { BALANCE_SMALL, BALANCE_MIDDLE, BALANCE_LARGE };

/* What there is in a pool, added up one by one from a zeroed struct. */
struct balance_census {
    size_t n_members;
    uint64_t sum_of_weights, least_weight; /* Of those that have any. */
};
void balance_census_add(struct balance_census *census, const struct pool_member *member);
enum balance_size balance_census_size(const struct balance_census *census);

uint32_t balance_size_rows(enum balance_size size);           /* Of a new table, a prime: as many as count for the quota. */
enum balance_size balance_size_of_rows(uint32_t n_rows);      /* Of a table that is there. */

uint64_t balance_size_used(const struct replica *replica, const char *project_id); /* Rows of all its pools. */

/* May the project's pools have as many rows as they need when this request is done, which changes 'pool_id' or makes it?  Who does not grow always
 * may.  0; -EBUSY: 409 "OverQuota", field "balance_rows". */
int balance_size_check(struct change *change, const char *pool_id, const char *project_id);

#endif
