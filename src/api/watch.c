/* The watch stream: level-triggered.  A watcher does not queue changes but remembers which objects its agent has an old
 * form of; a line is written from the replica when the connection can take it.  So what waits for a slow agent is bounded by
 * what is relevant to it, repeated changes cost one line, and when nothing is left the agent has exactly the replica's revision:
 * there "commit" is written.  Resuming is the same with the digest's difference as what is old.
 *
 * What is relevant to a host: relevance.h. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "weft/api/hosts-state.h"
#include "weft/api/relevance.h"
#include "weft/base/buffer.h"
#include "weft/base/clock.h"
#include "weft/base/log.h"
#include "weft/base/util.h"
#include "weft/model/balance-patch.h"

#define FILL_SIZE (32u << 10)        /* Lines are written until so many bytes are ready. */
#define CONTROL_MAX_SIZE (1u << 20)  /* Bytes of questions that wait. */
#define KEEPALIVE_MS 5000
#define STUCK_MS 20000               /* An agent that has not read for so long is cut; it resumes by its digest. */
#define N_CACHED 2048                /* Encoded lines kept while several watchers want the same. */

struct old {
    struct hashmap_node node;
    struct old *next;
    enum resource_kind kind;
    char id[UUID_TEXT_SIZE];
};

/* Which form of a pool's rows the agent has. */
struct sent {
    struct hashmap_node node;
    char id[UUID_TEXT_SIZE];
    uint64_t revision;
};

struct watcher {
    struct stream stream;
    struct hosts *hosts;
    struct agent *agent;
    struct watcher *next;            /* Of the agent. */
    struct watcher *next_dirty;
    char *host_name;
    struct relevance *relevance;
    const json_t *digest;            /* While the stream begins: what the agent has. */
    struct hashmap old_by_id;
    struct old *first_old, **last_old;
    struct hashmap sent;             /* Of one that takes patches. */
    struct buffer out, control;
    size_t out_offset;
    uint64_t read_ms, sent_ms;
    bool is_dirty;                   /* In hosts->dirty. */
    bool wants_synced, wants_commit, is_over, takes_patches;
    uint64_t committed_revision;     /* Of the last "commit" written; 0 before the first. */
};

struct cached {
    enum resource_kind kind;
    char id[UUID_TEXT_SIZE];
    uint64_t revision;
    char *text;
    size_t size;
};

struct lines {
    struct cached cached[N_CACHED];
    size_t n;
    uint64_t used_ms;
};

/* --- Encoded lines. --- */

static struct cached *cache_slot(struct lines *lines, enum resource_kind kind, const char *id)
{
    uint32_t hash = 2166136261u ^ kind;

    for (; *id; id++)
        hash = (hash ^ (uint8_t)*id) * 16777619u;
    return &lines->cached[hash % N_CACHED];
}

static void cache_clear(struct lines *lines)
{
    for (size_t i = 0; i < N_CACHED && lines->n; i++)
        if (lines->cached[i].text) {
            free(lines->cached[i].text);
            lines->cached[i] = (struct cached){0};
            lines->n--;
        }
}

/* Takes over 'text'. */
static void cache_put(struct lines *lines, enum resource_kind kind, const char *id, uint64_t revision, char *text, size_t size)
{
    struct cached *slot = cache_slot(lines, kind, id);

    if (slot->text)
        free(slot->text);
    else
        lines->n++;
    *slot = (struct cached){.kind = kind, .revision = revision, .text = text, .size = size};
    string_copy(slot->id, sizeof(slot->id), id);
    lines->used_ms = clock_monotonic_ms();
}

static int begin_put(struct buffer *out, enum resource_kind kind, uint64_t revision)
{
    return buffer_printf(out, "{\"type\":\"put\",\"kind\":\"%s\",\"revision\":%llu,\"object\":", resource_name(kind), (unsigned long long)revision);
}

/* What a port's owner says to the workload is for its host only: others get the port without it. */
static bool is_secret_to(const char *host_name, const struct object *object)
{
    const struct port *port = (const struct port *)object;

    return object->kind == RESOURCE_PORT && port->metadata && !(port->binding_host_id && streq(port->binding_host_id, host_name));
}

static int write_public(struct buffer *out, const struct object *object)
{
    struct port without = *(const struct port *)object;
    int r = begin_put(out, object->kind, object->store_revision);

    without.metadata = NULL;
    if (r == 0)
        r = object_write(&without.object, out);
    return r == 0 ? buffer_append(out, "}\n", 2) : r;
}

