#include "weft/model/balance-patch.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "weft/base/base64.h"
#include "weft/base/hashmap.h"
#include "weft/base/util.h"

#define ROW_BYTES 8
#define CHANGE_BYTES (4 + ROW_BYTES)
#define MEMBERS_REMEMBERED 16384 /* Of a pool, with those that are gone. */

struct member_change {
    char id[UUID_TEXT_SIZE];
    uint64_t revision;
    bool is_gone;
};

struct balance_history {
    struct hashmap_node by_id;
    char id[UUID_TEXT_SIZE];
    uint64_t since, lineage; /* Whoever has what was there at revision 'since', or later, can be told. */
    uint32_t check;          /* Of what is there now. */
    size_t n_rows, n_members;
    uint64_t *rows;          /* By row: the revision with which it changed last, 0: not since. */
    struct member_change *members; /* In the order of ids: those that changed since. */
};

struct balance_histories {
    struct hashmap by_id;
};

/* ---- the check ------------------------------------------------------------------------------------------------------------------------------ */

static void put_number(uint8_t *bytes, uint64_t value, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        bytes[i] = (uint8_t)(value >> 8 * i);
}

static uint32_t fnv1a(uint32_t hash, const uint8_t *bytes, size_t n)
{
    for (size_t i = 0; i < n; i++)
        hash = (hash ^ bytes[i]) * 16777619u;
    return hash;
}

uint32_t balance_rows_check(const struct balance_rows *rows)
{
    uint32_t hash = fnv1a(2166136261u, rows->rows, rows->n_row_bytes);

    for (size_t i = 0; i < rows->n_members; i++) {
        const struct balance_member *member = &rows->members[i];
        uint8_t bytes[UUID_TEXT_SIZE - 1 + 12] = {0};

        memcpy(bytes, member->member_id, strnlen(member->member_id, UUID_TEXT_SIZE - 1));
        put_number(bytes + UUID_TEXT_SIZE - 1, member->index, 2);
        bytes[UUID_TEXT_SIZE + 1] = (uint8_t)member->state;
        bytes[UUID_TEXT_SIZE + 2] = member->has_failed;
        put_number(bytes + UUID_TEXT_SIZE + 3, member->has_deadline ? (uint64_t)member->drain_until_s : 0, 8);
        hash = fnv1a(hash, bytes, sizeof(bytes));
    }
    return hash;
}

/* ---- histories ----------------------------------------------------------------------------------------------------------------------- */

int balance_histories_new(struct balance_histories **ret_histories)
{
    *ret_histories = calloc(1, sizeof(**ret_histories));
    return *ret_histories ? 0 : -ENOMEM;
}

static void history_free(struct balance_history *history)
{
    free(history->rows);
    free(history->members);
    free(history);
}

void balance_histories_free(struct balance_histories *histories)
{
    if (!histories)
        return;
    HASHMAP_FOREACH(node, &histories->by_id)
        history_free(CONTAINER_OF(node, struct balance_history, by_id));
    hashmap_clear(&histories->by_id);
    free(histories);
}

static struct balance_history *find(const struct balance_histories *histories, const char *id)
{
    struct hashmap_node *node = hashmap_find(&histories->by_id, id, strlen(id));

    return node ? CONTAINER_OF(node, struct balance_history, by_id) : NULL;
}

static void forget(struct balance_histories *histories, const char *id)
{
    struct balance_history *history = find(histories, id);

    if (!history)
        return;
    hashmap_remove(&histories->by_id, &history->by_id);
    history_free(history);
}

static struct balance_history *begin(struct balance_histories *histories, const struct balance_rows *rows)
{
    struct balance_history *history = calloc(1, sizeof(*history));

