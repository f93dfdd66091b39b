/* DHCPv4 (RFC 2131), the server's side; see dhcp4.h.
 *
 * A reply is made in two steps: decide() is the state table of RFC 2131, 4.3 (which message, which address), then
 * write_reply() fills header and options.  A value comes from the port's extra options, else from its subnet. */
#include "weft/services/dhcp/dhcp4.h"

#include <errno.h>
#include <stdio.h>

#include "weft/base/util.h"
#include "weft/model/virtual-server.h"
#include "weft/services/dhcp/options.h"
#include "weft/services/packet.h"

/* RFC 2131, 2. */
#define HEADER_SIZE 236
#define OFFSET_FLAGS 10
#define OFFSET_CIADDR 12
#define OFFSET_YIADDR 16
#define OFFSET_SIADDR 20
#define OFFSET_GIADDR 24
#define OFFSET_CHADDR 28
#define OFFSET_SNAME 44
#define SNAME_SIZE 64
#define OFFSET_FILE 108
#define FILE_SIZE 128
#define COOKIE 0x63825363u
#define FLAG_BROADCAST 0x8000
#define MESSAGE_MIN 300  /* A BOOTP message's size (RFC 951), which old clients and relays insist on. */
#define DATAGRAM_MIN 576 /* What every client takes (RFC 2131, 2), IP header included. */
#define LEASE_MIN_S 120  /* A shorter lease than configured can be asked for down to this. */

enum {
    OPTION_PAD = 0,
    OPTION_NETMASK = 1,
    OPTION_ROUTER = 3,
    OPTION_DNS = 6,
    OPTION_HOSTNAME = 12,
    OPTION_DOMAIN = 15,
    OPTION_MTU = 26,
    OPTION_BROADCAST = 28,
    OPTION_REQUESTED = 50,
    OPTION_LEASE_TIME = 51,
    OPTION_OVERLOAD = 52,
    OPTION_MESSAGE_TYPE = 53,
    OPTION_SERVER = 54,
    OPTION_PARAMETERS = 55,
    OPTION_MESSAGE = 56,
    OPTION_MAX_SIZE = 57,
    OPTION_T1 = 58,
    OPTION_T2 = 59,
    OPTION_CLIENT_ID = 61,
    OPTION_TFTP_SERVER = 66,
    OPTION_BOOTFILE = 67,
    OPTION_RAPID_COMMIT = 80,
    OPTION_SEARCH = 119,
    OPTION_ROUTES = 121,
    OPTION_TFTP_ADDRESSES = 150,
    OPTION_ROUTES_MICROSOFT = 249,
    OPTION_END = 255,
};

/* A parsed request. */
struct request {
    struct frame frame;
    const uint8_t *header;  /* HEADER_SIZE bytes. */
    struct reader areas[3]; /* Options: the field, then 'file' and 'sname' when overloaded (RFC 2131, 4.1). */
    uint8_t type;
    struct ip_address client; /* ciaddr */
    bool has_requested, has_server, rapid_commit;
    struct ip_address requested, server;
};

/* ---- the request ----------------------------------------------------------------------------------------------- */

/* The next option of an area; false at its end.  -EBADMSG in '*ret_error' when it runs over the end. */
static bool next_option(struct reader *area, uint8_t *ret_code, struct reader *ret_value, int *ret_error)
{
    uint8_t code, size;
    do {
        if (!reader_u8(area, &code) || code == OPTION_END)
            return false;
    } while (code == OPTION_PAD);
    const uint8_t *value;
    if (!reader_u8(area, &size) || !(value = reader_take(area, size))) {
        *ret_error = -EBADMSG;
        return false;
    }
    *ret_code = code;
    *ret_value = reader_of(value, size);
    return true;
}

/* All pieces of an option joined in order (RFC 3396).  Returns the bytes stored, or -ENOENT when it is absent.
 * What is longer than 'capacity' is cut. */
