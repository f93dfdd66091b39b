#include "weft/director/load.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <time.h>

#include "director.skel.h" /* Generated. */
#include "weft/base/util.h"
#include "weft/director/pins.h"

/* What libbpf says is kept for the error of a failed load, and otherwise not shown: it also warns of the ordinary. */
static char libbpf_said[4096];

static int keep_message(enum libbpf_print_level level, const char *format, va_list arguments)
{
    size_t size = strlen(libbpf_said);

    if (level != LIBBPF_WARN)
        return 0;
    if (size > sizeof(libbpf_said) / 2) /* The end says what was refused. */
        size = 0;
    vsnprintf(libbpf_said + size, sizeof(libbpf_said) - size, format, arguments);
    return 0;
}

static size_t mapped_size(const struct bpf_map *map)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE), size = (size_t)(bpf_map__value_size(map) + 7) / 8 * 8 * bpf_map__max_entries(map);

    return (size + page - 1) / page * page;
}

static int map_memory(struct bpf_map *map, void *ret_memory, struct error *error)
{
    void *memory = mmap(NULL, mapped_size(map), PROT_READ | PROT_WRITE, MAP_SHARED, bpf_map__fd(map), 0);

    if (memory == MAP_FAILED)
        return error_set(error, -errno, NULL, "cannot map '%s' into memory: %s", bpf_map__name(map), strerror(errno));
    *(void **)ret_memory = memory;
    return 0;
}

/* What grows with the configuration.  All other maps are the same ones whatever the sizes are. */
static const struct {
    const char *name;
    size_t size;     /* Where in lb_sizes. */
    uint32_t factor;
} sized_maps[] = {
    {"keys", offsetof(struct lb_sizes, n_services), 2},
    {"services", offsetof(struct lb_sizes, n_services), 1},
    {"service_use", offsetof(struct lb_sizes, n_services), 1},
    {"service_load", offsetof(struct lb_sizes, n_services), 1},
    {"service_before", offsetof(struct lb_sizes, n_services), 1},
    {"rows", offsetof(struct lb_sizes, n_blocks), 1},
    {"mark_rules", offsetof(struct lb_sizes, n_marks), 1},
    {"members", offsetof(struct lb_sizes, n_members), 1},
    {"servers", offsetof(struct lb_sizes, n_servers), 1},
    {"server_use", offsetof(struct lb_sizes, n_servers), 1},
    {"server_load", offsetof(struct lb_sizes, n_servers), 1},
    {"server_before", offsetof(struct lb_sizes, n_servers), 1},
};

static uint32_t size_of(const struct lb_sizes *sizes, size_t i)
{
    uint32_t size;

    memcpy(&size, (const char *)sizes + sized_maps[i].size, sizeof(size));
    return size * sized_maps[i].factor;
}

static int set_sizes(struct director_bpf *skeleton, const struct lb_sizes *sizes)
{
    int result = 0;

    for (size_t i = 0; i < ARRAY_SIZE(sized_maps) && result == 0; i++) {
        struct bpf_map *map = bpf_object__find_map_by_name(skeleton->obj, sized_maps[i].name);

        result = map ? bpf_map__set_max_entries(map, size_of(sizes, i)) : -ENOENT;
    }
    return result;
}

static uint32_t round_up(uint32_t n)
{
    uint32_t power = LB_CONNECTIONS_MIN;

    while (power < n && power < LB_CONNECTIONS_MAX)
        power *= 2;
    return n ? power : LB_CONNECTIONS;
}

/* Those with which the number of connections comes and goes. */
static bool is_of_connections(const char *name)
{
    return streq(name, "conn_slots") || streq(name, "conn_heads") || streq(name, "sweeper");
}

static void tell_program(struct director_bpf *skeleton, uint32_t n)
{
    skeleton->rodata->lb_n_slots = LB_SLOTS_FOR(n);
    skeleton->rodata->lb_n_heads = n;
}

static int set_connections(struct director_bpf *skeleton, uint32_t n)
{
    int result = bpf_map__set_max_entries(skeleton->maps.conn_slots, LB_SLOTS_FOR(n));

    tell_program(skeleton, n);
    return result < 0 ? result : bpf_map__set_max_entries(skeleton->maps.conn_heads, n / 2);
}

