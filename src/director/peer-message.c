/* See peer-message.h. */
#include "weft/director/peer-message.h"

#include <errno.h>
#include <sodium.h>
#include <string.h>

#include "weft/base/util.h"
#include "weft/director/little-endian.h"

#define MAGIC "WDP4"
#define MAGIC_SIZE 4
#define NONCE_SIZE crypto_aead_xchacha20poly1305_ietf_NPUBBYTES
#define TAG_SIZE crypto_aead_xchacha20poly1305_ietf_ABYTES
#define VERSION_SIZE 1 /* Of the magic's, the last. */
#define HEAD_SIZE 48
#define RECORD_SIZE 112
#define KEY_SIZE 24
#define SERVICES_HEAD_SIZE 4
#define SERVICE_SIZE (KEY_SIZE + 16)
#define PIECE_HEAD_SIZE (KEY_SIZE + 16)
#define BODY_MAX (SERVICES_HEAD_SIZE + PEER_SERVICES_MAX * SERVICE_SIZE)
_Static_assert(PEER_RECORDS_MAX * RECORD_SIZE <= BODY_MAX && PIECE_HEAD_SIZE + PEER_PIECE <= BODY_MAX, "services are the most");
_Static_assert(MAGIC_SIZE + NONCE_SIZE + HEAD_SIZE + BODY_MAX + TAG_SIZE <= PEER_DATAGRAM_MAX, "it fits");
_Static_assert(crypto_aead_xchacha20poly1305_ietf_KEYBYTES == PEER_KEY_SIZE, "its key");

int peer_key(const char *text, size_t length, uint8_t ret_key[PEER_KEY_SIZE])
{
    while (length && (text[length - 1] == '\n' || text[length - 1] == '\r' || text[length - 1] == ' '))
        length--;
    if (length < PEER_KEY_TEXT_MIN)
        return -EINVAL;
    crypto_generichash(ret_key, PEER_KEY_SIZE, (const uint8_t *)text, length, NULL, 0);
    return 0;
}

void peer_key_of_direction(const uint8_t common[PEER_KEY_SIZE], const struct peer_end *from, const struct peer_end *to, uint8_t ret_key[PEER_KEY_SIZE])
{
    const struct peer_end *ends[] = {from, to};
    uint8_t text[sizeof(MAGIC) + 2 * 18] = MAGIC;

    for (size_t i = 0; i < 2; i++) {
        memcpy(text + sizeof(MAGIC) + i * 18, ends[i]->address, 16);
        memcpy(text + sizeof(MAGIC) + i * 18 + 16, &ends[i]->port, 2);
    }
    crypto_generichash(ret_key, PEER_KEY_SIZE, text, sizeof(text), common, PEER_KEY_SIZE);
}

/* ---- numbers ------------------------------------------------------------------------------------------------------------------------- */

/*  0 address   16 port   18 protocol   19 family   20 mark */
static void put_key(const struct lb_key *key, uint8_t *to)
{
    memcpy(to, key->address, 16);
    memcpy(to + 16, &key->port, 2);
    to[18] = key->protocol;
    to[19] = key->ipv6;
    put_le(to + 20, key->mark, 4);
}

static void get_key(const uint8_t *from, struct lb_key *ret)
{
    memcpy(ret->address, from, 16);
    memcpy(&ret->port, from + 16, 2);
    ret->protocol = from[18];
    ret->ipv6 = from[19];
    ret->mark = (uint32_t)get_le(from + 20, 4);
}

/* ---- records ------------------------------------------------------------------------------------------------------------------------- */

/*  0 service address   16 its port   18 protocol   19 family   20 mark   24 server   40 its port   42 the connection's   44 state
 * 45 protocol   46 is a template   47 is proven   48 client   64 address   80 client's port   82 port   84 silence   88 held   92 local port
 * 94 zero   96 local address */
static void put_connection(const struct peer_connection *connection, uint8_t record[RECORD_SIZE])
{
    memset(record, 0, RECORD_SIZE);
    put_key(&connection->service, record);
    memcpy(record + 24, connection->server_address, 16);
    memcpy(record + 40, &connection->server_id_port, 2);
    memcpy(record + 42, &connection->server_port, 2);
    record[44] = connection->state;
    record[45] = connection->key.protocol;
    record[46] = connection->key.is_template != 0;
    record[47] = connection->is_proven;
    memcpy(record + 48, connection->key.client, 16);
    memcpy(record + 64, connection->key.address, 16);
    memcpy(record + 80, &connection->key.client_port, 2);
    memcpy(record + 82, &connection->key.port, 2);
    put_le(record + 84, connection->silence, 4);
    put_le(record + 88, connection->held, 4);
    memcpy(record + 92, &connection->local_port, 2);
    memcpy(record + 96, connection->local_address, 16);
}

