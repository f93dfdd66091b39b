/* The second chance's programs of a physical server in the kernel: loading, what they go by, and where they are.  Needs CAP_BPF, CAP_NET_ADMIN,
 * CAP_PERFMON, and CAP_SYS_ADMIN to find those that are there.  They go on where they are when the process is gone.  Not thread-safe. */
#ifndef WEFT_DIRECTOR_SERVER_PROGRAM_H
#define WEFT_DIRECTOR_SERVER_PROGRAM_H

#include "weft/director/attach.h"
#include "weft/director/chain-tables.h"
#include "weft/director/server-config.h"

struct server_program;

/* Loads them; counters, and where there were sockets, are those of programs that are on some interface already.  0, or -errno with '*error', which quotes the verifier. */
int server_program_new(struct server_program **ret, struct error *error);
void server_program_free(struct server_program *program); /* NULL is fine. */
DEFINE_CLEANUP(struct server_program *, server_program_free);

/* What they go by becomes the configuration's, with the host's own addresses and MTUs as they are now; '*ret_mss' is what answers may announce.  0 or -errno. */
int server_program_write(struct server_program *program, const struct server_config *config, struct chain_mss *ret_mss);

/* second_chance and pass_on onto the interface, in the place of earlier ones.  0 with '*ret'; -EBUSY: another XDP program is there; or -errno. */
int server_program_attach(const struct server_program *program, uint32_t ifindex, enum lb_attachment *ret);

/* lower_mss onto the interface, in the place of an earlier one.  0; -EINVAL: it has no frames of Ethernet; or -errno. */
int server_program_attach_answers(const struct server_program *program, uint32_t ifindex);

/* Takes it off.  1; or 0: it was not there. */
int server_program_detach_answers(uint32_t ifindex);

/* Takes the others off.  1; 0: there were none; or -errno. */
int server_program_detach(uint32_t ifindex);

/* The sums over all CPUs of what is on the interfaces of the network namespace, whoever put it there.  0; -ENOENT: it is on none; or -errno. */
int server_program_counters(struct chain_counters *ret);

const char *chain_outcome_name(enum chain_outcome outcome); /* "handed_on" */
const char *chain_outcome_text(enum chain_outcome outcome);
bool chain_outcome_is_drop(enum chain_outcome outcome);

#endif
