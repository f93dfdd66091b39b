#include "weft/api/plan.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "weft/api/ipam.h"
#include "weft/api/lines.h"
#include "weft/api/quota.h"
#include "weft/api/replica.h"
#include "weft/api/vnis.h"
#include "weft/base/clock.h"
#include "weft/base/util.h"

/* One object the plan touches. */
struct entry {
    struct hashmap_node by_key;
    char key[REPLICA_KEY_SIZE];
    uint64_t revision;     /* Seen; 0 for a new object. */
    struct object *after;  /* Owned; NULL while only guarded, or deleted. */
    bool is_deleted, is_created, is_implied;
    struct entry *next;
};

struct reservation {
    enum { RESERVED_ADDRESS, RESERVED_UNIT, RESERVED_VNI } what;
    enum resource_kind kind;
    char owner[64]; /* Subnet or project. */
    struct ip_address address;
    uint32_t number;
};

struct claim {
    struct hashmap_node by_key;
    char key[];
};

struct plan {
    struct networking *networking;
    struct request *request;
    struct store_transaction *transaction;
    int failure;
    struct hashmap entries, claims;
    struct entry *first, **last; /* In the order they were added. */
    struct reservation *reservations;
    size_t n_reservations, n_allocated;
    struct line_wish *turns;
    void (*done)(struct plan *plan, struct request *request);
    json_t *answer; /* Of plan_commit_and_answer. */
};

static void release(struct plan *plan)
{
    for (size_t i = 0; i < plan->n_reservations; i++) {
        const struct reservation *reservation = &plan->reservations[i];

        switch (reservation->what) {
        case RESERVED_ADDRESS:
            ipam_release(networking_ipam(plan->networking), reservation->owner, &reservation->address);
            break;
        case RESERVED_UNIT:
            quota_release(networking_quota(plan->networking), reservation->owner, reservation->kind, reservation->number);
            break;
        case RESERVED_VNI:
            vnis_release(networking_vnis(plan->networking), reservation->number);
        }
    }
    plan->n_reservations = 0;
}

static void plan_free(void *state)
{
    struct plan *plan = state;

    release(plan);
    free(plan->reservations);
    store_transaction_free(plan->transaction);
    json_decref(plan->answer);
    hashmap_clear(&plan->entries);
    HASHMAP_FOREACH (node, &plan->claims)
        free(CONTAINER_OF(node, struct claim, by_key));
    hashmap_clear(&plan->claims);
    while (plan->first) {
        struct entry *entry = plan->first;
        plan->first = entry->next;
        object_free(entry->after);
        free(entry);
    }
    while (plan->turns) {
        struct line_wish *wish = plan->turns;
        plan->turns = wish->next;
        free(wish);
    }
    free(plan);
}

struct plan *plan_new(struct request *request, struct networking *networking)
{
    struct plan *plan = calloc(1, sizeof(*plan));

    if (!plan)
        return NULL;
    plan->networking = networking;
    plan->request = request;
    plan->last = &plan->first;
    if (store_transaction_new(&plan->transaction) < 0) {
        free(plan);
        return NULL;
    }
    request->state = plan;
    request->free_state = plan_free;
    return plan;
}

struct request *plan_request(const struct plan *plan)
{
    return plan->request;
}

void plan_fail(struct plan *plan, int code)
{
    if (!plan->failure)
        plan->failure = code;
}

bool plan_has_failed(const struct plan *plan)
{
    return plan->failure != 0;
}

static struct entry *find(const struct plan *plan, enum resource_kind kind, const char *id)
{
    char key[REPLICA_KEY_SIZE];
    struct hashmap_node *node;

    replica_key(kind, id, key);
    node = hashmap_find(&plan->entries, key, strlen(key));
    return node ? CONTAINER_OF(node, struct entry, by_key) : NULL;
}

static struct entry *get(struct plan *plan, enum resource_kind kind, const char *id, uint64_t revision)
{
    struct entry *entry = find(plan, kind, id);

    if (entry)
        return entry;
    entry = calloc(1, sizeof(*entry));
    if (entry) {
        replica_key(kind, id, entry->key);
        entry->revision = revision;
        if (hashmap_insert(&plan->entries, &entry->by_key, entry->key, strlen(entry->key)) < 0) {
            free(entry);
            entry = NULL;
        }
    }
    if (!entry) {
        plan_fail(plan, -ENOMEM);
        return NULL;
    }
    *plan->last = entry;
    plan->last = &entry->next;
    return entry;
}

void plan_guard(struct plan *plan, const struct object *object)
{
    get(plan, object->kind, object->id, object->store_revision);
}

struct object *plan_edit(struct plan *plan, const struct object *object)
{
    struct entry *entry = get(plan, object->kind, object->id, object->store_revision);

