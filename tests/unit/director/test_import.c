/* Files of keepalived, ipvsadm, iptables and nft: what becomes of them, and what is reported. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "weft/base/buffer.h"
#include "weft/base/util.h"
#include "weft/director/import/import.h"
#include "weft/director/import/marks.h"
#include "weft/director/keepalived/translate.h"

/* ---- Files in memory: a name and its text, in pairs, with a NULL at the end. ---- */

static int read_memory(const char *path, struct buffer *text, void *context)
{
    for (const char *const *file = context; *file; file += 2)
        if (streq(*file, path))
            return buffer_append_string(text, file[1]);
    return -ENOENT;
}

/* "x*" is every name that begins so. */
static int expand_memory(const char *pattern, int (*found)(const char *path, void *found_context), void *found_context,
                         void *context)
{
    size_t length = strcspn(pattern, "*");

    for (const char *const *file = context; *file; file += 2) {
        int result =
            !strncmp(*file, pattern, length) && (pattern[length] || !(*file)[length]) ? found(*file, found_context) : 0;

        if (result < 0)
            return result;
    }
    return 0;
}

/* What 'import' makes, as compact JSON with a line for each note behind it; the caller frees it. */
static char *outcome(const struct director_config *config, const struct import_report *report)
{
    _cleanup_(freep) char *text = director_config_format(config);
    struct buffer out = {0};
    json_t *json = json_loads(text, 0, NULL);
    char *compact = json_dumps(json, JSON_COMPACT);

    assert_int_equal(director_config_check(config, NULL), 0);
    assert_int_equal(buffer_printf(&out, "%s\n", compact), 0);
    for (size_t i = 0; i < report->n_notes; i++)
        assert_int_equal(buffer_printf(&out, "%s\n", report->notes[i]), 0);
    free(compact);
    json_decref(json);
    assert_non_null(buffer_string(&out));
    return out.data;
}

static int import_memory(const char *const *files, const char *config_id, char **ret, struct error *error)
{
    struct keepalived_source source = {
        .read = read_memory, .expand = expand_memory, .context = (void *)files, .config_id = config_id};
    _cleanup_(director_config_freep) struct director_config *config = director_config_new();
    struct import_report report = {0};
    int result = keepalived_import(files[0], &source, config, &report, error);

    *ret = result == 0 ? outcome(config, &report) : NULL;
    import_report_clear(&report);
    return result;
}

static void keepalived_becomes(const char *text, const char *expected)
{
    const char *files[] = {"k", text, NULL};
    _cleanup_(freep) char *got = NULL;
    struct error error = {0};

    if (import_memory(files, NULL, &got, &error) < 0)
        fail_msg("%s", error.message);
    assert_string_equal(got, expected);
}

#define SERVICE "{\"protocol\":\"tcp\",\"address\":\"192.0.2.1\",\"port\":80"
#define VS(members) "virtual_server 192.0.2.1 80 {\nprotocol TCP\n" members "}\n"
#define RS(members) VS("real_server 10.0.0.1 8080 {\n" members "}\n")
#define CHECKED(members)                                                                                               \
    "{\"services\":[" SERVICE ",\"servers\":[{\"address\":\"10.0.0.1\",\"port\":8080,\"forwarding\":\"nat\"" members   \
    "}]}]}\n"