static int get_option(const struct request *request, uint8_t code, uint8_t *value, size_t capacity)
{
    size_t size = 0;
    bool found = false;
    int error = 0;
    for (size_t i = 0; i < ARRAY_SIZE(request->areas); i++) {
        struct reader area = request->areas[i], piece;
        uint8_t found_code;
        while (next_option(&area, &found_code, &piece, &error)) {
            if (found_code != code)
                continue;
            size_t part = MIN(reader_left(&piece), capacity - size);
            if (part)
                memcpy(value + size, piece.at, part);
            size += part;
            found = true;
        }
    }
    return found ? (int)size : -ENOENT;
}

static bool get_address(const struct request *request, uint8_t code, struct ip_address *ret)
{
    uint8_t bytes[4];
    if (get_option(request, code, bytes, sizeof(bytes)) != (int)sizeof(bytes))
        return false;
    *ret = ip_from_v4(get_be32(bytes));
    return true;
}

static int check_options(struct reader area)
{
    uint8_t code;
    struct reader value;
    int error = 0;
    while (next_option(&area, &code, &value, &error))
        continue;
    return error;
}

static int parse_request(const struct dhcp4_config *config, const void *bytes, size_t size, struct request *ret)
{
    struct request request = {0};
    int error = frame_parse(bytes, size, &request.frame);
    if (error < 0)
        return error;
    const struct frame *frame = &request.frame;
    if (frame->protocol != PROTOCOL_UDP || !ip_is_v4(&frame->source) || frame->destination_port != DHCP4_SERVER_PORT ||
        frame->source_port != DHCP4_CLIENT_PORT)
        return -EPROTONOSUPPORT;

    struct reader message = frame->payload;
    uint32_t cookie;
    request.header = reader_take(&message, HEADER_SIZE);
    if (!request.header)
        return -EBADMSG;
    if (request.header[0] != 1 /* BOOTREQUEST */ || request.header[1] != 1 || request.header[2] != 6 /* Ethernet */ ||
        !reader_u32(&message, &cookie) || cookie != COOKIE || get_be32(request.header + OFFSET_GIADDR) != 0 ||
        memcmp(request.header + OFFSET_CHADDR, config->mac.bytes, 6) != 0)
        return -EPROTONOSUPPORT;

    request.areas[0] = message;
    uint8_t overload = 0;
    error = check_options(message);
    if (error < 0)
        return error;
    get_option(&request, OPTION_OVERLOAD, &overload, 1);
    if (overload & 1)
        request.areas[1] = reader_of(request.header + OFFSET_FILE, FILE_SIZE);
    if (overload & 2)
        request.areas[2] = reader_of(request.header + OFFSET_SNAME, SNAME_SIZE);
    for (size_t i = 1; i < ARRAY_SIZE(request.areas); i++) {
        error = check_options(request.areas[i]);
        if (error < 0)
            return error;
    }

    if (get_option(&request, OPTION_MESSAGE_TYPE, &request.type, 1) != 1)
        return -EPROTONOSUPPORT; /* Plain BOOTP. */
    request.client = ip_from_v4(get_be32(request.header + OFFSET_CIADDR));
    request.has_requested = get_address(&request, OPTION_REQUESTED, &request.requested);
    request.has_server = get_address(&request, OPTION_SERVER, &request.server);
    request.rapid_commit = get_option(&request, OPTION_RAPID_COMMIT, &overload, 1) >= 0;
    *ret = request;
    return 0;
}

/* ---- what to say: RFC 2131, 4.3 -------------------------------------------------------------------------------- */

static const struct dhcp4_address *find_address(const struct dhcp4_config *config, const struct ip_address *address)
{
    for (size_t i = 0; i < config->n_addresses; i++)
        if (ip_equal(&config->addresses[i].address, address))
            return &config->addresses[i];
    return NULL;
}

static const struct dhcp4_address *find_server(const struct dhcp4_config *config, const struct ip_address *server)
{
    for (size_t i = 0; i < config->n_addresses; i++)
        if (ip_equal(&config->addresses[i].server, server))
            return &config->addresses[i];
    return NULL;
}

