/* What the built-in metadata service says, path by path. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "frames.h"
#include "weft/base/util.h"
#include "weft/services/metadata.h"

#define OWN "{\"hostname\":\"www.example.org\",\"public_keys\":{\"b\":\"ssh-rsa B\",\"a\":\"ssh-rsa A\"},\"user_data\":\"#!/bin/sh\\n\",\"meta\":{\"x\":\"y\"}}"

struct world {
    struct network network;
    struct subnet subnets[2];
    const struct subnet *list[2];
    struct fixed_ip fixed_ips[2];
    struct ip_address dns;
    struct port port;
    struct service_objects objects;
};

static void set_up(struct world *world)
{
    static const char *const cidrs[] = {"10.0.0.0/20", "2001:db8::/64"}, *const gateways[] = {"10.0.0.1", NULL}, *const addresses[] = {"10.0.0.5", "2001:db8::5"};

    memset(world, 0, sizeof(*world));
    strcpy(world->network.object.id, "network-id");
    world->network.mtu = 1450;
    world->dns = ip("9.9.9.9");
    for (size_t i = 0; i < 2; i++) {
        struct subnet *subnet = &world->subnets[i];
        snprintf(subnet->object.id, sizeof(subnet->object.id), "subnet%zu", i);
        subnet->cidr = prefix(cidrs[i]);
        subnet->has_gateway = gateways[i];
        if (gateways[i])
            subnet->gateway = ip(gateways[i]);
        subnet->enable_dhcp = true;
        subnet->ipv6_address_mode = i ? IPV6_MODE_SLAAC : IPV6_MODE_NONE;
        subnet->dns_nameservers = &world->dns;
        subnet->n_dns_nameservers = i == 0;
        world->list[i] = subnet;
        world->fixed_ips[i].address = ip(addresses[i]);
        strcpy(world->fixed_ips[i].subnet_id, subnet->object.id);
    }
    strcpy(world->port.object.id, "0d0a4a9c-0000-4000-8000-000000000001");
    strcpy(world->port.object.project_id, "project");
    world->port.object.name = "web1";
    world->port.mac = mac("fa:16:3e:00:00:05");
    world->port.fixed_ips = world->fixed_ips;
    world->port.n_fixed_ips = 2;
    world->objects = (struct service_objects){.port = &world->port, .network = &world->network, .subnets = world->list, .n_subnets = 2};
}

static void says(struct world *world, const char *path, const char *expected)
{
    struct buffer content = {0};
    const char *type = NULL;
    int result = metadata_answer(&world->objects, path, &content, &type);

    print_message("    %s\n", path);
    assert_int_equal(result, expected ? 0 : -ENOENT);
    if (expected) {
        assert_string_equal(buffer_string(&content) ? buffer_string(&content) : "", expected);
        assert_string_equal(type, expected[0] == '{' ? "application/json" : "text/plain");
    }
    buffer_clear(&content);
}

static void paths_of_ec2(void **state)
{
    struct world world;

    set_up(&world);
    says(&world, "", "2009-04-04\nlatest");
    says(&world, "/latest", "meta-data/");
    says(&world, "/latest/user-data", NULL);
    says(&world, "/latest/meta-data", "ami-launch-index\nhostname\ninstance-id\nlocal-hostname\nlocal-ipv4\nmac");
    says(&world, "/2009-04-04/meta-data/instance-id", "0d0a4a9c-0000-4000-8000-000000000001");
    says(&world, "/latest/meta-data/hostname", "web1");
    says(&world, "/latest/meta-data/mac", "fa:16:3e:00:00:05");
    says(&world, "/latest/meta-data/public-keys", NULL);
    world.port.device_id = "instance";
    world.port.metadata = OWN;
    says(&world, "/latest", "meta-data/\nuser-data");
    says(&world, "/latest/user-data", "#!/bin/sh\n");
    says(&world, "/latest/meta-data/instance-id", "instance");
    says(&world, "/latest/meta-data/local-hostname", "www.example.org");
    says(&world, "/latest/meta-data/local-ipv4", "10.0.0.5");
    says(&world, "/latest/meta-data/public-keys", "0=b\n1=a");
    says(&world, "/latest/meta-data/public-keys/1", "openssh-key");
    says(&world, "/latest/meta-data/public-keys/1/openssh-key", "ssh-rsa A\n");
    says(&world, "/latest/meta-data/public-keys/2", NULL);
    says(&world, "/latest/meta-data/public-keys/1/other", NULL);
    says(&world, "/latest/meta-data/public-keys/1/openssh-key/more", NULL);
    says(&world, "/latest/meta-data/hostname/more", NULL);
    says(&world, "/latest/other", NULL);
    says(&world, "/other", NULL);
    says(&world, "/a/b/c/d/e/f/g/h/i/j/k", NULL);
}

static void a_port_without_a_usable_name_or_address(void **state)
{
    struct world world;

    set_up(&world);
    world.port.object.name = "the web server";
    says(&world, "/latest/meta-data/hostname", "host-10-0-0-5");
    world.port.n_fixed_ips = 0;
    says(&world, "/latest/meta-data/hostname", "host-0d0a4a9c");
    says(&world, "/latest/meta-data/local-ipv4", NULL);
    says(&world, "/latest/meta-data", "ami-launch-index\nhostname\ninstance-id\nlocal-hostname\nmac");
}

static void paths_of_openstack(void **state)
{
    struct world world;

    set_up(&world);
    says(&world, "/openstack", "2018-08-27\nlatest");
    says(&world, "/openstack/latest", "meta_data.json\nnetwork_data.json\nvendor_data.json");
    says(&world, "/openstack/latest/meta_data.json",
         "{\"availability_zone\":\"nova\",\"hostname\":\"web1\",\"keys\":[],\"launch_index\":0,\"name\":\"web1\",\"project_id\":\"project\","
         "\"uuid\":\"0d0a4a9c-0000-4000-8000-000000000001\"}");
    says(&world, "/openstack/latest/user_data", NULL);
    world.port.metadata = OWN;
    says(&world, "/openstack/2018-08-27", "meta_data.json\nnetwork_data.json\nvendor_data.json\nuser_data");
    says(&world, "/openstack/latest/meta_data.json",
         "{\"availability_zone\":\"nova\",\"hostname\":\"www.example.org\",\"keys\":[{\"data\":\"ssh-rsa B\",\"name\":\"b\",\"type\":\"ssh\"},"
         "{\"data\":\"ssh-rsa A\",\"name\":\"a\",\"type\":\"ssh\"}],\"launch_index\":0,\"meta\":{\"x\":\"y\"},\"name\":\"www.example.org\","
         "\"project_id\":\"project\",\"public_keys\":{\"a\":\"ssh-rsa A\",\"b\":\"ssh-rsa B\"},\"uuid\":\"0d0a4a9c-0000-4000-8000-000000000001\"}");
    says(&world, "/openstack/latest/user_data", "#!/bin/sh\n");
    says(&world, "/openstack/latest/vendor_data.json", "{}");
    says(&world, "/openstack/latest/network_data.json",
         "{\"links\":[{\"ethernet_mac_address\":\"fa:16:3e:00:00:05\",\"id\":\"interface0\",\"mtu\":1450,\"type\":\"phy\","
         "\"vif_id\":\"0d0a4a9c-0000-4000-8000-000000000001\"}],\"networks\":["
         "{\"id\":\"network0\",\"ip_address\":\"10.0.0.5\",\"link\":\"interface0\",\"netmask\":\"255.255.240.0\",\"network_id\":\"network-id\","
         "\"routes\":[{\"gateway\":\"10.0.0.1\",\"netmask\":\"0.0.0.0\",\"network\":\"0.0.0.0\"}],\"type\":\"ipv4_dhcp\"},"
         "{\"id\":\"network1\",\"ip_address\":\"2001:db8::5\",\"link\":\"interface0\",\"netmask\":\"64\",\"network_id\":\"network-id\","
         "\"routes\":[],\"type\":\"ipv6_slaac\"}],\"services\":[{\"address\":\"9.9.9.9\",\"type\":\"dns\"}]}");
    says(&world, "/openstack/other/meta_data.json", NULL);
    says(&world, "/openstack/latest/meta_data.json/more", NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(paths_of_ec2),
        cmocka_unit_test(a_port_without_a_usable_name_or_address),
        cmocka_unit_test(paths_of_openstack),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
