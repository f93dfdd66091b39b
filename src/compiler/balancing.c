/* Load balancers: who is behind a VIP, which listeners it has, and whose the rows of their pools are.
 *
 * A VIP's port is bound to no host, so nothing was compiled of it before: here its address and MAC come to be behind OUTPUT_SERVICE on each
 * host.  Members are found by their address and network among the ports; one that is none of ours takes no connections.
 *
 * Which member a row names is the API's decision (struct balance_rows): rows say it by its index in the pool, the tables by its number on this
 * host. */
#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "weft/base/cleanup.h"
#include "weft/compiler/layers.h"

struct balancer {
    struct hashmap_node by_id;
    const struct load_balancer *model;
    const struct compile_port *port;       /* The VIP's; NULL: not known. */
    const struct compile_network *network; /* Its. */
    bool *behind;                          /* Of a VIP on an external or physical network, by number among all networks: its members are there. */
};

struct pool_entry {
    struct hashmap_node by_id;
    const struct compile_pool *pool;
    const struct balance_rows *rows; /* NULL: none yet. */
    bool is_watched;                 /* A health monitor probes its members. */
};

struct member_entry {
    struct hashmap_node by_id;
    const struct compile_member *member;
    bool is_there;       /* A port of ours has the address. */
};

/* What the writer of the rows decided of a member. */
struct state_entry {
    struct hashmap_node by_id;
    const struct balance_rows *rows;
    const struct balance_member *state;
};

/* A port's address, by which members are found. */
struct address_entry {
    struct hashmap_node by_key;
    struct {
        const struct compile_network *network;
        struct ip_address address;
    } key;
    const struct compile_port *port;
};

/* What this host may use of a listener's limit. */
struct share_entry {
    struct hashmap_node by_listener;
    uint32_t share;
};

struct balancing {
    const struct snapshot *snapshot;
    const struct compile_index *index;
    struct desired *desired;
    struct hashmap balancers, pools, members, states, addresses, shares;
    struct balancer *balancer_array;
    struct pool_entry *pool_array;
    struct member_entry *member_array;
    struct state_entry *state_array;
    struct address_entry *address_array;
    struct share_entry *share_array;
    uint16_t *numbers;     /* Of the pool in hand, by index: members that have a number; */
    bool *serve;           /* and take new connections. */
    bool *is_member;       /* By the snapshot's ports: those of this host that some member is at. */
};

static const void *find(const struct hashmap *map, const char *id, size_t offset)
{
    const struct hashmap_node *node = hashmap_find(map, id, strlen(id));

    return node ? (const uint8_t *)node - offset : NULL;
}
#define FIND(map, type, id) ((type *)find(map, id, offsetof(type, by_id)))

/* ---- finding ------------------------------------------------------------------------------------------------------------------------ */

static int find_balancers(struct balancing *balancing)
{
    const struct snapshot *snapshot = balancing->snapshot;

    for (size_t i = 0; i < snapshot->n_load_balancers; i++) {
        struct balancer *balancer = &balancing->balancer_array[i];

        balancer->model = snapshot->load_balancers[i];
        if (hashmap_insert(&balancing->balancers, &balancer->by_id, balancer->model->object.id, strlen(balancer->model->object.id)) == -ENOMEM)
            return -ENOMEM;
    }
    for (size_t i = 0; i < snapshot->n_ports; i++) {
        const struct compile_port *port = &snapshot->ports[i];
        const char *id = port_load_balancer_id(port->port);
        struct balancer *balancer = id ? FIND(&balancing->balancers, struct balancer, id) : NULL;

        if (balancer && streq(balancer->model->vip_port_id, port->port->object.id)) {
            balancer->port = port;
            balancer->network = compile_place_of(balancing->index, port)->network;
        }
    }
    return 0;
}

