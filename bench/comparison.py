"""Traffic through several paths: every path stands at the same time, and each round measures each of them once."""

import json
import os
import statistics
import time

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


def ended(program):
    """Why a path's program is no more, or nothing."""
    if program.poll() is None:
        return ""
    said = program.log.read_text()[-500:].strip() if program.log else ""
    return f"\n{' '.join(program.args)} has ended ({program.returncode}): {said}"


def measure(path, server, name, seconds):
    """One measurement on one path: {metric: value}."""
    mode, options, together = MEASUREMENTS[name]
    far = [server] if mode != "packets" else []  # "CPU a packet" is the sender's and the path's.
    account = ",".join(str(program.pid) for program in [*far, *path.programs])
    options = [*options, "cpu=1" if together else "cpu=0"]
    if account:
        options.append(f"account={account}")
    if mode == "connections" and path.next_source:
        options.append(f"source={path.next_source}")
    try:
        out = json.loads(run(*command_in(path.client, BUILD / "bench" / "traffic-client", mode, path.address, PORT, seconds, *options),
                             timeout=seconds + 30))
    except Failed as error:
        raise Failed(f"{path.name}, {name}: {error}{''.join(ended(program) for program in path.programs)}") from error
    cpu_ns = out["own_cpu_ns"] + out["other_cpu_ns"]
    if mode == "throughput":
        return {name: out["bytes"] * 8 / cpu_ns}
    if mode == "latency":
        return {"p50": out["p50_ns"] / 1000, "p99": out["p99_ns"] / 1000}
    if mode == "connections":
        path.next_source = out["next_source"]
        return {"cps": out["count"] / out["wall_ns"] * 1e9}
    return {"cpu": cpu_ns / max(out["received"], 1), "kpps": out["received"] / out["wall_ns"] * 1e6}


def answers(path):
    try:
        run(*command_in(path.client, "ping", "-c1", "-W1", path.address))
        return True
    except Failed:
        return False


def build(lab, makers):
    """The paths of $PATHS, or all, each answering; and a traffic-server at the far end of each."""
    only = os.environ["PATHS"].split(",") if os.environ.get("PATHS") else list(makers)
    built, servers = {}, {}
    for name, maker in makers.items():
        if name not in only:
            continue
        path = built[name] = maker(lab)
        servers[name] = lab.start(BUILD / "bench" / "traffic-server", path.address, PORT, 1, namespace=path.server, ready="ready")
        wait_for(lambda path=path: answers(path), f"{name}: first answer", 30)
        if path.prepare:
            path.prepare()
    return built, servers


def interleaved(built, servers, n_rounds, seconds):
    """{(path, metric): value of each round}"""
    values = {}
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
    return values


def compare(group, makers, goals, titles, n_rounds, seconds):
    """'makers': {name: lab -> Path}; 'goals': {(ours, peer): {metric: goal}}, a block of rows each; 'titles': {ours: what it is}."""
    with Lab() as lab:
        built, servers = build(lab, makers)
        values = interleaved(built, servers, n_rounds, seconds)
        versions = {name: path.version for name, path in built.items() if path.version}
    rows = []
    for (ours, peer), goals_of_pair in goals.items():
        block = [Row(f"{titles[ours]}: {label}", unit, ours, peer, goals_of_pair.get(metric), values[ours, metric], values[peer, metric])
                 for metric, (label, unit) in METRICS.items() if (ours, metric) in values and (peer, metric) in values]
        if block:
            table(f"weft, {titles[ours]}, against {peer}", block)
        rows += block
    medians = {name: {metric: round(statistics.median(values[name, metric]), 3) for metric in METRICS if (name, metric) in values}
               for name in built}
    width = max(map(len, medians), default=0) + 2
    print("\nMedians of every path")
    print("  " + "".ljust(width) + "".join(f"{metric:>10}" for metric in METRICS))
    for name, row in medians.items():
        print("  " + name.ljust(width) + "".join(f"{row.get(metric, float('nan')):>10.4g}" for metric in METRICS))
    save(group, rows, versions, {"rounds": n_rounds, "seconds": seconds, "cpus": os.cpu_count(),
                                 "measurements": {name: {"mode": mode, "options": options, "ends_share_a_cpu": together}
                                                  for name, (mode, options, together) in MEASUREMENTS.items()}},
         {"medians": medians, "raw": {f"{name}.{metric}": rounds for (name, metric), rounds in values.items()}})
    return rows
