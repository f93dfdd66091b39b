/* Filling the native pipeline with the live tables, and telling what it did: see trace.h. */
#include "weft/agent/trace.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <string.h>

#include "weft/base/clock.h"
#include "weft/dataplane/connections.h"
#include "weft/dataplane/pipeline.h"

#define FRAME_MAX_SIZE 9500
#define MAX_CONNECTIONS 100000 /* Of the traced port that are copied. */

/* ---- tables ----------------------------------------------------------------------------------------------------------------- */

static int copy_rows(struct pipeline *pipeline, enum desired_table table, const struct rows *rows)
{
    for (size_t i = 0; i < rows->n; i++) {
        uint8_t key[64], value[1024]; /* Rows lie unaligned. */
        int result;

        memcpy(key, rows_key(rows, i), rows->key_size);
        memcpy(value, rows_value(rows, i), rows->value_size);
        result = pipeline_update(pipeline, desired_table_name(table), key, value);
        if (result < 0)
            return result;
    }
    return 0;
}

/* Arrays as they are in the kernel, at the indices that are in use. */
static int copy_element(const struct maps *maps, struct pipeline *pipeline, const char *table, uint32_t index)
{
    uint8_t value[1024];
    int fd = maps_descriptor(maps, table);

    if (fd < 0 || bpf_map_lookup_elem(fd, &index, value) < 0)
        return fd < 0 ? fd : -errno;
    return pipeline_update(pipeline, table, &index, value);
}

static int copy_records(const struct maps *maps, struct pipeline *pipeline)
{
    const struct desired *actual = maps_actual(maps);
    static const struct {
        enum desired_table of;
        const char *table;
    } arrays[] = {{TABLE_PORTS, "ports"}, {TABLE_PORTS, "port_runtime"}, {TABLE_POLICIES, "policies"}, {TABLE_ROUTER_PORTS, "router_ports"}, {TABLE_HOSTS, "hosts"}, {TABLE_HOSTS, "host_runtime"}, {TABLE_PROJECTS, "projects"}};
    int result = copy_element(maps, pipeline, "settings", 0);

    for (size_t i = 0; i < ARRAY_SIZE(arrays) && result == 0; i++) {
        const struct rows *rows = &actual->tables[arrays[i].of];

        for (size_t k = 0; k < rows->n && result == 0; k++) {
            uint32_t index;

            memcpy(&index, rows_key(rows, k), sizeof(index));
            result = copy_element(maps, pipeline, arrays[i].table, index);
        }
    }
    return result;
}

/* Rows that the programs write: all of a map, or, of balanced connections, those of a port. */
static int copy_written(const struct maps *maps, struct pipeline *pipeline, const char *table, uint32_t slot)
{
    uint64_t key[8], next[8], value[16];
    int fd = maps_descriptor(maps, table), result = 0;
    size_t key_size, value_size, n = 0;
    void *from = NULL;
    uint32_t n_entries;

    if (fd < 0 || pipeline_table(pipeline, table, &key_size, &value_size, &n_entries) < 0)
        return 0; /* An earlier release's, on a host that has none. */
    while (result == 0 && n < MAX_CONNECTIONS && bpf_map_get_next_key(fd, from, next) == 0) {
        uint32_t owner; /* A connection's key begins with it. */

        memcpy(key, next, sizeof(key));
        from = key;
        memcpy(&owner, key, sizeof(owner));
        if ((slot && (owner & (FLOW_KEY_IPV6 - 1)) != slot) || bpf_map_lookup_elem(fd, key, value) < 0)
            continue;
        result = pipeline_update(pipeline, table, key, value);
        n++;
    }
    return result;
}

struct connection_copy {
    struct pipeline *pipeline;
    size_t n;
    int result;
};

static int copy_connection(const struct flow_entry *entry, void *context)
{
    struct connection_copy *copy = context;

    copy->result = pipeline_update(copy->pipeline, "connections", &entry->key, entry);
    return copy->result < 0 || ++copy->n >= MAX_CONNECTIONS;
}

/* Those of a port. */
static int copy_connections(const struct maps *maps, struct pipeline *pipeline, uint32_t slot)
{
    struct connection_copy copy = {.pipeline = pipeline};

    maps_visit_entries(maps, slot, copy_connection, &copy);
    return copy.result;
}

static int fill(const struct agent *agent, struct pipeline *pipeline, uint32_t slot)
{
    const struct desired *actual = maps_actual(agent->maps);
    int result = copy_records(agent->maps, pipeline);

    for (int table = 0; table < N_DESIRED_TABLES && result == 0; table++)
        if (!desired_table_is_array(table))
            result = copy_rows(pipeline, table, &actual->tables[table]);
    if (result == 0)
        result = copy_written(agent->maps, pipeline, "learned", 0);
    if (result == 0 && slot)
        result = copy_connections(agent->maps, pipeline, slot);
    if (result == 0 && slot)
        result = copy_written(agent->maps, pipeline, "balanced", slot);
    pipeline_advance(pipeline, clock_monotonic_ns());
    return result;
}

/* ---- frames as text ----------------------------------------------------------------------------------------------------------- */

