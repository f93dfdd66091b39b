/* See peer.h. */
#include "weft/director/peer.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "weft/base/clock.h"
#include "weft/base/log.h"
#include "weft/director/peer-message.h"
#include "weft/director/peer-order.h"
#include "weft/director/peer-rows.h"
#include "weft/director/runtime-state.h"

#define TICK_MS 20
#define TICKS_A_ROUND 50           /* All slots within a second, */
#define STRETCH_MAX (LB_SLOTS / TICKS_A_ROUND + 1) /* or, in larger tables than the default's, as many as there are in those. */
#define QUIET_ROUNDS 16            /* Those that were told twice are looked at each so many rounds. */
#define DATAGRAMS_A_TICK 64        /* To send, and to take at once. */
#define ROWS_A_TICK 16             /* Datagrams of those. */
#define HELLO_MS 1000
#define SILENT_MS 5000
#define AGAIN_MS 5000
#define KEY_FILE_MAX 4096
#define BUFFER_SIZE (4 << 20)

struct told { /* Of a slot. */
    uint32_t mark; /* Of the key that was there; 0: none. */
    uint32_t last_seen;
    uint8_t state, times; /* The state with PROVEN, or without. */
};
#define PROVEN 0x80

struct peer {
    struct director *director;
    int fd;
    bool is_connected;
    int connect_error; /* Of the last try; said once. */
    struct sockaddr_storage other;
    uv_poll_t poll;
    uv_timer_t timer;
    uint8_t common_key[PEER_KEY_SIZE], send_key[PEER_KEY_SIZE], receive_key[PEER_KEY_SIZE];
    struct peer_window window;
    struct peer_message out;
    struct told *told; /* One for each slot. */
    uint32_t n_told;
    uint32_t hand, round;
    unsigned n_datagrams; /* In this tick. */
    uint64_t hello_ms, heard_ms, again_ms;
    bool was_heard, is_version_said;
    uint32_t asked; /* By the other one, the last time that it was heard. */
    bool tell_all;  /* It has asked, and was not yet told. */
    uint64_t began_ms;       /* As far as the other one is to know. */
    struct peer_order order; /* Who says how rows are. */
    struct peer_rows *rows;
    struct peer_message aside; /* Of kinds that are not gathered. */
    bool is_lacking; /* Something that was told has no service or server here. */
    struct peer_state state;
};

static uint32_t ticks_now(void)
{
    return (uint32_t)(clock_monotonic_ns() >> LB_TIME_SHIFT);
}

/* ---- telling ------------------------------------------------------------------------------------------------------------------------ */

/* Numbered as 'out'.  False: the socket takes no more now. */
static bool send_message(struct peer *peer, struct peer_message *message)
{
    uint8_t datagram[PEER_DATAGRAM_MAX];
    ssize_t sent;

    peer->out.now_ms = MAX(clock_realtime_ms(), peer->out.now_ms);
    message->session = peer->out.session;
    message->number = ++peer->out.number;
    message->now_ms = peer->out.now_ms;
    message->ran_ms = clock_monotonic_ms() - peer->began_ms;
    message->heard_session = peer->window.session;
    message->is_older = peer->order.is_older;
    message->asked = peer->out.asked;
    sent = send(peer->fd, datagram, peer_seal(message, peer->send_key, datagram), MSG_DONTWAIT | MSG_NOSIGNAL);
    peer->n_datagrams++;
    if (sent < 0 && (errno == EAGAIN || errno == ENOBUFS)) {
        peer->out.number--;
        return false;
    }
    return true;
}

static bool send_out(struct peer *peer)
{
    if (!send_message(peer, &peer->out)) /* It is sent again. */
        return false;
    peer->state.n_told += peer->out.n_connections; /* What gets lost, the other one misses by its number, and asks for it. */
    peer->out.n_connections = 0;
    return true;
}

static bool flush(struct peer *peer)
{
    peer->out.kind = PEER_CONNECTIONS;
    return !peer->out.n_connections || send_out(peer);
}

