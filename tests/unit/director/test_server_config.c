/* A physical server's file: what it says, and what is refused with which words. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "weft/base/util.h"
#include "weft/director/server-config.h"

#define GOOD_LISTS "\"interfaces\": [\"eth0\"], \"addresses\": [\"192.0.2.1\", \"2001:db8:5::1\"], \"directors\": [\"10.0.0.2\"], \"servers\": [\"10.0.0.0/24\"]"

static void what_it_says(void **state)
{
    static const char text[] = "{\"real_server\": {" GOOD_LISTS ", \"port\": 6081, \"hand_on_rate\": 50}}";
    _cleanup_(server_config_freep) struct server_config *config = NULL;
    struct error error = {0};
    char prefix[PREFIX_TEXT_SIZE];

    assert_int_equal(0, server_config_parse(text, strlen(text), &config, &error));
    assert_int_equal(1, config->n_interfaces);
    assert_string_equal("eth0", config->interfaces[0]);
    assert_int_equal(2, config->n_addresses);
    assert_string_equal("10.0.0.2/32", prefix_format(&config->directors[0], prefix));
    assert_string_equal("10.0.0.0/24", prefix_format(&config->servers[0], prefix));
    assert_int_equal(6081, config->port);
    assert_int_equal(50, config->hand_on_rate);
}

static void what_is_not_given_is_usual(void **state)
{
    static const char text[] = "{\"real_server\": {" GOOD_LISTS "}}";
    _cleanup_(server_config_freep) struct server_config *config = NULL;

    assert_int_equal(0, server_config_parse(text, strlen(text), &config, NULL));
    assert_int_equal(6080, config->port);
    assert_int_equal(100000, config->hand_on_rate);
}

static struct server_config *parsed(const char *text)
{
    struct server_config *config = NULL;

    assert_int_equal(0, server_config_parse(text, strlen(text), &config, NULL));
    return config;
}

#define LISTS(peers) "\"interfaces\": [\"eth0\", \"eth1\"], \"addresses\": [\"192.0.2.1\"], " peers
#define PEERS4 "\"directors\": [\"10.0.0.2\"], \"servers\": [\"10.0.0.0/24\"]"
#define PEERS6 "\"directors\": [\"10.0.0.2\"], \"servers\": [\"10.0.0.0/24\", \"2001:db8::/64\"]"

static void answers_leave_by(void **state)
{
    struct server_config *config = parsed("{\"real_server\": {" LISTS(PEERS4) "}}");

    assert_int_equal(2, config->n_answer_interfaces);
    assert_string_equal("eth1", config->answer_interfaces[1]);
    server_config_free(config);
    config = parsed("{\"real_server\": {" LISTS(PEERS4) ", \"answer_interfaces\": [\"wan0\"]}}");
    assert_int_equal(1, config->n_answer_interfaces);
    assert_string_equal("wan0", config->answer_interfaces[0]);
    server_config_free(config);
    config = parsed("{\"real_server\": {" LISTS(PEERS4) ", \"answer_interfaces\": []}}");
    assert_int_equal(0, config->n_answer_interfaces);
    server_config_free(config);
}

/* IP and TCP, and in front VXLAN over IPv4, or a chain of three over IPv6. */
static void what_answers_may_announce(void **state)
{
    struct server_config *config = parsed("{\"real_server\": {" LISTS(PEERS4) "}}");

    assert_int_equal(1500 - 40 - 50, server_config_mss(config, 1500, false));
    assert_int_equal(1500 - 60 - 50, server_config_mss(config, 1500, true));
    assert_int_equal(9000 - 40 - 50, server_config_mss(config, 9000, false));
    assert_int_equal(536, server_config_mss(config, 576, false));
    assert_int_equal(1220, server_config_mss(config, 1280, true));
    assert_int_equal(65535, server_config_mss(config, 1 << 20, true));
    server_config_free(config);
    config = parsed("{\"real_server\": {" LISTS(PEERS6) "}}");
    assert_int_equal(1356, server_config_mss(config, 1500, false));
    assert_int_equal(1336, server_config_mss(config, 1500, true));
    server_config_free(config);
}

#define BAD(interfaces, addresses, directors, servers) "{\"real_server\": {\"interfaces\": " interfaces ", \"addresses\": " addresses ", \"directors\": " directors ", \"servers\": " servers "}}"

