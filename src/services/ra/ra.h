/* Router advertisements for one port: what a workload needs to configure IPv6 on its network.
 *
 * A prefix is advertised for each subnet that has an ra_mode: on-link always; autonomous (A) when the mode is slaac or
 * stateless and the port holds an address there, for a workload must not make itself one that anti-spoofing drops.
 * dhcpv6-stateful sets M, dhcpv6-stateless O.
 *
 * The advertisement makes its *source* the default router, so the source is the gateway's link-local address if a port
 * of the network is the gateway (its MAC's EUI-64, or the subnet's gateway_ip when that is link local); without one it
 * is the virtual server's and the router lifetime is 0: prefixes and DNS, no default route.
 *
 * Standards: RFC 4861, 4.1, 4.2, 6.1.1, 6.2; 4862, 5.5.3; 8106 (RDNSS, DNSSL).
 * Not followed: prefixes are not deprecated when a subnet goes; they run out. */
#ifndef WEFT_SERVICES_RA_RA_H
#define WEFT_SERVICES_RA_RA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "weft/base/address.h"

#define RA_MAX_PREFIXES 32
#define RA_MAX_DNS 16
#define RA_FRAME_MAX 1514

/* A host hears one at least so often; lifetimes are three times it (RFC 4861, 6.2.1). */
#define RA_INTERVAL_S 300u

struct ra_prefix {
    struct ip_prefix prefix;
    bool autonomous;
};

struct ra_config {
    struct mac_address mac; /* The port's. */
    struct mac_address server_mac;
    struct ip_address source; /* Link local. */
    bool enabled;             /* The port has an address in a subnet that has an ra_mode. */
    bool managed, other;      /* M, O. */
    bool has_gateway;
    struct mac_address gateway_mac; /* The source link-layer option, if 'has_gateway'. */
    uint16_t mtu;                   /* 0: not told. */
    struct ra_prefix prefixes[RA_MAX_PREFIXES];
    size_t n_prefixes;
    struct ip_address dns_servers[RA_MAX_DNS];
    size_t n_dns_servers;
    const char *domain; /* Borrowed, NULL for none. */
};

/* Answers a router solicitation.  A solicitor that has no address yet is answered to all nodes, on its own link only.
 * Returns the reply's size; -EBADMSG for one that RFC 4861, 6.1.1 says to discard; -EPROTONOSUPPORT for any other
 * frame; -EADDRNOTAVAIL when the network advertises nothing. */
int ra_respond(const struct ra_config *config, const void *request, size_t size, void *reply, size_t capacity);

/* An unsolicited one, to all nodes.  Returns its size, or -EADDRNOTAVAIL. */
int ra_advertise(const struct ra_config *config, void *frame, size_t capacity);

/* In the name of 'former', a router that was advertised and is none any more (RFC 4861, 6.2.5).  Returns its size. */
int ra_withdraw(const struct ra_config *config, const struct ip_address *former, void *frame, size_t capacity);

#endif
