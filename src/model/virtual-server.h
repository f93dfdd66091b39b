/* The address of the platform's own server (DHCP, router advertisements) in every virtual network.
 *
 * It is on no host and on all of them: each agent answers for its own workloads under the same addresses, so a workload
 * that moves host keeps talking to "the same" server.  Workloads never see another one, so the same MAC is right in
 * every network.  It is of the range fa:16:3f (locally administered), which ports never get: theirs begin with
 * fa:16:3e.
 *
 * Neighbor tables answer for these addresses with the MAC unless a port of the network holds them:
 *   - the gateway address of an IPv4 subnet that is served by DHCP (the DHCP server identifier, which a client asks
 *     by unicast to renew), or VIRTUAL_SERVER_IP4 for a subnet that has no gateway;
 *   - VIRTUAL_SERVER_IP6, the source of DHCPv6 replies. */
#ifndef WEFT_MODEL_VIRTUAL_SERVER_H
#define WEFT_MODEL_VIRTUAL_SERVER_H

#include "weft/base/address.h"

#define VIRTUAL_SERVER_MAC ((struct mac_address){{0xfa, 0x16, 0x3f, 0x00, 0x00, 0x01}})

/* 169.254.0.1: link local (RFC 3927), of the part that hosts do not choose for themselves (2.1). */
#define VIRTUAL_SERVER_IP4 ((struct ip_address){{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 169, 254, 0, 1}})

/* 169.254.169.254: where workloads look for the metadata service, as in every cloud.  Likewise the server's, but the programs answer for it
 * by themselves (dataplane/bpf/metadata.h). */
#define METADATA_SERVER_IP4 ((struct ip_address){{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 169, 254, 169, 254}})

/* fe80::f816:3fff:fe00:1, the MAC's modified EUI-64 (RFC 4291, appendix A). */
#define VIRTUAL_SERVER_IP6                                                                                             \
    ((struct ip_address){{0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0xf8, 0x16, 0x3f, 0xff, 0xfe, 0x00, 0x00, 0x01}})

#endif
