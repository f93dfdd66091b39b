/* A director's file: what is read, what is refused and in which words, and how it is replaced. */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "weft/base/util.h"
#include "weft/director/config.h"

static const char everything[] =
    "{\"interfaces\": [\"eth0\", \"bond1.7\"], \"local_addresses\": [\"192.0.2.9\", \"2001:db8::9\"],"
    " \"timeouts\": {\"tcp_s\": 60, \"udp_s\": 7}, \"connections\": 4000000,"
    " \"mark_rules\": [{\"mark\": 5, \"family\": \"ipv6\", \"protocol\": \"tcp\", \"source\": \"2001:db8::/32\","
    "   \"destination\": \"2001:db8:1::1/128\", \"source_ports\": \"1024-65535\", \"destination_ports\": 443, "
    "\"interface\": \"eth0\"},"
    "  {\"mark\": 6, \"protocol\": 47}],"
    " \"services\": [{\"servers\": [{\"address\": \"10.0.0.1\", \"port\": 8080, \"forwarding\": \"nat\", \"weight\": 3,"
    "   \"upper_threshold\": 100, \"lower_threshold\": 50, \"inhibit_on_failure\": true, \"checks\": ["
    "     {\"type\": \"http\", \"port\": 81, \"interval_ms\": 6000, \"timeout_ms\": 3000, \"retries\": 3, "
    "\"retry_delay_ms\": 500,"
    "      \"warmup_ms\": 10, \"alpha\": true, \"address\": \"10.0.0.2\", \"bind_address\": \"10.0.0.3\", "
    "\"bind_port\": 99,"
    "      \"bind_interface\": \"eth1\", \"mark\": 7, \"host\": \"www\", \"http_version\": \"1.1\", "
    "\"follow_redirects\": true,"
    "      \"urls\": [{\"path\": \"/a?b=c\", \"status\": \"200,301-303\", \"host\": \"x\", \"digest\": "
    "\"0123456789abcdef0123456789abcdef\", \"regex\": \"^ok\\\\b\", \"regex_options\": \"caseless multiline\", \"regex_no_match\": true, "
    "\"regex_min_offset\": 3, \"regex_max_offset\": 9}]},"
    "     {\"type\": \"dns\", \"dns_name\": \"example.org\", \"dns_type\": \"A\"}, {\"type\": \"misc\", \"command\": "
    "\"/bin/true -x\", \"dynamic_weight\": true},"
    "     {\"type\": \"udp\", \"payload\": \"00ff\", \"require_reply\": true}, {\"type\": \"ping\"},"
    "     {\"type\": \"file\", \"file\": \"/run/a\", \"file_weight\": -7, \"reverse\": true}]},"
    "   {\"address\": \"10.0.0.2\", \"forwarding\": \"full-nat\"}],"
    "   \"protocol\": \"tcp\", \"address\": \"192.0.2.1\", \"port\": 80, \"scheduler\": \"mh\", \"scheduler_flags\": "
    "[\"port\", \"fallback\"],"
    "   \"track_connections\": true, \"clamp_mss\": true, \"history_s\": 7200, \"half_open_limit\": 1000,"
    "   \"persistence\": {\"netmask\": \"255.255.255.0\"}, \"quorum\": 3, \"hysteresis\": 2,"
    "   \"sorry_server\": {\"address\": \"10.0.0.9\", \"forwarding\": \"nat\", \"port\": 1}},"
    "  {\"mark\": 5, \"family\": \"ipv6\", \"one_packet\": true, \"persistence\": {\"timeout_s\": 60, "
    "\"prefix_length\": 64}, \"servers\": ["
    "   {\"address\": \"10.1.0.1\", \"forwarding\": \"tunnel\", \"tunnel\": {\"type\": \"gue\", \"port\": 6080, "
    "\"checksum\": \"remote\"}},"
    "   {\"address\": \"2001:db8::5\", \"forwarding\": \"tunnel\", \"tunnel\": {\"type\": \"vxlan\", \"port\": 4789, "
    "\"vni\": 9}},"
    "   {\"address\": \"2001:db8::6\", \"forwarding\": \"l3dsr\", \"dscp\": 63, \"second_chance\": true}, {\"address\": \"2001:db8::7\", "
    "\"weight\": 0}]},"
    "  {\"protocol\": \"sctp\", \"address\": \"2001:db8::1\", \"port\": 0, \"persistence\": {}, \"servers\": []}]}";

