/* Random messages that make sense; see describe.h. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "describe.h"
#include "weft/base/util.h"

/* splitmix64 (Steele, Lea, Flood: Fast Splittable Pseudorandom Number Generators, 2014). */
uint64_t random_u64(struct random *random)
{
    uint64_t z = random->state += 0x9e3779b97f4a7c15;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return z ^ z >> 31;
}

uint32_t random_below(struct random *random, uint32_t limit)
{
    return (uint32_t)(random_u64(random) % limit);
}

static bool chance(struct random *random)
{
    return random_u64(random) & 1;
}

static uint8_t random_u8(struct random *random)
{
    return (uint8_t)random_u64(random);
}

static uint16_t random_u16(struct random *random)
{
    return (uint16_t)random_u64(random);
}

static uint32_t random_u32(struct random *random)
{
    return (uint32_t)random_u64(random);
}

static void fill(struct random *random, void *into, size_t size)
{
    for (size_t i = 0; i < size; i++)
        ((uint8_t *)into)[i] = random_u8(random);
}

static struct mac_address random_mac(struct random *random)
{
    struct mac_address mac;
    fill(random, &mac, sizeof(mac));
    return mac;
}

static uint32_t random_port(struct random *random, enum of_version version)
{
    static const uint32_t reserved[] = {OFPP_IN_PORT, OFPP_TABLE, OFPP_NORMAL,     OFPP_FLOOD, OFPP_ALL,
                                        OFPP_LOCAL,   OFPP_ANY,   OFPP_CONTROLLER, OFPP_MAX};
    if (random_below(random, 4) == 0)
        return reserved[random_below(random, ARRAY_SIZE(reserved))];
    return 1 + random_below(random, version == OF10 ? 0xfeff : 0xfffffeff);
}

/* Bytes in the arena, and a writer for a list in it; its size is known when it is closed. */
static struct of_bytes random_bytes(struct random *random, struct arena *arena, size_t size)
{
    struct of_bytes ret = {arena->bytes + arena->used, size};
    if (size > sizeof(arena->bytes) - arena->used)
        abort();
    fill(random, arena->bytes + arena->used, size);
    arena->used += size;
    return ret;
}

static struct writer open_list(struct arena *arena)
{
    return writer_of(arena->bytes + arena->used, sizeof(arena->bytes) - arena->used);
}

static struct of_bytes close_list(struct arena *arena, const struct writer *writer)
{
    if (writer->overflow)
        abort();
    arena->used += writer->size;
    return (struct of_bytes){writer->data, writer->size};
}

static void check(int result)
{
    if (result < 0)
        abort();
}

/* ---- matches --------------------------------------------------------------------------------------------------- */

static void exact_address(struct random *random, bool v4, struct ip_address *address, struct ip_address *mask)
{
    if (v4)
        *address = ip_from_v4(random_u32(random));
    else
        fill(random, address->bytes, 16);
    memset(mask->bytes, 0xff, 16);
}

/* With a prefix, or in 1.3 also with any mask; bits outside it are zero, as they are after decoding. */
static void random_address(struct random *random, enum of_version version, bool v4, struct ip_address *address,
                           struct ip_address *mask)
{
    unsigned shape = random_below(random, version == OF10 ? 2 : 3), first = v4 ? 96 : 0;
    exact_address(random, v4, address, mask);
    if (shape == 0)
        return;
    unsigned length = first + 1 + random_below(random, 128 - first);
    for (unsigned bit = first; bit < 128; bit++)
        if (shape == 1 ? bit >= length : (bit != 127 && chance(random)))
            mask->bytes[bit / 8] &= (uint8_t) ~(0x80 >> bit % 8);
    for (unsigned i = 0; i < 16; i++)
        address->bytes[i] &= mask->bytes[i];
    if (v4) /* The mapped form's own bits do not go away. */
        address->bytes[10] = address->bytes[11] = 0xff;
}

