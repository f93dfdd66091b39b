/* Asking the kernel what an interface is used for: see host-use.h.  References: rtnetlink(7), netlink(7) for
 * NETLINK_GET_STRICT_CHK, which makes the kernel list only the routes of one interface. */
#include "weft/agent/host-use.h"

#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/if.h>
#include <linux/if_arp.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "weft/base/util.h"
#include "weft/dataplane/attach.h"

#ifndef NETLINK_GET_STRICT_CHK
#define NETLINK_GET_STRICT_CHK 12
#endif

#define LIST_TRIES 20 /* While a list changes under the reading. */

struct question {
    uint32_t ifindex;
    struct host_use *use;
    bool is_there;
    uint32_t master;
    char master_name[IFNAMSIZ], master_kind[16];
};

static void used(struct question *question, bool may_be_forced, const char *format, ...) __attribute__((format(printf, 3, 4)));
static void used(struct question *question, bool may_be_forced, const char *format, ...)
{
    struct host_use *use = question->use;
    va_list arguments;

    if (use->is_used && (!use->may_be_forced || may_be_forced))
        return; /* The first reason, but one that cannot be forced before others. */
    use->is_used = true;
    use->may_be_forced = may_be_forced;
    va_start(arguments, format);
    vsnprintf(use->why, sizeof(use->why), format, arguments);
    va_end(arguments);
}

/* ---- asking ---------------------------------------------------------------------------------------------------------------- */

static struct nlmsghdr *new_request(char *buffer, uint16_t type, uint16_t flags)
{
    struct nlmsghdr *message = mnl_nlmsg_put_header(buffer);

    message->nlmsg_type = type;
    message->nlmsg_flags = NLM_F_REQUEST | flags;
    return message;
}

/* Returns 0 or -errno; -EINTR when the list changed while it was read. */
static int ask(struct mnl_socket *socket, struct nlmsghdr *request, mnl_cb_t visit, struct question *question)
{
    unsigned portid = mnl_socket_get_portid(socket);
    char buffer[32768];
    int result = MNL_CB_OK;

    if (!(request->nlmsg_flags & NLM_F_DUMP))
        request->nlmsg_flags |= NLM_F_ACK;
    request->nlmsg_seq = 1;
    if (mnl_socket_sendto(socket, request, request->nlmsg_len) < 0)
        return -errno;
    while (result > MNL_CB_STOP) {
        ssize_t size = mnl_socket_recvfrom(socket, buffer, sizeof(buffer));

        result = size < 0 ? -1 : mnl_cb_run(buffer, (size_t)size, 1, portid, visit, question);
    }
    return result < 0 ? -errno : 0;
}

/* ---- interfaces -------------------------------------------------------------------------------------------------------------- */

struct link_facts {
    char name[IFNAMSIZ], kind[16];
    uint32_t master, lower;
    bool lower_is_elsewhere;
};

static int parse_info(const struct nlattr *attribute, void *context)
{
    struct link_facts *facts = context;

    if (mnl_attr_get_type(attribute) == IFLA_INFO_KIND)
        string_copy(facts->kind, sizeof(facts->kind), mnl_attr_get_str(attribute));
    return MNL_CB_OK;
}

static int parse_link(const struct nlattr *attribute, void *context)
{
    struct link_facts *facts = context;

    switch (mnl_attr_get_type(attribute)) {
    case IFLA_IFNAME:
        string_copy(facts->name, sizeof(facts->name), mnl_attr_get_str(attribute));
        break;
    case IFLA_MASTER:
        facts->master = mnl_attr_get_u32(attribute);
        break;
    case IFLA_LINK:
        facts->lower = mnl_attr_get_u32(attribute);
        break;
    case IFLA_LINK_NETNSID:
        facts->lower_is_elsewhere = true;
        break;
    case IFLA_LINKINFO:
        mnl_attr_parse_nested(attribute, parse_info, facts);
        break;
    }
    return MNL_CB_OK;
}

static bool is_one_of(const char *kind, const char *const *kinds)
{
    for (; *kinds; kinds++)
        if (streq(kind, *kinds))
            return true;
    return false;
}

static void judge_link(struct question *question, const struct ifinfomsg *info, const struct link_facts *facts)
{
    static const char *const tunnels[] = {"vxlan", "geneve", "gretap", "ip6gretap", "erspan", "ip6erspan", "l2tp", "bareudp", NULL};
    static const char *const collections[] = {"bridge", "bond", "team", "vrf", NULL};

    if (info->ifi_flags & IFF_LOOPBACK)
        used(question, false, "is the loopback");
    else if (is_one_of(facts->kind, tunnels))
        used(question, false, "is a tunnel (%s)", facts->kind);
    else if (info->ifi_type != ARPHRD_ETHER)
        used(question, false, "is no Ethernet device%s%s%s", facts->kind[0] ? " (" : "", facts->kind, facts->kind[0] ? ")" : "");
    else if (is_one_of(facts->kind, collections))
        used(question, false, "is a %s", facts->kind);
}

