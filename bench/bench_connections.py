"""A table with room for many connections, with a thousand and with a million of them held: CPU a packet of the program, and memory (see
pipeline.c); and CPU of a small packet, whole, from one namespace to another.

Two hosts: on one a workload sends in 500 flows to another workload, on the other in 500,000.  Both ends are ports with security groups,
so each flow is held twice.  The receiver drops what arrives before anything of it is looked at.  To begin with, it answers, so
that no connection is half open."""

import json
import pathlib
import platform
import sys

from lab import BUILD, Failed, Lab, command_in, run
from paths import N_RULES
from report import Row, save, table
from weft import BPFFS, Platform

PORT = 10000  # And those after it.
HELD = {"1,000": 500, "1,000,000": 500000}
TABLE = 4194304  # A single project may have 3/8 of it established.
NO_LOSS = 0.999

DROP = """table ip bench {
 chain prerouting {
  type filter hook prerouting priority raw; policy accept;
  ip protocol udp counter drop
 }
}
"""
REFLECTOR = """
import socket
out = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0800))
out.bind(("eth0", 0))
print("ready", flush=True)
while True:
    f = out.recv(2048)
    if f[23] == socket.IPPROTO_UDP:  # Its checksum is left out.
        out.send(f[6:12] + f[0:6] + f[12:26] + f[30:34] + f[26:30] + f[36:38] + f[34:36] + f[38:40] + bytes(2) + f[42:])
"""


class Stage:
    """The workloads of one host, and their flows."""

    def __init__(self, lab, platform, host, network, group, n_flows):
        self.lab, self.host, self.n_flows = lab, host, n_flows
        ports = [platform.port(network, host, security_groups=[group]) for _ in range(2)]
        self.sender, self.receiver = (platform.workload(f"{end}-{n_flows}", host, port) for end, port in zip(("sender", "receiver"), ports))
        self.address = ports[1]["fixed_ips"][0]["ip_address"]
        platform.wait_active(*ports)
        file = lab.folder / "drop.nft"
        file.write_text(DROP)
        run(*command_in(self.receiver, "nft", "-f", file))
        run(*command_in(self.sender, "ping", "-c1", "-W5", self.address))
        reflector = lab.start(sys.executable, "-c", REFLECTOR, namespace=self.receiver, ready="ready")
        self.traffic("begin", 0)
        lab.stop(reflector)

    def traffic(self, mode, seconds):
        return json.loads(run(*command_in(self.sender, BUILD / "bench" / "traffic-client", mode, self.address, PORT, seconds, f"flows={self.n_flows}", "cpu=0"),
                              timeout=seconds + 120))

    def check_held(self):
        """Each flow must be held at both ports, established, and nothing else but a few: the ping's."""
        pin = next(pathlib.Path(f"{BPFFS}/weft/{self.host.name}").rglob("projects*"))  # Behind its name is its layout.
        records = json.loads(run("bpftool", "-j", "map", "dump", "pinned", pin))
        words = [[int.from_bytes(bytes(int(byte, 16) for byte in record["value"][at:at + 4]), sys.byteorder) for at in (0, 4)] for record in records]
        half_open, established = (sum(column) for column in zip(*words))
        if not 0 <= established - 2 * self.n_flows <= 10 or half_open > 10:
            raise Failed(f"{self.n_flows} flows: {established} connections are established and {half_open} half open")

    def arrived(self):
        return next(rule["rule"]["expr"][1]["counter"]["packets"] for rule in
                    json.loads(run(*command_in(self.receiver, "nft", "-j", "list", "ruleset")))["nftables"] if "rule" in rule)

    def cpu_ns(self, seconds):
        before = self.arrived()
        out = self.traffic("packets", seconds)
        arrived = self.arrived() - before - self.n_flows
        if arrived < NO_LOSS * out["count"]:
            raise Failed(f"{self.n_flows} flows: of {out['count']} packets {arrived} arrived")
        self.check_held()
        return (out["own_cpu_ns"] + out["other_cpu_ns"]) / out["count"]


def whole(n_rounds, seconds):
    """{held: nanoseconds of each round}"""
    with Lab() as lab:
        platform = Platform(lab, "held", n_hosts=2, agent_options=[f"--max-connections={TABLE}"])
        network, group = platform.network(mtu=1500), platform.group(N_RULES, "10.61.0.0/16")
        stages = {held: Stage(lab, platform, host, network, group, n_flows) for host, (held, n_flows) in zip(platform.hosts, HELD.items())}
        rounds = [{held: stage.cpu_ns(seconds) for held, stage in stages.items()} for _ in range(n_rounds)]
    return {held: [one[held] for one in rounds] for held in HELD}


def bench(n_rounds, seconds):
    in_packets = whole(n_rounds, seconds)
    n_rounds = min(n_rounds, 5)
    answer = json.loads(run(BUILD / "bench" / "pipeline", n_rounds, 1000000, "connections held", 1 << 20, timeout=120 * n_rounds))
    rounds = answer["rounds"]
    few, many = HELD
    rows = [Row(name, "ns", "weft", goal=("<=", 600 if "1000000" in name else 200), ours_rounds=[one[name] for one in rounds]) for name in rounds[0]]
    rows.append(Row("memory of a connection", "bytes", "weft", goal=("<=", 200), ours_rounds=[answer["connection_bytes"]]))
    table("a million connections, nanoseconds a frame, net of an empty program", rows)
    whole_row = Row(f"CPU a small packet, whole, {many} connections held", "ns", many, f"{few} held", ("<=", 2), in_packets[many], in_packets[few])
    table("from one namespace to another", [whole_row])
    rows.append(whole_row)
    save("connections", rows, {"kernel": platform.release()}, {"rounds": n_rounds, "rounds_whole": len(in_packets[many]), "seconds": seconds, "table": TABLE})
    return rows
