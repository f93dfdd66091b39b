"""nginx behind the director, HAProxy in TCP mode and nftables' DNAT, and with nothing in between, called by wrk (director_peers.py)."""

import os
import re
import statistics
import time

from director_peers import Peers
from lab import Lab
from report import Row, save, table

OURS = ("director, direct", "director, NAT")
PEERS = ("HAProxy", "nftables", "none")
N_CONNECTIONS = 32
UNITS = {"us": 1, "ms": 1e3, "s": 1e6}
# Measurement: connections at once, options of wrk.
MEASUREMENTS = {
    "requests": (N_CONNECTIONS, []),
    "latency": (1, []),
    "connections": (N_CONNECTIONS, ["-H", "Connection: close"]),
}
METRICS = {
    "rps": ("requests, keepalive", "1/s"),
    "request_cpu": ("CPU a request, keepalive", "us"),
    "cps": ("connections with a request", "1/s"),
    "connection_cpu": ("CPU a connection with a request", "us"),
    "p50": ("latency of one after the other, p50", "us"),
    "p99": ("latency of one after the other, p99", "us"),
    "p50_busy": (f"latency with {N_CONNECTIONS} at once, p50", "us"),
    "p99_busy": (f"latency with {N_CONNECTIONS} at once, p99", "us"),
}


def percentile(text, percent):
    value, unit = re.search(rf"^ +{percent}% +([\d.]+)(us|ms|s)$", text, re.MULTILINE).groups()
    return float(value) * UNITS[unit]


def measure(peers, path, name, duration_s):
    n_connections, options = MEASUREMENTS[name]
    before = peers.cpu_ns()
    text, own_ns = peers.wrk(path, duration_s, n_connections, *options)
    cpu_us = (peers.cpu_ns() - before + own_ns) / 1000
    per_second = float(re.search(r"^Requests/sec: +([\d.]+)$", text, re.MULTILINE)[1])
    n = int(re.search(r"(\d+) requests in", text)[1])
    if name == "latency":
        return {"p50": percentile(text, 50), "p99": percentile(text, 99)}
    if name == "connections":
        return {"cps": per_second, "connection_cpu": cpu_us / n}
    return {"rps": per_second, "request_cpu": cpu_us / n, "p50_busy": percentile(text, 50), "p99_busy": percentile(text, 99)}


def interleaved(peers, n_rounds, duration_s):
    values, start = {}, time.monotonic()
    for number in range(n_rounds):
        for name in MEASUREMENTS:
            for path in peers.paths:
                for metric, value in measure(peers, path, name, duration_s).items():
                    values.setdefault((path, metric), []).append(value)
        left = (time.monotonic() - start) / (number + 1) * (n_rounds - number - 1)
        print(f"\r  round {number + 1} of {n_rounds}, {left:.0f} s left ", end="", flush=True)
    print()
    return values


def say_paths(values, paths):
    """Medians, and the middle half of the rounds."""
    print("\nMedians of every path, and the quartiles of the rounds")
    for metric, (label, unit) in METRICS.items():
        print(f"  {label} [{unit}]")
        for path in paths:
            rounds = values[path, metric]
            low, median, high = statistics.quantiles(rounds, n=4, method="inclusive") if len(rounds) > 1 else rounds * 3
            print(f"    {path:<18}{median:>10.4g}   {low:>8.4g} to {high:.4g}")


def bench(n_rounds, seconds):
    duration_s = max(1, round(seconds))  # wrk knows whole seconds only.
    with Lab() as lab:
        peers = Peers(lab)
        load = [os.getloadavg()[0]]
        values = interleaved(peers, n_rounds, duration_s)
        load.append(os.getloadavg()[0])
        peers.carried()
        versions, paths = peers.versions(), list(peers.paths)
    rows = []
    for ours in OURS:
        for peer in PEERS:
            block = [Row(f"{ours}: {label}", unit, ours, peer, None, values[ours, metric], values[peer, metric])
                     for metric, (label, unit) in METRICS.items()]
            table(f"nginx behind the {ours}, against {'nothing in between' if peer == 'none' else peer}", block)
            rows += block
    say_paths(values, paths)
    print(f"  load of the machine before and after: {load[0]:.1f}, {load[1]:.1f}")
    save("director_peers", rows, versions, {"rounds": n_rounds, "seconds": duration_s, "cpus": os.cpu_count(), "connections": N_CONNECTIONS,
                                            "body_bytes": 1024, "load_before_and_after": load},
         {"raw": {f"{path}.{metric}": rounds for (path, metric), rounds in values.items()}})
    return rows