static int find_pools(struct balancing *balancing)
{
    const struct snapshot *snapshot = balancing->snapshot;

    for (size_t i = 0; i < snapshot->n_pools; i++) {
        struct pool_entry *entry = &balancing->pool_array[i];
        const char *id = snapshot->pools[i].pool->object.id;

        entry->pool = &snapshot->pools[i];
        if (hashmap_insert(&balancing->pools, &entry->by_id, id, strlen(id)) == -ENOMEM)
            return -ENOMEM;
    }
    for (size_t i = 0; i < snapshot->n_balance_rows; i++) {
        char id[UUID_TEXT_SIZE];

        balance_rows_id(snapshot->balance_rows[i]->object.id, id);

        struct pool_entry *entry = FIND(&balancing->pools, struct pool_entry, id);

        if (entry)
            entry->rows = snapshot->balance_rows[i];
    }
    for (size_t i = 0; i < snapshot->n_health_monitors; i++) {
        struct pool_entry *entry = FIND(&balancing->pools, struct pool_entry, snapshot->health_monitors[i]->pool_id);

        if (entry)
            entry->is_watched = snapshot->health_monitors[i]->object.admin_state_up;
    }
    return 0;
}

/* The addresses of all ports, if there are members at all. */
static int find_addresses(struct balancing *balancing)
{
    const struct snapshot *snapshot = balancing->snapshot;
    size_t n = 0;

    for (size_t i = 0; i < snapshot->n_ports; i++)
        n += snapshot->ports[i].port->n_fixed_ips;
    balancing->address_array = calloc(n + 1, sizeof(*balancing->address_array));
    if (!balancing->address_array || hashmap_reserve(&balancing->addresses, n) < 0)
        return -ENOMEM;
    n = 0;
    for (size_t i = 0; i < snapshot->n_ports; i++) {
        const struct compile_port *port = &snapshot->ports[i];
        const struct compile_place *place = compile_place_of(balancing->index, port);

        for (size_t k = 0; k < port->port->n_fixed_ips && place->network && !port->router_port; k++) {
            struct address_entry *entry = &balancing->address_array[n++];

            entry->key.network = place->network;
            entry->key.address = port->port->fixed_ips[k].address;
            entry->port = port;
            if (hashmap_insert(&balancing->addresses, &entry->by_key, &entry->key, sizeof(entry->key)) == -ENOMEM)
                return -ENOMEM;
        }
    }
    return 0;
}

/* Of the member's own project: somebody else's in a shared network is not called by clients of networks that its rules do not know. */
static const struct compile_port *find_member_port(const struct balancing *balancing, const struct pool_member *member)
{
    struct address_entry wanted = {.key = {compile_find_network(balancing->index, member->at_network_id), member->address}};
    const struct hashmap_node *node = wanted.key.network ? hashmap_find(&balancing->addresses, &wanted.key, sizeof(wanted.key)) : NULL;

    const struct compile_port *port = node ? CONTAINER_OF(node, struct address_entry, by_key)->port : NULL;

    return port && streq(port->port->object.project_id, member->object.project_id) ? port : NULL;
}

/* ---- members ---------------------------------------------------------------------------------------------------------------------------- */

/* The first 40 bits of the id. */
static struct service_name name_of(const struct object *object)
{
    struct service_name name = {.first = compile_object_number(object)};

    for (size_t i = 9; i < 11 && object->id[i]; i++) { /* Behind a hyphen. */
        char digit = object->id[i];

        name.second = name.second << 4 | (uint32_t)(digit <= '9' ? digit - '0' : (digit | 0x20) - 'a' + 10);
    }
    return name;
}

/* The balancer's address of one IP version; NULL: it has none. */
static const struct ip_address *find_vip(const struct load_balancer *model, bool ipv4)
{
    if (ip_is_v4(&model->vip_address) == ipv4)
        return &model->vip_address;
    for (size_t i = 0; i < model->n_additional_vips; i++)
        if (ip_is_v4(&model->additional_vips[i].address) == ipv4)
            return &model->additional_vips[i].address;
    return NULL;
}