static int write_put(struct hosts *hosts, struct buffer *out, const struct object *object)
{
    struct cached *slot = cache_slot(hosts->lines, object->kind, object->id);
    struct buffer line = {0};
    int r;

    if (slot->text && slot->revision == object->store_revision && slot->kind == object->kind && streq(slot->id, object->id))
        return buffer_append(out, slot->text, slot->size);
    r = begin_put(&line, object->kind, object->store_revision);
    if (r == 0)
        r = object_write(object, &line);
    if (r == 0)
        r = buffer_append(&line, "}\n", 2);
    if (r == 0)
        r = buffer_append(out, line.data, line.size);
    if (r == 0)
        cache_put(hosts->lines, object->kind, object->id, object->store_revision, TAKE_PTR(line.data), line.size);
    free(line.data);
    return r;
}

/* --- Rows of pools: what the agent has, and what has changed. --- */

static struct sent *find_sent(const struct watcher *watcher, const char *id)
{
    struct hashmap_node *node = hashmap_find(&watcher->sent, id, strlen(id));

    return node ? CONTAINER_OF(node, struct sent, node) : NULL;
}

/* Without memory it is not remembered, and the whole is sent again. */
static void note_sent(struct watcher *watcher, const char *id, uint64_t revision)
{
    struct sent *sent = watcher->takes_patches ? find_sent(watcher, id) : NULL;

    if (watcher->takes_patches && !sent && (sent = calloc(1, sizeof(*sent)))) {
        string_copy(sent->id, sizeof(sent->id), id);
        if (hashmap_insert(&watcher->sent, &sent->node, sent->id, strlen(sent->id)) < 0) {
            free(sent);
            sent = NULL;
        }
    }
    if (sent)
        sent->revision = revision;
}

static void forget_sent(struct watcher *watcher, const char *id)
{
    struct sent *sent = find_sent(watcher, id);

    if (!sent)
        return;
    hashmap_remove(&watcher->sent, &sent->node);
    free(sent);
}

static int write_rows(struct watcher *watcher, const struct object *object)
{
    const struct sent *sent = find_sent(watcher, object->id);
    size_t size = watcher->out.size;
    int r = sent ? 0 : -ESTALE;

    if (r == 0)
        r = buffer_printf(&watcher->out, "{\"type\":\"patch\",\"kind\":\"%s\",\"revision\":%llu,", resource_name(object->kind),
                          (unsigned long long)object->store_revision);
    if (r == 0)
        r = balance_histories_write(watcher->hosts->histories, (const struct balance_rows *)object, sent->revision, &watcher->out);
    if (r == 0)
        r = buffer_append(&watcher->out, "}\n", 2);
    if (r == -ESTALE) {
        watcher->out.size = size;
        r = write_put(watcher->hosts, &watcher->out, object);
    }
    if (r == 0)
        note_sent(watcher, object->id, object->store_revision);
    return r;
}

/* --- What is relevant, and what is old. --- */

static void end_stream(struct watcher *watcher)
{
    watcher->is_over = true;
    stream_cut(&watcher->stream);
}

static void mark_old(struct watcher *watcher, enum resource_kind kind, const char *id)
{
    struct old *old;

    if (hashmap_find(&watcher->old_by_id, id, strlen(id)))
        return;
    old = calloc(1, sizeof(*old));
    if (old) {
        old->kind = kind;
        string_copy(old->id, sizeof(old->id), id);
        if (hashmap_insert(&watcher->old_by_id, &old->node, old->id, strlen(old->id)) < 0) {
            free(old);
            old = NULL;
        }
    }
    if (!old) {
        end_stream(watcher); /* No memory: the agent comes back with a digest. */
        return;
    }
    *watcher->last_old = old;
    watcher->last_old = &old->next;
    if (!watcher->is_dirty) {
        watcher->is_dirty = true;
        watcher->next_dirty = watcher->hosts->dirty;
        watcher->hosts->dirty = watcher;
    }
}

static void mark(const struct object *object, void *context)
{
    struct watcher *watcher = context;
    const json_t *revision = watcher->digest ? json_object_get(watcher->digest, object->id) : NULL;

    if (!revision || (uint64_t)json_integer_value(revision) != object->store_revision)
        mark_old(watcher, object->kind, object->id);
    if (revision && object->kind == RESOURCE_BALANCE_ROWS)
        note_sent(watcher, object->id, (uint64_t)json_integer_value(revision));
}

