/* The network log: what can be logged, and lines as they happen. */
#ifndef WEFT_CLI_LOGS_H
#define WEFT_CLI_LOGS_H

#include "weft/cli/command.h"

int run_log_types(struct call *call);
int run_log_follow(struct call *call);

#endif
