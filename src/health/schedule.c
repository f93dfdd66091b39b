/* See schedule.h. */
#include "weft/health/schedule.h"

#include <errno.h>
#include <stdlib.h>

#include "weft/base/util.h"

#define PACE_BURST_US 100000u /* As much as may start in that time may start at once. */
#define CHILDREN 4 /* Of a node of the heap: fewer levels, neighbours in memory. */

struct schedule_group {
    struct hashmap_node by_number;
    uint64_t number;
    struct schedule_entry *first, *last;     /* Due, in the order in which they became so. */
    struct schedule_group *next, *previous;  /* In the ring; NULL: not in it, its queue is empty. */
    uint32_t n_entries, n_running;
};

void schedule_init(struct schedule *schedule, uint32_t at_once)
{
    *schedule = (struct schedule){.at_once = MAX(at_once, 1)};
}

void schedule_set_pace(struct schedule *schedule, uint32_t per_second)
{
    schedule->per_second = per_second;
}

void schedule_clear(struct schedule *schedule)
{
    hashmap_clear(&schedule->groups);
    free(schedule->heap);
    *schedule = (struct schedule){0};
}

/* ---- the heap ----------------------------------------------------------------------------------------------------------------- */

static void heap_put(struct schedule *schedule, struct schedule_entry *entry, uint32_t index)
{
    schedule->heap[index] = entry;
    entry->heap_index = index;
}

static void sift_up(struct schedule *schedule, struct schedule_entry *entry, uint32_t index)
{
    while (index > 0) {
        uint32_t parent = (index - 1) / CHILDREN;

        if (schedule->heap[parent]->due_ms <= entry->due_ms)
            break;
        heap_put(schedule, schedule->heap[parent], index);
        index = parent;
    }
    heap_put(schedule, entry, index);
}

static void sift_down(struct schedule *schedule, struct schedule_entry *entry, uint32_t index)
{
    for (;;) {
        uint32_t first = index * CHILDREN + 1, end = MIN(first + CHILDREN, schedule->n_heap), least = first;

        if (first >= schedule->n_heap)
            break;
        for (uint32_t child = first + 1; child < end; child++)
            if (schedule->heap[child]->due_ms < schedule->heap[least]->due_ms)
                least = child;
        if (schedule->heap[least]->due_ms >= entry->due_ms)
            break;
        heap_put(schedule, schedule->heap[least], index);
        index = least;
    }
    heap_put(schedule, entry, index);
}

static void heap_add(struct schedule *schedule, struct schedule_entry *entry)
{
    entry->place = SCHEDULE_IN_HEAP;
    sift_up(schedule, entry, schedule->n_heap++);
}

static void heap_remove(struct schedule *schedule, struct schedule_entry *entry)
{
    uint32_t index = entry->heap_index;
    struct schedule_entry *last = schedule->heap[--schedule->n_heap];

    entry->place = SCHEDULE_NOWHERE;
    if (last == entry)
        return;
    if (index > 0 && last->due_ms < schedule->heap[(index - 1) / CHILDREN]->due_ms)
        sift_up(schedule, last, index);
    else
        sift_down(schedule, last, index);
}

/* ---- queues ------------------------------------------------------------------------------------------------------------------- */

static void ring_add(struct schedule *schedule, struct schedule_group *group)
{
    struct schedule_group *turn = schedule->turn;

    if (!turn) {
        group->next = group->previous = schedule->turn = group;
        return;
    }
    group->next = turn; /* Behind all others. */
    group->previous = turn->previous;
    turn->previous->next = group;
    turn->previous = group;
}

static void ring_remove(struct schedule *schedule, struct schedule_group *group)
{
    if (schedule->turn == group)
        schedule->turn = group->next == group ? NULL : group->next;
    group->previous->next = group->next;
    group->next->previous = group->previous;
    group->next = group->previous = NULL;
}

static void queue_add(struct schedule *schedule, struct schedule_entry *entry)
{
    struct schedule_group *group = entry->group;

    entry->place = SCHEDULE_IN_QUEUE;
    entry->next = NULL;
    entry->previous = group->last;
    if (group->last)
        group->last->next = entry;
    else
        group->first = entry;
    group->last = entry;
    schedule->n_queued++;
    if (!group->next)
        ring_add(schedule, group);
}

static void queue_remove(struct schedule *schedule, struct schedule_entry *entry)
{
    struct schedule_group *group = entry->group;

    if (entry->previous)
        entry->previous->next = entry->next;
    else
        group->first = entry->next;
    if (entry->next)
        entry->next->previous = entry->previous;
    else
        group->last = entry->previous;
    entry->place = SCHEDULE_NOWHERE;
    schedule->n_queued--;
    if (!group->first)
        ring_remove(schedule, group);
}

/* ---- entries ------------------------------------------------------------------------------------------------------------------ */

