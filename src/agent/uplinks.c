/* Uplinks: see uplinks.h. */
#include "weft/agent/uplinks.h"

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <errno.h>
#include <ifaddrs.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "weft/agent/neighbors-outside.h"
#include "weft/base/clock.h"
#include "weft/base/log.h"
#include "weft/dataplane/attach.h"
#include "weft/dataplane/tables.h"

#define RETRY_MS 1000
#define ANNOUNCE_INTERVAL_MS 100
#define ANNOUNCE_MANY 50          /* In one interval, so that a host with many addresses does not flood its network. */
#define ANNOUNCE_TIMES 2          /* RFC 5227, 2.3: */
#define ANNOUNCE_AGAIN_MS 2000    /* as far apart. */

struct uplink {
    char physical_network[65], interface[16];
    uint32_t ifindex; /* 0: it is not there. */
    uint64_t incarnation;
    uint32_t attached;
    uint64_t attached_incarnation, retry_ms;
    struct mac_address mac;
    uint16_t mtu;
    bool is_promiscuous; /* So that frames for workloads' MACs come. */
};

/* An address of ours on a network. */
struct announced_key {
    uint32_t vni;
    uint8_t address[16]; /* IPv4 mapped. */
};

struct announcement {
    struct announced_key key;
    unsigned left;
    uint64_t due_ms;
};

struct uplinks {
    struct agent *agent;
    struct uplink uplinks[MAX_UPLINKS];
    size_t n_uplinks;
    struct outside *outside;
    int socket;
    uv_timer_t outside_timer, announce_timer;
    struct rows announced;             /* Addresses that this host answers for; the interface. */
    struct announcement *announcements;
    size_t n_announcements, max_announcements;
    struct compile_uplink compiled[MAX_UPLINKS];
    struct compile_outside_neighbor *neighbors;
    size_t n_neighbors;
    struct gathered *gathered; /* While gathering. */
};

/* ---- the option -------------------------------------------------------------------------------------------------------- */

static int add_uplink(struct uplinks *uplinks, const char *item, struct error *error)
{
    struct uplink *uplink = &uplinks->uplinks[uplinks->n_uplinks];
    const char *colon = strchr(item, ':');
    size_t length = colon ? (size_t)(colon - item) : 0;

    if (!length || length >= sizeof(uplink->physical_network) || !colon[1] || string_copy(uplink->interface, sizeof(uplink->interface), colon + 1) < 0)
        return error_set(error, -EINVAL, "uplinks", "uplinks: '%s' is not PHYSICAL_NETWORK:INTERFACE", item);
    if (uplinks->n_uplinks == MAX_UPLINKS)
        return error_set(error, -EINVAL, "uplinks", "uplinks: more than %d", MAX_UPLINKS);
    memcpy(uplink->physical_network, item, length);
    uplink->physical_network[length] = 0;
    for (size_t i = 0; i < uplinks->n_uplinks; i++)
        if (streq(uplinks->uplinks[i].physical_network, uplink->physical_network) || streq(uplinks->uplinks[i].interface, uplink->interface))
            return error_set(error, -EINVAL, "uplinks", "uplinks: '%s' names a physical network or an interface again", item);
    uplinks->n_uplinks++;
    return 0;
}

static int parse(struct uplinks *uplinks, const char *text, struct error *error)
{
    char *copy = strdup(text ? text : ""), *rest = copy;
    int result = copy ? 0 : error_set(error, -ENOMEM, NULL, "out of memory");

    for (char *item; result == 0 && (item = strsep(&rest, ","));)
        if (*item)
            result = add_uplink(uplinks, item, error);
    free(copy);
    return result;
}

/* ---- sending -------------------------------------------------------------------------------------------------------------- */

