/* What happens: state, counters, connections, traces. */
#include <stddef.h>

#include "weft/cli/commands/tables.h"
#include "weft/cli/connections.h"
#include "weft/cli/hosts.h"
#include "weft/cli/trace.h"

static const struct flag trace_flags[] = {
    OWN("to", "PORT", "a frame for this port", COMPLETE_PORT),
    OWN("dst", "ADDRESS", "a packet for this IP address", COMPLETE_NOTHING),
    OWN_CHOICE("proto", "PROTOCOL", "what it carries (icmp)", "udp tcp icmp arp nd"),
    OWN("dport", "NUMBER", "destination port of UDP and TCP (80)", COMPLETE_NOTHING),
    OWN("sport", "NUMBER", "source port (40000)", COMPLETE_NOTHING),
    OWN("src", "ADDRESS", "source address (the port's)", COMPLETE_NOTHING),
    OWN("src-mac", "MAC", "source MAC (the port's)", COMPLETE_NOTHING),
    OWN("dst-mac", "MAC", "destination MAC (looked up)", COMPLETE_NOTHING),
    OWN("size", "BYTES", "payload behind the L4 header (0)", COMPLETE_NOTHING),
    OWN_SWITCH("ipv6", "with --to: its IPv6 address"),
    OWN("frame", "HEX", "exactly this frame, from the Ethernet header on", COMPLETE_NOTHING),
    END,
};
static const struct flag drops_flags[] = {
    OWN("port", "PORT", "only of this port", COMPLETE_PORT),
    OWN("host", "HOST", "only on this host", COMPLETE_HOST),
    OWN_SWITCH("follow", "go on, and print what is added each second"),
    END,
};
static const struct flag flows_flags[] = {
    OWN("limit", "NUMBER", "at most so many (100)", COMPLETE_NOTHING),
    END,
};
static const struct flag connection_conditions[] = {
    OWN("port", "PORT", "only of this port", COMPLETE_PORT),
    OWN("host", "HOST", "only on this host (administrators)", COMPLETE_HOST),
    OWN("project", "PROJECT", "only of this project's ports (administrators)", COMPLETE_PROJECT),
    OWN_CHOICE("protocol", "PROTOCOL", "tcp, udp, icmp, icmpv6, sctp or a number", "tcp udp icmp icmpv6 sctp"),
    OWN("address", "ADDRESS", "with this address, or one of this prefix, on either side or outside", COMPLETE_NOTHING),
    OWN("port-number", "NUMBER", "with this port of TCP or UDP, the same", COMPLETE_NOTHING),
    OWN_CHOICE("state", "STATE", "in this state", "half-open established half-closed closing time-wait reset"),
    OWN_SWITCH("translated", "only those that are called otherwise outside"),
    OWN_SWITCH("untranslated", "only those that are not"),
    END,
};
static const struct flag connections_delete_flags[] = {
    OWN_SWITCH("all", "without any condition: all that you may end"),
    END,
};

const struct command commands_seeing[] = {
    {.name = "status", .help = "Show how the platform is", .run = run_status},
    {.name = "drops", .help = "Show dropped packets and why", .flags = {drops_flags}, .run = run_drops},
    {.name = "counters", .help = "Show traffic of ports",
     .arguments = {{.name = "PORT", .is_optional = true, .is_rest = true, .completion = COMPLETE_PORT}},
     .run = run_counters},
    {.name = "flows", .help = "Show a port's connections",
     .arguments = {{.name = "PORT", .completion = COMPLETE_PORT}}, .flags = {flows_flags}, .run = run_flows},
    {.name = "connections list", .help = "List connections of all hosts", .flags = {connection_conditions, flows_flags},
     .run = run_connections_list, .details = "Each host with a port that is meant is asked; which it is only administrators are told. A connection between two ports is known to both of their hosts."},
    {.name = "connections delete", .help = "End connections", .flags = {connection_conditions, connections_delete_flags}, .run = run_connections_delete,
     .details = "They are forgotten where they are known, with their translation. What still comes of one is judged as the beginning of another: TCP goes on "
                "where rules would let it begin and nothing is translated."},
    {.name = "trace", .help = "Follow a frame from a port to where it ends",
     .arguments = {{.name = "PORT", .completion = COMPLETE_PORT}}, .flags = {trace_flags}, .run = run_trace,
     .details = "Nothing is sent: the data plane's own code runs over the live tables of each host on the way."},
    {.name = NULL},
};
