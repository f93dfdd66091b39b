/* weft trace PORT: builds the frame that the port's workload would send and prints its way through the platform, step
 * by step, host by host, with the verdict and the reason of a drop. */
#ifndef WEFT_CLI_TRACE_H
#define WEFT_CLI_TRACE_H

#include "weft/cli/command.h"

int run_trace(struct call *call);

#endif
