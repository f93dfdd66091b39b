/* The DHCPv4 server's answers, as tables: what a client in each of its states sends, and what it gets (RFC 2131, 4.3). */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "frames.h"
#include "weft/services/dhcp/dhcp4.h"

#define CLIENT "fa:16:3e:00:00:05"
#define SERVER "fa:16:3f:00:00:01"

/* A port with 10.0.0.5/24 behind the gateway 10.0.0.1 and 10.1.0.5/16 without one. */
static struct dhcp4_config sample(void)
{
    static struct ip_address dns[3];
    static struct host_route routes[1];
    struct dhcp4_config config = {
        .mac = mac(CLIENT), .server_mac = mac(SERVER), .mtu = 1450, .lease_s = 86400, .domain = "example.org.", .n_addresses = 2, .n_prefixes = 2,
    };
    dns[0] = ip("9.9.9.9");
    dns[1] = ip("2620:fe::9");
    dns[2] = ip("1.1.1.1");
    routes[0] = (struct host_route){prefix("192.168.0.0/16"), ip("10.0.0.7")};
    config.addresses[0] = (struct dhcp4_address){.address = ip("10.0.0.5"), .prefix = prefix("10.0.0.0/24"), .server = ip("10.0.0.1"),
                                                 .has_gateway = true, .gateway = ip("10.0.0.1"), .dns_servers = dns, .n_dns_servers = 3,
                                                 .routes = routes, .n_routes = 1};
    config.addresses[1] = (struct dhcp4_address){.address = ip("10.1.0.5"), .prefix = prefix("10.1.0.0/16"), .server = ip("169.254.0.1")};
    config.prefixes[0] = prefix("10.0.0.0/24");
    config.prefixes[1] = prefix("10.1.0.0/16");
    return config;
}

/* A client's message.  Addresses NULL: zero or absent. */
struct message {
    unsigned type; /* 0: no option 53. */
    const char *ciaddr, *requested, *server;
    const char *source, *destination; /* NULL: 0.0.0.0 to broadcast. */
    unsigned flags;
    const char *options; /* More of them, in hexadecimal, before the end. */
    const char *giaddr, *chaddr;
    const char *file, *sname; /* Content in hexadecimal. */
    bool no_end;
};

static struct bytes dhcp(const struct message *message)
{
    struct bytes bytes = {0}, part;
    struct mac_address client = mac(message->chaddr ? message->chaddr : CLIENT);
    add_hex(&bytes, "01 01 06 00 deadbeef 0000");
    add16(&bytes, message->flags);
    add_ip(&bytes, message->ciaddr ? message->ciaddr : "0.0.0.0");
    add_hex(&bytes, "00000000 00000000");
    add_ip(&bytes, message->giaddr ? message->giaddr : "0.0.0.0");
    add(&bytes, client.bytes, 6);
    add_hex(&bytes, "00000000000000000000");
    part = (struct bytes){0};
    add_hex(&part, message->sname ? message->sname : "");
    add(&bytes, part.data, 64);
    part = (struct bytes){0};
    add_hex(&part, message->file ? message->file : "");
    add(&bytes, part.data, 128);
    add_hex(&bytes, "63825363");
    if (message->type) {
        add_hex(&bytes, "35 01");
        add8(&bytes, message->type);
    }
    if (message->requested) {
        add_hex(&bytes, "32 04");
        add_ip(&bytes, message->requested);
    }
    if (message->server) {
        add_hex(&bytes, "36 04");
        add_ip(&bytes, message->server);
    }
    add_hex(&bytes, message->options ? message->options : "");
    if (!message->no_end)
        add8(&bytes, 255);
    return udp_frame(CLIENT, message->source ? message->source : "0.0.0.0", 68,
                     message->destination ? message->destination : "255.255.255.255", 67, &bytes);
}

/* A reply, looked into. */
struct reply {
    uint8_t frame[DHCP4_REPLY_MAX];
    int size;
    struct dhcp4_outcome outcome;
    const uint8_t *message; /* The BOOTP header. */
    size_t message_size;
};

static void ask_frame(const struct dhcp4_config *config, const uint8_t *data, size_t size, struct reply *reply)
{
    uint8_t *block = exact(data, size);
    reply->size = dhcp4_respond(config, block, size, reply->frame, sizeof(reply->frame), &reply->outcome);
    free(block);
    reply->message = NULL;
    if (reply->size > 0)
        assert_true(frame_is_sound(reply->frame, (size_t)reply->size, &reply->message, &reply->message_size));
}