/* How this host's agent reaches the member: by its port only, whatever address is probed, so that a monitor asks nobody else. */
static int add_probe_target(struct balancing *balancing, const struct compile_member *entry, const struct compile_port *port, const struct balancer *balancer)
{
    const struct pool_member *model = entry->member;
    const struct ip_address *address = model->has_monitor_address ? &model->monitor_address : &model->address;
    const struct ip_address *vip = find_vip(balancer->model, ip_is_v4(address));
    struct probe_target target = {
        .number = entry->number, .slot = port->slot, .generation = port->generation, .ifindex = balancing->snapshot->probe_ifindex};

    if (!vip || !balancer->port || !target.ifindex)
        return 0;
    memcpy(target.address, address->bytes, sizeof(target.address));
    memcpy(target.vip, vip->bytes, sizeof(target.vip));
    memcpy(target.vip_mac, balancer->port->port->mac.bytes, sizeof(target.vip_mac));
    memcpy(target.device_mac, balancing->snapshot->probe_mac.bytes, sizeof(target.device_mac));
    return rows_add(&balancing->desired->tables[TABLE_PROBE_TARGETS], &target.number, &target);
}

/* A member without a port of ours has no record: then its connections end. */
static int add_member(struct balancing *balancing, struct member_entry *entry, const struct balancer *balancer, const struct pool_entry *pool, bool goes_on)
{
    const struct pool_member *model = entry->member->member;
    const struct compile_port *port = find_member_port(balancing, model);
    const struct compile_place *place = port ? compile_place_of(balancing->index, port) : NULL;
    uint32_t number = entry->member->number;

    if (!place || !number || place->output == OUTPUT_NONE)
        return 0;

    struct service_member member = {
        .number = number,
        .name = name_of(&model->object),
        .flags = goes_on ? SERVICE_MEMBER_UP : 0,
        .balancer = compile_object_number(&balancer->model->object),
        .vip_vni = balancer->network ? balancer->network->network->vni : 0,
        .vni = place->network->network->vni,
        .output = place->output,
        .port = htons(model->protocol_port),
        .mtu = place->network->network->mtu,
    };

    memcpy(member.address, model->address.bytes, sizeof(member.address));
    memcpy(member.mac, port->port->mac.bytes, sizeof(member.mac));
    entry->is_there = goes_on;
    balancing->is_member[port - balancing->snapshot->ports] = port->slot != 0;
    if (rows_add(&balancing->desired->tables[TABLE_SERVICE_MEMBERS], &number, &member) < 0)
        return -ENOMEM;
    if (pool->is_watched && port->slot && model->object.admin_state_up && add_probe_target(balancing, entry->member, port, balancer) < 0)
        return -ENOMEM;
    return rows_add(&balancing->desired->tables[TABLE_SERVICE_NAMES], &member.name, &number);
}

/* What the writer of the rows knows of the member; NULL: nothing yet. */
static const struct balance_member *find_state(const struct balancing *balancing, const struct balance_rows *rows, const char *id)
{
    const struct state_entry *entry = FIND(&balancing->states, struct state_entry, id);

    return entry && entry->rows == rows ? entry->state : NULL;
}

static int find_states(struct balancing *balancing)
{
    const struct snapshot *snapshot = balancing->snapshot;
    struct state_entry *entry;
    size_t n = 0;

    for (size_t i = 0; i < snapshot->n_balance_rows; i++)
        n += snapshot->balance_rows[i]->n_members;
    entry = balancing->state_array = calloc(n + 1, sizeof(*balancing->state_array));
    if (!entry || hashmap_reserve(&balancing->states, n) < 0)
        return -ENOMEM;
    for (size_t i = 0; i < snapshot->n_balance_rows; i++)
        for (size_t k = 0; k < snapshot->balance_rows[i]->n_members; k++, entry++) {
            entry->rows = snapshot->balance_rows[i];
            entry->state = &entry->rows->members[k];
            if (hashmap_insert(&balancing->states, &entry->by_id, entry->state->member_id, strlen(entry->state->member_id)) == -ENOMEM)
                return -ENOMEM;
        }
    return 0;
}

