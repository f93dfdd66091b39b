/* The fabric as a picture.  Rows first (a box a switch, in it a row a port with something behind it), then the links as lines at the
 * right of the boxes: a line has the two rows of its ports, and a column of its own as far as it reaches; short ones stand nearer.  So
 * any fabric can be drawn, with parallel links and loops, and no two lines ever meet.
 *
 *     +- 0xe1 -- up ----------+
 *     | :1  to 0xe2:1         |---+
 *     | :2  to 0xe3:1         |---|--+
 *     | :3  02:00:00:00:00:01 |   |  |
 *     +-----------------------+   |  |
 *     +- 0xe2 -- up ----------+   |  |
 *     | :1  to 0xe1:2         |---+  |            */
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "weft/base/buffer.h"
#include "weft/base/cleanup.h"
#include "weft/base/util.h"
#include "weft/cli/fabric.h"
#include "weft/cli/resource.h"

#define NO_RAIL SIZE_MAX
#define HOSTS_OF_PORT 6     /* Drawn; the rest is counted. */
#define ADDRESSES_OF_HOST 2
#define RAIL_WIDTH 3        /* Columns a line needs. */
#define RAIL_COLOURS 6

enum glyph {
    EMPTY,
    HORIZONTAL,
    VERTICAL,
    TOP_LEFT,
    TOP_RIGHT,
    BOTTOM_LEFT,
    BOTTOM_RIGHT,
    BRANCH, /* From a box' side to the right. */
};

static const char *const glyphs[2][8] = {
    {" ", "-", "|", "+", "+", "+", "+", "|"},
    {" ", "─", "│", "┌", "┐", "└", "┘", "├"},
};

enum row_kind { ROW_TOP, ROW_TEXT, ROW_BOTTOM };

struct row {
    enum row_kind kind;
    uint64_t id;      /* Its switch's. */
    uint32_t port;
    bool is_up;       /* The switch. */
    char *text;       /* Owned. */
    size_t rail;      /* Of the link at this port, or NO_RAIL. */
    size_t order;     /* Among the rows of one port. */
};

struct rail {
    size_t first, last; /* Rows, the upper one first. */
    size_t column;
};

struct rows {
    struct row *items;
    size_t n, capacity;
};

struct drawing {
    const struct fabric_picture *picture;
    FILE *out;
    struct rows rows;
    struct rail *rails;
    size_t n_rails, n_columns, inner_width;
};

/* ---- rows ----------------------------------------------------------------------------------------------------------- */

static struct row *add_row(struct rows *rows, enum row_kind kind, uint64_t id, uint32_t port)
{
    struct row *row;

    if (rows->n == rows->capacity) {
        size_t capacity = rows->capacity ? 2 * rows->capacity : 64;
        struct row *grown = realloc(rows->items, capacity * sizeof *grown);

        if (!grown)
            return NULL;
        rows->items = grown;
        rows->capacity = capacity;
    }
    row = &rows->items[rows->n];
    *row = (struct row){.kind = kind, .id = id, .port = port, .rail = NO_RAIL, .order = rows->n};
    rows->n++;
    return row;
}

/* Adds a row with this text, which it takes over; NULL is out of memory. */
static int add_text_row(struct rows *rows, enum row_kind kind, uint64_t id, uint32_t port, struct buffer *text)
{
    struct row *row = buffer_string(text) ? add_row(rows, kind, id, port) : NULL;

    if (!row) {
        buffer_clear(text);
        return -ENOMEM;
    }
    row->text = text->data;
    return 0;
}

/* The place that {"switch", "port"} names; false when there is none. */
static bool place_of(const json_t *place, uint64_t *ret_id, uint32_t *ret_port)
{
    const json_t *port = json_object_get(place, "port");

    *ret_port = (uint32_t)json_integer_value(port);
    return json_is_integer(port) && fabric_parse_id(resource_string(place, "switch"), ret_id) == 0;
}

