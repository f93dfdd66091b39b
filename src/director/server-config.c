/* See server-config.h. */
#include "weft/director/server-config.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "weft/base/util.h"
#include "weft/director/members.h"

#define SECTION "real_server"
#define ROOM_IPV4 50  /* VXLAN; a chain of three has 48. */
#define ROOM_IPV6 104 /* A chain of three; VXLAN has 70. */

static inline void json_free(json_t **json)
{
    json_decref(*json);
}

void server_config_free(struct server_config *config)
{
    if (!config)
        return;
    free(config->interfaces);
    free(config->answer_interfaces);
    free(config->addresses);
    free(config->directors);
    free(config->servers);
    free(config);
}

/* ---- elements of lists ---------------------------------------------------------------------------------------------------------------- */

static int interface_decode(const json_t *json, void *element, const void *context, struct error *error)
{
    const char *name = json_string_value(json);

    if (!name || !name[0] || strchr(name, '/') || string_copy(element, IFNAMSIZ, name) < 0)
        return member_refuse(json, "the name of an interface", error);
    return 0;
}

static bool is_host(const struct ip_address *address)
{
    return !ip_is_zero(address) && !ip_is_multicast(address);
}

static int address_decode(const json_t *json, void *element, const void *context, struct error *error)
{
    struct ip_address *address = element;
    const char *text = json_string_value(json);

    if (!text || ip_parse(text, address) < 0 || !is_host(address))
        return member_refuse(json, "the address of a host", error);
    return 0;
}

/* "10.0.0.2" is one host, "10.0.0.0/24" all of them. */
static int prefix_decode(const json_t *json, void *element, const void *context, struct error *error)
{
    struct ip_prefix *prefix = element;
    const char *text = json_string_value(json);
    int result = !text ? -EINVAL : strchr(text, '/') ? prefix_parse(text, prefix) : prefix_parse_host(text, prefix);

    if (result == -ERANGE)
        return member_refuse(json, "a prefix whose other bits are zero", error);
    if (result < 0 || ip_is_multicast(&prefix->address) || !prefix->length)
        return member_refuse(json, "the address of a host, nor a prefix of such", error);
    return 0;
}

static int interfaces_decode(const json_t *json, void *object, struct error *error)
{
    struct server_config *config = object;

    return members_decode_array(json, sizeof(*config->interfaces), DIRECTOR_INTERFACES_MAX, interface_decode, NULL, &config->interfaces,
                                &config->n_interfaces, error);
}

static int answer_interfaces_decode(const json_t *json, void *object, struct error *error)
{
    struct server_config *config = object;

    config->has_answer_interfaces = true;
    return members_decode_array(json, sizeof(*config->answer_interfaces), DIRECTOR_INTERFACES_MAX, interface_decode, NULL, &config->answer_interfaces,
                                &config->n_answer_interfaces, error);
}

static int addresses_decode(const json_t *json, void *object, struct error *error)
{
    struct server_config *config = object;

    return members_decode_array(json, sizeof(*config->addresses), SERVER_ADDRESSES_MAX, address_decode, NULL, &config->addresses, &config->n_addresses,
                                error);
}

static int directors_decode(const json_t *json, void *object, struct error *error)
{
    struct server_config *config = object;

    return members_decode_array(json, sizeof(*config->directors), SERVER_PEERS_MAX, prefix_decode, NULL, &config->directors, &config->n_directors, error);
}

static int servers_decode(const json_t *json, void *object, struct error *error)
{
    struct server_config *config = object;

    return members_decode_array(json, sizeof(*config->servers), SERVER_PEERS_MAX, prefix_decode, NULL, &config->servers, &config->n_servers, error);
}

/* ---- the whole ------------------------------------------------------------------------------------------------------------------------- */

static const struct member server_members[] = {
    {"interfaces", MEMBER_CUSTOM, .is_required = true, .decode = interfaces_decode},
    {"answer_interfaces", MEMBER_CUSTOM, .decode = answer_interfaces_decode},
    {"addresses", MEMBER_CUSTOM, .is_required = true, .decode = addresses_decode},
    {"directors", MEMBER_CUSTOM, .is_required = true, .decode = directors_decode},
    {"servers", MEMBER_CUSTOM, .is_required = true, .decode = servers_decode},
    {"port", MEMBER_U16, .offset = offsetof(struct server_config, port), .minimum = 1},
    {"hand_on_rate", MEMBER_U32, .offset = offsetof(struct server_config, hand_on_rate), .minimum = 1, .maximum = SERVER_HAND_ON_RATE_MAX},
    {0},
};

static int section_decode(const json_t *json, void *object, struct error *error)
{
    return members_decode(server_members, json, object, error);
}

