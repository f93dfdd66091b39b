/* What the servers are told about a port, from the model's objects. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "frames.h"
#include "weft/model/virtual-server.h"
#include "weft/services/config.h"

/* A network with subnets a (IPv4), b (IPv4 without gateway), c (IPv4, not served), s (SLAAC), f (stateful), l (stateless). */
struct world {
    struct network network;
    struct subnet subnets[6];
    const struct subnet *list[6];
    struct fixed_ip fixed_ips[6];
    struct ip_address dns[2];
    struct port port, gateway;
    struct service_objects objects;
};

static bool find_mac(void *context, const struct network *network, const struct ip_address *address, struct mac_address *ret)
{
    struct world *world = context;
    struct ip_address own = ip("2001:db8:1::1"), link_local = ip("fe80::1");
    *ret = world->gateway.mac;
    return ip_equal(address, &own) || ip_equal(address, &link_local);
}

static void set_up(struct world *world)
{
    static const struct {
        const char *id, *cidr, *gateway, *address;
        bool dhcp;
        enum ipv6_mode mode;
    } subnets[] = {
        {"a", "10.0.0.0/24", "10.0.0.1", "10.0.0.5", true, IPV6_MODE_NONE},
        {"b", "10.1.0.0/24", NULL, "10.1.0.5", true, IPV6_MODE_NONE},
        {"c", "10.2.0.0/24", "10.2.0.1", "10.2.0.5", false, IPV6_MODE_NONE},
        {"s", "2001:db8:1::/64", "2001:db8:1::1", "2001:db8:1:0:f816:3eff:fe00:5", true, IPV6_MODE_SLAAC},
        {"f", "2001:db8:2::/64", "2001:db8:2::1", "2001:db8:2::5", true, IPV6_MODE_DHCPV6_STATEFUL},
        {"l", "2001:db8:3::/64", "2001:db8:3::1", "2001:db8:3:0:f816:3eff:fe00:5", true, IPV6_MODE_DHCPV6_STATELESS},
    };
    memset(world, 0, sizeof(*world));
    strcpy(world->network.object.id, "00112233-4455-6677-8899-aabbccddeeff");
    world->network.mtu = 1450;
    world->dns[0] = ip("9.9.9.9");
    world->dns[1] = ip("2620:fe::9");
    for (size_t i = 0; i < 6; i++) {
        struct subnet *subnet = &world->subnets[i];
        strcpy(subnet->object.id, subnets[i].id);
        subnet->cidr = prefix(subnets[i].cidr);
        subnet->has_gateway = subnets[i].gateway;
        if (subnet->has_gateway)
            subnet->gateway = ip(subnets[i].gateway);
        subnet->enable_dhcp = subnets[i].dhcp;
        subnet->ipv6_address_mode = subnet->ipv6_ra_mode = subnets[i].mode;
        subnet->dns_nameservers = world->dns;
        subnet->n_dns_nameservers = 2;
        world->list[i] = subnet;
        strcpy(world->fixed_ips[i].subnet_id, subnets[i].id);
        world->fixed_ips[i].address = ip(subnets[i].address);
    }
    world->port.mac = mac("fa:16:3e:00:00:05");
    world->port.fixed_ips = world->fixed_ips;
    world->port.n_fixed_ips = 6;
    world->gateway.mac = mac("fa:16:3e:00:00:01");
    world->objects = (struct service_objects){&world->port, &world->network, world->list, 6, find_mac, world, 0, NULL};
}

