/* Perl-compatible regular expressions that an answer's body is searched for, whose search ends in bounded time and memory whatever the pattern and the body.
 * Single-threaded. */
#ifndef WEFT_HEALTH_REGEX_H
#define WEFT_HEALTH_REGEX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "weft/base/error.h"

#define HEALTH_REGEX_MAX 1024           /* Bytes of a pattern. */
#define HEALTH_REGEX_SEARCH_CPU_MS 100u /* Of one search. */

struct health_regex_options {
    const char *pattern;             /* NULL: none. */
    const char *options;             /* Names with blanks between, as keepalived has them: "caseless dotall"; NULL: none. */
    uint32_t min_offset, max_offset; /* Where in the body a match may begin; a maximum of 0 is none. */
};

enum health_regex_result {
    HEALTH_REGEX_FOUND,
    HEALTH_REGEX_NOT_FOUND,
    HEALTH_REGEX_FAILED, /* It cannot be said: a limit, or the body is not of the pattern's encoding. */
};

struct health_regex;

/* 0, -EINVAL (in '*error', which may be NULL, 'regex', 'regex_options' or 'regex_max_offset' and the value) or -ENOMEM; '*ret' is untouched on failure. */
int health_regex_new(const struct health_regex_options *options, struct health_regex **ret, struct error *error);
void health_regex_free(struct health_regex *regex); /* NULL is fine. */

/* Searches 'size' bytes, of which more would follow if it 'is_cut': what only their end makes a match is none then.  'ret_reason' says why it failed. */
enum health_regex_result health_regex_search(const struct health_regex *regex, const char *text, size_t size, bool is_cut, char ret_reason[120]);

#endif
