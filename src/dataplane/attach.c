/* tc and rtnetlink: see attach.h.  Links by libmnl, programs by libbpf. */
#include "weft/dataplane/attach.h"

#include <arpa/inet.h>
#include <bpf/libbpf.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_link.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "weft/base/cleanup.h"
#include "weft/base/util.h"
#include "weft/dataplane/netlink.h"

/* Ours among the filters of a device: "weft" as a handle, and a priority that leaves room on both sides. */
#define FILTER_HANDLE 0x77656674
#define FILTER_PRIORITY 49152
#define FILTER_PRIORITY_UPLINK 49153 /* What the other one does not take. */

/* ---- links ------------------------------------------------------------------------------------------------------------------- */

static struct nlmsghdr *link_message(char *buffer, uint16_t type, uint32_t ifindex, unsigned flags, unsigned change)
{
    struct nlmsghdr *message = mnl_nlmsg_put_header(buffer);
    struct ifinfomsg *info;

    message->nlmsg_type = type;
    info = mnl_nlmsg_put_extra_header(message, sizeof(*info));
    info->ifi_family = AF_UNSPEC;
    info->ifi_index = (int)ifindex;
    info->ifi_flags = flags;
    info->ifi_change = change;
    return message;
}

/* No link-local address: the host itself is not part of the tenant's network. */
static void put_no_addresses(struct nlmsghdr *message)
{
    struct nlattr *families = mnl_attr_nest_start(message, IFLA_AF_SPEC);
    struct nlattr *inet6 = mnl_attr_nest_start(message, AF_INET6);

    mnl_attr_put_u8(message, IFLA_INET6_ADDR_GEN_MODE, IN6_ADDR_GEN_MODE_NONE);
    mnl_attr_nest_end(message, inet6);
    mnl_attr_nest_end(message, families);
}

/* By itself, for it is refused in the message that creates a device.  A kernel without IPv6 makes no such address. */
static int set_no_addresses(uint32_t ifindex)
{
    char buffer[256];
    struct nlmsghdr *message = link_message(buffer, RTM_NEWLINK, ifindex, 0, 0);
    int result;

    put_no_addresses(message);
    result = netlink_request(NULL, message, NULL, NULL);
    return result == -EAFNOSUPPORT ? 0 : result;
}

/* ---- the tunnel device --------------------------------------------------------------------------------------------------- */

struct tunnel_found {
    bool is_vxlan, is_external;
    uint16_t port;
};

static int visit_vxlan(const struct nlattr *attribute, void *context)
{
    struct tunnel_found *found = context;

    if (mnl_attr_get_type(attribute) == IFLA_VXLAN_PORT)
        found->port = ntohs(mnl_attr_get_u16(attribute));
    if (mnl_attr_get_type(attribute) == IFLA_VXLAN_COLLECT_METADATA)
        found->is_external = mnl_attr_get_u8(attribute) != 0;
    return MNL_CB_OK;
}

static int visit_info(const struct nlattr *attribute, void *context)
{
    struct tunnel_found *found = context;

    if (mnl_attr_get_type(attribute) == IFLA_INFO_KIND)
        found->is_vxlan = streq(mnl_attr_get_str(attribute), "vxlan");
    if (mnl_attr_get_type(attribute) == IFLA_INFO_DATA)
        mnl_attr_parse_nested(attribute, visit_vxlan, found);
    return MNL_CB_OK;
}

static int visit_link_attribute(const struct nlattr *attribute, void *context)
{
    if (mnl_attr_get_type(attribute) == IFLA_LINKINFO)
        mnl_attr_parse_nested(attribute, visit_info, context);
    return MNL_CB_OK;
}

static int visit_link(const struct nlmsghdr *message, void *context)
{
    return mnl_attr_parse(message, sizeof(struct ifinfomsg), visit_link_attribute, context);
}

static int delete_link(uint32_t ifindex)
{
    char buffer[256];

    return netlink_request(NULL, link_message(buffer, RTM_DELLINK, ifindex, 0, 0), NULL, NULL);
}

static int create_tunnel_device(uint16_t udp_port)
{
    char buffer[1024];
    struct nlmsghdr *message = link_message(buffer, RTM_NEWLINK, 0, 0, 0);
    struct nlattr *info, *data;

    message->nlmsg_flags |= NLM_F_CREATE | NLM_F_EXCL;
    mnl_attr_put_strz(message, IFLA_IFNAME, TUNNEL_DEVICE);
    mnl_attr_put_u32(message, IFLA_MTU, 65000);
    info = mnl_attr_nest_start(message, IFLA_LINKINFO);
    mnl_attr_put_strz(message, IFLA_INFO_KIND, "vxlan");
    data = mnl_attr_nest_start(message, IFLA_INFO_DATA);
    mnl_attr_put_u8(message, IFLA_VXLAN_COLLECT_METADATA, 1);
    mnl_attr_put_u8(message, IFLA_VXLAN_LEARNING, 0);
    mnl_attr_put_u8(message, IFLA_VXLAN_UDP_ZERO_CSUM6_RX, 1);
    mnl_attr_put_u8(message, IFLA_VXLAN_UDP_ZERO_CSUM6_TX, 1);
    mnl_attr_put_u16(message, IFLA_VXLAN_PORT, htons(udp_port));
    mnl_attr_nest_end(message, data);
    mnl_attr_nest_end(message, info);
    return netlink_request(NULL, message, NULL, NULL);
}

