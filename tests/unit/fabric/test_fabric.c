/* The fabric as a whole, over simulated networks. */
#include "test.h"
#include "reference.h"

#include <errno.h>
#include <string.h>

#include "weft/base/util.h"
#include "weft/fabric/entries.h"
#include "weft/fabric/lldp.h"
#include "weft/fabric/slices.h"

/* A seed under which the first flow's hash is the published one, 2169503748. */
#define REFERENCE_SEED 946487445
#define GOLDEN "tests/golden/fabric"

/* ---- switching ---------------------------------------------------------------------------------------------------------------- */

static void links_and_hosts_are_found(void **state)
{
    for (int version = OF10; version <= OF13; version += OF13 - OF10) {
        struct reference r = reference_new(NULL, (enum of_version)version);
        struct fabric_counters c = counters(r.world);

        assert_int_equal(c.n_switches, 5);
        assert_int_equal(c.n_links, 7);
        assert_int_equal(c.n_hosts, 2);
        assert_int_equal(c.events[FABRIC_MESSAGE_MALFORMED] + c.events[FABRIC_SWITCH_ERROR], 0);
        world_free(r.world);
    }
}

static void a_known_address_is_answered_and_an_unknown_one_asked_everywhere_once(void **state)
{
    struct reference r = reference_new(NULL, OF13);
    struct ip_address nobody;

    host_send_arp(r.a, &r.b->ip);
    assert_int_equal(r.a->n_received, 1);
    assert_memory_equal(r.a->last + 22, r.b->mac.bytes, 6); /* ARP's sender. */
    assert_int_equal(r.b->n_received, 0);
    ip_parse("10.0.0.99", &nobody);
    host_send_arp(r.a, &nobody);
    assert_int_equal(r.b->n_broadcasts, 1);
    assert_int_equal(r.a->n_received, 1);
    world_free(r.world);
}

static void every_flow_arrives_once_and_flows_spread(void **state)
{
    for (int version = OF10; version <= OF13; version += OF13 - OF10) {
        struct reference r = reference_new(NULL, (enum of_version)version);
        uint64_t before[2], used[2];

        before[0] = r.e5->ports[1].sent;
        before[1] = r.e5->ports[2].sent;
        for (unsigned i = 0; i < 200; i++) {
            host_send_udp(r.a, r.b, (uint16_t)(1000 + i), 80); /* Straight to the end. */
            host_send_udp(r.a, r.b, (uint16_t)(1000 + i), 80); /* By the entries. */
        }
        assert_int_equal(r.b->n_received, 400);
        assert_int_equal(counters(r.world).flows_new, 200);
        used[0] = r.e5->ports[1].sent - before[0];
        used[1] = r.e5->ports[2].sent - before[1];
        assert_int_equal(used[0] + used[1], 200);
        assert_in_range(used[0], 60, 140);
        assert_int_equal(switch_n_flow_entries(r.e5), 200);
        assert_int_equal(switch_n_flow_entries(r.e3) + switch_n_flow_entries(r.e2), 200);
        world_free(r.world);
    }
}

static void ipv6_flows_arrive(void **state)
{
    for (int version = OF10; version <= OF13; version += OF13 - OF10) {
        struct reference r = reference_new(NULL, (enum of_version)version);

        ip_parse("fd00::1", &r.a->ip);
        ip_parse("fd00::2", &r.b->ip);
        for (unsigned i = 0; i < 20; i++) {
            host_send_udp(r.a, r.b, (uint16_t)(1000 + i), 80);
            host_send_udp(r.a, r.b, (uint16_t)(1000 + i), 80);
        }
        assert_int_equal(r.b->n_received, 40);
        assert_int_equal(counters(r.world).flows_new, version == OF10 ? 1 : 20);
        world_free(r.world);
    }
}

/* ---- the published trace --------------------------------------------------------------------------------------------------------- */

static void use_reference_mode(struct fabric_options *options)
{
    static const uint64_t order[] = {0xe3, 0xe1, 0xe4, 0xe2, 0xe5};

    options->mode = PATHS_REFERENCE;
    options->max_paths = 8;
    options->log_paths = true;
    options->order = order;
    options->n_order = ARRAY_SIZE(order);
    options->hash_seed = REFERENCE_SEED;
}

static void the_published_trace_comes_out_of_a_running_fabric(void **state)
{
    struct reference r = reference_new(use_reference_mode, OF13);
    FILE *file = fopen(GOLDEN "/ecmp-trace.txt", "r");
    char expected[4096];
    size_t size;

    assert_non_null(file);
    size = fread(expected, 1, sizeof(expected) - 1, file);
    expected[size] = 0;
    fclose(file);
    host_send_ports(r.a, r.b, 6, 40000, 5001);
    assert_string_equal(buffer_string(&r.world->path_lines), expected);
    world_free(r.world);
}

/* ---- failures ---------------------------------------------------------------------------------------------------------------------- */

static void send_all(struct reference *r, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        host_send_udp(r->a, r->b, (uint16_t)(1000 + i), 80);
}

static void a_cut_link_moves_its_flows_and_no_others(void **state)
{
    for (int version = OF10; version <= OF13; version += OF13 - OF10) {
        struct reference r = reference_new(NULL, (enum of_version)version);
        size_t over_e3;
        uint64_t packet_ins;

        send_all(&r, 100);
        over_e3 = switch_n_flow_entries(r.e3);
        r.b->n_received = 0;
        world_cut(r.e3, 4);
        world_run(r.world, 100);
        assert_int_equal(counters(r.world).flows_rerouted, over_e3);
        packet_ins = counters(r.world).packet_ins;
        send_all(&r, 100);
        assert_int_equal(r.b->n_received, 100);
        assert_int_equal(counters(r.world).packet_ins, packet_ins); /* The entries were there. */
        assert_int_equal(switch_n_flow_entries(r.e3), 0);            /* And the old ones are gone. */
        assert_int_equal(switch_n_flow_entries(r.e5), 100);
        world_free(r.world);
    }
}

static void a_link_that_falls_silent_is_noticed_within_a_second(void **state)
{
    struct reference r = reference_new(NULL, OF13);
    size_t over_e3;

    send_all(&r, 100);
    over_e3 = switch_n_flow_entries(r.e3);
    r.e4->ports[1].is_deaf = true; /* One direction only. */
    world_run(r.world, 1000);
    assert_int_equal(counters(r.world).flows_rerouted, over_e3);
    r.b->n_received = 0;
    send_all(&r, 100);
    assert_int_equal(r.b->n_received, 100);
    world_free(r.world);
}

static void a_dead_switch_is_routed_around(void **state)
{
    struct reference r = reference_new(NULL, OF13);

    send_all(&r, 100);
    r.e3->is_frozen = true;
    world_run(r.world, 1000);
    r.b->n_received = 0;
    send_all(&r, 100);
    assert_int_equal(r.b->n_received, 100);
    world_run(r.world, 5000);
    assert_true(channel_is_closed(r.e3->channel));
    r.e3->is_frozen = false;
    world_run(r.world, 100);
    world_connect(r.e3);
    world_settle(r.world);
    assert_int_equal(counters(r.world).n_links, 7);
    assert_int_equal(switch_n_flow_entries(r.e3), 0); /* What it held of old is not left. */
    r.b->n_received = 0;
    send_all(&r, 100);
    assert_int_equal(r.b->n_received, 100);
    world_free(r.world);
}

static void flows_without_a_way_are_removed_everywhere(void **state)
{
    struct reference r = reference_new(NULL, OF13);

    send_all(&r, 50);
    world_cut(r.e3, 4);
    world_cut(r.e2, 4);
    world_run(r.world, 200);
    assert_int_equal(counters(r.world).n_flows, 0);
    for (size_t i = 0; i < r.world->n_switches; i++)
        assert_int_equal(switch_n_flow_entries(r.world->switches[i]), 0);
    host_send_udp(r.a, r.b, 1, 1);
    assert_int_equal(counters(r.world).drops[FABRIC_DROP_NO_PATH], 1);
    world_mend(r.e3, 4);
    world_settle(r.world);
    r.b->n_received = 0;
    send_all(&r, 50);
    assert_int_equal(r.b->n_received, 50);
    world_free(r.world);
}

