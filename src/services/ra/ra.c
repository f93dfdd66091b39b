/* Router advertisements; see ra.h. */
#include "weft/services/ra/ra.h"

#include <errno.h>

#include "weft/base/util.h"
#include "weft/services/packet.h"

#define TYPE_SOLICITATION 133
#define TYPE_ADVERTISEMENT 134

enum {
    OPTION_SOURCE_LINK_LAYER = 1,
    OPTION_PREFIX = 3,
    OPTION_MTU = 5,
    OPTION_RDNSS = 25,
    OPTION_DNSSL = 31,
};

#define LIFETIME_S (3 * RA_INTERVAL_S)
/* Longer than a day without any advertisement is a network that is gone. */
#define PREFIX_VALID_S 86400u
#define PREFIX_PREFERRED_S 14400u

/* RFC 4861, 6.1.1. */
static int check_solicitation(const struct frame *frame)
{
    struct reader message = frame->payload;
    const uint8_t *header = reader_take(&message, 4);
    if (frame->protocol != PROTOCOL_ICMPV6 || !header || header[0] != TYPE_SOLICITATION)
        return -EPROTONOSUPPORT;
    if (frame->hop_limit != 255 || header[1] != 0 || !reader_take(&message, 4))
        return -EBADMSG;
    uint8_t type, units;
    while (reader_left(&message) > 0) {
        if (!reader_u8(&message, &type) || !reader_u8(&message, &units) || units == 0 ||
            !reader_take(&message, units * 8u - 2))
            return -EBADMSG;
        if (type == OPTION_SOURCE_LINK_LAYER && ip_is_zero(&frame->source))
            return -EBADMSG;
    }
    return ip_is_multicast(&frame->source) ? -EBADMSG : 0;
}

static void put_prefix(struct writer *writer, const struct ra_prefix *prefix)
{
    writer_u8(writer, OPTION_PREFIX);
    writer_u8(writer, 4);
    writer_u8(writer, prefix->prefix.length);
    writer_u8(writer, 0x80 | (prefix->autonomous ? 0x40 : 0)); /* L, A */
    writer_u32(writer, PREFIX_VALID_S);
    writer_u32(writer, PREFIX_PREFERRED_S);
    writer_u32(writer, 0);
    writer_bytes(writer, prefix->prefix.address.bytes, 16);
}

static void put_dnssl(struct writer *writer, const char *domain)
{
    uint8_t name[256];
    struct writer labels = writer_of(name, sizeof(name));
    if (writer_domain(&labels, domain) < 0)
        return;
    size_t padded = (labels.size + 7) / 8 * 8;
    writer_u8(writer, OPTION_DNSSL);
    writer_u8(writer, (uint8_t)(1 + padded / 8));
    writer_u16(writer, 0);
    writer_u32(writer, LIFETIME_S);
    writer_bytes(writer, name, labels.size);
    writer_take(writer, padded - labels.size);
}

static int build(const struct ra_config *config, const struct mac_address *mac, const struct ip_address *destination,
                 void *bytes, size_t capacity)
{
    struct writer writer = writer_of(bytes, capacity);
    struct frame headers = {
        .source_mac = config->server_mac,
        .destination_mac = *mac,
        .source = config->source,
        .destination = *destination,
        .protocol = PROTOCOL_ICMPV6,
        .hop_limit = 255,
    };
    frame_begin(&writer, &headers);
    writer_u8(&writer, TYPE_ADVERTISEMENT);
    writer_u8(&writer, 0);
    writer_u16(&writer, 0);
    writer_u8(&writer, 64); /* Current hop limit. */
    writer_u8(&writer, (config->managed ? 0x80 : 0) | (config->other ? 0x40 : 0));
    writer_u16(&writer, config->has_gateway ? LIFETIME_S : 0);
    writer_u32(&writer, 0); /* Reachable and retransmission time: not specified. */
    writer_u32(&writer, 0);
    if (config->has_gateway) {
        writer_u8(&writer, OPTION_SOURCE_LINK_LAYER);
        writer_u8(&writer, 1);
        writer_bytes(&writer, config->gateway_mac.bytes, 6);
    }
    if (config->mtu >= 1280) { /* Less is no IPv6 link (RFC 8200, 5). */
        writer_u8(&writer, OPTION_MTU);
        writer_u8(&writer, 1);
        writer_u16(&writer, 0);
        writer_u32(&writer, config->mtu);
    }
    for (size_t i = 0; i < config->n_prefixes; i++)
        put_prefix(&writer, &config->prefixes[i]);
    if (config->n_dns_servers > 0) {
        writer_u8(&writer, OPTION_RDNSS);
        writer_u8(&writer, (uint8_t)(1 + 2 * config->n_dns_servers));
        writer_u16(&writer, 0);
        writer_u32(&writer, LIFETIME_S);
        writer_bytes(&writer, config->dns_servers, 16 * config->n_dns_servers);
    }
    if (config->domain)
        put_dnssl(&writer, config->domain);
    return frame_end(&writer);
}

static const struct mac_address all_nodes_mac = {{0x33, 0x33, 0, 0, 0, 1}};
static const struct ip_address all_nodes = {{0xff, 0x02, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}};

int ra_respond(const struct ra_config *config, const void *request, size_t size, void *reply, size_t capacity)
{
    struct frame frame;
    int error = frame_parse(request, size, &frame);
    if (error == 0)
        error = check_solicitation(&frame);
    if (error < 0)
        return error;
    if (!config->enabled)
        return -EADDRNOTAVAIL;
    if (ip_is_zero(&frame.source))
        return build(config, &all_nodes_mac, &all_nodes, reply, capacity);
    return build(config, &frame.source_mac, &frame.source, reply, capacity);
}

int ra_withdraw(const struct ra_config *config, const struct ip_address *former, void *frame, size_t capacity)
{
    struct ra_config nothing = {.mac = config->mac,
                                .server_mac = config->server_mac,
                                .source = *former,
                                .managed = config->managed,
                                .other = config->other};
    return build(&nothing, &all_nodes_mac, &all_nodes, frame, capacity);
}

int ra_advertise(const struct ra_config *config, void *frame, size_t capacity)
{
    if (!config->enabled)
        return -EADDRNOTAVAIL;
    return build(config, &all_nodes_mac, &all_nodes, frame, capacity);
}
