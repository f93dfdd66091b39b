/* Frames against bytes worked out elsewhere (scapy 2.5), and checksums that sum to zero. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <string.h>

#include "weft/cli/frame.h"

static struct frame_spec between(const char *source, const char *destination, enum frame_protocol protocol)
{
    struct frame_spec spec = {.protocol = protocol, .source_port = 40000, .destination_port = 53};

    assert_int_equal(mac_parse("fa:16:3e:00:00:01", &spec.source_mac), 0);
    assert_int_equal(mac_parse("fa:16:3e:00:00:02", &spec.destination_mac), 0);
    assert_int_equal(ip_parse(source, &spec.source), 0);
    assert_int_equal(ip_parse(destination, &spec.destination), 0);
    return spec;
}

static void expect(const struct frame_spec *spec, const char *hex)
{
    uint8_t frame[FRAME_MAX];
    char text[2 * 256 + 1];
    int size = frame_build(spec, frame);

    assert_in_range(size, 1, 256);
    frame_format_hex(frame, (size_t)size, text);
    assert_string_equal(text, hex);
}

static void udp_over_ipv4(void **state)
{
    struct frame_spec spec = between("10.0.0.1", "10.0.0.2", FRAME_UDP);

    spec.payload_size = 3;
    expect(&spec, "fa163e000002fa163e0000010800"
           "4500001f00004000401126cc0a0000010a0000029c400035000b4f60000000");
}

static void tcp_over_ipv6(void **state)
{
    struct frame_spec spec = between("fd00::1", "fd00::2", FRAME_TCP);

    expect(&spec, "fa163e000002fa163e00000186dd"
           "6000000000140640fd000000000000000000000000000001fd000000000000000000000000000002"
           "9c40003500000000000000005002faf01e780000");
}

static void echo_of_both_families(void **state)
{
    struct frame_spec four = between("10.0.0.1", "10.0.0.2", FRAME_ICMP), six = between("fd00::1", "fd00::2", FRAME_ICMP);

    expect(&four, "fa163e000002fa163e0000010800"
           "4500001c00004000400126df0a0000010a00000208005bbe9c400001");
    expect(&six, "fa163e000002fa163e00000186dd"
           "6000000000083a40fd000000000000000000000000000001fd000000000000000000000000000002"
           "8000e9769c400001");
}

static void questions_for_neighbours(void **state)
{
    struct frame_spec arp = between("10.0.0.1", "10.0.0.2", FRAME_ARP), nd = between("fd00::1", "fd00::1:2:3", FRAME_ND);

    memset(arp.destination_mac.bytes, 0xff, 6);
    expect(&arp, "fffffffffffffa163e0000010806"
           "0001080006040001fa163e0000010a0000010000000000000a000002");
    expect(&nd, "3333ff020003fa163e00000186dd"
           "6000000000203afffd000000000000000000000000000001ff0200000000000000000001ff020003"
           "8700477900000000fd0000000000000000000001000200030101fa163e000001");
}

static void families_do_not_mix(void **state)
{
    struct frame_spec spec = between("10.0.0.1", "fd00::2", FRAME_UDP), arp = between("fd00::1", "fd00::2", FRAME_ARP);
    struct frame_spec nd = between("10.0.0.1", "10.0.0.2", FRAME_ND), large = between("10.0.0.1", "10.0.0.2", FRAME_UDP);
    uint8_t frame[FRAME_MAX];

    large.payload_size = FRAME_MAX;
    assert_int_equal(frame_build(&spec, frame), -EINVAL);
    assert_int_equal(frame_build(&arp, frame), -EINVAL);
    assert_int_equal(frame_build(&nd, frame), -EINVAL);
    assert_int_equal(frame_build(&large, frame), -EMSGSIZE);
}

static void hexadecimal_is_read_back(void **state)
{
    uint8_t frame[FRAME_MAX];

    assert_int_equal(frame_parse_hex("0a:1B 2c\n", frame), 3);
    assert_memory_equal(frame, "\x0a\x1b\x2c", 3);
    assert_int_equal(frame_parse_hex("0", frame), -EINVAL);
    assert_int_equal(frame_parse_hex("", frame), -EINVAL);
    assert_int_equal(frame_parse_hex("0g", frame), -EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(udp_over_ipv4),          cmocka_unit_test(tcp_over_ipv6),
        cmocka_unit_test(echo_of_both_families),  cmocka_unit_test(questions_for_neighbours),
        cmocka_unit_test(families_do_not_mix),    cmocka_unit_test(hexadecimal_is_read_back),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
