/* A hostile switch in a small fabric: whatever it says, the fabric stays sound and the others' traffic arrives.
 *
 *        hostile (0xe1)           The input: one byte of mode, then records: one byte of kind, one of size, that many bytes.
 *        /            \           kind 0: raw bytes of its connection; 1: a frame, as a packet_in at port size % 4 + 1; 2: time passes; 3: it
 *    e2 ---------------- e3       reconnects; 4: a port goes down or up; 5: a port that appears or goes; 6: another switch with its id; 7: a
 *     a                   b       message with a good header, of kind and body from the input */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "weft/base/util.h"
#include "weft/fabric/slices.h"
#include "world.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint8_t mode;

static void choose(struct fabric_options *options)
{
    options->mode = (enum path_mode)(mode & 3);
    options->install = mode & 4 ? FABRIC_PROACTIVE : FABRIC_REACTIVE;
    options->max_hosts_port = 16;
    options->max_hosts = 64;
    options->max_flows = 64;
    options->max_ports = 32;
    options->output_max = 1u << 20;
    options->event = NULL;
    memset(options->lldp_key, 7, sizeof(options->lldp_key));
    options->controller_id = 1;
}

static void packet_in(struct sim_switch *at, uint32_t port, const uint8_t *bytes, size_t size)
{
    struct of_message message = {.kind = OF_PACKET_IN};

    message.packet_in = (struct of_packet_in){.buffer_id = OF_NO_BUFFER, .total_len = (uint16_t)size, .in_port = port,
                                              .match = {.fields = OFM_IN_PORT, .in_port = port}, .data = {bytes, size}};
    switch_say(at, &message);
}

static void port_status(struct sim_switch *at, uint8_t reason, uint32_t port, bool is_up)
{
    struct of_message message = {.kind = OF_PORT_STATUS};

    message.port_status = (struct of_port_status){reason, {.number = port, .state = is_up ? 0 : OFPPS_LINK_DOWN}};
    switch_say(at, &message);
}

static void raw(struct sim_switch *at, const uint8_t *bytes, size_t size)
{
    uint8_t *copy = malloc(size ? size : 1); /* Of exactly that size, so that reading beyond it shows. */

    memcpy(copy, bytes, size);
    if (at->channel)
        fabric_receive(at->world->fabric, at->channel, copy, size, at->world->now_ms);
    free(copy);
}

static void headed(struct sim_switch *at, const uint8_t *bytes, size_t size)
{
    uint8_t message[264] = {(uint8_t)at->version};

    if (!size)
        return;
    message[1] = bytes[0] % 36;
    put_be16(message + 2, (uint16_t)(8 + size - 1));
    message[7] = size > 1 ? bytes[1] : 0;
    memcpy(message + 8, bytes + 1, size - 1);
    raw(at, message, 8 + size - 1);
}

static void act(struct world *world, struct sim_switch *hostile, struct sim_switch *twin, uint8_t kind, const uint8_t *bytes, size_t size)
{
    uint8_t first = size ? bytes[0] : 0;

    switch (kind % 8) {
    case 0:
        raw(hostile, bytes, size);
        break;
    case 1:
        packet_in(hostile, size % 4 + 1, bytes, size);
        break;
    case 2:
        world_run(world, 50 + 10u * first);
        break;
    case 3:
        world_disconnect(hostile);
        world_connect(hostile);
        break;
    case 4:
        port_status(hostile, OFPPR_MODIFY, first % 40, size & 1);
        break;
    case 5:
        port_status(hostile, first & 1 ? OFPPR_ADD : OFPPR_DELETE, first >> 1, true);
        break;
    case 6:
        if (!twin->channel)
            world_connect(twin);
        break;
    case 7:
        headed(hostile, bytes, size);
        break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sim_switch *hostile, *e2, *e3, *twin;
    struct sim_host *a, *b;
    struct world *world;
    uint64_t before;

    if (size < 1)
        return 0;
    mode = data[0];
    world = world_new(choose);
    hostile = world_switch(world, 0xe1, mode & 8 && !(mode & 4) ? OF10 : OF13);
    e2 = world_switch(world, 0xe2, OF13);
    e3 = world_switch(world, 0xe3, OF13);
    world_link(hostile, 1, e2, 1);
    world_link(hostile, 2, e3, 1);
    world_link(e2, 2, e3, 2);
    world_host(world, hostile, 3, "02:00:00:00:00:0c", "10.0.0.3");
    a = world_host(world, e2, 10, "02:00:00:00:00:0a", "10.0.0.1");
    b = world_host(world, e3, 10, "02:00:00:00:00:0b", "10.0.0.2");
    hostile->is_hostile = true;
    world_connect_all(world);
    world_settle(world);
    twin = world_switch(world, 0xe1, OF13);
    twin->is_hostile = true;
    host_send_arp(a, &b->ip);
    host_send_arp(b, &a->ip);
    if (mode & 16) {
        struct slice_binding bindings[] = {{.has_mac = true, .mac = a->mac}, {.has_mac = true, .mac = b->mac}};

        assert(slices_set(world->fabric->slices, "good", bindings, 2, NULL) == 0);
        fabric_slices_changed(world->fabric);
    }
    world_run(world, 1500);
    host_send_udp(a, b, 1, 2);
    for (size_t at = 1; at + 2 <= size;) {
        uint8_t kind = data[at];
        size_t length = MIN((size_t)data[at + 1], size - at - 2);

        act(world, hostile, twin, kind, data + at + 2, length);
        at += 2 + length;
    }
    world_run(world, 500);
    before = b->n_received;
    host_send_udp(a, b, 1, 2);
    host_send_udp(a, b, 3, 4);
    if (b->n_received != before + 2)
        abort();
    world_free(world);
    return 0;
}
