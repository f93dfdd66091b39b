/* One event, one line, on standard error: "LEVEL message", with systemd's "<N>" level prefix under JOURNAL_STREAM and a
 * timestamp otherwise.  Only programs log; libraries return errors.  Safe from any thread. */
#ifndef WEFT_BASE_LOG_H
#define WEFT_BASE_LOG_H

#include <stdbool.h>
#include <stdint.h>

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARNING, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

void log_set_level(enum log_level level);                     /* INFO until set. */
int log_parse_level(const char *text, enum log_level *ret);   /* "error", "warning", "info", "debug"; else -EINVAL. */

/* Use the macros.  'site' limits each call site to 10 lines in 10 s; what was held back is counted in the next line. */
struct log_site {
    uint64_t window_start_ms;
    uint32_t n_lines;
    uint32_t n_held_back;
};
void log_write(struct log_site *site, enum log_level level, const char *format, ...) __attribute__((format(printf, 3, 4)));

#define LOG_AT_(level, ...)                                                                                  \
    do {                                                                                                     \
        static struct log_site site_;                                                                        \
        log_write(&site_, level, __VA_ARGS__);                                                               \
    } while (0)
#define log_error(...) LOG_AT_(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warning(...) LOG_AT_(LOG_LEVEL_WARNING, __VA_ARGS__)
#define log_info(...) LOG_AT_(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...) LOG_AT_(LOG_LEVEL_DEBUG, __VA_ARGS__)

#endif
