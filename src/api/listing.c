/* Lists: which objects a query asks for, in which order, and which page of them.
 *
 *     candidates (an index, or all, in the order of ids) -> visible and matching -> sorted -> one page
 *
 * Without sort keys the order is that of ids, and a page costs no more than what it passes over. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "weft/api/resources.h"
#include "weft/base/clock.h"
#include "weft/base/util.h"

#define SORT_KEYS_MAX 8

struct filter {
    const char *name;
    const struct attribute *attribute; /* One of these three. */
    const struct computed *computed;
    const struct special_filter *special;
    const char **values; /* In listing.values. */
    size_t n_values;
};

struct listing {
    struct request *request;
    const struct resource *resource;
    struct filter *filters;
    size_t n_filters;
    const char **values;
    struct sort_key {
        const struct attribute *attribute;
        bool descending;
    } sort[SORT_KEYS_MAX];
    size_t n_sort;
    uint64_t limit; /* 0: none. */
    const struct object *marker;
    bool page_reverse;
    const struct object **objects; /* Owned; the candidates, later what matches. */
    size_t n_objects;
    bool is_filtered;
};

static void listing_clear(struct listing *listing)
{
    free(listing->filters);
    free(listing->values);
    free(listing->objects);
}

static bool is_control(const char *name)
{
    static const char *const names[] = {"fields", "limit", "marker", "page_reverse", "sort_key", "sort_dir"};

    for (size_t i = 0; i < ARRAY_SIZE(names); i++)
        if (streq(names[i], name))
            return true;
    return false;
}

static const char *current_name(const char *name)
{
    return streq(name, "tenant_id") ? "project_id" : name;
}

/* changed_since=TIME of the timestamps extension. */
static int check_changed_since(const char *value, struct error *error)
{
    int64_t time;

    if (time_parse(value, &time) < 0)
        return error_set(error, -EINVAL, "changed_since", "'%.100s' is not a time like 2026-01-31T23:59:59Z", value);
    return 0;
}

static bool changed_since(const struct object *object, const char *const *values, size_t n_values)
{
    int64_t time;

    return n_values > 0 && time_parse(values[0], &time) == 0 && object->updated_at_s >= time;
}

static const struct special_filter changed_since_filter = {"changed_since", check_changed_since, changed_since};

static int resolve_filter(const struct listing *listing, struct filter *filter, struct error *error)
{
    const struct resource *resource = listing->resource;
    bool admin = request_auth(listing->request)->is_admin;
    const struct attribute *attribute = attribute_find(resource->schema->attributes, filter->name);

    if (attribute && (attribute->flags & ATTRIBUTE_FILTER) && (admin || !(attribute->flags & ATTRIBUTE_ADMIN_READ))) {
        filter->attribute = attribute;
        return 0;
    }
    for (const struct computed *computed = resource->computed; computed->name; computed++)
        if (computed->filter && (admin || !computed->admin_read) && streq(computed->name, filter->name)) {
            filter->computed = computed;
            return 0;
        }
    for (const struct special_filter *special = resource->special_filters; special && special->name; special++)
        if (streq(special->name, filter->name)) {
            filter->special = special;
            return 0;
        }
    if (streq(filter->name, changed_since_filter.name)) {
        filter->special = &changed_since_filter;
        return 0;
    }
    return error_set(error, -EINVAL, filter->name, "'%.100s' is not an attribute to filter %s by", filter->name,
                     resource->schema->collection);
}

/* Groups the query's parameters by name: values of one name are alternatives, names add up. */
static int parse_filters(struct listing *listing, struct error *error)
{
    struct request *request = listing->request;
    size_t n = request->n_query, used = 0;
    int r;

    if (n == 0)
        return 0;
    listing->filters = calloc(n, sizeof *listing->filters);
    listing->values = calloc(n, sizeof *listing->values);
    if (!listing->filters || !listing->values)
        return -ENOMEM;
    for (size_t i = 0; i < n; i++) {
        const char *name = current_name(request->query[i].name);
        struct filter *filter = &listing->filters[listing->n_filters];
        bool again = is_control(name);

        for (size_t j = 0; j < listing->n_filters && !again; j++)
            again = streq(listing->filters[j].name, name);
        if (again)
            continue;
        *filter = (struct filter){.name = name, .values = listing->values + used};
        if ((r = resolve_filter(listing, filter, error)) < 0)
            return r;
        for (size_t j = i; j < n; j++) {
            if (!streq(current_name(request->query[j].name), name))
                continue;
            r = filter->attribute ? attribute_check_filter(filter->attribute, request->query[j].value, error)
                : filter->special ? filter->special->check(request->query[j].value, error)
                                  : 0;
            if (r < 0)
                return r;
            filter->values[filter->n_values++] = request->query[j].value;
            used++;
        }
        listing->n_filters++;
    }
    return 0;
}

