/* Quotas: how many networks, subnets, ports and so on a project may have.
 *
 * Every object of a project with a limit holds one unit, a number in 1..limit, by the store's key
 * quota/unit/<project>/<resource>/<number>, written with the object and deleted with it: no two objects can hold the
 * same one, so any number of servers together stay within the limit, and no key is written by every create.
 * Without a limit (-1) no unit is held.  After a limit was lowered, or set where there was none, objects without a
 * number below it exist: then the count in memory refuses, which is exact on one server and off by the requests
 * under way when several race for the last unit. */
#ifndef WEFT_API_QUOTA_H
#define WEFT_API_QUOTA_H

#include <jansson.h>

#include "weft/base/cleanup.h"
#include "weft/model/objects.h"
#include "weft/store/store.h"

struct quota;
struct replica;

#define QUOTA_KEY_SIZE 160

/* Limits are two APIs' business, each with keys of its own. */
struct quota_group {
    const char *prefix;                /* "quota/limits/": a project's are behind it. */
    const enum resource_kind *kinds;   /* In the order they are shown. */
    size_t n_kinds;
    unsigned number;
};
#define QUOTA_N_GROUPS 2
extern const struct quota_group quota_networking, quota_load_balancing;

struct quota_limits {
    int64_t limits[RESOURCE_N_KINDS]; /* -1: none. */
};

int quota_new(struct quota **ret_quota);
void quota_free(struct quota *quota);
DEFINE_CLEANUP(struct quota *, quota_free);

struct quota_limits quota_defaults(const struct quota *quota);
struct quota_limits quota_of(const struct quota *quota, const char *project_id);

/* Of the transaction that wrote the project's own limits; 0 while it has none. */
uint64_t quota_limits_revision(const struct quota *quota, const struct quota_group *group, const char *project_id);

/* The projects with limits of their own, in no order. */
void quota_foreach(const struct quota *quota, const struct quota_group *group, void (*visit)(const char *project_id, const struct quota_limits *limits, void *context),
                   void *context);

const char *quota_unit_key(const char *project_id, enum resource_kind kind, uint32_t unit, char key[QUOTA_KEY_SIZE]);
int quota_limits_key(const struct quota_group *group, const char *project_id, char key[QUOTA_KEY_SIZE]); /* -EINVAL for a project that cannot be one. */

/* Takes a unit for one more object.  '*ret_unit' is 0 when none is needed.  0, -ENOSPC over the limit, -ENOMEM. */
int quota_reserve(struct quota *quota, const struct replica *replica, const char *project_id, enum resource_kind kind,
                  uint32_t *ret_unit);
void quota_release(struct quota *quota, const char *project_id, enum resource_kind kind, uint32_t unit);
void quota_collided(struct quota *quota, const char *project_id, enum resource_kind kind);
uint64_t quota_reserved(const struct quota *quota, const char *project_id, enum resource_kind kind); /* Requests under way. */

void quota_object_changed(struct quota *quota, const struct object *before, const struct object *after);
void quota_limits_changed(const struct store_item *item, void *quota); /* For replica_follow of the groups' prefixes. */

#endif
