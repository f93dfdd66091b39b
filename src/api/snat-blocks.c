#include "weft/api/snat-blocks.h"

#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "weft/api/quarantine.h"
#include "weft/api/snat-state.h"
#include "weft/base/log.h"
#include "weft/base/util.h"

/* --- Keys. --- */

const char *snat_address_key(const char *network_id, const struct ip_address *address, char key[SNAT_ADDRESS_KEY_SIZE])
{
    char text[IP_TEXT_SIZE];

    snprintf(key, SNAT_ADDRESS_KEY_SIZE, "%s/%s", network_id, ip_format(address, text));
    return key;
}

const char *snat_claim_key(const char *address_key, uint32_t first, uint32_t size, char key[SNAT_CLAIM_KEY_SIZE])
{
    snprintf(key, SNAT_CLAIM_KEY_SIZE, SNAT_CLAIM_PREFIX "%s/%05u-%05u", address_key, first, size);
    return key;
}

void snat_block_id(const char *router_id, const char *host_name, unsigned number, char id[UUID_TEXT_SIZE])
{
    unsigned char hash[16];
    crypto_generichash_state state;
    char text[8];
    int size = snprintf(text, sizeof(text), "/%u/", number);

    crypto_generichash_init(&state, NULL, 0, sizeof(hash));
    crypto_generichash_update(&state, (const unsigned char *)router_id, strlen(router_id));
    crypto_generichash_update(&state, (const unsigned char *)text, (unsigned long long)size);
    crypto_generichash_update(&state, (const unsigned char *)host_name, strlen(host_name));
    crypto_generichash_final(&state, hash, sizeof(hash));
    hash[6] = (hash[6] & 0x0f) | 0x80;
    hash[8] = (hash[8] & 0x3f) | 0x80;
    snprintf(id, UUID_TEXT_SIZE, "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", hash[0], hash[1], hash[2], hash[3],
             hash[4], hash[5], hash[6], hash[7], hash[8], hash[9], hash[10], hash[11], hash[12], hash[13], hash[14], hash[15]);
}

/* --- What is taken. --- */

struct external_address *snat_address_find(const struct snat_blocks *blocks, const char *key)
{
    struct hashmap_node *node = hashmap_find(&blocks->addresses, key, strlen(key));

    return node ? CONTAINER_OF(node, struct external_address, node) : NULL;
}

struct external_address *snat_address_get(struct snat_blocks *blocks, const char *key)
{
    struct external_address *address = snat_address_find(blocks, key);

    if (address || !(address = calloc(1, sizeof(*address))))
        return address;
    string_copy(address->key, sizeof(address->key), key);
    if (hashmap_insert(&blocks->addresses, &address->node, address->key, strlen(address->key)) == 0)
        return address;
    free(address);
    return NULL;
}

static void claim_changed(const struct store_item *item, void *context)
{
    struct snat_blocks *blocks = context;
    const char *text = item->key + strlen(SNAT_CLAIM_PREFIX), *end = strrchr(text, '/');
    char key[SNAT_ADDRESS_KEY_SIZE];
    struct external_address *address;
    unsigned first, size;

    if (!end || (size_t)(end - text) >= sizeof(key) || sscanf(end, "/%5u-%5u", &first, &size) != 2 || !snat_ports_is_block(first, size)) {
        log_error("store: %s: is not a key of a block of ports", item->key);
        return;
    }
    memcpy(key, text, (size_t)(end - text));
    key[end - text] = '\0';
    address = item->value ? snat_address_get(blocks, key) : snat_address_find(blocks, key);
    blocks->is_dirty = true;
    if (!address) {
        if (item->value)
            log_error("out of memory: ports of %s are not known to be taken", key); /* Their key in the store still is. */
        return;
    }
    if (item->value) {
        snat_ports_take(&address->claimed, first, size);
        return;
    }
    snat_ports_release(&address->claimed, first, size); /* The next pass forgets an address of which nothing is taken. */
}

