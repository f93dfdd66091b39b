/* MARK rules of iptables-save and ip6tables-save. */
#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "weft/base/util.h"
#include "weft/director/import/draft.h"
#include "weft/director/import/marks.h"

#define WORDS_MAX 64

static size_t split(char *line, char *words[WORDS_MAX])
{
    size_t n = 0;
    char *position;

    for (char *word = strtok_r(line, " \t\r", &position); word && n < WORDS_MAX;
         word = strtok_r(NULL, " \t\r", &position))
        words[n++] = word;
    return n;
}

static bool is_one_of(const char *word, const char *a, const char *b)
{
    return streq(word, a) || streq(word, b);
}

/* An option with its value; false: it is none that we can have. */
static bool take(struct draft *draft, const char *option, const char *value)
{
    if (is_one_of(option, "-s", "--source"))
        return draft_set_address(draft, value, true);
    if (is_one_of(option, "-d", "--destination"))
        return draft_set_address(draft, value, false);
    if (is_one_of(option, "-p", "--protocol"))
        return draft_set_protocol(draft, value);
    if (is_one_of(option, "-i", "--in-interface"))
        return draft_set_interface(draft, value);
    if (is_one_of(option, "--sport", "--source-port"))
        return draft_add_ports(&draft->source, value, ':');
    if (is_one_of(option, "--dport", "--destination-port"))
        return draft_add_ports(&draft->destination, value, ':');
    if (is_one_of(option, "--sports", "--source-ports"))
        return draft_add_ports(&draft->source, value, ':');
    if (is_one_of(option, "--dports", "--destination-ports"))
        return draft_add_ports(&draft->destination, value, ':');
    if (is_one_of(option, "-m", "--match")) /* What these match is named by the options above. */
        return streq(value, "tcp") || streq(value, "udp") || streq(value, "sctp") || streq(value, "multiport") ||
               streq(value, "comment");
    if (is_one_of(option, "--set-mark", "--set-xmark"))
        return draft_set_mark(draft, value);
    return streq(option, "-j") && streq(value, "MARK");
}

/* A comment's words end with the quote. */
static size_t skip_comment(char *const *words, size_t n, size_t i)
{
    if (words[i][0] != '"')
        return i;
    for (; i < n; i++)
        if (strlen(words[i]) > 1 && words[i][strlen(words[i]) - 1] == '"')
            return i;
    return n - 1;
}

static void read_rule(char *const *words, size_t n, struct draft *draft)
{
    for (size_t i = 2; i < n && !draft->refused; i += 2) {
        if (streq(words[i], "--comment") && i + 1 < n) {
            i = skip_comment(words, n, i + 1) - 1;
            continue;
        }
        if (i + 1 == n || !take(draft, words[i], words[i + 1]))
            draft->refused = words[i];
    }
}

static bool sets_a_mark(char *const *words, size_t n)
{
    for (size_t i = 0; i + 1 < n; i++)
        if (streq(words[i], "-j") && streq(words[i + 1], "MARK"))
            return true;
    return false;
}

static int take_line(char *line, const char *file, unsigned number, bool ipv6, struct director_config *config,
                     struct import_report *report)
{
    struct draft draft = {.rule = mark_rule_default()};
    struct error error = {0};
    char *words[WORDS_MAX];
    size_t n = split(line, words);
    int result;

    if (n < 2 || !is_one_of(words[0], "-A", "--append") || !sets_a_mark(words, n))
        return 0;
    draft.rule.ipv6 = ipv6;
    read_rule(words, n, &draft);
    if (!streq(words[1], "PREROUTING")) {
        import_note(report, file, number, "chain %s: only PREROUTING sees what a director does", words[1]);
        return 0;
    }
    if (draft.refused) {
        import_note(report, file, number, "%s: it is not supported; the rule is left out", draft.refused);
        return 0;
    }
    result = draft_commit(&draft, config, &error);
    if (result == -EINVAL)
        import_note(report, file, number, "the rule is left out: %s: %s", error.field, error.message);
    return result == -EINVAL ? 0 : result;
}

int import_iptables(char *text, const char *file, struct director_config *config, struct import_report *report)
{
    bool ipv6 = false;
    unsigned number = 0;

    while (text && *text) {
        char *line = text, *end = strchr(text, '\n');
        int result;

        text = end ? end + 1 : NULL;
        if (end)
            *end = 0;
        number++;
        if (*line == '#' && strstr(line, "tables-save"))
            ipv6 = strstr(line, "ip6tables-save");
        result = take_line(line, file, number, ipv6, config, report);
        if (result < 0)
            return result;
    }
    return 0;
}
