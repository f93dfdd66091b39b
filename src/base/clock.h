/* Time.  Protocol machines are given it; only programs call these. */
#ifndef WEFT_BASE_CLOCK_H
#define WEFT_BASE_CLOCK_H

#include <stdint.h>

#define TIME_TEXT_SIZE 21 /* "2026-01-31T23:59:59Z" and the end. */

uint64_t clock_monotonic_ms(void);
uint64_t clock_monotonic_ns(void);
uint64_t clock_realtime_ms(void); /* Since 1970, UTC. */
int64_t clock_realtime_s(void); /* Seconds since 1970, UTC. */

/* RFC 3339 in UTC, to the second, as OpenStack prints timestamps. */
const char *time_format(int64_t realtime_s, char text[TIME_TEXT_SIZE]);
int time_parse(const char *text, int64_t *ret_realtime_s); /* 0 or -EINVAL. */

#endif
