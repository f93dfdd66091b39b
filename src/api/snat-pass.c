/* The pass of snat-blocks.h: what each host should have of each router's ports, and the difference to what it has. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "weft/api/quarantine.h"
#include "weft/api/snat-state.h"
#include "weft/base/buffer.h"
#include "weft/base/log.h"
#include "weft/base/util.h"

#define PASS_MAX 256 /* Transactions of a pass: the rest waits for the next. */

struct pass {
    struct snat_blocks *blocks;
    uint64_t now_ms;
    int64_t now_s;
    size_t n_submitted;
    size_t n_seen; /* Blocks of routers that translate. */
    bool is_full; /* PASS_MAX is reached. */
};

/* What one router needs. */
struct sharing {
    const struct router *router;
    const struct ip_address *ip;
    char address_key[SNAT_ADDRESS_KEY_SIZE];
    struct external_address *address;
    size_t n_hosts;
};

static void submitted(const struct store_result *result, void *context)
{
    struct snat_blocks *blocks = context;

    blocks->n_pending--;
    blocks->is_dirty = true;
    if (result->status < 0 && result->status != -EAGAIN)
        log_warning("blocks of translated ports: the store did not take a change: %s", strerror(-result->status));
}

static bool submit(struct pass *pass, struct store_transaction **transaction)
{
    pass->blocks->n_pending++;
    pass->n_submitted++;
    commits_submit(pass->blocks->commits, TAKE_PTR(*transaction), submitted, pass->blocks);
    return true;
}

/* Nobody else has ports within, or around. */
static int require_unclaimed(struct store_transaction *transaction, const char *address_key, uint32_t first, uint32_t size)
{
    char from[SNAT_CLAIM_KEY_SIZE], to[SNAT_CLAIM_KEY_SIZE];
    int r;

    snprintf(from, sizeof(from), SNAT_CLAIM_PREFIX "%s/%05u", address_key, first);
    snprintf(to, sizeof(to), SNAT_CLAIM_PREFIX "%s/%05u", address_key, first + size);
    r = store_require_empty(transaction, from, strlen(from), to, strlen(to));
    for (size *= 2; r == 0 && size <= SNAT_BLOCK_MAX; size *= 2) {
        snat_claim_key(address_key, first & ~(size - 1), size, from);
        r = store_require_revision(transaction, from, strlen(from), 0);
    }
    return r;
}

static int require(struct store_transaction *transaction, const struct object *object)
{
    char key[REPLICA_KEY_SIZE];

    replica_key(object->kind, object->id, key);
    return store_require_revision(transaction, key, strlen(key), object->store_revision);
}

static int put_block(struct store_transaction *transaction, const struct snat_block *block)
{
    char key[REPLICA_KEY_SIZE];
    struct buffer text = {0};
    int r = object_write(&block->object, &text);

    replica_key(RESOURCE_SNAT_BLOCK, block->object.id, key);
    if (r == 0)
        r = store_require_revision(transaction, key, strlen(key), 0);
    if (r == 0)
        r = store_put(transaction, key, strlen(key), text.data, text.size, 0);
    buffer_clear(&text);
    return r;
}

/* A number that none of the host's blocks has. */
static int free_id(const struct snat_blocks *blocks, const struct sharing *sharing, const struct host *host, char id[UUID_TEXT_SIZE])
{
    for (unsigned number = 0; number < SNAT_BLOCKS_MAX; number++) {
        snat_block_id(sharing->router->object.id, host->object.name, number, id);
        if (!replica_get(blocks->replica, RESOURCE_SNAT_BLOCK, id))
            return 0;
    }
    return -ENOSPC;
}

