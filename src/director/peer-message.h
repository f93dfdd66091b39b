/* What two directors of a pair tell each other: datagrams, encrypted and authenticated with a key for each direction, which follows from
 * their common one and from where they send from and to: what one has said is not heard by itself, whoever sends it back.
 *
 *   "WDP4" | nonce, 24 bytes | XChaCha20-Poly1305 of: session, number, now (8 bytes each) | kind, is older (1 each), count (2), asked (4) |
 *                                                     ran, heard session (8 each) | records
 *
 * The digit is the version of all that follows.  A session is one run of a sender: when it began, in nanoseconds since 1970.  Within it numbers go up, and 'now' does not go down.  A receiver takes no
 * number of a session twice and none below, another session only with a later 'now' than the last that it has heard, and nothing that its own clock finds
 * more than PEER_CLOCK_MS off: so what a stranger has recorded cannot be sent again, and a clock that was ahead once does no harm for longer than that.  A
 * datagram that is overtaken is lost.
 *
 * 'asked' is how often the sender has lacked something that it was told, or not: another number than before asks for all to be told again.
 *
 * For how long the sender has run, the other's session that it has heard, and whether it is the older one: peer-order.h.
 *
 * Services: what each has of the rows of its hash services (peer-rows.h).  Rows: a piece of one service's.
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
#define PEER_RECORDS_MAX 10
#define PEER_DATAGRAM_MAX 1280 /* Fits every path. */

#define PEER_SERVICES_MAX 28
#define PEER_PIECE 1024 /* Bytes of rows in a datagram. */

enum peer_kind { PEER_HELLO, PEER_CONNECTIONS, PEER_SERVICES, PEER_ROWS };

/* A connection, without the numbers that only its director knows. */
struct peer_connection {
    struct lb_key service;
    uint8_t server_address[16];
    uint16_t server_id_port;      /* The server's, as in its record; */
    uint16_t server_port;         /* and that of the connection. */
    struct lb_conn_key key;       /* As the client sees it. */
    uint8_t local_address[16];    /* Full NAT: where the server sees it come from; else zero. */
    uint16_t local_port;
    uint8_t state;                /* enum lb_conn_state: ESTABLISHED to TEMPLATE. */
    uint8_t is_proven;            /* Of a template: as in lb_conn; 0 or 1. */
    uint32_t silence, held;       /* For how long nothing was heard of it, and of a template's connections; in units of 2^LB_TIME_SHIFT ns. */
};

/* A hash service, by digests of rows (0: there are none). */
struct peer_service {
    struct lb_key service;
    uint64_t digest; /* Of those that the sender has, */
    uint64_t taken;  /* and of the other one's that it has heard whole. */
};
#define PEER_ROUND_ENDS (1u << 0) /* That were all services. */
#define PEER_LACKS_ALL (1u << 1)  /* The sender waits for rows before it has any. */

/* A piece of what rows_encode (apply-pair.c) made. */
struct peer_piece {
    struct lb_key service;
    uint64_t digest;       /* Of what the two have in common (applied_rows_common). */
    uint32_t size, offset; /* Of the whole; and where this begins, a multiple of PEER_PIECE.  All but the last are of that size. */
    uint8_t bytes[PEER_PIECE];
};

struct peer_message {
    uint64_t session, number, now_ms;
    uint64_t ran_ms, heard_session; /* As in struct peer_order_word, and so is */
    bool is_older;
    uint32_t asked;
    enum peer_kind kind;
    size_t n_connections;
    struct peer_connection connections[PEER_RECORDS_MAX];
    size_t n_services;
    uint32_t flags; /* With services: PEER_ROUND_ENDS, PEER_LACKS_ALL. */
    struct peer_service services[PEER_SERVICES_MAX];
    struct peer_piece piece;
};

/* How many bytes the piece has. */
size_t peer_piece_size(const struct peer_piece *piece);

/* What was heard last.  Zero at first. */
struct peer_window {
    uint64_t session, number, now_ms;
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

/* 0 with '*ret_message', and the window moves, '*ret_lost' says whether datagrams of the session before it were not heard; -EBADMSG: it is none of this key,
 * or not well-formed; -EPROTONOSUPPORT: of another version, if whoever sent it says the truth; -ESTALE: it was there before, or is too old, or the clocks
 * disagree.  '*ret_is_new': a session begins.  Both are untouched on failure. */
int peer_open(const uint8_t *datagram, size_t size, const uint8_t key[PEER_KEY_SIZE], uint64_t now_ms, struct peer_window *window,
              struct peer_message *ret_message, bool *ret_is_new, bool *ret_lost);

#endif
