/* What ipvsadm's commands do to a director's configuration. */
#ifndef WEFT_DIRECTOR_IPVSADM_EDIT_H
#define WEFT_DIRECTOR_IPVSADM_EDIT_H

#include "weft/director/config.h"
#include "weft/director/ipvsadm/arguments.h"

/* Does what 'call' asks: -A -E -D -C -a -e -d and --set; everything else is no change.  What ipvsadm has no word for
 * (checks, quorum, sorry servers, ...) stays as it was in what is edited.
 *
 * 0, or with the configuration as it was -EINVAL and '*ret_refusal' with what IPVS would say: "Service already exists".
 */
int ipvsadm_edit(struct director_config *config, const struct ipvsadm_call *call, struct ipvsadm_refusal *ret_refusal);

/* Whether the command changes the configuration at all. */
bool ipvsadm_changes(enum ipvsadm_command command);

#endif
