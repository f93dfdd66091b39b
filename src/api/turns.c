#include "weft/api/turns.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "weft/api/networking.h"
#include "weft/base/hashmap.h"
#include "weft/base/log.h"
#include "weft/base/util.h"

#define KEY_SIZE 128

struct turn {
    struct hashmap_node by_key;
    uint64_t revision;
    char key[KEY_SIZE];
};

struct turns {
    struct hashmap seen;
};

int turns_new(struct turns **ret_turns)
{
    *ret_turns = calloc(1, sizeof **ret_turns);
    return *ret_turns ? 0 : -ENOMEM;
}

void turns_free(struct turns *turns)
{
    if (!turns)
        return;
    HASHMAP_FOREACH (node, &turns->seen)
        free(CONTAINER_OF(node, struct turn, by_key));
    hashmap_clear(&turns->seen);
    free(turns);
}

static struct turn *find(const struct turns *turns, const char *key)
{
    struct hashmap_node *node = hashmap_find(&turns->seen, key, strlen(key));

    return node ? CONTAINER_OF(node, struct turn, by_key) : NULL;
}

void turns_changed(const struct store_item *item, void *context)
{
    struct turns *turns = context;
    struct turn *turn = find(turns, item->key);

    if (!item->value) {
        if (turn)
            hashmap_remove(&turns->seen, &turn->by_key);
        free(turn);
        return;
    }
    if (!turn && (turn = calloc(1, sizeof *turn))) {
        string_copy(turn->key, sizeof turn->key, item->key);
        if (hashmap_insert(&turns->seen, &turn->by_key, turn->key, strlen(turn->key)) < 0) {
            free(turn);
            turn = NULL;
        }
    }
    if (turn)
        turn->revision = item->modify_revision;
    else /* Whoever takes it finds it changed, again and again, and gives up. */
        log_error("out of memory: what takes its turn by %s fails until weft-api starts again", item->key);
}

/* Of which revision it was seen; 0: not there. */
static uint64_t seen(const struct plan *plan, const char *kind, const char *id, char key[KEY_SIZE])
{
    const struct turn *turn;

    snprintf(key, KEY_SIZE, "%s%s/%s", TURN_PREFIX, kind, id);
    turn = find(networking_turns(request_api(plan_request(plan))->networking), key);
    return turn ? turn->revision : 0;
}

static void take(struct plan *plan, const char *kind, const char *id, const char *value)
{
    char key[KEY_SIZE];
    uint64_t revision = seen(plan, kind, id, key);

    plan_wish_turn(plan, key, false);
    plan_replace(plan, key, revision, value);
}

void plan_see_turn(struct plan *plan, const char *kind, const char *id)
{
    char key[KEY_SIZE];
    uint64_t revision = seen(plan, kind, id, key);

    plan_wish_turn(plan, key, true);
    plan_require_revision(plan, key, revision);
}

void plan_take_turn(struct plan *plan, const char *kind, const char *id)
{
    take(plan, kind, id, "");
}

void plan_end_turns(struct plan *plan, const char *kind, const char *id)
{
    take(plan, kind, id, NULL);
}
