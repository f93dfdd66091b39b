/* bytes -> whole messages -> what the connection itself needs (hello, features, echo, barriers) is answered here, the rest goes to the
 * fabric. */
#include "weft/fabric/channel.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "weft/base/util.h"

enum state { STATE_HELLO, STATE_FEATURES, STATE_PORTS, STATE_DESCRIPTION, STATE_READY, STATE_CLOSED };

struct barrier {
    uint32_t xid;
    void (*done)(void *context, bool is_done);
    void *context;
};

struct channel {
    const struct channel_options *options;
    enum state state;
    enum of_version version; /* Of what is sent; agreed upon once HELLO is behind. */
    uint64_t started_ms, heard_ms, probed_ms, now_ms;
    uint64_t asked_ms;   /* The first echo request since something was heard. */
    uint64_t doubted_ms; /* The tick that found the time over. */
    bool is_asked, is_doubted;
    uint32_t next_xid, expected_xid; /* The answer that the handshake waits for. */
    unsigned n_bad; /* Since: */
    uint64_t bad_since_ms;
    struct buffer input;  /* The beginning of a message that has not come whole. */
    struct buffer output;
    size_t backlog; /* Bytes that were taken from 'output' and not yet sent. */
    struct buffer ports;
    struct of_features features;
    struct of_desc description;
    struct barrier *barriers; /* A ring: they are answered in order. */
    size_t barriers_first, n_barriers, barriers_capacity;
    void *user, *owner;
    struct channel_counters counters;
};

/* ---- ends -------------------------------------------------------------------------------------------------------------- */

static void wake(struct channel *channel)
{
    if (channel->options->wake)
        channel->options->wake(channel, channel->options->context);
}

static void end_barriers(struct channel *channel)
{
    while (channel->n_barriers) {
        struct barrier barrier = channel->barriers[channel->barriers_first];

        channel->barriers_first = (channel->barriers_first + 1) % channel->barriers_capacity;
        channel->n_barriers--;
        barrier.done(barrier.context, false);
    }
}

void channel_close(struct channel *channel)
{
    if (channel->state == STATE_CLOSED)
        return;
    channel->state = STATE_CLOSED;
    end_barriers(channel);
    wake(channel);
}

static void fail(struct channel *channel, enum channel_problem problem, const struct error *error)
{
    if (channel->state == STATE_CLOSED)
        return;
    if (channel->options->problem)
        channel->options->problem(channel, problem, error, channel->options->context);
    if (channel->now_ms - channel->bad_since_ms >= BAD_MESSAGES_MS) {
        channel->bad_since_ms = channel->now_ms;
        channel->n_bad = 0;
    }
    if (problem >= CHANNEL_FAILED || ++channel->n_bad >= BAD_MESSAGES_MAX)
        channel_close(channel);
}

static void fail_with(struct channel *channel, enum channel_problem problem, const char *field, const char *text)
{
    struct error error = {0};

    error_set(&error, -EPROTO, field, "%s", text);
    fail(channel, problem, &error);
}

/* ---- sending ------------------------------------------------------------------------------------------------------------ */

static uint32_t take_xid(struct channel *channel)
{
    if (++channel->next_xid == 0)
        channel->next_xid = 1;
    return channel->next_xid;
}

static bool is_slow(const struct channel *channel)
{
    return channel->output.size + channel->backlog > channel->options->output_max / 4;
}

int64_t channel_send(struct channel *channel, const struct of_message *message)
{
    struct of_message numbered;
    size_t before = channel->output.size;
    int result;

    if (channel->state == STATE_CLOSED)
        return -EPIPE;
    if (message->kind == OF_PACKET_OUT && is_slow(channel)) {
        channel->counters.packets_left_out++;
        return -EAGAIN;
    }
    if (!message->xid) {
        numbered = *message;
        numbered.xid = take_xid(channel);
        message = &numbered;
    }
    result = of_encode(channel->version, message, &channel->output);
    if (result < 0)
        return result;
    channel->counters.sent++;
    channel->counters.sent_bytes += channel->output.size - before;
    if (channel->output.size + channel->backlog > channel->options->output_max) {
        fail_with(channel, CHANNEL_OVERFLOW, "output", "the switch does not read what it is sent");
        return -EPIPE;
    }
    if (!before)
        wake(channel);
    return message->xid;
}

