"""What a workload must not be able to say, and how it is counted.

    evil (h1)   victim (h1)   far (h2)      one network
"""

import pytest
from scapy.all import (ARP, BOOTP, DHCP, IP, UDP, Dot1Q, Ether, ICMPv6ND_NA, ICMPv6ND_NS, ICMPv6ND_RA, ICMPv6NDOptDstLLAddr,
                       ICMPv6NDOptSrcLLAddr, IPv6, Raw, conf, fragment, sendp)

from lab import Lab
from namespaces import wait_for

conf.verb = 0
OTHER = "fa:16:3e:66:66:66"


@pytest.fixture(scope="module")
def world():
    with Lab(2) as lab:
        network = lab.api.network()
        lab.api.subnet(network, "10.0.0.0/24")
        lab.api.subnet(network, "2001:db8:5::/64", ipv6_address_mode="dhcpv6-stateful", ipv6_ra_mode="dhcpv6-stateful")
        workloads = [lab.workload(lab.api.port(network, host), host) for host in (lab.hosts[0], lab.hosts[0], lab.hosts[1])]
        for workload in workloads:
            addresses = [fixed["ip_address"] for fixed in workload.port["fixed_ips"]]
            workload.ip4 = next(a for a in addresses if "." in a)
            workload.ip6 = next(a for a in addresses if ":" in a)
            workload.mac = workload.port["mac_address"]
        lab.api.wait_active(*(w.port for w in workloads))
        workloads[0].wait_ping(workloads[1].ip4)
        workloads[0].wait_ping(workloads[2].ip4)
        yield workloads


def attacks(evil, victim):
    own, to = evil.mac, victim.mac
    good = IP(src=evil.ip4, dst=victim.ip4)
    good6 = IPv6(src=evil.ip6, dst=victim.ip6)
    return {
        "spoofed_mac": [Ether(src=OTHER, dst=to) / good / UDP(), Ether(src=to, dst=to) / good / UDP(),
                        Ether(src="ff:ff:ff:ff:ff:ff", dst=to) / good / UDP()],
        "spoofed_ip": [Ether(src=own, dst=to) / IP(src="10.0.0.200", dst=victim.ip4) / UDP(),
                       Ether(src=own, dst=to) / IP(src=victim.ip4, dst=victim.ip4) / UDP(),
                       Ether(src=own, dst=to) / IP(src="0.0.0.0", dst=victim.ip4) / UDP(sport=1, dport=2),
                       Ether(src=own, dst=to) / IPv6(src="2001:db8:5::dead", dst=victim.ip6) / UDP(),
                       Ether(src=own, dst=to) / IPv6(src="fe80::1", dst=victim.ip6) / UDP()],
        "spoofed_arp": [Ether(src=own, dst="ff:ff:ff:ff:ff:ff") / ARP(op=2, hwsrc=own, psrc=victim.ip4, pdst=evil.ip4),
                        Ether(src=own, dst="ff:ff:ff:ff:ff:ff") / ARP(op=1, hwsrc=OTHER, psrc=evil.ip4, pdst=victim.ip4),
                        Ether(src=own, dst=to) / ARP(op=2, hwsrc=own, psrc="10.0.0.1", pdst=victim.ip4)],
        "spoofed_nd": [Ether(src=own, dst=to) / good6 / ICMPv6ND_NA(tgt=victim.ip6, S=0, O=1) / ICMPv6NDOptDstLLAddr(lladdr=own),
                       Ether(src=own, dst=to) / good6 / ICMPv6ND_NA(tgt=evil.ip6) / ICMPv6NDOptDstLLAddr(lladdr=OTHER),
                       Ether(src=own, dst="33:33:ff:00:00:01") / good6 / ICMPv6ND_NS(tgt=victim.ip6) /
                       ICMPv6NDOptSrcLLAddr(lladdr=OTHER)],
        "dhcp_server": [Ether(src=own, dst=to) / good / UDP(sport=67, dport=68) / BOOTP(op=2) / DHCP(options=[("message-type", "offer")]),
                        Ether(src=own, dst=to) / good6 / UDP(sport=547, dport=546) / Raw(b"\2abc"),
                        Ether(src=own, dst="33:33:00:00:00:01") / IPv6(src=evil.ip6, dst="ff02::1", hlim=255) / ICMPv6ND_RA()],
        "vlan_tagged": [Ether(src=own, dst=to) / Dot1Q(vlan=7) / good / UDP(),
                        Ether(src=own, dst=to) / Dot1Q(vlan=7) / Dot1Q(vlan=8) / good / UDP()],
        "ethertype": [Ether(src=own, dst=to, type=0x88cc) / Raw(b"x" * 60), Ether(src=own, dst=to, type=0x8847) / Raw(b"x" * 60)],
        "reserved_destination": [Ether(src=own, dst="01:80:c2:00:00:00") / good / UDP(),
                                 Ether(src=own, dst="01:80:c2:00:00:0e", type=0x88cc) / Raw(b"x" * 60)],
        "unknown_destination": [Ether(src=own, dst=OTHER) / good / UDP()],
    }


