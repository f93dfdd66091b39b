#include "world.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "weft/base/util.h"
#include "weft/fabric/entries.h"

#define QUEUE_MAX 4096

/* ---- switches say ---------------------------------------------------------------------------------------------------------- */

static uint64_t cpu_ns(void)
{
    struct timespec time;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

void switch_say(struct sim_switch *at, const struct of_message *message)
{
    struct buffer bytes = {0};
    struct of_message numbered = *message;
    uint64_t start;

    if (!at->channel)
        return;
    if (!numbered.xid)
        numbered.xid = 77;
    assert(of_encode(at->version, &numbered, &bytes) == 0);
    start = cpu_ns();
    fabric_receive(at->world->fabric, at->channel, bytes.data, bytes.size, at->world->now_ms);
    at->world->fabric_ns += cpu_ns() - start;
    buffer_clear(&bytes);
}

static void enqueue(struct world *world, struct sim_switch *at, uint32_t port, const uint8_t *bytes, size_t size)
{
    size_t place = (world->queue_first + world->n_queue) % QUEUE_MAX;

    assert(world->n_queue < QUEUE_MAX && size <= WORLD_FRAME);
    world->queue[place].at = at;
    world->queue[place].port = port;
    world->queue[place].size = size;
    memcpy(world->queue[place].bytes, bytes, size);
    world->n_queue++;
}

static void packet_in(struct sim_switch *at, uint32_t in_port, const uint8_t *bytes, size_t size)
{
    struct of_message message = {.kind = OF_PACKET_IN};

    message.packet_in = (struct of_packet_in){.buffer_id = OF_NO_BUFFER,
                                              .total_len = (uint16_t)size,
                                              .in_port = in_port,
                                              .match = {.fields = OFM_IN_PORT, .in_port = in_port},
                                              .data = {bytes, size}};
    switch_say(at, &message);
}

/* A host answers who asks for it. */
static void answer_arp(struct sim_host *host, const uint8_t *bytes, size_t size)
{
    uint8_t reply[42];

    if (size < sizeof(reply) || get_be16(bytes + 12) != ETHERTYPE_ARP || get_be16(bytes + 20) != 1 || memcmp(bytes + 38, host->ip.bytes + 12, 4) != 0)
        return;
    memcpy(reply, bytes + 6, 6);
    memcpy(reply + 6, host->mac.bytes, 6);
    memcpy(reply + 12, bytes + 12, 8);
    put_be16(reply + 20, 2);
    memcpy(reply + 22, host->mac.bytes, 6);
    memcpy(reply + 28, host->ip.bytes + 12, 4);
    memcpy(reply + 32, bytes + 22, 10);
    enqueue(host->at->world, host->at, host->port, reply, sizeof(reply));
}

static void output(struct sim_switch *at, uint32_t port, const uint8_t *bytes, size_t size)
{
    struct sim_port *p = port < WORLD_PORTS ? &at->ports[port] : NULL;

    if (!p || !p->exists || !p->is_up)
        return;
    p->sent++;
    if (p->peer && p->peer->ports[p->peer_port].is_up && !p->peer->ports[p->peer_port].is_deaf)
        enqueue(at->world, p->peer, p->peer_port, bytes, size);
    if (p->host)
        answer_arp(p->host, bytes, size);
    if (p->host && !(bytes[12] == 0x88 && bytes[13] == 0xcc)) {
        p->host->n_received++;
        p->host->n_broadcasts += bytes[0] & 1;
        memcpy(p->host->last, bytes, size);
        p->host->last_size = size;
    }
}

/* ---- matching ------------------------------------------------------------------------------------------------------------------ */

/* Its match, with the others that it keeps itself: entries are copied about. */
static const struct of_match *match_of(struct sim_entry *entry)
{
    entry->match.others.data = entry->match.others.size ? entry->others : NULL;
    return &entry->match;
}

static bool mac_matches(const struct mac_address *value, const struct mac_address *mask, const struct mac_address *mac)
{
    for (size_t i = 0; i < sizeof(mac->bytes); i++)
        if ((value->bytes[i] ^ mac->bytes[i]) & mask->bytes[i])
            return false;
    return true;
}

/* What ARP and ND say.  Of what struct of_match does not hold, the sender's MAC is known here. */
static bool neighbor_matches(const struct of_match *match, const struct fabric_frame *frame)
{
    uint32_t f = match->fields;

    if (f & (OFM_ARP_SPA | OFM_ND_TARGET | OFM_OTHER) && frame->neighbor == NEIGHBOR_NONE)
        return false;
    return (!(f & OFM_ARP_SPA) || ip_equal(&match->ip_src, &frame->sender)) &&
           (!(f & OFM_ND_TARGET) || ip_equal(&match->nd_target, frame->neighbor == NEIGHBOR_REQUEST ? &frame->target : &frame->sender)) &&
           (!(f & OFM_OTHER) || memcmp(match->others.data + 4, &frame->sender_mac, sizeof(frame->sender_mac)) == 0);
}

static bool matches(const struct of_match *match, uint32_t in_port, uint64_t metadata, const struct fabric_frame *frame)
{
    const struct flow_tuple *t = &frame->tuple;
    uint32_t f = match->fields;

    if ((f & OFM_METADATA && (metadata & match->metadata_mask) != match->metadata) || !neighbor_matches(match, frame))
        return false;
    return (!(f & OFM_IN_PORT) || match->in_port == in_port) && (!(f & OFM_ETH_DST) || mac_matches(&match->eth_dst, &match->eth_dst_mask, &t->destination_mac)) &&
           (!(f & OFM_ETH_SRC) || mac_equal(&match->eth_src, &t->source_mac)) && (!(f & OFM_ETH_TYPE) || match->eth_type == t->ethertype) &&
           (!(f & OFM_VLAN_VID) || match->vlan_vid == (frame->vlan == FRAME_NO_VLAN ? OF_NO_VLAN : frame->vlan)) &&
           (!(f & OFM_IP_PROTO) || match->ip_proto == t->protocol) && (!(f & OFM_IP_SRC) || ip_equal(&match->ip_src, &t->source)) &&
           (!(f & OFM_IP_DST) || ip_equal(&match->ip_dst, &t->destination)) && (!(f & OFM_TP_SRC) || match->tp_src == t->source_port) &&
           (!(f & OFM_TP_DST) || match->tp_dst == t->destination_port) && (!(f & OFM_ICMP_TYPE) || match->icmp_type == t->source_port >> 8) &&
           (!(f & OFM_ICMP_CODE) || match->icmp_code == (uint8_t)t->source_port);
}

static struct sim_entry *find_entry(struct sim_switch *at, uint8_t table, uint32_t in_port, uint64_t metadata, const struct fabric_frame *frame)
{
    struct sim_entry *best = NULL;

    for (size_t i = 0; i < at->n_entries; i++)
        if (at->entries[i].table == table && (!best || at->entries[i].priority > best->priority) &&
            matches(match_of(&at->entries[i]), in_port, metadata, frame))
            best = &at->entries[i];
    return best;
}

static bool is_live(const struct sim_switch *at, uint32_t port)
{
    return port < WORLD_PORTS && at->ports[port].exists && at->ports[port].is_up;
}

static void output_group(struct sim_switch *at, uint32_t in_port, uint32_t id, const struct fabric_frame *frame, const uint8_t *bytes, size_t size)
{
    uint32_t live[64];
    size_t n = 0;

    for (size_t i = 0; i < at->n_groups; i++)
        for (size_t k = 0; at->groups[i].id == id && k < at->groups[i].n; k++)
            if (is_live(at, at->groups[i].ports[k]) && !(at->groups[i].type == OFPGT_FF && n))
                live[n++] = at->groups[i].ports[k];
    n = n ? flow_hash(&frame->tuple, at->id, false) % n : 64;
    if (n < 64 && live[n] != in_port) /* Back where it came from: not without OFPP_IN_PORT. */
        output(at, live[n], bytes, size);
}

static void forward(struct sim_switch *at, uint32_t in_port, const uint8_t *bytes, size_t size)
{
    struct fabric_frame frame;
    uint64_t metadata = 0;
    uint8_t table = 0;

    at->world->n_hops++;
    if (at->is_frozen || at->ports[in_port].is_deaf || frame_classify(bytes, size, &frame) < 0)
        return;
    while (table != OF_NO_TABLE) {
        struct sim_entry *entry = find_entry(at, table, in_port, metadata, &frame);

        if (!entry && at->version == OF10)
            packet_in(at, in_port, bytes, size);
        if (!entry)
            return;
        entry->packets++;
        for (size_t i = 0; i < entry->n_out; i++) {
            if (entry->out_ports[i] == OFPP_CONTROLLER)
                packet_in(at, in_port, bytes, size);
            else if (entry->out_ports[i] != in_port)
                output(at, entry->out_ports[i], bytes, size);
        }
        if (entry->group)
            output_group(at, in_port, entry->group, &frame, bytes, size);
        metadata = (metadata & ~entry->metadata_mask) | (entry->metadata & entry->metadata_mask);
        table = entry->goto_table;
    }
}

/* ---- what the fabric says to a switch -------------------------------------------------------------------------------------------- */

static bool same_match(const struct of_match *a, const struct of_match *b)
{
    struct of_match x = *a, y = *b;

    x.others = y.others = (struct of_bytes){NULL, 0};
    return memcmp(&x, &y, sizeof(x)) == 0 && a->others.size == b->others.size &&
           (!a->others.size || memcmp(a->others.data, b->others.data, a->others.size) == 0);
}

static size_t outputs_of(enum of_version version, struct of_bytes list, uint32_t *ret)
{
    struct of_action action;
    size_t n = 0;

    while (of_action_next(version, &list, &action) == 1)
        if (action.kind == OFA_OUTPUT && n < 8)
            ret[n++] = action.port;
    return n;
}

static uint32_t group_of(enum of_version version, struct of_bytes list)
{
    struct of_action action;

    while (of_action_next(version, &list, &action) == 1)
        if (action.kind == OFA_GROUP)
            return action.id;
    return 0;
}

static void take_group_mod(struct sim_switch *at, const struct of_group_mod *mod)
{
    struct of_bytes list = mod->buckets;
    struct of_bucket bucket;
    size_t place = 0;

    while (place < at->n_groups && at->groups[place].id != mod->group_id)
        place++;
    /* As a switch would: what is there is not added, what is not is neither changed nor missed. */
    if (at->is_hostile && (mod->command == OFPGC_ADD) != (place == at->n_groups))
        return;
    assert((mod->command == OFPGC_ADD) == (place == at->n_groups));
    if (mod->command == OFPGC_DELETE) {
        at->groups[place] = at->groups[--at->n_groups];
        for (size_t i = at->n_entries; i-- > 0;)
            if (at->entries[i].group == mod->group_id)
                at->entries[i] = at->entries[--at->n_entries];
        return;
    }
    at->n_groups += place == at->n_groups;
    at->groups[place] = (struct sim_group){.id = mod->group_id, .type = mod->type};
    while (of_bucket_next(at->version, &list, &bucket) == 1)
        assert(outputs_of(at->version, bucket.actions, &at->groups[place].ports[at->groups[place].n++]) == 1);
}

static void answer_groups(struct sim_switch *at, struct of_message *reply, struct writer *body)
{
    for (size_t i = 0; i < at->n_groups; i++)
        assert(of_group_desc_put(at->version, body, &(struct of_group_desc){.type = at->groups[i].type, .group_id = at->groups[i].id}) == 0);
    reply->multipart_reply.body = (struct of_bytes){body->data, body->size};
}

static void tell_removed(struct sim_switch *at, struct sim_entry *entry, uint8_t reason)
{
    struct of_message message = {.kind = OF_FLOW_REMOVED};

    message.flow_removed = (struct of_flow_removed){.cookie = entry->cookie, .priority = entry->priority, .reason = reason, .match = *match_of(entry)};
    switch_say(at, &message);
}

struct sim_entry *switch_add_entry(struct sim_switch *at)
{
    if (at->n_entries == at->entries_capacity) {
        at->entries_capacity = MAX((size_t)16, 2 * at->entries_capacity);
        at->entries = realloc(at->entries, at->entries_capacity * sizeof(*at->entries));
        assert(at->entries);
    }
    at->entries[at->n_entries] = (struct sim_entry){.goto_table = OF_NO_TABLE};
    return &at->entries[at->n_entries++];
}

static void take_flow_mod(struct sim_switch *at, const struct of_flow_mod *mod)
{
    at->n_flow_mods++;
    if (mod->command == OFPFC_ADD) {
        struct sim_entry *entry = NULL;

        for (size_t i = 0; i < at->n_entries && !entry; i++)
            if (at->entries[i].table == mod->table_id && at->entries[i].priority == mod->priority && same_match(match_of(&at->entries[i]), &mod->match))
                entry = &at->entries[i];
        if (!entry)
            entry = switch_add_entry(at);
        *entry = (struct sim_entry){.match = mod->match, .priority = mod->priority, .cookie = mod->cookie,
                                    .sends_removed = mod->flags & OFPFF_SEND_FLOW_REM, .table = mod->table_id,
                                    .goto_table = mod->instructions.goto_table ? mod->instructions.goto_table : OF_NO_TABLE,
                                    .metadata = mod->instructions.metadata, .metadata_mask = mod->instructions.metadata_mask};
        assert(mod->match.others.size <= sizeof(entry->others));
        if (mod->match.others.size)
            memcpy(entry->others, mod->match.others.data, mod->match.others.size);
        entry->n_out = outputs_of(at->version, mod->instructions.apply_actions, entry->out_ports);
        entry->group = group_of(at->version, mod->instructions.apply_actions);
        return;
    }
    for (size_t i = at->n_entries; i-- > 0;) {
        struct sim_entry gone = at->entries[i];
        bool is_meant = mod->command == OFPFC_DELETE_STRICT ? gone.table == mod->table_id && gone.priority == mod->priority && same_match(match_of(&gone), &mod->match)
                                                            : !mod->match.fields && (gone.cookie & mod->cookie_mask) == (mod->cookie & mod->cookie_mask);

        if (!is_meant)
            continue;
        at->entries[i] = at->entries[--at->n_entries];
        if (gone.sends_removed)
            tell_removed(at, &gone, OFPRR_DELETE);
    }
}

static void take_packet_out(struct sim_switch *at, const struct of_packet_out *out)
{
    uint32_t ports[512];
    struct of_bytes list = out->actions;
    struct of_action action;
    size_t n = 0;

    while (of_action_next(at->version, &list, &action) == 1 && n < ARRAY_SIZE(ports))
        ports[n++] = action.port;
    for (size_t i = 0; i < n; i++)
        output(at, ports[i], out->data.data, out->data.size);
}

static void answer_ports(struct sim_switch *at, struct of_message *reply, uint8_t *room, size_t size)
{
    struct writer list = writer_of(room, size);

    for (uint32_t i = 1; i < WORLD_PORTS; i++)
        if (at->ports[i].exists) {
            struct of_port port = {.number = i, .mac = {{2, 0xff, (uint8_t)at->id, 0, 0, (uint8_t)i}}, .state = at->ports[i].is_up ? 0 : OFPPS_LINK_DOWN};

            snprintf(port.name, sizeof(port.name), "s%u-%u", (unsigned)at->id, i);
            assert(of_port_put(at->version, &list, &port) == 0);
        }
    if (reply->kind == OF_FEATURES_REPLY)
        reply->features.ports = (struct of_bytes){list.data, list.size};
    else
        reply->multipart_reply.body = (struct of_bytes){list.data, list.size};
}

static void answer_flows(struct sim_switch *at, uint32_t xid)
{
    static uint8_t room[60000];

    for (size_t i = 0; i <= at->n_entries;) {
        struct writer list = writer_of(room, sizeof(room));
        struct of_message reply = {.kind = OF_MULTIPART_REPLY, .xid = xid};

        for (; i < at->n_entries && list.size < 50000; i++) {
            uint8_t bytes[128];
            struct writer actions = writer_of(bytes, sizeof(bytes));
            struct of_flow_stats stats = {.table_id = at->entries[i].table, .priority = at->entries[i].priority, .cookie = at->entries[i].cookie, .match = *match_of(&at->entries[i]),
                                          .instructions = {.goto_table = OF_NO_TABLE}};

            for (size_t k = 0; k < at->entries[i].n_out; k++)
                of_action_put(at->version, &actions, &(struct of_action){.kind = OFA_OUTPUT, .port = at->entries[i].out_ports[k]});
            stats.instructions.apply_actions = (struct of_bytes){actions.data, actions.size};
            assert(of_flow_stats_put(at->version, &list, &stats) == 0);
        }
        reply.multipart_reply = (struct of_multipart_reply){OFMP_FLOW, i < at->n_entries ? OFMPF_MORE : 0, {list.data, list.size}};
        switch_say(at, &reply);
        if (i >= at->n_entries)
            return;
    }
}

static void answer_role(struct sim_switch *at, const struct of_message *request)
{
    struct of_message reply = {.kind = OF_ROLE_REPLY, .xid = request->xid};

    if (request->role.role != OFPCR_NOCHANGE)
        at->role = request->role.role;
    if (request->role.role == OFPCR_MASTER || request->role.role == OFPCR_SLAVE)
        at->generation_id = request->role.generation_id;
    reply.role = (struct of_role){at->role, at->generation_id};
    switch_say(at, &reply);
}

static void take(struct sim_switch *at, const struct of_message *message)
{
    static uint8_t room[60000];
    struct of_message reply = {.kind = OF_MULTIPART_REPLY, .xid = message->xid};
    struct writer body = writer_of(room, sizeof(room));

    switch (message->kind) {
    case OF_FEATURES_REQUEST:
        reply.kind = OF_FEATURES_REPLY;
        reply.features = (struct of_features){.datapath_id = at->id, .n_tables = 1};
        if (at->version == OF10)
            answer_ports(at, &reply, room, sizeof(room));
        switch_say(at, &reply);
        break;
    case OF_MULTIPART_REQUEST:
        reply.multipart_reply.type = message->multipart_request.type;
        if (message->multipart_request.type == OFMP_FLOW) {
            answer_flows(at, message->xid);
            break;
        }
        if (message->multipart_request.type == OFMP_PORT_DESC) {
            answer_ports(at, &reply, room, sizeof(room));
        } else if (message->multipart_request.type == OFMP_GROUP_DESC) {
            answer_groups(at, &reply, &body);
        } else if (message->multipart_request.type == OFMP_DESC) {
            of_desc_put(&body, &(struct of_desc){.manufacturer = "weft", .hardware = "simulated"});
            reply.multipart_reply.body = (struct of_bytes){body.data, body.size};
        }
        switch_say(at, &reply);
        break;
    case OF_BARRIER_REQUEST:
        reply.kind = OF_BARRIER_REPLY;
        switch_say(at, &reply);
        break;
    case OF_ECHO_REQUEST:
        reply.kind = OF_ECHO_REPLY;
        reply.echo = message->echo;
        switch_say(at, &reply);
        break;
    case OF_ROLE_REQUEST:
        answer_role(at, message);
        break;
    case OF_FLOW_MOD:
        take_flow_mod(at, &message->flow_mod);
        break;
    case OF_GROUP_MOD:
        take_group_mod(at, &message->group_mod);
        break;
    case OF_PACKET_OUT:
        take_packet_out(at, &message->packet_out);
        break;
    case OF_ERROR:
        at->n_errors++;
        break;
    default:
        break;
    }
}

/* Takes what the fabric said to this switch; returns whether there was anything. */
static bool listen(struct sim_switch *at)
{
    struct buffer *output_of_fabric;
    size_t taken = 0;

    if (!at->channel || at->is_frozen)
        return false;
    if (channel_is_closed(at->channel)) {
        world_disconnect(at);
        return true;
    }
    output_of_fabric = channel_output(at->channel);
    if (!output_of_fabric->size)
        return false;
    assert(buffer_append(&at->input, output_of_fabric->data, output_of_fabric->size) == 0);
    output_of_fabric->size = 0;
    while (at->channel) {
        int size = of_frame(at->input.data + taken, at->input.size - taken);
        struct of_message message;
        struct error error = {0};
        uint8_t *copy;

        assert(size >= 0);
        if (!size || (size_t)size > at->input.size - taken)
            break;
        copy = malloc((size_t)size);
        memcpy(copy, at->input.data + taken, (size_t)size);
        if (of_decode(at->version, copy, (size_t)size, &message, &error) < 0) {
            fprintf(stderr, "the fabric said what cannot be read: %s\n", error.message);
            abort();
        }
        taken += (size_t)size;
        take(at, &message);
        free(copy);
    }
    buffer_consume(&at->input, MIN(taken, at->input.size));
    return true;
}

/* ---- time ------------------------------------------------------------------------------------------------------------------------------ */

static void settle_messages(struct world *world)
{
    uint64_t before = world->n_hops;
    bool is_busy = true;

    while (is_busy) {
        is_busy = false;
        for (size_t i = 0; i < world->n_switches; i++)
            is_busy |= listen(world->switches[i]);
        if (world->n_queue) {
            size_t place = world->queue_first;
            uint8_t bytes[WORLD_FRAME];

            memcpy(bytes, world->queue[place].bytes, world->queue[place].size);
            world->queue_first = (place + 1) % QUEUE_MAX;
            world->n_queue--;
            forward(world->queue[place].at, world->queue[place].port, bytes, world->queue[place].size);
            is_busy = true;
        }
        assert(world->n_hops - before < 1000000); /* A loop. */
    }
}

void world_run(struct world *world, uint64_t ms)
{
    uint64_t end = world->now_ms + ms;

    settle_messages(world);
    while (world->now_ms < end) {
        world->now_ms = MIN(end, world->now_ms + FABRIC_TICK_MS);
        fabric_tick(world->fabric, world->now_ms);
        settle_messages(world);
    }
}

void world_settle(struct world *world)
{
    world_run(world, world->options.settle_ms + 2 * world->options.probe_ms + 200);
}

/* ---- building ---------------------------------------------------------------------------------------------------------------------------- */

static void count_event(enum fabric_event event, const char *text, void *context)
{
    struct world *world = context;

    world->n_events[event]++;
    if (getenv("WORLD_VERBOSE"))
        fprintf(stderr, "%8llu %s: %s\n", (unsigned long long)world->now_ms, fabric_event_info(event)->name, text);
}

static void take_path_line(const char *line, void *context)
{
    struct world *world = context;

    buffer_printf(&world->path_lines, "%s\n", line);
}

struct world *world_new(void (*change)(struct fabric_options *options))
{
    struct world *world = calloc(1, sizeof(*world));
    struct error error = {0};

    world->now_ms = 1000000;
    world->queue = calloc(QUEUE_MAX, sizeof(*world->queue));
    fabric_default_options(&world->options);
    world->options.event = count_event;
    world->options.path_line = take_path_line;
    world->options.context = world;
    world->options.hash_seed = 1;
    if (change)
        change(&world->options);
    assert(fabric_new(&world->options, world->now_ms, &world->fabric, &error) == 0);
    return world;
}

void world_free(struct world *world)
{
    for (size_t i = 0; i < world->n_switches; i++) {
        world_disconnect(world->switches[i]);
        buffer_clear(&world->switches[i]->input);
        free(world->switches[i]->entries);
        free(world->switches[i]);
    }
    for (size_t i = 0; i < world->n_hosts; i++)
        free(world->hosts[i]);
    fabric_free(world->fabric);
    buffer_clear(&world->path_lines);
    free(world->switches);
    free(world->hosts);
    free(world->queue);
    free(world);
}

void world_kill_controller(struct world *world)
{
    /* What it would say while it takes its connections apart reaches nobody. */
    for (size_t i = 0; i < world->n_switches; i++)
        world_disconnect(world->switches[i]);
    fabric_free(world->fabric);
    world->fabric = NULL;
}

void world_restart_controller(struct world *world)
{
    struct error error = {0};

    assert(fabric_new(&world->options, world->now_ms, &world->fabric, &error) == 0);
    world_connect_all(world);
}

struct sim_switch *world_switch(struct world *world, uint64_t id, enum of_version version)
{
    struct sim_switch *new = calloc(1, sizeof(*new));

    new->world = world;
    new->id = id;
    new->version = version;
    new->role = OFPCR_EQUAL;
    new->generation_id = UINT64_MAX;
    world->switches = realloc(world->switches, (world->n_switches + 1) * sizeof(*world->switches));
    world->switches[world->n_switches++] = new;
    return new;
}

void world_link(struct sim_switch *a, uint32_t a_port, struct sim_switch *b, uint32_t b_port)
{
    a->ports[a_port] = (struct sim_port){.exists = true, .is_up = true, .peer = b, .peer_port = b_port};
    b->ports[b_port] = (struct sim_port){.exists = true, .is_up = true, .peer = a, .peer_port = a_port};
}

struct sim_host *world_host(struct world *world, struct sim_switch *at, uint32_t port, const char *mac, const char *ip)
{
    struct sim_host *host = calloc(1, sizeof(*host));

    assert(mac_parse(mac, &host->mac) == 0 && ip_parse(ip, &host->ip) == 0);
    host->at = at;
    host->port = port;
    at->ports[port] = (struct sim_port){.exists = true, .is_up = true, .host = host};
    world->hosts = realloc(world->hosts, (world->n_hosts + 1) * sizeof(*world->hosts));
    world->hosts[world->n_hosts++] = host;
    return host;
}

void world_move_host(struct sim_host *host, struct sim_switch *at, uint32_t port)
{
    host->at->ports[host->port].host = NULL;
    host->at = at;
    host->port = port;
    at->ports[port].host = host;
}

void world_connect(struct sim_switch *at)
{
    struct world *world = at->world;
    struct buffer bytes = {0};
    struct of_message hello = {.kind = OF_HELLO, .xid = 1, .hello = {.versions = 1u << at->version}};

    assert(fabric_connect(world->fabric, "test", world->now_ms, &at->channel) == 0);
    at->input.size = 0;
    assert(of_encode(at->version, &hello, &bytes) == 0);
    fabric_receive(world->fabric, at->channel, bytes.data, bytes.size, world->now_ms);
    buffer_clear(&bytes);
    settle_messages(world);
}

void world_connect_all(struct world *world)
{
    for (size_t i = 0; i < world->n_switches; i++)
        world_connect(world->switches[i]);
}

void world_disconnect(struct sim_switch *at)
{
    if (!at->channel)
        return;
    fabric_disconnect(at->world->fabric, at->channel, at->world->now_ms);
    at->channel = NULL;
}

static void set_port(struct sim_switch *at, uint32_t port, bool is_up)
{
    struct of_message status = {.kind = OF_PORT_STATUS};

    at->ports[port].is_up = is_up;
    status.port_status = (struct of_port_status){OFPPR_MODIFY, {.number = port, .mac = {{2, 0xff, (uint8_t)at->id, 0, 0, (uint8_t)port}},
                                                                .state = is_up ? 0 : OFPPS_LINK_DOWN}};
    switch_say(at, &status);
}

static void set_link(struct sim_switch *at, uint32_t port, bool is_up)
{
    struct sim_switch *peer = at->ports[port].peer;
    uint32_t peer_port = at->ports[port].peer_port;

    at->ports[port].is_up = is_up;
    if (peer)
        peer->ports[peer_port].is_up = is_up;
    set_port(at, port, is_up);
    if (peer)
        set_port(peer, peer_port, is_up);
    settle_messages(at->world);
}

void world_cut(struct sim_switch *at, uint32_t port)
{
    set_link(at, port, false);
}

void world_mend(struct sim_switch *at, uint32_t port)
{
    set_link(at, port, true);
}

/* ---- hosts ------------------------------------------------------------------------------------------------------------------------------------ */

void host_send(struct sim_host *host, const uint8_t *bytes, size_t size)
{
    enqueue(host->at->world, host->at, host->port, bytes, size);
    settle_messages(host->at->world);
}

void host_send_ports(struct sim_host *from, const struct sim_host *to, uint8_t protocol, uint16_t source_port, uint16_t destination_port)
{
    bool is_v4 = ip_is_v4(&from->ip);
    uint8_t frame[128];
    struct writer writer = writer_of(frame, sizeof(frame));

    writer_bytes(&writer, to->mac.bytes, 6);
    writer_bytes(&writer, from->mac.bytes, 6);
    writer_u16(&writer, is_v4 ? ETHERTYPE_IPV4 : ETHERTYPE_IPV6);
    if (is_v4) {
        const uint8_t header[12] = {0x45, 0, 0, 32, 0, 0, 0, 0, 64, protocol, 0, 0};

        writer_bytes(&writer, header, sizeof(header));
        writer_bytes(&writer, from->ip.bytes + 12, 4);
        writer_bytes(&writer, to->ip.bytes + 12, 4);
    } else {
        const uint8_t header[8] = {0x60, 0, 0, 0, 0, 12, protocol, 64};

        writer_bytes(&writer, header, sizeof(header));
        writer_bytes(&writer, from->ip.bytes, 16);
        writer_bytes(&writer, to->ip.bytes, 16);
    }
    writer_u16(&writer, source_port);
    writer_u16(&writer, destination_port);
    writer_u32(&writer, 12u << 16);
    writer_u32(&writer, 0x77656674);
    host_send(from, frame, writer.size);
}

void host_send_udp(struct sim_host *from, const struct sim_host *to, uint16_t source_port, uint16_t destination_port)
{
    host_send_ports(from, to, 17, source_port, destination_port);
}

void host_ask_as(struct sim_host *from, const struct mac_address *to, const struct ip_address *target, const struct mac_address *sender_mac,
                 const struct ip_address *sender)
{
    static const uint8_t head[] = {0x08, 0x06, 0, 1, 0x08, 0, 6, 4, 0, 1};
    uint8_t frame[64];
    struct writer writer = writer_of(frame, sizeof(frame));

    writer_bytes(&writer, to->bytes, 6);
    writer_bytes(&writer, from->mac.bytes, 6);
    writer_bytes(&writer, head, sizeof(head));
    writer_bytes(&writer, sender_mac->bytes, 6);
    writer_bytes(&writer, sender->bytes + 12, 4);
    writer_bytes(&writer, (uint8_t[6]){0}, 6);
    writer_bytes(&writer, target->bytes + 12, 4);
    host_send(from, frame, writer.size);
}

void host_send_arp(struct sim_host *from, const struct ip_address *target)
{
    static const struct mac_address all = {{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}};

    host_ask_as(from, &all, target, &from->mac, &from->ip);
}

size_t switch_n_flow_entries(const struct sim_switch *at)
{
    size_t n = 0;

    for (size_t i = 0; i < at->n_entries; i++)
        n += entry_kind_of(at->entries[i].cookie) == ENTRY_INGRESS || entry_kind_of(at->entries[i].cookie) == ENTRY_TRANSIT;
    return n;
}
