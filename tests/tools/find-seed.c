/* A seed with which one flow has a wanted hash, so that a demonstration can show a choice that was published:
 *
 *     find-seed HASH PROTOCOL SOURCE SOURCE-PORT DESTINATION DESTINATION-PORT [FIRST-SEED]
 *     find-seed 2169503748 6 10.0.0.1 40000 10.0.0.2 5001
 *
 * Tries seed after seed, 4 billion of them on average, and prints the first that fits.  A fabric's own seed is random:
 * this finds one that was not secret to begin with. */
#include <stdio.h>
#include <stdlib.h>

#include "weft/base/util.h"
#include "weft/fabric/paths/flow-hash.h"

static uint64_t number(const char *text, uint64_t maximum)
{
    uint64_t value;

    if (parse_u64(text, 0, maximum, &value) < 0) {
        fprintf(stderr, "find-seed: '%s' is not a number up to %llu\n", text, (unsigned long long)maximum);
        exit(2);
    }
    return value;
}

static struct ip_address address(const char *text)
{
    struct ip_address value;

    if (ip_parse(text, &value) < 0) {
        fprintf(stderr, "find-seed: '%s' is not an IP address\n", text);
        exit(2);
    }
    return value;
}

int main(int argc, char **argv)
{
    struct flow_tuple tuple = {0};
    uint64_t seed;
    uint32_t wanted;

    if (argc != 7 && argc != 8) {
        fprintf(stderr,
                "usage: find-seed HASH PROTOCOL SOURCE SOURCE-PORT DESTINATION DESTINATION-PORT [FIRST-SEED]\n");
        return 2;
    }
    wanted = (uint32_t)number(argv[1], UINT32_MAX);
    tuple.protocol = (uint8_t)number(argv[2], UINT8_MAX);
    tuple.source = address(argv[3]);
    tuple.source_port = (uint16_t)number(argv[4], UINT16_MAX);
    tuple.destination = address(argv[5]);
    tuple.destination_port = (uint16_t)number(argv[6], UINT16_MAX);
    seed = argc == 8 ? number(argv[7], UINT64_MAX) : 0;
    while (flow_hash(&tuple, seed, false) != wanted)
        seed++;
    printf("%llu\n", (unsigned long long)seed);
    return 0;
}
