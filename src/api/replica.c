/* store's thread -> copied batches -> loop: decode, index, tell listeners, release who waits.
 *
 * An entry is one object and its places in the indexes.  An index is a map from a property to a group, and a group heads
 * a doubly linked list of members that live inside the entries, so that leaving is O(1) however many share the property. */
#include "weft/api/replica.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "weft/base/hashmap.h"
#include "weft/base/log.h"
#include "weft/base/util.h"

#define MAX_FOLLOWS 8

/* The first byte of a group's key says which property it is. */
enum property {
    PROPERTY_PORT_NETWORK = 'a',
    PROPERTY_PORT_SUBNET,
    PROPERTY_PORT_HOST,
    PROPERTY_PORT_DEVICE,
    PROPERTY_PORT_MAC,
    PROPERTY_SUBNET_NETWORK,
    PROPERTY_NAME,    /* Plus the kind. */
    PROPERTY_PROJECT, /* Plus the kind. */
};

struct group {
    struct hashmap_node node;
    struct replica_member *first;
    uint32_t count;
    uint32_t key_size;
    char key[];
};

struct member {
    struct replica_member member;
    struct group *group; /* NULL while not in one. */
};

/* A fixed address: its place in the map of addresses, and in its subnet's set. */
struct address_member {
    struct hashmap_node node;
    uint8_t key[16 + UUID_TEXT_SIZE - 1];
    bool is_in_map;
    const struct object *object;
    struct member subnet;
};

enum { MEMBER_NAME, MEMBER_PROJECT, MEMBER_NETWORK, MEMBER_HOST, MEMBER_DEVICE, MEMBER_MAC, N_MEMBERS };

struct entry {
    struct hashmap_node by_id;
    struct object *object;
    struct address_member *addresses;
    uint16_t n_addresses;
    uint8_t status;            /* enum port_status, as 'status_host' said. */
    char *status_host;
    struct member members[];   /* N_MEMBERS for a port, MEMBER_NETWORK + 1 for a subnet, MEMBER_PROJECT + 1 else. */
};

struct kind {
    struct hashmap by_id;            /* Of struct entry. */
    const struct object **objects;   /* In the order of ids. */
    size_t n, capacity;
};

struct follow {
    const char *prefix;
    size_t size;
    replica_follow_fn follow;
    void *context;
};

/* A batch of the watch, copied: items and their bytes in one allocation. */
struct batch {
    struct batch *next;
    uint64_t revision;
    size_t n_items;
    struct store_item items[];
};

struct replica {
    struct store *store;
    struct store_watch *watch;
    struct kind kinds[RESOURCE_N_KINDS];
    struct hashmap groups;
    struct hashmap addresses;
    uint64_t revision;
    struct replica_listener *listeners, **last_listener;
    struct follow follows[MAX_FOLLOWS];
    size_t n_follows;
    struct replica_wait *waits; /* By revision, lowest first. */
    uv_async_t async;

    pthread_mutex_t lock; /* Protects what follows: between the store's thread and the loop. */
    struct batch *first, **last;
    uint64_t delivered_revision; /* Of an empty batch behind the last queued one. */
};

const char *replica_key(enum resource_kind kind, const char *id, char key[REPLICA_KEY_SIZE])
{
    snprintf(key, REPLICA_KEY_SIZE, "object/%s/%s", resource_name(kind), id);
    return key;
}

/* --- Groups. --- */

static size_t group_key(char *key, size_t capacity, enum property property, enum resource_kind kind, const void *value, size_t size)
{
    size = MIN(size, capacity - 2);
    key[0] = (char)property;
    key[1] = (char)('0' + kind);
    memcpy(key + 2, value, size);
    return size + 2;
}

static struct group *group_find(const struct replica *replica, enum property property, enum resource_kind kind, const void *value, size_t size)
{
    char key[300];
    size_t key_size = group_key(key, sizeof(key), property, kind, value, size);
    struct hashmap_node *node = hashmap_find(&replica->groups, key, key_size);

    return node ? CONTAINER_OF(node, struct group, node) : NULL;
}