/* Neither where a port is bound nor a router's port: most changes of ports are of no interest. */
static bool is_irrelevant(const struct port *before, const struct port *after)
{
    return before && after && router_port_kind(before) == ROUTER_PORT_NONE && router_port_kind(after) == ROUTER_PORT_NONE &&
           streq(before->network_id, after->network_id) &&
           streq(before->binding_host_id ? before->binding_host_id : "", after->binding_host_id ? after->binding_host_id : "");
}

static void changed(const struct replica_change *change, void *context)
{
    struct snat_blocks *blocks = context;
    const struct object *before = change->before, *after = change->after;

    switch (change->kind) {
    case RESOURCE_PORT:
        if (is_irrelevant((const struct port *)before, (const struct port *)after))
            return;
        snat_need_port_changed(blocks->need, (const struct port *)before, (const struct port *)after);
        break;
    case RESOURCE_HOST:
        if (before && after)
            return; /* A host's name stays. */
        if (before)
            snat_usages_forget(blocks->usages, before->name);
        break;
    case RESOURCE_NETWORK:
    case RESOURCE_ROUTER:
        break;
    case RESOURCE_SNAT_BLOCK:
        blocks->counters.ports_given += after ? ((const struct snat_block *)after)->n_ports : 0;
        blocks->counters.ports_given -= before ? ((const struct snat_block *)before)->n_ports : 0;
        break;
    default:
        return;
    }
    blocks->is_dirty = true;
}

int snat_blocks_new(struct replica *replica, struct commits *commits, struct snat_blocks **ret_blocks)
{
    _cleanup_(snat_blocks_freep) struct snat_blocks *blocks = calloc(1, sizeof(*blocks));
    int r;

    if (!blocks)
        return -ENOMEM;
    blocks->replica = replica;
    blocks->commits = commits;
    if ((r = snat_need_new(replica, &blocks->need)) < 0 || (r = snat_usages_new(&blocks->usages)) < 0 ||
        (r = replica_follow(replica, SNAT_CLAIM_PREFIX, claim_changed, blocks)) < 0)
        return r;
    blocks->listener = (struct replica_listener){.change = changed, .context = blocks};
    replica_listen(replica, &blocks->listener);
    *ret_blocks = TAKE_PTR(blocks);
    return 0;
}

void snat_blocks_free(struct snat_blocks *blocks)
{
    if (!blocks)
        return;
    HASHMAP_FOREACH(node, &blocks->addresses)
        free(CONTAINER_OF(node, struct external_address, node));
    hashmap_clear(&blocks->addresses);
    snat_need_free(blocks->need);
    snat_usages_free(blocks->usages);
    free(blocks);
}

void snat_blocks_report(struct snat_blocks *blocks, const char *host_name, const json_t *report, uint64_t now_ms)
{
    if (snat_usages_take(blocks->usages, host_name, report, now_ms))
        blocks->is_dirty = true;
}

bool snat_blocks_is_dirty(const struct snat_blocks *blocks)
{
    return blocks->is_dirty;
}

bool snat_blocks_is_waiting(const struct snat_blocks *blocks)
{
    return blocks->is_waiting;
}

struct snat_counters snat_blocks_counters(const struct snat_blocks *blocks)
{
    struct snat_counters counters = blocks->counters;
    struct snat_usage_totals totals = snat_usages_totals(blocks->usages);

    counters.ports_in_use = totals.in_use;
    counters.n_failed = totals.failed;
    return counters;
}

const struct ip_address *snat_address(const struct replica *replica, const struct router *router)
{
    const struct port *port = *router->gateway_port_id ? replica_port(replica, router->gateway_port_id) : NULL;

    if (!router->enable_snat || !port || !streq(port->network_id, router->gateway_network_id))
        return NULL;
    for (size_t i = 0; i < port->n_fixed_ips; i++)
        if (ip_is_v4(&port->fixed_ips[i].address))
            return &port->fixed_ips[i].address;
    return NULL;
}

static int compare_blocks(const void *a, const void *b)
{
    const struct snat_block *one = *(const struct snat_block *const *)a, *other = *(const struct snat_block *const *)b;
    int r = strcmp(one->host, other->host);

    return r ? r : (int)one->first_port - (int)other->first_port;
}