static const struct dhcp4_address *find_subnet(const struct dhcp4_config *config, const struct ip_address *address)
{
    for (size_t i = 0; i < config->n_addresses; i++)
        if (prefix_contains(&config->addresses[i].prefix, address))
            return &config->addresses[i];
    return NULL;
}

/* 4.3.2: the three kinds of DHCPREQUEST are told apart by what they carry. */
static uint8_t decide_request(const struct dhcp4_config *config, const struct request *request,
                              const struct dhcp4_address **address)
{
    bool selecting = request->has_server, rebooting = !selecting && ip_is_zero(&request->client);
    if (selecting && !find_server(config, &request->server))
        return 0; /* The client chose another server. */
    /* Some clients fill in ciaddr where requested-address is due. */
    struct ip_address wanted = request->has_requested ? request->requested : request->client;
    if (rebooting && !request->has_requested)
        return 0;
    const struct dhcp4_address *own = find_address(config, &wanted);
    if (own) {
        *address = own;
        return DHCP4_ACK;
    }
    return DHCP4_NAK;
}

/* The message to send, 0 for none; '*address' is what it is about: set by the caller to the port's first. */
static uint8_t decide(const struct dhcp4_config *config, const struct request *request,
                      const struct dhcp4_address **address)
{
    const struct dhcp4_address *found;
    switch (request->type) {
    case DHCP4_DISCOVER:
        found = request->has_requested ? find_address(config, &request->requested) : NULL;
        if (found)
            *address = found;
        return request->rapid_commit ? DHCP4_ACK : DHCP4_OFFER;
    case DHCP4_REQUEST:
        return decide_request(config, request, address);
    case DHCP4_INFORM:
        /* 4.3.5: only parameters, also for an address that was configured by hand. */
        found = find_subnet(config, ip_is_zero(&request->client) ? &request->frame.source : &request->client);
        if (found)
            *address = found;
        return DHCP4_ACK;
    default: /* RELEASE and DECLINE change nothing: the address stays the port's. */
        return 0;
    }
}

/* ---- the reply's options --------------------------------------------------------------------------------------- */

/* Options go to the field, and to 'file' and 'sname' when they are free and it is full. */
struct reply {
    const struct dhcp4_config *config;
    const struct dhcp4_address *address;
    struct writer areas[3];
    bool written[256];
};

/* Appends one option, in pieces of 255 bytes (RFC 3396), to the first area that has room for all of it.  One that fits
 * nowhere is left out: the client asked for more than it takes. */
static void put_option(struct reply *reply, uint8_t code, const void *value, size_t size)
{
    size_t n_pieces = size ? (size + 254) / 255 : 1;
    if (reply->written[code])
        return;
    for (size_t i = 0; i < ARRAY_SIZE(reply->areas); i++) {
        struct writer *area = &reply->areas[i];
        if (size + 2 * n_pieces > area->capacity - area->size)
            continue;
        const uint8_t *at = value;
        for (size_t left = size; n_pieces; n_pieces--) {
            size_t piece = MIN(left, 255u);
            writer_u8(area, code);
            writer_u8(area, (uint8_t)piece);
            writer_bytes(area, at, piece);
            at += piece;
            left -= piece;
        }
        reply->written[code] = true;
        return;
    }
}

static void put_u32(struct reply *reply, uint8_t code, uint32_t value)
{
    uint8_t bytes[4];
    put_be32(bytes, value);
    put_option(reply, code, bytes, sizeof(bytes));
}

/* The port's own setting of an option, encoded; false when it has none or one that cannot be encoded. */
static bool find_extra(const struct dhcp4_config *config, uint16_t code, struct dhcp_option *ret)
{
    for (size_t i = 0; i < config->n_options; i++) {
        const struct extra_dhcp_option *option = &config->options[i];
        if (option->ip_version == 4 && option->name && option->value && *option->value &&
            dhcp_option_encode(4, option->name, option->value, ret, NULL) == 0 && ret->code == code)
            return true;
    }
    return false;
}

