/* What agents say about the translated ports that they use: "snat_usage" of their reports, in memory, of the hosts that report to this
 * server. */
#ifndef WEFT_API_SNAT_USAGE_H
#define WEFT_API_SNAT_USAGE_H

#include <jansson.h>

#include "weft/base/cleanup.h"
#include "weft/base/error.h"
#include "weft/base/hashmap.h"
#include "weft/base/uuid.h"

#define SNAT_USAGE_MAX 16384 /* Routers in a report. */

/* Of one router on one host. */
struct snat_usage {
    struct hashmap_node node;
    char router_id[UUID_TEXT_SIZE];
    uint64_t in_use;        /* Ports that connections hold. */
    uint64_t enough_until;  /* Up to so many in use it needs no more; what the last pass found. */
    uint64_t failed;        /* Connections since its agent began that found none. */
    bool is_fresh;          /* Reported since a block was last given, or refused, because of it. */
    bool is_more_failed;    /* 'failed' has grown since. */
    bool is_refused;        /* The host could not be given what it needs. */
    uint64_t idle_since_ms; /* The host has blocks and does not need them; 0: it does. */
    uint64_t report;        /* The number of the host's report that named it last. */
};

struct snat_usages;

int snat_usages_new(struct snat_usages **ret_usages);
void snat_usages_free(struct snat_usages *usages);
DEFINE_CLEANUP(struct snat_usages *, snat_usages_free);

/* Checks {"<router id>": {"in_use": n, "failed": n}, ...} without taking it.  -EINVAL with '*error'. */
int snat_usages_check(const json_t *report, struct error *error);
/* A checked report: complete, so what it does not name is not in use.  Whether there is something in it to act on. */
bool snat_usages_take(struct snat_usages *usages, const char *host_name, const json_t *report, uint64_t now_ms);
void snat_usages_forget(struct snat_usages *usages, const char *host_name);

struct snat_usage *snat_usage_find(struct snat_usages *usages, const char *host_name, const char *router_id); /* NULL: nothing known. */
struct snat_usage *snat_usage_get(struct snat_usages *usages, const char *host_name, const char *router_id);  /* NULL: out of memory. */
uint64_t snat_usages_reported_ms(const struct snat_usages *usages, const char *host_name); /* The last report; 0: none. */

struct snat_usage_totals {
    uint64_t in_use;
    uint64_t failed; /* Since this server began. */
};
struct snat_usage_totals snat_usages_totals(const struct snat_usages *usages);

#endif
