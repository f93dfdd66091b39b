#include "weft/controller/election.h"

#include <errno.h>
#include <netinet/in.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "weft/base/bytes.h"
#include "weft/base/clock.h"
#include "weft/base/log.h"
#include "weft/base/util.h"
#include "weft/base/uuid.h"
#include "weft/controller/address.h"

/* magic (4), controller id, life, count, challenge to all but who follow; for each peer its id, its challenge repeated, our challenge to it; tag.  Numbers
 * but the magic are of 8 bytes, big-endian. */
#define MAGIC 0x77664532u /* "wfE2" */
#define HEADER_SIZE (4 + 4 * 8)
#define ENTRY_SIZE (3 * 8)
#define TAG_SIZE crypto_shorthash_BYTES
#define DATAGRAM_MAX (HEADER_SIZE + ELECTION_PEERS_MAX * ENTRY_SIZE + TAG_SIZE)

struct peer {
    uint64_t controller_id;
    uint64_t life, count, heard_ms; /* Of the life that is believed. */
    bool is_believed;               /* There was one. */
    uint64_t said_ms;               /* The last datagram with this id, believed or not. */
    uint64_t repeated;              /* Its challenge to us. */
    uint64_t challenge;             /* Ours to it. */
};

struct election {
    struct controller *controller;
    struct election_options options;
    uv_udp_t udp;
    uv_timer_t timer;
    int n_handles;
    uint64_t started_ms, ticked_ms, life, count;
    uint64_t challenge; /* To those that have no place in 'peers'. */
    struct sockaddr_storage addresses[ELECTION_PEERS_MAX];
    size_t n_addresses;
    struct peer peers[ELECTION_PEERS_MAX];
    size_t n_peers;
    char buffer[DATAGRAM_MAX + 1];
};

/* ---- deciding ------------------------------------------------------------------------------------------------------------------- */

static bool is_alive(const struct peer *peer, uint64_t now_ms)
{
    return peer->is_believed && now_ms - peer->heard_ms < ELECTION_DEAD_MS;
}

static void decide(struct election *election, uint64_t now_ms)
{
    bool is_lowest = true;

    if (!election->options.is_automatic || now_ms - election->started_ms < ELECTION_DEAD_MS)
        return;
    for (size_t i = 0; i < election->n_peers; i++) {
        const struct peer *peer = &election->peers[i];

        if (!is_alive(peer, now_ms))
            continue;
        if (peer->controller_id == election->options.controller_id)
            log_error("controller-id: '%llu' is another controller's, too: neither is master; give each its own",
                      (unsigned long long)peer->controller_id);
        if (peer->controller_id <= election->options.controller_id)
            is_lowest = false;
    }
    fabric_set_role(election->controller->fabric, is_lowest ? FABRIC_MASTER : FABRIC_SLAVE, now_ms);
}

/* ---- datagrams --------------------------------------------------------------------------------------------------------------------- */

static uint64_t random_number(void)
{
    uint64_t number;

    random_bytes(&number, sizeof(number));
    return number;
}

static void tell(struct election *election)
{
    uint8_t bytes[DATAGRAM_MAX], *at = bytes + HEADER_SIZE;
    uv_buf_t buffer;

    put_be32(bytes, MAGIC);
    put_be64(bytes + 4, election->options.controller_id);
    put_be64(bytes + 12, election->life);
    put_be64(bytes + 20, ++election->count);
    put_be64(bytes + 28, election->challenge);
    for (size_t i = 0; i < election->n_peers; i++, at += ENTRY_SIZE) {
        put_be64(at, election->peers[i].controller_id);
        put_be64(at + 8, election->peers[i].repeated);
        put_be64(at + 16, election->peers[i].challenge);
    }
    crypto_shorthash(at, bytes, (size_t)(at - bytes), election->options.key);
    buffer = uv_buf_init((char *)bytes, (unsigned)(at - bytes) + TAG_SIZE);
    for (size_t i = 0; i < election->n_addresses; i++)
        uv_udp_try_send(&election->udp, &buffer, 1, (struct sockaddr *)&election->addresses[i]);
}

/* The place of a controller; a new one takes that of the one that was silent the longest.  NULL when as many as allowed are alive. */
static struct peer *peer_of(struct election *election, uint64_t controller_id, uint64_t now_ms)
{
    struct peer *free_place = NULL;

    for (size_t i = 0; i < election->n_peers; i++) {
        struct peer *peer = &election->peers[i];

        if (peer->controller_id == controller_id)
            return peer;
        if (now_ms - peer->said_ms >= ELECTION_DEAD_MS && (!free_place || peer->said_ms < free_place->said_ms))
            free_place = peer;
    }
    if (election->n_peers < ELECTION_PEERS_MAX)
        free_place = &election->peers[election->n_peers++];
    else if (free_place)
        election->challenge = random_number(); /* What the forgotten one repeated must not do again. */
    if (free_place)
        *free_place = (struct peer){.controller_id = controller_id, .challenge = election->challenge};
    return free_place;
}