static void write_route(struct writer *writer, const struct ip_prefix *destination, const struct ip_address *next_hop)
{
    writer_u8(writer, destination->length);
    writer_bytes(writer, destination->address.bytes + 12, (destination->length + 7u) / 8);
    if (next_hop)
        writer_bytes(writer, next_hop->bytes + 12, 4);
    else
        writer_u32(writer, 0); /* On-link. */
}

/* RFC 3442: a client that takes these ignores the router option, so the default route is among them.  Nothing is
 * written when there is no route besides the default and the subnet's own. */
static void write_routes(const struct dhcp4_config *config, const struct dhcp4_address *address, struct writer *writer)
{
    bool has_default = false;
    for (size_t i = 0; i < address->n_routes; i++) {
        const struct host_route *route = &address->routes[i];
        if (!ip_is_v4(&route->destination.address) || !ip_is_v4(&route->next_hop))
            continue;
        has_default |= route->destination.length == 0;
        write_route(writer, &route->destination, &route->next_hop);
    }
    for (size_t i = 0; i < config->n_prefixes; i++)
        if (!prefix_overlaps(&config->prefixes[i], &address->prefix))
            write_route(writer, &config->prefixes[i], NULL);
    if (!prefix_contains(&address->prefix, &address->server))
        write_route(writer, &(struct ip_prefix){address->server, 32}, NULL);
    if (!has_default && !address->has_gateway) /* Nothing else leads to the metadata service. */
        write_route(writer, &(struct ip_prefix){METADATA_SERVER_IP4, 32}, NULL);
    if (writer->size > 0 && !has_default && address->has_gateway)
        write_route(writer, &(struct ip_prefix){ip_from_v4(0), 0}, &address->gateway);
}

/* The gateway, or what a host route or the port's options put in its place. */
static void write_router(const struct dhcp4_config *config, const struct dhcp4_address *address, struct writer *writer)
{
    for (size_t i = 0; i < address->n_routes; i++)
        if (ip_is_v4(&address->routes[i].destination.address) && address->routes[i].destination.length == 0) {
            writer_bytes(writer, address->routes[i].next_hop.bytes + 12, 4);
            return;
        }
    if (address->has_gateway)
        writer_bytes(writer, address->gateway.bytes + 12, 4);
}

/* What the server itself knows for 'code'.  Writes nothing when it knows nothing. */
static void write_builtin(const struct dhcp4_config *config, const struct dhcp4_address *address, uint8_t code,
                          struct writer *writer)
{
    uint32_t mask = address->prefix.length ? UINT32_MAX << (32 - address->prefix.length) : 0;
    char text[IP_TEXT_SIZE + 8];
    switch (code) {
    case OPTION_NETMASK:
        writer_u32(writer, mask);
        break;
    case OPTION_ROUTER:
        write_router(config, address, writer);
        break;
    case OPTION_DNS:
        for (size_t i = 0; i < address->n_dns_servers; i++)
            if (ip_is_v4(&address->dns_servers[i]) && !ip_is_zero(&address->dns_servers[i]))
                writer_bytes(writer, address->dns_servers[i].bytes + 12, 4);
        break;
    case OPTION_HOSTNAME: {
        const uint8_t *bytes = address->address.bytes + 12;
        int size = snprintf(text, sizeof(text), "host-%u-%u-%u-%u", bytes[0], bytes[1], bytes[2], bytes[3]);
        writer_bytes(writer, text, (size_t)size);
        break;
    }
    case OPTION_DOMAIN:
        if (config->domain) {
            size_t length = strlen(config->domain);
            if (length && config->domain[length - 1] == '.')
                length--;
            writer_bytes(writer, config->domain, length);
        }
        break;
    case OPTION_SEARCH:
        if (config->domain)
            (void)writer_domain(writer, config->domain); /* A name that is none is not sent. */
        break;
    case OPTION_MTU:
        if (config->mtu)
            writer_u16(writer, config->mtu);
        break;
    case OPTION_BROADCAST:
        if (address->prefix.length < 31)
            writer_u32(writer, ip_to_v4(&address->prefix.address) | ~mask);
        break;
    case OPTION_ROUTES:
    case OPTION_ROUTES_MICROSOFT:
        write_routes(config, address, writer);
        break;
    }
}

