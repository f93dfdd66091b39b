/* The flow hash: what counts, what does not, known values, and how flows spread. */
#include "test.h"

#include <math.h>
#include <string.h>

#include "weft/base/util.h"
#include "weft/fabric/paths/buckets.h"
#include "weft/fabric/paths/flow-hash.h"

#define PUBLISHED 2169503748u /* The hash in the published trace of the reference algorithm. */

static struct flow_tuple make_flow(const char *source, uint16_t source_port, const char *destination,
                                   uint16_t destination_port, uint8_t protocol)
{
    struct flow_tuple tuple = {.source_port = source_port, .destination_port = destination_port, .protocol = protocol};

    assert_int_equal(ip_parse(source, &tuple.source), 0);
    assert_int_equal(ip_parse(destination, &tuple.destination), 0);
    return tuple;
}

static struct flow_tuple reversed(struct flow_tuple tuple)
{
    struct flow_tuple other = tuple;

    other.source = tuple.destination;
    other.destination = tuple.source;
    other.source_port = tuple.destination_port;
    other.destination_port = tuple.source_port;
    other.source_mac = tuple.destination_mac;
    other.destination_mac = tuple.source_mac;
    return other;
}

/* Demonstrations print the published trace with these seeds, so the hash may never change. */
static void known_values(void **state)
{
    struct flow_tuple tcp = make_flow("10.0.0.1", 40000, "10.0.0.2", 5001, 6);
    struct flow_tuple echo = make_flow("10.0.0.1", 0x0800, "10.0.0.2", 0, 1);

    assert_int_equal(flow_hash(&tcp, 946487445, false), PUBLISHED);
    assert_int_equal(flow_hash(&echo, 3138820658, false), PUBLISHED);
    tcp.source_mac.bytes[3] = 7;
    tcp.vlan = 12;
    tcp.ethertype = 0x0800;
    assert_int_equal(flow_hash(&tcp, 946487445, false), PUBLISHED);
}

#define MUST_DIFFER(tuple, field, change)                                                                              \
    do {                                                                                                               \
        struct flow_tuple other_ = tuple;                                                                              \
        other_.field change;                                                                                           \
        assert_int_not_equal(flow_hash(&tuple, 5, false), flow_hash(&other_, 5, false));                               \
        assert_int_not_equal(flow_hash(&tuple, 5, true), flow_hash(&other_, 5, true));                                 \
    } while (0)

static void every_part_of_the_5_tuple_counts(void **state)
{
    static const char *const pairs[][2] = {
        {"10.0.0.1", "10.0.0.2"}, {"2001:db8::1", "2001:db8::2"}, {"10.0.0.1", "2001:db8::2"}};

    for (size_t i = 0; i < ARRAY_SIZE(pairs); i++) {
        struct flow_tuple tuple = make_flow(pairs[i][0], 1000, pairs[i][1], 2000, 17);

        MUST_DIFFER(tuple, source.bytes[15], ^= 1);
        MUST_DIFFER(tuple, destination.bytes[15], ^= 0x80);
        MUST_DIFFER(tuple, source.bytes[12], ^= 1);
        MUST_DIFFER(tuple, source_port, ^= 1);
        MUST_DIFFER(tuple, destination_port, ^= 0x8000);
        MUST_DIFFER(tuple, protocol, = 6);
        assert_int_not_equal(flow_hash(&tuple, 5, false), flow_hash(&tuple, 6, false));
        assert_int_not_equal(flow_hash(&tuple, 5, false), flow_hash(&tuple, 5 + (1ull << 63), false));
    }
}

static void macs_count_only_without_ip(void **state)
{
    struct flow_tuple frame = {
        .source_mac = {{2, 0, 0, 0, 0, 1}}, .destination_mac = {{2, 0, 0, 0, 0, 2}}, .ethertype = 0x88cc};
    struct flow_tuple dhcp = make_flow("0.0.0.0", 68, "255.255.255.255", 67, 17), other = dhcp;

    MUST_DIFFER(frame, source_mac.bytes[0], ^= 4);
    MUST_DIFFER(frame, source_mac.bytes[5], ^= 1);
    MUST_DIFFER(frame, destination_mac.bytes[4], ^= 1);
    MUST_DIFFER(frame, ethertype, = 0x8809);
    MUST_DIFFER(frame, vlan, = 3);
    other.source_mac.bytes[5] = 9;
    assert_int_equal(flow_hash(&dhcp, 5, false), flow_hash(&other, 5, false)); /* 0.0.0.0 is an address. */
}

static void fragments_stay_together(void **state)
{
    struct flow_tuple first = make_flow("10.0.0.1", 1000, "10.0.0.2", 2000, 17), second = first, other_host;

    first.is_fragment = second.is_fragment = 1;
    second.source_port = second.destination_port = 0; /* Has none. */
    assert_int_equal(flow_hash(&first, 5, false), flow_hash(&second, 5, false));
    other_host = first;
    other_host.source.bytes[15] ^= 4;
    assert_int_not_equal(flow_hash(&first, 5, false), flow_hash(&other_host, 5, false));
}