/* Which entry is that?  Never 0. */
static uint32_t mark_of(const struct lb_conn_key *key)
{
    uint64_t hash = 14695981039346656037ull;

    for (size_t i = 0; i < sizeof(*key); i++)
        hash = (hash ^ ((const uint8_t *)key)[i]) * 1099511628211ull;
    return (uint32_t)(hash ^ hash >> 32) | 1;
}

/* A quarter of the silence that ends it. */
static uint32_t refresh_of(const struct lb_settings *settings, uint32_t state)
{
    uint64_t seconds = state == LB_CONN_UDP ? settings->udp_s : state == LB_CONN_ESTABLISHED ? settings->tcp_s : 40;

    return (uint32_t)((seconds * 1000000000ull / 4) >> LB_TIME_SHIFT);
}

static uint8_t told_state(const struct lb_conn *conn)
{
    return (uint8_t)(conn->state | (conn->state == LB_CONN_TEMPLATE && conn->is_proven ? PROVEN : 0));
}

static bool is_news(const struct lb_settings *settings, const struct told *told, uint32_t mark, const struct lb_conn *conn)
{
    if (told->mark != mark || told->state != told_state(conn) || told->times < 2)
        return true;
    return (int32_t)(conn->last_seen - told->last_seen) > (int32_t)refresh_of(settings, conn->state);
}

static const struct lb_service *service_record(const struct lb_tables *tables, uint32_t number)
{
    return number < tables->sizes.n_services ? &tables->services[number].copy[tables->services[number].active & 1] : NULL;
}

static const struct lb_server *server_record(const struct lb_tables *tables, uint32_t number)
{
    return number < tables->sizes.n_servers ? &tables->servers[number].copy[tables->servers[number].active & 1] : NULL;
}

static bool can_be_told(const struct lb_tables *tables, const struct lb_conn *conn)
{
    const struct lb_service *service = service_record(tables, conn->service);
    const struct lb_server *server = server_record(tables, conn->server);

    return conn->state >= LB_CONN_ESTABLISHED && conn->state <= LB_CONN_TEMPLATE && (conn->key.is_template || conn->local < LB_LOCALS) && service &&
           service->schedule != LB_SCHEDULE_NONE && server && server->method != LB_METHOD_NONE && server->incarnation == conn->incarnation;
}

static void tell(struct peer *peer, const struct lb_conn *conn)
{
    const struct lb_conn_key *key = &conn->key;
    const struct lb_tables *tables = peer->director->tables;
    const struct lb_server *server = server_record(tables, conn->server);
    uint32_t now = ticks_now();
    struct peer_connection *to = &peer->out.connections[peer->out.n_connections++];

    *to = (struct peer_connection){.service = service_record(tables, conn->service)->key, .server_id_port = server->port, .server_port = conn->server_port,
                                   .key = *key, .state = (uint8_t)conn->state, .is_proven = key->is_template && conn->is_proven,
                                   .silence = (int32_t)(now - conn->last_seen) > 0 ? now - conn->last_seen : 0,
                                   .held = key->is_template && (int32_t)(now - conn->held) > 0 ? now - conn->held : 0};
    memcpy(to->server_address, server->address, sizeof(to->server_address));
    if (!key->is_template && conn->local_port) {
        memcpy(to->local_address, tables->locals[conn->local].address, sizeof(to->local_address));
        to->local_port = conn->local_port;
    }
}

/* False: no more can be told in this tick. */
static bool look_at(struct peer *peer, uint32_t position)
{
    const struct lb_tables *tables = peer->director->tables;
    struct told *told = &peer->told[position];
    struct lb_conn conn;
    uint32_t mark;

    if (!lb_read_connection(tables, position, &conn)) {
        told->mark = 0;
        return true;
    }
    mark = mark_of(&conn.key);
    if (told->mark == mark && told->times >= 2 && (peer->round + position) % QUIET_ROUNDS)
        return true;
    if (!can_be_told(tables, &conn) || !is_news(tables->settings, told, mark, &conn))
        return true;
    if (peer->out.n_connections == PEER_RECORDS_MAX && (!flush(peer) || peer->n_datagrams >= DATAGRAMS_A_TICK))
        return false;
    tell(peer, &conn);
    if (told->mark != mark || told->state != told_state(&conn))
        told->times = 0;
    *told = (struct told){mark, conn.last_seen, told_state(&conn), (uint8_t)MIN(told->times + 1, 2)};
    return true;
}

