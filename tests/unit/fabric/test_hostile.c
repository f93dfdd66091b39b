/* Hosts and switches that lie, and an operator's bad days: each case was once a fault. */
#include "test.h"
#include "reference.h"

#include <string.h>

#include "weft/base/util.h"
#include "weft/fabric/entries.h"
#include "weft/fabric/lldp.h"
#include "weft/fabric/slices.h"

/* ---- helpers ----------------------------------------------------------------------------------------------------------------- */

static struct fabric_port *port_of(const struct sim_switch *at, uint32_t number)
{
    return datapath_port(datapath_find(at->world->fabric, at->id), number);
}

static void say_port(struct sim_switch *at, uint8_t reason, uint32_t number, bool is_up)
{
    struct of_message message = {.kind = OF_PORT_STATUS};

    message.port_status = (struct of_port_status){reason, {.number = number, .state = is_up ? 0 : OFPPS_LINK_DOWN}};
    switch_say(at, &message);
}

static size_t discovery_of(const struct sim_switch *from, uint32_t number, uint8_t *frame)
{
    struct world *world = from->world;
    struct lldp lldp = {world->options.controller_id, from->id, world->now_ms, number};
    struct mac_address mac = {{2, 0xff, 1, 0, 0, 1}};

    return lldp_format(&lldp, &mac, world->options.lldp_key, frame);
}

static struct slice_binding at_port(const struct sim_switch *at, uint32_t number)
{
    return (struct slice_binding){.has_port = true, .datapath_id = at->id, .port = number};
}

static void set_slice(struct world *world, const char *name, const struct slice_binding *bindings, size_t n)
{
    assert_int_equal(slices_set(world->fabric->slices, name, bindings, n, NULL), 0);
    fabric_slices_changed(world->fabric);
    world_run(world, 50);
}

/* One switch, two victims in a slice and a tenant in another, or in none. */
struct tenants {
    struct world *world;
    struct sim_switch *at;
    struct sim_host *a, *b, *tenant;
};

static struct tenants tenants_new(void (*change)(struct fabric_options *), const char *tenant_ip, bool is_in_slice)
{
    struct tenants t = {.world = world_new(change)};
    struct slice_binding victims[2], own;

    t.at = world_switch(t.world, 1, OF13);
    t.a = world_host(t.world, t.at, 10, "02:00:00:00:00:0a", "10.0.0.1");
    t.b = world_host(t.world, t.at, 11, "02:00:00:00:00:0b", "10.0.0.2");
    t.tenant = world_host(t.world, t.at, 12, "02:00:00:00:00:0c", tenant_ip);
    victims[0] = at_port(t.at, 10);
    victims[1] = at_port(t.at, 11);
    own = at_port(t.at, 12);
    set_slice(t.world, "victims", victims, 2);
    if (is_in_slice)
        set_slice(t.world, "tenant", &own, 1);
    world_connect_all(t.world);
    return t;
}

/* ---- memory -------------------------------------------------------------------------------------------------------------------- */

static void a_port_that_goes_is_forgotten_by_those_that_hear_it(void **state)
{
    struct world *world = world_new(NULL);
    struct sim_switch *a = world_switch(world, 1, OF13), *b = world_switch(world, 2, OF13);

    world_link(a, 1, b, 1);
    b->ports[1].is_deaf = true; /* One way only. */
    world_connect_all(world);
    world_run(world, 700);
    assert_ptr_equal(port_of(a, 1)->neighbor, port_of(b, 1));
    say_port(b, OFPPR_DELETE, 1, false);
    assert_null(port_of(a, 1)->neighbor);
    say_port(a, OFPPR_MODIFY, 1, false);
    world_free(world);
}

static void few_flows(struct fabric_options *options)
{
    options->max_flows = 8; /* One of them a port's. */
}

static void adopting_at_the_limit_keeps_the_path_that_it_needs(void **state)
{
    struct reference r = reference_new(NULL, OF13);

    for (uint16_t i = 0; i < 40; i++)
        host_send_udp(r.a, r.b, i, 80);
    world_kill_controller(r.world);
    few_flows(&r.world->options);
    r.world->options.max_paths = 1; /* So that half of what is found lies on paths that are not listed. */
    world_restart_controller(r.world);
    world_run(r.world, 6000);
    assert_in_range(counters(r.world).n_flows, 1, 8);
    world_free(r.world);
}