/* The tag goes into the frame: the device sends what it is given. */
static void send_frame(const struct uplinks *uplinks, const struct outside_uplink *to, const uint8_t *frame, size_t size)
{
    struct sockaddr_ll address = {.sll_family = AF_PACKET, .sll_ifindex = (int)to->ifindex, .sll_halen = ETH_ALEN};
    uint8_t tagged[2048];

    if (size < ETH_HLEN || size > sizeof(tagged) - 4)
        return;
    memcpy(tagged, frame, 12);
    if (to->vlan) {
        memcpy(tagged + 12, (uint8_t[]){0x81, 0x00, (uint8_t)(to->vlan >> 8), (uint8_t)to->vlan}, 4);
        memcpy(tagged + 16, frame + 12, size - 12);
        size += 4;
    } else {
        memcpy(tagged + 12, frame + 12, size - 12);
    }
    memcpy(&address.sll_protocol, tagged + 12, 2);
    memcpy(address.sll_addr, frame, ETH_ALEN);
    if (sendto(uplinks->socket, tagged, size, 0, (struct sockaddr *)&address, sizeof(address)) < 0)
        log_debug("cannot send out of interface %u: %s", to->ifindex, strerror(errno));
}

static bool find_network(const struct uplinks *uplinks, uint32_t vni, struct outside_uplink *ret)
{
    struct uplink_key key = {.ifindex = UPLINK_BY_VNI, .vlan = vni};
    const void *row = rows_find(&uplinks->agent->desired.tables[TABLE_UPLINKS], &key);
    struct uplink_value value;

    if (!row)
        return false;
    memcpy(&value, row, sizeof(value));
    *ret = (struct outside_uplink){.vni = vni, .ifindex = value.ifindex, .vlan = (uint16_t)value.vlan};
    memcpy(ret->mac, value.mac, sizeof(ret->mac));
    return true;
}

bool uplinks_send(struct uplinks *uplinks, uint32_t vni, uint8_t *frame, size_t size)
{
    struct outside_uplink network;

    if (size < ETH_HLEN || !find_network(uplinks, vni, &network))
        return false;
    memcpy(frame + 6, network.mac, sizeof(network.mac));
    send_frame(uplinks, &network, frame, size);
    return true;
}

/* ---- next hops ------------------------------------------------------------------------------------------------------------- */

static void outside_timer_fired(uv_timer_t *timer);

static void tick(struct uplinks *uplinks)
{
    uint64_t in_ms = outside_tick(uplinks->outside, clock_monotonic_ms());

    if (in_ms == UINT64_MAX) {
        uv_timer_stop(&uplinks->outside_timer);
        return;
    }
    uv_update_time(&uplinks->agent->loop);
    uv_timer_start(&uplinks->outside_timer, outside_timer_fired, in_ms ? in_ms : 1, 0);
}

static void outside_timer_fired(uv_timer_t *timer)
{
    tick(timer->data);
}

static void outside_send(void *context, const struct outside_uplink *uplink, const uint8_t *frame, size_t size)
{
    send_frame(context, uplink, frame, size);
}

/* Any address will do for which this host answers anyway. */
static bool outside_source(void *context, uint32_t vni, bool is_v4, struct ip_address *ret)
{
    const struct uplinks *uplinks = context;

    for (size_t i = 0; i < uplinks->announced.n; i++) {
        struct announced_key key;

        memcpy(&key, rows_key(&uplinks->announced, i), sizeof(key));
        memcpy(ret->bytes, key.address, sizeof(ret->bytes));
        if (key.vni == vni && ip_is_v4(ret) == is_v4)
            return true;
    }
    return false;
}

static void outside_changed(void *context)
{
    agent_schedule_update(((struct uplinks *)context)->agent);
}

static uint64_t outside_unused_ms(void *context, uint32_t vni, const uint8_t mac[6])
{
    const struct uplinks *uplinks = context;
    uint32_t index = station_index(vni, mac), used = 0, now = (uint32_t)(clock_monotonic_ns() >> STATION_TIME_SHIFT);

    if (bpf_map_lookup_elem(maps_descriptor(uplinks->agent->maps, "station_use"), &index, &used) < 0 || !used)
        return UINT64_MAX;
    return now > used ? ((uint64_t)(now - used) << STATION_TIME_SHIFT) / 1000000 : 0;
}

