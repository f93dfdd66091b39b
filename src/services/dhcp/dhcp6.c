/* DHCPv6 (RFC 8415), the server's side; see dhcp6.h.
 *
 * parse_request() checks what section 16 demands of each message; answer() is the table of section 18.3; the IAs of the
 * request are walked a second time to write their answers. */
#include "weft/services/dhcp/dhcp6.h"

#include <errno.h>

#include "weft/base/util.h"
#include "weft/services/dhcp/options.h"
#include "weft/services/packet.h"

enum {
    OPTION_CLIENT_ID = 1,
    OPTION_SERVER_ID = 2,
    OPTION_IA_NA = 3,
    OPTION_IA_TA = 4,
    OPTION_IAADDR = 5,
    OPTION_ORO = 6,
    OPTION_PREFERENCE = 7,
    OPTION_STATUS = 13,
    OPTION_RAPID_COMMIT = 14,
    OPTION_DNS = 23,
    OPTION_DOMAINS = 24,
    OPTION_IA_PD = 25,
    OPTION_REFRESH = 32,
};

#define REFRESH_MIN_S 600u /* IRT_MINIMUM, RFC 8415, 7.6. */
#define MAX_REQUESTED 64   /* Codes of an option request that are looked at. */
#define DUID_MAX 130       /* RFC 8415, 11.1: type and 128 bytes. */

struct request {
    struct frame frame;
    uint8_t type;
    uint8_t transaction[3];
    struct reader options;              /* All. */
    struct reader client_id, server_id; /* Empty when absent. */
    bool has_client_id, has_server_id, has_oro, has_ia, rapid_commit;
    uint16_t requested[MAX_REQUESTED];
    size_t n_requested;
};

/* ---- the request ----------------------------------------------------------------------------------------------- */

/* 1 with an option, 0 at the end, -EBADMSG. */
static int next_option(struct reader *options, uint16_t *ret_code, struct reader *ret_value)
{
    uint16_t size;
    const uint8_t *value;
    if (reader_left(options) == 0)
        return 0;
    if (!reader_u16(options, ret_code) || !reader_u16(options, &size) || !(value = reader_take(options, size)))
        return -EBADMSG;
    *ret_value = reader_of(value, size);
    return 1;
}

static bool is_ia(uint16_t code)
{
    return code == OPTION_IA_NA || code == OPTION_IA_TA || code == OPTION_IA_PD;
}

/* The fixed part of an IA: IAID, and T1, T2 but for IA_TA. */
static const uint8_t *take_ia_header(uint16_t code, struct reader *ia)
{
    return reader_take(ia, code == OPTION_IA_TA ? 4 : 12);
}

/* An IA's options, so that the walk that answers needs no checks. */
static int check_ia(uint16_t code, struct reader ia)
{
    uint16_t inner;
    struct reader value;
    int more;
    if (!take_ia_header(code, &ia))
        return -EBADMSG;
    while ((more = next_option(&ia, &inner, &value)) > 0)
        if (inner == OPTION_IAADDR && reader_left(&value) < 24)
            return -EBADMSG;
    return more;
}

static int parse_options(struct request *request)
{
    struct reader options = request->options, value;
    uint16_t code;
    int more, error;
    while ((more = next_option(&options, &code, &value)) > 0) {
        switch (code) {
        case OPTION_CLIENT_ID:
            if (request->has_client_id || reader_left(&value) < 3 || reader_left(&value) > DUID_MAX)
                return -EBADMSG;
            request->client_id = value;
            request->has_client_id = true;
            break;
        case OPTION_SERVER_ID:
            if (request->has_server_id)
                return -EBADMSG;
            request->server_id = value;
            request->has_server_id = true;
            break;
        case OPTION_ORO: {
            uint16_t wanted;
            if (reader_left(&value) % 2)
                return -EBADMSG;
            request->has_oro = true;
            while (request->n_requested < MAX_REQUESTED && reader_u16(&value, &wanted))
                request->requested[request->n_requested++] = wanted;
            break;
        }
        case OPTION_RAPID_COMMIT:
            request->rapid_commit = true;
            break;
        default:
            if (!is_ia(code))
                break;
            request->has_ia = true;
            error = check_ia(code, value);
            if (error < 0)
                return error;
        }
    }
    return more;
}

