/* ipvsadm's listings: the table, the table as commands, connections, timeouts. */
#ifndef WEFT_DIRECTOR_IPVSADM_LIST_H
#define WEFT_DIRECTOR_IPVSADM_LIST_H

#include <stdio.h>

#include "weft/director/config.h"
#include "weft/director/ipvsadm/arguments.h"
#include "weft/director/socket.h"

/* -L, of the configuration with what a director says of it; 'state' is NULL where none runs: then every counter is 0.
 * What is not in the director's tables now, since its checks failed, is not listed, as under keepalived.  'call' says
 * which options were given and, with -t, -u, -f, the one service.  0; -ENOENT (there is no such service; nothing is
 * written); -ENOMEM. */
int ipvsadm_list(FILE *out, const struct director_config *config, const struct director_state *state,
                 const struct ipvsadm_call *call);

/* -S: commands that make the table anew, here or with the kernel's IPVS.  0 or -ENOMEM. */
int ipvsadm_save(FILE *out, const struct director_config *config, bool numeric);

/* -L -c. */
void ipvsadm_list_connections(FILE *out, const struct director_connections *connections,
                              const struct ipvsadm_call *call);

/* -L --timeout. */
void ipvsadm_list_timeouts(FILE *out, const struct connection_timeouts *timeouts);

#endif
