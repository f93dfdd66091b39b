/* DNS and ICMP messages, byte by byte. */
#include "test.h"

#include <errno.h>

#include "weft/base/bytes.h"
#include "weft/base/util.h"
#include "weft/health/dns-message.h"
#include "weft/health/icmp-message.h"
#include "weft/health/question.h"

static const uint8_t query_of_example[] = {0x12, 0x34, 0x01, 0x00, 0, 1, 0, 0, 0, 0, 0, 0, 7, 'e', 'x', 'a', 'm', 'p', 'l', 'e', 3, 'c', 'o', 'm', 0, 0, 28, 0, 1};

static void a_query_has_the_bytes_of_rfc_1035(void **state)
{
    uint8_t query[DNS_QUERY_MAX];

    assert_int_equal(dns_write_query(query, 0x1234, "example.com", 28), sizeof(query_of_example));
    assert_memory_equal(query, query_of_example, sizeof(query_of_example));
    assert_int_equal(dns_write_query(query, 0x1234, "example.com.", 28), sizeof(query_of_example));
    assert_memory_equal(query, query_of_example, sizeof(query_of_example));
    assert_int_equal(dns_write_query(query, 1, ".", 6), 17);
    assert_memory_equal(query + 12, "\0\0\6\0\1", 5);
}

static void what_is_no_domain_name_is_refused(void **state)
{
    char name[300];
    uint8_t query[DNS_QUERY_MAX];

    assert_int_equal(dns_write_query(query, 1, "", 1), -EINVAL);
    assert_int_equal(dns_write_query(query, 1, "a..b", 1), -EINVAL);
    memset(name, 'a', 64); /* A label has 63 bytes at most. */
    name[64] = '\0';
    assert_int_equal(dns_write_query(query, 1, name, 1), -EINVAL);
    name[63] = '\0';
    assert_int_equal(dns_write_query(query, 1, name, 1), 12 + 65 + 4);
    for (size_t i = 0; i < sizeof(name) - 1; i++) /* A name 255. */
        name[i] = i % 2 ? '.' : 'a';
    name[254] = '\0';
    assert_int_equal(dns_write_query(query, 1, name, 1), 12 + 255 + 4);
    name[254] = 'a';
    name[255] = '\0';
    assert_int_equal(dns_write_query(query, 1, name, 1), -EINVAL);
}

struct answer {
    uint8_t bytes[512];
    size_t size;
};

static struct answer answer_new(uint16_t flags)
{
    struct answer answer = {.size = sizeof(query_of_example)};

    memcpy(answer.bytes, query_of_example, sizeof(query_of_example));
    put_be16(answer.bytes + 2, flags);
    return answer;
}

static int read_answer(const struct answer *answer)
{
    return dns_read_answer(answer->bytes, answer->size, query_of_example, sizeof(query_of_example));
}

static void an_answer_belongs_to_its_query(void **state)
{
    struct answer answer = answer_new(0x8180);

    assert_int_equal(read_answer(&answer), 0);
    answer.bytes[13] = 'E'; /* Names have no case. */
    assert_int_equal(read_answer(&answer), 0);
    answer.bytes[13] = 'f';
    assert_int_equal(read_answer(&answer), -EBADMSG);
    answer = answer_new(0x8183);
    assert_int_equal(read_answer(&answer), 3);
    answer = answer_new(0x0180);
    assert_int_equal(read_answer(&answer), -EBADMSG); /* A query. */
    answer = answer_new(0xa180);
    assert_int_equal(read_answer(&answer), -EBADMSG); /* A notification. */
    answer = answer_new(0x8180);
    answer.bytes[0] = 0;
    assert_int_equal(read_answer(&answer), -EBADMSG);
    answer = answer_new(0x8180);
    answer.bytes[sizeof(query_of_example) - 3] = 1; /* Another type. */
    assert_int_equal(read_answer(&answer), -EBADMSG);
}

