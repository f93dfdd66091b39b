/* The errors that OpenFlow names: numbers -> text, and names -> numbers. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "weft/base/util.h"
#include "weft/fabric/openflow/openflow.h"

struct error_type {
    uint16_t number;
    const char *name;         /* "bad_request". */
    const char *prefix;       /* Of its codes' names in the standard: "OFPBRC". */
    const char *const *codes; /* By number, up to a NULL. */
};

#define CODES (const char *const[])

/* OpenFlow 1.0.0, 5.4.4. */
static const struct error_type types10[] = {
    {0, "hello_failed", "OFPHFC", CODES{"incompatible", "eperm", NULL}},
    {1, "bad_request", "OFPBRC",
     CODES{"bad_version", "bad_type", "bad_stat", "bad_vendor", "bad_subtype", "eperm", "bad_len", "buffer_empty",
           "buffer_unknown", NULL}},
    {2, "bad_action", "OFPBAC",
     CODES{"bad_type", "bad_len", "bad_vendor", "bad_vendor_type", "bad_out_port", "bad_argument", "eperm", "too_many",
           "bad_queue", NULL}},
    {3, "flow_mod_failed", "OFPFMFC",
     CODES{"all_tables_full", "overlap", "eperm", "bad_emerg_timeout", "bad_command", "unsupported", NULL}},
    {4, "port_mod_failed", "OFPPMFC", CODES{"bad_port", "bad_hw_addr", NULL}},
    {5, "queue_op_failed", "OFPQOFC", CODES{"bad_port", "bad_queue", "eperm", NULL}},
};

/* OpenFlow 1.3.5, 7.4.4. */
static const struct error_type types13[] = {
    {0, "hello_failed", "OFPHFC", CODES{"incompatible", "eperm", NULL}},
    {1, "bad_request", "OFPBRC",
     CODES{"bad_version", "bad_type", "bad_multipart", "bad_experimenter", "bad_exp_type", "eperm", "bad_len",
           "buffer_empty", "buffer_unknown", "bad_table_id", "is_slave", "bad_port", "bad_packet",
           "multipart_buffer_overflow", NULL}},
    {2, "bad_action", "OFPBAC",
     CODES{"bad_type", "bad_len", "bad_experimenter", "bad_exp_type", "bad_out_port", "bad_argument", "eperm",
           "too_many", "bad_queue", "bad_out_group", "match_inconsistent", "unsupported_order", "bad_tag",
           "bad_set_type", "bad_set_len", "bad_set_argument", NULL}},
    {3, "bad_instruction", "OFPBIC",
     CODES{"unknown_inst", "unsup_inst", "bad_table_id", "unsup_metadata", "unsup_metadata_mask", "bad_experimenter",
           "bad_exp_type", "bad_len", "eperm", NULL}},
    {4, "bad_match", "OFPBMC",
     CODES{"bad_type", "bad_len", "bad_tag", "bad_dl_addr_mask", "bad_nw_addr_mask", "bad_wildcards", "bad_field",
           "bad_value", "bad_mask", "bad_prereq", "dup_field", "eperm", NULL}},
    {5, "flow_mod_failed", "OFPFMFC",
     CODES{"unknown", "table_full", "bad_table_id", "overlap", "eperm", "bad_timeout", "bad_command", "bad_flags",
           NULL}},
    {6, "group_mod_failed", "OFPGMFC",
     CODES{"group_exists", "invalid_group", "weight_unsupported", "out_of_groups", "out_of_buckets",
           "chaining_unsupported", "watch_unsupported", "loop", "unknown_group", "chained_group", "bad_type",
           "bad_command", "bad_bucket", "bad_watch", "eperm", NULL}},
    {7, "port_mod_failed", "OFPPMFC", CODES{"bad_port", "bad_hw_addr", "bad_config", "bad_advertise", "eperm", NULL}},
    {8, "table_mod_failed", "OFPTMFC", CODES{"bad_table", "bad_config", "eperm", NULL}},
    {9, "queue_op_failed", "OFPQOFC", CODES{"bad_port", "bad_queue", "eperm", NULL}},
    {10, "switch_config_failed", "OFPSCFC", CODES{"bad_flags", "bad_len", "eperm", NULL}},
    {11, "role_request_failed", "OFPRRFC", CODES{"stale", "unsup", "bad_role", NULL}},
    {12, "meter_mod_failed", "OFPMMFC",
     CODES{"unknown", "meter_exists", "invalid_meter", "unknown_meter", "bad_command", "bad_flags", "bad_rate",
           "bad_burst", "bad_band", "bad_band_value", "out_of_meters", "out_of_bands", NULL}},
    {13, "table_features_failed", "OFPTFFC",
     CODES{"bad_table", "bad_metadata", "bad_type", "bad_len", "bad_argument", "eperm", NULL}},
    {0xffff, "experimenter", "", CODES{NULL}}, /* Its code is the experimenter's own. */
};

