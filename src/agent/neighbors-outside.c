/* Stations outside: see neighbors-outside.h. */
#include "weft/agent/neighbors-outside.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "weft/base/hashmap.h"
#include "weft/base/util.h"

#define ASK_INTERVAL_MS 1000
#define ASK_TRIES 3
#define SILENT_MS 3000       /* After so many questions without an answer none is asked for so long. */
#define CONFIRMED_MS 30000   /* An answer counts for so long. */
#define LISTED_MS 600000     /* Without being used. */
#define REMEMBERED_MS 60000  /* So that one that is wanted again just then need not be asked for. */
#define MOVE_MS 5000         /* A station may show another MAC so often, */
#define MOVE_BURST 3         /* and as often at once (a virtual router that fails over and back); */
#define MOVES_MS 500         /* all stations together. */
#define MOVES_BURST 16
#define WAITING_MAX 3
#define FRAME_MAX 1600
#define ARP_SIZE 42
#define ND_SIZE 86

enum station_state { ASKED, KNOWN, SILENT };

/* A bucket of moves: full after a while, and each move takes one. */
struct moves {
    uint64_t full_ms; /* When it will be full again. */
};

struct station_key {
    uint32_t vni;
    uint8_t address[16];
};

struct station {
    struct hashmap_node node;
    struct station_key key;
    struct ip_address address;
    struct outside_uplink uplink;
    enum station_state state;
    uint8_t mac[6];
    bool is_listed;
    unsigned n_asked;      /* Since the last answer. */
    uint8_t next_mac[6];   /* Is to be believed as soon as it may be, */
    bool has_next;         /* if there is one. */
    struct moves moves;
    uint64_t asked_ms, confirmed_ms, wanted_ms, unlisted_ms;
    size_t n_waiting;
    struct {
        size_t size;
        uint8_t *bytes;
    } waiting[WAITING_MAX];
};

struct outside {
    struct hashmap stations;
    struct outside_events events;
    void *context;
    struct moves moves;
    struct outside_counters counters;
};

/* ---- questions ---------------------------------------------------------------------------------------------------------- */

static void put16(uint8_t *to, unsigned value)
{
    to[0] = (uint8_t)(value >> 8);
    to[1] = (uint8_t)value;
}

/* To the station alone when its MAC is known, else to everybody. */
static size_t write_arp(const struct station *station, const struct ip_address *source, uint8_t *frame)
{
    memset(frame, 0, ARP_SIZE);
    if (station->state == KNOWN)
        memcpy(frame, station->mac, 6);
    else
        memset(frame, 0xff, 6);
    memcpy(frame + 6, station->uplink.mac, 6);
    memcpy(frame + 12, (uint8_t[]){0x08, 0x06, 0, 1, 8, 0, 6, 4, 0, 1}, 10);
    memcpy(frame + 22, station->uplink.mac, 6);
    if (source)
        memcpy(frame + 28, source->bytes + 12, 4);
    memcpy(frame + 38, station->address.bytes + 12, 4);
    return ARP_SIZE;
}

static uint16_t icmp6_checksum(const uint8_t *ipv6, size_t length)
{
    uint32_t sum = (uint32_t)length + 58;

    for (size_t i = 8; i < 40 + length; i += 2)
        sum += (uint32_t)ipv6[i] << 8 | ipv6[i + 1];
    while (sum >> 16)
        sum = (sum & 0xffff) + (sum >> 16);
    return (uint16_t)~sum;
}

