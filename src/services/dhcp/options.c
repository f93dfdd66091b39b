/* Options by name; see options.h. */
#include "weft/services/dhcp/options.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include "weft/base/address.h"
#include "weft/base/util.h"
#include "weft/services/packet.h"

enum format {
    FORMAT_GUESS,     /* Addresses, else bytes, else a number, else text: for what the table does not know. */
    FORMAT_ADDRESS,   /* Exactly one, of the protocol's family. */
    FORMAT_ADDRESSES, /* One or more. */
    FORMAT_PAIRS,     /* IPv4: address and mask, or destination and router. */
    FORMAT_TEXT,
    FORMAT_U8,
    FORMAT_U16,
    FORMAT_U32,
    FORMAT_BOOL,
    FORMAT_NAMES,  /* Domain names as labels. */
    FORMAT_ROUTES, /* "10.0.0.0/8,192.0.2.1,...": RFC 3442. */
    FORMAT_SIP,    /* RFC 3361: names (0) or addresses (1). */
    FORMAT_NTP6,   /* RFC 5908: suboptions. */
    FORMAT_TEXTS6, /* RFC 5970, 3.2: each with a length before it. */
    FORMAT_SERVER, /* The server's own business. */
};

struct option_name {
    const char *name;
    uint16_t code;
    enum format format;
};

static const struct option_name options4[] = {
    {"netmask", 1, FORMAT_ADDRESS},
    {"time-offset", 2, FORMAT_U32},
    {"router", 3, FORMAT_ADDRESSES},
    {"dns-server", 6, FORMAT_ADDRESSES},
    {"log-server", 7, FORMAT_ADDRESSES},
    {"lpr-server", 9, FORMAT_ADDRESSES},
    {"hostname", 12, FORMAT_TEXT},
    {"boot-file-size", 13, FORMAT_U16},
    {"domain-name", 15, FORMAT_TEXT},
    {"swap-server", 16, FORMAT_ADDRESS},
    {"root-path", 17, FORMAT_TEXT},
    {"extension-path", 18, FORMAT_TEXT},
    {"ip-forward-enable", 19, FORMAT_BOOL},
    {"non-local-source-routing", 20, FORMAT_BOOL},
    {"policy-filter", 21, FORMAT_PAIRS},
    {"max-datagram-reassembly", 22, FORMAT_U16},
    {"default-ttl", 23, FORMAT_U8},
    {"mtu", 26, FORMAT_U16},
    {"all-subnets-local", 27, FORMAT_BOOL},
    {"broadcast", 28, FORMAT_ADDRESS},
    {"router-discovery", 31, FORMAT_BOOL},
    {"router-solicitation", 32, FORMAT_ADDRESS},
    {"static-route", 33, FORMAT_PAIRS},
    {"trailer-encapsulation", 34, FORMAT_BOOL},
    {"arp-timeout", 35, FORMAT_U32},
    {"ethernet-encap", 36, FORMAT_BOOL},
    {"tcp-ttl", 37, FORMAT_U8},
    {"tcp-keepalive", 38, FORMAT_U32},
    {"nis-domain", 40, FORMAT_TEXT},
    {"nis-server", 41, FORMAT_ADDRESSES},
    {"ntp-server", 42, FORMAT_ADDRESSES},
    {"vendor-encap", 43, FORMAT_GUESS},
    {"netbios-ns", 44, FORMAT_ADDRESSES},
    {"netbios-dd", 45, FORMAT_ADDRESSES},
    {"netbios-nodetype", 46, FORMAT_U8},
    {"netbios-scope", 47, FORMAT_TEXT},
    {"x-windows-fs", 48, FORMAT_ADDRESSES},
    {"x-windows-dm", 49, FORMAT_ADDRESSES},
    {"requested-address", 50, FORMAT_SERVER},
    {"lease-time", 51, FORMAT_U32},
    {"option-overload", 52, FORMAT_SERVER},
    {"message-type", 53, FORMAT_SERVER},
    {"server-identifier", 54, FORMAT_SERVER},
    {"parameter-request", 55, FORMAT_SERVER},
    {"message", 56, FORMAT_SERVER},
    {"max-message-size", 57, FORMAT_SERVER},
    {"T1", 58, FORMAT_U32},
    {"T2", 59, FORMAT_U32},
    {"vendor-class", 60, FORMAT_TEXT},
    {"client-id", 61, FORMAT_SERVER},
    {"nis+-domain", 64, FORMAT_TEXT},
    {"nis+-server", 65, FORMAT_ADDRESSES},
    {"tftp-server", 66, FORMAT_TEXT},
    {"bootfile-name", 67, FORMAT_TEXT},
    {"mobile-ip-home", 68, FORMAT_ADDRESSES},
    {"smtp-server", 69, FORMAT_ADDRESSES},
    {"pop3-server", 70, FORMAT_ADDRESSES},
    {"nntp-server", 71, FORMAT_ADDRESSES},
    {"irc-server", 74, FORMAT_ADDRESSES},
    {"user-class", 77, FORMAT_TEXT},
    {"rapid-commit", 80, FORMAT_SERVER},
    {"FQDN", 81, FORMAT_SERVER},
    {"agent-id", 82, FORMAT_SERVER},
    {"client-arch", 93, FORMAT_U16},
    {"posix-timezone", 100, FORMAT_TEXT},
    {"tzdb-timezone", 101, FORMAT_TEXT},
    {"ipv6-only", 108, FORMAT_U32},
    {"captive-portal", 114, FORMAT_TEXT},
    {"subnet-select", 118, FORMAT_SERVER},
    {"domain-search", 119, FORMAT_NAMES},
    {"sip-server", 120, FORMAT_SIP},
    {"classless-static-route", 121, FORMAT_ROUTES},
    {"vendor-id-encap", 125, FORMAT_GUESS},
    {"tftp-server-address", 150, FORMAT_ADDRESSES},
    {"ms-classless-static-route", 249, FORMAT_ROUTES},
    {"wpad", 252, FORMAT_TEXT},
    {"server-ip-address", DHCP4_NEXT_SERVER, FORMAT_ADDRESS},
};