static void random_mac_field(struct random *random, enum of_version version, struct mac_address *mac, struct mac_address *mask)
{
    *mac = random_mac(random);
    memset(mask, 0xff, sizeof(*mask));
    if (version == OF10 || chance(random))
        return;
    for (int i = 0; i < 6; i++) {
        mask->bytes[i] = i == 0 ? 0x81 : random_u8(random);
        mac->bytes[i] &= mask->bytes[i];
    }
}

static void random_transport(struct random *random, enum of_version version, struct of_match *match)
{
    static const uint8_t protocols[] = {6, 17, 132, 1, 58, 47};
    bool v6 = match->eth_type == 0x86dd;
    match->fields |= OFM_IP_PROTO;
    match->ip_proto = protocols[random_below(random, ARRAY_SIZE(protocols))];
    if (match->ip_proto == 6 || match->ip_proto == 17 || match->ip_proto == 132) {
        match->fields |= OFM_TP_SRC | (chance(random) ? OFM_TP_DST : 0);
        match->tp_src = random_u16(random);
        match->tp_dst = match->fields & OFM_TP_DST ? random_u16(random) : 0;
    } else if (match->ip_proto == (v6 ? 58 : 1)) {
        match->fields |= OFM_ICMP_TYPE | OFM_ICMP_CODE;
        match->icmp_type = random_u8(random);
        match->icmp_code = random_u8(random);
        if (v6 && chance(random)) {
            match->icmp_type = chance(random) ? 135 : 136;
            match->fields |= OFM_ND_TARGET;
            fill(random, match->nd_target.bytes, 16);
        }
    }
}

static void random_ip(struct random *random, enum of_version version, struct of_match *match)
{
    bool v4 = match->eth_type == 0x0800;
    if (chance(random)) {
        match->fields |= OFM_IP_DSCP;
        match->ip_dscp = random_below(random, 64);
    }
    if (version == OF13 && chance(random)) {
        match->fields |= OFM_IP_ECN;
        match->ip_ecn = random_below(random, 4);
    }
    if (chance(random)) {
        match->fields |= OFM_IP_SRC;
        random_address(random, version, v4, &match->ip_src, &match->ip_src_mask);
    }
    if (chance(random)) {
        match->fields |= OFM_IP_DST;
        random_address(random, version, v4, &match->ip_dst, &match->ip_dst_mask);
    }
    if (chance(random))
        random_transport(random, version, match);
}

static void random_arp(struct random *random, enum of_version version, struct of_match *match)
{
    match->fields |= OFM_ARP_OP | OFM_ARP_SPA | OFM_ARP_TPA;
    match->arp_op = version == OF10 ? random_u8(random) : random_u16(random);
    random_address(random, version, true, &match->ip_src, &match->ip_src_mask);
    random_address(random, version, true, &match->ip_dst, &match->ip_dst_mask);
}

/* A register of Nicira's, a masked TCP port or the like, among the fields that they need. */
static void random_others(struct random *random, struct of_match *match, struct arena *arena)
{
    struct writer writer = open_list(arena);
    if (chance(random)) {
        writer_u32(&writer, 0x00010004); /* NXM_NX_REG0. */
        writer_u32(&writer, random_u32(random));
    }
    if (match->eth_type == 0x0806) {
        writer_u32(&writer, 0x80003006); /* ARP_SHA. */
        for (int i = 0; i < 6; i++)
            writer_u8(&writer, random_u8(random));
    } else if (match->eth_type == 0x86dd) {
        writer_u32(&writer, 0x80003908); /* IPV6_FLABEL, masked. */
        writer_u32(&writer, 0x00012300);
        writer_u32(&writer, 0x000fff00);
    }
    if (writer.size == 0) {
        writer_u32(&writer, 0xffff0a08); /* An experimenter's. */
        writer_u32(&writer, 0x4f4e4600);
        writer_u32(&writer, random_u32(random));
    }
    match->fields |= OFM_OTHER;
    match->others = close_list(arena, &writer);
}

