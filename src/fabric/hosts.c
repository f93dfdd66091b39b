/* Who is where.  A host is a MAC in a VLAN; it is learned at ports where no switch is behind, with the addresses that its ARP, ND and IP packets show.
 *
 * A host that shows up elsewhere is asked for at its old port first: if it answers there within HOST_MOVE_PROBE_MS, the newcomer is a second
 * one with its MAC, and is not believed.  One that moves too often (RFC 7432, 15.1) stays where it is for a while.  A host that is not heard of for
 * host_age_ms is asked whether it is still there, and forgotten when it does not answer and no flow of it lives. */
#include <stdlib.h>
#include <string.h>

#include "weft/base/util.h"
#include "weft/fabric/proactive.h"
#include "weft/fabric/state.h"

#define AGE_STEP_MS 1000
#define AGE_ANSWER_S 3
#define MOVES_HOLD_MS 30000

/* A claim to be elsewhere, and how many came lately. */
struct host_move {
    struct ring of_fabric;    /* While it is being checked; else alone. */
    struct host *host;
    struct fabric_port *to;   /* NULL: none is being checked. */
    uint64_t decide_ms;
    uint64_t window_ms;       /* Since when moves are counted. */
    uint64_t held_ms;         /* Until then nothing is believed. */
};

/* ---- finding ---------------------------------------------------------------------------------------------------------------- */

struct host *host_find(const struct fabric *fabric, const struct mac_address *mac, uint16_t vlan)
{
    struct host_key key = {*mac, vlan};
    struct hashmap_node *node = hashmap_find(&fabric->hosts, &key, sizeof(key));

    return node ? CONTAINER_OF(node, struct host, by_key) : NULL;
}

static struct host_address *find_address(const struct fabric *fabric, const struct ip_address *address, uint16_t vlan)
{
    struct host_address_key key = {.address = *address, .vlan = vlan};
    struct hashmap_node *node = hashmap_find(&fabric->addresses, &key, sizeof(key));

    return node ? CONTAINER_OF(node, struct host_address, by_address) : NULL;
}

struct host *host_find_address(const struct fabric *fabric, const struct ip_address *address, uint16_t vlan)
{
    struct host_address *found = find_address(fabric, address, vlan);

    return found ? found->host : NULL;
}

/* ---- addresses -------------------------------------------------------------------------------------------------------------- */

static void remove_address(struct fabric *fabric, struct host_address *address)
{
    struct host_address **link = &address->host->addresses;

    while (*link != address)
        link = &(*link)->next;
    *link = address->next;
    address->host->n_addresses--;
    hashmap_remove(&fabric->addresses, &address->by_address);
    pool_give(&fabric->address_pool, address);
}

static void learn_address(struct fabric *fabric, struct host *host, const struct ip_address *ip)
{
    struct host_address *address;
    char text[IP_TEXT_SIZE], mac[MAC_TEXT_SIZE], other[MAC_TEXT_SIZE];

    if (ip_is_zero(ip) || ip_is_multicast(ip))
        return;
    address = find_address(fabric, ip, host->key.vlan);
    if (address && address->host == host)
        return;
    if (address) {
        /* The first keeps it, as long as it is heard of. */
        fabric_tell(fabric, FABRIC_HOST_ADDRESS_TAKEN, "address %s: claimed by %s, is %s's", ip_format(ip, text), mac_format(&host->key.mac, mac),
                    mac_format(&address->host->key.mac, other));
        if (fabric->now_ms / 1000 - address->host->seen_s < fabric->options.host_age_ms / 1000 / 2 || address->host->n_flows)
            return;
        remove_address(fabric, address);
    }
    if (host->n_addresses >= HOST_ADDRESSES_MAX) {
        struct host_address *last = host->addresses;

        while (last->next)
            last = last->next;
        remove_address(fabric, last); /* The oldest. */
    }
    address = pool_take(&fabric->address_pool);
    if (!address)
        return;
    address->key.address = *ip;
    address->key.vlan = host->key.vlan;
    address->host = host;
    if (hashmap_insert(&fabric->addresses, &address->by_address, &address->key, sizeof(address->key)) < 0) {
        pool_give(&fabric->address_pool, address);
        return;
    }
    address->next = host->addresses;
    host->addresses = address;
    host->n_addresses++;
}

/* ---- coming and going ---------------------------------------------------------------------------------------------------------- */

static void place(struct host *host, struct fabric_port *port)
{
    if (host->port) {
        ring_remove(&host->of_port);
        host->port->n_hosts--;
    }
    host->port = port;
    ring_append(&port->hosts, &host->of_port);
    port->n_hosts++;
}

static void forget_move(struct host *host)
{
    if (!host->move)
        return;
    ring_remove(&host->move->of_fabric);
    free(host->move);
    host->move = NULL;
}