static struct director_config *must_parse(const char *text)
{
    struct director_config *config = NULL;
    struct error error = {0};

    if (director_config_parse(text, strlen(text), &config, &error) < 0)
        fail_msg("%s", error.message);
    return config;
}

static void every_member_is_read(void **state)
{
    _cleanup_(director_config_freep) struct director_config *config = must_parse(everything);
    const struct virtual_service *web = &config->services[0], *mark = &config->services[1], *any = &config->services[2];
    const struct health_check *http = &web->servers[0].checks[0];

    (void)state;
    assert_int_equal(config->n_interfaces, 2);
    assert_string_equal(config->interfaces[1], "bond1.7");
    assert_int_equal(config->n_local_addresses, 2);
    assert_int_equal(config->timeouts.tcp_s, 60);
    assert_int_equal(config->timeouts.tcp_fin_s, 120);
    assert_int_equal(config->timeouts.udp_s, 7);
    assert_int_equal(config->connections, 4000000);
    assert_int_equal(config->mark_rules[0].source_port_min, 1024);
    assert_int_equal(config->mark_rules[0].destination_port_max, 443);
    assert_int_equal(config->mark_rules[1].protocol, 47);
    assert_int_equal(config->mark_rules[1].destination_port_max, 65535);
    assert_int_equal(web->protocol, IPPROTO_TCP);
    assert_int_equal(web->scheduler, SCHEDULER_MH);
    assert_int_equal(web->scheduler_flags, SCHEDULER_FALLBACK | SCHEDULER_PORT);
    assert_int_equal(web->persistence_timeout_s, 360);
    assert_int_equal(web->persistence_mask, 0xffffff00);
    assert_true(web->has_sorry_server);
    assert_int_equal(web->sorry_server.port, 1);
    assert_int_equal(web->servers[0].port, 8080);
    assert_int_equal(web->servers[1].port, 80); /* The service's. */
    assert_int_equal(web->servers[1].weight, 1);
    assert_int_equal(http->interval_ms, 6000);
    assert_int_equal(http->port, 81);
    assert_true(http->alpha && http->http_1_1 && http->has_bind_address);
    assert_string_equal(http->urls[0].status, "200,301-303");
    assert_int_equal(web->servers[0].checks[1].interval_ms, 60000);
    assert_true(mark->ipv6);
    assert_int_equal(mark->persistence_mask, 64);
    assert_int_equal(mark->servers[0].tunnel.checksum, TUNNEL_CHECKSUM_REMOTE);
    assert_int_equal(mark->servers[1].tunnel.vni, 9);
    assert_int_equal(mark->servers[2].dscp, 63);
    assert_true(mark->servers[2].second_chance && !mark->servers[0].second_chance);
    assert_int_equal(any->persistence_mask, 128);
    assert_int_equal(any->protocol, IPPROTO_SCTP);
}

static void what_is_written_reads_the_same(void **state)
{
    _cleanup_(director_config_freep) struct director_config *config = must_parse(everything), *again = NULL;
    _cleanup_(freep) char *text = director_config_format(config), *second = NULL;

    (void)state;
    again = must_parse(text);
    second = director_config_format(again);
    assert_string_equal(text, second);
    assert_non_null(strstr(text, "\"dscp\": 63"));
    assert_null(strstr(text, "\"weight\": 1\n")); /* What is as by default is not written. */
    assert_null(strstr(text, "tcp_fin_s"));
}

#define SERVICE(members)                                                                                               \
    "{\"services\": [{\"protocol\": \"tcp\", \"address\": \"192.0.2.1\", \"port\": 80" members "}]}"
#define SERVER(members) SERVICE(", \"servers\": [{\"address\": \"10.0.0.1\"" members "}]")
#define CHECK(members) SERVER(", \"checks\": [{" members "}]")
#define BY_MARK(check) "{\"services\": [{\"mark\": 7, \"servers\": [{\"address\": \"10.0.0.1\", \"checks\": [{\"type\": \"tcp\", " check "}]}]}]}"
#define RULE(members) "{\"mark_rules\": [{\"mark\": 1" members "}]}"