/* ---- stalls, restarts ------------------------------------------------------------------------------------------------------------- */

static void a_stall_takes_no_link_down_that_was_heard_after_it(void **state)
{
    struct reference r = reference_new(NULL, OF13);
    struct of_message message = {.kind = OF_PACKET_IN};
    uint8_t frame[LLDP_FRAME_MAX];

    r.world->now_ms += 300; /* Then what waited in the sockets is read, then the timer runs. */
    message.packet_in = (struct of_packet_in){.buffer_id = OF_NO_BUFFER, .in_port = 1, .match = {.fields = OFM_IN_PORT, .in_port = 1},
                                              .data = {frame, discovery_of(r.e5, 1, frame)}};
    switch_say(r.e3, &message);
    fabric_tick(r.world->fabric, r.world->now_ms);
    assert_int_equal(counters(r.world).n_links, 7);
    world_free(r.world);
}

static void switches_that_come_back_one_by_one_find_their_link(void **state)
{
    struct world *world = world_new(NULL);
    struct sim_switch *one = world_switch(world, 1, OF13), *two = world_switch(world, 2, OF13);
    struct sim_host *a = world_host(world, one, 10, "02:00:00:00:00:0a", "10.0.0.1");
    struct sim_host *b = world_host(world, two, 10, "02:00:00:00:00:0b", "10.0.0.2");

    world_link(one, 1, two, 1);
    world_connect_all(world);
    world_settle(world);
    host_send_arp(a, &b->ip);
    host_send_arp(b, &a->ip);
    host_send_udp(a, b, 1, 2);
    host_send_udp(b, a, 2, 1);
    world_kill_controller(world);
    assert_int_equal(fabric_new(&world->options, world->now_ms, &world->fabric, NULL), 0);
    world_connect(one);
    world_run(world, 4000); /* What is behind its port of the link looks like hosts by now. */
    world_connect(two);
    world_run(world, 3000);
    assert_int_equal(counters(world).n_links, 1);
    b->n_received = 0;
    host_send_udp(a, b, 7, 8);
    host_send_udp(a, b, 7, 8);
    assert_int_equal(b->n_received, 2);
    world_free(world);
}

static void small_output(struct fabric_options *options)
{
    options->output_max = 128u << 10;
}

static void a_switch_that_lost_its_table_is_written_to_as_fast_as_it_reads(void **state)
{
    struct reference r = reference_new(small_output, OF13);

    for (uint16_t i = 0; i < 1200; i++)
        host_send_udp(r.a, r.b, i, 80);
    for (int i = 0; i < 3; i++) {
        world_disconnect(r.e5);
        r.e5->n_entries = 0;
        world_connect(r.e5);
        world_run(r.world, 6000);
    }
    assert_int_equal(counters(r.world).events[FABRIC_OUTPUT_OVERFLOW], 0);
    assert_int_equal(counters(r.world).n_switches, 5);
    assert_int_equal(switch_n_flow_entries(r.e5), 1200);
    world_free(r.world);
}

static void an_entry_of_old_is_not_the_end_of_the_flow(void **state)
{
    struct reference r = reference_new(NULL, OF13);

    host_send_udp(r.a, r.b, 1, 2);
    world_disconnect(r.e5);
    for (size_t i = 0; i < r.e5->n_entries; i++)
        if (entry_kind_of(r.e5->entries[i].cookie) == ENTRY_INGRESS) {
            r.e5->entries[i].out_ports[0] = 3 - r.e5->entries[i].out_ports[0];
            r.e5->entries[i].cookie -= 1;
        }
    world_connect(r.e5);
    world_run(r.world, 3000);
    assert_int_equal(counters(r.world).n_flows, 1);
    assert_int_equal(switch_n_flow_entries(r.e5), 1);
    r.b->n_received = 0;
    host_send_udp(r.a, r.b, 1, 2);
    assert_int_equal(r.b->n_received, 1);
    world_free(r.world);
}

