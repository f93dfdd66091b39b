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
#include "weft/dataplane/tables.h"
#include "weft/model/virtual-server.h"
#include "weft/services/dhcp/options.h"
#include "weft/services/icmp/too_big.h"

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
    uint32_t n_slots;
    struct advertised *advertised; /* By slot. */
    uint32_t scan_next, scan_left; /* Slots to look at because objects changed. */
    uint64_t tick;
    punt_find find;
    void *context;
    struct punt_counters counters;
    struct service_config config; /* Scratch: rebuilt for each request. */
};

static bool send_frame(struct punt *punt, uint32_t ifindex, const char *port_id, const uint8_t *frame, int size)
{
    struct sockaddr_ll to = {
        .sll_family = AF_PACKET,
        .sll_protocol = (uint16_t)(frame[12] | frame[13] << 8), /* In network order as it stands. */
        .sll_ifindex = (int)ifindex,
        .sll_halen = ETH_ALEN,
    };
    memcpy(to.sll_addr, frame, ETH_ALEN);
    if (sendto(punt->socket, frame, (size_t)size, 0, (struct sockaddr *)&to, sizeof(to)) == size)
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
        size = too_big_reply(&VIRTUAL_SERVER_MAC, punt->config.ra.mtu, event->frame, event->size, reply, REPLY_MAX);
        punt->counters.too_big += size > 0;
        return size;
    default: /* Of a newer data plane. */
        return -EPROTONOSUPPORT;
    }
}

/* The slot may have been given to another port since the event was written: the interface tells. */
static int on_event(void *context, void *data, size_t size)
{
    struct punt *punt = context;
    const struct punt_event *event = data;
    struct punt_port port;
    uint8_t reply[REPLY_MAX];

    punt->counters.events++;
    if (size < PUNT_EVENT_FIRST_SIZE || event->size > sizeof(event->frame)) {
        punt->counters.malformed++;
        return 0;
    }
    if (punt->find(punt->context, event->slot, &port) < 0 || port.ifindex != event->ifindex) {
        punt->counters.unknown_port++;
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

int punt_new(uv_loop_t *loop, int ring_fd, uint32_t n_slots, punt_find find, void *context, struct punt **ret,
             struct error *error)
{
    _cleanup_(destroyp) struct punt *punt = calloc(1, sizeof(*punt));
    if (!punt)
        return error_set(error, -ENOMEM, NULL, "out of memory");
    punt->find = find;
    punt->context = context;
    punt->n_slots = n_slots;
    punt->socket = -1;
    punt->advertised = calloc(n_slots ? n_slots : 1, sizeof(*punt->advertised));
    if (!punt->advertised)
        return error_set(error, -ENOMEM, NULL, "out of memory");
    punt->socket = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0); /* Protocol 0: receives nothing. */
    if (punt->socket < 0)
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

void punt_free(struct punt *punt)
{
    if (!punt)
        return;
    uv_close((uv_handle_t *)&punt->poll, on_closed);
    uv_close((uv_handle_t *)&punt->timer, on_closed);
}

const struct punt_counters *punt_counters(const struct punt *punt)
{
    return &punt->counters;
}