    if (!entry)
        return NULL;
    if (!entry->after) {
        entry->after = object_copy(object);
        if (!entry->after) {
            plan_fail(plan, -ENOMEM);
            return NULL;
        }
        entry->after->revision_number++;
    }
    return entry->after;
}

const struct object *plan_current(const struct plan *plan, const struct object *object)
{
    const struct entry *entry = find(plan, object->kind, object->id);

    if (!entry)
        return object;
    return entry->is_deleted ? NULL : entry->after ? entry->after : object;
}

int plan_create(struct plan *plan, struct object *object)
{
    struct entry *entry = get(plan, object->kind, object->id, 0);

    if (!entry) {
        object_free(object);
        return -ENOMEM;
    }
    entry->after = object;
    entry->is_created = true;
    return 0;
}

int plan_create_implied(struct plan *plan, struct object *object)
{
    int r = plan_create(plan, object);

    if (r == 0)
        find(plan, object->kind, object->id)->is_implied = true;
    return r;
}

void plan_delete(struct plan *plan, const struct object *object)
{
    struct entry *entry = get(plan, object->kind, object->id, object->store_revision);
    char key[QUOTA_KEY_SIZE];

    if (!entry || entry->is_deleted)
        return;
    object_free(entry->after);
    entry->after = NULL;
    entry->is_deleted = true;
    if (object->quota_slot)
        plan_remove(plan, quota_unit_key(object->project_id, object->kind, object->quota_slot, key));
}

static const struct object *next_created(const struct plan *plan, enum resource_kind kind, const struct object *previous, bool is_implied)
{
    const struct entry *entry = previous ? find(plan, kind, previous->id)->next : plan->first;

    while (entry && !(entry->is_created && entry->after->kind == kind && entry->is_implied == is_implied))
        entry = entry->next;
    return entry ? entry->after : NULL;
}

const struct object *plan_created(const struct plan *plan, enum resource_kind kind, const struct object *previous)
{
    return next_created(plan, kind, previous, false);
}

const struct object *plan_implied(const struct plan *plan, enum resource_kind kind, const struct object *previous)
{
    return next_created(plan, kind, previous, true);
}

const struct object *plan_edited(const struct plan *plan, enum resource_kind kind, const struct object *previous)
{
    const struct entry *entry = previous ? find(plan, kind, previous->id)->next : plan->first;

    while (entry && !(entry->after && !entry->is_created && entry->after->kind == kind))
        entry = entry->next;
    return entry ? entry->after : NULL;
}

static void keep(struct plan *plan, int r)
{
    if (r < 0)
        plan_fail(plan, r);
}

void plan_put(struct plan *plan, const char *key, const char *value)
{
    keep(plan, store_put(plan->transaction, key, strlen(key), value, strlen(value), 0));
}

bool plan_claims(const struct plan *plan, const char *key)
{
    return hashmap_find(&plan->claims, key, strlen(key)) != NULL;
}

static void note_claim(struct plan *plan, const char *key)
{
    size_t size = strlen(key);
    struct claim *claim = malloc(sizeof(*claim) + size + 1);
    int r = claim ? 0 : -ENOMEM;

    if (claim) {
        memcpy(claim->key, key, size + 1);
        if ((r = hashmap_insert(&plan->claims, &claim->by_key, claim->key, size)) < 0)
            free(claim);
    }
    keep(plan, r);
}

void plan_replace(struct plan *plan, const char *key, uint64_t revision, const char *value)
{
    if (plan_claims(plan, key))
        return;
    note_claim(plan, key);
    keep(plan, store_require_revision(plan->transaction, key, strlen(key), revision));
    if (value)
        plan_put(plan, key, value);
    else
        plan_remove(plan, key);
}

void plan_claim(struct plan *plan, const char *key, const char *value)
{
    note_claim(plan, key);
    keep(plan, store_require_revision(plan->transaction, key, strlen(key), 0));
    plan_put(plan, key, value);
}

void plan_remove(struct plan *plan, const char *key)
{
    keep(plan, store_delete(plan->transaction, key, strlen(key)));
}

void plan_require_revision(struct plan *plan, const char *key, uint64_t revision)
{
    keep(plan, store_require_revision(plan->transaction, key, strlen(key), revision));
}

void plan_require_absent(struct plan *plan, const char *key)
{
    plan_require_revision(plan, key, 0);
}

void plan_wish_turn(struct plan *plan, const char *key, bool only_sees)
{
    struct line_wish **at = &plan->turns, *wish;

    while (*at && strcmp((*at)->key, key) < 0)
        at = &(*at)->next;
    if (*at && streq((*at)->key, key)) {
        (*at)->only_sees = (*at)->only_sees && only_sees;
        return;
    }
    wish = calloc(1, sizeof(*wish));
    if (!wish) {
        plan_fail(plan, -ENOMEM);
        return;
    }
    string_copy(wish->key, sizeof(wish->key), key);
    wish->only_sees = only_sees;
    wish->next = *at;
    *at = wish;
}

