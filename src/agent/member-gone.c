/* See member-gone.h.
 *
 * What is looked through may be a million connections, and each that is found costs a frame and a call of a program: so this is done in steps, with the
 * loop's other work between them.  What a client says when it is woken costs its port's budget of packets to the agent, so no port is asked for more
 * than that at a time; the rest has its turn a second later. */
#include "weft/agent/member-gone.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "weft/agent/punt.h"
#include "weft/base/buffer.h"
#include "weft/base/util.h"
#include "weft/compiler/compiler.h"
#include "weft/dataplane/connections.h"
#include "weft/services/ip/reset.h"

#define STEP 256            /* Connections. */
#define ROUND_MS 1000
#define ROUNDS_MAX 60       /* Then who has not been heard is not there. */
#define PENDING_MAX 262144  /* Of one look at the table: the others are found by the next. */

struct members_gone {
    struct agent *agent;
    uint64_t up[SERVICE_MEMBERS_MAX];    /* By number: the name of who is up, which is not 0; 0: nobody. */
    uint64_t now[SERVICE_MEMBERS_MAX];   /* Scratch. */
    size_t n_up;
    uint8_t is_gone[SERVICE_MEMBERS_MAX / 8];
    bool has_begun;
    unsigned round;
    uv_timer_t timer;
    struct buffer pending;               /* struct connection: found, and not done yet. */
    size_t done;                         /* Bytes of it. */
    uint8_t *woken;                      /* By port slot, in this round. */
    uint64_t n_told;
};

static bool is_gone(const struct members_gone *gone, uint32_t number, uint32_t name)
{
    bool is_there = gone->up[number] && (uint32_t)gone->up[number] == name; /* Again; or the number is another's now. */

    return gone->is_gone[number / 8] >> number % 8 & 1 && !is_there;
}

static void set_gone(struct members_gone *gone, uint32_t number, bool is)
{
    uint8_t bit = (uint8_t)(1u << number % 8);

    gone->is_gone[number / 8] = (uint8_t)(is ? gone->is_gone[number / 8] | bit : gone->is_gone[number / 8] & ~bit);
}

/* ---- one connection -------------------------------------------------------------------------------------------------------------------- */

/* Does the data plane follow the port's sequence numbers? */
static bool is_followed(const struct agent *agent, uint32_t slot)
{
    const void *row = rows_find(&agent->desired.tables[TABLE_PORTS], &slot);
    struct port_config config;

    if (!row)
        return false;
    memcpy(&config, row, sizeof(config));
    return config.flags & PORT_POLICY;
}

static void tell(struct members_gone *gone, const struct connection *connection)
{
    struct agent *agent = gone->agent;
    const struct agent_port *port = agent_find_slot(agent, connection->slot);
    const struct port *model = port && port->attached ? agent_model_port(agent, port) : NULL;
    struct tcp_ends ends = {.source_mac = connection->remote_mac, .source_port = ntohs(connection->remote_port), .destination_port = ntohs(connection->local_port)};
    uint8_t frame[TCP_RESET_MAX];

    if (!model)
        return;
    ends.destination_mac = model->mac;
    memcpy(ends.source.bytes, connection->remote, sizeof(ends.source.bytes));
    memcpy(ends.destination.bytes, connection->local, sizeof(ends.destination.bytes));
    if (is_followed(agent, connection->slot) && connection->remote_sequence) {
        punt_send(agent->punt, port->attached, port->id, frame, tcp_reset_frame(&ends, connection->remote_sequence, frame, sizeof(frame)));
        maps_end_connection(agent->maps, &connection->key);
    } else {
        if (gone->woken[connection->slot] >= PORT_PUNT_RATE)
            return;
        gone->woken[connection->slot]++;
        punt_send(agent->punt, port->attached, port->id, frame, tcp_wake_frame(&ends, frame, sizeof(frame)));
    }
    gone->n_told++;
}

/* ---- all of them ----------------------------------------------------------------------------------------------------------------------- */

static int find(const struct connection *connection, void *context)
{
    struct members_gone *gone = context;

    if (connection->protocol != IPPROTO_TCP || !connection->member || connection->member >= SERVICE_MEMBERS_MAX || !is_gone(gone, connection->member, connection->member_name) ||
        connection->slot >= maps_sizes(gone->agent->maps).n_ports)
        return 0;
    return buffer_append(&gone->pending, connection, sizeof(*connection)) < 0 || gone->pending.size >= PENDING_MAX * sizeof(*connection);
}

