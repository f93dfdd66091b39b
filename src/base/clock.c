#include "weft/base/clock.h"

#include <errno.h>
#include <string.h>
#include <time.h>

uint64_t clock_monotonic_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + now.tv_nsec;
}

uint64_t clock_monotonic_ms(void)
{
    return clock_monotonic_ns() / 1000000u;
}

uint64_t clock_realtime_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000u + (uint64_t)now.tv_nsec / 1000000u;
}

int64_t clock_realtime_s(void)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    return now.tv_sec;
}

const char *time_format(int64_t realtime_s, char text[TIME_TEXT_SIZE])
{
    time_t seconds = realtime_s;
    struct tm parts;

    if (!gmtime_r(&seconds, &parts) || strftime(text, TIME_TEXT_SIZE, "%Y-%m-%dT%H:%M:%SZ", &parts) == 0)
        text[0] = '\0'; /* Beyond year 9999. */
    return text;
}

int time_parse(const char *text, int64_t *ret_realtime_s)
{
    struct tm parts = {};
    const char *end = strptime(text, "%Y-%m-%dT%H:%M:%SZ", &parts);
    char again[TIME_TEXT_SIZE];
    int64_t seconds;

    if (!end || *end)
        return -EINVAL;
    seconds = timegm(&parts);
    /* strptime also takes the 30th of February, spaces and single digits. */
    if (strcmp(time_format(seconds, again), text) != 0)
        return -EINVAL;
    *ret_realtime_s = seconds;
    return 0;
}
