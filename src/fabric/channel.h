/* One switch's OpenFlow connection, as a machine without sockets or clock: bytes in, messages out, bytes to send.
 *
 *     HELLO -> FEATURES -> PORTS (1.3) -> DESCRIPTION -> ready ... closed
 *
 * Versions: both sides' hello (with 1.3's bitmap), the highest in common (1.3.5, 6.3.1).  Liveness: an echo request after 'echo_ms' of
 * silence, the end after 'dead_ms' of it and 'dead_ms - echo_ms' after the request (6.4).  No time runs out at the first tick that finds it over:
 * between two ticks what has come is read, so that a program that was stopped for long loses no switch that answers.  What comes in is bounded by one message, what goes out by 'output_max': packets beyond a quarter
 * of it are left out, a switch that reads nothing is given up at the whole.  A malformed message is answered with the error that the
 * specification names and counted; BAD_MESSAGES_MAX of them within BAD_MESSAGES_MS end the connection.
 *
 * Single-threaded.  Handlers may send, and may call channel_close; they must not free the channel. */
#ifndef WEFT_FABRIC_CHANNEL_H
#define WEFT_FABRIC_CHANNEL_H

#include "weft/base/buffer.h"
#include "weft/base/cleanup.h"
#include "weft/base/error.h"
#include "weft/fabric/openflow/openflow.h"

#define BAD_MESSAGES_MAX 100
#define BAD_MESSAGES_MS 60000
#define CHANNEL_PORTS_MAX_SIZE (4u << 20) /* Bytes of port descriptions: 65,536 ports of 64 bytes. */

struct channel;

enum channel_problem {
    CHANNEL_MALFORMED,  /* A message; the connection goes on. */
    CHANNEL_UNEXPECTED, /* Likewise. */
    CHANNEL_FAILED,     /* What follows end the connection: handshake, */
    CHANNEL_SILENT,     /* no answer, */
    CHANNEL_OVERFLOW,   /* nothing read. */
};

struct channel_options {
    uint32_t versions;     /* Bits of wire versions to offer: 1 << OF10 | 1 << OF13. */
    uint64_t handshake_ms; /* From the start until ready. */
    uint64_t echo_ms, dead_ms;
    size_t output_max;

    /* All get 'context'. */
    void (*ready)(struct channel *channel, void *context);
    /* All but hello, echo, and what the handshake asked for. */
    void (*message)(struct channel *channel, const struct of_message *message, void *context);
    void (*problem)(struct channel *channel, enum channel_problem problem, const struct error *error, void *context);
    void (*wake)(struct channel *channel, void *context); /* There is something to send, or the channel is closed. */
    void *context;
};

/* The options are borrowed.  Sends its hello at once. */
int channel_new(const struct channel_options *options, uint64_t now_ms, struct channel **ret); /* 0 or -ENOMEM. */
void channel_free(struct channel *channel);
DEFINE_CLEANUP(struct channel *, channel_free);

/* Bytes from the switch; any pieces. */
void channel_receive(struct channel *channel, const void *bytes, size_t size, uint64_t now_ms);

/* To be called when channel_deadline is reached, and then every few ms until it is beyond 'now_ms'; early is fine. */
void channel_tick(struct channel *channel, uint64_t now_ms);
uint64_t channel_deadline(const struct channel *channel); /* ms; UINT64_MAX when closed. */

/* What is to be sent: take it off, or the whole buffer.  Nothing more is added once it is closed.  'backlog' is how many bytes were taken
 * and wait for the socket: they count against 'output_max'. */
struct buffer *channel_output(struct channel *channel);
void channel_set_backlog(struct channel *channel, size_t size);
size_t channel_unsent(const struct channel *channel); /* Bytes to be sent, with the backlog. */

/* No more messages are given; what is to be sent should be, and then the socket closed. */
void channel_close(struct channel *channel);
bool channel_is_closed(const struct channel *channel);
bool channel_is_ready(const struct channel *channel);

/* Sends.  'message->xid' 0 is replaced by the next one, which is returned (never 0); negative: closed (-EPIPE), dropped
 * because the switch does not keep up (-EAGAIN, only OF_PACKET_OUT), or as of_encode. */
int64_t channel_send(struct channel *channel, const struct of_message *message);

/* Sends a barrier and calls 'done' when everything sent before it was carried out, or with 'is_done' false when the channel
 * ends before that.  -ENOSPC with CHANNEL_BARRIERS_MAX under way. */
#define CHANNEL_BARRIERS_MAX 4096
int channel_barrier(struct channel *channel, void (*done)(void *context, bool is_done), void *context);

/* Known once ready. */
enum of_version channel_version(const struct channel *channel);
uint64_t channel_datapath_id(const struct channel *channel);
const struct of_features *channel_features(const struct channel *channel); /* Without ports. */
const struct of_desc *channel_description(const struct channel *channel);  /* Empty when the switch has none. */
struct of_bytes channel_ports(const struct channel *channel);              /* of_port_next; as at the handshake. */

uint64_t channel_heard_ms(const struct channel *channel); /* When the last message came. */
void channel_probe(struct channel *channel, uint64_t now_ms); /* An echo request now. */

/* The program's own: its socket; the fabric's: its switch. */
void channel_set_user(struct channel *channel, void *user);
void *channel_user(const struct channel *channel);
void channel_set_owner(struct channel *channel, void *owner);
void *channel_owner(const struct channel *channel);

struct channel_counters {
    uint64_t received, received_bytes, sent, sent_bytes, malformed, packets_left_out;
};
const struct channel_counters *channel_counters(const struct channel *channel);

#endif
