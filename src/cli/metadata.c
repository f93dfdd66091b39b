#include "weft/cli/metadata.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "weft/base/util.h"
#include "weft/cli/resource.h"

#define ATTRIBUTE "weft:metadata"
#define FILE_MAX_SIZE (64u << 10) /* More the API does not take. */

/* The file as text, without newlines at its end when it is to be one line. */
static int read_text(const char *flag, const char *path, bool is_line, json_t **ret, struct error *error)
{
    FILE *file = fopen(streq(path, "-") ? "/dev/stdin" : path, "re");
    _cleanup_(freep) char *text = malloc(FILE_MAX_SIZE + 1);
    size_t size = 0;
    bool failed;

    if (!file)
        return error_set(error, -errno, flag, "--%s: '%s': %s", flag, path, strerror(errno));
    if (text)
        size = fread(text, 1, FILE_MAX_SIZE + 1, file);
    failed = ferror(file);
    fclose(file);
    if (!text || failed)
        return error_set(error, text ? -EIO : -ENOMEM, flag, "--%s: '%s' cannot be read", flag, path);
    if (size > FILE_MAX_SIZE)
        return error_set(error, -EFBIG, flag, "--%s: '%s' is larger than 64 KiB", flag, path);
    while (is_line && size && (text[size - 1] == '\n' || text[size - 1] == '\r'))
        size--;
    *ret = json_stringn(text, size);
    return *ret ? 0 : error_set(error, -EINVAL, flag, "--%s: '%s' is not UTF-8 text", flag, path);
}

/* NAME=VALUE: stores the value behind the sign; the name is the caller's. */
static char *split(const char *flag, const char *text, const char **ret_value, struct error *error)
{
    const char *sign = strchr(text, '=');

    if (!sign || sign == text) {
        error_set(error, -EINVAL, flag, "--%s: '%s' is not NAME=VALUE", flag, text);
        return NULL;
    }
    *ret_value = sign + 1;
    return strndup(text, (size_t)(sign - text));
}

/* What the flags say; repeated ones make an object. */
static int read_flags(const struct call *call, json_t *metadata, struct error *error)
{
    json_t *keys = NULL, *meta = NULL;
    int r = 0;

    for (size_t i = 0; i < call->n_values && r == 0; i++) {
        const char *flag = call->values[i].flag->name, *text = call->values[i].text, *value;
        _cleanup_(freep) char *name = NULL;
        json_t *content = NULL;

        if (streq(flag, "hostname")) {
            json_object_set_new(metadata, "hostname", json_string(text));
        } else if (streq(flag, "user-data")) {
            r = read_text(flag, text, false, &content, error);
            if (r == 0)
                json_object_set_new(metadata, "user_data", content);
        } else if (streq(flag, "public-key")) {
            name = split(flag, text, &value, error);
            r = name ? read_text(flag, value, true, &content, error) : -EINVAL;
            if (r == 0)
                json_object_set_new(keys = keys ? keys : json_object(), name, content);
        } else if (streq(flag, "meta")) {
            name = split(flag, text, &value, error);
            r = name ? 0 : -EINVAL;
            if (r == 0)
                json_object_set_new(meta = meta ? meta : json_object(), name, json_string(value));
        }
    }
    if (keys)
        json_object_set_new(metadata, "public_keys", keys);
    if (meta)
        json_object_set_new(metadata, "meta", meta);
    return r;
}

static int update(struct call *call, const json_t *port, json_t *metadata)
{
    _cleanup_(json_decrefp) json_t *changes = json_pack("{s:O}", ATTRIBUTE, metadata), *updated = NULL;
    int r = changes ? resource_update(call->session, &resource_port, resource_id(port), changes, &updated, &call->error) : -ENOMEM;

    return r < 0 ? r : output_object(call, json_object_get(updated, ATTRIBUTE));
}

int run_metadata_set(struct call *call)
{
    _cleanup_(json_decrefp) json_t *port = NULL, *metadata = NULL;
    int r = resource_find(call->session, &resource_port, call_argument(call, 0), &port, &call->error);

    if (r < 0)
        return r;
    metadata = json_deep_copy(json_object_get(port, ATTRIBUTE));
    if (!metadata)
        metadata = json_object();
    r = read_flags(call, metadata, &call->error);
    return r < 0 ? r : update(call, port, metadata);
}

int run_metadata_show(struct call *call)
{
    _cleanup_(json_decrefp) json_t *port = NULL;
    int r = resource_find(call->session, &resource_port, call_argument(call, 0), &port, &call->error);

    return r < 0 ? r : output_object(call, json_object_get(port, ATTRIBUTE));
}

int run_metadata_clear(struct call *call)
{
    _cleanup_(json_decrefp) json_t *port = NULL, *nothing = json_object();
    int r = resource_find(call->session, &resource_port, call_argument(call, 0), &port, &call->error);

    return r < 0 ? r : update(call, port, nothing);
}
