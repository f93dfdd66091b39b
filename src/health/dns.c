/* A query over UDP, and an answer without an error (RFC 1035). */
#include <errno.h>
#include <sodium.h>
#include <sys/socket.h>

#include "weft/health/probe-state.h"

#define TYPE_SOA 6

static void start(struct health_probe *probe)
{
    const struct health_dns *dns = &probe->asked->dns;
    int size = dns_write_query(probe->dns.query, (uint16_t)randombytes_random(), dns->name ? dns->name : ".", dns->type ? dns->type : TYPE_SOA);

    if (probe_socket(probe, SOCK_DGRAM) < 0 || probe_connect(probe) < 0)
        return;
    probe->dns.size = (size_t)size; /* The name was tried when the question was made. */
    if (send(probe->fd, probe->dns.query, probe->dns.size, MSG_NOSIGNAL) < 0)
        probe_fail_errno(probe, errno, NULL);
    else
        probe_watch(probe, UV_READABLE);
}

static void ready(struct health_probe *probe)
{
    uint8_t message[DNS_MESSAGE_MAX];
    ssize_t size = recv(probe->fd, message, sizeof(message), MSG_TRUNC);
    int rcode;

    if (size < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (size < 0) {
        probe_fail_errno(probe, errno, NULL);
        return;
    }
    rcode = dns_read_answer(message, (size_t)size, probe->dns.query, probe->dns.size);
    if (rcode == 0)
        probe_finish(probe, true, "answered");
    else if (rcode > 0 && dns_rcode_name(rcode))
        probe_finish(probe, false, "answered with %s", dns_rcode_name(rcode));
    else if (rcode > 0)
        probe_finish(probe, false, "answered with error %d", rcode);
    /* Else it is something that was not asked for. */
}

const struct probe_kind probe_dns = {.start = start, .ready = ready};