static void both_directions_are_one_when_symmetric(void **state)
{
    unsigned seed = test_seed(__func__);

    for (int i = 0; i < 2000; i++) {
        struct flow_tuple tuple = {
            .protocol = 6, .source_port = (uint16_t)rand_r(&seed), .destination_port = (uint16_t)rand_r(&seed)};
        struct flow_tuple back;

        if (i % 3 == 0) {
            tuple.source = ip_from_v4((uint32_t)rand_r(&seed));
            tuple.destination =
                i % 2 ? tuple.source : ip_from_v4((uint32_t)rand_r(&seed)); /* Then only the ports differ. */
        } else if (i % 3 == 1) {
            for (int k = 0; k < 16; k++)
                tuple.source.bytes[k] = tuple.destination.bytes[k] = (uint8_t)rand_r(&seed);
            tuple.destination.bytes[rand_r(&seed) % 16] ^= 1;
        } else {
            tuple.source_port = tuple.destination_port = 0;
            for (int k = 0; k < 6; k++) {
                tuple.source_mac.bytes[k] = (uint8_t)rand_r(&seed);
                tuple.destination_mac.bytes[k] = (uint8_t)rand_r(&seed);
            }
        }
        back = reversed(tuple);
        assert_int_equal(flow_hash(&tuple, 77, true), flow_hash(&back, 77, true));
        if (memcmp(&tuple, &back, sizeof tuple) != 0)
            assert_int_not_equal(flow_hash(&tuple, 77, false), flow_hash(&back, 77, false));
    }
}

static void echo_and_its_reply_are_one_when_symmetric(void **state)
{
    struct flow_tuple request = make_flow("10.0.0.1", 8 << 8, "10.0.0.2", 0, 1),
                      reply = make_flow("10.0.0.2", 0, "10.0.0.1", 0, 1);
    struct flow_tuple request6 = make_flow("fd00::1", 128 << 8, "fd00::2", 0, 58),
                      reply6 = make_flow("fd00::2", 129 << 8, "fd00::1", 0, 58);

    assert_int_equal(flow_hash(&request, 5, true), flow_hash(&reply, 5, true));
    assert_int_equal(flow_hash(&request6, 5, true), flow_hash(&reply6, 5, true));
    assert_int_not_equal(flow_hash(&request, 5, false), flow_hash(&reply, 5, false));
}

/* Any input bit flips any output bit half of the time. */
static void bits_avalanche(void **state)
{
    struct flow_tuple tuple = make_flow("2001:db8::1", 1000, "2001:db8::2", 2000, 17);
    enum { TRIALS = 4000 };

    for (size_t bit = 0; bit < 8 * 32; bit += 5) {
        uint32_t flips[32] = {0};

        for (uint64_t seed = 0; seed < TRIALS; seed++) {
            struct flow_tuple other = tuple;
            uint32_t difference;

            (bit < 128 ? other.source.bytes : other.destination.bytes)[bit / 8 % 16] ^= (uint8_t)(1 << bit % 8);
            difference = flow_hash(&tuple, seed, false) ^ flow_hash(&other, seed, false);
            for (int k = 0; k < 32; k++)
                flips[k] += difference >> k & 1;
        }
        for (int k = 0; k < 32; k++) /* Six standard deviations. */
            assert_true(fabs(flips[k] - TRIALS / 2.0) < 6 * sqrt(TRIALS) / 2);
    }
}

enum population { IPV4, IPV6, VXLAN, SEQUENTIAL, N_POPULATIONS };

static struct flow_tuple population_flow(enum population population, uint32_t i)
{
    static const char *const addresses[][2] = {
        [IPV4] = {"10.1.0.0", "10.2.0.0"},
        [IPV6] = {"2001:db8::", "2001:db8:1::"},
        [VXLAN] = {"192.0.2.1", "192.0.2.2"},
        [SEQUENTIAL] = {"10.0.0.0", "10.99.0.1"},
    };
    struct flow_tuple tuple = make_flow(addresses[population][0], 40000, addresses[population][1], 443, 6);

    switch (population) {
    case IPV4:
    case IPV6:
        tuple.source = ip_add(&tuple.source, i % 317);
        tuple.destination = ip_add(&tuple.destination, i / 317);
        break;
    case VXLAN:
        tuple.protocol = 17;
        tuple.source_port = (uint16_t)(i % 50000 + 10000);
        tuple.destination_port = (uint16_t)(4789 + i / 50000);
        break;
    default:
        tuple.source = ip_add(&tuple.source, i);
    }
    return tuple;
}

/* The 99.99 % quantile of chi-square, by Wilson and Hilferty's approximation (1931). */
static double chi_square_limit(double freedom)
{
    return freedom * pow(1 - 2 / (9 * freedom) + 3.719 * sqrt(2 / (9 * freedom)), 3);
}

static void flows_spread_evenly(void **state)
{
    static const size_t numbers[] = {2, 3, 4, 8, 64};
    enum { N_FLOWS = 100000 };

    for (enum population population = 0; population < N_POPULATIONS; population++) {
        for (size_t k = 0; k < ARRAY_SIZE(numbers); k++) {
            size_t counts[64] = {0}, shares[64] = {0};
            struct buckets buckets = {};
            double sum = 0;

            assert_int_equal(buckets_set(&buckets, numbers[k], NULL, NULL), 0);
            for (size_t i = 0; i < buckets.n; i++)
                shares[buckets.owners[i]]++;
            for (uint32_t i = 0; i < N_FLOWS; i++) {
                struct flow_tuple tuple = population_flow(population, i);

                counts[buckets_select(&buckets, flow_hash(&tuple, 12345, false))]++;
            }
            for (size_t i = 0; i < numbers[k]; i++) {
                double expected = (double)N_FLOWS * shares[i] / buckets.n;

                sum += (counts[i] - expected) * (counts[i] - expected) / expected;
            }
            assert_true(sum < chi_square_limit((double)numbers[k] - 1));
            buckets_clear(&buckets);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_values),
        cmocka_unit_test(every_part_of_the_5_tuple_counts),
        cmocka_unit_test(macs_count_only_without_ip),
        cmocka_unit_test(fragments_stay_together),
        cmocka_unit_test(both_directions_are_one_when_symmetric),
        cmocka_unit_test(echo_and_its_reply_are_one_when_symmetric),
        cmocka_unit_test(bits_avalanche),
        cmocka_unit_test(flows_spread_evenly),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