static int add_link_end(struct rows *rows, const json_t *from, const json_t *to, const json_t *weight)
{
    struct buffer text = {0};
    uint64_t id, far_id;
    uint32_t port, far_port;

    if (!place_of(from, &id, &port) || !place_of(to, &far_id, &far_port))
        return 0;
    buffer_printf(&text, ":%-5u to 0x%llx:%u", port, (unsigned long long)far_id, far_port);
    if (json_integer_value(weight) > 1)
        buffer_printf(&text, "  weight %lld", (long long)json_integer_value(weight));
    return add_text_row(rows, ROW_TEXT, id, port, &text);
}

static int add_links(struct rows *rows, const json_t *links)
{
    const json_t *link;
    size_t i;

    json_array_foreach (links, i, link) {
        const json_t *from = json_object_get(link, "from"), *to = json_object_get(link, "to");

        if (add_link_end(rows, from, to, json_object_get(link, "weight")) < 0 ||
            add_link_end(rows, to, from, json_object_get(link, "weight_back")) < 0)
            return -ENOMEM;
    }
    return 0;
}

static void describe_host(struct buffer *text, const json_t *host)
{
    const json_t *addresses = json_object_get(host, "addresses"), *vlan = json_object_get(host, "vlan"), *address;
    const char *slice = resource_string(host, "slice");
    size_t i;

    buffer_append_string(text, resource_string(host, "mac"));
    if (json_is_integer(vlan))
        buffer_printf(text, "  vlan %lld", (long long)json_integer_value(vlan));
    json_array_foreach (addresses, i, address)
        if (i < ADDRESSES_OF_HOST)
            buffer_printf(text, "  %s", json_string_value(address));
    if (i > ADDRESSES_OF_HOST)
        buffer_printf(text, "  +%zu", i - ADDRESSES_OF_HOST);
    if (*slice)
        buffer_printf(text, "  slice %s", slice);
}

static int add_hosts(struct rows *rows, const json_t *hosts)
{
    const json_t *host;
    size_t i;

    json_array_foreach (hosts, i, host) {
        struct buffer text = {0};
        uint64_t id;
        uint32_t port;

        if (!place_of(json_object_get(host, "at"), &id, &port))
            continue;
        buffer_printf(&text, ":%-5u ", port);
        describe_host(&text, host);
        if (add_text_row(rows, ROW_TEXT, id, port, &text) < 0)
            return -ENOMEM;
    }
    return 0;
}

static int add_switches(struct rows *rows, const struct fabric_picture *picture)
{
    const json_t *one;
    size_t i;

    json_array_foreach (picture->switches, i, one) {
        long long seconds = json_integer_value(json_object_get(one, "seconds")), n_hosts = json_integer_value(json_object_get(one, "n_hosts"));
        const char *state = resource_string(one, "state");
        struct buffer text = {0};
        struct row *bottom;
        uint64_t id;

        if (fabric_parse_id(resource_string(one, "id"), &id) < 0)
            continue;
        buffer_printf(&text, "0x%llx %s", (unsigned long long)id, state);
        if (!streq(state, "up"))
            buffer_printf(&text, " for %lld s", seconds);
        if (!picture->hosts && n_hosts)
            buffer_printf(&text, ", %lld host%s", n_hosts, n_hosts == 1 ? "" : "s");
        if (add_text_row(rows, ROW_TOP, id, 0, &text) < 0)
            return -ENOMEM;
        bottom = add_row(rows, ROW_BOTTOM, id, UINT32_MAX);
        if (!bottom)
            return -ENOMEM;
        bottom->is_up = rows->items[rows->n - 2].is_up = streq(state, "up");
    }
    return 0;
}

static int compare_rows(const void *a, const void *b)
{
    const struct row *left = a, *right = b;

    if (left->id != right->id)
        return left->id < right->id ? -1 : 1;
    if (left->kind != right->kind)
        return left->kind < right->kind ? -1 : 1;
    if (left->port != right->port)
        return left->port < right->port ? -1 : 1;
    return left->order < right->order ? -1 : left->order > right->order;
}

