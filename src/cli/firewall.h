/* Commands of firewall policies that are more than create, list, show, set and delete. */
#ifndef WEFT_CLI_FIREWALL_H
#define WEFT_CLI_FIREWALL_H

#include "weft/cli/command.h"

int run_firewall_policy_insert(struct call *call); /* POLICY RULE; before or after another one, or first. */
int run_firewall_policy_remove(struct call *call);

#endif