/* Without a source there is no link-layer option, and everybody hears the answer (RFC 4861, 4.3 and 7.2.4). */
static size_t write_solicitation(const struct station *station, const struct ip_address *source, uint8_t *frame)
{
    const uint8_t *target = station->address.bytes;
    size_t length = source ? 32 : 24;
    uint8_t *ipv6 = frame + 14;

    memset(frame, 0, ND_SIZE);
    if (station->state == KNOWN)
        memcpy(frame, station->mac, 6);
    else
        memcpy(frame, (uint8_t[]){0x33, 0x33, 0xff, target[13], target[14], target[15]}, 6);
    memcpy(frame + 6, station->uplink.mac, 6);
    memcpy(frame + 12, (uint8_t[]){0x86, 0xdd}, 2);
    ipv6[0] = 0x60;
    put16(ipv6 + 4, (unsigned)length);
    ipv6[6] = 58;
    ipv6[7] = 255;
    if (source)
        memcpy(ipv6 + 8, source->bytes, 16);
    if (station->state == KNOWN && source)
        memcpy(ipv6 + 24, target, 16);
    else
        memcpy(ipv6 + 24, (uint8_t[]){0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff, target[13], target[14], target[15]}, 16);
    ipv6[40] = 135;
    memcpy(ipv6 + 48, target, 16);
    if (source) {
        memcpy(ipv6 + 64, (uint8_t[]){1, 1}, 2);
        memcpy(ipv6 + 66, station->uplink.mac, 6);
    }
    put16(ipv6 + 42, icmp6_checksum(ipv6, length));
    return 14 + 40 + length;
}

static size_t write_advertisement(const struct outside_uplink *uplink, const struct ip_address *address, uint8_t *frame)
{
    uint8_t *ipv6 = frame + 14;

    memset(frame, 0, ND_SIZE);
    memcpy(frame, (uint8_t[]){0x33, 0x33, 0, 0, 0, 1}, 6);
    memcpy(frame + 6, uplink->mac, 6);
    memcpy(frame + 12, (uint8_t[]){0x86, 0xdd, 0x60}, 3);
    put16(ipv6 + 4, 32);
    ipv6[6] = 58;
    ipv6[7] = 255;
    memcpy(ipv6 + 8, address->bytes, 16);
    memcpy(ipv6 + 24, (uint8_t[]){0xff, 2, [15] = 1}, 16);
    ipv6[40] = 136;
    ipv6[44] = 0xa0; /* Router, override. */
    memcpy(ipv6 + 48, address->bytes, 16);
    memcpy(ipv6 + 64, (uint8_t[]){2, 1}, 2);
    memcpy(ipv6 + 66, uplink->mac, 6);
    put16(ipv6 + 42, icmp6_checksum(ipv6, 32));
    return ND_SIZE;
}

size_t outside_write_announcement(const struct outside_uplink *uplink, const struct ip_address *address, uint8_t frame[OUTSIDE_ANNOUNCEMENT_MAX])
{
    if (!ip_is_v4(address))
        return write_advertisement(uplink, address, frame);
    memset(frame, 0, ARP_SIZE);
    memset(frame, 0xff, 6);
    memcpy(frame + 6, uplink->mac, 6);
    memcpy(frame + 12, (uint8_t[]){0x08, 0x06, 0, 1, 8, 0, 6, 4, 0, 1}, 10);
    memcpy(frame + 22, uplink->mac, 6);
    memcpy(frame + 28, address->bytes + 12, 4);
    memcpy(frame + 38, address->bytes + 12, 4);
    return ARP_SIZE;
}

static void ask(struct outside *outside, struct station *station, uint64_t now_ms)
{
    struct ip_address source;
    bool is_v4 = ip_is_v4(&station->address), has_source = outside->events.source(outside->context, station->key.vni, is_v4, &source);
    uint8_t frame[ND_SIZE];
    size_t size = (is_v4 ? write_arp : write_solicitation)(station, has_source ? &source : NULL, frame);

    station->asked_ms = now_ms;
    station->n_asked++;
    outside->events.send(outside->context, &station->uplink, frame, size);
}

/* ---- frames that wait ------------------------------------------------------------------------------------------------------ */

static uint32_t fold(uint32_t sum)
{
    while (sum >> 16)
        sum = (sum & 0xffff) + (sum >> 16);
    return sum;
}