static int join(struct replica *replica, struct member *member, const struct object *object, enum property property, const void *value,
                size_t size)
{
    struct group *group = group_find(replica, property, object->kind, value, size);

    if (!group) {
        char key[300];
        size_t key_size = group_key(key, sizeof(key), property, object->kind, value, size);

        group = malloc(sizeof(*group) + key_size);
        if (!group)
            return -ENOMEM;
        *group = (struct group){.key_size = (uint32_t)key_size};
        memcpy(group->key, key, key_size);
        if (hashmap_insert(&replica->groups, &group->node, group->key, key_size) < 0) {
            free(group);
            return -ENOMEM;
        }
    }
    member->group = group;
    member->member = (struct replica_member){.object = object, .next = group->first};
    if (group->first)
        group->first->previous = &member->member;
    group->first = &member->member;
    group->count++;
    return 0;
}

static void leave(struct replica *replica, struct member *member)
{
    struct group *group = member->group;

    if (!group)
        return;
    if (member->member.previous)
        member->member.previous->next = member->member.next;
    else
        group->first = member->member.next;
    if (member->member.next)
        member->member.next->previous = member->member.previous;
    member->group = NULL;
    if (--group->count == 0) {
        hashmap_remove(&replica->groups, &group->node);
        free(group);
    }
}

static int join_text(struct replica *replica, struct member *member, const struct object *object, enum property property, const char *text)
{
    return text && *text ? join(replica, member, object, property, text, strlen(text)) : 0;
}

/* --- Entries. --- */

static size_t n_members(enum resource_kind kind)
{
    return kind == RESOURCE_PORT ? N_MEMBERS : kind == RESOURCE_SUBNET ? MEMBER_NETWORK + 1 : MEMBER_PROJECT + 1;
}

static void unindex(struct replica *replica, struct entry *entry)
{
    for (size_t i = 0; i < n_members(entry->object->kind); i++)
        leave(replica, &entry->members[i]);
    for (size_t i = 0; i < entry->n_addresses; i++) {
        leave(replica, &entry->addresses[i].subnet);
        if (entry->addresses[i].is_in_map)
            hashmap_remove(&replica->addresses, &entry->addresses[i].node);
    }
    free(entry->addresses);
    entry->addresses = NULL;
    entry->n_addresses = 0;
}

static void address_key(uint8_t key[16 + UUID_TEXT_SIZE - 1], const char *subnet_id, const struct ip_address *address)
{
    memset(key, 0, 16 + UUID_TEXT_SIZE - 1);
    memcpy(key, address->bytes, 16);
    memcpy(key + 16, subnet_id, strnlen(subnet_id, UUID_TEXT_SIZE - 1));
}

static int index_port(struct replica *replica, struct entry *entry)
{
    const struct port *port = (const struct port *)entry->object;
    int r = 0;

    r |= join_text(replica, &entry->members[MEMBER_NETWORK], entry->object, PROPERTY_PORT_NETWORK, port->network_id);
    r |= join_text(replica, &entry->members[MEMBER_HOST], entry->object, PROPERTY_PORT_HOST, port->binding_host_id);
    r |= join_text(replica, &entry->members[MEMBER_DEVICE], entry->object, PROPERTY_PORT_DEVICE, port->device_id);
    r |= join(replica, &entry->members[MEMBER_MAC], entry->object, PROPERTY_PORT_MAC, port->mac.bytes, sizeof(port->mac.bytes));
    if (port->n_fixed_ips == 0)
        return r;

    entry->addresses = calloc(port->n_fixed_ips, sizeof(*entry->addresses));
    if (!entry->addresses)
        return -ENOMEM;
    entry->n_addresses = (uint16_t)port->n_fixed_ips;
    for (size_t i = 0; i < port->n_fixed_ips; i++) {
        struct address_member *address = &entry->addresses[i];

        address->object = entry->object;
        address_key(address->key, port->fixed_ips[i].subnet_id, &port->fixed_ips[i].address);
        address->is_in_map = hashmap_insert(&replica->addresses, &address->node, address->key, sizeof(address->key)) == 0;
        r |= join_text(replica, &address->subnet, entry->object, PROPERTY_PORT_SUBNET, port->fixed_ips[i].subnet_id);
    }
    return r;
}

