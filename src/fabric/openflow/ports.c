/* Descriptions of ports and their counters (OpenFlow 1.0.0, 5.2.1 and 5.3.5; 1.3.5, 7.2.1 and 7.3.5.6). */
#include <string.h>

#include "weft/fabric/openflow/wire.h"

#define CONFIG_BITS (OFPPC_PORT_DOWN | OFPPC_NO_RECV | OFPPC_NO_FWD | OFPPC_NO_PACKET_IN)
#define STATE_BITS (OFPPS_LINK_DOWN | OFPPS_BLOCKED | OFPPS_LIVE)
#define STP_BLOCK (3u << 8) /* OFPPS_STP_BLOCK, a value of two bits. */

/* The rates up to 10 Gbit/s have the same bits; what follows them moved up by four. */
uint32_t of_features_from10(uint32_t features)
{
    return (features & 0x7f) | (features & 0xf80) << 4;
}

uint32_t of_features_to10(uint32_t features)
{
    return (features & 0x7f) | (features >> 4 & 0xf80);
}

static uint32_t fastest_kbps(uint32_t features)
{
    static const uint32_t kbps[] = {10000, 10000, 100000, 100000, 1000000, 1000000, 10000000};
    uint32_t fastest = 0;
    for (size_t i = 0; i < ARRAY_SIZE(kbps); i++)
        if (features & 1u << i)
            fastest = kbps[i];
    return fastest;
}

static void decode_name(const uint8_t wire[16], char ret[17])
{
    memset(ret, 0, 17);
    for (size_t i = 0; i < 16 && wire[i]; i++)
        ret[i] = wire[i] >= 0x20 && wire[i] < 0x7f ? (char)wire[i] : '?';
}

static void decode10(const uint8_t *wire, struct of_port *ret)
{
    uint32_t state = get_be32(wire + 28);
    ret->number = of_port_from10(get_be16(wire));
    memcpy(ret->mac.bytes, wire + 2, 6);
    decode_name(wire + 8, ret->name);
    ret->config = get_be32(wire + 24) & CONFIG_BITS;
    ret->state = (state & OFPPS_LINK_DOWN) | ((state & STP_BLOCK) == STP_BLOCK ? OFPPS_BLOCKED : 0);
    ret->current = of_features_from10(get_be32(wire + 32));
    ret->advertised = of_features_from10(get_be32(wire + 36));
    ret->supported = of_features_from10(get_be32(wire + 40));
    ret->peer = of_features_from10(get_be32(wire + 44));
    ret->current_kbps = fastest_kbps(ret->current);
    ret->maximum_kbps = fastest_kbps(ret->supported);
}

static void decode13(const uint8_t *wire, struct of_port *ret)
{
    ret->number = get_be32(wire);
    memcpy(ret->mac.bytes, wire + 8, 6);
    decode_name(wire + 16, ret->name);
    ret->config = get_be32(wire + 32) & CONFIG_BITS;
    ret->state = get_be32(wire + 36) & STATE_BITS;
    ret->current = get_be32(wire + 40);
    ret->advertised = get_be32(wire + 44);
    ret->supported = get_be32(wire + 48);
    ret->peer = get_be32(wire + 52);
    ret->current_kbps = get_be32(wire + 56);
    ret->maximum_kbps = get_be32(wire + 60);
}

void of_port_decode(enum of_version version, const uint8_t *wire, struct of_port *ret)
{
    if (version == OF10)
        decode10(wire, ret);
    else
        decode13(wire, ret);
}

int of_port_next(enum of_version version, struct of_bytes *list, struct of_port *ret)
{
    size_t size = version == OF10 ? OF10_PORT_SIZE : OF13_PORT_SIZE;
    if (list->size < size)
        return list->size ? -EBADMSG : 0;
    of_port_decode(version, list->data, ret);
    *list = of_bytes_of(list->data + size, list->size - size);
    return 1;
}

