#include "weft/director/ipvsadm/arguments.h"

#include <arpa/inet.h>
#include <errno.h>
#include <limits.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "weft/base/util.h"
#include "weft/director/ipvsadm/names.h"
#include "weft/director/ipvsadm/words.h"

#define SYNC_MAXLEN_MAX (65535 - 20 - 8)

/* ---- Words. ---- */

/* What is no command has a number behind them. */
enum word {
    WORD_TCP = N_IPVSADM_COMMANDS,
    WORD_UDP,
    WORD_SCTP,
    WORD_MARK,
    WORD_IPV6,
    WORD_GATEWAYING,
    WORD_IPIP,
    WORD_MASQUERADING,
    WORD_FULL_NAT,
    WORD_SORT,
    WORD_OPTION, /* And on: WORD_OPTION + enum ipvsadm_option. */
};

static const struct word_option words_table[] = {
    {"add-service", 'A', VALUE_NONE, IPVSADM_ADD_SERVICE},
    {"edit-service", 'E', VALUE_NONE, IPVSADM_EDIT_SERVICE},
    {"delete-service", 'D', VALUE_NONE, IPVSADM_DELETE_SERVICE},
    {"clear", 'C', VALUE_NONE, IPVSADM_CLEAR},
    {"restore", 'R', VALUE_NONE, IPVSADM_RESTORE},
    {"save", 'S', VALUE_NONE, IPVSADM_SAVE},
    {"add-server", 'a', VALUE_NONE, IPVSADM_ADD_SERVER},
    {"edit-server", 'e', VALUE_NONE, IPVSADM_EDIT_SERVER},
    {"delete-server", 'd', VALUE_NONE, IPVSADM_DELETE_SERVER},
    {"list", 'L', VALUE_NONE, IPVSADM_LIST},
    {"list", 'l', VALUE_NONE, IPVSADM_LIST},
    {"zero", 'Z', VALUE_NONE, IPVSADM_ZERO},
    {"set", 0, VALUE_NONE, IPVSADM_SET},
    {"start-daemon", 0, VALUE_NEEDED, IPVSADM_START_DAEMON},
    {"stop-daemon", 0, VALUE_NEEDED, IPVSADM_STOP_DAEMON},
    {"help", 'h', VALUE_NONE, IPVSADM_HELP},
    {"version", 'v', VALUE_NONE, IPVSADM_VERSION},
    {"tcp-service", 't', VALUE_NEEDED, WORD_TCP},
    {"udp-service", 'u', VALUE_NEEDED, WORD_UDP},
    {"sctp-service", 0, VALUE_NEEDED, WORD_SCTP},
    {"fwmark-service", 'f', VALUE_NEEDED, WORD_MARK},
    {"ipv6", '6', VALUE_NONE, WORD_IPV6},
    {"gatewaying", 'g', VALUE_NONE, WORD_GATEWAYING},
    {"ipip", 'i', VALUE_NONE, WORD_IPIP},
    {"masquerading", 'm', VALUE_NONE, WORD_MASQUERADING},
    {"full-nat", 0, VALUE_NONE, WORD_FULL_NAT},
    {"sort", 0, VALUE_NONE, WORD_SORT},
    {"numeric", 'n', VALUE_NONE, WORD_OPTION + OPTION_NUMERIC},
    {"connection", 'c', VALUE_NONE, WORD_OPTION + OPTION_CONNECTION},
    {"scheduler", 's', VALUE_NEEDED, WORD_OPTION + OPTION_SCHEDULER},
    {"persistent", 'p', VALUE_OPTIONAL, WORD_OPTION + OPTION_PERSISTENT},
    {"netmask", 'M', VALUE_NEEDED, WORD_OPTION + OPTION_NETMASK},
    {"real-server", 'r', VALUE_NEEDED, WORD_OPTION + OPTION_SERVER},
    {"weight", 'w', VALUE_NEEDED, WORD_OPTION + OPTION_WEIGHT},
    {"u-threshold", 'x', VALUE_NEEDED, WORD_OPTION + OPTION_UPPER},
    {"l-threshold", 'y', VALUE_NEEDED, WORD_OPTION + OPTION_LOWER},
    {"mcast-interface", 0, VALUE_NEEDED, WORD_OPTION + OPTION_MCAST_INTERFACE},
    {"timeout", 0, VALUE_NONE, WORD_OPTION + OPTION_TIMEOUT},
    {"daemon", 0, VALUE_NONE, WORD_OPTION + OPTION_DAEMON},
    {"stats", 0, VALUE_NONE, WORD_OPTION + OPTION_STATS},
    {"rate", 0, VALUE_NONE, WORD_OPTION + OPTION_RATE},
    {"thresholds", 0, VALUE_NONE, WORD_OPTION + OPTION_THRESHOLDS},
    {"persistent-conn", 0, VALUE_NONE, WORD_OPTION + OPTION_PERSISTENT_CONN},
    {"nosort", 0, VALUE_NONE, WORD_OPTION + OPTION_NOSORT},
    {"syncid", 0, VALUE_NEEDED, WORD_OPTION + OPTION_SYNCID},
    {"exact", 0, VALUE_NONE, WORD_OPTION + OPTION_EXACT},
    {"ops", 'o', VALUE_NONE, WORD_OPTION + OPTION_OPS},
    {"pe", 0, VALUE_NEEDED, WORD_OPTION + OPTION_ENGINE},
    {"sched-flags", 'b', VALUE_NEEDED, WORD_OPTION + OPTION_FLAGS},
    {"sync-maxlen", 0, VALUE_NEEDED, WORD_OPTION + OPTION_SYNC_MAXLEN},
    {"mcast-group", 0, VALUE_NEEDED, WORD_OPTION + OPTION_MCAST_GROUP},
    {"mcast-port", 0, VALUE_NEEDED, WORD_OPTION + OPTION_MCAST_PORT},
    {"mcast-ttl", 0, VALUE_NEEDED, WORD_OPTION + OPTION_MCAST_TTL},
    {"tun-info", 0, VALUE_NONE, WORD_OPTION + OPTION_TUN_INFO},
    {"tun-type", 0, VALUE_NEEDED, WORD_OPTION + OPTION_TUN_TYPE},
    {"tun-port", 0, VALUE_NEEDED, WORD_OPTION + OPTION_TUN_PORT},
    {"tun-nocsum", 0, VALUE_NONE, WORD_OPTION + OPTION_TUN_NOCSUM},
    {"tun-csum", 0, VALUE_NONE, WORD_OPTION + OPTION_TUN_CSUM},
    {"tun-remcsum", 0, VALUE_NONE, WORD_OPTION + OPTION_TUN_REMCSUM},
    {"tun-vni", 0, VALUE_NEEDED, WORD_OPTION + OPTION_TUN_VNI},
    {"dscp", 0, VALUE_NEEDED, WORD_OPTION + OPTION_DSCP},
    {0},
};