static int index_entry(struct replica *replica, struct entry *entry)
{
    const struct object *object = entry->object;
    int r = 0;

    r |= join_text(replica, &entry->members[MEMBER_NAME], object, PROPERTY_NAME, object->name);
    r |= join_text(replica, &entry->members[MEMBER_PROJECT], object, PROPERTY_PROJECT, object->project_id);
    if (object->kind == RESOURCE_SUBNET)
        r |= join_text(replica, &entry->members[MEMBER_NETWORK], object, PROPERTY_SUBNET_NETWORK, ((const struct subnet *)object)->network_id);
    if (object->kind == RESOURCE_PORT)
        r |= index_port(replica, entry);
    return r < 0 ? -ENOMEM : 0;
}

size_t replica_lower_bound(const struct replica *replica, enum resource_kind kind, const char *id)
{
    const struct kind *its = &replica->kinds[kind];
    size_t low = 0, high = its->n;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (strcmp(its->objects[middle]->id, id) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
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

static struct entry *entry_find(const struct replica *replica, enum resource_kind kind, const char *id)
{
    struct hashmap_node *node = hashmap_find(&replica->kinds[kind].by_id, id, strlen(id));

    return node ? CONTAINER_OF(node, struct entry, by_id) : NULL;
}

/* What the host says counts only while the port is bound to it. */
static void apply_status(struct entry *entry)
{
    struct port *port = (struct port *)entry->object;
    bool is_its_host = entry->status_host && port->binding_host_id && streq(entry->status_host, port->binding_host_id);

    port->status = is_its_host ? (enum port_status)entry->status : PORT_STATUS_DOWN;
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

    entry = entry_find(replica, kind, id);
    if (entry) {
        unindex(replica, entry);
        before = entry->object;
        entry->object = object;
        entry->by_id.key = object->id;
        replica->kinds[kind].objects[replica_lower_bound(replica, kind, id)] = object;
    } else {
        entry = calloc(1, sizeof(*entry) + n_members(kind) * sizeof(struct member));
        if (!entry || list_insert(replica, object) < 0 ||
            (entry->object = object, hashmap_insert(&replica->kinds[kind].by_id, &entry->by_id, object->id, strlen(object->id)) < 0)) {
            log_error("out of memory: the replica is incomplete, ending");
            abort();
        }
    }
    if (index_entry(replica, entry) < 0) {
        log_error("out of memory: the replica is incomplete, ending");
        abort();
    }
    if (kind == RESOURCE_PORT)
        apply_status(entry);

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
    struct entry *entry = entry_find(replica, kind, id);
    struct replica_change change = {.kind = kind, .revision = revision};

    if (!entry)
        return;
    unindex(replica, entry);
    list_remove(replica, entry->object);
    hashmap_remove(&replica->kinds[kind].by_id, &entry->by_id);
    change.before = entry->object;
    tell(replica, &change);
    entry_free(entry);
}

/* status/port/<id> */
static void port_status(struct replica *replica, const char *id, const struct store_item *item)
{
    struct entry *entry = entry_find(replica, RESOURCE_PORT, id);
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
    if (strncmp(key, "object/", 7) == 0) {
        const char *name = key + 7, *slash = strchr(name, '/');
        char text[32];
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
    if (strncmp(item->key, "object/", 7) == 0 || strncmp(item->key, "status/port/", 12) == 0)
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

            unindex(replica, entry);
            entry_free(entry);
        }
        hashmap_clear(&replica->kinds[kind].by_id);
        free(replica->kinds[kind].objects);
    }
    hashmap_clear(&replica->groups);
    hashmap_clear(&replica->addresses);
    uv_close((uv_handle_t *)&replica->async, closed);
}

/* --- Lookups. --- */

uint64_t replica_revision(const struct replica *replica)
{
    return replica->revision;
}

const struct object *replica_get(const struct replica *replica, enum resource_kind kind, const char *id)
{
    const struct entry *entry = entry_find(replica, kind, id);

    return entry ? entry->object : NULL;
}

const struct network *replica_network(const struct replica *replica, const char *id)
{
    return (const struct network *)replica_get(replica, RESOURCE_NETWORK, id);
}

const struct subnet *replica_subnet(const struct replica *replica, const char *id)
{
    return (const struct subnet *)replica_get(replica, RESOURCE_SUBNET, id);
}

const struct port *replica_port(const struct replica *replica, const char *id)
{
    return (const struct port *)replica_get(replica, RESOURCE_PORT, id);
}

const struct host *replica_host(const struct replica *replica, const char *id)
{
    return (const struct host *)replica_get(replica, RESOURCE_HOST, id);
}

const struct host *replica_host_by_name(const struct replica *replica, const char *name)
{
    const struct replica_member *member = replica_by_name(replica, RESOURCE_HOST, name);

    return member ? (const struct host *)member->object : NULL;
}

const struct port *replica_port_by_tap(const struct replica *replica, const char *id)
{
    const struct kind *ports = &replica->kinds[RESOURCE_PORT];
    char prefix[12] = {0};
    size_t at;

    memcpy(prefix, id, strnlen(id, 11));
    at = replica_lower_bound(replica, RESOURCE_PORT, prefix);
    if (at == ports->n || strncmp(ports->objects[at]->id, prefix, 11) != 0)
        return NULL;
    return (const struct port *)ports->objects[at];
}

const struct port *replica_port_by_address(const struct replica *replica, const char *subnet_id, const struct ip_address *address)
{
    uint8_t key[16 + UUID_TEXT_SIZE - 1];
    struct hashmap_node *node;

    address_key(key, subnet_id, address);
    node = hashmap_find(&replica->addresses, key, sizeof(key));
    return node ? (const struct port *)CONTAINER_OF(node, struct address_member, node)->object : NULL;
}

const struct object *const *replica_list(const struct replica *replica, enum resource_kind kind, size_t *ret_n)
{
    *ret_n = replica->kinds[kind].n;
    return replica->kinds[kind].objects;
}

static const struct replica_member *members(const struct replica *replica, enum property property, enum resource_kind kind, const char *text)
{
    struct group *group = group_find(replica, property, kind, text, strlen(text));

    return group ? group->first : NULL;
}

const struct replica_member *replica_ports_by_network(const struct replica *replica, const char *network_id)
{
    return members(replica, PROPERTY_PORT_NETWORK, RESOURCE_PORT, network_id);
}

const struct replica_member *replica_ports_by_subnet(const struct replica *replica, const char *subnet_id)
{
    return members(replica, PROPERTY_PORT_SUBNET, RESOURCE_PORT, subnet_id);
}

const struct replica_member *replica_ports_by_host(const struct replica *replica, const char *host_name)
{
    return members(replica, PROPERTY_PORT_HOST, RESOURCE_PORT, host_name);
}

const struct replica_member *replica_ports_by_device(const struct replica *replica, const char *device_id)
{
    return members(replica, PROPERTY_PORT_DEVICE, RESOURCE_PORT, device_id);
}

const struct replica_member *replica_ports_by_mac(const struct replica *replica, const struct mac_address *mac)
{
    struct group *group = group_find(replica, PROPERTY_PORT_MAC, RESOURCE_PORT, mac->bytes, sizeof(mac->bytes));

    return group ? group->first : NULL;
}

const struct replica_member *replica_subnets_by_network(const struct replica *replica, const char *network_id)
{
    return members(replica, PROPERTY_SUBNET_NETWORK, RESOURCE_SUBNET, network_id);
}

const struct replica_member *replica_by_name(const struct replica *replica, enum resource_kind kind, const char *name)
{
    return members(replica, PROPERTY_NAME, kind, name);
}

const struct replica_member *replica_by_project(const struct replica *replica, enum resource_kind kind, const char *project_id)
{
    return members(replica, PROPERTY_PROJECT, kind, project_id);
}

size_t replica_count_by_network(const struct replica *replica, enum resource_kind kind, const char *network_id)
{
    struct group *group = group_find(replica, kind == RESOURCE_PORT ? PROPERTY_PORT_NETWORK : PROPERTY_SUBNET_NETWORK, kind, network_id,
                                     strlen(network_id));

    return group ? group->count : 0;
}

size_t replica_count_by_host(const struct replica *replica, const char *host_name)
{
    struct group *group = group_find(replica, PROPERTY_PORT_HOST, RESOURCE_PORT, host_name, strlen(host_name));

    return group ? group->count : 0;
}

size_t replica_count_by_project(const struct replica *replica, enum resource_kind kind, const char *project_id)
{
    struct group *group = group_find(replica, PROPERTY_PROJECT, kind, project_id, strlen(project_id));

    return group ? group->count : 0;
}