/* Names of 1.3 that of_decode may give to a message of 1.0, and what they are there. */
static const struct {
    const char *name;
    uint16_t type, code;
} nearest10[] = {
    {"OFPBRC_BAD_MULTIPART", 1, 2},    {"OFPBRC_BAD_EXPERIMENTER", 1, 3}, {"OFPBRC_BAD_EXP_TYPE", 1, 4},
    {"OFPBAC_BAD_EXPERIMENTER", 2, 2}, {"OFPBAC_BAD_EXP_TYPE", 2, 3},     {"OFPFMFC_BAD_FLAGS", 3, 5},
    {"OFPRRFC_BAD_ROLE", 1, 5},
};

static const struct error_type *types_of(enum of_version version, size_t *ret_n)
{
    *ret_n = version == OF10 ? ARRAY_SIZE(types10) : ARRAY_SIZE(types13);
    return version == OF10 ? types10 : types13;
}

const char *of_error_text(enum of_version version, const struct of_error *error, char text[OF_ERROR_TEXT_SIZE])
{
    size_t n;
    const struct error_type *types = types_of(version, &n);
    for (size_t i = 0; i < n; i++)
        if (types[i].number == error->type) {
            size_t code = 0;
            while (types[i].codes[code] && code != error->code)
                code++;
            if (types[i].codes[code])
                snprintf(text, OF_ERROR_TEXT_SIZE, "%s/%s", types[i].name, types[i].codes[code]);
            else
                snprintf(text, OF_ERROR_TEXT_SIZE, "%s/%u", types[i].name, error->code);
            return text;
        }
    snprintf(text, OF_ERROR_TEXT_SIZE, "type %u/code %u", error->type, error->code);
    return text;
}

/* "OFPBRC_BAD_LEN" is the code "bad_len" of the type with the prefix "OFPBRC". */
static bool find(const struct error_type *type, const char *name, uint16_t *ret_code)
{
    size_t length = strlen(type->prefix);
    if (length == 0 || strncmp(name, type->prefix, length) != 0 || name[length] != '_')
        return false;
    for (uint16_t code = 0; type->codes[code]; code++)
        if (strcasecmp(type->codes[code], name + length + 1) == 0) {
            *ret_code = code;
            return true;
        }
    return false;
}

int of_error_reply(enum of_version version, const struct error *error, uint16_t *ret_type, uint16_t *ret_code)
{
    size_t n;
    const struct error_type *types = types_of(version, &n);
    for (size_t i = 0; i < n; i++)
        if (find(&types[i], error->type, ret_code)) {
            *ret_type = types[i].number;
            return 0;
        }
    for (size_t i = 0; version == OF10 && i < ARRAY_SIZE(nearest10); i++)
        if (strcmp(nearest10[i].name, error->type) == 0) {
            *ret_type = nearest10[i].type;
            *ret_code = nearest10[i].code;
            return 0;
        }
    return -ENOENT;
}
