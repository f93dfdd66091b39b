#include "weft/compiler/shares.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "weft/base/util.h"

/* The claims of one project: they stand together. */
struct account {
    size_t first, n;
    size_t n_wanted, share; /* Rows. */
    size_t next;            /* Of its claims, in the second round. */
};

int claims_add(struct claims *claims, struct claim claim)
{
    if (claims->n == claims->capacity) {
        size_t capacity = claims->capacity ? claims->capacity * 2 : 64;
        struct claim *grown = reallocarray(claims->claims, capacity, sizeof(*grown));

        if (!grown)
            return -ENOMEM;
        claims->claims = grown;
        claims->capacity = capacity;
    }
    claims->claims[claims->n++] = claim;
    return 0;
}

void claims_clear(struct claims *claims)
{
    free(claims->claims);
    *claims = (struct claims){0};
}

/* Within a project. */
static int compare_ages(const struct claim *x, const struct claim *y)
{
    int order;

    if (x->object->created_at_s != y->object->created_at_s)
        return x->object->created_at_s < y->object->created_at_s ? -1 : 1;
    order = strcmp(x->object->id, y->object->id);
    return order ? order : x->part < y->part ? -1 : x->part > y->part;
}

static int compare_things(const void *a, const void *b)
{
    const struct claim *x = a, *y = b;
    int order = strcmp(x->project_id, y->project_id);

    if (order)
        return order;
    if (x->ret_fits != y->ret_fits)
        return x->ret_fits < y->ret_fits ? -1 : 1;
    order = compare_ages(x, y);
    return order ? order : x->part < y->part ? -1 : x->part > y->part;
}

static int compare_claims(const void *a, const void *b)
{
    const struct claim *x = a, *y = b;
    int order = strcmp(x->project_id, y->project_id);

    return order ? order : compare_ages(x, y);
}

/* Each thing once for each project. */
static void leave_out_repetitions(struct claims *claims)
{
    size_t kept = 0;

    qsort(claims->claims, claims->n, sizeof(*claims->claims), compare_things);
    for (size_t i = 0; i < claims->n; i++)
        if (!kept || claims->claims[kept - 1].ret_fits != claims->claims[i].ret_fits ||
            strcmp(claims->claims[kept - 1].project_id, claims->claims[i].project_id) != 0)
            claims->claims[kept++] = claims->claims[i];
    claims->n = kept;
}

static size_t find_accounts(const struct claims *claims, struct account *accounts)
{
    size_t n = 0;

    for (size_t i = 0; i < claims->n; i++) {
        if (!i || strcmp(claims->claims[i].project_id, claims->claims[i - 1].project_id) != 0)
            accounts[n++] = (struct account){.first = i};
        accounts[n - 1].n++;
        accounts[n - 1].n_wanted += claims->claims[i].n_rows;
    }
    return n;
}

static int compare_accounts(const void *a, const void *b)
{
    const struct account *x = a, *y = b;

    if (x->n_wanted != y->n_wanted)
        return x->n_wanted < y->n_wanted ? -1 : 1;
    return x->first < y->first ? -1 : x->first > y->first;
}

/* Who wants least is asked first: what it leaves is divided among those behind it. */
static void divide(struct account *accounts, size_t n, size_t room)
{
    qsort(accounts, n, sizeof(*accounts), compare_accounts);
    for (size_t i = 0; i < n; i++) {
        accounts[i].share = room / (n - i);
        room -= MIN(accounts[i].n_wanted, accounts[i].share);
    }
}

/* Of its own share, what is older first.  Returns how many rows the table has more by that: what others have as well is there once. */
static size_t give(const struct claims *claims, const struct account *account)
{
    size_t left = account->share, n_used = 0;

    for (size_t i = 0; i < account->n; i++) {
        struct claim *claim = &claims->claims[account->first + i];

        if (claim->n_rows > left)
            continue;
        left -= claim->n_rows;
        n_used += *claim->ret_fits ? 0 : claim->n_rows;
        *claim->ret_fits = true;
    }
    return n_used;
}

/* The oldest of an account's things that have no place yet and fit into 'room', or NULL.  What does not fit never will: the room only shrinks. */
static struct claim *next_that_fits(const struct claims *claims, struct account *account, size_t room)
{
    for (; account->next < account->n; account->next++) {
        struct claim *claim = &claims->claims[account->first + account->next];

        if (!*claim->ret_fits && claim->n_rows <= room)
            return claim;
    }
    return NULL;
}

/* Things fit whole or not at all, and several projects may have one in common, so shares leave room: one thing for each project in turn, in the
 * order of what they want, until nothing more fits. */
static void give_what_is_left(const struct claims *claims, struct account *accounts, size_t n, size_t room)
{
    bool has_given;

    do {
        has_given = false;
        for (size_t i = 0; i < n; i++) {
            struct claim *claim = next_that_fits(claims, &accounts[i], room);

            if (!claim)
                continue;
            *claim->ret_fits = has_given = true;
            room -= claim->n_rows;
        }
    } while (has_given);
}

static int tell(const struct claims *claims, const struct account *account, uint32_t table, struct rows *shortages)
{
    struct shortage shortage = {.share = (uint32_t)account->share, .n_wanted = (uint32_t)account->n_wanted};
    struct shortage_key key = {.table = table};

    for (size_t i = 0; i < account->n; i++)
        shortage.n_left_out += !*claims->claims[account->first + i].ret_fits;
    string_copy(key.project_id, sizeof(key.project_id), claims->claims[account->first].project_id);
    return shortage.n_left_out ? rows_add(shortages, &key, &shortage) : 0;
}

int claims_divide(struct claims *claims, uint32_t table, size_t room, struct rows *shortages)
{
    struct account *accounts = calloc(claims->n + 1, sizeof(*accounts));
    size_t n, n_used = 0;
    int error = 0;

    if (!accounts)
        return -ENOMEM;
    if (claims->n) {
        leave_out_repetitions(claims);
        qsort(claims->claims, claims->n, sizeof(*claims->claims), compare_claims);
    }
    n = find_accounts(claims, accounts);
    if (n)
        divide(accounts, n, room);
    for (size_t i = 0; i < n; i++)
        n_used += give(claims, &accounts[i]);
    give_what_is_left(claims, accounts, n, room - n_used);
    for (size_t i = 0; i < n && error == 0; i++)
        error = tell(claims, &accounts[i], table, shortages);
    free(accounts);
    return error;
}