static void hello(struct peer *peer, uint64_t now_ms)
{
    if (now_ms - peer->hello_ms < HELLO_MS || peer->out.n_connections)
        return;
    peer->hello_ms = now_ms;
    peer->out.kind = PEER_HELLO;
    send_out(peer);
}

/* Not more often than AGAIN_MS: where datagrams get lost for there are too many of them, more are no help. */
static void tell_all(struct peer *peer, uint64_t now_ms)
{
    if (!peer->tell_all || (peer->again_ms && now_ms - peer->again_ms < AGAIN_MS))
        return;
    if (peer->told)
        memset(peer->told, 0, peer->n_told * sizeof(*peer->told));
    peer->again_ms = now_ms;
    peer->tell_all = false;
}

/* With or without a way to the other one: somebody may wait for its rows. */
static void look_at_rows(struct peer *peer, uint64_t now_ms)
{
    if (peer_rows_tick(peer->rows, peer->state.is_heard, peer_order_is_first(&peer->order), now_ms))
        director_schedule_apply(peer->director);
}

/* What does not go out is told again. */
static void tell_rows(struct peer *peer, uint64_t now_ms)
{
    while (peer->n_datagrams < ROWS_A_TICK && peer_rows_next(peer->rows, &peer->aside, now_ms))
        if (!send_message(peer, &peer->aside))
            return;
}

static void look_for_silence(struct peer *peer, uint64_t now_ms)
{
    bool is_heard = peer->heard_ms && now_ms - peer->heard_ms < SILENT_MS;

    if (peer->was_heard && !is_heard)
        log_warning("the other director is silent");
    peer->was_heard = peer->state.is_heard = is_heard;
}

/* When the table of connections gets another size, all is told anew.  False without memory: then nothing is. */
static bool has_room(struct peer *peer)
{
    uint32_t n = peer->director->tables ? lb_slots(peer->director->tables) : 0;

    if (n && n != peer->n_told) {
        free(peer->told);
        peer->told = calloc(n, sizeof(*peer->told));
        peer->n_told = peer->told ? n : 0;
        peer->hand = 0;
    }
    return n && peer->told;
}

/* ---- taking ------------------------------------------------------------------------------------------------------------------------- */

static bool take(struct peer *peer, const struct peer_connection *told)
{
    const struct director *director = peer->director;
    struct hashmap_node *node = hashmap_find(applied_services(director->applied), &told->service, sizeof(told->service));
    struct real_server real = {.port = ntohs(told->server_id_port)};
    const struct applied_service *service;
    const struct applied_server *server;
    uint32_t now = ticks_now();
    struct lb_conn conn = {.key = told->key, .state = told->state, .last_seen = now - told->silence, .server_port = told->server_port,
                           .held = told->key.is_template ? now - told->held : 0, .is_proven = told->is_proven};

    peer->is_lacking |= !node;
    if (!node)
        return false;
    service = CONTAINER_OF(node, struct applied_service, by_key);
    memcpy(real.address.bytes, told->server_address, sizeof(real.address.bytes));
    server = applied_find_server(service, &real);
    if (!server || server->number == LB_NONE || service->number == LB_NONE) {
        peer->is_lacking = true;
        return false;
    }
    conn.service = service->number;
    conn.server = server->number;
    conn.incarnation = server->incarnation;
    conn.is_translated = (server->content.method == LB_METHOD_NAT || server->content.method == LB_METHOD_FULL_NAT) && !told->key.is_template;
    if (told->local_port) {
        uint32_t position = applied_local(director->applied, told->local_address);

        if (position == LB_NONE) {
            peer->is_lacking = true;
            return false;
        }
        conn.local = (uint16_t)position;
        conn.local_port = told->local_port;
    }
    return lb_take_connection(director->tables, &conn) == 0;
}

