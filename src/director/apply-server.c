#include "weft/director/apply-parts.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

static enum lb_method method_of(const struct real_server *server)
{
    static const enum lb_method tunnels[] = {
        [TUNNEL_IPIP] = LB_METHOD_IPIP, [TUNNEL_GUE] = LB_METHOD_GUE, [TUNNEL_GRE] = LB_METHOD_GRE, [TUNNEL_VXLAN] = LB_METHOD_VXLAN};

    return server->forwarding == FORWARD_NAT        ? LB_METHOD_NAT
           : server->forwarding == FORWARD_FULL_NAT ? LB_METHOD_FULL_NAT
           : server->forwarding == FORWARD_DIRECT ? LB_METHOD_DIRECT
           : server->forwarding == FORWARD_L3DSR  ? LB_METHOD_L3DSR
           : server->forwarding == FORWARD_TUNNEL ? tunnels[server->tunnel.type]
                                                  : LB_METHOD_NONE;
}

static uint8_t overhead_of(const struct real_server *server)
{
    uint8_t outer = ip_is_v4(&server->address) ? 20 : 40;
    bool sum = server->tunnel.checksum != TUNNEL_CHECKSUM_NONE;

    switch (method_of(server)) {
    case LB_METHOD_IPIP:
        return outer;
    case LB_METHOD_GUE:
        return server->tunnel.checksum == TUNNEL_CHECKSUM_REMOTE ? outer + 20 : outer + 12;
    case LB_METHOD_GRE:
        return sum ? outer + 8 : outer + 4;
    case LB_METHOD_VXLAN:
        return outer + 30;
    default:
        return 0;
    }
}

struct lb_server server_way(const struct real_server *server, const struct ip_address *source)
{
    struct lb_server content = {
        .port = htons(server->port),
        .method = (uint8_t)method_of(server),
        .overhead = overhead_of(server),
    };

    memcpy(content.address, server->address.bytes, 16);
    if (server->forwarding == FORWARD_TUNNEL) {
        memcpy(content.source, source->bytes, 16);
        content.vni = server->tunnel.vni;
        content.tunnel_port = htons(server->tunnel.port);
        if (server->tunnel.checksum == TUNNEL_CHECKSUM_FULL)
            content.flags |= LB_SERVER_CHECKSUM;
        if (server->tunnel.checksum == TUNNEL_CHECKSUM_REMOTE)
            content.flags |= LB_SERVER_CHECKSUM | LB_SERVER_REMOTE_CHECKSUM;
    }
    if (server->forwarding == FORWARD_L3DSR)
        content.dscp = server->dscp;
    return content;
}

static struct lb_server content_of(const struct task *task, const struct applied_service *service, const struct planned_service *of,
                                   const struct planned_server *planned, uint32_t incarnation)
{
    const struct real_server *server = planned->server;
    struct ip_address source = {0};
    struct lb_server content;

    if (server->forwarding == FORWARD_TUNNEL || server->second_chance)
        source = task->source(&server->address, task->context);
    content = server_way(server, &source);
    if (server->second_chance && !planned->is_down) { /* What is handed on to one that is down is lost, for those behind it, too. */
        content.flags |= LB_SERVER_SECOND_CHANCE;
        memcpy(content.source, source.bytes, sizeof(content.source));
    }
    if (server_refuses(of, planned))
        content.flags |= LB_SERVER_NO_NEW;
    content.service = service->number;
    content.incarnation = incarnation;
    return content;
}

struct applied_server *server_add(struct applied_service *service, const struct ip_address *address, uint16_t port)
{
    struct applied_server *server = calloc(1, sizeof(*server));

    if (!server)
        return NULL;
    server->id.address = *address;
    server->id.port = port;
    server->number = LB_NONE;
    if (hashmap_insert(&service->servers, &server->by_id, &server->id, sizeof(server->id)) < 0) {
        free(server);
        return NULL;
    }
    return server;
}

static int place_server(const struct task *task, struct applied_server *server)
{
    if (server->number != LB_NONE)
        return 0;
    server->number = ranges_take(&task->applied->server_numbers, 1);
    if (server->number == RANGE_NONE) {
        server->number = LB_NONE;
        return places_missing(task, "server");
    }
    server->incarnation = ++task->applied->generation;
    task->applied->tables->server_load[server->number] = (struct lb_server_load){0};
    /* What another one counted there is not this one's. */
    count_server_from_now(task->applied->tables, server->number);
    return 0;
}

/* A threshold that goes, or up, ends the overload (IPVS). */
static void set_thresholds(struct lb_server_load *load, const struct real_server *server)
{
    uint32_t before = load->upper;

    load->lower = server->lower_threshold;
    load->upper = server->upper_threshold;
    if (!load->upper || (before && load->upper > before))
        __atomic_store_n(&load->is_overloaded, 0, __ATOMIC_RELAXED);
}

int server_apply(const struct task *task, struct applied_service *service, const struct planned_service *of, const struct planned_server *planned)
{
    struct applied_server *server = applied_find_server(service, planned->server);
    struct lb_server content;
    int result;

    if (!server)
        server = server_add(service, &planned->server->address, planned->server->port);
    if (!server)
        return -ENOMEM;
    server->is_seen = true;
    server->weight = planned->weight;
    server->is_used = planned->is_used;
    result = place_server(task, server);
    if (result < 0)
        return result;
    set_thresholds(&task->applied->tables->server_load[server->number], planned->server);
    content = content_of(task, service, of, planned, server->incarnation);
    content.generation = server->content.generation;
    if (memcmp(&content, &server->content, sizeof(content)) != 0) {
        content.generation = ++task->applied->generation;
        server->content = content;
        lb_write_server(task->applied->tables, server->number, &content);
    }
    return 0;
}

/* After no row leads to it any more.  Its connections are there until the sweeper has been round, so the place says which numbers were given out: who comes next
 * gets none of them, also in a process that has nothing but the tables. */
void server_remove(struct applied *applied, struct applied_service *service, struct applied_server *server)
{
    const struct lb_server nobody = {.generation = applied->generation};

    if (server->number != LB_NONE) {
        lb_write_server(applied->tables, server->number, &nobody);
        places_leave(applied, &applied->server_numbers, server->number, 1);
    }
    applied_free_server(service, server);
}
