/* The Load-Balancer v2 API (Octavia's), under /load-balancer: load balancers, listeners, pools, members, health monitors.
 *
 *   balancing.c            routes, versions, providers and what else clients list; the writer of rows is run from here
 *   balancing-vip.c        the VIP's port: chosen, made, given back
 *   load-balancers.c listeners.c pools.c pool-members.c health-monitors.c   the resources, on the engine of resources.h
 *   balancing-status.c     operating statuses, the status tree
 *   balancing-statistics.c what listeners' connections were and are
 *   listener-shares.c connection-limit.c   what each host may use of a listener's connection_limit
 *
 * Every change is made by one transaction and holds when it is answered, so what is there is ACTIVE: clients that wait end at once.
 *
 * Keys in the store, beside the objects:
 *     lb/part/<load balancer or pool>/<id>            listeners and pools of the one; members, monitors and using listeners of the other
 *     lb/listener/<load balancer>/<protocol>/<port>   so nobody has two of one port,
 *     lb/member/<pool>/<address>/<port>               nor a pool one server twice,
 *     lb/monitor/<pool>                               nor two monitors;
 *     lb/limit/<listener>                             written with its shares: listener-shares.h. */
#ifndef WEFT_API_BALANCING_H
#define WEFT_API_BALANCING_H

#include "weft/api/api.h"
#include "weft/api/listener-shares.h"
#include "weft/api/resources.h"

struct balancing;

struct balancing_options {
    int64_t drain_s; /* balance-rows.h */
};

/* Registers the routes and listens to the replica; call before replica_start. */
int balancing_new(struct api *api, const struct balancing_options *options, struct balancing **ret_balancing);
void balancing_stop(struct balancing *balancing); /* Closes its timers; run the loop once more before balancing_free. */
void balancing_free(struct balancing *balancing);
DEFINE_CLEANUP(struct balancing *, balancing_free);

/* ---- what agents report: docs/agent-protocol.md ---- */

/* A report's "members" (health) and "listeners" (statistics): -EINVAL with '*error' for what is none; NULL is nothing. */
int balancing_check_report(const json_t *members, const json_t *listeners, struct error *error);
/* Health that changed goes into the transaction; '*ret_n' is how many keys that are.  'is_complete': of members that are not named nothing is known. */
int balancing_put_health(struct balancing *balancing, const struct host *host, const json_t *members, bool is_complete,
                         struct store_transaction *transaction, size_t *ret_n);
/* Statistics, and what shares of limits are given by; 'applied_revision' is that of the host's tables.  What it says of listeners that do not concern it is passed over. */
void balancing_take_statistics(struct balancing *balancing, const char *host_name, uint64_t applied_revision, const json_t *listeners,
                               listener_concerns_fn concerns, void *context);

/* ---- inside the files named above ---- */

extern const struct resource load_balancer_resource, listener_resource, pool_resource, member_resource, health_monitor_resource;

#define BALANCING_KEY_SIZE 160
#define PROVIDER "weft"

/* "lb/part/<parent>/<child>" and so on; return 'key'. */
const char *balancing_part_key(const char *parent_id, const char *child_id, char key[BALANCING_KEY_SIZE]);
const char *balancing_listener_key(const struct listener *listener, char key[BALANCING_KEY_SIZE]);
const char *balancing_member_key(const struct pool_member *member, char key[BALANCING_KEY_SIZE]);
const char *balancing_monitor_key(const char *pool_id, char key[BALANCING_KEY_SIZE]);

/* What the plan creates, or what this request may see; guarded, and of whose project the part becomes.  NULL with "not found". */
const struct load_balancer *balancing_find_load_balancer(struct change *change, const char *id);
const struct pool *balancing_find_pool(struct change *change, const char *id);

