/* The flow entries that the fabric puts into switches: their priorities, cookies and matches. */
#ifndef WEFT_FABRIC_ENTRIES_H
#define WEFT_FABRIC_ENTRIES_H

#include "weft/fabric/state.h"

/* A cookie says that an entry is ours, and of which kind; other entries are left alone. */
#define COOKIE_OURS 0x7766000000000000ull /* "wf" */
#define COOKIE_MASK 0xffff000000000000ull
#define COOKIE_KIND_MASK 0x0000ff0000000000ull

enum entry_kind {
    ENTRY_BASIC = 1,   /* Sends to the controller. */
    ENTRY_INGRESS,     /* A flow at its first switch. */
    ENTRY_TRANSIT,     /* And at the others. */
    ENTRY_DENY,        /* Of no slice, for some seconds. */
    ENTRY_PROACTIVE,
};

static inline uint64_t entry_cookie(enum entry_kind kind)
{
    return COOKIE_OURS | (uint64_t)kind << 40;
}

static inline enum entry_kind entry_kind_of(uint64_t cookie)
{
    return (cookie & COOKIE_MASK) == COOKIE_OURS ? (enum entry_kind)((cookie & COOKIE_KIND_MASK) >> 40) : (enum entry_kind)0;
}

#define PRIORITY_DISCOVERY 65535
#define PRIORITY_NEIGHBOR 65534
#define PRIORITY_DENY 2000
#define PRIORITY_FLOW 1000
#define PRIORITY_PROACTIVE 500
#define PRIORITY_MISS 0
#define DENY_S 10

/* Discovery, ARP and ND to the controller, and what nothing else matches (which 1.0 sends there by itself). */
void entries_put_basic(struct fabric *fabric, struct datapath *datapath);

/* A flow's match at a port: everything that tells it from others, as far as the version can say. */
void entry_flow_match(enum of_version version, const struct flow_tuple *tuple, uint16_t vlan, uint32_t in_port, struct of_match *ret);

/* The flow of such a match; false when it is not one of ours.  In 1.0 the addresses of IPv6 are not there. */
bool entry_flow_tuple(const struct of_match *match, struct flow_tuple *ret, uint16_t *ret_vlan);

/* The cookie's low half is the flow's serial number, so that the end of an older entry is not taken for this one's. */
static inline uint32_t entry_serial_of(uint64_t cookie)
{
    return (uint32_t)cookie;
}

/* Adds or overwrites, or deletes, the entry of a flow at one switch. */
void entry_put_flow(struct fabric *fabric, struct datapath *datapath, const struct of_match *match, uint32_t out_port, bool is_ingress,
                    uint32_t serial);
void entry_delete(struct fabric *fabric, struct datapath *datapath, const struct of_match *match, uint16_t priority);
void entry_put_deny(struct fabric *fabric, struct fabric_port *port, const struct mac_address *mac, uint16_t vlan);

#endif