void host_remove(struct fabric *fabric, struct host *host)
{
    char mac[MAC_TEXT_SIZE], port[PORT_TEXT_SIZE];

    fabric_tell(fabric, FABRIC_HOST_GONE, "host %s: gone from %s", mac_format(&host->key.mac, mac), port_text(host->port, port));
    flows_of_host(fabric, host, true);
    proactive_host_gone(fabric, host, host->port);
    while (host->addresses)
        remove_address(fabric, host->addresses);
    forget_move(host);
    ring_remove(&host->of_port);
    host->port->n_hosts--;
    hashmap_remove(&fabric->hosts, &host->by_key);
    pool_give(&fabric->host_pool, host);
}

static struct host *add_host(struct fabric *fabric, struct fabric_port *port, const struct host_key *key)
{
    char mac[MAC_TEXT_SIZE], text[PORT_TEXT_SIZE];
    struct host *host = NULL;

    if (port->n_hosts < fabric->options.max_hosts_port && fabric->hosts.n_nodes < fabric->options.max_hosts)
        host = pool_take(&fabric->host_pool);
    if (host) {
        host->key = *key;
        ring_init(&host->of_port);
        if (hashmap_insert(&fabric->hosts, &host->by_key, &host->key, sizeof(host->key)) < 0) {
            pool_give(&fabric->host_pool, host);
            host = NULL;
        }
    }
    if (!host) {
        fabric_tell(fabric, FABRIC_HOST_LIMIT, "host %s: not remembered at %s, which has %zu, the fabric has %zu", mac_format(&key->mac, mac),
                    port_text(port, text), port->n_hosts, fabric->hosts.n_nodes);
        return NULL;
    }
    place(host, port);
    proactive_host(fabric, host);
    fabric_tell(fabric, FABRIC_HOST_NEW, "host %s: at %s", mac_format(&host->key.mac, mac), port_text(port, text));
    return host;
}

/* ---- moving ---------------------------------------------------------------------------------------------------------------------- */

static void move_now(struct fabric *fabric, struct host *host, struct fabric_port *to)
{
    char mac[MAC_TEXT_SIZE], from_text[PORT_TEXT_SIZE], to_text[PORT_TEXT_SIZE];

    fabric_tell(fabric, FABRIC_HOST_MOVED, "host %s: moved from %s to %s", mac_format(&host->key.mac, mac), port_text(host->port, from_text),
                port_text(to, to_text));
    proactive_host_gone(fabric, host, host->port);
    place(host, to);
    proactive_host(fabric, host);
    host->seen_s = (uint32_t)(fabric->now_ms / 1000);
    host->is_probed = false;
    flows_of_host(fabric, host, false);
}

static void tell_duplicate(struct fabric *fabric, const struct host *host, const struct fabric_port *at)
{
    char mac[MAC_TEXT_SIZE], port[PORT_TEXT_SIZE], other[PORT_TEXT_SIZE];

    fabric_tell(fabric, FABRIC_HOST_DUPLICATE, "host %s: is at %s, and claimed at %s", mac_format(&host->key.mac, mac), port_text(host->port, port),
                port_text(at, other));
}

static struct host_move *get_move(struct fabric *fabric, struct host *host)
{
    if (host->move)
        return host->move;
    host->move = calloc(1, sizeof(*host->move));
    if (!host->move)
        return NULL;
    ring_init(&host->move->of_fabric);
    host->move->host = host;
    host->move->window_ms = fabric->now_ms;
    host->n_moves = 0;
    return host->move;
}

static void ask_at_old_port(struct fabric *fabric, struct host *host)
{
    uint8_t frame[FRAME_OWN_MAX];

    port_send(fabric, host->port, frame, frame_neighbor_probe(&host->addresses->key.address, &host->key.mac, &fabric->mac, host->key.vlan, frame));
}

/* Seen at a port that is not its own.  Returns whether it is there now. */
static bool claim(struct fabric *fabric, struct host *host, struct fabric_port *port)
{
    struct host_move *move = get_move(fabric, host);

    if (!move)
        return false;
    if (fabric->now_ms < move->held_ms) {
        tell_duplicate(fabric, host, port);
        return false;
    }
    if (move->to)
        return false; /* Being checked. */
    if (fabric->now_ms - move->window_ms > HOST_MOVES_WINDOW_MS) {
        move->window_ms = fabric->now_ms;
        host->n_moves = 0;
    }
    if (++host->n_moves > HOST_MOVES_MAX) {
        move->held_ms = fabric->now_ms + MOVES_HOLD_MS;
        host->n_moves = 0;
        tell_duplicate(fabric, host, port);
        return false;
    }
    /* Nobody can answer from a port that is down, nor be asked without an address or by a controller that stands by. */
    if (!port_is_edge(host->port) || !host->port->datapath->channel || !host->addresses || !fabric_is_active(fabric)) {
        move_now(fabric, host, port);
        return true;
    }
    move->to = port;
    move->decide_ms = fabric->now_ms + HOST_MOVE_PROBE_MS;
    ring_append(&fabric->moves, &move->of_fabric);
    ask_at_old_port(fabric, host);
    return false;
}

