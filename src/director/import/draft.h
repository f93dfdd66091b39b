/* A rule in the making, for iptables.c and nft.c only: ports may be lists. */
#ifndef WEFT_DIRECTOR_IMPORT_DRAFT_H
#define WEFT_DIRECTOR_IMPORT_DRAFT_H

#include "weft/director/config.h"

#define DRAFT_PORTS_MAX 32

struct draft_ports {
    uint16_t first[DRAFT_PORTS_MAX], last[DRAFT_PORTS_MAX];
    size_t n; /* 0: any. */
};

struct draft {
    struct mark_rule rule;
    struct draft_ports source, destination;
    const char *refused; /* The word that cannot be taken over, or NULL. */
};

/* Adds "80", "8000:8009" ('between' is ':'), or a list of those with ',' between.  Whether it was one. */
bool draft_add_ports(struct draft_ports *ports, const char *text, char between);
bool draft_set_address(struct draft *draft, const char *text, bool is_source); /* "192.0.2.1", "192.0.2.0/24". */
bool draft_set_protocol(struct draft *draft, const char *text);
bool draft_set_interface(struct draft *draft, const char *text);
bool draft_set_mark(struct draft *draft, const char *text); /* "5", "0x5", "0x5/0xffffffff". */

/* Puts the draft's rules, one for each pair of ports, in front of the configuration's.  0, -EINVAL (what it says
 * contradicts itself; the reason is in
 * '*error'), -E2BIG, -ENOMEM. */
int draft_commit(const struct draft *draft, struct director_config *config, struct error *error);

#endif
