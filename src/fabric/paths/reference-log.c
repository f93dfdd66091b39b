/* The reference algorithm's log; see reference-log.h. */
#include "weft/fabric/paths/reference-log.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

__attribute__((format(printf, 2, 3))) static void write_line(const struct reference_log *log, const char *format, ...)
{
    char text[128];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    log->line(text, log->context);
}

static void candidate(uint32_t node, void *context)
{
    const struct reference_log *log = context;

    write_line(log, "[pickup_next_candidate] Find a candidate = 0x%" PRIx64, log->datapath_id(node, log->context));
}

static void distance(uint32_t node, uint32_t value, void *context)
{
    const struct reference_log *log = context;

    write_line(log, "[update_distance] node = 0x%" PRIx64 ", distance = %" PRIu32, log->datapath_id(node, log->context),
               value);
}

static void hop(uint32_t node, void *context)
{
    const struct reference_log *log = context;

    write_line(log, "[build_hop_list] build a hop = 0x%" PRIx64, log->datapath_id(node, log->context));
}

static void path(size_t index, void *context)
{
    write_line(context, "[resolve_path] find a hop list %zu", index);
}

struct reference_trace reference_log_trace(const struct reference_log *log)
{
    return (struct reference_trace){
        .candidate = candidate, .distance = distance, .hop = hop, .path = path, .context = (void *)log};
}

size_t reference_log_choice(const struct reference_log *log, size_t n_paths, uint32_t hash_value)
{
    size_t key = hash_value % n_paths;

    write_line(log, "[resolve_path] has %zu paths, pick up the key = %zu from hash_value = %" PRIu32, n_paths, key,
               hash_value);
    return key;
}
