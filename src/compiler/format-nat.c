/* Floating IPs, translation and uplinks as text. */
#include <arpa/inet.h>

#include "weft/compiler/format-tables.h"

static const char *ipv4_text(__u32 address, char text[IP_TEXT_SIZE])
{
    struct ip_address ip = ip_from_v4(ntohl(address));

    return ip_format(&ip, text);
}

static int format_external(const struct external_value *v, struct buffer *buffer)
{
    static const char *const kinds[] = {"none", "floating", "forwarded", "router", "host", "service"};
    char output[32], address[IP_TEXT_SIZE];
    int error = buffer_printf(buffer, " = %s %s", v->kind < sizeof(kinds) / sizeof(kinds[0]) ? kinds[v->kind] : "unknown",
                              output_text(v->output, output, sizeof(output)));

    if (error == 0 && v->address)
        error = buffer_printf(buffer, " address %s", ipv4_text(v->address, address));
    if (error == 0 && v->first)
        error = buffer_printf(buffer, " port %u from %u", v->port, v->first);
    if (error == 0)
        error = buffer_printf(buffer, " gateway %u object %08x%s", v->router_port, v->object, v->flags & EXTERNAL_ANNOUNCED ? " announced" : "");
    return error;
}

static int format_snat(const struct snat_config *v, struct buffer *buffer)
{
    char address[IP_TEXT_SIZE];
    int error = buffer_printf(buffer, " %u = vni %u address %s object %08x ports", v->router_port, v->vni, ipv4_text(v->address, address), v->object);

    for (__u32 i = 0; i < v->n_blocks && i < SNAT_BLOCKS_MAX && error == 0; i++)
        error = buffer_printf(buffer, " %u-%u", v->blocks[i].first, v->blocks[i].first + v->blocks[i].size - 1);
    return error;
}

static int format_gateway(const struct flood_key *k, const struct output_value *v, struct buffer *buffer)
{
    char output[32];

    if (k->index == GATEWAYS_FACTS)
        return buffer_printf(buffer, " %u number = %u", k->vni, v->output);
    if (k->index == GATEWAYS_BRIDGE)
        return buffer_printf(buffer, " %u bridge = %s", k->vni, output_text(v->output, output, sizeof(output)));
    return buffer_printf(buffer, " %u %u = %s", k->vni, k->index, output_text(v->output, output, sizeof(output)));
}

static int format_uplink(const struct uplink_key *k, const struct uplink_value *v, struct buffer *buffer)
{
    char mac_text[MAC_TEXT_SIZE];
    struct mac_address mac;

    memcpy(mac.bytes, v->mac, sizeof(mac.bytes));

    int error = k->ifindex == UPLINK_BY_VNI ? buffer_printf(buffer, " vni %u", k->vlan)
                                            : buffer_printf(buffer, " interface %u vlan %u", k->ifindex, k->vlan);

    return error < 0 ? error
                     : buffer_printf(buffer, " = interface %u vlan %u vni %u project %u mac %s mtu %u", v->ifindex, v->vlan, v->vni, v->project,
                                     mac_format(&mac, mac_text), v->mtu);
}

int format_nat_row(enum desired_table table, const void *key, const void *value, struct buffer *buffer)
{
    char text[IP_TEXT_SIZE], other[IP_TEXT_SIZE];

    switch (table) {
    case TABLE_FLOATING: {
        LOAD(struct floating_key, k, key);
        LOAD(struct floating_value, v, value);
        return buffer_printf(buffer, " %u %s = %s gateway %u object %08x", k.slot, ipv4_text(k.address, text), ipv4_text(v.address, other),
                             v.router_port, v.object);
    }
    case TABLE_SNAT: {
        LOAD(struct snat_config, v, value);
        return format_snat(&v, buffer);
    }
    case TABLE_SNAT_OWNERS: {
        LOAD(struct snat_owner_key, k, key);
        LOAD(struct output_value, v, value);
        return buffer_printf(buffer, " %u %s ports %u/%u = %s", k.vni, ipv4_text(k.address, text), ntohs(k.port), k.prefix_length - 64,
                             output_text(v.output, other, sizeof(other)));
    }
    case TABLE_FORWARDINGS: {
        LOAD(struct forwarding_key, k, key);
        LOAD(struct external_value, v, value);
        int error = buffer_printf(buffer, " %u %s protocol %u ports %u/%u", k.vni, ipv4_text(k.address, text), k.protocol, ntohs(k.port),
                                  k.prefix_length - FORWARDING_PREFIX);
        return error < 0 ? error : format_external(&v, buffer);
    }
    case TABLE_EXTERNAL: {
        LOAD(struct external_key, k, key);
        LOAD(struct external_value, v, value);
        int error = buffer_printf(buffer, " %u %s", k.vni, ipv4_text(k.address, text));
        return error < 0 ? error : format_external(&v, buffer);
    }
    case TABLE_UPLINKS: {
        LOAD(struct uplink_key, k, key);
        LOAD(struct uplink_value, v, value);
        return format_uplink(&k, &v, buffer);
    }
    default: {
        LOAD(struct flood_key, k, key);
        LOAD(struct output_value, v, value);
        return format_gateway(&k, &v, buffer);
    }
    }
}