static const struct option_name options6[] = {
    {"client-id", 1, FORMAT_SERVER},
    {"server-id", 2, FORMAT_SERVER},
    {"ia-na", 3, FORMAT_SERVER},
    {"ia-ta", 4, FORMAT_SERVER},
    {"iaaddr", 5, FORMAT_SERVER},
    {"oro", 6, FORMAT_SERVER},
    {"preference", 7, FORMAT_SERVER},
    {"elapsed-time", 8, FORMAT_SERVER},
    {"relay-message", 9, FORMAT_SERVER},
    {"auth", 11, FORMAT_SERVER},
    {"unicast", 12, FORMAT_SERVER},
    {"status", 13, FORMAT_SERVER},
    {"rapid-commit", 14, FORMAT_SERVER},
    {"user-class", 15, FORMAT_GUESS},
    {"vendor-class", 16, FORMAT_GUESS},
    {"vendor-opts", 17, FORMAT_GUESS},
    {"reconfigure", 19, FORMAT_SERVER},
    {"reconfigure-accept", 20, FORMAT_SERVER},
    {"sip-server-domain", 21, FORMAT_NAMES},
    {"sip-server", 22, FORMAT_ADDRESSES},
    {"dns-server", 23, FORMAT_ADDRESSES},
    {"domain-search", 24, FORMAT_NAMES},
    {"ia-pd", 25, FORMAT_SERVER},
    {"ia-prefix", 26, FORMAT_SERVER},
    {"nis-server", 27, FORMAT_ADDRESSES},
    {"nis+-server", 28, FORMAT_ADDRESSES},
    {"nis-domain", 29, FORMAT_NAMES},
    {"nis+-domain", 30, FORMAT_NAMES},
    {"sntp-server", 31, FORMAT_ADDRESSES},
    {"information-refresh-time", 32, FORMAT_U32},
    {"FQDN", 39, FORMAT_SERVER},
    {"posix-timezone", 41, FORMAT_TEXT},
    {"tzdb-timezone", 42, FORMAT_TEXT},
    {"ntp-server", 56, FORMAT_NTP6},
    {"bootfile-url", 59, FORMAT_TEXT},
    {"bootfile-param", 60, FORMAT_TEXTS6},
    {"client-arch", 61, FORMAT_SERVER},
    {"captive-portal", 103, FORMAT_TEXT},
};

/* Calls 'write' with each part of a comma-separated list, blanks around it cut off. */
static int for_each_part(const char *text, int (*write)(struct writer *, const char *), struct writer *writer)
{
    char part[DHCP_OPTION_MAX + 1];
    do {
        size_t length = strcspn(text, ",");
        const char *next = text[length] ? text + length + 1 : NULL;
        while (length && isspace((unsigned char)*text))
            text++, length--;
        while (length && isspace((unsigned char)text[length - 1]))
            length--;
        if (length == 0 || length >= sizeof(part))
            return -EINVAL;
        memcpy(part, text, length);
        part[length] = '\0';
        int error = write(writer, part);
        if (error < 0)
            return error;
        text = next;
    } while (text);
    return 0;
}

