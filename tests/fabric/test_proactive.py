"""Entries before any packet comes: groups and bundles of Open vSwitch."""

from fabric import Pinger, reference
from namespaces import wait_for


def arrived(switch):
    """{link port: packets that came in by it}"""
    return {flow["match"]: flow["n_packets"] for flow in switch.flows(lambda flow: flow["priority"] == 400)}


def neighbor_state(host, address):
    return host.run("ip", "neigh", "show", "to", address, "dev", "eth0").split()[-1]


def ask_again(host, target):
    """The host asks its known neighbour whether it is still there, as it does from time to time, and stops sending to it without an
    answer: three questions, a second each."""
    def is_answered(address):
        host.run("ip", "neigh", "replace", address, "lladdr", target.mac, "dev", "eth0", "nud", "probe")
        return wait_for(lambda: {"REACHABLE": 1, "FAILED": -1}.get(neighbor_state(host, address)), f"{host.name} to hear of {address}") == 1

    for address in (target.address, target.address6):
        wait_for(lambda: is_answered(address), f"{host.name} to hear from {address}")


def lives(fabric):
    """{switch: the starts of controllers that its entries are of}"""
    return {switch.name: {int(flow["cookie"], 16) & 0xffffff for flow in switch.flows(lambda flow: int(flow["cookie"], 16) >> 40 == 0x776605)}
            for switch in fabric.switches.values()}


def take_over(fabric, controller):
    """How many echoes in a row were lost from before the switches were back until all that the controller found is its own."""
    before = lives(fabric)
    pinger = Pinger(fabric.hosts["a"], fabric.hosts["b"])
    pinger.wait_more()
    controller.start()
    controller.wait_discovered()
    wait_for(lambda: all(len(epochs) == 1 and not epochs & before[name] for name, epochs in lives(fabric).items()), "all to be taken over", 60)
    pinger.wait_more()
    sent, received, longest = pinger.stop()
    print(f"the next controller takes over: {sent} echoes sent, {received} received, {longest} lost in a row")
    return longest


def test_flows_spread_over_groups_and_bundles_without_the_controller():
    with reference(openflow="OpenFlow13") as fabric:
        controller = fabric.controller("--install", "proactive")
        controller.wait_discovered()
        a, b = fabric.hosts["a"], fabric.hosts["b"]
        a.wait_ping(b)
        a.wait_ping(b.address6)
        e5 = a.switch
        # Whoever looks sees a select group of two ports towards 0xe4, and the bundle for UDP.
        wait_for(lambda: any("type=select" in line and line.count("bucket=") == 2 for line in e5.ofctl("dump-groups").splitlines()),
                 "a group of two next hops")
        assert "bundle(symmetric_l3l4+udp" in e5.ofctl("dump-flows")
        wait_for(lambda: a.ping(b, 5, wait=1) == 5, "entries everywhere")
        assert controller.statistics()["flows_new"] == 0
        # From now on the controller knows all that they ask from: for IPv6 that is another address.
        ask_again(a, b)
        ask_again(b, a)

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
        wait_for(lambda: a.ping(b, 20, wait=1) == 20, "the switch to leave the cut link out")
        fabric.mend(5, 3)
        wait_for(lambda: a.ping(b, 20, wait=1) == 20, "the link to be back")
        # Nor for hosts that make sure of each other.
        ask_again(a, b)
        ask_again(b, a)

        # The next one takes over without a packet lost.  (A switch that does not run for a second, on a busy machine, loses some and its links:
        # then that says nothing, and another one takes over.)
        for _ in range(3):
            longest = take_over(fabric, controller)
            events = controller.statistics()["events"]
            if not events["link_down"] + events["echo_timeout"]:
                break
            controller.stop(9)
        assert longest == 0
        # It knows the hosts, and their addresses, from the switches.
        known = {host["mac"]: set(host["addresses"]) for host in controller.get("/hosts")["hosts"]}
        assert all({host.address, host.address6} <= known[host.mac] for host in (a, b))
        ask_again(b, a)
        assert fabric.openflow_errors() == []
        assert controller.statistics()["events"]["switch_error"] == 0
