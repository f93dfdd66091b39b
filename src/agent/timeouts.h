/* After how much silence connections end, by the agent's options.  The data plane reads them with each step of its sweeper, so a change concerns
 * the connections that are there as well, and ends none but those that have been silent for so long already. */
#ifndef WEFT_AGENT_TIMEOUTS_H
#define WEFT_AGENT_TIMEOUTS_H

#include <jansson.h>
#include <stdint.h>

#include "weft/base/error.h"
#include "weft/dataplane/tables.h"

#define N_TIMEOUTS 8                 /* Of enum flow_timeout. */
#define TIMEOUT_MAX_S 2000000        /* What an entry's clock can tell (tables.h: FLOW_TIME_SHIFT), 23 days. */

/* 'options' are seconds, 0 where none was given.  Fills 'settings'.  Returns 0, or -ERANGE and '*error' names the option. */
int timeouts_set(const uint64_t options[N_TIMEOUTS], struct settings *settings, struct error *error);

/* {"tcp-established": 432000, ...}.  The caller owns it. */
json_t *timeouts_describe(const struct settings *settings);

#endif
