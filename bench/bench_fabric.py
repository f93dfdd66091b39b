"""weft-fabric beside ovs-testcontroller and a learning switch on os-ken, all from Debian but ours, under the load of emulated switches
(fabric-load), and alone under what the others cannot serve: links, paths, many hosts, a link that fails.

The controllers run all the time and each round loads each of them in turn.  CPU time is the controller's own, exact."""

import json
import os
import socket
import sys

from lab import BUILD, ROOT, Failed, Lab, run, wait_for
from report import Row, save, table

VERSIONS = ("1.0", "1.3")
# What a learning switch serves as well: hosts that talk within their switch.
SWITCHED = ["--topology", "none", "--switches", "16", "--hosts", "1600", "--window", "32"]
# Buffers as cbench's switches have them: a flow_mod is the whole answer then.
MODES = {"throughput": ["--mode", "throughput"], "buffered": ["--mode", "throughput", "--buffered"], "latency": ["--mode", "latency"]}
# What needs paths: (name, options).  The goals are for those whose flows take few switches.
ROUTED = [("2 switches, 1 link", ["--topology", "linear", "--switches", "2", "--hosts", "200", "--window", "256"]),
          ("20 switches, fat-tree of k = 4", ["--topology", "fat-tree", "--k", "4", "--hosts", "1600", "--window", "64"]),
          ("1000 switches in a ring of rings, 100,000 hosts", None)]
REROUTED = ["--topology", "fat-tree", "--k", "4", "--hosts", "1600", "--mode", "reroute", "--flows", "1000"]


def rings(lab):
    """1000 switches: a ring of 50, each of which begins a ring of 20."""
    path = lab.folder / "rings"
    with open(path, "w") as file:
        for ring in range(50):
            first = 20 * ring
            file.writelines(f"{first + 1 + i} {first + 1 + (i + 1) % 20}\n" for i in range(20))
            file.write(f"{first + 1} {(first + 20) % 1000 + 1}\n")
    return ["--topology", f"file:{path}", "--switches", "1000", "--hosts", "100000", "--window", "1"]


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def pinned(cpu, *command):
    """With two CPUs or more the controller has one and the load another."""
    return ["taskset", "-c", str(cpu), *command] if os.cpu_count() > 1 else list(command)


class Controller:
    def __init__(self, lab, name, command, env=None):
        self.name, self.port = name, free_port()
        command = [str(part).replace("PORT", str(self.port)) for part in command]
        self.process = lab.start(*pinned(0, *command), log=f"{name}.log", env=env)
        wait_for(self.listens, f"{name} listens", timeout=30, interval=0.1)

    def listens(self):
        if self.process.poll() is not None:
            raise Failed(f"{self.name} ended with {self.process.returncode}")
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def load(self, seconds, *options):
        """One run of fabric-load."""
        command = pinned(1, BUILD / "bench" / "fabric-load", *options, "--seconds-ms", int(1000 * seconds), "--warmup-ms",
                         int(400 * seconds), "--pid", self.process.pid, f"127.0.0.1:{self.port}")
        return json.loads(run(*command, timeout=180))


def weft(lab, *options):
    return Controller(lab, "weft-fabric", [BUILD / "src" / "controller" / "weft-fabric", "--listen", "127.0.0.1:PORT", "--http-listen", "none",
                                           "--log-level", "error", "--config", "/dev/null", *options])


def peers(lab):
    yield Controller(lab, "ovs-testcontroller", ["ovs-testcontroller", "-O", "OpenFlow10,OpenFlow13", f"--unixctl={lab.folder}/testcontroller",
                                                 "ptcp:PORT:127.0.0.1"], {"OVS_RUNDIR": str(lab.folder)})
    yield Controller(lab, "os-ken", [sys.executable, "-B", "/usr/bin/osken-manager", "--ofp-listen-host", "127.0.0.1",
                                     "--ofp-tcp-listen-port", "PORT", ROOT / "bench" / "learning_switch.py"])


def without_sockets(n_rounds):
    """Rows of bench-openflow (the codec) and bench-fabric (all but the sockets)."""
    rows = {}
    for _ in range(min(n_rounds, 5)):
        for command in (["bench-openflow"], ["bench-fabric", "1"]):
            for got in json.loads(run(BUILD / "bench" / command[0], *command[1:])):
                goal = got["goal"].split() if got["goal"] else None
                row = rows.setdefault(got["name"], Row(got["name"], got["unit"], "weft", "", (goal[0], float(goal[1])) if goal else None))
                row.ours_rounds.append(got["ours"])
    return list(rows.values())


