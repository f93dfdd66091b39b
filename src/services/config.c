/* What each server needs to know, from the model; see config.h. */
#include "weft/services/config.h"

#include "weft/base/util.h"
#include "weft/model/virtual-server.h"
#include "weft/services/packet.h"

/* Neutron writes 0.0.0.0 or :: for "no name server at all". */
static bool says_no_dns(const struct subnet *subnet)
{
    for (size_t i = 0; i < subnet->n_dns_nameservers; i++)
        if (ip_is_zero(&subnet->dns_nameservers[i]))
            return true;
    return false;
}

static const struct subnet *find_subnet(const struct service_objects *objects, const char *id)
{
    for (size_t i = 0; i < objects->n_subnets; i++)
        if (streq(objects->subnets[i]->object.id, id))
            return objects->subnets[i];
    return NULL;
}

static bool port_is_in(const struct port *port, const struct subnet *subnet)
{
    for (size_t i = 0; i < port->n_fixed_ips; i++)
        if (streq(port->fixed_ips[i].subnet_id, subnet->object.id))
            return true;
    return false;
}

static void add_address4(struct dhcp4_config *config, const struct ip_address *address, const struct subnet *subnet)
{
    if (config->n_addresses == DHCP4_MAX_ADDRESSES)
        return;
    config->addresses[config->n_addresses++] = (struct dhcp4_address){
        .address = *address,
        .prefix = subnet->cidr,
        .server = subnet->has_gateway ? subnet->gateway : VIRTUAL_SERVER_IP4,
        .has_gateway = subnet->has_gateway,
        .gateway = subnet->gateway,
        .dns_servers = subnet->dns_nameservers,
        .n_dns_servers = says_no_dns(subnet) ? 0 : subnet->n_dns_nameservers,
        .routes = subnet->host_routes,
        .n_routes = subnet->n_host_routes,
    };
}

static void build_dhcp4(const struct service_objects *objects, struct dhcp4_config *config)
{
    const struct port *port = objects->port;
    for (size_t i = 0; i < port->n_fixed_ips; i++) {
        const struct subnet *subnet = find_subnet(objects, port->fixed_ips[i].subnet_id);
        if (subnet && ip_is_v4(&subnet->cidr.address) && subnet->enable_dhcp)
            add_address4(config, &port->fixed_ips[i].address, subnet);
    }
    for (size_t i = 0; i < objects->n_subnets && config->n_prefixes < DHCP4_MAX_PREFIXES; i++)
        if (ip_is_v4(&objects->subnets[i]->cidr.address))
            config->prefixes[config->n_prefixes++] = objects->subnets[i]->cidr;
}

static size_t add_dns6(const struct subnet *subnet, struct ip_address *servers, size_t n_servers, size_t maximum)
{
    if (says_no_dns(subnet))
        return n_servers;
    for (size_t i = 0; i < subnet->n_dns_nameservers && n_servers < maximum; i++) {
        bool repeated = ip_is_v4(&subnet->dns_nameservers[i]);
        for (size_t j = 0; j < n_servers; j++)
            repeated |= ip_equal(&servers[j], &subnet->dns_nameservers[i]);
        if (!repeated)
            servers[n_servers++] = subnet->dns_nameservers[i];
    }
    return n_servers;
}

/* 16 bytes of the network's id behind the type (RFC 6355, 4). */
static void write_duid(const char *uuid, uint8_t duid[DHCP6_DUID_SIZE])
{
    size_t n_digits = 0;
    memset(duid, 0, DHCP6_DUID_SIZE);
    put_be16(duid, 4);
    for (; *uuid && n_digits < 32; uuid++) {
        char c = *uuid;
        int digit = c >= '0' && c <= '9'   ? c - '0'
                    : c >= 'a' && c <= 'f' ? c - 'a' + 10
                    : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                           : -1;
        if (digit < 0)
            continue;
        duid[2 + n_digits / 2] |= (uint8_t)(n_digits % 2 ? digit : digit << 4);
        n_digits++;
    }
}

