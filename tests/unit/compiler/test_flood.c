/* A broadcast in networks of many hosts: every host's tables come from the compiler, every frame goes through the pipeline, and
 * what leaves for another host is handed to that one's.  Printed for each world: copies that the busiest host made, and how far it went. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "frames.h"
#include "weft/base/util.h"
#include "weft/compiler/layers.h"
#include "weft/dataplane/pipeline.h"
#include "weft/model/schema.h"

#define VNI 100
#define TUNNEL_IFINDEX 200
#define UNDERLAY_IFINDEX 201
#define NETWORK_ID "00000000-0000-4000-8000-000000000001"

struct sim_host {
    struct host model;
    char name[24];
    struct port port;          /* One, in slot 1. */
    bool knows_fewer;          /* Its replica has not the ports of the last hosts yet. */
    unsigned n_delivered, n_arrived, n_sent;
};

struct arrival {
    struct arrival *next;
    size_t at;
    uint8_t *bytes;
    uint32_t size;
    unsigned depth;
};

struct world {
    struct network network;
    struct sim_host *hosts;
    size_t n, n_before; /* Hosts, and of how many those know the ports that know fewer. */
    uint32_t fan_out;
    struct arrival *first, **last;
    unsigned depth;
};

static void make_world(struct world *world, size_t n, uint32_t fan_out)
{
    *world = (struct world){.n = n, .n_before = n, .fan_out = fan_out, .hosts = calloc(n, sizeof(*world->hosts))};
    world->last = &world->first;
    strcpy(world->network.object.id, NETWORK_ID);
    world->network.object.admin_state_up = true;
    world->network.vni = VNI;
    world->network.mtu = 1450;
    for (size_t i = 0; i < n; i++) {
        struct sim_host *host = &world->hosts[i];

        snprintf(host->name, sizeof(host->name), "h%zu", i);
        host->model.object.name = host->name;
        host->model.has_tunnel_address = true;
        host->model.tunnel_address = ip_from_v4(0x0a000001 + (uint32_t)i * 251);
        host->model.state = HOST_STATE_UP;
        snprintf(host->port.object.id, sizeof(host->port.object.id), "00000000-0000-4000-a000-%012u", (unsigned)i);
        strcpy(host->port.network_id, NETWORK_ID);
        host->port.object.admin_state_up = true;
        host->port.mac = (struct mac_address){{0x02, 1, 0, (uint8_t)(i >> 16), (uint8_t)(i >> 8), (uint8_t)i}};
        host->port.binding_host_id = host->name;
    }
}

static void free_world(struct world *world)
{
    free(world->hosts);
}

/* What host 'at' compiles; slots of hosts are their numbers and one, so that 0 is none. */
static void compile_host(const struct world *world, size_t at, struct desired *ret)
{
    size_t n = world->n, n_known = world->hosts[at].knows_fewer ? world->n_before : n, n_ports = 0;
    struct compile_host *hosts = calloc(n, sizeof(*hosts));
    struct compile_port *ports = calloc(n, sizeof(*ports));
    const struct network *network = &world->network;

    for (size_t i = 0; i < n; i++) {
        hosts[i].host = &world->hosts[i].model;
        hosts[i].slot = i == at ? 0 : (uint32_t)i + 1;
        hosts[i].path = (struct host_config){.ifindex = UNDERLAY_IFINDEX, .underlay_mtu = 1500, .flags = HOST_MAC_KNOWN};
        memcpy(hosts[i].path.next_hop, world->hosts[i].model.tunnel_address.bytes, 16);
        if (i < n_known)
            ports[n_ports++] = (struct compile_port){.port = &world->hosts[i].port, .slot = i == at, .ifindex = i == at ? 101 : 0};
    }
    struct snapshot snapshot = {
        .host_name = world->hosts[at].name, .networks = &network, .n_networks = 1, .ports = ports, .n_ports = n_ports, .hosts = hosts,
        .n_hosts = n, .tunnel_address = world->hosts[at].model.tunnel_address,
    };

    assert_int_equal(0, compile(&snapshot, ret));
    free(hosts);
    free(ports);
}

