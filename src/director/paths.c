#include "weft/director/paths.h"

#include <arpa/inet.h>
#include <errno.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "weft/base/log.h"
#include "weft/director/check-device.h"
#include "weft/director/reach.h"
#include "weft/director/runtime-state.h"

struct paths {
    struct director *director;
    struct check_device *device; /* NULL: not needed yet, */
    struct error error;          /* or it could not be: why, */
    uint64_t tried;              /* when that was tried last: with which configuration. */
    uint32_t last;               /* Number given to a way. */
};

struct check_way {
    struct paths *paths;
    uint32_t number;
    struct real_server server;   /* Without checks. */
    struct lb_server written;
    bool is_written, in_chain;
    struct ip_address source;    /* Which was looked for among the virtual addresses */
    uint64_t config_number;      /* of that configuration, and is none. */
};

/* ---- which address of the host a check comes from -------------------------------------------------------------------------------- */

static bool take_address(const struct sockaddr *from, struct ip_address *ret)
{
    if (from && from->sa_family == AF_INET)
        *ret = ip_from_v4(ntohl(((const struct sockaddr_in *)(const void *)from)->sin_addr.s_addr));
    else if (from && from->sa_family == AF_INET6)
        memcpy(ret->bytes, &((const struct sockaddr_in6 *)(const void *)from)->sin6_addr, sizeof(ret->bytes));
    else
        return false;
    return true;
}

static bool is_link_local(const struct ip_address *address)
{
    return address->bytes[0] == 0xfe && (address->bytes[1] & 0xc0) == 0x80;
}

/* Servers have virtual addresses themselves, those that rules give a mark too, and would answer to nobody. */
static bool is_virtual(const struct director *director, const struct ip_address *address)
{
    const struct director_config *config = director->config;

    for (size_t i = 0; config && i < config->n_services; i++)
        if (ip_equal(&config->services[i].address, address))
            return true;
    for (size_t i = 0; config && i < config->n_mark_rules; i++)
        if (config->mark_rules[i].has_destination && prefix_bits(&config->mark_rules[i].destination) == 128 &&
            ip_equal(&config->mark_rules[i].destination.address, address))
            return true;
    return false;
}

/* One of the family that is not virtual, of the interface if that has any; zero: there is none. */
static struct ip_address own_address(const struct director *director, bool is_v4, uint32_t ifindex)
{
    struct ip_address found = {0}, address;
    struct ifaddrs *all = NULL;

    if (getifaddrs(&all) < 0)
        return found;
    for (const struct ifaddrs *one = all; one; one = one->ifa_next) {
        if (one->ifa_flags & IFF_LOOPBACK || !take_address(one->ifa_addr, &address) || ip_is_v4(&address) != is_v4 ||
            is_link_local(&address) || is_virtual(director, &address))
            continue;
        if (ip_is_zero(&found) || if_nametoindex(one->ifa_name) == ifindex)
            found = address;
        if (if_nametoindex(one->ifa_name) == ifindex)
            break;
    }
    freeifaddrs(all);
    return found;
}

static struct ip_address check_source(struct check_way *way, const struct health_target *target, uint32_t ifindex)
{
    const struct director *director = way->paths->director;
    struct ip_address source = {0};

    if (!ip_is_zero(&target->source))
        return target->source;
    if (ip_is_v4(&way->server.address) == ip_is_v4(&target->address))
        source = reach_source(&way->server.address);
    if (!ip_is_zero(&source) && ip_equal(&source, &way->source) && way->config_number == director->config_number)
        return source;
    if (ip_is_zero(&source) || is_virtual(director, &source))
        return own_address(director, ip_is_v4(&target->address), ifindex);
    way->source = source;
    way->config_number = director->config_number;
    return source;
}

/* ---- ways --------------------------------------------------------------------------------------------------------------------------- */