static int get_connection(const uint8_t record[RECORD_SIZE], struct peer_connection *ret)
{
    memset(ret, 0, sizeof(*ret));
    get_key(record, &ret->service);
    memcpy(ret->server_address, record + 24, 16);
    memcpy(&ret->server_id_port, record + 40, 2);
    memcpy(&ret->server_port, record + 42, 2);
    ret->state = record[44];
    ret->key.protocol = record[45];
    ret->key.is_template = record[46];
    ret->is_proven = record[47];
    memcpy(ret->key.client, record + 48, 16);
    memcpy(ret->key.address, record + 64, 16);
    memcpy(&ret->key.client_port, record + 80, 2);
    memcpy(&ret->key.port, record + 82, 2);
    ret->silence = (uint32_t)get_le(record + 84, 4);
    ret->held = (uint32_t)get_le(record + 88, 4);
    memcpy(&ret->local_port, record + 92, 2);
    memcpy(ret->local_address, record + 96, 16);
    return ret->state < LB_CONN_ESTABLISHED || ret->state > LB_CONN_TEMPLATE || ret->key.is_template > 1 || ret->service.ipv6 > 1 ||
                   (ret->state == LB_CONN_TEMPLATE) != ret->key.is_template || ret->is_proven > ret->key.is_template || get_le(record + 94, 2) ||
                   (ret->local_port && ret->key.is_template)
               ? -EBADMSG
               : 0;
}

/* ---- rows ------------------------------------------------------------------------------------------------------------------------------ */

size_t peer_piece_size(const struct peer_piece *piece)
{
    return MIN(piece->size - piece->offset, (uint32_t)PEER_PIECE);
}

/*  0 flags   4 services: 0 key   24 digest   32 taken */
static size_t put_services(const struct peer_message *message, uint8_t *body)
{
    put_le(body, message->flags, SERVICES_HEAD_SIZE);
    for (size_t i = 0; i < message->n_services; i++) {
        uint8_t *record = body + SERVICES_HEAD_SIZE + i * SERVICE_SIZE;

        put_key(&message->services[i].service, record);
        put_le(record + KEY_SIZE, message->services[i].digest, 8);
        put_le(record + KEY_SIZE + 8, message->services[i].taken, 8);
    }
    return SERVICES_HEAD_SIZE + message->n_services * SERVICE_SIZE;
}

static int get_services(const uint8_t *body, size_t size, struct peer_message *ret)
{
    if (ret->n_services > PEER_SERVICES_MAX || size != SERVICES_HEAD_SIZE + ret->n_services * SERVICE_SIZE)
        return -EBADMSG;
    ret->flags = (uint32_t)get_le(body, SERVICES_HEAD_SIZE);
    for (size_t i = 0; i < ret->n_services; i++) {
        const uint8_t *record = body + SERVICES_HEAD_SIZE + i * SERVICE_SIZE;

        get_key(record, &ret->services[i].service);
        ret->services[i].digest = get_le(record + KEY_SIZE, 8);
        ret->services[i].taken = get_le(record + KEY_SIZE + 8, 8);
    }
    return 0;
}

/*  0 key   24 digest   32 size   36 offset   40 bytes */
static size_t put_piece(const struct peer_piece *piece, uint8_t *body)
{
    put_key(&piece->service, body);
    put_le(body + KEY_SIZE, piece->digest, 8);
    put_le(body + KEY_SIZE + 8, piece->size, 4);
    put_le(body + KEY_SIZE + 12, piece->offset, 4);
    memcpy(body + PIECE_HEAD_SIZE, piece->bytes, peer_piece_size(piece));
    return PIECE_HEAD_SIZE + peer_piece_size(piece);
}

static int get_piece(const uint8_t *body, size_t size, struct peer_piece *ret)
{
    if (size < PIECE_HEAD_SIZE)
        return -EBADMSG;
    get_key(body, &ret->service);
    ret->digest = get_le(body + KEY_SIZE, 8);
    ret->size = (uint32_t)get_le(body + KEY_SIZE + 8, 4);
    ret->offset = (uint32_t)get_le(body + KEY_SIZE + 12, 4);
    if (ret->offset % PEER_PIECE || ret->offset >= ret->size || size != PIECE_HEAD_SIZE + peer_piece_size(ret))
        return -EBADMSG;
    memcpy(ret->bytes, body + PIECE_HEAD_SIZE, size - PIECE_HEAD_SIZE);
    return 0;
}

/* ---- datagrams ---------------------------------------------------------------------------------------------------------------------- */

