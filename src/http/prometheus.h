/* The text that Prometheus scrapes: the exposition format, version 0.0.4
 * (https://prometheus.io/docs/instrumenting/exposition_formats/). */
#ifndef WEFT_HTTP_PROMETHEUS_H
#define WEFT_HTTP_PROMETHEUS_H

#include "weft/base/buffer.h"

#define PROMETHEUS_CONTENT_TYPE "text/plain; version=0.0.4; charset=utf-8"

/* Begins a metric: "# HELP NAME HELP" and "# TYPE NAME TYPE".  'type' is "counter", "gauge" or "histogram"; its samples follow. */
void prometheus_begin(struct buffer *buffer, const char *name, const char *type, const char *help);

/* One sample of the metric begun last; behind 'value' stand the names and values of its labels, then NULL:
 *
 *     prometheus_sample(buffer, "weft_hosts", n_up, "state", "up", NULL);
 *
 * A value without a fraction is exact below 2^53. */
void prometheus_sample(struct buffer *buffer, const char *name, double value, ...) __attribute__((sentinel));

/* A metric that is one sample without labels. */
void prometheus_single(struct buffer *buffer, const char *name, const char *type, const char *help, double value);

#endif