/* Writers of what is always the same, for tables of computed attributes, and the check of bodies that give such a thing: only that, or null. */
int write_null(const struct request *request, const struct object *object, struct buffer *buffer);
int write_false(const struct request *request, const struct object *object, struct buffer *buffer);
int write_none(const struct request *request, const struct object *object, struct buffer *buffer);
int write_normal(const struct request *request, const struct object *object, struct buffer *buffer);
int write_empty_list(const struct request *request, const struct object *object, struct buffer *buffer);
int write_empty_object(const struct request *request, const struct object *object, struct buffer *buffer);
int write_active(const struct request *request, const struct object *object, struct buffer *buffer);
int balancing_check_constants(struct change *change);
#define CONSTANT(attribute, writer) {.name = attribute, .write = writer, .flags = ATTRIBUTE_POST | ATTRIBUTE_PUT}
#define STATUSES(writer)                                                                                                                    \
    {.name = "provisioning_status", .filter = true, .write = write_active}, {.name = "operating_status", .filter = true, .write = writer}

int write_id_list(struct buffer *buffer, const struct replica_member *first); /* [{"id": "..."}] */
int write_one_id(struct buffer *buffer, const char *id);                      /* The same of one. */

#define INVALID(field, ...) error_set_type(change->error, -EINVAL, "ValidationException", field, __VA_ARGS__)
#define CONFLICT(field, ...) error_set_type(change->error, -EEXIST, "Conflict", field, __VA_ARGS__)
#define UNSUPPORTED(error, field, ...) error_set_type(error, -EOPNOTSUPP, "ProviderUnsupportedOptionError", field, __VA_ARGS__)

/* A 'refuse' of "protocol": those of the engine for HTTP, which is not there. */
int balancing_refuse_protocol(const char *attribute, const json_t *value, struct error *error);

/* balancing-vip.c */
int balancing_take_vip(struct change *change);                                     /* Of a load balancer that is created. */
void balancing_release_vip(struct change *change, const struct load_balancer *load_balancer); /* That is deleted. */
bool balancing_has_family(const struct load_balancer *load_balancer, bool is_v4);  /* An address of its. */

/* Is it in a network of another project?  Then its network, too, has a key that names it (balancing_part_key), as long as it is there. */
bool balancing_is_guest(const struct replica *replica, const struct pool_member *member);

/* Deleting with all keys and parts. */
void balancing_delete_listener(struct plan *plan, const struct listener *listener);
void balancing_delete_pool(struct plan *plan, const struct pool *pool);
void balancing_delete_member(struct plan *plan, const struct pool_member *member);
void balancing_delete_monitor(struct plan *plan, const struct health_monitor *monitor);
void balancing_require_only_parts(struct plan *plan, const char *parent_id, const struct replica_member *const *lists, size_t n_lists);

/* Gives the listener another default pool (NULL: none). */
void balancing_set_default_pool(struct plan *plan, struct listener *listener, const char *before, const struct pool *pool);

void member_batch(struct request *request); /* PUT .../members */
int members_check_number(struct change *change, size_t n); /* May a pool have so many? */

/* balancing-status.c */
enum operating_status member_status(const struct replica *replica, const struct pool_member *member);
enum operating_status pool_status(const struct replica *replica, const struct pool *pool);
enum operating_status listener_status(const struct replica *replica, const struct listener *listener);
enum operating_status load_balancer_status(const struct api *api, const struct load_balancer *load_balancer);
const char *operating_status_name(enum operating_status status);
void load_balancer_show_status(struct request *request);

/* balancing-statistics.c */
void load_balancer_show_statistics(struct request *request);
void listener_show_statistics(struct request *request);
struct statistics;
int statistics_new(const struct replica *replica, struct statistics **ret_statistics);
void statistics_free(struct statistics *statistics);
void statistics_take(struct statistics *statistics, const char *host_name, const json_t *listeners, listener_concerns_fn concerns, void *context);
void statistics_host_gone(struct statistics *statistics, const char *host_name); /* As one that names nothing any more. */
void statistics_forget(struct statistics *statistics, const char *listener_id);
size_t statistics_count(const struct statistics *statistics); /* Of listeners that something is known of. */
struct statistics *balancing_statistics(struct balancing *balancing);
const struct replica *balancing_replica(const struct balancing *balancing);

#endif
