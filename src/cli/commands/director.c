/* The director, which balances physical servers. */
#include <stddef.h>

#include "weft/cli/commands/tables.h"
#include "weft/cli/director.h"

static const struct flag lb_socket_flags[] = {
    OWN("socket", "PATH", "where it is asked (/run/weft/director.sock)", COMPLETE_FILE),
    END,
};
static const struct flag lb_top_flags[] = {
    OWN("socket", "PATH", "where it is asked (/run/weft/director.sock)", COMPLETE_FILE),
    OWN("interval", "SECONDS", "from one look to the next (2)", COMPLETE_NOTHING),
    OWN("count", "NUMBER", "end after so many looks; 1 if standard output is no terminal", COMPLETE_NOTHING),
    END,
};
static const struct flag lb_import_flags[] = {
    OWN("to", "FILE", "add to this file, as /etc/weft/lb.conf", COMPLETE_FILE),
    OWN_CHOICE("format", "FORMAT", "what FILE is, when it does not look like it", "keepalived ipvsadm iptables nft"),
    OWN("config-id", "ID", "keepalived's lines for '@ID' count", COMPLETE_NOTHING),
    END,
};

const struct command commands_director[] = {
    {.name = "lb import", .help = "Make a director's configuration of keepalived's, ipvsadm's, or of a firewall's marks",
     .arguments = {{.name = "FILE", .completion = COMPLETE_FILE}}, .flags = {lb_import_flags}, .run = run_lb_import, .is_offline = true,
     .details = "What was not taken over is reported on standard error, a line for each of the file's.  Without --to the configuration is printed."},
    {.name = "lb list", .help = "List the services of the running director", .flags = {lb_socket_flags}, .run = run_lb_list, .is_offline = true},
    {.name = "lb show", .help = "Show the servers of the running director's services",
     .arguments = {{.name = "SERVICE", .is_optional = true}}, .flags = {lb_socket_flags}, .run = run_lb_show, .is_offline = true,
     .details = "SERVICE is a part of a service's name: 192.0.2.1:80, mark 5, udp."},
    {.name = "lb top", .help = "Show what the running director does now", .flags = {lb_top_flags}, .run = run_lb_top, .is_offline = true,
     .details = "Rates, connections and shares of rows by address, service and server, the busiest first, and drops by reason."},
    {.name = NULL},
};
