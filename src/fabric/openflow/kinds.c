/* Types on the wire and kinds of messages; whole messages in a stream. */
#include "weft/fabric/openflow/wire.h"

/* OpenFlow 1.0.0, 5.1.  Vendors' messages have kinds of their own where the codec knows them. */
static const uint8_t kinds10[] = {
    OF_HELLO,           OF_ERROR,
    OF_ECHO_REQUEST,    OF_ECHO_REPLY,
    OF_EXPERIMENTER,    OF_FEATURES_REQUEST,
    OF_FEATURES_REPLY,  OF_GET_CONFIG_REQUEST,
    OF_GET_CONFIG_REPLY, OF_SET_CONFIG,
    OF_PACKET_IN,       OF_FLOW_REMOVED,
    OF_PORT_STATUS,     OF_PACKET_OUT,
    OF_FLOW_MOD,        OF_PORT_MOD,
    OF_MULTIPART_REQUEST, OF_MULTIPART_REPLY,
    OF_BARRIER_REQUEST, OF_BARRIER_REPLY,
    OF_QUEUE_GET_CONFIG_REQUEST, OF_QUEUE_GET_CONFIG_REPLY,
};

/* OpenFlow 1.3.5, 7.1. */
static const uint8_t kinds13[] = {
    OF_HELLO,           OF_ERROR,
    OF_ECHO_REQUEST,    OF_ECHO_REPLY,
    OF_EXPERIMENTER,    OF_FEATURES_REQUEST,
    OF_FEATURES_REPLY,  OF_GET_CONFIG_REQUEST,
    OF_GET_CONFIG_REPLY, OF_SET_CONFIG,
    OF_PACKET_IN,       OF_FLOW_REMOVED,
    OF_PORT_STATUS,     OF_PACKET_OUT,
    OF_FLOW_MOD,        OF_GROUP_MOD,
    OF_PORT_MOD,        OF_TABLE_MOD,
    OF_MULTIPART_REQUEST, OF_MULTIPART_REPLY,
    OF_BARRIER_REQUEST, OF_BARRIER_REPLY,
    OF_QUEUE_GET_CONFIG_REQUEST, OF_QUEUE_GET_CONFIG_REPLY,
    OF_ROLE_REQUEST,    OF_ROLE_REPLY,
    OF_GET_ASYNC_REQUEST, OF_GET_ASYNC_REPLY,
    OF_SET_ASYNC,       OF_METER_MOD,
};

#define NO_TYPE 0xff

/* The other way round, which encoding asks for every message. */
static const uint8_t types10[N_OF_KINDS] = {
    [0] = NO_TYPE,
    [OF_HELLO] = 0,
    [OF_ERROR] = 1,
    [OF_ECHO_REQUEST] = 2,
    [OF_ECHO_REPLY] = 3,
    [OF_EXPERIMENTER] = 4,
    [OF_FEATURES_REQUEST] = 5,
    [OF_FEATURES_REPLY] = 6,
    [OF_GET_CONFIG_REQUEST] = 7,
    [OF_GET_CONFIG_REPLY] = 8,
    [OF_SET_CONFIG] = 9,
    [OF_PACKET_IN] = 10,
    [OF_FLOW_REMOVED] = 11,
    [OF_PORT_STATUS] = 12,
    [OF_PACKET_OUT] = 13,
    [OF_FLOW_MOD] = 14,
    [OF_GROUP_MOD] = NO_TYPE,
    [OF_PORT_MOD] = 15,
    [OF_TABLE_MOD] = NO_TYPE,
    [OF_MULTIPART_REQUEST] = 16,
    [OF_MULTIPART_REPLY] = 17,
    [OF_BARRIER_REQUEST] = 18,
    [OF_BARRIER_REPLY] = 19,
    [OF_QUEUE_GET_CONFIG_REQUEST] = 20,
    [OF_QUEUE_GET_CONFIG_REPLY] = 21,
    [OF_ROLE_REQUEST] = 4, /* Nicira's. */
    [OF_ROLE_REPLY] = 4,
    [OF_GET_ASYNC_REQUEST] = NO_TYPE,
    [OF_GET_ASYNC_REPLY] = NO_TYPE,
    [OF_SET_ASYNC] = NO_TYPE,
    [OF_METER_MOD] = NO_TYPE,
};

enum of_kind of_kind_of(enum of_version version, uint8_t type)
{
    if (version == OF10)
        return type < ARRAY_SIZE(kinds10) ? kinds10[type] : 0;
    return type < ARRAY_SIZE(kinds13) ? kinds13[type] : 0;
}

int of_type_of(enum of_version version, enum of_kind kind)
{
    if (kind < OF_HELLO || kind >= N_OF_KINDS)
        return -EINVAL;
    if (version == OF13)
        return kind - 1; /* enum of_kind is in the order of 1.3's types. */
    return types10[kind] == NO_TYPE ? -EPROTONOSUPPORT : types10[kind];
}

const char *of_kind_name(enum of_kind kind)
{
    static const char *const names[N_OF_KINDS] = {
        "unknown",           "hello",
        "error",             "echo_request",
        "echo_reply",        "experimenter",
        "features_request",  "features_reply",
        "get_config_request", "get_config_reply",
        "set_config",        "packet_in",
        "flow_removed",      "port_status",
        "packet_out",        "flow_mod",
        "group_mod",         "port_mod",
        "table_mod",         "multipart_request",
        "multipart_reply",   "barrier_request",
        "barrier_reply",     "queue_get_config_request",
        "queue_get_config_reply", "role_request",
        "role_reply",        "get_async_request",
        "get_async_reply",   "set_async",
        "meter_mod",
    };
    return kind >= N_OF_KINDS ? names[0] : names[kind];
}

int of_frame(const void *bytes, size_t size)
{
    if (size < OF_HEADER_SIZE)
        return 0;
    uint16_t length = get_be16((const uint8_t *)bytes + 2);
    return length < OF_HEADER_SIZE ? -EBADMSG : length;
}
