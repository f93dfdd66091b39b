/* What a running director says of itself on its socket: counters, connections, which servers are up.
 *
 * As on agent.sock (docs/agent-protocol.md): a JSON object a line in, a JSON object a line out; an answer {"error":
 * "..."} is a refusal.
 *
 * | request                                            | answer                                    |
 * | {"operation":"director"}                           | struct director_state                     |
 * | {"operation":"director","service":KEY}             | the same with this service only, or none  |
 * | {"operation":"director-connections"}, ... ,"max":N | struct director_connections               |
 * | {"operation":"director-zero"}, ... ,"service":KEY  | {"ok":true}: counters begin at 0          |
 * | {"operation":"director-drops"}                     | {"drops":{REASON:{"packets":N,"text":...}}} |
 * | {"operation":"director-rows"}, ... ,"service":KEY  | of hash services, who has how many rows: report.c |
 *
 * KEY is what tells services apart in lb.conf(5), too: {"protocol":"tcp","address":"192.0.2.1","port":80}, or
 * {"mark":5,"family":"ipv6"}. Both sides use the functions below, so the form is theirs alone.  Connections are those
 * of the exceptions' table: hash schedulers keep none. */
#ifndef WEFT_DIRECTOR_SOCKET_H
#define WEFT_DIRECTOR_SOCKET_H

#include <jansson.h>

#include "weft/base/error.h"
#include "weft/director/service.h"

#define DIRECTOR_SOCKET_PATH "/run/weft/director.sock"
#define DIRECTOR_CONNECTIONS_DEFAULT_MAX 100000

struct director_traffic {
    uint64_t connections, packets_in, packets_out, bytes_in, bytes_out; /* A rate: of each per second. */
};

struct server_state {
    struct ip_address address;
    uint16_t port;
    bool is_sorry;    /* The sorry server, which answers as long as the service lacks its quorum. */
    bool is_up;       /* False: its checks failed. */
    bool is_used;     /* In the tables, by now: up, or inhibited (with weight 0), or without checks. */
    uint32_t weight;  /* What the tables have now. */
    char reason[128]; /* Why it is down: "tcp 10.0.0.1:80: connection refused"; else empty. */
    uint32_t active, inactive,
        persistent; /* Connections that are established, that are not, and persistence entries. */
    struct director_traffic total, rate;
};

struct service_state {
    uint32_t mark; /* The key, as in struct virtual_service. */
    bool ipv6;
    uint8_t protocol;
    uint16_t port;
    struct ip_address address;
    bool has_quorum;
    bool has_pair, has_same_rows; /* Of a pair, a hash service: has the other director its rows, and are they the same? */
    struct director_traffic total, rate;
    struct server_state *servers;
    size_t n_servers;
};

struct director_state {
    char config_path[256];  /* The file that it has loaded. */
    char config_error[512]; /* Why the file as it is now was not loaded, and the one before counts; else empty. */
    uint32_t connections;   /* Entries in the table of connections. */
    struct service_state *services;
    size_t n_services;
};

struct director_connection {
    uint8_t protocol; /* IPPROTO_*; IPPROTO_IP for a persistence entry of a service by mark. */
    uint32_t expires_s;
    char state[16];      /* IPVS's names: "NONE", "SYN_RECV", "ESTABLISHED", "FIN_WAIT", "TIME_WAIT", "CLOSE", "UDP". */
    bool is_persistence; /* What holds a client to its server; the client's address is masked and its port 0. */
    struct ip_address client, service, server;
    uint16_t client_port, service_port, server_port;
};

struct director_connections {
    struct director_connection *connections;
    size_t n_connections;
    bool is_cut; /* There are more than were asked for. */
};

void director_state_clear(struct director_state *state);
void director_connections_clear(struct director_connections *connections);

/* The answers as JSON, new references; NULL without memory. */
json_t *director_state_encode(const struct director_state *state);
json_t *director_connections_encode(const struct director_connections *connections);

/* And back.  0 with '*ret', which the caller clears; -EBADMSG for what is no such answer; -ENOMEM. */
int director_state_decode(const json_t *json, struct director_state *ret);
int director_connections_decode(const json_t *json, struct director_connections *ret);

/* A service's key as JSON, a new reference; and back into the key's members of '*ret', with '*error' naming the member
 * that is wrong. */
json_t *service_key_encode(const struct virtual_service *service);
int service_key_decode(const json_t *json, struct virtual_service *ret, struct error *error);

/* The service's or server's state, or NULL. */
const struct service_state *director_state_find(const struct director_state *state,
                                                const struct virtual_service *service);
const struct server_state *service_state_find(const struct service_state *state, const struct real_server *server);

#endif
