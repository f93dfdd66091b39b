/* store's thread -> copied batches -> loop: decode, index, tell listeners, release who waits. */
#include "weft/api/replica.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "weft/api/replica-state.h"
#include "weft/base/log.h"
#include "weft/base/util.h"

/* A batch of the watch, copied: items and their bytes in one allocation. */
struct batch {
    struct batch *next;
    uint64_t revision;
    size_t n_items;
    struct store_item items[];
};

const char *replica_key(enum resource_kind kind, const char *id, char key[REPLICA_KEY_SIZE])
{
    snprintf(key, REPLICA_KEY_SIZE, "object/%s/%s", resource_name(kind), id);
    return key;
}

static int list_insert(struct replica *replica, const struct object *object)
{
    struct kind *kind = &replica->kinds[object->kind];
    size_t at;

    if (kind->n == kind->capacity) {
        size_t capacity = kind->capacity ? kind->capacity + kind->capacity / 2 : 16;
        const struct object **grown = reallocarray(kind->objects, capacity, sizeof(struct object *));

        if (!grown)
            return -ENOMEM;
        kind->objects = grown;
        kind->capacity = capacity;
    }
    at = replica_lower_bound(replica, object->kind, object->id);
    memmove(kind->objects + at + 1, kind->objects + at, (kind->n - at) * sizeof(*kind->objects));
    kind->objects[at] = object;
    kind->n++;
    return 0;
}

static void list_remove(struct replica *replica, const struct object *object)
{
    struct kind *kind = &replica->kinds[object->kind];
    size_t at = replica_lower_bound(replica, object->kind, object->id);

    memmove(kind->objects + at, kind->objects + at + 1, (kind->n - at - 1) * sizeof(*kind->objects));
    kind->n--;
}

/* What the host says counts only while the port is bound to it.  A router's ports are on every host that needs them. */
static void apply_status(struct entry *entry)
{
    struct port *port = (struct port *)entry->object;
    bool is_router = port->device_owner && (streq(port->device_owner, DEVICE_ROUTER_INTERFACE) || streq(port->device_owner, DEVICE_ROUTER_GATEWAY));
    bool is_its_host = entry->status_host && port->binding_host_id && streq(entry->status_host, port->binding_host_id);

    port->status = is_router ? PORT_STATUS_ACTIVE : is_its_host ? (enum port_status)entry->status : PORT_STATUS_DOWN;
}

static void tell(struct replica *replica, const struct replica_change *change)
{
    for (struct replica_listener *listener = replica->listeners; listener; listener = listener->next)
        if (listener->change)
            listener->change(change, listener->context);
}

static void object_put(struct replica *replica, enum resource_kind kind, const char *id, const struct store_item *item)
{
    struct replica_change change = {.kind = kind, .revision = item->modify_revision, .value = item->value, .value_size = item->value_size};
    struct error error = {0};
    json_error_t where;
    json_t *json = json_loadb(item->value, item->value_size, 0, &where);
    struct object *object = NULL, *before = NULL;
    struct entry *entry;
    int r = json ? object_decode(kind, json, &object, &error) : error_set(&error, -EINVAL, NULL, "not JSON: %s", where.text);

    json_decref(json);
    if (r < 0) {
        log_error("store: %s: %s%s%s", item->key, error.field, error.field[0] ? ": " : "", error.message);
        return;
    }
    if (!streq(object->id, id)) {
        log_error("store: %s: the object in it says its id is '%s'", item->key, object->id);
        object_free(object);
        return;
    }
    object->store_revision = item->modify_revision;

    entry = replica_entry(replica, kind, id);
    if (entry) {
        replica_index_remove(&replica->index, &entry->places);
        before = entry->object;
        entry->object = object;
        entry->by_id.key = object->id;
        replica->kinds[kind].objects[replica_lower_bound(replica, kind, id)] = object;
    } else {
        entry = calloc(1, sizeof(*entry));
        if (!entry || list_insert(replica, object) < 0 ||
            (entry->object = object, hashmap_insert(&replica->kinds[kind].by_id, &entry->by_id, object->id, strlen(object->id)) < 0)) {
            log_error("out of memory: the replica is incomplete, ending");
            abort();
        }
    }
    if (replica_index_add(&replica->index, object, &entry->places) < 0) {
        log_error("out of memory: the replica is incomplete, ending");
        abort();
    }
    if (kind == RESOURCE_PORT)
        apply_status(entry);
    if (kind == RESOURCE_POOL_MEMBER)
        ((struct pool_member *)object)->health = (enum member_health)entry->status;

    change.before = before;
    change.after = object;
    tell(replica, &change);
    object_free(before);
}

static void entry_free(struct entry *entry)
{
    object_free(entry->object);
    free(entry->status_host);
    free(entry);
}

static void object_delete(struct replica *replica, enum resource_kind kind, const char *id, uint64_t revision)
{
    struct entry *entry = replica_entry(replica, kind, id);
    struct replica_change change = {.kind = kind, .revision = revision};

    if (!entry)
        return;
    replica_index_remove(&replica->index, &entry->places);
    list_remove(replica, entry->object);
    hashmap_remove(&replica->kinds[kind].by_id, &entry->by_id);
    change.before = entry->object;
    tell(replica, &change);
    entry_free(entry);
}

