/* For which object of the model a row of a host's tables is there: admission.c's bookkeeping.
 *
 * Rows are looked at instead of counting again what the layers make of an object, so that neither can change without the other. */
#ifndef WEFT_COMPILER_CHARGES_H
#define WEFT_COMPILER_CHARGES_H

#include "weft/compiler/compiler.h"

enum unit_kind { UNIT_NETWORK, UNIT_PORT, UNIT_ROUTER, UNIT_FLOATING_IP, UNIT_BALANCER, N_UNIT_KINDS };

/* An object that has room or not. */
struct unit {
    const struct object *object;
    enum unit_kind kind;
    uint32_t base, target; /* Indexes of units without which it is nothing, or UNIT_NONE; the latter is what a floating IP leads to. */
    uint32_t n_rows; /* Of the table in hand. */
    uint32_t table;  /* Of one that does not fit: where there was no room; */
    bool fits;
    bool follows;    /* and whether that was another's, without which it does not stand. */
    bool is_part;    /* A port of a router or load balancer, which stands for it. */
};
#define UNIT_NONE UINT32_MAX

struct charges {
    const struct snapshot *snapshot;
    const struct desired *desired;
    struct unit *units;
    size_t n, first[N_UNIT_KINDS]; /* Those of a kind are in the order of the snapshot. */
    /* What a row says of whose it is -> index of the unit. */
    struct rows ids;          /* Networks, ports, routers, load balancers. */
    struct rows vnis;         /* Networks. */
    struct rows slots;        /* Ports of this host. */
    struct rows macs;         /* fdb_key: ports, or whose they are. */
    struct rows routers, router_ports, listeners, pools, members; /* Their numbers. */
    struct rows outside;      /* external_key: floating IPs. */
};

/* All units stand first.  Returns 0 or -ENOMEM; to be cleared in either case. */
int charges_init(struct charges *charges, const struct snapshot *snapshot, const struct desired *desired);
void charges_clear(struct charges *charges);

void charges_count(struct charges *charges, enum desired_table table, size_t *ret_n_own); /* Fills 'n_rows'; 'ret_n_own': rows of no unit. */

void charges_follow(struct charges *charges); /* A router does not stand without one of its networks. */
/* The unit that does not fit, of this one and those that it is nothing without; NULL: it stands. */
const struct unit *unit_lacks(const struct charges *charges, const struct unit *unit);
static inline bool unit_stands(const struct charges *charges, const struct unit *unit)
{
    return !unit_lacks(charges, unit);
}
bool charges_stands(const struct charges *charges, enum desired_table table, const void *key, const void *value); /* Whose the row is; true for nobody's. */
bool charges_keep(const struct charges *charges, enum unit_kind kind, size_t index);
bool charges_keep_balancer(const struct charges *charges, const char *id);       /* True for one that is not known. */
bool charges_keep_port_of_router(const struct charges *charges, const struct port *port); /* True for what is no known router's. */

#endif