static bool is_sized(const char *name)
{
    for (size_t i = 0; i < ARRAY_SIZE(sized_maps); i++)
        if (streq(name, sized_maps[i].name))
            return true;
    return false;
}

static int map_all(struct lb_tables *tables, struct error *error)
{
    struct director_bpf *skeleton = tables->skeleton;
    int result = map_memory(skeleton->maps.services, &tables->services, error);

    if (!result)
        result = map_memory(skeleton->maps.rows, &tables->rows, error);
    if (!result)
        result = map_memory(skeleton->maps.locals, &tables->locals, error);
    if (!result)
        result = map_memory(skeleton->maps.mark_rules, &tables->mark_rules, error);
    if (!result)
        result = map_memory(skeleton->maps.members, &tables->members, error);
    if (!result)
        result = map_memory(skeleton->maps.servers, &tables->servers, error);
    if (!result)
        result = map_memory(skeleton->maps.server_load, &tables->server_load, error);
    if (!result)
        result = map_memory(skeleton->maps.service_load, &tables->service_load, error);
    if (!result)
        result = map_memory(skeleton->maps.server_before, &tables->server_before, error);
    if (!result)
        result = map_memory(skeleton->maps.service_before, &tables->service_before, error);
    if (!result)
        result = map_memory(skeleton->maps.settings, &tables->settings, error);
    if (!result)
        result = map_memory(skeleton->maps.conn_slots, &tables->conn_slots, error);
    if (!result)
        result = map_memory(skeleton->maps.conn_heads, &tables->conn_heads, error);
    return result;
}

static int reuse_unsized(struct director_bpf *skeleton, const struct lb_tables *before, bool has_same_connections)
{
    struct bpf_map *map;
    int result = 0;

    bpf_object__for_each_map(map, skeleton->obj) {
        const char *name = bpf_map__name(map);

        if (result == 0 && !strchr(name, '.') && !is_sized(name) && (has_same_connections || !is_of_connections(name)))
            result = bpf_map__reuse_fd(map, bpf_map__fd(bpf_object__find_map_by_name(before->skeleton->obj, name)));
    }
    return result;
}

/* What each CPU counted, which is added up anew from here on: packets that the program before still counts are not in it. */
static int copy_use(int to_fd, int from_fd, uint32_t n, size_t value_size, int n_cpus)
{
    _cleanup_(freep) void *values = calloc((size_t)n_cpus, (value_size + 7) / 8 * 8);

    if (!values)
        return -ENOMEM;
    for (uint32_t i = 0; i < n; i++)
        if (bpf_map_lookup_elem(from_fd, &i, values) < 0 || bpf_map_update_elem(to_fd, &i, values, BPF_ANY) < 0)
            return -errno;
    return 0;
}

/* The program before goes on counting in its own: lb_settle adds what it has counted since. */
static int copy_loads(struct lb_tables *tables, const struct lb_tables *before)
{
    const struct lb_sizes *sizes = &before->sizes;
    size_t servers_size = sizes->n_servers * sizeof(*tables->server_load), services_size = sizes->n_services * sizeof(*tables->service_load);

    tables->server_load_copied = malloc(servers_size);
    tables->service_load_copied = malloc(services_size);
    if (!tables->server_load_copied || !tables->service_load_copied)
        return -ENOMEM;
    memcpy(tables->server_load_copied, before->server_load, servers_size);
    memcpy(tables->service_load_copied, before->service_load, services_size);
    memcpy(tables->server_load, tables->server_load_copied, servers_size);
    memcpy(tables->service_load, tables->service_load_copied, services_size);
    return 0;
}

static void forget_copied(struct lb_tables *tables)
{
    free(tables->server_load_copied);
    free(tables->service_load_copied);
    tables->server_load_copied = NULL;
    tables->service_load_copied = NULL;
}

static void add_since(uint32_t *to, uint32_t now, uint32_t copied)
{
    __atomic_fetch_add(to, now - copied, __ATOMIC_RELAXED);
}

