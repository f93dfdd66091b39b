/* What a probe is made of, for the files that do one kind each. */
#ifndef WEFT_HEALTH_PROBE_STATE_H
#define WEFT_HEALTH_PROBE_STATE_H

#include <openssl/ssl.h>

#include "weft/base/buffer.h"
#include "weft/base/hashmap.h"
#include "weft/health/dns-message.h"
#include "weft/health/icmp-message.h"
#include "weft/health/probe.h"
#include "weft/http/curl-loop.h"

/* A kind of probe.  It says how the probe ended by probe_finish, probe_fail or probe_not_asked, also from within start. */
struct probe_kind {
    void (*start)(struct health_probe *probe);
    void (*ready)(struct health_probe *probe); /* The socket that probe_watch watches can be read or written, or has an error. */
    void (*expired)(struct health_probe *probe); /* NULL: that is a failure. */
    void (*stop)(struct health_probe *probe);  /* NULL: nothing to do.  Called once, after start. */
};

extern const struct probe_kind probe_tcp, probe_http, probe_tls, probe_udp, probe_ping, probe_dns, probe_smtp, probe_misc, probe_file;

struct http_probe {
    CURL *easy;
    struct curl_slist *headers, *connect_to;
    size_t url;             /* Which one is asked. */
    EVP_MD_CTX *digest;     /* Where one is wanted. */
    struct buffer body;     /* What is kept of it, where it is searched. */
    bool is_added, has_head, has_location, is_cut;
    int socket_error;       /* A negative errno of preparing the socket. */
};

struct tls_probe {
    SSL *ssl;
    BIO *received, *to_send; /* The SSL's. */
    bool has_hello;
};

struct ping_probe {
    struct hashmap_node by_key; /* Of the prober. */
    uint8_t key[ECHO_KEY_SIZE];
    bool is_in_map;
};

struct dns_probe {
    uint8_t query[DNS_QUERY_MAX];
    size_t size;
};

struct smtp_probe {
    char line[1024];        /* What was received of a line of its answer (RFC 5321, 4.5.3.1.5: at most 512 bytes). */
    size_t size;
    bool has_greeted;
};

struct misc_probe {
    uv_process_t process;
    bool has_handle, is_running;
};

struct health_probe {
    struct health_prober *prober;
    struct health_probe *next, *previous; /* Of the prober, until the memory is freed. */
    struct health_question *question;
    const struct health_question_options *asked; /* Of the question. */
    struct health_target target;
    const struct probe_kind *kind;
    health_done done;
    void *context;

    uv_timer_t timer;
    uv_poll_t poll;
    int fd;                   /* -1: none. */
    bool has_poll, is_starting, is_over, is_last_chance;
    unsigned n_handles;       /* That are not closed yet. */
    uint64_t started_ms;
    uint32_t limit_ms;
    struct health_result result;
    union {
        struct http_probe http;
        struct tls_probe tls;
        struct ping_probe ping;
        struct dns_probe dns;
        struct smtp_probe smtp;
        struct misc_probe misc;
    };
};

struct echo_socket {
    struct health_prober *prober;
    uv_poll_t poll;
    int fd;
    bool is_open, is_v4, is_raw;
};

struct health_prober {
    uv_loop_t *loop;
    struct health_probe *probes;
    struct curl_loop curl;
    SSL_CTX *tls;              /* NULL until it is needed. */
    struct echo_socket echo[2]; /* IPv4, IPv6. */
    struct hashmap pings;      /* ping_probe by key: those that wait for a reply. */
    uv_timer_t end;
    unsigned n_handles;        /* Of its own and of probes. */
    bool is_closing;
    void (*closed)(void *context);
    void *closed_context;
};

void probe_finish(struct health_probe *probe, bool is_up, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* Ends it with what an errno means.  'what' is put in front, "cannot bind to 'eth1'"; NULL for what is clear. */
void probe_fail_errno(struct health_probe *probe, int error, const char *what);
const char *probe_errno_text(int error); /* "connection refused" */

/* A non-blocking socket of the target's family with its source, device and mark.  0, or the probe has ended. */
int probe_socket(struct health_probe *probe, int type);
int probe_open(const struct health_target *target, int type); /* A socket that is not prepared yet, or -errno. */
int probe_prepare_socket(const struct health_target *target, int fd, const char **ret_what); /* 0 or -errno, and what did not go. */
int probe_connect(struct health_probe *probe); /* 0: connected or on the way; or the probe has ended. */
int probe_connect_error(struct health_probe *probe); /* 0: connected; a positive errno. */
void probe_watch(struct health_probe *probe, int events); /* UV_READABLE | UV_WRITABLE */

void probe_handle_added(struct health_probe *probe);
void probe_handle_closed(struct health_probe *probe); /* May free it. */
void prober_handle_closed(struct health_prober *prober); /* May free it. */

/* http.c, ping.c, misc.c: what they have in the prober, or beyond a probe's end. */
void probe_http_finished(CURL *easy, CURLcode result, void *context);
void probe_ping_close(struct health_prober *prober);
void probe_misc_abandon(struct health_probe *probe);

#endif