/* ---- slices ------------------------------------------------------------------------------------------------------------------------- */

static void be_proactive(struct fabric_options *options)
{
    options->install = FABRIC_PROACTIVE;
}

static void a_tenant_that_reflects_discovery_stays_a_host(void **state)
{
    for (int i = 0; i < 2; i++) {
        struct tenants t = tenants_new(i ? be_proactive : NULL, "10.0.0.3", true);
        uint8_t frame[LLDP_FRAME_MAX];
        struct sim_host guise;

        for (int k = 0; k < 8; k++) {
            world_run(t.world, 200);
            host_send(t.tenant, frame, discovery_of(t.at, 12, frame));
        }
        host_send_arp(t.a, &t.b->ip);
        host_send_arp(t.b, &t.a->ip);
        guise = *t.a;
        guise.port = 12;
        t.b->n_received = 0;
        host_send_udp(&guise, t.b, 66, 67);
        host_send_udp(t.tenant, t.b, 66, 67);
        assert_int_equal(t.b->n_received, 0);
        assert_int_not_equal(port_of(t.at, 12)->kind, PORT_LINK);
        world_free(t.world);
    }
}

static void hosts_of_no_slice_do_not_reach_each_other_by_old_entries(void **state)
{
    struct reference r = reference_new(NULL, OF13);
    struct slice_binding other = {.has_mac = true, .mac = {{2, 9, 9, 9, 9, 9}}};

    host_send_udp(r.a, r.b, 1, 2);
    world_kill_controller(r.world);
    assert_int_equal(fabric_new(&r.world->options, r.world->now_ms, &r.world->fabric, NULL), 0);
    set_slice(r.world, "other", &other, 1);
    world_connect_all(r.world);
    world_run(r.world, 5000);
    r.b->n_received = 0;
    host_send_udp(r.a, r.b, 1, 2);
    assert_int_equal(r.b->n_received, 0);
    assert_int_equal(counters(r.world).n_flows, 0);
    world_free(r.world);
}

static void an_address_in_another_slice_is_another_address(void **state)
{
    struct tenants t = tenants_new(NULL, "10.0.0.2", true);

    world_settle(t.world);
    host_send_arp(t.tenant, &t.tenant->ip);
    t.a->n_received = t.b->n_received = t.tenant->n_received = 0;
    host_send_arp(t.a, &t.b->ip);
    assert_int_equal(t.b->n_received, 1);
    assert_int_equal(t.a->n_received, 1); /* b's own answer. */
    assert_int_equal(t.a->last[27], 0x0b);
    assert_int_equal(t.tenant->n_received, 0);
    world_free(t.world);
}

static void a_port_of_no_slice_moves_nobody(void **state)
{
    for (int i = 0; i < 2; i++) { /* In none, and in another. */
        struct tenants t = tenants_new(NULL, "10.0.0.3", i);
        struct sim_host guise;

        world_settle(t.world);
        host_send_udp(t.a, t.b, 1, 2);
        host_send_udp(t.b, t.a, 2, 1);
        guise = *t.b;
        guise.port = 12;
        host_send_udp(&guise, t.a, 5, 5);
        world_run(t.world, 1000);
        assert_int_equal(host_find(t.world->fabric, &t.b->mac, FRAME_NO_VLAN)->port->number, 11);
        t.b->n_received = 0;
        host_send_udp(t.a, t.b, 1, 2);
        assert_int_equal(t.b->n_received, 1);
        world_free(t.world);
    }
}

/* ---- addresses ------------------------------------------------------------------------------------------------------------------------ */

