/* Lists of actions: one at a time, by the version's own file. */
#include <string.h>

#include "weft/fabric/openflow/actions.h"

/* The next action with its header checked: at least 8 bytes, a multiple of 8, within the list. */
static int take(enum of_version version, struct of_bytes *list, struct of_action *ret, struct error *error)
{
    if (list->size == 0)
        return 0;
    struct of_bytes before = *list, wire;
    if (of_element_take(list, 2, 8, false, &wire) < 0 || wire.size % 8)
        return of_bad(error, "OFPBAC_BAD_LEN", NULL, "an action's length is %u, where %zu bytes are left",
                      before.size >= 4 ? get_be16(before.data + 2) : 0, before.size);
    memset(ret, 0, sizeof(*ret));
    ret->wire = wire;
    int r = version == OF10 ? of_action10_decode(ret, error) : of_action13_decode(ret, error);
    return r < 0 ? r : 1;
}

int of_action_next(enum of_version version, struct of_bytes *list, struct of_action *ret)
{
    return take(version, list, ret, NULL);
}

int of_actions_check(enum of_version version, struct of_bytes list, struct error *error)
{
    struct of_action action;
    for (unsigned i = 0;; i++) {
        int r = take(version, &list, &action, error);
        if (r <= 0) {
            if (r < 0)
                error_prefix_field(error, "actions[%u]", i);
            return r;
        }
    }
}

int of_action_put(enum of_version version, struct writer *list, const struct of_action *action)
{
    if (action->kind == OFA_BUNDLE)
        return of_nicira_action_put(list, action);
    if (action->kind != OFA_OTHER)
        return version == OF10 ? of_action10_put(list, action) : of_action13_put(list, action);
    if (action->wire.size < 8 || action->wire.size % 8 || get_be16(action->wire.data + 2) != action->wire.size)
        return -EINVAL;
    writer_bytes(list, action->wire.data, action->wire.size);
    return list->overflow ? -ENOBUFS : 0;
}

int of_action_bad_size(const struct of_action *action, struct error *error)
{
    return of_bad(error, "OFPBAC_BAD_LEN", NULL, "an action of type %u has %zu bytes", get_be16(action->wire.data),
                  action->wire.size);
}

int of_experimenter_action_decode(struct of_action *ret, struct error *error)
{
    ret->kind = OFA_OTHER;
    if (get_be32(ret->wire.data + 4) != NICIRA)
        return 0;
    if (ret->wire.size < 16) /* Nicira's have a subtype and at least its padding. */
        return of_action_bad_size(ret, error);
    of_nicira_action_decode(ret->wire, ret);
    return 0;
}