/* ---- room for the tunnel's header ------------------------------------------------------------------------------------------- */

static int create_room_device(void)
{
    char buffer[512];
    struct nlmsghdr *message = link_message(buffer, RTM_NEWLINK, 0, 0, IFF_UP);
    struct nlattr *info;

    message->nlmsg_flags |= NLM_F_CREATE | NLM_F_EXCL;
    mnl_attr_put_strz(message, IFLA_IFNAME, ROOM_DEVICE);
    info = mnl_attr_nest_start(message, IFLA_LINKINFO);
    mnl_attr_put_strz(message, IFLA_INFO_KIND, "bridge");
    mnl_attr_nest_end(message, info);
    return netlink_request(NULL, message, NULL, NULL);
}

static int visit_master(const struct nlattr *attribute, void *context)
{
    if (mnl_attr_get_type(attribute) == IFLA_MASTER)
        *(uint32_t *)context = mnl_attr_get_u32(attribute);
    return MNL_CB_OK;
}

static int visit_link_master(const struct nlmsghdr *message, void *context)
{
    return mnl_attr_parse(message, sizeof(struct ifinfomsg), visit_master, context);
}

static int set_master(uint32_t ifindex, uint32_t master)
{
    char buffer[256];
    struct nlmsghdr *message = link_message(buffer, RTM_NEWLINK, ifindex, 0, 0);

    mnl_attr_put_u32(message, IFLA_MASTER, master);
    return netlink_request(NULL, message, NULL, NULL);
}

/* Moves the interface from 'from' to 'to' (0: none).  One that is elsewhere stays there. */
static void move_room(uint32_t ifindex, uint32_t from, uint32_t to)
{
    char buffer[256];
    uint32_t master = 0;

    if (netlink_request(NULL, link_message(buffer, RTM_GETLINK, ifindex, 0, 0), visit_link_master, &master) == 0 && master == from && from != to)
        set_master(ifindex, to);
}

static void enter_room(uint32_t ifindex)
{
    uint32_t room = if_nametoindex(ROOM_DEVICE);

    if (room)
        move_room(ifindex, 0, room);
}

static void leave_room(uint32_t ifindex)
{
    uint32_t room = if_nametoindex(ROOM_DEVICE);

    if (room)
        move_room(ifindex, room, 0);
}

int attach_tunnel_device(uint16_t udp_port, uint32_t *ret_ifindex, struct error *error)
{
    uint32_t ifindex = if_nametoindex(TUNNEL_DEVICE);
    char buffer[256];
    int result;

    if (ifindex) {
        struct tunnel_found found = {0};

        result = netlink_request(NULL, link_message(buffer, RTM_GETLINK, ifindex, 0, 0), visit_link, &found);
        if (result < 0)
            return error_set(error, result, NULL, "cannot read '" TUNNEL_DEVICE "': %s", strerror(-result));
        if (!found.is_vxlan || !found.is_external || found.port != udp_port) {
            result = delete_link(ifindex);
            if (result < 0)
                return error_set(error, result, NULL, "cannot replace '" TUNNEL_DEVICE "': %s", strerror(-result));
            ifindex = 0;
        }
    }
    if (!ifindex) {
        result = create_tunnel_device(udp_port);
        if (result < 0)
            return error_set(error, result, NULL, "cannot create '" TUNNEL_DEVICE "' (VXLAN, UDP port %u): %s", udp_port,
                             strerror(-result));
        ifindex = if_nametoindex(TUNNEL_DEVICE);
    }
    result = set_no_addresses(ifindex);
    if (result == 0)
        result = netlink_request(NULL, link_message(buffer, RTM_NEWLINK, ifindex, IFF_UP, IFF_UP), NULL, NULL);
    if (result < 0)
        return error_set(error, result, NULL, "cannot set '" TUNNEL_DEVICE "' up: %s (is UDP port %u in use?)",
                         strerror(-result), udp_port);
    create_room_device(); /* Or it is there, or this kernel has no bridges. */
    enter_room(ifindex);
    *ret_ifindex = ifindex;
    return 0;
}

