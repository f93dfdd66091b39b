/* What the metadata service of a host says to a workload, when nobody else is asked: the paths of EC2's service and of OpenStack's, as far
 * as cloud-init and its kind read them.  Pure.
 *
 *   /latest/meta-data/            instance-id, hostname, local-hostname, local-ipv4, mac, public-keys/, ...
 *   /latest/user-data
 *   /openstack/latest/            meta_data.json, network_data.json, vendor_data.json, user_data
 *
 * (also with a date in place of 'latest').  It comes from the port: its addresses, its device, and what its owner wrote into
 * "weft:metadata": {"hostname", "public_keys": {NAME: KEY}, "user_data", "meta": {NAME: TEXT}}. */
#ifndef WEFT_SERVICES_METADATA_H
#define WEFT_SERVICES_METADATA_H

#include "weft/base/buffer.h"
#include "weft/services/config.h"

/* Appends the answer for 'path' (decoded, without query and trailing slash) and stores its content type.  Returns 0; -ENOENT when there is
 * nothing under that path; -ENOMEM. */
int metadata_answer(const struct service_objects *objects, const char *path, struct buffer *content, const char **ret_type);

/* What the workload's instance is called: the port's device_id, or its id when it has none. */
const char *metadata_instance_id(const struct port *port);

#endif