static const char *const option_names[N_IPVSADM_OPTIONS] = {
    [OPTION_NUMERIC] = "numeric",
    [OPTION_CONNECTION] = "connection",
    [OPTION_SERVICE] = "service-address",
    [OPTION_SCHEDULER] = "scheduler",
    [OPTION_PERSISTENT] = "persistent",
    [OPTION_NETMASK] = "netmask",
    [OPTION_SERVER] = "real-server",
    [OPTION_FORWARD] = "forwarding-method",
    [OPTION_WEIGHT] = "weight",
    [OPTION_UPPER] = "u-threshold",
    [OPTION_LOWER] = "l-threshold",
    [OPTION_MCAST_INTERFACE] = "mcast-interface",
    [OPTION_TIMEOUT] = "timeout",
    [OPTION_DAEMON] = "daemon",
    [OPTION_STATS] = "stats",
    [OPTION_RATE] = "rate",
    [OPTION_THRESHOLDS] = "thresholds",
    [OPTION_PERSISTENT_CONN] = "persistent-conn",
    [OPTION_NOSORT] = "nosort",
    [OPTION_SYNCID] = "syncid",
    [OPTION_EXACT] = "exact",
    [OPTION_OPS] = "ops",
    [OPTION_ENGINE] = "pe",
    [OPTION_FLAGS] = "sched-flags",
    [OPTION_SYNC_MAXLEN] = "sync-maxlen",
    [OPTION_MCAST_GROUP] = "mcast-group",
    [OPTION_MCAST_PORT] = "mcast-port",
    [OPTION_MCAST_TTL] = "mcast-ttl",
    [OPTION_TUN_INFO] = "tun-info",
    [OPTION_TUN_TYPE] = "tun-type",
    [OPTION_TUN_PORT] = "tun-port",
    [OPTION_TUN_NOCSUM] = "tun-nocsum",
    [OPTION_TUN_CSUM] = "tun-csum",
    [OPTION_TUN_REMCSUM] = "tun-remcsum",
    [OPTION_TUN_VNI] = "tun-vni",
    [OPTION_DSCP] = "dscp",
};

