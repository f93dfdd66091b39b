/* The typed objects of the virtual network: what the API stores and what an agent compiles.
 *
 * Each resource is one C struct described by one attribute table (schema.h); codec, validation, defaults, filters,
 * policy and help come from the table.  Strings are owned, NULL when unset; lists are owned arrays with a count.
 * Objects are created, decoded and freed by the functions of schema.h. */
#ifndef WEFT_MODEL_OBJECTS_H
#define WEFT_MODEL_OBJECTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "weft/base/address.h"
#include "weft/base/uuid.h"

enum resource_kind {
    RESOURCE_NETWORK,
    RESOURCE_SUBNET,
    RESOURCE_PORT,
    RESOURCE_HOST,
    RESOURCE_SECURITY_GROUP,
    RESOURCE_SECURITY_GROUP_RULE,
    RESOURCE_ADDRESS_GROUP,
    RESOURCE_ROUTER,
    RESOURCE_FLOATING_IP,
    RESOURCE_PORT_FORWARDING,
    RESOURCE_SNAT_BLOCK,
    RESOURCE_DEFAULT_RULE,
    RESOURCE_DEFAULT_STATEFULNESS,
    RESOURCE_ADDRESS_SCOPE,
    RESOURCE_SUBNET_POOL,
    RESOURCE_FIREWALL_RULE,
    RESOURCE_FIREWALL_POLICY,
    RESOURCE_FIREWALL_GROUP,
    RESOURCE_LOG,
    RESOURCE_LOAD_BALANCER,
    RESOURCE_LISTENER,
    RESOURCE_POOL,
    RESOURCE_POOL_MEMBER,
    RESOURCE_HEALTH_MONITOR,
    RESOURCE_BALANCE_ROWS,
    RESOURCE_LISTENER_SHARE,
    RESOURCE_N_KINDS,
};

/* What all have; the first member of each. */
struct object {
    enum resource_kind kind;
    char id[UUID_TEXT_SIZE];
    char project_id[64];      /* Empty for what belongs to nobody. */
    char *name;
    char *description;
    bool admin_state_up;
    uint64_t revision_number; /* The resource's own: 0 at creation, one more with each change (Neutron counts so). */
    uint64_t store_revision;  /* Of the store's transaction that last wrote it. */
    int64_t created_at_s, updated_at_s;
    uint32_t quota_slot;      /* Which of its project's units of quota it holds (api/quota.c). */
    void *unknown;            /* Fields of a later version, kept as they were (a json_t, owned). */
};

struct text { /* An element of a list of strings. */
    char *text;
};

struct object_id { /* An element of a list of references. */
    char id[UUID_TEXT_SIZE];
};

enum network_type { NETWORK_TYPE_VXLAN, NETWORK_TYPE_FLAT, NETWORK_TYPE_VLAN };

struct network {
    struct object object;
    enum network_type network_type; /* provider:network_type */
    char *physical_network;   /* provider:physical_network; NULL with VXLAN. */
    uint32_t vni;             /* 1..2^24-1; of every network, also a provider network: what its frames carry between our hosts. */
    uint16_t vlan_id;         /* 1..4094, of a VLAN network; else 0. */
    uint16_t mtu;             /* What tenants are told; at most the underlay's less the tunnel's overhead. */
    bool shared;
    bool is_external;         /* router:external */
    bool port_security_enabled; /* Default for its ports. */
    bool is_default;
    char *dns_domain;
};

enum ipv6_mode { IPV6_MODE_NONE, IPV6_MODE_SLAAC, IPV6_MODE_DHCPV6_STATEFUL, IPV6_MODE_DHCPV6_STATELESS };

struct ip_range {
    struct ip_address first, last; /* Inclusive. */
};

struct host_route {
    struct ip_prefix destination;
    struct ip_address next_hop;
};