/* Rows of one port say its number once, and end with how many there are besides. */
static int shorten_ports(struct rows *rows)
{
    size_t n = 0, n_same = 0;

    for (size_t i = 0; i < rows->n; i++) {
        struct row *row = &rows->items[i];
        const struct row *next = i + 1 < rows->n ? &rows->items[i + 1] : NULL;
        const struct row *before = i ? &rows->items[i - 1] : NULL;
        bool goes_on = next && next->kind == ROW_TEXT && row->kind == ROW_TEXT && next->id == row->id && next->port == row->port;

        n_same = before && n_same && row->kind == ROW_TEXT ? n_same + 1 : 1;
        if (row->kind == ROW_TEXT && n_same > 1)
            memset(row->text, ' ', strcspn(row->text, " "));
        if (n_same > HOSTS_OF_PORT && goes_on) {
            free(row->text);
            continue;
        }
        if (n_same > HOSTS_OF_PORT + 1) {
            struct buffer text = {0};

            if (buffer_printf(&text, "%7s... and %zu more", "", n_same - HOSTS_OF_PORT) < 0 || !buffer_string(&text)) {
                memmove(&rows->items[n], row, (rows->n - i) * sizeof *row);
                rows->n -= i - n;
                buffer_clear(&text);
                return -ENOMEM;
            }
            free(row->text);
            row->text = text.data;
        }
        rows->items[n++] = *row;
        if (!goes_on)
            n_same = 0;
    }
    rows->n = n;
    return 0;
}

/* What is of no known switch goes. */
static void drop_strays(struct rows *rows)
{
    size_t n = 0;
    bool is_known = false;
    uint64_t id = 0;

    for (size_t i = 0; i < rows->n; i++) {
        struct row *row = &rows->items[i];

        if (row->kind == ROW_TOP) {
            id = row->id;
            is_known = true;
        }
        if (is_known && row->id == id)
            rows->items[n++] = *row;
        else
            free(row->text);
    }
    rows->n = n;
}

static int make_rows(struct drawing *drawing)
{
    const struct fabric_picture *picture = drawing->picture;
    struct rows *rows = &drawing->rows;

    if (add_switches(rows, picture) < 0 || add_links(rows, picture->links) < 0 || add_hosts(rows, picture->hosts) < 0)
        return -ENOMEM;
    if (rows->n)
        qsort(rows->items, rows->n, sizeof rows->items[0], compare_rows);
    drop_strays(rows);
    if (shorten_ports(rows) < 0)
        return -ENOMEM;
    for (size_t i = 0; i < rows->n; i++)
        if (rows->items[i].text)
            drawing->inner_width = MAX(drawing->inner_width, strlen(rows->items[i].text) + (rows->items[i].kind == ROW_TOP ? 4 : 2));
    return 0;
}

/* ---- rails ---------------------------------------------------------------------------------------------------------- */

/* The first row of a port, or NO_RAIL when it has none. */
static size_t find_row(const struct rows *rows, uint64_t id, uint32_t port)
{
    for (size_t i = 0; i < rows->n; i++)
        if (rows->items[i].kind == ROW_TEXT && rows->items[i].id == id && rows->items[i].port == port)
            return i;
    return NO_RAIL;
}

static int compare_rails(const void *a, const void *b)
{
    const struct rail *left = a, *right = b;
    size_t left_length = left->last - left->first, right_length = right->last - right->first;

    if (left_length != right_length)
        return left_length < right_length ? -1 : 1;
    return left->first < right->first ? -1 : left->first > right->first;
}

static bool column_is_free(const struct drawing *drawing, size_t n_placed, size_t column, const struct rail *rail)
{
    for (size_t i = 0; i < n_placed; i++)
        if (drawing->rails[i].column == column && drawing->rails[i].first <= rail->last && rail->first <= drawing->rails[i].last)
            return false;
    return true;
}

