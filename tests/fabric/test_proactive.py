"""Entries before any packet comes: groups and bundles of Open vSwitch."""

from fabric import reference
from namespaces import wait_for


def arrived(switch):
    """{link port: packets that came in by it}"""
    return {flow["match"]: flow["n_packets"] for flow in switch.flows(lambda flow: flow["priority"] == 400)}


def test_flows_spread_over_groups_and_bundles_without_the_controller():
    with reference(openflow="OpenFlow13") as fabric:
        controller = fabric.controller("--install", "proactive")
        controller.wait_discovered()
        a, b = fabric.hosts["a"], fabric.hosts["b"]
        a.wait_ping(b)
        assert b.ping(a, 3) == 3
        e5 = a.switch
        # Whoever looks sees a select group of two ports towards 0xe4, and the bundle for UDP.
        wait_for(lambda: any("type=select" in line and line.count("bucket=") == 2 for line in e5.ofctl("dump-groups").splitlines()),
                 "a group of two next hops", 10)
        assert "bundle(symmetric_l3l4+udp" in e5.ofctl("dump-flows")
        wait_for(lambda: a.ping(b, 5) == 5, "entries everywhere", 10)
        assert controller.statistics()["flows_new"] == 0

        # The controller is not needed: not for new flows, of TCP or UDP, not for a cut link.
        controller.stop(9)
        before = arrived(b.switch)
        # In portions, for the switch takes each new flow through user space.
        for first in range(20000, 20200, 50):
            a.send_udp(b, 4789, range(first, first + 50))
            wait_for(lambda: sum(arrived(b.switch).values()) - sum(before.values()) >= first - 20000 + 50, "50 datagrams to arrive")
        used = {port: packets - before[port] for port, packets in arrived(b.switch).items()}
        print("200 UDP flows by port:", used)
        assert len(used) == 2 and all(50 <= packets <= 150 for packets in used.values())
        fabric.cut(5, 3)
        wait_for(lambda: a.ping(b, 20) == 20, "the switch to leave the cut link out", 5)
        fabric.mend(5, 3)
        wait_for(lambda: a.ping(b, 20) == 20, "the link to be back", 5)
        # The next one takes over without a packet lost.
        controller.start()
        lost = 150 - a.ping(b, 150)
        controller.wait_discovered()
        assert lost == 0
        assert a.ping(b, 20) == 20
        assert fabric.openflow_errors() == []
        assert controller.statistics()["events"]["switch_error"] == 0