const struct snat_block **snat_blocks_of(const struct snat_blocks *blocks, const char *router_id, size_t *ret_n)
{
    size_t n = replica_count(blocks->replica, REPLICA_SNAT_BLOCKS_BY_ROUTER, router_id), i = 0;
    const struct snat_block **list = calloc(n + 1, sizeof(*list));

    if (!list)
        return NULL;
    REPLICA_FOREACH(member, replica_find(blocks->replica, REPLICA_SNAT_BLOCKS_BY_ROUTER, router_id))
        if (((const struct snat_block *)member->object)->host)
            list[i++] = (const struct snat_block *)member->object;
    qsort(list, i, sizeof(*list), compare_blocks);
    *ret_n = i;
    return list;
}

/* --- What administrators see. --- */

static json_t *show_host(struct snat_blocks *blocks, const struct router *router, const char *name, json_t *list, uint32_t n_ports)
{
    const struct snat_usage *usage = snat_usage_find(blocks->usages, name, router->object.id);
    bool is_known = snat_usages_reported_ms(blocks->usages, name);

    return json_pack("{s:s,s:o,s:I,s:o,s:o,s:b,s:b}", "host", name, "blocks", list, "ports", (json_int_t)n_ports, "in_use",
                     is_known ? json_integer(usage ? (json_int_t)usage->in_use : 0) : json_null(), "failed",
                     is_known ? json_integer(usage ? (json_int_t)usage->failed : 0) : json_null(), "lacks_ports", usage && usage->is_refused,
                     "is_idle", usage && usage->idle_since_ms);
}

/* By host: those with blocks, and those that were refused their first. */
static json_t *show_hosts(struct snat_blocks *blocks, const struct router *router, uint32_t *ret_given)
{
    const struct snat_hosts *needing = NULL;
    size_t n, at = 0;
    const struct snat_block **list = snat_blocks_of(blocks, router->object.id, &n);
    json_t *shown = json_array();

    while (list && at < n) {
        const char *name = list[at]->host;
        json_t *own = json_array();
        uint32_t n_ports = 0;

        for (; at < n && streq(list[at]->host, name); at++) {
            json_array_append_new(own, json_pack("{s:s,s:i,s:i}", "id", list[at]->object.id, "first_port", list[at]->first_port, "n_ports",
                                                 list[at]->n_ports));
            n_ports += list[at]->n_ports;
        }
        json_array_append_new(shown, show_host(blocks, router, name, own, n_ports));
        *ret_given += n_ports;
    }
    free(list);
    if (snat_address(blocks->replica, router) && snat_need_hosts(blocks->need, router->object.id, &needing) == 0)
        for (size_t i = 0; i < needing->n; i++) {
            char id[UUID_TEXT_SIZE];
            bool has_one = false;

            for (unsigned number = 0; number < SNAT_BLOCKS_MAX && !has_one; number++) {
                snat_block_id(router->object.id, needing->list[i]->object.name, number, id);
                has_one = replica_get(blocks->replica, RESOURCE_SNAT_BLOCK, id);
            }
            if (!has_one)
                json_array_append_new(shown, show_host(blocks, router, needing->list[i]->object.name, json_array(), 0));
        }
    snat_need_forget(blocks->need);
    return shown;
}

json_t *snat_blocks_show(struct snat_blocks *blocks, const struct router *router)
{
    const struct ip_address *ip = snat_address(blocks->replica, router);
    char key[SNAT_ADDRESS_KEY_SIZE], text[IP_TEXT_SIZE];
    const struct external_address *address = ip ? snat_address_find(blocks, snat_address_key(router->gateway_network_id, ip, key)) : NULL;
    uint32_t n_given = 0, n_claimed = address ? address->claimed.n_taken : 0;
    json_t *hosts = show_hosts(blocks, router, &n_given);

    return json_pack("{s:s,s:o,s:o,s:i,s:i,s:i,s:b,s:o}", "router_id", router->object.id, "network_id",
                     ip ? json_string(router->gateway_network_id) : json_null(), "address", ip ? json_string(ip_format(ip, text)) : json_null(),
                     "ports", (int)SNAT_PORTS, "given", (int)n_given, "in_quarantine", (int)(n_claimed > n_given ? n_claimed - n_given : 0),
                     "is_exhausted", address && address->was_exhausted, "hosts", hosts);
}