static void end_round(struct members_gone *gone)
{
    memset(gone->is_gone, 0, sizeof(gone->is_gone));
    gone->round = 0;
}

static void timer_fired(uv_timer_t *timer)
{
    struct members_gone *gone = timer->data;

    if (gone->done == gone->pending.size) {
        buffer_clear(&gone->pending);
        gone->done = 0;
        memset(gone->woken, 0, maps_sizes(gone->agent->maps).n_ports);
        maps_visit_connections(gone->agent->maps, 0, find, gone);
        if (!gone->pending.size || gone->round++ == ROUNDS_MAX) {
            buffer_clear(&gone->pending);
            end_round(gone);
            return;
        }
    }
    for (int i = 0; i < STEP && gone->done < gone->pending.size; i++, gone->done += sizeof(struct connection)) {
        struct connection connection;

        memcpy(&connection, gone->pending.data + gone->done, sizeof(connection));
        if (is_gone(gone, connection.member, connection.member_name))
            tell(gone, &connection);
    }
    uv_timer_start(timer, timer_fired, gone->done == gone->pending.size ? ROUND_MS : 1, 0);
}

static void begin(struct members_gone *gone)
{
    gone->round = 0;
    if (!uv_is_active((uv_handle_t *)&gone->timer)) {
        uv_update_time(&gone->agent->loop);
        uv_timer_start(&gone->timer, timer_fired, 0, 0);
    } else if (gone->done == gone->pending.size) {
        uv_timer_start(&gone->timer, timer_fired, MIN(uv_timer_get_due_in(&gone->timer), (uint64_t)ROUND_MS / 10), 0);
    }
}

static void look_up(const struct rows *rows, uint64_t up[SERVICE_MEMBERS_MAX])
{
    memset(up, 0, SERVICE_MEMBERS_MAX * sizeof(*up));
    for (size_t i = 0; i < rows->n; i++) {
        struct service_member member;

        memcpy(&member, rows_value(rows, i), sizeof(member));
        if (member.number < SERVICE_MEMBERS_MAX && member.flags & SERVICE_MEMBER_UP)
            up[member.number] = 1ull << 63 | (uint64_t)member.name.second << 32 | member.name.first;
    }
}

/* Of an earlier run's connections nobody knows who was up, so the first time all members that are not are gone. */
void member_gone_update(struct agent *agent)
{
    struct members_gone *gone = agent->members_gone;
    const struct rows *rows = &maps_actual(agent->maps)->tables[TABLE_SERVICE_MEMBERS];
    bool is_any_new = false;

    if (gone->has_begun ? !rows->n && !gone->n_up : !agent->replica.synced)
        return;
    look_up(rows, gone->now);
    gone->n_up = 0;
    for (uint32_t number = 0; number < SERVICE_MEMBERS_MAX; number++) {
        bool has_gone = gone->has_begun ? gone->up[number] && gone->now[number] != gone->up[number] : !gone->now[number];

        if (has_gone || gone->now[number])
            set_gone(gone, number, has_gone);
        is_any_new |= has_gone;
        gone->up[number] = gone->now[number];
        gone->n_up += gone->up[number] != 0;
    }
    gone->has_begun = true;
    if (is_any_new)
        begin(gone);
}

uint64_t member_gone_count(const struct agent *agent)
{
    return agent->members_gone->n_told;
}

int member_gone_start(struct agent *agent, struct error *error)
{
    struct members_gone *gone = calloc(1, sizeof(*gone));

    if (gone)
        gone->woken = calloc(maps_sizes(agent->maps).n_ports, sizeof(*gone->woken));
    if (!gone || !gone->woken) {
        free(gone);
        return error_set(error, -ENOMEM, NULL, "out of memory");
    }
    gone->agent = agent;
    uv_timer_init(&agent->loop, &gone->timer);
    gone->timer.data = gone;
    agent->members_gone = gone;
    return 0;
}

void member_gone_stop(struct agent *agent)
{
    if (agent->members_gone)
        uv_close((uv_handle_t *)&agent->members_gone->timer, NULL);
}

void member_gone_free(struct agent *agent)
{
    if (!agent->members_gone)
        return;
    buffer_clear(&agent->members_gone->pending);
    free(agent->members_gone->woken);
    free(agent->members_gone);
}
