/* Following interfaces: see links.h. */
#include "weft/agent/links.h"

#include <errno.h>
#include <linux/if.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "weft/base/util.h"

#define RECEIVE_BUFFER (8 << 20) /* A thousand interfaces made at once must not overrun it. */

const struct link *links_find(const struct links *links, uint32_t ifindex)
{
    struct hashmap_node *node = hashmap_find(&links->by_index, &ifindex, sizeof(ifindex));

    return node ? CONTAINER_OF(node, struct link, by_index) : NULL;
}

const struct link *links_find_name(const struct links *links, const char *name)
{
    struct hashmap_node *node = hashmap_find(&links->by_name, name, strlen(name));

    return node ? CONTAINER_OF(node, struct link, by_name) : NULL;
}

/* ---- what a message says --------------------------------------------------------------------------------------------------- */

static int parse_info(const struct nlattr *attribute, void *context)
{
    struct link *link = context;

    if (mnl_attr_get_type(attribute) == IFLA_INFO_KIND)
        string_copy(link->kind, sizeof(link->kind), mnl_attr_get_str(attribute));
    return MNL_CB_OK;
}

static int parse_attribute(const struct nlattr *attribute, void *context)
{
    struct link *link = context;

    switch (mnl_attr_get_type(attribute)) {
    case IFLA_IFNAME:
        string_copy(link->name, sizeof(link->name), mnl_attr_get_str(attribute));
        break;
    case IFLA_MTU:
        link->mtu = mnl_attr_get_u32(attribute);
        break;
    case IFLA_ADDRESS:
        if (mnl_attr_get_payload_len(attribute) == sizeof(link->mac))
            memcpy(link->mac, mnl_attr_get_payload(attribute), sizeof(link->mac));
        break;
    case IFLA_LINK_NETNSID:
        link->peer_elsewhere = true;
        break;
    case IFLA_LINKINFO:
        mnl_attr_parse_nested(attribute, parse_info, link);
        break;
    }
    return MNL_CB_OK;
}

static void forget(struct links *links, struct link *link)
{
    hashmap_remove(&links->by_index, &link->by_index);
    if (links_find_name(links, link->name) == link)
        hashmap_remove(&links->by_name, &link->by_name);
    free(link);
}

static int remember(struct links *links, const struct link *said)
{
    struct link *link = (struct link *)links_find(links, said->ifindex), *namesake;
    uint64_t incarnation = link ? link->incarnation : ++links->n_incarnations;

    if (link)
        forget(links, link);
    link = malloc(sizeof(*link));
    if (!link)
        return -ENOMEM;
    *link = *said;
    link->incarnation = incarnation;
    namesake = (struct link *)links_find_name(links, link->name);
    if (namesake) /* It was deleted or renamed, and that message is still to come. */
        forget(links, namesake);
    if (hashmap_insert(&links->by_index, &link->by_index, &link->ifindex, sizeof(link->ifindex)) < 0 ||
        hashmap_insert(&links->by_name, &link->by_name, link->name, strlen(link->name)) < 0)
        return -ENOMEM;
    return 0;
}

static int take_message(const struct nlmsghdr *message, void *context)
{
    const struct ifinfomsg *info = mnl_nlmsg_get_payload(message);
    struct links *links = context;
    struct link link = {0}, *known;

    if ((message->nlmsg_type != RTM_NEWLINK && message->nlmsg_type != RTM_DELLINK) || info->ifi_family != AF_UNSPEC)
        return MNL_CB_OK; /* AF_BRIDGE: a bridge's view of its port, not the interface. */
    link.ifindex = (uint32_t)info->ifi_index;
    link.up = info->ifi_flags & IFF_UP;
    mnl_attr_parse(message, sizeof(*info), parse_attribute, &link);
    known = (struct link *)links_find(links, link.ifindex);
    if (message->nlmsg_type == RTM_DELLINK) {
        if (known)
            forget(links, known);
    } else if (link.name[0]) {
        remember(links, &link);
    }
    return MNL_CB_OK;
}

/* ---- the socket ----------------------------------------------------------------------------------------------------------------- */

static void forget_all(struct links *links)
{
    HASHMAP_FOREACH(node, &links->by_index)
        forget(links, CONTAINER_OF(node, struct link, by_index));
    hashmap_clear(&links->by_index);
    hashmap_clear(&links->by_name);
}

/* All of them, each another one than before: it may have been deleted and made anew.  If they cannot be listed what was known stays. */
static int list(void *context)
{
    struct links *links = context, fresh = {.n_incarnations = links->n_incarnations};
    char buffer[256];
    struct nlmsghdr *message = mnl_nlmsg_put_header(buffer);
    int result;

    message->nlmsg_type = RTM_GETLINK;
    message->nlmsg_flags = NLM_F_DUMP;
    mnl_nlmsg_put_extra_header(message, sizeof(struct ifinfomsg));
    result = netlink_request(NULL, message, take_message, &fresh);
    if (result < 0) {
        forget_all(&fresh);
        return result;
    }
    forget_all(links);
    links->by_index = fresh.by_index;
    links->by_name = fresh.by_name;
    links->n_incarnations = fresh.n_incarnations;
    return 0;
}

static void changed(void *context)
{
    struct links *links = context;

    links->changed(links->context);
}

int links_open(struct links *links, uv_loop_t *loop, void (*when_changed)(void *context), void *context, struct error *error)
{
    int group = RTNLGRP_LINK, size = RECEIVE_BUFFER, result;

    *links = (struct links){.changed = when_changed, .context = context};
    links->owner = (struct netlink_watch_owner){"interfaces", take_message, list, changed, links};
    result = netlink_watch_open(&links->watch, &group, 1, &links->owner);
    if (result < 0)
        return error_set(error, result, NULL, "cannot follow interfaces: %s", strerror(-result));
    setsockopt(mnl_socket_get_fd(links->watch.socket), SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size));
    result = list(links);
    if (result < 0)
        return error_set(error, result, NULL, "cannot list interfaces: %s", strerror(-result));
    netlink_watch_start(&links->watch, loop);
    return 0;
}

void links_close(struct links *links)
{
    netlink_watch_close(&links->watch);
    forget_all(links);
}
