/* ipvsadm compares numbers by the sign of their 32-bit difference, so addresses stand on a circle: 192.168.0.1 comes
 * before 10.0.0.1, and 100.0.0.1 before 203.0.113.1.  That is no order where a list goes round the whole circle, so it
 * is sorted by our own merging, which ends whatever a comparison says. */
#include "weft/director/ipvsadm/order.h"

#include <stdlib.h>
#include <string.h>

typedef int compare_function(const void *a, const void *b);

static int difference(uint32_t a, uint32_t b)
{
    return (int32_t)(a - b);
}

static uint32_t word(const struct ip_address *address, int n)
{
    const uint8_t *bytes = address->bytes + 4 * n;

    return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3];
}

static int compare_addresses(const struct ip_address *a, const struct ip_address *b)
{
    int result = ip_is_v4(b) - ip_is_v4(a); /* IPv4 first. */

    for (int i = 0; !result && i < 4; i++)
        result = difference(word(a, i), word(b, i));
    return result;
}

static int compare_services(const void *a, const void *b)
{
    const struct virtual_service *x = a, *y = b;
    int result = difference(x->mark, y->mark);

    if (!result)
        result = x->ipv6 - y->ipv6;
    if (!result)
        result = x->protocol - y->protocol;
    if (!result)
        result = compare_addresses(&x->address, &y->address);
    return result ? result : x->port - y->port;
}

static int compare_servers(const void *a, const void *b)
{
    const struct real_server *x = a, *y = b;
    int result = compare_addresses(&x->address, &y->address);

    return result ? result : x->port - y->port;
}

/* Sorts the pointers, with 'room' for as many beside them. */
static void merge_sort(const void **pointers, const void **room, size_t n, compare_function *compare)
{
    size_t half = n / 2, left = 0, right = half, out = 0;

    if (n < 2)
        return;
    merge_sort(pointers, room, half, compare);
    merge_sort(pointers + half, room, n - half, compare);
    while (left < half && right < n)
        room[out++] = compare(pointers[left], pointers[right]) <= 0 ? pointers[left++] : pointers[right++];
    while (left < half)
        room[out++] = pointers[left++];
    memcpy(pointers, room, out * sizeof(*pointers));
}

static const void **order(const void *array, size_t n, size_t size, compare_function *compare)
{
    const void **pointers = calloc(2 * n + 1, sizeof(*pointers));

    if (!pointers)
        return NULL;
    for (size_t i = 0; i < n; i++)
        pointers[i] = (const char *)array + (compare ? i : n - 1 - i) * size;
    if (compare)
        merge_sort(pointers, pointers + n, n, compare);
    return pointers;
}

const void **ipvsadm_order_services(const struct virtual_service *services, size_t n, bool sorted)
{
    return order(services, n, sizeof(*services), sorted ? compare_services : NULL);
}

const void **ipvsadm_order_servers(const struct real_server *servers, size_t n, bool sorted)
{
    return order(servers, n, sizeof(*servers), sorted ? compare_servers : NULL);
}
