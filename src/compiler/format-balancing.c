/* Rows of load balancers' tables as text: see format.h. */
#include <arpa/inet.h>
#include <stdio.h>

#include "weft/base/buffer.h"
#include "weft/base/util.h"
#include "weft/compiler/format-tables.h"

static const char *address_text(const __u8 bytes[16], char text[IP_TEXT_SIZE])
{
    struct ip_address address;

    memcpy(address.bytes, bytes, sizeof(address.bytes));
    return ip_format(&address, text);
}

static int format_service(const struct service_key *k, const struct service_value *v, struct buffer *buffer)
{
    static const char *const flags[] = {"up", "by-source", "least", "restricted", "idles", "full"};
    char ip[IP_TEXT_SIZE], mac[MAC_TEXT_SIZE];
    struct mac_address address;
    int error;

    if (!k->vni)
        return buffer_printf(buffer, " = listener %u timeout %u ms", v->listener, v->limit);
    memcpy(address.bytes, v->mac, sizeof(address.bytes));
    error = buffer_printf(buffer, " %u %s %u/%u = listener %u pool %u rows %u balancer %08x seed %llu limit %u mac %s source-length %u", k->vni,
                          address_text(k->address, ip), k->protocol, ntohs(k->port), v->listener, v->pool, v->n_rows, v->balancer,
                          (unsigned long long)v->seed, v->limit, mac_format(&address, mac), v->source_length);
    for (size_t i = 0; i < ARRAY_SIZE(flags) && error == 0; i++)
        if (v->flags & (1u << i))
            error = buffer_printf(buffer, " %s", flags[i]);
    return error;
}

static int format_member(const struct service_member *v, struct buffer *buffer)
{
    char ip[IP_TEXT_SIZE], mac[MAC_TEXT_SIZE], output[32];
    struct mac_address address;

    memcpy(address.bytes, v->mac, sizeof(address.bytes));
    return buffer_printf(buffer, " %u = %08x-%02x balancer %08x in %u vni %u %s port %u mac %s mtu %u %s%s", v->number, v->name.first, v->name.second, v->balancer,
                         v->vip_vni, v->vni, address_text(v->address, ip), ntohs(v->port), mac_format(&address, mac), v->mtu,
                         output_text(v->output, output, sizeof(output)), v->flags & SERVICE_MEMBER_UP ? " up" : "");
}

static int format_target(const struct probe_target *v, struct buffer *buffer)
{
    char ip[IP_TEXT_SIZE], vip[IP_TEXT_SIZE], mac[MAC_TEXT_SIZE], device_mac[MAC_TEXT_SIZE];
    struct mac_address address, device;

    memcpy(address.bytes, v->vip_mac, sizeof(address.bytes));
    memcpy(device.bytes, v->device_mac, sizeof(device.bytes));
    return buffer_printf(buffer, " %u = port %u generation %u %s from %s mac %s by ifindex %u mac %s", v->number, v->slot, v->generation,
                         address_text(v->address, ip), address_text(v->vip, vip), mac_format(&address, mac), v->ifindex, mac_format(&device, device_mac));
}

/* Rows that follow each other and are alike are one word: "3*1,2" is three rows of member 1, before of member 2. */
static int format_rows(const struct service_rows *v, struct buffer *buffer)
{
    int error = buffer_printf(buffer, " %u %u/%u =", v->pool, v->index & 0x7fff, v->index >> 15);

    for (size_t i = 0, n; i < SERVICE_ROWS_PER_BLOCK && error == 0; i += n) {
        const struct service_row *row = &v->rows[i];

        for (n = 1; i + n < SERVICE_ROWS_PER_BLOCK && memcmp(row, &v->rows[i + n], sizeof(*row)) == 0; n++)
            continue;
        error = n > 1 ? buffer_printf(buffer, " %zu*%u", n, row->owner) : buffer_printf(buffer, " %u", row->owner);
        for (size_t k = 0; k < ARRAY_SIZE(row->previous) && row->previous[k] && error == 0; k++)
            error = buffer_printf(buffer, ",%u", row->previous[k]);
    }
    return error;
}

int format_balancing_row(enum desired_table table, const void *key, const void *value, struct buffer *buffer)
{
    switch (table) {
    case TABLE_SERVICES: {
        LOAD(struct service_key, k, key);
        LOAD(struct service_value, v, value);
        return format_service(&k, &v, buffer);
    }
    case TABLE_SERVICE_SOURCES: {
        LOAD(struct service_source_key, k, key);
        char text[PREFIX_TEXT_SIZE];
        return buffer_printf(buffer, " %u %s", k.listener, prefix_text(k.address, k.prefix_length - 32, text));
    }
    case TABLE_SERVICE_ROWS: {
        LOAD(struct service_rows, v, value);
        return format_rows(&v, buffer);
    }
    case TABLE_SERVICE_MEMBERS: {
        LOAD(struct service_member, v, value);
        return format_member(&v, buffer);
    }
    case TABLE_PROBE_TARGETS: {
        LOAD(struct probe_target, v, value);
        return format_target(&v, buffer);
    }
    default: {
        LOAD(struct service_name, k, key);
        LOAD(__u32, number, value);
        return buffer_printf(buffer, " %08x-%02x = %u", k.first, k.second, number);
    }
    }
}
