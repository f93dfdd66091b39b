#include "weft/controller/slices-file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "weft/base/cleanup.h"
#include "weft/base/file.h"
#include "weft/base/util.h"
#include "weft/controller/describe.h"
#include "weft/fabric/slices.h"
#include "weft/fabric/state.h"

static void json_free(json_t **json)
{
    json_decref(*json);
}

/* ---- from JSON ------------------------------------------------------------------------------------------------------------------ */

static int parse_id(const json_t *value, uint64_t *ret)
{
    const char *text = json_string_value(value);

    if (json_is_integer(value) && json_integer_value(value) >= 0) {
        *ret = (uint64_t)json_integer_value(value);
        return 0;
    }
    return text ? datapath_parse(text, ret) : -EINVAL;
}

static int fail(struct error *error, size_t index, const char *field, const json_t *value, const char *what)
{
    char *text = json_dumps(value, JSON_ENCODE_ANY);

    error_set(error, -EINVAL, field, "slice.bindings[%zu]%s%s: %.80s is not %s", index, *field ? "." : "", field, text ? text : "?", what);
    free(text);
    return -EINVAL;
}

static int parse_binding(size_t index, const json_t *json, struct slice_binding *ret, struct error *error)
{
    const json_t *id = json_object_get(json, "switch"), *port = json_object_get(json, "port"), *vlan = json_object_get(json, "vlan"),
                 *mac = json_object_get(json, "mac");
    const char *key;
    json_t *value;

    if (!json_is_object(json))
        return fail(error, index, "", json, "an object");
    json_object_foreach ((json_t *)json, key, value)
        if (!streq(key, "switch") && !streq(key, "port") && !streq(key, "vlan") && !streq(key, "mac"))
            return fail(error, index, key, value, "a part of a binding: these are switch, port, vlan and mac");
    if (id && parse_id(id, &ret->datapath_id) < 0)
        return fail(error, index, "switch", id, "a datapath id");
    if (port && (!json_is_integer(port) || json_integer_value(port) < 1 || json_integer_value(port) >= OFPP_MAX))
        return fail(error, index, "port", port, "a port's number");
    if (!id != !port)
        return error_set(error, -EINVAL, id ? "port" : "switch", "slice.bindings[%zu].%s: is missing: a switch and a port go together", index,
                         id ? "port" : "switch");
    if (vlan && !(json_is_string(vlan) && streq(json_string_value(vlan), "untagged")) &&
        (!json_is_integer(vlan) || json_integer_value(vlan) < 0 || json_integer_value(vlan) > 4095))
        return fail(error, index, "vlan", vlan, "0 to 4095, or \"untagged\"");
    if (mac && (!json_is_string(mac) || mac_parse(json_string_value(mac), &ret->mac) < 0))
        return fail(error, index, "mac", mac, "a MAC address");
    ret->has_port = port != NULL;
    ret->has_vlan = vlan != NULL;
    ret->has_mac = mac != NULL;
    ret->port = (uint32_t)json_integer_value(port);
    ret->vlan = json_is_string(vlan) ? FRAME_NO_VLAN : (uint16_t)json_integer_value(vlan);
    return 0;
}

/* What is misspelt must not pass for a slice without bindings: its hosts would reach nobody. */
static int check_slice(const char *name, const json_t *slice, struct error *error)
{
    const json_t *bindings = json_object_get(slice, "bindings");
    const char *key;
    json_t *value;

    json_object_foreach ((json_t *)slice, key, value) {
        _cleanup_(freep) char *text = json_dumps(value, JSON_ENCODE_ANY);

        if (streq(key, "name") && !(json_is_string(value) && streq(json_string_value(value), name)))
            return error_set(error, -EINVAL, "slice.name", "slice.name: %.80s is not '%s'", text ? text : "?", name);
        if (streq(key, "bindings") && !json_is_array(value))
            return error_set(error, -EINVAL, "slice.bindings", "slice.bindings: %.80s is not a list", text ? text : "?");
        if (!streq(key, "name") && !streq(key, "bindings"))
            return error_set(error, -EINVAL, "slice", "slice.%.80s: cannot be set: these are name and bindings", key);
    }
    return bindings ? 0 : error_set(error, -EINVAL, "slice.bindings", "slice.bindings: is missing");
}

static int put(struct fabric *fabric, const char *name, const json_t *slice, struct error *error)
{
    const json_t *list = json_object_get(slice, "bindings"), *item;
    _cleanup_(freep) struct slice_binding *bindings = NULL;
    size_t i;

    if (check_slice(name, slice, error) < 0)
        return error ? error->code : -EINVAL;
    if (json_array_size(list) > SLICE_BINDINGS_MAX)
        return error_set(error, -EINVAL, "slice.bindings", "slice.bindings: '%zu' are more than %d", json_array_size(list), SLICE_BINDINGS_MAX);
    bindings = calloc(MAX(json_array_size(list), (size_t)1), sizeof(*bindings));
    if (!bindings)
        return error_set(error, -ENOMEM, NULL, "out of memory");
    json_array_foreach (list, i, item)
        if (parse_binding(i, item, &bindings[i], error) < 0)
            return -EINVAL;
    return slices_set(fabric->slices, name, bindings, json_array_size(list), error);
}

