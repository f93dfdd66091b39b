#include "weft/cli/output.h"

#include <errno.h>
#include <libsmartcols.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "weft/base/buffer.h"
#include "weft/base/cleanup.h"
#include "weft/base/util.h"

#define MAX_COLUMNS 64

bool output_has_colour(void)
{
    const char *no_colour = getenv("NO_COLOR");

    return isatty(STDOUT_FILENO) && !(no_colour && *no_colour);
}

static const char *format_of(const struct call *call)
{
    const char *format = call_flag(call, "output");

    return format ? format : "table";
}

bool output_is_table(const struct call *call)
{
    return streq(format_of(call), "table");
}

/* ---- values as text ---------------------------------------------------------------------------------------------- */

/* Objects that stand in lists of the API, as a person would write them: first attribute, what stands between, second. */
static const struct {
    const char *first, *between, *second;
    bool second_is_optional;
} pairs[] = {
    {"start", "-", "end", false},
    {"destination", " via ", "nexthop", false},
    {"opt_name", "=", "opt_value", false},
    {"ip_address", "=", "mac_address", true},
};

static int append_value(struct buffer *buffer, const json_t *value, const char *separator);

static int append_json(struct buffer *buffer, const json_t *value)
{
    _cleanup_(freep) char *text = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY | JSON_SORT_KEYS);

    return text ? buffer_append_string(buffer, text) : -ENOMEM;
}

static int append_object(struct buffer *buffer, const json_t *object)
{
    for (size_t i = 0; i < ARRAY_SIZE(pairs); i++) {
        const char *first = json_string_value(json_object_get(object, pairs[i].first));
        const char *second = json_string_value(json_object_get(object, pairs[i].second));

        if (first && (second || pairs[i].second_is_optional))
            return buffer_printf(buffer, "%s%s%s", first, second ? pairs[i].between : "", second ? second : "");
    }
    return append_json(buffer, object);
}

static int append_array(struct buffer *buffer, const json_t *array, const char *separator)
{
    const json_t *item;
    size_t i;

    json_array_foreach (array, i, item) {
        int r = i ? buffer_append_string(buffer, separator) : 0;

        if (r >= 0)
            r = append_value(buffer, item, ", ");
        if (r < 0)
            return r;
    }
    return 0;
}

static int append_value(struct buffer *buffer, const json_t *value, const char *separator)
{
    switch (value ? json_typeof(value) : JSON_NULL) {
    case JSON_NULL:
        return 0;
    case JSON_STRING:
        return buffer_append_string(buffer, json_string_value(value));
    case JSON_OBJECT:
        return json_object_size(value) ? append_object(buffer, value) : 0;
    case JSON_ARRAY:
        return append_array(buffer, value, separator);
    default:
        return append_json(buffer, value);
    }
}

char *output_cell(const json_t *value, const char *separator)
{
    struct buffer buffer = {0};

    if (append_value(&buffer, value, separator) < 0 || !buffer_string(&buffer)) {
        buffer_clear(&buffer);
        return NULL;
    }
    return buffer.data;
}

/* ---- the columns asked for --------------------------------------------------------------------------------------- */

struct selection {
    struct column columns[MAX_COLUMNS + 1];
    size_t n;
    bool is_explicit;
};

static bool has_attribute(const json_t *objects, const char *attribute)
{
    const json_t *object;
    size_t i;

    json_array_foreach (objects, i, object)
        if (json_object_get(object, attribute))
            return true;
    return false;
}

/* -c takes the attribute's name, or the heading in any case. */
static const char *attribute_named(const struct column *columns, const json_t *objects, const char *text)
{
    if (has_attribute(objects, text))
        return text;
    for (; columns && columns->heading; columns++)
        if (strcasecmp(columns->heading, text) == 0 || streq(columns->attribute, text))
            return columns->attribute;
    return json_array_size(objects) == 0 ? text : NULL;
}

static int select_columns(struct call *call, const json_t *objects, const struct column *columns,
                          struct selection *selection)
{
    for (size_t i = 0; i < call->n_values && selection->n < MAX_COLUMNS; i++) {
        const char *text = call->values[i].text, *attribute;

        if (!streq(call->values[i].flag->name, "column"))
            continue;
        attribute = attribute_named(columns, objects, text);
        if (!attribute)
            return error_set(&call->error, -EINVAL, "column", "--column: there is no attribute '%s'", text);
        selection->columns[selection->n++] = (struct column){attribute, text};
        selection->is_explicit = true;
    }
    for (; !selection->is_explicit && columns && columns->heading && selection->n < MAX_COLUMNS; columns++)
        selection->columns[selection->n++] = *columns;
    return 0;
}

static json_t *project(const json_t *object, const struct selection *selection)
{
    json_t *result = json_object();

    for (size_t i = 0; i < selection->n; i++) {
        json_t *value = json_object_get(object, selection->columns[i].attribute);

        json_object_set_new(result, selection->columns[i].attribute, value ? json_incref(value) : json_null());
    }
    return result;
}

/* ---- tables ------------------------------------------------------------------------------------------------------ */

static void scols_unref_tablep(struct libscols_table **table)
{
    scols_unref_table(*table);
}

static struct libscols_table *table_new(void)
{
    struct libscols_table *table = scols_new_table();

    if (table) {
        scols_table_enable_colors(table, output_has_colour());
        scols_table_set_column_separator(table, "  ");
    }
    return table;
}

static int table_column(struct libscols_table *table, const char *heading)
{
    struct libscols_column *column = scols_table_new_column(table, heading, 0, 0);

    if (!column)
        return -ENOMEM;
    return scols_cell_set_color(scols_column_get_header(column), "\033[1m");
}

