/* The life of a probe, whatever its kind: its time, its socket, its end.  See probe.h, probe-state.h. */
#include <errno.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "weft/base/clock.h"
#include "weft/base/util.h"
#include "weft/health/probe-state.h"
#include "weft/health/socket-address.h"

static const struct probe_kind *const kinds[HEALTH_N_KINDS] = {
    [HEALTH_TCP] = &probe_tcp, [HEALTH_HTTP] = &probe_http, [HEALTH_HTTPS] = &probe_http, [HEALTH_TLS_HELLO] = &probe_tls,
    [HEALTH_UDP] = &probe_udp, [HEALTH_PING] = &probe_ping, [HEALTH_DNS] = &probe_dns,    [HEALTH_SMTP] = &probe_smtp,
    [HEALTH_MISC] = &probe_misc, [HEALTH_FILE] = &probe_file,
};

/* ---- the prober ------------------------------------------------------------------------------------------------------------ */

int health_prober_new(uv_loop_t *loop, struct health_prober **ret)
{
    struct health_prober *prober = calloc(1, sizeof(*prober));

    if (!prober)
        return -ENOMEM;
    prober->loop = loop;
    if (curl_loop_init(&prober->curl, loop, probe_http_finished, prober) < 0) {
        free(prober);
        return -ENOMEM;
    }
    uv_timer_init(loop, &prober->end);
    prober->end.data = prober;
    prober->n_handles = 2; /* This one, and curl's. */
    *ret = prober;
    return 0;
}

void prober_handle_closed(struct health_prober *prober)
{
    if (--prober->n_handles)
        return;
    SSL_CTX_free(prober->tls);
    hashmap_clear(&prober->pings);
    if (prober->closed)
        prober->closed(prober->closed_context);
    free(prober);
}

static void curl_closed(uv_handle_t *handle)
{
    prober_handle_closed(CONTAINER_OF((uv_timer_t *)handle, struct health_prober, curl.timer));
}

static void end_closed(uv_handle_t *handle)
{
    prober_handle_closed(handle->data);
}

/* Apart from the call, which may come from within curl's or a socket's callbacks. */
static void end(uv_timer_t *timer)
{
    struct health_prober *prober = timer->data;

    curl_loop_clear(&prober->curl, curl_closed);
    probe_ping_close(prober);
    uv_close((uv_handle_t *)&prober->end, end_closed);
}

void health_prober_close(struct health_prober *prober, void (*closed)(void *context), void *context)
{
    prober->is_closing = true;
    prober->closed = closed;
    prober->closed_context = context;
    for (struct health_probe *probe = prober->probes; probe; probe = probe->next) {
        health_probe_cancel(probe); /* It stays in the list: handles close in the loop. */
        if (probe->kind == &probe_misc)
            probe_misc_abandon(probe);
    }
    uv_timer_start(&prober->end, end, 0, 0);
}

/* ---- the end of a probe ----------------------------------------------------------------------------------------------------- */

void probe_handle_added(struct health_probe *probe)
{
    probe->n_handles++;
    probe->prober->n_handles++;
}

void probe_handle_closed(struct health_probe *probe)
{
    struct health_prober *prober = probe->prober;

    if (--probe->n_handles == 0) {
        if (probe->previous)
            probe->previous->next = probe->next;
        else
            prober->probes = probe->next;
        if (probe->next)
            probe->next->previous = probe->previous;
        health_question_unref(probe->question);
        free(probe);
    }
    prober_handle_closed(prober);
}

static void handle_closed(uv_handle_t *handle)
{
    probe_handle_closed(handle->data);
}

/* Gives back all but the memory. */
static void release(struct health_probe *probe)
{
    if (probe->kind->stop)
        probe->kind->stop(probe);
    if (probe->has_poll) {
        uv_poll_stop(&probe->poll);
        uv_close((uv_handle_t *)&probe->poll, handle_closed);
    }
    if (probe->fd >= 0)
        close(probe->fd);
    probe->fd = -1;
}

static void deliver(struct health_probe *probe)
{
    uv_close((uv_handle_t *)&probe->timer, handle_closed); /* Frees it later, in the loop. */
    if (probe->done)
        probe->done(&probe->result, probe->context);
}

