/* The Nicira extensions that the codec knows, as Open vSwitch documents them.  Not for users of the codec. */
#ifndef WEFT_FABRIC_OPENFLOW_NICIRA_H
#define WEFT_FABRIC_OPENFLOW_NICIRA_H

#include "weft/fabric/openflow/openflow.h"

#define NICIRA 0x00002320u /* Its experimenter and vendor id. */

#define NXT_ROLE_REQUEST 10
#define NXT_ROLE_REPLY 11

/* The action of an experimenter of ours, whole and checked to be at least 16 bytes.  True when '*ret' holds it. */
bool of_nicira_action_decode(struct of_bytes wire, struct of_action *ret);

/* OFA_BUNDLE, and OFA_DEC_TTL of 1.0.  0, -EINVAL or -ENOBUFS. */
int of_nicira_action_put(struct writer *list, const struct of_action *action);

#endif