static void put_known(struct reply *reply, uint8_t code)
{
    struct dhcp_option extra;
    uint8_t bytes[DHCP4_REPLY_MAX];
    struct writer writer = writer_of(bytes, sizeof(bytes));
    uint8_t twin = code == OPTION_ROUTES             ? OPTION_ROUTES_MICROSOFT
                   : code == OPTION_ROUTES_MICROSOFT ? OPTION_ROUTES
                                                     : 0;
    if (find_extra(reply->config, code, &extra) || (twin && find_extra(reply->config, twin, &extra))) {
        put_option(reply, code, extra.data, extra.size);
        return;
    }
    write_builtin(reply->config, reply->address, code, &writer);
    if (writer.size > 0 && !writer.overflow)
        put_option(reply, code, bytes, writer.size);
}

/* What may come from the request list alone: the server's own options are written apart. */
static bool may_be_requested(uint8_t code)
{
    return code != OPTION_PAD && code != OPTION_END &&
           (code < OPTION_REQUESTED || code > OPTION_CLIENT_ID || code == 60);
}

static void put_parameters(struct reply *reply, const struct request *request)
{
    static const uint8_t usual[] = {OPTION_ROUTER, OPTION_DNS,       OPTION_DOMAIN,
                                    OPTION_MTU,    OPTION_BROADCAST, OPTION_ROUTES};
    uint8_t wanted[255];
    int n_wanted = get_option(request, OPTION_PARAMETERS, wanted, sizeof(wanted));

    put_known(reply, OPTION_NETMASK); /* Before the router (RFC 2132, 3.3), and asked for or not. */
    if (n_wanted >= 0) {
        for (int i = 0; i < n_wanted; i++)
            if (may_be_requested(wanted[i]))
                put_known(reply, wanted[i]);
        return;
    }
    for (size_t i = 0; i < ARRAY_SIZE(usual); i++)
        put_known(reply, usual[i]);
    for (size_t i = 0; i < reply->config->n_options; i++) {
        const struct extra_dhcp_option *option = &reply->config->options[i];
        struct dhcp_option extra;
        if (option->ip_version == 4 && option->name && option->value && *option->value &&
            dhcp_option_encode(4, option->name, option->value, &extra, NULL) == 0 && extra.code < OPTION_END &&
            may_be_requested((uint8_t)extra.code))
            put_option(reply, (uint8_t)extra.code, extra.data, extra.size);
    }
}

/* 4.3.1: what the port's options say, or the configured one; a client may ask for a shorter lease. */
static void put_lease(struct reply *reply, const struct request *request)
{
    const struct dhcp4_config *config = reply->config;
    struct dhcp_option extra;
    uint8_t bytes[4];
    uint32_t lease_s = config->lease_s, t1_s, t2_s;
    if (find_extra(config, OPTION_LEASE_TIME, &extra))
        lease_s = get_be32(extra.data);
    if (get_option(request, OPTION_LEASE_TIME, bytes, sizeof(bytes)) == (int)sizeof(bytes))
        lease_s = MIN(lease_s, MAX(get_be32(bytes), (uint32_t)LEASE_MIN_S));
    bool endless = lease_s == UINT32_MAX;
    t1_s = find_extra(config, OPTION_T1, &extra) ? get_be32(extra.data) : lease_s / 2;
    t2_s = find_extra(config, OPTION_T2, &extra) ? get_be32(extra.data) : lease_s - lease_s / 8;
    put_u32(reply, OPTION_LEASE_TIME, lease_s);
    if (!endless && t1_s <= t2_s && t2_s <= lease_s) {
        put_u32(reply, OPTION_T1, t1_s);
        put_u32(reply, OPTION_T2, t2_s);
    }
}

/* ---- the reply ------------------------------------------------------------------------------------------------- */