static const struct {
    const char *text, *message;
    int code; /* 0: -EINVAL. */
} refused[] = {
    {"", "line 1, column 0: '[' or '{' expected near end of file", 0},
    {"{\n\"services\": [}\n", "line 2, column 14: unexpected token near '}'", 0},
    {"{\"services\": [], \"services\": []}", "line 1, column 27: duplicate object key near '\"services\"'", 0},
    {"[]", "'[]' is not an object", 0},
    {"{\"service\": []}", "service: there is no such member", 0},
    {"{\"interfaces\": \"eth0\"}", "interfaces: 'eth0' is not a list", 0},
    {"{\"interfaces\": [\"eth0\", \"a-name-that-is-too-long\"]}",
     "interfaces[1]: 'a-name-that-is-too-long' is not the name of an interface", 0},
    {"{\"local_addresses\": [\"10.0.0.300\"]}", "local_addresses[0]: '10.0.0.300' is not an IP address", 0},
    {"{\"local_addresses\": [\"::\"]}", "local_addresses[0]: '::' is not the address of a host", 0},
    {"{\"timeouts\": {\"tcp_s\": 0}}", "timeouts.tcp_s: '0' is not a number from 1 to 2678400", 0},
    {"{\"connections\": 1000}", "connections: '1000' is not a number from 1024 to 8388608", 0},
    {"{\"connections\": 8388609}", "connections: '8388609' is not a number from 1024 to 8388608", 0},
    {"{\"services\": {}}", "services: '{}' is not a list", 0},
    {"{\"services\": [7]}", "services[0]: '7' is not an object", 0},
    {"{\"services\": [{\"address\": \"192.0.2.1\", \"port\": 1}]}", "services[0].protocol: it is missing", 0},
    {"{\"services\": [{\"mark\": 1, \"port\": 1}]}", "services[0].port: there is no such member", 0},
    {"{\"services\": [{\"mark\": 0}]}", "services[0].mark: '0' is not a number from 1 to 4294967295", 0},
    {"{\"services\": [{\"protocol\": \"icmp\"}]}", "services[0].protocol: 'icmp' is not one of tcp, udp, sctp", 0},
    {SERVICE(", \"scheduler\": \"wrrr\""),
     "services[0].scheduler: 'wrrr' is not one of rr, wrr, lc, wlc, lblc, lblcr, dh, sh, sed, nq, fo, ovf, mh", 0},
    {SERVICE(", \"scheduler_flags\": [\"x\"]"),
     "services[0].scheduler_flags[0]: 'x' is not one of fallback, port, flag-3", 0},
    {SERVICE(", \"one_packet\": 1"), "services[0].one_packet: '1' is not true or false", 0},
    {SERVICE(", \"one_packet\": true"), "services[0].one_packet: it is for UDP", 0},
    {SERVICE(", \"persistence\": {\"timeout_s\": 0}"),
     "services[0].persistence.timeout_s: '0' is not a number from 1 to 2678400", 0},
    {SERVICE(", \"persistence\": {\"prefix_length\": 64}"),
     "services[0].persistence.prefix_length: it is of IPv6; clients of IPv4 have a netmask", 0},
    {SERVICE(", \"persistence\": {\"netmask\": \"::1\"}"),
     "services[0].persistence.netmask: it is of IPv4; clients of IPv6 have a prefix_length", 0},
    {SERVICE(", \"quorum\": 2, \"hysteresis\": 2"), "services[0].hysteresis: 2 is not less than the quorum, 2", 0},
    {"{\"services\": [{\"protocol\": \"tcp\", \"address\": \"192.0.2.1\", \"port\": 0}]}",
     "services[0].port: 0, which is every port, needs persistence", 0},
    {"{\"services\": [{\"protocol\": \"tcp\", \"address\": \"224.0.0.1\", \"port\": 1}]}",
     "services[0].address: '224.0.0.1' is not the address of a host", 0},
    {"{\"services\": [{\"mark\": 1}, {\"mark\": 1, \"family\": \"ipv6\"}, {\"mark\": 1}]}",
     "services[2]: mark 1 is there twice", -EEXIST},
    {SERVICE(", \"sorry_server\": {\"address\": \"10.0.0.1\", \"notify_up\": \"/bin/x\"}"),
     "services[0].sorry_server.notify_up: a sorry server has none", 0},
    {SERVICE(", \"sorry_server\": {\"address\": \"10.0.0.1\", \"checks\": [{\"type\": \"tcp\"}]}"),
     "services[0].sorry_server.checks: a sorry server has none", 0},
    {SERVER(", \"port\": 81"), "services[0].servers[0].port: 81 is not the service's, 80, which direct keeps", 0},
    {SERVER("}, {\"address\": \"10.0.0.2\"}, {\"address\": \"10.0.0.1\""),
     "services[0].servers[2]: 10.0.0.1:80 is there twice", -EEXIST},
    {SERVER(", \"weight\": 2147483648"),
     "services[0].servers[0].weight: '2147483648' is not a number from 0 to 2147483647", 0},
    {SERVER(", \"weight\": 1.5"), "services[0].servers[0].weight: '1.5' is not a number from 0 to 2147483647", 0},
    {SERVER(", \"weight\": -1"), "services[0].servers[0].weight: '-1' is not a number from 0 to 2147483647", 0},
    {SERVER(", \"upper_threshold\": 2147483648"),
     "services[0].servers[0].upper_threshold: '2147483648' is not a number from 0 to 2147483647", 0},
    {SERVER(", \"upper_threshold\": 5, \"lower_threshold\": 6"),
     "services[0].servers[0].lower_threshold: 6 is more than upper_threshold, 5", -ERANGE},
    {SERVER(", \"forwarding\": \"dr\""),
     "services[0].servers[0].forwarding: 'dr' is not one of nat, full-nat, direct, tunnel, l3dsr", 0},
    {SERVER(", \"forwarding\": \"full-nat\""),
     "services[0].servers[0].forwarding: full-nat needs local_addresses of the server's family", 0},
    {SERVER(", \"forwarding\": \"l3dsr\""), "services[0].servers[0].dscp: l3dsr needs one, from 1 to 63", 0},
    {SERVER(", \"forwarding\": \"nat\", \"second_chance\": true"),
     "services[0].servers[0].second_chance: true is not for nat, whose connections the director remembers", 0},
    {SERVER(", \"second_chance\": 1"), "services[0].servers[0].second_chance: '1' is not true or false", 0},
    {"{\"second_chance_port\": 0}", "second_chance_port: '0' is not a number from 1 to 65535", 0},
    {SERVER(", \"dscp\": 3"), "services[0].servers[0].dscp: it is for l3dsr, and from 1 to 63", 0},
    {SERVER(", \"tunnel\": {\"type\": \"gre\"}"),
     "services[0].servers[0].tunnel: it is for servers whose forwarding is tunnel", 0},
    {SERVER(", \"forwarding\": \"tunnel\", \"tunnel\": {\"type\": \"gue\"}"),
     "services[0].servers[0].tunnel.port: a tunnel of type gue needs one", 0},
    {SERVER(", \"forwarding\": \"tunnel\", \"tunnel\": {\"type\": \"gre\", \"port\": 1}"),
     "services[0].servers[0].tunnel.port: a tunnel of type gre has none", 0},
    {SERVER(", \"forwarding\": \"tunnel\", \"tunnel\": {\"type\": \"gre\", \"vni\": 1}"),
     "services[0].servers[0].tunnel.vni: a tunnel of type gre has none", 0},
    {SERVER(", \"forwarding\": \"tunnel\", \"tunnel\": {\"type\": \"ipip\", \"checksum\": \"full\"}"),
     "services[0].servers[0].tunnel.checksum: a tunnel of type ipip has none", 0},
    {SERVER(", \"forwarding\": \"tunnel\", \"tunnel\": {\"type\": \"gre\", \"checksum\": \"remote\"}"),
     "services[0].servers[0].tunnel.checksum: 'remote' is for tunnels of type gue", 0},
    {"{\"services\": [{\"protocol\": \"tcp\", \"address\": \"192.0.2.1\", \"port\": 80, \"servers\": [{\"address\": "
     "\"::1\"}]}]}",
     "services[0].servers[0].address: clients and servers are of one family unless a tunnel leads there", 0},
    {CHECK("\"interval_ms\": 1000"), "services[0].servers[0].checks[0].type: it is missing", 0},
    {CHECK("\"type\": \"http\""), "services[0].servers[0].checks[0].urls: a check of type http needs at least one", 0},
    {CHECK("\"type\": \"http\", \"urls\": [{\"path\": \"x\"}]"),
     "services[0].servers[0].checks[0].urls[0].path: 'x' does not begin with '/', or has a blank or '#'", 0},
    {CHECK("\"type\": \"https\", \"urls\": [{\"path\": \"/\", \"status\": \"200-\"}]"),
     "services[0].servers[0].checks[0].urls[0].status: '200-' is not a list such as 200,301-303 of codes from 100 to "
     "599",
     0},
    {CHECK("\"type\": \"http\", \"urls\": [{\"path\": \"/\", \"digest\": \"00\"}]"),
     "services[0].servers[0].checks[0].urls[0].digest: '00' is not 32 hexadecimal digits (MD5)", 0},
    {CHECK("\"type\": \"http\", \"urls\": [{\"path\": \"/\", \"regex\": \"a(b\"}]"),
     "services[0].servers[0].checks[0].urls[0].regex: 'a(b' is not a regular expression: missing closing parenthesis (byte 3)", 0},
    {CHECK("\"type\": \"http\", \"urls\": [{\"path\": \"/\", \"regex\": \"a\", \"regex_options\": \"loud\"}]"),
     "services[0].servers[0].checks[0].urls[0].regex_options: 'loud' is not an option of regular expressions", 0},
    {CHECK("\"type\": \"http\", \"urls\": [{\"path\": \"/\", \"regex_no_match\": true}]"),
     "services[0].servers[0].checks[0].urls[0].regex_no_match: it is for a URL with a regex", 0},
    {CHECK("\"type\": \"http\", \"urls\": [{\"path\": \"/\", \"host\": \"a b\"}]"),
     "services[0].servers[0].checks[0].urls[0].host: 'a b' is not the name of a host", 0},
    {CHECK("\"type\": \"tcp\", \"urls\": [{\"path\": \"/\"}]"),
     "services[0].servers[0].checks[0].urls: a check of type tcp has none", 0},
    {CHECK("\"type\": \"misc\""), "services[0].servers[0].checks[0].command: a check of type misc needs one", 0},
    {CHECK("\"type\": \"tcp\", \"path\": \"direct\""), "services[0].servers[0].checks[0].path: 'direct' is not one of auto, server, traffic", 0},
    {CHECK("\"type\": \"misc\", \"command\": \"true\", \"path\": \"traffic\""),
     "services[0].servers[0].checks[0].path: a check of type misc does not go the way of the traffic", 0},
    {CHECK("\"type\": \"tcp\", \"path\": \"traffic\", \"mark\": 7"),
     "services[0].servers[0].checks[0].path: a check with a mark does not go the way of the traffic", 0},
    {"{\"services\": [{\"protocol\": \"tcp\", \"address\": \"192.0.2.1\", \"port\": 0, \"persistence\": {\"timeout_s\": 60}, \"servers\": [{\"address\": \"10.0.0.1\", \"checks\": ["
     "{\"type\": \"tcp\", \"path\": \"traffic\", \"port\": 80}, {\"type\": \"tcp\", \"path\": \"traffic\"}]}]}]}",
     "services[0].servers[0].checks[1].path: the service is for every port: the check needs one", 0},
    {CHECK("\"type\": \"tcp\", \"path\": \"traffic\", \"address\": \"192.0.2.1\""),
     "services[0].servers[0].checks[0].path: a check with an address of its own does not go the way of the traffic", 0},
    {BY_MARK("\"path\": \"traffic\""), "services[0].servers[0].checks[0].path: a service by mark has no address of its own: the check needs one that clients call", 0},
    {BY_MARK("\"path\": \"traffic\", \"address\": \"2001:db8::1\", \"port\": 80"),
     "services[0].servers[0].checks[0].address: '2001:db8::1' is not of the service's family", 0},
    {BY_MARK("\"path\": \"traffic\", \"address\": \"192.0.2.1\""),
     "services[0].servers[0].checks[0].path: the service is for every port: the check needs one", 0},
    {SERVER(", \"forwarding\": \"nat\", \"checks\": [{\"type\": \"tcp\", \"path\": \"traffic\"}]"),
     "services[0].servers[0].checks[0].path: translated traffic goes to the server's address anyway", 0},
    {CHECK("\"type\": \"misc\", \"command\": \"\""),
     "services[0].servers[0].checks[0].command: '' is not a text of 1 to 4096 bytes", 0},
    {CHECK("\"type\": \"misc\", \"command\": \"a\\u0007\""),
     "services[0].servers[0].checks[0].command: 'a\a' is not a text without control characters", 0},
    {CHECK("\"type\": \"file\""), "services[0].servers[0].checks[0].file: '' is not an absolute path", 0},
    {CHECK("\"type\": \"file\", \"file\": \"a\""), "services[0].servers[0].checks[0].file: 'a' is not an absolute path", 0},
    {CHECK("\"type\": \"file\", \"file\": \"/a\", \"port\": 1"), "services[0].servers[0].checks[0].port: a check of type file has none", 0},
    {CHECK("\"type\": \"file\", \"file\": \"/a\", \"file_weight\": -2147483648"),
     "services[0].servers[0].checks[0].file_weight: '-2147483648' is not a number from -2147483647 to 2147483647", 0},
    {CHECK("\"type\": \"tcp\", \"reverse\": true"), "services[0].servers[0].checks[0].reverse: a check of type tcp has none", 0},
    {CHECK("\"type\": \"udp\", \"payload\": \"abc\""),
     "services[0].servers[0].checks[0].payload: 'abc' is not pairs of hexadecimal digits", 0},
    {CHECK("\"type\": \"tcp\", \"interval_ms\": 1"),
     "services[0].servers[0].checks[0].interval_ms: '1' is not a number from 10 to 86400000", 0},
    {RULE(", \"source\": \"10.0.0.1/8\""),
     "mark_rules[0].source: '10.0.0.1/8' is not a prefix: bits behind its length are set", 0},
    {RULE(", \"source\": \"10.0.0.1\""), "mark_rules[0].source: '10.0.0.1' is not a prefix such as 192.0.2.0/24", 0},
    {RULE(", \"destination\": \"::/0\""), "mark_rules[0].destination: it is not of the rule's family, ipv4", 0},
    {RULE(", \"destination_ports\": 80"), "mark_rules[0].destination_ports: only tcp, udp and sctp have ports", 0},
    {RULE(", \"destination_ports\": \"90-80\""),
     "mark_rules[0].destination_ports: '90-80' is not a port, or a range of ports such as 8000-8999", 0},
    {RULE(", \"protocol\": \"ip\""),
     "mark_rules[0].protocol: 'ip' is not one of tcp, udp, sctp, or a number from 1 to 255", 0},
};

