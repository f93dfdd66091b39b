/* keepalived's configuration and firewalls' rules: whatever an import makes holds, and is a file that can be read.
 *
 * The first byte says what the text is: 'k' keepalived's (a line "=== NAME" begins another file, which it may include),
 * 'i' iptables-save's, 'n' nft's, else whatever it looks like. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "weft/base/buffer.h"
#include "weft/base/util.h"
#include "weft/director/import/import.h"
#include "weft/director/import/marks.h"
#include "weft/director/keepalived/translate.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define REQUIRE(condition)                                                                                             \
    do {                                                                                                               \
        if (!(condition))                                                                                              \
            abort();                                                                                                   \
    } while (0)

/* The text of file 'path' in 'text', up to the next one's beginning; NULL if there is none. */
static const char *find_file(const char *text, const char *path, size_t *ret_size)
{
    const char *start = streq(path, "main") ? text : NULL, *end;

    for (const char *at = text; !start && (at = strstr(at, "=== ")); at += 4) {
        size_t length = strcspn(at + 4, "\n");

        if (length == strlen(path) && !memcmp(at + 4, path, length) && at[4 + length])
            start = at + 4 + length + 1;
    }
    if (!start)
        return NULL;
    end = strstr(start, "=== ");
    *ret_size = end ? (size_t)(end - start) : strlen(start);
    return start;
}

static int read_text(const char *path, struct buffer *text, void *context)
{
    size_t size;
    const char *start = find_file(context, path, &size);

    return start ? buffer_append(text, start, size) : -ENOENT;
}

static int expand(const char *pattern, int (*found)(const char *path, void *found_context), void *found_context,
                  void *context)
{
    return found(pattern, found_context);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    _cleanup_(director_config_freep) struct director_config *config = director_config_new(), *again = NULL;
    _cleanup_(freep) char *text = size ? strndup((const char *)data + 1, size - 1) : NULL, *written = NULL;
    struct import_report report = {0};
    struct error error = {0};
    int result = 0;

    if (!size)
        return 0;
    REQUIRE(text && config);
    if (data[0] == 'i')
        result = import_iptables(text, "f", config, &report);
    else if (data[0] == 'n')
        result = import_nft(text, "f", config, &report);
    else if (data[0] == 'k') {
        const struct keepalived_source source = {
            .read = read_text, .expand = expand, .context = text, .config_id = "id"};

        result = keepalived_import("main", &source, config, &report, &error);
        REQUIRE(result == 0 || error.message[0]);
    } else {
        REQUIRE(import_format_guess(text) < N_IMPORT_FORMATS);
    }
    REQUIRE(result == 0 || result == -E2BIG || result == -EINVAL);
    for (size_t i = 0; i < report.n_notes; i++)
        REQUIRE(strchr(report.notes[i], ':'));
    import_report_clear(&report);
    REQUIRE(director_config_check(config, NULL) == 0);
    written = director_config_format(config);
    REQUIRE(written && director_config_parse(written, strlen(written), &again, NULL) == 0);
    return 0;
}
