/* What a change costs an agent: gathering and compiling everything, and writing the difference.
 *
 *     bench-compile [PIN-PATH [PORTS [ROUTERS]]]    10,000 ports and 500 routers unless given; with a pin path (a folder on bpffs that goes
 *                                       again afterwards; root) also gathering, and what is written into the kernel's maps
 *
 * Prints JSON for bench_compile.py: of many runs, the median of the CPU time.  A tenth of the ports is on this host; each port has a security group whose rules name the group itself; each
 * router joins two networks and has its gateway on one external network, with a floating IP for each tenth port and a block of ports. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "weft/agent/gather.h"
#include "weft/base/memory.h"
#include "weft/base/util.h"
#include "weft/compiler/compiler.h"
#include "weft/dataplane/maps.h"

#define N_HOSTS 50
#define RUNS 21
#define RULES_PER_GROUP 5

struct world {
    size_t n_ports, n_routers, n_networks;
    struct network *networks;
    struct subnet *subnets;
    struct port *ports;          /* Workloads, then three of each router. */
    struct fixed_ip *fixed_ips;
    struct object_id *port_groups;
    struct security_group *groups;
    struct security_group_rule *rules;
    struct router *routers;
    struct floating_ip *floating_ips;
    struct snat_block *blocks;
    struct host hosts[N_HOSTS];
    char host_names[N_HOSTS][8];
    struct text physical_network;

    const struct network **network_pointers;
    const struct subnet **subnet_pointers;
    struct compile_port *compile_ports;
    struct compile_security_group *compile_groups;
    const struct security_group_rule **rule_pointers;
    struct compile_router *compile_routers;
    const struct floating_ip **floating_pointers;
    const struct snat_block **block_pointers;
    struct compile_host compile_hosts[N_HOSTS];
    struct snapshot snapshot;
};

/* Of this thread: what else runs here is left out. */
static uint64_t cpu_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static void *make(size_t n, size_t size)
{
    void *memory = calloc(n + 1, size);

    if (!memory)
        exit(1);
    return memory;
}

static void set_id(char id[UUID_TEXT_SIZE], unsigned kind, size_t i)
{
    snprintf(id, UUID_TEXT_SIZE, "%08x-0000-4000-8000-%012x", (unsigned)((unsigned)i * 2654435761u), kind << 24 | (unsigned)i);
}

static struct mac_address mac_of(size_t i)
{
    return (struct mac_address){{2, 0, (uint8_t)(i >> 24), (uint8_t)(i >> 16), (uint8_t)(i >> 8), (uint8_t)i}};
}

static void make_port(struct world *world, size_t i, size_t network, uint32_t address)
{
    struct port *port = &world->ports[i];

    set_id(port->object.id, 3, i);
    string_copy(port->network_id, UUID_TEXT_SIZE, world->networks[network].object.id);
    port->object.admin_state_up = true;
    port->mac = mac_of(i);
    world->fixed_ips[i].address = ip_from_v4(address);
    string_copy(world->fixed_ips[i].subnet_id, UUID_TEXT_SIZE, world->subnets[network].object.id);
    port->fixed_ips = &world->fixed_ips[i];
    port->n_fixed_ips = 1;
    world->compile_ports[i].port = port;
}

static void make_networks(struct world *world)
{
    for (size_t i = 0; i < world->n_networks; i++) { /* The last is external. */
        struct network *network = &world->networks[i];
        struct subnet *subnet = &world->subnets[i];

        set_id(network->object.id, 1, i);
        network->object.admin_state_up = true;
        network->vni = 100 + (uint32_t)i;
        network->mtu = 1450;
        set_id(subnet->object.id, 2, i);
        string_copy(subnet->network_id, UUID_TEXT_SIZE, network->object.id);
        subnet->cidr = (struct ip_prefix){ip_from_v4(0x0a000000 + ((uint32_t)i << 8)), 24};
        world->network_pointers[i] = network;
        world->subnet_pointers[i] = subnet;
    }
    world->networks[world->n_networks - 1].is_external = true;
    world->networks[world->n_networks - 1].physical_network = world->physical_network.text;
    world->subnets[world->n_networks - 1].cidr = (struct ip_prefix){ip_from_v4(0xc6120000), 15};
    world->subnets[world->n_networks - 1].has_gateway = true;
    world->subnets[world->n_networks - 1].gateway = ip_from_v4(0xc6120001);
}

