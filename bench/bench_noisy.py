"""A tenant's round trips while another one, on the same host, attacks: whatever it sends, p99 stays within 10 % of that without.

    victim:  client - tap, tap - server         CPU 1
    noisy:   sender - tap, tap - target         CPU 0: frames as fast as one process sends them
        syn     SYNs from ever other ports to an open one: half-open connections up to the project's limit
        scan    SYNs to ports that no rule of the target names
        window  segments of one connection that fit no window
        burst   datagrams that pass, ever a new connection"""

import json
import signal
import statistics
import sys

from lab import BUILD, Lab, command_in, run, wait_for
from paths_routed import SERVERS
from report import Row, save, table
from weft import Platform

PORT = 7000
NOISE = """
import os, socket, sys
os.sched_setaffinity(0, {0})
kind, source_mac, to_mac, source, to = sys.argv[1:]
mac = lambda text: bytes.fromhex(text.replace(":", ""))
l4 = bytes(20) if kind != "burst" else bytes(28)
ip = bytearray(b"\\x45\\0" + (20 + len(l4)).to_bytes(2, "big") + b"\\0\\1\\0\\0\\x40" + (b"\\x11" if kind == "burst" else b"\\6") + b"\\0\\0" +
               socket.inet_aton(source) + socket.inet_aton(to))
total = sum(int.from_bytes(ip[i:i + 2], "big") for i in range(0, 20, 2))
total = (total & 0xffff) + (total >> 16)
ip[10:12] = (~((total & 0xffff) + (total >> 16)) & 0xffff).to_bytes(2, "big")
frame = bytearray(mac(to_mac) + mac(source_mac) + b"\\x08\\0" + ip + l4)
if kind == "burst":
    frame[38:40] = len(l4).to_bytes(2, "big")
else:
    frame[46] = 0x50
    frame[47] = 0x10 if kind == "window" else 2
out = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
out.bind(("eth0", 0))
if kind == "window":
    with socket.create_connection((to, 80)) as whole:
        frame[34:38] = whole.getsockname()[1].to_bytes(2, "big") + (80).to_bytes(2, "big")
        print("ready", flush=True)
        n = 0
        while True:
            n += 1
            frame[38:42] = (n * 2654435761 & 0xffffffff).to_bytes(4, "big")
            out.send(frame)
print("ready", flush=True)
n = 0
while True:
    n += 1
    port = 1000 + n % 60000
    frame[34:38] = (port.to_bytes(2, "big") + (80).to_bytes(2, "big")) if kind == "syn" else (50000 + n // 60000 % 1000).to_bytes(2, "big") + port.to_bytes(2, "big")
    try:
        out.send(frame)
    except OSError:
        pass
"""
SERVER = "import socket\ns = socket.create_server(('', 80))\nprint('ready', flush=True)\nkept = []\nwhile True: kept.append(s.accept())"
KINDS = {"syn": "SYN flood", "scan": "port scan", "window": "TCP out of window", "burst": "burst of new connections"}


class Stage:
    def __init__(self, lab):
        self.lab = lab
        self.platform = platform = Platform(lab, "noisy", underlay_mtu=1600)
        host = platform.hosts[0]
        project = platform.admin.call("POST", "/identity/v3/projects", {"project": {"name": "noisy", "domain_id": "default"}})["project"]["id"]
        network = platform.network()
        ports = [platform.port(network, host) for _ in range(2)]
        self.client, self.server = (platform.workload(name, host, port) for name, port in zip(("client", "server"), ports))
        self.address = ports[1]["fixed_ips"][0]["ip_address"]
        theirs = platform.network(f"{SERVERS}.0/24", project_id=project)
        closed = platform.admin.create("security_group", name="closed", project_id=project)
        for protocol, first, last in (("tcp", 80, 80), ("udp", 1, 65535)):
            platform.admin.create("security_group_rule", security_group_id=closed["id"], project_id=project, direction="ingress", ethertype="IPv4",
                                  protocol=protocol, port_range_min=first, port_range_max=last)
        self.ports = [platform.port(theirs, host, project_id=project), platform.port(theirs, host, project_id=project, security_groups=[closed["id"]])]
        self.sender, self.target = (platform.workload(name, host, port) for name, port in zip(("sender", "target"), self.ports))
        platform.wait_active(*ports, *self.ports)
        lab.start(sys.executable, "-c", SERVER, namespace=self.target, ready="ready")
        lab.start(BUILD / "bench" / "traffic-server", self.address, PORT, 1, namespace=self.server, ready="ready")
        run(*command_in(self.client, "ping", "-c1", "-W5", self.address))
        run(*command_in(self.sender, "ping", "-c1", "-W1", self.ports[1]["fixed_ips"][0]["ip_address"]), check=False)  # So that both know MACs.

    def latency(self, seconds):
        out = json.loads(run(*command_in(self.client, BUILD / "bench" / "traffic-client", "latency", self.address, PORT, seconds, "cpu=1"),
                             timeout=seconds + 30))
        return {"p50": out["p50_ns"] / 1000, "p99": out["p99_ns"] / 1000}

    def under(self, kind, seconds):
        sent = lambda: self.platform.hosts[0].ask(operation="counters", port=self.ports[0]["id"])["counters"][0]["tx_packets"]
        addresses = [port["fixed_ips"][0]["ip_address"] for port in self.ports]
        noise = self.lab.start(sys.executable, "-c", NOISE, kind, *(port["mac_address"] for port in self.ports), *addresses,
                               namespace=self.sender, ready="ready")
        try:
            before = sent()
            wait_for(lambda: sent() > before + 1000, f"{kind}: noise", 10)
            before = sent()
            result = self.latency(seconds)
            result["kpps"] = (sent() - before) / seconds / 1000
        finally:
            self.lab.stop(noise, signal.SIGKILL)
        return result


def bench(n_rounds, seconds):
    quiet, noisy = [], {kind: [] for kind in KINDS}
    with Lab() as lab:
        stage = Stage(lab)
        for number in range(n_rounds):
            quiet.append(stage.latency(seconds))
            for kind in KINDS:
                noisy[kind].append(stage.under(kind, seconds))
            print(f"\r  round {number + 1} of {n_rounds} ", end="", flush=True)
        print()
    rows = [Row(f"{metric} of a tenant's round trips beside a {KINDS[kind]}", "us", "beside noise", "alone", goal, [one[metric] for one in rounds],
                [one[metric] for one in quiet])
            for kind, rounds in noisy.items() for metric, goal in (("p99", ("<=", 1.1)), ("p50", None))]
    rows += [Row(f"the {KINDS[kind]}", "kpps", "weft", "", None, [one["kpps"] for one in rounds]) for kind, rounds in noisy.items()]
    table("A tenant's round trips while another one attacks", rows)
    print(f"  alone: p50 {statistics.median(one['p50'] for one in quiet):.1f} us, p99 {statistics.median(one['p99'] for one in quiet):.1f} us")
    save("noisy", rows, {}, {"rounds": n_rounds, "seconds": seconds})
    return rows
