/* Routes and neighbors of the underlay: see underlay.h. */
#include "weft/agent/underlay.h"

#include <errno.h>
#include <ifaddrs.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "weft/dataplane/netlink.h"

#ifndef NTF_EXT_MANAGED
#define NTF_EXT_MANAGED (1 << 0)
#endif
#ifndef NDA_FLAGS_EXT
#define NDA_FLAGS_EXT 15
#endif

#define USABLE_STATES (NUD_REACHABLE | NUD_STALE | NUD_DELAY | NUD_PROBE | NUD_PERMANENT | NUD_NOARP)

struct neighbor_id {
    uint32_t ifindex;
    struct ip_address address;
};

struct neighbor {
    struct hashmap_node node;
    struct neighbor_id id;
    uint8_t mac[6];
};

/* ---- addresses in attributes: 4 bytes or 16 ----------------------------------------------------------------------------- */

static int family_of(const struct ip_address *address)
{
    return ip_is_v4(address) ? AF_INET : AF_INET6;
}

static void put_address(struct nlmsghdr *message, uint16_t type, const struct ip_address *address)
{
    if (ip_is_v4(address))
        mnl_attr_put(message, type, 4, address->bytes + 12);
    else
        mnl_attr_put(message, type, 16, address->bytes);
}

static bool get_address(const struct nlattr *attribute, struct ip_address *ret)
{
    const uint8_t *bytes = mnl_attr_get_payload(attribute);

    if (mnl_attr_get_payload_len(attribute) == 4)
        *ret = ip_from_v4((uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3]);
    else if (mnl_attr_get_payload_len(attribute) == 16)
        memcpy(ret->bytes, bytes, 16);
    else
        return false;
    return true;
}

/* ---- neighbors -------------------------------------------------------------------------------------------------------------- */

static struct neighbor *find_neighbor(const struct underlay *underlay, const struct neighbor_id *id)
{
    struct hashmap_node *node = hashmap_find(&underlay->neighbors, id, sizeof(*id));

    return node ? CONTAINER_OF(node, struct neighbor, node) : NULL;
}

static bool forget_neighbor(struct underlay *underlay, const struct neighbor_id *id)
{
    struct neighbor *neighbor = find_neighbor(underlay, id);

    if (!neighbor)
        return false;
    hashmap_remove(&underlay->neighbors, &neighbor->node);
    free(neighbor);
    return true;
}

static bool remember_neighbor(struct underlay *underlay, const struct neighbor_id *id, const uint8_t mac[6])
{
    struct neighbor *neighbor = find_neighbor(underlay, id);

    if (neighbor && memcmp(neighbor->mac, mac, 6) == 0)
        return false;
    forget_neighbor(underlay, id);
    neighbor = calloc(1, sizeof(*neighbor));
    if (!neighbor)
        return false;
    neighbor->id = *id;
    memcpy(neighbor->mac, mac, 6);
    if (hashmap_insert(&underlay->neighbors, &neighbor->node, &neighbor->id, sizeof(neighbor->id)) < 0) {
        free(neighbor);
        return false;
    }
    return true;
}

struct neighbor_message {
    struct ip_address address;
    bool has_address, has_mac;
    uint8_t mac[6];
};

static int parse_neighbor(const struct nlattr *attribute, void *context)
{
    struct neighbor_message *said = context;

    if (mnl_attr_get_type(attribute) == NDA_DST)
        said->has_address = get_address(attribute, &said->address);
    if (mnl_attr_get_type(attribute) == NDA_LLADDR && mnl_attr_get_payload_len(attribute) == 6) {
        memcpy(said->mac, mnl_attr_get_payload(attribute), 6);
        said->has_mac = true;
    }
    return MNL_CB_OK;
}

static int take_message(const struct nlmsghdr *message, void *context)
{
    const struct ndmsg *info = mnl_nlmsg_get_payload(message);
    struct neighbor_message said = {0};
    struct underlay *underlay = context;

    if (message->nlmsg_type != RTM_NEWNEIGH && message->nlmsg_type != RTM_DELNEIGH) {
        underlay->is_changed = true; /* A route or an address. */
        return MNL_CB_OK;
    }
    if (info->ndm_family != AF_INET && info->ndm_family != AF_INET6)
        return MNL_CB_OK;
    mnl_attr_parse(message, sizeof(*info), parse_neighbor, &said);
    if (!said.has_address)
        return MNL_CB_OK;

    struct neighbor_id id = {(uint32_t)info->ndm_ifindex, said.address};

    if (message->nlmsg_type == RTM_NEWNEIGH && (info->ndm_state & USABLE_STATES) && said.has_mac)
        underlay->is_changed |= remember_neighbor(underlay, &id, said.mac);
    else
        underlay->is_changed |= forget_neighbor(underlay, &id);
    return MNL_CB_OK;
}

