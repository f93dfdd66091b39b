/* From the ring buffer to the services and back to the workload's interface; see punt.h. */
#include "weft/agent/punt.h"

#include <arpa/inet.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <sys/socket.h>

#include "weft/base/cleanup.h"
#include "weft/base/log.h"
#include "weft/base/util.h"
#include "weft/dataplane/tables.h"
#include "weft/model/virtual-server.h"
#include "weft/services/dhcp/options.h"
#include "weft/services/icmp/error.h"
#include "weft/services/ip/fragment.h"
#include "weft/services/ip/reset.h"

#define TICK_MS 1000
#define SCAN_PORTS 256 /* Looked at in one tick after a change, so that a host with many ports is not held up. */
#define REPLY_MAX 1514

/* What the workload in a slot was told last. */
struct advertised {
    uint64_t hash;             /* Of the whole advertisement; 0: nothing. */
    struct ip_address gateway; /* The default router; zero: none. */
};

struct punt {
    uv_poll_t poll;
    uv_timer_t timer;
    int n_open; /* Handles whose close callback is still to come. */
    struct ring_buffer *ring;
    int socket;
    int tunnel_socket; /* For the tunnel device: each frame with its own mark and priority. */
    uint32_t tunnel_ifindex;
    uint32_t n_slots;
    struct advertised *advertised; /* By slot. */
    uint32_t scan_next, scan_left; /* Slots to look at because objects changed. */
    uint64_t tick;
    punt_find find;
    void *context;
    struct punt_outside outside;
    void *outside_context;
    struct punt_counters counters;
    struct service_config config; /* Scratch: rebuilt for each request, as is */
    struct punt_event event;      /* the event, with zeros where an older program said nothing. */
};

static bool send_from(int fd, uint32_t ifindex, const uint8_t *frame, int size)
{
    struct sockaddr_ll to = {
        .sll_family = AF_PACKET,
        .sll_protocol = (uint16_t)(frame[12] | frame[13] << 8), /* In network order as it stands. */
        .sll_ifindex = (int)ifindex,
        .sll_halen = ETH_ALEN,
    };
    memcpy(to.sll_addr, frame, ETH_ALEN);
    return sendto(fd, frame, (size_t)size, 0, (struct sockaddr *)&to, sizeof(to)) == size;
}

static bool send_frame(struct punt *punt, uint32_t ifindex, const char *port_id, const uint8_t *frame, int size)
{
    if (send_from(punt->socket, ifindex, frame, size))
        return true;
    punt->counters.send_errors++;
    log_warning("port %s: cannot send a reply out of interface %u: %s", port_id, ifindex, strerror(errno));
    return false;
}

/* ---- each kind of request -------------------------------------------------------------------------------------- */

/* What the workload will not get, and why: users see a request without effect otherwise. */
static void check_options(const struct port *port)
{
    for (size_t i = 0; i < port->n_extra_dhcp_opts; i++) {
        const struct extra_dhcp_option *option = &port->extra_dhcp_opts[i];
        struct dhcp_option encoded;
        struct error error = {0};
        if (option->name && option->value && *option->value &&
            dhcp_option_encode(option->ip_version, option->name, option->value, &encoded, &error) < 0)
            log_warning("port %s: extra_dhcp_opts[%zu].%s: %s; it is left out", port->object.id, i, error.field,
                        error.message);
    }
}

static int answer_dhcp4(struct punt *punt, const char *port_id, const struct punt_event *event, uint8_t *reply)
{
    struct dhcp4_outcome outcome;
    char text[IP_TEXT_SIZE];
    int size = dhcp4_respond(&punt->config.dhcp4, event->frame, event->size, reply, REPLY_MAX, &outcome);
    if (size < 0)
        return size;
    ip_format(&outcome.address, text);
    if (outcome.request == DHCP4_DECLINE)
        log_warning("port %s: the workload found its address %s in use and declined it", port_id, text);
    else if (outcome.reply == DHCP4_NAK)
        log_info("port %s: DHCP refused %s, which is not the port's", port_id, text);
    else
        log_debug("port %s: DHCP %s, answer %s, address %s", port_id, dhcp4_message_name(outcome.request),
                  dhcp4_message_name(outcome.reply), text);
    punt->counters.refused += outcome.reply == DHCP4_NAK;
    punt->counters.dhcp4 += size > 0;
    return size;
}

