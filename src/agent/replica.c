/* Objects from the watch stream: see replica.h. */
#include "weft/agent/replica.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "weft/base/buffer.h"
#include "weft/base/cleanup.h"
#include "weft/base/file.h"
#include "weft/base/log.h"
#include "weft/model/balance-patch.h"

static struct replica_entry *find_entry(const struct replica *replica, const char *id)
{
    struct hashmap_node *node = hashmap_find(&replica->by_id, id, strlen(id));

    return node ? CONTAINER_OF(node, struct replica_entry, by_id) : NULL;
}

static int kind_add(struct replica_kind *kind, struct replica_entry *entry)
{
    if (kind->n == kind->n_room) {
        size_t n_room = MAX(2 * kind->n_room, 64);
        struct replica_entry **entries = reallocarray(kind->entries, n_room, sizeof(*entries));

        if (!entries)
            return -ENOMEM;
        kind->entries = entries;
        kind->n_room = n_room;
    }
    entry->position = kind->n;
    kind->entries[kind->n++] = entry;
    return 0;
}

static void kind_remove(struct replica_kind *kind, const struct replica_entry *entry)
{
    struct replica_entry *last = kind->entries[--kind->n];

    last->position = entry->position;
    kind->entries[last->position] = last;
}

static void drop_entry(struct replica *replica, struct replica_entry *entry)
{
    hashmap_remove(&replica->by_id, &entry->by_id);
    kind_remove(&replica->by_kind[entry->object->kind], entry);
    replica->n_changes++;
    object_free(entry->object);
    free(entry);
}

/* ---- lines ------------------------------------------------------------------------------------------------------------- */

static struct replica_stranger *find_stranger(const struct replica *replica, const char *id)
{
    struct hashmap_node *node = hashmap_find(&replica->strangers, id, strlen(id));

    return node ? CONTAINER_OF(node, struct replica_stranger, by_id) : NULL;
}

static void forget_stranger(struct replica *replica, struct replica_stranger *stranger)
{
    if (!stranger)
        return;
    hashmap_remove(&replica->strangers, &stranger->by_id);
    free(stranger);
}

/* True when it is to be said: the first time, and when it is another field. */
static bool note_stranger(struct replica *replica, const char *id, const char *why)
{
    struct replica_stranger *stranger = find_stranger(replica, id);
    bool is_new = !stranger || strncmp(stranger->why, why, strcspn(why, ":") + 1) != 0;

    replica->n_strange_puts++;
    if (!stranger && replica->strangers.n_nodes < MAX_STRANGERS && (stranger = calloc(1, sizeof(*stranger)))) {
        string_copy(stranger->id, sizeof(stranger->id), id);
        if (hashmap_insert(&replica->strangers, &stranger->by_id, stranger->id, strlen(stranger->id)) < 0) {
            free(stranger);
            stranger = NULL;
        }
    }
    if (!stranger)
        return false;
    string_copy(stranger->why, sizeof(stranger->why), why);
    stranger->is_there = true;
    return is_new;
}

static void sweep_strangers(struct replica *replica)
{
    HASHMAP_FOREACH(node, &replica->strangers) {
        struct replica_stranger *stranger = CONTAINER_OF(node, struct replica_stranger, by_id);

        if (!stranger->is_there)
            forget_stranger(replica, stranger);
    }
}

/* One object that cannot be read must not cost the host all others. */
static enum replica_event take_stranger(struct replica *replica, const char *kind, const json_t *json, const struct error *why,
                                        struct error *error)
{
    const char *id = json_string_value(json_object_get(json, "id"));
    char text[sizeof(why->field) + sizeof(why->message) + 3];

    if (!id || strlen(id) >= UUID_TEXT_SIZE)
        id = "without an id";
    snprintf(text, sizeof(text), "%s: %s", why->field, why->message);
    if (!note_stranger(replica, id, text))
        return REPLICA_PASSED_OVER;
    error_set(error, -EINVAL, why->field, "%s %s: %s", kind, id, text);
    return REPLICA_STRANGER;
}