static bool server_is(const struct request *request, const struct dhcp6_config *config)
{
    return reader_left(&request->server_id) == DHCP6_DUID_SIZE &&
           memcmp(request->server_id.at, config->server_duid, DHCP6_DUID_SIZE) == 0;
}

/* RFC 8415, 16: which identifiers a message must and must not carry.  0, 1 when it is for another server, -EBADMSG. */
static int check_identifiers(const struct request *request, const struct dhcp6_config *config)
{
    switch (request->type) {
    case DHCP6_SOLICIT:
    case DHCP6_CONFIRM:
    case DHCP6_REBIND:
        return request->has_client_id && !request->has_server_id ? 0 : -EBADMSG;
    case DHCP6_REQUEST:
    case DHCP6_RENEW:
    case DHCP6_RELEASE:
    case DHCP6_DECLINE:
        if (!request->has_client_id || !request->has_server_id)
            return -EBADMSG;
        return server_is(request, config) ? 0 : 1;
    default: /* Information-request, 16.12. */
        if (request->has_ia)
            return -EBADMSG;
        return !request->has_server_id || server_is(request, config) ? 0 : 1;
    }
}

static int parse_request(const void *bytes, size_t size, struct request *ret)
{
    struct request request = {0};
    int error = frame_parse(bytes, size, &request.frame);
    if (error < 0)
        return error;
    const struct frame *frame = &request.frame;
    if (frame->protocol != PROTOCOL_UDP || ip_is_v4(&frame->source) || frame->destination_port != DHCP6_SERVER_PORT ||
        ip_is_zero(&frame->source) || ip_is_multicast(&frame->source))
        return -EPROTONOSUPPORT;

    request.options = frame->payload;
    const uint8_t *header = reader_take(&request.options, 4);
    if (!header)
        return -EBADMSG;
    request.type = header[0];
    memcpy(request.transaction, header + 1, 3);
    if (request.type < DHCP6_SOLICIT || request.type > DHCP6_INFORMATION_REQUEST || request.type == DHCP6_ADVERTISE ||
        request.type == DHCP6_REPLY || request.type == DHCP6_RECONFIGURE)
        return -EPROTONOSUPPORT;
    error = parse_options(&request);
    if (error < 0)
        return error;
    *ret = request;
    return 0;
}

/* ---- writing options ------------------------------------------------------------------------------------------- */

static size_t begin_option(struct writer *writer, uint16_t code)
{
    writer_u16(writer, code);
    writer_u16(writer, 0);
    return writer->size;
}

static void end_option(struct writer *writer, size_t start)
{
    if (!writer->overflow)
        put_be16(writer->data + start - 2, (uint16_t)(writer->size - start));
}

static void put_option(struct writer *writer, uint16_t code, const void *value, size_t size)
{
    writer_u16(writer, code);
    writer_u16(writer, (uint16_t)size);
    writer_bytes(writer, value, size);
}

static void put_status(struct writer *writer, uint16_t status, const char *text)
{
    size_t start = begin_option(writer, OPTION_STATUS);
    writer_u16(writer, status);
    writer_bytes(writer, text, strlen(text));
    end_option(writer, start);
}

static void put_address(struct writer *writer, const struct ip_address *address, uint32_t lifetime_s)
{
    size_t start = begin_option(writer, OPTION_IAADDR);
    writer_bytes(writer, address->bytes, 16);
    writer_u32(writer, lifetime_s);
    writer_u32(writer, lifetime_s);
    end_option(writer, start);
}

/* ---- identity associations ------------------------------------------------------------------------------------- */

