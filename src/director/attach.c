#include "weft/director/attach.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/ethtool.h>
#include <linux/if_link.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "weft/base/cleanup.h"
#include "weft/base/util.h"

#define MAPS_MAX 64

const struct lb_identity lb_director = {"director", "conn_slots"}, lb_second_chance = {"second_chance", "chain_counters"};

/* A descriptor, or -errno. */
static int find_map(int program_fd, const char *name)
{
    uint32_t ids[MAPS_MAX], size = sizeof(struct bpf_prog_info);
    struct bpf_prog_info info = {.nr_map_ids = MAPS_MAX, .map_ids = (uintptr_t)ids};

    if (bpf_obj_get_info_by_fd(program_fd, &info, &size) < 0)
        return -errno;
    for (uint32_t i = 0; i < MIN(info.nr_map_ids, MAPS_MAX); i++) {
        struct bpf_map_info map = {0};
        _cleanup_(closep) int fd = bpf_map_get_fd_by_id(ids[i]);

        size = sizeof(map);
        if (fd >= 0 && bpf_obj_get_info_by_fd(fd, &map, &size) == 0 && streq(map.name, name))
            return TAKE_FD(fd);
    }
    return -ENOENT;
}

static bool has_map(int program_fd, const char *name)
{
    _cleanup_(closep) int fd = find_map(program_fd, name);

    return fd >= 0;
}

/* Is the program with that number of the identity?  Then '*ret_fd' is it, to be closed. */
static bool is_ours(const struct lb_identity *identity, uint32_t id, int *ret_fd)
{
    struct bpf_prog_info info = {0};
    uint32_t size = sizeof(info);
    int fd = bpf_prog_get_fd_by_id(id);

    if (fd < 0)
        return false;
    if (bpf_obj_get_info_by_fd(fd, &info, &size) < 0 || !streq(info.name, identity->program) || !has_map(fd, identity->map)) {
        close(fd);
        return false;
    }
    *ret_fd = fd;
    return true;
}

struct present {
    uint32_t id, flags; /* Of the program that is there, and how it is there; id 0: none. */
    int fd;             /* If it is of the identity; else -1. */
};

static int look(const struct lb_identity *identity, uint32_t ifindex, struct present *present)
{
    LIBBPF_OPTS(bpf_xdp_query_opts, answer);
    int result = bpf_xdp_query((int)ifindex, 0, &answer);

    *present = (struct present){.fd = -1};
    if (result < 0)
        return result;
    present->id = answer.prog_id;
    present->flags = answer.attach_mode == XDP_ATTACHED_DRV   ? XDP_FLAGS_DRV_MODE
                     : answer.attach_mode == XDP_ATTACHED_SKB ? XDP_FLAGS_SKB_MODE
                                                              : 0;
    if (present->id && !is_ours(identity, present->id, &present->fd))
        return -EBUSY;
    return 0;
}

static int put(uint32_t ifindex, int program_fd, uint32_t flags, const struct present *present)
{
    LIBBPF_OPTS(bpf_xdp_attach_opts, options, .old_prog_fd = present->fd);

    return present->fd >= 0 ? bpf_xdp_attach((int)ifindex, program_fd, flags | XDP_FLAGS_REPLACE, &options)
                            : bpf_xdp_attach((int)ifindex, program_fd, flags | XDP_FLAGS_UPDATE_IF_NOEXIST, NULL);
}

static uint32_t id_of(int program_fd)
{
    struct bpf_prog_info info = {0};
    uint32_t size = sizeof(info);

    return bpf_obj_get_info_by_fd(program_fd, &info, &size) < 0 ? 0 : info.id;
}

int lb_attach(const struct lb_identity *identity, uint32_t ifindex, int program_fd, enum lb_attachment *ret)
{
    struct present present;
    int result = look(identity, ifindex, &present);

    if (result < 0)
        return result;
    if (present.id) {
        /* Attaching again would change nothing but tell all who follow interfaces, us too. */
        result = present.id == id_of(program_fd) ? 0 : put(ifindex, program_fd, present.flags, &present);
        *ret = present.flags == XDP_FLAGS_SKB_MODE ? LB_ATTACH_GENERIC : LB_ATTACH_NATIVE;
        close(present.fd);
        return result;
    }
    *ret = LB_ATTACH_NATIVE;
    result = put(ifindex, program_fd, XDP_FLAGS_DRV_MODE, &present);
    if (result == 0 || result == -EBUSY)
        return result;
    *ret = LB_ATTACH_GENERIC;
    return put(ifindex, program_fd, XDP_FLAGS_SKB_MODE, &present);
}

int lb_detach(const struct lb_identity *identity, uint32_t ifindex)
{
    struct present present;
    int result = look(identity, ifindex, &present);

    if (result == -EBUSY)
        return 0;
    if (result < 0 || !present.id)
        return result;
    LIBBPF_OPTS(bpf_xdp_attach_opts, options, .old_prog_fd = present.fd);
    result = bpf_xdp_detach((int)ifindex, present.flags | XDP_FLAGS_REPLACE, &options);
    close(present.fd);
    return result < 0 ? result : 1;
}

int lb_attached_map(const struct lb_identity *identity, uint32_t ifindex)
{
    struct present present;
    int result = look(identity, ifindex, &present);

    if (result < 0 || !present.id)
        return -ENOENT;
    result = find_map(present.fd, identity->map);
    close(present.fd);
    return result;
}

int lb_mac(const char *interface, uint8_t ret_mac[6])
{
    _cleanup_(closep) int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    struct ifreq request = {0};

    if (fd < 0 || string_copy(request.ifr_name, sizeof(request.ifr_name), interface) < 0)
        return -EINVAL;
    if (ioctl(fd, SIOCGIFHWADDR, &request) < 0)
        return -errno;
    memcpy(ret_mac, request.ifr_hwaddr.sa_data, 6);
    return 0;
}

bool lb_is_ethernet(const char *interface)
{
    _cleanup_(closep) int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    struct ifreq request = {0};

    return fd >= 0 && string_copy(request.ifr_name, sizeof(request.ifr_name), interface) == 0 && ioctl(fd, SIOCGIFHWADDR, &request) == 0 &&
           (request.ifr_hwaddr.sa_family == ARPHRD_ETHER || request.ifr_hwaddr.sa_family == ARPHRD_LOOPBACK);
}

int lb_mtu(const char *interface)
{
    _cleanup_(closep) int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    struct ifreq request = {0};

    if (fd < 0 || string_copy(request.ifr_name, sizeof(request.ifr_name), interface) < 0)
        return -EINVAL;
    return ioctl(fd, SIOCGIFMTU, &request) < 0 ? -errno : request.ifr_mtu;
}

int lb_no_gro(const char *interface)
{
    _cleanup_(closep) int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    struct ethtool_value value = {.cmd = ETHTOOL_SGRO, .data = 0};
    struct ifreq request = {.ifr_data = (void *)&value};

    if (fd < 0 || string_copy(request.ifr_name, sizeof(request.ifr_name), interface) < 0)
        return -EINVAL;
    return ioctl(fd, SIOCETHTOOL, &request) < 0 ? -errno : 0;
}