void watch_change(const struct replica_change *change, void *context)
{
    struct hosts *hosts = context;
    const struct object *any = change->after ? change->after : change->before;
    bool is_wanted = false;

    if (!change->value && change->after)
        return; /* Only a port's status: agents said it themselves. */
    if (change->kind == RESOURCE_BALANCE_ROWS)
        balance_histories_change(hosts->histories, (const struct balance_rows *)change->before, (const struct balance_rows *)change->after);
    if (change->kind == RESOURCE_HOST && !change->after) {
        struct agent *agent = agent_get(hosts, any->id);

        for (struct watcher *watcher = agent ? agent->watchers : NULL; watcher; watcher = watcher->next)
            end_stream(watcher);
    }
    if (hosts->counters.n_watchers == 0)
        return;
    HASHMAP_FOREACH(node, &hosts->agents)
        for (struct watcher *watcher = CONTAINER_OF(node, struct agent, node)->watchers; watcher; watcher = watcher->next) {
            if (!watcher->is_over && relevance_change(watcher->relevance, change) < 0)
                end_stream(watcher);
            is_wanted = is_wanted || watcher->is_dirty;
        }

    /* The stored form just arrived: the line is ready without encoding again.  Of rows most watchers want but a part. */
    if (is_wanted && change->value && change->kind != RESOURCE_BALANCE_ROWS) {
        struct buffer line = {0};

        if (begin_put(&line, change->kind, any->store_revision) == 0 && buffer_append(&line, change->value, change->value_size) == 0 &&
            buffer_append(&line, "}\n", 2) == 0 && !memchr(change->value, '\n', change->value_size))
            cache_put(hosts->lines, change->kind, any->id, any->store_revision, TAKE_PTR(line.data), line.size);
        free(line.data);
    }
}

void watch_commit(uint64_t revision, void *context)
{
    struct hosts *hosts = context;

    while (hosts->dirty) {
        struct watcher *watcher = hosts->dirty;

        hosts->dirty = watcher->next_dirty;
        watcher->is_dirty = false;
        watcher->wants_commit = true;
        stream_wake(&watcher->stream);
    }
}

/* --- Writing lines. --- */

static int write_old(struct watcher *watcher, struct old *old)
{
    const struct object *object = old->kind < RESOURCE_N_KINDS ? replica_get(watcher->hosts->api->replica, old->kind, old->id) : NULL;

    if (object && relevance_has(watcher->relevance, object) && object->kind == RESOURCE_BALANCE_ROWS)
        return write_rows(watcher, object);
    if (old->kind == RESOURCE_BALANCE_ROWS)
        forget_sent(watcher, old->id);
    if (object && relevance_has(watcher->relevance, object))
        return is_secret_to(watcher->host_name, object) ? write_public(&watcher->out, object) : write_put(watcher->hosts, &watcher->out, object);
    if (old->kind == RESOURCE_N_KINDS) /* Of a digest, and deleted long ago: only the id is known. */
        return buffer_printf(&watcher->out, "{\"type\":\"delete\",\"kind\":null,\"id\":\"%s\",\"revision\":%llu}\n", old->id,
                             (unsigned long long)replica_revision(watcher->hosts->api->replica));
    return buffer_printf(&watcher->out, "{\"type\":\"delete\",\"kind\":\"%s\",\"id\":\"%s\",\"revision\":%llu}\n",
                         resource_name(old->kind), old->id, (unsigned long long)replica_revision(watcher->hosts->api->replica));
}

static int write_mark(struct watcher *watcher, const char *type)
{
    return buffer_printf(&watcher->out, "{\"type\":\"%s\",\"revision\":%llu}\n", type,
                         (unsigned long long)replica_revision(watcher->hosts->api->replica));
}

static int fill(struct watcher *watcher)
{
    int r = 0;

    buffer_consume(&watcher->out, watcher->out.size);
    watcher->out_offset = 0;
    if (watcher->control.size) {
        r = buffer_append(&watcher->out, watcher->control.data, watcher->control.size);
        buffer_consume(&watcher->control, watcher->control.size);
    }
    while (r == 0 && watcher->first_old && watcher->out.size < FILL_SIZE) {
        struct old *old = watcher->first_old;

        r = write_old(watcher, old);
        watcher->first_old = old->next;
        if (!watcher->first_old)
            watcher->last_old = &watcher->first_old;
        hashmap_remove(&watcher->old_by_id, &old->node);
        free(old);
    }
    if (r < 0 || watcher->first_old)
        return r;
    if (watcher->wants_synced)
        r = write_mark(watcher, "synced");
    if (r == 0 && (watcher->wants_commit || watcher->wants_synced)) {
        r = write_mark(watcher, "commit");
        watcher->committed_revision = replica_revision(watcher->hosts->api->replica);
    }
    watcher->wants_synced = watcher->wants_commit = false;
    return r;
}

