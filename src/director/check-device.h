/* The network namespace that health checks leave from which go the way of the traffic, and the pair of devices that leads out of it
 * (bpf/check.bpf.c).  It has no name and goes with the process, devices included; only take_answer stays on interfaces that heard it, until it
 * is taken off or replaced.
 *
 * Calls switch the thread to that namespace and back.  Not thread-safe. */
#ifndef WEFT_DIRECTOR_CHECK_DEVICE_H
#define WEFT_DIRECTOR_CHECK_DEVICE_H

#include "weft/base/address.h"
#include "weft/base/error.h"
#include "weft/director/check-tables.h"

struct check_device;

/* Makes namespace and devices, and loads the programs; takes off what a process before left on interfaces.  0 or -errno with '*error'. */
int check_device_new(struct check_device **ret, struct error *error);
void check_device_free(struct check_device *device); /* NULL is fine. */

/* Takes take_answer off all interfaces of the network namespace. */
void check_device_clean(void);

/* The way of that number, which is not 0, becomes 'server'; NULL: it is no more.  0 or -errno. */
int check_device_write_way(struct check_device *device, uint32_t number, const struct lb_server *server);

/* Answers that come in by the interface are heard from now on.  0 or -errno. */
int check_device_hear(struct check_device *device, uint32_t ifindex);

/* Interfaces may have gone and come: none is heard until it is asked for again. */
void check_device_forget(struct check_device *device);

/* A socket in the namespace ('type' as of struct health_target's open), of the source address's family, bound to that address and port (0: any), with 'number' as its mark, that is to be connected
 * to 'to'.  Its descriptor, or -errno. */
int check_device_socket(struct check_device *device, int type, uint32_t number, const struct ip_address *source, uint16_t port, const struct ip_address *to);

#endif
