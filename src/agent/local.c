/* Slots and plugs: see local.h.  The journal's lines:
 *     plug INTERFACE PORT [forced]     unplug INTERFACE
 *     port NUMBER ID          host NUMBER NAME         project NUMBER ID       group NUMBER ID
 *     router-port NUMBER ID   router NUMBER ID         listener NUMBER ID      pool NUMBER ID      member NUMBER ID
 *     free KIND NUMBER        secret NUMBER */
#include "weft/agent/local.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "weft/base/cleanup.h"
#include "weft/base/file.h"

#define USE_ASKED_MAX 64 /* Numbers that something counts under: each is a system call. */

static const char *const kind_names[N_SLOT_KINDS] = {"port", "host", "project", "group", "router-port", "router", "listener", "pool", "member"};

/* ---- the journal ------------------------------------------------------------------------------------------------------- */

static int write_line(struct local *local, const char *line)
{
    size_t size = strlen(line);

    if (local->journal_fd < 0)
        return 0; /* While reading it. */
    local->n_lines++;
    return write(local->journal_fd, line, size) == (ssize_t)size ? 0 : -errno;
}

static int write_slot(struct local *local, enum slot_kind kind, const struct slot *slot)
{
    char line[320];

    snprintf(line, sizeof(line), "%s %u %s\n", kind_names[kind], slot->number, slot->name);
    return write_line(local, line);
}

static int write_plug(struct local *local, const struct plug *plug)
{
    char line[80];

    snprintf(line, sizeof(line), "plug %s %s%s\n", plug->interface, plug->port_id, plug->forced ? " forced" : "");
    return write_line(local, line);
}

static int write_secret(struct local *local)
{
    char line[40];

    snprintf(line, sizeof(line), "secret %" PRIu64 "\n", local->secret);
    return write_line(local, line);
}

/* What a person did outlives a loss of power; slots need not, for the tables that use them are lost too. */
static int sync_journal(const struct local *local)
{
    return local->journal_fd >= 0 && fdatasync(local->journal_fd) < 0 ? -errno : 0;
}

/* Starts the journal anew with what is known. */
static int rewrite(struct local *local)
{
    char path[600];
    int before = local->journal_fd, result = 0;

    snprintf(path, sizeof(path), "%s.new", local->path);
    local->journal_fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0600);
    if (local->journal_fd < 0)
        result = -errno;
    result = result ? result : write_secret(local);
    for (int kind = 0; kind < N_SLOT_KINDS && result == 0; kind++)
        HASHMAP_FOREACH(node, &local->slots[kind].by_name)
            result = result ? result : write_slot(local, kind, CONTAINER_OF(node, struct slot, by_name));
    HASHMAP_FOREACH(node, &local->plugs)
        result = result ? result : write_plug(local, CONTAINER_OF(node, struct plug, by_interface));
    if (result == 0)
        result = file_replace(local->journal_fd, path, local->path);
    if (result < 0) { /* The old one goes on. */
        if (local->journal_fd >= 0)
            close(local->journal_fd);
        local->journal_fd = before;
    } else if (before >= 0) {
        close(before);
    }
    local->n_lines = 0;
    return result;
}

/* ---- slots ----------------------------------------------------------------------------------------------------------------- */

static struct slot *add_slot(struct slots *slots, const char *name, uint32_t number)
{
    struct slot *slot = calloc(1, sizeof(*slot));

    if (!slot || number < slots->first || number >= slots->limit || slots->by_number[number] ||
        string_copy(slot->name, sizeof(slot->name), name) < 0) {
        free(slot);
        return NULL;
    }
    slot->number = number;
    if (hashmap_insert(&slots->by_name, &slot->by_name, slot->name, strlen(slot->name)) < 0) {
        free(slot);
        return NULL;
    }
    slots->by_number[number] = slot;
    return slot;
}

static void remove_slot(struct slots *slots, struct slot *slot)
{
    hashmap_remove(&slots->by_name, &slot->by_name);
    slots->by_number[slot->number] = NULL;
    free(slot);
}

struct slot *local_find(const struct local *local, enum slot_kind kind, const char *name)
{
    struct hashmap_node *node = hashmap_find(&local->slots[kind].by_name, name, strlen(name));

    return node ? CONTAINER_OF(node, struct slot, by_name) : NULL;
}

