#include "weft/director/ipvsadm/words.h"

#include <string.h>

#include "weft/base/util.h"

static const struct word_option *find_letter(const struct words *words, char letter)
{
    for (const struct word_option *option = words->options; option->name; option++)
        if (option->letter && option->letter == letter)
            return option;
    return NULL;
}

static const struct word_option *find_name(const struct words *words, const char *name, size_t length)
{
    for (const struct word_option *option = words->options; option->name; option++)
        if (strlen(option->name) == length && !memcmp(option->name, name, length))
            return option;
    return NULL;
}

/* The next word as a value; one that is optional is not taken from what looks like an option. */
static int take_value(struct words *words, const struct word_option *option)
{
    const char *next = *words->argv;

    if (option->value == VALUE_NONE || (option->value == VALUE_OPTIONAL && (!next || *next == '-')))
        return option->id;
    if (!next)
        return WORDS_NO_VALUE;
    words->value = next;
    words->argv++;
    return option->id;
}

static int next_long(struct words *words, const char *word)
{
    const char *equals = strchr(word + 2, '=');
    const struct word_option *option =
        find_name(words, word + 2, equals ? (size_t)(equals - word - 2) : strlen(word + 2));

    words->bad = word;
    if (!option)
        return WORDS_UNKNOWN;
    if (!equals)
        return take_value(words, option);
    if (option->value != VALUE_NONE)
        words->value = equals + 1;
    return option->id;
}

static int next_short(struct words *words)
{
    const struct word_option *option = find_letter(words, *words->cluster);

    words->bad = words->word;
    if (!option)
        return WORDS_UNKNOWN;
    words->cluster++;
    if (!*words->cluster || option->value == VALUE_NONE) {
        if (!*words->cluster)
            words->cluster = NULL;
        return words->cluster ? option->id : take_value(words, option);
    }
    words->value = words->cluster + (*words->cluster == '=');
    words->cluster = NULL;
    return option->id;
}

int words_next(struct words *words)
{
    words->value = NULL;
    if (words->cluster)
        return next_short(words);
    for (const char *word; (word = *words->argv);) {
        words->argv++;
        if (streq(word, "--")) { /* What is behind it is no option. */
            for (; *words->argv; words->argv++)
                if (words->n_rest < ARRAY_SIZE(words->rest))
                    words->rest[words->n_rest++] = *words->argv;
            return WORDS_END;
        }
        if (word[0] == '-' && word[1] == '-' && word[2])
            return next_long(words, word);
        if (word[0] == '-' && word[1] && word[1] != '-') {
            words->word = word;
            words->cluster = word + 1;
            return next_short(words);
        }
        if (words->n_rest < ARRAY_SIZE(words->rest))
            words->rest[words->n_rest++] = word;
    }
    return WORDS_END;
}
