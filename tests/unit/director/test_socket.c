/* What a director says of itself, there and back. */
#include <errno.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "weft/base/util.h"
#include "weft/director/socket.h"

static struct ip_address address(const char *text)
{
    struct ip_address address;

    assert_int_equal(ip_parse(text, &address), 0);
    return address;
}

static void state_comes_back_as_it_was(void **state)
{
    struct server_state servers[2] = {
        {.address = address("10.0.0.1"),
         .port = 8080,
         .is_up = true,
         .is_used = true,
         .weight = SERVER_WEIGHT_MAX,
         .active = 3,
         .inactive = 4,
         .persistent = 5,
         .total = {1, 2, 3, 4, INT64_MAX},
         .rate = {9, 8, 7, 6, 5}},
        {.address = address("10.0.0.1"), .port = 8081, .is_sorry = true, .reason = "tcp: \"refused\""},
    };
    struct service_state services[2] = {
        {.protocol = IPPROTO_UDP,
         .port = 53,
         .address = address("192.0.2.1"),
         .has_quorum = true,
         .has_pair = true,
         .has_same_rows = true,
         .total = {.connections = 7},
         .servers = servers,
         .n_servers = 2},
        {.mark = 7, .ipv6 = true},
    };
    struct director_state said = {.config_path = "/etc/weft/lb.conf",
                                  .config_error = "no",
                                  .connections = 77,
                                  .services = services,
                                  .n_services = 2};
    struct virtual_service key = {.mark = 7, .ipv6 = true},
                           web = {.protocol = IPPROTO_UDP, .port = 53, .address = address("192.0.2.1")};
    struct real_server sorry = {.address = address("10.0.0.1"), .port = 8081},
                       server = {.address = address("10.0.0.1"), .port = 8080};
    json_t *json = director_state_encode(&said), *again;
    struct director_state heard = {0};

    (void)state;
    assert_non_null(json);
    assert_int_equal(director_state_decode(json, &heard), 0);
    again = director_state_encode(&heard);
    assert_true(json_equal(json, again));
    json_decref(again);
    json_decref(json);
    assert_string_equal(heard.config_path, "/etc/weft/lb.conf");
    assert_string_equal(heard.config_error, "no");
    assert_int_equal(heard.connections, 77);
    assert_int_equal(heard.n_services, 2);
    assert_int_equal(heard.services[0].n_servers, 2);
    assert_true(ip_equal(&heard.services[0].servers[1].address, &servers[1].address));
    assert_true(heard.services[0].servers[1].is_sorry && !heard.services[0].servers[1].is_used);
    assert_int_equal(heard.services[0].servers[0].weight, SERVER_WEIGHT_MAX);
    assert_int_equal(heard.services[0].servers[0].total.packets_in, 2);
    assert_int_equal(heard.services[0].servers[0].rate.bytes_out, 5);
    assert_string_equal(heard.services[0].servers[1].reason, "tcp: \"refused\"");
    assert_ptr_equal(director_state_find(&heard, &key), &heard.services[1]);
    key.ipv6 = false;
    assert_null(director_state_find(&heard, &key));
    assert_ptr_equal(director_state_find(&heard, &web), &heard.services[0]);
    assert_ptr_equal(service_state_find(&heard.services[0], &server), &heard.services[0].servers[0]);
    assert_null(service_state_find(&heard.services[0], &sorry)); /* It is no server of the list. */
    director_state_clear(&heard);
}

static void connections_come_back_as_they_were(void **state)
{
    struct director_connection connections[2] = {
        {.protocol = IPPROTO_TCP,
         .expires_s = 899,
         .state = "ESTABLISHED",
         .client = address("203.0.113.9"),
         .client_port = 40000,
         .service = address("192.0.2.1"),
         .service_port = 80,
         .server = address("10.0.0.1"),
         .server_port = 8080},
        {.protocol = IPPROTO_IP,
         .state = "NONE",
         .is_persistence = true,
         .client = address("2001:db8::"),
         .service = address("::"),
         .server = address("2001:db8::5")},
    };
    struct director_connections said = {.connections = connections, .n_connections = 2, .is_cut = true}, heard = {0};
    json_t *json = director_connections_encode(&said), *again;

    (void)state;
    assert_non_null(json);
    assert_int_equal(director_connections_decode(json, &heard), 0);
    again = director_connections_encode(&heard);
    assert_true(json_equal(json, again));
    json_decref(again);
    json_decref(json);
    assert_true(heard.is_cut);
    assert_int_equal(heard.n_connections, 2);
    assert_int_equal(heard.connections[0].server_port, 8080);
    assert_string_equal(heard.connections[0].state, "ESTABLISHED");
    assert_true(heard.connections[1].is_persistence && !heard.connections[0].is_persistence);
    assert_true(ip_equal(&heard.connections[1].client, &connections[1].client));
    director_connections_clear(&heard);
}

static const char *const no_state[] = {
    "{}",
    "[]",
    "{\"config_path\": \"\", \"config_error\": \"\", \"connections\": -1, \"services\": []}",
    "{\"config_path\": \"\", \"config_error\": \"\", \"connections\": 1, \"services\": {}}",
    "{\"config_path\": \"\", \"config_error\": \"\", \"connections\": 1, \"services\": [{}]}",
    "{\"config_path\": \"\", \"config_error\": \"\", \"connections\": 1, \"services\": [{\"service\": {\"mark\": 1}, "
    "\"quorum\": true,"
    " \"total\": [1, 2, 3, 4], \"rate\": [0, 0, 0, 0, 0], \"servers\": []}]}",
    "{\"config_path\": \"\", \"config_error\": \"\", \"connections\": 1, \"services\": [{\"service\": {\"mark\": 1}, "
    "\"quorum\": true,"
    " \"total\": [1, 2, 3, 4, 5], \"rate\": [0, 0, 0, 0, -1], \"servers\": []}]}",
    "{\"config_path\": \"\", \"config_error\": \"\", \"connections\": 1, \"services\": [{\"service\": {\"mark\": 1}, "
    "\"quorum\": true,"
    " \"total\": [1, 2, 3, 4, 5], \"rate\": [0, 0, 0, 0, 0], \"servers\": [{}]}]}",
};

static const char *const no_connections[] = {
    "{}",
    "{\"cut\": false, \"connections\": 7}",
    "{\"cut\": false, \"connections\": [[6, 1, \"NONE\", false, \"1.1.1.1\", 1, \"2.2.2.2\", 2, \"3.3.3.3\", 65536]]}",
    "{\"cut\": false, \"connections\": [[6, 1, \"NONE\", false, \"1.1.1.1\", 1, \"2.2.2.2\", 2, \"x\", 5]]}",
};

static void what_is_no_answer_is_refused(void **state)
{
    struct director_connections connections = {0};
    struct director_state director = {0};

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(no_state); i++) {
        json_t *json = json_loads(no_state[i], 0, NULL);

        assert_non_null(json);
        assert_int_equal(director_state_decode(json, &director), -EBADMSG);
        json_decref(json);
    }
    for (size_t i = 0; i < ARRAY_SIZE(no_connections); i++) {
        json_t *json = json_loads(no_connections[i], 0, NULL);

        assert_non_null(json);
        assert_int_equal(director_connections_decode(json, &connections), -EBADMSG);
        json_decref(json);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(state_comes_back_as_it_was),
        cmocka_unit_test(connections_come_back_as_they_were),
        cmocka_unit_test(what_is_no_answer_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