/* Whoever leaves connections behind under as many numbers as he likes keeps nobody from having one: of a few that are free the one with the fewest is as good. */
static uint32_t free_number(const struct local *local, enum slot_kind kind, struct slots *slots)
{
    uint32_t best = UINT32_MAX;
    uint64_t least = UINT64_MAX;

    if (slots->by_name.n_nodes >= slots->limit - slots->first)
        return UINT32_MAX;
    for (uint32_t tried = slots->first, n_asked = 0; tried < slots->limit && n_asked < USE_ASKED_MAX && least; tried++) {
        uint32_t number = slots->next;
        uint64_t use;

        slots->next = number + 1 < slots->limit ? number + 1 : slots->first;
        if (slots->by_number[number])
            continue;
        use = local->use ? local->use(kind, number, local->use_context) : 0;
        n_asked += use != 0;
        if (use < least) {
            best = number;
            least = use;
        }
    }
    return best;
}

struct slot *local_slot(struct local *local, enum slot_kind kind, const char *name)
{
    struct slots *slots = &local->slots[kind];
    struct slot *slot = local_find(local, kind, name);

    if (!slot) {
        uint32_t number = free_number(local, kind, slots);

        slot = number == UINT32_MAX ? NULL : add_slot(slots, name, number);
        if (!slot)
            return NULL;
        slot->is_new = slot->is_of_round = true;
        write_slot(local, kind, slot);
    }
    slot->in_use = true;
    return slot;
}

void local_sweep(struct local *local, enum slot_kind kind)
{
    HASHMAP_FOREACH(node, &local->slots[kind].by_name) {
        struct slot *slot = CONTAINER_OF(node, struct slot, by_name);

        if (!slot->in_use) {
            char line[64];

            snprintf(line, sizeof(line), "free %s %u\n", kind_names[kind], slot->number);
            write_line(local, line);
            remove_slot(&local->slots[kind], slot);
        }
    }
    local_unmark(local, kind);
    if (local->n_lines > 100000)
        rewrite(local);
}

void local_unmark(struct local *local, enum slot_kind kind)
{
    HASHMAP_FOREACH(node, &local->slots[kind].by_name) {
        struct slot *slot = CONTAINER_OF(node, struct slot, by_name);

        slot->is_of_round = slot->is_of_round && slot->is_taken_back;
        slot->in_use = slot->is_taken_back = false;
    }
}

/* ---- plugs ------------------------------------------------------------------------------------------------------------------ */

const struct plug *local_plug_of_interface(const struct local *local, const char *interface)
{
    struct hashmap_node *node = hashmap_find(&local->plugs, interface, strlen(interface));

    return node ? CONTAINER_OF(node, struct plug, by_interface) : NULL;
}

const struct plug *local_plug_of_port(const struct local *local, const char *port_id)
{
    struct hashmap_node *node = hashmap_find(&local->plugs_by_port, port_id, strlen(port_id));

    return node ? CONTAINER_OF(node, struct plug, by_port) : NULL;
}

int local_unplug(struct local *local, const char *interface)
{
    struct plug *plug = (struct plug *)local_plug_of_interface(local, interface);
    char line[64];

    if (!plug)
        return -ENOENT;
    hashmap_remove(&local->plugs, &plug->by_interface);
    hashmap_remove(&local->plugs_by_port, &plug->by_port);
    snprintf(line, sizeof(line), "unplug %s\n", plug->interface); /* 'interface' may be the plug's own text. */
    free(plug);
    int result = write_line(local, line);

    return result < 0 ? result : sync_journal(local);
}

int local_plug(struct local *local, const char *interface, const char *port_id, bool forced)
{
    const struct plug *earlier;
    struct plug *plug;

    if (!interface[0] || strlen(interface) >= sizeof(plug->interface) || strpbrk(interface, " \n") || !uuid_is_valid(port_id))
        return -EINVAL;
    earlier = local_plug_of_port(local, port_id);
    if (earlier && streq(earlier->interface, interface) && earlier->forced == forced)
        return 0;
    if (earlier)
        local_unplug(local, earlier->interface);
    local_unplug(local, interface);
    plug = calloc(1, sizeof(*plug));
    if (!plug)
        return -ENOMEM;
    string_copy(plug->interface, sizeof(plug->interface), interface);
    string_copy(plug->port_id, sizeof(plug->port_id), port_id);
    plug->forced = forced;
    if (hashmap_insert(&local->plugs, &plug->by_interface, plug->interface, strlen(plug->interface)) < 0) {
        free(plug);
        return -ENOMEM;
    }
    if (hashmap_insert(&local->plugs_by_port, &plug->by_port, plug->port_id, strlen(plug->port_id)) < 0) {
        hashmap_remove(&local->plugs, &plug->by_interface);
        free(plug);
        return -ENOMEM;
    }
    int result = write_plug(local, plug);

    return result < 0 ? result : sync_journal(local);
}

