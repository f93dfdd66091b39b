/* What hosts have no room for (docs/agent-protocol.md, left_out): of each object, how many hosts leave it out.  In memory: an agent says it again to a server that it
 * comes to. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "weft/api/hosts-state.h"
#include "weft/base/util.h"

struct entry {
    struct hashmap_node by_id;
    char id[UUID_TEXT_SIZE];
    size_t n_hosts;
};

static struct entry *find(const struct hosts *hosts, const char *id)
{
    struct hashmap_node *node = hashmap_find(&hosts->left_out, id, strlen(id));

    return node ? CONTAINER_OF(node, struct entry, by_id) : NULL;
}

bool hosts_leave_out(const struct hosts *hosts, const char *id)
{
    return find(hosts, id) != NULL;
}

int left_out_check(const json_t *list, struct error *error)
{
    size_t i;
    json_t *id;

    if (!json_is_array(list) || json_array_size(list) > LEFT_OUT_MAX)
        return error_set(error, -EINVAL, "left_out", "a list of at most %d ids is required", LEFT_OUT_MAX);
    json_array_foreach (list, i, id)
        if (!json_is_string(id) || !uuid_is_valid(json_string_value(id)))
            return error_set(error, -EINVAL, "left_out", "'%.100s' is not an id", json_is_string(id) ? json_string_value(id) : "");
    return 0;
}

static bool concerns(const struct hosts *hosts, const struct agent *agent, const char *id)
{
    static const enum resource_kind kinds[] = {RESOURCE_NETWORK, RESOURCE_ROUTER, RESOURCE_FLOATING_IP, RESOURCE_FIREWALL_GROUP, RESOURCE_LOAD_BALANCER};

    for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
        const struct object *object = replica_get(hosts->api->replica, kinds[i], id);

        if (object)
            return watch_concerns(agent, object);
    }
    return false;
}

json_t *left_out_of(const struct hosts *hosts, const struct agent *agent, const json_t *list)
{
    json_t *kept = json_array(), *id;
    size_t i;

    json_array_foreach (list, i, id)
        if (kept && concerns(hosts, agent, json_string_value(id)) && json_array_append(kept, id) < 0) {
            json_decref(kept);
            kept = NULL;
        }
    return kept;
}

static int add(struct hosts *hosts, const char *id)
{
    struct entry *entry = find(hosts, id);

    if (!entry) {
        entry = calloc(1, sizeof(*entry));
        if (!entry)
            return -ENOMEM;
        string_copy(entry->id, sizeof(entry->id), id);
        if (hashmap_insert(&hosts->left_out, &entry->by_id, entry->id, strlen(entry->id)) < 0) {
            free(entry);
            return -ENOMEM;
        }
    }
    entry->n_hosts++;
    return 0;
}

static void take_back(struct hosts *hosts, const struct left_out_ids *ids)
{
    for (size_t i = 0; i < ids->n && !ids->is_silent; i++) {
        struct entry *entry = find(hosts, ids->ids[i]);

        if (!entry || --entry->n_hosts)
            continue;
        hashmap_remove(&hosts->left_out, &entry->by_id);
        free(entry);
    }
}

static int add_all(struct hosts *hosts, const struct left_out_ids *ids)
{
    struct left_out_ids added = {.ids = ids->ids};

    for (; added.n < ids->n; added.n++)
        if (add(hosts, ids->ids[added.n]) < 0) {
            take_back(hosts, &added);
            return -ENOMEM;
        }
    return 0;
}

/* The new ones are added before the old ones go, so that nothing seems to be there in between. */
int left_out_take(struct hosts *hosts, struct agent *agent, const json_t *list)
{
    size_t n = json_array_size(list);
    struct left_out_ids ids = {.ids = calloc(n + 1, sizeof(*ids.ids)), .n = n};

    if (!ids.ids)
        return -ENOMEM;
    for (size_t i = 0; i < n; i++)
        string_copy(ids.ids[i], sizeof(ids.ids[i]), json_string_value(json_array_get(list, i)));
    if (add_all(hosts, &ids) < 0) {
        free(ids.ids);
        return -ENOMEM;
    }
    left_out_forget(hosts, agent);
    agent->left_out = ids;
    return 0;
}

void left_out_silence(struct hosts *hosts, struct agent *agent)
{
    take_back(hosts, &agent->left_out);
    agent->left_out.is_silent = true;
}

void left_out_hear(struct hosts *hosts, struct agent *agent)
{
    if (agent->left_out.is_silent && add_all(hosts, &agent->left_out) == 0) /* Else with the next report. */
        agent->left_out.is_silent = false;
}

void left_out_forget(struct hosts *hosts, struct agent *agent)
{
    take_back(hosts, &agent->left_out);
    free(agent->left_out.ids);
    agent->left_out = (struct left_out_ids){0};
}
