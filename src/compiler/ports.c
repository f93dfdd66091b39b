/* Local ports: their records, which interface is which, and what each may send (port security). */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "weft/compiler/layers.h"

static uint32_t security_flags(const struct port *port)
{
    uint32_t flags = port->port_security_enabled ? PORT_SECURITY : 0;

    if (compile_port_may_learn(port))
        flags |= PORT_MAY_LEARN;
    if (compile_port_has_policy(port))
        flags |= PORT_EGRESS_POLICY | PORT_INGRESS_POLICY;
    return flags;
}

/* What the agent serves on the port, from the subnets of its addresses. */
static uint32_t service_flags(const struct compile_index *index, const struct port *port)
{
    uint32_t flags = 0;

    for (size_t i = 0; i < port->n_fixed_ips; i++) {
        const struct subnet *subnet = compile_find_subnet(index, port->fixed_ips[i].subnet_id);

        if (!subnet)
            continue;
        if (ip_is_v4(&subnet->cidr.address)) {
            if (subnet->enable_dhcp)
                flags |= PORT_DHCP4;
            continue;
        }
        if (subnet->ipv6_ra_mode != IPV6_MODE_NONE)
            flags |= PORT_RA;
        if (subnet->enable_dhcp && (subnet->ipv6_address_mode == IPV6_MODE_DHCPV6_STATEFUL ||
                                    subnet->ipv6_address_mode == IPV6_MODE_DHCPV6_STATELESS))
            flags |= PORT_DHCP6;
    }
    return flags;
}

static const struct fixed_ip *first_address(const struct port *port, bool v4)
{
    for (size_t i = 0; i < port->n_fixed_ips; i++)
        if (ip_is_v4(&port->fixed_ips[i].address) == v4)
            return &port->fixed_ips[i];
    return NULL;
}

static int add_record(const struct compile_index *index, const struct compile_port *entry, const struct network *network,
                      bool has_firewall, struct desired *desired)
{
    const struct port *port = entry->port;
    const struct fixed_ip *first4 = first_address(port, true), *first6 = first_address(port, false);
    struct port_config config = {
        .ifindex = entry->ifindex,
        .flags = security_flags(port) | service_flags(index, port) | compile_port_logs(index, port),
        .vni = network->vni,
        .project = entry->project,
        .mtu = network->mtu,
        .generation = entry->generation,
        .bum_rate = PORT_BUM_RATE,
        .bum_burst = PORT_BUM_BURST,
        .punt_rate = PORT_PUNT_RATE,
        .punt_burst = PORT_PUNT_BURST,
    };

    if (port->object.admin_state_up && network->object.admin_state_up)
        config.flags |= PORT_ADMIN_UP;
    if (has_firewall)
        config.flags |= PORT_ROUTER_FIREWALL;
    if (entry->is_veth)
        config.flags |= PORT_REDIRECT_PEER;
    memcpy(config.mac, port->mac.bytes, sizeof(config.mac));
    if (first4)
        memcpy(config.ip4, first4->address.bytes, sizeof(config.ip4));
    if (first6)
        memcpy(config.ip6, first6->address.bytes, sizeof(config.ip6));

    if (rows_add(&desired->tables[TABLE_PORTS], &entry->slot, &config) < 0)
        return -ENOMEM;
    if (entry->ifindex && rows_add(&desired->tables[TABLE_INTERFACES], &entry->ifindex, &entry->slot) < 0)
        return -ENOMEM;
    return 0;
}

struct source {
    struct ip_address address;
    uint32_t bits; /* 0..128 */
    struct source_value value;
};

static void add_source_mac(struct source_value *value, const uint8_t mac[6])
{
    for (uint32_t i = 0; i < value->n_macs; i++)
        if (memcmp(value->mac[i], mac, 6) == 0)
            return;
    if (value->n_macs < MAX_SOURCE_MACS)
        memcpy(value->mac[value->n_macs++], mac, 6);
}

/* Adds to the row of the prefix, or makes one.  The list is per port and short. */
static void add_source(struct source *sources, size_t *n, const struct ip_prefix *prefix, uint32_t slot, const uint8_t mac[6])
{
    uint32_t bits = (uint32_t)prefix_bits(prefix);
    struct source *row = NULL;

    for (size_t i = 0; i < *n && !row; i++)
        if (sources[i].bits == bits && ip_equal(&sources[i].address, &prefix->address))
            row = &sources[i];
    if (!row) {
        row = &sources[(*n)++];
        *row = (struct source){.address = prefix->address, .bits = bits, .value.slot = slot};
    }
    add_source_mac(&row->value, mac);
}

