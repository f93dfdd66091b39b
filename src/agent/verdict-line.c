#include "weft/agent/verdict-line.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <time.h>

#include "weft/base/address.h"
#include "weft/base/util.h"
#include "weft/dataplane/maps.h"

static int append_time(uint64_t time_ms, struct buffer *line)
{
    time_t seconds = (time_t)(time_ms / 1000);
    char text[32];
    struct tm tm;

    if (!gmtime_r(&seconds, &tm) || !strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &tm))
        text[0] = 0;
    return buffer_printf(line, "time=%s.%03uZ", text, (unsigned)(time_ms % 1000));
}

static int append_names(const struct verdict_names *names, struct buffer *line)
{
    int error = buffer_printf(line, " project=%s port=%s logs=", names->project_id[0] ? names->project_id : "-", names->port_id);

    for (size_t i = 0; i < names->n_logs && error == 0; i++)
        error = buffer_printf(line, "%s%s", i ? "," : "", names->log_ids[i]);
    return error;
}

static const char *mac_text(const __u8 *bytes, char text[MAC_TEXT_SIZE])
{
    struct mac_address mac;

    memcpy(mac.bytes, bytes, sizeof(mac.bytes));
    return mac_format(&mac, text);
}

static const char *ip_text(const __u8 *bytes, char text[IP_TEXT_SIZE])
{
    struct ip_address address;

    memcpy(address.bytes, bytes, sizeof(address.bytes));
    return ip_format(&address, text);
}

static bool has_ports(uint8_t protocol)
{
    return protocol == IPPROTO_TCP || protocol == IPPROTO_UDP || protocol == IPPROTO_UDPLITE || protocol == IPPROTO_SCTP;
}

/* As in RFC 9293, 3.1, from the lowest bit. */
static const char *flags_text(uint8_t flags, char text[9])
{
    static const char letters[] = "FSRPAUEC";
    size_t n = 0;

    for (int i = 0; i < 8; i++)
        if (flags & (1u << i))
            text[n++] = letters[i];
    text[n] = 0;
    return n ? text : "-";
}

static int append_protocol(const struct verdict_event *event, struct buffer *line)
{
    char source[IP_TEXT_SIZE], destination[IP_TEXT_SIZE], flags[9];
    int error = buffer_printf(line, " source=%s destination=%s protocol=%u", ip_text(event->source, source),
                              ip_text(event->destination, destination), event->protocol);

    if (error == 0 && has_ports(event->protocol))
        error = buffer_printf(line, " source_port=%u destination_port=%u", ntohs(event->source_port), ntohs(event->destination_port));
    if (error == 0 && event->flags & VERDICT_LATER_FRAGMENT)
        return buffer_append_string(line, " fragment=later");
    if (error == 0 && event->protocol == IPPROTO_TCP)
        error = buffer_printf(line, " tcp_flags=%s", flags_text(event->tcp_flags, flags));
    if (error == 0 && (event->protocol == IPPROTO_ICMP || event->protocol == IPPROTO_ICMPV6))
        error = buffer_printf(line, " icmp_type=%u icmp_code=%u", event->icmp_type, event->icmp_code);
    return error;
}

static int append_rule(const struct verdict_event *event, const struct verdict_names *names, struct buffer *line)
{
    const char *reason = drop_reason_name(event->reason);
    int error = event->reason ? buffer_printf(line, " reason=%s", reason ? reason : "unknown") : 0;

    if (error < 0 || (event->reason && !event->number))
        return error;
    return names->rule_id ? buffer_printf(line, " rule=%s", names->rule_id) : buffer_printf(line, " rule=%08x", event->number);
}

int verdict_line(const struct verdict_event *event, uint64_t time_ms, const struct verdict_names *names, struct buffer *line)
{
    uint16_t ethertype = ntohs(event->ethertype);
    char source[MAC_TEXT_SIZE], destination[MAC_TEXT_SIZE];
    size_t before = line->size;
    int error = append_time(time_ms, line);

    if (error == 0)
        error = buffer_printf(line, " action=%s direction=%s", event->reason ? "DROP" : "ACCEPT",
                              event->flags & VERDICT_RECEIVED ? "ingress" : "egress");
    if (error == 0)
        error = append_names(names, line);
    if (error == 0)
        error = append_rule(event, names, line);
    if (error == 0)
        error = buffer_printf(line, " source_mac=%s destination_mac=%s ethertype=0x%04x", mac_text(event->source_mac, source),
                              mac_text(event->destination_mac, destination), ethertype);
    if (error == 0 && (ethertype == 0x0800 || ethertype == 0x86dd))
        error = append_protocol(event, line);
    if (error == 0)
        error = buffer_printf(line, " size=%u\n", event->size);
    if (error < 0)
        line->size = before;
    return error;
}

int verdict_line_left_out(uint64_t n, uint64_t time_ms, const struct verdict_names *names, struct buffer *line)
{
    size_t before = line->size;
    int error = append_time(time_ms, line);

    if (error == 0)
        error = buffer_append_string(line, " action=LEFT_OUT");
    if (error == 0)
        error = append_names(names, line);
    if (error == 0)
        error = buffer_printf(line, " count=%llu\n", (unsigned long long)n);
    if (error < 0)
        line->size = before;
    return error;
}

int verdict_line_lost(uint64_t n, uint64_t time_ms, struct buffer *line)
{
    size_t before = line->size;
    int error = append_time(time_ms, line);

    if (error == 0)
        error = buffer_printf(line, " action=LOST count=%llu\n", (unsigned long long)n);
    if (error < 0)
        line->size = before;
    return error;
}