    if (!history)
        return NULL;
    string_copy(history->id, sizeof(history->id), rows->object.id);
    history->since = rows->object.store_revision;
    history->lineage = rows->lineage;
    history->n_rows = rows->n_row_bytes / ROW_BYTES;
    history->rows = calloc(history->n_rows + 1, sizeof(*history->rows));
    if (!history->rows || hashmap_insert(&histories->by_id, &history->by_id, history->id, strlen(history->id)) < 0) {
        history_free(history);
        return NULL;
    }
    return history;
}

/* Where 'id' is, or would be. */
static size_t place_of(const struct balance_history *history, const char *id)
{
    size_t first = 0, n = history->n_members;

    while (n > 0) {
        size_t half = n / 2;

        if (strcmp(history->members[first + half].id, id) < 0) {
            first += half + 1;
            n -= half + 1;
        } else {
            n = half;
        }
    }
    return first;
}

static int note_member(struct balance_history *history, const char *id, uint64_t revision, bool is_gone)
{
    size_t at = place_of(history, id);
    struct member_change *members = history->members;

    if (at == history->n_members || !streq(members[at].id, id)) {
        if (history->n_members == MEMBERS_REMEMBERED)
            return -ENOBUFS;
        if ((history->n_members & (history->n_members - 1)) == 0) {
            members = realloc(members, MAX(2 * history->n_members, (size_t)4) * sizeof(*members));
            if (!members)
                return -ENOMEM;
            history->members = members;
        }
        memmove(&members[at + 1], &members[at], (history->n_members - at) * sizeof(*members));
        history->n_members++;
        string_copy(members[at].id, sizeof(members[at].id), id);
    }
    members[at].revision = revision;
    members[at].is_gone = is_gone;
    return 0;
}

static bool same_member(const struct balance_member *a, const struct balance_member *b)
{
    return a->index == b->index && a->state == b->state && a->has_failed == b->has_failed && a->has_deadline == b->has_deadline && (!a->has_deadline || a->drain_until_s == b->drain_until_s);
}

static bool is_in_order(const struct balance_rows *rows)
{
    for (size_t i = 1; i < rows->n_members; i++)
        if (strcmp(rows->members[i - 1].member_id, rows->members[i].member_id) >= 0)
            return false;
    return true;
}

static int note_members(struct balance_history *history, const struct balance_rows *before, const struct balance_rows *after)
{
    size_t i = 0, k = 0;
    int r = 0;

    while (r == 0 && (i < before->n_members || k < after->n_members)) {
        int order = i == before->n_members ? 1 : k == after->n_members ? -1 : strcmp(before->members[i].member_id, after->members[k].member_id);

        if (order < 0)
            r = note_member(history, before->members[i].member_id, after->object.store_revision, true);
        else if (order > 0 || !same_member(&before->members[i], &after->members[k]))
            r = note_member(history, after->members[k].member_id, after->object.store_revision, false);
        i += order <= 0;
        k += order >= 0;
    }
    return r;
}

void balance_histories_change(struct balance_histories *histories, const struct balance_rows *before, const struct balance_rows *after)
{
    struct balance_history *history = find(histories, (after ? after : before)->object.id);

    if (!before || !after || before->lineage != after->lineage || before->n_row_bytes != after->n_row_bytes || !is_in_order(before) ||
        !is_in_order(after)) {
        if (history)
            forget(histories, history->id);
        return; /* It begins with the next change, from what there is then. */
    }
    if (!history && !(history = begin(histories, before)))
        return;
    for (size_t i = 0; i < history->n_rows; i++)
        if (memcmp(before->rows + i * ROW_BYTES, after->rows + i * ROW_BYTES, ROW_BYTES) != 0)
            history->rows[i] = after->object.store_revision;
    history->check = balance_rows_check(after);
    if (note_members(history, before, after) < 0)
        forget(histories, history->id);
}

/* ---- writing ---------------------------------------------------------------------------------------------------------------------------- */

