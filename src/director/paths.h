/* Checks that go the way of the traffic: what each needs of the device they leave by (check-device.h), when it needs it.
 *
 * The way to a server is looked at anew for each socket, so routes and addresses of the host may change. */
#ifndef WEFT_DIRECTOR_PATHS_H
#define WEFT_DIRECTOR_PATHS_H

#include "weft/director/health.h"

struct director;
struct paths;

/* The device is made for the first check that needs it.  NULL: out of memory. */
struct paths *paths_new(struct director *director);
void paths_free(struct paths *paths); /* NULL is fine.  No way is left. */
struct check_paths paths_of(struct paths *paths);

/* Interfaces may be others than they were: where answers come in is looked at again. */
void paths_interfaces_changed(struct paths *paths);

#endif
