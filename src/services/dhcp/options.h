/* DHCP options that a person sets on a port (extra_dhcp_opts): from name and text to bytes on the wire.
 *
 * Names are dnsmasq's, which Neutron passes through, so that existing scripts work: "bootfile-name", "ntp-server",
 * "server-ip-address"; also "option:NAME", "option6:NAME", and a number.  A value is text in the form the option has:
 * addresses and names in a list are separated by commas; "aa:bb:cc" is bytes for an option that has no known form.
 *
 * Standards: RFC 2132, 3361, 3397, 3442, 4833, 5859 (DHCPv4); RFC 8415, 3646, 3898, 4075, 5908, 5970 (DHCPv6). */
#ifndef WEFT_SERVICES_DHCP_OPTIONS_H
#define WEFT_SERVICES_DHCP_OPTIONS_H

#include <stddef.h>
#include <stdint.h>

#include "weft/base/error.h"

#define DHCP_OPTION_MAX 512 /* Bytes of one option's value. */

/* Not an option but the header's 'siaddr': the server of the boot file ("server-ip-address"). */
#define DHCP4_NEXT_SERVER 256

struct dhcp_option {
    uint16_t code;
    uint16_t size;
    uint8_t data[DHCP_OPTION_MAX];
};

/* 'ip_version' is 4 or 6.  Returns 0 with '*ret' filled (untouched on failure); -EINVAL with '*error' (may be NULL)
 * naming "opt_name" (unknown, or set by the server itself) or "opt_value" (not in the option's form, or too long). */
int dhcp_option_encode(uint8_t ip_version, const char *name, const char *value, struct dhcp_option *ret,
                       struct error *error);

#endif
