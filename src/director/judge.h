/* What follows for a service from which of its servers are up: keepalived's rules of quorum, hysteresis, sorry server and
 * inhibit_on_failure (keepalived.conf(5)).  Pure. */
#ifndef WEFT_DIRECTOR_JUDGE_H
#define WEFT_DIRECTOR_JUDGE_H

#include "weft/director/service.h"

struct judged_server {
    bool is_up;      /* All its checks pass, or it has none. */
    bool has_weight; /* A check chose the weight. */
    uint32_t chosen_weight;

    /* What follows. */
    bool is_used;    /* In the tables. */
    uint32_t weight; /* There. */
};

struct judged_service {
    bool has_quorum;
    struct judged_server *servers; /* As many as the service has, in their order; behind them the sorry server, if it has one. */
};

/* Fills in what follows, for the quorum that the service has.  'is_first': there was none before; the service has its quorum if it would gain
 * it now.  Returns whether has_quorum, is_used or weight of anything changed. */
bool service_judge(const struct virtual_service *service, struct judged_service *judged, bool is_first);

#endif
