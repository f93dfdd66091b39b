/* weft metadata: what the metadata service (169.254.169.254) tells a port's workload. */
#ifndef WEFT_CLI_METADATA_H
#define WEFT_CLI_METADATA_H

#include "weft/cli/command.h"

int run_metadata_set(struct call *call);   /* PORT: what is given replaces that part; the rest stays. */
int run_metadata_show(struct call *call);
int run_metadata_clear(struct call *call);

#endif