static void make_workloads(struct world *world)
{
    size_t n_inner = world->n_networks - 1;

    for (size_t i = 0; i < world->n_ports; i++) {
        struct port *port = &world->ports[i];

        make_port(world, i, i % n_inner, 0x0a000000 + ((uint32_t)(i % n_inner) << 8) + 2 + (uint32_t)(i / n_inner));
        port->port_security_enabled = port->has_security_groups = true;
        string_copy(world->port_groups[i].id, UUID_TEXT_SIZE, world->groups[i % n_inner / 2].object.id);
        port->security_groups = &world->port_groups[i];
        port->n_security_groups = 1;
        port->binding_host_id = world->host_names[i % 10 ? 1 + i % (N_HOSTS - 1) : 0];
        if (i % 10 == 0)
            world->compile_ports[i].slot = 1 + (uint32_t)(i / 10), world->compile_ports[i].ifindex = 1000 + (uint32_t)i;
    }
}

static void make_groups(struct world *world, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        set_id(world->groups[i].object.id, 4, i);
        world->groups[i].stateful = true;
        world->compile_groups[i] = (struct compile_security_group){&world->groups[i], 1 + (uint32_t)i};
        for (size_t k = 0; k < RULES_PER_GROUP; k++) {
            struct security_group_rule *rule = &world->rules[i * RULES_PER_GROUP + k];

            set_id(rule->object.id, 5, i * RULES_PER_GROUP + k);
            string_copy(rule->security_group_id, UUID_TEXT_SIZE, world->groups[i].object.id);
            rule->ip_version = k % 2 ? 6 : 4;
            rule->direction = k < 2 ? RULE_EGRESS : RULE_INGRESS;
            if (k == 2)
                string_copy(rule->remote_group_id, UUID_TEXT_SIZE, world->groups[i].object.id);
            if (k > 2)
                rule->protocol = (char *)"tcp", rule->has_port_min = rule->has_port_max = true, rule->port_min = rule->port_max = 22;
            world->rule_pointers[i * RULES_PER_GROUP + k] = rule;
        }
    }
}

static void make_routers(struct world *world)
{
    size_t external = world->n_networks - 1;

    for (size_t i = 0; i < world->n_routers; i++) {
        struct router *router = &world->routers[i];
        struct snat_block *block = &world->blocks[i];
        uint32_t outside = 0xc6120100 + (uint32_t)i;

        set_id(router->object.id, 6, i);
        router->object.admin_state_up = router->enable_snat = true;
        for (size_t k = 0; k < 3; k++) {
            size_t port = world->n_ports + 3 * i + k, network = k < 2 ? (2 * i + k) % external : external;

            make_port(world, port, network, k < 2 ? 0x0a000001 + ((uint32_t)network << 8) : outside);
            world->ports[port].device_id = router->object.id;
            world->ports[port].device_owner = (char *)(k < 2 ? DEVICE_ROUTER_INTERFACE : DEVICE_ROUTER_GATEWAY);
            world->compile_ports[port].router_port = 1 + (uint32_t)(3 * i + k);
        }
        world->compile_routers[i] = (struct compile_router){router, 1 + (uint32_t)i};
        set_id(block->object.id, 7, i);
        string_copy(block->router_id, UUID_TEXT_SIZE, router->object.id);
        string_copy(block->network_id, UUID_TEXT_SIZE, world->networks[external].object.id);
        block->address = ip_from_v4(outside);
        block->first_port = block->n_ports = 1024;
        block->host = world->host_names[i % N_HOSTS];
        world->block_pointers[i] = block;
    }
    for (size_t i = 0; i < world->n_ports / 10; i++) {
        struct floating_ip *floating_ip = &world->floating_ips[i];
        size_t port = 10 * i + i % 10;

        set_id(floating_ip->object.id, 8, i);
        string_copy(floating_ip->floating_network_id, UUID_TEXT_SIZE, world->networks[external].object.id);
        string_copy(floating_ip->port_id, UUID_TEXT_SIZE, world->ports[port].object.id);
        string_copy(floating_ip->router_id, UUID_TEXT_SIZE, world->routers[port % external / 2].object.id);
        floating_ip->floating_address = ip_from_v4(0xc6130000 + (uint32_t)i);
        world->floating_pointers[i] = floating_ip;
    }
}

