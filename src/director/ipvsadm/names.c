#include "weft/director/ipvsadm/names.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "weft/base/util.h"

#define HOST_SIZE 256

static const char *name_of_protocol(uint8_t protocol)
{
    return protocol == IPPROTO_UDP ? "udp" : protocol == IPPROTO_SCTP ? "sctp" : "tcp";
}

static int resolve(const char *host, int family, struct ip_address *ret)
{
    const struct addrinfo hints = {.ai_family = family, .ai_socktype = SOCK_STREAM};
    struct addrinfo *found;

    if (getaddrinfo(host, NULL, &hints, &found))
        return -EINVAL;
    if (family == AF_INET)
        *ret = ip_from_v4(ntohl(((const struct sockaddr_in *)(const void *)found->ai_addr)->sin_addr.s_addr));
    else
        memcpy(ret->bytes, &((const struct sockaddr_in6 *)(const void *)found->ai_addr)->sin6_addr, 16);
    freeaddrinfo(found);
    return 0;
}

static int parse_host(const char *host, struct ip_address *ret)
{
    struct in_addr v4;

    if (inet_aton(host, &v4)) { /* "10.1" and "0x0a000001", too. */
        *ret = ip_from_v4(ntohl(v4.s_addr));
        return 0;
    }
    return resolve(host, AF_INET, ret) == 0 || resolve(host, AF_INET6, ret) == 0 ? 0 : -EINVAL;
}

static int parse_port(const char *text, uint8_t protocol, uint16_t *ret)
{
    struct servent *service;
    char *end;
    long number = strtol(text, &end, 10);

    if (*text && !*end) {
        if (number < 0 || number > UINT16_MAX)
            return -EINVAL;
        *ret = (uint16_t)number;
        return 0;
    }
    service = *text ? getservbyname(text, name_of_protocol(protocol)) : NULL;
    if (!service)
        return -EINVAL;
    *ret = ntohs((uint16_t)service->s_port);
    return 0;
}

static int split(const char *text, char host[HOST_SIZE], const char **ret_port)
{
    bool is_bracketed = *text == '[';
    const char *end = strchr(text, is_bracketed ? ']' : ':');
    size_t length;

    *ret_port = NULL;
    if (is_bracketed) {
        if (!end || end[1] != ':')
            return -EINVAL;
        text++;
        *ret_port = end + 2;
    } else if (end) {
        *ret_port = end + 1;
    }
    length = end ? (size_t)(end - text) : strlen(text);
    if (!length || length >= HOST_SIZE)
        return -EINVAL;
    memcpy(host, text, length);
    host[length] = 0;
    return 0;
}

int endpoint_parse(const char *text, uint8_t protocol, struct ip_address *ret_address, uint16_t *ret_port,
                   bool *ret_has_port)
{
    struct in6_addr v6;
    char host[HOST_SIZE];
    const char *port;

    *ret_port = 0;
    *ret_has_port = false;
    if (inet_pton(AF_INET6, text, &v6) == 1) {
        memcpy(ret_address->bytes, &v6, 16);
        return ip_is_v4(ret_address) ? -EINVAL : 0;
    }
    if (split(text, host, &port) < 0)
        return -EINVAL;
    if (*text == '[') {
        if (inet_pton(AF_INET6, host, &v6) != 1)
            return -EINVAL;
        memcpy(ret_address->bytes, &v6, 16);
        if (ip_is_v4(ret_address))
            return -EINVAL;
    } else if (parse_host(host, ret_address) < 0) {
        return -EINVAL;
    }
    *ret_has_port = port;
    return port ? parse_port(port, protocol, ret_port) : 0;
}

static void format_host(const struct ip_address *address, bool numeric, char *text, size_t size)
{
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(ip_to_v4(address))};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};
    bool is_v4 = ip_is_v4(address);
    char number[IP_TEXT_SIZE];

    memcpy(&v6.sin6_addr, address->bytes, 16);
    if (!numeric && getnameinfo(is_v4 ? (struct sockaddr *)&v4 : (struct sockaddr *)&v6,
                                is_v4 ? sizeof(v4) : sizeof(v6), text, (socklen_t)size, NULL, 0, NI_NAMEREQD) == 0)
        return;
    string_copy(text, size, ip_format(address, number));
}

static void format_port(uint16_t port, uint8_t protocol, bool numeric, char *text, size_t size)
{
    struct servent *service =
        numeric || !port || !protocol ? NULL : getservbyport(htons(port), name_of_protocol(protocol));

    if (service)
        string_copy(text, size, service->s_name);
    else
        snprintf(text, size, "%u", port);
}

const char *endpoint_format(const struct ip_address *address, uint16_t port, uint8_t protocol, bool numeric,
                            char text[ENDPOINT_TEXT_SIZE])
{
    char host[HOST_SIZE], name[24];

    format_host(address, numeric, host, sizeof(host));
    format_port(port, protocol, numeric, name, sizeof(name));
    snprintf(text, ENDPOINT_TEXT_SIZE, ip_is_v4(address) ? "%s:%s" : "[%s]:%s", host, name);
    return text;
}
