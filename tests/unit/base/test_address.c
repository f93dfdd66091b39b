#include "test.h"

#include <errno.h>
#include <string.h>

#include "weft/base/address.h"
#include "weft/base/util.h"

typedef unsigned __int128 u128;

static struct ip_address ip(const char *text)
{
    struct ip_address address;

    if (ip_parse(text, &address) < 0)
        fail_msg("'%s' is refused", text);
    return address;
}

static struct ip_prefix prefix(const char *text)
{
    struct ip_prefix parsed;

    if (prefix_parse_host(text, &parsed) < 0)
        fail_msg("'%s' is refused", text);
    return parsed;
}

static void addresses_print_as_rfc_5952_says(void **state)
{
    static const char *const cases[][2] = {
        {"10.0.0.1", "10.0.0.1"},
        {"0.0.0.0", "0.0.0.0"},
        {"255.255.255.255", "255.255.255.255"},
        {"2001:DB8:0:0:0:0:0:1", "2001:db8::1"},
        {"2001:db8:0:1:0:0:0:1", "2001:db8:0:1::1"},
        {"2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"},
        {"::", "::"},
        {"::1", "::1"},
        {"::ffff:10.0.0.1", "10.0.0.1"},
        {"fe80::a:0:0:1", "fe80::a:0:0:1"},
    };
    char text[IP_TEXT_SIZE];

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct ip_address address = ip(cases[i][0]);

        assert_string_equal(ip_format(&address, text), cases[i][1]);
    }
}

static void bad_addresses_are_refused_and_leave_the_result(void **state)
{
    static const char *const cases[] = {"",         "10.0.0",   "10.0.0.256",  "10.0.0.300", "10.0.0.1 ", " 10.0.0.1", "10.0.0.1/8",
                                        "1::2::3",  "12345::",  "g::1",        "10.0.0.01x", ":",         "::1%eth0",  "1.2.3.4.5",
                                        "::ffff:1", "0x0a.0.0.1"};
    struct ip_address before, address;

    memset(&before, 0x5a, sizeof before);
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        address = before;
        if (streq(cases[i], "::ffff:1"))
            continue; /* This one is an address: ::ffff:0001, not a mapped one. */
        if (ip_parse(cases[i], &address) != -EINVAL)
            fail_msg("'%s' is taken", cases[i]);
        assert_memory_equal(&address, &before, sizeof before);
    }
    address = ip("::ffff:1");
    assert_false(ip_is_v4(&address));
}

static void kinds_of_addresses(void **state)
{
    struct ip_address a;

    a = ip("10.1.2.3");
    assert_true(ip_is_v4(&a) && !ip_is_zero(&a) && !ip_is_multicast(&a));
    assert_int_equal(ip_to_v4(&a), 0x0a010203);
    a = ip_from_v4(0x0a010203);
    assert_int_equal(ip_to_v4(&a), 0x0a010203);
    a = ip("0.0.0.0");
    assert_true(ip_is_zero(&a));
    a = ip("::");
    assert_true(ip_is_zero(&a) && !ip_is_v4(&a));
    assert_int_equal(ip_to_v4(&a), 0);
    a = ip("224.0.0.1");
    assert_true(ip_is_multicast(&a));
    a = ip("239.255.255.255");
    assert_true(ip_is_multicast(&a));
    a = ip("240.0.0.1");
    assert_false(ip_is_multicast(&a));
    a = ip("ff02::1");
    assert_true(ip_is_multicast(&a));
    a = ip("fe80::1");
    assert_false(ip_is_multicast(&a));
}