static void random_link13(struct random *random, struct of_match *match)
{
    if (chance(random)) {
        match->fields |= OFM_METADATA;
        match->metadata_mask = chance(random) ? UINT64_MAX : random_u64(random) | 1;
        match->metadata = random_u64(random) & match->metadata_mask;
    }
    if (chance(random)) {
        match->fields |= OFM_TUNNEL_ID;
        match->tunnel_id_mask = chance(random) ? UINT64_MAX : random_u64(random) | 1;
        match->tunnel_id = random_u64(random) & match->tunnel_id_mask;
    }
    if ((match->fields & OFM_IN_PORT) && chance(random)) {
        match->fields |= OFM_IN_PHY_PORT;
        match->in_phy_port = random_u32(random);
    }
}

static struct of_match random_match(struct random *random, enum of_version version, struct arena *arena)
{
    static const uint16_t types[] = {0x0800, 0x86dd, 0x0806, 0x8847, 0x88cc};
    struct of_match match = {0};
    if (chance(random)) {
        match.fields |= OFM_IN_PORT;
        match.in_port = random_port(random, version);
    }
    if (chance(random)) {
        match.fields |= OFM_ETH_DST;
        random_mac_field(random, version, &match.eth_dst, &match.eth_dst_mask);
    }
    if (chance(random)) {
        match.fields |= OFM_ETH_SRC;
        random_mac_field(random, version, &match.eth_src, &match.eth_src_mask);
    }
    if (chance(random)) {
        match.fields |= OFM_VLAN_VID;
        match.vlan_vid = chance(random) ? OF_NO_VLAN : random_below(random, 4096);
        if (match.vlan_vid != OF_NO_VLAN && chance(random)) {
            match.fields |= OFM_VLAN_PCP;
            match.vlan_pcp = random_below(random, 8);
        }
    }
    if (chance(random)) {
        match.fields |= OFM_ETH_TYPE;
        match.eth_type = types[random_below(random, ARRAY_SIZE(types))];
        if (match.eth_type == 0x0800 || (match.eth_type == 0x86dd && version == OF13))
            random_ip(random, version, &match);
        else if (match.eth_type == 0x0806)
            random_arp(random, version, &match);
        else if (match.eth_type == 0x8847 && version == OF13) {
            match.fields |= OFM_MPLS_LABEL;
            match.mpls_label = random_below(random, 1 << 20);
        }
    }
    if (version == OF13) {
        random_link13(random, &match);
        if (chance(random))
            random_others(random, &match, arena);
    }
    return match;
}

/* ---- actions, instructions, buckets ---------------------------------------------------------------------------- */

static void put_random_action(struct random *random, enum of_version version, enum of_action_kind kind, struct writer *list)
{
    static const uint8_t protocols[] = {6, 17, 132};
    static const uint8_t other10[16] = {0xff, 0xff, 0, 16, 0, 0, 0x12, 0x34, 1, 2, 3, 4, 5, 6, 7, 8};
    static const uint8_t other13[8] = {0, 23, 0, 8, 64}; /* SET_NW_TTL. */
    uint16_t ports[10];
    struct of_action action = {.kind = kind, .port = random_port(random, version), .max_len = random_u16(random),
                               .id = random_u32(random), .number = random_u16(random), .protocol = protocols[random_below(random, 3)],
                               .basis = random_u16(random), .ports = ports, .n_ports = random_below(random, ARRAY_SIZE(ports)),
                               .mac = random_mac(random)};
    if (kind == OFA_SET_VLAN_VID)
        action.number &= 0xfff;
    action.byte = random_below(random, kind == OFA_SET_VLAN_PCP ? 8 : 64);
    fill(random, ports, sizeof(ports));
    if (version == OF10 || chance(random))
        action.ip = ip_from_v4(random_u32(random));
    else
        fill(random, action.ip.bytes, 16);
    action.wire = version == OF10 ? (struct of_bytes){other10, sizeof(other10)} : (struct of_bytes){other13, sizeof(other13)};
    check(of_action_put(version, list, &action));
}

static void put_random_actions(struct random *random, enum of_version version, struct writer *list)
{
    uint32_t n = random_below(random, 5);
    for (uint32_t i = 0; i < n; i++) {
        enum of_action_kind kind = 1 + random_below(random, OFA_OTHER);
        if (version == OF10 && (kind == OFA_GROUP || kind == OFA_PUSH_VLAN))
            kind = OFA_OUTPUT;
        put_random_action(random, version, kind, list);
    }
}

