/* The DHCPv6 server under any frame: a reply is a sound frame to who asked.  The first byte chooses the configuration.
 */
#include <stdlib.h>
#include <string.h>

#include "weft/services/dhcp/dhcp6.h"
#include "weft/services/packet.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct extra_dhcp_option options[] = {
        {(char *)"ntp-server", (char *)"a.b", 6},
        {(char *)"23", (char *)"2001:db8::99", 6},
        {(char *)"59", (char *)"tftp://x", 6},
    };
    uint8_t reply[DHCP6_REPLY_MAX];
    struct dhcp6_outcome outcome;
    struct frame question, answer;
    if (size < 1)
        return 0;
    struct dhcp6_config config = {
        .mac = {{0xfa, 0x16, 0x3e, 0, 0, 5}},
        .server_mac = {{0xfa, 0x16, 0x3f, 0, 0, 1}},
        .server = {{0xfe, 0x80, [15] = 1}},
        .lease_s = data[0] & 1 ? UINT32_MAX : 3600,
        .domain = data[0] & 2    ? "example.org"
                  : data[0] & 16 ? "not..a.name"
                                 : NULL,
        .enabled = data[0] != 0xff,
        .n_addresses = data[0] & 4 ? 2 : 0,
        .n_dns_servers = 1,
        .options = options,
        .n_options = data[0] & 8 ? 3 : 0,
    };
    memcpy(config.server_duid, "\0\4\0\21\42\63\104\125\146\167\210\231\252\273\314\335\356\377", DHCP6_DUID_SIZE);
    ip_parse("2001:db8::5", &config.addresses[0]);
    ip_parse("2001:db8:1::5", &config.addresses[1]);
    ip_parse("2001:db8::53", &config.dns_servers[0]);

    int result = dhcp6_respond(&config, data + 1, size - 1, reply, sizeof(reply), &outcome);
    (void)dhcp6_message_name(outcome.request);
    if (result <= 0) {
        if (outcome.reply)
            abort();
        return 0;
    }
    if (frame_parse(reply, (size_t)result, &answer) < 0 || frame_parse(data + 1, size - 1, &question) < 0 ||
        !ip_equal(&answer.destination, &question.source) || answer.source_port != DHCP6_SERVER_PORT ||
        reader_left(&answer.payload) < 4 || memcmp(answer.payload.at + 1, question.payload.at + 1, 3))
        abort();
    return 0;
}
