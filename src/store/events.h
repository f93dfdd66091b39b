/* A transaction's events as the bytes of a log row, and back.  Pure. */
#ifndef WEFT_STORE_EVENTS_H
#define WEFT_STORE_EVENTS_H

#include "weft/base/buffer.h"
#include "weft/store/backend.h"

/* Appends the events of what 'transaction' changed: for each, little-endian, key size (4 bytes), value size (4, all ones
 * for a deletion), create revision (8), then key and value, each with a terminating 0. */
int events_encode(const struct store_transaction *transaction, struct buffer *buffer);

/* Decodes into an array that the caller frees; keys and values are borrowed from 'bytes'.  -EBADMSG when damaged. */
int events_decode(const void *bytes, size_t size, uint64_t revision, struct store_item **ret_events, size_t *ret_n);

#endif
