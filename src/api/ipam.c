#include "weft/api/ipam.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "weft/base/hashmap.h"
#include "weft/base/log.h"
#include "weft/base/util.h"
#include "weft/base/uuid.h"
#include "weft/model/range-set.h"

/* One subnet's addresses. */
struct space {
    struct hashmap_node by_id;
    char subnet_id[UUID_TEXT_SIZE];
    struct range_set allocated, reserved;
    uint128_t cursor; /* Where to look next; 0 before the first. */
};

struct ipam {
    struct hashmap spaces;
};

int ipam_new(struct ipam **ret_ipam)
{
    struct ipam *ipam = calloc(1, sizeof(*ipam));

    if (!ipam)
        return -ENOMEM;
    *ret_ipam = ipam;
    return 0;
}

static void space_free(struct space *space)
{
    range_set_clear(&space->allocated);
    range_set_clear(&space->reserved);
    free(space);
}

void ipam_free(struct ipam *ipam)
{
    if (!ipam)
        return;
    HASHMAP_FOREACH (node, &ipam->spaces)
        space_free(CONTAINER_OF(node, struct space, by_id));
    hashmap_clear(&ipam->spaces);
    free(ipam);
}

const char *ipam_key(const char *subnet_id, const struct ip_address *address, char key[IPAM_KEY_SIZE])
{
    char text[IP_TEXT_SIZE];

    snprintf(key, IPAM_KEY_SIZE, "ipam/%s/%s", subnet_id, ip_format(address, text));
    return key;
}

static struct space *space_find(const struct ipam *ipam, const char *subnet_id)
{
    struct hashmap_node *node = hashmap_find(&ipam->spaces, subnet_id, strlen(subnet_id));

    return node ? CONTAINER_OF(node, struct space, by_id) : NULL;
}

static struct space *space_get(struct ipam *ipam, const char *subnet_id)
{
    struct space *space = space_find(ipam, subnet_id);

    if (space || !(space = calloc(1, sizeof(*space))))
        return space;
    string_copy(space->subnet_id, sizeof space->subnet_id, subnet_id);
    if (hashmap_insert(&ipam->spaces, &space->by_id, space->subnet_id, strlen(space->subnet_id)) < 0) {
        free(space);
        return NULL;
    }
    return space;
}

/* A subnet without addresses needs no memory. */
static void space_release(struct ipam *ipam, struct space *space)
{
    if (space->allocated.n_values || space->reserved.n_values)
        return;
    hashmap_remove(&ipam->spaces, &space->by_id);
    space_free(space);
}

/* The first address in the range that is in neither set.  Each step passes a whole run, and of reserved ones there are
 * as many as requests under way. */
static int next_free(const struct space *space, uint128_t first, uint128_t last, uint128_t *ret)
{
    uint128_t a = first, b;

    for (;;) {
        if (range_set_next_missing(&space->allocated, a, last, &b) < 0)
            return -ENOENT;
        if (range_set_next_missing(&space->reserved, b, last, &a) < 0)
            return -ENOENT;
        if (a == b) {
            *ret = a;
            return 0;
        }
    }
}

int ipam_choose(struct ipam *ipam, const struct subnet *subnet, struct ip_address *ret_address)
{
    struct space *space = space_get(ipam, subnet->object.id);
    uint128_t found = 0, first, last;
    bool is_found = false;

    if (!space)
        return -ENOMEM;
    /* Behind the cursor first, then from the beginning. */
    for (int round = 0; round < 2 && !is_found; round++)
        for (size_t i = 0; i < subnet->n_allocation_pools && !is_found; i++) {
            first = ip_to_number(&subnet->allocation_pools[i].first);
            last = ip_to_number(&subnet->allocation_pools[i].last);
            if (round == 0 && last < space->cursor)
                continue;
            if (round == 0)
                first = MAX(first, space->cursor);
            is_found = next_free(space, first, last, &found) == 0;
        }
    if (!is_found) {
        space_release(ipam, space);
        return -ENOSPC;
    }
    if (range_set_add(&space->reserved, found) < 0) {
        space_release(ipam, space);
        return -ENOMEM;
    }
    space->cursor = found + 1;
    *ret_address = ip_from_number(found);
    return 0;
}