static const struct member file_members[] = {{SECTION, MEMBER_CUSTOM, .is_required = true, .decode = section_decode}, {0}};

static int check_twice(const char *list, char (*names)[IFNAMSIZ], size_t n, struct error *error)
{
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < i; j++)
            if (streq(names[i], names[j]))
                return error_set(error, -EINVAL, NULL, SECTION ".%s[%zu]: '%s' is there twice", list, i, names[i]);
    return 0;
}

/* Lists that must have something, or each only once. */
static int check_lists(const struct server_config *config, struct error *error)
{
    const struct {
        const char *name;
        size_t n;
    } lists[] = {{"interfaces", config->n_interfaces}, {"addresses", config->n_addresses}, {"directors", config->n_directors}};

    for (size_t i = 0; i < ARRAY_SIZE(lists); i++)
        if (!lists[i].n)
            return error_set(error, -EINVAL, NULL, SECTION ".%s: [] has nothing in it", lists[i].name);
    if (check_twice("interfaces", config->interfaces, config->n_interfaces, error) < 0)
        return -EINVAL;
    return check_twice("answer_interfaces", config->answer_interfaces, config->n_answer_interfaces, error);
}

static int answer_by_interfaces(struct server_config *config)
{
    size_t size = config->n_interfaces * sizeof(*config->interfaces);

    config->answer_interfaces = malloc(size);
    if (!config->answer_interfaces)
        return -ENOMEM;
    memcpy(config->answer_interfaces, config->interfaces, size);
    config->n_answer_interfaces = config->n_interfaces;
    return 0;
}

static void put_field_into_message(struct error *error)
{
    char message[sizeof(error->message)];

    if (!error || !error->field[0])
        return;
    snprintf(message, sizeof(message), "%.*s: %.*s", (int)sizeof(error->field), error->field, (int)(sizeof(message) - sizeof(error->field) - 3), error->message);
    string_copy(error->message, sizeof(error->message), message);
    error->field[0] = 0;
}

static int decode(const json_t *json, const json_error_t *where, struct server_config **ret, struct error *error)
{
    _cleanup_(server_config_freep) struct server_config *config = calloc(1, sizeof(*config));
    int result;

    if (!config)
        return error_set(error, -ENOMEM, NULL, "out of memory");
    if (!json)
        return error_set(error, -EINVAL, NULL, "line %d, column %d: %s", where->line, where->column, where->text);
    config->port = SECOND_CHANCE_PORT_DEFAULT;
    config->hand_on_rate = SERVER_HAND_ON_RATE;
    result = members_decode(file_members, json, config, error);
    if (result < 0)
        put_field_into_message(error);
    else
        result = check_lists(config, error);
    if (result == 0 && !config->has_answer_interfaces)
        result = answer_by_interfaces(config) < 0 ? error_set(error, -ENOMEM, NULL, "out of memory") : 0;
    if (result == 0)
        *ret = TAKE_PTR(config);
    return result;
}

int server_config_parse(const char *text, size_t length, struct server_config **ret, struct error *error)
{
    json_error_t where;
    _cleanup_(json_free) json_t *json = json_loadb(text, length, JSON_REJECT_DUPLICATES, &where);

    return decode(json, &where, ret, error);
}

int server_config_read(const char *path, struct server_config **ret, struct error *error)
{
    json_error_t where;
    _cleanup_(json_free) json_t *json = json_load_file(path, JSON_REJECT_DUPLICATES, &where);
    struct error reason = {0};
    int result = decode(json, &where, ret, &reason);

    return result < 0 ? error_set(error, result, NULL, "%s: %.300s", path, json || where.line >= 0 ? reason.message : where.text) : 0;
}

/* Either side names the addresses that packets come from and go to. */
static bool may_come_by_ipv6(const struct server_config *config)
{
    for (size_t i = 0; i < config->n_directors; i++)
        if (!ip_is_v4(&config->directors[i].address))
            return true;
    for (size_t i = 0; i < config->n_servers; i++)
        if (!ip_is_v4(&config->servers[i].address))
            return true;
    return false;
}

uint16_t server_config_mss(const struct server_config *config, unsigned mtu, bool ipv6)
{
    unsigned headers = ipv6 ? 40 + 20 : 20 + 20, least = ipv6 ? 1220 : 536, taken = headers + (may_come_by_ipv6(config) ? ROOM_IPV6 : ROOM_IPV4);

    return (uint16_t)MIN(MAX(mtu, taken + least) - taken, UINT16_MAX);
}

bool server_config_is(const char *path)
{
    json_error_t where;
    _cleanup_(json_free) json_t *json = json_load_file(path, 0, &where);

    return json_object_get(json, SECTION) != NULL;
}
