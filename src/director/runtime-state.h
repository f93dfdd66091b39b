/* The running director, for its own files only: runtime.c (the loop), interfaces.c, serve.c (the socket), report.c (what it says there). */
#ifndef WEFT_DIRECTOR_RUNTIME_STATE_H
#define WEFT_DIRECTOR_RUNTIME_STATE_H

#include <jansson.h>
#include <uv.h>

#include "weft/dataplane/netlink-watch.h"
#include "weft/director/apply.h"
#include "weft/director/attach.h"
#include "weft/director/health.h"
#include "weft/director/metrics.h"
#include "weft/director/runtime.h"
#include "weft/director/socket.h"

struct attached {
    uint32_t ifindex;
    char name[IFNAMSIZ];
    enum lb_attachment how; /* NONE: it is not there. */
    int error;              /* Of the last try, so that it is said once. */
    bool seen;
};

struct director {
    struct director_options options;
    uv_loop_t loop;
    uv_fs_event_t watch;       /* The file's folder: the file is replaced as a whole. */
    uv_fs_event_t target_watch; /* If it is a link: the folder of what it leads to, */
    char target[512];          /* which is this; empty: it leads nowhere. */
    uv_timer_t reload_timer, reach_timer, rate_timer, retry_timer, clients_timer, age_timer;
    uv_signal_t terminate, interrupt, hang_up;
    struct netlink_watch routes; /* Routes, addresses and interfaces that change. */
    struct netlink_watch_owner routes_owner;
    struct serve *serve;
    struct peer *peer; /* NULL: there is none. */
    struct director_metrics *metrics; /* NULL: nobody is to ask for them. */
    struct paths *paths; /* Of checks. */
    struct director_health *health; /* Follows the configuration in force. */

    struct director_config *config; /* In force; NULL before the first. */
    uint64_t config_number;    /* Another one for each. */
    bool file_changed;
    char config_error[512];
    struct lb_tables *tables;
    struct lb_tables *tables_before; /* Until no interface has their program any more; else NULL. */
    struct applied *applied;
    int apply_error;           /* Of the last try; said once. */
    uint32_t connections_refused; /* A size of their table for which there was no memory. */
    struct attached attached[DIRECTOR_INTERFACES_MAX];
    size_t n_attached;
    bool is_clean;             /* What a director before left on other interfaces is off. */
    size_t reach_service, reach_server; /* Whose turn it is to be resolved, */
    bool reach_again;          /* and whether another round begins at once, */
    struct ip_address *fresh;  /* after those that the last file brought. */
    size_t n_fresh, next_fresh;
    size_t rates_next;         /* Whose rates are taken next, */
    uint64_t asked_ms;         /* and when somebody last wanted to know. */
};

void director_schedule_reload(struct director *director);
void director_schedule_apply(struct director *director); /* What is configured, soon: something that it follows from has changed. */

/* interfaces.c: the program onto those of the configuration, and off the others; what cannot be is logged and tried again. */
void interfaces_apply(struct director *director);
/* Takes the program off all interfaces that are not the configuration's, whoever put it there; NULL: off all.  Returns off how many. */
unsigned interfaces_clean(const struct director_config *config);

/* resolver.c: the kernel keeps the way to all servers resolved, the sorry servers' too. */
void resolver_start(struct director *director);
void resolver_changed(struct director *director, const struct director_config *before); /* To director->config; 'before' may be NULL. */
void resolver_again(struct director *director); /* All of them, soon. */

/* rates.c: what is counted a second, of all if somebody asks or there are few. */
void rates_start(struct director *director);

/* serve.c */
/* A descriptor for as long as which no other process gets one in this network namespace; or -errno with '*error' (-EBUSY: there is one). */
int director_claim(struct error *error);
int serve_new(struct director *director, const char *path, struct serve **ret_serve, struct error *error);
void serve_free(struct serve *serve); /* NULL is fine.  The loop must run once more. */

#endif