static void load(struct pipeline *pipeline, const struct world *world, const struct desired *desired)
{
    const uint32_t zero = 0;
    struct settings *settings = pipeline_lookup(pipeline, "settings", &zero);

    *settings = (struct settings){.tunnel_ifindex = TUNNEL_IFINDEX, .tunnel_port = TUNNEL_PORT, .hash_seed = 1,
                                  .flood_fan_out = (uint16_t)world->fan_out, .relay_rate = 100000, .relay_burst = 100000};
    for (int table = 0; table < N_DESIRED_TABLES; table++)
        for (size_t i = 0; i < desired->tables[table].n; i++) {
            const struct rows *rows = &desired->tables[table];
            uint8_t key[64], value[128];
            uint32_t slot;

            memcpy(key, rows_key(rows, i), rows->key_size);
            memcpy(value, rows_value(rows, i), rows->value_size);
            memcpy(&slot, key, sizeof(slot));
            if (table == TABLE_PORTS)
                memcpy(&((struct port_record *)pipeline_lookup(pipeline, "ports", &slot))->config[0], value, rows->value_size);
            else if (table == TABLE_HOSTS)
                memcpy(&((struct host_record *)pipeline_lookup(pipeline, "hosts", &slot))->config[0], value, rows->value_size);
            else if (table != TABLE_PROJECTS)
                assert_int_equal(0, pipeline_update(pipeline, desired_table_name(table), key, value));
        }
}

static void leave(struct world *world, size_t to, const struct pipeline_output *output, unsigned depth)
{
    struct arrival *arrival = malloc(sizeof(*arrival));

    *arrival = (struct arrival){.at = to, .bytes = malloc(output->size), .size = output->size, .depth = depth};
    memcpy(arrival->bytes, output->bytes, output->size);
    *world->last = arrival;
    world->last = &arrival->next;
}

/* Runs one frame at a host and hands on what leaves it. */
static void run(struct world *world, size_t at, enum pipeline_program program, const struct pipeline_frame *frame, unsigned depth)
{
    struct sim_host *host = &world->hosts[at];
    struct pipeline_result result;
    struct pipeline *pipeline;
    struct desired desired;

    desired_init(&desired);
    compile_host(world, at, &desired);
    assert_int_equal(0, pipeline_new(&(struct pipeline_sizes){4, (uint32_t)world->n + 2, 4, 16}, &pipeline));
    load(pipeline, world, &desired);
    assert_int_equal(0, pipeline_trace(pipeline, program, frame, &result));
    for (size_t i = 0; i < result.n_outputs; i++) {
        host->n_delivered += result.outputs[i].port_slot != 0;
        if (result.outputs[i].host_slot) {
            host->n_sent++;
            leave(world, result.outputs[i].host_slot - 1, &result.outputs[i], depth + 1);
        }
    }
    world->depth = MAX(world->depth, depth);
    pipeline_result_clear(&result);
    pipeline_free(pipeline);
    desired_clear(&desired);
}

static void broadcast(struct world *world, size_t from)
{
    struct frame frame;
    char text[100];

    snprintf(text, sizeof(text), "02:01:00:%02x:%02x:%02x>* ip 10.0.0.1>10.0.0.255 udp 1>2 +9", (unsigned)(from >> 16) & 255,
             (unsigned)(from >> 8) & 255, (unsigned)from & 255);
    frame_parse(text, &frame);
    run(world, from, PIPELINE_FROM_WORKLOAD, &(struct pipeline_frame){.bytes = frame.bytes, .size = frame.size, .ifindex = 101}, 0);
    while (world->first) {
        struct arrival *arrival = world->first;

        world->first = arrival->next;
        if (!world->first)
            world->last = &world->first;
        world->hosts[arrival->at].n_arrived++;
        if (world->hosts[arrival->at].n_arrived > 50)
            fail_msg("host %zu gets copies without end", arrival->at);
        run(world, arrival->at, PIPELINE_FROM_UNDERLAY,
            &(struct pipeline_frame){.bytes = arrival->bytes, .size = arrival->size, .ifindex = UNDERLAY_IFINDEX}, arrival->depth);
        free(arrival->bytes);
        free(arrival);
    }
}

static unsigned busiest(const struct world *world)
{
    unsigned most = 0;

    for (size_t i = 0; i < world->n; i++)
        most = MAX(most, world->hosts[i].n_sent);
    return most;
}

static unsigned count_collisions(const struct world *world, size_t from)
{
    struct desired desired;
    unsigned n = 0;

    desired_init(&desired);
    compile_host(world, from, &desired);
    for (struct flood_key key = {VNI, FLOOD_DIRECT}; rows_find(&desired.tables[TABLE_FLOOD], &key); key.index++)
        n++;
    desired_clear(&desired);
    return n;
}

