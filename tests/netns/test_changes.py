"""What users change through the API while workloads run: state, addresses, where a port is; and interfaces that come and go.

    a (h1) ===== b (h2) ===== spare host h3
"""

import contextlib
import json
import socket
import time

import pytest

from lab import Workload
from namespaces import Namespace, run, wait_for


@pytest.fixture(scope="module")
def lab(three_hosts):
    return three_hosts


@pytest.mark.parametrize("local", [True, False])
def test_a_port_that_is_switched_off_passes_nothing(lab, local):
    a, b = lab.pair(lab.hosts[0], lab.hosts[0 if local else 1])
    for port, direction in (a.port, "sender"), (b.port, "receiver"):
        lab.api.update_port(port, admin_state_up=False)
        wait_for(lambda: not a.ping(b, wait=0.2), f"the {direction}'s port to be off")
        assert a.ping(b, 3, wait=0.2) == 0
        lab.api.update_port(port, admin_state_up=True)
        a.wait_ping(b)
    assert a.host.drops(a.port).get("port_down", 0) > 0
    assert sum(host.drops().get("destination_down", 0) for host in {a.host, b.host}) > 0


def test_a_network_that_is_switched_off_passes_nothing(lab):
    a, b = lab.pair()
    network = f"/v2.0/networks/{a.port['network_id']}"
    lab.api.put(network, {"network": {"admin_state_up": False}})
    wait_for(lambda: not a.ping(b, wait=0.2), "the network to be off")
    lab.api.put(network, {"network": {"admin_state_up": True}})
    a.wait_ping(b)


@pytest.mark.parametrize("local", [True, False])
def test_a_new_mac_address_is_followed(lab, local):
    a, b = lab.pair(lab.hosts[0], lab.hosts[0 if local else 1])
    host = b.port["binding:host_id"]
    lab.api.update_port(b.port, **{"binding:host_id": ""})  # A bound port keeps its MAC, as in Neutron.
    lab.api.update_port(b.port, mac_address="fa:16:3e:77:77:77")
    lab.api.update_port(b.port, **{"binding:host_id": host})
    b.namespace.ip("link", "set", "eth0", "address", "fa:16:3e:77:77:77")
    a.namespace.ip("neigh", "flush", "all")
    a.wait_ping(b)
    b.wait_ping(a)


@pytest.mark.parametrize("local", [True, False])
def test_a_new_address_is_followed_and_the_old_one_refused(lab, local):
    a, b = lab.pair(lab.hosts[0], lab.hosts[0 if local else 1])
    old, subnet = b.address, b.port["fixed_ips"][0]["subnet_id"]
    b.port = lab.api.update_port(b.port, fixed_ips=[{"subnet_id": subnet, "ip_address": "10.0.0.77"}])
    b.namespace.ip("addr", "add", "10.0.0.77/24", "dev", "eth0")
    a.wait_ping(b)
    assert b.ping(a, wait=1) == 0  # It still speaks from the old one first.
    b.namespace.ip("addr", "del", f"{old}/24", "dev", "eth0")
    if not b.namespace.ip("addr", "show", "dev", "eth0").count("10.0.0.77"):
        b.namespace.ip("addr", "add", "10.0.0.77/24", "dev", "eth0")
    b.wait_ping(a)
    assert b.host.drops(b.port).get("spoofed_ip", 0) > 0