static void ask(const struct dhcp4_config *config, const struct message *message, struct reply *reply)
{
    struct bytes frame = dhcp(message);
    ask_frame(config, frame.data, frame.size, reply);
}

static size_t collect(const uint8_t *at, const uint8_t *end, unsigned code, uint8_t *value, size_t size, bool *found)
{
    while (at < end && *at != 255) {
        if (*at == 0) {
            at++;
            continue;
        }
        assert_true(at + 2 + at[1] <= end);
        if (*at == code) {
            memcpy(value + size, at + 2, at[1]);
            size += at[1];
            *found = true;
        }
        at += 2 + at[1];
    }
    assert_true(at < end); /* There is an end option. */
    return size;
}

/* -1 when the option is absent. */
static int option(const struct reply *reply, unsigned code, uint8_t value[1500])
{
    bool found = false, overloaded = false;
    uint8_t overload[8] = {0};
    const uint8_t *end = reply->message + reply->message_size;
    collect(reply->message + 240, end, 52, overload, 0, &overloaded);
    size_t size = collect(reply->message + 240, end, code, value, 0, &found);
    if (overload[0] & 1)
        size = collect(reply->message + 108, reply->message + 236, code, value, size, &found);
    if (overload[0] & 2)
        size = collect(reply->message + 44, reply->message + 108, code, value, size, &found);
    return found ? (int)size : -1;
}

/* NULL: absent. */
static void assert_option(const struct reply *reply, unsigned code, const char *hex)
{
    uint8_t value[1500];
    int size = option(reply, code, value);
    if (!hex) {
        if (size >= 0)
            fail_msg("option %u is there", code);
        return;
    }
    struct bytes expected = {0};
    add_hex(&expected, hex);
    if (size != (int)expected.size || memcmp(value, expected.data, expected.size)) {
        char text[256] = "";
        for (int i = 0; i < size && i < 100; i++)
            sprintf(text + strlen(text), "%02x", value[i]);
        fail_msg("option %u: %s (%d bytes) instead of %s", code, text, size, hex);
    }
}

/* ---- the states of a client -------------------------------------------------------------------------------------------- */

