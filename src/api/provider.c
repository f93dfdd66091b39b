#include "weft/api/provider.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "weft/api/vnis.h"
#include "weft/base/util.h"
#include "weft/model/resources.h"

#define PHYSICAL_MTU 1500
#define VLAN_MAX 4094
#define SEGMENT_KEY_SIZE 320 /* A physical network's name is at most 64 characters of at most 4 bytes. */

#define FIELD_ID "provider:segmentation_id"
#define FIELD_NETWORK "provider:physical_network"
#define INVALID(field, ...) error_set_type(change->error, -EINVAL, "InvalidInput", field, __VA_ARGS__)

uint16_t provider_mtu(const struct change *change, const struct network *network)
{
    uint16_t carried = networking_max_mtu(change->networking);

    return network->network_type == NETWORK_TYPE_VXLAN ? carried : MIN(carried, PHYSICAL_MTU);
}

int provider_write_segmentation_id(const struct request *request, const struct object *object, struct buffer *buffer)
{
    const struct network *network = (const struct network *)object;

    switch (network->network_type) {
    case NETWORK_TYPE_VXLAN:
        return buffer_printf(buffer, "%u", network->vni);
    case NETWORK_TYPE_VLAN:
        return buffer_printf(buffer, "%u", network->vlan_id);
    default:
        return buffer_append_string(buffer, "null");
    }
}

/* ---- VNIs -------------------------------------------------------------------------------------------------------- */

static int choose_vni(struct change *change, struct network *network)
{
    int r = plan_choose_vni(change->plan, &network->vni);

    if (r == -ENOSPC)
        return error_set_type(change->error, -EBUSY, "NoNetworkAvailable", NULL,
                              "Unable to create the network. No tenant network is available for allocation.");
    return r;
}

static int take_vni(struct change *change, struct network *network)
{
    int r;

    if (!network->vni)
        return choose_vni(change, network);
    r = plan_reserve_vni(change->plan, network->vni);
    if (r == -EEXIST)
        return error_set_type(change->error, -EEXIST, "TunnelIdInUse", FIELD_ID,
                              "Unable to create the network. The tunnel ID %u is in use.", network->vni);
    if (r == -EBUSY)
        return error_set_type(change->error, -EEXIST, "TunnelIdInUse", FIELD_ID,
                              "The tunnel ID %u was in use until just now and hosts may still send under it; try again soon.",
                              network->vni);
    return r;
}

static int take_vxlan(struct change *change, struct network *network)
{
    const struct attribute *vni = attribute_find(network_schema.attributes, FIELD_ID);
    const json_t *id = change_value(change, FIELD_ID);
    int r = id ? attribute_decode(vni, id, network, DECODE_REQUEST, change->error) : 0;

    if (r == 0 && network->physical_network)
        return INVALID(FIELD_NETWORK, "'%s' was given for a vxlan network, which has none", network->physical_network);
    return r < 0 ? r : take_vni(change, network);
}

/* ---- physical networks ------------------------------------------------------------------------------------------- */

static const char *segment_key(const struct network *network, char key[SEGMENT_KEY_SIZE])
{
    if (network->network_type == NETWORK_TYPE_FLAT)
        snprintf(key, SEGMENT_KEY_SIZE, "segment/flat/%s", network->physical_network);
    else
        snprintf(key, SEGMENT_KEY_SIZE, "segment/vlan/%u/%s", network->vlan_id, network->physical_network);
    return key;
}

static bool is_taken(const struct change *change, const struct network *network)
{
    const struct replica *replica = request_api(change->request)->replica;
    char key[SEGMENT_KEY_SIZE];

    REPLICA_FOREACH (member, replica_find(replica, REPLICA_NETWORKS_BY_PHYSICAL_NETWORK, network->physical_network)) {
        const struct network *other = (const struct network *)member->object;

        if (other->network_type == network->network_type && other->vlan_id == network->vlan_id)
            return true;
    }
    return plan_claims(change->plan, segment_key(network, key));
}

/* There are no ranges of VLANs to choose from: which are ours on a physical network only its administrator knows. */
static int read_vlan(struct change *change, struct network *network)
{
    const json_t *id = change_value(change, FIELD_ID);
    uint64_t number;
    char brief[60];

    if (!id || json_is_null(id))
        return INVALID(FIELD_ID, "segmentation_id required for vlan provider network");
    if (json_is_string(id) ? parse_u64(json_string_value(id), 1, VLAN_MAX, &number) < 0
                           : !json_is_integer(id) || (number = (uint64_t)json_integer_value(id)) < 1 || number > VLAN_MAX)
        return INVALID(FIELD_ID, "'%s': segmentation_id out of range (1 through %d)", json_brief(id, brief, sizeof brief), VLAN_MAX);
    network->vlan_id = (uint16_t)number;
    return 0;
}

static int take_physical(struct change *change, struct network *network)
{
    bool is_flat = network->network_type == NETWORK_TYPE_FLAT;
    const json_t *id = change_value(change, FIELD_ID);
    char key[SEGMENT_KEY_SIZE], brief[60];
    int r;

    if (!network->physical_network)
        return INVALID(FIELD_NETWORK, "physical_network required for %s provider network", is_flat ? "flat" : "vlan");
    if (is_flat && id && !json_is_null(id))
        return INVALID(FIELD_ID, "'%s': segmentation_id prohibited for flat provider network", json_brief(id, brief, sizeof brief));
    if (!is_flat && (r = read_vlan(change, network)) < 0)
        return r;
    if (is_taken(change, network) && is_flat)
        return error_set_type(change->error, -EEXIST, "FlatNetworkInUse", FIELD_NETWORK,
                              "Unable to create the flat network. Physical network %s is in use.", network->physical_network);
    if (is_taken(change, network))
        return error_set_type(change->error, -EEXIST, "VlanIdInUse", FIELD_ID,
                              "Unable to create the network. The VLAN %u on physical network %s is in use.", network->vlan_id,
                              network->physical_network);
    plan_claim(change->plan, segment_key(network, key), network->object.id);
    return choose_vni(change, network);
}

int provider_take_segment(struct change *change, struct network *network)
{
    return network->network_type == NETWORK_TYPE_VXLAN ? take_vxlan(change, network) : take_physical(change, network);
}

void provider_leave_segment(struct plan *plan, const struct network *network)
{
    char vni[VNI_KEY_SIZE], segment[SEGMENT_KEY_SIZE];

    plan_put(plan, vni_quarantine_key(network->vni, vni), network->object.id);
    if (network->network_type != NETWORK_TYPE_VXLAN)
        plan_remove(plan, segment_key(network, segment));
}
