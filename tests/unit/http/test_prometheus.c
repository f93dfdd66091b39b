/* The text that is scraped. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "weft/http/counters.h"
#include "weft/http/prometheus.h"
#include "weft/http/routes.h"

static void samples_have_labels_and_exact_numbers(void **state)
{
    struct buffer text = {0};

    prometheus_begin(&text, "a_total", "counter", "Things.");
    prometheus_sample(&text, "a_total", 0, NULL);
    prometheus_sample(&text, "a_total", 9007199254740991.0, "x", "1", "y", "", NULL);
    prometheus_single(&text, "b", "gauge", "Seconds.", 0.25);
    prometheus_single(&text, "c", "gauge", "Many.", 18446744073709551615.0);
    assert_string_equal(buffer_string(&text), "# HELP a_total Things.\n# TYPE a_total counter\na_total 0\na_total{x=\"1\",y=\"\"} 9007199254740991\n"
                                              "# HELP b Seconds.\n# TYPE b gauge\nb 0.25\n"
                                              "# HELP c Many.\n# TYPE c gauge\nc 1.84467440737096e+19\n");
    buffer_clear(&text);
}

static void label_values_are_escaped(void **state)
{
    struct buffer text = {0};

    prometheus_sample(&text, "a", 1, "name", "\"h1\"\\ \n{}", NULL);
    assert_string_equal(buffer_string(&text), "a{name=\"\\\"h1\\\"\\\\ \\n{}\"} 1\n");
    buffer_clear(&text);
}

static void requests_are_counted_by_route_and_status(void **state)
{
    static const struct route route = {"GET", "/a/{id}"};
    struct request_counters *counters;
    struct buffer text = {0};

    assert_int_equal(request_counters_new(&counters), 0);
    request_counters_count(counters, NULL, 404, 1000);
    request_counters_count(counters, &route, 200, 50 * 1000);
    request_counters_count(counters, &route, 200, 7 * 1000 * 1000);
    for (int status = 400; status < 410; status++)
        request_counters_count(counters, &route, status, UINT64_C(10000000000));
    request_counters_write(counters, "x", &text);
    buffer_string(&text);
    assert_non_null(strstr(text.data, "\nx_requests_total{method=\"\",route=\"\",status=\"404\"} 1\n"));
    assert_non_null(strstr(text.data, "\nx_requests_total{method=\"GET\",route=\"/a/{id}\",status=\"200\"} 2\n"));
    assert_non_null(strstr(text.data, "\nx_requests_total{method=\"GET\",route=\"/a/{id}\",status=\"406\"} 1\n"));
    assert_non_null(strstr(text.data, "\nx_requests_total{method=\"GET\",route=\"/a/{id}\",status=\"other\"} 3\n"));
    assert_non_null(strstr(text.data, "\nx_request_duration_seconds_bucket{method=\"GET\",route=\"/a/{id}\",le=\"0.0001\"} 1\n"));
    assert_non_null(strstr(text.data, "\nx_request_duration_seconds_bucket{method=\"GET\",route=\"/a/{id}\",le=\"0.01\"} 2\n"));
    assert_non_null(strstr(text.data, "\nx_request_duration_seconds_bucket{method=\"GET\",route=\"/a/{id}\",le=\"5\"} 2\n"));
    assert_non_null(strstr(text.data, "\nx_request_duration_seconds_bucket{method=\"GET\",route=\"/a/{id}\",le=\"+Inf\"} 12\n"));
    assert_non_null(strstr(text.data, "\nx_request_duration_seconds_sum{method=\"GET\",route=\"/a/{id}\"} 100.00705\n"));
    assert_non_null(strstr(text.data, "\nx_request_duration_seconds_count{method=\"GET\",route=\"/a/{id}\"} 12\n"));
    buffer_clear(&text);
    request_counters_free(counters);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(samples_have_labels_and_exact_numbers),
        cmocka_unit_test(label_values_are_escaped),
        cmocka_unit_test(requests_are_counted_by_route_and_status),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