static int give(struct pass *pass, struct sharing *sharing, const struct host *host, uint32_t first, uint32_t size)
{
    const struct port *port = replica_port(pass->blocks->replica, sharing->router->gateway_port_id);
    _cleanup_(store_transaction_freep) struct store_transaction *transaction = NULL;
    _cleanup_(object_freep) struct object *object = object_new(RESOURCE_SNAT_BLOCK);
    struct snat_block *block = (struct snat_block *)object;
    char claim[SNAT_CLAIM_KEY_SIZE];
    int r = object ? store_transaction_new(&transaction) : -ENOMEM;

    if (r == 0)
        r = free_id(pass->blocks, sharing, host, object->id);
    if (r < 0)
        return r;
    string_copy(object->project_id, sizeof(object->project_id), sharing->router->object.project_id);
    object->created_at_s = object->updated_at_s = pass->now_s;
    string_copy(block->router_id, sizeof(block->router_id), sharing->router->object.id);
    string_copy(block->network_id, sizeof(block->network_id), port->network_id);
    block->address = *sharing->ip;
    block->first_port = (uint16_t)first;
    block->n_ports = (uint16_t)size;
    free(block->host);
    block->host = strdup(host->object.name);
    snat_claim_key(sharing->address_key, first, size, claim);
    if (!block->host || (r = require_unclaimed(transaction, sharing->address_key, first, size)) < 0 ||
        (r = require(transaction, &sharing->router->object)) < 0 || (r = require(transaction, &port->object)) < 0 ||
        (r = require(transaction, &host->object)) < 0 || (r = put_block(transaction, block)) < 0 ||
        (r = store_put(transaction, claim, strlen(claim), object->id, strlen(object->id), 0)) < 0)
        return block->host ? r : -ENOMEM;
    submit(pass, &transaction);
    pass->blocks->counters.n_given++;
    return 0;
}

static void take_back(struct pass *pass, const struct snat_block *block, bool has_ended)
{
    _cleanup_(store_transaction_freep) struct store_transaction *transaction = NULL;
    char key[REPLICA_KEY_SIZE], address[SNAT_ADDRESS_KEY_SIZE], claim[SNAT_CLAIM_KEY_SIZE];

    if (pass->n_submitted >= PASS_MAX) {
        pass->is_full = true;
        return;
    }
    replica_key(RESOURCE_SNAT_BLOCK, block->object.id, key);
    snat_claim_key(snat_address_key(block->network_id, &block->address, address), block->first_port, block->n_ports, claim);
    if (store_transaction_new(&transaction) < 0 || require(transaction, &block->object) < 0 || store_delete(transaction, key, strlen(key)) < 0 ||
        quarantine_put(transaction, claim, has_ended ? 0 : pass->now_s + SNAT_HOLD_S) < 0)
        return;
    submit(pass, &transaction);
    pass->blocks->counters.n_taken_back++;
}

static uint32_t power_of_two_below(uint32_t number) /* Or equal; 0 of 0. */
{
    return number ? 1u << (31 - __builtin_clz(number)) : 0;
}

/* Whether a host that has 'has' ports may have 'size' more. */
static bool is_fair(const struct sharing *sharing, uint32_t has, uint32_t size)
{
    uint32_t n_free = SNAT_PORTS - sharing->address->planned.n_taken, share = SNAT_PORTS / (uint32_t)sharing->n_hosts;

    if (has == 0)
        return true;
    return size <= n_free && n_free - size >= (has + size <= share ? SNAT_PORTS / 8 : SNAT_PORTS / 4);
}

static void refuse(struct pass *pass, struct sharing *sharing, const struct host *host, struct snat_usage *usage)
{
    char address[IP_TEXT_SIZE];

    if (!sharing->address->was_exhausted && !sharing->address->is_exhausted)
        log_warning("router '%s': no more ports of %s for host '%s': %zu hosts share it, %u of %u ports are given or in quarantine",
                    sharing->router->object.name ? sharing->router->object.name : sharing->router->object.id, ip_format(sharing->ip, address),
                    host->object.name, sharing->n_hosts, sharing->address->planned.n_taken, SNAT_PORTS);
    sharing->address->is_exhausted = true;
    if (usage && !usage->is_refused) {
        usage->is_refused = true;
        pass->blocks->counters.n_refused++;
    }
}

