/* A line of keepalived's configuration as words. */
#ifndef WEFT_DIRECTOR_KEEPALIVED_WORDS_H
#define WEFT_DIRECTOR_KEEPALIVED_WORDS_H

#include <stdbool.h>
#include <stddef.h>

struct word {
    char *text;     /* Owned. */
    bool is_quoted; /* A brace in quotes is no brace. */
};

/* Cuts the line at its comment ('#' or '!' outside of quotes), in place. */
void keepalived_cut_comment(char *line);

/* Splits a line without comment at blanks and, where they stand alone, braces; takes quotes off and escapes out, which
 * are in quotes, and behind "regex" anywhere.  Stores new words, at most 'maximum'.  0; -E2BIG; -ENOMEM; '*ret_n' of them are the caller's in each case. */
int keepalived_split(const char *line, struct word *words, size_t maximum, size_t *ret_n);

#endif