def switched(lab, n_rounds, seconds):
    """The load that all three serve."""
    controllers = [weft(lab), *peers(lab)]
    values = {}
    for number in range(n_rounds):
        for version in VERSIONS:
            for controller in controllers:
                for mode, options in MODES.items():
                    got = controller.load(seconds, "--openflow", version, *options, *SWITCHED)
                    for metric in ("cpu_us_per_response", "per_second", "p50_us", "p99_us"):
                        values.setdefault((version, controller.name, mode, metric), []).append(got[metric])
        print(f"\r  round {number + 1} of {n_rounds} ", end="", flush=True)
    print()
    rows = []
    for version in VERSIONS:
        ours = lambda mode, metric: values[version, "weft-fabric", mode, metric]
        title = f"OpenFlow {version}, within a switch"
        rows.append(Row(f"{title}: CPU a packet-in answered", "us", "weft-fabric", "", ("<=", 1.5), ours("throughput", "cpu_us_per_response")))
        for peer in controllers[1:]:
            theirs = lambda mode, metric: values[version, peer.name, mode, metric]
            rows.append(Row(f"{title}: CPU a packet-in answered", "us", "weft-fabric", peer.name, ("<=", 1),
                            ours("throughput", "cpu_us_per_response"), theirs("throughput", "cpu_us_per_response")))
            rows.append(Row(f"{title}: answers", "1/s", "weft-fabric", peer.name, (">=", 1), ours("throughput", "per_second"),
                            theirs("throughput", "per_second")))
            rows.append(Row(f"{title}, with buffers: CPU a packet-in answered", "us", "weft-fabric", peer.name, ("<=", 1),
                            ours("buffered", "cpu_us_per_response"), theirs("buffered", "cpu_us_per_response")))
            rows.append(Row(f"{title}: one at a time, p50", "us", "weft-fabric", peer.name, None, ours("latency", "p50_us"),
                            theirs("latency", "p50_us")))
            rows.append(Row(f"{title}: one at a time, p99", "us", "weft-fabric", peer.name, None, ours("latency", "p99_us"),
                            theirs("latency", "p99_us")))
    for controller in controllers:
        lab.stop(controller.process)
    return rows


def routed(lab, n_rounds, seconds):
    """What only ours serves: each controller begins anew, so that memory is of these hosts only."""
    rows = []
    for name, options in ROUTED:
        options = options or rings(lab)
        for version in VERSIONS:
            got = []
            for _ in range(min(n_rounds, 5)):
                controller = weft(lab)
                got.append(controller.load(seconds, "--openflow", version, *options))
                lab.stop(controller.process)
            title = f"OpenFlow {version}, {name}"
            cpu, is_large = [one["cpu_us_per_response"] for one in got], got[0]["switches"] >= 1000
            rows.append(Row(f"{title}: CPU a packet-in answered", "us", "weft-fabric", "", None if is_large else ("<=", 1.5), cpu))
            rows.append(Row(f"{title}: answers a second of one core", "1/s", "weft-fabric", "", None if is_large else (">=", 500000),
                            [1e6 / one for one in cpu]))
            rows.append(Row(f"{title}: CPU a flow_mod", "us", "weft-fabric", "", None,
                            [one["cpu_us_per_response"] * one["responses"] / one["flow_mods"] for one in got]))
            rows.append(Row(f"{title}: flow_mods an answer", "", "weft-fabric", "", None, [one["flow_mods"] / one["responses"] for one in got]))
            rows.append(Row(f"{title}: lost", "1/1000", "weft-fabric", "", None, [1000 * one["lost"] / one["packet_ins"] for one in got]))
            if is_large:
                rows.append(Row(f"{title}: memory a known host", "bytes", "weft-fabric", "", ("<=", 200),
                                [1024 * (one["kib_with_hosts"] - one["kib_before_hosts"]) / one["hosts"] for one in got]))
    return rows


def rerouted(lab, n_rounds):
    rows = []
    for version in VERSIONS:
        times = []
        for _ in range(min(n_rounds, 5)):
            controller = weft(lab)
            times.append(controller.load(1, "--openflow", version, *REROUTED)["rerouted_ms"])
            lab.stop(controller.process)
        rows.append(Row(f"OpenFlow {version}, a link of 1,000 flows' network fails: until the last flow_mod", "ms", "weft-fabric", "",
                        ("<=", 50), times))
    return rows


def versions():
    return {"ovs-testcontroller": run("ovs-testcontroller", "--version").splitlines()[0],
            "os-ken": run("dpkg-query", "-W", "-f=${Version}", "python3-os-ken")}


def bench(n_rounds, seconds):
    n_rounds = min(n_rounds, 7)
    seconds = 2 * seconds
    rows = without_sockets(n_rounds)
    with Lab() as lab:
        rows += switched(lab, n_rounds, seconds)
        rows += routed(lab, n_rounds, seconds)
        rows += rerouted(lab, n_rounds)
    table("weft-fabric under the load of emulated switches", rows)
    save("fabric", rows, versions(), {"rounds": n_rounds, "seconds": seconds, "switched": SWITCHED})
    return rows
