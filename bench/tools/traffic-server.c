/* The far end of every measurement:  traffic-server ADDRESS PORT [CPU]
 *
 *   PORT      TCP, echoes what it reads: request/response
 *   PORT+1    TCP, accepts, echoes one byte, waits for the reset: connections per second
 *   PORT+2    TCP, reads and forgets: throughput
 *   PORT+3    UDP, counts: small packets
 *   PORT+4    TCP, answers a connection with the UDP packets counted so far (decimal) and closes
 *
 * Prints "ready" when all of them listen. */
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "account.h"

#define UDP_BATCH 64
/* Between looks at the UDP socket.  A reader that slept in recv() would have every packet's sender wake it, and the wake-up
 * (an interrupt to another virtual CPU) costs more than the path that is measured. */
#define UDP_PAUSE_US 500
#define READ_SIZE (256 * 1024)

static atomic_uint_fast64_t udp_packets;

static void die(const char *what)
{
    perror(what);
    exit(1);
}

static int listen_on(const char *address, int port, int type)
{
    struct addrinfo hints = {.ai_socktype = type, .ai_flags = AI_NUMERICHOST | AI_PASSIVE}, *info;
    char text[16];
    int one = 1, size = 4 << 20;

    snprintf(text, sizeof(text), "%d", port);
    if (getaddrinfo(address, text, &hints, &info))
        die(address);
    int fd = socket(info->ai_family, type | SOCK_CLOEXEC, 0);
    if (fd < 0)
        die("socket");
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    if (type == SOCK_DGRAM)
        setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size));
    if (bind(fd, info->ai_addr, info->ai_addrlen) < 0)
        die("bind");
    if (type == SOCK_STREAM && listen(fd, 1024) < 0)
        die("listen");
    freeaddrinfo(info);
    return fd;
}

static int accept_one(int fd)
{
    int one = 1, peer = accept(fd, NULL, NULL);

    if (peer < 0)
        die("accept");
    setsockopt(peer, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    return peer;
}

static void *echo(void *argument)
{
    int fd = (int)(intptr_t)argument;
    char buffer[4096];
    ssize_t n;

    while ((n = read(fd, buffer, sizeof(buffer))) > 0)
        if (write(fd, buffer, (size_t)n) != n)
            break;
    close(fd);
    return NULL;
}

static void *discard(void *argument)
{
    int fd = (int)(intptr_t)argument;
    char *buffer = malloc(READ_SIZE);

    while (buffer && read(fd, buffer, READ_SIZE) > 0)
        ;
    free(buffer);
    close(fd);
    return NULL;
}

static void in_thread(void *(*function)(void *), int fd)
{
    pthread_t thread;

    if (pthread_create(&thread, NULL, function, (void *)(intptr_t)fd))
        die("pthread_create");
    pthread_detach(thread);
}

static __attribute__((noreturn)) void *serve_echo(void *argument)
{
    for (;;)
        in_thread(echo, accept_one((int)(intptr_t)argument));
}

static __attribute__((noreturn)) void *serve_discard(void *argument)
{
    for (;;)
        in_thread(discard, accept_one((int)(intptr_t)argument));
}

static __attribute__((noreturn)) void *serve_connections(void *argument)
{
    for (;;) {
        int fd = accept_one((int)(intptr_t)argument);
        char byte;
        if (read(fd, &byte, 1) == 1 && write(fd, &byte, 1) == 1) {
            ssize_t rest = read(fd, &byte, 1); /* Until the client's reset. */
            (void)rest;
        }
        close(fd);
    }
}

static __attribute__((noreturn)) void *serve_udp(void *argument)
{
    static char buffers[UDP_BATCH][2048];
    struct mmsghdr messages[UDP_BATCH] = {0};
    struct iovec vectors[UDP_BATCH];
    int fd = (int)(intptr_t)argument;

    for (int i = 0; i < UDP_BATCH; i++) {
        vectors[i] = (struct iovec){buffers[i], sizeof(buffers[i])};
        messages[i].msg_hdr = (struct msghdr){.msg_iov = &vectors[i], .msg_iovlen = 1};
    }
    for (;;) {
        int n = recvmmsg(fd, messages, UDP_BATCH, MSG_DONTWAIT, NULL);
        if (n > 0)
            atomic_fetch_add(&udp_packets, (uint_fast64_t)n);
        if (n < UDP_BATCH)
            usleep(UDP_PAUSE_US);
    }
}

static __attribute__((noreturn)) void *serve_count(void *argument)
{
    for (;;) {
        int fd = accept_one((int)(intptr_t)argument);
        dprintf(fd, "%llu\n", (unsigned long long)atomic_load(&udp_packets));
        close(fd);
    }
}

int main(int argc, char **argv)
{
    if (argc < 3 || argc > 4) {
        fprintf(stderr, "usage: traffic-server ADDRESS PORT [CPU]\n");
        return 2;
    }
    int port = atoi(argv[2]);
    account_pin(argc == 4 ? atoi(argv[3]) : -1);
    in_thread(serve_echo, listen_on(argv[1], port, SOCK_STREAM));
    in_thread(serve_connections, listen_on(argv[1], port + 1, SOCK_STREAM));
    in_thread(serve_discard, listen_on(argv[1], port + 2, SOCK_STREAM));
    in_thread(serve_udp, listen_on(argv[1], port + 3, SOCK_DGRAM));
    in_thread(serve_count, listen_on(argv[1], port + 4, SOCK_STREAM));
    printf("ready\n");
    fflush(stdout);
    for (;;)
        pause();
}
