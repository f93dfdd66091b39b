"""Open vSwitch as the switches: discovery, the published trace, and flows that spread over the paths."""

import collections
import json
import socket
import subprocess

import pytest
import scapy.all as scapy

from fabric import Fabric, GOLDEN, reference
from namespaces import wait_for

VERSIONS = pytest.mark.parametrize("openflow", ["OpenFlow10", "OpenFlow13"])
TRACE = ("--path-mode", "reference", "--log-paths", "--order", "0xe3,0xe1,0xe4,0xe2,0xe5")


def outputs(switch, *words):
    """{action: entries} of the flows whose match has all these words."""
    return collections.Counter(flow["actions"] for flow in switch.flows()
                               if flow["cookie"].startswith("0x776602") and all(word in flow["match"].split(",") for word in words))


@VERSIONS
def test_switches_links_and_hosts_are_found_and_reach_each_other(openflow):
    with reference(openflow=openflow) as fabric:
        controller = fabric.controller()
        controller.wait_discovered()
        a, b = fabric.hosts["a"], fabric.hosts["b"]
        a.wait_ping(b)
        assert a.ping(b, 20) == 20
        assert a.ping(b.address6, 20) == 20
        assert b.ping(a, 20) == 20

        found = {(link["from"]["switch"], link["from"]["port"], link["to"]["switch"], link["to"]["port"]) for link in controller.get("/links")["links"]}
        ends = set()
        for x, y, x_port, y_port in fabric.links:
            pair = sorted([(fabric.switches[x].text, fabric.switches[x].port_number(x_port)),
                           (fabric.switches[y].text, fabric.switches[y].port_number(y_port))])
            ends.add((*pair[0], *pair[1]))
        assert found == ends
        versions = {switch["openflow"] for switch in controller.get("/switches")["switches"]}
        assert versions == {"1.0" if openflow == "OpenFlow10" else "1.3"}
        for host in (a, b):
            known = controller.get(f"/hosts?address={host.address}")["hosts"][0]
            assert known["mac"] == host.mac
            assert known["at"] == {"switch": host.switch.text, "port": host.switch.port_number(host.interface)}
            assert host.address6 in known["addresses"]
        # ARP for a host that is known is answered by the controller; the host itself does not hear of it.
        before = controller.statistics()["neighbor_replies"]
        a.run("ip", "neigh", "flush", "dev", "eth0")
        assert a.ping(b) == 1
        assert controller.statistics()["neighbor_replies"] > before
        assert fabric.openflow_errors() == []
        assert controller.statistics()["events"]["switch_error"] == 0
        assert controller.stop() == 0


@VERSIONS
@pytest.mark.parametrize("protocol, seed", [("tcp", 946487445), ("icmp", 3138820658)])
def test_the_published_trace_is_printed_for_a_real_flow(openflow, protocol, seed):
    with reference(openflow=openflow) as fabric:
        controller = fabric.controller(*TRACE, "--hash-seed", seed)
        controller.wait_discovered()
        a, b = fabric.hosts["a"], fabric.hosts["b"]
        # Both ends are heard of first, so that the flow's own packet is the first to be routed.
        for host, other in ((a, b), (b, a)):
            wait_for(lambda: "1 response" in host.run("arping", "-c", "1", "-w", "1", "-I", "eth0", other.address, check=False),
                     "an answer to arping")
        assert controller.output.read_text() == ""
        if protocol == "tcp":
            server = b.popen("busybox", "httpd", "-f", "-p", "5001", "-h", fabric.folder)
            try:
                (fabric.folder / "page").write_text("served\n")
                wait_for(lambda: ":5001" in b.run("ss", "-Hltn"), "httpd to listen")
                assert a.run("curl", "-sS", "--max-time", "50", "--local-port", "40000", f"http://{b.address}:5001/page") == "served\n"
            finally:
                server.kill()
                server.wait()
            match = ["tcp", "nw_src=10.0.0.1", "nw_dst=10.0.0.2", "tp_src=40000", "tp_dst=5001"]
        else:
            assert a.ping(b) == 1
            match = ["icmp", "nw_src=10.0.0.1", "nw_dst=10.0.0.2", "icmp_type=8"]
        golden = GOLDEN.read_text().splitlines()
        assert controller.output.read_text().splitlines()[:len(golden)] == golden
        # And the flow goes the way that the trace says: path 0, by e3.
        for number, expected in ((5, "e5-e3"), (3, "e3-e4"), (4, "e4-b")):
            switch = fabric.switches[number]
            # Its first packet went straight to its end, perhaps before this switch had the entry.
            entries = wait_for(lambda: [flow for flow in switch.flows() if set(match) <= set(flow["match"].split(","))], f"the flow in {switch.name}")
            assert [flow["actions"] for flow in entries] == [f"output:{switch.port_number(expected)}"]
        assert not [flow for flow in fabric.switches[2].flows() if set(match) <= set(flow["match"].split(","))]


