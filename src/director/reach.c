#include "weft/director/reach.h"

#include <errno.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "weft/base/util.h"
#include "weft/dataplane/netlink.h"

#ifndef NTF_EXT_MANAGED
#define NTF_EXT_MANAGED (1 << 0)
#endif

struct ip_address reach_source(const struct ip_address *address)
{
    bool v4 = ip_is_v4(address);
    struct sockaddr_in to4 = {.sin_family = AF_INET, .sin_port = htons(9), .sin_addr.s_addr = htonl(ip_to_v4(address))};
    struct sockaddr_in6 to6 = {.sin6_family = AF_INET6, .sin6_port = htons(9)}, own = {0};
    socklen_t size = sizeof(own);
    struct ip_address none = {0}, source;
    /* Connecting a datagram socket sends nothing and chooses the address. */
    _cleanup_(closep) int fd = socket(v4 ? AF_INET : AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    memcpy(&to6.sin6_addr, address->bytes, 16);
    if (fd < 0 || connect(fd, v4 ? (void *)&to4 : (void *)&to6, v4 ? sizeof(to4) : sizeof(to6)) < 0 ||
        getsockname(fd, (struct sockaddr *)&own, &size) < 0)
        return none;
    if (v4)
        return ip_from_v4(ntohl(((struct sockaddr_in *)(void *)&own)->sin_addr.s_addr));
    memcpy(source.bytes, &own.sin6_addr, 16);
    return source;
}

static size_t address_size(const struct ip_address *address)
{
    return ip_is_v4(address) ? 4 : 16;
}

static void put_address(struct nlmsghdr *message, uint16_t type, const struct ip_address *address)
{
    size_t size = address_size(address);

    mnl_attr_put(message, type, size, address->bytes + 16 - size);
}

struct way {
    uint32_t ifindex;
    struct ip_address next;
    uint8_t kind; /* RTN_* */
};

static int take_attribute(const struct nlattr *attribute, void *context)
{
    struct way *way = context;
    uint16_t size = mnl_attr_get_payload_len(attribute);

    if (mnl_attr_get_type(attribute) == RTA_OIF && size == 4)
        way->ifindex = mnl_attr_get_u32(attribute);
    if (mnl_attr_get_type(attribute) == RTA_GATEWAY && size == 4)
        way->next = ip_from_v4(ntohl(mnl_attr_get_u32(attribute)));
    if (mnl_attr_get_type(attribute) == RTA_GATEWAY && size == 16)
        memcpy(way->next.bytes, mnl_attr_get_payload(attribute), 16);
    return MNL_CB_OK;
}

static int take_route(const struct nlmsghdr *message, void *context)
{
    const struct rtmsg *route = mnl_nlmsg_get_payload(message);
    struct way *way = context;

    way->kind = route->rtm_type;
    mnl_attr_parse(message, sizeof(*route), take_attribute, way);
    return MNL_CB_OK;
}

static int find_way(const struct ip_address *address, struct way *way)
{
    char buffer[256];
    struct nlmsghdr *message = mnl_nlmsg_put_header(buffer);
    struct rtmsg *route;

    message->nlmsg_type = RTM_GETROUTE;
    route = mnl_nlmsg_put_extra_header(message, sizeof(*route));
    route->rtm_family = ip_is_v4(address) ? AF_INET : AF_INET6;
    route->rtm_dst_len = (uint8_t)(address_size(address) * 8);
    put_address(message, RTA_DST, address);
    *way = (struct way){.next = *address};
    int result = netlink_request(NULL, message, take_route, way);
    if (result < 0)
        return result;
    return way->kind == RTN_UNICAST && way->ifindex ? 0 : -ENETUNREACH;
}

static int take_neighbor(const struct nlmsghdr *message, void *context)
{
    const struct ndmsg *neighbor = mnl_nlmsg_get_payload(message);
    bool *is_permanent = context;

    *is_permanent = neighbor->ndm_state & (NUD_PERMANENT | NUD_NOARP);
    return MNL_CB_OK;
}

/* Somebody wrote the neighbor's MAC down: then there is nothing to resolve, and asking would forget it. */
static bool is_permanent(const struct way *way)
{
    char buffer[256];
    struct nlmsghdr *message = mnl_nlmsg_put_header(buffer);
    struct ndmsg *neighbor;
    bool permanent = false;

    message->nlmsg_type = RTM_GETNEIGH;
    neighbor = mnl_nlmsg_put_extra_header(message, sizeof(*neighbor));
    neighbor->ndm_family = ip_is_v4(&way->next) ? AF_INET : AF_INET6;
    neighbor->ndm_ifindex = (int)way->ifindex;
    put_address(message, NDA_DST, &way->next);
    return netlink_request(NULL, message, take_neighbor, &permanent) == 0 && permanent;
}

static int resolve(const struct way *way, bool managed)
{
    char buffer[256];
    struct nlmsghdr *message = mnl_nlmsg_put_header(buffer);
    struct ndmsg *neighbor;

    message->nlmsg_type = RTM_NEWNEIGH;
    message->nlmsg_flags = NLM_F_CREATE | NLM_F_REPLACE;
    neighbor = mnl_nlmsg_put_extra_header(message, sizeof(*neighbor));
    neighbor->ndm_family = ip_is_v4(&way->next) ? AF_INET : AF_INET6;
    neighbor->ndm_ifindex = (int)way->ifindex;
    neighbor->ndm_state = NUD_NONE;
    neighbor->ndm_flags = managed ? 0 : NTF_USE;
    put_address(message, NDA_DST, &way->next);
    if (managed)
        mnl_attr_put_u32(message, NDA_FLAGS_EXT, NTF_EXT_MANAGED);
    return netlink_request(NULL, message, NULL, NULL);
}

int reach_resolve(const struct ip_address *address)
{
    struct way way;
    int result = find_way(address, &way);

    if (result < 0)
        return result;
    if (is_permanent(&way))
        return 0;
    return resolve(&way, true) == 0 ? 0 : resolve(&way, false);
}

int reach_ask(const struct ip_address *address)
{
    struct way way;
    int result = find_way(address, &way);

    return result < 0 || is_permanent(&way) ? MIN(result, 0) : resolve(&way, false);
}

int reach_interface(const struct ip_address *address, uint32_t *ret_ifindex)
{
    struct way way;
    int result = find_way(address, &way);

    if (result == 0)
        *ret_ifindex = way.ifindex;
    return result;
}