static int64_t read_lines(struct stream *stream, char *bytes, size_t size)
{
    struct watcher *watcher = stream->context;

    if (watcher->is_over)
        return -ECONNRESET;
    watcher->read_ms = clock_monotonic_ms();
    if (watcher->out_offset == watcher->out.size && fill(watcher) < 0)
        return -ENOMEM;
    size = MIN(size, watcher->out.size - watcher->out_offset);
    if (size == 0) {
        buffer_clear(&watcher->out); /* Idle watchers hold no buffer. */
        watcher->out_offset = 0;
        return 0;
    }
    memcpy(bytes, watcher->out.data + watcher->out_offset, size);
    watcher->out_offset += size;
    watcher->sent_ms = watcher->read_ms;
    watcher->hosts->counters.n_bytes += size;
    return (int64_t)size;
}

/* Nothing was relevant since the last commit: an agent that applied it has applied all there is. */
uint64_t watch_applied_revision(const struct hosts *hosts, const struct agent *agent)
{
    const struct watcher *watcher = agent->watchers;

    if (watcher && !watcher->is_over && !watcher->first_old && !watcher->wants_commit && !watcher->wants_synced &&
        watcher->committed_revision && agent->applied_revision >= watcher->committed_revision)
        return MAX(agent->applied_revision, replica_revision(hosts->api->replica));
    return agent->applied_revision;
}

bool watch_is_open(const struct agent *agent)
{
    return agent->watchers && !agent->watchers->is_over;
}

bool watch_concerns(const struct agent *agent, const struct object *object)
{
    return watch_is_open(agent) && relevance_has(agent->watchers->relevance, object);
}

int watch_send_line(struct agent *agent, const char *line, size_t size)
{
    struct watcher *watcher = agent->watchers;

    if (!watcher || watcher->is_over)
        return -ENOTCONN;
    if (watcher->control.size + size > CONTROL_MAX_SIZE)
        return -ENOBUFS;
    if (buffer_append(&watcher->control, line, size) < 0)
        return -ENOMEM;
    stream_wake(&watcher->stream);
    return 0;
}

void watch_tick(struct hosts *hosts, uint64_t now_ms)
{
    char line[80];

    if (hosts->lines->n && now_ms > hosts->lines->used_ms + 2000)
        cache_clear(hosts->lines);
    if (hosts->counters.n_watchers == 0)
        return;
    snprintf(line, sizeof(line), "{\"type\":\"keepalive\",\"revision\":%llu}\n", (unsigned long long)replica_revision(hosts->api->replica));
    HASHMAP_FOREACH(node, &hosts->agents)
        for (struct watcher *watcher = CONTAINER_OF(node, struct agent, node)->watchers; watcher; watcher = watcher->next) {
            bool has_more = watcher->out_offset < watcher->out.size || watcher->control.size || watcher->first_old;

            if (watcher->is_over)
                continue;
            if (has_more && now_ms > watcher->read_ms + STUCK_MS) {
                log_warning("host '%s': its agent has not read for %d s, cutting its stream", watcher->host_name, STUCK_MS / 1000);
                hosts->counters.n_cut++;
                end_stream(watcher);
            } else if (!has_more && now_ms >= watcher->sent_ms + KEEPALIVE_MS) {
                watch_send_line(watcher->agent, line, strlen(line));
            }
        }
}

/* --- Start and end of a stream. --- */

static void watcher_free(struct watcher *watcher)
{
    while (watcher->first_old) {
        struct old *old = watcher->first_old;

        watcher->first_old = old->next;
        free(old);
    }
    hashmap_clear(&watcher->old_by_id);
    HASHMAP_FOREACH(node, &watcher->sent)
        free(CONTAINER_OF(node, struct sent, node));
    hashmap_clear(&watcher->sent);
    relevance_free(watcher->relevance);
    buffer_clear(&watcher->out);
    buffer_clear(&watcher->control);
    free(watcher->host_name);
    free(watcher);
}