static uint32_t send_plain(struct channel *channel, enum of_kind kind)
{
    struct of_message message = {.kind = kind};
    int64_t xid = channel_send(channel, &message);

    return xid > 0 ? (uint32_t)xid : 0;
}

static void send_error(struct channel *channel, uint32_t xid, uint16_t type, uint16_t code, const void *bytes, size_t size)
{
    struct of_message message = {.kind = OF_ERROR, .xid = xid ? xid : take_xid(channel)};

    message.error = (struct of_error){type, code, {bytes, MIN(size, (size_t)64)}}; /* At least 64 bytes of the request: 7.4.4. */
    channel_send(channel, &message);
}

int channel_barrier(struct channel *channel, void (*done)(void *context, bool is_done), void *context)
{
    uint32_t xid;

    if (channel->state == STATE_CLOSED)
        return -EPIPE;
    if (channel->n_barriers >= CHANNEL_BARRIERS_MAX)
        return -ENOSPC;
    if (channel->n_barriers == channel->barriers_capacity) {
        size_t capacity = channel->barriers_capacity ? 2 * channel->barriers_capacity : 16;
        struct barrier *grown = malloc(capacity * sizeof(*grown));

        if (!grown)
            return -ENOMEM;
        for (size_t i = 0; i < channel->n_barriers; i++)
            grown[i] = channel->barriers[(channel->barriers_first + i) % channel->barriers_capacity];
        free(channel->barriers);
        channel->barriers = grown;
        channel->barriers_capacity = capacity;
        channel->barriers_first = 0;
    }
    xid = send_plain(channel, OF_BARRIER_REQUEST);
    if (!xid)
        return -EPIPE;
    channel->barriers[(channel->barriers_first + channel->n_barriers++) % channel->barriers_capacity] =
        (struct barrier){xid, done, context};
    return 0;
}

void channel_probe(struct channel *channel, uint64_t now_ms)
{
    channel->now_ms = now_ms;
    channel->probed_ms = now_ms;
    if (!channel->is_asked)
        channel->asked_ms = now_ms;
    channel->is_asked = true;
    send_plain(channel, OF_ECHO_REQUEST);
}

/* ---- the handshake -------------------------------------------------------------------------------------------------------- */

static void start_ready(struct channel *channel)
{
    channel->state = STATE_READY;
    channel->options->ready(channel, channel->options->context);
}

static void ask_multipart(struct channel *channel, uint16_t type, enum state next)
{
    struct of_message request = {.kind = OF_MULTIPART_REQUEST, .multipart_request = {.type = type}};
    int64_t xid = channel_send(channel, &request);

    channel->expected_xid = xid > 0 ? (uint32_t)xid : 0;
    if (channel->state != STATE_CLOSED)
        channel->state = next;
}

static void take_hello(struct channel *channel, const struct of_message *message)
{
    static const char reason[] = "no version in common";
    uint32_t common = message->hello.versions & channel->options->versions;

    if (channel->state != STATE_HELLO)
        return; /* A second hello says nothing new. */
    if (!common) {
        struct error error = {0};

        error_set(&error, -EPROTONOSUPPORT, "hello.versions", "hello.versions: 0x%x has no version that is offered (0x%x)",
                  message->hello.versions, channel->options->versions);
        send_error(channel, message->xid, 0, 0, reason, sizeof(reason) - 1); /* HELLO_FAILED, INCOMPATIBLE. */
        fail(channel, CHANNEL_FAILED, &error);
        return;
    }
    channel->version = (enum of_version)(31 - __builtin_clz(common));
    channel->state = STATE_FEATURES;
    channel->expected_xid = send_plain(channel, OF_FEATURES_REQUEST);
}