static void a_controller_that_dies_stops_no_flow_and_the_next_takes_them_over(void **state)
{
    for (int version = OF10; version <= OF13; version += OF13 - OF10) {
        struct reference r = reference_new(NULL, (enum of_version)version);
        size_t over_e3;

        send_all(&r, 100);
        over_e3 = switch_n_flow_entries(r.e3);
        r.b->n_received = 0;
        world_kill_controller(r.world);
        send_all(&r, 100);
        assert_int_equal(r.b->n_received, 100);
        world_restart_controller(r.world);
        send_all(&r, 100);
        assert_int_equal(r.b->n_received, 200);
        world_settle(r.world);
        world_run(r.world, 4000);
        assert_int_equal(counters(r.world).n_flows, 100);
        assert_int_equal(counters(r.world).flow_mods, (version == OF10 ? 2 : 5) * 5); /* The basic ones, nothing else. */
        /* It can move what it took over. */
        world_cut(r.e3, 4);
        world_run(r.world, 100);
        assert_int_equal(counters(r.world).flows_rerouted, over_e3);
        send_all(&r, 100);
        assert_int_equal(r.b->n_received, 300);
        world_free(r.world);
    }
}

/* It hears nothing while it stands by, of switches that tell a slave nothing: that does not make hosts of what is behind their links. */
static void one_that_stood_by_takes_no_link_for_a_host_when_it_takes_over(void **state)
{
    enum of_version versions[] = {OF10, OF13};

    for (size_t i = 0; i < ARRAY_SIZE(versions); i++) {
        struct world *world = world_new(NULL);
        struct sim_switch *switches[3];
        struct sim_host *a, *b;

        fabric_set_role(world->fabric, FABRIC_SLAVE, world->now_ms);
        for (int k = 0; k < 3; k++)
            switches[k] = world_switch(world, 0xe1 + (uint64_t)k, versions[i]);
        for (int k = 0; k < 3; k++)
            world_link(switches[k], 1, switches[(k + 1) % 3], 2);
        a = world_host(world, switches[0], 10, "02:00:00:00:00:0a", "10.0.0.1");
        b = world_host(world, switches[1], 10, "02:00:00:00:00:0b", "10.0.0.2");
        /* Left by the one before: what a sends goes over a link, and comes up behind it. */
        *switch_add_entry(switches[0]) = (struct sim_entry){
            .match = {.fields = OFM_IN_PORT, .in_port = 10}, .priority = 1000, .out_ports = {1}, .n_out = 1, .goto_table = OF_NO_TABLE};
        world_connect_all(world);
        world_settle(world);
        fabric_set_role(world->fabric, FABRIC_MASTER, world->now_ms);
        world_run(world, 0);
        host_send_udp(a, b, 1, 2); /* Before any discovery frame came back. */
        world_settle(world);
        switches[0]->entries[0].match.in_port = 60; /* Gone. */
        world_settle(world);
        assert_int_equal(counters(world).n_links, 3);
        assert_int_equal(world->n_events[FABRIC_LLDP_ON_HOST_PORT], 0);
        b->n_broadcasts = 0;
        host_send_arp(a, &b->ip);
        assert_int_equal(b->n_broadcasts, 1);
        world_free(world);
    }
}

/* The switch obeys another controller now, and tells what it is sent that we are a slave. */
static void demote(struct sim_switch *at)
{
    at->role = OFPCR_SLAVE;
    at->generation_id++;
    switch_say(at, &(struct of_message){.kind = OF_ERROR, .error = {.type = 1, .code = 10}}); /* BAD_REQUEST, IS_SLAVE. */
}

static void a_role_that_was_lost_is_asked_for_again(void **state)
{
    struct reference r = reference_new(NULL, OF13);
    unsigned n_regained = 0;

    fabric_set_role(r.world->fabric, FABRIC_MASTER, r.world->now_ms);
    world_run(r.world, 100);
    assert_int_equal(r.e5->role, OFPCR_MASTER);
    demote(r.e5); /* Another was master while this one was thought dead. */
    world_run(r.world, 100);
    assert_int_equal(r.e5->role, OFPCR_MASTER);
    assert_int_equal(datapath_find(r.world->fabric, 0xe5)->role, FABRIC_MASTER);
    assert_true(datapath_find(r.world->fabric, 0xe5)->is_role_known);
    /* Another that never yields is not fought with: one change in two seconds, then fewer. */
    world_run(r.world, 60000);
    for (unsigned i = 0; i < 600; i++) {
        demote(r.e5);
        world_run(r.world, 100);
        n_regained += r.e5->role == OFPCR_MASTER;
    }
    assert_in_range(n_regained, 3, 8);
    /* Nor is one that stands by itself: it takes the switch's word. */
    fabric_set_role(r.world->fabric, FABRIC_SLAVE, r.world->now_ms);
    world_run(r.world, 40000);
    demote(r.e5);
    world_run(r.world, 1000);
    assert_int_equal(r.e5->role, OFPCR_SLAVE);
    world_free(r.world);
}

static void what_was_known_before_standing_by_is_not_written_over_the_others_work(void **state)
{
    struct reference r = reference_new(NULL, OF13);
    struct fabric *fabric = r.world->fabric;

    fabric_set_role(fabric, FABRIC_MASTER, r.world->now_ms);
    world_run(r.world, 100);
    for (unsigned i = 0; i < 20; i++)
        host_send_udp(r.a, r.b, (uint16_t)(1000 + i), 80);
    assert_int_equal(counters(r.world).n_flows, 20);
    fabric_set_role(fabric, FABRIC_SLAVE, r.world->now_ms);
    world_run(r.world, 100);
    assert_int_equal(counters(r.world).n_flows, 0);
    assert_true(switch_n_flow_entries(r.e5) == 20); /* The switches keep theirs. */
    world_cut(r.e5, 1);
    world_run(r.world, 2000);
    fabric_set_role(fabric, FABRIC_MASTER, r.world->now_ms);
    world_run(r.world, 5000);
    RING_FOREACH(element, &fabric->flows_by_age) {
        const struct fabric_path *path = CONTAINER_OF(element, struct flow, of_age)->path;

        assert_false(path->is_dead);
    }
    for (size_t i = 0; i < r.e5->n_entries; i++)
        if (r.e5->entries[i].priority == 1000)
            assert_int_not_equal(r.e5->entries[i].out_ports[0], 1);
    /* What took the other way went on all the while and is known again; the rest is found a way anew. */
    for (unsigned round = 0; round < 2; round++) {
        r.b->n_received = 0;
        for (unsigned i = 0; i < 20; i++)
            host_send_udp(r.a, r.b, (uint16_t)(1000 + i), 80);
        assert_int_equal(r.b->n_received, 20);
        world_run(r.world, 3000);
    }
    assert_int_equal(counters(r.world).n_flows, 20);
    world_free(r.world);
}

static void a_weight_moves_flows_before_a_link_is_taken_away(void **state)
{
    struct reference r = reference_new(NULL, OF13);

    send_all(&r, 100);
    assert_int_equal(fabric_set_weight(r.world->fabric, 0xe5, 1, 10), 0);
    world_run(r.world, 100);
    assert_int_equal(switch_n_flow_entries(r.e3), 0);
    r.b->n_received = 0;
    send_all(&r, 100);
    assert_int_equal(r.b->n_received, 100);
    assert_int_equal(fabric_set_weight(r.world->fabric, 0xe5, 99, 10), -ENOENT);
    assert_int_equal(fabric_set_weight(r.world->fabric, 0xe5, 1, 0), -ERANGE);
    world_free(r.world);
}

/* ---- hosts ---------------------------------------------------------------------------------------------------------------------------- */

