/* Building a transaction: store_require_*, store_put and store_delete fill it, store_commit hands it to a backend. */
#include <errno.h>
#include <string.h>

#include "weft/store/backend.h"

/* Remembers the first refusal, so that a caller who checks only the commit's outcome still sees it. */
static int refuse(struct store_transaction *transaction, int error)
{
    if (!transaction->error)
        transaction->error = error;
    return error;
}

int store_transaction_new(struct store_transaction **ret_transaction)
{
    struct store_transaction *transaction = calloc(1, sizeof *transaction);

    if (!transaction)
        return -ENOMEM;
    *ret_transaction = transaction;
    return 0;
}

void store_transaction_free(struct store_transaction *transaction)
{
    if (!transaction)
        return;
    for (size_t i = 0; i < transaction->n_comparisons; i++)
        free(transaction->comparisons[i]);
    for (size_t i = 0; i < transaction->n_writes; i++)
        free(transaction->writes[i]);
    free(transaction->comparisons);
    free(transaction->writes);
    hashmap_clear(&transaction->keys);
    free(transaction);
}

/* Makes room for one more pointer; the capacity is the next power of two, at least 8. */
static int grow(void *pointer_to_array, size_t n)
{
    void **array = *(void ***)pointer_to_array;

    if (n != 0 && (n < 8 || (n & (n - 1))))
        return 0;
    array = realloc(array, (n ? 2 * n : 8) * sizeof *array);
    if (!array)
        return -ENOMEM;
    *(void ***)pointer_to_array = array;
    return 0;
}

static int check_limits(const struct store_transaction *transaction, size_t key_size, size_t other_size)
{
    if (key_size > STORE_KEY_MAX_SIZE || other_size > STORE_TRANSACTION_MAX_SIZE ||
        transaction->n_comparisons + transaction->n_writes >= STORE_TRANSACTION_MAX_OPERATIONS ||
        transaction->size + key_size + other_size > STORE_TRANSACTION_MAX_SIZE)
        return -E2BIG;
    return 0;
}

static char *append(char *bytes, const char *from, size_t size)
{
    if (size)
        memcpy(bytes, from, size);
    bytes[size] = 0;
    return bytes + size + 1;
}

static int add_comparison(struct store_transaction *transaction, enum store_comparison_kind kind, const char *key,
                          size_t key_size, const char *to, size_t to_size, uint64_t revision)
{
    struct store_comparison *comparison;
    int r;

    if (key_size == 0 && kind != COMPARE_EMPTY)
        return refuse(transaction, -EINVAL);
    if (to_size > STORE_KEY_MAX_SIZE)
        return refuse(transaction, -E2BIG);
    r = check_limits(transaction, key_size, to_size);
    if (r < 0)
        return refuse(transaction, r);
    if (grow(&transaction->comparisons, transaction->n_comparisons) < 0)
        return refuse(transaction, -ENOMEM);
    comparison = malloc(sizeof *comparison + key_size + to_size + 2);
    if (!comparison)
        return refuse(transaction, -ENOMEM);
    *comparison = (struct store_comparison){.kind = kind, .revision = revision, .key_size = key_size, .to_size = to_size};
    comparison->key = comparison->bytes;
    comparison->to = append(comparison->bytes, key, key_size);
    append(comparison->bytes + key_size + 1, to, to_size);
    transaction->comparisons[transaction->n_comparisons++] = comparison;
    transaction->size += key_size + to_size;
    return 0;
}

int store_require_revision(struct store_transaction *transaction, const char *key, size_t key_size,
                           uint64_t modify_revision)
{
    return add_comparison(transaction, COMPARE_REVISION, key, key_size, NULL, 0, modify_revision);
}

int store_require_exists(struct store_transaction *transaction, const char *key, size_t key_size)
{
    return add_comparison(transaction, COMPARE_EXISTS, key, key_size, NULL, 0, 0);
}

int store_require_empty(struct store_transaction *transaction, const char *from, size_t from_size, const char *to,
                        size_t to_size)
{
    return add_comparison(transaction, COMPARE_EMPTY, from, from_size, to, to_size, 0);
}

static int add_write(struct store_transaction *transaction, const char *key, size_t key_size, const char *value,
                     size_t value_size, bool is_put, uint64_t lease)
{
    struct store_write *write;
    int r;

    if (grow(&transaction->writes, transaction->n_writes) < 0)
        return -ENOMEM;
    write = malloc(sizeof *write + key_size + value_size + 2);
    if (!write)
        return -ENOMEM;
    *write = (struct store_write){.item.key_size = key_size, .item.value_size = value_size, .lease = lease};
    write->item.key = write->bytes;
    append(write->bytes, key, key_size);
    if (is_put)
        write->item.value = write->bytes + key_size + 1;
    append(write->bytes + key_size + 1, value, value_size);
    r = hashmap_insert(&transaction->keys, &write->by_key, write->item.key, key_size);
    if (r < 0) {
        free(write);
        return r;
    }
    transaction->writes[transaction->n_writes++] = write;
    transaction->size += key_size + value_size;
    return 0;
}

static int add_checked_write(struct store_transaction *transaction, const char *key, size_t key_size, const char *value,
                             size_t value_size, bool is_put, uint64_t lease)
{
    int r = key_size == 0 ? -EINVAL : check_limits(transaction, key_size, value_size);

    if (r == 0)
        r = add_write(transaction, key, key_size, value, value_size, is_put, lease);
    return r < 0 ? refuse(transaction, r) : 0;
}

int store_put(struct store_transaction *transaction, const char *key, size_t key_size, const char *value,
              size_t value_size, uint64_t lease)
{
    return add_checked_write(transaction, key, key_size, value, value_size, true, lease);
}

int store_delete(struct store_transaction *transaction, const char *key, size_t key_size)
{
    return add_checked_write(transaction, key, key_size, NULL, 0, false, 0);
}

int transaction_add_lease_deletion(struct store_transaction *transaction, const char *key, size_t key_size)
{
    int r = add_write(transaction, key, key_size, NULL, 0, false, 0);

    return r == -EEXIST ? 0 : r; /* From an attempt that was rolled back. */
}

int key_compare(const char *a, size_t a_size, const char *b, size_t b_size)
{
    size_t common = MIN(a_size, b_size);
    int order = common ? memcmp(a, b, common) : 0;

    return order ? order : (a_size > b_size) - (a_size < b_size);
}

bool key_in_range(const char *key, size_t key_size, const char *from, size_t from_size, const char *to, size_t to_size)
{
    return key_compare(key, key_size, from, from_size) >= 0 &&
           (to_size == 0 || key_compare(key, key_size, to, to_size) < 0);
}

struct store_item *item_copy(const struct store_item *item)
{
    struct store_item *copy = malloc(sizeof *copy + item->key_size + item->value_size + 2);
    char *bytes = (char *)(copy + 1);

    if (!copy)
        return NULL;
    *copy = *item;
    copy->key = bytes;
    bytes = append(bytes, item->key, item->key_size);
    if (item->value)
        copy->value = bytes;
    append(bytes, item->value, item->value_size);
    return copy;
}