static void a_refusal_names_member_and_value(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(refused); i++) {
        struct director_config *config = (struct director_config *)&refused;
        struct error error = {0};
        int code = refused[i].code ? refused[i].code : -EINVAL;

        assert_int_equal(director_config_parse(refused[i].text, strlen(refused[i].text), &config, &error), code);
        assert_string_equal(error.message, refused[i].message);
        assert_int_equal(error.code, code);
        assert_ptr_equal(config, &refused);
        assert_int_equal(director_config_parse(refused[i].text, strlen(refused[i].text), &config, NULL), code);
    }
}

/* ---- The file. ---- */

struct folder {
    char path[64], file[96];
};

static int make_folder(void **state)
{
    static struct folder folder;

    strcpy(folder.path, "/tmp/weft-director-XXXXXX");
    if (!mkdtemp(folder.path))
        return -1;
    snprintf(folder.file, sizeof(folder.file), "%s/lb.conf", folder.path);
    *state = &folder;
    return 0;
}

static int remove_folder(void **state)
{
    static const char *const names[] = {"lb.conf", "lb.conf.lock", "link", "real"};
    struct folder *folder = *state;

    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        char path[128];

        snprintf(path, sizeof(path), "%s/%s", folder->path, names[i]);
        unlink(path);
    }
    return rmdir(folder->path); /* Nothing else was left there. */
}

