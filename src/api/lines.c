#include "weft/api/lines.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "weft/base/hashmap.h"
#include "weft/base/util.h"

/* Exists while somebody holds it: who waits, waits for the holder. */
struct line {
    struct hashmap_node by_key;
    struct line_member *holder; /* Whose turn it is, or who is being called for it. */
    struct line_member *waiting, **last_waiting;
    char key[LINE_KEY_SIZE];
};

struct line_hold {
    struct line *line;
    bool only_sees;
    struct line_hold *next;
};

struct lines {
    struct hashmap by_key;
    uv_timer_t timer;
    struct line_member *called, **last_called;
    void (*call)(struct line_member *member);
    void (*dismiss)(struct line_member *member);
    bool is_stopped;
};

static void call_all(uv_timer_t *timer)
{
    struct lines *lines = timer->data;
    struct line_member *member = TAKE_PTR(lines->called);

    lines->last_called = &lines->called;
    while (member) {
        struct line_member *next = TAKE_PTR(member->next);

        lines->call(member);
        member = next;
    }
}

int lines_new(uv_loop_t *loop, void (*call)(struct line_member *member), void (*dismiss)(struct line_member *member),
              struct lines **ret_lines)
{
    struct lines *lines = calloc(1, sizeof(*lines));

    if (!lines)
        return -ENOMEM;
    lines->call = call;
    lines->dismiss = dismiss;
    lines->last_called = &lines->called;
    uv_timer_init(loop, &lines->timer);
    lines->timer.data = lines;
    *ret_lines = lines;
    return 0;
}

void lines_stop(struct lines *lines)
{
    struct line_member *member = NULL;

    if (!lines || lines->is_stopped)
        return;
    lines->is_stopped = true;
    uv_close((uv_handle_t *)&lines->timer, NULL);
    /* All of them together first: who is dismissed leaves, and takes its line along. */
    HASHMAP_FOREACH (node, &lines->by_key) {
        struct line *line = CONTAINER_OF(node, struct line, by_key);

        while (line->waiting) {
            struct line_member *next = line->waiting->next;

            free(TAKE_PTR(line->waiting->awaits));
            line->waiting->next = member;
            member = line->waiting;
            line->waiting = next;
        }
    }
    *lines->last_called = member;
    member = TAKE_PTR(lines->called);
    lines->last_called = &lines->called;
    while (member) {
        struct line_member *next = TAKE_PTR(member->next);

        lines->dismiss(member);
        member = next;
    }
}

void lines_free(struct lines *lines)
{
    if (!lines)
        return;
    hashmap_clear(&lines->by_key);
    free(lines);
}

/* The line is free: whose turn is it? */
static void call_next(struct lines *lines, struct line *line)
{
    struct line_member *member = line->waiting;

    if (!member) {
        hashmap_remove(&lines->by_key, &line->by_key);
        free(line);
        return;
    }
    line->waiting = TAKE_PTR(member->next);
    if (!line->waiting)
        line->last_waiting = &line->waiting;
    line->holder = member;
    member->awaits->next = member->holds;
    member->holds = TAKE_PTR(member->awaits);
    *lines->last_called = member;
    lines->last_called = &member->next;
    uv_timer_start(&lines->timer, call_all, 0, 0);
}

static void release(struct lines *lines, struct line_member *member, bool (*unneeded)(const struct line_hold *hold, const void *context),
                    const void *context)
{
    for (struct line_hold **at = &member->holds, *hold; (hold = *at);) {
        if (unneeded && !unneeded(hold, context)) {
            at = &hold->next;
            continue;
        }
        *at = hold->next;
        call_next(lines, hold->line);
        free(hold);
    }
}

static bool is_only_seen(const struct line_hold *hold, const void *context)
{
    return hold->only_sees;
}

static bool is_not_wished(const struct line_hold *hold, const void *wishes)
{
    const struct line_wish *wish = wishes;

    while (wish && !streq(wish->key, hold->line->key))
        wish = wish->next;
    return !wish;
}

static bool is_behind(const struct line_hold *hold, const void *key)
{
    return strcmp(hold->line->key, key) > 0;
}

static struct line *find(struct lines *lines, const char *key)
{
    struct hashmap_node *node = hashmap_find(&lines->by_key, key, strlen(key));

    return node ? CONTAINER_OF(node, struct line, by_key) : NULL;
}

static struct line *new_line(struct lines *lines, const char *key)
{
    struct line *line = calloc(1, sizeof(*line));

    if (!line)
        return NULL;
    line->last_waiting = &line->waiting;
    string_copy(line->key, sizeof(line->key), key);
    if (hashmap_insert(&lines->by_key, &line->by_key, line->key, strlen(line->key)) < 0) {
        free(line);
        return NULL;
    }
    return line;
}

static size_t count_waiting(const struct line *line, const char *project_id)
{
    size_t n = 0;

    for (const struct line_member *member = line->waiting; member; member = member->next)
        n += streq(member->project_id, project_id);
    return n;
}

/* 0: it is the member's.  1: somebody else has it, and the member stands in line. */
static int take(struct lines *lines, struct line_member *member, const struct line_wish *wish)
{
    struct line *line = find(lines, wish->key);
    struct line_hold *hold;

    if (line && line->holder == member) {
        for (hold = member->holds; hold->line != line; hold = hold->next)
            ;
        hold->only_sees = wish->only_sees;
        return 0;
    }
    if (line && (lines->is_stopped || count_waiting(line, member->project_id) >= LINE_MAX_WAITING))
        return -EBUSY;
    hold = calloc(1, sizeof(*hold));
    if (!hold)
        return -ENOMEM;
    hold->only_sees = wish->only_sees;
    if (line) {
        hold->line = line;
        member->awaits = hold;
        *line->last_waiting = member;
        line->last_waiting = &member->next;
        return 1;
    }
    hold->line = new_line(lines, wish->key);
    if (!hold->line) {
        free(hold);
        return -ENOMEM;
    }
    hold->line->holder = member;
    hold->next = member->holds;
    member->holds = hold;
    return 0;
}

int lines_enter(struct lines *lines, struct line_member *member, const struct line_wish *wishes)
{
    int r = 0;

    release(lines, member, is_not_wished, wishes);
    for (const struct line_wish *wish = wishes; wish && r == 0; wish = wish->next) {
        r = take(lines, member, wish);
        if (r == 1) /* It wished for less when it took them. */
            release(lines, member, is_behind, wish->key);
    }
    if (r < 0)
        release(lines, member, NULL, NULL);
    return r;
}

void lines_submitted(struct lines *lines, struct line_member *member)
{
    release(lines, member, is_only_seen, NULL);
}

void lines_leave(struct lines *lines, struct line_member *member)
{
    release(lines, member, NULL, NULL);
}
