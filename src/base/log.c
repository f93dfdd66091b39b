#include "weft/base/log.h"

#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "weft/base/clock.h"
#include "weft/base/util.h"

#define WINDOW_MS 10000
#define LINES_A_WINDOW 10

static const char *const names[] = {"error", "warning", "info", "debug"};
static const int priorities[] = {3, 4, 6, 7}; /* syslog(3) */
static enum log_level threshold = LOG_LEVEL_INFO;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

void log_set_level(enum log_level level)
{
    threshold = level;
}

int log_parse_level(const char *text, enum log_level *ret)
{
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        if (streq(text, names[i])) {
            *ret = i;
            return 0;
        }
    }
    return -EINVAL;
}

/* True when a line may be written; '*ret_held_back' is then what to confess to. */
static bool admit(struct log_site *site, uint32_t *ret_held_back)
{
    uint64_t now_ms = clock_monotonic_ms();

    *ret_held_back = 0;
    if (site->n_lines == 0 || now_ms - site->window_start_ms >= WINDOW_MS) {
        *ret_held_back = site->n_held_back;
        *site = (struct log_site){.window_start_ms = now_ms};
    }
    if (site->n_lines >= LINES_A_WINDOW) {
        site->n_held_back++;
        return false;
    }
    site->n_lines++;
    return true;
}

/* One event, one line, and nothing that a terminal obeys, whatever a tenant wrote into a name: the controls of ASCII, and those that
 * UTF-8 writes as C2 80 to C2 9F (ISO 6429: C2 9B is as good as ESC [). */
static void strip_controls(char *line, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        unsigned char c = line[i], next = i + 1 < size ? line[i + 1] : 0;

        if (c < ' ' || c == 0x7f)
            line[i] = ' ';
        else if (c == 0xc2 && next >= 0x80 && next < 0xa0)
            line[i] = line[i + 1] = ' ';
    }
}

void log_write(struct log_site *site, enum log_level level, const char *format, ...)
{
    char line[2048], stamp[TIME_TEXT_SIZE];
    uint32_t held_back;
    size_t used, room = sizeof line - 64;
    int length;
    va_list arguments;

    if (level > threshold)
        return;
    pthread_mutex_lock(&lock);
    if (!admit(site, &held_back)) {
        pthread_mutex_unlock(&lock);
        return;
    }
    if (getenv("JOURNAL_STREAM"))
        used = (size_t)snprintf(line, room, "<%d>", priorities[level]);
    else
        used = (size_t)snprintf(line, room, "%s %s: ", time_format(clock_realtime_s(), stamp), names[level]);
    va_start(arguments, format);
    length = vsnprintf(line + used, room - used, format, arguments);
    va_end(arguments);
    used = MIN(used + MAX(length, 0), room - 1);
    strip_controls(line, used);
    if (held_back)
        used += (size_t)snprintf(line + used, sizeof line - used, " (%u like this held back)", held_back);
    line[used++] = '\n';
    for (size_t done = 0; done < used;) {
        ssize_t written = write(STDERR_FILENO, line + done, used - done);

        if (written < 0 && errno != EINTR)
            break; /* Nobody reads; there is nobody to tell either. */
        done += written > 0 ? written : 0;
    }
    pthread_mutex_unlock(&lock);
}
