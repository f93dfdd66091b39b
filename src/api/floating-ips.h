/* What networks do to floating IPs. */
#ifndef WEFT_API_FLOATING_IPS_H
#define WEFT_API_FLOATING_IPS_H

#include "weft/api/plan.h"
#include "weft/model/objects.h"

/* Deletes it, the port that holds its address, and its keys. */
void floating_ip_plan_delete(struct plan *plan, const struct floating_ip *floating_ip);

#endif
