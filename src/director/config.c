#include "weft/director/config.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "weft/base/buffer.h"
#include "weft/base/file.h"
#include "weft/base/util.h"
#include "weft/director/config-parts.h"
#include "weft/director/members.h"

#define READ_SIZE 65536

static inline void json_free(json_t **json)
{
    json_decref(*json);
}

struct director_config *director_config_new(void)
{
    struct director_config *config = calloc(1, sizeof(*config));

    if (config) {
        config->timeouts = CONNECTION_TIMEOUTS_DEFAULT;
        config->connections = DIRECTOR_CONNECTIONS_DEFAULT;
        config->second_chance_port = SECOND_CHANCE_PORT_DEFAULT;
    }
    return config;
}

void director_config_free(struct director_config *config)
{
    if (!config)
        return;
    for (size_t i = 0; i < config->n_services; i++)
        virtual_service_clear(&config->services[i]);
    free(config->services);
    free(config->mark_rules);
    free(config->local_addresses);
    free(config->interfaces);
    free(config);
}

/* ---- The members. ---- */

/* A list of what is one member elsewhere. */
static int element_decode(const json_t *json, void *element, const void *context, struct error *error)
{
    _cleanup_(json_free) json_t *object = json_object();

    if (!object || json_object_set(object, "element", (json_t *)json) < 0)
        return error_set(error, -ENOMEM, NULL, "out of memory");
    if (members_decode(context, object, element, error) == 0)
        return 0;
    if (error)
        error->field[0] = 0;
    return -EINVAL;
}

static const struct member interface_members[] = {{"element", MEMBER_INTERFACE, .is_required = true}, {0}};
static const struct member address_members[] = {{"element", MEMBER_ADDRESS, .is_required = true}, {0}};

static int interfaces_decode(const json_t *json, void *object, struct error *error)
{
    struct director_config *config = object;

    return members_decode_array(json, sizeof(*config->interfaces), DIRECTOR_INTERFACES_MAX, element_decode,
                                interface_members, &config->interfaces, &config->n_interfaces, error);
}

static int interfaces_encode(const void *object, const void *defaults, json_t **ret_json)
{
    const struct director_config *config = object;

    (void)defaults;
    *ret_json = config->n_interfaces ? json_array() : NULL;
    for (size_t i = 0; i < config->n_interfaces; i++)
        if (!*ret_json || members_append(*ret_json, json_string(config->interfaces[i])) < 0)
            return json_decref(*ret_json), -ENOMEM;
    return 0;
}

static int addresses_decode(const json_t *json, void *object, struct error *error)
{
    struct director_config *config = object;

    return members_decode_array(json, sizeof(*config->local_addresses), DIRECTOR_LOCAL_ADDRESSES_MAX, element_decode,
                                address_members, &config->local_addresses, &config->n_local_addresses, error);
}

static int addresses_encode(const void *object, const void *defaults, json_t **ret_json)
{
    const struct director_config *config = object;
    char text[IP_TEXT_SIZE];

    (void)defaults;
    *ret_json = config->n_local_addresses ? json_array() : NULL;
    for (size_t i = 0; i < config->n_local_addresses; i++)
        if (!*ret_json || members_append(*ret_json, json_string(ip_format(&config->local_addresses[i], text))) < 0)
            return json_decref(*ret_json), -ENOMEM;
    return 0;
}

static const struct member timeout_members[] = {
    {"tcp_s", MEMBER_U32, .offset = offsetof(struct connection_timeouts, tcp_s), .minimum = 1,
     .maximum = TIMEOUT_MAX_S},
    {"tcp_fin_s", MEMBER_U32, .offset = offsetof(struct connection_timeouts, tcp_fin_s), .minimum = 1,
     .maximum = TIMEOUT_MAX_S},
    {"udp_s", MEMBER_U32, .offset = offsetof(struct connection_timeouts, udp_s), .minimum = 1,
     .maximum = TIMEOUT_MAX_S},
    {0},
};

static int timeouts_decode(const json_t *json, void *object, struct error *error)
{
    return members_decode(timeout_members, json, &((struct director_config *)object)->timeouts, error);
}

static int timeouts_encode(const void *object, const void *defaults, json_t **ret_json)
{
    const struct connection_timeouts *timeouts = &((const struct director_config *)object)->timeouts;
    const struct connection_timeouts usual = CONNECTION_TIMEOUTS_DEFAULT;

    (void)defaults;
    *ret_json = NULL;
    if (!memcmp(timeouts, &usual, sizeof(usual)))
        return 0;
    *ret_json = members_encode(timeout_members, timeouts, &usual);
    return *ret_json ? 0 : -ENOMEM;
}

