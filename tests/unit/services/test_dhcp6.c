/* The DHCPv6 server's answers, as tables (RFC 8415, 16 and 18.3).  Replies are compared by a one-line summary of their options. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "frames.h"
#include "weft/services/dhcp/dhcp6.h"

#define CLIENT_MAC "fa:16:3e:00:00:05"
#define ALL_SERVERS "ff02::1:2"
#define OWN "20010db8000000000000000000000005"
#define OTHER "20010db8000000000000000000000009"
#define CID "0001 000a 00030001fa163e000005"
#define SID "0002 0012 0004 00112233445566778899aabbccddeeff"
#define FOREIGN_SID "0002 0012 0004 ff112233445566778899aabbccddeeff"
#define ADDRESS(hex) "0005 0018 " hex " 00000000 00000000"
#define IA_EMPTY "0003 000c 11111111 00000000 00000000"
#define IA(hex) "0003 0028 11111111 00000000 00000000" ADDRESS(hex)
#define IA2_EMPTY "0003 000c 22222222 00000000 00000000"
#define ORO_DNS "0006 0004 0017 0018"
#define ORO_NOTHING "0006 0002 0011"

static struct dhcp6_config sample(void)
{
    struct dhcp6_config config = {
        .mac = mac(CLIENT_MAC), .server_mac = mac("fa:16:3f:00:00:01"), .server = ip("fe80::f816:3fff:fe00:1"), .lease_s = 1000, .domain = "example.org", .enabled = true,
        .n_addresses = 1, .n_dns_servers = 1,
    };
    struct bytes duid = {0};
    add_hex(&duid, "0004 00112233445566778899aabbccddeeff");
    memcpy(config.server_duid, duid.data, sizeof(config.server_duid));
    config.addresses[0] = ip("2001:db8::5");
    config.dns_servers[0] = ip("2001:db8::53");
    return config;
}

__attribute__((nonnull)) static void summarize(const uint8_t *at, size_t size, char *text)
{
    char address[IP_TEXT_SIZE];
    struct ip_address value;
    while (size > 0) {
        assert_true(size >= 4);
        unsigned code = (unsigned)(at[0] << 8 | at[1]), length = (unsigned)(at[2] << 8 | at[3]);
        const uint8_t *body = at + 4;
        assert_true(4 + length <= size);
        text += strlen(text);
        switch (code) {
        case 1:
            sprintf(text, "cid ");
            break;
        case 2:
            sprintf(text, "sid ");
            break;
        case 3:
        case 4:
        case 25:
            sprintf(text, "%s(%02x", code == 3 ? "na" : code == 4 ? "ta" : "pd", body[0]);
            if (code != 4)
                sprintf(text + strlen(text), " %u/%u", (unsigned)(body[6] << 8 | body[7]), (unsigned)(body[10] << 8 | body[11]));
            strcat(text, " ");
            summarize(body + (code == 4 ? 4 : 12), length - (code == 4 ? 4 : 12), text);
            text[strlen(text) - 1] = ')';
            strcat(text, " ");
            break;
        case 5:
            memcpy(value.bytes, body, 16);
            assert_memory_equal(body + 16, body + 20, 4);
            sprintf(text, "%s=%u ", ip_format(&value, address), (unsigned)(body[22] << 8 | body[23]));
            break;
        case 13:
            sprintf(text, "status%u ", (unsigned)(body[0] << 8 | body[1]));
            break;
        default:
            sprintf(text, "%u:", code);
            for (unsigned i = 0; i < length; i++)
                sprintf(text + strlen(text), "%02x", body[i]);
            strcat(text, " ");
        }
        at += 4 + length;
        size -= 4 + length;
    }
}

static int ask_frame(const struct dhcp6_config *config, const uint8_t *data, size_t size, char *summary,
                     struct dhcp6_outcome *outcome)
{
    uint8_t reply[DHCP6_REPLY_MAX], *block = exact(data, size);
    int result = dhcp6_respond(config, block, size, reply, sizeof(reply), outcome);
    free(block);
    *summary = '\0';
    if (result <= 0)
        return result;
    const uint8_t *message;
    size_t message_size;
    assert_true(frame_is_sound(reply, (size_t)result, &message, &message_size));
    assert_true(message_size >= 4);
    assert_memory_equal(reply, config->mac.bytes, 6);
    assert_memory_equal(reply + 6, config->server_mac.bytes, 6);
    assert_memory_equal(message - 8, "\x02\x23\x02\x22", 4); /* 547 to 546 */
    assert_memory_equal(message + 1, "\xab\xcd\xef", 3);
    assert_int_equal(message[0], outcome->reply);
    summarize(message + 4, message_size - 4, summary);
    if (*summary)
        summary[strlen(summary) - 1] = '\0';
    return result;
}

