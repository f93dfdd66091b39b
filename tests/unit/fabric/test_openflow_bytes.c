/* Known bytes are what they are known to be:  test-fabric-openflow_bytes FILE
 *
 * The file (openflow-bytes, which says its form) has what Open vSwitch sent, what was written by hand from the specifications, and one
 * message for each reason to refuse one. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "describe.h"

static const char *path;

struct block {
    char title[256], bytes[8192], expected[8192];
    enum of_version version;
    char kind[16]; /* exact, decoded or refused. */
};

static bool read_line(FILE *file, char *line, size_t size)
{
    if (!fgets(line, (int)size, file))
        return false;
    line[strcspn(line, "\n")] = '\0';
    return true;
}

static bool read_block(FILE *file, struct block *block)
{
    char version[8];
    do
        if (!read_line(file, block->title, sizeof(block->title)))
            return false;
    while (block->title[0] == '\0' || block->title[0] == '#');
    assert_int_equal(sscanf(block->title, "%7s %15s", version, block->kind), 2);
    block->version = strcmp(version, "1.0") == 0 ? OF10 : OF13;
    assert_true(read_line(file, block->bytes, sizeof(block->bytes)));
    assert_true(read_line(file, block->expected, sizeof(block->expected)));
    return true;
}

/* "0102 00*12" into a heap block of exactly its size. */
static uint8_t *parse(const char *text, size_t *ret_size)
{
    uint8_t bytes[4096];
    size_t size = 0;
    while (*text) {
        unsigned value, n = 1;
        int used = 0;
        if (*text == ' ') {
            text++;
            continue;
        }
        assert_int_equal(sscanf(text, "%2x%n", &value, &used), 1);
        text += used;
        if (*text == '*') {
            assert_int_equal(sscanf(text, "*%u%n", &n, &used), 1);
            text += used;
        }
        assert_true(size + n <= sizeof(bytes));
        memset(bytes + size, (int)value, n);
        size += n;
    }
    uint8_t *ret = malloc(size ? size : 1);
    assert_non_null(ret);
    memcpy(ret, bytes, size);
    *ret_size = size;
    return ret;
}

static void check_refused(const struct block *block, const uint8_t *bytes, size_t size)
{
    struct of_message message;
    struct error error = {0};
    char got[600];
    uint16_t type = 0, code = 0;
    int r = of_decode(block->version, bytes, size, &message, &error);
    if (r != -EBADMSG && r != -EPROTONOSUPPORT && r != -EPROTO)
        fail_msg("%s: not refused, %d", block->title, r);
    assert_int_equal(of_error_reply(block->version, &error, &type, &code), 0);
    snprintf(got, sizeof(got), "%s %u %u %s", error.type, type, code, error.field);
    if (strcmp(got, block->expected) != 0)
        fail_msg("%s: '%s' (%s) instead of '%s'", block->title, got, error.message, block->expected);
    assert_true(error.message[0]);
}

static void check_decoded(const struct block *block, const uint8_t *bytes, size_t size)
{
    struct of_message message;
    struct error error = {0};
    struct buffer text = {0}, again = {0};
    if (of_decode(block->version, bytes, size, &message, &error) != 0)
        fail_msg("%s: %s: %s", block->title, error.field, error.message);
    describe(block->version, &message, &text);
    if (strcmp(text.data, block->expected) != 0)
        fail_msg("%s:\n%s\ninstead of\n%s", block->title, text.data, block->expected);
    if (of_encode(block->version, &message, &again) != 0)
        fail_msg("%s: is not encoded", block->title);
    bool is_same = again.size == size && memcmp(again.data, bytes, size) == 0;
    if (is_same != (strcmp(block->kind, "exact") == 0))
        fail_msg("%s: encodes to %s bytes", block->title, is_same ? "the same" : "other");
    buffer_clear(&text);
    buffer_clear(&again);
}

static void known_bytes_are_what_they_are_known_to_be(void **state)
{
    FILE *file = fopen(path, "re");
    static struct block block;
    unsigned n = 0;
    assert_non_null(file);
    for (; read_block(file, &block); n++) {
        size_t size;
        uint8_t *bytes = parse(block.bytes, &size);
        if (strcmp(block.kind, "refused") == 0)
            check_refused(&block, bytes, size);
        else
            check_decoded(&block, bytes, size);
        free(bytes);
    }
    fclose(file);
    assert_true(n > 100);
}

