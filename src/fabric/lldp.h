/* The fabric's discovery frames: LLDP (IEEE 802.1AB) with an organization's TLV that says who sent it where and when, under a key, so that
 * a host can neither make one nor change or keep one.
 *
 * The TLV: OUI 02-77-66 (locally administered), subtype 1, then controller id (8), datapath id (8), port (4), sequence (8: the sender's milliseconds), and
 * SipHash-2-4 of all before it under the key (8). */
#ifndef WEFT_FABRIC_LLDP_H
#define WEFT_FABRIC_LLDP_H

#include <stddef.h>
#include <stdint.h>

#include "weft/base/address.h"

#define LLDP_FRAME_MAX 128
#define LLDP_KEY_SIZE 16 /* crypto_shorthash_KEYBYTES */

struct lldp {
    uint64_t controller_id, datapath_id, sequence;
    uint32_t port;
};

/* Returns the frame's size.  'mac' is the port's. */
size_t lldp_format(const struct lldp *lldp, const struct mac_address *mac, const uint8_t key[LLDP_KEY_SIZE], uint8_t frame[LLDP_FRAME_MAX]);

/* Returns 0; -ENOENT for a frame of other LLDP speakers; -EBADMSG for one that is cut or contradicts itself; -EACCES for one that claims to be ours and
 * is not under our key. */
int lldp_parse(const uint8_t *frame, size_t size, const uint8_t key[LLDP_KEY_SIZE], struct lldp *ret);

#endif
