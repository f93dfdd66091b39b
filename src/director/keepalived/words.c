#include "weft/director/keepalived/words.h"

#include <errno.h>
#include <string.h>

#include "weft/base/buffer.h"

void keepalived_cut_comment(char *line)
{
    char quote = 0;

    for (char *at = line; *at; at++) {
        if (*at == '\\' && at[1] && (quote || at[1] == '#' || at[1] == '!'))
            at++;
        else if (quote)
            quote = *at == quote ? 0 : quote;
        else if (*at == '"' || *at == '\'')
            quote = *at;
        else if (*at == '#' || *at == '!') {
            *at = 0;
            return;
        }
    }
}

static int digit(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : 99;
}

static int number(const char **at, int base, int most)
{
    int value = 0;

    for (int n = 0; n < most && digit(**at) < base; n++, (*at)++)
        value = (value * base + digit(**at)) & 0xff;
    return value;
}

/* What stands for an escape; '*at' is behind the backslash, and then behind the escape. */
static char unescape(const char **at)
{
    static const char letters[] = "abEfnrtv", values[] = "\a\b\033\f\n\r\t\v";
    const char *letter = strchr(letters, **at);

    if (**at >= '0' && **at <= '7')
        return (char)number(at, 8, 3);
    if (**at == 'x' && digit((*at)[1]) < 16) {
        (*at)++;
        return (char)number(at, 16, 64);
    }
    if (**at == 'c' && (*at)[1]) {
        *at += 2;
        return (char)((*at)[-1] & 0x1f);
    }
    return letter ? ((*at)++, values[letter - letters]) : *(*at)++;
}

/* One word from '*at' on.  'unescapes': also outside of quotes. */
static int take_word(const char **at, bool unescapes, struct word *word)
{
    _cleanup_(buffer_clear) struct buffer text = {0};
    char quote = 0;

    word->is_quoted = false;
    while (**at && (quote || !strchr(" \t\r", **at))) {
        char c = *(*at)++;

        if (c == '\\' && !quote && (**at == '#' || **at == '!')) {
            c = *(*at)++;
        } else if (c == '\\' && **at && (quote || unescapes)) {
            c = unescape(at);
        } else if (quote ? c == quote : c == '"' || c == '\'') {
            quote = quote ? 0 : c;
            word->is_quoted = true;
            continue;
        }
        if (c && buffer_append(&text, &c, 1) < 0)
            return -ENOMEM;
    }
    if (!buffer_string(&text))
        return -ENOMEM;
    word->text = TAKE_PTR(text.data);
    text.size = text.capacity = 0;
    return 0;
}

int keepalived_split(const char *line, struct word *words, size_t maximum, size_t *ret_n)
{
    *ret_n = 0;
    for (;;) {
        int result;

        line += strspn(line, " \t\r");
        if (!*line)
            return 0;
        if (*ret_n == maximum)
            return -E2BIG;
        result = take_word(&line, *ret_n && !strcmp(words[0].text, "regex"), &words[*ret_n]);
        if (result < 0)
            return result;
        ++*ret_n;
    }
}