static bool is_own(const struct dhcp6_config *config, const uint8_t *address)
{
    for (size_t i = 0; i < config->n_addresses; i++)
        if (memcmp(config->addresses[i].bytes, address, 16) == 0)
            return true;
    return false;
}

/* Calls for each address in an IA: the n-th, or NULL behind the last. */
static const uint8_t *next_address(struct reader *ia)
{
    uint16_t code;
    struct reader value;
    while (next_option(ia, &code, &value) > 0)
        if (code == OPTION_IAADDR)
            return value.at;
    return NULL;
}

static void note(struct dhcp6_outcome *outcome, uint16_t status)
{
    if (outcome->status == DHCP6_SUCCESS)
        outcome->status = status;
}

/* All of the port's addresses, and the client's own that are not with lifetime 0, so that it drops them
 * (18.3.4, 18.3.5). */
static void put_bindings(const struct dhcp6_config *config, struct writer *writer, struct reader addresses,
                         bool refuse_others)
{
    for (size_t i = 0; i < config->n_addresses; i++)
        put_address(writer, &config->addresses[i], config->lease_s);
    const uint8_t *address;
    while (refuse_others && (address = next_address(&addresses)) != NULL)
        if (!is_own(config, address)) {
            struct ip_address other;
            memcpy(other.bytes, address, 16);
            put_address(writer, &other, 0);
        }
}

/* The answer to one IA of the request.  'first' is the IA_NA that gets the addresses. */
static void put_ia(const struct dhcp6_config *config, const struct request *request, uint16_t code, struct reader ia,
                   bool first, struct writer *writer, struct dhcp6_outcome *outcome)
{
    const uint8_t *id = take_ia_header(code, &ia);
    bool gives = code == OPTION_IA_NA && first && config->n_addresses > 0;
    bool releases = request->type == DHCP6_RELEASE || request->type == DHCP6_DECLINE;
    struct reader addresses = ia;
    const uint8_t *address;

    if (releases) {
        /* 18.3.7, 18.3.8: only an IA that we know nothing of is answered. */
        bool known = false;
        while ((address = next_address(&addresses)) != NULL)
            known |= gives && is_own(config, address);
        if (known)
            return;
        gives = false;
    }
    bool on_link = true;
    if (request->type == DHCP6_REQUEST && gives) /* 18.3.2 */
        while ((address = next_address(&addresses)) != NULL)
            on_link &= is_own(config, address);

    size_t start = begin_option(writer, code);
    writer_bytes(writer, id, 4);
    if (code != OPTION_IA_TA) {
        /* 21.4: T1 and T2 at half and 0.8 of the lifetime; 0 leaves them to a client that has nothing to renew. */
        uint32_t lease_s = config->lease_s, endless = UINT32_MAX;
        bool times = gives && on_link;
        writer_u32(writer, !times ? 0 : lease_s == endless ? endless : lease_s / 2);
        writer_u32(writer, !times ? 0 : lease_s == endless ? endless : (uint32_t)((uint64_t)lease_s * 4 / 5));
    }
    if (gives && on_link) {
        put_bindings(config, writer, ia, request->type == DHCP6_RENEW || request->type == DHCP6_REBIND);
    } else if (gives) {
        put_status(writer, DHCP6_NOT_ON_LINK, "an address is not this port's");
        note(outcome, DHCP6_NOT_ON_LINK);
    } else {
        uint16_t status = releases || request->type == DHCP6_RENEW || request->type == DHCP6_REBIND ? DHCP6_NO_BINDING
                          : code == OPTION_IA_PD ? DHCP6_NO_PREFIX_AVAIL
                                                 : DHCP6_NO_ADDRS_AVAIL;
        put_status(writer, status, "nothing to give to this association");
        note(outcome, status);
    }
    end_option(writer, start);
}