static void services_and_servers_are_taken_over(void **state)
{
    (void)state;
    keepalived_becomes("virtual_server 192.0.2.1 80 { }\n",
                       "{\"services\":[{\"protocol\":\"udp\",\"address\":\"192.0.2.1\",\"port\":80,\"servers\":[]}]}\n"
                       "k:1: virtual_server: no protocol is said: it is UDP, as keepalived has it\n");
    keepalived_becomes(VS("lvs_sched mh\nmh-port\nflag-1\npersistence_timeout\npersistence_granularity "
                          "255.255.255.0\nquorum 3\nhysteresis 1\nquorum_up \"/bin/up x\"\nquorum_down /bin/down\n"
                          "sorry_server 10.0.0.9 81\nalpha\nops_is_not_here\n"),
                       "{\"services\":[" SERVICE
                       ",\"scheduler\":\"mh\",\"scheduler_flags\":[\"fallback\",\"port\"],\"persistence\":{\"netmask\":"
                       "\"255.255.255.0\"},\"quorum\":3,\"hysteresis\":1,\"quorum_up\":\"/bin/up x\",\"quorum_down\":\"/bin/down\",\"sorry_server\":{\"address\":\"10.0.0.9\","
                       "\"port\":81,\"forwarding\":\"nat\"},"
                       "\"servers\":[]}]}\nk:14: ops_is_not_here: it is not supported\n");
    keepalived_becomes(
        RS("weight 0\nuthreshold 10\nlthreshold 5\ninhibit_on_failure\nnotify_up \"/bin/x\"\nnotify_down \"/bin/y 'a b'\" root\n"),
        CHECKED(
            ",\"weight\":0,\"upper_threshold\":10,\"lower_threshold\":5,\"inhibit_on_failure\":true,\"notify_up\":\"/bin/x\",\"notify_down\":\"/bin/y 'a b'\"")
            "k:9: notify_down: 'root' and what follows is not supported: it runs as weft-agent\n");
    keepalived_becomes(
        VS("lvs_method TUN type gue port 6080 csum\nreal_server 10.0.0.1 80 { }\nreal_server 2001:db8::1 80 "
           "{\nlvs_method TUN\n}\n"
           "real_server 10.0.0.2 81 {\nlvs_method DR\nTCP_CHECK { }\n}\nreal_server 10.0.0.2 80 {\nlvs_method DR\n}\n"),
        "{\"services\":[" SERVICE
        ",\"servers\":[{\"address\":\"10.0.0.1\",\"forwarding\":\"tunnel\",\"tunnel\":{\"type\":\"gue\",\"port\":6080,"
        "\"checksum\":\"full\"}},{\"address\":\"2001:db8::1\",\"forwarding\":\"tunnel\",\"tunnel\":{\"type\":\"ipip\"}}"
        ","
        "{\"address\":\"10.0.0.2\",\"checks\":[{\"type\":\"tcp\",\"path\":\"server\",\"port\":81}]}]}]}\n"
        "k:8: real_server: port 81 becomes the virtual server's, 80: direct keeps it\n"
        "k:12: real_server: the server is there already\n");
    keepalived_becomes("virtual_server fwmark 5 {\nreal_server 2001:db8::1 0 { }\n}\nvirtual_server fwmark 6 "
                       "{\nip_family inet6\n}\nvirtual_server fwmark x {\n}\n",
                       "{\"services\":[{\"mark\":5,\"family\":\"ipv6\",\"servers\":[{\"address\":\"2001:db8::1\","
                       "\"forwarding\":\"nat\"}]},"
                       "{\"mark\":6,\"family\":\"ipv6\",\"servers\":[]}]}\nk:7: virtual_server: 'x' is not a number "
                       "from 1 to 4294967295\n");
}

static void what_does_not_hold_is_left_out_and_reported(void **state)
{
    (void)state;
    keepalived_becomes("virtual_server 192.0.2.1 0 {\nprotocol TCP\n}\n",
                       "{\"services\":[]}\nk:1: virtual_server: the virtual server is left out: port: 0, which is "
                       "every port, needs persistence\n");
    keepalived_becomes(VS("real_server 2001:db8::1 80 { }\nreal_server x 80 { }\nlvs_sched twos\nquorum 0\nhysteresis "
                          "9\nprotocol ICMP\n"),
                       "{\"services\":[" SERVICE ",\"servers\":[]}]}\n"
                       "k:5: lvs_sched: 'twos' is no scheduler that there is; it is wlc\n"
                       "k:6: quorum: '0' is not a number from 1 to 4294967295\n"
                       "k:8: protocol: 'ICMP' is not one of TCP, UDP, SCTP\n"
                       "k:1: virtual_server: hysteresis 9 is not less than the quorum, 1; it becomes 0\n"
                       "k:3: real_server: the server is left out: address: clients and servers are of one family "
                       "unless a tunnel leads there\n"
                       "k:4: real_server: 'x' is not an IP address\n");
    keepalived_becomes(VS("") VS(""), "{\"services\":[" SERVICE
                                      ",\"servers\":[]}]}\nk:4: virtual_server: the service is there already\n");
    keepalived_becomes(
        "global_defs {\nlvs_timeouts tcp 60 udp 5\nlvs_sync_daemon eth0\nrouter_id x\n}\nvrrp_instance a {\nstate "
        "MASTER\n}\nSSL { }\n",
        "{\"timeouts\":{\"tcp_s\":60,\"udp_s\":5},\"services\":[]}\nk:3: lvs_sync_daemon: it is not supported\n"
        "k:6: vrrp_instance: it stays with keepalived\nk:9: SSL: certificates of checks are not supported\n");
    keepalived_becomes("global_defs {\nlvs_timeouts tcp x\n}\n",
                       "{\"services\":[]}\nk:2: lvs_timeouts: 'tcp' is not tcp, tcpfin or udp with a number of seconds "
                       "from 1 to 2678400\n");
}

