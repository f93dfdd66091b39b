#include "weft/director/keepalived/sequence.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "weft/base/util.h"

#define BLANKS " \t\r"

bool sequence_is_one(const char *line)
{
    return !strncmp(line, "~SEQ", 4) || !strncmp(line, "~LST", 4);
}

void sequence_clear(struct sequence *sequence)
{
    free(sequence->values);
    sequence->values = NULL;
}

/* The piece up to one of 'ends' without blanks behind it, cut off; '*ret_end' is the end that it had.  '*at' goes behind that, and behind blanks. */
static const char *cut_piece(char **at, const char *ends, char *ret_end)
{
    char *piece = *at, *end = piece + strcspn(piece, ends), *last = end;

    *ret_end = *end;
    *at = end + (*end != 0);
    *at += strspn(*at, BLANKS);
    while (last > piece && strchr(BLANKS, last[-1]))
        last--;
    *last = 0;
    return piece;
}

/* A piece that is one word. */
static const char *cut_word(char **at, const char *ends, char *ret_end)
{
    const char *word = cut_piece(at, ends, ret_end);

    return word[strcspn(word, BLANKS "{")] ? NULL : word;
}

/* ---- ~SEQ ---------------------------------------------------------------------------------------------------------- */

/* Decimal, "0x10" or "010"; nothing is 0. */
static bool read_number(const char *text, long long *ret)
{
    char *end;

    errno = 0;
    *ret = strtoll(text, &end, 0);
    return !errno && !*end;
}

static bool has_direction(const struct sequence *sequence)
{
    return sequence->step && (sequence->next >= sequence->last || sequence->step > 0) && (sequence->next <= sequence->last || sequence->step < 0);
}

static int parse_numbers(char *at, struct sequence *ret)
{
    long long numbers[3];
    size_t n = 0;
    char end;

    ret->names[0] = cut_word(&at, ",)", &end);
    ret->n_names = 1;
    if (!ret->names[0] || !*ret->names[0] || end != ',')
        return -EINVAL;
    for (; end == ','; n++)
        if (n == ARRAY_SIZE(numbers) || !read_number(cut_piece(&at, ",)", &end), &numbers[n]))
            return -EINVAL;
    if (end != ')')
        return -EINVAL;
    ret->last = numbers[n - 1];
    ret->next = n > 1 ? numbers[0] : ret->last < 0 ? -1 : 1;
    ret->step = n == 3 ? numbers[1] : ret->next <= ret->last ? 1 : -1;
    return has_direction(ret) && !(ret->is_hexadecimal && (ret->next < 0 || ret->last < 0)) ? 0 : -EINVAL;
}

/* ---- ~LST ---------------------------------------------------------------------------------------------------------- */

static int parse_names(char **at, struct sequence *ret)
{
    bool is_braced = **at == '{';
    char end;

    if (is_braced)
        *at += 1 + strspn(*at + 1, BLANKS);
    do {
        if (ret->n_names == SEQUENCE_NAMES_MAX)
            return -E2BIG;
        ret->names[ret->n_names] = cut_word(at, ",})", &end);
        if (!ret->names[ret->n_names] || !*ret->names[ret->n_names])
            return -EINVAL;
        ret->n_names++;
    } while (is_braced && end == ',');
    if (!is_braced)
        return end == ',' ? 0 : -EINVAL;
    if (end != '}' || **at != ',')
        return -EINVAL;
    *at += 1 + strspn(*at + 1, BLANKS);
    return 0;
}

static int add_value(struct sequence *sequence, const char *value)
{
    if (sequence->n_values == SEQUENCE_VALUES_MAX)
        return -E2BIG;
    if (!(sequence->n_values & (sequence->n_values - 1))) { /* It was full. */
        const char **values = reallocarray(sequence->values, sequence->n_values ? 2 * sequence->n_values : 1, sizeof(*values));

        if (!values)
            return -ENOMEM;
        sequence->values = values;
    }
    sequence->values[sequence->n_values++] = value;
    return 0;
}

/* "1" or "{1, x}", and what follows it in '*ret_end'. */
static int parse_turn(char **at, struct sequence *ret, char *ret_end)
{
    bool is_braced = **at == '{';
    size_t n = 0;
    int r = 0;

    if (is_braced)
        *at += 1 + strspn(*at + 1, BLANKS);
    do {
        const char *value = cut_word(at, ",})", ret_end);

        if (!value || n++ == ret->n_names)
            return -EINVAL;
        r = add_value(ret, value);
    } while (r == 0 && is_braced && *ret_end == ',');
    for (; r == 0 && n < ret->n_names; n++)
        r = add_value(ret, "");
    if (r < 0 || !is_braced)
        return r;
    if (*ret_end != '}')
        return -EINVAL;
    *ret_end = **at;
    *at += **at != 0;
    *at += strspn(*at, BLANKS);
    return 0;
}

static int parse_list(char *at, struct sequence *ret)
{
    int r = parse_names(&at, ret);
    char end = ',';

    while (r == 0 && end == ',')
        r = parse_turn(&at, ret, &end);
    return r == 0 && end != ')' ? -EINVAL : r;
}

int sequence_parse(char *text, struct sequence *ret)
{
    bool is_list = !strncmp(text, "~LST", 4);

    *ret = (struct sequence){.is_hexadecimal = !is_list && text[4] == 'x'};
    text += 4 + ret->is_hexadecimal;
    text += strspn(text, BLANKS);
    if (*text != '(')
        return -EINVAL;
    text += 1 + strspn(text + 1, BLANKS);
    return is_list ? parse_list(text, ret) : parse_numbers(text, ret);
}

bool sequence_next(struct sequence *sequence, const char *ret_values[SEQUENCE_NAMES_MAX])
{
    if (sequence->values) {
        if (sequence->n_taken == sequence->n_values)
            return false;
        memcpy(ret_values, sequence->values + sequence->n_taken, sequence->n_names * sizeof(*ret_values));
        sequence->n_taken += sequence->n_names;
        return true;
    }
    if (sequence->is_over)
        return false;
    snprintf(sequence->number, sizeof(sequence->number), sequence->is_hexadecimal ? "%llx" : "%lld", sequence->next);
    ret_values[0] = sequence->number;
    sequence->is_over = __builtin_add_overflow(sequence->next, sequence->step, &sequence->next) ||
                        (sequence->step > 0 ? sequence->next > sequence->last : sequence->next < sequence->last);
    return true;
}