static void a_host_that_moves_keeps_its_flows(void **state)
{
    struct reference r = reference_new(NULL, OF13);

    r.e1->ports[10] = (struct sim_port){.exists = true, .is_up = true};
    world_disconnect(r.e1);
    world_connect(r.e1);
    world_settle(r.world);
    send_all(&r, 20);
    world_move_host(r.b, r.e1, 10);
    host_send_arp(r.b, &r.b->ip);
    world_run(r.world, 600); /* Its old port is asked first. */
    assert_int_equal(counters(r.world).events[FABRIC_HOST_MOVED], 1);
    r.b->n_received = 0;
    send_all(&r, 20);
    assert_int_equal(r.b->n_received, 20);
    assert_int_equal(switch_n_flow_entries(r.e4), 0);
    world_free(r.world);
}

static void a_second_host_with_one_mac_is_not_believed(void **state)
{
    struct reference r = reference_new(NULL, OF13);
    struct sim_host *thief = world_host(r.world, r.e1, 10, "02:00:00:00:00:0b", "10.0.0.2");

    world_disconnect(r.e1);
    world_connect(r.e1);
    world_settle(r.world);
    host_send_arp(thief, &thief->ip);
    assert_true(r.b->n_received > 0); /* The owner is asked, and answers. */
    world_run(r.world, 1000);
    assert_int_equal(counters(r.world).events[FABRIC_HOST_MOVED], 0);
    assert_true(counters(r.world).events[FABRIC_HOST_DUPLICATE] > 0);
    r.b->n_received = 0;
    send_all(&r, 10);
    assert_int_equal(r.b->n_received, 10);
    world_free(r.world);
}

static void silent_hosts_are_asked_and_forgotten(void **state)
{
    struct reference r = reference_new(NULL, OF13);

    r.a->at->ports[10].is_deaf = r.b->at->ports[10].is_deaf = true;
    world_run(r.world, r.world->options.host_age_ms - 5000);
    r.b->n_received = 0;
    world_run(r.world, 6000);
    assert_true(r.b->n_received > 0);
    world_run(r.world, 10000);
    assert_int_equal(counters(r.world).n_hosts, 0);
    world_free(r.world);
}

static void few_hosts_a_port(struct fabric_options *options)
{
    options->max_hosts_port = 10;
    options->max_flows = 50;
}

static void hosts_and_flows_have_limits(void **state)
{
    struct reference r = reference_new(few_hosts_a_port, OF13);
    struct mac_address mac = r.a->mac;

    for (unsigned i = 0; i < 100; i++) {
        r.a->mac.bytes[3] = 1;
        r.a->mac.bytes[4] = (uint8_t)i;
        host_send_arp(r.a, &r.b->ip);
    }
    r.a->mac = mac;
    assert_int_equal(counters(r.world).n_hosts, 11);
    assert_int_equal(counters(r.world).events[FABRIC_HOST_LIMIT], 91);
    send_all(&r, 100);
    assert_int_equal(counters(r.world).n_flows, 6); /* A port's share. */
    assert_int_equal(r.b->n_received, 6);
    assert_int_equal(counters(r.world).drops[FABRIC_DROP_FLOW_BUDGET], 94);
    world_free(r.world);
}

/* ---- slices ----------------------------------------------------------------------------------------------------------------------------- */

static void slices_keep_hosts_apart(void **state)
{
    struct reference r = reference_new(NULL, OF13);
    struct slice_binding a = {.has_port = true, .datapath_id = 0xe5, .port = 10}, b = {.has_mac = true, .mac = r.b->mac};
    struct error error = {0};

    send_all(&r, 10);
    assert_int_equal(slices_set(r.world->fabric->slices, "red", &a, 1, &error), 0);
    assert_int_equal(slices_set(r.world->fabric->slices, "blue", &b, 1, &error), 0);
    fabric_slices_changed(r.world->fabric);
    world_run(r.world, 50);
    assert_int_equal(counters(r.world).n_flows, 0);
    assert_int_equal(switch_n_flow_entries(r.e5), 0);
    r.a->n_received = r.b->n_received = 0;
    send_all(&r, 10);
    host_send_arp(r.a, &r.b->ip);
    assert_int_equal(r.a->n_received + r.b->n_received, 0);
    /* Together again. */
    assert_int_equal(slices_set(r.world->fabric->slices, "red", (struct slice_binding[]){a, b}, 2, &error), -EEXIST);
    assert_int_equal(slices_remove(r.world->fabric->slices, "blue"), 0);
    assert_int_equal(slices_set(r.world->fabric->slices, "red", (struct slice_binding[]){a, b}, 2, &error), 0);
    fabric_slices_changed(r.world->fabric);
    send_all(&r, 10);
    assert_int_equal(r.b->n_received, 10);
    /* In none: denied, and the switch is told so. */
    assert_int_equal(slices_set(r.world->fabric->slices, "red", &b, 1, &error), 0);
    fabric_slices_changed(r.world->fabric);
    send_all(&r, 10);
    assert_int_equal(r.b->n_received, 10);
    assert_int_equal(counters(r.world).events[FABRIC_SLICE_DENIED], 1);
    world_free(r.world);
}

/* ---- hostile ------------------------------------------------------------------------------------------------------------------------------ */

static void forged_and_relayed_discovery_makes_no_link(void **state)
{
    struct reference r = reference_new(NULL, OF13);
    struct lldp lldp = {r.world->options.controller_id, 0xe1, r.world->now_ms, 1};
    uint8_t frame[LLDP_FRAME_MAX], key[16] = {0};
    size_t size = lldp_format(&lldp, &r.a->mac, key, frame);

    host_send(r.a, frame, size);
    assert_int_equal(counters(r.world).events[FABRIC_LLDP_FORGED], 1);
    /* A true one, relayed from elsewhere by a host. */
    size = lldp_format(&lldp, &r.a->mac, r.world->options.lldp_key, frame);
    host_send(r.a, frame, size);
    assert_int_equal(counters(r.world).events[FABRIC_LLDP_ON_HOST_PORT], 1);
    /* And an old one. */
    world_run(r.world, 2000);
    host_send(r.a, frame, size);
    assert_int_equal(counters(r.world).events[FABRIC_LLDP_FORGED], 2);
    assert_int_equal(counters(r.world).n_links, 7);
    world_free(r.world);
}

static void two_switches_of_one_id(void **state)
{
    struct reference r = reference_new(NULL, OF13);
    struct sim_switch *second = world_switch(r.world, 0xe3, OF13);

    world_connect(second);
    world_run(r.world, 3000);
    assert_null(second->channel);
    assert_non_null(r.e3->channel);
    assert_int_equal(counters(r.world).events[FABRIC_SWITCH_DUPLICATE], 1);
    assert_int_equal(counters(r.world).n_links, 7);
    /* The same switch again, while its first connection hangs: the new one wins. */
    r.e3->is_frozen = true;
    world_connect(second);
    world_run(r.world, 2000);
    assert_non_null(second->channel);
    assert_true(channel_is_closed(r.e3->channel));
    world_free(r.world);
}

static void a_connection_that_becomes_no_switch_is_ended_in_time(void **state)
{
    struct world *world = world_new(NULL);
    struct channel *silent, *slow;
    const uint8_t half[] = {4, 0, 0xff, 0xff, 0, 0, 0, 1, 0};

    assert_int_equal(fabric_connect(world->fabric, "silent", world->now_ms, &silent), 0);
    world_run(world, 1000);
    assert_int_equal(fabric_connect(world->fabric, "slow", world->now_ms, &slow), 0);
    fabric_receive(world->fabric, slow, half, sizeof(half), world->now_ms);
    world_run(world, world->options.handshake_ms - 1100);
    assert_false(channel_is_closed(silent));
    world_run(world, 200);
    assert_true(channel_is_closed(silent));
    assert_false(channel_is_closed(slow));
    world_run(world, 1000);
    assert_true(channel_is_closed(slow));
    assert_int_equal(counters(world).events[FABRIC_HANDSHAKE_FAILED], 2);
    fabric_disconnect(world->fabric, slow, world->now_ms);
    fabric_disconnect(world->fabric, silent, world->now_ms);
    world_free(world);
}

