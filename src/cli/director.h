/* weft lb: the director's file (lb.conf(5)) and the running director, without the API. */
#ifndef WEFT_CLI_DIRECTOR_H
#define WEFT_CLI_DIRECTOR_H

#include "weft/cli/command.h"

int run_lb_import(struct call *call);
int run_lb_list(struct call *call);
int run_lb_show(struct call *call);
int run_lb_top(struct call *call);

#endif
