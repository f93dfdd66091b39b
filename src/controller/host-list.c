#include "weft/controller/host-list.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "weft/fabric/slices.h"
#include "weft/base/util.h"

int host_filter_parse(const char *text, struct host_filter *ret)
{
    struct host_filter filter = {0};

    filter.has_mac = mac_parse(text, &filter.mac) == 0;
    filter.has_address = !filter.has_mac && ip_parse(text, &filter.address) == 0;
    if (!filter.has_mac && !filter.has_address)
        return -EINVAL;
    *ret = filter;
    return 0;
}

bool host_matches(const struct host_filter *filter, const struct host *host)
{
    const struct host_address *address = host->addresses;

    if ((filter->has_mac && !mac_equal(&host->key.mac, &filter->mac)) || (filter->datapath && host->port->datapath != filter->datapath))
        return false;
    while (filter->has_address && address && !ip_equal(&address->key.address, &filter->address))
        address = address->next;
    return !filter->has_address || address;
}

/* The order of pages; no tag is before all tags. */
static int compare_keys(const struct host_key *left, const struct host_key *right)
{
    int result = memcmp(&left->mac, &right->mac, sizeof(left->mac));
    int left_vlan = left->vlan == FRAME_NO_VLAN ? -1 : left->vlan, right_vlan = right->vlan == FRAME_NO_VLAN ? -1 : right->vlan;

    return result ? result : left_vlan - right_vlan;
}

struct host *host_first(const struct fabric *fabric, const struct host_filter *filter)
{
    struct host *found = NULL;

    /* The usual case needs no walk. */
    if (filter->has_mac)
        found = host_find(fabric, &filter->mac, FRAME_NO_VLAN);
    else if (filter->has_address)
        found = host_find_address(fabric, &filter->address, FRAME_NO_VLAN, SLICE_ALL);
    if (found && host_matches(filter, found))
        return found;
    found = NULL;
    HASHMAP_FOREACH(node, &fabric->hosts) {
        struct host *host = CONTAINER_OF(node, struct host, by_key);

        if (host_matches(filter, host) && (!found || compare_keys(&host->key, &found->key) < 0))
            found = host;
    }
    return found;
}

/* ---- markers ----------------------------------------------------------------------------------------------------------------- */

const char *host_marker(const struct host *host, char text[HOST_MARKER_SIZE])
{
    char mac[MAC_TEXT_SIZE];

    if (host->key.vlan == FRAME_NO_VLAN)
        snprintf(text, HOST_MARKER_SIZE, "%s", mac_format(&host->key.mac, mac));
    else
        snprintf(text, HOST_MARKER_SIZE, "%s,%u", mac_format(&host->key.mac, mac), host->key.vlan & 0xfffu);
    return text;
}

int host_marker_parse(const char *text, struct host_key *ret)
{
    const char *comma = strchr(text, ',');
    char mac[MAC_TEXT_SIZE];
    uint64_t vlan = FRAME_NO_VLAN;

    if (snprintf(mac, sizeof(mac), "%.*s", (int)(comma ? comma - text : (ptrdiff_t)strlen(text)), text) >= (int)sizeof(mac) ||
        mac_parse(mac, &ret->mac) < 0 || (comma && parse_u64(comma + 1, 0, 4095, &vlan) < 0))
        return -EINVAL;
    ret->vlan = (uint16_t)vlan;
    return 0;
}

/* ---- pages -------------------------------------------------------------------------------------------------------------------- */

static void swap(struct host **a, struct host **b)
{
    struct host *kept = *a;

    *a = *b;
    *b = kept;
}

/* The page is a heap with its last host on top while it is filled. */
static void sift_up(struct host_page *page, size_t i)
{
    while (i && compare_keys(&page->hosts[(i - 1) / 2]->key, &page->hosts[i]->key) < 0) {
        swap(&page->hosts[(i - 1) / 2], &page->hosts[i]);
        i = (i - 1) / 2;
    }
}

static void sift_down(struct host_page *page)
{
    size_t i = 0;

    for (;;) {
        size_t last = i;

        for (size_t child = 2 * i + 1; child <= 2 * i + 2 && child < page->n; child++)
            if (compare_keys(&page->hosts[child]->key, &page->hosts[last]->key) > 0)
                last = child;
        if (last == i)
            return;
        swap(&page->hosts[i], &page->hosts[last]);
        i = last;
    }
}

static int compare_hosts(const void *a, const void *b)
{
    struct host *const *left = a, *const *right = b;

    return compare_keys(&(*left)->key, &(*right)->key);
}

int host_page_get(const struct fabric *fabric, const struct host_filter *filter, const struct host_key *after, size_t limit,
                  struct host_page *ret)
{
    struct host_page page = {.hosts = calloc(MAX(MIN(limit, fabric->hosts.n_nodes), (size_t)1), sizeof(*page.hosts))};

    if (!page.hosts)
        return -ENOMEM;
    HASHMAP_FOREACH(node, &fabric->hosts) {
        struct host *host = CONTAINER_OF(node, struct host, by_key);

        if ((after && compare_keys(&host->key, after) <= 0) || !host_matches(filter, host))
            continue;
        if (page.n < limit) {
            page.hosts[page.n] = host;
            sift_up(&page, page.n++);
            continue;
        }
        page.has_more = true;
        if (compare_keys(&host->key, &page.hosts[0]->key) < 0) {
            page.hosts[0] = host;
            sift_down(&page);
        }
    }
    qsort(page.hosts, page.n, sizeof(*page.hosts), compare_hosts);
    *ret = page;
    return 0;
}

void host_page_clear(struct host_page *page)
{
    free(page->hosts);
    *page = (struct host_page){0};
}
