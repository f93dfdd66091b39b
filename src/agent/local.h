/* What only this host knows and remembers: which number in the tables belongs to which port, host, project, group, router, listener, pool and member, and which
 * interface a person plugged into which port.
 *
 * Remembered in a journal in the state directory, appended before the tables change, so that a restarted agent gives
 * everything the slot it has in the pinned maps.  Slots are given out in rising order and reused after the others. */
#ifndef WEFT_AGENT_LOCAL_H
#define WEFT_AGENT_LOCAL_H

#include "weft/base/error.h"
#include "weft/base/hashmap.h"
#include "weft/base/uuid.h"

#define TAP_PREFIX "tap"
#define TAP_ID_SIZE 11 /* Characters of the port id in a tap's name: Nova's convention. */

enum slot_kind { SLOT_PORT, SLOT_HOST, SLOT_PROJECT, SLOT_GROUP, SLOT_ROUTER_PORT, SLOT_ROUTER, SLOT_LISTENER, SLOT_POOL, SLOT_MEMBER, N_SLOT_KINDS };
#define MAX_GROUPS 65536 /* Security groups and address groups that concern this host. */
#define MAX_ROUTERS 65536

struct slot {
    struct hashmap_node by_name;
    char name[256];      /* The object's id; a host's name. */
    uint32_t number;
    uint32_t generation; /* Of router ports; 0: not known yet. */
    bool in_use;         /* Seen in the present round of marking. */
    bool is_new;         /* Given out since the journal was read: its generation is to be raised. */
    bool is_of_round;    /* Given out in the present round of marking, or not used since: taken back at once, in each round. */
    bool is_taken_back;  /* In the present round. */
};

struct plug {
    struct hashmap_node by_interface, by_port;
    char interface[16];
    char port_id[UUID_TEXT_SIZE];
    bool forced; /* Although the host itself uses it. */
};

struct slots {
    struct hashmap by_name;
    struct slot **by_number; /* 'limit' entries. */
    uint32_t limit, next, first;
};

struct local {
    struct slots slots[N_SLOT_KINDS];
    struct hashmap plugs, plugs_by_port; /* By interface; the same by port. */
    uint64_t secret;     /* This host's own: nobody who writes rules can choose the names of their sets (compiler.h). */
    /* How much still counts under a free number: one with nothing is given out before others.  NULL: nothing ever does.  Both are set after local_open. */
    uint64_t (*use)(enum slot_kind kind, uint32_t number, void *context);
    void *use_context;
    int journal_fd;
    char *path;
    size_t n_lines;
};

/* 'limits' by kind: numbers are below them.  Returns 0 or -errno with '*error'. */
int local_open(struct local *local, const char *path, const uint32_t limits[N_SLOT_KINDS], struct error *error);
void local_close(struct local *local);

int local_new_secret(struct local *local); /* Returns 0, or -errno when it could not be written; it is another one in any case. */

/* The slot of 'name', given out if there was none; marks it as in use.  NULL when all are taken. */
struct slot *local_slot(struct local *local, enum slot_kind kind, const char *name);
struct slot *local_find(const struct local *local, enum slot_kind kind, const char *name);

/* Frees the slots not marked since the last call, and unmarks the others. */
void local_sweep(struct local *local, enum slot_kind kind);
void local_unmark(struct local *local, enum slot_kind kind);

/* An interface is plugged into at most one port, and a port into one interface: earlier ones are replaced.
 * Return 0, -EINVAL, -ENOENT (unplug), or what writing said. */
int local_plug(struct local *local, const char *interface, const char *port_id, bool forced);
int local_unplug(struct local *local, const char *interface);
const struct plug *local_plug_of_port(const struct local *local, const char *port_id);
const struct plug *local_plug_of_interface(const struct local *local, const char *interface);

#endif
