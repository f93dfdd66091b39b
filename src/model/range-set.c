#include "weft/model/range-set.h"

#include <errno.h>
#include <stdlib.h>

struct range_run {
    uint128_t first, last;
    struct range_run *left, *right;
    uint32_t priority; /* A heap by this, a search tree by 'first'. */
};

/* Only has to be unrelated to the values; a tenant cannot make a treap deep without knowing it. */
static uint32_t next_priority(void)
{
    static uint64_t state;

    if (!state)
        state = (uint64_t)random() << 32 ^ (uint64_t)(uintptr_t)&state ^ 0x9e3779b97f4a7c15u;
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state >> 32;
}

/* Splits into runs that start before 'key' and the others. */
static void split(struct range_run *root, uint128_t key, struct range_run **ret_left, struct range_run **ret_right)
{
    if (!root) {
        *ret_left = *ret_right = NULL;
    } else if (root->first < key) {
        split(root->right, key, &root->right, ret_right);
        *ret_left = root;
    } else {
        split(root->left, key, ret_left, &root->left);
        *ret_right = root;
    }
}

static struct range_run *merge(struct range_run *left, struct range_run *right)
{
    if (!left || !right)
        return left ? left : right;
    if (left->priority > right->priority) {
        left->right = merge(left->right, right);
        return left;
    }
    right->left = merge(left, right->left);
    return right;
}

/* The last run that starts at or before 'value'. */
static struct range_run *find_before(const struct range_set *set, uint128_t value)
{
    struct range_run *found = NULL;

    for (struct range_run *run = set->root; run;) {
        if (run->first <= value) {
            found = run;
            run = run->right;
        } else {
            run = run->left;
        }
    }
    return found;
}

static void insert(struct range_set *set, struct range_run *run)
{
    struct range_run *left, *right;

    split(set->root, run->first, &left, &right);
    set->root = merge(merge(left, run), right);
    set->n_runs++;
}

static void detach(struct range_set *set, struct range_run *run)
{
    struct range_run **link = &set->root;

    while (*link != run)
        link = run->first < (*link)->first ? &(*link)->left : &(*link)->right;
    *link = merge(run->left, run->right);
    run->left = run->right = NULL;
    set->n_runs--;
}

bool range_set_contains(const struct range_set *set, uint128_t value)
{
    const struct range_run *run = find_before(set, value);

    return run && value <= run->last;
}

int range_set_add(struct range_set *set, uint128_t value)
{
    struct range_run *before = find_before(set, value), *after, *run;

    if (before && value <= before->last)
        return -EEXIST;
    after = value + 1 ? find_before(set, value + 1) : NULL;
    if (after && after->first != value + 1)
        after = NULL;
    if (before && before->last + 1 != value)
        before = NULL;

    if (before && after) {
        before->last = after->last;
        detach(set, after);
        free(after);
    } else if (before) {
        before->last = value;
    } else if (after) {
        after->first = value; /* Nothing lies between: the order of the tree holds. */
    } else {
        run = calloc(1, sizeof(*run));
        if (!run)
            return -ENOMEM;
        run->first = run->last = value;
        run->priority = next_priority();
        insert(set, run);
    }
    set->n_values++;
    return 0;
}

int range_set_remove(struct range_set *set, uint128_t value)
{
    struct range_run *run = find_before(set, value), *rest;

    if (!run || value > run->last)
        return -ENOENT;
    if (run->first == run->last) {
        detach(set, run);
        free(run);
    } else if (value == run->first) {
        run->first++;
    } else if (value == run->last) {
        run->last--;
    } else {
        rest = calloc(1, sizeof(*rest));
        if (!rest)
            return -ENOMEM;
        rest->first = value + 1;
        rest->last = run->last;
        rest->priority = next_priority();
        run->last = value - 1;
        insert(set, rest);
    }
    set->n_values--;
    return 0;
}

int range_set_next_missing(const struct range_set *set, uint128_t first, uint128_t last, uint128_t *ret_value)
{
    const struct range_run *run = find_before(set, first);

    if (run && first <= run->last) {
        if (run->last + 1 == 0)
            return -ENOENT;
        first = run->last + 1; /* Runs are maximal: it is free. */
    }
    if (first > last)
        return -ENOENT;
    *ret_value = first;
    return 0;
}

static void free_runs(struct range_run *run)
{
    if (!run)
        return;
    free_runs(run->left);
    free_runs(run->right);
    free(run);
}

void range_set_clear(struct range_set *set)
{
    free_runs(set->root);
    *set = (struct range_set){0};
}
