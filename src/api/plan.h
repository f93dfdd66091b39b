/* What one request is about to write: all of it in one transaction, or none.
 *
 * A hook collects objects that are created, edited or deleted, keys beside them, and what it reserved in memory.
 * plan_commit turns that into a transaction in which every object that was looked at is compared with the revision
 * that was seen: if anything changed meanwhile the transaction fails whole and the handler runs again.
 *
 * Functions that return nothing keep the first failure in the plan, and plan_commit answers it. */
#ifndef WEFT_API_PLAN_H
#define WEFT_API_PLAN_H

#include "weft/api/networking.h"
#include "weft/api/request.h"
#include "weft/base/hashmap.h"
#include "weft/model/schema.h"

struct plan;

/* The plan is the request's state from now on and is freed with it, which gives back what it reserved.  NULL when out of memory. */
struct plan *plan_new(struct request *request, struct networking *networking);

struct request *plan_request(const struct plan *plan);

/* The transaction fails if 'object' changes or goes before it commits. */
void plan_guard(struct plan *plan, const struct object *object);

/* A copy of 'object' to change; the same one when asked again.  NULL when out of memory (the plan then has failed). */
struct object *plan_edit(struct plan *plan, const struct object *object);

/* What will be there: the edited copy, or 'object' itself; NULL when the plan deletes it. */
const struct object *plan_current(const struct plan *plan, const struct object *object);

int plan_create(struct plan *plan, struct object *object); /* Taken over; readable until the plan is freed.  0 or -ENOMEM. */
int plan_create_implied(struct plan *plan, struct object *object); /* What nobody asked for but what is created needs. */
void plan_delete(struct plan *plan, const struct object *object);

/* Visits what the plan creates, of 'kind': what was asked for, and what is implied. */
const struct object *plan_created(const struct plan *plan, enum resource_kind kind, const struct object *previous);
const struct object *plan_edited(const struct plan *plan, enum resource_kind kind, const struct object *previous); /* As plan_edit gave them. */
const struct object *plan_implied(const struct plan *plan, enum resource_kind kind, const struct object *previous);

/* Keys beside the objects. */
void plan_claim(struct plan *plan, const char *key, const char *value); /* Must not exist. */
bool plan_claims(const struct plan *plan, const char *key);                    /* Did it already? */
void plan_put(struct plan *plan, const char *key, const char *value);
/* Must be of 'revision' (0: not exist).  NULL deletes it.  The same key again: nothing. */
void plan_replace(struct plan *plan, const char *key, uint64_t revision, const char *value);
void plan_remove(struct plan *plan, const char *key);

void plan_require_revision(struct plan *plan, const char *key, uint64_t revision); /* 0: must not exist. */
void plan_require_absent(struct plan *plan, const char *key);

/* The request waits in line (lines.h) for a turn that another one of this server has: turns.h says what goes with it in the store. */
void plan_wish_turn(struct plan *plan, const char *key, bool only_sees);

/* Under 'prefix' exist no other keys than those with these endings, which this sorts.  Said again of a prefix, it is nothing: what the plan
 * itself adds is not there yet. */
void plan_require_only(struct plan *plan, const char *prefix, char **endings, size_t n_endings);

/* Reservations.  As ipam.h, quota.h and vnis.h say; undone when the plan is freed without having been committed. */
int plan_choose_address(struct plan *plan, const struct subnet *subnet, struct ip_address *ret_address);
int plan_reserve_address(struct plan *plan, const struct subnet *subnet, const struct ip_address *address);
int plan_reserve_quota(struct plan *plan, struct object *object); /* Sets its quota_slot, claims its key. */
int plan_choose_vni(struct plan *plan, uint32_t *ret_vni);
int plan_reserve_vni(struct plan *plan, uint32_t vni);

void plan_fail(struct plan *plan, int code);
bool plan_has_failed(const struct plan *plan); /* Nothing more need be put into it: plan_commit answers. */

/* Commits; 'done' runs with the plan still there when that has succeeded and the replica has it.  When somebody was quicker
 * the request is retried; other failures are answered here. */
void plan_commit(struct plan *plan, void (*done)(struct plan *plan, struct request *request));
void plan_commit_and_answer(struct plan *plan, json_t *answer); /* The same; then the answer is 200 and 'answer', taken over. */

#endif
