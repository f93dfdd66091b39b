"""The programs by themselves: nanoseconds a frame by BPF_PROG_TEST_RUN, net of an empty program: see pipeline.c."""

import json
import platform

from lab import BUILD, run
from report import Row, save, table

GOALS = {
    "from_workload, to a local port, hit, 1 flow": ("<=", 130),
    "from_workload, TCP to a local port, hit, 1 flow": ("<=", 130),
    "from_workload, IPv6 to a local port, hit, 1 flow": ("<=", 130),
    "from_workload, to a local port, hit, 100000 flows": ("<=", 330),
    "from_workload, to a local port, miss": ("<=", 1000),
    "from_workload, to a local port, policy, hit, 1 flow": ("<=", 130),
    "from_workload, to a local port, policy, hit, 100000 flows": ("<=", 330),
    "from_workload, to a local port, miss, 100 rules": ("<=", 1000),
    "from_workload, TCP to a local port, policy, hit, 1 flow": ("<=", 130),
    "from_workload, TCP to a local port, policy, hit, 100000 flows": ("<=", 330),
    "from_workload, routed to a local port, hit, 1 flow": ("<=", 130),
    "from_workload, routed to a local port, hit, 100000 flows": ("<=", 330),
    "from_workload, SNAT to outside, hit, 1 flow": ("<=", 130),
    "from_workload, SNAT to outside, hit, 100000 flows": ("<=", 330),
    "from_workload, floating IP to outside, hit, 1 flow": ("<=", 130),
    "from_uplink, to a floating IP, hit, 1 flow": ("<=", 130),
    "from_uplink, to a floating IP, hit, 100000 flows": ("<=", 330),
    "from_underlay, to a port with 100 rules, hit": ("<=", 130),
}

# Two measurements of one row: what is judged is the ratio.
COMPARED = [
    ("1,000 rules on the port against 1: established", "from_workload, to a local port, 1000 rules, hit, 1 flow",
     "from_workload, to a local port, 1 rule, hit, 1 flow", ("<=", 1.1)),
    ("1,000 rules on the port against 1: first packet", "from_workload, to a local port, miss, 1000 rules",
     "from_workload, to a local port, miss, 1 rule", None),
    ("routed against switched: established", "from_workload, routed to a local port, hit, 1 flow",
     "from_workload, switched to a local port, frame restored, hit, 1 flow", None),
]


def bench(n_rounds, seconds):
    n_runs = int(300000 * min(seconds, 1))
    rounds = json.loads(run(BUILD / "bench" / "pipeline", n_rounds, n_runs, timeout=60 * n_rounds))["rounds"]
    rows = [Row(name, "ns", "weft", goal=GOALS.get(name), ours_rounds=[one[name] for one in rounds]) for name in rounds[0]]
    rows += [Row(name, "ns", "weft", peer, goal, [one[ours] for one in rounds], [one[peer] for one in rounds])
             for name, ours, peer, goal in COMPARED]
    table("programs, nanoseconds a frame, net of an empty program", rows)
    save("pipeline", rows, {"kernel": platform.release()}, {"rounds": n_rounds, "runs": n_runs})
    return rows