void uplinks_take_event(struct uplinks *uplinks, const struct punt_event *event)
{
    struct outside_uplink network;
    struct ip_address next_hop;

    if (!find_network(uplinks, event->vni, &network))
        return;
    memcpy(next_hop.bytes, event->next_hop, sizeof(next_hop.bytes));
    if (event->reason == PUNT_NEIGHBOR)
        outside_wanted(uplinks->outside, clock_monotonic_ms(), &network, &next_hop, event->frame, event->size);
    else
        outside_seen(uplinks->outside, clock_monotonic_ms(), event->vni, event->frame, event->size);
    tick(uplinks);
}

/* ---- for the compiler ------------------------------------------------------------------------------------------------------- */

static void find_interfaces(struct uplinks *uplinks)
{
    for (size_t i = 0; i < uplinks->n_uplinks; i++) {
        struct uplink *uplink = &uplinks->uplinks[i];
        const struct link *link = links_find_name(&uplinks->agent->links, uplink->interface);

        uplink->ifindex = link ? link->ifindex : 0;
        if (!link)
            continue;
        uplink->incarnation = link->incarnation;
        uplink->mtu = (uint16_t)MIN(link->mtu, 65535);
        memcpy(uplink->mac.bytes, link->mac, sizeof(uplink->mac.bytes));
    }
}

static void add_neighbor(void *context, uint32_t vni, const struct ip_address *address, const uint8_t mac[6])
{
    struct uplinks *uplinks = context;
    const struct snapshot *snapshot = &uplinks->gathered->snapshot;
    struct compile_outside_neighbor *neighbor = &uplinks->neighbors[uplinks->n_neighbors];

    for (size_t i = 0; i < snapshot->n_networks; i++)
        if (snapshot->networks[i]->vni == vni && snapshot->networks[i]->physical_network) {
            string_copy(neighbor->network_id, sizeof(neighbor->network_id), snapshot->networks[i]->object.id);
            neighbor->address = *address;
            memcpy(neighbor->mac.bytes, mac, sizeof(neighbor->mac.bytes));
            uplinks->n_neighbors++;
            return;
        }
}

int uplinks_gather(struct uplinks *uplinks, struct gathered *gathered)
{
    struct snapshot *snapshot = &gathered->snapshot;

    if (!uplinks->n_uplinks)
        return 0;
    find_interfaces(uplinks);
    snapshot->n_uplinks = 0;
    for (size_t i = 0; i < uplinks->n_uplinks; i++) {
        const struct uplink *uplink = &uplinks->uplinks[i];

        if (uplink->ifindex)
            uplinks->compiled[snapshot->n_uplinks++] =
                (struct compile_uplink){uplink->physical_network, uplink->ifindex, uplink->mtu, uplink->mac};
    }
    snapshot->uplinks = uplinks->compiled;
    if (!uplinks->neighbors)
        uplinks->neighbors = calloc(OUTSIDE_MAX, sizeof(*uplinks->neighbors));
    if (!uplinks->neighbors)
        return -ENOMEM;
    uplinks->n_neighbors = 0;
    uplinks->gathered = gathered;
    outside_each(uplinks->outside, add_neighbor, uplinks);
    uplinks->gathered = NULL;
    snapshot->outside_neighbors = uplinks->neighbors;
    snapshot->n_outside_neighbors = uplinks->n_neighbors;
    return 0;
}

/* Calls 'visit' with the VNI of each network that an uplink leads to. */
static int each_network(struct desired *desired, const struct ip_address *address,
                        int (*visit)(struct desired *desired, uint32_t vni, const struct ip_address *address, struct rows *added), struct rows *added)
{
    const struct rows *uplinks = &desired->tables[TABLE_UPLINKS];
    int r = 0;

    for (size_t i = 0; i < uplinks->n && r == 0; i++) {
        struct uplink_key by;

        memcpy(&by, rows_key(uplinks, i), sizeof(by));
        if (by.ifindex == UPLINK_BY_VNI)
            r = visit(desired, by.vlan, address, added);
    }
    return r;
}

/* An address of the host that lies in a network behind a router.  A tenant's subnet of one address may be just this one. */
static int protect_route(struct desired *desired, uint32_t vni, const struct ip_address *address, struct rows *added)
{
    struct route_key key = {.prefix_length = 32 + 128, .router = ROUTER_OUTSIDE | vni};
    struct route_value value = {.router = key.router, .flags = ROUTE_LOCAL};
    void *there;

    memcpy(key.address, address->bytes, sizeof(key.address));
    there = (void *)rows_find(&desired->tables[TABLE_ROUTES], &key);
    if (!there)
        return rows_add(added, &key, &value);
    memcpy(there, &value, sizeof(value));
    return 0;
}

