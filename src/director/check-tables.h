/* The contract between the director and the programs that lead its health checks (bpf/check.bpf.c), which have maps of their own:
 *
 *   check_ways     hash      number of a way -> struct lb_server       LB_CHECK_WAYS
 *                        with LB_SERVER_SECOND_CHANCE in GUE with a chain (bpf/chain.h), to 'tunnel_port'
 *   check_echoes   LRU hash  struct lb_check_echo -> __u32             LB_CHECK_ECHOES: those of which the reply is awaited; the programs' own
 *   check_hop      per-CPU   0 -> struct lb_hop                        1: where the packet in hand goes
 *   interfaces     hash      of tables.h, empty
 *
 * Included by the programs and by user space, as tables.h is. */
#ifndef WEFT_DIRECTOR_CHECK_TABLES_H
#define WEFT_DIRECTOR_CHECK_TABLES_H

#include "weft/director/tables.h"

#define LB_CHECK_WAYS 262144
#define LB_CHECK_ECHOES 16384

/* An echo request as its reply has it: sockets of ICMP cannot be looked up.  The data begin with a number that nobody else has (health/icmp-message.h). */
struct lb_check_echo {
    __u8 own[16], address[16];
    __u64 data;
};

/* A check's packet leaves its namespace with the number of its way in its destination MAC, behind two bytes that no vendor has.  What is put into
 * that namespace has the MAC of the device there. */
#define LB_CHECK_MAC_HEAD_0 0x02
#define LB_CHECK_MAC_HEAD_1 0x77
#define LB_CHECK_MAC {0x02, 0x77, 0x65, 0x66, 0x74, 0x03}

#endif
