/* See curl-loop.h; https://curl.se/libcurl/c/libcurl-multi.html. */
#include "weft/http/curl-loop.h"

#include <errno.h>
#include <stdlib.h>

struct watched_socket {
    uv_poll_t poll;
    struct curl_loop *curl;
    curl_socket_t fd;
};

static void finish(struct curl_loop *curl)
{
    CURLMsg *message;
    int left;

    while ((message = curl_multi_info_read(curl->multi, &left)))
        if (message->msg == CURLMSG_DONE)
            curl->finished(message->easy_handle, message->data.result, curl->context);
}

static void socket_ready(uv_poll_t *poll, int status, int events)
{
    struct watched_socket *watched = poll->data;
    struct curl_loop *curl = watched->curl;
    int flags = status < 0 ? CURL_CSELECT_ERR : 0, running;

    if (events & UV_READABLE)
        flags |= CURL_CSELECT_IN;
    if (events & UV_WRITABLE)
        flags |= CURL_CSELECT_OUT;
    curl_multi_socket_action(curl->multi, watched->fd, flags, &running);
    finish(curl);
}

static void free_watched(uv_handle_t *handle)
{
    free(handle->data);
}

static int watch_socket(CURL *easy, curl_socket_t fd, int what, void *context, void *socket_context)
{
    struct watched_socket *watched = socket_context;
    struct curl_loop *curl = context;
    int events = 0;

    if (what == CURL_POLL_REMOVE) {
        if (watched) {
            uv_poll_stop(&watched->poll);
            uv_close((uv_handle_t *)&watched->poll, free_watched);
            curl_multi_assign(curl->multi, fd, NULL);
        }
        return 0;
    }
    if (!watched) {
        watched = calloc(1, sizeof(*watched));
        if (!watched)
            return -1;
        watched->curl = curl;
        watched->fd = fd;
        watched->poll.data = watched;
        uv_poll_init_socket(curl->loop, &watched->poll, fd);
        curl_multi_assign(curl->multi, fd, watched);
    }
    if (what & CURL_POLL_IN)
        events |= UV_READABLE;
    if (what & CURL_POLL_OUT)
        events |= UV_WRITABLE;
    uv_poll_start(&watched->poll, events, socket_ready);
    return 0;
}

static void multi_timeout(uv_timer_t *timer)
{
    struct curl_loop *curl = timer->data;
    int running;

    curl_multi_socket_action(curl->multi, CURL_SOCKET_TIMEOUT, 0, &running);
    finish(curl);
}

static int set_timer(CURLM *multi, long timeout_ms, void *context)
{
    struct curl_loop *curl = context;

    if (timeout_ms < 0)
        uv_timer_stop(&curl->timer);
    else
        uv_timer_start(&curl->timer, multi_timeout, (uint64_t)timeout_ms, 0);
    return 0;
}

int curl_loop_init(struct curl_loop *curl, uv_loop_t *loop, void (*finished)(CURL *easy, CURLcode result, void *context), void *context)
{
    *curl = (struct curl_loop){.multi = curl_multi_init(), .loop = loop, .finished = finished, .context = context};
    if (!curl->multi)
        return -ENOMEM;
    curl_multi_setopt(curl->multi, CURLMOPT_SOCKETFUNCTION, watch_socket);
    curl_multi_setopt(curl->multi, CURLMOPT_SOCKETDATA, curl);
    curl_multi_setopt(curl->multi, CURLMOPT_TIMERFUNCTION, set_timer);
    curl_multi_setopt(curl->multi, CURLMOPT_TIMERDATA, curl);
    uv_timer_init(loop, &curl->timer);
    curl->timer.data = curl;
    return 0;
}

void curl_loop_clear(struct curl_loop *curl, uv_close_cb closed)
{
    curl_multi_cleanup(curl->multi);
    uv_timer_stop(&curl->timer);
    uv_close((uv_handle_t *)&curl->timer, closed);
}