static void a_controller_that_was_stopped_loses_no_switch(void **state)
{
    struct reference r = reference_new(NULL, OF13);

    for (unsigned i = 0; i < 3; i++) {
        r.world->now_ms += r.world->options.dead_ms + 500 * i;
        fabric_tick(r.world->fabric, r.world->now_ms); /* Before anything is read. */
        world_run(r.world, 700);
        assert_int_equal(counters(r.world).n_switches, 5);
    }
    assert_int_equal(counters(r.world).events[FABRIC_ECHO_TIMEOUT], 0);
    world_free(r.world);
}

static void a_switch_that_reconnects_in_a_loop_waits(void **state)
{
    struct reference r = reference_new(NULL, OF13);

    for (unsigned i = 0; i < 8; i++) {
        world_disconnect(r.e1);
        world_run(r.world, 100);
        world_connect(r.e1);
    }
    assert_true(counters(r.world).events[FABRIC_SWITCH_FLAPPING] > 0);
    assert_int_equal(counters(r.world).n_switches, 4);
    world_run(r.world, 8000);
    assert_int_equal(counters(r.world).n_switches, 5);
    world_free(r.world);
}

static void small_output(struct fabric_options *options)
{
    options->output_max = 100000;
}

static void a_switch_that_does_not_read_is_given_up_alone(void **state)
{
    struct reference r = reference_new(small_output, OF13);
    uint8_t arp[64] = {0};

    r.e4->is_frozen = true;
    memset(arp, 0xff, 6);
    memcpy(arp + 6, r.a->mac.bytes, 6);
    arp[12] = 0x12; /* Some broadcast. */
    for (unsigned i = 0; i < 1500; i++)
        host_send(r.a, arp, sizeof(arp));
    assert_true(channel_output(r.e4->channel)->size <= 100000);
    for (unsigned i = 0; i < 3000; i++)
        host_send_udp(r.a, r.b, (uint16_t)i, 9);
    assert_true(channel_is_closed(r.e4->channel));
    assert_int_equal(counters(r.world).events[FABRIC_OUTPUT_OVERFLOW], 1);
    assert_false(channel_is_closed(r.e5->channel));
    world_free(r.world);
}

static void lies_and_noise_change_nothing(void **state)
{
    struct reference r = reference_new(NULL, OF13);
    struct of_message lie = {.kind = OF_PACKET_IN};
    uint8_t noise[64];

    lie.packet_in = (struct of_packet_in){.buffer_id = OF_NO_BUFFER, .in_port = 60, .match = {.fields = OFM_IN_PORT, .in_port = 60},
                                          .data = {noise, sizeof(noise)}};
    memset(noise, 2, sizeof(noise));
    switch_say(r.e1, &lie); /* Of a port that it does not have. */
    lie.packet_in.in_port = lie.packet_in.match.in_port = 1;
    lie.packet_in.data.size = 5;
    switch_say(r.e1, &lie); /* Cut. */
    lie = (struct of_message){.kind = OF_BARRIER_REPLY, .xid = 12345};
    switch_say(r.e1, &lie);
    lie = (struct of_message){.kind = OF_ROLE_REPLY, .role = {OFPCR_SLAVE, 1}};
    switch_say(r.e1, &lie);
    fabric_receive(r.world->fabric, r.e1->channel, "\x04\x0a\x00\x10\x00\x00\x00\x01\xff\xff\xff\xff\xff\xff\xff\xff", 16, r.world->now_ms);
    assert_int_equal(counters(r.world).events[FABRIC_MESSAGE_MALFORMED], 1);
    assert_int_equal(counters(r.world).drops[FABRIC_DROP_UNKNOWN_PORT], 1);
    assert_int_equal(counters(r.world).drops[FABRIC_DROP_MALFORMED], 1);
    for (unsigned i = 0; i < 200; i++)
        if (!channel_is_closed(r.e1->channel))
            fabric_receive(r.world->fabric, r.e1->channel, "\x04\x0a\x00\x10\x00\x00\x00\x01\xff\xff\xff\xff\xff\xff\xff\xff", 16, r.world->now_ms);
    assert_true(channel_is_closed(r.e1->channel));
    world_run(r.world, 100);
    assert_int_equal(counters(r.world).n_switches, 4);
    send_all(&r, 20);
    assert_int_equal(r.b->n_received, 20);
    world_free(r.world);
}

/* ---- proactive ---------------------------------------------------------------------------------------------------------------------------- */

static void be_proactive(struct fabric_options *options)
{
    options->install = FABRIC_PROACTIVE;
}

static void proactive_entries_carry_flows_without_the_controller(void **state)
{
    struct reference r = reference_new(be_proactive, OF13);
    uint64_t packet_ins, over_e3;

    world_run(r.world, 1000);
    packet_ins = counters(r.world).packet_ins;
    over_e3 = r.e5->ports[1].sent;
    r.b->n_received = r.a->n_received = 0;
    for (unsigned i = 0; i < 200; i++)
        host_send_ports(r.a, r.b, 6, (uint16_t)(1000 + i), 80);
    host_send_udp(r.b, r.a, 1, 2);
    assert_int_equal(r.b->n_received, 200);
    assert_int_equal(r.a->n_received, 1);
    assert_int_equal(counters(r.world).packet_ins, packet_ins);
    assert_in_range(r.e5->ports[1].sent - over_e3, 60, 140);
    /* The switch itself leaves a dead link out, and the controller makes good what is behind it. */
    world_cut(r.e5, 1);
    world_run(r.world, 100);
    send_all(&r, 100);
    assert_int_equal(r.b->n_received, 300);
    world_cut(r.e2, 4);
    world_run(r.world, 100);
    send_all(&r, 100); /* e5 e2 e3 e4 */
    assert_int_equal(r.b->n_received, 400);
    assert_int_equal(counters(r.world).n_flows, 0);
    world_free(r.world);
}

static void proactive_entries_outlive_the_controller(void **state)
{
    struct reference r = reference_new(be_proactive, OF13);

    world_run(r.world, 1000);
    world_kill_controller(r.world);
    r.b->n_received = 0;
    send_all(&r, 100);
    assert_int_equal(r.b->n_received, 100);
    world_restart_controller(r.world);
    for (unsigned i = 0; i < 30; i++) {
        world_run(r.world, 100);
        host_send_udp(r.a, r.b, 5, 6);
    }
    assert_int_equal(r.b->n_received, 130);
    assert_int_equal(counters(r.world).n_hosts, 2);
    world_cut(r.e5, 1);
    world_run(r.world, 100);
    send_all(&r, 100);
    assert_int_equal(r.b->n_received, 230);
    world_free(r.world);
}

static void proactive_entries_keep_slices_apart(void **state)
{
    struct reference r = reference_new(be_proactive, OF13);
    struct slice_binding a = {.has_port = true, .datapath_id = 0xe5, .port = 10}, b = {.has_mac = true, .mac = r.b->mac};
    struct error error = {0};

    world_run(r.world, 1000);
    assert_int_equal(slices_set(r.world->fabric->slices, "red", &a, 1, &error), 0);
    assert_int_equal(slices_set(r.world->fabric->slices, "blue", &b, 1, &error), 0);
    fabric_slices_changed(r.world->fabric);
    world_run(r.world, 100);
    r.a->n_received = r.b->n_received = 0;
    send_all(&r, 10);
    assert_int_equal(r.b->n_received, 0);
    assert_int_equal(slices_remove(r.world->fabric->slices, "blue"), 0);
    assert_int_equal(slices_set(r.world->fabric->slices, "red", (struct slice_binding[]){a, b}, 2, &error), 0);
    fabric_slices_changed(r.world->fabric);
    world_run(r.world, 100);
    send_all(&r, 10);
    assert_int_equal(r.b->n_received, 10);
    world_free(r.world);
}

/* Asks by unicast, as hosts do from time to time; returns whether the answer came. */
static bool hears(struct sim_host *asking, struct sim_host *asked, const struct mac_address *sender_mac, const struct ip_address *sender)
{
    uint64_t received = asking->n_received;

    host_ask_as(asking, &asked->mac, &asked->ip, sender_mac, sender);
    return asking->n_received > received;
}