static struct bytes request(unsigned type, const char *options, const char *source, const char *destination)
{
    struct bytes message = {0};
    add8(&message, type);
    add_hex(&message, "abcdef");
    add_hex(&message, options);
    return udp_frame(CLIENT_MAC, source, 546, destination, 547, &message);
}

#define DNS " 23:20010db8000000000000000000000053 24:076578616d706c65036f726700"

static const struct {
    const char *name;
    unsigned type;
    const char *options;
    int reply; /* Message type; 0: none; negative: the error. */
    const char *summary;
    unsigned status;
    const char *destination; /* NULL: ff02::1:2 */
} cases[] = {
    {"SOLICIT", DHCP6_SOLICIT, CID IA_EMPTY ORO_DNS, DHCP6_ADVERTISE, "cid sid 7:ff na(11 500/800 2001:db8::5=1000)" DNS},
    {"SOLICIT with a hint", DHCP6_SOLICIT, CID IA(OTHER) ORO_NOTHING, DHCP6_ADVERTISE, "cid sid 7:ff na(11 500/800 2001:db8::5=1000)"},
    {"SOLICIT, rapid commit", DHCP6_SOLICIT, CID IA_EMPTY "000e 0000" ORO_NOTHING, DHCP6_REPLY, "cid sid 14: na(11 500/800 2001:db8::5=1000)"},
    {"SOLICIT for two", DHCP6_SOLICIT, CID IA_EMPTY IA2_EMPTY ORO_NOTHING, DHCP6_ADVERTISE,
     "cid sid 7:ff na(11 500/800 2001:db8::5=1000) na(22 0/0 status2)", DHCP6_NO_ADDRS_AVAIL},
    {"SOLICIT for temporary ones and a prefix", DHCP6_SOLICIT, CID "0004 0004 33333333" "0019 000c 44444444 00000000 00000000" ORO_NOTHING, DHCP6_ADVERTISE,
     "cid sid 7:ff ta(33 status2) pd(44 0/0 status6)", DHCP6_NO_ADDRS_AVAIL},
    {"SOLICIT without a client", DHCP6_SOLICIT, IA_EMPTY, -EBADMSG},
    {"SOLICIT with a server", DHCP6_SOLICIT, CID SID IA_EMPTY, -EBADMSG},
    {"SOLICIT by unicast", DHCP6_SOLICIT, CID IA_EMPTY, -EBADMSG, NULL, 0, "fe80::f816:3fff:fe00:1"},
    {"REQUEST", DHCP6_REQUEST, CID SID IA(OWN) ORO_DNS, DHCP6_REPLY, "cid sid na(11 500/800 2001:db8::5=1000)" DNS},
    {"REQUEST of nothing special", DHCP6_REQUEST, CID SID IA_EMPTY ORO_NOTHING, DHCP6_REPLY, "cid sid na(11 500/800 2001:db8::5=1000)"},
    {"REQUEST, not ours", DHCP6_REQUEST, CID SID IA(OTHER) ORO_NOTHING, DHCP6_REPLY, "cid sid na(11 0/0 status4)", DHCP6_NOT_ON_LINK},
    {"REQUEST to another server", DHCP6_REQUEST, CID FOREIGN_SID IA(OWN), 0},
    {"REQUEST without a server", DHCP6_REQUEST, CID IA(OWN), -EBADMSG},
    {"REQUEST by unicast", DHCP6_REQUEST, CID SID IA(OWN), DHCP6_REPLY, "cid sid status5", DHCP6_USE_MULTICAST, "fe80::f816:3fff:fe00:1"},
    {"RENEW", DHCP6_RENEW, CID SID IA(OWN) ORO_NOTHING, DHCP6_REPLY, "cid sid na(11 500/800 2001:db8::5=1000)"},
    {"RENEW of a former address", DHCP6_RENEW, CID SID IA(OTHER) ORO_NOTHING, DHCP6_REPLY, "cid sid na(11 500/800 2001:db8::5=1000 2001:db8::9=0)"},
    {"RENEW of what nobody gave", DHCP6_RENEW, CID SID IA(OWN) IA2_EMPTY ORO_NOTHING, DHCP6_REPLY,
     "cid sid na(11 500/800 2001:db8::5=1000) na(22 0/0 status3)", DHCP6_NO_BINDING},
    {"RENEW by unicast", DHCP6_RENEW, CID SID IA(OWN), DHCP6_REPLY, "cid sid status5", DHCP6_USE_MULTICAST, "fe80::f816:3fff:fe00:1"},
    {"REBIND", DHCP6_REBIND, CID IA(OWN) ORO_DNS, DHCP6_REPLY, "cid sid na(11 500/800 2001:db8::5=1000)" DNS},
    {"REBIND of a former address", DHCP6_REBIND, CID IA(OTHER) ORO_NOTHING, DHCP6_REPLY, "cid sid na(11 500/800 2001:db8::5=1000 2001:db8::9=0)"},
    {"REBIND with a server", DHCP6_REBIND, CID SID IA(OWN), -EBADMSG},
    {"CONFIRM", DHCP6_CONFIRM, CID IA(OWN), DHCP6_REPLY, "cid sid status0"},
    {"CONFIRM elsewhere", DHCP6_CONFIRM, CID IA(OTHER), DHCP6_REPLY, "cid sid status4", DHCP6_NOT_ON_LINK},
    {"CONFIRM of nothing", DHCP6_CONFIRM, CID IA_EMPTY, 0},
    {"RELEASE", DHCP6_RELEASE, CID SID IA(OWN), DHCP6_REPLY, "cid sid status0"},
    {"RELEASE of what is not ours", DHCP6_RELEASE, CID SID IA(OTHER), DHCP6_REPLY, "cid sid na(11 0/0 status3) status0", DHCP6_NO_BINDING},
    {"DECLINE", DHCP6_DECLINE, CID SID IA(OWN), DHCP6_REPLY, "cid sid status0"},
    {"DECLINE by unicast", DHCP6_DECLINE, CID SID IA(OWN), DHCP6_REPLY, "cid sid status5", DHCP6_USE_MULTICAST, "fe80::f816:3fff:fe00:1"},
    {"INFORMATION-REQUEST", DHCP6_INFORMATION_REQUEST, CID "0006 0006 0017 0018 0020", DHCP6_REPLY, "cid sid" DNS " 32:000003e8"},
    {"INFORMATION-REQUEST, anonymous", DHCP6_INFORMATION_REQUEST, ORO_DNS, DHCP6_REPLY, "sid" DNS},
    {"INFORMATION-REQUEST with an association", DHCP6_INFORMATION_REQUEST, CID IA_EMPTY, -EBADMSG},
    {"INFORMATION-REQUEST to another server", DHCP6_INFORMATION_REQUEST, CID FOREIGN_SID, 0},
    {"ADVERTISE", DHCP6_ADVERTISE, CID SID, -EPROTONOSUPPORT},
    {"REPLY", DHCP6_REPLY, CID SID, -EPROTONOSUPPORT},
    {"RECONFIGURE", DHCP6_RECONFIGURE, CID SID, -EPROTONOSUPPORT},
    {"RELAY-FORW", 12, CID SID, -EPROTONOSUPPORT},
    {"an option over the end", DHCP6_SOLICIT, CID "0003 0010 1111", -EBADMSG},
    {"half an option header", DHCP6_SOLICIT, CID "0003 00", -EBADMSG},
    {"a short association", DHCP6_SOLICIT, CID "0003 0004 11111111", -EBADMSG},
    {"a short address", DHCP6_SOLICIT, CID "0003 0014 11111111 00000000 00000000 0005 0004 20010db8", -EBADMSG},
    {"an address over its association's end", DHCP6_SOLICIT, CID "0003 0012 11111111 00000000 00000000 0005 0018 2001", -EBADMSG},
    {"an odd option request", DHCP6_SOLICIT, CID IA_EMPTY "0006 0003 001700", -EBADMSG},
    {"an empty client id", DHCP6_SOLICIT, "0001 0000" IA_EMPTY, -EBADMSG},
    {"two client ids", DHCP6_SOLICIT, CID CID IA_EMPTY, -EBADMSG},
};