static int protect_external(struct desired *desired, uint32_t vni, const struct ip_address *address, struct rows *added)
{
    struct external_key key = {vni, htonl(ip_to_v4(address))};
    struct external_value value = {.vni = vni, .kind = EXTERNAL_HOST};
    void *there = (void *)rows_find(&desired->tables[TABLE_EXTERNAL], &key);

    if (there)
        memcpy(there, &value, sizeof(value));
    return 0;
}

/* The host's addresses, on whatever interface: each may be reached by an uplink.  The tables are sorted, and stay so. */
void uplinks_protect_host(struct uplinks *uplinks, struct desired *desired)
{
    struct rows *routes = &desired->tables[TABLE_ROUTES], added;
    struct ifaddrs *addresses = NULL;
    int r = 0;

    if (!uplinks->n_uplinks || getifaddrs(&addresses) < 0)
        return;
    rows_init(&added, routes->key_size, routes->value_size);
    for (const struct ifaddrs *i = addresses; i && r == 0; i = i->ifa_next) {
        struct ip_address address;

        if (i->ifa_addr && i->ifa_addr->sa_family == AF_INET6)
            memcpy(address.bytes, &((const struct sockaddr_in6 *)i->ifa_addr)->sin6_addr, sizeof(address.bytes));
        else if (i->ifa_addr && i->ifa_addr->sa_family == AF_INET)
            address = ip_from_v4(ntohl(((const struct sockaddr_in *)i->ifa_addr)->sin_addr.s_addr));
        else
            continue;
        r = each_network(desired, &address, protect_route, &added);
        if (r == 0 && ip_is_v4(&address))
            r = each_network(desired, &address, protect_external, NULL);
    }
    freeifaddrs(addresses);
    for (size_t i = 0; i < added.n && r == 0; i++)
        r = rows_add(routes, rows_key(&added, i), rows_value(&added, i));
    rows_clear(&added);
    if (r < 0 || rows_sort(routes) < 0)
        log_error("out of memory: the host's own addresses may be taken by tenants until the next change");
}

/* ---- announcements ------------------------------------------------------------------------------------------------------------- */

static void announce(const struct uplinks *uplinks, const struct announced_key *key)
{
    struct outside_uplink network;
    struct ip_address address;
    uint8_t frame[OUTSIDE_ANNOUNCEMENT_MAX];

    memcpy(address.bytes, key->address, sizeof(address.bytes));
    if (find_network(uplinks, key->vni, &network))
        send_frame(uplinks, &network, frame, outside_write_announcement(&network, &address, frame));
}

static void announce_timer_fired(uv_timer_t *timer)
{
    struct uplinks *uplinks = timer->data;
    uint64_t now_ms = clock_monotonic_ms();
    size_t kept = 0, n_sent = 0;

    for (size_t i = 0; i < uplinks->n_announcements; i++) {
        struct announcement *announcement = &uplinks->announcements[i];

        if (announcement->due_ms <= now_ms && n_sent < ANNOUNCE_MANY && rows_find(&uplinks->announced, &announcement->key)) {
            announce(uplinks, &announcement->key);
            announcement->left--;
            announcement->due_ms = now_ms + ANNOUNCE_AGAIN_MS;
            n_sent++;
        }
        if (announcement->left && rows_find(&uplinks->announced, &announcement->key))
            uplinks->announcements[kept++] = *announcement;
    }
    uplinks->n_announcements = kept;
    if (!kept)
        uv_timer_stop(timer);
}

