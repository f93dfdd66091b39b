/* Inside http only: a listening socket from its text. */
#ifndef WEFT_HTTP_SOCKET_H
#define WEFT_HTTP_SOCKET_H

#include <stdbool.h>

#include "weft/base/error.h"

struct listening {
    int fd;            /* The caller's. */
    bool is_loopback;
    char text[100];    /* "127.0.0.1:9696", "[::1]:9696": to connect to, with the port that was taken. */
};

/* 'text' and 'device' are as http_options.listen and .device; 'option' is the field of errors.  Returns 0; -EINVAL, or what the system said, with '*error'. */
int socket_listen(const char *text, const char *option, const char *device, struct listening *ret_listening, struct error *error);

#endif
