#include "weft/controller/address.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <uv.h>

#include "weft/base/util.h"

int address_parse(const char *option, const char *text, struct sockaddr_storage *ret, struct error *error)
{
    const char *colon = strrchr(text, ':');
    char host[64];
    uint64_t port;

    if (colon && (size_t)(colon - text) < sizeof(host) && parse_u64(colon + 1, 0, 65535, &port) == 0) {
        size_t size = (size_t)(colon - text);

        memcpy(host, text, size);
        host[size] = 0;
        if (size > 1 && host[0] == '[' && host[size - 1] == ']') {
            host[size - 1] = 0;
            if (uv_ip6_addr(host + 1, (int)port, (struct sockaddr_in6 *)ret) == 0)
                return 0;
        } else if (uv_ip4_addr(size ? host : "0.0.0.0", (int)port, (struct sockaddr_in *)ret) == 0) {
            return 0;
        }
    }
    return error_set(error, -EINVAL, option, "%s: '%s' is not ADDRESS:PORT", option, text);
}

const char *address_format(const struct sockaddr_storage *address, char text[ADDRESS_TEXT_SIZE])
{
    char host[46] = "";

    if (address->ss_family == AF_INET6) {
        const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)address;

        uv_ip6_name(v6, host, sizeof(host));
        snprintf(text, ADDRESS_TEXT_SIZE, "[%s]:%u", host, ntohs(v6->sin6_port));
    } else {
        const struct sockaddr_in *v4 = (const struct sockaddr_in *)address;

        uv_ip4_name(v4, host, sizeof(host));
        snprintf(text, ADDRESS_TEXT_SIZE, "%s:%u", host, ntohs(v4->sin_port));
    }
    return text;
}