static void each_state_is_answered(void **state)
{
    static const struct {
        const char *name;
        struct message message;
        int type;             /* Of the reply; 0: none; negative: the error. */
        const char *yiaddr;
        const char *server;
        const char *destination;
        bool broadcast_mac;
        const char *about;    /* outcome.address */
    } cases[] = {
        {"INIT", {DHCP4_DISCOVER}, DHCP4_OFFER, "10.0.0.5", "10.0.0.1", "10.0.0.5", false, "10.0.0.5"},
        {"INIT, cannot take unicast", {DHCP4_DISCOVER, .flags = 0x8000}, DHCP4_OFFER, "10.0.0.5", "10.0.0.1", "255.255.255.255", true, "10.0.0.5"},
        {"INIT, asks for the other address", {DHCP4_DISCOVER, .requested = "10.1.0.5"}, DHCP4_OFFER, "10.1.0.5", "169.254.0.1", "10.1.0.5", false, "10.1.0.5"},
        {"INIT, asks for a foreign address", {DHCP4_DISCOVER, .requested = "10.0.0.9"}, DHCP4_OFFER, "10.0.0.5", "10.0.0.1", "10.0.0.5", false, "10.0.0.5"},
        {"INIT, rapid commit", {DHCP4_DISCOVER, .options = "50 00"}, DHCP4_ACK, "10.0.0.5", "10.0.0.1", "10.0.0.5", false, "10.0.0.5"},
        {"SELECTING", {DHCP4_REQUEST, .requested = "10.0.0.5", .server = "10.0.0.1"}, DHCP4_ACK, "10.0.0.5", "10.0.0.1", "10.0.0.5", false, "10.0.0.5"},
        {"SELECTING the second subnet", {DHCP4_REQUEST, .requested = "10.1.0.5", .server = "169.254.0.1"}, DHCP4_ACK, "10.1.0.5", "169.254.0.1", "10.1.0.5", false, "10.1.0.5"},
        {"SELECTING another server", {DHCP4_REQUEST, .requested = "10.0.0.5", .server = "10.0.0.66"}, 0, .about = "10.0.0.5"},
        {"SELECTING a wrong address", {DHCP4_REQUEST, .requested = "10.0.0.9", .server = "10.0.0.1"}, DHCP4_NAK, "0.0.0.0", "10.0.0.1", "255.255.255.255", true, "10.0.0.9"},
        {"INIT-REBOOT", {DHCP4_REQUEST, .requested = "10.0.0.5"}, DHCP4_ACK, "10.0.0.5", "10.0.0.1", "10.0.0.5", false, "10.0.0.5"},
        {"INIT-REBOOT, wrong address", {DHCP4_REQUEST, .requested = "10.0.0.9"}, DHCP4_NAK, "0.0.0.0", "10.0.0.1", "255.255.255.255", true, "10.0.0.9"},
        {"INIT-REBOOT, wrong network", {DHCP4_REQUEST, .requested = "172.16.0.5"}, DHCP4_NAK, "0.0.0.0", "10.0.0.1", "255.255.255.255", true, "172.16.0.5"},
        {"INIT-REBOOT without an address", {DHCP4_REQUEST}, 0, .about = "0.0.0.0"},
        {"RENEWING", {DHCP4_REQUEST, .ciaddr = "10.0.0.5", .source = "10.0.0.5", .destination = "10.0.0.1"}, DHCP4_ACK, "10.0.0.5", "10.0.0.1", "10.0.0.5", false, "10.0.0.5"},
        {"RENEWING, no gateway", {DHCP4_REQUEST, .ciaddr = "10.1.0.5", .source = "10.1.0.5", .destination = "169.254.0.1"}, DHCP4_ACK, "10.1.0.5", "169.254.0.1", "10.1.0.5", false, "10.1.0.5"},
        {"RENEWING with a former server", {DHCP4_REQUEST, .ciaddr = "10.0.0.5", .source = "10.0.0.5", .destination = "10.0.0.254"}, DHCP4_ACK, "10.0.0.5", "10.0.0.1", "10.0.0.5", false, "10.0.0.5"},
        {"RENEWING what was taken away", {DHCP4_REQUEST, .ciaddr = "10.0.0.9", .source = "10.0.0.9", .destination = "10.0.0.1"}, DHCP4_NAK, "0.0.0.0", "10.0.0.1", "255.255.255.255", true, "10.0.0.9"},
        {"REBINDING", {DHCP4_REQUEST, .ciaddr = "10.0.0.5", .source = "10.0.0.5"}, DHCP4_ACK, "10.0.0.5", "10.0.0.1", "10.0.0.5", false, "10.0.0.5"},
        {"REBINDING, broadcast flag", {DHCP4_REQUEST, .ciaddr = "10.0.0.5", .source = "10.0.0.5", .flags = 0x8000}, DHCP4_ACK, "10.0.0.5", "10.0.0.1", "10.0.0.5", false, "10.0.0.5"},
        {"INFORM", {DHCP4_INFORM, .ciaddr = "10.0.0.77", .source = "10.0.0.77"}, DHCP4_ACK, "0.0.0.0", "10.0.0.1", "10.0.0.77", false, "10.0.0.77"},
        {"INFORM, second subnet", {DHCP4_INFORM, .ciaddr = "10.1.0.77", .source = "10.1.0.77"}, DHCP4_ACK, "0.0.0.0", "169.254.0.1", "10.1.0.77", false, "10.1.0.77"},
        {"INFORM without ciaddr", {DHCP4_INFORM, .source = "10.0.0.77"}, DHCP4_ACK, "0.0.0.0", "10.0.0.1", "10.0.0.77", false, "0.0.0.0"},
        {"RELEASE", {DHCP4_RELEASE, .ciaddr = "10.0.0.5", .server = "10.0.0.1", .source = "10.0.0.5", .destination = "10.0.0.1"}, 0, .about = "10.0.0.5"},
        {"DECLINE", {DHCP4_DECLINE, .requested = "10.0.0.5", .server = "10.0.0.1"}, 0, .about = "10.0.0.5"},
        {"an unknown type", {200}, 0, .about = "0.0.0.0"},
        {"plain BOOTP", {0}, -EPROTONOSUPPORT, .about = "::"},
        {"through a relay", {DHCP4_DISCOVER, .giaddr = "10.0.0.3"}, -EPROTONOSUPPORT, .about = "::"},
        {"for another client", {DHCP4_DISCOVER, .chaddr = "fa:16:3e:00:00:06"}, -EPROTONOSUPPORT, .about = "::"},
        {"no end option", {DHCP4_DISCOVER, .no_end = true}, DHCP4_OFFER, "10.0.0.5", "10.0.0.1", "10.0.0.5", false, "10.0.0.5"},
        {"an option over the end", {DHCP4_DISCOVER, .options = "0c 20 61", .no_end = true}, -EBADMSG, .about = "::"},
        {"an option without a length", {DHCP4_DISCOVER, .options = "0c", .no_end = true}, -EBADMSG, .about = "::"},
        {"a bad option in file", {DHCP4_DISCOVER, .options = "34 01 01", .file = "0c ff"}, -EBADMSG, .about = "::"},
        {"the requested address is in file", {DHCP4_DISCOVER, .options = "34 01 01", .file = "32 04 0a010005 ff"}, DHCP4_OFFER, "10.1.0.5", "169.254.0.1", "10.1.0.5", false, "10.1.0.5"},
        {"the requested address is in sname", {DHCP4_DISCOVER, .options = "34 01 02", .sname = "32 04 0a010005 ff"}, DHCP4_OFFER, "10.1.0.5", "169.254.0.1", "10.1.0.5", false, "10.1.0.5"},
        {"file is not overloaded", {DHCP4_DISCOVER, .file = "32 04 0a010005 ff"}, DHCP4_OFFER, "10.0.0.5", "10.0.0.1", "10.0.0.5", false, "10.0.0.5"},
        {"a requested address of three bytes", {DHCP4_REQUEST, .options = "32 03 0a0000"}, 0, .about = "0.0.0.0"},
        {"the type in two pieces", {DHCP4_DISCOVER, .options = "32 02 0a01 32 02 0005"}, DHCP4_OFFER, "10.1.0.5", "169.254.0.1", "10.1.0.5", false, "10.1.0.5"},
    };
    struct dhcp4_config config = sample();
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct reply reply;
        char text[IP_TEXT_SIZE];
        ask(&config, &cases[i].message, &reply);
        struct ip_address about = ip(cases[i].about);
        if (!(ip_is_zero(&about) && ip_is_zero(&reply.outcome.address)) && !ip_equal(&about, &reply.outcome.address))
            fail_msg("%s: is about %s", cases[i].name, ip_format(&reply.outcome.address, text));
        if (cases[i].type <= 0) {
            if (reply.size != cases[i].type)
                fail_msg("%s: %d instead of %d", cases[i].name, reply.size, cases[i].type);
            assert_int_equal(reply.outcome.reply, 0);
            continue;
        }
        if (reply.size <= 0 || reply.outcome.reply != cases[i].type)
            fail_msg("%s: size %d, reply %s", cases[i].name, reply.size, dhcp4_message_name(reply.outcome.reply));
        struct bytes expected = {0};
        add_ip(&expected, cases[i].yiaddr);      /* 0 */
        add_ip(&expected, cases[i].server);      /* 4 */
        add_ip(&expected, cases[i].destination); /* 8 */
        if (memcmp(reply.message + 16, expected.data, 4))
            fail_msg("%s: yiaddr", cases[i].name);
        if (memcmp(reply.frame + 26, expected.data + 4, 4))
            fail_msg("%s: source address", cases[i].name);
        if (memcmp(reply.frame + 30, expected.data + 8, 4))
            fail_msg("%s: destination address", cases[i].name);
        struct mac_address to = mac(cases[i].broadcast_mac ? "ff:ff:ff:ff:ff:ff" : CLIENT), from = mac(SERVER);
        if (memcmp(reply.frame, to.bytes, 6) || memcmp(reply.frame + 6, from.bytes, 6))
            fail_msg("%s: MAC", cases[i].name);

        assert_memory_equal(reply.message, "\x02\x01\x06\x00\xde\xad\xbe\xef", 8);
        assert_true(reply.message_size >= 300);
        uint8_t value[1500];
        assert_int_equal(option(&reply, 53, value), 1);
        assert_int_equal(value[0], cases[i].type);
        assert_int_equal(option(&reply, 54, value), 4);
        assert_memory_equal(value, expected.data + 4, 4);
        bool lease = cases[i].type != DHCP4_NAK && cases[i].message.type != DHCP4_INFORM;
        assert_option(&reply, 51, lease ? "00015180" : NULL);
        assert_option(&reply, 58, lease ? "0000a8c0" : NULL);
        assert_option(&reply, 59, lease ? "00012750" : NULL);
        if (cases[i].type == DHCP4_NAK)
            assert_option(&reply, 1, NULL);
    }
}