static const struct {
    const char *text, *message;
} refused[] = {
    {"", "line 1, column 0: '[' or '{' expected near end of file"},
    {"{\"real_server\": 5}", "real_server: '5' is not an object"},
    {"{}", "real_server: it is missing"},
    {"{\"real_server\": {\"addresses\": [\"192.0.2.1\"]}}", "real_server.interfaces: it is missing"},
    {"{\"real_server\": {" GOOD_LISTS ", \"prot\": 1}}", "real_server.prot: there is no such member"},
    {"{\"real_server\": {" GOOD_LISTS ", \"port\": 0}}", "real_server.port: '0' is not a number from 1 to 65535"},
    {"{\"real_server\": {" GOOD_LISTS ", \"port\": 65536}}", "real_server.port: '65536' is not a number from 1 to 65535"},
    {"{\"real_server\": {" GOOD_LISTS ", \"hand_on_rate\": 0}}", "real_server.hand_on_rate: '0' is not a number from 1 to 10000000"},
    {BAD("[]", "[\"192.0.2.1\"]", "[\"10.0.0.2\"]", "[]"), "real_server.interfaces: [] has nothing in it"},
    {BAD("[\"eth0\"]", "[]", "[\"10.0.0.2\"]", "[]"), "real_server.addresses: [] has nothing in it"},
    {BAD("[\"eth0\"]", "[\"192.0.2.1\"]", "[]", "[]"), "real_server.directors: [] has nothing in it"},
    {BAD("[\"eth0\", \"eth0\"]", "[\"192.0.2.1\"]", "[\"10.0.0.2\"]", "[]"), "real_server.interfaces[1]: 'eth0' is there twice"},
    {"{\"real_server\": {" GOOD_LISTS ", \"answer_interfaces\": [\"a\", \"a\"]}}", "real_server.answer_interfaces[1]: 'a' is there twice"},
    {"{\"real_server\": {" GOOD_LISTS ", \"answer_interfaces\": [\"\"]}}", "real_server.answer_interfaces[0]: '' is not the name of an interface"},
    {BAD("[\"a/b\"]", "[\"192.0.2.1\"]", "[\"10.0.0.2\"]", "[]"), "real_server.interfaces[0]: 'a/b' is not the name of an interface"},
    {BAD("[7]", "[\"192.0.2.1\"]", "[\"10.0.0.2\"]", "[]"), "real_server.interfaces[0]: '7' is not the name of an interface"},
    {BAD("[\"eth0\"]", "[\"192.0.2.0/24\"]", "[\"10.0.0.2\"]", "[]"), "real_server.addresses[0]: '192.0.2.0/24' is not the address of a host"},
    {BAD("[\"eth0\"]", "[\"224.0.0.1\"]", "[\"10.0.0.2\"]", "[]"), "real_server.addresses[0]: '224.0.0.1' is not the address of a host"},
    {BAD("[\"eth0\"]", "[\"192.0.2.1\"]", "[\"10.0.0.2/24\"]", "[]"), "real_server.directors[0]: '10.0.0.2/24' is not a prefix whose other bits are zero"},
    {BAD("[\"eth0\"]", "[\"192.0.2.1\"]", "[\"10.0.0.2\"]", "[\"10.0.0.3\", \"s1\"]"), "real_server.servers[1]: 's1' is not the address of a host, nor a prefix of such"},
    {BAD("[\"eth0\"]", "[\"192.0.2.1\"]", "[\"0.0.0.0/0\"]", "[]"), "real_server.directors[0]: '0.0.0.0/0' is not the address of a host, nor a prefix of such"},
};

static void what_is_wrong_is_named(void **state)
{
    for (size_t i = 0; i < ARRAY_SIZE(refused); i++) {
        struct server_config *config = NULL;
        struct error error = {0};

        assert_true(server_config_parse(refused[i].text, strlen(refused[i].text), &config, &error) < 0);
        assert_null(config);
        assert_string_equal(refused[i].message, error.message);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_it_says),
        cmocka_unit_test(what_is_not_given_is_usual),
        cmocka_unit_test(answers_leave_by),
        cmocka_unit_test(what_answers_may_announce),
        cmocka_unit_test(what_is_wrong_is_named),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
