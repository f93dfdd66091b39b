/* Real servers on the loopback of a network namespace of our own, on the loop of the test. */
#ifndef TESTS_HEALTH_SERVERS_H
#define TESTS_HEALTH_SERVERS_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "weft/base/address.h"

/* A namespace with a loopback that is up.  False: this machine does not let us; the reason was printed. */
bool servers_enter_namespace(void);

/* Runs one command line; fails the test when it fails. */
void servers_run(const char *command);

struct server {
    uv_loop_t *loop;
    struct ip_address address;
    uint16_t port;
    uv_tcp_t tcp;
    uv_udp_t udp;
    bool is_udp;
    unsigned n_clients;           /* So far. */
    char request[4096];           /* The last client's. */
    struct ip_address peer;       /* Likewise. */
    const char *answer;           /* What each client gets for its request; NULL: silence.  "": the connection is closed. */
    size_t answer_size;           /* 0: the string's length, and a request ends with an empty line; else any bytes are a request. */
    const char *greeting;         /* Said to each client first; NULL: nothing. */
    /* UDP: writes the answer to 'bytes'; returns its size, 0 for none. */
    size_t (*answer_datagram)(const uint8_t *request, size_t size, uint8_t *bytes);
};

void server_start_tcp(struct server *server, uv_loop_t *loop, const char *address);
void server_start_tcp_at(struct server *server, uv_loop_t *loop, const char *address, uint16_t port);
void server_start_udp(struct server *server, uv_loop_t *loop, const char *address);
void server_stop(struct server *server); /* Runs the loop until it is gone. */

#endif
