#include "weft/http/target.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "weft/base/utf8.h"
#include "weft/base/util.h"

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

/* Decodes '[from, from + size)' behind '*at' and terminates it; '*ret' is its start. */
static int decode(const char *from, size_t size, bool plus_is_space, char **at, char **ret)
{
    char *out = *at;

    for (size_t i = 0; i < size; i++) {
        char c = from[i];

        if (c == '%') {
            int high = i + 2 < size ? hex_digit(from[i + 1]) : -1;
            int low = high >= 0 ? hex_digit(from[i + 2]) : -1;

            if (high < 0 || low < 0)
                return -EINVAL;
            c = (char)(high << 4 | low);
            i += 2;
        } else if (c == '+' && plus_is_space) {
            c = ' ';
        }
        *out++ = c;
    }
    *out = '\0';
    if (!utf8_is_valid(*at, (size_t)(out - *at)))
        return -EINVAL;
    *ret = *at;
    *at = out + 1;
    return 0;
}

static int parse_query(const char *text, struct target *target, char **at, struct error *error)
{
    size_t n = 1;

    for (const char *c = text; *c; c++)
        n += *c == '&';
    if (n > TARGET_MAX_QUERY)
        return error_set(error, -EINVAL, "query", "%zu parameters are more than %d", n, TARGET_MAX_QUERY);
    target->query = calloc(n, sizeof(*target->query));
    if (!target->query)
        return -ENOMEM;

    while (*text) {
        size_t size = strcspn(text, "&");
        const char *equals = memchr(text, '=', size);
        size_t name_size = equals ? (size_t)(equals - text) : size;
        char *name = NULL, *value = NULL;

        if (size > 0) {
            if (decode(text, name_size, true, at, &name) < 0 ||
                decode(equals ? equals + 1 : text, equals ? size - name_size - 1 : 0, true, at, &value) < 0)
                return error_set(error, -EINVAL, "query", "'%.*s' is not percent-encoded UTF-8 text", (int)MIN(size, 200u), text);
            target->query[target->n_query++] = (struct query_parameter){.name = name, .value = value};
        }
        text += size + (text[size] == '&');
    }
    return 0;
}

int target_parse(const char *text, struct target *target, struct error *error)
{
    size_t size;
    char *at;

    *target = (struct target){0};
    /* The absolute form, which proxies get and every server must accept. */
    if (strncmp(text, "http://", 7) == 0 || strncmp(text, "https://", 8) == 0) {
        const char *path = strchr(strstr(text, "://") + 3, '/');

        text = path ? path : "/";
    }

    /* Decoding never grows; each of at most TARGET_MAX_SEGMENTS + 2 * TARGET_MAX_QUERY parts ends with a 0 that
     * takes the place of a separator, and the path is kept once more as a whole. */
    size = strlen(text);
    target->storage = malloc(2 * size + TARGET_MAX_SEGMENTS + 2 * TARGET_MAX_QUERY + 16);
    if (!target->storage)
        return -ENOMEM;
    at = target->storage;

    size_t path_size = strcspn(text, "?#");
    const char *query = text[path_size] == '?' ? text + path_size + 1 : "";

    if (text[0] != '/')
        return error_set(error, -EINVAL, "path", "'%.*s' does not begin with '/'", (int)MIN(path_size, 200u), text);
    size_t whole_size = path_size;
    if (whole_size > 0 && text[whole_size - 1] == '/')
        whole_size--;
    if (decode(text, whole_size, false, &at, &target->path) < 0)
        return error_set(error, -EINVAL, "path", "'%.*s' is not percent-encoded UTF-8 text", (int)MIN(path_size, 200u), text);

    for (size_t from = 1; from < path_size;) {
        size_t segment_size = 0;

        while (from + segment_size < path_size && text[from + segment_size] != '/')
            segment_size++;
        if (target->n_segments == TARGET_MAX_SEGMENTS)
            return error_set(error, -EINVAL, "path", "more than %d segments", TARGET_MAX_SEGMENTS);
        if (decode(text + from, segment_size, false, &at, &target->segments[target->n_segments++]) < 0)
            return error_set(error, -EINVAL, "path", "not percent-encoded UTF-8 text");
        from += segment_size + 1;
    }
    return parse_query(query, target, &at, error);
}

void target_clear(struct target *target)
{
    free(target->storage);
    free(target->query);
    *target = (struct target){0};
}
