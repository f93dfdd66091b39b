#include "weft/balance/bytes.h"

#include <endian.h>
#include <string.h>

void balance_rows_to_bytes(const struct balance_row *rows, size_t n_rows, uint8_t *bytes)
{
    for (size_t i = 0; i < n_rows; i++, bytes += BALANCE_ROW_BYTES) {
        uint16_t row[1 + BALANCE_PREVIOUS] = {htole16(rows[i].owner)};

        for (unsigned j = 0; j < BALANCE_PREVIOUS; j++)
            row[1 + j] = htole16(rows[i].previous[j]);
        memcpy(bytes, row, BALANCE_ROW_BYTES);
    }
}

void balance_rows_from_bytes(const uint8_t *bytes, size_t n_rows, struct balance_row *rows)
{
    for (size_t i = 0; i < n_rows; i++, bytes += BALANCE_ROW_BYTES) {
        uint16_t row[1 + BALANCE_PREVIOUS];

        memcpy(row, bytes, BALANCE_ROW_BYTES);
        rows[i].owner = le16toh(row[0]);
        for (unsigned j = 0; j < BALANCE_PREVIOUS; j++)
            rows[i].previous[j] = le16toh(row[1 + j]);
    }
}