struct subnet {
    struct object object;
    char network_id[UUID_TEXT_SIZE];
    uint8_t ip_version;        /* 4 or 6: the family of 'cidr'. */
    struct ip_prefix cidr;
    bool has_gateway;
    struct ip_address gateway;
    bool enable_dhcp;
    enum ipv6_mode ipv6_address_mode, ipv6_ra_mode;
    struct ip_range *allocation_pools;
    size_t n_allocation_pools;
    struct ip_address *dns_nameservers;
    size_t n_dns_nameservers;
    struct host_route *host_routes;
    size_t n_host_routes;
    bool dns_publish_fixed_ip;
    char subnetpool_id[UUID_TEXT_SIZE];    /* "": its prefix was chosen by whoever made it. */
    char address_scope_id[UUID_TEXT_SIZE]; /* Its pool's. */
};

/* Workloads form their addresses themselves (SLAAC, stateless DHCPv6): the modified EUI-64 of their MAC address. */
bool subnet_is_auto_address(const struct subnet *subnet);

/* What hosts can have: inside, and neither the network's address nor, with IPv4, the broadcast address.  Point-to-point and
 * single-address prefixes have none of these. */
struct ip_address subnet_first_host(const struct subnet *subnet);
struct ip_address subnet_last_host(const struct subnet *subnet);
bool subnet_has_host_address(const struct subnet *subnet, const struct ip_address *address);

/* Where no two networks have the same addresses: routers forward within one, and nothing between two. */
struct address_scope {
    struct object object;
    uint8_t ip_version;
    bool shared;
};

/* Prefixes that subnets are given theirs from. */
struct subnet_pool {
    struct object object;
    uint8_t ip_version;        /* That of its prefixes. */
    struct ip_prefix *prefixes; /* Sorted, apart, and as few as can be (prefixes.h). */
    size_t n_prefixes;
    uint8_t default_prefixlen, min_prefixlen, max_prefixlen; /* Of subnets. */
    bool has_default_quota;
    uint32_t default_quota;    /* What one project may have: addresses of IPv4, /64 of IPv6. */
    bool is_default;           /* Of its family: use_default_subnetpool. */
    bool shared;
    char address_scope_id[UUID_TEXT_SIZE];
};

struct fixed_ip {
    char subnet_id[UUID_TEXT_SIZE];
    struct ip_address address;
};

struct address_pair {
    struct ip_prefix prefix;   /* ip_address, a CIDR is allowed. */
    bool has_mac;
    struct mac_address mac;    /* The port's own when absent. */
};

struct extra_dhcp_option {
    char *name;                /* "mtu", "bootfile-name", or a number as text. */
    char *value;
    uint8_t ip_version;        /* 4 or 6. */
};

enum port_status { PORT_STATUS_DOWN, PORT_STATUS_ACTIVE, PORT_STATUS_BUILD, PORT_STATUS_ERROR };

struct port {
    struct object object;
    char network_id[UUID_TEXT_SIZE];
    struct mac_address mac;
    struct fixed_ip *fixed_ips;
    size_t n_fixed_ips;
    char *device_id;
    char *device_owner;
    bool port_security_enabled;
    struct address_pair *allowed_address_pairs;
    size_t n_allowed_address_pairs;
    struct extra_dhcp_option *extra_dhcp_opts;
    size_t n_extra_dhcp_opts;
    bool has_security_groups;  /* False: made before there were groups, or exempt (port security off, a device of the network): all passes. */
    struct object_id *security_groups; /* None: nothing passes but what every workload needs (ARP, ND, DHCP). */
    size_t n_security_groups;
    char *binding_host_id;     /* NULL or "" while unbound. */
    char *binding_vnic_type;   /* "normal". */
    char *binding_profile;     /* A JSON object as text. */
    char *metadata;            /* Likewise: what the metadata service tells its workload (services/metadata.h). */
    enum port_status status;   /* Derived from the bound host's reports. */
};

enum host_state { HOST_STATE_NEW, HOST_STATE_UP, HOST_STATE_DOWN };

#define LEFT_OUT_MAX 65536 /* Objects that a host says it has no room for (docs/agent-protocol.md). */

