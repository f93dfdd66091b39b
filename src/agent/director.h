/* weft-agent with a director's file instead of its own: then it balances physical servers and knows of no API. */
#ifndef WEFT_AGENT_DIRECTOR_H
#define WEFT_AGENT_DIRECTOR_H

#include <stdbool.h>

/* Is the file named by --config, in whichever form, a director's (does it begin with '{')? */
bool director_wanted(int argc, char **argv);

/* Runs as a director, or for 'detach' takes its programs off.  The exit status. */
int director_main(int argc, char **argv);

#endif