static void port_without_address_is_not_served(void **state)
{
    struct dhcp4_config config = sample();
    struct reply reply;
    config.n_addresses = 0;
    ask(&config, &(struct message){DHCP4_DISCOVER}, &reply);
    assert_int_equal(reply.size, -EADDRNOTAVAIL);
}

/* ---- options ------------------------------------------------------------------------------------------------------------ */

#define DISCOVER_ASKING(hex) (&(struct message){DHCP4_DISCOVER, .options = hex})

static void asked_options_are_sent(void **state)
{
    struct dhcp4_config config = sample();
    struct reply reply;
    ask(&config, DISCOVER_ASKING("37 0b 01 1c 02 03 0f 06 0c 1a 79 f9 77 3d 03 01 02 03"), &reply);
    assert_option(&reply, 1, "ffffff00");
    assert_option(&reply, 28, "0a0000ff");
    assert_option(&reply, 3, "0a000001");
    assert_option(&reply, 15, "6578616d706c652e6f7267"); /* example.org */
    assert_option(&reply, 119, "07 6578616d706c65 03 6f7267 00");
    assert_option(&reply, 6, "09090909 01010101");
    assert_option(&reply, 12, "686f73742d31302d302d302d35"); /* host-10-0-0-5 */
    assert_option(&reply, 26, "05aa");
    /* The subnet's route, the other subnet on-link, and the default. */
    assert_option(&reply, 121, "10 c0a8 0a000007  10 0a01 00000000  00 0a000001");
    assert_option(&reply, 249, "10 c0a8 0a000007  10 0a01 00000000  00 0a000001");
    assert_option(&reply, 2, NULL);
    assert_option(&reply, 61, "010203"); /* Returned (RFC 6842). */
}

