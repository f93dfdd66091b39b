/* Bytes on the wire: numbers in network order, and cursors that check bounds inside.
 *
 * All is inline: codecs run these for every packet, and with a known size the compiler makes each one load or store. */
#ifndef WEFT_BASE_BYTES_H
#define WEFT_BASE_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* ---- numbers in network order, at any alignment ---------------------------------------------------------------- */

static inline uint16_t get_be16(const uint8_t *bytes)
{
    return (uint16_t)(bytes[0] << 8 | bytes[1]);
}

static inline uint32_t get_be32(const uint8_t *bytes)
{
    return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3];
}

static inline uint64_t get_be64(const uint8_t *bytes)
{
    uint64_t value;
    memcpy(&value, bytes, 8);
    return __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__ ? value : __builtin_bswap64(value);
}

static inline void put_be16(uint8_t *bytes, uint16_t value)
{
    bytes[0] = (uint8_t)(value >> 8);
    bytes[1] = (uint8_t)value;
}

static inline void put_be32(uint8_t *bytes, uint32_t value)
{
    value = __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__ ? value : __builtin_bswap32(value);
    memcpy(bytes, &value, 4);
}

static inline void put_be64(uint8_t *bytes, uint64_t value)
{
    value = __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__ ? value : __builtin_bswap64(value);
    memcpy(bytes, &value, 8);
}

/* ---- a reader: what is left of borrowed bytes ------------------------------------------------------------------ */

struct reader {
    const uint8_t *at, *end;
};

static inline struct reader reader_of(const void *bytes, size_t size)
{
    return (struct reader){(const uint8_t *)bytes, (const uint8_t *)bytes + size};
}

static inline size_t reader_left(const struct reader *reader)
{
    return (size_t)(reader->end - reader->at);
}

/* The next 'size' bytes, which are then behind the cursor; NULL when fewer are left, and nothing moves. */
static inline const uint8_t *reader_take(struct reader *reader, size_t size)
{
    const uint8_t *at = reader->at;
    if (size > reader_left(reader))
        return NULL;
    reader->at += size;
    return at;
}

/* Numbers in network order.  Return false, with '*ret' untouched, at the end. */
static inline bool reader_u8(struct reader *reader, uint8_t *ret)
{
    const uint8_t *bytes = reader_take(reader, 1);
    if (bytes)
        *ret = *bytes;
    return bytes;
}

static inline bool reader_u16(struct reader *reader, uint16_t *ret)
{
    const uint8_t *bytes = reader_take(reader, 2);
    if (bytes)
        *ret = get_be16(bytes);
    return bytes;
}

static inline bool reader_u32(struct reader *reader, uint32_t *ret)
{
    const uint8_t *bytes = reader_take(reader, 4);
    if (bytes)
        *ret = get_be32(bytes);
    return bytes;
}

static inline bool reader_u64(struct reader *reader, uint64_t *ret)
{
    const uint8_t *bytes = reader_take(reader, 8);
    if (bytes)
        *ret = get_be64(bytes);
    return bytes;
}

/* ---- a writer: into borrowed bytes of a fixed size ------------------------------------------------------------- */

/* What does not fit is not written and sets 'overflow', which is asked once at the end. */
struct writer {
    uint8_t *data;
    size_t size, capacity;
    bool overflow;
};

static inline struct writer writer_of(void *bytes, size_t capacity)
{
    return (struct writer){.data = (uint8_t *)bytes, .capacity = capacity};
}

/* Room for 'size' bytes, zeroed, to be filled by the caller; NULL when there is none. */
static inline uint8_t *writer_take(struct writer *writer, size_t size)
{
    if (writer->overflow || size > writer->capacity - writer->size) {
        writer->overflow = true;
        return NULL;
    }
    uint8_t *at = writer->data + writer->size;
    memset(at, 0, size);
    writer->size += size;
    return at;
}

static inline void writer_u8(struct writer *writer, uint8_t value)
{
    uint8_t *at = writer_take(writer, 1);
    if (at)
        *at = value;
}

static inline void writer_u16(struct writer *writer, uint16_t value)
{
    uint8_t *at = writer_take(writer, 2);
    if (at)
        put_be16(at, value);
}

static inline void writer_u32(struct writer *writer, uint32_t value)
{
    uint8_t *at = writer_take(writer, 4);
    if (at)
        put_be32(at, value);
}

static inline void writer_u64(struct writer *writer, uint64_t value)
{
    uint8_t *at = writer_take(writer, 8);
    if (at)
        put_be64(at, value);
}

static inline void writer_bytes(struct writer *writer, const void *bytes, size_t size)
{
    uint8_t *at = writer_take(writer, size);
    if (at && size)
        memcpy(at, bytes, size);
}

#endif
