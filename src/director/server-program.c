/* See server-program.h. */
#include "weft/director/server-program.h"

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "server.skel.h" /* Generated. */
#include "weft/base/cleanup.h"
#include "weft/base/util.h"

#define NS_PER_S 1000000000u
#define FILTER_HANDLE 0x77656674 /* "weft" */
#define FILTER_PRIORITY 49155 /* Behind those of check-device.c. */

struct server_program {
    struct server_bpf *skeleton;
    uint8_t mark[6];
};

static const struct {
    const char *name, *text;
    bool is_drop;
} outcomes[] = {
#define CHAIN_OUTCOME(name, is_drop, text) {#name, text, is_drop},
#include "weft/director/chain-outcomes.def"
#undef CHAIN_OUTCOME
};

const char *chain_outcome_name(enum chain_outcome outcome)
{
    return outcomes[outcome].name;
}

const char *chain_outcome_text(enum chain_outcome outcome)
{
    return outcomes[outcome].text;
}

bool chain_outcome_is_drop(enum chain_outcome outcome)
{
    return outcomes[outcome].is_drop;
}

/* ---- loading --------------------------------------------------------------------------------------------------------------------------- */

static char libbpf_said[4096];

static int keep_message(enum libbpf_print_level level, const char *format, va_list arguments)
{
    size_t size = strlen(libbpf_said);

    if (level != LIBBPF_WARN)
        return 0;
    if (size > sizeof(libbpf_said) / 2)
        size = 0;
    vsnprintf(libbpf_said + size, sizeof(libbpf_said) - size, format, arguments);
    return 0;
}

/* The program's headers name the director's tables, too. */
static bool is_needed(const char *map)
{
    static const char *const needed[] = {"chain_peers",    "chain_addresses", "chain_sockets", "chain_budgets", "chain_settings",
                                         "chain_mss",      "chain_counters",  "chain_next",     "fragments",     "interfaces",    "packets"};

    for (size_t i = 0; i < ARRAY_SIZE(needed); i++)
        if (streq(map, needed[i]))
            return true;
    return strchr(map, '.'); /* Of the compiler. */
}

/* A descriptor of that map of the program that some interface has, or -ENOENT. */
static int find_running(const char *map)
{
    struct if_nameindex *all = if_nameindex();
    const struct lb_identity identity = {lb_second_chance.program, map};
    int fd = -ENOENT;

    for (const struct if_nameindex *one = all; one && one->if_index && fd < 0; one++)
        fd = lb_attached_map(&identity, one->if_index);
    if (all)
        if_freenameindex(all);
    return fd;
}

/* Another release's tables may be laid out otherwise. */
static bool is_laid_out(int fd, uint32_t key_size, uint32_t value_size)
{
    struct bpf_map_info info = {0};
    uint32_t size = sizeof(info);

    return bpf_obj_get_info_by_fd(fd, &info, &size) == 0 && info.key_size == key_size && info.value_size == value_size;
}

/* That of the programs that run, since an interface gets the two one after the other; else a new one, a MAC of a station (IEEE 802, 8.2). */
static int choose_mark(uint8_t mark[6])
{
    _cleanup_(closep) int fd = find_running("chain_settings");
    struct chain_settings settings = {0};
    uint32_t zero = 0;
    static const uint8_t none[6];

    if (fd >= 0 && is_laid_out(fd, sizeof(zero), sizeof(settings)) && bpf_map_lookup_elem(fd, &zero, &settings) == 0 &&
        memcmp(settings.mark, none, sizeof(none)) != 0) {
        memcpy(mark, settings.mark, sizeof(settings.mark));
        return 0;
    }
    if (getrandom(mark, 6, 0) != 6)
        return -errno;
    mark[0] = (uint8_t)((mark[0] & 0xfc) | 2);
    return 0;
}

/* What the programs that run know is these ones' too, if it is laid out like theirs.  0 or -errno. */
static int take_over(struct bpf_map *map)
{
    _cleanup_(closep) int fd = find_running(bpf_map__name(map));

    if (fd < 0 || !is_laid_out(fd, bpf_map__key_size(map), bpf_map__value_size(map)))
        return 0;
    return bpf_map__reuse_fd(map, fd);
}

