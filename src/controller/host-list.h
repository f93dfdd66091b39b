/* Hosts by what a client knows of them, and in pages: a fabric may know a million. */
#ifndef WEFT_CONTROLLER_HOST_LIST_H
#define WEFT_CONTROLLER_HOST_LIST_H

#include <stdbool.h>
#include <stddef.h>

#include "weft/fabric/state.h"

/* All that is given must hold. */
struct host_filter {
    bool has_mac, has_address;
    struct mac_address mac;
    struct ip_address address;
    const struct datapath *datapath; /* NULL: at any. */
};

/* A MAC or an IP address as a filter.  Returns 0 or -EINVAL. */
int host_filter_parse(const char *text, struct host_filter *ret);
bool host_matches(const struct host_filter *filter, const struct host *host);

/* The first that matches, NULL when none does.  A MAC may be in several VLANs: frames without a tag come first, then the order is that of
 * pages. */
struct host *host_first(const struct fabric *fabric, const struct host_filter *filter);

/* "02:00:00:00:00:01", or with a VLAN "02:00:00:00:00:01,10": a host's key as a marker between pages. */
#define HOST_MARKER_SIZE 24
const char *host_marker(const struct host *host, char text[HOST_MARKER_SIZE]);
int host_marker_parse(const char *text, struct host_key *ret);

struct host_page {
    struct host **hosts; /* By MAC, then VLAN; owned. */
    size_t n;
    bool has_more;
};

/* The first 'limit' hosts that match, behind 'after' (NULL: from the beginning).  Looks at every host once and sorts only a page.
 * Returns 0 or -ENOMEM. */
int host_page_get(const struct fabric *fabric, const struct host_filter *filter, const struct host_key *after, size_t limit,
                  struct host_page *ret);
void host_page_clear(struct host_page *page);

#endif