static void take_features(struct channel *channel, const struct of_message *message)
{
    struct of_message config = {.kind = OF_SET_CONFIG, .config = {.flags = 0, .miss_send_len = 0xffff}};

    channel->features = message->features;
    channel->features.ports = (struct of_bytes){NULL, 0};
    if (message->features.auxiliary_id) {
        fail_with(channel, CHANNEL_FAILED, "features.auxiliary_id", "features.auxiliary_id: auxiliary connections are not served");
        return;
    }
    channel_send(channel, &config); /* Whole packets: Open vSwitch buffers none. */
    if (channel->version == OF10) {
        if (buffer_append(&channel->ports, message->features.ports.data, message->features.ports.size) < 0) {
            fail_with(channel, CHANNEL_FAILED, "features", "out of memory");
            return;
        }
        ask_multipart(channel, OFMP_DESC, STATE_DESCRIPTION);
    } else {
        ask_multipart(channel, OFMP_PORT_DESC, STATE_PORTS);
    }
}

static void take_ports(struct channel *channel, const struct of_multipart_reply *reply)
{
    if (channel->ports.size + reply->body.size > CHANNEL_PORTS_MAX_SIZE ||
        buffer_append(&channel->ports, reply->body.data, reply->body.size) < 0)
        fail_with(channel, CHANNEL_FAILED, "port_desc", "port_desc: more ports than allowed");
    else if (!(reply->flags & OFMPF_MORE))
        ask_multipart(channel, OFMP_DESC, STATE_DESCRIPTION);
}

/* Returns whether the message was the handshake's. */
static bool take_handshake(struct channel *channel, const struct of_message *message)
{
    bool is_expected = message->xid == channel->expected_xid;

    if (channel->state == STATE_FEATURES && message->kind == OF_FEATURES_REPLY) {
        take_features(channel, message);
    } else if (channel->state == STATE_PORTS && message->kind == OF_MULTIPART_REPLY && is_expected &&
               message->multipart_reply.type == OFMP_PORT_DESC) {
        take_ports(channel, &message->multipart_reply);
    } else if (channel->state == STATE_DESCRIPTION && message->kind == OF_MULTIPART_REPLY && is_expected &&
               message->multipart_reply.type == OFMP_DESC) {
        of_desc_get(message->multipart_reply.body, &channel->description);
        start_ready(channel);
    } else if (channel->state == STATE_DESCRIPTION && message->kind == OF_ERROR && is_expected) {
        start_ready(channel); /* Has no description. */
    } else {
        return false;
    }
    return true;
}

/* ---- receiving ------------------------------------------------------------------------------------------------------------ */

static void take_barrier(struct channel *channel, uint32_t xid)
{
    struct barrier barrier;

    /* They are answered in order; what was skipped failed (an error came instead). */
    for (size_t i = 0; i < channel->n_barriers; i++) {
        if (channel->barriers[(channel->barriers_first + i) % channel->barriers_capacity].xid != xid)
            continue;
        for (size_t k = 0; k <= i && channel->n_barriers; k++) {
            barrier = channel->barriers[channel->barriers_first];
            channel->barriers_first = (channel->barriers_first + 1) % channel->barriers_capacity;
            channel->n_barriers--;
            barrier.done(barrier.context, k == i);
        }
        return;
    }
    fail_with(channel, CHANNEL_UNEXPECTED, "barrier_reply.xid", "barrier_reply.xid: answers no barrier");
}

static void answer_echo(struct channel *channel, const struct of_message *message)
{
    struct of_message reply = {.kind = OF_ECHO_REPLY, .xid = message->xid, .echo = message->echo};

    /* One that asks faster than it reads what it is answered is not answered. */
    if (!is_slow(channel))
        channel_send(channel, &reply);
}

