/* Rules of security groups, and the addresses of address groups: what the generic verbs do not do. */
#ifndef WEFT_CLI_SECURITY_H
#define WEFT_CLI_SECURITY_H

#include <jansson.h>

#include "weft/cli/command.h"

/* What flags of a rule leave open, of a group's or a template: 'complete' of a resource. */
int security_complete_rule(struct call *call, json_t *attributes);

int run_security_rule_create(struct call *call); /* GROUP, and flags. */
int run_security_rule_list(struct call *call);   /* [GROUP] */
int run_address_group_add(struct call *call);    /* GROUP PREFIX... */
int run_address_group_remove(struct call *call);

#endif
