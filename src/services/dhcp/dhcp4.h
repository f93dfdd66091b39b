/* A DHCPv4 server for one port: a request's frame in, the reply's frame out.
 *
 * The port's addresses are decided by the API, so there is no pool and no lease to remember: the server keeps no state
 * and gives the same answer on every host, before and after a restart, with the API gone.  It is the only server of its
 * network (the data plane drops others'), hence authoritative: it refuses (DHCPNAK) what is not the port's.
 *
 * Server identifier (RFC 2132, 9.7): the subnet's gateway address, else VIRTUAL_SERVER_IP4, which then comes with an
 * on-link classless route so that a renewal by unicast finds it.  The neighbor tables answer for it
 * (model/virtual-server.h).
 *
 * Standards: RFC 2131 and 2132; 3396 (long options), 3442 (classless routes; 249 is Microsoft's number for them), 4039
 * (rapid commit), 6842 (client identifier returned), 3397 (search list), 3011 is not followed.  A message through a
 * relay agent is ignored: no relay stands between a workload and its host. */
#ifndef WEFT_SERVICES_DHCP_DHCP4_H
#define WEFT_SERVICES_DHCP_DHCP4_H

#include <stddef.h>
#include <stdint.h>

#include "weft/base/address.h"
#include "weft/model/objects.h"

#define DHCP4_SERVER_PORT 67
#define DHCP4_CLIENT_PORT 68

#define DHCP4_MAX_ADDRESSES 16
#define DHCP4_MAX_PREFIXES 64
#define DHCP4_REPLY_MAX 1514 /* A frame's bytes: what a reply needs at most. */

/* One address that can be given, in a subnet that is served. */
struct dhcp4_address {
    struct ip_address address;
    struct ip_prefix prefix;
    struct ip_address server; /* The server identifier. */
    bool has_gateway;
    struct ip_address gateway;
    const struct ip_address *dns_servers; /* Borrowed; those of the other family are passed over. */
    size_t n_dns_servers;
    const struct host_route *routes; /* Borrowed. */
    size_t n_routes;
};

struct dhcp4_config {
    struct mac_address mac; /* The port's. */
    struct mac_address server_mac;
    uint16_t mtu;       /* 0: not told. */
    uint32_t lease_s;   /* UINT32_MAX: for ever. */
    const char *domain; /* Borrowed, NULL for none; no dot at its end is needed. */
    struct dhcp4_address addresses[DHCP4_MAX_ADDRESSES];
    size_t n_addresses;                            /* The first is given to a client that asks for none. */
    struct ip_prefix prefixes[DHCP4_MAX_PREFIXES]; /* All IPv4 subnets of the network: they are on-link. */
    size_t n_prefixes;
    const struct extra_dhcp_option *options; /* Borrowed; those for IPv4 replace what the server would send. */
    size_t n_options;
};

enum dhcp4_message {
    DHCP4_DISCOVER = 1,
    DHCP4_OFFER,
    DHCP4_REQUEST,
    DHCP4_DECLINE,
    DHCP4_ACK,
    DHCP4_NAK,
    DHCP4_RELEASE,
    DHCP4_INFORM,
};

/* What happened, for counters and logs. */
struct dhcp4_outcome {
    uint8_t request;           /* enum dhcp4_message; 0 when it was not understood. */
    uint8_t reply;             /* 0: none. */
    struct ip_address address; /* Given, confirmed, refused, released or declined. */
};

/* Answers the frame 'request' ('size' bytes) into 'reply' (at least DHCP4_REPLY_MAX).  Returns the reply's size; 0 when
 * there is nothing to say (RELEASE, DECLINE, a client that chose another server); -EBADMSG for a malformed message;
 * -EPROTONOSUPPORT for what is not a DHCPv4 request to us; -EADDRNOTAVAIL when the port has no address to give.  '*ret'
 * is always filled. */
int dhcp4_respond(const struct dhcp4_config *config, const void *request, size_t size, void *reply, size_t capacity,
                  struct dhcp4_outcome *ret);

const char *dhcp4_message_name(uint8_t message); /* "DISCOVER"; "none" for 0, "unknown". */

#endif