int server_program_new(struct server_program **ret, struct error *error)
{
    _cleanup_(server_program_freep) struct server_program *program = calloc(1, sizeof(*program));
    struct bpf_map *map;
    int result;

    if (!program)
        return error_set(error, -ENOMEM, NULL, "out of memory");
    result = choose_mark(program->mark);
    if (result < 0)
        return error_set(error, result, NULL, "no random number: %s", strerror(-result));
    libbpf_set_print(keep_message);
    libbpf_said[0] = 0;
    program->skeleton = server_bpf__open();
    if (!program->skeleton)
        return error_set(error, -errno, NULL, "cannot open the second chance's program: %s", strerror(errno));
    bpf_object__for_each_map(map, program->skeleton->obj)
        bpf_map__set_autocreate(map, is_needed(bpf_map__name(map)));
    result = take_over(program->skeleton->maps.chain_counters);
    if (result == 0)
        result = take_over(program->skeleton->maps.chain_sockets);
    if (result == 0)
        result = server_bpf__load(program->skeleton);
    if (result < 0)
        return error_set(error, result, NULL, "cannot load the second chance's program: %s: %.300s", strerror(-result), libbpf_said);
    *ret = TAKE_PTR(program);
    return 0;
}

void server_program_free(struct server_program *program)
{
    if (!program)
        return;
    server_bpf__destroy(program->skeleton);
    free(program);
}

/* ---- what they go by --------------------------------------------------------------------------------------------------------------------- */

/* What a map is to hold: elements of one size, each a key and behind it a word. */
struct wanted {
    uint8_t *elements;
    size_t n, room, key_size;
};

static void wanted_clear(struct wanted *wanted)
{
    free(wanted->elements);
}

static size_t element_size(const struct wanted *wanted)
{
    return wanted->key_size + sizeof(uint32_t);
}

static uint8_t *element_at(const struct wanted *wanted, size_t i)
{
    return wanted->elements + i * element_size(wanted);
}

/* 0 or -ENOMEM.  A key may come more than once. */
static int want(struct wanted *wanted, const void *key, uint32_t value)
{
    if (wanted->n == wanted->room) {
        size_t room = wanted->room * 2 + 64;
        uint8_t *elements = realloc(wanted->elements, room * element_size(wanted));

        if (!elements)
            return -ENOMEM;
        wanted->elements = elements;
        wanted->room = room;
    }
    memcpy(element_at(wanted, wanted->n), key, wanted->key_size);
    memcpy(element_at(wanted, wanted->n++) + wanted->key_size, &value, sizeof(value));
    return 0;
}

static int compare_keys(const void *a, const void *b, void *key_size)
{
    return memcmp(a, b, *(const size_t *)key_size);
}

/* Sorts them; of those with one key one is left, with all that any of them says. */
static void settle(struct wanted *wanted)
{
    size_t n = 0;

    if (wanted->n)
        qsort_r(wanted->elements, wanted->n, element_size(wanted), compare_keys, &wanted->key_size);
    for (size_t i = 0; i < wanted->n; i++) {
        uint8_t *element = element_at(wanted, i);
        uint32_t value, more;

        if (!n || memcmp(element_at(wanted, n - 1), element, wanted->key_size) != 0) {
            memmove(element_at(wanted, n++), element, element_size(wanted));
            continue;
        }
        memcpy(&value, element_at(wanted, n - 1) + wanted->key_size, sizeof(value));
        memcpy(&more, element + wanted->key_size, sizeof(more));
        value |= more;
        memcpy(element_at(wanted, n - 1) + wanted->key_size, &value, sizeof(value));
    }
    wanted->n = n;
}

static bool is_wanted(const struct wanted *wanted, const void *key)
{
    size_t low = 0, high = wanted->n;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = memcmp(key, element_at(wanted, middle), wanted->key_size);

        if (order == 0)
            return true;
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return false;
}

static int want_address(struct wanted *wanted, const struct ip_address *address, uint32_t kind)
{
    return want(wanted, address->bytes, kind);
}

static int want_own(struct wanted *wanted, const struct sockaddr *address)
{
    struct ip_address own;

    if (address->sa_family == AF_INET) {
        own = ip_from_v4(ntohl(((const struct sockaddr_in *)(const void *)address)->sin_addr.s_addr));
    } else if (address->sa_family == AF_INET6) {
        memcpy(own.bytes, &((const struct sockaddr_in6 *)(const void *)address)->sin6_addr, sizeof(own.bytes));
    } else {
        return 0;
    }
    return want_address(wanted, &own, CHAIN_ADDRESS_OWN);
}

