/* See peer-rows.h. */
#include "weft/director/peer-rows.h"

#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "weft/base/log.h"
#include "weft/base/util.h"
#include "weft/director/little-endian.h"

#define ROUND_MS 1000
#define ROUND_AGAIN_MS 100  /* After something has changed. */
#define PUSH_AGAIN_MS 2000  /* The same rows, to one who did not get them whole. */
#define SERVICES_MAX 65536
#define BYTES_MAX (256u << 20) /* Of all rows that are held. */
#define DIFFERENT_ROUNDS 3  /* Checks are not of the same moment at both. */
#define UNTOLD_ROUNDS 4     /* A datagram may be lost. */

struct pair_service {
    struct hashmap_node by_key;
    struct lb_key key;
    uint64_t digest, lineage, sequence; /* Of the rows here; for which state of them that was reckoned. */
    uint64_t other_digest, other_taken; /* As told, */
    uint8_t n_untold;                   /* before so many rounds of the other one's. */
    uint64_t pushed, pushed_ms;         /* The digest of what was sent last, and when that was done. */
    bool is_wanted;
    uint64_t base_digest; /* The other one's rows, whole, */
    uint8_t *base;
    uint32_t base_size;
    uint64_t coming_digest; /* and those of which pieces are there. */
    uint8_t *coming;
    bool *has_piece;
    uint32_t coming_size, n_missing;
};

struct peer_rows {
    struct applied *const *applied;
    struct hashmap services;
    bool is_heard, is_first;
    uint64_t n_bytes;

    struct lb_key *round; /* Of whom the other one is being told. */
    size_t n_round, next;
    bool is_in_round, is_again;
    uint64_t round_ms;
    unsigned n_different_rounds;
    bool is_said;

    size_t n_wanted;
    struct lb_key pushed_key; /* What is being sent, */
    uint64_t pushed_digest;
    uint8_t *pushed;          /* NULL: nothing is. */
    uint32_t pushed_size, offset;

    bool is_waiting, has_other_round; /* It was told of all of the other's. */
    uint64_t wait_ms;
};

/* ---- services ----------------------------------------------------------------------------------------------------------------------- */

static struct pair_service *find(const struct peer_rows *rows, const struct lb_key *key)
{
    struct hashmap_node *node = hashmap_find(&rows->services, key, sizeof(*key));

    return node ? CONTAINER_OF(node, struct pair_service, by_key) : NULL;
}

static struct pair_service *find_or_add(struct peer_rows *rows, const struct lb_key *key)
{
    struct pair_service *service = find(rows, key);

    if (service || rows->services.n_nodes >= SERVICES_MAX || !(service = calloc(1, sizeof(*service))))
        return service;
    service->key = *key;
    if (hashmap_insert(&rows->services, &service->by_key, &service->key, sizeof(service->key)) < 0) {
        free(service);
        return NULL;
    }
    return service;
}

static void drop_coming(struct peer_rows *rows, struct pair_service *service)
{
    rows->n_bytes -= service->coming_size;
    free(service->coming);
    free(service->has_piece);
    service->coming = NULL;
    service->has_piece = NULL;
    service->coming_size = service->n_missing = 0;
    service->coming_digest = 0;
}

static void drop_base(struct peer_rows *rows, struct pair_service *service)
{
    rows->n_bytes -= service->base_size;
    free(service->base);
    service->base = NULL;
    service->base_size = 0;
    service->base_digest = 0;
}

static void forget_all(struct peer_rows *rows)
{
    HASHMAP_FOREACH(node, &rows->services) {
        struct pair_service *service = CONTAINER_OF(node, struct pair_service, by_key);

        drop_coming(rows, service);
        drop_base(rows, service);
        hashmap_remove(&rows->services, node);
        free(service);
    }
    rows->n_wanted = 0;
    rows->has_other_round = false;
    free(rows->pushed);
    rows->pushed = NULL;
}

struct peer_rows *peer_rows_new(struct applied *const *applied)
{
    struct peer_rows *rows = calloc(1, sizeof(*rows));

    if (rows)
        rows->applied = applied;
    return rows;
}

void peer_rows_free(struct peer_rows *rows)
{
    if (!rows)
        return;
    forget_all(rows);
    hashmap_clear(&rows->services);
    free(rows->round);
    free(rows);
}

/* ---- digests ---------------------------------------------------------------------------------------------------------------------------- */

static uint64_t digest_of(const uint8_t *bytes, uint32_t size)
{
    uint8_t hash[crypto_generichash_BYTES_MIN];
    uint64_t digest;

    crypto_generichash(hash, sizeof(hash), bytes, size, NULL, 0);
    digest = get_le(hash, sizeof(digest));
    return digest ? digest : 1;
}