/* A neighbour solicitation, or an advertisement of 'address', whose link-layer address option has 'option' (NULL: there is none). */
static bool passes_nd(struct sim_host *from, struct sim_host *to, uint8_t type, const char *source, const char *target, const struct mac_address *option)
{
    uint64_t received = to->n_received;
    uint8_t frame[128];
    struct writer writer = writer_of(frame, sizeof(frame));
    const uint8_t header[] = {0x60, 0, 0, 0, 0, option ? 32 : 24, 58, 255}, rest[] = {type, 0, 0, 0, 0, 0, 0, 0};
    struct ip_address addresses[2];

    assert_int_equal(ip_parse(source, &addresses[0]) + ip_parse(target, &addresses[1]), 0);
    writer_bytes(&writer, to->mac.bytes, 6);
    writer_bytes(&writer, from->mac.bytes, 6);
    writer_u16(&writer, ETHERTYPE_IPV6);
    writer_bytes(&writer, header, sizeof(header));
    writer_bytes(&writer, addresses[0].bytes, 16);
    writer_bytes(&writer, addresses[1].bytes, 16);
    writer_bytes(&writer, rest, sizeof(rest));
    writer_bytes(&writer, addresses[type == 135].bytes, 16);
    if (option) {
        writer_u8(&writer, type == 135 ? 1 : 2);
        writer_u8(&writer, 1);
        writer_bytes(&writer, option->bytes, 6);
    }
    host_send(from, frame, writer.size);
    return to->n_received > received;
}

static void hosts_ask_each_other_without_the_controller(void **state)
{
    struct reference r = reference_new(be_proactive, OF13);
    struct mac_address other = {{2, 0, 0, 0, 0, 9}};
    struct ip_address unknown;

    assert_int_equal(ip_parse("10.0.0.9", &unknown), 0);
    world_run(r.world, 1000);
    passes_nd(r.a, r.b, 135, "fe80::1", "fd00::2", &r.a->mac); /* The controller learns the address. */
    for (unsigned life = 0; life < 2; life++) {
        uint64_t packet_ins = counters(r.world).packet_ins;

        /* As long as it is there they do without it, too. */
        assert_true(hears(r.a, r.b, &r.a->mac, &r.a->ip));
        assert_true(hears(r.b, r.a, &r.b->mac, &r.b->ip));
        assert_int_equal(counters(r.world).packet_ins, packet_ins);
        /* What is not known to be true comes to it: another's address, whose owner it asks, and another MAC. */
        assert_false(hears(r.a, r.b, &r.a->mac, &r.b->ip));
        assert_int_equal(counters(r.world).packet_ins, packet_ins + 2);
        assert_false(hears(r.a, r.b, &other, &r.a->ip));
        assert_int_equal(counters(r.world).packet_ins, packet_ins + 3);
        world_kill_controller(r.world);
        assert_true(hears(r.a, r.b, &r.a->mac, &r.a->ip));
        assert_true(hears(r.b, r.a, &r.b->mac, &r.b->ip));
        assert_false(hears(r.a, r.b, &r.a->mac, &unknown));
        assert_true(passes_nd(r.a, r.b, 135, "fe80::1", "fd00::2", &r.a->mac));
        assert_true(passes_nd(r.a, r.b, 136, "fe80::1", "fd00::2", &r.a->mac));
        assert_true(passes_nd(r.a, r.b, 136, "fe80::1", "fd00::2", NULL));
        assert_false(passes_nd(r.a, r.b, 135, "fe80::1", "fd00::2", &other));
        assert_false(passes_nd(r.a, r.b, 136, "fe80::1", "fd00::2", &other));
        assert_false(passes_nd(r.a, r.b, 135, "fe80::2", "fd00::2", &r.a->mac));
        assert_false(passes_nd(r.a, r.b, 136, "fe80::2", "fd00::2", &r.a->mac));
        /* The next one believes what it finds, and keeps it. */
        world_restart_controller(r.world);
        world_run(r.world, 3000);
    }
    world_free(r.world);
}

/* Who loses an address, its place or its slice loses the entries of it. */
static void addresses_that_go_are_not_carried(void **state)
{
    struct reference r = reference_new(be_proactive, OF13);
    struct slice_binding a = {.has_mac = true, .mac = r.a->mac}, b = {.has_mac = true, .mac = r.b->mac};
    struct sim_host *c = world_host(r.world, r.e4, 12, "02:00:00:00:00:0c", "10.0.0.12");
    struct error error = {0};
    uint64_t packet_ins;

    c->at->ports[12].is_up = false;
    world_mend(r.e4, 12);
    world_settle(r.world);
    host_send_arp(c, &r.a->ip);
    world_run(r.world, 100);
    assert_true(hears(c, r.a, &c->mac, &c->ip));
    /* The address is another's now: its owner is asked, and is silent. */
    world_move_host(r.b, r.e5, 13);
    c->ip = r.b->ip;
    host_send_arp(c, &r.a->ip);
    world_run(r.world, 2 * HOST_MOVE_PROBE_MS);
    assert_true(hears(c, r.a, &c->mac, &c->ip));
    packet_ins = counters(r.world).packet_ins;
    assert_true(hears(c, r.a, &c->mac, &c->ip));
    assert_int_equal(counters(r.world).packet_ins, packet_ins);
    /* Slices: kept apart, and together again. */
    assert_int_equal(slices_set(r.world->fabric->slices, "red", &a, 1, &error), 0);
    fabric_slices_changed(r.world->fabric);
    world_run(r.world, 100);
    assert_false(hears(c, r.a, &c->mac, &c->ip));
    b.mac = c->mac;
    assert_int_equal(slices_set(r.world->fabric->slices, "red", (struct slice_binding[]){a, b}, 2, &error), 0);
    fabric_slices_changed(r.world->fabric);
    world_run(r.world, 100);
    assert_true(hears(c, r.a, &c->mac, &c->ip));
    packet_ins = counters(r.world).packet_ins;
    assert_true(hears(c, r.a, &c->mac, &c->ip));
    assert_int_equal(counters(r.world).packet_ins, packet_ins);
    /* Gone: nothing of it is left. */
    world_cut(r.e4, 12);
    world_run(r.world, 100);
    for (size_t i = 0; i < r.e4->n_entries; i++)
        assert_false(r.e4->entries[i].match.fields & OFM_ETH_SRC && mac_equal(&r.e4->entries[i].match.eth_src, &c->mac));
    world_free(r.world);
}

static void a_switch_whose_connection_ends_is_reached_all_the_same(void **state)
{
    struct reference r = reference_new(be_proactive, OF13);

    world_run(r.world, 1000);
    world_disconnect(r.e4);
    world_run(r.world, 2000);
    r.b->n_received = 0;
    r.a->n_received = 0;
    send_all(&r, 20);
    for (unsigned i = 0; i < 20; i++)
        host_send_udp(r.b, r.a, (uint16_t)(1000 + i), 80);
    assert_int_equal(r.b->n_received, 20);
    assert_int_equal(r.a->n_received, 20);
    assert_int_equal(counters(r.world).n_hosts, 2); /* Nobody at a link's end. */
    world_connect(r.e4);
    for (unsigned i = 0; i < 40; i++) {
        world_run(r.world, 100);
        host_send_udp(r.a, r.b, 5, 6);
        host_send_udp(r.b, r.a, 5, 6);
    }
    assert_int_equal(r.b->n_received, 60);
    assert_int_equal(r.a->n_received, 60);
    world_disconnect(r.e4); /* One of its two links goes meanwhile, which only the other end can tell. */
    world_run(r.world, 1000);
    world_cut(r.e4, 1);
    world_run(r.world, 1000);
    send_all(&r, 20);
    assert_int_equal(r.b->n_received, 80);
    world_free(r.world);
}

