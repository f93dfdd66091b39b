#include "weft/compiler/numbers.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "weft/base/hashmap.h"
#include "weft/base/util.h"
#include "weft/compiler/shares.h"

enum owner_kind { OWNER_GROUP, OWNER_ROUTER, OWNER_BALANCER };

/* What has its numbers together. */
struct owner {
    struct hashmap_node by_id;
    const struct object *object;
    enum owner_kind kind;
    uint32_t n[N_NUMBER_SPACES];
    bool fits;
    bool waits, runs; /* Some number is not free yet; some was its own before. */
};

struct numbers {
    struct numbering *numbering;
    size_t n_wanted[N_NUMBER_SPACES];
    struct owner *owners; /* NULL: not needed so far. */
    size_t n_owners;
    struct hashmap by_id;
};

/* ---- all that wants one --------------------------------------------------------------------------------------------------------------- */

struct want {
    enum number_space space;
    const struct object *object;
    enum owner_kind kind;
    const char *owner_id;
    uint32_t *number;
};

typedef void (*visit_want)(struct numbers *numbers, const struct want *want);

static void each_of_groups(struct numbers *numbers, visit_want visit)
{
    const struct numbering *all = numbers->numbering;

    for (size_t i = 0; i < all->snapshot->n_security_groups; i++) {
        const struct object *object = &all->security_groups[i].group->object;

        visit(numbers, &(struct want){NUMBERS_GROUPS, object, OWNER_GROUP, object->id, &all->security_groups[i].number});
    }
    for (size_t i = 0; i < all->snapshot->n_address_groups; i++) {
        const struct object *object = &all->address_groups[i].group->object;

        visit(numbers, &(struct want){NUMBERS_GROUPS, object, OWNER_GROUP, object->id, &all->address_groups[i].number});
    }
}

static void each_of_routers(struct numbers *numbers, visit_want visit)
{
    const struct numbering *all = numbers->numbering;

    for (size_t i = 0; i < all->snapshot->n_routers; i++) {
        const struct object *object = &all->routers[i].router->object;

        visit(numbers, &(struct want){NUMBERS_ROUTERS, object, OWNER_ROUTER, object->id, &all->routers[i].number});
    }
    for (size_t i = 0; i < all->snapshot->n_ports; i++) {
        struct compile_port *entry = &all->ports[i];

        if (entry->router_port)
            visit(numbers, &(struct want){NUMBERS_ROUTER_PORTS, &entry->port->object, OWNER_ROUTER, entry->port->device_id, &entry->router_port});
        else if (entry->vip_port)
            visit(numbers, &(struct want){NUMBERS_ROUTER_PORTS, &entry->port->object, OWNER_BALANCER, port_load_balancer_id(entry->port), &entry->vip_port});
    }
}

static void each_of_balancers(struct numbers *numbers, visit_want visit)
{
    const struct numbering *all = numbers->numbering;

    for (size_t i = 0; i < all->snapshot->n_listeners; i++) {
        const struct listener *model = all->listeners[i].listener;

        visit(numbers, &(struct want){NUMBERS_LISTENERS, &model->object, OWNER_BALANCER, model->load_balancer_id, &all->listeners[i].number});
    }
    for (size_t i = 0; i < all->snapshot->n_pools; i++) {
        const struct pool *model = all->pools[i].pool;

        visit(numbers, &(struct want){NUMBERS_POOLS, &model->object, OWNER_BALANCER, model->load_balancer_id, &all->pools[i].number});
    }
    for (size_t i = 0; i < all->snapshot->n_members; i++) {
        const struct pool_member *model = all->members[i].member;

        visit(numbers, &(struct want){NUMBERS_MEMBERS, &model->object, OWNER_BALANCER, model->load_balancer_id, &all->members[i].number});
    }
}

static void each(struct numbers *numbers, visit_want visit)
{
    each_of_groups(numbers, visit);
    each_of_routers(numbers, visit);
    each_of_balancers(numbers, visit);
}

/* ---- owners --------------------------------------------------------------------------------------------------------------------------- */

static struct owner *find_owner(const struct numbers *numbers, const struct want *want)
{
    struct hashmap_node *node = want->owner_id ? hashmap_find(&numbers->by_id, want->owner_id, strlen(want->owner_id)) : NULL;
    struct owner *owner = node ? CONTAINER_OF(node, struct owner, by_id) : NULL;

    return owner && owner->kind == want->kind ? owner : NULL;
}

static int add_owner(struct numbers *numbers, enum owner_kind kind, const struct object *object)
{
    struct owner *owner = &numbers->owners[numbers->n_owners++];

    owner->kind = kind;
    owner->object = object;
    owner->fits = true;
    return hashmap_insert(&numbers->by_id, &owner->by_id, object->id, strlen(object->id)) == -ENOMEM ? -ENOMEM : 0;
}