static void a_file_is_replaced_with_its_permissions(void **state)
{
    _cleanup_(director_config_freep) struct director_config *config = must_parse(everything), *again = NULL;
    struct folder *folder = *state;
    struct error error = {0};
    struct stat before, after;

    assert_int_equal(director_config_read(folder->file, &again, &error), -ENOENT);
    assert_non_null(strstr(error.message, folder->file));
    assert_int_equal(director_config_write(folder->file, config, NULL), 0);
    assert_int_equal(stat(folder->file, &before), 0);
    assert_int_equal(before.st_mode & 0777, 0644);
    assert_int_equal(chmod(folder->file, 0640), 0);
    config->timeouts.udp_s = 8;
    assert_int_equal(director_config_write(folder->file, config, NULL), 0);
    assert_int_equal(stat(folder->file, &after), 0);
    assert_int_equal(after.st_mode & 0777, 0640);
    assert_int_not_equal(before.st_ino, after.st_ino);
    assert_int_equal(director_config_read(folder->file, &again, NULL), 0);
    assert_int_equal(again->timeouts.udp_s, 8);
}

static void a_link_stays_a_link(void **state)
{
    _cleanup_(director_config_freep) struct director_config *config = must_parse("{}"), *again = NULL;
    struct folder *folder = *state;
    char link[128], real[128];
    struct stat status;

    snprintf(link, sizeof(link), "%s/link", folder->path);
    snprintf(real, sizeof(real), "%s/real", folder->path);
    assert_int_equal(director_config_write(real, config, NULL), 0);
    assert_int_equal(symlink("real", link), 0);
    config->timeouts.udp_s = 9;
    assert_int_equal(director_config_write(link, config, NULL), 0);
    assert_int_equal(lstat(link, &status), 0);
    assert_true(S_ISLNK(status.st_mode));
    assert_int_equal(director_config_read(real, &again, NULL), 0);
    assert_int_equal(again->timeouts.udp_s, 9);
}