/* The interface itself, and those that stand on it. */
static int visit_link(const struct nlmsghdr *message, void *context)
{
    const struct ifinfomsg *info = mnl_nlmsg_get_payload(message);
    struct question *question = context;
    struct link_facts facts = {0};

    if (message->nlmsg_type != RTM_NEWLINK || info->ifi_family != AF_UNSPEC)
        return MNL_CB_OK;
    mnl_attr_parse(message, sizeof(*info), parse_link, &facts);
    if ((uint32_t)info->ifi_index == question->ifindex) {
        question->is_there = true;
        question->master = facts.master;
        judge_link(question, info, &facts);
    } else if (facts.lower == question->ifindex && !facts.lower_is_elsewhere && !streq(facts.kind, "veth")) {
        used(question, false, "carries '%s'%s%s%s", facts.name, facts.kind[0] ? " (" : "", facts.kind, facts.kind[0] ? ")" : "");
    }
    return MNL_CB_OK;
}

static int visit_master(const struct nlmsghdr *message, void *context)
{
    struct question *question = context;
    struct link_facts facts = {0};

    if (message->nlmsg_type == RTM_NEWLINK)
        mnl_attr_parse(message, sizeof(struct ifinfomsg), parse_link, &facts);
    string_copy(question->master_name, sizeof(question->master_name), facts.name);
    string_copy(question->master_kind, sizeof(question->master_kind), facts.kind);
    return MNL_CB_OK;
}

static int ask_links(struct mnl_socket *socket, struct question *question)
{
    char buffer[256];
    struct nlmsghdr *request = new_request(buffer, RTM_GETLINK, NLM_F_DUMP);
    struct ifinfomsg *info;
    int result;

    mnl_nlmsg_put_extra_header(request, sizeof(struct ifinfomsg));
    result = ask(socket, request, visit_link, question);
    if (result < 0 || !question->master)
        return result < 0 ? result : question->is_there ? 0 : -ENODEV;
    request = new_request(buffer, RTM_GETLINK, 0);
    info = mnl_nlmsg_put_extra_header(request, sizeof(*info));
    info->ifi_index = (int)question->master;
    result = ask(socket, request, visit_master, question);
    if (result == 0 && !streq(question->master_name, ROOM_DEVICE))
        used(question, false, "is in '%s'%s%s%s", question->master_name, question->master_kind[0] ? " (" : "", question->master_kind,
             question->master_kind[0] ? ")" : "");
    return result == -ENODEV ? 0 : result; /* It is gone meanwhile, and then so is the membership. */
}

/* ---- addresses, routes ---------------------------------------------------------------------------------------------------------- */

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

/* fe80::/10 and ff00::/8: of every interface that is up. */
static bool is_every_ones(const struct ip_address *address)
{
    return (address->bytes[0] == 0xfe && (address->bytes[1] & 0xc0) == 0x80) || address->bytes[0] == 0xff;
}

struct found_address {
    struct ip_address address;
    bool is_found;
};

static int parse_address(const struct nlattr *attribute, void *context)
{
    struct found_address *found = context;
    uint16_t type = mnl_attr_get_type(attribute);

    if (type == IFA_LOCAL || (type == IFA_ADDRESS && !found->is_found)) /* ADDRESS is the peer's where there is a LOCAL. */
        found->is_found = get_address(attribute, &found->address);
    return MNL_CB_OK;
}

static int visit_address(const struct nlmsghdr *message, void *context)
{
    const struct ifaddrmsg *info = mnl_nlmsg_get_payload(message);
    struct question *question = context;
    struct found_address found = {0};
    char text[IP_TEXT_SIZE];

    if (message->nlmsg_type != RTM_NEWADDR || info->ifa_index != question->ifindex)
        return MNL_CB_OK;
    mnl_attr_parse(message, sizeof(*info), parse_address, &found);
    if (found.is_found && !is_every_ones(&found.address))
        used(question, true, "has the address %s", ip_format(&found.address, text));
    return MNL_CB_OK;
}

struct found_route {
    const struct question *question;
    struct ip_address destination;
    bool has_destination, leaves_here;
};

static int parse_route(const struct nlattr *attribute, void *context)
{
    struct found_route *found = context;

    switch (mnl_attr_get_type(attribute)) {
    case RTA_OIF:
        found->leaves_here = found->leaves_here || mnl_attr_get_u32(attribute) == found->question->ifindex;
        break;
    case RTA_MULTIPATH: {
        const struct rtnexthop *hop = mnl_attr_get_payload(attribute);
        int left = mnl_attr_get_payload_len(attribute);

        for (; left >= (int)sizeof(*hop) && hop->rtnh_len >= sizeof(*hop) && hop->rtnh_len <= left; hop = RTNH_NEXT(hop)) {
            found->leaves_here = found->leaves_here || (uint32_t)hop->rtnh_ifindex == found->question->ifindex;
            left -= (int)RTNH_ALIGN(hop->rtnh_len);
        }
        break;
    }
    case RTA_DST:
        found->has_destination = get_address(attribute, &found->destination);
        break;
    }
    return MNL_CB_OK;
}