static struct schedule_group *get_group(struct schedule *schedule, uint64_t number)
{
    struct hashmap_node *node = hashmap_find(&schedule->groups, &number, sizeof(number));
    struct schedule_group *group;

    if (node)
        return CONTAINER_OF(node, struct schedule_group, by_number);
    group = calloc(1, sizeof(*group));
    if (!group)
        return NULL;
    group->number = number;
    if (hashmap_insert(&schedule->groups, &group->by_number, &group->number, sizeof(group->number)) < 0) {
        free(group);
        return NULL;
    }
    return group;
}

static int make_room(struct schedule *schedule)
{
    uint32_t capacity = MAX(2 * schedule->capacity, 64);
    struct schedule_entry **heap;

    if (schedule->n_entries < schedule->capacity)
        return 0;
    heap = realloc(schedule->heap, capacity * sizeof(*heap));
    if (!heap)
        return -ENOMEM;
    schedule->heap = heap;
    schedule->capacity = capacity;
    return 0;
}

int schedule_add(struct schedule *schedule, struct schedule_entry *entry, uint64_t group, uint64_t due_ms)
{
    if (make_room(schedule) < 0)
        return -ENOMEM;
    *entry = (struct schedule_entry){.due_ms = due_ms, .group = get_group(schedule, group)};
    if (!entry->group)
        return -ENOMEM;
    schedule->n_entries++;
    entry->group->n_entries++;
    heap_add(schedule, entry);
    return 0;
}

static void leave_place(struct schedule *schedule, struct schedule_entry *entry)
{
    entry->place = SCHEDULE_NOWHERE;
    schedule->n_running--;
    entry->group->n_running--;
}

void schedule_remove(struct schedule *schedule, struct schedule_entry *entry)
{
    struct schedule_group *group = entry->group;

    if (entry->place == SCHEDULE_IN_HEAP)
        heap_remove(schedule, entry);
    else if (entry->place == SCHEDULE_IN_QUEUE)
        queue_remove(schedule, entry);
    else if (entry->place == SCHEDULE_RUNNING)
        leave_place(schedule, entry);
    schedule->n_entries--;
    if (--group->n_entries == 0) {
        hashmap_remove(&schedule->groups, &group->by_number);
        free(group);
    }
    entry->group = NULL;
}

/* As many as are free: the more groups want places, the fewer one gets, and there are always some for the next that comes. */
static bool may_run(const struct schedule *schedule, const struct schedule_group *group)
{
    uint32_t n_free = schedule->at_once - schedule->n_running;

    return n_free > 0 && (group->n_running < n_free || group->n_running == 0);
}

/* May one more start at 'now_ms', by the pace? */
static bool is_in_pace(const struct schedule *schedule, uint64_t now_ms)
{
    return !schedule->per_second || schedule->paid_us <= now_ms * 1000 + PACE_BURST_US;
}

static void pay(struct schedule *schedule, uint64_t now_ms)
{
    if (schedule->per_second)
        schedule->paid_us = MAX(schedule->paid_us, now_ms * 1000) + 1000000u / schedule->per_second;
}

struct schedule_entry *schedule_take(struct schedule *schedule, uint64_t now_ms)
{
    struct schedule_group *first, *group;

    while (schedule->n_heap > 0 && schedule->heap[0]->due_ms <= now_ms) {
        struct schedule_entry *entry = schedule->heap[0];

        heap_remove(schedule, entry);
        queue_add(schedule, entry);
    }
    schedule->is_paced = false;
    if (schedule->n_running >= schedule->at_once)
        return NULL;
    first = group = schedule->turn;
    while (group && !may_run(schedule, group)) {
        group = group->next;
        if (group == first)
            return NULL;
    }
    if (!group)
        return NULL;
    if (!is_in_pace(schedule, now_ms)) {
        schedule->is_paced = true;
        return NULL;
    }
    pay(schedule, now_ms);
    struct schedule_entry *entry = group->first;
    uint64_t late = now_ms > entry->due_ms ? now_ms - entry->due_ms : 0;
    schedule->turn = group->next;
    queue_remove(schedule, entry);
    entry->place = SCHEDULE_RUNNING;
    schedule->n_running++;
    group->n_running++;
    schedule->latest_ms = MAX(schedule->latest_ms, (uint32_t)MIN(late, UINT32_MAX));
    return entry;
}

void schedule_return(struct schedule *schedule, struct schedule_entry *entry, uint64_t due_ms)
{
    leave_place(schedule, entry);
    entry->due_ms = due_ms;
    heap_add(schedule, entry);
}

uint64_t schedule_next_ms(const struct schedule *schedule)
{
    uint64_t due_ms = schedule->n_heap ? schedule->heap[0]->due_ms : SCHEDULE_NEVER;

    return schedule->is_paced ? MIN(due_ms, (schedule->paid_us - PACE_BURST_US + 999) / 1000) : due_ms;
}
