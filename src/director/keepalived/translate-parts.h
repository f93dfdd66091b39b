/* The parts of the translation, for translate*.c only. */
#ifndef WEFT_DIRECTOR_KEEPALIVED_TRANSLATE_PARTS_H
#define WEFT_DIRECTOR_KEEPALIVED_TRANSLATE_PARTS_H

#include "weft/director/import/report.h"
#include "weft/director/keepalived/tree.h"
#include "weft/director/service.h"

/* What a virtual server says for its real servers, a real server for its checkers. */
struct check_values {
    uint32_t interval_ms, timeout_ms, retries, retry_delay_ms, warmup_ms;
    bool has_retries, has_retry_delay, has_warmup, alpha;
    const char *host;
};

/* A virtual server in the making. */
struct translation {
    struct import_report *report;
    const struct virtual_service *service;
    struct real_server server; /* Defaults of its servers: forwarding, tunnel, inhibit_on_failure. */
    struct check_values values;
};

void note(const struct translation *translation, const struct statement *statement, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Values: each reports what is wrong with a statement, and is then false. */
bool take_number(const struct translation *t, const struct statement *statement, uint32_t minimum, uint32_t maximum,
                 uint32_t *ret);
bool take_timer(const struct translation *t, const struct statement *statement, uint32_t *ret_ms);
bool take_bool(const struct translation *t, const struct statement *statement, bool *ret);  /* Without a value: true. */
/* Has it one word that can be kept?  Else it is noted. */
bool is_text(const struct translation *t, const struct statement *statement);
bool take_text(const struct translation *t, const struct statement *statement, char **ret); /* Replaces '*ret'. */
void take_command(const struct translation *t, const struct statement *statement, char **ret);
bool take_address(const struct translation *t, const struct statement *statement, size_t word, struct ip_address *ret);
bool take_port(const struct translation *t, const struct statement *statement, size_t word, uint16_t *ret);
/* "NAT", "DR", "TUN type gue port 6080 csum". */
bool take_method(const struct translation *t, const struct statement *statement, struct real_server *server);

/* Whether the statement is one of the check values ("delay_loop 6"), which is then taken. */
bool take_check_value(const struct translation *t, const struct statement *statement, struct check_values *values);

/* Adds the real server, with its checks.  0 or -ENOMEM. */
int translate_server(const struct translation *t, const struct statement *statement, struct virtual_service *service);

/* "TCP_CHECK" and its like; whether it is one.  The check is added to the server's. */
bool translate_check(const struct translation *t, const struct statement *statement, const struct check_values *values,
                     struct real_server *server);

#endif
