/* Options by Neutron's names: text in, wire form out. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "frames.h"
#include "weft/services/dhcp/options.h"

static const struct {
    uint8_t version;
    const char *name, *value;
    unsigned code;
    const char *hex; /* NULL: refused, and 'field' names what is wrong. */
    const char *field;
} cases[] = {
    {4, "bootfile-name", "pxe.0", 67, "70 78 65 2e 30"},
    {4, "option:bootfile-name", "pxe.0", 67, "70 78 65 2e 30"},
    {4, "67", "a", 67, "61"},
    {4, "mtu", "1400", 26, "05 78"},
    {4, "MTU", "1400", 26, "05 78"},
    {4, "26", "1400", 26, "05 78"},
    {4, "ntp-server", "10.0.0.1, 10.0.0.2", 42, "0a000001 0a000002"},
    {4, "server-ip-address", "123.123.123.456", 0, NULL, "opt_value"},
    {4, "server-ip-address", "123.123.123.45", 256, "7b7b7b2d"},
    {4, "tftp-server", "10.0.0.3", 66, "31 30 2e 30 2e 30 2e 33"},
    {4, "domain-search", "a.b,c", 119, "01 61 01 62 00 01 63 00"},
    {4, "classless-static-route", "10.0.0.0/8,192.0.2.1", 121, "08 0a c0000201"},
    {4, "classless-static-route", "0.0.0.0/0,192.0.2.1,10.1.2.0/23,0.0.0.0", 121, "00 c0000201 17 0a0102 00000000"},
    {4, "classless-static-route", "10.0.0.0/8", 0, NULL, "opt_value"},
    {4, "classless-static-route", "192.0.2.1,10.0.0.0/8", 0, NULL, "opt_value"},
    {4, "classless-static-route", "10.0.0.1/8,192.0.2.1", 0, NULL, "opt_value"},
    {4, "static-route", "10.0.0.1,10.0.0.2", 33, "0a000001 0a000002"},
    {4, "static-route", "10.0.0.1", 0, NULL, "opt_value"},
    {4, "sip-server", "10.0.0.1", 120, "01 0a000001"},
    {4, "sip-server", "a.b", 120, "00 01 61 01 62 00"},
    {4, "lease-time", "infinite", 51, "ffffffff"},
    {4, "lease-time", "60", 51, "0000003c"},
    {4, "time-offset", "-3600", 2, "fffff1f0"},
    {4, "ip-forward-enable", "true", 19, "01"},
    {4, "ip-forward-enable", "maybe", 0, NULL, "opt_value"},
    {4, "default-ttl", "256", 0, NULL, "opt_value"},
    {4, "224", "aa:bb:0c", 224, "aa bb 0c"},
    {4, "224", "10.0.0.1", 224, "0a000001"},
    {4, "224", "7", 224, "07"},
    {4, "224", "70000", 224, "00011170"},
    {4, "224", "hello", 224, "68 65 6c 6c 6f"},
    {4, "vendor-encap", "01:02", 43, "01 02"},
    {4, "message-type", "5", 0, NULL, "opt_name"},
    {4, "53", "5", 0, NULL, "opt_name"},
    {4, "0", "5", 0, NULL, "opt_name"},
    {4, "255", "5", 0, NULL, "opt_name"},
    {4, "no-such-option", "5", 0, NULL, "opt_name"},
    {4, "router", "fe80::1", 0, NULL, "opt_value"},
    {4, "router", "", 0, NULL, "opt_value"},
    {4, "router", "10.0.0.1,,10.0.0.2", 0, NULL, "opt_value"},
    {6, "dns-server", "2001:db8::1,[2001:db8::2]", 23,
     "20010db8000000000000000000000001 20010db8000000000000000000000002"},
    {6, "option6:dns-server", "2001:db8::1", 23, "20010db8000000000000000000000001"},
    {6, "23", "2001:db8::1", 23, "20010db8000000000000000000000001"},
    {6, "dns-server", "10.0.0.1", 0, NULL, "opt_value"},
    {6, "bootfile-url", "http://a/b", 59, "687474703a2f2f612f62"},
    {6, "bootfile-param", "a,bc", 60, "0001 61 0002 6263"},
    {6, "ntp-server", "2001:db8::1", 56, "0001 0010 20010db8000000000000000000000001"},
    {6, "ntp-server", "ff05::101", 56, "0002 0010 ff050000000000000000000000000101"},
    {6, "ntp-server", "a.b", 56, "0003 0005 01 61 01 62 00"},
    {6, "domain-search", "a.b", 24, "01 61 01 62 00"},
    {6, "ia-na", "1", 0, NULL, "opt_name"},
    {6, "mtu", "1400", 0, NULL, "opt_name"},
};

static void names_and_values(void **state)
{
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct dhcp_option option = {0};
        struct error error = {0};
        struct bytes expected = {0};
        int result = dhcp_option_encode(cases[i].version, cases[i].name, cases[i].value, &option, &error);
        if (!cases[i].hex) {
            if (result != -EINVAL)
                fail_msg("%s=%s was taken", cases[i].name, cases[i].value);
            assert_string_equal(error.field, cases[i].field);
            assert_non_null(strstr(error.message, cases[i].field[4] == 'n' ? cases[i].name : cases[i].value));
            continue;
        }
        if (result < 0)
            fail_msg("%s=%s: %s", cases[i].name, cases[i].value, error.message);
        add_hex(&expected, cases[i].hex);
        assert_int_equal(option.code, cases[i].code);
        assert_int_equal(option.size, expected.size);
        assert_memory_equal(option.data, expected.data, expected.size);
    }
}

static void overlong_value_is_refused(void **state)
{
    char value[DHCP_OPTION_MAX + 2];
    struct dhcp_option option;
    struct error error = {0};
    memset(value, 'x', sizeof(value) - 1);
    value[sizeof(value) - 1] = '\0';
    assert_int_equal(dhcp_option_encode(4, "root-path", value, &option, &error), -EINVAL);
    value[sizeof(value) - 2] = '\0';
    assert_int_equal(dhcp_option_encode(4, "root-path", value, &option, NULL), 0);
    assert_int_equal(option.size, DHCP_OPTION_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_and_values),
        cmocka_unit_test(overlong_value_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
