/* Targets and routes: what a request line becomes before any handler sees it. */
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

#include "weft/base/util.h"
#include "weft/http/routes.h"
#include "weft/http/target.h"

static void targets_are_split_and_decoded(void **state)
{
    static const struct {
        const char *text, *segments, *query; /* Segments joined by '|', parameters as "name=value|". */
    } cases[] = {
        {"/", "", ""},
        {"/v2.0", "v2.0|", ""},
        {"/v2.0/", "v2.0|", ""},
        {"/v2.0/ports?", "v2.0|ports|", ""},
        {"/v2.0/ports?limit=2&fields=id&fields=name", "v2.0|ports|", "limit=2|fields=id|fields=name|"},
        {"/a%2Fb/c", "a/b|c|", ""},
        {"/a//b", "a||b|", ""},
        {"/%C3%A9", "\xc3\xa9|", ""},
        {"/a?x=%26%3D+1", "a|", "x=&= 1|"},
        {"/a?x", "a|", "x=|"},
        {"/a?=1&&x=1=2", "a|", "=1|x=1=2|"},
        {"/a+b", "a+b|", ""},
        {"http://host:1/a/b?c=d", "a|b|", "c=d|"},
        {"http://host", "", ""},
        {"/a#b", "a|", ""},
    };

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        char segments[200] = "", query[200] = "";
        struct target target;
        struct error error = {0};

        if (target_parse(cases[i].text, &target, &error) < 0)
            fail_msg("%s: %s", cases[i].text, error.message);
        for (size_t j = 0; j < target.n_segments; j++)
            strcat(strcat(segments, target.segments[j]), "|");
        for (size_t j = 0; j < target.n_query; j++)
            strcat(strcat(strcat(strcat(query, target.query[j].name), "="), target.query[j].value), "|");
        assert_string_equal(segments, cases[i].segments);
        assert_string_equal(query, cases[i].query);
        target_clear(&target);
    }
}

static void bad_targets_are_refused(void **state)
{
    static const char *const cases[] = {"", "x", "*", "/%", "/%4", "/%zz", "/%00", "/%ff", "/%c3", "/%ed%a0%80", "/%c0%80", "/%f5%80%80%80", "/a?%",
                                        "/a?x=%0", "/a?x=%00", "/a?%ff=1", "/1/2/3/4/5/6/7/8/9/10/11/12/13/14/15/16/17"};

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct target target;
        struct error error = {0};

        if (target_parse(cases[i], &target, &error) != -EINVAL || !error.message[0] || !error.field[0])
            fail_msg("'%s' was taken", cases[i]);
        target_clear(&target);
    }
}

static void as_many_parameters_as_the_limit_are_taken(void **state)
{
    char text[4 * TARGET_MAX_QUERY + 64] = "/a?";

    for (int extra = 0; extra <= 1; extra++) {
        struct target target;

        strcpy(text, "/a?");
        for (int i = 0; i < TARGET_MAX_QUERY + extra; i++)
            strcat(text, i ? "&b=1" : "b=1");
        assert_int_equal(target_parse(text, &target, NULL), extra ? -EINVAL : 0);
        if (!extra)
            assert_int_equal(target.n_query, TARGET_MAX_QUERY);
        target_clear(&target);
    }
}

static void handle(struct request *request)
{
}

static const struct route table[] = {
    {"GET", "/", 0, handle},
    {"GET", "/v2.0/quotas/{project}", 0, handle},
    {"PUT", "/v2.0/quotas/{project}", 0, handle},
    {"GET", "/v2.0/quotas/tenant", 0, handle},
    {"GET", "/p/{p}/users/{u}/roles/{r}", 0, handle},
    {"HEAD", "/p/{p}/users", 0, handle},
    {"GET", "/p/{p}/users", 0, handle},
};

static int find(struct routes *routes, const char *method, const char *path, const struct route **route, const char **parameters, size_t *n, char allow[96])
{
    static struct target target; /* What is found borrows from it. */

    target_clear(&target);
    assert_int_equal(target_parse(path, &target, NULL), 0);
    return routes_find(routes, method, target.segments, target.n_segments, route, parameters, n, allow, 96);
}