static int want_addresses(struct wanted *wanted, const struct server_config *config)
{
    struct ifaddrs *all = NULL;
    int result = getifaddrs(&all) < 0 ? -errno : 0;

    for (const struct ifaddrs *one = all; one && result == 0; one = one->ifa_next)
        if (one->ifa_addr)
            result = want_own(wanted, one->ifa_addr);
    for (size_t i = 0; i < config->n_addresses && result == 0; i++)
        result = want_address(wanted, &config->addresses[i], CHAIN_ADDRESS_VIRTUAL);
    if (all)
        freeifaddrs(all);
    return result;
}

/* The longest prefix counts in the kernel, so each is told what those say that cover it. */
static uint32_t kind_of(const struct server_config *config, const struct ip_prefix *prefix)
{
    uint32_t kind = 0;

    for (size_t i = 0; i < config->n_directors; i++)
        if (prefix_bits(&config->directors[i]) <= prefix_bits(prefix) && prefix_contains(&config->directors[i], &prefix->address))
            kind |= CHAIN_PEER_SENDS;
    for (size_t i = 0; i < config->n_servers; i++)
        if (prefix_bits(&config->servers[i]) <= prefix_bits(prefix) && prefix_contains(&config->servers[i], &prefix->address))
            kind |= CHAIN_PEER_SENDS | CHAIN_PEER_TAKES;
    return kind;
}

static int want_peers(struct wanted *wanted, const struct server_config *config, const struct ip_prefix *prefixes, size_t n)
{
    int result = 0;

    for (size_t i = 0; i < n && result == 0; i++) {
        struct lb_mark_key key = {.length = (uint32_t)prefix_bits(&prefixes[i])};

        memcpy(key.destination, prefixes[i].address.bytes, sizeof(key.destination));
        result = want(wanted, &key, kind_of(config, &prefixes[i]));
    }
    return result;
}

/* New ones first, so that what stays is there all the time. */
static int bring(const struct bpf_map *map, struct wanted *wanted)
{
    int fd = bpf_map__fd(map);
    _cleanup_(freep) uint8_t *key = malloc(wanted->key_size), *next = malloc(wanted->key_size);
    bool has_next;

    if (!key || !next)
        return -ENOMEM;
    settle(wanted);
    for (size_t i = 0; i < wanted->n; i++) {
        uint32_t value;

        memcpy(&value, element_at(wanted, i) + wanted->key_size, sizeof(value));
        if (bpf_map_update_elem(fd, element_at(wanted, i), &value, BPF_ANY) < 0)
            return -errno;
    }
    has_next = bpf_map_get_next_key(fd, NULL, next) == 0;
    while (has_next) {
        memcpy(key, next, wanted->key_size);
        has_next = bpf_map_get_next_key(fd, key, next) == 0;
        if (!is_wanted(wanted, key) && bpf_map_delete_elem(fd, key) < 0 && errno != ENOENT)
            return -errno;
    }
    return 0;
}

/* By the narrowest of the interfaces where packets come in; 0 as long as there is none of them. */
static struct chain_mss most_announced(const struct server_config *config)
{
    unsigned narrowest = 0;

    for (size_t i = 0; i < config->n_interfaces; i++) {
        int mtu = lb_mtu(config->interfaces[i]);

        if (mtu > 0 && (!narrowest || (unsigned)mtu < narrowest))
            narrowest = (unsigned)mtu;
    }
    if (!narrowest)
        return (struct chain_mss){0};
    return (struct chain_mss){htons(server_config_mss(config, narrowest, false)), htons(server_config_mss(config, narrowest, true))};
}

int server_program_write(struct server_program *program, const struct server_config *config, struct chain_mss *ret_mss)
{
    _cleanup_(wanted_clear) struct wanted addresses = {.key_size = sizeof(struct lb_address)}, peers = {.key_size = sizeof(struct lb_mark_key)};
    struct chain_settings settings = {.port = htons(config->port), .hand_on_ns = NS_PER_S / config->hand_on_rate};
    struct chain_mss mss = most_announced(config);
    uint32_t zero = 0;
    int result = want_addresses(&addresses, config);

    memcpy(settings.mark, program->mark, sizeof(settings.mark));
    if (result == 0)
        result = want_peers(&peers, config, config->directors, config->n_directors);
    if (result == 0)
        result = want_peers(&peers, config, config->servers, config->n_servers);
    if (result == 0)
        result = bring(program->skeleton->maps.chain_addresses, &addresses);
    if (result == 0)
        result = bring(program->skeleton->maps.chain_peers, &peers);
    if (result == 0 && bpf_map_update_elem(bpf_map__fd(program->skeleton->maps.chain_mss), &zero, &mss, BPF_ANY) < 0)
        result = -errno;
    if (result == 0 && bpf_map_update_elem(bpf_map__fd(program->skeleton->maps.chain_settings), &zero, &settings, BPF_ANY) < 0)
        result = -errno;
    if (result == 0)
        *ret_mss = mss;
    return result;
}

