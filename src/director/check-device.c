#include "weft/director/check-device.h"

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/ethtool.h>
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/net_namespace.h>
#include <linux/rtnetlink.h>
#include <linux/sockios.h>
#include <linux/veth.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "check.skel.h"
#include "weft/base/cleanup.h"
#include "weft/base/log.h"
#include "weft/base/util.h"
#include "weft/dataplane/netlink.h"
#include "weft/director/attach.h"
#include "weft/director/host-settings.h"

#define OUTSIDE "weft-checks" /* The host's end of the pair. */
#define INSIDE "checks"
#define SENT_MTU 1280  /* Fits every network that has IPv6, and tunnels. */
#define TAKEN_MTU 3400 /* About the most that a veth with XDP takes (drivers/net/veth.c: a page); servers may send more than checks do. */
#define FILTER_HANDLE 0x77656674 /* "weft" */
#define FILTER_PRIORITY 49154 /* Behind those of dataplane/attach.c. */
#define SOURCES_MAX 256 /* Addresses of the host that checks come from. */
#define HEARD_MAX 256

struct check_device {
    struct check_bpf *skeleton;
    int host, inside; /* Network namespaces. */
    uint32_t id;      /* What the host's calls the other one. */
    struct ip_address sources[SOURCES_MAX];
    size_t n_sources;
    uint32_t heard[HEARD_MAX]; /* Interfaces. */
    size_t n_heard;
};

/* ---- namespaces -------------------------------------------------------------------------------------------------------------- */

static int enter(const struct check_device *device)
{
    return setns(device->inside, CLONE_NEWNET) < 0 ? -errno : 0;
}

/* Nothing that this process does means anything elsewhere, so not getting back is its end; it cannot happen with a descriptor that is open. */
static void leave(const struct check_device *device)
{
    if (setns(device->host, CLONE_NEWNET) < 0) {
        log_error("cannot return to the host's network namespace: %s", strerror(errno));
        abort();
    }
}

static int open_own(void)
{
    int fd = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);

    return fd < 0 ? -errno : fd;
}

static int make_namespace(struct check_device *device)
{
    device->host = open_own();
    if (device->host < 0)
        return device->host;
    if (unshare(CLONE_NEWNET) < 0)
        return -errno;
    device->inside = open_own();
    leave(device);
    return MIN(device->inside, 0);
}

static struct nlmsghdr *id_message(const struct check_device *device, char *buffer, uint16_t type)
{
    struct nlmsghdr *message = mnl_nlmsg_put_header(buffer);

    message->nlmsg_type = type;
    ((struct rtgenmsg *)mnl_nlmsg_put_extra_header(message, sizeof(struct rtgenmsg)))->rtgen_family = AF_UNSPEC;
    mnl_attr_put_u32(message, NETNSA_FD, (uint32_t)device->inside);
    return message;
}

static int take_id(const struct nlmsghdr *message, void *context)
{
    const struct nlattr *attribute;

    mnl_attr_for_each(attribute, message, sizeof(struct rtgenmsg))
        if (mnl_attr_get_type(attribute) == NETNSA_NSID)
            *(int32_t *)context = (int32_t)mnl_attr_get_u32(attribute);
    return MNL_CB_OK;
}

/* By which programs of the host's find the sockets inside. */
static int give_id(struct check_device *device)
{
    char buffer[256];
    struct nlmsghdr *message = id_message(device, buffer, RTM_NEWNSID);
    int32_t id = NETNSA_NSID_NOT_ASSIGNED;
    int result;

    mnl_attr_put_u32(message, NETNSA_NSID, (uint32_t)NETNSA_NSID_NOT_ASSIGNED); /* Any. */
    result = netlink_request(NULL, message, NULL, NULL);
    if (result == 0 || result == -EEXIST)
        result = netlink_request(NULL, id_message(device, buffer, RTM_GETNSID), take_id, &id);
    device->id = (uint32_t)id;
    return result < 0 ? result : id < 0 ? -ENOENT : 0;
}