static int find_owners(struct numbers *numbers)
{
    const struct numbering *all = numbers->numbering;
    const struct snapshot *snapshot = all->snapshot;
    size_t n = snapshot->n_security_groups + snapshot->n_address_groups + snapshot->n_routers + snapshot->n_load_balancers;
    int error = 0;

    if (numbers->owners)
        return 0;
    numbers->owners = calloc(n + 1, sizeof(*numbers->owners));
    if (!numbers->owners || hashmap_reserve(&numbers->by_id, n) < 0)
        return -ENOMEM;
    for (size_t i = 0; i < snapshot->n_security_groups && error == 0; i++)
        error = add_owner(numbers, OWNER_GROUP, &all->security_groups[i].group->object);
    for (size_t i = 0; i < snapshot->n_address_groups && error == 0; i++)
        error = add_owner(numbers, OWNER_GROUP, &all->address_groups[i].group->object);
    for (size_t i = 0; i < snapshot->n_routers && error == 0; i++)
        error = add_owner(numbers, OWNER_ROUTER, &all->routers[i].router->object);
    for (size_t i = 0; i < snapshot->n_load_balancers && error == 0; i++)
        error = add_owner(numbers, OWNER_BALANCER, &all->load_balancers[i]->object);
    return error;
}

/* ---- division --------------------------------------------------------------------------------------------------------------------------- */

static void visit_to_count(struct numbers *numbers, const struct want *want)
{
    numbers->n_wanted[want->space]++;
}

static void visit_to_claim(struct numbers *numbers, const struct want *want)
{
    struct owner *owner = find_owner(numbers, want);

    if (owner)
        owner->n[want->space]++;
}

static int divide(struct numbers *numbers, enum number_space space)
{
    struct numbering *numbering = numbers->numbering;
    struct claims claims = {0};
    size_t n = 0;
    int error = 0;

    for (size_t i = 0; i < numbers->n_owners; i++)
        n += numbers->owners[i].fits ? numbers->owners[i].n[space] : 0;
    if (n <= numbering->room[space])
        return 0;
    for (size_t i = 0; i < numbers->n_owners && error == 0; i++) {
        struct owner *owner = &numbers->owners[i];

        if (!owner->fits || !owner->n[space])
            continue;
        owner->fits = false;
        error = claims_add(&claims, (struct claim){owner->object->project_id, owner->object, &owner->fits, owner->n[space], 0});
    }
    if (error == 0)
        error = claims_divide(&claims, SHORTAGE_OF_NUMBERS + space, numbering->room[space], numbering->shortages);
    for (size_t i = 0; i < claims.n && error == 0; i++)
        if (!*claims.claims[i].ret_fits)
            error = left_out_add(numbering->left_out, claims.claims[i].object->id, SHORTAGE_OF_NUMBERS + space);
    claims_clear(&claims);
    return error;
}

static int divide_all(struct numbers *numbers)
{
    bool is_over = false;
    int error = 0;

    each(numbers, visit_to_count);
    for (int space = 0; space < N_NUMBER_SPACES; space++)
        is_over |= numbers->n_wanted[space] > numbers->numbering->room[space];
    if (!is_over)
        return 0;
    error = find_owners(numbers);
    if (error == 0)
        each(numbers, visit_to_claim);
    for (int space = 0; space < N_NUMBER_SPACES && error == 0; space++)
        error = divide(numbers, space);
    return error;
}

/* ---- giving ----------------------------------------------------------------------------------------------------------------------------- */

static void visit_to_give(struct numbers *numbers, const struct want *want)
{
    struct numbering *numbering = numbers->numbering;
    const struct owner *owner = numbers->owners ? find_owner(numbers, want) : NULL;

    *want->number = 0;
    if (numbers->owners && !(owner && owner->fits))
        return;
    *want->number = numbering->give(want->space, want->object, numbering->context);
    if (*want->number)
        return;
    *want->number = NUMBER_WANTED;
    numbering->waits = true;
}

static void visit_to_wait(struct numbers *numbers, const struct want *want)
{
    struct owner *owner = *want->number ? find_owner(numbers, want) : NULL;

    if (owner && *want->number == NUMBER_WANTED)
        owner->waits = true;
    else if (owner)
        owner->runs = owner->runs || numbers->numbering->had(want->space, want->object, numbers->numbering->context);
}

static void visit_to_take_back(struct numbers *numbers, const struct want *want)
{
    struct owner *owner = find_owner(numbers, want);

    if (owner)
        owner->fits = owner->fits && (owner->runs || !owner->waits);
    if (*want->number && *want->number != NUMBER_WANTED && owner && !owner->fits)
        numbers->numbering->take_back(want->space, want->object, numbers->numbering->context);
    if (*want->number == NUMBER_WANTED || (owner && !owner->fits))
        *want->number = 0;
}

static void keep_balancers(struct numbers *numbers)
{
    struct numbering *numbering = numbers->numbering;
    size_t n = 0, first = numbers->n_owners - numbering->snapshot->n_load_balancers;

    for (size_t i = 0; i < numbering->snapshot->n_load_balancers; i++)
        if (numbers->owners[first + i].fits)
            numbering->load_balancers[n++] = numbering->load_balancers[i];
    numbering->snapshot->n_load_balancers = n;
}

int numbers_give(struct numbering *numbering)
{
    struct numbers numbers = {.numbering = numbering};
    int error = divide_all(&numbers);

    if (error == 0) {
        each(&numbers, visit_to_give);
        if (numbering->waits && (error = find_owners(&numbers)) == 0) {
            each(&numbers, visit_to_wait);
            each(&numbers, visit_to_take_back);
        }
    }
    if (error == 0 && numbers.owners)
        keep_balancers(&numbers);
    hashmap_clear(&numbers.by_id);
    free(numbers.owners);
    return error;
}
