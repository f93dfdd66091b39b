/* What probes read from servers and networks: DNS answers, ICMP messages; and the texts that they are told to ask with.  The first byte chooses. */
#include <stdlib.h>
#include <string.h>

#include "weft/health/dns-message.h"
#include "weft/health/icmp-message.h"
#include "weft/health/question.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const uint8_t query[] = {0x12, 0x34, 0x01, 0x00, 0, 1, 0, 0, 0, 0, 0, 0, 7, 'e', 'x', 'a', 'm', 'p', 'l', 'e', 3, 'c', 'o', 'm', 0, 0, 28, 0, 1};

static void read_answer(const uint8_t *data, size_t size)
{
    int rcode = dns_read_answer(data, size, query, sizeof(query));

    dns_rcode_name(rcode);
    if (rcode >= 0 && (size < 12 || rcode > 15 || memcmp(data, query, 2) != 0 || !(data[2] & 0x80)))
        abort();
}

static void read_echo(const uint8_t *data, size_t size, int how)
{
    const uint8_t *key = echo_read_reply(data, size, how & 1, how & 2);
    uint8_t request[ECHO_SIZE];

    if (key && (key < data + 8 || key + ECHO_KEY_SIZE > data + size))
        abort();
    if (!key)
        return;
    echo_write_request(request, how & 1, 1, 1, key); /* What was answered is no answer itself. */
    if (echo_read_reply(request, sizeof(request), how & 1, false) || memcmp(request + 8, key, ECHO_KEY_SIZE) != 0)
        abort();
}

/* A name that makes a query is answered by the query itself, with the bit of an answer set. */
static void write_query(const char *name)
{
    uint8_t own[DNS_QUERY_MAX], answer[DNS_QUERY_MAX];
    int size = dns_write_query(own, 0x1234, name, 1);

    if (size < 0)
        return;
    if (size < 17 || size > DNS_QUERY_MAX)
        abort();
    memcpy(answer, own, sizeof(answer));
    answer[2] |= 0x80;
    if (dns_read_answer(answer, (size_t)size, own, (size_t)size) != 0)
        abort();
}

static void read_codes(const char *text)
{
    struct health_codes codes[HEALTH_CODES_MAX];
    size_t n = 0;

    if (health_codes_parse(text, codes, &n) < 0)
        return;
    if (n == 0 || n > HEALTH_CODES_MAX)
        abort();
    for (size_t i = 0; i < n; i++)
        if (codes[i].first < 100 || codes[i].first > codes[i].last || codes[i].last > 999)
            abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1)
        return 0;
    uint8_t *bytes = malloc(size); /* Of just this size, and with an end of text. */
    if (!bytes)
        return 0;
    memcpy(bytes, data + 1, size - 1);
    bytes[size - 1] = '\0';
    switch (data[0] % 7) {
    case 0:
        read_answer(bytes, size - 1);
        break;
    case 1:
        write_query((const char *)bytes);
        break;
    case 2:
        read_codes((const char *)bytes);
        break;
    default:
        read_echo(bytes, size - 1, data[0] % 7 - 3);
        break;
    }
    free(bytes);
    return 0;
}
