/* The hash of a flow; see flow-hash.h.
 *
 * SipHash-1-3 (Aumasson and Bernstein, "SipHash: a fast short-input PRF", 2012, with 1 and 3 rounds) over as few 64-bit
 * words as the flow needs: two with IPv4, five with IPv6, three without IP.  What a word holds depends on the kind of
 * flow, so the last one says which it is. */
#include "weft/fabric/paths/flow-hash.h"

#include <endian.h>
#include <string.h>

#define PROTOCOL_ICMP 1
#define PROTOCOL_ICMPV6 58

enum flow_kind { FLOW_IPV4 = 1, FLOW_IPV6, FLOW_MAC };

struct sip {
    uint64_t v0, v1, v2, v3;
};

static inline uint64_t rotate(uint64_t x, int by)
{
    return x << by | x >> (64 - by);
}

static inline void sip_round(struct sip *s)
{
    s->v0 += s->v1;
    s->v2 += s->v3;
    s->v1 = rotate(s->v1, 13) ^ s->v0;
    s->v3 = rotate(s->v3, 16) ^ s->v2;
    s->v0 = rotate(s->v0, 32);
    s->v2 += s->v1;
    s->v0 += s->v3;
    s->v1 = rotate(s->v1, 17) ^ s->v2;
    s->v3 = rotate(s->v3, 21) ^ s->v0;
    s->v2 = rotate(s->v2, 32);
}

static inline void sip_word(struct sip *s, uint64_t word)
{
    s->v3 ^= word;
    sip_round(s);
    s->v0 ^= word;
}

static inline struct sip sip_begin(uint64_t seed)
{
    uint64_t k0 = seed, k1 = ~rotate(seed, 32) * 0x9e3779b97f4a7c15u; /* 128 bits of key from 64. */

    return (struct sip){k0 ^ 0x736f6d6570736575u, k1 ^ 0x646f72616e646f6du, k0 ^ 0x6c7967656e657261u,
                        k1 ^ 0x7465646279746573u};
}

static inline uint32_t sip_end(struct sip *s)
{
    uint64_t word;

    s->v2 ^= 0xff;
    sip_round(s);
    sip_round(s);
    sip_round(s);
    word = s->v0 ^ s->v1 ^ s->v2 ^ s->v3;
    return (uint32_t)(word ^ word >> 32);
}

/* Words are little-endian on every machine. */
static inline uint64_t load64(const uint8_t *bytes)
{
    uint64_t word;

    memcpy(&word, bytes, 8);
    return le64toh(word);
}

static inline uint32_t load32(const uint8_t *bytes)
{
    uint32_t word;

    memcpy(&word, bytes, 4);
    return le32toh(word);
}

static inline uint64_t load_mac(const struct mac_address *mac)
{
    return (uint64_t)mac->bytes[4] << 32 | (uint64_t)mac->bytes[5] << 40 | load32(mac->bytes);
}

/* An IPv4-mapped address begins with ten bytes of 0 and two of ff. */
static inline bool is_v4(uint64_t first, uint64_t second)
{
    return first == 0 && (uint32_t)second == 0xffff0000u;
}

static uint32_t hash_macs(const struct flow_tuple *tuple, uint64_t seed, bool symmetric)
{
    uint64_t a = load_mac(&tuple->source_mac), b = load_mac(&tuple->destination_mac);
    struct sip s = sip_begin(seed);

    if (symmetric && a > b) {
        uint64_t swap = a;

        a = b;
        b = swap;
    }
    sip_word(&s, a);
    sip_word(&s, b);
    sip_word(&s, tuple->ethertype | (uint64_t)tuple->vlan << 16 | (uint64_t)FLOW_MAC << 56);
    return sip_end(&s);
}

uint32_t flow_hash(const struct flow_tuple *tuple, uint64_t seed, bool symmetric)
{
    uint64_t a0 = load64(tuple->source.bytes), a1 = load64(tuple->source.bytes + 8);
    uint64_t b0 = load64(tuple->destination.bytes), b1 = load64(tuple->destination.bytes + 8);
    uint32_t a_port = tuple->source_port, b_port = tuple->destination_port;
    uint64_t last;
    struct sip s;

    if ((a0 | a1 | b0 | b1) == 0)
        return hash_macs(tuple, seed, symmetric);
    if (tuple->is_fragment || (symmetric && (tuple->protocol == PROTOCOL_ICMP || tuple->protocol == PROTOCOL_ICMPV6)))
        a_port = b_port = 0;
    if (symmetric && (a0 != b0 ? a0 > b0 : a1 != b1 ? a1 > b1 : a_port > b_port)) {
        uint64_t swap0 = a0, swap1 = a1;
        uint32_t swap_port = a_port;

        a0 = b0;
        a1 = b1;
        a_port = b_port;
        b0 = swap0;
        b1 = swap1;
        b_port = swap_port;
    }
    last = a_port | b_port << 16 | (uint64_t)tuple->protocol << 32;
    s = sip_begin(seed);
    if (is_v4(a0, a1) && is_v4(b0, b1)) {
        sip_word(&s, a1 >> 32 | (b1 >> 32) << 32);
        sip_word(&s, last | (uint64_t)FLOW_IPV4 << 56);
    } else {
        sip_word(&s, a0);
        sip_word(&s, a1);
        sip_word(&s, b0);
        sip_word(&s, b1);
        sip_word(&s, last | (uint64_t)FLOW_IPV6 << 56);
    }
    return sip_end(&s);
}