static void unasked_options_are_not_sent(void **state)
{
    struct dhcp4_config config = sample();
    struct extra_dhcp_option extra[] = {{"ntp-server", "10.0.0.9", 4}};
    struct reply reply;
    config.options = extra;
    config.n_options = 1;
    ask(&config, DISCOVER_ASKING("37 02 01 03"), &reply);
    assert_option(&reply, 1, "ffffff00");
    assert_option(&reply, 3, "0a000001");
    assert_option(&reply, 6, NULL);
    assert_option(&reply, 26, NULL);
    assert_option(&reply, 42, NULL);
    ask(&config, DISCOVER_ASKING("37 01 2a"), &reply);
    assert_option(&reply, 42, "0a000009");
    assert_option(&reply, 3, NULL);
    ask(&config, DISCOVER_ASKING(""), &reply); /* No list: the usual, and what was set. */
    assert_option(&reply, 3, "0a000001");
    assert_option(&reply, 26, "05aa");
    assert_option(&reply, 42, "0a000009");
}

static void no_gateway_means_an_on_link_route_to_the_server(void **state)
{
    struct dhcp4_config config = sample();
    struct reply reply;
    ask(&config, &(struct message){DHCP4_DISCOVER, .requested = "10.1.0.5", .options = "37 03 01 03 79"}, &reply);
    assert_option(&reply, 1, "ffff0000");
    assert_option(&reply, 3, NULL);
    assert_option(&reply, 121, "18 0a0000 00000000  20 a9fe0001 00000000  20 a9fea9fe 00000000");
}

static void default_host_route_replaces_the_gateway(void **state)
{
    struct dhcp4_config config = sample();
    struct host_route route = {prefix("0.0.0.0/0"), ip("10.0.0.77")};
    struct reply reply;
    config.n_prefixes = 0;
    config.addresses[0].routes = &route;
    ask(&config, DISCOVER_ASKING("37 02 03 79"), &reply);
    assert_option(&reply, 3, "0a00004d");
    assert_option(&reply, 121, "00 0a00004d");
}