static int hex_digit(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static int parse_frame(const char *text, uint8_t *bytes, size_t *ret_size, struct error *error)
{
    size_t length = text ? strlen(text) : 0;

    if (!text || length % 2 || length < 2 * 14 || length > 2 * FRAME_MAX_SIZE)
        return error_set(error, -EINVAL, "frame", "frame: %zu hexadecimal digits are not a frame of 14 to %d bytes", length,
                         FRAME_MAX_SIZE);
    for (size_t i = 0; i < length / 2; i++) {
        int high = hex_digit(text[2 * i]), low = hex_digit(text[2 * i + 1]);

        if (high < 0 || low < 0)
            return error_set(error, -EINVAL, "frame", "frame: '%.2s' is not a byte in hexadecimal digits", text + 2 * i);
        bytes[i] = (uint8_t)(high << 4 | low);
    }
    *ret_size = length / 2;
    return 0;
}

static json_t *frame_json(const uint8_t *bytes, size_t size)
{
    static const char digits[] = "0123456789abcdef";
    char *text = malloc(2 * size + 1);
    json_t *json;

    if (!text)
        return NULL;
    for (size_t i = 0; i < size; i++) {
        text[2 * i] = digits[bytes[i] >> 4];
        text[2 * i + 1] = digits[bytes[i] & 15];
    }
    json = json_stringn(text, 2 * size);
    free(text);
    return json;
}

/* ---- the answer ------------------------------------------------------------------------------------------------------------------ */

static const char *host_in_slot(const struct agent *agent, uint32_t slot)
{
    HASHMAP_FOREACH(node, &agent->hosts) {
        const struct agent_host *host = CONTAINER_OF(node, struct agent_host, by_name);

        if (host->slot == slot)
            return host->name;
    }
    return NULL;
}

static json_t *describe(const struct agent *agent, const struct pipeline_result *result)
{
    json_t *steps = json_array(), *outputs = json_array();

    for (size_t i = 0; i < result->n_steps; i++)
        json_array_append_new(steps, json_pack("{s:s, s:s}", "stage", result->steps[i].stage, "text", result->steps[i].text));
    for (size_t i = 0; i < result->n_outputs; i++) {
        const struct pipeline_output *output = &result->outputs[i];
        const struct agent_port *port = output->port_slot ? agent_find_slot(agent, output->port_slot) : NULL;
        const uint8_t *bytes = output->bytes;
        size_t size = output->size;

        if (output->way == PIPELINE_PUNT && size >= offsetof(struct punt_event, frame)) {
            const struct punt_event *event = (const struct punt_event *)(const void *)bytes;

            size = MIN(event->size, size - offsetof(struct punt_event, frame));
            bytes = event->frame;
        }
        json_array_append_new(outputs, json_pack("{s:s?, s:s?, s:o?}", "host",
                                                 output->host_slot ? host_in_slot(agent, output->host_slot) : NULL, "port",
                                                 port ? port->id : NULL, "frame", frame_json(bytes, size)));
    }
    return json_pack("{s:o, s:s, s:s?, s:o}", "steps", steps, "verdict", pipeline_verdict_name(result->verdict), "reason",
                     drop_reason_name(result->reason), "outputs", outputs);
}

/* The frame enters either at a port or, with its outer headers, from another host. */
static int find_entry(const struct agent *agent, const json_t *arguments, struct pipeline_frame *frame,
                      enum pipeline_program *ret_program, uint32_t *ret_slot, struct error *error)
{
    const char *id = json_string_value(json_object_get(arguments, "port"));
    const struct agent_port *port = id ? agent_find_port(agent, id) : NULL;

    *ret_slot = 0;
    if (json_object_get(arguments, "tunnel_source")) {
        if (!agent->n_underlay_ifindexes)
            return error_set(error, -ENODEV, "tunnel_source", "tunnel_source: host '%s' has no underlay", agent->options.host);
        *ret_program = PIPELINE_FROM_UNDERLAY;
        frame->ifindex = agent->underlay_ifindexes[0];
        return 0;
    }
    if (!port)
        return error_set(error, -ENOENT, "port", "port: '%s' is not on host '%s'", id ? id : "", agent->options.host);
    if (!port->ifindex)
        return error_set(error, -ENODEV, "port", "port: '%s' is not plugged into an interface of host '%s'", id, agent->options.host);
    *ret_program = PIPELINE_FROM_WORKLOAD;
    *ret_slot = port->slot;
    frame->ifindex = port->ifindex;
    return 0;
}

json_t *agent_trace(struct agent *agent, const json_t *arguments, struct error *error)
{
    static uint8_t bytes[FRAME_MAX_SIZE];
    _cleanup_(pipeline_freep) struct pipeline *pipeline = NULL;
    struct pipeline_sizes sizes = {maps_sizes(agent->maps).n_ports, maps_sizes(agent->maps).n_hosts,
                                   maps_sizes(agent->maps).n_projects};
    struct pipeline_frame frame = {.bytes = bytes};
    struct pipeline_result result;
    enum pipeline_program program = PIPELINE_FROM_WORKLOAD;
    size_t size = 0;
    uint32_t slot = 0;
    json_t *answer;
    int failed;

    if (find_entry(agent, arguments, &frame, &program, &slot, error) < 0 ||
        parse_frame(json_string_value(json_object_get(arguments, "frame")), bytes, &size, error) < 0)
        return NULL;
    frame.size = (uint32_t)size;
    failed = pipeline_new(&sizes, &pipeline);
    if (failed == 0)
        failed = fill(agent, pipeline, slot);
    if (failed == 0)
        failed = pipeline_trace(pipeline, program, &frame, &result);
    if (failed < 0) {
        error_set(error, failed, NULL, "cannot trace: %s", strerror(-failed));
        return NULL;
    }
    answer = describe(agent, &result);
    pipeline_result_clear(&result);
    return answer;
}
