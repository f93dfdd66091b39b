/* The words of an argv, one option after the other, as popt reads them: clusters of short options, values behind or
 * beside their option, '=' between. */
#ifndef WEFT_DIRECTOR_IPVSADM_WORDS_H
#define WEFT_DIRECTOR_IPVSADM_WORDS_H

#include <stddef.h>

enum word_value { VALUE_NONE, VALUE_NEEDED, VALUE_OPTIONAL };

struct word_option {
    const char *name; /* "tcp-service"; NULL ends the table. */
    char letter;      /* 't', or 0. */
    enum word_value value;
    int id; /* From 0. */
};

struct words {
    const struct word_option *options;
    char *const *argv;   /* At the word that comes next. */
    const char *word;    /* What the option is in. */
    const char *cluster; /* What is left of a word of short options. */
    const char *value;   /* Of the option that was returned last, or NULL. */
    const char *bad;     /* What a negative return is about. */
    const char *rest[8]; /* What is no option, in order; more are not kept. */
    size_t n_rest;
};

enum { WORDS_END = -1, WORDS_UNKNOWN = -2, WORDS_NO_VALUE = -3 };

/* The next option's id, or one of the above. */
int words_next(struct words *words);

#endif
