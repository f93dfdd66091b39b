/* 'weft fabric slice ...': which hosts may speak to each other. */
#include "weft/cli/fabric.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "weft/base/address.h"
#include "weft/base/util.h"
#include "weft/cli/fabric-ask.h"
#include "weft/cli/resource.h"
#include "weft/cli/text.h"

static const struct column slice_columns[] = {
    {"name", "NAME"}, {"n_bindings", "BINDINGS"}, {"bindings", "ARE"}, {NULL, NULL},
};

/* "0xe1:3 vlan 10", "0xe1:3 02:...", "02:..." */
static json_t *binding_for_people(const json_t *binding)
{
    const char *id = resource_string(binding, "switch"), *mac = resource_string(binding, "mac");
    const json_t *vlan = json_object_get(binding, "vlan");
    char place[40] = "", tag[24] = "", text[ID_TEXT_SIZE];

    if (*id)
        snprintf(place, sizeof place, "%s:%lld", fabric_short_id(id, text), (long long)fabric_number_of(binding, "port"));
    if (json_is_integer(vlan))
        snprintf(tag, sizeof tag, " vlan %lld", (long long)json_integer_value(vlan));
    else if (vlan)
        snprintf(tag, sizeof tag, " untagged");
    return json_sprintf("%s%s%s%s", place, tag, *place && *mac ? " " : "", mac);
}

static json_t *slice_for_people(const json_t *slice)
{
    json_t *bindings = json_array();
    const json_t *binding;
    size_t i;

    json_array_foreach (json_object_get(slice, "bindings"), i, binding)
        if (json_array_append_new(bindings, binding_for_people(binding)) < 0) {
            json_decref(bindings);
            return NULL;
        }
    return json_pack("{s:s,s:I,s:o}", "name", resource_string(slice, "name"), "n_bindings", (json_int_t)json_array_size(bindings), "bindings",
                     bindings);
}

int run_fabric_slice_list(struct call *call)
{
    _cleanup_(json_decrefp) json_t *slices = NULL, *rows = json_array();
    const json_t *slice;
    size_t i;
    int r = rows ? fabric_list(call->session, "slices", NULL, &slices, &call->error) : -ENOMEM;

    if (r < 0 || fabric_wants_json(call))
        return r < 0 ? r : output_list(call, slices, NULL);
    json_array_foreach (slices, i, slice)
        if (json_array_append_new(rows, slice_for_people(slice)) < 0)
            return -ENOMEM;
    return output_list(call, rows, slice_columns);
}

static int print_slice(struct call *call, const json_t *answer)
{
    _cleanup_(json_decrefp) json_t *slice = NULL, *readable = NULL;
    int r = fabric_part_of(answer, "slice", &slice, &call->error);

    if (r < 0 || fabric_wants_json(call))
        return r < 0 ? r : output_object(call, slice);
    readable = slice_for_people(slice);
    return readable ? output_object(call, readable) : -ENOMEM;
}

static int slice_path(struct call *call, const char *name, char **ret)
{
    _cleanup_(freep) char *escaped = session_escape(call->session, name);

    return escaped ? text_format(ret, "/slices/%s", escaped) : -ENOMEM;
}

int run_fabric_slice_show(struct call *call)
{
    _cleanup_(json_decrefp) json_t *answer = NULL;
    _cleanup_(freep) char *path = NULL;
    int r = slice_path(call, call_argument(call, 0), &path);

    if (r >= 0)
        r = fabric_ask(call, "GET", NULL, &answer, "%s", path);
    return r < 0 ? r : print_slice(call, answer);
}

/* One KEY=VALUE of a binding; '*whole' is what was written, for the message. */
static int parse_binding_part(json_t *binding, char *part, const char *whole, struct error *error)
{
    char *value = strchr(part, '=');
    struct mac_address mac;
    json_t *parsed = NULL;
    uint64_t number;

    if (!value)
        return error_set(error, -EINVAL, "binding", "--binding: '%s': '%s' is not KEY=VALUE", whole, part);
    *value++ = '\0';
    if (json_object_get(binding, part))
        return error_set(error, -EINVAL, "binding", "--binding: '%s': there are two '%s'", whole, part);
    if (streq(part, "switch") && fabric_parse_id(value, &number) == 0)
        parsed = json_sprintf("0x%llx", (unsigned long long)number);
    else if (streq(part, "port") && parse_u64(value, 1, PORT_MAX, &number) == 0)
        parsed = json_integer((json_int_t)number);
    else if (streq(part, "vlan") && streq(value, "untagged"))
        parsed = json_string(value);
    else if (streq(part, "vlan") && parse_u64(value, 0, 4095, &number) == 0)
        parsed = json_integer((json_int_t)number);
    else if (streq(part, "mac") && mac_parse(value, &mac) == 0)
        parsed = json_string(value);
    else if (streq(part, "switch"))
        return error_set(error, -EINVAL, "binding", "--binding: switch: '%s' is not a switch's id, such as 0xe5 or 229", value);
    else if (streq(part, "port"))
        return error_set(error, -EINVAL, "binding", "--binding: port: '%s' is not a port's number", value);
    else if (streq(part, "vlan"))
        return error_set(error, -EINVAL, "binding", "--binding: vlan: '%s' is not 0 to 4095 or 'untagged'", value);
    else if (streq(part, "mac"))
        return error_set(error, -EINVAL, "binding", "--binding: mac: '%s' is not a MAC address", value);
    else
        return error_set(error, -EINVAL, "binding", "--binding: '%s' is not switch, port, vlan or mac", part);
    return json_object_set_new(binding, part, parsed) < 0 ? -ENOMEM : 0;
}

