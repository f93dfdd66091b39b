/* Where an attribute's value is in its struct: for attribute.c and attribute-decode.c. */
#ifndef WEFT_MODEL_ATTRIBUTE_MEMBER_H
#define WEFT_MODEL_ATTRIBUTE_MEMBER_H

#include "weft/model/attribute.h"

static inline void *at(const struct attribute *attribute, const void *base)
{
    return (char *)base + attribute->offset;
}

static inline size_t *count_of(const struct attribute *attribute, const void *base)
{
    return (size_t *)((char *)base + attribute->count);
}

static inline bool is_scalar(const struct attribute *table)
{
    return table[0].name && !table[0].name[0];
}

static inline bool is_present(const struct attribute *attribute, const void *base)
{
    return !attribute->presence || *((const bool *)((const char *)base + attribute->presence - 1));
}

static inline void set_present(const struct attribute *attribute, void *base, bool present)
{
    if (attribute->presence)
        *((bool *)((char *)base + attribute->presence - 1)) = present;
}

static inline uint64_t uint_get(const struct attribute *attribute, const void *base)
{
    const void *value = at(attribute, base);

    switch (attribute->size) {
    case 1:
        return *(const uint8_t *)value;
    case 2:
        return *(const uint16_t *)value;
    case 4:
        return *(const uint32_t *)value;
    default:
        return *(const uint64_t *)value;
    }
}

static inline void uint_set(const struct attribute *attribute, void *base, uint64_t number)
{
    void *value = at(attribute, base);

    switch (attribute->size) {
    case 1:
        *(uint8_t *)value = number;
        break;
    case 2:
        *(uint16_t *)value = number;
        break;
    case 4:
        *(uint32_t *)value = number;
        break;
    default:
        *(uint64_t *)value = number;
    }
}

/* An enum's values are its indexes; the compiler chooses the width. */
static inline unsigned enum_get(const struct attribute *attribute, const void *base)
{
    return uint_get(attribute, base);
}

/* Of a list. */
void attribute_clear_elements(const struct attribute *attribute, void *elements, size_t n);
bool attribute_elements_equal(const struct attribute *table, const void *a, const void *b);

#endif
