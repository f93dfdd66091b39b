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
#include "weft/controller/address.h"

#define MAGIC 0x77664531u /* "wfE1" */
#define BODY_SIZE (4 + 8 + 8)
#define DATAGRAM_SIZE (BODY_SIZE + crypto_shorthash_BYTES)

struct peer {
    uint64_t controller_id, count, heard_ms;
};

struct election {
    struct controller *controller;
    struct election_options options;
    uv_udp_t udp;
    uv_timer_t timer;
    int n_handles;
    uint64_t started_ms, count;
    struct sockaddr_storage addresses[ELECTION_PEERS_MAX];
    size_t n_addresses;
    struct peer peers[ELECTION_PEERS_MAX];
    size_t n_peers;
    char buffer[DATAGRAM_SIZE + 1];
};

/* ---- deciding ------------------------------------------------------------------------------------------------------------------- */

static void decide(struct election *election, uint64_t now_ms)
{
    bool is_lowest = true;

    if (!election->options.is_automatic || now_ms - election->started_ms < ELECTION_DEAD_MS)
        return;
    for (size_t i = 0; i < election->n_peers; i++)
        if (now_ms - election->peers[i].heard_ms < ELECTION_DEAD_MS && election->peers[i].controller_id < election->options.controller_id)
            is_lowest = false;
    fabric_set_role(election->controller->fabric, is_lowest ? FABRIC_MASTER : FABRIC_SLAVE, now_ms);
}

/* ---- datagrams --------------------------------------------------------------------------------------------------------------------- */

static void tell(struct election *election)
{
    uint8_t bytes[DATAGRAM_SIZE];
    uv_buf_t buffer = uv_buf_init((char *)bytes, sizeof(bytes));

    put_be32(bytes, MAGIC);
    put_be64(bytes + 4, election->options.controller_id);
    put_be64(bytes + 12, ++election->count);
    crypto_shorthash(bytes + BODY_SIZE, bytes, BODY_SIZE, election->options.key);
    for (size_t i = 0; i < election->n_addresses; i++)
        uv_udp_try_send(&election->udp, &buffer, 1, (struct sockaddr *)&election->addresses[i]);
}

static void hear(struct election *election, uint64_t controller_id, uint64_t count)
{
    struct peer *peer = NULL;

    if (controller_id == election->options.controller_id) {
        log_error("controller-id: '%llu' is another controller's, too: give each its own", (unsigned long long)controller_id);
        return;
    }
    for (size_t i = 0; i < election->n_peers && !peer; i++)
        if (election->peers[i].controller_id == controller_id)
            peer = &election->peers[i];
    if (!peer && election->n_peers < ELECTION_PEERS_MAX) {
        peer = &election->peers[election->n_peers++];
        *peer = (struct peer){.controller_id = controller_id};
    }
    if (!peer || count <= peer->count)
        return;
    peer->count = count;
    peer->heard_ms = clock_monotonic_ms();
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
    uint8_t tag[crypto_shorthash_BYTES];

    if (!from)
        return;
    if (size != DATAGRAM_SIZE || get_be32(bytes) != MAGIC) {
        log_warning("peer-listen: a datagram of %zd bytes that is no controller's", size);
        return;
    }
    crypto_shorthash(tag, bytes, BODY_SIZE, election->options.key);
    if (sodium_memcmp(tag, bytes + BODY_SIZE, sizeof(tag)) != 0) {
        log_warning("peer-listen: a datagram of controller %llu under another key", (unsigned long long)get_be64(bytes + 4));
        return;
    }
    hear(election, get_be64(bytes + 4), get_be64(bytes + 12));
}

static void tick(uv_timer_t *timer)
{
    struct election *election = timer->data;

    tell(election);
    decide(election, clock_monotonic_ms());
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
    election->count = (uint64_t)clock_realtime_s() << 20; /* Beyond what an earlier life counted to. */
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
