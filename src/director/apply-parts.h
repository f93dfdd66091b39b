/* What the files of apply.h share: apply.c (the plan, service by service), applied.c (what is applied, and where it has its places),
 * apply-server.c, apply-service.c (the records of one), apply-rows.c (hash schedulers), apply-order.c (those that go by their servers' order),
 * apply-pair.c (rows that a pair has in common), apply-locals.c (full NAT's addresses), apply-marks.c (rules that give marks), applied-counters.c, apply-restore.c (what another process
 * applied). */
#ifndef WEFT_DIRECTOR_APPLY_PARTS_H
#define WEFT_DIRECTOR_APPLY_PARTS_H

#include "weft/director/apply.h"

struct leaving { /* Places that a packet may still be looking at. */
    struct ranges *ranges;
    uint32_t first, n;
};

struct marks; /* apply-marks.c */

struct applied {
    struct lb_tables *tables;
    struct marks *mark_lists; /* In the tables now; NULL: none. */
    struct hashmap services;
    struct ranges service_numbers, server_numbers, blocks, members, marks;
    struct leaving *leaving;
    size_t n_leaving, room_leaving;
    uint32_t generation;
    uint64_t lineage;
    applied_base_of base_of; /* NULL: each service's rows are its own. */
    void *base_context;
};

struct task {
    struct applied *applied;
    source_of source;
    void *context;
    uint64_t now_ms;
    struct error *error;
};

/* ---- applied.c ---------------------------------------------------------------------------------------------------------------- */

void applied_free_server(struct applied_service *service, struct applied_server *server);
void applied_free_service(struct applied *applied, struct applied_service *service);

/* Places that a packet may still be looking at are given back when nobody can be any more: with the next apply. */
void places_leave(struct applied *applied, struct ranges *ranges, uint32_t first, uint32_t n);
void places_give_back(struct applied *applied);
int places_missing(const struct task *task, const char *what); /* -ENOSPC, with an error that says of what. */
size_t places_for_members(size_t n);                           /* How many are taken for so many. */

/* ---- apply-server.c -------------------------------------------------------------------------------------------------------------- */

struct applied_server *server_add(struct applied_service *service, const struct ip_address *address, uint16_t port); /* NULL without memory. */
int server_apply(const struct task *task, struct applied_service *service, const struct planned_service *of, const struct planned_server *planned);
void server_remove(struct applied *applied, struct applied_service *service, struct applied_server *server); /* No row leads to it any more. */

/* ---- apply-service.c ------------------------------------------------------------------------------------------------------------- */

bool service_is_hash(const struct virtual_service *service);
bool server_refuses(const struct planned_service *planned, const struct planned_server *server); /* Has weight 0, and keeps its rows. */
bool service_has_translation(const struct planned_service *planned);
bool service_has_thresholds(const struct virtual_service *service);
/* Is the planned server 'i' the sorry server of a service whose servers may all be overloaded?  Then it has a place, used or not. */
bool service_needs_sorry_server(const struct planned_service *planned, size_t i);
struct applied_service *service_add(struct applied *applied, const struct lb_key *key); /* NULL without memory. */
int service_place(const struct task *task, struct applied_service *service);
int service_put_keys(struct lb_tables *tables, const struct applied_service *service);
/* Its record and, the first time, its key. */
int service_write(const struct task *task, struct applied_service *service, const struct planned_service *planned, uint32_t n_rows,
                  uint32_t n_members);
void service_remove(struct applied *applied, struct applied_service *service);

/* ---- apply-rows.c ----------------------------------------------------------------------------------------------------------------- */

uint32_t rows_for(size_t n_servers);
bool rows_is_count(uint32_t n_rows); /* Does rows_for give that? */
uint32_t blocks_for(uint32_t n_rows);
/* Those that the tables have, with their owners, as if all changes had been now; none if they are not sound.  0 or -ENOMEM. */
int rows_restore(struct applied *applied, struct applied_service *service, uint64_t now_ms);
int rows_apply(const struct task *task, struct applied_service *service, const struct planned_service *planned);

/* ---- apply-pair.c ------------------------------------------------------------------------------------------------------------------ */

#define SEQUENCE_REBASED (UINT64_MAX - 1) /* Of a service whose table began anew with such rows: all are to be written. */

/* Servers that refuse, and of which it is not known here what share they had, have the one that the other director's rows give them: the weights of the others by
 * the rows that those have.  0 or -ENOMEM. */
int rows_take_shares(const struct task *task, const struct applied_service *service, const struct planned_service *planned, uint32_t *shares);

/* The service's table begins anew with the other director's rows if there are such that it was not laid out on, for servers as the balancer is to
 * get them.  0 or -ENOMEM. */
int rows_rebase(const struct task *task, struct applied_service *service, const struct balance_server *servers, size_t n);

/* ---- applied-counters.c ------------------------------------------------------------------------------------------------------------ */

/* What was counted in a place so far is not its new owner's. */
void count_server_from_now(struct lb_tables *tables, uint32_t number);
void count_service_from_now(struct lb_tables *tables, uint32_t number);

/* ---- apply-restore.c --------------------------------------------------------------------------------------------------------------- */

/* The server of a position among the members, or NULL: a position that is free, or whose server has left. */
struct applied_server *applied_member(const struct applied *applied, const struct applied_service *service, uint32_t position);

/* ---- apply-order.c ---------------------------------------------------------------------------------------------------------------- */

/* How many turns a round has; 0 for schedulers that do not take turns.  'ret_turns' (may be NULL) gets positions among the members. */
uint32_t order_turns(const struct planned_service *planned, uint16_t *ret_turns);
int order_apply(const struct task *task, struct applied_service *service, const struct planned_service *planned);

/* ---- apply-locals.c --------------------------------------------------------------------------------------------------------------- */

void locals_apply(struct lb_tables *tables, const struct director_config *config);

/* ---- apply-marks.c --------------------------------------------------------------------------------------------------------------- */

uint32_t marks_positions(const struct director_config *config); /* How many the lists of its rules have. */
int marks_apply(const struct task *task, const struct director_config *config);
int marks_restore(struct applied *applied); /* What the tables have.  0 or -errno. */
int marks_put(const struct marks *marks, struct lb_tables *tables); /* Into other tables; NULL is fine. */
void marks_free(struct marks *marks);

#endif
