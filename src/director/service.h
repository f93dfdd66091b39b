/* What a director balances: virtual services, real servers, and how their health is judged.
 *
 * The words and the rules are IPVS's (ipvsadm(8)) and keepalived's (keepalived.conf(5)), since those who use this come
 * from there; what IPVS has no word for (full NAT, L3DSR, VXLAN) stands beside it.  Plain data that says what is
 * wanted: counters and what is up now are in director-socket.h.  The file that it comes from is config.h's.  Numbers
 * are in host byte order. */
#ifndef WEFT_DIRECTOR_SERVICE_H
#define WEFT_DIRECTOR_SERVICE_H

#include <net/if.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "weft/base/address.h"
#include "weft/base/cleanup.h"

#define DIRECTOR_SERVICES_MAX 16384
#define DIRECTOR_SERVERS_MAX 131072       /* Of all services together. */
#define DIRECTOR_SERVICE_SERVERS_MAX 8192 /* Of one. */
#define DIRECTOR_MARK_RULES_MAX 1024
#define DIRECTOR_INTERFACES_MAX 64
#define DIRECTOR_LOCAL_ADDRESSES_MAX 256
#define DIRECTOR_CHECKS_MAX 8         /* Of one server. */
#define DIRECTOR_URLS_MAX 16          /* Of one check. */
#define SERVER_WEIGHT_MAX 2147483647u /* As ipvsadm takes; what a scheduler cannot tell apart it scales. */
#define SERVER_THRESHOLD_MAX 2147483647u
#define PERSISTENCE_TIMEOUT_DEFAULT_S 360 /* As ipvsadm 1.31 does, whose manual page says 300. */
#define PERSISTENCE_TIMEOUT_MAX_S (31 * 24 * 3600)
#define TIMEOUT_MAX_S (31 * 24 * 3600)
#define HISTORY_DEFAULT_S (24 * 3600)
#define HISTORY_MAX_S (365 * 24 * 3600)
#define VXLAN_VNI_MAX 0xffffffu
#define SECOND_CHANCE_PORT_DEFAULT 6080 /* GUE's (IANA). */

enum scheduler {
    SCHEDULER_RR,
    SCHEDULER_WRR,
    SCHEDULER_LC,
    SCHEDULER_WLC,
    SCHEDULER_LBLC,
    SCHEDULER_LBLCR,
    SCHEDULER_DH,
    SCHEDULER_SH,
    SCHEDULER_SED,
    SCHEDULER_NQ,
    SCHEDULER_FO,
    SCHEDULER_OVF,
    SCHEDULER_MH,
    N_SCHEDULERS,
};

/* What the flags mean is the scheduler's: of sh and mh, the first is "fallback", the second "port". */
#define SCHEDULER_FLAG_1 1u
#define SCHEDULER_FLAG_2 2u
#define SCHEDULER_FLAG_3 4u
#define SCHEDULER_FALLBACK SCHEDULER_FLAG_1 /* sh, mh: another server where the chosen one is full or has weight 0. */
#define SCHEDULER_PORT SCHEDULER_FLAG_2     /* sh, mh: the client's port counts, too. */

enum forwarding {
    FORWARD_NAT,      /* Destination translated; the servers' way back leads through the director.  ipvsadm -m. */
    FORWARD_FULL_NAT, /* Source translated, too, to one of the configuration's local addresses. */
    FORWARD_DIRECT,   /* The packet as it is, to the server's MAC.  ipvsadm -g. */
    FORWARD_TUNNEL,   /* The packet as it is, in another one.  ipvsadm -i. */
    FORWARD_L3DSR,    /* The destination address is the server's, and the DSCP says which VIP it was; the server puts it
                         back. */
    N_FORWARDINGS,
};

enum tunnel_type { TUNNEL_IPIP, TUNNEL_GUE, TUNNEL_GRE, TUNNEL_VXLAN, N_TUNNEL_TYPES };
enum tunnel_checksum { TUNNEL_CHECKSUM_NONE, TUNNEL_CHECKSUM_FULL, TUNNEL_CHECKSUM_REMOTE, N_TUNNEL_CHECKSUMS };

struct tunnel {
    enum tunnel_type type;
    uint16_t port;                 /* GUE and VXLAN: the outer UDP destination; else 0. */
    uint32_t vni;                  /* VXLAN. */
    enum tunnel_checksum checksum; /* GUE: any; GRE and VXLAN: none or full; IPIP has none. */
};

/* ---- Health, as keepalived sees it. ---- */

enum check_type {
    CHECK_TCP,   /* A connection is accepted. */
    CHECK_HTTP,  /* HTTP_GET: each URL is answered with a status that is expected. */
    CHECK_HTTPS, /* SSL_GET. */
    CHECK_TLS,   /* The server answers a TLS hello. */
    CHECK_UDP,   /* No ICMP unreachable comes; or, with 'require_reply', an answer does. */
    CHECK_DNS,   /* A query is answered without an error. */
    CHECK_PING,  /* An ICMP echo is answered. */
    CHECK_MISC,  /* A program ends with status 0. */
    CHECK_SMTP,  /* The server greets with 220 and takes a HELO. */
    CHECK_FILE,  /* A file of this host has a number that says so (FILE_CHECK). */
    N_CHECK_TYPES,
};

