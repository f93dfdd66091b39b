#include "weft/fabric/slices.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "weft/base/hashmap.h"
#include "weft/base/util.h"

/* What a binding is found by; fields that it does not have are zero. */
struct binding_key {
    uint64_t datapath_id;
    uint32_t port;
    uint16_t vlan;
    uint8_t kind; /* Which fields count. */
    uint8_t zero;
    struct mac_address mac;
    uint8_t zeros[2];
};

enum { HAS_PORT = 1, HAS_VLAN = 2, HAS_MAC = 4 };

struct bound {
    struct hashmap_node by_key;
    struct binding_key key;
    struct slice *slice;
};

struct slice {
    uint32_t number;
    char name[SLICE_NAME_MAX + 1];
    struct slice_binding *bindings;
    struct bound *bound; /* One for each binding. */
    size_t n;
};

struct slices {
    struct slice **sorted; /* By name. */
    size_t n, n_bindings;
    uint32_t next_number;
    struct hashmap by_key;
};

int slices_new(struct slices **ret)
{
    struct slices *slices = calloc(1, sizeof(*slices));

    if (!slices)
        return -ENOMEM;
    *ret = slices;
    return 0;
}

static void free_slice(struct slices *slices, struct slice *slice)
{
    for (size_t i = 0; i < slice->n; i++)
        if (slice->bound[i].slice)
            hashmap_remove(&slices->by_key, &slice->bound[i].by_key);
    slices->n_bindings -= slice->n;
    free(slice->bindings);
    free(slice->bound);
    free(slice);
}

void slices_free(struct slices *slices)
{
    if (!slices)
        return;
    for (size_t i = 0; i < slices->n; i++)
        free_slice(slices, slices->sorted[i]);
    hashmap_clear(&slices->by_key);
    free(slices->sorted);
    free(slices);
}

/* ---- finding ------------------------------------------------------------------------------------------------------------------ */

static struct binding_key key_of(const struct slice_binding *binding)
{
    struct binding_key key = {.kind = (uint8_t)(binding->has_port * HAS_PORT | binding->has_vlan * HAS_VLAN | binding->has_mac * HAS_MAC)};

    if (binding->has_port) {
        key.datapath_id = binding->datapath_id;
        key.port = binding->port;
    }
    if (binding->has_vlan)
        key.vlan = binding->vlan;
    if (binding->has_mac)
        key.mac = binding->mac;
    return key;
}

static const struct slice *find(const struct slices *slices, const struct slice_binding *binding)
{
    struct binding_key key = key_of(binding);
    struct hashmap_node *node = hashmap_find(&slices->by_key, &key, sizeof(key));

    return node ? CONTAINER_OF(node, struct bound, by_key)->slice : NULL;
}

uint32_t slices_find(const struct slices *slices, uint64_t datapath_id, uint32_t port, uint16_t vlan, const struct mac_address *mac)
{
    static const uint8_t kinds[] = {HAS_PORT | HAS_MAC, HAS_PORT | HAS_VLAN, HAS_PORT, HAS_MAC}; /* The most exact first. */

    if (!slices->n)
        return SLICE_ALL;
    for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
        struct slice_binding binding = {(kinds[i] & HAS_PORT) != 0, (kinds[i] & HAS_VLAN) != 0, (kinds[i] & HAS_MAC) != 0,
                                        datapath_id, port, vlan, *mac};
        const struct slice *slice = find(slices, &binding);

        if (slice)
            return slice->number;
    }
    return SLICE_NONE;
}

bool slices_have_port(const struct slices *slices, uint64_t datapath_id, uint32_t port)
{
    for (size_t i = 0; i < slices->n; i++)
        for (size_t k = 0; k < slices->sorted[i]->n; k++) {
            const struct slice_binding *binding = &slices->sorted[i]->bindings[k];

            if (binding->has_port && binding->datapath_id == datapath_id && binding->port == port)
                return true;
        }
    return false;
}

const char *slices_name(const struct slices *slices, uint32_t number)
{
    for (size_t i = 0; i < slices->n; i++)
        if (slices->sorted[i]->number == number)
            return slices->sorted[i]->name;
    return NULL;
}

bool slices_next(const struct slices *slices, size_t *index, const char **ret_name, uint32_t *ret_number,
                 const struct slice_binding **ret_bindings, size_t *ret_n)
{
    const struct slice *slice;

    if (*index >= slices->n)
        return false;
    slice = slices->sorted[(*index)++];
    *ret_name = slice->name;
    *ret_number = slice->number;
    *ret_bindings = slice->bindings;
    *ret_n = slice->n;
    return true;
}

/* ---- changing ------------------------------------------------------------------------------------------------------------------- */

