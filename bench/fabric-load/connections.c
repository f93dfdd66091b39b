/* One TCP connection a switch, all in one epoll.  What a round of messages leads to is sent at its end, in one piece for each. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "load.h"
#include "weft/base/util.h"

#define READ_SIZE 65536
#define ATTEMPTS_MAX 20

static int epoll = -1;
static struct sockaddr_in address = {.sin_family = AF_INET};
static struct emulated_switch **dirty;
static size_t n_dirty;

void connections_mark(struct emulated_switch *sw)
{
    if (!sw->is_dirty) {
        sw->is_dirty = true;
        dirty[n_dirty++] = sw;
    }
}

static void watch(struct emulated_switch *sw, int operation)
{
    struct epoll_event event = {.events = EPOLLIN | (sw->wants_write ? EPOLLOUT : 0), .data.ptr = sw};
    if (epoll_ctl(epoll, operation, sw->fd, &event) < 0)
        die("epoll_ctl: %s", strerror(errno));
}

static void open_one(struct emulated_switch *sw)
{
    sw->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (sw->fd < 0)
        die("socket: %s", strerror(errno));
    if (connect(sw->fd, (const struct sockaddr *)&address, sizeof(address)) < 0)
        die("switch %u: %s:%u: %s", sw->index + 1, load.settings.host, load.settings.port, strerror(errno));
    setsockopt(sw->fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
    if (fcntl(sw->fd, F_SETFL, O_NONBLOCK) < 0)
        die("fcntl: %s", strerror(errno));
    sw->n_attempts++;
    watch(sw, EPOLL_CTL_ADD);
    switch_hello(sw);
}

/* As a switch does.  ovs-testcontroller drops a connection when the second of its clock ends during the hello. */
static void reopen(struct emulated_switch *sw)
{
    close(sw->fd);
    sw->in.size = sw->out.size = sw->n_sent = 0;
    sw->wants_write = false;
    open_one(sw);
}

static void flush(struct emulated_switch *sw)
{
    bool is_full = false;
    while (sw->n_sent < sw->out.size && !is_full) {
        ssize_t n = send(sw->fd, sw->out.data + sw->n_sent, sw->out.size - sw->n_sent, MSG_NOSIGNAL);
        if (n >= 0)
            sw->n_sent += (size_t)n;
        else if (errno == EAGAIN)
            is_full = true;
        else if (errno != EINTR && !sw->has_features && sw->n_attempts < ATTEMPTS_MAX) {
            reopen(sw);
            return;
        } else if (errno != EINTR)
            die("switch %u: send: %s", sw->index + 1, strerror(errno));
    }
    if (sw->n_sent == sw->out.size)
        sw->n_sent = sw->out.size = 0;
    if (is_full != sw->wants_write) {
        sw->wants_write = is_full;
        watch(sw, EPOLL_CTL_MOD);
    }
}

static void receive(struct emulated_switch *sw)
{
    if (buffer_reserve(&sw->in, READ_SIZE) < 0)
        die("out of memory");
    ssize_t n = recv(sw->fd, sw->in.data + sw->in.size, READ_SIZE, 0);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0 && !sw->has_features && sw->n_attempts < ATTEMPTS_MAX) {
        reopen(sw);
        return;
    }
    if (n <= 0)
        die("switch %u: the controller closed the connection%s%s", sw->index + 1, n < 0 ? ": " : "", n < 0 ? strerror(errno) : "");
    sw->in.size += (size_t)n;

    size_t at = 0;
    for (;;) {
        int size = of_frame(sw->in.data + at, sw->in.size - at);
        if (size < 0)
            die("switch %u: the controller sent a message shorter than its header", sw->index + 1);
        if (size == 0 || (size_t)size > sw->in.size - at)
            break;
        switch_receive(sw, sw->in.data + at, (size_t)size);
        at += (size_t)size;
    }
    buffer_consume(&sw->in, at);
}

void connections_poll(int timeout_ms)
{
    struct epoll_event events[256];
    int n = epoll_wait(epoll, events, ARRAY_SIZE(events), n_dirty ? 0 : timeout_ms);
    if (n < 0 && errno != EINTR)
        die("epoll_wait: %s", strerror(errno));
    for (int i = 0; i < n; i++) {
        struct emulated_switch *sw = events[i].data.ptr;
        if (events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR))
            receive(sw);
        if (events[i].events & EPOLLOUT)
            connections_mark(sw);
    }
    for (size_t i = 0; i < n_dirty; i++) {
        dirty[i]->is_dirty = false;
        flush(dirty[i]);
    }
    n_dirty = 0;
}

void connections_open(void)
{
    struct rlimit limit;
    address.sin_port = htons(load.settings.port);
    if (inet_pton(AF_INET, load.settings.host, &address.sin_addr) != 1)
        die("'%s' is not an IPv4 address", load.settings.host);
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
    epoll = epoll_create1(EPOLL_CLOEXEC);
    if (epoll < 0)
        die("epoll_create1: %s", strerror(errno));
    dirty = allocate((size_t)load.n_switches * (ATTEMPTS_MAX + 1), sizeof(*dirty)); /* One that connects anew is marked again. */
    for (uint32_t i = 0; i < load.n_switches; i++) {
        open_one(&load.switches[i]);
        connections_poll(0);
    }
}