/* Each tries again after a time of its own: seconds. */
static void switches_come_back_to_another_controller_one_by_one(void **state)
{
    struct reference r = reference_new(be_proactive, OF13);

    world_run(r.world, 1000);
    for (unsigned late = 0; late < 5; late++) {
        struct error error = {0};

        world_kill_controller(r.world);
        assert_int_equal(fabric_new(&r.world->options, r.world->now_ms, &r.world->fabric, &error), 0);
        for (size_t i = 0; i < r.world->n_switches; i++)
            if (i != late)
                world_connect(r.world->switches[i]);
        r.a->n_received = r.b->n_received = 0;
        for (unsigned i = 0; i < 80; i++) {
            if (i == 40)
                world_connect(r.world->switches[late]);
            world_run(r.world, 100);
            host_send_udp(r.a, r.b, 5, 6);
            host_send_udp(r.b, r.a, 5, 6);
        }
        assert_int_equal(r.a->n_received, 80);
        assert_int_equal(r.b->n_received, 80);
    }
    world_free(r.world);
}

static void groups_of_others_are_left_alone(void **state)
{
    struct world *world = world_new(be_proactive);
    struct sim_switch *s1 = world_switch(world, 1, OF13), *s2 = world_switch(world, 2, OF13);
    struct sim_entry *entry = switch_add_entry(s1);

    world_link(s1, 1, s2, 1);
    entry->table = 9;
    entry->cookie = 4711;
    entry->group = 4711;
    s1->groups[0] = (struct sim_group){.id = 4711, .type = OFPGT_SELECT};
    s1->groups[1] = (struct sim_group){.id = 0xe0000077, .type = OFPGT_SELECT}; /* Ours, of a switch that is no more. */
    s1->n_groups = 2;
    world_connect_all(world);
    world_run(world, 5000);
    assert_int_equal(s1->n_groups, 3); /* It may still come. */
    world_run(world, 20000);
    assert_int_equal(s1->n_groups, 2);
    for (size_t i = 0; i < s1->n_groups; i++)
        assert_true(s1->groups[i].id == 4711 || s1->groups[i].id == 0xe0000002);
    for (size_t i = 0; i < s1->n_entries && entry; i++)
        if (s1->entries[i].cookie == 4711)
            entry = NULL;
    assert_null(entry);
    world_free(world);
}

/* Ids whose numbers are one: the second's hosts are reached all the same, and never the first one's in their place. */
static void switches_with_one_number_are_told_apart(void **state)
{
    struct world *world = world_new(be_proactive);
    struct sim_switch *first = world_switch(world, 0x00003a5c1d2e4f40, OF13), *second = world_switch(world, 0x0000aa0004c6bafc, OF13);
    struct sim_switch *middle = world_switch(world, 3, OF13);
    struct sim_host *a, *b, *c;

    world_link(middle, 1, first, 1);
    world_link(middle, 2, second, 1);
    a = world_host(world, middle, 10, "02:00:00:00:00:0a", "10.0.0.1");
    b = world_host(world, first, 10, "02:00:00:00:00:0b", "10.0.0.2");
    c = world_host(world, second, 10, "02:00:00:00:00:0c", "10.0.0.3");
    world_connect_all(world);
    world_run(world, 5000);
    assert_int_equal(world->n_events[FABRIC_SWITCH_NUMBER], 1);
    host_send_arp(a, &b->ip);
    host_send_arp(b, &c->ip);
    host_send_arp(c, &a->ip);
    world_run(world, 1000);
    a->n_received = b->n_received = c->n_received = 0;
    for (unsigned i = 0; i < 20; i++) {
        host_send_udp(a, b, (uint16_t)i, 80);
        host_send_udp(a, c, (uint16_t)i, 80);
        host_send_udp(b, c, (uint16_t)i, 80);
        host_send_udp(c, a, (uint16_t)i, 80);
    }
    assert_int_equal(a->n_received, 20);
    assert_int_equal(b->n_received, 20);
    assert_int_equal(c->n_received, 40);
    assert_int_equal(middle->n_groups + first->n_groups + second->n_groups, 4);
    world_free(world);
}

static bool is_admitted_as_link(const struct sim_switch *at, uint32_t port)
{
    for (size_t i = 0; i < at->n_entries; i++)
        if (entry_kind_of(at->entries[i].cookie) == ENTRY_PROACTIVE && at->entries[i].table == 0 &&
            at->entries[i].match.fields == OFM_IN_PORT && at->entries[i].match.in_port == port)
            return true;
    return false;
}

static void half_a_link_admits_nothing(void **state)
{
    struct world *world = world_new(be_proactive);
    struct sim_switch *s1 = world_switch(world, 1, OF13), *s2 = world_switch(world, 2, OF13);
    unsigned n_heard = 0;

    world_link(s1, 1, s2, 1);
    s1->ports[1].is_deaf = true;
    world_connect_all(world);
    for (unsigned i = 0; i < 60; i++) {
        world_run(world, 50);
        n_heard += datapath_port(datapath_find(world->fabric, 2), 1)->kind == PORT_LINK;
        assert_false(is_admitted_as_link(s2, 1));
    }
    assert_true(n_heard > 0);
    s1->ports[1].is_deaf = false;
    world_run(world, 5000);
    assert_true(is_admitted_as_link(s1, 1));
    assert_true(is_admitted_as_link(s2, 1));
    s1->ports[1].is_deaf = true;
    world_run(world, 3000);
    assert_false(is_admitted_as_link(s1, 1));
    assert_false(is_admitted_as_link(s2, 1));
    world_free(world);
}

static void be_narrow(struct fabric_options *options)
{
    options->install = FABRIC_PROACTIVE;
    options->output_max = 128u << 10;
}

/* Many times what may wait for a switch: written as fast as it reads, and hosts that come or go meanwhile are not missed. */
static void more_hosts_than_may_wait_are_written_in_steps(void **state)
{
    struct world *world = world_new(be_narrow);
    struct sim_switch *s1 = world_switch(world, 1, OF13), *s2 = world_switch(world, 2, OF13);
    struct mac_address mac = {{2, 0, 1}};
    size_t n = 0;

    world_link(s1, 1, s2, 1);
    for (uint32_t port = 2; port < 52; port++)
        s2->ports[port] = (struct sim_port){.exists = true, .is_up = true};
    world_connect_all(world);
    world_settle(world);
    world_run(world, 1000);
    world_disconnect(s1);
    for (unsigned i = 0; i < 5000; i++) {
        mac.bytes[4] = (uint8_t)(i >> 8);
        mac.bytes[5] = (uint8_t)i;
        assert_non_null(host_at(world->fabric, datapath_port(datapath_find(world->fabric, 2), 2 + i % 50), &mac, FRAME_NO_VLAN));
        if (i % 100 == 0)
            world_run(world, 0);
    }
    s1->n_entries = 0;
    world_connect(s1);
    for (unsigned i = 0; i < 200 && s1->n_entries < 1000; i++)
        world_run(world, 50);
    assert_in_range(s1->n_entries, 1000, 4000); /* Under way: one more, and 100 less. */
    mac.bytes[3] = 1;
    assert_non_null(host_at(world->fabric, datapath_port(datapath_find(world->fabric, 2), 2), &mac, FRAME_NO_VLAN));
    hosts_port_down(world->fabric, datapath_port(datapath_find(world->fabric, 2), 51));
    world_run(world, 20000);
    assert_int_equal(world->n_events[FABRIC_OUTPUT_OVERFLOW], 0);
    for (size_t i = 0; i < s1->n_entries; i++)
        n += s1->entries[i].table == 1 && s1->entries[i].match.fields & OFM_ETH_DST;
    assert_int_equal(n, 4901);
    world_free(world);
}

static void set_slice(struct fabric *fabric, const char *name, const struct slice_binding *bindings, size_t n)
{
    struct error error = {0};

    assert_int_equal(slices_set(fabric->slices, name, bindings, n, &error), 0);
}

/* All entries of proactive kind have one epoch: nothing is left over. */
static void check_nothing_is_left_over(const struct sim_switch *at)
{
    uint64_t epoch = 0;

    for (size_t i = 0; i < at->n_entries; i++) {
        if (entry_kind_of(at->entries[i].cookie) != ENTRY_PROACTIVE)
            continue;
        if (!epoch)
            epoch = at->entries[i].cookie & 0xffffff;
        assert_int_equal(at->entries[i].cookie & 0xffffff, epoch);
    }
    assert_true(epoch != 0);
}