/* A Linux host that runs an agent. */
struct host {
    struct object object;      /* 'name' is the host's name: what binding:host_id says. */
    bool has_tunnel_address;
    struct ip_address tunnel_address;
    uint16_t underlay_mtu;     /* 0 until the agent said it. */
    enum host_state state;
    char *version;             /* The agent's. */
    uint64_t applied_revision; /* The store revision the agent's tables reflect. */
    int64_t seen_at_s;         /* Its last report. */
    struct text *physical_networks; /* That one of its uplinks is in, by name; from the report, sorted. */
    size_t n_physical_networks;
};

/* ---- the firewall of ports: security groups ---------------------------------------------------------------------- */

/* What its ports may send and be sent is the union of its rules; nothing else passes. */
struct security_group {
    struct object object;      /* The project's group called "default" always exists. */
    bool stateful;             /* Answers of allowed connections pass.  False: each packet is judged by itself. */
    bool is_default;           /* The project's group called "default". */
};

enum rule_direction { RULE_INGRESS, RULE_EGRESS }; /* To the workload, from it. */

struct security_group_rule {
    struct object object;
    char security_group_id[UUID_TEXT_SIZE];
    enum rule_direction direction;
    uint8_t ip_version;        /* 4 or 6: "ethertype". */
    char *protocol;            /* As written: a name or number; NULL: any. */
    bool has_port_min, has_port_max;
    uint16_t port_min, port_max; /* ICMP: type and code. */
    bool has_remote_prefix;
    struct ip_prefix remote_prefix;
    struct ip_address remote_address;             /* Of the prefix, as written: with its host bits.  Nobody but the API wants to know. */
    char remote_group_id[UUID_TEXT_SIZE];         /* "": none.  At most one of the three remotes is given. */
    char remote_address_group_id[UUID_TEXT_SIZE];
};

/* The IP protocol number that a name or number stands for with this IP version (Neutron's names; "icmp" with IPv6 is 58, as
 * "ipv6-icmp" and "icmpv6" are), -1 for NULL, "any" or what stands for 0 (any protocol), -EINVAL for what is neither. */
int protocol_number(const char *text, uint8_t ip_version);

/* What the rule says, in one form, so that two rules of a group that say the same are found: "ingress/4/6/80-443/group/<id>". */
#define RULE_TEXT_SIZE 160
const char *security_group_rule_text(const struct security_group_rule *rule, char text[RULE_TEXT_SIZE]);

/* A rule that new groups get: copied into each.  Its remote_group_id may be DEFAULT_RULE_PARENT, the new group itself; its
 * security_group_id is "". */
#define DEFAULT_RULE_PARENT "PARENT"
struct default_rule {
    struct security_group_rule rule;
    bool used_in_default_sg, used_in_non_default_sg;
};

/* Whether new security groups are stateful unless their request says: of a project's, or, with an empty project_id, of all others. */
struct default_statefulness {
    struct object object;
    bool stateful;
};

/* Prefixes with a name, for rules. */
struct address_group {
    struct object object;
    struct ip_prefix *addresses;
    size_t n_addresses;
};

/* ---- the firewall of routers -------------------------------------------------------------------------------------- */

enum firewall_protocol { FIREWALL_ANY, FIREWALL_TCP, FIREWALL_UDP, FIREWALL_ICMP }; /* The last is ICMPv6 with IPv6. */
enum firewall_action { FIREWALL_ALLOW, FIREWALL_DENY, FIREWALL_REJECT };

struct firewall_rule {
    struct object object;
    bool shared, enabled;
    enum firewall_protocol protocol;
    uint8_t ip_version;        /* 4 or 6. */
    bool has_source, has_destination;
    struct ip_prefix source, destination;
    char *source_port, *destination_port; /* "80", "80:90"; NULL: any. */
    enum firewall_action action;
};

/* "80" or "80:90", ports from 1 to 65535.  0; -EINVAL; -ERANGE when the second is less than the first. */
int firewall_ports_parse(const char *text, uint16_t *ret_first, uint16_t *ret_last);

/* The first rule that fits decides; what none fits is dropped. */
struct firewall_policy {
    struct object object;
    bool shared, audited;
    struct object_id *rules;
    size_t n_rules;
};

