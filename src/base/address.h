/* MAC and IP addresses, and prefixes: parsing, formatting, comparing.
 *
 * An IP address is always 16 bytes; IPv4 is held in its IPv4-mapped form ::ffff:a.b.c.d (RFC 4291, 2.5.5.2), so
 * that tables and keys have one shape for both families.  Formatting follows RFC 5952. */
#ifndef WEFT_BASE_ADDRESS_H
#define WEFT_BASE_ADDRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MAC_TEXT_SIZE 18     /* "aa:bb:cc:dd:ee:ff" and its end. */
#define IP_TEXT_SIZE 46      /* INET6_ADDRSTRLEN. */
#define PREFIX_TEXT_SIZE 50  /* An address, "/128" and the end. */

struct mac_address {
    uint8_t bytes[6];
};

struct ip_address {
    uint8_t bytes[16]; /* Network order. */
};

struct ip_prefix {
    struct ip_address address; /* Bits behind the length are zero. */
    uint8_t length;            /* 0..32 for IPv4, 0..128 for IPv6: as a person writes it. */
};

bool ip_is_v4(const struct ip_address *address);
bool ip_is_zero(const struct ip_address *address); /* 0.0.0.0 or :: */
bool ip_is_multicast(const struct ip_address *address);
int ip_compare(const struct ip_address *a, const struct ip_address *b); /* As memcmp. */
bool ip_equal(const struct ip_address *a, const struct ip_address *b);
struct ip_address ip_from_v4(uint32_t host_order);
uint32_t ip_to_v4(const struct ip_address *address); /* Host order; 0 unless IPv4. */

/* Adds a signed step; wraps within the family's space. */
struct ip_address ip_add(const struct ip_address *address, int64_t step);

/* b - a, saturated at UINT64_MAX; 0 when b < a. */
uint64_t ip_distance(const struct ip_address *a, const struct ip_address *b);

/* All parsers accept exactly one whole address and return 0 or -EINVAL; '*ret' is untouched on failure. */
int ip_parse(const char *text, struct ip_address *ret);
int mac_parse(const char *text, struct mac_address *ret);        /* aa:bb:cc:dd:ee:ff, either case. */

/* An IPv6 prefix shorter than /96 with the IPv4-mapped range ::ffff:0:0/96 within it would hold addresses of both families: ::/1 to
 * ::/80, and ::8000:0:0/81 to ::fffe:0:0/95, are refused with -EINVAL.  ::/0 is "any IPv6 address". */
int prefix_parse(const char *text, struct ip_prefix *ret);       /* Needs "/length"; host bits must be zero: else -ERANGE. */
int prefix_parse_host(const char *text, struct ip_prefix *ret);  /* A bare address is a full-length prefix; host bits are kept out. */

/* Write the canonical text and return 'text'. */
const char *ip_format(const struct ip_address *address, char text[IP_TEXT_SIZE]);
const char *mac_format(const struct mac_address *mac, char text[MAC_TEXT_SIZE]);
const char *prefix_format(const struct ip_prefix *prefix, char text[PREFIX_TEXT_SIZE]);

bool prefix_contains(const struct ip_prefix *prefix, const struct ip_address *address);
bool prefix_overlaps(const struct ip_prefix *a, const struct ip_prefix *b);
struct ip_address prefix_first(const struct ip_prefix *prefix); /* The network address. */
struct ip_address prefix_last(const struct ip_prefix *prefix);  /* All host bits one. */
int prefix_bits(const struct ip_prefix *prefix);                /* Length counted in 128 bits: IPv4 adds 96. */

bool mac_is_multicast(const struct mac_address *mac); /* Broadcast included. */
bool mac_equal(const struct mac_address *a, const struct mac_address *b);

/* The modified EUI-64 address of 'mac' in a /64 (RFC 4291, appendix A). */
struct ip_address ip_from_eui64(const struct ip_prefix *prefix, const struct mac_address *mac);

#endif