static void most_literal_route_wins(void **state)
{
    const struct route *route;
    const char *parameters[ROUTE_MAX_PARAMETERS];
    struct routes *routes;
    char allow[96];
    size_t n;

    assert_int_equal(routes_new(&routes), 0);
    assert_int_equal(routes_add(routes, table, ARRAY_SIZE(table)), 0);
    assert_int_equal(find(routes, "GET", "/", &route, parameters, &n, allow), 0);
    assert_ptr_equal(route, &table[0]);
    assert_int_equal(find(routes, "GET", "/v2.0/quotas/tenant", &route, parameters, &n, allow), 0);
    assert_ptr_equal(route, &table[3]);
    assert_int_equal(n, 0);
    assert_int_equal(find(routes, "PUT", "/v2.0/quotas/x", &route, parameters, &n, allow), 0);
    assert_ptr_equal(route, &table[2]);
    assert_string_equal(parameters[0], "x");
    assert_int_equal(find(routes, "PUT", "/v2.0/quotas/tenant", &route, parameters, &n, allow), -EOPNOTSUPP);
    assert_string_equal(allow, "GET, HEAD");
    assert_int_equal(find(routes, "DELETE", "/v2.0/quotas/x", &route, parameters, &n, allow), -EOPNOTSUPP);
    assert_string_equal(allow, "GET, HEAD, PUT");
    assert_int_equal(find(routes, "GET", "/p/1/users/2/roles/3", &route, parameters, &n, allow), 0);
    assert_int_equal(n, 3);
    assert_string_equal(parameters[2], "3");
    assert_int_equal(find(routes, "HEAD", "/p/1/users", &route, parameters, &n, allow), 0);
    assert_ptr_equal(route, &table[5]);
    assert_int_equal(find(routes, "HEAD", "/v2.0/quotas/x", &route, parameters, &n, allow), 0);
    assert_ptr_equal(route, &table[1]);
    assert_int_equal(find(routes, "GET", "/v2.0/quotas/", &route, parameters, &n, allow), -ENOENT);
    assert_int_equal(find(routes, "GET", "/p//users", &route, parameters, &n, allow), -ENOENT);
    assert_int_equal(find(routes, "GET", "/nothing", &route, parameters, &n, allow), -ENOENT);
    routes_free(routes);
}

static void an_open_route_matches_what_nobody_else_does(void **state)
{
    static const struct route open[] = {{"GET", "/{path...}", .handle = handle}, {"GET", "/v2.0/{rest...}", .handle = handle}};
    static const struct route bad[] = {{"GET", "/{path...}/more", .handle = handle}};
    const struct route *route;
    const char *parameters[ROUTE_MAX_PARAMETERS];
    struct routes *routes;
    char allow[96];
    size_t n;

    assert_int_equal(routes_new(&routes), 0);
    assert_int_equal(routes_add(routes, table, ARRAY_SIZE(table)), 0);
    assert_int_equal(routes_add(routes, open, ARRAY_SIZE(open)), 0);
    assert_int_equal(routes_add(routes, bad, ARRAY_SIZE(bad)), -EINVAL);
    assert_int_equal(find(routes, "GET", "/nothing/of/this", &route, parameters, &n, allow), 0);
    assert_ptr_equal(route, &open[0]);
    assert_int_equal(n, 0);
    assert_int_equal(find(routes, "GET", "/v2.0/nothing", &route, parameters, &n, allow), 0);
    assert_ptr_equal(route, &open[1]);
    assert_int_equal(find(routes, "GET", "/v2.0/quotas/tenant", &route, parameters, &n, allow), 0);
    assert_ptr_equal(route, &table[3]);
    assert_int_equal(find(routes, "PUT", "/nothing", &route, parameters, &n, allow), -EOPNOTSUPP);
    routes_free(routes);
}

static void same_route_twice_and_bad_patterns_are_refused(void **state)
{
    static const struct route bad[] = {{"GET", "no-slash", 0, handle}, {"GET", "/a//b", 0, handle},
                                       {"GET", "/{a}/{b}/{c}/{d}/{e}", 0, handle}, {"GET", "/a", 0, NULL}};
    struct routes *routes;

    assert_int_equal(routes_new(&routes), 0);
    assert_int_equal(routes_add(routes, table, 1), 0);
    assert_int_equal(routes_add(routes, table, 1), -EEXIST);
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
        assert_int_equal(routes_add(routes, &bad[i], 1), -EINVAL);
    assert_int_equal(routes_count(routes), 1);
    routes_free(routes);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(targets_are_split_and_decoded),
        cmocka_unit_test(bad_targets_are_refused),
        cmocka_unit_test(as_many_parameters_as_the_limit_are_taken),
        cmocka_unit_test(most_literal_route_wins),
        cmocka_unit_test(an_open_route_matches_what_nobody_else_does),
        cmocka_unit_test(same_route_twice_and_bad_patterns_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
