"""Broadcast in a network that is on more hosts than one host makes copies for: each passes it on to two.

    h1 -> h2 -> h3, h4        (which hosts are first is up to their addresses)
       -> h5 -> h6, h7
"""

import socket
import struct

import pytest

from lab import Lab
from namespaces import wait_for

N_HOSTS = 7
PORT = 4444


@pytest.fixture(scope="module", params=[False, True], ids=["IPv4", "IPv6"])
def lab(request):
    with Lab(N_HOSTS, underlay_ipv6=request.param, agent_options=("--flood-fan-out", "2")) as made:
        yield made


@pytest.fixture(scope="module")
def workloads(lab):
    network = lab.api.network()
    lab.api.subnet(network)
    made = [lab.workload(lab.api.port(network, host), host) for host in lab.hosts]
    made.append(lab.workload(lab.api.port(network, lab.hosts[3]), lab.hosts[3]))  # A second one on some host.
    lab.api.wait_active(*(workload.port for workload in made))
    revision = max(host.ask("status")["revision"] for host in lab.hosts)
    wait_for(lambda: all(host.ask("status")["applied_revision"] >= revision for host in lab.hosts), "all to know of all ports")
    for workload in made[1:]:
        made[0].wait_ping(workload)
    return made


def udp_socket(workload):
    with workload.namespace.inside():
        opened = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
    opened.bind(("0.0.0.0", PORT))
    opened.setblocking(False)
    return opened


def received(opened):
    got = []
    while True:
        try:
            got.append(opened.recv(100))
        except BlockingIOError:
            return got


def test_every_workload_gets_one_copy(lab, workloads):
    sockets = [udp_socket(workload) for workload in workloads]
    try:
        for sender in range(len(workloads)):
            got = [[] for _ in workloads]

            def arrived(last):
                for i, opened in enumerate(sockets):
                    got[i] += received(opened)
                return all(last in got[i] for i in range(len(workloads)) if i != sender)

            for number in range(20):
                sockets[sender].sendto(b"%d" % number, ("10.0.0.255", PORT))
            wait_for(lambda: arrived(b"19"), "the broadcasts to arrive")
            for i, workload in enumerate(workloads):  # Behind all that is under way.
                if i != sender:
                    sockets[sender].sendto(b"end", (workload.address, PORT))
            wait_for(lambda: arrived(b"end"), "the end to arrive")
            for i in range(len(workloads)):
                expected = [b"%d" % number for number in range(20)]
                if i != sender:
                    assert sorted(got[i]) == sorted([*expected, b"end"]), f"from {sender} to {i}"
    finally:
        for opened in sockets:
            opened.close()


def test_a_trace_follows_the_tree(lab, workloads):
    sender = workloads[0]
    source = bytes.fromhex(sender.port["mac_address"].replace(":", ""))
    payload = b"\x0a\x5c\x11\x5c\0\x0c\0\0abcd"
    header = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(payload), 1, 0, 64, 17, 0, socket.inet_aton(sender.address),
                         socket.inet_aton("10.0.0.255"))
    trace = lab.api.post(f"/weft/v1/ports/{sender.port['id']}/trace", {"frame": (b"\xff" * 6 + source + b"\x08\0" + header + payload).hex()})
    assert trace["verdict"] == "flooded"
    assert sorted(output["port"] for output in trace["outputs"]) == sorted(workload.port["id"] for workload in workloads[1:])
    copies = {}
    for step in trace["steps"]:
        if step["stage"] == "encapsulate":
            copies[step["host"]] = copies.get(step["host"], 0) + 1
    assert copies["h1"] == 2 and len(copies) == 3, copies  # Two hosts pass it on, to two each.
    assert set(copies.values()) == {2}
    assert any("hosts behind it" in step["text"] for step in trace["steps"])


def test_a_mac_that_no_port_has_is_learned_by_all(lab, workloads):
    """Its frames go to each host straight from its own: who learns from a relay would look for it there."""
    network = {"id": workloads[0].port["network_id"]}
    host = lab.hosts[2]
    lab.api.open_default_groups()
    free = lab.workload(lab.api.port(network, host, port_security_enabled=False), host)
    lab.api.wait_active(free.port)
    for workload in workloads:  # Every host knows that this one may use any MAC.
        workload.wait_ping(free)
    free.namespace.ip("link", "set", "eth0", "address", "02:77:77:77:77:77")
    free.namespace.ip("neigh", "flush", "all")
    for workload in workloads:
        workload.namespace.ip("neigh", "flush", "all")
        free.wait_ping(workload)
    tables = [{line for line in h.ask("tables")["tables"].splitlines() if line.startswith("flood") and " tree = " in line} for h in lab.hosts]
    assert all(any(line.endswith(f"= {N_HOSTS - 1}") for line in lines) for lines in tables)