void lb_settle(struct lb_tables *tables, const struct lb_tables *before)
{
    struct timespec grace = {.tv_nsec = LB_GRACE_MS * 1000000L};

    if (!tables->server_load_copied || !tables->service_load_copied)
        return;
    nanosleep(&grace, NULL); /* Packets that the program before is about to count are through. */
    for (uint32_t i = 0; i < before->sizes.n_servers; i++) {
        const struct lb_server_load *now = &before->server_load[i], *copied = &tables->server_load_copied[i];

        add_since(&tables->server_load[i].active, now->active, copied->active);
        add_since(&tables->server_load[i].inactive, now->inactive, copied->inactive);
        add_since(&tables->server_load[i].persistent, now->persistent, copied->persistent);
    }
    for (uint32_t i = 0; i < before->sizes.n_services; i++)
        add_since(&tables->service_load[i].half_open, before->service_load[i].half_open, tables->service_load_copied[i].half_open);
    forget_copied(tables);
}

static int copy_all(struct lb_tables *tables, const struct lb_tables *before)
{
    const struct lb_sizes *sizes = &before->sizes;
    int result;

    memcpy(tables->services, before->services, sizes->n_services * sizeof(*tables->services));
    memcpy(tables->rows, before->rows, sizes->n_blocks * sizeof(*tables->rows));
    memcpy(tables->locals, before->locals, LB_LOCALS * sizeof(*tables->locals));
    memcpy(tables->mark_rules, before->mark_rules, sizes->n_marks * sizeof(*tables->mark_rules));
    memcpy(tables->members, before->members, sizes->n_members * sizeof(*tables->members));
    memcpy(tables->servers, before->servers, sizes->n_servers * sizeof(*tables->servers));
    result = copy_loads(tables, before);
    if (result < 0)
        return result;
    memcpy(tables->server_before, before->server_before, sizes->n_servers * sizeof(*tables->server_before));
    memcpy(tables->service_before, before->service_before, sizes->n_services * sizeof(*tables->service_before));
    result = copy_use(tables->service_use_fd, before->service_use_fd, sizes->n_services, sizeof(struct lb_service_use), tables->n_cpus);
    return result < 0 ? result : copy_use(tables->server_use_fd, before->server_use_fd, sizes->n_servers, sizeof(struct lb_server_use), tables->n_cpus);
}

/* NULL with '*ret_result' and '*error'. */
static struct lb_tables *open_program(int *ret_result, struct error *error)
{
    struct lb_tables *tables = calloc(1, sizeof(*tables));

    if (!tables) {
        *ret_result = error_set(error, -ENOMEM, NULL, "out of memory");
        return NULL;
    }
    libbpf_set_print(keep_message);
    libbpf_said[0] = 0;
    tables->skeleton = director_bpf__open();
    if (!tables->skeleton) {
        *ret_result = error_set(error, -errno, NULL, "cannot open the director's program: %s", strerror(errno));
        free(tables);
        return NULL;
    }
    return tables;
}

/* Once it is known which maps it uses. */
static int load_program(struct lb_tables *tables, struct error *error)
{
    struct director_bpf *skeleton = tables->skeleton;
    int result = director_bpf__load(skeleton);

    if (result < 0)
        return error_set(error, result, NULL, "cannot load the director's program: %s: %s", strerror(-result), libbpf_said);
    result = map_all(tables, error);
    if (result < 0)
        return result;
    tables->keys_fd = bpf_map__fd(skeleton->maps.keys);
    tables->mark_places_fd = bpf_map__fd(skeleton->maps.mark_places);
    tables->unresolved_fd = bpf_map__fd(skeleton->maps.unresolved);
    tables->interfaces_fd = bpf_map__fd(skeleton->maps.interfaces);
    tables->server_use_fd = bpf_map__fd(skeleton->maps.server_use);
    tables->service_use_fd = bpf_map__fd(skeleton->maps.service_use);
    tables->drops_fd = bpf_map__fd(skeleton->maps.drops);
    tables->sweeper_fd = bpf_map__fd(skeleton->maps.sweeper);
    tables->program_fd = bpf_program__fd(skeleton->progs.director);
    tables->sizes = (struct lb_sizes){
        .n_services = bpf_map__max_entries(skeleton->maps.services),
        .n_servers = bpf_map__max_entries(skeleton->maps.servers),
        .n_blocks = bpf_map__max_entries(skeleton->maps.rows),
        .n_members = bpf_map__max_entries(skeleton->maps.members),
        .n_marks = bpf_map__max_entries(skeleton->maps.mark_rules),
        .n_connections = bpf_map__max_entries(skeleton->maps.conn_heads) * 2,
    };
    tables->n_cpus = libbpf_num_possible_cpus();
    return tables->n_cpus < 0 ? error_set(error, tables->n_cpus, NULL, "cannot count the CPUs: %s", strerror(-tables->n_cpus)) : 0;
}

