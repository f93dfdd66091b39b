/* See peer-message.h. */
#include "weft/director/peer-message.h"

#include <errno.h>
#include <sodium.h>
#include <string.h>

#include "weft/base/util.h"

#define MAGIC "WDP2"
#define MAGIC_SIZE 4
#define NONCE_SIZE crypto_aead_xchacha20poly1305_ietf_NPUBBYTES
#define TAG_SIZE crypto_aead_xchacha20poly1305_ietf_ABYTES
#define HEAD_SIZE 32
#define RECORD_SIZE 112
_Static_assert(MAGIC_SIZE + NONCE_SIZE + HEAD_SIZE + PEER_RECORDS_MAX * RECORD_SIZE + TAG_SIZE <= PEER_DATAGRAM_MAX, "it fits");
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

static void put(uint8_t *to, uint64_t value, size_t size)
{
    for (size_t i = 0; i < size; i++)
        to[i] = (uint8_t)(value >> 8 * i);
}

static uint64_t get(const uint8_t *from, size_t size)
{
    uint64_t value = 0;

    for (size_t i = size; i-- > 0;)
        value = value << 8 | from[i];
    return value;
}

/* ---- records ------------------------------------------------------------------------------------------------------------------------- */

/*  0 service address   16 its port   18 protocol   19 family   20 mark   24 server   40 its port   42 the connection's   44 state
 * 45 protocol   46 is a template   47 is proven   48 client   64 address   80 client's port   82 port   84 silence   88 held   92 local port
 * 94 zero   96 local address */
static void put_connection(const struct peer_connection *connection, uint8_t record[RECORD_SIZE])
{
    memset(record, 0, RECORD_SIZE);
    memcpy(record, connection->service.address, 16);
    memcpy(record + 16, &connection->service.port, 2);
    record[18] = connection->service.protocol;
    record[19] = connection->service.ipv6;
    put(record + 20, connection->service.mark, 4);
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
    put(record + 84, connection->silence, 4);
    put(record + 88, connection->held, 4);
    memcpy(record + 92, &connection->local_port, 2);
    memcpy(record + 96, connection->local_address, 16);
}

static int get_connection(const uint8_t record[RECORD_SIZE], struct peer_connection *ret)
{
    memset(ret, 0, sizeof(*ret));
    memcpy(ret->service.address, record, 16);
    memcpy(&ret->service.port, record + 16, 2);
    ret->service.protocol = record[18];
    ret->service.ipv6 = record[19];
    ret->service.mark = (uint32_t)get(record + 20, 4);
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
    ret->silence = (uint32_t)get(record + 84, 4);
    ret->held = (uint32_t)get(record + 88, 4);
    memcpy(&ret->local_port, record + 92, 2);
    memcpy(ret->local_address, record + 96, 16);
    return ret->state < LB_CONN_ESTABLISHED || ret->state > LB_CONN_TEMPLATE || ret->key.is_template > 1 || ret->service.ipv6 > 1 ||
                   (ret->state == LB_CONN_TEMPLATE) != ret->key.is_template || ret->is_proven > ret->key.is_template || get(record + 94, 2) || (ret->local_port && ret->key.is_template)
               ? -EBADMSG
               : 0;
}

/* ---- datagrams ---------------------------------------------------------------------------------------------------------------------- */

size_t peer_seal(const struct peer_message *message, const uint8_t key[PEER_KEY_SIZE], uint8_t ret[PEER_DATAGRAM_MAX])
{
    uint8_t plain[HEAD_SIZE + PEER_RECORDS_MAX * RECORD_SIZE] = {0}, *nonce = ret + MAGIC_SIZE;
    size_t size = HEAD_SIZE + message->n_connections * RECORD_SIZE;
    unsigned long long sealed = 0;

    put(plain, message->session, 8);
    put(plain + 8, message->number, 8);
    put(plain + 16, message->now_ms, 8);
    put(plain + 24, message->kind, 2);
    put(plain + 26, message->n_connections, 2);
    put(plain + 28, message->asked, 4);
    for (size_t i = 0; i < message->n_connections; i++)
        put_connection(&message->connections[i], plain + HEAD_SIZE + i * RECORD_SIZE);
    memcpy(ret, MAGIC, MAGIC_SIZE);
    randombytes_buf(nonce, NONCE_SIZE);
    crypto_aead_xchacha20poly1305_ietf_encrypt(nonce + NONCE_SIZE, &sealed, plain, size, (const uint8_t *)MAGIC, MAGIC_SIZE, NULL, nonce, key);
    return MAGIC_SIZE + NONCE_SIZE + (size_t)sealed;
}

static int parse(const uint8_t *plain, size_t size, struct peer_message *ret)
{
    uint64_t kind = get(plain + 24, 2), n = get(plain + 26, 2);
    int result = 0;

    if (kind > PEER_CONNECTIONS || n > PEER_RECORDS_MAX || (kind == PEER_HELLO && n) || size != HEAD_SIZE + n * RECORD_SIZE)
        return -EBADMSG;
    *ret = (struct peer_message){.session = get(plain, 8), .number = get(plain + 8, 8), .now_ms = get(plain + 16, 8),
                                 .asked = (uint32_t)get(plain + 28, 4), .kind = (enum peer_kind)kind,
                                 .n_connections = n};
    for (size_t i = 0; i < n && result == 0; i++)
        result = get_connection(plain + HEAD_SIZE + i * RECORD_SIZE, &ret->connections[i]);
    return result;
}

int peer_open(const uint8_t *datagram, size_t size, const uint8_t key[PEER_KEY_SIZE], uint64_t now_ms, struct peer_window *window,
              struct peer_message *ret_message, bool *ret_is_new, bool *ret_lost)
{
    uint8_t plain[HEAD_SIZE + PEER_RECORDS_MAX * RECORD_SIZE];
    const uint8_t *nonce = datagram + MAGIC_SIZE, *sealed = nonce + NONCE_SIZE;
    unsigned long long length = 0;
    bool is_new;
    int result;

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