static void connection_closed(struct stream *stream)
{
    struct watcher *watcher = stream->context;

    for (struct watcher **at = &watcher->agent->watchers; *at; at = &(*at)->next)
        if (*at == watcher) {
            *at = watcher->next;
            break;
        }
    for (struct watcher **at = &watcher->hosts->dirty; *at; at = &(*at)->next_dirty)
        if (*at == watcher) {
            *at = watcher->next_dirty;
            break;
        }
    watcher->hosts->counters.n_watchers--;
    log_info("host '%s': its agent's stream ended", watcher->host_name);
    watcher_free(watcher);
}

static enum resource_kind kind_of_id(const struct replica *replica, const char *id)
{
    for (enum resource_kind kind = 0; kind < RESOURCE_N_KINDS; kind++)
        if (replica_get(replica, kind, id))
            return kind;
    return RESOURCE_N_KINDS;
}

static int mark_difference(struct watcher *watcher, const struct host *host, const json_t *digest)
{
    const struct replica *replica = watcher->hosts->api->replica;
    const char *id;
    json_t *revision;
    int r;

    watcher->digest = digest;
    r = relevance_new(replica, host, mark, watcher, &watcher->relevance);
    watcher->digest = NULL;
    if (r < 0)
        return r;
    json_object_foreach((json_t *)digest, id, revision) {
        enum resource_kind kind = kind_of_id(replica, id);

        if (kind == RESOURCE_N_KINDS || !relevance_has(watcher->relevance, replica_get(replica, kind, id)))
            mark_old(watcher, kind, id);
    }
    return 0;
}

static int check_digest(const json_t *digest, struct error *error)
{
    const char *id;
    json_t *revision;

    if (!json_is_object(digest))
        return error_set(error, -EINVAL, "digest", "an object {id: revision} is required");
    json_object_foreach((json_t *)digest, id, revision) {
        if (strlen(id) >= UUID_TEXT_SIZE || !uuid_is_valid(id))
            return error_set(error, -EINVAL, "digest", "'%.100s' is not an id", id);
        if (!json_is_integer(revision) || json_integer_value(revision) < 0)
            return error_set(error, -EINVAL, "digest", "%s: a revision is a number that is not negative", id);
    }
    return 0;
}

void watch_start(struct request *request)
{
    struct hosts *hosts = request_api(request)->hosts;
    const struct host *host = replica_host(request_api(request)->replica, request_auth(request)->host_id);
    struct agent *agent = host ? agent_get(hosts, host->object.id) : NULL;
    const json_t *digest = json_object_get(request->body, "digest");
    struct watcher *watcher = agent ? calloc(1, sizeof(*watcher)) : NULL;
    struct error error = {0};

    if (check_digest(digest, &error) < 0) {
        free(watcher);
        request_fail_error(request, &error);
        return;
    }
    if (watcher)
        watcher->host_name = strdup(host->object.name);
    if (!watcher || !watcher->host_name) {
        free(watcher);
        request_fail(request, HTTP_UNAVAILABLE, NULL, "out of memory");
        return;
    }
    watcher->hosts = hosts;
    watcher->agent = agent;
    watcher->last_old = &watcher->first_old;
    watcher->takes_patches = json_is_true(json_object_get(request->body, "patches"));
    watcher->read_ms = watcher->sent_ms = clock_monotonic_ms();
    watcher->wants_synced = true;
    watcher->is_dirty = true; /* Not in the list: what is marked now is sent before "synced". */
    if (mark_difference(watcher, host, digest) < 0) {
        watcher_free(watcher);
        request_fail(request, HTTP_UNAVAILABLE, NULL, "out of memory");
        return;
    }
    watcher->is_dirty = false;
    /* One stream a host: an agent that comes again has lost the other. */
    for (struct watcher *other = agent->watchers; other; other = other->next)
        end_stream(other);
    watcher->next = agent->watchers;
    agent->watchers = watcher;
    hosts->counters.n_watchers++;
    log_info("host '%s': its agent watches from %s (%zu in its digest)", host->object.name, request_client_address(request),
             json_object_size(digest));

    watcher->stream = (struct stream){.read = read_lines, .closed = connection_closed, .context = watcher};
    request_stream(request, "application/x-ndjson", &watcher->stream);
}

int watch_init(struct hosts *hosts)
{
    hosts->lines = calloc(1, sizeof(*hosts->lines));
    return hosts->lines ? balance_histories_new(&hosts->histories) : -ENOMEM;
}

void watch_clear(struct hosts *hosts)
{
    /* The transport is gone before: each stream has been closed by now. */
    if (hosts->lines)
        cache_clear(hosts->lines);
    free(hosts->lines);
    hosts->lines = NULL;
    balance_histories_free(hosts->histories);
    hosts->histories = NULL;
}
