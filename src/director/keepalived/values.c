/* Values of keepalived's statements. */
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "weft/base/util.h"
#include "weft/director/keepalived/translate-parts.h"

void note(const struct translation *translation, const struct statement *statement, const char *format, ...)
{
    char text[400];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    import_note(translation->report, statement->file, statement->line, "%s: %s", statement->words[0], text);
}

static bool has_one(const struct translation *t, const struct statement *statement)
{
    if (statement->n_words == 2)
        return true;
    note(t, statement, statement->n_words < 2 ? "it has no value" : "it has more than one value");
    return false;
}

bool take_number(const struct translation *t, const struct statement *statement, uint32_t minimum, uint32_t maximum,
                 uint32_t *ret)
{
    uint64_t value;

    if (!has_one(t, statement))
        return false;
    if (parse_u64(statement->words[1], minimum, maximum, &value) < 0) {
        note(t, statement, "'%s' is not a number from %u to %u", statement->words[1], minimum, maximum);
        return false;
    }
    *ret = (uint32_t)value;
    return true;
}

bool take_timer(const struct translation *t, const struct statement *statement, uint32_t *ret_ms)
{
    const char *text = statement->n_words == 2 ? statement->words[1] : "";
    double seconds;
    char *end;

    if (!has_one(t, statement))
        return false;
    seconds = strtod(text, &end);
    if (!strchr("0123456789.", *text) || *end || !isfinite(seconds) || seconds < 0 || seconds > 86400) {
        note(t, statement, "'%s' is not a time from 0 to 86400 seconds", text);
        return false;
    }
    *ret_ms = (uint32_t)(seconds * 1000 + 0.5);
    return true;
}

bool take_bool(const struct translation *t, const struct statement *statement, bool *ret)
{
    static const char *const yes[] = {"true", "on", "yes"}, *const no[] = {"false", "off", "no"};

    for (size_t i = 0; statement->n_words == 2 && i < ARRAY_SIZE(yes); i++) {
        if (streq(statement->words[1], yes[i]) || streq(statement->words[1], no[i])) {
            *ret = streq(statement->words[1], yes[i]);
            return true;
        }
    }
    if (statement->n_words > 1) {
        note(t, statement, "'%s' is not one of on, off, true, false, yes, no", statement->words[1]);
        return false;
    }
    *ret = true;
    return true;
}

bool is_text(const struct translation *t, const struct statement *statement)
{
    if (!has_one(t, statement))
        return false;
    for (const char *at = statement->words[1]; *at; at++) {
        if ((unsigned char)*at < ' ') {
            note(t, statement, "it has control characters");
            return false;
        }
    }
    if (!*statement->words[1]) {
        note(t, statement, "it is empty");
        return false;
    }
    if (strlen(statement->words[1]) > 1024) {
        note(t, statement, "it has more than 1024 bytes");
        return false;
    }
    return true;
}

bool take_text(const struct translation *t, const struct statement *statement, char **ret)
{
    char *text;

    if (!is_text(t, statement))
        return false;
    text = strdup(statement->words[1]);
    if (!text)
        return false;
    free(*ret);
    *ret = text;
    return true;
}

/* keepalived's may say whose program it is to be, which this one's are not. */
void take_command(const struct translation *t, const struct statement *statement, char **ret)
{
    struct statement command = *statement;

    if (command.n_words > 2) {
        note(t, statement, "'%s' and what follows is not supported: it runs as weft-agent", command.words[2]);
        command.n_words = 2;
    }
    take_text(t, &command, ret);
}

bool take_address(const struct translation *t, const struct statement *statement, size_t word, struct ip_address *ret)
{
    if (statement->n_words > word && ip_parse(statement->words[word], ret) == 0)
        return true;
    note(t, statement, "'%s' is not an IP address", statement->n_words > word ? statement->words[word] : "");
    return false;
}

bool take_port(const struct translation *t, const struct statement *statement, size_t word, uint16_t *ret)
{
    uint64_t port;

    if (statement->n_words > word && parse_u64(statement->words[word], 0, UINT16_MAX, &port) == 0) {
        *ret = (uint16_t)port;
        return true;
    }
    note(t, statement, "'%s' is not a port", statement->n_words > word ? statement->words[word] : "");
    return false;
}

/* "type gue port 6080 csum" behind "TUN". */
static bool take_tunnel(const struct translation *t, const struct statement *statement, struct tunnel *tunnel)
{
    for (size_t i = 2; i < statement->n_words; i++) {
        const char *word = statement->words[i];

        if (streq(word, "type") && i + 1 < statement->n_words &&
            tunnel_type_parse(statement->words[i + 1], &tunnel->type) == 0) {
            i++;
        } else if (streq(word, "port") && i + 1 < statement->n_words) {
            if (!take_port(t, statement, ++i, &tunnel->port))
                return false;
        } else if (streq(word, "nocsum")) {
            tunnel->checksum = TUNNEL_CHECKSUM_NONE;
        } else if (streq(word, "csum")) {
            tunnel->checksum = TUNNEL_CHECKSUM_FULL;
        } else if (streq(word, "remcsum")) {
            tunnel->checksum = TUNNEL_CHECKSUM_REMOTE;
        } else {
            note(t, statement, "'%s' says nothing about a tunnel", word);
            return false;
        }
    }
    return true;
}

bool take_method(const struct translation *t, const struct statement *statement, struct real_server *server)
{
    const char *word = statement->n_words > 1 ? statement->words[1] : "";
    struct tunnel tunnel = {0};

    if (!strcasecmp(word, "TUN") && !take_tunnel(t, statement, &tunnel))
        return false;
    if (!strcasecmp(word, "NAT"))
        server->forwarding = FORWARD_NAT;
    else if (!strcasecmp(word, "DR"))
        server->forwarding = FORWARD_DIRECT;
    else if (!strcasecmp(word, "TUN"))
        server->forwarding = FORWARD_TUNNEL;
    else {
        note(t, statement, "'%s' is not one of NAT, DR, TUN", word);
        return false;
    }
    server->tunnel = tunnel;
    return true;
}

bool take_check_value(const struct translation *t, const struct statement *statement, struct check_values *values)
{
    const char *name = statement->words[0];
    uint32_t number;

    if (streq(name, "delay_loop") || streq(name, "connect_timeout") || streq(name, "delay_before_retry") ||
        streq(name, "warmup")) {
        if (!take_timer(t, statement, &number))
            return true;
        if (streq(name, "delay_loop"))
            values->interval_ms = MAX(number, 10);
        else if (streq(name, "connect_timeout"))
            values->timeout_ms = MAX(number, 1);
        else if (streq(name, "warmup"))
            values->has_warmup = true, values->warmup_ms = MAX(number, 1);
        else
            values->has_retry_delay = true, values->retry_delay_ms = MAX(number, 1);
        return true;
    }
    if (streq(name, "retry") || streq(name, "nb_get_retry")) {
        if (take_number(t, statement, 0, 1000, &values->retries))
            values->has_retries = true;
        return true;
    }
    if (streq(name, "alpha")) {
        take_bool(t, statement, &values->alpha);
        return true;
    }
    if (streq(name, "virtualhost")) {
        if (is_text(t, statement))
            values->host = statement->words[1];
        return true;
    }
    return false;
}
