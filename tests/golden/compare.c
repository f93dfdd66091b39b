/* Golden tests of the compiler: a case file (objects and facts as JSON) in, tables as text out.
 *
 *     golden CASE.json EXPECTED.tables           compares; the difference is shown by diff(1)
 *     golden CASE.json EXPECTED.tables --write   accepts what comes out */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "weft/base/cleanup.h"
#include "weft/base/util.h"
#include "weft/compiler/compiler.h"
#include "weft/compiler/format.h"
#include "weft/model/schema.h"

static void fail(const char *what, const char *detail)
{
    fprintf(stderr, "%s: %s\n", what, detail);
    exit(1);
}

static json_t *load(const char *path)
{
    json_error_t error;
    json_t *json = json_load_file(path, 0, &error);

    if (!json) {
        fprintf(stderr, "%s:%d: ", path, error.line);
        fail("not JSON", error.text);
    }
    return json;
}

static uint32_t number(const json_t *facts, const char *name)
{
    return (uint32_t)json_integer_value(json_object_get(facts, name));
}

static void parse_ip(const json_t *facts, const char *name, __u8 ret[16])
{
    const char *text = json_string_value(json_object_get(facts, name));
    struct ip_address address = {{0}};

    if (text && ip_parse(text, &address) < 0)
        fail("not an address", text);
    memcpy(ret, address.bytes, 16);
}

static void parse_mac(const json_t *facts, const char *name, __u8 ret[6])
{
    const char *text = json_string_value(json_object_get(facts, name));
    struct mac_address mac = {{0}};

    if (text && mac_parse(text, &mac) < 0)
        fail("not a MAC address", text);
    memcpy(ret, mac.bytes, 6);
}

static struct compile_port port_facts(const struct object *object, const json_t *facts)
{
    return (struct compile_port){
        .port = (const struct port *)object,
        .slot = number(facts, "slot"),
        .generation = number(facts, "generation"),
        .ifindex = number(facts, "ifindex"),
        .project = number(facts, "project"),
        .router_port = number(facts, "router_port"),
        .vip_port = number(facts, "vip_port"),
        .router_port_generation = number(facts, "router_port_generation"),
        .is_veth = json_is_true(json_object_get(facts, "veth")),
    };
}

static struct compile_host host_facts(const struct object *object, const json_t *facts)
{
    struct compile_host host = {.host = (const struct host *)object, .slot = number(facts, "slot")};

    parse_ip(facts, "next_hop", host.path.next_hop);
    parse_mac(facts, "source_mac", host.path.source_mac);
    parse_mac(facts, "next_hop_mac", host.path.next_hop_mac);
    host.path.ifindex = number(facts, "ifindex");
    host.path.underlay_mtu = (uint16_t)number(facts, "mtu");
    host.path.generation = number(facts, "generation");
    if (json_object_get(facts, "next_hop_mac"))
        host.path.flags = HOST_MAC_KNOWN;
    return host;
}

#define MAX_OBJECTS 256

