/* Ports, and the devices behind them. */
#include <stddef.h>

#include "weft/cli/commands/tables.h"
#include "weft/cli/ports.h"
#include "weft/cli/resource.h"

static const struct flag port_create_attributes[] = {
    NAMED("network", "NETWORK", "the network it belongs to (required)", COMPLETE_NETWORK, ENCODE_NETWORK, "network_id"),
    END,
};
static const struct flag port_attributes[] = {
    ITEM("fixed-ip", "ADDRESS", "an address, or subnet=S[,ip=A]; repeat", ENCODE_FIXED_IP, "fixed_ips"),
    SWITCH("no-fixed-ip", "no address", ENCODE_EMPTY_LIST, "fixed_ips"),
    ATTRIBUTE("mac", "MAC", "MAC address", ENCODE_STRING, "mac_address"),
    ATTRIBUTE("device-id", "ID", "what uses it", ENCODE_STRING, "device_id"),
    ATTRIBUTE("device-owner", "TEXT", "what kind of thing uses it", ENCODE_STRING, "device_owner"),
    NAMED("host", "HOST", "bind to this host; '' unbinds", COMPLETE_HOST, ENCODE_STRING, "binding:host_id"),
    CHOICE("port-security", "BOOLEAN", "anti-spoofing", "true false", ENCODE_BOOLEAN, "port_security_enabled"),
    ITEM("allowed-address", "PREFIX[=MAC]", "may be used besides its own; repeat", ENCODE_ADDRESS_PAIR,
         "allowed_address_pairs"),
    SWITCH("no-allowed-address", "no other addresses", ENCODE_EMPTY_LIST, "allowed_address_pairs"),
    ITEM("dhcp-option", "NAME=VALUE", "extra DHCP option, then ,ip-version=6; repeat", ENCODE_DHCP_OPTION,
         "extra_dhcp_opts"),
    {.name = "security-group", .type = FLAG_REPEATED, .placeholder = "GROUP", .help = "what it may send and be sent (default); repeat",
     .completion = COMPLETE_SECURITY_GROUP, .encoding = ENCODE_SECURITY_GROUP_ITEM, .attribute = "security_groups"},
    SWITCH("no-security-group", "in no group: nothing passes", ENCODE_EMPTY_LIST, "security_groups"),
    END,
};
static const struct flag port_filters[] = {
    NAMED("network", "NETWORK", "only of this network", COMPLETE_NETWORK, ENCODE_NETWORK, "network_id"),
    NAMED("host", "HOST", "only bound to this host", COMPLETE_HOST, ENCODE_STRING, "binding:host_id"),
    ATTRIBUTE("mac", "MAC", "only with this MAC address", ENCODE_STRING, "mac_address"),
    ATTRIBUTE("device-id", "ID", "only of this device", ENCODE_STRING, "device_id"),
    CHOICE("status", "STATUS", "only in this state", "ACTIVE DOWN BUILD ERROR", ENCODE_STRING, "status"),
    ITEM("fixed-ip", "ADDRESS", "only with this address", ENCODE_FIXED_IP_FILTER, "fixed_ips"),
    {.name = "security-group", .type = FLAG_REPEATED, .placeholder = "GROUP", .help = "only in this security group",
     .completion = COMPLETE_SECURITY_GROUP, .encoding = ENCODE_SECURITY_GROUP_ITEM, .attribute = "security_groups"},
    END,
};
static const struct flag plug_flags[] = {
    OWN_SWITCH("force", "also a device with addresses or routes of the host"),
    OWN_SWITCH("no-wait", "do not wait until traffic can flow"),
    END,
};
static const struct flag libvirt_flags[] = {
    NAMED("host", "HOST", "bind the port to this host as well", COMPLETE_HOST, ENCODE_NONE, NULL),
    OWN_SWITCH("existing-tap", "the tap is made by someone else (managed='no')"),
    END,
};

const struct command commands_ports[] = {
    {.name = "port create", .help = "Create a port", .arguments = {{.name = "NAME"}},
     .flags = {port_create_attributes, port_attributes, state_attributes, common_attributes, owner}, .run = run_create,
     .resource = &resource_port},
    {.name = "port list", .help = "List ports", .flags = {port_filters, name_filter, filters}, .run = run_list,
     .resource = &resource_port},
    {.name = "port show", .help = "Show a port", .arguments = {{.name = "PORT", .completion = COMPLETE_PORT}},
     .run = run_show, .resource = &resource_port},
    {.name = "port set", .help = "Change a port", .arguments = {{.name = "PORT", .completion = COMPLETE_PORT}},
     .flags = {change, port_attributes, state_attributes, common_attributes}, .run = run_set, .resource = &resource_port,
     .details = SET_DETAILS},
    {.name = "port delete", .help = "Delete ports",
     .arguments = {{.name = "PORT", .is_rest = true, .completion = COMPLETE_PORT}}, .run = run_delete,
     .resource = &resource_port},
    {.name = "port plug", .help = "Make a network device of this machine a port",
     .arguments = {{.name = "PORT", .completion = COMPLETE_PORT}, {.name = "INTERFACE", .completion = COMPLETE_INTERFACE}},
     .flags = {plug_flags}, .run = run_port_plug,
     .details = "Binds the port to the host whose agent listens at --agent-socket and tells that agent which device it is.\n"
                "A device named 'tap' and the first 11 characters of the port's id needs only the binding\n"
                "('weft port set PORT --host HOST').\n"
                "A device that the host itself uses is refused; --force overrides that for addresses and routes, not for\n"
                "the default route, the way to the API or other hosts, members of bridges and bonds, or tunnels."},
    {.name = "port unplug", .help = "Take a port's device away from it",
     .arguments = {{.name = "PORT", .completion = COMPLETE_PORT}}, .flags = {keep_binding}, .run = run_port_unplug},
    {.name = "port libvirt-xml", .help = "Print the port as a libvirt <interface>",
     .arguments = {{.name = "PORT", .completion = COMPLETE_PORT}}, .flags = {libvirt_flags}, .run = run_port_libvirt_xml,
     .details = "For 'virsh attach-device' or a domain's <devices>.  libvirt makes the tap; the agent finds it by its name\n"
                "once the port is bound to its host."},
    {.name = NULL},
};