def test_a_port_that_moves_to_another_host_keeps_its_addresses(lab):
    a, b = lab.pair(lab.hosts[0], lab.hosts[1])
    c = lab.workload(lab.api.port({"id": a.port["network_id"]}, lab.hosts[2]), lab.hosts[2])
    lab.api.wait_active(c.port)
    c.wait_ping(b)

    # As a live migration does: the interface is on the new host before the port is bound to it.
    target = lab.hosts[2]
    run("ip", "link", "add", b.interface, "netns", target.namespace.name, "type", "veth", "peer", "name", "eth1",
        "address", b.port["mac_address"], "netns", b.namespace.name)
    b.namespace.ip("link", "set", "eth1", "mtu", 1450, "up")
    lab.api.update_port(b.port, **{"binding:host_id": "h3"})
    b.namespace.ip("addr", "flush", "dev", "eth0")
    b.namespace.ip("link", "set", "eth0", "down")
    b.namespace.ip("addr", "add", f"{b.address}/24", "dev", "eth1")
    lab.api.wait_active(b.port)
    started = time.monotonic()
    a.wait_ping(b)
    c.wait_ping(b)  # Was remote, is local now.
    print(f"reached again {time.monotonic() - started:.3f} s after it was active")
    assert lab.api.get(f"/v2.0/ports/{b.port['id']}")["port"]["binding:host_id"] == "h3"
    # The old host has forgotten it.
    assert b.port["id"] not in {port["id"] for port in lab.hosts[1].ask("status")["ports"]}
    # And back.
    b.namespace.ip("link", "del", "eth1")
    b.namespace.ip("link", "set", "eth0", "up")
    b.namespace.ip("addr", "add", f"{b.address}/24", "dev", "eth0")
    lab.api.update_port(b.port, **{"binding:host_id": "h2"})
    a.wait_ping(b)


def test_a_deleted_port_is_cut_off_at_once(lab):
    a, b = lab.pair()
    lab.api.delete(f"/v2.0/ports/{b.port['id']}")
    wait_for(lambda: not a.ping(b, wait=0.2), "the port to be gone")


def test_a_workload_whose_port_is_gone_does_not_reach_the_host(lab):
    """It still runs: what it sends must not become the host's own input, also after a restart of the agent."""
    a, b = lab.pair()
    host = b.host
    mac = json.loads(host.namespace.ip("-j", "link", "show", b.interface))[0]["address"]
    b.namespace.ip("addr", "add", "203.0.113.2/24", "dev", "eth0")
    b.namespace.ip("neigh", "add", "203.0.113.1", "lladdr", mac, "dev", "eth0")
    b.namespace.ip("route", "add", "198.18.0.0/16", "via", "203.0.113.1")
    target = f"198.18.0.{10 + host.number}"  # The host's own address.

    with host.namespace.inside():
        receiver = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    host.namespace.run("sysctl", "-qw", "net.ipv4.conf.all.rp_filter=0", f"net.ipv4.conf.{b.interface}.rp_filter=0")
    with receiver:
        receiver.bind((target, 0))
        receiver.settimeout(0.3)
        with b.namespace.inside():
            sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)

        def reached():
            with contextlib.suppress(TimeoutError):
                sender.sendto(b"hello", receiver.getsockname())
                return receiver.recv(100)
            return None

        with sender:
            assert not reached()
            lab.api.delete(f"/v2.0/ports/{b.port['id']}")
            wait_for(lambda: b.port["id"] not in {port["id"] for port in host.ask("status")["ports"]}, "the port to be gone")
            assert not reached()
            host.restart()
            assert not reached()
            # Without the program it ends in weft-room, a bridge that forwards nothing.
            host.namespace.run("tc", "qdisc", "del", "dev", b.interface, "clsact")
            assert not reached()
            # The test can see it: without either it does arrive.
            host.namespace.ip("link", "set", b.interface, "nomaster")
            wait_for(reached, "the host to be reached where nothing is in the way")


def test_an_interface_that_vanishes_and_returns_is_the_port_again(lab):
    a, b = lab.pair()
    b.unplug()
    lab.api.wait_active(b.port, status="DOWN")
    assert a.ping(b, wait=0.2) == 0
    again = Workload(lab, b.port, b.host)
    lab.api.wait_active(b.port)
    a.wait_ping(again)


def leave_and_return(workload, elsewhere):
    """The host's end goes to another namespace and comes back: with its index and name, but the kernel took its program."""
    host, name = workload.host.namespace, workload.interface
    index = host.ip("-o", "link", "show", name).split(":")[0]
    host.ip("link", "set", name, "netns", elsewhere.name)
    elsewhere.ip("link", "set", name, "netns", host.name)
    assert host.ip("-o", "link", "show", name).split(":")[0] == index


