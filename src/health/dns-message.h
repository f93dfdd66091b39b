/* The two DNS messages that a probe knows: its query, and an answer to it (RFC 1035, 4).  Bytes only. */
#ifndef WEFT_HEALTH_DNS_MESSAGE_H
#define WEFT_HEALTH_DNS_MESSAGE_H

#include <stddef.h>
#include <stdint.h>

#define DNS_QUERY_MAX 320   /* A head, a name of 255 bytes, type and class. */
#define DNS_MESSAGE_MAX 4096

/* Writes a query for 'name' (with or without the last dot; "." is the root), class IN, recursion desired.  Returns its size, or -EINVAL: not a
 * domain name. */
int dns_write_query(uint8_t ret_query[DNS_QUERY_MAX], uint16_t id, const char *name, uint16_t type);

/* Is 'message' a whole answer to 'query'?  Returns its RCODE (0: no error), or -EBADMSG: it is something else. */
int dns_read_answer(const uint8_t *message, size_t size, const uint8_t *query, size_t query_size);

const char *dns_rcode_name(int rcode); /* "SERVFAIL"; NULL: it has none. */

#endif
