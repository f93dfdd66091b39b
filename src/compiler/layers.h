/* The parts of a compilation, in the order compile() runs them.  Each adds rows; compile() sorts. */
#ifndef WEFT_COMPILER_LAYERS_H
#define WEFT_COMPILER_LAYERS_H

#include "weft/compiler/index.h"

/* Rules of firewall policies, and which ports are behind routers with such: firewall.c.  Return 0 or -ENOMEM, as all of them. */
int compile_firewall(struct compile_index *index, struct desired *desired);

/* Port records and the anti-spoofing table: ports.c. */
int compile_ports(struct compile_index *index, struct desired *desired);

/* Rule sets, who has which, and the members of groups: security.c. */
int compile_security(struct compile_index *index, struct desired *desired);

/* Routers' ports, routes, groups of next hops: routing.c. */
int compile_routing(struct compile_index *index, struct desired *desired);

/* Layer 2: networks, FDB, neighbors, flood lists: switching.c. */
int compile_switching(struct compile_index *index, struct desired *desired);

/* Addresses of the platform's own server: services.c.  After compile_switching(). */
int compile_services(struct compile_index *index, struct desired *desired);

/* Load balancers: balancing.c.  After compile_switching(). */
int compile_balancing(struct compile_index *index, struct desired *desired);

/* A load balancer's addresses on an external or physical network, at a port with a number as 'vip_port', as they are seen from outside: vips.c.  'behind' says, by
 * number in the index, in which networks its members are, and then in which others what its members see is inside; NULL: it has none. */
int compile_vip(const struct compile_index *index, struct desired *desired, const struct compile_port *port, const struct compile_network *network,
                const struct load_balancer *model, bool *behind);

/* External networks, floating IPs, translation, uplinks: nat.c.  After compile_switching(). */
int compile_nat(struct compile_index *index, struct desired *desired);

/* forwardings.c: the rows of one port forwarding, at this floating IP (as on the wire), to the workload that 'value' says; and which of all the
 * snapshot's find room: 'has_room' is parallel to them, all false before. */
int compile_forwarded_range(struct desired *desired, __u32 address, const struct port_forwarding *model, const struct external_value *value);
int compile_forwardings_room(const struct snapshot *snapshot, struct desired *desired, bool *has_room);

/* Other hosts: underlay.c. */
int compile_underlay(struct compile_index *index, struct desired *desired);

/* May the port use MACs that are not its own? */
bool compile_port_may_learn(const struct port *port);

/* Do security groups decide what the port may send and be sent?  Without any nothing passes. */
bool compile_port_has_policy(const struct port *port);

/* logging.c: the port's PORT_LOG_*; ROUTER_PORT_LOGS of a router's port in the firewall group; and whether the log is about what single rules let pass. */
uint32_t compile_port_logs(const struct compile_index *index, const struct port *port);
uint32_t compile_router_port_logs(const struct compile_index *index, const struct firewall_group *group, const char *port_id);
bool compile_log_wants_rules(const struct network_log *log);

/* Are so many rows of the table more than there is room for? */
static inline bool compile_is_over(const struct snapshot *snapshot, enum desired_table table, size_t n)
{
    return snapshot->room[table] && n > snapshot->room[table];
}

/* The host's place in the ring of hosts (tables.h): underlay.c. */
uint32_t compile_flood_key(const struct ip_address *tunnel_address);

#endif
