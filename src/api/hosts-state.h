/* Inside hosts.c, left-out.c, status.c, watch.c, questions.c, askers.c and connections.c only. */
#ifndef WEFT_API_HOSTS_STATE_H
#define WEFT_API_HOSTS_STATE_H

#include "weft/api/hosts.h"
#include "weft/api/replica.h"
#include "weft/base/hashmap.h"

#define SECRET_HASH_SIZE 32
#define SECRET_TEXT_SIZE 44   /* 32 bytes in URL-safe base64, and the end. */
#define HOST_DOWN_MS 30000    /* Without a report. */
#define MAX_HOSTS 10000

struct watcher;
struct question;

struct left_out_ids {
    char (*ids)[UUID_TEXT_SIZE];
    size_t n;
    bool is_silent; /* The host is down: they do not count. */
};

/* What is known of a host beside its object. */
struct agent {
    struct hashmap_node node;
    char id[UUID_TEXT_SIZE];
    bool has_join_token, has_credential;
    uint8_t join_token[SECRET_HASH_SIZE], credential[SECRET_HASH_SIZE]; /* Hashes. */
    uint64_t secret_revision;
    uint64_t seen_ms;          /* Monotonic; of the last report. */
    int64_t seen_at_s;
    uint64_t applied_revision;
    bool is_writing_state;     /* A transaction that changes up or down is under way. */
    struct watcher *watchers;  /* Usually one. */
    struct left_out_ids left_out;
};

struct balance_histories;
struct lines; /* watch.c: encoded objects, shared by watchers. */

struct hosts {
    struct api *api;
    struct hashmap agents;         /* By host id. */
    struct replica_listener listener;
    uv_timer_t timer;              /* 1 s: keepalives, silent hosts, unanswered questions. */
    uint64_t started_ms;
    struct hashmap questions;      /* By id. */
    struct hashmap askers;         /* Projects that wait for answers which cost hosts much. */
    struct watcher *dirty;         /* Watchers with something to send since the last commit. */
    struct lines *lines;
    struct balance_histories *histories; /* What watchers need not be told of the rows of pools. */
    struct hashmap left_out;       /* left-out.c */
    struct hosts_counters counters;
};

/* The agent record of a host; made when missing.  NULL when out of memory. */
struct agent *agent_get(struct hosts *hosts, const char *host_id);

/* By name or id; NULL when there is none. */
const struct host *host_find(const struct hosts *hosts, const char *name);
const struct host *host_find_or_404(struct request *request, const char *name);

json_t *host_show(const struct hosts *hosts, const struct host *host);

/* Puts 'host' (its new form) into a transaction that fails if it changed meanwhile. */
int host_put(struct store_transaction *transaction, const struct host *host, uint64_t require_revision);

/* status.c */
/* "tunnel_address", "underlay_mtu", "version" and "physical_networks" of a report into 'host'; absent ones stay.  -EINVAL, -ENOMEM. */
int host_take_report(struct host *host, const json_t *report, struct error *error);
/* -EEXIST when the tunnel address is that of another host, which is up. */
int host_check_address(const struct hosts *hosts, const struct host *host, struct error *error);
void status_put(struct request *request);
void status_check_silent(struct hosts *hosts, uint64_t now_ms);

/* left-out.c */
int left_out_check(const json_t *list, struct error *error);                          /* 0 or -EINVAL. */
/* What of it is relevant to the host and shown anywhere: a new list.  NULL: out of memory. */
json_t *left_out_of(const struct hosts *hosts, const struct agent *agent, const json_t *list);
int left_out_take(struct hosts *hosts, struct agent *agent, const json_t *list); /* Checked; in place of what the host said before.  0 or -ENOMEM: that stays. */
void left_out_silence(struct hosts *hosts, struct agent *agent); /* The host is down: what it said does not count, */
void left_out_hear(struct hosts *hosts, struct agent *agent);    /* until it is heard again, which may say no more than that it is there. */
void left_out_forget(struct hosts *hosts, struct agent *agent);

/* watch.c */
int watch_init(struct hosts *hosts);
void watch_clear(struct hosts *hosts);
void watch_start(struct request *request);
void watch_change(const struct replica_change *change, void *context);
void watch_commit(uint64_t revision, void *context);
void watch_tick(struct hosts *hosts, uint64_t now_ms);
/* The revision that a host forwards by: what it reported, or later when nothing was relevant to it since. */
uint64_t watch_applied_revision(const struct hosts *hosts, const struct agent *agent);
bool watch_is_open(const struct agent *agent); /* Has the host a stream to this server? */
/* Is the object relevant to the host, as its stream has it?  Without a stream nothing is. */
bool watch_concerns(const struct agent *agent, const struct object *object);
/* Sends a line (copied, with its newline) to the newest stream of an agent.  -ENOTCONN, -ENOBUFS. */
int watch_send_line(struct agent *agent, const char *line, size_t size);

/* connections.c */
extern const struct route connection_routes[];
extern const size_t n_connection_routes;

/* askers.c: a walk over all connections of a host is dear, and hosts serve everybody.  So a project waits for few answers of that kind at a time. */
/* May the caller ask so many hosts?  False: it was refused.  True: askers_leave() with the same number before the request is answered. */
bool askers_enter(struct request *request, size_t n_hosts);
void askers_leave(struct request *request, size_t n_hosts);

/* questions.c */
/* 'answer' is borrowed, NULL on failure; 'error' is set then. */
typedef void (*question_answer_fn)(const json_t *answer, const struct error *error, void *context);
/* Asks the agent of 'host'.  'arguments' is taken over.  'done' may run before this returns. */
void questions_ask(struct hosts *hosts, const struct host *host, const char *operation, json_t *arguments, question_answer_fn done, void *context);
extern const struct route question_routes[];
extern const size_t n_question_routes;
void questions_answer(struct request *request);
void questions_tick(struct hosts *hosts, uint64_t now_ms);
void questions_clear(struct hosts *hosts);

#endif