static void heard(struct peer *peer, const struct peer_message *message, bool is_new, bool lost)
{
    const struct peer_order_word word = {message->session, message->ran_ms, message->heard_session, message->is_older};

    peer->heard_ms = clock_monotonic_ms();
    peer_order_hear(&peer->order, peer->heard_ms - peer->began_ms, &word);
    peer->out.asked += lost;
    peer->tell_all |= message->asked != peer->asked;
    peer->asked = message->asked;
    if (is_new) { /* It knows nothing yet. */
        peer->is_version_said = false;
        peer->tell_all = true;
        peer->again_ms = peer->hello_ms = 0;
        peer_rows_changed(peer->rows);
        log_info("the other director is heard");
    } else if (!peer->was_heard) {
        log_info("the other director is heard again");
    }
    peer->was_heard = true;
    if (message->kind == PEER_SERVICES || message->kind == PEER_ROWS) {
        if (peer_rows_heard(peer->rows, message, peer->heard_ms))
            director_schedule_apply(peer->director);
        return;
    }
    peer->is_lacking |= message->n_connections && !peer->director->applied; /* It waits for rows: what was told is asked for again. */
    for (size_t i = 0; peer->director->applied && i < message->n_connections; i++)
        *(take(peer, &message->connections[i]) ? &peer->state.n_taken : &peer->state.n_left) += 1;
}

/* Once until it is heard: whoever can send in the other one's name could else have it said as often as it likes. */
static void refused(struct peer *peer, int error)
{
    peer->state.n_refused++;
    if (error == -EPROTONOSUPPORT && !peer->is_version_said) {
        log_warning("the other director speaks another version of the protocol: it must be upgraded, too");
        peer->is_version_said = true;
    }
}

static void take_datagrams(struct peer *peer)
{
    uint8_t datagram[PEER_DATAGRAM_MAX + 1];

    for (unsigned i = 0; i < DATAGRAMS_A_TICK; i++) {
        ssize_t size = recv(peer->fd, datagram, sizeof(datagram), MSG_DONTWAIT);
        struct peer_message message;
        bool is_new = false, lost = false;
        int result;

        if (size < 0 && errno == ECONNREFUSED)
            continue;
        if (size < 0)
            return;
        result = peer_open(datagram, (size_t)size, peer->receive_key, clock_realtime_ms(), &peer->window, &message, &is_new, &lost);
        if (result < 0)
            refused(peer, result);
        else
            heard(peer, &message, is_new, lost);
    }
}

/* An earlier datagram found nobody: libuv ends the watch of a socket that has an error, but reading takes the error off. */
static void readable(uv_poll_t *poll, int status, int events)
{
    take_datagrams(poll->data);
    if (status < 0)
        uv_poll_start(poll, UV_READABLE, readable);
}

/* ---- the way to the other one ------------------------------------------------------------------------------------------------------- */

static struct peer_end end_of(const struct sockaddr_storage *from)
{
    struct peer_end end = {.address = {[10] = 0xff, [11] = 0xff}};

    if (from->ss_family == AF_INET6) {
        memcpy(end.address, &((const struct sockaddr_in6 *)from)->sin6_addr, 16);
        end.port = ((const struct sockaddr_in6 *)from)->sin6_port;
    } else {
        memcpy(end.address + 12, &((const struct sockaddr_in *)from)->sin_addr, 4);
        end.port = ((const struct sockaddr_in *)from)->sin_port;
    }
    return end;
}

/* And keys for the ends of the connected socket, which the other one has the other way round. */
static int connect_out(struct peer *peer)
{
    struct sockaddr_storage own = {0};
    socklen_t own_size = sizeof(own), size = peer->other.ss_family == AF_INET6 ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in);
    struct peer_end here, there = end_of(&peer->other);

    if (connect(peer->fd, (const struct sockaddr *)&peer->other, size) < 0 || getsockname(peer->fd, (struct sockaddr *)&own, &own_size) < 0)
        return -errno;
    here = end_of(&own);
    peer_key_of_direction(peer->common_key, &here, &there, peer->send_key);
    peer_key_of_direction(peer->common_key, &there, &here, peer->receive_key);
    return 0;
}

/* Tried again with each tick. */
static bool is_connected(struct peer *peer)
{
    int result;

    if (peer->is_connected)
        return true;
    result = connect_out(peer);
    if (result < 0 && result != peer->connect_error)
        log_warning("there is no way to the other director: %s; it is tried again", strerror(-result));
    if (result == 0 && peer->connect_error)
        log_info("there is a way to the other director");
    peer->connect_error = result;
    peer->is_connected = result == 0;
    if (peer->is_connected)
        uv_poll_start(&peer->poll, UV_READABLE, readable);
    return peer->is_connected;
}