/* status/port/<id> */
static void port_status(struct replica *replica, const char *id, const struct store_item *item)
{
    struct entry *entry = replica_entry(replica, RESOURCE_PORT, id);
    json_t *json = item->value ? json_loadb(item->value, item->value_size, 0, NULL) : NULL;
    const char *status = json_string_value(json_object_get(json, "status")), *host = json_string_value(json_object_get(json, "host"));

    if (entry) {
        enum port_status before = ((struct port *)entry->object)->status;

        free(entry->status_host);
        entry->status_host = host ? strdup(host) : NULL;
        entry->status = status && streq(status, "ACTIVE") ? PORT_STATUS_ACTIVE : PORT_STATUS_DOWN;
        apply_status(entry);
        if (((struct port *)entry->object)->status != before)
            tell(replica, &(struct replica_change){.kind = RESOURCE_PORT, .before = entry->object, .after = entry->object,
                                                   .revision = item->modify_revision});
    }
    json_decref(json);
}

/* status/member/<id>.  The key may come before the object: then nobody has asked yet, and it comes again with the next report. */
static void member_status(struct replica *replica, const char *id, const struct store_item *item)
{
    struct entry *entry = replica_entry(replica, RESOURCE_POOL_MEMBER, id);
    json_t *json = item->value ? json_loadb(item->value, item->value_size, 0, NULL) : NULL;
    const char *health = json_string_value(json_object_get(json, "health"));

    if (entry) {
        struct pool_member *member = (struct pool_member *)entry->object;
        enum member_health before = member->health;

        entry->status = !health ? MEMBER_HEALTH_UNKNOWN : streq(health, "UP") ? MEMBER_HEALTH_UP : MEMBER_HEALTH_DOWN;
        member->health = (enum member_health)entry->status;
        if (member->health != before)
            tell(replica, &(struct replica_change){.kind = RESOURCE_POOL_MEMBER, .before = entry->object, .after = entry->object,
                                                   .revision = item->modify_revision});
    }
    json_decref(json);
}

static void apply(struct replica *replica, const struct store_item *item)
{
    const char *key = item->key;

    for (size_t i = 0; i < replica->n_follows; i++)
        if (item->key_size >= replica->follows[i].size && memcmp(key, replica->follows[i].prefix, replica->follows[i].size) == 0)
            replica->follows[i].follow(item, replica->follows[i].context);

    if (strncmp(key, "status/port/", 12) == 0) {
        port_status(replica, key + 12, item);
        return;
    }
    if (strncmp(key, "status/member/", 14) == 0) {
        member_status(replica, key + 14, item);
        return;
    }
    if (strncmp(key, "object/", 7) == 0) {
        const char *name = key + 7, *slash = strchr(name, '/');
        char text[48];
        enum resource_kind kind;

        if (!slash || (size_t)(slash - name) >= sizeof(text))
            return;
        memcpy(text, name, (size_t)(slash - name));
        text[slash - name] = '\0';
        if (resource_from_name(text, &kind) < 0)
            return; /* Of a later version: its servers will use it. */
        if (item->value)
            object_put(replica, kind, slash + 1, item);
        else
            object_delete(replica, kind, slash + 1, item->modify_revision);
    }
}

static void finish_batch(struct replica *replica, uint64_t revision)
{
    replica->revision = revision;
    for (struct replica_listener *listener = replica->listeners; listener; listener = listener->next)
        if (listener->commit)
            listener->commit(revision, listener->context);
}

static void release_waits(struct replica *replica)
{
    while (replica->waits && replica->waits->revision <= replica->revision) {
        struct replica_wait *wait = replica->waits;

        replica->waits = wait->next;
        wait->done(wait);
    }
}

void replica_wait(struct replica *replica, struct replica_wait *wait, uint64_t revision)
{
    struct replica_wait **at = &replica->waits;

    wait->revision = revision;
    if (revision <= replica->revision) {
        wait->done(wait);
        return;
    }
    while (*at && (*at)->revision <= revision)
        at = &(*at)->next;
    wait->next = *at;
    *at = wait;
}

static bool wants(const struct replica *replica, const struct store_item *item)
{
    if (strncmp(item->key, "object/", 7) == 0 || strncmp(item->key, "status/port/", 12) == 0 ||
        strncmp(item->key, "status/member/", 14) == 0)
        return true;
    for (size_t i = 0; i < replica->n_follows; i++)
        if (item->key_size >= replica->follows[i].size && memcmp(item->key, replica->follows[i].prefix, replica->follows[i].size) == 0)
            return true;
    return false;
}

static struct batch *batch_copy(const struct replica *replica, const struct store_watch_batch *from)
{
    size_t n = 0, bytes = 0;
    struct batch *batch;
    char *at;