static void slices_that_change_while_a_switch_is_away_hold_when_it_returns(void **state)
{
    struct world *world = world_new(be_proactive);
    struct sim_switch *s1 = world_switch(world, 1, OF13);
    struct sim_host *a = world_host(world, s1, 10, "02:00:00:00:00:0a", "10.0.0.1");
    struct sim_host *b = world_host(world, s1, 11, "02:00:00:00:00:0b", "10.0.0.2");
    struct sim_host *c = world_host(world, s1, 12, "02:00:00:00:00:0c", "10.0.0.3"); /* In no slice. */
    struct slice_binding one = {.has_port = true, .datapath_id = 1, .port = 10}, two = {.has_port = true, .datapath_id = 1, .port = 11};

    world_connect_all(world);
    world_settle(world);
    world_run(world, 1000);
    host_send_arp(a, &b->ip);
    host_send_arp(b, &c->ip);
    host_send_arp(c, &a->ip);
    world_disconnect(s1);
    b->n_received = 0;
    host_send_udp(a, b, 1, 2);
    assert_int_equal(b->n_received, 1);
    set_slice(world->fabric, "one", &one, 1);
    set_slice(world->fabric, "two", &two, 1);
    fabric_slices_changed(world->fabric);
    world_connect(s1);
    a->n_received = b->n_received = c->n_received = 0;
    for (unsigned i = 0; i < 40; i++) {
        host_send_udp(a, b, 1, 2);
        host_send_udp(c, b, 1, 2);
        host_send_udp(b, a, 1, 2);
        host_send_udp(b, c, 1, 2);
        world_run(world, 100);
    }
    assert_int_equal(a->n_received + b->n_received + c->n_received, 0);
    check_nothing_is_left_over(s1);
    world_free(world);
}

/* After a restart the same slices may have other numbers, of which the entries of before know nothing. */
static void slices_with_other_numbers_after_a_restart_stay_apart(void **state)
{
    struct reference r = reference_new(be_proactive, OF13);
    struct sim_host *c;
    struct slice_binding a[1] = {{.has_mac = true, .mac = r.a->mac}};
    struct slice_binding bc[2] = {{.has_mac = true, .mac = r.b->mac}, {.has_mac = true, .mac = {{2, 0, 0, 0, 0, 0x0c}}}};
    struct error error = {0};

    world_kill_controller(r.world);
    c = world_host(r.world, r.e5, 11, "02:00:00:00:00:0c", "10.0.0.3");
    world_restart_controller(r.world);
    set_slice(r.world->fabric, "one", a, 1);
    set_slice(r.world->fabric, "two", bc, 2);
    fabric_slices_changed(r.world->fabric);
    world_run(r.world, 3000);
    host_send_arp(r.b, &c->ip);
    host_send_arp(c, &r.b->ip);
    host_send_arp(r.a, &c->ip);
    world_run(r.world, 1000);
    world_kill_controller(r.world);
    assert_int_equal(fabric_new(&r.world->options, r.world->now_ms, &r.world->fabric, &error), 0);
    set_slice(r.world->fabric, "two", bc, 2);
    set_slice(r.world->fabric, "one", a, 1);
    fabric_slices_changed(r.world->fabric);
    world_connect_all(r.world);
    r.a->n_received = r.b->n_received = c->n_received = 0;
    for (unsigned i = 0; i < 40; i++) {
        host_send_udp(r.b, r.a, 1, 2);
        host_send_udp(c, r.a, 1, 2);
        host_send_udp(r.a, c, 1, 2);
        world_run(r.world, 100);
    }
    assert_int_equal(r.a->n_received + r.b->n_received + c->n_received, 0);
    host_send_udp(r.b, c, 1, 2);
    host_send_udp(c, r.b, 1, 2);
    assert_int_equal(r.b->n_received + c->n_received, 2);
    for (size_t i = 0; i < r.world->n_switches; i++)
        check_nothing_is_left_over(r.world->switches[i]);
    world_free(r.world);
}

/* A cable that becomes a host's port while the switch is away, and a host that is gone. */
static void what_an_earlier_start_left_is_deleted(void **state)
{
    struct world *world = world_new(be_proactive);
    struct sim_switch *s1 = world_switch(world, 1, OF13), *s2 = world_switch(world, 2, OF13);
    size_t n = 0;

    world_link(s1, 1, s2, 1);
    world_host(world, s2, 10, "02:00:00:00:00:0b", "10.0.0.2");
    world_host(world, s1, 10, "02:00:00:00:00:0a", "10.0.0.1");
    world_connect_all(world);
    world_settle(world);
    for (size_t i = 0; i < world->n_hosts; i++)
        host_send_arp(world->hosts[i], &world->hosts[1 - i]->ip);
    world_run(world, 2000);
    assert_true(is_admitted_as_link(s1, 1));
    world_disconnect(s1);
    world_disconnect(s2);
    host_remove(world->fabric, host_find(world->fabric, &world->hosts[0]->mac, FRAME_NO_VLAN));
    s1->ports[1].peer = s2->ports[1].peer = NULL;
    world_connect_all(world);
    world_run(world, 5000);
    assert_false(is_admitted_as_link(s1, 1));
    check_nothing_is_left_over(s1);
    for (size_t i = 0; i < s1->n_entries; i++)
        n += s1->entries[i].table == 1 && s1->entries[i].match.fields & OFM_ETH_DST;
    assert_int_equal(n, 2);
    world_free(world);
}

static void a_reactive_controller_deletes_proactive_entries(void **state)
{
    struct reference r = reference_new(be_proactive, OF13);
    size_t n = 0;

    world_run(r.world, 1000);
    world_kill_controller(r.world);
    for (size_t i = 0; i < r.e5->n_entries; i++)
        n += entry_kind_of(r.e5->entries[i].cookie) == ENTRY_PROACTIVE;
    assert_true(n > 0);
    r.world->options.install = FABRIC_REACTIVE;
    world_restart_controller(r.world);
    world_run(r.world, 3000);
    for (size_t i = 0; i < r.e5->n_entries; i++)
        assert_int_not_equal(entry_kind_of(r.e5->entries[i].cookie), ENTRY_PROACTIVE);
    host_send_arp(r.a, &r.b->ip);
    host_send_arp(r.b, &r.a->ip);
    r.b->n_received = 0;
    send_all(&r, 10);
    assert_int_equal(r.b->n_received, 10);
    world_free(r.world);
}

/* ---- random networks --------------------------------------------------------------------------------------------------------------------- */

#define RANDOM_SWITCHES 12
#define RANDOM_HOSTS 12

static enum path_mode random_mode;
static enum fabric_install random_install;

static void use_random_mode(struct fabric_options *options)
{
    options->mode = random_mode;
    options->install = random_install;
    options->max_paths = 8;
}

/* Some pairs: each packet arrives once and nowhere else, if there is a way ('reachable': of switches that reach each other the same). */
static void check_pairs(struct sim_host *hosts[RANDOM_HOSTS], const unsigned reachable[RANDOM_SWITCHES])
{
    for (unsigned i = 0; i < 60; i++) {
        unsigned from = (unsigned)rand() % RANDOM_HOSTS, to = (unsigned)rand() % RANDOM_HOSTS;
        bool is_reachable = reachable[from % RANDOM_SWITCHES] == reachable[to % RANDOM_SWITCHES];
        uint64_t before = hosts[to]->n_received, total = 0, total_before = 0;

        if (from == to)
            continue;
        for (unsigned k = 0; k < RANDOM_HOSTS; k++)
            total_before += hosts[k]->n_received;
        host_send_udp(hosts[from], hosts[to], (uint16_t)(rand() % 8), 7);
        host_send_udp(hosts[from], hosts[to], (uint16_t)(rand() % 8), 7);
        for (unsigned k = 0; k < RANDOM_HOSTS; k++)
            total += hosts[k]->n_received;
        assert_int_equal(hosts[to]->n_received - before, is_reachable ? 2 : 0);
        assert_int_equal(total - total_before, is_reachable ? 2 : 0);
    }
}

