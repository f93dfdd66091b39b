/* Rules that give marks, as lists for prefixes (tables.h).  A change writes all lists into places of their own and then puts prefix after
 * prefix: each packet meets one list or the other. */
#include "weft/director/apply-parts.h"

#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <string.h>

struct marks_place {
    struct lb_mark_key key;
    struct lb_mark_list list;
};

struct marks {
    struct lb_mark_rule *rules; /* The configuration's that can be now, in its order, */
    struct ip_prefix *destinations; /* and for what. */
    size_t n_rules;
    struct marks_place *places;
    size_t n_places;
    uint32_t first, n_positions; /* Taken in the tables. */
};

void marks_free(struct marks *marks)
{
    if (!marks)
        return;
    free(marks->rules);
    free(marks->destinations);
    free(marks->places);
    free(marks);
}
DEFINE_CLEANUP(struct marks *, marks_free);

static struct ip_prefix destination_of(const struct mark_rule *rule)
{
    static const struct ip_prefix all6;
    const struct ip_prefix all4 = {.address = ip_from_v4(0)};

    return rule->has_destination ? rule->destination : rule->ipv6 ? all6 : all4;
}

static bool is_same_prefix(const struct ip_prefix *a, const struct ip_prefix *b)
{
    return prefix_bits(a) == prefix_bits(b) && memcmp(&a->address, &b->address, sizeof(a->address)) == 0;
}

/* Is all of 'inner' in 'outer', which is of the same family? */
static bool has_within(const struct ip_prefix *outer, const struct ip_prefix *inner)
{
    return ip_is_v4(&outer->address) == ip_is_v4(&inner->address) && outer->length <= inner->length && prefix_contains(outer, &inner->address);
}

static bool is_first_of_its_prefix(const struct ip_prefix *destinations, size_t i)
{
    for (size_t before = 0; before < i; before++)
        if (is_same_prefix(&destinations[before], &destinations[i]))
            return false;
    return true;
}

static uint32_t n_within(const struct ip_prefix *destinations, size_t n, const struct ip_prefix *prefix)
{
    uint32_t n_found = 0;

    for (size_t i = 0; i < n; i++)
        n_found += has_within(&destinations[i], prefix);
    return n_found;
}

uint32_t marks_positions(const struct director_config *config)
{
    _cleanup_(freep) struct ip_prefix *destinations = calloc(config->n_mark_rules + 1, sizeof(*destinations));
    uint32_t n = 0;

    if (!destinations)
        return 0;
    for (size_t i = 0; i < config->n_mark_rules; i++)
        destinations[i] = destination_of(&config->mark_rules[i]);
    for (size_t i = 0; i < config->n_mark_rules; i++)
        if (is_first_of_its_prefix(destinations, i))
            n += n_within(destinations, config->n_mark_rules, &destinations[i]);
    return n;
}

static struct lb_mark_rule rule_of(const struct mark_rule *rule, uint32_t ifindex)
{
    struct lb_mark_rule content = {.mark = rule->mark, .ifindex = ifindex, .protocol = rule->protocol, .ipv6 = rule->ipv6,
                                   .source_min = rule->source_port_min, .source_max = rule->source_port_max,
                                   .destination_min = rule->destination_port_min, .destination_max = rule->destination_port_max};

    if (!rule->has_source)
        return content;
    memcpy(content.source, rule->source.address.bytes, 16);
    for (int bit = 0; bit < prefix_bits(&rule->source); bit++)
        content.source_mask[bit / 8] |= (uint8_t)(0x80 >> bit % 8);
    return content;
}

/* Rules and prefixes, without places yet.  A rule for an interface that does not exist matches nothing, and waits for it. */
static int marks_new(const struct director_config *config, struct marks **ret)
{
    _cleanup_(marks_freep) struct marks *marks = calloc(1, sizeof(*marks));

    if (!marks)
        return -ENOMEM;
    marks->first = RANGE_NONE;
    marks->rules = calloc(config->n_mark_rules + 1, sizeof(*marks->rules));
    marks->destinations = calloc(config->n_mark_rules + 1, sizeof(*marks->destinations));
    marks->places = calloc(config->n_mark_rules + 1, sizeof(*marks->places));
    if (!marks->rules || !marks->destinations || !marks->places)
        return -ENOMEM;
    for (size_t i = 0; i < config->n_mark_rules; i++) {
        const struct mark_rule *rule = &config->mark_rules[i];
        uint32_t ifindex = rule->interface[0] ? if_nametoindex(rule->interface) : 0;

        if (rule->interface[0] && !ifindex)
            continue;
        marks->rules[marks->n_rules] = rule_of(rule, ifindex);
        marks->destinations[marks->n_rules++] = destination_of(rule);
    }
    *ret = TAKE_PTR(marks);
    return 0;
}