/* ---- devices ------------------------------------------------------------------------------------------------------------------- */

static struct nlmsghdr *link_message(char *buffer, uint16_t type, uint32_t ifindex, unsigned flags)
{
    struct nlmsghdr *message = mnl_nlmsg_put_header(buffer);
    struct ifinfomsg *info;

    message->nlmsg_type = type;
    info = mnl_nlmsg_put_extra_header(message, sizeof(*info));
    info->ifi_index = (int)ifindex;
    info->ifi_flags = info->ifi_change = flags;
    return message;
}

static int make_pair(const struct check_device *device)
{
    const uint8_t mac[6] = LB_CHECK_MAC;
    char buffer[512];
    struct nlmsghdr *message = link_message(buffer, RTM_NEWLINK, 0, 0);
    struct nlattr *info, *data, *peer;

    message->nlmsg_flags |= NLM_F_CREATE | NLM_F_EXCL;
    mnl_attr_put_strz(message, IFLA_IFNAME, OUTSIDE);
    mnl_attr_put_u32(message, IFLA_MTU, TAKEN_MTU);
    info = mnl_attr_nest_start(message, IFLA_LINKINFO);
    mnl_attr_put_strz(message, IFLA_INFO_KIND, "veth");
    data = mnl_attr_nest_start(message, IFLA_INFO_DATA);
    peer = mnl_attr_nest_start(message, VETH_INFO_PEER);
    mnl_nlmsg_put_extra_header(message, sizeof(struct ifinfomsg));
    mnl_attr_put_strz(message, IFLA_IFNAME, INSIDE);
    mnl_attr_put_u32(message, IFLA_MTU, TAKEN_MTU);
    mnl_attr_put(message, IFLA_ADDRESS, sizeof(mac), mac);
    mnl_attr_put_u32(message, IFLA_NET_NS_FD, (uint32_t)device->inside);
    mnl_attr_nest_end(message, peer);
    mnl_attr_nest_end(message, data);
    mnl_attr_nest_end(message, info);
    return netlink_request(NULL, message, NULL, NULL);
}

/* One that a process left whose namespace is not gone yet. */
static void remove_outside(void)
{
    uint32_t ifindex = if_nametoindex(OUTSIDE);
    char buffer[256];

    if (ifindex)
        netlink_request(NULL, link_message(buffer, RTM_DELLINK, ifindex, 0), NULL, NULL);
}

static void write_setting(const char *path, const char *value)
{
    _cleanup_(closep) int fd = open(path, O_WRONLY | O_CLOEXEC);

    if (fd >= 0 && write(fd, value, strlen(value)) < 0)
        return; /* No IPv6 in this kernel. */
}

/* Up, without ARP and without addresses that the kernel makes up. */
static int set_up(const char *name)
{
    char path[128], buffer[256];

    snprintf(path, sizeof(path), "/proc/sys/net/ipv6/conf/%s/addr_gen_mode", name);
    write_setting(path, "1");
    return netlink_request(NULL, link_message(buffer, RTM_NEWLINK, if_nametoindex(name), IFF_UP | IFF_NOARP), NULL, NULL);
}

/* Programs cannot: a checksum that is left to the device would be wrong in a tunnel. */
static int compute_checksums(void)
{
    struct ethtool_value off = {.cmd = ETHTOOL_STXCSUM};
    struct ifreq request = {.ifr_data = (void *)&off};
    _cleanup_(closep) int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    string_copy(request.ifr_name, sizeof(request.ifr_name), INSIDE);
    return fd < 0 || ioctl(fd, SIOCETHTOOL, &request) < 0 ? -errno : 0;
}