static int answer_dhcp6(struct punt *punt, const char *port_id, const struct punt_event *event, uint8_t *reply)
{
    struct dhcp6_outcome outcome;
    int size = dhcp6_respond(&punt->config.dhcp6, event->frame, event->size, reply, REPLY_MAX, &outcome);
    if (size < 0)
        return size;
    if (outcome.request == DHCP6_DECLINE)
        log_warning("port %s: the workload found an IPv6 address in use and declined it", port_id);
    else
        log_debug("port %s: DHCPv6 %s, answer %s, status %u", port_id, dhcp6_message_name(outcome.request),
                  dhcp6_message_name(outcome.reply), outcome.status);
    punt->counters.dhcp6 += size > 0;
    return size;
}

/* 'event' is complete here: what an older program did not say is zero. */
static int answer_error(struct punt *punt, const struct punt_event *event, enum icmp_error_kind kind, uint8_t *reply)
{
    static const struct ip_prefix link_local = {{{0xfe, 0x80}}, 64};
    struct icmp_error error = {.kind = kind, .code = event->code, .mtu = event->mtu ? event->mtu : punt->config.ra.mtu,
                               .source_mac = VIRTUAL_SERVER_MAC, .hops = event->hops};
    bool is_ipv6 = event->size > 14 && event->frame[14] >> 4 == 6;
    if (event->router_port)
        memcpy(error.source_mac.bytes, event->frame, sizeof(error.source_mac.bytes));
    if (event->router_port && !(kind == ICMP_UNREACHABLE && (event->code == UNREACHABLE_PROTOCOL || event->code == UNREACHABLE_PORT))) { /* Else it got where it was sent to. */
        memcpy(error.source.bytes, event->source, sizeof(error.source.bytes));
        if (ip_is_zero(&error.source) && is_ipv6 && !event->hops) /* Of a router without a global address: good on its link. */
            error.source = ip_from_eui64(&link_local, &error.source_mac);
        if (ip_is_zero(&error.source))
            return 0;
    }
    int size = icmp_error_reply(&error, event->frame, event->size, reply, REPLY_MAX);
    return size == -EPROTONOSUPPORT ? 0 : size; /* Understood, and not to be answered. */
}

static int answer_unreachable(struct punt *punt, const struct punt_event *event, uint8_t *reply)
{
    int size = event->code == UNREACHABLE_PORT || event->code == UNREACHABLE_PROHIBITED
                   ? tcp_reset_reply(event->frame, event->size, event->hops, reply, REPLY_MAX) : -EPROTONOSUPPORT;
    if (size != -EPROTONOSUPPORT) { /* TCP has its own way to refuse. */
        punt->counters.resets += size > 0;
        return size;
    }
    size = answer_error(punt, event, ICMP_UNREACHABLE, reply);
    punt->counters.unreachable += size > 0;
    return size;
}

static int answer(struct punt *punt, const char *port_id, const struct punt_event *event, uint8_t *reply)
{
    int size;
    switch (event->reason) {
    case PUNT_DHCP4:
        return answer_dhcp4(punt, port_id, event, reply);
    case PUNT_DHCP6:
        return answer_dhcp6(punt, port_id, event, reply);
    case PUNT_ROUTER_SOLICITATION:
        size = ra_respond(&punt->config.ra, event->frame, event->size, reply, REPLY_MAX);
        punt->counters.ra += size > 0;
        return size;
    case PUNT_TOO_BIG:
        size = answer_error(punt, event, ICMP_TOO_BIG, reply);
        punt->counters.too_big += size > 0;
        return size;
    case PUNT_TTL:
        size = answer_error(punt, event, ICMP_TIME_EXCEEDED, reply);
        punt->counters.time_exceeded += size > 0;
        return size;
    case PUNT_UNREACHABLE:
        return answer_unreachable(punt, event, reply);
    default: /* Of a newer data plane. */
        return -EPROTONOSUPPORT;
    }
}