/* What was restored (marks_restore) has no rules, and is no others': its prefixes may be many where the file has none any more. */
static bool is_same(const struct marks *a, const struct marks *b)
{
    return a && b && b->rules && a->n_rules == b->n_rules && memcmp(a->rules, b->rules, a->n_rules * sizeof(*a->rules)) == 0 &&
           memcmp(a->destinations, b->destinations, a->n_rules * sizeof(*a->destinations)) == 0;
}

static int place_lists(const struct task *task, struct marks *marks)
{
    struct lb_tables *tables = task->applied->tables;
    uint32_t position;

    for (size_t i = 0; i < marks->n_rules; i++)
        if (is_first_of_its_prefix(marks->destinations, i))
            marks->n_positions += n_within(marks->destinations, marks->n_rules, &marks->destinations[i]);
    if (!marks->n_positions)
        return 0;
    marks->first = position = ranges_take(&task->applied->marks, marks->n_positions);
    if (position == RANGE_NONE)
        return places_missing(task, "rule for a mark");
    for (size_t i = 0; i < marks->n_rules; i++) {
        const struct ip_prefix *prefix = &marks->destinations[i];
        struct marks_place *place = &marks->places[marks->n_places];

        if (!is_first_of_its_prefix(marks->destinations, i))
            continue;
        place->key.length = (uint32_t)prefix_bits(prefix);
        memcpy(place->key.destination, prefix->address.bytes, 16);
        if (!place->key.length)
            memset(place->key.destination, 0, 16);
        place->list.first = position;
        for (size_t j = 0; j < marks->n_rules; j++)
            if (has_within(&marks->destinations[j], prefix))
                tables->mark_rules[position++] = marks->rules[j];
        place->list.n = position - place->list.first;
        marks->n_places++;
    }
    return 0;
}

int marks_put(const struct marks *marks, struct lb_tables *tables)
{
    int result = 0;

    for (size_t i = 0; marks && i < marks->n_places && result == 0; i++)
        result = lb_put_marks(tables, &marks->places[i].key, marks->places[i].list);
    return result;
}

static bool has_place(const struct marks *marks, const struct lb_mark_key *key)
{
    for (size_t i = 0; i < marks->n_places; i++)
        if (memcmp(&marks->places[i].key, key, sizeof(*key)) == 0)
            return true;
    return false;
}

/* As it was, where 'failed' has been put. */
static void put_back(struct applied *applied, const struct marks *failed)
{
    for (size_t i = 0; i < failed->n_places; i++)
        if (!applied->mark_lists || !has_place(applied->mark_lists, &failed->places[i].key))
            lb_delete_marks(applied->tables, &failed->places[i].key);
    marks_put(applied->mark_lists, applied->tables);
}

/* Lists as they are in the tables, of rules that nobody knows any more: the next apply writes its own beside them, and deletes what is not among
 * those. */
int marks_restore(struct applied *applied)
{
    _cleanup_(marks_freep) struct marks *marks = calloc(1, sizeof(*marks));
    struct lb_mark_key key, *before = NULL;
    uint32_t end = 0;

    if (!marks || !(marks->places = calloc(LB_MARK_PLACES, sizeof(*marks->places))))
        return -ENOMEM;
    marks->first = RANGE_NONE;
    while (marks->n_places < LB_MARK_PLACES) {
        struct marks_place *place = &marks->places[marks->n_places];

        if (lb_next_marks(applied->tables, before, &place->key, &place->list) < 0)
            break;
        key = place->key;
        before = &key;
        marks->first = MIN(marks->first, place->list.first);
        end = MAX(end, place->list.first + place->list.n);
        marks->n_places++;
    }
    if (!marks->n_places)
        return 0;
    marks->n_positions = end - marks->first;
    if (!ranges_take_at(&applied->marks, marks->first, marks->n_positions))
        return -EINVAL;
    applied->mark_lists = TAKE_PTR(marks);
    return 0;
}

int marks_apply(const struct task *task, const struct director_config *config)
{
    struct applied *applied = task->applied;
    _cleanup_(marks_freep) struct marks *marks = NULL, *before = NULL;
    int result = marks_new(config, &marks);

    if (result == 0 && is_same(marks, applied->mark_lists))
        return 0;
    if (result == 0)
        result = place_lists(task, marks);
    if (result == 0 && (result = marks_put(marks, applied->tables)) < 0)
        put_back(applied, marks);
    if (result < 0) {
        if (marks)
            places_leave(applied, &applied->marks, marks->first, marks->n_positions);
        return result;
    }
    before = applied->mark_lists;
    applied->mark_lists = TAKE_PTR(marks);
    applied->tables->settings->has_marks = applied->mark_lists->n_places > 0;
    for (size_t i = 0; before && i < before->n_places; i++)
        if (!has_place(applied->mark_lists, &before->places[i].key))
            lb_delete_marks(applied->tables, &before->places[i].key);
    if (before)
        places_leave(applied, &applied->marks, before->first, before->n_positions);
    return 0;
}