def send(workload, frames):
    with workload.namespace.inside():
        sendp(frames, iface="eth0", verbose=False)


@pytest.mark.parametrize("remote", [False, True])
def test_a_workload_speaks_only_as_itself(world, remote):
    evil, victim, far = world
    target = far if remote else victim
    for reason, frames in attacks(evil, target).items():
        before = evil.host.drops(evil.port).get(reason, 0)
        received = target.host.counters(target.port)["rx_packets"]
        send(evil, frames)
        wait_for(lambda: evil.host.drops(evil.port).get(reason, 0) >= before + len(frames),
                 f"{len(frames)} drops by {reason}: {evil.host.drops(evil.port)}", 3)
        got = target.host.counters(target.port)["rx_packets"] - received
        # The workloads' own chatter is possible; an attack that passes would be in addition to the drops.
        assert got <= 2, f"{reason}: {got} frames arrived"
    assert evil.ping(target.ip4, 3) == 3


def test_broken_frames_are_dropped_and_harm_nobody(world):
    evil, victim, _ = world
    good = bytes(Ether(src=evil.mac, dst=victim.mac) / IP(src=evil.ip4, dst=victim.ip4) / UDP(sport=9, dport=9) / Raw(b"x" * 40))
    frames = [good[:size] for size in range(15, len(good))]
    for position in range(14, 34):
        for value in (0, 0xff, 0x7f):
            frames.append(good[:position] + bytes([value]) + good[position + 1:])
    before = sum(evil.host.drops(evil.port).values())
    with evil.namespace.inside():
        sendp([Raw(frame) for frame in frames], iface="eth0", verbose=False)
    wait_for(lambda: sum(evil.host.drops(evil.port).values()) > before + 30, "drops")
    assert evil.host.agent.running()
    assert evil.ping(victim.ip4, 3) == 3


def test_fragments_of_a_large_datagram_arrive(world):
    evil, victim, far = world
    for target in (victim, far):
        assert evil.ping(target.ip4, 3) == 3
        out = evil.run("ping", "-n", "-q", "-c", "3", "-i", "0.05", "-s", "4000", target.ip4)
        assert " 3 received" in out


def test_a_broadcast_storm_is_held_to_the_ports_budget(world):
    evil, victim, far = world
    frame = Ether(src=evil.mac, dst="ff:ff:ff:ff:ff:ff") / IP(src=evil.ip4, dst="10.0.0.255") / UDP(sport=5, dport=5) / Raw(b"x" * 30)
    received = far.host.counters(far.port)["rx_packets"]
    with evil.namespace.inside():
        socket_ = conf.L2socket(iface="eth0")
        data = bytes(frame)
        for _ in range(40000):
            socket_.outs.send(data)
        socket_.close()
    dropped = wait_for(lambda: evil.host.drops(evil.port).get("bum_budget", 0), "the budget to be used up")
    got = far.host.counters(far.port)["rx_packets"] - received
    print(f"40,000 broadcasts: {dropped} held back, {got} arrived on the other host")
    assert got < 40000 - 10000
    # The others are not hindered.
    assert victim.ping(far.ip4, 10) == 10


def test_a_port_without_port_security_may_say_anything(world):
    evil, victim, _ = world
    lab = evil.lab
    network = lab.api.network(port_security_enabled=False)
    lab.api.subnet(network, "10.9.0.0/24")
    a, b = (lab.workload(lab.api.port(network, lab.hosts[i]), lab.hosts[i]) for i in (0, 1))
    lab.api.wait_active(a.port, b.port)
    a.wait_ping(b)
    # An address and a MAC that the model does not know: learned, and answered by flooding.
    a.namespace.ip("link", "add", "mv0", "link", "eth0", "type", "macvlan", "mode", "bridge", check=False)
    b.namespace.ip("addr", "add", "10.9.0.200/24", "dev", "eth0")
    assert wait_for(lambda: a.ping("10.9.0.200", wait=1), "an address nobody told the platform about")
