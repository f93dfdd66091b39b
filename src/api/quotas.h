/* /v2.0/quotas: what projects may have (quota.h enforces it). */
#ifndef WEFT_API_QUOTAS_H
#define WEFT_API_QUOTAS_H

#include "weft/api/request.h"

void quotas_list(struct request *request);
void quotas_show(struct request *request);
void quotas_show_default(struct request *request);
void quotas_show_defaults(struct request *request); /* As Octavia asks: of no project. */
void quotas_show_details(struct request *request);
void quotas_update(struct request *request);
void quotas_delete(struct request *request);
void quotas_whose(struct request *request); /* /v2.0/quotas/tenant and /project: who asks. */

#endif
