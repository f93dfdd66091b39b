#include "weft/director/keepalived/tree.h"

#include <errno.h>
#include <glob.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "weft/base/utf8.h"
#include "weft/base/util.h"
#include "weft/director/keepalived/sequence.h"
#include "weft/director/keepalived/words.h"

struct definition {
    char *name, *value; /* Of several lines: with '\n' between. */
};

struct keepalived_tree {
    struct statement root;
    char **files;
    size_t n_files;
};

/* Reading: where we are. */
struct reader {
    struct keepalived_tree *tree;
    const struct keepalived_source *source;
    struct import_report *report;
    struct error *error;
    struct statement *block; /* In which braces. */
    struct definition *definitions;
    size_t n_definitions;
    size_t n_statements, n_bytes, n_turns;
    const char *file;
    unsigned line, depth, block_depth;
};

/* ---- The tree. ---- */

static void statement_free(struct statement *statement)
{
    for (size_t i = 0; i < statement->n_words; i++)
        free(statement->words[i]);
    free(statement->words);
    free(statement);
}

/* From the leaves up, without recursion. */
void keepalived_tree_free(struct keepalived_tree *tree)
{
    struct statement *statement;

    if (!tree)
        return;
    while ((statement = tree->root.first)) {
        while (statement->first)
            statement = statement->first;
        statement->parent->first = statement->next;
        statement_free(statement);
    }
    for (size_t i = 0; i < tree->n_files; i++)
        free(tree->files[i]);
    free(tree->files);
    free(tree);
}

const struct statement *keepalived_tree_root(const struct keepalived_tree *tree)
{
    return &tree->root;
}

static int fail(struct reader *reader, int code, const char *what)
{
    return error_set(reader->error, code, NULL, "%s:%u: %s", reader->file, reader->line, what);
}

/* What is kept is text: a director's file is JSON. */
static void make_text(struct reader *reader, char *word)
{
    if (utf8_is_valid(word, strlen(word)))
        return;
    for (char *at = word; *at; at++)
        if (*at & 0x80)
            *at = '?';
    import_note(reader->report, reader->file, reader->line, "%s: it is not UTF-8; bytes beyond ASCII became '?'", word);
}

/* Takes the words over. */
static int add_statement(struct reader *reader, struct word *words, size_t n)
{
    struct statement *statement = calloc(1, sizeof(*statement));

    if (statement)
        statement->words = calloc(n, sizeof(*statement->words));
    if (!statement || !statement->words) {
        free(statement);
        return fail(reader, -ENOMEM, "out of memory");
    }
    if (++reader->n_statements > KEEPALIVED_STATEMENTS_MAX) {
        statement_free(statement);
        return fail(reader, -E2BIG, "there are too many statements");
    }
    statement->file = reader->file;
    statement->line = reader->line;
    statement->parent = reader->block;
    statement->n_words = n;
    for (size_t i = 0; i < n; i++) {
        statement->words[i] = TAKE_PTR(words[i].text);
        make_text(reader, statement->words[i]);
    }
    if (reader->block->last)
        reader->block->last->next = statement;
    else
        reader->block->first = statement;
    reader->block->last = statement;
    return 0;
}

static int open_block(struct reader *reader)
{
    if (!reader->block->last)
        return fail(reader, -EINVAL, "'{' without a word before it");
    if (++reader->block_depth > KEEPALIVED_DEPTH_MAX)
        return fail(reader, -E2BIG, "braces are too deep");
    reader->block = reader->block->last;
    return 0;
}

static int close_block(struct reader *reader)
{
    if (!reader->block->parent)
        return fail(reader, -EINVAL, "'}' without '{'");
    reader->block_depth--;
    reader->block = reader->block->parent;
    return 0;
}

static bool is_brace(const struct word *word)
{
    return !word->is_quoted && (streq(word->text, "{") || streq(word->text, "}"));
}