/* The boot file and its server in the header's own fields (RFC 2131, 2); '*ret_...' say whether the field is taken. */
static void write_boot(const struct dhcp4_config *config, uint8_t *header, bool *ret_file, bool *ret_sname)
{
    struct dhcp_option extra;
    struct ip_address address;
    char text[IP_TEXT_SIZE];
    *ret_file = find_extra(config, OPTION_BOOTFILE, &extra) && extra.size < FILE_SIZE;
    if (*ret_file)
        memcpy(header + OFFSET_FILE, extra.data, extra.size);
    *ret_sname = find_extra(config, OPTION_TFTP_SERVER, &extra) && extra.size < SNAME_SIZE;
    if (*ret_sname)
        memcpy(header + OFFSET_SNAME, extra.data, extra.size);

    if (find_extra(config, DHCP4_NEXT_SERVER, &extra) || find_extra(config, OPTION_TFTP_ADDRESSES, &extra)) {
        memcpy(header + OFFSET_SIADDR, extra.data, 4);
    } else if (find_extra(config, OPTION_TFTP_SERVER, &extra) && extra.size < sizeof(text)) {
        memcpy(text, extra.data, extra.size);
        text[extra.size] = '\0';
        if (ip_parse(text, &address) == 0 && ip_is_v4(&address))
            memcpy(header + OFFSET_SIADDR, address.bytes + 12, 4);
    }
}

/* Where to (RFC 2131, 4.1). */
static struct frame reply_headers(const struct dhcp4_config *config, const struct request *request,
                                  const struct dhcp4_address *address, uint8_t type)
{
    struct frame frame = {
        .source_mac = config->server_mac,
        .destination_mac = config->mac,
        .source = address->server,
        .protocol = PROTOCOL_UDP,
        .hop_limit = 64,
        .source_port = DHCP4_SERVER_PORT,
        .destination_port = DHCP4_CLIENT_PORT,
    };
    bool inform = request->type == DHCP4_INFORM;
    if (type != DHCP4_NAK && !ip_is_zero(&request->client)) {
        frame.destination = request->client;
    } else if (type != DHCP4_NAK && inform && !ip_is_zero(&request->frame.source)) {
        frame.destination = request->frame.source; /* A client that forgot ciaddr. */
    } else if (type == DHCP4_NAK || inform || (get_be16(request->header + OFFSET_FLAGS) & FLAG_BROADCAST)) {
        frame.destination = ip_from_v4(UINT32_MAX);
        memset(frame.destination_mac.bytes, 0xff, 6);
    } else {
        frame.destination = address->address;
    }
    return frame;
}

static size_t client_limit(const struct request *request, size_t capacity)
{
    uint8_t bytes[2];
    size_t limit = DATAGRAM_MIN;
    if (get_option(request, OPTION_MAX_SIZE, bytes, sizeof(bytes)) == (int)sizeof(bytes))
        limit = MAX(limit, get_be16(bytes));
    return MIN(limit, capacity - 14) - 28; /* Without Ethernet; without IP and UDP headers. */
}

