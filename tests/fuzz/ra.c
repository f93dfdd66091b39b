/* Router solicitations, ICMP errors, resets and fragments, of any frame.  The first byte chooses the configuration.
 *
 * An ICMPv6 checksum is a wall for random changes, so it is filled in here. */
#include <stdlib.h>
#include <string.h>

#include "weft/services/icmp/error.h"
#include "weft/services/ip/fragment.h"
#include "weft/services/ip/reset.h"
#include "weft/services/packet.h"
#include "weft/services/ra/ra.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* frame_end() does it on a copy that begins with the same headers. */
static void fill_in_checksum(uint8_t *frame, size_t size)
{
    if (size < 62 || size > 2000 || frame[12] != 0x86 || frame[13] != 0xdd || frame[14] >> 4 != 6 ||
        frame[20] != PROTOCOL_ICMPV6)
        return;
    frame[56] = frame[57] = 0;
    struct writer writer = {.data = frame, .size = size, .capacity = size};
    if (frame_end(&writer) < 0)
        abort();
}

/* Together they have the packet's bytes, each once. */
static void check_fragments(const uint8_t *bytes, size_t size, uint16_t mtu)
{
    uint8_t piece[2000];
    size_t sum = 0, whole = size < 34 ? 0 : (size_t)(bytes[16] << 8 | bytes[17]) - (bytes[14] & 15) * 4u;
    int result;

    for (unsigned i = 0; (result = ipv4_fragment(bytes, size, mtu, i, piece, sizeof(piece))) > 0; i++) {
        if (result > 14 + mtu)
            abort();
        sum += (size_t)result - 14 - (piece[14] & 15) * 4u;
    }
    if (result == 0 && sum != whole)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t reply[RA_FRAME_MAX];
    struct frame frame;
    if (size < 1)
        return 0;
    struct ra_config config = {
        .mac = {{0xfa, 0x16, 0x3e, 0, 0, 5}},
        .server_mac = {{0xfa, 0x16, 0x3f, 0, 0, 1}},
        .source = {{0xfe, 0x80, [15] = 1}},
        .enabled = data[0] != 0xff,
        .managed = data[0] & 1,
        .other = data[0] & 2,
        .has_gateway = data[0] & 4,
        .mtu = data[0] & 8 ? 1450 : 0,
        .n_prefixes = data[0] & 16 ? 2 : 0,
        .n_dns_servers = data[0] & 32 ? 2 : 0,
        .domain = data[0] & 64 ? "example.org" : NULL,
    };
    uint8_t *copy =
        malloc(size); /* One byte more than the frame; it starts at the block's second byte, so overruns show. */
    if (!copy)
        return 0;
    memcpy(copy, data, size);

    struct icmp_error error = {.kind = data[0] % 3, .code = data[0] / 3 % 4, .mtu = 1450, .source_mac = config.server_mac,
                               .hops = data[0] / 12 % 9};
    int result = icmp_error_reply(&error, copy + 1, size - 1, reply, sizeof(reply));
    if (result > 0 && (result < 14 + 20 + 8 + 20 || result > ICMP_ERROR_MAX))
        abort();
    result = tcp_reset_reply(copy + 1, size - 1, error.hops, reply, sizeof(reply));
    if (result > TCP_RESET_MAX)
        abort();
    check_fragments(copy + 1, size - 1, 68 + data[0] * 4);
    fill_in_checksum(copy + 1, size - 1);
    result = ra_respond(&config, copy + 1, size - 1, reply, sizeof(reply));
    if (result > 0 && (frame_parse(reply, (size_t)result, &frame) < 0 || frame.hop_limit != 255))
        abort();
    result = ra_advertise(&config, reply, sizeof(reply));
    if (config.enabled && frame_parse(reply, (size_t)result, &frame) < 0)
        abort();
    if (ra_withdraw(&config, &config.source, reply, sizeof(reply)) != 14 + 40 + 16)
        abort();
    free(copy);
    return 0;
}
