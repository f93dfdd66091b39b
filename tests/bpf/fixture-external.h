/* An external network for the small world of fixture.h: 203.0.113.0/24, VNI 20, on this host's interface 120, untagged; and 198.51.100.0/24,
 * VNI 21, there too, VLAN 5.
 *
 *   router 1 (networks 7 and 10)  gateway port [5], MAC g, 203.0.113.10, 2001:db8:20::10; translates to ports 1024-1087 here, 2048-2111 on host 1;
 *                                 default route to 203.0.113.1, which is MAC x
 *   router 3 (network 8)          port [6], MAC c, 10.0.0.254; gateway port [7], MAC h, 203.0.113.20; ports 1024-1039 here
 *   floating IPs    203.0.113.12: slot 2 (10.0.0.2, router 1)      203.0.113.23: slot 3 (10.0.0.2, router 3)
 *                   203.0.113.101: a port on host 1                 203.0.113.14: slot 8 (10.0.0.8, router 1), has an ingress policy
 *   203.0.113.13    forwards tcp 8080 and 8081 to 10.0.0.1:80 (slot 1), udp 5000-5009 to 10.0.0.1:6000, tcp 9000 to host 1
 *   203.0.113.99    is an address of this host itself
 *   gateways of VNI 20: hosts 1 and 2
 *   slot 12, interface 112, MAC E', is a workload in network 20 itself: 203.0.113.77, MAC e */
#ifndef WEFT_TESTS_FIXTURE_EXTERNAL_H
#define WEFT_TESTS_FIXTURE_EXTERNAL_H

#include "fixture.h"

#define UPLINK_IFINDEX 120

void fixture_external(struct pipeline *pipeline);
void fixture_floating(struct pipeline *pipeline, uint32_t slot, const char *inside, const char *outside, uint32_t router_port, uint32_t object);
void fixture_external_row(struct pipeline *pipeline, uint32_t vni, const char *address, const struct external_value *value);
struct external_value *fixture_external_find(struct pipeline *pipeline, uint32_t vni, const char *address);

#endif
