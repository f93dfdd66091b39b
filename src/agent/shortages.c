#include "weft/agent/shortages.h"

#include <string.h>

#include "weft/base/log.h"
#include "weft/base/util.h"
#include "weft/http/prometheus.h"

/* And what is left out of each. */
static const struct {
    enum desired_table table;
    const char *things;
} shared[] = {
    {TABLE_RULES, "rule sets, whose ports let nothing pass,"},
    {TABLE_FIREWALL_RULES, "rule sets, whose ports let nothing pass,"},
    {TABLE_MEMBERS, "groups' members"},
    {TABLE_MEMBER_PREFIXES, "groups' members"},
    {TABLE_FORWARDINGS, "port forwardings"},
    {TABLE_NETWORKS, "networks"},
    {TABLE_FLOOD, "networks"},
    {TABLE_SOURCES, "ports"},
    {TABLE_MOVABLE, "ports"},
    {TABLE_FDB, "ports, routers and load balancers"},
    {TABLE_NEIGHBORS, "ports, routers, floating IPs and load balancers"},
    {TABLE_ROUTES, "routers and load balancers"},
    {TABLE_NEXT_HOPS, "routers"},
    {TABLE_SNAT, "routers"},
    {TABLE_SNAT_OWNERS, "routers"},
    {TABLE_FLOATING, "floating IPs"},
    {TABLE_EXTERNAL, "floating IPs, routers and load balancers"},
    {TABLE_SERVICES, "load balancers"},
    {TABLE_SERVICE_SOURCES, "load balancers"},
    {TABLE_SERVICE_ROWS, "load balancers"},
    {TABLE_SERVICE_MEMBERS, "load balancers"},
    {TABLE_SERVICE_NAMES, "load balancers"},
    {TABLE_PROBE_TARGETS, "load balancers"},
};

static const struct {
    enum slot_kind slots;
    const char *things;
} numbered[N_NUMBER_SPACES] = {
    [NUMBERS_GROUPS] = {SLOT_GROUP, "security groups and address groups"},
    [NUMBERS_ROUTERS] = {SLOT_ROUTER, "routers"},
    [NUMBERS_ROUTER_PORTS] = {SLOT_ROUTER_PORT, "routers and load balancers"},
    [NUMBERS_LISTENERS] = {SLOT_LISTENER, "load balancers"},
    [NUMBERS_POOLS] = {SLOT_POOL, "load balancers"},
    [NUMBERS_MEMBERS] = {SLOT_MEMBER, "load balancers"},
};

enum slot_kind shortages_slots(enum number_space space)
{
    return numbered[space].slots;
}

uint32_t shortages_numbers(const struct agent *agent, enum number_space space)
{
    const struct slots *slots = &agent->local.slots[numbered[space].slots];

    return slots->limit - slots->first;
}

static const char *things_of(uint32_t table)
{
    if (table >= SHORTAGE_OF_NUMBERS)
        return numbered[table - SHORTAGE_OF_NUMBERS].things;
    for (size_t i = 0; i < ARRAY_SIZE(shared); i++)
        if (shared[i].table == table)
            return shared[i].things;
    return "objects";
}

void shortages_room(const struct agent *agent, struct snapshot *snapshot)
{
    for (size_t i = 0; i < ARRAY_SIZE(shared); i++)
        snapshot->room[shared[i].table] = maps_room(agent->maps, shared[i].table);
}

/* Once when it begins and once when it ends: the numbers may change with each update, and are metrics. */
static int say(const void *key, const void *old_value, const void *new_value, void *context)
{
    struct shortage_key of;
    struct shortage shortage;

    memcpy(&of, key, sizeof(of));
    if (old_value && new_value)
        return 0;
    if (!new_value) {
        log_info("table '%s': all of project %s has room again", shortage_table_name(of.table), of.project_id);
        return 0;
    }
    memcpy(&shortage, new_value, sizeof(shortage));
    if (shortage.n_wanted)
        log_warning("table '%s' has no room for all of project %s: it wants %u rows and may have %u, so %u of its %s are left out",
                    shortage_table_name(of.table), of.project_id, shortage.n_wanted, shortage.share, shortage.n_left_out, things_of(of.table));
    else
        log_warning("table '%s' has no room for what %u objects of project %s hang on, which are left out", shortage_table_name(of.table), shortage.n_left_out,
                    of.project_id);
    return 0;
}