static int add_route(int family)
{
    char buffer[256];
    struct nlmsghdr *message = mnl_nlmsg_put_header(buffer);
    struct nlattr *metrics;
    struct rtmsg *route;
    int result;

    message->nlmsg_type = RTM_NEWROUTE;
    message->nlmsg_flags |= NLM_F_CREATE | NLM_F_REPLACE;
    route = mnl_nlmsg_put_extra_header(message, sizeof(*route));
    route->rtm_family = (uint8_t)family;
    route->rtm_table = RT_TABLE_MAIN;
    route->rtm_protocol = RTPROT_STATIC;
    route->rtm_scope = family == AF_INET ? RT_SCOPE_LINK : RT_SCOPE_UNIVERSE;
    route->rtm_type = RTN_UNICAST;
    mnl_attr_put_u32(message, RTA_OIF, if_nametoindex(INSIDE));
    metrics = mnl_attr_nest_start(message, RTA_METRICS);
    mnl_attr_put_u32(message, RTAX_MTU, SENT_MTU);
    mnl_attr_nest_end(message, metrics);
    result = netlink_request(NULL, message, NULL, NULL);
    return family == AF_INET6 && result < 0 ? 0 : result; /* A host may be without. */
}

static int attach(uint32_t ifindex, enum bpf_tc_attach_point point, int program_fd)
{
    LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = (int)ifindex, .attach_point = point);
    LIBBPF_OPTS(bpf_tc_opts, options, .handle = FILTER_HANDLE, .priority = FILTER_PRIORITY, .prog_fd = program_fd, .flags = BPF_TC_F_REPLACE);
    int result = bpf_tc_hook_create(&hook);

    return result < 0 && result != -EEXIST ? result : bpf_tc_attach(&hook, &options);
}

static bool detach(uint32_t ifindex)
{
    LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = (int)ifindex, .attach_point = BPF_TC_INGRESS);
    LIBBPF_OPTS(bpf_tc_opts, options, .handle = FILTER_HANDLE, .priority = FILTER_PRIORITY);

    if (bpf_tc_query(&hook, &options) < 0)
        return false;
    options.flags = options.prog_fd = 0;
    options.prog_id = 0;
    return bpf_tc_detach(&hook, &options) == 0;
}

void check_device_clean(void)
{
    struct if_nameindex *all = if_nameindex();
    libbpf_print_fn_t print = libbpf_set_print(NULL); /* It complains of each interface that has nothing to remove. */

    for (const struct if_nameindex *one = all; one && one->if_index; one++)
        detach(one->if_index);
    libbpf_set_print(print);
    if (all)
        if_freenameindex(all);
}

/* Inside everything is for the checks, and in the name of whomever: no filter of source addresses has anything to say. */
static int set_up_inside(const struct check_device *device)
{
    int result = enter(device);

    if (result < 0)
        return result;
    write_setting("/proc/sys/net/ipv4/conf/all/rp_filter", "0");
    write_setting("/proc/sys/net/ipv4/conf/" INSIDE "/rp_filter", "0");
    write_setting("/proc/sys/net/ipv4/tcp_tw_reuse", "1"); /* Many checks of one address. */
    write_setting("/proc/sys/net/ipv4/ping_group_range", "0 2147483647"); /* Sockets for echo requests, for IPv6 too. */
    result = compute_checksums();
    if (result == 0)
        result = set_up(INSIDE);
    for (int family = 0; result == 0 && family < 2; family++)
        result = add_route(family ? AF_INET6 : AF_INET);
    if (result == 0)
        result = attach(if_nametoindex(INSIDE), BPF_TC_EGRESS, bpf_program__fd(device->skeleton->progs.number_check));
    leave(device);
    return result;
}

/* ---- programs ------------------------------------------------------------------------------------------------------------------- */

/* Of all that maps.h has, what these programs look at. */
static bool is_needed(const char *map)
{
    static const char *const needed[] = {"check_ways", "check_echoes", "check_hop", "interfaces", "packets"};

    for (size_t i = 0; i < ARRAY_SIZE(needed); i++)
        if (streq(map, needed[i]))
            return true;
    return strchr(map, '.'); /* Of the compiler. */
}

