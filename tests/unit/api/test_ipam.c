/* Address allocation against a deliberately naive one, at random; and its time does not depend on the subnet's size. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "weft/api/ipam.h"
#include "weft/base/clock.h"
#include "weft/model/schema.h"

#define SUBNET "11111111-2222-4333-8444-555555555555"
#define SPACE 128

static struct subnet *subnet_new(const char *cidr, const char *const pools[][2], size_t n)
{
    struct subnet *subnet = (struct subnet *)object_new(RESOURCE_SUBNET);

    strcpy(subnet->object.id, SUBNET);
    assert_int_equal(0, prefix_parse(cidr, &subnet->cidr));
    subnet->allocation_pools = calloc(n, sizeof *subnet->allocation_pools);
    subnet->n_allocation_pools = n;
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(0, ip_parse(pools[i][0], &subnet->allocation_pools[i].first));
        assert_int_equal(0, ip_parse(pools[i][1], &subnet->allocation_pools[i].last));
    }
    return subnet;
}

/* What the replica does when a port with one address comes or goes. */
static void set_allocated(struct ipam *ipam, const struct ip_address *address, bool allocated)
{
    struct fixed_ip fixed_ip = {.subnet_id = SUBNET, .address = *address};
    struct port port = {.fixed_ips = &fixed_ip, .n_fixed_ips = 1};

    ipam_port_changed(ipam, allocated ? NULL : &port, allocated ? &port : NULL);
}

static void agrees_with_a_naive_allocator(void **state)
{
    static const char *const pools[][2] = {{"10.0.0.2", "10.0.0.9"}, {"10.0.0.20", "10.0.0.60"}, {"10.0.0.100", "10.0.0.100"}};
    struct subnet *subnet = subnet_new("10.0.0.0/24", pools, 3);
    enum { FREE, RESERVED, ALLOCATED } naive[SPACE] = {0};
    struct ip_address base, address;
    struct ipam *ipam;
    unsigned seed = time(NULL);

    print_message("seed %u\n", seed);
    srandom(seed);
    assert_int_equal(0, ipam_new(&ipam));
    ip_parse("10.0.0.0", &base);
    for (int step = 0; step < 100000; step++) {
        int i = random() % SPACE, n_free = 0, r;

        address = ip_add(&base, i);
        for (int k = 0; k < SPACE; k++)
            n_free += naive[k] == FREE && ((k >= 2 && k <= 9) || (k >= 20 && k <= 60) || k == 100);
        switch (random() % 7) {
        case 0:
        case 1:
            r = ipam_choose(ipam, subnet, &address);
            assert_int_equal(n_free ? 0 : -ENOSPC, r);
            if (r == 0) {
                i = ip_distance(&base, &address);
                assert_true(i < SPACE && naive[i] == FREE && ((i >= 2 && i <= 9) || (i >= 20 && i <= 60) || i == 100));
                naive[i] = RESERVED;
            }
            break;
        case 2:
            r = ipam_reserve(ipam, SUBNET, &address);
            assert_int_equal(naive[i] == FREE ? 0 : -EEXIST, r);
            if (r == 0)
                naive[i] = RESERVED;
            break;
        case 3: /* The request was answered, or failed. */
            ipam_release(ipam, SUBNET, &address);
            if (naive[i] == RESERVED)
                naive[i] = FREE;
            break;
        case 4: /* Also an address that another server took while it was reserved here. */
            if (naive[i] != ALLOCATED)
                set_allocated(ipam, &address, true);
            naive[i] = ALLOCATED;
            break;
        case 5:
            if (naive[i] == ALLOCATED) {
                set_allocated(ipam, &address, false);
                naive[i] = FREE;
            }
            break;
        default:
            ipam_collided(ipam, subnet);
        }
        assert_int_equal(naive[i] != FREE, (address = ip_add(&base, i), ipam_is_taken(ipam, SUBNET, &address)));
    }
    ipam_free(ipam);
    object_free(&subnet->object);
}

static void every_address_of_a_pool_is_given_once(void **state)
{
    static const char *const pools[][2] = {{"2001:db8::2", "2001:db8::401"}};
    struct subnet *subnet = subnet_new("2001:db8::/64", pools, 1);
    struct ip_address address;
    struct ipam *ipam;

    assert_int_equal(0, ipam_new(&ipam));
    for (int i = 0; i < 0x400; i++) {
        if (i % 100 == 99)
            ipam_collided(ipam, subnet);
        assert_int_equal(0, ipam_choose(ipam, subnet, &address));
        set_allocated(ipam, &address, true);
    }
    assert_int_equal(0x400, ipam_count(ipam, SUBNET));
    assert_int_equal(-ENOSPC, ipam_choose(ipam, subnet, &address));
    ipam_free(ipam);
    object_free(&subnet->object);
}

static void a_freed_address_is_not_the_next_to_be_given(void **state)
{
    static const char *const pools[][2] = {{"10.0.0.2", "10.0.0.254"}};
    struct subnet *subnet = subnet_new("10.0.0.0/24", pools, 1);
    struct ip_address first, second, third;
    struct ipam *ipam;

    assert_int_equal(0, ipam_new(&ipam));
    assert_int_equal(0, ipam_choose(ipam, subnet, &first));
    assert_int_equal(0, ipam_choose(ipam, subnet, &second));
    ipam_release(ipam, SUBNET, &first);
    assert_int_equal(0, ipam_choose(ipam, subnet, &third));
    assert_false(ip_equal(&first, &third));
    ipam_free(ipam);
    object_free(&subnet->object);
}

/* Visits 10,000 addresses of a space; what the steps cost is bounded by runs, which stay few, not by the space. */
static void a_large_subnet_fills_like_a_small_one(void **state)
{
    static const char *const pools[][2] = {{"10.0.0.1", "10.255.255.254"}};
    struct subnet *subnet = subnet_new("10.0.0.0/8", pools, 1);
    struct ip_address address, first;
    struct ipam *ipam;

    assert_int_equal(0, ipam_new(&ipam));
    ip_parse("10.0.0.1", &first);
    for (int i = 0; i < 10000; i++) {
        assert_int_equal(0, ipam_choose(ipam, subnet, &address));
        assert_int_equal(i, ip_distance(&first, &address));
        set_allocated(ipam, &address, true);
    }
    ipam_free(ipam);
    object_free(&subnet->object);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(agrees_with_a_naive_allocator),
        cmocka_unit_test(every_address_of_a_pool_is_given_once),
        cmocka_unit_test(a_freed_address_is_not_the_next_to_be_given),
        cmocka_unit_test(a_large_subnet_fills_like_a_small_one),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
