/* A director's file: JSON, one object, as lb.conf(5) describes it.
 *
 *     {"interfaces": ["eth0"],
 *      "services": [{"protocol": "tcp", "address": "192.0.2.1", "port": 80, "scheduler": "wrr",
 *                    "servers": [{"address": "10.0.0.1", "port": 80, "forwarding": "nat", "weight": 3}]}]}
 *
 * weft-agent reads it when it changes; weft-ipvsadm, 'weft lb import' and people write it.  It is replaced as a whole
 * (a file of another name is written, synced and renamed), so that a reader never sees half of one, and who changes it
 * holds a lock from reading to writing, so that no change is lost.  Members that are not known, or are not of their
 * type, are errors: a word that is spelled wrong must not look as if it worked.  A member that has its default value is
 * not written. */
#ifndef WEFT_DIRECTOR_CONFIG_H
#define WEFT_DIRECTOR_CONFIG_H

#include "weft/base/error.h"
#include "weft/director/service.h"

#define DIRECTOR_CONFIG_PATH "/etc/weft/lb.conf"
#define DIRECTOR_CONNECTIONS_MIN 1024
#define DIRECTOR_CONNECTIONS_MAX 8388608
#define DIRECTOR_CONNECTIONS_DEFAULT 262144
#define DIRECTOR_CONFIG_SIZE_MAX (256u << 20)

struct director_config {
    char (*interfaces)[IFNAMSIZ]; /* Where the clients' packets come in, and for NAT the servers'. */
    size_t n_interfaces;
    struct ip_address *local_addresses; /* Full NAT: the director's own, of which connections to servers come. */
    size_t n_local_addresses;
    struct connection_timeouts timeouts;
    uint16_t second_chance_port; /* UDP: where servers' agents take chains. */
    uint32_t connections; /* How many can be remembered; the tables round it up to a power of two. */
    struct mark_rule *mark_rules;
    size_t n_mark_rules;
    struct virtual_service *services; /* In the order in which they were added. */
    size_t n_services;
};

/* An empty one: no services, timeouts by default.  NULL without memory. */
struct director_config *director_config_new(void);
void director_config_free(struct director_config *config);
DEFINE_CLEANUP(struct director_config *, director_config_free);

/* Reads 'length' bytes of JSON.  0 with '*ret_config', the caller's; or with '*ret_config' untouched -EINVAL (not JSON:
 * the message has line and column; a member that is unknown, missing, of a wrong type or value, or that contradicts
 * another: the field is its path, "services[3].servers[0].port", the message names the value), -EEXIST (a service or
 * server twice), -E2BIG, -ENOMEM. */
int director_config_parse(const char *text, size_t length, struct director_config **ret_config, struct error *error);

/* As director_config_parse, of a file.  Also -errno of reading it, with the path in the message; a missing file is
 * -ENOENT. */
int director_config_read(const char *path, struct director_config **ret_config, struct error *error);

/* The text of the file, indented, with its last newline; the caller frees it.  NULL without memory. */
char *director_config_format(const struct director_config *config);

/* Replaces the file 'path' by 'config', with the permissions of the one that was there (else 0644), and waits for the
 * disk.  Refuses what director_config_check refuses.  0, or -errno, -EINVAL, -EEXIST, -E2BIG with '*error', and the
 * file as it was. */
int director_config_write(const char *path, const struct director_config *config, struct error *error);

/* Waits until nobody else changes the file 'path' (its lock is the file 'path'.lock, which stays), and locks it.  Who
 * changes the file holds this from before reading to after writing; readers need it not.  0 and a descriptor whose
 * close unlocks; or -errno. */
int director_config_lock(const char *path, int *ret_fd, struct error *error);

/* What must hold whoever made the configuration: limits, keys given once, port 0 only with persistence, families and
 * methods that go together, ...  0, -EINVAL, -EEXIST or -E2BIG, as director_config_parse. */
int director_config_check(const struct director_config *config, struct error *error);

/* The same for one object, its field relative to it; a server needs its service, a service is checked without its
 * servers.  -ERANGE for a lower threshold that is more than the upper one. */
int virtual_service_check(const struct virtual_service *service, struct error *error);
int real_server_check(const struct virtual_service *service, const struct real_server *server, struct error *error);

/* The service or server of that key, or NULL; in linear time.  They are the configuration's. */
struct virtual_service *director_config_find(const struct director_config *config, const struct virtual_service *key);
struct real_server *virtual_service_find(const struct virtual_service *service, const struct real_server *key);

#endif
