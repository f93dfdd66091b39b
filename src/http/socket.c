#include "weft/http/socket.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "weft/base/cleanup.h"
#include "weft/base/util.h"

static bool is_loopback(const struct sockaddr *address)
{
    if (address->sa_family == AF_INET)
        return ntohl(((const struct sockaddr_in *)address)->sin_addr.s_addr) >> 24 == 127;
    return IN6_IS_ADDR_LOOPBACK(&((const struct sockaddr_in6 *)address)->sin6_addr);
}

int socket_listen(const char *text, const char *option, const char *device, struct listening *ret_listening, struct error *error)
{
    const char *colon = strrchr(text, ':');
    struct addrinfo hints = {.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV | AI_PASSIVE, .ai_socktype = SOCK_STREAM}, *found = NULL;
    struct sockaddr_storage address;
    socklen_t size = sizeof(address);
    uint64_t number;
    _cleanup_(closep) int fd = -1;
    char host[64] = "", name[64], port[16];
    int r = -EINVAL;

    if (colon && (size_t)(colon - text) < sizeof(host) && parse_u64(colon + 1, 0, 65535, &number) == 0) {
        memcpy(host, text, (size_t)(colon - text));
        if (host[0] == '[' && host[strlen(host) - 1] == ']') {
            host[strlen(host) - 1] = '\0';
            memmove(host, host + 1, strlen(host));
        }
        r = getaddrinfo(*host ? host : "::", colon + 1, &hints, &found) == 0 ? 0 : -EINVAL;
    }
    if (r < 0)
        return error_set(error, r, option, "'%s' is not ADDRESS:PORT", text);

    fd = socket(found->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd >= 0) {
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int));
        if (found->ai_family == AF_INET6)
            setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &(int){0}, sizeof(int));
        if (device)
            r = setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, device, (socklen_t)strlen(device)) < 0 ? -errno : 0;
        if (r == 0)
            r = bind(fd, found->ai_addr, found->ai_addrlen) < 0 || listen(fd, 1024) < 0 ? -errno : 0;
    } else {
        r = -errno;
    }
    ret_listening->is_loopback = is_loopback(found->ai_addr);
    freeaddrinfo(found);
    if (r < 0)
        return error_set(error, r, option, "'%s': %s", text, strerror(-r));

    getsockname(fd, (struct sockaddr *)&address, &size);
    getnameinfo((struct sockaddr *)&address, size, name, sizeof(name), port, sizeof(port), NI_NUMERICHOST | NI_NUMERICSERV);
    if (streq(name, "0.0.0.0"))
        strcpy(name, "127.0.0.1");
    if (streq(name, "::"))
        strcpy(name, "::1");
    snprintf(ret_listening->text, sizeof(ret_listening->text), strchr(name, ':') ? "[%s]:%s" : "%s:%s", name, port);
    ret_listening->fd = TAKE_FD(fd);
    return 0;
}