static const char *colour_of(const char *text)
{
    static const struct {
        const char *text, *colour;
    } colours[] = {
        {"ACTIVE", "\033[32m"}, {"up", "\033[32m"}, {"DOWN", "\033[33m"}, {"down", "\033[31m"}, {"ERROR", "\033[31m"},
    };

    for (size_t i = 0; i < ARRAY_SIZE(colours); i++)
        if (streq(colours[i].text, text))
            return colours[i].colour;
    return NULL;
}

static int set_cell(struct libscols_line *line, size_t column, const char *text)
{
    const char *colour = colour_of(text);
    int r = scols_line_set_data(line, column, text);

    if (r == 0 && colour)
        r = scols_cell_set_color(scols_line_get_cell(line, column), colour);
    return r;
}

static int print_list_table(const json_t *objects, const struct selection *selection)
{
    _cleanup_(scols_unref_tablep) struct libscols_table *table = table_new();
    const json_t *object;
    size_t i;
    int r = table ? 0 : -ENOMEM;

    for (size_t c = 0; r == 0 && c < selection->n; c++)
        r = table_column(table, selection->columns[c].heading);
    json_array_foreach (objects, i, object) {
        struct libscols_line *line = r == 0 ? scols_table_new_line(table, NULL) : NULL;

        if (!line)
            return r ? r : -ENOMEM;
        for (size_t c = 0; r == 0 && c < selection->n; c++) {
            _cleanup_(freep) char *text = output_cell(json_object_get(object, selection->columns[c].attribute), ", ");

            r = text ? set_cell(line, c, text) : -ENOMEM;
        }
    }
    return r ? r : scols_print_table(table);
}

/* One line a value; a list goes on below. */
static int add_field(struct libscols_table *table, const char *name, const json_t *value)
{
    _cleanup_(freep) char *text = output_cell(value, "\n");
    char *rest = text, *part;
    int r = text ? 0 : -ENOMEM;

    if (text && !*text)
        rest = NULL;
    do {
        struct libscols_line *line = scols_table_new_line(table, NULL);

        part = strsep(&rest, "\n");
        if (r == 0)
            r = line ? scols_line_set_data(line, 0, name) : -ENOMEM;
        if (r == 0)
            r = set_cell(line, 1, part ? part : "");
        name = "";
    } while (r == 0 && rest);
    return r;
}

static int print_object_table(const json_t *object, const struct selection *selection)
{
    _cleanup_(scols_unref_tablep) struct libscols_table *table = table_new();
    int r = table ? 0 : -ENOMEM;

    if (r == 0)
        r = table_column(table, "FIELD");
    if (r == 0)
        r = table_column(table, "VALUE");
    for (size_t c = 0; r == 0 && c < selection->n; c++)
        r = add_field(table, selection->columns[c].attribute, json_object_get(object, selection->columns[c].attribute));
    return r ? r : scols_print_table(table);
}

/* ---- public ------------------------------------------------------------------------------------------------------ */

static int print_json(const json_t *value)
{
    int r = json_dumpf(value, stdout, JSON_INDENT(2) | JSON_ENCODE_ANY);

    putchar('\n');
    return r < 0 ? -EIO : 0;
}

static int print_values(const json_t *object, const struct selection *selection, const char *between)
{
    for (size_t c = 0; c < selection->n; c++) {
        _cleanup_(freep) char *text = output_cell(json_object_get(object, selection->columns[c].attribute), ",");

        if (!text)
            return -ENOMEM;
        printf("%s%s", c ? between : "", text);
    }
    putchar('\n');
    return 0;
}

int output_list(struct call *call, const json_t *objects, const struct column *columns)
{
    struct selection selection = {0};
    const json_t *object;
    size_t i;
    int r;

    r = select_columns(call, objects, columns, &selection);
    if (r < 0)
        return r;
    if (streq(format_of(call), "json")) {
        json_t *chosen;

        if (!selection.is_explicit)
            return print_json(objects);
        chosen = json_array();
        json_array_foreach (objects, i, object)
            json_array_append_new(chosen, project(object, &selection));
        r = print_json(chosen);
        json_decref(chosen);
        return r;
    }
    if (streq(format_of(call), "value")) {
        json_array_foreach (objects, i, object) {
            r = print_values(object, &selection, " ");
            if (r < 0)
                return r;
        }
        return 0;
    }
    return print_list_table(objects, &selection);
}

static int compare_columns(const void *a, const void *b)
{
    return strcmp(((const struct column *)a)->attribute, ((const struct column *)b)->attribute);
}

int output_object(struct call *call, const json_t *object)
{
    struct selection selection = {0};
    json_t *alone = json_pack("[O]", object), *chosen, *value;
    const char *key;
    int r;

    if (!alone)
        return -ENOMEM;
    r = select_columns(call, alone, NULL, &selection);
    json_decref(alone);
    if (r < 0)
        return r;
    if (!selection.is_explicit) {
        json_object_foreach ((json_t *)object, key, value)
            if (selection.n < MAX_COLUMNS)
                selection.columns[selection.n++] = (struct column){key, key};
        qsort(selection.columns, selection.n, sizeof selection.columns[0], compare_columns);
    }
    if (streq(format_of(call), "value"))
        return print_values(object, &selection, "\n");
    if (!streq(format_of(call), "json"))
        return print_object_table(object, &selection);
    if (!selection.is_explicit)
        return print_json(object);
    chosen = project(object, &selection);
    r = print_json(chosen);
    json_decref(chosen);
    return r;
}