/* What holds at its ports, which are routers'.  Seen from the network behind the port: ingress is what the router sends there.  Without a
 * policy for a direction, and with admin_state_up false in both, everything is dropped but answers of what the other direction allowed. */
struct firewall_group {
    struct object object;
    bool shared, is_default;   /* The project's group called "default". */
    char ingress_policy_id[UUID_TEXT_SIZE], egress_policy_id[UUID_TEXT_SIZE]; /* "": none. */
    struct object_id *ports;
    size_t n_ports;
};

/* "INACTIVE": it has no ports, or no policy, and does nothing; "DOWN": it is switched off, and its ports with it; "ACTIVE". */
const char *firewall_group_status(const struct firewall_group *group);

/* Whose packets are logged, as far as security groups, or firewall groups, judge them. */
enum log_event { LOG_EVENT_ALL, LOG_EVENT_ACCEPT, LOG_EVENT_DROP };
#define LOG_SECURITY_GROUP "security_group"
#define LOG_FIREWALL_GROUP "firewall_group"
struct network_log {
    struct object object;
    char *resource_type;               /* One of these; what follows is said of the first.  Of the second 'group' is a firewall group, and ports are routers'. */
    char resource_id[UUID_TEXT_SIZE];  /* The ports in this group, and of what passes there only what this group's rules let pass.  "": no matter which. */
    char target_id[UUID_TEXT_SIZE];    /* Only this port.  "" both: all ports of the project. */
    enum log_event event;
    bool enabled;
};

/* Is something that security groups decide at the port logged for it?  Not asked: which events, and by which rules. */
bool network_log_concerns(const struct network_log *log, const struct port *port);

/* Likewise, what the firewall group decides at the port of a router that is in it. */
bool network_log_guards(const struct network_log *log, const struct firewall_group *group, const char *port_id);

/* ---- routers ------------------------------------------------------------------------------------------------------- */

/* Its interfaces are the ports whose device_id it is: device_owner DEVICE_ROUTER_INTERFACE towards its own networks, and
 * DEVICE_ROUTER_GATEWAY on the external one. */
#define DEVICE_ROUTER_INTERFACE "network:router_interface"
#define DEVICE_ROUTER_GATEWAY "network:router_gateway"
#define DEVICE_FLOATING_IP "network:floatingip"

/* Which of the two a port is, if it is a router's: of that called 'device_id'. */
enum router_port_kind { ROUTER_PORT_NONE, ROUTER_PORT_INTERFACE, ROUTER_PORT_GATEWAY };
enum router_port_kind router_port_kind(const struct port *port);

struct router {
    struct object object;
    char gateway_network_id[UUID_TEXT_SIZE]; /* external_gateway_info; "": none. */
    char gateway_port_id[UUID_TEXT_SIZE];    /* Its fixed IPs are the external addresses; SNAT uses the first IPv4 one. */
    bool enable_snat;
    struct host_route *routes; /* Extra routes; several of one destination share the traffic. */
    size_t n_routes;
};

/* An address of an external network that is one port's. */
struct floating_ip {
    struct object object;
    char floating_network_id[UUID_TEXT_SIZE];
    char floating_port_id[UUID_TEXT_SIZE];   /* The port that holds the address: DEVICE_FLOATING_IP. */
    struct ip_address floating_address;
    char port_id[UUID_TEXT_SIZE];            /* "": nobody's now, or of its port forwardings. */
    bool has_fixed_address;
    struct ip_address fixed_address;         /* Which of the port's. */
    char router_id[UUID_TEXT_SIZE];          /* Through which it is reached. */
};

/* One port (or range) of a floating IP is one of a workload's. */
struct port_forwarding {
    struct object object;
    char floating_ip_id[UUID_TEXT_SIZE];
    char internal_port_id[UUID_TEXT_SIZE];
    struct ip_address internal_address;
    uint8_t protocol;          /* IPPROTO_TCP, IPPROTO_UDP. */
    uint16_t external_first, external_last, internal_first, internal_last; /* Ranges of the same length. */
};

/* A range of a router's external address's ports (and ICMP identifiers) that one host translates to: see distributed SNAT in
 * ARCHITECTURE.md.  Made and deleted by the API as hosts need them. */