static const char *const command_names[N_IPVSADM_COMMANDS] = {
    [IPVSADM_ADD_SERVICE] = "add-service",
    [IPVSADM_EDIT_SERVICE] = "edit-service",
    [IPVSADM_DELETE_SERVICE] = "delete-service",
    [IPVSADM_CLEAR] = "flush",
    [IPVSADM_RESTORE] = "restore",
    [IPVSADM_SAVE] = "save",
    [IPVSADM_ADD_SERVER] = "add-server",
    [IPVSADM_EDIT_SERVER] = "edit-server",
    [IPVSADM_DELETE_SERVER] = "delete-server",
    [IPVSADM_LIST] = "list",
    [IPVSADM_ZERO] = "zero",
    [IPVSADM_SET] = "set",
    [IPVSADM_START_DAEMON] = "start-daemon",
    [IPVSADM_STOP_DAEMON] = "stop-daemon",
    [IPVSADM_HELP] = "help",
    [IPVSADM_VERSION] = "version",
};

#define BIT(option) (UINT64_C(1) << (option))
#define BITS_SCHEDULING                                                                                                \
    (BIT(OPTION_SCHEDULER) | BIT(OPTION_PERSISTENT) | BIT(OPTION_NETMASK) | BIT(OPTION_OPS) | BIT(OPTION_ENGINE) |     \
     BIT(OPTION_FLAGS))
#define BITS_TUNNEL                                                                                                    \
    (BIT(OPTION_TUN_TYPE) | BIT(OPTION_TUN_PORT) | BIT(OPTION_TUN_NOCSUM) | BIT(OPTION_TUN_CSUM) |                     \
     BIT(OPTION_TUN_REMCSUM) | BIT(OPTION_TUN_VNI))
#define BITS_SERVER                                                                                                    \
    (BIT(OPTION_FORWARD) | BIT(OPTION_WEIGHT) | BIT(OPTION_UPPER) | BIT(OPTION_LOWER) | BIT(OPTION_DSCP) | BITS_TUNNEL)
#define BITS_LISTING                                                                                                   \
    (BIT(OPTION_NUMERIC) | BIT(OPTION_CONNECTION) | BIT(OPTION_SERVICE) | BIT(OPTION_TIMEOUT) | BIT(OPTION_DAEMON) |   \
     BIT(OPTION_STATS) | BIT(OPTION_RATE) | BIT(OPTION_THRESHOLDS) | BIT(OPTION_PERSISTENT_CONN) |                     \
     BIT(OPTION_NOSORT) | BIT(OPTION_EXACT) | BIT(OPTION_TUN_INFO))
#define BITS_SYNC                                                                                                      \
    (BIT(OPTION_MCAST_INTERFACE) | BIT(OPTION_SYNCID) | BIT(OPTION_SYNC_MAXLEN) | BIT(OPTION_MCAST_GROUP) |            \
     BIT(OPTION_MCAST_PORT) | BIT(OPTION_MCAST_TTL))

/* What a command must have, and what it may have beside that. */
static const struct {
    uint64_t needed, possible;
} options_of[N_IPVSADM_COMMANDS] = {
    [IPVSADM_ADD_SERVICE] = {BIT(OPTION_SERVICE), BITS_SCHEDULING},
    [IPVSADM_EDIT_SERVICE] = {BIT(OPTION_SERVICE), BITS_SCHEDULING},
    [IPVSADM_DELETE_SERVICE] = {BIT(OPTION_SERVICE), 0},
    [IPVSADM_CLEAR] = {0, 0},
    [IPVSADM_RESTORE] = {0, 0},
    [IPVSADM_SAVE] = {0, BIT(OPTION_NUMERIC)},
    [IPVSADM_ADD_SERVER] = {BIT(OPTION_SERVICE) | BIT(OPTION_SERVER), BITS_SERVER},
    [IPVSADM_EDIT_SERVER] = {BIT(OPTION_SERVICE) | BIT(OPTION_SERVER), BITS_SERVER},
    [IPVSADM_DELETE_SERVER] = {BIT(OPTION_SERVICE) | BIT(OPTION_SERVER), 0},
    [IPVSADM_LIST] = {0, BITS_LISTING},
    [IPVSADM_ZERO] = {0, BIT(OPTION_SERVICE)},
    [IPVSADM_SET] = {0, 0},
    [IPVSADM_START_DAEMON] = {0, BITS_SYNC},
    [IPVSADM_STOP_DAEMON] = {0, BIT(OPTION_SYNCID)},
    [IPVSADM_HELP] = {0, 0},
    [IPVSADM_VERSION] = {0, 0},
};

/* ---- Refusals. ---- */