static const struct applied_service *applied_of(const struct peer_rows *rows, const struct lb_key *key)
{
    struct hashmap_node *node = *rows->applied ? hashmap_find(applied_services(*rows->applied), key, sizeof(*key)) : NULL;
    const struct applied_service *service = node ? CONTAINER_OF(node, struct applied_service, by_key) : NULL;

    return service && service->rows && service->content.n_rows ? service : NULL;
}

/* Of what two that have the same rows have in common. */
static uint64_t digest_of_rows(const uint8_t *bytes, uint32_t size)
{
    return digest_of(bytes, applied_rows_common(bytes, size));
}

/* Of the rows here; 0: there are none. */
static uint64_t own_digest(const struct peer_rows *rows, struct pair_service *service)
{
    const struct applied_service *applied = applied_of(rows, &service->key);
    const struct balance_delta *delta = applied ? balance_table_delta(applied->rows) : NULL;
    uint8_t *bytes = NULL;
    uint32_t size;

    if (!applied)
        return 0;
    if (service->digest && service->lineage == delta->lineage && service->sequence == delta->sequence)
        return service->digest;
    if (applied_rows_encode(applied, &bytes, &size) < 0)
        return 0;
    service->digest = digest_of_rows(bytes, size);
    service->lineage = delta->lineage;
    service->sequence = delta->sequence;
    free(bytes);
    return service->digest;
}

/* ---- waiting, and who says how rows are --------------------------------------------------------------------------------------------------- */

void peer_rows_wait(struct peer_rows *rows, uint64_t now_ms)
{
    rows->is_waiting = true;
    rows->wait_ms = now_ms;
}

bool peer_rows_are_awaited(const struct peer_rows *rows)
{
    return rows->is_waiting;
}

void peer_rows_changed(struct peer_rows *rows)
{
    rows->is_again = true;
}

static bool has_all(const struct peer_rows *rows)
{
    HASHMAP_FOREACH(node, &rows->services) {
        const struct pair_service *service = CONTAINER_OF(node, struct pair_service, by_key);

        if (service->other_digest != service->base_digest)
            return false;
    }
    return rows->has_other_round;
}

static bool has_waited(const struct peer_rows *rows, uint64_t now_ms)
{
    if (now_ms - rows->wait_ms >= (rows->is_heard ? PEER_ROWS_WAIT_MS : PEER_ROWS_UNHEARD_MS))
        return true;
    return rows->is_heard && (rows->is_first || has_all(rows));
}

bool peer_rows_tick(struct peer_rows *rows, bool is_heard, bool is_first, uint64_t now_ms)
{
    if (is_heard != rows->is_heard || is_first != rows->is_first) {
        forget_all(rows); /* The rows here stay as they are. */
        rows->is_heard = is_heard;
        rows->is_first = is_first;
        rows->is_again = true;
        rows->is_in_round = false;
    }
    if (!rows->is_waiting || !has_waited(rows, now_ms))
        return false;
    rows->is_waiting = false;
    return true;
}

bool peer_rows_base(const struct lb_key *key, struct applied_base *ret, void *context)
{
    const struct peer_rows *rows = context;
    const struct pair_service *service = rows->is_heard && !rows->is_first ? find(rows, key) : NULL;

    if (!service || !service->base)
        return false;
    *ret = (struct applied_base){service->base, service->base_size, service->base_digest};
    return true;
}

/* ---- telling ---------------------------------------------------------------------------------------------------------------------------- */

static void want(struct peer_rows *rows, struct pair_service *service, uint64_t now_ms)
{
    uint64_t digest = own_digest(rows, service);

    if (!digest || service->is_wanted || (service->pushed == digest && now_ms - service->pushed_ms < PUSH_AGAIN_MS))
        return;
    service->is_wanted = true;
    rows->n_wanted++;
}

