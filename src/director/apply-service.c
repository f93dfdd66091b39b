#include "weft/director/apply-parts.h"

#include <arpa/inet.h>
#include <string.h>

bool service_is_hash(const struct virtual_service *service)
{
    return service->scheduler == SCHEDULER_MH || service->scheduler == SCHEDULER_SH || service->scheduler == SCHEDULER_DH;
}

static enum lb_schedule schedule_of(const struct virtual_service *service)
{
    static const enum lb_schedule schedules[N_SCHEDULERS] = {
        [SCHEDULER_RR] = LB_SCHEDULE_TURN, [SCHEDULER_WRR] = LB_SCHEDULE_TURN, [SCHEDULER_LC] = LB_SCHEDULE_LC,
        [SCHEDULER_WLC] = LB_SCHEDULE_WLC, [SCHEDULER_SED] = LB_SCHEDULE_SED,  [SCHEDULER_NQ] = LB_SCHEDULE_NQ,
        [SCHEDULER_FO] = LB_SCHEDULE_FO,   [SCHEDULER_OVF] = LB_SCHEDULE_OVF,  [SCHEDULER_MH] = LB_SCHEDULE_HASH,
        [SCHEDULER_SH] = LB_SCHEDULE_HASH, [SCHEDULER_DH] = LB_SCHEDULE_HASH,  [SCHEDULER_LBLC] = LB_SCHEDULE_LBLC,
        [SCHEDULER_LBLCR] = LB_SCHEDULE_LBLCR,
    };

    return schedules[service->scheduler];
}

static bool has_fallback(const struct virtual_service *service)
{
    return service->scheduler_flags & SCHEDULER_FALLBACK && service->scheduler != SCHEDULER_DH;
}

/* Then it answers alone: all others are out, or down. */
static bool sorry_server_answers(const struct planned_service *planned)
{
    const struct planned_server *last = planned->n_servers ? &planned->servers[planned->n_servers - 1] : NULL;

    return last && last->server == &planned->service->sorry_server && last->is_used;
}

/* As IPVS's sh, mh and dh do, whose established connections go on.  With a second chance they go on although rows move. */
bool server_refuses(const struct planned_service *planned, const struct planned_server *server)
{
    return service_is_hash(planned->service) && server->is_used && !server->weight && !has_fallback(planned->service) && !server->server->second_chance &&
           !sorry_server_answers(planned);
}

bool service_has_translation(const struct planned_service *planned)
{
    for (size_t i = 0; i < planned->n_servers; i++)
        if (planned->servers[i].server->forwarding == FORWARD_NAT || planned->servers[i].server->forwarding == FORWARD_FULL_NAT)
            return true;
    return false;
}

bool service_has_thresholds(const struct virtual_service *service)
{
    for (size_t i = 0; i < service->n_servers; i++)
        if (service->servers[i].upper_threshold)
            return true;
    return false;
}

bool service_needs_sorry_server(const struct planned_service *planned, size_t i)
{
    return planned->servers[i].server == &planned->service->sorry_server && service_has_thresholds(planned->service);
}

/* Who gets what all others are too loaded for, as tables.h has it. */
static uint32_t fallback_of(const struct applied_service *service, const struct planned_service *planned)
{
    const struct applied_server *server = NULL;

    for (size_t i = 0; i < planned->n_servers && !server; i++)
        if (service_needs_sorry_server(planned, i))
            server = applied_find_server(service, planned->servers[i].server);
    return server ? server->number + 1 : 0;
}

static uint32_t flags_of(const struct planned_service *planned)
{
    const struct virtual_service *service = planned->service;
    uint32_t flags = service->scheduler == SCHEDULER_DH ? LB_HASH_DESTINATION : LB_HASH_SOURCE;

    if (!service_is_hash(service) || (service->scheduler != SCHEDULER_DH && service->scheduler_flags & SCHEDULER_PORT))
        flags |= LB_HASH_SOURCE_PORT;
    if (has_fallback(service))
        flags |= LB_FALLBACK;
    if (service_is_hash(service) && virtual_service_remembers(service))
        flags |= LB_TRACK;
    if (service->clamp_mss)
        flags |= LB_CLAMP_MSS;
    if (service->persistence_timeout_s)
        flags |= LB_PERSISTENT | LB_TRACK;
    return service->one_packet ? flags | LB_ONE_PACKET : flags;
}

