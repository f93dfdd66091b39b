#include "weft/model/routed.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "weft/base/util.h"

bool router_routes_untranslated(const struct router *router, const struct subnet *inside, const struct subnet *outside)
{
    return outside && streq(inside->address_scope_id, outside->address_scope_id) &&
           (!ip_is_v4(&inside->cidr.address) || !router->enable_snat || inside->address_scope_id[0]);
}

const struct subnet *port_subnet_of_family(const struct port *port, bool v4, const struct subnet *(*find)(const void *context, const char *id),
                                           const void *context)
{
    for (size_t i = 0; i < port->n_fixed_ips; i++)
        if (ip_is_v4(&port->fixed_ips[i].address) == v4)
            return find(context, port->fixed_ips[i].subnet_id);
    return NULL;
}

int64_t routed_since(const struct subnet *subnet, const struct port *interface, const struct port *gateway)
{
    return MAX(subnet->object.created_at_s, MAX(interface->object.created_at_s, gateway->object.created_at_s));
}

static int compare_age(const struct routed_prefix *a, const struct routed_prefix *b)
{
    int order = a->since_s < b->since_s ? -1 : a->since_s > b->since_s;

    return order ? order : strcmp(a->router_id, b->router_id);
}

/* A prefix comes before those within it. */
static int compare(const void *a, const void *b)
{
    const struct routed_prefix *x = a, *y = b;
    int order = strcmp(x->network_id, y->network_id);

    if (order == 0)
        order = ip_compare(&x->prefix.address, &y->prefix.address);
    if (order == 0)
        order = prefix_bits(&x->prefix) - prefix_bits(&y->prefix);
    return order ? order : compare_age(x, y);
}

static int compare_pointers(const void *a, const void *b)
{
    const struct routed_prefix *x = *(struct routed_prefix *const *)a, *y = *(struct routed_prefix *const *)b;
    int order = compare_age(x, y);

    return order ? order : compare(x, y);
}

/* All within one prefix, of several projects: each in the order of age, unless another project has some of it already. */
static int resolve_run(struct routed_prefix *list, size_t n)
{
    struct routed_prefix **by_age = calloc(n, sizeof(*by_age));

    if (!by_age)
        return -ENOMEM;
    for (size_t i = 0; i < n; i++)
        by_age[i] = &list[i];
    qsort(by_age, n, sizeof(*by_age), compare_pointers);
    for (size_t i = 1; i < n; i++)
        for (size_t j = 0; j < i && !by_age[i]->overruled; j++)
            if (!by_age[j]->overruled && !streq(by_age[i]->project_id, by_age[j]->project_id) &&
                prefix_overlaps(&by_age[i]->prefix, &by_age[j]->prefix))
                by_age[i]->overruled = by_age[j];
    free(by_age);
    return 0;
}

int routed_prefixes_resolve(struct routed_prefix *list, size_t n)
{
    int r = 0;

    if (n > 1)
        qsort(list, n, sizeof(*list), compare);
    for (size_t i = 0; i < n; i++)
        list[i].overruled = NULL;
    for (size_t i = 0, end; i < n && r == 0; i = end) {
        bool is_shared = false;

        for (end = i + 1; end < n && streq(list[end].network_id, list[i].network_id) && prefix_overlaps(&list[end].prefix, &list[i].prefix); end++)
            is_shared |= !streq(list[end].project_id, list[i].project_id);
        if (is_shared)
            r = resolve_run(list + i, end - i);
    }
    return r;
}
