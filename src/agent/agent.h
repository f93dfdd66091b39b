/* The agent as a whole: what its parts share.  One thread, one loop.
 *
 *     api (watch stream) -> replica --\
 *     links, underlay (rtnetlink) -----+-> update: compile -> maps -> programs on interfaces -> report
 *     local (slots, plugs) -----------/
 *     punt (ring buffer) -> DHCP, RA -> the workload's interface
 *     verdicts (ring buffer) -> the network log's file
 *     server (agent.sock), watch requests -> answers */
#ifndef WEFT_AGENT_AGENT_H
#define WEFT_AGENT_AGENT_H

#include <uv.h>

#include "weft/agent/api.h"
#include "weft/agent/links.h"
#include "weft/agent/local.h"
#include "weft/agent/replica.h"
#include "weft/agent/underlay.h"
#include "weft/dataplane/maps.h"

#define MAX_UNDERLAY_INTERFACES 16

struct agent_options {
    char *host, *api, *state_dir, *pin_path, *socket, *underlay, *tunnel_address, *join_token_file, *api_ca, *log_level,
        *metrics_listen, *uplinks, *metadata_url, *metadata_secret_file, *network_log_file;
    uint64_t max_ports, max_hosts, max_router_ports, max_project_macs, max_connections, flood_fan_out, relay_rate, network_log_rate_limit,
        network_log_burst_limit, probe_rate;
    uint64_t timeouts[8]; /* Seconds, by enum flow_timeout; 0: the default (timeouts.h). */
};

/* A port that is bound to this host. */
struct agent_port {
    struct hashmap_node by_id;
    char id[UUID_TEXT_SIZE];
    uint32_t slot, generation, project;
    uint32_t ifindex;      /* Of the interface it should have; 0: none is there. */
    uint64_t incarnation;  /* Of that interface (links.h). */
    uint32_t attached;     /* Where the program is; 0: nowhere. */
    uint64_t attached_incarnation;
    uint16_t prepared_mtu; /* The MTU that the interface was given. */
    char interface[16];
    bool is_veth;
    bool seen;             /* In this update's replica. */
    bool active, reported_active, reported;
    bool refused;          /* Its interface is the host's own, and that was said. */
    uint64_t retry_ms;     /* Not before then, after a failure to attach. */
};

/* Another host. */
struct agent_host {
    struct hashmap_node by_name;
    char name[256];
    uint32_t slot, generation;
    struct ip_address address;
    struct host_config path;
    bool resolved, seen;
};

struct punt;
struct uplinks;
struct serve;
struct server;
struct metrics;
struct metadata;
struct verdicts;
struct member_watches;
struct members_gone;

struct agent {
    struct agent_options options;
    uv_loop_t loop;
    struct replica replica;
    struct local local;
    struct links links;
    struct underlay underlay;
    struct maps *maps;
    struct desired desired;
    struct rows shortages_said;        /* desired.shortages that the log knows of. */
    struct rows left_out_reported;     /* desired.left_out that the API knows of, */
    bool left_out_is_lost;             /* unless this says that it may not. */
    struct api *api;
    struct server *server;
    struct punt *punt;
    struct questions *questions;       /* Of the API: those that wait. */
    struct uplinks *uplinks;
    struct serve *serve;
    struct metrics *metrics;
    struct metadata *metadata;
    struct verdicts *verdicts;
    struct member_watches *member_health;
    struct members_gone *members_gone;

    struct hashmap ports;              /* agent_port by id. */
    struct agent_port **port_by_slot;  /* As many as the maps have. */
    struct hashmap hosts;              /* agent_host by name. */
    struct ip_address tunnel_address;  /* Zero while unknown. */
    uint16_t underlay_mtu;
    uint32_t tunnel_ifindex, metadata_ifindex; /* Of devices of our own; the latter is 0 where it could not be made. */
    struct mac_address metadata_mac;
    bool metadata_has_ipv6;
    uint32_t underlay_ifindexes[MAX_UNDERLAY_INTERFACES]; /* Where from_underlay is. */
    uint64_t underlay_incarnations[MAX_UNDERLAY_INTERFACES]; /* Of these. */
    size_t n_underlay_ifindexes;
    uint64_t underlay_state;           /* Of their MACs, MTUs, flags: see update.c. */

    uv_timer_t update_timer, report_timer, news_timer;
    uv_signal_t terminate, interrupt, hang_up;
    uint64_t updated_ms, update_took_ms; /* The last update. */
    uint64_t applied_revision;
    json_t *reported_physical_networks, *reported_listeners; /* As last told; NULL: never. */
    uint64_t reported_revision;         /* The 'applied_revision' that was told with these. */
    bool counts_are_due;              /* Of connections: to be looked at for news. */
    bool swept_interfaces, reporting, report_again;
    bool greeting; /* Connected, and the first report, of everything, is still to be sent. */
};

/* update.c: brings the data plane to what replica and host say; soon, and once for all that happened meanwhile. */
void agent_schedule_update(struct agent *agent);

/* May a workload be given the interface?  0, -EBUSY when the host itself uses it, or what asking the kernel said; '*error' says why.
 * 'force' waives addresses and routes on which nothing of ours depends. */
int agent_check_interface(struct agent *agent, const struct link *link, bool force, struct error *error);

/* Something changed in the underlay: the ways to the other hosts are looked up again. */
void agent_underlay_changed(struct agent *agent);

/* report.c: tells the API what changed, at once and every 10 s. */
void agent_report(struct agent *agent, bool all);
void agent_report_start(struct agent *agent);

/* The port in a slot, with its network and subnets; NULL when there is none. */
struct agent_port *agent_find_slot(const struct agent *agent, uint32_t slot);
struct agent_port *agent_find_port(const struct agent *agent, const char *port_id);
const struct port *agent_model_port(const struct agent *agent, const struct agent_port *port);

/* answers.c: one operation of docs/agent-protocol.md; a new reference, or NULL with '*error'. */
json_t *agent_answer(struct agent *agent, const char *operation, const json_t *arguments, struct error *error);

/* server.c: agent.sock. */
int server_new(struct agent *agent, const char *path, struct server **ret_server, struct error *error);
void server_free(struct server *server);

#endif