static struct of_bytes random_actions(struct random *random, enum of_version version, struct arena *arena)
{
    struct writer writer = open_list(arena);
    put_random_actions(random, version, &writer);
    return close_list(arena, &writer);
}

static struct of_instructions random_instructions(struct random *random, enum of_version version, struct arena *arena)
{
    struct of_instructions ret = {.goto_table = OF_NO_TABLE, .apply_actions = random_actions(random, version, arena)};
    if (version == OF10)
        return ret;
    if (chance(random))
        ret.write_actions = random_actions(random, version, arena);
    ret.clear_actions = chance(random);
    if (chance(random))
        ret.goto_table = 1 + random_below(random, 254);
    if (chance(random)) {
        ret.metadata = random_u64(random);
        ret.metadata_mask = random_u64(random) | 1;
    }
    ret.meter = chance(random) ? 1 + random_below(random, 1000) : 0;
    if (chance(random)) {
        struct writer writer = open_list(arena);
        writer_u32(&writer, 0xffff0010);
        writer_u32(&writer, 0x4f4e4600);
        writer_u64(&writer, random_u64(random));
        ret.others = close_list(arena, &writer);
    }
    return ret;
}

static struct of_bytes random_buckets(struct random *random, struct arena *arena)
{
    uint8_t actions[1024], all[6 * 1100];
    struct writer list = writer_of(all, sizeof(all));
    uint32_t n = random_below(random, 6);
    for (uint32_t i = 0; i < n; i++) {
        struct writer writer = writer_of(actions, sizeof(actions));
        put_random_actions(random, OF13, &writer);
        struct of_bucket bucket = {.weight = random_u16(random), .watch_port = random_port(random, OF13),
                                   .watch_group = chance(random) ? OFPG_ANY : random_u32(random),
                                   .actions = {actions, writer.size}};
        check(of_bucket_put(OF13, &list, &bucket));
    }
    struct writer writer = open_list(arena);
    writer_bytes(&writer, all, list.size);
    return close_list(arena, &writer);
}

/* What 1.0 leaves to be concluded from the bits of the rates, which are in pairs of half and full duplex. */
static uint32_t fastest_kbps(uint32_t features)
{
    return features & 0x40 ? 10000000 : features & 0x30 ? 1000000 : features & 0x0c ? 100000 : features & 0x03 ? 10000 : 0;
}

static struct of_port random_port_description(struct random *random, enum of_version version)
{
    struct of_port port = {.number = random_port(random, version), .mac = random_mac(random),
                           .config = random_u32(random) & (OFPPC_PORT_DOWN | OFPPC_NO_RECV | OFPPC_NO_FWD | OFPPC_NO_PACKET_IN)};
    uint32_t features = version == OF10 ? 0xf87f : 0xffff;
    snprintf(port.name, sizeof(port.name), "eth%u", random_u32(random));
    port.state = random_u32(random) & (version == OF10 ? OFPPS_LINK_DOWN | OFPPS_BLOCKED : 7);
    port.current = random_u32(random) & features;
    port.advertised = random_u32(random) & features;
    port.supported = random_u32(random) & features;
    port.peer = random_u32(random) & features;
    port.current_kbps = version == OF10 ? fastest_kbps(port.current) : random_u32(random);
    port.maximum_kbps = version == OF10 ? fastest_kbps(port.supported) : random_u32(random);
    return port;
}

static struct of_bytes random_ports(struct random *random, enum of_version version, struct arena *arena)
{
    struct writer writer = open_list(arena);
    uint32_t n = random_below(random, 6);
    for (uint32_t i = 0; i < n; i++) {
        struct of_port port = random_port_description(random, version);
        check(of_port_put(version, &writer, &port));
    }
    return close_list(arena, &writer);
}

/* ---- multipart ------------------------------------------------------------------------------------------------- */