static void prefixes_need_zero_host_bits(void **state)
{
    struct ip_prefix parsed;
    char text[PREFIX_TEXT_SIZE];

    assert_int_equal(prefix_parse("10.0.0.0/8", &parsed), 0);
    assert_int_equal(parsed.length, 8);
    assert_int_equal(prefix_bits(&parsed), 104);
    assert_int_equal(prefix_parse("10.0.0.1/8", &parsed), -ERANGE);
    assert_int_equal(prefix_parse("10.0.0.0", &parsed), -EINVAL);
    assert_int_equal(prefix_parse("10.0.0.0/33", &parsed), -EINVAL);
    assert_int_equal(prefix_parse("10.0.0.0/", &parsed), -EINVAL);
    assert_int_equal(prefix_parse("10.0.0.0/-1", &parsed), -EINVAL);
    assert_int_equal(prefix_parse("10.0.0.0/8/8", &parsed), -EINVAL);
    assert_int_equal(prefix_parse("/8", &parsed), -EINVAL);
    assert_int_equal(prefix_parse("2001:db8::/129", &parsed), -EINVAL);
    assert_int_equal(prefix_parse("2001:db8::/32", &parsed), 0);
    assert_int_equal(prefix_bits(&parsed), 32);
    assert_int_equal(prefix_parse("0.0.0.0/0", &parsed), 0);
    assert_int_equal(prefix_parse("::/0", &parsed), 0);
    for (int length = 1; length <= 96; length++) {
        struct ip_address last;

        snprintf(text, sizeof text, "::/%d", length);
        assert_int_equal(prefix_parse(text, &parsed), length <= 80 ? -EINVAL : 0);
        assert_int_equal(prefix_parse_host(text, &parsed), length <= 80 ? -EINVAL : 0);
        if (length <= 80)
            continue;
        last = prefix_last(&parsed);
        assert_true(prefix_contains(&parsed, &last));
    }
    assert_int_equal(prefix_parse("::8000:0:0/81", &parsed), -EINVAL);
    assert_int_equal(prefix_parse("::fffe:0:0/95", &parsed), -EINVAL);
    assert_int_equal(prefix_parse("::fffc:0:0/95", &parsed), 0);
    assert_int_equal(prefix_parse("4000::/2", &parsed), 0);
    parsed = prefix("10.1.2.3/8");
    assert_string_equal(prefix_format(&parsed, text), "10.0.0.0/8");
    parsed = prefix("10.1.2.3");
    assert_string_equal(prefix_format(&parsed, text), "10.1.2.3/32");
    parsed = prefix("fe80::1");
    assert_string_equal(prefix_format(&parsed, text), "fe80::1/128");
}

static void default_routes_contain_their_family_only(void **state)
{
    struct ip_prefix v4 = prefix("0.0.0.0/0"), v6 = prefix("::/0");
    struct ip_address a = ip("10.0.0.1"), b = ip("2001:db8::1");

    assert_true(prefix_contains(&v4, &a) && prefix_contains(&v6, &b));
    assert_false(prefix_contains(&v4, &b));
    assert_false(prefix_contains(&v6, &a));
    assert_false(prefix_overlaps(&v4, &v6));
}

static u128 number(const struct ip_address *address)
{
    u128 value = 0;

    for (int i = 0; i < 16; i++)
        value = value << 8 | address->bytes[i];
    return value;
}

static struct ip_address random_address(unsigned *seed, bool v4)
{
    struct ip_address address;

    for (int i = 0; i < 16; i++) /* Few values, so that carries and equal parts are common. */
        address.bytes[i] = (uint8_t[]){0, 0xff, 0, 0xff, 1, 0x80, 0xfe, rand_r(seed)}[rand_r(seed) % 8];
    if (v4)
        return ip_from_v4((uint32_t)number(&address));
    address.bytes[0] |= 0x20; /* Never a mapped one. */
    return address;
}

static void arithmetic_is_that_of_128_bit_numbers(void **state)
{
    unsigned seed = test_seed(__func__);

    for (int i = 0; i < 20000; i++) {
        bool v4 = rand_r(&seed) % 2;
        struct ip_address a = random_address(&seed, v4), b = random_address(&seed, v4), sum;
        int64_t step = (int64_t)((uint64_t)rand_r(&seed) << 33 ^ (uint64_t)rand_r(&seed) << 3 ^ rand_r(&seed));
        u128 x = number(&a), y = number(&b);

        step >>= rand_r(&seed) % 64;
        if (rand_r(&seed) % 2)
            step = -step;
        sum = ip_add(&a, step);
        if (v4)
            assert_int_equal(ip_to_v4(&sum), (uint32_t)(ip_to_v4(&a) + (uint64_t)step));
        else
            assert_true(number(&sum) == x + (u128)(__int128)step);
        assert_int_equal(ip_compare(&a, &b) < 0, x < y);
        assert_int_equal(ip_equal(&a, &b), x == y);
        assert_true(ip_distance(&a, &b) == (y <= x ? 0 : y - x > UINT64_MAX ? UINT64_MAX : (uint64_t)(y - x)));
    }
}