/* Which way a check goes. */
enum check_path {
    CHECK_PATH_AUTO,    /* That of the traffic where that can be, else to the server. */
    CHECK_PATH_SERVER,  /* To the server's address, or the check's own. */
    CHECK_PATH_TRAFFIC, /* To the virtual address, by the server's forwarding. */
    N_CHECK_PATHS,
};

struct check_url {
    char *path;   /* "/health", begins with '/'. */
    char *host;   /* The Host header (and TLS name); NULL: the check's, else the address. */
    char *status; /* Expected codes, "200,301-303"; NULL: 200 to 299. */
    char *digest; /* MD5 of the body in hexadecimal, or NULL. */
    char *regex;  /* That the body must match, or NULL. */
    char *regex_options; /* "caseless dotall", as health/regex.h has them; NULL: none. */
    bool regex_no_match; /* It must not match. */
    uint32_t regex_min_offset, regex_max_offset; /* Where a match may begin; a maximum of 0 is none. */
};

/* One way in which one server is asked.  Strings and arrays are owned by whoever owns the check. */
struct health_check {
    enum check_type type;
    enum check_path path;
    bool has_address; /* Else the server's own, or the virtual one.  With CHECK_PATH_TRAFFIC, of a service by mark: a virtual one. */
    bool has_bind_address;
    struct ip_address address;      /* Where to ask (connect_ip). */
    struct ip_address bind_address; /* From where (bindto). */
    uint16_t port;                  /* 0: the server's. */
    uint16_t bind_port;             /* 0: any. */
    char bind_interface[IFNAMSIZ];  /* Empty: any. */
    uint32_t mark;                  /* SO_MARK, 0: none. */
    uint32_t interval_ms;           /* From one question to the next, while all is well (delay_loop). */
    uint32_t timeout_ms;            /* Of one question (connect_timeout, misc_timeout). */
    uint32_t retries;               /* Failures in a row before the server is down: retries + 1. */
    uint32_t retry_delay_ms; /* From a failure to the next question while it is not yet down (delay_before_retry). */
    uint32_t warmup_ms;      /* The first question comes within this time, at random; 0: within the interval. */
    bool alpha;              /* Down until the first success; else up until the first failure. */

    struct check_url *urls; /* HTTP, HTTPS: at least one. */
    size_t n_urls;
    char *host; /* HTTP, HTTPS: virtualhost; TLS: the name in the hello; SMTP: the name in HELO.  NULL: none given. */
    bool http_1_1; /* Else HTTP/1.0, as keepalived. */
    bool follow_redirects;
    char *dns_name;      /* DNS: default "." */
    char *dns_type;      /* DNS: "A", "AAAA", "SOA", ...; default "SOA". */
    char *command;       /* MISC: a command line, split at blanks with quotes as in a shell, run without one. */
    bool dynamic_weight; /* MISC: status 2 to 255 is up with that weight less 2 (misc_dynamic). */
    char *payload;       /* UDP: what is sent, in hexadecimal; NULL: nothing but an empty datagram. */
    bool require_reply;  /* UDP. */
    char *file;          /* FILE: an absolute path. */
    int32_t file_weight; /* FILE: by which the number is multiplied before it is added to the server's weight; 0: what is not 0 is down. */
    bool reverse;        /* FILE: the other way round. */
};

/* ---- Services. ---- */

struct real_server {
    struct ip_address address;
    uint16_t port; /* 0: of a service by mark or of port 0, the port that the client asked for. */
    enum forwarding forwarding;
    struct tunnel tunnel;     /* FORWARD_TUNNEL. */
    uint8_t dscp;             /* FORWARD_L3DSR: 1 to 63. */
    uint32_t weight;          /* 0: no new connections, those that are there go on. */
    uint32_t upper_threshold; /* Connections from which on it gets no new ones; 0: no limit. */
    uint32_t lower_threshold; /* And below which it does again; 0: three quarters of the upper one. */
    bool second_chance;       /* It has an agent that takes packets with the chain of who had their row before; hash services that remember nothing. */
    bool inhibit_on_failure;  /* While it is down its weight is 0 (running connections go on); else it is out, and they
                                 end. */
    struct health_check *checks; /* All must pass. */
    size_t n_checks;
    char *notify_up, *notify_down; /* Command lines that are run when its checks have passed, or one has failed; NULL: none. */
};

struct virtual_service {
    /* The key: protocol, address and port; or, if 'mark' is not 0, mark and family. */
    uint32_t mark;
    bool ipv6;        /* The family of the clients. */
    uint8_t protocol; /* IPPROTO_TCP, IPPROTO_UDP, IPPROTO_SCTP; 0 with a mark. */
    uint16_t port;    /* 0: every port; needs persistence. */
    struct ip_address address;

