/* Which connections are meant: what a person says to 'weft connections', as the API's query and the agent's question carry it.
 *
 * What is not said is not compared.  All that is said must hold. */
#ifndef WEFT_MODEL_CONNECTION_FILTER_H
#define WEFT_MODEL_CONNECTION_FILTER_H

#include <jansson.h>

#include "weft/base/address.h"
#include "weft/base/error.h"

struct connection_filter {
    bool has_protocol, has_address, has_port, has_state, has_translated;
    uint8_t protocol;
    struct ip_prefix address; /* Of either side, or the name outside. */
    uint16_t port;            /* The same. */
    uint8_t state;            /* As in connection_state_name(). */
    bool translated;
};

/* "new", "half-open", "established", ... by enum flow_state of the data plane; NULL beyond. */
const char *connection_state_name(unsigned state);

/* "tcp", "udp", "icmp", "icmpv6", "sctp", else the number in 'text'.  And back: a name or a number from 0 to 255; -EINVAL. */
const char *connection_protocol_name(uint8_t protocol, char text[8]);
int connection_protocol_parse(const char *text, uint8_t *ret);

/* Takes one more condition: "protocol", "address" (or prefix), "port_number", "state", "translated" (true or false).
 * Returns 0; -ENOENT when 'name' is none of them; -EINVAL, with '*error' set. */
int connection_filter_add(struct connection_filter *filter, const char *name, const char *text, struct error *error);

/* All of an object whose values are strings; names that are no conditions are passed over.  0 or -EINVAL. */
int connection_filter_read(struct connection_filter *ret, const json_t *object, struct error *error);

/* What is compared; addresses of IPv4 are mapped, ports are in host order.  'outside' is NULL unless it is translated. */
struct connection_names {
    struct ip_address local, remote;
    uint16_t local_port, remote_port;
};
bool connection_filter_fits(const struct connection_filter *filter, uint8_t protocol, unsigned state, const struct connection_names *inside,
                            const struct connection_names *outside);

#endif