static void an_answer_is_whole(void **state)
{
    static const uint8_t record[] = {0xc0, 12, 0, 28, 0, 1, 0, 0, 0, 60, 0, 16, 0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1};
    struct answer answer = answer_new(0x8180);

    answer.bytes[7] = 1;
    assert_int_equal(read_answer(&answer), -EBADMSG); /* The record is promised. */
    memcpy(answer.bytes + answer.size, record, sizeof(record));
    answer.size += sizeof(record);
    assert_int_equal(read_answer(&answer), 0);
    for (size_t size = 0; size < answer.size; size++)
        assert_int_equal(dns_read_answer(answer.bytes, size, query_of_example, sizeof(query_of_example)), -EBADMSG);
}

static void a_head_alone_may_say_an_error_only(void **state)
{
    struct answer answer = answer_new(0x8181);

    answer.size = 12;
    answer.bytes[5] = 0;
    assert_int_equal(read_answer(&answer), 1);
    put_be16(answer.bytes + 2, 0x8180);
    assert_int_equal(read_answer(&answer), -EBADMSG);
}

static void types_and_errors_have_names(void **state)
{
    assert_int_equal(health_dns_type("aaaa"), 28);
    assert_int_equal(health_dns_type("SOA"), 6);
    assert_int_equal(health_dns_type("AXFR"), 0);
    assert_string_equal(dns_rcode_name(5), "REFUSED");
    assert_null(dns_rcode_name(11));
    assert_null(dns_rcode_name(-1));
}

static const uint8_t key[ECHO_KEY_SIZE] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16};

static void an_echo_request_has_a_right_checksum(void **state)
{
    uint8_t message[ECHO_SIZE];
    uint32_t sum = 0;

    echo_write_request(message, true, 0xabcd, 7, key);
    assert_memory_equal(message, "\x08\0", 2);
    assert_memory_equal(message + 4, "\xab\xcd\0\7", 4);
    assert_memory_equal(message + 8, key, ECHO_KEY_SIZE);
    for (size_t i = 0; i < sizeof(message); i += 2)
        sum += get_be16(message + i);
    assert_int_equal((sum & 0xffff) + (sum >> 16), 0xffff);
    echo_write_request(message, false, 0xabcd, 7, key);
    assert_memory_equal(message, "\x80\0\0\0", 4);
}

static void a_reply_has_the_key(void **state)
{
    uint8_t message[60 + ECHO_SIZE] = {0x45};

    memcpy(message + 20 + 8, key, ECHO_KEY_SIZE);
    assert_ptr_equal(echo_read_reply(message, 20 + ECHO_SIZE, true, true), message + 28);
    assert_null(echo_read_reply(message, 20 + ECHO_SIZE - 1, true, true));
    assert_null(echo_read_reply(message, 19, true, true));
    message[0] = 0x44; /* A header of 16 bytes: there is none. */
    assert_null(echo_read_reply(message, sizeof(message), true, true));
    message[0] = 0x4f; /* With options. */
    memcpy(message + 60 + 8, key, ECHO_KEY_SIZE);
    assert_ptr_equal(echo_read_reply(message, sizeof(message), true, true), message + 68);
    memset(message, 0, sizeof(message));
    message[0] = 129;
    assert_ptr_equal(echo_read_reply(message, ECHO_SIZE, false, false), message + 8);
    assert_null(echo_read_reply(message, ECHO_SIZE, true, false));
    message[1] = 1;
    assert_null(echo_read_reply(message, ECHO_SIZE, false, false));
    assert_null(echo_read_reply(message, 0, false, false));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_query_has_the_bytes_of_rfc_1035),
        cmocka_unit_test(what_is_no_domain_name_is_refused),
        cmocka_unit_test(an_answer_belongs_to_its_query),
        cmocka_unit_test(an_answer_is_whole),
        cmocka_unit_test(a_head_alone_may_say_an_error_only),
        cmocka_unit_test(types_and_errors_have_names),
        cmocka_unit_test(an_echo_request_has_a_right_checksum),
        cmocka_unit_test(a_reply_has_the_key),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
