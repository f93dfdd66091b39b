/* What TCP is told when the other end is not there: the answer of a closed port (RFC 9293, 3.10.7.1), and the end of a connection whose other end
 * is gone for good. */
#ifndef WEFT_SERVICES_IP_RESET_H
#define WEFT_SERVICES_IP_RESET_H

#include <stddef.h>
#include <stdint.h>

#include "weft/base/address.h"

#define TCP_RESET_MAX (14 + 40 + 20)

/* 'segment' is the beginning of a frame ('size' bytes) with a TCP segment that is not fragmented, without IPv6 extension headers.  Returns
 * the size of the frame for its sender, which comes from where it was sent to and has passed 'hops' routers; 0 for a segment
 * that is a reset itself; -EBADMSG for one that is cut before the end of its TCP header; -EPROTONOSUPPORT for all else. */
int tcp_reset_reply(const void *segment, size_t size, uint8_t hops, void *reply, size_t capacity);

struct tcp_ends {
    struct mac_address source_mac, destination_mac;
    struct ip_address source, destination; /* Of one IP version. */
    uint16_t source_port, destination_port; /* Host order. */
};

/* A reset of 'ends'.  'sequence' is what the receiver expects next (it ends its connection), or a little more (it answers with what it expects:
 * RFC 5961, 3.2).  The size of the frame, or -ENOBUFS. */
int tcp_reset_frame(const struct tcp_ends *ends, uint32_t sequence, void *frame, size_t capacity);

/* A segment that is nowhere near what the receiver expects: it says what that is (RFC 9293, 3.10.7.4), as if it had had something to say. */
int tcp_wake_frame(const struct tcp_ends *ends, void *frame, size_t capacity);

#endif