int ipam_reserve(struct ipam *ipam, const char *subnet_id, const struct ip_address *address)
{
    struct space *space = space_get(ipam, subnet_id);
    uint128_t number = ip_to_number(address);
    int r;

    if (!space)
        return -ENOMEM;
    if (range_set_contains(&space->allocated, number))
        return -EEXIST;
    r = range_set_add(&space->reserved, number);
    if (r == -ENOMEM)
        space_release(ipam, space);
    return r;
}

void ipam_release(struct ipam *ipam, const char *subnet_id, const struct ip_address *address)
{
    struct space *space = space_find(ipam, subnet_id);

    if (!space)
        return;
    if (range_set_remove(&space->reserved, ip_to_number(address)) == -ENOMEM)
        log_error("out of memory: %s keeps an address reserved until the restart", subnet_id);
    space_release(ipam, space);
}

void ipam_collided(struct ipam *ipam, const struct subnet *subnet)
{
    struct space *space = space_find(ipam, subnet->object.id);
    const struct ip_range *pool;
    uint128_t first, size, step;
    uint32_t which;

    if (!space || subnet->n_allocation_pools == 0)
        return;
    random_bytes(&which, sizeof which);
    random_bytes(&step, sizeof step);
    pool = &subnet->allocation_pools[which % subnet->n_allocation_pools];
    first = ip_to_number(&pool->first);
    size = ip_to_number(&pool->last) - first + 1;
    space->cursor = first + (size ? step % size : step);
}

static void allocated(struct ipam *ipam, const struct fixed_ip *fixed_ip)
{
    struct space *space = space_get(ipam, fixed_ip->subnet_id);
    uint128_t number = ip_to_number(&fixed_ip->address);

    if (!space || range_set_add(&space->allocated, number) == -ENOMEM) {
        log_error("out of memory: an address of subnet %s is not known to be taken", fixed_ip->subnet_id);
        return; /* The store's key still keeps it from being given twice. */
    }
    range_set_remove(&space->reserved, number);
}

static bool has_address(const struct port *port, const struct fixed_ip *fixed_ip)
{
    for (size_t i = 0; port && i < port->n_fixed_ips; i++)
        if (streq(port->fixed_ips[i].subnet_id, fixed_ip->subnet_id) &&
            ip_equal(&port->fixed_ips[i].address, &fixed_ip->address))
            return true;
    return false;
}

void ipam_port_changed(struct ipam *ipam, const struct port *before, const struct port *after)
{
    for (size_t i = 0; before && i < before->n_fixed_ips; i++) {
        struct space *space = space_find(ipam, before->fixed_ips[i].subnet_id);

        if (!space || has_address(after, &before->fixed_ips[i]))
            continue;
        if (range_set_remove(&space->allocated, ip_to_number(&before->fixed_ips[i].address)) == -ENOMEM)
            log_error("out of memory: an address of subnet %s stays taken until the restart", space->subnet_id);
        space_release(ipam, space);
    }
    for (size_t i = 0; after && i < after->n_fixed_ips; i++)
        if (!has_address(before, &after->fixed_ips[i]))
            allocated(ipam, &after->fixed_ips[i]);
}

bool ipam_is_taken(const struct ipam *ipam, const char *subnet_id, const struct ip_address *address)
{
    const struct space *space = space_find(ipam, subnet_id);
    uint128_t number = ip_to_number(address);

    return space && (range_set_contains(&space->allocated, number) || range_set_contains(&space->reserved, number));
}

uint64_t ipam_count(const struct ipam *ipam, const char *subnet_id)
{
    const struct space *space = space_find(ipam, subnet_id);

    return space ? space->allocated.n_values : 0;
}
