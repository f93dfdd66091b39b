/* What happens one after the other: requests that must see what the others did before them rewrite one key,
 *     turn/<kind>/<id>
 * and require it as they saw it.  Of two at once on two servers the second fails, runs again, and sees the first; on
 * one server it waits in line (lines.h). */
#ifndef WEFT_API_TURNS_H
#define WEFT_API_TURNS_H

#include "weft/api/plan.h"
#include "weft/base/cleanup.h"
#include "weft/store/store.h"

#define TURN_PREFIX "turn/"

struct turns;
int turns_new(struct turns **ret_turns);
void turns_free(struct turns *turns);
DEFINE_CLEANUP(struct turns *, turns_free);
void turns_changed(const struct store_item *item, void *turns); /* For replica_follow of TURN_PREFIX. */

/* Nobody else takes this turn meanwhile.  Taking it again in the same plan is nothing. */
void plan_take_turn(struct plan *plan, const char *kind, const char *id);

/* Nobody else takes it meanwhile; seeing it is no hindrance to others who only see it. */
void plan_see_turn(struct plan *plan, const char *kind, const char *id);

/* As plan_take_turn, and nobody will any more: what it is about goes. */
void plan_end_turns(struct plan *plan, const char *kind, const char *id);

#endif