static int add_binding(json_t *bindings, const char *text, struct error *error)
{
    json_t *binding = json_object();
    _cleanup_(freep) char *copy = strdup(text);
    char *rest = copy, *part;

    if (json_array_append_new(bindings, binding) < 0 || !copy)
        return -ENOMEM;
    while ((part = strsep(&rest, ","))) {
        int r = parse_binding_part(binding, part, text, error);

        if (r < 0)
            return r;
    }
    return 0;
}

/* {"slice": {"bindings": [...]}}, or what is within, as 'slice show -o json' prints it. */
static int read_slice_file(const char *path, json_t **ret, struct error *error)
{
    json_error_t cause;
    _cleanup_(json_decrefp) json_t *json =
        streq(path, "-") ? json_loadf(stdin, JSON_REJECT_DUPLICATES, &cause) : json_load_file(path, JSON_REJECT_DUPLICATES, &cause);
    json_t *slice;

    if (!json)
        return error_set(error, -EINVAL, "file", "--file: '%s', line %d: %s", path, cause.line, cause.text);
    slice = json_object_get(json, "slice");
    slice = slice ? slice : json;
    if (!json_is_array(json_object_get(slice, "bindings")))
        return error_set(error, -EINVAL, "file", "--file: '%s' has no list \"bindings\"", path);
    *ret = json_incref(slice);
    return 0;
}

static int slice_of_flags(struct call *call, json_t **ret)
{
    _cleanup_(json_decrefp) json_t *slice = json_pack("{s:[]}", "bindings");
    const char *file = call_flag(call, "file");

    if (file && call_flag(call, "binding"))
        return error_set(&call->error, -EINVAL, "file", "--file and --binding exclude each other");
    if (file)
        return read_slice_file(file, ret, &call->error);
    if (!slice)
        return -ENOMEM;
    for (size_t i = 0; i < call->n_values; i++) {
        int r = streq(call->values[i].flag->name, "binding")
                    ? add_binding(json_object_get(slice, "bindings"), call->values[i].text, &call->error)
                    : 0;

        if (r < 0)
            return r;
    }
    if (json_array_size(json_object_get(slice, "bindings")) == 0)
        return error_set(&call->error, -EINVAL, "binding", "which hosts belong to it? give --binding or --file");
    *ret = TAKE_PTR(slice);
    return 0;
}

int run_fabric_slice_set(struct call *call)
{
    _cleanup_(json_decrefp) json_t *slice = NULL, *body = NULL, *answer = NULL;
    _cleanup_(freep) char *path = NULL;
    int r = slice_of_flags(call, &slice);

    if (r < 0)
        return r;
    json_object_del(slice, "name"); /* A file may be of another slice: the argument says which one is set. */
    body = json_pack("{s:O}", "slice", slice);
    r = body ? slice_path(call, call_argument(call, 0), &path) : -ENOMEM;
    if (r >= 0)
        r = fabric_ask(call, "PUT", body, &answer, "%s", path);
    return r < 0 ? r : print_slice(call, answer);
}

int run_fabric_slice_delete(struct call *call)
{
    int first = 0;

    for (size_t i = 0; i < call->n_arguments; i++) {
        _cleanup_(freep) char *path = NULL;
        struct error cause = {0};
        int r = slice_path(call, call->arguments[i], &path);

        if (r >= 0)
            r = session_request(call->session, SERVICE_FABRIC, "DELETE", path, NULL, NULL, &cause);
        if (r < 0 && !first) {
            first = r;
            call->error = cause;
        } else if (r < 0) {
            fprintf(stderr, "weft: %s\n", cause.message);
        }
    }
    return first;
}
