/* The interfaces of this network namespace, followed by rtnetlink(7): known by name and index milliseconds after they
 * appear, vanish, or are renamed. */
#ifndef WEFT_AGENT_LINKS_H
#define WEFT_AGENT_LINKS_H

#include <stdbool.h>
#include <uv.h>

#include "weft/base/error.h"
#include "weft/base/hashmap.h"
#include "weft/dataplane/netlink-watch.h"

struct link {
    struct hashmap_node by_index, by_name;
    uint32_t ifindex;
    uint64_t incarnation; /* Another one when the interface was deleted, or left the namespace, and is there again: what was attached
                             to it went with the one before, although index and name may be the same. */
    char name[16];
    char kind[16];       /* "veth", "tun", "vxlan"; empty for hardware. */
    bool peer_elsewhere; /* A veth whose other end is in another network namespace. */
    bool up;
    uint32_t mtu;
    uint8_t mac[6];
};

struct links {
    struct hashmap by_index, by_name;
    struct netlink_watch watch;
    struct netlink_watch_owner owner;
    uint64_t n_incarnations;
    void (*changed)(void *context); /* Something may have; called at most once a batch of messages. */
    void *context;
};

int links_open(struct links *links, uv_loop_t *loop, void (*changed)(void *context), void *context, struct error *error);
void links_close(struct links *links); /* The loop must run once more. */

const struct link *links_find(const struct links *links, uint32_t ifindex);
const struct link *links_find_name(const struct links *links, const char *name);

#endif