static int add_words(struct reader *reader, struct word *words, size_t n)
{
    size_t start = 0;

    for (size_t i = 0; i <= n; i++) {
        int result = 0;

        if (i < n && !is_brace(&words[i]))
            continue;
        if (i > start)
            result = add_statement(reader, words + start, i - start);
        if (result == 0 && i < n)
            result = *words[i].text == '{' ? open_block(reader) : close_block(reader);
        if (result < 0)
            return result;
        start = i + 1;
    }
    return 0;
}

/* ---- Definitions. ---- */

static bool is_name(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

static const char *find_definition(const struct reader *reader, const char *name, size_t length)
{
    for (size_t i = reader->n_definitions; i > 0; i--)
        if (strlen(reader->definitions[i - 1].name) == length && !memcmp(reader->definitions[i - 1].name, name, length))
            return reader->definitions[i - 1].value;
    return NULL;
}

static int define(struct reader *reader, const char *name, size_t length, const char *value)
{
    struct definition *definitions = NULL, *definition;
    char *copy = strdup(value);

    for (size_t i = 0; copy && i < reader->n_definitions; i++) {
        definition = &reader->definitions[i];
        if (strlen(definition->name) == length && !memcmp(definition->name, name, length)) {
            free(definition->value);
            definition->value = copy;
            return 0;
        }
    }
    if (copy)
        definitions = reallocarray(reader->definitions, reader->n_definitions + 1, sizeof(*definitions));
    if (definitions) {
        reader->definitions = definitions;
        definition = &definitions[reader->n_definitions];
        definition->name = strndup(name, length);
        definition->value = copy;
        if (definition->name) {
            reader->n_definitions++;
            return 0;
        }
    }
    free(copy);
    return fail(reader, -ENOMEM, "out of memory");
}

/* Length of the name in "$NAME=..." at the line's beginning, or 0. */
static size_t defined_name(const char *line)
{
    size_t length = 1;

    if (*line != '$')
        return 0;
    while (is_name(line[length]))
        length++;
    return length > 1 && line[length] == '=' ? length - 1 : 0;
}

/* Puts definitions in for "$NAME" and "${NAME}"; '*ret_used' says whether there was one.  What is not defined stays. */
static int substitute(struct reader *reader, const char *line, struct buffer *out, bool *ret_used)
{
    char folder[PATH_MAX];

    *ret_used = false;
    while (*line) {
        const char *dollar = strchrnul(line, '$'), *name = dollar + 1, *end, *value = NULL;
        const char *slash = strrchr(reader->file, '/');
        bool is_braced = *dollar && *name == '{';

        if (buffer_append(out, line, (size_t)(dollar - line)) < 0)
            return fail(reader, -ENOMEM, "out of memory");
        if (!*dollar)
            return 0;
        name += is_braced;
        for (end = name; is_name(*end);)
            end++;
        if (end > name && (!is_braced || *end == '}'))
            value = find_definition(reader, name, (size_t)(end - name));
        if (is_braced && !strncmp(name, "_PWD}", 5)) {
            snprintf(folder, sizeof(folder), "%.*s", slash ? (int)MIN(slash - reader->file, PATH_MAX - 1) : 1,
                     slash ? reader->file : ".");
            value = folder;
        } else if (is_braced && !strncmp(name, "_HASH}", 6)) {
            value = "\\#";
        } else if (is_braced && !strncmp(name, "_BANG}", 6)) {
            value = "\\!";
        }
        if (!value) {
            if (buffer_append(out, "$", 1) < 0)
                return fail(reader, -ENOMEM, "out of memory");
            line = dollar + 1;
            continue;
        }
        *ret_used = true;
        if (buffer_append(out, value, strlen(value)) < 0)
            return fail(reader, -ENOMEM, "out of memory");
        line = end + is_braced;
        if (out->size > KEEPALIVED_DEFINED_MAX)
            return fail(reader, -E2BIG, "definitions make it too long");
    }
    return 0;
}

/* ---- Lines. ---- */

static int read_text(struct reader *reader, char *text, bool counts_lines);

static int read_file(struct reader *reader, const char *path)
{
    _cleanup_(buffer_clear) struct buffer text = {0};
    const char *file = reader->file;
    unsigned line = reader->line;
    char **files, *name;
    int result = reader->source->read(path, &text, reader->source->context);

    if (result < 0)
        return result;
    if (reader->depth >= KEEPALIVED_DEPTH_MAX)
        return fail(reader, -E2BIG, "includes are too deep");
    if (buffer_append(&text, "", 1) < 0)
        return fail(reader, -ENOMEM, "out of memory");
    files = reallocarray(reader->tree->files, reader->tree->n_files + 1, sizeof(*files));
    name = files ? strdup(path) : NULL;
    if (files)
        reader->tree->files = files;
    if (!name)
        return fail(reader, -ENOMEM, "out of memory");
    reader->file = files[reader->tree->n_files++] = name;
    reader->line = 0;
    reader->depth++;
    result = read_text(reader, text.data, true);
    reader->depth--;
    if (reader->depth) { /* The first file's name is needed to the end. */
        reader->file = file;
        reader->line = line;
    }
    return result;
}

struct included {
    struct reader *reader;
    size_t n;
};

static int include_one(const char *path, void *context)
{
    struct included *included = context;
    struct reader *reader = included->reader;
    int code = reader->error ? reader->error->code : 0, result = read_file(reader, path);

    included->n++;
    if (result < 0 && (!reader->error || reader->error->code == code) && result != -E2BIG && result != -ENOMEM &&
        result != -EINVAL) {
        import_note(reader->report, reader->file, reader->line, "%s is not read: %s", path, strerror(-result));
        return 0;
    }
    return result;
}

static int include(struct reader *reader, const char *pattern)
{
    struct included included = {.reader = reader};
    const char *slash = strrchr(reader->file, '/');
    char path[PATH_MAX];
    int result;

    if (*pattern == '/' || !slash)
        snprintf(path, sizeof(path), "%s", pattern);
    else if (snprintf(path, sizeof(path), "%.*s%s", (int)(slash + 1 - reader->file), reader->file, pattern) >=
             (int)sizeof(path))
        return fail(reader, -E2BIG, "the path is too long");
    result = reader->source->expand(path, include_one, &included, reader->source->context);
    if (result == 0 && !included.n)
        import_note(reader->report, reader->file, reader->line, "include %s: there is no such file", pattern);
    return result;
}

static bool is_include(const char *word)
{
    static const char *const words[] = {"include", "includer", "includem", "includew", "includeb", "includea"};

    for (size_t i = 0; i < ARRAY_SIZE(words); i++)
        if (streq(word, words[i]))
            return true;
    return false;
}

/* A line that is complete: no comment, no condition, no definition is left. */
static int read_words(struct reader *reader, const char *line)
{
    struct word words[KEEPALIVED_WORDS_MAX];
    size_t n;
    int result = keepalived_split(line, words, ARRAY_SIZE(words), &n);

    if (result == -E2BIG)
        fail(reader, result, "the line has too many words");
    else if (result < 0)
        fail(reader, result, "out of memory");
    else if (n == 2 && is_include(words[0].text))
        result = include(reader, words[1].text);
    else
        result = add_words(reader, words, n);
    for (size_t i = 0; i < n; i++)
        free(words[i].text);
    return result;
}

/* Whether lines that begin with "@id" and "@^id" count; '*line' is then behind that. */
static bool is_for_us(const struct reader *reader, char **line)
{
    const char *id = reader->source->config_id;

    while (**line == '@') {
        char *word = *line + 1;
        bool is_negative = *word == '^', is_same;
        size_t length;

        word += is_negative;
        length = strcspn(word, " \t");
        is_same = id && strlen(id) == length && !memcmp(id, word, length);
        if (is_same == is_negative)
            return false;
        *line = word + length;
        *line += strspn(*line, " \t");
    }
    return true;
}

static int read_line(struct reader *reader, char *line);

/* The text behind a sequence once a turn: a line that may be another sequence.  What the names were defined as last stays, as keepalived has it. */
static int read_turns(struct reader *reader, struct sequence *sequence, const char *text)
{
    const char *values[SEQUENCE_NAMES_MAX];
    int result = 0;

    if (reader->depth >= KEEPALIVED_DEPTH_MAX)
        return fail(reader, -E2BIG, "sequences are too deep");
    reader->depth++;
    while (result == 0 && sequence_next(sequence, values)) {
        _cleanup_(freep) char *line = strdup(text);

        if (!line)
            return fail(reader, -ENOMEM, "out of memory");
        reader->n_bytes += strlen(line);
        if (++reader->n_turns > KEEPALIVED_TURNS_MAX || reader->n_bytes > KEEPALIVED_DEFINED_MAX)
            return fail(reader, -E2BIG, "sequences make it too long");
        for (size_t i = 0; result == 0 && i < sequence->n_names; i++)
            result = define(reader, sequence->names[i], strlen(sequence->names[i]), values[i]);
        if (result == 0)
            result = read_line(reader, line);
    }
    reader->depth--;
    return result;
}

/* Numbers may be definitions; a list's values are looked at when they are used. */
static int read_sequence(struct reader *reader, const char *line)
{
    _cleanup_(buffer_clear) struct buffer head = {0};
    _cleanup_(sequence_clear) struct sequence sequence = {0};
    const char *end = strchr(line, ')');
    _cleanup_(freep) char *written = end ? strndup(line, (size_t)(end + 1 - line)) : NULL;
    bool used;
    int result;

    if (!end) {
        import_note(reader->report, reader->file, reader->line, "%.80s: it has no ')'", line);
        return 0;
    }
    if (!written)
        return fail(reader, -ENOMEM, "out of memory");
    result = line[1] == 'S' ? substitute(reader, written, &head, &used) : buffer_append(&head, written, strlen(written));
    if (result == 0)
        result = buffer_append(&head, "", 1);
    if (result < 0)
        return result == -ENOMEM ? fail(reader, result, "out of memory") : result;
    result = sequence_parse(head.data, &sequence);
    if (result == -EINVAL) {
        import_note(reader->report, reader->file, reader->line, "%.80s: it is not a sequence", written);
        return 0;
    }
    if (result < 0)
        return fail(reader, result, result == -E2BIG ? "the list is too long" : "out of memory");
    return read_turns(reader, &sequence, end + 1);
}

static int read_line(struct reader *reader, char *line)
{
    _cleanup_(buffer_clear) struct buffer whole = {0};
    bool used;
    int result;

    line += strspn(line, " \t\r");
    if (!is_for_us(reader, &line))
        return 0;
    if (defined_name(line)) {
        size_t length = defined_name(line);
        char *value = line + length + 2;

        if (!strchr(value, '\n')) {
            keepalived_cut_comment(value);
            for (size_t end = strlen(value); end && strchr(" \t\r", value[end - 1]); end--)
                value[end - 1] = 0;
        }
        return define(reader, line + 1, length, value);
    }
    keepalived_cut_comment(line);
    if (!*line)
        return 0;
    if (sequence_is_one(line))
        return read_sequence(reader, line);
    result = substitute(reader, line, &whole, &used);
    if (result < 0)
        return result;
    if (!used)
        return read_words(reader, line);
    reader->n_bytes += whole.size;
    if (reader->n_bytes > KEEPALIVED_DEFINED_MAX || reader->depth >= KEEPALIVED_DEPTH_MAX)
        return fail(reader, -E2BIG, "definitions are too deep or make it too long");
    if (buffer_append(&whole, "", 1) < 0)
        return fail(reader, -ENOMEM, "out of memory");
    reader->depth++;
    result = read_text(reader, whole.data, false);
    reader->depth--;
    return result;
}

/* Whether the line goes on in the next; then its last backslash is gone. */
static bool goes_on(char *line)
{
    size_t length = strlen(line);

    while (length && strchr(" \t\r", line[length - 1]))
        length--;
    if (!length || line[length - 1] != '\\')
        return false;
    line[length - 1] = 0;
    return true;
}

/* Text of a file (which counts lines) or of a definition, changed on the way.  A definition whose line ends with '\'
 * has the next one, too. */
static int read_text(struct reader *reader, char *text, bool counts_lines)
{
    while (text && *text) {
        char *line = text, *end = strchr(text, '\n');
        char *start = line + strspn(line, " \t\r");
        int result;

        text = end ? end + 1 : NULL;
        if (end)
            *end = 0;
        reader->line += counts_lines;
        if (is_for_us(reader, &start) && defined_name(start)) {
            char *last = line;

            while (text && goes_on(last)) { /* The lines become one text: the next one is right behind it. */
                char *gap = last + strlen(last);

                memset(gap, ' ', (size_t)(text - 1 - gap));
                text[-1] = '\n';
                last = text;
                end = strchr(text, '\n');
                if (end)
                    *end = 0;
                text = end ? end + 1 : NULL;
                reader->line += counts_lines;
            }
        }
        result = read_line(reader, line);
        if (result < 0)
            return result;
    }
    return 0;
}

int keepalived_tree_read(const char *path, const struct keepalived_source *source, struct import_report *report,
                         struct keepalived_tree **ret_tree, struct error *error)
{
    _cleanup_(keepalived_tree_freep) struct keepalived_tree *tree = calloc(1, sizeof(*tree));
    struct reader reader = {.tree = tree, .source = source, .report = report, .error = error, .file = path};
    int result;

    if (!tree)
        return error_set(error, -ENOMEM, NULL, "out of memory");
    reader.block = &tree->root;
    result = read_file(&reader, path);
    if (result < 0)
        error_set(error, result, NULL, "%s: %s", path, strerror(-result));
    if (result == 0 && reader.block->parent)
        result = error_set(error, -EINVAL, NULL, "%s:%u: '{' is not closed", reader.block->file, reader.block->line);
    for (size_t i = 0; i < reader.n_definitions; i++) {
        free(reader.definitions[i].name);
        free(reader.definitions[i].value);
    }
    free(reader.definitions);
    if (result < 0)
        return result;
    *ret_tree = TAKE_PTR(tree);
    return 0;
}

/* ---- Files. ---- */

static int read_from_disk(const char *path, struct buffer *text, void *context)
{
    FILE *file = fopen(path, "re");
    int result = file ? 0 : -errno;
    char part[65536];
    size_t n;

    (void)context;
    if (!file)
        return result;
    while (result == 0 && (n = fread(part, 1, sizeof(part), file)) > 0)
        result = text->size + n > KEEPALIVED_FILE_MAX ? -EFBIG : buffer_append(text, part, n);
    if (result == 0 && ferror(file))
        result = errno ? -errno : -EIO;
    fclose(file);
    return result;
}

static int expand_on_disk(const char *pattern, int (*found)(const char *path, void *found_context), void *found_context,
                          void *context)
{
    glob_t paths;
    int result = 0;

    (void)context;
    switch (glob(pattern, GLOB_MARK | GLOB_BRACE, NULL, &paths)) {
    case 0:
        break;
    case GLOB_NOMATCH:
        return 0;
    default:
        return -ENOMEM;
    }
    for (size_t i = 0; result == 0 && i < paths.gl_pathc; i++)
        if (paths.gl_pathv[i][strlen(paths.gl_pathv[i]) - 1] != '/')
            result = found(paths.gl_pathv[i], found_context);
    globfree(&paths);
    return result;
}

const struct keepalived_source keepalived_files = {.read = read_from_disk, .expand = expand_on_disk};