static void nothing_to_route_means_no_classless_routes(void **state)
{
    struct dhcp4_config config = sample();
    struct reply reply;
    config.n_prefixes = 0;
    config.addresses[0].n_routes = 0;
    ask(&config, DISCOVER_ASKING("37 02 03 79"), &reply);
    assert_option(&reply, 3, "0a000001");
    assert_option(&reply, 121, NULL);
}

static void extra_options_replace_what_the_server_would_send(void **state)
{
    struct dhcp4_config config = sample();
    struct extra_dhcp_option extra[] = {
        {"mtu", "1400", 4},         {"26", "9000", 4},          {"dns-server", "10.0.0.53", 4},   {"lease-time", "600", 4},
        {"T1", "10", 4},            {"tftp-server", "10.0.0.8", 4}, {"bootfile-name", "pxe.0", 4}, {"dns-server", "2001:db8::1", 6},
        {"no-such-option", "1", 4}, {"router", NULL, 4},        {"classless-static-route", "10.9.0.0/16,10.0.0.9", 4},
    };
    struct reply reply;
    config.options = extra;
    config.n_options = sizeof(extra) / sizeof(extra[0]);
    ask(&config, DISCOVER_ASKING("37 09 01 03 06 1a 33 42 43 79 f9"), &reply);
    assert_option(&reply, 26, "0578"); /* The first of two. */
    assert_option(&reply, 6, "0a000035");
    assert_option(&reply, 3, "0a000001");
    assert_option(&reply, 51, "00000258");
    assert_option(&reply, 58, "0000000a");
    assert_option(&reply, 59, "0000020d");
    assert_option(&reply, 66, "31302e302e302e38");
    assert_option(&reply, 67, "7078652e30");
    assert_option(&reply, 121, "10 0a09 0a000009");
    assert_option(&reply, 249, "10 0a09 0a000009");
    assert_string_equal((const char *)reply.message + 108, "pxe.0"); /* For boot ROMs, in the header too. */
    assert_string_equal((const char *)reply.message + 44, "10.0.0.8");
    assert_memory_equal(reply.message + 20, "\x0a\x00\x00\x08", 4);  /* siaddr */
}

static void client_may_ask_for_a_shorter_lease(void **state)
{
    static const struct {
        const char *options, *lease;
        uint32_t configured_s;
    } cases[] = {
        {"33 04 00000e10", "00000e10", 86400}, {"33 04 0000000a", "00000078", 86400}, {"33 04 ffffffff", "00015180", 86400},
        {"33 02 0e10", "00015180", 86400},     {"", "ffffffff", UINT32_MAX},          {"33 04 0000000a", "0000003c", 60},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct dhcp4_config config = sample();
        struct reply reply;
        config.lease_s = cases[i].configured_s;
        ask(&config, DISCOVER_ASKING(cases[i].options), &reply);
        assert_option(&reply, 51, cases[i].lease);
        if (cases[i].configured_s == UINT32_MAX)
            assert_option(&reply, 58, NULL);
    }
}

/* More than the 576 bytes that a client takes which says nothing: 'file' and 'sname' are used, then what is left over is left out. */
static void long_options_overflow_into_file_and_sname(void **state)
{
    struct dhcp4_config config = sample();
    char text[251], search[64];
    struct extra_dhcp_option extra[] = {{"root-path", text, 4}, {"nis-domain", search, 4}};
    struct reply reply;
    memset(text, 'x', 250);
    text[250] = '\0';
    memset(search, 'y', 63);
    search[63] = '\0';
    config.options = extra;
    config.n_options = 2;
    ask(&config, DISCOVER_ASKING("37 07 01 11 28 03 06 1a 79"), &reply);
    assert_true(reply.size <= 14 + 576);
    uint8_t value[1500];
    assert_int_equal(option(&reply, 17, value), 250);
    assert_int_equal(option(&reply, 40, value), 63);
    assert_option(&reply, 26, "05aa");
    assert_option(&reply, 121, "10 c0a8 0a000007  10 0a01 00000000  00 0a000001");
    assert_option(&reply, 52, "01");

    ask(&config, DISCOVER_ASKING("39 02 05dc 37 07 01 11 28 03 06 1a 79"), &reply); /* It takes 1500. */
    assert_option(&reply, 52, NULL);
    assert_int_equal(option(&reply, 17, value), 250);
    assert_true(reply.size > 14 + 576);
}