/* Both have what the other one has said, and have other rows: servers, weights or what their checks say are others. */
static void look_for_difference(struct peer_rows *rows)
{
    const struct pair_service *different = NULL;
    size_t n = 0;

    HASHMAP_FOREACH(node, &rows->services) {
        struct pair_service *service = CONTAINER_OF(node, struct pair_service, by_key);
        uint64_t digest = own_digest(rows, service);

        if (!digest || !service->other_digest || digest == service->other_digest)
            continue;
        different = service;
        n++;
    }
    rows->n_different_rounds = n ? rows->n_different_rounds + 1 : 0;
    if (rows->n_different_rounds == DIFFERENT_ROUNDS) {
        struct virtual_service virtual = {.mark = different->key.mark, .ipv6 = different->key.ipv6, .protocol = different->key.protocol,
                                          .port = be16toh(different->key.port)};
        char text[SERVICE_TEXT_SIZE], more[40] = "";

        memcpy(virtual.address.bytes, different->key.address, 16);
        if (n > 1)
            snprintf(more, sizeof(more), " and %zu more", n - 1);
        log_warning("the other director has other rows of %s%s: its servers, weights or checks are others", virtual_service_format(&virtual, text), more);
        rows->is_said = true;
    }
    if (!n && rows->is_said) {
        log_info("the other director has the same rows");
        rows->is_said = false;
    }
}

static bool begin_round(struct peer_rows *rows, uint64_t now_ms)
{
    const struct hashmap *services = *rows->applied ? applied_services(*rows->applied) : NULL;
    size_t room = services ? services->n_nodes : 0;
    struct lb_key *keys = calloc(room + 1, sizeof(*keys));

    rows->round_ms = now_ms;
    if (!keys)
        return false;
    free(rows->round);
    rows->round = keys;
    rows->n_round = rows->next = 0;
    rows->is_again = false;
    for (size_t bucket = 0; services && bucket < services->n_buckets; bucket++)
        for (struct hashmap_node *node = services->buckets[bucket]; node; node = node->next)
            if (applied_of(rows, &CONTAINER_OF(node, struct applied_service, by_key)->key))
                keys[rows->n_round++] = CONTAINER_OF(node, struct applied_service, by_key)->key;
    rows->is_in_round = true;
    return true;
}

static void next_services(struct peer_rows *rows, struct peer_message *ret)
{
    ret->kind = PEER_SERVICES;
    ret->n_services = 0;
    ret->flags = rows->is_waiting ? PEER_LACKS_ALL : 0;
    for (; rows->next < rows->n_round && ret->n_services < PEER_SERVICES_MAX; rows->next++) {
        struct pair_service *service = find_or_add(rows, &rows->round[rows->next]);

        if (service)
            ret->services[ret->n_services++] = (struct peer_service){service->key, own_digest(rows, service), service->base_digest};
    }
    if (rows->next < rows->n_round)
        return;
    ret->flags |= PEER_ROUND_ENDS;
    rows->is_in_round = false;
    look_for_difference(rows);
}

static bool begin_push(struct peer_rows *rows)
{
    HASHMAP_FOREACH(node, &rows->services) {
        struct pair_service *service = CONTAINER_OF(node, struct pair_service, by_key);
        const struct applied_service *applied = applied_of(rows, &service->key);

        if (!service->is_wanted)
            continue;
        service->is_wanted = false;
        rows->n_wanted--;
        if (!applied || applied_rows_encode(applied, &rows->pushed, &rows->pushed_size) < 0)
            continue;
        rows->pushed_key = service->key;
        rows->pushed_digest = digest_of_rows(rows->pushed, rows->pushed_size);
        rows->offset = 0;
        return true;
    }
    return false;
}

static void next_piece(struct peer_rows *rows, struct peer_message *ret, uint64_t now_ms)
{
    struct pair_service *service;

    ret->kind = PEER_ROWS;
    ret->piece = (struct peer_piece){.service = rows->pushed_key, .digest = rows->pushed_digest, .size = rows->pushed_size, .offset = rows->offset};
    memcpy(ret->piece.bytes, rows->pushed + rows->offset, peer_piece_size(&ret->piece));
    rows->offset += PEER_PIECE;
    if (rows->offset < rows->pushed_size)
        return;
    service = find(rows, &rows->pushed_key);
    if (service) {
        service->pushed = rows->pushed_digest;
        service->pushed_ms = now_ms;
    }
    free(rows->pushed);
    rows->pushed = NULL;
}

bool peer_rows_next(struct peer_rows *rows, struct peer_message *ret, uint64_t now_ms)
{
    if (!rows->is_heard)
        return false;
    if (!rows->is_in_round && now_ms - rows->round_ms >= (rows->is_again ? ROUND_AGAIN_MS : ROUND_MS))
        begin_round(rows, now_ms);
    if (rows->is_in_round) {
        next_services(rows, ret);
        return true;
    }
    if (!rows->pushed && (!rows->is_first || !rows->n_wanted || !begin_push(rows)))
        return false;
    next_piece(rows, ret, now_ms);
    return true;
}

/* ---- hearing -------------------------------------------------------------------------------------------------------------------------- */

