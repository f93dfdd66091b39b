/* "ADDRESS:PORT" of options. */
#ifndef WEFT_CONTROLLER_ADDRESS_H
#define WEFT_CONTROLLER_ADDRESS_H

#include <sys/socket.h>

#include "weft/base/error.h"

#define ADDRESS_TEXT_SIZE 80

/* "192.0.2.1:6653", "[2001:db8::1]:6653", ":6653" (everywhere).  Returns 0 or -EINVAL with '*error' naming the option and the text. */
int address_parse(const char *option, const char *text, struct sockaddr_storage *ret, struct error *error);
const char *address_format(const struct sockaddr_storage *address, char text[ADDRESS_TEXT_SIZE]);

#endif