int lb_tables_open(const struct lb_sizes *sizes, const struct lb_tables *before, struct lb_tables **ret_tables, struct error *error)
{
    int result = 0;
    uint32_t n_connections = round_up(sizes->n_connections);
    bool has_same_connections;
    _cleanup_(lb_tables_closep) struct lb_tables *tables = open_program(&result, error);

    if (!tables)
        return result;
    has_same_connections = before && before->sizes.n_connections == n_connections;
    result = set_sizes(tables->skeleton, sizes);
    if (!result)
        result = set_connections(tables->skeleton, n_connections);
    if (!result && before)
        result = reuse_unsized(tables->skeleton, before, has_same_connections);
    if (result < 0)
        return error_set(error, result, NULL, "cannot set up the director's tables: %s", strerror(-result));
    result = load_program(tables, error);
    if (result < 0)
        return result;
    tables->settings->icmp_rate = LB_ICMP_RATE;
    if (!before && getrandom(&tables->settings->secret, sizeof(tables->settings->secret), 0) < 0)
        return error_set(error, -errno, NULL, "cannot get a random number: %s", strerror(errno));
    result = before ? copy_all(tables, before) : 0;
    if (!result && before && !has_same_connections) {
        forget_copied(tables); /* They are counted by what is copied. */
        result = lb_copy_connections(tables, before);
    }
    if (result < 0)
        return error_set(error, result, NULL, "cannot copy the director's tables: %s", strerror(-result));
    *ret_tables = TAKE_PTR(tables);
    return 0;
}

int lb_tables_find(struct lb_tables **ret_tables, struct error *error)
{
    _cleanup_(lb_tables_closep) struct lb_tables *tables = NULL;
    char path[PINS_PATH_SIZE];
    int result = pins_newest(path);

    if (result < 0)
        return error_set(error, result, NULL, "there are no tables of a director before");
    tables = open_program(&result, error);
    if (!tables)
        return result;
    result = pins_reuse(tables->skeleton->obj, path);
    if (result < 0)
        return error_set(error, result, NULL, "cannot take over the tables in '%s': %s", path,
                         result == -ESTALE ? "another release made them" : strerror(-result));
    tell_program(tables->skeleton, bpf_map__max_entries(tables->skeleton->maps.conn_heads) * 2);
    result = load_program(tables, error);
    if (result < 0)
        return result;
    *ret_tables = TAKE_PTR(tables);
    return 0;
}

static void unmap(void *memory, const struct bpf_map *map)
{
    if (memory)
        munmap(memory, mapped_size(map));
}

void lb_tables_close(struct lb_tables *tables)
{
    struct director_bpf *skeleton;

    if (!tables)
        return;
    skeleton = tables->skeleton;
    if (skeleton) {
        unmap(tables->services, skeleton->maps.services);
        unmap(tables->rows, skeleton->maps.rows);
        unmap(tables->locals, skeleton->maps.locals);
        unmap(tables->mark_rules, skeleton->maps.mark_rules);
        unmap(tables->members, skeleton->maps.members);
        unmap(tables->servers, skeleton->maps.servers);
        unmap(tables->server_load, skeleton->maps.server_load);
        unmap(tables->service_load, skeleton->maps.service_load);
        unmap(tables->server_before, skeleton->maps.server_before);
        unmap(tables->service_before, skeleton->maps.service_before);
        unmap(tables->settings, skeleton->maps.settings);
        unmap(tables->conn_slots, skeleton->maps.conn_slots);
        unmap(tables->conn_heads, skeleton->maps.conn_heads);
        director_bpf__destroy(skeleton);
    }
    forget_copied(tables);
    free(tables);
}