/* ---- where they are ------------------------------------------------------------------------------------------------------------------------ */

/* In the place of an earlier one.  0 or -errno. */
static int put_filter(uint32_t ifindex, enum bpf_tc_attach_point point, const struct bpf_program *program)
{
    LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = (int)ifindex, .attach_point = point);
    LIBBPF_OPTS(bpf_tc_opts, options, .handle = FILTER_HANDLE, .priority = FILTER_PRIORITY, .prog_fd = bpf_program__fd(program), .flags = BPF_TC_F_REPLACE);
    int result = bpf_tc_hook_create(&hook);

    return result == 0 || result == -EEXIST ? bpf_tc_attach(&hook, &options) : result;
}

/* 1; or 0: there was none. */
static int take_filter_off(uint32_t ifindex, enum bpf_tc_attach_point point)
{
    LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = (int)ifindex, .attach_point = point);
    LIBBPF_OPTS(bpf_tc_opts, options, .handle = FILTER_HANDLE, .priority = FILTER_PRIORITY);
    libbpf_print_fn_t print = libbpf_set_print(NULL); /* It complains of each interface that has nothing to remove. */
    int result = bpf_tc_query(&hook, &options);

    libbpf_set_print(print);
    if (result < 0)
        return 0;
    options.prog_fd = 0;
    options.prog_id = options.flags = 0;
    return bpf_tc_detach(&hook, &options) < 0 ? 0 : 1;
}

/* Nobody marks packets for pass_on before it is there. */
int server_program_attach(const struct server_program *program, uint32_t ifindex, enum lb_attachment *ret)
{
    int result = put_filter(ifindex, BPF_TC_INGRESS, program->skeleton->progs.pass_on);

    if (result == 0)
        result = lb_attach(&lb_second_chance, ifindex, bpf_program__fd(program->skeleton->progs.second_chance), ret);
    if (result < 0) {
        _cleanup_(closep) int before = lb_attached_map(&lb_second_chance, ifindex);

        if (before < 0) /* One before has the same mark. */
            take_filter_off(ifindex, BPF_TC_INGRESS);
    }
    return result;
}

int server_program_detach(uint32_t ifindex)
{
    int result = lb_detach(&lb_second_chance, ifindex);

    return take_filter_off(ifindex, BPF_TC_INGRESS) ? 1 : result;
}

int server_program_attach_answers(const struct server_program *program, uint32_t ifindex)
{
    char name[IFNAMSIZ];

    if (!if_indextoname(ifindex, name))
        return -errno;
    return lb_is_ethernet(name) ? put_filter(ifindex, BPF_TC_EGRESS, program->skeleton->progs.lower_mss) : -EINVAL;
}

int server_program_detach_answers(uint32_t ifindex)
{
    return take_filter_off(ifindex, BPF_TC_EGRESS);
}

int server_program_counters(struct chain_counters *ret)
{
    _cleanup_(closep) int fd = find_running("chain_counters");
    int n_cpus = libbpf_num_possible_cpus();
    _cleanup_(freep) struct chain_counters *values = NULL;
    uint32_t zero = 0;

    if (fd < 0 || n_cpus < 0)
        return MIN(fd, n_cpus);
    values = calloc((size_t)n_cpus, sizeof(*values));
    if (!values)
        return -ENOMEM;
    if (bpf_map_lookup_elem(fd, &zero, values) < 0)
        return -errno;
    *ret = (struct chain_counters){0};
    for (int cpu = 0; cpu < n_cpus; cpu++)
        for (unsigned i = 0; i < CHAIN_MAX_OUTCOMES; i++)
            ret->packets[i] += values[cpu].packets[i];
    return 0;
}