struct snat_block {
    struct object object;
    char router_id[UUID_TEXT_SIZE];
    char network_id[UUID_TEXT_SIZE]; /* The external network of 'address'. */
    struct ip_address address;
    uint16_t first_port, n_ports;    /* n_ports is a power of two and divides first_port. */
    char *host;                      /* Its name. */
};

/* ---- load balancers ----------------------------------------------------------------------------------------------- */

/* The port that has the VIP: bound to no host, since each host serves the VIP to its own clients.  device_id is
 * DEVICE_LOAD_BALANCER_ID and the load balancer's id.  A port that the user made keeps its own device_owner until then. */
#define DEVICE_LOAD_BALANCER "Octavia"
#define DEVICE_LOAD_BALANCER_ID "lb-"

/* The load balancer whose VIP the port has: its id, in 'device_id'; NULL: it has none. */
const char *port_load_balancer_id(const struct port *port);

/* What it can say of itself, as in Octavia. */
enum operating_status { OPERATING_ONLINE, OPERATING_DRAINING, OPERATING_OFFLINE, OPERATING_DEGRADED, OPERATING_ERROR, OPERATING_NO_MONITOR };

struct additional_vip {
    char subnet_id[UUID_TEXT_SIZE];
    struct ip_address address;
};

/* A VIP.  admin_state_up false: it answers nothing. */
struct load_balancer {
    struct object object;
    struct ip_address vip_address;           /* The first of the port's fixed IPs that is not an additional one. */
    char vip_subnet_id[UUID_TEXT_SIZE], vip_network_id[UUID_TEXT_SIZE], vip_port_id[UUID_TEXT_SIZE];
    bool owns_vip_port;                      /* It was made with the load balancer, and is deleted with it. */
    struct additional_vip *additional_vips;  /* Of the same network and port. */
    size_t n_additional_vips;
    char *provider, *availability_zone;
    char flavor_id[UUID_TEXT_SIZE], vip_qos_policy_id[UUID_TEXT_SIZE];
    struct text *tags;
    size_t n_tags;
};

enum balance_protocol { BALANCE_TCP, BALANCE_UDP, BALANCE_SCTP };
uint8_t balance_protocol_number(enum balance_protocol protocol); /* IPPROTO_TCP and so on. */

/* A protocol and port of a VIP. */
struct listener {
    struct object object;
    char load_balancer_id[UUID_TEXT_SIZE];
    enum balance_protocol protocol;
    uint16_t protocol_port;
    int64_t connection_limit;                /* -1: none. */
    char default_pool_id[UUID_TEXT_SIZE];    /* "": none, nobody is reached. */
    struct ip_prefix *allowed_cidrs;         /* None: all clients. */
    size_t n_allowed_cidrs;
    bool has_timeout_client_data, has_timeout_member_data; /* Else connections end when hosts say. */
    uint32_t timeout_client_data, timeout_member_connect, timeout_member_data, timeout_tcp_inspect; /* Milliseconds. */
    struct text *tags;
    size_t n_tags;
};

enum balance_algorithm { BALANCE_ROUND_ROBIN, BALANCE_LEAST_CONNECTIONS, BALANCE_SOURCE_IP, BALANCE_SOURCE_IP_PORT };

struct pool {
    struct object object;
    char load_balancer_id[UUID_TEXT_SIZE];
    enum balance_protocol protocol;
    enum balance_algorithm algorithm;
    bool has_persistence;                    /* session_persistence of type SOURCE_IP, the only one: a client stays with its member. */
    bool has_persistence_timeout, has_persistence_granularity;
    uint32_t persistence_timeout;            /* Seconds. */
    uint8_t persistence_length;              /* Clients with so many first bits of the address in common are one: 0..32, or of an IPv6 VIP 0..128. */
    struct text *tags;
    size_t n_tags;
};

enum member_health { MEMBER_HEALTH_UNKNOWN, MEMBER_HEALTH_UP, MEMBER_HEALTH_DOWN };