static void put_ias(const struct dhcp6_config *config, const struct request *request, struct writer *writer,
                    struct dhcp6_outcome *outcome)
{
    struct reader options = request->options, value;
    uint16_t code;
    bool first = true;
    while (next_option(&options, &code, &value) > 0) {
        if (!is_ia(code))
            continue;
        put_ia(config, request, code, value, first, writer, outcome);
        first &= code != OPTION_IA_NA;
    }
}

/* 18.3.3: stricter than "on the link": an address that is not the port's would be dropped by anti-spoofing, so a client
 * that woke up elsewhere is told to start over.  -ENOENT when the message has no address. */
static int confirm_status(const struct dhcp6_config *config, const struct request *request)
{
    struct reader options = request->options, ia;
    const uint8_t *address;
    uint16_t code;
    int status = -ENOENT;
    while (next_option(&options, &code, &ia) > 0) {
        if (code != OPTION_IA_NA && code != OPTION_IA_TA)
            continue;
        take_ia_header(code, &ia);
        while ((address = next_address(&ia)) != NULL) {
            if (!is_own(config, address))
                return DHCP6_NOT_ON_LINK;
            status = DHCP6_SUCCESS;
        }
    }
    return status;
}

/* ---- parameters ------------------------------------------------------------------------------------------------ */

static bool wants(const struct request *request, uint16_t code)
{
    for (size_t i = 0; i < request->n_requested; i++)
        if (request->requested[i] == code)
            return true;
    return !request->has_oro;
}

static void put_parameters(const struct dhcp6_config *config, const struct request *request, struct writer *writer)
{
    uint16_t written[MAX_REQUESTED];
    size_t n_written = 0;
    for (size_t i = 0; i < config->n_options && n_written < MAX_REQUESTED; i++) {
        const struct extra_dhcp_option *option = &config->options[i];
        struct dhcp_option extra;
        bool repeated = false;
        if (option->ip_version != 6 || !option->name || !option->value || !*option->value ||
            dhcp_option_encode(6, option->name, option->value, &extra, NULL) < 0 || !wants(request, extra.code))
            continue;
        for (size_t j = 0; j < n_written; j++)
            repeated |= written[j] == extra.code;
        if (repeated || extra.size + 4u > writer->capacity - writer->size)
            continue;
        put_option(writer, extra.code, extra.data, extra.size);
        written[n_written++] = extra.code;
    }
    bool has_dns = false, has_domains = false, has_refresh = false;
    for (size_t i = 0; i < n_written; i++) {
        has_dns |= written[i] == OPTION_DNS;
        has_domains |= written[i] == OPTION_DOMAINS;
        has_refresh |= written[i] == OPTION_REFRESH;
    }
    if (!has_dns && config->n_dns_servers && wants(request, OPTION_DNS))
        put_option(writer, OPTION_DNS, config->dns_servers, config->n_dns_servers * 16);
    if (!has_domains && config->domain && *config->domain && wants(request, OPTION_DOMAINS)) {
        size_t start = begin_option(writer, OPTION_DOMAINS);
        if (writer_domain(writer, config->domain) < 0)
            writer->size = start - 4; /* Not a name: not sent. */
        else
            end_option(writer, start);
    }
    /* 21.23: only to an Information-request; a change of parameters is seen by then at the latest. */
    if (!has_refresh && request->type == DHCP6_INFORMATION_REQUEST && wants(request, OPTION_REFRESH)) {
        size_t start = begin_option(writer, OPTION_REFRESH);
        writer_u32(writer, MAX(config->lease_s, REFRESH_MIN_S));
        end_option(writer, start);
    }
}

/* ---- the reply: RFC 8415, 18.3 --------------------------------------------------------------------------------- */