static void each_message_is_answered(void **state)
{
    struct dhcp6_config config = sample();
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct bytes frame = request(cases[i].type, cases[i].options, "fe80::f816:3eff:fe00:5",
                                     cases[i].destination ? cases[i].destination : ALL_SERVERS);
        struct dhcp6_outcome outcome;
        char summary[2048];
        int result = ask_frame(&config, frame.data, frame.size, summary, &outcome);
        if (cases[i].reply <= 0 ? result != cases[i].reply : (result <= 0 || outcome.reply != cases[i].reply))
            fail_msg("%s: %d, %s", cases[i].name, result, dhcp6_message_name(outcome.reply));
        if (cases[i].reply > 0 && strcmp(summary, cases[i].summary))
            fail_msg("%s: '%s' instead of '%s'", cases[i].name, summary, cases[i].summary);
        if (outcome.status != cases[i].status)
            fail_msg("%s: status %u", cases[i].name, outcome.status);
    }
}

static void assert_answer(const struct dhcp6_config *config, unsigned type, const char *options, int reply, const char *expected)
{
    struct bytes frame = request(type, options, "fe80::5", ALL_SERVERS);
    struct dhcp6_outcome outcome;
    char summary[2048];
    int result = ask_frame(config, frame.data, frame.size, summary, &outcome);
    if (reply <= 0) {
        assert_int_equal(result, reply);
        return;
    }
    assert_int_equal(outcome.reply, reply);
    assert_string_equal(summary, expected);
}

