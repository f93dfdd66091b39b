/* See regex.h.  PCRE2's own limit of matching counts from each place in the body anew, so what bounds the whole search is the processor's time, looked at
 * in callouts before each item of the pattern. */
#define PCRE2_CODE_UNIT_WIDTH 8
#include "weft/health/regex.h"

#include <errno.h>
#include <pcre2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "weft/base/cleanup.h"
#include "weft/base/util.h"

#define HEAP_MAX_KIB 8192u
#define DEPTH_MAX 1000000u
#define MATCH_MAX 10000000u
#define CALLOUTS_PER_LOOK 16 /* Between two, an item has read the body once at most. */

struct health_regex {
    pcre2_code *code;
    uint32_t min_offset, max_offset;
};

static const struct {
    const char *name;
    uint32_t option;
} names[] = {
    {"allow_empty_class", PCRE2_ALLOW_EMPTY_CLASS},
    {"alt_bsux", PCRE2_ALT_BSUX},
    {"alt_circumflex", PCRE2_ALT_CIRCUMFLEX},
    {"alt_verbnames", PCRE2_ALT_VERBNAMES},
    {"auto_callout", PCRE2_AUTO_CALLOUT},
    {"caseless", PCRE2_CASELESS},
    {"dollar_endonly", PCRE2_DOLLAR_ENDONLY},
    {"dotall", PCRE2_DOTALL},
    {"dupnames", PCRE2_DUPNAMES},
    {"extended", PCRE2_EXTENDED},
    {"firstline", PCRE2_FIRSTLINE},
    {"match_unset_backref", PCRE2_MATCH_UNSET_BACKREF},
    {"multiline", PCRE2_MULTILINE},
    {"never_backslash_c", PCRE2_NEVER_BACKSLASH_C},
    {"never_ucp", PCRE2_NEVER_UCP},
    {"never_utf", PCRE2_NEVER_UTF},
    {"no_auto_capture", PCRE2_NO_AUTO_CAPTURE},
    {"no_auto_possess", PCRE2_NO_AUTO_POSSESS},
    {"no_dotstar_anchor", PCRE2_NO_DOTSTAR_ANCHOR},
    {"no_start_optimize", PCRE2_NO_START_OPTIMIZE},
    {"ucp", PCRE2_UCP},
    {"ungreedy", PCRE2_UNGREEDY},
    {"use_offset_limit", PCRE2_USE_OFFSET_LIMIT},
    {"utf", PCRE2_UTF | PCRE2_MATCH_INVALID_UTF}, /* Bytes that are none match nothing, instead of making the search fail. */
};

static int read_options(const char *text, uint32_t *ret_options, struct error *error)
{
    *ret_options = 0;
    for (text += strspn(text, " "); *text; text += strspn(text, " ")) {
        size_t length = strcspn(text, " "), i = 0;

        while (i < ARRAY_SIZE(names) && (strlen(names[i].name) != length || memcmp(names[i].name, text, length) != 0))
            i++;
        if (i == ARRAY_SIZE(names))
            return error_set(error, -EINVAL, "regex_options", "'%.*s' is not an option of regular expressions", (int)MIN(length, (size_t)100), text);
        *ret_options |= names[i].option;
        text += length;
    }
    return 0;
}

int health_regex_new(const struct health_regex_options *options, struct health_regex **ret, struct error *error)
{
    size_t length = options->pattern ? strlen(options->pattern) : 0, at;
    struct health_regex *regex;
    uint32_t flags;
    int r, number;

    if (length == 0 || length > HEALTH_REGEX_MAX)
        return error_set(error, -EINVAL, "regex", "1 to %d bytes are required, it has %zu", HEALTH_REGEX_MAX, length);
    if (options->max_offset && options->max_offset < options->min_offset)
        return error_set(error, -EINVAL, "regex_max_offset", "%u is less than regex_min_offset, %u", options->max_offset, options->min_offset);
    r = read_options(options->options ? options->options : "", &flags, error);
    if (r < 0)
        return r;
    regex = malloc(sizeof(*regex));
    if (!regex)
        return -ENOMEM;
    *regex = (struct health_regex){
        .code = pcre2_compile((PCRE2_SPTR)options->pattern, length, flags | PCRE2_AUTO_CALLOUT | PCRE2_USE_OFFSET_LIMIT, &number, &at, NULL),
        .min_offset = options->min_offset,
        .max_offset = options->max_offset,
    };
    if (!regex->code) {
        PCRE2_UCHAR text[128] = "";

        free(regex);
        if (number == PCRE2_ERROR_NOMEMORY || number == PCRE2_ERROR_HEAP_FAILED)
            return -ENOMEM;
        pcre2_get_error_message(number, text, sizeof(text));
        return error_set(error, -EINVAL, "regex", "'%.200s' is not a regular expression: %s (byte %zu)", options->pattern, (const char *)text, at);
    }
    *ret = regex;
    return 0;
}

void health_regex_free(struct health_regex *regex)
{
    if (!regex)
        return;
    pcre2_code_free(regex->code);
    free(regex);
}

/* ---- the search -------------------------------------------------------------------------------------------------------------- */

struct search {
    uint64_t end_ns; /* Of this thread's clock. */
    unsigned n_callouts;
};

static uint64_t used_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static int look_at_clock(pcre2_callout_block *block, void *context)
{
    struct search *search = context;

    if (++search->n_callouts % CALLOUTS_PER_LOOK == 0 && used_ns() > search->end_ns)
        return PCRE2_ERROR_CALLOUT;
    return 0;
}

static enum health_regex_result result_of(int code, char ret_reason[120])
{
    PCRE2_UCHAR text[100] = "";

    if (code >= 0)
        return HEALTH_REGEX_FOUND;
    if (code == PCRE2_ERROR_NOMATCH || code == PCRE2_ERROR_PARTIAL || code == PCRE2_ERROR_BADOFFSET)
        return HEALTH_REGEX_NOT_FOUND;
    if (code == PCRE2_ERROR_CALLOUT) {
        snprintf(ret_reason, 120, "it takes more than %u ms", HEALTH_REGEX_SEARCH_CPU_MS);
        return HEALTH_REGEX_FAILED;
    }
    pcre2_get_error_message(code, text, sizeof(text));
    snprintf(ret_reason, 120, "%s", (const char *)text);
    return HEALTH_REGEX_FAILED;
}

enum health_regex_result health_regex_search(const struct health_regex *regex, const char *text, size_t size, bool is_cut, char ret_reason[120])
{
    pcre2_match_data *data = pcre2_match_data_create(1, NULL);
    pcre2_match_context *limits = pcre2_match_context_create(NULL);
    struct search search = {.end_ns = used_ns() + HEALTH_REGEX_SEARCH_CPU_MS * UINT64_C(1000000)};
    int code = PCRE2_ERROR_NOMEMORY;

    if (data && limits) {
        pcre2_set_heap_limit(limits, HEAP_MAX_KIB);
        pcre2_set_depth_limit(limits, DEPTH_MAX);
        pcre2_set_match_limit(limits, MATCH_MAX);
        pcre2_set_callout(limits, look_at_clock, &search);
        if (regex->max_offset)
            pcre2_set_offset_limit(limits, regex->max_offset);
        code = pcre2_match(regex->code, (PCRE2_SPTR)text, size, regex->min_offset, is_cut ? PCRE2_PARTIAL_HARD : 0, data, limits);
    }
    pcre2_match_data_free(data);
    pcre2_match_context_free(limits);
    return result_of(code, ret_reason);
}
