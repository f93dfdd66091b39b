/* The device that the metadata service is behind: see attach.h. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "weft/base/bytes.h"
#include "weft/base/util.h"
#include "weft/dataplane/attach.h"
#include "weft/dataplane/netlink.h"
#include "weft/dataplane/tables.h"

/* Fits every network that has IPv6, and a little more than most answers need. */
#define DEVICE_MTU 1280

static struct nlmsghdr *link_message(char *buffer, uint32_t ifindex, unsigned flags)
{
    struct nlmsghdr *message = mnl_nlmsg_put_header(buffer);
    struct ifinfomsg *info;

    message->nlmsg_type = RTM_NEWLINK;
    info = mnl_nlmsg_put_extra_header(message, sizeof(*info));
    info->ifi_index = (int)ifindex;
    info->ifi_flags = info->ifi_change = flags;
    return message;
}

static int create_device(void)
{
    char buffer[512];
    struct nlmsghdr *message = link_message(buffer, 0, 0);
    struct nlattr *info, *data, *peer;
    int result;

    message->nlmsg_flags |= NLM_F_CREATE | NLM_F_EXCL;
    mnl_attr_put_strz(message, IFLA_IFNAME, METADATA_DEVICE);
    mnl_attr_put_u32(message, IFLA_MTU, DEVICE_MTU);
    info = mnl_attr_nest_start(message, IFLA_LINKINFO);
    mnl_attr_put_strz(message, IFLA_INFO_KIND, "veth");
    data = mnl_attr_nest_start(message, IFLA_INFO_DATA);
    peer = mnl_attr_nest_start(message, 1); /* VETH_INFO_PEER of linux/veth.h: a struct ifinfomsg and attributes. */
    mnl_nlmsg_put_extra_header(message, sizeof(struct ifinfomsg));
    mnl_attr_put_strz(message, IFLA_IFNAME, METADATA_PEER);
    mnl_attr_nest_end(message, peer);
    mnl_attr_nest_end(message, data);
    mnl_attr_nest_end(message, info);
    result = netlink_request(NULL, message, NULL, NULL);
    return result == -EEXIST ? 0 : result;
}

/* Up, without ARP and addresses that the kernel makes up. */
static int set_up(const char *name)
{
    char path[128];
    int fd;

    snprintf(path, sizeof(path), "/proc/sys/net/ipv6/conf/%s/addr_gen_mode", name);
    fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd >= 0) {
        ssize_t written = write(fd, "1", 1);
        (void)written; /* A link-local address would do no harm. */
        close(fd);
    }
    char buffer[512];
    return netlink_request(NULL, link_message(buffer, if_nametoindex(name), IFF_UP | IFF_NOARP), NULL, NULL);
}

/* With its prefix as a route: that is where answers leave, and what reverse path filters want to see. */
static int add_address(uint32_t ifindex, int family, const void *address, size_t size, uint8_t prefix)
{
    char buffer[256];
    struct nlmsghdr *message = mnl_nlmsg_put_header(buffer);
    struct ifaddrmsg *head;
    int result;

    message->nlmsg_type = RTM_NEWADDR;
    message->nlmsg_flags |= NLM_F_CREATE | NLM_F_EXCL;
    head = mnl_nlmsg_put_extra_header(message, sizeof(*head));
    head->ifa_family = (uint8_t)family;
    head->ifa_prefixlen = prefix;
    head->ifa_flags = family == AF_INET6 ? IFA_F_NODAD : 0;
    head->ifa_scope = RT_SCOPE_UNIVERSE;
    head->ifa_index = ifindex;
    mnl_attr_put(message, IFA_LOCAL, size, address);
    mnl_attr_put(message, IFA_ADDRESS, size, address);
    result = netlink_request(NULL, message, NULL, NULL);
    return result == -EEXIST ? 0 : result;
}

static int visit_attribute(const struct nlattr *attribute, void *context)
{
    if (mnl_attr_get_type(attribute) == IFLA_ADDRESS && mnl_attr_get_payload_len(attribute) == 6)
        memcpy(context, mnl_attr_get_payload(attribute), 6);
    return MNL_CB_OK;
}

static int visit_link(const struct nlmsghdr *message, void *context)
{
    return mnl_attr_parse(message, sizeof(struct ifinfomsg), visit_attribute, context);
}

int attach_metadata_device(uint32_t *ret_ifindex, uint8_t ret_mac[6], bool *ret_has_ipv6, struct error *error)
{
    uint32_t address4 = htonl(METADATA_AGENT_IP4), ifindex;
    uint8_t address6[16];
    char buffer[512];
    struct nlmsghdr *message;
    int result = create_device();

    if (result < 0)
        return error_set(error, result, NULL, "cannot create '" METADATA_DEVICE "' (veth): %s", strerror(-result));
    ifindex = if_nametoindex(METADATA_DEVICE);
    message = link_message(buffer, ifindex, 0);
    message->nlmsg_type = RTM_GETLINK;
    memset(ret_mac, 0, 6);
    result = netlink_request(NULL, message, visit_link, ret_mac);
    if (result == 0)
        result = set_up(METADATA_PEER);
    if (result == 0)
        result = set_up(METADATA_DEVICE);
    if (result == 0)
        result = add_address(ifindex, AF_INET, &address4, sizeof(address4), METADATA_AGENT_PREFIX4);
    if (result < 0)
        return error_set(error, result, NULL, "cannot set up '" METADATA_DEVICE "': %s", strerror(-result));
    put_be64(address6, METADATA_IP6_AGENT_HIGH);
    put_be64(address6 + 8, METADATA_IP6_AGENT_LOW);
    *ret_has_ipv6 = add_address(ifindex, AF_INET6, address6, sizeof(address6), METADATA_AGENT_PREFIX6) == 0; /* A host may be without. */
    *ret_ifindex = ifindex;
    return 0;
}
