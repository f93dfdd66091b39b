/* Router solicitations and packets that are too big, under any frame.  The first byte chooses the configuration.
 *
 * An ICMPv6 checksum is a wall for random changes, so it is filled in here. */
#include <stdlib.h>
#include <string.h>

#include "weft/services/icmp/too_big.h"
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

    int result = too_big_reply(&config.server_mac, 1450, copy + 1, size - 1, reply, sizeof(reply));
    if (result > 0 && (result < 14 + 20 + 8 + 20 || result > TOO_BIG_REPLY_MAX))
        abort();
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
