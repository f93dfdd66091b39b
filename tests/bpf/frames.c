/* Frames from text: see frames.h. */
#include "frames.h"

#include <arpa/inet.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "weft/base/address.h"

struct builder {
    struct frame *frame;
    uint32_t base;           /* Where this Ethernet frame begins: behind the outer headers, if any. */
    uint32_t type;           /* Offset of the Ethernet type. */
    uint32_t ipv4, ipv6;     /* Offsets of headers; 0: none. */
    uint32_t next;           /* Offset of the byte that names the next protocol. */
    uint32_t udp, tcp, icmp6;
    uint32_t l4, checksum;   /* Offsets of an IPv4 packet's L4 header, and of its checksum. */
    struct { uint32_t ipv4, ipv6, l4, checksum, icmp6; } quoting; /* The ICMP error around what is being written. */
    char *rest;
};

static void fail(const char *what, const char *text)
{
    fprintf(stderr, "frame text: %s '%s'\n", what, text ? text : "(end)");
    abort();
}

static uint8_t *append(struct builder *builder, uint32_t size)
{
    uint8_t *place = builder->frame->bytes + builder->frame->size;

    if (builder->frame->size + size > FRAME_MAX)
        fail("too long", "");
    memset(place, 0, size);
    builder->frame->size += size;
    return place;
}

static void put16(uint8_t *place, unsigned value)
{
    place[0] = value >> 8;
    place[1] = value;
}

static char *word(struct builder *builder)
{
    char *found = strtok_r(NULL, " ", &builder->rest);

    if (!found)
        fail("a word is missing", NULL);
    return found;
}

/* Splits "a>b". */
static void pair(char *text, char **ret_a, char **ret_b)
{
    char *sign = strchr(text, '>');

    if (!sign)
        fail("not a pair", text);
    *sign = 0;
    *ret_a = text;
    *ret_b = sign + 1;
}

void frame_mac(const char *text, uint8_t *ret)
{
    struct mac_address mac;

    if (strlen(text) == 1) {
        static const uint8_t group[] = {0x01, 0x80, 0xc2, 0, 0, 0};
        memset(ret, 0xff, 6);
        if (*text == '!')
            memcpy(ret, group, 6);
        else if (*text != '*')
            memcpy(ret, (uint8_t[]){2, 0, 0, 0, 0, *text}, 6);
        return;
    }
    if (mac_parse(text, &mac))
        fail("not a MAC", text);
    memcpy(ret, mac.bytes, 6);
}

void frame_address(const char *text, uint8_t *ret)
{
    struct ip_address address;

    if (ip_parse(text, &address))
        fail("not an address", text);
    memcpy(ret, address.bytes, 16);
}

static void set_type(struct builder *builder, unsigned type)
{
    if (builder->type)
        put16(builder->frame->bytes + builder->type, type);
    builder->type = 0;
}

static void set_next(struct builder *builder, uint8_t protocol)
{
    if (builder->next)
        builder->frame->bytes[builder->next] = protocol;
}

static void add_ethernet(struct builder *builder, char *text)
{
    uint8_t *header = append(builder, 14);
    char *source, *destination;

    pair(text, &source, &destination);
    frame_mac(destination, header);
    frame_mac(source, header + 6);
    builder->type = builder->frame->size - 2;
}

static void add_ipv4(struct builder *builder)
{
    char *source, *destination;
    uint8_t address[16];
    uint8_t *header;

    set_type(builder, 0x0800);
    builder->ipv4 = builder->frame->size;
    header = append(builder, 20);
    header[0] = 0x45;
    header[8] = 64;
    pair(word(builder), &source, &destination);
    frame_address(source, address);
    memcpy(header + 12, address + 12, 4);
    frame_address(destination, address);
    memcpy(header + 16, address + 12, 4);
    builder->next = builder->ipv4 + 9;
}

static void add_ipv6(struct builder *builder)
{
    char *source, *destination;
    uint8_t *header;

    set_type(builder, 0x86dd);
    builder->ipv6 = builder->frame->size;
    header = append(builder, 40);
    header[0] = 0x60;
    header[7] = 64;
    pair(word(builder), &source, &destination);
    frame_address(source, header + 8);
    frame_address(destination, header + 24);
    builder->next = builder->ipv6 + 6;
}

static void add_ipv6_extension(struct builder *builder, uint8_t protocol)
{
    set_next(builder, protocol);
    builder->next = builder->frame->size;
    append(builder, 8);
}