static int refuse(struct ipvsadm_refusal *refusal, int status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static int refuse(struct ipvsadm_refusal *refusal, int status, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(refusal->text, sizeof(refusal->text), format, arguments);
    va_end(arguments);
    refusal->status = status;
    return -EINVAL;
}

static int refuse_with_hint(struct ipvsadm_refusal *refusal, const char *program)
{
    return refuse(refusal, IPVSADM_FAILED, "Try `%.200s -h' or '%.200s --help' for more information.", program,
                  program);
}

/* ---- Values. ---- */

/* A decimal number, also with a sign or zeros in front, as strtol takes it. */
static int parse_number(const char *text, long minimum, long maximum, long *ret)
{
    char *end;

    errno = 0;
    *ret = strtol(text, &end, 10);
    return errno || !*text || *end || *ret < minimum || *ret > maximum ? -EINVAL : 0;
}

static const struct {
    const char *name;
    enum scheduler scheduler; /* N_SCHEDULERS: any. */
    uint32_t flag;
} flag_names[] = {
    {"sh-fallback", SCHEDULER_SH, SCHEDULER_FALLBACK}, {"sh-port", SCHEDULER_SH, SCHEDULER_PORT},
    {"mh-fallback", SCHEDULER_MH, SCHEDULER_FALLBACK}, {"mh-port", SCHEDULER_MH, SCHEDULER_PORT},
    {"flag-1", N_SCHEDULERS, SCHEDULER_FLAG_1},        {"flag-2", N_SCHEDULERS, SCHEDULER_FLAG_2},
    {"flag-3", N_SCHEDULERS, SCHEDULER_FLAG_3},
};

const char *ipvsadm_flag_name(enum scheduler scheduler, uint32_t flag)
{
    bool has_own = scheduler == SCHEDULER_SH || scheduler == SCHEDULER_MH;

    for (size_t i = 0; i < ARRAY_SIZE(flag_names); i++)
        if (flag_names[i].flag == flag && flag_names[i].scheduler == (has_own ? scheduler : N_SCHEDULERS))
            return flag_names[i].name;
    return NULL;
}

static int parse_flags(const char *text, struct ipvsadm_call *call, struct ipvsadm_refusal *refusal)
{
    while (*text) {
        size_t length = strcspn(text, ","), i = 0;

        while (i < ARRAY_SIZE(flag_names) &&
               (strlen(flag_names[i].name) != length || memcmp(flag_names[i].name, text, length)))
            i++;
        if (length && i == ARRAY_SIZE(flag_names))
            return refuse(refusal, IPVSADM_BAD_OPTIONS, "invalid scheduler flag `%.*s'", (int)MIN(length, 200), text);
        if (length && flag_names[i].scheduler != N_SCHEDULERS &&
            (!call->is_known || flag_names[i].scheduler != call->service.scheduler))
            return refuse(refusal, IPVSADM_BAD_OPTIONS, "incompatible scheduler flag `%s'", flag_names[i].name);
        if (length)
            call->service.scheduler_flags |= flag_names[i].flag;
        text += length + (text[length] == ',');
    }
    return 0;
}

static int parse_netmask(const char *text, struct ipvsadm_call *call, struct ipvsadm_refusal *refusal)
{
    struct in_addr mask;
    long length;

    if (call->service.ipv6) {
        if (parse_number(text, 1, 128, &length) < 0)
            return refuse(refusal, IPVSADM_BAD_OPTIONS, "illegal ipv6 netmask specified");
        call->service.persistence_mask = (uint32_t)length;
        return 0;
    }
    if (!inet_aton(text, &mask))
        return refuse(refusal, IPVSADM_BAD_OPTIONS, "illegal virtual server persistent mask specified");
    call->service.persistence_mask = ntohl(mask.s_addr);
    return 0;
}

/* ---- One option. ---- */

static int set_option(struct ipvsadm_call *call, enum ipvsadm_option option, struct ipvsadm_refusal *refusal)
{
    if (ipvsadm_has(call, option))
        return refuse(refusal, IPVSADM_BAD_OPTIONS, "multiple '%s' options specified", option_names[option]);
    call->options |= BIT(option);
    return 0;
}

static int take_service(struct ipvsadm_call *call, int word, const char *value, struct ipvsadm_refusal *refusal)
{
    struct virtual_service *service = &call->service;
    bool has_port;
    long number;
    int result = set_option(call, OPTION_SERVICE, refusal);

    if (result < 0)
        return result;
    if (word == WORD_MARK) {
        char *end;
        unsigned long mark;

        errno = 0;
        mark = strtoul(value, &end, 10);
        if (parse_number(value, 1, UINT32_MAX, &number) < 0 || errno || *end || mark > UINT32_MAX)
            return refuse(refusal, IPVSADM_BAD_OPTIONS, "invalid fwmark value `%.200s' specified", value);
        service->mark = (uint32_t)mark;
        return 0;
    }
    service->protocol = word == WORD_TCP ? IPPROTO_TCP : word == WORD_UDP ? IPPROTO_UDP : IPPROTO_SCTP;
    if (endpoint_parse(value, service->protocol, &service->address, &service->port, &has_port) < 0)
        return refuse(refusal, IPVSADM_BAD_OPTIONS, "illegal virtual server address[:port] specified");
    service->ipv6 = !ip_is_v4(&service->address);
    if (service->ipv6)
        service->persistence_mask = 128;
    return 0;
}

static int take_ipv6(struct ipvsadm_call *call, struct ipvsadm_refusal *refusal)
{
    if (!call->service.mark)
        return refuse(refusal, IPVSADM_BAD_OPTIONS, "-6 used before -f\n");
    call->service.ipv6 = true;
    call->service.persistence_mask = 128;
    return 0;
}

static int take_forwarding(struct ipvsadm_call *call, int word, struct ipvsadm_refusal *refusal)
{
    call->server.forwarding = word == WORD_GATEWAYING     ? FORWARD_DIRECT
                              : word == WORD_IPIP         ? FORWARD_TUNNEL
                              : word == WORD_MASQUERADING ? FORWARD_NAT
                                                          : FORWARD_FULL_NAT;
    return set_option(call, OPTION_FORWARD, refusal);
}

static int take_scheduler(struct ipvsadm_call *call, const char *value)
{
    call->is_known = scheduler_parse(value, &call->service.scheduler) == 0;
    return 0;
}

static int take_persistence(struct ipvsadm_call *call, const char *value, struct ipvsadm_refusal *refusal)
{
    long timeout = PERSISTENCE_TIMEOUT_DEFAULT_S;

    if (value && parse_number(value, 1, PERSISTENCE_TIMEOUT_MAX_S, &timeout) < 0)
        return refuse(refusal, IPVSADM_BAD_OPTIONS, "invalid timeout value `%.200s' specified", value);
    call->service.persistence_timeout_s = (uint32_t)timeout;
    return 0;
}

static int take_server(struct ipvsadm_call *call, const char *value, struct ipvsadm_refusal *refusal)
{
    if (endpoint_parse(value, call->service.protocol, &call->server.address, &call->server.port,
                       &call->has_server_port) < 0)
        return refuse(refusal, IPVSADM_BAD_OPTIONS, "illegal real server address[:port] specified");
    return 0;
}

static int take_tunnel_type(struct ipvsadm_call *call, const char *value, struct ipvsadm_refusal *refusal)
{
    if (tunnel_type_parse(value, &call->server.tunnel.type) < 0)
        return refuse(refusal, IPVSADM_BAD_OPTIONS, "illegal tunnel type specified");
    return 0;
}

/* Numbers that are what their option says. */
static int take_number(struct ipvsadm_call *call, enum ipvsadm_option option, const char *value,
                       struct ipvsadm_refusal *refusal)
{
    static const struct {
        enum ipvsadm_option option;
        long minimum, maximum;
        const char *what;
    } numbers[] = {
        {OPTION_WEIGHT, 0, SERVER_WEIGHT_MAX, "weight"},
        {OPTION_UPPER, 0, INT_MAX, "u_threshold"},
        {OPTION_LOWER, 0, INT_MAX, "l_threshold"},
        {OPTION_TUN_PORT, 1, UINT16_MAX, "tunnel port"},
        {OPTION_TUN_VNI, 0, VXLAN_VNI_MAX, "tunnel VNI"},
        {OPTION_DSCP, 1, 63, "DSCP"},
        {OPTION_SYNCID, 0, 255, "syncid"},
        {OPTION_SYNC_MAXLEN, 1, SYNC_MAXLEN_MAX, "sync_maxlen"},
        {OPTION_MCAST_PORT, 1, UINT16_MAX, "mcast_port"},
        {OPTION_MCAST_TTL, 1, 255, "mcast_ttl"},
    };

    for (size_t i = 0; i < ARRAY_SIZE(numbers); i++) {
        long number;

        if (numbers[i].option != option)
            continue;
        if (parse_number(value, numbers[i].minimum, numbers[i].maximum, &number) < 0)
            return refuse(refusal, IPVSADM_BAD_OPTIONS, "illegal %s specified", numbers[i].what);
        switch ((int)option) {
        case OPTION_WEIGHT:
            call->server.weight = (uint32_t)number;
            break;
        case OPTION_UPPER:
            call->server.upper_threshold = (uint32_t)number;
            break;
        case OPTION_LOWER:
            call->server.lower_threshold = (uint32_t)number;
            break;
        case OPTION_TUN_PORT:
            call->server.tunnel.port = (uint16_t)number;
            break;
        case OPTION_TUN_VNI:
            call->server.tunnel.vni = (uint32_t)number;
            break;
        case OPTION_DSCP:
            call->server.dscp = (uint8_t)number;
            break;
        }
    }
    return 0;
}

static int take_value_of(struct ipvsadm_call *call, enum ipvsadm_option option, const char *value,
                         struct ipvsadm_refusal *refusal)
{
    switch ((int)option) {
    case OPTION_SCHEDULER:
        return take_scheduler(call, value);
    case OPTION_PERSISTENT:
        return take_persistence(call, value, refusal);
    case OPTION_NETMASK:
        return parse_netmask(value, call, refusal);
    case OPTION_SERVER:
        return take_server(call, value, refusal);
    case OPTION_FLAGS: /* They are the scheduler's, which may be said later. */
        call->flags = value;
        return 0;
    case OPTION_TUN_TYPE:
        return take_tunnel_type(call, value, refusal);
    case OPTION_TUN_CSUM:
        call->server.tunnel.checksum = TUNNEL_CHECKSUM_FULL;
        return 0;
    case OPTION_TUN_REMCSUM:
        call->server.tunnel.checksum = TUNNEL_CHECKSUM_REMOTE;
        return 0;
    case OPTION_TUN_NOCSUM:
        call->server.tunnel.checksum = TUNNEL_CHECKSUM_NONE;
        return 0;
    case OPTION_OPS:
        call->service.one_packet = true;
        return 0;
    default:
        return value ? take_number(call, option, value, refusal) : 0;
    }
}

static int take_option(struct ipvsadm_call *call, int word, const char *value, struct ipvsadm_refusal *refusal)
{
    enum ipvsadm_option option = (enum ipvsadm_option)(word - WORD_OPTION);
    int result;

    if (word >= WORD_TCP && word <= WORD_MARK)
        return take_service(call, word, value, refusal);
    if (word == WORD_IPV6)
        return take_ipv6(call, refusal);
    if (word >= WORD_GATEWAYING && word <= WORD_FULL_NAT)
        return take_forwarding(call, word, refusal);
    if (word == WORD_SORT)
        return 0;
    result = set_option(call, option, refusal);
    return result < 0 ? result : take_value_of(call, option, value, refusal);
}

/* ---- What fits together. ---- */

static int check_options(const struct ipvsadm_call *call, struct ipvsadm_refusal *refusal)
{
    for (int option = 0; option < N_IPVSADM_OPTIONS; option++) {
        bool is_given = ipvsadm_has(call, (enum ipvsadm_option)option);

        if (!is_given && options_of[call->command].needed & BIT(option))
            return refuse(refusal, IPVSADM_BAD_OPTIONS, "You need to supply the '%s' option for the '%s' command",
                          option_names[option], command_names[call->command]);
        if (is_given && !((options_of[call->command].needed | options_of[call->command].possible) & BIT(option)))
            return refuse(refusal, IPVSADM_BAD_OPTIONS, "Illegal '%s' option with the '%s' command",
                          option_names[option], command_names[call->command]);
    }
    return 0;
}

static int check_service(struct ipvsadm_call *call, struct ipvsadm_refusal *refusal)
{
    const struct virtual_service *service = &call->service;
    int result;

    if (call->command != IPVSADM_ADD_SERVICE && call->command != IPVSADM_EDIT_SERVICE)
        return 0;
    if (call->flags) {
        result = parse_flags(call->flags, call, refusal);
        if (result < 0)
            return result;
    }
    if (service->one_packet && !service->mark && service->protocol != IPPROTO_UDP)
        return refuse(refusal, IPVSADM_BAD_OPTIONS, "One-Packet Scheduling is only for UDP virtual services");
    if (!service->mark && !service->port && !service->persistence_timeout_s)
        return refuse(refusal, IPVSADM_BAD_OPTIONS, "Zero port specified for non-persistent service");
    return 0;
}

static int check_tunnel(const struct ipvsadm_call *call, struct ipvsadm_refusal *refusal)
{
    static const struct {
        enum ipvsadm_option option;
        unsigned types; /* That take it. */
        bool is_needed;
    } rules[] = {
        {OPTION_TUN_PORT, 1u << TUNNEL_GUE | 1u << TUNNEL_VXLAN, true},
        {OPTION_TUN_NOCSUM, 1u << TUNNEL_GUE | 1u << TUNNEL_GRE | 1u << TUNNEL_VXLAN, false},
        {OPTION_TUN_CSUM, 1u << TUNNEL_GUE | 1u << TUNNEL_GRE | 1u << TUNNEL_VXLAN, false},
        {OPTION_TUN_REMCSUM, 1u << TUNNEL_GUE, false},
        {OPTION_TUN_VNI, 1u << TUNNEL_VXLAN, true},
    };
    enum tunnel_type type = call->server.tunnel.type;

    if (call->options & BITS_TUNNEL && call->server.forwarding != FORWARD_TUNNEL)
        return refuse(refusal, IPVSADM_BAD_OPTIONS, "Tunnel options conflict with forward method");
    if (call->server.forwarding != FORWARD_TUNNEL)
        return 0;
    if (ipvsadm_has(call, OPTION_TUN_CSUM) + ipvsadm_has(call, OPTION_TUN_NOCSUM) +
                ipvsadm_has(call, OPTION_TUN_REMCSUM) >
            1 &&
        type != TUNNEL_IPIP) {
        enum ipvsadm_option first = ipvsadm_has(call, OPTION_TUN_CSUM) ? OPTION_TUN_CSUM : OPTION_TUN_REMCSUM;

        return refuse(refusal, IPVSADM_BAD_OPTIONS,
                      "The option '%s' conflicts with the '%s' option in the '%s' tunnel type", option_names[first],
                      option_names[ipvsadm_has(call, OPTION_TUN_NOCSUM) ? OPTION_TUN_NOCSUM : OPTION_TUN_REMCSUM],
                      tunnel_type_name(type));
    }
    for (size_t i = 0; i < ARRAY_SIZE(rules); i++) {
        bool is_given = ipvsadm_has(call, rules[i].option), takes = rules[i].types >> type & 1;

        if (is_given && !takes)
            return refuse(refusal, IPVSADM_BAD_OPTIONS, "Illegal '%s' option with the '%s' tunnel type",
                          option_names[rules[i].option], tunnel_type_name(type));
        if (!is_given && takes && rules[i].is_needed)
            return refuse(refusal, IPVSADM_BAD_OPTIONS, "You need to supply the '%s' option for the '%s' tunnel type",
                          option_names[rules[i].option], tunnel_type_name(type));
    }
    return 0;
}

static int check_server(struct ipvsadm_call *call, struct ipvsadm_refusal *refusal)
{
    struct real_server *server = &call->server;
    int result;

    if (call->command != IPVSADM_ADD_SERVER && call->command != IPVSADM_EDIT_SERVER &&
        call->command != IPVSADM_DELETE_SERVER)
        return 0;
    if (!call->has_server_port)
        server->port = call->service.port;
    if (server->dscp) {
        if (ipvsadm_has(call, OPTION_FORWARD))
            return refuse(refusal, IPVSADM_BAD_OPTIONS, "DSCP conflicts with forward method");
        server->forwarding = FORWARD_L3DSR;
    }
    result = check_tunnel(call, refusal);
    if (result < 0)
        return result;
    if (call->command != IPVSADM_DELETE_SERVER && ip_is_v4(&server->address) == call->service.ipv6 &&
        server->forwarding != FORWARD_TUNNEL)
        return refuse(refusal, IPVSADM_BAD_OPTIONS, "Different address family is allowed only for tunneling servers");
    /* What is not translated keeps the port of the service. */
    if (call->command != IPVSADM_DELETE_SERVER && !call->service.mark && server->forwarding != FORWARD_NAT &&
        server->forwarding != FORWARD_FULL_NAT)
        server->port = call->service.port;
    return 0;
}

static int check_list(const struct ipvsadm_call *call, struct ipvsadm_refusal *refusal)
{
    /* Each of these is a listing of its own. */
    static const enum ipvsadm_option kinds[] = {OPTION_SERVICE, OPTION_CONNECTION, OPTION_TIMEOUT, OPTION_DAEMON};
    uint64_t columns = BIT(OPTION_STATS) | BIT(OPTION_RATE) | BIT(OPTION_THRESHOLDS);

    if (call->command != IPVSADM_LIST)
        return 0;
    for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
        for (size_t j = i + 1; j < ARRAY_SIZE(kinds); j++) {
            bool is_swapped = kinds[i] == OPTION_SERVICE && kinds[j] == OPTION_CONNECTION;
            enum ipvsadm_option first = is_swapped ? kinds[i] : kinds[j], second = is_swapped ? kinds[j] : kinds[i];

            if (ipvsadm_has(call, first) && ipvsadm_has(call, second))
                return refuse(refusal, IPVSADM_BAD_OPTIONS,
                              "The option '%s' conflicts with the '%s' option in the 'list' command",
                              option_names[first], option_names[second]);
        }
    }
    if (ipvsadm_has(call, OPTION_TIMEOUT) || ipvsadm_has(call, OPTION_DAEMON))
        columns |= BIT(OPTION_PERSISTENT_CONN);
    else if (!ipvsadm_has(call, OPTION_CONNECTION))
        return 0;
    return call->options & columns ? refuse(refusal, IPVSADM_BAD_OPTIONS, "options conflicts in the list command") : 0;
}

