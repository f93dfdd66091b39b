"""From the API to the wire, on two hosts:

    first packet   POST of a port whose interface waits on host 1, beside 1,000 other ports, until a workload on host 2 gets a packet
                   through to it, and until one from it arrives there
    bulk           POST of 1,000 ports in one request, until both agents' tables hold them all"""

import socket
import threading
import time

from bench_api import memory_kib
from lab import Failed, Lab, run, wait_for
from namespaces import inside
from report import Row, save, table
from weft import Platform

N_OTHERS = 1000
UDP_PORT = 5555
MAC, ADDRESS = "02:00:00:00:00:77", "10.62.3.77"
PEER_MAC, PEER_ADDRESS = "02:00:00:00:00:78", "10.62.3.78"


class Probe:
    """Sends a datagram every half millisecond from one namespace and notes when the first arrives in the other."""

    def __init__(self, sender, source, receiver, destination):
        with inside(receiver):
            self.receiver = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.receiver.bind((destination, UDP_PORT))
        self.receiver.settimeout(0.2)
        with inside(sender):
            self.sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sender.bind((source, UDP_PORT + 1))
        self.destination, self.first, self.done = destination, None, False
        self.threads = [threading.Thread(target=self.send), threading.Thread(target=self.receive)]
        for thread in self.threads:
            thread.start()

    def send(self):
        while not self.done and self.first is None:
            try:
                self.sender.sendto(b"x", (self.destination, UDP_PORT))
            except OSError:
                pass
            time.sleep(0.0005)

    def receive(self):
        while not self.done and self.first is None:
            try:
                self.receiver.recv(16)
                self.first = time.monotonic()
            except TimeoutError:
                pass

    def close(self):
        self.done = True
        for thread in self.threads:
            thread.join()
        self.sender.close()
        self.receiver.close()


def fixed_workload(platform, name, host, mac, address, other, other_mac, device):
    """A workload with known addresses, and the other one's MAC by hand: no ARP in the measurement."""
    lab = platform.lab
    namespace = lab.namespace(name)
    lab.cable(namespace, "eth0", host.namespace, device, mtu=1400)
    run("ip", "-n", namespace, "link", "set", "eth0", "address", mac)
    lab.address(namespace, "eth0", f"{address}/16")
    run("ip", "-n", namespace, "neigh", "add", other, "lladdr", other_mac, "dev", "eth0")
    return namespace


def first_packet(platform, network, n_rounds):
    """Milliseconds, three lists: the API's answer, first packet to the port, first packet from it."""
    near, far = platform.hosts
    here = fixed_workload(platform, "near", near, MAC, ADDRESS, PEER_ADDRESS, PEER_MAC, "waits0")
    there = fixed_workload(platform, "far", far, PEER_MAC, PEER_ADDRESS, ADDRESS, MAC, "peer0")
    subnet = platform.admin.call("GET", f"/v2.0/subnets?network_id={network}")["subnets"][0]["id"]
    peer = platform.port(network, far, mac_address=PEER_MAC, fixed_ips=[{"subnet_id": subnet, "ip_address": PEER_ADDRESS}])
    far.ask(operation="plug", port=peer["id"], interface="peer0")
    platform.wait_active(peer)
    answered, to_port, from_port = [], [], []
    for _ in range(n_rounds):
        probes = [Probe(there, PEER_ADDRESS, here, ADDRESS), Probe(here, ADDRESS, there, PEER_ADDRESS)]
        try:
            time.sleep(0.1)
            if any(probe.first for probe in probes):
                raise Failed("packets arrived before the port was there")
            start = time.monotonic()
            port = platform.port(network, near, mac_address=MAC, fixed_ips=[{"subnet_id": subnet, "ip_address": ADDRESS}])
            answered.append((time.monotonic() - start) * 1000)
            near.ask(operation="plug", port=port["id"], interface="waits0")
            wait_for(lambda: all(probe.first for probe in probes), "first packets", 20, interval=0.001)
        finally:
            for probe in probes:
                probe.close()
        to_port.append((probes[0].first - start) * 1000)
        from_port.append((probes[1].first - start) * 1000)
        near.ask(operation="unplug", interface="waits0")
        platform.admin.call("DELETE", f"/v2.0/ports/{port['id']}")
        wait_for(lambda: MAC not in far.ask(operation="tables")["tables"] and MAC not in near.ask(operation="tables")["tables"],
                 "the deleted port's rows gone", 20)
    return answered, to_port, from_port


