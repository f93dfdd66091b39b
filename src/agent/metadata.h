/* The metadata service of this host: HTTP for its workloads, on a device of its own (dataplane/bpf/metadata.h).
 *
 *   workload -> weft-meta -> here -> [ the port, by the client's address ] -> services/metadata.h
 *                                                                        \-> metadata-url, as Neutron's agents ask Nova
 *
 * Who asks is known by an address that the data plane made, so nothing that a workload sends is believed.  Everything is bounded: bytes of
 * a request's header, time for it (http.h), connections of one port, bytes and time of a server's answer. */
#ifndef WEFT_AGENT_METADATA_H
#define WEFT_AGENT_METADATA_H

#include "weft/agent/agent.h"

#define METADATA_SIGNATURE_SIZE 65 /* 64 digits and an end. */

/* HMAC-SHA256 (RFC 2104) of the instance's id under the secret that Nova has as metadata_proxy_shared_secret, in hexadecimal digits. */
void metadata_sign(const char *secret, const char *instance_id, char ret[METADATA_SIGNATURE_SIZE]);

/* Returns 0, or -errno with '*error' for options that are wrong.  A host that cannot have the device goes on without the service,
 * and says so in the log. */
int metadata_start(struct agent *agent, struct error *error);
void metadata_stop(struct agent *agent);

#endif