static void what_does_not_hold_is_not_written(void **state)
{
    _cleanup_(director_config_freep) struct director_config *config = must_parse(everything);
    struct folder *folder = *state;
    struct error error = {0};

    config->services[1].quorum = 0;
    assert_int_equal(director_config_write(folder->file, config, &error), -EINVAL);
    assert_string_equal(error.message, "services[1].quorum: it is 0");
    assert_int_equal(access(folder->file, F_OK), -1);
}

/* Four processes add to one number a hundred times each: with the lock no addition is lost. */
static void who_holds_the_lock_loses_nothing(void **state)
{
    _cleanup_(director_config_freep) struct director_config *config = must_parse("{}"), *last = NULL;
    struct folder *folder = *state;

    assert_int_equal(director_config_write(folder->file, config, NULL), 0);
    for (int i = 0; i < 4; i++) {
        pid_t child = fork();

        assert_true(child >= 0);
        if (child)
            continue;
        for (int n = 0; n < 25; n++) {
            struct director_config *mine = NULL;
            int lock = -1;

            if (director_config_lock(folder->file, &lock, NULL) < 0 ||
                director_config_read(folder->file, &mine, NULL) < 0)
                _exit(1);
            mine->timeouts.tcp_s++;
            if (director_config_write(folder->file, mine, NULL) < 0)
                _exit(1);
            director_config_free(mine);
            close(lock);
        }
        _exit(0);
    }
    for (int i = 0; i < 4; i++) {
        int status;

        assert_true(wait(&status) > 0);
        assert_int_equal(status, 0);
    }
    assert_int_equal(director_config_read(folder->file, &last, NULL), 0);
    assert_int_equal(last->timeouts.tcp_s, 900 + 100);
}