static int add_announcement(const void *key, const void *old_value, const void *new_value, void *context)
{
    struct uplinks *uplinks = context;

    if (old_value || !new_value)
        return 0;
    if (uplinks->n_announcements == uplinks->max_announcements) {
        size_t max = uplinks->max_announcements ? 2 * uplinks->max_announcements : 64;
        struct announcement *more = reallocarray(uplinks->announcements, max, sizeof(*more));

        if (!more)
            return -ENOMEM;
        uplinks->announcements = more;
        uplinks->max_announcements = max;
    }
    struct announcement *announcement = &uplinks->announcements[uplinks->n_announcements++];
    *announcement = (struct announcement){.left = ANNOUNCE_TIMES};
    memcpy(&announcement->key, key, sizeof(announcement->key));
    return 0;
}

static int add_external(const struct uplinks *uplinks, struct rows *announced)
{
    const struct rows *external = &uplinks->agent->desired.tables[TABLE_EXTERNAL];
    int result = 0;

    for (size_t i = 0; i < external->n && result == 0; i++) {
        struct external_key by;
        struct external_value value;
        struct outside_uplink network;

        memcpy(&by, rows_key(external, i), sizeof(by));
        memcpy(&value, rows_value(external, i), sizeof(value));
        if (value.kind == EXTERNAL_HOST || !(value.flags & EXTERNAL_ANNOUNCED) || !find_network(uplinks, value.vni, &network))
            continue;

        struct ip_address address = ip_from_v4(ntohl(by.address));
        struct announced_key key = {.vni = value.vni};

        memcpy(key.address, address.bytes, sizeof(key.address));
        result = rows_add(announced, &key, &network.ifindex); /* By another interface is announced again. */
    }
    return result;
}

/* Routers' and load balancers' addresses of IPv6, those of the link too: what has their MAC. */
static int add_routers(const struct uplinks *uplinks, struct rows *announced)
{
    const struct rows *fdb = &uplinks->agent->desired.tables[TABLE_FDB], *neighbors = &uplinks->agent->desired.tables[TABLE_NEIGHBORS];
    int result = 0;

    for (size_t i = 0; i < neighbors->n && result == 0; i++) {
        struct neighbor_key by;
        struct neighbor_value value;
        struct announced_key key = {0};
        struct fdb_key owner = {0};
        struct output_value output;
        struct outside_uplink network;
        struct router_port_config port;

        memcpy(&by, rows_key(neighbors, i), sizeof(by));
        memcpy(&value, rows_value(neighbors, i), sizeof(value));
        if (by.address[0] == 0 || !find_network(uplinks, by.vni, &network)) /* IPv4's are mapped. */
            continue;
        owner.vni = key.vni = by.vni;
        memcpy(owner.mac, value.mac, sizeof(owner.mac));

        const void *row = rows_find(fdb, &owner);
        if (!row)
            continue;
        memcpy(&output, row, sizeof(output));
        uint32_t number = output.output & OUTPUT_SLOT_MASK;
        uint32_t kind = output.output & OUTPUT_KIND_MASK;
        row = kind == OUTPUT_ROUTER || kind == OUTPUT_SERVICE ? rows_find(&uplinks->agent->desired.tables[TABLE_ROUTER_PORTS], &number) : NULL;
        if (!row)
            continue;
        memcpy(&port, row, sizeof(port));
        memcpy(key.address, by.address, sizeof(key.address));
        if (port.flags & ROUTER_PORT_ANNOUNCED && port.flags & ROUTER_PORT_UP)
            result = rows_add(announced, &key, &network.ifindex);
    }
    return result;
}

/* Which addresses this host answers for; those that are new here are announced. */
static void update_announced(struct uplinks *uplinks)
{
    struct rows announced;
    int result;

    rows_init(&announced, sizeof(struct announced_key), 4);
    result = add_external(uplinks, &announced);
    if (result == 0)
        result = add_routers(uplinks, &announced);
    if (result == 0)
        result = rows_sort(&announced);
    if (result == 0)
        rows_compare(&uplinks->announced, &announced, add_announcement, uplinks);
    rows_clear(&uplinks->announced);
    uplinks->announced = announced;
    if (uplinks->n_announcements && !uv_is_active((uv_handle_t *)&uplinks->announce_timer))
        uv_timer_start(&uplinks->announce_timer, announce_timer_fired, 1, ANNOUNCE_INTERVAL_MS);
}

/* ---- programs -------------------------------------------------------------------------------------------------------------------- */