static void tick(uv_timer_t *timer)
{
    struct peer *peer = timer->data;
    uint64_t now_ms = clock_monotonic_ms();
    uint32_t stretch;

    look_for_silence(peer, now_ms);
    look_at_rows(peer, now_ms);
    if (!is_connected(peer))
        return;
    peer->n_datagrams = 0;
    tell_all(peer, now_ms);
    tell_rows(peer, now_ms);
    stretch = has_room(peer) ? MIN(peer->n_told / TICKS_A_ROUND + 1, STRETCH_MAX) : 0;
    for (uint32_t i = 0; i < stretch; i++) {
        if (!look_at(peer, peer->hand))
            break;
        if (++peer->hand >= peer->n_told) {
            peer->hand = 0;
            peer->round++;
        }
    }
    if (flush(peer))
        hello(peer, now_ms);
}

/* ---- beginning ----------------------------------------------------------------------------------------------------------------------- */

/* NULL with '*error', -EINVAL. */
static struct addrinfo *resolve(const char *option, const char *text, struct error *error)
{
    const struct addrinfo hints = {.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV, .ai_socktype = SOCK_DGRAM};
    const char *colon = strrchr(text, ':');
    char host[INET6_ADDRSTRLEN + 2] = "";
    size_t length = colon ? (size_t)(colon - text) : 0;
    struct addrinfo *found = NULL;

    if (colon && length && length < sizeof(host)) {
        bool has_brackets = length > 2 && text[0] == '[' && text[length - 1] == ']';

        memcpy(host, text + has_brackets, length - 2 * has_brackets);
        if (has_brackets == (strchr(host, ':') != NULL) && getaddrinfo(host, colon + 1, &hints, &found) == 0 && found)
            return found;
    }
    error_set(error, -EINVAL, option, "%s: '%s' is not ADDRESS:PORT", option, text);
    return NULL;
}

/* The address may come later, as of a link whose other end is off: the director is not to wait for it. */
static int bind_socket(const struct peer_options *options, int fd, const struct addrinfo *from, const struct addrinfo *to, struct error *error)
{
    int size = BUFFER_SIZE, one = 1;

    if (from->ai_family == AF_INET6)
        setsockopt(fd, IPPROTO_IPV6, IPV6_FREEBIND, &one, sizeof(one));
    else
        setsockopt(fd, IPPROTO_IP, IP_FREEBIND, &one, sizeof(one));
    setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size));
    setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size));
    if (bind(fd, from->ai_addr, from->ai_addrlen) < 0)
        return error_set(error, -errno, "peer-listen", "peer-listen: cannot listen on %s: %s", options->listen, strerror(errno));
    if (from->ai_addrlen == to->ai_addrlen && memcmp(from->ai_addr, to->ai_addr, to->ai_addrlen) == 0)
        return error_set(error, -EINVAL, "peer", "peer: %s is this director itself", options->address);
    return 0;
}

