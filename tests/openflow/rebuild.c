/* Lists made anew, element by element, and the message encoded with them; see describe.h. */
#include <stdlib.h>

#include "describe.h"

/* Longer than any list of a message; twice for a message with two. */
static uint8_t room[4][70000];

static struct of_bytes written(const struct writer *writer)
{
    return (struct of_bytes){writer->data, writer->size};
}

static void check(int result)
{
    if (result < 0)
        abort();
}

static struct of_bytes rebuild_actions(enum of_version version, struct of_bytes list, uint8_t *into)
{
    struct writer writer = writer_of(into, sizeof(room[0]));
    struct of_action action;
    int r;
    while ((r = of_action_next(version, &list, &action)) > 0)
        check(of_action_put(version, &writer, &action));
    check(r);
    return written(&writer);
}

static struct of_instructions rebuild_instructions(enum of_version version, const struct of_instructions *instructions)
{
    struct of_instructions ret = *instructions;
    ret.apply_actions = rebuild_actions(version, instructions->apply_actions, room[0]);
    ret.write_actions = rebuild_actions(version, instructions->write_actions, room[1]);
    return ret;
}

static struct of_bytes rebuild_buckets(enum of_version version, struct of_bytes list, uint8_t *into)
{
    struct writer writer = writer_of(into, sizeof(room[0]));
    struct of_bucket bucket;
    int r;
    while ((r = of_bucket_next(version, &list, &bucket)) > 0) {
        bucket.actions = rebuild_actions(version, bucket.actions, room[0]);
        check(of_bucket_put(version, &writer, &bucket));
    }
    check(r);
    return written(&writer);
}

static struct of_bytes rebuild_ports(enum of_version version, struct of_bytes list)
{
    struct writer writer = writer_of(room[2], sizeof(room[0]));
    struct of_port port;
    int r;
    while ((r = of_port_next(version, &list, &port)) > 0)
        check(of_port_put(version, &writer, &port));
    check(r);
    return written(&writer);
}

static void rebuild_elements(enum of_version version, uint16_t type, struct of_bytes list, struct writer *writer)
{
    union {
        struct of_flow_stats flow;
        struct of_port_stats port;
        struct of_table_stats table;
        struct of_group_desc desc;
        struct of_group_stats group;
    } one;
    int r = 0;
    if (type == OFMP_FLOW)
        while ((r = of_flow_stats_next(version, &list, &one.flow)) > 0) {
            one.flow.instructions = rebuild_instructions(version, &one.flow.instructions);
            check(of_flow_stats_put(version, writer, &one.flow));
        }
    else if (type == OFMP_PORT_STATS)
        while ((r = of_port_stats_next(version, &list, &one.port)) > 0)
            check(of_port_stats_put(version, writer, &one.port));
    else if (type == OFMP_TABLE)
        while ((r = of_table_stats_next(version, &list, &one.table)) > 0)
            check(of_table_stats_put(version, writer, &one.table));
    else if (type == OFMP_GROUP_DESC)
        while ((r = of_group_desc_next(version, &list, &one.desc)) > 0) {
            one.desc.buckets = rebuild_buckets(version, one.desc.buckets, room[1]);
            check(of_group_desc_put(version, writer, &one.desc));
        }
    else if (type == OFMP_GROUP)
        while ((r = of_group_stats_next(version, &list, &one.group)) > 0)
            check(of_group_stats_put(version, writer, &one.group));
    check(r);
}

static struct of_bytes rebuild_reply(enum of_version version, const struct of_multipart_reply *reply)
{
    struct writer writer = writer_of(room[3], sizeof(room[0]));
    struct of_desc desc;
    struct of_aggregate aggregate;
    switch (reply->type) {
    case OFMP_DESC:
        check(of_desc_get(reply->body, &desc));
        check(of_desc_put(&writer, &desc));
        return written(&writer);
    case OFMP_AGGREGATE:
        check(of_aggregate_get(reply->body, &aggregate));
        check(of_aggregate_put(&writer, &aggregate));
        return written(&writer);
    case OFMP_PORT_DESC:
        return rebuild_ports(version, reply->body);
    case OFMP_FLOW:
    case OFMP_PORT_STATS:
    case OFMP_TABLE:
    case OFMP_GROUP_DESC:
    case OFMP_GROUP:
        rebuild_elements(version, reply->type, reply->body, &writer);
        return written(&writer);
    default:
        return reply->body;
    }
}

int rebuild(enum of_version version, const struct of_message *message, struct buffer *buffer)
{
    struct of_message copy = *message;
    switch (message->kind) {
    case OF_PACKET_OUT:
        copy.packet_out.actions = rebuild_actions(version, message->packet_out.actions, room[0]);
        break;
    case OF_FLOW_MOD:
        copy.flow_mod.instructions = rebuild_instructions(version, &message->flow_mod.instructions);
        break;
    case OF_GROUP_MOD:
        copy.group_mod.buckets = rebuild_buckets(version, message->group_mod.buckets, room[1]);
        break;
    case OF_FEATURES_REPLY:
        copy.features.ports = rebuild_ports(version, message->features.ports);
        break;
    case OF_MULTIPART_REPLY:
        copy.multipart_reply.body = rebuild_reply(version, &message->multipart_reply);
        break;
    default:
        break;
    }
    return of_encode(version, &copy, buffer);
}