static int parse_sort(struct listing *listing, struct error *error)
{
    const struct request *request = listing->request;
    size_t n_directions = 0;

    for (size_t i = 0; i < request->n_query; i++) {
        const char *value = request->query[i].value;

        if (streq(request->query[i].name, "sort_key")) {
            const struct attribute *attribute = attribute_find(listing->resource->schema->attributes, current_name(value));

            if (!attribute || !(attribute->flags & ATTRIBUTE_SORT) ||
                (!request_auth(request)->is_admin && (attribute->flags & ATTRIBUTE_ADMIN_READ)))
                return error_set(error, -EINVAL, "sort_key", "'%.100s' is not an attribute to sort %s by", value,
                                 listing->resource->schema->collection);
            if (listing->n_sort == SORT_KEYS_MAX)
                return error_set(error, -EINVAL, "sort_key", "more than %d sort keys", SORT_KEYS_MAX);
            listing->sort[listing->n_sort++].attribute = attribute;
        } else if (streq(request->query[i].name, "sort_dir")) {
            if (!streq(value, "asc") && !streq(value, "desc"))
                return error_set(error, -EINVAL, "sort_dir", "'%.100s' is neither asc nor desc", value);
            if (n_directions < SORT_KEYS_MAX)
                listing->sort[n_directions].descending = streq(value, "desc");
            n_directions++;
        }
    }
    if (n_directions && n_directions != listing->n_sort)
        return error_set(error, -EINVAL, "sort_dir", "The number of sort_keys and sort_dirs must be same, not %zu and %zu",
                         listing->n_sort, n_directions);
    return 0;
}

static int parse_page(struct listing *listing, struct error *error)
{
    const struct request *request = listing->request;
    const struct resource *resource = listing->resource;
    const char *limit = request_query(request, "limit"), *marker = request_query(request, "marker"),
               *reverse = request_query(request, "page_reverse");

    if (limit && parse_u64(limit, 0, INT64_MAX, &listing->limit) < 0)
        return error_set(error, -EINVAL, "limit", "'%.100s' is not an integer of 0 or more", limit);
    if (reverse && boolean_parse(reverse, &listing->page_reverse) < 0)
        return error_set(error, -EINVAL, "page_reverse", "'%.100s' is not a boolean", reverse);
    if (!marker || !listing->limit)
        return 0;
    listing->marker = replica_get(request_api(request)->replica, resource->schema->kind, marker);
    if (!listing->marker || !resource_is_visible(resource, request, listing->marker))
        return error_set_type(error, -ENOENT, resource->not_found, "marker", "%s %.100s could not be found.", resource->title, marker);
    return 0;
}

static bool value_matches(const struct listing *listing, const struct filter *filter, const struct object *object)
{
    struct buffer buffer = {0};
    bool matches = false;

    if (filter->special)
        return filter->special->matches(object, filter->values, filter->n_values);
    if (filter->attribute) {
        for (size_t i = 0; i < filter->n_values && !matches; i++)
            matches = attribute_matches(filter->attribute, object, filter->values[i]);
        return matches;
    }
    /* A computed value: a string's quotes do not count. */
    if (filter->computed->write(listing->request, object, &buffer) == 0 && buffer_string(&buffer)) {
        char *text = buffer.data;
        size_t size = buffer.size;

        if (size >= 2 && text[0] == '"') {
            text++;
            size -= 2;
        }
        for (size_t i = 0; i < filter->n_values && !matches; i++)
            matches = strlen(filter->values[i]) == size && !strncasecmp(text, filter->values[i], size);
    }
    buffer_clear(&buffer);
    return matches;
}

static bool matches(const struct listing *listing, const struct object *object)
{
    if (!resource_is_visible(listing->resource, listing->request, object))
        return false;
    for (size_t i = 0; i < listing->n_filters; i++)
        if (!value_matches(listing, &listing->filters[i], object))
            return false;
    return true;
}

static int compare_ids(const void *a, const void *b)
{
    return strcmp((*(const struct object *const *)a)->id, (*(const struct object *const *)b)->id);
}

struct collector {
    struct listing *listing;
    size_t n_allocated;
    int r;
};

static int add(struct listing *listing, const struct object *object, size_t *n_allocated)
{
    if (listing->n_objects == *n_allocated) {
        size_t n = *n_allocated ? 2 * *n_allocated : 64;
        const struct object **more = realloc(listing->objects, n * sizeof *more);

        if (!more)
            return -ENOMEM;
        listing->objects = more;
        *n_allocated = n;
    }
    listing->objects[listing->n_objects++] = object;
    return 0;
}

static void collect(const struct object *object, void *context)
{
    struct collector *collector = context;

    if (collector->r == 0)
        collector->r = add(collector->listing, object, &collector->n_allocated);
}

