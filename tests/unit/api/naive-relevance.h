/* What is relevant to a host, computed from nothing but the definition (weft/api/relevance.h): a fixpoint over lists of ids. */
#ifndef WEFT_TEST_NAIVE_RELEVANCE_H
#define WEFT_TEST_NAIVE_RELEVANCE_H

#include "weft/api/replica.h"

#define NAIVE_SET_MAX 256

struct naive_set {
    char ids[NAIVE_SET_MAX][UUID_TEXT_SIZE];
    size_t n;
};

struct naive {
    const struct replica *replica;
    const struct host *host;
    struct naive_set uplinked, here, whole, visible, routers, local_groups, named_groups, address_groups, local_ports, local_projects, load_balancers;
};

/* Aborts when a set is not large enough. */
void naive_compute(const struct replica *replica, const struct host *host, struct naive *ret);
bool naive_has(const struct naive *naive, const struct object *object); /* Of the replica. */

#endif
