/* qsort(3) for arrays that mostly have few elements: those are sorted by insertion, where the comparison is compiled into it. */
#ifndef WEFT_BASE_SORT_H
#define WEFT_BASE_SORT_H

#include <stdlib.h>
#include <string.h>

#define SORT_FEW 24
#define SORT_ELEMENT_MAX 64

static inline __attribute__((always_inline)) void sort_mostly_few(void *array, size_t n, size_t size, int (*compare)(const void *a, const void *b))
{
    char *elements = array, element[SORT_ELEMENT_MAX];

    if (n > SORT_FEW || size > SORT_ELEMENT_MAX) {
        qsort(array, n, size, compare);
        return;
    }
    for (size_t i = 1; i < n; i++) {
        size_t k = i;

        if (compare(elements + (i - 1) * size, elements + i * size) <= 0)
            continue;
        memcpy(element, elements + i * size, size);
        for (; k > 0 && compare(elements + (k - 1) * size, element) > 0; k--)
            memcpy(elements + k * size, elements + (k - 1) * size, size);
        memcpy(elements + k * size, element, size);
    }
}

#endif
