/* What the host itself uses an interface for, in a network namespace of the test's own. */
#include <errno.h>
#include <net/if.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "weft/agent/host-use.h"
#include "weft/base/util.h"
#include "weft/dataplane/attach.h"

struct use_case {
    const char *name;
    const char *arrange; /* The interface in question is 'x', which is there, a veth, and up. */
    const char *undo;
    const char *why;     /* NULL: free. */
    bool may_be_forced;
};

static const struct use_case cases[] = {
    {"nothing", "true", "true", NULL},
    {"link-local IPv6 only", "ip -6 addr add fe80::77/64 dev x nodad", "ip -6 addr flush dev x", NULL},
    {"in weft-room", "ip link add " ROOM_DEVICE " type bridge; ip link set x master " ROOM_DEVICE, "ip link del " ROOM_DEVICE, NULL},
    {"down with an address", "ip link set x down; ip addr add 192.0.2.7/24 dev x", "ip addr flush dev x; ip link set x up",
     "has the address 192.0.2.7", true},
    {"IPv4 address", "ip addr add 192.0.2.7/24 dev x", "ip addr flush dev x", "has the address 192.0.2.7", true},
    {"address with a peer", "ip addr add 192.0.2.7 peer 192.0.2.8 dev x", "ip addr flush dev x", "has the address 192.0.2.7", true},
    {"IPv6 address", "ip addr add 2001:db8::7/64 dev x nodad", "ip -6 addr flush dev x", "has the address 2001:db8::7", true},
    {"route without an address", "ip route add 198.51.100.0/24 dev x", "ip route flush dev x", "has the route to 198.51.100.0/24", true},
    {"route in another table", "ip route add 198.51.100.0/24 dev x table 77", "ip route flush dev x table 77",
     "has the route to 198.51.100.0/24", true},
    {"IPv6 route", "ip -6 route add 2001:db8:7::/48 dev x", "ip -6 route flush root 2001:db8:7::/48", "has the route to 2001:db8:7::/48",
     true},
    {"one of two next hops", "ip route add 198.51.100.0/24 nexthop dev y nexthop dev x", "ip route del 198.51.100.0/24",
     "has the route to 198.51.100.0/24", true},
    {"default route", "ip addr add 192.0.2.7/24 dev x; ip route add default via 192.0.2.1", "ip addr flush dev x",
     "has the default route", false},
    {"IPv6 default route", "ip -6 route add default dev x", "ip -6 route del default", "has the default route", false},
    {"the way to the API", "ip addr add 203.0.113.7/24 dev x", "ip addr flush dev x", "is the way to 203.0.113.1", false},
    {"in a bridge", "ip link add b0 type bridge; ip link set x master b0", "ip link del b0", "is in 'b0' (bridge)", false},
    {"a VLAN on it", "ip link add link x name x.5 type vlan id 5", "ip link del x.5", "carries 'x.5' (vlan)", false},
    {"a macvlan on it", "ip link add link x name mv type macvlan", "ip link del mv", "carries 'mv' (macvlan)", false},
};

static struct ip_address api(void)
{
    return ip_from_v4(0xcb007101); /* 203.0.113.1 */
}

static int shell(const char *command)
{
    char quiet[600];

    snprintf(quiet, sizeof(quiet), "{ %s; } 2>/dev/null", command);
    return system(quiet);
}

static void check(const char *what, const char *interface, const char *why, bool may_be_forced)
{
    struct ip_address remote = api();
    struct host_use use;

    assert_int_equal(0, host_use_find(if_nametoindex(interface), &remote, 1, &use));
    if (use.is_used != (why != NULL) || (why && !strstr(use.why, why)) || use.may_be_forced != may_be_forced)
        fail_msg("%s: '%s', may be forced %d", what, use.why, use.may_be_forced);
}

static int enter(void **state)
{
    static bool entered;

    if (entered || unshare(CLONE_NEWNET) < 0) /* Needs root. */
        return 0;
    entered = true;
    return shell("ip link set lo up && ip link add x type veth peer name px && ip link add y type veth peer name py && "
                 "for i in x px y py; do ip link set $i up; done; ip addr add 10.8.0.1/24 dev y");
}

static void each_use_is_seen_at_once(void **state)
{
    if (!if_nametoindex("x"))
        skip();
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        if (shell(cases[i].arrange) != 0) {
            if (!strstr(cases[i].arrange, "vlan")) /* Not every kernel has VLANs and the like. */
                fail_msg("'%s' failed", cases[i].arrange);
            print_message("not checked, this kernel has none: %s\n", cases[i].name);
            continue;
        }
        check(cases[i].name, "x", cases[i].why, cases[i].may_be_forced);
        shell(cases[i].undo);
        check(cases[i].name, "x", NULL, false);
    }
}

static void kinds_that_are_no_workloads_are_seen(void **state)
{
    static const struct {
        const char *make, *why;
    } kinds[] = {
        {"ip link add k type bridge", "is a bridge"},
        {"ip link add k type vxlan id 7 dstport 4444 dev x", "is a tunnel (vxlan)"},
        {"ip link add k type gretap remote 203.0.113.9", "is a tunnel (gretap)"},
        {"ip tuntap add dev k mode tun", "is no Ethernet device (tun)"},
        {"ip link add k type bond", "is a bond"},
    };
    unsigned n = 0;

    if (!if_nametoindex("x"))
        skip();
    check("lo", "lo", "is the loopback", false);
    for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
        if (shell(kinds[i].make) != 0) /* Not every kernel has each kind. */
            continue;
        n++;
        check(kinds[i].make, "k", kinds[i].why, false);
        shell("ip link del k");
    }
    assert_true(n >= 3);
}

static void an_interface_that_is_not_there_is_an_error(void **state)
{
    struct host_use use;

    assert_int_equal(-ENODEV, host_use_find(4711, NULL, 0, &use));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(each_use_is_seen_at_once, enter),
        cmocka_unit_test_setup(kinds_that_are_no_workloads_are_seen, enter),
        cmocka_unit_test_setup(an_interface_that_is_not_there_is_an_error, enter),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
