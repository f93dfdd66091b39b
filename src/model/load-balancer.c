/* The resources of load balancing (Octavia's v2 API): load balancers, listeners, pools, members, health monitors; and the rows that the
 * API computes for each pool. */
#include <netinet/in.h>
#include <string.h>

#include "weft/base/util.h"
#include "weft/model/resources.h"

#define TAGS_MAX 50
#define TAG_MAX_CHARACTERS 255
#define VIPS_MAX 32
#define CIDRS_MAX 256
#define TIMEOUT_MAX_MS UINT32_MAX

const char *port_load_balancer_id(const struct port *port)
{
    size_t length = strlen(DEVICE_LOAD_BALANCER_ID);

    return port->device_id && strncmp(port->device_id, DEVICE_LOAD_BALANCER_ID, length) == 0 && uuid_is_valid(port->device_id + length)
               ? port->device_id + length
               : NULL;
}

/* Another version of UUID (RFC 9562, 4.2): 8 instead of 4, which no object's own has. */
void balance_rows_id(const char *id, char ret[UUID_TEXT_SIZE])
{
    char *version = ret + 14;

    string_copy(ret, UUID_TEXT_SIZE, id);
    if (*version == '4' || *version == '8')
        *version = *version == '4' ? '8' : '4';
}

uint8_t balance_protocol_number(enum balance_protocol protocol)
{
    return protocol == BALANCE_UDP ? IPPROTO_UDP : protocol == BALANCE_SCTP ? IPPROTO_SCTP : IPPROTO_TCP;
}

static const char *const protocols[] = {[BALANCE_TCP] = "TCP", [BALANCE_UDP] = "UDP", [BALANCE_SCTP] = "SCTP"};

static const struct attribute tag[] = {
    {.name = "", .type = TYPE_STRING, .offset = 0, .size = sizeof(char *), .maximum = TAG_MAX_CHARACTERS},
    {.name = NULL},
};

#define TAGS_ATTRIBUTE(structure)                                                                                                           \
    {.name = "tags", LIST(structure, tags, n_tags, tag), .maximum = TAGS_MAX, .flags = ATTRIBUTE_WRITE | ATTRIBUTE_NULL_EMPTY,              \
     .help = "Words of its owner's to find it by."}

static const struct attribute additional_vip[] = {
    {.name = "subnet_id", .type = TYPE_UUID, FIELD(struct additional_vip, subnet_id), .flags = ATTRIBUTE_REQUIRED, .help = "A subnet of the VIP's network."},
    {.name = "ip_address", .type = TYPE_IP, FIELD(struct additional_vip, address), .help = "An address in it; one is chosen unless given."},
    {.name = NULL},
};