static uint32_t sum_bytes(const uint8_t *bytes, size_t size)
{
    uint32_t sum = 0;

    for (size_t i = 0; i + 1 < size; i += 2)
        sum += (uint32_t)bytes[i] << 8 | bytes[i + 1];
    return size & 1 ? sum + ((uint32_t)bytes[size - 1] << 8) : sum;
}

/* A workload may leave TCP's and UDP's checksums to its device: the field then holds the sum of the pseudo header only, and nobody behind a packet
 * socket finishes it.  A checksum that is neither that nor right is left as it is. */
static void finish_checksum(uint8_t *frame, size_t size)
{
    bool is_v4 = frame[12] == 0x08 && frame[13] == 0;
    uint8_t *ip = frame + 14, protocol;
    size_t l4, length, addresses = is_v4 ? 8 : 32;

    if (size < 14 + (is_v4 ? 20u : 40u) || (!is_v4 && !(frame[12] == 0x86 && frame[13] == 0xdd)))
        return;
    if (is_v4 && ((ip[6] & 0x3f) || ip[7])) /* A fragment's is over all of them. */
        return;
    protocol = is_v4 ? ip[9] : ip[6];
    l4 = is_v4 ? (size_t)(ip[0] & 15) * 4 : 40;
    length = is_v4 ? (size_t)(ip[2] << 8 | ip[3]) : 40 + (size_t)(ip[4] << 8 | ip[5]);
    if (length > size - 14 || length < l4 + (protocol == 6 ? 20 : 8) || (protocol != 6 && protocol != 17))
        return;
    length -= l4;
    uint8_t *field = ip + l4 + (protocol == 6 ? 16 : 6);
    uint32_t pseudo = fold(sum_bytes(is_v4 ? ip + 12 : ip + 8, addresses) + protocol + (uint32_t)length);
    if ((uint32_t)(field[0] << 8 | field[1]) != pseudo || fold(pseudo + sum_bytes(ip + l4, length)) == 0xffff)
        return;
    uint32_t checksum = ~fold(sum_bytes(ip + l4, length)) & 0xffff; /* The field's own value is the pseudo header's part. */
    put16(field, checksum || protocol == 6 ? checksum : 0xffff);
}

static void send_to(struct outside *outside, struct station *station, uint8_t *frame, size_t size)
{
    memcpy(frame, station->mac, 6);
    memcpy(frame + 6, station->uplink.mac, 6);
    outside->events.send(outside->context, &station->uplink, frame, size);
}

static void drop_waiting(struct station *station)
{
    for (size_t i = 0; i < station->n_waiting; i++)
        free(station->waiting[i].bytes);
    station->n_waiting = 0;
}

static void send_waiting(struct outside *outside, struct station *station)
{
    for (size_t i = 0; i < station->n_waiting; i++)
        send_to(outside, station, station->waiting[i].bytes, station->waiting[i].size);
    drop_waiting(station);
}

/* The newest ones are kept: an old one was sent again by now. */
static void keep_waiting(struct station *station, const uint8_t *frame, size_t size)
{
    uint8_t *copy = malloc(size);

    if (!copy)
        return;
    memcpy(copy, frame, size);
    finish_checksum(copy, size);
    if (station->n_waiting == WAITING_MAX) {
        free(station->waiting[0].bytes);
        memmove(station->waiting, station->waiting + 1, (WAITING_MAX - 1) * sizeof(station->waiting[0]));
        station->n_waiting--;
    }
    station->waiting[station->n_waiting].bytes = copy;
    station->waiting[station->n_waiting++].size = size;
}

/* ---- stations ---------------------------------------------------------------------------------------------------------------- */

static struct station *find_station(struct outside *outside, uint32_t vni, const struct ip_address *address)
{
    struct station_key key = {.vni = vni};

