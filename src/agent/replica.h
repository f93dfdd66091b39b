/* The agent's copy of the objects that concern its host, kept by the watch stream and cached in a file, so that an agent
 * that starts while no API answers knows what it knew.
 *
 * The cache is the stream itself: 'put', 'patch' and 'delete' lines as they arrived, appended; rewritten when it has grown to twice
 * what it would need.  A line cut short by a crash is ignored: the digest makes the API send it again.  What was applied is on
 * disk a moment later, so that a host whose power fails together with the API's finds its ports again. */
#ifndef WEFT_AGENT_REPLICA_H
#define WEFT_AGENT_REPLICA_H

#include <jansson.h>
#include <uv.h>

#include "weft/base/hashmap.h"
#include "weft/model/schema.h"

struct replica_entry {
    struct hashmap_node by_id;
    struct object *object;
    uint64_t revision; /* Of the store, for the digest. */
    size_t position;   /* In 'by_kind'. */
};

/* Those of one kind, in the order in which they came but for what took the place of one that went: about as they are in memory, so that who walks
 * over them all does not wait for memory at each. */
struct replica_kind {
    struct replica_entry **entries;
    size_t n, n_room;
};

/* An object that this agent cannot read: of a later version of the API.  What it was before stays, in the replica and so in the
 * tables, with the revision that it had then: the digest makes each new stream bring it again. */
struct replica_stranger {
    struct hashmap_node by_id;
    char id[UUID_TEXT_SIZE];
    char why[200];         /* The field and what is wrong with it: said once. */
    bool is_there;         /* Mentioned since the stream began. */
};
#define MAX_STRANGERS 4096 /* What is more is counted, neither remembered nor said. */

struct replica {
    struct hashmap by_id;
    struct hashmap strangers;
    uint64_t n_strange_puts;   /* Objects so far that could not be read, */
    uint64_t n_unknown_kinds;  /* and that were of a kind which this agent does not know. */
    struct replica_kind by_kind[RESOURCE_N_KINDS];
    uint64_t revision;     /* Of the last commit. */
    uint64_t n_changes;    /* Puts and deletes so far: while it stays, pointers to objects do. */
    bool synced;           /* Since this process began: the whole truth is here, the rest may be swept. */
    char *cache_path;
    int cache_fd;          /* -1: no cache. */
    size_t cache_size, cache_needed; /* Bytes of the file, and about what a rewritten one has. */
    bool is_unsynced;      /* Something was appended that may not be on the disk. */
    bool is_syncing;       /* 'sync_request' is at work on 'sync_fd'. */
    int sync_fd;
    uv_fs_t sync_request;
};

/* Reads the cache, if there is one, and keeps it from now on.  Returns 0 or -errno. */
int replica_open(struct replica *replica, const char *cache_path, struct error *error);

/* Brings what was appended to the disk without waiting for it: a thread of libuv's does.  What comes while one call is at work is
 * done after it.  A loop that this was called with has to run out before replica_close. */
void replica_sync(struct replica *replica, uv_loop_t *loop);

void replica_close(struct replica *replica);

enum replica_event {
    REPLICA_NOTHING,  /* Put or delete: wait for the commit. */
    REPLICA_PASSED_OVER, /* Of no use to this version; nothing to say about it. */
    REPLICA_STRANGER, /* An object that cannot be read, and was not said to be so: '*error' says which and why. */
    REPLICA_COMMIT,
    REPLICA_SYNCED,
    REPLICA_REQUEST,  /* '*ret_request' is the line's object, owned by the caller. */
    REPLICA_KEEPALIVE,
};

/* Takes one line of the stream ('size' bytes without the newline).  Returns 0 with '*ret_event', or -EINVAL with
 * '*error' for a line that makes no sense, -ESTALE for a patch of what is not here (in both cases the caller connects again), or -ENOMEM.  One object that makes no sense is no such line. */
int replica_line(struct replica *replica, const char *line, size_t size, enum replica_event *ret_event,
                 json_t **ret_request, struct error *error);

/* {"<id>": revision, ...}, a new reference; NULL when out of memory.  A new stream begins with it. */
json_t *replica_digest(struct replica *replica);

/* What the stream's lines do: the replica owns 'object' from then on, in place of what had its id.  Returns 0 or -ENOMEM, when it does not. */
int replica_keep(struct replica *replica, struct object *object, uint64_t revision);

const struct object *replica_find(const struct replica *replica, enum resource_kind kind, const char *id);

#endif