int replica_keep(struct replica *replica, struct object *object, uint64_t revision)
{
    struct replica_entry *old = find_entry(replica, object->id), *entry = calloc(1, sizeof(*entry));
    int result;

    if (!entry)
        return -ENOMEM;
    if (old)
        drop_entry(replica, old);
    entry->object = object;
    entry->revision = revision;
    result = kind_add(&replica->by_kind[object->kind], entry);
    if (result == 0) {
        result = hashmap_insert(&replica->by_id, &entry->by_id, object->id, strlen(object->id));
        if (result < 0)
            kind_remove(&replica->by_kind[object->kind], entry);
    }
    if (result < 0) {
        free(entry);
        return result;
    }
    replica->n_changes++;
    return 0;
}

static int put(struct replica *replica, const json_t *line, enum replica_event *ret_event, struct error *error)
{
    const char *kind_name = json_string_value(json_object_get(line, "kind"));
    const json_t *json = json_object_get(line, "object");
    _cleanup_(object_freep) struct object *object = NULL;
    struct error why = {0};
    enum resource_kind kind;
    int result;

    if (!kind_name || resource_from_name(kind_name, &kind) < 0) {
        replica->n_unknown_kinds++; /* Nothing that this agent could do with it. */
        *ret_event = REPLICA_PASSED_OVER;
        return 0;
    }
    result = object_decode(kind, json, &object, &why);
    if (result == -ENOMEM)
        return error_set(error, result, NULL, "out of memory");
    if (result < 0) {
        *ret_event = take_stranger(replica, kind_name, json, &why, error);
        return 0;
    }
    forget_stranger(replica, find_stranger(replica, object->id));
    result = replica_keep(replica, object, (uint64_t)json_integer_value(json_object_get(line, "revision")));
    if (result < 0)
        return error_set(error, result, NULL, "out of memory");
    (void)TAKE_PTR(object);
    return 0;
}

/* What does not fit is no reason to believe nothing: as if the object were of an unknown revision, the next stream brings it whole. */
static int missed(struct replica_entry *entry, const struct error *why, struct error *error)
{
    entry->revision = 0;
    return error_set(error, -ESTALE, "from", "a patch of %s %s does not fit what is here: %s", resource_name(entry->object->kind), entry->object->id,
                     why->message);
}

static int patch(struct replica *replica, const json_t *line, enum replica_event *ret_event, struct error *error)
{
    const json_t *json = json_object_get(line, "object");
    const char *id = json_string_value(json_object_get(json, "id"));
    struct replica_entry *entry = id ? find_entry(replica, id) : NULL;
    uint64_t from = (uint64_t)json_integer_value(json_object_get(line, "from"));
    _cleanup_(object_freep) struct object *object = NULL;
    struct error why = {0};
    int result;

    if (!entry || entry->object->kind != RESOURCE_BALANCE_ROWS || find_stranger(replica, id)) {
        *ret_event = REPLICA_PASSED_OVER; /* It could not be read, and still cannot. */
        return 0;
    }
    if (entry->revision != from) {
        error_set(&why, -ESTALE, NULL, "it is for revision %llu, not for %llu", (unsigned long long)from, (unsigned long long)entry->revision);
        return missed(entry, &why, error);
    }
    result = object_decode(RESOURCE_BALANCE_ROWS, json, &object, &why);
    if (result == 0)
        result = balance_patch_apply((struct balance_rows *)entry->object, (struct balance_rows *)object, line, &why);
    if (result == -EINVAL)
        return missed(entry, &why, error);
    if (result == 0)
        result = replica_keep(replica, object, (uint64_t)json_integer_value(json_object_get(line, "revision")));
    if (result < 0)
        return error_set(error, result, NULL, "out of memory");
    (void)TAKE_PTR(object);
    return 0;
}

static void delete(struct replica *replica, const json_t *line)
{
    const char *id = json_string_value(json_object_get(line, "id"));
    struct replica_entry *entry = id ? find_entry(replica, id) : NULL;

    if (entry)
        drop_entry(replica, entry);
    if (id)
        forget_stranger(replica, find_stranger(replica, id));
}

static int take_line(struct replica *replica, json_t *line, enum replica_event *ret_event, json_t **ret_request,
                     struct error *error)
{
    const char *type = json_string_value(json_object_get(line, "type"));
    uint64_t revision = (uint64_t)json_integer_value(json_object_get(line, "revision"));

