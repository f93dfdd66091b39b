/* What a server is asked to see whether it is well, and how it is reached: the input of every probe.
 *
 * A question is made once, shared by all servers that are asked the same (the members of a pool), and never changes.  It belongs to one
 * thread. */
#ifndef WEFT_HEALTH_QUESTION_H
#define WEFT_HEALTH_QUESTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "weft/base/address.h"
#include "weft/base/cleanup.h"
#include "weft/base/error.h"
#include "weft/health/regex.h"

#define HEALTH_TIMEOUT_MAX_MS 3600000u
#define HEALTH_URLS_MAX 64
#define HEALTH_CODES_MAX 32
#define HEALTH_TEXT_MAX 2048     /* Bytes of a path, a host name, a method. */
#define HEALTH_PAYLOAD_MAX 1400
#define HEALTH_BODY_MAX 262144u  /* Bytes of a body that are kept to be searched. */
#define HEALTH_ARGUMENTS_MAX 64
#define HEALTH_DIGEST_SIZE 33    /* MD5 in hexadecimal, and the end. */

/* Each says when the server is well. */
enum health_kind {
    HEALTH_TCP,       /* It takes a connection, which is reset at once. */
    HEALTH_HTTP,      /* Each URL in turn is answered with an expected status (and digest, and text). */
    HEALTH_HTTPS,     /* Likewise over TLS; no certificate is verified. */
    HEALTH_TLS_HELLO, /* It answers a ClientHello with a ServerHello. */
    HEALTH_UDP,       /* It answers, or no ICMP error comes: see struct health_udp. */
    HEALTH_PING,      /* It answers an ICMP echo request (RFC 792, RFC 4443). */
    HEALTH_DNS,       /* It answers a query over UDP without an error (RFC 1035). */
    HEALTH_SMTP,      /* It greets with 220 and answers HELO with 250 (RFC 5321). */
    HEALTH_MISC,      /* A program ends with status 0; or, where it may decide on the weight, with 0 or 2 to 255. */
    HEALTH_FILE,      /* A file of this host has a number: see struct health_file. */
    HEALTH_N_KINDS,
};
const char *health_kind_name(enum health_kind kind); /* "TCP", "TLS-HELLO", ... */

struct health_codes {
    uint16_t first, last; /* HTTP status codes, both included. */
};

/* Reads Octavia's expected_codes: "200", "200,202", "200-204", and mixtures.  Stores at most HEALTH_CODES_MAX.  0 or -EINVAL. */
int health_codes_parse(const char *text, struct health_codes ret_codes[HEALTH_CODES_MAX], size_t *ret_n);

struct health_url {
    const char *path;                /* Begins with '/'; may have a query. */
    const char *host;                /* The Host header, and the name in TLS' ClientHello; NULL: the server's address, and no name. */
    const struct health_codes *codes;
    size_t n_codes;                  /* 0: every status from 200 to 299. */
    char digest[HEALTH_DIGEST_SIZE]; /* Of the body, as genhash(1) of keepalived prints it; "": not looked at. */
    struct health_regex_options regex; /* That must be found in the body's first HEALTH_BODY_MAX bytes; without a pattern: not looked at. */
    bool regex_no_match;             /* That must not, and the body must not be longer. */
    const struct health_regex *compiled; /* The question's own; not looked at in options. */
};

struct health_http {
    const char *method;              /* NULL: GET. */
    uint8_t version;                 /* 10 or 11; 0 is 11. */
    const struct health_url *urls;
    size_t n_urls;
    bool follow_redirects;           /* At most 10; the last status counts.  To the same server, whatever name the redirect has. */
};

struct health_tls {
    const char *name;                /* In the ClientHello; NULL: none. */
};

struct health_smtp {
    const char *name;                /* Of this host, in HELO; NULL: "localhost". */
};

/* One datagram is sent.  Silence is as good as an answer, unless one is required; it is waited for HEALTH_UDP_SILENCE_MS at most, since an ICMP
 * error comes within a round trip or not at all. */
#define HEALTH_UDP_SILENCE_MS 1000u
struct health_udp {
    const uint8_t *payload;
    size_t payload_size;             /* 0: one byte, 'X'. */
    bool is_empty;                   /* An empty datagram instead of that byte. */
    bool require_reply;
    uint16_t reply_min, reply_max;   /* Bytes that a reply must have; a maximum of 0 is none. */
};

struct health_dns {
    const char *name;                /* NULL: the root, ".". */
    uint16_t type;                   /* Of RFC 1035, 3.2.2 and its successors; 0: SOA. */
};
uint16_t health_dns_type(const char *name); /* "A", "AAAA", "SOA", ...; 0: unknown. */

/* In a process group of its own, which is killed when the time is over.  Standard input and outputs are /dev/null. */
struct health_misc {
    const char *const *arguments;    /* The first is the program's absolute path; ends with NULL. */
    bool may_set_weight;             /* Statuses 2 to 255 are success, too: keepalived's misc_dynamic. */
    bool has_user;
    uid_t user;
    gid_t group;
};

/* keepalived's FILE_CHECK.  The number times the weight is what is added to the server's weight; it is well unless that is -2147483648 or less.  With a weight
 * of 0 it is well while the number is 0.  A file that is not there has 0. */
struct health_file {
    const char *path;                /* Absolute. */
    int32_t weight;
    bool reverse;                    /* The product is taken off; with a weight of 0 it is well while the number is not 0. */
};

struct health_question_options {
    enum health_kind kind;
    uint32_t timeout_ms;             /* 1 to HEALTH_TIMEOUT_MAX_MS, for all of the probe. */
    struct health_http http;         /* The kind's own part; the others are not looked at. */
    struct health_tls tls;
    struct health_udp udp;
    struct health_dns dns;
    struct health_smtp smtp;
    struct health_misc misc;
    struct health_file file;
};

/* What was copied from options; read only. */
struct health_question;

/* Copies 'options'.  The caller owns a reference.  0, -EINVAL (in '*error', which may be NULL, the field and the value) or -ENOMEM; '*ret' is
 * untouched on failure. */
int health_question_new(const struct health_question_options *options, struct health_question **ret, struct error *error);
struct health_question *health_question_ref(struct health_question *question);
void health_question_unref(struct health_question *question); /* NULL is fine. */
DEFINE_CLEANUP(struct health_question *, health_question_unref);
const struct health_question_options *health_question_options(const struct health_question *question);

struct health_target;

/* The way to a server.  All zero but the address and port: as any connection of the host. */
struct health_target {
    struct ip_address address;
    struct ip_address source;        /* Zero: the kernel chooses. */
    uint16_t port, source_port;      /* Host order; a source port of 0 is any. */
    struct ip_address called;        /* What requests call it (Host), if they do not have a name for it; zero: by its address. */
    uint32_t mark;                   /* SO_MARK; 0: none. */
    char device[16];                 /* SO_BINDTODEVICE; "": none. */
    /* Opens sockets in the place of all that, of the address's family and 'type' (SOCK_STREAM | SOCK_NONBLOCK | ...; SOCK_RAW: one for echo requests, which has
     * nothing but its own replies), bound if need be: a descriptor that the caller owns, or -errno.  NULL: they are the host's as any other.  Programs take
     * no notice. */
    int (*open)(const struct health_target *target, int type, void *context);
    void *open_context;
};

#endif
