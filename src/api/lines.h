/* Who waits for a turn (turns.h) on this server.  Requests that take the same turn run one after the other, in the order in which they
 * came, instead of all at once with all but one in vain: so nobody who never stops asking can keep others from theirs.
 *
 * A request that finds its turn taken waits in line and runs again when it is called; then the turn is its own until it ends.  Who needs
 * several takes them in the order of their keys, and keeps those that come first while it waits for the next: so nobody waits in a
 * circle, and whoever waits longest is next.  Between servers turns.h decides, by trying again.
 *
 * Single-threaded: on the loop. */
#ifndef WEFT_API_LINES_H
#define WEFT_API_LINES_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "weft/base/cleanup.h"

#define LINE_MAX_WAITING 64 /* Of one project, for one turn. */
#define LINE_KEY_SIZE 128

struct line_hold;

/* A request as lines know it; zeroed at first. */
struct line_member {
    const char *project_id; /* Borrowed; whom it counts for while it waits. */
    struct line_hold *holds;
    struct line_hold *awaits;   /* What it holds when it is called; NULL: it does not wait. */
    struct line_member *next;   /* In line, or of those who are called. */
};

/* What a request is about to do: in order of keys, none twice. */
struct line_wish {
    char key[LINE_KEY_SIZE];
    bool only_sees; /* Others who only see it are no hindrance. */
    struct line_wish *next;
};

struct lines;

/* 'call' runs from the loop when 'member' may try again, and 'dismiss' when it has to give up, as nobody will call it any more. */
int lines_new(uv_loop_t *loop, void (*call)(struct line_member *member), void (*dismiss)(struct line_member *member),
              struct lines **ret_lines);

/* Dismisses all who wait; from now on nobody is called.  Its handle is closed with the loop's next run, lines_free comes after that. */
void lines_stop(struct lines *lines);
void lines_free(struct lines *lines); /* When no member is left. */
DEFINE_CLEANUP(struct lines *, lines_free);

/* 0: all turns of 'wishes', and no others, are the member's.  1: one is not, for which it waits: it is called later.  -EBUSY: too many of its
 * project wait for it already; -ENOMEM: in both cases it holds nothing. */
int lines_enter(struct lines *lines, struct line_member *member, const struct line_wish *wishes);

/* The transaction goes to the store now, before anything else runs: as the store takes them in order, turns that are only seen need not be
 * held any longer. */
void lines_submitted(struct lines *lines, struct line_member *member);

/* The request is over, however it ended: whoever is next is called.  Again is nothing. */
void lines_leave(struct lines *lines, struct line_member *member);

#endif