int main(int argc, char **argv)
{
    static const struct network *networks[MAX_OBJECTS];
    static uint32_t network_projects[MAX_OBJECTS];
    static const struct subnet *subnets[MAX_OBJECTS];
    static struct compile_port ports[MAX_OBJECTS];
    static struct compile_host hosts[MAX_OBJECTS];
    static struct compile_project projects[MAX_OBJECTS];
    static struct compile_security_group groups[MAX_OBJECTS];
    static const struct security_group_rule *rules[MAX_OBJECTS];
    static struct compile_address_group address_groups[MAX_OBJECTS];
    static struct compile_router routers[MAX_OBJECTS];
    static const struct floating_ip *floating_ips[MAX_OBJECTS];
    static const struct port_forwarding *forwardings[MAX_OBJECTS];
    static const struct snat_block *blocks[MAX_OBJECTS];
    static const struct firewall_group *firewall_groups[MAX_OBJECTS];
    static const struct firewall_policy *firewall_policies[MAX_OBJECTS];
    static const struct firewall_rule *firewall_rules[MAX_OBJECTS];
    static const struct network_log *logs[MAX_OBJECTS];
    static const struct load_balancer *balancers[MAX_OBJECTS];
    static struct compile_listener listeners[MAX_OBJECTS];
    static struct compile_pool pools[MAX_OBJECTS];
    static struct compile_member members[MAX_OBJECTS];
    static const struct balance_rows *balance_rows[MAX_OBJECTS];
    static const struct listener_share *shares[MAX_OBJECTS];
    static const struct health_monitor *monitors[MAX_OBJECTS];
    static struct compile_uplink uplinks[MAX_OBJECTS];
    static struct compile_outside_neighbor neighbors[MAX_OBJECTS];
    struct object *objects[MAX_OBJECTS];
    struct snapshot snapshot = {.networks = networks, .network_projects = network_projects, .subnets = subnets, .ports = ports, .hosts = hosts, .projects = projects,
                                .security_groups = groups, .security_group_rules = rules, .address_groups = address_groups,
                                .routers = routers, .floating_ips = floating_ips, .port_forwardings = forwardings, .snat_blocks = blocks, .logs = logs,
                                .firewall_groups = firewall_groups, .firewall_policies = firewall_policies, .firewall_rules = firewall_rules,
                                .load_balancers = balancers, .listeners = listeners, .pools = pools, .members = members, .balance_rows = balance_rows,
                                .health_monitors = monitors, .listener_shares = shares,
                                .uplinks = uplinks, .outside_neighbors = neighbors};
    struct desired desired;
    struct buffer text = {0};
    size_t index;
    json_t *entry;

    if (argc < 3)
        fail("usage", "golden CASE.json EXPECTED.tables [--write]");

    json_t *input = load(argv[1]);

    snapshot.host_name = json_string_value(json_object_get(input, "host"));
    parse_ip(input, "tunnel_address", snapshot.tunnel_address.bytes);
    json_array_foreach (json_object_get(input, "objects"), index, entry) {
        const char *kind_name = json_string_value(json_object_get(entry, "kind"));
        const json_t *facts = json_object_get(entry, "facts");
        enum resource_kind kind = RESOURCE_NETWORK;
        struct error error = {0};

        if (index >= MAX_OBJECTS || !kind_name || resource_from_name(kind_name, &kind) < 0)
            fail("no such kind, or too many objects", kind_name ? kind_name : "none");
        if (object_decode(kind, json_object_get(entry, "object"), &objects[index], &error) < 0)
            fail(error.field, error.message);
        if (kind == RESOURCE_NETWORK) {
            network_projects[snapshot.n_networks] = number(facts, "project");
            networks[snapshot.n_networks++] = (struct network *)objects[index];
        }
        if (kind == RESOURCE_SUBNET)
            subnets[snapshot.n_subnets++] = (struct subnet *)objects[index];
        else if (kind == RESOURCE_PORT)
            ports[snapshot.n_ports++] = port_facts(objects[index], facts);
        else if (kind == RESOURCE_HOST)
            hosts[snapshot.n_hosts++] = host_facts(objects[index], facts);
        else if (kind == RESOURCE_SECURITY_GROUP)
            groups[snapshot.n_security_groups++] = (struct compile_security_group){(struct security_group *)objects[index], number(facts, "number")};
        else if (kind == RESOURCE_SECURITY_GROUP_RULE)
            rules[snapshot.n_security_group_rules++] = (struct security_group_rule *)objects[index];
        else if (kind == RESOURCE_ROUTER)
            routers[snapshot.n_routers++] = (struct compile_router){(struct router *)objects[index], number(facts, "number")};
        else if (kind == RESOURCE_FLOATING_IP)
            floating_ips[snapshot.n_floating_ips++] = (struct floating_ip *)objects[index];
        else if (kind == RESOURCE_PORT_FORWARDING)
            forwardings[snapshot.n_port_forwardings++] = (struct port_forwarding *)objects[index];
        else if (kind == RESOURCE_LOG)
            logs[snapshot.n_logs++] = (struct network_log *)objects[index];
        else if (kind == RESOURCE_SNAT_BLOCK)
            blocks[snapshot.n_snat_blocks++] = (struct snat_block *)objects[index];
        else if (kind == RESOURCE_FIREWALL_GROUP)
            firewall_groups[snapshot.n_firewall_groups++] = (struct firewall_group *)objects[index];
        else if (kind == RESOURCE_FIREWALL_POLICY)
            firewall_policies[snapshot.n_firewall_policies++] = (struct firewall_policy *)objects[index];
        else if (kind == RESOURCE_FIREWALL_RULE)
            firewall_rules[snapshot.n_firewall_rules++] = (struct firewall_rule *)objects[index];
        else if (kind == RESOURCE_LOAD_BALANCER)
            balancers[snapshot.n_load_balancers++] = (struct load_balancer *)objects[index];
        else if (kind == RESOURCE_LISTENER)
            listeners[snapshot.n_listeners++] = (struct compile_listener){(struct listener *)objects[index], number(facts, "number")};
        else if (kind == RESOURCE_POOL)
            pools[snapshot.n_pools++] = (struct compile_pool){(struct pool *)objects[index], number(facts, "number")};
        else if (kind == RESOURCE_POOL_MEMBER)
            members[snapshot.n_members++] = (struct compile_member){(struct pool_member *)objects[index], number(facts, "number")};
        else if (kind == RESOURCE_BALANCE_ROWS)
            balance_rows[snapshot.n_balance_rows++] = (struct balance_rows *)objects[index];
        else if (kind == RESOURCE_LISTENER_SHARE)
            shares[snapshot.n_listener_shares++] = (struct listener_share *)objects[index];
        else if (kind == RESOURCE_HEALTH_MONITOR)
            monitors[snapshot.n_health_monitors++] = (struct health_monitor *)objects[index];
        else if (kind == RESOURCE_ADDRESS_GROUP)
            address_groups[snapshot.n_address_groups++] = (struct compile_address_group){(struct address_group *)objects[index], number(facts, "number")};
    }
    for (int table = 0; table < N_DESIRED_TABLES; table++)
        snapshot.room[table] = number(json_object_get(input, "room"), desired_table_name(table));
    if (json_object_get(input, "probe_ifindex")) {
        snapshot.probe_ifindex = number(input, "probe_ifindex");
        parse_mac(input, "probe_mac", snapshot.probe_mac.bytes);
    }
    json_array_foreach (json_object_get(input, "projects"), index, entry)
        projects[snapshot.n_projects++] = (struct compile_project){
            number(entry, "index"), {number(entry, "max_half_open"), number(entry, "max_established"), number(entry, "max_learned")}};

    json_array_foreach (json_object_get(input, "uplinks"), index, entry) {
        struct compile_uplink *uplink = &uplinks[snapshot.n_uplinks++];

        *uplink = (struct compile_uplink){.physical_network = json_string_value(json_object_get(entry, "physical_network")),
                                          .ifindex = number(entry, "ifindex"), .mtu = (uint16_t)number(entry, "mtu")};
        parse_mac(entry, "mac", uplink->mac.bytes);
    }
    json_array_foreach (json_object_get(input, "outside_neighbors"), index, entry) {
        struct compile_outside_neighbor *neighbor = &neighbors[snapshot.n_outside_neighbors++];

        string_copy(neighbor->network_id, sizeof(neighbor->network_id), json_string_value(json_object_get(entry, "network_id")));
        parse_ip(entry, "address", neighbor->address.bytes);
        parse_mac(entry, "mac", neighbor->mac.bytes);
    }

    desired_init(&desired);
    if (compile(&snapshot, &desired) < 0 || format_desired(&desired, &text) < 0)
        fail("compile", "out of memory");

    const char *path = argc > 3 ? argv[2] : "actual.tables";
    char actual[] = "/tmp/weft-golden-XXXXXX", command[1024];
    int fd = argc > 3 ? -1 : mkstemp(actual);
    FILE *file = argc > 3 ? fopen(path, "w") : fdopen(fd, "w");

    if (!file || fwrite(text.data, 1, text.size, file) != text.size || fclose(file) != 0)
        fail("cannot write", path);

    int result = 0;

    if (argc == 3) {
        snprintf(command, sizeof(command), "diff -u '%s' '%s'", argv[2], actual);
        result = system(command) == 0 ? 0 : 1;
        unlink(actual);
    }
    desired_clear(&desired);
    buffer_clear(&text);
    for (size_t i = 0; i < json_array_size(json_object_get(input, "objects")); i++)
        object_free(objects[i]);
    json_decref(input);
    return result;
}