static int note_network(const struct balancing *balancing, struct balancer *balancer, const char *id)
{
    const struct compile_network *network = balancer->port && balancer->port->vip_port ? compile_find_network(balancing->index, id) : NULL;

    if (!network)
        return 0;
    if (!balancer->behind && !(balancer->behind = calloc(balancing->snapshot->n_networks, sizeof(*balancer->behind))))
        return -ENOMEM;
    balancer->behind[network - balancing->index->network_array] = true;
    return 0;
}

static int compare_slot(const void *a, const void *b)
{
    uint32_t left = *(const uint32_t *)a, right = *(const uint32_t *)b;

    return left < right ? -1 : left > right;
}

/* Tells the records of members' ports. */
static int mark_ports(struct balancing *balancing)
{
    const struct snapshot *snapshot = balancing->snapshot;
    struct rows *ports = &balancing->desired->tables[TABLE_PORTS];
    _cleanup_(freep) uint32_t *slots = calloc(snapshot->n_ports + 1, sizeof(*slots));
    size_t n = 0;

    if (!slots)
        return -ENOMEM;
    for (size_t i = 0; i < snapshot->n_ports; i++)
        if (balancing->is_member[i])
            slots[n++] = snapshot->ports[i].slot;
    qsort(slots, n, sizeof(*slots), compare_slot);
    for (size_t i = 0; n && i < ports->n; i++)
        if (bsearch(rows_key(ports, i), slots, n, sizeof(*slots), compare_slot))
            ((struct port_config *)rows_value(ports, i))->flags |= PORT_MEMBER;
    return 0;
}

static int add_members(struct balancing *balancing)
{
    const struct snapshot *snapshot = balancing->snapshot;

    balancing->is_member = calloc(snapshot->n_ports + 1, sizeof(*balancing->is_member));
    if (!balancing->is_member)
        return -ENOMEM;
    for (size_t i = 0; i < snapshot->n_members; i++) {
        struct member_entry *entry = &balancing->member_array[i];
        const struct pool_member *model = snapshot->members[i].member;
        const struct pool_entry *pool = FIND(&balancing->pools, struct pool_entry, model->pool_id);
        struct balancer *balancer = FIND(&balancing->balancers, struct balancer, model->load_balancer_id);
        const struct balance_member *state = pool && pool->rows ? find_state(balancing, pool->rows, model->object.id) : NULL;

        entry->member = &snapshot->members[i];
        if (hashmap_insert(&balancing->members, &entry->by_id, model->object.id, strlen(model->object.id)) == -ENOMEM)
            return -ENOMEM;
        if (balancer && note_network(balancing, balancer, model->at_network_id) < 0)
            return -ENOMEM;
        if (balancer && state && add_member(balancing, entry, balancer, pool, state->state != MEMBER_IS_DOWN) < 0)
            return -ENOMEM;
    }
    return mark_ports(balancing);
}

/* ---- rows ------------------------------------------------------------------------------------------------------------------------------- */

static uint16_t read16(const uint8_t *bytes)
{
    return (uint16_t)(bytes[0] | bytes[1] << 8);
}

