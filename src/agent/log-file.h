/* A file that lines are appended to, by a thread of libuv's: a slow or full disk holds nobody up.  What waits is bounded; what finds no room, or
 * cannot be written, is counted.  The file (and its folder) is made when there is something to write.  All calls are in the loop's thread. */
#ifndef WEFT_AGENT_LOG_FILE_H
#define WEFT_AGENT_LOG_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#define LOG_FILE_MAX_WAITING (1u << 20) /* Bytes. */

struct log_file;

struct log_file_counters {
    uint64_t n_written, n_lost; /* Lines. */
};

int log_file_new(uv_loop_t *loop, const char *path, struct log_file **ret); /* 0 or -ENOMEM.  Opens nothing yet. */

/* Takes a copy of one line with its end.  False: it is lost, and counted. */
bool log_file_append(struct log_file *file, const char *line, size_t size);

/* After the file was renamed: closes it; what comes next goes to a new one. */
void log_file_reopen(struct log_file *file);

const struct log_file_counters *log_file_counters(const struct log_file *file);
uint64_t log_file_take_lost(struct log_file *file); /* Lines lost since the last call; 0 while writing still fails. */

/* The end, in two steps: no more writes are begun; and, when the loop has run out and with it a write under way, what waits is written in
 * this thread, and all is freed.  NULL is fine. */
void log_file_stop(struct log_file *file);
void log_file_free(struct log_file *file);

#endif
