/* Shell completion.  The scripts of 'weft completion' only ask this program, through 'weft __complete'. */
#ifndef WEFT_CLI_COMPLETION_H
#define WEFT_CLI_COMPLETION_H

#include "weft/cli/command.h"

int run_completion(struct call *call);

/* 'weft __complete N WORD...': prints, one a line, what the N-th word could be.  Returns the exit status. */
int completion_answer(int argc, char **argv);

#endif