/* ---- fragments ------------------------------------------------------------------------------------------------- */

/* To a port of this host, if it is still of the network that the data plane meant. */
static bool send_piece_here(struct punt *punt, const struct punt_event *event, const uint8_t *piece, int size)
{
    struct punt_port port;
    if (punt->find(punt->context, event->output & OUTPUT_SLOT_MASK, &port) < 0 ||
        port.objects.network->vni != event->vni)
        return false;
    return send_frame(punt, port.ifindex, port.objects.port->object.id, piece, size);
}

static bool send_to_host(struct punt *punt, const struct punt_event *event, const uint8_t *piece, int size)
{
    uint32_t mark = TUNNEL_MARK | (event->output & OUTPUT_SLOT_MASK);
    uint32_t priority = event->reason == PUNT_FRAGMENT ? TUNNEL_PRIORITY(event->vni, event->code) : event->vni;
    if (setsockopt(punt->tunnel_socket, SOL_SOCKET, SO_MARK, &mark, sizeof(mark)) < 0 ||
        setsockopt(punt->tunnel_socket, SOL_SOCKET, SO_PRIORITY, &priority, sizeof(priority)) < 0 ||
        !send_from(punt->tunnel_socket, punt->tunnel_ifindex, piece, size)) {
        punt->counters.send_errors++;
        log_warning("cannot send by the tunnel device: %s", strerror(errno));
        return false;
    }
    return true;
}

static void fragment(struct punt *punt, const struct punt_event *event)
{
    uint8_t piece[PUNT_MAX_FRAME];
    uint32_t kind = event->output & OUTPUT_KIND_MASK;
    bool is_sent = kind == OUTPUT_LOCAL || kind == OUTPUT_REMOTE;
    int size;
    for (unsigned i = 0; (size = ipv4_fragment(event->frame, event->size, event->mtu, i, piece, sizeof(piece))) > 0; i++)
        is_sent = is_sent && (kind == OUTPUT_LOCAL ? send_piece_here(punt, event, piece, size)
                                                   : send_to_host(punt, event, piece, size));
    punt->counters.malformed += size < 0;
    punt->counters.fragmented += size == 0 && is_sent;
}

/* ---- somebody outside ------------------------------------------------------------------------------------------- */

/* An error about a packet that came from outside: back out of the uplink, or to the gateway that brought it, which sends it on as what a
 * router of ours says. */
static void answer_outside(struct punt *punt, const struct punt_event *event)
{
    static const uint8_t outside_mac[6] = OUTSIDE_MAC_BYTES;
    uint8_t reply[REPLY_MAX];
    bool is_sent = false;
    int size = event->reason == PUNT_DHCP4 || event->reason == PUNT_DHCP6 || event->reason == PUNT_ROUTER_SOLICITATION
                   ? -EPROTONOSUPPORT
                   : answer(punt, "outside", event, reply);

    if (size > 0 && (event->output & OUTPUT_KIND_MASK) == OUTPUT_UPLINK) {
        is_sent = punt->outside.send(punt->outside_context, event->vni, reply, (size_t)size);
    } else if (size > 0 && (event->output & OUTPUT_KIND_MASK) == OUTPUT_REMOTE &&
               punt->outside.router_mac(punt->outside_context, event->router_port, reply + 6)) {
        memcpy(reply, outside_mac, sizeof(outside_mac));
        is_sent = send_to_host(punt, event, reply, size);
    }
    punt->counters.replies += is_sent;
    punt->counters.silent += size == 0;
    punt->counters.malformed += size < 0;
}