    *ret_event = REPLICA_NOTHING;
    if (!type)
        return error_set(error, -EINVAL, "type", "a line of the watch stream has no type");
    if (streq(type, "put"))
        return put(replica, line, ret_event, error);
    if (streq(type, "patch"))
        return patch(replica, line, ret_event, error);
    if (streq(type, "delete")) {
        delete(replica, line);
    } else if (streq(type, "commit")) {
        replica->revision = MAX(replica->revision, revision);
        *ret_event = REPLICA_COMMIT;
    } else if (streq(type, "synced")) {
        replica->revision = MAX(replica->revision, revision);
        sweep_strangers(replica);
        *ret_event = REPLICA_SYNCED;
    } else if (streq(type, "request")) {
        *ret_event = REPLICA_REQUEST;
        *ret_request = json_incref(line);
    } else if (streq(type, "keepalive")) {
        *ret_event = REPLICA_KEEPALIVE;
    }
    return 0; /* A type of a later version is passed over. */
}

/* ---- the cache ------------------------------------------------------------------------------------------------------------ */

static bool is_cached(const char *line, size_t size)
{
    return memmem(line, MIN(size, 64), "\"put\"", 5) || memmem(line, MIN(size, 64), "\"delete\"", 8) ||
           memmem(line, MIN(size, 64), "\"patch\"", 7);
}

static int write_all(int fd, const char *bytes, size_t size)
{
    while (size) {
        ssize_t written = write(fd, bytes, size);

        if (written < 0)
            return -errno;
        bytes += written;
        size -= (size_t)written;
    }
    return 0;
}

static int format_cache(const struct replica *replica, struct buffer *buffer)
{
    HASHMAP_FOREACH(node, &replica->by_id) {
        const struct replica_entry *entry = CONTAINER_OF(node, struct replica_entry, by_id);
        json_t *line = json_pack("{s:s, s:s, s:I, s:o}", "type", "put", "kind", resource_name(entry->object->kind), "revision",
                                 (json_int_t)entry->revision, "object", object_encode(entry->object));
        _cleanup_(freep) char *text = line ? json_dumps(line, JSON_COMPACT) : NULL;

        json_decref(line);
        if (!text || buffer_append_string(buffer, text) < 0 || buffer_append(buffer, "\n", 1) < 0)
            return -ENOMEM;
    }
    return 0;
}

static int rewrite_cache(struct replica *replica)
{
    struct buffer buffer = {0};
    char path[600];
    int fd, result = format_cache(replica, &buffer);

    snprintf(path, sizeof(path), "%s.new", replica->cache_path);
    fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (result == 0)
        result = fd < 0 ? -errno : write_all(fd, buffer.data, buffer.size);
    if (result == 0)
        result = file_replace(fd, path, replica->cache_path);
    if (result == 0) {
        if (replica->cache_fd >= 0)
            close(replica->cache_fd);
        replica->cache_fd = TAKE_FD(fd);
        replica->cache_size = replica->cache_needed = buffer.size;
        replica->is_unsynced = false;
    }
    if (fd >= 0)
        close(fd);
    buffer_clear(&buffer);
    return result;
}

static void append_cache(struct replica *replica, const char *line, size_t size)
{
    struct buffer buffer = {0};

    if (replica->cache_fd < 0 || buffer_append(&buffer, line, size) < 0 || buffer_append(&buffer, "\n", 1) < 0 ||
        write_all(replica->cache_fd, buffer.data, buffer.size) < 0) {
        buffer_clear(&buffer);
        return; /* The cache is a convenience; what it misses, the API sends again. */
    }
    replica->cache_size += buffer.size;
    replica->is_unsynced = true;
    buffer_clear(&buffer);
    if (replica->cache_size > 2 * replica->cache_needed + (1 << 20))
        rewrite_cache(replica);
}

static void finish_sync(uv_fs_t *request)
{
    struct replica *replica = request->data;
    uv_loop_t *loop = request->loop;

    if (request->result < 0)
        log_error("state-dir: '%s' cannot be brought to the disk: %s", replica->cache_path, uv_strerror((int)request->result));
    uv_fs_req_cleanup(request);
    close(replica->sync_fd);
    replica->is_syncing = false;
    replica_sync(replica, loop);
}