static int write_address4(struct writer *writer, const char *text)
{
    struct ip_address address;
    if (ip_parse(text, &address) < 0 || !ip_is_v4(&address))
        return -EINVAL;
    writer_bytes(writer, address.bytes + 12, 4);
    return 0;
}

static int write_address6(struct writer *writer, const char *text)
{
    char bare[IP_TEXT_SIZE];
    size_t length = strlen(text);
    struct ip_address address;
    if (*text == '[' && length > 2 && text[length - 1] == ']' && length - 2 < sizeof(bare)) { /* dnsmasq's way. */
        memcpy(bare, text + 1, length - 2);
        bare[length - 2] = '\0';
        text = bare;
    }
    if (ip_parse(text, &address) < 0 || ip_is_v4(&address))
        return -EINVAL;
    writer_bytes(writer, address.bytes, 16);
    return 0;
}

/* "10.0.0.0/8": the descriptor of RFC 3442, only the significant bytes.  A next hop follows as an address. */
static int write_route_part(struct writer *writer, const char *text)
{
    struct ip_prefix prefix;
    if (!strchr(text, '/'))
        return write_address4(writer, text);
    if (prefix_parse(text, &prefix) < 0 || !ip_is_v4(&prefix.address))
        return -EINVAL;
    writer_u8(writer, prefix.length);
    writer_bytes(writer, prefix.address.bytes + 12, (prefix.length + 7u) / 8);
    return 0;
}

static int write_text6(struct writer *writer, const char *text)
{
    writer_u16(writer, (uint16_t)strlen(text));
    writer_bytes(writer, text, strlen(text));
    return 0;
}

static int write_ntp6(struct writer *writer, const char *text)
{
    struct ip_address address;
    if (write_address6(&(struct writer){.overflow = true}, text) == 0 || ip_parse(text, &address) == 0) {
        writer_u16(writer, ip_parse(text, &address) == 0 && ip_is_multicast(&address) ? 2 : 1);
        writer_u16(writer, 16);
        return write_address6(writer, text);
    }
    writer_u16(writer, 3); /* NTP_SUBOPTION_SRV_FQDN */
    uint8_t *size = writer_take(writer, 2);
    size_t start = writer->size;
    int error = writer_domain(writer, text);
    if (error == 0 && size)
        put_be16(size, (uint16_t)(writer->size - start));
    return error;
}

/* "aa:bb:c" as bytes; at least two of them, so that a plain number stays one. */
static int write_hex(struct writer *writer, const char *text)
{
    if (!strchr(text, ':') || *text == ':')
        return -EINVAL;
    while (*text) {
        char *end;
        if (!isxdigit((unsigned char)*text))
            return -EINVAL;
        unsigned long byte = strtoul(text, &end, 16);
        if (byte > 255 || end - text > 2 || (*end && *end != ':') || (*end && !end[1]))
            return -EINVAL;
        writer_u8(writer, (uint8_t)byte);
        text = *end ? end + 1 : end;
    }
    return 0;
}

static int write_number(struct writer *writer, const char *text, unsigned int size)
{
    uint64_t value, maximum = size == 4 ? UINT32_MAX : size == 2 ? UINT16_MAX : UINT8_MAX;
    if (size == 4 && streq(text, "infinite"))
        value = UINT32_MAX;
    else if (size == 4 && *text == '-') { /* time-offset (RFC 2132, 3.4) is signed. */
        if (parse_u64(text + 1, 0, (uint64_t)INT32_MAX + 1, &value) < 0)
            return -EINVAL;
        value = (uint32_t)-value;
    } else if (parse_u64(text, 0, maximum, &value) < 0)
        return -EINVAL;
    if (size == 4)
        writer_u32(writer, (uint32_t)value);
    else if (size == 2)
        writer_u16(writer, (uint16_t)value);
    else
        writer_u8(writer, (uint8_t)value);
    return 0;
}

static int write_guess(struct writer *writer, const char *text, uint8_t ip_version)
{
    size_t start = writer->size;
    uint64_t value;
    if (for_each_part(text, ip_version == 6 ? write_address6 : write_address4, writer) == 0)
        return 0;
    writer->size = start;
    if (write_hex(writer, text) == 0)
        return 0;
    writer->size = start;
    if (parse_u64(text, 0, UINT32_MAX, &value) == 0)
        return write_number(writer, text, value > UINT16_MAX ? 4 : value > UINT8_MAX ? 2 : 1);
    writer_bytes(writer, text, strlen(text));
    return 0;
}

