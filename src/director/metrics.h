/* GET /metrics of a director (Prometheus): what it balances, by service and server, and what it dropped, by reason.  On the director's loop. */
#ifndef WEFT_DIRECTOR_METRICS_H
#define WEFT_DIRECTOR_METRICS_H

#include "weft/base/error.h"

struct director;
struct director_metrics;

/* Listens on 'listen', ADDRESS:PORT.  0; or -errno with '*error'. */
int director_metrics_new(struct director *director, const char *listen, struct director_metrics **ret, struct error *error);
void director_metrics_free(struct director_metrics *metrics); /* NULL is fine.  The loop must run once more. */

#endif