static void sort_by_id_and_unique(struct listing *listing)
{
    size_t kept = 0;

    if (listing->n_objects < 2)
        return;
    qsort(listing->objects, listing->n_objects, sizeof *listing->objects, compare_ids);
    for (size_t i = 0; i < listing->n_objects; i++)
        if (i == 0 || listing->objects[i] != listing->objects[kept - 1])
            listing->objects[kept++] = listing->objects[i];
    listing->n_objects = kept;
}

/* The candidates, in the order of ids: from an index when a filter has one, else '*ret_all' borrows everything. */
static int find_candidates(struct listing *listing, const struct object *const **ret_all, size_t *ret_n)
{
    const struct replica *replica = request_api(listing->request)->replica;
    const struct schema *schema = listing->resource->schema;
    size_t n_allocated = 0;

    *ret_all = NULL;
    for (size_t i = 0; i < listing->n_filters; i++) {
        const struct filter *filter = &listing->filters[i];

        if (streq(filter->name, "id")) {
            for (size_t j = 0; j < filter->n_values; j++) {
                const struct object *object = replica_get(replica, schema->kind, filter->values[j]);
                if (object && add(listing, object, &n_allocated) < 0)
                    return -ENOMEM;
            }
            sort_by_id_and_unique(listing);
            return 0;
        }
        for (const struct indexed_filter *indexed = listing->resource->indexed_filters; indexed && indexed->name; indexed++) {
            bool has_empty = false; /* What is unset is in no index. */

            for (size_t j = 0; j < filter->n_values; j++)
                has_empty |= !*filter->values[j];
            if (has_empty || !streq(indexed->name, filter->name))
                continue;
            for (size_t j = 0; j < filter->n_values; j++)
                REPLICA_FOREACH (member, indexed->find(replica, filter->values[j]))
                    if (add(listing, member->object, &n_allocated) < 0)
                        return -ENOMEM;
            sort_by_id_and_unique(listing);
            return 0;
        }
    }
    if (listing->resource->parent) {
        REPLICA_FOREACH (member, listing->resource->of_parent(replica, request_parameter(listing->request, "parent")))
            if (add(listing, member->object, &n_allocated) < 0)
                return -ENOMEM;
        sort_by_id_and_unique(listing);
        return 0;
    }
    if (listing->resource->each_visible && !request_auth(listing->request)->is_admin) {
        struct collector collector = {.listing = listing};

        listing->resource->each_visible(listing->request, collect, &collector);
        sort_by_id_and_unique(listing);
        return collector.r;
    }
    *ret_all = replica_list(replica, schema->kind, ret_n);
    return 0;
}

static int compare_objects(const struct listing *listing, const struct object *a, const struct object *b)
{
    for (size_t i = 0; i < listing->n_sort; i++) {
        int order = attribute_compare(listing->sort[i].attribute, a, b);

        if (order)
            return listing->sort[i].descending ? -order : order;
    }
    return strcmp(a->id, b->id);
}

static int compare_for_sort(const void *a, const void *b, void *context)
{
    return compare_objects(context, *(const struct object *const *)a, *(const struct object *const *)b);
}