/* ---- requests ----------------------------------------------------------------------------------------------------------------- */

static void forget_neighbors(struct underlay *underlay)
{
    HASHMAP_FOREACH(node, &underlay->neighbors) {
        struct neighbor *neighbor = CONTAINER_OF(node, struct neighbor, node);

        hashmap_remove(&underlay->neighbors, node);
        free(neighbor);
    }
    hashmap_clear(&underlay->neighbors);
}

/* All of them.  If they cannot be listed what was known stays; the socket is one of its own, since what is left of a list that failed would be taken
 * for the answer to the next question.  Routes are asked for when they are needed. */
static int list_neighbors(void *context)
{
    struct underlay *underlay = context, fresh = {0};
    char buffer[256];
    struct nlmsghdr *message = mnl_nlmsg_put_header(buffer);
    int result;

    message->nlmsg_type = RTM_GETNEIGH;
    message->nlmsg_flags = NLM_F_DUMP;
    mnl_nlmsg_put_extra_header(message, sizeof(struct ndmsg));
    result = netlink_request(NULL, message, take_message, &fresh);
    if (result < 0) {
        forget_neighbors(&fresh);
        return result;
    }
    forget_neighbors(underlay);
    underlay->neighbors = fresh.neighbors;
    underlay->is_changed = true;
    return 0;
}

/* Asks the kernel to resolve the neighbor and, where it can, to keep it resolved. */
static void manage_neighbor(struct underlay *underlay, uint32_t ifindex, const struct ip_address *address)
{
    for (int managed = 1; managed >= 0; managed--) {
        char buffer[256];
        struct nlmsghdr *message = mnl_nlmsg_put_header(buffer);
        struct ndmsg *info;

        message->nlmsg_type = RTM_NEWNEIGH;
        message->nlmsg_flags = NLM_F_CREATE | NLM_F_REPLACE;
        info = mnl_nlmsg_put_extra_header(message, sizeof(*info));
        info->ndm_family = (uint8_t)family_of(address);
        info->ndm_ifindex = (int)ifindex;
        info->ndm_state = NUD_NONE;
        info->ndm_flags = managed ? 0 : NTF_USE;
        put_address(message, NDA_DST, address);
        if (managed)
            mnl_attr_put_u32(message, NDA_FLAGS_EXT, NTF_EXT_MANAGED);
        if (netlink_request(underlay->requests, message, NULL, NULL) == 0)
            return;
    }
}

struct route {
    uint32_t ifindex;
    struct ip_address gateway;
    bool has_gateway, is_usable;
};

static int parse_route(const struct nlattr *attribute, void *context)
{
    struct route *route = context;

    if (mnl_attr_get_type(attribute) == RTA_OIF)
        route->ifindex = mnl_attr_get_u32(attribute);
    if (mnl_attr_get_type(attribute) == RTA_GATEWAY)
        route->has_gateway = get_address(attribute, &route->gateway);
    if (mnl_attr_get_type(attribute) == RTA_VIA) { /* An IPv6 gateway of an IPv4 route (RFC 8950). */
        const struct rtvia *via = mnl_attr_get_payload(attribute);

        if (mnl_attr_get_payload_len(attribute) == sizeof(*via) + 16) {
            memcpy(route->gateway.bytes, via->rtvia_addr, 16);
            route->has_gateway = true;
        }
    }
    return MNL_CB_OK;
}

static int take_route(const struct nlmsghdr *message, void *context)
{
    const struct rtmsg *info = mnl_nlmsg_get_payload(message);
    struct route *route = context;

    if (message->nlmsg_type != RTM_NEWROUTE)
        return MNL_CB_OK;
    route->is_usable = info->rtm_type == RTN_UNICAST;
    return mnl_attr_parse(message, sizeof(*info), parse_route, route);
}