size_t peer_seal(const struct peer_message *message, const uint8_t key[PEER_KEY_SIZE], uint8_t ret[PEER_DATAGRAM_MAX])
{
    uint8_t plain[HEAD_SIZE + BODY_MAX] = {0}, *nonce = ret + MAGIC_SIZE;
    size_t n = message->kind == PEER_SERVICES ? message->n_services : message->n_connections, size = HEAD_SIZE;
    unsigned long long sealed = 0;

    put_le(plain, message->session, 8);
    put_le(plain + 8, message->number, 8);
    put_le(plain + 16, message->now_ms, 8);
    plain[24] = (uint8_t)message->kind;
    plain[25] = message->is_older;
    put_le(plain + 26, message->kind == PEER_ROWS ? 0 : n, 2);
    put_le(plain + 28, message->asked, 4);
    put_le(plain + 32, message->ran_ms, 8);
    put_le(plain + 40, message->heard_session, 8);
    if (message->kind == PEER_SERVICES)
        size += put_services(message, plain + HEAD_SIZE);
    else if (message->kind == PEER_ROWS)
        size += put_piece(&message->piece, plain + HEAD_SIZE);
    else
        size += n * RECORD_SIZE;
    for (size_t i = 0; message->kind == PEER_CONNECTIONS && i < n; i++)
        put_connection(&message->connections[i], plain + HEAD_SIZE + i * RECORD_SIZE);
    memcpy(ret, MAGIC, MAGIC_SIZE);
    randombytes_buf(nonce, NONCE_SIZE);
    crypto_aead_xchacha20poly1305_ietf_encrypt(nonce + NONCE_SIZE, &sealed, plain, size, (const uint8_t *)MAGIC, MAGIC_SIZE, NULL, nonce, key);
    return MAGIC_SIZE + NONCE_SIZE + (size_t)sealed;
}

static int parse(const uint8_t *plain, size_t size, struct peer_message *ret)
{
    uint64_t kind = plain[24], n = get_le(plain + 26, 2);
    int result = 0;

    if (kind > PEER_ROWS || plain[25] > 1 || ((kind == PEER_HELLO || kind == PEER_ROWS) && n))
        return -EBADMSG;
    *ret = (struct peer_message){.session = get_le(plain, 8), .number = get_le(plain + 8, 8), .now_ms = get_le(plain + 16, 8),
                                 .is_older = plain[25], .asked = (uint32_t)get_le(plain + 28, 4), .ran_ms = get_le(plain + 32, 8),
                                 .heard_session = get_le(plain + 40, 8), .kind = (enum peer_kind)kind,
                                 .n_connections = kind == PEER_SERVICES ? 0 : n, .n_services = kind == PEER_SERVICES ? n : 0};
    if (kind == PEER_SERVICES)
        return get_services(plain + HEAD_SIZE, size - HEAD_SIZE, ret);
    if (kind == PEER_ROWS)
        return get_piece(plain + HEAD_SIZE, size - HEAD_SIZE, &ret->piece);
    if (n > PEER_RECORDS_MAX || size != HEAD_SIZE + n * RECORD_SIZE)
        return -EBADMSG;
    for (size_t i = 0; i < n && result == 0; i++)
        result = get_connection(plain + HEAD_SIZE + i * RECORD_SIZE, &ret->connections[i]);
    return result;
}

int peer_open(const uint8_t *datagram, size_t size, const uint8_t key[PEER_KEY_SIZE], uint64_t now_ms, struct peer_window *window,
              struct peer_message *ret_message, bool *ret_is_new, bool *ret_lost)
{
    uint8_t plain[HEAD_SIZE + BODY_MAX];
    const uint8_t *nonce = datagram + MAGIC_SIZE, *sealed = nonce + NONCE_SIZE;
    unsigned long long length = 0;
    bool is_new;
    int result;

    if (size >= MAGIC_SIZE && memcmp(datagram, MAGIC, MAGIC_SIZE - VERSION_SIZE) == 0 && datagram[MAGIC_SIZE - 1] != MAGIC[MAGIC_SIZE - 1])
        return -EPROTONOSUPPORT;
    if (size < MAGIC_SIZE + NONCE_SIZE + HEAD_SIZE + TAG_SIZE || size > MAGIC_SIZE + NONCE_SIZE + sizeof(plain) + TAG_SIZE ||
        memcmp(datagram, MAGIC, MAGIC_SIZE) != 0)
        return -EBADMSG;
    if (crypto_aead_xchacha20poly1305_ietf_decrypt(plain, &length, NULL, sealed, size - MAGIC_SIZE - NONCE_SIZE, (const uint8_t *)MAGIC, MAGIC_SIZE, nonce,
                                                   key) != 0)
        return -EBADMSG;
    result = parse(plain, (size_t)length, ret_message);
    if (result < 0)
        return result;
    is_new = ret_message->session != window->session;
    if (ret_message->now_ms + PEER_CLOCK_MS < now_ms || ret_message->now_ms > now_ms + PEER_CLOCK_MS ||
        (is_new ? ret_message->now_ms <= window->now_ms : ret_message->number <= window->number))
        return -ESTALE;
    *ret_is_new = is_new;
    *ret_lost = ret_message->number != (is_new ? 0 : window->number) + 1;
    *window = (struct peer_window){ret_message->session, ret_message->number, MAX(ret_message->now_ms, window->now_ms)};
    return 0;
}