/* The first position whose object is not before the marker. */
static size_t marker_position(const struct listing *listing, const struct object *const *objects, size_t n)
{
    size_t low = 0, high = n;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (compare_objects(listing, objects[middle], listing->marker) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* Picks the page: stores it in the order it is shown in listing->objects. */
static int pick_page(struct listing *listing)
{
    const struct object *const *all;
    size_t n = 0, position, n_allocated = 0, n_page = 0;
    const struct object **page = NULL;
    uint64_t limit = listing->limit ? listing->limit : UINT64_MAX;
    int r;

    if ((r = find_candidates(listing, &all, &n)) < 0)
        return r;
    if (listing->n_sort) {
        struct listing sorted = {0};

        if (!all) {
            all = listing->objects;
            n = listing->n_objects;
        }
        for (size_t i = 0; i < n && r == 0; i++)
            if (matches(listing, all[i]))
                r = add(&sorted, all[i], &n_allocated);
        free(listing->objects);
        listing->objects = sorted.objects;
        listing->n_objects = sorted.n_objects;
        if (r < 0)
            return r;
        if (listing->n_objects > 1)
            qsort_r(listing->objects, listing->n_objects, sizeof *listing->objects, compare_for_sort, listing);
        listing->is_filtered = true;
        all = NULL;
    }
    if (!all) {
        all = listing->objects;
        n = listing->n_objects;
    }

    struct listing result = {0};
    n_allocated = 0;
    if (!listing->page_reverse || !listing->limit) {
        position = listing->marker ? marker_position(listing, all, n) : 0;
        if (listing->marker && position < n && all[position] == listing->marker)
            position++;
        for (; position < n && result.n_objects < limit && r == 0; position++)
            if (listing->is_filtered || matches(listing, all[position]))
                r = add(&result, all[position], &n_allocated);
    } else {
        position = listing->marker ? marker_position(listing, all, n) : n;
        while (position-- > 0 && result.n_objects < limit && r == 0)
            if (listing->is_filtered || matches(listing, all[position]))
                r = add(&result, all[position], &n_allocated);
        page = result.objects;
        n_page = result.n_objects;
        for (size_t i = 0; i < n_page / 2; i++) {
            const struct object *other = page[i];
            page[i] = page[n_page - 1 - i];
            page[n_page - 1 - i] = other;
        }
    }
    free(listing->objects);
    listing->objects = result.objects;
    listing->n_objects = result.n_objects;
    return r;
}

static int append_encoded(struct buffer *buffer, const char *text)
{
    static const char hex[] = "0123456789ABCDEF";

    for (; *text; text++) {
        unsigned char c = *text;
        char escaped[3] = {'%', hex[c >> 4], hex[c & 15]};
        bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || strchr("-_.~", c);

        if (plain ? buffer_append(buffer, &c, 1) : buffer_append(buffer, escaped, 3))
            return -ENOMEM;
    }
    return 0;
}

/* The same query with another marker. */
static int write_link(const struct listing *listing, struct buffer *buffer, const char *rel, const struct object *marker, bool reverse)
{
    const struct request *request = listing->request;
    struct buffer href = {0};
    bool bad, first = true;

    bad = buffer_printf(&href, "%s%s?", request_public_url(request), request->path);
    for (size_t i = 0; i < request->n_query && !bad; i++) {
        if (streq(request->query[i].name, "marker") || streq(request->query[i].name, "page_reverse"))
            continue;
        bad = (!first && buffer_append(&href, "&", 1)) || append_encoded(&href, request->query[i].name) ||
              buffer_append(&href, "=", 1) || append_encoded(&href, request->query[i].value);
        first = false;
    }
    if (marker)
        bad = bad || buffer_printf(&href, "&marker=%s", marker->id);
    if (reverse)
        bad = bad || buffer_append_string(&href, "&page_reverse=True");
    bad = bad || buffer_printf(buffer, "{\"rel\":\"%s\",\"href\":", rel) || !buffer_string(&href) ||
          json_write_string(buffer, href.data) || buffer_append(buffer, "}", 1);
    buffer_clear(&href);
    return bad ? -ENOMEM : 0;
}

/* Neutron's rule: a full page has neighbours on both sides, a short one none where it ended. */
static int write_links(const struct listing *listing, struct buffer *buffer)
{
    bool is_short = listing->n_objects < listing->limit, first = true;
    const struct object *last = listing->n_objects ? listing->objects[listing->n_objects - 1] : NULL;
    int r = buffer_printf(buffer, ",\"%s_links\":[", listing->resource->schema->collection);

    if (r == 0 && !(is_short && !listing->page_reverse)) {
        r = write_link(listing, buffer, "next", last, false);
        first = false;
    }
    if (r == 0 && !(is_short && listing->page_reverse)) {
        r = first ? 0 : buffer_append(buffer, ",", 1);
        if (r == 0)
            r = write_link(listing, buffer, "previous", listing->n_objects ? listing->objects[0] : NULL, true);
    }
    return r < 0 ? r : buffer_append(buffer, "]", 1);
}

void resource_list(struct request *request)
{
    struct listing listing = {.request = request, .resource = request->route->data};
    struct error error = {0};
    struct buffer buffer = {0};
    struct view view;
    int r;

    if (!resource_check_parent(request))
        return;
    if ((r = parse_filters(&listing, &error)) < 0 || (r = parse_sort(&listing, &error)) < 0 ||
        (r = parse_page(&listing, &error)) < 0 || (r = pick_page(&listing)) < 0) {
        listing_clear(&listing);
        if (!error.code)
            error_set(&error, r, NULL, "Out of memory.");
        request_fail_error(request, &error);
        return;
    }
    view_prepare(&view, listing.resource, request);
    r = buffer_printf(&buffer, "{\"%s\":[", listing.resource->schema->collection);
    for (size_t i = 0; i < listing.n_objects && r == 0; i++) {
        r = i > 0 ? buffer_append(&buffer, ",", 1) : 0;
        if (r == 0)
            r = view_write(&view, listing.resource, request, listing.objects[i], &buffer);
    }
    if (r == 0)
        r = buffer_append(&buffer, "]", 1);
    if (r == 0 && listing.limit)
        r = write_links(&listing, &buffer);
    if (r == 0)
        r = buffer_append(&buffer, "}", 1);
    listing_clear(&listing);
    respond_buffer(request, HTTP_OK, &buffer, r);
}