static uint32_t random_number(void)
{
    uint32_t number;

    random_bytes(&number, sizeof(number));
    return number;
}

/* Gives a block of about 'size' to a host that has 'has' ports. */
static void give_about(struct pass *pass, struct sharing *sharing, const struct host *host, uint32_t has, uint32_t size)
{
    struct snat_usage *usage = snat_usage_get(pass->blocks->usages, host->object.name, sharing->router->object.id);
    uint32_t first = 0;

    if (pass->n_submitted >= PASS_MAX) {
        pass->is_full = true;
        return;
    }
    for (size = MAX(size, SNAT_BLOCK_MIN); size >= SNAT_BLOCK_MIN; size /= 2)
        if (is_fair(sharing, has, size) && (first = snat_ports_choose(&sharing->address->planned, size, random_number())))
            break;
    if (!first) {
        refuse(pass, sharing, host, usage);
    } else if (give(pass, sharing, host, first, size) == 0) {
        snat_ports_take(&sharing->address->planned, first, size);
        if (usage)
            usage->is_refused = false;
    }
    if (usage)
        usage->is_fresh = usage->is_more_failed = false;
}

static void look_at_host(struct pass *pass, struct sharing *sharing, const struct host *host, uint32_t has, size_t n_blocks)
{
    struct snat_usage *usage = snat_usage_find(pass->blocks->usages, host->object.name, sharing->router->object.id);

    if (usage) {
        usage->idle_since_ms = 0;
        usage->enough_until = has / 2;
    }
    if (n_blocks == 0) {
        uint32_t first = power_of_two_below(SNAT_PORTS / 4 / (uint32_t)sharing->n_hosts);

        give_about(pass, sharing, host, 0, MIN(first, SNAT_FIRST_MAX));
        return;
    }
    if (!usage)
        return;
    if (usage->in_use <= usage->enough_until && !usage->is_more_failed) {
        usage->is_refused = usage->is_refused && !usage->is_fresh;
        usage->is_fresh = false;
    } else if (usage->is_fresh && n_blocks < SNAT_BLOCKS_MAX && has < SNAT_HOST_MAX) {
        give_about(pass, sharing, host, has, MIN(power_of_two_below(has), power_of_two_below(SNAT_HOST_MAX - has)));
    } else if (usage->is_fresh) {
        refuse(pass, sharing, host, usage);
        usage->is_fresh = usage->is_more_failed = false;
    }
    if (usage->is_refused)
        sharing->address->is_exhausted = true;
}

/* A host that has blocks of a router and does not need them. */
static void look_at_idle(struct pass *pass, const struct snat_block *block)
{
    struct snat_blocks *blocks = pass->blocks;
    struct snat_usage *usage;

    if (!replica_host_by_name(blocks->replica, block->host)) {
        take_back(pass, block, false);
        return;
    }
    usage = snat_usage_get(blocks->usages, block->host, block->router_id);
    if (!usage)
        return;
    usage->is_refused = false;
    blocks->is_waiting = true;
    if (!usage->idle_since_ms)
        usage->idle_since_ms = MAX(pass->now_ms, 1u);
    /* Its word counts when it was given after the last port had gone. */
    if ((usage->in_use == 0 && snat_usages_reported_ms(blocks->usages, block->host) > usage->idle_since_ms) ||
        pass->now_ms >= usage->idle_since_ms + SNAT_HOLD_S * 1000ull)
        take_back(pass, block, true);
}

/* Blocks and hosts are both sorted by host: one walk over both. */
static void compare(struct pass *pass, struct sharing *sharing, const struct snat_hosts *hosts, const struct snat_block **blocks, size_t n_blocks)
{
    size_t at = 0;

    for (size_t i = 0; i < hosts->n; i++) {
        const char *name = hosts->list[i]->object.name;
        size_t n_own = 0;
        uint32_t has = 0;

        for (; at < n_blocks && strcmp(blocks[at]->host, name) < 0; at++)
            look_at_idle(pass, blocks[at]);
        for (; at < n_blocks && streq(blocks[at]->host, name); at++, n_own++)
            has += blocks[at]->n_ports;
        look_at_host(pass, sharing, hosts->list[i], has, n_own);
    }
    for (; at < n_blocks; at++)
        look_at_idle(pass, blocks[at]);
}