/* A round of the other one's is over: what was not in it for a while, it has no more. */
static void forget_untold(struct peer_rows *rows)
{
    HASHMAP_FOREACH(node, &rows->services) {
        struct pair_service *service = CONTAINER_OF(node, struct pair_service, by_key);

        if (service->n_untold < UNTOLD_ROUNDS && ++service->n_untold < UNTOLD_ROUNDS)
            continue;
        service->other_digest = service->other_taken = 0;
        drop_coming(rows, service);
        drop_base(rows, service);
        if (own_digest(rows, service))
            continue;
        rows->n_wanted -= service->is_wanted;
        hashmap_remove(&rows->services, node);
        free(service);
    }
}

static void hear_services(struct peer_rows *rows, const struct peer_message *message, uint64_t now_ms)
{
    for (size_t i = 0; i < message->n_services; i++) {
        const struct peer_service *told = &message->services[i];
        struct pair_service *service = find_or_add(rows, &told->service);
        uint64_t digest = service ? own_digest(rows, service) : 0;

        if (!service)
            continue;
        service->other_digest = told->digest;
        service->other_taken = told->taken;
        service->n_untold = 0;
        if (rows->is_first && told->digest != digest && told->taken != digest)
            want(rows, service, now_ms);
    }
    if ((message->flags & PEER_ROUND_ENDS) && !(message->flags & PEER_LACKS_ALL))
        forget_untold(rows);
    rows->has_other_round |= (message->flags & PEER_ROUND_ENDS) && !(message->flags & PEER_LACKS_ALL);
    if (!(message->flags & PEER_LACKS_ALL) || !rows->is_first || !*rows->applied)
        return;
    HASHMAP_FOREACH(node, applied_services(*rows->applied)) {
        struct pair_service *service = find_or_add(rows, &CONTAINER_OF(node, struct applied_service, by_key)->key);

        if (service)
            want(rows, service, now_ms);
    }
}

static bool begin_coming(struct peer_rows *rows, struct pair_service *service, const struct peer_piece *piece)
{
    uint32_t n_pieces = (piece->size + PEER_PIECE - 1) / PEER_PIECE;

    drop_coming(rows, service);
    if (piece->size > APPLIED_ROWS_SIZE_MAX || rows->n_bytes + piece->size > BYTES_MAX)
        return false;
    service->coming = malloc(piece->size);
    service->has_piece = calloc(n_pieces, sizeof(*service->has_piece));
    rows->n_bytes += piece->size;
    service->coming_size = piece->size;
    service->coming_digest = piece->digest;
    service->n_missing = n_pieces;
    if (service->coming && service->has_piece)
        return true;
    drop_coming(rows, service);
    return false;
}

static bool hear_piece(struct peer_rows *rows, const struct peer_piece *piece)
{
    struct pair_service *service = rows->is_first || !piece->digest ? NULL : find_or_add(rows, &piece->service);
    uint32_t number = piece->offset / PEER_PIECE;

    if (!service || service->base_digest == piece->digest)
        return false;
    if ((service->coming_digest != piece->digest || service->coming_size != piece->size) && !begin_coming(rows, service, piece))
        return false;
    if (service->has_piece[number])
        return false;
    memcpy(service->coming + piece->offset, piece->bytes, peer_piece_size(piece));
    service->has_piece[number] = true;
    if (--service->n_missing)
        return false;
    if (digest_of_rows(service->coming, service->coming_size) != service->coming_digest) {
        drop_coming(rows, service);
        return false;
    }
    drop_base(rows, service);
    service->base = TAKE_PTR(service->coming);
    service->base_size = service->coming_size;
    service->base_digest = service->coming_digest;
    rows->n_bytes += service->base_size;
    drop_coming(rows, service);
    rows->is_again = true; /* The other one is to know. */
    return !rows->is_waiting;
}

bool peer_rows_heard(struct peer_rows *rows, const struct peer_message *message, uint64_t now_ms)
{
    if (!rows->is_heard)
        return false;
    if (message->kind == PEER_ROWS)
        return hear_piece(rows, &message->piece);
    hear_services(rows, message, now_ms);
    return false;
}

enum peer_agreement peer_rows_agree(const struct peer_rows *rows, const struct lb_key *key)
{
    struct pair_service *service = rows->is_heard ? find(rows, key) : NULL;
    uint64_t digest = service ? own_digest(rows, service) : 0;

    return !digest || !service->other_digest ? PEER_UNKNOWN : digest == service->other_digest ? PEER_AGREES : PEER_DIFFERS;
}