/* Another controller begins, and one switch is seconds late for it. */
static void check_late_switch(struct world *world, struct sim_switch *late, struct sim_host *hosts[RANDOM_HOSTS], const unsigned reachable[RANDOM_SWITCHES])
{
    struct error error = {0};

    world_kill_controller(world);
    assert_int_equal(fabric_new(&world->options, world->now_ms, &world->fabric, &error), 0);
    for (size_t i = 0; i < world->n_switches; i++)
        if (world->switches[i] != late)
            world_connect(world->switches[i]);
    for (unsigned i = 0; i < 12; i++) {
        if (i == 6)
            world_connect(late);
        world_run(world, 600);
        check_pairs(hosts, reachable);
    }
}

/* Links fail and come back, switches leave and return; whoever can reach whom by what is left does, once and without loops. */
static void random_networks_deliver_whatever_happens(void **state)
{
    unsigned seed = test_seed("random_networks");

    srand(seed);
    for (unsigned round = 0; round < 16; round++) {
        struct sim_switch *switches[RANDOM_SWITCHES];
        struct sim_host *hosts[RANDOM_HOSTS];
        struct world *world;
        unsigned next_port[RANDOM_SWITCHES], n_links = 0;
        struct { unsigned at, port; bool is_up; } links[64];

        random_mode = (enum path_mode)(round % 4);
        random_install = round % 8 == 4 ? FABRIC_PROACTIVE : FABRIC_REACTIVE;
        world = world_new(use_random_mode);
        for (unsigned i = 0; i < RANDOM_SWITCHES; i++) {
            switches[i] = world_switch(world, i + 1, round / 4 % 2 && random_install == FABRIC_REACTIVE ? OF10 : OF13);
            next_port[i] = 1;
        }
        for (unsigned i = 1; i < RANDOM_SWITCHES + 12; i++) {
            unsigned a = i < RANDOM_SWITCHES ? i : (unsigned)rand() % RANDOM_SWITCHES, b = (unsigned)rand() % MIN(i, RANDOM_SWITCHES);

            if (a == b)
                continue;
            links[n_links].at = a;
            links[n_links].port = next_port[a];
            links[n_links++].is_up = true;
            world_link(switches[a], next_port[a]++, switches[b], next_port[b]++);
        }
        for (unsigned i = 0; i < RANDOM_HOSTS; i++) {
            char mac[20], ip[20];

            snprintf(mac, sizeof(mac), "02:00:00:00:01:%02x", i);
            snprintf(ip, sizeof(ip), "10.0.1.%u", i + 1);
            hosts[i] = world_host(world, switches[i % RANDOM_SWITCHES], 50, mac, ip);
        }
        world_connect_all(world);
        world_settle(world);
        assert_int_equal(counters(world).n_links, n_links);
        for (unsigned i = 0; i < RANDOM_HOSTS; i++)
            host_send_arp(hosts[i], &hosts[i]->ip);
        for (unsigned step = 0; step < 6; step++) {
            unsigned link = (unsigned)rand() % n_links;
            unsigned reachable[RANDOM_SWITCHES];

            if (step) {
                links[link].is_up = !links[link].is_up;
                (links[link].is_up ? world_mend : world_cut)(switches[links[link].at], links[link].port);
                world_settle(world);
            }
            for (unsigned i = 0; i < RANDOM_SWITCHES; i++)
                reachable[i] = i;
            for (unsigned pass = 0; pass < RANDOM_SWITCHES; pass++)
                for (unsigned i = 0; i < RANDOM_SWITCHES; i++)
                    for (unsigned p = 1; p < next_port[i]; p++)
                        if (switches[i]->ports[p].is_up)
                            for (unsigned k = 0; k < RANDOM_SWITCHES; k++)
                                if (switches[k] == switches[i]->ports[p].peer)
                                    reachable[i] = reachable[k] = MIN(reachable[i], reachable[k]);
            check_pairs(hosts, reachable);
            if (random_install == FABRIC_PROACTIVE) { /* One forwards on without the controller, and comes back. */
                struct sim_switch *away = switches[(unsigned)rand() % RANDOM_SWITCHES];

                world_disconnect(away);
                world_run(world, 2000);
                check_pairs(hosts, reachable);
                world_connect(away);
                world_run(world, 100);
                check_pairs(hosts, reachable);
                world_settle(world);
                check_late_switch(world, away, hosts, reachable);
            }
        }
        for (unsigned i = 0; i < RANDOM_SWITCHES; i++)
            assert_int_equal(switches[i]->n_errors, 0);
        world_free(world);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(links_and_hosts_are_found),
        cmocka_unit_test(a_known_address_is_answered_and_an_unknown_one_asked_everywhere_once),
        cmocka_unit_test(every_flow_arrives_once_and_flows_spread),
        cmocka_unit_test(ipv6_flows_arrive),
        cmocka_unit_test(the_published_trace_comes_out_of_a_running_fabric),
        cmocka_unit_test(a_cut_link_moves_its_flows_and_no_others),
        cmocka_unit_test(a_link_that_falls_silent_is_noticed_within_a_second),
        cmocka_unit_test(a_dead_switch_is_routed_around),
        cmocka_unit_test(flows_without_a_way_are_removed_everywhere),
        cmocka_unit_test(a_controller_that_dies_stops_no_flow_and_the_next_takes_them_over),
        cmocka_unit_test(one_that_stood_by_takes_no_link_for_a_host_when_it_takes_over),
        cmocka_unit_test(a_role_that_was_lost_is_asked_for_again),
        cmocka_unit_test(what_was_known_before_standing_by_is_not_written_over_the_others_work),
        cmocka_unit_test(a_weight_moves_flows_before_a_link_is_taken_away),
        cmocka_unit_test(a_host_that_moves_keeps_its_flows),
        cmocka_unit_test(a_second_host_with_one_mac_is_not_believed),
        cmocka_unit_test(silent_hosts_are_asked_and_forgotten),
        cmocka_unit_test(hosts_and_flows_have_limits),
        cmocka_unit_test(slices_keep_hosts_apart),
        cmocka_unit_test(forged_and_relayed_discovery_makes_no_link),
        cmocka_unit_test(two_switches_of_one_id),
        cmocka_unit_test(a_connection_that_becomes_no_switch_is_ended_in_time),
        cmocka_unit_test(a_controller_that_was_stopped_loses_no_switch),
        cmocka_unit_test(a_switch_that_reconnects_in_a_loop_waits),
        cmocka_unit_test(a_switch_that_does_not_read_is_given_up_alone),
        cmocka_unit_test(lies_and_noise_change_nothing),
        cmocka_unit_test(proactive_entries_carry_flows_without_the_controller),
        cmocka_unit_test(proactive_entries_outlive_the_controller),
        cmocka_unit_test(proactive_entries_keep_slices_apart),
        cmocka_unit_test(a_switch_whose_connection_ends_is_reached_all_the_same),
        cmocka_unit_test(switches_come_back_to_another_controller_one_by_one),
        cmocka_unit_test(hosts_ask_each_other_without_the_controller),
        cmocka_unit_test(addresses_that_go_are_not_carried),
        cmocka_unit_test(slices_that_change_while_a_switch_is_away_hold_when_it_returns),
        cmocka_unit_test(slices_with_other_numbers_after_a_restart_stay_apart),
        cmocka_unit_test(what_an_earlier_start_left_is_deleted),
        cmocka_unit_test(a_reactive_controller_deletes_proactive_entries),
        cmocka_unit_test(half_a_link_admits_nothing),
        cmocka_unit_test(more_hosts_than_may_wait_are_written_in_steps),
        cmocka_unit_test(groups_of_others_are_left_alone),
        cmocka_unit_test(switches_with_one_number_are_told_apart),
        cmocka_unit_test(random_networks_deliver_whatever_happens),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