static void set_fragment(struct builder *builder, unsigned offset, bool more)
{
    if (builder->ipv4) {
        uint8_t *field = builder->frame->bytes + builder->ipv4 + 6;
        put16(field, (field[0] << 8 | field[1]) | offset | (more ? 0x2000 : 0));
        return;
    }
    if (builder->frame->bytes[builder->next] != 44 && builder->next == builder->ipv6 + 6)
        add_ipv6_extension(builder, 44);
    uint8_t *field = builder->frame->bytes + builder->next + 2;
    put16(field, (field[0] << 8 | field[1]) | offset << 3 | more);
}

/* The L4 header begins here; ICMPv6's checksum is another function's. */
static void set_checksum(struct builder *builder, uint32_t offset)
{
    builder->l4 = builder->frame->size;
    builder->checksum = builder->l4 + offset;
}

static void add_ports(struct builder *builder, uint8_t protocol, uint32_t size)
{
    char *source, *destination;
    uint8_t *header;

    set_next(builder, protocol);
    if (protocol == 17)
        builder->udp = builder->frame->size;
    set_checksum(builder, protocol == 6 ? 16 : 6);
    header = append(builder, size);
    pair(word(builder), &source, &destination);
    if (protocol == 136)
        put16(header + 4, 8); /* The checksum covers the header. */
    put16(header, strtoul(source, NULL, 0));
    put16(header + 2, strtoul(destination, NULL, 0));
    if (protocol == 6) {
        const char *flags = word(builder);
        builder->tcp = builder->frame->size - size;
        header[14] = 0x20; /* A window of 8192. */
        header[12] = 5 << 4;
        for (; *flags; flags++)
            header[13] |= *flags == 'S' ? 2 : *flags == 'A' ? 16 : *flags == 'F' ? 1 : *flags == 'R' ? 4 : 0;
    }
}

static void set_tcp(struct builder *builder, const char *text)
{
    uint8_t *header = builder->frame->bytes + builder->tcp;
    uint32_t number = strtoul(strchr(text, '=') + 1, NULL, 0);

    if (!builder->tcp)
        fail("no TCP before", text);
    if (text[0] == 's' || text[0] == 'a') {
        put16(header + (text[0] == 's' ? 4 : 8), number >> 16);
        put16(header + (text[0] == 's' ? 6 : 10), number);
    } else if (text[1] == 'i') {
        put16(header + 14, number);
    } else { /* Behind an option that says nothing. */
        memcpy(append(builder, 4), (uint8_t[]){1, 3, 3, number}, 4);
        header[12] += 1 << 4;
    }
}

static void add_icmp(struct builder *builder, uint8_t protocol)
{
    set_next(builder, protocol);
    if (protocol == 58)
        builder->icmp6 = builder->frame->size;
    else
        set_checksum(builder, 2);
    uint8_t *header = append(builder, 8);
    header[0] = strtoul(word(builder), NULL, 0);
    put16(header + 4, strtoul(word(builder), NULL, 0));
}

static void add_discovery(struct builder *builder, uint8_t type)
{
    bool has_target = type != 133;

    set_next(builder, 58);
    builder->frame->bytes[builder->ipv6 + 7] = 255;
    builder->icmp6 = builder->frame->size;
    uint8_t *header = append(builder, has_target ? 24 : 8);
    header[0] = type;
    if (has_target)
        frame_address(word(builder), header + 8);
    const char *mac = word(builder);
    if (strcmp(mac, "-") != 0) {
        uint8_t *option = append(builder, 8);
        option[0] = type == 136 ? 2 : 1;
        option[1] = 1;
        frame_mac(mac, option + 2);
    }
}

static void add_arp(struct builder *builder)
{
    uint8_t address[16];

    set_type(builder, 0x0806);
    uint8_t *arp = append(builder, 28);
    memcpy(arp, (uint8_t[]){0, 1, 8, 0, 6, 4, 0}, 7);
    arp[7] = strcmp(word(builder), "reply") == 0 ? 2 : 1;
    frame_mac(word(builder), arp + 8);
    frame_address(word(builder), address);
    memcpy(arp + 14, address + 12, 4);
    frame_address(word(builder), address);
    memcpy(arp + 24, address + 12, 4);
}

static uint32_t sum16(const uint8_t *bytes, uint32_t size)
{
    uint32_t sum = 0;

    for (uint32_t i = 0; i + 1 < size; i += 2)
        sum += bytes[i] << 8 | bytes[i + 1];
    return size & 1 ? sum + (bytes[size - 1] << 8) : sum;
}

static uint16_t fold(uint32_t sum)
{
    while (sum >> 16)
        sum = (sum & 0xffff) + (sum >> 16);
    return ~sum;
}

