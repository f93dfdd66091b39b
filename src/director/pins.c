/* See pins.h. */
#include "weft/director/pins.h"

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "weft/base/cleanup.h"
#include "weft/base/util.h"
#include "weft/director/tables.h"

#define BPFFS "/sys/fs/bpf"
#define FOLDER "weft-director-"
#define PROGRAM_FILE "program"
#define WITNESS_FILE "namespace"
#define LOOPBACK_IFINDEX 1 /* In every network namespace (drivers/net/loopback.c). */
#define DEPTH_MAX 8 /* Of structs in structs. */

#ifndef SO_NETNS_COOKIE
#define SO_NETNS_COOKIE 71
#endif

/* ---- layouts ------------------------------------------------------------------------------------------------------------------------ */

/* FNV-1a. */
static uint32_t hash_bytes(uint32_t hash, const void *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++)
        hash = (hash ^ ((const uint8_t *)bytes)[i]) * 16777619u;
    return hash;
}

static uint32_t hash_number(uint32_t hash, uint32_t number)
{
    return hash_bytes(hash, &number, sizeof(number));
}

/* Names, places and sizes of all that a type has; names of types are nothing that tables are made of. */
static uint32_t hash_type(uint32_t hash, const struct btf *btf, uint32_t id, unsigned depth)
{
    const struct btf_type *type = btf__type_by_id(btf, id);

    while (type && (btf_is_mod(type) || btf_is_typedef(type)))
        type = btf__type_by_id(btf, type->type);
    if (!type || depth > DEPTH_MAX)
        return hash;
    hash = hash_number(hash, btf_kind(type));
    if (btf_is_array(type)) {
        hash = hash_number(hash, btf_array(type)->nelems);
        return hash_type(hash, btf, btf_array(type)->type, depth + 1);
    }
    hash = hash_number(hash, type->size);
    for (uint32_t i = 0; btf_is_composite(type) && i < btf_vlen(type); i++) {
        const struct btf_member *member = btf_members(type) + i;
        const char *name = btf__name_by_offset(btf, member->name_off);

        hash = hash_bytes(hash, name, strlen(name) + 1);
        hash = hash_number(hash, btf_member_bit_offset(type, i));
        hash = hash_type(hash, btf, member->type, depth + 1);
    }
    return hash;
}

static uint32_t layout_of(const struct bpf_object *object, const struct bpf_map *map)
{
    const struct btf *btf = bpf_object__btf(object);
    const uint32_t common[] = {LB_LAYOUT, LB_SLOTS, LB_ROWS_SHIFT, LB_TIME_SHIFT, bpf_map__type(map), bpf_map__map_flags(map)};
    uint32_t hash = hash_bytes(2166136261u, common, sizeof(common));

    hash = hash_type(hash, btf, bpf_map__btf_key_type_id(map), 0);
    return hash_type(hash, btf, bpf_map__btf_value_type_id(map), 0);
}

/* What the program keeps for itself, as its constants, has a dot in its name. */
static bool is_table(const struct bpf_map *map)
{
    return !strchr(bpf_map__name(map), '.');
}

static void map_path(const struct bpf_object *object, const struct bpf_map *map, const char *folder, char path[PATH_MAX])
{
    snprintf(path, PATH_MAX, "%s/%s-%08" PRIx32, folder, bpf_map__name(map), layout_of(object, map));
}

/* ---- folders ------------------------------------------------------------------------------------------------------------------------- */

static int home(char path[PINS_PATH_SIZE])
{
    _cleanup_(closep) int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    uint64_t cookie = 0;
    socklen_t size = sizeof(cookie);

    if (fd < 0 || getsockopt(fd, SOL_SOCKET, SO_NETNS_COOKIE, &cookie, &size) < 0)
        return -errno;
    snprintf(path, PINS_PATH_SIZE, BPFFS "/" FOLDER "%" PRIu64, cookie);
    return 0;
}

