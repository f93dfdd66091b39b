/* Addresses as sockets take them. */
#ifndef WEFT_HEALTH_SOCKET_ADDRESS_H
#define WEFT_HEALTH_SOCKET_ADDRESS_H

#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

#include "weft/base/address.h"

/* Of the address's own family; returns its size.  The port is in host order. */
static inline socklen_t socket_address(const struct ip_address *address, uint16_t port, struct sockaddr_storage *ret)
{
    struct sockaddr_in *v4 = (struct sockaddr_in *)ret;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)ret;

    memset(ret, 0, sizeof(*ret));
    if (ip_is_v4(address)) {
        v4->sin_family = AF_INET;
        v4->sin_port = htons(port);
        memcpy(&v4->sin_addr, address->bytes + 12, 4);
        return sizeof(*v4);
    }
    v6->sin6_family = AF_INET6;
    v6->sin6_port = htons(port);
    memcpy(&v6->sin6_addr, address->bytes, 16);
    return sizeof(*v6);
}

#endif
