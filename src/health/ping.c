/* ICMP echo.  All probes of a family share one socket, but those that are led elsewhere, since each raw socket of a host is given each message: a socket a probe would cost their
 * number squared.  Source, device and mark go with each message instead. */
#include <errno.h>
#include <net/if.h>
#include <netinet/icmp6.h>
#include <netinet/in.h>
#include <netinet/ip_icmp.h>
#include <sodium.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "weft/base/util.h"
#include "weft/health/probe-state.h"
#include "weft/health/socket-address.h"

#ifndef ICMP_FILTER /* linux/icmp.h, which does not go together with the C library's. */
#define ICMP_FILTER 1
#endif

#define RECEIVE_MAX 64 /* Replies at once; then it is other handles' turn. */

static void take_reply(struct echo_socket *echo, const uint8_t *message, size_t size, const struct sockaddr_storage *from)
{
    const uint8_t *key = echo_read_reply(message, size, echo->is_v4, echo->is_v4 && echo->is_raw);
    struct hashmap_node *node = key ? hashmap_find(&echo->prober->pings, key, ECHO_KEY_SIZE) : NULL;
    struct sockaddr_storage expected;
    struct health_probe *probe;

    if (!node)
        return;
    probe = CONTAINER_OF(node, struct health_probe, ping.by_key);
    socket_address(&probe->target.address, 0, &expected);
    if (echo->is_v4 ? memcmp(&((const struct sockaddr_in *)from)->sin_addr, &((struct sockaddr_in *)&expected)->sin_addr, 4) == 0
                    : memcmp(&((const struct sockaddr_in6 *)from)->sin6_addr, &((struct sockaddr_in6 *)&expected)->sin6_addr, 16) == 0)
        probe_finish(probe, true, "echo reply");
}

static void receive(uv_poll_t *poll, int status, int events)
{
    struct echo_socket *echo = poll->data;

    for (int i = 0; i < RECEIVE_MAX && echo->is_open; i++) {
        uint8_t message[256];
        struct sockaddr_storage from;
        socklen_t from_size = sizeof(from);
        ssize_t size = recvfrom(echo->fd, message, sizeof(message), 0, (struct sockaddr *)&from, &from_size);

        if (size >= 0)
            take_reply(echo, message, (size_t)size, &from);
        else if (errno != EINTR)
            break;
    }
    if (status < 0 && echo->is_open) /* Reading took the socket's error off; libuv has stopped watching it. */
        uv_poll_start(poll, UV_READABLE, receive);
}

/* Only replies come up; the kernel drops the rest of ICMP for us. */
static void filter_replies(int fd, bool is_v4)
{
    uint32_t v4 = ~(1u << ICMP_ECHOREPLY);
    struct icmp6_filter v6;

    ICMP6_FILTER_SETBLOCKALL(&v6);
    ICMP6_FILTER_SETPASS(ICMP6_ECHO_REPLY, &v6);
    if (is_v4)
        setsockopt(fd, SOL_RAW, ICMP_FILTER, &v4, sizeof(v4));
    else
        setsockopt(fd, IPPROTO_ICMPV6, ICMP6_FILTER, &v6, sizeof(v6));
}

/* Raw, or where that is not allowed what ping_group_range may allow (icmp(7)).  0 or -errno. */
static int open_socket(struct health_prober *prober, bool is_v4)
{
    struct echo_socket *echo = &prober->echo[!is_v4];
    int family = is_v4 ? AF_INET : AF_INET6, protocol = is_v4 ? IPPROTO_ICMP : IPPROTO_ICMPV6, error, r;

    if (echo->is_open)
        return 0;
    *echo = (struct echo_socket){.prober = prober, .is_v4 = is_v4, .is_raw = true};
    echo->fd = socket(family, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, protocol);
    error = errno;
    if (echo->fd < 0 && (errno == EPERM || errno == EACCES)) {
        echo->is_raw = false;
        echo->fd = socket(family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, protocol);
    }
    if (echo->fd < 0)
        return -error;
    if (echo->is_raw)
        filter_replies(echo->fd, is_v4);
    r = uv_poll_init(prober->loop, &echo->poll, echo->fd);
    if (r < 0) {
        close(echo->fd);
        return r;
    }
    echo->poll.data = echo;
    echo->is_open = true;
    prober->n_handles++;
    uv_poll_start(&echo->poll, UV_READABLE, receive);
    return 0;
}

static void add_control(struct msghdr *header, int level, int type, const void *data, size_t size)
{
    struct cmsghdr *control = (struct cmsghdr *)((char *)header->msg_control + header->msg_controllen);

    control->cmsg_level = level;
    control->cmsg_type = type;
    control->cmsg_len = CMSG_LEN(size);
    memcpy(CMSG_DATA(control), data, size);
    header->msg_controllen += CMSG_SPACE(size);
}