static void finish_ipv4(uint8_t *bytes, uint32_t size, uint32_t ipv4, uint32_t l4, uint32_t checksum)
{
    uint8_t *header = bytes + ipv4, protocol = header[9];
    uint32_t length = size - l4, covered = protocol == 136 ? 8 : length, sum;

    put16(header + 2, size - ipv4);
    put16(header + 10, 0);
    put16(header + 10, fold(sum16(header, (header[0] & 15) * 4)));
    if (!l4 || protocol == 132)
        return;
    sum = protocol == 1 ? 0 : sum16(header + 12, 8) + protocol + length;
    sum = fold(sum + sum16(bytes + l4, covered));
    put16(bytes + checksum, sum || protocol == 6 || protocol == 1 ? sum : 0xffff);
}

static void finish_ipv6(uint8_t *bytes, uint32_t size, uint32_t ipv6, uint32_t l4, uint32_t checksum, uint8_t protocol)
{
    uint32_t length = size - l4, covered = protocol == 136 ? 8 : length, sum;

    put16(bytes + ipv6 + 4, size - ipv6 - 40);
    if (!l4 || protocol == 132)
        return;
    sum = fold(sum16(bytes + ipv6 + 8, 32) + length + protocol + sum16(bytes + l4, covered));
    put16(bytes + checksum, sum || protocol == 6 ? sum : 0xffff);
}

static void finish_icmp6(uint8_t *bytes, uint32_t size, uint32_t ipv6, uint32_t icmp6)
{
    uint32_t length = size - icmp6;

    put16(bytes + icmp6 + 2, fold(sum16(bytes + ipv6 + 8, 32) + length + 58 + sum16(bytes + icmp6, length)));
}

static void finish(struct builder *builder)
{
    uint8_t *bytes = builder->frame->bytes;
    uint32_t size = builder->frame->size;

    if (builder->udp)
        put16(bytes + builder->udp + 4, size - builder->udp);
    if (builder->ipv4)
        finish_ipv4(bytes, size, builder->ipv4, builder->l4, builder->checksum);
    if (builder->quoting.ipv4)
        finish_ipv4(bytes, size, builder->quoting.ipv4, builder->quoting.l4, builder->quoting.checksum);
    if (builder->ipv6)
        finish_ipv6(bytes, size, builder->ipv6, builder->l4, builder->checksum, builder->next ? bytes[builder->next] : 0);
    if (builder->icmp6)
        finish_icmp6(bytes, size, builder->ipv6, builder->icmp6);
    if (builder->quoting.ipv6) {
        put16(bytes + builder->quoting.ipv6 + 4, size - builder->quoting.ipv6 - 40);
        finish_icmp6(bytes, size, builder->quoting.ipv6, builder->quoting.icmp6);
    }
}

static void add_outer(struct builder *builder)
{
    struct builder outer = {.frame = builder->frame, .rest = builder->rest};
    char *source, *destination, text[8] = "O>H";
    uint8_t a[16], b[16];

    pair(word(&outer), &source, &destination);
    frame_address(source, a);
    frame_address(destination, b);
    add_ethernet(&outer, text);
    if (strchr(source, ':')) {
        set_type(&outer, 0x86dd);
        uint8_t *header = append(&outer, 40);
        memcpy(header, (uint8_t[]){0x60, 0, 0, 0, 0, 0, 17, 64}, 8);
        memcpy(header + 8, a, 16);
        memcpy(header + 24, b, 16);
    } else {
        set_type(&outer, 0x0800);
        uint8_t *header = append(&outer, 20);
        memcpy(header, (uint8_t[]){0x45, 0, 0, 0, 0, 0, 0x40, 0, 64, 17}, 10);
        memcpy(header + 12, a + 12, 4);
        memcpy(header + 16, b + 12, 4);
    }
    uint8_t *udp = append(&outer, 16);
    put16(udp, 50000);
    put16(udp + 2, 4790);
    unsigned vni = strtoul(word(&outer), NULL, 0), hops = 0, argument = 0;
    char *rest;
    unsigned kind = strtoul(word(&outer), &rest, 0);
    if (*rest == '/')
        hops = strtoul(rest + 1, &rest, 0);
    if (*rest == '/')
        argument = strtoul(rest + 1, &rest, 0);
    memcpy(udp + 8, (uint8_t[]){8, 0x10 | argument >> 16, argument >> 8, argument, vni >> 16, vni >> 8, vni, kind << 4 | hops}, 8);
    builder->rest = outer.rest;
    builder->base = builder->frame->size;
}

static void finish_outer(struct builder *builder)
{
    uint8_t *bytes = builder->frame->bytes;
    uint32_t size = builder->frame->size;

    if (!builder->base)
        return;
    if (bytes[12] == 8) {
        put16(bytes + 16, size - 14);
        put16(bytes + 24, fold(sum16(bytes + 14, 20)));
    } else {
        put16(bytes + 18, size - 54);
    }
    put16(bytes + builder->base - 12, size - (builder->base - 16));
}