static int compare_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Nothing before the first, between two neighbours, and behind the last. */
void plan_require_only(struct plan *plan, const char *prefix, char **endings, size_t n_endings)
{
    char from[STORE_KEY_MAX_SIZE], to[STORE_KEY_MAX_SIZE];
    size_t from_size = snprintf(from, sizeof from, "%s", prefix), to_size;

    if (plan_claims(plan, prefix))
        return;
    note_claim(plan, prefix);
    if (n_endings > 1)
        qsort(endings, n_endings, sizeof *endings, compare_text);
    for (size_t i = 0; i <= n_endings; i++) {
        if (i < n_endings) {
            to_size = snprintf(to, sizeof to, "%s%s", prefix, endings[i]);
        } else {
            to_size = snprintf(to, sizeof to, "%s", prefix);
            to[to_size - 1]++; /* The '/' becomes '0': the end of all that starts with the prefix. */
        }
        keep(plan, store_require_empty(plan->transaction, from, from_size, to, to_size));
        memcpy(from, to, to_size);
        from[to_size] = '\0'; /* The least key behind it. */
        from_size = to_size + 1;
    }
}

/* Room for one more, so that what is reserved can be recorded. */
static struct reservation *next_reservation(struct plan *plan)
{
    if (plan->n_reservations == plan->n_allocated) {
        size_t n = plan->n_allocated ? 2 * plan->n_allocated : 8;
        struct reservation *more = realloc(plan->reservations, n * sizeof(*more));

        if (!more)
            return NULL;
        plan->reservations = more;
        plan->n_allocated = n;
    }
    memset(&plan->reservations[plan->n_reservations], 0, sizeof(struct reservation));
    return &plan->reservations[plan->n_reservations];
}

static int address_reserved(struct plan *plan, struct reservation *reservation, const struct subnet *subnet,
                            const struct ip_address *address)
{
    char key[IPAM_KEY_SIZE];

    reservation->what = RESERVED_ADDRESS;
    reservation->address = *address;
    string_copy(reservation->owner, sizeof reservation->owner, subnet->object.id);
    plan->n_reservations++;
    plan_claim(plan, ipam_key(subnet->object.id, address, key), "");
    return 0;
}

int plan_choose_address(struct plan *plan, const struct subnet *subnet, struct ip_address *ret_address)
{
    struct reservation *reservation = next_reservation(plan);
    int r = reservation ? ipam_choose(networking_ipam(plan->networking), subnet, ret_address) : -ENOMEM;

    return r < 0 ? r : address_reserved(plan, reservation, subnet, ret_address);
}

int plan_reserve_address(struct plan *plan, const struct subnet *subnet, const struct ip_address *address)
{
    struct reservation *reservation = next_reservation(plan);
    int r = reservation ? ipam_reserve(networking_ipam(plan->networking), subnet->object.id, address) : -ENOMEM;

    return r < 0 ? r : address_reserved(plan, reservation, subnet, address);
}

int plan_reserve_quota(struct plan *plan, struct object *object)
{
    struct reservation *reservation = next_reservation(plan);
    char key[QUOTA_KEY_SIZE];
    int r;

    if (!reservation)
        return -ENOMEM;
    r = quota_reserve(networking_quota(plan->networking), request_api(plan->request)->replica, object->project_id, object->kind,
                      &object->quota_slot);
    if (r < 0 || !object->quota_slot)
        return r;
    reservation->what = RESERVED_UNIT;
    reservation->kind = object->kind;
    reservation->number = object->quota_slot;
    string_copy(reservation->owner, sizeof reservation->owner, object->project_id);
    plan->n_reservations++;
    plan_claim(plan, quota_unit_key(object->project_id, object->kind, object->quota_slot, key), object->id);
    return 0;
}

static int vni_reserved(struct plan *plan, struct reservation *reservation, uint32_t vni)
{
    char key[VNI_KEY_SIZE];

    reservation->what = RESERVED_VNI;
    reservation->number = vni;
    plan->n_reservations++;
    plan_claim(plan, vni_key(vni, key), "");
    return 0;
}

int plan_choose_vni(struct plan *plan, uint32_t *ret_vni)
{
    struct reservation *reservation = next_reservation(plan);
    int r = reservation ? vnis_choose(networking_vnis(plan->networking), ret_vni) : -ENOMEM;

    return r < 0 ? r : vni_reserved(plan, reservation, *ret_vni);
}