void shortages_update(struct agent *agent)
{
    struct rows *said = &agent->shortages_said;

    rows_compare(said, &agent->desired.shortages, say, agent);
    rows_clear(said);
    if (rows_copy(&agent->desired.shortages, said) < 0)
        log_error("out of memory: shortages of room will be said again");
}

static bool is_known(const struct agent *agent)
{
    const struct rows *now = &agent->desired.left_out, *known = &agent->left_out_reported;

    return now->n == known->n && (!now->n || memcmp(now->data, known->data, now->n * rows_stride(now)) == 0);
}

/* NULL: out of memory. */
static json_t *list_ids(const struct rows *rows)
{
    json_t *ids = json_array();

    for (size_t i = 0; ids && i < rows->n && i < LEFT_OUT_MAX; i++)
        if (json_array_append_new(ids, json_string(((const struct left_out_key *)rows_key(rows, i))->id)) < 0) {
            json_decref(ids);
            ids = NULL;
        }
    return ids;
}

json_t *shortages_report(struct agent *agent, bool all)
{
    const struct rows *rows = &agent->desired.left_out;
    json_t *ids;

    if (!all && !agent->left_out_is_lost && is_known(agent))
        return NULL;
    ids = list_ids(rows);
    rows_clear(&agent->left_out_reported);
    agent->left_out_is_lost = !ids || rows_copy(rows, &agent->left_out_reported) < 0;
    return ids;
}

void shortages_report_lost(struct agent *agent)
{
    agent->left_out_is_lost = true;
}

bool shortages_close(const struct agent *agent, const struct agent_port *port)
{
    const struct rows *ports = &agent->desired.tables[TABLE_PORTS];
    const void *row = agent->desired.shortages.n ? rows_find(&agent->desired.tables[TABLE_POLICIES], &port->slot) : NULL;
    struct port_policy policy = {{0}};

    if (agent->desired.shortages.n && !rows_find(ports, &port->slot))
        return true; /* Left out as a whole. */
    if (row)
        memcpy(&policy, row, sizeof(policy));
    return policy.rule_set[POLICY_EGRESS] == RULE_SET_NO_ROOM || policy.rule_set[POLICY_INGRESS] == RULE_SET_NO_ROOM;
}

void shortages_write_metrics(const struct agent *agent, struct buffer *text)
{
    const struct rows *shortages = &agent->desired.shortages;

    prometheus_begin(text, "weft_agent_table_room", "gauge", "Rows that projects may have together in a table that they share.");
    for (size_t i = 0; i < ARRAY_SIZE(shared); i++)
        prometheus_sample(text, "weft_agent_table_room", maps_room(agent->maps, shared[i].table), "table", desired_table_name(shared[i].table), NULL);
    for (int space = 0; space < N_NUMBER_SPACES; space++)
        prometheus_sample(text, "weft_agent_table_room", shortages_numbers(agent, space), "table", shortage_table_name(SHORTAGE_OF_NUMBERS + (uint32_t)space),
                          NULL);
    prometheus_begin(text, "weft_agent_left_out", "gauge", "Objects of a project, rule sets, and members of groups that find no room in a table.");
    for (size_t i = 0; i < shortages->n; i++) {
        struct shortage_key key;
        struct shortage shortage;

        memcpy(&key, rows_key(shortages, i), sizeof(key));
        memcpy(&shortage, rows_value(shortages, i), sizeof(shortage));
        prometheus_sample(text, "weft_agent_left_out", shortage.n_left_out, "table", shortage_table_name(key.table), "project", key.project_id, NULL);
    }
}