static void checks_are_taken_over(void **state)
{
    (void)state;
    keepalived_becomes(
        RS("HTTP_GET {\nurl {\npath /a\nstatus_code 200 301-303\ndigest 0123456789abcdef0123456789abcdef\nregex "
           "\"^State: \\\\d\"\nregex_options caseless multiline\nregex_no_match\nregex_stack 100 200\nregex_min_offset 0\nregex_max_offset 9\n}\n"
           "url {\nvirtualhost b\nregex_no_match\n}\nurl {\nregex a(b\nregex_max_offset 0\nregex_options utf\n}\nurl {\nregex a\nregex_options loud\n}\nurl {\nregex a\\\\.b\\x41\n}\n"
           "virtualhost www\nhttp_protocol 1.1\nconnect_port 81\nnb_get_retry 3\n}\n"),
        CHECKED(",\"checks\":[{\"type\":\"http\",\"path\":\"server\",\"port\":81,\"retries\":3,\"retry_delay_ms\":3000,\"urls\":[{\"path\":"
                "\"/a\",\"status\":"
                "\"200,301-303\",\"digest\":\"0123456789abcdef0123456789abcdef\",\"regex\":\"^State: \\\\d\",\"regex_options\":\"caseless multiline\","
                "\"regex_no_match\":true,\"regex_max_offset\":9},{\"path\":\"/"
                "\",\"host\":\"b\"},{\"path\":\"/\"},{\"path\":\"/\"},{\"path\":\"/\",\"regex\":\"a\\\\.bA\"}],\"host\":\"www\","
                "\"http_version\":\"1.1\"}]") "k:16: url: regex: there is none for its options; the URL is checked without it\n"
                "k:22: regex_max_offset: '0' is not a number from 1 to 4294967295\n"
                "k:20: url: regex: 'a(b' is not a regular expression: missing closing parenthesis (byte 3); the URL is checked without it\n"
                "k:25: url: regex_options: 'loud' is not an option of regular expressions; the URL is checked without it\n");
    keepalived_becomes(
        RS("delay_loop 1.5\nSSL_GET {\nenable_sni\nurl {\npath /\n}\n}\nMISC_CHECK {\nmisc_path \"/bin/x 'a "
           "b'\"\nmisc_dynamic\nuser u\n}\n"
           "DNS_CHECK {\ntype A\nname example.org\n}\nPING_CHECK { }\nTCP_CHECK {\nbindto 10.0.0.3\nbind_if "
           "eth0\nbind_port 7\nfwmark 8\n"
           "connect_ip 10.0.0.4\nwarmup 2\nalpha yes\n}\n"),
        CHECKED(",\"checks\":[{\"type\":\"https\",\"path\":\"server\",\"interval_ms\":1500,\"retry_delay_ms\":3000,\"urls\":[{\"path\":\"/"
                "\"}]},"
                "{\"type\":\"misc\",\"interval_ms\":1500,\"timeout_ms\":1500,\"retries\":0,\"command\":\"/bin/x 'a "
                "b'\",\"dynamic_weight\":true},"
                "{\"type\":\"dns\",\"path\":\"server\",\"interval_ms\":1500,\"retries\":3,\"retry_delay_ms\":1500,\"dns_name\":\"example."
                "org\",\"dns_type\":\"A\"},"
                "{\"type\":\"ping\",\"interval_ms\":1500},"
                "{\"type\":\"tcp\",\"path\":\"server\",\"address\":\"10.0.0.4\",\"bind_address\":\"10.0.0.3\",\"bind_port\":7,\"bind_"
                "interface\":\"eth0\",\"mark\":8,"
                "\"interval_ms\":1500,\"warmup_ms\":2000,\"alpha\":true}]") "k:14: user: it is not supported\n");
    keepalived_becomes(
        RS("UDP_CHECK {\npayload Ab12f 3 45\nrequire_reply 01\nmin_reply_length 3\n}\nSMTP_CHECK {\nhelo_name me\nhost "
           "{\nconnect_port 26\n}\n}\n"
           "BFD_CHECK {\nname x\n}\nHTTP_GET {\n}\n"),
        CHECKED(",\"checks\":[{\"type\":\"udp\",\"path\":\"server\",\"payload\":\"Ab120f0345\",\"require_reply\":true},"
                "{\"type\":\"smtp\",\"path\":\"server\",\"port\":26,\"host\":\"me\"}]") "k:15: BFD_CHECK: this check is not supported: the "
                                                                    "server is used without it\n"
                                                                    "k:6: require_reply: what the reply says is not "
                                                                    "compared; any reply is right\n"
                                                                    "k:7: min_reply_length: it is not supported\n"
                                                                    "k:18: HTTP_GET: the check is left out: urls: a "
                                                                    "check of type http needs at least one\n");
}

