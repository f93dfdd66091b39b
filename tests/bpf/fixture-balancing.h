/* Load balancers for the small world of fixture.h: their address is 10.0.0.200 and fd01::200, MAC L, in network 7.
 *
 *   listener  port    pool of             what is special
 *   1         80      members 1 and 2     ROUND_ROBIN
 *   2         81      member 1            10.0.0.2:8080, slot 2, in network 7
 *   3         82      member 2            10.0.0.101:8080, host 1, in network 7
 *   4         83      member 3            10.0.0.1:8081, slot 1, which calls itself
 *   5         84      member 4            10.0.0.8:8080, slot 8, which has security groups
 *   6         85      member 5            10.0.2.1:8080, slot 11, in network 11
 *   7         86      nobody
 *   8         87      members 1 and 2     only 10.0.0.2 and fd01::2 may call
 *   9         88      members 1 and 2     SOURCE_IP, by the first 24 (IPv6: 64) bits
 *   10        89      member 1            admin_state_up is false
 *   11        90      members 1 and 2     LEAST_CONNECTIONS
 *   12        91      member 1            connection_limit 2
 *
 * Each serves TCP, UDP and SCTP.  IPv6 has the same, of members 6 to 10 with the addresses that end alike.  The ids of members begin with
 * 0x7000000N.
 */
#ifndef WEFT_TESTS_FIXTURE_BALANCING_H
#define WEFT_TESTS_FIXTURE_BALANCING_H

#include "fixture.h"

#define FIXTURE_BALANCER 0x1b000001u
#define FIXTURE_MEMBERS 10

void fixture_balancing(struct pipeline *pipeline);
/* For an external network (fixture-external.h) besides: 203.0.113.222 is a floating IP of the address, and fd01::/64 is reached from outside, both by router port 5. */
void fixture_balancing_outside(struct pipeline *pipeline);
/* On it itself, too: a second load balancer of the id that follows, at 203.0.113.230 and 2001:db8:20::230, MAC v, router port 8.  TCP and UDP port 92 are of
 * members 11 and 13 (slot 2), 93 of members 12 and 14 (on host 1), by listeners 13 and 14. */
void fixture_balancing_vip(struct pipeline *pipeline);
/* Who had the rows of a pool before: numbers of members, the last one first; 0: nobody. */
void fixture_row_history(struct pipeline *pipeline, uint32_t pool, uint16_t first, uint16_t second, uint16_t third);
struct service_member *fixture_member(struct pipeline *pipeline, uint32_t number);
struct service_value *fixture_service(struct pipeline *pipeline, const char *address, uint8_t protocol, uint16_t port);

#endif