/* It spoke at its own port: a claim to be elsewhere is refuted. */
static void refute(struct fabric *fabric, struct host *host)
{
    struct host_move *move = host->move;

    if (!move || !move->to)
        return;
    tell_duplicate(fabric, host, move->to);
    move->to = NULL;
    move->held_ms = fabric->now_ms + MOVES_HOLD_MS;
    ring_remove(&move->of_fabric);
}

static void decide_moves(struct fabric *fabric)
{
    RING_FOREACH(element, &fabric->moves) {
        struct host_move *move = CONTAINER_OF(element, struct host_move, of_fabric);
        struct fabric_port *to = move->to;

        if (fabric->now_ms < move->decide_ms)
            break;
        ring_remove(&move->of_fabric);
        move->to = NULL;
        if (port_is_edge(to))
            move_now(fabric, move->host, to);
    }
}

/* ---- learning --------------------------------------------------------------------------------------------------------------------- */

struct host *host_learn(struct fabric *fabric, struct fabric_port *port, const struct fabric_frame *frame)
{
    struct host *host = host_find(fabric, &frame->tuple.source_mac, frame->vlan);

    if (!host) {
        struct host_key key = {frame->tuple.source_mac, frame->vlan};

        host = add_host(fabric, port, &key);
    } else if (host->port != port && !claim(fabric, host, port)) {
        host = NULL;
    } else if (host->move) {
        refute(fabric, host);
    }
    if (!host) {
        fabric_count_drop(fabric, FABRIC_DROP_HOST_REFUSED);
        return NULL;
    }
    host->seen_s = (uint32_t)(fabric->now_ms / 1000);
    host->is_probed = false;
    /* ARP's and ND's own word; IP's source only while nothing better is known, for it may be routed, from far behind the host. */
    if (frame->neighbor != NEIGHBOR_NONE) {
        if (frame->tuple.ethertype == ETHERTYPE_ARP ? mac_equal(&frame->sender_mac, &host->key.mac) : !ip_is_zero(&frame->sender))
            learn_address(fabric, host, &frame->sender);
    } else if (!host->addresses && frame->tuple.protocol == 58 && frame->tuple.source.bytes[0] == 0xfe) {
        learn_address(fabric, host, &frame->tuple.source); /* A link-local address is its own. */
    }
    return host;
}

struct host *host_at(struct fabric *fabric, struct fabric_port *port, const struct mac_address *mac, uint16_t vlan)
{
    struct host *host = host_find(fabric, mac, vlan);
    struct host_key key = {*mac, vlan};

    if (!host && (host = add_host(fabric, port, &key)))
        host->seen_s = (uint32_t)(fabric->now_ms / 1000);
    return host && host->port == port ? host : NULL;
}

/* ---- ports and time ----------------------------------------------------------------------------------------------------------------- */

void hosts_port_down(struct fabric *fabric, struct fabric_port *port)
{
    RING_FOREACH(element, &fabric->moves) {
        struct host_move *move = CONTAINER_OF(element, struct host_move, of_fabric);

        if (move->to == port) {
            ring_remove(&move->of_fabric);
            move->to = NULL;
        }
    }
    RING_FOREACH(element, &port->hosts)
        host_remove(fabric, CONTAINER_OF(element, struct host, of_port));
}

static void age(struct fabric *fabric, struct host *host, uint32_t now_s, uint32_t age_s)
{
    if (now_s - host->seen_s < age_s || host->n_flows || !host->port->datapath->channel)
        return;
    if (!host->is_probed && host->addresses && port_is_edge(host->port) && fabric_is_active(fabric)) {
        host->is_probed = true;
        host->seen_s = now_s - age_s + AGE_ANSWER_S;
        ask_at_old_port(fabric, host);
    } else {
        host_remove(fabric, host);
    }
}

void hosts_tick(struct fabric *fabric)
{
    uint32_t now_s = (uint32_t)(fabric->now_ms / 1000), age_s = (uint32_t)(fabric->options.host_age_ms / 1000);

    decide_moves(fabric);
    if (fabric->now_ms - fabric->aged_ms < AGE_STEP_MS || now_s < age_s)
        return;
    fabric->aged_ms = fabric->now_ms;
    HASHMAP_FOREACH(node, &fabric->hosts)
        age(fabric, CONTAINER_OF(node, struct host, by_key), now_s, age_s);
}

void hosts_clear(struct fabric *fabric)
{
    HASHMAP_FOREACH(node, &fabric->hosts) {
        struct host *host = CONTAINER_OF(node, struct host, by_key);

        while (host->addresses)
            remove_address(fabric, host->addresses);
        forget_move(host);
        hashmap_remove(&fabric->hosts, node);
    }
    hashmap_clear(&fabric->hosts);
    hashmap_clear(&fabric->addresses);
    pool_clear(&fabric->host_pool);
    pool_clear(&fabric->address_pool);
}
