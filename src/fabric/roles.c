/* Which of several controllers a switch obeys (1.3.5, 6.3.6; for 1.0 Open vSwitch's extension).
 *
 * As equal nothing is asked for: that is how a connection begins.  As master the generation is one more than the switch's last, which it tells when it
 * refuses a stale one or is asked without a change.  As slave, a 1.3 switch is asked to send packets up all the same, so that a controller that
 * stands by knows links and hosts when it takes over.
 *
 * A switch that refuses us as a slave when we are none obeyed another controller meanwhile: one that took over while we were thought dead, and stands by
 * again since it heard of us.  So the role is asked for again.  Whether there is another master at all is the election's to say; where two were told to
 * be master they take each switch from each other, less and less often. */
#include "weft/base/util.h"
#include "weft/fabric/state.h"

#define OFPET_ROLE_REQUEST_FAILED 11
#define OFPRRFC_STALE 0
#define OFPET_BAD_REQUEST 1
#define OFPBRC_EPERM 5     /* What Open vSwitch says to a slave in 1.0, which has no word for it. */
#define OFPBRC_IS_SLAVE 10
#define ALL_PACKET_INS 0x7
#define ALL_PORT_STATUS 0x7
#define ALL_FLOW_REMOVED 0xf

#define ASK_AGAIN_MS 2000      /* At least, after the role was lost and asked for; then twice that, */
#define ASK_AGAIN_MAX_MS 32000 /* up to this, */
#define ROLE_HELD_MS 60000     /* until it was not lost for so long. */

static const uint32_t wire_roles[] = {[FABRIC_EQUAL] = OFPCR_EQUAL, [FABRIC_MASTER] = OFPCR_MASTER, [FABRIC_SLAVE] = OFPCR_SLAVE};

static void confirm(struct fabric *fabric, struct datapath *datapath)
{
    datapath->role = fabric->role;
    datapath->is_role_known = true;
    if (fabric_is_active(fabric))
        datapath_start(fabric, datapath);
}

static void send_role(struct fabric *fabric, struct datapath *datapath, uint32_t role)
{
    struct of_message message = {.kind = OF_ROLE_REQUEST, .role = {role, datapath->generation_id}};

    datapath_send(fabric, datapath, &message);
}

static void ask_for_packets(struct fabric *fabric, struct datapath *datapath)
{
    struct of_message message = {.kind = OF_SET_ASYNC};

    for (int i = 0; i < 2; i++) {
        message.async.packet_in[i] = ALL_PACKET_INS;
        message.async.port_status[i] = ALL_PORT_STATUS;
        message.async.flow_removed[i] = ALL_FLOW_REMOVED;
    }
    datapath_send(fabric, datapath, &message);
}

void role_ask(struct fabric *fabric, struct datapath *datapath)
{
    datapath->is_role_known = false;
    if (fabric->role == FABRIC_EQUAL && datapath->role == FABRIC_EQUAL) {
        confirm(fabric, datapath);
        return;
    }
    if (datapath->version != OF10) {
        ask_for_packets(fabric, datapath);
        send_role(fabric, datapath, OFPCR_NOCHANGE); /* Tells the generation. */
    } else {
        send_role(fabric, datapath, wire_roles[fabric->role]);
    }
}

void roles_changed(struct fabric *fabric, enum fabric_role before)
{
    /* Another controller moves flows from now on, and what is known of them here becomes wrong: it would be written over what that one did, when it is
     * this one's turn again.  Then the switches are asked what there is (reconcile.c). */
    if (before != FABRIC_SLAVE && !fabric_is_active(fabric)) {
        RING_FOREACH(element, &fabric->flows_by_age)
            flow_remove(fabric, CONTAINER_OF(element, struct flow, of_age), false);
        reconcile_clear(fabric);
        fabric->n_found = 0;
    }
    HASHMAP_FOREACH(node, &fabric->datapaths) {
        struct datapath *datapath = CONTAINER_OF(node, struct datapath, by_id);

        if (!fabric_is_active(fabric))
            reconcile_forget(datapath);
        if (datapath->channel)
            role_ask(fabric, datapath);
    }
}

void role_reply(struct fabric *fabric, struct datapath *datapath, const struct of_role *role)
{
    if (role->role == wire_roles[fabric->role]) {
        if (!datapath->is_role_known)
            confirm(fabric, datapath);
        return;
    }
    if (datapath->version == OF10 || datapath->is_role_known)
        return;
    /* The answer to the question: now ask for the role itself.  "No generation yet" is all ones. */
    datapath->generation_id = role->generation_id == UINT64_MAX ? 1 : role->generation_id + (fabric->role == FABRIC_MASTER);
    send_role(fabric, datapath, wire_roles[fabric->role]);
}

/* The switch takes us for a slave. */
static void regain(struct fabric *fabric, struct datapath *datapath)
{
    uint64_t since_ms = fabric->now_ms - datapath->role_lost_ms;

    datapath->role = FABRIC_SLAVE;
    datapath->is_role_known = false;
    if (since_ms < datapath->role_wait_ms)
        return; /* Asked for not long ago; what is sent meanwhile is refused, and brings us here again. */
    datapath->role_wait_ms = since_ms < ROLE_HELD_MS && datapath->role_wait_ms ? MIN(2 * datapath->role_wait_ms, (uint64_t)ASK_AGAIN_MAX_MS)
                                                                                : ASK_AGAIN_MS;
    datapath->role_lost_ms = fabric->now_ms;
    role_ask(fabric, datapath);
}

bool role_error(struct fabric *fabric, struct datapath *datapath, const struct of_error *error)
{
    bool is_role = datapath->version != OF10 && error->type == OFPET_ROLE_REQUEST_FAILED;
    bool is_slave = error->type == OFPET_BAD_REQUEST &&
                    (datapath->version != OF10 ? error->code == OFPBRC_IS_SLAVE : error->code == OFPBRC_EPERM && fabric->role != FABRIC_EQUAL);

    if (!is_role && !is_slave)
        return false;
    fabric_tell(fabric, FABRIC_ROLE_REFUSED, "switch 0x%016llx: %s", (unsigned long long)datapath->id,
                is_slave ? "another controller is its master" : "the role was refused");
    if (is_role && error->code == OFPRRFC_STALE)
        send_role(fabric, datapath, OFPCR_NOCHANGE);
    if (is_slave && fabric_is_active(fabric))
        regain(fabric, datapath);
    return true;
}