static void a_tracked_file_is_a_check(void **state)
{
    (void)state;
    keepalived_becomes("track_file f {\nfile /run/f\nweight 5 reverse\n}\n" RS("FILE_CHECK {\ntrack_file f\n}\nFILE_CHECK {\ntrack_file f\nweight -3\n}\n"
                                                                             "FILE_CHECK {\ntrack_file g\n}\nFILE_CHECK {\ntrack_file f\nweight 1 up\n}\n"),
                       CHECKED(",\"checks\":[{\"type\":\"file\",\"interval_ms\":1000,\"retries\":0,\"file\":\"/run/f\",\"file_weight\":5,\"reverse\":true},"
                               "{\"type\":\"file\",\"interval_ms\":1000,\"retries\":0,\"file\":\"/run/f\",\"file_weight\":-3},"
                               "{\"type\":\"file\",\"interval_ms\":1000,\"retries\":0,\"file\":\"/run/f\"}]")
                       "k:1: track_file: it stays with keepalived\nk:16: track_file: 'g' is not the name of a file\n"
                       "k:15: FILE_CHECK: the check is left out: file: '' is not an absolute path\nk:20: weight: 'up' is not reverse or noreverse\n");
}

static void groups_are_as_many_services_as_they_have_addresses(void **state)
{
    (void)state;
    keepalived_becomes(
        "virtual_server_group g {\n192.0.2.1-2 80\n192.0.2.8/31 81\n2001:db8::1-2 80\nfwmark 9\n192.0.2.1-x 80\n}\n"
        "virtual_server group g {\nprotocol UDP\nnonsense\nreal_server 10.0.0.1 80 { }\n}\nvirtual_server group h { "
        "}\n",
        "{\"services\":[{\"protocol\":\"udp\",\"address\":\"192.0.2.1\",\"port\":80,\"servers\":[{\"address\":\"10.0.0."
        "1\",\"forwarding\":\"nat\"}]},"
        "{\"protocol\":\"udp\",\"address\":\"192.0.2.2\",\"port\":80,\"servers\":[{\"address\":\"10.0.0.1\","
        "\"forwarding\":\"nat\"}]},"
        "{\"protocol\":\"udp\",\"address\":\"192.0.2.8\",\"port\":81,\"servers\":[{\"address\":\"10.0.0.1\",\"port\":"
        "80,\"forwarding\":\"nat\"}]},"
        "{\"protocol\":\"udp\",\"address\":\"192.0.2.9\",\"port\":81,\"servers\":[{\"address\":\"10.0.0.1\",\"port\":"
        "80,\"forwarding\":\"nat\"}]},"
        "{\"protocol\":\"udp\",\"address\":\"2001:db8::1\",\"port\":80,\"servers\":[]},"
        "{\"protocol\":\"udp\",\"address\":\"2001:db8::2\",\"port\":80,\"servers\":[]},"
        "{\"mark\":9,\"servers\":[{\"address\":\"10.0.0.1\",\"port\":80,\"forwarding\":\"nat\"}]}]}\n"
        "k:10: nonsense: it is not supported\nk:13: virtual_server: there is no virtual_server_group 'h'\n");
}

