/* What the tests of load balancers share: the world of tests/bpf/fixture-balancing.h, and what they expect of it. */
#ifndef WEFT_TESTS_BALANCING_H
#define WEFT_TESTS_BALANCING_H

#include "conversation.h"
#include "fixture-balancing.h"

int set_up_balancing(void **state);

uint64_t in_use(const char *table, uint32_t number);
struct service_counters *counters(uint32_t listener);
void all_ends(void); /* And nothing of the connections is left. */
void expect_stage(const char *stage);

/* Of connections to 10.0.0.200 and so on, by TCP. */
void set_timeout(const char *vip, uint16_t port, uint32_t listener, uint32_t timeout_ms);

/* What host 1 gets: kind DIRECT_RETURN, 'hops', the client's slot, and its network (of what goes back, the balancer's). */
void expect_sent_from(uint32_t vni, uint32_t hops, uint32_t slot, const char *text);
void expect_sent(uint32_t hops, uint32_t slot, const char *text);

#endif