/* By a descriptor of its own: the cache may be rewritten meanwhile. */
void replica_sync(struct replica *replica, uv_loop_t *loop)
{
    if (!replica->is_unsynced || replica->is_syncing)
        return;
    replica->sync_fd = fcntl(replica->cache_fd, F_DUPFD_CLOEXEC, 0);
    if (replica->sync_fd < 0)
        return;
    replica->sync_request.data = replica;
    replica->is_unsynced = false;
    replica->is_syncing = true;
    if (uv_fs_fdatasync(loop, &replica->sync_request, replica->sync_fd, finish_sync) < 0) {
        close(replica->sync_fd);
        replica->is_unsynced = true; /* With the next change. */
        replica->is_syncing = false;
    }
}

static int read_file(const char *path, struct buffer *buffer)
{
    _cleanup_(closep) int fd = open(path, O_RDONLY | O_CLOEXEC);

    if (fd < 0)
        return -errno;
    for (;;) {
        if (buffer_reserve(buffer, 65536) < 0)
            return -ENOMEM;

        ssize_t size = read(fd, buffer->data + buffer->size, 65536);

        if (size <= 0)
            return size < 0 ? -errno : 0;
        buffer->size += (size_t)size;
    }
}

int replica_open(struct replica *replica, const char *cache_path, struct error *error)
{
    struct buffer buffer = {0};
    int result;

    *replica = (struct replica){.cache_fd = -1};
    replica->cache_path = strdup(cache_path);
    if (!replica->cache_path)
        return -ENOMEM;
    result = read_file(cache_path, &buffer);
    if (result < 0 && result != -ENOENT) {
        buffer_clear(&buffer);
        return error_set(error, result, "state-dir", "state-dir: cannot read '%s': %s", cache_path, strerror(-result));
    }
    for (size_t from = 0; from < buffer.size;) {
        const char *line = buffer.data + from, *end = memchr(line, '\n', buffer.size - from);
        json_t *json = end ? json_loadb(line, (size_t)(end - line), 0, NULL) : NULL;
        enum replica_event event;
        json_t *request = NULL;

        if (json)
            take_line(replica, json, &event, &request, NULL);
        json_decref(request);
        json_decref(json);
        if (!end)
            break;
        from = (size_t)(end - buffer.data) + 1;
    }
    buffer_clear(&buffer);
    result = rewrite_cache(replica);
    if (result < 0)
        return error_set(error, result, "state-dir", "state-dir: cannot write '%s': %s", cache_path, strerror(-result));
    return 0;
}

void replica_close(struct replica *replica)
{
    HASHMAP_FOREACH(node, &replica->by_id)
        drop_entry(replica, CONTAINER_OF(node, struct replica_entry, by_id));
    hashmap_clear(&replica->by_id);
    for (int kind = 0; kind < RESOURCE_N_KINDS; kind++)
        free(replica->by_kind[kind].entries);
    HASHMAP_FOREACH(node, &replica->strangers)
        forget_stranger(replica, CONTAINER_OF(node, struct replica_stranger, by_id));
    hashmap_clear(&replica->strangers);
    free(replica->cache_path);
    if (replica->cache_fd >= 0)
        close(replica->cache_fd);
}

int replica_line(struct replica *replica, const char *line, size_t size, enum replica_event *ret_event,
                 json_t **ret_request, struct error *error)
{
    json_error_t where;
    json_t *json = json_loadb(line, size, 0, &where);
    int result;

    *ret_request = NULL;
    if (!json)
        return error_set(error, -EINVAL, NULL, "a line of the watch stream is not JSON: %s", where.text);
    result = take_line(replica, json, ret_event, ret_request, error);
    json_decref(json);
    if (result == 0 && *ret_event == REPLICA_NOTHING && is_cached(line, size))
        append_cache(replica, line, size);
    return result;
}

json_t *replica_digest(struct replica *replica)
{
    json_t *digest = json_object();

    HASHMAP_FOREACH(node, &replica->strangers)
        CONTAINER_OF(node, struct replica_stranger, by_id)->is_there = false;

    HASHMAP_FOREACH(node, &replica->by_id) {
        const struct replica_entry *entry = CONTAINER_OF(node, struct replica_entry, by_id);

        if (digest && json_object_set_new(digest, entry->object->id, json_integer((json_int_t)entry->revision)) < 0) {
            json_decref(digest);
            return NULL;
        }
    }
    return digest;
}

const struct object *replica_find(const struct replica *replica, enum resource_kind kind, const char *id)
{
    const struct replica_entry *entry = find_entry(replica, id);

    return entry && entry->object->kind == kind ? entry->object : NULL;
}
