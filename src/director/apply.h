/* From the plan to the tables, by the least that changes: a service or server that stays keeps its place, and with it its counters and
 * its rows.  A packet sees each service as it was or as it is to be, never in between, except that rows move one by one.  Single-threaded. */
#ifndef WEFT_DIRECTOR_APPLY_H
#define WEFT_DIRECTOR_APPLY_H

#include "weft/balance/table.h"
#include "weft/base/hashmap.h"
#include "weft/director/load.h"
#include "weft/director/plan.h"
#include "weft/director/ranges.h"

struct applied_server {
    struct hashmap_node by_id; /* In its service, by address and port. */
    struct {
        struct ip_address address;
        uint16_t port;
    } __attribute__((packed)) id;
    uint32_t number;           /* In the tables; LB_NONE: it has no place yet. */
    uint32_t incarnation;      /* Of whoever is in that place: connections name it. */
    struct lb_server content;
    uint32_t weight;
    uint64_t drained_ms;       /* Since when its share of the rows is 0; 0: it is not. */
    bool is_used;              /* As it was planned: the sorry server may have a place and not be used. */
    bool is_seen;
    struct lb_counters last, rate; /* Total at the last look, and of each a second. */
};

struct applied_service {
    struct hashmap_node by_key;
    struct lb_key key;
    uint32_t number;           /* As of a server. */
    struct lb_service content;
    struct balance_table *rows; /* Hash schedulers, */
    uint64_t sequence;          /* and which of its states the tables have, */
    uint64_t history_ms;        /* for how long they say who had a row before, or BALANCE_NEVER: until three later ones had it. */
    struct hashmap servers;
    uint32_t first_block, n_blocks, first_member, n_members; /* Places taken. */
    bool is_seen, has_key;      /* Its key leads to it. */
    struct lb_counters last, rate;
    uint64_t rated_ms;          /* When that look was. */
    uint32_t n_moved;   /* Rows that the last change gave to others, */
    uint64_t moved_ms;  /* and when; 0: none did yet. */
    uint64_t base;      /* Whose rows they were laid out on: the digest, or 0, */
    uint64_t base_plan; /* and for which servers. */
};

struct applied;

/* Where packets to 'address' come from, when they are this host's; zero while the host has no route. */
typedef struct ip_address (*source_of)(const struct ip_address *address, void *context);

/* Nothing is in 'tables' yet.  They must outlive it, or be exchanged by applied_move.  NULL without memory. */
struct applied *applied_new(struct lb_tables *tables);
void applied_free(struct applied *applied); /* The tables stay as they are. */
DEFINE_CLEANUP(struct applied *, applied_free);

/* 'tables' are as another process left them: what is in them is applied, each service and server in its place, rows with their owners; and the
 * next apply changes no more than what is to be another.  What is not sound (it ended in the middle of a change) is left out, and made anew.
 * NULL without memory. */
struct applied *applied_restore(struct lb_tables *tables, uint64_t now_ms);

/* How large tables must be for the plan, with room to change.  Services that are applied already keep the rows they have, which may be more
 * than they would get now; 'applied' may be NULL. */
struct lb_sizes applied_sizes(const struct applied *applied, const struct plan *plan);

/* Brings the tables to the plan, which plan_check has accepted.  Not called again for LB_GRACE_MS.  A service that cannot be written does not
 * keep the others from it.  0; -ENOSPC: the tables are too small for some (go on with applied_move to larger ones); -ENOMEM, or -errno of the
 * kernel: call it again. */
int apply(struct applied *applied, const struct plan *plan, source_of source, void *context, uint64_t now_ms, struct error *error);

/* Rows forget who had them longer ago than their service's time; to be called once in a while. */
void applied_age(struct applied *applied, uint64_t now_ms);

/* From now on 'tables' are the ones, which were opened as larger copies of those before.  0; or -errno, and nothing has changed. */
int applied_move(struct applied *applied, struct lb_tables *tables);

/* What a server or service has counted since its count began.  'number' and so on are its own. */
struct lb_counters applied_server_total(const struct applied *applied, const struct applied_server *server);
struct lb_counters applied_service_total(const struct applied *applied, const struct applied_service *service);
void applied_zero(struct applied *applied, struct applied_service *service); /* It begins now, and its servers' too. */

/* Of a hash service: how many rows each server has, 'ret' by its position in 'service' (struct virtual_service); returns how many there are, or
 * 0: it goes by no rows.  'ret' has room for all servers. */
uint32_t applied_rows_of(const struct applied_service *service, const struct virtual_service *virtual, uint32_t *ret);

/* All that are applied: struct applied_service, 'by_key'. */
const struct hashmap *applied_services(const struct applied *applied);

/* NULL: not in the tables. */
struct applied_service *applied_find(const struct applied *applied, const struct virtual_service *service);
struct applied_server *applied_find_server(const struct applied_service *service, const struct real_server *server);

/* What a pair of directors has in common, a hash service's rows by who owns them, and behind it who had them before:
 *
 *   rows, servers (4 bytes each) | servers in order: address (16), port (2) | of each row its owner's place among them (2)
 *   more servers, rows with a history (4 each) | the servers, likewise | of each such row its number (4), the places of previous owners (2 each, 65535: nobody)
 *
 * in little-endian; the places of more servers follow those of the others.  Two directors that have the same rows have the same bytes in common, whatever numbers
 * their servers have: the first applied_rows_common() ones.  Histories may differ, since each forgets by its own clock.  '*ret' is the caller's to free.  0; -ENODATA: it has no rows; -EINVAL: it is in the middle of a change that failed; -ENOMEM. */
int applied_rows_encode(const struct applied_service *service, uint8_t **ret, uint32_t *ret_size);
uint32_t applied_rows_common(const uint8_t *bytes, uint32_t size); /* Of any bytes; at most 'size'. */
#define APPLIED_ROWS_SIZE_MAX (16u + 18u * BALANCE_SERVERS_MAX + (2u + 10u) * 262139u)

/* From the next apply on the rows of a hash service for which 'base_of' is true are laid out on those: each of its own servers keeps what it has
 * there, and only what those rows have of others, or too many of, moves.  Each time that the base is another one (by its digest, not 0), or the
 * servers are.  What is not sound is not used.  The bytes are borrowed during apply. */
struct applied_base {
    const uint8_t *bytes;
    uint32_t size;
    uint64_t digest;
};
typedef bool (*applied_base_of)(const struct lb_key *key, struct applied_base *ret, void *context);
void applied_follow(struct applied *applied, applied_base_of base_of, void *context);

/* The position of an address that full NAT gives out; LB_NONE: it is none of those. */
uint32_t applied_local(const struct applied *applied, const uint8_t address[16]);

struct lb_key lb_key_of(const struct virtual_service *service);

/* How packets reach the server: what the configuration says of that, in the tables' words.  'source' is this host's address for tunnels. */
struct lb_server server_way(const struct real_server *server, const struct ip_address *source);

#endif