/* What the file cannot hold: messages whose header is wrong. */
static void headers_are_checked(void **state)
{
    static const struct {
        const char *bytes;
        size_t size;
        int result;
        const char *type;
        enum of_kind kind;
        uint32_t xid;
    } cases[] = {
        {"\x04\x14\x00\x08\x00\x00\x00\x07", 8, 0, "", OF_BARRIER_REQUEST, 7},
        {"\x04\x14\x00\x09\x00\x00\x00\x07", 8, -EBADMSG, "OFPBRC_BAD_LEN", OF_BARRIER_REQUEST, 7},
        {"\x04\x14\x00\x07\x00\x00\x00\x07", 8, -EBADMSG, "OFPBRC_BAD_LEN", OF_BARRIER_REQUEST, 7},
        {"\x04\x14\x00\x08\x00\x00\x00", 7, -EBADMSG, "OFPBRC_BAD_LEN", 0, 0},
        {"", 0, -EBADMSG, "OFPBRC_BAD_LEN", 0, 0},
        {"\x01\x12\x00\x08\x00\x00\x00\x07", 8, -EPROTO, "OFPBRC_BAD_VERSION", OF_MULTIPART_REQUEST, 7},
        {"\x05\x14\x00\x08\x00\x00\x00\x07", 8, -EPROTO, "OFPBRC_BAD_VERSION", OF_BARRIER_REQUEST, 7},
        {"\x04\x1e\x00\x08\x00\x00\x00\x07", 8, -EPROTONOSUPPORT, "OFPBRC_BAD_TYPE", 0, 7},
        {"\x01\x00\x00\x08\x00\x00\x00\x07", 8, 0, "", OF_HELLO, 7},
        {"\x00\x00\x00\x08\x00\x00\x00\x07", 8, -EBADMSG, "OFPBRC_BAD_VERSION", OF_HELLO, 7},
        {"\x06\x01\x00\x0c\x00\x00\x00\x07\x00\x00\x00\x00", 12, 0, "", OF_ERROR, 7},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct of_message message;
        struct error error = {0};
        assert_int_equal(of_decode(OF13, cases[i].bytes, cases[i].size, &message, &error), cases[i].result);
        assert_string_equal(error.type, cases[i].type);
        assert_int_equal(message.kind, cases[i].kind);
        assert_int_equal(message.xid, cases[i].xid);
    }
    assert_int_equal(of_decode(OF13, "", 0, &(struct of_message){0}, NULL), -EBADMSG);
}

/* ---- what cannot be encoded ------------------------------------------------------------------------------------ */

static struct of_match tcp(void)
{
    struct of_match match = {.fields = OFM_ETH_TYPE | OFM_IP_PROTO | OFM_TP_DST | OFM_IP_SRC, .eth_type = 0x0800, .ip_proto = 6,
                             .tp_dst = 80, .ip_src = ip_from_v4(0x0a000001)};
    of_match_make_exact(&match);
    return match;
}

static int encode_match(enum of_version version, const struct of_match *match)
{
    struct buffer buffer = {0};
    struct of_message message = {.kind = OF_FLOW_MOD,
                                 .flow_mod = {.match = *match, .buffer_id = OF_NO_BUFFER, .out_port = OFPP_ANY, .out_group = OFPG_ANY}};
    int r = of_encode(version, &message, &buffer);
    assert_true(r == 0 || buffer.size == 0);
    buffer_clear(&buffer);
    return r;
}