/* As on the wire: which bits of an address tell clients apart. */
static void persistence_mask(const struct virtual_service *service, uint8_t ret[16])
{
    memset(ret, 0xff, 16);
    if (!service->ipv6) {
        uint32_t mask = htonl(service->persistence_mask);

        memcpy(ret + 12, &mask, 4);
        return;
    }
    for (uint32_t bit = service->persistence_mask; bit < 128; bit++)
        ret[bit / 8] &= (uint8_t)~(0x80 >> bit % 8);
}

struct applied_service *service_add(struct applied *applied, const struct lb_key *key)
{
    struct applied_service *service = calloc(1, sizeof(*service));

    if (!service)
        return NULL;
    service->key = *key;
    service->number = LB_NONE;
    service->first_block = service->first_member = RANGE_NONE;
    if (hashmap_insert(&applied->services, &service->by_key, &service->key, sizeof(service->key)) < 0) {
        free(service);
        return NULL;
    }
    return service;
}

int service_place(const struct task *task, struct applied_service *service)
{
    if (service->number != LB_NONE)
        return 0;
    service->number = ranges_take(&task->applied->service_numbers, 1);
    if (service->number == RANGE_NONE) {
        service->number = LB_NONE;
        return places_missing(task, "service");
    }
    count_service_from_now(task->applied->tables, service->number);
    return 0;
}

int service_put_keys(struct lb_tables *tables, const struct applied_service *service)
{
    int result = service->key.mark ? 0 : lb_put_address(tables, &service->key);

    return result < 0 ? result : lb_put_key(tables, &service->key, service->number);
}

/* With full NAT SYNs that nobody follows up leave half of the ports that there are for one server to others, all of them being at it. */
static uint32_t half_open_limit(const struct task *task, const struct planned_service *planned)
{
    const struct virtual_service *service = planned->service;
    uint32_t limit = LB_HALF_OPEN_DEFAULT;

    if (service->half_open_limit)
        return service->half_open_limit;
    for (size_t i = 0; i < planned->n_servers; i++) {
        const struct real_server *server = planned->servers[i].server;
        uint32_t n = task->applied->tables->settings->n_locals[!ip_is_v4(&server->address)];

        if (server->forwarding == FORWARD_FULL_NAT && n)
            limit = MIN(limit, n * (LB_LOCAL_PORTS / 2));
    }
    return limit;
}

int service_write(const struct task *task, struct applied_service *service, const struct planned_service *planned, uint32_t n_rows,
                         uint32_t n_members)
{
    struct lb_service content = {
        .key = service->key,
        .generation = service->content.generation,
        .flags = flags_of(planned),
        .schedule = (uint8_t)schedule_of(planned->service),
        .half_open_limit = half_open_limit(task, planned),
        .rows = service->first_block,
        .n_rows = n_rows,
        .members = service->first_member,
        .n_members = service_is_hash(planned->service) ? service->n_members : n_members,
        .fallback = fallback_of(service, planned),
        .persistence_s = planned->service->persistence_timeout_s,
    };
    int result;

    if (content.persistence_s)
        persistence_mask(planned->service, content.persistence_mask);
    if (memcmp(&content, &service->content, sizeof(content)) != 0) {
        content.generation = ++task->applied->generation;
        service->content = content;
        lb_write_service(task->applied->tables, service->number, &content);
    }
    if (service->has_key)
        return 0;
    result = service_put_keys(task->applied->tables, service);
    service->has_key = result == 0;
    return result;
}

static void delete_keys(const struct applied *applied, const struct applied_service *service)
{
    lb_delete_key(applied->tables, &service->key);
    if (service->key.mark)
        return;
    HASHMAP_FOREACH(node, &applied->services) {
        const struct applied_service *other = CONTAINER_OF(node, struct applied_service, by_key);

        if (other != service && memcmp(other->key.address, service->key.address, sizeof(service->key.address)) == 0)
            return;
    }
    lb_delete_address(applied->tables, &service->key);
}

void service_remove(struct applied *applied, struct applied_service *service)
{
    static const struct lb_service nothing;

    if (service->number != LB_NONE) {
        delete_keys(applied, service);
        lb_write_service(applied->tables, service->number, &nothing);
        places_leave(applied, &applied->service_numbers, service->number, 1);
    }
    places_leave(applied, &applied->blocks, service->first_block, service->n_blocks);
    places_leave(applied, &applied->members, service->first_member, service->n_members);
    HASHMAP_FOREACH(node, &service->servers)
        server_remove(applied, service, CONTAINER_OF(node, struct applied_server, by_id));
    applied_free_service(applied, service);
}
