/* Which stretches of an array are free.  Single-threaded.  A zeroed struct has none. */
#ifndef WEFT_DIRECTOR_RANGES_H
#define WEFT_DIRECTOR_RANGES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RANGE_NONE UINT32_MAX

struct range {
    uint32_t first, n;
};

struct ranges {
    struct range *free; /* In order, none touches the next. */
    size_t n_free, n_room;
};

/* All of 'n' is free.  0 or -ENOMEM. */
int ranges_init(struct ranges *ranges, uint32_t n);
void ranges_clear(struct ranges *ranges);

/* The first stretch of 'n' (1 or more) that is free, taken; RANGE_NONE: there is none. */
uint32_t ranges_take(struct ranges *ranges, uint32_t n);

/* Takes that stretch.  False: it is not free as a whole; or there was no memory. */
bool ranges_take_at(struct ranges *ranges, uint32_t first, uint32_t n);

/* Gives back what was taken.  Without memory to remember it, it is lost; nothing else happens. */
void ranges_give(struct ranges *ranges, uint32_t first, uint32_t n);

#endif
