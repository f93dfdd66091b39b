/* Answered requests, counted by route: how many with which status, and how long they took. */
#ifndef WEFT_HTTP_COUNTERS_H
#define WEFT_HTTP_COUNTERS_H

#include <stdint.h>

#include "weft/base/buffer.h"
#include "weft/base/cleanup.h"

struct route;
struct request_counters;

int request_counters_new(struct request_counters **ret_counters);
void request_counters_free(struct request_counters *counters);
DEFINE_CLEANUP(struct request_counters *, request_counters_free);

/* 'route' is NULL when none was found; else it must outlive 'counters'.  'duration_ns' is from the request line to the answer. */
void request_counters_count(struct request_counters *counters, const struct route *route, int status, uint64_t duration_ns);

/* Prometheus' text: PREFIX_requests_total and the histogram PREFIX_request_duration_seconds, with the labels method and route. */
void request_counters_write(const struct request_counters *counters, const char *prefix, struct buffer *buffer);

#endif