static void take(struct channel *channel, const struct of_message *message)
{
    switch (message->kind) {
    case OF_HELLO:
        take_hello(channel, message);
        return;
    case OF_ECHO_REQUEST:
        answer_echo(channel, message);
        return;
    case OF_ECHO_REPLY:
        return;
    case OF_BARRIER_REPLY:
        take_barrier(channel, message->xid);
        return;
    default:
        break;
    }
    if (channel->state == STATE_READY)
        channel->options->message(channel, message, channel->options->context);
    else if (!take_handshake(channel, message) && message->kind == OF_ERROR) {
        struct error error = {0};
        char text[OF_ERROR_TEXT_SIZE];

        error_set(&error, -EPROTO, "error", "the switch ended the handshake: %s", of_error_text(channel->version, &message->error, text));
        fail(channel, CHANNEL_FAILED, &error);
    }
    /* Anything else before the handshake is over may be left over from another controller's time, and is not looked at. */
}

static void take_bytes(struct channel *channel, const uint8_t *bytes, size_t size)
{
    struct of_message message;
    struct error error = {0};
    int result = of_decode(channel->version, bytes, size, &message, &error);

    channel->counters.received++;
    if (result == 0) {
        channel->heard_ms = channel->now_ms;
        channel->is_asked = channel->is_doubted = false;
        take(channel, &message);
        return;
    }
    channel->counters.malformed++;
    if (channel->state != STATE_READY && channel->state != STATE_CLOSED) {
        fail(channel, CHANNEL_FAILED, &error);
        return;
    }
    if (message.kind != OF_ERROR) {
        uint16_t type, code;

        of_error_reply(channel->version, &error, &type, &code);
        send_error(channel, message.xid, type, code, bytes, size);
    }
    fail(channel, CHANNEL_MALFORMED, &error);
}

/* Takes whole messages off the front; returns how many bytes they were. */
static size_t take_whole(struct channel *channel, const uint8_t *bytes, size_t size)
{
    size_t taken = 0;

    while (channel->state != STATE_CLOSED) {
        int length = of_frame(bytes + taken, size - taken);

        if (length < 0) {
            fail_with(channel, CHANNEL_FAILED, "header.length", "header.length: below 8, so that no message can be told from the next");
            break;
        }
        if (length == 0 || (size_t)length > size - taken)
            break;
        take_bytes(channel, bytes + taken, (size_t)length);
        taken += (size_t)length;
    }
    return taken;
}

void channel_receive(struct channel *channel, const void *bytes, size_t size, uint64_t now_ms)
{
    const uint8_t *at = bytes;

    channel->now_ms = now_ms;
    channel->counters.received_bytes += size;
    /* A message that is in pieces is put together; the rest is read where it lies. */
    while (size && channel->input.size && channel->state != STATE_CLOSED) {
        int length = of_frame(channel->input.data, channel->input.size);
        size_t want = length > 0 ? (size_t)length - channel->input.size : OF_HEADER_SIZE - channel->input.size;
        size_t piece = MIN(want, size);

        if (buffer_append(&channel->input, at, piece) < 0) {
            fail_with(channel, CHANNEL_FAILED, "input", "out of memory");
            return;
        }
        at += piece;
        size -= piece;
        if (take_whole(channel, (const uint8_t *)channel->input.data, channel->input.size))
            channel->input.size = 0;
    }
    if (channel->state != STATE_CLOSED && size) {
        size_t taken = take_whole(channel, at, size);

        if (channel->state != STATE_CLOSED && taken < size && buffer_append(&channel->input, at + taken, size - taken) < 0)
            fail_with(channel, CHANNEL_FAILED, "input", "out of memory");
    }
}

/* ---- time ----------------------------------------------------------------------------------------------------------------- */

/* Was the time over at an earlier tick already?  When this program was stopped the first tick after it comes before anything is read, and what the
 * switch said meanwhile, or its answer, lies in the socket. */
static bool is_over(struct channel *channel)
{
    bool is_first = !channel->is_doubted;

    if (is_first)
        channel->doubted_ms = channel->now_ms;
    channel->is_doubted = true;
    return !is_first && channel->now_ms > channel->doubted_ms;
}

