#include "weft/base/address.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "weft/base/util.h"

static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};

bool ip_is_v4(const struct ip_address *address)
{
    return memcmp(address->bytes, mapped, sizeof mapped) == 0;
}

bool ip_is_zero(const struct ip_address *address)
{
    static const uint8_t zero[16];

    return memcmp(address->bytes, zero, 16) == 0 || (ip_is_v4(address) && memcmp(address->bytes + 12, zero, 4) == 0);
}

bool ip_is_multicast(const struct ip_address *address)
{
    return ip_is_v4(address) ? (address->bytes[12] & 0xf0) == 0xe0 : address->bytes[0] == 0xff;
}

int ip_compare(const struct ip_address *a, const struct ip_address *b)
{
    return memcmp(a->bytes, b->bytes, 16);
}

bool ip_equal(const struct ip_address *a, const struct ip_address *b)
{
    return ip_compare(a, b) == 0;
}

static void store_be(uint8_t *bytes, int n, uint64_t value)
{
    for (int i = n - 1; i >= 0; i--, value >>= 8)
        bytes[i] = (uint8_t)value;
}

static uint64_t load_be(const uint8_t *bytes, int n)
{
    uint64_t value = 0;

    for (int i = 0; i < n; i++)
        value = value << 8 | bytes[i];
    return value;
}

struct ip_address ip_from_v4(uint32_t host_order)
{
    struct ip_address address;

    memcpy(address.bytes, mapped, sizeof mapped);
    store_be(address.bytes + 12, 4, host_order);
    return address;
}

uint32_t ip_to_v4(const struct ip_address *address)
{
    return ip_is_v4(address) ? (uint32_t)load_be(address->bytes + 12, 4) : 0;
}

struct ip_address ip_add(const struct ip_address *address, int64_t step)
{
    struct ip_address sum = *address;
    uint64_t high, low;

    if (ip_is_v4(address))
        return ip_from_v4(ip_to_v4(address) + (uint32_t)step);
    high = load_be(address->bytes, 8);
    low = load_be(address->bytes + 8, 8) + (uint64_t)step;
    if (step >= 0 && low < (uint64_t)step)
        high++;
    else if (step < 0 && low > UINT64_MAX - (0 - (uint64_t)step))
        high--;
    store_be(sum.bytes, 8, high);
    store_be(sum.bytes + 8, 8, low);
    return sum;
}

uint64_t ip_distance(const struct ip_address *a, const struct ip_address *b)
{
    uint64_t a_high = load_be(a->bytes, 8), a_low = load_be(a->bytes + 8, 8);
    uint64_t b_high = load_be(b->bytes, 8), b_low = load_be(b->bytes + 8, 8);

    if (ip_compare(b, a) < 0)
        return 0;
    if (b_high - a_high - (b_low < a_low) > 0)
        return UINT64_MAX;
    return b_low - a_low;
}

int ip_parse(const char *text, struct ip_address *ret)
{
    struct in_addr v4;

    if (inet_pton(AF_INET, text, &v4) == 1) {
        *ret = ip_from_v4(ntohl(v4.s_addr));
        return 0;
    }
    return inet_pton(AF_INET6, text, ret->bytes) == 1 ? 0 : -EINVAL;
}