def test_an_interface_that_was_away_for_an_instant_gets_its_program_again(lab):
    a, b = lab.pair()

    def has_program():
        return "from_workload" in b.host.namespace.run("tc", "filter", "show", "dev", b.interface, "ingress", check=False)

    elsewhere = Namespace(lab.name("elsewhere"))  # An empty one: each index is free there.
    try:
        for _ in range(5):  # The agent reads both messages at once.
            with b.host.agent.paused():
                leave_and_return(b, elsewhere)
                assert not has_program()
            wait_for(has_program, "the program to be there again")
            b.wait_ping(a)
        for _ in range(40):  # And whenever it reads them.
            leave_and_return(b, elsewhere)
        wait_for(has_program, "the program to be there again")
        b.wait_ping(a)
    finally:
        elsewhere.delete()


def test_any_interface_can_be_plugged_and_stays_so_over_a_restart(lab):
    network = lab.api.network()
    lab.api.subnet(network, "10.4.0.0/24")
    host = lab.hosts[0]
    a = lab.workload(lab.api.port(network, host), host)
    b = lab.workload(lab.api.port(network, host), host, interface="mycable0")
    lab.api.wait_active(a.port)
    assert host.ask("status") and a.ping(b, wait=0.2) == 0
    assert host.ask("plug", port=b.port["id"], interface="nothere")["error"] == "interface: 'nothere' does not exist"
    assert host.ask("plug", port="nonsense", interface="mycable0")["error"].startswith("port: 'nonsense'")
    assert "underlay" in host.ask("plug", port=b.port["id"], interface="under")["error"]
    assert "underlay" in host.ask("plug", port=b.port["id"], interface="weft-tun")["error"]
    assert "own" in host.ask("plug", port=b.port["id"], interface="lo")["error"]
    assert host.ask("plug", port=b.port["id"], interface="mycable0") == {"ok": True}
    lab.api.wait_active(b.port)
    a.wait_ping(b)
    host.restart()
    lab.api.wait_active(b.port)
    assert a.ping(b, 3) == 3

    # Renamed: the plug is of a name, and the interface has lost it.
    host.namespace.ip("link", "set", "mycable0", "down")
    host.namespace.ip("link", "set", "mycable0", "name", "other0")
    lab.api.wait_active(b.port, status="DOWN")
    host.namespace.ip("link", "set", "other0", "down")
    host.namespace.ip("link", "set", "other0", "name", "mycable0")
    lab.api.wait_active(b.port)
    a.wait_ping(b)

    assert host.ask("unplug", interface="mycable0") == {"ok": True}
    lab.api.wait_active(b.port, status="DOWN")
    assert a.ping(b, wait=0.2) == 0
    assert "not plugged" in host.ask("unplug", interface="mycable0")["error"]


def test_a_tap_of_a_port_bound_elsewhere_is_left_alone(lab):
    network = lab.api.network()
    lab.api.subnet(network, "10.5.0.0/24")
    port = lab.api.port(network, lab.hosts[1])
    stray = lab.workload(port, lab.hosts[0])
    lab.api.wait_active(lab.workload(lab.api.port(network, lab.hosts[0]), lab.hosts[0]).port)
    assert "clsact" not in lab.hosts[0].namespace.run("tc", "qdisc", "show", "dev", stray.interface)
    assert lab.api.get(f"/v2.0/ports/{port['id']}")["port"]["binding:host_id"] == "h2"


def test_the_underlay_next_hop_may_change_its_mac(lab):
    a, b = lab.pair(lab.hosts[0], lab.hosts[1])
    host = lab.hosts[1].namespace
    original = host.run("cat", "/sys/class/net/under/address", check=False)
    host.ip("link", "set", "under", "address", "02:00:00:00:77:77")
    lab.hosts[0].namespace.ip("neigh", "flush", "dev", "under", check=False)  # "Not complete" while tunnels ask for the neighbor again.
    a.wait_ping(b)
    assert original is not None