static int write_sip(struct writer *writer, const char *text)
{
    uint8_t *encoding = writer_take(writer, 1);
    size_t start = writer->size;
    if (for_each_part(text, write_address4, writer) == 0) {
        if (encoding)
            *encoding = 1;
        return 0;
    }
    writer->size = start;
    return for_each_part(text, writer_domain, writer);
}

static int write_value(struct writer *writer, const char *text, enum format format, uint8_t ip_version)
{
    switch (format) {
    case FORMAT_GUESS:
        return write_guess(writer, text, ip_version);
    case FORMAT_ADDRESS:
        return ip_version == 6 ? write_address6(writer, text) : write_address4(writer, text);
    case FORMAT_ADDRESSES:
        return for_each_part(text, ip_version == 6 ? write_address6 : write_address4, writer);
    case FORMAT_PAIRS: {
        int error = for_each_part(text, write_address4, writer);
        return error < 0 || writer->size % 8 == 0 || writer->overflow ? error : -EINVAL;
    }
    case FORMAT_TEXT:
        writer_bytes(writer, text, strlen(text));
        return 0;
    case FORMAT_U8:
        return write_number(writer, text, 1);
    case FORMAT_U16:
        return write_number(writer, text, 2);
    case FORMAT_U32:
        return write_number(writer, text, 4);
    case FORMAT_BOOL:
        if (!strcasecmp(text, "true") || streq(text, "1"))
            writer_u8(writer, 1);
        else if (!strcasecmp(text, "false") || streq(text, "0"))
            writer_u8(writer, 0);
        else
            return -EINVAL;
        return 0;
    case FORMAT_NAMES:
        return for_each_part(text, writer_domain, writer);
    case FORMAT_ROUTES: {
        /* Destinations and next hops take turns. */
        bool prefix_next = true;
        for (const char *at = text; at; at = strchr(at, ',') ? strchr(at, ',') + 1 : NULL, prefix_next = !prefix_next)
            if (!memchr(at, '/', strcspn(at, ",")) == prefix_next)
                return -EINVAL;
        return prefix_next ? for_each_part(text, write_route_part, writer) : -EINVAL;
    }
    case FORMAT_SIP:
        return write_sip(writer, text);
    case FORMAT_NTP6:
        return for_each_part(text, write_ntp6, writer);
    case FORMAT_TEXTS6:
        return for_each_part(text, write_text6, writer);
    case FORMAT_SERVER:
        break;
    }
    return -EINVAL;
}

int dhcp_option_encode(uint8_t ip_version, const char *name, const char *value, struct dhcp_option *ret,
                       struct error *error)
{
    const struct option_name *options = ip_version == 6 ? options6 : options4;
    size_t n_options = ip_version == 6 ? ARRAY_SIZE(options6) : ARRAY_SIZE(options4);
    const char *bare = name, *prefix = ip_version == 6 ? "option6:" : "option:";
    if (strncmp(bare, prefix, strlen(prefix)) == 0)
        bare += strlen(prefix);

    uint64_t number = 0;
    bool numeric = parse_u64(bare, 1, ip_version == 6 ? UINT16_MAX : 254, &number) == 0;
    struct option_name found = {.name = bare, .code = (uint16_t)number, .format = FORMAT_GUESS};
    bool known = numeric;
    for (size_t i = 0; i < n_options; i++)
        if (numeric ? options[i].code == number : !strcasecmp(options[i].name, bare)) {
            found = options[i];
            known = true;
            break;
        }
    if (!known)
        return error_set(error, -EINVAL, "opt_name", "'%s' is not the name or number of a DHCPv%u option", name,
                         ip_version);
    if (found.format == FORMAT_SERVER)
        return error_set(error, -EINVAL, "opt_name", "'%s' is set by the server itself", name);

    struct dhcp_option option = {.code = found.code};
    struct writer writer = writer_of(option.data, sizeof(option.data));
    if (write_value(&writer, value, found.format, ip_version) < 0)
        return error_set(error, -EINVAL, "opt_value", "'%s' is not a value of the option '%s'", value, name);
    if (writer.overflow)
        return error_set(error, -EINVAL, "opt_value", "'%.64s...' is longer than %d bytes", value, DHCP_OPTION_MAX);
    option.size = (uint16_t)writer.size;
    *ret = option;
    return 0;
}
