/* Rows as bytes, for files and wires: 8 each, the owner and the three previous ones, little-endian. */
#ifndef WEFT_BALANCE_BYTES_H
#define WEFT_BALANCE_BYTES_H

#include "weft/balance/table.h"

#define BALANCE_ROW_BYTES 8

void balance_rows_to_bytes(const struct balance_row *rows, size_t n_rows, uint8_t *bytes);
void balance_rows_from_bytes(const uint8_t *bytes, size_t n_rows, struct balance_row *rows);

#endif
