/* A datagram (RFC 768).  Most servers are silent to what they do not understand, so silence is health unless a reply is required; a port where
 * nobody listens answers with an ICMP error, which a connected socket is told. */
#include <errno.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "weft/base/address.h"
#include "weft/health/probe-state.h"

#define REPLY_MAX 65536

static void start(struct health_probe *probe)
{
    const struct health_udp *udp = &probe->asked->udp;
    bool is_v4 = ip_is_v4(&probe->target.address);
    int on = 1;

    if (probe_socket(probe, SOCK_DGRAM) < 0)
        return;
    /* All ICMP errors, not only "port unreachable" (ip(7)). */
    setsockopt(probe->fd, is_v4 ? SOL_IP : SOL_IPV6, is_v4 ? IP_RECVERR : IPV6_RECVERR, &on, sizeof(on));
    if (probe_connect(probe) < 0)
        return;
    if (send(probe->fd, udp->payload_size ? udp->payload : (const uint8_t *)"X", udp->payload_size || udp->is_empty ? udp->payload_size : 1, MSG_NOSIGNAL) < 0)
        probe_fail_errno(probe, errno, NULL);
    else
        probe_watch(probe, UV_READABLE);
}

static void ready(struct health_probe *probe)
{
    const struct health_udp *udp = &probe->asked->udp;
    static uint8_t reply[REPLY_MAX]; /* Its bytes are not looked at. */
    ssize_t size = recv(probe->fd, reply, sizeof(reply), 0);

    if (size < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (size < 0)
        probe_fail_errno(probe, errno, NULL);
    else if (udp->require_reply && size < udp->reply_min)
        probe_finish(probe, false, "expected a reply of at least %u bytes, got %zd", udp->reply_min, size);
    else if (udp->require_reply && udp->reply_max && size > udp->reply_max)
        probe_finish(probe, false, "expected a reply of at most %u bytes, got %zd", udp->reply_max, size);
    else
        probe_finish(probe, true, "a reply of %zd bytes", size);
}

static void expired(struct health_probe *probe)
{
    if (probe->asked->udp.require_reply)
        probe_finish(probe, false, "no reply within %u ms", probe->limit_ms);
    else
        probe_finish(probe, true, "no error within %u ms", probe->limit_ms);
}

const struct probe_kind probe_udp = {.start = start, .ready = ready, .expired = expired};
