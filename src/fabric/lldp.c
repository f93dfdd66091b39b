#include "weft/fabric/lldp.h"

#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>

#include "weft/base/bytes.h"

#define TLV_END 0
#define TLV_CHASSIS 1
#define TLV_PORT 2
#define TLV_TTL 3
#define TLV_ORGANIZATION 127
#define ID_LOCAL 7 /* Both chassis and port id: "locally assigned". */
#define ETHERTYPE 0x88cc
#define HEADER_SIZE 14
#define OWN_SIZE (4 + 8 + 8 + 4 + 8)

static const uint8_t own_prefix[4] = {0x02, 0x77, 0x66, 1};

static void put_tlv(struct writer *writer, unsigned type, const void *bytes, size_t size)
{
    writer_u16(writer, (uint16_t)(type << 9 | size));
    writer_bytes(writer, bytes, size);
}

static void put_id(struct writer *writer, unsigned type, const char *text)
{
    char id[40] = {ID_LOCAL};
    size_t length = strlen(text);

    memcpy(id + 1, text, length);
    put_tlv(writer, type, id, length + 1);
}

size_t lldp_format(const struct lldp *lldp, const struct mac_address *mac, const uint8_t key[LLDP_KEY_SIZE], uint8_t frame[LLDP_FRAME_MAX])
{
    static const uint8_t nearest_bridge[6] = {0x01, 0x80, 0xc2, 0, 0, 0x0e}, ttl[2] = {0, 120};
    struct writer writer = writer_of(frame, LLDP_FRAME_MAX);
    uint8_t own[OWN_SIZE + crypto_shorthash_BYTES];
    char text[32];

    memcpy(own, own_prefix, 4);
    put_be64(own + 4, lldp->controller_id);
    put_be64(own + 12, lldp->datapath_id);
    put_be32(own + 20, lldp->port);
    put_be64(own + 24, lldp->sequence);
    crypto_shorthash(own + OWN_SIZE, own, OWN_SIZE, key);
    writer_bytes(&writer, nearest_bridge, 6);
    writer_bytes(&writer, mac->bytes, 6);
    writer_u16(&writer, ETHERTYPE);
    snprintf(text, sizeof(text), "dpid:%016llx", (unsigned long long)lldp->datapath_id);
    put_id(&writer, TLV_CHASSIS, text);
    snprintf(text, sizeof(text), "%u", lldp->port);
    put_id(&writer, TLV_PORT, text);
    put_tlv(&writer, TLV_TTL, ttl, sizeof(ttl));
    put_tlv(&writer, TLV_ORGANIZATION, own, sizeof(own));
    put_tlv(&writer, TLV_END, NULL, 0);
    return writer.size;
}

static int parse_own(const uint8_t *own, const uint8_t key[LLDP_KEY_SIZE], struct lldp *ret)
{
    uint8_t tag[crypto_shorthash_BYTES];

    crypto_shorthash(tag, own, OWN_SIZE, key);
    if (sodium_memcmp(tag, own + OWN_SIZE, sizeof(tag)) != 0)
        return -EACCES;
    ret->controller_id = get_be64(own + 4);
    ret->datapath_id = get_be64(own + 12);
    ret->port = get_be32(own + 20);
    ret->sequence = get_be64(own + 24);
    return 0;
}

int lldp_parse(const uint8_t *frame, size_t size, const uint8_t key[LLDP_KEY_SIZE], struct lldp *ret)
{
    struct reader reader = reader_of(frame, size);
    uint16_t head;

    if (!reader_take(&reader, HEADER_SIZE) || get_be16(frame + 12) != ETHERTYPE)
        return -EBADMSG;
    while (reader_u16(&reader, &head)) {
        unsigned type = head >> 9, length = head & 0x1ff;
        const uint8_t *bytes = reader_take(&reader, length);

        if (!bytes)
            return -EBADMSG;
        if (type == TLV_END)
            return -ENOENT;
        if (type == TLV_ORGANIZATION && length >= 4 && memcmp(bytes, own_prefix, 4) == 0)
            return length == OWN_SIZE + crypto_shorthash_BYTES ? parse_own(bytes, key, ret) : -EBADMSG;
    }
    return -EBADMSG; /* No end. */
}
