/* The contract between the director and the programs that lead its health checks (bpf/check.bpf.c), which have maps of their own:
 *
 *   check_ways     hash      number of a way -> struct lb_server       LB_CHECK_WAYS
 *   check_answers  LRU hash  struct lb_check_key -> __u32              LB_CHECK_ANSWERS
 *   check_hop      per-CPU   0 -> struct lb_hop                        1: where the packet in hand goes
 *   interfaces     hash      of tables.h, empty
 *
 * Included by the programs and by user space, as tables.h is. */
#ifndef WEFT_DIRECTOR_CHECK_TABLES_H
#define WEFT_DIRECTOR_CHECK_TABLES_H

#include "weft/director/tables.h"

#define LB_CHECK_WAYS 262144
#define LB_CHECK_ANSWERS 16384 /* Checks that run at once are a fraction of that. */

/* A check's packet leaves its namespace with the number of its way in its destination MAC, behind two bytes that no vendor has.  What is put into
 * that namespace has the MAC of the device there. */
#define LB_CHECK_MAC_HEAD_0 0x02
#define LB_CHECK_MAC_HEAD_1 0x77
#define LB_CHECK_MAC {0x02, 0x77, 0x65, 0x66, 0x74, 0x03}

/* A conversation, as its check sees it. */
struct lb_check_key {
    __u8 own[16], address[16];
    __u16 own_port, port;
    __u8 protocol;
    __u8 pad[3];
};
_Static_assert(sizeof(struct lb_check_key) == 40, "no holes: it is hashed");

#endif
