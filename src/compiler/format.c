/* Text of tables: see format.h. */
#include "weft/compiler/format.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "weft/base/address.h"
#include "weft/base/util.h"
#include "weft/compiler/format-tables.h"

static const char *ip_text(const __u8 address[16], char text[IP_TEXT_SIZE])
{
    struct ip_address ip;

    memcpy(ip.bytes, address, sizeof(ip.bytes));
    return ip_format(&ip, text);
}

static const char *mac_text(const __u8 mac[6], char text[MAC_TEXT_SIZE])
{
    struct mac_address address;

    memcpy(address.bytes, mac, sizeof(address.bytes));
    return mac_format(&address, text);
}

const char *output_text(__u32 output, char *text, size_t size)
{
    const char *kind = "none";

    if ((output & OUTPUT_KIND_MASK) == OUTPUT_LOCAL)
        kind = "local";
    else if ((output & OUTPUT_KIND_MASK) == OUTPUT_REMOTE)
        kind = "remote";
    else if ((output & OUTPUT_KIND_MASK) == OUTPUT_ROUTER)
        kind = "router";
    else if ((output & OUTPUT_KIND_MASK) == OUTPUT_UPLINK)
        kind = "uplink";
    else if ((output & OUTPUT_KIND_MASK) == OUTPUT_SERVICE)
        kind = "service";
    snprintf(text, size, "%s %u", kind, output & OUTPUT_SLOT_MASK);
    return text;
}

static int format_port(const struct port_config *c, struct buffer *buffer)
{
    static const char *const flags[] = {"security", "up", "peer", "dhcp4", "dhcp6", "ra", "ingress-policy", "learn", "egress-policy", "router-firewall", "member"};
    char mac[MAC_TEXT_SIZE], ip4[IP_TEXT_SIZE], ip6[IP_TEXT_SIZE];
    int error = buffer_printf(buffer, " interface %u vni %u project %u mac %s mtu %u ip4 %s ip6 %s generation %u flags", c->ifindex,
                              c->vni, c->project, mac_text(c->mac, mac), c->mtu, ip_text(c->ip4, ip4), ip_text(c->ip6, ip6),
                              c->generation);

    for (size_t i = 0; i < ARRAY_SIZE(flags) && error == 0; i++)
        if (c->flags & (1u << i))
            error = buffer_printf(buffer, " %s", flags[i]);
    if (error == 0)
        error = buffer_printf(buffer, "%s%s%s", c->flags & PORT_LOG_DROP ? " log-drop" : "", c->flags & PORT_LOG_ACCEPT ? " log-accept" : "",
                              c->flags & PORT_LOG_RULES ? " log-rules" : "");
    if (error == 0)
        error = buffer_printf(buffer, " broadcast %u/%u punt %u/%u", c->bum_rate, c->bum_burst, c->punt_rate, c->punt_burst);
    return error;
}

static int format_host(const struct host_config *c, struct buffer *buffer)
{
    char local[IP_TEXT_SIZE], remote[IP_TEXT_SIZE], next_hop[IP_TEXT_SIZE], source[MAC_TEXT_SIZE], mac[MAC_TEXT_SIZE];

    return buffer_printf(buffer, " local %s remote %s next-hop %s interface %u mtu %u source-mac %s next-hop-mac %s flags %u"
                                 " generation %u key %u", ip_text(c->local, local), ip_text(c->remote, remote),
                         ip_text(c->next_hop, next_hop), c->ifindex, c->underlay_mtu, mac_text(c->source_mac, source),
                         mac_text(c->next_hop_mac, mac), c->flags, c->generation, c->key);
}

static int format_source(const struct source_key *k, const struct source_value *v, struct buffer *buffer)
{
    char ip[IP_TEXT_SIZE], mac[MAC_TEXT_SIZE];
    struct ip_address address;

    memcpy(address.bytes, k->address, sizeof(address.bytes));

    int error = buffer_printf(buffer, " %u %s/%u =", k->slot, ip_format(&address, ip),
                              k->prefix_length - (ip_is_v4(&address) ? 128 : 32));

    for (__u32 i = 0; i < v->n_macs && i < MAX_SOURCE_MACS && error == 0; i++)
        error = buffer_printf(buffer, " %s", mac_text(v->mac[i], mac));
    return error;
}

static int format_flood(const struct flood_key *k, const struct output_value *v, struct buffer *buffer)
{
    static const char *const lists[] = {"direct", "tree", "local"};
    uint32_t list = k->index & FLOOD_LIST_MASK, index = k->index & ~FLOOD_LIST_MASK;
    char output[32];

    if (list == FLOOD_DIRECT && index & FLOOD_BEHIND)
        return buffer_printf(buffer, " %u behind %u = %s", k->vni, index & ~FLOOD_BEHIND, output_text(v->output, output, sizeof(output)));
    if (list == FLOOD_FACTS)
        return buffer_printf(buffer, " %u %s = %u", k->vni, index ? "key" : "tree", v->output);
    return buffer_printf(buffer, " %u %s %u = %s", k->vni, lists[list >> 30], index, output_text(v->output, output, sizeof(output)));
}

