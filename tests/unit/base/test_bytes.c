/* Cursors stop at the end of their bytes, and numbers are in network order. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "weft/base/bytes.h"

/* Every size of block, so that AddressSanitizer sees a read one byte too far. */
static void reader_stops_at_the_end(void **state)
{
    for (size_t size = 0; size < 20; size++) {
        uint8_t *block = malloc(size ? size : 1), u8 = 0xee;
        uint16_t u16 = 0xeeee;
        uint32_t u32 = 0xeeeeeeee;
        uint64_t u64 = 0xeeeeeeeeeeeeeeee;
        assert_non_null(block);
        for (size_t i = 0; i < size; i++)
            block[i] = (uint8_t)i;
        struct reader reader = reader_of(block, size);
        size_t left = size;
#define CHECK(FUNCTION, VALUE, EXPECTED)                                                                               \
    do {                                                                                                               \
        uint64_t before = VALUE;                                                                                       \
        bool there = left >= sizeof(VALUE);                                                                            \
        assert_int_equal(FUNCTION(&reader, &VALUE), there);                                                            \
        assert_int_equal(VALUE, there ? EXPECTED : before);                                                            \
        left -= there ? sizeof(VALUE) : 0;                                                                             \
        assert_int_equal(reader_left(&reader), left);                                                                  \
    } while (0)
        if (size >= 15) {
            CHECK(reader_u8, u8, 0x00);
            CHECK(reader_u16, u16, 0x0102);
            CHECK(reader_u32, u32, 0x03040506);
            CHECK(reader_u64, u64, 0x0708090a0b0c0d0e);
        }
        while (reader_take(&reader, 1))
            left--;
        assert_int_equal(left, 0);
        CHECK(reader_u8, u8, 0);
        CHECK(reader_u16, u16, 0);
        CHECK(reader_u32, u32, 0);
        CHECK(reader_u64, u64, 0);
        assert_null(reader_take(&reader, SIZE_MAX));
        assert_non_null(reader_take(&reader, 0));
        free(block);
    }
}

static void writer_writes_network_order(void **state)
{
    static const uint8_t expected[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 0xaa, 0xbb};
    uint8_t data[17];
    struct writer writer = writer_of(data, sizeof(data));
    memset(data, 0xff, sizeof(data));
    writer_u8(&writer, 1);
    writer_u16(&writer, 0x0203);
    writer_u32(&writer, 0x04050607);
    writer_u64(&writer, 0x08090a0b0c0d0e0f);
    writer_bytes(&writer, "\xaa\xbb", 2);
    assert_false(writer.overflow);
    assert_int_equal(writer.size, 17);
    assert_memory_equal(data, expected, 17);
    assert_int_equal(get_be16(data + 1), 0x0203);
    assert_int_equal(get_be32(data + 3), 0x04050607);
    assert_int_equal(get_be64(data + 7), 0x08090a0b0c0d0e0f);
}

static void full_writer_stays_full(void **state)
{
    uint8_t data[4] = {9, 9, 9, 9};
    struct writer writer = writer_of(data, 3);
    writer_u16(&writer, 0);
    writer_u16(&writer, 0);
    assert_true(writer.overflow);
    writer_u8(&writer, 1); /* Would fit, but something before it is missing. */
    assert_int_equal(writer.size, 2);
    assert_int_equal(data[2], 9);
    writer = writer_of(data, 4);
    assert_null(writer_take(&writer, SIZE_MAX));
    assert_true(writer.overflow);
}

static void taken_room_is_zero(void **state)
{
    uint8_t data[8];
    struct writer writer = writer_of(data, sizeof(data));
    memset(data, 0xff, sizeof(data));
    assert_ptr_equal(writer_take(&writer, 8), data);
    assert_int_equal(get_be64(data), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reader_stops_at_the_end),
        cmocka_unit_test(writer_writes_network_order),
        cmocka_unit_test(full_writer_stays_full),
        cmocka_unit_test(taken_room_is_zero),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
