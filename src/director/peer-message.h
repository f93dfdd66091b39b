/* What two directors of a pair tell each other: datagrams, encrypted and authenticated with a key for each direction, which follows from
 * their common one and from where they send from and to: what one has said is not heard by itself, whoever sends it back.
 *
 *   "WDP1" | nonce, 24 bytes | XChaCha20-Poly1305 of: session, number, now (8 bytes each) | kind, count (2 each), zero (4) | records
 *
 * A session is one run of a sender: when it began, in nanoseconds since 1970.  Within it numbers go up.  A receiver takes no number twice
 * and none below, no session older than the last it has heard, and nothing that its own clock finds more than PEER_CLOCK_MS off: so what a
 * stranger has recorded cannot be sent again.  A datagram that is overtaken is lost.
 *
 * All numbers are little-endian, addresses and L4 ports as on the wire.  No I/O, no clock. */
#ifndef WEFT_DIRECTOR_PEER_MESSAGE_H
#define WEFT_DIRECTOR_PEER_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "weft/base/error.h"
#include "weft/director/tables.h"

#define PEER_KEY_SIZE 32
#define PEER_KEY_TEXT_MIN 16 /* Bytes that the key is made of. */
#define PEER_CLOCK_MS 30000
#define PEER_RECORDS_MAX 12
#define PEER_DATAGRAM_MAX 1280 /* Fits every path. */

enum peer_kind { PEER_HELLO, PEER_CONNECTIONS };

/* A connection, without the numbers that only its director knows. */
struct peer_connection {
    struct lb_key service;
    uint8_t server_address[16];
    uint16_t server_id_port;      /* The server's, as in its record; */
    uint16_t server_port;         /* and that of the connection. */
    struct lb_conn_key key;       /* As the client sees it. */
    uint8_t state;                /* enum lb_conn_state: ESTABLISHED to TEMPLATE. */
    uint8_t is_proven;            /* Of a template: as in lb_conn; 0 or 1. */
    uint32_t silence, held;       /* For how long nothing was heard of it, and of a template's connections; in units of 2^LB_TIME_SHIFT ns. */
};

struct peer_message {
    uint64_t session, number, now_ms;
    enum peer_kind kind;
    size_t n_connections;
    struct peer_connection connections[PEER_RECORDS_MAX];
};

/* What was heard last.  Zero at first. */
struct peer_window {
    uint64_t session, number;
};

/* The key that a text makes.  0; -EINVAL: it is too short. */
int peer_key(const char *text, size_t length, uint8_t ret_key[PEER_KEY_SIZE]);

/* One of the pair, as both know it: its address (IPv4 ones are ::ffff:a.b.c.d) and UDP port, as on the wire. */
struct peer_end {
    uint8_t address[16];
    uint16_t port;
};

/* The key of what 'from' tells 'to'. */
void peer_key_of_direction(const uint8_t common[PEER_KEY_SIZE], const struct peer_end *from, const struct peer_end *to, uint8_t ret_key[PEER_KEY_SIZE]);

/* The datagram's size. */
size_t peer_seal(const struct peer_message *message, const uint8_t key[PEER_KEY_SIZE], uint8_t ret[PEER_DATAGRAM_MAX]);

/* 0 with '*ret_message', and the window moves; -EBADMSG: it is none of this key, or not well-formed; -ESTALE: it was there before, or is too old, or the
 * clocks disagree.  '*ret_is_new' (untouched on failure): a session begins. */
int peer_open(const uint8_t *datagram, size_t size, const uint8_t key[PEER_KEY_SIZE], uint64_t now_ms, struct peer_window *window,
              struct peer_message *ret_message, bool *ret_is_new);

#endif