static const struct attribute load_balancer_attributes[] = {
    COMMON_ATTRIBUTES,
    ADMIN_STATE_ATTRIBUTE,
    {.name = "vip_address", .type = TYPE_IP, FIELD(struct load_balancer, vip_address), .flags = ATTRIBUTE_POST | ATTRIBUTE_FIND,
     .help = "Where it is reached; chosen unless given."},
    {.name = "vip_subnet_id", .type = TYPE_UUID, FIELD(struct load_balancer, vip_subnet_id),
     .flags = ATTRIBUTE_POST | ATTRIBUTE_FIND | ATTRIBUTE_NULLABLE, .help = "The subnet of the address."},
    {.name = "vip_network_id", .type = TYPE_UUID, FIELD(struct load_balancer, vip_network_id),
     .flags = ATTRIBUTE_POST | ATTRIBUTE_FIND | ATTRIBUTE_NULLABLE, .help = "The network of the address."},
    {.name = "vip_port_id", .type = TYPE_UUID, FIELD(struct load_balancer, vip_port_id), .flags = ATTRIBUTE_POST | ATTRIBUTE_FIND | ATTRIBUTE_NULLABLE,
     .help = "The port that has the address; one is made unless given."},
    {.name = "owns_vip_port", .type = TYPE_BOOL, FIELD(struct load_balancer, owns_vip_port), .flags = ATTRIBUTE_INTERNAL,
     .help = "The port was made with it."},
    {.name = "additional_vips", LIST(struct load_balancer, additional_vips, n_additional_vips, additional_vip), .maximum = VIPS_MAX,
     .flags = ATTRIBUTE_POST | ATTRIBUTE_UNIQUE | ATTRIBUTE_NULL_EMPTY, .help = "Further addresses of the VIP's network."},
    {.name = "provider", .type = TYPE_STRING, FIELD(struct load_balancer, provider), .flags = ATTRIBUTE_POST | ATTRIBUTE_FIND | ATTRIBUTE_NULLABLE,
     .maximum = 64, .help = "Who does it: weft."},
    {.name = "availability_zone", .type = TYPE_STRING, FIELD(struct load_balancer, availability_zone),
     .flags = ATTRIBUTE_POST | ATTRIBUTE_FIND | ATTRIBUTE_NULLABLE, .maximum = 255, .help = "There are none."},
    {.name = "flavor_id", .type = TYPE_UUID, FIELD(struct load_balancer, flavor_id), .flags = ATTRIBUTE_POST | ATTRIBUTE_FIND | ATTRIBUTE_NULLABLE,
     .help = "There are none."},
    {.name = "vip_qos_policy_id", .type = TYPE_UUID, FIELD(struct load_balancer, vip_qos_policy_id),
     .flags = ATTRIBUTE_WRITE | ATTRIBUTE_FIND | ATTRIBUTE_NULLABLE, .help = "There are none."},
    TAGS_ATTRIBUTE(struct load_balancer),
    {.name = NULL},
};

const struct schema load_balancer_schema = {
    .kind = RESOURCE_LOAD_BALANCER,
    .name = "loadbalancer",
    .collection = "loadbalancers",
    .size = sizeof(struct load_balancer),
    .attributes = load_balancer_attributes,
    .help = "An address behind which servers share the work.",
};

static const struct attribute cidr[] = {
    {.name = "", .type = TYPE_PREFIX, .offset = 0, .size = sizeof(struct ip_prefix), .flags = ATTRIBUTE_HOST_BITS},
    {.name = NULL},
};

#define TIMEOUT_ATTRIBUTE(attribute_name, member, value, text)                                                                              \
    {.name = attribute_name, .type = TYPE_UINT, FIELD(struct listener, member), .maximum = TIMEOUT_MAX_MS,                                  \
     .flags = ATTRIBUTE_WRITE | ATTRIBUTE_FIND | ATTRIBUTE_NULL_DEFAULT, .default_json = value, .help = text}

