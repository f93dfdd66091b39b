/* Rules of security groups, and the addresses of address groups: what the generic verbs do not do. */
#ifndef WEFT_CLI_SECURITY_H
#define WEFT_CLI_SECURITY_H

#include "weft/cli/command.h"

int run_security_rule_create(struct call *call); /* GROUP, and flags. */
int run_security_rule_list(struct call *call);   /* [GROUP] */
int run_address_group_add(struct call *call);    /* GROUP PREFIX... */
int run_address_group_remove(struct call *call);

#endif
