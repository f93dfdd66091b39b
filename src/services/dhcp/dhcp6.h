/* A DHCPv6 server for one port: a request's frame in, the reply's frame out.
 *
 * As with DHCPv4 the port's addresses are decided by the API: no pool, no state, the same answer on every host.  The
 * first IA_NA of a message gets all addresses of the port in stateful subnets; further ones get NoAddrsAvail, as does
 * an IA_TA, and an IA_PD gets NoPrefixAvail.  A port with only stateless subnets is told parameters
 * (INFORMATION-REQUEST).
 *
 * The server's DUID is the network's id (DUID-UUID, RFC 6355), so that it is the same on every host.  It answers by
 * multicast only: a unicast request is told UseMulticast.  Relayed messages are ignored.
 *
 * Standards: RFC 8415; 3646 (DNS), 5908 (NTP), 5970 (boot), 6355 (DUID-UUID). */
#ifndef WEFT_SERVICES_DHCP_DHCP6_H
#define WEFT_SERVICES_DHCP_DHCP6_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "weft/base/address.h"
#include "weft/model/objects.h"

#define DHCP6_SERVER_PORT 547
#define DHCP6_CLIENT_PORT 546

#define DHCP6_MAX_ADDRESSES 16
#define DHCP6_REPLY_MAX 1514
#define DHCP6_DUID_SIZE 18 /* DUID-UUID: its type and the UUID. */

struct dhcp6_config {
    struct mac_address mac; /* The port's. */
    struct mac_address server_mac;
    struct ip_address server; /* Link local: the source of replies. */
    uint8_t server_duid[DHCP6_DUID_SIZE];
    uint32_t lease_s;   /* Preferred and valid lifetime; UINT32_MAX: for ever. */
    const char *domain; /* Borrowed, NULL for none. */
    bool enabled;       /* Some subnet of the port is stateful or stateless; else nothing is answered. */
    struct ip_address addresses[DHCP6_MAX_ADDRESSES]; /* Of the port in stateful subnets. */
    size_t n_addresses;
    struct ip_address dns_servers[DHCP6_MAX_ADDRESSES];
    size_t n_dns_servers;
    const struct extra_dhcp_option *options; /* Borrowed; those for IPv6 replace what the server would send. */
    size_t n_options;
};

enum dhcp6_message {
    DHCP6_SOLICIT = 1,
    DHCP6_ADVERTISE,
    DHCP6_REQUEST,
    DHCP6_CONFIRM,
    DHCP6_RENEW,
    DHCP6_REBIND,
    DHCP6_REPLY,
    DHCP6_RELEASE,
    DHCP6_DECLINE,
    DHCP6_RECONFIGURE,
    DHCP6_INFORMATION_REQUEST,
};

/* RFC 8415, 21.13. */
enum dhcp6_status {
    DHCP6_SUCCESS,
    DHCP6_UNSPEC_FAIL,
    DHCP6_NO_ADDRS_AVAIL,
    DHCP6_NO_BINDING,
    DHCP6_NOT_ON_LINK,
    DHCP6_USE_MULTICAST,
    DHCP6_NO_PREFIX_AVAIL,
};

/* What happened, for counters and logs. */
struct dhcp6_outcome {
    uint8_t request; /* enum dhcp6_message; 0 when it was not understood. */
    uint8_t reply;   /* 0: none. */
    uint16_t status; /* enum dhcp6_status: the reply's, or its first IA's that is not Success. */
};

/* Answers the frame 'request' ('size' bytes) into 'reply' (at least DHCP6_REPLY_MAX).  Returns the reply's size; 0 when
 * there is nothing to say (meant for another server, a CONFIRM without addresses); -EBADMSG for a malformed message, or
 * one that RFC 8415, 16 says to discard; -EPROTONOSUPPORT for what is not a DHCPv6 request to us; -EADDRNOTAVAIL when
 * the port is not served.
 * '*ret' is always filled. */
int dhcp6_respond(const struct dhcp6_config *config, const void *request, size_t size, void *reply, size_t capacity,
                  struct dhcp6_outcome *ret);

const char *dhcp6_message_name(uint8_t message); /* "SOLICIT"; "none" for 0, "unknown". */

#endif