@VERSIONS
def test_flows_spread_over_the_paths(openflow):
    """TCP connections and VXLAN's UDP, whose addresses and destination port are all the same."""
    with reference(openflow=openflow) as fabric:
        controller = fabric.controller("--hash-seed", "1")
        controller.wait_discovered()
        a, b = fabric.hosts["a"], fabric.hosts["b"]
        a.wait_ping(b)
        e5 = fabric.switches[5]
        both = {f"output:{e5.port_number('e5-e3')}", f"output:{e5.port_number('e5-e2')}"}

        with b.listening(5001):
            connections = [a.connect(b, 5001) for _ in range(64)]
            counted = outputs(e5, "tcp", "tp_dst=5001")
            for connection in connections:
                connection.close()
        print(f"{openflow}: 64 TCP connections: {dict(counted)}")
        assert sum(counted.values()) == 64 and set(counted) == both and min(counted.values()) >= 16

        with b.namespace.inside():
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
                receiver.bind((b.address, 4789))
                receiver.settimeout(60)
                a.send_udp(b, 4789, range(50000, 50100))
                assert {receiver.recvfrom(100)[1][1] for _ in range(100)} == set(range(50000, 50100))
        # Their first packets went straight to b.
        wait_for(lambda: sum(outputs(e5, "udp", "tp_dst=4789").values()) >= 100, "all entries in e5")
        counted = outputs(e5, "udp", "tp_dst=4789")
        print(f"{openflow}: 100 tunnelled flows: {dict(counted)}")
        assert sum(counted.values()) == 100 and set(counted) == both and min(counted.values()) >= 25

        # What the controller says of them is what the switch does.
        claimed = collections.Counter(f"output:{flow['hops'][0]['out']}" for flow in controller.get("/flows?limit=1000")["flows"]
                                      if flow["destination_port"] == 4789)
        assert claimed == counted
        shares = [path["share"] for path in controller.get(f"/paths?from={a.address}&to={b.address}")["paths"]]
        assert len(shares) == 2 and sum(shares) == pytest.approx(1)
        assert fabric.openflow_errors() == []


def test_parallel_links_are_paths_of_their_own():
    with Fabric([(1, 2), (1, 2), (1, 2)], {"a": 1, "b": 2}) as fabric:
        controller = fabric.controller("--hash-seed", "1")
        controller.wait_discovered()
        a, b = fabric.hosts["a"], fabric.hosts["b"]
        a.wait_ping(b)
        a.send_udp(b, 4789, range(50000, 50090))
        wait_for(lambda: sum(outputs(fabric.switches[1], "udp").values()) == 90, "90 flows")
        counted = outputs(fabric.switches[1], "udp")
        print(f"90 flows over three parallel links: {dict(counted)}")
        assert len(counted) == 3 and min(counted.values()) >= 15


def tagged_udp(source, destination, vlan):
    """An Ethernet frame with an 802.1Q tag, as a host that has no VLAN devices would send it."""
    frame = scapy.Ether(src=source.mac, dst=destination.mac) / scapy.Dot1Q(vlan=vlan)
    return bytes(frame / scapy.IP(src=source.address, dst=destination.address) / scapy.UDP(sport=1000, dport=2000) / b"tagged")


def test_a_vlan_is_a_network_of_its_own():
    with Fabric([(1, 2)], {"a": 1, "b": 2}) as fabric:
        controller = fabric.controller()
        controller.wait_discovered()
        a, b = fabric.hosts["a"], fabric.hosts["b"]
        a.wait_ping(b)
        a.send_frame(tagged_udp(a, b, 7))  # To everybody: who is b in VLAN 7?
        b.send_frame(tagged_udp(b, a, 7))
        wait_for(lambda: {(host["mac"], host["vlan"]) for host in controller.get("/hosts")["hosts"]} ==
                 {(a.mac, None), (a.mac, 7), (b.mac, None), (b.mac, 7)}, "both hosts in both networks")
        a.send_frame(tagged_udp(a, b, 7))
        for switch, host in ((1, a), (2, b)):
            entry = wait_for(lambda: fabric.switches[switch].flows(lambda flow: "dl_vlan=7" in flow["match"] and f"dl_src={a.mac}" in flow["match"]),
                             f"the tagged flow in e{switch}")
            assert len(entry) == 1 and "strip_vlan" not in entry[0]["actions"]
        assert a.ping(b, 5) == 5
        assert fabric.openflow_errors() == []


def test_iperf_runs_through_the_fabric():
    with reference() as fabric:
        controller = fabric.controller()
        controller.wait_discovered()
        a, b = fabric.hosts["a"], fabric.hosts["b"]
        a.wait_ping(b)
        server = b.popen("iperf3", "-s", "-1", stdout=subprocess.DEVNULL)
        wait_for(lambda: ":5201" in b.run("ss", "-Hltn"), "iperf3 to listen")
        result = json.loads(a.run("iperf3", "-c", b.address, "-t", "1", "-P", "4", "-J"))
        server.wait(60)
        print(f"iperf3: {result['end']['sum_received']['bits_per_second'] / 1e6:.0f} Mbit/s over four connections")
        assert result["end"]["sum_received"]["bytes"] > 1_000_000
        # No packet of an established connection needs the controller.
        assert controller.statistics()["packet_ins"] < 2000