/* ---- workload interfaces ---------------------------------------------------------------------------------------------------- */

static void write_sysctl(const char *path, const char *value)
{
    _cleanup_(closep) int fd = open(path, O_WRONLY | O_CLOEXEC);

    if (fd >= 0 && write(fd, value, strlen(value)) < 0)
        return; /* No IPv6 in this kernel, or /proc is not writable: put_no_addresses did the most of it. */
}

int attach_prepare(uint32_t ifindex, const char *name, uint16_t mtu)
{
    char buffer[512], path[128];
    struct nlmsghdr *message = link_message(buffer, RTM_NEWLINK, ifindex, IFF_UP | IFF_NOARP, IFF_UP | IFF_NOARP);
    int result;

    snprintf(path, sizeof(path), "/proc/sys/net/ipv6/conf/%s/disable_ipv6", name);
    write_sysctl(path, "1");
    put_no_addresses(message);
    if (mtu)
        mnl_attr_put_u32(message, IFLA_MTU, mtu);
    result = netlink_request(NULL, message, NULL, NULL);
    if (result < 0 && result != -ENODEV) {
        /* Not every kind of device takes every attribute; up is the one that matters. */
        message = link_message(buffer, RTM_NEWLINK, ifindex, IFF_UP, IFF_UP);
        result = netlink_request(NULL, message, NULL, NULL);
    }
    if (result == 0)
        enter_room(ifindex);
    return result;
}

/* ---- programs ------------------------------------------------------------------------------------------------------------------ */

static int attach_filter(uint32_t ifindex, bool egress, uint32_t priority, int program_fd)
{
    LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = (int)ifindex, .attach_point = egress ? BPF_TC_EGRESS : BPF_TC_INGRESS);
    LIBBPF_OPTS(bpf_tc_opts, options, .handle = FILTER_HANDLE, .priority = priority, .prog_fd = program_fd,
                .flags = BPF_TC_F_REPLACE);
    int result = bpf_tc_hook_create(&hook);

    if (result < 0 && result != -EEXIST)
        return result;
    return bpf_tc_attach(&hook, &options);
}

int attach_program(uint32_t ifindex, bool egress, int program_fd)
{
    return attach_filter(ifindex, egress, FILTER_PRIORITY, program_fd);
}

int attach_uplink(uint32_t ifindex, int program_fd)
{
    return attach_filter(ifindex, false, FILTER_PRIORITY_UPLINK, program_fd);
}

struct filters {
    unsigned n;
};

static int count_filter(const struct nlmsghdr *message, void *context)
{
    const struct tcmsg *filter = mnl_nlmsg_get_payload(message);
    struct filters *filters = context;

    if (message->nlmsg_type == RTM_NEWTFILTER && filter->tcm_handle) /* Handle 0 is the chain's own entry. */
        filters->n++;
    return MNL_CB_OK;
}

static int count_filters(uint32_t ifindex, uint32_t parent, struct filters *filters)
{
    char buffer[256];
    struct nlmsghdr *message = mnl_nlmsg_put_header(buffer);
    struct tcmsg *filter;

    message->nlmsg_type = RTM_GETTFILTER;
    message->nlmsg_flags = NLM_F_DUMP;
    filter = mnl_nlmsg_put_extra_header(message, sizeof(*filter));
    filter->tcm_family = AF_UNSPEC;
    filter->tcm_ifindex = (int)ifindex;
    filter->tcm_parent = parent;
    return netlink_request(NULL, message, count_filter, filters);
}

static bool filter_is_there(uint32_t ifindex, enum bpf_tc_attach_point point, uint32_t priority)
{
    LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = (int)ifindex, .attach_point = point);
    LIBBPF_OPTS(bpf_tc_opts, found, .handle = FILTER_HANDLE, .priority = priority);

    return bpf_tc_query(&hook, &found) == 0;
}

bool attach_is_there(uint32_t ifindex, bool egress)
{
    return filter_is_there(ifindex, egress ? BPF_TC_EGRESS : BPF_TC_INGRESS, FILTER_PRIORITY);
}

/* Returns 1 when a program of ours was there, 0 when not. */
static int remove_from(uint32_t ifindex, enum bpf_tc_attach_point point, uint32_t priority)
{
    LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = (int)ifindex, .attach_point = point);
    LIBBPF_OPTS(bpf_tc_opts, options, .handle = FILTER_HANDLE, .priority = priority);

    if (!filter_is_there(ifindex, point, priority))
        return 0;

    int result = bpf_tc_detach(&hook, &options);

    return result < 0 && result != -ENOENT ? result : 1;
}

