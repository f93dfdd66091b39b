/* Who is where.  A host is a MAC in a VLAN; it is learned at ports where no switch is behind, with the addresses that its ARP, ND and IP packets show.
 *
 * A host that shows up elsewhere is asked for at its old port first: if it answers there within HOST_MOVE_PROBE_MS, the newcomer is a second
 * one with its MAC, and is not believed; nor is one that shows up in another slice, or while the old one, of which no address is known, was
 * heard lately.  One that moves too often (RFC 7432, 15.1) stays where it is for a while.  An address that a second host claims is asked for in the
 * same way: silence gives it away, as when a virtual router's address fails over.  Until then what claims it goes no further.  A host that is not heard of for
 * host_age_ms is asked whether it is still there, and forgotten when it does not answer and no flow of it lives. */
#include <stdlib.h>
#include <string.h>

#include "weft/base/util.h"
#include "weft/fabric/proactive.h"
#include "weft/fabric/slices.h"
#include "weft/fabric/state.h"

#define AGE_STEP_MS 1000
#define AGE_ANSWER_S 3
#define MOVES_HOLD_MS 30000
#define ADDRESS_CLAIMS_MAX 256
#define HEARD_LATELY_S 30    /* Of a host without a known address, which cannot be asked. */
#define DOUBT_MS 1000        /* Between questions to the hosts of a port where a switch is heard, */
#define DOUBT_ANSWER_S 2     /* and the time that they have to answer. */
#define DOUBTED_MAX 32       /* Hosts of a port that are asked. */

/* A claim to another host's address. */
struct address_claim {
    struct ring of_fabric;
    struct host_address_key key;
    struct host_key by;
    uint64_t decide_ms;
};

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

static struct host_address *find_address(const struct fabric *fabric, const struct ip_address *address, uint16_t vlan, uint32_t slice)
{
    struct host_address_key key = {.address = *address, .slice = slice, .vlan = vlan};
    struct hashmap_node *node = hashmap_find(&fabric->addresses, &key, sizeof(key));

    return node ? CONTAINER_OF(node, struct host_address, by_address) : NULL;
}