/* ---- All of it. ---- */

/* --set takes the three words behind it. */
static int take_timeouts(struct words *words, struct ipvsadm_call *call, struct ipvsadm_refusal *refusal)
{
    uint32_t *const timeouts[] = {&call->timeouts.tcp_s, &call->timeouts.tcp_fin_s, &call->timeouts.udp_s};

    if (words->n_rest < ARRAY_SIZE(timeouts))
        return refuse(refusal, IPVSADM_BAD_OPTIONS, "--set option requires 3 timeout values");
    for (size_t i = 0; i < ARRAY_SIZE(timeouts); i++) {
        long seconds;

        if (parse_number(words->rest[i], 0, TIMEOUT_MAX_S, &seconds) < 0)
            return refuse(refusal, IPVSADM_BAD_OPTIONS, "invalid timeout value `%.200s' specified", words->rest[i]);
        *timeouts[i] = (uint32_t)seconds;
    }
    words->n_rest -= ARRAY_SIZE(timeouts);
    memmove(words->rest, words->rest + ARRAY_SIZE(timeouts), words->n_rest * sizeof(*words->rest));
    return 0;
}

static char letter_of(int word)
{
    for (const struct word_option *option = words_table; option->name; option++)
        if (option->id == word && option->letter)
            return option->letter;
    return '-';
}