/* A server of a pool: the port that has 'address' in the subnet 'at_subnet_id', if there is one. */
struct pool_member {
    struct object object;
    char pool_id[UUID_TEXT_SIZE], load_balancer_id[UUID_TEXT_SIZE];
    struct ip_address address;
    uint16_t protocol_port;
    uint16_t weight;                         /* 0..256; 0: it gets no new flows. */
    bool backup;                             /* Used while no other is up. */
    char subnet_id[UUID_TEXT_SIZE];          /* As written; "": not given. */
    char at_subnet_id[UUID_TEXT_SIZE], at_network_id[UUID_TEXT_SIZE]; /* Where the address is: 'subnet_id', or what the API found. */
    bool has_monitor_address, has_monitor_port;
    struct ip_address monitor_address;       /* What is probed instead of 'address' and 'protocol_port'. */
    uint16_t monitor_port;
    struct text *tags;
    size_t n_tags;
    enum member_health health;               /* Derived from the reports of its port's host; not part of the stored form. */
};

enum monitor_type { MONITOR_PING, MONITOR_TCP, MONITOR_HTTP, MONITOR_HTTPS, MONITOR_TLS_HELLO, MONITOR_UDP_CONNECT, MONITOR_SCTP };

/* How the members of a pool are probed; at most one of a pool.  admin_state_up false: they are not. */
struct health_monitor {
    struct object object;
    char pool_id[UUID_TEXT_SIZE], load_balancer_id[UUID_TEXT_SIZE];
    enum monitor_type type;
    uint32_t delay, timeout;                 /* Seconds: between probes; that an answer may take. */
    uint8_t max_retries, max_retries_down;   /* Successes until it is up, failures until it is down: 1..10. */
    char *http_method, *url_path, *expected_codes, *domain_name; /* HTTP and HTTPS only. */
    char *http_version;                      /* "1.0", "1.1"; NULL: 1.0. */
    struct text *tags;
    size_t n_tags;
};

/* What the one writer decided about a member. */
enum member_state {
    MEMBER_SERVES,                           /* It has rows and gets new flows. */
    MEMBER_DRAINS,                           /* No new flows; those that it has go on, until the deadline if there is one. */
    MEMBER_IS_DOWN,                          /* Its flows end. */
};

#define BALANCE_INDEX_NONE UINT16_MAX
struct balance_member {
    char member_id[UUID_TEXT_SIZE];
    uint16_t index;                          /* In rows; BALANCE_INDEX_NONE: no row names it. */
    enum member_state state;
    bool has_failed;                         /* Its health monitor found it down: so it begins on whatever host it comes to. */
    bool has_deadline;
    int64_t drain_until_s;                   /* Wall clock, of one that drains. */
};

/* Which member of a pool a flow goes to.  The API computes it (balance/table.h) and nobody else changes it; its id is made
 * of the pool's: agents know objects by their ids alone.  A member that is
 * not in the list is not known to the writer yet, and treated as one that is down.  A row whose owner does not serve takes no new flow: so it is
 * with all of them when no member is up.  No rows: there never was a member that served. */
void balance_rows_id(const char *id, char ret[UUID_TEXT_SIZE]); /* Of the pool's id that of its rows, and back. */
struct balance_rows {
    struct object object;
    char load_balancer_id[UUID_TEXT_SIZE];
    uint64_t lineage, sequence;              /* Of the table: numbers of one lineage grow. */
    struct balance_member *members;
    size_t n_members;
    uint8_t *rows;                           /* 8 bytes each, as struct balance_row of balance/table.h, of little-endian numbers. */
    size_t n_row_bytes;
};

/* How much of a listener's connection_limit one host may use: connections of its own clients, and of clients outside to its members.  The API divides
 * (api/connection-limit.h) and nobody else changes it.  A host without one may have none. */
struct listener_share {
    struct object object;
    char load_balancer_id[UUID_TEXT_SIZE], listener_id[UUID_TEXT_SIZE];
    char *host;
    uint32_t share;                          /* Connections. */
    uint32_t held;                           /* Taken from the limit: at least 'share', and more until the host is known to have applied that. */
    bool waits;                              /* It needs more, and there was none. */
};

#endif