/* ---- outliving the process ----------------------------------------------------------------------------------------------------------- */

/* The timer runs the program that started it, with that one's tables, until another one gives it its own. */
static int take_timer(const struct lb_tables *tables)
{
    uint8_t frame[64] = {0};
    LIBBPF_OPTS(bpf_test_run_opts, run, .data_in = frame, .data_size_in = sizeof(frame), .repeat = 1);
    int result = bpf_prog_test_run_opts(bpf_program__fd(tables->skeleton->progs.take_sweeper), &run);

    return result < 0 ? -errno : 0;
}

int lb_keep(const struct lb_tables *tables, struct error *error)
{
    int result = take_timer(tables);

    if (result < 0)
        return error_set(error, result, NULL, "the timer of connections stays with the program before: %s", strerror(-result));
    return pins_keep(tables->skeleton->obj, tables->program_fd, error);
}

void lb_release(void)
{
    pins_remove();
}

unsigned lb_release_dead(void)
{
    return pins_remove_dead();
}

/* ---- writing ------------------------------------------------------------------------------------------------------------------ */

void lb_write_service(struct lb_tables *tables, uint32_t number, const struct lb_service *content)
{
    struct lb_service_record *record = &tables->services[number];
    uint32_t next = !(record->active & 1);

    record->copy[next] = *content;
    __atomic_store_n(&record->active, next, __ATOMIC_RELEASE);
}

void lb_write_server(struct lb_tables *tables, uint32_t number, const struct lb_server *content)
{
    struct lb_server_record *record = &tables->servers[number];
    uint32_t next = !(record->active & 1);

    record->copy[next] = *content;
    __atomic_store_n(&record->active, next, __ATOMIC_RELEASE);
}

void lb_write_row(struct lb_tables *tables, uint32_t first_block, uint32_t row, struct lb_row content)
{
    struct lb_row *place = &tables->rows[first_block + (row >> LB_ROWS_SHIFT)].row[row & (LB_ROWS_BLOCK - 1)];
    uint64_t word;

    memcpy(&word, &content, sizeof(word));
    __atomic_store_n((uint64_t *)(void *)place, word, __ATOMIC_RELEASE);
}

int lb_put_key(struct lb_tables *tables, const struct lb_key *key, uint32_t service)
{
    struct lb_key_value value = {service};

    return bpf_map_update_elem(tables->keys_fd, key, &value, BPF_ANY);
}

int lb_delete_key(struct lb_tables *tables, const struct lb_key *key)
{
    return bpf_map_delete_elem(tables->keys_fd, key);
}

int lb_put_marks(struct lb_tables *tables, const struct lb_mark_key *key, struct lb_mark_list list)
{
    return bpf_map_update_elem(tables->mark_places_fd, key, &list, BPF_ANY);
}

int lb_next_marks(const struct lb_tables *tables, const struct lb_mark_key *before, struct lb_mark_key *ret, struct lb_mark_list *ret_list)
{
    if (bpf_map_get_next_key(tables->mark_places_fd, before, ret) < 0)
        return -errno;
    return bpf_map_lookup_elem(tables->mark_places_fd, ret, ret_list) < 0 ? -errno : 0;
}

int lb_delete_marks(struct lb_tables *tables, const struct lb_mark_key *key)
{
    return bpf_map_delete_elem(tables->mark_places_fd, key);
}

static struct lb_key address_key(const struct lb_key *key)
{
    struct lb_key address = {0};

    memcpy(address.address, key->address, sizeof(address.address));
    return address;
}

int lb_put_address(struct lb_tables *tables, const struct lb_key *key)
{
    struct lb_key address = address_key(key);

    return lb_put_key(tables, &address, LB_NONE);
}

int lb_delete_address(struct lb_tables *tables, const struct lb_key *key)
{
    struct lb_key address = address_key(key);

    return lb_delete_key(tables, &address);
}

int lb_put_interface(struct lb_tables *tables, uint32_t ifindex, const uint8_t mac[6])
{
    struct lb_interface interface = {0};

    memcpy(interface.mac, mac, sizeof(interface.mac));
    return bpf_map_update_elem(tables->interfaces_fd, &ifindex, &interface, BPF_ANY);
}