static void write_body(const struct dhcp6_config *config, const struct request *request, uint8_t type, int confirm,
                       struct writer *writer, struct dhcp6_outcome *outcome)
{
    switch (request->type) {
    case DHCP6_SOLICIT:
        if (type == DHCP6_REPLY)
            put_option(writer, OPTION_RAPID_COMMIT, "", 0);
        else
            put_option(writer, OPTION_PREFERENCE, "\xff", 1); /* 18.2.1: no need to wait for another server. */
        put_ias(config, request, writer, outcome);
        break;
    case DHCP6_CONFIRM:
        note(outcome, (uint16_t)confirm);
        put_status(writer, (uint16_t)confirm,
                   confirm == DHCP6_SUCCESS ? "all addresses are this port's" : "an address is not this port's");
        return;
    case DHCP6_RELEASE:
    case DHCP6_DECLINE:
        put_ias(config, request, writer, outcome);
        put_status(writer, DHCP6_SUCCESS, "noted");
        return;
    case DHCP6_INFORMATION_REQUEST:
        break;
    default:
        put_ias(config, request, writer, outcome);
    }
    put_parameters(config, request, writer);
}

/* Whether the message, which came by unicast, is to be repeated by multicast; others that may not come so are discarded
 * (18.4). */
static bool must_use_multicast(uint8_t type)
{
    return type == DHCP6_REQUEST || type == DHCP6_RENEW || type == DHCP6_RELEASE || type == DHCP6_DECLINE;
}

static int answer(const struct dhcp6_config *config, const struct request *request, void *reply, size_t capacity,
                  struct dhcp6_outcome *outcome)
{
    bool unicast = !ip_is_multicast(&request->frame.destination);
    if (unicast && !must_use_multicast(request->type))
        return -EBADMSG;
    int confirm = request->type == DHCP6_CONFIRM ? confirm_status(config, request) : 0;
    if (confirm < 0)
        return 0;
    uint8_t type = request->type == DHCP6_SOLICIT && !request->rapid_commit ? DHCP6_ADVERTISE : DHCP6_REPLY;

    struct writer writer = writer_of(reply, MIN(capacity, (size_t)DHCP6_REPLY_MAX));
    struct frame headers = {
        .source_mac = config->server_mac,
        .destination_mac = config->mac,
        .source = config->server,
        .destination = request->frame.source,
        .protocol = PROTOCOL_UDP,
        .hop_limit = 64,
        .source_port = DHCP6_SERVER_PORT,
        .destination_port = DHCP6_CLIENT_PORT,
    };
    frame_begin(&writer, &headers);
    writer_u8(&writer, type);
    writer_bytes(&writer, request->transaction, 3);
    if (request->has_client_id)
        put_option(&writer, OPTION_CLIENT_ID, request->client_id.at, reader_left(&request->client_id));
    put_option(&writer, OPTION_SERVER_ID, config->server_duid, DHCP6_DUID_SIZE);
    if (unicast) {
        put_status(&writer, DHCP6_USE_MULTICAST, "send to ff02::1:2");
        note(outcome, DHCP6_USE_MULTICAST);
    } else {
        write_body(config, request, type, confirm, &writer, outcome);
    }
    int size = frame_end(&writer);
    if (size > 0)
        outcome->reply = type;
    return size;
}

int dhcp6_respond(const struct dhcp6_config *config, const void *bytes, size_t size, void *reply, size_t capacity,
                  struct dhcp6_outcome *ret)
{
    struct request request;
    *ret = (struct dhcp6_outcome){0};
    int error = parse_request(bytes, size, &request);
    if (error < 0)
        return error;
    ret->request = request.type;
    if (!config->enabled)
        return -EADDRNOTAVAIL;
    error = check_identifiers(&request, config);
    if (error != 0)
        return error < 0 ? error : 0;
    return answer(config, &request, reply, capacity, ret);
}

const char *dhcp6_message_name(uint8_t message)
{
    static const char *const names[] = {"none",    "SOLICIT", "ADVERTISE",   "REQUEST",
                                        "CONFIRM", "RENEW",   "REBIND",      "REPLY",
                                        "RELEASE", "DECLINE", "RECONFIGURE", "INFORMATION-REQUEST"};
    return message < ARRAY_SIZE(names) ? names[message] : "unknown";
}
