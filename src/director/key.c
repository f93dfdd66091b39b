/* What tells services apart: protocol, address and port, or mark and family; as members of JSON objects. */
#include <errno.h>
#include <netinet/in.h>

#include "weft/base/util.h"
#include "weft/director/config-parts.h"
#include "weft/director/members.h"
#include "weft/director/socket.h"

struct key {
    unsigned protocol; /* Of protocols[]. */
    unsigned family;   /* Of families[]. */
    uint32_t mark;
    uint16_t port;
    bool has_address;
    struct ip_address address;
};

static const uint8_t protocols[] = {IPPROTO_TCP, IPPROTO_UDP, IPPROTO_SCTP};
static const char *const families[] = {"ipv4", "ipv6"};

static const char *name_of_protocol(unsigned value)
{
    return service_protocol_name(protocols[value]);
}

static const char *name_of_family(unsigned value)
{
    return families[value];
}

static const struct member address_members[] = {
    {"protocol", MEMBER_NAME, .is_required = true, .offset = offsetof(struct key, protocol),
     .name_of = name_of_protocol, .n_names = 3},
    {"address", MEMBER_ADDRESS, .is_required = true, .offset = offsetof(struct key, address),
     .flag = offsetof(struct key, has_address)},
    {"port", MEMBER_U16, .is_required = true, .offset = offsetof(struct key, port)},
    {0},
};

static const struct member mark_members[] = {
    {"mark", MEMBER_U32, .is_required = true, .offset = offsetof(struct key, mark), .minimum = 1},
    {"family", MEMBER_NAME, .offset = offsetof(struct key, family), .name_of = name_of_family, .n_names = 2},
    {0},
};

const char *const service_key_names[] = {"protocol", "address", "port", "mark", "family", NULL};

json_t *service_key_encode(const struct virtual_service *service)
{
    struct key usual = {0},
               key = {.mark = service->mark, .port = service->port, .has_address = true, .address = service->address};

    if (service->mark) {
        key.family = service->ipv6;
        return members_encode(mark_members, &key, &usual);
    }
    while (key.protocol < ARRAY_SIZE(protocols) - 1 && protocols[key.protocol] != service->protocol)
        key.protocol++;
    return members_encode(address_members, &key, &usual);
}

int service_key_decode(const json_t *json, struct virtual_service *ret, struct error *error)
{
    bool by_mark = json_object_get(json, "mark");
    struct key key = {0};
    int result = members_decode(by_mark ? mark_members : address_members, json, &key, error);

    if (result < 0)
        return result;
    ret->mark = key.mark;
    ret->protocol = by_mark ? 0 : protocols[key.protocol];
    ret->port = key.port;
    ret->address = key.address;
    ret->ipv6 = by_mark ? key.family == 1 : !ip_is_v4(&key.address);
    return 0;
}
