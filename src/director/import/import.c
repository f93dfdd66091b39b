#include "weft/director/import/import.h"

#include <errno.h>
#include <string.h>

#include "weft/base/buffer.h"
#include "weft/base/util.h"
#include "weft/director/import/marks.h"
#include "weft/director/ipvsadm/edit.h"
#include "weft/director/keepalived/translate.h"

#define WORDS_MAX 64

static const char *const names[] = {[IMPORT_KEEPALIVED] = "keepalived",
                                    [IMPORT_IPVSADM] = "ipvsadm",
                                    [IMPORT_IPTABLES] = "iptables",
                                    [IMPORT_NFT] = "nft"};

const char *import_format_name(enum import_format format)
{
    return names[format];
}

int import_format_parse(const char *name, enum import_format *ret)
{
    for (size_t i = 0; i < N_IMPORT_FORMATS; i++) {
        if (streq(names[i], name)) {
            *ret = (enum import_format)i;
            return 0;
        }
    }
    return -ENOENT;
}

enum import_format import_format_guess(const char *text)
{
    while (*text) {
        text += strspn(text, " \t\r\n");
        if (*text == '*' || *text == ':')
            return IMPORT_IPTABLES;
        if (!strncmp(text, "table ", 6))
            return IMPORT_NFT;
        if (*text == '-' || !strncmp(text, "ipvsadm", 7)) {
            text += strcspn(text, " \n");
            return text[0] == ' ' && text[1] >= 'A' && text[1] <= 'Z' ? IMPORT_IPTABLES : IMPORT_IPVSADM;
        }
        if (*text && *text != '#' && *text != '!')
            return IMPORT_KEEPALIVED;
        text += strcspn(text, "\n");
    }
    return IMPORT_KEEPALIVED;
}

static int import_ipvsadm_line(char *line, const char *file, unsigned number, struct director_config *config,
                               struct import_report *report)
{
    struct ipvsadm_refusal refusal;
    struct ipvsadm_call call;
    char *argv[WORDS_MAX + 1] = {(char *)"ipvsadm"}, *position;
    size_t n = 1;

    for (char *word = strtok_r(line, " \t\r", &position); word && n < WORDS_MAX;
         word = strtok_r(NULL, " \t\r", &position))
        if (n > 1 || !streq(word, "ipvsadm"))
            argv[n++] = word;
    if (n == 1 || argv[1][0] == '#')
        return 0;
    argv[n] = NULL;
    if (ipvsadm_parse(argv, &call, &refusal) < 0 || ipvsadm_edit(config, &call, &refusal) < 0)
        import_note(report, file, number, "%.*s", (int)strcspn(refusal.text, "\n"), refusal.text);
    else if (!ipvsadm_changes(call.command))
        import_note(report, file, number, "%s: it says nothing about the table", argv[1]);
    return 0;
}

int import_ipvsadm(char *text, const char *file, struct director_config *config, struct import_report *report)
{
    unsigned number = 0;

    while (text && *text) {
        char *line = text, *end = strchr(text, '\n');
        int result;

        text = end ? end + 1 : NULL;
        if (end)
            *end = 0;
        result = import_ipvsadm_line(line, file, ++number, config, report);
        if (result < 0)
            return result;
    }
    return 0;
}

int import_file(const char *path, enum import_format format, const char *config_id, struct director_config *config,
                struct import_report *report, struct error *error)
{
    struct keepalived_source source = keepalived_files;
    _cleanup_(buffer_clear) struct buffer text = {0};
    int result;

    source.config_id = config_id;
    if (format == IMPORT_KEEPALIVED)
        return keepalived_import(path, &source, config, report, error);
    result = source.read(path, &text, source.context);
    if (result == 0)
        result = buffer_append(&text, "", 1);
    if (result == 0)
        result = format == IMPORT_IPVSADM    ? import_ipvsadm(text.data, path, config, report)
                 : format == IMPORT_IPTABLES ? import_iptables(text.data, path, config, report)
                                             : import_nft(text.data, path, config, report);
    return result < 0 ? error_set(error, result, NULL, "%s: %s", path,
                                  result == -E2BIG ? "there are more rules than a director has" : strerror(-result))
                      : 0;
}