def bulk(platform, network, n_ports):
    """Creates ports on both hosts in one request.  Returns (ports, milliseconds to the answer, milliseconds until programmed)."""
    bodies = [{"network_id": network, "name": f"bulk-{n}", "binding:host_id": platform.hosts[n % 2].name} for n in range(n_ports)]
    before = {host.name: host.ask(operation="status")["applied_revision"] for host in platform.hosts}
    programmed = {}
    errors = []
    started = threading.Event()

    def watch(host):
        started.wait()
        while host.name not in programmed and time.monotonic() < start + 60:
            if host.ask(operation="status")["applied_revision"] > before[host.name]:
                now = time.monotonic()
                if ports and all(port["mac_address"] in tables for tables in [host.ask(operation="tables")["tables"]] for port in ports):
                    programmed[host.name] = now
            time.sleep(0.002)

    ports = []
    threads = [threading.Thread(target=watch, args=(host,)) for host in platform.hosts]
    for thread in threads:
        thread.start()
    start = time.monotonic()
    started.set()
    try:
        ports += platform.admin.call("POST", "/v2.0/ports", {"ports": bodies})["ports"]
        answered = time.monotonic()
    finally:
        for thread in threads:
            thread.join()
    if len(programmed) != len(platform.hosts) or errors:
        raise Failed(f"not every host was programmed: {programmed} {errors}")
    return ports, (answered - start) * 1000, (max(programmed.values()) - start) * 1000


def delete_all(platform, ports):
    for port in ports:
        platform.admin.call("DELETE", f"/v2.0/ports/{port['id']}")
    macs = {port["mac_address"] for port in ports}
    wait_for(lambda: not any(mac in host.ask(operation="tables")["tables"] for host in platform.hosts for mac in macs),
             "deleted ports' rows gone", 60, interval=0.1)


def bench(n_rounds, seconds):
    with Lab() as lab:
        platform = Platform(lab, "prog", store="sqlite", n_hosts=2)
        idle = [memory_kib(host.process) for host in platform.hosts]
        network = platform.network("10.62.0.0/16")
        project = platform.admin.call("GET", f"/v2.0/networks/{network}")["network"]["project_id"]
        platform.admin.call("PUT", f"/v2.0/quotas/{project}", {"quota": {"port": -1}})
        seeds = [platform.port(network, host) for host in platform.hosts]  # Both hosts know the network before.
        bulk_answered, bulk_programmed = [], []
        others = []
        for number in range(n_rounds):
            others, answered, programmed = bulk(platform, network, N_OTHERS)
            bulk_answered.append(answered)
            bulk_programmed.append(programmed)
            print(f"\r  bulk {number + 1} of {n_rounds} ", end="", flush=True)
            if number + 1 < n_rounds:
                delete_all(platform, others)
        loaded = [memory_kib(host.process) for host in platform.hosts]
        print("\r  first packet    ", end="", flush=True)
        answered, to_port, from_port = first_packet(platform, network, n_rounds)
        print()
        assert len(others) + len(seeds) >= N_OTHERS
    rows = [
        Row("port create to first packet to it, from another host", "ms", "weft", "", ("<=", 50), to_port),
        Row("port create to first packet from it, to another host", "ms", "weft", "", ("<=", 50), from_port),
        Row("port create until the API has answered", "ms", "weft", "", None, answered),
        Row("1,000 ports in one request until both hosts hold them", "ms", "weft", "", ("<=", 400), bulk_programmed),
        Row("1,000 ports in one request until the API has answered", "ms", "weft", "", None, bulk_answered),
        Row("weft-agent: memory, no port", "MB", "weft-agent", "", None, [kib / 1024 for kib in idle]),
        Row("weft-agent: memory, 1,000 ports known", "MB", "weft-agent", "", None, [kib / 1024 for kib in loaded]),
    ]
    table("From the API to the wire, 1,000 other ports present", rows)
    save("programming", rows, {}, {"rounds": n_rounds, "other_ports": N_OTHERS, "store": "SQLite, durable commits"})
    return rows