static void look_at_router(struct pass *pass, const struct router *router)
{
    struct snat_blocks *blocks = pass->blocks;
    struct sharing sharing = {.router = router, .ip = snat_address(blocks->replica, router)};
    const struct snat_block **list;
    const struct snat_hosts *hosts;
    size_t n, n_current = 0;

    if (!sharing.ip || snat_need_hosts(blocks->need, router->object.id, &hosts) < 0)
        return; /* Blocks that it had: see look_at_strays. */
    snat_address_key(router->gateway_network_id, sharing.ip, sharing.address_key);
    sharing.n_hosts = hosts->n;
    list = snat_blocks_of(blocks, router->object.id, &n);
    pass->n_seen += list ? n : 0;
    sharing.address = hosts->n ? snat_address_get(blocks, sharing.address_key) : snat_address_find(blocks, sharing.address_key);
    for (size_t i = 0; list && i < n; i++) {
        if (ip_equal(&list[i]->address, sharing.ip) && streq(list[i]->network_id, router->gateway_network_id))
            list[n_current++] = list[i];
        else
            take_back(pass, list[i], false); /* The router has another address now. */
    }
    if (list && sharing.address)
        compare(pass, &sharing, hosts, list, n_current);
    free(list);
}

/* Blocks of routers that are gone or do not translate any more. */
static void look_at_strays(struct pass *pass)
{
    const struct replica *replica = pass->blocks->replica;
    size_t n;
    const struct object *const *objects = replica_list(replica, RESOURCE_SNAT_BLOCK, &n);

    for (size_t i = 0; i < n && pass->n_seen < n && !pass->is_full; i++) {
        const struct snat_block *block = (const struct snat_block *)objects[i];
        const struct object *router = replica_get(replica, RESOURCE_ROUTER, block->router_id);

        if (!block->host || !router || !snat_address(replica, (const struct router *)router))
            take_back(pass, block, false);
    }
}

static void note_exhaustion(struct snat_blocks *blocks)
{
    blocks->counters.n_exhausted = 0;
    HASHMAP_FOREACH(node, &blocks->addresses) {
        struct external_address *address = CONTAINER_OF(node, struct external_address, node);

        if (address->was_exhausted && !address->is_exhausted)
            log_info("%s has ports enough again", address->key);
        address->was_exhausted = address->is_exhausted;
        blocks->counters.n_exhausted += address->is_exhausted;
    }
}

static void begin(struct snat_blocks *blocks)
{
    HASHMAP_FOREACH(node, &blocks->addresses) {
        struct external_address *address = CONTAINER_OF(node, struct external_address, node);

        address->planned = address->claimed;
        address->is_exhausted = false;
        if (address->claimed.n_taken > 0)
            continue;
        hashmap_remove(&blocks->addresses, &address->node);
        free(address);
    }
}

void snat_blocks_pass(struct snat_blocks *blocks, uint64_t now_ms, int64_t now_s)
{
    struct pass pass = {.blocks = blocks, .now_ms = now_ms, .now_s = now_s};
    size_t n;
    const struct object *const *routers = replica_list(blocks->replica, RESOURCE_ROUTER, &n);

    if (blocks->n_pending)
        return;
    blocks->is_dirty = blocks->is_waiting = false;
    begin(blocks);
    for (size_t i = 0; i < n && !pass.is_full; i++)
        look_at_router(&pass, (const struct router *)routers[i]);
    look_at_strays(&pass);
    snat_need_forget(blocks->need);
    if (pass.is_full)
        blocks->is_dirty = true;
    else
        note_exhaustion(blocks);
}