static int add_pool(struct balancing *balancing, const struct pool_entry *entry)
{
    const struct balance_rows *rows = entry->rows;
    size_t n_rows = rows ? rows->n_row_bytes / 8 : 0;

    for (size_t i = 0; rows && i < rows->n_members; i++) {
        const struct balance_member *state = &rows->members[i];
        const struct member_entry *member = FIND(&balancing->members, struct member_entry, state->member_id);

        if (state->index == BALANCE_INDEX_NONE)
            continue;
        balancing->numbers[state->index] = member && member->is_there ? (uint16_t)member->member->number : 0;
        balancing->serve[state->index] = state->state == MEMBER_SERVES;
    }
    for (size_t first = 0; first < n_rows && n_rows <= SERVICE_ROWS_MAX; first += SERVICE_ROWS_PER_BLOCK) {
        struct service_rows block = {.pool = entry->pool->number, .index = SERVICE_ROWS_INDEX(n_rows, (uint32_t)(first / SERVICE_ROWS_PER_BLOCK))};
        struct service_rows_key key = {block.pool, block.index};

        for (size_t i = 0; i < SERVICE_ROWS_PER_BLOCK && first + i < n_rows; i++) {
            const uint8_t *row = rows->rows + (first + i) * 8;
            uint16_t owner = read16(row);

            block.rows[i].owner = balancing->serve[owner] ? balancing->numbers[owner] : 0;
            for (size_t k = 0; k < ARRAY_SIZE(block.rows[i].previous); k++)
                block.rows[i].previous[k] = balancing->numbers[read16(row + 2 * (k + 1))];
        }
        if (rows_add(&balancing->desired->tables[TABLE_SERVICE_ROWS], &key, &block) < 0)
            return -ENOMEM;
    }
    for (size_t i = 0; rows && i < rows->n_members; i++)
        balancing->numbers[rows->members[i].index] = balancing->serve[rows->members[i].index] = 0;
    return 0;
}

static int add_pools(struct balancing *balancing)
{
    balancing->numbers = calloc(UINT16_MAX + 1, sizeof(*balancing->numbers));
    balancing->serve = calloc(UINT16_MAX + 1, sizeof(*balancing->serve));
    if (!balancing->numbers || !balancing->serve)
        return -ENOMEM;
    for (size_t i = 0; i < balancing->snapshot->n_pools; i++)
        if (balancing->pool_array[i].pool->number && add_pool(balancing, &balancing->pool_array[i]) < 0)
            return -ENOMEM;
    return 0;
}

/* ---- listeners ---------------------------------------------------------------------------------------------------------------------------- */

static int add_sources(struct balancing *balancing, const struct compile_listener *listener)
{
    for (size_t i = 0; i < listener->listener->n_allowed_cidrs; i++) {
        const struct ip_prefix *prefix = &listener->listener->allowed_cidrs[i];
        struct service_source_key key = {.prefix_length = 32 + prefix_bits(prefix), .listener = listener->number};
        uint64_t value = (uint64_t)(ip_is_v4(&prefix->address) ? RULE_IPV4 : RULE_IPV6) << 32 | listener->number;

        memcpy(key.address, prefix->address.bytes, sizeof(key.address));
        if (rows_add(&balancing->desired->tables[TABLE_SERVICE_SOURCES], &key, &value) < 0)
            return -ENOMEM;
    }
    return 0;
}

static int add_service(struct balancing *balancing, const struct balancer *balancer, const struct ip_address *address, uint8_t protocol, uint16_t port,
                       const struct service_value *value)
{
    struct service_key key = {.vni = balancer->network->network->vni, .port = htons(port), .protocol = protocol};
    struct service_value row = *value;

    memcpy(key.address, address->bytes, sizeof(key.address));
    row.vni = key.vni;
    row.port = key.port;
    row.protocol = protocol;
    row.balancer = compile_object_number(&balancer->model->object);
    memcpy(&row.check, address->bytes + 12, sizeof(row.check));
    memcpy(row.mac, balancer->port->port->mac.bytes, sizeof(row.mac));
    return rows_add(&balancing->desired->tables[TABLE_SERVICES], &key, &row);
}

static int add_neighbor(struct balancing *balancing, const struct balancer *balancer, const struct ip_address *address)
{
    uint32_t vni = balancer->network->network->vni;
    struct neighbor_key key = {.vni = vni};
    struct neighbor_value value = {.check = (uint16_t)vni};

    memcpy(key.address, address->bytes, sizeof(key.address));
    memcpy(value.mac, balancer->port->port->mac.bytes, sizeof(value.mac));
    return rows_add(&balancing->desired->tables[TABLE_NEIGHBORS], &key, &value);
}

/* The address itself, and its MAC. */
static int add_address(struct balancing *balancing, const struct balancer *balancer, const struct ip_address *address)
{
    struct service_value value = {.flags = balancer->model->object.admin_state_up ? SERVICE_UP : 0};

    return add_neighbor(balancing, balancer, address) < 0 ? -ENOMEM : add_service(balancing, balancer, address, 0, 0, &value);
}