/* The slot may have been given to another port since the event was written: the interface tells. */
static int on_event(void *context, void *data, size_t size)
{
    struct punt *punt = context;
    struct punt_event *event = &punt->event;
    struct punt_port port;
    uint8_t reply[REPLY_MAX];

    punt->counters.events++;
    if (size >= PUNT_EVENT_FIRST_SIZE) {
        memset(event, 0, sizeof(*event));
        memcpy(event, data, MIN(size, sizeof(*event)));
    }
    if (size < PUNT_EVENT_FIRST_SIZE || event->size > sizeof(event->frame)) {
        punt->counters.malformed++;
        return 0;
    }
    if (event->reason == PUNT_NEIGHBOR || event->reason == PUNT_NEIGHBOR_SEEN) { /* No port's answer. */
        if (punt->outside.take)
            punt->outside.take(punt->outside_context, event);
        return 0;
    }
    if (!event->slot) {
        if (event->reason == PUNT_FRAGMENT)
            fragment(punt, event);
        else if (punt->outside.send)
            answer_outside(punt, event);
        return 0;
    }
    if (punt->find(punt->context, event->slot, &port) < 0 || port.ifindex != event->ifindex) {
        punt->counters.unknown_port++;
        return 0;
    }
    if (event->reason == PUNT_FRAGMENT) {
        fragment(punt, event);
        return 0;
    }
    service_config_build(&port.objects, &punt->config);
    const char *port_id = port.objects.port->object.id;
    if (event->reason == PUNT_DHCP4 || event->reason == PUNT_DHCP6)
        check_options(port.objects.port);
    int reply_size = answer(punt, port_id, event, reply);
    if (reply_size > 0)
        punt->counters.replies += send_frame(punt, port.ifindex, port_id, reply, reply_size);
    else if (reply_size == 0 || reply_size == -EADDRNOTAVAIL)
        punt->counters.silent++;
    else
        punt->counters.malformed++;
    return 0;
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
    struct punt *punt = poll->data;
    int result = ring_buffer__consume(punt->ring);
    if (result < 0)
        log_warning("ring buffer 'punt': %s", strerror(-result));
}

/* ---- unsolicited advertisements -------------------------------------------------------------------------------- */

/* FNV-1a. */
static uint64_t hash_frame(const uint8_t *frame, int size)
{
    uint64_t hash = 0xcbf29ce484222325u;
    for (int i = 0; i < size; i++)
        hash = (hash ^ frame[i]) * 0x100000001b3u;
    return hash | 1;
}

/* A workload keeps a default router until that one itself says that it is none. */
static void withdraw_former(struct punt *punt, uint32_t slot, const struct punt_port *port)
{
    const struct ra_config *config = &punt->config.ra;
    struct ip_address *former = &punt->advertised[slot].gateway, none = {{0}};
    const struct ip_address *gateway = config->enabled && config->has_gateway ? &config->source : &none;
    uint8_t frame[RA_FRAME_MAX];
    if (!ip_is_zero(former) && !ip_equal(former, gateway)) {
        int size = ra_withdraw(config, former, frame, sizeof(frame));
        if (size > 0)
            punt->counters.advertisements +=
                send_frame(punt, port->ifindex, port->objects.port->object.id, frame, size);
    }
    *former = *gateway;
}

/* Returns false for an empty slot. */
static bool advertise(struct punt *punt, uint32_t slot, bool only_changed)
{
    struct punt_port port;
    uint8_t frame[RA_FRAME_MAX];
    if (slot >= punt->n_slots || punt->find(punt->context, slot, &port) < 0)
        return false;
    service_config_build(&port.objects, &punt->config);
    int size = ra_advertise(&punt->config.ra, frame, sizeof(frame));
    uint64_t hash = size > 0 ? hash_frame(frame, size) : 0;
    if (size > 0 && !(only_changed && hash == punt->advertised[slot].hash))
        punt->counters.advertisements += send_frame(punt, port.ifindex, port.objects.port->object.id, frame, size);
    withdraw_former(punt, slot, &port);
    punt->advertised[slot].hash = hash;
    return true;
}

void punt_advertise(struct punt *punt, uint32_t slot)
{
    (void)advertise(punt, slot, false);
}

