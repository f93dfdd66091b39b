/* Actions of each version.  Not for users of the codec. */
#ifndef WEFT_FABRIC_OPENFLOW_ACTIONS_H
#define WEFT_FABRIC_OPENFLOW_ACTIONS_H

#include "weft/fabric/openflow/nicira.h"
#include "weft/fabric/openflow/wire.h"

/* Fill '*ret' from its 'wire', of at least 8 bytes.  0 or -EBADMSG. */
int of_action10_decode(struct of_action *ret, struct error *error);
int of_action13_decode(struct of_action *ret, struct error *error);
int of_experimenter_action_decode(struct of_action *ret, struct error *error);
int of_action_bad_size(const struct of_action *action, struct error *error); /* -EBADMSG. */

int of_action10_put(struct writer *list, const struct of_action *action);
int of_action13_put(struct writer *list, const struct of_action *action);

#endif