static void all_kinds_of_subnets(void **state)
{
    struct world world;
    static struct service_config config;
    set_up(&world);
    service_config_build(&world.objects, &config);

    assert_int_equal(config.dhcp4.n_addresses, 2);
    struct ip_address address = ip("10.0.0.5"), server = ip("10.0.0.1"), link_local = VIRTUAL_SERVER_IP4;
    assert_true(ip_equal(&config.dhcp4.addresses[0].address, &address));
    assert_true(ip_equal(&config.dhcp4.addresses[0].server, &server));
    assert_true(ip_equal(&config.dhcp4.addresses[1].server, &link_local));
    assert_false(config.dhcp4.addresses[1].has_gateway);
    assert_int_equal(config.dhcp4.n_prefixes, 3);
    assert_int_equal(config.dhcp4.lease_s, SERVICE_LEASE_S);
    assert_int_equal(config.dhcp4.mtu, 1450);
    assert_null(config.dhcp4.domain);

    assert_true(config.dhcp6.enabled);
    assert_int_equal(config.dhcp6.n_addresses, 1);
    address = ip("2001:db8:2::5");
    assert_true(ip_equal(&config.dhcp6.addresses[0], &address));
    assert_int_equal(config.dhcp6.n_dns_servers, 1); /* The IPv6 one, once. */
    assert_memory_equal(config.dhcp6.server_duid, "\x00\x04\x00\x11\x22\x33\x44\x55\x66\x77\x88\x99\xaa\xbb\xcc\xdd\xee\xff", 18);

    assert_true(config.ra.enabled && config.ra.managed && config.ra.other && config.ra.has_gateway);
    assert_int_equal(config.ra.n_prefixes, 3);
    assert_true(config.ra.prefixes[0].autonomous);
    assert_false(config.ra.prefixes[1].autonomous);
    assert_true(config.ra.prefixes[2].autonomous);
    assert_true(mac_equal(&config.ra.gateway_mac, &world.gateway.mac));
    address = ip("fe80::f816:3eff:fe00:1");
    assert_true(ip_equal(&config.ra.source, &address));
}

static void gateway_that_nobody_is_routes_nothing(void **state)
{
    struct world world;
    static struct service_config config;
    set_up(&world);
    world.objects.find_mac = NULL;
    service_config_build(&world.objects, &config);
    struct ip_address server = VIRTUAL_SERVER_IP6;
    assert_false(config.ra.has_gateway);
    assert_true(ip_equal(&config.ra.source, &server));

    set_up(&world); /* Nor is the port its own gateway. */
    world.port.mac = world.gateway.mac;
    service_config_build(&world.objects, &config);
    assert_false(config.ra.has_gateway);
}

static void link_local_gateway_is_the_source(void **state)
{
    struct world world;
    static struct service_config config;
    set_up(&world);
    world.subnets[3].gateway = ip("fe80::1");
    service_config_build(&world.objects, &config);
    struct ip_address gateway = ip("fe80::1");
    assert_true(config.ra.has_gateway);
    assert_true(ip_equal(&config.ra.source, &gateway));
}

static void address_elsewhere_makes_no_autonomous_prefix(void **state)
{
    struct world world;
    static struct service_config config;
    set_up(&world);
    world.port.n_fixed_ips = 1;
    service_config_build(&world.objects, &config);
    assert_int_equal(config.ra.n_prefixes, 3);
    for (size_t i = 0; i < 3; i++)
        assert_false(config.ra.prefixes[i].autonomous);
    assert_false(config.dhcp6.enabled);
    assert_false(config.ra.enabled);
    world.port.n_fixed_ips = 5; /* SLAAC and stateful. */
    service_config_build(&world.objects, &config);
    assert_true(config.ra.enabled && config.ra.prefixes[0].autonomous);
    assert_false(config.ra.prefixes[2].autonomous);
}

static void dns_of_zero_means_none(void **state)
{
    struct world world;
    static struct service_config config;
    set_up(&world);
    world.dns[0] = ip("0.0.0.0");
    world.objects.default_domain = "example.org";
    service_config_build(&world.objects, &config);
    assert_int_equal(config.dhcp4.addresses[0].n_dns_servers, 0);
    assert_string_equal(config.dhcp4.domain, "example.org");
    world.network.dns_domain = (char *)"net.example.";
    service_config_build(&world.objects, &config);
    assert_string_equal(config.ra.domain, "net.example.");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_kinds_of_subnets),
        cmocka_unit_test(gateway_that_nobody_is_routes_nothing),
        cmocka_unit_test(link_local_gateway_is_the_source),
        cmocka_unit_test(address_elsewhere_makes_no_autonomous_prefix),
        cmocka_unit_test(dns_of_zero_means_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