static void add_word(struct builder *builder, char *text)
{
    if (strcmp(text, "vlan") == 0) {
        uint8_t *tag;
        set_type(builder, 0x8100);
        tag = append(builder, 4);
        tag[1] = 5;
        builder->type = builder->frame->size - 2;
    } else if (strncmp(text, "type=", 5) == 0) {
        set_type(builder, strtoul(text + 5, NULL, 0));
    } else if (strcmp(text, "ip") == 0) {
        add_ipv4(builder);
    } else if (strcmp(text, "ip6") == 0) {
        add_ipv6(builder);
    } else if (strncmp(text, "ttl=", 4) == 0) {
        builder->frame->bytes[builder->ipv4 ? builder->ipv4 + 8 : builder->ipv6 + 7] = strtoul(text + 4, NULL, 0);
    } else if (strcmp(text, "df") == 0) {
        builder->frame->bytes[builder->ipv4 + 6] |= 0x40;
    } else if (strncmp(text, "frag=", 5) == 0) {
        set_fragment(builder, strtoul(text + 5, NULL, 0), false);
    } else if (strcmp(text, "more") == 0) {
        set_fragment(builder, 0, true);
    } else if (strcmp(text, "options") == 0) {
        memset(append(builder, 4), 1, 4);
        builder->frame->bytes[builder->ipv4]++;
    } else if (strcmp(text, "hopopts") == 0) {
        add_ipv6_extension(builder, 0);
    } else if (strcmp(text, "udp") == 0) {
        add_ports(builder, 17, 8);
    } else if (strcmp(text, "tcp") == 0) {
        add_ports(builder, 6, 20);
    } else if (strcmp(text, "sctp") == 0) {
        add_ports(builder, 132, 12);
    } else if (strcmp(text, "udplite") == 0) {
        add_ports(builder, 136, 8);
    } else if (strcmp(text, "quote") == 0) {
        builder->quoting.ipv4 = builder->ipv4;
        builder->quoting.ipv6 = builder->ipv6;
        builder->quoting.icmp6 = builder->icmp6;
        builder->quoting.l4 = builder->l4;
        builder->quoting.checksum = builder->checksum;
        builder->ipv4 = builder->ipv6 = builder->icmp6 = builder->l4 = builder->udp = builder->next = 0;
    } else if (strncmp(text, "seq=", 4) == 0 || strncmp(text, "ack=", 4) == 0 || strncmp(text, "win=", 4) == 0 ||
               strncmp(text, "wscale=", 7) == 0) {
        set_tcp(builder, text);
    } else if (strcmp(text, "icmp") == 0) {
        add_icmp(builder, 1);
    } else if (strcmp(text, "icmp6") == 0) {
        add_icmp(builder, 58);
    } else if (strcmp(text, "proto") == 0) {
        set_next(builder, strtoul(word(builder), NULL, 0));
    } else if (strcmp(text, "ns") == 0) {
        add_discovery(builder, 135);
    } else if (strcmp(text, "na") == 0) {
        add_discovery(builder, 136);
    } else if (strcmp(text, "rs") == 0) {
        add_discovery(builder, 133);
    } else if (strcmp(text, "arp") == 0) {
        add_arp(builder);
    } else if (text[0] == '+') {
        uint32_t size = strtoul(text + 1, NULL, 0);
        uint8_t *payload = append(builder, size);
        for (uint32_t i = 0; i < size; i++)
            payload[i] = i;
    } else {
        fail("unknown word", text);
    }
}

void frame_parse(const char *text, struct frame *ret)
{
    char copy[600];
    struct builder builder = {.frame = ret};
    char *current;

    ret->size = 0;
    if (strlen(text) >= sizeof(copy))
        fail("too long", text);
    strcpy(copy, text);
    current = strtok_r(copy, " ", &builder.rest);
    if (current && strcmp(current, "outer") == 0) {
        add_outer(&builder);
        current = word(&builder);
    }
    if (!current)
        fail("empty", text);
    add_ethernet(&builder, current);
    while ((current = strtok_r(NULL, " ", &builder.rest)) && strncmp(current, "cut=", 4) != 0 &&
           strncmp(current, "set=", 4) != 0)
        add_word(&builder, current);
    finish(&builder);
    finish_outer(&builder);
    for (; current; current = strtok_r(NULL, " ", &builder.rest)) {
        char *end;
        unsigned long number = strtoul(current + 4, &end, 0);
        if (strncmp(current, "cut=", 4) == 0 && number <= ret->size)
            ret->size = number;
        else if (strncmp(current, "set=", 4) == 0 && *end == ':' && number < ret->size)
            ret->bytes[number] = strtoul(end + 1, NULL, 0);
        else
            fail("not understood here", current);
    }
}
