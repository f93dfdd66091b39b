/* Which of several controllers acts: the living one with the lowest id.
 *
 * Each tells its peers every ELECTION_TELL_MS by UDP that it lives, under the key that they share (SipHash-2-4).  One that was not heard for
 * ELECTION_DEAD_MS is dead.  After a start a controller listens that long before it acts.  Of two with one id neither is master, and both say why.
 *
 * A datagram that was recorded cannot be played again.  Within a life, which a random number names from start to end, the count only grows.  A life that
 * is new to the listener is believed when its datagram repeats the listener's challenge: a random number, told to all in the listener's own datagrams,
 * that is another one after each start and after each life that was believed.  No clock is asked.  Who can send may still keep new lives from being
 * believed, by playing old datagrams so fast that the challenge in them is repeated in place of the right one; not make a dead one seem alive.
 *  Two parts of a divided network each elect one; switches then obey the one whose role request has the higher generation (1.3.5, 6.3.6). */
#ifndef WEFT_CONTROLLER_ELECTION_H
#define WEFT_CONTROLLER_ELECTION_H

#include "weft/base/error.h"
#include "weft/controller/controller.h"

#define ELECTION_TELL_MS 200
#define ELECTION_DEAD_MS 800
#define ELECTION_PEERS_MAX 16

struct election_options {
    enum fabric_role role; /* Unless automatic. */
    bool is_automatic;
    const char *listen, *peers;
    uint64_t controller_id;
    uint8_t key[16];
};

int election_new(struct controller *controller, const struct election_options *options, struct election **ret, struct error *error);
void election_free(struct election *election);

/* A person's word: this role, and no election any more. */
void election_set_role(struct election *election, enum fabric_role role);
bool election_is_automatic(const struct election *election);

#endif
