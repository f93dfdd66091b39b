"""The director's program by itself: nanoseconds a packet by BPF_PROG_TEST_RUN, net of an empty program: see director.c."""

import json
import platform

from lab import BUILD, run
from report import Row, save, table

GOALS = {"1 flow": ("<=", 110), "100000 flows": ("<=", 160)}


def bench(n_rounds, seconds):
    n_runs = int(300000 * min(seconds, 1))
    said = json.loads(run(BUILD / "bench" / "bench-director", n_rounds, n_runs, timeout=60 * n_rounds))
    rounds = said["rounds"]
    rows = [Row(f"hash service, {name}", "ns", "weft", goal=GOALS[name.rsplit(", ", 1)[1]], ours_rounds=[one[name] for one in rounds])
            for name in rounds[0]]
    rows.append(Row("tables for 10,000 services and 64,000 servers", "MB", "weft", ours_rounds=[said["bytes"] / 1e6]))
    connections = said["connections"]
    rows.append(Row(f"{connections['n']:,} connections", "MB", "weft", ours_rounds=[connections["bytes"] / 1e6]))
    rows.append(Row("a connection, all overhead included", "bytes", "weft", goal=("<=", 128), ours_rounds=[connections["bytes"] / connections["n"]]))
    table("director, nanoseconds a packet, net of an empty program", rows)
    save("director", rows, {"kernel": platform.release()}, {"rounds": n_rounds, "runs": n_runs})
    return rows