static int load(struct check_device *device, struct error *error)
{
    struct bpf_map *map;
    int result;

    device->skeleton = check_bpf__open();
    if (!device->skeleton)
        return error_set(error, -errno, NULL, "cannot open the programs that lead checks: %s", strerror(errno));
    bpf_object__for_each_map(map, device->skeleton->obj)
        bpf_map__set_autocreate(map, is_needed(bpf_map__name(map)));
    device->skeleton->rodata->outside_ifindex = if_nametoindex(OUTSIDE);
    device->skeleton->rodata->inside_netns = device->id;
    result = check_bpf__load(device->skeleton);
    return result < 0 ? error_set(error, result, NULL, "cannot load the programs that lead checks: %s", strerror(-result)) : 0;
}

static int set_up_outside(const struct check_device *device)
{
    uint32_t ifindex = if_nametoindex(OUTSIDE);
    int result = set_up(OUTSIDE);

    if (result == 0)
        result = MIN(lb_enable_forwarding(OUTSIDE, false, LB_FORWARDING_OURS), 0); /* Its program asks for routes. */
    if (result == 0)
        lb_enable_forwarding(OUTSIDE, true, LB_FORWARDING_OURS); /* A host may be without. */
    /* Generic: what is redirected from here reaches any interface, whatever its driver knows. */
    return result < 0 ? result : bpf_xdp_attach((int)ifindex, bpf_program__fd(device->skeleton->progs.lead_check), XDP_FLAGS_SKB_MODE, NULL);
}

static int build(struct check_device *device, struct error *error)
{
    int result;

    check_device_clean();
    remove_outside();
    result = make_namespace(device);
    if (result == 0)
        result = give_id(device);
    if (result < 0)
        return error_set(error, result, NULL, "no network namespace: %s", strerror(-result));
    result = make_pair(device);
    if (result < 0)
        return error_set(error, result, NULL, "cannot make '" OUTSIDE "' (veth): %s", strerror(-result));
    result = load(device, error);
    if (result < 0)
        return result;
    result = set_up_inside(device);
    if (result == 0)
        result = set_up_outside(device);
    return result < 0 ? error_set(error, result, NULL, "cannot set up '" OUTSIDE "': %s", strerror(-result)) : 0;
}

int check_device_new(struct check_device **ret, struct error *error)
{
    struct check_device *device = calloc(1, sizeof(*device));
    int result;

    if (!device)
        return error_set(error, -ENOMEM, NULL, "out of memory");
    device->host = device->inside = -1;
    result = build(device, error);
    if (result < 0)
        check_device_free(device);
    else
        *ret = device;
    return result;
}

void check_device_free(struct check_device *device)
{
    if (!device)
        return;
    check_device_clean();
    if (device->inside >= 0)
        remove_outside();
    check_bpf__destroy(device->skeleton);
    if (device->inside >= 0)
        close(device->inside);
    if (device->host >= 0)
        close(device->host);
    free(device);
}

/* ---- what checks need ------------------------------------------------------------------------------------------------------------ */

int check_device_write_way(struct check_device *device, uint32_t number, const struct lb_server *server)
{
    int fd = bpf_map__fd(device->skeleton->maps.check_ways), result;

    if (server)
        result = bpf_map_update_elem(fd, &number, server, BPF_ANY);
    else
        result = bpf_map_delete_elem(fd, &number);
    return result < 0 ? -errno : 0;
}

int check_device_hear(struct check_device *device, uint32_t ifindex)
{
    int result;

    for (size_t i = 0; i < device->n_heard; i++)
        if (device->heard[i] == ifindex)
            return 0;
    if (device->n_heard == HEARD_MAX)
        return -ENOSPC;
    result = attach(ifindex, BPF_TC_INGRESS, bpf_program__fd(device->skeleton->progs.take_answer));
    if (result == 0)
        device->heard[device->n_heard++] = ifindex;
    return result;
}