static void make_world(struct world *world, size_t n_ports, size_t n_routers)
{
    size_t n_all = n_ports + 3 * n_routers, n_groups = n_routers;

    *world = (struct world){
        .n_ports = n_ports, .n_routers = n_routers, .n_networks = 2 * n_routers + 1, .physical_network = {(char *)"ext"},
        .networks = make(2 * n_routers + 1, sizeof(*world->networks)), .subnets = make(2 * n_routers + 1, sizeof(*world->subnets)),
        .ports = make(n_all, sizeof(*world->ports)), .fixed_ips = make(n_all, sizeof(*world->fixed_ips)),
        .port_groups = make(n_ports, sizeof(*world->port_groups)), .groups = make(n_groups, sizeof(*world->groups)),
        .rules = make(n_groups * RULES_PER_GROUP, sizeof(*world->rules)), .routers = make(n_routers, sizeof(*world->routers)),
        .floating_ips = make(n_ports / 10, sizeof(*world->floating_ips)), .blocks = make(n_routers, sizeof(*world->blocks)),
        .network_pointers = make(2 * n_routers + 1, sizeof(void *)), .subnet_pointers = make(2 * n_routers + 1, sizeof(void *)),
        .compile_ports = make(n_all, sizeof(*world->compile_ports)), .compile_groups = make(n_groups, sizeof(*world->compile_groups)),
        .rule_pointers = make(n_groups * RULES_PER_GROUP, sizeof(void *)),
        .compile_routers = make(n_routers, sizeof(*world->compile_routers)),
        .floating_pointers = make(n_ports / 10, sizeof(void *)), .block_pointers = make(n_routers, sizeof(void *)),
    };
    for (size_t i = 0; i < N_HOSTS; i++) {
        struct host *host = &world->hosts[i];

        snprintf(world->host_names[i], sizeof(world->host_names[i]), "h%zu", i % 1000);
        host->object.name = world->host_names[i];
        host->state = HOST_STATE_UP;
        host->has_tunnel_address = true;
        host->tunnel_address = ip_from_v4(0xc0000200 + (uint32_t)i);
        host->physical_networks = &world->physical_network;
        host->n_physical_networks = i % 10 == 0;
        world->compile_hosts[i] = (struct compile_host){.host = host, .slot = (uint32_t)i, .path = {.next_hop = {1}}};
    }
    make_networks(world);
    make_groups(world, n_groups);
    make_workloads(world);
    make_routers(world);
    world->snapshot = (struct snapshot){
        .host_name = "h0", .networks = world->network_pointers, .n_networks = world->n_networks, .subnets = world->subnet_pointers,
        .n_subnets = world->n_networks, .ports = world->compile_ports, .n_ports = n_all, .hosts = world->compile_hosts, .n_hosts = N_HOSTS,
        .security_groups = world->compile_groups, .n_security_groups = n_groups, .security_group_rules = world->rule_pointers,
        .n_security_group_rules = n_groups * RULES_PER_GROUP, .routers = world->compile_routers, .n_routers = n_routers,
        .floating_ips = world->floating_pointers, .n_floating_ips = n_ports / 10, .snat_blocks = world->block_pointers,
        .n_snat_blocks = n_routers, .tunnel_address = ip_from_v4(0xc0000200),
    };
}

static int compare_times(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return x < y ? -1 : x > y;
}

static double median_ms(uint64_t *times_ns, size_t n)
{
    qsort(times_ns, n, sizeof(*times_ns), compare_times);
    return (double)times_ns[n / 2] / 1e6;
}

static void must(int result, const char *what)
{
    if (result < 0) {
        fprintf(stderr, "%s: %s\n", what, strerror(-result));
        exit(1);
    }
}

static void print(const char *name, double ms, const char *goal)
{
    static bool is_first = true;

    printf("%s{\"name\": \"%s\", \"unit\": \"ms\", \"ours\": %.3f, \"goal\": \"%s\"}", is_first ? "[" : ",\n ", name, ms, goal);
    is_first = false;
}

/* ---- the agent that gathers ----------------------------------------------------------------------------------------------------- */