static struct of_bytes random_flows(struct random *random, enum of_version version, struct arena *arena)
{
    static uint8_t all[16384];
    struct writer list = writer_of(all, sizeof(all));
    uint32_t n = random_below(random, 4);
    for (uint32_t i = 0; i < n; i++) {
        struct of_flow_stats stats = {.table_id = random_u8(random), .duration_s = random_u32(random),
                                      .duration_ns = random_u32(random), .priority = random_u16(random),
                                      .idle_timeout_s = random_u16(random), .hard_timeout_s = random_u16(random),
                                      .flags = version == OF10 ? 0 : random_u16(random), .cookie = random_u64(random),
                                      .packets = random_u64(random), .bytes = random_u64(random),
                                      .match = random_match(random, version, arena),
                                      .instructions = random_instructions(random, version, arena)};
        check(of_flow_stats_put(version, &list, &stats));
    }
    struct writer writer = open_list(arena);
    writer_bytes(&writer, all, list.size);
    return close_list(arena, &writer);
}

/* Elements that the codec leaves as they are, one of each. */
static struct of_bytes fixed(struct random *random, enum of_version version, uint16_t type, struct arena *arena)
{
    struct writer writer = open_list(arena);
    switch (type) {
    case OFMP_QUEUE:
        for (int i = 0; i < (version == OF10 ? 32 : 40); i++)
            writer_u8(&writer, random_u8(random));
        break;
    case OFMP_GROUP_FEATURES:
        for (int i = 0; i < 10; i++)
            writer_u32(&writer, random_u32(random));
        break;
    case OFMP_METER:
        writer_u32(&writer, random_u32(random));
        writer_u16(&writer, 56);
        writer_take(&writer, 50);
        break;
    case OFMP_METER_CONFIG:
        writer_u16(&writer, 24);
        writer_u16(&writer, 1);
        writer_u32(&writer, random_u32(random));
        writer_u32(&writer, 0x00010010);
        writer_u32(&writer, random_u32(random));
        writer_take(&writer, 8);
        break;
    case OFMP_METER_FEATURES:
        for (int i = 0; i < 4; i++)
            writer_u32(&writer, random_u32(random));
        break;
    case OFMP_TABLE_FEATURES:
        writer_u16(&writer, 72);
        writer_take(&writer, 62);
        writer_u32(&writer, 0x00020005); /* OFPTFPT_NEXT_TABLES of 5 bytes, padded to 8. */
        writer_u32(&writer, random_u32(random) & 0xff000000);
        break;
    default:
        writer_u32(&writer, 0x4f4e4600);
        writer_u32(&writer, random_u32(random));
        writer_u32(&writer, random_u32(random));
    }
    return close_list(arena, &writer);
}

static void random_text(struct random *random, char *into, size_t size)
{
    size_t length = random_below(random, (uint32_t)size);
    for (size_t i = 0; i < length; i++)
        into[i] = (char)(' ' + random_below(random, 95));
}

static void put_random_stats(struct random *random, enum of_version version, uint16_t type, struct writer *writer)
{
    if (type == OFMP_TABLE) {
        struct of_table_stats stats = {random_u8(random), random_u32(random), random_u64(random), random_u64(random),
                                       version == OF10 ? random_u32(random) : 0};
        check(of_table_stats_put(version, writer, &stats));
    } else if (type == OFMP_PORT_STATS) {
        struct of_port_stats stats;
        uint64_t *counter = &stats.rx_packets;
        for (int i = 0; i < 12; i++)
            counter[i] = random_u64(random);
        stats.number = random_port(random, version);
        stats.duration_s = version == OF10 ? 0 : random_u32(random);
        check(of_port_stats_put(version, writer, &stats));
    } else {
        uint8_t counters[32];
        fill(random, counters, sizeof(counters));
        struct of_group_stats stats = {.group_id = random_u32(random), .n_references = random_u32(random),
                                       .duration_s = random_u32(random), .duration_ns = random_u32(random),
                                       .packets = random_u64(random), .bytes = random_u64(random),
                                       .buckets = {counters, 16 * random_below(random, 3)}};
        check(of_group_stats_put(version, writer, &stats));
    }
}

