/* Hosts and ports as people write them on ipvsadm's command line, and as its listings show them. */
#ifndef WEFT_DIRECTOR_IPVSADM_NAMES_H
#define WEFT_DIRECTOR_IPVSADM_NAMES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "weft/base/address.h"

/* "10.0.0.1:80", "10.0.0.1", "www:http", "2001:db8::1", "[2001:db8::1]:80"; without a port it is 0 and '*ret_has_port'
 * false.  Names of ports are those of 'protocol' (IPPROTO_*; 0: TCP's).  A host's name is asked for (this may wait for
 * DNS), IPv4 first.  0 or -EINVAL. */
int endpoint_parse(const char *text, uint8_t protocol, struct ip_address *ret_address, uint16_t *ret_port,
                   bool *ret_has_port);

/* The reverse; with '!numeric' by the names of host and port that are found (without a protocol, of the host).  Returns
 * 'text', which is cut if it is too short. */
#define ENDPOINT_TEXT_SIZE 288 /* NI_MAXHOST is more than any name has. */
const char *endpoint_format(const struct ip_address *address, uint16_t port, uint8_t protocol, bool numeric,
                            char text[ENDPOINT_TEXT_SIZE]);

#endif
