/* Parts of format.h: what comes behind a table's name, by kinds of tables.  Return 0 or -ENOMEM. */
#ifndef WEFT_COMPILER_FORMAT_TABLES_H
#define WEFT_COMPILER_FORMAT_TABLES_H

#include <string.h>

#include "weft/base/address.h"
#include "weft/base/buffer.h"
#include "weft/dataplane/desired.h"

/* 'bits' counts in 128, as in the tables. */
static inline const char *prefix_text(const __u8 bytes[16], uint32_t bits, char text[PREFIX_TEXT_SIZE])
{
    struct ip_prefix prefix;

    memcpy(prefix.address.bytes, bytes, sizeof(prefix.address.bytes));
    prefix.length = (uint8_t)(ip_is_v4(&prefix.address) ? bits - 96 : bits);
    return prefix_format(&prefix, text);
}

/* Of a rule set, or that it found no room; returns 'text'. */
#define SET_TEXT_SIZE 16
const char *set_text(__u32 set, char text[SET_TEXT_SIZE]);

/* "local 3"; returns 'text'. */
const char *output_text(__u32 output, char *text, size_t size);

int format_balancing_row(enum desired_table table, const void *key, const void *value, struct buffer *buffer);
int format_firewall_row(const void *key, const void *value, struct buffer *buffer);
int format_nat_row(enum desired_table table, const void *key, const void *value, struct buffer *buffer);
int format_routing_row(enum desired_table table, const void *key, const void *value, struct buffer *buffer);
int format_security_row(enum desired_table table, const void *key, const void *value, struct buffer *buffer);

/* 'key' and 'value' lie unaligned in their row: copied into a variable first. */
#define LOAD(type, name, from)                                                                               \
    type name;                                                                                               \
    memcpy(&name, from, sizeof(name))

#endif
