/* Status and control over HTTP and JSON, in the style of weft-api; Prometheus metrics.
 *
 *     GET  /fabric/v1                      {"fabric": {...}}: version, role, mode, counts
 *     GET  /fabric/v1/switches             {"switches": [...]}, /switches/{id} with its ports
 *     GET  /fabric/v1/links                {"links": [...], "links_links": the next page}; ?limit= ?marker=
 *     GET  /fabric/v1/hosts                {"hosts": [...], "hosts_links": the next page}; ?mac= ?address= ?switch= ?limit= ?marker=
 *     GET  /fabric/v1/paths?from=&to=      {"paths": [...], "from", "to"}: of hosts (MAC or address) or switches
 *     GET  /fabric/v1/flows                {"flows": [...]}; ?host= ?limit=
 *     GET  /fabric/v1/statistics           {"statistics": {...}}: counters of events, drops and messages
 *     GET  /fabric/v1/slices               {"slices": [...]}; GET, PUT, DELETE /slices/{name}
 *     PUT  /fabric/v1/switches/{id}/ports/{number}  {"port": {"weight": 10}}
 *     PUT  /fabric/v1/role                 {"role": "master"}
 *     GET  /metrics, /healthz, /readyz
 *
 * Queries and bodies may hold what is named here, nothing else: a misspelt filter does not show everything.
 * Without a token file it is served on loopback addresses only, and not to web pages. */
#ifndef WEFT_CONTROLLER_STATUS_H
#define WEFT_CONTROLLER_STATUS_H

#include "weft/base/error.h"
#include "weft/controller/controller.h"

struct status_options {
    const char *listen, *token_file, *tls_certificate, *tls_key;
};

/* Returns 0, or negative with '*error' naming option and value. */
int status_new(struct controller *controller, const struct status_options *options, struct status **ret, struct error *error);
void status_free(struct status *status);  /* Stops serving; the loop must run once more, */
void status_clear(struct status *status); /* and then the memory goes. */

/* metrics.c */
int write_fabric_metrics(void *context, struct buffer *buffer);

#endif
