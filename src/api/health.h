/* /metrics on the metrics listener; /healthz and /readyz on both. */
#ifndef WEFT_API_HEALTH_H
#define WEFT_API_HEALTH_H

#include "weft/api/api.h"

int health_register(struct api *api);

/* "READY=1" to the service manager named by NOTIFY_SOCKET (systemd's protocol, sd_notify(3)); nothing without it. */
void notify_service_manager(const char *state);

#endif