static size_t place_of(const struct slices *slices, const char *name, bool *ret_is_there)
{
    size_t low = 0, high = slices->n;

    while (low < high) {
        size_t middle = (low + high) / 2;

        if (strcmp(slices->sorted[middle]->name, name) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    *ret_is_there = low < slices->n && streq(slices->sorted[low]->name, name);
    return low;
}

static int check_name(const char *name, struct error *error)
{
    size_t length = strlen(name);

    if (!length || length > SLICE_NAME_MAX ||
        strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.") != length)
        return error_set(error, -EINVAL, "slice.name", "slice.name: '%s' is not 1 to %d letters, digits, '-', '_' or '.'", name, SLICE_NAME_MAX);
    return 0;
}

static int check_bindings(const struct slices *slices, const struct slice *old, const struct slice_binding *bindings, size_t n,
                          struct error *error)
{
    if (slices->n_bindings - (old ? old->n : 0) + n > SLICE_BINDINGS_MAX)
        return error_set(error, -ENOSPC, "slice.bindings", "slice.bindings: '%zu' more is over the limit of %d for all slices together", n,
                         SLICE_BINDINGS_MAX);
    for (size_t i = 0; i < n; i++) {
        const struct slice_binding *b = &bindings[i];
        const struct slice *owner;
        char field[64];

        snprintf(field, sizeof(field), "slice.bindings[%zu]", i);
        if ((!b->has_port && (!b->has_mac || b->has_vlan)) || (b->has_vlan && b->has_mac))
            return error_set(error, -EINVAL, field, "%s: a binding is a port, a port and a VLAN, a port and a MAC, or a MAC", field);
        owner = find(slices, b);
        if (owner && owner != old)
            return error_set(error, -EEXIST, field, "%s: belongs to slice '%s'", field, owner->name);
    }
    return 0;
}

static int bind(struct slices *slices, struct slice *slice, struct error *error)
{
    for (size_t i = 0; i < slice->n; i++) {
        struct bound *bound = &slice->bound[i];
        int result;

        bound->key = key_of(&slice->bindings[i]);
        result = hashmap_insert(&slices->by_key, &bound->by_key, &bound->key, sizeof(bound->key));
        if (result == -EEXIST)
            return error_set(error, result, "slice.bindings", "slice.bindings[%zu]: is there twice", i);
        if (result < 0)
            return error_set(error, result, NULL, "out of memory");
        bound->slice = slice;
    }
    return 0;
}

static void unbind(struct slices *slices, struct slice *slice)
{
    for (size_t i = 0; i < slice->n; i++) {
        if (slice->bound[i].slice)
            hashmap_remove(&slices->by_key, &slice->bound[i].by_key);
        slice->bound[i].slice = NULL;
    }
}

static struct slice *make_slice(const char *name, const struct slice_binding *bindings, size_t n)
{
    struct slice *slice = calloc(1, sizeof(*slice));

    if (!slice)
        return NULL;
    string_copy(slice->name, sizeof(slice->name), name);
    slice->bindings = calloc(MAX(n, (size_t)1), sizeof(*slice->bindings));
    slice->bound = calloc(MAX(n, (size_t)1), sizeof(*slice->bound));
    slice->n = n;
    if (!slice->bindings || !slice->bound) {
        free(slice->bindings);
        free(slice->bound);
        free(slice);
        return NULL;
    }
    if (n)
        memcpy(slice->bindings, bindings, n * sizeof(*bindings));
    return slice;
}

int slices_set(struct slices *slices, const char *name, const struct slice_binding *bindings, size_t n, struct error *error)
{
    bool is_there;
    size_t place = place_of(slices, name, &is_there);
    struct slice *old = is_there ? slices->sorted[place] : NULL, *slice;
    int result = check_name(name, error);

    if (result == 0)
        result = check_bindings(slices, old, bindings, n, error);
    if (result < 0)
        return result;
    if (!old && slices->n >= SLICES_MAX)
        return error_set(error, -ENOSPC, "slice", "slice: '%s' is one more than %d", name, SLICES_MAX);
    slice = make_slice(name, bindings, n);
    if (!old && slice) {
        struct slice **grown = realloc(slices->sorted, (slices->n + 1) * sizeof(*grown));

        if (grown)
            slices->sorted = grown;
        else
            result = -ENOMEM;
    }
    if (!slice || result < 0) {
        if (slice)
            slice->n = 0, free_slice(slices, slice);
        return error_set(error, -ENOMEM, NULL, "out of memory");
    }
    slices->n_bindings += n;
    slice->number = old ? old->number : slices->next_number + 1;
    if (old)
        unbind(slices, old);
    result = bind(slices, slice, error);
    if (result < 0) {
        free_slice(slices, slice);
        if (old)
            bind(slices, old, NULL); /* Its buckets are there: needs no memory. */
        return result;
    }
    if (old) {
        free_slice(slices, old);
    } else {
        slices->next_number++;
        memmove(slices->sorted + place + 1, slices->sorted + place, (slices->n - place) * sizeof(*slices->sorted));
        slices->n++;
    }
    slices->sorted[place] = slice;
    return 0;
}

int slices_remove(struct slices *slices, const char *name)
{
    bool is_there;
    size_t place = place_of(slices, name, &is_there);

    if (!is_there)
        return -ENOENT;
    free_slice(slices, slices->sorted[place]);
    memmove(slices->sorted + place, slices->sorted + place + 1, (slices->n - place - 1) * sizeof(*slices->sorted));
    slices->n--;
    return 0;
}
