/* Opening the data plane: programs loaded, maps found by their pins or created: see maps.h. */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include "weft/base/util.h"
#include "weft/base/uuid.h"
#include "weft/dataplane/load.h"
#include "weft.skel.h" /* Generated; by this name ninja knows when it changed. */

#define BPFFS "/sys/fs/bpf"

static const char *const program_names[N_PROGRAMS] = {
    [PROGRAM_FROM_WORKLOAD] = "from_workload",
    [PROGRAM_FROM_UNDERLAY] = "from_underlay",
    [PROGRAM_TO_TUNNEL] = "to_tunnel",
    [PROGRAM_THROUGH_NEIGHBOR] = "through_neighbor",
    [PROGRAM_FROM_UPLINK] = "from_uplink",
    [PROGRAM_FROM_METADATA] = "from_metadata",
    [PROGRAM_END_CONNECTION] = "end_connection",
};

/* ---- the pin path ---------------------------------------------------------------------------------------------------- */

static int make_folders(const char *path, struct error *error)
{
    char part[512];

    if (string_copy(part, sizeof(part), path) < 0)
        return error_set(error, -ENAMETOOLONG, "pin-path", "pin-path: '%s' is too long", path);
    for (char *slash = strchr(part + 1, '/');; slash = strchr(slash + 1, '/')) {
        if (slash)
            *slash = 0;
        if (mkdir(part, 0700) < 0 && errno != EEXIST)
            return error_set(error, -errno, "pin-path", "pin-path: cannot create '%s': %s", part, strerror(errno));
        if (!slash)
            return 0;
        *slash = '/';
    }
}

static bool is_bpffs(const char *path)
{
    struct statfs status;

    return statfs(path, &status) == 0 && status.f_type == BPF_FS_MAGIC;
}

