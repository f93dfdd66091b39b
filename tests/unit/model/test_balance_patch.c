/* Patches of rows: readers that miss any number of changes are brought to what is there, as if they had got it whole. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "weft/base/base64.h"
#include "weft/base/cleanup.h"
#include "weft/base/util.h"
#include "weft/model/balance-patch.h"

#define N_READERS 5

static unsigned seed;

static unsigned below(unsigned n)
{
    return (unsigned)rand_r(&seed) % n;
}

static struct balance_rows *copy_of(const struct balance_rows *rows)
{
    json_t *json = object_encode(&rows->object);
    struct object *object = NULL;

    assert_int_equal(object_decode(RESOURCE_BALANCE_ROWS, json, &object, NULL), 0);
    object->store_revision = rows->object.store_revision;
    json_decref(json);
    return (struct balance_rows *)object;
}

static void assert_same(const struct balance_rows *a, const struct balance_rows *b)
{
    json_t *x = object_encode(&a->object), *y = object_encode(&b->object);

    if (!json_equal(x, y))
        fail_msg("seed %u: %s is not %s", seed, json_dumps(x, 0), json_dumps(y, 0));
    json_decref(x);
    json_decref(y);
}

static struct balance_rows *new_rows(size_t n_rows)
{
    struct balance_rows *rows = (struct balance_rows *)object_new(RESOURCE_BALANCE_ROWS);

    assert_non_null(rows);
    string_copy(rows->object.id, UUID_TEXT_SIZE, "11111111-1111-8111-8111-111111111111");
    rows->lineage = below(1000);
    rows->n_row_bytes = n_rows * 8;
    rows->rows = calloc(n_rows, 8);
    return rows;
}

static void change_member(struct balance_rows *rows)
{
    unsigned number = below(12);
    char id[UUID_TEXT_SIZE];
    size_t at = 0;

    snprintf(id, sizeof(id), "22222222-2222-4222-8222-%012u", number);
    while (at < rows->n_members && strcmp(rows->members[at].member_id, id) < 0)
        at++;
    if (at < rows->n_members && streq(rows->members[at].member_id, id) && below(2)) {
        memmove(&rows->members[at], &rows->members[at + 1], (--rows->n_members - at) * sizeof(*rows->members));
        return;
    }
    if (at == rows->n_members || !streq(rows->members[at].member_id, id)) {
        rows->members = realloc(rows->members, (rows->n_members + 1) * sizeof(*rows->members));
        memmove(&rows->members[at + 1], &rows->members[at], (rows->n_members++ - at) * sizeof(*rows->members));
        memset(&rows->members[at], 0, sizeof(*rows->members));
        string_copy(rows->members[at].member_id, UUID_TEXT_SIZE, id);
    }
    rows->members[at].index = (uint16_t)below(100);
    rows->members[at].state = below(3);
    rows->members[at].has_failed = below(2);
    rows->members[at].has_deadline = below(2);
    rows->members[at].drain_until_s = rows->members[at].has_deadline ? 1000 + below(5) : 0;
}

static void change(struct balance_rows *rows)
{
    rows->object.store_revision += 1 + below(3);
    rows->object.revision_number++;
    rows->sequence++;
    for (unsigned n = below(4); n > 0 && rows->n_row_bytes; n--)
        rows->rows[below((unsigned)rows->n_row_bytes)] = (uint8_t)below(256);
    for (unsigned n = below(3); n > 0; n--)
        change_member(rows);
}

/* Of a "patch" line what lies between the braces. */
static json_t *patch_of(const struct balance_histories *histories, const struct balance_rows *now, uint64_t from)
{
    struct buffer buffer = {0};
    json_t *json = NULL;
    int r;

    assert_int_equal(buffer_append(&buffer, "{", 1), 0);
    r = balance_histories_write(histories, now, from, &buffer);
    assert_true(r == 0 || r == -ESTALE);
    if (r == 0) {
        assert_int_equal(buffer_append(&buffer, "}", 1), 0);
        json = json_loadb(buffer.data, buffer.size, 0, NULL);
        assert_non_null(json);
        assert_int_equal(json_integer_value(json_object_get(json, "from")), from);
    }
    buffer_clear(&buffer);
    return json;
}

static struct balance_rows *header_of(const json_t *patch)
{
    struct object *object = NULL;

    assert_int_equal(object_decode(RESOURCE_BALANCE_ROWS, json_object_get(patch, "object"), &object, NULL), 0);
    return (struct balance_rows *)object;
}

static bool names_member(const struct balance_rows *header, const json_t *patch, const char *id)
{
    const json_t *gone;
    bool is_named = false;
    size_t i;

    for (i = 0; i < header->n_members; i++)
        is_named |= streq(header->members[i].member_id, id);
    json_array_foreach (json_object_get(patch, "gone"), i, gone)
        is_named |= streq(json_string_value(gone), id);
    return is_named;
}

static bool names_row(const uint8_t *changes, size_t n_bytes, size_t row)
{
    bool is_named = false;

    for (size_t i = 0; i < n_bytes; i += 12)
        is_named |= changes[i] == row;
    return is_named;
}