static void deliver_later(uv_timer_t *timer)
{
    deliver(timer->data);
}

static void set_over(struct health_probe *probe)
{
    probe->is_over = true;
    probe->result.took_ms = (uint32_t)(clock_monotonic_ms() - probe->started_ms);
    if (probe->is_starting) { /* Start goes on until it returns. */
        uv_timer_start(&probe->timer, deliver_later, 0, 0);
        return;
    }
    release(probe);
    deliver(probe);
}

void probe_finish(struct health_probe *probe, bool is_up, const char *format, ...)
{
    va_list arguments;

    if (probe->is_over)
        return;
    probe->result.is_up = is_up;
    probe->result.was_asked = true;
    va_start(arguments, format);
    vsnprintf(probe->result.reason, sizeof(probe->result.reason), format, arguments);
    va_end(arguments);
    set_over(probe);
}

/* What passes by itself: a lack of this host's, which says nothing of the server.  What a check is refused for ever (an address or a mark that
 * it may not have) is a failed check: its server would be up for ever. */
static bool is_our_own(int error)
{
    switch (error) {
    case EMFILE:
    case ENFILE:
    case ENOMEM:
    case ENOBUFS:
    case EAGAIN:
    case EADDRINUSE:
        return true;
    default:
        return false;
    }
}

const char *probe_errno_text(int error)
{
    switch (error) {
    case ECONNREFUSED:
        return "connection refused";
    case ECONNRESET:
    case EPIPE:
        return "connection reset";
    case EHOSTUNREACH:
        return "host unreachable";
    case ENETUNREACH:
        return "network unreachable";
    case ETIMEDOUT:
        return "timeout of the connection";
    case EHOSTDOWN:
        return "host down";
    default:
        return strerror(error);
    }
}

void probe_fail_errno(struct health_probe *probe, int error, const char *what)
{
    if (probe->is_over)
        return;
    snprintf(probe->result.reason, sizeof(probe->result.reason), "%s%s%s", what ? what : "", what ? ": " : "", probe_errno_text(error));
    probe->result.is_up = false;
    probe->result.was_asked = !is_our_own(error);
    set_over(probe);
}

/* ---- time ------------------------------------------------------------------------------------------------------------------- */

static void fail_late(struct health_probe *probe)
{
    uint32_t ms = probe->limit_ms;

    if (ms % 1000 == 0)
        probe_finish(probe, false, "timeout after %u s", ms / 1000);
    else
        probe_finish(probe, false, "timeout after %u.%03u s", ms / 1000, ms % 1000);
}

static void timer_fired(uv_timer_t *timer)
{
    struct health_probe *probe = timer->data;

    /* The loop may have been busy with something else for long, and runs timers before it looks at sockets: what is there is looked at
     * first.  (Not 0: libuv would call again before that.) */
    if (!probe->is_last_chance) {
        probe->is_last_chance = true;
        uv_timer_start(&probe->timer, timer_fired, 1, 0);
        return;
    }
    if (probe->kind->expired)
        probe->kind->expired(probe);
    else
        fail_late(probe);
}

static uint32_t limit(const struct health_question_options *asked)
{
    bool waits_for_silence = asked->kind == HEALTH_UDP && !asked->udp.require_reply;

    return waits_for_silence ? MIN(asked->timeout_ms, HEALTH_UDP_SILENCE_MS) : asked->timeout_ms;
}

struct health_probe *health_probe_start(struct health_prober *prober, struct health_question *question, const struct health_target *target,
                                        health_done done, void *context)
{
    struct health_probe *probe = calloc(1, sizeof(*probe));

    if (!probe)
        return NULL;
    probe->prober = prober;
    probe->question = health_question_ref(question);
    probe->asked = health_question_options(question);
    probe->target = *target;
    probe->kind = kinds[probe->asked->kind];
    probe->done = done;
    probe->context = context;
    probe->fd = -1;
    probe->limit_ms = limit(probe->asked);
    probe->result.exit_status = -1;
    probe->next = prober->probes;
    if (probe->next)
        probe->next->previous = probe;
    prober->probes = probe;

    uv_update_time(prober->loop); /* Its time may be that of the beginning of a long turn. */
    probe->started_ms = clock_monotonic_ms();
    uv_timer_init(prober->loop, &probe->timer);
    probe->timer.data = probe;
    probe_handle_added(probe);
    uv_timer_start(&probe->timer, timer_fired, probe->limit_ms, 0);

    probe->is_starting = true;
    probe->kind->start(probe);
    probe->is_starting = false;
    if (probe->is_over)
        release(probe);
    return probe;
}