/* A datagram whose tag is right, without it. */
static void hear(struct election *election, const uint8_t *bytes, size_t size)
{
    uint64_t controller_id = get_be64(bytes + 4), life = get_be64(bytes + 12), count = get_be64(bytes + 20), now_ms = clock_monotonic_ms();
    uint64_t its_challenge = get_be64(bytes + 28);
    bool has_repeated = false;
    struct peer *peer;

    if (life == election->life)
        return; /* Our own. */
    peer = peer_of(election, controller_id, now_ms);
    if (!peer) {
        log_warning("peer-listen: controller %llu is one more than the %d that are allowed", (unsigned long long)controller_id, ELECTION_PEERS_MAX);
        return;
    }
    if (peer->is_believed && life == peer->life && count <= peer->count)
        return;
    for (const uint8_t *at = bytes + HEADER_SIZE; at < bytes + size; at += ENTRY_SIZE) {
        if (get_be64(at) != election->options.controller_id)
            continue;
        has_repeated |= get_be64(at + 8) == peer->challenge;
        its_challenge = get_be64(at + 16);
    }
    peer->said_ms = now_ms;
    peer->repeated = its_challenge;
    if (!peer->is_believed || life != peer->life) {
        if (!has_repeated)
            return; /* New, or an old recording: its answer to our next datagram will tell. */
        peer->is_believed = true;
        peer->life = life;
        peer->challenge = random_number();
    }
    peer->count = count;
    peer->heard_ms = now_ms;
}

static void allocate(uv_handle_t *handle, size_t suggested, uv_buf_t *ret)
{
    struct election *election = handle->data;

    *ret = uv_buf_init(election->buffer, sizeof(election->buffer));
}

static void received(uv_udp_t *udp, ssize_t size, const uv_buf_t *buffer, const struct sockaddr *from, unsigned flags)
{
    struct election *election = udp->data;
    const uint8_t *bytes = (const uint8_t *)buffer->base;
    uint8_t tag[TAG_SIZE];
    size_t body_size;

    if (!from)
        return;
    if (size < (ssize_t)(HEADER_SIZE + TAG_SIZE) || size > DATAGRAM_MAX || (size - HEADER_SIZE - TAG_SIZE) % ENTRY_SIZE || get_be32(bytes) != MAGIC) {
        log_warning("peer-listen: a datagram of %zd bytes that is no controller's", size);
        return;
    }
    body_size = (size_t)size - TAG_SIZE;
    crypto_shorthash(tag, bytes, body_size, election->options.key);
    if (sodium_memcmp(tag, bytes + body_size, sizeof(tag)) != 0) {
        log_warning("peer-listen: a datagram of controller %llu under another key", (unsigned long long)get_be64(bytes + 4));
        return;
    }
    hear(election, bytes, body_size);
}

static void tick(uv_timer_t *timer)
{
    struct election *election = timer->data;
    uint64_t now_ms = clock_monotonic_ms();
    bool was_stopped = now_ms - election->ticked_ms >= ELECTION_DEAD_MS / 2; /* What the others said meanwhile is not read yet. */

    election->ticked_ms = now_ms;
    tell(election);
    if (!was_stopped)
        decide(election, now_ms);
}

/* ---- start and end -------------------------------------------------------------------------------------------------------------------- */

static int parse_peers(struct election *election, const char *text, struct error *error)
{
    _cleanup_(freep) char *copy = strdup(text);
    char *rest = copy, *part;

    if (!copy)
        return error_set(error, -ENOMEM, NULL, "out of memory");
    while ((part = strsep(&rest, ","))) {
        int result;

        if (election->n_addresses >= ELECTION_PEERS_MAX)
            return error_set(error, -E2BIG, "peers", "peers: '%s' are more than %d", text, ELECTION_PEERS_MAX);
        result = address_parse("peers", part, &election->addresses[election->n_addresses++], error);
        if (result < 0)
            return result;
    }
    return 0;
}

static int start(struct election *election, struct error *error)
{
    struct sockaddr_storage address = {0};
    int result = address_parse("peer-listen", election->options.listen, &address, error);

    if (result == 0)
        result = parse_peers(election, election->options.peers, error);
    if (result < 0)
        return result;
    result = uv_udp_bind(&election->udp, (struct sockaddr *)&address, 0);
    if (result == 0)
        result = uv_udp_recv_start(&election->udp, allocate, received);
    if (result < 0)
        return error_set(error, result, "peer-listen", "peer-listen: cannot listen on '%s': %s", election->options.listen, uv_strerror(result));
    uv_timer_start(&election->timer, tick, 0, ELECTION_TELL_MS);
    return 0;
}

int election_new(struct controller *controller, const struct election_options *options, struct election **ret, struct error *error)
{
    struct election *election = calloc(1, sizeof(*election));
    int result = 0;

    if (!election)
        return error_set(error, -ENOMEM, NULL, "out of memory");
    election->controller = controller;
    election->options = *options;
    election->started_ms = clock_monotonic_ms();
    election->life = random_number();
    election->challenge = random_number();
    uv_udp_init(&controller->loop, &election->udp);
    uv_timer_init(&controller->loop, &election->timer);
    election->udp.data = election->timer.data = election;
    election->n_handles = 2;
    *ret = election;
    if (options->is_automatic) {
        fabric_set_role(controller->fabric, FABRIC_SLAVE, election->started_ms);
        result = start(election, error);
    } else {
        fabric_set_role(controller->fabric, options->role, election->started_ms);
    }
    return result;
}

static void closed(uv_handle_t *handle)
{
    struct election *election = handle->data;

    if (--election->n_handles == 0)
        free(election);
}

void election_free(struct election *election)
{
    if (!election)
        return;
    uv_close((uv_handle_t *)&election->udp, closed);
    uv_close((uv_handle_t *)&election->timer, closed);
}

void election_set_role(struct election *election, enum fabric_role role)
{
    election->options.is_automatic = false;
    fabric_set_role(election->controller->fabric, role, clock_monotonic_ms());
}

bool election_is_automatic(const struct election *election)
{
    return election->options.is_automatic;
}