static int find_route(struct underlay *underlay, const struct ip_address *local, const struct ip_address *remote,
                      struct route *ret)
{
    char buffer[256];
    struct nlmsghdr *message = mnl_nlmsg_put_header(buffer);
    struct rtmsg *info;

    message->nlmsg_type = RTM_GETROUTE;
    info = mnl_nlmsg_put_extra_header(message, sizeof(*info));
    info->rtm_family = (uint8_t)family_of(remote);
    info->rtm_dst_len = ip_is_v4(remote) ? 32 : 128;
    put_address(message, RTA_DST, remote);
    if (!ip_is_zero(local) && family_of(local) == family_of(remote)) {
        info->rtm_src_len = info->rtm_dst_len;
        put_address(message, RTA_SRC, local);
    }
    *ret = (struct route){0};
    return netlink_request(underlay->requests, message, take_route, ret);
}

void underlay_resolve(struct underlay *underlay, const struct ip_address *local, const struct ip_address *remote,
                      struct host_config *ret)
{
    struct route route;
    const struct link *link;

    if (find_route(underlay, local, remote, &route) < 0 || !route.is_usable)
        return;
    link = links_find(underlay->links, route.ifindex);
    if (!link)
        return;

    struct neighbor_id id = {route.ifindex, route.has_gateway ? route.gateway : *remote};
    const struct neighbor *neighbor = find_neighbor(underlay, &id);

    memcpy(ret->next_hop, id.address.bytes, sizeof(ret->next_hop));
    ret->ifindex = route.ifindex;
    ret->underlay_mtu = (uint16_t)MIN(link->mtu, 65535);
    if (neighbor) {
        memcpy(ret->source_mac, link->mac, sizeof(ret->source_mac));
        memcpy(ret->next_hop_mac, neighbor->mac, sizeof(ret->next_hop_mac));
        ret->flags |= HOST_MAC_KNOWN;
    } else {
        manage_neighbor(underlay, id.ifindex, &id.address);
    }
}

uint32_t underlay_interface_of(struct underlay *underlay, const struct ip_address *address)
{
    struct ifaddrs *addresses;
    uint32_t found = 0;

    if (getifaddrs(&addresses) < 0)
        return 0;
    for (const struct ifaddrs *i = addresses; i && !found; i = i->ifa_next) {
        struct ip_address has;

        if (!i->ifa_addr)
            continue;
        if (i->ifa_addr->sa_family == AF_INET)
            has = ip_from_v4(ntohl(((const struct sockaddr_in *)i->ifa_addr)->sin_addr.s_addr));
        else if (i->ifa_addr->sa_family == AF_INET6)
            memcpy(has.bytes, &((const struct sockaddr_in6 *)i->ifa_addr)->sin6_addr, 16);
        else
            continue;
        if (ip_equal(&has, address))
            found = if_nametoindex(i->ifa_name);
    }
    freeifaddrs(addresses);
    return found;
}

/* ---- notifications --------------------------------------------------------------------------------------------------------------- */

static void changed(void *context)
{
    struct underlay *underlay = context;

    if (underlay->is_changed)
        underlay->changed(underlay->context);
    underlay->is_changed = false;
}

int underlay_open(struct underlay *underlay, uv_loop_t *loop, const struct links *links, void (*when_changed)(void *context),
                  void *context, struct error *error)
{
    static const int groups[] = {RTNLGRP_NEIGH, RTNLGRP_IPV4_ROUTE, RTNLGRP_IPV6_ROUTE, RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV6_IFADDR};
    int result;

    *underlay = (struct underlay){.links = links, .changed = when_changed, .context = context};
    underlay->owner = (struct netlink_watch_owner){"routes and neighbors", take_message, list_neighbors, changed, underlay};
    result = netlink_watch_open(&underlay->watch, groups, ARRAY_SIZE(groups), &underlay->owner);
    if (result == 0)
        result = netlink_open(NULL, 0, &underlay->requests);
    if (result < 0)
        return error_set(error, result, NULL, "cannot follow routes: %s", strerror(-result));
    result = list_neighbors(underlay);
    if (result < 0)
        return error_set(error, result, NULL, "cannot list neighbors: %s", strerror(-result));
    underlay->is_changed = false;
    netlink_watch_start(&underlay->watch, loop);
    return 0;
}

void underlay_close(struct underlay *underlay)
{
    netlink_watch_close(&underlay->watch);
    forget_neighbors(underlay);
    netlink_close(underlay->requests);
}