/* 0 or a positive errno. */
static int send_request(struct health_probe *probe, const struct echo_socket *echo)
{
    const struct health_target *target = &probe->target;
    uint8_t message[ECHO_SIZE], control[256] __attribute__((aligned(__alignof__(struct cmsghdr)))) = {0};
    unsigned ifindex = *target->device ? if_nametoindex(target->device) : 0;
    struct sockaddr_storage address;
    struct iovec bytes = {.iov_base = message, .iov_len = sizeof(message)};
    struct msghdr header = {.msg_name = &address, .msg_iov = &bytes, .msg_iovlen = 1, .msg_control = control};

    if (*target->device && !ifindex)
        return ENODEV;
    header.msg_namelen = socket_address(&target->address, 0, &address);
    if (echo->is_v4) {
        struct in_pktinfo info = {.ipi_ifindex = (int)ifindex};

        memcpy(&info.ipi_spec_dst, target->source.bytes + 12, 4);
        add_control(&header, SOL_IP, IP_PKTINFO, &info, sizeof(info));
    } else {
        struct in6_pktinfo info = {.ipi6_ifindex = ifindex};

        memcpy(&info.ipi6_addr, target->source.bytes, 16);
        add_control(&header, SOL_IPV6, IPV6_PKTINFO, &info, sizeof(info));
    }
    if (target->mark)
        add_control(&header, SOL_SOCKET, SO_MARK, &target->mark, sizeof(target->mark));
    echo_write_request(message, echo->is_v4, (uint16_t)(probe->ping.key[0] << 8 | probe->ping.key[1]), 1, probe->ping.key);
    return sendmsg(echo->fd, &header, MSG_NOSIGNAL) < 0 ? errno : 0;
}

/* By a socket of its own, which somebody leads elsewhere. */
static void start_alone(struct health_probe *probe)
{
    uint8_t message[ECHO_SIZE];

    if (probe_socket(probe, SOCK_RAW) < 0 || probe_connect(probe) < 0)
        return;
    echo_write_request(message, ip_is_v4(&probe->target.address), 0, 1, probe->ping.key);
    if (send(probe->fd, message, sizeof(message), MSG_NOSIGNAL) < 0)
        probe_fail_errno(probe, errno, NULL);
    else
        probe_watch(probe, UV_READABLE);
}

static void ready(struct health_probe *probe)
{
    uint8_t message[256];
    ssize_t size = recv(probe->fd, message, sizeof(message), 0);
    const uint8_t *key = size < 0 ? NULL : echo_read_reply(message, (size_t)size, ip_is_v4(&probe->target.address), false);

    if (size < 0 && errno != EAGAIN && errno != EINTR)
        probe_fail_errno(probe, errno, NULL);
    else if (key && memcmp(key, probe->ping.key, ECHO_KEY_SIZE) == 0)
        probe_finish(probe, true, "echo reply");
}

static void start(struct health_probe *probe)
{
    bool is_v4 = ip_is_v4(&probe->target.address);
    int error;

    randombytes_buf(probe->ping.key, sizeof(probe->ping.key));
    if (probe->target.open) {
        start_alone(probe);
        return;
    }
    error = -open_socket(probe->prober, is_v4);

    if (error) {
        probe_fail_errno(probe, error, "no socket for ICMP");
        return;
    }
    error = -hashmap_insert(&probe->prober->pings, &probe->ping.by_key, probe->ping.key, sizeof(probe->ping.key));
    probe->ping.is_in_map = error == 0;
    if (!error)
        error = send_request(probe, &probe->prober->echo[!is_v4]);
    if (error)
        probe_fail_errno(probe, error, NULL);
}

static void stop(struct health_probe *probe)
{
    if (probe->ping.is_in_map)
        hashmap_remove(&probe->prober->pings, &probe->ping.by_key);
    probe->ping.is_in_map = false;
}

const struct probe_kind probe_ping = {.start = start, .ready = ready, .stop = stop};

static void closed(uv_handle_t *handle)
{
    prober_handle_closed(((struct echo_socket *)handle->data)->prober);
}

void probe_ping_close(struct health_prober *prober)
{
    for (size_t i = 0; i < ARRAY_SIZE(prober->echo); i++) {
        struct echo_socket *echo = &prober->echo[i];

        if (!echo->is_open)
            continue;
        echo->is_open = false;
        uv_poll_stop(&echo->poll);
        uv_close((uv_handle_t *)&echo->poll, closed);
        close(echo->fd);
    }
}
