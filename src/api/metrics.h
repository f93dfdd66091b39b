/* Counters of the program in Prometheus' text form, on a listener of its own, with /healthz and /readyz beside it. */
#ifndef WEFT_API_METRICS_H
#define WEFT_API_METRICS_H

#include <stddef.h>
#include <stdint.h>

#include "weft/base/buffer.h"

struct api;
struct metrics;

#define METRICS_NO_ROUTE SIZE_MAX

int metrics_new(struct metrics **ret_metrics);
void metrics_free(struct metrics *metrics);
DEFINE_CLEANUP(struct metrics *, metrics_free);

/* One answered request; 'route' is routes_index, or METRICS_NO_ROUTE. */
void metrics_count_request(struct metrics *metrics, size_t route, int status, uint64_t duration_ns);

/* Everything, as text.  Reads the other parts of 'api'. */
int metrics_write(const struct api *api, struct buffer *buffer);

#endif
