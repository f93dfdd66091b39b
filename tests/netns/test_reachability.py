"""Who reaches whom: one host, three hosts, tenants apart, both families, taps, MTU.

    w1, w2, ... workloads of a network        h1 ===== h2 ===== h3   (underlay)
"""

import contextlib
import socket
import subprocess

import pytest

from echo import ping
from lab import BUILD, Lab
from namespaces import Namespace, wait_for


def test_two_workloads_on_one_host_reach_each_other(one_host):
    a, b = one_host.pair()
    assert a.ping(b, 5) == 5
    assert b.ping(a, 5) == 5


def test_three_hosts_reach_each_other(three_hosts):
    lab = three_hosts
    network = lab.api.network()
    lab.api.subnet(network)
    workloads = [lab.workload(lab.api.port(network, host), host) for host in lab.hosts for _ in range(2)]
    lab.api.wait_active(*(w.port for w in workloads))
    for a in workloads:
        for b in workloads:
            if a is not b:
                a.wait_ping(b)
    assert workloads[0].ping(workloads[-1], 20) == 20


def echoes_received(workload):
    names, values = [line.split()[1:] for line in workload.run("cat", "/proc/net/snmp").splitlines() if line.startswith("Icmp:")]
    return int(dict(zip(names, values))["InEchos"])


def test_tenants_with_the_same_addresses_are_apart(three_hosts):
    lab = three_hosts
    tenants = []
    for name in ("red", "blue"):
        project, token = lab.api.project(name)
        network = lab.api.network(name, token=token)
        lab.api.subnet(network, "10.1.0.0/24", token=token)
        pair = []
        for index, host in enumerate(lab.hosts[:2]):
            port = lab.api.port(network, host, fixed_ips=[{"ip_address": f"10.1.0.{10 + index}"}],
                                mac_address=f"fa:16:3e:aa:00:{10 + index:02x}", project_id=project)
            pair.append(lab.workload(port, host))
        tenants.append(pair)
    (red_a, red_b), (blue_a, blue_b) = tenants
    lab.api.wait_active(*(w.port for pair in tenants for w in pair))
    red_a.wait_ping(red_b)
    blue_a.wait_ping(blue_b)

    # Same MACs, same addresses: what one tenant sends, the other never sees.
    before = [echoes_received(w) for w in (red_b, blue_b)]
    assert red_a.ping("10.1.0.11", 10) == 10
    after = [echoes_received(w) for w in (red_b, blue_b)]
    assert after[0] - before[0] == 10
    assert after[1] - before[1] == 0

    # An address that only one tenant has.
    blue_b.unplug()
    wait_for(lambda: not blue_a.ping("10.1.0.11", wait=0.2), "blue's .11 to be gone")
    assert red_a.ping("10.1.0.11", 3) == 3
    assert blue_a.ping("10.1.0.11", 3, wait=0.3) == 0


def test_ipv6_on_one_host_and_over_the_tunnel(three_hosts):
    lab = three_hosts
    lab.api.open_default_groups()
    for to in (lab.hosts[0], lab.hosts[2]):
        a, b = lab.pair(lab.hosts[0], to, "2001:db8:1::/64")
        assert a.ping(b, 5) == 5
        link_local = [line.split()[1].split("/")[0] for line in
                      b.namespace.ip("-6", "addr", "show", "dev", "eth0", "scope", "link").splitlines() if "inet6" in line][0]
        assert a.ping(f"{link_local}%eth0", 3) == 3


def test_ipv6_underlay():
    with Lab(2, underlay_ipv6=True, underlay_mtu=1600) as lab:
        for cidr in ("10.0.0.0/24", "2001:db8:2::/64"):
            a, b = lab.pair(lab.hosts[0], lab.hosts[1], cidr)
            assert a.ping(b, 5) == 5
        broadcast_reaches_every_member_once(lab)
        unlisted_address_is_found(lab)


def test_packets_of_the_networks_mtu_pass_and_larger_ones_do_not(three_hosts):
    a, b = three_hosts.pair()
    mtu = three_hosts.api.get(f"/v2.0/networks/{a.port['network_id']}")["network"]["mtu"]
    for workload in (a, b):
        workload.namespace.ip("link", "set", "eth0", "mtu", mtu)
    assert a.ping(b, 3, size=mtu - 28) == 3
    a.namespace.ip("link", "set", "eth0", "mtu", 1500)
    assert a.ping(b, 3, wait=0.3, size=1500 - 28) == 0
    # The sender was told (RFC 1191), and remembers.
    assert f"mtu {mtu}" in a.namespace.ip("route", "get", b.address)