static int add_balancer(struct balancing *balancing, const struct balancer *balancer)
{
    const struct load_balancer *model = balancer->model;
    struct fdb_key key = {.vni = balancer->network->network->vni};
    struct output_value value = {key.vni, OUTPUT_SERVICE | balancer->port->vip_port};

    memcpy(key.mac, balancer->port->port->mac.bytes, sizeof(key.mac));
    if (rows_add(&balancing->desired->tables[TABLE_FDB], &key, &value) < 0 || add_address(balancing, balancer, &model->vip_address) < 0)
        return -ENOMEM;
    for (size_t i = 0; i < model->n_additional_vips; i++)
        if (add_address(balancing, balancer, &model->additional_vips[i].address) < 0)
            return -ENOMEM;
    return balancer->port->vip_port ? compile_vip(balancing->index, balancing->desired, balancer->port, balancer->network, model, balancer->behind) : 0;
}

/* How the pool chooses. */
static void set_pool(struct service_value *value, const struct pool_entry *entry, const struct ip_address *address, bool ipv4)
{
    const struct pool *pool = entry->pool->pool;

    value->pool = entry->rows && pool->object.admin_state_up ? entry->pool->number : 0;
    value->n_rows = entry->rows ? (uint32_t)(entry->rows->n_row_bytes / 8) : 0;
    value->seed = entry->rows ? entry->rows->lineage : 0;
    if (pool->has_persistence || pool->algorithm == BALANCE_SOURCE_IP)
        value->flags |= SERVICE_BY_SOURCE;
    else if (pool->algorithm == BALANCE_LEAST_CONNECTIONS)
        value->flags |= SERVICE_LEAST;
    value->source_length = 128;
    if (pool->has_persistence && pool->has_persistence_granularity && ip_is_v4(address) == ipv4)
        value->source_length = (uint8_t)(pool->persistence_length + (ipv4 ? 96 : 0));
}

/* What is silent on both sides for the shorter one: who sends is answered, so that neither is silent alone. */
static uint32_t timeout_of(const struct listener *model)
{
    uint32_t client = model->has_timeout_client_data ? model->timeout_client_data : 0;
    uint32_t member = model->has_timeout_member_data ? model->timeout_member_data : 0;

    return client && member ? MIN(client, member) : client ? client : member;
}

static int add_timeout(struct balancing *balancing, const struct balancer *balancer, uint32_t number, uint32_t timeout_ms)
{
    struct service_key key = SERVICE_LISTENER_KEY(number);
    struct service_value value = {.port = key.port, .listener = number, .limit = timeout_ms, .balancer = compile_object_number(&balancer->model->object)};

    return timeout_ms ? rows_add(&balancing->desired->tables[TABLE_SERVICES], &key, &value) : 0;
}

static int find_shares(struct balancing *balancing)
{
    const struct snapshot *snapshot = balancing->snapshot;

    balancing->share_array = calloc(snapshot->n_listener_shares + 1, sizeof(*balancing->share_array));
    if (!balancing->share_array)
        return -ENOMEM;
    for (size_t i = 0; i < snapshot->n_listener_shares; i++) {
        const struct listener_share *share = snapshot->listener_shares[i];
        struct share_entry *entry = &balancing->share_array[i];

        entry->share = share->share;
        if (share->host && streq(share->host, snapshot->host_name) &&
            hashmap_insert(&balancing->shares, &entry->by_listener, share->listener_id, strlen(share->listener_id)) == -ENOMEM)
            return -ENOMEM;
    }
    return 0;
}

/* Of the listener's limit what this host was given. */
static void set_limit(const struct balancing *balancing, const struct listener *model, struct service_value *value)
{
    const struct hashmap_node *node = hashmap_find(&balancing->shares, model->object.id, strlen(model->object.id));

    if (model->connection_limit <= 0)
        return;
    value->limit = node ? CONTAINER_OF(node, struct share_entry, by_listener)->share : 0;
    value->flags |= value->limit ? 0 : SERVICE_FULL;
}

