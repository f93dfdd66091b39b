#include "weft/agent/verdict-names.h"

#include <stdlib.h>
#include <string.h>

#include "weft/base/util.h"
#include "weft/compiler/index.h"

/* ---- what the replica says --------------------------------------------------------------------------------------------------- */

static int compare_numbers(const void *a, const void *b)
{
    const struct security_group_rule *rule_a = *(const struct security_group_rule *const *)a, *rule_b = *(const struct security_group_rule *const *)b;
    uint32_t x = compile_object_number(&rule_a->object), y = compile_object_number(&rule_b->object);

    return x < y ? -1 : x > y;
}

static int compare_ids(const void *a, const void *b)
{
    const struct firewall_group *x = *(const struct firewall_group *const *)a, *y = *(const struct firewall_group *const *)b;

    return strcmp(x->object.id, y->object.id);
}

static void book_log(struct verdict_book *book, const struct network_log *log)
{
    book->logs[book->n_logs++] = log;
    book->n_firewall_logs += log->resource_type && streq(log->resource_type, LOG_FIREWALL_GROUP);
}

void verdict_book_clear(struct verdict_book *book)
{
    free(book->logs);
    free(book->rules);
    free(book->groups);
    *book = (struct verdict_book){0};
}

static bool make(struct verdict_book *book, const struct agent *agent)
{
    const struct replica *replica = &agent->replica;
    const struct replica_kind *logs = &replica->by_kind[RESOURCE_LOG], *rules = &replica->by_kind[RESOURCE_SECURITY_GROUP_RULE],
                              *groups = &replica->by_kind[RESOURCE_FIREWALL_GROUP];

    if (book->is_made && book->n_changes == replica->n_changes)
        return true;
    verdict_book_clear(book);
    book->logs = calloc(logs->n + 1, sizeof(*book->logs));
    book->rules = calloc(rules->n + 1, sizeof(*book->rules));
    book->groups = calloc(groups->n + 1, sizeof(*book->groups));
    book->is_made = book->logs && book->rules && book->groups;
    if (!book->is_made)
        return false;
    book->n_changes = replica->n_changes;
    for (size_t i = 0; i < logs->n; i++)
        book_log(book, (const struct network_log *)logs->entries[i]->object);
    for (size_t i = 0; i < rules->n; i++)
        book->rules[book->n_rules++] = (const struct security_group_rule *)rules->entries[i]->object;
    for (size_t i = 0; i < groups->n; i++)
        book->groups[book->n_groups++] = (const struct firewall_group *)groups->entries[i]->object;
    if (book->n_rules)
        qsort(book->rules, book->n_rules, sizeof(*book->rules), compare_numbers);
    if (book->n_groups)
        qsort(book->groups, book->n_groups, sizeof(*book->groups), compare_ids);
    return true;
}

bool verdict_book_has_firewalls(struct verdict_book *book, const struct agent *agent)
{
    return make(book, agent) && book->n_firewall_logs > 0;
}

static void add_log(struct verdict_names *names, const struct network_log *log)
{
    if (names->n_logs < VERDICT_LOGS_MAX)
        names->log_ids[names->n_logs++] = log->object.id;
}

static bool hears(const struct network_log *log, bool accepts)
{
    return log->event != (accepts ? LOG_EVENT_DROP : LOG_EVENT_ACCEPT);
}

/* ---- security groups ------------------------------------------------------------------------------------------------------------ */

static bool has_group(const struct port *port, const char *group_id)
{
    for (size_t i = 0; i < port->n_security_groups; i++)
        if (streq(port->security_groups[i].id, group_id))
            return true;
    return false;
}

/* Of several rules with that number the port's. */
static const struct security_group_rule *find_rule(const struct verdict_book *book, const struct port *port, uint32_t number)
{
    size_t low = 0, high = book->n_rules;

    while (low < high) {
        size_t middle = (low + high) / 2;

        if (compile_object_number(&book->rules[middle]->object) < number)
            low = middle + 1;
        else
            high = middle;
    }
    for (; low < book->n_rules && compile_object_number(&book->rules[low]->object) == number; low++)
        if (has_group(port, book->rules[low]->security_group_id))
            return book->rules[low];
    return NULL;
}

/* 'rule' is of an accept. */
static bool wants(const struct network_log *log, const struct port *port, bool accepts, const struct security_group_rule *rule)
{
    if (!network_log_concerns(log, port) || !hears(log, accepts))
        return false;
    return !accepts || !log->resource_id[0] || (rule && streq(rule->security_group_id, log->resource_id));
}