/* Silence alone is not enough: it was asked, too, and had the time to answer. */
static bool is_silent(const struct channel *channel)
{
    const struct channel_options *o = channel->options;

    return channel->now_ms >= channel->heard_ms + o->dead_ms && channel->is_asked && channel->now_ms >= channel->asked_ms + (o->dead_ms - o->echo_ms);
}

void channel_tick(struct channel *channel, uint64_t now_ms)
{
    const struct channel_options *o = channel->options;

    channel->now_ms = now_ms;
    if (channel->state == STATE_CLOSED)
        return;
    if (channel->state != STATE_READY) {
        if (now_ms >= channel->started_ms + o->handshake_ms && is_over(channel))
            fail_with(channel, CHANNEL_FAILED, "handshake", "the handshake took too long");
    } else if (is_silent(channel)) {
        if (is_over(channel))
            fail_with(channel, CHANNEL_SILENT, "echo", "no answer");
    } else if (now_ms >= MAX(channel->heard_ms, channel->probed_ms) + o->echo_ms) {
        channel_probe(channel, now_ms);
    }
}

uint64_t channel_deadline(const struct channel *channel)
{
    const struct channel_options *o = channel->options;

    if (channel->state == STATE_CLOSED)
        return UINT64_MAX;
    if (channel->state != STATE_READY)
        return channel->started_ms + o->handshake_ms;
    return MIN(channel->heard_ms + o->dead_ms, MAX(channel->heard_ms, channel->probed_ms) + o->echo_ms);
}

/* ---- life ----------------------------------------------------------------------------------------------------------------- */

int channel_new(const struct channel_options *options, uint64_t now_ms, struct channel **ret)
{
    struct channel *channel = calloc(1, sizeof(*channel));
    struct of_message hello = {.kind = OF_HELLO, .hello = {.versions = options->versions}};

    if (!channel)
        return -ENOMEM;
    channel->options = options;
    channel->version = (enum of_version)(31 - __builtin_clz(options->versions));
    channel->started_ms = channel->heard_ms = channel->now_ms = now_ms;
    hello.xid = take_xid(channel);
    if (of_encode(channel->version, &hello, &channel->output) < 0) {
        channel_free(channel);
        return -ENOMEM;
    }
    channel->counters.sent = 1;
    channel->counters.sent_bytes = channel->output.size;
    *ret = channel;
    return 0;
}

void channel_free(struct channel *channel)
{
    if (!channel)
        return;
    end_barriers(channel);
    buffer_clear(&channel->input);
    buffer_clear(&channel->output);
    buffer_clear(&channel->ports);
    free(channel->barriers);
    free(channel);
}

size_t channel_unsent(const struct channel *channel)
{
    return channel->output.size + channel->backlog;
}

void channel_set_backlog(struct channel *channel, size_t size)
{
    channel->backlog = size;
}

struct buffer *channel_output(struct channel *channel)
{
    return &channel->output;
}

bool channel_is_closed(const struct channel *channel)
{
    return channel->state == STATE_CLOSED;
}

bool channel_is_ready(const struct channel *channel)
{
    return channel->state == STATE_READY;
}

enum of_version channel_version(const struct channel *channel)
{
    return channel->version;
}

uint64_t channel_datapath_id(const struct channel *channel)
{
    return channel->features.datapath_id;
}

const struct of_features *channel_features(const struct channel *channel)
{
    return &channel->features;
}

const struct of_desc *channel_description(const struct channel *channel)
{
    return &channel->description;
}

struct of_bytes channel_ports(const struct channel *channel)
{
    return (struct of_bytes){(const uint8_t *)channel->ports.data, channel->ports.size};
}

uint64_t channel_heard_ms(const struct channel *channel)
{
    return channel->heard_ms;
}

void channel_set_user(struct channel *channel, void *user)
{
    channel->user = user;
}

void *channel_user(const struct channel *channel)
{
    return channel->user;
}

void channel_set_owner(struct channel *channel, void *owner)
{
    channel->owner = owner;
}

void *channel_owner(const struct channel *channel)
{
    return channel->owner;
}

const struct channel_counters *channel_counters(const struct channel *channel)
{
    return &channel->counters;
}