void health_probe_cancel(struct health_probe *probe)
{
    if (!probe || uv_is_closing((uv_handle_t *)&probe->timer))
        return;
    if (!probe->is_over)
        release(probe);
    probe->is_over = true;
    uv_close((uv_handle_t *)&probe->timer, handle_closed);
}

/* ---- its socket ------------------------------------------------------------------------------------------------------------- */

int probe_open(const struct health_target *target, int type)
{
    int fd = target->open ? target->open(target, type, target->open_context) : socket(ip_is_v4(&target->address) ? AF_INET : AF_INET6, type, 0);

    return fd < 0 && !target->open ? -errno : fd;
}

int probe_prepare_socket(const struct health_target *target, int fd, const char **ret_what)
{
    struct sockaddr_storage source;
    socklen_t size = socket_address(ip_is_zero(&target->source) ? &target->address : &target->source, target->source_port, &source);

    if (target->open)
        return 0;
    *ret_what = "cannot use the device";
    if (*target->device && setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, target->device, (socklen_t)strlen(target->device)) < 0)
        return -errno;
    *ret_what = "cannot set the mark";
    if (target->mark && setsockopt(fd, SOL_SOCKET, SO_MARK, &target->mark, sizeof(target->mark)) < 0)
        return -errno;
    *ret_what = "cannot use the source address";
    if (ip_is_zero(&target->source)) /* Of the target's family, and any. */
        memset((char *)&source + sizeof(in_port_t) + sizeof(sa_family_t), 0, size - sizeof(in_port_t) - sizeof(sa_family_t));
    if ((!ip_is_zero(&target->source) || target->source_port) && bind(fd, (struct sockaddr *)&source, size) < 0)
        return -errno;
    return 0;
}

int probe_socket(struct health_probe *probe, int type)
{
    const char *what = NULL;
    int r;

    r = probe_open(&probe->target, type | SOCK_NONBLOCK | SOCK_CLOEXEC);
    probe->fd = r < 0 ? -1 : r;
    r = r < 0 ? r : probe_prepare_socket(&probe->target, probe->fd, &what);
    if (r < 0)
        probe_fail_errno(probe, -r, probe->fd < 0 ? "no socket" : what);
    return r;
}

int probe_connect(struct health_probe *probe)
{
    struct sockaddr_storage address;
    socklen_t size = socket_address(&probe->target.address, probe->target.port, &address);

    if (connect(probe->fd, (struct sockaddr *)&address, size) == 0 || errno == EINPROGRESS)
        return 0;
    int error = errno;
    probe_fail_errno(probe, error, NULL);
    return -error;
}

int probe_connect_error(struct health_probe *probe)
{
    int error = 0;
    socklen_t size = sizeof(error);

    return getsockopt(probe->fd, SOL_SOCKET, SO_ERROR, &error, &size) < 0 ? errno : error;
}

static void poll_ready(uv_poll_t *poll, int status, int events)
{
    struct health_probe *probe = poll->data;

    if (!probe->is_over)
        probe->kind->ready(probe);
}

void probe_watch(struct health_probe *probe, int events)
{
    if (!probe->has_poll) {
        int r = uv_poll_init(probe->prober->loop, &probe->poll, probe->fd);

        if (r < 0) {
            probe_fail_errno(probe, -r, "cannot wait for the socket");
            return;
        }
        probe->has_poll = true;
        probe->poll.data = probe;
        probe_handle_added(probe);
    }
    uv_poll_start(&probe->poll, events, poll_ready);
}