static int attach(struct uplinks *uplinks, struct uplink *uplink)
{
    bool is_new = uplink->attached != uplink->ifindex || uplink->attached_incarnation != uplink->incarnation;
    int result;

    if (!is_new)
        return 0;
    result = attach_uplink(uplink->ifindex, maps_program(uplinks->agent->maps, PROGRAM_FROM_UPLINK));
    if (result < 0)
        return result;
    /* Solicitations come to groups that the host is in none of. */
    struct packet_mreq all = {.mr_ifindex = (int)uplink->ifindex, .mr_type = PACKET_MR_ALLMULTI};
    if (setsockopt(uplinks->socket, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &all, sizeof(all)) < 0)
        log_warning("uplinks: '%s' does not take all groups: %s", uplink->interface, strerror(errno));
    log_info("uplink into '%s' is interface '%s'", uplink->physical_network, uplink->interface);
    uplink->is_promiscuous = false;
    uplink->attached = uplink->ifindex;
    uplink->attached_incarnation = uplink->incarnation;
    return 0;
}

/* Are there workloads in a network that is (a VLAN of) what the interface leads into? */
static bool is_bridged(const struct uplinks *uplinks, const struct uplink *uplink)
{
    const struct desired *desired = &uplinks->agent->desired;

    for (size_t i = 0; i < desired->tables[TABLE_UPLINKS].n; i++) {
        struct uplink_value value;
        struct network_value network;
        const void *row;

        memcpy(&value, rows_value(&desired->tables[TABLE_UPLINKS], i), sizeof(value));
        row = value.ifindex == uplink->ifindex ? rows_find(&desired->tables[TABLE_NETWORKS], &value.vni) : NULL;
        if (!row)
            continue;
        memcpy(&network, row, sizeof(network));
        if (network.flags & NETWORK_BRIDGED)
            return true;
    }
    return false;
}

static void set_promiscuous(struct uplinks *uplinks, struct uplink *uplink, bool is_promiscuous)
{
    struct packet_mreq mode = {.mr_ifindex = (int)uplink->ifindex, .mr_type = PACKET_MR_PROMISC};

    if (uplink->is_promiscuous == is_promiscuous)
        return;
    if (setsockopt(uplinks->socket, SOL_PACKET, is_promiscuous ? PACKET_ADD_MEMBERSHIP : PACKET_DROP_MEMBERSHIP, &mode, sizeof(mode)) < 0)
        log_warning("uplinks: '%s' does not become %s: %s", uplink->interface, is_promiscuous ? "promiscuous" : "quiet", strerror(errno));
    uplink->is_promiscuous = is_promiscuous;
}

static void retain_stations(struct uplinks *uplinks)
{
    const struct rows *rows = &uplinks->agent->desired.tables[TABLE_UPLINKS];
    struct outside_uplink *networks = calloc(rows->n + 1, sizeof(*networks));
    size_t n = 0;

    for (size_t i = 0; networks && i < rows->n; i++) {
        struct uplink_key key;

        memcpy(&key, rows_key(rows, i), sizeof(key));
        if (key.ifindex == UPLINK_BY_VNI && find_network(uplinks, key.vlan, &networks[n]))
            n++;
    }
    if (networks)
        outside_retain(uplinks->outside, networks, n);
    free(networks);
}

uint64_t uplinks_update(struct uplinks *uplinks)
{
    uint64_t now_ms = clock_monotonic_ms();
    bool has_failed = false;

    if (!uplinks->n_uplinks)
        return 0;
    for (size_t i = 0; i < uplinks->n_uplinks; i++) {
        struct uplink *uplink = &uplinks->uplinks[i];

        if (!uplink->ifindex) {
            uplink->attached = 0;
            continue;
        }
        if (now_ms < uplink->retry_ms)
            continue;
        int result = attach(uplinks, uplink);
        if (result == 0)
            set_promiscuous(uplinks, uplink, is_bridged(uplinks, uplink));
        if (result < 0) {
            has_failed = true;
            uplink->retry_ms = now_ms + RETRY_MS;
            if (result != -ENODEV)
                log_error("uplinks: cannot attach to interface '%s': %s", uplink->interface, strerror(-result));
        }
    }
    update_announced(uplinks);
    retain_stations(uplinks);
    return has_failed ? RETRY_MS : 0;
}

