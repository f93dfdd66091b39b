/* What weft-api counts, in Prometheus' text form. */
#ifndef WEFT_API_METRICS_H
#define WEFT_API_METRICS_H

#include "weft/base/buffer.h"

struct api;

/* Everything: the requests, and what the other parts count.  0 or -ENOMEM. */
int metrics_write(const struct api *api, struct buffer *buffer);

#endif