    memcpy(key.address, address->bytes, sizeof(key.address));
    struct hashmap_node *node = hashmap_find(&outside->stations, &key, sizeof(key));
    return node ? CONTAINER_OF(node, struct station, node) : NULL;
}

static void set_listed(struct outside *outside, struct station *station, bool is_listed, uint64_t now_ms)
{
    if (station->is_listed == is_listed)
        return;
    station->is_listed = is_listed;
    station->unlisted_ms = now_ms;
    outside->events.changed(outside->context);
}

/* When the bucket has a move to give. */
static uint64_t moves_ready_ms(const struct moves *moves, uint64_t interval_ms, unsigned burst)
{
    uint64_t reserve_ms = interval_ms * (burst - 1);

    return moves->full_ms > reserve_ms ? moves->full_ms - reserve_ms : 0;
}

static void moves_take(struct moves *moves, uint64_t interval_ms, uint64_t now_ms)
{
    moves->full_ms = MAX(moves->full_ms, now_ms) + interval_ms;
}

static uint64_t move_ready_ms(const struct outside *outside, const struct station *station)
{
    uint64_t own = moves_ready_ms(&station->moves, MOVE_MS, MOVE_BURST), all = moves_ready_ms(&outside->moves, MOVES_MS, MOVES_BURST);

    return MAX(own, all);
}

/* A station that is in the data plane's table is somewhere else: now, or as soon as it may. */
static void move_station(struct outside *outside, struct station *station, const uint8_t *mac, uint64_t now_ms)
{
    if (now_ms < move_ready_ms(outside, station)) {
        outside->counters.held++;
        memcpy(station->next_mac, mac, sizeof(station->next_mac));
        station->has_next = true;
        return;
    }
    moves_take(&station->moves, MOVE_MS, now_ms);
    moves_take(&outside->moves, MOVES_MS, now_ms);
    outside->counters.moves++;
    memcpy(station->mac, mac, sizeof(station->mac));
    station->has_next = false;
    outside->events.changed(outside->context);
}

static void forget(struct outside *outside, struct station *station, uint64_t now_ms)
{
    set_listed(outside, station, false, now_ms);
    drop_waiting(station);
    hashmap_remove(&outside->stations, &station->node);
    free(station);
}

static void make_room(struct outside *outside, uint64_t now_ms)
{
    struct station *oldest = NULL;

    if (outside->stations.n_nodes < OUTSIDE_MAX)
        return;
    HASHMAP_FOREACH(node, &outside->stations) {
        struct station *station = CONTAINER_OF(node, struct station, node);

        /* Nobody says that a listed one is used: the busiest would be the oldest. */
        if (!oldest || station->is_listed < oldest->is_listed ||
            (station->is_listed == oldest->is_listed && station->wanted_ms < oldest->wanted_ms))
            oldest = station;
    }
    if (oldest)
        forget(outside, oldest, now_ms);
}

static struct station *add_station(struct outside *outside, uint32_t vni, const struct ip_address *address, uint64_t now_ms)
{
    struct station *station;

    make_room(outside, now_ms);
    station = calloc(1, sizeof(*station));
    if (!station)
        return NULL;
    station->key.vni = vni;
    memcpy(station->key.address, address->bytes, sizeof(station->key.address));
    station->address = *address;
    if (hashmap_insert(&outside->stations, &station->node, &station->key, sizeof(station->key)) < 0) {
        free(station);
        return NULL;
    }
    return station;
}

void outside_wanted(struct outside *outside, uint64_t now_ms, const struct outside_uplink *uplink, const struct ip_address *address,
                    const uint8_t *frame, size_t size)
{
    struct station *station = find_station(outside, uplink->vni, address);
    bool is_new = !station;

    if (size < 14 || size > FRAME_MAX)
        return;
    if (is_new)
        station = add_station(outside, uplink->vni, address, now_ms);
    if (!station)
        return;
    station->uplink = *uplink;
    station->wanted_ms = now_ms;
    if (station->state == SILENT)
        return;
    keep_waiting(station, frame, size);
    if (is_new) {
        ask(outside, station, now_ms);
    } else if (station->state == KNOWN) {
        set_listed(outside, station, true, now_ms);
        send_waiting(outside, station);
    }
}