static int make_device(struct paths *paths, struct error *error)
{
    if (paths->device)
        return 0;
    if (!paths->error.message[0] || paths->tried != paths->director->config_number) { /* What was missing may have been memory. */
        paths->tried = paths->director->config_number;
        paths->error = (struct error){0};
        if (check_device_new(&paths->device, &paths->error) == 0)
            return 0;
    }
    return error_set(error, -EOPNOTSUPP, NULL, "%s", paths->error.message);
}

static int begin(const struct virtual_service *service, const struct real_server *server, const struct health_target *target, bool in_chain, void *context,
                 struct check_way **ret, struct error *error)
{
    struct paths *paths = context;
    bool is_mixed = ip_is_v4(&server->address) == service->ipv6;
    int result = make_device(paths, error);
    struct check_way *way;

    if (result < 0)
        return result;
    if (is_mixed && ip_is_zero(&target->source)) {
        struct ip_address source = own_address(paths->director, !service->ipv6, 0);

        if (ip_is_zero(&source))
            return error_set(error, -EADDRNOTAVAIL, NULL, "the host has no address of IPv%d that the server could answer", service->ipv6 ? 6 : 4);
    }
    way = calloc(1, sizeof(*way));
    if (!way)
        return error_set(error, -ENOMEM, NULL, "out of memory");
    way->paths = paths;
    way->in_chain = in_chain;
    way->server = *server;
    way->server.checks = NULL;
    way->server.n_checks = 0;
    if (!++paths->last) /* 0 is no number. */
        paths->last++;
    way->number = paths->last;
    *ret = way;
    return 0;
}

static void end(struct check_way *way)
{
    if (way && way->is_written)
        check_device_write_way(way->paths->device, way->number, NULL);
    free(way);
}

/* What the program is to know of the way by now. */
static int write_way(struct check_way *way)
{
    struct ip_address source = reach_source(&way->server.address);
    struct lb_server now = server_way(&way->server, &source);
    int result;

    if (way->in_chain) {
        now.flags |= LB_SERVER_SECOND_CHANCE;
        memcpy(now.source, source.bytes, sizeof(now.source));
        now.tunnel_port = htons(way->paths->director->config->second_chance_port);
    }
    if (way->is_written && memcmp(&now, &way->written, sizeof(now)) == 0)
        return 0;
    result = check_device_write_way(way->paths->device, way->number, &now);
    if (result == 0) {
        way->written = now;
        way->is_written = true;
    }
    return result;
}

/* Answers come in where the server is; or where clients' packets do. */
static int hear(struct paths *paths, uint32_t ifindex)
{
    int result = check_device_hear(paths->device, ifindex);

    for (size_t i = 0; i < paths->director->n_attached; i++)
        if (paths->director->attached[i].how != LB_ATTACH_NONE)
            check_device_hear(paths->device, paths->director->attached[i].ifindex);
    return result;
}

static int open_socket(const struct health_target *target, int type, void *context)
{
    struct check_way *way = context;
    struct ip_address source;
    uint32_t ifindex;
    int result = reach_interface(&way->server.address, &ifindex);

    if (result == 0)
        result = hear(way->paths, ifindex);
    if (result == 0)
        result = write_way(way);
    if (result < 0)
        return result;
    source = check_source(way, target, ifindex);
    if (ip_is_zero(&source))
        return -EADDRNOTAVAIL;
    return check_device_socket(way->paths->device, type, way->number, &source, target->source_port, &target->address);
}

/* ---- the whole -------------------------------------------------------------------------------------------------------------------- */

struct paths *paths_new(struct director *director)
{
    struct paths *paths = calloc(1, sizeof(*paths));

    if (paths)
        paths->director = director;
    return paths;
}

void paths_free(struct paths *paths)
{
    if (paths)
        check_device_free(paths->device);
    free(paths);
}

struct check_paths paths_of(struct paths *paths)
{
    return (struct check_paths){.begin = begin, .end = end, .open = open_socket, .context = paths};
}

void paths_interfaces_changed(struct paths *paths)
{
    if (paths->device)
        check_device_forget(paths->device);
}