static void a_large_configuration_has_its_limits(void **state)
{
    _cleanup_(director_config_freep) struct director_config *config = must_parse("{}"), *again = NULL;
    _cleanup_(freep) char *text = NULL;
    struct error error = {0};

    (void)state;
    config->services = calloc(DIRECTOR_SERVICES_MAX + 1, sizeof(*config->services));
    assert_non_null(config->services);
    for (; config->n_services <= DIRECTOR_SERVICES_MAX; config->n_services++) {
        struct virtual_service *service = &config->services[config->n_services];

        *service = virtual_service_default(false);
        service->mark = (uint32_t)config->n_services + 1;
    }
    assert_int_equal(director_config_check(config, &error), -E2BIG);
    assert_string_equal(error.message, "16385 are more than 16384");
    config->n_services--;
    assert_int_equal(director_config_check(config, NULL), 0);
    text = director_config_format(config);
    again = must_parse(text);
    assert_int_equal(again->n_services, DIRECTOR_SERVICES_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_member_is_read),
        cmocka_unit_test(what_is_written_reads_the_same),
        cmocka_unit_test(a_refusal_names_member_and_value),
        cmocka_unit_test_setup_teardown(a_file_is_replaced_with_its_permissions, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(a_link_stays_a_link, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(what_does_not_hold_is_not_written, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(who_holds_the_lock_loses_nothing, make_folder, remove_folder),
        cmocka_unit_test(a_large_configuration_has_its_limits),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