/* ---- The text itself. ---- */

static void lines_are_read_as_keepalived_reads_them(void **state)
{
    static const char *const files[] = {
        "etc/k",
        "# comment ! of either kind\n"
        "$VIP=192.0.2.1   ! kept\n"
        "$RS= \\\n  real_server 10.0.0.${N} 80 { \\\n  weight $N # comment in it\\\n @b inhibit_on_failure \\\n }\n"
        "virtual_server $VIP 80\n{\n protocol TCP\n"
        "$N=1\n$RS\n$N=2\n$RS\n"
        "@a lvs_sched rr\n@^b lvs_sched sh\n@b lvs_sched wrr\n"
        "include conf.d/*\ninclude none\n"
        "}\n$UNUSED\n",
        "etc/conf.d/1",
        "real_server 10.0.0.3 80 {\nMISC_CHECK {\nmisc_path \"a\\\"b\\x41\\t\\101 ${_PWD}\"\n}\nMISC_CHECK "
        "{\nmisc_path 'a #b'\n}\n}\n",
        NULL,
    };
    _cleanup_(freep) char *a = NULL, *b = NULL;
    struct error error = {0};

    (void)state;
    if (import_memory(files, "a", &a, &error) < 0)
        fail_msg("%s", error.message);
    assert_string_equal(a,
                        "{\"services\":[" SERVICE
                        ",\"scheduler\":\"sh\",\"servers\":[{\"address\":\"10.0.0.1\",\"forwarding\":\"nat\"},"
                        "{\"address\":\"10.0.0.2\",\"forwarding\":\"nat\",\"weight\":2},{\"address\":\"10.0.0.3\","
                        "\"forwarding\":\"nat\",\"checks\":["
                        "{\"type\":\"misc\",\"timeout_ms\":60000,\"retries\":0,\"command\":\"a #b\"}]}]}]}\n"
                        "etc/k:19: include none: there is no such file\n"
                        "etc/conf.d/1:3: misc_path: it has control characters\n"
                        "etc/conf.d/1:2: MISC_CHECK: the check is left out: command: a check of type misc needs one\n"
                        "etc/k:21: $UNUSED: it stays with keepalived\n");
    if (import_memory(files, "b", &b, &error) < 0)
        fail_msg("%s", error.message);
    assert_non_null(strstr(b, "\"scheduler\":\"wrr\""));
    assert_non_null(strstr(b, "\"weight\":2,\"inhibit_on_failure\":true"));
}

