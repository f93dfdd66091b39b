/* Runs other programs (ip, udhcpc) and waits for them. */
#ifndef WEFT_CLI_PROCESS_H
#define WEFT_CLI_PROCESS_H

#include <stdbool.h>

#include "weft/base/buffer.h"
#include "weft/base/error.h"

#define PROCESS_MAX_ARGUMENTS 40

/* Runs 'argv' (NULL-terminated, found in PATH) with no standard input.  Its output is appended to '*output' where that is not NULL.
 * Returns 0 when it exits with 0; -ENOENT when it is not installed; -EIO with what it said on standard error otherwise. */
int process_run(const char *const argv[], struct buffer *output, struct error *error);

/* Shows each command on standard error, "+ ip netns add x", before it runs. */
void process_set_echo(bool on);

#endif
