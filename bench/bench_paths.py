"""Packets: weft against a bare veth pair, a Linux bridge, the bridge with a stateful firewall, Open vSwitch in user space and,
over two hosts, the kernel's VXLAN with a bridge.  Every path stands at the same time; each round measures each of them once."""

import json
import os
import statistics
import time

import paths
from lab import BUILD, Failed, Lab, command_in, run, wait_for
from report import Row, save, table

PORT = 7000
# mode, options, same CPU for both ends.  With TCP the two ends share a CPU: between two virtual CPUs the wake-up interrupt would be
# most of a round trip, and would make a stream's rounds differ by half.
MEASUREMENTS = {
    "tcp1": ("throughput", ["streams=1"], True),
    "tcp4": ("throughput", ["streams=4"], True),
    "latency": ("latency", [], True),
    "connections": ("connections", [], True),
    "packets": ("packets", ["size=22"], False),
}
# key, name, unit; a row a key and pair of paths.
METRICS = {
    "tcp1": ("TCP, 1 stream", "Gbit/CPU-s"),
    "tcp4": ("TCP, 4 streams", "Gbit/CPU-s"),
    "p50": ("TCP request/response p50", "us"),
    "p99": ("TCP request/response p99", "us"),
    "cps": ("connections", "1/s"),
    "cpu": ("CPU a small packet", "ns"),
    "kpps": ("small packets", "kpps"),
}
GOALS = {
    ("weft", "veth"): {"tcp1": (">=", 0.97), "tcp4": (">=", 0.97), "p50": ("<=", 1.12), "cpu": ("<=", 1.20)},
    ("weft", "bridge"): {},
    ("weft", "nftables"): {"p50": ("<=", 0.85), "cpu": ("<=", 0.58)},
    ("weft", "ovs"): {"tcp1": (">=", 10), "tcp4": (">=", 10), "kpps": (">=", 4), "cps": (">=", 3)},
    ("weft2", "vxlan"): {"tcp1": (">=", 1.0), "tcp4": (">=", 1.0), "cpu": ("<=", 0.55), "kpps": (">=", 1.8), "p50": ("<=", 0.75),
                         "cps": (">=", 1.3)},
}
TITLES = {"weft": "same host", "weft2": "two hosts"}


def measure(path, server, name, seconds):
    """One measurement on one path: {metric: value}."""
    mode, options, together = MEASUREMENTS[name]
    far = [server] if mode != "packets" else []  # "CPU a packet" is the sender's and the path's.
    account = ",".join(str(program.pid) for program in [*far, *path.programs])
    options = [*options, "cpu=1" if together else "cpu=0"]
    if account:
        options.append(f"account={account}")
    out = json.loads(run(*command_in(path.client, BUILD / "bench" / "traffic-client", mode, path.address, PORT, seconds, *options),
                         timeout=seconds + 30))
    cpu_ns = out["own_cpu_ns"] + out["other_cpu_ns"]
    if mode == "throughput":
        return {name: out["bytes"] * 8 / cpu_ns}
    if mode == "latency":
        return {"p50": out["p50_ns"] / 1000, "p99": out["p99_ns"] / 1000}
    if mode == "connections":
        return {"cps": out["count"] / out["wall_ns"] * 1e9}
    return {"cpu": cpu_ns / max(out["received"], 1), "kpps": out["received"] / out["wall_ns"] * 1e6}


def answers(path):
    try:
        run(*command_in(path.client, "ping", "-c1", "-W1", path.address))
        return True
    except Failed:
        return False


def bench(n_rounds, seconds):
    makers = {"veth": paths.veth, "bridge": paths.bridge, "nftables": paths.nftables, "ovs": paths.ovs, "vxlan": paths.vxlan,
              **paths.OURS}
    only = os.environ.get("PATHS", "").split(",") if os.environ.get("PATHS") else list(makers)
    values = {}
    with Lab() as lab:
        built, servers = {}, {}
        for name, maker in makers.items():
            if name not in only:
                continue
            path = built[name] = maker(lab)
            servers[name] = lab.start(BUILD / "bench" / "traffic-server", path.address, PORT, 1, namespace=path.server,
                                      ready="ready")
            wait_for(lambda path=path: answers(path), f"{name}: first answer", 30)
        start = time.monotonic()
        for number in range(n_rounds):
            for measurement in MEASUREMENTS:
                for name, path in built.items():
                    for metric, value in measure(path, servers[name], measurement, seconds).items():
                        values.setdefault((name, metric), []).append(value)
            left = (time.monotonic() - start) / (number + 1) * (n_rounds - number - 1)
            print(f"\r  round {number + 1} of {n_rounds}, {left:.0f} s left ", end="", flush=True)
        print()
        for path in built.values():
            if path.verify:
                path.verify()
        versions = {name: path.version for name, path in built.items() if path.version}
    rows = []
    for (ours, peer), goals in GOALS.items():
        block = [Row(f"{TITLES[ours]}: {label}", unit, ours, peer, goals.get(metric), values[ours, metric], values[peer, metric])
                 for metric, (label, unit) in METRICS.items() if (ours, metric) in values and (peer, metric) in values]
        if block:
            table(f"weft, {TITLES[ours]}, against {peer}", block)
        rows += block
    medians = {name: {metric: round(statistics.median(values[name, metric]), 3) for metric in METRICS if (name, metric) in values}
               for name in built}
    print("\nMedians of every path")
    print("  " + "".ljust(10) + "".join(f"{metric:>10}" for metric in METRICS))
    for name, row in medians.items():
        print("  " + name.ljust(10) + "".join(f"{row.get(metric, float('nan')):>10.4g}" for metric in METRICS))
    save("paths", rows, versions, {"rounds": n_rounds, "seconds": seconds, "cpus": os.cpu_count(),
                                   "measurements": {name: {"mode": mode, "options": options, "ends_share_a_cpu": together}
                                                    for name, (mode, options, together) in MEASUREMENTS.items()}},
         {"medians": medians, "raw": {f"{name}.{metric}": rounds for (name, metric), rounds in values.items()}})
    return rows