static struct verdict_names names_of(const struct port *port)
{
    return (struct verdict_names){.project_id = port->object.project_id, .port_id = port->object.id};
}

bool verdict_names_of_port(struct verdict_book *book, const struct agent *agent, const struct port *port, struct verdict_names *ret)
{
    if (!make(book, agent))
        return false;
    *ret = names_of(port);
    for (size_t i = 0; i < book->n_logs; i++)
        if (network_log_concerns(book->logs[i], port))
            add_log(ret, book->logs[i]);
    return ret->n_logs > 0;
}

static bool names_of_groups(const struct verdict_book *book, const struct agent *agent, const struct verdict_event *event, struct verdict_names *ret)
{
    const struct agent_port *port = agent_find_slot(agent, event->slot);
    const struct port *model = port && port->generation == event->generation ? agent_model_port(agent, port) : NULL;
    const struct security_group_rule *rule;

    if (!model)
        return false;
    *ret = names_of(model);
    rule = event->reason ? NULL : find_rule(book, model, event->number);
    ret->rule_id = rule ? rule->object.id : NULL;
    for (size_t i = 0; i < book->n_logs; i++)
        if (wants(book->logs[i], model, !event->reason, rule))
            add_log(ret, book->logs[i]);
    return ret->n_logs > 0;
}

/* ---- firewalls of routers --------------------------------------------------------------------------------------------------------- */

/* The group that holds at the router's port: as the compiler chooses. */
static const struct firewall_group *find_group(const struct verdict_book *book, const char *port_id)
{
    for (size_t i = 0; i < book->n_groups; i++)
        for (size_t k = 0; k < book->groups[i]->n_ports; k++)
            if (streq(book->groups[i]->ports[k].id, port_id) && (book->groups[i]->ingress_policy_id[0] || book->groups[i]->egress_policy_id[0]))
                return book->groups[i];
    return NULL;
}

/* The policy's rule with that number; NULL: it has none any more. */
static const char *find_firewall_rule(const struct agent *agent, const char *policy_id, uint32_t number)
{
    const struct firewall_policy *policy = *policy_id ? (const struct firewall_policy *)replica_find(&agent->replica, RESOURCE_FIREWALL_POLICY, policy_id) : NULL;

    for (size_t i = 0; policy && i < policy->n_rules; i++) {
        const struct object *rule = replica_find(&agent->replica, RESOURCE_FIREWALL_RULE, policy->rules[i].id);

        if (rule && compile_object_number(rule) == number)
            return rule->id;
    }
    return NULL;
}

/* 'event' NULL: whatever the log objects are after. */
static bool names_of_firewall(const struct verdict_book *book, const struct agent *agent, const char *port_id, const struct verdict_event *event,
                              struct verdict_names *ret)
{
    const struct object *port = replica_find(&agent->replica, RESOURCE_PORT, port_id);
    const struct firewall_group *group = port ? find_group(book, port_id) : NULL;

    if (!group)
        return false;
    *ret = names_of((const struct port *)port);
    ret->project_id = group->object.project_id; /* A gateway's port has none. */
    if (event && event->number)
        ret->rule_id = find_firewall_rule(agent, event->flags & VERDICT_RECEIVED ? group->ingress_policy_id : group->egress_policy_id, event->number);
    for (size_t i = 0; i < book->n_logs; i++)
        if (network_log_guards(book->logs[i], group, port_id) && (!event || hears(book->logs[i], !event->reason)))
            add_log(ret, book->logs[i]);
    return ret->n_logs > 0;
}

bool verdict_names_of_router_port(struct verdict_book *book, const struct agent *agent, const char *router_port, struct verdict_names *ret)
{
    return make(book, agent) && names_of_firewall(book, agent, router_port, NULL, ret);
}

/* ---- both -------------------------------------------------------------------------------------------------------------------------- */

bool verdict_names_of_event(struct verdict_book *book, const struct agent *agent, const struct verdict_event *event, struct verdict_names *ret)
{
    const struct slots *numbers = &agent->local.slots[SLOT_ROUTER_PORT];
    const struct slot *slot;

    if (!make(book, agent))
        return false;
    if (!(event->flags & VERDICT_ROUTER))
        return names_of_groups(book, agent, event, ret);
    slot = event->slot < numbers->limit ? numbers->by_number[event->slot] : NULL;
    return slot && slot->generation == event->generation && names_of_firewall(book, agent, slot->name, event, ret);
}