def broadcast_reaches_every_member_once(lab):
    """With one byte each, the smallest that UDP over IPv4 can be."""
    network = lab.api.network()
    lab.api.subnet(network, "10.2.0.0/24")
    workloads = [lab.workload(lab.api.port(network, host), host) for host in lab.hosts for _ in range(2)]
    lab.api.wait_active(*(w.port for w in workloads))
    for other in workloads[1:]:
        workloads[0].wait_ping(other)
    receivers = []
    for workload in workloads[1:]:
        with workload.namespace.inside():
            receivers.append(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        receivers[-1].settimeout(60)
        receivers[-1].bind(("", 5000))
    with workloads[0].namespace.inside():
        sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with sender, contextlib.ExitStack() as stack:
        for receiver in receivers:
            stack.enter_context(receiver)
        sender.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        # A second copy of one would be read in place of the next.
        for number in range(11):
            sender.sendto(bytes([number]), ("10.2.0.255", 5000))
            assert [receiver.recv(100) for receiver in receivers] == [bytes([number])] * len(receivers)


def unlisted_address_is_found(lab):
    """The platform does not know who has it, so the ARP request itself must cross the tunnel, and the answer come back."""
    network = lab.api.network()
    lab.api.subnet(network, "10.4.0.0/24")
    asking, having = [lab.workload(lab.api.port(network, host, **extra), host)
                      for host, extra in zip(lab.hosts, ({}, {"allowed_address_pairs": [{"ip_address": "10.4.0.200"}]}))]
    asking.wait_ping(having)
    having.namespace.ip("address", "add", "10.4.0.200/24", "dev", "eth0")
    assert asking.ping("10.4.0.200", 3) == 3


def test_broadcast_reaches_every_member_once(three_hosts):
    broadcast_reaches_every_member_once(three_hosts)


def test_an_unlisted_address_is_found_by_arp(three_hosts):
    unlisted_address_is_found(three_hosts)


@pytest.mark.parametrize("remote", [False, True])
def test_a_tap_is_a_port_too(three_hosts, remote):
    lab = three_hosts
    host, other = lab.hosts[0], lab.hosts[1 if remote else 0]
    network = lab.api.network()
    lab.api.subnet(network, "10.3.0.0/24")
    far = lab.workload(lab.api.port(network, other), other)
    port = lab.api.port(network, host)
    guest = Namespace(lab.name(f"guest{remote}"))
    process = host.namespace.popen(BUILD / "tests/tools/tap", "tap" + port["id"][:11], guest.path, port["mac_address"],
                                   stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout.readline() == "ready\n"
        guest.ip("addr", "add", port["fixed_ips"][0]["ip_address"] + "/24", "dev", "eth0")
        guest.ip("link", "set", "eth0", "mtu", "1400", "up")
        lab.api.wait_active(port, far.port)
        far.wait_ping(port["fixed_ips"][0]["ip_address"])
        assert ping(guest, far.address, 5, wait=5, interval=0.05) == 5
    finally:
        process.kill()
        process.wait()
        guest.delete()
    lab.api.wait_active(port, status="DOWN")


def test_hosts_in_different_subnets_reach_each_other_through_a_router():
    """h1 192.0.2.1 --- router 192.0.2.254 / 203.0.113.254 --- h2 203.0.113.2; h2 moves there while it runs."""
    with Lab(2) as lab:
        a, b = lab.pair()
        h1, h2 = lab.hosts
        for address in ("192.0.2.254/24", "203.0.113.254/24"):
            lab.control.ip("addr", "add", address, "dev", "under")
        # It is one link, of which the hosts are not to be told.
        lab.control.run("sysctl", "-qw", "net.ipv4.ip_forward=1", "net.ipv4.conf.all.send_redirects=0", "net.ipv4.conf.under.send_redirects=0")
        h1.namespace.ip("route", "add", "203.0.113.0/24", "via", "192.0.2.254")
        h2.namespace.ip("addr", "del", "192.0.2.2/24", "dev", "under")
        h2.namespace.ip("addr", "add", "203.0.113.2/24", "dev", "under")
        h2.namespace.ip("route", "add", "192.0.2.0/24", "via", "203.0.113.254")
        h2.stop()
        h2.tunnel_address = "203.0.113.2"
        h2.start()
        a.wait_ping(b)
        assert a.ping(b, 5) == 5
        wait_for(lambda: "next-hop 192.0.2.254" in h1.ask("tables")["tables"], "the way over the router to be in the tables")

        # The route goes, and comes back another way.
        h1.namespace.ip("route", "del", "203.0.113.0/24")
        wait_for(lambda: not a.ping(b, wait=0.2), "the route to be gone")
        lab.control.ip("addr", "add", "192.0.2.253/24", "dev", "under")
        h1.namespace.ip("route", "add", "203.0.113.0/24", "via", "192.0.2.253")
        a.wait_ping(b)
        assert "next-hop 192.0.2.253" in h1.ask("tables")["tables"]

        # A smaller underlay is known at once.
        h1.namespace.ip("link", "set", "under", "mtu", "1400")
        wait_for(lambda: " mtu 1400 " in h1.ask("tables")["tables"], "the underlay's MTU to be followed")