void check_device_forget(struct check_device *device)
{
    device->n_heard = 0;
}

static int change_address(uint16_t type, const struct ip_address *source)
{
    bool v4 = ip_is_v4(source);
    char buffer[256];
    struct nlmsghdr *message = mnl_nlmsg_put_header(buffer);
    struct ifaddrmsg *head;

    message->nlmsg_type = type;
    message->nlmsg_flags |= type == RTM_NEWADDR ? NLM_F_CREATE | NLM_F_REPLACE : 0;
    head = mnl_nlmsg_put_extra_header(message, sizeof(*head));
    head->ifa_family = v4 ? AF_INET : AF_INET6;
    head->ifa_prefixlen = v4 ? 32 : 128;
    head->ifa_flags = v4 ? 0 : IFA_F_NODAD;
    head->ifa_scope = RT_SCOPE_UNIVERSE;
    head->ifa_index = if_nametoindex(INSIDE);
    mnl_attr_put(message, IFA_LOCAL, v4 ? 4 : 16, source->bytes + (v4 ? 12 : 0));
    mnl_attr_put(message, IFA_ADDRESS, v4 ? 4 : 16, source->bytes + (v4 ? 12 : 0));
    return netlink_request(NULL, message, NULL, NULL);
}

static struct ip_address *find_source(struct check_device *device, const struct ip_address *address)
{
    for (size_t i = 0; i < device->n_sources; i++)
        if (ip_equal(&device->sources[i], address))
            return &device->sources[i];
    return NULL;
}

/* The host's address becomes the namespace's, too. */
static int add_source(struct check_device *device, const struct ip_address *source)
{
    int result;

    if (find_source(device, source))
        return 0;
    if (device->n_sources == SOURCES_MAX)
        return -ENOSPC;
    result = change_address(RTM_NEWADDR, source);
    if (result == 0)
        device->sources[device->n_sources++] = *source;
    return result;
}

/* What was the host's address, and is a virtual one now, is not to be found inside. */
static void remove_source(struct check_device *device, const struct ip_address *address)
{
    struct ip_address *found = find_source(device, address);

    if (found && change_address(RTM_DELADDR, address) == 0)
        *found = device->sources[--device->n_sources];
}

static int bind_to(int fd, const struct ip_address *source, uint16_t port)
{
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(ip_to_v4(source))};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
    int on = 1;

    memcpy(&v6.sin6_addr, source->bytes, 16);
    /* The port is chosen when the socket is connected: the same one may be used to other addresses. */
    if (!port)
        setsockopt(fd, SOL_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof(on));
    return bind(fd, ip_is_v4(source) ? (void *)&v4 : (void *)&v6, ip_is_v4(source) ? sizeof(v4) : sizeof(v6));
}

static int open_inside(bool is_v4, int type)
{
    if ((type & ~(SOCK_NONBLOCK | SOCK_CLOEXEC)) == SOCK_RAW) /* icmp(7): the kernel gives each its replies. */
        return socket(is_v4 ? AF_INET : AF_INET6, SOCK_DGRAM | (type & SOCK_NONBLOCK) | SOCK_CLOEXEC, is_v4 ? IPPROTO_ICMP : IPPROTO_ICMPV6);
    return socket(is_v4 ? AF_INET : AF_INET6, type | SOCK_CLOEXEC, 0);
}

int check_device_socket(struct check_device *device, int type, uint32_t number, const struct ip_address *source, uint16_t port, const struct ip_address *to)
{
    int result = enter(device), fd, error = 0;

    if (result < 0)
        return result;
    remove_source(device, to);
    result = add_source(device, source);
    fd = result < 0 ? -1 : open_inside(ip_is_v4(source), type);
    if (result == 0 && (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_MARK, &number, sizeof(number)) < 0 || bind_to(fd, source, port) < 0))
        error = errno;
    leave(device);
    if (fd >= 0 && error)
        close(fd);
    return result < 0 ? result : error ? -error : fd;
}