static int write_reply(const struct dhcp4_config *config, const struct request *request,
                       const struct dhcp4_address *address, uint8_t type, void *bytes, size_t capacity)
{
    struct writer writer = writer_of(bytes, capacity);
    struct frame headers = reply_headers(config, request, address, type);
    frame_begin(&writer, &headers);
    uint8_t *header = writer_take(&writer, HEADER_SIZE);
    writer_u32(&writer, COOKIE);
    if (!header)
        return -ENOBUFS;

    bool file_taken = false, sname_taken = false, lease = type != DHCP4_NAK && request->type != DHCP4_INFORM;
    header[0] = 2; /* BOOTREPLY */
    header[1] = 1;
    header[2] = 6;
    memcpy(header + 4, request->header + 4, 4); /* xid */
    memcpy(header + OFFSET_FLAGS, request->header + OFFSET_FLAGS, 2);
    memcpy(header + OFFSET_CHADDR, request->header + OFFSET_CHADDR, 16);
    if (type == DHCP4_ACK)
        memcpy(header + OFFSET_CIADDR, request->header + OFFSET_CIADDR, 4);
    if (lease)
        memcpy(header + OFFSET_YIADDR, address->address.bytes + 12, 4);
    if (type != DHCP4_NAK)
        write_boot(config, header, &file_taken, &sname_taken);

    /* Of the field, room is kept for option 52 and the end; of the others, for the end. */
    struct reply reply = {.config = config, .address = address};
    size_t limit = client_limit(request, capacity) - HEADER_SIZE - 4;
    reply.areas[0] = writer_of(writer.data + writer.size, limit - 4);
    if (type != DHCP4_NAK && !file_taken)
        reply.areas[1] = writer_of(header + OFFSET_FILE, FILE_SIZE - 1);
    if (type != DHCP4_NAK && !sname_taken)
        reply.areas[2] = writer_of(header + OFFSET_SNAME, SNAME_SIZE - 1);

    put_option(&reply, OPTION_MESSAGE_TYPE, &type, 1);
    put_option(&reply, OPTION_SERVER, address->server.bytes + 12, 4);
    uint8_t client_id[255];
    int client_id_size = get_option(request, OPTION_CLIENT_ID, client_id, sizeof(client_id));
    if (client_id_size > 0)
        put_option(&reply, OPTION_CLIENT_ID, client_id, (size_t)client_id_size);
    if (type == DHCP4_NAK) {
        static const char text[] = "the address is not this port's";
        put_option(&reply, OPTION_MESSAGE, text, sizeof(text) - 1);
    } else {
        if (lease)
            put_lease(&reply, request);
        if (request->type == DHCP4_DISCOVER && type == DHCP4_ACK)
            put_option(&reply, OPTION_RAPID_COMMIT, "", 0);
        put_parameters(&reply, request);
    }

    uint8_t overload = (reply.areas[1].size ? 1 : 0) | (reply.areas[2].size ? 2 : 0);
    writer.size += reply.areas[0].size;
    for (size_t i = 1; i < ARRAY_SIZE(reply.areas); i++)
        if (reply.areas[i].size)
            reply.areas[i].data[reply.areas[i].size] = OPTION_END;
    if (overload) {
        writer_u8(&writer, OPTION_OVERLOAD);
        writer_u8(&writer, 1);
        writer_u8(&writer, overload);
    }
    writer_u8(&writer, OPTION_END);
    size_t size = writer.size - (size_t)((uint8_t *)header - (uint8_t *)bytes);
    if (size < MESSAGE_MIN)
        writer_take(&writer, MESSAGE_MIN - size);
    return frame_end(&writer);
}

int dhcp4_respond(const struct dhcp4_config *config, const void *bytes, size_t size, void *reply, size_t capacity,
                  struct dhcp4_outcome *ret)
{
    struct request request;
    *ret = (struct dhcp4_outcome){0};
    if (capacity < DHCP4_REPLY_MAX)
        return -ENOBUFS;
    int error = parse_request(config, bytes, size, &request);
    if (error < 0)
        return error;
    ret->request = request.type;
    if (config->n_addresses == 0)
        return -EADDRNOTAVAIL;

    const struct dhcp4_address *address = &config->addresses[0];
    ret->address = request.has_requested ? request.requested : request.client;
    uint8_t type = decide(config, &request, &address);
    if (type == 0)
        return 0;
    if (type != DHCP4_NAK && request.type != DHCP4_INFORM)
        ret->address = address->address;
    int written = write_reply(config, &request, address, type, reply, capacity);
    if (written > 0)
        ret->reply = type;
    return written;
}

const char *dhcp4_message_name(uint8_t message)
{
    static const char *const names[] = {"none", "DISCOVER", "OFFER",   "REQUEST", "DECLINE",
                                        "ACK",  "NAK",      "RELEASE", "INFORM"};
    return message < ARRAY_SIZE(names) ? names[message] : "unknown";
}
