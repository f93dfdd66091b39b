/* Frames written as text, for packet tables:
 *
 *     "A>B ip 10.0.0.1>10.0.0.2 udp 1000>2000 +20"
 *
 * words, in the order of the frame:
 *   A>B                  Ethernet: source and destination.  A letter is 02:00:00:00:00:<its ASCII code>, '*' broadcast, '!' the
 *                        bridge group address; anything else is a MAC.  The type follows from the next word.
 *   vlan                 an 802.1Q tag inside the frame
 *   type=0x88cc          no known protocol
 *   ip S>D, ip6 S>D      options before the next header: ttl=N, df, frag=N (offset in 8 bytes), more, options (IPv4: 4 bytes
 *                        of them), hopopts (IPv6: an empty hop-by-hop header)
 *   udp S>D, udplite S>D, sctp S>D, tcp S>D FLAGS (any of SAFR), icmp TYPE ID, icmp6 TYPE ID, proto N
 *   quote                what follows is the packet that this ICMP error is about, from its "ip" on
 *   seq=N, ack=N, win=N, wscale=N    of the TCP header before; the last adds that option.  The window is 8192 otherwise.
 *   ns TARGET MAC, na TARGET MAC, rs MAC    ICMPv6 discovery with its link-layer option; MAC '-' leaves it out
 *   arp OP SHA SPA TPA   OP: request or reply
 *   +N                   N bytes of payload
 *   cut=N                the frame ends after N bytes
 *   set=OFFSET:BYTE      overwrites one byte (both in any base that strtoul takes)
 *   outer S>D VNI KIND   first word: the rest is inside our tunnel, the outer headers have no checksum but IPv4's
 * Lengths and checksums of IPv4, and of what is in IPv4 and IPv6 (but SCTP's), are right unless overwritten. */
#ifndef WEFT_TESTS_FRAMES_H
#define WEFT_TESTS_FRAMES_H

#include <stdint.h>

#define FRAME_MAX 3000

struct frame {
    uint32_t size;
    uint8_t bytes[FRAME_MAX];
};

/* Aborts with a message when 'text' is not understood: it is part of a test. */
void frame_parse(const char *text, struct frame *ret);
void frame_mac(const char *text, uint8_t *ret);
void frame_address(const char *text, uint8_t *ret); /* 16 bytes, IPv4 mapped. */

#endif