static struct of_bytes random_group_descs(struct random *random, struct arena *arena)
{
    static uint8_t all[32768];
    struct writer list = writer_of(all, sizeof(all));
    uint32_t n = random_below(random, 3);
    for (uint32_t i = 0; i < n; i++) {
        struct of_group_desc desc = {.type = random_below(random, 4), .group_id = random_u32(random),
                                     .buckets = random_buckets(random, arena)};
        check(of_group_desc_put(OF13, &list, &desc));
    }
    struct writer writer = open_list(arena);
    writer_bytes(&writer, all, list.size);
    return close_list(arena, &writer);
}

static struct of_bytes random_body(struct random *random, enum of_version version, uint16_t type, struct arena *arena)
{
    struct of_desc desc = {0};
    struct writer writer;
    uint32_t n = random_below(random, 4);
    switch (type) {
    case OFMP_FLOW:
        return random_flows(random, version, arena);
    case OFMP_PORT_DESC:
        return random_ports(random, version, arena);
    case OFMP_GROUP_DESC:
        return random_group_descs(random, arena);
    case OFMP_DESC:
        random_text(random, desc.manufacturer, sizeof(desc.manufacturer));
        random_text(random, desc.hardware, sizeof(desc.hardware));
        random_text(random, desc.software, sizeof(desc.software));
        random_text(random, desc.serial, sizeof(desc.serial));
        random_text(random, desc.datapath, sizeof(desc.datapath));
        writer = open_list(arena);
        check(of_desc_put(&writer, &desc));
        return close_list(arena, &writer);
    case OFMP_AGGREGATE:
        writer = open_list(arena);
        check(of_aggregate_put(&writer, &(struct of_aggregate){random_u64(random), random_u64(random), random_u32(random)}));
        return close_list(arena, &writer);
    case OFMP_TABLE:
    case OFMP_PORT_STATS:
    case OFMP_GROUP:
        writer = open_list(arena);
        for (uint32_t i = 0; i < n; i++)
            put_random_stats(random, version, type, &writer);
        return close_list(arena, &writer);
    default:
        return fixed(random, version, type, arena);
    }
}

static uint16_t random_multipart_type(struct random *random, enum of_version version)
{
    uint32_t last = version == OF10 ? OFMP_QUEUE : OFMP_PORT_DESC, type = random_below(random, last + 2);
    return type > last ? OFMP_EXPERIMENTER : (uint16_t)type;
}

static void random_request(struct random *random, enum of_version version, struct arena *arena,
                           struct of_multipart_request *ret)
{
    ret->type = random_multipart_type(random, version);
    if (ret->type == OFMP_FLOW || ret->type == OFMP_AGGREGATE) {
        ret->flow = (struct of_flow_request){.table_id = random_u8(random), .out_port = random_port(random, version),
                                             .out_group = version == OF10 ? OFPG_ANY : random_u32(random),
                                             .match = random_match(random, version, arena)};
        if (version == OF13) {
            ret->flow.cookie = random_u64(random);
            ret->flow.cookie_mask = random_u64(random);
        }
    } else if (ret->type == OFMP_PORT_STATS || ret->type == OFMP_QUEUE) {
        ret->port = random_port(random, version);
        ret->id = ret->type == OFMP_QUEUE ? random_u32(random) : 0;
    } else if (ret->type == OFMP_GROUP || ret->type == OFMP_METER || ret->type == OFMP_METER_CONFIG) {
        ret->id = random_u32(random);
    } else if (ret->type == OFMP_TABLE_FEATURES || ret->type == OFMP_EXPERIMENTER) {
        ret->body = fixed(random, version, ret->type, arena);
    }
}

/* ---- messages -------------------------------------------------------------------------------------------------- */

static void random_packet_in(struct random *random, enum of_version version, struct arena *arena, struct of_packet_in *ret)
{
    *ret = (struct of_packet_in){.buffer_id = random_u32(random), .total_len = random_u16(random), .reason = random_below(random, 3),
                                 .cookie = UINT64_MAX, .in_port = random_port(random, version)};
    if (version == OF13) {
        ret->table_id = random_u8(random);
        ret->cookie = random_u64(random);
        ret->match = random_match(random, version, arena);
    }
    ret->match.fields |= OFM_IN_PORT;
    ret->match.in_port = ret->in_port;
    ret->data = random_bytes(random, arena, random_below(random, 200));
}