static int rules_decode(const json_t *json, void *object, struct error *error)
{
    struct director_config *config = object;

    return members_decode_array(json, sizeof(*config->mark_rules), DIRECTOR_MARK_RULES_MAX, mark_rule_decode, NULL,
                                &config->mark_rules, &config->n_mark_rules, error);
}

static int rules_encode(const void *object, const void *defaults, json_t **ret_json)
{
    const struct director_config *config = object;

    (void)defaults;
    *ret_json = config->n_mark_rules ? json_array() : NULL;
    for (size_t i = 0; i < config->n_mark_rules; i++)
        if (!*ret_json || members_append(*ret_json, mark_rule_encode(&config->mark_rules[i])) < 0)
            return json_decref(*ret_json), -ENOMEM;
    return 0;
}

static int services_decode(const json_t *json, void *object, struct error *error)
{
    struct director_config *config = object;

    return members_decode_array(json, sizeof(*config->services), DIRECTOR_SERVICES_MAX, virtual_service_decode, NULL,
                                &config->services, &config->n_services, error);
}

static int services_encode(const void *object, const void *defaults, json_t **ret_json)
{
    const struct director_config *config = object;

    (void)defaults;
    *ret_json = json_array();
    for (size_t i = 0; i < config->n_services; i++)
        if (!*ret_json || members_append(*ret_json, virtual_service_encode(&config->services[i])) < 0)
            return json_decref(*ret_json), -ENOMEM;
    return *ret_json ? 0 : -ENOMEM;
}

static const struct member config_members[] = {
    {"interfaces", MEMBER_CUSTOM, .decode = interfaces_decode, .encode = interfaces_encode},
    {"local_addresses", MEMBER_CUSTOM, .decode = addresses_decode, .encode = addresses_encode},
    {"timeouts", MEMBER_CUSTOM, .decode = timeouts_decode, .encode = timeouts_encode},
    {"connections", MEMBER_U32, .offset = offsetof(struct director_config, connections), .minimum = DIRECTOR_CONNECTIONS_MIN,
     .maximum = DIRECTOR_CONNECTIONS_MAX},
    {"second_chance_port", MEMBER_U16, .offset = offsetof(struct director_config, second_chance_port), .minimum = 1},
    {"mark_rules", MEMBER_CUSTOM, .decode = rules_decode, .encode = rules_encode},
    {"services", MEMBER_CUSTOM, .decode = services_decode, .encode = services_encode},
    {0},
};

/* ---- Text. ---- */

/* A message is read by itself: where it is about a member, it begins with the member's path. */
static void put_field_into_message(struct error *error)
{
    char message[sizeof(error->message)];

    if (!error || !error->code || !error->field[0])
        return;
    snprintf(message, sizeof(message), "%.*s: %.*s", (int)sizeof(error->field), error->field,
             (int)(sizeof(message) - sizeof(error->field) - 3), error->message);
    string_copy(error->message, sizeof(error->message), message);
}

int director_config_parse(const char *text, size_t length, struct director_config **ret_config, struct error *error)
{
    _cleanup_(director_config_freep) struct director_config *config = director_config_new();
    _cleanup_(json_free) json_t *json = NULL;
    json_error_t where;
    int result;

    if (!config)
        return error_set(error, -ENOMEM, NULL, "out of memory");
    json = json_loadb(text, length, JSON_REJECT_DUPLICATES, &where);
    if (!json)
        return json_error_code(&where) == json_error_out_of_memory
                   ? error_set(error, -ENOMEM, NULL, "out of memory")
                   : error_set(error, -EINVAL, NULL, "line %d, column %d: %s", where.line, where.column, where.text);
    result = members_decode(config_members, json, config, error);
    if (result == 0)
        result = director_config_check(config, error);
    if (result < 0) {
        put_field_into_message(error);
        return result;
    }
    *ret_config = TAKE_PTR(config);
    return 0;
}

char *director_config_format(const struct director_config *config)
{
    _cleanup_(director_config_freep) struct director_config *usual = director_config_new();
    _cleanup_(json_free) json_t *json = usual ? members_encode(config_members, config, usual) : NULL;
    char *text = json ? json_dumps(json, JSON_INDENT(2)) : NULL, *whole;
    size_t length = text ? strlen(text) : 0;

    whole = text ? realloc(text, length + 2) : NULL;
    if (!whole) {
        free(text);
        return NULL;
    }
    memcpy(whole + length, "\n", 2);
    return whole;
}

/* ---- The file. ---- */