/* A descriptor, or -errno. */
static int open_socket(const struct peer_options *options, struct sockaddr_storage *ret_other, struct error *error)
{
    struct addrinfo *to = resolve("peer", options->address, error), *from = to ? resolve("peer-listen", options->listen, error) : NULL;
    int result = -EINVAL, fd = -1;

    if (to && from) {
        fd = socket(from->ai_family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        result = fd < 0 ? error_set(error, -errno, NULL, "cannot open a socket: %s", strerror(errno)) : bind_socket(options, fd, from, to, error);
        memcpy(ret_other, to->ai_addr, to->ai_addrlen);
    }
    if (to)
        freeaddrinfo(to);
    if (from)
        freeaddrinfo(from);
    if (result < 0 && fd >= 0)
        close(fd);
    return result < 0 ? result : fd;
}

static int read_key(const char *path, uint8_t ret_key[PEER_KEY_SIZE], struct error *error)
{
    _cleanup_(closep) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    struct stat status;
    char text[KEY_FILE_MAX];
    ssize_t size;
    int result = 0;

    if (fd < 0 || fstat(fd, &status) < 0)
        return error_set(error, -errno, "peer-key-file", "peer-key-file: cannot read '%s': %s", path, strerror(errno));
    if (!S_ISREG(status.st_mode))
        return error_set(error, -EINVAL, "peer-key-file", "peer-key-file: '%s' is not a file", path);
    if (status.st_uid && status.st_uid != geteuid())
        return error_set(error, -EPERM, "peer-key-file", "peer-key-file: '%s' is another user's", path);
    if (status.st_mode & 077)
        return error_set(error, -EPERM, "peer-key-file", "peer-key-file: '%s' may be read by others; 'chmod 600' it", path);
    size = read(fd, text, sizeof(text));
    if (size < 0)
        result = error_set(error, -errno, "peer-key-file", "peer-key-file: cannot read '%s': %s", path, strerror(errno));
    else if (peer_key(text, (size_t)size, ret_key) < 0)
        result = error_set(error, -EINVAL, "peer-key-file", "peer-key-file: '%s' has less than %d bytes", path, PEER_KEY_TEXT_MIN);
    sodium_memzero(text, sizeof(text));
    return result;
}

static int set_up(struct peer *peer, const struct peer_options *options, struct error *error)
{
    int result;

    if (sodium_init() < 0)
        return error_set(error, -EIO, NULL, "libsodium does not start");
    peer->rows = peer_rows_new(&peer->director->applied);
    if (!peer->rows)
        return error_set(error, -ENOMEM, NULL, "out of memory");
    result = read_key(options->key_file, peer->common_key, error);
    if (result == 0) {
        peer->fd = open_socket(options, &peer->other, error);
        result = MIN(peer->fd, 0);
    }
    return result;
}

static void free_peer(struct peer *peer)
{
    if (peer->fd >= 0)
        close(peer->fd);
    sodium_memzero(peer->common_key, sizeof(peer->common_key));
    sodium_memzero(peer->send_key, sizeof(peer->send_key));
    sodium_memzero(peer->receive_key, sizeof(peer->receive_key));
    free(peer->told);
    peer_rows_free(peer->rows);
    free(peer);
}

int peer_new(struct director *director, const struct peer_options *options, struct peer **ret, struct error *error)
{
    struct peer *peer = calloc(1, sizeof(*peer));
    int result;

    if (!peer)
        return error_set(error, -ENOMEM, NULL, "out of memory");
    peer->director = director;
    peer->fd = -1;
    peer->out.session = peer->order.session = clock_realtime_ms() * 1000000 + clock_monotonic_ns() % 1000000;
    peer->began_ms = clock_monotonic_ms() - PEER_ORDER_TABLES_MS;
    result = set_up(peer, options, error);
    if (result < 0) {
        free_peer(peer);
        return result;
    }
    uv_poll_init(&director->loop, &peer->poll, peer->fd);
    uv_timer_init(&director->loop, &peer->timer);
    peer->poll.data = peer->timer.data = peer;
    is_connected(peer);
    uv_timer_start(&peer->timer, tick, TICK_MS, TICK_MS);
    *ret = peer;
    return 0;
}

static void poll_closed(uv_handle_t *handle)
{
    free_peer(handle->data);
}

static void timer_closed(uv_handle_t *handle)
{
    struct peer *peer = handle->data;

    uv_close((uv_handle_t *)&peer->poll, poll_closed);
}

void peer_free(struct peer *peer)
{
    if (peer)
        uv_close((uv_handle_t *)&peer->timer, timer_closed);
}

void peer_tables_changed(struct peer *peer)
{
    peer->out.asked += peer->is_lacking;
    peer->is_lacking = false;
    peer_rows_changed(peer->rows);
}

void peer_wait(struct peer *peer)
{
    peer->began_ms = clock_monotonic_ms(); /* Whoever has tables is older. */
    peer_rows_wait(peer->rows, peer->began_ms);
}

struct peer_rows *peer_rows_of(struct peer *peer)
{
    return peer->rows;
}

struct peer_state peer_state(const struct peer *peer)
{
    return peer->state;
}