static void replica_add(struct agent *agent, enum resource_kind kind, struct object *object)
{
    object->kind = kind;
    must(replica_keep(&agent->replica, object, 1), "replica_keep");
}

/* A workload of this host has its interface, as its own link. */
static void link_add(struct agent *agent, const struct compile_port *port)
{
    struct link *link = make(1, sizeof(*link));

    link->ifindex = port->ifindex;
    link->peer_elsewhere = true;
    string_copy(link->kind, sizeof(link->kind), "veth");
    snprintf(link->name, sizeof(link->name), TAP_PREFIX "%.*s", TAP_ID_SIZE, port->port->object.id);
    must(hashmap_insert(&agent->links.by_name, &link->by_name, link->name, strlen(link->name)), "links");
}

/* The way to it is known. */
static void host_add(struct agent *agent, const struct host *model)
{
    struct agent_host *host = make(1, sizeof(*host));

    string_copy(host->name, sizeof(host->name), model->object.name);
    host->slot = local_slot(&agent->local, SLOT_HOST, host->name)->number;
    host->address = model->tunnel_address;
    host->path.next_hop[0] = 1;
    host->resolved = true;
    must(hashmap_insert(&agent->hosts, &host->by_name, host->name, strlen(host->name)), "hosts");
}

/* Where the agent notes its numbers: a folder that goes with the process. */
static char folder[] = "/tmp/weft-bench-compile-XXXXXX", journal[sizeof(folder) + 8];

static void remove_folder(void)
{
    unlink(journal);
    rmdir(folder);
}

static void open_numbers(struct agent *agent, const uint32_t limits[N_SLOT_KINDS])
{
    struct error error = {0};

    must(mkdtemp(folder) ? 0 : -errno, "mkdtemp");
    snprintf(journal, sizeof(journal), "%s/numbers", folder);
    atexit(remove_folder);
    must(local_open(&agent->local, journal, limits, &error), "local_open");
}

static void make_agent(struct agent *agent, struct world *world, struct maps *maps)
{
    struct maps_sizes sizes = maps_sizes(maps);
    const uint32_t limits[N_SLOT_KINDS] = {sizes.n_ports, sizes.n_hosts, sizes.n_projects, MAX_GROUPS, sizes.n_router_ports, MAX_ROUTERS,
                                           SERVICE_LISTENERS_DEFAULT, SERVICE_POOLS_MAX, SERVICE_MEMBERS_MAX};

    *agent = (struct agent){.maps = maps, .options.host = (char *)"h0", .tunnel_address = world->snapshot.tunnel_address};
    open_numbers(agent, limits);
    agent->port_by_slot = make(sizes.n_ports, sizeof(*agent->port_by_slot));
    for (size_t i = 0; i < world->n_networks; i++) {
        replica_add(agent, RESOURCE_NETWORK, &world->networks[i].object);
        replica_add(agent, RESOURCE_SUBNET, &world->subnets[i].object);
    }
    for (size_t i = 0; i < world->snapshot.n_ports; i++) {
        replica_add(agent, RESOURCE_PORT, &world->ports[i].object);
        if (world->compile_ports[i].ifindex)
            link_add(agent, &world->compile_ports[i]);
    }
    for (size_t i = 0; i < world->n_routers; i++) {
        replica_add(agent, RESOURCE_SECURITY_GROUP, &world->groups[i].object);
        replica_add(agent, RESOURCE_ROUTER, &world->routers[i].object);
        replica_add(agent, RESOURCE_SNAT_BLOCK, &world->blocks[i].object);
    }
    for (size_t i = 0; i < world->snapshot.n_security_group_rules; i++)
        replica_add(agent, RESOURCE_SECURITY_GROUP_RULE, &world->rules[i].object);
    for (size_t i = 0; i < world->snapshot.n_floating_ips; i++)
        replica_add(agent, RESOURCE_FLOATING_IP, &world->floating_ips[i].object);
    for (size_t i = 0; i < N_HOSTS; i++) {
        set_id(world->hosts[i].object.id, 9, i);
        replica_add(agent, RESOURCE_HOST, &world->hosts[i].object);
        if (i)
            host_add(agent, &world->hosts[i]);
    }
}

/* With what goes back afterwards. */
static void gather_end(struct agent *agent, struct gathered *gathered)
{
    gathered_clear(gathered);
    for (int kind = 0; kind < N_SLOT_KINDS; kind++)
        local_sweep(&agent->local, kind);
}