void punt_objects_changed(struct punt *punt)
{
    punt->scan_left = punt->n_slots;
}

static void scan(struct punt *punt)
{
    for (int n_ports = 0; punt->scan_left > 0 && n_ports < SCAN_PORTS; punt->scan_left--) {
        punt->scan_next = (punt->scan_next + 1) % punt->n_slots;
        n_ports += advertise(punt, punt->scan_next, true);
    }
}

/* Slots are spread over the interval, so that a host's ports are not all told in the same second. */
static void on_tick(uv_timer_t *timer)
{
    struct punt *punt = timer->data;
    uint64_t phase = punt->tick++ % RA_INTERVAL_S;
    for (uint64_t slot = phase ? phase : RA_INTERVAL_S; slot < punt->n_slots; slot += RA_INTERVAL_S)
        punt_advertise(punt, (uint32_t)slot);
    scan(punt);
}

/* ---- life ------------------------------------------------------------------------------------------------------ */

static void destroy(struct punt *punt)
{
    ring_buffer__free(punt->ring);
    if (punt->socket >= 0)
        close(punt->socket);
    if (punt->tunnel_socket >= 0)
        close(punt->tunnel_socket);
    free(punt->advertised);
    free(punt);
}
DEFINE_CLEANUP(struct punt *, destroy);

static void on_closed(uv_handle_t *handle)
{
    struct punt *punt = handle->data;
    if (--punt->n_open == 0)
        destroy(punt);
}

int punt_new(uv_loop_t *loop, int ring_fd, uint32_t n_slots, uint32_t tunnel_ifindex, punt_find find, void *context,
             struct punt **ret, struct error *error)
{
    _cleanup_(destroyp) struct punt *punt = calloc(1, sizeof(*punt));
    if (!punt)
        return error_set(error, -ENOMEM, NULL, "out of memory");
    punt->find = find;
    punt->context = context;
    punt->n_slots = n_slots;
    punt->tunnel_ifindex = tunnel_ifindex;
    punt->socket = punt->tunnel_socket = -1;
    punt->advertised = calloc(n_slots ? n_slots : 1, sizeof(*punt->advertised));
    if (!punt->advertised)
        return error_set(error, -ENOMEM, NULL, "out of memory");
    punt->socket = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0); /* Protocol 0: receives nothing. */
    punt->tunnel_socket = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (punt->socket < 0 || punt->tunnel_socket < 0)
        return error_set(error, -errno, NULL, "cannot open a packet socket: %s", strerror(errno));
    punt->ring = ring_buffer__new(ring_fd, on_event, punt, NULL);
    if (!punt->ring)
        return error_set(error, -errno, NULL, "cannot read the ring buffer 'punt': %s", strerror(errno));

    int result = uv_poll_init(loop, &punt->poll, ring_buffer__epoll_fd(punt->ring));
    if (result < 0)
        return error_set(error, result, NULL, "cannot watch the ring buffer 'punt': %s", uv_strerror(result));
    punt->poll.data = punt->timer.data = punt;
    uv_timer_init(loop, &punt->timer);
    punt->n_open = 2;
    uv_poll_start(&punt->poll, UV_READABLE, on_readable);
    uv_timer_start(&punt->timer, on_tick, TICK_MS, TICK_MS);
    *ret = TAKE_PTR(punt);
    return 0;
}

void punt_set_outside(struct punt *punt, const struct punt_outside *outside, void *context)
{
    punt->outside = *outside;
    punt->outside_context = context;
}

void punt_free(struct punt *punt)
{
    if (!punt)
        return;
    uv_close((uv_handle_t *)&punt->poll, on_closed);
    uv_close((uv_handle_t *)&punt->timer, on_closed);
}

bool punt_send(struct punt *punt, uint32_t ifindex, const char *port_id, const uint8_t *frame, int size)
{
    return size > 0 && send_frame(punt, ifindex, port_id, frame, size);
}

const struct punt_counters *punt_counters(const struct punt *punt)
{
    return &punt->counters;
}