static int prepare_pin_path(const char *path, struct error *error)
{
    if (strncmp(path, BPFFS "/", strlen(BPFFS "/")) == 0 && !is_bpffs(BPFFS) &&
        mount("bpf", BPFFS, "bpf", MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=0700") < 0)
        return error_set(error, -errno, "pin-path", "cannot mount bpffs at '" BPFFS "': %s", strerror(errno));

    int result = make_folders(path, error);

    if (result < 0)
        return result;
    if (!is_bpffs(path))
        return error_set(error, -EINVAL, "pin-path", "pin-path: '%s' is not on a BPF file system", path);
    return 0;
}

/* ---- sizes ------------------------------------------------------------------------------------------------------------- */

/* A pinned map keeps its size: what is asked for now counts from the next 'weft-agent detach' on. */
static uint32_t pinned_size(const char *path)
{
    _cleanup_(closep) int fd = bpf_obj_get(path);
    struct bpf_map_info info = {0};
    uint32_t size = sizeof(info);

    if (fd < 0 || bpf_obj_get_info_by_fd(fd, &info, &size) < 0)
        return 0;
    return info.max_entries;
}

static uint32_t power_of_two(uint32_t at_least)
{
    uint32_t n = FLOW_SLOTS_MIN;

    while (n < at_least && n < FLOW_SLOTS_MAX)
        n *= 2;
    return n;
}

static uint32_t wanted_size(const struct maps *maps, const char *name)
{
    if (streq(name, "ports") || streq(name, "port_runtime") || streq(name, "metadata_budget") || streq(name, "fragments") || streq(name, "verdict_runtime") || streq(name, "half_open") || streq(name, "port_counters") || streq(name, "policies"))
        return maps->sizes.n_ports;
    if (streq(name, "hosts") || streq(name, "host_runtime"))
        return maps->sizes.n_hosts;
    if (streq(name, "projects"))
        return maps->sizes.n_projects;
    if (streq(name, "flow_heads"))
        return maps->sizes.n_connections / 2;
    if (streq(name, "connections") || streq(name, "aliases") || streq(name, "balanced") || streq(name, "balanced_names"))
        return maps->sizes.n_connections;
    if (streq(name, "router_ports") || streq(name, "router_port_runtime") || streq(name, "outside_budget") ||
        streq(name, "router_verdict_runtime"))
        return maps->sizes.n_router_ports;
    return 0; /* As the program says. */
}

/* A host is upgraded a port after the other, so programs of two releases work side by side for a while.  A map whose key, value and meaning did
 * not change is shared by them, with all that it holds.  One that did change is another map, pinned with its layout behind its name: this agent
 * fills it before it attaches programs that read it, and those of the earlier release go on with theirs.  What only programs write (connections)
 * is read by the new ones in both (bpf/previous.h).  When no program of the earlier release is left, the pins of what was replaced are removed;
 * should that release come back, it makes its maps again.
 *
 * Another size is no such change: a map that is there keeps its size until the host starts again.  And what is named by another table, as rule sets by
 * policies, changes only together with that one: programs of the earlier release would look for the names in theirs. */
static const struct {
    const char *name;
    unsigned layout; /* From 1, which has nothing behind the map's name; "-2" and so on then. */
} changed_maps[] = {{"connections", 3}, {"half_open", 2}, {"sweeper", 3}, {"networks", 2}, {"flood", 2}, {"projects", 2}, {"settings", 2}, {"fragments", 2}};
static const struct {
    const char *name;
    unsigned layout;
} former_maps[] = {{"forwardings", 1}, {"flow_slots", 1}, {"flow_slots", 2}}; /* Replaced by one of another name, or by none. */

static void layout_file(const struct maps *maps, const char *map, unsigned layout, char path[600])
{
    if (layout == 1)
        snprintf(path, 600, "%s/%s", maps->path, map);
    else
        snprintf(path, 600, "%s/%s-%u", maps->path, map, layout);
}

static void pin_file(const struct maps *maps, const char *map, char path[600])
{
    unsigned layout = 1;

    for (size_t i = 0; i < ARRAY_SIZE(changed_maps); i++)
        if (streq(map, changed_maps[i].name))
            layout = changed_maps[i].layout;
    layout_file(maps, map, layout, path);
}

/* The connections of the release before, if its programs are still at work, or were a moment ago (bpf/previous.h). */
static int set_up_former_connections(struct maps *maps)
{
    struct bpf_map *map = maps->skeleton->maps.former_connections;
    char path[600];

    pin_file(maps, "connections", path);
    maps->has_own_of_before = pinned_size(path) != 0;
    layout_file(maps, "connections", FORMER_LAYOUT, path);
    uint32_t size = pinned_size(path);
    maps->has_former = size != 0;
    return !size ? 0 : bpf_map__set_max_entries(map, size) < 0 || bpf_map__set_pin_path(map, path) < 0 ? -ENOMEM : 0;
}

static int set_up_maps(struct maps *maps, struct error *error)
{
    struct bpf_map *map;

    bpf_object__for_each_map(map, maps->object) {
        const char *name = bpf_map__name(map);
        char path[600];

        if (strchr(name, '.') || streq(name, "scratch") || streq(name, "packets") || streq(name, "former_connections")) /* .rodata, .bss: belong to the program, not to the data. */
            continue;
        pin_file(maps, name, path);
        uint32_t size = pinned_size(path);

        if (!size)
            size = wanted_size(maps, name);
        if ((size && bpf_map__set_max_entries(map, size) < 0) || bpf_map__set_pin_path(map, path) < 0)
            return error_set(error, -ENOMEM, NULL, "cannot set up map '%s'", name);
    }
    return set_up_former_connections(maps) < 0 ? error_set(error, -ENOMEM, NULL, "cannot set up map 'former_connections'") : 0;
}

uint32_t maps_size(const struct maps *maps, const char *name)
{
    const struct bpf_map *map = bpf_object__find_map_by_name(maps->object, name);

    return map ? bpf_map__max_entries(map) : 0;
}

uint32_t maps_room(const struct maps *maps, enum desired_table table)
{
    uint32_t size = maps_size(maps, desired_table_name(table));

    /* A map of an earlier release is used whole, as that release did: half of it may be less than what is there. */
    return table == TABLE_RULES || table == TABLE_FIREWALL_RULES ? MAX(size / 2, MIN(size, RULE_BLOCKS_MAX / 2)) : size;
}

/* Both maps were made of one size, unless an agent died between the two, and the next one was asked for another. */
static uint32_t size_of_connections(const struct maps *maps)
{
    return MIN(maps_size(maps, "connections"), 2 * maps_size(maps, "flow_heads"));
}

/* What the programs are told before they are loaded. */
static void set_constants(struct maps *maps)
{
    maps->skeleton->rodata->flow_n_slots = size_of_connections(maps);
    maps->skeleton->rodata->has_former_connections = maps->has_former;
}

/* ---- mapping and finding ------------------------------------------------------------------------------------------------- */

int maps_descriptor(const struct maps *maps, const char *name)
{
    const struct bpf_map *map = bpf_object__find_map_by_name(maps->object, name);

    return map ? bpf_map__fd(map) : -ENOENT;
}

int maps_former_connections(const struct maps *maps)
{
    return bpf_map__fd(maps->skeleton->maps.former_connections);
}

int maps_map_array(const struct maps *maps, const char *name, size_t value_size, void *ret_memory, size_t *ret_size, struct error *error)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    size_t size = ((value_size + 7) / 8 * 8) * maps_size(maps, name);
    void *memory;

    size = (size + page - 1) / page * page;
    memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, maps_descriptor(maps, name), 0);
    if (memory == MAP_FAILED)
        return error_set(error, -errno, NULL, "cannot map '%s' into memory: %s", name, strerror(errno));
    memcpy(ret_memory, &memory, sizeof(memory));
    *ret_size = size;
    return 0;
}

