/* A closed TCP port of an address that is the platform's: what it answers.  RFC 9293, 3.10.7.1. */
#ifndef WEFT_SERVICES_IP_RESET_H
#define WEFT_SERVICES_IP_RESET_H

#include <stddef.h>
#include <stdint.h>

#define TCP_RESET_MAX (14 + 40 + 20)

/* 'segment' is the beginning of a frame ('size' bytes) with a TCP segment that is not fragmented, without IPv6 extension headers.  Returns
 * the size of the frame for its sender, which comes from where it was sent to and has passed 'hops' routers; 0 for a segment
 * that is a reset itself; -EBADMSG for one that is cut before the end of its TCP header; -EPROTONOSUPPORT for all else. */
int tcp_reset_reply(const void *segment, size_t size, uint8_t hops, void *reply, size_t capacity);

#endif
