/* Times, numbers, UUIDs, errors. */
#include "test.h"

#include <errno.h>
#include <string.h>

#include "weft/base/clock.h"
#include "weft/base/error.h"
#include "weft/base/util.h"
#include "weft/base/uuid.h"

static void times_are_rfc_3339_in_utc(void **state)
{
    char text[TIME_TEXT_SIZE];
    int64_t seconds;

    assert_string_equal(time_format(0, text), "1970-01-01T00:00:00Z");
    assert_string_equal(time_format(1709251199, text), "2024-02-29T23:59:59Z");
    assert_int_equal(time_parse("2024-02-29T23:59:59Z", &seconds), 0);
    assert_int_equal(seconds, 1709251199);
    assert_int_equal(time_parse("1969-12-31T23:59:59Z", &seconds), 0);
    assert_int_equal(seconds, -1);
    assert_string_equal(time_format(INT64_MAX, text), "");
}

static void bad_times_are_refused(void **state)
{
    static const char *const cases[] = {"",
                                        "2024-02-30T00:00:00Z",
                                        "2023-02-29T00:00:00Z",
                                        "2024-13-01T00:00:00Z",
                                        "2024-01-01T24:00:00Z",
                                        "2024-01-01T00:60:00Z",
                                        "2024-01-01T00:00:61Z",
                                        "2024-01-01T00:00:00",
                                        "2024-01-01T00:00:00ZZ",
                                        "2024-01-01 00:00:00Z",
                                        "2024-1-1T0:0:0Z",
                                        " 2024-01-01T00:00:00Z",
                                        "2024-01-01T00:00:00+01:00"};
    int64_t seconds = 42;

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
        if (time_parse(cases[i], &seconds) != -EINVAL)
            fail_msg("'%s' is taken", cases[i]);
    assert_int_equal(seconds, 42);
}

static void any_time_prints_and_parses(void **state)
{
    unsigned seed = test_seed(__func__);

    for (int i = 0; i < 10000; i++) {
        int64_t seconds = ((int64_t)rand_r(&seed) << 31 | rand_r(&seed)) % 253402300800, parsed;
        char text[TIME_TEXT_SIZE];

        assert_int_equal(time_parse(time_format(seconds, text), &parsed), 0);
        assert_int_equal(parsed, seconds);
    }
}

static void monotonic_clock_does_not_go_back(void **state)
{
    uint64_t before = clock_monotonic_ns();

    for (int i = 0; i < 1000; i++) {
        uint64_t now = clock_monotonic_ns();

        assert_true(now >= before);
        before = now;
    }
    assert_true(clock_monotonic_ms() >= before / 1000000);
    int64_t earliest = (int64_t)time(NULL), now_s = clock_realtime_s(); /* time() may be a tick behind. */
    assert_true(now_s >= earliest && now_s <= (int64_t)time(NULL) + 1);
}

static void numbers_are_whole_and_in_range(void **state)
{
    static const char *const bad[] = {"", "-1", "+1", " 1", "1 ", "1x", "0x10", "1.0", "one"};
    uint64_t number;

    assert_int_equal(parse_u64("0", 0, UINT64_MAX, &number), 0);
    assert_int_equal(number, 0);
    assert_int_equal(parse_u64("18446744073709551615", 0, UINT64_MAX, &number), 0);
    assert_true(number == UINT64_MAX);
    assert_int_equal(parse_u64("18446744073709551616", 0, UINT64_MAX, &number), -ERANGE);
    assert_int_equal(parse_u64("9", 10, 20, &number), -ERANGE);
    assert_int_equal(parse_u64("21", 10, 20, &number), -ERANGE);
    assert_int_equal(parse_u64("10", 10, 20, &number), 0);
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
        if (parse_u64(bad[i], 0, 100, &number) != -EINVAL)
            fail_msg("'%s' is taken", bad[i]);
}

static void long_text_is_cut_and_said_so(void **state)
{
    char text[4] = "zzz";

    assert_int_equal(string_copy(text, sizeof text, "abc"), 0);
    assert_string_equal(text, "abc");
    assert_int_equal(string_copy(text, sizeof text, "abcd"), -ENAMETOOLONG);
    assert_string_equal(text, "abc");
    assert_int_equal(string_copy(text, sizeof text, ""), 0);
    assert_string_equal(text, "");
}

static void uuids_are_version_4_and_differ(void **state)
{
    char a[UUID_TEXT_SIZE], b[UUID_TEXT_SIZE], hex[33];

    for (int i = 0; i < 1000; i++) {
        uuid_generate(a);
        uuid_generate(b);
        assert_true(uuid_is_valid(a));
        assert_int_equal(a[14], '4');
        assert_non_null(strchr("89ab", a[19]));
        assert_string_not_equal(a, b);
    }
    uuid_generate_hex(hex);
    assert_int_equal(strlen(hex), 32);
    assert_int_equal(strspn(hex, "0123456789abcdef"), 32);
    assert_true(uuid_is_valid("9B2F0A9E-6a0c-4f5e-8c2b-7f1d2e3a4b5c"));
    assert_false(uuid_is_valid(""));
    assert_false(uuid_is_valid("9b2f0a9e-6a0c-4f5e-8c2b-7f1d2e3a4b5"));
    assert_false(uuid_is_valid("9b2f0a9e-6a0c-4f5e-8c2b-7f1d2e3a4b5cd"));
    assert_false(uuid_is_valid("9b2f0a9e_6a0c-4f5e-8c2b-7f1d2e3a4b5c"));
    assert_false(uuid_is_valid("9b2f0a9e-6a0c-4f5e-8c2b-7f1d2e3a4b5g"));
}

static void first_error_is_kept(void **state)
{
    struct error error = {};

    assert_int_equal(error_set(&error, -EINVAL, "mtu", "'%s' is not a number", "x"), -EINVAL);
    assert_int_equal(error_set_type(&error, -ENOENT, "NotFound", "other", "second"), -ENOENT);
    assert_int_equal(error.code, -EINVAL);
    assert_string_equal(error.field, "mtu");
    assert_string_equal(error.message, "'x' is not a number");
    assert_string_equal(error.type, "");
    assert_int_equal(error_set(NULL, -EINVAL, NULL, "ignored"), -EINVAL);
}

static void fields_are_nested_by_prefix(void **state)
{
    struct error error = {};
    char before[sizeof error.field];

    error_set(&error, -EINVAL, "ip_address", "'x' is not an IP address");
    error_prefix_field(&error, "fixed_ips[%d]", 3);
    assert_string_equal(error.field, "fixed_ips[3].ip_address");
    error_prefix_field(&error, "port");
    assert_string_equal(error.field, "port.fixed_ips[3].ip_address");
    for (int i = 0; i < 50; i++)
        error_prefix_field(&error, "deep");
    strcpy(before, error.field);
    assert_true(strlen(before) < sizeof error.field);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(times_are_rfc_3339_in_utc),
        cmocka_unit_test(bad_times_are_refused),
        cmocka_unit_test(any_time_prints_and_parses),
        cmocka_unit_test(monotonic_clock_does_not_go_back),
        cmocka_unit_test(numbers_are_whole_and_in_range),
        cmocka_unit_test(long_text_is_cut_and_said_so),
        cmocka_unit_test(uuids_are_version_4_and_differ),
        cmocka_unit_test(first_error_is_kept),
        cmocka_unit_test(fields_are_nested_by_prefix),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