static int make_rails(struct drawing *drawing)
{
    const json_t *links = drawing->picture->links, *link;
    size_t i;

    drawing->rails = calloc(json_array_size(links) + 1, sizeof *drawing->rails);
    if (!drawing->rails)
        return -ENOMEM;
    json_array_foreach (links, i, link) {
        uint64_t from_id, to_id;
        uint32_t from_port, to_port;
        size_t from, to;

        if (!place_of(json_object_get(link, "from"), &from_id, &from_port) || !place_of(json_object_get(link, "to"), &to_id, &to_port))
            continue;
        from = find_row(&drawing->rows, from_id, from_port);
        to = find_row(&drawing->rows, to_id, to_port);
        if (from != NO_RAIL && to != NO_RAIL && from != to)
            drawing->rails[drawing->n_rails++] = (struct rail){MIN(from, to), MAX(from, to), 0};
    }
    qsort(drawing->rails, drawing->n_rails, sizeof drawing->rails[0], compare_rails);
    for (i = 0; i < drawing->n_rails; i++) {
        struct rail *rail = &drawing->rails[i];

        while (!column_is_free(drawing, i, rail->column, rail))
            rail->column++;
        drawing->n_columns = MAX(drawing->n_columns, rail->column + 1);
        drawing->rows.items[rail->first].rail = drawing->rows.items[rail->last].rail = i;
    }
    return 0;
}

/* ---- ink ------------------------------------------------------------------------------------------------------------ */

static void put(const struct drawing *drawing, enum glyph glyph, size_t times)
{
    for (size_t i = 0; i < times; i++)
        fputs(glyphs[drawing->picture->is_utf8][glyph], drawing->out);
}

/* Lines in turn have other colours, so that the eye can follow them. */
static void put_coloured(const struct drawing *drawing, enum glyph glyph, size_t rail)
{
    if (drawing->picture->has_colour && rail != NO_RAIL)
        fprintf(drawing->out, "\033[%zum", 31 + rail % RAIL_COLOURS);
    put(drawing, glyph, 1);
    if (drawing->picture->has_colour && rail != NO_RAIL)
        fputs("\033[0m", drawing->out);
}

/* What the lines look like beside row 'index': the line that stands in a column is in front of those that pass it. */
static void draw_rails(const struct drawing *drawing, size_t index)
{
    size_t own = drawing->rows.items[index].rail, last = 0;

    for (size_t i = 0; i < drawing->n_rails; i++)
        if (drawing->rails[i].first <= index && index <= drawing->rails[i].last)
            last = MAX(last, drawing->rails[i].column + 1);
    for (size_t column = 0; column < last; column++) {
        bool is_passed = own != NO_RAIL && column <= drawing->rails[own].column;
        size_t here = NO_RAIL;

        for (size_t i = 0; i < drawing->n_rails; i++)
            if (drawing->rails[i].column == column && drawing->rails[i].first <= index && index <= drawing->rails[i].last)
                here = i;
        for (size_t i = 1; i < RAIL_WIDTH; i++)
            put_coloured(drawing, is_passed ? HORIZONTAL : EMPTY, is_passed ? own : NO_RAIL);
        if (here != NO_RAIL && here == own)
            put_coloured(drawing, drawing->rails[own].first == index ? TOP_RIGHT : BOTTOM_RIGHT, own);
        else if (here != NO_RAIL)
            put_coloured(drawing, VERTICAL, here);
        else
            put_coloured(drawing, is_passed ? HORIZONTAL : EMPTY, is_passed ? own : NO_RAIL);
    }
}

static void put_title(const struct drawing *drawing, const struct row *row)
{
    bool has_colour = drawing->picture->has_colour;

    fprintf(drawing->out, "%s%s%s", has_colour ? row->is_up ? "\033[1;32m" : "\033[1;31m" : "", row->text, has_colour ? "\033[0m" : "");
}