static int encode10(struct writer *list, const struct of_port *port)
{
    uint16_t number;
    int r = of_port_to10(port->number, &number);
    uint8_t *at = r < 0 ? NULL : writer_take(list, OF10_PORT_SIZE);
    if (!at)
        return r < 0 ? r : -ENOBUFS;
    put_be16(at, number);
    memcpy(at + 2, port->mac.bytes, 6);
    memcpy(at + 8, port->name, strnlen(port->name, 16));
    put_be32(at + 24, port->config & CONFIG_BITS);
    put_be32(at + 28, (port->state & OFPPS_LINK_DOWN) | (port->state & OFPPS_BLOCKED ? STP_BLOCK : 0));
    put_be32(at + 32, of_features_to10(port->current));
    put_be32(at + 36, of_features_to10(port->advertised));
    put_be32(at + 40, of_features_to10(port->supported));
    put_be32(at + 44, of_features_to10(port->peer));
    return 0;
}

int of_port_put(enum of_version version, struct writer *list, const struct of_port *port)
{
    if (version == OF10)
        return encode10(list, port);
    uint8_t *at = writer_take(list, OF13_PORT_SIZE);
    if (!at)
        return -ENOBUFS;
    put_be32(at, port->number);
    memcpy(at + 8, port->mac.bytes, 6);
    memcpy(at + 16, port->name, strnlen(port->name, 16));
    put_be32(at + 32, port->config & CONFIG_BITS);
    put_be32(at + 36, port->state & STATE_BITS);
    put_be32(at + 40, port->current);
    put_be32(at + 44, port->advertised);
    put_be32(at + 48, port->supported);
    put_be32(at + 52, port->peer);
    put_be32(at + 56, port->current_kbps);
    put_be32(at + 60, port->maximum_kbps);
    return 0;
}

/* ---- counters -------------------------------------------------------------------------------------------------- */

/* Twelve counters in one order behind 8 bytes with the port's number; 1.3 adds the time that they count. */
#define COUNTERS_SIZE (8 + 12 * 8)

static void decode_counters(const uint8_t *at, struct of_port_stats *ret)
{
    ret->rx_packets = get_be64(at);
    ret->tx_packets = get_be64(at + 8);
    ret->rx_bytes = get_be64(at + 16);
    ret->tx_bytes = get_be64(at + 24);
    ret->rx_dropped = get_be64(at + 32);
    ret->tx_dropped = get_be64(at + 40);
    ret->rx_errors = get_be64(at + 48);
    ret->tx_errors = get_be64(at + 56);
    ret->rx_frame_errors = get_be64(at + 64);
    ret->rx_overruns = get_be64(at + 72);
    ret->rx_crc_errors = get_be64(at + 80);
    ret->collisions = get_be64(at + 88);
}

static void encode_counters(uint8_t *at, const struct of_port_stats *stats)
{
    put_be64(at, stats->rx_packets);
    put_be64(at + 8, stats->tx_packets);
    put_be64(at + 16, stats->rx_bytes);
    put_be64(at + 24, stats->tx_bytes);
    put_be64(at + 32, stats->rx_dropped);
    put_be64(at + 40, stats->tx_dropped);
    put_be64(at + 48, stats->rx_errors);
    put_be64(at + 56, stats->tx_errors);
    put_be64(at + 64, stats->rx_frame_errors);
    put_be64(at + 72, stats->rx_overruns);
    put_be64(at + 80, stats->rx_crc_errors);
    put_be64(at + 88, stats->collisions);
}

int of_port_stats_next(enum of_version version, struct of_bytes *list, struct of_port_stats *ret)
{
    size_t size = version == OF10 ? COUNTERS_SIZE : COUNTERS_SIZE + 8;
    if (list->size < size)
        return list->size ? -EBADMSG : 0;
    ret->number = version == OF10 ? of_port_from10(get_be16(list->data)) : get_be32(list->data);
    decode_counters(list->data + 8, ret);
    ret->duration_s = version == OF10 ? 0 : get_be32(list->data + COUNTERS_SIZE);
    *list = of_bytes_of(list->data + size, list->size - size);
    return 1;
}

int of_port_stats_put(enum of_version version, struct writer *list, const struct of_port_stats *stats)
{
    uint16_t number = 0;
    int r = version == OF10 ? of_port_to10(stats->number, &number) : 0;
    if (r < 0)
        return r;
    uint8_t *at = writer_take(list, version == OF10 ? COUNTERS_SIZE : COUNTERS_SIZE + 8);
    if (!at)
        return -ENOBUFS;
    encode_counters(at + 8, stats);
    if (version == OF10) {
        put_be16(at, number);
    } else {
        put_be32(at, stats->number);
        put_be32(at + COUNTERS_SIZE, stats->duration_s);
    }
    return 0;
}
