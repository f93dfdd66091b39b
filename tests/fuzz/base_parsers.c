/* Text to addresses, prefixes, times, numbers and UUIDs: whatever parses must print and parse again to the same. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "weft/base/address.h"
#include "weft/base/cleanup.h"
#include "weft/base/clock.h"
#include "weft/base/util.h"
#include "weft/base/uuid.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define REQUIRE(condition)                                                                                   \
    do {                                                                                                     \
        if (!(condition))                                                                                    \
            abort();                                                                                         \
    } while (0)

static void check_ip(const char *text)
{
    struct ip_address address, again;
    char printed[IP_TEXT_SIZE];

    if (ip_parse(text, &address) == 0) {
        REQUIRE(ip_parse(ip_format(&address, printed), &again) == 0);
        REQUIRE(ip_equal(&address, &again));
    }
}

static void check_prefix(const char *text)
{
    struct ip_prefix prefix, again;
    struct ip_address first, last;
    char printed[PREFIX_TEXT_SIZE];

    if (prefix_parse_host(text, &prefix) < 0) {
        REQUIRE(prefix_parse(text, &prefix) < 0);
        return;
    }
    first = prefix_first(&prefix);
    last = prefix_last(&prefix);
    REQUIRE(prefix_contains(&prefix, &first));
    REQUIRE(prefix_contains(&prefix, &last));
    REQUIRE(ip_compare(&first, &last) <= 0);
    REQUIRE(prefix_overlaps(&prefix, &prefix));
    prefix_format(&prefix, printed);
    REQUIRE(prefix_parse_host(printed, &again) == 0);
    REQUIRE(again.length == prefix.length && ip_equal(&again.address, &prefix.address));
}

static void check_mac(const char *text)
{
    struct mac_address mac, again;
    char printed[MAC_TEXT_SIZE];

    if (mac_parse(text, &mac) == 0)
        REQUIRE(mac_parse(mac_format(&mac, printed), &again) == 0 && mac_equal(&mac, &again));
}

static void check_time(const char *text)
{
    int64_t seconds, again;
    char printed[TIME_TEXT_SIZE];

    if (time_parse(text, &seconds) == 0)
        REQUIRE(time_parse(time_format(seconds, printed), &again) == 0 && seconds == again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    _cleanup_(freep) char *text = malloc(size + 1);
    uint64_t number;

    if (!text)
        return 0;
    if (size)
        memcpy(text, data, size);
    text[size] = 0;
    check_ip(text);
    check_prefix(text);
    check_mac(text);
    check_time(text);
    if (uuid_is_valid(text))
        REQUIRE(strlen(text) == UUID_TEXT_SIZE - 1);
    if (parse_u64(text, 10, 1000, &number) == 0)
        REQUIRE(number >= 10 && number <= 1000);
    return 0;
}