int slices_put_json(struct fabric *fabric, const char *name, const json_t *slice, struct error *error)
{
    int result = put(fabric, name, slice, error);

    if (result == 0)
        fabric_slices_changed(fabric);
    return result;
}

/* ---- to JSON --------------------------------------------------------------------------------------------------------------------- */

static json_t *binding_to_json(const struct slice_binding *binding)
{
    char id[DATAPATH_TEXT_SIZE], mac[MAC_TEXT_SIZE];
    json_t *json = json_object();
    int result = 0;

    if (binding->has_port)
        result = json_object_set_new(json, "switch", json_string(datapath_text(binding->datapath_id, id))) |
                 json_object_set_new(json, "port", json_integer(binding->port));
    if (binding->has_vlan)
        result |= json_object_set_new(json, "vlan", binding->vlan == FRAME_NO_VLAN ? json_string("untagged") : json_integer(binding->vlan));
    if (binding->has_mac)
        result |= json_object_set_new(json, "mac", json_string(mac_format(&binding->mac, mac)));
    if (result < 0) {
        json_decref(json);
        return NULL;
    }
    return json;
}

static json_t *to_json(const char *name, const struct slice_binding *bindings, size_t n)
{
    json_t *list = json_array();

    for (size_t i = 0; i < n; i++)
        json_append(&list, binding_to_json(&bindings[i]));
    return json_pack("{s:s,s:o}", "name", name, "bindings", list);
}

json_t *slices_to_json(struct fabric *fabric)
{
    const struct slice_binding *bindings;
    json_t *list = json_array();
    const char *name;
    uint32_t number;
    size_t index = 0, n;

    while (slices_next(fabric->slices, &index, &name, &number, &bindings, &n))
        json_append(&list, to_json(name, bindings, n));
    return json_pack("{s:o}", "slices", list);
}

json_t *slice_to_json(struct fabric *fabric, const char *wanted, bool *ret_exists)
{
    const struct slice_binding *bindings;
    const char *name;
    uint32_t number;
    size_t index = 0, n;

    *ret_exists = false;
    while (slices_next(fabric->slices, &index, &name, &number, &bindings, &n)) {
        *ret_exists = streq(name, wanted);
        if (*ret_exists)
            return json_pack("{s:o}", "slice", to_json(name, bindings, n));
    }
    return NULL;
}

/* ---- the file -------------------------------------------------------------------------------------------------------------------- */

int slices_file_load(struct fabric *fabric, const char *path, struct error *error)
{
    _cleanup_(json_free) json_t *json = NULL, *names = json_object();
    const json_t *slice;
    json_error_t cause;
    size_t i;

    if (access(path, F_OK) < 0 && errno == ENOENT)
        return 0;
    json = json_load_file(path, JSON_REJECT_DUPLICATES, &cause);
    if (!json)
        return error_set(error, -EINVAL, "slices", "slices: '%s', line %d: %s", path, cause.line, cause.text);
    if (!json_is_array(json_object_get(json, "slices")))
        return error_set(error, -EINVAL, "slices", "slices: '%s' has no list \"slices\"", path);
    json_array_foreach (json_object_get(json, "slices"), i, slice) {
        const char *name = json_string_value(json_object_get(slice, "name"));
        struct error why = {0};

        if (!name)
            return error_set(error, -EINVAL, "slices", "slices: '%s': slice %zu has no name", path, i);
        if (json_object_get(names, name))
            return error_set(error, -EINVAL, "slices", "slices: '%s': slice '%s' is there twice", path, name);
        if (json_object_set_new(names, name, json_true()) < 0)
            return error_set(error, -ENOMEM, NULL, "out of memory");
        if (put(fabric, name, slice, &why) < 0)
            return error_set(error, why.code, "slices", "slices: '%s': slice '%s': %s", path, name, why.message);
    }
    return 0;
}

static int write_all(int fd, const char *bytes, size_t size)
{
    while (size) {
        ssize_t n = write(fd, bytes, size);

        if (n < 0 && errno != EINTR)
            return -errno;
        if (n > 0) {
            bytes += n;
            size -= (size_t)n;
        }
    }
    return 0;
}

int slices_file_save(struct fabric *fabric, const char *path, struct error *error)
{
    _cleanup_(json_free) json_t *json = slices_to_json(fabric);
    _cleanup_(freep) char *text = json ? json_dumps(json, JSON_INDENT(2)) : NULL;
    char fresh[4096];
    int fd, result;

    if (!text)
        return error_set(error, -ENOMEM, NULL, "out of memory");
    if (snprintf(fresh, sizeof(fresh), "%s.new", path) >= (int)sizeof(fresh))
        return error_set(error, -ENAMETOOLONG, "slices", "slices: '%s' is too long", path);
    fd = open(fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0640);
    if (fd < 0)
        return error_set(error, -errno, "slices", "slices: cannot write '%s': %s", fresh, strerror(errno));
    result = write_all(fd, text, strlen(text));
    if (result == 0)
        result = file_replace(fd, fresh, path);
    close(fd);
    if (result < 0) {
        unlink(fresh);
        return error_set(error, result, "slices", "slices: cannot write '%s': %s", path, strerror(-result));
    }
    return 0;
}
