/* keepalived's sequences: "~SEQ(N, 1, 3) TEXT" is TEXT three times, with N defined as 1, 2 and 3; "~LST({A, B}, {1, x}, {2, y}) TEXT" is TEXT twice.
 *
 * As keepalived.conf(5), "Sequence blocks" and "List blocks", have it: a step that is left out is 1 or -1, a start 1 or -1; ~SEQx writes hexadecimal; values
 * that are missing in a list are empty. */
#ifndef WEFT_DIRECTOR_KEEPALIVED_SEQUENCE_H
#define WEFT_DIRECTOR_KEEPALIVED_SEQUENCE_H

#include <stdbool.h>
#include <stddef.h>

#include "weft/base/cleanup.h"

#define SEQUENCE_NAMES_MAX 16
#define SEQUENCE_VALUES_MAX 65536 /* Of a list. */

struct sequence {
    const char *names[SEQUENCE_NAMES_MAX];
    size_t n_names;
    long long next, step, last; /* Of ~SEQ. */
    bool is_hexadecimal, is_over;
    const char **values; /* Of ~LST: n_names for each turn. */
    size_t n_values, n_taken;
    char number[24];
};

bool sequence_is_one(const char *line); /* Does it begin with one? */

/* Reads "~SEQ(...)" or "~LST(...)", up to its ')'.  'text' is cut into pieces, and needed as long as '*ret' is.  0; -EINVAL (it is not one); -E2BIG (names,
 * values); -ENOMEM.  The caller clears '*ret' in each case. */
int sequence_parse(char *text, struct sequence *ret);
void sequence_clear(struct sequence *sequence);

/* The values of the next turn, one for each name, until the next call; or false. */
bool sequence_next(struct sequence *sequence, const char *ret_values[SEQUENCE_NAMES_MAX]);

#endif
