/* The fabric's objects as JSON, as the interface shows them (status.h).
 *
 * Each function gives a new reference, or NULL when out of memory; what is made of a NULL is NULL as well, so that an answer is whole or is
 * none. */
#ifndef WEFT_CONTROLLER_DESCRIBE_H
#define WEFT_CONTROLLER_DESCRIBE_H

#include <jansson.h>

#include "weft/fabric/state.h"

/* Appends 'item', which it takes over.  When one of both is NULL, or it cannot be appended, '*list' becomes NULL. */
void json_append(json_t **list, json_t *item);

json_t *describe_place(const struct fabric_port *port); /* {"switch", "port"}; null for NULL. */
json_t *describe_port(const struct fabric_port *port);
json_t *describe_switch(const struct fabric *fabric, const struct datapath *datapath, bool with_ports);
json_t *describe_host(const struct fabric *fabric, const struct host *host);
json_t *describe_path(const struct fabric_route *route, const struct fabric_path *path);
json_t *describe_flow(const struct fabric *fabric, const struct flow *flow);

#endif
