/* The health of a director's servers: a monitor for each check of each server, and what follows for the services (judge.h).
 *
 *     configuration -> checks -> health/set.h -> results -> judge.h -> which servers the tables have, with which weights
 *
 * One loop, one thread. */
#ifndef WEFT_DIRECTOR_HEALTH_H
#define WEFT_DIRECTOR_HEALTH_H

#include <uv.h>

#include "weft/base/error.h"
#include "weft/director/config.h"
#include "weft/director/judge.h"
#include "weft/health/question.h"

struct director_health;

/* 'changed' is called from the loop when what director_health_service says is another now.  0 or -ENOMEM. */
int director_health_new(uv_loop_t *loop, void (*changed)(void *context), void *context, struct director_health **ret);

/* For the first configuration: was a server known to be down before this process, so that its checks begin as failed and not as passed?
 * Asked within director_health_set. */
void director_health_recall(struct director_health *health, bool (*was_down)(const struct virtual_service *, const struct real_server *, void *context),
                            void *context);

/* Who leads checks the way of the traffic (check_goes_by_traffic).  Before the first configuration; without, all of them go to the servers. */
struct check_way;
struct check_paths {
    /* The way by which 'service' forwards to 'server', for checks of 'target'; 'in_chain': that of packets whose row has a history.  Until end().  0 or
     * -errno with '*error': then the check goes to the server, and that is said. */
    int (*begin)(const struct virtual_service *service, const struct real_server *server, const struct health_target *target, bool in_chain, void *context,
                 struct check_way **ret, struct error *error);
    void (*end)(struct check_way *way); /* NULL is fine. */
    int (*open)(const struct health_target *target, int type, void *way); /* As of struct health_target. */
    void *context;
};
void director_health_set_paths(struct director_health *health, const struct check_paths *paths);

/* Ends all probes; 'closed' (may be NULL) is called from the loop when it is gone. */
void director_health_close(struct director_health *health, void (*closed)(void *context), void *context);

/* Follows 'config', which must outlive it or the next call.  A check that stays as it was goes on; one that is written anew keeps what was known of
 * its server.  A check that is new is up until it fails, or with 'alpha' down until it succeeds.  0, or -ENOMEM, -EINVAL with '*error' (what no
 * check of the configuration's reader can see, as a command without its last quote), and the configuration before is followed as before. */
int director_health_set(struct director_health *health, const struct director_config *config, struct error *error);

/* Of the service of that index in the configuration. */
const struct judged_service *director_health_service(const struct director_health *health, size_t index);

/* Why a server is down, "tcp 10.0.0.1:80: connection refused"; "" when it is up, or has not failed yet.  Returns 'text'. */
#define DIRECTOR_REASON_SIZE 256
const char *director_health_reason(const struct director_health *health, size_t service, size_t server, char text[DIRECTOR_REASON_SIZE]);

#endif
