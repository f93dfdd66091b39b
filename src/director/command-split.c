/* A command line's words, without a shell: see question.h. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "weft/director/question.h"

/* Copies one word and moves both cursors behind it.  False: a quote is open. */
static bool take_word(const char **line, char **at)
{
    char quote = 0;

    for (; **line && (quote || !strchr(" \t\n", **line)); (*line)++) {
        char c = **line;

        if (quote ? c == quote : c == '"' || c == '\'')
            quote = quote ? 0 : c;
        else if (c == '\\' && quote != '\'' && (*line)[1])
            *(*at)++ = *++(*line);
        else
            *(*at)++ = c;
    }
    *(*at)++ = '\0';
    return !quote;
}

int command_split(const char *line, char ***ret_arguments)
{
    size_t length = strlen(line), n = 0;
    char **arguments = malloc((length / 2 + 2) * sizeof(*arguments) + 2 * length + 2), *at; /* Words are blanks apart. */

    if (!arguments)
        return -ENOMEM;
    at = (char *)(arguments + length / 2 + 2);
    for (line += strspn(line, " \t\n"); *line; line += strspn(line, " \t\n")) {
        arguments[n++] = at;
        if (!take_word(&line, &at)) {
            free(arguments);
            return -EINVAL;
        }
    }
    if (n == 0) {
        free(arguments);
        return -EINVAL;
    }
    arguments[n] = NULL;
    *ret_arguments = arguments;
    return 0;
}
