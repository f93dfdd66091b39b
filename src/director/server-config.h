/* The file of a physical server behind a director, for the second chance: JSON, one object with one member, as weft-real-server.conf(5) describes it.
 *
 *     {"real_server": {"interfaces": ["eth0"], "addresses": ["192.0.2.1"], "directors": ["10.0.0.2"], "servers": ["10.0.0.0/24"]}}
 *
 * It is read as a director's (config.h): what is not known, missing or of another type is an error that names it, and quotes its value. */
#ifndef WEFT_DIRECTOR_SERVER_CONFIG_H
#define WEFT_DIRECTOR_SERVER_CONFIG_H

#include "weft/base/error.h"
#include "weft/director/service.h"

#define SERVER_ADDRESSES_MAX 4096
#define SERVER_PEERS_MAX 1024 /* Of each list. */
#define SERVER_HAND_ON_RATE 100000
#define SERVER_HAND_ON_RATE_MAX 10000000

struct server_config {
    char (*interfaces)[IFNAMSIZ]; /* Where packets of directors and fellow servers come in. */
    size_t n_interfaces;
    char (*answer_interfaces)[IFNAMSIZ]; /* Where answers to clients leave, and are to announce an MSS that fits; unless given, those of 'interfaces'. */
    size_t n_answer_interfaces;
    bool has_answer_interfaces;
    struct ip_address *addresses; /* The virtual ones that this server serves. */
    size_t n_addresses;
    struct ip_prefix *directors;  /* Whose packets are taken. */
    size_t n_directors;
    struct ip_prefix *servers;    /* Theirs, too, and they are handed packets. */
    size_t n_servers;
    uint16_t port;                /* UDP. */
    uint32_t hand_on_rate;        /* Packets a second that a CPU hands on. */
};

/* 'length' bytes of JSON.  0 with '*ret', the caller's; or -EINVAL, -E2BIG or -ENOMEM with '*error', whose message begins with the member's path. */
int server_config_parse(const char *text, size_t length, struct server_config **ret, struct error *error);

/* The same of a file; also -errno of reading it.  The message begins with the path. */
int server_config_read(const char *path, struct server_config **ret, struct error *error);
void server_config_free(struct server_config *config);
DEFINE_CLEANUP(struct server_config *, server_config_free);

/* The most that answers from IPv4 or IPv6 addresses may announce as their MSS, so that what it is answered with fits into packets of 'mtu' bytes with whatever
 * a director puts in front: a chain of three, or VXLAN.  It is not below 536 and 1220, which senders may send in any case (RFC 9293, 3.7.1). */
uint16_t server_config_mss(const struct server_config *config, unsigned mtu, bool ipv6);

/* Is the file such a server's, and not a director's?  What cannot be read is none. */
bool server_config_is(const char *path);

#endif