static int find_maps(struct maps *maps, struct error *error)
{
    int result = 0;

    maps->sizes.n_ports = maps_size(maps, "ports");
    maps->sizes.n_hosts = maps_size(maps, "hosts");
    maps->sizes.n_projects = maps_size(maps, "projects");
    maps->sizes.n_router_ports = maps_size(maps, "router_ports");
    maps->sizes.n_connections = size_of_connections(maps);
    maps->n_cpus = libbpf_num_possible_cpus();
    if (maps->n_cpus < 0)
        return error_set(error, maps->n_cpus, NULL, "cannot count the CPUs: %s", strerror(-maps->n_cpus));
    maps->counters_fd = maps_descriptor(maps, "port_counters");
    for (int table = 0; table < N_DESIRED_TABLES && result == 0; table++) {
        maps->hash_fds[table] = maps_descriptor(maps, desired_table_name(table));
        if (desired_table_is_array(table))
            result = records_open(maps, table, error);
    }
    if (result == 0)
        result = maps_map_array(maps, "settings", sizeof(struct settings), &maps->settings, &maps->settings_size, error);
    if (result == 0)
        result = maps_map_array(maps, "connections", sizeof(struct flow_entry), &maps->connections, &maps->connections_size, error);
    if (result == 0)
        result = maps_map_array(maps, "port_runtime", sizeof(struct port_runtime), &maps->runtime, &maps->runtime_size, error);
    if (result == 0)
        result = maps_map_array(maps, "verdict_config", sizeof(struct verdict_config), &maps->verdict_config, &maps->verdict_config_size, error);
    if (result == 0)
        result = maps_map_array(maps, "verdict_runtime", sizeof(struct verdict_runtime), &maps->verdict_runtime, &maps->verdict_runtime_size, error);
    if (result == 0)
        result = maps_map_array(maps, "router_verdict_runtime", sizeof(struct verdict_runtime), &maps->router_verdict_runtime,
                                &maps->router_verdict_runtime_size, error);
    return result;
}

/* ---- public ----------------------------------------------------------------------------------------------------------------- */

/* What libbpf says is kept for the error of a failed load, and otherwise not shown: it also warns of the ordinary. */
static char libbpf_said[4096];

static int keep_message(enum libbpf_print_level level, const char *format, va_list arguments)
{
    if (level == LIBBPF_WARN) {
        size_t size = strlen(libbpf_said);

        if (size > sizeof(libbpf_said) / 2) /* The end says what was refused. */
            size = 0;
        vsnprintf(libbpf_said + size, sizeof(libbpf_said) - size, format, arguments);
    }
    return 0;
}

/* Programs of an earlier start are replaced in the pins; where they are attached they go on until attach_program. */
static int pin_programs(struct maps *maps, const char *pin_path, struct error *error)
{
    for (int i = 0; i < N_PROGRAMS; i++) {
        char path[600];
        int fd = maps_program(maps, i);

        snprintf(path, sizeof(path), "%s/program_%s", pin_path, program_names[i]);
        unlink(path);
        if (fd < 0 || bpf_obj_pin(fd, path) < 0)
            return error_set(error, -errno, NULL, "cannot pin '%s': %s", path, strerror(errno));
    }
    return 0;
}

