/* Which of several controllers a switch obeys (1.3.5, 6.3.6; for 1.0 Open vSwitch's extension).
 *
 * As equal nothing is asked for: that is how a connection begins.  As master the generation is one more than the switch's last, which it tells when it
 * refuses a stale one or is asked without a change.  As slave, a 1.3 switch is asked to send packets up all the same, so that a controller that
 * stands by knows links and hosts when it takes over. */
#include "weft/fabric/state.h"

#define OFPET_ROLE_REQUEST_FAILED 11
#define OFPRRFC_STALE 0
#define OFPET_BAD_REQUEST 1
#define OFPBRC_IS_SLAVE 10
#define ALL_PACKET_INS 0x7
#define ALL_PORT_STATUS 0x7
#define ALL_FLOW_REMOVED 0xf

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

bool role_error(struct fabric *fabric, struct datapath *datapath, const struct of_error *error)
{
    bool is_role = datapath->version != OF10 && error->type == OFPET_ROLE_REQUEST_FAILED;
    bool is_slave = datapath->version != OF10 && error->type == OFPET_BAD_REQUEST && error->code == OFPBRC_IS_SLAVE;

    if (!is_role && !is_slave)
        return false;
    fabric_tell(fabric, FABRIC_ROLE_REFUSED, "switch 0x%016llx: %s", (unsigned long long)datapath->id,
                is_slave ? "another controller is its master" : "the role was refused");
    if (is_role && error->code == OFPRRFC_STALE)
        send_role(fabric, datapath, OFPCR_NOCHANGE);
    return true;
}