static void matches_that_mean_nothing_are_not_encoded(void **state)
{
    struct of_match match = tcp(), changed;
    for (int v = 0; v < 2; v++) {
        enum of_version version = v ? OF13 : OF10;
        assert_int_equal(encode_match(version, &match), 0);
#define REFUSED(CHANGE, RESULT)                                                                                        \
    do {                                                                                                               \
        changed = match;                                                                                               \
        CHANGE;                                                                                                        \
        if (encode_match(version, &changed) != (RESULT))                                                               \
            fail_msg("version %d, " #CHANGE ": %d", version, encode_match(version, &changed));                         \
    } while (0)
        REFUSED(changed.fields &= ~OFM_ETH_TYPE, -EINVAL);
        REFUSED(changed.fields &= ~OFM_IP_PROTO, -EINVAL);
        REFUSED(changed.ip_proto = 1, -EINVAL);
        REFUSED(changed.eth_type = 0x0806, -EINVAL);
        REFUSED(changed.ip_src.bytes[0] = 1, -EINVAL);
        REFUSED(memset(&changed.ip_src_mask, 0, sizeof(changed.ip_src_mask)), -EINVAL);
        REFUSED(memset(changed.ip_src_mask.bytes + 12, 0, 4), -EINVAL);
        REFUSED((changed.fields |= OFM_ETH_DST), version == OF10 ? -EPROTONOSUPPORT : -EINVAL); /* The mask was forgotten. */
        REFUSED((changed.fields |= OFM_VLAN_VID, changed.vlan_vid = 4096), -EINVAL);
        REFUSED((changed.fields |= OFM_VLAN_VID | OFM_VLAN_PCP, changed.vlan_vid = OF_NO_VLAN), -EINVAL);
        REFUSED((changed.fields |= OFM_IP_DSCP, changed.ip_dscp = 64), -EINVAL);
        REFUSED((changed.fields |= OFM_ICMP_TYPE), -EINVAL);
        REFUSED((changed.fields |= OFM_ND_TARGET), version == OF10 ? -EPROTONOSUPPORT : -EINVAL);
        REFUSED((changed.fields |= OFM_METADATA, changed.metadata_mask = UINT64_MAX), version == OF10 ? -EPROTONOSUPPORT : 0);
        REFUSED((changed.fields |= OFM_METADATA), version == OF10 ? -EPROTONOSUPPORT : -EINVAL);
        REFUSED(changed.ip_src_mask.bytes[13] = 0xf7, version == OF10 ? -EPROTONOSUPPORT : 0);
        REFUSED((changed.fields |= OFM_IN_PORT, changed.in_port = 0xff00), version == OF10 ? -EINVAL : 0);
    }
}

static int encode_flow(enum of_version version, const struct of_flow_mod *mod)
{
    struct buffer buffer = {0};
    struct of_message message = {.kind = OF_FLOW_MOD, .flow_mod = *mod};
    int r = of_encode(version, &message, &buffer);
    buffer_clear(&buffer);
    return r;
}

static void flows_of_1_0_say_what_it_can(void **state)
{
    const struct of_flow_mod add = {.buffer_id = OF_NO_BUFFER}, delete = {.command = OFPFC_DELETE, .out_port = OFPP_ANY,
                                                                          .out_group = OFPG_ANY, .table_id = OF_ALL_TABLES};
    struct of_flow_mod mod;
    assert_int_equal(encode_flow(OF10, &add), 0);
    assert_int_equal(encode_flow(OF10, &delete), 0);
#define SAYS(BASE, CHANGE, RESULT10, RESULT13)                                                                         \
    do {                                                                                                               \
        mod = BASE;                                                                                                    \
        mod.CHANGE;                                                                                                    \
        assert_int_equal(encode_flow(OF10, &mod), RESULT10);                                                           \
        assert_int_equal(encode_flow(OF13, &mod), RESULT13);                                                           \
    } while (0)
    SAYS(add, table_id = 3, -EPROTONOSUPPORT, 0);
    SAYS(add, flags = OFPFF_RESET_COUNTS, -EPROTONOSUPPORT, 0);
    SAYS(add, flags = OFPFF_EMERG, 0, -EPROTONOSUPPORT);
    SAYS(add, command = 5, -EINVAL, -EINVAL);
    SAYS(add, instructions.goto_table = 1, -EPROTONOSUPPORT, 0);
    SAYS(add, instructions.goto_table = OF_NO_TABLE, 0, 0);
    SAYS(add, instructions.clear_actions = true, -EPROTONOSUPPORT, 0);
    SAYS(add, instructions.meter = 1, -EPROTONOSUPPORT, 0);
    SAYS(add, instructions.metadata_mask = 1, -EPROTONOSUPPORT, 0);
    SAYS(add, instructions.apply_actions.size = 4, -EINVAL, -EINVAL);
    SAYS(delete, cookie_mask = 1, -EPROTONOSUPPORT, 0);
    SAYS(delete, out_group = 7, -EPROTONOSUPPORT, 0);
    SAYS(delete, out_port = 0x10000, -EINVAL, 0);
    SAYS(delete, instructions.meter = 1, 0, 0); /* Nobody looks at it. */
}

static int put_action(enum of_version version, const struct of_action *action, size_t room)
{
    uint8_t bytes[64];
    struct writer writer = writer_of(bytes, room);
    int r = of_action_put(version, &writer, action);
    assert_true(r == 0 || writer.size == 0);
    return r;
}

static void actions_that_a_version_lacks_are_not_put(void **state)
{
    static const struct {
        struct of_action action;
        int result10, result13;
    } cases[] = {
        {{.kind = OFA_OUTPUT, .port = 0x10000}, -EINVAL, 0},
        {{.kind = OFA_OUTPUT, .port = OFPP_LOCAL}, 0, 0},
        {{.kind = OFA_GROUP}, -EPROTONOSUPPORT, 0},
        {{.kind = OFA_PUSH_VLAN, .number = 0x8100}, -EPROTONOSUPPORT, 0},
        {{.kind = OFA_SET_VLAN_VID, .number = 4096}, -EINVAL, -EINVAL},
        {{.kind = OFA_SET_VLAN_PCP, .byte = 8}, -EINVAL, -EINVAL},
        {{.kind = OFA_SET_IP_DSCP, .byte = 64}, -EINVAL, -EINVAL},
        {{.kind = OFA_SET_IP_SRC, .ip = {{0x20, 0x01}}}, -EPROTONOSUPPORT, 0},
        {{.kind = OFA_SET_TP_SRC, .number = 80}, 0, -EINVAL}, /* Of which protocol? */
        {{.kind = OFA_OTHER}, -EINVAL, -EINVAL},
        {{0}, -EPROTONOSUPPORT, -EINVAL},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_int_equal(put_action(OF10, &cases[i].action, 64), cases[i].result10);
        assert_int_equal(put_action(OF13, &cases[i].action, 64), cases[i].result13);
        if (cases[i].result10 == 0)
            assert_int_equal(put_action(OF10, &cases[i].action, 7), -ENOBUFS);
        if (cases[i].result13 == 0)
            assert_int_equal(put_action(OF13, &cases[i].action, 7), -ENOBUFS);
    }
}

/* Ports from 0xff00 on are the reserved ones of 1.3, both ways. */
static void reserved_ports_have_both_numbers(void **state)
{
    static const struct {
        uint32_t port;
        uint16_t wire;
    } cases[] = {{1, 1}, {0xfeff, 0xfeff}, {OFPP_MAX, 0xff00}, {OFPP_IN_PORT, 0xfff8}, {OFPP_TABLE, 0xfff9}, {OFPP_NORMAL, 0xfffa},
                 {OFPP_FLOOD, 0xfffb}, {OFPP_ALL, 0xfffc}, {OFPP_CONTROLLER, 0xfffd}, {OFPP_LOCAL, 0xfffe}, {OFPP_ANY, 0xffff}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        uint8_t bytes[8];
        struct writer writer = writer_of(bytes, sizeof(bytes));
        struct of_bytes list = {bytes, sizeof(bytes)};
        struct of_action action;
        assert_int_equal(of_action_put(OF10, &writer, &(struct of_action){.kind = OFA_OUTPUT, .port = cases[i].port}), 0);
        assert_int_equal(get_be16(bytes + 4), cases[i].wire);
        assert_int_equal(of_action_next(OF10, &list, &action), 1);
        assert_int_equal(action.port, cases[i].port);
    }
}

static void errors_have_names(void **state)
{
    char text[OF_ERROR_TEXT_SIZE];
    uint16_t type = 77, code = 77;
    assert_string_equal(of_error_text(OF13, &(struct of_error){5, 1, {0}}, text), "flow_mod_failed/table_full");
    assert_string_equal(of_error_text(OF10, &(struct of_error){3, 0, {0}}, text), "flow_mod_failed/all_tables_full");
    assert_string_equal(of_error_text(OF13, &(struct of_error){1, 99, {0}}, text), "bad_request/99");
    assert_string_equal(of_error_text(OF13, &(struct of_error){99, 1, {0}}, text), "type 99/code 1");
    assert_string_equal(of_error_text(OF13, &(struct of_error){0xffff, 7, {0}}, text), "experimenter/7");
    assert_int_equal(of_error_reply(OF13, &(struct error){.type = "NetworkNotFound"}, &type, &code), -ENOENT);
    assert_int_equal(of_error_reply(OF13, &(struct error){.type = "OFPBRC_"}, &type, &code), -ENOENT);
    assert_int_equal(of_error_reply(OF13, &(struct error){0}, &type, &code), -ENOENT);
    assert_int_equal(type, 77);
    assert_string_equal(of_kind_name(OF_PACKET_IN), "packet_in");
    assert_string_equal(of_kind_name(0), "unknown");
    assert_string_equal(of_kind_name(N_OF_KINDS), "unknown");
    assert_string_equal(of_kind_name(OF_METER_MOD), "meter_mod");
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_bytes_are_what_they_are_known_to_be),
        cmocka_unit_test(headers_are_checked),
        cmocka_unit_test(matches_that_mean_nothing_are_not_encoded),
        cmocka_unit_test(flows_of_1_0_say_what_it_can),
        cmocka_unit_test(actions_that_a_version_lacks_are_not_put),
        cmocka_unit_test(reserved_ports_have_both_numbers),
        cmocka_unit_test(errors_have_names),
    };
    if (argc != 2) {
        fprintf(stderr, "usage: test-fabric-openflow_bytes FILE\n");
        return 2;
    }
    path = argv[1];
    return cmocka_run_group_tests(tests, NULL, NULL);
}