static void all_addresses_of_the_port_come_together(void **state)
{
    struct dhcp6_config config = sample();
    config.addresses[config.n_addresses++] = ip("2001:db8:1::5");
    assert_answer(&config, DHCP6_SOLICIT, CID IA_EMPTY ORO_NOTHING, DHCP6_ADVERTISE, "cid sid 7:ff na(11 500/800 2001:db8::5=1000 2001:db8:1::5=1000)");
}

static void stateless_port_gets_parameters_only(void **state)
{
    struct dhcp6_config config = sample();
    config.n_addresses = 0;
    assert_answer(&config, DHCP6_SOLICIT, CID IA_EMPTY ORO_DNS, DHCP6_ADVERTISE, "cid sid 7:ff na(11 0/0 status2)" DNS);
    assert_answer(&config, DHCP6_RENEW, CID SID IA(OWN) ORO_NOTHING, DHCP6_REPLY, "cid sid na(11 0/0 status3)");
    assert_answer(&config, DHCP6_INFORMATION_REQUEST, CID ORO_DNS, DHCP6_REPLY, "cid sid" DNS);
    config.enabled = false;
    assert_answer(&config, DHCP6_INFORMATION_REQUEST, CID ORO_DNS, -EADDRNOTAVAIL, NULL);
}

static void extra_options_by_request(void **state)
{
    struct dhcp6_config config = sample();
    struct extra_dhcp_option extra[] = {
        {"option6:dns-server", "2001:db8::35", 6}, {"ntp-server", "a.b", 6}, {"bootfile-url", "tftp://x", 6}, {"mtu", "1400", 4}, {"23", "2001:db8::99", 6},
    };
    config.options = extra;
    config.n_options = sizeof(extra) / sizeof(extra[0]);
    config.domain = NULL;
    assert_answer(&config, DHCP6_INFORMATION_REQUEST, CID "0006 0006 0017 0018 0038", DHCP6_REPLY,
                  "cid sid 23:20010db8000000000000000000000035 56:000300050161016200");
    assert_answer(&config, DHCP6_INFORMATION_REQUEST, CID "0006 0002 003b", DHCP6_REPLY, "cid sid 59:746674703a2f2f78");
}

