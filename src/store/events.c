/* A transaction's events as the bytes of a log row.  See events.h. */
#include "weft/store/events.h"

#include <endian.h>
#include <errno.h>
#include <string.h>

/* Little-endian; key and value follow, each with a terminating 0. */
struct event_header {
    uint32_t key_size, value_size;
    uint64_t create_revision;
};

#define DELETED UINT32_MAX

int events_encode(const struct store_transaction *transaction, struct buffer *buffer)
{
    int r = 0;

    for (size_t i = 0; i < transaction->n_writes && r == 0; i++) {
        const struct store_write *write = transaction->writes[i];
        const struct store_item *item = &write->item;
        struct event_header header = {htole32(item->key_size), htole32(item->value ? item->value_size : DELETED),
                                      htole64(item->create_revision)};

        if (!write->changed)
            continue;
        r = buffer_append(buffer, &header, sizeof header);
        if (r == 0)
            r = buffer_append(buffer, item->key, item->key_size + 1);
        if (r == 0)
            r = buffer_append(buffer, item->value ? item->value : "", item->value_size + 1);
    }
    return r;
}

/* Decodes one event at 'offset'; returns the offset behind it, or 0 when it does not fit. */
static size_t decode_one(const char *bytes, size_t size, size_t offset, uint64_t revision, struct store_item *item)
{
    struct event_header header;

    if (size - offset < sizeof header)
        return 0;
    memcpy(&header, bytes + offset, sizeof header);
    offset += sizeof header;
    *item = (struct store_item){.key_size = le32toh(header.key_size), .modify_revision = revision};
    item->create_revision = le64toh(header.create_revision);
    if (le32toh(header.value_size) != DELETED)
        item->value_size = le32toh(header.value_size);
    if (size - offset < 2 || item->key_size > size - offset - 2 ||
        item->value_size > size - offset - 2 - item->key_size)
        return 0;
    item->key = bytes + offset;
    offset += item->key_size + 1;
    if (le32toh(header.value_size) != DELETED)
        item->value = bytes + offset;
    return offset + item->value_size + 1;
}

int events_decode(const void *bytes, size_t size, uint64_t revision, struct store_item **ret_events, size_t *ret_n)
{
    struct store_item item, *events = NULL;
    size_t n = 0;

    for (size_t offset = 0; offset < size; n++) {
        offset = decode_one(bytes, size, offset, revision, &item);
        if (offset == 0)
            return -EBADMSG;
    }
    if (n) {
        events = malloc(n * sizeof *events);
        if (!events)
            return -ENOMEM;
    }
    for (size_t offset = 0, i = 0; i < n; i++)
        offset = decode_one(bytes, size, offset, revision, &events[i]);
    *ret_events = events;
    *ret_n = n;
    return 0;
}