/* Releases before gave each listener 50000, which had no effect: only with the second attribute, behind it, is it what somebody has asked for. */
#define SILENCE_ATTRIBUTES(attribute_name, member, has)                                                                                     \
    {.name = attribute_name, .type = TYPE_UINT, FIELD(struct listener, member), PRESENCE(struct listener, has), .maximum = TIMEOUT_MAX_MS,   \
     .flags = ATTRIBUTE_WRITE | ATTRIBUTE_FIND | ATTRIBUTE_NULLABLE,                                                                        \
     .help = "Milliseconds of silence, the shorter one of both, after which a connection ends; 0 or null: the hosts' own times."},          \
    {.name = #has, .type = TYPE_BOOL, FIELD(struct listener, has), .flags = ATTRIBUTE_INTERNAL, .default_json = "false"}

static const struct attribute listener_attributes[] = {
    COMMON_ATTRIBUTES,
    ADMIN_STATE_ATTRIBUTE,
    {.name = "loadbalancer_id", .type = TYPE_UUID, FIELD(struct listener, load_balancer_id), .flags = ATTRIBUTE_POST | ATTRIBUTE_REQUIRED | ATTRIBUTE_FILTER,
     .help = "The load balancer of it."},
    {.name = "protocol", .type = TYPE_ENUM, FIELD(struct listener, protocol), VALUES(protocols),
     .flags = ATTRIBUTE_POST | ATTRIBUTE_REQUIRED | ATTRIBUTE_FIND, .help = "TCP, UDP or SCTP."},
    {.name = "protocol_port", .type = TYPE_UINT, FIELD(struct listener, protocol_port), .minimum = 1, .maximum = 65535,
     .flags = ATTRIBUTE_POST | ATTRIBUTE_REQUIRED | ATTRIBUTE_FIND, .help = "The port of the VIP."},
    {.name = "connection_limit", .type = TYPE_INT, FIELD(struct listener, connection_limit), .maximum = INT32_MAX,
     .flags = ATTRIBUTE_WRITE | ATTRIBUTE_FIND | ATTRIBUTE_NULL_DEFAULT, .default_json = "-1", .help = "How many connections may exist at once; -1: any number."},
    {.name = "default_pool_id", .type = TYPE_UUID, FIELD(struct listener, default_pool_id),
     .flags = ATTRIBUTE_WRITE | ATTRIBUTE_FIND | ATTRIBUTE_NULLABLE, .help = "The pool that serves it."},
    {.name = "allowed_cidrs", LIST(struct listener, allowed_cidrs, n_allowed_cidrs, cidr), .maximum = CIDRS_MAX,
     .flags = ATTRIBUTE_WRITE | ATTRIBUTE_NULL_EMPTY, .help = "The only clients, as prefixes; everybody unless given."},
    SILENCE_ATTRIBUTES("timeout_client_data", timeout_client_data, has_timeout_client_data),
    TIMEOUT_ATTRIBUTE("timeout_member_connect", timeout_member_connect, "5000", "Kept, of no effect: clients connect to members themselves."),
    SILENCE_ATTRIBUTES("timeout_member_data", timeout_member_data, has_timeout_member_data),
    TIMEOUT_ATTRIBUTE("timeout_tcp_inspect", timeout_tcp_inspect, "0", "Kept, of no effect: nobody reads content."),
    TAGS_ATTRIBUTE(struct listener),
    {.name = NULL},
};

const struct schema listener_schema = {
    .kind = RESOURCE_LISTENER,
    .name = "listener",
    .collection = "listeners",
    .size = sizeof(struct listener),
    .attributes = listener_attributes,
    .help = "A protocol and port of a load balancer's address.",
};

static const char *const algorithms[] = {[BALANCE_ROUND_ROBIN] = "ROUND_ROBIN", [BALANCE_LEAST_CONNECTIONS] = "LEAST_CONNECTIONS",
                                         [BALANCE_SOURCE_IP] = "SOURCE_IP", [BALANCE_SOURCE_IP_PORT] = "SOURCE_IP_PORT"};

/* Requests have "session_persistence", an object, and "listener_id": the API's business. */
static const struct attribute pool_attributes[] = {
    COMMON_ATTRIBUTES,
    ADMIN_STATE_ATTRIBUTE,
    {.name = "loadbalancer_id", .type = TYPE_UUID, FIELD(struct pool, load_balancer_id), .flags = ATTRIBUTE_POST | ATTRIBUTE_FILTER | ATTRIBUTE_NULLABLE,
     .help = "The load balancer of it; or give its listener."},
    {.name = "protocol", .type = TYPE_ENUM, FIELD(struct pool, protocol), VALUES(protocols),
     .flags = ATTRIBUTE_POST | ATTRIBUTE_REQUIRED | ATTRIBUTE_FIND, .help = "TCP, UDP or SCTP: that of the listeners."},
    {.name = "lb_algorithm", .type = TYPE_ENUM, FIELD(struct pool, algorithm), VALUES(algorithms),
     .flags = ATTRIBUTE_WRITE | ATTRIBUTE_REQUIRED | ATTRIBUTE_FIND, .help = "How the members share the clients."},
    {.name = "has_persistence", .type = TYPE_BOOL, FIELD(struct pool, has_persistence), .flags = ATTRIBUTE_INTERNAL,
     .help = "A client stays with its member,"},
    {.name = "persistence_timeout", .type = TYPE_UINT, FIELD(struct pool, persistence_timeout), PRESENCE(struct pool, has_persistence_timeout),
     .flags = ATTRIBUTE_INTERNAL | ATTRIBUTE_NULLABLE, .help = "for so many seconds,"},
    {.name = "persistence_length", .type = TYPE_UINT, FIELD(struct pool, persistence_length), PRESENCE(struct pool, has_persistence_granularity),
     .maximum = 128, .flags = ATTRIBUTE_INTERNAL | ATTRIBUTE_NULLABLE, .help = "and clients with so many first bits in common are one."},
    TAGS_ATTRIBUTE(struct pool),
    {.name = NULL},
};

const struct schema pool_schema = {
    .kind = RESOURCE_POOL,
    .name = "pool",
    .collection = "pools",
    .size = sizeof(struct pool),
    .attributes = pool_attributes,
    .help = "Servers that share the work of listeners.",
};

static const char *const healths[] = {[MEMBER_HEALTH_UNKNOWN] = "UNKNOWN", [MEMBER_HEALTH_UP] = "UP", [MEMBER_HEALTH_DOWN] = "DOWN"};

static const struct attribute member_attributes[] = {
    COMMON_ATTRIBUTES,
    ADMIN_STATE_ATTRIBUTE,
    {.name = "pool_id", .type = TYPE_UUID, FIELD(struct pool_member, pool_id), .flags = ATTRIBUTE_INTERNAL, .help = "The pool that it is in,"},
    {.name = "loadbalancer_id", .type = TYPE_UUID, FIELD(struct pool_member, load_balancer_id), .flags = ATTRIBUTE_INTERNAL,
     .help = "and the load balancer of that."},
    {.name = "address", .type = TYPE_IP, FIELD(struct pool_member, address), .flags = ATTRIBUTE_POST | ATTRIBUTE_REQUIRED | ATTRIBUTE_FIND,
     .help = "The server's address."},
    {.name = "protocol_port", .type = TYPE_UINT, FIELD(struct pool_member, protocol_port), .minimum = 1, .maximum = 65535,
     .flags = ATTRIBUTE_POST | ATTRIBUTE_REQUIRED | ATTRIBUTE_FIND, .help = "The server's port."},
    {.name = "weight", .type = TYPE_UINT, FIELD(struct pool_member, weight), .maximum = 256,
     .flags = ATTRIBUTE_WRITE | ATTRIBUTE_FIND | ATTRIBUTE_NULL_DEFAULT, .default_json = "1", .help = "Its share among the others' weights; 0: it finishes what it has."},
    {.name = "backup", .type = TYPE_BOOL, FIELD(struct pool_member, backup),
     .flags = ATTRIBUTE_WRITE | ATTRIBUTE_FIND | ATTRIBUTE_NULL_DEFAULT, .default_json = "false",
     .help = "It serves only while no other is up."},
    {.name = "subnet_id", .type = TYPE_UUID, FIELD(struct pool_member, subnet_id), .flags = ATTRIBUTE_POST | ATTRIBUTE_FIND | ATTRIBUTE_NULLABLE,
     .help = "The subnet of the address; found unless given."},
    {.name = "at_subnet_id", .type = TYPE_UUID, FIELD(struct pool_member, at_subnet_id), .flags = ATTRIBUTE_INTERNAL,
     .help = "Where the address was found,"},
    {.name = "at_network_id", .type = TYPE_UUID, FIELD(struct pool_member, at_network_id), .flags = ATTRIBUTE_INTERNAL,
     .help = "and the network of that."},
    {.name = "monitor_address", .type = TYPE_IP, FIELD(struct pool_member, monitor_address), PRESENCE(struct pool_member, has_monitor_address),
     .flags = ATTRIBUTE_WRITE | ATTRIBUTE_FIND | ATTRIBUTE_NULLABLE, .help = "The address that is probed instead,"},
    {.name = "monitor_port", .type = TYPE_UINT, FIELD(struct pool_member, monitor_port), PRESENCE(struct pool_member, has_monitor_port), .minimum = 1,
     .maximum = 65535, .flags = ATTRIBUTE_WRITE | ATTRIBUTE_FIND | ATTRIBUTE_NULLABLE, .help = "and the port."},
    TAGS_ATTRIBUTE(struct pool_member),
    {.name = "health", .type = TYPE_ENUM, FIELD(struct pool_member, health), VALUES(healths), .flags = ATTRIBUTE_INTERNAL | ATTRIBUTE_DERIVED,
     .help = "What the host of its port says."},
    {.name = NULL},
};

const struct schema pool_member_schema = {
    .kind = RESOURCE_POOL_MEMBER,
    .name = "member",
    .collection = "members",
    .size = sizeof(struct pool_member),
    .attributes = member_attributes,
    .help = "A server of a pool.",
};

static const char *const monitor_types[] = {[MONITOR_PING] = "PING",           [MONITOR_TCP] = "TCP",
                                            [MONITOR_HTTP] = "HTTP",           [MONITOR_HTTPS] = "HTTPS",
                                            [MONITOR_TLS_HELLO] = "TLS-HELLO", [MONITOR_UDP_CONNECT] = "UDP-CONNECT",
                                            [MONITOR_SCTP] = "SCTP"};

#define HTTP_ATTRIBUTE(attribute_name, member, limit, text)                                                                                 \
    {.name = attribute_name, .type = TYPE_STRING, FIELD(struct health_monitor, member), .maximum = limit,                                   \
     .flags = ATTRIBUTE_WRITE | ATTRIBUTE_FIND | ATTRIBUTE_NULLABLE, .help = text}

static const struct attribute monitor_attributes[] = {
    COMMON_ATTRIBUTES,
    ADMIN_STATE_ATTRIBUTE,
    {.name = "pool_id", .type = TYPE_UUID, FIELD(struct health_monitor, pool_id), .flags = ATTRIBUTE_POST | ATTRIBUTE_REQUIRED | ATTRIBUTE_FILTER,
     .help = "The pool whose members it watches,"},
    {.name = "loadbalancer_id", .type = TYPE_UUID, FIELD(struct health_monitor, load_balancer_id), .flags = ATTRIBUTE_INTERNAL,
     .help = "and the load balancer of that."},
    {.name = "type", .type = TYPE_ENUM, FIELD(struct health_monitor, type), VALUES(monitor_types),
     .flags = ATTRIBUTE_POST | ATTRIBUTE_REQUIRED | ATTRIBUTE_FIND, .help = "How members are probed."},
    {.name = "delay", .type = TYPE_UINT, FIELD(struct health_monitor, delay), .minimum = 1, .maximum = 86400,
     .flags = ATTRIBUTE_WRITE | ATTRIBUTE_REQUIRED | ATTRIBUTE_FIND, .help = "Seconds between probes."},
    {.name = "timeout", .type = TYPE_UINT, FIELD(struct health_monitor, timeout), .minimum = 1, .maximum = 86400,
     .flags = ATTRIBUTE_WRITE | ATTRIBUTE_REQUIRED | ATTRIBUTE_FIND, .help = "Seconds that an answer may take; at most the delay."},
    {.name = "max_retries", .type = TYPE_UINT, FIELD(struct health_monitor, max_retries), .minimum = 1, .maximum = 10,
     .flags = ATTRIBUTE_WRITE | ATTRIBUTE_REQUIRED | ATTRIBUTE_FIND, .help = "Successes until a member is up again."},
    {.name = "max_retries_down", .type = TYPE_UINT, FIELD(struct health_monitor, max_retries_down), .minimum = 1, .maximum = 10,
     .flags = ATTRIBUTE_WRITE | ATTRIBUTE_FIND | ATTRIBUTE_NULL_DEFAULT, .default_json = "3", .help = "Failures until a member is down."},
    HTTP_ATTRIBUTE("http_method", http_method, 16, "The method of the request."),
    HTTP_ATTRIBUTE("url_path", url_path, 255, "What is asked for: '/' and so on."),
    HTTP_ATTRIBUTE("expected_codes", expected_codes, 64, "The status codes that are well: '200', '200,202', '200-204'."),
    HTTP_ATTRIBUTE("domain_name", domain_name, 255, "The Host of the request."),
    {.name = "http_version", .type = TYPE_STRING, FIELD(struct health_monitor, http_version), .flags = ATTRIBUTE_INTERNAL | ATTRIBUTE_NULLABLE,
     .help = "1.0 or 1.1: a number in the API."},
    TAGS_ATTRIBUTE(struct health_monitor),
    {.name = NULL},
};

const struct schema health_monitor_schema = {
    .kind = RESOURCE_HEALTH_MONITOR,
    .name = "healthmonitor",
    .collection = "healthmonitors",
    .size = sizeof(struct health_monitor),
    .attributes = monitor_attributes,
    .help = "How the members of a pool are probed.",
};

static const char *const states[] = {[MEMBER_SERVES] = "SERVES", [MEMBER_DRAINS] = "DRAINS", [MEMBER_IS_DOWN] = "DOWN"};

static const struct attribute balance_member[] = {
    {.name = "id", .type = TYPE_UUID, FIELD(struct balance_member, member_id), .flags = ATTRIBUTE_REQUIRED},
    {.name = "index", .type = TYPE_UINT, FIELD(struct balance_member, index), .flags = ATTRIBUTE_REQUIRED},
    {.name = "state", .type = TYPE_ENUM, FIELD(struct balance_member, state), VALUES(states), .flags = ATTRIBUTE_REQUIRED},
    {.name = "failed", .type = TYPE_BOOL, FIELD(struct balance_member, has_failed)},
    {.name = "drain_until", .type = TYPE_TIME, FIELD(struct balance_member, drain_until_s), PRESENCE(struct balance_member, has_deadline),
     .flags = ATTRIBUTE_NULLABLE},
    {.name = NULL},
};

static const struct attribute balance_rows_attributes[] = {
    COMMON_ATTRIBUTES,
    {.name = "loadbalancer_id", .type = TYPE_UUID, FIELD(struct balance_rows, load_balancer_id), .flags = ATTRIBUTE_INTERNAL,
     .help = "The pool's load balancer."},
    {.name = "lineage", .type = TYPE_UINT, FIELD(struct balance_rows, lineage), .flags = ATTRIBUTE_INTERNAL, .help = "Of the table."},
    {.name = "sequence", .type = TYPE_UINT, FIELD(struct balance_rows, sequence), .flags = ATTRIBUTE_INTERNAL, .help = "Of its last change."},
    {.name = "members", LIST(struct balance_rows, members, n_members, balance_member), .flags = ATTRIBUTE_INTERNAL, .help = "The pool's members."},
    {.name = "rows", BYTES(struct balance_rows, rows, n_row_bytes), .flags = ATTRIBUTE_INTERNAL, .help = "Which of them a flow goes to."},
    {.name = NULL},
};

const struct schema balance_rows_schema = {
    .kind = RESOURCE_BALANCE_ROWS,
    .name = "balance_rows",
    .collection = "balance_rows",
    .size = sizeof(struct balance_rows),
    .attributes = balance_rows_attributes,
    .help = "Which member of a pool a flow goes to.",
};

static const struct attribute share_attributes[] = {
    COMMON_ATTRIBUTES,
    {.name = "loadbalancer_id", .type = TYPE_UUID, FIELD(struct listener_share, load_balancer_id), .flags = ATTRIBUTE_INTERNAL,
     .help = "The listener's load balancer."},
    {.name = "listener_id", .type = TYPE_UUID, FIELD(struct listener_share, listener_id), .flags = ATTRIBUTE_INTERNAL, .help = "Whose limit it is."},
    {.name = "host", .type = TYPE_STRING, FIELD(struct listener_share, host), .maximum = 255, .flags = ATTRIBUTE_INTERNAL, .help = "Who may use it."},
    {.name = "share", .type = TYPE_UINT, FIELD(struct listener_share, share), .flags = ATTRIBUTE_INTERNAL, .help = "How many connections it may have."},
    {.name = "held", .type = TYPE_UINT, FIELD(struct listener_share, held), .flags = ATTRIBUTE_INTERNAL, .help = "How many are not anybody else's."},
    {.name = "waits", .type = TYPE_BOOL, FIELD(struct listener_share, waits), .flags = ATTRIBUTE_INTERNAL, .help = "Whether it needs more."},
    {.name = NULL},
};

const struct schema listener_share_schema = {
    .kind = RESOURCE_LISTENER_SHARE,
    .name = "listener_share",
    .collection = "listener_shares",
    .size = sizeof(struct listener_share),
    .attributes = share_attributes,
    .help = "How much of a listener's connection_limit one host may use.",
};