/* Debian 12's keepalived -t goes through the same, in the same order. */
static void sequences_are_read_as_keepalived_reads_them(void **state)
{
    static const struct {
        const char *text;
        const char *words; /* First words of the statements, which stay with keepalived. */
    } cases[] = {
        {"~SEQ(N, 0, 3) a$N\n", "a0 a1 a2 a3"},
        {"~SEQ(N,3)a${N}b # 9\n", "a1b a2b a3b"},
        {"~SEQ(N, -3) a$N\n~SEQ(N, 0) b$N\n~SEQ(N, 2, 2) c$N\n", "a-1 a-2 a-3 b1 b0 c2"},
        {"~SEQ ( N , 4, 2 ) a$N\n", "a4 a3 a2"},
        {"~SEQ(N, 10, -4, 0) a$N\n~SEQ(N, -5, 5, 4) b$N\n", "a10 a6 a2 b-5 b0"},
        {"~SEQx(N, 144, 16, 192) a$N\n~SEQx(N, 0x8, 010) b$N\n", "a90 aa0 ab0 ac0 b8"},
        {"~SEQ(N, 9223372036854775806, 9223372036854775807) a$N\n", "a9223372036854775806 a9223372036854775807"},
        {"$L=2\n~SEQ(M, 1, $L) ~SEQ(N, 1, $M) a$M$N\n", "a11 a21 a22"},
        {"$D= \\\n a$N { \\\n } \\\n b$N\n~SEQ(N, 1, 2) $D\n", "a1 b1 a2 b2"},
        {"~LST(N, 1, x , ,y) a$N\n", "a1 ax a ay"},
        {"~LST({M, N}, {10,1},{20, 4} , {5}, 6) a$M.$N\n", "a10.1 a20.4 a5. a6."},
        {"~LST(M, 1, 2) ~LST({N}, {5}, 6) ~SEQ(O, 7, 8) a$M$N$O\n", "a157 a158 a167 a168 a257 a258 a267 a268"},
        {"$V=v\n~LST(N, $V, w) a$N\n", "av aw"},
        {"@b ~SEQ(N, 1, 2) a$N\n@a ~SEQ(N, 1, 2) b$N\n~SEQ(N, 1, 2) @a c$N\n~SEQ(N, 1, 2) @b d$N\n", "b1 b2 c1 c2"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        const char *files[] = {"k", cases[i].text, NULL};
        _cleanup_(freep) char *got = NULL, *words = NULL;
        struct error error = {0};
        size_t size = 0;

        if (import_memory(files, "a", &got, &error) < 0)
            fail_msg("%s: %s", cases[i].text, error.message);
        words = calloc(1, strlen(got) + 1);
        assert_non_null(words);
        for (const char *at = strchr(got, '\n'); at[1]; at = strchr(at + 1, '\n')) { /* "k:1: a1: it stays with keepalived" */
            const char *word = strstr(at, ": ") + 2, *end = strchr(word, ':');

            size += (size_t)sprintf(words + size, "%s%.*s", size ? " " : "", (int)(end - word), word);
        }
        assert_string_equal(words, cases[i].words);
    }
}

static void what_is_no_sequence_is_reported(void **state)
{
    static const char *const heads[] = {
        "~SEQ(N)", "~SEQ(, 1)", "~SEQ(N, 1, 0, 2)", "~SEQ(N, 1, -1, 2)", "~SEQ(N, 2, 1, 1)", "~SEQ(N, 1, 2, 3, 4)", "~SEQ(N, a)", "~SEQ(N M, 1)", "~SEQx(N, -1, 2)",
        "~SEQ(N, 9223372036854775808)", "~SEQ N (1)", "~SEQ(N, $M)", "~LST()", "~LST(N)", "~LST({N, M)", "~LST({N M}, 1)", "~LST({N}{M}, 1)", "~LST({N, M}, {1, 2, 3})",
        "~LST(N, {1)", "~LST(N, {1}2)", "~LST(N, 1 2)", "~LST(N, 1})",
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(heads); i++) {
        char text[80], expected[120];

        snprintf(text, sizeof(text), "%s a\n", heads[i]);
        snprintf(expected, sizeof(expected), "{\"services\":[]}\nk:1: %s: it is not a sequence\n", heads[i]);
        keepalived_becomes(text, expected);
    }
    keepalived_becomes("~SEQ(N, 1\n", "{\"services\":[]}\nk:1: ~SEQ(N, 1: it has no ')'\n");
}

static void text_that_makes_no_sense_is_an_error(void **state)
{
    static const struct {
        const char *text, *message;
        int code;
    } cases[] = {
        {"a {\n", "k:1: '{' is not closed", -EINVAL},
        {"a {\n}\n}\n", "k:3: '}' without '{'", -EINVAL},
        {"{\n}\n", "k:1: '{' without a word before it", -EINVAL},
        {"include k\n", "k:1: includes are too deep", -E2BIG},
        {"$A=$A$A\n$A\n", "k:2: definitions are too deep or make it too long", -E2BIG},
        {"a { b { c { d { e { f { g { h { i { j { k { l { m { n { o { p { q {\n", "k:1: braces are too deep", -E2BIG},
        {"~SEQ(M, 1, 1000) ~SEQ(N, 1, 1000) $O=1\n", "k:1: sequences make it too long", -E2BIG},
        {"~SEQ(N, 1, 9223372036854775807) a\n", "k:1: sequences make it too long", -E2BIG},
        {"$A=~SEQ(N, 1, 2) $A\n$A\n", "k:2: sequences are too deep", -E2BIG},
        {"~SEQ(A,1)~SEQ(A,1)~SEQ(A,1)~SEQ(A,1)~SEQ(A,1)~SEQ(A,1)~SEQ(A,1)~SEQ(A,1)~SEQ(A,1)~SEQ(A,1)~SEQ(A,1)~SEQ(A,1)~SEQ(A,1)~SEQ(A,1)~SEQ(A,1)~SEQ(A,1)a\n",
         "k:1: sequences are too deep", -E2BIG},
        {"~LST({A,B,C,D,E,F,G,H,I,J,K,L,M,N,O,P,Q}, 1) a\n", "k:1: the list is too long", -E2BIG},
        {"1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 "
         "5 6 7 8 9 0 1 2 3 4 5\n",
         "k:1: the line has too many words", -E2BIG},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        const char *files[] = {"k", cases[i].text, NULL};
        struct error error = {0};
        char *got;

        assert_int_equal(import_memory(files, NULL, &got, &error), cases[i].code);
        assert_string_equal(error.message, cases[i].message);
    }
}

/* ---- Marks, and ipvsadm's own file. ---- */

static void becomes(int (*import)(char *, const char *, struct director_config *, struct import_report *),
                    const char *text, const char *expected)
{
    _cleanup_(director_config_freep) struct director_config *config = director_config_new();
    _cleanup_(freep) char *copy = strdup(text), *got = NULL;
    struct import_report report = {0};

    assert_int_equal(import(copy, "f", config, &report), 0);
    got = outcome(config, &report);
    import_report_clear(&report);
    assert_string_equal(got, expected);
}

static void marks_of_iptables_become_rules_the_last_first(void **state)
{
    (void)state;
    becomes(import_iptables,
            "# Generated by iptables-save v1.8.9\n*mangle\n:PREROUTING ACCEPT [0:0]\n"
            "-A PREROUTING -d 192.0.2.1/32 -i eth0 -p tcp -m tcp --dport 80 -j MARK --set-xmark 0x1/0xffffffff\n"
            "-A PREROUTING -s 10.0.0.0/8 -p udp -m multiport --dports 53,5000:5001 -m comment --comment \"a b\" -j "
            "MARK --set-mark 2\n"
            "-A PREROUTING ! -s 10.0.0.0/8 -j MARK --set-mark 3\n-A PREROUTING -j MARK --set-xmark 0x1/0x1\n"
            "-A OUTPUT -j MARK --set-mark 4\n-A PREROUTING -p tcp -j ACCEPT\n-A PREROUTING -m multiport --dports 1 -j "
            "MARK --set-mark 5\n"
            "# Generated by ip6tables-save v1.8.9\n-A PREROUTING -p 47 -j MARK --set-mark 6\nCOMMIT\n",
            "{\"mark_rules\":[{\"mark\":6,\"family\":\"ipv6\",\"protocol\":47},"
            "{\"mark\":2,\"protocol\":\"udp\",\"source\":\"10.0.0.0/8\",\"destination_ports\":53},"
            "{\"mark\":2,\"protocol\":\"udp\",\"source\":\"10.0.0.0/8\",\"destination_ports\":\"5000-5001\"},"
            "{\"mark\":1,\"protocol\":\"tcp\",\"destination\":\"192.0.2.1/"
            "32\",\"destination_ports\":80,\"interface\":\"eth0\"}],\"services\":[]}\n"
            "f:6: !: it is not supported; the rule is left out\nf:7: --set-xmark: it is not supported; the rule is "
            "left out\n"
            "f:8: chain OUTPUT: only PREROUTING sees what a director does\n"
            "f:10: the rule is left out: destination_ports: only tcp, udp and sctp have ports\n");
}

static void marks_of_nft_become_rules_the_last_first(void **state)
{
    (void)state;
    becomes(
        import_nft,
        "table ip mangle {\n\tchain PREROUTING {\n\t\ttype filter hook prerouting priority mangle; policy accept;\n"
        "\t\tip daddr 192.0.2.1 tcp dport { 80, 443 } counter packets 0 bytes 0 meta mark set 0x00000001\n"
        "\t\tiifname \"eth0\" ip saddr 10.0.0.0/8 udp sport 1000-2000 meta mark set 2 comment \"x\"\n"
        "\t\tct state new meta mark set 0x3\n\t\ttcp dport 80 accept\n\t}\n\tchain output {\n\t\ttype route hook "
        "output priority mangle;\n"
        "\t\tmeta mark set 0x4\n\t}\n}\ntable ip6 m {\n\tchain p {\n\t\ttype filter hook prerouting priority -150;\n"
        "\t\tmeta l4proto sctp meta mark set 5\n\t\tct mark set 6\n\t}\n}\n",
        "{\"mark_rules\":[{\"mark\":5,\"family\":\"ipv6\",\"protocol\":\"sctp\"},"
        "{\"mark\":2,\"protocol\":\"udp\",\"source\":\"10.0.0.0/"
        "8\",\"source_ports\":\"1000-2000\",\"interface\":\"eth0\"},"
        "{\"mark\":1,\"protocol\":\"tcp\",\"destination\":\"192.0.2.1/32\",\"destination_ports\":80},"
        "{\"mark\":1,\"protocol\":\"tcp\",\"destination\":\"192.0.2.1/"
        "32\",\"destination_ports\":443}],\"services\":[]}\n"
        "f:6: ct: it is not supported; the rule is left out\nf:11: only chains with hook prerouting see what a "
        "director does\n");
}

static void a_saved_table_is_taken_over(void **state)
{
    (void)state;
    becomes(import_ipvsadm,
            "# saved\n-A -t 192.0.2.1:80 -s rr\n\n-a -t 192.0.2.1:80 -r 10.0.0.1:80 -g -w 1\n-a -t 192.0.2.2:80 -r "
            "10.0.0.1:80\n-L\nfoo\n",
            "{\"services\":[" SERVICE ",\"scheduler\":\"rr\",\"servers\":[{\"address\":\"10.0.0.1\"}]}]}\n"
            "f:5: Service not defined\nf:6: -L: it says nothing about the table\n"
            "f:7: Try `ipvsadm -h' or 'ipvsadm --help' for more information.\n");
}

static void a_file_says_what_it_is(void **state)
{
    (void)state;
    assert_int_equal(import_format_guess("# x\n\n*mangle\n"), IMPORT_IPTABLES);
    assert_int_equal(import_format_guess("-A PREROUTING -j MARK"), IMPORT_IPTABLES);
    assert_int_equal(import_format_guess("-A -t 1.2.3.4:80"), IMPORT_IPVSADM);
    assert_int_equal(import_format_guess("table ip x {"), IMPORT_NFT);
    assert_int_equal(import_format_guess("! x\nglobal_defs {"), IMPORT_KEEPALIVED);
    assert_int_equal(import_format_guess(""), IMPORT_KEEPALIVED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(services_and_servers_are_taken_over),
        cmocka_unit_test(what_does_not_hold_is_left_out_and_reported),
        cmocka_unit_test(checks_are_taken_over),
        cmocka_unit_test(a_tracked_file_is_a_check),
        cmocka_unit_test(groups_are_as_many_services_as_they_have_addresses),
        cmocka_unit_test(lines_are_read_as_keepalived_reads_them),
        cmocka_unit_test(sequences_are_read_as_keepalived_reads_them),
        cmocka_unit_test(what_is_no_sequence_is_reported),
        cmocka_unit_test(text_that_makes_no_sense_is_an_error),
        cmocka_unit_test(marks_of_iptables_become_rules_the_last_first),
        cmocka_unit_test(marks_of_nft_become_rules_the_last_first),
        cmocka_unit_test(a_saved_table_is_taken_over),
        cmocka_unit_test(a_file_says_what_it_is),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