bool uplinks_has(const struct uplinks *uplinks, uint32_t ifindex)
{
    for (size_t i = 0; i < uplinks->n_uplinks; i++)
        if (ifindex && uplinks->uplinks[i].attached == ifindex)
            return true;
    return false;
}

const struct outside_counters *uplinks_outside_counters(const struct uplinks *uplinks)
{
    return outside_counters(uplinks->outside);
}

json_t *uplinks_report(const struct uplinks *uplinks)
{
    json_t *names = json_array();

    for (size_t i = 0; i < uplinks->n_uplinks; i++)
        if (uplinks->uplinks[i].attached)
            json_array_append_new(names, json_string(uplinks->uplinks[i].physical_network));
    return names;
}

json_t *uplinks_snat_usage(const struct agent *agent)
{
    const struct replica_kind *ports = &agent->replica.by_kind[RESOURCE_PORT];
    int map = maps_descriptor(agent->maps, "router_port_runtime");
    json_t *usage = json_object();

    for (size_t i = 0; i < ports->n; i++) {
        const struct object *object = ports->entries[i]->object;
        const struct port *port = (const struct port *)object;
        struct router_port_runtime runtime;

        if (!port->device_owner || !streq(port->device_owner, DEVICE_ROUTER_GATEWAY) || !port->device_id)
            continue;
        const struct slot *slot = local_find(&agent->local, SLOT_ROUTER_PORT, object->id);
        uint32_t number = slot ? slot->number : 0;
        if (!slot || bpf_map_lookup_elem(map, &number, &runtime) < 0 || (!runtime.n_names && !runtime.n_exhausted))
            continue;
        /* The number may have been another's, whose connections end by and by: not less than none. */
        json_int_t in_use = (int64_t)runtime.n_names > 0 ? (json_int_t)runtime.n_names : 0;
        json_object_set_new(usage, port->device_id, json_pack("{s:I, s:I}", "in_use", in_use, "failed", (json_int_t)runtime.n_exhausted));
    }
    return usage;
}

/* ---- life ----------------------------------------------------------------------------------------------------------------------------- */

int uplinks_new(struct agent *agent, const char *text, struct uplinks **ret_uplinks, struct error *error)
{
    static const struct outside_events events = {outside_send, outside_source, outside_changed, outside_unused_ms};
    struct uplinks *uplinks = calloc(1, sizeof(*uplinks));
    int result;

    if (!uplinks)
        return error_set(error, -ENOMEM, NULL, "out of memory");
    uplinks->agent = agent;
    uplinks->socket = -1;
    rows_init(&uplinks->announced, sizeof(struct announced_key), 4);
    result = parse(uplinks, text, error);
    if (result == 0 && outside_new(&events, uplinks, &uplinks->outside) < 0)
        result = error_set(error, -ENOMEM, NULL, "out of memory");
    if (result == 0 && uplinks->n_uplinks) {
        uplinks->socket = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0); /* Protocol 0: receives nothing. */
        if (uplinks->socket < 0)
            result = error_set(error, -errno, NULL, "cannot open a packet socket: %s", strerror(errno));
    }
    if (result < 0) {
        uplinks_free(uplinks);
        return result;
    }
    uv_timer_init(&agent->loop, &uplinks->outside_timer);
    uv_timer_init(&agent->loop, &uplinks->announce_timer);
    uplinks->outside_timer.data = uplinks->announce_timer.data = uplinks;
    *ret_uplinks = uplinks;
    return 0;
}

void uplinks_stop(struct uplinks *uplinks)
{
    if (!uplinks)
        return;
    uv_close((uv_handle_t *)&uplinks->outside_timer, NULL);
    uv_close((uv_handle_t *)&uplinks->announce_timer, NULL);
}

void uplinks_free(struct uplinks *uplinks)
{
    if (!uplinks)
        return;
    outside_free(uplinks->outside);
    if (uplinks->socket >= 0)
        close(uplinks->socket);
    rows_clear(&uplinks->announced);
    free(uplinks->announcements);
    free(uplinks->neighbors);
    free(uplinks);
}