static int prepare(void)
{
    struct statfs status;

    if (statfs(BPFFS, &status) == 0 && status.f_type == BPF_FS_MAGIC)
        return 0;
    return mount("bpf", BPFFS, "bpf", MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=0700") < 0 ? -errno : 0;
}

static void remove_folder(const char *path)
{
    DIR *folder = opendir(path);

    for (struct dirent *entry = folder ? readdir(folder) : NULL; entry; entry = readdir(folder))
        if (!streq(entry->d_name, ".") && !streq(entry->d_name, ".."))
            unlinkat(dirfd(folder), entry->d_name, 0);
    if (folder)
        closedir(folder);
    rmdir(path);
}

static void set_path(const char *home_path, uint32_t set, char path[PINS_PATH_SIZE])
{
    snprintf(path, PINS_PATH_SIZE, "%.*s/%" PRIu32, PINS_PATH_SIZE - 16, home_path, set);
}

static bool is_whole(const char *home_path, uint32_t set)
{
    char path[PINS_PATH_SIZE + 16], folder[PINS_PATH_SIZE];

    set_path(home_path, set, folder);
    snprintf(path, sizeof(path), "%s/" PROGRAM_FILE, folder);
    return access(path, F_OK) == 0;
}

/* Calls 'visit' for each set that is there. */
static void each_set(const char *home_path, void (*visit)(const char *home_path, uint32_t set, void *context), void *context)
{
    DIR *folder = opendir(home_path);

    for (struct dirent *entry = folder ? readdir(folder) : NULL; entry; entry = readdir(folder)) {
        unsigned long set = strtoul(entry->d_name, NULL, 10);

        if (set && set < UINT32_MAX)
            visit(home_path, (uint32_t)set, context);
    }
    if (folder)
        closedir(folder);
}

struct newest {
    uint32_t whole, any; /* 0: none. */
};

static void look_at_set(const char *home_path, uint32_t set, void *context)
{
    struct newest *newest = context;

    newest->any = MAX(newest->any, set);
    if (is_whole(home_path, set))
        newest->whole = MAX(newest->whole, set);
}

static void remove_other(const char *home_path, uint32_t set, void *context)
{
    char path[PINS_PATH_SIZE];

    set_path(home_path, set, path);
    if (set != *(const uint32_t *)context)
        remove_folder(path);
}

/* ---- namespaces that are gone ----------------------------------------------------------------------------------------------------------- */

/* A map of devices forgets one that goes.  The loopback goes with its network namespace, and not before; by its number, since it can be renamed, and another
 * device, which may go, can have its name. */
static int make_witness(void)
{
    uint32_t zero = 0, loopback = LOOPBACK_IFINDEX;
    int fd = bpf_map_create(BPF_MAP_TYPE_DEVMAP, "weft_namespace", sizeof(zero), sizeof(loopback), 1, NULL);

    if (fd < 0)
        return -errno;
    if (bpf_map_update_elem(fd, &zero, &loopback, BPF_ANY) == 0)
        return fd;
    close(fd);
    return -ENODEV;
}

static void hear_witness(const char *home_path, uint32_t set, void *context)
{
    char folder[PINS_PATH_SIZE], path[PINS_PATH_SIZE + 16];
    uint32_t zero = 0, loopback;
    _cleanup_(closep) int fd = -1;

    set_path(home_path, set, folder);
    snprintf(path, sizeof(path), "%s/" WITNESS_FILE, folder);
    fd = bpf_obj_get(path);
    if (fd >= 0 && bpf_map_lookup_elem(fd, &zero, &loopback) < 0 && errno == ENOENT)
        *(bool *)context = true;
}

/* ---- public --------------------------------------------------------------------------------------------------------------------------- */

int pins_newest(char path[PINS_PATH_SIZE])
{
    struct newest newest = {0};
    char home_path[PINS_PATH_SIZE];

    if (home(home_path) < 0)
        return -ENOENT;
    each_set(home_path, look_at_set, &newest);
    if (!newest.whole)
        return -ENOENT;
    set_path(home_path, newest.whole, path);
    return 0;
}

int pins_reuse(struct bpf_object *object, const char *path)
{
    struct bpf_map *map;

    bpf_object__for_each_map(map, object) {
        char file[PATH_MAX];
        _cleanup_(closep) int fd = -1;
        int result;

        if (!is_table(map))
            continue;
        map_path(object, map, path, file);
        fd = bpf_obj_get(file);
        if (fd < 0)
            return errno == ENOENT ? -ESTALE : -errno;
        result = bpf_map__reuse_fd(map, fd);
        if (result < 0)
            return result;
    }
    return 0;
}

static int pin_all(const struct bpf_object *object, int program_fd, const char *folder)
{
    _cleanup_(closep) int witness = make_witness();
    const struct bpf_map *map;
    char path[PATH_MAX];

    snprintf(path, sizeof(path), "%s/" WITNESS_FILE, folder);
    if (witness >= 0 && bpf_obj_pin(witness, path) < 0) /* Without one the folder stays when the namespace goes. */
        return -errno;
    bpf_object__for_each_map(map, object) {
        if (!is_table(map))
            continue;
        map_path(object, map, folder, path);
        if (bpf_obj_pin(bpf_map__fd(map), path) < 0)
            return -errno;
    }
    snprintf(path, sizeof(path), "%s/" PROGRAM_FILE, folder);
    return bpf_obj_pin(program_fd, path) < 0 ? -errno : 0;
}

int pins_keep(const struct bpf_object *object, int program_fd, struct error *error)
{
    struct newest newest = {0};
    char home_path[PINS_PATH_SIZE], folder[PINS_PATH_SIZE];
    uint32_t set;
    int result = prepare();

    if (result == 0)
        result = home(home_path);
    if (result < 0)
        return error_set(error, result, NULL, "no BPF file system at " BPFFS ": %s", strerror(-result));
    if (mkdir(home_path, 0700) < 0 && errno != EEXIST)
        return error_set(error, -errno, NULL, "cannot create '%s': %s", home_path, strerror(errno));
    each_set(home_path, look_at_set, &newest);
    set = newest.any + 1;
    set_path(home_path, set, folder);
    result = mkdir(folder, 0700) < 0 ? -errno : pin_all(object, program_fd, folder);
    if (result < 0) {
        remove_folder(folder);
        return error_set(error, result, NULL, "cannot name the tables in '%s': %s", folder, strerror(-result));
    }
    each_set(home_path, remove_other, &set);
    return 0;
}

void pins_remove(void)
{
    char home_path[PINS_PATH_SIZE];
    uint32_t none = 0;

    if (home(home_path) < 0)
        return;
    each_set(home_path, remove_other, &none);
    rmdir(home_path);
}

unsigned pins_remove_dead(void)
{
    DIR *folder = opendir(BPFFS);
    unsigned n = 0;

    for (struct dirent *entry = folder ? readdir(folder) : NULL; entry; entry = readdir(folder)) {
        char home_path[PINS_PATH_SIZE];
        uint32_t none = 0;
        bool is_dead = false;

        if (strncmp(entry->d_name, FOLDER, strlen(FOLDER)) != 0 || strlen(entry->d_name) > strlen(FOLDER) + 20)
            continue;
        snprintf(home_path, sizeof(home_path), BPFFS "/%.50s", entry->d_name);
        each_set(home_path, hear_witness, &is_dead);
        if (!is_dead)
            continue;
        each_set(home_path, remove_other, &none);
        n += rmdir(home_path) == 0;
    }
    if (folder)
        closedir(folder);
    return n;
}
