/* What the files of the codec share: ports of 1.0 as ports of 1.3, lists with lengths, refusals.  Not for users of the codec. */
#ifndef WEFT_FABRIC_OPENFLOW_WIRE_H
#define WEFT_FABRIC_OPENFLOW_WIRE_H

#include <errno.h>

#include "weft/base/util.h"
#include "weft/fabric/openflow/openflow.h"

#define OF_EXPERIMENTER_ID 0xffff /* OFPAT_, OFPIT_, OFPMP_EXPERIMENTER and 1.0's VENDOR. */

#define OF10_PORT_SIZE 48
#define OF13_PORT_SIZE 64
#define OF10_MATCH_SIZE 40
#define OF13_MATCH_MAX_SIZE 320 /* More than every field that struct of_match holds, with its mask. */

static inline size_t of_padded(size_t size)
{
    return (size + 7) & ~(size_t)7;
}

static inline struct of_bytes of_bytes_of(const void *data, size_t size)
{
    return (struct of_bytes){(const uint8_t *)data, size};
}

/* ---- ports ----------------------------------------------------------------------------------------------------- */

static inline uint32_t of_port_from10(uint16_t port)
{
    return port < 0xff00 ? port : 0xffff0000u | port;
}

/* -EINVAL for a number that 1.0 does not have. */
static inline int of_port_to10(uint32_t port, uint16_t *ret)
{
    if (port >= 0xff00 && port < 0xffffff00u)
        return -EINVAL;
    *ret = (uint16_t)port;
    return 0;
}

/* ---- refusals -------------------------------------------------------------------------------------------------- */

/* -EBADMSG, with the name of an OpenFlow error as the type. */
#define of_bad(error, type, field, ...) error_set_type(error, -EBADMSG, type, field, __VA_ARGS__)

/* A fixed part that must have exactly or at least this size. */
static inline int of_bad_size(struct error *error, const char *field, size_t size, size_t needed)
{
    return of_bad(error, "OFPBRC_BAD_LEN", field, "%zu bytes, where %zu are needed", size, needed);
}

/* ---- match ----------------------------------------------------------------------------------------------------- */

void of_match10_decode(const uint8_t wire[OF10_MATCH_SIZE], struct of_match *ret);
/* Takes a whole struct ofp_match, with its padding. */
int of_match13_decode(struct reader *reader, struct of_match *ret, struct error *error);

/* Append.  0, -EPROTONOSUPPORT, -EINVAL or -ENOBUFS. */
int of_match10_encode(const struct of_match *match, struct writer *writer);
int of_match13_encode(const struct of_match *match, struct writer *writer);

/* Whether a match's fields have those that give them a meaning, and values in range.  0 or -EINVAL. */
int of_match_check(const struct of_match *match);

/* ---- lists ----------------------------------------------------------------------------------------------------- */

/* Each checks a list to its end.  0 or -EBADMSG. */
int of_actions_check(enum of_version version, struct of_bytes list, struct error *error);
int of_buckets_check(struct of_bytes list, struct error *error);

/* The instructions of a flow, which in 1.0 are its list of actions.  Decoding takes all that the reader has. */
int of_instructions_decode(enum of_version version, struct of_bytes wire, struct of_instructions *ret, struct error *error);
int of_instructions_encode(enum of_version version, const struct of_instructions *instructions, struct writer *writer);

/* An element that starts with a 16-bit length at 'offset': takes it off 'list' when it is at least 'minimum' and at most what is
 * left, else -EBADMSG.  With 'padded' it ends at a multiple of 8 bytes that the length does not count. */
int of_element_take(struct of_bytes *list, size_t offset, size_t minimum, bool padded, struct of_bytes *ret);

void of_port_decode(enum of_version version, const uint8_t *wire, struct of_port *ret);
int of_flow_stats_take(enum of_version version, struct of_bytes *list, struct of_flow_stats *ret, struct error *error);

/* Bits of OFPPF_ in 1.3's form and in 1.0's. */
uint32_t of_features_from10(uint32_t features);
uint32_t of_features_to10(uint32_t features);

/* ---- messages -------------------------------------------------------------------------------------------------- */

/* The kind of a type on the wire, 0 when the version has none; and back, -EPROTONOSUPPORT. */
enum of_kind of_kind_of(enum of_version version, uint8_t type);
int of_type_of(enum of_version version, enum of_kind kind);

int of_multipart_request_decode(enum of_version version, struct reader *body, struct of_multipart_request *ret,
                                struct error *error);
int of_multipart_reply_decode(enum of_version version, struct reader *body, struct of_multipart_reply *ret,
                              struct error *error);
int of_multipart_request_encode(enum of_version version, const struct of_multipart_request *request, struct writer *writer);
int of_multipart_reply_encode(enum of_version version, const struct of_multipart_reply *reply, struct writer *writer);

/* METER_MOD, and both messages about queues: their lists are checked, and kept as they are. */
int of_meter_mod_check(struct of_bytes body, struct error *error);
int of_bands_check(struct of_bytes bands, struct error *error);
int of_queue_config_check(enum of_version version, bool reply, struct of_bytes body, struct error *error);

#endif
