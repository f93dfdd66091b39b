/* Which switches there are, how they are linked, and where hosts are. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "load.h"
#include "weft/base/util.h"

static void make_switches(uint64_t n)
{
    if (n < 1 || n > N_SWITCHES_MAX)
        die("%llu switches: 1 to %d can be", (unsigned long long)n, N_SWITCHES_MAX);
    load.n_switches = (uint32_t)n;
    load.switches = allocate(n, sizeof(*load.switches));
    for (uint32_t i = 0; i < n; i++)
        load.switches[i] = (struct emulated_switch){.index = i, .fd = -1};
}

static uint32_t add_port(struct emulated_switch *sw)
{
    struct link_end *links = realloc(sw->links, (sw->n_links + 1) * sizeof(*links));
    if (!links)
        die("out of memory");
    sw->links = links;
    links[sw->n_links] = (struct link_end){0};
    return ++sw->n_links;
}

static void add_link(uint32_t a, uint32_t b)
{
    struct emulated_switch *sa = &load.switches[a], *sb = &load.switches[b];
    if (a == b)
        die("a link of switch %u to itself", a + 1);
    uint32_t pa = add_port(sa), pb = add_port(sb);
    sa->links[pa - 1] = (struct link_end){.peer = b, .peer_port = pb};
    sb->links[pb - 1] = (struct link_end){.peer = a, .peer_port = pa};
    load.n_link_ends += 2;
}

/* k pods of k/2 edge and k/2 aggregation switches, and (k/2)^2 core switches.  The edge switches come first. */
static void make_fat_tree(uint32_t k)
{
    uint32_t half = k / 2, n_edge = k * half;
    if (k < 2 || k % 2)
        die("a fat-tree's k is even and at least 2, not %u", k);
    make_switches((uint64_t)5 * half * half);
    for (uint32_t pod = 0; pod < k; pod++)
        for (uint32_t i = 0; i < half; i++) {
            uint32_t aggregation = n_edge + pod * half + i;
            for (uint32_t j = 0; j < half; j++) {
                add_link(pod * half + j, aggregation);
                add_link(aggregation, 2 * n_edge + i * half + j);
            }
        }
    load.n_edges = n_edge;
}

/* Two numbers a line; '#' begins a comment. */
static void read_links(const char *path)
{
    FILE *file = fopen(path, "re");
    char line[256];
    if (!file)
        die("%s cannot be read", path);
    make_switches(load.settings.n_switches);
    for (unsigned number = 1; fgets(line, sizeof(line), file); number++) {
        unsigned a, b;
        line[strcspn(line, "#\n")] = '\0';
        if (line[strspn(line, " \t")] == '\0')
            continue;
        if (sscanf(line, "%u %u", &a, &b) != 2 || a < 1 || b < 1 || a > load.n_switches || b > load.n_switches)
            die("%s:%u: '%s' is not two switches of 1 to %u", path, number, line, load.n_switches);
        add_link(a - 1, b - 1);
    }
    fclose(file);
}

static void place_hosts(void)
{
    if (load.settings.n_hosts > N_HOSTS_MAX)
        die("%llu hosts: at most %d can be", (unsigned long long)load.settings.n_hosts, N_HOSTS_MAX);
    load.n_hosts = (uint32_t)load.settings.n_hosts;
    if (load.n_hosts < 2 * load.n_edges)
        die("%u hosts: each of %u switches with hosts needs 2", load.n_hosts, load.n_edges);
    load.edges = allocate(load.n_edges, sizeof(*load.edges));
    for (uint32_t i = 0; i < load.n_edges; i++) {
        struct emulated_switch *sw = &load.switches[i];
        load.edges[i] = i;
        sw->edge = i;
        sw->n_hosts = (load.n_hosts - i + load.n_edges - 1) / load.n_edges;
        sw->n_host_ports = MIN(sw->n_hosts, (uint32_t)HOST_PORTS_MAX);
    }
}

void topology_make(void)
{
    const char *name = load.settings.topology;
    if (streq(name, "fat-tree")) {
        make_fat_tree((uint32_t)load.settings.k);
    } else if (strncmp(name, "file:", 5) == 0) {
        read_links(name + 5);
    } else if (streq(name, "none") || streq(name, "linear") || streq(name, "ring")) {
        make_switches(load.settings.n_switches);
        for (uint32_t i = 1; i < load.n_switches && !streq(name, "none"); i++)
            add_link(i - 1, i);
        if (streq(name, "ring") && load.n_switches > 2)
            add_link(load.n_switches - 1, 0);
    } else {
        die("'%s' is no topology: none, linear, ring, fat-tree or file:PATH", name);
    }
    if (load.n_edges == 0)
        load.n_edges = load.n_switches;
    place_hosts();
}
