/* What is to be in the director's tables: the configuration's services with those of their servers that are to be used, each with the
 * weight that it has now.  What is up and down is decided by whoever makes the plan; without health checks all are used. */
#ifndef WEFT_DIRECTOR_PLAN_H
#define WEFT_DIRECTOR_PLAN_H

#include "weft/director/config.h"

struct planned_server {
    const struct real_server *server; /* The configuration's. */
    uint32_t weight;
    bool is_used;                     /* False: not in the tables, its connections end. */
    bool is_down;                     /* It may be used all the same, with weight 0. */
};

struct planned_service {
    const struct virtual_service *service;
    struct planned_server *servers;   /* The service's in their order; behind them the sorry server, if there is one, not used. */
    size_t n_servers;
};

struct plan {
    const struct director_config *config;
    struct planned_service *services; /* In the configuration's order. */
    size_t n_services;
};

/* Everything as configured, the sorry servers unused; without the services that plan_check_service refuses.  NULL without memory.  'config' must
 * outlive the plan. */
struct plan *plan_new(const struct director_config *config);
void plan_free(struct plan *plan);
DEFINE_CLEANUP(struct plan *, plan_free);

/* Can the tables express it?  0; or -EOPNOTSUPP with '*error' naming field and value of what this director cannot do: of the first service that
 * is refused, or of this one. */
int plan_check(const struct director_config *config, struct error *error);
int plan_check_service(const struct virtual_service *service, struct error *error);

#endif