static int write_gone(const struct balance_history *history, uint64_t from, struct buffer *buffer)
{
    const char *between = "";
    int r = buffer_append_string(buffer, ",\"gone\":[");

    for (size_t i = 0; r == 0 && i < history->n_members; i++)
        if (history->members[i].is_gone && history->members[i].revision > from) {
            r = buffer_printf(buffer, "%s\"%s\"", between, history->members[i].id);
            between = ",";
        }
    return r == 0 ? buffer_append_string(buffer, "]") : r;
}

static int write_changes(const struct balance_history *history, const struct balance_rows *now, uint64_t from, size_t n, struct buffer *buffer)
{
    _cleanup_(freep) uint8_t *bytes = malloc(n * CHANGE_BYTES + 1);
    uint8_t *next = bytes;
    int r = bytes ? buffer_append_string(buffer, ",\"changes\":\"") : -ENOMEM;

    for (size_t i = 0; r == 0 && i < history->n_rows; i++)
        if (history->rows[i] > from) {
            put_number(next, i, 4);
            memcpy(next + 4, now->rows + i * ROW_BYTES, ROW_BYTES);
            next += CHANGE_BYTES;
        }
    if (r == 0)
        r = base64_write(bytes, n * CHANGE_BYTES, buffer);
    return r == 0 ? buffer_append_string(buffer, "\"") : r;
}

/* The object without what has not changed. */
static int write_header(const struct balance_history *history, const struct balance_rows *now, uint64_t from, struct buffer *buffer)
{
    _cleanup_(freep) struct balance_member *members = calloc(now->n_members + 1, sizeof(*members));
    struct balance_rows header = *now;

    if (!members)
        return -ENOMEM;
    header.members = members;
    header.n_members = header.n_row_bytes = 0;
    header.rows = NULL;
    for (size_t i = 0; i < now->n_members; i++) {
        size_t at = place_of(history, now->members[i].member_id);

        if (at < history->n_members && streq(history->members[at].id, now->members[i].member_id) && history->members[at].revision > from)
            members[header.n_members++] = now->members[i];
    }
    return object_write(&header.object, buffer);
}

int balance_histories_write(const struct balance_histories *histories, const struct balance_rows *now, uint64_t from, struct buffer *buffer)
{
    const struct balance_history *history = find(histories, now->object.id);
    size_t n = 0;
    int r;

    if (!history || from < history->since || from > now->object.store_revision || history->n_rows * ROW_BYTES != now->n_row_bytes ||
        history->lineage != now->lineage)
        return -ESTALE;
    for (size_t i = 0; i < history->n_rows; i++)
        n += history->rows[i] > from;
    if (n * CHANGE_BYTES >= now->n_row_bytes && n > 0)
        return -ESTALE;
    r = buffer_printf(buffer, "\"from\":%llu,\"check\":%u,\"object\":", (unsigned long long)from, history->check);
    if (r == 0)
        r = write_header(history, now, from, buffer);
    if (r == 0)
        r = write_gone(history, from, buffer);
    return r == 0 ? write_changes(history, now, from, n, buffer) : r;
}

/* ---- applying ------------------------------------------------------------------------------------------------------------------------------ */

static uint32_t get32(const uint8_t *bytes)
{
    return bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 | (uint32_t)bytes[3] << 24;
}

static int compare_ids(const void *a, const void *b)
{
    return strcmp(a, ((const struct balance_member *)b)->member_id);
}

/* Ids are asked for in their order, which is that of the list: '*next' goes along it. */
static bool is_gone(const json_t *gone, size_t *next, const char *id)
{
    for (; *next < json_array_size(gone); ++*next) {
        const char *item = json_string_value(json_array_get(gone, *next));
        int order = item ? strcmp(item, id) : -1;

        if (order >= 0)
            return order == 0;
    }
    return false;
}