    for (size_t i = 0; i < from->n_events; i++)
        if (wants(replica, &from->events[i])) {
            n++;
            bytes += from->events[i].key_size + from->events[i].value_size + 2;
        }
    if (n == 0)
        return NULL;
    batch = malloc(sizeof(*batch) + n * sizeof(batch->items[0]) + bytes);
    if (!batch) {
        log_error("out of memory: the replica is incomplete, ending");
        abort();
    }
    *batch = (struct batch){.revision = from->revision};
    at = (char *)&batch->items[n];
    for (size_t i = 0; i < from->n_events; i++) {
        const struct store_item *event = &from->events[i];
        struct store_item *item;

        if (!wants(replica, event))
            continue;
        item = &batch->items[batch->n_items++];
        *item = *event;
        item->key = memcpy(at, event->key, event->key_size);
        at += event->key_size;
        *at++ = '\0';
        if (event->value) {
            item->value = memcpy(at, event->value, event->value_size);
            at += event->value_size;
            *at++ = '\0';
        }
    }
    return batch;
}

/* On a thread of the store's. */
static void changes_arrived(const struct store_watch_batch *from, void *context)
{
    struct replica *replica = context;
    struct batch *batch = batch_copy(replica, from);

    pthread_mutex_lock(&replica->lock);
    if (batch) {
        *replica->last = batch;
        replica->last = &batch->next;
    }
    replica->delivered_revision = from->revision;
    pthread_mutex_unlock(&replica->lock);
    uv_async_send(&replica->async);
}

/* Batches that came together are one step for listeners: the state after the last one is as consistent as any. */
static void drain(uv_async_t *async)
{
    struct replica *replica = async->data;
    struct batch *batch;
    uint64_t revision;

    pthread_mutex_lock(&replica->lock);
    batch = replica->first;
    replica->first = NULL;
    replica->last = &replica->first;
    revision = replica->delivered_revision;
    pthread_mutex_unlock(&replica->lock);

    while (batch) {
        struct batch *next = batch->next;

        for (size_t i = 0; i < batch->n_items; i++)
            apply(replica, &batch->items[i]);
        free(batch);
        batch = next;
    }
    if (revision > replica->revision)
        finish_batch(replica, revision);
    release_waits(replica);
}

int replica_new(uv_loop_t *loop, struct store *store, struct replica **ret_replica)
{
    struct replica *replica = calloc(1, sizeof(*replica));
    int r;

    if (!replica)
        return -ENOMEM;
    replica->store = store;
    replica->last = &replica->first;
    replica->last_listener = &replica->listeners;
    pthread_mutex_init(&replica->lock, NULL);
    r = uv_async_init(loop, &replica->async, drain);
    if (r < 0) {
        free(replica);
        return r;
    }
    replica->async.data = replica;
    *ret_replica = replica;
    return 0;
}

void replica_listen(struct replica *replica, struct replica_listener *listener)
{
    listener->next = NULL;
    *replica->last_listener = listener;
    replica->last_listener = &listener->next;
}

int replica_follow(struct replica *replica, const char *prefix, replica_follow_fn follow, void *context)
{
    if (replica->n_follows == MAX_FOLLOWS)
        return -ENOSPC;
    replica->follows[replica->n_follows++] = (struct follow){.prefix = prefix, .size = strlen(prefix), .follow = follow, .context = context};
    return 0;
}

static int visit(const struct store_item *item, void *context)
{
    apply(context, item);
    return 0;
}

int replica_start(struct replica *replica, struct error *error)
{
    uint64_t revision = 0;
    int r = store_list(replica->store, "", 0, "", 0, visit, replica, &revision);

    if (r < 0)
        return error_set(error, r, NULL, "cannot read the store: %s", strerror(-r));
    finish_batch(replica, revision);
    r = store_watch(replica->store, "", 0, "", 0, revision, changes_arrived, replica, &replica->watch);
    if (r < 0)
        return error_set(error, r, NULL, "cannot watch the store: %s", strerror(-r));
    return 0;
}

void replica_stop(struct replica *replica)
{
    if (replica->watch)
        store_watch_cancel(replica->watch);
    replica->watch = NULL;
    drain(&replica->async);
}

static void closed(uv_handle_t *handle)
{
    struct replica *replica = handle->data;

    pthread_mutex_destroy(&replica->lock);
    free(replica);
}

void replica_free(struct replica *replica)
{
    if (!replica)
        return;
    if (replica->watch)
        store_watch_cancel(replica->watch);
    while (replica->first) {
        struct batch *batch = replica->first;

        replica->first = batch->next;
        free(batch);
    }
    for (enum resource_kind kind = 0; kind < RESOURCE_N_KINDS; kind++) {
        HASHMAP_FOREACH(node, &replica->kinds[kind].by_id) {
            struct entry *entry = CONTAINER_OF(node, struct entry, by_id);

            replica_index_remove(&replica->index, &entry->places);
            entry_free(entry);
        }
        hashmap_clear(&replica->kinds[kind].by_id);
        free(replica->kinds[kind].objects);
    }
    hashmap_clear(&replica->index.groups);
    uv_close((uv_handle_t *)&replica->async, closed);
}