static void every_host_gets_one_copy(void **state)
{
    static const struct {
        size_t n;
        uint32_t fan_out;
        unsigned depth; /* At most. */
    } worlds[] = {{2, 2, 1}, {3, 2, 1}, {4, 2, 2}, {7, 2, 2}, {8, 2, 3}, {40, 3, 3}, {120, 2, 6}, {273, 16, 2}, {200, 64, 2}};

    for (size_t w = 0; w < ARRAY_SIZE(worlds); w++) {
        size_t from = (size_t)rand() % worlds[w].n;
        struct world world;

        make_world(&world, worlds[w].n, worlds[w].fan_out);
        unsigned n_direct = count_collisions(&world, from);
        broadcast(&world, from);
        for (size_t i = 0; i < world.n; i++) {
            if (world.hosts[i].n_arrived != (i != from) || world.hosts[i].n_delivered != (i != from))
                fail_msg("%zu hosts, fan-out %u, from %zu: host %zu got %u copies, its port %u", world.n, world.fan_out, from, i,
                         world.hosts[i].n_arrived, world.hosts[i].n_delivered);
        }
        print_message("%zu hosts, fan-out %u: the busiest made %u copies, %u of them direct; %u levels\n", world.n, world.fan_out,
                      busiest(&world), n_direct, world.depth);
        assert_true(busiest(&world) <= world.fan_out + n_direct);
        assert_true(world.depth <= worlds[w].depth);
        free_world(&world);
    }
}

/* Hosts that are new in the network, which some relays know and others do not: nobody gets two, and who knows nobody newer than they all know gets one. */
static void stale_lists_make_no_second_copies(void **state)
{
    for (unsigned round = 0; round < 4; round++) {
        size_t n = 30 + (size_t)rand() % 40, from;
        struct world world;
        unsigned n_missed = 0;

        make_world(&world, n, 2 + (uint32_t)rand() % 4);
        world.n_before = n - 1 - (size_t)rand() % 8;
        for (size_t i = 0; i < world.n_before; i++)
            world.hosts[i].knows_fewer = rand() % 2;
        from = (size_t)rand() % world.n_before;
        if (count_collisions(&world, from)) { /* Those are the other rule's. */
            free_world(&world);
            continue;
        }
        broadcast(&world, from);
        for (size_t i = 0; i < n; i++) {
            if (world.hosts[i].n_arrived > 1 || (i == from && world.hosts[i].n_arrived))
                fail_msg("round %u: host %zu got %u copies", round, i, world.hosts[i].n_arrived);
            if (i < world.n_before && i != from && world.hosts[i].n_arrived != 1)
                fail_msg("round %u: host %zu is not new and got %u copies", round, i, world.hosts[i].n_arrived);
            n_missed += i >= world.n_before && !world.hosts[i].n_arrived;
        }
        print_message("%zu hosts, %zu of them new: %u of these missed it\n", n, n - world.n_before, n_missed);
        free_world(&world);
    }
}

/* Hosts that are down pass nothing on, and nobody is behind them. */
static void nobody_is_behind_a_host_that_is_down(void **state)
{
    struct world world;

    make_world(&world, 60, 2);
    for (size_t i = 1; i < world.n; i++)
        if (rand() % 4 == 0)
            world.hosts[i].model.state = HOST_STATE_DOWN;
    broadcast(&world, 0);
    for (size_t i = 1; i < world.n; i++) {
        assert_int_equal(world.hosts[i].n_arrived, 1); /* It may be alive, and cut off from the API only. */
        if (world.hosts[i].model.state == HOST_STATE_DOWN)
            assert_int_equal(world.hosts[i].n_sent, 0);
    }
    free_world(&world);
}

static struct ip_address other_address_with_key(uint32_t key)
{
    static uint32_t next = 0x0b000000;

    for (;;) {
        struct ip_address address = ip_from_v4(next++);

        if (compile_flood_key(&address) == key)
            return address;
    }
}

/* The sender's own key too: from the sender straight to all but one of each key. */
static void hosts_with_the_same_key_get_one_copy_each(void **state)
{
    for (size_t from = 0; from < 3; from++) {
        struct world world;

        make_world(&world, 40, 2);
        for (size_t i = 1; i < world.n; i += 3)
            world.hosts[i].model.tunnel_address = other_address_with_key(compile_flood_key(&world.hosts[i - 1].model.tunnel_address));
        assert_int_equal(count_collisions(&world, from), 13);
        broadcast(&world, from);
        for (size_t i = 0; i < world.n; i++)
            assert_int_equal(world.hosts[i].n_arrived, i != from);
        free_world(&world);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_host_gets_one_copy),
        cmocka_unit_test(stale_lists_make_no_second_copies),
        cmocka_unit_test(nobody_is_behind_a_host_that_is_down),
        cmocka_unit_test(hosts_with_the_same_key_get_one_copy_each),
    };
    unsigned seed = (unsigned)time(NULL);

    printf("seed %u\n", seed);
    srand(seed);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
