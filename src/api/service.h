/* weft-api as services of HTTP: how its requests are authenticated, held, answered, and counted.
 *
 * What stands between the routes of every other part and weft/http. */
#ifndef WEFT_API_SERVICE_H
#define WEFT_API_SERVICE_H

#include "weft/api/api.h"

/* Sets api->service and api->metrics_service up, with /healthz and /readyz on both and /metrics on the latter.  First of all parts:
 * the others add their routes to api->service.routes. */
int service_init(struct api *api);

/* Last of all, when no request is left. */
void service_clear(struct api *api);

#endif