    enum scheduler scheduler;
    uint32_t scheduler_flags;       /* SCHEDULER_FLAG_*. */
    bool one_packet;                /* UDP (or by mark): each packet is scheduled by itself, nothing is remembered. */
    bool track_connections;         /* Remember each connection although the scheduler is a hash. */
    bool clamp_mss;                 /* Servers by tunnel: lower the MSS that clients announce, so that answers by such a tunnel fit. */
    uint32_t history_s;             /* For how long it is known who had a row before, for second chances; 0: until three later ones had it. */
    uint32_t half_open_limit;       /* TCP connections that have not been answered; 0: the program's default. */
    uint32_t persistence_timeout_s; /* 0: not persistent. */
    /* Which clients are one for persistence.  IPv4: a mask, usually 0xffffffff.  IPv6: a prefix length, 1 to 128. */
    uint32_t persistence_mask;

    /* Health.  The service has its quorum while the weights of the servers that are up add up to 'quorum' or more; it
     * lost it below quorum - hysteresis, and has it again from quorum + hysteresis on.  Without it the sorry server
     * answers. */
    uint32_t quorum;     /* At least 1. */
    uint32_t hysteresis; /* Less than the quorum. */
    char *quorum_up, *quorum_down; /* Command lines that are run when it is gained, also at first, and lost; NULL: none. */
    bool has_sorry_server;
    struct real_server sorry_server; /* Its checks are none, its weight 1. */

    struct real_server *servers; /* In the order in which they were added, which schedulers go by. */
    size_t n_servers;
};

/* Gives packets a mark (they are seen before netfilter could).  All that is given must match; the first rule that
 * matches counts. */
struct mark_rule {
    uint32_t mark; /* Not 0. */
    bool ipv6;
    uint8_t protocol; /* 0: any. */
    bool has_source, has_destination;
    struct ip_prefix source, destination;
    uint16_t source_port_min, source_port_max; /* 0 to 65535: any. */
    uint16_t destination_port_min, destination_port_max;
    char interface[IFNAMSIZ]; /* Where the packet came in; empty: any. */
};

struct connection_timeouts {
    uint32_t tcp_s, tcp_fin_s, udp_s;
};
#define CONNECTION_TIMEOUTS_DEFAULT ((struct connection_timeouts){.tcp_s = 900, .tcp_fin_s = 120, .udp_s = 300})

/* ---- Names.  A parser returns 0, or -ENOENT if nothing has that name; a name is static. ---- */

const char *scheduler_name(enum scheduler scheduler); /* "wlc" */
int scheduler_parse(const char *name, enum scheduler *ret);
const char *forwarding_name(enum forwarding forwarding); /* "nat", "full-nat", "direct", "tunnel", "l3dsr" */
int forwarding_parse(const char *name, enum forwarding *ret);
const char *tunnel_type_name(enum tunnel_type type); /* "ipip" */
int tunnel_type_parse(const char *name, enum tunnel_type *ret);
const char *tunnel_checksum_name(enum tunnel_checksum checksum); /* "none", "full", "remote" */
int tunnel_checksum_parse(const char *name, enum tunnel_checksum *ret);
const char *check_type_name(enum check_type type); /* "tcp" */
int check_type_parse(const char *name, enum check_type *ret);
const char *check_path_name(enum check_path path); /* "auto", "server", "traffic" */
const char *service_protocol_name(uint8_t protocol); /* "tcp", "udp", "sctp"; NULL for any other. */
int service_protocol_parse(const char *name, uint8_t *ret);

/* ---- Values that are not given. ---- */

/* A service as ipvsadm makes it: wlc, not persistent, a quorum of 1.  The key is the caller's to fill in. */
struct virtual_service virtual_service_default(bool ipv6);
/* As ipvsadm makes it: direct, weight 1. */
struct real_server real_server_default(void);
/* Matches every packet of IPv4. */
struct mark_rule mark_rule_default(void);
/* As keepalived makes it: asked every 60 s, 5 s to answer, one retry after 1 s. */
struct health_check health_check_default(enum check_type type);

/* ---- Ownership.  These free what is in the object, not the object. ---- */

void health_check_clear(struct health_check *check);
void real_server_clear(struct real_server *server);
void virtual_service_clear(struct virtual_service *service);

/* ---- What follows. ---- */

/* Does the director remember each of its connections?  Else a row says where a packet goes. */
bool virtual_service_remembers(const struct virtual_service *service);

/* ---- Keys. ---- */

bool virtual_service_same_key(const struct virtual_service *a, const struct virtual_service *b);
bool real_server_same_key(const struct real_server *a, const struct real_server *b); /* Address and port. */

/* "tcp 192.0.2.1:80", "tcp [2001:db8::1]:80", "mark 5", "mark 5 (IPv6)": what messages and logs call it.  Returns
 * 'text'. */
#define SERVICE_TEXT_SIZE 64
const char *virtual_service_format(const struct virtual_service *service, char text[SERVICE_TEXT_SIZE]);
const char *real_server_format(const struct real_server *server, char text[SERVICE_TEXT_SIZE]); /* "10.0.0.1:80" */

#endif