static int read_all(int fd, struct buffer *buffer)
{
    for (;;) {
        ssize_t n;

        if (buffer_reserve(buffer, READ_SIZE) < 0)
            return -ENOMEM;
        n = read(fd, buffer->data + buffer->size, READ_SIZE);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? -errno : 0;
        buffer->size += (size_t)n;
        if (buffer->size > DIRECTOR_CONFIG_SIZE_MAX)
            return -EFBIG;
    }
}

static void put_path_into_message(const char *path, struct error *error)
{
    char message[sizeof(error->message)];

    if (!error)
        return;
    string_copy(message, sizeof(message), error->message);
    snprintf(error->message, sizeof(error->message), "%.200s: %.300s", path, message);
}

int director_config_read(const char *path, struct director_config **ret_config, struct error *error)
{
    _cleanup_(buffer_clear) struct buffer buffer = {0};
    _cleanup_(closep) int fd = open(path, O_RDONLY | O_CLOEXEC);
    int result = fd < 0 ? -errno : read_all(fd, &buffer);

    if (result < 0)
        return error_set(error, result, NULL, "%s: %s", path, strerror(-result));
    result = director_config_parse(buffer.data ? buffer.data : "", buffer.size, ret_config, error);
    if (result < 0)
        put_path_into_message(path, error);
    return result;
}

static int write_all(int fd, const char *data, size_t size)
{
    while (size) {
        ssize_t n = write(fd, data, size);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        data += n;
        size -= (size_t)n;
    }
    return 0;
}

/* As the file that is there: who may read it, and whose it is. */
static void take_after(int fd, const char *path)
{
    struct stat there;

    if (stat(path, &there) < 0) {
        (void)!fchmod(fd, 0644);
        return;
    }
    (void)!fchown(fd, there.st_uid, there.st_gid);
    (void)!fchmod(fd, there.st_mode & 07777);
}

static int write_file(const char *path, const char *text)
{
    char temporary[PATH_MAX];
    _cleanup_(closep) int fd = -1;
    int result;

    if (snprintf(temporary, sizeof(temporary), "%s.XXXXXX", path) >= (int)sizeof(temporary))
        return -ENAMETOOLONG;
    fd = mkostemp(temporary, O_CLOEXEC);
    if (fd < 0)
        return -errno;
    take_after(fd, path);
    result = write_all(fd, text, strlen(text));
    if (result == 0)
        result = file_replace(fd, temporary, path);
    if (result < 0)
        unlink(temporary);
    return result;
}

/* A link stays a link, to the new file. */
static int follow_links(const char *path, char target[PATH_MAX])
{
    if (realpath(path, target))
        return 0;
    return errno == ENOENT ? string_copy(target, PATH_MAX, path) : -errno;
}

int director_config_write(const char *path, const struct director_config *config, struct error *error)
{
    _cleanup_(freep) char *text = NULL;
    char target[PATH_MAX];
    int result = director_config_check(config, error);

    if (result < 0) {
        put_field_into_message(error);
        return result;
    }
    text = director_config_format(config);
    result = text ? follow_links(path, target) : -ENOMEM;
    if (result == 0)
        result = write_file(target, text);
    return result < 0 ? error_set(error, result, NULL, "%s: %s", path, strerror(-result)) : 0;
}

int director_config_lock(const char *path, int *ret_fd, struct error *error)
{
    _cleanup_(closep) int fd = -1;
    char target[PATH_MAX], name[PATH_MAX];
    int result = follow_links(path, target);

    if (result == 0 && snprintf(name, sizeof(name), "%s.lock", target) >= (int)sizeof(name))
        result = -ENAMETOOLONG;
    if (result < 0)
        return error_set(error, result, NULL, "%s: %s", path, strerror(-result));
    fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return error_set(error, -errno, NULL, "%s: %s", name, strerror(errno));
    while (flock(fd, LOCK_EX) < 0)
        if (errno != EINTR)
            return error_set(error, -errno, NULL, "%s: %s", name, strerror(errno));
    *ret_fd = TAKE_FD(fd);
    return 0;
}

/* ---- Finding. ---- */

struct virtual_service *director_config_find(const struct director_config *config, const struct virtual_service *key)
{
    for (size_t i = 0; i < config->n_services; i++)
        if (virtual_service_same_key(&config->services[i], key))
            return &config->services[i];
    return NULL;
}

struct real_server *virtual_service_find(const struct virtual_service *service, const struct real_server *key)
{
    for (size_t i = 0; i < service->n_servers; i++)
        if (real_server_same_key(&service->servers[i], key))
            return &service->servers[i];
    return NULL;
}