/* Takes clsact away when nobody has a filter there. */
static void remove_unused_hook(uint32_t ifindex)
{
    struct filters filters = {0};

    if (count_filters(ifindex, TC_H_MAKE(TC_H_CLSACT, TC_H_MIN_INGRESS), &filters) == 0 &&
        count_filters(ifindex, TC_H_MAKE(TC_H_CLSACT, TC_H_MIN_EGRESS), &filters) == 0 && filters.n == 0) {
        LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = (int)ifindex, .attach_point = BPF_TC_INGRESS | BPF_TC_EGRESS);

        bpf_tc_hook_destroy(&hook);
    }
}

/* As attach_remove; returns 1 when there was something of ours. */
static int remove_programs(uint32_t ifindex)
{
    int removed[] = {remove_from(ifindex, BPF_TC_INGRESS, FILTER_PRIORITY), remove_from(ifindex, BPF_TC_EGRESS, FILTER_PRIORITY),
                     remove_from(ifindex, BPF_TC_INGRESS, FILTER_PRIORITY_UPLINK)};
    int result = 0;

    for (size_t i = 0; i < ARRAY_SIZE(removed); i++) {
        if (removed[i] < 0)
            return removed[i];
        result |= removed[i];
    }
    if (result)
        remove_unused_hook(ifindex);
    return result;
}

int attach_remove_uplink(uint32_t ifindex)
{
    int result = remove_from(ifindex, BPF_TC_INGRESS, FILTER_PRIORITY_UPLINK);

    if (result > 0)
        remove_unused_hook(ifindex);
    return result < 0 ? result : 0;
}

int attach_remove(uint32_t ifindex)
{
    int result = remove_programs(ifindex);

    leave_room(ifindex);
    return result < 0 ? result : 0;
}

/* ---- taking everything away --------------------------------------------------------------------------------------------------------- */

static int remove_pins(int parent, const char *name, struct error *error, const char *path)
{
    _cleanup_(closep) int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    DIR *folder;
    int result = 0;

    if (fd < 0)
        return errno == ENOENT ? 0 : error_set(error, -errno, "pin-path", "cannot open '%s': %s", path, strerror(errno));
    folder = fdopendir(dup(fd));
    if (!folder)
        return -errno;
    for (struct dirent *entry; (entry = readdir(folder));) {
        if (streq(entry->d_name, ".") || streq(entry->d_name, ".."))
            continue;
        if (entry->d_type == DT_DIR) {
            int removed = remove_pins(fd, entry->d_name, error, path);

            result = result ? result : removed;
        } else if (unlinkat(fd, entry->d_name, 0) < 0) {
            result = error_set(error, -errno, "pin-path", "cannot remove '%s/%s': %s", path, entry->d_name, strerror(errno));
        }
    }
    closedir(folder);
    if (unlinkat(parent, name, AT_REMOVEDIR) < 0)
        result = result ? result : error_set(error, -errno, "pin-path", "cannot remove '%s': %s", path, strerror(errno));
    return result;
}

void attach_remove_other_layouts(const char *pin_path, unsigned layout)
{
    _cleanup_(closep) int fd = open(pin_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *folder = fd < 0 ? NULL : fdopendir(dup(fd));
    char ours[16];

    if (!folder)
        return;
    snprintf(ours, sizeof(ours), "v%u", layout);
    for (struct dirent *entry; (entry = readdir(folder));)
        if (entry->d_name[0] == 'v' && !streq(entry->d_name, ours))
            remove_pins(fd, entry->d_name, NULL, pin_path);
    closedir(folder);
}

int attach_remove_all(const char *pin_path, unsigned *ret_n_interfaces, struct error *error)
{
    struct if_nameindex *interfaces = if_nameindex();
    unsigned n = 0;
    int result = 0, pins;

    libbpf_set_print(NULL); /* It complains of each interface that has nothing to remove. */
    if (!interfaces)
        return error_set(error, -errno, NULL, "cannot list interfaces: %s", strerror(errno));
    for (struct if_nameindex *i = interfaces; i->if_index; i++) {
        int removed = remove_programs(i->if_index);

        if (removed < 0 && removed != -ENODEV)
            result = error_set(error, removed, NULL, "cannot detach from '%s': %s", i->if_name, strerror(-removed));
        n += removed > 0;
    }
    if_freenameindex(interfaces);

    static const char *const devices[] = {ROOM_DEVICE, TUNNEL_DEVICE, METADATA_DEVICE};

    for (size_t i = 0; i < ARRAY_SIZE(devices); i++) {
        uint32_t ifindex = if_nametoindex(devices[i]);
        int removed = ifindex ? delete_link(ifindex) : 0;

        if (removed < 0)
            result = error_set(error, removed, NULL, "cannot remove '%s': %s", devices[i], strerror(-removed));
    }
    pins = remove_pins(AT_FDCWD, pin_path, error, pin_path);
    if (ret_n_interfaces)
        *ret_n_interfaces = n;
    return result ? result : pins;
}
