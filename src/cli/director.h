/* weft lb: the director's file (lb.conf(5)), without the API. */
#ifndef WEFT_CLI_DIRECTOR_H
#define WEFT_CLI_DIRECTOR_H

#include "weft/cli/command.h"

int run_lb_import(struct call *call);

#endif