static void build_dhcp6(const struct service_objects *objects, struct dhcp6_config *config)
{
    const struct port *port = objects->port;
    config->server = VIRTUAL_SERVER_IP6;
    write_duid(objects->network->object.id, config->server_duid);
    for (size_t i = 0; i < port->n_fixed_ips; i++) {
        const struct subnet *subnet = find_subnet(objects, port->fixed_ips[i].subnet_id);
        if (!subnet || ip_is_v4(&subnet->cidr.address) || !subnet->enable_dhcp ||
            (subnet->ipv6_address_mode != IPV6_MODE_DHCPV6_STATEFUL &&
             subnet->ipv6_address_mode != IPV6_MODE_DHCPV6_STATELESS))
            continue;
        config->enabled = true;
        if (subnet->ipv6_address_mode == IPV6_MODE_DHCPV6_STATEFUL && config->n_addresses < DHCP6_MAX_ADDRESSES)
            config->addresses[config->n_addresses++] = port->fixed_ips[i].address;
        config->n_dns_servers = add_dns6(subnet, config->dns_servers, config->n_dns_servers, DHCP6_MAX_ADDRESSES);
    }
}

/* The first gateway that a port of the network is: its MAC, and the link-local address that it routes under. */
static void find_gateway(const struct service_objects *objects, const struct subnet *subnet, struct ra_config *config)
{
    static const struct ip_prefix link_local = {{{0xfe, 0x80}}, 64};
    struct mac_address mac;
    if (config->has_gateway || !subnet->has_gateway || !objects->find_mac ||
        !objects->find_mac(objects->context, objects->network, &subnet->gateway, &mac) ||
        mac_equal(&mac, &objects->port->mac)) /* The gateway itself needs no other. */
        return;
    config->has_gateway = true;
    config->gateway_mac = mac;
    config->source =
        prefix_contains(&link_local, &subnet->gateway) ? subnet->gateway : ip_from_eui64(&link_local, &mac);
}

static void build_ra(const struct service_objects *objects, struct ra_config *config)
{
    config->source = VIRTUAL_SERVER_IP6;
    for (size_t i = 0; i < objects->n_subnets; i++) {
        const struct subnet *subnet = objects->subnets[i];
        enum ipv6_mode mode = subnet->ipv6_ra_mode;
        if (ip_is_v4(&subnet->cidr.address) || !subnet->enable_dhcp || mode == IPV6_MODE_NONE ||
            config->n_prefixes == RA_MAX_PREFIXES)
            continue;
        config->enabled |= port_is_in(objects->port, subnet);
        config->managed |= mode == IPV6_MODE_DHCPV6_STATEFUL;
        config->other |= mode == IPV6_MODE_DHCPV6_STATELESS;
        config->prefixes[config->n_prefixes++] = (struct ra_prefix){
            .prefix = subnet->cidr,
            .autonomous = mode != IPV6_MODE_DHCPV6_STATEFUL && port_is_in(objects->port, subnet),
        };
        config->n_dns_servers = add_dns6(subnet, config->dns_servers, config->n_dns_servers, RA_MAX_DNS);
        find_gateway(objects, subnet, config);
    }
}

void service_config_build(const struct service_objects *objects, struct service_config *ret)
{
    const struct network *network = objects->network;
    const struct port *port = objects->port;
    const char *domain = network->dns_domain && *network->dns_domain ? network->dns_domain : objects->default_domain;
    uint32_t lease_s = objects->lease_s ? objects->lease_s : SERVICE_LEASE_S;

    memset(ret, 0, sizeof(*ret));
    ret->dhcp4.mac = ret->dhcp6.mac = ret->ra.mac = port->mac;
    ret->dhcp4.server_mac = ret->dhcp6.server_mac = ret->ra.server_mac = VIRTUAL_SERVER_MAC;
    ret->dhcp4.domain = ret->dhcp6.domain = ret->ra.domain = domain;
    ret->dhcp4.lease_s = ret->dhcp6.lease_s = lease_s;
    ret->dhcp4.mtu = ret->ra.mtu = network->mtu;
    ret->dhcp4.options = ret->dhcp6.options = port->extra_dhcp_opts;
    ret->dhcp4.n_options = ret->dhcp6.n_options = port->n_extra_dhcp_opts;
    build_dhcp4(objects, &ret->dhcp4);
    build_dhcp6(objects, &ret->dhcp6);
    build_ra(objects, &ret->ra);
}