static void what_claims_anothers_address_goes_no_further(void **state)
{
    struct world *world = world_new(NULL);
    struct sim_switch *at = world_switch(world, 1, OF13);
    struct sim_host *a = world_host(world, at, 10, "02:00:00:00:00:0a", "10.0.0.1");
    struct sim_host *b = world_host(world, at, 11, "02:00:00:00:00:0b", "10.0.0.2");
    struct sim_host *thief = world_host(world, at, 12, "02:00:00:00:00:0c", "10.0.0.2");
    struct ip_address nobody;
    uint64_t before;

    ip_parse("10.0.0.77", &nobody);
    world_connect_all(world);
    world_settle(world);
    host_send_arp(a, &a->ip);
    host_send_arp(b, &b->ip);
    world_run(world, 1000);
    before = counters(world).drops[FABRIC_DROP_NEIGHBOR_FORGED]; /* The thief answered b's own question. */
    a->n_received = 0;
    host_send_arp(thief, &nobody); /* "10.0.0.2 is at 0c" */
    assert_int_equal(a->n_received, 0);
    assert_int_equal(counters(world).drops[FABRIC_DROP_NEIGHBOR_FORGED], before + 1);
    world_run(world, 1000);
    host_send_arp(a, &b->ip);
    assert_int_equal(a->last[27], 0x0b); /* The owner answered when it was asked. */
    world_free(world);
}

static void an_address_fails_over_when_its_owner_is_silent(void **state)
{
    struct world *world = world_new(NULL);
    struct sim_switch *at = world_switch(world, 1, OF13);
    struct sim_host *a = world_host(world, at, 10, "02:00:00:00:00:0a", "10.0.0.100");
    struct sim_host *b = world_host(world, at, 11, "02:00:00:00:00:0b", "10.0.0.2");
    struct sim_host *c = world_host(world, at, 12, "02:00:00:00:00:0c", "10.0.0.3");
    struct ip_address address = a->ip;

    world_connect_all(world);
    world_settle(world);
    host_send_arp(a, &a->ip);
    host_send_arp(b, &b->ip);
    ip_parse("10.0.0.1", &a->ip);
    b->ip = address;
    host_send_arp(b, &address); /* Waits for the old owner's answer, */
    world_run(world, 500);
    c->n_received = 0;
    host_send_arp(b, &address); /* and again, as RFC 5798 and others do. */
    assert_int_equal(c->n_received, 1);
    host_send_arp(c, &address);
    assert_int_equal(c->last[27], 0x0b);
    world_free(world);
}

static void one_old_switch_costs_ipv6_no_entries_elsewhere(void **state)
{
    struct world *world = world_new(NULL);
    struct sim_switch *old = world_switch(world, 1, OF10), *new = world_switch(world, 2, OF13);
    struct sim_host *a = world_host(world, new, 10, "02:00:00:00:00:0a", "fd00::1");
    struct sim_host *b = world_host(world, new, 11, "02:00:00:00:00:0b", "fd00::2");
    uint64_t before;

    world_link(old, 1, new, 1);
    world_connect_all(world);
    world_settle(world);
    host_send_udp(b, a, 9, 9);
    host_send_udp(a, b, 1, 2);
    before = counters(world).packet_ins;
    for (int i = 0; i < 100; i++)
        host_send_udp(a, b, 1, 2);
    assert_int_equal(counters(world).packet_ins, before);
    world_free(world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_port_that_goes_is_forgotten_by_those_that_hear_it),
        cmocka_unit_test(adopting_at_the_limit_keeps_the_path_that_it_needs),
        cmocka_unit_test(a_stall_takes_no_link_down_that_was_heard_after_it),
        cmocka_unit_test(switches_that_come_back_one_by_one_find_their_link),
        cmocka_unit_test(a_switch_that_lost_its_table_is_written_to_as_fast_as_it_reads),
        cmocka_unit_test(an_entry_of_old_is_not_the_end_of_the_flow),
        cmocka_unit_test(a_tenant_that_reflects_discovery_stays_a_host),
        cmocka_unit_test(hosts_of_no_slice_do_not_reach_each_other_by_old_entries),
        cmocka_unit_test(an_address_in_another_slice_is_another_address),
        cmocka_unit_test(a_port_of_no_slice_moves_nobody),
        cmocka_unit_test(what_claims_anothers_address_goes_no_further),
        cmocka_unit_test(an_address_fails_over_when_its_owner_is_silent),
        cmocka_unit_test(one_old_switch_costs_ipv6_no_entries_elsewhere),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