static void random_flow_mod(struct random *random, enum of_version version, struct arena *arena, struct of_flow_mod *ret)
{
    *ret = (struct of_flow_mod){.cookie = random_u64(random), .command = random_below(random, 5),
                                .idle_timeout_s = random_u16(random), .hard_timeout_s = random_u16(random),
                                .priority = random_u16(random), .buffer_id = random_u32(random), .out_port = OFPP_ANY,
                                .out_group = OFPG_ANY, .match = random_match(random, version, arena),
                                .instructions = {.goto_table = OF_NO_TABLE}};
    ret->flags = random_u16(random) & (version == OF10 ? OFPFF_SEND_FLOW_REM | OFPFF_CHECK_OVERLAP | OFPFF_EMERG : 0x1f);
    if (version == OF13) {
        ret->cookie_mask = random_u64(random);
        ret->table_id = random_u8(random);
    }
    if (ret->command < OFPFC_DELETE) {
        ret->instructions = random_instructions(random, version, arena);
    } else {
        ret->out_port = random_port(random, version);
        ret->out_group = version == OF10 ? OFPG_ANY : random_u32(random);
    }
}

static void random_flow_removed(struct random *random, enum of_version version, struct arena *arena, struct of_flow_removed *ret)
{
    *ret = (struct of_flow_removed){.cookie = random_u64(random), .priority = random_u16(random),
                                    .idle_timeout_s = random_u16(random), .reason = random_below(random, 4),
                                    .duration_s = random_u32(random), .duration_ns = random_u32(random),
                                    .packets = random_u64(random), .bytes = random_u64(random),
                                    .match = random_match(random, version, arena)};
    if (version == OF13) {
        ret->table_id = random_u8(random);
        ret->hard_timeout_s = random_u16(random);
    }
}

static struct of_bytes random_queues(struct random *random, enum of_version version, bool reply, struct arena *arena)
{
    struct writer writer = open_list(arena);
    writer_u16(&writer, version == OF10 ? random_below(random, 0xff00) : 0);
    writer_u16(&writer, 0);
    if (version == OF13 || reply)
        writer_u32(&writer, 0);
    if (reply && chance(random)) {
        writer_u32(&writer, random_u32(random));
        if (version == OF13)
            writer_u32(&writer, random_u32(random));
        writer_u16(&writer, version == OF10 ? 24 : 32);
        writer_take(&writer, version == OF10 ? 2 : 6);
        writer_u32(&writer, 0x00010010); /* The least rate. */
        writer_u32(&writer, 0);
        writer_u16(&writer, random_u16(random));
        writer_take(&writer, 6);
    }
    return close_list(arena, &writer);
}

static struct of_bytes random_meter_mod(struct random *random, struct arena *arena)
{
    struct writer writer = open_list(arena);
    writer_u16(&writer, random_below(random, 3));
    writer_u16(&writer, 1);
    writer_u32(&writer, 1 + random_below(random, 1000));
    if (chance(random)) {
        writer_u32(&writer, 0x00010010);
        writer_u32(&writer, random_u32(random));
        writer_u32(&writer, random_u32(random));
        writer_u32(&writer, 0);
    }
    return close_list(arena, &writer);
}

static void random_features(struct random *random, enum of_version version, struct arena *arena, struct of_features *ret)
{
    *ret = (struct of_features){.datapath_id = random_u64(random), .n_buffers = random_u32(random), .n_tables = random_u8(random),
                                .capabilities = random_u32(random)};
    if (version == OF10) {
        ret->actions = random_u32(random);
        ret->ports = random_ports(random, version, arena);
    } else {
        ret->auxiliary_id = random_u8(random);
    }
}