int local_new_secret(struct local *local)
{
    uint64_t before = local->secret;

    while (!local->secret || local->secret == before)
        random_bytes(&local->secret, sizeof(local->secret));
    return write_secret(local);
}

/* ---- opening ------------------------------------------------------------------------------------------------------------------ */

static void replay(struct local *local, char *line)
{
    char *save, *verb = strtok_r(line, " \n", &save), *first = strtok_r(NULL, " \n", &save), *second = strtok_r(NULL, " \n", &save);
    const char *third = second ? strtok_r(NULL, " \n", &save) : NULL;
    uint64_t number;

    if (!verb || !first)
        return;
    if (streq(verb, "plug") && second)
        local_plug(local, first, second, third && streq(third, "forced"));
    else if (streq(verb, "unplug"))
        local_unplug(local, first);
    else if (streq(verb, "secret") && parse_u64(first, 1, UINT64_MAX, &number) == 0)
        local->secret = number;
    for (int kind = 0; kind < N_SLOT_KINDS; kind++) {
        struct slots *slots = &local->slots[kind];

        if (streq(verb, kind_names[kind]) && second && parse_u64(first, 0, slots->limit - 1, &number) == 0)
            add_slot(slots, second, (uint32_t)number);
        if (streq(verb, "free") && streq(first, kind_names[kind]) && second &&
            parse_u64(second, 0, slots->limit - 1, &number) == 0 && slots->by_number[number])
            remove_slot(slots, slots->by_number[number]);
    }
}

int local_open(struct local *local, const char *path, const uint32_t limits[N_SLOT_KINDS], struct error *error)
{
    FILE *file;
    int result;

    *local = (struct local){.journal_fd = -1, .path = strdup(path)};
    for (int kind = 0; kind < N_SLOT_KINDS; kind++) {
        struct slots *slots = &local->slots[kind];

        slots->limit = limits[kind];
        slots->first = slots->next = 1; /* 0 means none everywhere; of projects it is the one that nobody has. */
        slots->by_number = calloc(limits[kind], sizeof(*slots->by_number));
        if (!slots->by_number || !local->path)
            return error_set(error, -ENOMEM, NULL, "out of memory");
    }
    file = fopen(path, "re");
    if (file) {
        char line[320];

        while (fgets(line, sizeof(line), file))
            if (strchr(line, '\n')) /* A line cut short is one that nothing was built on. */
                replay(local, line);
        fclose(file);
    }
    for (int kind = 0; kind < N_SLOT_KINDS; kind++)
        HASHMAP_FOREACH(node, &local->slots[kind].by_name) {
            uint32_t number = CONTAINER_OF(node, struct slot, by_name)->number;

            if (number >= local->slots[kind].next && number + 1 < local->slots[kind].limit)
                local->slots[kind].next = number + 1;
        }
    if (!local->secret)
        local_new_secret(local); /* Written with all the rest. */
    result = rewrite(local);
    return result < 0 ? error_set(error, result, "state-dir", "state-dir: cannot write '%s': %s", path, strerror(-result)) : 0;
}

void local_close(struct local *local)
{
    for (int kind = 0; kind < N_SLOT_KINDS; kind++) {
        HASHMAP_FOREACH(node, &local->slots[kind].by_name)
            free(CONTAINER_OF(node, struct slot, by_name));
        hashmap_clear(&local->slots[kind].by_name);
        free(local->slots[kind].by_number);
    }
    HASHMAP_FOREACH(node, &local->plugs)
        free(CONTAINER_OF(node, struct plug, by_interface));
    hashmap_clear(&local->plugs);
    hashmap_clear(&local->plugs_by_port);
    if (local->journal_fd >= 0)
        close(local->journal_fd);
    free(local->path);
}
