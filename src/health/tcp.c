/* A connection that the server takes (RFC 9293).  It is reset at once: neither end remembers it. */
#include <sys/socket.h>

#include "weft/health/probe-state.h"

static void start(struct health_probe *probe)
{
    struct linger linger = {.l_onoff = 1};

    if (probe_socket(probe, SOCK_STREAM) < 0)
        return;
    setsockopt(probe->fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
    if (probe_connect(probe) == 0)
        probe_watch(probe, UV_WRITABLE);
}

static void ready(struct health_probe *probe)
{
    int error = probe_connect_error(probe);

    if (error)
        probe_fail_errno(probe, error, NULL);
    else
        probe_finish(probe, true, "connected");
}

const struct probe_kind probe_tcp = {.start = start, .ready = ready};