int maps_open(const char *pin_path, const struct maps_sizes *sizes, struct maps **ret_maps, struct error *error)
{
    _cleanup_(maps_closep) struct maps *maps = calloc(1, sizeof(*maps));
    int result;

    if (!maps)
        return error_set(error, -ENOMEM, NULL, "out of memory");
    desired_init(&maps->actual);
    rows_init(&maps->unnamed, sizeof(struct set_key), sizeof(uint64_t));
    maps->sizes = (struct maps_sizes){
        sizes->n_ports ? sizes->n_ports : MAX_PORTS_DEFAULT,
        sizes->n_hosts ? sizes->n_hosts : MAX_HOSTS_DEFAULT,
        sizes->n_projects ? sizes->n_projects : MAX_PROJECTS_DEFAULT,
        sizes->n_router_ports ? sizes->n_router_ports : MAX_ROUTER_PORTS_DEFAULT,
        power_of_two(sizes->n_connections ? sizes->n_connections : FLOW_SLOTS_DEFAULT),
    };
    if (snprintf(maps->path, sizeof(maps->path), "%s/v%d", pin_path, TABLES_LAYOUT) >= (int)sizeof(maps->path))
        return error_set(error, -ENAMETOOLONG, "pin-path", "pin-path: '%s' is too long", pin_path);
    result = prepare_pin_path(maps->path, error);
    if (result < 0)
        return result;

    libbpf_set_print(keep_message);
    libbpf_said[0] = 0;
    maps->skeleton = weft_bpf__open();
    if (!maps->skeleton)
        return error_set(error, -errno, NULL, "cannot open the BPF programs: %s", strerror(errno));
    maps->object = maps->skeleton->obj;
    result = set_up_maps(maps, error);
    if (result < 0)
        return result;
    set_constants(maps);
    result = weft_bpf__load(maps->skeleton);
    if (result < 0)
        return error_set(error, result, NULL, "cannot load the BPF programs: %s: %s", strerror(-result), libbpf_said);
    result = pin_programs(maps, maps->path, error);
    if (result == 0)
        result = find_maps(maps, error);
    if (result < 0)
        return result;
    result = maps_read_back(maps);
    if (result < 0)
        return error_set(error, result, NULL, "cannot read the maps: %s", strerror(-result));
    if (maps->has_former && maps->has_own_of_before)
        maps_renew_by_former(maps);
    *ret_maps = TAKE_PTR(maps);
    return 0;
}

int64_t maps_retire_previous(struct maps *maps)
{
    int64_t n_taken = maps->has_former ? maps_end_former(maps) : 0;
    char path[600];

    if (n_taken < 0)
        return n_taken;
    maps->has_former = false;

    for (size_t i = 0; i < ARRAY_SIZE(changed_maps); i++)
        for (unsigned layout = 1; layout < changed_maps[i].layout; layout++) {
            layout_file(maps, changed_maps[i].name, layout, path);
            unlink(path);
        }
    for (size_t i = 0; i < ARRAY_SIZE(former_maps); i++) {
        layout_file(maps, former_maps[i].name, former_maps[i].layout, path);
        unlink(path);
    }
    return n_taken;
}

static void unmap(const void *memory, size_t size)
{
    if (memory)
        munmap((void *)memory, size);
}

void maps_close(struct maps *maps)
{
    if (!maps)
        return;
    for (int table = 0; table < N_DESIRED_TABLES; table++)
        records_close(maps, table);
    unmap(maps->settings, maps->settings_size);
    unmap(maps->connections, maps->connections_size);
    unmap(maps->runtime, maps->runtime_size);
    unmap(maps->verdict_config, maps->verdict_config_size);
    unmap(maps->verdict_runtime, maps->verdict_runtime_size);
    unmap(maps->router_verdict_runtime, maps->router_verdict_runtime_size);
    weft_bpf__destroy(maps->skeleton);
    desired_clear(&maps->actual);
    rows_clear(&maps->unnamed);
    free(maps);
}

struct maps_sizes maps_sizes(const struct maps *maps)
{
    return maps->sizes;
}

int maps_program(const struct maps *maps, enum program program)
{
    const struct bpf_program *found = bpf_object__find_program_by_name(maps->object, program_names[program]);

    return found ? bpf_program__fd(found) : -ENOENT;
}

const struct settings *maps_settings(const struct maps *maps)
{
    return maps->settings;
}

void maps_configure(struct maps *maps, struct settings settings)
{
    settings.n_ports = maps->sizes.n_ports;
    settings.n_hosts = maps->sizes.n_hosts;
    settings.n_projects = maps->sizes.n_projects;
    settings.n_flow_slots = maps->settings->n_flow_slots;
    settings.hash_seed = maps->settings->hash_seed;
    while (!settings.hash_seed)
        random_bytes(&settings.hash_seed, sizeof(settings.hash_seed));
    if (memcmp(maps->settings, &settings, sizeof(settings)) != 0)
        *maps->settings = settings;
}

void maps_configure_verdicts(struct maps *maps, uint32_t rate, uint32_t burst)
{
    *maps->verdict_config = (struct verdict_config){.rate = rate, .burst = burst};
}

static uint64_t take_left_out(struct verdict_runtime *runtime)
{
    uint64_t n_left_out = __atomic_load_n(&runtime->n_left_out, __ATOMIC_RELAXED), n = n_left_out - runtime->n_said;

    runtime->n_said = n_left_out;
    return n;
}

uint64_t maps_verdicts_left_out(struct maps *maps, uint32_t slot)
{
    return slot < maps->sizes.n_ports ? take_left_out(&maps->verdict_runtime[slot]) : 0;
}

uint64_t maps_router_verdicts_left_out(struct maps *maps, uint32_t number)
{
    return number < maps->sizes.n_router_ports ? take_left_out(&maps->router_verdict_runtime[number]) : 0;
}