/* A patch for another table than this reader has, though the revision is the same: it differs in what the patch does not name.  Nothing of it is taken. */
static void assert_refused(const struct balance_rows *reader, const json_t *patch)
{
    struct balance_rows *other = copy_of(reader), *kept, *header = header_of(patch);
    _cleanup_(freep) uint8_t *changes = NULL;
    struct error error = {0};
    size_t n_bytes = 0, at;

    assert_int_equal(base64_read(json_string_value(json_object_get(patch, "changes")), &changes, &n_bytes), 0);
    at = below((unsigned)other->n_members + 1);
    if (at < other->n_members && !names_member(header, patch, other->members[at].member_id)) {
        other->members[at].has_failed ^= 1;
    } else {
        do
            at = below((unsigned)other->n_row_bytes);
        while (names_row(changes, n_bytes, at / 8)); /* Not all are: then it would have come whole. */
        other->rows[at] ^= (uint8_t)(1 << below(8));
    }
    kept = copy_of(other);
    assert_int_equal(balance_patch_apply(other, header, patch, &error), -EINVAL);
    assert_string_equal(error.field, "check");
    assert_same(other, kept);
    object_free(&other->object);
    object_free(&kept->object);
    object_free(&header->object);
}

static void readers_have_what_the_writer_has(void **state)
{
    unsigned n_patches = 0, n_whole = 0;

    for (int round = 0; round < 40; round++) {
        struct balance_histories *histories;
        struct balance_rows *now = new_rows(61), *readers[N_READERS] = {NULL};

        assert_int_equal(balance_histories_new(&histories), 0);
        for (int step = 0; step < 80; step++) {
            struct balance_rows *before = copy_of(now), **reader = &readers[below(N_READERS)];

            change(now);
            if (below(30) == 0)
                now->lineage++;
            balance_histories_change(histories, before, now);
            object_free(&before->object);
            if (below(3))
                continue;
            json_t *patch = *reader ? patch_of(histories, now, (*reader)->object.store_revision) : NULL;
            struct balance_rows *next = patch ? header_of(patch) : copy_of(now);

            if (patch)
                assert_refused(*reader, patch);
            if (patch)
                assert_int_equal(balance_patch_apply(*reader, next, patch, NULL), 0);
            next->object.store_revision = now->object.store_revision;
            n_patches += patch != NULL;
            n_whole += !patch;
            assert_same(next, now);
            json_decref(patch);
            if (*reader)
                object_free(&(*reader)->object);
            *reader = next;
        }
        for (unsigned i = 0; i < N_READERS; i++)
            object_free(readers[i] ? &readers[i]->object : NULL);
        balance_histories_change(histories, now, NULL);
        assert_null(patch_of(histories, now, now->object.store_revision));
        object_free(&now->object);
        balance_histories_free(histories);
    }
    assert_true(n_patches > 100 && n_whole > 100);
    (void)state;
}

/* One member's change costs what changed. */
static void a_change_is_as_short_as_it_is_small(void **state)
{
    struct balance_rows *now = new_rows(65537), *before;
    struct balance_histories *histories;
    struct buffer buffer = {0};

    now->object.store_revision = 7;
    before = copy_of(now);
    for (unsigned i = 0; i < 65; i++)
        now->rows[i * 8000] ^= 1;
    now->object.store_revision = 9;
    assert_int_equal(balance_histories_new(&histories), 0);
    balance_histories_change(histories, before, now);
    assert_int_equal(balance_histories_write(histories, now, 7, &buffer), 0);
    assert_true(buffer.size < 1800);
    buffer.size = 0;
    assert_int_equal(balance_histories_write(histories, now, 6, &buffer), -ESTALE);  /* Before the history began; */
    assert_int_equal(balance_histories_write(histories, now, 10, &buffer), -ESTALE); /* of another store. */
    assert_int_equal(buffer.size, 0);
    for (size_t i = 0; i < now->n_row_bytes; i++)
        before->rows[i] = now->rows[i] ^ 1;
    now->object.store_revision = 10;
    balance_histories_change(histories, before, now);
    assert_int_equal(balance_histories_write(histories, now, 9, &buffer), -ESTALE); /* Whole it is shorter. */
    buffer_clear(&buffer);
    object_free(&before->object);
    object_free(&now->object);
    balance_histories_free(histories);
    (void)state;
}

static void what_does_not_fit_changes_nothing(void **state)
{
    static const struct {
        const char *name, *value, *field;
        uint64_t lineage;
    } cases[] = {
        {"gone", "1", "gone", 5},
        {"changes", "1", "changes", 5},
        {"changes", "\"AAA\"", "changes", 5},
        {"changes", "\"AAAAAAAAAAAA\"", "changes", 5},         /* 9 bytes. */
        {"changes", "\"PQAAAAAAAAAAAAAA\"", "changes", 5},     /* Row 61 of 61. */
        {"changes", "\"\"", "object", 6},
        {"check", "1", "check", 5},
        {"check", "\"1\"", "check", 5},
    };

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct balance_rows *before = new_rows(61), *header = new_rows(0), *kept;
        json_t *patch = json_pack("{s:[], s:s}", "gone", "changes", "");
        struct error error = {0};

        before->lineage = 5;
        header->lineage = cases[i].lineage;
        change_member(before);
        kept = copy_of(before);
        json_object_set_new(patch, cases[i].name, json_loads(cases[i].value, JSON_DECODE_ANY, NULL));
        assert_int_equal(balance_patch_apply(before, header, patch, &error), -EINVAL);
        assert_string_equal(error.field, cases[i].field);
        assert_same(before, kept);
        object_free(&before->object);
        object_free(&header->object);
        object_free(&kept->object);
        json_decref(patch);
    }
    (void)state;
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(readers_have_what_the_writer_has),
        cmocka_unit_test(a_change_is_as_short_as_it_is_small),
        cmocka_unit_test(what_does_not_fit_changes_nothing),
    };

    seed = getenv("WEFT_SEED") ? (unsigned)strtoul(getenv("WEFT_SEED"), NULL, 10) : (unsigned)time(NULL) ^ (unsigned)getpid() << 16;
    print_message("WEFT_SEED=%u\n", seed);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