static int take_daemon(const struct words *words, enum ipvsadm_command command, struct ipvsadm_refusal *refusal)
{
    if (streq(words->value, "master") || streq(words->value, "backup"))
        return 0;
    return refuse(refusal, IPVSADM_BAD_OPTIONS, "illegal %s parameter specified", command_names[command]);
}

int ipvsadm_parse(char *const *argv, struct ipvsadm_call *ret_call, struct ipvsadm_refusal *ret_refusal)
{
    struct words words = {.options = words_table, .argv = *argv ? argv + 1 : argv};
    struct ipvsadm_call call = {
        .is_known = true, .service = virtual_service_default(false), .server = real_server_default()};
    int word = words_next(&words), result = 0;

    if (word < 0 || word >= N_IPVSADM_COMMANDS || words.n_rest)
        return refuse_with_hint(ret_refusal, *argv ? *argv : "ipvsadm");
    call.command = (enum ipvsadm_command)word;
    if (call.command == IPVSADM_START_DAEMON || call.command == IPVSADM_STOP_DAEMON)
        result = take_daemon(&words, call.command, ret_refusal);
    while (result == 0 && call.command != IPVSADM_HELP && call.command != IPVSADM_VERSION &&
           (word = words_next(&words)) != WORDS_END) {
        if (word == WORDS_UNKNOWN || word == WORDS_NO_VALUE)
            return refuse(ret_refusal, IPVSADM_FAILED, "%.200s: %s", words.bad,
                          word == WORDS_UNKNOWN ? "unknown option" : "missing argument");
        if (word < N_IPVSADM_COMMANDS)
            return refuse(ret_refusal, IPVSADM_BAD_OPTIONS, "invalid option `-%c'", letter_of(word));
        result = take_option(&call, word, words.value, ret_refusal);
    }
    if (result == 0 && call.command == IPVSADM_SET)
        result = take_timeouts(&words, &call, ret_refusal);
    if (result == 0 && words.n_rest)
        result = refuse(ret_refusal, IPVSADM_BAD_OPTIONS, "unexpected argument %.200s", words.rest[0]);
    if (result == 0)
        result = check_options(&call, ret_refusal);
    if (result == 0)
        result = check_list(&call, ret_refusal);
    if (result == 0)
        result = check_service(&call, ret_refusal);
    if (result == 0)
        result = check_server(&call, ret_refusal);
    if (result == 0)
        *ret_call = call;
    return result;
}