bool version_has(enum of_version version, enum of_kind kind)
{
    return version == OF13 || (kind != OF_GROUP_MOD && kind != OF_TABLE_MOD && kind != OF_GET_ASYNC_REQUEST &&
                               kind != OF_GET_ASYNC_REPLY && kind != OF_SET_ASYNC && kind != OF_METER_MOD);
}

void random_message(struct random *random, enum of_version version, enum of_kind kind, struct arena *arena,
                    struct of_message *ret)
{
    arena->used = 0;
    memset(ret, 0, sizeof(*ret));
    ret->kind = kind;
    ret->xid = random_u32(random);
    switch (kind) {
    case OF_HELLO:
        ret->hello.versions = (random_u32(random) & ~1u) | 2;
        break;
    case OF_ERROR:
        ret->error = (struct of_error){random_below(random, 14), random_below(random, 15),
                                       random_bytes(random, arena, random_below(random, 64))};
        break;
    case OF_ECHO_REQUEST:
    case OF_ECHO_REPLY:
        ret->echo = random_bytes(random, arena, random_below(random, 64));
        break;
    case OF_EXPERIMENTER:
        ret->experimenter = (struct of_experimenter){0x4f4e4600 + random_below(random, 100), random_u32(random),
                                                     random_bytes(random, arena, random_below(random, 64))};
        break;
    case OF_FEATURES_REPLY:
        random_features(random, version, arena, &ret->features);
        break;
    case OF_GET_CONFIG_REPLY:
    case OF_SET_CONFIG:
        ret->config = (struct of_config){random_below(random, 4), random_u16(random)};
        break;
    case OF_PACKET_IN:
        random_packet_in(random, version, arena, &ret->packet_in);
        break;
    case OF_FLOW_REMOVED:
        random_flow_removed(random, version, arena, &ret->flow_removed);
        break;
    case OF_PORT_STATUS:
        ret->port_status = (struct of_port_status){random_below(random, 3), random_port_description(random, version)};
        break;
    case OF_PACKET_OUT:
        ret->packet_out = (struct of_packet_out){random_u32(random), random_port(random, version),
                                                 random_actions(random, version, arena), {0}};
        ret->packet_out.data = random_bytes(random, arena, random_below(random, 200));
        break;
    case OF_FLOW_MOD:
        random_flow_mod(random, version, arena, &ret->flow_mod);
        break;
    case OF_GROUP_MOD:
        ret->group_mod = (struct of_group_mod){random_below(random, 3), random_below(random, 4), random_u32(random),
                                               random_buckets(random, arena)};
        break;
    case OF_PORT_MOD:
        ret->port_mod = (struct of_port_mod){random_port(random, version), random_mac(random), random_u32(random) & 0x65,
                                             random_u32(random) & 0x65, random_u32(random) & (version == OF10 ? 0xf87f : 0xffff)};
        break;
    case OF_TABLE_MOD:
        ret->table_mod = (struct of_table_mod){random_u8(random), random_u32(random)};
        break;
    case OF_MULTIPART_REQUEST:
        random_request(random, version, arena, &ret->multipart_request);
        break;
    case OF_MULTIPART_REPLY:
        ret->multipart_reply.type = random_multipart_type(random, version);
        ret->multipart_reply.flags = random_below(random, 2);
        ret->multipart_reply.body = random_body(random, version, ret->multipart_reply.type, arena);
        break;
    case OF_QUEUE_GET_CONFIG_REQUEST:
    case OF_QUEUE_GET_CONFIG_REPLY:
        ret->body = random_queues(random, version, kind == OF_QUEUE_GET_CONFIG_REPLY, arena);
        break;
    case OF_ROLE_REQUEST:
    case OF_ROLE_REPLY:
        ret->role.role = version == OF10 ? 1 + random_below(random, 3) : random_below(random, 4);
        ret->role.generation_id = version == OF10 ? 0 : random_u64(random);
        break;
    case OF_GET_ASYNC_REPLY:
    case OF_SET_ASYNC:
        fill(random, &ret->async, sizeof(ret->async));
        break;
    case OF_METER_MOD:
        ret->body = random_meter_mod(random, arena);
        break;
    default:
        break;
    }
}