static int add_listener(struct balancing *balancing, const struct compile_listener *listener)
{
    const struct listener *model = listener->listener;
    const struct balancer *balancer = FIND(&balancing->balancers, struct balancer, model->load_balancer_id);
    const struct pool_entry *pool = FIND(&balancing->pools, struct pool_entry, model->default_pool_id);

    if (!balancer || !balancer->port || !balancer->network || !listener->number)
        return 0;
    if (add_timeout(balancing, balancer, listener->number, timeout_of(model)) < 0)
        return -ENOMEM;
    for (size_t i = 0; i <= balancer->model->n_additional_vips; i++) {
        const struct load_balancer *vips = balancer->model;
        const struct ip_address *address = i ? &vips->additional_vips[i - 1].address : &vips->vip_address;
        struct service_value value = {
            .flags = (uint8_t)((model->object.admin_state_up && vips->object.admin_state_up ? SERVICE_UP : 0) | (model->n_allowed_cidrs ? SERVICE_RESTRICTED : 0) |
                               (timeout_of(model) ? SERVICE_IDLES : 0)),
            .listener = listener->number,
        };

        set_limit(balancing, model, &value);
        if (pool)
            set_pool(&value, pool, &vips->vip_address, ip_is_v4(address));
        if (add_service(balancing, balancer, address, balance_protocol_number(model->protocol), model->protocol_port, &value) < 0)
            return -ENOMEM;
    }
    return add_sources(balancing, listener);
}

/* ---- together ------------------------------------------------------------------------------------------------------------------------------- */

static int compile_all(struct balancing *balancing)
{
    const struct snapshot *snapshot = balancing->snapshot;

    balancing->balancer_array = calloc(snapshot->n_load_balancers + 1, sizeof(*balancing->balancer_array));
    balancing->pool_array = calloc(snapshot->n_pools + 1, sizeof(*balancing->pool_array));
    balancing->member_array = calloc(snapshot->n_members + 1, sizeof(*balancing->member_array));
    if (!balancing->balancer_array || !balancing->pool_array || !balancing->member_array || find_balancers(balancing) < 0 || find_pools(balancing) < 0)
        return -ENOMEM;
    if (snapshot->n_members && (find_addresses(balancing) < 0 || find_states(balancing) < 0 || add_members(balancing) < 0))
        return -ENOMEM;
    if ((snapshot->n_pools && add_pools(balancing) < 0) || find_shares(balancing) < 0)
        return -ENOMEM;
    for (size_t i = 0; i < snapshot->n_load_balancers; i++)
        if (balancing->balancer_array[i].port && balancing->balancer_array[i].network && add_balancer(balancing, &balancing->balancer_array[i]) < 0)
            return -ENOMEM;
    for (size_t i = 0; i < snapshot->n_listeners; i++)
        if (add_listener(balancing, &snapshot->listeners[i]) < 0)
            return -ENOMEM;
    return 0;
}

int compile_balancing(struct compile_index *index, struct desired *desired)
{
    struct balancing balancing = {.snapshot = index->snapshot, .index = index, .desired = desired};
    int result = index->snapshot->n_load_balancers ? compile_all(&balancing) : 0;

    hashmap_clear(&balancing.balancers);
    hashmap_clear(&balancing.pools);
    hashmap_clear(&balancing.members);
    hashmap_clear(&balancing.states);
    hashmap_clear(&balancing.addresses);
    hashmap_clear(&balancing.shares);
    for (size_t i = 0; balancing.balancer_array && i < index->snapshot->n_load_balancers; i++)
        free(balancing.balancer_array[i].behind);
    free(balancing.balancer_array);
    free(balancing.pool_array);
    free(balancing.member_array);
    free(balancing.state_array);
    free(balancing.address_array);
    free(balancing.share_array);
    free(balancing.numbers);
    free(balancing.is_member);
    free(balancing.serve);
    return result;
}