int format_row(enum desired_table table, const void *key, const void *value, struct buffer *buffer)
{
    char text[IP_TEXT_SIZE], output[32];
    int error = buffer_append_string(buffer, desired_table_name(table));

    if (error < 0)
        return error;
    switch (table) {
    case TABLE_INTERFACES: {
        LOAD(__u32, ifindex, key);
        LOAD(__u32, slot, value);
        error = buffer_printf(buffer, " %u = %u", ifindex, slot);
        break;
    }
    case TABLE_SOURCES: {
        LOAD(struct source_key, k, key);
        LOAD(struct source_value, v, value);
        error = format_source(&k, &v, buffer);
        break;
    }
    case TABLE_NETWORKS: {
        LOAD(__u32, vni, key);
        LOAD(struct network_value, v, value);
        error = buffer_printf(buffer, " %u = project %u%s%s", vni, v.project,
                              v.flags & NETWORK_FLOOD_UNKNOWN_NEIGHBORS ? " flood-unknown-neighbors" : "",
                              v.flags & NETWORK_BRIDGED ? " bridged" : "");
        break;
    }
    case TABLE_FDB: {
        LOAD(struct fdb_key, k, key);
        LOAD(struct output_value, v, value);
        error = buffer_printf(buffer, " %u %s = %s", k.vni, mac_text(k.mac, text), output_text(v.output, output, sizeof(output)));
        break;
    }
    case TABLE_MOVABLE: {
        LOAD(struct movable_key, k, key);
        error = buffer_printf(buffer, " %u %s = %s", k.vni, mac_text(k.mac, text), output_text(k.output, output, sizeof(output)));
        break;
    }
    case TABLE_NEIGHBORS: {
        LOAD(struct neighbor_key, k, key);
        LOAD(struct neighbor_value, v, value);
        char mac[MAC_TEXT_SIZE];
        error = buffer_printf(buffer, " %u %s = %s", k.vni, ip_text(k.address, text), mac_text(v.mac, mac));
        break;
    }
    case TABLE_FLOOD: {
        LOAD(struct flood_key, k, key);
        LOAD(struct output_value, v, value);
        error = format_flood(&k, &v, buffer);
        break;
    }
    case TABLE_PEERS: {
        LOAD(struct peer_key, k, key);
        LOAD(struct peer_value, v, value);
        error = buffer_printf(buffer, " %s = %u", ip_text(k.address, text), v.host);
        break;
    }
    case TABLE_PORTS: {
        LOAD(__u32, slot, key);
        LOAD(struct port_config, v, value);
        error = buffer_printf(buffer, " %u =", slot);
        if (error == 0)
            error = format_port(&v, buffer);
        break;
    }
    case TABLE_HOSTS: {
        LOAD(__u32, slot, key);
        LOAD(struct host_config, v, value);
        error = buffer_printf(buffer, " %u =", slot);
        if (error == 0)
            error = format_host(&v, buffer);
        break;
    }
    case TABLE_PROJECTS: {
        LOAD(__u32, index, key);
        LOAD(struct project_limits, v, value);
        error = buffer_printf(buffer, " %u = half-open %u established %u learned %u", index, v.max_half_open, v.max_established,
                              v.max_learned);
        if (error == 0 && v.port_half_open)
            error = buffer_printf(buffer, " half-open of a port %u", v.port_half_open);
        break;
    }
    case TABLE_POLICIES:
    case TABLE_RULES:
    case TABLE_MEMBERS:
    case TABLE_MEMBER_PREFIXES:
        error = format_security_row(table, key, value, buffer);
        break;
    case TABLE_SERVICES:
    case TABLE_SERVICE_SOURCES:
    case TABLE_SERVICE_ROWS:
    case TABLE_SERVICE_MEMBERS:
    case TABLE_SERVICE_NAMES:
    case TABLE_PROBE_TARGETS:
        error = format_balancing_row(table, key, value, buffer);
        break;
    case TABLE_FIREWALL_RULES:
        error = format_firewall_row(key, value, buffer);
        break;
    case TABLE_NEXT_HOPS:
    case TABLE_ROUTES:
    case TABLE_ROUTER_PORTS:
        error = format_routing_row(table, key, value, buffer);
        break;
    case TABLE_FLOATING:
    case TABLE_SNAT:
    case TABLE_SNAT_OWNERS:
    case TABLE_FORWARDINGS:
    case TABLE_EXTERNAL:
    case TABLE_UPLINKS:
    case TABLE_GATEWAYS:
        error = format_nat_row(table, key, value, buffer);
        break;
    case N_DESIRED_TABLES:
        return -EINVAL;
    }
    return error < 0 ? error : buffer_append_string(buffer, "\n");
}

int format_shortages(const struct desired *desired, struct buffer *buffer)
{
    int error = 0;

    for (size_t i = 0; i < desired->shortages.n && error == 0; i++) {
        LOAD(struct shortage_key, key, rows_key(&desired->shortages, i));
        LOAD(struct shortage, shortage, rows_value(&desired->shortages, i));

        error = buffer_printf(buffer, "shortage %s %s = wants %u, may have %u, %u left out\n", shortage_table_name(key.table), key.project_id,
                              shortage.n_wanted, shortage.share, shortage.n_left_out);
    }
    for (size_t i = 0; i < desired->left_out.n && error == 0; i++) {
        LOAD(struct left_out_key, key, rows_key(&desired->left_out, i));
        LOAD(uint32_t, table, rows_value(&desired->left_out, i));

        error = buffer_printf(buffer, "left_out %s = %s\n", key.id, shortage_table_name(table));
    }
    return error;
}

int format_desired(const struct desired *desired, struct buffer *buffer)
{
    for (int table = 0; table < N_DESIRED_TABLES; table++) {
        const struct rows *rows = &desired->tables[table];

        for (size_t i = 0; i < rows->n; i++) {
            int error = format_row(table, rows_key(rows, i), rows_value(rows, i), buffer);

            if (error < 0)
                return error;
        }
    }
    return format_shortages(desired, buffer);
}
