/* Routers' ports, routes and next hops as text. */
#include <stdio.h>

#include "weft/compiler/format-tables.h"

static const char *address_text(const __u8 bytes[16], char text[IP_TEXT_SIZE])
{
    struct ip_address address;

    memcpy(address.bytes, bytes, sizeof(address.bytes));
    return ip_format(&address, text);
}

static int format_router_port(uint32_t number, const struct router_port_config *c, struct buffer *buffer)
{
    char mac_text[MAC_TEXT_SIZE], ip4[IP_TEXT_SIZE], ip6[IP_TEXT_SIZE], egress[SET_TEXT_SIZE], ingress[SET_TEXT_SIZE];
    struct mac_address mac;

    memcpy(mac.bytes, c->mac, sizeof(mac.bytes));
    int error = buffer_printf(buffer, " %u = router%s %u vni %u mac %s mtu %u ip4 %s ip6 %s generation %u flags%s%s%s%s%s", number, c->router & ROUTER_SERVICE ? " of service" : "", c->router & ~ROUTER_SERVICE,
                         c->vni,
                         mac_format(&mac, mac_text), c->mtu, address_text(c->ip4, ip4), address_text(c->ip6, ip6), c->generation,
                         c->flags & ROUTER_PORT_UP ? " up" : "", c->flags & ROUTER_PORT_EXTERNAL ? " external" : "",
                         c->flags & ROUTER_PORT_SNAT ? " snat" : "",
                         c->flags & ROUTER_PORT_ANNOUNCED ? " announced" : "", c->flags & ROUTER_PORT_SERVICE ? " service" : "");

    if (error == 0 && (ROUTER_PORT_SCOPE4(c->flags) || ROUTER_PORT_SCOPE6(c->flags)))
        error = buffer_printf(buffer, " scopes %u %u", ROUTER_PORT_SCOPE4(c->flags), ROUTER_PORT_SCOPE6(c->flags));
    if (error == 0 && (c->rule_set[0] || c->rule_set[1]))
        error = buffer_printf(buffer, " firewall egress %s ingress %s", set_text(c->rule_set[POLICY_EGRESS], egress),
                              set_text(c->rule_set[POLICY_INGRESS], ingress));
    if (error == 0 && c->flags & ROUTER_PORT_LOGS)
        error = buffer_printf(buffer, "%s%s", c->flags & ROUTER_PORT_LOG_DROP ? " log-drop" : "", c->flags & ROUTER_PORT_LOG_ACCEPT ? " log-accept" : "");
    return error;
}

static int format_route(const struct route_key *k, const struct route_value *v, struct buffer *buffer)
{
    static const __u8 none[16];
    char prefix[PREFIX_TEXT_SIZE], hop[IP_TEXT_SIZE];
    int error = buffer_printf(buffer, "%s %u %s =", k->router & ROUTER_OUTSIDE ? " outside" : k->router & ROUTER_SERVICE ? " service" : "",
                              k->router & ~(ROUTER_OUTSIDE | ROUTER_SERVICE), prefix_text(k->address, k->prefix_length - 32, prefix));

    if (error < 0)
        return error;
    if (v->flags & ROUTE_MANY)
        return buffer_printf(buffer, " group %08x", v->port);
    if (v->flags & ROUTE_LOCAL)
        return buffer_printf(buffer, " local to port %u", v->port);
    if (memcmp(v->next_hop, none, sizeof(none)) == 0)
        return buffer_printf(buffer, " port %u", v->port);
    return buffer_printf(buffer, " port %u next-hop %s", v->port, address_text(v->next_hop, hop));
}

int format_routing_row(enum desired_table table, const void *key, const void *value, struct buffer *buffer)
{
    char text[IP_TEXT_SIZE];

    if (table == TABLE_ROUTER_PORTS) {
        LOAD(__u32, number, key);
        LOAD(struct router_port_config, config, value);
        return format_router_port(number, &config, buffer);
    }
    if (table == TABLE_ROUTES) {
        LOAD(struct route_key, k, key);
        LOAD(struct route_value, v, value);
        return format_route(&k, &v, buffer);
    }

    LOAD(struct next_hop_key, k, key);
    LOAD(struct next_hop_value, v, value);
    return buffer_printf(buffer, " %08x %u = port %u next-hop %s", k.group, k.bucket, v.port, address_text(v.next_hop, text));
}
