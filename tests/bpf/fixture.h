/* A small world in a pipeline: two tenants with the same addresses, on this host and two others; the first has two more networks, behind
 * routers.
 *
 *   slot  interface  network  MAC  addresses              what is special
 *   1     101        7        A    10.0.0.1, fd01::1      secure; DHCP and router solicitations are answered; a veth
 *   2     102        7        B    10.0.0.2, fd01::2      secure; a veth
 *   3     103        8        B    10.0.0.2, fd01::2      the other tenant's
 *   4     104        7        D    10.0.0.4               no port security; may learn; a tap
 *   5     105        7        E    10.0.0.5               administratively down
 *   6     -          7        F    10.0.0.6               not plugged
 *   7     107        9        G    10.0.0.7               alone in its network; allowed pair 10.9.0.0/16 with MAC V; may learn
 *   8     108        7        H    10.0.0.8, fd01::8      has security groups that allow all
 *   10    110        10       J    10.0.1.1, fd02::1      secure; a veth; its network's MTU is 1400
 *   11    111        11       K    10.0.2.1, fd03::1      secure; a veth
 *
 *   host 1: 192.0.2.1 > 192.0.2.2, MACs known          has port M (10.0.0.101, fd01::101) of network 7
 *   host 2: 2001:db8::1 > 2001:db8::2, by neighbor      has port N (10.0.0.102) of network 7
 *   host 3: 192.0.2.1 > 192.0.2.4, no next hop          has port O (10.0.0.103) of network 7
 *   tunnel device: interface 200; underlay: interface 201; metadata device: interface 202, MAC Z
 *
 *   network 7, 1450 --[1] router 1 [2]-- network 10, 1400 --[3] router 2 [4]-- network 11, 1450        [N] is router port N
 *              R 10.0.0.254, fd01::254   S 10.0.1.254, fd02::254    T 10.0.1.253, fd02::253   U 10.0.2.254, fd03::254
 *   router 1 has a route to network 11 by 10.0.1.253, one to 10.7.0.0/16 by 10.0.1.99 (nobody), and for 10.8.0.0/16 group 5 of next hops:
 *   router 2 and a workload, J.  Router 2's default route is router 1; network 10 also has P (10.0.1.101, fd02::101) on host 1.
 *   a broadcast goes to two hosts, of which each passes it on */
#ifndef WEFT_TESTS_FIXTURE_H
#define WEFT_TESTS_FIXTURE_H

#include "frames.h"
#include "weft/dataplane/pipeline.h"

#define TUNNEL_IFINDEX 200
#define UNDERLAY_IFINDEX 201
#define METADATA_IFINDEX 202
#define METADATA_AGENT_PORT 8000 /* IPv4; one more for IPv6. */
#define FIXTURE_FLOW_SLOTS 4096
#define FIXTURE_KEY (FLOOD_KEY_MASK - 150) /* This host's; host N's is 100 * N further, round the end of the ring. */

struct pipeline *fixture_new(void);
void fixture_fill(struct pipeline *pipeline); /* Into an empty one with at least 16 ports, hosts and projects, and so many flow slots. */

struct port_config *fixture_port(struct pipeline *pipeline, uint32_t slot);
struct host_config *fixture_host(struct pipeline *pipeline, uint32_t slot);
void fixture_fdb(struct pipeline *pipeline, const char *table, uint32_t vni, const char *mac, uint32_t output);
/* Hosts 4 to 10 more in network 7, all reachable, as host 1: nine in the tree. */
void fixture_nine_hosts(struct pipeline *pipeline);
bool fixture_is_in_tree(struct pipeline *pipeline, uint32_t vni, uint32_t index);
struct router_port_config *fixture_router_port(struct pipeline *pipeline, uint32_t number);
/* 'length' as of the family of 'prefix'.  'next_hop' NULL: it is attached. */
void fixture_route(struct pipeline *pipeline, uint32_t router, const char *prefix, uint32_t length, uint32_t flags, uint32_t port,
                   const char *next_hop);
void fixture_neighbor(struct pipeline *pipeline, uint32_t vni, const char *address, const char *mac);
void fixture_add_router_port(struct pipeline *pipeline, uint32_t number, uint32_t router, uint32_t vni, const char *mac, const char *ip4,
                             const char *ip6, uint16_t mtu);
void fixture_flood(struct pipeline *pipeline, uint32_t vni, uint32_t index, uint32_t output);

/* Security groups.  A set of 'n' rules replaces an earlier one of its number as far as it goes. */
#define FIXTURE_ALLOW_ALL 1u
void fixture_rules(struct pipeline *pipeline, uint32_t set, const struct rule *rules, uint32_t n);
void fixture_policy(struct pipeline *pipeline, uint32_t slot, uint32_t egress, uint32_t ingress);

/* The same of a firewall policy; none of its rules may be left over. */
void fixture_firewall(struct pipeline *pipeline, uint32_t set, const struct firewall_rule_row *rules, uint32_t n);
struct port_counters *fixture_counters(struct pipeline *pipeline, uint32_t slot);

#endif
