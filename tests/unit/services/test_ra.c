/* Router advertisements: what is in them, and which solicitations are answered (RFC 4861, 6.1.1). */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "frames.h"
#include "weft/services/ra/ra.h"

#define CLIENT "fa:16:3e:00:00:05"

static struct ra_config sample(void)
{
    struct ra_config config = {
        .mac = mac(CLIENT), .server_mac = mac("fa:16:3f:00:00:01"), .source = ip("fe80::f816:3eff:fe00:1"), .enabled = true, .other = true, .has_gateway = true,
        .gateway_mac = mac("fa:16:3e:00:00:01"), .mtu = 1450, .n_prefixes = 2, .n_dns_servers = 1, .domain = "example.org",
    };
    config.prefixes[0] = (struct ra_prefix){prefix("2001:db8::/64"), true};
    config.prefixes[1] = (struct ra_prefix){prefix("2001:db8:1::/64"), false};
    config.dns_servers[0] = ip("2001:db8::53");
    return config;
}

static void assert_message(const uint8_t *frame, int size, const char *hex)
{
    const uint8_t *message;
    size_t message_size;
    struct bytes expected = {0};
    assert_true(size > 0);
    assert_true(frame_is_sound(frame, (size_t)size, &message, &message_size));
    add_hex(&expected, hex);
    assert_int_equal(frame[21], 255);
    assert_int_equal(message_size, expected.size);
    memcpy(expected.data + 2, message + 2, 2); /* The checksum, which was checked. */
    assert_memory_equal(message, expected.data, expected.size);
}

static void advertisement_with_everything(void **state)
{
    struct ra_config config = sample();
    uint8_t frame[RA_FRAME_MAX];
    int size = ra_advertise(&config, frame, sizeof(frame));
    assert_message(frame, size,
                   "86 00 0000 40 40 0384 00000000 00000000"
                   "01 01 fa163e000001"
                   "05 01 0000 000005aa"
                   "03 04 40 c0 00015180 00003840 00000000 20010db8000000000000000000000000"
                   "03 04 40 80 00015180 00003840 00000000 20010db8000100000000000000000000"
                   "19 03 0000 00000384 20010db8000000000000000000000053"
                   "1f 03 0000 00000384 07 6578616d706c65 03 6f7267 00 000000");
    assert_memory_equal(frame, "\x33\x33\0\0\0\1", 6);
    struct ip_address all = ip("ff02::1"), gateway = ip("fe80::f816:3eff:fe00:1");
    assert_memory_equal(frame + 22, gateway.bytes, 16);
    assert_memory_equal(frame + 38, all.bytes, 16);
}

static void without_a_gateway_there_is_no_router(void **state)
{
    struct ra_config config = {.mac = mac(CLIENT), .server_mac = mac("fa:16:3f:00:00:01"), .source = ip("fe80::1"), .enabled = true, .managed = true, .mtu = 1000};
    uint8_t frame[RA_FRAME_MAX];
    int size = ra_advertise(&config, frame, sizeof(frame));
    assert_message(frame, size, "86 00 0000 40 80 0000 00000000 00000000"); /* And an MTU under 1280 is not told. */
    config.enabled = false;
    assert_int_equal(ra_advertise(&config, frame, sizeof(frame)), -EADDRNOTAVAIL);
}

static void solicitations(void **state)
{
    static const struct {
        const char *name, *source, *message;
        unsigned hop_limit;
        int expected; /* 0: answered to the source, 1: to all nodes. */
    } cases[] = {
        {"with an address", "fe80::5", "85 00 0000 00000000 01 01 fa163e000005", 255, 0},
        {"plain", "fe80::5", "85 00 0000 00000000", 255, 0},
        {"without an address", "::", "85 00 0000 00000000", 255, 1},
        {"an unknown option", "fe80::5", "85 00 0000 00000000 fd 02 0000 00000000 00000000 00000000", 255, 0},
        {"no address, but its link layer", "::", "85 00 0000 00000000 01 01 fa163e000005", 255, -EBADMSG},
        {"from elsewhere", "fe80::5", "85 00 0000 00000000", 64, -EBADMSG},
        {"a code", "fe80::5", "85 01 0000 00000000", 255, -EBADMSG},
        {"short", "fe80::5", "85 00 0000 0000", 255, -EBADMSG},
        {"an option of no length", "fe80::5", "85 00 0000 00000000 01 00 fa163e000005", 255, -EBADMSG},
        {"an option over the end", "fe80::5", "85 00 0000 00000000 01 02 fa163e000005", 255, -EBADMSG},
        {"half an option", "fe80::5", "85 00 0000 00000000 01", 255, -EBADMSG},
        {"from a group", "ff02::5", "85 00 0000 00000000", 255, -EBADMSG},
        {"a neighbor solicitation", "fe80::5", "87 00 0000 00000000 20010db8000000000000000000000053", 255, -EPROTONOSUPPORT},
        {"an advertisement", "fe80::5", "86 00 0000 40 80 0000 00000000 00000000", 255, -EPROTONOSUPPORT},
    };
    struct ra_config config = sample();
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct bytes message = {0};
        uint8_t frame[RA_FRAME_MAX];
        add_hex(&message, cases[i].message);
        struct bytes request = icmp6_frame(CLIENT, cases[i].source, "ff02::2", cases[i].hop_limit, &message);
        uint8_t *block = exact(request.data, request.size);
        int size = ra_respond(&config, block, request.size, frame, sizeof(frame));
        free(block);
        if (cases[i].expected < 0 ? size != cases[i].expected : size <= 0)
            fail_msg("%s: %d", cases[i].name, size);
        if (size <= 0)
            continue;
        struct ip_address destination = ip(cases[i].expected ? "ff02::1" : cases[i].source);
        assert_memory_equal(frame + 38, destination.bytes, 16);
        assert_memory_equal(frame, cases[i].expected ? "\x33\x33\0\0\0\1" : "\xfa\x16\x3e\0\0\5", 6);
    }
    config.enabled = false;
    struct bytes message = {0};
    uint8_t frame[RA_FRAME_MAX];
    add_hex(&message, "85 00 0000 00000000");
    struct bytes request = icmp6_frame(CLIENT, "fe80::5", "ff02::2", 255, &message);
    assert_int_equal(ra_respond(&config, request.data, request.size, frame, sizeof(frame)), -EADDRNOTAVAIL);
}

static void former_router_is_withdrawn(void **state)
{
    struct ra_config config = sample();
    struct ip_address former = ip("fe80::99");
    uint8_t frame[RA_FRAME_MAX];
    int size = ra_withdraw(&config, &former, frame, sizeof(frame));
    assert_message(frame, size, "86 00 0000 40 40 0000 00000000 00000000");
    assert_memory_equal(frame + 22, former.bytes, 16);
}

static void full_configuration_fits_in_a_frame(void **state)
{
    struct ra_config config = sample();
    uint8_t frame[RA_FRAME_MAX];
    config.n_prefixes = RA_MAX_PREFIXES;
    config.n_dns_servers = RA_MAX_DNS;
    for (size_t i = 0; i < RA_MAX_PREFIXES; i++)
        config.prefixes[i] = config.prefixes[0];
    assert_true(ra_advertise(&config, frame, sizeof(frame)) > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(advertisement_with_everything),
        cmocka_unit_test(without_a_gateway_there_is_no_router),
        cmocka_unit_test(solicitations),
        cmocka_unit_test(former_router_is_withdrawn),
        cmocka_unit_test(full_configuration_fits_in_a_frame),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
