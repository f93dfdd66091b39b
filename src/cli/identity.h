/* Projects, users, roles, tokens (Identity v3) and quotas. */
#ifndef WEFT_CLI_IDENTITY_H
#define WEFT_CLI_IDENTITY_H

#include "weft/cli/command.h"

int run_user_create(struct call *call);
int run_role_add(struct call *call);
int run_role_remove(struct call *call);
int run_token_issue(struct call *call);
int run_quota_show(struct call *call);
int run_quota_set(struct call *call);
int run_quota_reset(struct call *call);

#endif