static void draw_box_row(const struct drawing *drawing, const struct row *row)
{
    size_t width = drawing->inner_width, length = row->text ? strlen(row->text) : 0;

    switch (row->kind) {
    case ROW_TOP:
        put(drawing, TOP_LEFT, 1);
        put(drawing, HORIZONTAL, 1);
        fputc(' ', drawing->out);
        put_title(drawing, row);
        fputc(' ', drawing->out);
        put(drawing, HORIZONTAL, width - length - 3);
        put(drawing, TOP_RIGHT, 1);
        break;
    case ROW_TEXT:
        put(drawing, VERTICAL, 1);
        fprintf(drawing->out, " %s%*s", row->text, (int)(width - length - 1), "");
        put(drawing, row->rail == NO_RAIL ? VERTICAL : BRANCH, 1);
        break;
    case ROW_BOTTOM:
        put(drawing, BOTTOM_LEFT, 1);
        put(drawing, HORIZONTAL, width);
        put(drawing, BOTTOM_RIGHT, 1);
        break;
    }
}

static void draw_boxes(const struct drawing *drawing)
{
    for (size_t i = 0; i < drawing->rows.n; i++) {
        draw_box_row(drawing, &drawing->rows.items[i]);
        draw_rails(drawing, i);
        fputc('\n', drawing->out);
    }
}

static void list_switches(const struct drawing *drawing)
{
    for (size_t i = 0; i < drawing->rows.n; i++) {
        const struct row *row = &drawing->rows.items[i];

        if (row->kind == ROW_TOP) {
            put_title(drawing, row);
            fputc('\n', drawing->out);
        } else if (row->kind == ROW_TEXT) {
            fprintf(drawing->out, "    %s\n", row->text);
        }
    }
}

/* ---- the head ------------------------------------------------------------------------------------------------------- */

static void count(FILE *out, const char *before, long long n, const char *what)
{
    fprintf(out, "%s%lld %s%s", before, n, what, n == 1 ? "" : streq(what, "switch") ? "es" : "s");
}

static void draw_head(const struct drawing *drawing)
{
    const json_t *fabric = drawing->picture->fabric, *one;
    long long n_away = 0;
    size_t i;

    json_array_foreach (drawing->picture->switches, i, one)
        n_away += !streq(resource_string(one, "state"), "up");
    fprintf(drawing->out, "weft-fabric %s: role %s%s, %s paths (at most %lld), %s\n", resource_string(fabric, "version"),
            resource_string(fabric, "role"), json_is_true(json_object_get(fabric, "elected")) ? " (elected)" : "",
            resource_string(fabric, "path_mode"), (long long)json_integer_value(json_object_get(fabric, "max_paths")),
            resource_string(fabric, "install"));
    count(drawing->out, "", (long long)json_array_size(drawing->picture->switches), "switch");
    if (n_away)
        fprintf(drawing->out, " (%lld away)", n_away);
    count(drawing->out, ", ", (long long)json_array_size(drawing->picture->links), "link");
    count(drawing->out, ", ", (long long)json_integer_value(json_object_get(fabric, "hosts")), "host");
    count(drawing->out, ", ", (long long)json_integer_value(json_object_get(fabric, "flows")), "flow");
    fputc('\n', drawing->out);
}

static void drawing_clear(struct drawing *drawing)
{
    for (size_t i = 0; i < drawing->rows.n; i++)
        free(drawing->rows.items[i].text);
    free(drawing->rows.items);
    free(drawing->rails);
}

int fabric_draw(FILE *out, const struct fabric_picture *picture)
{
    _cleanup_(drawing_clear) struct drawing drawing = {.picture = picture, .out = out};
    bool is_small = json_array_size(picture->switches) <= picture->max_switches;

    if (make_rows(&drawing) < 0 || (is_small && make_rails(&drawing) < 0))
        return -ENOMEM;
    draw_head(&drawing);
    if (drawing.rows.n)
        fputc('\n', out);
    if (is_small && drawing.inner_width + 2 + drawing.n_columns * RAIL_WIDTH <= picture->width)
        draw_boxes(&drawing);
    else
        list_switches(&drawing);
    return 0;
}