static void endless_lease(void **state)
{
    struct dhcp6_config config = sample();
    config.lease_s = UINT32_MAX;
    assert_answer(&config, DHCP6_SOLICIT, CID IA_EMPTY ORO_NOTHING, DHCP6_ADVERTISE, "cid sid 7:ff na(11 65535/65535 2001:db8::5=65535)");
}

static void unspecified_source_is_not_answered(void **state)
{
    struct dhcp6_config config = sample();
    struct bytes frame = request(DHCP6_SOLICIT, CID IA_EMPTY, "::", ALL_SERVERS);
    struct dhcp6_outcome outcome;
    char summary[64];
    assert_int_equal(ask_frame(&config, frame.data, frame.size, summary, &outcome), -EPROTONOSUPPORT);
}

static void every_cut_of_a_request_is_survived(void **state)
{
    struct dhcp6_config config = sample();
    struct bytes whole = request(DHCP6_REQUEST, CID SID IA(OWN) ORO_DNS, "fe80::5", ALL_SERVERS);
    for (size_t size = 62; size < whole.size; size++) {
        struct bytes message = {0}, cut;
        struct dhcp6_outcome outcome;
        char summary[2048];
        add(&message, whole.data + 62, size - 62);
        cut = udp_frame(CLIENT_MAC, "fe80::5", 546, ALL_SERVERS, 547, &message);
        (void)ask_frame(&config, cut.data, cut.size, summary, &outcome);
        assert_int_equal(ask_frame(&config, whole.data, size, summary, &outcome), -EBADMSG);
    }
}

/* As many associations as a frame holds: the reply would be longer than a frame, and is not sent. */
static void more_associations_than_fit_in_a_reply(void **state)
{
    struct dhcp6_config config = sample();
    struct bytes message = {0};
    add_hex(&message, "01 abcdef" CID);
    for (int i = 0; i < 85; i++)
        add_hex(&message, IA_EMPTY);
    struct bytes frame = udp_frame(CLIENT_MAC, "fe80::5", 546, ALL_SERVERS, 547, &message);
    struct dhcp6_outcome outcome;
    char summary[2048];
    assert_int_equal(ask_frame(&config, frame.data, frame.size, summary, &outcome), -ENOBUFS);
    assert_int_equal(outcome.reply, 0);
}

static void random_bytes_are_survived(void **state)
{
    struct dhcp6_config config = sample();
    unsigned seed = 20261123;
    size_t n_replies = 0;
    print_message("seed %u\n", seed);
    for (int round = 0; round < 20000; round++) {
        static const unsigned types[] = {DHCP6_SOLICIT, DHCP6_REQUEST, DHCP6_CONFIRM, DHCP6_RENEW, DHCP6_REBIND, DHCP6_RELEASE, DHCP6_DECLINE, DHCP6_INFORMATION_REQUEST};
        struct bytes frame = request(types[round % 8], CID SID IA(OWN) IA(OTHER) ORO_DNS, "fe80::5", ALL_SERVERS);
        struct dhcp6_outcome outcome;
        char summary[4096];
        for (int i = 0; i < 2; i++)
            frame.data[66 + (size_t)rand_r(&seed) % (frame.size - 66)] = (uint8_t)rand_r(&seed);
        n_replies += ask_frame(&config, frame.data, frame.size, summary, &outcome) > 0;
    }
    assert_true(n_replies > 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_message_is_answered),
        cmocka_unit_test(all_addresses_of_the_port_come_together),
        cmocka_unit_test(stateless_port_gets_parameters_only),
        cmocka_unit_test(extra_options_by_request),
        cmocka_unit_test(endless_lease),
        cmocka_unit_test(unspecified_source_is_not_answered),
        cmocka_unit_test(every_cut_of_a_request_is_survived),
        cmocka_unit_test(more_associations_than_fit_in_a_reply),
        cmocka_unit_test(random_bytes_are_survived),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
