/* What people do with a port beyond its attributes: plug it, unplug it, hand it to libvirt. */
#ifndef WEFT_CLI_PORTS_H
#define WEFT_CLI_PORTS_H

#include <jansson.h>
#include <stdint.h>

#include "weft/cli/command.h"
#include "weft/cli/session.h"

#define TAP_NAME_SIZE 16 /* IFNAMSIZ */

/* "tap" and the first 11 characters of the port's id: the name by which an agent, and Nova, know a port's device. */
const char *port_tap_name(const char *port_id, char name[TAP_NAME_SIZE]);

/* The name of the host whose agent listens at the session's socket; owned by the caller. */
int local_host_name(struct session *session, char **ret, struct error *error);

/* Binds the port to 'host' ("" unbinds) unless it is bound so already. */
int port_bind(struct session *session, const json_t *port, const char *host, struct error *error);

/* Waits until the agent at the session's socket reports the port as ACTIVE; -ETIMEDOUT after 'timeout_ms'. */
int port_wait_active(struct session *session, const char *port_id, uint64_t timeout_ms, struct error *error);

int run_port_plug(struct call *call);
int run_port_unplug(struct call *call);
int run_port_libvirt_xml(struct call *call);

#endif
