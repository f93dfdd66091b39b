/* Which connections a person means. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <errno.h>
#include <netinet/in.h>

#include "weft/base/util.h"
#include "weft/model/connection-filter.h"

static struct connection_filter filter_of(const char *name, const char *text)
{
    struct connection_filter filter = {0};
    struct error error = {0};

    assert_int_equal(connection_filter_add(&filter, name, text, &error), 0);
    return filter;
}

static bool fits(const char *name, const char *text)
{
    struct connection_names inside = {.local_port = 40000, .remote_port = 80}, outside = {.local_port = 2000, .remote_port = 80};
    struct connection_filter filter = filter_of(name, text);

    ip_parse("10.0.0.5", &inside.local);
    ip_parse("198.51.100.7", &inside.remote);
    ip_parse("203.0.113.10", &outside.local);
    outside.remote = inside.remote;
    return connection_filter_fits(&filter, IPPROTO_TCP, 2, &inside, &outside);
}

static void each_condition_is_compared(void **state)
{
    static const struct {
        const char *name, *yes, *no;
    } cases[] = {
        {"protocol", "tcp", "udp"}, {"protocol", "6", "17"}, {"state", "established", "half-open"}, {"translated", "true", "false"},
        {"address", "10.0.0.5", "10.0.0.6"}, {"address", "198.51.100.0/24", "198.51.101.0/24"}, {"address", "203.0.113.10", "fd00::1"},
        {"port_number", "80", "8080"}, {"port_number", "40000", "0"}, {"port_number", "2000", "2001"},
    };

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        assert_true(fits(cases[i].name, cases[i].yes));
        assert_false(fits(cases[i].name, cases[i].no));
    }
}

static void all_conditions_must_hold(void **state)
{
    struct connection_names inside = {.local_port = 1, .remote_port = 2};
    struct connection_filter filter = filter_of("protocol", "udp"), none = {0};
    struct error error = {0};

    assert_int_equal(connection_filter_add(&filter, "port_number", "2", &error), 0);
    assert_true(connection_filter_fits(&filter, IPPROTO_UDP, 1, &inside, NULL));
    assert_false(connection_filter_fits(&filter, IPPROTO_TCP, 1, &inside, NULL));
    assert_int_equal(connection_filter_add(&filter, "translated", "true", &error), 0);
    assert_false(connection_filter_fits(&filter, IPPROTO_UDP, 1, &inside, NULL));
    assert_true(connection_filter_fits(&none, 99, 99, &inside, NULL));
}

static void what_makes_no_sense_is_refused(void **state)
{
    static const char *const wrong[][2] = {{"protocol", "tcpp"}, {"protocol", "256"}, {"address", "10.0.0"}, {"address", "10.0.0.1/24"}, {"port_number", "65536"},
                                           {"port_number", "-1"}, {"state", "open"}, {"translated", "1"}, {"translated", ""}};
    struct connection_filter filter = {0}, before = {0};

    for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
        struct error error = {0};

        assert_int_equal(connection_filter_add(&filter, wrong[i][0], wrong[i][1], &error), -EINVAL);
        assert_non_null(strstr(error.message, wrong[i][0]));
    }
    filter.protocol = before.protocol;
    assert_false(filter.has_protocol || filter.has_address || filter.has_port || filter.has_state || filter.has_translated);
    struct error error = {0};
    assert_int_equal(connection_filter_add(&filter, "color", "red", &error), -ENOENT);
}

static void protocols_have_names_both_ways(void **state)
{
    char text[8];
    uint8_t protocol;

    for (unsigned i = 0; i < 256; i++) {
        assert_int_equal(connection_protocol_parse(connection_protocol_name((uint8_t)i, text), &protocol), 0);
        assert_int_equal(protocol, i);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_condition_is_compared),
        cmocka_unit_test(all_conditions_must_hold),
        cmocka_unit_test(what_makes_no_sense_is_refused),
        cmocka_unit_test(protocols_have_names_both_ways),
    };

    return cmocka_run_group_tests_name("connection filter", tests, NULL, NULL);
}