static void take_answer(struct outside *outside, uint64_t now_ms, uint32_t vni, const struct ip_address *address, const uint8_t *mac)
{
    static const uint8_t none[6];
    struct station *station = find_station(outside, vni, address);

    if (!station || mac[0] & 1 || memcmp(mac, none, 6) == 0 || memcmp(mac, station->uplink.mac, 6) == 0)
        return;
    bool is_another = memcmp(station->mac, mac, 6) != 0;
    if (!is_another)
        station->has_next = false;
    else if (station->is_listed)
        move_station(outside, station, mac, now_ms);
    else
        memcpy(station->mac, mac, 6);
    station->state = KNOWN;
    station->confirmed_ms = now_ms;
    station->n_asked = 0;
    if (station->n_waiting) {
        set_listed(outside, station, true, now_ms);
        send_waiting(outside, station);
    }
}

static void seen_arp(struct outside *outside, uint64_t now_ms, uint32_t vni, const uint8_t *arp, size_t size)
{
    struct ip_address sender;

    if (size < 28 || memcmp(arp, (uint8_t[]){0, 1, 8, 0, 6, 4}, 6) != 0)
        return;
    sender = ip_from_v4((uint32_t)arp[14] << 24 | (uint32_t)arp[15] << 16 | (uint32_t)arp[16] << 8 | arp[17]);
    take_answer(outside, now_ms, vni, &sender, arp + 8);
}

/* RFC 4861, 7.1.2: from the link itself, whole, and with options that have a length. */
static void seen_advertisement(struct outside *outside, uint64_t now_ms, uint32_t vni, const uint8_t *ipv6, size_t size)
{
    struct ip_address target;
    size_t length;

    if (size < 64 || ipv6[6] != 58 || ipv6[7] != 255 || ipv6[40] != 136 || ipv6[41] != 0)
        return;
    length = (size_t)(ipv6[4] << 8 | ipv6[5]);
    if (length < 24 || length > size - 40 || length % 2 || icmp6_checksum(ipv6, length) != 0)
        return;
    memcpy(target.bytes, ipv6 + 48, sizeof(target.bytes));
    for (size_t at = 64; at + 8 <= 40 + length && ipv6[at + 1]; at += (size_t)ipv6[at + 1] * 8)
        if (ipv6[at] == 2) {
            take_answer(outside, now_ms, vni, &target, ipv6 + at + 2);
            return;
        }
}

void outside_seen(struct outside *outside, uint64_t now_ms, uint32_t vni, const uint8_t *frame, size_t size)
{
    if (size < 14)
        return;
    if (frame[12] == 0x08 && frame[13] == 0x06)
        seen_arp(outside, now_ms, vni, frame + 14, size - 14);
    else if (frame[12] == 0x86 && frame[13] == 0xdd)
        seen_advertisement(outside, now_ms, vni, frame + 14, size - 14);
}

/* ---- time ----------------------------------------------------------------------------------------------------------------------- */

/* Nobody tells when a listed station is used: the data plane notes it, and is asked before the station is taken away. */
static void check_use(struct outside *outside, struct station *station, uint64_t now_ms)
{
    uint64_t unused_ms;

    if (!station->is_listed || now_ms < station->wanted_ms + LISTED_MS)
        return;
    unused_ms = outside->events.unused_ms(outside->context, station->key.vni, station->mac);
    if (unused_ms < LISTED_MS)
        station->wanted_ms = now_ms - MIN(unused_ms, now_ms);
    else
        set_listed(outside, station, false, now_ms);
}