static bool covers(const struct source *outer, const struct source *inner)
{
    uint32_t whole = outer->bits / 8, rest = outer->bits % 8;

    if (ip_is_v4(&outer->address) != ip_is_v4(&inner->address) || outer->bits >= inner->bits || memcmp(outer->address.bytes, inner->address.bytes, whole) != 0)
        return false;
    return rest == 0 || ((outer->address.bytes[whole] ^ inner->address.bytes[whole]) & (0xff00 >> rest) & 0xff) == 0;
}

static struct ip_prefix whole_address(const struct ip_address *address)
{
    return (struct ip_prefix){*address, ip_is_v4(address) ? 32 : 128};
}

/* ::/0 has the range in it that stands for IPv4, and does not mean it: a row of no MACs says so, where the port has none for all of IPv4. */
static int except_ipv4(const struct source *sources, size_t n, uint32_t slot, struct desired *desired)
{
    struct source_key key = {.prefix_length = 32 + 96, .slot = slot, .address = {[10] = 0xff, 0xff}};
    struct source_value none = {.slot = slot};
    bool has_all_ipv6 = false, has_all_ipv4 = false;

    for (size_t i = 0; i < n; i++) {
        has_all_ipv6 |= sources[i].bits == 0;
        has_all_ipv4 |= sources[i].bits == 96 && ip_is_v4(&sources[i].address);
    }
    return has_all_ipv6 && !has_all_ipv4 ? rows_add(&desired->tables[TABLE_SOURCES], &key, &none) : 0;
}

/* Everything beyond the port's MAC with its first IPv4 and IPv6 address, which stand in the record itself.  The table
 * is searched for the longest prefix only, so a row repeats the MACs of the rows that cover it. */
static int add_sources(const struct compile_port *entry, struct desired *desired)
{
    const struct port *port = entry->port;
    size_t limit = port->n_fixed_ips + port->n_allowed_address_pairs, n = 0;
    struct source *sources = limit ? calloc(limit, sizeof(*sources)) : NULL;
    int result = 0;

    if (!limit)
        return 0;
    if (!sources)
        return -ENOMEM;
    for (size_t i = 0; i < port->n_fixed_ips; i++) {
        struct ip_prefix prefix = whole_address(&port->fixed_ips[i].address);

        if (&port->fixed_ips[i] != first_address(port, ip_is_v4(&prefix.address)))
            add_source(sources, &n, &prefix, entry->slot, port->mac.bytes);
    }
    for (size_t i = 0; i < port->n_allowed_address_pairs; i++) {
        const struct address_pair *pair = &port->allowed_address_pairs[i];

        add_source(sources, &n, &pair->prefix, entry->slot, pair->has_mac ? pair->mac.bytes : port->mac.bytes);
    }
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < n; k++)
            if (covers(&sources[k], &sources[i]))
                for (uint32_t m = 0; m < sources[k].value.n_macs; m++)
                    add_source_mac(&sources[i].value, sources[k].value.mac[m]);
    for (size_t i = 0; i < n && result == 0; i++) {
        struct source_key key = {.prefix_length = 32 + sources[i].bits, .slot = entry->slot};

        memcpy(key.address, sources[i].address.bytes, sizeof(key.address));
        result = rows_add(&desired->tables[TABLE_SOURCES], &key, &sources[i].value);
    }
    if (result == 0)
        result = except_ipv4(sources, n, entry->slot, desired);
    free(sources);
    return result;
}

int compile_ports(struct compile_index *index, struct desired *desired)
{
    for (size_t i = 0; i < index->snapshot->n_ports; i++) {
        const struct compile_port *entry = &index->snapshot->ports[i];
        const struct compile_network *network = entry->slot ? compile_place_of(index, entry)->network : NULL;

        if (!network)
            continue;
        if (add_record(index, entry, network->network, network->has_firewall || network->is_before_firewall, desired) < 0)
            return -ENOMEM;
        if (entry->port->port_security_enabled && add_sources(entry, desired) < 0)
            return -ENOMEM;
    }
    return 0;
}