int plan_reserve_vni(struct plan *plan, uint32_t vni)
{
    struct reservation *reservation = next_reservation(plan);
    int r = reservation ? vnis_reserve(networking_vnis(plan->networking), vni) : -ENOMEM;

    return r < 0 ? r : vni_reserved(plan, reservation, vni);
}

/* Somebody else took something of ours: look for the next one elsewhere. */
static void collided(struct plan *plan)
{
    for (size_t i = 0; i < plan->n_reservations; i++) {
        const struct reservation *reservation = &plan->reservations[i];
        const struct subnet *subnet;

        if (reservation->what == RESERVED_UNIT)
            quota_collided(networking_quota(plan->networking), reservation->owner, reservation->kind);
        else if (reservation->what == RESERVED_ADDRESS &&
                 (subnet = replica_subnet(request_api(plan->request)->replica, reservation->owner)))
            ipam_collided(networking_ipam(plan->networking), subnet);
    }
}

static void answer_failure(struct plan *plan, int code)
{
    struct request *request = plan->request;

    switch (code) {
    case -E2BIG:
        request_fail(request, HTTP_TOO_LARGE, "HTTPRequestEntityTooLarge",
                     "The request changes more at once than the store takes (%d operations, %u bytes): ask for less at a time.",
                     STORE_TRANSACTION_MAX_OPERATIONS, STORE_TRANSACTION_MAX_SIZE);
        break;
    case -ENOMEM:
        request_fail(request, HTTP_UNAVAILABLE, NULL, "Out of memory.");
        break;
    case -EEXIST: /* A key written twice: one request asks for the same thing twice, which hooks refuse by name. */
        request_fail(request, HTTP_CONFLICT, "Conflict", "The request asks for the same thing twice.");
        break;
    case -EBUSY:
        request_fail(request, HTTP_UNAVAILABLE, NULL, "Too many changes wait for the store: try again.");
        break;
    case -ENOSPC:
        request_fail(request, HTTP_UNAVAILABLE, NULL, "The store is full.");
        break;
    default:
        request_fail(request, HTTP_SERVER_ERROR, NULL, "The store could not write: %s.", strerror(-code));
    }
}

static void committed(struct request *request, const struct store_result *result)
{
    struct plan *plan = request->state;

    if (result->status == 0) {
        plan->done(plan, request);
    } else if (result->status == -EAGAIN) {
        collided(plan);
        request_retry(request);
    } else {
        answer_failure(plan, result->status);
    }
}

/* Whether the plan may go on now.  If not, the request was answered, or runs again when it is called. */
static bool take_turns(struct plan *plan)
{
    struct request *request = plan->request;
    struct api_request *own = request->own;
    int r;

    if (!plan->turns)
        return true;
    own->line.project_id = own->auth.project_id;
    r = lines_enter(networking_lines(plan->networking), &own->line, plan->turns);
    if (r == -EBUSY)
        request_fail(request, HTTP_UNAVAILABLE, "RetryRequest", "%d requests of this project wait for the same turn already; try again.",
                     LINE_MAX_WAITING);
    else if (r < 0)
        answer_failure(plan, r);
    return r == 0;
}

void plan_commit(struct plan *plan, void (*done)(struct plan *plan, struct request *request))
{
    struct buffer buffer = {0};
    int64_t now = clock_realtime_s();

    for (struct entry *entry = plan->first; entry && !plan->failure; entry = entry->next) {
        keep(plan, store_require_revision(plan->transaction, entry->key, strlen(entry->key), entry->revision));
        if (entry->is_deleted)
            plan_remove(plan, entry->key);
        if (!entry->after)
            continue;
        entry->after->updated_at_s = now;
        if (entry->is_created)
            entry->after->created_at_s = now;
        buffer.size = 0;
        if (object_write(entry->after, &buffer) < 0)
            plan_fail(plan, -ENOMEM);
        else
            keep(plan, store_put(plan->transaction, entry->key, strlen(entry->key), buffer.data, buffer.size, 0));
    }
    buffer_clear(&buffer);
    if (plan->failure) {
        answer_failure(plan, plan->failure);
        return;
    }
    if (!take_turns(plan))
        return;
    plan->done = done;
    lines_submitted(networking_lines(plan->networking), &((struct api_request *)plan->request->own)->line);
    request_commit(plan->request, TAKE_PTR(plan->transaction), committed);
}

static void answer(struct plan *plan, struct request *request)
{
    request_respond(request, HTTP_OK, TAKE_PTR(plan->answer));
}

void plan_commit_and_answer(struct plan *plan, json_t *json)
{
    plan->answer = json;
    if (!json)
        plan_fail(plan, -ENOMEM);
    plan_commit(plan, answer);
}
