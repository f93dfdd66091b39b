/* Rules that set a mark, as 'nft list ruleset' prints them. */
#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "weft/base/util.h"
#include "weft/director/import/draft.h"
#include "weft/director/import/marks.h"

#define WORDS_MAX 128

/* Where in the text: "table FAMILY NAME { chain NAME { type filter hook prerouting ...". */
struct place {
    bool ipv6, is_prerouting;
};

/* Words, without the ',' and '{' '}' of sets, which a word of its own ends: "{ 80, 443 }" is "{" "80" "443" "}". */
static size_t split(char *line, char *words[WORDS_MAX])
{
    size_t n = 0;
    char *position;

    for (char *word = strtok_r(line, " \t\r,;", &position); word && n < WORDS_MAX;
         word = strtok_r(NULL, " \t\r,;", &position))
        words[n++] = word;
    return n;
}

static bool is(char *const *words, size_t n, size_t at, const char *text)
{
    return at < n && streq(words[at], text);
}

/* A port, or a set of them, from word 'at' on; stores the last word of it. */
static bool take_ports(char *const *words, size_t n, size_t at, struct draft_ports *ports, size_t *ret_last)
{
    if (at >= n)
        return false;
    *ret_last = at;
    if (!streq(words[at], "{"))
        return draft_add_ports(ports, words[at], '-');
    for (at++; at < n && !streq(words[at], "}"); at++)
        if (!draft_add_ports(ports, words[at], '-'))
            return false;
    *ret_last = at;
    return at < n && ports->n;
}

/* What begins at word 'at': its last word, or -1 if it is nothing that we can have. */
static long take(struct draft *draft, char *const *words, size_t n, size_t at)
{
    const char *word = words[at], *next = at + 1 < n ? words[at + 1] : "";
    bool is_ip = streq(word, "ip") || streq(word, "ip6");
    size_t last;

    if (streq(word, "iifname") || streq(word, "iif"))
        return draft_set_interface(draft, next) ? (long)at + 1 : -1;
    if (is_ip && (streq(next, "saddr") || streq(next, "daddr")))
        return at + 2 < n && draft_set_address(draft, words[at + 2], streq(next, "saddr")) ? (long)at + 2 : -1;
    if ((streq(word, "ip") && streq(next, "protocol")) || (streq(word, "ip6") && streq(next, "nexthdr")) ||
        (streq(word, "meta") && streq(next, "l4proto")))
        return at + 2 < n && draft_set_protocol(draft, words[at + 2]) ? (long)at + 2 : -1;
    if ((streq(word, "tcp") || streq(word, "udp") || streq(word, "sctp")) &&
        (streq(next, "sport") || streq(next, "dport")))
        return draft_set_protocol(draft, word) &&
                       take_ports(words, n, at + 2, streq(next, "sport") ? &draft->source : &draft->destination, &last)
                   ? (long)last
                   : -1;
    if (streq(word, "meta") && streq(next, "mark") && is(words, n, at + 2, "set") && at + 3 < n)
        return draft_set_mark(draft, words[at + 3]) ? (long)at + 3 : -1;
    if (streq(word, "counter"))
        return streq(next, "packets") && is(words, n, at + 3, "bytes") && at + 4 < n ? (long)at + 4 : (long)at;
    return -1;
}

static bool sets_a_mark(char *const *words, size_t n)
{
    for (size_t i = 0; i + 2 < n; i++)
        if (streq(words[i], "mark") && streq(words[i + 1], "set") && (!i || !streq(words[i - 1], "ct")))
            return true;
    return false;
}

static int take_line(char *line, const char *file, unsigned number, struct place *place, struct director_config *config,
                     struct import_report *report)
{
    struct draft draft = {.rule = mark_rule_default()};
    struct error error = {0};
    char *words[WORDS_MAX];
    size_t n = split(line, words);
    int result;

    if (is(words, n, 0, "table"))
        place->ipv6 = is(words, n, 1, "ip6");
    else if (is(words, n, 0, "chain"))
        place->is_prerouting = false;
    else if (is(words, n, 0, "type") && is(words, n, 2, "hook"))
        place->is_prerouting = is(words, n, 3, "prerouting");
    if (!sets_a_mark(words, n))
        return 0;
    if (!place->is_prerouting) {
        import_note(report, file, number, "only chains with hook prerouting see what a director does");
        return 0;
    }
    draft.rule.ipv6 = place->ipv6;
    for (size_t i = 0; i < n; i++) {
        long last;

        if (streq(words[i], "comment"))
            break;
        last = take(&draft, words, n, i);
        if (last < 0) {
            import_note(report, file, number, "%s: it is not supported; the rule is left out", words[i]);
            return 0;
        }
        i = (size_t)last;
    }
    result = draft_commit(&draft, config, &error);
    if (result == -EINVAL)
        import_note(report, file, number, "the rule is left out: %s: %s", error.field, error.message);
    return result == -EINVAL ? 0 : result;
}

int import_nft(char *text, const char *file, struct director_config *config, struct import_report *report)
{
    struct place place = {0};
    unsigned number = 0;

    while (text && *text) {
        char *line = text, *end = strchr(text, '\n');
        int result;

        text = end ? end + 1 : NULL;
        if (end)
            *end = 0;
        result = take_line(line, file, ++number, &place, config, report);
        if (result < 0)
            return result;
    }
    return 0;
}