/* ---- reading ------------------------------------------------------------------------------------------------------------------- */

static void add(struct lb_counters *sum, const struct lb_counters *some)
{
    sum->connections += some->connections;
    sum->in_packets += some->in_packets;
    sum->in_bytes += some->in_bytes;
    sum->out_packets += some->out_packets;
    sum->out_bytes += some->out_bytes;
}

int lb_read_service(const struct lb_tables *tables, uint32_t number, struct lb_service_use *ret)
{
    _cleanup_(freep) struct lb_service_use *uses = calloc((size_t)tables->n_cpus, sizeof(*uses));

    *ret = (struct lb_service_use){0};
    if (!uses)
        return -ENOMEM;
    if (bpf_map_lookup_elem(tables->service_use_fd, &number, uses) < 0)
        return -errno;
    for (int i = 0; i < tables->n_cpus; i++) {
        add(&ret->counters, &uses[i].counters);
        ret->refused += uses[i].refused;
    }
    return 0;
}

int lb_read_server(const struct lb_tables *tables, uint32_t number, struct lb_counters *ret)
{
    _cleanup_(freep) struct lb_server_use *uses = calloc((size_t)tables->n_cpus, sizeof(*uses));

    *ret = (struct lb_counters){0};
    if (!uses)
        return -ENOMEM;
    if (bpf_map_lookup_elem(tables->server_use_fd, &number, uses) < 0)
        return -errno;
    for (int i = 0; i < tables->n_cpus; i++)
        add(ret, &uses[i].counters);
    return 0;
}

bool lb_read_connection(const struct lb_tables *tables, uint32_t slot, struct lb_conn *ret)
{
    const struct lb_conn *conn = &tables->conn_slots[slot];
    uint16_t turn = __atomic_load_n(&conn->turn, __ATOMIC_ACQUIRE), state = __atomic_load_n(&conn->state, __ATOMIC_ACQUIRE);

    if (state == LB_CONN_NONE || state >= LB_CONN_DEAD)
        return false;
    memcpy(ret, conn, sizeof(*ret));
    __atomic_thread_fence(__ATOMIC_ACQUIRE);
    return __atomic_load_n(&conn->turn, __ATOMIC_RELAXED) == turn && ret->state != LB_CONN_NONE && ret->state < LB_CONN_DEAD && ret->server < tables->sizes.n_servers && ret->service < tables->sizes.n_services;
}

int lb_take_connection(struct lb_tables *tables, const struct lb_conn *conn)
{
    struct lb_conn told = *conn;
    LIBBPF_OPTS(bpf_test_run_opts, run, .data_in = &told, .data_size_in = sizeof(told), .repeat = 1);

    if (bpf_prog_test_run_opts(bpf_program__fd(tables->skeleton->progs.take_connection), &run) < 0)
        return -errno;
    return run.retval == XDP_PASS ? 0 : -EBUSY;
}

uint32_t lb_read_connections(const struct lb_tables *tables)
{
    struct lb_sweeper record = {0};
    uint32_t zero = 0;

    bpf_map_lookup_elem(tables->sweeper_fd, &zero, &record);
    return record.n_connections;
}

int lb_take_unresolved(struct lb_tables *tables, struct lb_address *ret)
{
    if (bpf_map_get_next_key(tables->unresolved_fd, NULL, ret) < 0)
        return -errno;
    return bpf_map_delete_elem(tables->unresolved_fd, ret) < 0 ? -errno : 0;
}

int lb_read_drops(const struct lb_tables *tables, struct lb_drops *ret)
{
    _cleanup_(freep) struct lb_drops *drops = calloc((size_t)tables->n_cpus, sizeof(*drops));
    uint32_t zero = 0;

    *ret = (struct lb_drops){0};
    if (!drops)
        return -ENOMEM;
    if (bpf_map_lookup_elem(tables->drops_fd, &zero, drops) < 0)
        return -errno;
    for (int i = 0; i < tables->n_cpus; i++)
        for (int reason = 0; reason < LB_MAX_DROP_REASONS; reason++)
            ret->packets[reason] += drops[i].packets[reason];
    return 0;
}