/* Both are in order: so is what becomes of them. */
static int merge_members(const struct balance_rows *before, const struct balance_rows *header, const json_t *gone, struct balance_member **ret,
                         size_t *ret_n)
{
    struct balance_member *members = calloc(before->n_members + header->n_members + 1, sizeof(*members));
    size_t i = 0, k = 0, n = 0, next_gone = 0;

    if (!members)
        return -ENOMEM;
    while (i < before->n_members || k < header->n_members) {
        int order = i == before->n_members ? 1
                    : k == header->n_members ? -1
                                             : compare_ids(before->members[i].member_id, &header->members[k]);

        if (order < 0 && !is_gone(gone, &next_gone, before->members[i].member_id))
            members[n++] = before->members[i];
        else if (order >= 0)
            members[n++] = header->members[k];
        i += order <= 0;
        k += order >= 0;
    }
    *ret = members;
    *ret_n = n;
    return 0;
}

static void exchange(uint8_t *a, uint8_t *b)
{
    uint8_t kept[ROW_BYTES];

    memcpy(kept, a, ROW_BYTES);
    memcpy(a, b, ROW_BYTES);
    memcpy(b, kept, ROW_BYTES);
}

/* Writes the changes into the rows and keeps in their place what was there; an earlier release's patch has no check.  False: it does not hold, and the rows are as
 * they were. */
static bool change_rows(const struct balance_rows *before, const struct balance_member *members, size_t n_members, uint8_t *changes, size_t n_bytes,
                        const json_t *check)
{
    const struct balance_rows after = {.rows = before->rows, .n_row_bytes = before->n_row_bytes, .members = (struct balance_member *)members,
                                       .n_members = n_members};

    for (size_t at = 0; at < n_bytes; at += CHANGE_BYTES)
        exchange(before->rows + get32(changes + at) * ROW_BYTES, changes + at + 4);
    if (!check || (json_is_integer(check) && json_integer_value(check) == (json_int_t)balance_rows_check(&after)))
        return true;
    for (size_t at = n_bytes; at > 0; at -= CHANGE_BYTES)
        exchange(before->rows + get32(changes + at - CHANGE_BYTES) * ROW_BYTES, changes + at - CHANGE_BYTES + 4);
    return false;
}

int balance_patch_apply(struct balance_rows *before, struct balance_rows *header, const json_t *patch, struct error *error)
{
    const json_t *gone = json_object_get(patch, "gone");
    const char *text = json_string_value(json_object_get(patch, "changes"));
    _cleanup_(freep) struct balance_member *members = NULL;
    _cleanup_(freep) uint8_t *changes = NULL;
    size_t n_bytes = 0, n_members, n_rows = before->n_row_bytes / ROW_BYTES;

    if (!json_is_array(gone))
        return error_set(error, -EINVAL, "gone", "it is not a list");
    if (!text || base64_read(text, &changes, &n_bytes) == -EINVAL || n_bytes % CHANGE_BYTES)
        return error_set(error, -EINVAL, "changes", "it is not base64 of rows");
    if (n_bytes && !changes)
        return -ENOMEM;
    if (header->lineage != before->lineage || header->n_row_bytes)
        return error_set(error, -EINVAL, "object", "it is of another table");
    if (!is_in_order(before) || !is_in_order(header))
        return error_set(error, -EINVAL, "members", "they are not in the order of their ids");
    for (size_t at = 0; at < n_bytes; at += CHANGE_BYTES)
        if (get32(changes + at) >= n_rows)
            return error_set(error, -EINVAL, "changes", "there is no row '%u'", get32(changes + at));
    if (merge_members(before, header, gone, &members, &n_members) < 0)
        return -ENOMEM;
    if (!change_rows(before, members, n_members, changes, n_bytes, json_object_get(patch, "check")))
        return error_set(error, -EINVAL, "check", "it is for other rows than those that are here");
    header->rows = TAKE_PTR(before->rows);
    header->n_row_bytes = before->n_row_bytes;
    before->n_row_bytes = 0;
    free(header->members);
    header->members = TAKE_PTR(members);
    header->n_members = n_members;
    return 0;
}