static void option_over_255_bytes_comes_in_pieces(void **state)
{
    struct dhcp4_config config = sample();
    char text[401];
    struct extra_dhcp_option extra[] = {{"root-path", text, 4}};
    struct reply reply;
    for (size_t i = 0; i < 400; i++)
        text[i] = (char)('a' + i % 26);
    text[400] = '\0';
    config.options = extra;
    config.n_options = 1;
    uint8_t value[1500];
    ask(&config, DISCOVER_ASKING("39 02 05dc 37 01 11"), &reply);
    assert_int_equal(option(&reply, 17, value), 400);
    assert_memory_equal(value, text, 400);
    ask(&config, DISCOVER_ASKING("37 02 11 03"), &reply); /* Fits nowhere: left out, the others stay. */
    assert_option(&reply, 17, NULL);
    assert_option(&reply, 3, "0a000001");
}

static void small_subnets(void **state)
{
    struct dhcp4_config config = sample();
    struct reply reply;
    config.addresses[0].prefix = prefix("10.0.0.4/31");
    ask(&config, DISCOVER_ASKING("37 02 01 1c"), &reply);
    assert_option(&reply, 1, "fffffffe");
    assert_option(&reply, 28, NULL);
    config.addresses[0].prefix = prefix("0.0.0.0/0");
    ask(&config, DISCOVER_ASKING("37 02 01 1c"), &reply);
    assert_option(&reply, 1, "00000000");
}

/* ---- hostile input --------------------------------------------------------------------------------------------------------- */

static void every_cut_of_a_request_is_survived(void **state)
{
    struct dhcp4_config config = sample();
    struct bytes frame = dhcp(&(struct message){DHCP4_REQUEST, .requested = "10.0.0.5", .server = "10.0.0.1", .options = "37 04 01 03 06 79"});
    for (size_t size = 0; size < frame.size; size++) {
        struct reply reply;
        ask_frame(&config, frame.data, size, &reply);
        assert_int_equal(reply.size, -EBADMSG);
    }
    /* Cut, but with lengths that agree. */
    for (size_t size = 42; size < frame.size; size++) {
        struct bytes message = {0}, cut;
        struct reply reply;
        add(&message, frame.data + 42, size - 42);
        cut = udp_frame(CLIENT, "0.0.0.0", 68, "255.255.255.255", 67, &message);
        ask_frame(&config, cut.data, cut.size, &reply);
        assert_true(reply.size <= 0 || size > 42 + 240);
    }
}

static void random_bytes_are_survived(void **state)
{
    struct dhcp4_config config = sample();
    unsigned seed = 20261123;
    size_t n_replies = 0;
    print_message("seed %u\n", seed);
    for (int round = 0; round < 20000; round++) {
        struct bytes frame = dhcp(&(struct message){1u + (unsigned)(round % 8), .requested = "10.0.0.5", .options = "37 04 01 03 06 79 34 01 03 3d 07 01 02 03 04 05 06 07"});
        struct reply reply;
        for (int i = 0; i < 3; i++) {
            size_t offset = 42 + (size_t)rand_r(&seed) % (frame.size - 42);
            if (i == 0 && frame.size > 290) /* Mostly in the options. */
                offset = 282 + (size_t)rand_r(&seed) % (frame.size - 282);
            frame.data[offset] = (uint8_t)rand_r(&seed);
        }
        ask_frame(&config, frame.data, frame.size, &reply);
        n_replies += reply.size > 0;
    }
    assert_true(n_replies > 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_state_is_answered),
        cmocka_unit_test(port_without_address_is_not_served),
        cmocka_unit_test(asked_options_are_sent),
        cmocka_unit_test(unasked_options_are_not_sent),
        cmocka_unit_test(no_gateway_means_an_on_link_route_to_the_server),
        cmocka_unit_test(default_host_route_replaces_the_gateway),
        cmocka_unit_test(nothing_to_route_means_no_classless_routes),
        cmocka_unit_test(extra_options_replace_what_the_server_would_send),
        cmocka_unit_test(client_may_ask_for_a_shorter_lease),
        cmocka_unit_test(long_options_overflow_into_file_and_sname),
        cmocka_unit_test(option_over_255_bytes_comes_in_pieces),
        cmocka_unit_test(small_subnets),
        cmocka_unit_test(every_cut_of_a_request_is_survived),
        cmocka_unit_test(random_bytes_are_survived),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
