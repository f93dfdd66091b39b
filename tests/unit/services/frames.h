/* Frames for tests, made byte by byte and without the code under test, and a look into replies. */
#ifndef WEFT_TESTS_SERVICES_FRAMES_H
#define WEFT_TESTS_SERVICES_FRAMES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "weft/base/address.h"

struct bytes {
    uint8_t data[2048];
    size_t size;
};

void add(struct bytes *bytes, const void *data, size_t size);
void add8(struct bytes *bytes, unsigned value);
void add16(struct bytes *bytes, unsigned value);
void add32(struct bytes *bytes, uint32_t value);
void add_hex(struct bytes *bytes, const char *hex); /* "01 02ab": blanks are skipped. */
void add_ip(struct bytes *bytes, const char *address); /* 4 or 16 bytes. */

struct mac_address mac(const char *text);
struct ip_address ip(const char *text);
struct ip_prefix prefix(const char *text);

/* 'message' in UDP in IP in Ethernet. */
struct bytes udp_frame(const char *source_mac, const char *source, unsigned source_port, const char *destination,
                       unsigned destination_port, const struct bytes *message);
/* An ICMPv6 message, its checksum filled in. */
struct bytes icmp6_frame(const char *source_mac, const char *source, const char *destination, unsigned hop_limit,
                         const struct bytes *message);

/* The frame in a heap block of exactly its size, so that a read past its end is seen by ASan; the caller frees it. */
uint8_t *exact(const uint8_t *data, size_t size);

/* Whether the reply's IP header, lengths and checksums are right; the message behind UDP (or the ICMPv6 message) in '*ret'. */
bool frame_is_sound(const uint8_t *frame, size_t size, const uint8_t **ret_message, size_t *ret_size);

#endif