/* A prefix that covers 'address', of any length.  False for one that must be refused, as it holds the mapped range. */
static bool random_prefix(unsigned *seed, const struct ip_address *address, bool v4, struct ip_prefix *ret)
{
    struct ip_address mapped = ip_from_v4(0);
    int length = rand_r(seed) % (v4 ? 33 : 129);
    char text[PREFIX_TEXT_SIZE];

    snprintf(text, sizeof text, "%s/%d", ip_format(address, (char[IP_TEXT_SIZE]){}), length);
    if (!v4 && length > 0 && length < 96 && number(address) >> (128 - length) == number(&mapped) >> (128 - length)) {
        assert_int_equal(prefix_parse_host(text, ret), -EINVAL);
        return false;
    }
    *ret = prefix(text);
    return true;
}

static void prefixes_are_ranges_of_numbers(void **state)
{
    unsigned seed = test_seed(__func__);

    for (int i = 0; i < 20000; i++) {
        bool v4 = rand_r(&seed) % 2;
        struct ip_address a = random_address(&seed, v4), b = random_address(&seed, v4), first, last;
        struct ip_prefix p, q, again;
        char text[PREFIX_TEXT_SIZE];
        u128 host, lowest, highest;

        if (!random_prefix(&seed, &a, v4, &p) || !random_prefix(&seed, &b, v4, &q))
            continue;
        host = prefix_bits(&p) == 128 ? 0 : ((u128)~(u128)0) >> prefix_bits(&p);
        first = prefix_first(&p);
        last = prefix_last(&p);
        lowest = number(&a) & ~host;
        highest = number(&a) | host;
        assert_true(number(&first) == lowest && number(&last) == highest);
        assert_int_equal(prefix_contains(&p, &b), number(&b) >= lowest && number(&b) <= highest);
        first = prefix_first(&q);
        last = prefix_last(&q);
        assert_int_equal(prefix_overlaps(&p, &q), number(&first) <= highest && number(&last) >= lowest);
        assert_int_equal(prefix_overlaps(&q, &p), prefix_overlaps(&p, &q));
        assert_int_equal(prefix_parse(prefix_format(&p, text), &again), 0);
        assert_int_equal(again.length, p.length);
        assert_true(ip_equal(&again.address, &p.address));
    }
}

static void macs_parse_in_either_case(void **state)
{
    static const char *const bad[] = {"", "fa:16:3e:00:00", "fa:16:3e:00:00:0", "fa:16:3e:00:00:0g", "fa-16-3e-00-00-01",
                                      "fa:16:3e:00:00:01:", "fa:16:3e:00:00:01 ", "fa163e000001", "f:a16:3e:00:00:01"};
    struct mac_address mac, same;
    char text[MAC_TEXT_SIZE];

    assert_int_equal(mac_parse("Fa:16:3E:0A:b0:01", &mac), 0);
    assert_string_equal(mac_format(&mac, text), "fa:16:3e:0a:b0:01");
    assert_int_equal(mac_parse(text, &same), 0);
    assert_true(mac_equal(&mac, &same));
    assert_false(mac_is_multicast(&mac));
    assert_int_equal(mac_parse("ff:ff:ff:ff:ff:ff", &same), 0);
    assert_true(mac_is_multicast(&same));
    assert_false(mac_equal(&mac, &same));
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
        if (mac_parse(bad[i], &mac) != -EINVAL)
            fail_msg("'%s' is taken", bad[i]);
}

static void eui64_flips_the_universal_bit(void **state)
{
    struct ip_prefix network = prefix("2001:db8:1:2::/64");
    struct mac_address mac;
    struct ip_address address;
    char text[IP_TEXT_SIZE];

    assert_int_equal(mac_parse("fa:16:3e:12:34:56", &mac), 0);
    address = ip_from_eui64(&network, &mac);
    assert_string_equal(ip_format(&address, text), "2001:db8:1:2:f816:3eff:fe12:3456");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(addresses_print_as_rfc_5952_says),
        cmocka_unit_test(bad_addresses_are_refused_and_leave_the_result),
        cmocka_unit_test(kinds_of_addresses),
        cmocka_unit_test(prefixes_need_zero_host_bits),
        cmocka_unit_test(default_routes_contain_their_family_only),
        cmocka_unit_test(arithmetic_is_that_of_128_bit_numbers),
        cmocka_unit_test(prefixes_are_ranges_of_numbers),
        cmocka_unit_test(macs_parse_in_either_case),
        cmocka_unit_test(eui64_flips_the_universal_bit),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