/* ---- measuring ------------------------------------------------------------------------------------------------------------------ */

static void measure_compile(const struct world *world, struct desired *desired)
{
    uint64_t times_ns[RUNS];

    for (size_t i = 0; i < RUNS; i++) {
        uint64_t start_ns = cpu_ns();

        must(compile(&world->snapshot, desired), "compile");
        times_ns[i] = cpu_ns() - start_ns;
    }
    print("compile everything", median_ms(times_ns, RUNS), "<= 100");
}

/* Gathers, compiles and applies; of the changes a remote port's new address in turn. */
static void measure_change(struct world *world, struct agent *agent, struct desired *desired, bool is_change)
{
    uint64_t gather_ns[RUNS], compile_ns[RUNS], apply_ns[RUNS], all_ns[RUNS], now_ms = 1000000;
    struct maps_changes changes;
    struct gathered gathered;

    for (size_t i = 0; i < RUNS; i++) {
        uint64_t start_ns, gathered_ns, compiled_ns, applied_ns, end_ns;

        if (is_change)
            world->fixed_ips[1].address = ip_from_v4(0x0a0001c8 + (uint32_t)(i % 2));
        start_ns = cpu_ns();
        must(agent_gather(agent, &gathered), "gather");
        gathered_ns = cpu_ns();
        must(compile(&gathered.snapshot, desired), "compile");
        compiled_ns = cpu_ns();
        must(maps_apply(agent->maps, desired, true, now_ms += 1000, &changes), "apply");
        applied_ns = cpu_ns();
        gather_end(agent, &gathered);
        end_ns = cpu_ns();
        gather_ns[i] = gathered_ns - start_ns + end_ns - applied_ns;
        compile_ns[i] = compiled_ns - gathered_ns;
        apply_ns[i] = applied_ns - compiled_ns;
        all_ns[i] = end_ns - start_ns;
    }
    print(is_change ? "a port's new address: gather" : "nothing changed: gather", median_ms(gather_ns, RUNS), "");
    print(is_change ? "a port's new address: compile" : "nothing changed: compile", median_ms(compile_ns, RUNS), "");
    print(is_change ? "a port's new address: difference and writing" : "nothing changed: difference", median_ms(apply_ns, RUNS), "");
    print(is_change ? "a port's new address: together" : "nothing changed: together", median_ms(all_ns, RUNS), is_change ? "<= 5" : "");
}

/* From nothing: all numbers are given out, and all is written into empty maps. */
static void measure_beginning(struct agent *agent, struct desired *desired)
{
    struct maps_changes changes;
    struct gathered gathered;
    uint64_t start_ns = cpu_ns(), written_ns;

    must(agent_gather(agent, &gathered), "gather");
    must(compile(&gathered.snapshot, desired), "compile");
    written_ns = cpu_ns();
    must(maps_apply(agent->maps, desired, true, 1000, &changes), "apply");
    print("everything is written into empty maps", (double)(cpu_ns() - written_ns) / 1e6, "");
    gather_end(agent, &gathered);
    print("from scratch: together", (double)(cpu_ns() - start_ns) / 1e6, "<= 2000");
}

int main(int argc, char **argv)
{
    static struct world world;
    static struct agent agent;
    struct error error = {0};
    struct desired desired;
    struct maps *maps = NULL;

    memory_keep();
    make_world(&world, argc > 2 ? strtoul(argv[2], NULL, 10) : 10000, argc > 3 ? strtoul(argv[3], NULL, 10) : 500);
    desired_init(&desired);
    must(desired_remember(&desired), "remember");
    measure_compile(&world, &desired);
    if (argc > 1) {
        struct maps_sizes sizes = {.n_ports = (uint32_t)(world.n_ports / 10 + 2)};

        if (maps_open(argv[1], &sizes, &maps, &error) < 0) {
            fprintf(stderr, "%s\n", error.message);
            return 1;
        }
        make_agent(&agent, &world, maps);
        measure_beginning(&agent, &desired);
        measure_change(&world, &agent, &desired, false);
        measure_change(&world, &agent, &desired, true);
        local_close(&agent.local);
        maps_close(maps);
    }
    printf("]\n");
    desired_clear(&desired);
    return 0;
}