const char *ip_format(const struct ip_address *address, char text[IP_TEXT_SIZE])
{
    if (ip_is_v4(address))
        inet_ntop(AF_INET, address->bytes + 12, text, IP_TEXT_SIZE);
    else
        inet_ntop(AF_INET6, address->bytes, text, IP_TEXT_SIZE);
    return text;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

int mac_parse(const char *text, struct mac_address *ret)
{
    struct mac_address mac;

    if (strlen(text) != MAC_TEXT_SIZE - 1)
        return -EINVAL;
    for (int i = 0; i < 6; i++) {
        int high = hex_digit(text[3 * i]), low = hex_digit(text[3 * i + 1]);

        if (high < 0 || low < 0 || (i < 5 && text[3 * i + 2] != ':'))
            return -EINVAL;
        mac.bytes[i] = (uint8_t)(high << 4 | low);
    }
    *ret = mac;
    return 0;
}

const char *mac_format(const struct mac_address *mac, char text[MAC_TEXT_SIZE])
{
    const uint8_t *b = mac->bytes;

    snprintf(text, MAC_TEXT_SIZE, "%02x:%02x:%02x:%02x:%02x:%02x", b[0], b[1], b[2], b[3], b[4], b[5]);
    return text;
}

int prefix_bits(const struct ip_prefix *prefix)
{
    return ip_is_v4(&prefix->address) ? 96 + prefix->length : prefix->length;
}

/* The address with all bits behind the first 'bits' set to 'ones'. */
static struct ip_address fill(const struct ip_address *address, int bits, bool ones)
{
    struct ip_address filled = *address;

    for (int i = 0; i < 16; i++) {
        int keep = MIN(MAX(bits - 8 * i, 0), 8);
        uint8_t rest = (uint8_t)(0xff >> keep);

        filled.bytes[i] = ones ? filled.bytes[i] | rest : filled.bytes[i] & (uint8_t)~rest;
    }
    return filled;
}

/* Of an IPv6 prefix: whether the IPv4-mapped addresses are in it. */
static bool holds_mapped(const struct ip_prefix *prefix)
{
    struct ip_address v4 = ip_from_v4(0), a = fill(&v4, prefix->length, false),
                      b = fill(&prefix->address, prefix->length, false);

    return prefix->length < 96 && ip_equal(&a, &b);
}

static int parse_prefix(const char *text, bool host, struct ip_prefix *ret)
{
    const char *slash = strchr(text, '/');
    char address[IP_TEXT_SIZE];
    struct ip_prefix prefix;
    struct ip_address first;
    uint64_t length;
    int r, maximum;

    if (!slash && !host)
        return -EINVAL;
    if (slash && (size_t)(slash - text) >= sizeof address)
        return -EINVAL;
    if (!slash && strlen(text) >= sizeof address)
        return -EINVAL;
    snprintf(address, sizeof address, "%.*s", slash ? (int)(slash - text) : (int)strlen(text), text);
    r = ip_parse(address, &prefix.address);
    if (r < 0)
        return r;
    maximum = ip_is_v4(&prefix.address) ? 32 : 128;
    length = (uint64_t)maximum;
    if (slash && parse_u64(slash + 1, 0, (uint64_t)maximum, &length) < 0)
        return -EINVAL;
    prefix.length = (uint8_t)length;
    if (maximum == 128 && length > 0 && holds_mapped(&prefix))
        return -EINVAL;
    first = fill(&prefix.address, prefix_bits(&prefix), false);
    if (!host && !ip_equal(&first, &prefix.address))
        return -ERANGE;
    prefix.address = first;
    *ret = prefix;
    return 0;
}

int prefix_parse(const char *text, struct ip_prefix *ret)
{
    return parse_prefix(text, false, ret);
}

int prefix_parse_host(const char *text, struct ip_prefix *ret)
{
    return parse_prefix(text, true, ret);
}

const char *prefix_format(const struct ip_prefix *prefix, char text[PREFIX_TEXT_SIZE])
{
    char address[IP_TEXT_SIZE];

    snprintf(text, PREFIX_TEXT_SIZE, "%s/%u", ip_format(&prefix->address, address), prefix->length);
    return text;
}

struct ip_address prefix_first(const struct ip_prefix *prefix)
{
    return fill(&prefix->address, prefix_bits(prefix), false);
}

struct ip_address prefix_last(const struct ip_prefix *prefix)
{
    return fill(&prefix->address, prefix_bits(prefix), true);
}

bool prefix_contains(const struct ip_prefix *prefix, const struct ip_address *address)
{
    struct ip_address first = fill(address, prefix_bits(prefix), false);

    /* An IPv6 prefix shorter than /96 would otherwise take mapped IPv4 in. */
    return ip_is_v4(address) == ip_is_v4(&prefix->address) && ip_equal(&first, &prefix->address);
}

bool prefix_overlaps(const struct ip_prefix *a, const struct ip_prefix *b)
{
    return prefix_contains(a, &b->address) || prefix_contains(b, &a->address);
}

bool mac_is_multicast(const struct mac_address *mac)
{
    return mac->bytes[0] & 1;
}

bool mac_equal(const struct mac_address *a, const struct mac_address *b)
{
    return memcmp(a->bytes, b->bytes, 6) == 0;
}

struct ip_address ip_from_eui64(const struct ip_prefix *prefix, const struct mac_address *mac)
{
    struct ip_address address = prefix->address;
    const uint8_t *m = mac->bytes;
    const uint8_t identifier[8] = {m[0] ^ 2, m[1], m[2], 0xff, 0xfe, m[3], m[4], m[5]};

    memcpy(address.bytes + 8, identifier, 8);
    return address;
}