/* Returns when the station is to be looked at again. */
static uint64_t look_after(struct outside *outside, struct station *station, uint64_t now_ms)
{
    if (station->state == SILENT) {
        if (now_ms >= station->asked_ms + SILENT_MS) {
            forget(outside, station, now_ms);
            return UINT64_MAX;
        }
        return station->asked_ms + SILENT_MS;
    }
    if (station->has_next && now_ms >= move_ready_ms(outside, station))
        move_station(outside, station, station->next_mac, now_ms);
    if (station->state == KNOWN)
        check_use(outside, station, now_ms);
    if (station->state == KNOWN && !station->is_listed && now_ms >= station->unlisted_ms + REMEMBERED_MS) {
        forget(outside, station, now_ms);
        return UINT64_MAX;
    }
    if (station->state == KNOWN && !station->n_asked && now_ms < station->confirmed_ms + CONFIRMED_MS)
        return station->confirmed_ms + CONFIRMED_MS;
    if (station->n_asked && now_ms < station->asked_ms + ASK_INTERVAL_MS)
        return station->asked_ms + ASK_INTERVAL_MS;
    if (station->n_asked >= ASK_TRIES) {
        set_listed(outside, station, false, now_ms);
        drop_waiting(station);
        station->has_next = false;
        station->state = SILENT;
        return now_ms + SILENT_MS;
    }
    ask(outside, station, now_ms);
    return now_ms + ASK_INTERVAL_MS;
}

static uint64_t tick_station(struct outside *outside, struct station *station, uint64_t now_ms)
{
    uint64_t due_ms = look_after(outside, station, now_ms);

    return due_ms != UINT64_MAX && station->has_next ? MIN(due_ms, MAX(move_ready_ms(outside, station), now_ms + 1)) : due_ms;
}

const struct outside_counters *outside_counters(const struct outside *outside)
{
    return &outside->counters;
}

uint64_t outside_tick(struct outside *outside, uint64_t now_ms)
{
    uint64_t next_ms = UINT64_MAX;

    HASHMAP_FOREACH(node, &outside->stations) {
        uint64_t due_ms = tick_station(outside, CONTAINER_OF(node, struct station, node), now_ms);

        next_ms = MIN(next_ms, due_ms);
    }
    return next_ms == UINT64_MAX ? next_ms : next_ms > now_ms ? next_ms - now_ms : 0;
}

void outside_retain(struct outside *outside, const struct outside_uplink *uplinks, size_t n_uplinks)
{
    HASHMAP_FOREACH(node, &outside->stations) {
        struct station *station = CONTAINER_OF(node, struct station, node);
        bool is_there = false;

        for (size_t i = 0; i < n_uplinks && !is_there; i++)
            is_there = uplinks[i].vni == station->key.vni && uplinks[i].ifindex == station->uplink.ifindex &&
                       uplinks[i].vlan == station->uplink.vlan;
        if (!is_there)
            forget(outside, station, 0);
    }
}

void outside_each(const struct outside *outside,
                  void (*visit)(void *context, uint32_t vni, const struct ip_address *address, const uint8_t mac[6]), void *context)
{
    HASHMAP_FOREACH(node, &outside->stations) {
        const struct station *station = CONTAINER_OF(node, struct station, node);

        if (station->is_listed && station->state == KNOWN)
            visit(context, station->key.vni, &station->address, station->mac);
    }
}

int outside_new(const struct outside_events *events, void *context, struct outside **ret_outside)
{
    struct outside *outside = calloc(1, sizeof(*outside));

    if (!outside)
        return -ENOMEM;
    outside->events = *events;
    outside->context = context;
    *ret_outside = outside;
    return 0;
}

void outside_free(struct outside *outside)
{
    if (!outside)
        return;
    HASHMAP_FOREACH(node, &outside->stations) {
        struct station *station = CONTAINER_OF(node, struct station, node);

        drop_waiting(station);
        free(station);
    }
    hashmap_clear(&outside->stations);
    free(outside);
}
