/* The order of ipvsadm's listings. */
#ifndef WEFT_DIRECTOR_IPVSADM_ORDER_H
#define WEFT_DIRECTOR_IPVSADM_ORDER_H

#include "weft/director/service.h"

/* Pointers to the services (or to a service's servers) in the order in which ipvsadm lists them, or with 'sorted' false
 * in that of the kernel's lists: the latest first.  The caller frees it, not what is in it.  NULL without memory. */
const void **ipvsadm_order_services(const struct virtual_service *services, size_t n, bool sorted);
const void **ipvsadm_order_servers(const struct real_server *servers, size_t n, bool sorted);

#endif
