/* The DHCPv4 server under any frame: a reply, if there is one, is a sound frame that gives nothing but the port's own
 * address.  The first byte chooses the configuration. */
#include <stdlib.h>
#include <string.h>

#include "weft/services/dhcp/dhcp4.h"
#include "weft/services/packet.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct dhcp4_config make_config(uint8_t choice)
{
    static struct ip_address dns[2];
    static struct host_route routes[1];
    static char text[401];
    static struct extra_dhcp_option options[] = {
        {(char *)"root-path", text, 4},
        {(char *)"bootfile-name", (char *)"a", 4},
        {(char *)"tftp-server", (char *)"10.0.0.8", 4},
        {(char *)"lease-time", (char *)"60", 4},
        {(char *)"121", (char *)"10.0.0.0/8,10.0.0.2", 4},
    };
    struct dhcp4_config config = {
        .mac = {{0xfa, 0x16, 0x3e, 0, 0, 5}},
        .server_mac = {{0xfa, 0x16, 0x3f, 0, 0, 1}},
        .mtu = 1450,
        .lease_s = choice & 1 ? UINT32_MAX : 3600,
        .domain = choice & 2 ? "example.org" : NULL,
        .n_addresses = choice & 4 ? 2 : 1,
        .n_prefixes = 2,
        .options = options,
        .n_options = choice & 8 ? 5 : 0,
    };
    memset(text, 'x', choice & 16 ? 400 : 250);
    text[choice & 16 ? 400 : 250] = '\0';
    ip_parse("9.9.9.9", &dns[0]);
    ip_parse("2620:fe::9", &dns[1]);
    prefix_parse("192.168.0.0/16", &routes[0].destination);
    ip_parse("10.0.0.7", &routes[0].next_hop);
    prefix_parse("10.0.0.0/24", &config.prefixes[0]);
    prefix_parse("10.1.0.0/16", &config.prefixes[1]);
    config.addresses[0] = (struct dhcp4_address){ip_from_v4(0x0a000005),
                                                 config.prefixes[0],
                                                 ip_from_v4(0x0a000001),
                                                 true,
                                                 ip_from_v4(0x0a000001),
                                                 dns,
                                                 2,
                                                 routes,
                                                 1};
    config.addresses[1] = (struct dhcp4_address){
        ip_from_v4(0x0a010005), config.prefixes[1], ip_from_v4(0xa9fe0001), false, {{0}}, NULL, 0, NULL, 0};
    return config;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t reply[DHCP4_REPLY_MAX];
    struct dhcp4_outcome outcome;
    struct frame frame;
    if (size < 1)
        return 0;
    struct dhcp4_config config = make_config(data[0]);
    int result = dhcp4_respond(&config, data + 1, size - 1, reply, sizeof(reply), &outcome);
    (void)dhcp4_message_name(outcome.request);
    if (result <= 0) {
        if (outcome.reply)
            abort();
        return 0;
    }
    if (frame_parse(reply, (size_t)result, &frame) < 0 || frame.source_port != DHCP4_SERVER_PORT ||
        reader_left(&frame.payload) < 300)
        abort();
    uint32_t given = get_be32(frame.payload.at + 16);
    if (given && given != 0x0a000005 && !(given == 0x0a010005 && config.n_addresses == 2))
        abort();
    return 0;
}
