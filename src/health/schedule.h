/* Whose turn it is: entries that wait for their time in a heap, and those whose time has come in a queue for each group.  Pure: the time is
 * given.  See set.h for how places are shared. */
#ifndef WEFT_HEALTH_SCHEDULE_H
#define WEFT_HEALTH_SCHEDULE_H

#include <stdbool.h>
#include <stdint.h>

#include "weft/base/hashmap.h"

#define SCHEDULE_NEVER UINT64_MAX

struct schedule_group;

enum schedule_place { SCHEDULE_NOWHERE, SCHEDULE_IN_HEAP, SCHEDULE_IN_QUEUE, SCHEDULE_RUNNING };

/* Within the object that is scheduled; zeroed at first. */
struct schedule_entry {
    uint64_t due_ms;
    struct schedule_group *group;
    struct schedule_entry *next, *previous; /* In the queue. */
    uint32_t heap_index;
    enum schedule_place place;
};

struct schedule {
    struct schedule_entry **heap;
    uint32_t n_heap, capacity;          /* There is room for all entries. */
    struct hashmap groups;              /* By number. */
    struct schedule_group *turn;        /* Groups with a queue, in a ring: whose turn is next. */
    uint32_t n_entries, at_once, n_running, n_queued;
    uint32_t latest_ms;
    uint32_t per_second;                /* 0: as fast as places allow. */
    uint64_t paid_us;                   /* Until then all that may start has (a generic cell rate algorithm, ITU-T I.371). */
    bool is_paced;                      /* The last call of schedule_take found somebody who must wait for his time only. */
};

void schedule_init(struct schedule *schedule, uint32_t at_once); /* At least 1. */

/* At most so many are taken in a second, over any tenth of one. */
void schedule_set_pace(struct schedule *schedule, uint32_t per_second);
void schedule_clear(struct schedule *schedule);                  /* After all entries were removed. */

/* Waits until 'due_ms'.  0 or -ENOMEM; later calls for the entry cannot fail. */
int schedule_add(struct schedule *schedule, struct schedule_entry *entry, uint64_t group, uint64_t due_ms);
void schedule_remove(struct schedule *schedule, struct schedule_entry *entry); /* Wherever it is. */

/* The next entry that may run now, which takes a place; NULL: none. */
struct schedule_entry *schedule_take(struct schedule *schedule, uint64_t now_ms);
void schedule_return(struct schedule *schedule, struct schedule_entry *entry, uint64_t due_ms); /* It gives its place back and waits again. */

/* When something gets due that waits for its time, or the pace lets the next one go; SCHEDULE_NEVER.  What waits for a place is not meant. */
uint64_t schedule_next_ms(const struct schedule *schedule);

#endif
