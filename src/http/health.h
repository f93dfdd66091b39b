/* Routes that every program has.  They ask for no credential and do not wait at the barrier. */
#ifndef WEFT_HTTP_HEALTH_H
#define WEFT_HTTP_HEALTH_H

#include "weft/http/routes.h"

/* GET /healthz: 200 while the loop turns.  GET /readyz: 200, or 503 with the reason that the service's 'not_ready' gives. */
int health_add(struct routes *routes);

/* GET /metrics: what the service's 'write_metrics' writes. */
int health_add_metrics(struct routes *routes);

#endif