struct host *host_find_address(const struct fabric *fabric, const struct ip_address *address, uint16_t vlan, uint32_t slice)
{
    struct host_address *found = find_address(fabric, address, vlan, slice);

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

/* While the host stays. */
static void lose_address(struct fabric *fabric, struct host_address *address)
{
    proactive_address(fabric, address->host, &address->key.address, false);
    remove_address(fabric, address);
}

static bool add_address(struct fabric *fabric, struct host *host, const struct ip_address *ip, uint32_t slice)
{
    struct host_address *address = pool_take(&fabric->address_pool);

    if (!address)
        return false;
    address->key.address = *ip;
    address->key.slice = slice;
    address->key.vlan = host->key.vlan;
    address->host = host;
    if (hashmap_insert(&fabric->addresses, &address->by_address, &address->key, sizeof(address->key)) < 0) {
        pool_give(&fabric->address_pool, address);
        return false;
    }
    address->next = host->addresses;
    host->addresses = address;
    host->n_addresses++;
    return true;
}

static void gain_address(struct fabric *fabric, struct host *host, const struct ip_address *ip, uint32_t slice)
{
    if (host->n_addresses >= HOST_ADDRESSES_MAX) {
        struct host_address *last = host->addresses;

        while (last->next)
            last = last->next;
        lose_address(fabric, last); /* The oldest. */
    }
    if (add_address(fabric, host, ip, slice))
        proactive_address(fabric, host, ip, true);
}

/* The address is this host's now, whoever's it was. */
static void take_address(struct fabric *fabric, struct host *host, const struct ip_address *ip)
{
    uint32_t slice = slice_of_host(fabric, host);
    struct host_address *address = find_address(fabric, ip, host->key.vlan, slice);

    if (address && address->host == host)
        return;
    if (address)
        lose_address(fabric, address);
    gain_address(fabric, host, ip, slice);
}

static void ask(struct fabric *fabric, const struct host *host, const struct ip_address *ip)
{
    uint8_t frame[FRAME_OWN_MAX];

    port_send(fabric, host->port, frame, frame_neighbor_probe(ip, &host->key.mac, &fabric->mac, host->key.vlan, frame));
}

static struct address_claim *find_claim(const struct fabric *fabric, const struct host_address_key *key)
{
    RING_FOREACH(element, (struct ring *)&fabric->address_claims) {
        struct address_claim *claim = CONTAINER_OF(element, struct address_claim, of_fabric);

        if (memcmp(&claim->key, key, sizeof(*key)) == 0)
            return claim;
    }
    return NULL;
}

static void end_claim(struct fabric *fabric, struct address_claim *claim)
{
    ring_remove(&claim->of_fabric);
    fabric->n_address_claims--;
    free(claim);
}

/* Another host's address: its owner is asked, and what claims it waits. */
static void claim_address(struct fabric *fabric, const struct host *host, struct host_address *address)
{
    char text[IP_TEXT_SIZE], mac[MAC_TEXT_SIZE], other[MAC_TEXT_SIZE];
    struct address_claim *claim = find_claim(fabric, &address->key);

    if (claim || fabric->n_address_claims >= ADDRESS_CLAIMS_MAX)
        return;
    fabric_tell(fabric, FABRIC_HOST_ADDRESS_TAKEN, "address %s: claimed by %s, is %s's", ip_format(&address->key.address, text),
                mac_format(&host->key.mac, mac), mac_format(&address->host->key.mac, other));
    claim = calloc(1, sizeof(*claim));
    if (!claim)
        return;
    claim->key = address->key;
    claim->by = host->key;
    claim->decide_ms = fabric->now_ms + HOST_MOVE_PROBE_MS;
    ring_append(&fabric->address_claims, &claim->of_fabric);
    fabric->n_address_claims++;
    if (fabric_is_active(fabric))
        ask(fabric, address->host, &address->key.address);
}

/* Returns whether the host may say that the address is its own. */
static bool learn_address(struct fabric *fabric, struct host *host, const struct ip_address *ip)
{
    struct host_address *address;
    struct address_claim *claim;
    uint32_t slice;

    if (ip_is_zero(ip) || ip_is_multicast(ip))
        return true;
    slice = slice_of_host(fabric, host);
    address = find_address(fabric, ip, host->key.vlan, slice);
    if (!address) {
        gain_address(fabric, host, ip, slice);
        return true;
    }
    if (address->host != host) {
        claim_address(fabric, host, address);
        return false;
    }
    claim = find_claim(fabric, &address->key); /* The owner speaks: it keeps it. */
    if (claim)
        end_claim(fabric, claim);
    return true;
}

static void decide_claims(struct fabric *fabric)
{
    RING_FOREACH(element, &fabric->address_claims) {
        struct address_claim *claim = CONTAINER_OF(element, struct address_claim, of_fabric);
        struct host *host;

        if (fabric->now_ms < claim->decide_ms)
            break;
        host = host_find(fabric, &claim->by.mac, claim->by.vlan);
        if (host && slice_of_host(fabric, host) == claim->key.slice)
            take_address(fabric, host, &claim->key.address);
        end_claim(fabric, claim);
    }
}

/* What switches hold of them is written anew with all that depends on slices. */
void hosts_rekey_addresses(struct fabric *fabric)
{
    HASHMAP_FOREACH(node, &fabric->hosts) {
        struct host *host = CONTAINER_OF(node, struct host, by_key);
        uint32_t slice = slice_of_host(fabric, host);
        struct ip_address known[HOST_ADDRESSES_MAX];
        unsigned n = 0;

        while (host->addresses) {
            known[n++] = host->addresses->key.address;
            remove_address(fabric, host->addresses);
        }
        while (n--) /* Where two hosts have one now, the first keeps it. */
            if (!find_address(fabric, &known[n], host->key.vlan, slice))
                add_address(fabric, host, &known[n], slice);
    }
}

/* ---- coming and going ---------------------------------------------------------------------------------------------------------- */

static void place(struct host *host, struct fabric_port *port)
{
    if (host->port) {
        ring_remove(&host->of_port);
        host->port->n_hosts--;
        host->port->has_slices = false;
    }
    port->has_slices = false;
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
    host->port->has_slices = false;
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

/* An address by which the host can be asked at its old port: its own, or what the newcomer says is its. */
static const struct ip_address *address_to_ask(const struct host *host, const struct fabric_frame *frame)
{
    if (host->addresses)
        return &host->addresses->key.address;
    if (frame->neighbor != NEIGHBOR_NONE && !ip_is_zero(&frame->sender))
        return &frame->sender;
    return (frame->tuple.ethertype == ETHERTYPE_IPV4 || frame->tuple.ethertype == ETHERTYPE_IPV6) && !ip_is_zero(&frame->tuple.source)
               ? &frame->tuple.source : NULL;
}

static bool is_other_slice(const struct fabric *fabric, const struct host *host, const struct fabric_port *port)
{
    return slices_find(fabric->slices, port->datapath->id, port->number, host->key.vlan, &host->key.mac) != slice_of_host(fabric, host);
}

/* Seen at a port that is not its own.  Returns whether it is there now. */
static bool claim(struct fabric *fabric, struct host *host, struct fabric_port *port, const struct fabric_frame *frame)
{
    struct host_move *move = get_move(fabric, host);
    const struct ip_address *address = address_to_ask(host, frame);

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
    /* Nobody can answer from a port that is down, nor be asked by a controller that stands by; one only assumed was never heard. */
    if (!port_is_edge(host->port) || !host->port->datapath->channel || !fabric_is_active(fabric) || host->is_assumed) {
        move_now(fabric, host, port);
        return true;
    }
    if (is_other_slice(fabric, host, port) || (!host->addresses && fabric->now_ms / 1000 - host->seen_s < HEARD_LATELY_S)) {
        tell_duplicate(fabric, host, port);
        return false;
    }
    if (!address) {
        move_now(fabric, host, port);
        return true;
    }
    move->to = port;
    move->decide_ms = fabric->now_ms + HOST_MOVE_PROBE_MS;
    ring_append(&fabric->moves, &move->of_fabric);
    ask(fabric, host, address);
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

/* What ARP or ND says of the sender; false when it speaks for another. */
static bool learn_neighbor(struct fabric *fabric, struct host *host, const struct fabric_frame *frame)
{
    static const struct mac_address nobody;

    if (!mac_equal(&frame->sender_mac, &host->key.mac) && !(frame->tuple.ethertype != ETHERTYPE_ARP && mac_equal(&frame->sender_mac, &nobody)))
        return false;
    return learn_address(fabric, host, &frame->sender);
}

/* ---- learning --------------------------------------------------------------------------------------------------------------------- */

struct host *host_learn(struct fabric *fabric, struct fabric_port *port, const struct fabric_frame *frame)
{
    struct host *host = host_find(fabric, &frame->tuple.source_mac, frame->vlan);

    if (!host) {
        struct host_key key = {frame->tuple.source_mac, frame->vlan};

        host = add_host(fabric, port, &key);
    } else if (host->port != port && !claim(fabric, host, port, frame)) {
        host = NULL;
    } else if (host->move) {
        refute(fabric, host);
    }
    if (!host) {
        fabric_count_drop(fabric, FABRIC_DROP_HOST_REFUSED);
        return NULL;
    }
    host->seen_s = (uint32_t)(fabric->now_ms / 1000);
    host->is_probed = host->is_assumed = false;
    host->doubted_s = 0;
    /* ARP's and ND's own word; IP's source only where it cannot be routed, from far behind the host. */
    if (frame->neighbor != NEIGHBOR_NONE && !learn_neighbor(fabric, host, frame)) {
        fabric_count_drop(fabric, FABRIC_DROP_NEIGHBOR_FORGED);
        return NULL;
    }
    if (frame->neighbor == NEIGHBOR_NONE && !host->addresses && frame->tuple.protocol == 58 && frame->tuple.source.bytes[0] == 0xfe)
        learn_address(fabric, host, &frame->tuple.source); /* A link-local address is its own. */
    return host;
}

struct host *host_at(struct fabric *fabric, struct fabric_port *port, const struct mac_address *mac, uint16_t vlan)
{
    struct host *host = host_find(fabric, mac, vlan);
    struct host_key key = {*mac, vlan};

    if (!host && (host = add_host(fabric, port, &key))) {
        host->seen_s = (uint32_t)(fabric->now_ms / 1000);
        host->is_assumed = true;
    }
    return host && host->port == port ? host : NULL;
}

void host_assume_address(struct fabric *fabric, struct host *host, const struct ip_address *ip)
{
    uint32_t slice = slice_of_host(fabric, host);

    if (!ip_is_zero(ip) && !ip_is_multicast(ip) && !find_address(fabric, ip, host->key.vlan, slice))
        gain_address(fabric, host, ip, slice);
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

void hosts_forget_assumed(struct fabric *fabric, struct fabric_port *port)
{
    RING_FOREACH(element, &port->hosts) {
        struct host *host = CONTAINER_OF(element, struct host, of_port);

        if (host->is_assumed)
            host_remove(fabric, host);
    }
}

void hosts_doubt(struct fabric *fabric, struct fabric_port *port)
{
    unsigned n = 0;

    if (!fabric_is_active(fabric) || fabric->now_ms - port->doubted_ms < DOUBT_MS)
        return;
    port->doubted_ms = fabric->now_ms;
    RING_FOREACH(element, &port->hosts) {
        struct host *host = CONTAINER_OF(element, struct host, of_port);

        if (!host->doubted_s)
            host->doubted_s = (uint32_t)(fabric->now_ms / 1000);
        if (host->addresses && n++ < DOUBTED_MAX)
            ask(fabric, host, &host->addresses->key.address);
    }
}

static void age(struct fabric *fabric, struct host *host, uint32_t now_s, uint32_t age_s)
{
    if (host->doubted_s && now_s - host->doubted_s > DOUBT_ANSWER_S) {
        host_remove(fabric, host);
        return;
    }
    if (now_s - host->seen_s < age_s || host->n_flows || !host->port->datapath->channel)
        return;
    if (!host->is_probed && host->addresses && port_is_edge(host->port) && fabric_is_active(fabric)) {
        host->is_probed = true;
        host->seen_s = now_s - age_s + AGE_ANSWER_S;
        ask(fabric, host, &host->addresses->key.address);
    } else {
        host_remove(fabric, host);
    }
}

void hosts_tick(struct fabric *fabric)
{
    uint32_t now_s = (uint32_t)(fabric->now_ms / 1000), age_s = (uint32_t)(fabric->options.host_age_ms / 1000);

    decide_moves(fabric);
    decide_claims(fabric);
    if (fabric->now_ms - fabric->aged_ms < AGE_STEP_MS)
        return;
    fabric->aged_ms = fabric->now_ms;
    HASHMAP_FOREACH(node, &fabric->hosts)
        age(fabric, CONTAINER_OF(node, struct host, by_key), now_s, age_s);
}

void hosts_clear(struct fabric *fabric)
{
    RING_FOREACH(element, &fabric->address_claims)
        end_claim(fabric, CONTAINER_OF(element, struct address_claim, of_fabric));
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