static int visit_route(const struct nlmsghdr *message, void *context)
{
    const struct rtmsg *info = mnl_nlmsg_get_payload(message);
    struct question *question = context;
    struct found_route found = {.question = question};
    char text[IP_TEXT_SIZE];

    if (message->nlmsg_type != RTM_NEWROUTE || info->rtm_type != RTN_UNICAST || info->rtm_flags & RTM_F_CLONED)
        return MNL_CB_OK;
    mnl_attr_parse(message, sizeof(*info), parse_route, &found);
    if (!found.leaves_here || (found.has_destination && is_every_ones(&found.destination)))
        return MNL_CB_OK;
    if (!info->rtm_dst_len)
        used(question, false, "has the default route");
    else if (found.has_destination)
        used(question, true, "has the route to %s/%u", ip_format(&found.destination, text), info->rtm_dst_len);
    return MNL_CB_OK;
}

static int ask_addresses(struct mnl_socket *socket, struct question *question)
{
    char buffer[256];
    struct nlmsghdr *request = new_request(buffer, RTM_GETADDR, NLM_F_DUMP);

    mnl_nlmsg_put_extra_header(request, sizeof(struct ifaddrmsg));
    return ask(socket, request, visit_address, question);
}

static int ask_routes(struct mnl_socket *socket, uint8_t family, struct question *question)
{
    char buffer[256];
    struct nlmsghdr *request = new_request(buffer, RTM_GETROUTE, NLM_F_DUMP);
    struct rtmsg *info = mnl_nlmsg_put_extra_header(request, sizeof(*info));

    info->rtm_family = family;
    mnl_attr_put_u32(request, RTA_OIF, question->ifindex);
    int result = ask(socket, request, visit_route, question);

    return result == -EOPNOTSUPP || result == -EAFNOSUPPORT ? 0 : result; /* No IPv6 in this kernel. */
}

/* ---- the way to others --------------------------------------------------------------------------------------------------------- */

static int visit_way(const struct nlmsghdr *message, void *context)
{
    struct found_route found = {.question = context};

    if (message->nlmsg_type == RTM_NEWROUTE)
        mnl_attr_parse(message, sizeof(struct rtmsg), parse_route, &found);
    if (found.leaves_here)
        ((struct question *)context)->is_there = true;
    return MNL_CB_OK;
}

static void ask_way(struct mnl_socket *socket, const struct ip_address *remote, struct question *question)
{
    char buffer[256], text[IP_TEXT_SIZE];
    struct nlmsghdr *request = new_request(buffer, RTM_GETROUTE, 0);
    struct rtmsg *info = mnl_nlmsg_put_extra_header(request, sizeof(*info));
    struct question way = {.ifindex = question->ifindex};
    bool is_v4 = ip_is_v4(remote);

    info->rtm_family = is_v4 ? AF_INET : AF_INET6;
    info->rtm_dst_len = is_v4 ? 32 : 128;
    mnl_attr_put(request, RTA_DST, is_v4 ? 4 : 16, is_v4 ? remote->bytes + 12 : remote->bytes);
    if (ask(socket, request, visit_way, &way) == 0 && way.is_there)
        used(question, false, "is the way to %s, which the agent needs", ip_format(remote, text));
}

static int open_socket(struct mnl_socket **ret)
{
    struct mnl_socket *socket = mnl_socket_open(NETLINK_ROUTE);
    int one = 1, result = 0;

    if (!socket)
        return -errno;
    if (mnl_socket_bind(socket, 0, MNL_SOCKET_AUTOPID) < 0 ||
        mnl_socket_setsockopt(socket, NETLINK_GET_STRICT_CHK, &one, sizeof(one)) < 0) {
        result = -errno;
        mnl_socket_close(socket);
        return result;
    }
    *ret = socket;
    return 0;
}

static int ask_all(struct question *question, const struct ip_address *remotes, size_t n_remotes)
{
    struct mnl_socket *socket = NULL;
    int result = open_socket(&socket);

    if (result < 0)
        return result;
    result = ask_links(socket, question);
    if (result == 0)
        result = ask_addresses(socket, question);
    if (result == 0)
        result = ask_routes(socket, AF_INET, question);
    if (result == 0)
        result = ask_routes(socket, AF_INET6, question);
    for (size_t i = 0; i < n_remotes && result == 0; i++)
        if (!ip_is_zero(&remotes[i]))
            ask_way(socket, &remotes[i], question);
    mnl_socket_close(socket);
    return result;
}

int host_use_find(uint32_t ifindex, const struct ip_address *remotes, size_t n_remotes, struct host_use *ret)
{
    int result = -EINTR;

    for (int tries = 0; tries < LIST_TRIES && result == -EINTR; tries++) {
        struct question question = {.ifindex = ifindex, .use = ret};

        *ret = (struct host_use){0};
        result = ask_all(&question, remotes, n_remotes);
    }
    return result;
}
